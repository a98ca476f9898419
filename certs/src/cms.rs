//! CMS SignedData (RFC 5652), with the content types of GM/T 0010 for SM2.
//!
//! What [`sign_detached`] makes, and what is taken in:
//!
//! | suite | digest | signature over | checked by |
//! | --- | --- | --- | --- |
//! | ECDSA P-256 | SHA-256 | signed attributes | `openssl cms -verify` |
//! | RSA (taken in only) | SHA-256 | signed attributes | `openssl cms -verify` |
//! | Ed25519 (RFC 8419) | SHA-512 | signed attributes | not by OpenSSL 3.0 (openssl/openssl#11915) |
//! | SM2 | SM3 | signed attributes, with Z of the default signer id | not by GmSSL, see below |
//!
//! Containers without signed attributes are taken in too; the signature is then over the content
//! itself.
//!
//! **GmSSL** (`gmssl cmssign`, `gmssl cmsverify`, version 3.1) knows neither detached content nor
//! signed attributes as RFC 5652 defines them: the SM2 value `e` is SM3 over the encoded inner
//! ContentInfo, without Z. [`sign_attached`] makes exactly that form for SM2, and it is taken in when
//! the content inside equals the content given. No one signature satisfies both forms.

use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, OctetStringRef};
use der::{Decode, Encode, Tag, TagNumber, pem};
use jiff::Timestamp;
use licence::CreditCode;
use sm3::{Digest, Sm3};
use spki::AlgorithmIdentifierRef;
use x509_cert::time::Time;

use crate::certificate::{pem_blocks, to_pem};
use crate::effort::Effort;
use crate::tlv::{INTEGER, Members, OCTET_STRING, SEQUENCE, SET, context, set_of, tlv};
use crate::{
    Certificate, CertificateError, ChainError, ChainRecord, HashAlgorithm, Link, LinkVerdict,
    Outcome, PublicKey, Revocation, SignError, SigningIdentity, Suite, TimeStamp, Times,
    TrustStore, Usage, Verifier, check, oids, sha256, suite, time,
};

/// The largest signature taken in, in bytes, embedded content not counted.
pub const MAX_CMS_BYTES: usize = 64 * 1024;

/// The most certificates in a licence's signature.
const MAX_CERTIFICATES: usize = 8;

/// How large a container may be: for licences, and for what other programs put into their files.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) certificates: usize,
    pub(crate) signers: usize,
}

/// For reading a signature's value, whatever is inside the container.
const BOUNDS_OF_ONE: Bounds =
    Bounds { bytes: 16 * 1024 * 1024, certificates: MAX_CERTIFICATES, signers: usize::MAX };

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
    /// What a time-stamp in the signature comes to, if there is one and it was looked at
    /// ([`verify_stamped`]): undetermined where its authority is not known.
    pub time_stamp: Option<LinkVerdict>,
    /// The time by which a trusted time-stamp proves that the signature existed.
    pub proven_at: Option<Timestamp>,
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
    /// SignedData over something else than plain data.
    #[error("the signature is over another content type than data")]
    ContentType,
    /// No signer.
    #[error("the signature names no signer")]
    NoSigner,
    /// More than one signer.
    #[error("the signature names {count} signers, one is expected")]
    SeveralSigners {
        /// Signers found.
        count: usize,
    },
    /// A detached signature, and nothing that it could be over.
    #[error("the content that was signed is not at hand")]
    ContentMissing,
    /// More signers than a file is checked for.
    #[error("the signature names {count} signers, more than allowed")]
    TooManySigners {
        /// Signers found.
        count: usize,
    },
    /// MD5 or SHA-1: whoever wants to can make two contents with one digest.
    #[error("the signature rests on a digest that is broken")]
    WeakDigest,
    /// The signed attribute that names the signer's certificate (RFC 5035) names another one.
    #[error("the signature names another certificate than the signer's")]
    SigningCertificate,
    /// More than 8 certificates; in other files than licences, 64.
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
    /// The algorithms named do not fit each other or the signer's key, or are none we accept.
    #[error("the algorithms named in the signature do not fit the signer's key")]
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
    /// A time-stamp in the signature does not hold.
    #[error("the time-stamp in the signature does not hold: {}", .0.code)]
    TimeStamp(LinkVerdict),
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
            Self::ContentType => "signature_content_type",
            Self::NoSigner => "signature_no_signer",
            Self::SeveralSigners { .. } => "signature_several_signers",
            Self::ContentMissing => "signature_content_missing",
            Self::TooManySigners { .. } => "signature_too_many_signers",
            Self::WeakDigest => "signature_digest_weak",
            Self::SigningCertificate => "signature_signing_certificate",
            Self::TooManyCertificates { .. } => "signature_too_many_certificates",
            Self::Certificate(error) => error.code(),
            Self::SignerCertificateMissing => "signature_signer_certificate_missing",
            Self::AlgorithmMismatch => "signature_algorithm_mismatch",
            Self::EmbeddedContentDiffers => "signature_embedded_content_differs",
            Self::SignedAttributes => "signature_signed_attributes",
            Self::DigestMismatch => "signature_digest_mismatch",
            Self::BadSignature => "signature_wrong",
            Self::AmbiguousContent => "signature_ambiguous_content",
            Self::TimeStamp(link) => link.code,
            Self::Chain(error) => error.code(),
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Chain(error) => error.link(),
            Self::TimeStamp(_) => Link::Time,
            Self::Certificate(_) | Self::SignerCertificateMissing | Self::SigningCertificate => {
                Link::Certificate
            }
            Self::ContentMissing => Link::Coverage,
            Self::WeakDigest
            | Self::EmbeddedContentDiffers
            | Self::DigestMismatch
            | Self::BadSignature
            | Self::AlgorithmMismatch
            | Self::AmbiguousContent => Link::Signature,
            _ => Link::Format,
        }
    }
}

