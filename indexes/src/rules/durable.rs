//! What a store that outlives a crash keeps. Crashes of a whole process are for the
//! implementation's own tests; here writes fail in every way they can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use licence::{Seq, StatusChange};

use super::append;
use super::sample::{a_use, fall, identifier, licence, now, order, token};
use crate::{
    Collection, Commit, Expected, Fault, LicenceStore, NewEntry, RecordWrite, SetAside, StoreError,
    WriteFaults,
};

/// Makes the writes fail that it is told to.
#[derive(Debug, Default)]
pub struct FaultScript(AtomicU8);

impl FaultScript {
    /// What all writes do from now on.
    pub fn set(&self, fault: Fault) {
        let number = match fault {
            Fault::None => 0,
            Fault::Fail => 1,
            Fault::FailAfterwards => 2,
            Fault::FailUntilReopened => 3,
        };
        self.0.store(number, Ordering::SeqCst);
    }
}

impl WriteFaults for FaultScript {
    fn next(&self) -> Fault {
        match self.0.load(Ordering::SeqCst) {
            0 => Fault::None,
            1 => Fault::Fail,
            2 => Fault::FailAfterwards,
            _ => Fault::FailUntilReopened,
        }
    }
}

/// The promises of a durable store.
///
/// * `place`: a fresh, empty place.
/// * `open`: opens the store there, with writes that fail as scripted; opened again after the
///   store before was dropped.
pub async fn durable_store_rules<P, S: LicenceStore>(
    place: impl Fn() -> P,
    open: impl Fn(&P, Arc<FaultScript>) -> S,
) {
    everything_survives_reopening(&place(), &open).await;
    for fault in [Fault::Fail, Fault::FailAfterwards] {
        a_failed_write_leaves_a_clear_state(&place(), &open, fault).await;
        all_callers_of_a_failed_write_hear_of_it(&place(), &open, fault).await;
    }
}

async fn everything_survives_reopening<P, S: LicenceStore>(
    place: &P,
    open: &impl Fn(&P, Arc<FaultScript>) -> S,
) {
    let refused = SetAside { seq: Seq(1), code: "E".to_owned(), remark: "r".to_owned(), at: now() };
    let mut held = Vec::new();
    let mut used = Vec::new();
    for round in 0..3 {
        let store = open(place, Arc::default());
        assert_eq!(store.head().await.unwrap(), Seq(3 * round));
        assert_eq!(store.use_head().await.unwrap(), Seq(round));
        assert_eq!(store.page_of_licences(None, 10).await.unwrap(), held);
        assert_eq!(store.uses(Seq(0), 10).await.unwrap(), used);
        if round > 0 {
            assert_eq!(store.cursor("c").await.unwrap(), Some(Seq(round)));
            assert!(store.flag("f").await.unwrap());
            let aside = store.set_asides("s", 10).await.unwrap();
            assert_eq!(aside, std::slice::from_ref(&refused));
            assert_eq!(store.outcome(b"o").await.unwrap().as_deref(), Some(&b"bytes"[..]));
            assert!(store.manifest(&licence(0).digest).await.unwrap().is_some());
            assert!(store.grant(&format!("g{}", round - 1)).await.unwrap().is_some());
            let kept = store.record(CASES, b"one").await.unwrap().unwrap();
            assert_eq!((kept.revision, kept.value), (round, vec![7]));
        }
        let suspend = order(&licence(round), StatusChange::Suspend, "x");
        let fall = NewEntry::Trust(fall(&licence(round)));
        let entries = vec![NewEntry::Licence(licence(round)), NewEntry::Status(suspend), fall];
        let answers = store.append(entries).await.unwrap();
        assert_eq!(answers[2].as_ref().unwrap().seq, Seq(3 * round + 2));
        store.record_use(a_use(round, Some(&format!("g{round}")))).await.unwrap();
        store.save_cursor("c", Seq(round + 1)).await.unwrap();
        store.set_flag("f", true).await.unwrap();
        store.set_aside("s", refused.clone()).await.unwrap();
        store.save_outcome(b"o", b"bytes".to_vec(), now()).await.unwrap();
        store.put_manifest(&licence(0).digest, "m".into(), "s".into()).await.unwrap();
        store.commit(a_commit(round, 0)).await.unwrap().expect("it is as it was left");
        held = store.page_of_licences(None, 10).await.unwrap();
        used = store.uses(Seq(0), 10).await.unwrap();
    }
}

