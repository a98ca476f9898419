//! The sweep: after anchors or revocation lists changed, it goes through all licences and writes to the registry log
//! whose trust is another now, so that followers learn of it.
//!
//! Reads do not wait for it: they judge by the anchors and lists of their moment ([`crate::judge`]). It is a follower of
//! [`Hub::trust`] as search is one of the log: it may lag, it may be stopped anywhere, and it never blocks an append, being
//! one more caller of it. A round goes around in the order of identifiers and begins where the last one stood, also after a
//! restart, so that changes in quick succession do not starve the end.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use certs::TrustStore;
use indexes::{Collection, NewEntry, NewTrust, StoreError, StoredLicence};
use jiff::{SignedDuration, Timestamp};
use licence::{LicenceId, Trust, TrustReason};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Hub,
    judge::{Judge, Standing},
    records::{self, Draft, Kept},
};

/// Licences read at a time: at most 256 documents are in memory.
const PAGE: usize = 256;
/// After so many pages the place is written down; what is read twice after a crash is written once all the same.
const PAGES_BETWEEN_NOTES: u32 = 16;
/// How often anchors and lists are compared with those of the last round.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The pause after the store failed; it doubles up to a minute.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An anchor's time ends without any file changing, and stamps come in: a round a day finds it.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepState {
    /// A round is under way, or about to begin.
    pub running: bool,
    /// Rounds that came to their end since the start.
    pub rounds: u64,
    /// Licences looked at since the start.
    pub looked_at: u64,
    /// Changes written since the start.
    pub written: u64,
    /// The store failed at the last attempt, with this code.
    pub failing: Option<&'static str>,
}

/// Operates the running sweep. Dropping it stops it.
pub struct Sweep {
    again: Arc<AtomicBool>,
    state: watch::Receiver<SweepState>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Sweep {
    /// Starts the task, with a first round. Must be called inside a tokio runtime. The task ends when the hub is gone.
    #[must_use]
    pub fn start(hub: &Arc<Hub>) -> Self {
        let (state, watched) =
            watch::channel(SweepState { running: true, ..SweepState::default() });
        let (again, stop) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
        let task = Task {
            hub: Arc::downgrade(hub),
            again: again.clone(),
            state,
            round: Round::default(),
            swept: None,
            begun: Instant::now(),
            ended_at: Timestamp::MIN,
        };
        let until = stop.clone();
        let task = tokio::spawn(async move {
            let _ = until.run_until_cancelled(task.run()).await;
        });
        let task = Mutex::new(Some(task));
        Self { again, state: watched, stop, task }
    }

    /// Has a round begin anew: something was taken in that was checked by anchors and lists that have changed since, or
    /// something else than these changed that verdicts rest on.
    pub fn again(&self) {
        self.again.store(true, Ordering::Release);
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> SweepState {
        *self.state.borrow()
    }

    /// To be told when that changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<SweepState> {
        self.state.clone()
    }

    /// Stops, and waits for it.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Where the next round begins: only so that rounds that never come to their end do not leave out the same licences.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Place {
    after: Option<LicenceId>,
}

impl Kept for Place {
    const COLLECTION: Collection = Collection::new("sweeps");
}

const PLACE_KEY: &[u8] = b"trust";

/// A round: from `from` to the last identifier, then from the first to `from`.
#[derive(Debug, Default)]
struct Round {
    from: Option<LicenceId>,
    after: Option<LicenceId>,
    around: bool,
    pages: u32,
}

impl Round {
    /// Begins anew, here.
    fn begin(&mut self) {
        self.from = self.after.clone();
        self.around = false;
    }

