//! Judging a stored licence at the moment it is read.
//!
//! The signature was verified when the licence came in; its bytes are kept with their digest, and
//! the chain with what is needed to judge it again. What can change later is judged here, at every
//! read and without cryptography but one hash: are the bytes those that were verified, is the
//! anchor still trusted, was a certificate revoked, what is the licence's status, is it valid today.

use certs::{ChainRecord, ChainVerdict, Revocation, TrustStore};
use indexes::{ChainRecordBytes, StoredLicence};
use jiff::{Timestamp, civil::Date};
use licence::{LicenceStatus, Seq, Sha256Digest, Validity};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::day_in_china;

/// The verdict over all links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every link holds.
    Trusted,
    /// A link is broken.
    Untrusted,
    /// No link is broken, but one cannot be judged now.
    Undetermined,
}

impl Outcome {
    /// The word used on the wire and in the access log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
            Self::Undetermined => "undetermined",
        }
    }
}

/// What is known of the revocation of the signer's certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RevocationLink {
    /// `good`, `revoked`, `unknown` (to the OCSP responder), `stale` (the list or answer is past its next
    /// update) or `no_crl`.
    pub result: &'static str,
    /// When the list that says so was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub as_of: Option<Timestamp>,
}

/// Where the licence stands in the registry log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LogLink {
    /// Number of the entry that took it in.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// SHA-256 of the signed bytes.
    #[schema(value_type = String)]
    pub digest: Sha256Digest,
}

/// The verdict on one licence, link by link. Each word is `ok` or the reason why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Verification {
    /// Over all links.
    pub result: Outcome,
    /// When it was judged.
    #[schema(value_type = String)]
    pub checked_at: Timestamp,
    /// `ok`, or `damaged`: the bytes are not those that were verified at intake.
    pub signature: &'static str,
    /// `ok`, `anchor_withdrawn`, `anchor_not_yet_valid`, `anchor_ended`, or `damaged`.
    pub chain: &'static str,
    /// Revocation of the signer's certificates.
    pub revocation: RevocationLink,
    /// `ok`, or the status: `suspended`, `revoked`, `superseded`.
    pub status: &'static str,
    /// `ok`, `not_yet`, `expired`.
    pub validity: &'static str,
    /// Its place in the registry log.
    pub log: LogLink,
}

impl Verification {
    /// The first link that does not hold, in the order in which they build on each other.
    #[must_use]
    pub fn failing_link(&self) -> &'static str {
        let links = [
            ("signature", self.signature == "ok"),
            ("chain", self.chain == "ok"),
            ("revocation", self.revocation.result == "good"),
            ("status", self.status == "ok"),
            ("validity", self.validity == "ok"),
        ];
        links.iter().find(|(_, holds)| !holds).map_or("signature", |(link, _)| link)
    }
}

/// The parts of the signed bytes that an answer shows, borrowed from them.
#[derive(Deserialize)]
pub struct Face<'a> {
    /// 证照名称.
    #[serde(rename = "ZZMC")]
    pub name: String,
    /// 证照编号.
    #[serde(rename = "ZZBH")]
    pub number: String,
    /// 有效期起始.
    #[serde(rename = "ZZYXQQSRQ", default)]
    pub valid_from: Option<Date>,
    /// 有效期截止; absent or 2099-12-31 is open-ended.
    #[serde(rename = "ZZYXQJZRQ", default)]
    pub valid_to: Option<Date>,
    /// The face fields as signed.
    #[serde(borrow)]
    pub fields: &'a RawValue,
    /// Files that belong to the licence.
    #[serde(default)]
    pub files: Vec<FaceFile>,
}

/// A file that belongs to a licence, as listed in the signed bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FaceFile {
    /// Its name, without folders.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Face<'_> {
    /// Whether the licence is valid on a day.
    #[must_use]
    pub fn valid_on(&self, day: Date) -> Validity {
        let to = self.valid_to.filter(|to| *to != OPEN_ENDED);
        if self.valid_from.is_some_and(|from| day < from) {
            Validity::NotYet
        } else if to.is_some_and(|to| day > to) {
            Validity::Expired
        } else {
            Validity::Ok
        }
    }
}

/// Reads the face from signed bytes that were checked at intake.
#[must_use]
pub fn face(document: &[u8]) -> Option<Face<'_>> {
    serde_json::from_slice(document).ok()
}

/// Judges a stored licence at `now`.
#[must_use]
pub fn judge(
    stored: &StoredLicence,
    face: Option<&Face<'_>>,
    trust: &TrustStore,
    now: Timestamp,
) -> Verification {
    let intact = face.is_some() && certs::sha256(&stored.document) == stored.digest;
    let (chain, revocation) = judge_chain(&stored.chain, trust, now);
    let status = status_word(&stored.status);
    let validity = face.map_or("damaged", |face| validity_word(face.valid_on(day_in_china(now))));
    let broken = !intact
        || chain != "ok"
        || revocation.result == "revoked"
        || status != "ok"
        || validity != "ok";
    let result = match (broken, revocation.result) {
        (true, _) => Outcome::Untrusted,
        (false, "good") => Outcome::Trusted,
        (false, _) => Outcome::Undetermined,
    };
    Verification {
        result,
        checked_at: now,
        signature: if intact { "ok" } else { "damaged" },
        chain,
        revocation,
        status,
        validity,
        log: LogLink { seq: stored.seq, digest: stored.digest },
    }
}

/// How counterparts write an open-ended validity (standards.md section 1).
const OPEN_ENDED: Date = jiff::civil::date(2099, 12, 31);

/// The form in which a chain record is stored.
#[must_use]
pub fn chain_bytes(record: &ChainRecord) -> ChainRecordBytes {
    ChainRecordBytes(postcard::to_stdvec(record).unwrap_or_default())
}

fn judge_chain(
    record: &ChainRecordBytes,
    trust: &TrustStore,
    now: Timestamp,
) -> (&'static str, RevocationLink) {
    let Ok(record) = postcard::from_bytes::<ChainRecord>(&record.0) else {
        return ("damaged", RevocationLink { result: "no_crl", as_of: None });
    };
    let judged = trust.judge(&record, now);
    let chain = match judged.chain {
        ChainVerdict::Ok => "ok",
        ChainVerdict::AnchorWithdrawn => "anchor_withdrawn",
        ChainVerdict::AnchorNotYet => "anchor_not_yet_valid",
        ChainVerdict::AnchorEnded => "anchor_ended",
    };
    (chain, revocation_link(&judged.revocation))
}

/// The wire form of a revocation verdict.
#[must_use]
pub fn revocation_link(revocation: &Revocation) -> RevocationLink {
    let (result, as_of) = match revocation {
        Revocation::Good { as_of } => ("good", Some(*as_of)),
        Revocation::Revoked { at, .. } => ("revoked", Some(*at)),
        Revocation::Unknown { as_of } => ("unknown", Some(*as_of)),
        Revocation::Stale { as_of } => ("stale", Some(*as_of)),
        Revocation::NoCrl => ("no_crl", None),
    };
    RevocationLink { result, as_of }
}

/// `ok` for a valid licence, else the status word.
#[must_use]
pub fn status_word(status: &LicenceStatus) -> &'static str {
    match status {
        LicenceStatus::Valid => "ok",
        other => other.word(),
    }
}

/// The wire word for a validity.
#[must_use]
pub fn validity_word(validity: Validity) -> &'static str {
    match validity {
        Validity::Ok => "ok",
        Validity::NotYet => "not_yet",
        Validity::Expired => "expired",
    }
}
