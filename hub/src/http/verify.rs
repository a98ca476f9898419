//! `POST /v1/verify`: the same check that `hub verify` does offline, against this hub's anchors.

use actix_multipart::Multipart;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    post, web,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::value::RawValue;

use super::{body, error::Problem};
use crate::{
    Hub,
    tls::Caller,
    verify::{Input, Report, check},
};

/// Most bytes of a file with its signature and manifest.
const MOST: usize = 32 * 1024 * 1024;

/// Media types of a file that comes by itself. What it is, its content says.
const BY_ITSELF: [&str; 7] = [
    "application/pdf",
    "application/ofd",
    "application/cms",
    "application/pkcs7-mime",
    "application/pkcs7-signature",
    "application/x-pem-file",
    "application/octet-stream",
];

struct Sent {
    file: Bytes,
    signature: Option<Bytes>,
    manifest: Option<Bytes>,
}

/// Checks a file: a licence's evidence file, a package, a CMS file, a sealed OFD or a signed PDF.
///
/// The body is the file by itself, or `multipart/form-data` with the parts `file` and, for a detached signature,
/// `signature` and (for a licence of a batch) `manifest`. The answer is 200 with a verdict for each link, also for a file
/// that is not to be trusted. `held` says what this hub knows of a licence beyond the file. Nothing is kept.
#[utoipa::path(
    request_body(content = Object, description = "the file: evidence, package, CMS, OFD, PDF"),
    responses(
        (status = 200, body = Report), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem)
    )
)]
#[post("/v1/verify")]
pub async fn verify(
    hub: web::Data<Hub>,
    _caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let sent = read(&request, payload).await?;
    let trust = hub.trust();
    let now = hub.clock.now();
    let judged = web::block(move || {
        let input = Input {
            file: &sent.file,
            signature: sent.signature.as_deref(),
            manifest: sent.manifest.as_deref(),
        };
        check(input, &trust, now)
    });
    let (mut report, licence) = judged
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

async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Sent, Problem> {
    let said = request.headers().get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok());
    let base = said.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let alone = |file| Sent { file, signature: None, manifest: None };
    match base.as_str() {
        "application/json" => {
            let (_, file): (Box<RawValue>, _) = body::json(request, payload, MOST).await?;
            Ok(alone(file))
        }
        "multipart/form-data" => parts(request, payload).await,
        known if BY_ITSELF.contains(&known) => body::whole(request, payload, MOST).await.map(alone),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            format!(
                "the Content-Type must be application/json, multipart/form-data or one of {}",
                BY_ITSELF.join(", ")
            ),
        )
        .at("request")),
    }
}

async fn parts(request: &HttpRequest, payload: web::Payload) -> Result<Sent, Problem> {
    let wrong =
        |_| Problem::bad_request("multipart", "the multipart body is malformed or ended too early");
    let mut parts = Multipart::new(request.headers(), payload);
    let (mut file, mut signature, mut manifest) = (None, None, None);
    let mut left = MOST;
    while let Some(part) = parts.next().await {
        let mut part = part.map_err(wrong)?;
        let name = part.name().unwrap_or_default().to_owned();
        let mut content = BytesMut::new();
        while let Some(chunk) = part.next().await {
            let chunk = chunk.map_err(wrong)?;
            left = left.checked_sub(chunk.len()).ok_or_else(|| {
                Problem::too_large(format!("the parts may have at most {MOST} bytes"))
            })?;
            content.extend_from_slice(&chunk);
        }
        let place = match name.as_str() {
            "file" => &mut file,
            "signature" => &mut signature,
            "manifest" => &mut manifest,
            _ => {
                let said = "the parts are `file`, `signature` and `manifest`";
                return Err(Problem::bad_request("multipart", said));
            }
        };
        if place.replace(content.freeze()).is_some() {
            return Err(Problem::bad_request("multipart", "a part came twice"));
        }
    }
    let missing = || {
        Problem::bad_request(
            "multipart",
            "a part is missing: `file`, or `signature` beside `manifest`",
        )
    };
    let file = file.ok_or_else(missing)?;
    if manifest.is_some() && signature.is_none() {
        return Err(missing());
    }
    Ok(Sent { file, signature, manifest })
}
