//! What the runner promises about changes that are sent once more, and about its history.

mod support;

use std::sync::Arc;

use connectors::{Filter, Runner, RunnerHandle, RunnerSettings, TypeFilter, rules::samples};
use indexes::{LicenceStore, MemoryStore, Settled};
use jiff::Timestamp;
use licence::Seq;
use support::{
    caught_up, cursor,
    faulty_store::{Call, Fault, FaultyStore},
    issue, issue_of, quick,
    scripted::Script,
    set_asides, until,
};

fn memory() -> Arc<dyn LicenceStore> {
    Arc::new(MemoryStore::new())
}

fn run(store: &Arc<dyn LicenceStore>, script: &Script, settings: RunnerSettings) -> RunnerHandle {
    Runner::start(store.clone(), script.connector(), settings)
}

fn seqs(numbers: impl IntoIterator<Item = u64>) -> Vec<Seq> {
    numbers.into_iter().map(Seq).collect()
}

async fn all_sent_again(runner: &RunnerHandle, delivered: u64) {
    until(runner, |state| state.delivered == delivered && state.resending == 0).await;
}

#[tokio::test]
async fn just_the_changes_asked_for_are_sent_once_more_in_the_order_of_numbers() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 50).await;
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;

    runner.resend(seqs([40, 7, 8, 7, 9])).await.unwrap();
    all_sent_again(&runner, 54).await;
    assert_eq!(script.arrived()[50..], [7, 8, 9, 40]);
    assert_eq!(cursor(&store, "city").await, Some(Seq(50)), "the feed is not moved by it");

    let beyond = runner.resend(seqs([3, 50])).await.unwrap_err();
    assert_eq!(beyond.code(), "replay_beyond_head");
    assert_eq!(script.arrived().len(), 54);
}

#[tokio::test]
async fn new_changes_do_not_wait_for_a_long_queue() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 1_000).await;
    let runner = run(&store, &script, RunnerSettings { batch: 10, ..quick() });
    caught_up(&runner, &*store).await;
    runner.pause().await.unwrap();
    runner.resend(seqs(0..1_000)).await.unwrap();
    until(&runner, |state| state.resending == 1_000).await;
    issue(&*store, 1_000, 40).await;
    runner.resume().await.unwrap();
    all_sent_again(&runner, 2_040).await;
    let arrived = script.arrived();
    let last_new = arrived.iter().rposition(|seq| *seq == 1_039).unwrap();
    assert!(last_new < 1_100, "a batch from the queue for each new batch: {last_new}");
    let again: Vec<u64> = arrived[1_000..].iter().copied().filter(|seq| *seq < 1_000).collect();
    assert_eq!(again, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_queue_outlives_a_restart_and_is_left_only_after_delivery() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 30).await;
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    script.down(true);
    runner.resend(seqs([1, 2])).await.unwrap();
    until(&runner, |state| state.is_failing() && state.resending == 2).await;
    runner.stop().await;

    script.down(false);
    script.refuse_records(&[2]);
    let runner = run(&store, &script, quick());
    all_sent_again(&runner, 1).await;
    assert_eq!(script.arrived()[30..], [1]);
    assert_eq!(set_asides(&*store, "city").await, [(2, "not_this_one".to_owned())]);
}

#[tokio::test]
async fn what_is_still_to_go_through_the_feed_waits_for_that() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 10).await;
    script.down(true);
    let runner = run(&store, &script, quick());
    until(&runner, |state| state.is_failing()).await;
    runner.resend(seqs([8])).await.unwrap();
    until(&runner, |state| state.resending == 1).await;
    script.down(false);
    all_sent_again(&runner, 11).await;
    assert_eq!(script.arrived(), (0..10).chain([8]).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_does_not_go_there_is_not_sent_again_either() {
    let [first, second] = samples::types();
    let (store, script) = (memory(), Script::new("city"));
    issue_of(&*store, 0, 3, first).await;
    issue_of(&*store, 3, 3, second).await;
    let filter = Filter::new(TypeFilter::Only([second].into()), None, None);
    let runner = run(&store, &script, RunnerSettings { filter, ..quick() });
    caught_up(&runner, &*store).await;
    runner.resend(seqs(0..6)).await.unwrap();
    all_sent_again(&runner, 6).await;
    assert_eq!(script.arrived(), [3, 4, 5, 3, 4, 5]);
}

#[tokio::test]
async fn what_is_refused_after_it_was_put_into_the_queue_is_not_settled_by_it() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 10).await;
    script.clock(1_000_000_000_000);
    script.reply(1_000_000, 3, "first");
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    until(&runner, |state| state.set_aside == 1).await;

    // It arrives, its answer is lost, and the counterpart says in a reply that it does not take it.
    script.unreachable_with(&[3, 4]);
    runner.resend(seqs([3, 4])).await.unwrap();
    until(&runner, |state| state.is_failing()).await;
    script.reply(2_000_000, 3, "second");
    for _ in 0..200 {
        if store.set_asides("city", 9).await.unwrap()[0].remark == "second" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    script.unreachable_with(&[]);
    all_sent_again(&runner, 12).await;
    let open = store.set_asides("city", 9).await.unwrap();
    assert_eq!((open.len(), open[0].remark.as_str()), (1, "second"));

    runner.resend(seqs([3])).await.unwrap();
    until(&runner, |state| state.set_aside == 0).await;
}

