//! Certificate revocation lists (RFC 5280, section 5).

use std::collections::HashMap;
use std::str::from_utf8;

use der::asn1::GeneralizedTime;
use der::{Decode, Tag, TagNumber, pem};
use jiff::Timestamp;
use x509_cert::time::Time;

use crate::certificate::{pem_blocks, without_leading_zeros};
use crate::tlv::{Members, SEQUENCE};
use crate::{Certificate, Link, oids, sha256, time};

/// The largest revocation list taken in, in bytes: about 700 000 entries.
pub(crate) const MAX_CRL_BYTES: usize = 32 * 1024 * 1024;

/// The most extensions of a list.
const MAX_EXTENSIONS: usize = 32;

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

/// What revocation lists and OCSP answers say. For a path, the worst counts: `Revoked`, `Unknown`, `NoCrl`,
/// `Stale`, `Good`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Good by an OCSP answer, or not on a list, that is current.
    Good {
        /// Its thisUpdate; of several certificates, the oldest.
        as_of: Timestamp,
    },
    /// On the list, or revoked by an OCSP answer.
    Revoked {
        /// Revocation date.
        at: Timestamp,
        /// From when on signatures count no longer: the invalidityDate (RFC 5280, 5.3.2) if it is given and
        /// earlier than the revocation date; else the revocation date, but where the key got into other
        /// hands, always. What is proven to be older still stands.
        since: Timestamp,
    },
    /// An OCSP responder of the issuer does not know the certificate, and no current list speaks for it.
    Unknown {
        /// The answer's thisUpdate.
        as_of: Timestamp,
    },
    /// Not revoked by what is at hand, but that is past its nextUpdate.
    Stale {
        /// Its thisUpdate.
        as_of: Timestamp,
    },
    /// There is neither a list of the certificate's issuer nor an OCSP answer.
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
    /// A critical extension of the list or of an entry is not understood.
    #[error("the revocation list carries a critical extension that is not understood")]
    Unsupported,
    /// A delta list (RFC 5280, 5.2.4): it only says what changed.
    #[error("delta revocation lists are not supported")]
    Delta,
    /// An indirect list (RFC 5280, 5.2.5, indirectCRL, and 5.3.3): it speaks for other issuers.
    #[error("indirect revocation lists are not supported")]
    Indirect,
    /// A list for some reasons of revocation or for attribute certificates only (RFC 5280, 5.2.5).
    #[error("the revocation list is for some reasons or for attribute certificates only")]
    Partial,
    /// thisUpdate lies in the future.
    #[error("the revocation list is dated in the future, {this_update}")]
    NotYetValid {
        /// When it says it was made.
        this_update: Timestamp,
    },
    /// The list lacks nextUpdate, which RFC 5280 requires.
    #[error("the revocation list has no next update")]
    NoNextUpdate,
    /// The store holds as many lists of that issuer as it may.
    #[error("too many revocation lists of this issuer are held")]
    TooMany,
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
            Self::Delta => "crl_delta",
            Self::Indirect => "crl_indirect",
            Self::Partial => "crl_partial",
            Self::NotYetValid { .. } => "crl_not_yet_valid",
            Self::NoNextUpdate => "crl_no_next_update",
            Self::TooMany => "crl_too_many",
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

/// Why a certificate was revoked (RFC 5280, 5.3.1), as far as it changes what we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// keyCompromise, cACompromise, aACompromise: the key got into other hands.
    Compromised,
    /// certificateHold: it may be lifted again.
    Hold,
    /// removeFromCRL: it is revoked no longer.
    Removed,
    /// Every other one.
    Other,
}

impl Reason {
    pub(crate) fn from_code(code: u8) -> Self {
        match code {
            1 | 2 | 10 => Self::Compromised,
            6 => Self::Hold,
            8 => Self::Removed,
            _ => Self::Other,
        }
    }

