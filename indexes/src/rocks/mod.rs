//! The store in RocksDB: one folder, one owner, one writer.
//!
//! * [`family`]: what the bytes mean. [`open`]: the folder. [`sequencer`]: the writer.
//! * [`read`]: point reads and short scans, answered inline; long scans go to blocking threads.
//! * [`check`]: goes through everything and says what does not fit together.

mod check;
mod family;
mod open;
mod read;
mod sequencer;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use licence::{Change, LicenceId, LicenceTypeCode, ProjectCode, Seq, Sha256Digest};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

pub use self::check::{Defect, IntegrityReport};
use self::family::{
    Cursors, Family, Flags, Grants, ManifestRecord, Manifests, OutcomeRecord, Outcomes,
    SetAsideKey, SetAsideRecord, SetAsides,
};
pub use self::open::RocksOptions;
use self::open::{Db, Opener, store_error};
use self::sequencer::{Answer, Command, Work};
use crate::decide::{self, Checked, MAX_NAME, MAX_OUTCOME_KEY, within};
use crate::memory::wait;
use crate::settled;
use crate::{
    Appended, Collection, Commit, Committed, Grant, HolderToken, LicenceStore, NewEntry, NewUse,
    Record, Refusal, SetAside, Settled, SettledSetAside, Stale, StoreError, StoredLicence,
    StoredManifest, UseEntry,
};

/// Written to try whether writing works; in the default family.
const PROBE_KEY: &[u8] = b"probe";

/// Commands that wait for the sequencer; their memory is bounded by [`RocksOptions::queue`].
const QUEUE_COMMANDS: usize = 4096;

/// A device that goes on failing is not helped by opening the database over and over.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);

/// Digests of more than this are computed on a blocking thread.
const INLINE_DIGEST_BYTES: usize = 64 << 10;

/// What the next write does; for tests of what happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is made.
    None,
    /// It fails and nothing is written.
    Fail,
    /// It is made, durably, and reported as failed.
    FailAfterwards,
    /// It fails and so do all writes after it until the database is opened again, which the store
    /// does by itself: what RocksDB does after an error of the device.
    FailUntilReopened,
}

/// Decides what each write does: asked once for each batch.
pub trait WriteFaults: Send + Sync + 'static {
    /// What this write does.
    fn next(&self) -> Fault;
}

/// The store in RocksDB. Dropping it writes what waits and closes the folder.
pub struct RocksStore {
    shared: Arc<Shared>,
    queue: Option<mpsc::Sender<Command>>,
    budget: Arc<Semaphore>,
    budget_kib: u32,
    sequencer: Option<JoinHandle<()>>,
}

/// What the sequencer and the readers share.
struct Shared {
    opener: Opener,
    /// `None` while it is being opened again after a failed write.
    db: RwLock<Option<Arc<Db>>>,
    head: watch::Sender<Seq>,
    use_head: watch::Sender<Seq>,
    /// What went wrong last and has not gone right since.
    trouble: Mutex<Option<StoreError>>,
    faults: Option<Arc<dyn WriteFaults>>,
    /// Set by [`Fault::FailUntilReopened`].
    broken: AtomicBool,
    /// When the database was last opened again.
    reopened: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RocksStore(head {})", *self.shared.head.borrow())
    }
}

impl RocksStore {
    /// Opens the folder, or makes it. Blocks while it reads back what was written since the last
    /// flush, up to some seconds.
    ///
    /// # Errors
    /// `Locked` if another process has it open, `Format` if another version wrote it, `Corrupt` if
    /// a file is damaged (as far as opening reads it; [`RocksStore::check_integrity`] reads all),
    /// `DiskFull`, `Io`.
    pub fn open(path: impl AsRef<Path>, options: RocksOptions) -> Result<Self, StoreError> {
        Self::start(path.as_ref(), options, None)
    }

    /// As [`RocksStore::open`], with writes that fail when told to. For tests only.
    ///
    /// # Errors
    /// As [`RocksStore::open`].
    pub fn open_with_faults(
        path: impl AsRef<Path>,
        options: RocksOptions,
        faults: Arc<dyn WriteFaults>,
    ) -> Result<Self, StoreError> {
        Self::start(path.as_ref(), options, Some(faults))
    }

