//! What is asked of the search index and what it answers.

use jiff::civil::Date;
use licence::{HolderKind, IssuerId, LicenceId, LicenceTypeCode, RegionCode};
use serde::{Deserialize, Serialize};

/// What to look for. Everything left out does not restrict.
#[derive(Clone, Debug, Default)]
pub struct SearchQuery {
    /// Any text: names, numbers, parts of them. There is no query syntax; what is not a letter, a digit or an
    /// ideograph separates or is ignored. Empty finds everything.
    pub text: String,
    /// Only these types; none named: all types. (The hub names those that the caller may find.)
    pub licence_types: Vec<LicenceTypeCode>,
    /// Only from this issuer.
    pub issuer: Option<IssuerId>,
    /// Only from this region; a province or prefecture code takes in what lies in it.
    pub region: Option<RegionCode>,
    /// Only with this status: `valid`, `suspended`, `revoked` or `superseded`.
    pub status: Option<String>,
    /// Only with a holder of this kind.
    pub holder_kind: Option<HolderKind>,
    /// Only issued on this day or later.
    pub issued_from: Option<Date>,
    /// Only issued on this day or earlier.
    pub issued_to: Option<Date>,
    /// How many hits to leave out from the start; at most 1000 are, whatever is asked.
    pub offset: usize,
    /// How many hits to answer; at most 50 are, whatever is asked.
    pub limit: usize,
}

/// One page of hits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SearchPage {
    /// How many licences match.
    pub total: u64,
    /// Those of the page: exact names and numbers first, then names that start with the text, then names that
    /// contain it, then other places; each newest first.
    pub hits: Vec<SearchHit>,
    /// How the matching ones divide.
    pub facets: SearchFacets,
}

/// How many matching licences there are of each kind, most first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SearchFacets {
    /// By licence type code.
    #[serde(rename = "type")]
    pub licence_type: Vec<(String, u64)>,
    /// By status word.
    pub status: Vec<(String, u64)>,
}

/// One licence found.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHit {
    /// The licence.
    pub identifier: LicenceId,
    /// Its name 证照名称.
    pub name: String,
    /// Its holders' names.
    pub holder_names: Vec<String>,
    /// Its holders' kinds, in the order of the names.
    pub holder_kinds: Vec<HolderKind>,
    /// Its issuer's name.
    pub issuer_name: String,
    /// Its type.
    pub licence_type: LicenceTypeCode,
    /// Its number 证照编号.
    pub number: String,
    /// Its status word when it was indexed.
    pub status: String,
    /// The day of issue.
    pub issued_on: Date,
    /// Plain-text pieces of the fields that match, each with the matching part in it; never markup.
    pub highlights: Vec<String>,
    /// The matching parts themselves, as written in the fields: what a page marks wherever it shows them.
    pub matched: Vec<String>,
}

impl std::fmt::Debug for SearchHit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SearchHit({}, {})", self.identifier, self.status)
    }
}

/// Why the index did not answer. None of it loses anything: the index is rebuilt from the registry log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The index files are not what was written; the follower rebuilds them.
    #[error("the search index is damaged and is being rebuilt: {detail}")]
    Damaged {
        /// What is wrong.
        detail: String,
    },
    /// Another process writes to the index.
    #[error("another process writes to the search index {path}")]
    Locked {
        /// The folder.
        path: String,
    },
    /// The index could not be read or written.
    #[error("the search index could not be read or written: {detail}")]
    Io {
        /// What the system said.
        detail: String,
    },
    /// The store that is followed failed.
    #[error("the store that the search index follows failed")]
    Store(#[from] crate::StoreError),
}

impl SearchError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "search_damaged",
            Self::Locked { .. } => "search_locked",
            Self::Io { .. } => "search_io",
            Self::Store(_) => "store_unavailable",
        }
    }
}
