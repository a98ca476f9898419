//! The JSON that goes over the wire: `docs/formats/cloudevents.md`. The events are CloudEvents 1.0.2, JSON event format
//! and JSON batch format; `sequence` is the documented extension attribute of that name.

use std::fmt;

use indexes::StoredOrder;
use jiff::{Timestamp, civil::Date};
use licence::{
    ChangeKind, LicenceId, LicenceStatus, LicenceTypeCode, Sha256Digest, StatusOrder, Trust,
    TrustReason,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{Mark, Shared, bounded_list};

/// The `specversion` of every event.
pub const SPEC_VERSION: &str = "1.0";
/// The media type of a request: a JSON array of events.
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";
/// The name of the answer's format, in every answer of a hub.
pub const ANSWER_FORMAT: &str = "yihao-exchange-1";
/// The `type` of an event: a licence was issued.
pub const ISSUED: &str = "cn.yihao.licence.issued.v1";
/// The `type` of an event: a licence's status was changed by its issuer.
pub const STATUS_CHANGED: &str = "cn.yihao.licence.status_changed.v1";
/// The `type` of an event: the sender came to trust a licence's signer no longer, or again.
pub const TRUST_CHANGED: &str = "cn.yihao.licence.trust_changed.v1";
/// The `type` of an event: a signed batch manifest that proofs of licences name.
pub const MANIFEST: &str = "cn.yihao.licence.manifest.v1";
/// Most orders before the one that an event is about.
pub const MAX_ORDERS: usize = 8;
/// Most events of a request that any hub takes: an answer refuses no more.
const REFUSED: usize = 10_000;
/// Most bytes of `source`.
pub const MAX_SOURCE: usize = 120;

/// One CloudEvent. Context attributes that are not here are ignored, as the specification asks of a consumer.
///
/// `Debug` shows kind and id only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Event {
    /// [`SPEC_VERSION`].
    pub specversion: String,
    /// [`ISSUED`], [`STATUS_CHANGED`], [`TRUST_CHANGED`] or [`MANIFEST`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The hub that sends.
    pub source: String,
    /// Names the event within its source: [`Shared::key`] of the connector.
    pub id: String,
    /// The licence's identifier, or the manifest's digest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<String>,
    /// When the sender took the change in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<Timestamp>,
    /// `application/json`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub datacontenttype: Option<String>,
    /// The number of the change in the sender's log, in 20 digits: of two events of one source and licence the one with
    /// the greater counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sequence: Option<String>,
    /// [`LicenceData`] or [`ManifestData`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<Box<RawValue>>,
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Event({} {})", self.kind, self.id)
    }
}

/// What an event says of a licence. Whoever receives it need believe nothing but what is signed: `document` by `proof`,
/// and `order`.
///
/// `Debug` shows the digest only.
#[derive(Clone, Serialize, Deserialize)]
pub struct LicenceData {
    /// SHA-256 of the document.
    pub digest: Sha256Digest,
    /// The bytes that the issuer signed, base64.
    pub document: String,
    /// What proves them.
    pub proof: ProofData,
    /// The status after this change, as the sender has it: `valid`, `suspended`, `revoked`, `superseded`.
    pub status: String,
    /// With `revoked`: `annulled`, `withdrawn` or `deregistered`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// With `superseded`: the licence that took its place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<LicenceId>,
    /// Whether the sender trusts the signer after this change.
    pub trust: Trust,
    /// With a change of trust: why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<TrustReason>,
    /// With a change of status: the issuer's signed order.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub order: Option<OrderData>,
    /// The signed orders before it that the status rests on, oldest first, at most [`MAX_ORDERS`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub orders: Vec<OrderData>,
}

impl fmt::Debug for LicenceData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LicenceData({})", self.digest)
    }
}

/// What proves that the issuer signed the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofData {
    /// A detached CMS signature (RFC 5652) over the document, DER, base64.
    Signature(String),
    /// The document's digest stands in a signed batch manifest.
    Manifest {
        /// SHA-256 of the manifest; the receiver has it, or asks for it.
        digest: Sha256Digest,
        /// Zero-based position in it.
        position: u32,
    },
}

/// A signed order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderData {
    /// The order (`yihao-status-1`), base64.
    pub document: String,
    /// A detached CMS signature over it, DER, base64.
    pub signature: String,
}

/// A signed batch manifest (`yihao-manifest-1`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestData {
    /// The manifest, base64.
    pub manifest: String,
    /// A detached CMS signature over it, DER, base64.
    pub signature: String,
}

/// A hub's answer to a batch of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`ANSWER_FORMAT`].
    pub format: String,
    /// How many events are taken, those that came before or changed nothing included.
    pub accepted: u64,
    /// The others; no more are read than a request can have.
    #[serde(default, deserialize_with = "bounded_refused")]
    pub refused: Vec<RefusedEvent>,
}

fn bounded_refused<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RefusedEvent>, D::Error> {
    bounded_list::read(from, REFUSED)
}

/// An event that the receiver does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedEvent {
    /// Its id.
    pub id: String,
    /// Why, as a stable word; [`MANIFEST_MISSING`] asks for a manifest and for the event once more.
    pub code: String,
    /// Why, in words.
    #[serde(default)]
    pub remark: String,
    /// With [`MANIFEST_MISSING`]: which.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub manifest: Option<Sha256Digest>,
}