/// Signs `content` at `at`: detached CMS SignedData, DER, with the identity's certificates and the
/// signed attributes content-type, message-digest and signing-time.
///
/// # Errors
/// `Key` if the key fails, `Encoding` if `at` is outside 1970 to 9999.
pub fn sign_detached(
    identity: &SigningIdentity,
    content: &[u8],
    at: Timestamp,
) -> Result<Vec<u8>, SignError> {
    let content_type = content_type_of(identity.signer().suite());
    let encapsulated = tlv(SEQUENCE, &[&content_type.to_der().map_err(encoding)?]);
    sign_attributes(identity, &encapsulated.map_err(encoding)?, content, at)
}

/// Like [`sign_detached`], with the content inside the container; for SM2 in the form that
/// `gmssl cmsverify` accepts (see the module's table), which has no signing time.
///
/// # Errors
/// As [`sign_detached`]; `UnsupportedKey` if an SM2 key cannot sign a bare digest.
pub fn sign_attached(
    identity: &SigningIdentity,
    content: &[u8],
    at: Timestamp,
) -> Result<Vec<u8>, SignError> {
    let suite = identity.signer().suite();
    let encapsulated = encapsulate(suite, content).map_err(encoding)?;
    if suite != Suite::Sm2Sm3 {
        return sign_attributes(identity, &encapsulated, content, at);
    }
    let signature = identity.signer().sign_sm2_digest(&Sm3::digest(&encapsulated).into())?;
    assemble(identity, &encapsulated, &[], &signature).map_err(encoding)
}

/// Checks that `cms` is a signature over `content` by a certificate it carries. Exactly one signer is
/// expected; content inside the container must equal `content`.
///
/// # Errors
/// See [`SignatureError`]; never `Chain`.
pub fn check_signature(cms: &[u8], content: &[u8]) -> Result<UnchainedSignature, SignatureError> {
    let (signed, info) = read_one(cms, content)?;
    let signer = Certificate::from_der(signed.certificate_of(&info)?)?;
    let Signed { suite, signing_time, .. } = signed.check(&info, &signer, &[content])?;
    let others = signed.others(&signer);
    Ok(UnchainedSignature { signer, others, suite, signing_time })
}

/// Checks that `cms` is a signature over `content` (see [`check_signature`]) by a signer trusted for
/// issuing licences at `at`. Paths are remembered by `trust`, so that the cost of a further signature
/// by the same certificate is that of the bare signature.
///
/// # Errors
/// See [`SignatureError`].
pub fn verify_detached(
    cms: &[u8],
    content: &[u8],
    trust: &TrustStore,
    at: Timestamp,
) -> Result<VerifiedSignature, SignatureError> {
    let usage = Usage::IssuingLicences;
    let (signed, info) = read_one(cms, content)?;
    let leaf = signed.certificate_of(&info)?;
    let has = |needed: &Certificate| signed.certificates.contains(&needed.der());
    let (path, found) = match trust.recall(&sha256(leaf), usage, at, has) {
        Some(known) => {
            let found = signed.check(&info, &known.leaf, &[content])?;
            trust.unless_revoked(&known, at)?;
            (known, found)
        }
        None => {
            let signer = Certificate::from_der(leaf)?;
            let found = signed.check(&info, &signer, &[content])?;
            (trust.validate(&signer, &signed.others(&signer), usage, at)?, found)
        }
    };
    let signer = path.leaf.clone();
    Ok(VerifiedSignature {
        organisation: signer.organisation(),
        suite: found.suite,
        chain: path.record.clone(),
        signing_time: found.signing_time,
        time_stamp: None,
        proven_at: None,
        signer,
    })
}

