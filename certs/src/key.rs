//! Signing keys and identities.

use std::fmt;

use der::asn1::{AnyRef, BitString, OctetString, OctetStringRef, UintRef};
use der::{Encode, pem};
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::pkcs5::{EncryptionScheme, scrypt};
use pkcs8::{
    DecodePrivateKey, EncodePrivateKey, EncryptedPrivateKeyInfoOwned, EncryptedPrivateKeyInfoRef,
    PrivateKeyInfoRef, SecretDocument,
};
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use sm2::dsa::signature::{Signer as _, hazmat::PrehashSigner};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef, SubjectPublicKeyInfoOwned};

use crate::certificate::pem_blocks;
use crate::suite::SM2_SIGNER_ID;
use crate::{Certificate, CertificateError, Suite, Verifier, oids};

/// The most certificates an identity puts into its signatures.
pub(crate) const MAX_IDENTITY_CERTIFICATES: usize = 6;

/// The most PBKDF2 rounds that a key file may ask for: 17 times what OWASP recommends for SHA-256.
const MOST_ROUNDS: u32 = 10_000_000;

/// The most memory that a key file may ask scrypt for (128 · N · r), and the most work (times p).
const MOST_SCRYPT_MEMORY: u64 = 256 << 20;
const MOST_SCRYPT_WORK: u64 = 4 * MOST_SCRYPT_MEMORY;

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key is damaged, of no suite we sign with, or encrypted in a way we do not read.
    #[error("the private key is damaged or of an unsupported kind")]
    UnsupportedKey,
    /// The key is encrypted, and no passphrase was given.
    #[error("the private key is encrypted: a passphrase is needed")]
    Encrypted,
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the private key, or the file is damaged")]
    Passphrase,
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
            Self::Encrypted => "signing_key_encrypted",
            Self::Passphrase => "signing_key_passphrase",
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
    /// Signs a 32-byte value `e` with SM2 as it is, without the user information hash Z: DER. Only
    /// [`crate::sign_attached`] with an SM2 key needs it.
    ///
    /// # Errors
    /// `UnsupportedKey` unless the key is an SM2 key that can do it; `Key` as for `sign`.
    fn sign_sm2_digest(&self, e: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        let _ = e;
        Err(SignError::UnsupportedKey)
    }
    /// The public key, DER SubjectPublicKeyInfo.
    fn spki(&self) -> Vec<u8>;
}

/// A private key held in memory. ECDSA nonces draw on the operating system's random numbers; SM2
/// nonces are derived from key and message (RFC 6979).
pub struct KeySigner {
    key: Key,
    pkcs8: SecretDocument,
}

enum Key {
    P256(Box<EcdsaKeyPair>),
    P384(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<rsa::KeyPair>),
    Sm2(Box<sm2::dsa::SigningKey>),
}

impl fmt::Debug for KeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySigner").field("suite", &self.suite()).finish_non_exhaustive()
    }
}

impl KeySigner {
    /// Reads an unencrypted PKCS #8 PEM key (P-256, P-384, Ed25519, SM2, or RSA of 2048 to 4096 bits); other
    /// PEM blocks are skipped.
    ///
    /// # Errors
    /// `NoKey`, `UnsupportedKey`; `Encrypted` if the only key is.
    pub fn from_pkcs8_pem(pem: &[u8]) -> Result<Self, SignError> {
        let text = std::str::from_utf8(pem).map_err(|_| SignError::NoKey)?;
        let Some(block) = pem_blocks(text, "PRIVATE KEY").next() else {
            if pem_blocks(text, "ENCRYPTED PRIVATE KEY").next().is_some() {
                return Err(SignError::Encrypted);
            }
            // EC or RSA PRIVATE KEY: a key, but not one we read.
            let other = text.contains(" PRIVATE KEY-----");
            return Err(if other { SignError::UnsupportedKey } else { SignError::NoKey });
        };
        let (_, document) = SecretDocument::from_pem(block).map_err(|_| SignError::NoKey)?;
        Self::from_pkcs8(document)
    }

