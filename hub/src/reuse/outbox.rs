//! What goes to the departments' counterparts, in order.
//!
//! An entry is filed in the same [`Draft`] as the case it is about, so that a case that was handed in is also on its
//! way: whatever happens to the hub in between. The courier takes the entries from here.

use indexes::{Collection, LicenceStore, StoreError};
use jiff::Timestamp;
use licence::{CreditCode, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::records::{self, Draft, Held, Kept};

/// Something a department's counterpart has to be told. Under: credit code 18 · microseconds 8 · case id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The department that decides.
    pub department: CreditCode,
    /// The case.
    pub case: String,
    /// What about it.
    pub what: OutgoingKind,
    /// When it was filed.
    pub at: Timestamp,
}

/// What a counterpart is told about a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutgoingKind {
    /// It was handed in, first or after a supplement.
    Submitted {
        /// Digest of the signed package (a file in the file store).
        package: Sha256Digest,
    },
    /// The applicant withdrew it.
    Withdrawn,
}

impl Kept for Outgoing {
    const COLLECTION: Collection = Collection::new("case_outbox");
}

/// An entry that the counterpart did not take, until somebody sends it again. Under the key it had in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The entry.
    pub outgoing: Outgoing,
    /// Why, as a stable word.
    pub code: String,
    /// Why, in the counterpart's words, shortened, numbers masked.
    pub remark: String,
    /// When it was set aside.
    pub at: Timestamp,
}

impl Kept for SetAside {
    const COLLECTION: Collection = Collection::new("case_outbox_failed");
}

/// Files a package for the department that decides, together with what else is in the draft.
pub fn file(
    draft: &mut Draft,
    department: &CreditCode,
    case: &str,
    package: &Sha256Digest,
    at: Timestamp,
) {
    file_kind(draft, department, case, OutgoingKind::Submitted { package: *package }, at);
}

/// Files that a case was withdrawn; only for one that was handed in before.
pub fn file_withdrawal(draft: &mut Draft, department: &CreditCode, case: &str, at: Timestamp) {
    file_kind(draft, department, case, OutgoingKind::Withdrawn, at);
}

fn file_kind(
    draft: &mut Draft,
    department: &CreditCode,
    case: &str,
    what: OutgoingKind,
    at: Timestamp,
) {
    let outgoing = Outgoing { department: *department, case: case.to_owned(), what, at };
    draft.put(&key(department, at, case), &outgoing);
}

fn key(department: &CreditCode, at: Timestamp, case: &str) -> Vec<u8> {
    let micros = u64::try_from(at.as_microsecond()).unwrap_or(0);
    let mut key = department.as_str().as_bytes().to_vec();
    key.extend_from_slice(&micros.to_be_bytes());
    key.extend_from_slice(case.as_bytes());
    key
}

/// What waits for a department's counterpart, oldest first, at most `limit`.
///
/// # Errors
/// The store's.
pub async fn waiting(
    store: &dyn LicenceStore,
    department: &CreditCode,
    limit: usize,
) -> Result<Vec<Held<Outgoing>>, StoreError> {
    records::list(store, department.as_str().as_bytes(), None, limit).await
}

/// What a department's counterpart did not take, oldest first, at most `limit`.
///
/// # Errors
/// The store's.
pub async fn set_aside(
    store: &dyn LicenceStore,
    department: &CreditCode,
    limit: usize,
) -> Result<Vec<Held<SetAside>>, StoreError> {
    records::list(store, department.as_str().as_bytes(), None, limit).await
}