#[tokio::test]
async fn what_a_replay_takes_is_settled_also_when_the_program_ended_meanwhile() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 10).await;
    script.refuse_records(&[3, 7]);
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    until(&runner, |state| state.set_aside == 2).await;

    script.down(true);
    runner.replay(Seq(0)).await.unwrap();
    until(&runner, |state| state.is_failing()).await;
    // It ends without a word, before anything was sent again.
    drop(runner);
    // 7 is refused once more, and 5 now too.
    script.refuse_records(&[5, 7]);
    script.down(false);
    let runner = run(&store, &script, quick());
    caught_up(&runner, &*store).await;
    let open: Vec<u64> = set_asides(&*store, "city").await.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(open, [5, 7]);
    let settled = store.settled("city", None, 9).await.unwrap();
    let settled: Vec<_> = settled.iter().map(|one| (one.refused.seq, one.how)).collect();
    assert_eq!(settled, [(Seq(3), Settled::Replayed)]);

    // Once it is through, an end of the program has nothing settled that was refused since.
    drop(runner);
    let runner = run(&store, &script, quick());
    issue(&*store, 10, 1).await;
    caught_up(&runner, &*store).await;
    assert_eq!(set_asides(&*store, "city").await.len(), 2);
}

#[tokio::test]
async fn a_reply_about_a_change_that_there_is_not_is_passed_over() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 10).await;
    script.clock(1_000_000_000_000);
    script.reply(1_000_000, 10, "none");
    script.reply(1_000_001, u64::MAX, "none");
    script.reply(1_000_002, 9, "one");
    let runner = run(&store, &script, quick());
    until(&runner, |state| state.set_aside == 1).await;
    caught_up(&runner, &*store).await;
    assert_eq!(set_asides(&*store, "city").await, [(9, "error_row".to_owned())]);
}

#[tokio::test]
async fn failing_writes_lose_nothing_of_the_queue() {
    for call in [Call::Changes, Call::Licences, Call::SetAside, Call::Commit] {
        for fault in [Fault::WithoutEffect, Fault::WithEffect] {
            let (inner, script) = (memory(), Script::new("city"));
            issue(&*inner, 0, 40).await;
            let faulty = Arc::new(FaultyStore::new(inner.clone()));
            let store: Arc<dyn LicenceStore> = faulty.clone();
            let runner = run(&store, &script, RunnerSettings { batch: 4, ..quick() });
            caught_up(&runner, &*inner).await;
            runner.pause().await.unwrap();
            runner.resend(seqs(10..20)).await.unwrap();
            script.refuse_records(&[15]);
            faulty.fail(call, fault, 2);
            runner.resume().await.unwrap();
            until(&runner, |state| state.resending == 0 && state.set_aside == 1).await;
            runner.stop().await;

            let what = format!("{call:?} {fault:?}");
            assert_eq!(faulty.outstanding(), 0, "{what}: the fault was met");
            let mut again = script.arrived()[40..].to_vec();
            again.sort_unstable();
            again.dedup();
            assert_eq!(again, [10, 11, 12, 13, 14, 16, 17, 18, 19], "{what}");
        }
    }
}

#[tokio::test]
async fn the_history_starts_with_the_first_minute() {
    let (store, script) = (memory(), Script::new("city"));
    issue(&*store, 0, 10).await;
    script.down(true);
    let since = Timestamp::now();
    let runner = run(&store, &script, quick());
    until(&runner, |state| state.is_failing()).await;
    let history = runner.history(Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(history[0].at >= since && history[0].lag == 10, "{history:?}");
    assert!(runner.history(Timestamp::MAX).await.unwrap().is_empty());
}
