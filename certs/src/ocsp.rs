//! Questions and answers about single certificates (OCSP, RFC 6960).
//!
//! An answer counts if the CA that issued the certificate signed it, or a responder whose certificate that
//! same CA issued for it (4.2.2.2). Names of issuers may be hashed with SHA-1, SHA-256 or SM3: the hash
//! finds an issuer among those known, it proves nothing.

use const_oid::ObjectIdentifier;
use der::asn1::GeneralizedTime;
use der::{Decode, Encode, Tag, TagNumber};
use jiff::{SignedDuration, Timestamp};
use sm3::{Digest, Sm3};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use x509_cert::time::Time;

use crate::certificate::without_leading_zeros;
use crate::crl::{Reason, Serial};
use crate::tlv::{INTEGER, Members, OCTET_STRING, SEQUENCE, context, tlv};
use crate::{Certificate, Link, oids, time};

/// The largest answer taken in, in bytes.
pub const MAX_OCSP_BYTES: usize = 256 * 1024;

/// The most certificates in an answer.
const MAX_CERTIFICATES: usize = 8;

/// The most extensions of one kind in an answer.
const MAX_EXTENSIONS: usize = 32;

/// How far ahead of ours a responder's clock may be.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How long an answer without nextUpdate counts. It says that something newer can be had at any time
/// (RFC 6960, 4.2.2.1); ours are fetched on a schedule and kept.
const WITHOUT_NEXT_UPDATE: SignedDuration = SignedDuration::from_hours(24);

/// What a responder says about a certificate (RFC 6960, 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspStatus {
    /// Not revoked.
    Good,
    /// Revoked, or (4.4.8) never issued.
    Revoked {
        /// When.
        at: Timestamp,
        /// From when on signatures count no longer: as in [`crate::Revocation::Revoked`].
        since: Timestamp,
    },
    /// The responder does not know the certificate.
    Unknown,
}

/// What an answer says about one certificate, and when that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OcspAnswer {
    /// The verdict.
    pub status: OcspStatus,
    /// When it was known to be right.
    pub this_update: Timestamp,
    /// Before when a newer answer will be there; a day after `this_update` if the responder names no time.
    pub next_update: Timestamp,
    /// Revoked, but that may be lifted (RFC 5280, 5.3.1, certificateHold).
    pub(crate) is_hold: bool,
}

/// Why an answer was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OcspError {
    /// Not DER of an OCSP answer.
    #[error("not a well-formed OCSP answer")]
    Malformed,
    /// Larger than 256 KiB.
    #[error("the OCSP answer has {bytes} bytes, more than allowed")]
    TooLarge {
        /// Size found.
        bytes: usize,
    },
    /// The responder says that it cannot answer now (internalError, tryLater): ask again.
    #[error("the OCSP responder cannot answer now")]
    TryLater,
    /// The responder refuses to answer (malformedRequest, sigRequired, unauthorized).
    #[error("the OCSP responder refuses to answer, with status {status}")]
    Refused {
        /// OCSPResponseStatus (RFC 6960, 4.2.1).
        status: u8,
    },
    /// Another kind of answer than id-pkix-ocsp-basic.
    #[error("the OCSP answer is of an unknown kind")]
    UnknownKind,
    /// A critical extension is not understood.
    #[error("the OCSP answer carries a critical extension that is not understood")]
    CriticalExtension,
    /// It says nothing.
    #[error("the OCSP answer is about no certificate")]
    Empty,
    /// No anchor or intermediate certificate has the name and key that the answer names as issuer.
    #[error("the issuer named in the OCSP answer is not known")]
    UnknownIssuer,
    /// It is about certificates of several issuers.
    #[error("the OCSP answer is about certificates of several issuers")]
    SeveralIssuers,
    /// It is about another certificate than the one asked about.
    #[error("the OCSP answer is about another certificate")]
    OtherCertificate,
    /// It answers another request: its nonce is not the one sent.
    #[error("the OCSP answer is to another request")]
    OtherNonce,
    /// Neither is it the issuer's, nor does it carry the certificate of the responder it names.
    #[error("the certificate of the OCSP responder is not at hand")]
    UnknownResponder,
    /// The responder's certificate was not issued by the CA in question for answering in its place.
    #[error("the OCSP responder may not answer for this issuer")]
    ResponderNotAuthorised,
    /// The responder's certificate had ended or not begun.
    #[error("the certificate of the OCSP responder is not valid at {at}")]
    ResponderExpired {
        /// The moment judged.
        at: Timestamp,
    },
    /// The responder's certificate is on the issuer's revocation list.
    #[error("the certificate of the OCSP responder was revoked")]
    ResponderRevoked,
    /// The signature is wrong.
    #[error("the signature on the OCSP answer is wrong")]
    BadSignature,
    /// thisUpdate lies in the future.
    #[error("the OCSP answer is dated in the future, {this_update}")]
    NotYetValid {
        /// When it says it was right.
        this_update: Timestamp,
    },
    /// It is past its nextUpdate.
    #[error("the OCSP answer held until {next_update}")]
    Stale {
        /// When it ended.
        next_update: Timestamp,
    },
    /// All that it says is known by a newer answer.
    #[error("newer OCSP answers are held")]
    Older,
    /// The store holds as many answers as it may.
    #[error("too many OCSP answers are held")]
    TooMany,
}

