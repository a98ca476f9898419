//! The one writer: takes what waits, decides it, writes it in one batch with one fsync, answers.
//!
//! Numbers are given out here and nowhere else, and only advance after the write: a number is
//! never visible before its entry is durable, and never lost with a failed write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use licence::{Change, LicenceId, Seq};
use rocksdb::{ColumnFamily, WriteBatch, WriteOptions};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Shared;
use super::family::{
    AccessByHolder, AccessLog, ByHolder, ByNumber, ByProject, ChangeRecord, Family, GrantRecord,
    Grants, HolderKey, LicenceRecord, Licences, NumberKey, ProjectKey, RecordRecord, Records,
    RegistryLog, UseKey, UseRecord,
};
use super::open::Db;
use super::read;
use crate::decide::{self, Checked, Decision};
use crate::record::{filed, next_revision};
use crate::{
    Appended, Commit, Committed, NewEntry, NewUse, Refusal, Stale, StoreError, StoredLicence,
    UnsignedBefore,
};

/// A batch takes no further command once it holds this much.
const BATCH_BYTES: usize = 32 << 20;
const BATCH_COMMANDS: usize = 4096;

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;
pub(super) type Appends = Vec<Result<Appended, Refusal>>;

/// One waiting call. The permit is its share of the queue's memory, given back with the answer.
pub(super) struct Command {
    pub(super) work: Work,
    pub(super) bytes: usize,
    pub(super) permit: OwnedSemaphorePermit,
}

pub(super) enum Work {
    Append(Vec<Checked>, Answer<Appends>),
    Use(Box<NewUse>, Answer<Seq>),
    Commit(Commit, Answer<Result<Committed, Stale>>),
    /// A record of its own; `keep`: what is there already stays; `None`: it is removed.
    Put {
        family: &'static str,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
        keep: bool,
        answer: Answer<()>,
    },
    /// Tries whether writing works again.
    Probe,
}

impl Work {
    fn refuse(self, error: StoreError) {
        match self {
            Self::Append(_, answer) => drop(answer.send(Err(error))),
            Self::Use(_, answer) => drop(answer.send(Err(error))),
            Self::Commit(_, answer) => drop(answer.send(Err(error))),
            Self::Put { answer, .. } => drop(answer.send(Err(error))),
            Self::Probe => {}
        }
    }
}

/// An answer decided but not yet given: only after the batch is durable.
enum Pending {
    Append(Appends, Answer<Appends>),
    Use(Seq, Answer<Seq>),
    Commit(Result<Committed, Stale>, Answer<Result<Committed, Stale>>),
    Put(Answer<()>),
    Nobody,
}

impl Pending {
    /// A caller that has gone away does not wait for its answer.
    fn give(self, written: Result<(), StoreError>) {
        match self {
            Self::Append(appends, answer) => drop(answer.send(written.map(|()| appends))),
            Self::Use(seq, answer) => drop(answer.send(written.map(|()| seq))),
            Self::Commit(done, answer) => drop(answer.send(written.map(|()| done))),
            Self::Put(answer) => drop(answer.send(written)),
            Self::Nobody => {}
        }
    }
}

pub(super) fn run(shared: &Shared, mut queue: mpsc::Receiver<Command>) {
    let mut sequencer = Sequencer { shared, stale: false };
    let mut commands = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.bytes;
        commands.push(first);
        while bytes < BATCH_BYTES && commands.len() < BATCH_COMMANDS {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.bytes;
            commands.push(next);
        }
        sequencer.commit(&mut commands);
    }
}

struct Sequencer<'a> {
    shared: &'a Shared,
    /// A write failed: what the logs hold has to be read again before numbers are given out.
    stale: bool,
}

