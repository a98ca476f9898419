//! Reading the next stretch of the change feed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use indexes::{LicenceStore, Proof, StoreError, StoredLicence, StoredManifest, StoredOrder};
use jiff::Timestamp;
use licence::{Change, Licence, LicenceId, Seq, Sha256Digest, StatusChange, StatusOrder};
use tokio::task::JoinHandle;

use super::RunnerSettings;
use crate::{Filter, Refused, Shared};

/// Batch manifests by digest.
pub(super) type Manifests = BTreeMap<Sha256Digest, Arc<StoredManifest>>;

/// Licences read from the store and parsed at a time: as many as have about so many bytes, if they are as large as the
/// ones before, within these bounds.
const PORTION_BYTES: usize = 256 << 10;
const PORTION: std::ops::RangeInclusive<usize> = 16..=256;
/// Portions under way at a time, so that reading and parsing keep as many processors busy.
const PORTIONS: usize = 3;

/// Most bytes of manifests that a stretch brings; one manifest it may bring whatever its size.
const MANIFEST_BYTES: usize = 16 << 20;

/// A stretch of the feed.
pub(super) struct Stretch {
    /// What goes to the counterpart, oldest first.
    pub(super) items: Vec<Shared>,
    /// What should go there, but is not readable here: set aside.
    pub(super) unreadable: Vec<Refused>,
    /// The first change after the stretch.
    pub(super) end: Seq,
    /// When the first change of the stretch was taken in; `None`: there is no change.
    pub(super) oldest: Option<Timestamp>,
    /// It ends because it is full: there may be more.
    pub(super) full: bool,
    /// The manifests that its proofs name, if they are wanted.
    pub(super) manifests: Manifests,
}

impl Stretch {
    /// A stretch without changes.
    pub(super) fn empty(end: Seq) -> Self {
        Self {
            items: Vec::new(),
            unreadable: Vec::new(),
            end,
            oldest: None,
            full: false,
            manifests: Manifests::new(),
        }
    }
}

/// What reading needs to know, apart from where.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) store: Arc<dyn LicenceStore>,
    pub(super) filter: Arc<Filter>,
    /// Most changes of a stretch.
    pub(super) changes: usize,
    /// Most bytes of documents; one document it may be whatever its size.
    pub(super) bytes: usize,
    /// Read the manifests too.
    pub(super) manifests: bool,
}

impl Reader {
    /// A stretch holds a batch for each lane; in bytes all of them together are one batch at most.
    pub(super) fn new(
        store: Arc<dyn LicenceStore>,
        settings: &RunnerSettings,
        manifests: bool,
    ) -> Self {
        Self {
            store,
            filter: Arc::new(settings.filter.clone()),
            changes: settings.batch.saturating_mul(settings.concurrency.max(1)),
            bytes: settings.batch_bytes,
            manifests,
        }
    }

    /// The changes from `from` on, bounded in records and in bytes of documents, those of other types left out.
    ///
    /// * `known`: manifests read before; those needed again are not read again.
    pub(super) async fn read(self, from: Seq, known: Manifests) -> Result<Stretch, StoreError> {
        let changes = self.store.changes(from, self.changes).await?;
        let mut stretch = Stretch {
            oldest: changes.first().map(|change| change.at),
            full: changes.len() >= self.changes,
            ..Stretch::empty(changes.last().map_or(from, |change| change.seq.next()))
        };
        self.fill(&mut stretch, changes, &known).await?;
        Ok(stretch)
    }

    /// Reads the licences of these changes into the stretch. When it is full before their end, its end is the first
    /// change that is not in it.
    pub(super) async fn fill(
        &self,
        stretch: &mut Stretch,
        changes: Vec<Change>,
        known: &Manifests,
    ) -> Result<(), StoreError> {
        let mut wanted =
            changes.into_iter().filter(|change| self.filter.covers_type(change.licence_type()));
        let (mut bytes, mut manifest_bytes) = (0, 0);
        // Read in portions, so that large documents are not all in memory before the bound is noticed.
        let mut under_way = VecDeque::with_capacity(PORTIONS);
        let mut records = *PORTION.start();
        loop {
            while under_way.len() < PORTIONS {
                let portion: Vec<Change> = wanted.by_ref().take(records).collect();
                if portion.is_empty() {
                    break;
                }
                under_way.push_back(Portion(tokio::spawn(parsed(
                    self.store.clone(),
                    self.filter.clone(),
                    portion,
                ))));
            }
            let Some(mut portion) = under_way.pop_front() else { return Ok(()) };
            let broken_off = |_| StoreError::Io { detail: "reading was broken off".to_owned() };
            let read = (&mut portion.0).await.map_err(broken_off)??;
            records = next_portion(&read);
            for item in read {
                let item = match item {
                    Ok(item) => item,
                    Err(refused) => {
                        stretch.unreadable.push(refused);
                        continue;
                    }
                };
                let first = stretch.items.is_empty();
                let mut full = !first && bytes + item.document.len() > self.bytes;
                let named = manifest(&item)
                    .filter(|name| self.manifests && !stretch.manifests.contains_key(*name));
                if let Some(name) = named.filter(|_| !full) {
                    let manifest = match known.get(name) {
                        Some(manifest) => Some(manifest.clone()),
                        None => self.store.manifest(name).await?.map(Arc::new),
                    };
                    if let Some(manifest) = manifest {
                        let more = manifest.document.len() + manifest.signature.len();
                        full = manifest_bytes > 0 && manifest_bytes + more > MANIFEST_BYTES;
                        if !full {
                            manifest_bytes += more;
                            stretch.manifests.insert(*name, manifest);
                        }
                    }
                }
                if full {
                    // The changes left out before it need not be looked at again.
                    stretch.end = item.seq();
                    stretch.full = true;
                    return Ok(());
                }
                bytes += item.document.len();
                stretch.items.push(item);
            }
        }
    }
}

