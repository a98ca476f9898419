//! Handing in files: announced, sent in pieces, finished; listed and opened.
//!
//! An upload goes on after a broken connection: `HEAD` tells in `Upload-Offset` how many bytes are held, and the next
//! `PATCH` begins there. The headers are those of tus 1.0 and of the IETF draft on resumable uploads. People come with a
//! session; a department's system opens what belongs to a case that was handed to it. Also served among the pages.

use std::fmt::Write;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError,
    body::SizedStream,
    delete, get, head,
    http::{StatusCode, header},
    patch, post, rt, web,
};
use jiff::{Timestamp, civil::Date};
use licence::Sha256Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::{self, SMALL},
    error::Problem,
};
use crate::{
    Hub,
    login::Person,
    reuse::{
        Who, cases,
        materials::{self, Check, Checked, Material, MaterialError, NewMaterial},
        upload::{self, Upload},
    },
    tls::Caller,
};

/// Media type of the pieces of an upload.
const PIECES: &str = "application/offset+octet-stream";
/// Most materials in one answer.
const MOST_LISTED: usize = 500;

/// A file that will be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUpload {
    /// 材料类型. With a case, `requirement` may stand in its place.
    #[serde(default)]
    kind: String,
    /// The requirement of the case that it is for: its kind is the one that is asked for.
    #[serde(default)]
    requirement: Option<String>,
    /// The file's name.
    name: String,
    /// Its bytes.
    size: u64,
    /// The case it is for; a clerk has to name one.
    #[serde(default)]
    case: Option<String>,
    /// Without a case: whose it is, as the place in the list of those the person acts for; 0 is the person.
    #[serde(default)]
    holder: usize,
    /// The last day on which it may be used, where the document has one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    valid_until: Option<Date>,
}

/// Where an upload stands.
#[derive(Serialize, ToSchema)]
struct UploadAnswer {
    /// Its id.
    id: String,
    /// Bytes in all.
    size: u64,
    /// Bytes that are held; the next one to send.
    offset: u64,
    /// When it is given up if it is not finished.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// The material it became.
    material: Option<String>,
}

impl UploadAnswer {
    fn of(upload: &Upload) -> Self {
        Self {
            id: upload.id.clone(),
            size: upload.size,
            offset: upload.held,
            ends_at: upload.ends_at(),
            material: upload.material.clone(),
        }
    }
}

/// A material.
#[derive(Serialize, ToSchema)]
struct MaterialAnswer {
    id: String,
    /// 材料类型.
    kind: String,
    name: String,
    media_type: String,
    size: u64,
    #[schema(value_type = String)]
    sha256: Sha256Digest,
    #[schema(value_type = String, format = DateTime)]
    handed_in_at: Timestamp,
    /// `holder`, or the code of the window.
    handed_in_by: String,
    /// What was checked: `type`, `scanned`, `not_scanned`.
    checked: Vec<CheckAnswer>,
    /// The last day on which it may be used, if one was named.
    #[schema(value_type = Option<String>, format = Date)]
    valid_until: Option<Date>,
    /// For the holder: the case it was handed in for.
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    /// For the holder: the cases that used it.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_by: Option<Vec<String>>,
    /// For the holder: how many copies it spared.
    #[serde(skip_serializing_if = "Option::is_none")]
    spared: Option<usize>,
    /// For the holder: a department sent it back, so that it is not used again.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_back: Option<bool>,
    /// Where its bytes are.
    href: String,
}

