//! The durable queue of changes that are to be sent once more.

use indexes::{Collection, Commit, Expected, LicenceStore, RecordWrite, StoreError};
use jiff::Timestamp;
use licence::{Change, Seq};

/// Connector's name · NUL · number of the change (8 bytes, big-endian) → when it was put there, in microseconds (8 bytes,
/// big-endian).
const QUEUE: Collection = Collection::new("connector_resends");

/// Entries written or removed at a time.
const PORTION: usize = 1_000;

/// Entries that are counted: it is for an operator's eye, and counting is reading.
const COUNTED: usize = 10_000;

/// A change in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: Seq,
    /// When it was put there, in microseconds: what is set aside later is not settled by it.
    pub(super) put_micros: i64,
    /// Tells an entry that was put there anew while its change was under way: that one stays.
    revision: u64,
}

/// Puts changes into the queue. One that is in it already is in it once, and will be sent after this.
pub(super) async fn put(
    store: &dyn LicenceStore,
    connector: &str,
    mut seqs: Vec<Seq>,
) -> Result<(), StoreError> {
    seqs.sort_unstable();
    seqs.dedup();
    let now = Timestamp::now().as_microsecond().to_be_bytes();
    for portion in seqs.chunks(PORTION) {
        let write = |seq: &Seq| RecordWrite {
            collection: QUEUE,
            key: key(connector, *seq),
            expected: Expected::Any,
            value: Some(now.to_vec()),
        };
        let commit = Commit { writes: portion.iter().map(write).collect(), uses: Vec::new() };
        // It expects nothing, so it is never stale.
        let _ = store.commit(commit).await?;
    }
    Ok(())
}

/// The first entries, by number, at most `limit`.
pub(super) async fn first(
    store: &dyn LicenceStore,
    connector: &str,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let prefix = prefix(connector);
    let records = store.records(QUEUE, &prefix, None, limit).await?;
    let entry = |record: &indexes::Record| {
        let number = record.key.get(prefix.len()..)?.try_into().ok()?;
        let put: Option<[u8; 8]> = record.value.as_slice().try_into().ok();
        Some(Entry {
            seq: Seq(u64::from_be_bytes(number)),
            put_micros: put.map_or(i64::MIN, i64::from_be_bytes),
            revision: record.revision,
        })
    };
    Ok(records.iter().filter_map(entry).collect())
}

/// How many there are, counted up to 10,000.
pub(super) async fn count(store: &dyn LicenceStore, connector: &str) -> Result<u64, StoreError> {
    Ok(store.records(QUEUE, &prefix(connector), None, COUNTED).await?.len() as u64)
}

/// Removes entries, but for those that were put there anew meanwhile.
pub(super) async fn remove(
    store: &dyn LicenceStore,
    connector: &str,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let write = |entry: &Entry| RecordWrite {
        collection: QUEUE,
        key: key(connector, entry.seq),
        expected: Expected::Revision(entry.revision),
        value: None,
    };
    for portion in entries.chunks(PORTION) {
        let writes = portion.iter().map(write).collect();
        if store.commit(Commit { writes, uses: Vec::new() }).await?.is_ok() {
            continue;
        }
        for entry in portion {
            // Stale: it is wanted again.
            let _ = store.commit(Commit { writes: vec![write(entry)], uses: Vec::new() }).await?;
        }
    }
    Ok(())
}

/// The changes of these entries, in their order. Runs of numbers are read together.
pub(super) async fn changes(
    store: &dyn LicenceStore,
    entries: &[Entry],
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::with_capacity(entries.len());
    for run in entries.chunk_by(|one, next| one.seq.next() == next.seq) {
        changes.extend(store.changes(run[0].seq, run.len()).await?);
    }
    Ok(changes)
}

fn prefix(connector: &str) -> Vec<u8> {
    [connector.as_bytes(), &[0]].concat()
}

fn key(connector: &str, seq: Seq) -> Vec<u8> {
    [connector.as_bytes(), &[0], &seq.0.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use indexes::MemoryStore;

    use super::*;

    async fn queued(store: &MemoryStore, connector: &str) -> Vec<u64> {
        let entries = first(store, connector, 10_000).await.expect("the queue");
        entries.iter().map(|entry| entry.seq.0).collect()
    }

    #[tokio::test]
    async fn the_queue_is_in_order_and_holds_each_change_once() {
        let store = MemoryStore::new();
        let wanted = (0..2_500).rev().map(|number| Seq(number * 100)).chain([Seq(500)]);
        put(&store, "city", wanted.collect()).await.expect("put");
        put(&store, "city2", vec![Seq(7)]).await.expect("put");
        assert_eq!(
            queued(&store, "city").await,
            (0..2_500).map(|seq| seq * 100).collect::<Vec<_>>()
        );
        assert_eq!(queued(&store, "city2").await, [7]);
        assert_eq!(first(&store, "city", 2).await.expect("the queue").len(), 2);
    }

    #[tokio::test]
    async fn what_is_wanted_again_while_it_is_under_way_stays() {
        let store = MemoryStore::new();
        put(&store, "city", vec![Seq(1), Seq(2), Seq(3)]).await.expect("put");
        let under_way = first(&store, "city", 10).await.expect("the queue");
        put(&store, "city", vec![Seq(2)]).await.expect("put");
        remove(&store, "city", &under_way).await.expect("removed");
        assert_eq!(queued(&store, "city").await, [2]);
    }
}
