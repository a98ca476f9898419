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
        ChangeKind::Issued { .. } => "issued",
        ChangeKind::StatusChanged { .. } => "status_changed",
    };
    let (cause, by) = match &status {
        LicenceStatus::Revoked { cause } => (Some(cause.word().to_owned()), None),
        LicenceStatus::Superseded { by } => (None, Some(by.clone())),
        LicenceStatus::Valid | LicenceStatus::Suspended => (None, None),
    };
    let document =
        String::from_utf8(item.licence.to_bytes()).expect("a licence is written as JSON, in UTF-8");
    PushRecord {
        seq: item.seq(),
        at: item.change.at,
        event: event.to_owned(),
        identifier: item.identifier().clone(),
        licence_type: *item.change.licence_type(),
        status: status.word().to_owned(),
        cause,
        by,
        digest: item.digest,
        licence: RawValue::from_string(document).expect("a licence is written as JSON"),
    }
}
