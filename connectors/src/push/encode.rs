//! Changes → events. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use indexes::{Proof, StoredManifest, StoredOrder};
use licence::{ChangeKind, LicenceStatus, Sha256Digest};
use serde_json::value::RawValue;

use super::wire::{
    Event, LicenceData, MANIFEST, ManifestData, OrderData, ProofData, Proven, SPEC_VERSION,
};
use crate::Shared;

/// Events in a request.
pub(crate) const MAX_EVENTS: usize = 1_000;
/// Bytes of a request from which no further event is added: a receiver that takes a licence takes this.
pub(crate) const MAX_BYTES: usize = 8 << 20;

/// A request with the first of these items, and how many they are: at least one.
pub(crate) fn events(connector: &str, source: &str, items: &[&Shared]) -> (Vec<u8>, usize) {
    let mut body = vec![b'['];
    let mut count = 0;
    for item in items.iter().take(MAX_EVENTS) {
        let event = serde_json::to_vec(&event(connector, source, item)).expect(WRITABLE);
        if count > 0 && body.len() + event.len() > MAX_BYTES {
            break;
        }
        if count > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event);
        count += 1;
    }
    body.push(b']');
    (body, count)
}

/// The id of the event with this manifest.
pub(crate) fn manifest_id(connector: &str, digest: &Sha256Digest) -> String {
    format!("{connector}-manifest-{digest}")
}

/// A request with one manifest.
pub(crate) fn manifest(
    connector: &str,
    source: &str,
    digest: &Sha256Digest,
    manifest: &StoredManifest,
) -> Vec<u8> {
    let data = ManifestData {
        manifest: STANDARD.encode(&manifest.document),
        signature: STANDARD.encode(&manifest.signature),
    };
    let event = Event {
        specversion: SPEC_VERSION.to_owned(),
        kind: MANIFEST.to_owned(),
        source: source.to_owned(),
        id: manifest_id(connector, digest),
        subject: Some(digest.to_string()),
        time: None,
        datacontenttype: Some("application/json".to_owned()),
        sequence: None,
        data: Some(raw(&data)),
    };
    serde_json::to_vec(&[event]).expect(WRITABLE)
}

const WRITABLE: &str = "strings, numbers and raw JSON can always be written";

fn raw(data: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(data).expect(WRITABLE)
}

