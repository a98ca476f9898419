//! How a connector did over the last two days, minute by minute.

use std::sync::Arc;

use indexes::{Collection, Commit, Expected, LicenceStore, RecordWrite, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Connector's name · NUL · minutes since 1970 (8 bytes, big-endian) → a [`Sample`] in JSON.
const HISTORY: Collection = Collection::new("connector_history");

/// How long samples are kept, in minutes: 48 hours.
const KEPT_MINUTES: u64 = 48 * 60;

/// How a connector did in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was taken.
    pub at: Timestamp,
    /// Changes still to go through then.
    pub lag: u64,
    /// Age in seconds of the oldest of them.
    pub lag_seconds: u64,
    /// Records delivered since the sample before, or since the start of the program.
    pub delivered: u64,
    /// Attempts that failed since then.
    pub failures: u64,
}

/// The minute of a moment.
pub(super) fn minute(at: Timestamp) -> u64 {
    u64::try_from(at.as_second() / 60).unwrap_or(0)
}

/// Keeps a sample, and removes those that are too old. A second one of the same minute (after a restart) is added up.
pub(super) async fn keep(
    store: &dyn LicenceStore,
    connector: &str,
    sample: &Sample,
) -> Result<(), StoreError> {
    let minute = minute(sample.at);
    let mut sample = sample.clone();
    if let Some(before) = store.record(HISTORY, &key(connector, minute)).await?
        && let Ok(before) = serde_json::from_slice::<Sample>(&before.value)
    {
        sample.delivered += before.delivered;
        sample.failures += before.failures;
    }
    let mut writes = vec![RecordWrite {
        collection: HISTORY,
        key: key(connector, minute),
        expected: Expected::Any,
        value: Some(serde_json::to_vec(&sample).expect("numbers and a time can be written")),
    }];
    let last_gone = key(connector, minute.saturating_sub(KEPT_MINUTES));
    let oldest = store.records(HISTORY, &key_prefix(connector), None, 100).await?;
    let old = oldest.into_iter().map(|record| record.key).filter(|key| *key <= last_gone);
    writes.extend(old.map(|key| RecordWrite {
        collection: HISTORY,
        key,
        expected: Expected::Any,
        value: None,
    }));
    // It expects nothing, so it is never stale.
    let _ = store.commit(Commit { writes, uses: Vec::new() }).await?;
    Ok(())
}

/// Samples that were read before. A page is shown every two seconds, and there is a new one a minute.
#[derive(Clone, Default)]
pub(super) struct History {
    /// From when on.
    since: Option<Timestamp>,
    samples: Arc<Vec<Sample>>,
}

impl History {
    /// The samples from this moment on, oldest first.
    pub(super) fn since(&self, since: Timestamp) -> Vec<Sample> {
        let first = self.samples.partition_point(|sample| sample.at < since);
        self.samples[first..].to_vec()
    }
}

/// What is known, with what came since and without what is older than `since`. Reads everything if less is known.
pub(super) async fn go_on(
    store: &dyn LicenceStore,
    connector: &str,
    mut known: History,
    since: Timestamp,
) -> Result<History, StoreError> {
    let last = known.samples.last().map(|sample| minute(sample.at));
    let Some(last) = last.filter(|_| known.since.is_some_and(|known| known <= since)) else {
        let samples = Arc::new(read(store, connector, since).await?);
        return Ok(History { since: Some(since), samples });
    };
    // The last one may have been added to since.
    let from = i64::try_from(last * 60).ok().and_then(|from| Timestamp::from_second(from).ok());
    let new = read(store, connector, from.unwrap_or(since)).await?;
    let samples = Arc::make_mut(&mut known.samples);
    samples.retain(|sample| sample.at >= since && minute(sample.at) < last);
    samples.extend(new.into_iter().filter(|sample| sample.at >= since));
    known.since = Some(since);
    Ok(known)
}

