//! The task that drives one connector.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use indexes::{LicenceStore, SetAside, Settled, StoreError};
use jiff::Timestamp;
use licence::Seq;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{self, Instant},
};

use super::{
    Clock, ConnectorState, LastError, RunnerSettings, Stretch, backoff,
    feed::{Manifests, Reader},
    history::{self, Sample},
    pace::{self, Pace},
    replay::{self, Replay},
    resend,
    work::{Origin, Part, Work},
};
use crate::{Connector, Delivered, DeliveryError, Problem, Refused, Reply, ReplyPosition};

/// Set-asides that the state counts: it is for an operator's eye, and counting is reading.
pub(super) const SET_ASIDES_COUNTED: usize = 10_000;

/// Set-asides that are read at a time, to settle those that were taken now.
const SETTLED_AT_ONCE: usize = 1_000;

/// Once a counterpart refuses everything, each further record that it refuses alone makes the pause longer by the
/// longest pause, up to this many times: what is tried then is set aside when it is refused, and a counterpart may stay
/// like that for a weekend.
const LONGER_PAUSES: u32 = 60;

/// How often lag is brought up to date while nothing else happens.
const REFRESH: Duration = Duration::from_secs(1);

/// How often replies are looked through again, and from how long before the last one on: a counterpart may commit
/// a reply later than the time it wrote into it.
const REPLIES_AGAIN: Duration = Duration::from_secs(60);
const REPLIES_OVERLAP_MICROS: u64 = 3_600_000_000;
/// Handled replies remembered in memory; the store remembers them all.
const REPLIES_REMEMBERED: usize = 100_000;

/// How long a stretch may take to be read when the runner is stopped.
const READING_ENDS: Duration = Duration::from_secs(5);

/// How long the clock is trusted at most while waiting for the hours in which records may be sent.
const WINDOW_CHECK: Duration = Duration::from_secs(60);

/// What a handle asks of the task.
pub(super) enum Command {
    Pause(bool, oneshot::Sender<Result<(), StoreError>>),
    Replay(Seq, oneshot::Sender<Result<(), StoreError>>),
    /// An operator wants something tried: what failed before does not count.
    TryNow,
    Stop,
}

/// Why a round ended before its end.
enum Break {
    /// A command came, or the handle is gone (`None`).
    Command(Option<Command>),
    /// The counterpart failed.
    Delivery(DeliveryError),
    /// The store failed.
    Store(StoreError),
    /// A round panicked.
    Defect,
}

impl From<StoreError> for Break {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) struct Task {
    store: Arc<dyn LicenceStore>,
    connector: Arc<dyn Connector>,
    settings: RunnerSettings,
    clock: Clock,
    inbox: mpsc::Receiver<Command>,
    /// There is something in the resend queue.
    nudge: Arc<Notify>,
    state: watch::Sender<ConnectorState>,
    name: String,
    reader: Reader,
    pace: Pace,
    /// What is being delivered. Kept over failures.
    work: Option<Work>,
    /// What is read meanwhile.
    ahead: Option<Ahead>,
    /// The manifests of the last stretch: the next one often needs the same.
    manifests: Manifests,
    /// The resend queue had the last turn: the feed has the next.
    queue_had_turn: bool,
    /// Read from the store; `None` until that succeeded.
    durable: Option<Durable>,
    /// Failures in a row.
    failures: u32,
    /// Records in a row that were refused, none taken between.
    refused_in_a_row: u64,
    /// Not before this is tried again.
    resting_until: Option<Instant>,
    /// When the oldest change still to go through was taken in.
    oldest: Option<Timestamp>,
    /// The last time that an operator had it start again.
    replaying: Option<Replay>,
    /// The state's count of set-asides is out of date.
    set_asides_changed: bool,
    /// When the state's count of resends was made; they come into the queue without a word to this task.
    resends_counted_at: Option<Instant>,
    refreshed_at: Instant,
    replies: Replies,
    since_sample: SinceSample,
}