impl Sequencer<'_> {
    /// Decides, writes and answers all of `commands`.
    fn commit(&mut self, commands: &mut Vec<Command>) {
        let started = Instant::now();
        metrics::histogram!("yihao_store_commit_commands").record(commands.len() as f64);
        let written = self.ready().and_then(|db| {
            let mut draft = Draft::new(&db, self.shared.heads(), commands)?;
            let decide = |command: Command| (draft.decide(command.work), command.permit);
            let decided: Vec<_> = commands.drain(..).map(decide).collect();
            let (batch, heads) = draft.finish();
            let written = if batch.is_empty() { Ok(()) } else { self.write(&db, batch) };
            Ok((written, heads, decided))
        });
        match written {
            Ok((Ok(()), heads, decided)) => {
                self.shared.publish(heads);
                self.shared.went_well();
                decided.into_iter().for_each(|(pending, _permit)| pending.give(Ok(())));
            }
            Ok((Err(error), _, decided)) => {
                self.failed(&error);
                for (pending, _permit) in decided {
                    pending.give(Err(error.clone()));
                }
            }
            Err(error) => {
                self.shared.note(&error);
                for command in commands.drain(..) {
                    command.work.refuse(error.clone());
                }
            }
        }
        metrics::histogram!("yihao_store_commit_seconds").record(started.elapsed().as_secs_f64());
    }

    /// The database, with the heads known. After a failed write: heals it, and reads the heads
    /// again, since the write may have taken effect all the same.
    fn ready(&mut self) -> Result<Arc<Db>, StoreError> {
        if self.stale {
            self.shared.heal()?;
            self.shared.publish(read::heads(&*self.shared.db()?)?);
            self.stale = false;
        }
        self.shared.db()
    }

    fn failed(&mut self, error: &StoreError) {
        tracing::error!(code = error.code(), "the store could not write");
        self.shared.note(error);
        self.stale = true;
        // If it took effect, followers should see it without waiting for the next write.
        if let Err(error) = self.ready() {
            tracing::error!(code = error.code(), "the store cannot write yet");
        }
    }

    fn write(&self, db: &Db, batch: WriteBatch) -> Result<(), StoreError> {
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        let write = || db.rocks.write_opt(batch, &durable).map_err(super::open::store_error);
        self.shared.write(write)
    }
}

/// A batch being put together, and the state as it will be after it. Making it reads all that
/// is needed; deciding and finishing cannot fail.
struct Draft<'a> {
    families: Families<'a>,
    batch: WriteBatch,
    next_change: Seq,
    next_use: Seq,
    /// What is held under every identifier that waits.
    held: HashMap<LicenceId, Option<StoredLicence>>,
    /// Licences decided in this batch: written once, as they are at its end.
    changed: Vec<LicenceId>,
    /// Records that stay as they are.
    kept: HashSet<(&'static str, Vec<u8>)>,
    /// The revisions of all records that waiting commits name; 0 for one that is absent.
    revisions: HashMap<Vec<u8>, u64>,
}

/// The handles of the families that a batch writes.
struct Families<'a> {
    licences: &'a ColumnFamily,
    by_holder: &'a ColumnFamily,
    by_project: &'a ColumnFamily,
    by_number: &'a ColumnFamily,
    registry_log: &'a ColumnFamily,
    access_log: &'a ColumnFamily,
    access_by_holder: &'a ColumnFamily,
    grants: &'a ColumnFamily,
    records: &'a ColumnFamily,
    others: HashMap<&'static str, &'a ColumnFamily>,
}

