//! A lean HTTP/1.1 client over mutual TLS: one request at a time on each connection, kept alive.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use certs::Certificate;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Uri,
    client::conn::http1::{SendRequest, handshake},
    header,
};
use hyper_util::rt::TokioIo;
use licence::CreditCode;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::error::{Error, read};

/// How long a request may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A hub, and as whom to speak with it.
#[derive(Clone)]
pub struct Target {
    /// Tried in this order.
    addresses: Vec<SocketAddr>,
    host: ServerName<'static>,
    authority: String,
    tls: TlsConnector,
    /// The department in the client certificate.
    pub department: CreditCode,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// JSON; empty for none.
    pub body: Bytes,
}

impl Call {
    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: Bytes::new() }
    }

    /// A POST with a JSON body.
    pub fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path: path.into(), body: body.into() }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, whole.
    pub body: Bytes,
}

impl Answer {
    /// Reads the body of a successful answer.
    ///
    /// # Errors
    /// `Answer` with the problem's code if the status is not 2xx or the body is of another shape.
    pub fn json<T: DeserializeOwned>(&self, call: &str) -> Result<T, Error> {
        let wrong = |code: &str| Error::Answer {
            call: call.to_owned(),
            status: self.status,
            code: format!(" {code}"),
        };
        if !(200..300).contains(&self.status) {
            return Err(wrong(&self.problem()));
        }
        serde_json::from_slice(&self.body).map_err(|_| wrong("with a body of another shape"))
    }

    /// The code of a problem; empty if the body is none.
    pub fn problem(&self) -> String {
        #[derive(Deserialize)]
        struct Problem {
            code: String,
        }
        serde_json::from_slice::<Problem>(&self.body).map(|said| said.code).unwrap_or_default()
    }
}

impl Target {
    /// * `url`: `https://host:port`.
    /// * `identity`, `key`: PEM files of the client certificate.
    /// * `ca`: PEM file with the anchor of the hub's certificate.
    ///
    /// # Errors
    /// `File`, `Identity`.
    pub fn new(url: &str, identity: &Path, key: &Path, ca: &Path) -> Result<Self, Error> {
        let wrong = |what: &str, said: String| Error::Identity { what: what.to_owned(), said };
        let uri: Uri = url.parse().map_err(|_| wrong(url, "not an address".to_owned()))?;
        let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(wrong(url, "expected https://host:port".to_owned()));
        };
        let port = uri.port_u16().unwrap_or(443);
        let bare = host.trim_matches(['[', ']']);
        let addresses: Vec<_> = (bare, port)
            .to_socket_addrs()
            .map_err(|error| wrong(url, error.to_string()))?
            .collect();
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|error| wrong(url, error.to_string()))?;

        let mut anchors = RootCertStore::empty();
        for anchor in CertificateDer::pem_slice_iter(&read(ca)?) {
            let said = |said: String| wrong(&ca.display().to_string(), said);
            let anchor = anchor.map_err(|error| said(error.to_string()))?;
            anchors.add(anchor).map_err(|error| said(error.to_string()))?;
        }
        let said = |said: String| wrong(&identity.display().to_string(), said);
        let pem = read(identity)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| said(error.to_string()))?;
        let department = Certificate::from_pem(&pem)
            .map_err(|error| said(error.to_string()))?
            .organisation()
            .ok_or_else(|| said("the certificate names no department".to_owned()))?;
        let key_said = |said: String| wrong(&key.display().to_string(), said);
        let key = PrivateKeyDer::from_pem_slice(&read(key)?)
            .map_err(|error| key_said(error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| said(error.to_string()))?
            .with_root_certificates(anchors)
            .with_client_auth_cert(chain, key)
            .map_err(|error| said(error.to_string()))?;
        Ok(Self {
            addresses,
            host: name,
            authority: format!("{host}:{port}"),
            tls: TlsConnector::from(Arc::new(tls)),
            department,
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// `Connection`.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let failed = |said: String| Error::Connection { to: self.authority.clone(), said };
        let opening = async {
            let tcp = TcpStream::connect(self.addresses.as_slice()).await?;
            tcp.set_nodelay(true)?;
            self.tls.connect(self.host.clone(), tcp).await
        };
        let tls = timeout(Duration::from_secs(10), opening)
            .await
            .map_err(|_| failed("no connection within 10 s".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let (sender, connection) =
            handshake(TokioIo::new(tls)).await.map_err(|error| failed(error.to_string()))?;
        // Ends by itself when either side closes; its error shows in the request that met it.
        tokio::spawn(connection);
        Ok(Connection { sender, authority: self.authority.clone() })
    }

    /// One request on a connection of its own.
    ///
    /// # Errors
    /// `Connection`.
    pub async fn once(&self, call: &Call) -> Result<Answer, Error> {
        self.connect().await?.send(call).await
    }
}

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Connection {
    /// Sends a request and reads the whole answer. After an error the connection is of no use.
    ///
    /// # Errors
    /// `Connection`.
    pub async fn send(&mut self, call: &Call) -> Result<Answer, Error> {
        let failed = |said: String| Error::Connection { to: self.authority.clone(), said };
        let request = Request::builder()
            .method(&call.method)
            .uri(&call.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(call.body.clone()))
            .map_err(|error| failed(error.to_string()))?;
        let exchange = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Answer { status, body })
        };
        timeout(PATIENCE, exchange)
            .await
            .map_err(|_| failed(format!("no answer within {} s", PATIENCE.as_secs())))?
            .map_err(|error| failed(error.to_string()))
    }
}
