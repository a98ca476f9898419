//! Hands records to a provincial gateway: logs in for a token and renews it, signs requests, and follows the answer's
//! codes. What differs from gateway to gateway is a [shape](FORMAT), a data file: `docs/formats/rest.md`.

mod client;
mod encode;
pub mod message_signatures;
mod reply;
mod settings;
mod shape;
mod sign;
mod template;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use licence::{LicenceId, LicenceTypeCode, Seq};

use self::{
    client::Answered,
    encode::{Access, Content, Moment},
    settings::Ready,
    shape::Call,
};
pub use self::{settings::Settings, shape::FORMAT};
use crate::{
    Batch, Bucket, Connector, Delivered, DeliveryError, Holding, Kind, Opener, Preview,
    PreviewPart, Problem, Refused, Tally, code_map::CodeMap,
};

/// Provincial gateways.
pub static KIND: Kind = Kind {
    name: "rest",
    check: |raw, problems| {
        let settings = Arc::new(Settings::check(raw, problems)?);
        Some(Opener::new(move |_| Box::new(Rest::new(settings.clone()))))
    },
};

/// How long it is remembered which requests of a batch were answered before it failed.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Batches remembered.
const BATCHES: usize = 64;

/// A connector to a provincial gateway.
pub struct Rest {
    client: client::Client,
    /// Batches that failed on the way, by what they hold: a batch of a thousand requests would never end if each
    /// failure began it anew.
    begun: Mutex<BTreeMap<String, Progress>>,
}

/// How far a batch came.
struct Progress {
    seqs: BTreeSet<Seq>,
    /// Requests answered.
    done: usize,
    refused: Vec<Refused>,
    at: Instant,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Rest({})", self.client.settings().name)
    }
}

impl Rest {
    /// A connector with these settings. It connects when something is delivered.
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { client: client::Client::new(settings), begun: Mutex::default() }
    }

    fn map(&self, ready: &Ready) -> Result<Arc<CodeMap>, DeliveryError> {
        match &self.client.settings().code_map {
            Some(file) => file.current(),
            None => Ok(Arc::new(ready.shape.code_map.clone())),
        }
    }

    /// Where to go on: how many requests of the batch are answered, and what was refused in them.
    fn resume(&self, tag: &str) -> (usize, Vec<Refused>) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|_, progress| progress.at.elapsed() < REMEMBERED);
        begun.get(tag).map_or((0, Vec::new()), |known| (known.done, known.refused.clone()))
    }

    fn remember(&self, tag: &str, batch: &Batch, done: usize, refused: &[Refused]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.len() >= BATCHES && !begun.contains_key(tag) {
            return;
        }
        let seqs = batch.items.iter().map(|item| item.seq()).collect();
        let progress = Progress { seqs, done, refused: refused.to_vec(), at: Instant::now() };
        begun.insert(tag.to_owned(), progress);
    }

    /// A batch ended: whatever is remembered of its records is out of date.
    fn forget(&self, batch: &Batch) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|_, progress| {
            !batch.items.iter().any(|item| progress.seqs.contains(&item.seq()))
        });
    }

    /// Asks for something that the shape may not have.
    async fn ask(
        &self,
        ready: &Ready,
        call: &Call,
        content: Content,
    ) -> Result<serde_json::Value, DeliveryError> {
        match self.client.call(ready, call, &content).await? {
            Answered::Taken(body) => Ok(body),
            Answered::Refused { code, .. } => {
                Err(DeliveryError::Configuration(Problem::GatewayStopped { code }))
            }
        }
    }
}

#[async_trait]
impl Connector for Rest {
    fn name(&self) -> &str {
        &self.client.settings().name
    }

