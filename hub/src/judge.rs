//! Judging a stored licence at the moment it is read.
//!
//! The signature was verified when the licence came in; its bytes are kept with their digest, and
//! the chain with what is needed to judge it again. What can change later is judged here, at every
//! read and without cryptography but one hash: are the bytes those that were verified, is the
//! anchor still trusted, was a certificate revoked, what is the licence's status, is it valid today.
//!
//! What is proven to be older than a revocation stands (decision 0024). The proof is looked up only where something
//! is revoked, or an anchor's time is over: else a licence costs hash look-ups.

use std::sync::Arc;

use certs::{ChainRecord, ChainVerdict, Judgement, Revocation, Times, TrustStore};
use indexes::{ChainRecordBytes, Proof, StoreError, StoredLicence};
use jiff::{Timestamp, civil::Date};
use licence::{LicenceStatus, Seq, Sha256Digest, TrustReason, Validity};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Hub, clock::day_in_china, config::RevokedSigners};

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

impl From<certs::Outcome> for Outcome {
    fn from(outcome: certs::Outcome) -> Self {
        match outcome {
            certs::Outcome::Trusted => Self::Trusted,
            certs::Outcome::Untrusted => Self::Untrusted,
            certs::Outcome::Undetermined => Self::Undetermined,
        }
    }
}

/// What is known of the revocation of the signer's certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RevocationLink {
    /// `good`, `revoked`, `outlived` (revoked, but the signature is proven to be older), `unknown` (to the OCSP
    /// responder), `stale` (the list or answer is past its next update), `no_crl`, or `none` of what
    /// nobody signed.
    pub result: &'static str,
    /// When the list that says so was made; of a revocation, its date.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub as_of: Option<Timestamp>,
}

/// What a verdict rests on where a certificate was revoked, or its anchor's time ended: the signature is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Proven {
    /// A time at which the signature was there.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// What proves it: `time_stamp` or `registry_log`.
    pub by: &'static str,
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
    /// `ok`; `unsigned`: nobody signed it; or `damaged`: the bytes are not those that were verified at intake.
    pub signature: &'static str,
    /// `ok`, `anchor_withdrawn`, `anchor_not_yet_valid`, `anchor_ended`, `damaged`, or `none` of one that nobody
    /// signed.
    pub chain: &'static str,
    /// Revocation of the signer's certificates.
    pub revocation: RevocationLink,
    /// The time that the links `chain` and `revocation` rest on; left out while they hold without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<Proven>,
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
            ("revocation", matches!(self.revocation.result, "good" | "outlived")),
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

/// The anchors, lists and moment that several licences are judged by.
pub struct Judge<'a> {
    hub: &'a Hub,
    trust: Arc<TrustStore>,
    now: Timestamp,
}

/// What became of the path to the signer's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds, and no certificate of it counts as revoked.
    Stands,
    /// It holds, but a revocation list is missing or late.
    Open,
    /// It does not hold, or a certificate of it is revoked.
    Fell(TrustReason),
}

impl<'a> Judge<'a> {
    /// By what the hub knows now.
    #[must_use]
    pub fn new(hub: &'a Hub) -> Self {
        Self::by(hub, hub.trust())
    }

    /// By these anchors and lists.
    #[must_use]
    pub fn by(hub: &'a Hub, trust: Arc<TrustStore>) -> Self {
        Self { hub, trust, now: hub.clock.now() }
    }

    /// Judges a stored licence, with its face as [`face`] reads it.
    ///
    /// # Errors
    /// The store's, of looking a time-stamp up: without it the verdict would be another.
    pub async fn licence(
        &self,
        stored: &StoredLicence,
        face: Option<&Face<'_>>,
    ) -> Result<Verification, StoreError> {
        let now = self.now;
        let intact = face.is_some() && certs::sha256(&stored.document) == stored.digest;
        let path = self.path(stored).await?;
        let unsigned = stored.proof == Proof::Unsigned;
        let (no_chain, no_signer) = if unsigned { ("none", "none") } else { ("damaged", "no_crl") };
        let chain = path.as_ref().map_or(no_chain, |path| chain_word(path.judged.chain));
        let revocation = path.as_ref().map_or(
            RevocationLink { result: no_signer, as_of: None },
            |path| match (path.outlived, revocation_link(&path.judged.revocation)) {
                (Some(at), _) => RevocationLink { result: "outlived", as_of: Some(at) },
                (None, link) => link,
            },
        );
        let proven = path.and_then(|path| path.proven);
        let status = status_word(&stored.status);
        let validity =
            face.map_or("damaged", |face| validity_word(face.valid_on(day_in_china(now))));
        let broken = !intact
            || unsigned
            || chain != "ok"
            || revocation.result == "revoked"
            || status != "ok"
            || validity != "ok";
        let result = match (broken, revocation.result) {
            (true, _) => Outcome::Untrusted,
            (false, "good" | "outlived") => Outcome::Trusted,
            (false, _) => Outcome::Undetermined,
        };
        Ok(Verification {
            result,
            checked_at: now,
            signature: match (intact, unsigned) {
                (false, _) => "damaged",
                (true, true) => "unsigned",
                (true, false) => "ok",
            },
            chain,
            revocation,
            proven,
            status,
            validity,
            log: LogLink { seq: stored.seq, digest: stored.digest },
        })
    }

