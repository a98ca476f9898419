//! Reading request bodies: bounded, complete, and JSON only where JSON is due.

use actix_web::{HttpRequest, error::PayloadError, http::header, web};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::error::Problem;

/// Most bytes of a small JSON request.
pub const SMALL: usize = 64 * 1024;

/// Most bytes of a single licence with its files.
pub const LICENCE_WITH_FILES: usize = 32 * 1024 * 1024;

/// Reads a whole body of at most `limit` bytes. A longer one is refused by its declared length
/// before a byte is read, or as soon as the limit is passed.
///
/// # Errors
/// `body_too_large`, `body_incomplete`.
pub async fn whole(
    request: &HttpRequest,
    mut payload: web::Payload,
    limit: usize,
) -> Result<Bytes, Problem> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > limit as u64) {
        return Err(too_large(limit));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| incomplete(&error))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads a JSON body of at most `limit` bytes.
///
/// # Errors
/// As [`whole`]; `not_json` for other content, `json` for JSON of another shape.
pub async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<(T, Bytes), Problem> {
    require_media_type(request, "application/json")?;
    let body = whole(request, payload, limit).await?;
    Ok((parse(&body)?, body))
}

/// Refuses a body of another media type.
///
/// # Errors
/// `media_type`, with what is expected.
pub fn require_media_type(request: &HttpRequest, expected: &str) -> Result<(), Problem> {
    let said = request.headers().get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok());
    let base = said.unwrap_or("").split(';').next().unwrap_or("").trim();
    if base.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Problem::new(
        actix_web::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "media_type",
        format!("the Content-Type must be {expected}"),
    )
    .at("request"))
}

/// Parses JSON; the message says where, never what stood there.
///
/// # Errors
/// `json`.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if std::str::from_utf8(body).is_err() {
        return Err(Problem::bad_request("json_encoding", "the body is not UTF-8 text"));
    }
    if body.contains(&0) {
        return Err(Problem::bad_request("json_encoding", "the body contains a NUL"));
    }
    // serde would read a list as a structure, member by member.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|first| *first == b'[') {
        return Err(Problem::bad_request("json", "the body is a list where an object is expected"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "the JSON ends too early",
            serde_json::error::Category::Syntax => "the JSON is malformed or nested too deeply",
            _ => "the JSON has another shape than this call takes",
        };
        Problem::bad_request(
            "json",
            format!(
                "{what}, at line {} column {}{}; see /v1/openapi.json",
                error.line(),
                error.column(),
                field_named(&error.to_string()),
            ),
        )
    })
}

/// serde names unknown, missing and duplicate fields in backquotes. Those that we know by name may
/// be repeated to the caller; what the caller wrote may not.
fn field_named(said: &str) -> String {
    for kind in ["missing field `", "duplicate field `"] {
        if let Some(rest) = said.strip_prefix(kind)
            && let Some((name, _)) = rest.split_once('`')
        {
            return format!(" ({kind}{name}`)");
        }
    }
    if said.starts_with("unknown field") { " (unknown field)".to_owned() } else { String::new() }
}

/// Decodes a base64 member.
///
/// # Errors
/// `base64`, with the member's name.
pub fn base64(member: &str, text: &str) -> Result<Bytes, Problem> {
    STANDARD.decode(text).map(Bytes::from).map_err(|_| {
        Problem::bad_request(
            "base64",
            format!("`{member}` is not base64 (RFC 4648 section 4, with padding)"),
        )
    })
}

/// The problem of a body that did not come to its end.
pub fn incomplete(error: &PayloadError) -> Problem {
    match error {
        PayloadError::Overflow => too_large(0),
        _ => Problem::bad_request(
            "body_incomplete",
            "the body ended before its declared length or could not be decoded; nothing of it \
             that was not acknowledged is stored, send it again",
        ),
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::too_large(format!("the body may have at most {limit} bytes"))
}
