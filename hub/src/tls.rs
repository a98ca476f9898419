//! Mutual TLS: who is connected.
//!
//! Certificates are asked of every client and checked against the client anchors by rustls; a
//! client without one still gets as far as an answer that says so. The department is the credit
//! code in the certificate's organizationIdentifier (X.520 2.5.4.97).

use std::{any::Any, sync::Arc};

use actix_web::{FromRequest, HttpRequest, dev, rt::net::TcpStream};
use certs::Certificate;
use licence::{CreditCode, Sha256Digest};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    config::{self, ConfigError, Tls},
    http::error::Problem,
};

/// Builds the server's TLS settings from the files that `settings` names.
///
/// # Errors
/// `File` or `Content`, with the key in the settings.
pub fn server_config(settings: &Tls) -> Result<ServerConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut anchors = RootCertStore::empty();
    let pem = config::read_file("tls.client_anchors", &settings.client_anchors)?;
    let wrong =
        |said: String| config::content("tls.client_anchors", &settings.client_anchors, said);
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        anchors.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if anchors.is_empty() {
        return Err(wrong("there is no certificate in the file".to_owned()));
    }
    let mut crls = Vec::new();
    for path in &settings.client_crls {
        let pem = config::read_file("tls.client_crls", path)?;
        for crl in CertificateRevocationListDer::pem_slice_iter(&pem) {
            crls.push(crl.map_err(|error| config::content("tls.client_crls", path, error))?);
        }
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchors), provider.clone())
        .with_crls(crls)
        .allow_unknown_revocation_status()
        .allow_unauthenticated()
        .build()
        .map_err(|error| wrong(error.to_string()))?;

    let pem = config::read_file("tls.certificate", &settings.certificate)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| config::content("tls.certificate", &settings.certificate, error))?;
    let pem = config::read_file("tls.key", &settings.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| config::content("tls.key", &settings.key, error))?;
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| config::content("tls.certificate", &settings.certificate, error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| config::content("tls.key", &settings.key, error))
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
#[derive(Clone, Debug)]
enum Peer {
    Department(Caller),
    NoDepartment,
}

/// Remembers the peer of a new connection; handed to `HttpServer::on_connect`.
pub fn remember_peer(connection: &dyn Any, data: &mut dev::Extensions) {
    let Some(stream) =
        connection.downcast_ref::<actix_tls::accept::rustls_0_23::TlsStream<TcpStream>>()
    else {
        return;
    };
    let Some(first) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) else {
        return;
    };
    let peer = match Certificate::from_der(first.as_ref()) {
        Ok(certificate) => match certificate.organisation() {
            Some(department) => {
                Peer::Department(Caller { department, certificate: certificate.sha256() })
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

impl FromRequest for Caller {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(match request.conn_data::<Peer>() {
            // A browser shows its certificate for whatever site makes it ask; it also says that it was made to.
            Some(Peer::Department(_)) if is_made_to_ask(request) => Err(Problem::forbidden(
                "cross_site",
                "a browser was made to send this by another site; systems do not send Sec-Fetch-Site",
            )
            .at("request")),
            Some(Peer::Department(caller)) => Ok(caller.clone()),
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
