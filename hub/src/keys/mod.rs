//! The service's own keys: what it signs packages and promises with.
//!
//! A key is in an encrypted file or in a hardware module. Which ones there are, and which one signs, stands
//! in the book of a folder ([`book`]): the next key is published before it signs, the old one is retired
//! and what it signed stays valid. `hub keys` changes the book ([`change`]); a running hub sees that within
//! two seconds and goes on with the new key. Without that folder the one key that `[service]` names signs.
//!
//! A hub that cannot sign goes on with everything else: [`Keys::signer`] says why it cannot.

pub mod book;
pub mod change;
pub mod folder;
pub mod secret;
pub mod token;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use certs::{Certificate, KeySigner, SignError, SigningIdentity, Suite};
use jiff::Timestamp;
use licence::Sha256Digest;
use serde::Serialize;

use self::{
    book::{Book, BookError, Key, KeyId, Place, State},
    folder::Folder,
    secret::Source,
    token::{Token, TokenError, TokenSigner, Trouble},
};
use crate::config::{self, Config, ConfigError};

/// Why the hub cannot sign now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerUnavailable {
    /// The settings have no `[service]`.
    #[error("the settings have no section [service], so there is no key to sign with")]
    NotConfigured,
    /// No key is current.
    #[error("no key is current: make one with `hub keys new`, then `hub keys rotate`")]
    NoKey,
    /// An encrypted key without a passphrase.
    #[error("the passphrase of the key is missing: it is expected in {0}")]
    PassphraseMissing(String),
    /// Another passphrase.
    #[error("the passphrase does not open the key, or the key's file is damaged")]
    PassphraseWrong,
    /// The key's file or certificate.
    #[error("the key cannot be used: {0}")]
    KeyFile(String),
    /// The certificate is over.
    #[error("the certificate of the key ended at {0}: rotate to a new key")]
    CertificateEnded(Timestamp),
    /// The certificate's time has not begun.
    #[error("the certificate of the key begins at {0}")]
    CertificateNotYet(Timestamp),
    /// The settings name no such token.
    #[error("the key is on the token {0:?}, which is not the one under keys.pkcs11")]
    TokenUnknown(String),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl SignerUnavailable {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "service_missing",
            Self::NoKey => "signer_key_missing",
            Self::PassphraseMissing(_) => "signer_passphrase_missing",
            Self::PassphraseWrong => "signer_passphrase_wrong",
            Self::KeyFile(_) => "signer_key_file",
            Self::CertificateEnded(_) => "signer_certificate_ended",
            Self::CertificateNotYet(_) => "signer_certificate_not_yet",
            Self::TokenUnknown(_) => "signer_token_unknown",
            Self::Token(error) => error.code(),
        }
    }

    /// The word of `/readyz`: the code without what stands before it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotConfigured => "none",
            other => other.code().trim_start_matches("signer_"),
        }
    }
}

/// Why keys were not read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The book's rules.
    #[error(transparent)]
    Book(#[from] BookError),
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another command is at it.
    #[error("another command is changing the keys: wait for it")]
    Busy,
    /// No `[keys]`.
    #[error("the settings have no section [keys]: add one, see docs/operations.md")]
    NotConfigured,
    /// No `keys.pkcs11`.
    #[error("the settings name no token: fill in keys.pkcs11")]
    NoToken,
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] certs::CertificateError),
    /// The file was exchanged.
    #[error("{0}.pem does not begin with the certificate that keys.json names")]
    OtherCertificate(KeyId),
    /// For another key.
    #[error("the first certificate is not for the key {0}")]
    OtherKey(KeyId),
    /// Its time.
    #[error("the certificate is good from {from} to {to}, which is not now")]
    CertificateTimes {
        /// Its start.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
    /// The key does not sign.
    #[error(transparent)]
    Signer(#[from] SignerUnavailable),
    /// A key or certificate could not be made.
    #[error(transparent)]
    Authority(#[from] certs::AuthorityError),
    /// A key could not be made.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// Too easy to guess.
    #[error("a passphrase for new keys has at least {0} characters")]
    PassphraseShort(usize),
}

impl KeysError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Book(error) => error.code(),
            Self::File { .. } => "keys_file",
            Self::Busy => "keys_busy",
            Self::NotConfigured => "keys_not_configured",
            Self::NoToken => "keys_no_token",
            Self::Certificate(error) => error.code(),
            Self::OtherCertificate(_) => "keys_certificate_exchanged",
            Self::OtherKey(_) => "keys_certificate_other_key",
            Self::CertificateTimes { .. } => "keys_certificate_times",
            Self::Signer(error) => error.code(),
            Self::Authority(error) => error.code(),
            Self::Sign(error) => error.code(),
            Self::Random => "keys_random",
            Self::PassphraseShort(_) => "keys_passphrase_short",
        }
    }
}

