//! Rows that come in from departments whose systems cannot call us, and from the province.
//!
//! A [`Source`] is where they are fetched from and where it is told what became of them; it knows nothing of licences.
//! A [`FileDrop`] is a folder where batches of them are dropped as files.
//! [`crate::code_map`] says what a row means, the hub makes a licence of it, [`KeyService`] has it signed. The formats:
//! `docs/formats/inbound.md`.

mod batch;
mod exchange;
mod exchange_mariadb;
mod file_drop;
mod key_service;
mod settings;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use batch::{BATCH_BYTES, BATCH_RECORDS, BatchRefused, FileBatch};
pub use exchange::Exchange;
pub use exchange_mariadb::ExchangeMariaDb;
pub use file_drop::{Aside, Conclusion, DropSettings, FileDrop, Found, Marker};
pub use key_service::{Content, KeyService, NotSigned};
pub use settings::{Checked, Defects, Issuers, Opened, Signatures, SourceKind, check, check_all};

use crate::DeliveryError;

/// The time of rows without a usable one: they stand after all others.
pub const NO_TIME: u64 = 9_000_000_000_000_000_000;

/// Where a row stands among those of its source: by time, then by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Microseconds since 1970, by the counterpart's clock and in its time zone.
    pub micros: u64,
    /// Tells rows of the same time apart.
    pub key: String,
}

/// A row as it is there. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub position: Position,
    /// The counterpart's name of the row; the answer names it.
    pub key: String,
    /// Its elements by name; `Err`: it cannot be read, with the code why.
    pub elements: Result<BTreeMap<String, String>, &'static str>,
}

impl fmt::Debug for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Row({:?})", self.elements.as_ref().map(BTreeMap::len))
    }
}

/// Some rows, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// There may be more after the last one.
    pub more: bool,
    /// The counterpart's clock, as in [`Position::micros`]: a row of a later time is not what the place is reckoned by.
    pub now_micros: u64,
}

/// What became of a row that was not taken. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The row.
    pub key: String,
    /// 证照标识 as the row had it, if it had one.
    pub identifier: Option<String>,
    /// Why, as a stable word.
    pub code: String,
    /// Why, in words; names elements, never their values.
    pub remark: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Answer({})", self.code)
    }
}

/// A counterpart that rows are fetched from. Who fetches keeps the position, and what of the rows was dealt with.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Its name in the settings.
    fn name(&self) -> &str;

    /// Which kind it is, as in the settings.
    fn kind(&self) -> &'static str;

    /// The rows after a position, in order, at most `limit`. A row that was changed there comes again with a later time.
    ///
    /// * `elements`: the elements that are read; others may be there or not.
    async fn fetch(
        &self,
        after: &Position,
        limit: usize,
        elements: &[&str],
    ) -> Result<Page, DeliveryError>;

    /// Tells what was not taken, and why. The same again changes nothing.
    async fn answer(&self, answers: &[Answer]) -> Result<(), DeliveryError>;
}

/// The elements of a JSON object: texts as they are, everything else as JSON has it, nothing for null.
fn texts(found: serde_json::Map<String, serde_json::Value>) -> BTreeMap<String, String> {
    found
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::Null => (name, String::new()),
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect()
}