#[derive(Serialize, ToSchema)]
struct CheckAnswer {
    #[schema(value_type = String)]
    what: Checked,
    by: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl CheckAnswer {
    fn of(check: &Check) -> Self {
        Self { what: check.what, by: check.by.clone(), at: check.at }
    }
}

impl MaterialAnswer {
    /// What the holder is told, and what others who may see it are.
    fn of(material: &Material, for_holder: bool) -> Self {
        use crate::reuse::case::StepBy;
        let handed_in_by = match &material.by {
            StepBy::Clerk { node, .. } => node.clone(),
            StepBy::Holder | StepBy::Department | StepBy::Hub => "holder".to_owned(),
        };
        Self {
            id: material.id.clone(),
            kind: material.kind.clone(),
            name: material.name.clone(),
            media_type: material.media_type.clone(),
            size: material.size,
            sha256: material.sha256,
            handed_in_at: material.handed_in_at,
            handed_in_by,
            checked: material.checked.iter().map(CheckAnswer::of).collect(),
            valid_until: material.valid_until,
            case: material.case.clone().filter(|_| for_holder),
            used_by: for_holder.then(|| material.used_by.clone()),
            spared: for_holder.then(|| material.spared()),
            sent_back: for_holder.then_some(material.sent_back),
            href: format!("/v1/materials/{}/content", material.id),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct MaterialsAnswer {
    /// The newest first.
    materials: Vec<MaterialAnswer>,
}

/// Announces a file. `Location` of the answer is where its bytes go.
#[utoipa::path(
    request_body = NewUpload,
    responses((status = 201, body = UploadAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 413, body = Problem),
              (status = 422, body = Problem))
)]
#[post("/v1/materials")]
pub async fn begin_upload(
    hub: web::Data<Hub>,
    person: Person,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (new, _): (NewUpload, _) = body::json(&request, payload, SMALL).await?;
    let mut kind = new.kind;
    let (who, holder) = match &new.case {
        Some(case) => {
            let who = cases::stand(&hub, &person, case).await?;
            let case = cases::case(&hub, &who, case).await?.value;
            if let Some(requirement) = &new.requirement {
                kind = upload::asked_for(&hub, &who, &case, requirement).await?;
            }
            (who, case.holder)
        }
        None => {
            let acts_for = person.account.holders.get(new.holder).cloned();
            let nobody = || MaterialError::NotPermitted("you do not act for this holder");
            let holder = acts_for.ok_or_else(nobody)?;
            (Who::Holder { person, holder: holder.clone() }, holder)
        }
    };
    let what = NewMaterial {
        kind,
        name: new.name,
        size: new.size,
        case: new.case,
        valid_until: new.valid_until,
    };
    let upload = upload::begin(&hub, &who, &holder, &what).await?;
    let address = format!("/v1/materials/uploads/{}", upload.id);
    Ok(stands_at(&mut HttpResponse::Created(), &upload)
        .insert_header((header::LOCATION, address))
        .json(UploadAnswer::of(&upload)))
}

/// Tells how many bytes of an upload are held.
#[utoipa::path(
    params(("id" = String, Path)),
    responses((status = 200, description = "`Upload-Offset`, `Upload-Length`"),
              (status = 401, body = Problem), (status = 404, body = Problem))
)]
#[head("/v1/materials/uploads/{id}")]
pub async fn show_upload(
    hub: web::Data<Hub>,
    person: Person,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (_, upload) = upload::stand(&hub, &person, &id).await?;
    Ok(stands_at(&mut HttpResponse::Ok(), &upload).finish())
}

/// Takes the bytes of an upload from `Upload-Offset` on. If the connection breaks, what arrived is kept.
#[utoipa::path(
    params(("id" = String, Path), ("Upload-Offset" = u64, Header, description = "the first byte")),
    request_body(content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "`Upload-Offset`: the next byte"),
              (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 413, body = Problem), (status = 503, body = Problem))
)]
#[patch("/v1/materials/uploads/{id}")]
pub async fn append_to_upload(
    hub: web::Data<Hub>,
    person: Person,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    body::require_media_type(&request, PIECES)?;
    let offset = request.headers().get("upload-offset").and_then(|said| said.to_str().ok());
    let offset = offset.and_then(|said| said.parse().ok()).ok_or_else(|| {
        Problem::bad_request(
            "upload_offset_missing",
            "`Upload-Offset` must name the byte that the body begins with",
        )
    })?;
    let (who, _) = upload::stand(&hub, &person, &id).await?;
    // On a task of its own: when the connection ends, what arrived still has to be kept.
    let work = rt::spawn(async move { upload::append(&hub, &who, &id, offset, payload).await });
    match work.await.map_err(|_| broken())? {
        Ok(upload) => Ok(stands_at(&mut HttpResponse::NoContent(), &upload).finish()),
        Err(MaterialError::Offset { held }) => {
            let problem = Problem::from(MaterialError::Offset { held });
            let mut answer = problem.error_response();
            let name = header::HeaderName::from_static("upload-offset");
            answer.headers_mut().insert(name, header::HeaderValue::from(held));
            Ok(answer)
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a material of an upload whose bytes are all there: looked into, scanned, kept. May be asked again.
#[utoipa::path(
    params(("id" = String, Path)),
    responses((status = 200, body = MaterialAnswer), (status = 401, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 422, body = Problem), (status = 503, body = Problem))
)]
#[post("/v1/materials/uploads/{id}/finish")]
pub async fn finish_upload(
    hub: web::Data<Hub>,
    person: Person,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (who, _) = upload::stand(&hub, &person, &id).await?;
    let for_holder = matches!(who, Who::Holder { .. });
    // On a task of its own: a look into a large file is not begun again because somebody grew impatient.
    let work = rt::spawn(async move { upload::finish(&hub, &who, &id).await });
    let material = work.await.map_err(|_| broken())??;
    Ok(HttpResponse::Ok().json(MaterialAnswer::of(&material, for_holder)))
}

/// Gives an upload up.
#[utoipa::path(
    params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem))
)]
#[delete("/v1/materials/uploads/{id}")]
pub async fn abandon_upload(
    hub: web::Data<Hub>,
    person: Person,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (who, _) = upload::stand(&hub, &person, &id).await?;
    upload::abandon(&hub, &who, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    holder: usize,
    #[serde(default)]
    limit: Option<usize>,
}

/// The materials of the person who asks, or of an organisation that the person represents.
#[utoipa::path(
    params(("holder" = Option<usize>, Query, description = "place in the list of those the person acts for"),
           ("limit" = Option<usize>, Query, description = "at most 500")),
    responses((status = 200, body = MaterialsAnswer), (status = 401, body = Problem),
              (status = 403, body = Problem))
)]
#[get("/v1/materials")]
pub async fn list_materials(
    hub: web::Data<Hub>,
    person: Person,
    query: web::Query<Listed>,
) -> Result<HttpResponse, Problem> {
    let holder = person.account.holders.get(query.holder).cloned();
    let nobody = || MaterialError::NotPermitted("you do not act for this holder");
    let who = Who::Holder { holder: holder.ok_or_else(nobody)?, person };
    let limit = query.limit.unwrap_or(MOST_LISTED).min(MOST_LISTED);
    let materials = materials::of_holder(&hub, &who, limit).await?;
    let materials = materials.iter().map(|one| MaterialAnswer::of(one, true)).collect();
    Ok(HttpResponse::Ok().json(MaterialsAnswer { materials }))
}

