//! `Idempotency-Key`: the same request sent twice is done once, and answered the same.
//!
//! A key belongs to the calling department and the address. Only what succeeded is remembered; a
//! refusal may be asked again under the same key.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::error::Problem;
use crate::{hub::Hub, tls::Caller};

/// A successful answer, ready to be remembered.
pub struct Done {
    /// Its status.
    pub status: StatusCode,
    /// Its body, JSON.
    pub body: Vec<u8>,
}

impl Done {
    /// Serialises an answer.
    ///
    /// # Errors
    /// `unserialisable`: a defect of the hub.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(|_| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unserialisable",
                "the answer could not be written",
            )
        })?;
        Ok(Self { status, body })
    }

    fn respond(self, replayed: bool) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if replayed {
            response.insert_header(("Idempotent-Replayed", "true"));
        }
        response.content_type("application/json").body(self.body)
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    request: String,
    status: u16,
    body: Vec<u8>,
}

/// Does `work` once for the request's `Idempotency-Key`; without a key, does it.
///
/// # Errors
/// `idempotency_key` if the key is malformed, `idempotency_key_reused` if it came with another body,
/// `in_progress` while the first request is being worked on, and whatever `work` says.
pub async fn once(
    hub: &Hub,
    caller: &Caller,
    request: &HttpRequest,
    body: &[u8],
    work: impl Future<Output = Result<Done, Problem>>,
) -> Result<HttpResponse, Problem> {
    let Some(given) = request.headers().get("Idempotency-Key") else {
        return Ok(work.await?.respond(false));
    };
    let given = given
        .to_str()
        .ok()
        .filter(|given| (1..=128).contains(&given.len()))
        .ok_or_else(|| {
            Problem::bad_request("idempotency_key", "an Idempotency-Key has 1 to 128 ASCII characters")
        })?;
    let scope = format!("{} {} {given}", caller.department, request.path());
    let key = certs::sha256(scope.as_bytes()).as_bytes().to_vec();
    let digest = certs::sha256(body).to_string();

    let _working = Working::begin(hub, key.clone())?;
    if let Some(bytes) = hub.store.outcome(&key).await? {
        let held: Remembered = serde_json::from_slice(&bytes).map_err(|_| {
            Problem::unavailable("store_corrupt", "the remembered answer cannot be read")
        })?;
        if held.request != digest {
            return Err(Problem::unacceptable(
                "idempotency_key_reused",
                "this Idempotency-Key was used for another request: take a new key",
            )
            .at("request"));
        }
        let status = StatusCode::from_u16(held.status).unwrap_or(StatusCode::OK);
        return Ok(Done { status, body: held.body }.respond(true));
    }
    let done = work.await?;
    let held =
        Remembered { request: digest, status: done.status.as_u16(), body: done.body.clone() };
    let bytes = serde_json::to_vec(&held).unwrap_or_default();
    hub.store.save_outcome(&key, bytes, hub.clock.now()).await?;
    Ok(done.respond(false))
}

/// Holds a key while its request is worked on.
struct Working<'a> {
    hub: &'a Hub,
    key: Vec<u8>,
}

impl<'a> Working<'a> {
    fn begin(hub: &'a Hub, key: Vec<u8>) -> Result<Self, Problem> {
        let mut busy =
            hub.in_progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !busy.insert(key.clone()) {
            let mut problem = Problem::conflict(
                "in_progress",
                "a request with this Idempotency-Key is being worked on: ask again in a moment",
            )
            .at("request");
            problem.retry = true;
            return Err(problem);
        }
        Ok(Self { hub, key })
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut busy =
            self.hub.in_progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        busy.remove(&self.key);
    }
}
