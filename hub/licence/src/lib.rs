//! The domain types of an electronic licence repository: holders, identifiers, licences, their
//! status, the catalogue of licence types, the matters they are pulled for, and the change feed.
//!
//! Everything here is parsed once and then trusted: a value of a type exists only if it is well
//! formed. The crate does no I/O and reads no clock; dates come in as arguments. Signatures and
//! chains are left to `certs`, storage to `indexes`.
//!
//! No error, `Debug` text or message of this crate shows a person's number, name or field value.

mod calendar;
mod catalogue;
mod change;
pub mod check;
mod digest;
mod document;
mod error;
mod holder;
mod identifier;
mod json;
mod matter;
mod project;
mod region;
mod status;
mod text;

pub use calendar::{Calendar, CalendarError, Deadline};
pub use catalogue::{
    Catalogue, CatalogueEntry, CatalogueError, FaceDefect, FaceFieldError, LicenceClass,
    SharingClass, ValidityRule,
};
pub use change::{Change, ChangeKind, Seq, Trust, TrustReason};
pub use digest::Sha256Digest;
pub use document::{
    FileRef, Holder, Licence, LicenceError, MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, MAX_HOLDERS,
    Validity,
};
pub use error::CodeError;
pub use holder::{
    CitizenNumber, CreditCode, DocumentNumber, ForeignResidentNumber, HolderId, HolderKind,
};
pub use identifier::{IssuerId, LICENCE_ID_ROOT, LicenceId, LicenceTypeCode};
pub use json::JsonError;
pub use matter::{
    ApplicantKind, Form, FormField, Guide, Level, Matter, MatterCode, Matters, MattersError,
    Prefill, Requirement, Said, TimeLimit, Way,
};
pub use project::ProjectCode;
pub use region::{RegionCode, RegionTable};
pub use status::{
    LicenceStatus, MAX_REASON_CHARS, RevocationCause, StatusChange, StatusOrder, StatusOrderError,
    TransitionError,
};
