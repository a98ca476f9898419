//! Comparing both sides.
//!
//! What should be there is what the log says up to the cursor: for each licence, its last change before it. Ours is
//! read page by page and added up by bucket (type and day of issue); the counterpart adds up its own. Buckets that
//! differ are gone through side by side, by identifier, in further readings of the store: [`AT_ONCE`] buckets in one
//! reading. Each record that seems to differ is looked at once more at the end, when it shows whether it
//! changed meanwhile or is set aside. In memory are the tallies, a page of licences, and a page of the
//! counterpart's records for each bucket that is being looked into: all bounded.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use indexes::{LicenceStore, StoreError, StoredLicence};
use jiff::Timestamp;
use licence::{Change, ChangeKind, Licence, LicenceId, LicenceTypeCode, Seq};
use serde::{Deserialize, Serialize};

use super::{ReconcileError, RunnerHandle, task::SET_ASIDES_COUNTED};
use crate::{
    Bucket, Connector, DeliveryError, Filter, Holding, Mark, Operation, Problem, Shared, Tally,
};

/// Licences read from the store at a time.
const PAGE: usize = 500;
/// Buckets that are looked into in one reading of the store.
const AT_ONCE: usize = 250;
/// Records that the counterpart is asked for at a time: 250 buckets of them are some 20 MiB.
const HOLDINGS: usize = 500;

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
    /// Every bucket that differs was looked into, and every record of it.
    pub complete: bool,
    /// If it is not complete: the next comparison begins behind this bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go_on_after: Option<Bucket>,
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
        self.reconcile_after(None).await
    }

    /// As [`RunnerHandle::reconcile`], going on where the last one stopped.
    ///
    /// # Errors
    /// As [`RunnerHandle::reconcile`].
    pub async fn reconcile_after(
        &self,
        after: Option<Bucket>,
    ) -> Result<Reconciliation, ReconcileError> {
        let name = self.name();
        let cursor = self.store.cursor(name).await?.unwrap_or(Seq(0));
        let filter = &self.settings.filter;
        let sides = Sides { store: &*self.store, connector: &*self.connector, filter, cursor };
        sides.compare(after).await
    }
}

impl Reconciliation {
    /// The changes that, sent once more, mend what differs and is not explained; in order.
    pub fn to_resend(&self) -> Vec<Seq> {
        let open = self.records.iter().filter(|record| record.explained.is_none());
        let mut seqs: Vec<Seq> = open.filter_map(|record| record.seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }
}

/// By bucket.
type Tallies = BTreeMap<Bucket, Tally>;

/// Our side, and the way to theirs.
struct Sides<'a> {
    store: &'a dyn LicenceStore,
    connector: &'a dyn Connector,
    filter: &'a Filter,
    /// What is compared is what should be there after all changes before this one.
    cursor: Seq,
}

/// A licence as of the cursor.
struct AsOf {
    /// Its last change before the cursor, if that is to be sent at all.
    seq: Option<Seq>,
    /// It changed later.
    changed_later: bool,
    /// The mark of what should be there; none: nothing should.
    mark: Option<Mark>,
}

/// A record that seems to differ: what the counterpart has of it.
type Suspect = (LicenceId, Option<Mark>);

