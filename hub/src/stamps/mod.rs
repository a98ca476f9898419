//! Time-stamps (RFC 3161) over what issuers and this hub sign, so that a signature can be shown to be older than the
//! end of its certificate.
//!
//! Intake never waits for one. The queue is the registry log itself: a worker follows it with a cursor of its own,
//! which moves on only past what is stamped, so that hours without any authority and restarts lose nothing. What the
//! hub signs is in no log; it is put into the collection [`DUE`] in the commit that it belongs to.
//!
//! A stamp is over the signature *value* (RFC 3161, appendix A). Licences under one batch manifest share the
//! manifest's.

mod authority;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use certs::{SignatureError, Times, TrustStore, timestamp};
use indexes::{Collection, Proof, StoreError, StoredLicence, StoredOrder};
use jiff::Timestamp;
use licence::Sha256Digest;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::config::{self, Config, ConfigError, TimeStamps};
use crate::records::{self, Draft, Kept};
use crate::reuse::package::SignedFile;
use crate::{Hub, clock::Clock};

use authority::Authority;
pub use authority::StampError;

/// Stamps by what they are over: kind · digest.
pub const STAMPS: Collection = Collection::new("stamps");
/// Documents of the hub's own that wait for a stamp: since when (microseconds) · digest.
pub const DUE: Collection = Collection::new("stamps_due");

/// The worker's cursor in the registry log.
pub const CURSOR: &str = "time_stamps";

/// How many waiting documents are counted.
const COUNTED: usize = 10_000;

/// A time-stamp as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct Stamp {
    /// The authority's name in the settings; of a stamp that came inside a signature, its certificate's subject.
    pub authority: String,
    /// The time it says.
    pub at: Timestamp,
    /// The token, DER in base64.
    #[serde(with = "base64_bytes")]
    pub token: Vec<u8>,
    /// The signature value it is over, in base64.
    #[serde(with = "base64_bytes")]
    pub value: Vec<u8>,
}

impl Kept for Stamp {
    const COLLECTION: Collection = STAMPS;
}

/// A document of the hub's own whose signature waits for a stamp.
#[derive(Clone, Serialize, Deserialize)]
struct DueDocument {
    since: Timestamp,
    key: Sha256Digest,
    #[serde(with = "base64_bytes")]
    value: Vec<u8>,
}

impl Kept for DueDocument {
    const COLLECTION: Collection = DUE;
}

/// What is known of the time of a licence's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimeStampState {
    /// `stamped`; `due`: it will be; `none`: nobody was asked.
    pub state: &'static str,
    /// The time that the authority vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub at: Option<Timestamp>,
    /// The authority's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// How time-stamping is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampsState {
    /// Changes and documents that wait; documents are counted up to 10,000.
    pub due: u64,
    /// Since when the oldest has been waiting.
    pub oldest: Option<Timestamp>,
}

/// The part of a running hub that has things stamped.
pub struct Stamps {
    settings: TimeStamps,
    http: reqwest::Client,
    authorities: Vec<Authority>,
    wake: Notify,
    shutdown: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Stamps {
    /// Reads the settings; `None` where there are no authorities.
    ///
    /// # Errors
    /// `Content` with what is wrong with an authority.
    pub fn open(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(settings) = config.time_stamps.clone() else {
            return Ok(None);
        };
        let wrong = |said: String| config::content("time_stamps.authorities", &config.data, said);
        if settings.authorities.is_empty() {
            return Err(wrong("at least one authority is needed".to_owned()));
        }
        let authorities: Result<Vec<_>, _> =
            settings.authorities.iter().cloned().map(Authority::new).collect();
        let timeout = Duration::from_secs(u64::from(settings.timeout_seconds.max(1)));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            .timeout(timeout)
            .user_agent(concat!("yihao/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Some(Self {
            settings,
            http,
            authorities: authorities.map_err(wrong)?,
            wake: Notify::new(),
            shutdown: CancellationToken::new(),
            task: Mutex::new(None),
        }))
    }

    /// Starts the worker. Must be called inside a tokio runtime. It ends when the hub is gone.
    pub fn start(&self, hub: &Arc<Hub>) {
        let task = tokio::spawn(worker::run(Arc::downgrade(hub), self.shutdown.clone()));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Stops the worker and waits for it. What was under way is done again after the next start.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && task.await.is_err()
        {
            tracing::error!("the time-stamping task had failed");
        }
    }

