//! Working days: weekends, holidays, and the weekends that are worked instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::civil::{Date, Weekday};
use serde::Deserialize;

use crate::json::{self, JsonError};

/// The working days of the years the State Council has announced. In JSON `yihao-calendar-1`.
///
/// Holidays are announced year by year, late in the year before: of a year that is not listed, the
/// days from Monday to Friday count, and every answer that rests on such a year says that it is uncertain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    years: BTreeMap<i16, Year>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Year {
    source: String,
    off: BTreeSet<Date>,
    worked: BTreeSet<Date>,
}

/// The last day of a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The day.
    pub date: Date,
    /// Whether the holidays of all years on the way to it are known.
    pub certain: bool,
}

/// Why a calendar was not read. Calendars are the operator's own, so the message may quote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CalendarError {
    /// Not JSON as this crate takes it.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON of another shape.
    #[error("the calendar does not have the expected shape: {0}")]
    Shape(String),
    /// Not `yihao-calendar-1`.
    #[error("the calendar is not of format yihao-calendar-1")]
    Format,
    /// One year twice.
    #[error("year {0} is listed twice")]
    Duplicate(i16),
    /// A day that does not lie in its year, or a holiday that ends before it begins.
    #[error("{day} does not belong to year {year}, or a holiday ends before it begins")]
    Day {
        /// The year.
        year: i16,
        /// The day.
        day: Date,
    },
    /// A worked day that is no weekend, or a holiday at the same time.
    #[error("{0} cannot be a worked weekend: it is a weekday, or a holiday too")]
    Worked(Date),
}

impl CalendarError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Shape(_) => "wrong_shape",
            Self::Format => "wrong_format",
            Self::Duplicate(_) => "year_listed_twice",
            Self::Day { .. } => "day_of_another_year",
            Self::Worked(_) => "worked_day",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    years: Vec<YearListed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct YearListed {
    year: i16,
    source: String,
    off: Vec<Holiday>,
    worked: Vec<Date>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holiday {
    #[serde(rename = "name")]
    _name: String,
    from: Date,
    to: Date,
}

impl Calendar {
    /// The calendar built into this crate (`hub/licence/data/calendar.json`): 2024 to 2026.
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Calendar> = LazyLock::new(|| {
            Calendar::parse(include_bytes!("../data/calendar.json"))
                .expect("the calendar in this crate is read by its tests")
        });
        &BUILTIN
    }

    /// Reads a calendar.
    ///
    /// # Errors
    /// See [`CalendarError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CalendarError> {
        let value = json::parse(bytes, json::CONFIGURATION)?;
        let file: File = serde_json::from_value(value)
            .map_err(|error| CalendarError::Shape(error.to_string()))?;
        if file.format != "yihao-calendar-1" {
            return Err(CalendarError::Format);
        }
        let mut years = BTreeMap::new();
        for listed in file.years {
            let number = listed.year;
            if years.insert(number, listed.check()?).is_some() {
                return Err(CalendarError::Duplicate(number));
            }
        }
        Ok(Self { years })
    }

    /// Whether a day is worked; `None` if the holidays of its year are not known.
    pub fn is_working_day(&self, day: Date) -> Option<bool> {
        let year = self.years.get(&day.year())?;
        Some(year.worked.contains(&day) || (is_weekday(day) && !year.off.contains(&day)))
    }

    /// The day that ends a time limit of so many working days: the day of the event does not count,
    /// the next working day is the first. Source: 民法典 第二百零一条, 行政许可法 第八十二条.
    ///
    /// The end of time, should it be reached, is the last day.
    pub fn working_days_after(&self, event: Date, days: u16) -> Deadline {
        let mut deadline = Deadline { date: event, certain: true };
        let mut left = days;
        while left > 0 {
            let Ok(next) = deadline.date.tomorrow() else { break };
            deadline.date = next;
            let known = self.is_working_day(next);
            deadline.certain &= known.is_some();
            if known.unwrap_or_else(|| is_weekday(next)) {
                left -= 1;
            }
        }
        deadline
    }

    /// The years whose holidays are known, each with where that is announced.
    pub fn years(&self) -> impl ExactSizeIterator<Item = (i16, &str)> {
        self.years.iter().map(|(number, year)| (*number, year.source.as_str()))
    }
}

