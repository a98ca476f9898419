//! Signing requests by a string-to-sign that the counterpart made up: HMAC-SM3 (GB/T 32905-2016 for SM3, RFC 2104 for
//! HMAC), HMAC-SHA-256, or a plain digest over a string that holds the secret. Pure.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use ring::digest;
use serde::{Deserialize, Serialize};
use sm3::{Digest, Sm3};

use super::message_signatures::Algorithm;

/// How requests are signed, as a shape or the settings have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sign {
    pub(crate) method: Method,
    /// The string-to-sign; not with `rfc9421`.
    #[serde(default)]
    pub(crate) string: Option<String>,
    /// How the signature is written; not with `rfc9421`.
    #[serde(default)]
    pub(crate) encoding: Encoding,
    /// Headers that carry it, by template; with `rfc9421` further headers that can be covered.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// How the key file is to be read; not with keys in PEM.
    #[serde(default)]
    pub(crate) key: KeyForm,
    /// `rfc9421`: the algorithm.
    #[serde(default)]
    pub(crate) algorithm: Option<Algorithm>,
    /// `rfc9421`: what is covered.
    #[serde(default)]
    pub(crate) components: Vec<String>,
    /// `rfc9421`: the signature's label.
    #[serde(default = "label")]
    pub(crate) label: String,
}

fn label() -> String {
    "yihao".to_owned()
}

/// What makes the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// HMAC-SM3 of the string.
    HmacSm3,
    /// HMAC-SHA-256 of the string.
    HmacSha256,
    /// SM3 of the string, which holds the secret.
    Sm3,
    /// SHA-256 of the string, which holds the secret.
    Sha256,
    /// HTTP message signatures.
    Rfc9421,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encoding {
    #[default]
    Hex,
    HexUpper,
    Base64,
}

impl Encoding {
    pub(crate) fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::HexUpper => hex::encode_upper(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }
}

/// How a key of bytes stands in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyForm {
    /// The text is the key.
    #[default]
    Text,
    Hex,
    Base64,
}

impl KeyForm {
    /// The key in the content of a file; white space around it does not count.
    pub(crate) fn read(self, content: &[u8]) -> Option<Vec<u8>> {
        let text = content.trim_ascii();
        let key = match self {
            Self::Text => text.to_vec(),
            Self::Hex => hex::decode(text).ok()?,
            Self::Base64 => STANDARD.decode(text).ok()?,
        };
        (!key.is_empty()).then_some(key)
    }
}

impl Method {
    /// The signature of a string. The key is that of the file, or the secret.
    pub(crate) fn sign(self, key: &[u8], string: &str) -> Vec<u8> {
        match self {
            Self::HmacSm3 => hmac_sm3(key, string.as_bytes()),
            Self::Sm3 => sm3(string.as_bytes()),
            Self::HmacSha256 | Self::Rfc9421 => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
                ring::hmac::sign(&key, string.as_bytes()).as_ref().to_vec()
            }
            Self::Sha256 => sha256(string.as_bytes()),
        }
    }
}

/// HMAC-SM3.
pub(crate) fn hmac_sm3(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sm3>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

/// SM3.
pub(crate) fn sm3(bytes: &[u8]) -> Vec<u8> {
    Sm3::digest(bytes).to_vec()
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sm3_is_that_of_the_standard() {
        // GB/T 32905-2016, A.1.
        let expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0";
        assert_eq!(hex::encode(sm3(b"abc")), expected);
    }

    #[test]
    fn signatures_are_written_as_the_settings_say() {
        let bytes = [0xab, 0x0c];
        assert_eq!(Encoding::Hex.write(&bytes), "ab0c");
        assert_eq!(Encoding::HexUpper.write(&bytes), "AB0C");
        assert_eq!(Encoding::Base64.write(&bytes), "qww=");
    }

    #[test]
    fn keys_are_read_as_the_settings_say() {
        assert_eq!(KeyForm::Text.read(b"secret\n"), Some(b"secret".to_vec()));
        assert_eq!(KeyForm::Hex.read(b"ab0c\n"), Some(vec![0xab, 0x0c]));
        assert_eq!(KeyForm::Base64.read(b"qww="), Some(vec![0xab, 0x0c]));
        assert_eq!(KeyForm::Hex.read(b"secret"), None);
        assert_eq!(KeyForm::Text.read(b" \n"), None);
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_sha256_is_that_of_the_rfc() {
        assert_eq!(
            hex::encode(Method::HmacSha256.sign(b"Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