    fn kind(&self) -> &'static str {
        KIND.name
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        if batch.items.is_empty() {
            return Ok(Delivered::default());
        }
        let ready = self.client.settings().ready()?;
        let map = self.map(&ready)?;
        let send = &ready.shape.send;
        let (parcels, unwritten) = encode::parcels(&ready, &map, self.name(), batch);
        let tag = format!("{}/{}", batch.id, hex::encode(sign::sha256(map.to_text().as_bytes())));
        let (done, mut refused) = self.resume(&tag);
        for (place, parcel) in parcels.iter().enumerate().skip(done) {
            match self.client.call(&ready, &send.call, &parcel.content).await? {
                Answered::Taken(body) => {
                    if let Some(results) = &send.results {
                        refused.extend(reply::results(results, &body, &parcel.items, self.name())?);
                    }
                }
                Answered::Refused { code, remark } => match parcel.items.as_slice() {
                    [item] => refused.push(Refused { seq: item.seq(), code, remark }),
                    _ => {
                        self.forget(batch);
                        return Err(DeliveryError::Refused(Problem::GatewayRefused { code }));
                    }
                },
            }
            if parcels.len() > 1 {
                self.remember(&tag, batch, place + 1, &refused);
            }
        }
        self.forget(batch);
        refused.extend(unwritten);
        refused.sort_by_key(|record| record.seq);
        Ok(Delivered { refused })
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        let ready = self.client.settings().ready()?;
        let offered = ready.shape.counts.as_ref().filter(|counts| counts.call.path.is_some());
        let counts = offered.ok_or(DeliveryError::Configuration(Problem::CountsNotOffered))?;
        let body = self.ask(&ready, &counts.call, Content::default()).await?;
        reply::counts(counts, &body)
    }

    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError> {
        let settings = self.client.settings();
        let ready = settings.ready()?;
        let map = self.map(&ready)?;
        let call = &ready.shape.send.call;
        let (parcels, refused) = encode::parcels(&ready, &map, self.name(), batch);
        // Everything but what proves who we are, and what is made for one attempt.
        let mut shape = ready.shape.clone();
        let sign = shape.sign.take();
        let ready = Ready { shape, values: ready.values.clone() };
        let access = Access { token: "(token)".to_owned(), ..Access::default() };
        let moment = Moment { now: Timestamp::UNIX_EPOCH, nonce: "(nonce)".to_owned() };
        let mut parts = Vec::with_capacity(parcels.len());
        for parcel in &parcels {
            let wire = encode::wire(settings, &ready, call, &parcel.content, &access, &moment)
                .map_err(|why| DeliveryError::Configuration(Problem::ShapeUnusable { why }))?;
            let mut text = String::new();
            for (name, value) in &wire.headers {
                text.push_str(&format!("{name}: {value}\n"));
            }
            if let Some(sign) = sign.as_ref().filter(|_| call.signed) {
                for name in sign.headers.keys() {
                    text.push_str(&format!("{name}: (made when it is sent)\n"));
                }
            }
            text.push('\n');
            match serde_json::from_slice::<serde_json::Value>(&wire.body) {
                Ok(body) => text.push_str(&format!("{body:#}")),
                Err(_) => text.push_str(&String::from_utf8_lossy(&wire.body)),
            }
            let title = format!(
                "{} {}{}",
                wire.method,
                settings.url.origin().ascii_serialization(),
                wire.target
            );
            parts.push(PreviewPart { title, text });
        }
        Ok(Preview { parts, refused })
    }

    async fn tallies(&self) -> Result<Option<BTreeMap<Bucket, Tally>>, DeliveryError> {
        let ready = self.client.settings().ready()?;
        let offered = ready.shape.tallies.as_ref().filter(|tallies| tallies.call.path.is_some());
        let Some(tallies) = offered else { return Ok(None) };
        let body = self.ask(&ready, &tallies.call, Content::default()).await?;
        reply::tallies(tallies, &body).map(Some)
    }

    async fn holdings(
        &self,
        bucket: &Bucket,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Result<Vec<Holding>, DeliveryError> {
        let ready = self.client.settings().ready()?;
        let offered = ready.shape.holdings.as_ref().filter(|holdings| holdings.call.path.is_some());
        let Some(holdings) = offered else { return Ok(Vec::new()) };
        let asked = vec![
            ("type", bucket.licence_type.to_string()),
            ("day", bucket.day.to_string()),
            ("after", after.map_or_else(String::new, ToString::to_string)),
            ("limit", limit.to_string()),
        ];
        let content = Content { asked, ..Content::default() };
        let body = self.ask(&ready, &holdings.call, content).await?;
        reply::holdings(holdings, &body, limit)
    }
}
