//! Evidence files: a licence with everything needed to check it, in one JSON file.

use jiff::Timestamp;
use licence::{Licence, LicenceStatus, Sha256Digest, StatusOrder, Validity};

use crate::{Judgement, Link, ManifestError, SignatureError, TrustStore, VerifiedSignature};

/// A licence, its signature, the manifest it was issued under (if any) and its status orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The licence's bytes.
    pub licence: Vec<u8>,
    /// CMS over the manifest if there is one, else over the licence.
    pub signature: Vec<u8>,
    /// The manifest's bytes.
    pub manifest: Option<Vec<u8>>,
    /// Status orders, oldest first.
    pub orders: Vec<EvidenceOrder>,
}

/// A signed status order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceOrder {
    /// The order's bytes.
    pub order: Vec<u8>,
    /// CMS over them.
    pub signature: Vec<u8>,
}

/// A status order whose signature was checked.
#[derive(Clone)]
pub struct VerifiedOrder {
    /// The order.
    pub order: StatusOrder,
    /// Its signature.
    pub signature: VerifiedSignature,
    /// What is known about the signer's path.
    pub judgement: Judgement,
}

/// What an evidence file shows.
#[derive(Clone)]
pub struct EvidenceVerdict {
    /// The licence.
    pub licence: Licence,
    /// SHA-256 of the licence's bytes.
    pub digest: Sha256Digest,
    /// The signature over licence or manifest.
    pub signature: VerifiedSignature,
    /// The licence's position, if it was issued under a manifest.
    pub manifest_position: Option<u32>,
    /// What is known about the signer's path at the time asked.
    pub judgement: Judgement,
    /// The orders, oldest first.
    pub orders: Vec<VerifiedOrder>,
    /// The status after the orders. Later orders may exist: the file shows only those in it.
    pub status: LicenceStatus,
    /// Whether the licence's own validity covers the (Beijing) date asked for.
    pub validity: Validity,
}

/// Why an evidence file does not show what it claims.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Not JSON of the format, or not base64.
    #[error("not a well-formed evidence file: {0}")]
    Malformed(&'static str),
    /// The licence cannot be read.
    #[error("the licence in the evidence file")]
    Licence(#[source] licence::LicenceError),
    /// The manifest cannot be read.
    #[error("the manifest in the evidence file")]
    Manifest(#[from] ManifestError),
    /// The licence is not listed in the manifest.
    #[error("the licence is not listed in the manifest")]
    NotInManifest,
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The signer's certificate names another organisation than the licence's issuer, or none.
    #[error("the signer is not the issuer named in the licence")]
    SignerNotIssuer,
    /// A status order does not hold.
    #[error("status order {position} of the evidence file: {source}")]
    Order {
        /// 0 is the oldest.
        position: usize,
        /// Why.
        source: Box<OrderError>,
    },
}

/// Why a status order does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// Its bytes cannot be read.
    #[error("not a well-formed status order")]
    Malformed,
    /// It is about another licence.
    #[error("it is about another licence")]
    OtherLicence,
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It was not signed by the licence's issuer.
    #[error("its signer is not the licence's issuer")]
    SignerNotIssuer,
    /// It cannot follow the orders before it.
    #[error("it cannot follow the orders before it")]
    Transition,
}

impl OrderError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "order_malformed",
            Self::OtherLicence => "order_other_licence",
            Self::Signature(error) => error.code(),
            Self::SignerNotIssuer => "signer_not_issuer",
            Self::Transition => "order_transition",
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Signature(error) => error.link(),
            Self::SignerNotIssuer => Link::Usage,
            _ => Link::Format,
        }
    }
}

impl EvidenceError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "evidence_malformed",
            Self::Licence(_) => "evidence_licence",
            Self::Manifest(error) => error.code(),
            Self::NotInManifest => "not_in_manifest",
            Self::Signature(error) => error.code(),
            Self::SignerNotIssuer => "signer_not_issuer",
            Self::Order { source, .. } => source.code(),
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Malformed(_) | Self::Licence(_) | Self::Manifest(_) => Link::Format,
            Self::NotInManifest => Link::Signature,
            Self::Signature(error) => error.link(),
            Self::SignerNotIssuer => Link::Usage,
            Self::Order { source, .. } => source.link(),
        }
    }
}

impl Evidence {
    /// Reads an evidence file of at most 16 MiB.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(_bytes: &[u8]) -> Result<Self, EvidenceError> {
        todo!()
    }

    /// Writes the file: JSON, one line.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }

    /// Checks everything the file claims, as of `at`.
    ///
    /// # Errors
    /// See [`EvidenceError`].
    pub fn verify(
        &self,
        _trust: &TrustStore,
        _at: Timestamp,
    ) -> Result<EvidenceVerdict, EvidenceError> {
        todo!()
    }
}
