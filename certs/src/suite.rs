//! Signature suites and the verification of bare signatures.

use crate::CertificateError;

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
    /// SM2 with SM3 (GM/T 0003), signer id `1234567812345678`.
    Sm2Sm3,
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
pub struct PublicKey {
    suite: Suite,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// `CertificateError::UnsupportedKey` if the key is of no suite.
    pub fn from_spki(_spki: &[u8]) -> Result<Self, CertificateError> {
        todo!()
    }
}

impl Verifier for PublicKey {
    fn suite(&self) -> Suite {
        self.suite
    }

    fn verify(&self, _message: &[u8], _signature: &[u8]) -> Result<(), VerifyError> {
        todo!()
    }
}
