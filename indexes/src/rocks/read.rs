//! Reading: records by key, and keys in order.

use licence::{Change, LicenceId, LicenceTypeCode, ProjectCode, Seq};
use rocksdb::ReadOptions;

use super::family::{
    AccessByHolder, AccessLog, ByHolder, ByNumber, ByProject, Damage, Family, HolderKey, Licences,
    NumberKey, Records, RegistryLog, SetAsideKey, SetAsides, Shape, place,
};
use super::open::{Db, prefix_read, store_error};
use crate::decide::newest_first;
use crate::record::filed;
use crate::{Collection, HolderToken, Record, SetAside, StoreError, StoredLicence, UseEntry};

/// A scan over this many keys is still cheaper than a change of thread.
pub(super) const INLINE_KEYS: usize = 64;

/// Records read at a time where many are looked at and few kept.
const CHUNK: usize = 64;

pub(super) fn get<F: Family>(db: &Db, key: &F::Key) -> Result<Option<F::Value>, StoreError> {
    let key = F::key(key);
    let found = db.rocks.get_pinned_cf(db.family::<F>()?, &key).map_err(store_error)?;
    found.map(|value| F::parse_value(&value).map_err(|damage| damage.at::<F>(&key))).transpose()
}

pub(super) fn licence(
    db: &Db,
    identifier: &LicenceId,
) -> Result<Option<StoredLicence>, StoreError> {
    let key = Licences::key(identifier);
    let found = db.rocks.get_pinned_cf(db.family::<Licences>()?, &key).map_err(store_error)?;
    found.map(|value| parse_licence(identifier, &value)).transpose()
}

pub(super) fn licences(
    db: &Db,
    identifiers: &[LicenceId],
) -> Result<Vec<Option<StoredLicence>>, StoreError> {
    if let [one] = identifiers {
        return Ok(vec![licence(db, one)?]);
    }
    let family = db.family::<Licences>()?;
    let keys = identifiers.iter().map(|identifier| identifier.as_str().as_bytes());
    let found = db.rocks.batched_multi_get_cf(family, keys, false);
    let parse = |(identifier, found): (_, Result<Option<rocksdb::DBPinnableSlice<'_>>, _>)| {
        let found = found.map_err(store_error)?;
        found.map(|value| parse_licence(identifier, &value)).transpose()
    };
    identifiers.iter().zip(found).map(parse).collect()
}

fn parse_licence(identifier: &LicenceId, value: &[u8]) -> Result<StoredLicence, StoreError> {
    let licence =
        Licences::parse_value(value).and_then(|record| record.licence(identifier.clone()));
    licence.map_err(|damage| damage.at::<Licences>(identifier.as_str().as_bytes()))
}

/// The licences that secondary keys name: those must be there.
fn named(db: &Db, identifiers: &[LicenceId]) -> Result<Vec<StoredLicence>, StoreError> {
    let found = licences(db, identifiers)?;
    let present = |(identifier, found): (&LicenceId, Option<StoredLicence>)| {
        found.ok_or_else(|| StoreError::Corrupt {
            place: place(Licences::NAME, identifier.as_str().as_bytes()),
            detail: "a secondary key names a licence that is missing".to_owned(),
        })
    };
    identifiers.iter().zip(found).map(present).collect()
}

/// Whether a scan goes on after a key.
pub(super) enum Next {
    Go,
    Stop,
}

/// Looks at the keys that start with `prefix`, in order, at most `budget` of them; `Ok(false)`
/// if there are more.
fn scan<F: Family>(
    db: &Db,
    prefix: &[u8],
    budget: usize,
    look: impl FnMut(F::Key) -> Next,
) -> Result<bool, StoreError> {
    scan_from::<F>(db, prefix, prefix, budget, look)
}

/// The same, beginning with the key `start`.
fn scan_from<F: Family>(
    db: &Db,
    prefix: &[u8],
    start: &[u8],
    budget: usize,
    mut look: impl FnMut(F::Key) -> Next,
) -> Result<bool, StoreError> {
    let family = db.family::<F>()?;
    let mut keys = db.rocks.raw_iterator_cf_opt(family, prefix_read(F::SHAPE, prefix));
    keys.seek(start);
    let mut looked = 0;
    while let Some(key) = keys.key() {
        if looked == budget {
            return Ok(false);
        }
        looked += 1;
        let parsed = F::parse_key(key).map_err(|damage| damage.at::<F>(key))?;
        if let Next::Stop = look(parsed) {
            return Ok(true);
        }
        keys.next();
    }
    keys.status().map_err(store_error)?;
    Ok(true)
}

