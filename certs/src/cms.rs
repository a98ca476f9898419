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
use x509_cert::time::Time;

use crate::certificate::{pem_blocks, to_pem};
use crate::tlv::{INTEGER, Members, OCTET_STRING, SEQUENCE, SET, context, set_of, tlv};
use crate::{
    Certificate, CertificateError, ChainError, ChainRecord, Link, PublicKey, SignError,
    SigningIdentity, Suite, TrustStore, Usage, Verifier, oids, sha256, time,
};

/// The largest signature taken in, in bytes, embedded content not counted.
pub const MAX_CMS_BYTES: usize = 64 * 1024;

/// The most certificates in a signature.
const MAX_CERTIFICATES: usize = 8;

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
            Self::TooManyCertificates { .. } => "signature_too_many_certificates",
            Self::Certificate(error) => error.code(),
            Self::SignerCertificateMissing => "signature_signer_certificate_missing",
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
    let signed = SignedData::read(cms, content)?;
    let signer = Certificate::from_der(signed.signer_certificate()?)?;
    let suite = signer.public_key()?.suite();
    let signing_time = signed.check(signer.public_key()?, content)?;
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
    let signed = SignedData::read(cms, content)?;
    let leaf = signed.signer_certificate()?;
    let has = |needed: &Certificate| signed.certificates.contains(&needed.der());
    let (path, signing_time) = match trust.recall(&sha256(leaf), usage, at, has) {
        Some(known) => {
            let signing_time = signed.check(known.leaf.public_key()?, content)?;
            trust.unless_revoked(&known, at)?;
            (known, signing_time)
        }
        None => {
            let signer = Certificate::from_der(leaf)?;
            let signing_time = signed.check(signer.public_key()?, content)?;
            (trust.validate(&signer, &signed.others(&signer), usage, at)?, signing_time)
        }
    };
    let signer = path.leaf.clone();
    Ok(VerifiedSignature {
        organisation: signer.organisation(),
        suite: signer.public_key()?.suite(),
        chain: path.record.clone(),
        signing_time,
        signer,
    })
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

/// A container, read without copying; the bytes under the signature are as they came.
struct SignedData<'a> {
    content_type: ObjectIdentifier,
    /// EncapsulatedContentInfo with tag and length.
    encapsulated: &'a [u8],
    is_attached: bool,
    digests: Vec<ObjectIdentifier>,
    certificates: Vec<&'a [u8]>,
    signer: SignerInfo<'a>,
}

struct SignerInfo<'a> {
    id: SignerId<'a>,
    digest: ObjectIdentifier,
    /// The members of the SET, without its tag and length.
    attributes: Option<&'a [u8]>,
    algorithm: ObjectIdentifier,
    signature: &'a [u8],
}

enum SignerId<'a> {
    /// Issuer name with tag and length; serial as in the INTEGER.
    IssuerAndSerial(&'a [u8], &'a [u8]),
    KeyIdentifier(&'a [u8]),
}

impl<'a> SignedData<'a> {
    fn read(cms: &'a [u8], content: &[u8]) -> Result<Self, SignatureError> {
        if cms.len() > MAX_CMS_BYTES.saturating_add(content.len()) {
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
        let digests = digest_algorithms(data.next_as(Tag::Set)?)?;
        let encapsulated = data.next_bytes()?;
        let certificates = certificates(data.next_context(0)?)?;
        let _lists = data.next_context(1)?;
        let mut signers = Members::of(data.next_as(Tag::Set)?)?;
        data.finish()?;

        let mut count = 0;
        let mut signer = Err(SignatureError::NoSigner);
        while !signers.is_finished() {
            let members = signers.next_sequence()?;
            count += 1;
            if count == 1 {
                signer = SignerInfo::read(members);
            }
        }
        if count > 1 {
            return Err(SignatureError::SeveralSigners { count });
        }
        let signer = signer?;

        let mut inner = Members::of_sequence(encapsulated)?;
        let content_type = inner.next_oid()?;
        let embedded = inner.next_context(0)?;
        inner.finish()?;
        if content_type != oids::ID_DATA && content_type != oids::GM_DATA {
            return Err(SignatureError::ContentType);
        }
        // RFC 5652, 5.1: version 1 for plain data by issuer and serial number, else 3; GM/T 0010 knows
        // only 1.
        let by_key = matches!(signer.id, SignerId::KeyIdentifier(_));
        let gm = content_type == oids::GM_DATA;
        let as_rfc_5652 =
            matches!((version, by_key, gm), (1, false, _) | (3, true, _) | (3, _, true));
        if !as_rfc_5652 {
            return Err(SignatureError::Malformed);
        }
        if let Some(embedded) = embedded
            && <&OctetStringRef>::from_der(embedded)?.as_bytes() != content
        {
            return Err(SignatureError::EmbeddedContentDiffers);
        }
        let is_attached = embedded.is_some();
        Ok(Self { content_type, encapsulated, is_attached, digests, certificates, signer })
    }

    fn signer_certificate(&self) -> Result<&'a [u8], SignatureError> {
        let is_signer = |certificate: &&&[u8]| match self.signer.id {
            SignerId::IssuerAndSerial(issuer, serial) => {
                issuer_and_serial(certificate).is_ok_and(|found| found == (issuer, serial))
            }
            SignerId::KeyIdentifier(id) => Certificate::from_der(certificate)
                .is_ok_and(|certificate| certificate.subject_key_id() == Some(id)),
        };
        let found = self.certificates.iter().find(is_signer);
        found.copied().ok_or(SignatureError::SignerCertificateMissing)
    }