/// Where keys and their secrets are, by the settings.
#[derive(Clone, Debug)]
pub struct Places {
    service: Option<ServiceFiles>,
    /// The folder of `[keys]`.
    pub folder: Option<Folder>,
    /// The passphrase of key files.
    pub passphrase: Source,
    /// The token for new keys.
    pub token: Option<Token>,
    /// Hours for which a key is published before it signs.
    pub publish_hours: u16,
}

/// The one key of `[service]`.
#[derive(Clone, Debug)]
struct ServiceFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl Places {
    /// What the settings say.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let service = config.service.as_ref().and_then(|service| {
            Some(ServiceFiles {
                certificate: service.certificate.clone()?,
                key: service.key.clone()?,
            })
        });
        let keys = config.keys.as_ref();
        let folder = keys.map(|keys| {
            Folder::new(keys.folder.clone().unwrap_or_else(|| config.data.join("keys")))
        });
        let file = keys.and_then(|keys| keys.passphrase_file.as_deref());
        let token = keys.and_then(|keys| keys.pkcs11.as_ref()).map(|pkcs11| Token {
            module: pkcs11.module.clone(),
            label: pkcs11.token.clone(),
            pin: Source::new(pkcs11.pin_file.as_deref(), secret::PIN_VARIABLE),
        });
        Self {
            service,
            folder,
            passphrase: Source::new(file, secret::PASSPHRASE_VARIABLE),
            token,
            publish_hours: keys.map_or(24, |keys| keys.publish_hours),
        }
    }

    /// Opens a key of the book with its certificates, and tries it.
    ///
    /// # Errors
    /// See [`SignerUnavailable`].
    fn identity(&self, key: &Key, chain: Vec<Certificate>) -> Result<Opened, SignerUnavailable> {
        let (signer, watched): (Box<dyn certs::Signer>, _) = match &key.place {
            Place::File => (Box::new(self.open_file(key)?), None),
            Place::Pkcs11 { token, label } => {
                let known = self.token.as_ref().filter(|one| one.label == *token);
                let token =
                    known.ok_or_else(|| SignerUnavailable::TokenUnknown(token.clone()))?.clone();
                let signer = TokenSigner::open(token.clone(), label)?;
                let watched = Watched { token, label: label.clone(), trouble: signer.trouble() };
                (Box::new(signer), Some(watched))
            }
        };
        let identity = SigningIdentity::new(chain, signer).map_err(|error| {
            let trouble = watched.as_ref().and_then(Watched::trouble);
            trouble.map_or_else(|| key_file(&error), SignerUnavailable::Token)
        })?;
        Ok(Opened { identity: Arc::new(identity), watched })
    }

    fn open_file(&self, key: &Key) -> Result<KeySigner, SignerUnavailable> {
        let folder = self.folder.as_ref().ok_or(SignerUnavailable::NoKey)?;
        let sealed = folder.key_file(&key.id).map_err(|error| key_file(&error))?;
        let passphrase = self
            .passphrase
            .read()
            .ok_or_else(|| SignerUnavailable::PassphraseMissing(self.passphrase.place()))?;
        KeySigner::from_encrypted_pkcs8_pem(&sealed, passphrase.expose().as_bytes()).map_err(
            |error| match error {
                SignError::Passphrase => SignerUnavailable::PassphraseWrong,
                other => key_file(&other),
            },
        )
    }

    /// The key of `[service]`.
    ///
    /// # Errors
    /// `File` or `Content`; an encrypted key without its passphrase is no error of the settings.
    fn of_service(
        &self,
        files: &ServiceFiles,
    ) -> Result<(Vec<Certificate>, Result<Opened, SignerUnavailable>), ConfigError> {
        let certificate = config::read_file("service.certificate", &files.certificate)?;
        let key = config::read_file("service.key", &files.key)?;
        let wrong =
            |error: &dyn std::fmt::Display| config::content("service.key", &files.key, error);
        let passphrase = self.passphrase.read();
        let bytes = passphrase.as_ref().map(|secret| secret.expose().as_bytes());
        let chain = Certificate::many_from_pem(&certificate)
            .map_err(|error| config::content("service.certificate", &files.certificate, error))?;
        match SigningIdentity::from_pem_with(&certificate, &key, bytes) {
            Ok(identity) => Ok((chain, Ok(Opened { identity: Arc::new(identity), watched: None }))),
            Err(SignError::Encrypted) => {
                let place = self.passphrase.place();
                Ok((chain, Err(SignerUnavailable::PassphraseMissing(place))))
            }
            Err(SignError::Passphrase) => Ok((chain, Err(SignerUnavailable::PassphraseWrong))),
            Err(error) => Err(wrong(&error)),
        }
    }

    /// Files whose change means that the keys are to be read again.
    fn watched_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        files.extend(self.folder.as_ref().map(Folder::book_path));
        for one in self.service.iter() {
            files.extend([one.certificate.clone(), one.key.clone()]);
        }
        files.extend(self.passphrase.file().map(Path::to_owned));
        files.extend(self.token.as_ref().and_then(|token| token.pin.file()).map(Path::to_owned));
        files
    }

    fn stamp(&self) -> Stamp {
        let look = |path: &PathBuf| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        self.watched_files().iter().map(look).collect()
    }
}

