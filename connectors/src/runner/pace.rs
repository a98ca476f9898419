//! When the next records may be sent: pace and hours.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::Window;

/// At most so many records a second.
pub(super) struct Pace {
    per_second: Option<u64>,
    /// When what was sent has taken its time.
    free_at: Option<Instant>,
}

impl Pace {
    pub(super) fn new(per_second: Option<u64>) -> Self {
        Self { per_second, free_at: None }
    }

    /// The largest batch: what is sent at once is at most what goes in a second.
    pub(super) fn most(&self, batch: usize) -> usize {
        let second = self.per_second.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        second.map_or(batch, |second| second.min(batch)).max(1)
    }

    /// When the next batch may go, if not now.
    pub(super) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.free_at.filter(|free_at| *free_at > now)
    }

    /// So many records go now.
    pub(super) fn spend(&mut self, now: Instant, records: usize) {
        if let Some(per_second) = self.per_second {
            self.free_at = Some(now + Duration::from_secs_f64(records as f64 / per_second as f64));
        }
    }
}

/// How long until records may be sent; `None`: they may now.
pub(super) fn closed_for(windows: &[Window], at: Timestamp) -> Option<Duration> {
    let wait = windows.iter().map(|window| window.opens_in(at)).min()?;
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_spreads_batches_of_a_second_at_most() {
        let mut pace = Pace::new(Some(200));
        assert_eq!((pace.most(1_000), pace.most(50)), (200, 50));
        let start = Instant::now();
        assert_eq!(pace.not_before(start), None);
        pace.spend(start, 50);
        assert_eq!(pace.not_before(start), Some(start + Duration::from_millis(250)));
        let later = start + Duration::from_millis(250);
        assert_eq!(pace.not_before(later), None);
        pace.spend(later + Duration::from_secs(9), 200);
        let next = later + Duration::from_secs(10);
        assert_eq!(pace.not_before(later + Duration::from_secs(9)), Some(next));

        let mut free = Pace::new(None);
        free.spend(start, 1_000_000);
        assert_eq!((free.most(1_000), free.not_before(start)), (1_000, None));
    }

    #[test]
    fn records_may_be_sent_while_one_of_the_windows_is_open() {
        let windows: Vec<Window> =
            ["22:00-06:00", "12:00-13:30"].iter().filter_map(|text| Window::parse(text)).collect();
        let closed = |time: &str| {
            let at = format!("2025-03-01T{time}:00+08:00").parse().expect("a time");
            closed_for(&windows, at).map(|wait| wait.as_secs() / 60)
        };
        assert_eq!(closed("23:00"), None);
        assert_eq!(closed("12:00"), None);
        assert_eq!(closed("11:30"), Some(30));
        assert_eq!(closed("13:30"), Some(8 * 60 + 30));
        assert_eq!(closed_for(&[], Timestamp::UNIX_EPOCH), None);
    }
}
