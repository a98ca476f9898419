//! Signature suites and the verification of bare signatures.

use std::fmt;

use const_oid::ObjectIdentifier;
use der::referenced::OwnedToRef;
use der::{Decode, Encode, Tag, asn1::AnyRef};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sm2::dsa::signature::{Verifier as _, hazmat::PrehashVerifier};
use sm3::{Digest, Sm3};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::certificate::without_leading_zeros;
use crate::tlv::{Members, SEQUENCE, context, tlv};
use crate::{CertificateError, oids};

/// The signer id that SM2 certificates and licences are signed under (GM/T 0009-2012, 10).
pub(crate) const SM2_SIGNER_ID: &str = "1234567812345678";

/// A signature algorithm together with its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Suite {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// RSA PKCS #1 v1.5 with SHA-256, 2048 to 8192 bits; verification only.
    RsaPkcs1Sha256,
    /// SM2 with SM3 (GB/T 32918), signer id `1234567812345678`.
    Sm2Sm3,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// ECDSA on P-256 with SHA-384; verification only.
    EcdsaP256Sha384,
    /// ECDSA on P-384 with SHA-256; verification only.
    EcdsaP384Sha256,
    /// RSA PKCS #1 v1.5 with SHA-384; verification only.
    RsaPkcs1Sha384,
    /// RSA PKCS #1 v1.5 with SHA-512; verification only.
    RsaPkcs1Sha512,
    /// RSASSA-PSS (RFC 8017) with SHA-256, MGF1 and salt of the same length; verification only.
    RsaPssSha256,
    /// The same with SHA-384.
    RsaPssSha384,
    /// The same with SHA-512.
    RsaPssSha512,
}

impl Suite {
    /// The suite that an algorithm identifier of a certificate, list or signature stands for.
    ///
    /// RFC 4055 asks for NULL with RSA, RFC 5758 and 8410 for nothing; a NULL after the SM2 OID is seen
    /// in the wild. An ECDSA identifier does not name the curve: `key` does.
    pub(crate) fn of(key: &PublicKey, algorithm: AlgorithmIdentifierRef<'_>) -> Option<Self> {
        let plain = algorithm.parameters.is_none();
        let null = algorithm.parameters.is_some_and(AnyRef::is_null);
        Some(match (&key.0, algorithm.oid) {
            (Key::P256(_), oids::ECDSA_SHA_256) if plain => Self::EcdsaP256Sha256,
            (Key::P256(_), oids::ECDSA_SHA_384) if plain => Self::EcdsaP256Sha384,
            (Key::P384(_), oids::ECDSA_SHA_256) if plain => Self::EcdsaP384Sha256,
            (Key::P384(_), oids::ECDSA_SHA_384) if plain => Self::EcdsaP384Sha384,
            (Key::Ed25519(_), oids::ED25519) if plain => Self::Ed25519,
            (Key::Sm2(_), oids::SM2_WITH_SM3) if plain || null => Self::Sm2Sm3,
            (Key::Rsa(_), oids::RSA_SHA_256) if plain || null => Self::RsaPkcs1Sha256,
            (Key::Rsa(_), oids::RSA_SHA_384) if plain || null => Self::RsaPkcs1Sha384,
            (Key::Rsa(_), oids::RSA_SHA_512) if plain || null => Self::RsaPkcs1Sha512,
            (Key::Rsa(_), oids::RSA_PSS) => pss_suite(algorithm.parameters?)?,
            // RFC 4055, 3.3: a key that names a digest signs with that one only.
            (Key::RsaPss(_, digest), oids::RSA_PSS) => {
                let suite = pss_suite(algorithm.parameters?)?;
                return digest.is_none_or(|only| only == suite).then_some(suite);
            }
            _ => return None,
        })
    }

