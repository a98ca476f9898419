//! Until when the certificates are valid that this hub shows to counterparts.

use std::path::Path;

use jiff::Timestamp;

use crate::Hub;

/// A PEM file larger than this is not read.
const MOST_BYTES: u64 = 1 << 20;

/// Counterparts and sources with a client certificate in their settings, by name, and when it ends: the first of the
/// file, as the file is now. A file that cannot be read is left out; the connector itself says so.
#[must_use]
pub fn certificate_ends(hub: &Hub) -> Vec<(String, Timestamp)> {
    let connectors = hub.connector_settings().iter();
    let connectors = connectors
        .filter_map(|one| Some((one.name().to_owned(), ends(one.certificate.as_deref()?)?)));
    let sources = hub.inbound().iter();
    let sources = sources.filter_map(|(name, one)| Some((name.clone(), ends(one.certificate()?)?)));
    connectors.chain(sources).collect()
}

fn ends(path: &Path) -> Option<Timestamp> {
    let size = std::fs::metadata(path).ok()?.len();
    let bytes = (size <= MOST_BYTES).then(|| std::fs::read(path).ok())??;
    certs::Certificate::from_pem(&bytes).ok().map(|certificate| certificate.not_after())
}

/// Sets the gauge of each.
pub(crate) fn measure(hub: &Hub) {
    let now = hub.clock.now();
    for (name, ends) in certificate_ends(hub) {
        let left = ends.duration_since(now).as_secs_f64();
        metrics::gauge!("yihao_connector_certificate_seconds_left", "connector" => name).set(left);
    }
}
