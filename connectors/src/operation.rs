//! What a change means for a counterpart.

use licence::{ChangeKind, LicenceStatus, Trust};

use crate::Shared;

/// What a change means for a counterpart that holds what is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The licence is to be shared from now on.
    Insert,
    /// It is shared, and its record changed.
    Update,
    /// It is not to be shared any more.
    Delete,
}

impl Operation {
    /// Of a change with its licence.
    pub fn of_item(item: &Shared) -> Self {
        Self::of(&item.change.kind, item.trust)
    }

    /// A licence is shared while it is valid and trusted: what counts is before and after.
    ///
    /// * `trust`: after the change.
    pub fn of(kind: &ChangeKind, trust: Trust) -> Self {
        let valid = |status: &LicenceStatus| matches!(status, LicenceStatus::Valid);
        let trusted = trust == Trust::Trusted;
        let (before, after) = match kind {
            ChangeKind::Issued { .. } | ChangeKind::Unsigned { .. } => (false, trusted),
            ChangeKind::StatusChanged { from, to, .. } => {
                (valid(from) && trusted, valid(to) && trusted)
            }
            ChangeKind::TrustChanged { from, to, status, .. } => {
                let valid = valid(status);
                (valid && *from == Trust::Trusted, valid && *to == Trust::Trusted)
            }
        };
        match (before, after) {
            (false, true) => Self::Insert,
            (true, true) => Self::Update,
            (_, false) => Self::Delete,
        }
    }

    /// The word in code maps.
    pub fn word(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The operation of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Insert, Self::Update, Self::Delete].into_iter().find(|one| one.word() == word)
    }

    /// The column `cd_operation` of exchange databases.
    pub fn code(self) -> &'static str {
        match self {
            Self::Insert => "I",
            Self::Update => "U",
            Self::Delete => "D",
        }
    }
}
