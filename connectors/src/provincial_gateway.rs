//! A provincial gateway to try the `rest` connector on: an HTTPS server for demonstrations and tests.
//!
//! It speaks the two shapes that are built in, and checks what a gateway checks by itself, without the connector's
//! code: log-in and token, signature, time and nonce, the mandatory elements, the types agreed on. Of two records of
//! one licence the one with the higher key counts, so that repeats change nothing. With a journal it holds what it
//! took across a restart, and says that it took something only once that is on the disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    convert::Infallible,
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset};
use licence::{LicenceId, LicenceTypeCode, Seq};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use sm3::{Digest, Sm3};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Mark, Tally,
    rest::message_signatures::{self, Checked, Message, VerifyingKey},
};

/// Bytes of a request.
const BODY_LIMIT: usize = 32 << 20;
/// Connections at a time.
const CONNECTIONS: usize = 64;
/// How long a handshake, the head of a request or its body may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How far a request's time may be from the gateway's, in seconds.
const WINDOW_S: i64 = 300;
/// Tokens and nonces remembered.
const REMEMBERED: usize = 100_000;

/// How the gateway speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayShape {
    /// As `guangdong`: one record a request.
    Guangdong,
    /// As `gbt36906`: lists of records.
    Gbt36906,
}

/// Which signatures the gateway wants.
#[derive(Clone, Debug)]
pub enum GatewaySignatures {
    /// The shape's HMAC-SM3, with the secret as the key.
    HmacSm3,
    /// HTTP message signatures (RFC 9421) that cover method, authority, path and content.
    Message {
        /// Which key the signature must name.
        key_id: String,
        /// The key.
        key: VerifyingKey,
    },
}

/// What a gateway needs. `Debug` shows no secret.
#[derive(Clone)]
pub struct GatewaySettings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// PEM chain of the server certificate, leaf first.
    pub certificate: String,
    /// PEM key of it.
    pub key: String,
    /// PEM certificates that clients' certificates must lead to; `None`: clients need none.
    pub client_anchors: Option<String>,
    /// How it speaks.
    pub shape: GatewayShape,
    /// The application that may log in.
    pub access_id: String,
    /// Its secret.
    pub secret: String,
    /// Which signatures it wants.
    pub signatures: GatewaySignatures,
    /// How long a token holds.
    pub token_lifetime: Duration,
    /// The licence types agreed on. `None`: all.
    pub types: Option<BTreeSet<LicenceTypeCode>>,
    /// A file that what was taken is written to; `None`: it is gone with the gateway.
    pub journal: Option<PathBuf>,
}

impl std::fmt::Debug for GatewaySettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "GatewaySettings({:?} {})", self.shape, self.listen)
    }
}

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The server certificate, its key, or the clients' anchors.
    #[error("the gateway's certificates cannot be used")]
    Certificate,
    /// The address.
    #[error("the gateway cannot listen on {at}: {source}")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The journal.
    #[error("the gateway's journal cannot be read: {0}")]
    Journal(io::Error),
}

impl GatewayError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Certificate => "gateway_certificate",
            Self::Listen { .. } => "gateway_listen",
            Self::Journal(_) => "gateway_journal",
        }
    }
}

/// What goes wrong with the next request that hands records over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayFault {
    /// It is answered so, and not looked at.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
    },
    /// So many of its records are taken, then the gateway fails.
    HalfApplied(usize),
    /// It is handled, but the answer says of one record what it said already, of each that is refused too.
    ToldTwice,
    /// It is handled, and answered only after so long.
    Slow(Duration),
}

/// A running gateway. Dropping it ends it.
pub struct ProvincialGateway {
    address: SocketAddr,
    gateway: Arc<Gateway>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for ProvincialGateway {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ProvincialGateway({})", self.address)
    }
}

