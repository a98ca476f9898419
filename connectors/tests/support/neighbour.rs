//! A receiver of CloudEvents: a real HTTPS server that checks client certificates. It believes what it is sent, so that
//! the connector can be tried with records that nobody signed; a hub that verifies is tried in `hub/tests/exchange.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use connectors::{
    Bucket, Connector, ConnectorSettings, Shared, Tally,
    push::{
        ANSWER_FORMAT, Answer, BATCH_MEDIA_TYPE, Event, HoldingLine, Holdings, LicenceData,
        MANIFEST, MANIFEST_MISSING, ManifestData, ProofData, RefusedEvent, Tallies, TallyLine,
        mark_of, number_of,
    },
    rules::{Counterpart, samples},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use licence::{Licence, LicenceId, Seq, Sha256Digest, Trust};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::city::{Authority, Identity};

/// What the receiver says in place of its own answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Its own answer.
    Right,
    /// Nothing is taken; this status and body.
    Instead(u16, &'static str),
    /// Everything is taken; this status and body.
    AfterTaking(u16, &'static str),
}

/// What it holds.
#[derive(Default)]
pub struct Held {
    /// The last event of each licence: number, document's digest, whether it counts, bucket.
    pub licences: BTreeMap<LicenceId, (u64, Sha256Digest, bool, Bucket)>,
    pub manifests: BTreeSet<Sha256Digest>,
    /// Events by id, each as often as it was taken anew.
    pub taken: Vec<u64>,
    /// Requests that came.
    pub requests: u64,
    pub refuse: BTreeSet<u64>,
}

/// A receiver with the files that a connector to it needs.
pub struct Neighbour {
    pub folder: TempDir,
    pub authority: Authority,
    /// What it shows from when it comes up the next time.
    pub server: Identity,
    pub address: SocketAddr,
    pub held: Arc<Mutex<Held>>,
    pub says: Arc<Mutex<Says>>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Neighbour {
    pub async fn start() -> Self {
        let authority = Authority::new("neighbour");
        let folder = TempDir::new().unwrap();
        let server = authority.server("127.0.0.1");
        let client = authority.client();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &authority.pem);
        write("client.pem", &client.certificate);
        write("client.key", &client.key);
        let mut neighbour = Self {
            folder,
            authority,
            server,
            address: ([127, 0, 0, 1], 0).into(),
            held: Arc::default(),
            says: Arc::new(Mutex::new(Says::Right)),
            task: None,
        };
        neighbour.come_up().await;
        neighbour
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// Settings of a connector to this receiver at this address.
    pub fn settings_at(&self, address: SocketAddr) -> ConnectorSettings {
        let mut more = serde_json::Map::new();
        more.insert("source".to_owned(), "https://here.example".into());
        ConnectorSettings {
            name: "neighbour".to_owned(),
            kind: "push".to_owned(),
            url: Some(format!("https://{address}/v1/exchange/events")),
            ca: Some(self.file("ca.pem")),
            certificate: Some(self.file("client.pem")),
            key: Some(self.file("client.key")),
            connect_timeout_ms: Some(1_000),
            timeout_ms: Some(2_000),
            more,
            ..ConnectorSettings::default()
        }
    }

    fn tls(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut anchors = RootCertStore::empty();
        anchors
            .add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap())
            .unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(anchors.into(), provider.clone());
        let chain =
            vec![CertificateDer::from_pem_slice(self.server.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.server.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Held {
    fn take(&mut self, events: &[Event]) -> Answer {
        let mut answer =
            Answer { format: ANSWER_FORMAT.to_owned(), accepted: 0, refused: Vec::new() };
        for event in events {
            match self.take_one(event) {
                Ok(()) => answer.accepted += 1,
                Err((code, manifest)) => answer.refused.push(RefusedEvent {
                    id: event.id.clone(),
                    code: code.to_owned(),
                    remark: "不接收".to_owned(),
                    manifest,
                }),
            }
        }
        answer
    }

    fn take_one(&mut self, event: &Event) -> Result<(), (&'static str, Option<Sha256Digest>)> {
        let data = event.data.as_ref().expect("data").get();
        if event.kind == MANIFEST {
            let data: ManifestData = serde_json::from_str(data).unwrap();
            self.manifests.insert(samples::sha256(&STANDARD.decode(data.manifest).unwrap()));
            return Ok(());
        }
        let number = number_of(&event.id).expect("a number");
        let data: LicenceData = serde_json::from_str(data).unwrap();
        let licence = Licence::parse(&STANDARD.decode(&data.document).unwrap()).unwrap();
        if !samples::types().contains(&licence.licence_type) || self.refuse.contains(&number) {
            return Err(("type_not_agreed", None));
        }
        if let ProofData::Manifest { digest, .. } = &data.proof
            && !self.manifests.contains(digest)
        {
            return Err((MANIFEST_MISSING, Some(*digest)));
        }
        let before = self.licences.get(&licence.identifier).map(|held| held.0);
        if before.is_none_or(|before| before < number) {
            self.taken.push(number);
            let counts = data.status == "valid" && data.trust == Trust::Trusted;
            let bucket = Bucket { licence_type: licence.licence_type, day: licence.issued_on };
            self.licences.insert(licence.identifier, (number, data.digest, counts, bucket));
        }
        Ok(())
    }

    fn tallies(&self) -> Tallies {
        let mut tallies: BTreeMap<Bucket, Tally> = BTreeMap::new();
        for (identifier, (_, digest, counts, bucket)) in &self.licences {
            if *counts {
                tallies.entry(*bucket).or_default().add(mark_of(identifier, digest));
            }
        }
        let lines = tallies.into_iter().map(|(bucket, tally)| TallyLine {
            licence_type: bucket.licence_type,
            day: bucket.day,
            count: tally.count,
            digest: tally.digest,
        });
        Tallies { tallies: lines.collect() }
    }

    fn holdings(&self) -> Holdings {
        let lines = self.licences.iter().filter(|(_, held)| held.2).map(|(identifier, held)| {
            HoldingLine { identifier: identifier.clone(), mark: mark_of(identifier, &held.1).0 }
        });
        Holdings { holdings: lines.collect() }
    }
}

async fn answer(
    held: Arc<Mutex<Held>>,
    says: Arc<Mutex<Says>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let respond = |status: u16, body: Vec<u8>| {
        let response = Response::builder().status(status);
        let response = response.header(header::CONTENT_TYPE, "application/json");
        Ok(response.body(Full::new(Bytes::from(body))).unwrap())
    };
    let path = request.uri().path().to_owned();
    let is_batch = request.headers().get(header::CONTENT_TYPE)
        == Some(&header::HeaderValue::from_static(BATCH_MEDIA_TYPE));
    let Ok(body) = request.into_body().collect().await else { return respond(400, Vec::new()) };
    let body = body.to_bytes();
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    if path.ends_with("/tallies") {
        return respond(200, serde_json::to_vec(&held.tallies()).unwrap());
    }
    if path.ends_with("/holdings") {
        return respond(200, serde_json::to_vec(&held.holdings()).unwrap());
    }
    held.requests += 1;
    let says = says.lock().unwrap().clone();
    if let Says::Instead(status, body) = says {
        return respond(status, body.into());
    }
    if !is_batch {
        return respond(415, Vec::new());
    }
    let Ok(events) = serde_json::from_slice::<Vec<Event>>(&body) else {
        return respond(400, Vec::new());
    };
    let right = held.take(&events);
    match says {
        Says::AfterTaking(status, body) => respond(status, body.into()),
        _ => respond(200, serde_json::to_vec(&right).unwrap()),
    }
}

#[async_trait]
impl Counterpart for Neighbour {
    fn connector(&self) -> Box<dyn Connector> {
        super::province::open(&self.settings_at(self.address))
    }

    async fn held(&self) -> Vec<Seq> {
        self.held.lock().unwrap().taken.iter().copied().map(Seq).collect()
    }

    fn spoil(&self, record: Shared) -> Shared {
        samples::issued_of(record.seq().0, "11100000000013338W777".parse().unwrap())
    }

    async fn go_down(&mut self) {
        let task = self.task.take().expect("it runs");
        task.abort();
        let _ = task.await;
    }

    async fn come_up(&mut self) {
        let tls = self.tls();
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (held, says) = (self.held.clone(), self.says.clone());
        self.task = Some(tokio::spawn(async move {
            // Connections end with the task.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((socket, _)) = listener.accept().await else { return };
                let (tls, held, says) = (tls.clone(), held.clone(), says.clone());
                connections.spawn(async move {
                    let Ok(stream) = tls.accept(socket).await else { return };
                    let service =
                        service_fn(move |request| answer(held.clone(), says.clone(), request));
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }));
    }
}