impl YearListed {
    fn check(self) -> Result<Year, CalendarError> {
        let mut year = Year { source: self.source, ..Year::default() };
        for holiday in self.off {
            let (from, to) = (holiday.from, holiday.to);
            for day in [from, to] {
                if day.year() != self.year || to < from {
                    return Err(CalendarError::Day { year: self.year, day });
                }
            }
            let days = std::iter::successors(Some(from), |day| day.tomorrow().ok());
            year.off.extend(days.take_while(|day| *day <= to));
        }
        for day in self.worked {
            if day.year() != self.year {
                return Err(CalendarError::Day { year: self.year, day });
            }
            if is_weekday(day) || year.off.contains(&day) {
                return Err(CalendarError::Worked(day));
            }
            year.worked.insert(day);
        }
        Ok(year)
    }
}

fn is_weekday(day: Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_day_of_the_event_does_not_count_and_weekends_are_left_out() {
        // A Monday in March 2026.
        let deadline = Calendar::builtin().working_days_after(date(2026, 3, 2), 5);
        assert_eq!(deadline, Deadline { date: date(2026, 3, 9), certain: true });
    }

    #[test]
    fn a_time_limit_over_the_spring_festival_of_2026() {
        // Friday 13 February; Saturday 14 is worked, 15 to 23 are off, Saturday 28 is worked.
        let calendar = Calendar::builtin();
        let ends = |days| calendar.working_days_after(date(2026, 2, 13), days).date;
        assert_eq!(ends(1), date(2026, 2, 14));
        assert_eq!(ends(2), date(2026, 2, 24));
        assert_eq!(ends(6), date(2026, 2, 28));
        assert_eq!(ends(7), date(2026, 3, 2));
    }

    #[test]
    fn a_year_that_was_not_announced_counts_weekdays_and_says_so() {
        let calendar = Calendar::builtin();
        assert_eq!(calendar.is_working_day(date(2027, 1, 4)), None);
        let deadline = calendar.working_days_after(date(2026, 12, 30), 3);
        assert_eq!(deadline, Deadline { date: date(2027, 1, 4), certain: false });
        assert!(calendar.working_days_after(date(2026, 12, 30), 1).certain);
    }

    #[test]
    fn announced_years_have_their_statutory_number_of_working_days() {
        // 365 or 366 days, less weekends and the statutory holidays: 11 until 2024, 13 from 2025 on, less
        // those that fall on a weekend and are not made up for.
        let calendar = Calendar::builtin();
        let worked = |year: i16| {
            let days = std::iter::successors(Some(date(year, 1, 1)), |day| day.tomorrow().ok());
            days.take_while(|day| day.year() == year)
                .filter(|day| calendar.is_working_day(*day) == Some(true))
                .count()
        };
        assert_eq!([2024, 2025, 2026].map(worked), [251, 248, 248]);
        assert_eq!(calendar.years().map(|(year, _)| year).collect::<Vec<_>>(), [2024, 2025, 2026]);
    }

    #[test]
    fn a_calendar_that_contradicts_itself_is_refused() {
        let read = |off: &str, worked: &str| {
            let text = format!(
                r#"{{"format":"yihao-calendar-1","years":[{{"year":2027,"source":"x","off":[{off}],
                "worked":[{worked}]}}]}}"#
            );
            Calendar::parse(text.as_bytes()).map(drop).map_err(|error| error.code())
        };
        let new_year = r#"{"name":"元旦","from":"2027-01-01","to":"2027-01-03"}"#;
        assert_eq!(read(new_year, r#""2027-01-09""#), Ok(()));
        assert_eq!(read(new_year, r#""2027-01-02""#), Err("worked_day"));
        assert_eq!(read(new_year, r#""2027-01-05""#), Err("worked_day"));
        assert_eq!(read(new_year, r#""2026-01-10""#), Err("day_of_another_year"));
        let backwards = r#"{"name":"元旦","from":"2027-01-03","to":"2027-01-01"}"#;
        assert_eq!(read(backwards, ""), Err("day_of_another_year"));
    }
}
