//! What goes to the departments' counterparts, in order.
//!
//! An entry is filed in the same [`Draft`] as the case it is about, so that a case that was handed in is also on its
//! way: whatever happens to the hub in between. The courier takes the entries from here.

use indexes::{Collection, LicenceStore, StoreError};
use jiff::Timestamp;
use licence::{CreditCode, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::records::{self, Draft, Held, Kept};

/// Something a department's counterpart has to be told. Under: credit code 18 · microseconds 8 · case id · what.
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
    /// How often it was sent again after it was refused.
    #[serde(default)]
    pub again: u32,
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
    /// A clerk took a step of the department by hand.
    Step {
        /// Its place among the case's steps, from 0.
        number: u32,
    },
}

impl Outgoing {
    /// Names it among all that goes to one counterpart: the same again has the same.
    #[must_use]
    pub fn reference(&self) -> String {
        let Self { case, .. } = self;
        let mut reference = match &self.what {
            OutgoingKind::Submitted { package } => {
                format!("{case}-{}", &package.to_string()[..16])
            }
            OutgoingKind::Withdrawn => format!("{case}-withdrawn"),
            OutgoingKind::Step { number } => format!("{case}-s{number:04}"),
        };
        if self.again > 0 {
            reference.push_str(&format!("-again{}", self.again));
        }
        reference
    }

    /// Its key, in the outbox and among what is set aside.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let micros = u64::try_from(self.at.as_microsecond()).unwrap_or(0);
        // A clock may stand still: what happens at one moment is told apart.
        let what = match &self.what {
            OutgoingKind::Submitted { package } => format!("·{}", &package.to_string()[..16]),
            OutgoingKind::Step { number } => format!("·s{number:04}"),
            OutgoingKind::Withdrawn => "·withdrawn".to_owned(),
        };
        let department = self.department.as_str().as_bytes();
        [department, &micros.to_be_bytes(), self.case.as_bytes(), what.as_bytes()].concat()
    }
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

/// Files a step that a clerk took by hand, so that the counterpart knows of it.
///
/// * `number`: its place among the case's steps, from 0.
pub fn file_step(
    draft: &mut Draft,
    department: &CreditCode,
    case: &str,
    number: usize,
    at: Timestamp,
) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    file_kind(draft, department, case, OutgoingKind::Step { number }, at);
}

fn file_kind(
    draft: &mut Draft,
    department: &CreditCode,
    case: &str,
    what: OutgoingKind,
    at: Timestamp,
) {
    let department = *department;
    let outgoing = Outgoing { department, case: case.to_owned(), what, at, again: 0 };
    draft.put(&outgoing.key(), &outgoing);
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