    /// The certificates besides the signer's. One that cannot be read is of no use to a path, and left
    /// out.
    fn others(&self, signer: &Certificate) -> Vec<Certificate> {
        let others = self.certificates.iter().filter(|der| **der != signer.der());
        others.filter_map(|der| Certificate::from_der(der).ok()).collect()
    }

    /// Checks algorithms, attributes and signature value; returns the signing time.
    fn check(&self, key: &PublicKey, content: &[u8]) -> Result<Option<Timestamp>, SignatureError> {
        let signer = &self.signer;
        let suite = key.suite();
        if !is_digest_of(suite, signer.digest)
            || !self.digests.iter().any(|digest| is_digest_of(suite, *digest))
            || !is_signature_of(suite, signer.algorithm)
        {
            return Err(SignatureError::AlgorithmMismatch);
        }
        let Some(members) = signer.attributes else {
            return self.check_bare(key, content).map(|()| None);
        };
        let attributes = Attributes::read(members)?;
        if attributes.content_type != self.content_type {
            return Err(SignatureError::SignedAttributes);
        }
        if attributes.digest != suite.digest(content) {
            return Err(SignatureError::DigestMismatch);
        }
        // RFC 5652, 5.4: signed as a SET OF, not under the tag [0] it is carried with.
        let message = tlv(SET, &[members])?;
        key.verify(&message, signer.signature).map_err(|_| SignatureError::BadSignature)?;
        Ok(attributes.signing_time)
    }

    fn check_bare(&self, key: &PublicKey, content: &[u8]) -> Result<(), SignatureError> {
        // A signature over attributes, shown again as one over content that is those attributes.
        let mut looks_like_attributes = false;
        if content.first() == Some(&SET) {
            looks_like_attributes = AnyRef::from_der(content).is_ok();
        }
        if looks_like_attributes {
            return Err(SignatureError::AmbiguousContent);
        }
        let signature = self.signer.signature;
        if key.suite() == Suite::Sm2Sm3 && self.is_attached && self.content_type == oids::GM_DATA {
            let e = Sm3::digest(self.encapsulated);
            if key.verify_sm2_digest(&e, signature).is_ok() {
                return Ok(());
            }
        }
        key.verify(content, signature).map_err(|_| SignatureError::BadSignature)
    }
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
        let algorithm = plain_algorithm(&mut members)?;
        let signature = members.next_as(Tag::OctetString)?;
        let _unsigned = members.next_context(1)?;
        members.finish()?;
        Ok(Self { id, digest, attributes, algorithm, signature })
    }
}

struct Attributes<'a> {
    content_type: ObjectIdentifier,
    digest: &'a [u8],
    signing_time: Option<Timestamp>,
}

impl<'a> Attributes<'a> {
    /// RFC 5652, 11: each of the three at most once, with one value; the first two must be there.
    fn read(members: &'a [u8]) -> Result<Self, SignatureError> {
        let wrong = || SignatureError::SignedAttributes;
        let (mut content_type, mut digest, mut signing_time) = (None, None, None);
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
        })
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

fn certificates(set: Option<&[u8]>) -> Result<Vec<&[u8]>, SignatureError> {
    let mut members = Members::of(set.unwrap_or_default())?;
    let mut found = Vec::with_capacity(2);
    while !members.is_finished() {
        members.next_tag()?.assert_eq(Tag::Sequence)?;
        found.push(members.next_bytes()?);
    }
    if found.len() > MAX_CERTIFICATES {
        return Err(SignatureError::TooManyCertificates { count: found.len() });
    }
    Ok(found)
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

/// The keyed SM3 and SM2-with-SM3 are seen where SM3 is meant.
fn is_digest_of(suite: Suite, oid: ObjectIdentifier) -> bool {
    oid == suite.digest_oid()
        || (suite == Suite::Sm2Sm3 && (oid == oids::SM3_KEYED || oid == oids::SM2_WITH_SM3))
}

fn is_signature_of(suite: Suite, oid: ObjectIdentifier) -> bool {
    oid == suite.signature_algorithm().oid
        || match suite {
            // RFC 3370, 3.2: the digest is named apart.
            Suite::RsaPkcs1Sha256 => oid == oids::RSA,
            Suite::Sm2Sm3 => oid == oids::SM2_SIGN,
            _ => false,
        }
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
