//! What the runner promises about lanes, pace, hours and memory.

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use connectors::{
    Batch, Connector, Delivered, DeliveryError, Preview, Runner, RunnerHandle, RunnerSettings,
    Window,
    rules::samples::{self, sha256},
};
use indexes::{ChainRecordBytes, LicenceStore, MemoryStore, NewEntry, NewLicence, Proof};
use jiff::{Timestamp, ToSpan, tz::Offset};
use licence::{HolderId, HolderKind, LicenceId, LicenceTypeCode, Seq, Sha256Digest, StatusChange};
use support::{
    caught_up, change, cursor, faulty_store::FaultyStore, issue, issue_this, quick,
    scripted::Script, until,
};
use tokio::time::timeout;

fn memory() -> Arc<dyn LicenceStore> {
    Arc::new(MemoryStore::new())
}

fn run(store: &Arc<dyn LicenceStore>, script: &Script, settings: RunnerSettings) -> RunnerHandle {
    Runner::start(store.clone(), script.connector(), settings)
}

/// Takes in licences that have a holder each.
async fn issue_apart(store: &dyn LicenceStore, count: u64) -> Vec<LicenceId> {
    let mut identifiers = Vec::new();
    for number in 0..count {
        let mut licence = samples::licence(number, samples::types()[0]);
        licence.holders[0].id =
            HolderId::parse(HolderKind::OtherOrganisation, &format!("H{number}")).unwrap();
        issue_this(store, &licence).await;
        identifiers.push(licence.identifier);
    }
    identifiers
}

#[tokio::test]
async fn as_many_batches_are_under_way_as_the_settings_say() {
    let (store, script) = (memory(), Script::new("city"));
    script.hang(true);
    issue_apart(&*store, 90).await;
    let settings = RunnerSettings { concurrency: 3, batch: 10, ..quick() };
    let runner = run(&store, &script, settings);
    timeout(Duration::from_secs(20), script.begun(3)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(script.has_begun(), 3);
    script.hang(false);
    caught_up(&runner, &*store).await;
    let mut arrived = script.arrived();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..90).collect::<Vec<_>>(), "each once");
    assert!(script.batches().iter().all(|(_, seqs)| seqs.len() <= 10));
    assert_eq!(cursor(&store, "city").await, Some(Seq(90)));
}

#[tokio::test]
async fn the_changes_of_one_licence_arrive_in_order_whatever_the_lanes() {
    let (store, script) = (memory(), Script::new("city"));
    let licences = issue_apart(&*store, 12).await;
    for _ in 0..3 {
        for licence in &licences {
            change(&*store, licence, StatusChange::Suspend).await;
        }
        for licence in licences.iter().rev() {
            change(&*store, licence, StatusChange::Restore).await;
        }
    }
    let changes = store.changes(Seq(0), 1_000).await.unwrap();
    let settings = RunnerSettings { concurrency: 5, batch: 7, ..quick() };
    let runner = run(&store, &script, settings);
    caught_up(&runner, &*store).await;
    let arrived = script.arrived();
    assert_eq!(arrived.len(), changes.len());
    for licence in &licences {
        let of_licence: Vec<u64> = arrived
            .iter()
            .copied()
            .filter(|seq| changes[*seq as usize].identifier() == licence)
            .collect();
        assert!(of_licence.is_sorted(), "{of_licence:?}");
    }
}

#[tokio::test]
async fn a_lane_that_fails_holds_the_cursor_and_the_others_are_not_sent_again() {
    let (store, script) = (memory(), Script::new("city"));
    issue_apart(&*store, 40).await;
    script.unreachable_with(&[4]);
    let settings = RunnerSettings { concurrency: 4, batch: 10, ..quick() };
    let runner = run(&store, &script, settings);
    let state = until(&runner, |state| state.is_failing() && state.delivered == 30).await;
    assert!(state.cursor <= Seq(4), "{:?}", state.cursor);
    script.unreachable_with(&[]);
    caught_up(&runner, &*store).await;
    let mut arrived = script.arrived();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_pace_is_kept() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 300).await;
    let start = Instant::now();
    let settings = RunnerSettings { pace: Some(200), batch: 1_000, ..quick() };
    let runner = run(&store, &script, settings);
    caught_up(&runner, &*store).await;
    let sizes: Vec<usize> = script.batches().iter().map(|(_, seqs)| seqs.len()).collect();
    assert_eq!(sizes, [200, 100]);
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn outside_of_its_hours_a_counterpart_is_left_alone() {
    let window = |from_hours: i64, to_hours: i64| {
        let clock = |hours: i64| {
            let at = Timestamp::now().checked_add(hours.hours()).unwrap();
            Offset::constant(8).to_datetime(at).strftime("%H:%M").to_string()
        };
        Window::parse(&format!("{}-{}", clock(from_hours), clock(to_hours))).unwrap()
    };
    let (store, open, closed) = (memory(), Script::new("open"), Script::new("closed"));
    issue(&*store, 0, 10).await;
    let runner = run(&store, &open, RunnerSettings { windows: vec![window(-1, 1)], ..quick() });
    let other = run(&store, &closed, RunnerSettings { windows: vec![window(2, 3)], ..quick() });
    let state = caught_up(&runner, &*store).await;
    assert_eq!(state.opens_at, None);

    let state = until(&other, |state| state.opens_at.is_some() && state.lag == 10).await;
    let wait = state.opens_at.unwrap().duration_since(Timestamp::now()).as_mins();
    assert!((118..=120).contains(&wait), "{wait}");
    assert_eq!(closed.has_begun(), 0);
    assert!(!state.is_failing());
}

