//! HTTP message signatures (RFC 9421) over requests, with the digest of the content (RFC 9530). Pure.
//!
//! Both sides are here: the connector signs, [`crate::provincial_gateway`] checks. What both share, the signature
//! base, is held to the vectors of RFC 9421, appendix B.2.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    digest, hmac,
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair, UnparsedPublicKey},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use sfv::{
    BareItem, Dictionary, InnerList, Item, KeyRef, ListEntry, ListSerializer, Parser, StringRef,
};

/// A signature algorithm. Source: RFC 9421, 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// 3.3.6.
    Ed25519,
    /// 3.3.4.
    EcdsaP256Sha256,
    /// 3.3.1.
    RsaPssSha512,
    /// 3.3.2.
    #[serde(rename = "rsa-v1_5-sha256")]
    RsaV15Sha256,
    /// 3.3.3.
    HmacSha256,
}

impl Algorithm {
    /// Its name in the registry (RFC 9421, 6.2).
    pub fn word(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
            Self::HmacSha256 => "hmac-sha256",
        }
    }
}

/// A key to sign with.
pub(crate) enum SigningKey {
    Ed25519(Ed25519KeyPair),
    EcdsaP256(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>, Algorithm),
    Hmac(hmac::Key),
}

impl SigningKey {
    /// From a PEM file (PKCS#8, or PKCS#1 for RSA), or for HMAC from the shared secret. `None`: it is no such key.
    pub(crate) fn parse(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        if algorithm == Algorithm::HmacSha256 {
            return (!bytes.is_empty())
                .then(|| Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes)));
        }
        let key = PrivateKeyDer::from_pem_slice(bytes).ok()?;
        let der = key.secret_der();
        Some(match algorithm {
            Algorithm::Ed25519 => {
                Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?)
            }
            Algorithm::EcdsaP256Sha256 => Self::EcdsaP256(
                EcdsaKeyPair::from_pkcs8(
                    &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                    der,
                    &SystemRandom::new(),
                )
                .ok()?,
            ),
            Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256 => {
                let pair = match &key {
                    PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(der),
                    _ => RsaKeyPair::from_pkcs8(der),
                };
                Self::Rsa(Box::new(pair.ok()?), algorithm)
            }
            Algorithm::HmacSha256 => return None,
        })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::EcdsaP256(_) => Algorithm::EcdsaP256Sha256,
            Self::Rsa(_, algorithm) => *algorithm,
            Self::Hmac(_) => Algorithm::HmacSha256,
        }
    }

    /// `None`: the system has no random bytes.
    pub(crate) fn sign(&self, base: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        Some(match self {
            Self::Ed25519(pair) => pair.sign(base).as_ref().to_vec(),
            Self::EcdsaP256(pair) => pair.sign(&random, base).ok()?.as_ref().to_vec(),
            Self::Rsa(pair, algorithm) => {
                let padding: &dyn signature::RsaEncoding = match algorithm {
                    Algorithm::RsaV15Sha256 => &signature::RSA_PKCS1_SHA256,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, base, &mut signature).ok()?;
                signature
            }
            Self::Hmac(key) => hmac::sign(key, base).as_ref().to_vec(),
        })
    }
}

/// A key to check signatures with.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "VerifyingKey({})", self.algorithm.word())
    }
}

impl VerifyingKey {
    /// * `bytes`: as ring wants them: Ed25519 32 bytes, P-256 the uncompressed point, RSA PKCS#1 DER, HMAC the secret.
    pub fn new(algorithm: Algorithm, bytes: Vec<u8>) -> Self {
        Self { algorithm, bytes }
    }

    fn verify(&self, base: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn signature::VerificationAlgorithm = match self.algorithm {
            Algorithm::Ed25519 => &signature::ED25519,
            Algorithm::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
            Algorithm::RsaV15Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::HmacSha256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes);
                return hmac::verify(&key, base, signature).is_ok();
            }
        };
        UnparsedPublicKey::new(algorithm, &self.bytes).verify(base, signature).is_ok()
    }
}

/// What of a request can be covered.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// `POST`.
    pub method: &'a str,
    /// Host, with the port if it is not 443.
    pub authority: &'a str,
    /// With the query, as sent.
    pub target: &'a str,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
}

impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Message")
    }
}

impl Message<'_> {
    /// The value of a component. Source: RFC 9421, 2.1 and 2.2. `None`: the request has none.
    fn component(&self, name: &str) -> Option<String> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target, None),
        };
        Some(match name {
            "@method" => self.method.to_owned(),
            "@authority" => self.authority.to_ascii_lowercase(),
            "@scheme" => "https".to_owned(),
            "@target-uri" => format!("https://{}{}", self.authority, self.target),
            "@request-target" => self.target.to_owned(),
            "@path" => if path.is_empty() { "/" } else { path }.to_owned(),
            "@query" => format!("?{}", query.unwrap_or_default()),
            header => {
                let values: Vec<&str> = self
                    .headers
                    .iter()
                    .filter(|(name, _)| name == header)
                    .map(|(_, value)| value.trim())
                    .collect();
                if header.starts_with('@') || values.is_empty() {
                    return None;
                }
                values.join(", ")
            }
        })
    }

    fn header(&self, wanted: &str) -> Option<String> {
        self.component(wanted)
    }
}