/// Like [`verify_detached`], judged as of the time that a trusted time-stamp in the signature proves: the signer's
/// path must have held then, and what is older than a revocation stands. Where the time-stamp's authority is not
/// known, and where there is none, as of `at`.
///
/// # Errors
/// See [`SignatureError`]; `TimeStamp` for one that is over other bytes, forged, or by an authority whose certificate
/// is good for something else.
pub fn verify_stamped(
    cms: &[u8],
    content: &[u8],
    trust: &TrustStore,
    at: Timestamp,
) -> Result<VerifiedSignature, SignatureError> {
    let usage = Usage::IssuingLicences;
    let (signed, info) = read_one(cms, content)?;
    let signer = Certificate::from_der(signed.certificate_of(&info)?)?;
    let found = signed.check(&info, &signer, &[content])?;
    let mut times = Times::now(at);
    let time_stamp = check::proven(&info, trust, &mut times, &Effort::of_stamps());
    if let Some(link) = &time_stamp
        && link.outcome == Outcome::Untrusted
    {
        return Err(SignatureError::TimeStamp(link.clone()));
    }
    let others = signed.others(&signer);
    let has = |needed: &Certificate| others.contains(needed);
    let path = match trust.recall(&signer.sha256(), usage, times.of_path(), has) {
        Some(known) => known,
        None => trust.path(&signer, &others, usage, times.of_path())?,
    };
    if let Revocation::Revoked { at: revoked_at, .. } =
        trust.judge_at(&path.record, &times).revocation
    {
        trust.unless_revoked(&path, at)?;
        return Err(ChainError::Revoked { position: 0, revoked_at }.into());
    }
    Ok(VerifiedSignature {
        organisation: signer.organisation(),
        suite: found.suite,
        chain: path.record.clone(),
        signing_time: found.signing_time,
        time_stamp,
        proven_at: times.proven,
        signer,
    })
}

/// The earliest time-stamp that holds of those that the one signer's signature carries (RFC 3161, appendix A), with its
/// token. `None` where there is none, or none by an authority that is known.
///
/// # Errors
/// As [`cms_signature_value`]; `TimeStamp` as [`verify_stamped`].
pub fn time_stamp_of(
    cms: &[u8],
    trust: &TrustStore,
    at: Timestamp,
) -> Result<Option<(Vec<u8>, TimeStamp)>, SignatureError> {
    let signed = SignedData::read(cms, BOUNDS_OF_ONE)?;
    match check::earliest(one_signer(&signed)?, trust, &Times::now(at), &Effort::of_stamps()) {
        Ok((token, stamp)) => Ok(Some((token.to_vec(), stamp))),
        Err(Some(link)) if link.outcome == Outcome::Untrusted => {
            Err(SignatureError::TimeStamp(link))
        }
        Err(_) => Ok(None),
    }
}

fn one_signer<'s, 'a>(signed: &'s SignedData<'a>) -> Result<&'s SignerInfo<'a>, SignatureError> {
    match signed.signers.as_slice() {
        [] => Err(SignatureError::NoSigner),
        [signer] => Ok(signer),
        several => Err(SignatureError::SeveralSigners { count: several.len() }),
    }
}

/// The signature value of the one signer: what a time-stamp over a signature covers (RFC 3161, appendix A).
///
/// # Errors
/// `TooLarge`, `Malformed`, `NotSignedData`, `NoSigner`, `SeveralSigners`.
pub fn cms_signature_value(cms: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let signed = SignedData::read(cms, BOUNDS_OF_ONE)?;
    Ok(one_signer(&signed)?.signature.to_vec())
}

/// The same signature with a time-stamp over its value as unsigned attribute (RFC 3161, appendix A;
/// CAdES-T). Time-stamps and other unsigned attributes that are there already are kept; the same one is not
/// added twice.
///
/// * `token`: a time-stamp token; whether it is over this signature is for the caller to verify.
///
/// # Errors
/// As [`cms_signature_value`]; `Malformed` also if `token` is not DER.
pub fn with_time_stamp(cms: &[u8], token: &[u8]) -> Result<Vec<u8>, SignatureError> {
    cms_signature_value(cms)?;
    AnyRef::from_der(token)?;
    let mut outer = Members::of_sequence(cms)?;
    let kind = outer.next_bytes()?;
    let mut data = Members::of_sequence(outer.next_context(0)?.unwrap_or_default())?;
    let mut parts: Vec<&[u8]> = Vec::new();
    while !data.is_finished() {
        parts.push(data.next_bytes()?);
    }
    // The SET of signers is the last member of SignedData, and holds one.
    let signers = parts.pop().ok_or(SignatureError::Malformed)?;
    let mut signer = Members::of(AnyRef::from_der(signers)?.value())?.next_sequence()?;
    let mut members: Vec<&[u8]> = Vec::new();
    let mut attributes = Vec::new();
    while !signer.is_finished() {
        // Behind the signature, whose tag no other member has: the unsigned attributes.
        let behind = members.last().is_some_and(|last| last.first() == Some(&OCTET_STRING));
        if behind && let Some(unsigned) = signer.next_context(1)? {
            let mut unsigned = Members::of(unsigned)?;
            while !unsigned.is_finished() {
                attributes.push(unsigned.next_bytes()?.to_vec());
            }
        } else {
            members.push(signer.next_bytes()?);
        }
    }
    let value = tlv(SET, &[token])?;
    let attribute = tlv(SEQUENCE, &[&oids::SIGNATURE_TIME_STAMP.to_der()?, &value])?;
    if attributes.contains(&attribute) {
        return Ok(cms.to_vec());
    }
    attributes.push(attribute);
    let unsigned = set_of(context(1), attributes)?;
    members.push(&unsigned);
    let signers = tlv(SET, &[&tlv(SEQUENCE, &members)?])?;
    parts.push(&signers);
    Ok(tlv(SEQUENCE, &[kind, &tlv(context(0), &[&tlv(SEQUENCE, &parts)?])?])?)
}

