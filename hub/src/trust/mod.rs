//! Whose signatures are believed: anchors with their windows, intermediates, revocation lists and
//! OCSP answers, from the files that the settings name and from the trust folder.
//!
//! The folder is what the operator's commands (`hub anchors`, `hub crl`) and the scheduled sources write
//! to; a running hub notices within two seconds. What cannot be read or believed never hides what can,
//! never takes away what was believed before, and is told in `/readyz`. What a signature is worth is
//! decided in `certs`; here is only what it is judged by.

mod folder;
mod gather;
mod keeper;
mod register;
mod settings;
mod sources;

pub use folder::{TrustFolder, write_atomically};
pub use gather::{Before, Gathered, ListKind, ListState, MadeOf, gather, read_certificates};
pub use keeper::{Keeper, stale};
pub use register::{Act, Entry, Register, RegisterError, Retirement, Standing, UsageWord};
pub use settings::{Statics, read_statics};
pub use sources::{FetchError, SourceKind, SourceReport, Sources};

use serde::Serialize;

/// What is wrong with the trust material, besides what is wrong in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file or folder cannot be read.
    Unreadable,
    /// What is believed cannot be kept for the next start.
    Unwritable,
    /// An anchor's file holds another certificate than the list of anchors says.
    OtherCertificate,
    /// A folder has more files than are read.
    Full,
    /// A revocation list is past its nextUpdate.
    StaleList,
    /// OCSP answers are past their nextUpdate.
    StaleAnswers,
    /// A file of `[tls]` cannot be used: connections are accepted as before.
    Tls,
    /// A file that the settings name cannot be used: what it held before is in force.
    Settings,
}

impl Fault {
    /// Part of the public interface, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable => "trust_file_unreadable",
            Self::Unwritable => "trust_file_unwritable",
            Self::OtherCertificate => "anchor_file_other",
            Self::Full => "trust_folder_full",
            Self::StaleList => "trust_list_stale",
            Self::StaleAnswers => "trust_answers_stale",
            Self::Tls => "tls_settings",
            Self::Settings => "trust_settings",
        }
    }
}

/// Something about the trust material that an operator should mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// What it is about: a file below the trust folder, a key of the settings, a source.
    pub place: String,
    /// The reason's stable code.
    #[schema(value_type = String)]
    pub code: std::borrow::Cow<'static, str>,
    /// The reason in words.
    pub said: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(
        place: impl Into<String>,
        code: impl Into<std::borrow::Cow<'static, str>>,
        said: impl ToString,
    ) -> Self {
        Self { place: place.into(), code: code.into(), said: said.to_string() }
    }
}