    /// `ok`; `fallback`: an authority fails and another serves; `failing`: none serves.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let failing = self.authorities.iter().filter(|one| one.is_failing()).count();
        match failing {
            0 => "ok",
            some if some < self.authorities.len() => "fallback",
            _ => "failing",
        }
    }

    /// How much waits, and since when.
    ///
    /// # Errors
    /// The store's.
    pub async fn state(&self, hub: &Hub) -> Result<StampsState, StoreError> {
        let store = &*hub.store;
        let cursor = store.cursor(CURSOR).await?.unwrap_or_default();
        let changes = store.head().await?.0.saturating_sub(cursor.0);
        let first = store.changes(cursor, 1).await?.first().map(|change| change.at);
        let documents = records::list::<DueDocument>(store, b"", None, COUNTED).await?;
        let document = documents.first().map(|held| held.value.since);
        Ok(StampsState {
            due: changes + documents.len() as u64,
            oldest: first.into_iter().chain(document).min(),
        })
    }
}

/// Has the signature on a document of the hub's own stamped, once the draft is written.
///
/// * `file`: a signed file, as it is kept.
pub fn file(hub: &Hub, draft: &mut Draft, file: &[u8]) {
    let Some(stamps) = hub.stamps() else { return };
    let signature = SignedFile::parse(file).and_then(|file| file.signature());
    // The hub's own files can be read.
    if let Ok(signature) = signature
        && let Ok(value) = certs::cms_signature_value(&signature)
    {
        let since = hub.clock.now();
        let key = certs::sha256(&signature);
        let micros = u64::try_from(since.as_microsecond()).unwrap_or(0).to_be_bytes();
        let place = [micros.as_slice(), key.as_bytes()].concat();
        draft.put(&place, &DueDocument { since, key, value });
        // The worker looks again in any case; this only saves a wait.
        stamps.wake.notify_one();
    }
}

/// The stamp over the signature that proves a licence: its own, or its batch manifest's. A point read.
///
/// # Errors
/// The store's.
pub async fn of_licence(hub: &Hub, licence: &StoredLicence) -> Result<Option<Stamp>, StoreError> {
    let stamp = read(hub, &key_of_licence(licence)).await?;
    Ok(stamp.filter(|stamp| match &licence.proof {
        // A stamp may have been filed for another signature on these bytes, which was not taken in after all.
        Proof::Signature(cms) => {
            certs::cms_signature_value(cms).is_ok_and(|value| value == stamp.value)
        }
        Proof::Manifest { .. } => true,
        Proof::Unsigned => false,
    }))
}

/// The time-stamp that an issuer's signature brought along, if it is of an authority that is trusted.
///
/// # Errors
/// `TimeStamp`: it is forged, or over other bytes.
pub fn brought(
    cms: &[u8],
    trust: &TrustStore,
    now: Timestamp,
) -> Result<Option<Stamp>, SignatureError> {
    let Some((token, stamp)) = certs::time_stamp_of(cms, trust, now)? else { return Ok(None) };
    let authority = stamp.authority.subject_text();
    let value = certs::cms_signature_value(cms)?;
    Ok(Some(Stamp { authority, at: stamp.at, token, value }))
}

/// Files the stamp that came inside a licence's signature, before the licence is taken in: nobody sees it without.
///
/// # Errors
/// The store's.
pub async fn file_licence(
    hub: &Hub,
    licence: &Sha256Digest,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    put(hub, &key(b'L', licence), stamp).await
}

/// Takes it away again: the licence was taken in by then, with another signature.
///
/// # Errors
/// The store's.
pub async fn unfile_licence(
    hub: &Hub,
    licence: &Sha256Digest,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    let held = records::read::<Stamp>(&*hub.store, &key(b'L', licence)).await?;
    if let Some(held) = held.filter(|held| held.value.value == stamp.value) {
        let mut draft = Draft::new();
        draft.remove(&held);
        // Whoever replaced it meanwhile knew better.
        let _ = draft.commit(&*hub.store).await?;
    }
    Ok(())
}

/// Files the stamp that came inside a batch manifest's signature.
///
/// # Errors
/// The store's.
pub async fn file_manifest(
    hub: &Hub,
    manifest: &Sha256Digest,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    put(hub, &key(b'M', manifest), stamp).await
}

async fn put(hub: &Hub, key: &[u8], stamp: &Stamp) -> Result<(), StoreError> {
    let mut draft = Draft::new();
    draft.put(key, stamp);
    draft.commit(&*hub.store).await?.map(drop).map_err(|_| StoreError::Closed)
}