/// What is known of a material.
#[utoipa::path(
    params(("id" = String, Path)),
    responses((status = 200, body = MaterialAnswer), (status = 401, body = Problem),
              (status = 404, body = Problem))
)]
#[get("/v1/materials/{id}")]
pub async fn show_material(
    hub: web::Data<Hub>,
    caller: Result<Caller, Problem>,
    person: Result<Person, Problem>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let who = who(&hub, caller, person, &id).await?;
    let material = materials::material(&hub, &who, &id).await?.value;
    let for_holder = matches!(who, Who::Holder { .. });
    Ok(HttpResponse::Ok().json(MaterialAnswer::of(&material, for_holder)))
}

/// Opens a material's bytes. For a department, that is a use, on record before the first byte.
#[utoipa::path(
    params(("id" = String, Path)),
    responses((status = 200, description = "the file's bytes"), (status = 401, body = Problem),
              (status = 404, body = Problem), (status = 503, body = Problem))
)]
#[get("/v1/materials/{id}/content")]
pub async fn open_material(
    hub: web::Data<Hub>,
    caller: Result<Caller, Problem>,
    person: Result<Person, Problem>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let who = who(&hub, caller, person, &id).await?;
    Ok(content(&hub, &who, &id).await?)
}

/// Answers with the bytes of a material, to be saved, never to be run.
///
/// # Errors
/// As [`upload::open`].
pub async fn content(hub: &Hub, who: &Who, id: &str) -> Result<HttpResponse, MaterialError> {
    let (material, bytes) = upload::open(hub, who, id).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, material.media_type.as_str()))
        .insert_header((header::CONTENT_DISPOSITION, saved_as(&material.name)))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(SizedStream::new(material.size, bytes)))
}

/// RFC 6266, with the name as in RFC 8187.
fn saved_as(name: &str) -> String {
    let mut value = "attachment; filename*=UTF-8''".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

/// A department's system with its certificate; else the person with a session.
async fn who(
    hub: &Hub,
    caller: Result<Caller, Problem>,
    person: Result<Person, Problem>,
    material: &str,
) -> Result<Who, Problem> {
    match (caller, person) {
        (Ok(caller), _) => Ok(Who::Department(caller)),
        (Err(_), person) => Ok(materials::stand(hub, &person?, material).await?),
    }
}

fn stands_at<'a>(
    answer: &'a mut HttpResponseBuilder,
    upload: &Upload,
) -> &'a mut HttpResponseBuilder {
    answer
        .insert_header(("Upload-Offset", upload.held.to_string()))
        .insert_header(("Upload-Length", upload.size.to_string()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
}

fn broken() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "upload_broken",
        "the hub made a mistake; what arrived is kept, ask again",
    )
}
