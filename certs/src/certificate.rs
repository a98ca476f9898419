//! X.509 certificates, parsed once.

use std::fmt;
use std::sync::{Arc, OnceLock};

use certval::PDVCertificate;
use der::pem;
use jiff::Timestamp;
use licence::{CreditCode, Sha256Digest};
use spki::AlgorithmIdentifierRef;
use x509_parser::oid_registry::{Oid, asn1_rs::oid};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};
use x509_parser::x509::X509Name;

use crate::tlv::Members;
use crate::{PublicKey, Usage, sha256, time};

/// The largest certificate taken in, in bytes.
pub(crate) const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// An X.509 certificate (数字证书), read and checked for form; cheap to clone.
///
/// That it parses shows nothing about trust: see [`crate::TrustStore::verify_chain`].
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

struct Parsed {
    der: Vec<u8>,
    sha256: Sha256Digest,
    serial: Vec<u8>,
    /// Raw DER of issuer and subject: names are matched byte for byte.
    issuer: Vec<u8>,
    subject: Vec<u8>,
    issuer_text: String,
    subject_text: String,
    not_before: Timestamp,
    not_after: Timestamp,
    spki: Vec<u8>,
    key: Result<PublicKey, CertificateError>,
    organisation: Option<CreditCode>,
    organisation_name: Option<String>,
    key_usage: Option<KeyUsage>,
    extended: Option<ExtendedKeyUsage>,
    is_ca: bool,
    /// A critical extension that nothing here looks at (RFC 5280, 4.2).
    has_unknown_critical: bool,
    subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
    /// The same certificate as the path validator reads it, made when first needed.
    validated_form: OnceLock<Option<PDVCertificate>>,
}

#[derive(Clone, Copy)]
struct KeyUsage {
    signs: bool,
    digital_signature: bool,
    signs_lists: bool,
    signs_certificates: bool,
}

#[derive(Clone, Copy)]
struct ExtendedKeyUsage {
    client: bool,
    server: bool,
    /// Something else than authenticating a TLS server or client.
    beyond_tls: bool,
    /// Answering for the CA that issued the certificate (RFC 6960, 4.2.2.2).
    ocsp_signing: bool,
    time_stamping: bool,
    /// Time-stamping and nothing else, in a critical extension.
    only_time_stamping: bool,
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
    /// An RSA key under 2048 bits (NIST SP 800-131A).
    #[error("the certificate's RSA key has {bits} bits, fewer than 2048")]
    RsaTooShort {
        /// Size found.
        bits: usize,
    },
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
            Self::RsaTooShort { .. } => "certificate_rsa_too_short",
        }
    }
}

