//! One task for each counterpart: cursor, batches, retries, set-aside, pause, replay, metrics.
//!
//! What is durable lives in the store, under the connector's name:
//!
//! | name | holds |
//! | --- | --- |
//! | cursor `NAME` | the next change to deliver; saved after delivery, and after what was refused is set aside |
//! | flag `NAME` | paused |
//! | cursor `NAME/replays` | how often an operator had it start again; part of batch ids |
//! | cursor `NAME/replies` | microseconds: the time of the last reply handled |
//! | outcome `NAME/reply/…` | this reply was handled |
//! | set-asides `NAME` | refused records |
//! | records `connector_resends` | changes that are to be sent once more |
//! | records `connector_replays` | when an operator had it start again, and where it was then |
//! | records `connector_history` | a sample a minute, for two days |
//!
//! What is in memory at a time is bounded whatever the lag: two stretches of the feed, one that is delivered and one that
//! is read meanwhile. Each has `batch_bytes` of documents at most (or one document) and as much again, about, parsed;
//! for connectors that want them also 16 MiB of batch manifests (or one manifest). Reading is ahead of a stretch's bound by
//! three portions of 64 documents at most.

mod backoff;
mod feed;
mod history;
mod pace;
mod reconcile;
mod replay;
mod resend;
mod task;
mod work;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use indexes::{LicenceStore, SetAside, StoreError};
use jiff::{Timestamp, civil::Time};
use licence::Seq;
use serde::Serialize;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{Batch, Connector, DeliveryError, Filter, Preview, Window};
use feed::{Manifests, Reader, Stretch};
use history::History;
use task::{Command, Task};

pub use history::Sample;
pub use reconcile::{
    BucketCount, Comparison, Difference, DifferenceKind, Explanation, Reconciliation, TypeCount,
};

/// How a connector is driven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerSettings {
    /// Most records of a batch.
    pub batch: usize,
    /// Most bytes of licence documents in a batch; a batch has one record at least.
    pub batch_bytes: usize,
    /// How often the counterpart's replies are read, and how long the feed is waited for at a time.
    pub poll: Duration,
    /// The first pause after a failure. Each further one doubles it.
    pub backoff_min: Duration,
    /// The longest pause after failures.
    pub backoff_max: Duration,
    /// Records refused in a row, none taken between, after which nothing but one record at a time is tried, with pauses:
    /// something is wrong between the systems rather than with the records, and setting the whole feed aside would not
    /// help.
    pub stop_after_refused: u64,
    /// What goes to this counterpart.
    pub filter: Filter,
    /// Most records a second; `None`: as many as go.
    pub pace: Option<u64>,
    /// When records may be sent; none: always.
    pub windows: Vec<Window>,
    /// Batches under way at a time. Changes of one holder stay in order.
    pub concurrency: usize,
    /// When both sides are compared every day, in Chinese time.
    pub reconcile_at: Option<Time>,
}

impl Default for RunnerSettings {
    fn default() -> Self {
        Self {
            batch: 1_000,
            batch_bytes: 4 << 20,
            poll: Duration::from_secs(1),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
            stop_after_refused: 100,
            filter: Filter::default(),
            pace: None,
            windows: Vec::new(),
            concurrency: 1,
            reconcile_at: None,
        }
    }
}

impl RunnerSettings {
    /// The pause after this many failures in a row, from 1: doubled each time, up to the longest, a random part of it
    /// left out.
    #[must_use]
    pub fn pause_after(&self, failures: u32) -> Duration {
        backoff::pause(self, failures, rand::random(), None)
    }
}

/// How a connector is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectorState {
    /// The connector's name.
    pub name: String,
    /// `frontdb`, `http`.
    pub kind: &'static str,
    /// The next change to deliver.
    pub cursor: Seq,
    /// The number the next change of the registry will get.
    pub head: Seq,
    /// Changes still to go through: `head` − `cursor`.
    pub lag: u64,
    /// Age in seconds of the oldest change still to go through; 0 if there is none.
    pub lag_seconds: u64,
    /// An operator paused it; stays so across restarts.
    pub paused: bool,
    /// Records delivered since the start of the program, repeats included.
    pub delivered: u64,
    /// Changes that are set aside; counted up to 10,000.
    pub set_aside: u64,
    /// Changes waiting to be sent once more; counted up to 10,000.
    pub resending: u64,
    /// When its hours begin again; only outside of them.
    pub opens_at: Option<Timestamp>,
    /// When a batch last arrived.
    pub last_success: Option<Timestamp>,
    /// The last failure, also when it is over: compare its time with `last_success`.
    pub last_error: Option<LastError>,
    /// When the next attempt is made; only after a failure.
    pub next_attempt: Option<Timestamp>,
}

