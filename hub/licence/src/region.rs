use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::Date;

use crate::CodeError;
use crate::text::{all_bytes, ascii, debug_shows_text, text_code};

/// A division code of six digits (GB/T 2260). Well formed; whether it was ever assigned is a
/// question for [`RegionTable`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionCode([u8; 6]);

impl RegionCode {
    /// The six digits.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// For codes that contain one: `digits` were checked by the caller's parser.
    pub(crate) fn inside(digits: &[u8]) -> Self {
        Self(digits.try_into().expect("callers pass six checked digits"))
    }
}

impl FromStr for RegionCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let digits: [u8; 6] = text.as_bytes().try_into().map_err(|_| CodeError::Length)?;
        all_bytes(&digits, 0, |byte| byte.is_ascii_digit())?;
        Ok(Self(digits))
    }
}

text_code!(RegionCode, "a division code of six digits");
debug_shows_text!(RegionCode);

/// One span of years in which a code was in the lists.
#[derive(Debug)]
struct Span {
    name: &'static str,
    first: i16,
    /// The year in which the code was changed or withdrawn; `None` while it is in force.
    last: Option<i16>,
}

/// Division codes at county level and above with the years they were in force, 1981 to 2024.
///
/// Years are all the lists give: a code counts as in force in the whole of its first and of its
/// last year. The lists begin with 1981 and end with 2024; days before and after are judged like
/// the first and the last list.
#[derive(Debug)]
pub struct RegionTable {
    spans: HashMap<RegionCode, Vec<Span>>,
}

impl RegionTable {
    /// The table built into this crate (see `hub/licence/data/SOURCE.md`).
    pub fn builtin() -> &'static Self {
        static TABLE: LazyLock<RegionTable> =
            LazyLock::new(|| RegionTable::read(include_str!("../data/regions.tsv")));
        &TABLE
    }

    /// Whether the code was in force on `date`.
    pub fn in_force(&self, code: &RegionCode, date: Date) -> bool {
        self.span(code, date).is_some()
    }

    /// Whether the code was in force at any time.
    pub fn ever_in_force(&self, code: &RegionCode) -> bool {
        self.spans.contains_key(code)
    }

    /// The division's own name on `date` (`东城区`, without the city it belongs to).
    pub fn name(&self, code: &RegionCode, date: Date) -> Option<&str> {
        self.span(code, date).map(|span| span.name)
    }

    /// In a year of change the newer of two names counts.
    fn span(&self, code: &RegionCode, date: Date) -> Option<&Span> {
        let year = date.year().max(1981);
        let spans = self.spans.get(code)?;
        spans
            .iter()
            .filter(|span| span.first <= year && span.last.is_none_or(|last| year <= last))
            .max_by_key(|span| span.first)
    }

    fn read(lines: &'static str) -> Self {
        let mut spans: HashMap<RegionCode, Vec<Span>> = HashMap::new();
        for line in lines.lines() {
            let (code, span) = Self::read_line(line).expect("built in, read by the tests");
            spans.entry(code).or_default().push(span);
        }
        Self { spans }
    }

    /// `code TAB name TAB first year TAB last year or nothing`
    fn read_line(line: &'static str) -> Option<(RegionCode, Span)> {
        let mut cells = line.split('\t');
        let code = cells.next()?.parse().ok()?;
        let name = cells.next()?;
        let first = cells.next()?.parse().ok()?;
        let last = match cells.next()? {
            "" => None,
            year => Some(year.parse().ok()?),
        };
        Some((code, Span { name, first, last }))
    }
}
