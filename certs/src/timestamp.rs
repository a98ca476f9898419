//! Time-stamps (RFC 3161, with the certificate identifiers of RFC 5816): asked for, read, verified.
//!
//! A time-stamp shows that bytes existed at a time. It is judged as of that time: the authority's path
//! must hold then, and its certificate must not have been revoked by then, nor ever for a key that got
//! into other hands. That an authority's certificate has ended since takes nothing away.

use const_oid::ObjectIdentifier;
use der::{Encode, Tag, TagNumber};
use jiff::civil::{Date, Time as Clock};
use jiff::{SignedDuration, Timestamp, tz};

use crate::certificate::without_leading_zeros;
use crate::cms::{Bounds, SignedData};
use crate::effort::Effort;
use crate::tlv::{INTEGER, Members, OCTET_STRING, SEQUENCE, tlv};
use crate::{
    Certificate, ChainRecord, HashAlgorithm, Link, LinkVerdict, Outcome, SignatureError, Times,
    TrustStore, Usage, oids,
};

/// The largest time-stamp, and the largest answer of an authority, in bytes.
pub const MAX_TIME_STAMP_BYTES: usize = 64 * 1024;

/// How far a time-stamp may lie in the future before it is refused: clocks differ.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

const BOUNDS: Bounds = Bounds { bytes: MAX_TIME_STAMP_BYTES, certificates: 16, signers: 1 };

/// A time-stamp that was verified.
#[derive(Clone, Debug)]
pub struct TimeStamp {
    /// The time (genTime).
    pub at: Timestamp,
    /// By how much that may be wrong; nothing where the authority does not say.
    pub accuracy: SignedDuration,
    /// The authority's certificate.
    pub authority: Certificate,
    /// The path to an anchor for time-stamping.
    pub chain: Option<ChainRecord>,
    /// Whether the authority's certificate is known not to be revoked: `Trusted`, or `Undetermined` for want
    /// of a current list.
    pub revocation: LinkVerdict,
    /// The authority's policy, in dots.
    pub policy: String,
    /// The nonce of the request, without leading zeros.
    pub nonce: Option<Vec<u8>>,
}

impl TimeStamp {
    /// By when the bytes existed at the latest: the time, and the accuracy on top.
    pub fn proven(&self) -> Timestamp {
        self.at.checked_add(self.accuracy).unwrap_or(Timestamp::MAX)
    }

    /// Checks that it answers a request (RFC 3161, 2.4.2).
    ///
    /// # Errors
    /// `OtherNonce`; `OtherPolicy` if one was asked for.
    pub fn answers(&self, nonce: &[u8; 8], policy: Option<&str>) -> Result<(), TimestampError> {
        if self.nonce.as_deref() != Some(without_leading_zeros(nonce)) {
            return Err(TimestampError::OtherNonce);
        }
        if policy.is_some_and(|asked| asked != self.policy) {
            return Err(TimestampError::OtherPolicy);
        }
        Ok(())
    }
}

/// Why there is no time-stamp, or it does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// Larger than [`MAX_TIME_STAMP_BYTES`].
    #[error("the time-stamp has {bytes} bytes, more than allowed")]
    TooLarge {
        /// Size found.
        bytes: usize,
    },
    /// Not DER, or not what RFC 3161 describes.
    #[error("not a well-formed time-stamp")]
    Malformed,
    /// The authority did not stamp (PKIStatus 2 to 5).
    #[error("the time-stamp authority refused, with status {status}: {reason}")]
    Refused {
        /// PKIStatus.
        status: u8,
        /// PKIFailureInfo in the words of RFC 3161.
        reason: &'static str,
    },
    /// Signed data, but of something else.
    #[error("the signed data is not a time-stamp")]
    NotATimeStamp,
    /// It is over other bytes.
    #[error("the time-stamp is over other bytes")]
    OtherBytes,
    /// It is over a digest that can be forged, or one we do not know.
    #[error("the time-stamp is over a digest that is not accepted")]
    Digest,
    /// It answers another request.
    #[error("the time-stamp answers another request")]
    OtherNonce,
    /// It was made under another policy than was asked for.
    #[error("the time-stamp was made under another policy than was asked for")]
    OtherPolicy,
    /// It claims a time to come.
    #[error("the time-stamp is of {at}, which is yet to come")]
    InFuture {
        /// The time claimed.
        at: Timestamp,
    },
    /// The authority does not name its certificate under the signature (RFC 3161, 2.4.1).
    #[error("the time-stamp does not name its authority's certificate under the signature")]
    AuthorityUnnamed,
    /// The authority's signature does not hold.
    #[error("the time-stamp's signature: {0}")]
    Signature(SignatureError),
    /// The authority's certificate is not trusted for time-stamping.
    #[error("the time-stamp authority is not trusted: {}", .0.code)]
    Authority(LinkVerdict),
}

