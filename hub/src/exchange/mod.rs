//! What another hub hands over: licences with their proofs, status orders, manifests, as CloudEvents
//! (`docs/formats/cloudevents.md`). The other side is [`connectors::push`].
//!
//! **Nothing is believed because a hub sent it.** A licence comes in by the same checks as from its issuer, an order too.
//! The sender's own right is one more: `exchange` for the licence type. What the sender says of status and trust is not
//! read: this hub follows signed orders, and judges trust by its own anchors and lists.
//!
//! **A repeat changes nothing**, however it comes: the store knows documents and orders by their bytes. So an event may
//! come again, in another batch, from another hub, or as an echo of what this hub handed over itself; what comes in for
//! the first time makes one change, the rest none, and an exchange in both directions comes to rest.
//!
//! **What came from whom** is a record for each licence, under the department whose certificate the sender showed and the
//! `source` it names, with the greatest number it came with. The tallies that a sender compares itself with are read from
//! these. One sender cannot write into the records of another.

mod check;
mod holdings;
mod manifests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use connectors::push::{
    ANSWER_FORMAT, Answer, Event, MANIFEST, RefusedEvent, SPEC_VERSION, is_source, number_of,
};
use indexes::{Appended, Collection, NewEntry, Refusal, StoreError};
use jiff::{Timestamp, civil::Date};
use licence::{CreditCode, LicenceId, LicenceTypeCode, Seq, Sha256Digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use holdings::{holdings, tallies};

use crate::{
    Hub,
    intake::{self, IntakeError},
    policy::Act,
    records::{self, Draft, Kept},
    stamps,
};

/// Most events of a request.
pub const MAX_EVENTS: usize = 10_000;
/// Most bytes of a request: a manifest of 100,000 licences in base64, or what the sender puts together, with room.
pub const MAX_BODY: usize = 32 << 20;
/// Requests that are read and worked on at a time; others wait.
const AT_A_TIME: usize = 8;
/// Requests of one department among them: whoever is slow keeps the others out no longer than that.
const OF_ONE: usize = 2;
/// Names of senders, `source`, that are remembered for a department.
pub const MAX_SOURCES: usize = 64;
/// How long a request may wait, and how long its body may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the receiving side keeps in memory.
pub struct Exchange {
    /// A place for each request that is worked on.
    places: Arc<Semaphore>,
    /// The same for each department: as many as may exchange anything.
    of_departments: Mutex<HashMap<CreditCode, Arc<Semaphore>>>,
    manifests: manifests::Manifests,
}

/// Where a request is worked on.
pub(crate) struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_department: OwnedSemaphorePermit,
}

impl Exchange {
    /// A place for a request of this department; `None`: none became free in [`PATIENCE`].
    pub(crate) async fn place(&self, department: &CreditCode) -> Option<Place> {
        self.place_within(department, PATIENCE).await
    }

    async fn place_within(&self, department: &CreditCode, patience: Duration) -> Option<Place> {
        let own = {
            let mut all = self.of_departments.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(*department).or_insert_with(|| Arc::new(Semaphore::new(OF_ONE))).clone()
        };
        let both = async {
            // Its own first: who waits for that takes no place from the others.
            let of_department = own.acquire_owned().await.ok()?;
            let of_all = self.places.clone().acquire_owned().await.ok()?;
            Some(Place { _of_all: of_all, _of_department: of_department })
        };
        tokio::time::timeout(patience, both).await.ok().flatten()
    }
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_A_TIME)),
            of_departments: Mutex::default(),
            manifests: manifests::Manifests::default(),
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Exchange")
    }
}

/// Why an event is not taken. Nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// Another version of CloudEvents.
    #[error("`specversion` is not 1.0")]
    Version,
    /// A kind of event that this hub does not know.
    #[error("events of this `type` are not known here")]
    Kind,
    /// Not a name of a sender.
    #[error("`source` is not 1 to 120 visible characters")]
    Source,
    /// The department has come under many other names.
    #[error(
        "this department has come under {} other names in `source`, which is as many as are remembered",
        MAX_SOURCES
    )]
    Sources,
    /// The number of the change is missing.
    #[error("neither `sequence` nor `id` ends in the 20 digits of a number")]
    Number,
    /// The data is not what this kind of event carries.
    #[error("`data` is not what events of this type carry")]
    Data,
    /// The event is about another licence than its document, or names none.
    #[error("`subject` is not the identifier of the licence in `data`")]
    Subject,
    /// The document is not the one that the digest is of.
    #[error("`digest` is not that of what `data` holds")]
    Digest,
    /// The manifest that the proof names is not here.
    #[error("the batch manifest is not here: send it, then this event again")]
    ManifestMissing(Sha256Digest),
    /// The licence lists a file that is not held, and events carry none.
    #[error(
        "file {position} of the licence's list is not here (digest {sha256}), and files do not travel in events: have the \
         licence handed in here with its files, then send this event again"
    )]
    File {
        /// Position in the list, from 1.
        position: usize,
        /// Its digest.
        sha256: Sha256Digest,
    },
    /// What keeps out what issuers hand in themselves, too.
    #[error("{0}")]
    Intake(#[from] IntakeError),
}

