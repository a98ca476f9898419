//! HTTP as no client library would speak it: bytes over mutual TLS, as they are.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use certs::{Profile, Suite};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};

use crate::support::{Actor, TestHub, subject};

/// A connection with the certificate of a department.
pub struct Raw {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl Raw {
    /// Connects as a department.
    pub fn connect(hub: &TestHub, actor: &Actor) -> Self {
        let (certificate, key) = hub
            .authority
            .issue(
                Suite::EcdsaP256Sha256,
                Profile::Client,
                &subject(&actor.department),
                "2025-01-01T00:00:00Z".parse().unwrap(),
                3_000,
            )
            .unwrap();
        let mut anchors = RootCertStore::empty();
        anchors.add(CertificateDer::from(hub.authority.anchor().der().to_vec())).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.to_pkcs8_pem().as_bytes()).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(anchors)
            .with_client_auth_cert(vec![CertificateDer::from(certificate.der().to_vec())], key)
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(hub.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(40))).unwrap();
        Self { stream: StreamOwned::new(connection, socket), received: Vec::new() }
    }

    /// Sends bytes; an error means that the hub has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Whether the hub answers already, while it is still being sent to.
    pub fn answers_already(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        self.stream.sock.set_nonblocking(true).unwrap();
        if let Ok(length) = self.stream.read(&mut chunk) {
            self.received.extend_from_slice(&chunk[..length]);
        }
        self.stream.sock.set_nonblocking(false).unwrap();
        !self.received.is_empty()
    }

    /// Sends no more, and says so, as a client does that was interrupted.
    pub fn hang_up(&mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
        let _ = self.stream.sock.shutdown(Shutdown::Write);
    }

    /// Everything that the hub answers until it closes or says nothing more.
    pub fn answer(mut self) -> RawAnswer {
        let begun = Instant::now();
        let mut bytes = std::mem::take(&mut self.received);
        let mut chunk = [0; 16 * 1024];
        while !complete(&bytes) {
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => bytes.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok());
        RawAnswer { status, text, took: begun.elapsed() }
    }
}

/// What came back.
#[derive(Debug)]
pub struct RawAnswer {
    /// Status of the first answer, if there was any.
    pub status: Option<u16>,
    /// All of it.
    pub text: String,
    /// How long it took from the last byte sent.
    pub took: Duration,
}

/// Whether a whole answer with a declared length has arrived.
fn complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}
