//! Compares both sides every day, at the time that a connector's settings name.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp, civil::Time, tz::Offset};

use super::{
    OpsError, Trigger,
    reports::{compare, reconciliations},
};
use crate::Hub;

/// How often it is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// So long after its time it is still made up for: a counterpart, or the hub, may have been down.
const MADE_UP_FOR: SignedDuration = SignedDuration::from_hours(6);
/// How long one may take.
const LONGEST: Duration = Duration::from_secs(2 * 3_600);
/// The pause after one that failed.
const PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// Starts looking, if a connector names a time; until the hub closes.
pub fn start(hub: &Arc<Hub>) {
    if hub.connectors.values().all(|runner| runner.reconcile_at().is_none()) {
        return;
    }
    let (stop, hub) = (hub.stopping(), Arc::downgrade(hub));
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = look_again(&hub) => {}
        }
    });
}

/// Weak, so that a hub which nobody closes does not live on through this.
async fn look_again(hub: &Weak<Hub>) {
    let mut resting = Resting::default();
    loop {
        let Some(hub) = hub.upgrade() else { return };
        look(&hub, &mut resting).await;
        drop(hub);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Until when connectors are not compared by schedule again, by name.
#[derive(Debug, Default)]
pub struct Resting(BTreeMap<String, Timestamp>);

/// Compares both sides of each connector whose time has come by the hub's clock, one after the other.
pub async fn look(hub: &Hub, resting: &mut Resting) {
    let times = hub
        .connectors
        .iter()
        .filter_map(|(name, runner)| runner.reconcile_at().map(|at| (name.clone(), at)));
    for (name, at) in times.collect::<Vec<_>>() {
        let now = hub.clock.now();
        let rests = resting.0.get(&name).is_some_and(|until| now < *until);
        if rests || !is_due(at, now, last(hub, &name).await) {
            continue;
        }
        // One that hangs, or has a defect, keeps no other from being compared.
        let compared = AssertUnwindSafe(compare(hub, &name, Trigger::Schedule)).catch_unwind();
        match tokio::time::timeout(LONGEST, compared).await {
            Err(_) => tracing::warn!(connector = name, "the daily comparison took too long"),
            Ok(Err(_)) => tracing::error!(connector = name, "the daily comparison met a defect"),
            Ok(Ok(Ok(_) | Err(OpsError::Reconciling))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(
                    connector = name,
                    error.code = error.code(),
                    "the daily comparison failed; it is tried again"
                );
            }
        }
        // Also after one that succeeded: a report that could not be kept must not have it made over and over.
        resting.0.insert(name, hub.clock.now() + PAUSE);
    }
}

/// When both sides were last compared because it was time.
async fn last(hub: &Hub, name: &str) -> Option<Timestamp> {
    let reports = reconciliations(hub, name, 20).await.ok()?;
    let mut of_schedule = reports.into_iter().filter(|one| one.trigger == Trigger::Schedule);
    of_schedule.next().map(|report| report.found.at)
}

/// Whether it is time: today's time in China is past, though not by more than six hours, and nothing was compared since.
fn is_due(at: Time, now: Timestamp, last: Option<Timestamp>) -> bool {
    let china = Offset::constant(8);
    let today = china.to_datetime(now).date();
    [today, today.yesterday().unwrap_or(today)].into_iter().any(|day| {
        let due = china.to_timestamp(day.to_datetime(at));
        due.is_ok_and(|due| {
            due <= now && now < due + MADE_UP_FOR && last.is_none_or(|last| last < due)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_due_once_a_day_and_made_up_for_until_the_morning() {
        let at = |text: &str| format!("2026-03-02T{text}+08:00").parse::<Timestamp>().unwrap();
        let half_past_two = Time::constant(2, 30, 0, 0);
        assert!(!is_due(half_past_two, at("02:29:59"), None));
        assert!(is_due(half_past_two, at("02:30:00"), None));
        assert!(is_due(half_past_two, at("08:29:59"), None), "the hub was down at night");
        assert!(!is_due(half_past_two, at("08:30:00"), None), "not in working hours");
        assert!(!is_due(half_past_two, at("03:00:00"), Some(at("02:30:01"))));
        let yesterday = at("02:30:05") - SignedDuration::from_hours(24);
        assert!(is_due(half_past_two, at("02:30:00"), Some(yesterday)));
        let before_midnight = Time::constant(23, 30, 0, 0);
        assert!(is_due(before_midnight, at("00:10:00"), None), "of the day before");
    }
}
