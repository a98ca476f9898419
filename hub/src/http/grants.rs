//! Grants: asking a holder for consent, the answer, withdrawing, and the content that a grant opens.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::{StatusCode, header},
    post, web,
};
use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use licence::{LicenceId, LicenceTypeCode, MatterCode, Seq, Sha256Digest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    body::{self, SMALL},
    error::Problem,
    idempotency::{Done, once},
    licences::parse_identifier,
    pulls::{HolderWire, LicenceAnswer, parse_holder, wire, wrong},
    who::CalledBy,
};
use crate::{
    Hub,
    login::Person,
    pull::{self, Asker, Content},
    reuse::{
        Who,
        consents::{self, Answer, Asked, Consent, ConsentError, ConsentState, Parts},
        terms,
    },
};

/// Most consents in a list.
const MOST_LISTED: usize = 200;

/// A licence type, and which of its face fields.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PartWire {
    /// Code of the type.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    licence_type: String,
    /// Names of face fields; none: the whole licence with its files.
    #[serde(default)]
    fields: Vec<String>,
}

/// What a department asks a holder for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskRequest {
    /// Whom.
    holder: HolderWire,
    /// Which licences, and which of their fields.
    licences: Vec<PartWire>,
    /// 实施编码 of what is being handled.
    matter: String,
    /// 办件编号, if a case is open.
    #[serde(default)]
    case: Option<String>,
    /// 申请事由, at most 200 characters; the holder reads it.
    reason: String,
    /// The last day of use, and for an answer.
    #[schema(value_type = String)]
    until: Date,
}

/// The holder's answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DecisionRequest {
    /// `yes`, `no` or `less`.
    answer: String,
    /// With `less`: what is given, nothing that was not asked for.
    #[serde(default)]
    licences: Option<Vec<PartWire>>,
    /// With `less`: the last day; the one asked for if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    until: Option<Date>,
}

/// A consent, as both sides see it. The holder's number is not in it.
#[derive(Serialize, ToSchema)]
pub(super) struct ConsentAnswer {
    id: String,
    state: ConsentState,
    /// Credit code of the department that asks.
    department: String,
    /// Its name.
    department_name: String,
    #[schema(value_type = String)]
    matter: MatterCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    matter_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    reason: String,
    /// What was asked for.
    licences: Vec<PartWire>,
    /// The last day that was asked for.
    #[schema(value_type = String)]
    until: Date,
    #[schema(value_type = String)]
    asked_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    decided_at: Option<Timestamp>,
    /// What was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    given: Option<GivenAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    withdrawn_at: Option<Timestamp>,
}

/// What a holder gave.
#[derive(Serialize, ToSchema)]
struct GivenAnswer {
    licences: Vec<PartWire>,
    /// The last day.
    #[schema(value_type = String)]
    until: Date,
    /// Opens content for the department: `/v1/grants/{grant}`.
    grant: String,
}

/// The consent as it is answered.
pub(super) fn consent_wire(hub: &Hub, consent: Consent) -> ConsentAnswer {
    ConsentAnswer {
        state: consent.state(hub.clock.now()),
        id: consent.id,
        department: consent.department.to_string(),
        department_name: hub.department_name(&consent.department).to_owned(),
        matter_name: hub.matters.get(&consent.matter).map(|matter| matter.name.clone()),
        matter: consent.matter,
        case: consent.case,
        reason: consent.reason,
        licences: parts_wire(consent.licences),
        until: consent.until,
        asked_at: consent.asked_at,
        decided_at: consent.decided_at,
        given: consent.given.map(|given| GivenAnswer {
            licences: parts_wire(given.licences),
            until: given.until,
            grant: given.grant,
        }),
        withdrawn_at: consent.withdrawn_at,
    }
}

fn parts_wire(parts: Parts) -> Vec<PartWire> {
    let part = |(licence_type, fields): (LicenceTypeCode, Vec<String>)| PartWire {
        licence_type: licence_type.to_string(),
        fields,
    };
    parts.into_iter().map(part).collect()
}

fn parse_parts(parts: Vec<PartWire>) -> Result<Parts, Problem> {
    if parts.len() > 50 || parts.iter().any(|part| part.fields.len() > 200) {
        return Err(pull::PullError::TooManyTypes.into());
    }
    let parse = |part: PartWire| {
        let licence_type = part
            .licence_type
            .parse()
            .map_err(|error: licence::CodeError| wrong("licences.type", error.code(), &error))?;
        Ok((licence_type, part.fields))
    };
    parts.into_iter().map(parse).collect()
}