impl TimestampError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "timestamp_too_large",
            Self::Malformed => "timestamp_malformed",
            Self::Refused { .. } => "timestamp_refused",
            Self::NotATimeStamp => "timestamp_content_type",
            Self::OtherBytes => "timestamp_other_bytes",
            Self::Digest => "timestamp_digest",
            Self::OtherNonce => "timestamp_other_nonce",
            Self::OtherPolicy => "timestamp_other_policy",
            Self::InFuture { .. } => "timestamp_in_future",
            Self::AuthorityUnnamed => "timestamp_authority_unnamed",
            Self::Signature(_) => "timestamp_signature",
            Self::Authority(link) => link.code,
        }
    }

    /// Which link failed: always the time.
    pub fn link(&self) -> Link {
        Link::Time
    }

    /// What it says about the link: that somebody is not known is no proof that the time is wrong.
    pub fn verdict(&self) -> LinkVerdict {
        match self {
            Self::Authority(link) if link.link == Link::Chain => {
                LinkVerdict::undetermined(Link::Time, self.code())
            }
            Self::InFuture { at } => LinkVerdict::failed(Link::Time, self.code()).with_time(*at),
            _ => LinkVerdict::failed(Link::Time, self.code()),
        }
    }
}

impl From<der::Error> for TimestampError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// A request for a time-stamp (TimeStampReq, RFC 3161, 2.4.1) that asks for the authority's certificate too.
///
/// * `digest`: of the bytes, by `hash`.
/// * `nonce`: random; the answer must repeat it.
/// * `policy`: in dots; one that is no object identifier is left out.
pub fn request(
    digest: &[u8],
    hash: HashAlgorithm,
    nonce: Option<[u8; 8]>,
    policy: Option<&str>,
) -> Vec<u8> {
    let write = || {
        let algorithm = tlv(SEQUENCE, &[&hash.oid().to_der()?, &[5, 0]])?;
        let imprint = tlv(SEQUENCE, &[&algorithm, &tlv(OCTET_STRING, &[digest])?])?;
        let policy = policy.and_then(|text| ObjectIdentifier::new(text).ok());
        let policy = policy.map(|oid| oid.to_der()).transpose()?.unwrap_or_default();
        let nonce = nonce.map(|nonce| integer(&nonce)).transpose()?.unwrap_or_default();
        tlv(SEQUENCE, &[&1_u8.to_der()?, &imprint, &policy, &nonce, &true.to_der()?])
    };
    write().map_err(|_: der::Error| ()).expect("a few short members always encode")
}

/// The time-stamp token in an authority's answer (TimeStampResp, RFC 3161, 2.4.2); not yet verified.
///
/// # Errors
/// `TooLarge`, `Malformed`, `Refused`.
pub fn read_answer(answer: &[u8]) -> Result<Vec<u8>, TimestampError> {
    if answer.len() > MAX_TIME_STAMP_BYTES {
        return Err(TimestampError::TooLarge { bytes: answer.len() });
    }
    let mut outer = Members::of_sequence(answer)?;
    let mut info = outer.next_sequence()?;
    let status = info.next_small()?;
    if !info.is_finished() && info.next_tag()? == Tag::Sequence {
        info.next_bytes()?; // words for people, in whatever language: not ours to repeat
    }
    let reason = if info.is_finished() { None } else { Some(info.next()?) };
    let granted = status <= 1;
    if !granted {
        // A BIT STRING: the count of unused bits, then the bits.
        let bits = reason.map(|bits| bits.value().to_vec()).unwrap_or_default();
        return Err(TimestampError::Refused { status, reason: failure(&bits) });
    }
    if outer.is_finished() {
        return Err(TimestampError::Malformed);
    }
    let token = outer.next_bytes()?.to_vec();
    outer.finish()?;
    Ok(token)
}

/// Verifies that a time-stamp token was made over `message` by an authority that is trusted for it.
///
/// * `times`: the token's own time decides about the authority's path; lists are judged as known at `now`.
///
/// # Errors
/// See [`TimestampError`]. That no current revocation list is at hand is no error, and shows in the result.
pub fn verify(
    token: &[u8],
    message: &[u8],
    trust: &TrustStore,
    times: &Times,
) -> Result<TimeStamp, TimestampError> {
    verify_over(token, &[message], trust, times)
}

/// Like [`verify`], over bytes that lie in pieces, one after the other.
///
/// # Errors
/// As [`verify`].
pub fn verify_over(
    token: &[u8],
    pieces: &[&[u8]],
    trust: &TrustStore,
    times: &Times,
) -> Result<TimeStamp, TimestampError> {
    verify_within(token, pieces, trust, times, &Effort::default())
}