impl Certificate {
    /// Reads one DER certificate of at most 16 KiB; trailing bytes are refused.
    ///
    /// # Errors
    /// `TooLarge`, `Malformed`. A key of an unsupported kind is no error here.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge { bytes: der.len() });
        }
        let (rest, x509) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        Parsed::new(der, &x509)
            .map(|parsed| Self(Arc::new(parsed)))
            .ok_or(CertificateError::Malformed)
    }

    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        Self::many_from_pem(pem).map(|mut all| all.swap_remove(0))
    }

    /// Reads every certificate of a PEM text, in order; other PEM blocks and text are skipped.
    ///
    /// # Errors
    /// `Empty` if there is none, `Pem` if one is damaged, or as [`Certificate::from_der`].
    pub fn many_from_pem(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let text = std::str::from_utf8(pem).map_err(|_| CertificateError::Pem)?;
        let mut all = Vec::new();
        for block in pem_blocks(text, "CERTIFICATE") {
            let (_, der) = pem::decode_vec(block.as_bytes()).map_err(|_| CertificateError::Pem)?;
            all.push(Self::from_der(&der)?);
        }
        if all.is_empty() {
            return Err(CertificateError::Empty);
        }
        Ok(all)
    }

    /// The certificate as PEM, with LF line ends.
    pub fn to_pem(&self) -> String {
        to_pem("CERTIFICATE", &self.0.der)
    }

    /// The bytes as read.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the DER bytes.
    pub fn sha256(&self) -> Sha256Digest {
        self.0.sha256
    }

    /// The serial number, lower-case hex without separators or leading zero bytes.
    pub fn serial_hex(&self) -> String {
        hex::encode(&self.0.serial)
    }

    /// First moment of validity.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Last second of validity, itself included.
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// The subject, for people to read: `C=…, O=…, CN=…`.
    pub fn subject_text(&self) -> String {
        self.0.subject_text.clone()
    }

    /// The issuer, for people to read.
    pub fn issuer_text(&self) -> String {
        self.0.issuer_text.clone()
    }

    /// The credit code in the subject's organizationIdentifier (2.5.4.97), if there is exactly one
    /// and it is well formed.
    pub fn organisation(&self) -> Option<CreditCode> {
        self.0.organisation
    }

    /// The subject's organizationName, if there is exactly one.
    pub fn organisation_name(&self) -> Option<String> {
        self.0.organisation_name.clone()
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// The public key.
    ///
    /// # Errors
    /// `UnsupportedKey`, `RsaTooShort`.
    pub fn public_key(&self) -> Result<&PublicKey, CertificateError> {
        self.0.key.as_ref().map_err(Clone::clone)
    }

    /// Big-endian, without leading zeros.
    pub(crate) fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    pub(crate) fn issuer_der(&self) -> &[u8] {
        &self.0.issuer
    }

    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.0.subject
    }

    /// SHA-256 over name and key: who a revocation list must come from to count.
    pub(crate) fn issuer_id(&self) -> Sha256Digest {
        sha256(&[self.0.subject.as_slice(), self.0.spki.as_slice()].concat())
    }

    /// RFC 5280, 4.2.1.9 and 4.2.1.3.
    pub(crate) fn may_issue(&self) -> bool {
        self.0.is_ca && self.0.key_usage.is_none_or(|usage| usage.signs_certificates)
    }

    /// Whether the issuer has a name at all: an empty one is a SEQUENCE of two bytes.
    pub(crate) fn names_an_issuer(&self) -> bool {
        self.0.issuer.len() > 2
    }

    /// By RFC 5280, 4.2.1.3, a key without the extension may sign lists.
    pub(crate) fn may_sign_lists(&self) -> bool {
        self.0.key_usage.is_none_or(|usage| usage.signs_lists)
    }

    /// RFC 6960, 4.2.2.2: only who is named for it answers in the place of a CA. What else its certificate
    /// says must be understood: no path is validated for it.
    pub(crate) fn may_sign_answers(&self) -> bool {
        !self.0.has_unknown_critical
            && self.0.key_usage.is_none_or(|usage| usage.signs)
            && self.0.extended.is_some_and(|extended| extended.ocsp_signing)
    }

    /// What is signed, with which algorithm, and the signature (RFC 5280, 4.1.1); `None` if that is not
    /// strict DER, or if what is signed names another algorithm (4.1.1.2).
    pub(crate) fn signed_parts(&self) -> Option<(&[u8], AlgorithmIdentifierRef<'_>, &[u8])> {
        let read = || {
            let mut outer = Members::of_sequence(&self.0.der)?;
            let tbs = outer.next_bytes()?;
            let (algorithm, signature) = (outer.next_algorithm()?, outer.next_bits()?);
            outer.finish()?;
            let mut inner = Members::of_sequence(tbs)?;
            inner.next_context(0)?;
            inner.next()?;
            Ok((tbs, algorithm, signature, inner.next_algorithm()? == algorithm))
        };
        let parts: der::Result<_> = read();
        parts
            .ok()
            .filter(|(.., same)| *same)
            .map(|(tbs, algorithm, signature, _)| (tbs, algorithm, signature))
    }

    pub(crate) fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.subject_key_id.as_deref()
    }

    /// Whether the key identifiers speak against `issuer`; absent ones do not.
    pub(crate) fn names_other_key_than(&self, issuer: &Self) -> bool {
        match (&self.0.authority_key_id, &issuer.0.subject_key_id) {
            (Some(named), Some(found)) => named != found,
            _ => false,
        }
    }

    /// Whether key usages allow the leaf of a path to be used so.
    pub(crate) fn may_be_used_for(&self, usage: Usage) -> bool {
        match usage {
            Usage::IssuingLicences => {
                self.0.key_usage.is_some_and(|bits| bits.signs)
                    && self.0.extended.is_none_or(|extended| extended.beyond_tls)
            }
            Usage::IssuingClients => {
                self.0.key_usage.is_none_or(|bits| bits.digital_signature)
                    && self.0.extended.is_none_or(|extended| extended.client)
            }
            Usage::TimeStamping => {
                self.0.key_usage.is_none_or(|bits| bits.signs)
                    && self.0.extended.is_some_and(|extended| extended.only_time_stamping)
            }
            // Which key usage a server needs depends on the key exchange: for TLS to judge.
            Usage::AuthenticatingServers => self.0.extended.is_none_or(|extended| extended.server),
        }
    }

    /// Whether the extended key usages of a CA, if it has any, let it issue certificates to be used so.
    pub(crate) fn may_issue_for(&self, usage: Usage) -> bool {
        self.0.extended.is_none_or(|extended| match usage {
            Usage::IssuingLicences => extended.beyond_tls,
            Usage::IssuingClients => extended.client,
            Usage::TimeStamping => extended.time_stamping,
            Usage::AuthenticatingServers => extended.server,
        })
    }

    pub(crate) fn validated_form(&self) -> Option<&PDVCertificate> {
        let form = || PDVCertificate::try_from(self.0.der.as_slice()).ok();
        self.0.validated_form.get_or_init(form).as_ref()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("sha256", &self.0.sha256).finish_non_exhaustive()
    }
}

