//! Takes in what departments have for us whose systems cannot call: a task for each source fetches rows, makes licences
//! of them, has them signed or takes them as unsigned ones, and answers what it refuses.
//!
//! At least once, and taken once: the place in the source and what was dealt with are written down after the licences
//! are; a row that comes again finds the same bytes held. Where this hub numbers the versions of a licence itself, the
//! number is written down before the licence is taken in (`Dealt`).

mod files;
mod record;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use connectors::{
    DeliveryError, LastError, Operation, Problem,
    code_map::{CodeMap, CodeMapFile, Incoming},
    inbound::{
        Answer, Checked, Conclusion, Content, KeyService, NotSigned, Opened, Position, Row,
        Signatures, Source,
    },
};
use futures_util::{FutureExt, StreamExt, stream};
use indexes::{BlobError, Collection, Proof, StoreError, StoredLicence};
use jiff::Timestamp;
use licence::{Licence, LicenceId, StatusChange, StatusOrder};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use record::Defect;
use record::{Described, Refused, Subject};

use crate::{
    Hub, connector_ops,
    intake::{self, IntakeError},
    records::{self, Draft, Kept},
};

/// How far ahead of ours a counterpart's clock is believed: more than time zones are apart.
const DAY_MICROS: u64 = 86_400_000_000;
/// Licences worked on at a time; rows of one licence one after the other.
const LANES: usize = 16;
/// Pages of a round, after which the place is looked at again.
const PAGES: usize = 1_000;
/// Versions of a licence that are looked through: as many as an identifier can have.
const VERSIONS: usize = 1_000;

/// How a source is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InboundState {
    /// Its name in the settings.
    pub name: String,
    /// `exchange` or `files`.
    pub kind: &'static str,
    /// The department that rows come from.
    pub department: String,
    /// `brought`, `key_service` or `unsigned`.
    pub signatures: &'static str,
    /// An operator paused it; stays so across restarts.
    pub paused: bool,
    /// Rows taken since it was set up; those that were held already included.
    pub taken: u64,
    /// Rows refused since it was set up.
    pub refused: u64,
    /// The time of the last row that was dealt with, by the counterpart's clock, in microseconds since 1970.
    pub position_micros: u64,
    /// When it was last asked for all it has.
    pub last_success: Option<Timestamp>,
    /// The last failure, also when it is over.
    pub last_error: Option<LastError>,
    /// While it fails: when it is asked again.
    pub next_attempt: Option<Timestamp>,
}

impl InboundState {
    /// Whether the last attempt failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.next_attempt.is_some()
    }
}

/// The place in a source, and what was done so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Place {
    position: Position,
    taken: u64,
    refused: u64,
    /// Files: the batch that was worked through and is not answered and moved aside yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concluding: Option<Box<Conclusion>>,
    /// Files: the batch that is being worked through, and the time that its last row has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<(String, u64)>,
    /// Files: how many batches are remembered; `None`: nobody counted them yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batches: Option<u64>,
    /// Files: the last name of a batch that was forgotten. What has a name up to this one may have been handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgotten: Option<String>,
}

impl Kept for Place {
    const COLLECTION: Collection = Collection::new("inbound");
}

/// A row, under source · NUL · its time · digest of its key and content: what was planned for it, or that it was dealt
/// with. Removed when no row of its time can become visible any more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Dealt {
    done: bool,
    identifier: Option<LicenceId>,
    predecessor: Option<LicenceId>,
}

impl Kept for Dealt {
    const COLLECTION: Collection = Collection::new("inbound_rows");
}

/// Under the identifier: what of a licence is wrong, and was kept by the source's settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Defects {
    /// The source.
    pub source: String,
    /// What is wrong.
    pub defects: Vec<Defect>,
}

impl Kept for Defects {
    const COLLECTION: Collection = Collection::new("inbound_defects");
}

