//! The connection to the gateway, and the token: the only I/O of this connector.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use reqwest::{header, redirect};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

use super::{
    encode::{self, Access, Content, Key, Moment, Wire},
    message_signatures::SigningKey,
    reply::{self, Response, Verdict},
    settings::{Ready, Settings},
    shape::{Action, Call},
    sign::{KeyForm, Method},
};
use crate::{DeliveryError, Problem, pem};

/// Bytes of an answer that are read.
pub(crate) const ANSWER_LIMIT: usize = 4 << 20;
/// How far the gateway's clock may be from ours for its time to be taken, in milliseconds: a day.
const SKEW_LIMIT_MS: i64 = 86_400_000;

/// What came of a call.
pub(crate) enum Answered {
    /// Done, with the body.
    Taken(Value),
    /// Not taken, now or later.
    Refused {
        /// The gateway's code.
        code: String,
        /// Its words, made fit to be kept.
        remark: String,
    },
}

struct Token {
    text: String,
    renew_at: Instant,
    number: u64,
}

pub(crate) struct Client {
    settings: Arc<Settings>,
    /// Made at the first use and again after a connection failed: certificates are renewed as files.
    client: Mutex<Option<reqwest::Client>>,
    /// Held while logging in, so that of many that need a token one fetches it.
    token: tokio::sync::Mutex<Option<Token>>,
    /// How far the gateway's clock is ahead of ours, in milliseconds, as far as it insists.
    ahead_ms: AtomicI64,
}

impl Client {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            client: Mutex::new(None),
            token: tokio::sync::Mutex::new(None),
            ahead_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes a call: with a token if the shape has any, signed if it says so. A token that is not accepted is renewed
    /// once, a time that is not accepted is taken from the gateway once.
    pub(crate) async fn call(
        &self,
        ready: &Ready,
        call: &Call,
        content: &Content,
    ) -> Result<Answered, DeliveryError> {
        let mut access = self.access(ready)?;
        let mut number = None;
        let (mut renewed, mut clocked) = (false, false);
        loop {
            if ready.shape.token.is_some() {
                let refused = number.filter(|_| renewed);
                let (text, found) = self.token(ready, &access, refused).await?;
                access.token = text;
                number = Some(found);
            }
            let response = self.exchange(ready, call, content, &access).await?;
            match reply::verdict(&ready.shape.answers, &response) {
                Verdict::Taken(body) => return Ok(Answered::Taken(body)),
                Verdict::Refused { code, remark } => return Ok(Answered::Refused { code, remark }),
                Verdict::Failed(error) => return Err(error),
                Verdict::Renew { .. } if number.is_some() && !renewed => renewed = true,
                Verdict::Renew { code } => {
                    *self.token.lock().await = None;
                    return Err(DeliveryError::Configuration(Problem::TokenRefused { code }));
                }
                Verdict::Clock if !clocked && self.follow(&response) => clocked = true,
                Verdict::Clock => {
                    return Err(DeliveryError::Configuration(Problem::ClockDiffers));
                }
            }
        }
    }

    /// The token, fetched if there is none, if it is about to run out, or if the one with the number `refused` is the
    /// one we have.
    async fn token(
        &self,
        ready: &Ready,
        access: &Access,
        refused: Option<u64>,
    ) -> Result<(String, u64), DeliveryError> {
        let Some(shape) = &ready.shape.token else { return Ok((String::new(), 0)) };
        let mut kept = self.token.lock().await;
        let next = kept.as_ref().map_or(0, |token| token.number + 1);
        if let Some(token) = &*kept
            && Some(token.number) != refused
            && Instant::now() < token.renew_at
        {
            return Ok((token.text.clone(), token.number));
        }
        let bare =
            Access { token: String::new(), secret: access.secret.clone(), key: self.key(ready)? };
        let mut clocked = false;
        let body = loop {
            let response = self.exchange(ready, &shape.call, &Content::default(), &bare).await?;
            match reply::verdict(&ready.shape.answers, &response) {
                Verdict::Taken(body) => break body,
                Verdict::Failed(DeliveryError::Configuration(Problem::GatewayStopped { code }))
                | Verdict::Refused { code, .. }
                | Verdict::Renew { code } => {
                    return Err(DeliveryError::Configuration(Problem::TokenRefused { code }));
                }
                Verdict::Failed(error) => return Err(error),
                Verdict::Clock if !clocked && self.follow(&response) => clocked = true,
                Verdict::Clock => {
                    return Err(DeliveryError::Configuration(Problem::ClockDiffers));
                }
            }
        };
        let (text, lifetime) = reply::token(shape, &body)?;
        // By our monotonic clock: neither side's calendar counts.
        let early = (lifetime / 10).min(Duration::from_secs(60));
        let renew_at = Instant::now() + (lifetime - early);
        *kept = Some(Token { text: text.clone(), renew_at, number: next });
        Ok((text, next))
    }