/// Change times and lengths of the watched files.
type Stamp = Vec<Option<(SystemTime, u64)>>;

fn key_file(error: &dyn std::fmt::Display) -> SignerUnavailable {
    SignerUnavailable::KeyFile(error.to_string())
}

/// An open key.
#[derive(Clone)]
struct Opened {
    identity: Arc<SigningIdentity>,
    watched: Option<Watched>,
}

/// What of an open key can go away.
#[derive(Clone)]
struct Watched {
    token: Token,
    label: String,
    trouble: Trouble,
}

impl Watched {
    fn trouble(&self) -> Option<TokenError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look(&self) {
        let found = token::look(&self.token, &self.label).err();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *trouble != found {
            match &found {
                Some(error) => {
                    tracing::error!(error.code = error.code(), error = %error, "the token is gone");
                }
                None => tracing::info!("the token is back"),
            }
        }
        *trouble = found;
    }
}

/// The keys as last read.
struct Held {
    stamp: Stamp,
    certificate: Option<Certificate>,
    signing: Result<Opened, SignerUnavailable>,
    published: Published,
}

/// The list of keys for everybody, ready to be sent.
#[derive(Clone)]
pub struct Published {
    /// JSON of [`PublishedKeys`].
    pub document: Bytes,
    /// Names exactly these bytes.
    pub etag: String,
}

/// All keys that are published, the oldest first.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PublishedKeys {
    /// The keys.
    pub keys: Vec<PublishedKey>,
    /// Hours for which a key is published before it signs.
    pub publish_hours: u16,
}

/// A published key.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PublishedKey {
    /// Its name.
    pub id: String,
    /// `next`, `current` or `retired`.
    pub state: State,
    /// What it signs with.
    #[schema(value_type = String)]
    pub suite: Suite,
    /// SHA-256 of its certificate.
    #[schema(value_type = String)]
    pub sha256: Sha256Digest,
    /// Since when it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub published_at: Option<Timestamp>,
    /// Since when it signs, or signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub current_from: Option<Timestamp>,
    /// Since when it signs no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub retired_at: Option<Timestamp>,
    /// Start of the certificate's validity.
    #[schema(value_type = String)]
    pub not_before: Timestamp,
    /// Its end.
    #[schema(value_type = String)]
    pub not_after: Timestamp,
    /// Its certificates, PEM, its own first.
    pub certificates: String,
}

