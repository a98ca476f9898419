//! Signature suites and the verification of bare signatures.

use std::fmt;

use const_oid::ObjectIdentifier;
use der::{Decode, Encode, asn1::AnyRef};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sm2::dsa::signature::{Verifier as _, hazmat::PrehashVerifier};
use sm3::{Digest, Sm3};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef};

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
}

impl Suite {
    /// The digest of a CMS container of this suite; Ed25519 by RFC 8419, 3.1.
    pub(crate) fn digest_oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaP256Sha256 | Self::RsaPkcs1Sha256 => oids::SHA_256,
            Self::Ed25519 => oids::SHA_512,
            Self::Sm2Sm3 => oids::SM3,
        }
    }

    pub(crate) fn digest(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::EcdsaP256Sha256 | Self::RsaPkcs1Sha256 => {
                ring::digest::digest(&ring::digest::SHA256, content).as_ref().to_vec()
            }
            Self::Ed25519 => ring::digest::digest(&ring::digest::SHA512, content).as_ref().to_vec(),
            Self::Sm2Sm3 => Sm3::digest(content).to_vec(),
        }
    }

    /// The algorithm identifier written into certificates, lists and signatures.
    pub(crate) fn signature_algorithm(self) -> AlgorithmIdentifierOwned {
        let (oid, parameters) = match self {
            Self::EcdsaP256Sha256 => (oids::ECDSA_SHA_256, None),
            Self::Ed25519 => (oids::ED25519, None),
            Self::RsaPkcs1Sha256 => (oids::RSA_SHA_256, Some(der::Any::null())),
            Self::Sm2Sm3 => (oids::SM2_WITH_SM3, None),
        };
        AlgorithmIdentifierOwned { oid, parameters }
    }
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
    Ed25519(Box<[u8]>),
    Rsa(Box<[u8]>),
    /// Holds the user information hash Z under the default signer id.
    Sm2(Box<sm2::dsa::VerifyingKey>),
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.suite()).finish()
    }
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280, 4.1.2.7; RFC 5480, 8410; GM/T 0009 for SM2).
    ///
    /// # Errors
    /// `CertificateError::UnsupportedKey` if the key is of no suite or not a point of its curve.
    pub fn from_spki(spki: &[u8]) -> Result<Self, CertificateError> {
        let unsupported = CertificateError::UnsupportedKey;
        let info =
            SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| CertificateError::Malformed)?;
        let point = info.subject_public_key.as_bytes().ok_or(unsupported.clone())?;
        let parameters = info.algorithm.parameters;
        let curve = parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        Ok(Self(match (info.algorithm.oid, curve) {
            (oids::EC_PUBLIC_KEY, Some(oids::P256)) if uncompressed(point) => {
                Key::P256(point.into())
            }
            (oids::EC_PUBLIC_KEY, Some(oids::SM2_CURVE)) if uncompressed(point) => Key::Sm2(
                sm2::dsa::VerifyingKey::from_sec1_bytes(SM2_SIGNER_ID, point)
                    .map_err(|_| unsupported)?
                    .into(),
            ),
            (oids::ED25519, None) if parameters.is_none() && point.len() == 32 => {
                Key::Ed25519(point.into())
            }
            (oids::RSA, None) => Key::Rsa(point.into()),
            _ => return Err(unsupported),
        }))
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
        // RFC 4055 asks for NULL with RSA, RFC 5758 and 8410 for nothing; a NULL after the SM2 OID
        // is seen in the wild.
        let null = parameters.is_some_and(AnyRef::is_null);
        let plain = parameters.is_none();
        match (&self.0, algorithm) {
            (Key::P256(_), oids::ECDSA_SHA_256) | (Key::Ed25519(_), oids::ED25519) if plain => {
                self.verify(message, signature)?;
            }
            (Key::Sm2(_), oids::SM2_WITH_SM3) if plain || null => {
                self.verify(message, signature)?
            }
            (Key::Rsa(key), oids::RSA_SHA_256 | oids::RSA_SHA_384 | oids::RSA_SHA_512)
                if plain || null =>
            {
                let algorithm = match algorithm {
                    oids::RSA_SHA_256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    oids::RSA_SHA_384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    _ => &signature::RSA_PKCS1_2048_8192_SHA512,
                };
                ring_verify(algorithm, key, message, signature)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Verifier for PublicKey {
    fn suite(&self) -> Suite {
        match &self.0 {
            Key::P256(_) => Suite::EcdsaP256Sha256,
            Key::Ed25519(_) => Suite::Ed25519,
            Key::Rsa(_) => Suite::RsaPkcs1Sha256,
            Key::Sm2(_) => Suite::Sm2Sm3,
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), VerifyError> {
        match &self.0 {
            Key::P256(key) => {
                ring_verify(&signature::ECDSA_P256_SHA256_ASN1, key, message, signature)
            }
            Key::Ed25519(key) => ring_verify(&signature::ED25519, key, message, signature),
            Key::Rsa(key) => {
                ring_verify(&signature::RSA_PKCS1_2048_8192_SHA256, key, message, signature)
            }
            Key::Sm2(key) => {
                key.verify(message, &sm2_signature(signature)?).map_err(|_| VerifyError)
            }
        }
    }
}

/// Whether certificates and lists may be signed so.
pub(crate) fn is_signature_algorithm(oid: ObjectIdentifier) -> bool {
    matches!(
        oid,
        oids::ECDSA_SHA_256
            | oids::ED25519
            | oids::RSA_SHA_256
            | oids::RSA_SHA_384
            | oids::RSA_SHA_512
            | oids::SM2_WITH_SM3
    )
}

fn ring_verify(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), VerifyError> {
    UnparsedPublicKey::new(algorithm, key).verify(message, signature).map_err(|_| VerifyError)
}

fn uncompressed(point: &[u8]) -> bool {
    point.len() == 65 && point[0] == 4
}

/// Reads an SM2 signature; only its one DER encoding is accepted.
fn sm2_signature(der: &[u8]) -> Result<sm2::dsa::Signature, VerifyError> {
    let signature = sm2::dsa::Signature::from_der(der).map_err(|_| VerifyError)?;
    match signature.to_der().to_der() {
        Ok(encoded) if encoded == der => Ok(signature),
        _ => Err(VerifyError),
    }
}
