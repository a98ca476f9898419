//! `Idempotency-Key`: the same request sent twice is done once, and answered the same.
//!
//! A key belongs to the calling department and the address. Only what succeeded is remembered; a
//! refusal may be asked again under the same key.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

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
        let body = serde_json::to_vec(body).map_err(|_| unserialisable())?;
        Ok(Self { status, body })
    }

    /// The HTTP answer; says so if it is not the first.
    #[must_use]
    pub fn respond(self, replayed: bool) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if replayed {
            response.insert_header(("Idempotent-Replayed", "true"));
        }
        response.content_type("application/json").body(self.body)
    }
}

#[derive(Serialize, Deserialize)]
struct RememberedAnswer {
    status: u16,
    body: Vec<u8>,
}

/// Does `work` once for the request's `Idempotency-Key`; without a key, does it. For answers that
/// may be kept as they are: no personal data, nothing that is judged at every read.
///
/// # Errors
/// As [`Once::begin`] and [`Once::recall`], and whatever `work` says.
pub async fn once(
    hub: &Hub,
    caller: &Caller,
    request: &HttpRequest,
    body: &[u8],
    work: impl Future<Output = Result<Done, Problem>>,
) -> Result<HttpResponse, Problem> {
    let Some(once) = Once::begin(hub, caller, request, body)? else {
        return Ok(work.await?.respond(false));
    };
    if let Some(held) = once.recall::<RememberedAnswer>().await? {
        let status = StatusCode::from_u16(held.status).unwrap_or(StatusCode::OK);
        return Ok(Done { status, body: held.body }.respond(true));
    }
    let done = work.await?;
    let held = RememberedAnswer { status: done.status.as_u16(), body: done.body.clone() };
    once.remember(&held).await?;
    Ok(done.respond(false))
}

/// A request with an `Idempotency-Key`, while it is worked on.
pub struct Once<'a> {
    key: Vec<u8>,
    request: String,
    working: Working<'a>,
}

#[derive(Serialize, Deserialize)]
struct Remembered<T> {
    request: String,
    answer: T,
}

impl<'a> Once<'a> {
    /// Reads the request's key and holds it; `None` without one.
    ///
    /// # Errors
    /// `idempotency_key` if the key is malformed, `in_progress` while the first request is being
    /// worked on.
    pub fn begin(
        hub: &'a Hub,
        caller: &Caller,
        request: &HttpRequest,
        body: &[u8],
    ) -> Result<Option<Self>, Problem> {
        Self::begin_for(hub, caller.department.as_str(), request, body)
    }

    /// As [`Once::begin`], for anybody whose requests are apart from others' under `scope`, such as a session.
    ///
    /// # Errors
    /// As [`Once::begin`].
    pub fn begin_for(
        hub: &'a Hub,
        scope: &str,
        request: &HttpRequest,
        body: &[u8],
    ) -> Result<Option<Self>, Problem> {
        let Some(given) = request.headers().get("Idempotency-Key") else {
            return Ok(None);
        };
        let given =
            given.to_str().ok().filter(|given| (1..=128).contains(&given.len())).ok_or_else(
                || {
                    Problem::bad_request(
                        "idempotency_key",
                        "an Idempotency-Key has 1 to 128 ASCII characters",
                    )
                },
            )?;
        let scope = format!("{scope} {} {given}", request.path());
        let key = certs::sha256(scope.as_bytes()).as_bytes().to_vec();
        let working = Working::begin(hub, key.clone())?;
        Ok(Some(Self { key, request: certs::sha256(body).to_string(), working }))
    }

    /// What was remembered of the same request.
    ///
    /// # Errors
    /// `idempotency_key_reused` if the key came with another body before; the store's.
    pub async fn recall<T: DeserializeOwned>(&self) -> Result<Option<T>, Problem> {
        let Some(bytes) = self.working.hub.store.outcome(&self.key).await? else {
            return Ok(None);
        };
        let held: Remembered<T> = serde_json::from_slice(&bytes).map_err(|_| {
            Problem::unavailable("store_corrupt", "the remembered answer cannot be read")
        })?;
        if held.request != self.request {
            return Err(Problem::unacceptable(
                "idempotency_key_reused",
                "this Idempotency-Key was used for another request: take a new key",
            )
            .at("request"));
        }
        Ok(Some(held.answer))
    }

    /// Remembers for the next time.
    ///
    /// # Errors
    /// The store's.
    pub async fn remember<T: Serialize>(&self, answer: &T) -> Result<(), Problem> {
        let held = Remembered { request: self.request.clone(), answer };
        let bytes = serde_json::to_vec(&held).map_err(|_| unserialisable())?;
        let hub = self.working.hub;
        Ok(hub.store.save_outcome(&self.key, bytes, hub.clock.now()).await?)
    }
}

fn unserialisable() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "unserialisable",
        "the answer could not be written",
    )
}

/// Holds a key while its request is worked on.
struct Working<'a> {
    hub: &'a Hub,
    key: Vec<u8>,
}

impl<'a> Working<'a> {
    fn begin(hub: &'a Hub, key: Vec<u8>) -> Result<Self, Problem> {
        let mut busy = hub.in_progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