    /// The digest of a CMS container of this suite; Ed25519 by RFC 8419, 3.1.
    pub(crate) fn digest_oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaP256Sha256
            | Self::EcdsaP384Sha256
            | Self::RsaPkcs1Sha256
            | Self::RsaPssSha256 => oids::SHA_256,
            Self::EcdsaP256Sha384
            | Self::EcdsaP384Sha384
            | Self::RsaPkcs1Sha384
            | Self::RsaPssSha384 => oids::SHA_384,
            Self::Ed25519 | Self::RsaPkcs1Sha512 | Self::RsaPssSha512 => oids::SHA_512,
            Self::Sm2Sm3 => oids::SM3,
        }
    }

    pub(crate) fn digest(self, content: &[u8]) -> Vec<u8> {
        let algorithm = match self.digest_oid() {
            oids::SHA_256 => &ring::digest::SHA256,
            oids::SHA_384 => &ring::digest::SHA384,
            oids::SHA_512 => &ring::digest::SHA512,
            _ => return Sm3::digest(content).to_vec(),
        };
        ring::digest::digest(algorithm, content).as_ref().to_vec()
    }

    /// The algorithm identifier written into certificates, lists and signatures.
    pub(crate) fn signature_algorithm(self) -> AlgorithmIdentifierOwned {
        let (oid, parameters) = match self {
            Self::EcdsaP256Sha256 | Self::EcdsaP384Sha256 => (oids::ECDSA_SHA_256, None),
            Self::EcdsaP256Sha384 | Self::EcdsaP384Sha384 => (oids::ECDSA_SHA_384, None),
            Self::Ed25519 => (oids::ED25519, None),
            Self::RsaPkcs1Sha256 => (oids::RSA_SHA_256, Some(der::Any::null())),
            Self::RsaPkcs1Sha384 => (oids::RSA_SHA_384, Some(der::Any::null())),
            Self::RsaPkcs1Sha512 => (oids::RSA_SHA_512, Some(der::Any::null())),
            Self::RsaPssSha256 => (oids::RSA_PSS, pss_parameters(oids::SHA_256, 32)),
            Self::RsaPssSha384 => (oids::RSA_PSS, pss_parameters(oids::SHA_384, 48)),
            Self::RsaPssSha512 => (oids::RSA_PSS, pss_parameters(oids::SHA_512, 64)),
            Self::Sm2Sm3 => (oids::SM2_WITH_SM3, None),
        };
        AlgorithmIdentifierOwned { oid, parameters }
    }

    /// How `ring` verifies it; SM2 is not among them.
    fn of_ring(self) -> Option<&'static dyn VerificationAlgorithm> {
        Some(match self {
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP256Sha384 => &signature::ECDSA_P256_SHA384_ASN1,
            Self::EcdsaP384Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::Ed25519 => &signature::ED25519,
            Self::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
            Self::Sm2Sm3 => return None,
        })
    }
}

/// RSASSA-PSS-params (RFC 4055, 3.1) with MGF1 over the same digest and a salt of its length: the
/// combinations that `ring` verifies, and that everybody makes.
fn pss_suite(parameters: AnyRef<'_>) -> Option<Suite> {
    let (digest, salt) = read_pss(parameters).ok()?;
    match (digest, salt) {
        (oids::SHA_256, 32) => Some(Suite::RsaPssSha256),
        (oids::SHA_384, 48) => Some(Suite::RsaPssSha384),
        (oids::SHA_512, 64) => Some(Suite::RsaPssSha512),
        _ => None,
    }
}

/// Digest and length of the salt; SHA-1 and 20 where nothing is said.
fn read_pss(parameters: AnyRef<'_>) -> der::Result<(ObjectIdentifier, u8)> {
    parameters.header().tag().assert_eq(Tag::Sequence)?;
    let mut members = Members::of(parameters.value())?;
    let explicit = |value: Option<&[u8]>, absent: ObjectIdentifier| -> der::Result<_> {
        let Some(value) = value else { return Ok((absent, None)) };
        let algorithm = AlgorithmIdentifierRef::from_der(value)?;
        Ok((algorithm.oid, algorithm.parameters.map(|any| any.to_der()).transpose()?))
    };
    let (digest, nothing) = explicit(members.next_context(0)?, oids::SHA_1)?;
    let (mask, mask_digest) = explicit(members.next_context(1)?, oids::MGF_1)?;
    let mask_digest = match &mask_digest {
        Some(bytes) => AlgorithmIdentifierRef::from_der(bytes)?.oid,
        None => oids::SHA_1,
    };
    let salt = members.next_context(2)?.map_or(Ok(20), u8::from_der)?;
    let trailer = members.next_context(3)?.map_or(Ok(1), u8::from_der)?;
    members.finish()?;
    let null = nothing.is_none_or(|bytes| bytes == [5, 0]);
    if !null || mask != oids::MGF_1 || mask_digest != digest || trailer != 1 {
        return Err(Tag::Sequence.value_error().into());
    }
    Ok((digest, salt))
}