/// What goes into a signature beside the components.
pub(crate) struct Parameters<'a> {
    pub(crate) label: &'a str,
    pub(crate) components: &'a [String],
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) key_id: &'a str,
}

/// The headers `Signature-Input` and `Signature`. Source: RFC 9421, 3.1 and 4.
///
/// # Errors
/// What is wrong with the settings.
pub(crate) fn sign(
    message: &Message<'_>,
    parameters: &Parameters<'_>,
    key: &SigningKey,
) -> Result<[(String, String); 2], &'static str> {
    const FORM: &str = "a label, key id or component is not one that a structured field can hold";
    let label = KeyRef::from_str(parameters.label).map_err(|_| FORM)?;
    let mut list = ListSerializer::new();
    {
        let mut inner = list.inner_list();
        for component in parameters.components {
            inner.bare_item(StringRef::from_str(component).map_err(|_| FORM)?);
        }
        let mut of = inner.finish();
        let created = sfv::Integer::try_from(parameters.created).map_err(|_| FORM)?;
        of = of.parameter(name("created"), created);
        if let Some(nonce) = parameters.nonce {
            of = of.parameter(name("nonce"), StringRef::from_str(nonce).map_err(|_| FORM)?);
        }
        of = of
            .parameter(name("alg"), StringRef::from_str(key.algorithm().word()).map_err(|_| FORM)?);
        let _ =
            of.parameter(name("keyid"), StringRef::from_str(parameters.key_id).map_err(|_| FORM)?);
    }
    let input = list.finish().ok_or(FORM)?;
    let base =
        base(message, parameters.components, &input).ok_or("a component is not in the request")?;
    let signature = key.sign(base.as_bytes()).ok_or("the system has no random bytes")?;
    Ok([
        ("signature-input".to_owned(), format!("{}={input}", label.as_str())),
        ("signature".to_owned(), format!("{}=:{}:", label.as_str(), STANDARD.encode(signature))),
    ])
}

fn name(text: &'static str) -> &'static KeyRef {
    KeyRef::from_str(text).expect("a word is a key")
}

/// The signature base. Source: RFC 9421, 2.5. `None`: a component is not in the message.
fn base(message: &Message<'_>, components: &[String], input: &str) -> Option<String> {
    let mut base = String::new();
    for component in components {
        let value = message.component(component)?;
        base.push_str(&format!("\"{component}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {input}"));
    Some(base)
}

/// What a checked signature says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The components it covers.
    pub components: Vec<String>,
    /// Seconds since 1970.
    pub created: Option<i64>,
    /// What is used once.
    pub nonce: Option<String>,
    /// Which key.
    pub key_id: Option<String>,
}

/// Checks the signature with this label. Component parameters (`;sf`, `;name=…`) are not understood and fail. Source:
/// RFC 9421, 3.2.
pub fn verify(message: &Message<'_>, label: &str, key: &VerifyingKey) -> Option<Checked> {
    let inputs: Dictionary = Parser::new(&message.header("signature-input")?).parse().ok()?;
    let signatures: Dictionary = Parser::new(&message.header("signature")?).parse().ok()?;
    let ListEntry::InnerList(input) = inputs.get(label)? else { return None };
    let ListEntry::Item(signature) = signatures.get(label)? else { return None };
    let BareItem::ByteSequence(signature) = &signature.bare_item else { return None };
    let components = input.items.iter().map(component).collect::<Option<Vec<_>>>()?;
    let text = |name: &str| match input.params.get(name) {
        Some(BareItem::String(text)) => Some(text.as_str().to_owned()),
        _ => None,
    };
    if text("alg").is_some_and(|algorithm| algorithm != key.algorithm.word()) {
        return None;
    }
    let base = base(message, &components, &written(input)?)?;
    if !key.verify(base.as_bytes(), signature) {
        return None;
    }
    let created = match input.params.get("created") {
        Some(BareItem::Integer(seconds)) => Some(i64::from(*seconds)),
        _ => None,
    };
    Some(Checked { created, nonce: text("nonce"), key_id: text("keyid"), components })
}

fn component(item: &Item) -> Option<String> {
    match &item.bare_item {
        BareItem::String(name) if item.params.is_empty() => Some(name.as_str().to_owned()),
        _ => None,
    }
}

fn written(input: &InnerList) -> Option<String> {
    let mut list = ListSerializer::new();
    {
        let mut inner = list.inner_list();
        for item in &input.items {
            inner.bare_item(&item.bare_item);
        }
        let _ = inner.finish().parameters(&input.params);
    }
    list.finish()
}

/// `Content-Digest`. Source: RFC 9530, 2.
pub fn content_digest(body: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, body);
    format!("sha-256=:{}:", STANDARD.encode(hash))
}