impl<'a> Draft<'a> {
    fn new(db: &'a Db, heads: (Seq, Seq), commands: &[Command]) -> Result<Self, StoreError> {
        let mut identifiers = HashSet::new();
        let mut others = HashMap::new();
        let mut kept = HashSet::new();
        let mut revisions = HashMap::new();
        for command in commands {
            match &command.work {
                Work::Append(entries, _) => {
                    identifiers.extend(entries.iter().flatten().map(NewEntry::identifier));
                }
                Work::Put { family, key, keep, .. } => {
                    let handle = db.named(family)?;
                    others.insert(*family, handle);
                    if *keep && has(db, handle, key)? {
                        kept.insert((*family, key.clone()));
                    }
                }
                Work::Commit(commit, _) => {
                    for write in &commit.writes {
                        let key = filed(write.collection, &write.key);
                        let held = read::get::<Records>(db, &key)?;
                        revisions.insert(key, held.map_or(0, |record| record.revision));
                    }
                }
                Work::Use(..) | Work::Probe => {}
            }
        }
        // Read at once: in a bulk append nearly all of them are new, which the filters tell.
        let identifiers: Vec<LicenceId> = identifiers.into_iter().cloned().collect();
        let held = read::licences(db, &identifiers)?;
        Ok(Self {
            families: Families {
                licences: db.family::<Licences>()?,
                by_holder: db.family::<ByHolder>()?,
                by_project: db.family::<ByProject>()?,
                by_number: db.family::<ByNumber>()?,
                registry_log: db.family::<RegistryLog>()?,
                access_log: db.family::<AccessLog>()?,
                access_by_holder: db.family::<AccessByHolder>()?,
                grants: db.family::<Grants>()?,
                records: db.family::<Records>()?,
                others,
            },
            batch: WriteBatch::default(),
            next_change: heads.0,
            next_use: heads.1,
            held: identifiers.into_iter().zip(held).collect(),
            changed: Vec::new(),
            kept,
            revisions,
        })
    }

    fn decide(&mut self, work: Work) -> Pending {
        match work {
            Work::Append(entries, answer) => {
                let appends = entries.into_iter().map(|entry| self.append(entry?));
                Pending::Append(appends.collect(), answer)
            }
            Work::Use(new, answer) => Pending::Use(self.record_use(*new), answer),
            Work::Commit(commit, answer) => Pending::Commit(self.commit(commit), answer),
            Work::Put { family, key, value, keep, answer } => {
                self.put(family, key, value.as_deref(), keep);
                Pending::Put(answer)
            }
            Work::Probe => {
                self.batch.put(super::PROBE_KEY, []);
                Pending::Nobody
            }
        }
    }

    fn append(&mut self, entry: NewEntry) -> Result<Appended, Refusal> {
        let identifier = entry.identifier().clone();
        let held = self.held.entry(identifier.clone()).or_default();
        match decide::decide(entry, held.as_ref(), self.next_change) {
            Decision::Answer(answer) => answer,
            Decision::Write { licence, change, appended } => {
                if let Some(before) = decide::before(held.as_ref(), &licence) {
                    let key = filed(UnsignedBefore::COLLECTION, identifier.as_str().as_bytes());
                    let record = RecordRecord { revision: 1, value: before.into() };
                    self.batch.put_cf(self.families.records, key, Records::value(&record));
                }
                if held.as_ref().is_none_or(|held| held.digest != licence.digest) {
                    index(&self.families, &mut self.batch, held.as_ref(), &licence);
                }
                *held = Some(*licence);
                self.changed.push(identifier);
                self.log(&change);
                Ok(appended)
            }
        }
    }

    fn log(&mut self, change: &Change) {
        let value = RegistryLog::value(&ChangeRecord::from(change));
        self.batch.put_cf(self.families.registry_log, RegistryLog::key(&change.seq), value);
        self.next_change = change.seq.next();
    }

    fn record_use(&mut self, new: NewUse) -> Seq {
        let seq = self.next_use;
        if let Some(grant) = new.opens() {
            let record = GrantRecord { opened_by: seq.0, until: grant.until.into() };
            self.batch.put_cf(self.families.grants, Grants::key(&grant.id), Grants::value(&record));
        }
        for holder in new.holders() {
            let key = AccessByHolder::key(&UseKey { holder, seq });
            self.batch.put_cf(self.families.access_by_holder, key, []);
        }
        let value = AccessLog::value(&UseRecord::from(decide::use_entry(new, seq)));
        self.batch.put_cf(self.families.access_log, AccessLog::key(&seq), value);
        self.next_use = seq.next();
        seq
    }

