//! Pushes CloudEvents 1.0 batches over mutual TLS, to another hub or to any receiver of such events. The interface:
//! `docs/formats/cloudevents.md`.
//!
//! An event carries what is signed: the document with its proof, and with a change of status the issuer's order. A hub
//! that receives it verifies all of it for itself. Proofs by batch manifest name the manifest; a hub that lacks it asks,
//! gets it, and gets the events that wait for it again, in the same delivery.

mod client;
mod encode;
mod reply;
mod settings;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use licence::{LicenceId, LicenceTypeCode, Sha256Digest};

pub use settings::Settings;
pub use wire::{
    ANSWER_FORMAT, Answer, BATCH_MEDIA_TYPE, Event, HoldingLine, Holdings, ISSUED, LicenceData,
    MANIFEST, MANIFEST_MISSING, MAX_ORDERS, ManifestData, OrderData, ProofData, RefusedEvent,
    SPEC_VERSION, STATUS_CHANGED, TRUST_CHANGED, Tallies, TallyLine, is_source, mark_of, number_of,
};

use crate::{
    Batch, Bucket, Connector, ConnectorSettings, Delivered, DeliveryError, Holding, Kind, Mark,
    Opener, Preview, PreviewPart, Problem, Refused, SettingsProblem, Shared, Tally,
};

/// The kind `push`.
pub static KIND: Kind = Kind { name: "push", check };

fn check(raw: &ConnectorSettings, problems: &mut Vec<SettingsProblem>) -> Option<Opener> {
    let settings = Settings::check(raw, problems)?;
    Some(Opener::new(move |_| Box::new(Push::new(settings.clone()))))
}

/// A record that is held back.
const STATUS_UNSIGNED: &str = "status_unsigned";

/// A receiver of events.
pub struct Push {
    client: client::Client,
}

impl Push {
    /// A connector with these settings. It connects when something is delivered.
    pub fn new(settings: Settings) -> Self {
        Self { client: client::Client::new(settings) }
    }

    fn settings(&self) -> &Settings {
        self.client.settings()
    }

    /// What goes to the receiver, and what is held back. A hub believes signed orders alone: of a status that rests on an
    /// order that nobody signed it would hold another.
    fn sendable<'a>(&self, batch: &'a Batch) -> (Vec<&'a Shared>, Vec<Refused>) {
        let (mut items, mut held_back) = (Vec::with_capacity(batch.items.len()), Vec::new());
        for item in &batch.items {
            let proven = wire::Proven::of(item).status;
            if !self.settings().is_hub || proven == item.status() {
                items.push(item);
                continue;
            }
            held_back.push(Refused {
                seq: item.seq(),
                code: STATUS_UNSIGNED.to_owned(),
                remark: format!(
                    "here it is {} by an order that nobody signed; the other hub, which follows signed orders alone, would \
                     hold it as {}",
                    item.status().word(),
                    proven.word()
                ),
            });
        }
        (items, held_back)
    }

    /// Sends these events once. What waits for manifests is in the outcome.
    async fn send(
        &self,
        items: &[&Shared],
        body: Vec<u8>,
    ) -> Result<reply::Outcome, DeliveryError> {
        let response = self.client.post(body).await?;
        reply::outcome(&response, self.name(), items, self.settings().is_hub)
    }

    /// Sends these events, which fit into one request, and the manifests that they wait for.
    async fn send_all(
        &self,
        batch: &Batch,
        items: &[&Shared],
        body: Vec<u8>,
    ) -> Result<Vec<Refused>, DeliveryError> {
        let first = self.send(items, body).await?;
        let mut refused = first.refused;
        let asked: BTreeSet<Sha256Digest> =
            first.waiting.iter().map(|(_, digest)| *digest).collect();
        let mut known = BTreeSet::new();
        let mut why: BTreeMap<Sha256Digest, (String, String)> = BTreeMap::new();
        for digest in asked {
            match self.send_manifest(batch, &digest).await? {
                None => {
                    known.insert(digest);
                }
                Some(reason) => {
                    why.insert(digest, reason);
                }
            }
        }
        let mut again = Vec::new();
        for (place, digest) in first.waiting {
            let item = items[place];
            match why.get(&digest) {
                Some((code, remark)) => refused.push(Refused {
                    seq: item.seq(),
                    code: code.clone(),
                    remark: remark.clone(),
                }),
                None => again.push(item),
            }
        }
        let mut rest = &again[..];
        while !rest.is_empty() {
            let (body, count) = encode::events(self.name(), &self.settings().source, rest);
            let (now, later) = rest.split_at(count);
            let second = self.send(now, body).await?;
            refused.extend(second.refused);
            // It was sent and taken; asking once more is no way on.
            refused.extend(second.waiting.into_iter().map(|(place, _)| Refused {
                seq: now[place].seq(),
                code: MANIFEST_MISSING.to_owned(),
                remark: "the receiver asks again for a manifest that it took".to_owned(),
            }));
            rest = later;
        }
        Ok(refused)
    }

    /// Sends one manifest: `Some` with why it is not taken, or not there to be sent.
    async fn send_manifest(
        &self,
        batch: &Batch,
        digest: &Sha256Digest,
    ) -> Result<Option<(String, String)>, DeliveryError> {
        let Some(manifest) = batch.manifests.get(digest) else {
            let remark = "the batch manifest is not in the store";
            return Ok(Some((MANIFEST_MISSING.to_owned(), remark.to_owned())));
        };
        let body = encode::manifest(self.name(), &self.settings().source, digest, manifest);
        let response = self.client.post(body).await?;
        reply::manifest(&response, self.settings().is_hub)
    }

    async fn ask_tallies(&self) -> Result<BTreeMap<Bucket, Tally>, DeliveryError> {
        let mut url = self.settings().beside("tallies");
        url.query_pairs_mut().append_pair("source", &self.settings().source);
        reply::tallies(&self.client.get(url).await?)
    }
}

