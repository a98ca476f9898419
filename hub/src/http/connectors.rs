//! Operating the connectors: what [`crate::connector_ops`] does, over HTTP.

use actix_web::{HttpRequest, HttpResponse, get, http::StatusCode, post, put, web};
use jiff::{Timestamp, civil::Date};
use licence::{Seq, Sha256Digest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{self, SMALL},
    error::Problem,
    idempotency::{Done, once},
    pulls::parse_holder,
};
use crate::{
    Hub,
    connector_ops::{self as ops, By, OpsError, ReplayFrom, Retry},
    inbound::{Inbound, InboundState},
    policy::Act,
    reuse::courier::{Courier, CourierState},
    tls::Caller,
};

/// Most entries of a page.
const PAGE: usize = 1_000;
/// Most bytes of a code map, with what JSON adds to it.
const CODE_MAP: usize = 2 << 20;

#[derive(Serialize, ToSchema)]
struct ConnectorsAnswer {
    /// State of each: cursor, head, lag in records and seconds, last success, last error.
    #[schema(value_type = Vec<Object>)]
    connectors: Vec<connectors::ConnectorState>,
    /// State of each counterpart that cases are handed to: what waits, what was set aside, last success, last error.
    #[schema(value_type = Vec<Object>)]
    cases: Vec<CourierState>,
}

#[derive(Serialize, ToSchema)]
struct Paused {
    paused: bool,
}

/// Why something is done.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WhyRequest {
    /// 1 to 200 characters, for the trace.
    why: String,
}

/// Where to start again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// Number of the first change to send again.
    #[serde(default)]
    from: Option<u64>,
    /// In its place: the day of the first change to send again, in Chinese time.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    day: Option<Date>,
    /// In its place: the holder of whose licences all changes are sent again.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    holder: Option<HolderRequest>,
    /// 1 to 200 characters, for the trace.
    why: String,
}

/// A holder.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HolderRequest {
    /// Kind of number 持证主体代码类型.
    kind: String,
    /// The number.
    number: String,
}

/// What is sent once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetryRequest {
    /// Numbers of changes that are set aside, at most 1,000; left out: all.
    #[serde(default)]
    seqs: Option<Vec<u64>>,
    /// 1 to 200 characters, for the trace.
    why: String,
}

#[derive(Serialize, ToSchema)]
struct Retrying {
    /// How many changes are sent once more.
    retrying: u64,
}

/// Which change is looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewRequest {
    /// Number of the change.
    seq: u64,
    /// 1 to 200 characters, for the trace and the access log.
    why: String,
}

#[derive(Serialize, ToSchema)]
struct PreviewAnswer {
    /// What would be sent, in pieces.
    parts: Vec<PreviewPart>,
    /// What would be set aside instead.
    refused: Vec<RefusedRecord>,
}

#[derive(Serialize, ToSchema)]
struct PreviewPart {
    /// What it is and where it would go.
    title: String,
    /// What would be sent.
    text: String,
}

#[derive(Serialize, ToSchema)]
struct RefusedRecord {
    seq: u64,
    code: String,
    remark: String,
}

/// Another code map.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CodeMapRequest {
    /// The text of the file, `yihao-code-map-1`.
    text: String,
    /// SHA-256 of the one that was read: refused if another is there by now.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    replaces: Option<Sha256Digest>,
    /// 1 to 200 characters, for the trace.
    why: String,
}

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SetAsidePage {
    /// `open`, the default, or `settled`.
    #[serde(default)]
    state: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// At most 1,000, which is the default.
    #[serde(default)]
    limit: Option<usize>,
}

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// At most 1,000; 100 is the default.
    #[serde(default)]
    limit: Option<usize>,
}

fn operator(hub: &Hub, caller: &Caller) -> Result<(), Problem> {
    if hub.policies.permit(&caller.department, Act::Operate) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "not_permitted",
        "no policy allows this department to operate the connectors",
    ))
}

fn by(caller: &Caller, why: &str) -> Result<By, Problem> {
    Ok(By::new(caller.department, None, why)?)
}

fn limit_of(asked: Option<usize>, default: usize) -> Result<usize, Problem> {
    match asked.unwrap_or(default) {
        limit @ 1..=PAGE => Ok(limit),
        _ => Err(Problem::bad_request("query", "`limit` must be 1 to 1000")),
    }
}

fn malformed_after() -> Problem {
    Problem::bad_request("query", "`after` must be `next` of the page before")
}