    /// Judges the path alone, as far as the registry log speaks of it: [`licence::ChangeKind::TrustChanged`].
    ///
    /// # Errors
    /// As [`Judge::licence`].
    pub async fn standing(&self, stored: &StoredLicence) -> Result<Standing, StoreError> {
        if stored.proof == Proof::Unsigned {
            return Ok(Standing::Fell(TrustReason::Unsigned));
        }
        let Some(Path { judged, .. }) = self.path(stored).await? else {
            return Ok(Standing::Fell(TrustReason::ChainDamaged));
        };
        Ok(match (judged.chain, judged.revocation) {
            (ChainVerdict::AnchorWithdrawn, _) => Standing::Fell(TrustReason::AnchorWithdrawn),
            (ChainVerdict::AnchorEnded, _) => Standing::Fell(TrustReason::AnchorEnded),
            (ChainVerdict::AnchorNotYet, _) => Standing::Fell(TrustReason::AnchorNotYetValid),
            (_, Revocation::Revoked { .. }) => Standing::Fell(TrustReason::CertificateRevoked),
            (_, Revocation::Good { .. }) => Standing::Stands,
            (_, Revocation::Unknown { .. } | Revocation::Stale { .. } | Revocation::NoCrl) => {
                Standing::Open
            }
        })
    }

    /// `None`: what was kept of the path cannot be read.
    async fn path(&self, stored: &StoredLicence) -> Result<Option<Path>, StoreError> {
        if stored.proof == Proof::Unsigned {
            return Ok(None);
        }
        let Ok(record) = postcard::from_bytes::<ChainRecord>(&stored.chain.0) else {
            return Ok(None);
        };
        let now = self.trust.judge(&record, self.now);
        if holds(&now) {
            return Ok(Some(Path { judged: now, proven: None, outlived: None }));
        }
        let outlived = match now.revocation {
            Revocation::Revoked { at, .. } => Some(at),
            _ => None,
        };
        let by_proof = |proven: Option<Proven>| {
            let times = Times { now: self.now, proven: Some(proven?.at) };
            let judged = self.trust.judge_at(&record, &times);
            // Another certificate of the path may have no list, or a late one.
            let outlived =
                outlived.filter(|_| matches!(judged.revocation, Revocation::Good { .. }));
            holds(&judged).then_some(Path { judged, proven, outlived })
        };
        // What a court likes best first.
        let rule = self.hub.settings().trust.revoked_signers;
        if rule != RevokedSigners::Never
            && let Some(path) = by_proof(self.stamped(stored).await?)
        {
            return Ok(Some(path));
        }
        if rule == RevokedSigners::TimeStampOrLog
            && let Some(path) =
                by_proof(Some(Proven { at: stored.received_at, by: "registry_log" }))
        {
            return Ok(Some(path));
        }
        Ok(Some(Path { judged: now, proven: None, outlived: None }))
    }

    /// The time that a trusted time-stamp proves.
    async fn stamped(&self, stored: &StoredLicence) -> Result<Option<Proven>, StoreError> {
        let at = crate::stamps::proven(self.hub, stored).await?;
        Ok(at.map(|at| Proven { at, by: "time_stamp" }))
    }
}

/// A path as it is judged now.
struct Path {
    judged: Judgement,
    /// What the judgement rests on, if it does not hold without.
    proven: Option<Proven>,
    /// When a certificate of it was revoked, which the signature outlived.
    outlived: Option<Timestamp>,
}

/// The anchor stands, and nothing is known to be revoked.
pub(crate) fn holds(judged: &Judgement) -> bool {
    judged.chain == ChainVerdict::Ok && !matches!(judged.revocation, Revocation::Revoked { .. })
}

fn chain_word(chain: ChainVerdict) -> &'static str {
    match chain {
        ChainVerdict::Ok => "ok",
        ChainVerdict::AnchorWithdrawn => "anchor_withdrawn",
        ChainVerdict::AnchorNotYet => "anchor_not_yet_valid",
        ChainVerdict::AnchorEnded => "anchor_ended",
    }
}

/// How counterparts write an open-ended validity (standards.md section 1).
const OPEN_ENDED: Date = jiff::civil::date(2099, 12, 31);

/// The form in which a chain record is stored.
#[must_use]
pub fn chain_bytes(record: &ChainRecord) -> ChainRecordBytes {
    ChainRecordBytes(postcard::to_stdvec(record).unwrap_or_default())
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