/// The same for one of the time-stamps of a file, whose effort it shares.
pub(crate) fn verify_within(
    token: &[u8],
    pieces: &[&[u8]],
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
) -> Result<TimeStamp, TimestampError> {
    if token.len() > MAX_TIME_STAMP_BYTES {
        return Err(TimestampError::TooLarge { bytes: token.len() });
    }
    let form = |error| match error {
        SignatureError::Malformed | SignatureError::NotSignedData => TimestampError::Malformed,
        error => TimestampError::Signature(error),
    };
    let signed = SignedData::read(token, BOUNDS).map_err(form)?;
    if signed.content_type != oids::TST_INFO {
        return Err(TimestampError::NotATimeStamp);
    }
    let content = signed.embedded.ok_or(TimestampError::Malformed)?;
    let info = Info::read(content)?;
    if info.digest != info.hash.digest(pieces) {
        return Err(TimestampError::OtherBytes);
    }
    let signature = TimestampError::Signature;
    effort.spend(1).map_err(|error| {
        TimestampError::Authority(LinkVerdict::failed(error.link(), error.code()))
    })?;
    // RFC 3161, 2.4.2: signed by the authority alone.
    let signer = signed.signers.first().ok_or(signature(SignatureError::NoSigner))?;
    let der = signed.certificate_of(signer).map_err(signature)?;
    let authority =
        Certificate::from_der(der).map_err(|error| signature(SignatureError::from(error)))?;
    let found = signed.check(signer, &authority, &[content]).map_err(signature)?;
    if !found.names_certificate {
        return Err(TimestampError::AuthorityUnnamed);
    }
    if info.at > times.now.checked_add(AHEAD).unwrap_or(Timestamp::MAX) {
        return Err(TimestampError::InFuture { at: info.at });
    }
    // As of its own time; a token from a moment ahead, by another clock, as of now.
    let as_of = Times { now: times.now, proven: Some(info.at.min(times.now)) };
    let others = signed.others(&authority);
    let assessed = trust.assess_within(&authority, &others, Usage::TimeStamping, &as_of, effort);
    if let Some(link) = assessed.links.iter().find(|link| link.outcome == Outcome::Untrusted) {
        return Err(TimestampError::Authority(link.clone()));
    }
    let revocation = assessed.links.into_iter().rfind(|link| link.link == Link::Revocation);
    Ok(TimeStamp {
        at: info.at,
        accuracy: info.accuracy,
        authority,
        chain: assessed.chain,
        revocation: revocation.unwrap_or(LinkVerdict::ok(Link::Revocation)),
        policy: info.policy,
        nonce: info.nonce,
    })
}

/// TSTInfo (RFC 3161, 2.4.2).
struct Info<'a> {
    policy: String,
    hash: HashAlgorithm,
    digest: &'a [u8],
    at: Timestamp,
    accuracy: SignedDuration,
    nonce: Option<Vec<u8>>,
}

impl<'a> Info<'a> {
    fn read(content: &'a [u8]) -> Result<Self, TimestampError> {
        let mut info = Members::of_sequence(content)?;
        if info.next_small()? != 1 {
            return Err(TimestampError::Malformed);
        }
        let policy = info.next_oid()?.to_string();
        let mut imprint = info.next_sequence()?;
        let algorithm = imprint.next_algorithm()?;
        let hash = HashAlgorithm::of_oid(algorithm.oid).ok_or(TimestampError::Digest)?;
        let digest = imprint.next_as(Tag::OctetString)?;
        imprint.finish()?;
        info.next_as(Tag::Integer)?; // the authority's serial number
        let at = moment(info.next_as(Tag::GeneralizedTime)?).ok_or(TimestampError::Malformed)?;
        let mut accuracy = SignedDuration::ZERO;
        if !info.is_finished() && info.next_tag()? == Tag::Sequence {
            accuracy = read_accuracy(info.next_sequence()?)?;
        }
        if !info.is_finished() && info.next_tag()? == Tag::Boolean {
            info.next()?; // ordering
        }
        let mut nonce = None;
        if !info.is_finished() && info.next_tag()? == Tag::Integer {
            nonce = Some(without_leading_zeros(info.next_as(Tag::Integer)?).to_vec());
        }
        info.next_context(0)?; // the authority's name, which its certificate says better
        let critical = info.next_context(1)?.map(has_critical).transpose()?;
        info.finish()?;
        if critical == Some(true) {
            return Err(TimestampError::Malformed);
        }
        Ok(Self { policy, hash, digest, at, accuracy, nonce })
    }
}