/// The state of every connector.
#[utoipa::path(responses((status = 200, body = ConnectorsAnswer), (status = 403, body = Problem)))]
#[get("/v1/connectors")]
pub async fn list(hub: web::Data<Hub>, caller: Caller) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let connectors = hub.connectors.values().map(connectors::RunnerHandle::state).collect();
    let cases = hub.couriers().values().map(Courier::state).collect();
    Ok(HttpResponse::Ok().json(ConnectorsAnswer { connectors, cases }))
}

/// Stops pushing until resumed; also across restarts.
#[utoipa::path(params(("name" = String, Path)), request_body = WhyRequest,
               responses((status = 200, body = Paused), (status = 422, body = Problem)))]
#[post("/v1/connectors/{name}/pause")]
pub async fn pause(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, body): (WhyRequest, _) = body::json(&request, payload, SMALL).await?;
    let by = by(&caller, &asked.why)?;
    once(&hub, &caller, &request, &body, async {
        ops::pause(&hub, &name, &by).await?;
        Done::json(StatusCode::OK, &Paused { paused: true })
    })
    .await
}

/// Goes on pushing.
#[utoipa::path(params(("name" = String, Path)), request_body = WhyRequest,
               responses((status = 200, body = Paused), (status = 422, body = Problem)))]
#[post("/v1/connectors/{name}/resume")]
pub async fn resume(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, body): (WhyRequest, _) = body::json(&request, payload, SMALL).await?;
    let by = by(&caller, &asked.why)?;
    once(&hub, &caller, &request, &body, async {
        ops::resume(&hub, &name, &by).await?;
        Done::json(StatusCode::OK, &Paused { paused: false })
    })
    .await
}

/// Sends again from a change or a day on; the counterpart drops what it has. A counterpart for cases gets again what it
/// did not take.
#[utoipa::path(params(("name" = String, Path)), request_body = ReplayRequest,
               responses((status = 200, body = Object), (status = 422, body = Problem)))]
#[post("/v1/connectors/{name}/replay")]
pub async fn replay(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, body): (ReplayRequest, _) = body::json(&request, payload, SMALL).await?;
    let by = by(&caller, &asked.why)?;
    let from = match (asked.from, asked.day, asked.holder) {
        (Some(from), None, None) => ReplayFrom::Seq(Seq(from)),
        (None, Some(day), None) => ReplayFrom::Day(day),
        (None, None, Some(holder)) => {
            ReplayFrom::Holder(parse_holder(&holder.kind, &holder.number)?)
        }
        _ => {
            let what = "exactly one of `from`, `day` and `holder` says what is sent again";
            return Err(Problem::unacceptable("replay_from", what).at("request"));
        }
    };
    once(&hub, &caller, &request, &body, async {
        let replaying = ops::replay(&hub, &name, &from, &by).await?;
        Done::json(StatusCode::OK, &replaying)
    })
    .await
}

/// Compares both sides and keeps the report: counts by licence type, and where the counterpart can, record by record.
#[utoipa::path(params(("name" = String, Path)), request_body = WhyRequest,
               responses((status = 200, body = Object), (status = 503, body = Problem)))]
#[post("/v1/connectors/{name}/reconcile")]
pub async fn reconcile(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, body): (WhyRequest, _) = body::json(&request, payload, SMALL).await?;
    let by = by(&caller, &asked.why)?;
    let owned = hub.clone().into_inner();
    once(&hub, &caller, &request, &body, async {
        let report = ops::reconcile(&owned, &name, &by).await?;
        Done::json(StatusCode::OK, &report)
    })
    .await
}

/// The reports of comparisons, newest first, without their records.
#[utoipa::path(params(("name" = String, Path)), responses((status = 200, body = Object)))]
#[get("/v1/connectors/{name}/reconciliations")]
pub async fn reconciliations(
    hub: web::Data<Hub>,
    caller: Caller,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let mut reports = ops::reconciliations(&hub, &name, 60).await?;
    for report in &mut reports {
        report.found.records.clear();
        report.found.buckets.clear();
    }
    Ok(HttpResponse::Ok().json(serde_json::json!({ "reconciliations": reports })))
}

/// One report, with its records.
#[utoipa::path(params(("name" = String, Path), ("id" = String, Path)),
               responses((status = 200, body = Object), (status = 404, body = Problem)))]
#[get("/v1/connectors/{name}/reconciliations/{id}")]
pub async fn reconciliation(
    hub: web::Data<Hub>,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (name, id) = path.into_inner();
    Ok(HttpResponse::Ok().json(ops::reconciliation(&hub, &name, &id).await?))
}

