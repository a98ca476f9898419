//! What is a holder's own: licences, who looked at them, consents, corrections.

use actix_web::{HttpResponse, get, web};
use indexes::UseAct;
use jiff::{Timestamp, civil::Date};
use licence::{LicenceId, LicenceTypeCode, Seq};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    corrections::{CorrectionAnswer, correction_wire},
    error::Problem,
    grants::{ConsentAnswer, consent_wire, file_answer, parse_digest},
    licences::parse_identifier,
    who::acting_for,
};
use crate::{
    Hub,
    judge::{Face, Outcome},
    login::Person,
    pull::Pulled,
    reuse::{
        consents as asked, corrections as disputes,
        corrections::Disputed,
        own,
        uses::{self as access, SeenUse},
    },
};

/// Most in a list.
const MOST_LISTED: usize = 500;

/// For whom, and how many.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OwnQuery {
    /// Place in the list of those the person acts for; 0 is the person.
    #[serde(default)]
    holder: usize,
    /// At most so many, up to 500.
    #[serde(default)]
    limit: Option<usize>,
}

impl OwnQuery {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(100).min(MOST_LISTED)
    }
}

/// One of the holder's licences.
#[derive(Serialize, ToSchema)]
struct OwnLicence<'a> {
    #[schema(value_type = String)]
    identifier: &'a LicenceId,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    licence_type: &'a LicenceTypeCode,
    /// Name of the type.
    name: &'a str,
    issuer: String,
    issuer_name: &'a str,
    #[schema(value_type = String)]
    issued_on: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    valid_to: Option<Date>,
    status: &'static str,
    validity: &'static str,
    result: Outcome,
    /// Left out of an untrusted licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    fields: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disputed: Option<&'a Disputed>,
}

#[derive(Serialize, ToSchema)]
struct OwnLicences<'a> {
    licences: Vec<OwnLicence<'a>>,
}

/// A file of one of the holder's own licences. The look is on the access log.
#[utoipa::path(
    params(("identifier" = String, Path, description = "证照标识"),
           ("sha256" = String, Path, description = "SHA-256 of the file"), OwnQuery),
    responses((status = 200, description = "the file's bytes"), (status = 401, body = Problem),
              (status = 404, body = Problem))
)]
#[get("/v1/holders/me/licences/{identifier}/files/{sha256}")]
pub async fn own_file(
    hub: web::Data<Hub>,
    person: Person,
    path: web::Path<(String, String)>,
    query: web::Query<OwnQuery>,
) -> Result<HttpResponse, Problem> {
    let (identifier, sha256) = path.into_inner();
    let (identifier, sha256) = (parse_identifier(&identifier)?, parse_digest(&sha256)?);
    let who = acting_for(&person, query.holder)?;
    let (file, bytes) = own::file(&hub, &who, &identifier, &sha256).await?;
    Ok(file_answer(&file.media_type, bytes))
}

/// The holder's own licences, newest first. The look is on the access log.
#[utoipa::path(
    params(OwnQuery),
    responses((status = 200, body = OwnLicences), (status = 401, body = Problem),
              (status = 403, body = Problem))
)]
#[get("/v1/holders/me/licences")]
pub async fn licences(
    hub: web::Data<Hub>,
    person: Person,
    query: web::Query<OwnQuery>,
) -> Result<HttpResponse, Problem> {
    let who = acting_for(&person, query.holder)?;
    let found = own::licences(&hub, &who, query.limit()).await?;
    let licences = found.iter().map(|pulled| own_wire(&hub, pulled)).collect();
    Ok(HttpResponse::Ok().json(OwnLicences { licences }))
}

fn own_wire<'a>(hub: &'a Hub, pulled: &'a Pulled) -> OwnLicence<'a> {
    let stored = &pulled.stored;
    let (number, valid_to, fields) = match pulled.face() {
        Some(Face { number, valid_to, fields, .. }) => (Some(number), valid_to, Some(fields)),
        None => (None, None, None),
    };
    let name = hub.catalogue.entry(&stored.licence_type).map(|entry| entry.name.as_str());
    OwnLicence {
        identifier: &stored.identifier,
        licence_type: &stored.licence_type,
        name: name.unwrap_or_default(),
        issuer: stored.issuer.to_string(),
        issuer_name: hub.department_name(stored.issuer.credit_code()),
        issued_on: stored.issued_on,
        valid_to,
        status: stored.status.word(),
        validity: pulled.verification.validity,
        result: pulled.verification.result,
        number,
        fields,
        disputed: pulled.disputed.as_ref(),
    }
}