/// The samples from this moment on, oldest first.
async fn read(
    store: &dyn LicenceStore,
    connector: &str,
    since: Timestamp,
) -> Result<Vec<Sample>, StoreError> {
    // Keys after the one before the first minute wanted.
    let after = minute(since).checked_sub(1).map(|minute| key(connector, minute));
    let limit = KEPT_MINUTES as usize + 200; // old ones are removed a hundred at a time
    let records = store.records(HISTORY, &key_prefix(connector), after.as_deref(), limit).await?;
    let samples = records.iter().filter_map(|record| serde_json::from_slice(&record.value).ok());
    Ok(samples.filter(|sample: &Sample| sample.at >= since).collect())
}

fn key_prefix(connector: &str) -> Vec<u8> {
    [connector.as_bytes(), &[0]].concat()
}

fn key(connector: &str, minute: u64) -> Vec<u8> {
    [connector.as_bytes(), &[0], &minute.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use indexes::MemoryStore;

    use super::*;

    fn sample(minutes: i64, delivered: u64) -> Sample {
        Sample {
            at: Timestamp::from_second(1_740_787_200 + minutes * 60 + 7).expect("a time"),
            lag: 3,
            lag_seconds: 1,
            delivered,
            failures: 1,
        }
    }

    #[tokio::test]
    async fn samples_are_kept_for_two_days() {
        let store = MemoryStore::new();
        for minutes in [-60, 0, 1, 2, 2_879] {
            keep(&store, "city", &sample(minutes, 5)).await.expect("kept");
        }
        keep(&store, "city", &sample(2_880, 5)).await.expect("kept");
        keep(&store, "town", &sample(0, 5)).await.expect("kept");
        let read = |since| read(&store, "city", since);
        let all = read(Timestamp::UNIX_EPOCH).await.expect("read");
        let minutes: Vec<u64> =
            all.iter().map(|sample| minute(sample.at) - 1_740_787_200 / 60).collect();
        assert_eq!(minutes, [1, 2, 2_879, 2_880]);
        let later = read(sample(2, 0).at).await.expect("read");
        assert_eq!(later.len(), 3);
    }

    #[tokio::test]
    async fn what_was_read_before_is_gone_on_from_and_comes_to_the_same() {
        let store = MemoryStore::new();
        for minutes in 0..10 {
            keep(&store, "city", &sample(minutes, 5)).await.expect("kept");
        }
        let from = |minutes| sample(minutes, 0).at;
        let known = go_on(&store, "city", History::default(), from(2)).await.expect("read");
        assert_eq!(known.since(from(2)).len(), 8);
        // Of what is known, only the last one is read again: it may have been added to.
        let gone = RecordWrite {
            collection: HISTORY,
            key: key("city", minute(from(5))),
            expected: Expected::Any,
            value: None,
        };
        let _ = store.commit(Commit { writes: vec![gone], uses: Vec::new() }).await.expect("gone");
        keep(&store, "city", &sample(9, 6)).await.expect("kept");
        keep(&store, "city", &sample(10, 5)).await.expect("kept");
        let known = go_on(&store, "city", known, from(3)).await.expect("read");
        let found = known.since(from(3));
        let delivered: Vec<u64> = found.iter().map(|sample| sample.delivered).collect();
        assert_eq!(delivered, [5, 5, 5, 5, 5, 5, 11, 5]);
        // Whoever wants more than is known has all of it read.
        let known = go_on(&store, "city", known, from(0)).await.expect("read");
        assert_eq!(known.since(from(0)), read(&store, "city", from(0)).await.expect("read"));
        assert_eq!(known.since(from(0)).len(), 10);
    }

    #[tokio::test]
    async fn a_restart_within_a_minute_loses_nothing() {
        let store = MemoryStore::new();
        for delivered in [5, 6] {
            keep(&store, "city", &sample(0, delivered)).await.expect("kept");
        }
        let all = read(&store, "city", Timestamp::UNIX_EPOCH).await.expect("read");
        assert_eq!(all, [Sample { failures: 2, ..sample(0, 11) }]);
    }
}
