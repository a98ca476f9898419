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

pub use folder::{TrustFolder, write_atomically};
pub use gather::{Gathered, ListKind, ListState, gather, read_certificates};
pub use keeper::Keeper;
pub use register::{Act, Entry, Register, RegisterError, Retirement, Standing, UsageWord};
pub use settings::{Statics, read_statics};

use serde::Serialize;

/// Something about the trust material that an operator should mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// What it is about: a file below the trust folder, a key of the settings, a source.
    pub place: String,
    /// The reason's stable code.
    pub code: &'static str,
    /// The reason in words.
    pub said: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(place: impl Into<String>, code: &'static str, said: impl ToString) -> Self {
        Self { place: place.into(), code, said: said.to_string() }
    }
}