#[async_trait]
impl Connector for Push {
    fn name(&self) -> &str {
        &self.settings().name
    }

    fn kind(&self) -> &'static str {
        KIND.name
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let (items, mut refused) = self.sendable(batch);
        let mut rest = &items[..];
        while !rest.is_empty() {
            let (body, count) = encode::events(self.name(), &self.settings().source, rest);
            let (now, later) = rest.split_at(count);
            refused.extend(self.send_all(batch, now, body).await?);
            rest = later;
        }
        refused.sort_by_key(|record| record.seq);
        Ok(Delivered { refused })
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        if !self.settings().is_hub {
            return Err(DeliveryError::Configuration(Problem::CountsNotTold));
        }
        let mut counts = BTreeMap::new();
        for (bucket, tally) in self.ask_tallies().await? {
            *counts.entry(bucket.licence_type).or_default() += tally.count;
        }
        Ok(counts)
    }

    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError> {
        let (items, refused) = self.sendable(batch);
        let mut preview = Preview { refused, ..Preview::default() };
        let mut rest = &items[..];
        while !rest.is_empty() {
            let (body, count) = encode::events(self.name(), &self.settings().source, rest);
            preview.parts.push(PreviewPart {
                title: format!("POST {}", self.settings().events),
                text: String::from_utf8_lossy(&body).into_owned(),
            });
            rest = &rest[count..];
        }
        Ok(preview)
    }

    fn wants_manifests(&self) -> bool {
        true
    }

    fn mark(&self, item: &Shared) -> Result<Mark, DeliveryError> {
        Ok(mark_of(item.identifier(), &item.digest))
    }

    async fn tallies(&self) -> Result<Option<BTreeMap<Bucket, Tally>>, DeliveryError> {
        if !self.settings().is_hub {
            return Ok(None);
        }
        self.ask_tallies().await.map(Some)
    }

    async fn holdings(
        &self,
        bucket: &Bucket,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Result<Vec<Holding>, DeliveryError> {
        if !self.settings().is_hub {
            return Ok(Vec::new());
        }
        let mut url = self.settings().beside("holdings");
        url.query_pairs_mut()
            .append_pair("source", &self.settings().source)
            .append_pair("type", bucket.licence_type.as_str())
            .append_pair("day", &bucket.day.to_string())
            .append_pair("limit", &limit.to_string());
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after.as_str());
        }
        reply::holdings(&self.client.get(url).await?, limit)
    }
}