/// Extensions (RFC 5280, 4.1) with one that must be understood: we understand none.
fn has_critical(extensions: &[u8]) -> Result<bool, TimestampError> {
    let mut members = Members::of(extensions)?;
    let mut critical = false;
    while !members.is_finished() {
        let mut extension = members.next_sequence()?;
        extension.next_oid()?;
        critical |= extension.next_tag()? == Tag::Boolean && extension.next()?.value() != [0];
    }
    Ok(critical)
}

/// Accuracy (RFC 3161, 2.4.2): seconds, milliseconds `[0]` and microseconds `[1]`, each optional.
fn read_accuracy(mut members: Members<'_>) -> Result<SignedDuration, TimestampError> {
    let mut accuracy = SignedDuration::ZERO;
    while !members.is_finished() {
        let tag = members.next_tag()?;
        let part = |number| Tag::ContextSpecific { constructed: false, number: TagNumber(number) };
        let value = without_leading_zeros(members.next()?.value());
        // More than 4 bytes of any unit is no accuracy at all.
        if value.len() > 4 {
            return Err(TimestampError::Malformed);
        }
        let value = value.iter().fold(0_i64, |sum, byte| sum * 256 + i64::from(*byte));
        accuracy = accuracy.saturating_add(match tag {
            Tag::Integer => SignedDuration::from_secs(value),
            tag if tag == part(0) => SignedDuration::from_millis(value),
            tag if tag == part(1) => SignedDuration::from_micros(value),
            _ => return Err(TimestampError::Malformed),
        });
    }
    Ok(accuracy)
}

/// GeneralizedTime as RFC 3161, 2.4.2 writes it: `YYYYMMDDhhmmss[.s…]Z`, no zeros at the end of a fraction.
fn moment(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) {
        return None;
    }
    let mut nanoseconds = 0;
    if let Some(fraction) = fraction {
        if !(1..=9).contains(&fraction.len()) || !digits(fraction) || fraction.ends_with('0') {
            return None;
        }
        nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    }
    let part = |from: usize, to: usize| whole[from..to].parse::<i8>().ok();
    let date = Date::new(whole[..4].parse().ok()?, part(4, 6)?, part(6, 8)?).ok()?;
    let clock = Clock::new(part(8, 10)?, part(10, 12)?, part(12, 14)?, nanoseconds).ok()?;
    tz::Offset::UTC.to_timestamp(date.to_datetime(clock)).ok()
}

/// A positive INTEGER of these big-endian bytes.
fn integer(bytes: &[u8]) -> der::Result<Vec<u8>> {
    let bytes = without_leading_zeros(bytes);
    let sign: &[u8] = if bytes.first().is_none_or(|byte| *byte >= 0x80) { &[0] } else { &[] };
    tlv(INTEGER, &[sign, bytes])
}

/// PKIFailureInfo (RFC 3161, 2.4.2).
fn failure(bits: &[u8]) -> &'static str {
    let is_set =
        |bit: usize| bits.get(1 + bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0);
    let reasons = [
        (0, "badAlg"),
        (2, "badRequest"),
        (5, "badDataFormat"),
        (14, "timeNotAvailable"),
        (15, "unacceptedPolicy"),
        (16, "unacceptedExtension"),
        (17, "addInfoNotAvailable"),
        (25, "systemFailure"),
    ];
    reasons.iter().find(|(bit, _)| is_set(*bit)).map_or("no reason given", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accuracy with these parts, each tag and value.
    fn accuracy(parts: &[(u8, &[u8])]) -> Result<SignedDuration, TimestampError> {
        let parts: Vec<Vec<u8>> =
            parts.iter().map(|(tag, value)| tlv(*tag, &[value]).unwrap()).collect();
        read_accuracy(Members::of(&parts.concat()).unwrap())
    }

    #[test]
    fn accuracy_is_the_sum_of_its_parts() {
        let parts: [(u8, &[u8]); 3] = [(0x02, &[1]), (0x80, &[0x01, 0xf4]), (0x81, &[100])];
        assert_eq!(accuracy(&parts).unwrap(), SignedDuration::from_micros(1_500_100));
        let largest = [(0x02, &[0, 0xff, 0xff, 0xff, 0xff][..])];
        assert_eq!(accuracy(&largest).unwrap(), SignedDuration::from_secs(u32::MAX.into()));
    }

    #[test]
    fn an_accuracy_of_more_than_four_bytes_is_malformed_however_many_there_are() {
        for length in 5..40 {
            let value = vec![0xff; length];
            assert!(matches!(accuracy(&[(0x02, &value)]), Err(TimestampError::Malformed)));
        }
    }
}
