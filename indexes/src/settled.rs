//! Settled set-asides: records of a collection of their own.
//!
//! Key: name · NUL · number of the change · microseconds when it was set aside, so that settling the same again is the
//! same record. Value: JSON.

use jiff::Timestamp;

use crate::{
    Collection, Commit, Expected, LicenceStore, Record, RecordWrite, SetAside, SettledSetAside,
    StoreError,
};

/// Where they are.
pub(crate) const COLLECTION: Collection = Collection::new("settled_set_asides");

/// What the keys of this name start with.
pub(crate) fn prefix(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// The key of what was set aside.
pub(crate) fn key(name: &str, refused: &SetAside) -> Vec<u8> {
    let (seq, at) = (refused.seq.0.to_be_bytes(), micros(refused.at).to_be_bytes());
    [&prefix(name)[..], &seq, &at].concat()
}

fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or(0)
}

/// The write that lists it as settled.
pub(crate) fn commit(name: &str, settled: &SettledSetAside) -> Commit {
    let value = serde_json::to_vec(settled).expect("strings and numbers can always be written");
    let write = RecordWrite {
        collection: COLLECTION,
        key: key(name, &settled.refused),
        expected: Expected::Any,
        value: Some(value),
    };
    Commit { writes: vec![write], uses: Vec::new() }
}

/// From the record; `None` for a record of another name that begins alike.
pub(crate) fn parse(name: &str, record: &Record) -> Result<Option<SettledSetAside>, StoreError> {
    if record.key.len() != name.len() + 17 {
        return Ok(None);
    }
    let damaged = |_| StoreError::Corrupt {
        place: format!("records, collection {}", COLLECTION.name()),
        detail: "a record cannot be read".to_owned(),
    };
    let settled: SettledSetAside = serde_json::from_slice(&record.value).map_err(damaged)?;
    Ok(Some(settled))
}

/// A page of them.
pub(crate) async fn page(
    store: &impl LicenceStore,
    name: &str,
    after: Option<&SetAside>,
    limit: usize,
) -> Result<Vec<SettledSetAside>, StoreError> {
    let prefix = prefix(name);
    let after = after.map(|refused| key(name, refused));
    let records = store.records(COLLECTION, &prefix, after.as_deref(), limit).await?;
    let mut found = Vec::with_capacity(records.len());
    for record in &records {
        found.extend(parse(name, record)?);
    }
    Ok(found)
}
