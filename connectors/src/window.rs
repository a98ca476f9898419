//! Hours of the day, in Chinese time (UTC+8 all year).

use std::time::Duration;

use jiff::{Timestamp, civil::Time, tz::Offset};

/// Hours in which records may be sent; they may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Time,
    to: Time,
}

impl Window {
    /// From `22:00-06:00`. `None`: it is no such text, or an empty window.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let window = Self { from: clock(from)?, to: clock(to)? };
        (window.from != window.to).then_some(window)
    }

    /// Whether this moment is in it: the first is, the last is not.
    pub fn contains(&self, at: Timestamp) -> bool {
        let time = china(at);
        if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        }
    }

    /// How long from this moment until it opens; zero while it is open.
    pub fn opens_in(&self, at: Timestamp) -> Duration {
        if self.contains(at) { Duration::ZERO } else { until(self.from, at) }
    }
}

/// `HH:MM` as a time.
pub(crate) fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| match text.as_bytes() {
        [a, b] if a.is_ascii_digit() && b.is_ascii_digit() => text.parse::<i8>().ok(),
        _ => None,
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

/// From this moment until the next time that the clock in China shows this, a day at most.
pub(crate) fn until(time: Time, at: Timestamp) -> Duration {
    let nanos = |time: Time| {
        (i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second()))
            * 1_000_000_000
            + i64::from(time.subsec_nanosecond())
    };
    let wait = (nanos(time) - nanos(china(at))).rem_euclid(24 * 3_600 * 1_000_000_000);
    Duration::from_nanos(wait.unsigned_abs())
}

fn china(at: Timestamp) -> Time {
    Offset::constant(8).to_datetime(at).time()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_over_midnight() {
        let night = Window::parse("22:00-06:00").unwrap();
        let day = Window::parse("08:30-17:00").unwrap();
        let at = |text: &str| format!("2025-03-01T{text}:00+08:00").parse::<Timestamp>().unwrap();
        for (time, in_night, in_day) in [
            ("22:00", true, false),
            ("00:00", true, false),
            ("05:59", true, false),
            ("06:00", false, false),
            ("08:30", false, true),
            ("16:59", false, true),
            ("17:00", false, false),
        ] {
            assert_eq!(night.contains(at(time)), in_night, "{time}");
            assert_eq!(day.contains(at(time)), in_day, "{time}");
        }
        assert_eq!(night.opens_in(at("23:00")), Duration::ZERO);
        assert_eq!(night.opens_in(at("06:00")), Duration::from_secs(16 * 3_600));
        assert_eq!(day.opens_in(at("17:00")), Duration::from_secs(15 * 3_600 + 1_800));
        for text in ["", "22:00", "24:00-01:00", "1:00-2:00", "08:00-08:00", "08:00-8:60"] {
            assert_eq!(Window::parse(text), None, "{text}");
        }
    }
}
