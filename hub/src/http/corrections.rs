//! Disputed fields: a holder disputes, the issuer answers.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use jiff::{Timestamp, civil::Date};
use licence::{LicenceId, LicenceTypeCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{self, SMALL},
    error::Problem,
    licences::parse_identifier,
    who::{CalledBy, acting_for},
};
use crate::{
    Hub,
    login::Person,
    reuse::{
        Who,
        corrections::{self, Correction, CorrectionError, NewDispute, Outcome},
    },
};

/// Most corrections in a list.
const MOST_LISTED: usize = 200;

/// What a holder disputes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DisputeRequest {
    /// For whom: place in the list of those the person acts for; 0 is the person.
    #[serde(default)]
    holder: usize,
    /// 证照标识.
    licence: String,
    /// Name of the face field.
    field: String,
    /// What it should say.
    says: String,
    /// Why.
    why: String,
    /// Ids of materials that show it.
    #[serde(default)]
    materials: Vec<String>,
}

/// The issuer's answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerRequest {
    /// `corrected` or `kept`.
    outcome: String,
    /// With `corrected`: the new licence.
    #[serde(default)]
    licence: Option<String>,
    /// With `kept`: why.
    #[serde(default)]
    reason: Option<String>,
}

/// A correction, as both sides see it. The holder's number and the clerk's account are not in it.
#[derive(Serialize, ToSchema)]
pub(super) struct CorrectionAnswer {
    id: String,
    /// `open`, `corrected`, `kept`.
    state: &'static str,
    #[schema(value_type = String)]
    licence: LicenceId,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    licence_type: LicenceTypeCode,
    name: String,
    /// Credit code of the issuer.
    issuer: String,
    issuer_name: String,
    field: String,
    /// What the licence says.
    shown: String,
    /// What it should say.
    says: String,
    why: String,
    materials: Vec<String>,
    #[schema(value_type = String)]
    disputed_at: Timestamp,
    /// The last day for an answer.
    #[schema(value_type = String)]
    due: Date,
    /// `false`: the holidays of a year on the way were not announced, the day is uncertain.
    due_certain: bool,
    /// The answer is late, or came late.
    overdue: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    answered_at: Option<Timestamp>,
    /// The new licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    corrected_by: Option<LicenceId>,
    /// Why the licence stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The correction as it is answered.
pub(super) fn correction_wire(hub: &Hub, correction: Correction) -> CorrectionAnswer {
    let (state, corrected_by, reason) = match correction.outcome.clone() {
        None => ("open", None, None),
        Some(Outcome::Corrected { licence }) => ("corrected", Some(licence), None),
        Some(Outcome::Kept { reason }) => ("kept", None, Some(reason)),
    };
    CorrectionAnswer {
        overdue: correction.overdue(hub.clock.today()),
        state,
        id: correction.id,
        licence: correction.licence,
        licence_type: correction.licence_type,
        name: correction.licence_name,
        issuer: correction.issuer.to_string(),
        issuer_name: hub.department_name(&correction.issuer).to_owned(),
        field: correction.field,
        shown: correction.shown,
        says: correction.says,
        why: correction.why,
        materials: correction.materials,
        disputed_at: correction.disputed_at,
        due: correction.due,
        due_certain: correction.due_certain,
        answered_at: correction.answered_at,
        corrected_by,
        reason,
    }
}

/// A holder disputes a face field of a licence. The licence is disputed until its issuer has answered.
#[utoipa::path(
    request_body = DisputeRequest,
    responses((status = 201, body = CorrectionAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/corrections")]
pub async fn dispute(
    hub: web::Data<Hub>,
    person: Person,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (asked, _): (DisputeRequest, _) = body::json(&request, payload, SMALL).await?;
    let who = acting_for(&person, asked.holder)?;
    let new = NewDispute {
        licence: parse_identifier(&asked.licence)?,
        field: asked.field,
        says: asked.says,
        why: asked.why,
        materials: asked.materials,
    };
    let correction = corrections::dispute(&hub, &who, &new).await?;
    Ok(HttpResponse::Created().json(correction_wire(&hub, correction)))
}

/// How many to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// At most so many, up to 200.
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Serialize, ToSchema)]
struct CorrectionList {
    corrections: Vec<CorrectionAnswer>,
}

/// What the calling department has to answer, and has answered, newest first.
#[utoipa::path(
    params(ListQuery),
    responses((status = 200, body = CorrectionList), (status = 401, body = Problem),
              (status = 403, body = Problem))
)]
#[get("/v1/corrections")]
pub async fn list(
    hub: web::Data<Hub>,
    by: CalledBy,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let who = by.department(&hub)?;
    let limit = query.limit.unwrap_or(MOST_LISTED).min(MOST_LISTED);
    let found = corrections::of_issuer(&hub, &who, limit).await?;
    let corrections = found.into_iter().map(|one| correction_wire(&hub, one)).collect();
    Ok(HttpResponse::Ok().json(CorrectionList { corrections }))
}

/// A correction, for the holder who disputes and the issuer who answers.
#[utoipa::path(
    params(("id" = String, Path, description = "the correction's id")),
    responses((status = 200, body = CorrectionAnswer), (status = 401, body = Problem),
              (status = 404, body = Problem))
)]
#[get("/v1/corrections/{id}")]
pub async fn show(
    hub: web::Data<Hub>,
    by: CalledBy,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (_, correction) = correction_of(&hub, &by, &id).await?;
    Ok(HttpResponse::Ok().json(correction_wire(&hub, correction)))
}

/// The issuer answers: a corrected licence was issued, or the licence stays as it is.
#[utoipa::path(
    params(("id" = String, Path, description = "the correction's id")),
    request_body = AnswerRequest,
    responses((status = 200, body = CorrectionAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/corrections/{id}/answer")]
pub async fn answer(
    hub: web::Data<Hub>,
    by: CalledBy,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (asked, _): (AnswerRequest, _) = body::json(&request, payload, SMALL).await?;
    let outcome = match (asked.outcome.as_str(), asked.licence, asked.reason) {
        ("corrected", Some(licence), None) => {
            Outcome::Corrected { licence: parse_identifier(&licence)? }
        }
        ("kept", None, Some(reason)) => Outcome::Kept { reason },
        _ => {
            return Err(Problem::unacceptable(
                "correction_outcome",
                "`outcome` is corrected with the new `licence`, or kept with a `reason`",
            )
            .at("request"));
        }
    };
    let (who, _) = correction_of(&hub, &by, &id).await?;
    let correction = corrections::answer(&hub, &who, &id, &outcome).await?;
    Ok(HttpResponse::Ok().json(correction_wire(&hub, correction)))
}

/// The correction, and as whom the caller has part in it; as the issuer if as both.
async fn correction_of(hub: &Hub, by: &CalledBy, id: &str) -> Result<(Who, Correction), Problem> {
    for who in by.everyone(hub).into_iter().rev() {
        match corrections::correction(hub, &who, id).await {
            Err(CorrectionError::Unknown) => {}
            found => return Ok((who, found?)),
        }
    }
    Err(CorrectionError::Unknown.into())
}