/// The stamp over a status order's signature.
///
/// # Errors
/// The store's.
pub async fn of_order(hub: &Hub, order: &StoredOrder) -> Result<Option<Stamp>, StoreError> {
    read(hub, &key_of_order(order)).await
}

/// The stamp over a document of the hub's own, by the SHA-256 of its signature.
///
/// # Errors
/// The store's.
pub async fn of_document(hub: &Hub, signature: &Sha256Digest) -> Result<Option<Stamp>, StoreError> {
    read(hub, &key(b'D', signature)).await
}

/// The time by which the signature that proves a licence existed, if a time-stamp that is trusted now shows it: one
/// point read and one check of a signature. To be asked only where a certificate was revoked or an anchor ended.
///
/// # Errors
/// The store's.
pub async fn proven(hub: &Hub, licence: &StoredLicence) -> Result<Option<Timestamp>, StoreError> {
    let stamp = of_licence(hub, licence).await?;
    let times = Times::now(hub.clock.now());
    Ok(stamp.and_then(|stamp| stamp.proven(&hub.trust(), &times)))
}

/// The same signature with its time-stamp inside, as every reader of CMS finds it (RFC 3161, appendix A).
#[must_use]
pub fn carried(signature: Vec<u8>, stamp: Option<Stamp>) -> Vec<u8> {
    let stamped = stamp.and_then(|stamp| {
        let stamped = certs::with_time_stamp(&signature, &stamp.token).ok()?;
        (stamped.len() <= certs::MAX_CMS_BYTES).then_some(stamped)
    });
    stamped.unwrap_or(signature)
}

/// A signed file of the hub's own as it is handed out: with its time-stamp inside the signature, if it has one by now.
///
/// # Errors
/// The store's.
pub async fn with_stamp(hub: &Hub, file: Bytes) -> Result<Bytes, StoreError> {
    let Ok(mut parsed) = SignedFile::parse(&file) else { return Ok(file) };
    let Ok(signature) = parsed.signature() else { return Ok(file) };
    let Some(stamp) = of_document(hub, &certs::sha256(&signature)).await? else { return Ok(file) };
    parsed.signature = STANDARD.encode(carried(signature, Some(stamp)));
    let bytes = serde_json::to_vec(&parsed).expect("a structure of texts always serialises");
    Ok(bytes.into())
}

/// What the public face says of a licence's time.
///
/// # Errors
/// The store's.
pub async fn state_of(hub: &Hub, licence: &StoredLicence) -> Result<TimeStampState, StoreError> {
    if let Some(stamp) = of_licence(hub, licence).await? {
        let (at, authority) = (Some(stamp.at), Some(stamp.authority));
        return Ok(TimeStampState { state: "stamped", at, authority });
    }
    let due = match hub.stamps() {
        Some(_) => hub.store.cursor(CURSOR).await?.unwrap_or_default() <= licence.seq,
        None => false,
    };
    Ok(TimeStampState { state: if due { "due" } else { "none" }, at: None, authority: None })
}

impl Stamp {
    /// By when the signature existed, if the stamp is trusted as of `times`.
    #[must_use]
    pub fn proven(&self, trust: &TrustStore, times: &Times) -> Option<Timestamp> {
        timestamp::verify(&self.token, &self.value, trust, times).ok().map(|stamp| stamp.proven())
    }
}

async fn read(hub: &Hub, key: &[u8]) -> Result<Option<Stamp>, StoreError> {
    Ok(records::read::<Stamp>(&*hub.store, key).await?.map(|held| held.value))
}

fn key(kind: u8, digest: &Sha256Digest) -> Vec<u8> {
    [&[kind], digest.as_bytes().as_slice()].concat()
}

/// `L` · digest of the licence, or `M` · digest of the manifest.
fn key_of_licence(licence: &StoredLicence) -> Vec<u8> {
    match &licence.proof {
        Proof::Signature(_) | Proof::Unsigned => key(b'L', &licence.digest),
        Proof::Manifest { manifest, .. } => key(b'M', manifest),
    }
}

/// `O` · digest of the order.
fn key_of_order(order: &StoredOrder) -> Vec<u8> {
    key(b'O', &certs::sha256(&order.document))
}

fn now(clock: &Clock) -> Times {
    Times::now(clock.now())
}

mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
