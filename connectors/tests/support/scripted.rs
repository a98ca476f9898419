//! A counterpart that does what a test tells it to, for the rules of the runner.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use connectors::{
    Batch, Connector, Delivered, DeliveryError, Preview, PreviewPart, Problem, Refused, Reply,
    ReplyPage, ReplyPosition,
};
use licence::{LicenceTypeCode, Seq};
use tokio::sync::watch;

/// What the counterpart does and what it saw.
#[derive(Clone)]
pub struct Script(Arc<Shared>);

struct Shared {
    name: String,
    told: Mutex<Told>,
    /// Deliveries wait while this is true.
    hanging: watch::Sender<bool>,
    /// Deliveries that have come to the counterpart.
    begun: watch::Sender<u64>,
}

#[derive(Default)]
struct Told {
    down: bool,
    refuse_batches_with: BTreeSet<u64>,
    refuse_every_batch: bool,
    refuse_records: BTreeSet<u64>,
    unreachable_with: BTreeSet<u64>,
    replies: Vec<Reply>,
    now_micros: u64,
    counts: BTreeMap<LicenceTypeCode, u64>,
    batches: Vec<(String, Vec<u64>)>,
    attempts: u64,
}

impl Script {
    pub fn new(name: &str) -> Self {
        Self(Arc::new(Shared {
            name: name.to_owned(),
            told: Mutex::default(),
            hanging: watch::Sender::new(false),
            begun: watch::Sender::new(0),
        }))
    }

    pub fn connector(&self) -> Box<dyn Connector> {
        Box::new(self.clone())
    }

    fn told<T>(&self, act: impl FnOnce(&mut Told) -> T) -> T {
        act(&mut self.0.told.lock().unwrap())
    }

    pub fn down(&self, down: bool) {
        self.told(|told| told.down = down);
    }

    /// Refuses as a whole every batch that holds one of these.
    pub fn refuse_batches_with(&self, seqs: &[u64]) {
        self.told(|told| told.refuse_batches_with = seqs.iter().copied().collect());
    }

    pub fn refuse_every_batch(&self, refuse: bool) {
        self.told(|told| told.refuse_every_batch = refuse);
    }

    /// Is not there for batches that hold one of these.
    pub fn unreachable_with(&self, seqs: &[u64]) {
        self.told(|told| told.unreachable_with = seqs.iter().copied().collect());
    }

    /// How many deliveries have begun.
    pub fn has_begun(&self) -> u64 {
        *self.0.begun.borrow()
    }

    /// Takes the batch, but not these records.
    pub fn refuse_records(&self, seqs: &[u64]) {
        self.told(|told| told.refuse_records = seqs.iter().copied().collect());
    }

    pub fn hang(&self, hang: bool) {
        self.0.hanging.send_replace(hang);
    }

    /// Waits until this many deliveries have begun.
    pub async fn begun(&self, count: u64) {
        self.0.begun.subscribe().wait_for(|begun| *begun >= count).await.unwrap();
    }

    pub fn reply(&self, micros: u64, seq: u64, remark: &str) {
        self.told(|told| {
            told.replies.push(Reply {
                position: ReplyPosition { micros, key: format!("{seq:020}") },
                refused: Refused {
                    seq: Seq(seq),
                    code: "error_row".to_owned(),
                    remark: remark.to_owned(),
                },
            });
            told.replies.sort_by(|a, b| a.position.cmp(&b.position));
        });
    }

    pub fn clock(&self, micros: u64) {
        self.told(|told| told.now_micros = micros);
    }

    pub fn counts(&self, counts: &[(LicenceTypeCode, u64)]) {
        self.told(|told| told.counts = counts.iter().copied().collect());
    }

    /// The batches that arrived: ids and numbers.
    pub fn batches(&self) -> Vec<(String, Vec<u64>)> {
        self.told(|told| told.batches.clone())
    }

    /// The numbers that arrived, in order, repeats included.
    pub fn arrived(&self) -> Vec<u64> {
        self.batches().into_iter().flat_map(|(_, seqs)| seqs).collect()
    }

    /// Deliveries that were tried and not hung.
    pub fn attempts(&self) -> u64 {
        self.told(|told| told.attempts)
    }
}

#[async_trait]
impl Connector for Script {
    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError> {
        let text = batch.items.iter().map(|item| item.key("script")).collect::<Vec<_>>().join("\n");
        let part = PreviewPart { title: "keys".to_owned(), text };
        Ok(Preview { parts: vec![part], refused: Vec::new() })
    }

    fn name(&self) -> &str {
        &self.0.name
    }

    fn kind(&self) -> &'static str {
        "scripted"
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        self.0.begun.send_modify(|begun| *begun += 1);
        self.0.hanging.subscribe().wait_for(|hanging| !hanging).await.unwrap();
        self.told(|told| {
            told.attempts += 1;
            let seqs: Vec<u64> = batch.items.iter().map(|item| item.seq().0).collect();
            if told.down || seqs.iter().any(|seq| told.unreachable_with.contains(seq)) {
                let to = "scripted:1".to_owned();
                return Err(DeliveryError::Unreachable(Problem::ConnectionLost { to }));
            }
            let spoilt = seqs.iter().any(|seq| told.refuse_batches_with.contains(seq));
            if told.refuse_every_batch || spoilt {
                return Err(DeliveryError::Refused(Problem::BatchRefused { status: 422 }));
            }
            let (refused, taken): (Vec<u64>, Vec<u64>) =
                seqs.into_iter().partition(|seq| told.refuse_records.contains(seq));
            told.batches.push((batch.id.clone(), taken));
            let refused = refused.into_iter().map(|seq| Refused {
                seq: Seq(seq),
                code: "not_this_one".to_owned(),
                remark: "不接收".to_owned(),
            });
            Ok(Delivered { refused: refused.collect() })
        })
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        Ok(self.told(|told| told.counts.clone()))
    }

    async fn replies(&self, after: &ReplyPosition) -> Result<ReplyPage, DeliveryError> {
        Ok(self.told(|told| {
            let replies: Vec<Reply> = told
                .replies
                .iter()
                .filter(|reply| reply.position > *after)
                .take(3)
                .cloned()
                .collect();
            ReplyPage { more: replies.len() == 3, replies, now_micros: told.now_micros }
        }))
    }
}