/// A running source. Dropping it stops it.
pub struct Inbound {
    state: watch::Sender<InboundState>,
    /// Held while it is written down, or read at the start, whether it is paused.
    switching: Arc<tokio::sync::Mutex<()>>,
    certificate: Option<PathBuf>,
    wake: Arc<tokio::sync::Notify>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Inbound {
    /// Starts the task. Must be called inside a tokio runtime. The task ends when the hub is gone.
    #[must_use]
    pub fn start(hub: &Arc<Hub>, settings: Checked) -> Self {
        let signatures = match settings.signatures {
            Signatures::Brought => "brought",
            Signatures::KeyService(_) => "key_service",
            _ => "unsigned",
        };
        let state = watch::Sender::new(InboundState {
            name: settings.name.clone(),
            kind: settings.kind(),
            department: settings.department.to_string(),
            signatures,
            paused: false,
            taken: 0,
            refused: 0,
            position_micros: 0,
            last_success: None,
            last_error: None,
            next_attempt: None,
        });
        let (stop, wake) = (CancellationToken::new(), Arc::new(tokio::sync::Notify::new()));
        let certificate = settings.certificate().map(Path::to_owned);
        let worker = Worker {
            source: settings.open(),
            keys: settings.signatures.open(),
            map_file: settings.map_file(),
            settings,
        };
        let switching = Arc::new(tokio::sync::Mutex::new(()));
        let task = Task {
            hub: Arc::downgrade(hub),
            worker,
            state: state.clone(),
            switching: switching.clone(),
            wake: wake.clone(),
        };
        let until = stop.clone();
        let task = tokio::spawn(async move {
            let _ = until.run_until_cancelled(task.run()).await;
        });
        Self { state, switching, certificate, wake, stop, task: Mutex::new(Some(task)) }
    }

    /// Fetches nothing until resumed, also across restarts. What is under way is broken off, and done again later.
    ///
    /// # Errors
    /// It could not be written down; it goes on as before.
    pub async fn pause(&self, hub: &Hub) -> Result<(), StoreError> {
        self.switch(hub, true).await
    }

    /// Goes on, at once: a pause after a failure is cut short too.
    ///
    /// # Errors
    /// As [`Inbound::pause`].
    pub async fn resume(&self, hub: &Hub) -> Result<(), StoreError> {
        self.switch(hub, false).await?;
        self.wake();
        Ok(())
    }

    async fn switch(&self, hub: &Hub, paused: bool) -> Result<(), StoreError> {
        let _alone = self.switching.lock().await;
        let name = self.state.borrow().name.clone();
        hub.store.set_flag(&connector_ops::name_of_source(&name), paused).await?;
        self.state.send_modify(|state| state.show_paused(paused));
        Ok(())
    }

    /// How it is doing.
    #[must_use]
    pub fn state(&self) -> InboundState {
        self.state.borrow().clone()
    }

    /// `ok`, `paused`, or the code of what stands in the way.
    #[must_use]
    pub fn word(&self) -> String {
        let state = self.state.borrow();
        match &state.last_error {
            _ if state.paused => "paused".to_owned(),
            Some(error) if state.is_failing() => error.code.clone(),
            _ => "ok".to_owned(),
        }
    }

    /// The file of the certificate that the department's key service is shown, if there is one.
    #[must_use]
    pub fn certificate(&self) -> Option<&Path> {
        self.certificate.as_deref()
    }

    /// Has it look now.
    pub fn wake(&self) {
        self.wake.notify_one();
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

impl Drop for Inbound {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The sources of a hub, by name.
pub type Sources = BTreeMap<String, Inbound>;

/// Why a round ended early: it is made again.
enum Trouble {
    Counterpart(DeliveryError),
    Store(StoreError),
    Files(BlobError),
}

impl From<DeliveryError> for Trouble {
    fn from(error: DeliveryError) -> Self {
        Self::Counterpart(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

struct Task {
    /// Weak, so that a hub which nobody closes does not live on through its sources.
    hub: Weak<Hub>,
    worker: Worker,
    state: watch::Sender<InboundState>,
    switching: Arc<tokio::sync::Mutex<()>>,
    wake: Arc<tokio::sync::Notify>,
}

impl Task {
    /// What it was before the start: how far, and whether it was paused.
    async fn recall(&self) {
        let _alone = self.switching.lock().await;
        let name = connector_ops::name_of_source(&self.worker.settings.name);
        loop {
            let Some(hub) = self.hub.upgrade() else { return };
            let recalled = async {
                let paused = hub.store.flag(&name).await?;
                Ok::<_, StoreError>((paused, self.worker.place(&hub).await?))
            };
            match recalled.await {
                Ok((paused, place)) => {
                    self.state.send_modify(|state| {
                        state.show(&place);
                        state.show_paused(paused);
                    });
                    self.worker.asked(hub.clock.now());
                    return;
                }
                Err(error) => {
                    let error = told(&self.worker.settings.name, &error.into(), hub.clock.now());
                    self.state.send_modify(|state| state.last_error = Some(error));
                }
            }
            drop(hub);
            tokio::time::sleep(self.worker.settings.pace.backoff_max).await;
        }
    }

    async fn run(self) {
        let pace = self.worker.settings.pace.clone();
        let mut failures: u32 = 0;
        let mut watched = self.state.subscribe();
        self.recall().await;
        loop {
            if watched.wait_for(|state| !state.paused).await.is_err() {
                return;
            }
            let Some(hub) = self.hub.upgrade() else { return };
            let at = hub.clock.now();
            // A round can be broken off anywhere, as by a kill.
            let round = tokio::select! {
                round = AssertUnwindSafe(self.worker.round(&hub, &self.state)).catch_unwind() => {
                    round.unwrap_or(Err(Trouble::Counterpart(DeliveryError::Configuration(Problem::Defect))))
                }
                _ = watched.wait_for(|state| state.paused) => continue,
            };
            drop(hub);
            let pause = match round {
                Ok(()) => {
                    failures = 0;
                    self.worker.asked(at);
                    self.state.send_modify(|state| {
                        (state.last_success, state.next_attempt) = (Some(at), None);
                    });
                    pace.poll
                }
                Err(trouble) => {
                    failures += 1;
                    let doubled = pace.backoff_min.saturating_mul(1 << (failures - 1).min(20));
                    let pause = doubled.min(pace.backoff_max);
                    let error = told(&self.worker.settings.name, &trouble, at);
                    self.state.send_modify(|state| {
                        state.last_error = Some(error);
                        state.next_attempt = Some(at.checked_add(pause).unwrap_or(at));
                    });
                    pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
                _ = watched.wait_for(|state| state.paused) => {}
            }
        }
    }
}

fn told(source: &str, trouble: &Trouble, at: Timestamp) -> LastError {
    let (code, message, advice) = match trouble {
        Trouble::Counterpart(error) => (error.code(), error.to_string(), error.advice()),
        Trouble::Store(error) => (error.code(), error.to_string(), "see the hub's log and disk"),
        Trouble::Files(error) => (error.code(), error.to_string(), "see the hub's log and disk"),
    };
    tracing::warn!(
        inbound = source,
        error.code = code,
        error = message,
        "a source of rows cannot be read now"
    );
    metrics::counter!("yihao_inbound_failures_total", "source" => source.to_owned(), "code" => code)
        .increment(1);
    LastError { at, code: code.to_owned(), message, advice: advice.to_owned() }
}

struct Worker {
    source: Opened,
    keys: Option<KeyService>,
    map_file: Option<CodeMapFile>,
    settings: Checked,
}

/// What became of a row.
enum Outcome {
    Taken,
    Refused(Refused),
}

impl Worker {
    async fn place(&self, hub: &Hub) -> Result<Place, StoreError> {
        let held = records::read::<Place>(&*hub.store, self.place_key()).await?;
        Ok(held.map(|held| held.value).unwrap_or_default())
    }

    fn place_key(&self) -> &[u8] {
        self.settings.name.as_bytes()
    }

    /// Fetches and takes in until nothing new is there.
    async fn round(&self, hub: &Hub, state: &watch::Sender<InboundState>) -> Result<(), Trouble> {
        let map = match &self.map_file {
            Some(file) => file.current()?,
            None => Arc::new(self.settings.builtin_map().clone()),
        };
        let elements: Vec<&str> = map
            .fields
            .iter()
            .filter(|field| field.from.is_some())
            .map(|field| field.name.as_str())
            .collect();
        let mut place = self.place(hub).await?;
        state.send_modify(|state| state.show(&place));
        let source = match &self.source {
            Opened::Rows(source) => source,
            Opened::Files(folder) => {
                return self.batches(hub, &map, folder, &mut place, state).await;
            }
        };
        let overlap = u64::try_from(self.settings.overlap.as_micros()).unwrap_or(u64::MAX);
        // Rows can become visible after later ones: what is younger than the overlap is looked at again.
        let mut after =
            Position { micros: place.position.micros.saturating_sub(overlap), key: String::new() };
        // Only pages with something new count: else more old rows of one moment than that would bar the way.
        let mut pages = 0;
        while pages < PAGES {
            let page = source.fetch(&after, self.settings.pace.batch, &elements).await?;
            let Some(last) = page.rows.last() else { break };
            if last.position <= after {
                break;
            }
            after = last.position.clone();
            self.asked(hub.clock.now());
            let new =
                self.page(hub, &**source, &map, page.rows, page.now_micros, &mut place).await?;
            pages += usize::from(new);
            state.send_modify(|state| state.show(&place));
            if !page.more {
                break;
            }
        }
        Ok(())
    }

    /// Deals with the rows of a page, then writes down that it did. Whether there were any that were not dealt with before.
    async fn page(
        &self,
        hub: &Hub,
        source: &dyn Source,
        map: &CodeMap,
        rows: Vec<Row>,
        now_micros: u64,
        place: &mut Place,
    ) -> Result<bool, Trouble> {
        // A clock over there that was wrong for a moment must not have everything passed over that is written until then.
        let ours = u64::try_from(hub.clock.now().as_microsecond()).unwrap_or(0);
        let now_micros = now_micros.min(ours.saturating_add(DAY_MICROS));
        let mut draft = Draft::new();
        let mut written = BTreeSet::new();
        let mut new = Vec::new();
        for row in rows {
            let key = self.row_key(&row);
            let dealt = records::read::<Dealt>(&*hub.store, &key).await?.map(|held| held.value);
            if dealt.as_ref().is_some_and(|dealt| dealt.done) {
                continue;
            }
            // A row from the future, or without a time, would have others passed over.
            if row.position.micros <= now_micros && row.position > place.position {
                place.position = row.position.clone();
            }
            written.insert(key.clone());
            new.push(self.read(map, row, key, dealt));
        }
        if new.is_empty() {
            return Ok(false);
        }
        let (mut answers, taken) = self.deal(hub, new).await?;
        answers.sort_by(|left, right| left.key.cmp(&right.key));
        source.answer(&answers).await?;
        for key in &written {
            let dealt = records::read::<Dealt>(&*hub.store, key).await?.map(|held| held.value);
            draft.put(key, &Dealt { done: true, ..dealt.unwrap_or_default() });
        }
        place.taken += taken;
        place.refused += answers.len() as u64;
        draft.put(self.place_key(), place);
        self.forget(hub, place, &written, &mut draft).await?;
        // It expects nothing of what is there and cannot be stale.
        let _ = draft.commit(&*hub.store).await?;
        self.count(taken, answers.len() as u64);
        Ok(true)
    }

    /// It was asked for rows, and answered.
    fn asked(&self, at: Timestamp) {
        let source = self.settings.name.clone();
        metrics::gauge!("yihao_inbound_asked_seconds", "source" => source)
            .set(at.as_millisecond() as f64 / 1_000.0);
    }

    fn count(&self, taken: u64, refused: u64) {
        for (outcome, rows) in [("taken", taken), ("refused", refused)] {
            let source = self.settings.name.clone();
            metrics::counter!("yihao_inbound_rows_total", "source" => source, "outcome" => outcome)
                .increment(rows);
        }
    }

    /// A row with what it says.
    fn read(&self, map: &CodeMap, row: Row, key: Vec<u8>, planned: Option<Dealt>) -> New {
        let said = self.understood(map, &row);
        New { row, key, said, planned }
    }

    /// Takes rows in or refuses them: those of one licence in order, licences beside each other.
    async fn deal(&self, hub: &Hub, rows: Vec<New>) -> Result<(Vec<Answer>, u64), Trouble> {
        let mut lanes: BTreeMap<String, Vec<New>> = BTreeMap::new();
        for new in rows {
            let lane = match &new.said {
                Ok((_, Subject::Given(identifier))) => identifier.to_string(),
                Ok((_, Subject::Numbered { licence_type, issuer, number })) => {
                    format!("{licence_type}.{issuer}.{number}")
                }
                Err(_) => new.row.key.clone(),
            };
            lanes.entry(lane).or_default().push(new);
        }
        let (mut answers, mut taken) = (Vec::new(), 0);
        let mut lanes = stream::iter(lanes.into_values())
            .map(|lane| self.lane(hub, lane))
            .buffer_unordered(LANES);
        while let Some(lane) = lanes.next().await {
            let (refused, of_lane) = lane?;
            answers.extend(refused);
            taken += of_lane;
        }
        Ok((answers, taken))
    }

    /// Takes what was written down of rows out again that cannot come any more.
    async fn forget(
        &self,
        hub: &Hub,
        place: &Place,
        written: &BTreeSet<Vec<u8>>,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let overlap = u64::try_from(self.settings.overlap.as_micros()).unwrap_or(u64::MAX);
        let floor = place.position.micros.saturating_sub(overlap);
        let prefix = self.rows_prefix();
        let keys = records::keys(&*hub.store, Dealt::COLLECTION, &prefix, None, 1_000).await?;
        for rest in keys {
            let micros = rest.first_chunk().map_or(u64::MAX, |first| u64::from_be_bytes(*first));
            if micros >= floor {
                break;
            }
            let key = [prefix.as_slice(), &rest].concat();
            if !written.contains(&key) {
                draft.unindex(Dealt::COLLECTION, &key);
            }
        }
        Ok(())
    }

    fn rows_prefix(&self) -> Vec<u8> {
        [self.settings.name.as_bytes(), &[0]].concat()
    }

    fn row_key(&self, row: &Row) -> Vec<u8> {
        let content =
            serde_json::to_vec(&(&row.key, row.elements.as_ref().ok())).unwrap_or_default();
        let digest = certs::sha256(&content);
        let time = row.position.micros.to_be_bytes();
        [self.rows_prefix().as_slice(), &time, &digest.as_bytes()[..16]].concat()
    }

    fn understood(&self, map: &CodeMap, row: &Row) -> Result<(Incoming, Subject), Refused> {
        let elements = row.elements.as_ref().map_err(|code| {
            Refused::new(
                code,
                "the row cannot be read, is not in the encoding, or has more than 1 MiB",
            )
        })?;
        let incoming =
            map.decode(elements).map_err(|error| Refused::new(error.code(), error.to_string()))?;
        let subject = record::subject(&self.settings, &incoming)?;
        Ok((incoming, subject))
    }

    /// Rows of one licence, in order.
    async fn lane(&self, hub: &Hub, lane: Vec<New>) -> Result<(Vec<Answer>, u64), Trouble> {
        let (mut answers, mut taken) = (Vec::new(), 0);
        for new in lane {
            let outcome = match &new.said {
                Ok((incoming, subject)) => self.take(hub, &new, incoming, subject).await?,
                Err(refused) => Outcome::Refused(refused.clone()),
            };
            match outcome {
                Outcome::Taken => taken += 1,
                Outcome::Refused(Refused { code, remark }) => {
                    let identifier = new.said.ok().and_then(|(incoming, _)| incoming.identifier);
                    answers.push(Answer { key: new.row.key, identifier, code, remark });
                }
            }
        }
        Ok((answers, taken))
    }

    async fn take(
        &self,
        hub: &Hub,
        new: &New,
        incoming: &Incoming,
        subject: &Subject,
    ) -> Result<Outcome, Trouble> {
        match self.taken(hub, new, incoming, subject).await {
            Ok(()) => Ok(Outcome::Taken),
            Err(Stop::Refused(refused)) => Ok(Outcome::Refused(refused)),
            Err(Stop::Trouble(trouble)) => Err(trouble),
        }
    }

    async fn taken(
        &self,
        hub: &Hub,
        new: &New,
        incoming: &Incoming,
        subject: &Subject,
    ) -> Result<(), Stop> {
        let versions = self.versions(hub, subject).await?;
        let deleted = incoming.operation == Some(Operation::Delete);
        if self.settings.return_flow
            && versions.iter().any(|held| held.proof != Proof::Unsigned)
            && matches!(subject, Subject::Given(_))
        {
            return Ok(()); // what went up came back
        }
        let held = if deleted {
            let held = versions.into_iter().next_back();
            let held = held
                .ok_or_else(|| Refused::new("unknown_licence", "no such licence is held here"))?;
            // An identifier may be anybody's; the source speaks for its own issuers alone.
            if !self.settings.issuers.contains(&held.issuer) {
                return Err(record::not_of_source().into());
            }
            held
        } else {
            self.version(hub, new, incoming, subject, versions).await?
        };
        self.status(hub, new, incoming, held).await
    }

    /// What is held of the licence, oldest version first.
    async fn versions(
        &self,
        hub: &Hub,
        subject: &Subject,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        match subject {
            Subject::Given(identifier) => {
                Ok(hub.store.licence(identifier).await?.into_iter().collect())
            }
            Subject::Numbered { licence_type, issuer, number } => {
                let mut found =
                    hub.store.licences_of_number(licence_type, number, VERSIONS).await?;
                let serial = record::serial(number);
                found.retain(|held| held.issuer == *issuer && held.identifier.serial() == serial);
                found.sort_by_key(|held| held.identifier.version());
                Ok(found)
            }
        }
    }

    /// The licence that the row describes, as it is held then: a new one, the next version of one, or the one held.
    async fn version(
        &self,
        hub: &Hub,
        new: &New,
        incoming: &Incoming,
        subject: &Subject,
        versions: Vec<StoredLicence>,
    ) -> Result<StoredLicence, Stop> {
        let Described { mut licence, document, defects } =
            record::described(&self.settings, &hub.catalogue, incoming, |issuer| {
                hub.department_name(issuer.credit_code()).to_owned()
            })?;
        let mut former = None;
        if matches!(subject, Subject::Numbered { .. }) {
            let planned = new.planned.as_ref().and_then(|dealt| dealt.identifier.clone());
            let newest = versions.last();
            if let Some(identifier) = planned {
                former = new.planned.as_ref().and_then(|dealt| dealt.predecessor.clone());
                licence.identifier = identifier;
            } else if let Some(newest) = newest {
                if let Some(held) = Some(newest).filter(is_said_by(&licence)) {
                    // Written down too: after a kill the row may come again when a later version is there.
                    self.plan(hub, new, &held.identifier, None).await?;
                    return self.signed(hub, incoming, held.clone()).await;
                }
                let next = newest.identifier.version() + 1;
                let identifier = LicenceId::build(
                    &licence.licence_type,
                    &licence.issuer,
                    newest.identifier.serial(),
                    next,
                );
                licence.identifier = identifier
                    .map_err(|cause| Refused::new(cause.code(), "the licence has 999 versions"))?;
                former = Some(newest.identifier.clone());
            }
            if licence.predecessor.is_none() {
                licence.predecessor.clone_from(&former);
            }
            let again = versions.iter().filter(|held| held.identifier == licence.identifier);
            if let Some(held) = again.filter(is_said_by(&licence)).last() {
                if let Some(former) = former {
                    self.supersede(hub, new, incoming, &former, &licence.identifier).await?;
                }
                return self.signed(hub, incoming, held.clone()).await;
            }
            self.plan(hub, new, &licence.identifier, former.as_ref()).await?;
        } else if let Some(held) = versions.last()
            && Licence::parse(&held.document).is_ok_and(|says| says == licence)
        {
            return self.signed(hub, incoming, held.clone()).await;
        }
        let bytes = Bytes::from(document.unwrap_or_else(|| licence.to_bytes()));
        self.hand_in(hub, incoming, &licence, bytes).await?;
        if !defects.is_empty() {
            let mut draft = Draft::new();
            let source = self.settings.name.clone();
            draft.put(licence.identifier.as_str().as_bytes(), &Defects { source, defects });
            let _ = draft.commit(&*hub.store).await?;
        }
        if let Some(former) = former {
            self.supersede(hub, new, incoming, &former, &licence.identifier).await?;
        }
        let held = hub.store.licence(&licence.identifier).await?;
        Ok(held.ok_or_else(|| Refused::new("unknown_licence", "no such licence is held here"))?)
    }

    /// Writes down which version the row is, before it is one.
    async fn plan(
        &self,
        hub: &Hub,
        new: &New,
        identifier: &LicenceId,
        predecessor: Option<&LicenceId>,
    ) -> Result<(), StoreError> {
        let plan = Dealt {
            done: false,
            identifier: Some(identifier.clone()),
            predecessor: predecessor.cloned(),
        };
        let mut draft = Draft::new();
        draft.put(&new.key, &plan);
        // It expects nothing of what is there and cannot be stale.
        let _ = draft.commit(&*hub.store).await?;
        Ok(())
    }

    /// What is held already; one that nobody had signed is signed now, if there is somebody to sign or a signature came.
    async fn signed(
        &self,
        hub: &Hub,
        incoming: &Incoming,
        held: StoredLicence,
    ) -> Result<StoredLicence, Stop> {
        let can_sign = self.keys.is_some() || incoming.signature.is_some();
        if held.proof != Proof::Unsigned || !can_sign {
            return Ok(held);
        }
        let licence = Licence::parse(&held.document)
            .map_err(|error| Refused::new(error.code(), error.to_string()))?;
        self.hand_in(hub, incoming, &licence, held.document.clone()).await?;
        Ok(hub.store.licence(&held.identifier).await?.unwrap_or(held))
    }

    async fn hand_in(
        &self,
        hub: &Hub,
        incoming: &Incoming,
        licence: &Licence,
        document: Bytes,
    ) -> Result<(), Stop> {
        let department = &self.settings.department;
        let issuer = licence.issuer.to_string();
        match (&incoming.signature, &self.settings.signatures) {
            (Some(brought), _) => {
                use base64::{Engine, engine::general_purpose::STANDARD};
                let no_base64 =
                    |_| Refused::new("signature_not_base64", "the signature is not base64");
                let cms = STANDARD.decode(brought).map_err(no_base64)?;
                intake::take_in(hub, department, document, cms.into(), Vec::new()).await?;
            }
            (None, Signatures::KeyService(_)) => {
                let cms = self.sign(Content::Licence, &issuer, &document).await?;
                let taken =
                    intake::take_in(hub, department, document, cms.into(), Vec::new()).await;
                taken.map_err(signed_for_the_row)?;
            }
            (None, Signatures::Brought) => {
                return Err(Refused::new("signature_missing", "the row brings no signature").into());
            }
            (None, _) => {
                intake::take_in_unsigned(hub, department, document).await?;
            }
        }
        Ok(())
    }

    async fn sign(&self, kind: Content, issuer: &str, content: &[u8]) -> Result<Vec<u8>, Stop> {
        let Some(keys) = &self.keys else {
            return Err(Refused::new("signature_missing", "nobody is there to sign").into());
        };
        match keys.sign(kind, issuer, content).await {
            Ok(cms) => Ok(cms),
            Err(NotSigned::Failed(error)) => Err(Stop::Trouble(error.into())),
            Err(error) => Err(Refused::new("not_signed", error.to_string()).into()),
        }
    }

    /// The version before is superseded; one whose end was told of stays as it ended.
    async fn supersede(
        &self,
        hub: &Hub,
        new: &New,
        incoming: &Incoming,
        former: &LicenceId,
        by: &LicenceId,
    ) -> Result<(), Stop> {
        let Some(held) = hub.store.licence(former).await? else { return Ok(()) };
        let change = StatusChange::Supersede { by: by.clone() };
        if held.status.apply(&change).is_err() {
            return Ok(());
        }
        self.order(hub, new, incoming, &held, change).await
    }

    async fn status(
        &self,
        hub: &Hub,
        new: &New,
        incoming: &Incoming,
        held: StoredLicence,
    ) -> Result<(), Stop> {
        let at = at(new, incoming);
        // A row that is older than what is known of the licence is history.
        let later = |order: &indexes::StoredOrder| {
            StatusOrder::parse(&order.document).is_ok_and(|order| order.ordered_at > at)
        };
        if held.orders.iter().any(later) {
            return Ok(());
        }
        match record::status_change(incoming, &held.status)? {
            Some(change) => self.order(hub, new, incoming, &held, change).await,
            None => Ok(()),
        }
    }

    /// Orders a change of status: the same row makes the same order.
    async fn order(
        &self,
        hub: &Hub,
        new: &New,
        incoming: &Incoming,
        held: &StoredLicence,
        change: StatusChange,
    ) -> Result<(), Stop> {
        let order = StatusOrder {
            identifier: held.identifier.clone(),
            change,
            reason: "按来源系统的登记变更".to_owned(),
            ordered_at: at(new, incoming),
        };
        let (document, department) = (Bytes::from(order.to_bytes()), &self.settings.department);
        let identifier = &held.identifier;
        if self.keys.is_some() {
            let issuer = held.issuer.to_string();
            let cms = self.sign(Content::Status, &issuer, &document).await?;
            let changed =
                intake::change_status(hub, department, identifier, document, cms.into()).await;
            changed.map_err(signed_for_the_row)?;
        } else {
            intake::change_status_unsigned(hub, department, identifier, document).await?;
        }
        Ok(())
    }
}

/// Why what the key service signed was not taken in: the signature is not the row's fault, which waits then.
fn signed_for_the_row(error: IntakeError) -> Stop {
    match &error {
        IntakeError::Signature(_) | IntakeError::SignerNotIssuer { .. } => {
            let wrong = Problem::KeyServiceWrong { code: error.code() };
            Stop::Trouble(DeliveryError::Configuration(wrong).into())
        }
        _ => error.into(),
    }
}

/// Whether a licence that is held says the same as this one.
fn is_said_by(licence: &Licence) -> impl Fn(&&StoredLicence) -> bool {
    move |held| Licence::parse(&held.document).is_ok_and(|says| record::same(&says, licence))
}

/// When it changed there.
fn at(new: &New, incoming: &Incoming) -> Timestamp {
    let micros = i64::try_from(new.row.position.micros).unwrap_or(0);
    let row = || Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    incoming.changed_at.unwrap_or_else(row)
}

/// A row that was not dealt with yet.
struct New {
    row: Row,
    key: Vec<u8>,
    said: Result<(Incoming, Subject), Refused>,
    planned: Option<Dealt>,
}

/// Why a row did not go through.
enum Stop {
    Refused(Refused),
    Trouble(Trouble),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Trouble(Trouble::Store(error))
    }
}

impl From<IntakeError> for Stop {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Store(error) => error.into(),
            IntakeError::Files(error) => Self::Trouble(Trouble::Files(error)),
            error => Refused::new(error.code(), error.to_string()).into(),
        }
    }
}

impl InboundState {
    fn show_paused(&mut self, paused: bool) {
        self.paused = paused;
        metrics::gauge!("yihao_inbound_paused", "source" => self.name.clone()).set(if paused {
            1.0
        } else {
            0.0
        });
    }

    fn show(&mut self, place: &Place) {
        (self.taken, self.refused) = (place.taken, place.refused);
        self.position_micros = place.position.micros;
    }
}