/// A signature as PEM, label `CMS`, as `openssl` and `gmssl` write and read it.
pub fn cms_to_pem(cms: &[u8]) -> String {
    to_pem("CMS", cms)
}

/// The DER of the first signature (label `CMS` or `PKCS7`) in a PEM text.
///
/// # Errors
/// `Malformed` if there is none.
pub fn cms_from_pem(text: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let text = std::str::from_utf8(text).map_err(|_| SignatureError::Malformed)?;
    let block = pem_blocks(text, "CMS").next().or_else(|| pem_blocks(text, "PKCS7").next());
    let block = block.ok_or(SignatureError::Malformed)?;
    pem::decode_vec(block.as_bytes()).map(|(_, der)| der).map_err(|_| SignatureError::Malformed)
}

/// The most lists and answers of a container that are looked at.
const MAX_STAPLED: usize = 16;

/// A container, read without copying; the bytes under the signature are as they came.
pub(crate) struct SignedData<'a> {
    version: u8,
    pub(crate) content_type: ObjectIdentifier,
    /// EncapsulatedContentInfo with tag and length.
    encapsulated: &'a [u8],
    /// The content inside, if it is there.
    pub(crate) embedded: Option<&'a [u8]>,
    digests: Vec<ObjectIdentifier>,
    pub(crate) certificates: Vec<&'a [u8]>,
    /// Revocation lists and OCSP answers that the container carries.
    pub(crate) stapled: Stapled<'a>,
    pub(crate) signers: Vec<SignerInfo<'a>>,
}

/// What says that certificates are not revoked, carried beside a signature.
#[derive(Default)]
pub(crate) struct Stapled<'a> {
    /// CertificateLists.
    pub(crate) lists: Vec<&'a [u8]>,
    /// OCSPResponses.
    pub(crate) answers: Vec<&'a [u8]>,
}

pub(crate) struct SignerInfo<'a> {
    id: SignerId<'a>,
    digest: ObjectIdentifier,
    /// The members of the SET, without its tag and length.
    attributes: Option<&'a [u8]>,
    algorithm: AlgorithmIdentifierRef<'a>,
    pub(crate) signature: &'a [u8],
    /// The members of the SET of unsigned attributes.
    unsigned: Option<&'a [u8]>,
}

enum SignerId<'a> {
    /// Issuer name with tag and length; serial as in the INTEGER.
    IssuerAndSerial(&'a [u8], &'a [u8]),
    KeyIdentifier(&'a [u8]),
}

/// What the signed attributes say, once the signature over them was checked.
pub(crate) struct Signed {
    /// The suite of the signature; a key may have several.
    pub(crate) suite: Suite,
    /// The time the signer claims.
    pub(crate) signing_time: Option<Timestamp>,
    /// The signer's certificate is named under the signature (RFC 5035), and is the one.
    pub(crate) names_certificate: bool,
    /// The hash function that the content was signed with.
    pub(crate) hash: HashAlgorithm,
}

/// Reads the signature of a licence: one signer, over plain data, which if it is inside is `content`.
fn read_one<'a>(
    cms: &'a [u8],
    content: &[u8],
) -> Result<(SignedData<'a>, SignerInfo<'a>), SignatureError> {
    let bounds = Bounds {
        bytes: MAX_CMS_BYTES.saturating_add(content.len()),
        certificates: MAX_CERTIFICATES,
        signers: usize::MAX,
    };
    let mut signed = SignedData::read(cms, bounds)?;
    let count = signed.signers.len();
    let signer = signed.signers.pop().ok_or(SignatureError::NoSigner)?;
    if count > 1 {
        return Err(SignatureError::SeveralSigners { count });
    }
    if signed.content_type != oids::ID_DATA && signed.content_type != oids::GM_DATA {
        return Err(SignatureError::ContentType);
    }
    // RFC 5652, 5.1: version 1 for plain data by issuer and serial number, else 3; GM/T 0010 knows
    // only 1.
    let by_key = matches!(signer.id, SignerId::KeyIdentifier(_));
    let gm = signed.content_type == oids::GM_DATA;
    if !matches!((signed.version, by_key, gm), (1, false, _) | (3, true, _) | (3, _, true)) {
        return Err(SignatureError::Malformed);
    }
    if signed.embedded.is_some_and(|embedded| embedded != content) {
        return Err(SignatureError::EmbeddedContentDiffers);
    }
    Ok((signed, signer))
}