/// The records that a counterpart refused, with its remarks, by number; those that it took since are `settled`.
#[utoipa::path(params(("name" = String, Path), SetAsidePage), responses((status = 200, body = Object)))]
#[get("/v1/connectors/{name}/set-aside")]
pub async fn set_aside(
    hub: web::Data<Hub>,
    caller: Caller,
    name: web::Path<String>,
    page: web::Query<SetAsidePage>,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let limit = limit_of(page.limit, PAGE)?;
    if let Some(courier) = hub.couriers().get(name.as_str()) {
        let cases = courier.set_asides(&hub, limit).await?;
        return Ok(HttpResponse::Ok().json(serde_json::json!({ "set_aside": cases })));
    }
    let after = page.after.as_deref();
    let answer = match page.state.as_deref() {
        None | Some("open") => {
            let after = after.map(|after| after.parse::<u64>().map_err(|_| malformed_after()));
            let from = after.transpose()?.map_or(Seq(0), |after| Seq(after).next());
            let records = ops::set_asides(&hub, &name, from, limit).await?;
            let full = records.len() == limit;
            let next = records.last().filter(|_| full).map(|last| last.seq.to_string());
            serde_json::json!({ "set_aside": records, "next": next })
        }
        Some("settled") => {
            let after = after.map(|after| place_of(after).ok_or_else(malformed_after));
            let records = ops::settled(&hub, &name, after.transpose()?, limit).await?;
            let full = records.len() == limit;
            let place = |last: &indexes::SettledSetAside| {
                format!("{}-{}", last.refused.seq, last.refused.at.as_microsecond())
            };
            let next = records.last().filter(|_| full).map(place);
            serde_json::json!({ "set_aside": records, "next": next })
        }
        Some(_) => {
            return Err(Problem::bad_request("query", "`state` must be `open` or `settled`"));
        }
    };
    Ok(HttpResponse::Ok().json(answer))
}

fn place_of(text: &str) -> Option<(Seq, Timestamp)> {
    let (seq, micros) = text.split_once('-')?;
    let at = Timestamp::from_microsecond(micros.parse().ok()?).ok()?;
    Some((Seq(seq.parse().ok()?), at))
}

/// Sends what is set aside once more, all of it or some; what is taken this time is settled.
#[utoipa::path(params(("name" = String, Path)), request_body = RetryRequest,
               responses((status = 200, body = Retrying), (status = 409, body = Problem)))]
#[post("/v1/connectors/{name}/retry")]
pub async fn retry(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, body): (RetryRequest, _) = body::json(&request, payload, SMALL).await?;
    let by = by(&caller, &asked.why)?;
    let which = match asked.seqs {
        None => Retry::All,
        Some(seqs) if (1..=PAGE).contains(&seqs.len()) => {
            Retry::These(seqs.into_iter().map(Seq).collect())
        }
        Some(_) => {
            let what = "`seqs` names 1 to 1000 changes; left out, it means all";
            return Err(Problem::unacceptable("retry_seqs", what).at("request"));
        }
    };
    once(&hub, &caller, &request, &body, async {
        let retrying = ops::retry(&hub, &name, &which, &by).await?;
        Done::json(StatusCode::OK, &Retrying { retrying })
    })
    .await
}

/// Exactly what would be sent for one change, without sending it. It shows a licence: the use is recorded before.
#[utoipa::path(params(("name" = String, Path)), request_body = PreviewRequest,
               responses((status = 200, body = PreviewAnswer), (status = 404, body = Problem)))]
#[post("/v1/connectors/{name}/preview")]
pub async fn preview(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, _): (PreviewRequest, _) = body::json(&request, payload, SMALL).await?;
    let by = by(&caller, &asked.why)?;
    let preview = ops::preview(&hub, &name, Seq(asked.seq), &by).await?;
    ops::record_view(&hub, Seq(asked.seq), caller.certificate, &by).await?;
    let part = |part: connectors::PreviewPart| PreviewPart { title: part.title, text: part.text };
    let refused = |refused: connectors::Refused| RefusedRecord {
        seq: refused.seq.0,
        code: refused.code,
        remark: refused.remark,
    };
    Ok(HttpResponse::Ok().json(PreviewAnswer {
        parts: preview.parts.into_iter().map(part).collect(),
        refused: preview.refused.into_iter().map(refused).collect(),
    }))
}

/// The connector's code map, as its file has it.
#[utoipa::path(params(("name" = String, Path)),
               responses((status = 200, body = Object), (status = 409, body = Problem)))]
#[get("/v1/connectors/{name}/code-map")]
pub async fn code_map(
    hub: web::Data<Hub>,
    caller: Caller,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    Ok(HttpResponse::Ok().json(ops::code_map(&hub, &name)?))
}

/// Puts another code map in its place, if it is right; it counts from the next delivery on, and the one before stays
/// beside it.
#[utoipa::path(params(("name" = String, Path)), request_body = CodeMapRequest,
               responses((status = 200, body = Object), (status = 422, body = Problem)))]
