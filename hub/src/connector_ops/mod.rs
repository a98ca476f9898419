//! What operators do with connectors: every action says who and why, and leaves a [trace](Action) that is durable before
//! it is done.
//!
//! Both the interface and the pages come through here; who may operate is theirs to ask. Comparing both sides keeps its
//! reports in files ([`reconciliations`]); [`schedule`] does it every night.

pub(crate) mod certificates;
mod code_map;
mod reports;
pub mod schedule;
mod trace;

use std::sync::Arc;

use connectors::{DeliveryError, Preview, ReconcileError, RunnerError, RunnerHandle};
use indexes::{
    NewUse, Operator, SetAside, SettledSetAside, Shown, StoreError, StoredLicence, UseAct,
};
use jiff::{Timestamp, civil::Date, tz::Offset};
use licence::{CreditCode, HolderId, LicenceId, Seq, Sha256Digest};
use serde::Serialize;
use serde_json::json;

pub use certificates::certificate_ends;
pub use code_map::{CodeMapText, code_map, replace_code_map};
pub use reports::{Report, Trigger, reconciliation, reconciliations};
pub use trace::{Action, actions};

use crate::{
    Hub,
    inbound::Inbound,
    judge::{Judge, face},
    reuse::courier::{Courier, CourierError},
};

/// Most licences of a holder that are sent again; the newest.
const LICENCES_OF_A_HOLDER: usize = 10_000;
/// Of so many of them the whole record is held at a time.
const LICENCES_AT_ONCE: usize = 16;
/// Set-asides that are read at a time.
const RETRIED_AT_ONCE: usize = 1_000;

/// What the names of sources begin with here.
const FROM: &str = "from.";

/// Most characters of a reason.
pub const WHY_MOST: usize = 200;

/// Who does something, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct By {
    /// The department that operates.
    pub department: CreditCode,
    /// The person there; `None`: a system of the department.
    pub operator: Option<Operator>,
    why: String,
}

impl std::fmt::Debug for By {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "By({})", self.department)
    }
}