#[tokio::test]
async fn however_far_a_counterpart_lags_two_stretches_are_read_and_no_more() {
    let inner = memory();
    let faulty = Arc::new(FaultyStore::new(inner.clone()));
    let (slow, fast) = (Script::new("slow"), Script::new("fast"));
    slow.hang(true);
    issue(&*inner, 0, 2_000).await;
    let store: Arc<dyn LicenceStore> = faulty.clone();
    let runner = run(&store, &slow, RunnerSettings { batch: 50, ..quick() });
    until(&runner, |state| state.lag == 2_000).await;
    // Appends and another counterpart go on meanwhile.
    let healthy = run(&inner, &fast, quick());
    for round in 0..10 {
        issue(&*inner, 2_000 + round * 20, 20).await;
        caught_up(&healthy, &*inner).await;
    }
    until(&runner, |state| state.lag == 2_200).await;
    assert_eq!(faulty.licences_read(), 100, "one is under way, one is read ahead");
    assert_eq!(fast.arrived().len(), 2_200);

    slow.hang(false);
    caught_up(&runner, &*inner).await;
    assert_eq!(slow.arrived(), (0..2_200).collect::<Vec<_>>());
}

/// Keeps what came with each batch.
#[derive(Clone, Default)]
struct Checker(Arc<Mutex<Vec<Manifests>>>);

/// The numbers of a batch's records, and the digests of the manifests that came with them.
type Manifests = (Vec<u64>, Vec<Sha256Digest>);

#[async_trait]
impl Connector for Checker {
    fn name(&self) -> &str {
        "checker"
    }

    fn kind(&self) -> &'static str {
        "checker"
    }

    fn wants_manifests(&self) -> bool {
        true
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let seqs = batch.items.iter().map(|item| item.seq().0).collect();
        for (digest, manifest) in &batch.manifests {
            assert_eq!(sha256(&manifest.document), *digest);
        }
        self.0.lock().unwrap().push((seqs, batch.manifests.keys().copied().collect()));
        Ok(Delivered::default())
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        Ok(BTreeMap::new())
    }

    fn preview(&self, _: &Batch) -> Result<Preview, DeliveryError> {
        Ok(Preview::default())
    }
}

/// Takes in two licences that this manifest is to prove.
async fn issue_by_manifest(store: &dyn LicenceStore, number: u64, document: &'static [u8]) {
    let manifest = sha256(document);
    let signature = Bytes::from_static(b"signature");
    store.put_manifest(&manifest, Bytes::from_static(document), signature).await.unwrap();
    for position in 0..2 {
        let licence = samples::licence(number + position, samples::types()[0]);
        let bytes = licence.to_bytes();
        let new = NewLicence {
            identifier: licence.identifier.clone(),
            licence_type: licence.licence_type,
            issuer: licence.issuer,
            holders: Vec::new(),
            project: None,
            number: licence.number.clone(),
            issued_on: licence.issued_on,
            digest: sha256(&bytes),
            document: Bytes::from(bytes),
            proof: Proof::Manifest { manifest, position: position as u32 },
            chain: ChainRecordBytes::default(),
            at: Timestamp::now(),
        };
        store.append(vec![NewEntry::Licence(new)]).await.unwrap()[0].as_ref().unwrap();
    }
}

#[tokio::test]
async fn a_batch_brings_the_manifests_its_proofs_name_to_those_who_want_them() {
    let store = memory();
    issue_by_manifest(&*store, 0, b"first").await;
    issue(&*store, 2, 2).await;
    issue_by_manifest(&*store, 4, b"second").await;
    let checker = Checker::default();
    let settings = RunnerSettings { batch: 3, ..quick() };
    let runner = Runner::start(store.clone(), Box::new(checker.clone()), settings);
    caught_up(&runner, &*store).await;
    let came = checker.0.lock().unwrap().clone();
    assert_eq!(
        came,
        [(vec![0, 1, 2], vec![sha256(b"first")]), (vec![3, 4, 5], vec![sha256(b"second")]),]
    );
}

#[tokio::test]
async fn large_manifests_are_few_at_a_time() {
    let store = memory();
    for (position, fill) in [b'a', b'b', b'c'].into_iter().enumerate() {
        let document: &'static [u8] = Box::leak(vec![fill; 10 << 20].into_boxed_slice());
        issue_by_manifest(&*store, position as u64 * 2, document).await;
    }
    let checker = Checker::default();
    let runner = Runner::start(store.clone(), Box::new(checker.clone()), quick());
    caught_up(&runner, &*store).await;
    let came = checker.0.lock().unwrap().clone();
    let seqs: Vec<_> = came.iter().map(|(seqs, manifests)| (seqs, manifests.len())).collect();
    assert_eq!(seqs, [(&vec![0, 1], 1), (&vec![2, 3], 1), (&vec![4, 5], 1)]);
}
