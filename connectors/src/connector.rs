//! What a counterpart looks like from here.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use indexes::{Proof, StoredManifest, StoredOrder};
use licence::{
    Change, ChangeKind, Licence, LicenceId, LicenceStatus, LicenceTypeCode, Seq, Sha256Digest,
    Trust,
};
use ring::digest;

use crate::{Bucket, DeliveryError, Holding, Mark, Tally};

/// One change of the registry, with the licence it is about.
///
/// `Debug` shows the number and the identifier only.
#[derive(Clone)]
pub struct Shared {
    /// The change.
    pub change: Change,
    /// The licence, as parsed from the signed bytes.
    pub licence: Arc<Licence>,
    /// The signed bytes, as they came.
    pub document: Bytes,
    /// SHA-256 of the signed bytes.
    pub digest: Sha256Digest,
    /// The trust in the licence after this change. Later changes may have changed it again.
    pub trust: Trust,
    /// What proves that the issuer signed the document: for counterparts that check for themselves.
    pub proof: Proof,
    /// With a change of status: the signed order.
    pub order: Option<Arc<StoredOrder>>,
    /// The orders before this change that the status rests on, oldest first: those since the licence was last valid, so a
    /// few at most. For counterparts that follow orders, and may not have got these.
    pub earlier: Vec<StoredOrder>,
}

impl Shared {
    /// The number of the change.
    pub fn seq(&self) -> Seq {
        self.change.seq
    }

    /// The licence's identifier.
    pub fn identifier(&self) -> &LicenceId {
        self.change.identifier()
    }

    /// What lets a receiver drop repeats: the connector's name, and the number of the change in 20 digits. Of two keys
    /// of one connector the later change has the greater.
    pub fn key(&self, connector: &str) -> String {
        format!("{connector}-{:020}", self.seq().0)
    }

    /// The licence's status after this change. Later changes may have changed it again.
    pub fn status(&self) -> LicenceStatus {
        match &self.change.kind {
            ChangeKind::Issued { .. } | ChangeKind::Unsigned { .. } => LicenceStatus::Valid,
            ChangeKind::StatusChanged { to, .. } => to.clone(),
            ChangeKind::TrustChanged { status, .. } => status.clone(),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Shared({} {})", self.seq(), self.identifier())
    }
}

/// Some changes, in order, delivered together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// 32 hexadecimal digits: the first 16 bytes of the SHA-256 over connector, replay count, and the number and
    /// digest of each item. The same items have the same id, across restarts; other items have another.
    pub id: String,
    /// The changes, oldest first.
    pub items: Vec<Shared>,
    /// The batch manifests that proofs of the items name, for connectors that [want](Connector::wants_manifests) them.
    pub manifests: BTreeMap<Sha256Digest, Arc<StoredManifest>>,
}

impl Batch {
    /// Puts a batch together and names it.
    ///
    /// * `replays`: how often an operator had this connector start again. A replay is to be handled anew by a
    ///   counterpart that remembers batch ids, so it changes them.
    pub fn new(connector: &str, replays: u64, items: Vec<Shared>) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(connector.as_bytes());
        hash.update(&[0]); // no connector's name holds a NUL, so the parts cannot run together
        hash.update(&replays.to_be_bytes());
        for item in &items {
            hash.update(&item.seq().0.to_be_bytes());
            hash.update(item.digest.as_bytes());
        }
        let id = hex::encode(&hash.finish().as_ref()[..16]);
        Self { id, items, manifests: BTreeMap::new() }
    }
}

/// A batch arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The records of it that the counterpart did not take; all others it holds now.
    pub refused: Vec<Refused>,
}

/// A record that the counterpart did not take, and would not take the next time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The change.
    pub seq: Seq,
    /// Why, as a stable word: the counterpart's or ours.
    pub code: String,
    /// Why, in the counterpart's words, shortened, numbers masked.
    pub remark: String,
}

/// Something a counterpart says later about a record it had taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Where it stands among the counterpart's replies; no two have the same.
    pub position: ReplyPosition,
    /// What it says.
    pub refused: Refused,
}

/// Exactly what would be sent for some changes, for people to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// What is sent in one piece: a request, a file, a statement with its rows.
    pub parts: Vec<PreviewPart>,
    /// What would be set aside instead.
    pub refused: Vec<Refused>,
}

/// A piece of a [`Preview`]. `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct PreviewPart {
    /// What it is and where it goes, such as `POST https://…/records` or `rows of up_lic_data`; no secrets.
    pub title: String,
    /// What is sent, as text.
    pub text: String,
}

impl fmt::Debug for PreviewPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PreviewPart({}, {} bytes)", self.title, self.text.len())
    }
}

/// Where a reply stands: by time, then by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyPosition {
    /// Microseconds since 1970, by the counterpart's clock and in its time zone.
    pub micros: u64,
    /// Tells replies of the same time apart.
    pub key: String,
}

/// Some replies, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyPage {
    /// The replies.
    pub replies: Vec<Reply>,
    /// There may be more after the last one.
    pub more: bool,
    /// The counterpart's clock when it answered, as in [`ReplyPosition::micros`].
    pub now_micros: u64,
}

/// One other system that shared records are pushed to. [`crate::Runner`] owns retries, cursor, pace and metrics.
///
/// Each promise is a rule in [`crate::rules`].
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Keys the saved cursor: renaming a connector sends its feed again.
    fn name(&self) -> &str;

    /// Which kind it is, as in the settings file.
    fn kind(&self) -> &'static str;

    /// Delivers in order, at least once: the counterpart may see a batch again, or part of it in another batch, and
    /// holds each record once all the same. On `Ok` the counterpart has all but the refused ones, durably as far as
    /// it says so. On `Err` it may have all, some or none. Dropping the future is like an `Err`.
    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError>;

    /// The valid licences that the counterpart holds from us, by type; types it has none of are left out.
    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError>;

    /// What the counterpart says later about records it had taken, after `after`, in order, at most 1,000. Not every
    /// counterpart does.
    async fn replies(&self, after: &ReplyPosition) -> Result<ReplyPage, DeliveryError> {
        let _ = after;
        Ok(ReplyPage::default())
    }

    /// What would be sent, without sending it and without asking the counterpart.
    ///
    /// # Errors
    /// `Configuration`: what it takes to make it is not there.
    fn preview(&self, batch: &Batch) -> Result<Preview, DeliveryError>;

    /// Whether batches are to bring the manifests that their items' proofs name.
    fn wants_manifests(&self) -> bool {
        false
    }

    /// The mark of what the counterpart should hold of this licence after this change. The line that is marked is
    /// the connector's to define; the counterpart computes the same of what it holds ([`Connector::holdings`]).
    ///
    /// # Errors
    /// `Configuration`: what it takes to make it is not there.
    fn mark(&self, item: &Shared) -> Result<Mark, DeliveryError> {
        Ok(Mark::of_line(&format!("{}|{}", item.identifier(), item.key(self.name()))))
    }

    /// The current records that the counterpart holds from us, counted by bucket; buckets without any are left out.
    /// `None`: it cannot say.
    async fn tallies(&self) -> Result<Option<BTreeMap<Bucket, Tally>>, DeliveryError> {
        Ok(None)
    }

    /// The current records of one bucket that the counterpart holds from us, by identifier, after `after`, at most
    /// `limit`.
    async fn holdings(
        &self,
        bucket: &Bucket,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Result<Vec<Holding>, DeliveryError> {
        let _ = (bucket, after, limit);
        Ok(Vec::new())
    }
}
