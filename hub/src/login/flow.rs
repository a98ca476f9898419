//! What the browser carries while it is at the provider: state, nonce and PKCE verifier, sealed.
//!
//! Bound to the browser by a cookie that only this hub can read or make (AES-256-GCM under a key that is derived from
//! the client's secret, so that any hub in front of the same store can go on with it). A login that somebody
//! else began therefore cannot be ended here.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};

/// The cookie that says that somebody logged out in this browser: the next login does not pass silently.
pub const LEFT: &str = "yihao_left";
/// The cookie that carries it.
pub const COOKIE: &str = "yihao_login";
/// How long a login may take.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

const LABEL: &[u8] = b"yihao login flow 1";

/// A login on its way.
#[derive(Clone, Serialize, Deserialize)]
pub struct Flow {
    /// What the provider must say again.
    pub state: String,
    /// What the ID token must say again.
    pub nonce: String,
    /// What the code is exchanged with.
    pub verifier: String,
    /// Where to go afterwards: a path of these pages, or empty.
    pub next: String,
    /// Until when.
    pub until: Timestamp,
    /// The person must show anew who they are: not before this second of the machine's clock.
    #[serde(default)]
    pub anew_since: Option<i64>,
}

/// Seals and opens flows.
pub struct Seal(LessSafeKey);

impl Seal {
    /// With a key derived from the client's secret.
    #[must_use]
    pub fn from_secret(secret: &str) -> Self {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), LABEL);
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a MAC of 32 bytes is a key");
        Self(LessSafeKey::new(key))
    }

    /// A cookie's value; `None` if the system has no random bytes.
    #[must_use]
    pub fn seal(&self, flow: &Flow) -> Option<String> {
        let mut nonce = [0_u8; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut bytes = serde_json::to_vec(flow).ok()?;
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(LABEL),
                &mut bytes,
            )
            .ok()?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut bytes);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What a cookie's value says, if this hub made it and it is not too old.
    #[must_use]
    pub fn open(&self, cookie: &str, now: Timestamp) -> Option<Flow> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.0.open_in_place(nonce, Aad::from(LABEL), sealed).ok()?;
        let flow: Flow = serde_json::from_slice(plain).ok()?;
        (now <= flow.until).then_some(flow)
    }
}

/// Most characters of a path to come back to.
const LONGEST_PATH: usize = 1_024;

/// A path of these pages that a login may lead to, or nothing: never another host, never a script, and not the login.
#[must_use]
pub fn local_path(next: &str) -> Option<&str> {
    let path = next.split(['?', '#']).next().unwrap_or_default();
    let local = next.len() <= LONGEST_PATH
        && next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        // A browser takes `/.//host` for a path, a careless one might not.
        && !path.contains("//")
        && !["/login", "/logout"].iter().any(|own| {
            path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    local.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        Flow {
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
            next: "/me".to_owned(),
            until: "2026-03-02T01:10:00Z".parse().unwrap(),
            anew_since: None,
        }
    }

    #[test]
    fn only_the_hub_with_the_secret_opens_what_it_sealed_and_only_for_ten_minutes() {
        let seal = Seal::from_secret("one");
        let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
        let cookie = seal.seal(&flow()).unwrap();
        assert_ne!(cookie, seal.seal(&flow()).unwrap(), "a nonce of its own each time");
        assert_eq!(seal.open(&cookie, now).unwrap().next, "/me");
        assert!(seal.open(&cookie, now + PATIENCE).is_some());
        assert!(seal.open(&cookie, now + PATIENCE + SignedDuration::from_secs(1)).is_none());
        assert!(Seal::from_secret("another").open(&cookie, now).is_none());
        for end in 0..cookie.len() {
            assert!(seal.open(&cookie[..end], now).is_none());
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            assert!(seal.open(&URL_SAFE_NO_PAD.encode(&bytes), now).is_none());
            bytes[place] ^= 1;
        }
    }

    #[test]
    fn a_login_leads_to_paths_of_these_pages_only() {
        for path in
            ["/", "/me", "/me/cases/c_1?lang=en", "/window#checklist", "/loginx", "/a?b=//c"]
        {
            assert_eq!(local_path(path), Some(path), "{path}");
        }
        for path in [
            "",
            "me",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a//evil.example",
            "/.//evil.example",
            "/me\r\nSet-Cookie: a=b",
            "/\tevil",
            "/ evil",
            "/我的",
            "/login",
            "/login?next=/me",
            "/login/callback?code=1",
            "/logout",
        ] {
            assert_eq!(local_path(path), None, "{path:?}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(2_000))), None);
    }
}
