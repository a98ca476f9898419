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
    /// What vouches for the issuer's signature fell, or stands again: a trust anchor or a revocation list changed.
    /// Nobody signs this: it follows from certificates and lists, by this registry's rules.
    TrustChanged {
        /// The licence.
        identifier: LicenceId,
        /// Its type.
        licence_type: LicenceTypeCode,
        /// Its issuer.
        issuer: IssuerId,
        /// Before.
        from: Trust,
        /// After.
        to: Trust,
        /// Why.
        reason: TrustReason,
        /// The licence's status, which this leaves as it was.
        status: LicenceStatus,
    },
    /// A licence was taken in that its issuer has not signed. It is valid as far as its issuer's register says, and
    /// trusted by nobody until a signature comes: then [`ChangeKind::TrustChanged`] with [`TrustReason::Signed`].
    Unsigned {
        /// The licence.
        identifier: LicenceId,
        /// Its type.
        licence_type: LicenceTypeCode,
        /// Its issuer.
        issuer: IssuerId,
        /// Of the document.
        digest: Sha256Digest,
    },
}

/// Whether the signer's certificate still vouches for a licence: its path to an anchor, and revocation, by the time
/// at which the signature is proven to have existed. Validity and status are not part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Nothing known speaks against it: so it is taken in.
    #[default]
    Trusted,
    /// The path leads to no anchor any more, or a certificate of it is revoked.
    Untrusted,
}

impl Trust {
    /// The word in answers, feeds and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

/// Why the trust in a licence changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustReason {
    /// A certificate of the path is revoked, and nothing proves the signature to be older.
    CertificateRevoked,
    /// The trust anchor was withdrawn.
    AnchorWithdrawn,
    /// The trust anchor's time is over, and nothing proves the signature to be older.
    AnchorEnded,
    /// What was kept of the path cannot be read any more.
    ChainDamaged,
    /// No certificate of the path counts as revoked any more.
    RevocationLifted,
    /// The path leads to a trust anchor again.
    AnchorRestored,
    /// The trust anchor's time has not begun.
    AnchorNotYetValid,
    /// It was taken in without a signature of its issuer.
    Unsigned,
    /// Its issuer's signature came after it.
    Signed,
}

impl TrustReason {
    /// The word in answers, feeds and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::CertificateRevoked => "certificate_revoked",
            Self::AnchorWithdrawn => "anchor_withdrawn",
            Self::AnchorEnded => "anchor_ended",
            Self::ChainDamaged => "chain_damaged",
            Self::RevocationLifted => "revocation_lifted",
            Self::AnchorRestored => "anchor_restored",
            Self::AnchorNotYetValid => "anchor_not_yet_valid",
            Self::Unsigned => "unsigned",
            Self::Signed => "signed",
        }
    }
}

impl Change {
    /// The licence that changed.
    pub fn identifier(&self) -> &LicenceId {
        match &self.kind {
            ChangeKind::Issued { identifier, .. }
            | ChangeKind::StatusChanged { identifier, .. }
            | ChangeKind::TrustChanged { identifier, .. }
            | ChangeKind::Unsigned { identifier, .. } => identifier,
        }
    }

    /// The type of the licence that changed.
    pub fn licence_type(&self) -> &LicenceTypeCode {
        match &self.kind {
            ChangeKind::Issued { licence_type, .. }
            | ChangeKind::StatusChanged { licence_type, .. }
            | ChangeKind::TrustChanged { licence_type, .. }
            | ChangeKind::Unsigned { licence_type, .. } => licence_type,
        }
    }

    /// The issuer of the licence that changed.
    pub fn issuer(&self) -> &IssuerId {
        match &self.kind {
            ChangeKind::Issued { issuer, .. }
            | ChangeKind::StatusChanged { issuer, .. }
            | ChangeKind::TrustChanged { issuer, .. }
            | ChangeKind::Unsigned { issuer, .. } => issuer,
        }
    }
}
