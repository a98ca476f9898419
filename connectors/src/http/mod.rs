//! Pushes batches as JSON to an HTTPS receiver, with a client certificate. The interface: `docs/formats/http-push.md`.

pub(crate) mod client;
mod encode;
mod reply;
pub(crate) mod settings;
mod wire;

use std::collections::BTreeMap;

use async_trait::async_trait;
use licence::LicenceTypeCode;

pub use settings::Settings;
pub use wire::{Answer, Counts, FORMAT, Push, PushRecord, RefusedRecord};

use crate::{Batch, Connector, Delivered, DeliveryError, Preview, PreviewPart};

/// An HTTPS receiver.
pub struct HttpPush {
    client: client::Client,
}

impl HttpPush {
    /// A connector with these settings. It connects when something is delivered.
    pub fn new(settings: Settings) -> Self {
        Self { client: client::Client::new(settings) }
    }
}

#[async_trait]
impl Connector for HttpPush {
    fn name(&self) -> &str {
        &self.client.settings().name
    }

    fn kind(&self) -> &'static str {
        "http"
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        if batch.items.is_empty() {
            return Ok(Delivered::default());
        }
        let body = encode::push(self.name(), batch);
        let response = self.client.post_records(&batch.id, body).await?;
        reply::outcome(&response, batch)
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        let response = self.client.fetch_counts().await?;
        reply::counts(&response)
    }

    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError> {
        let body = encode::push(self.name(), batch);
        let title = format!("POST {}", self.client.settings().records);
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(Preview { parts: vec![PreviewPart { title, text }], refused: Vec::new() })
    }
}
