//! The JSON that goes over the wire: `docs/formats/http-push.md`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use licence::{LicenceId, LicenceTypeCode, Seq, Sha256Digest, Trust, TrustReason};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The name of the format, in every push.
pub const FORMAT: &str = "yihao-push-1";

/// The body of `POST {url}/records`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Push {
    /// [`FORMAT`].
    pub format: String,
    /// The connector's name.
    pub connector: String,
    /// The batch's id, also in `Idempotency-Key`.
    pub batch: String,
    /// The changes, oldest first.
    pub records: Vec<PushRecord>,
}

/// One change with its licence. `Debug` is not derived: `licence` holds names and numbers.
#[derive(Clone, Serialize, Deserialize)]
pub struct PushRecord {
    /// The number of the change: rises from record to record. A record counts if its number is higher than that of
    /// the last record held of the same licence.
    pub seq: Seq,
    /// When the hub took the change in.
    pub at: Timestamp,
    /// `issued`, `status_changed` or `trust_changed`.
    pub event: String,
    /// The licence.
    pub identifier: LicenceId,
    /// Its type.
    #[serde(rename = "type")]
    pub licence_type: LicenceTypeCode,
    /// The status after this change: `valid`, `suspended`, `revoked`, `superseded`.
    pub status: String,
    /// With `revoked`: `annulled`, `withdrawn` or `deregistered`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// With `superseded`: the licence that took its place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<LicenceId>,
    /// Whether the signer's certificate vouches for it after this change; left out while it does.
    #[serde(skip_serializing_if = "is_trusted", default)]
    pub trust: Trust,
    /// With `trust_changed`: why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<TrustReason>,
    /// SHA-256 of the bytes that the issuer signed.
    pub digest: Sha256Digest,
    /// The licence's metadata and face fields, by GB/T 36903 element names (format `yihao-licence-1`): what
    /// `document` says, ready to be read.
    pub licence: Box<RawValue>,
    /// The bytes that the issuer signed, as text: `digest` is over them.
    pub document: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_trusted(trust: &Trust) -> bool {
    *trust == Trust::Trusted
}

impl PushRecord {
    /// It counts: valid, and not untrusted.
    pub fn is_current(&self) -> bool {
        self.status == "valid" && self.trust == Trust::Trusted
    }
}

impl std::fmt::Debug for PushRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PushRecord({} {} {})", self.seq, self.identifier, self.status)
    }
}

/// The answer to a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// How many records the receiver holds now, those it held before included.
    pub accepted: u64,
    /// The others.
    #[serde(default)]
    pub refused: Vec<RefusedRecord>,
}

/// A record that the receiver does not take, now or later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRecord {
    /// The number of the change.
    pub seq: u64,
    /// Why, as a stable word.
    #[serde(default)]
    pub code: String,
    /// Why, in words.
    #[serde(default)]
    pub remark: String,
}

/// The answer of `GET {url}/counts`: how many valid licences the receiver holds, by type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By type code; types without any may be left out.
    pub counts: BTreeMap<String, u64>,
}