/// Every kind of write, failed: the call says so, then the same call again does what the first
/// should have done, without a number lost or used twice.
async fn a_failed_write_leaves_a_clear_state<P, S: LicenceStore>(
    place: &P,
    open: &impl Fn(&P, Arc<FaultScript>) -> S,
    fault: Fault,
) {
    let script = Arc::new(FaultScript::default());
    let store = open(place, Arc::clone(&script));
    append(&store, licence(1)).await;
    store.record_use(a_use(1, Some("g_first"))).await.unwrap();
    let took_effect = fault == Fault::FailAfterwards;
    let failed = |result: Result<(), StoreError>| {
        let error = result.expect_err("a failed write is an error");
        assert!(error.may_retry(), "{error}");
    };

    script.set(fault);
    let entries = vec![
        NewEntry::Licence(licence(2)),
        NewEntry::Status(order(&licence(2), StatusChange::Suspend, "x")),
        NewEntry::Trust(fall(&licence(2))),
    ];
    failed(store.append(entries.clone()).await.map(drop));
    let expected_head = if took_effect { Seq(4) } else { Seq(1) };
    assert_eq!(store.head().await.unwrap(), expected_head, "followers see what took effect");
    assert_eq!(store.licence(&identifier(2)).await.unwrap().is_some(), took_effect);
    assert_eq!(store.changes(Seq(0), 10).await.unwrap().len() as u64, expected_head.0);
    // While writes still fail only what took effect may be answered, and needs no write.
    if let Ok(answers) = store.append(entries.clone()).await {
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|one| !one.new)));
    }
    script.set(Fault::None);
    let answers = store.append(entries).await.unwrap();
    let numbers: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().map(|one| (one.seq, one.new))).collect();
    assert_eq!(numbers, [1, 2, 3].map(|seq| Ok((Seq(seq), !took_effect))));
    assert_eq!(append(&store, licence(3)).await.seq, Seq(4), "no number lost or used twice");

    script.set(fault);
    failed(store.record_use(a_use(2, Some("g_second"))).await.map(drop));
    assert_eq!(store.grant("g_second").await.unwrap().is_some(), took_effect);
    script.set(Fault::None);
    let recorded = store.record_use(a_use(2, Some("g_second"))).await.unwrap();
    assert_eq!(recorded, if took_effect { Seq(2) } else { Seq(1) });
    let grant = store.grant("g_second").await.unwrap().unwrap();
    assert_eq!(grant.opened_by.seq, recorded);
    let uses = store.uses(Seq(0), 10).await.unwrap();
    assert_eq!(uses.len() as u64, recorded.0 + 1);
    assert_eq!(store.uses_of_holder(&token(2), 10).await.unwrap().len() as u64, recorded.0);

    script.set(fault);
    failed(store.commit(a_commit(0, 1)).await.map(drop));
    assert_eq!(store.record(CASES, b"one").await.unwrap().is_some(), took_effect);
    script.set(Fault::None);
    // Made again, it is stale where it had taken effect: nothing is done twice.
    let again = store.commit(a_commit(0, 1)).await.unwrap();
    assert_eq!(again.is_err(), took_effect);
    assert_eq!(store.use_head().await.unwrap(), recorded.next().next(), "one use of the commit");
    let uses = store.uses(Seq(0), 10).await.unwrap();

    script.set(fault);
    failed(store.save_cursor("c", Seq(5)).await);
    failed(store.set_flag("f", true).await);
    failed(store.save_outcome(b"o", b"1".to_vec(), now()).await);
    failed(store.put_manifest(&licence(1).digest, "m".into(), "s".into()).await);
    let refused = SetAside { seq: Seq(1), code: "E".to_owned(), remark: "r".to_owned(), at: now() };
    failed(store.set_aside("s", refused.clone()).await);
    assert_eq!(store.cursor("c").await.unwrap(), took_effect.then_some(Seq(5)));
    assert_eq!(store.flag("f").await.unwrap(), took_effect);
    assert_eq!(store.outcome(b"o").await.unwrap().is_some(), took_effect);
    assert_eq!(store.manifest(&licence(1).digest).await.unwrap().is_some(), took_effect);
    assert_eq!(store.set_asides("s", 10).await.unwrap().len(), usize::from(took_effect));
    assert!(store.health().await.is_err(), "a store that cannot write says so");
    script.set(Fault::None);
    store.save_cursor("c", Seq(5)).await.unwrap();
    store.health().await.expect("a store that writes again says so");
    store.set_flag("f", true).await.unwrap();
    store.save_outcome(b"o", b"1".to_vec(), now()).await.unwrap();
    store.put_manifest(&licence(1).digest, "m".into(), "s".into()).await.unwrap();
    store.set_aside("s", refused).await.unwrap();

    let changes = store.changes(Seq(0), 10).await.unwrap();
    drop(store);
    let store = open(place, Arc::default());
    assert_eq!(store.changes(Seq(0), 10).await.unwrap(), changes);
    assert_eq!(store.uses(Seq(0), 10).await.unwrap(), uses);
    assert_eq!(store.cursor("c").await.unwrap(), Some(Seq(5)));
    assert_eq!(append(&store, licence(4)).await.seq, Seq(5));
}

const CASES: Collection = Collection::new("cases");

/// A record at its next revision, with so many uses.
fn a_commit(revision: u64, uses: u64) -> Commit {
    let expected = match revision {
        0 => Expected::Absent,
        held => Expected::Revision(held),
    };
    let (key, value) = (b"one".to_vec(), Some(vec![7]));
    let write = RecordWrite { collection: CASES, key, expected, value };
    Commit { writes: vec![write], uses: (0..uses).map(|one| a_use(one, None)).collect() }
}

async fn all_callers_of_a_failed_write_hear_of_it<P, S: LicenceStore>(
    place: &P,
    open: &impl Fn(&P, Arc<FaultScript>) -> S,
    fault: Fault,
) {
    let script = Arc::new(FaultScript::default());
    let store = Arc::new(open(place, Arc::clone(&script)));
    script.set(fault);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..16 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let appended = store.append(vec![NewEntry::Licence(licence(caller))]).await;
            (appended.is_err(), store.record_use(a_use(caller, None)).await.is_err())
        });
    }
    let heard = callers.join_all().await;
    assert_eq!(heard, vec![(true, true); 16]);
    script.set(Fault::None);
    for caller in 0..16 {
        let took_effect = fault == Fault::FailAfterwards;
        assert_eq!(append(&*store, licence(caller)).await.new, !took_effect);
    }
    let mut numbers: Vec<_> = store.page_of_licences(None, 100).await.unwrap();
    numbers.sort_by_key(|one| one.seq);
    let numbers: Vec<_> = numbers.into_iter().map(|one| one.seq.0).collect();
    assert_eq!(numbers, (0..16).collect::<Vec<_>>());
}