/// A stretch of the feed that is being read.
struct Ahead {
    from: Seq,
    reading: JoinHandle<Result<Stretch, StoreError>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// What happened since the last sample of the history.
#[derive(Default)]
struct SinceSample {
    minute: Option<u64>,
    delivered: u64,
    failures: u64,
}

/// What the store holds about this connector.
struct Durable {
    cursor: Seq,
    paused: bool,
    replays: u64,
    /// The time of the last reply handled, in microseconds.
    replied: u64,
}

/// Where reading replies has come to.
#[derive(Default)]
struct Replies {
    after: ReplyPosition,
    read_at: Option<Instant>,
    again_at: Option<Instant>,
    handled: HashSet<ReplyPosition>,
}

impl Task {
    pub(super) fn new(
        store: Arc<dyn LicenceStore>,
        connector: Arc<dyn Connector>,
        settings: RunnerSettings,
        inbox: mpsc::Receiver<Command>,
        nudge: Arc<Notify>,
        state: watch::Sender<ConnectorState>,
        clock: Clock,
    ) -> Self {
        let name = connector.name().to_owned();
        let reader = Reader::new(store.clone(), &settings, connector.wants_manifests());
        Self {
            pace: Pace::new(settings.pace),
            reader,
            nudge,
            work: None,
            ahead: None,
            manifests: Manifests::new(),
            queue_had_turn: false,
            resends_counted_at: None,
            since_sample: SinceSample::default(),
            store,
            connector,
            settings,
            clock,
            inbox,
            state,
            name,
            durable: None,
            failures: 0,
            refused_in_a_row: 0,
            resting_until: None,
            oldest: None,
            replaying: None,
            set_asides_changed: true,
            refreshed_at: Instant::now(),
            replies: Replies::default(),
        }
    }

    pub(super) async fn run(mut self) {
        describe_metrics();
        loop {
            let round = AssertUnwindSafe(self.round()).catch_unwind().await;
            match round.unwrap_or(Err(Break::Defect)) {
                Ok(()) => {}
                Err(Break::Defect) => {
                    // What was going on is not trusted any more; the store tells where to go on.
                    (self.work, self.ahead, self.durable) = (None, None, None);
                    let problem = Problem::Defect;
                    self.rest(problem.code(), problem.to_string(), problem.advice(), None);
                }
                Err(Break::Command(None | Some(Command::Stop))) => return self.end().await,
                Err(Break::Command(Some(command))) => self.obey(command).await,
                Err(Break::Delivery(error)) => self.rest(
                    error.code(),
                    error.to_string(),
                    error.advice(),
                    error.problem().retry_after(),
                ),
                Err(Break::Store(error)) => {
                    let advice = "The hub's own store failed; `hub doctor` says more. Sending goes on when it works again.";
                    self.rest(error.code(), error.to_string(), advice, None);
                }
            }
        }
    }

    /// Waits for what is being read: whoever stopped the runner may close the store after.
    async fn end(mut self) {
        if let Some(mut ahead) = self.ahead.take() {
            // Whether it could be read is of no interest any more.
            let _ = time::timeout(READING_ENDS, &mut ahead.reading).await;
        }
    }

    /// One step: wait if there is a reason to, or read replies, or deliver one stretch of the feed or of the queue.
    async fn round(&mut self) -> Result<(), Break> {
        let cursor = match &self.durable {
            Some(durable) if durable.paused => return self.wait(None).await,
            Some(durable) => durable.cursor,
            None => self.restore().await?,
        };
        if let Some(until) = self.resting_until {
            self.wait(Some(until)).await?;
            self.resting_until = None;
            return Ok(());
        }
        // Outside its hours a counterpart is not spoken to at all: what it says later is not read either.
        if let Some(wait) = self.closed_for() {
            // The clock may be set meanwhile.
            let look = wait.min(WINDOW_CHECK).min(self.settings.poll);
            return self.wait(Some(Instant::now() + look)).await;
        }
        self.read_replies().await?;
        if self.work.is_none() {
            self.next_work(cursor).await?;
        }
        if self.work.is_some() {
            self.deliver().await?;
            self.oldest = None;
            self.refresh().await;
        }
        Ok(())
    }