impl Sides<'_> {
    async fn compare(&self, after: Option<Bucket>) -> Result<Reconciliation, ReconcileError> {
        let at = Timestamp::now();
        let name = self.connector.name();
        let lag = self.store.head().await?.0.saturating_sub(self.cursor.0);
        let set_aside = self.store.set_asides(name, SET_ASIDES_COUNTED).await?.len() as u64;
        // Theirs first: what arrives there later than it was added up is then newer than the cursor here.
        let marked = self.connector.tallies().await?;
        let counted = match marked {
            Some(_) => Counts::new(),
            None => self.connector.counts().await?,
        };
        let ours = self.tally(marked.is_some()).await?;
        let mut found = Reconciliation {
            connector: name.to_owned(),
            at,
            took_ms: 0,
            cursor: self.cursor,
            lag,
            set_aside,
            compared: Comparison::Counts,
            types: beside(&by_type(&ours), &counted),
            buckets_differing: 0,
            buckets: Vec::new(),
            missing: 0,
            extra: 0,
            different: 0,
            explained: 0,
            records: Vec::new(),
            resent: 0,
            complete: true,
            go_on_after: None,
            agrees: true,
        };
        match marked {
            Some(theirs) => {
                found.compared = Comparison::Marks;
                found.types = beside(&by_type(&ours), &by_type(&theirs));
                self.narrow(&ours, &theirs, after, &mut found).await?;
            }
            None => {
                for count in &found.types {
                    let by = count.difference.unsigned_abs();
                    let less = count.difference < 0;
                    let side = if less { &mut found.missing } else { &mut found.extra };
                    *side = side.saturating_add(by);
                }
            }
        }
        found.agrees =
            found.complete && found.missing == 0 && found.extra == 0 && found.different == 0;
        let took = Timestamp::now().duration_since(at).as_millis();
        found.took_ms = u64::try_from(took).unwrap_or(0);
        Ok(found)
    }

    /// What should be there, added up. Where the counterpart only counts, marks are not computed.
    async fn tally(&self, marked: bool) -> Result<Tallies, ReconcileError> {
        let mut tallies = Tallies::new();
        let mut ours = Ours::new(self, marked, None);
        while let Some(record) = ours.next().await? {
            tallies.entry(record.bucket).or_default().add(record.mark);
        }
        Ok(tallies)
    }

    /// What should be there of this licence. `marked`: with its mark; without, any mark stands for it.
    async fn as_of(&self, stored: &StoredLicence, marked: bool) -> Result<AsOf, ReconcileError> {
        let orders = stored.orders.iter().map(|order| order.seq);
        let trust = stored.trust.iter().map(|mark| mark.seq);
        let changes = || [stored.seq].into_iter().chain(orders.clone()).chain(trust.clone());
        let changed_later = changes().any(|seq| seq >= self.cursor);
        let last = changes().filter(|seq| *seq < self.cursor).max();
        let nothing = |seq| AsOf { seq, changed_later, mark: None };
        let Some(seq) = last else { return Ok(nothing(None)) };
        if !self.filter.covers_type(&stored.licence_type) {
            return Ok(nothing(None));
        }
        // What cannot be read is set aside, and not there.
        let Ok(licence) = Licence::parse(&stored.document) else { return Ok(nothing(Some(seq))) };
        if !self.filter.covers(&licence) {
            return Ok(nothing(None));
        }
        let Some(change) = self.change(stored, seq).await? else { return Ok(nothing(Some(seq))) };
        let order = stored.orders.iter().find(|order| order.seq == seq);
        let item = Shared {
            change,
            licence: Arc::new(licence),
            document: stored.document.clone(),
            digest: stored.digest,
            trust: stored.trust_at(seq),
            proof: stored.proof.clone(),
            order: order.map(|order| Arc::new(order.clone())),
            earlier: Vec::new(), // no mark follows from it
        };
        if Operation::of_item(&item) == Operation::Delete {
            return Ok(nothing(Some(seq)));
        }
        if !marked {
            return Ok(AsOf { mark: Some(Mark(0)), ..nothing(Some(seq)) });
        }
        match self.connector.mark(&item) {
            Ok(mark) => Ok(AsOf { mark: Some(mark), ..nothing(Some(seq)) }),
            // It cannot be written as the counterpart has it: set aside.
            Err(DeliveryError::Refused(_)) => Ok(nothing(Some(seq))),
            Err(error) => Err(error.into()),
        }
    }

    async fn change(&self, stored: &StoredLicence, seq: Seq) -> Result<Option<Change>, StoreError> {
        if seq == stored.seq && stored.trust.is_empty() {
            // As nearly all are; it need not be read.
            let kind = ChangeKind::Issued {
                identifier: stored.identifier.clone(),
                licence_type: stored.licence_type,
                issuer: stored.issuer,
                digest: stored.digest,
            };
            return Ok(Some(Change { seq, at: stored.received_at, kind }));
        }
        let found = self.store.changes(seq, 1).await?;
        Ok(found.into_iter().find(|change| change.seq == seq))
    }

    /// Looks into the buckets that differ.
    async fn narrow(
        &self,
        ours: &Tallies,
        theirs: &Tallies,
        after: Option<Bucket>,
        found: &mut Reconciliation,
    ) -> Result<(), ReconcileError> {
        let tally = |side: &Tallies, bucket: &Bucket| side.get(bucket).copied().unwrap_or_default();
        let both: BTreeMap<Bucket, ()> =
            ours.keys().chain(theirs.keys()).map(|b| (*b, ())).collect();
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let around = after.map(|after| both.range(..=after)).into_iter().flatten();
        let in_turn =
            both.range((behind, Bound::Unbounded)).chain(around).map(|(bucket, ())| *bucket);
        let mut differing = Vec::new();
        for bucket in in_turn {
            let (ours, theirs) = (tally(ours, &bucket), tally(theirs, &bucket));
            if ours != theirs {
                found.buckets_differing += 1;
                if differing.len() < Reconciliation::MOST_BUCKETS {
                    differing.push(BucketCount { bucket, ours, theirs });
                }
            }
        }
        found.complete = found.buckets_differing == differing.len() as u64;
        for portion in differing.chunks(AT_ONCE) {
            let room = Reconciliation::MOST_RECORDS - found.records.len();
            let (suspects, all) = self.side_by_side(portion, room).await?;
            for suspect in suspects {
                self.judge(suspect, found).await?;
            }
            if !all {
                found.complete = false;
                // These buckets again: what is mended of them differs no more, and makes room.
                break;
            }
            found.buckets.extend_from_slice(portion);
            found.go_on_after = portion.last().map(|count| count.bucket);
        }
        if found.complete {
            found.go_on_after = None;
        } else if found.buckets.is_empty() {
            // Where nothing can be mended the same records would fill every report: begin elsewhere the next time.
            found.buckets = differing.into_iter().take(AT_ONCE).collect();
            found.go_on_after = found.buckets.last().map(|count| count.bucket);
        }
        Ok(())
    }

    /// Both sides of these buckets, by identifier: the records that are not the same, at most `room`; and whether these
    /// are all.
    async fn side_by_side(
        &self,
        buckets: &[BucketCount],
        room: usize,
    ) -> Result<(Vec<Suspect>, bool), ReconcileError> {
        let mut theirs: BTreeMap<Bucket, Theirs> =
            buckets.iter().map(|count| (count.bucket, Theirs::default())).collect();
        let mut suspects: Vec<Suspect> = Vec::new();
        let mut ours = Ours::new(self, true, Some(theirs.keys().copied().collect()));
        while suspects.len() <= room
            && let Some(record) = ours.next().await?
        {
            let Some(theirs) = theirs.get_mut(&record.bucket) else { continue };
            while let Some(holding) = theirs.first(self.connector, &record.bucket).await?
                && holding.identifier < record.identifier
                && suspects.len() <= room
            {
                suspects.push((holding.identifier.clone(), Some(holding.mark)));
                theirs.page.pop_front();
            }
            match theirs.page.pop_front_if(|holding| holding.identifier == record.identifier) {
                Some(holding) if holding.mark == record.mark => {}
                Some(holding) => suspects.push((record.identifier, Some(holding.mark))),
                None => suspects.push((record.identifier, None)),
            }
        }
        for (bucket, theirs) in &mut theirs {
            while suspects.len() <= room {
                let Some(holding) = theirs.first(self.connector, bucket).await? else { break };
                suspects.push((holding.identifier.clone(), Some(holding.mark)));
                theirs.page.pop_front();
            }
        }
        let all = suspects.len() <= room;
        suspects.truncate(room);
        Ok((suspects, all))
    }

    /// What is there of a licence beside what should be, as things are now.
    async fn judge(
        &self,
        (identifier, theirs): Suspect,
        found: &mut Reconciliation,
    ) -> Result<(), ReconcileError> {
        let stored = self.store.licence(&identifier).await?;
        let ours = match &stored {
            Some(stored) => self.as_of(stored, true).await?,
            None => AsOf { seq: None, changed_later: false, mark: None },
        };
        let what = match (ours.mark, theirs) {
            (Some(_), None) => DifferenceKind::Missing,
            (None, Some(_)) => DifferenceKind::Extra,
            (Some(ours), Some(theirs)) if ours != theirs => DifferenceKind::Different,
            _ => return Ok(()),
        };
        let explained = if ours.changed_later {
            Some(Explanation::Underway)
        } else if let Some(seq) = ours.seq
            && self.is_set_aside(seq).await?
        {
            Some(Explanation::SetAside)
        } else {
            None
        };
        match (explained, what) {
            (Some(_), _) => found.explained += 1,
            (None, DifferenceKind::Missing) => found.missing += 1,
            (None, DifferenceKind::Extra) => found.extra += 1,
            (None, DifferenceKind::Different) => found.different += 1,
        }
        found.records.push(Difference { identifier, what, seq: ours.seq, explained });
        Ok(())
    }

    async fn is_set_aside(&self, seq: Seq) -> Result<bool, StoreError> {
        let held = self.store.set_asides_from(self.connector.name(), seq, 1).await?;
        Ok(held.first().is_some_and(|held| held.seq == seq))
    }
}

