//! Code maps: how one counterpart writes what a licence says, as data.
//!
//! Counterparts differ in names of elements, code lists, dates, how several holders stand in one field, and what an
//! empty mandatory field carries (GB/T 36903 and `docs/formats/code-map.md`). A code map is a JSON file beside the
//! settings; the same map serves both directions. [`CodeMap::encode`] lists exactly the elements that are sent, and
//! nothing else: to send the least is to list the least.

mod decode;
mod encode;
mod file;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use decode::{DecodeProblem, Incoming, IncomingHolder};
pub use encode::{MapProblem, Value};
pub use file::CodeMapFile;

/// The name of the format.
pub const FORMAT: &str = "yihao-code-map-1";

/// How one counterpart writes what a licence says. Made by [`CodeMap::parse`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeMap {
    /// [`FORMAT`].
    pub format: String,
    /// The elements, in the counterpart's order.
    pub fields: Vec<Field>,
    /// The counterpart's codes for ours, by list.
    #[serde(default)]
    pub codes: BTreeMap<CodeList, BTreeMap<String, String>>,
    /// How days are written.
    #[serde(default)]
    pub dates: DateForm,
    /// How moments are written.
    #[serde(default)]
    pub times: TimeForm,
    /// What stands for a validity without end; left out: as an empty value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_ended: Option<String>,
    /// Between several values in one element.
    #[serde(default = "caret")]
    pub separator: String,
    /// Several holders.
    #[serde(default)]
    pub holders: Several,
    /// What an empty mandatory element carries; left out: a record without it is set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<String>,
}

fn caret() -> String {
    "^".to_owned()
}

/// One element as the counterpart has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The counterpart's name of it.
    #[serde(rename = "as")]
    pub name: String,
    /// Where its value comes from: a word of [`SOURCES`], or `fields.NAME` for a face field. In a map for what comes
    /// in: where its value goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Always this value; in place of `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// It may not be empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mandatory: bool,
    /// Most characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
}

/// The lists whose codes differ from counterpart to counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeList {
    /// `valid`, `suspended`, `revoked.annulled`, `revoked.withdrawn`, `revoked.deregistered`, `superseded`.
    Status,
    /// `insert`, `update`, `delete`.
    Operation,
    /// GB/T 36903 Annex A: `001`, `111` and so on.
    HolderKind,
    /// The licence types, 21 characters.
    LicenceType,
    /// Division codes, six digits.
    Region,
    /// `trusted`, `untrusted`.
    Trust,
}

/// In a code list: whatever the list does not name.
pub const ANY: &str = "*";

/// How days are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateForm {
    /// `2025-03-01`.
    #[default]
    Iso,
    /// `20250301`.
    Compact,
    /// Milliseconds since 1970 of the day's begin in China.
    EpochMs,
}

/// How moments are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// RFC 3339 in UTC: `2025-03-01T01:30:00Z`.
    #[default]
    Rfc3339,
    /// Chinese time: `2025-03-01 09:30:00`.
    China,
    /// Chinese time: `20250301093000`.
    Compact,
    /// Milliseconds since 1970.
    EpochMs,
}

/// What becomes of several holders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Several {
    /// All in one element, with the separator between.
    #[default]
    Joined,
    /// The first only.
    First,
    /// A licence with several is set aside.
    Refused,
}

/// Where the value of an element can come from.
pub const SOURCES: [&str; 26] = [
    "batch",
    "changed_at",
    "digest",
    "document",
    "holder_kind",
    "holder_name",
    "holder_number",
    "identifier",
    "issued_on",
    "issuer",
    "issuer_name",
    "key",
    "licence_type",
    "name",
    "number",
    "operation",
    "predecessor",
    "project",
    "region",
    "seq",
    "signature",
    "status",
    "trust",
    "type_name",
    "valid_from",
    "valid_to",
];

/// Why a text is no code map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeMapError {
    /// Not JSON, or not of this shape.
    #[error("the code map is not as `docs/formats/code-map.md` has it: {0}")]
    Form(String),
    /// Another format, or a later one.
    #[error("the code map must begin with \"format\": \"{FORMAT}\"")]
    Format,
    /// No element, or more than 500.
    #[error("a code map has 1 to 500 fields")]
    Fields,
    /// A name twice, or none.
    #[error("field {position} has no name, or one that another field has")]
    Name {
        /// Which, from 1.
        position: usize,
    },
    /// Neither or both of `from` and `value`, or a `from` that is none.
    #[error("field {position} needs either `value` or a `from` out of the list, or `fields.NAME`")]
    Source {
        /// Which, from 1.
        position: usize,
    },
    /// Several values could not be told apart.
    #[error("`separator` must be 1 to 4 characters")]
    Separator,
}

impl CodeMapError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Form(_) => "code_map_form",
            Self::Format => "code_map_format",
            Self::Fields => "code_map_fields",
            Self::Name { .. } => "code_map_name",
            Self::Source { .. } => "code_map_source",
            Self::Separator => "code_map_separator",
        }
    }
}

impl CodeMap {
    /// Reads a code map and checks it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodeMapError> {
        let map: Self =
            serde_json::from_slice(bytes).map_err(|error| CodeMapError::Form(error.to_string()))?;
        map.check()?;
        Ok(map)
    }

    fn check(&self) -> Result<(), CodeMapError> {
        if self.format != FORMAT {
            return Err(CodeMapError::Format);
        }
        if !(1..=500).contains(&self.fields.len()) {
            return Err(CodeMapError::Fields);
        }
        if !(1..=4).contains(&self.separator.chars().count()) {
            return Err(CodeMapError::Separator);
        }
        let mut names = BTreeSet::new();
        for (position, field) in (1..).zip(&self.fields) {
            if field.name.is_empty() || !names.insert(&field.name) {
                return Err(CodeMapError::Name { position });
            }
            let known = |from: &String| {
                SOURCES.contains(&from.as_str())
                    || from.strip_prefix("fields.").is_some_and(|name| !name.is_empty())
            };
            let right = match (&field.from, &field.value) {
                (Some(from), None) => known(from),
                (None, Some(_)) => true,
                _ => false,
            };
            if !right {
                return Err(CodeMapError::Source { position });
            }
        }
        Ok(())
    }

    /// As the file has it: JSON, indented.
    ///
    /// # Panics
    /// Never: strings can always be written.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings can always be written")
    }

    /// The counterpart's code for ours: what the list names, else what it says of [`ANY`]. A list that is not there
    /// leaves codes as they are; `None`: the list has no code for it.
    pub fn code<'a>(&'a self, list: CodeList, ours: &'a str) -> Option<&'a str> {
        match self.codes.get(&list) {
            None => Some(ours),
            Some(codes) => codes.get(ours).or_else(|| codes.get(ANY)).map(String::as_str),
        }
    }

    /// Our code for the counterpart's: the first that is written so. `None`: the list has none.
    pub fn ours<'a>(&'a self, list: CodeList, theirs: &'a str) -> Option<&'a str> {
        match self.codes.get(&list) {
            None => Some(theirs),
            Some(codes) => codes
                .iter()
                .find(|(ours, code)| *code == theirs && *ours != ANY)
                .map(|(ours, _)| ours.as_str()),
        }
    }
}
