//! A follower that reads the change feed all the while, over every kill, and the feed read again
//! from its start at the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use licence::Sha256Digest;
use serde::Deserialize;
use tokio::task::JoinHandle;

use super::{Findings, Progress, Stage};
use crate::{
    client::{Call, Target},
    error::Error,
};

/// What of a change has to stay as it was.
#[derive(Clone, PartialEq, Eq, Deserialize)]
struct Change {
    seq: u64,
    kind: String,
    identifier: String,
    /// None of a change of trust: nobody signs it.
    #[serde(default)]
    digest: Option<Sha256Digest>,
}

#[derive(Deserialize)]
struct Page {
    changes: Vec<Change>,
}

/// A follower at work.
pub(super) struct Follower {
    task: JoinHandle<Seen>,
    control: Arc<Control>,
}

/// What a follower and whoever started it tell each other.
#[derive(Default)]
struct Control {
    stop: AtomicBool,
    /// Changes seen so far.
    seen: AtomicU64,
}

/// What a follower saw.
#[derive(Default)]
struct Seen {
    changes: Vec<Change>,
    /// Numbers that did not follow on the one before.
    jumps: u64,
    /// How often it had to connect again.
    interruptions: u64,
}

impl Follower {
    pub(super) fn start(target: Target) -> Self {
        let control = Arc::new(Control::default());
        let task = tokio::spawn(follow(target, control.clone()));
        Self { task, control }
    }
}

async fn follow(target: Target, control: Arc<Control>) -> Seen {
    let mut seen = Seen::default();
    while !control.stop.load(Ordering::Relaxed) {
        // Long polls that end soon, so that the end is noticed.
        if read(&target, &mut seen, "&wait=1", &control).await.is_err() {
            seen.interruptions += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    seen
}

/// Reads on one connection until told to stop, or, without waiting, until there is no more.
async fn read(
    target: &Target,
    seen: &mut Seen,
    wait: &str,
    control: &Control,
) -> Result<(), Error> {
    let mut connection = target.connect().await?;
    loop {
        let after = seen.changes.last().map(|change| format!("&after={}", change.seq));
        let path = format!("/v1/changes?limit=1000{wait}{}", after.unwrap_or_default());
        let answer = connection.send(&Call::get(path)).await?;
        let page: Page = answer.json("GET /v1/changes")?;
        let ended = page.changes.is_empty() && wait.is_empty();
        for change in page.changes {
            let expected = seen.changes.last().map_or(0, |last| last.seq + 1);
            seen.jumps += u64::from(change.seq != expected);
            seen.changes.push(change);
        }
        control.seen.store(seen.changes.len() as u64, Ordering::Relaxed);
        if ended || control.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

/// Compares what the follower saw with the feed as it is now, and with what was handed in.
pub(super) async fn compare(
    stage: &mut Stage,
    follower: Follower,
    findings: &mut Findings,
) -> Result<(), Error> {
    let head = stage.entries().await?;
    let target = stage.target(&stage.clerk)?;
    let mut again = Seen::default();
    read(&target, &mut again, "", &Control::default()).await?;
    findings.require(again.jumps == 0, "the numbers of the feed have no gaps");
    findings.require(
        again.changes.len() as u64 == head,
        &format!("the feed has {} entries, the log {head}", again.changes.len()),
    );

    let mut progress = Progress::new("the follower");
    while follower.control.seen.load(Ordering::Relaxed) < head {
        progress.at(follower.control.seen.load(Ordering::Relaxed))?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    follower.control.stop.store(true, Ordering::Relaxed);
    let seen = follower.task.await.map_err(|error| Error::Program {
        program: "the follower".to_owned(),
        said: error.to_string(),
    })?;
    findings.require(
        seen.jumps == 0,
        &format!("a follower sees every entry once and in order: {} jumps", seen.jumps),
    );
    let same = seen.changes.iter().zip(&again.changes).filter(|(one, other)| one == other).count();
    findings.require(
        same == again.changes.len() && seen.changes.len() == again.changes.len(),
        &format!(
            "what a follower saw over the kills ({} entries) is what the log holds ({}); {same} agree",
            seen.changes.len(),
            again.changes.len()
        ),
    );

    let rows = stage.enterprises.len();
    let issued: Vec<&Change> =
        again.changes.iter().filter(|change| change.kind == "issued").collect();
    findings.require(issued.len() == rows, "every row is issued once");
    let in_order = issued.iter().zip(stage.enterprises.iter()).filter(|(change, enterprise)| {
        change.identifier == enterprise.licence.as_str() && change.digest == Some(enterprise.digest)
    });
    let in_order = in_order.count();
    findings.require(
        in_order == rows,
        &format!("the log has the licences in the order they were handed in: {in_order} of {rows}"),
    );
    findings.require(
        again.changes.len() - issued.len() == stage.orders as usize,
        &format!("{} orders were acknowledged", stage.orders),
    );
    findings.tell(&format!(
        "the log holds {} entries without a gap, as a follower saw them over {} interruptions",
        again.changes.len(),
        seen.interruptions
    ));
    Ok(())
}
