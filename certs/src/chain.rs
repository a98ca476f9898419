//! Certificate paths to a trust anchor, and what is kept of them.

use jiff::Timestamp;
use licence::Sha256Digest;

use crate::{CertificateError, Link, Usage};

/// One certificate of a validated path, as kept beside a licence.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChainCertificate {
    /// SHA-256 of the certificate.
    pub sha256: Sha256Digest,
    /// Serial number: big-endian bytes without leading zeros.
    pub serial: Vec<u8>,
    /// SHA-256 over the issuer's name and public key (both DER): who may revoke it.
    pub issuer: Sha256Digest,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
}

/// A validated path: enough to judge anchor and revocation again without any cryptography.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChainRecord {
    /// What the path was validated for.
    pub usage: Usage,
    /// SHA-256 of the trust anchor's certificate.
    pub anchor: Sha256Digest,
    /// The path, signer first, without the anchor; empty if the anchor itself signed.
    pub certificates: Vec<ChainCertificate>,
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A certificate of the path had ended.
    #[error("a certificate expired at {not_after}, before {at}")]
    Expired {
        /// The moment judged.
        at: Timestamp,
        /// End of validity.
        not_after: Timestamp,
    },
    /// A certificate of the path had not begun.
    #[error("a certificate is not valid before {not_before}, it was judged at {at}")]
    NotYetValid {
        /// The moment judged.
        at: Timestamp,
        /// Begin of validity.
        not_before: Timestamp,
    },
    /// No trust anchor, through any known intermediate certificate.
    #[error("no path leads to a trust anchor")]
    UnknownIssuer,
    /// The certificate is for another use.
    #[error("the certificate may not be used for {usage}")]
    WrongUsage {
        /// The use that was asked for.
        usage: Usage,
    },
    /// A certificate's signature does not fit its issuer's key.
    #[error("the signature on certificate {position} of the path is wrong")]
    BadSignature {
        /// 0 is the signer's certificate, 1 its issuer's.
        position: usize,
    },
    /// More than 6 certificates, or longer than a CA's path length allows.
    #[error("the path is too long")]
    TooLong,
    /// A certificate in the middle of the path is not a CA's.
    #[error("certificate {position} of the path is not a CA certificate")]
    NotCa {
        /// 1 is the issuer of the signer's certificate.
        position: usize,
    },
    /// Name constraints of a CA exclude the certificate.
    #[error("a CA's name constraints exclude the certificate")]
    NameConstraints,
    /// Certificate policies of the path do not allow it.
    #[error("the certificate policies of the path do not allow it")]
    Policy,
    /// A critical extension is not understood.
    #[error("a certificate carries a critical extension that is not understood")]
    CriticalExtension,
    /// A certificate is signed with an algorithm we do not accept.
    #[error("a certificate's signature algorithm is not supported")]
    UnsupportedAlgorithm,
    /// A certificate of the path is on its issuer's revocation list.
    #[error("certificate {position} of the path was revoked at {revoked_at}")]
    Revoked {
        /// 0 is the signer's certificate.
        position: usize,
        /// Revocation date of the list.
        revoked_at: Timestamp,
    },
    /// A certificate of the path is damaged.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Path validation refused for another reason of form.
    #[error("the path does not conform to RFC 5280")]
    NotConforming,
}

impl ChainError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "certificate_expired",
            Self::NotYetValid { .. } => "certificate_not_yet_valid",
            Self::UnknownIssuer => "certificate_unknown_issuer",
            Self::WrongUsage { .. } => "certificate_wrong_usage",
            Self::BadSignature { .. } => "certificate_bad_signature",
            Self::TooLong => "certificate_path_too_long",
            Self::NotCa { .. } => "certificate_issuer_not_ca",
            Self::NameConstraints => "certificate_name_constraints",
            Self::Policy => "certificate_policy",
            Self::CriticalExtension => "certificate_critical_extension",
            Self::UnsupportedAlgorithm => "certificate_algorithm_unsupported",
            Self::Revoked { .. } => "certificate_revoked",
            Self::Certificate(error) => error.code(),
            Self::NotConforming => "certificate_path_not_conforming",
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Expired { .. } | Self::NotYetValid { .. } | Self::Certificate(_) => {
                Link::Certificate
            }
            Self::WrongUsage { .. } => Link::Usage,
            Self::Revoked { .. } => Link::Revocation,
            _ => Link::Chain,
        }
    }
}