    /// From when on signatures count no longer: see [`Revocation::Revoked`].
    pub(crate) fn since(self, at: Timestamp, invalid: Option<Timestamp>) -> Timestamp {
        match (invalid, self) {
            (Some(invalid), _) => invalid.min(at),
            (None, Self::Compromised) => Timestamp::MIN,
            (None, _) => at,
        }
    }
}

/// A serial number as a key of fixed size: its length and its at most 20 bytes (RFC 5280, 4.1.2.2); a longer
/// one, against the rule, by its digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Serial([u8; 21]);

impl Serial {
    /// * `bytes`: big-endian, leading zeros do not count.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let bytes = without_leading_zeros(bytes);
        let digest;
        let (length, bytes) = match u8::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= 20 => (length, bytes),
            _ => {
                digest = sha256(bytes);
                (u8::MAX, &digest.as_bytes()[..20])
            }
        };
        let mut key = [0; 21];
        key[0] = length;
        key[1..=bytes.len()].copy_from_slice(bytes);
        Self(key)
    }
}

/// Which certificates of its issuer a list is about (RFC 5280, 5.2.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The distribution point's name, DER. Such a list is one of several: that a certificate is not on it
    /// says nothing.
    point: Option<Vec<u8>>,
    only_users: bool,
    only_authorities: bool,
}

/// A revocation list whose signature was checked.
pub(crate) struct Crl {
    this_update: Timestamp,
    next_update: Timestamp,
    scope: Scope,
    revoked: HashMap<Serial, Entry>,
}

/// An entry of a list.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// Revocation date.
    pub(crate) at: Timestamp,
    /// From when on signatures count no longer; never later than `at`.
    pub(crate) since: Timestamp,
    /// Whether a newer answer may lift it (RFC 5280, 5.3.1, certificateHold).
    pub(crate) is_hold: bool,
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
        // A list can be large: what starts as DER does is not searched for PEM.
        let text =
            if bytes.first() == Some(&SEQUENCE) { "" } else { from_utf8(bytes).unwrap_or("") };
        let decoded;
        let der = match pem_blocks(text, "X509 CRL").next() {
            Some(block) => {
                decoded = pem::decode_vec(block.as_bytes()).map_err(|_| CrlError::Malformed)?.1;
                &decoded
            }
            None => bytes,
        };
        let list = Fields::read(der)?;
        let issuer = signer(&list, candidates)?;
        Ok((Self::read(&list)?, issuer))
    }

    pub(crate) fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// The list is current before this moment.
    pub(crate) fn next_update(&self) -> Timestamp {
        self.next_update
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it is one of several.
    pub(crate) fn is_partial(&self) -> bool {
        self.scope != Scope::default()
    }

    /// How many certificates it revokes.
    pub(crate) fn entries(&self) -> usize {
        self.revoked.len()
    }

    pub(crate) fn entry(&self, serial: &Serial) -> Option<Entry> {
        self.revoked.get(serial).copied()
    }

    /// Whether a certificate that is not on the list is thereby known to be good.
    pub(crate) fn covers(&self, is_authority: bool) -> bool {
        let Scope { point, only_users, only_authorities } = &self.scope;
        point.is_none() && if is_authority { !only_users } else { !only_authorities }
    }

    fn read(list: &Fields<'_>) -> Result<Self, CrlError> {
        let scope = scope(list.extensions)?;
        let next_update = list.next_update.ok_or(CrlError::NoNextUpdate)?;
        let mut revoked = HashMap::new();
        let mut entries = Members::of(list.revoked)?;
        while !entries.is_finished() {
            let (serial, entry) = entry(entries.next_sequence()?)?;
            let Some(entry) = entry else {
                revoked.remove(&serial);
                continue;
            };
            // Listed twice: the worse one.
            let held = revoked.entry(serial).or_insert(entry);
            if entry.since < held.since {
                *held = entry;
            }
        }
        Ok(Self { this_update: list.this_update, next_update, scope, revoked })
    }
}