    /// Reads an encrypted PKCS #8 PEM key (RFC 5958, 3; PBES2 of RFC 8018, 6.2, with PBKDF2 or scrypt
    /// (RFC 7914) and AES): what `openssl genpkey -aes256` and [`Self::to_encrypted_pkcs8_pem`] write.
    /// A file that asks for absurd work is refused before the work.
    ///
    /// # Errors
    /// `NoKey` without such a block; `Passphrase`; `UnsupportedKey` also for PBES1, PBKDF2 with SHA-1,
    /// DES and too much work.
    pub fn from_encrypted_pkcs8_pem(pem: &[u8], passphrase: &[u8]) -> Result<Self, SignError> {
        let text = std::str::from_utf8(pem).map_err(|_| SignError::NoKey)?;
        let block = pem_blocks(text, "ENCRYPTED PRIVATE KEY").next().ok_or(SignError::NoKey)?;
        let (_, sealed) = SecretDocument::from_pem(block).map_err(|_| SignError::NoKey)?;
        let sealed: EncryptedPrivateKeyInfoRef<'_> =
            sealed.decode_msg().map_err(|_| SignError::UnsupportedKey)?;
        if !may_be_opened(&sealed.encryption_algorithm) {
            return Err(SignError::UnsupportedKey);
        }
        // Padding alone does not notice one wrong passphrase in 256: neither result is a key then.
        let document = sealed.decrypt(passphrase).map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(
                pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. },
            ) => SignError::UnsupportedKey,
            _ => SignError::Passphrase,
        })?;
        if document.decode_msg::<PrivateKeyInfoRef<'_>>().is_err() {
            return Err(SignError::Passphrase);
        }
        Self::from_pkcs8(document)
    }

    /// Makes a new key from `random`.
    ///
    /// # Errors
    /// `UnsupportedKey` for a suite that is only verified, `Key` if the random source fails.
    pub fn generate(suite: Suite, random: &dyn SecureRandom) -> Result<Self, SignError> {
        let pkcs8 = match suite {
            Suite::EcdsaP256Sha256 => generate_ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, random)?,
            Suite::EcdsaP384Sha384 => generate_ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, random)?,
            Suite::Ed25519 => {
                // RFC 8410, 7: an OCTET STRING in the OCTET STRING. Version 1, without the public key:
                // OpenSSL 3.0 does not read version 2, which ring would write.
                let mut seed = [0; 32];
                random.fill(&mut seed).map_err(|_| SignError::Key)?;
                let inner = OctetStringRef::new(&seed)
                    .and_then(|octets| octets.to_der())
                    .map_err(|_| SignError::Encoding)?;
                let algorithm = AlgorithmIdentifierRef { oid: oids::ED25519, parameters: None };
                let inner = OctetStringRef::new(&inner).map_err(|_| SignError::Encoding)?;
                SecretDocument::encode_msg(&PrivateKeyInfoRef::new(algorithm, inner))
                    .map_err(|_| SignError::Encoding)?
            }
            Suite::Sm2Sm3 => loop {
                let mut bytes = [0; 32];
                random.fill(&mut bytes).map_err(|_| SignError::Key)?;
                // Fails with probability below 2^-32: zero or not below the group order.
                if let Ok(key) = sm2::SecretKey::from_slice(&bytes) {
                    break key.to_pkcs8_der().map_err(|_| SignError::Encoding)?;
                }
            },
            _ => return Err(SignError::UnsupportedKey),
        };
        Self::from_pkcs8(pkcs8)
    }

    /// The key as PKCS #8 PEM. Whoever holds the text can sign.
    pub fn to_pkcs8_pem(&self) -> String {
        self.pkcs8
            .to_pem("PRIVATE KEY", pem::LineEnding::LF)
            .map(|text| text.to_string())
            .expect("a fixed label and bytes in memory always encode")
    }

    /// The key as encrypted PKCS #8 PEM: scrypt (N = 2^14, r = 8, p = 5: 16 MiB, within what OpenSSL
    /// reads) and AES-256-CBC, salt and initial value from `random`.
    ///
    /// # Errors
    /// `Passphrase` if it is empty; `Key` if the random source fails; `Encoding`.
    pub fn to_encrypted_pkcs8_pem(
        &self,
        passphrase: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<String, SignError> {
        if passphrase.is_empty() {
            return Err(SignError::Passphrase);
        }
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        random.fill(&mut salt).and_then(|()| random.fill(&mut iv)).map_err(|_| SignError::Key)?;
        let encrypt = || {
            let cost = scrypt::Params::new(14, 8, 5).ok()?;
            let scheme = Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).ok()?;
            let sealed = scheme.encrypt(passphrase, self.pkcs8.as_bytes()).ok()?;
            let sealed = EncryptedPrivateKeyInfoOwned {
                encryption_algorithm: scheme.into(),
                encrypted_data: OctetString::new(sealed).ok()?,
            };
            let sealed = SecretDocument::encode_msg(&sealed).ok()?;
            let pem = sealed.to_pem("ENCRYPTED PRIVATE KEY", pem::LineEnding::LF).ok()?;
            Some(pem.to_string())
        };
        encrypt().ok_or(SignError::Encoding)
    }

    fn from_pkcs8(pkcs8: SecretDocument) -> Result<Self, SignError> {
        let unsupported = SignError::UnsupportedKey;
        let info: PrivateKeyInfoRef<'_> = pkcs8.decode_msg().map_err(|_| unsupported.clone())?;
        let curve = info.algorithm.parameters.and_then(|any: AnyRef<'_>| any.decode_as().ok());
        let der = pkcs8.as_bytes();
        let key = match (info.algorithm.oid, curve) {
            (oids::EC_PUBLIC_KEY, Some(oids::P256)) => {
                Key::P256(Box::new(ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, der)?))
            }
            (oids::EC_PUBLIC_KEY, Some(oids::P384)) => {
                Key::P384(Box::new(ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, der)?))
            }
            (oids::EC_PUBLIC_KEY, Some(oids::SM2_CURVE)) => {
                let secret =
                    sm2::SecretKey::from_pkcs8_der(der).map_err(|_| unsupported.clone())?;
                let key = sm2::dsa::SigningKey::new(SM2_SIGNER_ID, &secret);
                Key::Sm2(Box::new(key.map_err(|_| unsupported)?))
            }
            (oids::ED25519, None) => Key::Ed25519(Box::new(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| unsupported)?,
            )),
            // ring signs with 2048 to 4096 bits.
            (oids::RSA, None) => {
                Key::Rsa(Box::new(rsa::KeyPair::from_pkcs8(der).map_err(|_| unsupported)?))
            }
            _ => return Err(unsupported),
        };
        Ok(Self { key, pkcs8 })
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, der: &[u8]) -> Result<EcdsaKeyPair, SignError> {
    EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new())
        .map_err(|_| SignError::UnsupportedKey)
}