impl<'a> SignedData<'a> {
    pub(crate) fn read(cms: &'a [u8], bounds: Bounds) -> Result<Self, SignatureError> {
        if cms.len() > bounds.bytes {
            return Err(SignatureError::TooLarge { bytes: cms.len() });
        }
        // ContentInfo (RFC 5652, 3).
        let mut outer = Members::of_sequence(cms)?;
        let kind = outer.next_oid()?;
        if kind != oids::ID_SIGNED_DATA && kind != oids::GM_SIGNED_DATA {
            return Err(SignatureError::NotSignedData);
        }
        let inner = outer.next_context(0)?.ok_or(SignatureError::Malformed)?;
        outer.finish()?;

        // SignedData (5.1).
        let mut data = Members::of_sequence(inner)?;
        let version = data.next_small()?;
        if !matches!(version, 1 | 3 | 4 | 5) {
            return Err(SignatureError::Malformed);
        }
        let digests = digest_algorithms(data.next_as(Tag::Set)?)?;
        let encapsulated = data.next_bytes()?;
        let certificates = certificates(data.next_context(0)?, bounds.certificates)?;
        let stapled = stapled(data.next_context(1)?);
        let mut members = Members::of(data.next_as(Tag::Set)?)?;
        data.finish()?;

        let mut signers = Vec::with_capacity(1);
        while !members.is_finished() {
            signers.push(SignerInfo::read(members.next_sequence()?)?);
        }
        if signers.len() > bounds.signers {
            return Err(SignatureError::TooManySigners { count: signers.len() });
        }

        let mut inner = Members::of_sequence(encapsulated)?;
        let content_type = inner.next_oid()?;
        let embedded = inner.next_context(0)?;
        inner.finish()?;
        let embedded = embedded.map(<&OctetStringRef>::from_der).transpose()?;
        let embedded = embedded.map(OctetStringRef::as_bytes);
        Ok(Self {
            version,
            content_type,
            encapsulated,
            embedded,
            digests,
            certificates,
            stapled,
            signers,
        })
    }

    /// The certificate that a signer names.
    pub(crate) fn certificate_of(
        &self,
        signer: &SignerInfo<'_>,
    ) -> Result<&'a [u8], SignatureError> {
        let is_signer = |certificate: &&&[u8]| match signer.id {
            SignerId::IssuerAndSerial(issuer, serial) => {
                issuer_and_serial(certificate).is_ok_and(|found| found == (issuer, serial))
            }
            SignerId::KeyIdentifier(id) => Certificate::from_der(certificate)
                .is_ok_and(|certificate| certificate.subject_key_id() == Some(id)),
        };
        let found = self.certificates.iter().find(is_signer);
        found.copied().ok_or(SignatureError::SignerCertificateMissing)
    }

    /// The same, where the certificates that can be read are at hand.
    pub(crate) fn certificate_among(
        &self,
        certificates: &[Certificate],
        signer: &SignerInfo<'_>,
    ) -> Result<Certificate, SignatureError> {
        if let SignerId::KeyIdentifier(id) = signer.id {
            let found = certificates.iter().find(|found| found.subject_key_id() == Some(id));
            return found.cloned().ok_or(SignatureError::SignerCertificateMissing);
        }
        Ok(Certificate::from_der(self.certificate_of(signer)?)?)
    }

    /// The certificates besides the signer's. One that cannot be read is of no use to a path, and left
    /// out.
    pub(crate) fn others(&self, signer: &Certificate) -> Vec<Certificate> {
        let others = self.certificates.iter().filter(|der| **der != signer.der());
        others.filter_map(|der| Certificate::from_der(der).ok()).collect()
    }

    /// Checks algorithms, attributes and signature value against the signer's certificate.
    ///
    /// * `content`: in one or more pieces, one after the other; it is hashed where it lies.
    pub(crate) fn check(
        &self,
        signer: &SignerInfo<'_>,
        certificate: &Certificate,
        content: &[&[u8]],
    ) -> Result<Signed, SignatureError> {
        let key = certificate.public_key()?;
        let hash = hash_of(key.suite(), signer.digest)?;
        if !self.digests.iter().any(|digest| hash_of(key.suite(), *digest) == Ok(hash)) {
            return Err(SignatureError::AlgorithmMismatch);
        }
        let suite = suite_of(key, hash, signer)?;
        let Some(members) = signer.attributes else {
            self.check_bare(signer, key, suite, content)?;
            return Ok(Signed { suite, signing_time: None, names_certificate: false, hash });
        };
        let attributes = Attributes::read(members)?;
        if attributes.content_type != self.content_type {
            return Err(SignatureError::SignedAttributes);
        }
        if attributes.digest != hash.digest(content) {
            return Err(SignatureError::DigestMismatch);
        }
        for named in &attributes.certificates {
            if !named.is(certificate) {
                return Err(SignatureError::SigningCertificate);
            }
        }
        // RFC 5652, 5.4: signed as a SET OF, not under the tag [0] it is carried with.
        verify_value(key, suite, signer, &tlv(SET, &[members])?)?;
        Ok(Signed {
            suite,
            signing_time: attributes.signing_time,
            names_certificate: !attributes.certificates.is_empty(),
            hash,
        })
    }

    fn check_bare(
        &self,
        signer: &SignerInfo<'_>,
        key: &PublicKey,
        suite: Suite,
        content: &[&[u8]],
    ) -> Result<(), SignatureError> {
        let joined;
        let content = match content {
            [whole] => whole,
            pieces => {
                joined = pieces.concat();
                joined.as_slice()
            }
        };
        // A signature over attributes, shown again as one over content that is those attributes.
        let mut looks_like_attributes = false;
        if content.first() == Some(&SET) {
            looks_like_attributes = AnyRef::from_der(content).is_ok();
        }
        if looks_like_attributes {
            return Err(SignatureError::AmbiguousContent);
        }
        let is_attached = self.embedded.is_some();
        if suite == Suite::Sm2Sm3 && is_attached && self.content_type == oids::GM_DATA {
            let e = Sm3::digest(self.encapsulated);
            if key.verify_sm2_digest(&e, signer.signature).is_ok() {
                return Ok(());
            }
        }
        verify_value(key, suite, signer, content)
    }
}

