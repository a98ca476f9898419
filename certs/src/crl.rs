//! Certificate revocation lists (RFC 5280, section 5).

use jiff::Timestamp;

use crate::Link;

/// What is known today about a path that was validated before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the trust anchor still stands.
    pub chain: ChainVerdict,
    /// The worst that the revocation lists say about any certificate of the path.
    pub revocation: Revocation,
}

/// Whether a path's trust anchor still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainVerdict {
    /// It does.
    Ok,
    /// It was removed from the trust store since.
    AnchorWithdrawn,
}

/// What revocation lists say. For a path, the worst counts: `Revoked`, `NoCrl`, `Stale`, `Good`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Not on a list that is current.
    Good {
        /// The list's thisUpdate; of several, the oldest.
        as_of: Timestamp,
    },
    /// On the list.
    Revoked {
        /// Revocation date.
        at: Timestamp,
    },
    /// Not on the list, but the list is past its nextUpdate.
    Stale {
        /// The list's thisUpdate.
        as_of: Timestamp,
    },
    /// There is no list of the certificate's issuer.
    NoCrl,
}

/// Why a revocation list was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// Not DER or PEM of a CRL.
    #[error("not a well-formed certificate revocation list")]
    Malformed,
    /// Larger than 32 MiB.
    #[error("the revocation list has {bytes} bytes, more than allowed")]
    TooLarge {
        /// Size found.
        bytes: usize,
    },
    /// No anchor or intermediate certificate bears the issuer's name.
    #[error("the issuer of the revocation list is not known")]
    UnknownIssuer,
    /// The signature fits no key of that issuer.
    #[error("the signature on the revocation list is wrong")]
    BadSignature,
    /// The issuer's certificate does not allow signing lists.
    #[error("the issuer's certificate may not sign revocation lists")]
    WrongUsage,
    /// Delta, indirect or partitioned list.
    #[error("delta, indirect and partitioned revocation lists are not supported")]
    Unsupported,
    /// The list lacks nextUpdate, which RFC 5280 requires.
    #[error("the revocation list has no next update")]
    NoNextUpdate,
    /// A newer list of that issuer is held already.
    #[error("a newer revocation list of this issuer is held, of {held}")]
    Older {
        /// thisUpdate of the list held.
        held: Timestamp,
    },
}

impl CrlError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "crl_malformed",
            Self::TooLarge { .. } => "crl_too_large",
            Self::UnknownIssuer => "crl_unknown_issuer",
            Self::BadSignature => "crl_bad_signature",
            Self::WrongUsage => "crl_wrong_usage",
            Self::Unsupported => "crl_unsupported",
            Self::NoNextUpdate => "crl_no_next_update",
            Self::Older { .. } => "crl_older",
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Malformed | Self::TooLarge { .. } => Link::Format,
            _ => Link::Revocation,
        }
    }
}
