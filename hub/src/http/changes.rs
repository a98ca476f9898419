//! The change feed: every change of the registry that the caller may follow, in order.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{HttpRequest, HttpResponse, get, web};
use indexes::LicenceStore;
use jiff::Timestamp;
use licence::{
    Change, ChangeKind, IssuerId, LicenceId, LicenceTypeCode, Seq, Sha256Digest, Trust, TrustReason,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{Problem, StartAgain};
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
    responses((status = 200, body = ChangesAnswer), (status = 403, body = Problem), (status = 410, body = Problem))
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
    let types = followed(&hub, &caller)?;
    let wanted = Wanted {
        types,
        from: Seq(asked.after.map_or(0, |after| after.saturating_add(1))),
        limit: asked.limit.unwrap_or(100).clamp(1, 1_000),
        wait: Duration::from_secs(asked.wait.unwrap_or(0).min(60)),
    };
    let (found, next) = part(&*hub.store, wanted).await?;
    let changes = found.into_iter().map(wire).collect();
    Ok(HttpResponse::Ok().json(ChangesAnswer { changes, next: next.0.checked_sub(1) }))
}

/// The licence types whose changes the caller may follow.
///
/// # Errors
/// `not_permitted`: there is none.
pub(super) fn followed(hub: &Hub, caller: &Caller) -> Result<BTreeSet<LicenceTypeCode>, Problem> {
    let codes = hub.catalogue.entries().map(|entry| entry.code);
    let types: BTreeSet<_> =
        codes.filter(|code| hub.policies.permit(&caller.department, Act::Follow(*code))).collect();
    if types.is_empty() {
        return Err(Problem::forbidden(
            "not_permitted",
            "no policy allows this department to follow changes of any licence type",
        ));
    }
    Ok(types)
}

/// The feed's start was cut: what the caller wants to go on with is no more.
pub(super) fn compacted() -> Problem {
    let mut problem = Problem::gone(
        "changes_compacted",
        "changes after this number are not kept any more; start again with a snapshot, then follow the changes from its `seq`",
    )
    .at("request");
    problem.start_again = Some(StartAgain::Snapshot);
    problem
}

/// What a caller wants of the feed.
struct Wanted {
    types: BTreeSet<LicenceTypeCode>,
    from: Seq,
    limit: usize,
    wait: Duration,
}

/// The next changes of these types, and the number to go on with. Waits if there is none.
async fn part(store: &dyn LicenceStore, wanted: Wanted) -> Result<(Vec<Change>, Seq), Problem> {
    let Wanted { types, mut from, limit, wait } = wanted;
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let found = store.changes(from, LOOKED_AT.min(limit.max(500))).await?;
        // Asked after reading: a cut made meanwhile must not pass for a gap of other types.
        if from < store.first_change().await? {
            return Err(compacted());
        }
        let mut visible = Vec::new();
        for change in found {
            from = change.seq.next();
            if types.contains(change.licence_type()) {
                visible.push(change);
            }
            if visible.len() == limit {
                break;
            }
        }
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if !visible.is_empty() || left.is_zero() {
            return Ok((visible, from));
        }
        store.wait_beyond(from, left).await?;
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

#[cfg(test)]
mod tests {
    use indexes::{
        MemoryStore, NewEntry,
        rules::sample::{licence, licence_type},
    };

    use super::*;

    async fn asked(store: &MemoryStore, from: u64) -> Result<Vec<u64>, String> {
        let types = BTreeSet::from([licence_type(0)]);
        let wanted = Wanted { types, from: Seq(from), limit: 3, wait: Duration::ZERO };
        let found = part(store, wanted).await.map_err(|problem| {
            assert_eq!((problem.status, problem.start_again), (410, Some(StartAgain::Snapshot)));
            problem.code
        });
        Ok(found?.0.iter().map(|change| change.seq.0).collect())
    }

    #[tokio::test]
    async fn changes_that_are_not_kept_any_more_are_said_to_be_gone_and_never_passed_over() {
        let store = MemoryStore::new();
        let entries = (0..10).map(licence).map(NewEntry::Licence).collect();
        store.append(entries).await.unwrap();
        assert_eq!(asked(&store, 0).await.unwrap(), [0, 1, 2]);

        store.cut_changes(Seq(5));
        for from in [0, 1, 4] {
            assert_eq!(asked(&store, from).await.unwrap_err(), "changes_compacted", "{from}");
        }
        assert_eq!(asked(&store, 5).await.unwrap(), [5, 6, 7]);

        store.cut_changes(Seq(10));
        assert_eq!(asked(&store, 9).await.unwrap_err(), "changes_compacted");
        assert_eq!(asked(&store, 10).await.unwrap(), [0; 0], "who has seen all goes on");
    }
}
