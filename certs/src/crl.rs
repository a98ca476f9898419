//! Certificate revocation lists (RFC 5280, section 5).

use std::collections::HashMap;

use der::pem;
use jiff::Timestamp;
use x509_parser::oid_registry::asn1_rs::oid;
use x509_parser::prelude::{CertificateRevocationList, FromDer, ReasonCode, RevokedCertificate};

use crate::certificate::{pem_blocks, without_leading_zeros};
use crate::tlv::Members;
use crate::{Certificate, Link, time};

/// The largest revocation list taken in, in bytes: about 700 000 entries.
pub(crate) const MAX_CRL_BYTES: usize = 32 * 1024 * 1024;

/// What is known today about a path that was validated before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the trust anchor still stands.
    pub chain: ChainVerdict,
    /// The worst that the revocation lists say about any certificate of the path.
    pub revocation: Revocation,
}

/// Whether a path's trust anchor still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainVerdict {
    /// It does.
    Ok,
    /// It was removed from the trust store since.
    AnchorWithdrawn,
    /// It is there, but was not yet trusted at the time that counts.
    AnchorNotYet,
    /// It is there, but was no longer trusted at the time that counts.
    AnchorEnded,
}

/// What revocation lists say. For a path, the worst counts: `Revoked`, `NoCrl`, `Stale`, `Good`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Not on a list that is current.
    Good {
        /// The list's thisUpdate; of several, the oldest.
        as_of: Timestamp,
    },
    /// On the list.
    Revoked {
        /// Revocation date.
        at: Timestamp,
        /// From when on signatures count no longer: the revocation date, or, where the key got into other
        /// hands, since when that is known (RFC 5280, 5.3.2, invalidityDate); without that date, always.
        /// What is proven to be older still stands.
        since: Timestamp,
    },
    /// Not on the list, but the list is past its nextUpdate.
    Stale {
        /// The list's thisUpdate.
        as_of: Timestamp,
    },
    /// There is no list of the certificate's issuer.
    NoCrl,
}

/// Why a revocation list was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// Not DER or PEM of a CRL.
    #[error("not a well-formed certificate revocation list")]
    Malformed,
    /// Larger than 32 MiB.
    #[error("the revocation list has {bytes} bytes, more than allowed")]
    TooLarge {
        /// Size found.
        bytes: usize,
    },
    /// No anchor or intermediate certificate bears the issuer's name.
    #[error("the issuer of the revocation list is not known")]
    UnknownIssuer,
    /// The signature fits no key of that issuer.
    #[error("the signature on the revocation list is wrong")]
    BadSignature,
    /// The issuer's certificate does not allow signing lists.
    #[error("the issuer's certificate may not sign revocation lists")]
    WrongUsage,
    /// Delta, indirect or partitioned list.
    #[error("delta, indirect and partitioned revocation lists are not supported")]
    Unsupported,
    /// The list lacks nextUpdate, which RFC 5280 requires.
    #[error("the revocation list has no next update")]
    NoNextUpdate,
    /// A newer list of that issuer is held already.
    #[error("a newer revocation list of this issuer is held, of {held}")]
    Older {
        /// thisUpdate of the list held.
        held: Timestamp,
    },
}

impl CrlError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "crl_malformed",
            Self::TooLarge { .. } => "crl_too_large",
            Self::UnknownIssuer => "crl_unknown_issuer",
            Self::BadSignature => "crl_bad_signature",
            Self::WrongUsage => "crl_wrong_usage",
            Self::Unsupported => "crl_unsupported",
            Self::NoNextUpdate => "crl_no_next_update",
            Self::Older { .. } => "crl_older",
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Malformed | Self::TooLarge { .. } => Link::Format,
            _ => Link::Revocation,
        }
    }
}

/// A revocation list whose signature was checked.
pub(crate) struct Crl {
    this_update: Timestamp,
    next_update: Timestamp,
    /// By serial number without leading zeros.
    revoked: HashMap<Vec<u8>, Entry>,
}

struct Entry {
    at: Timestamp,
    /// The key got into other hands: what it signed before the revocation date proves nothing either.
    compromised: bool,
}