/// The code that asks for a manifest.
pub const MANIFEST_MISSING: &str = "manifest_missing";

/// The answer of `GET …/tallies?source=S`: the current licences that came from S, counted by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tallies {
    /// Buckets without any are left out.
    pub tallies: Vec<TallyLine>,
}

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyLine {
    /// The licence type.
    #[serde(rename = "type")]
    pub licence_type: LicenceTypeCode,
    /// The day of issue.
    pub day: Date,
    /// How many.
    pub count: u64,
    /// The sum of their marks modulo 2^60.
    pub digest: u64,
}

/// The answer of `GET …/holdings?source=S&type=T&day=D&after=I&limit=N`: the current licences of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// By identifier.
    pub holdings: Vec<HoldingLine>,
}

/// One licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingLine {
    /// Its identifier.
    pub identifier: LicenceId,
    /// Its mark.
    pub mark: u64,
}

/// The mark of a licence that is held: its line is the identifier and the digest of the signed document.
pub fn mark_of(identifier: &LicenceId, digest: &Sha256Digest) -> Mark {
    Mark::of_line(&format!("{identifier}|{digest}"))
}

/// The number in an id or a `sequence`: 20 digits at its end.
pub fn number_of(text: &str) -> Option<u64> {
    let digits = text.get(text.len().checked_sub(20)?..)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether this can be a `source`: 1 to 120 visible ASCII characters (a URI reference, RFC 3986).
pub fn is_source(text: &str) -> bool {
    (1..=MAX_SOURCE).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte))
}

/// What of an item's status can be proven to a receiver that follows signed orders alone.
pub(crate) struct Proven<'a> {
    /// The status that such a receiver comes to.
    pub(crate) status: LicenceStatus,
    /// The signed orders before this change that lead there.
    pub(crate) earlier: Vec<&'a StoredOrder>,
    /// The signed order that this change is.
    pub(crate) order: Option<&'a StoredOrder>,
}

impl<'a> Proven<'a> {
    /// Of this item.
    pub(crate) fn of(item: &'a Shared) -> Self {
        let all_signed = item.earlier.iter().chain(item.order.as_deref()).all(is_signed);
        let (mut status, mut earlier, mut order) = (LicenceStatus::Valid, Vec::new(), None);
        if all_signed {
            // The log says where they led.
            return Self {
                status: item.status(),
                earlier: item.earlier.iter().collect(),
                order: item.order.as_deref(),
            };
        }
        // An order that leads nowhere without one that nobody signed is left out: a restoration where nothing was suspended.
        let mut leads = |order: &StoredOrder| {
            let next = StatusOrder::parse(&order.document).ok();
            let next = next.and_then(|parsed| status.apply(&parsed.change).ok());
            next.filter(|_| is_signed(order)).map(|next| status = next).is_some()
        };
        for one in &item.earlier {
            if leads(one) {
                earlier.push(one);
            }
        }
        if let Some(one) = item.order.as_deref()
            && leads(one)
        {
            order = Some(one);
        }
        Self { status, earlier, order }
    }

    /// The `type` of the event that the item becomes.
    pub(crate) fn kind(&self, item: &Shared) -> &'static str {
        match item.change.kind {
            // Its order is left out.
            ChangeKind::StatusChanged { .. } if item.order.is_some() && self.order.is_none() => {
                ISSUED
            }
            ChangeKind::StatusChanged { .. } => STATUS_CHANGED,
            ChangeKind::Issued { .. }
            | ChangeKind::Unsigned { .. }
            // It was never told of before.
            | ChangeKind::TrustChanged { reason: TrustReason::Signed, .. } => ISSUED,
            ChangeKind::TrustChanged { .. } => TRUST_CHANGED,
        }
    }
}

fn is_signed(order: &StoredOrder) -> bool {
    !order.signature.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_stands_at_the_end() {
        assert_eq!(number_of("city-00000000000000000007"), Some(7));
        assert_eq!(number_of("18446744073709551615"), Some(u64::MAX));
        for other in [
            "",
            "7",
            "city-7",
            "99999999999999999999",
            "证照证照证照证照证照",
            "a0000000000000000000x",
        ] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_answer_that_refuses_more_than_any_request_has_is_not_read() {
        let answer = |count: usize| {
            let refused = vec![r#"{"id":"","code":""}"#; count].join(",");
            serde_json::from_str::<Answer>(&format!(
                r#"{{"format":"","accepted":0,"refused":[{refused}]}}"#
            ))
        };
        assert_eq!(answer(REFUSED).unwrap().refused.len(), REFUSED);
        let error = answer(REFUSED + 1).unwrap_err().to_string();
        assert!(error.contains("more than 10000"), "{error}");
    }

    #[test]
    fn a_source_is_a_short_visible_reference() {
        for right in ["https://hub.example", "urn:yihao:hub:1", "/hub"] {
            assert!(is_source(right), "{right}");
        }
        for wrong in ["", "a b", "<x>", "证照", "a\n", &"x".repeat(MAX_SOURCE + 1)] {
            assert!(!is_source(wrong), "{wrong}");
        }
    }
}