fn generate_ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    random: &dyn SecureRandom,
) -> Result<SecretDocument, SignError> {
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, random).map_err(|_| SignError::Key)?;
    SecretDocument::try_from(document.as_ref()).map_err(|_| SignError::Key)
}

/// Whether the work that an encrypted key asks for is bounded. Also keeps a cost of zero away from
/// pkcs5 0.8, which takes its logarithm.
fn may_be_opened(scheme: &EncryptionScheme) -> bool {
    let Some(scheme) = scheme.pbes2() else { return false };
    match &scheme.kdf {
        Kdf::Pbkdf2(work) => (1..=MOST_ROUNDS).contains(&work.iteration_count),
        Kdf::Scrypt(work) => {
            let memory = work.cost_parameter.checked_mul(128 * u64::from(work.block_size));
            let memory = memory.filter(|bytes| (1..=MOST_SCRYPT_MEMORY).contains(bytes));
            memory.is_some_and(|bytes| {
                work.parallelization > 0
                    && bytes.saturating_mul(u64::from(work.parallelization)) <= MOST_SCRYPT_WORK
            })
        }
        _ => false,
    }
}

impl Signer for KeySigner {
    fn suite(&self) -> Suite {
        match &self.key {
            Key::P256(_) => Suite::EcdsaP256Sha256,
            Key::P384(_) => Suite::EcdsaP384Sha384,
            Key::Ed25519(_) => Suite::Ed25519,
            Key::Rsa(_) => Suite::RsaPkcs1Sha256,
            Key::Sm2(_) => Suite::Sm2Sm3,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.key {
            Key::P256(key) | Key::P384(key) => key
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SignError::Key),
            Key::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| SignError::Key)?;
                Ok(signature)
            }
            Key::Sm2(key) => sm2_der(key.try_sign(message)),
        }
    }

    fn sign_sm2_digest(&self, e: &[u8; 32]) -> Result<Vec<u8>, SignError> {
        match &self.key {
            Key::Sm2(key) => sm2_der(key.sign_prehash(e)),
            _ => Err(SignError::UnsupportedKey),
        }
    }

    fn spki(&self) -> Vec<u8> {
        let (oid, parameters, point) = match &self.key {
            Key::P256(key) => {
                (oids::EC_PUBLIC_KEY, Some(oids::P256.into()), key.public_key().as_ref().to_vec())
            }
            Key::P384(key) => {
                (oids::EC_PUBLIC_KEY, Some(oids::P384.into()), key.public_key().as_ref().to_vec())
            }
            Key::Ed25519(key) => (oids::ED25519, None, key.public_key().as_ref().to_vec()),
            // RFC 3279, 2.3.1: the parameters of an RSA key are NULL.
            Key::Rsa(key) => (oids::RSA, Some(der::Any::null()), key.public().as_ref().to_vec()),
            Key::Sm2(key) => (
                oids::EC_PUBLIC_KEY,
                Some(oids::SM2_CURVE.into()),
                key.verifying_key().to_sec1_bytes().into_vec(),
            ),
        };
        let algorithm = AlgorithmIdentifierOwned { oid, parameters };
        BitString::from_bytes(&point)
            .and_then(|subject_public_key| {
                SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der()
            })
            .expect("a public key of fixed size always encodes")
    }
}