impl Crl {
    /// Reads a list and checks it against the certificates whose subject bears its issuer's name.
    /// Returns, with it, the one whose key signed it.
    pub(crate) fn verify<'a>(
        bytes: &[u8],
        candidates: impl Iterator<Item = &'a Certificate>,
    ) -> Result<(Self, &'a Certificate), CrlError> {
        if bytes.len() > MAX_CRL_BYTES {
            return Err(CrlError::TooLarge { bytes: bytes.len() });
        }
        let decoded;
        let der =
            match std::str::from_utf8(bytes).ok().map(|text| pem_blocks(text, "X509 CRL").next()) {
                Some(Some(block)) => {
                    decoded = pem::decode_vec(block.as_bytes()).map_err(|_| CrlError::Malformed)?.1;
                    &decoded
                }
                _ => bytes,
            };
        let (rest, list) =
            CertificateRevocationList::from_der(der).map_err(|_| CrlError::Malformed)?;
        if !rest.is_empty() || list.signature_algorithm != list.tbs_cert_list.signature {
            return Err(CrlError::Malformed);
        }
        let issuer = signer(der, &list, candidates)?;
        Ok((Self::read(&list)?, issuer))
    }

    pub(crate) fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// What the list says about a certificate of its issuer, as of `now`.
    pub(crate) fn judge(&self, serial: &[u8], now: Timestamp) -> Revocation {
        match self.revoked.get(serial) {
            Some(entry) if entry.at <= now || entry.compromised => {
                let since = if entry.compromised { Timestamp::MIN } else { entry.at };
                Revocation::Revoked { at: entry.at, since }
            }
            _ if now >= self.next_update => Revocation::Stale { as_of: self.this_update },
            _ => Revocation::Good { as_of: self.this_update },
        }
    }

    fn read(list: &CertificateRevocationList<'_>) -> Result<Self, CrlError> {
        list.tbs_cert_list.extensions_map().map_err(|_| CrlError::Malformed)?;
        for extension in list.extensions() {
            // Delta (27) and issuing distribution point (28: indirect or for some certificates only).
            let partial = extension.oid == oid!(2.5.29.27) || extension.oid == oid!(2.5.29.28);
            if extension.critical || partial {
                return Err(CrlError::Unsupported);
            }
        }
        let seconds = |time: i64| time::from_seconds(time).ok_or(CrlError::Malformed);
        let next_update = list.next_update().ok_or(CrlError::NoNextUpdate)?;
        let mut revoked = HashMap::with_capacity(list.tbs_cert_list.revoked_certificates.len());
        for entry in list.iter_revoked_certificates() {
            let reason = reason(entry)?;
            let at = seconds(entry.revocation_date.timestamp())?;
            let compromised =
                reason == ReasonCode::KeyCompromise || reason == ReasonCode::CACompromise;
            let serial = without_leading_zeros(entry.raw_serial()).to_vec();
            revoked.insert(serial, Entry { at, compromised });
        }
        Ok(Self {
            this_update: seconds(list.last_update().timestamp())?,
            next_update: seconds(next_update.timestamp())?,
            revoked,
        })
    }
}

/// The certificate whose key made the list's signature. What is not signed is read strictly here.
fn signer<'a>(
    der: &[u8],
    list: &CertificateRevocationList<'_>,
    candidates: impl Iterator<Item = &'a Certificate>,
) -> Result<&'a Certificate, CrlError> {
    let read = || {
        let mut outer = Members::of_sequence(der)?;
        let read = (outer.next_bytes()?, outer.next_algorithm()?, outer.next_bits()?);
        outer.finish()?;
        Ok(read)
    };
    let (tbs, algorithm, signature) = read().map_err(|_: der::Error| CrlError::Malformed)?;
    let mut failure = CrlError::UnknownIssuer;
    for candidate in candidates {
        if candidate.subject_der() != list.issuer().as_raw() {
            continue;
        }
        let verdict = candidate
            .public_key()
            .map(|key| key.verify_as(algorithm.oid, algorithm.parameters, tbs, signature));
        match verdict {
            Ok(Ok(true)) if candidate.may_sign_lists() => return Ok(candidate),
            Ok(Ok(true)) => failure = CrlError::WrongUsage,
            _ if failure != CrlError::WrongUsage => failure = CrlError::BadSignature,
            _ => {}
        }
    }
    Err(failure)
}

/// The reason of an entry. An entry that speaks for another issuer, or carries a critical extension we
/// do not know, makes the whole list unusable (RFC 5280, 5.3).
fn reason(entry: &RevokedCertificate<'_>) -> Result<ReasonCode, CrlError> {
    for extension in entry.extensions() {
        let known = extension.oid == oid!(2.5.29.21) || extension.oid == oid!(2.5.29.24);
        if extension.oid == oid!(2.5.29.29) || (extension.critical && !known) {
            return Err(CrlError::Unsupported);
        }
    }
    Ok(entry.reason_code().map_or(ReasonCode::Unspecified, |(_, reason)| reason))
}

impl Revocation {
    /// The worse of two; of two alike, the one that is older.
    pub(crate) fn worse(self, other: Self) -> Self {
        let rank = |verdict: &Self| match verdict {
            Self::Revoked { .. } => 0,
            Self::NoCrl => 1,
            Self::Stale { .. } => 2,
            Self::Good { .. } => 3,
        };
        let time = |verdict: &Self| match verdict {
            Self::Revoked { since, .. } => *since,
            Self::Stale { as_of } | Self::Good { as_of } => *as_of,
            Self::NoCrl => Timestamp::MIN,
        };
        if (rank(&other), time(&other)) < (rank(&self), time(&self)) { other } else { self }
    }
}