impl ProvincialGateway {
    /// Starts a gateway. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What cannot be used.
    pub async fn start(settings: GatewaySettings) -> Result<Self, GatewayError> {
        let tls = TlsAcceptor::from(Arc::new(tls_server(&settings)?));
        let listening = |source| GatewayError::Listen { at: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let mut held = Held::default();
        if let Some(path) = &settings.journal {
            held.read(path).map_err(GatewayError::Journal)?;
        }
        let gateway = Arc::new(Gateway { settings, held: Mutex::new(held) });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, tls, gateway.clone(), stopped));
        Ok(Self { address, gateway, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The numbers of the records that changed what it holds, in the order they came.
    pub fn taken(&self) -> Vec<Seq> {
        self.gateway.held().taken.clone()
    }

    /// The licences that count, with the number of the last change.
    pub fn current(&self) -> BTreeMap<LicenceId, Seq> {
        let held = self.gateway.held();
        let current = held.records.iter().filter(|(_, record)| record.current);
        current.map(|(identifier, record)| (identifier.clone(), record.seq)).collect()
    }

    /// The last record of a licence, as it came.
    pub fn record(&self, identifier: &LicenceId) -> Option<Value> {
        self.gateway.held().records.get(identifier).map(|record| record.content.clone())
    }

    /// What came with the last records beside them: the head of the request's body.
    pub fn last_head(&self) -> Value {
        self.gateway.held().head.clone()
    }

    /// How often somebody logged in.
    pub fn log_ins(&self) -> u64 {
        self.gateway.held().log_ins
    }

    /// How many requests handed records over, those that failed included.
    pub fn requests(&self) -> u64 {
        self.gateway.held().requests
    }

    /// No token given out so far holds any longer.
    pub fn expire_tokens(&self) {
        self.gateway.held().tokens.clear();
    }

    /// From now on log-ins are refused, or are not.
    pub fn refuse_log_ins(&self, refuse: bool) {
        self.gateway.held().refuses_log_ins = refuse;
    }

    /// Its clock is this much ahead of the machine's.
    pub fn clock_ahead(&self, by: SignedDuration) {
        self.gateway.held().ahead = by;
    }

    /// Goes wrong with the next requests that hand records over, one after the other.
    pub fn faults(&self, faults: impl IntoIterator<Item = GatewayFault>) {
        self.gateway.held().faults.extend(faults);
    }

    /// Ends it: requests under way are answered, for a second at most.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ = time::timeout(Duration::from_secs(2), &mut self.task).await;
    }
}

impl Drop for ProvincialGateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Gateway {
    settings: GatewaySettings,
    held: Mutex<Held>,
}

/// What the gateway holds.
#[derive(Default)]
struct Held {
    records: HashMap<LicenceId, Record>,
    taken: Vec<Seq>,
    head: Value,
    tokens: HashMap<String, Instant>,
    nonces: HashSet<String>,
    faults: VecDeque<GatewayFault>,
    ahead: SignedDuration,
    refuses_log_ins: bool,
    log_ins: u64,
    requests: u64,
}

struct Record {
    key: String,
    seq: Seq,
    licence_type: LicenceTypeCode,
    day: String,
    current: bool,
    content: Value,
}

/// What the gateway thinks of a request or a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Taken,
    TokenInvalid,
    SignatureInvalid,
    TimeInvalid,
    NonceUsed,
    LogInRefused,
    DataInvalid,
    TypeNotAgreed,
    Failing,
    NoRoute,
}

impl Outcome {
    /// The code as the shape has it, and the words.
    fn told(self, shape: GatewayShape) -> (&'static str, &'static str) {
        let (guangdong, gbt, words) = match self {
            Self::Taken => ("SUCCESS", "0", "成功"),
            Self::TokenInvalid => ("TOKEN_EXPIRED", "401", "令牌无效或已过期"),
            Self::SignatureInvalid => ("SIGNATURE_INVALID", "403", "签名不正确"),
            Self::TimeInvalid => ("TIMESTAMP_INVALID", "408", "请求时间超出允许范围"),
            Self::NonceUsed => ("NONCE_USED", "409", "随机数已使用"),
            Self::LogInRefused => ("PERMISSION_DENIED", "403", "应用账号或口令不正确"),
            Self::DataInvalid => ("DATA_INVALID", "422", "数据项缺失或格式不正确"),
            Self::TypeNotAgreed => ("TYPE_NOT_AGREED", "422", "未约定归集此类证照"),
            Self::Failing => ("SYSTEM_ERROR", "503", "系统繁忙"),
            Self::NoRoute => ("NO_SUCH_INTERFACE", "404", "接口不存在"),
        };
        match shape {
            GatewayShape::Guangdong => (guangdong, words),
            GatewayShape::Gbt36906 => (gbt, words),
        }
    }
}

