//! The hours in which records may be sent, by a clock that a test sets.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use connectors::{Runner, RunnerHandle, RunnerSettings, Window};
use indexes::{LicenceStore, MemoryStore};
use jiff::Timestamp;
use licence::Seq;
use support::{caught_up, issue, quick, scripted::Script, set_asides, until};

/// A clock that stands still until it is set.
struct StandingClock(Arc<AtomicI64>);

impl StandingClock {
    /// A clock that shows this time in China.
    fn at(time: &str) -> Self {
        let clock = Self(Arc::default());
        clock.set(time);
        clock
    }

    fn set(&self, time: &str) {
        let at: Timestamp = format!("2025-03-01T{time}:00+08:00").parse().unwrap();
        self.0.store(at.as_second(), Ordering::SeqCst);
    }

    fn run(
        &self,
        store: &Arc<dyn LicenceStore>,
        script: &Script,
        window: &str,
        settings: RunnerSettings,
    ) -> RunnerHandle {
        let windows = vec![Window::parse(window).unwrap()];
        let settings = RunnerSettings { windows, ..settings };
        let seconds = self.0.clone();
        let clock = move || Timestamp::from_second(seconds.load(Ordering::SeqCst)).unwrap();
        Runner::start_by_clock(store.clone(), script.connector(), settings, Arc::new(clock))
    }
}

/// Some looks at the clock later.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

fn memory() -> Arc<dyn LicenceStore> {
    Arc::new(MemoryStore::new())
}

#[tokio::test]
async fn hours_that_begin_let_the_connector_go_on() {
    let (store, script, clock) = (memory(), Script::new("city"), StandingClock::at("20:15"));
    issue(&*store, 0, 150).await;
    let runner = clock.run(&store, &script, "22:00-06:00", quick());
    let state = until(&runner, |state| state.opens_at.is_some() && state.lag == 150).await;
    assert_eq!(state.opens_at.unwrap().to_string(), "2025-03-01T14:00:00Z");
    clock.set("21:59");
    a_while().await;
    assert_eq!(script.has_begun(), 0);
    clock.set("22:00");
    let state = caught_up(&runner, &*store).await;
    assert_eq!(state.opens_at, None, "they are open");
    assert_eq!(script.arrived().len(), 150);
}

#[tokio::test]
async fn hours_that_end_hold_what_is_left_until_they_begin_again() {
    let (store, script, clock) = (memory(), Script::new("city"), StandingClock::at("16:59"));
    issue(&*store, 0, 500).await;
    script.hang(true);
    let runner = clock.run(&store, &script, "08:30-17:00", RunnerSettings { batch: 50, ..quick() });
    script.begun(1).await;
    // While a batch is under way, which arrives all the same.
    clock.set("17:00");
    script.hang(false);
    let state = until(&runner, |state| state.opens_at.is_some()).await;
    assert_eq!((state.cursor, script.has_begun()), (Seq(50), 1));
    assert!(state.last_error.is_none(), "it is no failure");
    for time in ["23:59", "00:00", "08:29"] {
        clock.set(time);
        a_while().await;
        assert_eq!(script.has_begun(), 1, "{time}");
    }
    clock.set("08:30");
    caught_up(&runner, &*store).await;
    assert_eq!(script.arrived(), (0..500).collect::<Vec<_>>());
}

/// Outside its hours a counterpart is not spoken to at all.
#[tokio::test]
async fn what_a_counterpart_says_later_is_read_within_its_hours() {
    let (store, script, clock) = (memory(), Script::new("city"), StandingClock::at("16:50"));
    issue(&*store, 0, 20).await;
    let runner = clock.run(&store, &script, "08:30-17:00", quick());
    caught_up(&runner, &*store).await;
    clock.set("17:00");
    until(&runner, |state| state.opens_at.is_some()).await;
    script.reply(5, 3, "退回");
    a_while().await;
    assert!(set_asides(&*store, "city").await.is_empty());
    clock.set("08:30");
    until(&runner, |state| state.set_aside == 1).await;
}
