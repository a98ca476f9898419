//! Certificates and keys in PEM files that settings name.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::Problem;

/// A PEM file larger than this is not what the settings mean.
const MAX_BYTES: u64 = 1 << 20;

/// The small file that `setting` names.
pub(crate) fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: std::io::Error| Problem::FileUnreadable {
        setting,
        path: path.to_owned(),
        kind: error.kind(),
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(unusable(setting, path, "is larger than 1 MiB"));
    }
    std::fs::read(path).map_err(unreadable)
}

pub(crate) fn unusable(setting: &'static str, path: &Path, why: &'static str) -> Problem {
    Problem::FileUnusable { setting, path: path.to_owned(), why }
}

/// A TLS client that trusts the certificates in `ca` only, and shows a certificate of its own if one is given.
///
/// * `identity`: PEM chain, leaf first, and PEM key.
pub(crate) fn tls_client(
    ca: &Path,
    identity: Option<(&Path, &Path)>,
) -> Result<ClientConfig, Problem> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", ca)? {
        roots
            .add(certificate)
            .map_err(|_| unusable("ca", ca, "holds a certificate that cannot be read"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| unusable("ca", ca, "cannot be used with this TLS library"))?
        .with_root_certificates(roots);
    let Some((chain, key)) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let certificates = certificates("certificate", chain)?;
    let private = PrivateKeyDer::from_pem_slice(&read("key", key)?)
        .map_err(|_| unusable("key", key, "holds no private key in PEM"))?;
    builder
        .with_client_auth_cert(certificates, private)
        .map_err(|_| unusable("key", key, "is not the key of the certificate"))
}

/// The certificates in a PEM file, at least one.
fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(setting, path)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable(setting, path, "is not PEM"))?;
    if certificates.is_empty() {
        return Err(unusable(setting, path, "holds no certificate in PEM"));
    }
    Ok(certificates)
}

/// The TLS library's word on a failed connection, if that is what `error` is about.
pub(crate) fn tls_error<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An io::Error's `source` passes over the error it wraps, so that one is asked for by itself.
        if let Some(wrapped) =
            error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
        {
            return tls_error(wrapped);
        }
        next = error.source();
    }
    None
}

/// What the system said about a failed connection, if that is what `error` is about.
pub(crate) fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<std::io::Error>() {
            return Some(found.kind());
        }
        next = error.source();
    }
    None
}