    /// How long until records may be sent, if not now. The state tells.
    fn closed_for(&self) -> Option<Duration> {
        let now = (self.clock)();
        let wait = pace::closed_for(&self.settings.windows, now);
        let opens_at = wait.and_then(|wait| now.checked_add(wait).ok());
        self.state.send_if_modified(|state| {
            // It is worked out anew each time; to the second it stays the same.
            let changed = state.opens_at.map(|at| at.as_second().div_euclid(60))
                != opens_at.map(|at| at.as_second().div_euclid(60));
            if changed {
                state.opens_at = opens_at;
            }
            changed
        });
        wait
    }

    /// Finds what is to be delivered next: from the resend queue and from the feed in turn. If there is nothing, waits.
    async fn next_work(&mut self, cursor: Seq) -> Result<(), Break> {
        let queue_has_turn = !self.queue_had_turn;
        self.queue_had_turn = false;
        if queue_has_turn && self.take_from_queue(cursor).await? {
            self.queue_had_turn = true;
            return Ok(());
        }
        let stretch = self.stretch(cursor).await?;
        self.oldest = stretch.oldest;
        if stretch.end > cursor {
            self.set_aside(&stretch.unreadable).await?;
            if stretch.full {
                self.read_ahead(stretch.end, stretch.manifests.clone());
            }
            self.manifests = stretch.manifests.clone();
            let origin = Origin::Feed(stretch.end);
            self.work = Some(self.as_work(stretch, origin));
        } else if queue_has_turn {
            self.failures = 0;
            self.state.send_modify(|state| state.next_attempt = None);
            self.refresh().await;
            let (store, nudge) = (self.store.clone(), self.nudge.clone());
            let poll = self.settings.poll;
            let something = async move {
                tokio::select! {
                    beyond = store.wait_beyond(cursor, poll) => beyond.map(|_| ()),
                    () = nudge.notified() => Ok(()),
                }
            };
            self.watched(something).await??;
        }
        Ok(())
    }

    /// Takes a stretch from the resend queue: what has been through the feed, in the order of numbers. What is still to
    /// go through it waits for that.
    async fn take_from_queue(&mut self, cursor: Seq) -> Result<bool, Break> {
        let mut entries = resend::first(&*self.store, &self.name, self.reader.changes).await?;
        entries.retain(|entry| entry.seq < cursor);
        let Some(last) = entries.last() else { return Ok(false) };
        let mut stretch = Stretch::empty(last.seq.next());
        let store = self.store.clone();
        let (wanted, reader) = (entries.clone(), self.reader.clone());
        let known = std::mem::take(&mut self.manifests);
        let filled = async move {
            let changes = resend::changes(&*store, &wanted).await?;
            reader.fill(&mut stretch, changes, &known).await?;
            Ok::<_, StoreError>(stretch)
        };
        let stretch = self.watched(filled).await??;
        self.manifests = stretch.manifests.clone();
        self.set_aside(&stretch.unreadable).await?;
        entries.retain(|entry| entry.seq < stretch.end);
        self.work = Some(self.as_work(stretch, Origin::Queue(entries)));
        Ok(true)
    }

    fn as_work(&self, stretch: Stretch, origin: Origin) -> Work {
        let most = self.pace.most(self.settings.batch);
        Work::new(stretch, origin, self.settings.concurrency, most)
    }

    /// The stretch from this change on: the one that is read already, or a new one.
    async fn stretch(&mut self, from: Seq) -> Result<Stretch, Break> {
        loop {
            let mut ahead = match self.ahead.take() {
                Some(ahead) => ahead,
                None => self.reading(from, self.manifests.clone()),
            };
            match self.watched(&mut ahead.reading).await {
                Ok(Ok(read)) if ahead.from == from => return Ok(read?),
                // Of another place, from before an operator had it start again.
                Ok(Ok(_)) => {}
                Ok(Err(_)) => {
                    let detail = "reading the feed was broken off".to_owned();
                    return Err(Break::Store(StoreError::Io { detail }));
                }
                Err(broken) => {
                    self.ahead = Some(ahead);
                    return Err(broken);
                }
            }
        }
    }

    /// Reads the stretch from this change on, while another is delivered.
    fn read_ahead(&mut self, from: Seq, known: Manifests) {
        self.ahead = Some(self.reading(from, known));
    }