/// Our licences that should be there, by identifier.
struct Ours<'a> {
    sides: &'a Sides<'a>,
    marked: bool,
    /// Only of these buckets, in order.
    only: Option<Vec<Bucket>>,
    page: VecDeque<StoredLicence>,
    /// The last that was read.
    last: Option<LicenceId>,
    looked: usize,
}

/// One of them.
struct OurRecord {
    identifier: LicenceId,
    bucket: Bucket,
    mark: Mark,
}

impl<'a> Ours<'a> {
    fn new(sides: &'a Sides<'a>, marked: bool, only: Option<Vec<Bucket>>) -> Self {
        Self { sides, marked, only, page: VecDeque::new(), last: None, looked: 0 }
    }

    async fn next(&mut self) -> Result<Option<OurRecord>, ReconcileError> {
        loop {
            let Some(stored) = self.page.pop_front() else {
                let page = self.sides.store.page_of_licences(self.last.take(), PAGE).await?;
                let Some(last) = page.last() else { return Ok(None) };
                self.last = Some(last.identifier.clone());
                self.page = page.into();
                continue;
            };
            self.looked += 1;
            if self.looked.is_multiple_of(50) {
                tokio::task::yield_now().await; // parsing takes a while; others get their turn
            }
            let bucket = Bucket { licence_type: stored.licence_type, day: stored.issued_on };
            let wanted = self.only.as_ref().is_none_or(|only| only.binary_search(&bucket).is_ok());
            if wanted && let Some(mark) = self.sides.as_of(&stored, self.marked).await?.mark {
                return Ok(Some(OurRecord { identifier: stored.identifier, bucket, mark }));
            }
        }
    }
}