impl EventError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Version => "event_version",
            Self::Kind => "event_type",
            Self::Source => "event_source",
            Self::Sources => "event_sources",
            Self::Number => "event_number",
            Self::Data => "event_data",
            Self::Subject => "event_subject",
            Self::Digest => "digest_mismatch",
            Self::ManifestMissing(_) => "manifest_missing",
            Self::File { .. } => "file_missing",
            Self::Intake(error) => error.code(),
        }
    }

    /// The store's failure concerns every event, and is no refusal.
    fn or_store(self) -> Result<Self, StoreError> {
        match self {
            Self::Intake(IntakeError::Store(error)) => Err(error),
            other => Ok(other),
        }
    }
}

impl From<StoreError> for EventError {
    fn from(error: StoreError) -> Self {
        Self::Intake(error.into())
    }
}

/// That a licence came from a sender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Came {
    /// The greatest number it came with.
    seq: Seq,
}

impl Kept for Came {
    const COLLECTION: Collection = Collection::new("exchange_came");
}

/// That a department came under this name. The key: sender's department, NUL, `source`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    /// When it first did.
    since: Timestamp,
}

impl Kept for Source {
    const COLLECTION: Collection = Collection::new("exchange_sources");
}

/// The key of a [`Came`]: sender's department, source, type, day of issue, identifier; a NUL after each but the last.
/// None of the parts can hold one.
fn came_key(
    sender: &CreditCode,
    source: &str,
    licence_type: &LicenceTypeCode,
    day: Date,
    identifier: &LicenceId,
) -> Vec<u8> {
    format!("{sender}\0{source}\0{licence_type}\0{day}\0{identifier}").into_bytes()
}

/// What an event comes to.
#[derive(Default)]
struct Planned {
    /// Entries to append: none if everything is held.
    entries: Vec<NewEntry>,
    /// What came inside a new licence's signature.
    stamp: Option<(Sha256Digest, stamps::Stamp)>,
    /// Which licence came with which number; none if nothing is held of it afterwards.
    came: Option<(Vec<u8>, Seq)>,
    /// The entry of this request that brings in the licence which the event is about: counted over all events.
    rests_on: Option<usize>,
}

/// Takes in the events of a request, in order; one answer for all.
///
/// * `sender`: the department in the sender's certificate.
/// * `events`: at most [`MAX_EVENTS`], each the JSON of an event with an id.
///
/// # Errors
/// Only if the store fails: then nothing is acknowledged, and sending all of it again is safe.
pub async fn take_in(
    hub: &Hub,
    sender: &CreditCode,
    events: &[(String, &RawValue)],
) -> Result<Answer, StoreError> {
    let events: Vec<(&str, Option<Event>)> = events
        .iter()
        .map(|(id, json)| (id.as_str(), serde_json::from_str(json.get()).ok()))
        .collect();
    let mut desk = check::Desk::open(hub, sender, &events).await?;
    let mut planned = Vec::with_capacity(events.len());
    for (number, (id, event)) in events.iter().enumerate() {
        let plan = match event {
            Some(event) => plan(&mut desk, event).await,
            None => Err(EventError::Data),
        };
        planned.push((*id, plan.map_err(EventError::or_store)));
        if number % 16 == 15 {
            // Signatures take a while; others on this thread get their turn.
            tokio::task::yield_now().await;
        }
    }
    let trust = desk.trust.clone();
    let mut entries = Vec::new();
    let mut outcomes = Vec::with_capacity(planned.len());
    for (id, plan) in planned {
        match plan {
            Ok(plan) => {
                if let Some((digest, stamp)) = &plan.stamp {
                    stamps::file_licence(hub, digest, stamp).await?;
                }
                let own = entries.len()..entries.len() + plan.entries.len();
                outcomes.push((id, Ok((own, plan.rests_on, plan.stamp, plan.came))));
                entries.extend(plan.entries);
            }
            Err(refused) => outcomes.push((id, Err(refused?))),
        }
    }
    let appended = if entries.is_empty() {
        Vec::new()
    } else {
        let appended = hub.store.append(entries).await?;
        intake::checked_by(hub, &trust);
        appended
    };
    let refusal = |entry: usize| appended.get(entry)?.as_ref().err().cloned();
    let mut answer = Answer { format: ANSWER_FORMAT.to_owned(), accepted: 0, refused: Vec::new() };
    let mut came: HashMap<Vec<u8>, Seq> = HashMap::new();
    for (id, outcome) in outcomes {
        let outcome = match outcome {
            Err(error) => Err(error),
            Ok((own, rests_on, stamp, one)) => {
                keep_or_drop_stamp(hub, stamp, appended.get(own.start)).await?;
                match rests_on.into_iter().chain(own).find_map(refusal) {
                    Some(refusal) => Err(EventError::Intake(intake::refused(refusal))),
                    None => Ok(one),
                }
            }
        };
        match outcome {
            Ok(one) => {
                answer.accepted += 1;
                if let Some((key, seq)) = one {
                    let greatest = came.entry(key).or_insert(seq);
                    *greatest = seq.max(*greatest);
                }
            }
            Err(error) => answer.refused.push(refused_event(id, &error)),
        }
    }
    remember(hub, sender, desk.new_sources, came).await?;
    metrics::counter!("yihao_exchange_events_total", "outcome" => "accepted")
        .increment(answer.accepted);
    metrics::counter!("yihao_exchange_events_total", "outcome" => "refused")
        .increment(answer.refused.len() as u64);
    Ok(answer)
}

