//! Signatures on licences: CMS containers, certificate paths, revocation lists, batch manifests,
//! evidence files, and a small certificate authority for tests and demo districts.
//!
//! Everything here is a function of its arguments. Time, trust anchors and revocation lists are
//! handed in; nothing is read from a disk, a network or a clock. Cryptographic primitives come from
//! `ring` (ECDSA, Ed25519, RSA) and RustCrypto (`sm2`, `sm3`). Paths are searched here, within a budget;
//! the rules of RFC 5280 for a path found are applied by `certval`.
//! Who may issue which licence type, and whether a licence is still in force, is decided elsewhere.

mod authority;
mod certificate;
mod chain;
mod check;
mod cms;
mod crl;
mod effort;
mod evidence;
mod hash;
mod key;
mod manifest;
pub mod ocsp;
pub mod ofd;
mod oids;
pub mod pdf;
mod revocation;
mod suite;
mod time;
pub mod timestamp;
mod tlv;
mod trust;
mod verdict;
mod words;

pub use authority::{
    AuthorityError, CertIssuer, CertificateTemplate, Profile, certificate_request,
    issue_certificate, issue_crl,
};
pub use certificate::{Certificate, CertificateError};
pub use chain::{ChainCertificate, ChainError, ChainRecord, PathCost};
pub use check::{CheckedCms, CheckedSigner, check_cms, check_cms_over};
pub use cms::{
    MAX_CMS_BYTES, SignatureError, UnchainedSignature, VerifiedSignature, check_signature,
    cms_from_pem, cms_signature_value, cms_to_pem, sign_attached, sign_detached, time_stamp_of,
    verify_detached, verify_stamped, with_time_stamp,
};
pub use crl::{ChainVerdict, CrlError, Judgement, Revocation};
pub use evidence::{
    Evidence, EvidenceError, EvidenceOrder, EvidenceVerdict, OrderError, VerifiedOrder,
};
pub use hash::HashAlgorithm;
pub use key::{KeySigner, PublicParts, SignError, Signer, SigningIdentity, ecdsa_der, spki_of};
pub use manifest::{MAX_MANIFEST_LICENCES, Manifest, ManifestError};
pub use ocsp::{OcspAnswer, OcspError, OcspStatus, check_ocsp};
pub use suite::{PublicKey, Suite, Verifier, VerifyError};
pub use timestamp::{TimeStamp, TimestampError};
pub use trust::{Assessment, HeldCrl, Times, TrustStore, Usage};
pub use verdict::{FileKind, FileVerdict, LinkVerdict, Outcome, SignatureVerdict};
pub use words::{Words, words};

use licence::Sha256Digest;

/// The SHA-256 digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    Sha256Digest::from_bytes(out)
}

/// The link of the chain of trust that failed: what a refusal names first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Link {
    /// The bytes are not of the form they claim to be.
    Format,
    /// The signature does not fit the bytes or the key.
    Signature,
    /// A certificate is damaged, expired or not yet valid.
    Certificate,
    /// No path leads from the certificate to a trust anchor.
    Chain,
    /// A certificate was revoked.
    Revocation,
    /// The certificate is meant for something else.
    Usage,
    /// A part of a file is not what was signed, or no signature covers it.
    Coverage,
    /// The seal (电子印章) does not hold.
    Seal,
    /// The time-stamp does not hold, or there is none.
    Time,
}

impl Link {
    /// The word for it in answers and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Signature => "signature",
            Self::Certificate => "certificate",
            Self::Chain => "chain",
            Self::Revocation => "revocation",
            Self::Usage => "usage",
            Self::Coverage => "coverage",
            Self::Seal => "seal",
            Self::Time => "time",
        }
    }

    /// The word for it in Chinese.
    pub fn name_zh(self) -> &'static str {
        match self {
            Self::Format => "格式",
            Self::Signature => "签名",
            Self::Certificate => "签名证书",
            Self::Chain => "证书链",
            Self::Revocation => "证书吊销",
            Self::Usage => "证书用途",
            Self::Coverage => "签名范围",
            Self::Seal => "电子印章",
            Self::Time => "时间戳",
        }
    }
}