/// A use, as the holder sees it: no clerk's account, no other holder.
#[derive(Serialize, ToSchema)]
struct UseAnswer {
    /// Its number in the access log.
    #[serde(rename = "use")]
    #[schema(value_type = u64)]
    seq: Seq,
    #[schema(value_type = String)]
    at: Timestamp,
    /// Credit code of the department.
    department: String,
    department_name: String,
    /// The window there.
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<String>,
    /// `pull`, `open`, `search`, `view`, `own`.
    #[schema(value_type = String)]
    act: UseAct,
    #[serde(skip_serializing_if = "Option::is_none")]
    matter_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    /// `holder`, `consent`, `duty`.
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<&'static str>,
    /// The consent, or the mandate's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// What the mandate is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_name: Option<String>,
    /// 申请事由, numbers hidden.
    reason: String,
    licences: Vec<UsedLicence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct UsedLicence {
    #[schema(value_type = String)]
    identifier: LicenceId,
    /// Name of the type.
    name: String,
}

#[derive(Serialize, ToSchema)]
struct Uses {
    uses: Vec<UseAnswer>,
}

/// Who looked at the holder's licences, when, why and under which grant; newest first. Uses under a mandate that is
/// disclosed later appear when its delay is over.
#[utoipa::path(
    params(OwnQuery),
    responses((status = 200, body = Uses), (status = 401, body = Problem),
              (status = 403, body = Problem))
)]
#[get("/v1/holders/me/uses")]
pub async fn uses(
    hub: web::Data<Hub>,
    person: Person,
    query: web::Query<OwnQuery>,
) -> Result<HttpResponse, Problem> {
    let who = acting_for(&person, query.holder)?;
    let seen = access::seen(&hub, &who, query.limit()).await?;
    Ok(HttpResponse::Ok().json(Uses { uses: seen.into_iter().map(use_wire).collect() }))
}

fn use_wire(seen: SeenUse) -> UseAnswer {
    let licence = |(identifier, name)| UsedLicence { identifier, name };
    UseAnswer {
        seq: seen.seq,
        at: seen.at,
        department: seen.department.to_string(),
        department_name: seen.department_name,
        organisation: seen.organisation,
        act: seen.act,
        matter_name: seen.matter_name,
        case: seen.case,
        basis: seen.basis.map(indexes::BasisKind::word),
        reference: seen.reference,
        reference_name: seen.reference_name,
        reason: seen.reason,
        licences: seen.licences.into_iter().map(licence).collect(),
        grant: seen.grant,
    }
}

#[derive(Serialize, ToSchema)]
struct OwnConsents {
    consents: Vec<ConsentAnswer>,
}

/// What the holder was asked for, newest first.
#[utoipa::path(
    params(OwnQuery),
    responses((status = 200, body = OwnConsents), (status = 401, body = Problem),
              (status = 403, body = Problem))
)]
#[get("/v1/holders/me/consents")]
pub async fn consents(
    hub: web::Data<Hub>,
    person: Person,
    query: web::Query<OwnQuery>,
) -> Result<HttpResponse, Problem> {
    let who = acting_for(&person, query.holder)?;
    let found = asked::of_holder(&hub, &who, query.limit()).await?;
    let consents = found.into_iter().map(|one| consent_wire(&hub, one)).collect();
    Ok(HttpResponse::Ok().json(OwnConsents { consents }))
}

#[derive(Serialize, ToSchema)]
struct OwnCorrections {
    corrections: Vec<CorrectionAnswer>,
}

/// What the holder disputed, newest first.
#[utoipa::path(
    params(OwnQuery),
    responses((status = 200, body = OwnCorrections), (status = 401, body = Problem),
              (status = 403, body = Problem))
)]
#[get("/v1/holders/me/corrections")]
pub async fn corrections(
    hub: web::Data<Hub>,
    person: Person,
    query: web::Query<OwnQuery>,
) -> Result<HttpResponse, Problem> {
    let who = acting_for(&person, query.holder)?;
    let found = disputes::of_holder(&hub, &who, query.limit()).await?;
    let corrections = found.into_iter().map(|one| correction_wire(&hub, one)).collect();
    Ok(HttpResponse::Ok().json(OwnCorrections { corrections }))
}
