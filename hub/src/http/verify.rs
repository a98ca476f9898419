//! `POST /v1/verify`: the same check that `hub verify` does offline, against this hub's anchors.

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde_json::value::RawValue;

use super::{
    body::{self, SMALL},
    error::Problem,
};
use crate::{
    Hub,
    command::verify::{Report, check},
    tls::Caller,
};

/// Checks an evidence file (`yihao-evidence-1`): a licence, its signature, its manifest if it was
/// issued in a batch, and its status orders.
///
/// The answer is 200 with a verdict for each link, also for a file that is not to be trusted; only a
/// body that is no JSON is an error. `held` says what this hub knows of the licence beyond the file.
#[utoipa::path(
    request_body(content = Object, description = "yihao-evidence-1"),
    responses((status = 200, body = Report), (status = 400, body = Problem))
)]
#[post("/v1/verify")]
pub async fn verify(
    hub: web::Data<Hub>,
    _caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (_, body): (Box<RawValue>, _) = body::json(&request, payload, SMALL * 256).await?;
    let trust = hub.trust();
    let now = hub.clock.now();
    let (mut report, licence) = web::block(move || check(&body, None, &trust, now))
        .await
        .map_err(|_| Problem::unavailable("verify_unavailable", "the check did not finish"))?;
    if let Some(licence) = licence
        && let Some(stored) = hub.store.licence(&licence.identifier).await?
    {
        let same = stored.document == licence.to_bytes() || Some(stored.digest) == report.digest;
        report.held = Some(if same { stored.status.word() } else { "other_bytes" });
    }
    Ok(HttpResponse::Ok().json(report))
}
