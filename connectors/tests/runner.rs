//! What the runner promises, on a counterpart that does as told.

mod support;

use std::{sync::Arc, time::Duration};

use connectors::{
    Filter, Runner, RunnerError, RunnerHandle, RunnerSettings, TypeFilter, rules::samples,
};
use indexes::{LicenceStore, MemoryStore};
use licence::{RevocationCause, Seq, StatusChange};
use support::{
    caught_up, change, cursor,
    faulty_store::{Call, Fault, FaultyStore},
    issue, issue_of, issue_unreadable, quick,
    scripted::Script,
    set_asides, until,
};

fn memory() -> Arc<dyn LicenceStore> {
    Arc::new(MemoryStore::new())
}

fn run(store: &Arc<dyn LicenceStore>, script: &Script, settings: RunnerSettings) -> RunnerHandle {
    Runner::start(store.clone(), script.connector(), settings)
}

fn numbers(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[tokio::test]
async fn every_change_arrives_once_in_order_in_bounded_batches() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 250).await;
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    issue(&*store, 250, 5).await;
    let state = caught_up(&runner, &*store).await;

    assert_eq!(script.arrived(), numbers(0..255));
    let sizes: Vec<usize> = script.batches().iter().map(|(_, seqs)| seqs.len()).collect();
    assert_eq!(sizes[..3], [100, 100, 50]);
    assert_eq!((state.delivered, state.lag, state.lag_seconds, state.set_aside), (255, 0, 0, 0));
    assert!(state.last_success.is_some() && state.last_error.is_none());
    assert_eq!(cursor(&store, "city").await, Some(Seq(255)));
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes_but_never_empty() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 10).await;
    let one = samples::licence(0, samples::types()[0]).to_bytes().len();
    let runner = run(&store, &script, RunnerSettings { batch_bytes: one * 3 + 2, ..quick() });
    caught_up(&runner, &*store).await;
    let sizes: Vec<usize> = script.batches().iter().map(|(_, seqs)| seqs.len()).collect();
    assert_eq!(sizes, [3, 3, 3, 1]);

    let other = Script::new("tiny");
    let runner = run(&store, &other, RunnerSettings { batch_bytes: 1, ..quick() });
    caught_up(&runner, &*store).await;
    assert_eq!(other.batches().len(), 10);
    assert_eq!(other.arrived(), numbers(0..10));
}

#[tokio::test]
async fn a_new_runner_goes_on_where_the_last_one_stopped() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 30).await;
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    runner.stop().await;
    issue(&*store, 30, 30).await;
    assert!(matches!(runner.pause().await, Err(RunnerError::Stopped)));

    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    assert_eq!(script.arrived(), numbers(0..60));
}

#[tokio::test]
async fn while_the_counterpart_is_down_the_cursor_stays_and_the_state_tells_why() {
    let (store, script) = (memory(), Script::new("city"));
    script.down(true);
    issue(&*store, 0, 7).await;
    let runner = run(&store, &script, quick());
    let state = until(&runner, |state| state.is_failing() && state.lag == 7).await;
    let error = state.last_error.unwrap();
    assert_eq!(error.code, "connection_lost");
    assert!(error.message.contains("scripted:1") && !error.advice.is_empty());
    assert_eq!((state.cursor, state.delivered), (Seq(0), 0));
    assert_eq!(cursor(&store, "city").await, None);

    script.down(false);
    let state = caught_up(&runner, &*store).await;
    assert_eq!(script.arrived(), numbers(0..7));
    assert!(
        state.last_success.unwrap() >= state.last_error.unwrap().at,
        "a past error stays to be read"
    );
}

#[tokio::test]
async fn a_counterpart_that_hangs_delays_no_other() {
    let store = memory();
    let (slow, fast) = (Script::new("slow"), Script::new("fast"));
    slow.hang(true);
    let slow_runner = run(&store, &slow, quick());
    let fast_runner = run(&store, &fast, quick());
    issue(&*store, 0, 500).await;
    caught_up(&fast_runner, &*store).await;
    assert_eq!(fast.arrived(), numbers(0..500));
    assert!(slow.arrived().is_empty());
    // Its state is kept up to date all the same.
    until(&slow_runner, |state| state.lag == 500).await;

    slow.hang(false);
    caught_up(&slow_runner, &*store).await;
    assert_eq!(slow.arrived(), numbers(0..500));
}