/// A request that was read.
struct Asked {
    method: String,
    authority: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Gateway {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is complete before anything that could panic, so a poisoned lock guards whole data.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, asked: &Asked) -> Result<Value, Outcome> {
        let body: Value = serde_json::from_slice(&asked.body).map_err(|_| Outcome::DataInvalid)?;
        let path = asked.target.split('?').next().unwrap_or_default();
        let call = Call::of(self.settings.shape, path).ok_or(Outcome::NoRoute)?;
        self.check_signature(asked)?;
        if call == Call::LogIn {
            return self.log_in(&body);
        }
        self.check_token(asked, &body)?;
        match call {
            Call::LogIn => Err(Outcome::NoRoute),
            Call::Push => self.take(body),
            Call::Counts => Ok(self.counts()),
            Call::Tallies => Ok(self.tallies()),
            Call::Holdings => self.holdings(&body),
        }
    }

    fn check_signature(&self, asked: &Asked) -> Result<(), Outcome> {
        let now = (Timestamp::now() + self.held().ahead).as_second();
        let (at, nonce) = match &self.settings.signatures {
            GatewaySignatures::HmacSm3 => self.check_hmac(asked)?,
            GatewaySignatures::Message { key_id, key } => check_message(asked, key_id, key)?,
        };
        if (now - at).abs() > WINDOW_S {
            return Err(Outcome::TimeInvalid);
        }
        let mut held = self.held();
        if held.nonces.len() >= REMEMBERED {
            held.nonces.clear();
        }
        if nonce.len() < 16 || !held.nonces.insert(nonce) {
            return Err(Outcome::NonceUsed);
        }
        Ok(())
    }