impl OcspError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "ocsp_malformed",
            Self::TooLarge { .. } => "ocsp_too_large",
            Self::TryLater => "ocsp_try_later",
            Self::Refused { .. } => "ocsp_refused",
            Self::UnknownKind => "ocsp_unknown_kind",
            Self::CriticalExtension => "ocsp_critical_extension",
            Self::Empty => "ocsp_empty",
            Self::UnknownIssuer => "ocsp_unknown_issuer",
            Self::SeveralIssuers => "ocsp_several_issuers",
            Self::OtherCertificate => "ocsp_other_certificate",
            Self::OtherNonce => "ocsp_other_nonce",
            Self::UnknownResponder => "ocsp_unknown_responder",
            Self::ResponderNotAuthorised => "ocsp_responder_not_authorised",
            Self::ResponderExpired { .. } => "ocsp_responder_expired",
            Self::ResponderRevoked => "ocsp_responder_revoked",
            Self::BadSignature => "ocsp_bad_signature",
            Self::NotYetValid { .. } => "ocsp_not_yet_valid",
            Self::Stale { .. } => "ocsp_stale",
            Self::Older => "ocsp_older",
            Self::TooMany => "ocsp_too_many",
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::Malformed | Self::TooLarge { .. } | Self::UnknownKind => Link::Format,
            _ => Link::Revocation,
        }
    }
}

impl From<der::Error> for OcspError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// The DER of an unsigned OCSPRequest (RFC 6960, 4.1) about `certificate`, issued by `issuer`.
///
/// Names are hashed with SHA-1, which every responder reads; nothing rests on it.
///
/// * `nonce`: what the answer should repeat (RFC 9654: 1 to 128 bytes, 32 are best); see [`check_nonce`].
pub fn request(certificate: &Certificate, issuer: &Certificate, nonce: Option<&[u8]>) -> Vec<u8> {
    let encode = || {
        let name = hash(oids::SHA_1, issuer.subject_der()).unwrap_or_default();
        let key = key_bits(issuer).and_then(|key| hash(oids::SHA_1, key)).unwrap_or_default();
        let algorithm = tlv(SEQUENCE, &[&oids::SHA_1.to_der()?, &[5, 0]])?;
        let id = tlv(
            SEQUENCE,
            &[
                &algorithm,
                &tlv(OCTET_STRING, &[&name])?,
                &tlv(OCTET_STRING, &[&key])?,
                &tlv(INTEGER, &[&as_integer(certificate.serial())])?,
            ],
        )?;
        let list = tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&id])?])?;
        let mut parts = vec![list];
        if let Some(nonce) = nonce {
            let value = tlv(OCTET_STRING, &[&tlv(OCTET_STRING, &[nonce])?])?;
            let extension = tlv(SEQUENCE, &[&oids::OCSP_NONCE.to_der()?, &value])?;
            parts.push(tlv(context(2), &[&tlv(SEQUENCE, &[&extension])?])?);
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        tlv(SEQUENCE, &[&tlv(SEQUENCE, &parts)?])
    };
    let encoded: der::Result<_> = encode();
    encoded.expect("values in memory of a certificate's size always encode")
}

/// Checks an answer (DER of an OCSPResponse) about `certificate`, issued by `issuer`, as of `now`.
///
/// # Errors
/// See [`OcspError`]: `OtherCertificate` if the answer says nothing about it, `Stale` if what it says is past
/// its nextUpdate.
pub fn check_ocsp(
    answer: &[u8],
    certificate: &Certificate,
    issuer: &Certificate,
    now: Timestamp,
) -> Result<OcspAnswer, OcspError> {
    let read = Response::read(answer)?;
    let asked = Serial::new(certificate.serial());
    let about = |single: &&Single<'_>| single.serial == asked && single.names(issuer);
    let single = read.singles.iter().find(about).ok_or(OcspError::OtherCertificate)?;
    if certificate.issuer_der() != issuer.subject_der() {
        return Err(OcspError::OtherCertificate);
    }
    read.authorised(issuer, now)?;
    let said = single.answer;
    if said.this_update > in_skew(now) {
        return Err(OcspError::NotYetValid { this_update: said.this_update });
    }
    if said.next_update <= now {
        return Err(OcspError::Stale { next_update: said.next_update });
    }
    Ok(said)
}