    fn reading(&self, from: Seq, known: Manifests) -> Ahead {
        Ahead { from, reading: tokio::spawn(self.reader.clone().read(from, known)) }
    }

    /// Reads what the store holds about this connector.
    async fn restore(&mut self) -> Result<Seq, Break> {
        let cursor = self.store.cursor(&self.name).await?.unwrap_or(Seq(0));
        let durable = Durable {
            cursor,
            paused: self.store.flag(&self.name).await?,
            replays: self.store.cursor(&self.key("replays")).await?.map_or(0, |count| count.0),
            replied: self.store.cursor(&self.key("replies")).await?.map_or(0, |micros| micros.0),
        };
        self.replaying = replay::read(&*self.store, &self.name).await?;
        let paused = durable.paused;
        self.durable = Some(durable);
        self.state.send_modify(|state| {
            state.cursor = cursor;
            state.paused = paused;
        });
        self.refresh().await;
        if paused {
            self.wait(None).await?;
        }
        Ok(cursor)
    }

    /// Delivers what there is, each lane in order, as many lanes at a time as the settings say. A part that is refused
    /// as a whole is halved until the records it is about stand alone; those are set aside. When one fails, those that
    /// are under way are waited for. Ends early, with the rest kept, when the hours for sending end.
    async fn deliver(&mut self) -> Result<(), Break> {
        let replays = self.durable.as_ref().map_or(0, |durable| durable.replays);
        let mut running = FuturesUnordered::new();
        let mut busy = BTreeSet::new();
        let mut failed = None;
        loop {
            let mut not_before = None;
            let mut closed = false;
            while failed.is_none() && running.len() < self.settings.concurrency.max(1) {
                let Some(work) = &self.work else { break };
                let Some(part) = work.next(|lane| busy.contains(&lane)) else { break };
                let now = Instant::now();
                closed = self.closed_for().is_some();
                not_before = self.pace.not_before(now);
                if closed || not_before.is_some() {
                    break;
                }
                self.pace.spend(now, part.len());
                let batch = work.batch(&self.name, replays, &part);
                let connector = self.connector.clone();
                busy.insert(part.lane);
                running.push(async move {
                    let outcome = connector.deliver(&batch).await;
                    (part, outcome, now.elapsed())
                });
            }
            if running.is_empty() {
                match (failed, not_before) {
                    (Some(failed), _) => return Err(failed),
                    (None, _) if closed => return Ok(()),
                    (None, Some(at)) => self.wait(Some(at)).await?,
                    (None, None) => break,
                }
                failed = None;
                continue;
            }
            let paced = async {
                match not_before {
                    Some(at) => time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let next = async {
                tokio::select! {
                    done = running.next() => done,
                    () = paced => None,
                }
            };
            let Some((part, outcome, took)) = self.watched(next).await? else { continue };
            busy.remove(&part.lane);
            metrics::histogram!("yihao_connector_delivery_seconds", "connector" => self.name.clone())
                .record(took);
            match self.conclude(&part, outcome).await {
                Ok(()) => {}
                Err(Break::Delivery(error)) => {
                    failed.get_or_insert(Break::Delivery(error));
                }
                Err(other) => return Err(other),
            }
        }
        self.finish().await
    }

    /// Notes what became of a part.
    async fn conclude(
        &mut self,
        part: &Part,
        outcome: Result<Delivered, DeliveryError>,
    ) -> Result<(), Break> {
        match outcome {
            Ok(delivered) => {
                let refused = delivered.refused.len() as u64;
                let taken = (part.len() as u64).saturating_sub(refused);
                let all = taken == 0 && refused > 0;
                let in_a_row = self.refused_in_a_row + refused;
                if all && part.len() > 1 && in_a_row > self.settings.stop_after_refused {
                    // Rather something between the systems than the records: no more is set aside than is needed to
                    // find that out.
                    if let Some(work) = &mut self.work {
                        work.halve(part);
                    }
                    return Ok(());
                }
                self.set_aside(&delivered.refused).await?;
                self.settle(part, &delivered.refused).await?;
                self.through(part).await?;
                match delivered.refused.last().filter(|_| all) {
                    Some(last) => self.refused_all(refused, &last.code),
                    None => Ok(()),
                }?;
                self.succeeded(taken);
                Ok(())
            }
            Err(DeliveryError::Refused(_)) if part.len() > 1 => {
                if let Some(work) = &mut self.work {
                    work.halve(part);
                }
                Ok(())
            }
            Err(DeliveryError::Refused(problem)) => {
                let seq = self.work.as_ref().map(|work| work.first(part));
                let refused = seq.map(|seq| Refused {
                    seq,
                    code: problem.code().to_owned(),
                    remark: problem.to_string(),
                });
                self.set_aside(refused.as_slice()).await?;
                self.through(part).await?;
                self.refused_all(1, problem.code())
            }
            Err(error) => Err(Break::Delivery(error)),
        }
    }

    /// Of a part nothing was taken. After so many records in a row nothing goes on by itself but one record at a time,
    /// with pauses, until one is taken or an operator acts.
    fn refused_all(&mut self, records: u64, code: &str) -> Result<(), Break> {
        self.refused_in_a_row += records;
        if self.refused_in_a_row < self.settings.stop_after_refused {
            return Ok(());
        }
        let in_a_row = self.refused_in_a_row;
        let problem = Problem::EveryRecordRefused { in_a_row, last: code.to_owned() };
        Err(Break::Delivery(DeliveryError::Configuration(problem)))
    }

    /// A part's records were taken or are set aside: the cursor goes as far as nothing before it is still to go.
    async fn through(&mut self, part: &Part) -> Result<(), Break> {
        let Some(work) = &mut self.work else { return Ok(()) };
        work.done(part);
        let mark = work.mark();
        let cursor = self.durable.as_ref().map(|durable| durable.cursor);
        match mark.filter(|mark| cursor.is_none_or(|cursor| cursor < *mark)) {
            Some(mark) => self.advance(mark).await,
            None => Ok(()),
        }
    }

    /// Everything is through.
    async fn finish(&mut self) -> Result<(), Break> {
        match self.work.as_ref().map(|work| &work.origin) {
            Some(Origin::Feed(end)) => {
                let end = *end;
                if self.durable.as_ref().is_some_and(|durable| durable.cursor < end) {
                    self.advance(end).await?;
                }
            }
            Some(Origin::Queue(entries)) => {
                resend::remove(&*self.store, &self.name, entries).await?;
            }
            None => {}
        }
        self.work = None;
        Ok(())
    }

    /// Saves the cursor: everything before it is delivered or set aside, durably.
    async fn advance(&mut self, cursor: Seq) -> Result<(), Break> {
        self.store.save_cursor(&self.name, cursor).await?;
        if let Some(durable) = &mut self.durable {
            durable.cursor = cursor;
        }
        self.state.send_modify(|state| {
            state.cursor = cursor;
            state.lag = state.head.0.saturating_sub(cursor.0);
        });
        Ok(())
    }

    async fn set_aside(&mut self, refused: &[Refused]) -> Result<(), Break> {
        if refused.is_empty() {
            return Ok(());
        }
        let at = Timestamp::now();
        for record in refused {
            tracing::warn!(
                connector = self.name,
                seq = record.seq.0,
                code = record.code,
                "a record was set aside"
            );
            let record = SetAside {
                seq: record.seq,
                code: record.code.clone(),
                remark: record.remark.clone(),
                at,
            };
            self.store.set_aside(&self.name, record).await?;
        }
        metrics::counter!("yihao_connector_set_aside_total", "connector" => self.name.clone())
            .increment(refused.len() as u64);
        self.set_asides_changed = true;
        Ok(())
    }

    /// What was set aside and is taken now is settled: after a resend or a replay, if it was set aside before that was
    /// asked for. A batch that only comes again after a failure settles nothing: the counterpart may have refused a
    /// record, in its answer or in a reply, since it took it first.
    async fn settle(&mut self, part: &Part, refused: &[Refused]) -> Result<(), Break> {
        let some = self.set_asides_changed || self.state.borrow().set_aside > 0;
        let Some(work) = self.work.as_ref().filter(|_| some) else { return Ok(()) };
        // Each with the moment before which it was set aside, in microseconds.
        let (how, mut taken): (Settled, BTreeMap<Seq, i64>) = match (&work.origin, self.replaying) {
            (Origin::Queue(entries), _) => {
                let put: BTreeMap<Seq, i64> =
                    entries.iter().map(|entry| (entry.seq, entry.put_micros)).collect();
                let seqs = work.seqs(part);
                (Settled::Resent, seqs.filter_map(|seq| Some((seq, *put.get(&seq)?))).collect())
            }
            (Origin::Feed(_), Some(replay)) => {
                let seqs = work.seqs(part).filter(|seq| *seq < replay.until);
                (Settled::Replayed, seqs.map(|seq| (seq, replay.asked_micros)).collect())
            }
            (Origin::Feed(_), None) => return Ok(()),
        };
        for record in refused {
            taken.remove(&record.seq);
        }
        let ends = taken.first_key_value().zip(taken.last_key_value());
        let Some((mut from, last)) = ends.map(|((first, _), (last, _))| (*first, *last)) else {
            return Ok(());
        };
        loop {
            let held = self.store.set_asides_from(&self.name, from, SETTLED_AT_ONCE).await?;
            for held in &held {
                let before = taken.get(&held.seq);
                if before.is_some_and(|before| held.at.as_microsecond() <= *before) {
                    let now = Timestamp::now();
                    self.store.settle(&self.name, held.seq, how, now).await?;
                    self.set_asides_changed = true;
                }
            }
            match held.last() {
                Some(end) if end.seq < last && held.len() == SETTLED_AT_ONCE => {
                    from = end.seq.next();
                }
                _ => return Ok(()),
            }
        }
    }

    /// Reads what the counterpart says about records it had taken, if it is time to; each reply is handled once.
    async fn read_replies(&mut self) -> Result<(), Break> {
        let now = Instant::now();
        if self.replies.read_at.is_some_and(|at| now < at + self.settings.poll) {
            return Ok(());
        }
        let Some(replied) = self.durable.as_ref().map(|durable| durable.replied) else {
            return Ok(());
        };
        if self.replies.again_at.is_none_or(|at| now >= at) {
            let micros = replied.saturating_sub(REPLIES_OVERLAP_MICROS);
            self.replies.after = ReplyPosition { micros, key: String::new() };
            self.replies.again_at = Some(now + REPLIES_AGAIN);
        }
        let mut after = self.replies.after.clone();
        loop {
            let connector = self.connector.clone();
            let asked = after.clone();
            let page = self.watched(async move { connector.replies(&asked).await }).await?;
            let page = page.map_err(Break::Delivery)?;
            for reply in &page.replies {
                self.handle(reply).await?;
            }
            let Some(last) = page.replies.last().map(|reply| reply.position.clone()) else { break };
            // A reply with a time still to come must not hide those that come before then.
            if last.micros <= page.now_micros {
                self.replies.after = last.clone();
                self.replied(last.micros).await?;
            }
            if !page.more || last <= after {
                break;
            }
            after = last;
        }
        self.replies.read_at = Some(Instant::now());
        Ok(())
    }

    async fn handle(&mut self, reply: &Reply) -> Result<(), Break> {
        if self.replies.handled.contains(&reply.position) {
            return Ok(());
        }
        let key = format!("{}/reply/{}/{}", self.name, reply.position.micros, reply.position.key);
        if self.store.outcome(key.as_bytes()).await?.is_none() {
            if reply.refused.seq < self.store.head().await? {
                self.set_aside(std::slice::from_ref(&reply.refused)).await?;
            } else {
                tracing::warn!(
                    connector = self.name,
                    seq = reply.refused.seq.0,
                    "a reply is about a change that there is not, and is passed over"
                );
            }
            self.store.save_outcome(key.as_bytes(), Vec::new(), Timestamp::now()).await?;
        }
        if self.replies.handled.len() >= REPLIES_REMEMBERED {
            self.replies.handled.clear();
        }
        self.replies.handled.insert(reply.position.clone());
        Ok(())
    }

    async fn replied(&mut self, micros: u64) -> Result<(), Break> {
        let Some(durable) = self.durable.as_mut().filter(|durable| micros > durable.replied) else {
            return Ok(());
        };
        durable.replied = micros;
        let key = self.key("replies");
        self.store.save_cursor(&key, Seq(micros)).await?;
        Ok(())
    }

    async fn obey(&mut self, command: Command) {
        let (outcome, answer) = match command {
            Command::Stop => return,
            Command::TryNow => return self.try_now(),
            Command::Pause(paused, answer) => (self.set_paused(paused).await, answer),
            Command::Replay(from, answer) => (self.start_again(from).await, answer),
        };
        // Whoever asked may have gone away meanwhile.
        let _ = answer.send(outcome);
    }

    async fn set_paused(&mut self, paused: bool) -> Result<(), StoreError> {
        self.store.set_flag(&self.name, paused).await?;
        if let Some(durable) = &mut self.durable {
            durable.paused = paused;
        }
        self.try_now();
        self.state.send_modify(|state| state.paused = paused);
        self.refresh().await;
        Ok(())
    }

    async fn start_again(&mut self, from: Seq) -> Result<(), StoreError> {
        let key = self.key("replays");
        let replays = self.store.cursor(&key).await?.map_or(0, |count| count.0) + 1;
        self.store.save_cursor(&key, Seq(replays)).await?;
        let cursor = self.store.cursor(&self.name).await?.unwrap_or(Seq(0));
        let replay = replay::begin(&*self.store, &self.name, cursor).await?;
        self.store.save_cursor(&self.name, from).await?;
        self.replaying = Some(replay);
        if let Some(durable) = &mut self.durable {
            durable.cursor = from;
            durable.replays = replays;
        }
        self.work = None;
        self.try_now();
        self.state.send_modify(|state| state.cursor = from);
        self.refresh().await;
        Ok(())
    }

    /// An operator did something: what happened before does not count against the next attempt.
    fn try_now(&mut self) {
        self.resting_until = None;
        self.refused_in_a_row = 0;
        self.replies.read_at = None;
        self.state.send_modify(|state| state.next_attempt = None);
    }

    fn succeeded(&mut self, taken: u64) {
        self.failures = 0;
        self.since_sample.delivered += taken;
        if taken > 0 {
            self.refused_in_a_row = 0;
        }
        metrics::counter!("yihao_connector_delivered_total", "connector" => self.name.clone())
            .increment(taken);
        self.state.send_modify(|state| {
            state.delivered += taken;
            state.last_success = Some(Timestamp::now());
            state.next_attempt = None;
        });
    }

    /// Notes a failure and how long to wait now.
    fn rest(&mut self, code: &'static str, message: String, advice: &str, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.since_sample.failures += 1;
        let over = self.refused_in_a_row.saturating_sub(self.settings.stop_after_refused);
        let times = u32::try_from(over).unwrap_or(u32::MAX).min(LONGER_PAUSES);
        let pause = backoff::pause(&self.settings, self.failures, rand::random(), asked)
            .max(self.settings.backoff_max.saturating_mul(times));
        self.resting_until = Some(Instant::now() + pause);
        tracing::warn!(
            connector = self.name,
            code,
            failures = self.failures,
            pause_ms = pause.as_millis() as u64,
            "{message}"
        );
        metrics::counter!("yihao_connector_failures_total", "connector" => self.name.clone(), "code" => code)
            .increment(1);
        let now = Timestamp::now();
        self.state.send_modify(|state| {
            state.next_attempt = now.checked_add(pause).ok();
            state.last_error = Some(LastError {
                at: now,
                code: code.to_owned(),
                message,
                advice: advice.to_owned(),
            });
        });
    }

    /// Waits until then, or without end, or for a command.
    async fn wait(&mut self, until: Option<Instant>) -> Result<(), Break> {
        match until {
            Some(until) => self.watched(time::sleep_until(until)).await,
            None => self.watched(std::future::pending::<()>()).await,
        }
    }

    /// Does `work`, keeps the state's lag up to date meanwhile, and breaks it off when a command comes.
    async fn watched<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Break> {
        tokio::pin!(work);
        loop {
            // Counted from the last refresh, not from here: many short works in a row must not hold it up.
            let refresh = time::sleep_until(self.refreshed_at + REFRESH);
            tokio::select! {
                biased;
                command = self.inbox.recv() => return Err(Break::Command(command)),
                done = &mut work => return Ok(done),
                () = refresh => self.refresh().await,
            }
        }
    }

    /// Brings lag and gauges up to date. That the store does not answer shows where it matters.
    async fn refresh(&mut self) {
        self.refreshed_at = Instant::now();
        let Ok(head) = self.store.head().await else { return };
        let Some(durable) = &self.durable else { return };
        let cursor = durable.cursor;
        if head <= cursor {
            self.oldest = None;
        } else if self.oldest.is_none()
            && let Ok(changes) = self.store.changes(cursor, 1).await
        {
            self.oldest = changes.first().map(|change| change.at);
        }
        let lag = head.0.saturating_sub(cursor.0);
        let lag_seconds = self.oldest.map_or(0, |oldest| {
            u64::try_from(Timestamp::now().duration_since(oldest).as_secs()).unwrap_or(0)
        });
        let paused = durable.paused;
        if self.set_asides_changed
            && let Ok(held) = self.store.set_asides(&self.name, SET_ASIDES_COUNTED).await
        {
            self.set_asides_changed = false;
            self.state.send_modify(|state| state.set_aside = held.len() as u64);
        }
        if self.resends_counted_at.is_none_or(|at| at.elapsed() >= REFRESH)
            && let Ok(resending) = resend::count(&*self.store, &self.name).await
        {
            self.resends_counted_at = Some(Instant::now());
            self.state.send_if_modified(|state| {
                std::mem::replace(&mut state.resending, resending) != resending
            });
        }
        metrics::gauge!("yihao_connector_lag_records", "connector" => self.name.clone())
            .set(lag as f64);
        metrics::gauge!("yihao_connector_lag_seconds", "connector" => self.name.clone())
            .set(lag_seconds as f64);
        metrics::gauge!("yihao_connector_paused", "connector" => self.name.clone())
            .set(f64::from(u8::from(paused)));
        metrics::gauge!("yihao_connector_set_aside_open", "connector" => self.name.clone())
            .set(self.state.borrow().set_aside as f64);
        self.state.send_modify(|state| {
            state.head = head;
            state.cursor = cursor;
            state.lag = lag;
            state.lag_seconds = lag_seconds;
        });
        self.sample(lag, lag_seconds).await;
    }

    /// Keeps a sample of how it goes, once a minute. If the store does not answer, the next try makes up for it.
    async fn sample(&mut self, lag: u64, lag_seconds: u64) {
        let at = Timestamp::now();
        let minute = history::minute(at);
        if self.since_sample.minute == Some(minute) {
            return;
        }
        let SinceSample { delivered, failures, .. } = self.since_sample;
        let sample = Sample { at, lag, lag_seconds, delivered, failures };
        if history::keep(&*self.store, &self.name, &sample).await.is_ok() {
            self.since_sample = SinceSample { minute: Some(minute), delivered: 0, failures: 0 };
        }
    }

    fn key(&self, part: &str) -> String {
        format!("{}/{part}", self.name)
    }
}

fn describe_metrics() {
    metrics::describe_gauge!(
        "yihao_connector_lag_records",
        "Changes still to go through to the counterpart"
    );
    metrics::describe_gauge!(
        "yihao_connector_lag_seconds",
        "Age of the oldest change still to go through"
    );
    metrics::describe_gauge!(
        "yihao_connector_paused",
        "1 while an operator has paused the connector"
    );
    metrics::describe_counter!(
        "yihao_connector_delivered_total",
        "Records the counterpart took, repeats included"
    );
    metrics::describe_counter!("yihao_connector_set_aside_total", "Records set aside");
    metrics::describe_gauge!(
        "yihao_connector_set_aside_open",
        "Records set aside and not settled, counted up to 10,000"
    );
    metrics::describe_counter!("yihao_connector_failures_total", "Failed attempts, by code");
    metrics::describe_histogram!(
        "yihao_connector_delivery_seconds",
        "Time a batch took, from sending to answer"
    );
}