    fn start(
        path: &Path,
        options: RocksOptions,
        faults: Option<Arc<dyn WriteFaults>>,
    ) -> Result<Self, StoreError> {
        let budget_kib = u32::try_from(options.queue >> 10).unwrap_or(u32::MAX).max(1);
        let opener = Opener::new(path, options)?;
        let db = opener.open()?;
        let (head, use_head) = read::heads(&db)?;
        let shared = Arc::new(Shared {
            opener,
            db: RwLock::new(Some(Arc::new(db))),
            head: watch::Sender::new(head),
            use_head: watch::Sender::new(use_head),
            trouble: Mutex::default(),
            faults,
            broken: AtomicBool::new(false),
            reopened: Mutex::default(),
        });
        let (queue, waiting) = mpsc::channel(QUEUE_COMMANDS);
        let writer = Arc::clone(&shared);
        let sequencer = std::thread::Builder::new()
            .name("store-sequencer".to_owned())
            .spawn(move || sequencer::run(&writer, waiting))
            .map_err(|error| open::io_error(&error))?;
        Ok(Self {
            shared,
            queue: Some(queue),
            budget: Arc::new(Semaphore::new(budget_kib as usize)),
            budget_kib,
            sequencer: Some(sequencer),
        })
    }

    /// Goes through both logs, every licence and every secondary key, reading all files and
    /// checking all checksums, and says what does not fit together. Reads one moment's state, so
    /// writing may go on. Blocks: about 10 seconds for 200,000 licences.
    ///
    /// # Errors
    /// Only if reading is impossible at all; damage found is in the report.
    pub fn check_integrity(&self) -> Result<IntegrityReport, StoreError> {
        check::run(&*self.shared.db()?)
    }

    /// Hands work to the sequencer and waits for the answer.
    async fn submit<T>(
        &self,
        bytes: usize,
        work: impl FnOnce(Answer<T>) -> Work,
    ) -> Result<T, StoreError> {
        let share = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).clamp(1, self.budget_kib);
        let budget = Arc::clone(&self.budget);
        let permit = budget.acquire_many_owned(share).await.map_err(|_| StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let command = Command { work: work(answer), bytes, permit };
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(command).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    async fn put<F: Family>(
        &self,
        key: &F::Key,
        value: &F::Value,
        keep: bool,
    ) -> Result<(), StoreError> {
        let (key, value) = (F::key(key), F::value(value));
        let bytes = key.len() + value.len();
        let value = Some(value);
        let put = |answer| Work::Put { family: F::NAME, key, value, keep, answer };
        self.submit(bytes, put).await
    }

    async fn remove<F: Family>(&self, key: &F::Key) -> Result<(), StoreError> {
        let key = F::key(key);
        let bytes = key.len();
        let remove = |answer| Work::Put { family: F::NAME, key, value: None, keep: false, answer };
        self.submit(bytes, remove).await
    }

    /// Reads on this thread.
    fn inline<T>(&self, read: impl FnOnce(&Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let read = self.shared.db().and_then(|db| read(&db));
        read.inspect_err(|error| self.shared.note(error))
    }

    /// Reads on a blocking thread.
    async fn aside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let db = self.shared.db()?;
        let read = tokio::task::spawn_blocking(move || read(&db)).await;
        let read = read.unwrap_or_else(|_| {
            Err(StoreError::Io { detail: "a reading thread was stopped".to_owned() })
        });
        read.inspect_err(|error| self.shared.note(error))
    }

    /// Short scans inline, long ones aside.
    async fn scan<T: Send + 'static>(
        &self,
        limit: usize,
        read: impl FnOnce(&Db) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if limit <= read::INLINE_KEYS { self.inline(read) } else { self.aside(read).await }
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(sequencer) = self.sequencer.take()
            && sequencer.join().is_err()
        {
            tracing::error!("the store's sequencer had failed");
        }
    }
}