/// The keys of a running hub.
pub struct Keys {
    places: Places,
    held: RwLock<Arc<Held>>,
    watcher: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Keys {
    /// Reads the keys. A key that cannot be opened now is no error: [`Self::signer`] says it.
    ///
    /// # Errors
    /// `File` or `Content` when the settings, the book or the files of `[service]` cannot be used at all.
    pub fn open(config: &Config) -> Result<Arc<Self>, ConfigError> {
        let places = Places::of(config);
        let held = read(&places, None)?;
        if let Err(error) = &held.signing
            && *error != SignerUnavailable::NotConfigured
        {
            tracing::error!(error.code = error.code(), error = %error, "the hub cannot sign");
        }
        let held = RwLock::new(Arc::new(held));
        Ok(Arc::new(Self { places, held, watcher: Mutex::default() }))
    }

    fn held(&self) -> Arc<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key that signs. Whoever has it may finish with it after another has become current.
    ///
    /// # Errors
    /// See [`SignerUnavailable`].
    pub fn signer(&self, now: Timestamp) -> Result<Arc<SigningIdentity>, SignerUnavailable> {
        let held = self.held();
        let identity = held.signing.as_ref().map_err(Clone::clone)?.identity.clone();
        in_time(identity.certificate(), now)?;
        Ok(identity)
    }

    /// Why a signature failed just now, if the token is to blame.
    #[must_use]
    pub fn trouble(&self) -> Option<TokenError> {
        let held = self.held();
        held.signing.as_ref().ok()?.watched.as_ref()?.trouble()
    }

    /// The certificate of the current key, also while the key itself cannot be reached.
    #[must_use]
    pub fn certificate(&self) -> Option<Sha256Digest> {
        self.held().certificate.as_ref().map(Certificate::sha256)
    }

    /// The end of the current certificate.
    #[must_use]
    pub fn certificate_ends(&self) -> Option<Timestamp> {
        self.held().certificate.as_ref().map(Certificate::not_after)
    }

    /// Whether the hub can sign.
    ///
    /// # Errors
    /// See [`SignerUnavailable`].
    pub fn health(&self, now: Timestamp) -> Result<(), SignerUnavailable> {
        self.signer(now)?;
        self.trouble().map_or(Ok(()), |trouble| Err(trouble.into()))
    }

    /// The list for everybody.
    #[must_use]
    pub fn published(&self) -> Published {
        self.held().published.clone()
    }

    /// Looks twice a second whether something changed. Must be called inside a tokio runtime.
    pub fn watch(self: &Arc<Self>) {
        if self.places.watched_files().is_empty() {
            return;
        }
        let keys = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            let mut rhythm = Rhythm::default();
            let mut looks = tokio::time::interval(BETWEEN_LOOKS);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                let Some(keys) = keys.upgrade() else { return };
                let tended = tokio::task::spawn_blocking(move || {
                    keys.tend(&mut rhythm);
                    rhythm
                });
                rhythm = tended.await.unwrap_or_default();
            }
        });
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Stops looking.
    pub fn stop(&self) {
        if let Some(task) = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// One look: reads again what changed, tries again what failed, and asks the token whether it is there.
    fn tend(&self, rhythm: &mut Rhythm) {
        let held = self.held();
        if self.places.stamp() != held.stamp {
            rhythm.again();
            return self.read_again(&held);
        }
        match &held.signing {
            Err(SignerUnavailable::Token(_)) if rhythm.is_due() => self.read_again(&held),
            Ok(Opened { watched: Some(watched), .. }) => {
                let trouble = watched.trouble();
                if rhythm.is_due() {
                    watched.look();
                }
                if trouble.is_some() != watched.trouble().is_some() {
                    rhythm.again();
                }
            }
            _ => {}
        }
    }

    fn read_again(&self, held: &Held) {
        let new = match read(&self.places, Some(held)) {
            Ok(new) => new,
            Err(error) => {
                tracing::warn!(error = %error, "the keys stay as they were");
                // What was looked at is not looked at again until it changes.
                Held {
                    stamp: self.places.stamp(),
                    certificate: held.certificate.clone(),
                    signing: held.signing.clone(),
                    published: held.published.clone(),
                }
            }
        };
        match (&held.signing, &new.signing) {
            (Err(old), Err(error)) if old == error => {}
            (_, Err(error)) => {
                tracing::error!(error.code = error.code(), error = %error, "the hub cannot sign");
            }
            (Ok(old), Ok(new)) if Arc::ptr_eq(&old.identity, &new.identity) => {}
            (_, Ok(opened)) => {
                let digest = opened.identity.certificate().sha256();
                tracing::info!(certificate.sha256 = %digest, "the hub signs with this key");
            }
        }
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}

/// From one look at the files to the next: a change is to be seen within two seconds on a busy machine too.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// How often a token is asked: every 2 seconds first, then less and less, at most every 16. Counted in looks.
#[derive(Default)]
struct Rhythm {
    pause: u8,
    left: u8,
}

impl Rhythm {
    fn is_due(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.pause = (self.pause * 2).clamp(4, 32);
        self.left = self.pause - 1;
        true
    }

    fn again(&mut self) {
        *self = Self::default();
    }
}

fn in_time(certificate: &Certificate, now: Timestamp) -> Result<(), SignerUnavailable> {
    if now > certificate.not_after() {
        Err(SignerUnavailable::CertificateEnded(certificate.not_after()))
    } else if now < certificate.not_before() {
        Err(SignerUnavailable::CertificateNotYet(certificate.not_before()))
    } else {
        Ok(())
    }
}

/// Reads everything. An open key that is still the current one stays open.
fn read(places: &Places, before: Option<&Held>) -> Result<Held, ConfigError> {
    let stamp = places.stamp();
    let mut keys = Vec::new();
    let mut certificate = None;
    let mut signing = Err(match places.folder {
        Some(_) => SignerUnavailable::NoKey,
        None => SignerUnavailable::NotConfigured,
    });
    let book = match &places.folder {
        Some(folder) => {
            folder.book().map_err(|error| config::content("keys.folder", folder.path(), error))?
        }
        None => Book::default(),
    };
    // The key of `[service]` signs until a key of the book did: a retired key never comes back.
    let superseded =
        book.keys().iter().filter_map(|key| key.current.as_ref()).map(|act| act.at).min();
    if let Some(files) = &places.service {
        match (places.of_service(files), superseded) {
            (Ok((chain, opened)), None) => {
                keys.extend(show_service(&chain, None));
                certificate = chain.into_iter().next();
                signing = opened;
            }
            (Err(error), None) => return Err(error),
            (Ok((chain, _)), Some(at)) => keys.extend(show_service(&chain, Some(at))),
            // It signs no more, and its files may go.
            (Err(_), Some(_)) => {}
        }
    }
    for key in book.keys().iter().filter(|key| key.certificate.is_some()) {
        let Some(folder) = &places.folder else { break };
        let chain = match folder.chain(key) {
            Ok(chain) => chain,
            Err(error) => {
                tracing::error!(key.id = %key.id, error = %error, "a key's certificates are not published");
                if key.state == State::Current {
                    signing = Err(key_file(&error));
                }
                continue;
            }
        };
        keys.extend(show(key, &chain));
        if key.state == State::Current {
            certificate = chain.first().cloned();
            let open = before.and_then(|held| held.signing.as_ref().ok());
            let same =
                open.filter(|open| Some(open.identity.certificate().sha256()) == key.certificate);
            signing = match same {
                Some(open) => Ok(open.clone()),
                None => places.identity(key, chain),
            };
        }
    }
    let document = PublishedKeys { keys, publish_hours: places.publish_hours };
    let document: Bytes =
        serde_json::to_vec(&document).expect("plain structures with text keys serialise").into();
    let etag = format!("\"{}\"", &certs::sha256(&document).to_string()[..32]);
    Ok(Held { stamp, certificate, signing, published: Published { document, etag } })
}

fn show(key: &Key, chain: &[Certificate]) -> Option<PublishedKey> {
    let own = chain.first()?;
    let at = |act: &Option<book::Act>| act.as_ref().map(|act| act.at);
    Some(PublishedKey {
        id: key.id.to_string(),
        state: key.state,
        suite: key.suite,
        sha256: own.sha256(),
        published_at: at(&key.published),
        current_from: at(&key.current),
        retired_at: at(&key.retired),
        not_before: own.not_before(),
        not_after: own.not_after(),
        certificates: chain.iter().map(Certificate::to_pem).collect(),
    })
}

/// The key that the settings name, under the name `service`.
fn show_service(chain: &[Certificate], retired_at: Option<Timestamp>) -> Option<PublishedKey> {
    use certs::Verifier;
    let own = chain.first()?;
    Some(PublishedKey {
        id: "service".to_owned(),
        state: if retired_at.is_some() { State::Retired } else { State::Current },
        suite: own.public_key().ok()?.suite(),
        sha256: own.sha256(),
        published_at: None,
        current_from: None,
        retired_at,
        not_before: own.not_before(),
        not_after: own.not_after(),
        certificates: chain.iter().map(Certificate::to_pem).collect(),
    })
}
