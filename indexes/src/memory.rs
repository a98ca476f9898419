//! A store in memory, for tests of what uses a store. Keeps the whole contract except durability.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use licence::{Change, LicenceId, LicenceTypeCode, ProjectCode, Seq, Sha256Digest};
use tokio::sync::watch;

use crate::decide::{self, Decision, MAX_NAME, MAX_OUTCOME_KEY, newest_first, within};
use crate::record::{filed, next_revision};
use crate::settled;
use crate::{
    Appended, Collection, Commit, Committed, Grant, HolderToken, LicenceStore, NewEntry, NewUse,
    Record, Refusal, SetAside, Settled, SettledSetAside, Stale, StoreError, StoredLicence,
    StoredManifest, UnsignedBefore, UseEntry,
};

/// A store in memory: nothing outlives it.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    head: watch::Sender<Seq>,
}

#[derive(Debug, Default)]
struct State {
    licences: BTreeMap<LicenceId, StoredLicence>,
    by_holder: BTreeSet<(HolderToken, LicenceId)>,
    by_project: BTreeSet<(ProjectCode, LicenceId)>,
    by_number: BTreeSet<(LicenceTypeCode, String, LicenceId)>,
    changes: Vec<Change>,
    first_change: Seq,
    uses: Vec<UseEntry>,
    uses_by_holder: BTreeSet<(HolderToken, Seq)>,
    grants: BTreeMap<String, (Seq, Timestamp)>,
    manifests: BTreeMap<Sha256Digest, StoredManifest>,
    cursors: BTreeMap<String, Seq>,
    flags: BTreeMap<String, bool>,
    set_asides: BTreeMap<(String, Seq), SetAside>,
    outcomes: BTreeMap<Vec<u8>, Vec<u8>>,
    records: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { state: Mutex::default(), head: watch::Sender::new(Seq::ZERO) }
    }

    /// Cuts the log's start: changes before `first` are not answered any more. To try what follows a log with.
    pub fn cut_changes(&self, first: Seq) {
        let mut state = self.state();
        state.first_change = state.first_change.max(first);
    }

    /// No call leaves the state half changed, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, entry: NewEntry) -> Result<Appended, Refusal> {
        let held = self.licences.get(entry.identifier());
        match decide::decide(entry, held, Seq(self.changes.len() as u64)) {
            Decision::Answer(answer) => answer,
            Decision::Write { licence, change, appended } => {
                if let Some(before) = decide::before(held, &licence) {
                    let identifier = &licence.identifier;
                    let key = filed(UnsignedBefore::COLLECTION, identifier.as_str().as_bytes());
                    self.records.insert(key, (1, before));
                    self.by_holder.retain(|(_, one)| one != identifier);
                    self.by_project.retain(|(_, one)| one != identifier);
                    self.by_number.retain(|(_, _, one)| one != identifier);
                }
                self.keep(*licence);
                self.changes.push(change);
                Ok(appended)
            }
        }
    }

    fn keep(&mut self, licence: StoredLicence) {
        let identifier = &licence.identifier;
        for holder in &licence.holders {
            self.by_holder.insert((*holder, identifier.clone()));
        }
        if let Some(project) = licence.project {
            self.by_project.insert((project, identifier.clone()));
        }
        let number = licence.number.clone();
        self.by_number.insert((licence.licence_type, number, identifier.clone()));
        self.licences.insert(identifier.clone(), licence);
    }

    fn record_use(&mut self, new: NewUse) -> Seq {
        let seq = Seq(self.uses.len() as u64);
        if let Some(grant) = new.opens() {
            self.grants.insert(grant.id.clone(), (seq, grant.until));
        }
        self.uses_by_holder.extend(new.holders().into_iter().map(|holder| (holder, seq)));
        self.uses.push(decide::use_entry(new, seq));
        seq
    }

    fn newest<'a>(
        &self,
        identifiers: impl Iterator<Item = &'a LicenceId>,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Vec<StoredLicence> {
        let licences = identifiers.filter_map(|identifier| self.licences.get(identifier));
        let wanted =
            |licence: &&StoredLicence| types.is_empty() || types.contains(&licence.licence_type);
        let mut found: Vec<_> = licences.filter(wanted).cloned().collect();
        found.sort_by(newest_first);
        found.truncate(limit);
        found
    }
}

fn slice<T: Clone>(log: &[T], from: Seq, limit: usize) -> Vec<T> {
    let from = usize::try_from(from.0).unwrap_or(usize::MAX);
    log.iter().skip(from).take(limit).cloned().collect()
}

