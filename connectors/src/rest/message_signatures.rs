//! HTTP message signatures (RFC 9421) over requests, with the digest of the content (RFC 9530). Pure.
//!
//! Both sides are here: the connector signs, [`crate::provincial_gateway`] checks. What both share, the signature
//! base, is held to the vectors of RFC 9421, appendix B.2.

use std::collections::BTreeSet;

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
    // A component stands once (RFC 9421, 2).
    let distinct: BTreeSet<&String> = components.iter().collect();
    if distinct.len() < components.len() {
        return None;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 9421, B.2.
    fn request(more: [(&str, &str); 2]) -> Vec<(String, String)> {
        let digest = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHW\
                      XvJwew==:";
        let headers = [
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            ("content-digest", digest),
            ("content-length", "18"),
        ];
        let all = headers.into_iter().chain(more);
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn message(headers: &[(String, String)]) -> Message<'_> {
        let target = "/foo?param=Value&Pet=dog";
        Message { method: "POST", authority: "example.com", target, headers }
    }

    fn der(base64: &str) -> Vec<u8> {
        STANDARD.decode(base64).unwrap()
    }

    /// B.1.2, without the 24 bytes before PKCS#1.
    fn rsa() -> VerifyingKey {
        let key = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2G\
                   XHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq\
                   gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ\
                   7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI\
                   2wIDAQAB";
        VerifyingKey::new(Algorithm::RsaPssSha512, der(key)[24..].to_vec())
    }

    /// B.1.3: the last 65 bytes are the point.
    fn ecc() -> VerifyingKey {
        let key = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6D\
                   xh71Z50VGGdldkkDXZCnTNnoXQ==";
        VerifyingKey::new(Algorithm::EcdsaP256Sha256, der(key)[26..].to_vec())
    }

    /// B.1.5.
    const SHARED: &str =
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    /// B.1.4.
    const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
                           MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n\
                           -----END PRIVATE KEY-----\n";
    const ED25519_PUBLIC: &str = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";

    #[test]
    fn the_full_example_with_rsa_pss_is_right_and_nothing_in_it_can_be_changed() {
        let input = "sig-b23=(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" \
                     \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\"";
        let signature = "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683\
                         +qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1\
                         pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZ\
                         H896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:";
        let headers = request([("signature-input", input), ("signature", signature)]);
        let checked = verify(&message(&headers), "sig-b23", &rsa()).expect("B.2.3 is right");
        assert_eq!(checked.created, Some(1_618_884_473));
        assert_eq!(checked.key_id.as_deref(), Some("test-key-rsa-pss"));
        assert_eq!(checked.components.len(), 8);

        assert_eq!(verify(&message(&headers), "sig1", &rsa()), None);
        assert_eq!(verify(&message(&headers), "sig-b23", &ecc()), None);
        for (name, _) in &headers[1..] {
            let mut changed = headers.clone();
            for (_, value) in changed.iter_mut().filter(|(known, _)| known == name) {
                *value = value.replace(['1', 'a'], "2");
            }
            if changed != headers {
                assert_eq!(verify(&message(&changed), "sig-b23", &rsa()), None, "{name}");
            }
            changed.retain(|(known, _)| known != name);
            assert_eq!(verify(&message(&changed), "sig-b23", &rsa()), None, "without {name}");
        }
        for other in [
            Message { method: "PUT", ..message(&headers) },
            Message { authority: "example.org", ..message(&headers) },
            Message { target: "/foo", ..message(&headers) },
            Message { target: "/fooo?param=Value&Pet=dog", ..message(&headers) },
        ] {
            assert_eq!(verify(&other, "sig-b23", &rsa()), None);
        }
    }

    /// B.2.4 signs an answer; the connector signs requests only, so the base stands here as the RFC prints it.
    #[test]
    fn the_example_with_ecdsa_is_right() {
        let base = "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": sha-512=:mEWXIS7MaLRuGgx\
                    OBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\"content-length\": 23\n\
                    \"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\")\
                    ;created=1618884473;keyid=\"test-key-ecc-p256\"";
        let signature = der(
            "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
        );
        assert!(ecc().verify(base.as_bytes(), &signature));
        assert!(!ecc().verify(base.replace("200", "201").as_bytes(), &signature));
    }

    #[test]
    fn the_example_with_hmac_is_right() {
        let input = "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"";
        let signature = "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:";
        let headers = request([("signature-input", input), ("signature", signature)]);
        let key = VerifyingKey::new(Algorithm::HmacSha256, der(SHARED));
        assert!(verify(&message(&headers), "sig-b25", &key).is_some());
    }

    #[test]
    fn the_example_with_ed25519_is_right_and_made_again() {
        let input = "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")\
                     ;created=1618884473;keyid=\"test-key-ed25519\"";
        let signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
        let headers = request([
            ("signature-input", &format!("sig-b26={input}")),
            ("signature", &format!("sig-b26=:{signature}:")),
        ]);
        let key = VerifyingKey::new(Algorithm::Ed25519, der(ED25519_PUBLIC)[12..].to_vec());
        let checked = verify(&message(&headers), "sig-b26", &key).expect("B.2.6 is right");

        let base = base(&message(&headers), &checked.components, input).unwrap();
        let key = SigningKey::parse(Algorithm::Ed25519, ED25519.as_bytes()).unwrap();
        assert_eq!(STANDARD.encode(key.sign(base.as_bytes()).unwrap()), signature);
    }

    #[test]
    fn what_is_signed_here_is_right_there() {
        let headers = request([("x-a", "1"), ("x-b", "2")]);
        let components: Vec<String> =
            ["@method", "@target-uri", "@query", "x-b"].map(str::to_owned).to_vec();
        let parameters = Parameters {
            label: "yihao",
            components: &components,
            created: 1_740_792_600,
            nonce: Some("n-1"),
            key_id: "hub \"1\"",
        };
        let key = SigningKey::parse(Algorithm::HmacSha256, b"secret").unwrap();
        let mut sent = headers.clone();
        sent.extend(sign(&message(&headers), &parameters, &key).unwrap());
        let key = VerifyingKey::new(Algorithm::HmacSha256, b"secret".to_vec());
        let checked = verify(&message(&sent), "yihao", &key).unwrap();
        assert_eq!(checked.components, components);
        assert_eq!(checked.nonce.as_deref(), Some("n-1"));
        assert_eq!(checked.key_id.as_deref(), Some("hub \"1\""));
        // Another algorithm than the one the signature names is not tried.
        assert_eq!(verify(&message(&sent), "yihao", &rsa()), None);
    }

    #[test]
    fn what_cannot_be_covered_is_not_signed() {
        let headers = request([("x-a", "1"), ("x-b", "2")]);
        let key = SigningKey::parse(Algorithm::HmacSha256, b"secret").unwrap();
        for (label, component) in
            [("yihao", "x-none"), ("yihao", "@status"), ("Yihao", "@path"), ("yihao", "中")]
        {
            let components = [component.to_owned()];
            let (created, nonce, key_id) = (0, None, "k");
            let parameters = Parameters { label, components: &components, created, nonce, key_id };
            assert!(sign(&message(&headers), &parameters, &key).is_err(), "{label} {component}");
        }
        assert!(SigningKey::parse(Algorithm::Ed25519, b"no key").is_none());
        assert!(SigningKey::parse(Algorithm::HmacSha256, b"").is_none());
        assert!(SigningKey::parse(Algorithm::EcdsaP256Sha256, ED25519.as_bytes()).is_none());
    }

    /// RFC 9530, appendix B.1 has `{"hello": "world"}` and a newline.
    #[test]
    fn a_digest_of_content_is_that_of_the_rfc() {
        assert_eq!(
            content_digest(b"{\"hello\": \"world\"}\n"),
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        );
    }

    #[test]
    fn signatures_of_strangers_never_panic() {
        for input in [
            "",
            "yihao",
            "yihao=1",
            "yihao=()",
            "yihao=(1 2)",
            "yihao=(\"@path\";req)",
            "yihao=(\"@path\" \"@path\");created=1",
            "yihao=(\"@query-param\";name=\"a\")",
            "yihao=(\"a\\nb\")",
            "=;,",
        ] {
            for signature in ["", "yihao=1", "yihao=:AA==:", "yihao=::", "x=:AA==:"] {
                let headers = request([("signature-input", input), ("signature", signature)]);
                assert_eq!(verify(&message(&headers), "yihao", &rsa()), None);
            }
        }
    }
}