/// How many licences to read next, after these.
fn next_portion(read: &[Result<Shared, Refused>]) -> usize {
    let bytes: usize = read.iter().flatten().map(|item| item.document.len()).sum();
    (PORTION_BYTES * read.len() / bytes.max(1)).clamp(*PORTION.start(), *PORTION.end())
}

/// A portion that is being read. Dropping it gives it up.
struct Portion(JoinHandle<Result<Vec<Result<Shared, Refused>>, StoreError>>);

impl Drop for Portion {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads the licences of some changes.
async fn parsed(
    store: Arc<dyn LicenceStore>,
    filter: Arc<Filter>,
    portion: Vec<Change>,
) -> Result<Vec<Result<Shared, Refused>>, StoreError> {
    let identifiers: Vec<LicenceId> =
        portion.iter().map(|change| change.identifier().clone()).collect();
    let found = store.licences(&identifiers).await?;
    // Parsing takes a while: not on this thread, where others wait for their turn.
    let parsed = tokio::task::spawn_blocking(move || {
        let parsed = portion.into_iter().zip(found);
        parsed.filter_map(|(change, found)| shared(&filter, change, found)).collect()
    });
    parsed.await.map_err(|_| StoreError::Io { detail: "parsing was broken off".to_owned() })
}

/// The manifest that the item's proof names.
pub(super) fn manifest(item: &Shared) -> Option<&Sha256Digest> {
    if let Proof::Manifest { manifest, .. } = &item.proof { Some(manifest) } else { None }
}

/// A change with its licence; `None` if the licence does not go there.
fn shared(
    filter: &Filter,
    change: Change,
    found: Option<StoredLicence>,
) -> Option<Result<Shared, Refused>> {
    let Some(stored) = found else {
        let what = "the licence is not in the store";
        return Some(Err(unreadable(&change, "licence_missing", what)));
    };
    let Ok(licence) = Licence::parse(&stored.document) else {
        let what = "the document in the store cannot be read";
        return Some(Err(unreadable(&change, "document_unreadable", what)));
    };
    // Nobody is told of what nobody signed; once it is signed, it is told as new.
    if !filter.covers(&licence) || stored.unsigned_at(change.seq) {
        return None;
    }
    Some(Ok(Shared {
        licence: Arc::new(licence),
        trust: stored.trust_at(change.seq),
        order: order(&stored.orders, change.seq),
        earlier: earlier(&stored.orders, change.seq),
        document: stored.document,
        digest: stored.digest,
        proof: stored.proof,
        change,
    }))
}

/// The order that made this change; none of another kind of change.
fn order(orders: &[StoredOrder], seq: Seq) -> Option<Arc<StoredOrder>> {
    orders.iter().find(|order| order.seq == seq).map(|order| Arc::new(order.clone()))
}

/// The orders before the change with this number, as [`Shared::earlier`] has them.
fn earlier(orders: &[StoredOrder], seq: Seq) -> Vec<StoredOrder> {
    let before = &orders[..orders.partition_point(|order| order.seq < seq)];
    let restores = |order: &StoredOrder| {
        let parsed = StatusOrder::parse(&order.document);
        parsed.is_ok_and(|order| order.change == StatusChange::Restore)
    };
    let since = before.iter().rposition(restores).map_or(0, |place| place + 1);
    before[since..].to_vec()
}

fn unreadable(change: &Change, code: &str, remark: &str) -> Refused {
    Refused { seq: change.seq, code: code.to_owned(), remark: remark.to_owned() }
}