#[tokio::test]
async fn refused_records_are_set_aside_and_the_flow_goes_on() {
    let (store, script) = (memory(), Script::new("city"));
    script.refuse_records(&[3, 150]);
    issue(&*store, 0, 200).await;
    let runner = run(&store, &script, quick());
    let state = caught_up(&runner, &*store).await;
    until(&runner, |state| state.set_aside == 2).await;

    let expected: Vec<u64> = (0..200).filter(|seq| ![3, 150].contains(seq)).collect();
    assert_eq!(script.arrived(), expected);
    assert_eq!(state.delivered, 198);
    let records = runner.set_asides(10).await.unwrap();
    assert_eq!((records[0].seq, records[1].seq), (Seq(3), Seq(150)));
    assert_eq!((records[0].code.as_str(), records[0].remark.as_str()), ("not_this_one", "不接收"));
}

#[tokio::test]
async fn one_record_that_spoils_its_batch_is_found_and_set_aside() {
    for spoilt in [0, 41, 99] {
        let (store, script) = (memory(), Script::new("city"));
        script.refuse_batches_with(&[spoilt]);
        issue(&*store, 0, 120).await;
        let runner = run(&store, &script, quick());
        caught_up(&runner, &*store).await;
        let expected: Vec<u64> = (0..120).filter(|seq| *seq != spoilt).collect();
        assert_eq!(script.arrived(), expected);
        assert_eq!(set_asides(&*store, "city").await, [(spoilt, "batch_refused".to_owned())]);
        assert!(script.attempts() < 20, "halving takes few attempts: {}", script.attempts());
    }
}

#[tokio::test]
async fn a_counterpart_that_refuses_everything_does_not_drain_the_feed() {
    let (store, script) = (memory(), Script::new("city"));
    script.refuse_every_batch(true);
    issue(&*store, 0, 1_000).await;
    let runner = run(
        &store,
        &script,
        RunnerSettings {
            backoff_max: Duration::from_secs(60),
            backoff_min: Duration::from_secs(60),
            ..quick()
        },
    );
    let state = until(&runner, |state| state.is_failing()).await;
    let error = state.last_error.unwrap();
    assert_eq!(error.code, "every_record_refused");
    assert!(error.message.contains("100 records"), "{}", error.message);
    assert_eq!(set_asides(&*store, "city").await.len(), 100);
    assert_eq!(cursor(&store, "city").await, Some(Seq(100)));

    // Once the cause is gone an operator lets it go on, and sends again what was set aside.
    script.refuse_every_batch(false);
    runner.replay(Seq(0)).await.unwrap();
    caught_up(&runner, &*store).await;
    assert_eq!(script.arrived(), numbers(0..1_000));
}

/// As the two tests around, for a counterpart that takes batches and refuses each record of them: after a setting was
/// changed over there, or a code map here.
#[tokio::test]
async fn answers_that_refuse_every_record_do_not_drain_the_feed_either() {
    for batch in [1, 80, 100, 1_000] {
        let (store, script) = (memory(), Script::new("city"));
        let everything = numbers(0..1_000);
        script.refuse_records(&everything);
        issue(&*store, 0, 1_000).await;
        let minute = Duration::from_secs(60);
        let slow = RunnerSettings { batch, backoff_max: minute, backoff_min: minute, ..quick() };
        let runner = run(&store, &script, slow);
        let state = until(&runner, |state| state.is_failing()).await;
        let error = state.last_error.unwrap();
        assert_eq!(error.code, "every_record_refused");
        assert!(error.message.contains("100 records"), "{}", error.message);
        assert_eq!(set_asides(&*store, "city").await.len(), 100, "in batches of {batch}");
        assert_eq!(cursor(&store, "city").await, Some(Seq(100)));

        // Resumed too early: as many are tried once more.
        runner.resume().await.unwrap();
        until(&runner, |state| state.is_failing() && state.cursor == Seq(200)).await;
        assert_eq!(set_asides(&*store, "city").await.len(), 200);

        // Once the cause is gone the operator retries, which ends the minute's pause.
        script.refuse_records(&[]);
        runner.resend(everything[..200].iter().copied().map(Seq).collect()).await.unwrap();
        caught_up(&runner, &*store).await;
        until(&runner, |state| state.set_aside == 0 && state.resending == 0).await;
        let mut arrived = script.arrived();
        arrived.sort_unstable();
        assert_eq!(arrived, everything);
    }
}