impl By {
    /// * `why`: 1 to 200 characters on one line.
    ///
    /// # Errors
    /// `Why`.
    pub fn new(
        department: CreditCode,
        operator: Option<Operator>,
        why: &str,
    ) -> Result<Self, OpsError> {
        let why = why.trim();
        let fits = (1..=WHY_MOST).contains(&why.chars().count());
        if !fits || why.chars().any(char::is_control) {
            return Err(OpsError::Why);
        }
        Ok(Self { department, operator, why: why.to_owned() })
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// Why an operator's action was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpsError {
    /// No connector of this name.
    #[error("there is no connector of this name")]
    Unknown,
    /// No source of rows of this name.
    #[error("there is no source of rows of this name")]
    UnknownSource,
    /// It takes cases, not licences.
    #[error("this counterpart takes cases, which are neither counted nor sent again one by one")]
    ForCases,
    /// No reason, or none that fits.
    #[error("`why` must say in 1 to 200 characters why this is done")]
    Why,
    /// The change that is asked for does not exist.
    #[error("the registry has {head} changes; there is none with this number yet")]
    UnknownChange {
        /// The number that the next change gets.
        head: Seq,
    },
    /// The change is not set aside.
    #[error("change {seq} is not set aside")]
    NotSetAside {
        /// Its number.
        seq: Seq,
    },
    /// No change on that day or later.
    #[error("nothing has changed since that day")]
    NoChangeSince,
    /// The filter of the connector leaves the change out.
    #[error("this change does not go to this counterpart: its settings leave it out")]
    NotShared,
    /// Both sides are being compared already.
    #[error("both sides are being compared already: wait for the report")]
    Reconciling,
    /// No such report.
    #[error("there is no such report; the last ones are kept")]
    UnknownReport,
    /// A report could not be written or read.
    #[error("the reports of comparisons cannot be written or read: {0}")]
    Reports(std::io::Error),
    /// The connector has no code map of its own.
    #[error("this connector has no code map in its settings (`code_map`)")]
    NoCodeMap,
    /// What was sent is no code map.
    #[error(transparent)]
    CodeMap(#[from] connectors::code_map::CodeMapError),
    /// Somebody else replaced the code map meanwhile.
    #[error("the code map was replaced by somebody else meanwhile: read it again")]
    CodeMapChanged,
    /// The file of the code map.
    #[error("the file of the code map cannot be read or written: {0}")]
    CodeMapFile(std::io::Error),
    /// What would be sent cannot be made.
    #[error("what would be sent cannot be made: {0}")]
    Preview(DeliveryError),
    /// The runner.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The courier of cases.
    #[error(transparent)]
    Courier(#[from] CourierError),
    /// Comparing both sides.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The store.
    #[error("the licence store failed: {0}")]
    Store(#[from] StoreError),
}

impl OpsError {
    /// Part of the public interface: never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_connector",
            Self::UnknownSource => "unknown_source",
            Self::ForCases => "connector_for_cases",
            Self::Why => "why",
            Self::UnknownChange { .. } => "unknown_change",
            Self::NotSetAside { .. } => "not_set_aside",
            Self::NoChangeSince => "no_change_since",
            Self::NotShared => "change_not_shared",
            Self::Reconciling => "reconciling",
            Self::UnknownReport => "unknown_reconciliation",
            Self::Reports(_) => "reports_unusable",
            Self::NoCodeMap => "no_code_map",
            Self::CodeMap(error) => error.code(),
            Self::CodeMapChanged => "code_map_changed",
            Self::CodeMapFile(_) => "code_map_file",
            Self::Preview(error) => error.code(),
            Self::Runner(error) => error.code(),
            Self::Courier(error) => error.code(),
            Self::Reconcile(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

/// From where everything is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayFrom {
    /// From this change on.
    Seq(Seq),
    /// From the first change of this day on, in Chinese time.
    Day(Date),
    /// Only the changes of this holder's licences, in between what is new.
    Holder(HolderId),
}

/// Which of the set-asides are sent once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retry {
    /// All that are not settled.
    All,
    /// These changes.
    These(Vec<Seq>),
}

/// What is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replaying {
    /// From this change on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Seq>,
    /// So many changes by themselves; of a counterpart for cases, so many cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_again: Option<u64>,
}

/// The connector of licences with this name.
///
/// # Errors
/// `Unknown`, `ForCases`.
pub fn runner<'a>(hub: &'a Hub, name: &str) -> Result<&'a RunnerHandle, OpsError> {
    if hub.couriers().contains_key(name) {
        return Err(OpsError::ForCases);
    }
    hub.connectors.get(name).ok_or(OpsError::Unknown)
}

fn courier<'a>(hub: &'a Hub, name: &str) -> Option<&'a Courier> {
    hub.couriers().get(name)
}

/// What a source of rows is called here, beside the counterparts, of whose names none has a full stop.
#[must_use]
pub fn name_of_source(name: &str) -> String {
    format!("{FROM}{name}")
}

/// The source that is called so here; `None`: it is no source's name.
///
/// # Errors
/// `UnknownSource`.
pub fn source<'a>(hub: &'a Hub, name: &str) -> Option<Result<&'a Inbound, OpsError>> {
    let name = name.strip_prefix(FROM)?;
    Some(hub.inbound().get(name).ok_or(OpsError::UnknownSource))
}

/// Stops sending until resumed, also across restarts; a [source](name_of_source): stops fetching.
///
/// # Errors
/// `Unknown`, `UnknownSource`, `Runner`, `Courier`, `Store`.
pub async fn pause(hub: &Hub, name: &str, by: &By) -> Result<(), OpsError> {
    switch(hub, name, by, true).await
}

/// Goes on sending, at once.
///
/// # Errors
/// As [`pause`].
pub async fn resume(hub: &Hub, name: &str, by: &By) -> Result<(), OpsError> {
    switch(hub, name, by, false).await
}

