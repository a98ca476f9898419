//! Licences: take in, change status, public face.

use actix_multipart::Multipart;
use actix_web::{HttpRequest, HttpResponse, get, http::StatusCode, http::header, post, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use indexes::StoredLicence;
use licence::{LicenceId, LicenceStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::{self, LICENCE_WITH_FILES, SMALL},
    error::Problem,
    idempotency::{Done, once},
};
use crate::{
    Hub, intake,
    judge::{Judge, Outcome, Proven, RevocationLink, Verification, face},
    reuse::corrections,
    stamps::{self, TimeStampState},
    tls::Caller,
};

/// A signed licence, as JSON.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignedLicence {
    /// The licence's bytes, base64.
    licence: String,
    /// The detached CMS signature over them (DER), base64.
    signature: String,
    /// Files that the licence lists.
    #[serde(default)]
    files: Vec<FileContent>,
}

/// A file of a licence.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FileContent {
    /// Its name, for the sender's own logs.
    #[serde(default)]
    #[allow(dead_code, reason = "accepted for readability; files are matched by digest")]
    name: String,
    /// Its media type, likewise.
    #[serde(default)]
    #[allow(dead_code, reason = "accepted for readability; files are matched by digest")]
    media_type: String,
    /// Its bytes, base64.
    content: String,
}

/// A licence that is in the repository.
#[derive(Serialize, ToSchema)]
struct Taken {
    /// 证照标识.
    #[schema(value_type = String)]
    identifier: LicenceId,
    /// Number of its entry in the registry log.
    #[schema(value_type = u64)]
    seq: licence::Seq,
    /// What was checked.
    verdict: Verification,
}

/// Takes in one signed licence.
///
/// The body is JSON, or `multipart/form-data` with the parts `licence`, `signature` and `file`
/// (repeated). The same bytes again are answered with 200 and the first number.
#[utoipa::path(
    request_body = SignedLicence,
    responses(
        (status = 201, body = Taken, description = "stored"),
        (status = 200, body = Taken, description = "the same bytes were held already"),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem),
    )
)]
#[post("/v1/licences")]
pub async fn take_in(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (licence, signature, files, body) = read_licence(&request, payload).await?;
    once(&hub, &caller, &request, &body, async {
        let taken = intake::take_in(&hub, &caller.department, licence, signature, files).await?;
        let stored = stored(&hub, &taken.identifier).await?;
        let verdict = Judge::new(&hub).licence(&stored, face(&stored.document).as_ref()).await?;
        let status = if taken.appended.new {
            metrics::counter!("yihao_licences_taken_in_total").increment(1);
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let seq = taken.appended.seq;
        Done::json(status, &Taken { identifier: taken.identifier, seq, verdict })
    })
    .await
}

async fn read_licence(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Bytes, Bytes, Vec<Bytes>, Bytes), Problem> {
    let multipart = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|said| said.to_str().ok())
        .is_some_and(|said| said.starts_with("multipart/form-data"));
    if multipart {
        return read_parts(request, payload).await;
    }
    let (signed, body): (SignedLicence, _) =
        body::json(request, payload, LICENCE_WITH_FILES).await?;
    let files = signed
        .files
        .iter()
        .map(|file| body::base64("files.content", &file.content))
        .collect::<Result<_, _>>()?;
    Ok((
        body::base64("licence", &signed.licence)?,
        body::base64("signature", &signed.signature)?,
        files,
        body,
    ))
}

async fn read_parts(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Bytes, Bytes, Vec<Bytes>, Bytes), Problem> {
    let wrong = |_| {
        Problem::bad_request(
            "multipart",
            "the multipart body is malformed or ended too early; nothing of it is stored",
        )
    };
    let mut parts = Multipart::new(request.headers(), payload);
    let (mut licence, mut signature, mut files) = (None, None, Vec::new());
    let mut left = LICENCE_WITH_FILES;
    let mut all = BytesMut::new();
    while let Some(part) = parts.next().await {
        let mut part = part.map_err(wrong)?;
        let name = part.name().unwrap_or_default().to_owned();
        let mut content = BytesMut::new();
        while let Some(chunk) = part.next().await {
            let chunk = chunk.map_err(wrong)?;
            left = left.checked_sub(chunk.len()).ok_or_else(|| {
                Problem::too_large(format!("the parts may have at most {LICENCE_WITH_FILES} bytes"))
            })?;
            content.extend_from_slice(&chunk);
        }
        all.extend_from_slice(certs::sha256(&content).as_bytes());
        let content = content.freeze();
        match name.as_str() {
            "licence" if licence.is_none() => licence = Some(content),
            "signature" if signature.is_none() => signature = Some(content),
            "file" if files.len() < 64 => files.push(content),
            _ => {
                return Err(Problem::bad_request(
                    "multipart",
                    "the parts are one `licence`, one `signature` and at most 64 times `file`",
                ));
            }
        }
    }
    match (licence, signature) {
        (Some(licence), Some(signature)) => Ok((licence, signature, files, all.freeze())),
        _ => Err(Problem::bad_request(
            "multipart",
            "the parts `licence` and `signature` are both needed",
        )),
    }
}

