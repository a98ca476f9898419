//! Typed records over the store's collections: JSON with a version byte in front.
//!
//! Each type that is kept names its collection once ([`Kept`]). What belongs together is written together with
//! a [`Draft`]; a record that was read is replaced only if nobody changed it meanwhile.

use indexes::{
    Collection, Commit, Committed, Expected, LicenceStore, NewUse, RecordWrite, Stale, StoreError,
};
use serde::{Serialize, de::DeserializeOwned};

/// The first byte of every record.
const VERSION: u8 = 1;

/// A type of record.
pub trait Kept: Serialize + DeserializeOwned {
    /// Where records of this type are.
    const COLLECTION: Collection;
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Held<T> {
    /// Its key.
    pub key: Vec<u8>,
    /// Its revision then.
    pub revision: u64,
    /// Its content.
    pub value: T,
}

/// The record under a key.
///
/// # Errors
/// The store's; `Corrupt` if the bytes are no such record.
pub async fn read<T: Kept>(
    store: &dyn LicenceStore,
    key: &[u8],
) -> Result<Option<Held<T>>, StoreError> {
    store.record(T::COLLECTION, key).await?.map(parse).transpose()
}

/// The records whose keys start with `prefix`, after the key `after`, in the order of their keys.
///
/// # Errors
/// As [`read`].
pub async fn list<T: Kept>(
    store: &dyn LicenceStore,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Held<T>>, StoreError> {
    store.records(T::COLLECTION, prefix, after, limit).await?.into_iter().map(parse).collect()
}

/// The keys of an index, without what they start with.
///
/// # Errors
/// The store's.
pub async fn keys(
    store: &dyn LicenceStore,
    index: Collection,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let found = store.records(index, prefix, after, limit).await?;
    Ok(found.into_iter().map(|one| one.key[prefix.len()..].to_vec()).collect())
}

fn parse<T: Kept>(record: indexes::Record) -> Result<Held<T>, StoreError> {
    let value = match record.value.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice(json).ok(),
        _ => None,
    };
    let value = value.ok_or_else(|| StoreError::Corrupt {
        place: format!("records, collection {}", T::COLLECTION.name()),
        detail: "a record cannot be read".to_owned(),
    })?;
    Ok(Held { key: record.key, revision: record.revision, value })
}

/// What is written together, or not at all.
#[derive(Debug, Default)]
pub struct Draft(Commit);

impl Draft {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new record; the commit is stale if there is one under this key.
    pub fn create<T: Kept>(&mut self, key: &[u8], value: &T) -> &mut Self {
        self.write(T::COLLECTION, key, Expected::Absent, Some(encode(value)))
    }

    /// The record in place of the one that was read; stale if it was changed meanwhile.
    pub fn replace<T: Kept>(&mut self, held: &Held<T>, value: &T) -> &mut Self {
        let expected = Expected::Revision(held.revision);
        self.write(T::COLLECTION, &held.key, expected, Some(encode(value)))
    }

    /// The record, whatever is there.
    pub fn put<T: Kept>(&mut self, key: &[u8], value: &T) -> &mut Self {
        self.write(T::COLLECTION, key, Expected::Any, Some(encode(value)))
    }

    /// Removes what was read; stale if it was changed meanwhile.
    pub fn remove<T: Kept>(&mut self, held: &Held<T>) -> &mut Self {
        self.write(T::COLLECTION, &held.key, Expected::Revision(held.revision), None)
    }

    /// A key of an index, with nothing under it.
    pub fn index(&mut self, index: Collection, key: &[u8]) -> &mut Self {
        self.write(index, key, Expected::Any, Some(Vec::new()))
    }

    /// Takes a key out of an index.
    pub fn unindex(&mut self, index: Collection, key: &[u8]) -> &mut Self {
        self.write(index, key, Expected::Any, None)
    }

    /// An entry of the access log, with the grant it opens.
    pub fn record_use(&mut self, new: NewUse) -> &mut Self {
        self.0.uses.push(new);
        self
    }

    /// Writes all of it, durably.
    ///
    /// # Errors
    /// The store's. `Ok(Err(Stale))`: nothing was written, read again.
    pub async fn commit(
        self,
        store: &dyn LicenceStore,
    ) -> Result<Result<Committed, Stale>, StoreError> {
        store.commit(self.0).await
    }

    fn write(
        &mut self,
        collection: Collection,
        key: &[u8],
        expected: Expected,
        value: Option<Vec<u8>>,
    ) -> &mut Self {
        self.0.writes.push(RecordWrite { collection, key: key.to_vec(), expected, value });
        self
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value)
        .expect("records are plain structures, and memory takes every byte");
    bytes
}

/// A random name that cannot be guessed: `prefix` and 128 bits as hex.
///
/// # Errors
/// `Closed` if the system has no random bytes.
pub fn random_name(prefix: &str) -> Result<String, StoreError> {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut random = [0_u8; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| StoreError::Closed)?;
    Ok(format!("{prefix}{}", hex::encode(random)))
}

/// A moment as a key that sorts the newest first.
#[must_use]
pub fn newest_first(at: jiff::Timestamp) -> [u8; 8] {
    (u64::MAX - u64::try_from(at.as_microsecond()).unwrap_or(0)).to_be_bytes()
}