/// A department asks a holder for consent.
///
/// Needs the action `pull` for every type, with this matter and the basis `consent`. Nothing is looked up: the answer does
/// not tell whether the holder has such licences.
#[utoipa::path(
    request_body = AskRequest,
    responses((status = 201, body = ConsentAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/grants")]
pub async fn ask(
    hub: web::Data<Hub>,
    by: CalledBy,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let who = by.department(&hub)?;
    let (asked, body): (AskRequest, _) = body::json(&request, payload, SMALL).await?;
    let matter = asked
        .matter
        .parse()
        .map_err(|error: licence::CodeError| wrong("matter", error.code(), &error))?;
    if asked.case.as_ref().is_some_and(|case| case.chars().count() > 128) {
        return Err(Problem::unacceptable(
            "text_too_long",
            "`case` may have at most 128 characters",
        )
        .at("request"));
    }
    let asked = Asked {
        holder: parse_holder(&asked.holder.kind, &asked.holder.number)?,
        licences: parse_parts(asked.licences)?,
        matter,
        case: asked.case,
        reason: asked.reason,
        until: asked.until,
    };
    let work = async {
        let consent = consents::ask(&hub, &who, &asked).await?;
        Done::json(StatusCode::CREATED, &consent_wire(&hub, consent))
    };
    match &by {
        CalledBy::Department(caller) => once(&hub, caller, &request, &body, work).await,
        CalledBy::Person(_) => Ok(work.await?.respond(false)),
    }
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
struct ConsentList {
    consents: Vec<ConsentAnswer>,
}

/// What the calling department asked of holders, newest first.
#[utoipa::path(
    params(ListQuery),
    responses((status = 200, body = ConsentList), (status = 401, body = Problem),
              (status = 403, body = Problem))
)]
#[get("/v1/grants")]
pub async fn list(
    hub: web::Data<Hub>,
    by: CalledBy,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let who = by.department(&hub)?;
    let limit = query.limit.unwrap_or(MOST_LISTED).min(MOST_LISTED);
    let found = consents::of_department(&hub, &who, limit).await?;
    let consents = found.into_iter().map(|one| consent_wire(&hub, one)).collect();
    Ok(HttpResponse::Ok().json(ConsentList { consents }))
}

/// A grant as its department and its holder see it.
#[derive(Serialize, ToSchema)]
struct GrantAnswer {
    id: String,
    /// Until when it opens content.
    #[schema(value_type = String)]
    until: Timestamp,
    /// Number of the use that opened it.
    #[schema(value_type = u64)]
    opened_by: Seq,
    /// The licences it names.
    #[schema(value_type = Vec<String>)]
    licences: Vec<LicenceId>,
    /// Of these types only these fields are given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    only: Vec<PartWire>,
    /// The consent it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<String>,
    /// When it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    withdrawn_at: Option<Timestamp>,
}

/// A consent (`r_…`) or a grant (`g_…`), for its department and its holder.
#[utoipa::path(
    params(("id" = String, Path, description = "a consent's id or 用证码")),
    responses((status = 200, body = GrantAnswer), (status = 403, body = Problem),
              (status = 404, body = Problem))
)]
#[get("/v1/grants/{id}")]
pub async fn show(
    hub: web::Data<Hub>,
    by: CalledBy,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    if id.starts_with("r_") {
        let (_, consent) = consent_of(&hub, &by, &id).await?;
        return Ok(HttpResponse::Ok().json(consent_wire(&hub, consent)));
    }
    let mut refused = ConsentError::from(pull::PullError::UnknownGrant);
    for who in by.everyone(&hub) {
        match consents::grant_of(&hub, &who, &id).await {
            Ok(grant) => {
                let terms = terms::of(&hub, &grant.id).await?;
                return Ok(HttpResponse::Ok().json(GrantAnswer {
                    until: grant.until,
                    opened_by: grant.opened_by.seq,
                    withdrawn_at: terms::withdrawn_at(&hub, &terms).await?,
                    only: parts_wire(terms.fields.into_iter().collect()),
                    consent: terms.consent,
                    licences: grant.opened_by.shown.into_iter().map(|one| one.identifier).collect(),
                    id: grant.id,
                }));
            }
            Err(error) => refused = error,
        }
    }
    Err(refused.into())
}

/// Withdraws: the holder a consent, the department what it asked or has.
#[utoipa::path(
    params(("id" = String, Path, description = "a consent's id or 用证码")),
    responses((status = 204, description = "withdrawn; the next opening is refused"),
              (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem))
)]
#[delete("/v1/grants/{id}")]
pub async fn withdraw(
    hub: web::Data<Hub>,
    by: CalledBy,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    if id.starts_with("r_") {
        let (who, _) = consent_of(&hub, &by, &id).await?;
        consents::withdraw(&hub, &who, &id).await?;
        return Ok(HttpResponse::NoContent().finish());
    }
    let mut refused = ConsentError::from(pull::PullError::UnknownGrant);
    for who in by.everyone(&hub) {
        match consents::withdraw_grant(&hub, &who, &id).await {
            Ok(()) => return Ok(HttpResponse::NoContent().finish()),
            Err(error) => refused = error,
        }
    }
    Err(refused.into())
}