impl From<der::Error> for CrlError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// A CertificateList (RFC 5280, 5.1), read without copying.
struct Fields<'a> {
    /// What is signed, with tag and length.
    tbs: &'a [u8],
    algorithm: spki::AlgorithmIdentifierRef<'a>,
    signature: &'a [u8],
    issuer: &'a [u8],
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    /// The members of revokedCertificates.
    revoked: &'a [u8],
    /// The members of crlExtensions.
    extensions: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(der: &'a [u8]) -> Result<Self, CrlError> {
        let mut outer = Members::of_sequence(der)?;
        let tbs = outer.next_bytes()?;
        let (algorithm, signature) = (outer.next_algorithm()?, outer.next_bits()?);
        outer.finish()?;

        let mut list = Members::of_sequence(tbs)?;
        let second = list.next_tag()? == Tag::Integer;
        if second && list.next_small()? != 1 {
            return Err(CrlError::Malformed);
        }
        if list.next_algorithm()? != algorithm {
            return Err(CrlError::Malformed);
        }
        list.next_tag()?.assert_eq(Tag::Sequence)?;
        let issuer = list.next_bytes()?;
        let this_update = moment(list.next_bytes()?)?;
        let mut next_update = None;
        if !list.is_finished() && matches!(list.next_tag()?, Tag::UtcTime | Tag::GeneralizedTime) {
            next_update = Some(moment(list.next_bytes()?)?);
        }
        let mut revoked: &[u8] = &[];
        if !list.is_finished() && list.next_tag()? == Tag::Sequence {
            revoked = list.next_as(Tag::Sequence)?;
        }
        let extensions = match list.next_context(0)? {
            Some(wrapped) if second => {
                let mut wrapped = Members::of(wrapped)?;
                let extensions = wrapped.next_as(Tag::Sequence)?;
                wrapped.finish()?;
                extensions
            }
            Some(_) => return Err(CrlError::Malformed),
            None => &[],
        };
        list.finish()?;
        Ok(Self {
            tbs,
            algorithm,
            signature,
            issuer,
            this_update,
            next_update,
            revoked,
            extensions,
        })
    }
}

/// UTCTime or GeneralizedTime.
fn moment(der: &[u8]) -> Result<Timestamp, CrlError> {
    time::from_x509(Time::from_der(der)?).ok_or(CrlError::Malformed)
}

/// The certificate whose key made the list's signature.
fn signer<'a>(
    list: &Fields<'_>,
    candidates: impl Iterator<Item = &'a Certificate>,
) -> Result<&'a Certificate, CrlError> {
    let algorithm = list.algorithm;
    let mut failure = CrlError::UnknownIssuer;
    for candidate in candidates {
        if candidate.subject_der() != list.issuer {
            continue;
        }
        let verdict = candidate.public_key().map(|key| {
            key.verify_as(algorithm.oid, algorithm.parameters, list.tbs, list.signature)
        });
        match verdict {
            Ok(Ok(true)) if candidate.may_sign_lists() => return Ok(candidate),
            Ok(Ok(true)) => failure = CrlError::WrongUsage,
            _ if failure != CrlError::WrongUsage => failure = CrlError::BadSignature,
            _ => {}
        }
    }
    Err(failure)
}

/// What the list is about (RFC 5280, 5.2). A critical extension that we do not know makes it unusable.
fn scope(extensions: &[u8]) -> Result<Scope, CrlError> {
    let mut scope = Scope::default();
    let mut seen = Vec::new();
    let mut extensions = Members::of(extensions)?;
    while !extensions.is_finished() {
        let extension = extensions.next_extension()?;
        // RFC 5280, 4.2: no extension twice.
        if seen.contains(&extension.oid) || seen.len() >= MAX_EXTENSIONS {
            return Err(CrlError::Malformed);
        }
        seen.push(extension.oid);
        match extension.oid {
            oids::DELTA_CRL_INDICATOR => return Err(CrlError::Delta),
            oids::ISSUING_DISTRIBUTION_POINT => scope = distribution_point(extension.value)?,
            oids::AUTHORITY_KEY_IDENTIFIER | oids::CRL_NUMBER => {}
            _ if extension.critical => return Err(CrlError::Unsupported),
            _ => {}
        }
    }
    Ok(scope)
}