async fn switch(hub: &Hub, name: &str, by: &By, pause: bool) -> Result<(), OpsError> {
    let act = if pause { "pause" } else { "resume" };
    if let Some(source) = source(hub, name) {
        let source = source?;
        return trace::traced(hub, name, by, act, json!({}), async {
            let done = if pause { source.pause(hub).await } else { source.resume(hub).await };
            Ok(done?)
        })
        .await;
    }
    if let Some(courier) = courier(hub, name) {
        return trace::traced(hub, name, by, act, json!({}), async {
            let done = if pause { courier.pause().await } else { courier.resume().await };
            Ok(done?)
        })
        .await;
    }
    let runner = runner(hub, name)?;
    trace::traced(hub, name, by, act, json!({}), async {
        let done = if pause { runner.pause().await } else { runner.resume().await };
        Ok(done?)
    })
    .await
}

/// Sends everything again from there on; the counterpart drops what it has. A counterpart for cases gets again what it
/// did not take, whatever `from` says.
///
/// # Errors
/// `Unknown`, `NoChangeSince`, `Runner` with `BeyondHead`, `Courier`, `Store`.
pub async fn replay(
    hub: &Hub,
    name: &str,
    from: &ReplayFrom,
    by: &By,
) -> Result<Replaying, OpsError> {
    if courier(hub, name).is_some() {
        let sent = send_again(hub, name, by).await?;
        return Ok(Replaying { from: None, sent_again: Some(sent) });
    }
    let runner = runner(hub, name)?;
    let (from, detail) = match from {
        ReplayFrom::Seq(from) => (*from, json!({ "from": from })),
        ReplayFrom::Day(day) => {
            let from = first_change_of(hub, *day).await?;
            (from, json!({ "day": day, "from": from }))
        }
        ReplayFrom::Holder(holder) => return resend_of_holder(hub, runner, holder, by).await,
    };
    trace::traced(hub, name, by, "replay", detail, async {
        runner.replay(from).await?;
        Ok(Replaying { from: Some(from), sent_again: None })
    })
    .await
}

/// The trace says how many changes there were, not whose.
async fn resend_of_holder(
    hub: &Hub,
    runner: &RunnerHandle,
    holder: &HolderId,
    by: &By,
) -> Result<Replaying, OpsError> {
    let token = hub.index_key.token(holder);
    let identifiers = hub.store.identifiers_of_holder(&token, LICENCES_OF_A_HOLDER).await?;
    let seqs = changes_of(&identifiers, async |page| hub.store.licences(page).await).await?;
    let count = seqs.len() as u64;
    trace::traced(hub, runner.name(), by, "replay", json!({ "of_a_holder": count }), async {
        runner.resend(seqs).await?;
        Ok(Replaying { from: None, sent_again: Some(count) })
    })
    .await
}

/// The numbers of all changes of these licences, by number. However many licences there are, few are held at a time.
async fn changes_of(
    identifiers: &[LicenceId],
    read: impl AsyncFn(&[LicenceId]) -> Result<Vec<Option<StoredLicence>>, StoreError>,
) -> Result<Vec<Seq>, StoreError> {
    let mut seqs: Vec<Seq> = Vec::new();
    for page in identifiers.chunks(LICENCES_AT_ONCE) {
        for stored in read(page).await?.into_iter().flatten() {
            seqs.push(stored.seq);
            seqs.extend(stored.orders.iter().map(|order| order.seq));
            seqs.extend(stored.trust.iter().map(|mark| mark.seq));
        }
    }
    seqs.sort_unstable();
    seqs.dedup();
    Ok(seqs)
}

