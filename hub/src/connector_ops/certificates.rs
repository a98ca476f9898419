//! Until when the certificates are valid that this hub shows to counterparts, and those that it believes of them.

use std::path::Path;

use jiff::Timestamp;

use crate::Hub;

/// A PEM file larger than this is not read.
const MOST_BYTES: u64 = 1 << 20;

/// Counterparts and sources with a client certificate in their settings, by name, and when the first of the file's
/// certificates ends, as the file is now. A file that cannot be read is left out; the connector itself says so.
#[must_use]
pub fn certificate_ends(hub: &Hub) -> Vec<(String, Timestamp)> {
    let connectors = hub.connector_settings().iter();
    let connectors = connectors.filter_map(|one| {
        let ends = ends(one.certificate.as_deref()?).into_iter().min()?;
        Some((one.name().to_owned(), ends))
    });
    let sources = hub.inbound().iter();
    let sources = sources.filter_map(|(name, one)| {
        let ends = ends(one.certificate()?).into_iter().min()?;
        Some((name.clone(), ends))
    });
    connectors.chain(sources).collect()
}

/// Counterparts whose own certificates must lead to certain anchors (`ca`), by name, and when the last of these ends:
/// from then on none of them is believed.
fn anchor_ends(hub: &Hub) -> Vec<(String, Timestamp)> {
    let connectors = hub.connector_settings().iter();
    let connectors = connectors.filter_map(|one| {
        let ends = ends(one.ca.as_deref()?).into_iter().max()?;
        Some((one.name().to_owned(), ends))
    });
    connectors.collect()
}

/// When the certificates of a file end.
fn ends(path: &Path) -> Vec<Timestamp> {
    let fits = std::fs::metadata(path).is_ok_and(|about| about.len() <= MOST_BYTES);
    let bytes = if fits { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
    let certificates = certs::Certificate::many_from_pem(&bytes).unwrap_or_default();
    certificates.iter().map(certs::Certificate::not_after).collect()
}

/// Sets the gauges of each.
pub(crate) fn measure(hub: &Hub) {
    let now = hub.clock.now();
    for (name, ends) in certificate_ends(hub) {
        let left = ends.duration_since(now).as_secs_f64();
        metrics::gauge!("yihao_connector_certificate_seconds_left", "connector" => name).set(left);
    }
    for (name, ends) in anchor_ends(hub) {
        let left = ends.duration_since(now).as_secs_f64();
        metrics::gauge!("yihao_connector_anchor_seconds_left", "connector" => name).set(left);
    }
}
