//! Signing keys and identities.

use ring::rand::SecureRandom;

use crate::{Certificate, CertificateError, Suite};

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key is damaged, encrypted or of no suite we sign with.
    #[error("the private key is damaged, encrypted or of an unsupported kind")]
    UnsupportedKey,
    /// Not PEM, or no private key in it.
    #[error("no private key found")]
    NoKey,
    /// The key does not belong to the first certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The identity has no certificate, or too many.
    #[error("an identity needs 1 to 6 certificates, the signer's first")]
    ChainLength,
    /// A certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The key, module or random source refused to sign.
    #[error("the signing key failed")]
    Key,
    /// The time or content cannot be put into a signature.
    #[error("the signature could not be encoded")]
    Encoding,
}

impl SignError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnsupportedKey => "signing_key_unsupported",
            Self::NoKey => "signing_key_missing",
            Self::KeyMismatch => "signing_key_mismatch",
            Self::ChainLength => "signing_chain_length",
            Self::Certificate(error) => error.code(),
            Self::Key => "signing_key_failed",
            Self::Encoding => "signature_encoding",
        }
    }
}

/// Makes signatures with one key; a hardware module can stand behind it.
pub trait Signer: Send + Sync {
    /// The suite of the key.
    fn suite(&self) -> Suite;
    /// Signs the whole `message` (hashing included): DER for ECDSA and SM2, raw 64 bytes for Ed25519.
    ///
    /// # Errors
    /// `Key` if the key, module or random source fails.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
    /// The public key, DER SubjectPublicKeyInfo.
    fn spki(&self) -> Vec<u8>;
}

/// A private key held in memory.
pub struct KeySigner {}

impl KeySigner {
    /// Reads an unencrypted PKCS #8 PEM key (P-256, Ed25519 or SM2).
    ///
    /// # Errors
    /// `NoKey`, `UnsupportedKey`.
    pub fn from_pkcs8_pem(_pem: &[u8]) -> Result<Self, SignError> {
        todo!()
    }

    /// Makes a new key from `random`.
    ///
    /// # Errors
    /// `UnsupportedKey` for RSA, `Key` if the random source fails.
    pub fn generate(_suite: Suite, _random: &dyn SecureRandom) -> Result<Self, SignError> {
        todo!()
    }

    /// The key as PKCS #8 PEM. Whoever holds the text can sign.
    pub fn to_pkcs8_pem(&self) -> String {
        todo!()
    }
}

impl Signer for KeySigner {
    fn suite(&self) -> Suite {
        todo!()
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignError> {
        todo!()
    }

    fn spki(&self) -> Vec<u8> {
        todo!()
    }
}

/// A signer and the certificates that speak for it.
pub struct SigningIdentity {
    chain: Vec<Certificate>,
    signer: Box<dyn Signer>,
}

impl SigningIdentity {
    /// * `chain`: the signer's certificate first, then its issuers; the anchor may be left out.
    ///
    /// # Errors
    /// `ChainLength`, `KeyMismatch`.
    pub fn new(chain: Vec<Certificate>, signer: Box<dyn Signer>) -> Result<Self, SignError> {
        Ok(Self { chain, signer })
    }

    /// Reads chain and key from PEM texts.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn from_pem(_chain: &[u8], _key: &[u8]) -> Result<Self, SignError> {
        todo!()
    }

    /// The signer's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.chain[0]
    }

    /// All certificates, signer's first.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// The key.
    pub fn signer(&self) -> &dyn Signer {
        self.signer.as_ref()
    }
}