/// Sends once more what is set aside: what the counterpart takes this time is settled, and what it refuses again stays
/// set aside with its new remark. How many changes.
///
/// # Errors
/// `Unknown`, `ForCases`, `NotSetAside`, `Runner`, `Store`.
pub async fn retry(hub: &Hub, name: &str, which: &Retry, by: &By) -> Result<u64, OpsError> {
    let runner = runner(hub, name)?;
    match which {
        Retry::These(seqs) => {
            for seq in seqs {
                let held = hub.store.set_asides_from(name, *seq, 1).await?;
                if held.first().is_none_or(|held| held.seq != *seq) {
                    return Err(OpsError::NotSetAside { seq: *seq });
                }
            }
            trace::traced(hub, name, by, "retry", json!({ "seqs": seqs }), async {
                runner.resend(seqs.clone()).await?;
                Ok(seqs.len() as u64)
            })
            .await
        }
        Retry::All => {
            trace::traced(hub, name, by, "retry", json!({ "all": true }), async {
                let (mut from, mut count) = (Seq(0), 0);
                loop {
                    let held = hub.store.set_asides_from(name, from, RETRIED_AT_ONCE).await?;
                    let Some(last) = held.last() else { return Ok(count) };
                    from = last.seq.next();
                    count += held.len() as u64;
                    runner.resend(held.into_iter().map(|held| held.seq).collect()).await?;
                }
            })
            .await
        }
    }
}

/// Hands over again what a counterpart for cases did not take: how many cases.
///
/// # Errors
/// `Unknown` also for a connector of licences; `Courier`, `Store`.
pub async fn send_again(hub: &Hub, name: &str, by: &By) -> Result<u64, OpsError> {
    let courier = courier(hub, name).ok_or(OpsError::Unknown)?;
    trace::traced(hub, name, by, "send_again", json!({}), async { Ok(courier.send_again().await?) })
        .await
}