/// What a hardware module gives out of a public key.
#[derive(Clone, Copy, Debug)]
pub enum PublicParts<'a> {
    /// ECDSA and SM2: the uncompressed point; Ed25519: its 32 bytes.
    Point(&'a [u8]),
    /// RSA: big-endian numbers.
    Rsa {
        /// The modulus.
        modulus: &'a [u8],
        /// The public exponent.
        exponent: &'a [u8],
    },
}

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(der::Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// A public key of a suite as DER SubjectPublicKeyInfo (RFC 5480, 8410, 3279).
///
/// # Errors
/// `UnsupportedKey` if the parts are none of a key of that suite.
pub fn spki_of(suite: Suite, parts: PublicParts<'_>) -> Result<Vec<u8>, SignError> {
    let encode = || {
        let (oid, parameters, bits) = match (suite, parts) {
            (Suite::EcdsaP256Sha256, PublicParts::Point(point)) => {
                (oids::EC_PUBLIC_KEY, Some(oids::P256.into()), point.to_vec())
            }
            (Suite::EcdsaP384Sha384, PublicParts::Point(point)) => {
                (oids::EC_PUBLIC_KEY, Some(oids::P384.into()), point.to_vec())
            }
            (Suite::Sm2Sm3, PublicParts::Point(point)) => {
                (oids::EC_PUBLIC_KEY, Some(oids::SM2_CURVE.into()), point.to_vec())
            }
            (Suite::Ed25519, PublicParts::Point(point)) => (oids::ED25519, None, point.to_vec()),
            (Suite::RsaPkcs1Sha256, PublicParts::Rsa { modulus, exponent }) => {
                let key = RsaPublicKey {
                    modulus: UintRef::new(modulus).ok()?,
                    exponent: UintRef::new(exponent).ok()?,
                };
                (oids::RSA, Some(der::Any::null()), key.to_der().ok()?)
            }
            _ => return None,
        };
        let algorithm = AlgorithmIdentifierOwned { oid, parameters };
        let subject_public_key = BitString::from_bytes(&bits).ok()?;
        SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der().ok()
    };
    let spki = encode().ok_or(SignError::UnsupportedKey)?;
    crate::PublicKey::from_spki(&spki).map_err(|_| SignError::UnsupportedKey)?;
    Ok(spki)
}

/// ECDSA-Sig-Value (RFC 3279, 2.2.3).
#[derive(der::Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// An ECDSA signature as modules give it, r and s one after the other at the same length, as DER.
///
/// # Errors
/// `Encoding` if it is empty, of odd length or longer than for any curve.
pub fn ecdsa_der(raw: &[u8]) -> Result<Vec<u8>, SignError> {
    if raw.is_empty() || !raw.len().is_multiple_of(2) || raw.len() > 132 {
        return Err(SignError::Encoding);
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    let encode = || EcdsaSignature { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der();
    encode().map_err(|_: der::Error| SignError::Encoding)
}

fn sm2_der(
    signature: Result<sm2::dsa::Signature, sm2::dsa::signature::Error>,
) -> Result<Vec<u8>, SignError> {
    let signature = signature.map_err(|_| SignError::Key)?;
    signature.to_der().to_der().map_err(|_| SignError::Key)
}

/// A signer and the certificates that speak for it.
pub struct SigningIdentity {
    chain: Vec<Certificate>,
    signer: Box<dyn Signer>,
}

impl fmt::Debug for SigningIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningIdentity").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl SigningIdentity {
    /// * `chain`: the signer's certificate first, then its issuers; the anchor may be left out. 1 to
    ///   6 certificates, all of which go into every signature.
    ///
    /// # Errors
    /// `ChainLength`; `KeyMismatch` if a trial signature does not fit the first certificate;
    /// `Certificate` if that holds a key of no suite.
    pub fn new(chain: Vec<Certificate>, signer: Box<dyn Signer>) -> Result<Self, SignError> {
        if !(1..=MAX_IDENTITY_CERTIFICATES).contains(&chain.len()) {
            return Err(SignError::ChainLength);
        }
        let key = chain[0].public_key()?;
        let trial = b"yihao: does this key belong to this certificate?";
        if key.suite() != signer.suite() || key.verify(trial, &signer.sign(trial)?).is_err() {
            return Err(SignError::KeyMismatch);
        }
        Ok(Self { chain, signer })
    }

    /// Reads chain and key from PEM texts; a passphrase is only used if the key is encrypted.
    ///
    /// # Errors
    /// See [`SignError`]; `Encrypted` if a passphrase is needed and there is none.
    pub fn from_pem_with(
        chain: &[u8],
        key: &[u8],
        passphrase: Option<&[u8]>,
    ) -> Result<Self, SignError> {
        let signer = match (KeySigner::from_pkcs8_pem(key), passphrase) {
            (Err(SignError::Encrypted), Some(passphrase)) => {
                KeySigner::from_encrypted_pkcs8_pem(key, passphrase)?
            }
            (signer, _) => signer?,
        };
        Self::new(Certificate::many_from_pem(chain)?, Box::new(signer))
    }

    /// Reads chain and key from PEM texts.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, SignError> {
        let signer = KeySigner::from_pkcs8_pem(key)?;
        Self::new(Certificate::many_from_pem(chain)?, Box::new(signer))
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