/// IssuingDistributionPoint (RFC 5280, 5.2.5).
fn distribution_point(value: &[u8]) -> Result<Scope, CrlError> {
    let mut scope = Scope::default();
    let (mut indirect, mut partial) = (false, false);
    let mut members = Members::of_sequence(value)?;
    let mut last = None;
    while !members.is_finished() {
        let any = members.next()?;
        let Tag::ContextSpecific { number: TagNumber(number), .. } = any.header().tag() else {
            return Err(CrlError::Malformed);
        };
        if last.replace(number).is_some_and(|last| last >= number) {
            return Err(CrlError::Malformed);
        }
        let set = match any.value() {
            [0] => false,
            [0xFF] => true,
            _ if matches!(number, 0 | 3) => true,
            _ => return Err(CrlError::Malformed),
        };
        match number {
            0 => scope.point = Some(any.value().to_vec()),
            1 => scope.only_users = set,
            2 => scope.only_authorities = set,
            // onlySomeReasons: not on it may still mean revoked for another reason.
            3 => partial = true,
            4 => indirect = set,
            // onlyContainsAttributeCerts
            5 => partial |= set,
            _ => return Err(CrlError::Malformed),
        }
    }
    match (indirect, partial) {
        (true, _) => Err(CrlError::Indirect),
        (_, true) => Err(CrlError::Partial),
        // At most one of the two (RFC 5280, 5.2.5).
        _ if scope.only_users && scope.only_authorities => Err(CrlError::Malformed),
        _ => Ok(scope),
    }
}

/// An entry (RFC 5280, 5.3); `None` for one that lifts a revocation. One that speaks for another issuer, or
/// carries a critical extension we do not know, makes the whole list unusable.
fn entry(mut members: Members<'_>) -> Result<(Serial, Option<Entry>), CrlError> {
    let serial = Serial::new(members.next_as(Tag::Integer)?);
    let at = moment(members.next_bytes()?)?;
    let (mut reason, mut invalid) = (Reason::Other, None);
    if !members.is_finished() {
        let mut extensions = members.next_sequence()?;
        members.finish()?;
        while !extensions.is_finished() {
            let extension = extensions.next_extension()?;
            match extension.oid {
                oids::CRL_REASON => {
                    let mut value = Members::of(extension.value)?;
                    reason = match value.next_as(Tag::Enumerated)? {
                        [code] => Reason::from_code(*code),
                        _ => return Err(CrlError::Malformed),
                    };
                }
                oids::INVALIDITY_DATE => {
                    let date = GeneralizedTime::from_der(extension.value)?;
                    let date = time::from_x509(Time::GeneralTime(date));
                    invalid = Some(date.ok_or(CrlError::Malformed)?);
                }
                oids::CERTIFICATE_ISSUER => return Err(CrlError::Indirect),
                _ if extension.critical => return Err(CrlError::Unsupported),
                _ => {}
            }
        }
    }
    let is_hold = reason == Reason::Hold;
    let entry = Entry { at, since: reason.since(at, invalid), is_hold };
    Ok((serial, (reason != Reason::Removed).then_some(entry)))
}

impl Revocation {
    /// The worse of two; of two alike, the one that is older.
    pub(crate) fn worse(self, other: Self) -> Self {
        let rank = |verdict: &Self| match verdict {
            Self::Revoked { .. } => 0,
            Self::Unknown { .. } => 1,
            Self::NoCrl => 2,
            Self::Stale { .. } => 3,
            Self::Good { .. } => 4,
        };
        let time = |verdict: &Self| match verdict {
            Self::Revoked { since, .. } => *since,
            Self::Unknown { as_of } | Self::Stale { as_of } | Self::Good { as_of } => *as_of,
            Self::NoCrl => Timestamp::MIN,
        };
        if (rank(&other), time(&other)) < (rank(&self), time(&self)) { other } else { self }
    }
}