fn event(connector: &str, source: &str, item: &Shared) -> Event {
    let status = item.status();
    let (cause, by) = match &status {
        LicenceStatus::Revoked { cause } => (Some(cause.word().to_owned()), None),
        LicenceStatus::Superseded { by } => (None, Some(by.clone())),
        LicenceStatus::Valid | LicenceStatus::Suspended => (None, None),
    };
    let reason = match item.change.kind {
        ChangeKind::TrustChanged { reason, .. } => Some(reason),
        ChangeKind::Issued { .. }
        | ChangeKind::StatusChanged { .. }
        | ChangeKind::Unsigned { .. } => None,
    };
    let proof = match &item.proof {
        Proof::Signature(cms) => ProofData::Signature(STANDARD.encode(cms)),
        // Runners leave out what nobody signed.
        Proof::Unsigned => ProofData::Signature(String::new()),
        Proof::Manifest { manifest, position } => {
            ProofData::Manifest { digest: *manifest, position: *position }
        }
    };
    let proven = Proven::of(item);
    let order = |order: &StoredOrder| OrderData {
        document: STANDARD.encode(&order.document),
        signature: STANDARD.encode(&order.signature),
    };
    let kind = proven.kind(item);
    let data = LicenceData {
        digest: item.digest,
        document: STANDARD.encode(&item.document),
        proof,
        status: status.word().to_owned(),
        cause,
        by,
        trust: item.trust,
        reason,
        order: proven.order.map(order),
        orders: proven.earlier.into_iter().map(order).collect(),
    };
    Event {
        specversion: SPEC_VERSION.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        id: item.key(connector),
        subject: Some(item.identifier().to_string()),
        time: Some(item.change.at),
        datacontenttype: Some("application/json".to_owned()),
        sequence: Some(format!("{:020}", item.seq().0)),
        data: Some(raw(&data)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use jiff::Timestamp;
    use licence::{RevocationCause, Seq, Trust};

    use super::*;
    use crate::rules::samples;

    const SOURCE: &str = "https://here.example";

    fn all(items: &[Shared]) -> Vec<u8> {
        events("neighbour", SOURCE, &items.iter().collect::<Vec<_>>()).0
    }

    #[test]
    fn events_are_as_the_golden_file_has_them() {
        let first = samples::issued(7);
        let bulk = Shared {
            proof: Proof::Manifest { manifest: samples::sha256(b"manifest"), position: 3 },
            ..samples::issued(8)
        };
        let order = StoredOrder {
            seq: Seq(9),
            document: Bytes::from_static(b"order"),
            signature: Bytes::from_static(b"signature"),
            at: Timestamp::UNIX_EPOCH,
        };
        let suspended = Shared {
            order: Some(Arc::new(order)),
            ..samples::changed(9, &first, LicenceStatus::Valid, LicenceStatus::Suspended)
        };
        let revoked = LicenceStatus::Revoked { cause: RevocationCause::Withdrawn };
        let superseded = LicenceStatus::Superseded { by: bulk.identifier().clone() };
        let items = [
            first.clone(),
            bulk,
            suspended,
            samples::changed(10, &first, LicenceStatus::Valid, revoked),
            samples::changed(11, &first, LicenceStatus::Valid, superseded),
            samples::judged(12, &first, Trust::Untrusted),
        ];
        let shown: serde_json::Value = serde_json::from_slice(&all(&items)).unwrap();
        insta::assert_snapshot!("events", serde_json::to_string_pretty(&shown).unwrap());
    }

    #[test]
    fn a_manifest_is_an_event_of_its_own() {
        let stored = StoredManifest {
            document: Bytes::from_static(b"manifest"),
            signature: Bytes::from_static(b"signature"),
        };
        let digest = samples::sha256(&stored.document);
        let body = manifest("neighbour", SOURCE, &digest, &stored);
        let shown: serde_json::Value = serde_json::from_slice(&body).unwrap();
        insta::assert_snapshot!("manifest", serde_json::to_string_pretty(&shown).unwrap());
    }

    #[test]
    fn the_required_attributes_of_cloudevents_are_there_and_can_be_read_back() {
        let item = samples::issued(3);
        let read: Vec<Event> = serde_json::from_slice(&all(std::slice::from_ref(&item))).unwrap();
        let [event] = &read[..] else { panic!("one event") };
        assert_eq!(event.specversion, "1.0");
        assert_eq!(
            (event.id.as_str(), event.source.as_str()),
            ("neighbour-00000000000000000003", SOURCE)
        );
        let data: LicenceData = serde_json::from_str(event.data.as_ref().unwrap().get()).unwrap();
        assert_eq!(STANDARD.decode(&data.document).unwrap(), item.document, "byte for byte");
        assert_eq!(data.digest, item.digest);
        assert!(!format!("{event:?} {data:?}").contains(samples::CITIZEN));
    }

    #[test]
    fn a_request_is_bounded_in_events_and_bytes_and_has_one_at_least() {
        let many: Vec<Shared> = (0..1_500).map(samples::issued).collect();
        let refs: Vec<&Shared> = many.iter().collect();
        let (body, count) = events("neighbour", SOURCE, &refs);
        assert_eq!(count, MAX_EVENTS);
        let read: Vec<Event> = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.len(), count);
        let large = Shared { document: Bytes::from(vec![b' '; 5 << 20]), ..samples::issued(1) };
        let (body, count) = events("neighbour", SOURCE, &[&large, &large, &large]);
        assert_eq!(count, 1);
        assert!(body.len() < MAX_BYTES);
        let larger = Shared { document: Bytes::from(vec![b' '; 9 << 20]), ..samples::issued(1) };
        assert_eq!(events("neighbour", SOURCE, &[&larger, &large]).1, 1);
    }
}