/// Checks that an answer repeats the nonce of its request. One without a nonce is let pass: responders may
/// answer many with one signature (RFC 6960, 4.4.1); thisUpdate says how old it is.
///
/// # Errors
/// `OtherNonce`, or that the answer cannot be read.
pub fn check_nonce(answer: &[u8], nonce: &[u8]) -> Result<(), OcspError> {
    match Response::read(answer)?.nonce {
        Some(found) if found != nonce => Err(OcspError::OtherNonce),
        _ => Ok(()),
    }
}

/// What a checked answer says, for the store.
pub(crate) struct Statements<'a> {
    pub(crate) issuer: &'a Certificate,
    /// The responder's certificate, if the issuer did not sign by itself.
    pub(crate) responder: Option<Certificate>,
    pub(crate) answers: Vec<(Serial, OcspAnswer)>,
}

/// Reads an answer and checks it against the certificates that it may name as issuer.
pub(crate) fn verify<'a>(
    answer: &[u8],
    mut candidates: impl Iterator<Item = &'a Certificate>,
    now: Timestamp,
) -> Result<Statements<'a>, OcspError> {
    let read = Response::read(answer)?;
    let first = read.singles.first().ok_or(OcspError::Empty)?;
    let issuer = candidates.find(|issuer| first.names(issuer)).ok_or(OcspError::UnknownIssuer)?;
    let same = |single: &Single<'_>| {
        let Single { hash, name, key, .. } = single;
        (hash, name, key) == (&first.hash, &first.name, &first.key) || single.names(issuer)
    };
    if !read.singles.iter().all(same) {
        return Err(OcspError::SeveralIssuers);
    }
    let responder = read.authorised(issuer, now)?;
    if let Some(ahead) = read.singles.iter().find(|single| single.answer.this_update > in_skew(now))
    {
        return Err(OcspError::NotYetValid { this_update: ahead.answer.this_update });
    }
    let answers = read.singles.iter().map(|single| (single.serial, single.answer)).collect();
    Ok(Statements { issuer, responder, answers })
}

pub(crate) fn in_skew(now: Timestamp) -> Timestamp {
    now.checked_add(SKEW).unwrap_or(Timestamp::MAX)
}

/// An OCSPResponse with a BasicOCSPResponse inside (RFC 6960, 4.2.1), read without copying.
struct Response<'a> {
    /// ResponseData with tag and length.
    tbs: &'a [u8],
    algorithm: AlgorithmIdentifierRef<'a>,
    signature: &'a [u8],
    certificates: Vec<&'a [u8]>,
    responder: ResponderId<'a>,
    produced_at: Timestamp,
    singles: Vec<Single<'a>>,
    nonce: Option<&'a [u8]>,
}

enum ResponderId<'a> {
    /// With tag and length.
    Name(&'a [u8]),
    /// SHA-1 of the key.
    Key(&'a [u8]),
}

/// A SingleResponse.
struct Single<'a> {
    hash: ObjectIdentifier,
    name: &'a [u8],
    key: &'a [u8],
    serial: Serial,
    answer: OcspAnswer,
}