#[put("/v1/connectors/{name}/code-map")]
pub async fn replace_code_map(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, _): (CodeMapRequest, _) = body::json(&request, payload, CODE_MAP).await?;
    let by = by(&caller, &asked.why)?;
    let map = ops::replace_code_map(&hub, &name, &asked.text, asked.replaces, &by).await?;
    Ok(HttpResponse::Ok().json(map))
}

async fn actions_of(
    hub: &Hub,
    caller: &Caller,
    name: &str,
    page: &Page,
) -> Result<HttpResponse, Problem> {
    operator(hub, caller)?;
    let limit = limit_of(page.limit, 100)?;
    let done = ops::actions(hub, name, page.after.as_deref(), limit).await?;
    let next = done.last().filter(|_| done.len() == limit).map(|last| last.id.clone());
    Ok(HttpResponse::Ok().json(serde_json::json!({ "actions": done, "next": next })))
}

/// What operators did with the connector, newest first: who, why, when, what, and how it ended.
#[utoipa::path(params(("name" = String, Path), Page), responses((status = 200, body = Object)))]
#[get("/v1/connectors/{name}/actions")]
pub async fn actions(
    hub: web::Data<Hub>,
    caller: Caller,
    name: web::Path<String>,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    actions_of(&hub, &caller, &name, &page).await
}

#[derive(Serialize, ToSchema)]
struct SourcesAnswer {
    /// State of each: position, last success, last error with advice, rows taken and refused, whether it is paused.
    #[schema(value_type = Vec<Object>)]
    inbound: Vec<InboundState>,
}

/// The state of every source of rows.
#[utoipa::path(responses((status = 200, body = SourcesAnswer), (status = 403, body = Problem)))]
#[get("/v1/inbound")]
pub async fn list_sources(hub: web::Data<Hub>, caller: Caller) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let inbound = hub.inbound().values().map(Inbound::state).collect();
    Ok(HttpResponse::Ok().json(SourcesAnswer { inbound }))
}

/// Fetches no rows until resumed; also across restarts.
#[utoipa::path(params(("name" = String, Path)), request_body = WhyRequest,
               responses((status = 200, body = Paused), (status = 404, body = Problem)))]
#[post("/v1/inbound/{name}/pause")]
pub async fn pause_source(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, body): (WhyRequest, _) = body::json(&request, payload, SMALL).await?;
    let by = by(&caller, &asked.why)?;
    once(&hub, &caller, &request, &body, async {
        ops::pause(&hub, &ops::name_of_source(&name), &by).await?;
        Done::json(StatusCode::OK, &Paused { paused: true })
    })
    .await
}

/// Goes on fetching rows.
#[utoipa::path(params(("name" = String, Path)), request_body = WhyRequest,
               responses((status = 200, body = Paused), (status = 404, body = Problem)))]
#[post("/v1/inbound/{name}/resume")]
pub async fn resume_source(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let (asked, body): (WhyRequest, _) = body::json(&request, payload, SMALL).await?;
    let by = by(&caller, &asked.why)?;
    once(&hub, &caller, &request, &body, async {
        ops::resume(&hub, &ops::name_of_source(&name), &by).await?;
        Done::json(StatusCode::OK, &Paused { paused: false })
    })
    .await
}

/// What operators did with the source, newest first.
#[utoipa::path(params(("name" = String, Path), Page), responses((status = 200, body = Object)))]
#[get("/v1/inbound/{name}/actions")]
pub async fn source_actions(
    hub: web::Data<Hub>,
    caller: Caller,
    name: web::Path<String>,
    page: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    actions_of(&hub, &caller, &ops::name_of_source(&name), &page).await
}

impl From<OpsError> for Problem {
    fn from(error: OpsError) -> Self {
        use OpsError as E;
        let (code, detail) = (error.code(), error.to_string());
        match error {
            E::Store(error) => error.into(),
            E::Unknown | E::UnknownSource | E::UnknownChange { .. } | E::UnknownReport => {
                Self::not_found(code, detail).at("request")
            }
            E::ForCases | E::Why | E::NoChangeSince | E::NotShared | E::CodeMap(_) => {
                Self::unacceptable(code, detail).at("request")
            }
            E::Runner(connectors::RunnerError::BeyondHead { .. }) => {
                Self::unacceptable(code, detail).at("request")
            }
            E::Reconciling | E::NoCodeMap | E::CodeMapChanged | E::NotSetAside { .. } => {
                Self::conflict(code, detail).at("request")
            }
            _ => {
                tracing::error!(error.code = code, error = %detail, "a connector call failed");
                Self::unavailable(code, detail).at("connector")
            }
        }
    }
}
