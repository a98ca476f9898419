//! Where licences are kept and found: the licence store, its two logs, and the search index that follows them.
//!
//! * [`LicenceStore`] is the contract; [`RocksStore`] and [`MemoryStore`] keep it and both pass the suite in
//!   [`rules`]. Whatever changes the registry goes through [`LicenceStore::append`], in one atomic, durable batch
//!   with its entry in the registry log; every use goes through [`LicenceStore::record_use`].
//! * Records ([`LicenceStore::record`], [`LicenceStore::commit`]) are the state of people's business beside the
//!   registry: cases, materials, consents, sessions. What they mean is the business of `hub`.
//! * [`Blobs`] keeps files by the SHA-256 of their bytes.
//! * [`SearchIndex`] is a follower of the registry log: it may lag, be deleted and be rebuilt, and is never asked
//!   whether something may be done.
//!
//! Left to others: whether a signature is good (`certs`), who may do what and why (`hub`), what a document means
//! (`licence`). This crate stores what it is given, decides only what depends on what is already stored, and reads
//! no clock: times come in as arguments.

mod blobs;
mod decide;
mod error;
mod memory;
mod model;
mod record;
mod rocks;
pub mod rules;
pub mod search;
mod settled;
mod store;
mod token;

pub use blobs::{Arriving, ArrivingWriter, BlobError, BlobReader, Blobs};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use model::{
    Appended, Basis, BasisKind, ChainRecordBytes, Grant, NewEntry, NewGrant, NewLicence, NewStatus,
    NewTrust, NewUse, Operator, Proof, Refusal, SetAside, Settled, SettledSetAside, Shown,
    StoredLicence, StoredManifest, StoredOrder, TrustMark, UnsignedBefore, UseAct, UseEntry,
};
pub use record::{Collection, Commit, Committed, Expected, Record, RecordWrite, Stale};
pub use rocks::{Defect, Fault, IntegrityReport, RocksOptions, RocksStore, WriteFaults};
pub use search::{
    SearchError, SearchFacets, SearchFollower, SearchHit, SearchIndex, SearchPage, SearchQuery,
    SearchSettings,
};
pub use store::LicenceStore;
pub use token::{HolderToken, IndexKey};