impl Parsed {
    fn new(der: &[u8], x509: &X509Certificate<'_>) -> Option<Self> {
        let mut key_usage = None;
        let mut extended = None;
        let mut is_ca = false;
        let mut has_unknown_critical = false;
        let mut subject_key_id = None;
        let mut authority_key_id = None;
        // RFC 5280, 4.1.1.2: what is signed names the algorithm it is signed with.
        if x509.signature_algorithm != x509.tbs_certificate.signature {
            return None;
        }
        // RFC 5280, 4.2: no extension twice.
        x509.extensions_map().ok()?;
        for extension in x509.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::KeyUsage(bits) => {
                    key_usage = Some(KeyUsage {
                        signs: bits.digital_signature() || bits.non_repudiation(),
                        digital_signature: bits.digital_signature(),
                        signs_lists: bits.crl_sign(),
                        signs_certificates: bits.key_cert_sign(),
                    });
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    extended = Some(ExtendedKeyUsage {
                        client: usage.client_auth || usage.any,
                        server: usage.server_auth || usage.any,
                        beyond_tls: usage.any
                            || usage.code_signing
                            || usage.email_protection
                            || usage.time_stamping
                            || usage.ocsp_signing
                            || !usage.other.is_empty(),
                        ocsp_signing: usage.ocsp_signing,
                        time_stamping: usage.time_stamping || usage.any,
                        only_time_stamping: usage.time_stamping
                            && extension.critical
                            && !(usage.any
                                || usage.server_auth
                                || usage.client_auth
                                || usage.code_signing
                                || usage.email_protection
                                || usage.ocsp_signing)
                            && usage.other.is_empty(),
                    });
                }
                ParsedExtension::BasicConstraints(constraints) => is_ca = constraints.ca,
                ParsedExtension::SubjectKeyIdentifier(id) => {
                    subject_key_id = Some(id.0.to_vec());
                }
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                // One of the above that cannot be read must not pass for absent.
                ParsedExtension::ParseError { .. } => return None,
                ParsedExtension::SubjectAlternativeName(_) => {}
                _ => has_unknown_critical |= extension.critical,
            }
        }
        let spki = x509.subject_pki.raw;
        let organisation_oid = oid!(2.5.4.97);
        Some(Self {
            der: der.to_vec(),
            sha256: sha256(der),
            serial: without_leading_zeros(x509.raw_serial()).to_vec(),
            issuer: x509.issuer().as_raw().to_vec(),
            subject: x509.subject().as_raw().to_vec(),
            issuer_text: x509.issuer().to_string(),
            subject_text: x509.subject().to_string(),
            not_before: time::from_seconds(x509.validity().not_before.timestamp())?,
            not_after: time::from_seconds(x509.validity().not_after.timestamp())?,
            spki: spki.to_vec(),
            key: PublicKey::from_spki(spki).map_err(|error| match error {
                short @ CertificateError::RsaTooShort { .. } => short,
                _ => CertificateError::UnsupportedKey,
            }),
            organisation: only_attribute(x509.subject(), &organisation_oid)
                .and_then(|text| text.parse().ok()),
            organisation_name: only_attribute(x509.subject(), &oid!(2.5.4.10)),
            key_usage,
            extended,
            is_ca,
            has_unknown_critical,
            subject_key_id,
            authority_key_id,
            validated_form: OnceLock::new(),
        })
    }
}

/// The value of an attribute that occurs exactly once.
fn only_attribute(name: &X509Name<'_>, oid: &Oid<'static>) -> Option<String> {
    let mut found = name.iter_by_oid(oid);
    let value = found.next()?.as_str().ok()?.to_owned();
    found.next().is_none().then_some(value)
}

pub(crate) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// The PEM blocks with `label` in a text that may hold others.
pub(crate) fn pem_blocks<'a>(text: &'a str, label: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(&begin)?;
        let length = rest[start..].find(&end).map(|at| at + end.len());
        // Without an end line the rest is handed on, for the decoder to refuse.
        let stop = length.map_or(rest.len(), |length| start + length);
        let block = &rest[start..stop];
        rest = &rest[stop..];
        Some(block)
    })
}

pub(crate) fn to_pem(label: &str, der: &[u8]) -> String {
    pem::encode_string(label, pem::LineEnding::LF, der)
        .expect("a fixed label and bytes in memory always encode")
}
