//! Changes → the body of a push. Pure.

use licence::{ChangeKind, LicenceStatus};
use serde_json::value::RawValue;

use super::wire::{FORMAT, Push, PushRecord};
use crate::{Batch, Shared};

/// The body of `POST {url}/records` for a batch.
pub(crate) fn push(connector: &str, batch: &Batch) -> Vec<u8> {
    let push = Push {
        format: FORMAT.to_owned(),
        connector: connector.to_owned(),
        batch: batch.id.clone(),
        records: batch.items.iter().map(record).collect(),
    };
    serde_json::to_vec(&push).expect("strings, numbers and raw JSON can always be written")
}

fn record(item: &Shared) -> PushRecord {
    let status = item.status();
    let event = match item.change.kind {
        ChangeKind::Issued { .. } | ChangeKind::Unsigned { .. } => "issued",
        ChangeKind::StatusChanged { .. } => "status_changed",
        ChangeKind::TrustChanged { .. } => "trust_changed",
    };
    let reason = match item.change.kind {
        ChangeKind::TrustChanged { reason, .. } => Some(reason),
        ChangeKind::Issued { .. }
        | ChangeKind::StatusChanged { .. }
        | ChangeKind::Unsigned { .. } => None,
    };
    let (cause, by) = match &status {
        LicenceStatus::Revoked { cause } => (Some(cause.word().to_owned()), None),
        LicenceStatus::Superseded { by } => (None, Some(by.clone())),
        LicenceStatus::Valid | LicenceStatus::Suspended => (None, None),
    };
    let document = String::from_utf8(item.document.to_vec()).expect("a parsed licence is UTF-8");
    PushRecord {
        seq: item.seq(),
        at: item.change.at,
        event: event.to_owned(),
        identifier: item.identifier().clone(),
        licence_type: *item.change.licence_type(),
        status: status.word().to_owned(),
        cause,
        by,
        trust: item.trust,
        reason,
        digest: item.digest,
        licence: RawValue::from_string(document.clone()).expect("a parsed licence is JSON"),
        document,
    }
}

#[cfg(test)]
mod tests {
    use licence::{Licence, RevocationCause, Trust};

    use super::*;
    use crate::rules::samples;

    #[test]
    fn a_push_is_as_the_golden_file_has_it() {
        let first = samples::issued(7);
        let other = samples::issued(8).identifier().clone();
        let revoked = LicenceStatus::Revoked { cause: RevocationCause::Withdrawn };
        let items = vec![
            first.clone(),
            samples::changed(8, &first, LicenceStatus::Valid, LicenceStatus::Suspended),
            samples::changed(9, &first, LicenceStatus::Valid, revoked),
            samples::changed(
                10,
                &first,
                LicenceStatus::Valid,
                LicenceStatus::Superseded { by: other },
            ),
            samples::judged(11, &first, Trust::Untrusted),
            samples::judged(12, &first, Trust::Trusted),
        ];
        let body = push("city", &Batch::new("city", 0, items));
        let shown: serde_json::Value = serde_json::from_slice(&body).unwrap();
        insta::assert_snapshot!("push", serde_json::to_string_pretty(&shown).unwrap());
    }

    #[test]
    fn the_licence_in_a_push_can_be_read_back() {
        let item = samples::issued(3);
        let body = push("city", &Batch::new("city", 0, vec![item.clone()]));
        let read: Push = serde_json::from_slice(&body).unwrap();
        let licence = Licence::parse(read.records[0].licence.get().as_bytes()).unwrap();
        assert!(licence == *item.licence);
        assert_eq!(read.records[0].document.as_bytes(), item.document, "byte for byte");
        assert!(!format!("{:?}", read.records[0]).contains(samples::CITIZEN));
    }
}