#[async_trait]
impl LicenceStore for MemoryStore {
    async fn append(
        &self,
        entries: Vec<NewEntry>,
    ) -> Result<Vec<Result<Appended, Refusal>>, StoreError> {
        let mut state = self.state();
        let answers = entries.into_iter().map(|entry| state.append(decide::check(entry)?));
        let answers = answers.collect();
        self.head.send_replace(Seq(state.changes.len() as u64));
        Ok(answers)
    }

    async fn licence(&self, identifier: &LicenceId) -> Result<Option<StoredLicence>, StoreError> {
        Ok(self.state().licences.get(identifier).cloned())
    }

    async fn licences(
        &self,
        identifiers: &[LicenceId],
    ) -> Result<Vec<Option<StoredLicence>>, StoreError> {
        let state = self.state();
        Ok(identifiers.iter().map(|identifier| state.licences.get(identifier).cloned()).collect())
    }

    async fn licences_of_holder(
        &self,
        holder: &HolderToken,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        let state = self.state();
        let of_holder = state.by_holder.iter().filter(|(one, _)| one == holder);
        Ok(state.newest(of_holder.map(|(_, identifier)| identifier), types, limit))
    }

    async fn identifiers_of_holder(
        &self,
        holder: &HolderToken,
        limit: usize,
    ) -> Result<Vec<LicenceId>, StoreError> {
        let found = self.licences_of_holder(holder, &[], limit).await?;
        Ok(found.into_iter().map(|licence| licence.identifier).collect())
    }

    async fn licences_of_project(
        &self,
        project: &ProjectCode,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        let state = self.state();
        let of_project = state.by_project.iter().filter(|(one, _)| one == project);
        Ok(state.newest(of_project.map(|(_, identifier)| identifier), types, limit))
    }

    async fn licences_of_number(
        &self,
        licence_type: &LicenceTypeCode,
        number: &str,
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        let state = self.state();
        let keys = state.by_number.iter();
        let same = keys.filter(|(one, other, _)| one == licence_type && other == number);
        let found = same.filter_map(|(_, _, identifier)| state.licences.get(identifier));
        Ok(found.take(limit).cloned().collect())
    }

    async fn page_of_licences(
        &self,
        after: Option<LicenceId>,
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        let state = self.state();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = state.licences.range((start, Bound::Unbounded));
        Ok(page.take(limit).map(|(_, licence)| licence.clone()).collect())
    }

    async fn put_manifest(
        &self,
        digest: &Sha256Digest,
        document: Bytes,
        signature: Bytes,
    ) -> Result<(), StoreError> {
        let manifest = StoredManifest { document, signature };
        self.state().manifests.entry(*digest).or_insert(manifest);
        Ok(())
    }

    async fn manifest(&self, digest: &Sha256Digest) -> Result<Option<StoredManifest>, StoreError> {
        Ok(self.state().manifests.get(digest).cloned())
    }

    async fn changes(&self, from: Seq, limit: usize) -> Result<Vec<Change>, StoreError> {
        let state = self.state();
        Ok(slice(&state.changes, from.max(state.first_change), limit))
    }

    async fn first_change(&self) -> Result<Seq, StoreError> {
        Ok(self.state().first_change)
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        Ok(*self.head.borrow())
    }

    async fn wait_beyond(&self, from: Seq, timeout: Duration) -> Result<Seq, StoreError> {
        Ok(wait(&self.head, from, timeout).await)
    }

    async fn record_use(&self, new: NewUse) -> Result<Seq, StoreError> {
        decide::check_use(&new)?;
        Ok(self.state().record_use(new))
    }

    async fn grant(&self, id: &str) -> Result<Option<Grant>, StoreError> {
        let state = self.state();
        let Some((seq, until)) = state.grants.get(id) else { return Ok(None) };
        let opened_by = slice(&state.uses, *seq, 1).pop();
        Ok(opened_by.map(|opened_by| Grant { id: id.to_owned(), until: *until, opened_by }))
    }

    async fn use_entry(&self, seq: Seq) -> Result<Option<UseEntry>, StoreError> {
        Ok(slice(&self.state().uses, seq, 1).pop())
    }

    async fn uses(&self, from: Seq, limit: usize) -> Result<Vec<UseEntry>, StoreError> {
        Ok(slice(&self.state().uses, from, limit))
    }

    async fn use_head(&self) -> Result<Seq, StoreError> {
        Ok(Seq(self.state().uses.len() as u64))
    }

    async fn uses_of_holder(
        &self,
        holder: &HolderToken,
        limit: usize,
    ) -> Result<Vec<UseEntry>, StoreError> {
        let state = self.state();
        let mine = |entry: &&UseEntry| state.uses_by_holder.contains(&(*holder, entry.seq));
        let of_holder = state.uses.iter().rev().filter(mine);
        Ok(of_holder.take(limit).cloned().collect())
    }