/// Checks a signature value.
fn verify_value(
    key: &PublicKey,
    suite: Suite,
    signer: &SignerInfo<'_>,
    message: &[u8],
) -> Result<(), SignatureError> {
    key.verify_with(suite, message, signer.signature).map_err(|_| SignatureError::BadSignature)
}

/// The suite that a signer means.
fn suite_of(
    key: &PublicKey,
    hash: HashAlgorithm,
    signer: &SignerInfo<'_>,
) -> Result<Suite, SignatureError> {
    let oid = match (signer.algorithm.oid, hash) {
        // RFC 3370, 3.2: the digest is named apart.
        (oids::RSA, HashAlgorithm::Sha256) => oids::RSA_SHA_256,
        (oids::RSA, HashAlgorithm::Sha384) => oids::RSA_SHA_384,
        (oids::RSA, HashAlgorithm::Sha512) => oids::RSA_SHA_512,
        (oids::SM2_SIGN, _) => oids::SM2_WITH_SM3,
        (oid, _) => oid,
    };
    // NULL is seen where nothing should be, and is as good.
    let parameters = signer.algorithm.parameters.filter(|parameters| !parameters.is_null());
    let algorithm = AlgorithmIdentifierRef { oid, parameters };
    if suite::is_weak(algorithm) {
        return Err(SignatureError::WeakDigest);
    }
    let suite = Suite::of(key, algorithm).filter(|suite| suite.digest_oid() == hash.oid());
    suite.ok_or(SignatureError::AlgorithmMismatch)
}

impl<'a> SignerInfo<'a> {
    /// RFC 5652, 5.3.
    fn read(mut members: Members<'a>) -> Result<Self, SignatureError> {
        let version = members.next_small()?;
        let id = if members.next_tag()? == Tag::Sequence {
            let mut id = members.next_sequence()?;
            let found = SignerId::IssuerAndSerial(id.next_bytes()?, id.next_as(Tag::Integer)?);
            id.finish()?;
            found
        } else {
            // [0] IMPLICIT OCTET STRING: primitive.
            let zero = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };
            SignerId::KeyIdentifier(members.next_as(zero)?)
        };
        if version != if matches!(id, SignerId::IssuerAndSerial(..)) { 1 } else { 3 } {
            return Err(SignatureError::Malformed);
        }
        let digest = plain_algorithm(&mut members)?;
        let attributes = members.next_context(0)?;
        let algorithm = members.next_algorithm()?;
        let signature = members.next_as(Tag::OctetString)?;
        let unsigned = members.next_context(1)?;
        members.finish()?;
        Ok(Self { id, digest, attributes, algorithm, signature, unsigned })
    }
}

impl<'a> SignerInfo<'a> {
    /// The time-stamps over the signature value (RFC 3161, appendix A). Where the unsigned attributes cannot
    /// be read there are none: nothing rests on them.
    pub(crate) fn time_stamps(&self) -> Vec<&'a [u8]> {
        let read = |members: &'a [u8]| {
            let mut found = Vec::new();
            let mut members = Members::of(members)?;
            while !members.is_finished() {
                let mut attribute = members.next_sequence()?;
                if attribute.next_oid()? != oids::SIGNATURE_TIME_STAMP {
                    continue;
                }
                let mut values = Members::of(attribute.next_as(Tag::Set)?)?;
                while !values.is_finished() {
                    found.push(values.next_bytes()?);
                }
            }
            Ok::<_, der::Error>(found)
        };
        self.unsigned.and_then(|members| read(members).ok()).unwrap_or_default()
    }
}

struct Attributes<'a> {
    content_type: ObjectIdentifier,
    digest: &'a [u8],
    signing_time: Option<Timestamp>,
    /// As signing-certificate (RFC 2634, 5.4) and signing-certificate-v2 (RFC 5035, 3) name it.
    certificates: Vec<NamedCertificate<'a>>,
}