    /// The time in seconds and the nonce, if the signature is right.
    fn check_hmac(&self, asked: &Asked) -> Result<(i64, String), Outcome> {
        let header = |name| asked.header(name).ok_or(Outcome::SignatureInvalid);
        let digest = hex::encode(Sm3::digest(&asked.body));
        let path = asked.target.split('?').next().unwrap_or_default();
        let (string, signature, id, at, nonce) = match self.settings.shape {
            GatewayShape::Guangdong => {
                let (at, nonce) = (header("x-timestamp")?, header("x-nonce")?);
                let string = format!("{}\n{path}\n{at}\n{nonce}\n{digest}", asked.method);
                let millis: i64 = at.parse().map_err(|_| Outcome::TimeInvalid)?;
                let signature = hex::decode(header("x-signature")?).ok();
                (string, signature, header("x-app-id")?, millis / 1_000, nonce)
            }
            GatewayShape::Gbt36906 => {
                let (at, nonce, id) = (header("timestamp")?, header("nonce")?, header("accessid")?);
                let string = format!("{id}{at}{nonce}{digest}");
                let signature = STANDARD.decode(header("sign")?).ok();
                let time = DateTime::strptime("%Y%m%d%H%M%S", at).ok();
                let time = time.and_then(|time| Offset::constant(8).to_timestamp(time).ok());
                (string, signature, id, time.ok_or(Outcome::TimeInvalid)?.as_second(), nonce)
            }
        };
        let mut mac = Hmac::<Sm3>::new_from_slice(self.settings.secret.as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(string.as_bytes());
        let right = signature.is_some_and(|signature| mac.verify_slice(&signature).is_ok());
        if !right || id != self.settings.access_id {
            return Err(Outcome::SignatureInvalid);
        }
        Ok((at, nonce.to_owned()))
    }

    fn log_in(&self, body: &Value) -> Result<Value, Outcome> {
        let text = |at: &str| body.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let secret = &self.settings.secret;
        let right = match self.settings.shape {
            GatewayShape::Guangdong => {
                text("/account") == self.settings.access_id && text("/password") == secret
            }
            GatewayShape::Gbt36906 => {
                text("/accessId") == self.settings.access_id
                    && text("/data/accessSecret") == hex::encode(Sm3::digest(secret))
            }
        };
        let mut bytes = [0; 24];
        let random = SystemRandom::new().fill(&mut bytes).is_ok();
        let mut held = self.held();
        if !right || !random || held.refuses_log_ins {
            return Err(Outcome::LogInRefused);
        }
        held.log_ins += 1;
        if held.tokens.len() >= REMEMBERED {
            held.tokens.clear();
        }
        let token = hex::encode(bytes);
        let lifetime = self.settings.token_lifetime;
        held.tokens.insert(token.clone(), Instant::now() + lifetime);
        Ok(match self.settings.shape {
            GatewayShape::Guangdong => {
                json!({ "access_token": token, "expires_in": lifetime.as_secs() })
            }
            GatewayShape::Gbt36906 => {
                json!({ "accessToken": token, "expiresIn": lifetime.as_secs().to_string() })
            }
        })
    }

    fn check_token(&self, asked: &Asked, body: &Value) -> Result<(), Outcome> {
        let token = match self.settings.shape {
            GatewayShape::Guangdong => {
                asked.header("authorization").and_then(|value| value.strip_prefix("Bearer "))
            }
            GatewayShape::Gbt36906 => body.pointer("/accessToken").and_then(Value::as_str),
        };
        let held = self.held();
        let until = token.and_then(|token| held.tokens.get(token));
        match until.is_some_and(|until| Instant::now() < *until) {
            true => Ok(()),
            false => Err(Outcome::TokenInvalid),
        }
    }

    /// Takes records in order; what it says of each is durable.
    fn take(&self, mut body: Value) -> Result<Value, Outcome> {
        let limit = match self.held().faults.front() {
            Some(GatewayFault::HalfApplied(limit)) => Some(*limit),
            _ => None,
        };
        match self.settings.shape {
            GatewayShape::Guangdong => {
                let named = ["/service_item_code", "/service_item_name", "/biz_num"]
                    .iter()
                    .chain(&["/operator/account", "/operator/name", "/operator/service_org"]);
                let missing =
                    |at: &&&str| body.pointer(at).and_then(Value::as_str).is_none_or(str::is_empty);
                if named.clone().any(|at| missing(&at)) {
                    return Err(Outcome::DataInvalid);
                }
                let record = body.get_mut("data").map(Value::take).unwrap_or_default();
                if limit == Some(0) {
                    return Err(Outcome::Failing);
                }
                let outcome = self.take_one(record);
                self.held().head = body;
                match (outcome, limit) {
                    (_, Some(_)) => Err(Outcome::Failing),
                    (Outcome::Taken, None) => Ok(json!({ "accepted": 1 })),
                    (other, None) => Err(other),
                }
            }
            GatewayShape::Gbt36906 => {
                let records = match body.pointer_mut("/data/certs").map(Value::take) {
                    Some(Value::Array(records)) if records.len() <= 1_000 => records,
                    _ => return Err(Outcome::DataInvalid),
                };
                let counted = body.pointer("/data/count").and_then(Value::as_u64);
                let cause = body.pointer("/data/useCause").and_then(Value::as_str);
                if counted != Some(records.len() as u64) || cause.is_none_or(str::is_empty) {
                    return Err(Outcome::DataInvalid);
                }
                let mut results = Vec::with_capacity(records.len());
                for (place, record) in records.into_iter().enumerate() {
                    if limit.is_some_and(|limit| place >= limit) {
                        return Err(Outcome::Failing);
                    }
                    let key = record.get("key").cloned().unwrap_or_default();
                    let (code, words) = self.take_one(record).told(self.settings.shape);
                    results.push(json!({ "key": key, "status": code, "message": words }));
                }
                self.held().head = body;
                Ok(json!({ "results": results }))
            }
        }
    }

    fn take_one(&self, content: Value) -> Outcome {
        let Some((identifier, record)) = record(self.settings.shape, content) else {
            return Outcome::DataInvalid;
        };
        let agreed = |types: &BTreeSet<LicenceTypeCode>| types.contains(&record.licence_type);
        if !self.settings.types.as_ref().is_none_or(agreed) {
            return Outcome::TypeNotAgreed;
        }
        let mut held = self.held();
        if held.records.get(&identifier).is_some_and(|before| before.key >= record.key) {
            return Outcome::Taken;
        }
        if let Some(path) = &self.settings.journal
            && append(path, self.settings.shape, &record.content).is_err()
        {
            return Outcome::Failing;
        }
        held.keep(identifier, record);
        Outcome::Taken
    }

    fn counts(&self) -> Value {
        let mut counts = BTreeMap::<String, u64>::new();
        for record in self.held().records.values().filter(|record| record.current) {
            *counts.entry(record.licence_type.to_string()).or_default() += 1;
        }
        let name = self.names()[0];
        let counts = counts.into_iter().map(|(code, count)| json!({ name: code, "count": count }));
        json!({ "counts": counts.collect::<Value>() })
    }

    fn tallies(&self) -> Value {
        let held = self.held();
        let mut tallies = BTreeMap::<(String, String), Tally>::new();
        for (identifier, record) in held.records.iter().filter(|(_, record)| record.current) {
            let bucket = (record.licence_type.to_string(), record.day.clone());
            tallies.entry(bucket).or_default().add(mark(identifier, record));
        }
        let [code, day, _] = self.names();
        let tallies = tallies.into_iter().map(|((licence_type, issued), tally)| {
            let digest = tally.digest.to_string();
            json!({ code: licence_type, day: issued, "count": tally.count, "digest": digest })
        });
        json!({ "tallies": tallies.collect::<Value>() })
    }

    fn holdings(&self, body: &Value) -> Result<Value, Outcome> {
        let [code, day, id] = self.names();
        let text =
            |name: &str| body.get("data").and_then(|data| data.get(name)).and_then(Value::as_str);
        let (Some(licence_type), Some(issued)) = (text(code), text(day)) else {
            return Err(Outcome::DataInvalid);
        };
        let after = text("after").unwrap_or_default();
        let limit = body.pointer("/data/limit").and_then(Value::as_u64).unwrap_or(100).min(10_000);
        let issued = issued.replace('-', "");
        let held = self.held();
        let found: BTreeMap<&str, Mark> = held
            .records
            .iter()
            .filter(|(identifier, record)| {
                record.current
                    && record.licence_type.to_string() == licence_type
                    && record.day.replace('-', "") == issued
                    && identifier.as_str() > after
            })
            .map(|(identifier, record)| (identifier.as_str(), mark(identifier, record)))
            .collect();
        let list = found.into_iter().take(limit as usize);
        let list =
            list.map(|(identifier, mark)| json!({ id: identifier, "mark": mark.0.to_string() }));
        Ok(json!({ "holdings": list.collect::<Value>() }))
    }

    /// What the shape calls type, day of issue and identifier.
    fn names(&self) -> [&'static str; 3] {
        match self.settings.shape {
            GatewayShape::Guangdong => ["license_type", "issue_date", "license_id"],
            GatewayShape::Gbt36906 => ["certTypeCode", "issueDate", "certIdentifier"],
        }
    }

    fn answer(&self, outcome: &Result<Value, Outcome>) -> (StatusCode, Value) {
        let shape = self.settings.shape;
        let (data, told) = match outcome {
            Ok(data) => (data.clone(), Outcome::Taken),
            Err(outcome) => (Value::Null, *outcome),
        };
        let (code, words) = told.told(shape);
        match shape {
            GatewayShape::Gbt36906 => (
                StatusCode::OK,
                json!({ "head": { "status": code, "message": words }, "data": data }),
            ),
            GatewayShape::Guangdong => {
                let status = match told {
                    Outcome::TokenInvalid => StatusCode::UNAUTHORIZED,
                    Outcome::NoRoute => StatusCode::NOT_FOUND,
                    _ => StatusCode::OK,
                };
                let (ack, errors) = match told {
                    Outcome::Taken => ("SUCCESS", json!([])),
                    _ => ("FAILURE", json!([{ "code": code, "message": words }])),
                };
                (status, json!({ "ack_code": ack, "errors": errors, "data": data }))
            }
        }
    }
}

impl Held {
    fn keep(&mut self, identifier: LicenceId, record: Record) {
        self.taken.push(record.seq);
        self.records.insert(identifier, record);
    }

