//! Hash functions that signatures and time-stamps name.

use const_oid::ObjectIdentifier;
use ring::digest;
use sm3::{Digest, Sm3};

use crate::oids;

/// A hash function that is accepted in signatures and time-stamps (RFC 5754; GB/T 32905 for SM3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SM3.
    Sm3,
}

impl HashAlgorithm {
    /// The hash of `pieces`, as if they were one.
    pub fn digest(self, pieces: &[&[u8]]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
            Self::Sm3 => {
                let mut state = Sm3::new();
                pieces.iter().for_each(|piece| state.update(piece));
                return state.finalize().to_vec();
            }
        };
        let mut state = digest::Context::new(algorithm);
        pieces.iter().for_each(|piece| state.update(piece));
        state.finish().as_ref().to_vec()
    }

    /// Bytes of a hash.
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 | Self::Sm3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha256 => oids::SHA_256,
            Self::Sha384 => oids::SHA_384,
            Self::Sha512 => oids::SHA_512,
            Self::Sm3 => oids::SM3,
        }
    }

    pub(crate) fn of_oid(oid: ObjectIdentifier) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512, Self::Sm3]
            .into_iter()
            .find(|algorithm| algorithm.oid() == oid)
    }
}