fn pss_parameters(digest: ObjectIdentifier, salt: u8) -> Option<der::Any> {
    let parameters = || {
        let digest = tlv(SEQUENCE, &[&digest.to_der()?, &[5, 0]])?;
        let mask = tlv(SEQUENCE, &[&oids::MGF_1.to_der()?, &digest])?;
        let salt = tlv(context(2), &[&salt.to_der()?])?;
        let members = [tlv(context(0), &[&digest])?, tlv(context(1), &[&mask])?, salt];
        der::Any::from_der(&tlv(SEQUENCE, &[&members.concat()])?)
    };
    parameters().ok()
}

/// Whether an algorithm signs, or is, a digest that can be forged: MD2, MD4, MD5, SHA-1.
pub(crate) fn is_weak(algorithm: AlgorithmIdentifierRef<'_>) -> bool {
    algorithm.oid == oids::RSA_PSS
        && algorithm.parameters.is_none_or(|given| matches!(read_pss(given), Ok((oids::SHA_1, _))))
        || oids::WEAK.contains(&algorithm.oid)
}

/// Why a bare signature was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit the message and the key")]
pub struct VerifyError;

/// Checks signatures of one key: the counterpart of [`crate::Signer`].
pub trait Verifier: Send + Sync {
    /// The suite of the key.
    fn suite(&self) -> Suite;
    /// Checks `signature` (DER for ECDSA and SM2, raw for Ed25519 and RSA) over `message`.
    ///
    /// # Errors
    /// [`VerifyError`] if it does not fit.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError>;
}

/// A public key of one of the suites.
#[derive(Clone)]
pub struct PublicKey(Key);

#[derive(Clone)]
enum Key {
    P256(Box<[u8]>),
    P384(Box<[u8]>),
    Ed25519(Box<[u8]>),
    Rsa(Box<[u8]>),
    /// A key for RSASSA-PSS alone, perhaps with one digest alone (RFC 4055, 1.2).
    RsaPss(Box<[u8]>, Option<Suite>),
    /// Holds the user information hash Z under the default signer id.
    Sm2(Box<sm2::dsa::VerifyingKey>),
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.suite()).finish()
    }
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280, 4.1.2.7; RFC 5480, 8410, 4055; GM/T 0009 for SM2).
    ///
    /// # Errors
    /// `CertificateError::UnsupportedKey` if the key is of no suite or not a point of its curve,
    /// `RsaTooShort` for an RSA key under 2048 bits.
    pub fn from_spki(spki: &[u8]) -> Result<Self, CertificateError> {
        let unsupported = CertificateError::UnsupportedKey;
        let info =
            SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| CertificateError::Malformed)?;
        let bits = info.subject_public_key.as_bytes().ok_or(unsupported.clone())?;
        let parameters = info.algorithm.parameters;
        let curve = parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        Ok(Self(match (info.algorithm.oid, curve) {
            (oids::EC_PUBLIC_KEY, Some(oids::P256)) if uncompressed(bits, 32) => {
                Key::P256(bits.into())
            }
            (oids::EC_PUBLIC_KEY, Some(oids::P384)) if uncompressed(bits, 48) => {
                Key::P384(bits.into())
            }
            (oids::EC_PUBLIC_KEY, Some(oids::SM2_CURVE)) if uncompressed(bits, 32) => Key::Sm2(
                sm2::dsa::VerifyingKey::from_sec1_bytes(SM2_SIGNER_ID, bits)
                    .map_err(|_| unsupported)?
                    .into(),
            ),
            (oids::ED25519, None) if parameters.is_none() && bits.len() == 32 => {
                Key::Ed25519(bits.into())
            }
            (oids::RSA, None) if parameters.is_none_or(AnyRef::is_null) => Key::Rsa(rsa_key(bits)?),
            (oids::RSA_PSS, None) => {
                let digest = parameters.map(|given| pss_suite(given).ok_or(unsupported));
                Key::RsaPss(rsa_key(bits)?, digest.transpose()?)
            }
            _ => return Err(unsupported),
        }))
    }

    /// Checks a signature (DER for ECDSA and SM2, raw for Ed25519 and RSA) made with `suite`.
    ///
    /// # Errors
    /// [`VerifyError`] if it does not fit, or the key is none for that suite.
    pub fn verify_with(
        &self,
        suite: Suite,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        let of_key = Suite::of(self, suite.signature_algorithm().owned_to_ref()) == Some(suite);
        let (bytes, algorithm) = match (&self.0, suite.of_ring()) {
            _ if !of_key => return Err(VerifyError),
            (Key::Sm2(key), _) => {
                return key.verify(message, &sm2_signature(signature)?).map_err(|_| VerifyError);
            }
            (Key::P256(bytes) | Key::P384(bytes) | Key::Ed25519(bytes), Some(algorithm)) => {
                (bytes, algorithm)
            }
            (Key::Rsa(bytes) | Key::RsaPss(bytes, _), Some(algorithm)) => (bytes, algorithm),
            _ => return Err(VerifyError),
        };
        UnparsedPublicKey::new(algorithm, bytes).verify(message, signature).map_err(|_| VerifyError)
    }

    /// Checks an SM2 signature over a 32-byte value `e` that was computed elsewhere.
    pub(crate) fn verify_sm2_digest(&self, e: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        let Key::Sm2(key) = &self.0 else {
            return Err(VerifyError);
        };
        let signature = sm2_signature(signature)?;
        key.verify_prehash(e, &signature).map_err(|_| VerifyError)
    }

    /// Checks a signature under an algorithm identifier as certificates and lists carry it.
    ///
    /// `Ok(false)` if the algorithm is none that this key can sign with.
    pub(crate) fn verify_as(
        &self,
        algorithm: ObjectIdentifier,
        parameters: Option<AnyRef<'_>>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, VerifyError> {
        match Suite::of(self, AlgorithmIdentifierRef { oid: algorithm, parameters }) {
            Some(suite) => self.verify_with(suite, message, signature).map(|()| true),
            None => Ok(false),
        }
    }
}

