//! Mutual TLS: who is connected.
//!
//! Certificates are asked of every client and checked against the client anchors by rustls; a
//! client without one still gets as far as an answer that says so. The department is the credit
//! code in the certificate's organizationIdentifier (X.520 2.5.4.97).

use std::{
    any::Any,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::{FromRequest, HttpRequest, dev, rt::net::TcpStream, web};
use certs::Certificate;
use licence::{CreditCode, Sha256Digest};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime, pem::PemObject,
    },
    server::{
        ClientHello, ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions,
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};

use crate::{
    Hub,
    config::{self, ConfigError, Tls},
    http::error::Problem,
};

/// Builds the server's TLS settings from the files that `settings` names: whether they can be used.
///
/// # Errors
/// `File` or `Content`, with the key in the settings.
pub fn server_config(settings: &Tls) -> Result<ServerConfig, ConfigError> {
    Arc::new(Doors::open(settings, &Admitted::default())?).server_config(settings)
}

/// Who is let in beside those of the settings, and who of them is not: from the trust folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// Anchors of clients' certificates.
    pub anchors: Vec<Certificate>,
    /// Anchors of the settings that the folder retired, or lists itself.
    pub overruled: Vec<Sha256Digest>,
    /// Revocation lists of clients' authorities, PEM or DER.
    pub lists: Vec<Vec<u8>>,
}

/// The server's certificate, and whose certificates it asks for: exchanged while connections come and go, so that
/// a renewed certificate or a revoked client needs no restart.
#[derive(Debug)]
pub struct Doors {
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<Current>>,
    /// Grows with every exchange: what was checked at another number is checked anew.
    number: AtomicU64,
    /// A session that is resumed is not checked again, so each exchange forgets them.
    sessions: RwLock<Arc<ServerSessionMemoryCache>>,
    hints: Hints,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    clients: Arc<dyn ClientCertVerifier>,
    /// Every anchor of the settings is retired, and there is no other.
    admits_nobody: bool,
}

impl Current {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.admits_nobody {
            return Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        self.clients.verify_client_cert(leaf, intermediates, now)
    }
}

/// The names of anchors that clients are told. rustls borrows them for as long as the verifier lives, so those of
/// before stay: a few names for each change that an operator makes.
#[derive(Debug)]
struct Hints {
    names: Vec<DistinguishedName>,
    next: OnceLock<Box<Hints>>,
}

impl Hints {
    fn new(names: Vec<DistinguishedName>) -> Self {
        Self { names, next: OnceLock::new() }
    }

    fn newest(&self) -> &Self {
        let mut newest = self;
        while let Some(next) = newest.next.get() {
            newest = next;
        }
        newest
    }
}

/// As many sessions as rustls remembers by itself.
const SESSIONS: usize = 256;