    /// All of a commit, or nothing of it.
    fn commit(&mut self, commit: Commit) -> Result<Committed, Stale> {
        let revision = |write: &crate::RecordWrite| {
            let now = self.revisions.get(&filed(write.collection, &write.key));
            next_revision(now.copied().unwrap_or(0), write)
        };
        let revisions = commit.writes.iter().map(revision).collect::<Result<Vec<u64>, Stale>>()?;
        for (write, &revision) in commit.writes.into_iter().zip(&revisions) {
            let key = filed(write.collection, &write.key);
            match write.value {
                Some(value) => {
                    let value = Records::value(&RecordRecord { revision, value: value.into() });
                    self.batch.put_cf(self.families.records, &key, value);
                }
                None => self.batch.delete_cf(self.families.records, &key),
            }
            self.revisions.insert(key, revision);
        }
        let uses = commit.uses.into_iter().map(|new| self.record_use(new)).collect();
        Ok(Committed { revisions, uses })
    }

    fn put(&mut self, family: &'static str, key: Vec<u8>, value: Option<&[u8]>, keep: bool) {
        let Some(handle) = self.families.others.get(family) else { return };
        if !self.kept.contains(&(family, key.clone())) {
            match value {
                Some(value) => self.batch.put_cf(*handle, &key, value),
                None => self.batch.delete_cf(*handle, &key),
            }
            if keep {
                self.kept.insert((family, key));
            }
        }
    }

    fn finish(mut self) -> (WriteBatch, (Seq, Seq)) {
        for identifier in self.changed {
            // Taken out: a licence changed twice in the batch is written once.
            if let Some(Some(licence)) = self.held.remove(&identifier) {
                let value = Licences::value(&LicenceRecord::from(&licence));
                self.batch.put_cf(self.families.licences, Licences::key(&identifier), value);
            }
        }
        (self.batch, (self.next_change, self.next_use))
    }
}

fn has(db: &Db, family: &ColumnFamily, key: &[u8]) -> Result<bool, StoreError> {
    let held = db.rocks.get_pinned_cf(family, key).map_err(super::open::store_error)?;
    Ok(held.is_some())
}

/// The secondary keys of a licence, in place of those that it had with other bytes. None of them changes otherwise.
fn index(
    families: &Families<'_>,
    batch: &mut WriteBatch,
    before: Option<&StoredLicence>,
    licence: &StoredLicence,
) {
    if let Some(before) = before {
        for key in holder_keys(before) {
            batch.delete_cf(families.by_holder, ByHolder::key(&key));
        }
        if let Some(key) = project_key(before) {
            batch.delete_cf(families.by_project, ByProject::key(&key));
        }
        batch.delete_cf(families.by_number, ByNumber::key(&number_key(before)));
    }
    for key in holder_keys(licence) {
        batch.put_cf(families.by_holder, ByHolder::key(&key), []);
    }
    if let Some(key) = project_key(licence) {
        batch.put_cf(families.by_project, ByProject::key(&key), []);
    }
    batch.put_cf(families.by_number, ByNumber::key(&number_key(licence)), []);
}

/// One for each holder, however often it stands in the document.
pub(super) fn holder_keys(licence: &StoredLicence) -> Vec<HolderKey> {
    let mut holders = licence.holders.clone();
    holders.sort_unstable();
    holders.dedup();
    let key = |holder| HolderKey {
        holder,
        licence_type: licence.licence_type,
        issued_on: licence.issued_on,
        identifier: licence.identifier.clone(),
    };
    holders.into_iter().map(key).collect()
}

pub(super) fn project_key(licence: &StoredLicence) -> Option<ProjectKey> {
    let identifier = licence.identifier.clone();
    licence.project.map(|project| ProjectKey { project, identifier })
}

pub(super) fn number_key(licence: &StoredLicence) -> NumberKey {
    NumberKey {
        licence_type: licence.licence_type,
        number: licence.number.clone(),
        identifier: licence.identifier.clone(),
    }
}