impl Verifier for PublicKey {
    /// Of the suites of an RSA or ECDSA key, the usual one.
    fn suite(&self) -> Suite {
        match &self.0 {
            Key::P256(_) => Suite::EcdsaP256Sha256,
            Key::P384(_) => Suite::EcdsaP384Sha384,
            Key::Ed25519(_) => Suite::Ed25519,
            Key::Rsa(_) => Suite::RsaPkcs1Sha256,
            Key::RsaPss(_, digest) => digest.unwrap_or(Suite::RsaPssSha256),
            Key::Sm2(_) => Suite::Sm2Sm3,
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        self.verify_with(self.suite(), message, signature)
    }
}

/// RSAPublicKey (RFC 8017, A.1.1) of 2048 to 8192 bits: what `ring` takes.
fn rsa_key(bytes: &[u8]) -> Result<Box<[u8]>, CertificateError> {
    let read = || {
        let mut members = Members::of_sequence(bytes)?;
        let modulus = members.next_as(Tag::Integer)?;
        members.next_as(Tag::Integer)?;
        members.finish()?;
        Ok(modulus)
    };
    let modulus: &[u8] = read().map_err(|_: der::Error| CertificateError::UnsupportedKey)?;
    let modulus = without_leading_zeros(modulus);
    let first = modulus.first().map_or(8, |byte| byte.leading_zeros() as usize);
    match (modulus.len() * 8).saturating_sub(first) {
        bits @ ..2048 => Err(CertificateError::RsaTooShort { bits }),
        2048..=8192 => Ok(bytes.into()),
        _ => Err(CertificateError::UnsupportedKey),
    }
}

fn uncompressed(point: &[u8], coordinate: usize) -> bool {
    point.len() == 1 + 2 * coordinate && point[0] == 4
}

/// Reads an SM2 signature; only its one DER encoding is accepted.
fn sm2_signature(der: &[u8]) -> Result<sm2::dsa::Signature, VerifyError> {
    let signature = sm2::dsa::Signature::from_der(der).map_err(|_| VerifyError)?;
    match signature.to_der().to_der() {
        Ok(encoded) if encoded == der => Ok(signature),
        _ => Err(VerifyError),
    }
}