impl<'a> Response<'a> {
    fn read(answer: &'a [u8]) -> Result<Self, OcspError> {
        if answer.len() > MAX_OCSP_BYTES {
            return Err(OcspError::TooLarge { bytes: answer.len() });
        }
        let mut outer = Members::of_sequence(answer)?;
        match outer.next_as(Tag::Enumerated)? {
            [0] => {}
            [2 | 3] => return Err(OcspError::TryLater),
            [status] => return Err(OcspError::Refused { status: *status }),
            _ => return Err(OcspError::Malformed),
        }
        let bytes = outer.next_context(0)?.ok_or(OcspError::Malformed)?;
        outer.finish()?;
        let mut bytes = Members::of_sequence(bytes)?;
        if bytes.next_oid()? != oids::OCSP_BASIC {
            return Err(OcspError::UnknownKind);
        }
        let basic = bytes.next_as(Tag::OctetString)?;
        bytes.finish()?;

        let mut basic = Members::of_sequence(basic)?;
        let tbs = basic.next_bytes()?;
        let (algorithm, signature) = (basic.next_algorithm()?, basic.next_bits()?);
        let certificates = certificates(basic.next_context(0)?)?;
        basic.finish()?;

        let mut data = Members::of_sequence(tbs)?;
        if let Some(version) = data.next_context(0)? {
            // DEFAULT v1 (0) and nothing else; DER leaves it out, some do not.
            if version != [INTEGER, 1, 0] {
                return Err(OcspError::Malformed);
            }
        }
        let responder = match (data.next_context(1)?, data.next_context(2)?) {
            (Some(name), None) => ResponderId::Name(name),
            (None, Some(key)) => {
                let mut key = Members::of(key)?;
                let id = ResponderId::Key(key.next_as(Tag::OctetString)?);
                key.finish()?;
                id
            }
            _ => return Err(OcspError::Malformed),
        };
        let produced_at = moment(data.next_bytes()?)?;
        let mut members = data.next_sequence()?;
        let mut singles = Vec::new();
        while !members.is_finished() {
            singles.push(Single::read(members.next_sequence()?)?);
        }
        let mut nonce = None;
        each_extension(data.next_context(1)?, |oid, value| {
            if oid == oids::OCSP_NONCE {
                // An OCTET STRING inside; some put the bytes there as they are.
                let inner =
                    Members::of(value).and_then(|mut value| value.next_as(Tag::OctetString));
                nonce = Some(inner.unwrap_or(value));
            }
            Ok(oid == oids::OCSP_NONCE || oid == oids::OCSP_EXTENDED_REVOKE)
        })?;
        data.finish()?;
        Ok(Self { tbs, algorithm, signature, certificates, responder, produced_at, singles, nonce })
    }

    /// Checks that `issuer` or a responder it authorised signed; that one's certificate (RFC 6960, 4.2.2.2).
    fn authorised(
        &self,
        issuer: &Certificate,
        now: Timestamp,
    ) -> Result<Option<Certificate>, OcspError> {
        if self.is_by(issuer) {
            self.check_signature(issuer)?;
            return Ok(None);
        }
        let mut certificates =
            self.certificates.iter().filter_map(|der| Certificate::from_der(der).ok());
        let named = |certificate: &Certificate| self.is_by(certificate);
        let responder = certificates.find(named).ok_or(OcspError::UnknownResponder)?;
        if !responder.may_sign_answers() || !is_issued_by(&responder, issuer) {
            return Err(OcspError::ResponderNotAuthorised);
        }
        // A kept answer outlives its responder's certificate, but not as one that is current.
        let is_current = self.singles.iter().any(|single| single.answer.next_update > now);
        let at = if is_current { now } else { self.produced_at };
        if at < responder.not_before() || at.as_second() > responder.not_after().as_second() {
            return Err(OcspError::ResponderExpired { at });
        }
        self.check_signature(&responder)?;
        Ok(Some(responder))
    }

    /// Whether the answer names this certificate as the responder's.
    fn is_by(&self, certificate: &Certificate) -> bool {
        match self.responder {
            ResponderId::Name(name) => name == certificate.subject_der(),
            ResponderId::Key(id) => {
                let key = key_bits(certificate).and_then(|key| hash(oids::SHA_1, key));
                key.is_some_and(|key| key == id)
            }
        }
    }

    fn check_signature(&self, responder: &Certificate) -> Result<(), OcspError> {
        let AlgorithmIdentifierRef { oid, parameters } = self.algorithm;
        let key = responder.public_key().map_err(|_| OcspError::BadSignature)?;
        match key.verify_as(oid, parameters, self.tbs, self.signature) {
            Ok(true) => Ok(()),
            _ => Err(OcspError::BadSignature),
        }
    }
}

