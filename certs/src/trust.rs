//! Trust anchors, intermediate certificates and revocation lists.

use std::fmt;

use jiff::Timestamp;
use licence::Sha256Digest;

use crate::{Certificate, ChainError, ChainRecord, CrlError, Judgement};

/// What a certificate is used for; each use has anchors of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Usage {
    /// Signing licences, manifests and status orders.
    IssuingLicences,
    /// Signing certificates of clients (departments' systems); the leaf is a TLS client certificate.
    IssuingClients,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IssuingLicences => "issuing licences",
            Self::IssuingClients => "authenticating a client",
        })
    }
}

/// Everything a verdict rests on besides the signature itself.
#[derive(Default)]
pub struct TrustStore {}

impl TrustStore {
    /// A store that trusts nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts `anchor` for `usage`.
    pub fn add_anchor(&mut self, _usage: Usage, _anchor: Certificate) {
        todo!()
    }

    /// Withdraws trust; whether the anchor was there.
    pub fn remove_anchor(&mut self, _usage: Usage, _sha256: &Sha256Digest) -> bool {
        todo!()
    }

    /// Makes an intermediate CA certificate known; it is not trusted by itself.
    pub fn add_intermediate(&mut self, _certificate: Certificate) {
        todo!()
    }

    /// Takes in a revocation list, PEM or DER, replacing an older one of the same issuer. The issuer must be
    /// an anchor or an intermediate added before.
    ///
    /// # Errors
    /// See [`CrlError`]; the store is unchanged then.
    pub fn add_crl(&mut self, _crl: &[u8]) -> Result<(), CrlError> {
        todo!()
    }

    /// The anchors for `usage`.
    pub fn anchors(&self, _usage: Usage) -> Vec<Certificate> {
        todo!()
    }

    /// Validates a path from `leaf` through `others` and the known intermediates to an anchor.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn verify_chain(
        &self,
        _leaf: &Certificate,
        _others: &[Certificate],
        _usage: Usage,
        _at: Timestamp,
    ) -> Result<ChainRecord, ChainError> {
        todo!()
    }

    /// Judges a path validated before by what is known now: hash look-ups only.
    pub fn judge(&self, _record: &ChainRecord, _now: Timestamp) -> Judgement {
        todo!()
    }
}
