//! CMS SignedData (RFC 5652; GM/T 0010 content types for SM2).

use jiff::Timestamp;
use licence::CreditCode;

use crate::{
    Certificate, CertificateError, ChainError, ChainRecord, Link, SignError, SigningIdentity, Suite,
    TrustStore,
};

/// The largest signature taken in, in bytes.
pub const MAX_CMS_BYTES: usize = 64 * 1024;

/// A signature that fits content and certificate; who the certificate belongs to is not yet known.
#[derive(Clone)]
pub struct UnchainedSignature {
    /// The signer's certificate, from the container.
    pub signer: Certificate,
    /// The other certificates of the container.
    pub others: Vec<Certificate>,
    /// The suite.
    pub suite: Suite,
    /// The time the signer claims, if any.
    pub signing_time: Option<Timestamp>,
}

/// A signature that fits, by a signer whose certificate leads to a trust anchor.
#[derive(Clone)]
pub struct VerifiedSignature {
    /// The signer's certificate.
    pub signer: Certificate,
    /// The credit code of the signer's certificate.
    pub organisation: Option<CreditCode>,
    /// The suite.
    pub suite: Suite,
    /// The validated path.
    pub chain: ChainRecord,
    /// The time the signer claims, if any; not proven by anybody.
    pub signing_time: Option<Timestamp>,
}

/// Why a signature was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Larger than [`MAX_CMS_BYTES`].
    #[error("the signature has {bytes} bytes, more than allowed")]
    TooLarge {
        /// Size found.
        bytes: usize,
    },
    /// Not DER, or not CMS.
    #[error("the signature is not well-formed CMS")]
    Malformed,
    /// CMS, but of another content type.
    #[error("the signature is CMS, but not SignedData")]
    NotSignedData,
    /// No signer.
    #[error("the signature names no signer")]
    NoSigner,
    /// More than one signer.
    #[error("the signature names {count} signers, one is expected")]
    SeveralSigners {
        /// Signers found.
        count: usize,
    },
    /// More than 8 certificates.
    #[error("the signature carries {count} certificates, more than allowed")]
    TooManyCertificates {
        /// Certificates found.
        count: usize,
    },
    /// A certificate in the container cannot be read.
    #[error("a certificate in the signature: {0}")]
    Certificate(#[from] CertificateError),
    /// None of the certificates is the signer's.
    #[error("the signer's certificate is not in the signature")]
    SignerCertificateMissing,
    /// Digest or signature algorithm not of a suite we accept.
    #[error("the signature's algorithm is not supported")]
    UnsupportedAlgorithm,
    /// The algorithms named do not fit each other or the signer's key.
    #[error("the algorithms named in the signature contradict each other")]
    AlgorithmMismatch,
    /// The container carries content, and it is not the licence's.
    #[error("the content inside the signature differs from the content given")]
    EmbeddedContentDiffers,
    /// The signed attributes lack or repeat what RFC 5652 requires, or name another content type.
    #[error("the signed attributes are incomplete or contradict the content type")]
    SignedAttributes,
    /// The content's digest is not the one that was signed.
    #[error("the content is not what was signed")]
    DigestMismatch,
    /// The signature value does not fit the signer's key.
    #[error("the signature value is wrong")]
    BadSignature,
    /// Without signed attributes, content that itself looks like signed attributes proves nothing.
    #[error("the content could be the signed attributes of another signature")]
    AmbiguousContent,
    /// The signer's certificate is not trusted.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl SignatureError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "signature_too_large",
            Self::Malformed => "signature_malformed",
            Self::NotSignedData => "signature_not_signed_data",
            Self::NoSigner => "signature_no_signer",
            Self::SeveralSigners { .. } => "signature_several_signers",
            Self::TooManyCertificates { .. } => "signature_too_many_certificates",
            Self::Certificate(error) => error.code(),
            Self::SignerCertificateMissing => "signature_signer_certificate_missing",
            Self::UnsupportedAlgorithm => "signature_algorithm_unsupported",
            Self::AlgorithmMismatch => "signature_algorithm_mismatch",
            Self::EmbeddedContentDiffers => "signature_embedded_content_differs",
            Self::SignedAttributes => "signature_signed_attributes",
            Self::DigestMismatch => "signature_digest_mismatch",
            Self::BadSignature => "signature_wrong",
            Self::AmbiguousContent => "signature_ambiguous_content",
            Self::Chain(error) => error.code(),
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Chain(error) => error.link(),
            Self::Certificate(_) | Self::SignerCertificateMissing => Link::Certificate,
            Self::EmbeddedContentDiffers
            | Self::DigestMismatch
            | Self::BadSignature
            | Self::AlgorithmMismatch
            | Self::AmbiguousContent => Link::Signature,
            _ => Link::Format,
        }
    }
}

/// Signs `content` at `at`: detached CMS SignedData, DER, with the identity's certificates.
///
/// # Errors
/// See [`SignError`].
pub fn sign_detached(
    _identity: &SigningIdentity,
    _content: &[u8],
    _at: Timestamp,
) -> Result<Vec<u8>, SignError> {
    todo!()
}

/// Like [`sign_detached`], with the content inside the container.
///
/// # Errors
/// See [`SignError`].
pub fn sign_attached(
    _identity: &SigningIdentity,
    _content: &[u8],
    _at: Timestamp,
) -> Result<Vec<u8>, SignError> {
    todo!()
}

/// Checks that `cms` is a signature over `content` by the certificate it carries.
///
/// # Errors
/// See [`SignatureError`]; never `Chain`.
pub fn check_signature(_cms: &[u8], _content: &[u8]) -> Result<UnchainedSignature, SignatureError> {
    todo!()
}

/// Checks that `cms` is a signature over `content` by a signer trusted for issuing licences at `at`.
///
/// # Errors
/// See [`SignatureError`].
pub fn verify_detached(
    _cms: &[u8],
    _content: &[u8],
    _trust: &TrustStore,
    _at: Timestamp,
) -> Result<VerifiedSignature, SignatureError> {
    todo!()
}
