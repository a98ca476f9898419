//! Pulls whose answers are looked at.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{Findings, PATIENCE, Stage, pull_of};
use crate::{
    client::{Call, Target},
    error::Error,
    measure::Tally,
};

/// Connections that pull at the same time.
const CONNECTIONS: usize = 32;

/// An answer to a pull.
#[derive(Deserialize)]
pub(super) struct Answered {
    pub(super) grant: String,
    #[serde(rename = "use")]
    pub(super) number: u64,
    pub(super) licences: Vec<Shown>,
    missing: Vec<serde_json::Value>,
}

/// A licence in an answer.
#[derive(Deserialize)]
pub(super) struct Shown {
    identifier: String,
    pub(super) verification: Verification,
}

#[derive(Deserialize)]
pub(super) struct Verification {
    pub(super) result: String,
    pub(super) status: String,
}

/// What came of many pulls.
#[derive(Default)]
pub(super) struct Pulled {
    /// Grant and use of each answer.
    pub(super) uses: Vec<(String, u64)>,
    /// Answers that were not exactly the licence, trusted.
    wrong: u64,
    /// Answers other than 200, by cause.
    refused: Tally,
    /// Pulls that were sent again because the connection broke.
    repeated: u64,
    elapsed: Duration,
}

/// Pulls a list of enterprises, each until it is answered.
pub(super) async fn pull_all(
    target: &Target,
    calls: Vec<(usize, Call)>,
    identifiers: Arc<Vec<String>>,
) -> Pulled {
    let calls = Arc::new(calls);
    let next = Arc::new(AtomicUsize::new(0));
    let gave_up = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (target, calls, next) = (target.clone(), calls.clone(), next.clone());
            let (identifiers, gave_up) = (identifiers.clone(), gave_up.clone());
            tokio::spawn(async move {
                let mut pulled = Pulled::default();
                let mut connection = None;
                while let Some((position, call)) = calls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let since = Instant::now();
                    let answer = loop {
                        if since.elapsed() > PATIENCE || gave_up.load(Ordering::Relaxed) {
                            gave_up.store(true, Ordering::Relaxed);
                            pulled.refused.error("not answered in time");
                            return pulled;
                        }
                        let opened = match connection.take() {
                            Some(open) => Ok(open),
                            None => target.connect().await,
                        };
                        let Ok(mut open) = opened else {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            continue;
                        };
                        match open.send(call).await {
                            Ok(answer) => {
                                connection = Some(open);
                                break answer;
                            }
                            Err(_) => pulled.repeated += 1,
                        }
                    };
                    match answer.json::<Answered>("POST /v1/pulls") {
                        Ok(said) => {
                            let is_right = said.missing.is_empty()
                                && matches!(said.licences.as_slice(), [only]
                                    if only.identifier == identifiers[*position]
                                        && only.verification.result == "trusted");
                            pulled.wrong += u64::from(!is_right);
                            pulled.uses.push((said.grant, said.number));
                        }
                        Err(_) => {
                            let cause = format!("{} {}", answer.status, answer.problem());
                            pulled.refused.error(cause.trim_end());
                        }
                    }
                }
                pulled
            })
        })
        .collect();
    let mut all = Pulled::default();
    for worker in workers {
        let Ok(pulled) = worker.await else {
            all.refused.error("a connection's task ended early");
            continue;
        };
        all.uses.extend(pulled.uses);
        all.wrong += pulled.wrong;
        all.repeated += pulled.repeated;
        all.refused.add(&pulled.refused);
    }
    all.elapsed = start.elapsed();
    all
}

/// Pulls of enterprises chosen at random among those from `from` on.
pub(super) fn random_calls(stage: &mut Stage, count: usize, from: usize) -> Vec<(usize, Call)> {
    let size = stage.enterprises.len() - from;
    (0..count)
        .map(|_| {
            let position = from + stage.any(size);
            (position, pull_of(stage, &stage.enterprises[position]))
        })
        .collect()
}

pub(super) fn identifiers(stage: &Stage) -> Arc<Vec<String>> {
    Arc::new(stage.enterprises.iter().map(|one| one.licence.to_string()).collect())
}

/// Pulls without any kill: what is answered, and how fast.
pub(super) async fn check_quietly(
    stage: &mut Stage,
    count: usize,
    findings: &mut Findings,
) -> Result<(), Error> {
    let calls = random_calls(stage, count, 0);
    let target = stage.target(&stage.clerk)?;
    let pulled = pull_all(&target, calls, identifiers(stage)).await;
    check(&pulled, count, findings);
    findings.tell(&format!(
        "pulled {count} random credit codes, each exactly its licence, trusted: {:.0} pulls/s",
        count as f64 / pulled.elapsed.as_secs_f64()
    ));
    findings.require(pulled.repeated == 0, "no connection breaks while the hub is left alone");
    Ok(())
}

/// What holds for every set of pulls.
pub(super) fn check(pulled: &Pulled, count: usize, findings: &mut Findings) {
    findings.require(
        pulled.wrong == 0,
        &format!("a pull gives exactly the holder's licence, trusted: {} did not", pulled.wrong),
    );
    findings.require(
        pulled.refused.failed() == 0 && pulled.uses.len() == count,
        &format!(
            "every pull is answered: {} of {count}; {}",
            pulled.uses.len(),
            pulled.refused.told()
        ),
    );
    let different: HashSet<u64> = pulled.uses.iter().map(|(_, number)| *number).collect();
    findings.require(different.len() == pulled.uses.len(), "no number of a use is given twice");
}

/// Every pull that was answered has its entry in the access log: its grant is there and names the
/// number that the answer gave.
pub(super) async fn check_uses(
    target: &Target,
    pulled: &Pulled,
    findings: &mut Findings,
) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Grant {
        opened_by: u64,
    }
    let mut connection = target.connect().await?;
    let mut lost = 0;
    for (grant, number) in &pulled.uses {
        let answer = connection.send(&Call::get(format!("/v1/grants/{grant}"))).await?;
        let held = answer.json::<Grant>("GET /v1/grants/…");
        lost += u64::from(!held.is_ok_and(|held| held.opened_by == *number));
    }
    findings.require(
        lost == 0,
        &format!("every pull that was answered has its use on the log: {lost} have not"),
    );
    findings.tell(&format!(
        "{} pulls were answered while the hub was killed ({} were sent again); each has its use on the log",
        pulled.uses.len(),
        pulled.repeated
    ));
    Ok(())
}
