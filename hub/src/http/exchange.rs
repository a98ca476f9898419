//! What another hub hands over: CloudEvents in batches, and what is held of them. `docs/formats/cloudevents.md`.

use actix_web::{HttpRequest, HttpResponse, get, http::StatusCode, post, web};
use connectors::{
    Bucket,
    push::{self, BATCH_MEDIA_TYPE},
};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::{body, error::Problem};
use crate::{
    Hub,
    exchange::{self, MAX_BODY, MAX_EVENTS, PATIENCE, Place},
    tls::Caller,
};

/// Takes events of another hub: licences with their proofs, status orders, manifests. Each event is answered for.
#[utoipa::path(
    request_body(content = String, content_type = "application/cloudevents-batch+json",
                 description = "a JSON array of CloudEvents 1.0"),
    responses((status = 200, description = "how many are taken, and why the others are not"),
              (status = 400, body = Problem), (status = 403, body = Problem),
              (status = 413, body = Problem), (status = 503, body = Problem))
)]
#[post("/v1/exchange/events")]
pub async fn take_events(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    right(&hub, &caller)?;
    body::require_media_type(&request, BATCH_MEDIA_TYPE)?;
    let _place = place(&hub, &caller).await?;
    let body = timeout(PATIENCE, body::whole(&request, payload, MAX_BODY)).await;
    let body = body.map_err(|_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_incomplete",
            "the body did not come within a minute; nothing of it is stored, send it again",
        )
        .at("request")
    })??;
    let events = events(&body)?;
    let answer = exchange::take_in(&hub, &caller.department, &events).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// The events of a request, each with its id.
fn events(body: &[u8]) -> Result<Vec<(String, &RawValue)>, Problem> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let malformed = |detail: &str| Problem::bad_request("json", detail);
    let events: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|_| malformed("the body is not a JSON array, or is nested too deeply"))?;
    if events.len() > MAX_EVENTS {
        return Err(Problem::too_large(format!("a batch may have at most {MAX_EVENTS} events")));
    }
    events
        .into_iter()
        .map(|event| match serde_json::from_str::<Named>(event.get()) {
            Ok(Named { id }) if (1..=200).contains(&id.len()) => Ok((id, event)),
            _ => Err(malformed("an event of the batch has no `id`, or one of more than 200 bytes")),
        })
        .collect()
}

/// Whose licences are asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TalliesRequest {
    /// The `source` that they came with.
    source: String,
}

/// The current licences that came from the caller, counted by type and day of issue, each bucket with the sum of marks.
#[utoipa::path(
    params(TalliesRequest),
    responses((status = 200, description = "the buckets that hold any"), (status = 403, body = Problem))
)]
#[get("/v1/exchange/tallies")]
pub async fn tallies(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    right(&hub, &caller)?;
    let asked: TalliesRequest = query(&request)?;
    let source = source(&asked.source)?;
    let _place = place(&hub, &caller).await?;
    let tallies = exchange::tallies(&hub, &caller.department, source).await?;
    Ok(HttpResponse::Ok().json(tallies))
}

/// Which licences are asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HoldingsRequest {
    /// The `source` that they came with.
    source: String,
    /// The licence type.
    #[serde(rename = "type")]
    licence_type: String,
    /// The day of issue, YYYY-MM-DD.
    day: String,
    /// The last identifier of the answer before.
    #[serde(default)]
    after: Option<String>,
    /// Licences in the answer, at most 10,000; 1,000 when left out.
    #[serde(default)]
    limit: Option<usize>,
}

/// The current licences of one type and day that came from the caller, by identifier, each with its mark.
#[utoipa::path(
    params(HoldingsRequest),
    responses((status = 200, description = "identifiers and marks"), (status = 403, body = Problem))
)]
#[get("/v1/exchange/holdings")]
pub async fn holdings(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    right(&hub, &caller)?;
    let asked: HoldingsRequest = query(&request)?;
    let source = source(&asked.source)?;
    let wrong = |detail: &str| Problem::bad_request("query", detail);
    let bucket = Bucket {
        licence_type: asked
            .licence_type
            .parse()
            .map_err(|_| wrong("`type` is not a licence type code"))?,
        day: asked.day.parse::<Date>().map_err(|_| wrong("`day` is not a date YYYY-MM-DD"))?,
    };
    let after = match asked.after.as_deref() {
        Some(after) => Some(super::licences::parse_identifier(after)?),
        None => None,
    };
    let limit = asked.limit.unwrap_or(1_000).max(1);
    let _place = place(&hub, &caller).await?;
    let holdings =
        exchange::holdings(&hub, &caller.department, source, &bucket, after.as_ref(), limit)
            .await?;
    Ok(HttpResponse::Ok().json(holdings))
}

fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let read = web::Query::<T>::from_query(request.query_string());
    read.map(web::Query::into_inner).map_err(|_| super::malformed_query())
}

fn source(text: &str) -> Result<&str, Problem> {
    if push::is_source(text) {
        return Ok(text);
    }
    Err(Problem::bad_request("query", "`source` is 1 to 120 visible characters"))
}

/// Whether the caller may exchange anything.
fn right(hub: &Hub, caller: &Caller) -> Result<(), Problem> {
    if exchange::may_exchange(hub, &caller.department) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "not_permitted",
        "no policy allows this department to exchange licences of any type",
    ))
}

/// A place to be worked on at.
async fn place(hub: &Hub, caller: &Caller) -> Result<Place, Problem> {
    let place = hub.exchange.place(&caller.department).await;
    let busy = "too much is being exchanged just now, by this department or by all";
    place.ok_or_else(|| Problem::unavailable("exchange_busy", busy))
}
