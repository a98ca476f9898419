//! A store whose writes can fail, each in two ways: without effect, or with the effect all the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use indexes::{
    Appended, Collection, Commit, Committed, Grant, HolderToken, LicenceStore, NewEntry, NewUse,
    Record, Refusal, SetAside, Settled, SettledSetAside, Stale, StoreError, StoredLicence,
    StoredManifest, UseEntry,
};
use jiff::Timestamp;
use licence::{Change, LicenceId, LicenceTypeCode, ProjectCode, Seq, Sha256Digest};

/// A call that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Changes,
    Licences,
    SaveCursor,
    SetAside,
    SetFlag,
    SaveOutcome,
    Settle,
    Commit,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    WithoutEffect,
    WithEffect,
}

/// Passes everything on, and fails the calls it was told to as often as it was told to.
pub struct FaultyStore {
    inner: Arc<dyn LicenceStore>,
    faults: Mutex<BTreeMap<Call, (Fault, usize)>>,
    licences_read: AtomicUsize,
}

impl FaultyStore {
    pub fn new(inner: Arc<dyn LicenceStore>) -> Self {
        Self { inner, faults: Mutex::default(), licences_read: AtomicUsize::new(0) }
    }

    /// How many licences have been read by identifier.
    pub fn licences_read(&self) -> usize {
        self.licences_read.load(Ordering::SeqCst)
    }

    /// The next `times` of these calls fail.
    pub fn fail(&self, call: Call, fault: Fault, times: usize) {
        self.faults.lock().unwrap().insert(call, (fault, times));
    }

    /// How many of the ordered failures have not happened yet.
    pub fn outstanding(&self) -> usize {
        self.faults.lock().unwrap().values().map(|(_, times)| times).sum()
    }

    async fn through<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            faults.get_mut(&call).filter(|(_, times)| *times > 0).map(|(fault, times)| {
                *times -= 1;
                *fault
            })
        };
        if fault != Some(Fault::WithoutEffect) {
            let done = work.await;
            if fault.is_none() {
                return done;
            }
        }
        Err(StoreError::Io { detail: "as the test wants it".to_owned() })
    }
}

#[async_trait]
impl LicenceStore for FaultyStore {
    async fn append(
        &self,
        entries: Vec<NewEntry>,
    ) -> Result<Vec<Result<Appended, Refusal>>, StoreError> {
        self.inner.append(entries).await
    }

    async fn licence(&self, identifier: &LicenceId) -> Result<Option<StoredLicence>, StoreError> {
        self.inner.licence(identifier).await
    }

    async fn licences(
        &self,
        identifiers: &[LicenceId],
    ) -> Result<Vec<Option<StoredLicence>>, StoreError> {
        self.licences_read.fetch_add(identifiers.len(), Ordering::SeqCst);
        self.through(Call::Licences, self.inner.licences(identifiers)).await
    }

    async fn licences_of_holder(
        &self,
        holder: &HolderToken,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        self.inner.licences_of_holder(holder, types, limit).await
    }

    async fn identifiers_of_holder(
        &self,
        holder: &HolderToken,
        limit: usize,
    ) -> Result<Vec<LicenceId>, StoreError> {
        self.inner.identifiers_of_holder(holder, limit).await
    }

    async fn licences_of_project(
        &self,
        project: &ProjectCode,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        self.inner.licences_of_project(project, types, limit).await
    }

    async fn licences_of_number(
        &self,
        licence_type: &LicenceTypeCode,
        number: &str,
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        self.inner.licences_of_number(licence_type, number, limit).await
    }

    async fn page_of_licences(
        &self,
        after: Option<LicenceId>,
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        self.inner.page_of_licences(after, limit).await
    }

    async fn put_manifest(
        &self,
        digest: &Sha256Digest,
        document: Bytes,
        signature: Bytes,
    ) -> Result<(), StoreError> {
        self.inner.put_manifest(digest, document, signature).await
    }

    async fn manifest(&self, digest: &Sha256Digest) -> Result<Option<StoredManifest>, StoreError> {
        self.inner.manifest(digest).await
    }

    async fn changes(&self, from: Seq, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.through(Call::Changes, self.inner.changes(from, limit)).await
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        self.inner.head().await
    }

    async fn wait_beyond(&self, from: Seq, timeout: Duration) -> Result<Seq, StoreError> {
        self.inner.wait_beyond(from, timeout).await
    }

    async fn record_use(&self, new: NewUse) -> Result<Seq, StoreError> {
        self.inner.record_use(new).await
    }

    async fn grant(&self, id: &str) -> Result<Option<Grant>, StoreError> {
        self.inner.grant(id).await
    }

    async fn use_entry(&self, seq: Seq) -> Result<Option<UseEntry>, StoreError> {
        self.inner.use_entry(seq).await
    }

    async fn uses(&self, from: Seq, limit: usize) -> Result<Vec<UseEntry>, StoreError> {
        self.inner.uses(from, limit).await
    }

    async fn use_head(&self) -> Result<Seq, StoreError> {
        self.inner.use_head().await
    }

    async fn uses_of_holder(
        &self,
        holder: &HolderToken,
        limit: usize,
    ) -> Result<Vec<UseEntry>, StoreError> {
        self.inner.uses_of_holder(holder, limit).await
    }

    async fn cursor(&self, name: &str) -> Result<Option<Seq>, StoreError> {
        self.inner.cursor(name).await
    }

    async fn save_cursor(&self, name: &str, next: Seq) -> Result<(), StoreError> {
        self.through(Call::SaveCursor, self.inner.save_cursor(name, next)).await
    }

    async fn set_aside(&self, name: &str, refused: SetAside) -> Result<(), StoreError> {
        self.through(Call::SetAside, self.inner.set_aside(name, refused)).await
    }

    async fn set_asides_from(
        &self,
        name: &str,
        from: Seq,
        limit: usize,
    ) -> Result<Vec<SetAside>, StoreError> {
        self.inner.set_asides_from(name, from, limit).await
    }

    async fn settle(
        &self,
        name: &str,
        seq: Seq,
        how: Settled,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.through(Call::Settle, self.inner.settle(name, seq, how, at)).await
    }

    async fn settled(
        &self,
        name: &str,
        after: Option<&SetAside>,
        limit: usize,
    ) -> Result<Vec<SettledSetAside>, StoreError> {
        self.inner.settled(name, after, limit).await
    }

    async fn flag(&self, name: &str) -> Result<bool, StoreError> {
        self.inner.flag(name).await
    }

    async fn set_flag(&self, name: &str, value: bool) -> Result<(), StoreError> {
        self.through(Call::SetFlag, self.inner.set_flag(name, value)).await
    }

    async fn outcome(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.outcome(key).await
    }

    async fn save_outcome(
        &self,
        key: &[u8],
        bytes: Vec<u8>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.through(Call::SaveOutcome, self.inner.save_outcome(key, bytes, at)).await
    }

    async fn record(
        &self,
        collection: Collection,
        key: &[u8],
    ) -> Result<Option<Record>, StoreError> {
        self.inner.record(collection, key).await
    }

    async fn records(
        &self,
        collection: Collection,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.inner.records(collection, prefix, after, limit).await
    }

    async fn commit(&self, commit: Commit) -> Result<Result<Committed, Stale>, StoreError> {
        self.through(Call::Commit, self.inner.commit(commit)).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.inner.health().await
    }
}