/// What the counterpart has in a bucket, read as it is wanted.
#[derive(Default)]
struct Theirs {
    page: VecDeque<Holding>,
    /// The last that was read.
    last: Option<LicenceId>,
    end: bool,
}

impl Theirs {
    /// The first record that was not taken yet.
    async fn first(
        &mut self,
        connector: &dyn Connector,
        bucket: &Bucket,
    ) -> Result<Option<&Holding>, DeliveryError> {
        if self.page.is_empty() && !self.end {
            let page = connector.holdings(bucket, self.last.as_ref(), HOLDINGS).await?;
            let mut last = self.last.as_ref();
            for holding in &page {
                if last.is_some_and(|last| holding.identifier <= *last) {
                    let why = "the records of a bucket are not in the order of their identifiers";
                    return Err(DeliveryError::Configuration(Problem::AnswerMalformed { why }));
                }
                last = Some(&holding.identifier);
            }
            self.end = page.len() < HOLDINGS;
            self.last = last.cloned();
            self.page = page.into();
        }
        Ok(self.page.front())
    }
}

/// Counts by type.
type Counts = BTreeMap<LicenceTypeCode, u64>;

fn by_type(tallies: &Tallies) -> Counts {
    let mut counts = Counts::new();
    for (bucket, tally) in tallies {
        let held = counts.entry(bucket.licence_type).or_default();
        // What a counterpart tells may be any number.
        *held = held.saturating_add(tally.count);
    }
    counts
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