impl ConnectorState {
    /// Whether the last attempt failed and another will be made.
    pub fn is_failing(&self) -> bool {
        self.next_attempt.is_some()
    }
}

/// A failure, in words for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// A stable word.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What can be done about it.
    pub advice: String,
}

/// Why a runner did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The store failed.
    #[error("the licence store failed: {0}")]
    Store(#[from] StoreError),
    /// The runner has been stopped.
    #[error("the connector has been stopped")]
    Stopped,
    /// There is no such change yet.
    #[error("the registry has {head} changes; {from} is not among them")]
    BeyondHead {
        /// The number asked for.
        from: Seq,
        /// The number the next change will get.
        head: Seq,
    },
}

impl RunnerError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Stopped => "connector_stopped",
            Self::BeyondHead { .. } => "replay_beyond_head",
        }
    }
}

/// Why counts could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The store failed.
    #[error("the licence store failed: {0}")]
    Store(#[from] StoreError),
    /// The counterpart did not say its counts.
    #[error("the counterpart did not say its counts: {0}")]
    Counterpart(#[from] DeliveryError),
}

impl ReconcileError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Counterpart(error) => error.code(),
        }
    }
}

/// Tells what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Drives one connector.
pub struct Runner;

impl Runner {
    /// Starts the connector's task. Must be called inside a tokio runtime.
    ///
    /// That the store or the counterpart does not answer is no reason not to start: the state tells. Two runners
    /// with the same name on one store would both deliver everything: settings rule that out.
    pub fn start(
        store: Arc<dyn LicenceStore>,
        connector: Box<dyn Connector>,
        settings: RunnerSettings,
    ) -> RunnerHandle {
        Self::start_by_clock(store, connector, settings, Arc::new(Timestamp::now))
    }

    /// As [`Runner::start`], with the clock by which the hours are told in which records may be sent.
    pub fn start_by_clock(
        store: Arc<dyn LicenceStore>,
        connector: Box<dyn Connector>,
        settings: RunnerSettings,
        clock: Clock,
    ) -> RunnerHandle {
        let connector: Arc<dyn Connector> = Arc::from(connector);
        let (commands, inbox) = mpsc::channel(16);
        let (state, watched) = watch::channel(ConnectorState {
            name: connector.name().to_owned(),
            kind: connector.kind(),
            cursor: Seq(0),
            head: Seq(0),
            lag: 0,
            lag_seconds: 0,
            paused: false,
            delivered: 0,
            set_aside: 0,
            resending: 0,
            opens_at: None,
            last_success: None,
            last_error: None,
            next_attempt: None,
        });
        let driven = settings.clone();
        let nudge = Arc::new(Notify::new());
        let told = state.clone();
        let task =
            Task::new(store.clone(), connector.clone(), driven, inbox, nudge.clone(), state, clock);
        let task = tokio::spawn(task.run());
        RunnerHandle {
            store,
            connector,
            settings,
            commands,
            nudge,
            history: Mutex::default(),
            state: watched,
            told,
            task: Mutex::new(Some(task)),
        }
    }
}