    /// Goes on behind a page, which ended with `last`. True: all were looked at.
    fn pass(&mut self, last: Option<LicenceId>) -> bool {
        self.pages = self.pages.wrapping_add(1);
        match (last, &self.from) {
            (Some(last), from) => {
                let over = self.around && from.as_ref().is_none_or(|from| last >= *from);
                self.after = Some(last);
                over
            }
            (None, from) => {
                let over = self.around || from.is_none();
                (self.after, self.around) = (None, true);
                over
            }
        }
    }
}

struct Task {
    /// Weak, so that a hub which nobody closes does not live on through its sweep.
    hub: Weak<Hub>,
    again: Arc<AtomicBool>,
    state: watch::Sender<SweepState>,
    round: Round,
    /// What the round under way, or the last one, judges by. Held, so that another never has its address.
    swept: Option<Arc<TrustStore>>,
    begun: Instant,
    ended_at: Timestamp,
}

impl Task {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(hub) = self.hub.upgrade() else { return };
            let stepped = self.step(&hub).await;
            drop(hub);
            let failing = stepped.as_ref().err().map(StoreError::code);
            self.state.send_if_modified(|state| {
                std::mem::replace(&mut state.failing, failing) != failing
            });
            match stepped {
                Ok(wait) => {
                    pause = FIRST_PAUSE;
                    tokio::time::sleep(wait).await;
                }
                Err(error) => {
                    tracing::warn!(error.code = error.code(), "the sweep stands; it tries again");
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Looks at a page, if there is a round to go; the time to wait then.
    async fn step(&mut self, hub: &Hub) -> Result<Duration, StoreError> {
        if self.swept.is_none() {
            self.round.after = place(hub).await?;
        }
        let trust = hub.trust();
        let same = self.swept.as_ref().is_some_and(|swept| Arc::ptr_eq(swept, &trust));
        let asked = self.again.swap(false, Ordering::AcqRel);
        let running = self.state.borrow().running;
        let due = !running && hub.clock.now().duration_since(self.ended_at) >= A_DAY;
        if !same || asked || due {
            self.swept = Some(trust.clone());
            self.round.begin();
            self.begun = Instant::now();
            self.state.send_modify(|state| state.running = true);
        } else if !running {
            return Ok(LOOK_EVERY);
        }
        let started = Instant::now();
        let over = self.page(hub, trust).await?;
        if over {
            self.ended_at = hub.clock.now();
            let seconds = self.begun.elapsed().as_secs_f64();
            metrics::histogram!("yihao_trust_sweep_seconds").record(seconds);
            self.state.send_modify(|state| {
                state.running = false;
                state.rounds += 1;
            });
            return Ok(LOOK_EVERY);
        }
        // Half the time for others, however slow the disk is.
        Ok(started.elapsed())
    }

    async fn page(&mut self, hub: &Hub, trust: Arc<TrustStore>) -> Result<bool, StoreError> {
        let page = hub.store.page_of_licences(self.round.after.clone(), PAGE).await?;
        let judge = Judge::by(hub, trust);
        let mut entries = Vec::new();
        for stored in &page {
            let Some((to, reason)) = difference(stored, judge.standing(stored).await?) else {
                continue;
            };
            let identifier = stored.identifier.clone();
            entries.push(NewEntry::Trust(NewTrust { identifier, to, reason, at: hub.clock.now() }));
        }
        let written = if entries.is_empty() { 0 } else { write(hub, entries).await? };
        let looked_at = page.len() as u64;
        metrics::counter!("yihao_trust_sweep_licences_total").increment(looked_at);
        self.state.send_modify(|state| {
            state.looked_at += looked_at;
            state.written += written;
        });
        let over = self.round.pass(page.into_iter().next_back().map(|last| last.identifier));
        if self.round.pages.is_multiple_of(PAGES_BETWEEN_NOTES) {
            let mut draft = Draft::new();
            draft.put(PLACE_KEY, &Place { after: self.round.after.clone() });
            // It expects nothing of what is there and cannot be stale.
            let _ = draft.commit(&*hub.store).await?;
        }
        Ok(over)
    }
}

/// Where an earlier run stood. One that cannot be read is none: it only says where to begin.
async fn place(hub: &Hub) -> Result<Option<LicenceId>, StoreError> {
    match records::read::<Place>(&*hub.store, PLACE_KEY).await {
        Ok(held) => Ok(held.and_then(|held| held.value.after)),
        Err(StoreError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn write(hub: &Hub, entries: Vec<NewEntry>) -> Result<u64, StoreError> {
    let to: Vec<Trust> = entries
        .iter()
        .filter_map(|entry| match entry {
            NewEntry::Trust(new) => Some(new.to),
            NewEntry::Licence(_) | NewEntry::Status(_) => None,
        })
        .collect();
    let answers = hub.store.append(entries).await?;
    let mut written = 0;
    for (answer, to) in answers.into_iter().zip(to) {
        if answer.is_ok_and(|appended| appended.new) {
            metrics::counter!("yihao_trust_changes_total", "to" => to.word()).increment(1);
            written += 1;
        }
    }
    Ok(written)
}

/// What the log has to say next of a licence, if anything.
///
/// A list that is missing or late is no change. It also lifts no revocation: else losing a list would.
fn difference(stored: &StoredLicence, standing: Standing) -> Option<(Trust, TrustReason)> {
    let fell_by = stored.trust.last().filter(|mark| mark.to == Trust::Untrusted);
    match (fell_by.map(|mark| mark.reason), standing) {
        (None, Standing::Fell(reason)) => Some((Trust::Untrusted, reason)),
        (Some(TrustReason::CertificateRevoked), Standing::Stands) => {
            Some((Trust::Trusted, TrustReason::RevocationLifted))
        }
        (Some(TrustReason::CertificateRevoked), Standing::Open) => None,
        (Some(_), Standing::Stands | Standing::Open) => {
            Some((Trust::Trusted, TrustReason::AnchorRestored))
        }
        (None, Standing::Stands | Standing::Open) | (Some(_), Standing::Fell(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(serial: u64) -> LicenceId {
        indexes::rules::sample::identifier(serial)
    }

    /// Goes around over `count` licences in pages of `page`; what was looked at before it is over.
    fn around(round: &mut Round, count: u64, page: u64) -> Vec<u64> {
        let mut seen = Vec::new();
        round.begin();
        loop {
            let first =
                (0..count).find(|serial| round.after.as_ref().is_none_or(|at| id(*serial) > *at));
            let found: Vec<u64> =
                first.map_or(vec![], |first| (first..count.min(first + page)).collect());
            seen.extend(&found);
            if round.pass(found.last().map(|serial| id(*serial))) {
                return seen;
            }
        }
    }

    #[test]
    fn a_round_looks_at_every_licence_wherever_it_begins() {
        for (count, page) in [(0, 3), (1, 3), (3, 3), (10, 3), (12, 4)] {
            for begin in 0_u64..=count {
                let mut round = Round { after: begin.checked_sub(1).map(id), ..Round::default() };
                for _ in 0..3 {
                    let mut seen = around(&mut round, count, page);
                    seen.sort_unstable();
                    let longest = count + page;
                    assert!(seen.len() as u64 <= longest, "{count} {page} {begin}: {seen:?}");
                    seen.dedup();
                    assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{count} {page} {begin}");
                }
            }
        }
    }
}
