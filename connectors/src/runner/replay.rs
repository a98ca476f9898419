//! The replay that an operator asked for last: what was set aside before it, and is taken by it, is settled; also when
//! the program ended meanwhile.

use indexes::{Collection, Commit, Expected, LicenceStore, RecordWrite, StoreError};
use jiff::Timestamp;
use licence::Seq;

/// Connector's name → when it was asked for, in microseconds, and where the cursor was then (8 bytes each, big-endian).
const REPLAYS: Collection = Collection::new("connector_replays");

/// A replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replay {
    /// When it was asked for, in microseconds: what is set aside later is not settled by it.
    pub(super) asked_micros: i64,
    /// Changes before this one come again.
    pub(super) until: Seq,
}

/// The last one.
pub(super) async fn read(
    store: &dyn LicenceStore,
    connector: &str,
) -> Result<Option<Replay>, StoreError> {
    let record = store.record(REPLAYS, connector.as_bytes()).await?;
    Ok(record.and_then(|record| parse(&record.value)))
}

fn parse(value: &[u8]) -> Option<Replay> {
    let (asked, until) = value.split_first_chunk::<8>()?;
    let until = until.try_into().ok()?;
    let asked_micros = i64::from_be_bytes(*asked);
    Some(Replay { asked_micros, until: Seq(u64::from_be_bytes(until)) })
}

/// Keeps the one that is asked for now, before the cursor goes back: from then on it counts. Changes come again up to
/// here, or as far as an earlier replay had still to go.
pub(super) async fn begin(
    store: &dyn LicenceStore,
    connector: &str,
    cursor: Seq,
) -> Result<Replay, StoreError> {
    let before = read(store, connector).await?.map_or(Seq(0), |before| before.until);
    let asked_micros = Timestamp::now().as_microsecond();
    let replay = Replay { asked_micros, until: before.max(cursor) };
    let value = [asked_micros.to_be_bytes(), replay.until.0.to_be_bytes()].concat();
    let write = RecordWrite {
        collection: REPLAYS,
        key: connector.as_bytes().to_vec(),
        expected: Expected::Any,
        value: Some(value),
    };
    // It expects nothing, so it is never stale.
    let _ = store.commit(Commit { writes: vec![write], uses: Vec::new() }).await?;
    Ok(replay)
}