/// It is the setting that counts, and one record that is taken between begins the count anew.
#[tokio::test]
async fn records_refused_between_others_are_set_aside_however_many_there_are() {
    let (store, script) = (memory(), Script::new("city"));
    let most: Vec<u64> = (0..300).filter(|seq| seq % 10 != 9).collect();
    script.refuse_records(&most);
    issue(&*store, 0, 300).await;
    let settings = RunnerSettings { batch: 7, stop_after_refused: 20, ..quick() };
    let runner = run(&store, &script, settings);
    let state = caught_up(&runner, &*store).await;
    assert!(state.last_error.is_none(), "{state:?}");
    assert_eq!(set_asides(&*store, "city").await.len(), most.len());
}

#[tokio::test]
async fn after_everything_was_refused_one_record_at_a_time_is_tried() {
    let (store, script) = (memory(), Script::new("city"));
    script.refuse_every_batch(true);
    issue(&*store, 0, 150).await;
    let runner = run(&store, &script, quick());
    until(&runner, |state| state.cursor == Seq(105)).await;
    script.refuse_every_batch(false);
    caught_up(&runner, &*store).await;
    let refused = set_asides(&*store, "city").await.len() as u64;
    assert_eq!(script.arrived(), numbers(refused..150), "it recovers by itself");
}

#[tokio::test]
async fn a_pause_is_obeyed_at_once_and_outlives_a_restart() {
    let (store, script) = (memory(), Script::new("city"));
    script.hang(true);
    issue(&*store, 0, 10).await;
    let runner = run(&store, &script, quick());
    script.begun(1).await;
    runner.pause().await.unwrap(); // although a delivery is under way
    assert!(runner.state().paused);
    script.hang(false);
    runner.stop().await;

    let runner = run(&store, &script, quick());
    until(&runner, |state| state.paused && state.lag == 10).await;
    issue(&*store, 10, 1).await;
    until(&runner, |state| state.lag == 11).await;
    assert!(script.arrived().is_empty());

    runner.resume().await.unwrap();
    let state = caught_up(&runner, &*store).await;
    assert!(!state.paused);
    assert_eq!(script.arrived(), numbers(0..11));
}

#[tokio::test]
async fn resuming_cuts_a_long_rest_short() {
    let (store, script) = (memory(), Script::new("city"));
    script.down(true);
    issue(&*store, 0, 1).await;
    let hour = Duration::from_secs(3_600);
    let runner =
        run(&store, &script, RunnerSettings { backoff_min: hour, backoff_max: hour, ..quick() });
    until(&runner, |state| state.is_failing()).await;
    script.down(false);
    runner.resume().await.unwrap();
    caught_up(&runner, &*store).await;
    assert_eq!(script.arrived(), [0]);
}

#[tokio::test]
async fn a_replay_starts_there_under_new_batch_ids() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 50).await;
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    let before = script.batches();

    let beyond = runner.replay(Seq(51)).await.unwrap_err();
    assert_eq!(beyond.code(), "replay_beyond_head");

    runner.replay(Seq(0)).await.unwrap();
    until(&runner, |state| state.delivered == 100).await;
    runner.replay(Seq(40)).await.unwrap();
    until(&runner, |state| state.delivered == 110).await;
    let arrived = script.arrived();
    assert_eq!(arrived[50..100], numbers(0..50));
    assert_eq!(arrived[100..], numbers(40..50));
    let again = script.batches()[before.len()..].to_vec();
    assert!(again.iter().all(|(id, _)| before.iter().all(|(other, _)| other != id)), "ids are new");
}

