//! Comparing both sides.

use std::collections::BTreeMap;

use indexes::{LicenceStore, StoreError, StoredLicence};
use jiff::Timestamp;
use licence::{Licence, LicenceId, LicenceStatus, LicenceTypeCode, Seq, Trust};
use serde::{Deserialize, Serialize};

use super::{ReconcileError, RunnerHandle, task::SET_ASIDES_COUNTED};
use crate::{Bucket, Connector, Filter, Tally};

/// Licences read from the store at a time.
const PAGE: usize = 500;

/// What comparing both sides came to. Holds identifiers and numbers, nothing of a licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// The connector's name.
    pub connector: String,
    /// When it was begun.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Changes before this one were delivered or set aside when it was begun: what is compared is what should be
    /// there after them.
    pub cursor: Seq,
    /// Changes not delivered yet when it was begun: they explain a difference.
    pub lag: u64,
    /// Changes that are set aside, counted up to 10,000: they explain a difference too.
    pub set_aside: u64,
    /// What was compared.
    pub compared: Comparison,
    /// By licence type: every type that either side has.
    pub types: Vec<TypeCount>,
    /// How many buckets differ, explained or not.
    pub buckets_differing: u64,
    /// Those of them that were looked into, at most [`Reconciliation::MOST_BUCKETS`].
    pub buckets: Vec<BucketCount>,
    /// Records that are not there, and nothing explains it.
    pub missing: u64,
    /// Records that should not be there, and nothing explains it.
    pub extra: u64,
    /// Records that are there otherwise than they should be, and nothing explains it.
    pub different: u64,
    /// Records that differ for a reason that is known: on the way, or set aside.
    pub explained: u64,
    /// The records that differ, by identifier, at most [`Reconciliation::MOST_RECORDS`].
    pub records: Vec<Difference>,
    /// Changes that were ordered to be sent again because of it.
    pub resent: u64,
    /// Every bucket that differs was looked into, and every record of it. If not, the next comparison goes on behind
    /// the last bucket.
    pub complete: bool,
    /// Nothing differs but what is explained.
    pub agrees: bool,
}

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Count and digest of each type and day of issue; where they differ, record by record.
    Marks,
    /// The counts of each type: the counterpart cannot say more.
    Counts,
}

/// The licences of one type that are valid, by status, and shared with the counterpart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCount {
    /// The type.
    pub licence_type: LicenceTypeCode,
    /// How many we have.
    pub ours: u64,
    /// How many the counterpart has.
    pub theirs: u64,
    /// Theirs less ours.
    pub difference: i64,
}

/// A bucket that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCount {
    /// Type and day of issue.
    #[serde(flatten)]
    pub bucket: Bucket,
    /// What should be there.
    pub ours: Tally,
    /// What is there.
    pub theirs: Tally,
}

/// A record that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The licence.
    pub identifier: LicenceId,
    /// How.
    pub what: DifferenceKind,
    /// The change that should be there, or that should have taken it away; none: we have no such licence, or none that
    /// goes there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// Why that is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained: Option<Explanation>,
}

/// How a record differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// It is not there, and should be.
    Missing,
    /// It is there, and should not be.
    Extra,
    /// It is there otherwise than it should be.
    Different,
}

/// Why a record may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Explanation {
    /// It changed while, or after, what was compared was delivered: the change is on its way.
    Underway,
    /// The counterpart refused the change; it is set aside.
    SetAside,
}

impl Reconciliation {
    /// Most buckets of a report.
    pub const MOST_BUCKETS: usize = 1_000;
    /// Most records of a report.
    pub const MOST_RECORDS: usize = 5_000;
}

impl RunnerHandle {
    /// Compares what should be there with what the counterpart says is there. By status, not by date: a licence that
    /// has run out is still held there.
    ///
    /// # Errors
    /// `Store`, `Counterpart`.
    pub async fn reconcile(&self) -> Result<Reconciliation, ReconcileError> {
        compare(&*self.store, &*self.connector, &self.settings.filter).await
    }
}

/// Counts by type.
type Counts = BTreeMap<LicenceTypeCode, u64>;

async fn compare(
    store: &dyn LicenceStore,
    connector: &dyn Connector,
    filter: &Filter,
) -> Result<Reconciliation, ReconcileError> {
    let at = Timestamp::now();
    let name = connector.name();
    let cursor = store.cursor(name).await?.unwrap_or(Seq(0));
    let lag = store.head().await?.0.saturating_sub(cursor.0);
    let set_aside = store.set_asides(name, SET_ASIDES_COUNTED).await?.len() as u64;
    let ours = ours(store, filter).await?;
    let theirs = connector.counts().await?;
    let types = beside(&ours, &theirs);
    let (missing, extra) = types.iter().fold((0, 0), |(missing, extra), count| {
        let by = count.difference.unsigned_abs();
        if count.difference < 0 { (missing + by, extra) } else { (missing, extra + by) }
    });
    let took = Timestamp::now().duration_since(at).as_millis();
    Ok(Reconciliation {
        connector: name.to_owned(),
        at,
        took_ms: u64::try_from(took).unwrap_or(0),
        cursor,
        lag,
        set_aside,
        compared: Comparison::Counts,
        types,
        buckets_differing: 0,
        buckets: Vec::new(),
        missing,
        extra,
        different: 0,
        explained: 0,
        records: Vec::new(),
        resent: 0,
        complete: true,
        agrees: missing == 0 && extra == 0,
    })
}

/// The valid licences of these types that the log does not call untrusted, by type.
async fn ours(store: &dyn LicenceStore, filter: &Filter) -> Result<Counts, StoreError> {
    let mut counts = Counts::new();
    let mut after = None;
    loop {
        let page = store.page_of_licences(after, PAGE).await?;
        for stored in &page {
            let counts_there = matches!(stored.status, LicenceStatus::Valid)
                && stored.trust_now() == Trust::Trusted;
            if counts_there && covered(filter, stored) {
                *counts.entry(stored.licence_type).or_default() += 1;
            }
        }
        match page.into_iter().next_back() {
            Some(last) => after = Some(last.identifier),
            None => return Ok(counts),
        }
    }
}

/// Whether it goes there. What cannot be read is set aside, and does not.
fn covered(filter: &Filter, stored: &StoredLicence) -> bool {
    filter.covers_type(&stored.licence_type)
        && (filter.regions.is_none()
            || Licence::parse(&stored.document).is_ok_and(|licence| filter.covers(&licence)))
}

fn beside(ours: &Counts, theirs: &Counts) -> Vec<TypeCount> {
    let mut types: Vec<_> = ours.keys().chain(theirs.keys()).copied().collect();
    types.sort_unstable();
    types.dedup();
    types
        .into_iter()
        .map(|licence_type| {
            let ours = ours.get(&licence_type).copied().unwrap_or(0);
            let theirs = theirs.get(&licence_type).copied().unwrap_or(0);
            let difference =
                i64::try_from(theirs).unwrap_or(i64::MAX).saturating_sub_unsigned(ours);
            TypeCount { licence_type, ours, theirs, difference }
        })
        .collect()
}
