//! The hub's one source of time, so that tests can set it.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

/// Tells the time. The system's clock when serving; set by hand in tests.
#[derive(Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved.
    Set(Mutex<Timestamp>),
}

impl Clock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn standing_at(at: Timestamp) -> Self {
        Self::Set(Mutex::new(at))
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Set(at) => *at.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        }
    }

    /// The present day in China (UTC+8, no summer time since 1992): licences' validity counts in
    /// local days.
    #[must_use]
    pub fn today(&self) -> Date {
        day_in_china(self.now())
    }

    /// Moves a clock that was set by hand; does nothing to the system's clock.
    pub fn advance(&self, by: SignedDuration) {
        if let Self::Set(at) = self {
            let mut at = at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *at = at.checked_add(by).unwrap_or(Timestamp::MAX);
        }
    }
}

/// The calendar day in China at `at`.
#[must_use]
pub fn day_in_china(at: Timestamp) -> Date {
    TimeZone::fixed(jiff::tz::offset(8)).to_datetime(at).date()
}
