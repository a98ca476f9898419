//! The connection to the receiver: the only I/O of this connector.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Url, header, redirect};

use super::{settings::Settings, wire::BATCH_MEDIA_TYPE};
use crate::{DeliveryError, Problem, pem};

/// Bytes of an answer that are read: refusing each event of a request takes less, and so do the tallies of half a
/// million buckets.
const ANSWER_LIMIT: usize = 64 << 20;

/// An answer of the receiver.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) json: bool,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Client {
    settings: Settings,
    /// Made at the first use and again after a connection failed: certificates are renewed as files.
    client: Mutex<Option<reqwest::Client>>,
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, client: Mutex::new(None) }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a batch of events.
    pub(crate) async fn post(&self, body: Vec<u8>) -> Result<Response, DeliveryError> {
        let request = self
            .client()?
            .post(self.settings.events.clone())
            .header(header::CONTENT_TYPE, BATCH_MEDIA_TYPE)
            .body(body);
        self.send(request).await
    }

    /// Asks a hub.
    pub(crate) async fn get(&self, url: Url) -> Result<Response, DeliveryError> {
        self.send(self.client()?.get(url)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, DeliveryError> {
        let mut response = request
            .header(header::ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| self.explain(&error))?;
        let status = response.status();
        let json = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                value.trim_start().to_ascii_lowercase().starts_with("application/json")
            });
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        // What a failing receiver writes is not read: nothing of it may be repeated.
        if status.is_success() {
            while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
                if body.len() + chunk.len() > ANSWER_LIMIT {
                    return Err(DeliveryError::Configuration(Problem::AnswerTooLarge {
                        limit: ANSWER_LIMIT,
                    }));
                }
                body.extend_from_slice(&chunk);
            }
        }
        Ok(Response { status: status.as_u16(), retry_after, json, body })
    }

    fn client(&self) -> Result<reqwest::Client, DeliveryError> {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        let settings = &self.settings;
        let identity = Some((settings.certificate.as_path(), settings.key.as_path()));
        let tls = pem::tls_client(&settings.ca, identity).map_err(DeliveryError::Configuration)?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .user_agent(concat!("yihao/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| self.told(&error))?;
        *kept = Some(client.clone());
        Ok(client)
    }

    /// Also drops the client, so that the next attempt reads the certificates again.
    fn explain(&self, error: &reqwest::Error) -> DeliveryError {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.told(error)
    }

    fn told(&self, error: &reqwest::Error) -> DeliveryError {
        let to = self.settings.address();
        if let Some(said) = pem::tls_error(error) {
            return DeliveryError::Configuration(Problem::Tls { to, said: said.to_string() });
        }
        if error.is_timeout() {
            let after = if error.is_connect() {
                self.settings.connect_timeout
            } else {
                self.settings.timeout
            };
            return DeliveryError::Unreachable(Problem::TimedOut { to, after });
        }
        if error.is_connect() {
            let kind =
                pem::io_kind(error).map_or_else(|| "failed".to_owned(), |kind| kind.to_string());
            return DeliveryError::Unreachable(Problem::Connect { to, kind });
        }
        DeliveryError::Unreachable(Problem::ConnectionLost { to })
    }
}