impl Doors {
    /// Reads the files.
    ///
    /// # Errors
    /// `File` or `Content`, with the key in the settings.
    pub fn open(settings: &Tls, admitted: &Admitted) -> Result<Self, ConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = read(&provider, settings, admitted)?;
        let hints = Hints::new(current.clients.root_hint_subjects().to_vec());
        Ok(Self {
            provider,
            current: RwLock::new(Arc::new(current)),
            number: AtomicU64::new(0),
            sessions: RwLock::new(ServerSessionMemoryCache::new(SESSIONS)),
            hints,
        })
    }

    /// Reads the files again. What cannot be used leaves all as it was.
    ///
    /// # Errors
    /// As [`Doors::open`].
    pub fn exchange(&self, settings: &Tls, admitted: &Admitted) -> Result<(), ConfigError> {
        let current = read(&self.provider, settings, admitted)?;
        let names = current.clients.root_hint_subjects();
        let newest = self.hints.newest();
        if !newest.names.iter().map(AsRef::<[u8]>::as_ref).eq(names.iter().map(AsRef::as_ref)) {
            // Only the keeper exchanges, one at a time.
            let _ = newest.next.set(Box::new(Hints::new(names.to_vec())));
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        *self.sessions.write().unwrap_or_else(PoisonError::into_inner) =
            ServerSessionMemoryCache::new(SESSIONS);
        self.number.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The settings for a server that lets in whom the doors let in at that moment.
    ///
    /// # Errors
    /// `Content`.
    pub fn server_config(self: Arc<Self>, settings: &Tls) -> Result<ServerConfig, ConfigError> {
        let wrong = |error| config::content("tls.certificate", &settings.certificate, error);
        let mut server = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_client_cert_verifier(self.clone())
            .with_cert_resolver(self.clone());
        server.session_storage = self;
        Ok(server)
    }

    /// Whether a client that came in earlier would be let in now.
    fn still_admits(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((leaf, intermediates)) = chain.split_first() else { return false };
        self.current().verify(leaf, intermediates, UnixTime::now()).is_ok()
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sessions(&self) -> Arc<ServerSessionMemoryCache> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(
    provider: &Arc<CryptoProvider>,
    settings: &Tls,
    admitted: &Admitted,
) -> Result<Current, ConfigError> {
    let mut anchors = RootCertStore::empty();
    let mut overruled = Vec::new();
    let pem = config::read_file("tls.client_anchors", &settings.client_anchors)?;
    let wrong =
        |said: String| config::content("tls.client_anchors", &settings.client_anchors, said);
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        if admitted.overruled.contains(&certs::sha256(&certificate)) {
            overruled.push(certificate);
            continue;
        }
        anchors.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if anchors.is_empty() && overruled.is_empty() {
        return Err(wrong("there is no certificate in the file".to_owned()));
    }
    for anchor in &admitted.anchors {
        if let Err(error) = anchors.add(CertificateDer::from(anchor.der().to_vec())) {
            tracing::warn!(error = %error, "an anchor of the trust folder lets no client in");
        }
    }
    let admits_nobody = anchors.is_empty();
    if admits_nobody {
        // A verifier needs one; it is not asked.
        for certificate in overruled {
            anchors.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let mut crls = Vec::new();
    for path in &settings.client_crls {
        let pem = config::read_file("tls.client_crls", path)?;
        for crl in CertificateRevocationListDer::pem_slice_iter(&pem) {
            crls.push(crl.map_err(|error| config::content("tls.client_crls", path, error))?);
        }
    }
    let anchors = Arc::new(anchors);
    let build = |crls: Vec<CertificateRevocationListDer<'static>>| {
        WebPkiClientVerifier::builder_with_provider(anchors.clone(), provider.clone())
            .with_crls(crls)
            .allow_unknown_revocation_status()
            .allow_unauthenticated()
            .build()
    };
    for list in &admitted.lists {
        let der = match CertificateRevocationListDer::from_pem_slice(list) {
            Ok(list) => list,
            Err(_) => CertificateRevocationListDer::from(list.clone()),
        };
        // One that `certs` reads and rustls does not hides no other.
        match build(vec![der.clone()]) {
            Ok(_) => crls.push(der),
            Err(error) => {
                tracing::warn!(error = %error, "a revocation list of the trust folder keeps no client out");
            }
        }
    }
    let clients = build(crls).map_err(|error| wrong(error.to_string()))?;

    let pem = config::read_file("tls.certificate", &settings.certificate)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| config::content("tls.certificate", &settings.certificate, error))?;
    let pem = config::read_file("tls.key", &settings.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| config::content("tls.key", &settings.key, error))?;
    let key = CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| config::content("tls.key", &settings.key, error))?;
    Ok(Current { key: Arc::new(key), clients, admits_nobody })
}

impl ResolvesServerCert for Doors {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().key.clone())
    }
}