    fn read(&mut self, path: &Path) -> io::Result<()> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for line in text.lines() {
            let Ok(mut line) = serde_json::from_str::<Value>(line) else { continue };
            let shape = match line["shape"].as_str() {
                Some("guangdong") => GatewayShape::Guangdong,
                _ => GatewayShape::Gbt36906,
            };
            if let Some((identifier, record)) = record(shape, line["record"].take()) {
                self.keep(identifier, record);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    LogIn,
    Push,
    Counts,
    Tallies,
    Holdings,
}

impl Call {
    fn of(shape: GatewayShape, path: &str) -> Option<Self> {
        Some(match (shape, path) {
            (GatewayShape::Guangdong, "/v1/security/login")
            | (GatewayShape::Gbt36906, "/getAccessToken") => Self::LogIn,
            (GatewayShape::Guangdong, "/v1/license/push")
            | (GatewayShape::Gbt36906, "/pushCertInfo") => Self::Push,
            (GatewayShape::Guangdong, "/v1/license/count")
            | (GatewayShape::Gbt36906, "/countCertInfo") => Self::Counts,
            (GatewayShape::Guangdong, "/v1/license/tallies")
            | (GatewayShape::Gbt36906, "/tallyCertInfo") => Self::Tallies,
            (GatewayShape::Guangdong, "/v1/license/holdings")
            | (GatewayShape::Gbt36906, "/listCertInfo") => Self::Holdings,
            _ => return None,
        })
    }
}

/// The line that is marked: identifier and key of the last change.
fn mark(identifier: &LicenceId, record: &Record) -> Mark {
    Mark::of_line(&format!("{identifier}|{}", record.key))
}

fn record(shape: GatewayShape, content: Value) -> Option<(LicenceId, Record)> {
    let text =
        |name: &str| content.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (names, deletes) = match shape {
        GatewayShape::Guangdong => (
            [
                "license_id",
                "license_type",
                "issue_date",
                "license_name",
                "holder_name",
                "holder_code",
            ],
            "D",
        ),
        GatewayShape::Gbt36906 => (["ZZBS", "ZZLXDM", "ZZBFRQ", "ZZMC", "CZZT", "CZZTDM"], "3"),
    };
    let [identifier, licence_type, day, ..] = names;
    if names.iter().any(|name| text(name).is_none()) {
        return None;
    }
    let identifier: LicenceId = text(identifier)?.parse().ok()?;
    let key = text("key")?.to_owned();
    let seq = Seq(key.rsplit('-').next()?.parse().ok()?);
    let licence_type = text(licence_type)?.parse().ok()?;
    let current = text("operation")? != deletes;
    let day = text(day)?.to_owned();
    Some((identifier, Record { key, seq, licence_type, day, current, content }))
}

/// One line more, on the disk, or none.
fn append(path: &Path, shape: GatewayShape, content: &Value) -> io::Result<()> {
    let shape = match shape {
        GatewayShape::Guangdong => "guangdong",
        GatewayShape::Gbt36906 => "gbt36906",
    };
    let line = format!("{}\n", json!({ "shape": shape, "record": content }));
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    let before = file.metadata()?.len();
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
    if written.is_err() {
        let _ = file.set_len(before); // half a line would be read as none, but the next would follow it
    }
    written
}

/// Time and nonce, if the signature is right and covers what it must.
fn check_message(
    asked: &Asked,
    key_id: &str,
    key: &VerifyingKey,
) -> Result<(i64, String), Outcome> {
    let message = Message {
        method: &asked.method,
        authority: &asked.authority,
        target: &asked.target,
        headers: &asked.headers,
    };
    let label = asked.header("signature-input").and_then(|input| input.split('=').next());
    let checked = label.and_then(|label| message_signatures::verify(&message, label, key));
    let Some(Checked { components, created: Some(created), nonce: Some(nonce), key_id: named }) =
        checked
    else {
        return Err(Outcome::SignatureInvalid);
    };
    let covers = |name: &str| components.iter().any(|component| component == name);
    let digest = message_signatures::content_digest(&asked.body);
    let right = named.as_deref() == Some(key_id)
        && covers("@method")
        && covers("@authority")
        && covers("@path")
        && covers("content-digest")
        && asked.header("content-digest") == Some(&digest);
    if right { Ok((created, nonce)) } else { Err(Outcome::SignatureInvalid) }
}

fn tls_server(settings: &GatewaySettings) -> Result<ServerConfig, GatewayError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = || GatewayError::Certificate;
    let chain = certificates(&settings.certificate).ok_or_else(unusable)?;
    let key = PrivateKeyDer::from_pem_slice(settings.key.as_bytes()).map_err(|_| unusable())?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|_| unusable())?;
    let builder = match &settings.client_anchors {
        None => builder.with_no_client_auth(),
        Some(anchors) => {
            let mut roots = RootCertStore::empty();
            for anchor in certificates(anchors).ok_or_else(unusable)? {
                roots.add(anchor).map_err(|_| unusable())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|_| unusable())?)
        }
    };
    builder.with_single_cert(chain, key).map_err(|_| unusable())
}

fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    gateway: Arc<Gateway>,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Also ends when the gateway was dropped.
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = accepted else {
            time::sleep(Duration::from_millis(50)).await; // out of file descriptors, for example
            continue;
        };
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let (tls, gateway, stopped) = (tls.clone(), gateway.clone(), stopped.clone());
        connections.spawn(async move {
            talk(socket, tls, gateway, stopped).await;
            drop(place);
        });
    }
    drop(listener);
    let _ = time::timeout(Duration::from_secs(1), async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn talk(
    socket: TcpStream,
    tls: TlsAcceptor,
    gateway: Arc<Gateway>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(Ok(stream)) = time::timeout(PATIENCE, tls.accept(socket)).await else { return };
    let service = service_fn(move |request| answer(gateway.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let open = tokio::select! {
        _ = &mut connection => false,
        _ = stopped.wait_for(|stop| *stop) => true,
    };
    if open {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

async fn answer(
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let ahead = gateway.held().ahead;
    let read = time::timeout(PATIENCE, Limited::new(body, BODY_LIMIT).collect()).await;
    let Ok(Ok(body)) = read else {
        return Ok(json_answer(StatusCode::BAD_REQUEST, ahead, "{}".to_owned()));
    };
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let asked = Asked {
        method: head.method.as_str().to_owned(),
        target: head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        headers: headers.collect(),
        authority: head
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: body.to_bytes(),
    };
    let pushes = Call::of(gateway.settings.shape, &asked.target) == Some(Call::Push);
    let fault = if pushes {
        let mut held = gateway.held();
        held.requests += 1;
        held.faults.front().cloned()
    } else {
        None
    };
    if let Some(GatewayFault::Answer { status, body }) = &fault {
        gateway.held().faults.pop_front();
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Ok(json_answer(status, ahead, body.clone()));
    }
    // The journal is written while other requests go on.
    let handling = gateway.clone();
    let outcome = tokio::task::spawn_blocking(move || {
        let outcome = handling.handle(&asked);
        // A request that came without a token is made again; the fault is for that one.
        if !matches!(outcome, Err(Outcome::TokenInvalid)) && fault.is_some() {
            handling.held().faults.pop_front();
            return (outcome, fault);
        }
        (outcome, None)
    });
    let (outcome, fault) = outcome.await.unwrap_or((Err(Outcome::Failing), None));
    let (status, mut told) = gateway.answer(&outcome);
    match fault {
        Some(GatewayFault::Slow(pause)) => time::sleep(pause).await,
        Some(GatewayFault::ToldTwice) => {
            for at in ["/data/results", "/errors"] {
                if let Some(Value::Array(list)) = told.pointer_mut(at) {
                    list.extend(list.first().cloned());
                }
            }
        }
        _ => {}
    }
    Ok(json_answer(status, ahead, told.to_string()))
}

fn json_answer(status: StatusCode, ahead: SignedDuration, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    // RFC 9110, 5.6.7.
    let now = (Timestamp::now() + ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(now) = header::HeaderValue::from_str(&now) {
        headers.insert(header::DATE, now);
    }
    response
}
