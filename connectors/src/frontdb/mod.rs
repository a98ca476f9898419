//! Writes into a front-end exchange database 前置库: the sender inserts rows, the province collects them.
//!
//! Tables and columns as counterparts have them, exact types and rules in `docs/formats/frontdb.md`. One batch is one
//! transaction; `row_guid` holds the number of the change, so a row that comes again is recognised: equal, it is left
//! alone; mapped differently since, it is corrected.

mod client;
pub(crate) mod database;
mod encode;
mod layout;
mod mariadb;
pub(crate) mod mariadb_database;
pub(crate) mod mariadb_reply;
mod postgresql;
mod reply;
pub(crate) mod settings;
mod tls;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use licence::{LicenceId, LicenceTypeCode};

pub use settings::{DateForm, Settings, Transport};

use crate::{
    Batch, Bucket, Connector, Delivered, DeliveryError, Holding, Mark, Preview, PreviewPart,
    Problem, ReplyPage, ReplyPosition, Shared, Tally, Types,
    code_map::{self, CodeMap, CodeMapFile},
    pem,
};
use layout::Layout;

/// A front-end exchange database in PostgreSQL or MariaDB.
pub struct FrontDb {
    settings: Settings,
    types: Types,
    client: client::Client,
    code_map: Option<CodeMapFile>,
    layout: Mutex<Option<Known>>,
}

/// The layout that a code map makes.
struct Known {
    map: Option<Arc<CodeMap>>,
    layout: Arc<Layout>,
}

impl FrontDb {
    /// A connector with these settings. It connects when something is delivered.
    pub fn new(settings: Settings, types: Types) -> Self {
        let client = client::Client::new(settings.clone());
        let code_map = settings.code_map.clone().map(CodeMapFile::new);
        Self { settings, types, client, code_map, layout: Mutex::default() }
    }

    /// The columns as the code map has them now.
    fn layout(&self) -> Result<Arc<Layout>, DeliveryError> {
        let map = self.code_map.as_ref().map(CodeMapFile::current).transpose()?;
        let mut known = self.layout.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &Known| match (&known.map, &map) {
            (Some(known), Some(map)) => Arc::ptr_eq(known, map),
            (None, None) => true,
            _ => false,
        };
        if let Some(known) = known.as_ref().filter(|known| same(known)) {
            return Ok(known.layout.clone());
        }
        let dates = match self.settings.date_form {
            DateForm::Iso => code_map::DateForm::Iso,
            DateForm::Compact => code_map::DateForm::Compact,
        };
        let layout = Layout::new(map.as_deref(), &self.settings.data_source, dates);
        let layout = Arc::new(layout.map_err(|why| {
            let path = self.settings.code_map.clone().unwrap_or_default();
            DeliveryError::Configuration(pem::unusable("code_map", &path, why))
        })?);
        *known = Some(Known { map, layout: layout.clone() });
        Ok(layout)
    }
}

#[async_trait]
impl Connector for FrontDb {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> &'static str {
        "frontdb"
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let layout = self.layout()?;
        let connector = &self.settings.name;
        let source = encode::Source { connector, layout: &layout, types: &self.types, batch };
        Ok(Delivered { refused: self.client.write(source).await? })
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        let counts = self.client.counts(&*self.layout()?).await?;
        reply::counts(counts)
    }

    async fn replies(&self, after: &ReplyPosition) -> Result<ReplyPage, DeliveryError> {
        let (rows, now_micros) = self.client.errors_after(after).await?;
        Ok(reply::page(&self.settings.name, rows, now_micros.min(tomorrow())))
    }

    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError> {
        let layout = self.layout()?;
        let encoded = encode::rows(&self.settings.name, &layout, &self.types, batch);
        let rows = encoded.rows.iter().map(|row| row.told(&layout));
        let text = rows.collect::<Vec<_>>().join("\n");
        let title = format!("rows of up_lic_data in {}", self.settings.schema);
        Ok(Preview { parts: vec![PreviewPart { title, text }], refused: encoded.refused })
    }

    /// Of all columns but `cd_batch`, `cd_operation` and `cd_time`.
    fn mark(&self, item: &Shared) -> Result<Mark, DeliveryError> {
        let layout = self.layout()?;
        let row = encode::row(&self.settings.name, &layout, &self.types, "", item);
        // A record that cannot be a row was set aside: the counterpart cannot have it, and no mark is wrong.
        Ok(row.map_or(Mark(0), |row| Mark::of_line(&layout.line(&row.values))))
    }

    async fn tallies(&self) -> Result<Option<BTreeMap<Bucket, Tally>>, DeliveryError> {
        let rows = self.client.tallies(&*self.layout()?).await?;
        reply::tallies(rows)
    }

    async fn holdings(
        &self,
        bucket: &Bucket,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Result<Vec<Holding>, DeliveryError> {
        let layout = self.layout()?;
        let licence_type = bucket.licence_type.to_string();
        let days = reply::forms_of(bucket.day);
        let after = after.map_or_else(String::new, ToString::to_string);
        let held = self.client.holdings(&layout, &licence_type, &days, &after, limit).await?;
        held.into_iter()
            .map(|held| {
                let identifier = held.identifier.parse().ok();
                let mark = u64::try_from(held.mark).ok().map(Mark);
                identifier.zip(mark).map(|(identifier, mark)| Holding { identifier, mark })
            })
            .collect::<Option<_>>()
            .ok_or(DeliveryError::Configuration(Problem::UnknownTypeCounted))
    }
}

/// A day from now by our clock, in microseconds since 1970. A clock over there that was wrong for a moment must not have
/// everything that is written until then passed over; its time zone is none of our business.
pub(crate) fn tomorrow() -> u64 {
    const DAY_MICROS: u64 = 86_400_000_000;
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0).saturating_add(DAY_MICROS)
}