impl StoresServerSessions for Doors {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.sessions().put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions().get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions().take(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Doors {
    fn offer_client_auth(&self) -> bool {
        self.current().clients.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.current().clients.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints.newest().names
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.current().verify(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().clients.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().clients.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().clients.supported_verify_schemes()
    }
}

/// The department behind a connection, read once per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The department's credit code.
    pub department: CreditCode,
    /// Digest of the client certificate, for the access log.
    pub certificate: Sha256Digest,
}

/// What a connection's certificate says.
#[derive(Debug)]
enum Peer {
    Department(Caller, Admission),
    NoDepartment,
}

/// The certificates that a client came in with, and whether they still let it in: connections stay open for long.
#[derive(Debug)]
struct Admission {
    chain: Vec<CertificateDer<'static>>,
    /// The number of the doors at which it was checked last; none before the first call.
    checked_at: AtomicU64,
}

impl Admission {
    fn stands(&self, doors: &Doors) -> bool {
        let number = doors.number.load(Ordering::Acquire);
        if self.checked_at.load(Ordering::Relaxed) == number {
            return true;
        }
        let stands = doors.still_admits(&self.chain);
        if stands {
            self.checked_at.store(number, Ordering::Relaxed);
        }
        stands
    }
}

/// Remembers the peer of a new connection; handed to `HttpServer::on_connect`.
pub fn remember_peer(connection: &dyn Any, data: &mut dev::Extensions) {
    let Some(stream) =
        connection.downcast_ref::<actix_tls::accept::rustls_0_23::TlsStream<TcpStream>>()
    else {
        return;
    };
    let Some(chain) = stream.get_ref().1.peer_certificates() else { return };
    let Some(first) = chain.first() else { return };
    let peer = match Certificate::from_der(first.as_ref()) {
        Ok(certificate) => match certificate.organisation() {
            Some(department) => {
                let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
                let caller = Caller { department, certificate: certificate.sha256() };
                Peer::Department(caller, Admission { chain, checked_at: AtomicU64::new(u64::MAX) })
            }
            None => Peer::NoDepartment,
        },
        Err(_) => Peer::NoDepartment,
    };
    data.insert(peer);
}

/// Whether a page of another site stands behind a request.
fn is_made_to_ask(request: &HttpRequest) -> bool {
    let said = request.headers().get("sec-fetch-site");
    said.is_some_and(|said| {
        !["same-origin", "none"].iter().any(|own| said.as_bytes() == own.as_bytes())
    })
}

fn stands(admission: &Admission, request: &HttpRequest) -> bool {
    let hub = request.app_data::<web::Data<Hub>>();
    hub.and_then(|hub| hub.trust_keeper().doors()).is_none_or(|doors| admission.stands(doors))
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(match request.conn_data::<Peer>() {
            // A browser shows its certificate for whatever site makes it ask; it also says that it was made to.
            Some(Peer::Department(..)) if is_made_to_ask(request) => Err(Problem::forbidden(
                "cross_site",
                "a browser was made to send this by another site; systems do not send Sec-Fetch-Site",
            )
            .at("request")),
            Some(Peer::Department(_, admission)) if !stands(admission, request) => {
                Err(Problem::new(
                    actix_web::http::StatusCode::UNAUTHORIZED,
                    "certificate_no_longer_accepted",
                    "the client certificate was revoked, its time is over, or its authority is no longer \
                     trusted: connect with another one",
                )
                .at("certificate"))
            }
            Some(Peer::Department(caller, _)) => Ok(caller.clone()),
            Some(Peer::NoDepartment) => Err(Problem::forbidden(
                "certificate_without_department",
                "the client certificate names no department: its subject needs an \
                 organizationIdentifier (2.5.4.97) with the department's credit code",
            )
            .at("certificate")),
            None => Err(Problem::new(
                actix_web::http::StatusCode::UNAUTHORIZED,
                "certificate_required",
                "this call needs a client certificate: connect with the certificate that was \
                 issued to your department",
            )
            .at("certificate")),
        })
    }
}
