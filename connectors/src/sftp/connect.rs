//! A connection: TCP, host key, login.

use std::{borrow::Cow, net::Shutdown, sync::Arc, time::Duration};

use russh::{
    Disconnect, Preferred,
    client::{self, Handle, Handler},
    keys::{
        Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate,
        decode_secret_key, known_hosts::known_host_keys_path,
    },
};
use tokio::{net::TcpStream, time};

use super::{Login, Target, failure};
use crate::{DeliveryError, Problem, pem};

/// A login's connection. Dropping it ends it at once.
pub(super) struct Connection {
    pub(super) handle: Handle<Pinned>,
    /// The same socket: closing it wakes whatever waits on it.
    socket: std::net::TcpStream,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Lets in a server that has one of these keys.
pub(super) struct Pinned(Vec<PublicKey>);

impl Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.0.iter().any(|known| known.key_data() == key.key_data())
            }
            // None was asked for.
            PublicKeyOrCertificate::Certificate(_) => false,
        })
    }
}

/// Connects and logs in, within the connect timeout.
pub(super) async fn connect(target: &Target) -> Result<Connection, DeliveryError> {
    let known = host_keys(target).map_err(DeliveryError::Configuration)?;
    let work = async {
        let mut connection = open(target, known).await?;
        log_in(target, &mut connection.handle).await?;
        Ok(connection)
    };
    time::timeout(target.connect_timeout, work).await.unwrap_or_else(|_| {
        Err(DeliveryError::Unreachable(Problem::TimedOut {
            to: target.address(),
            after: target.connect_timeout,
        }))
    })
}

/// The keys that the server may have.
fn host_keys(target: &Target) -> Result<Vec<PublicKey>, Problem> {
    let setting = "host_key";
    // Read twice, so that a file that is not there or too large is told as such.
    pem::read(setting, &target.host_key)?;
    let known =
        known_host_keys_path(&target.host, target.port, &target.host_key).map_err(|_| {
            pem::unusable(setting, &target.host_key, "does not hold lines of known_hosts")
        })?;
    if known.is_empty() {
        return Err(Problem::HostKeyUnknown { to: target.address() });
    }
    Ok(known.into_iter().map(|(_, key)| key).collect())
}

async fn open(target: &Target, known: Vec<PublicKey>) -> Result<Connection, DeliveryError> {
    let to = target.address();
    let unreachable = |error: std::io::Error| {
        DeliveryError::Unreachable(Problem::Connect {
            to: to.clone(),
            kind: error.kind().to_string(),
        })
    };
    let stream =
        TcpStream::connect((target.host.as_str(), target.port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let stream = stream.into_std().map_err(unreachable)?;
    let socket = stream.try_clone().map_err(unreachable)?;
    let stream = TcpStream::from_std(stream).map_err(unreachable)?;
    let config = client::Config {
        // The server has keys of several kinds; it is to show one that we can compare.
        preferred: Preferred { key: Cow::Owned(algorithms(&known)), ..Preferred::default() },
        keepalive_interval: Some(Duration::from_secs(30)),
        ..client::Config::default()
    };
    match client::connect_stream(Arc::new(config), stream, Pinned(known)).await {
        Ok(handle) => Ok(Connection { handle, socket }),
        Err(error) => Err(failure::of_connection(&to, &error)),
    }
}

/// The signatures that a server with one of these keys can show it by; RSA with SHA-1 is not among them (RFC 8332).
fn algorithms(known: &[PublicKey]) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for key in known {
        let of_key = match key.algorithm() {
            Algorithm::Rsa { .. } => vec![
                Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
            ],
            other => vec![other],
        };
        for algorithm in of_key {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
    }
    algorithms
}

async fn log_in(target: &Target, handle: &mut Handle<Pinned>) -> Result<(), DeliveryError> {
    let to = target.address();
    let failed = |error: russh::Error| failure::of_connection(&to, &error);
    let outcome = match &target.login {
        Login::Key(path) => {
            let bytes = pem::read("key", path).map_err(DeliveryError::Configuration)?;
            let key = std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| decode_secret_key(text, None).ok())
                .ok_or_else(|| {
                    let why = "holds no private key, or one with a passphrase";
                    DeliveryError::Configuration(pem::unusable("key", path, why))
                })?;
            let hash = match key.algorithm() {
                Algorithm::Rsa { .. } => {
                    let told = handle.best_supported_rsa_hash().await.map_err(failed)?;
                    Some(told.flatten().unwrap_or(HashAlg::Sha256))
                }
                _ => None,
            };
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
            handle.authenticate_publickey(target.user.as_str(), key).await
        }
        Login::Password(path) => {
            let bytes = pem::read("password_file", path).map_err(DeliveryError::Configuration)?;
            let text = String::from_utf8(bytes).map_err(|_| {
                let problem = pem::unusable("password_file", path, "is not text in UTF-8");
                DeliveryError::Configuration(problem)
            })?;
            let password = text.strip_suffix('\n').unwrap_or(&text);
            let password = password.strip_suffix('\r').unwrap_or(password);
            handle.authenticate_password(target.user.as_str(), password).await
        }
    };
    if outcome.map_err(failed)?.success() {
        return Ok(());
    }
    // So that the server's log has it; it ends with the socket all the same.
    let _ = handle.disconnect(Disconnect::NoMoreAuthMethodsAvailable, "", "").await;
    Err(DeliveryError::Configuration(Problem::ServerLoginRefused { to }))
}
