//! X.509 certificates, parsed once.

use std::sync::Arc;

use jiff::Timestamp;
use licence::{CreditCode, Sha256Digest};

/// An X.509 certificate (数字证书), read and checked for form; cheap to clone.
///
/// That it parses shows nothing about trust: see [`crate::TrustStore::verify_chain`].
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

struct Parsed {
    der: Vec<u8>,
}

/// Why bytes are not a certificate we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not DER, or not the DER of an X.509 certificate.
    #[error("not a well-formed X.509 certificate")]
    Malformed,
    /// Larger than 16 KiB.
    #[error("the certificate has {bytes} bytes, more than allowed")]
    TooLarge {
        /// Size found.
        bytes: usize,
    },
    /// No, or damaged, PEM.
    #[error("not well-formed PEM")]
    Pem,
    /// The PEM holds no certificate.
    #[error("no certificate found")]
    Empty,
    /// The public key is of no supported suite.
    #[error("the certificate's public key algorithm is not supported")]
    UnsupportedKey,
    /// The subject's organizationIdentifier is there, but is not a credit code.
    #[error("the certificate's organizationIdentifier is not a credit code")]
    Organisation,
}

impl CertificateError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "certificate_malformed",
            Self::TooLarge { .. } => "certificate_too_large",
            Self::Pem => "certificate_pem",
            Self::Empty => "certificate_missing",
            Self::UnsupportedKey => "certificate_key_unsupported",
            Self::Organisation => "certificate_organisation",
        }
    }
}

impl Certificate {
    /// Reads one DER certificate; trailing bytes are refused.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_der(_der: &[u8]) -> Result<Self, CertificateError> {
        todo!()
    }

    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_pem(_pem: &[u8]) -> Result<Self, CertificateError> {
        todo!()
    }

    /// Reads every certificate of a PEM text, in order; other PEM blocks are skipped.
    ///
    /// # Errors
    /// `Empty` if there is none.
    pub fn many_from_pem(_pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        todo!()
    }

    /// The certificate as PEM, with LF line ends.
    pub fn to_pem(&self) -> String {
        todo!()
    }

    /// The bytes as read.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the DER bytes.
    pub fn sha256(&self) -> Sha256Digest {
        todo!()
    }

    /// The serial number, lower-case hex without separators.
    pub fn serial_hex(&self) -> String {
        todo!()
    }

    /// First moment of validity.
    pub fn not_before(&self) -> Timestamp {
        todo!()
    }

    /// Last moment of validity, itself included.
    pub fn not_after(&self) -> Timestamp {
        todo!()
    }

    /// The subject as RFC 4514 text.
    pub fn subject_text(&self) -> String {
        todo!()
    }

    /// The issuer as RFC 4514 text.
    pub fn issuer_text(&self) -> String {
        todo!()
    }

    /// The credit code in the subject's organizationIdentifier (2.5.4.97), if there is a valid one.
    pub fn organisation(&self) -> Option<CreditCode> {
        todo!()
    }

    /// The subject's organizationName.
    pub fn organisation_name(&self) -> Option<String> {
        todo!()
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        todo!()
    }
}