/// The first change of a day in China, or the first after it. The registry's times are those of its clock: where the
/// clock was set back, of the changes around that moment an earlier one may be found.
async fn first_change_of(hub: &Hub, day: Date) -> Result<Seq, OpsError> {
    let begin = Offset::constant(8)
        .to_timestamp(day.to_datetime(jiff::civil::Time::midnight()))
        .map_err(|_| OpsError::NoChangeSince)?;
    let head = hub.store.head().await?;
    let (mut low, mut high) = (0, head.0);
    while low < high {
        let middle = low + (high - low) / 2;
        let change = hub.store.changes(Seq(middle), 1).await?;
        if change.first().is_some_and(|change| change.at < begin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if low == head.0 { Err(OpsError::NoChangeSince) } else { Ok(Seq(low)) }
}

/// Compares both sides now, has sent again what differs and is not explained, and keeps the report. Goes on when the
/// asker goes away.
///
/// # Errors
/// `Unknown`, `ForCases`, `Reconciling`, `Reconcile`, `Reports`, `Store`.
pub async fn reconcile(hub: &Arc<Hub>, name: &str, by: &By) -> Result<Report, OpsError> {
    runner(hub, name)?;
    let (work, name, by) = (hub.clone(), name.to_owned(), by.clone());
    let stop = hub.stopping();
    let task = tokio::spawn(async move {
        let compared = trace::traced(&work, &name, &by, "reconcile", json!({}), async {
            reports::compare(&work, &name, Trigger::Request).await
        });
        tokio::select! {
            report = compared => report,
            () = stop.cancelled() => Err(OpsError::Runner(RunnerError::Stopped)),
        }
    });
    task.await.unwrap_or(Err(OpsError::Runner(RunnerError::Stopped)))
}

/// What is set aside and not settled, by number, from this change on; at most `limit`.
///
/// # Errors
/// `Unknown`, `ForCases`, `Store`.
pub async fn set_asides(
    hub: &Hub,
    name: &str,
    from: Seq,
    limit: usize,
) -> Result<Vec<SetAside>, OpsError> {
    runner(hub, name)?;
    Ok(hub.store.set_asides_from(name, from, limit).await?)
}

/// What was set aside and is settled, by number, after `after`; at most `limit`.
///
/// * `after`: number of the change, and when it was set aside.
///
/// # Errors
/// `Unknown`, `ForCases`, `Store`.
pub async fn settled(
    hub: &Hub,
    name: &str,
    after: Option<(Seq, Timestamp)>,
    limit: usize,
) -> Result<Vec<SettledSetAside>, OpsError> {
    runner(hub, name)?;
    let after =
        after.map(|(seq, at)| SetAside { seq, code: String::new(), remark: String::new(), at });
    Ok(hub.store.settled(name, after.as_ref(), limit).await?)
}

/// What would be sent for this change, without sending it. Whoever shows it shows a licence: that is a use of its own
/// to record.
///
/// # Errors
/// `Unknown`, `ForCases`, `UnknownChange`, `NotShared`, `Preview`, `Store`.
pub async fn preview(hub: &Hub, name: &str, seq: Seq, by: &By) -> Result<Preview, OpsError> {
    let runner = runner(hub, name)?;
    let head = hub.store.head().await?;
    if seq >= head {
        return Err(OpsError::UnknownChange { head });
    }
    trace::traced(hub, name, by, "preview", json!({ "seq": seq }), async {
        let preview = runner.preview(seq).await?;
        preview.ok_or(OpsError::NotShared)?.map_err(OpsError::Preview)
    })
    .await
}

/// Records that whoever sees what would be sent sees the licence: before it is shown.
///
/// * `certificate`: the caller's; zeros of a person at a page.
///
/// # Errors
/// The store's.
pub async fn record_view(
    hub: &Hub,
    seq: Seq,
    certificate: Sha256Digest,
    by: &By,
) -> Result<(), StoreError> {
    let changes = hub.store.changes(seq, 1).await?;
    let Some(change) = changes.first() else { return Ok(()) };
    let Some(stored) = hub.store.licence(change.identifier()).await? else { return Ok(()) };
    let verification = Judge::new(hub).licence(&stored, face(&stored.document).as_ref()).await?;
    let shown = Shown {
        identifier: stored.identifier.clone(),
        result: verification.result.word().to_owned(),
    };
    let new = NewUse {
        at: hub.clock.now(),
        caller: by.department,
        certificate,
        operator: by.operator.clone(),
        matter: None,
        case: None,
        basis: None,
        reason: by.why().to_owned(),
        holder: stored.holders.first().copied(),
        also: stored.holders.clone(),
        project: None,
        shown: vec![shown],
        grant: None,
        act: UseAct::View,
    };
    hub.store.record_use(new).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use indexes::{LicenceStore, MemoryStore, NewEntry};

    use super::*;

    #[tokio::test]
    async fn of_a_holder_with_many_licences_a_few_are_held_at_a_time_and_no_change_is_missed() {
        let district = district::District::new(
            7,
            district::DistrictSize { persons: 40, enterprises: 20, projects: 4, licences: 100 },
        );
        let store = MemoryStore::new();
        let token = indexes::HolderToken::from_bytes([7; 16]);
        let entries = district.licences().map(|licence| {
            let document = bytes::Bytes::from(licence.to_bytes());
            NewEntry::Licence(indexes::NewLicence {
                at: Timestamp::UNIX_EPOCH,
                identifier: licence.identifier,
                licence_type: licence.licence_type,
                issuer: licence.issuer,
                holders: vec![token],
                project: None,
                number: licence.number,
                issued_on: licence.issued_on,
                digest: certs::sha256(&document),
                document,
                proof: indexes::Proof::Unsigned,
                chain: indexes::ChainRecordBytes::default(),
            })
        });
        let taken_in = store.append(entries.collect()).await.unwrap();
        assert!(taken_in.len() > 5 * LICENCES_AT_ONCE && taken_in.iter().all(Result::is_ok));

        let identifiers = store.identifiers_of_holder(&token, LICENCES_OF_A_HOLDER).await.unwrap();
        let most = Cell::new(0);
        let seqs = changes_of(&identifiers, async |page| {
            most.set(page.len().max(most.get()));
            store.licences(page).await
        });
        let seqs = seqs.await.unwrap();
        assert_eq!(seqs, (0..taken_in.len() as u64).map(Seq).collect::<Vec<_>>());
        assert_eq!(most.get(), LICENCES_AT_ONCE);
    }
}