/// A holder's licences, newest first; `None` if more than `budget` keys have to be looked at.
pub(super) fn of_holder(
    db: &Db,
    holder: &HolderToken,
    types: &[LicenceTypeCode],
    limit: usize,
    budget: usize,
) -> Result<Option<Vec<StoredLicence>>, StoreError> {
    let identifiers = identifiers_of_holder(db, holder, types, limit, budget)?;
    identifiers.map(|identifiers| named(db, &identifiers)).transpose()
}

/// The same, by their identifiers alone.
pub(super) fn identifiers_of_holder(
    db: &Db,
    holder: &HolderToken,
    types: &[LicenceTypeCode],
    limit: usize,
    budget: usize,
) -> Result<Option<Vec<LicenceId>>, StoreError> {
    let mut prefixes = vec![holder.as_bytes().to_vec()];
    if !types.is_empty() {
        let one = |code: &LicenceTypeCode| [holder.as_bytes(), code.as_str().as_bytes()].concat();
        prefixes = types.iter().map(one).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
    }
    let mut keys: Vec<HolderKey> = Vec::new();
    let order = |left: &HolderKey, right: &HolderKey| {
        let days = right.issued_on.cmp(&left.issued_on);
        days.then_with(|| left.identifier.cmp(&right.identifier))
    };
    for prefix in &prefixes {
        let complete = scan::<ByHolder>(db, prefix, budget, |key| {
            keys.push(key);
            // However many there are, no more than this are held.
            if keys.len() >= limit.saturating_mul(2).max(CHUNK) {
                keys.sort_unstable_by(order);
                keys.truncate(limit);
            }
            Next::Go
        })?;
        if !complete {
            return Ok(None);
        }
    }
    keys.sort_unstable_by(order);
    keys.truncate(limit);
    Ok(Some(keys.into_iter().map(|key| key.identifier).collect()))
}

/// A project's licences, newest first.
pub(super) fn of_project(
    db: &Db,
    project: &ProjectCode,
    types: &[LicenceTypeCode],
    limit: usize,
) -> Result<Vec<StoredLicence>, StoreError> {
    let mut identifiers = Vec::new();
    scan::<ByProject>(db, project.as_str().as_bytes(), usize::MAX, |key| {
        if types.is_empty() || types.contains(&key.identifier.licence_type()) {
            identifiers.push(key.identifier);
        }
        Next::Go
    })?;
    let mut newest = Vec::new();
    for chunk in identifiers.chunks(CHUNK) {
        newest.extend(named(db, chunk)?);
        newest.sort_by(newest_first);
        newest.truncate(limit);
    }
    Ok(newest)
}

pub(super) fn of_number(
    db: &Db,
    licence_type: &LicenceTypeCode,
    number: &str,
    limit: usize,
) -> Result<Vec<StoredLicence>, StoreError> {
    let mut identifiers = Vec::new();
    let prefix = NumberKey::prefix(licence_type, number);
    scan::<ByNumber>(db, &prefix, usize::MAX, |key| {
        if identifiers.len() == limit {
            return Next::Stop;
        }
        // A longer number that holds a NUL starts the same way.
        if key.number == number {
            identifiers.push(key.identifier);
        }
        Next::Go
    })?;
    named(db, &identifiers)
}

pub(super) fn page_of_licences(
    db: &Db,
    after: Option<&LicenceId>,
    limit: usize,
) -> Result<Vec<StoredLicence>, StoreError> {
    let start = after.map_or(Vec::new(), |after| [after.as_str().as_bytes(), &[0]].concat());
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    let mut records = db.rocks.raw_iterator_cf_opt(db.family::<Licences>()?, options);
    records.seek(start);
    let mut page = Vec::new();
    while page.len() < limit
        && let Some((key, value)) = records.item()
    {
        let identifier = Licences::parse_key(key).map_err(|damage| damage.at::<Licences>(key))?;
        page.push(parse_licence(&identifier, value)?);
        records.next();
    }
    records.status().map_err(store_error)?;
    Ok(page)
}

/// Entries of a log from `from` on, at most `limit`; a missing number is damage.
fn entries<F: Family<Key = Seq>, T>(
    db: &Db,
    from: Seq,
    limit: usize,
    read: impl Fn(Seq, F::Value) -> Result<T, Damage>,
) -> Result<Vec<T>, StoreError> {
    let mut records = db.rocks.raw_iterator_cf(db.family::<F>()?);
    records.seek(F::key(&from));
    let mut found = Vec::new();
    while found.len() < limit
        && let Some((key, value)) = records.item()
    {
        let expected = Seq(from.0.saturating_add(found.len() as u64));
        let entry = F::parse_key(key).and_then(|seq| match seq == expected {
            true => read(seq, F::parse_value(value)?),
            false => Err(Damage::new("an entry before this one is missing")),
        });
        found.push(entry.map_err(|damage| damage.at::<F>(key))?);
        records.next();
    }
    records.status().map_err(store_error)?;
    Ok(found)
}