fn refused_event(id: &str, error: &EventError) -> RefusedEvent {
    let manifest = match error {
        EventError::ManifestMissing(digest) => Some(*digest),
        _ => None,
    };
    RefusedEvent {
        id: id.to_owned(),
        code: error.code().to_owned(),
        remark: error.to_string(),
        manifest,
    }
}

async fn plan(desk: &mut check::Desk<'_>, event: &Event) -> Result<Planned, EventError> {
    if event.specversion != SPEC_VERSION {
        return Err(EventError::Version);
    }
    if !is_source(&event.source) {
        return Err(EventError::Source);
    }
    let data = event.data.as_deref().ok_or(EventError::Data)?;
    if event.kind == MANIFEST {
        desk.manifest(data).await?;
        return Ok(Planned::default());
    }
    let number = event.sequence.as_deref().and_then(number_of).or_else(|| number_of(&event.id));
    let number = Seq(number.ok_or(EventError::Number)?);
    desk.licence(event, data, number).await
}

/// A licence that was taken in by somebody else meanwhile keeps the signature that it came with.
async fn keep_or_drop_stamp(
    hub: &Hub,
    stamp: Option<(Sha256Digest, stamps::Stamp)>,
    appended: Option<&Result<Appended, Refusal>>,
) -> Result<(), StoreError> {
    let is_new = matches!(appended, Some(Ok(appended)) if appended.new);
    match stamp {
        Some((digest, stamp)) if !is_new => stamps::unfile_licence(hub, &digest, &stamp).await,
        _ => Ok(()),
    }
}

/// Writes down what came, where the number is greater than what is written.
async fn remember(
    hub: &Hub,
    sender: &CreditCode,
    sources: Vec<String>,
    came: HashMap<Vec<u8>, Seq>,
) -> Result<(), StoreError> {
    let mut draft = Draft::new();
    let mut any = !sources.is_empty();
    for source in sources {
        let key = format!("{sender}\0{source}").into_bytes();
        draft.put(&key, &Source { since: hub.clock.now() });
    }
    for (key, seq) in came {
        let before = records::read::<Came>(&*hub.store, &key).await?;
        if before.is_none_or(|before| before.value.seq < seq) {
            draft.put(&key, &Came { seq });
            any = true;
        }
    }
    if any {
        // Each write takes the place of whatever is there, so none can be stale.
        draft.commit(&*hub.store).await?.map_err(|_| StoreError::Closed)?;
    }
    Ok(())
}

/// Whether the department may hand over anything at all.
#[must_use]
pub fn may_exchange(hub: &Hub, department: &CreditCode) -> bool {
    hub.catalogue.entries().any(|entry| hub.policies.permit(department, Act::Exchange(entry.code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_department_takes_no_more_than_its_places_and_shuts_nobody_out() {
        let exchange = Exchange::default();
        let codes = [
            "91350100M000100Y43",
            "11330105002500287C",
            "11430000006122244L",
            "11450203MB1A2031XH",
        ];
        let departments = codes.map(|code| code.parse::<CreditCode>().unwrap());
        let ask = async |department: &CreditCode| {
            exchange.place_within(department, Duration::from_millis(20)).await
        };
        let slow = [ask(&departments[0]).await, ask(&departments[0]).await];
        assert!(slow.iter().all(Option::is_some));
        assert!(ask(&departments[0]).await.is_none(), "its places are taken");
        let others: Vec<_> = [ask(&departments[1]).await, ask(&departments[1]).await].into();
        assert!(others.iter().all(Option::is_some), "others have theirs");
        drop(slow);
        assert!(ask(&departments[0]).await.is_some(), "places come back, also from who gave up");
        // And all together take no more than there is room for.
        let mut all = others;
        for department in &departments {
            all.extend([ask(department).await, ask(department).await]);
        }
        let taken = all.iter().flatten().count();
        assert_eq!(taken, AT_A_TIME);
    }
}