/// The holder answers an ask: yes, no, or less.
#[utoipa::path(
    params(("id" = String, Path, description = "the consent's id")),
    request_body = DecisionRequest,
    responses((status = 200, body = ConsentAnswer), (status = 401, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 410, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/grants/{id}/decision")]
pub async fn decide(
    hub: web::Data<Hub>,
    person: Person,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (decision, _): (DecisionRequest, _) = body::json(&request, payload, SMALL).await?;
    let (who, asked) = consent_of(&hub, &CalledBy::Person(person), &id).await?;
    let answer = match (decision.answer.as_str(), decision.licences) {
        ("yes", None) if decision.until.is_none() => Answer::Yes,
        ("no", None) if decision.until.is_none() => Answer::No,
        ("less", licences) => Answer::Less {
            licences: licences.map_or_else(|| Ok(asked.licences.clone()), parse_parts)?,
            until: decision.until.unwrap_or(asked.until),
        },
        _ => {
            return Err(Problem::unacceptable(
                "consent_answer",
                "`answer` is yes, no, or less with `licences` and `until`",
            )
            .at("request"));
        }
    };
    let consent = consents::decide(&hub, &who, &id, &answer).await?;
    Ok(HttpResponse::Ok().json(consent_wire(&hub, consent)))
}

/// The consent, and as whom the caller has part in it.
async fn consent_of(hub: &Hub, by: &CalledBy, id: &str) -> Result<(Who, Consent), Problem> {
    for who in by.everyone(hub) {
        match consents::consent(hub, &who, id).await {
            Err(ConsentError::Unknown) => {}
            found => return Ok((who, found?)),
        }
    }
    Err(ConsentError::Unknown.into())
}

/// The department that opens.
fn asker(hub: &Hub, by: &CalledBy) -> Result<Asker, Problem> {
    let who = by.department(hub)?;
    Asker::of(hub, &who).ok_or_else(|| ConsentError::NotADepartment.into())
}

/// What a grant opens of a licence of which the holder gave single fields.
#[derive(Serialize, ToSchema)]
struct FieldsAnswer<'a> {
    /// `yihao-fields-1`.
    format: &'static str,
    #[serde(flatten)]
    licence: LicenceAnswer<'a>,
}

/// Opens a licence's content under a grant: an evidence file that can be checked offline, or the fields that were given.
#[utoipa::path(
    params(("id" = String, Path, description = "用证码"),
           ("identifier" = String, Path, description = "证照标识")),
    responses((status = 200, description = "yihao-evidence-1 or yihao-fields-1"),
              (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 410, body = Problem))
)]
#[get("/v1/grants/{id}/licences/{identifier}")]
pub async fn open_content(
    hub: web::Data<Hub>,
    by: CalledBy,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let asker = asker(&hub, &by)?;
    let (grant, identifier) = path.into_inner();
    let identifier = parse_identifier(&identifier)?;
    let mut answer = HttpResponse::Ok();
    Ok(match pull::open_content(&hub, &asker, &grant, &identifier).await? {
        Content::Whole(evidence) => {
            answer.content_type("application/json").body(evidence.to_bytes())
        }
        Content::Fields(pulled) => {
            answer.json(FieldsAnswer { format: "yihao-fields-1", licence: wire(&grant, &pulled) })
        }
    })
}

/// Opens a file of a licence under a grant.
#[utoipa::path(
    params(("id" = String, Path, description = "用证码"),
           ("identifier" = String, Path, description = "证照标识"),
           ("sha256" = String, Path, description = "digest of the file, hex")),
    responses((status = 200, description = "the file's bytes"), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 410, body = Problem))
)]
#[get("/v1/grants/{id}/licences/{identifier}/files/{sha256}")]
pub async fn open_file(
    hub: web::Data<Hub>,
    by: CalledBy,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    let asker = asker(&hub, &by)?;
    let (grant, identifier, sha256) = path.into_inner();
    let identifier = parse_identifier(&identifier)?;
    let sha256 = parse_digest(&sha256)?;
    let (file, bytes) = pull::open_file(&hub, &asker, &grant, &identifier, &sha256).await?;
    Ok(file_answer(&file.media_type, bytes))
}

pub(super) fn parse_digest(text: &str) -> Result<Sha256Digest, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request("digest", "a SHA-256 digest has 64 lower-case hex digits")
    })
}

/// A file of a licence, to be saved and never shown as a page.
pub(crate) fn file_answer(media_type: &str, bytes: Bytes) -> HttpResponse {
    let safe = header::HeaderValue::from_str(media_type)
        .unwrap_or(header::HeaderValue::from_static("application/octet-stream"));
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, safe))
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(bytes)
}
