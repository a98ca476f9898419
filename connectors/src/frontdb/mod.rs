//! Writes into a front-end exchange database 前置库: the sender inserts rows, the province collects them.
//!
//! Tables and columns as counterparts have them, exact types and rules in `docs/formats/frontdb.md`. One batch is one
//! INSERT and so one transaction; `row_guid` holds the number of the change, so a row that comes again is dropped.

mod client;
pub(crate) mod database;
mod encode;
mod reply;
pub(crate) mod settings;
mod tls;

use std::collections::BTreeMap;

use async_trait::async_trait;
use licence::LicenceTypeCode;

pub use settings::{DateForm, Settings, Transport};

use crate::{
    Batch, Connector, Delivered, DeliveryError, Preview, PreviewPart, ReplyPage, ReplyPosition,
    Types,
};

/// A front-end exchange database in PostgreSQL.
pub struct FrontDb {
    settings: Settings,
    types: Types,
    client: client::Client,
}

impl FrontDb {
    /// A connector with these settings. It connects when something is delivered.
    pub fn new(settings: Settings, types: Types) -> Self {
        let client = client::Client::new(settings.clone());
        Self { settings, types, client }
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
        let encoded = encode::rows(&self.settings, &self.types, batch);
        self.client.insert(&encoded.rows).await?;
        Ok(Delivered { refused: encoded.refused })
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        let counts = self.client.counts().await?;
        reply::counts(counts)
    }

    async fn replies(&self, after: &ReplyPosition) -> Result<ReplyPage, DeliveryError> {
        let (rows, now_micros) = self.client.errors_after(after).await?;
        Ok(reply::page(&self.settings.name, rows, now_micros))
    }

    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError> {
        let encoded = encode::rows(&self.settings, &self.types, batch);
        let text = encoded.rows.iter().map(encode::Row::told).collect::<Vec<_>>().join("\n");
        let part = PreviewPart { title: "rows of up_lic_data".to_owned(), text };
        Ok(Preview { parts: vec![part], refused: encoded.refused })
    }
}