impl Shared {
    fn db(&self) -> Result<Arc<Db>, StoreError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        match &*db {
            Some(db) => Ok(Arc::clone(db)),
            None => Err(self.trouble().unwrap_or(StoreError::Closed)),
        }
    }

    fn trouble(&self) -> Option<StoreError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers what went wrong, for [`LicenceStore::health`].
    fn note(&self, error: &StoreError) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    fn heads(&self) -> (Seq, Seq) {
        (*self.head.borrow(), *self.use_head.borrow())
    }

    /// Shows the readers how far the logs go.
    fn publish(&self, (head, use_head): (Seq, Seq)) {
        let advance = |to| move |now: &mut Seq| std::mem::replace(now, to) != to;
        self.head.send_if_modified(advance(head));
        self.use_head.send_if_modified(advance(use_head));
    }

    /// A write has gone well.
    fn went_well(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // Damage does not go away by writing elsewhere.
        if !matches!(*trouble, Some(StoreError::Corrupt { .. })) {
            *trouble = None;
        }
    }

    /// Makes a write, unless a test has it fail.
    fn write(&self, write: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let injected = |detail: &str| Err(StoreError::Io { detail: format!("injected: {detail}") });
        if self.broken.load(Ordering::Relaxed) {
            return injected("broken");
        }
        match self.faults.as_ref().map_or(Fault::None, |faults| faults.next()) {
            Fault::None => write(),
            Fault::Fail => injected("failed"),
            Fault::FailAfterwards => write().and_then(|()| injected("failed but took effect")),
            Fault::FailUntilReopened => {
                self.broken.store(true, Ordering::Relaxed);
                injected("broken")
            }
        }
    }

    /// Makes writing work again after it failed. RocksDB refuses all writes after a failed one
    /// until it is opened again, or (after a full disk) has found space by itself.
    fn heal(&self) -> Result<(), StoreError> {
        if let Ok(db) = self.db() {
            let Err(error) = self.try_writing(&db) else { return Ok(()) };
            let mut reopened = self.reopened.lock().unwrap_or_else(PoisonError::into_inner);
            let is_recent = reopened.is_some_and(|reopened| reopened.elapsed() < REOPEN_INTERVAL);
            if is_recent || !self.opener.has_space() {
                return Err(error);
            }
            *reopened = Some(Instant::now());
            self.close(db, error)?;
        }
        // Nobody else changes what is open: only the sequencer closes and opens.
        let opened = self.opener.open().inspect_err(|error| self.note(error))?;
        *self.db.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(opened));
        self.broken.store(false, Ordering::Relaxed);
        tracing::info!("the store was opened again after a failed write");
        Ok(())
    }

    fn try_writing(&self, db: &Db) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Io { detail: "injected: broken".to_owned() });
        }
        let mut durable = rocksdb::WriteOptions::default();
        durable.set_sync(true);
        db.rocks.put_opt(PROBE_KEY, [], &durable).map_err(store_error)
    }

    /// Takes the database away from new readers and waits for those that are reading.
    fn close(&self, db: Arc<Db>, because: StoreError) -> Result<(), StoreError> {
        self.note(&because);
        drop(db);
        let taken = self.db.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(taken) = taken else { return Ok(()) };
        let started = Instant::now();
        while Arc::strong_count(&taken) > 1 {
            if started.elapsed() > Duration::from_secs(10) {
                *self.db.write().unwrap_or_else(PoisonError::into_inner) = Some(taken);
                return Err(because);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Memory that a use takes while it waits, roughly.
fn use_bytes(new: &NewUse) -> usize {
    512 + new.reason.len() + new.shown.len() * 128
}

/// Memory that a licence takes while it waits, roughly.
fn waiting_bytes(entry: &NewEntry) -> usize {
    512 + match entry {
        NewEntry::Licence(new) => new.document.len() + new.chain.0.len(),
        NewEntry::Status(new) => new.document.len() + new.signature.len(),
        NewEntry::Trust(_) => 0,
    }
}

#[async_trait]
impl LicenceStore for RocksStore {
    async fn append(
        &self,
        entries: Vec<NewEntry>,
    ) -> Result<Vec<Result<Appended, Refusal>>, StoreError> {
        let bytes = entries.iter().map(waiting_bytes).sum();
        let check = move || entries.into_iter().map(decide::check).collect::<Vec<Checked>>();
        let checked = match bytes {
            0..=INLINE_DIGEST_BYTES => check(),
            _ => tokio::task::spawn_blocking(check).await.map_err(|_| StoreError::Closed)?,
        };
        self.submit(bytes, |answer| Work::Append(checked, answer)).await
    }

    async fn licence(&self, identifier: &LicenceId) -> Result<Option<StoredLicence>, StoreError> {
        self.inline(|db| read::licence(db, identifier))
    }

    async fn licences(
        &self,
        identifiers: &[LicenceId],
    ) -> Result<Vec<Option<StoredLicence>>, StoreError> {
        if identifiers.len() <= read::INLINE_KEYS {
            return self.inline(|db| read::licences(db, identifiers));
        }
        let identifiers = identifiers.to_vec();
        self.aside(move |db| read::licences(db, &identifiers)).await
    }

    async fn licences_of_holder(
        &self,
        holder: &HolderToken,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        let budget = read::INLINE_KEYS;
        let short = self.inline(|db| read::of_holder(db, holder, types, limit, budget))?;
        if let Some(licences) = short {
            return Ok(licences);
        }
        let (holder, types) = (*holder, types.to_vec());
        let long =
            self.aside(move |db| read::of_holder(db, &holder, &types, limit, usize::MAX)).await?;
        Ok(long.unwrap_or_default())
    }

    async fn identifiers_of_holder(
        &self,
        holder: &HolderToken,
        limit: usize,
    ) -> Result<Vec<LicenceId>, StoreError> {
        let holder = *holder;
        let all = move |db: &Db| read::identifiers_of_holder(db, &holder, &[], limit, usize::MAX);
        Ok(self.aside(all).await?.unwrap_or_default())
    }

    async fn licences_of_project(
        &self,
        project: &ProjectCode,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        let (project, types) = (*project, types.to_vec());
        self.aside(move |db| read::of_project(db, &project, &types, limit)).await
    }

    async fn licences_of_number(
        &self,
        licence_type: &LicenceTypeCode,
        number: &str,
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        let (licence_type, number) = (*licence_type, number.to_owned());
        self.aside(move |db| read::of_number(db, &licence_type, &number, limit)).await
    }

    async fn page_of_licences(
        &self,
        after: Option<LicenceId>,
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError> {
        self.aside(move |db| read::page_of_licences(db, after.as_ref(), limit)).await
    }

    async fn put_manifest(
        &self,
        digest: &Sha256Digest,
        document: Bytes,
        signature: Bytes,
    ) -> Result<(), StoreError> {
        self.put::<Manifests>(digest, &ManifestRecord::new(document, signature), true).await
    }

    async fn manifest(&self, digest: &Sha256Digest) -> Result<Option<StoredManifest>, StoreError> {
        let found = self.inline(|db| read::get::<Manifests>(db, digest))?;
        Ok(found.map(ManifestRecord::manifest))
    }

    async fn changes(&self, from: Seq, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.scan(limit, move |db| read::changes(db, from, limit)).await
    }

    async fn head(&self) -> Result<Seq, StoreError> {
        Ok(*self.shared.head.borrow())
    }

    async fn wait_beyond(&self, from: Seq, timeout: Duration) -> Result<Seq, StoreError> {
        Ok(wait(&self.shared.head, from, timeout).await)
    }

    async fn record_use(&self, new: NewUse) -> Result<Seq, StoreError> {
        decide::check_use(&new)?;
        let bytes = use_bytes(&new);
        self.submit(bytes, |answer| Work::Use(Box::new(new), answer)).await
    }

    async fn grant(&self, id: &str) -> Result<Option<Grant>, StoreError> {
        let id = id.to_owned();
        self.inline(|db| {
            let Some(record) = read::get::<Grants>(db, &id)? else { return Ok(None) };
            let damaged = |damage: family::Damage| damage.at::<Grants>(id.as_bytes());
            let until = record.until.try_into().map_err(damaged)?;
            let opened_by = read::use_entry(db, Seq(record.opened_by))?;
            let missing = family::Damage::new("the use that opened the grant is missing");
            let opened_by = opened_by.ok_or(missing).map_err(damaged)?;
            Ok(Some(Grant { id: id.clone(), until, opened_by }))
        })
    }

    async fn use_entry(&self, seq: Seq) -> Result<Option<UseEntry>, StoreError> {
        self.inline(|db| read::use_entry(db, seq))
    }

    async fn uses(&self, from: Seq, limit: usize) -> Result<Vec<UseEntry>, StoreError> {
        self.scan(limit, move |db| read::uses(db, from, limit)).await
    }

    async fn use_head(&self) -> Result<Seq, StoreError> {
        Ok(*self.shared.use_head.borrow())
    }

    async fn uses_of_holder(
        &self,
        holder: &HolderToken,
        limit: usize,
    ) -> Result<Vec<UseEntry>, StoreError> {
        let holder = *holder;
        self.aside(move |db| read::uses_of_holder(db, &holder, limit)).await
    }

    async fn cursor(&self, name: &str) -> Result<Option<Seq>, StoreError> {
        let found = self.inline(|db| read::get::<Cursors>(db, &name.to_owned()))?;
        Ok(found.map(Seq))
    }

    async fn save_cursor(&self, name: &str, next: Seq) -> Result<(), StoreError> {
        within("a cursor name", name.len(), MAX_NAME)?;
        self.put::<Cursors>(&name.to_owned(), &next.0, false).await
    }

    async fn set_aside(&self, name: &str, refused: SetAside) -> Result<(), StoreError> {
        within("a follower name", name.len(), MAX_NAME)?;
        let key = SetAsideKey { name: name.to_owned(), seq: refused.seq };
        self.put::<SetAsides>(&key, &SetAsideRecord::from(&refused), false).await
    }

    async fn set_asides_from(
        &self,
        name: &str,
        from: Seq,
        limit: usize,
    ) -> Result<Vec<SetAside>, StoreError> {
        let name = name.to_owned();
        self.aside(move |db| read::set_asides(db, &name, from, limit)).await
    }

    async fn settle(
        &self,
        name: &str,
        seq: Seq,
        how: Settled,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = SetAsideKey { name: name.to_owned(), seq };
        let found = self.inline(|db| {
            let Some(record) = read::get::<SetAsides>(db, &key)? else { return Ok(None) };
            let damaged = |damage: family::Damage| damage.at::<SetAsides>(&SetAsides::key(&key));
            record.set_aside(seq).map(Some).map_err(damaged)
        })?;
        let Some(refused) = found else { return Ok(false) };
        let settled = SettledSetAside { refused, settled_at: at, how };
        // Nothing is expected of the record, so this is never stale.
        let _ = self.commit(settled::commit(name, &settled)).await?;
        self.remove::<SetAsides>(&key).await?;
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
        let found = self.inline(|db| read::get::<Flags>(db, &name.to_owned()))?;
        Ok(found.unwrap_or(false))
    }

    async fn set_flag(&self, name: &str, value: bool) -> Result<(), StoreError> {
        within("a flag name", name.len(), MAX_NAME)?;
        self.put::<Flags>(&name.to_owned(), &value, false).await
    }

    async fn outcome(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.inline(|db| read::get::<Outcomes>(db, &key.to_vec()))?;
        Ok(found.map(|record| record.bytes.into()))
    }

    async fn save_outcome(
        &self,
        key: &[u8],
        bytes: Vec<u8>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        within("an outcome key", key.len(), MAX_OUTCOME_KEY)?;
        self.put::<Outcomes>(&key.to_vec(), &OutcomeRecord::new(bytes, at), true).await
    }

    async fn record(
        &self,
        collection: Collection,
        key: &[u8],
    ) -> Result<Option<Record>, StoreError> {
        self.inline(|db| read::record(db, collection, key))
    }

    async fn records(
        &self,
        collection: Collection,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        let read = move |db: &Db| read::records(db, collection, &prefix, after.as_deref(), limit);
        self.scan(limit, read).await
    }

    async fn commit(&self, commit: Commit) -> Result<Result<Committed, Stale>, StoreError> {
        decide::check_commit(&commit)?;
        let writes = commit.writes.iter();
        let records: usize = writes
            .map(|write| 256 + write.key.len() + write.value.as_ref().map_or(0, Vec::len))
            .sum();
        let bytes = records + commit.uses.iter().map(use_bytes).sum::<usize>();
        self.submit(bytes, |answer| Work::Commit(commit, answer)).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().filter(|queue| !queue.is_closed());
        let queue = queue.ok_or(StoreError::Closed)?;
        let Some(trouble) = self.shared.trouble() else { return Ok(()) };
        // Whether it still stands shows at the next question.
        if let Ok(permit) = Arc::clone(&self.budget).try_acquire_owned() {
            // A full queue tries by itself.
            let _ = queue.try_send(Command { work: Work::Probe, bytes: 0, permit });
        }
        Err(trouble)
    }
}
