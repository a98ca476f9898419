//! Holder tokens: what stands for a holder's number in keys.

use std::fmt;

use licence::HolderId;
use ring::hmac;
use serde::{Deserialize, Serialize};

/// The secret under which holder numbers become tokens. Losing it makes holders unfindable; leaking it lets
/// whoever has the store test numbers against it.
#[derive(Clone)]
pub struct IndexKey(hmac::Key);

impl IndexKey {
    /// From 32 secret bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    /// HMAC-SHA256 of kind code ‖ number, cut to 16 bytes. The kind code is always three digits, so kind and number
    /// cannot run into each other.
    pub fn token(&self, holder: &HolderId) -> HolderToken {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(holder.kind().code().as_bytes());
        context.update(holder.number().as_bytes());
        let tag = context.sign();
        let mut token = [0; 16];
        token.copy_from_slice(&tag.as_ref()[..16]);
        HolderToken(token)
    }
}

impl IndexKey {
    /// Tells keys apart without telling anything about them: 16 hexadecimal digits of an HMAC over
    /// a text that is no kind and number.
    pub fn check_value(&self) -> String {
        let tag = hmac::sign(&self.0, b"check value of the index key");
        hex::encode(&tag.as_ref()[..8])
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IndexKey(secret)")
    }
}

/// Stands for one holder in keys and logs: a stolen disk or backup does not list citizens' numbers, and keys spread
/// evenly. Made by [`IndexKey::token`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HolderToken([u8; 16]);

impl HolderToken {
    /// A token read back from where it was stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, as they stand in keys.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for HolderToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HolderToken({})", hex::encode(&self.0[..4]))
    }
}