/// A status order, signed by the licence's issuer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignedOrder {
    /// The order's bytes (format `yihao-status-1`), base64.
    order: String,
    /// The detached CMS signature over them (DER), base64.
    signature: String,
}

/// The status after an order.
#[derive(Serialize, ToSchema)]
struct StatusChanged {
    /// 证照标识.
    #[schema(value_type = String)]
    identifier: LicenceId,
    /// Number of the entry in the registry log.
    #[schema(value_type = u64)]
    seq: licence::Seq,
    /// `valid`, `suspended`, `revoked`, `superseded`.
    status: &'static str,
}

/// Suspends, restores, revokes or supersedes a licence.
#[utoipa::path(
    params(("identifier" = String, Path, description = "证照标识")),
    request_body = SignedOrder,
    responses((status = 200, body = StatusChanged), (status = 404, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem))
)]
#[post("/v1/licences/{identifier}/status")]
pub async fn change_status(
    hub: web::Data<Hub>,
    caller: Caller,
    request: HttpRequest,
    identifier: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let identifier = parse_identifier(&identifier)?;
    let (signed, body): (SignedOrder, _) = body::json(&request, payload, SMALL * 4).await?;
    let order = body::base64("order", &signed.order)?;
    let signature = body::base64("signature", &signed.signature)?;
    once(&hub, &caller, &request, &body, async {
        let appended =
            intake::change_status(&hub, &caller.department, &identifier, order, signature).await?;
        Done::json(
            StatusCode::OK,
            &StatusChanged {
                identifier: identifier.clone(),
                seq: appended.seq,
                status: appended.status.word(),
            },
        )
    })
    .await
}

/// What anybody may know of a licence: no personal data.
#[derive(Serialize, ToSchema)]
struct PublicFace {
    /// 证照标识.
    #[schema(value_type = String)]
    identifier: LicenceId,
    /// Code of its type.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    licence_type: licence::LicenceTypeCode,
    /// Name of its type.
    name: String,
    /// Credit code of its issuer.
    #[schema(value_type = String)]
    issuer: licence::IssuerId,
    /// Day of issue.
    #[schema(value_type = String)]
    issued_on: jiff::civil::Date,
    /// `valid`, `suspended`, `revoked`, `superseded`.
    status: &'static str,
    /// The licence that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    superseded_by: Option<LicenceId>,
    /// `ok`, `not_yet`, `expired`.
    validity: &'static str,
    /// Whether it can be relied on now.
    result: Outcome,
    /// `ok`, `unsigned`: nobody signed it, or `damaged`.
    signature: &'static str,
    /// Revocation of the signer's certificates.
    revocation: RevocationLink,
    /// The time that this rests on, where a certificate was revoked or its anchor's time ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<Proven>,
    /// Since when its signature is shown to exist.
    time_stamp: TimeStampState,
    /// A holder disputes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    disputed: Option<DisputedSince>,
}

/// That a licence is disputed; which fields is for those who see them.
#[derive(Serialize, ToSchema)]
struct DisputedSince {
    /// Since when.
    #[schema(value_type = String)]
    since: jiff::Timestamp,
}

/// The public face of a licence: type, issuer, status, validity.
#[utoipa::path(
    params(("identifier" = String, Path, description = "证照标识")),
    responses((status = 200, body = PublicFace), (status = 404, body = Problem))
)]
#[get("/v1/licences/{identifier}")]
pub async fn public_face(
    hub: web::Data<Hub>,
    identifier: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let identifier = parse_identifier(&identifier)?;
    let stored = stored(&hub, &identifier).await?;
    let verdict = Judge::new(&hub).licence(&stored, face(&stored.document).as_ref()).await?;
    let time_stamp = stamps::state_of(&hub, &stored).await?;
    let superseded_by = match &stored.status {
        LicenceStatus::Superseded { by } => Some(by.clone()),
        _ => None,
    };
    let disputed = corrections::disputed(&hub, std::slice::from_ref(&identifier)).await?;
    let disputed = disputed.into_iter().flatten().next();
    Ok(HttpResponse::Ok().json(PublicFace {
        disputed: disputed.map(|disputed| DisputedSince { since: disputed.since }),
        name: hub
            .catalogue
            .entry(&stored.licence_type)
            .map(|entry| entry.name.clone())
            .unwrap_or_default(),
        identifier,
        licence_type: stored.licence_type,
        issuer: stored.issuer,
        issued_on: stored.issued_on,
        status: stored.status.word(),
        superseded_by,
        validity: verdict.validity,
        result: verdict.result,
        signature: verdict.signature,
        revocation: verdict.revocation,
        proven: verdict.proven,
        time_stamp,
    }))
}

/// Parses a licence identifier from an address.
///
/// # Errors
/// The identifier's own error code.
pub fn parse_identifier(text: &str) -> Result<LicenceId, Problem> {
    text.parse().map_err(|error: licence::CodeError| {
        Problem::bad_request(error.code(), error.to_string()).at("identifier")
    })
}

async fn stored(hub: &Hub, identifier: &LicenceId) -> Result<StoredLicence, Problem> {
    hub.store.licence(identifier).await?.ok_or_else(|| {
        Problem::not_found("unknown_licence", "no licence is held under this identifier")
            .at("identifier")
    })
}
