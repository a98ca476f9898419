//! Operating the connectors.

use actix_web::{HttpRequest, HttpResponse, get, http::StatusCode, post, web};
use connectors::RunnerHandle;
use licence::Seq;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::{self, SMALL},
    error::Problem,
    idempotency::{Done, once},
};
use crate::{
    Hub,
    policy::Act,
    reuse::courier::{Courier, CourierError, CourierState},
    tls::Caller,
};

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
struct SentAgain {
    /// How many cases go again.
    sent_again: u64,
}

#[derive(Serialize, ToSchema)]
struct Paused {
    paused: bool,
}

/// Where to start again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayRequest {
    /// Number of the first change to send again.
    from: u64,
}

#[derive(Serialize, ToSchema)]
struct Replaying {
    #[schema(value_type = u64)]
    from: Seq,
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

fn runner<'a>(hub: &'a Hub, name: &str) -> Result<&'a RunnerHandle, Problem> {
    hub.connectors.get(name).ok_or_else(|| {
        Problem::not_found("unknown_connector", "there is no connector of this name").at("request")
    })
}

fn failed(error: &connectors::RunnerError) -> Problem {
    if let connectors::RunnerError::BeyondHead { .. } = error {
        return Problem::unacceptable(error.code(), error.to_string()).at("request");
    }
    tracing::error!(error.code = error.code(), error = %error, "a connector call failed");
    Problem::unavailable(error.code(), error.to_string()).at("connector")
}

fn courier<'a>(hub: &'a Hub, name: &str) -> Option<&'a Courier> {
    hub.couriers().get(name)
}

fn courier_failed(error: &CourierError) -> Problem {
    tracing::error!(error.code = error.code(), error = %error, "a connector call failed");
    Problem::unavailable(error.code(), error.to_string()).at("connector")
}

/// The state of every connector.
#[utoipa::path(responses((status = 200, body = ConnectorsAnswer), (status = 403, body = Problem)))]
#[get("/v1/connectors")]
pub async fn list(hub: web::Data<Hub>, caller: Caller) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    let mut connectors = Vec::new();
    for runner in hub.connectors.values() {
        connectors.push(runner.state());
    }
    let cases = hub.couriers().values().map(Courier::state).collect();
    Ok(HttpResponse::Ok().json(ConnectorsAnswer { connectors, cases }))
}

/// Stops pushing until resumed; also across restarts.
#[utoipa::path(params(("name" = String, Path)), responses((status = 200, body = Paused)))]
#[post("/v1/connectors/{name}/pause")]
pub async fn pause(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    if let Some(courier) = courier(&hub, &name) {
        return once(&hub, &caller, &request, b"", async {
            courier.pause().await.map_err(|error| courier_failed(&error))?;
            Done::json(StatusCode::OK, &Paused { paused: true })
        })
        .await;
    }
    let runner = runner(&hub, &name)?;
    once(&hub, &caller, &request, b"", async {
        runner.pause().await.map_err(|error| failed(&error))?;
        Done::json(StatusCode::OK, &Paused { paused: true })
    })
    .await
}

/// Goes on pushing.
#[utoipa::path(params(("name" = String, Path)), responses((status = 200, body = Paused)))]
#[post("/v1/connectors/{name}/resume")]
pub async fn resume(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    if let Some(courier) = courier(&hub, &name) {
        return once(&hub, &caller, &request, b"", async {
            courier.resume().await.map_err(|error| courier_failed(&error))?;
            Done::json(StatusCode::OK, &Paused { paused: false })
        })
        .await;
    }
    let runner = runner(&hub, &name)?;
    once(&hub, &caller, &request, b"", async {
        runner.resume().await.map_err(|error| failed(&error))?;
        Done::json(StatusCode::OK, &Paused { paused: false })
    })
    .await
}

/// Sends again from a change on; the counterpart drops what it has. A counterpart for cases gets again what it did not
/// take.
#[utoipa::path(params(("name" = String, Path)), request_body = ReplayRequest,
               responses((status = 200, body = Replaying)))]
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
    if let Some(courier) = courier(&hub, &name) {
        return once(&hub, &caller, &request, &body, async {
            let sent = courier.send_again().await.map_err(|error| courier_failed(&error))?;
            Done::json(StatusCode::OK, &SentAgain { sent_again: sent })
        })
        .await;
    }
    let runner = runner(&hub, &name)?;
    once(&hub, &caller, &request, &body, async {
        runner.replay(Seq(asked.from)).await.map_err(|error| failed(&error))?;
        Done::json(StatusCode::OK, &Replaying { from: Seq(asked.from) })
    })
    .await
}

/// Compares the counts on both sides, by licence type.
#[utoipa::path(params(("name" = String, Path)),
               responses((status = 200, body = Object), (status = 503, body = Problem)))]
#[post("/v1/connectors/{name}/reconcile")]
pub async fn reconcile(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    if courier(&hub, &name).is_some() {
        return Err(Problem::unacceptable(
            "connector_for_cases",
            "this counterpart takes cases, which are not counted",
        )
        .at("request"));
    }
    let runner = runner(&hub, &name)?;
    once(&hub, &caller, &request, b"", async {
        let compared = runner.reconcile().await.map_err(|error| {
            tracing::error!(error.code = error.code(), error = %error, "reconciling failed");
            Problem::unavailable(error.code(), error.to_string()).at("connector")
        })?;
        Done::json(StatusCode::OK, &compared)
    })
    .await
}

/// The records that a counterpart refused, with its remarks; the first 1000.
#[utoipa::path(params(("name" = String, Path)), responses((status = 200, body = Object)))]
#[get("/v1/connectors/{name}/set-aside")]
pub async fn set_aside(
    hub: web::Data<Hub>,
    caller: Caller,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    operator(&hub, &caller)?;
    if let Some(courier) = courier(&hub, &name) {
        let cases = courier.set_asides(&hub, 1_000).await?;
        return Ok(HttpResponse::Ok().json(serde_json::json!({ "set_aside": cases })));
    }
    runner(&hub, &name)?;
    let records = hub.store.set_asides(&name, 1_000).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "set_aside": records })))
}