    /// Secret and key as their files have them now.
    fn access(&self, ready: &Ready) -> Result<Access, DeliveryError> {
        let [(setting, secret), _] = self.settings.secrets();
        let secret = match secret {
            None => Vec::new(),
            Some(path) => {
                let content = pem::read(setting, path).map_err(DeliveryError::Configuration)?;
                KeyForm::Text.read(&content).ok_or_else(|| {
                    let why = "is empty";
                    DeliveryError::Configuration(pem::unusable(setting, path, why))
                })?
            }
        };
        Ok(Access { token: String::new(), secret, key: self.key(ready)? })
    }

    fn key(&self, ready: &Ready) -> Result<Key, DeliveryError> {
        let [_, (setting, path)] = self.settings.secrets();
        let (Some(sign), Some(path)) = (&ready.shape.sign, path) else { return Ok(Key::None) };
        let content = pem::read(setting, path).map_err(DeliveryError::Configuration)?;
        let unusable = |why| DeliveryError::Configuration(pem::unusable(setting, path, why));
        let bytes = || sign.key.read(&content).ok_or_else(|| unusable("holds no key in that form"));
        Ok(match (sign.method, sign.algorithm) {
            (Method::Rfc9421, Some(algorithm)) => {
                let hmac = algorithm == super::message_signatures::Algorithm::HmacSha256;
                let key = if hmac { bytes()? } else { content.clone() };
                let key = SigningKey::parse(algorithm, &key);
                Key::Message(Box::new(
                    key.ok_or_else(|| unusable("holds no key of the algorithm"))?,
                ))
            }
            _ => Key::Bytes(bytes()?),
        })
    }

    /// Takes the gateway's time. False: it does not say, or its time cannot be why.
    fn follow(&self, response: &Response) -> bool {
        let Some(date) = response.date else { return false };
        let ahead = date.as_millisecond() - Timestamp::now().as_millisecond();
        if ahead.abs() > SKEW_LIMIT_MS {
            return false;
        }
        let before = self.ahead_ms.swap(ahead, Ordering::Relaxed);
        // `Date` is in whole seconds.
        (before - ahead).abs() > 1_500
    }

    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed));
        let now = Timestamp::now();
        now.checked_add(ahead).unwrap_or(now)
    }

    async fn exchange(
        &self,
        ready: &Ready,
        call: &Call,
        content: &Content,
        access: &Access,
    ) -> Result<Response, DeliveryError> {
        let moment = Moment { now: self.now(), nonce: nonce()? };
        let wire = encode::wire(&self.settings, ready, call, content, access, &moment)
            .map_err(|why| DeliveryError::Configuration(Problem::ShapeUnusable { why }))?;
        self.send(ready, wire).await
    }

    async fn send(&self, ready: &Ready, wire: Wire) -> Result<Response, DeliveryError> {
        let shape = |why: &str| {
            DeliveryError::Configuration(Problem::ShapeUnusable { why: why.to_owned() })
        };
        let url = self
            .settings
            .url
            .join(&wire.target)
            .map_err(|_| shape("a path does not make an address"))?;
        if url.origin() != self.settings.url.origin() {
            return Err(shape("a path leads to another machine"));
        }
        let method = reqwest::Method::from_bytes(wire.method.as_bytes())
            .map_err(|_| shape("a method is none"))?;
        let mut request = self.client()?.request(method, url).body(wire.body);
        for (name, value) in wire.headers {
            let mut value = header::HeaderValue::from_str(&value)
                .map_err(|_| shape("a header's value cannot be sent"))?;
            value.set_sensitive(true); // it may be the token
            request = request.header(name, value);
        }
        let mut response = request
            .header(header::ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| self.explain(&error))?;
        let status = response.status().as_u16();
        let word = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = word(header::RETRY_AFTER)
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let date = word(header::DATE)
            .and_then(|text| jiff::fmt::rfc2822::parse(text).ok())
            .map(|date| date.timestamp());
        let mut body = Vec::new();
        // What a failing gateway writes is not read unless the shape says that it counts.
        if reply::of_status(&ready.shape.answers, status) == Action::Body {
            while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
                if body.len() + chunk.len() > ANSWER_LIMIT {
                    return Err(DeliveryError::Configuration(Problem::AnswerTooLarge {
                        limit: ANSWER_LIMIT,
                    }));
                }
                body.extend_from_slice(&chunk);
            }
        }
        Ok(Response { status, retry_after, date, body })
    }

    fn client(&self) -> Result<reqwest::Client, DeliveryError> {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        let settings = &self.settings;
        let identity = settings.identity.as_ref();
        let identity = identity.map(|(chain, key)| (chain.as_path(), key.as_path()));
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
            .map_err(|error| self.explain(&error))?;
        *kept = Some(client.clone());
        Ok(client)
    }

    /// Also drops the client, so that the next attempt reads the certificates again.
    fn explain(&self, error: &reqwest::Error) -> DeliveryError {
        if let Ok(mut kept) = self.client.lock() {
            *kept = None;
        }
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

/// 128 random bits.
fn nonce() -> Result<String, DeliveryError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        let why = "the system has no random bytes".to_owned();
        DeliveryError::Configuration(Problem::ShapeUnusable { why })
    })?;
    Ok(hex::encode(bytes))
}