impl<'a> Attributes<'a> {
    /// RFC 5652, 11, and RFC 5035: each at most once, with one value; the first two must be there.
    fn read(members: &'a [u8]) -> Result<Self, SignatureError> {
        let wrong = || SignatureError::SignedAttributes;
        let (mut content_type, mut digest, mut signing_time) = (None, None, None);
        let (mut by_sha1, mut by_hash) = (None, None);
        let mut members = Members::of(members)?;
        while !members.is_finished() {
            let mut attribute = members.next_sequence()?;
            let kind = attribute.next_oid()?;
            let mut values = Members::of(attribute.next_as(Tag::Set)?)?;
            attribute.finish()?;
            let repeated = match kind {
                oids::CONTENT_TYPE => content_type.replace(values.next_oid()?).is_some(),
                oids::MESSAGE_DIGEST => digest.replace(values.next_as(Tag::OctetString)?).is_some(),
                oids::SIGNING_TIME => {
                    let value = Time::from_der(values.next_bytes()?)?;
                    signing_time.replace(time::from_x509(value).ok_or_else(wrong)?).is_some()
                }
                oids::SIGNING_CERTIFICATE => {
                    let value = values.next_bytes()?;
                    by_sha1.replace(NamedCertificate::read(value, false)?).is_some()
                }
                oids::SIGNING_CERTIFICATE_V2 => {
                    let value = values.next_bytes()?;
                    by_hash.replace(NamedCertificate::read(value, true)?).is_some()
                }
                _ => continue,
            };
            if repeated || !values.is_finished() {
                return Err(wrong());
            }
        }
        Ok(Self {
            content_type: content_type.ok_or_else(wrong)?,
            digest: digest.ok_or_else(wrong)?,
            signing_time,
            certificates: by_sha1.into_iter().chain(by_hash).collect(),
        })
    }
}

/// The signer's certificate as it is named under the signature: ESSCertID or ESSCertIDv2.
struct NamedCertificate<'a> {
    /// `None`: SHA-1, which only picks out one of the certificates at hand (RFC 5816, 3, keeps it).
    hash: Option<HashAlgorithm>,
    value: &'a [u8],
    /// Issuer's GeneralNames with tag and length, and serial number.
    issuer_and_serial: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> NamedCertificate<'a> {
    /// Reads SigningCertificate or SigningCertificateV2; the first entry is the signer's.
    fn read(value: &'a [u8], second: bool) -> Result<Self, SignatureError> {
        let mut outer = Members::of_sequence(value)?;
        let mut entries = outer.next_sequence()?;
        let mut entry = entries.next_sequence()?;
        let mut hash = second.then_some(HashAlgorithm::Sha256);
        if second && entry.next_tag()? == Tag::Sequence {
            let named = plain_algorithm(&mut entry)?;
            hash = Some(HashAlgorithm::of_oid(named).ok_or(SignatureError::WeakDigest)?);
        }
        let value = entry.next_as(Tag::OctetString)?;
        let mut issuer_and_serial = None;
        if !entry.is_finished() {
            let mut named = entry.next_sequence()?;
            issuer_and_serial = Some((named.next_bytes()?, named.next_as(Tag::Integer)?));
            named.finish()?;
        }
        entry.finish()?;
        Ok(Self { hash, value, issuer_and_serial })
    }

    fn is(&self, certificate: &Certificate) -> bool {
        let der = certificate.der();
        let digest = match self.hash {
            Some(hash) => hash.digest(&[der]),
            None => {
                let sha1 = &ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
                ring::digest::digest(sha1, der).as_ref().to_vec()
            }
        };
        let agrees = |(names, serial): (&[u8], &[u8])| {
            let found = issuer_and_serial(der);
            // GeneralNames of one directoryName [4].
            found.is_ok_and(|(issuer, number)| {
                let name = tlv(context(4), &[issuer]);
                let expected = name.and_then(|name| tlv(SEQUENCE, &[&name]));
                number == serial && expected.is_ok_and(|expected| expected == names)
            })
        };
        self.value == digest && self.issuer_and_serial.is_none_or(agrees)
    }
}

impl From<der::Error> for SignatureError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

fn digest_algorithms(set: &[u8]) -> Result<Vec<ObjectIdentifier>, SignatureError> {
    let mut members = Members::of(set)?;
    let mut found = Vec::with_capacity(1);
    while !members.is_finished() {
        found.push(plain_algorithm(&mut members)?);
    }
    Ok(found)
}

/// Of the kinds of RFC 5652, 10.2.2, X.509 certificates count; attribute certificates are passed over.
fn certificates(set: Option<&[u8]>, most: usize) -> Result<Vec<&[u8]>, SignatureError> {
    let mut members = Members::of(set.unwrap_or_default())?;
    let mut found = Vec::with_capacity(2);
    let mut count = 0;
    while !members.is_finished() {
        count += 1;
        let is_certificate = members.next_tag()? == Tag::Sequence;
        let certificate = members.next_bytes()?;
        if is_certificate {
            found.push(certificate);
        }
    }
    if count > most {
        return Err(SignatureError::TooManyCertificates { count });
    }
    Ok(found)
}