pub(super) fn changes(db: &Db, from: Seq, limit: usize) -> Result<Vec<Change>, StoreError> {
    entries::<RegistryLog, _>(db, from, limit, |seq, record| record.change(seq))
}

pub(super) fn uses(db: &Db, from: Seq, limit: usize) -> Result<Vec<UseEntry>, StoreError> {
    entries::<AccessLog, _>(db, from, limit, |seq, record| record.entry(seq))
}

pub(super) fn use_entry(db: &Db, seq: Seq) -> Result<Option<UseEntry>, StoreError> {
    let record = get::<AccessLog>(db, &seq)?;
    let entry = record.map(|record| record.entry(seq)).transpose();
    entry.map_err(|damage| damage.at::<AccessLog>(&AccessLog::key(&seq)))
}

pub(super) fn uses_of_holder(
    db: &Db,
    holder: &HolderToken,
    limit: usize,
) -> Result<Vec<UseEntry>, StoreError> {
    let mut options = prefix_read(Shape::Log, holder.as_bytes());
    options.set_iterate_lower_bound(holder.as_bytes().as_slice());
    let mut keys = db.rocks.raw_iterator_cf_opt(db.family::<AccessByHolder>()?, options);
    keys.seek_to_last();
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(key) = keys.key()
    {
        let parsed = AccessByHolder::parse_key(key);
        let seq = parsed.map_err(|damage| damage.at::<AccessByHolder>(key))?.seq;
        let missing = Damage::new("a holder's key names a use that is missing");
        let entry = use_entry(db, seq)?;
        found.push(entry.ok_or_else(|| missing.at::<AccessLog>(&AccessLog::key(&seq)))?);
        keys.prev();
    }
    keys.status().map_err(store_error)?;
    Ok(found)
}

pub(super) fn set_asides(
    db: &Db,
    name: &str,
    from: Seq,
    limit: usize,
) -> Result<Vec<SetAside>, StoreError> {
    let prefix = SetAsideKey::prefix(name);
    let start = SetAsides::key(&SetAsideKey { name: name.to_owned(), seq: from });
    let mut keys = Vec::new();
    scan_from::<SetAsides>(db, &prefix, &start, usize::MAX, |key| {
        if keys.len() == limit {
            return Next::Stop;
        }
        if key.name == name {
            keys.push(key);
        }
        Next::Go
    })?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        if let Some(record) = get::<SetAsides>(db, &key)? {
            let refused = record.set_aside(key.seq);
            found.push(refused.map_err(|damage| damage.at::<SetAsides>(&SetAsides::key(&key)))?);
        }
    }
    Ok(found)
}

/// The numbers that the next change and the next use get.
pub(super) fn heads(db: &Db) -> Result<(Seq, Seq), StoreError> {
    Ok((head::<RegistryLog>(db)?, head::<AccessLog>(db)?))
}

fn head<F: Family<Key = Seq>>(db: &Db) -> Result<Seq, StoreError> {
    let mut keys = db.rocks.raw_iterator_cf(db.family::<F>()?);
    keys.seek_to_last();
    let last = keys.key().map(|key| F::parse_key(key).map_err(|damage| damage.at::<F>(key)));
    let last = last.transpose()?;
    keys.status().map_err(store_error)?;
    Ok(last.map_or(Seq::ZERO, Seq::next))
}

pub(super) fn record(
    db: &Db,
    collection: Collection,
    key: &[u8],
) -> Result<Option<Record>, StoreError> {
    let held = get::<Records>(db, &filed(collection, key))?;
    Ok(held.map(|held| Record {
        key: key.to_vec(),
        revision: held.revision,
        value: held.value.into(),
    }))
}

pub(super) fn records(
    db: &Db,
    collection: Collection,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let skip = collection.name().len() + 1;
    let prefix = filed(collection, prefix);
    let after = after.map(|after| filed(collection, after));
    let start = after.as_ref().filter(|after| **after > prefix).unwrap_or(&prefix);
    let mut keys = db.rocks.raw_iterator_cf_opt(db.family::<Records>()?, ReadOptions::default());
    keys.seek(start);
    let mut found = Vec::new();
    while found.len() < limit {
        let Some((key, value)) = keys.item() else { break };
        if !key.starts_with(&prefix) {
            break;
        }
        if after.as_deref() != Some(key) {
            let held = Records::parse_value(value).map_err(|damage| damage.at::<Records>(key))?;
            let (key, value) = (key[skip..].to_vec(), held.value.into());
            found.push(Record { key, revision: held.revision, value });
        }
        keys.next();
    }
    keys.status().map_err(store_error)?;
    Ok(found)
}
