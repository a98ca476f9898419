use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{IssuerId, LicenceId, LicenceStatus, LicenceTypeCode, Sha256Digest};

/// The number of an entry in a log: from 0, ordered, without gaps.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The first entry.
    pub const ZERO: Self = Self(0);

    /// The entry after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// As a number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One entry of the change feed. Names licences, never holders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its place in the registry log.
    pub seq: Seq,
    /// When the registry took it in.
    pub at: Timestamp,
    /// What happened.
    pub kind: ChangeKind,
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A licence was taken in; it is valid.
    Issued {
        /// The licence.
        identifier: LicenceId,
        /// Its type.
        licence_type: LicenceTypeCode,
        /// Its issuer.
        issuer: IssuerId,
        /// Of the signed document.
        digest: Sha256Digest,
    },
    /// The issuer changed a licence's status.
    StatusChanged {
        /// The licence.
        identifier: LicenceId,
        /// Its type.
        licence_type: LicenceTypeCode,
        /// Its issuer.
        issuer: IssuerId,
        /// Before.
        from: LicenceStatus,
        /// After.
        to: LicenceStatus,
        /// Digest of the signed order.
        order: Sha256Digest,
    },
}

impl Change {
    /// The licence that changed.
    pub fn identifier(&self) -> &LicenceId {
        match &self.kind {
            ChangeKind::Issued { identifier, .. }
            | ChangeKind::StatusChanged { identifier, .. } => identifier,
        }
    }

    /// The type of the licence that changed.
    pub fn licence_type(&self) -> &LicenceTypeCode {
        match &self.kind {
            ChangeKind::Issued { licence_type, .. }
            | ChangeKind::StatusChanged { licence_type, .. } => licence_type,
        }
    }

    /// The issuer of the licence that changed.
    pub fn issuer(&self) -> &IssuerId {
        match &self.kind {
            ChangeKind::Issued { issuer, .. } | ChangeKind::StatusChanged { issuer, .. } => issuer,
        }
    }
}
