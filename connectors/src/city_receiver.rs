//! An HTTPS receiver of pushed records, as a city might run it: the other side of [`crate::http`].
//!
//! It keeps the last record of each licence in memory, up to a limit. For the demo and for tests; it forgets all when
//! it ends. Interface: `docs/formats/http-push.md`, and `GET /records/{identifier}` for the last record of a licence.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use licence::{LicenceId, LicenceTypeCode, Seq};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time,
};
use tokio_rustls::TlsAcceptor;

use crate::http::{Answer, Counts, FORMAT, Push, PushRecord, RefusedRecord};

/// Bytes of a push.
const BODY_LIMIT: usize = 96 << 20;
/// Records of a push.
const RECORDS_LIMIT: usize = 10_000;
/// Answers remembered by batch id.
const ANSWERS_KEPT: usize = 1_000;
/// Numbers remembered of the records taken.
const TAKEN_KEPT: usize = 10_000;
/// Connections at a time.
const CONNECTIONS: usize = 64;
/// How long a handshake, the head of a request or its body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a receiver needs.
#[derive(Clone, Debug)]
pub struct CitySettings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// PEM chain of the server certificate, leaf first.
    pub certificate: String,
    /// PEM key of it.
    pub key: String,
    /// PEM certificates that clients' certificates must lead to.
    pub client_anchors: String,
    /// Licences kept; records of others are refused with `receiver_full`.
    pub capacity: usize,
    /// The licence types agreed on; records of others are refused with `type_not_agreed`. `None`: all.
    pub types: Option<BTreeSet<LicenceTypeCode>>,
}

/// Why the receiver does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CityError {
    /// The server certificate or its key.
    #[error("the receiver's certificate and key cannot be used")]
    Certificate,
    /// The certificates that clients' must lead to.
    #[error("the certificates for the receiver's clients cannot be used")]
    ClientAnchors,
    /// The address.
    #[error("the receiver cannot listen on {at}: {source}")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl CityError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Certificate => "city_certificate",
            Self::ClientAnchors => "city_client_anchors",
            Self::Listen { .. } => "city_listen",
        }
    }
}

/// A running receiver. Dropping it ends it.
pub struct CityReceiver {
    address: SocketAddr,
    city: Arc<City>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl CityReceiver {
    /// Starts a receiver. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What cannot be used.
    pub async fn start(settings: CitySettings) -> Result<Self, CityError> {
        let tls = TlsAcceptor::from(Arc::new(tls_server(&settings)?));
        let listening = |source| CityError::Listen { at: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let city = Arc::new(City {
            capacity: settings.capacity,
            types: settings.types,
            held: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, tls, city.clone(), stopped));
        Ok(Self { address, city, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The valid licences it holds, by type.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.city.counts()
    }

    /// The last record of a licence.
    pub fn record(&self, identifier: &LicenceId) -> Option<PushRecord> {
        self.city.held().records.get(identifier).cloned()
    }

    /// How many licences it holds, valid or not.
    pub fn len(&self) -> usize {
        self.city.held().records.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the records that changed what it holds, in the order they came; the last 10,000.
    pub fn taken(&self) -> Vec<Seq> {
        self.city.held().taken.iter().copied().collect()
    }

    /// Ends it: requests under way are answered, for a second at most.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ = time::timeout(Duration::from_secs(2), &mut self.task).await;
    }
}

impl Drop for CityReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for CityReceiver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "CityReceiver({})", self.address)
    }
}

/// What the receiver holds.
struct City {
    capacity: usize,
    types: Option<BTreeSet<LicenceTypeCode>>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    records: HashMap<LicenceId, PushRecord>,
    answers: HashMap<String, Answer>,
    /// The batch ids of `answers`, oldest first.
    answered: VecDeque<String>,
    taken: VecDeque<Seq>,
}

impl City {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is complete before anything that could panic, so a poisoned lock guards whole data.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch whose id was answered before is answered the same again. A record counts if its number is higher than
    /// that of the one held: repeats in other batches change nothing.
    fn take(&self, push: Push) -> Answer {
        let mut held = self.held();
        if let Some(answer) = held.answers.get(&push.batch) {
            return answer.clone();
        }
        let mut answer = Answer { accepted: 0, refused: Vec::new() };
        for record in push.records {
            let before = held.records.get(&record.identifier).map(|before| before.seq);
            let refused = if !self
                .types
                .as_ref()
                .is_none_or(|types| types.contains(&record.licence_type))
            {
                Some((
                    "type_not_agreed",
                    "records of this licence type are not agreed on".to_owned(),
                ))
            } else if before.is_none() && held.records.len() >= self.capacity {
                Some(("receiver_full", format!("the receiver keeps {} licences", self.capacity)))
            } else {
                None
            };
            if let Some((code, remark)) = refused {
                answer.refused.push(RefusedRecord {
                    seq: record.seq.0,
                    code: code.to_owned(),
                    remark,
                });
                continue;
            }
            answer.accepted += 1;
            if before.is_none_or(|before| before < record.seq) {
                if held.taken.len() >= TAKEN_KEPT {
                    held.taken.pop_front();
                }
                held.taken.push_back(record.seq);
                held.records.insert(record.identifier.clone(), record);
            }
        }
        if held.answered.len() >= ANSWERS_KEPT
            && let Some(oldest) = held.answered.pop_front()
        {
            held.answers.remove(&oldest);
        }
        held.answered.push_back(push.batch.clone());
        held.answers.insert(push.batch, answer.clone());
        answer
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for record in self.held().records.values().filter(|record| record.is_current()) {
            *counts.entry(record.licence_type.to_string()).or_default() += 1;
        }
        counts
    }
}

fn tls_server(settings: &CitySettings) -> Result<ServerConfig, CityError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut anchors = RootCertStore::empty();
    for anchor in certificates(&settings.client_anchors).ok_or(CityError::ClientAnchors)? {
        anchors.add(anchor).map_err(|_| CityError::ClientAnchors)?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider.clone())
        .build()
        .map_err(|_| CityError::ClientAnchors)?;
    let chain = certificates(&settings.certificate).ok_or(CityError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(settings.key.as_bytes())
        .map_err(|_| CityError::Certificate)?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(clients).with_single_cert(chain, key))
        .map_err(|_| CityError::Certificate)
}

fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    city: Arc<City>,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told_to_stop(&mut stopped) => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = accepted else {
            time::sleep(Duration::from_millis(50)).await; // out of file descriptors, for example
            continue;
        };
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let (tls, city, stopped) = (tls.clone(), city.clone(), stopped.clone());
        connections.spawn(async move {
            talk(socket, tls, city, stopped).await;
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
    city: Arc<City>,
    mut stopped: watch::Receiver<bool>,
) {
    let handshake = time::timeout(PATIENCE, tls.accept(socket)).await;
    let Ok(Ok(stream)) = handshake else {
        tracing::debug!(
            "a client of the city's receiver came without a certificate that leads to its anchors"
        );
        return;
    };
    let service = service_fn(move |request| answer(city.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let finished = tokio::select! {
        ended = &mut connection => Some(ended),
        _ = stopped.wait_for(|stop| *stop) => None,
    };
    let ended = match finished {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if ended.is_err() {
        tracing::debug!("a connection to the city's receiver ended early");
    }
}

/// Also ends when the receiver was dropped.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn answer(
    city: Arc<City>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let response = match (request.method(), path.as_str()) {
        (&Method::POST, "/records") => post_records(&city, request).await,
        (&Method::GET, "/counts") => json(StatusCode::OK, &Counts { counts: city.counts() }),
        (&Method::GET, _) if path.starts_with("/records/") => {
            let identifier = path["/records/".len()..].parse::<LicenceId>().ok();
            let record =
                identifier.and_then(|identifier| city.held().records.get(&identifier).cloned());
            match record {
                Some(record) => json(StatusCode::OK, &record),
                None => problem(StatusCode::NOT_FOUND, "unknown_record"),
            }
        }
        (_, "/records" | "/counts") => {
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
        }
        _ => problem(StatusCode::NOT_FOUND, "no_such_route"),
    };
    Ok(response)
}

async fn post_records(city: &City, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .map(str::to_owned);
    let body = match time::timeout(
        PATIENCE,
        Limited::new(request.into_body(), BODY_LIMIT).collect(),
    )
    .await
    {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
        }
        Ok(Err(_)) => return problem(StatusCode::BAD_REQUEST, "body_incomplete"),
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
    };
    let Ok(push) = serde_json::from_slice::<Push>(&body) else {
        return problem(StatusCode::BAD_REQUEST, "body_malformed");
    };
    if push.format != FORMAT {
        return problem(StatusCode::BAD_REQUEST, "unknown_format");
    }
    if push.records.len() > RECORDS_LIMIT {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "too_many_records");
    }
    if key.as_deref() != Some(&push.batch) || !(1..=64).contains(&push.batch.len()) {
        return problem(StatusCode::BAD_REQUEST, "idempotency_key");
    }
    let in_order = push.records.windows(2).all(|pair| pair[0].seq < pair[1].seq);
    if !in_order {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "records_out_of_order");
    }
    json(StatusCode::OK, &city.take(push))
}

fn problem(status: StatusCode, code: &'static str) -> Response<Full<Bytes>> {
    json(status, &BTreeMap::from([("code", code)]))
}

fn json(status: StatusCode, content: &impl Serialize) -> Response<Full<Bytes>> {
    let body =
        serde_json::to_vec(content).expect("strings, numbers and raw JSON can always be written");
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
