//! The change feed: every change of the registry that the caller may follow, in order.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use jiff::Timestamp;
use licence::{
    Change, ChangeKind, IssuerId, LicenceId, LicenceTypeCode, Seq, Sha256Digest, Trust, TrustReason,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::Problem;
use crate::{Hub, policy::Act, tls::Caller};

/// Entries looked at for one answer, however few of them the caller may see.
const LOOKED_AT: usize = 5_000;

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChangesRequest {
    /// The last number seen (`next` of the answer before); left out to start from the beginning.
    #[serde(default)]
    after: Option<u64>,
    /// Changes in an answer, at most 1000; 100 when left out.
    #[serde(default)]
    limit: Option<usize>,
    /// Seconds to wait when there is nothing yet, at most 60.
    #[serde(default)]
    wait: Option<u64>,
}

/// A part of the feed.
#[derive(Serialize, ToSchema)]
struct ChangesAnswer {
    changes: Vec<ChangeWire>,
    /// Ask with `after` set to this; left out while the feed is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// One change.
#[derive(Serialize, ToSchema)]
struct ChangeWire {
    #[schema(value_type = u64)]
    seq: Seq,
    #[schema(value_type = String)]
    at: Timestamp,
    /// `issued`, `status_changed` or `trust_changed`.
    kind: &'static str,
    #[schema(value_type = String)]
    identifier: LicenceId,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    licence_type: LicenceTypeCode,
    #[schema(value_type = String)]
    issuer: IssuerId,
    /// SHA-256 of the signed licence, or of the signed order; left out for a change of trust, which nobody signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    digest: Option<Sha256Digest>,
    /// Status after the change.
    status: &'static str,
    /// Status before; only where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<&'static str>,
    /// With `trust_changed`: `untrusted` or, again, `trusted`. With `issued`: `untrusted` for one that nobody signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<&'static str>,
    /// With `trust`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Changes after a number, oldest first; waits when there are none yet.
#[utoipa::path(
    params(ChangesRequest),
    responses((status = 200, body = ChangesAnswer), (status = 403, body = Problem))
)]
#[get("/v1/changes")]
pub async fn changes(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let asked = web::Query::<ChangesRequest>::from_query(request.query_string()).map_err(|_| {
        Problem::bad_request("query", "`after`, `limit` and `wait` are whole numbers")
    })?;
    let may_follow =
        |code: &LicenceTypeCode| hub.policies.permit(&caller.department, Act::Follow(*code));
    if !hub.catalogue.entries().any(|entry| may_follow(&entry.code)) {
        return Err(Problem::forbidden(
            "not_permitted",
            "no policy allows this department to follow changes of any licence type",
        ));
    }
    let limit = asked.limit.unwrap_or(100).clamp(1, 1_000);
    let mut from = asked.after.map_or(0, |after| after.saturating_add(1));
    let deadline =
        tokio::time::Instant::now() + Duration::from_secs(asked.wait.unwrap_or(0).min(60));
    loop {
        let found = hub.store.changes(Seq(from), LOOKED_AT.min(limit.max(500))).await?;
        let mut visible = Vec::new();
        for change in found {
            from = change.seq.0 + 1;
            if may_follow(change.licence_type()) {
                visible.push(wire(change));
            }
            if visible.len() == limit {
                break;
            }
        }
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if !visible.is_empty() || left.is_zero() {
            return Ok(HttpResponse::Ok()
                .json(ChangesAnswer { changes: visible, next: from.checked_sub(1) }));
        }
        hub.store.wait_beyond(Seq(from), left).await?;
    }
}

fn wire(change: Change) -> ChangeWire {
    let (kind, digest, status, was) = match &change.kind {
        ChangeKind::Issued { digest, .. } | ChangeKind::Unsigned { digest, .. } => {
            ("issued", Some(*digest), "valid", None)
        }
        ChangeKind::StatusChanged { from, to, order, .. } => {
            ("status_changed", Some(*order), to.word(), Some(from.word()))
        }
        ChangeKind::TrustChanged { status, .. } => ("trust_changed", None, status.word(), None),
    };
    let (trust, reason) = match &change.kind {
        ChangeKind::TrustChanged { to, reason, .. } => (Some(to.word()), Some(reason.word())),
        ChangeKind::Unsigned { .. } => {
            (Some(Trust::Untrusted.word()), Some(TrustReason::Unsigned.word()))
        }
        ChangeKind::Issued { .. } | ChangeKind::StatusChanged { .. } => (None, None),
    };
    ChangeWire {
        seq: change.seq,
        at: change.at,
        kind,
        identifier: change.identifier().clone(),
        licence_type: *change.licence_type(),
        issuer: *change.issuer(),
        digest,
        status,
        was,
        trust,
        reason,
    }
}