/// Operates a running connector. Dropping it stops the connector.
pub struct RunnerHandle {
    store: Arc<dyn LicenceStore>,
    connector: Arc<dyn Connector>,
    settings: RunnerSettings,
    commands: mpsc::Sender<Command>,
    /// There is something in the resend queue.
    nudge: Arc<Notify>,
    state: watch::Receiver<ConnectorState>,
    /// What was read of the history before.
    history: Mutex<History>,
    /// For what the task would tell only at its next look.
    told: watch::Sender<ConnectorState>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl RunnerHandle {
    /// The connector's name.
    pub fn name(&self) -> &str {
        self.connector.name()
    }

    /// How it is doing; at most a second old.
    pub fn state(&self) -> ConnectorState {
        self.state.borrow().clone()
    }

    /// To be told when the state changes.
    pub fn watch(&self) -> watch::Receiver<ConnectorState> {
        self.state.clone()
    }

    /// Stops delivering until [`RunnerHandle::resume`], also across restarts. A delivery under way is broken off and
    /// made again later.
    ///
    /// # Errors
    /// `Store`: it may not be paused, or only until the next restart. `Stopped`.
    pub async fn pause(&self) -> Result<(), RunnerError> {
        self.ask(|answer| Command::Pause(true, answer)).await
    }

    /// Goes on delivering, at once: a pause after a failure is cut short too.
    ///
    /// # Errors
    /// `Store`, `Stopped`.
    pub async fn resume(&self) -> Result<(), RunnerError> {
        self.ask(|answer| Command::Pause(false, answer)).await
    }

    /// Delivers everything from this change on again, in order. The counterpart holds each record once all the same.
    ///
    /// # Errors
    /// `BeyondHead`, `Store`, `Stopped`.
    pub async fn replay(&self, from: Seq) -> Result<(), RunnerError> {
        let head = self.store.head().await?;
        if from > head {
            return Err(RunnerError::BeyondHead { from, head });
        }
        self.ask(|answer| Command::Replay(from, answer)).await
    }

    /// Sends these changes once more, in the order of their numbers, between what is new; a batch of them for each batch
    /// of new ones. They are queued durably when this returns: `resending` in the state tells how many are left. What
    /// does not go to this counterpart, by its filter, is left out. A counterpart that holds a later change of a licence
    /// already keeps that one.
    ///
    /// # Errors
    /// `BeyondHead`: one of them is no change yet; none is queued. `Store`: some of them may be queued.
    pub async fn resend(&self, seqs: Vec<Seq>) -> Result<(), RunnerError> {
        let head = self.store.head().await?;
        if let Some(from) = seqs.iter().copied().find(|seq| *seq >= head) {
            return Err(RunnerError::BeyondHead { from, head });
        }
        resend::put(&*self.store, self.name(), seqs).await?;
        let resending = resend::count(&*self.store, self.name()).await?;
        self.told.send_modify(|state| state.resending = resending);
        self.nudge.notify_one();
        if self.told.borrow().next_attempt.is_some() {
            // It rests after a failure. If it takes no word, it has ended, or takes others first.
            let _ = self.commands.try_send(Command::TryNow);
        }
        Ok(())
    }

    /// How it did, minute by minute, from this moment on; kept for 48 hours.
    ///
    /// # Errors
    /// As the store.
    pub async fn history(&self, since: Timestamp) -> Result<Vec<Sample>, StoreError> {
        let known = self.history.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Others may read meanwhile: each goes on from what it found here.
        let known = history::go_on(&*self.store, self.name(), known, since).await?;
        let found = known.since(since);
        *self.history.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(found)
    }

    /// What is set aside, by number, at most `limit`.
    ///
    /// # Errors
    /// As the store.
    pub async fn set_asides(&self, limit: usize) -> Result<Vec<SetAside>, StoreError> {
        self.store.set_asides(self.name(), limit).await
    }

    /// What would be sent for this change, without sending it. `None`: there is no such change, or the filter leaves
    /// it out, or it cannot be read here.
    ///
    /// # Errors
    /// As the store; inside, as [`Connector::preview`].
    pub async fn preview(
        &self,
        seq: Seq,
    ) -> Result<Option<Result<Preview, DeliveryError>>, StoreError> {
        let settings = RunnerSettings { batch: 1, concurrency: 1, ..self.settings.clone() };
        let manifests = self.connector.wants_manifests();
        let reader = Reader::new(self.store.clone(), &settings, manifests);
        let stretch = reader.read(seq, Manifests::new()).await?;
        let replays = self.store.cursor(&format!("{}/replays", self.name())).await?;
        let mut batch = Batch::new(self.name(), replays.map_or(0, |count| count.0), stretch.items);
        batch.manifests = stretch.manifests;
        Ok((!batch.items.is_empty()).then(|| self.connector.preview(&batch)))
    }

    /// When both sides are to be compared every day, in Chinese time.
    pub fn reconcile_at(&self) -> Option<Time> {
        self.settings.reconcile_at
    }

    /// Stops the connector and waits for it. A delivery under way is broken off and made again after the next start.
    pub async fn stop(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(task) = task else { return };
        // It fails only when the task has ended already.
        let _ = self.commands.send(Command::Stop).await;
        if task.await.is_err() {
            tracing::error!(connector = self.name(), "the connector's task had failed");
        }
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), StoreError>>) -> Command,
    ) -> Result<(), RunnerError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| RunnerError::Stopped)?;
        Ok(answered.await.map_err(|_| RunnerError::Stopped)??)
    }
}

impl std::fmt::Debug for RunnerHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("RunnerHandle").field(&self.name()).finish()
    }
}