    async fn cursor(&self, name: &str) -> Result<Option<Seq>, StoreError> {
        Ok(self.state().cursors.get(name).copied())
    }

    async fn save_cursor(&self, name: &str, next: Seq) -> Result<(), StoreError> {
        within("a cursor name", name.len(), MAX_NAME)?;
        self.state().cursors.insert(name.to_owned(), next);
        Ok(())
    }

    async fn set_aside(&self, name: &str, refused: SetAside) -> Result<(), StoreError> {
        within("a follower name", name.len(), MAX_NAME)?;
        self.state().set_asides.insert((name.to_owned(), refused.seq), refused);
        Ok(())
    }

    async fn set_asides_from(
        &self,
        name: &str,
        from: Seq,
        limit: usize,
    ) -> Result<Vec<SetAside>, StoreError> {
        let state = self.state();
        let from = state.set_asides.range((name.to_owned(), from)..);
        let of_name = from.take_while(|((one, _), _)| one == name);
        Ok(of_name.take(limit).map(|(_, refused)| refused.clone()).collect())
    }

    async fn settle(
        &self,
        name: &str,
        seq: Seq,
        how: Settled,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = (name.to_owned(), seq);
        let Some(refused) = self.state().set_asides.get(&key).cloned() else { return Ok(false) };
        let settled = SettledSetAside { refused, settled_at: at, how };
        let _ = self.commit(settled::commit(name, &settled)).await?;
        self.state().set_asides.remove(&key);
        Ok(true)
    }

    async fn settled(
        &self,
        name: &str,
        after: Option<&SetAside>,
        limit: usize,
    ) -> Result<Vec<SettledSetAside>, StoreError> {
        settled::page(self, name, after, limit).await
    }

    async fn flag(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.state().flags.get(name).copied().unwrap_or(false))
    }

    async fn set_flag(&self, name: &str, value: bool) -> Result<(), StoreError> {
        within("a flag name", name.len(), MAX_NAME)?;
        self.state().flags.insert(name.to_owned(), value);
        Ok(())
    }

    async fn outcome(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().outcomes.get(key).cloned())
    }

    async fn save_outcome(
        &self,
        key: &[u8],
        bytes: Vec<u8>,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        within("an outcome key", key.len(), MAX_OUTCOME_KEY)?;
        self.state().outcomes.entry(key.to_vec()).or_insert(bytes);
        Ok(())
    }

    async fn record(
        &self,
        collection: Collection,
        key: &[u8],
    ) -> Result<Option<Record>, StoreError> {
        let state = self.state();
        let held = state.records.get(&filed(collection, key));
        let record = |(revision, value): &(u64, Vec<u8>)| Record {
            key: key.to_vec(),
            revision: *revision,
            value: value.clone(),
        };
        Ok(held.map(record))
    }

    async fn records(
        &self,
        collection: Collection,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let state = self.state();
        let (skip, prefix) = (collection.name().len() + 1, filed(collection, prefix));
        let start = match after.map(|after| filed(collection, after)) {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix.clone()),
        };
        let found = state.records.range((start, Bound::Unbounded));
        let found = found.take_while(|(key, _)| key.starts_with(&prefix)).take(limit);
        let record = |(key, (revision, value)): (&Vec<u8>, &(u64, Vec<u8>))| Record {
            key: key[skip..].to_vec(),
            revision: *revision,
            value: value.clone(),
        };
        Ok(found.map(record).collect())
    }

    async fn commit(&self, commit: Commit) -> Result<Result<Committed, Stale>, StoreError> {
        decide::check_commit(&commit)?;
        let mut state = self.state();
        let mut revisions = Vec::new();
        for write in &commit.writes {
            let held = state.records.get(&filed(write.collection, &write.key));
            match next_revision(held.map_or(0, |(revision, _)| *revision), write) {
                Ok(revision) => revisions.push(revision),
                Err(stale) => return Ok(Err(stale)),
            }
        }
        for (write, revision) in commit.writes.into_iter().zip(&revisions) {
            let key = filed(write.collection, &write.key);
            match write.value {
                Some(value) => drop(state.records.insert(key, (*revision, value))),
                None => drop(state.records.remove(&key)),
            }
        }
        let uses = commit.uses.into_iter().map(|new| state.record_use(new)).collect();
        Ok(Ok(Committed { revisions, uses }))
    }

    async fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Waits until the head is beyond `from`, at most `timeout`.
pub(crate) async fn wait(head: &watch::Sender<Seq>, from: Seq, timeout: Duration) -> Seq {
    let mut head = head.subscribe();
    let beyond = tokio::time::timeout(timeout, head.wait_for(|head| *head > from)).await;
    let beyond = beyond.ok().and_then(Result::ok).map(|head| *head);
    beyond.unwrap_or_else(|| *head.borrow())
}