impl<'a> Single<'a> {
    fn read(mut members: Members<'a>) -> Result<Self, OcspError> {
        let mut id = members.next_sequence()?;
        let hash = id.next_algorithm()?.oid;
        let (name, key) = (id.next_as(Tag::OctetString)?, id.next_as(Tag::OctetString)?);
        let serial = Serial::new(without_leading_zeros(id.next_as(Tag::Integer)?));
        id.finish()?;

        let status = members.next()?;
        let this_update = moment(members.next_bytes()?)?;
        let next_update = members.next_context(0)?.map(moment).transpose()?;
        let mut invalid = None;
        each_extension(members.next_context(1)?, |oid, value| {
            if oid == oids::INVALIDITY_DATE {
                invalid = Some(moment(value)?);
            }
            // RFC 6960, 4.4.5: entry extensions of lists may stand here.
            Ok(oid == oids::INVALIDITY_DATE || oid == oids::CRL_REASON)
        })?;
        members.finish()?;

        let Tag::ContextSpecific { number: TagNumber(number), .. } = status.header().tag() else {
            return Err(OcspError::Malformed);
        };
        let mut is_hold = false;
        let status = match (number, status.value()) {
            (0, []) => OcspStatus::Good,
            (1, revoked) => {
                let mut revoked = Members::of(revoked)?;
                let at = moment(revoked.next_bytes()?)?;
                let mut reason = Reason::Other;
                if let Some(code) = revoked.next_context(0)? {
                    let mut code = Members::of(code)?;
                    let &[code] = code.next_as(Tag::Enumerated)? else {
                        return Err(OcspError::Malformed);
                    };
                    reason = Reason::from_code(code);
                }
                revoked.finish()?;
                is_hold = reason == Reason::Hold;
                OcspStatus::Revoked { at, since: reason.since(at, invalid) }
            }
            (2, []) => OcspStatus::Unknown,
            _ => return Err(OcspError::Malformed),
        };
        let at_most = this_update.checked_add(WITHOUT_NEXT_UPDATE).unwrap_or(Timestamp::MAX);
        let next_update = next_update.unwrap_or(at_most);
        let answer = OcspAnswer { status, this_update, next_update, is_hold };
        Ok(Self { hash, name, key, serial, answer })
    }

    /// Whether it is about a certificate of this issuer.
    fn names(&self, issuer: &Certificate) -> bool {
        hash(self.hash, issuer.subject_der()).is_some_and(|found| found == self.name)
            && key_bits(issuer)
                .and_then(|key| hash(self.hash, key))
                .is_some_and(|found| found == self.key)
    }
}

/// Calls `knows` for each extension; a critical one that it does not know makes the answer unusable.
fn each_extension<'a>(
    wrapped: Option<&'a [u8]>,
    mut knows: impl FnMut(ObjectIdentifier, &'a [u8]) -> Result<bool, OcspError>,
) -> Result<(), OcspError> {
    let Some(wrapped) = wrapped else {
        return Ok(());
    };
    let mut extensions = Members::of_sequence(wrapped)?;
    let mut seen = Vec::new();
    while !extensions.is_finished() {
        let extension = extensions.next_extension()?;
        if seen.contains(&extension.oid) || seen.len() >= MAX_EXTENSIONS {
            return Err(OcspError::Malformed);
        }
        seen.push(extension.oid);
        if !knows(extension.oid, extension.value)? && extension.critical {
            return Err(OcspError::CriticalExtension);
        }
    }
    Ok(())
}

fn certificates(wrapped: Option<&[u8]>) -> Result<Vec<&[u8]>, OcspError> {
    let mut found = Vec::new();
    if let Some(wrapped) = wrapped {
        let mut members = Members::of_sequence(wrapped)?;
        while !members.is_finished() {
            found.push(members.next_bytes()?);
        }
    }
    if found.len() > MAX_CERTIFICATES { Err(OcspError::Malformed) } else { Ok(found) }
}

/// Whether the issuer's key made the signature on the certificate.
fn is_issued_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    certificate.issuer_der() == issuer.subject_der()
        && certificate.signed_parts().is_some_and(|(tbs, algorithm, signature)| {
            let AlgorithmIdentifierRef { oid, parameters } = algorithm;
            let verdict =
                issuer.public_key().map(|key| key.verify_as(oid, parameters, tbs, signature));
            matches!(verdict, Ok(Ok(true)))
        })
}

/// The bits of the public key: what OCSP hashes (RFC 6960, 4.1.1, issuerKeyHash).
fn key_bits(certificate: &Certificate) -> Option<&[u8]> {
    let info = SubjectPublicKeyInfoRef::from_der(certificate.spki()).ok()?;
    Some(info.subject_public_key.raw_bytes())
}

/// `None` for a hash that we do not know.
fn hash(algorithm: ObjectIdentifier, bytes: &[u8]) -> Option<Vec<u8>> {
    use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
    match algorithm {
        oids::SHA_1 => Some(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()),
        oids::SHA_256 => Some(digest(&SHA256, bytes).as_ref().to_vec()),
        oids::SM3 => Some(Sm3::digest(bytes).to_vec()),
        _ => None,
    }
}

/// The octets of a positive INTEGER.
fn as_integer(magnitude: &[u8]) -> Vec<u8> {
    let sign = magnitude.first().is_none_or(|byte| *byte >= 0x80);
    let zero: &[u8] = if sign { &[0] } else { &[] };
    [zero, magnitude].concat()
}

fn moment(der: &[u8]) -> Result<Timestamp, OcspError> {
    let time = Time::GeneralTime(GeneralizedTime::from_der(der)?);
    time::from_x509(time).ok_or(OcspError::Malformed)
}
