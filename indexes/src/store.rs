//! The contract every store keeps.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use licence::{Change, LicenceId, LicenceTypeCode, ProjectCode, Seq, Sha256Digest};

use crate::{
    Appended, Collection, Commit, Committed, Grant, HolderToken, NewEntry, NewUse, Record, Refusal,
    SetAside, Settled, SettledSetAside, Stale, StoreError, StoredLicence, StoredManifest, UseEntry,
};

/// Issued licences, the registry log (the change feed), the access log, and the small durable state around them.
///
/// Each promise below is a rule in [`crate::rules`]. No call assumes one process or a local disk; none scans
/// globally except [`LicenceStore::page_of_licences`], page by page.
#[async_trait]
pub trait LicenceStore: Send + Sync + 'static {
    /// Decides the entries in order, each against what is held and the entries before it, and makes those accepted
    /// durable together: on `Ok`, licence, secondary keys and log entry are visible together. Numbers start at 0,
    /// without gaps or reuse. Answers stand in the order of the entries.
    ///
    /// The same bytes under the same identifier, and the same status order, are answered with their first number
    /// and `new: false`; so is a change of trust to what the log says already, with the number that says so. After `Err` the caller cannot know whether anything was written: appending the same again
    /// is safe.
    async fn append(
        &self,
        entries: Vec<NewEntry>,
    ) -> Result<Vec<Result<Appended, Refusal>>, StoreError>;

    /// The licence under this identifier.
    async fn licence(&self, identifier: &LicenceId) -> Result<Option<StoredLicence>, StoreError>;

    /// The licences under these identifiers, in their order.
    async fn licences(
        &self,
        identifiers: &[LicenceId],
    ) -> Result<Vec<Option<StoredLicence>>, StoreError>;

    /// The holder's licences of these types (none named: of all types), newest day of issue first, then by
    /// identifier; at most `limit`.
    async fn licences_of_holder(
        &self,
        holder: &HolderToken,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError>;

    /// The identifiers of the holder's licences in the same order, at most `limit`: for whoever reads many licences
    /// page by page.
    async fn identifiers_of_holder(
        &self,
        holder: &HolderToken,
        limit: usize,
    ) -> Result<Vec<LicenceId>, StoreError>;

    /// The project's licences of these types (none named: of all types), newest day of issue first, then by
    /// identifier; at most `limit`.
    async fn licences_of_project(
        &self,
        project: &ProjectCode,
        types: &[LicenceTypeCode],
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError>;

    /// The licences of this type with this number 证照编号, by identifier; at most `limit`.
    async fn licences_of_number(
        &self,
        licence_type: &LicenceTypeCode,
        number: &str,
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError>;

    /// Licences by identifier, after `after`, at most `limit`: to go through them all.
    async fn page_of_licences(
        &self,
        after: Option<LicenceId>,
        limit: usize,
    ) -> Result<Vec<StoredLicence>, StoreError>;

    /// Keeps a batch manifest under its digest. Again with the same digest: nothing happens.
    async fn put_manifest(
        &self,
        digest: &Sha256Digest,
        document: Bytes,
        signature: Bytes,
    ) -> Result<(), StoreError>;

    /// The manifest with this digest.
    async fn manifest(&self, digest: &Sha256Digest) -> Result<Option<StoredManifest>, StoreError>;

    /// Changes from `from` on, oldest first, at most `limit`, without gaps. Where the log's start was
    /// [cut](Self::first_change), the first one kept stands first.
    async fn changes(&self, from: Seq, limit: usize) -> Result<Vec<Change>, StoreError>;

    /// The number of the oldest change that is kept: 0, unless an implementation cuts the log's start. It never goes
    /// back. Whoever wants changes before it starts again from the licences themselves, which are never cut.
    async fn first_change(&self) -> Result<Seq, StoreError> {
        Ok(Seq::ZERO)
    }

    /// The number the next change will get: how many there are.
    async fn head(&self) -> Result<Seq, StoreError>;

    /// Waits until there is a change numbered `from` or later, at most `timeout`. Answers the head then.
    async fn wait_beyond(&self, from: Seq, timeout: Duration) -> Result<Seq, StoreError>;

    /// Appends to the access log, with the grant it opens, in one batch; durable on `Ok`. Numbers as in
    /// [`LicenceStore::append`], counted for themselves. After `Err` it may have been recorded; recording again
    /// makes a second entry, which is the safe side.
    async fn record_use(&self, new: NewUse) -> Result<Seq, StoreError>;

    /// The grant with this id, whether or not it has run out.
    async fn grant(&self, id: &str) -> Result<Option<Grant>, StoreError>;

    /// One entry of the access log.
    async fn use_entry(&self, seq: Seq) -> Result<Option<UseEntry>, StoreError>;

    /// Uses from `from` on, oldest first, at most `limit`, without gaps.
    async fn uses(&self, from: Seq, limit: usize) -> Result<Vec<UseEntry>, StoreError>;

    /// The number the next use will get: how many there are.
    async fn use_head(&self) -> Result<Seq, StoreError>;

    /// The uses that name this holder, or were recorded for them [too](NewUse::also), newest first, at most `limit`.
    async fn uses_of_holder(
        &self,
        holder: &HolderToken,
        limit: usize,
    ) -> Result<Vec<UseEntry>, StoreError>;

    /// How far the follower with this name has come: the number of the next change it wants.
    async fn cursor(&self, name: &str) -> Result<Option<Seq>, StoreError>;

    /// Saves a follower's cursor, durably.
    async fn save_cursor(&self, name: &str, next: Seq) -> Result<(), StoreError>;

    /// Remembers a change that a counterpart refused; once for each name and change, the last remark stays.
    async fn set_aside(&self, name: &str, refused: SetAside) -> Result<(), StoreError>;

    /// What is set aside under this name and not [settled](LicenceStore::settle), by number, at most `limit`.
    async fn set_asides(&self, name: &str, limit: usize) -> Result<Vec<SetAside>, StoreError> {
        self.set_asides_from(name, Seq(0), limit).await
    }

    /// As [`LicenceStore::set_asides`], from the change `from` on.
    async fn set_asides_from(
        &self,
        name: &str,
        from: Seq,
        limit: usize,
    ) -> Result<Vec<SetAside>, StoreError>;

    /// Settles what is set aside of this change: it is not among the [set-asides](LicenceStore::set_asides) any more, and
    /// stays among the [settled](LicenceStore::settled). False: nothing of it is set aside. A change that is set
    /// aside again afterwards is so anew; both stay. For whoever sets aside under this name: not beside another
    /// write of the same. After `Err` it may stand in both places until it is settled again.
    async fn settle(
        &self,
        name: &str,
        seq: Seq,
        how: Settled,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// What was set aside under this name and is settled, by number, then by when it was set aside, after `after`,
    /// at most `limit`.
    async fn settled(
        &self,
        name: &str,
        after: Option<&SetAside>,
        limit: usize,
    ) -> Result<Vec<SettledSetAside>, StoreError>;

    /// A durable flag; false if it was never set.
    async fn flag(&self, name: &str) -> Result<bool, StoreError>;

    /// Sets a flag, durably.
    async fn set_flag(&self, name: &str, value: bool) -> Result<(), StoreError>;

    /// The outcome saved under this key.
    async fn outcome(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Saves an outcome. One that is there already stays. An implementation may forget outcomes after its
    /// retention time, never before.
    async fn save_outcome(
        &self,
        key: &[u8],
        bytes: Vec<u8>,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// The record under this key.
    async fn record(
        &self,
        collection: Collection,
        key: &[u8],
    ) -> Result<Option<Record>, StoreError>;

    /// The records of a collection whose keys start with `prefix`, after the key `after`, in the order of their
    /// keys; at most `limit`.
    async fn records(
        &self,
        collection: Collection,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Writes records and uses together: on `Ok(Ok(_))` all are durable and visible, on `Ok(Err(_))` none is,
    /// because a record is not as expected. After `Err` either may be so. Of two commits that expect the same
    /// state of a record, one is stale.
    async fn commit(&self, commit: Commit) -> Result<Result<Committed, Stale>, StoreError>;

    /// Whether reading and writing work, as far as known from the last attempts; cheap.
    async fn health(&self) -> Result<(), StoreError>;
}
