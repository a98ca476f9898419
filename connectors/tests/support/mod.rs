//! Counterparts and stores for the tests.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod cases;
pub mod city;
pub mod drop_box;
pub mod exchange;
pub mod faulty_store;
pub mod file_server;
pub mod gateway;
pub mod maria;
pub mod marks;
pub mod neighbour;
pub mod province;
pub mod relay;
pub mod scripted;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use connectors::{
    ConnectorState, RunnerHandle, RunnerSettings,
    rules::samples::{self, sha256},
};
use indexes::{ChainRecordBytes, LicenceStore, NewEntry, NewLicence, NewStatus, NewTrust, Proof};
use jiff::Timestamp;
use licence::{Licence, LicenceId, LicenceTypeCode, Seq, StatusChange, Trust, TrustReason};

/// Quick enough for tests: short pauses, small batches.
pub fn quick() -> RunnerSettings {
    RunnerSettings {
        batch: 100,
        poll: Duration::from_millis(20),
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        ..RunnerSettings::default()
    }
}

/// Waits until the state is as wanted; fails after two minutes with the state it was in.
pub async fn until(
    handle: &RunnerHandle,
    wanted: impl Fn(&ConnectorState) -> bool,
) -> ConnectorState {
    let mut watch = handle.watch();
    let found =
        tokio::time::timeout(Duration::from_secs(120), watch.wait_for(|state| wanted(state)))
            .await
            .map(|found| found.map(|state| state.clone()));
    match found {
        Ok(Ok(state)) => state,
        Ok(Err(_)) => panic!("the runner ended: {:?}", handle.state()),
        Err(_) => panic!("did not come about: {:?}", handle.state()),
    }
}

/// Waits until everything in the store has been gone through.
pub async fn caught_up(handle: &RunnerHandle, store: &dyn LicenceStore) -> ConnectorState {
    let head = store.head().await.unwrap();
    until(handle, |state| state.cursor == head && state.next_attempt.is_none()).await
}

/// Takes in `count` sample licences of the first type, numbered from `from` on.
pub async fn issue(store: &dyn LicenceStore, from: u64, count: u64) -> Vec<LicenceId> {
    issue_of(store, from, count, samples::types()[0]).await
}

/// Takes in `count` sample licences of a type, numbered from `from` on.
pub async fn issue_of(
    store: &dyn LicenceStore,
    from: u64,
    count: u64,
    licence_type: LicenceTypeCode,
) -> Vec<LicenceId> {
    let licences: Vec<Licence> =
        (from..from + count).map(|number| samples::licence(number, licence_type)).collect();
    for portion in licences.chunks(1_000) {
        append(store, portion.iter().map(|licence| entry(licence, licence.to_bytes())).collect())
            .await;
    }
    licences.into_iter().map(|licence| licence.identifier).collect()
}

/// Takes in this licence.
pub async fn issue_this(store: &dyn LicenceStore, licence: &Licence) {
    append(store, vec![entry(licence, licence.to_bytes())]).await;
}

/// Takes in a licence whose document is not readable.
pub async fn issue_unreadable(store: &dyn LicenceStore, number: u64) -> LicenceId {
    let licence = samples::licence(number, samples::types()[0]);
    append(store, vec![entry(&licence, b"not a document".to_vec())]).await;
    licence.identifier
}

/// Changes a licence's status.
pub async fn change(store: &dyn LicenceStore, identifier: &LicenceId, change: StatusChange) {
    let document = format!("{identifier} {change:?} {}", store.head().await.unwrap());
    let order = NewStatus {
        identifier: identifier.clone(),
        change,
        issuer: samples::ISSUER.parse().unwrap(),
        document: Bytes::from(document.clone()),
        signature: Bytes::from_static(b"signature"),
        digest: sha256(document.as_bytes()),
        at: Timestamp::now(),
    };
    append(store, vec![NewEntry::Status(order)]).await;
}

/// A licence's signer is revoked, or stands again.
pub async fn judge(store: &dyn LicenceStore, identifier: &LicenceId, to: Trust) {
    let reason = match to {
        Trust::Untrusted => TrustReason::CertificateRevoked,
        Trust::Trusted => TrustReason::RevocationLifted,
    };
    let new = NewTrust { identifier: identifier.clone(), to, reason, at: Timestamp::now() };
    append(store, vec![NewEntry::Trust(new)]).await;
}

/// The store's cursor for this connector.
pub async fn cursor(store: &Arc<dyn LicenceStore>, name: &str) -> Option<Seq> {
    store.cursor(name).await.unwrap()
}

/// The numbers and codes that are set aside under this name.
pub async fn set_asides(store: &dyn LicenceStore, name: &str) -> Vec<(u64, String)> {
    let records = store.set_asides(name, 10_000).await.unwrap();
    records.into_iter().map(|record| (record.seq.0, record.code)).collect()
}

fn entry(licence: &Licence, document: Vec<u8>) -> NewEntry {
    NewEntry::Licence(NewLicence {
        identifier: licence.identifier.clone(),
        licence_type: licence.licence_type,
        issuer: licence.issuer,
        holders: Vec::new(),
        project: None,
        number: licence.number.clone(),
        issued_on: licence.issued_on,
        digest: sha256(&document),
        document: Bytes::from(document),
        proof: Proof::Signature(Bytes::from_static(b"signature")),
        chain: ChainRecordBytes::default(),
        at: Timestamp::now(),
    })
}

async fn append(store: &dyn LicenceStore, entries: Vec<NewEntry>) {
    for answer in store.append(entries).await.unwrap() {
        assert!(answer.unwrap().new);
    }
}