#[tokio::test]
async fn the_same_stretch_has_the_same_batch_id_after_a_restart() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 20).await;
    // Delivered, but the runner is stopped before it can save the cursor.
    let faulty = Arc::new(FaultyStore::new(store.clone()));
    faulty.fail(Call::SaveCursor, Fault::WithoutEffect, usize::MAX);
    let broken: Arc<dyn LicenceStore> = faulty;
    let runner = run(&broken, &script, quick());
    until(&runner, |state| state.is_failing()).await;
    runner.stop().await;
    assert_eq!(cursor(&store, "city").await, None);

    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    let batches = script.batches();
    assert!(batches.len() >= 2);
    assert!(batches.iter().all(|batch| *batch == batches[0]), "a repeat can be recognised");
}

/// For each write of the runner: it failed, or it failed but took effect anyway. Nothing may be lost or skipped.
#[tokio::test]
async fn failing_writes_lose_nothing() {
    for call in [Call::Changes, Call::Licences, Call::SaveCursor, Call::SetAside, Call::SaveOutcome]
    {
        for fault in [Fault::WithoutEffect, Fault::WithEffect] {
            for times in [1, 3] {
                let (inner, script) = (memory(), Script::new("city"));
                script.refuse_records(&[5, 30]);
                script.reply(10, 2, "复核不通过");
                script.clock(1_000);
                issue(&*inner, 0, 40).await;
                let faulty = Arc::new(FaultyStore::new(inner.clone()));
                faulty.fail(call, fault, times);
                let store: Arc<dyn LicenceStore> = faulty.clone();
                let runner = run(&store, &script, RunnerSettings { batch: 10, ..quick() });
                caught_up(&runner, &*inner).await;
                until(&runner, |state| state.set_aside == 3).await;
                runner.stop().await;

                let what = format!("{call:?} {fault:?} {times}");
                assert!(faulty.outstanding() < times, "{what}: the fault was met");
                let mut arrived = script.arrived();
                arrived.sort_unstable();
                arrived.dedup();
                let expected: Vec<u64> = (0..40).filter(|seq| ![5, 30].contains(seq)).collect();
                assert_eq!(arrived, expected, "{what}");
                let set_aside: Vec<u64> =
                    set_asides(&*inner, "city").await.into_iter().map(|(seq, _)| seq).collect();
                assert_eq!(set_aside, [2, 5, 30], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn the_cursor_never_passes_a_refused_record_that_is_not_set_aside() {
    let (inner, script) = (memory(), Script::new("city"));
    script.refuse_records(&[0]);
    issue(&*inner, 0, 1).await;
    let faulty = Arc::new(FaultyStore::new(inner.clone()));
    faulty.fail(Call::SetAside, Fault::WithoutEffect, usize::MAX);
    let store: Arc<dyn LicenceStore> = faulty.clone();
    let runner = run(&store, &script, quick());
    let state = until(&runner, |state| state.is_failing()).await;
    assert_eq!(state.last_error.unwrap().code, "store_io");
    assert_eq!(cursor(&inner, "city").await, None);

    faulty.fail(Call::SetAside, Fault::WithoutEffect, 0);
    caught_up(&runner, &*inner).await;
    assert_eq!(set_asides(&*inner, "city").await.len(), 1);
}

#[tokio::test]
async fn only_the_agreed_types_go_there() {
    let [first, second] = samples::types();
    for (types, expected) in [
        (TypeFilter::All, numbers(0..30)),
        (TypeFilter::Only([second].into()), numbers(10..20)),
        (TypeFilter::Except([second].into()), numbers(0..10).into_iter().chain(20..30).collect()),
    ] {
        let (store, script) = (memory(), Script::new("city"));
        issue_of(&*store, 0, 10, first).await;
        issue_of(&*store, 10, 10, second).await;
        issue_of(&*store, 20, 10, first).await;
        let runner =
            run(&store, &script, RunnerSettings { filter: of_types(types), batch: 4, ..quick() });
        caught_up(&runner, &*store).await;
        assert_eq!(script.arrived(), expected);
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_set_aside_not_skipped() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 2).await;
    issue_unreadable(&*store, 2).await;
    issue(&*store, 3, 2).await;
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    assert_eq!(script.arrived(), [0, 1, 3, 4]);
    assert_eq!(set_asides(&*store, "city").await, [(2, "document_unreadable".to_owned())]);
}

#[tokio::test]
async fn each_reply_is_handled_once() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 10).await;
    script.clock(5_000_000);
    for (micros, seq) in
        [(1_000_000, 1), (1_000_000, 2), (2_000_000, 3), (2_000_000, 4), (3_000_000, 5)]
    {
        script.reply(micros, seq, "第一次");
    }
    let runner = run(&store, &script, quick());
    until(&runner, |state| state.set_aside == 5).await;
    runner.stop().await;

    // Handled already, so it is not handled again, whatever it says now: its place is the same.
    let (again, runner) = {
        let again = Script::new("city");
        again.clock(9_000_000);
        again.reply(1_000_000, 1, "第二次");
        // One with a time before the last: committed late. One with a time to come. One that comes after that.
        again.reply(2_500_000, 6, "晚到");
        again.reply(99_000_000, 7, "未来");
        let runner = run(&store, &again, quick());
        (again, runner)
    };
    until(&runner, |state| state.set_aside == 7).await;
    again.reply(9_500_000, 8, "其后");
    again.clock(9_600_000);
    until(&runner, |state| state.set_aside == 8).await;
    let remarks: Vec<String> =
        runner.set_asides(20).await.unwrap().into_iter().map(|record| record.remark).collect();
    assert_eq!(remarks, ["第一次", "第一次", "第一次", "第一次", "第一次", "晚到", "未来", "其后"]);
    assert_eq!(script.arrived(), numbers(0..10), "a reply stops no delivery");
}

#[tokio::test]
async fn reconciling_counts_valid_licences_of_the_shared_types() {
    let [first, second] = samples::types();
    let (store, script) = (memory(), Script::new("city"));
    let licences = issue_of(&*store, 0, 6, first).await;
    issue_of(&*store, 6, 2, second).await;
    change(&*store, &licences[0], StatusChange::Suspend).await;
    change(&*store, &licences[1], StatusChange::Revoke { cause: RevocationCause::Annulled }).await;
    change(&*store, &licences[2], StatusChange::Suspend).await;
    change(&*store, &licences[2], StatusChange::Restore).await;
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;

    script.counts(&[(first, 4), (second, 2)]);
    let agreed = runner.reconcile().await.unwrap();
    assert!(agreed.agrees);
    assert_eq!((agreed.lag, agreed.set_aside, agreed.types.len()), (0, 0, 2));

    script.counts(&[(first, 5)]);
    let differs = runner.reconcile().await.unwrap();
    assert!(!differs.agrees);
    let mut found: Vec<_> = differs
        .types
        .iter()
        .map(|count| (count.licence_type, count.ours, count.theirs, count.difference))
        .collect();
    found.sort_by_key(|count| count.1);
    assert_eq!(found, [(second, 2, 0, -2), (first, 4, 5, 1)]);

    let only = run(
        &store,
        &Script::new("other"),
        RunnerSettings { filter: of_types(TypeFilter::Only([second].into())), ..quick() },
    );
    caught_up(&only, &*store).await;
    let counted = only.reconcile().await.unwrap();
    assert_eq!(counted.types.iter().map(|count| count.ours).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn the_age_of_the_oldest_waiting_change_is_told() {
    let (store, script) = (memory(), Script::new("city"));
    script.down(true);
    issue(&*store, 0, 1).await;
    let runner = run(&store, &script, quick());
    let state = until(&runner, |state| state.lag_seconds >= 1).await;
    assert_eq!(state.lag, 1);
    script.down(false);
    caught_up(&runner, &*store).await;
    until(&runner, |state| state.lag_seconds == 0 && state.lag == 0).await;
}

#[tokio::test]
async fn dropping_the_handle_ends_the_runner() {
    let (store, script) = (memory(), Script::new("city"));
    let runner = run(&store, &script, quick());
    let mut watch = runner.watch();
    drop(runner);
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        while watch.changed().await.is_ok() {}
    });
    ended.await.expect("the task ends");
}

fn of_types(types: TypeFilter) -> Filter {
    Filter::new(types, None, None)
}