/// RevocationInfoChoices (RFC 5652, 10.2.1; for OCSP, RFC 5940). No signature covers them, and each has one of
/// its own: what cannot be read is left out.
fn stapled(set: Option<&[u8]>) -> Stapled<'_> {
    let mut found = Stapled::default();
    let mut read = || {
        let mut members = Members::of(set.unwrap_or_default())?;
        while !members.is_finished() && found.lists.len() + found.answers.len() < MAX_STAPLED {
            if members.next_tag()? == Tag::Sequence {
                found.lists.push(members.next_bytes()?);
                continue;
            }
            let mut other = Members::of(members.next()?.value())?;
            if other.next_oid()? == oids::OCSP_RESPONSE {
                found.answers.push(other.next_bytes()?);
            }
        }
        Ok(())
    };
    let _: der::Result<()> = read();
    found
}

/// An algorithm that takes no parameters; NULL is tolerated for each.
fn plain_algorithm(members: &mut Members<'_>) -> Result<ObjectIdentifier, SignatureError> {
    let algorithm = members.next_algorithm()?;
    if algorithm.parameters.is_some_and(|parameters| !parameters.is_null()) {
        return Err(SignatureError::AlgorithmMismatch);
    }
    Ok(algorithm.oid)
}

/// Issuer name with tag and length, and the octets of the serial number, of a certificate.
fn issuer_and_serial(certificate: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut tbs = Members::of_sequence(certificate)?.next_sequence()?;
    tbs.next_context(0)?;
    let serial = tbs.next_as(Tag::Integer)?;
    tbs.next()?;
    Ok((tbs.next_bytes()?, serial))
}

/// The hash function that a signer with a key of this suite means. The keyed SM3 and SM2-with-SM3 are
/// seen where SM3 is meant.
fn hash_of(suite: Suite, oid: ObjectIdentifier) -> Result<HashAlgorithm, SignatureError> {
    if oids::WEAK.contains(&oid) {
        return Err(SignatureError::WeakDigest);
    }
    if suite == Suite::Sm2Sm3 && (oid == oids::SM3_KEYED || oid == oids::SM2_WITH_SM3) {
        return Ok(HashAlgorithm::Sm3);
    }
    HashAlgorithm::of_oid(oid).ok_or(SignatureError::AlgorithmMismatch)
}

fn content_type_of(suite: Suite) -> ObjectIdentifier {
    if suite == Suite::Sm2Sm3 { oids::GM_DATA } else { oids::ID_DATA }
}

fn encapsulate(suite: Suite, content: &[u8]) -> der::Result<Vec<u8>> {
    let content = tlv(context(0), &[&tlv(OCTET_STRING, &[content])?])?;
    tlv(SEQUENCE, &[&content_type_of(suite).to_der()?, &content])
}

fn sign_attributes(
    identity: &SigningIdentity,
    encapsulated: &[u8],
    content: &[u8],
    at: Timestamp,
) -> Result<Vec<u8>, SignError> {
    let suite = identity.signer().suite();
    let at = time::to_x509(at).ok_or(SignError::Encoding)?;
    let attribute = |kind: ObjectIdentifier, value: &[u8]| {
        tlv(SEQUENCE, &[&kind.to_der()?, &tlv(SET, &[value])?])
    };
    let attributes = || {
        Ok(vec![
            attribute(oids::CONTENT_TYPE, &content_type_of(suite).to_der()?)?,
            attribute(oids::SIGNING_TIME, &at.to_der()?)?,
            attribute(oids::MESSAGE_DIGEST, &tlv(OCTET_STRING, &[&suite.digest(content)])?)?,
        ])
    };
    let attributes = attributes().map_err(encoding)?;
    let signed = set_of(SET, attributes.clone()).map_err(encoding)?;
    let carried = set_of(context(0), attributes).map_err(encoding)?;
    let signature = identity.signer().sign(&signed)?;
    assemble(identity, encapsulated, &carried, &signature).map_err(encoding)
}

/// * `attributes`: the signed attributes under their tag `[0]`, or nothing.
fn assemble(
    identity: &SigningIdentity,
    encapsulated: &[u8],
    attributes: &[u8],
    signature: &[u8],
) -> der::Result<Vec<u8>> {
    let suite = identity.signer().suite();
    let version = 1u8.to_der()?;
    let digest = tlv(SEQUENCE, &[&suite.digest_oid().to_der()?])?;
    let (issuer, serial) = issuer_and_serial(identity.certificate().der())?;
    let signer = tlv(
        SEQUENCE,
        &[
            &version,
            &tlv(SEQUENCE, &[issuer, &tlv(INTEGER, &[serial])?])?,
            &digest,
            attributes,
            &suite.signature_algorithm().to_der()?,
            &tlv(OCTET_STRING, &[signature])?,
        ],
    )?;
    let certificates = identity.chain().iter().map(|certificate| certificate.der().to_vec());
    let data = tlv(
        SEQUENCE,
        &[
            &version,
            &tlv(SET, &[&digest])?,
            encapsulated,
            &set_of(context(0), certificates.collect())?,
            &tlv(SET, &[&signer])?,
        ],
    )?;
    let kind = if suite == Suite::Sm2Sm3 { oids::GM_SIGNED_DATA } else { oids::ID_SIGNED_DATA };
    tlv(SEQUENCE, &[&kind.to_der()?, &tlv(context(0), &[&data])?])
}

fn encoding(_: der::Error) -> SignError {
    SignError::Encoding
}
