//! Records: the durable state of people's business (sessions, cases, materials, consents) beside the registry.
//!
//! A record is bytes under a key in a collection. It is written together with others, and with the uses that
//! belong to it, all or nothing; a write may demand that a record has not changed since it was read. What the
//! bytes mean is the business of whoever owns the collection.

use std::fmt;

use licence::Seq;

use crate::NewUse;

/// The name of a collection of records: a short word, the same for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection(&'static str);

impl Collection {
    /// A collection. The name must hold no NUL, which ends it in keys.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// A record as it is held. `Debug` shows neither key nor content.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its key within the collection.
    pub key: Vec<u8>,
    /// How often it was written since it was last absent, from 1.
    pub revision: u64,
    /// Its content.
    pub value: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Record(revision {}, {} bytes)", self.revision, self.value.len())
    }
}

/// What a write demands of the record it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Any,
    /// That there is none.
    Absent,
    /// That it is still at this revision.
    Revision(u64),
}

/// One record to write. `Debug` shows neither key nor content.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// The collection.
    pub collection: Collection,
    /// The key in it.
    pub key: Vec<u8>,
    /// What must hold of the record now.
    pub expected: Expected,
    /// The new content; `None` removes the record.
    pub value: Option<Vec<u8>>,
}

impl fmt::Debug for RecordWrite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RecordWrite({}, {:?})", self.collection.0, self.expected)
    }
}

/// Records and uses to write together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The records. One key may stand here once.
    pub writes: Vec<RecordWrite>,
    /// Entries of the access log, with the grants they open.
    pub uses: Vec<NewUse>,
}

/// Everything of a [`Commit`] is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The revisions of the records written, in their order; 0 for one removed.
    pub revisions: Vec<u64>,
    /// The numbers of the uses, in their order.
    pub uses: Vec<Seq>,
}

/// Nothing of a [`Commit`] was written: a record is not as it was expected. Read again and decide anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {collection} was changed by somebody else meanwhile")]
pub struct Stale {
    /// The collection of the first such record.
    pub collection: &'static str,
}

/// The longest key of a record, in bytes.
pub(crate) const MAX_RECORD_KEY: usize = 512;
/// The longest content, in bytes: what is larger is a file.
pub(crate) const MAX_RECORD_VALUE: usize = 4 << 20;

/// The key as it is filed: collection · NUL · key.
pub(crate) fn filed(collection: Collection, key: &[u8]) -> Vec<u8> {
    [collection.0.as_bytes(), &[0], key].concat()
}

/// The revision after a write, given the one now (0: absent), if the demand is met.
pub(crate) fn next_revision(now: u64, write: &RecordWrite) -> Result<u64, Stale> {
    let met = match write.expected {
        Expected::Any => true,
        Expected::Absent => now == 0,
        Expected::Revision(revision) => now == revision,
    };
    match (met, &write.value) {
        (false, _) => Err(Stale { collection: write.collection.0 }),
        (true, Some(_)) => Ok(now + 1),
        (true, None) => Ok(0),
    }
}
