//! All parts of a running hub, opened together and closed together.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use certs::{SigningIdentity, TrustStore};
use connectors::{CheckedConnector, RunnerHandle, RunnerSettings, casebase};
use indexes::{
    Blobs, IndexKey, LicenceStore, RocksOptions, RocksStore, SearchFollower, SearchIndex,
};
use jiff::SignedDuration;
use licence::{Calendar, Catalogue, CreditCode, Matters, RegionTable};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::{self, Config, ConfigError},
    connector_ops,
    inbound::{Inbound, Sources},
    keys::{Keys, SignerUnavailable},
    login::{Node, NodeKind, Organisations, oidc, sessions::Limits},
    policy::Policies,
    reuse::courier::{Courier, Couriers},
    reuse::mandates::{Mandates, read_mandates},
    stamps::Stamps,
    sweep::Sweep,
    trust,
};

/// The parts of a hub.
pub struct Hub {
    /// Where time comes from.
    pub clock: Clock,
    /// Licences, grants and both logs.
    pub store: Arc<dyn LicenceStore>,
    /// The same store, for what only RocksDB offers (integrity).
    pub rocks: Arc<RocksStore>,
    /// Files of licences.
    pub blobs: Blobs,
    /// Full text.
    pub search: SearchIndex,
    /// Licence types.
    pub catalogue: Catalogue,
    /// Matters.
    pub matters: Matters,
    /// Who may do what.
    pub policies: Policies,
    /// Turns holders into tokens.
    pub index_key: IndexKey,
    /// Regions and the years they were in force.
    pub regions: &'static RegionTable,
    /// Names of departments, for pages.
    pub departments: BTreeMap<CreditCode, String>,
    /// The tree that bounds what clerks may do.
    pub organisations: Organisations,
    /// Which duty allows whom to look without being asked.
    pub mandates: Mandates,
    /// Where people log in; `None` without `[login]` in the settings.
    pub login: Option<oidc::Provider>,
    /// Working days.
    pub calendar: Calendar,
    /// The keys that packages and promises are signed with.
    pub keys: Arc<Keys>,
    /// Counterparts that licences are pushed to, by name.
    pub connectors: BTreeMap<String, RunnerHandle>,
    /// What other hubs hand over.
    pub exchange: crate::exchange::Exchange,
    couriers: std::sync::OnceLock<Couriers>,
    inbound: std::sync::OnceLock<Sources>,
    sweep: std::sync::OnceLock<Sweep>,
    stamps: Option<Stamps>,
    /// Hours for which a grant opens content.
    pub grant_hours: u16,
    /// Idempotency keys whose requests are being worked on.
    pub in_progress: std::sync::Mutex<std::collections::HashSet<Vec<u8>>>,
    /// Connectors of which both sides are being compared.
    pub(crate) reconciling: std::sync::Mutex<std::collections::HashSet<String>>,
    /// Snapshots of the registry that are being sent.
    pub snapshots: crate::http::snapshot::UnderWay,
    trust: trust::Keeper,
    watch: std::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
    stop_watching: CancellationToken,
    follower: std::sync::Mutex<Option<SearchFollower>>,
    settings: Config,
}

/// Why a hub could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The settings or a file they name.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error("the store in {path} cannot be opened: {source}")]
    Store {
        /// Folder of the store.
        path: PathBuf,
        /// Why.
        source: indexes::StoreError,
    },
    /// The matters.
    #[error(transparent)]
    Matters(#[from] crate::matters::KeepError),
    /// The index key is another than the one the store was filled with.
    #[error(
        "the index key in {path} is not the one that this store was filled with: every holder \
         would seem to have no licences; restore the key from its safe copy"
    )]
    IndexKey {
        /// The key's file.
        path: PathBuf,
    },
    /// The files of licences.
    #[error("the files in {path} cannot be opened: {source}")]
    Files {
        /// Their folder.
        path: PathBuf,
        /// Why.
        source: indexes::BlobError,
    },
    /// The full text.
    #[error("the search index in {path} cannot be opened: {source}")]
    Search {
        /// Folder of the index.
        path: PathBuf,
        /// Why.
        source: indexes::SearchError,
    },
    /// A connector's settings.
    #[error(transparent)]
    Connector(#[from] connectors::SettingsError),
    /// The settings of connectors.
    #[error("{}", said(.0))]
    Connectors(Vec<connectors::SettingsError>),
}

fn said(errors: &[connectors::SettingsError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// How the store is opened.
#[must_use]
pub fn store_options(config: &Config) -> RocksOptions {
    RocksOptions { block_cache: config.cache_mib << 20, ..RocksOptions::default() }
}

/// What connectors want to know of the licence types.
fn connector_types(catalogue: &Catalogue) -> connectors::Types {
    let terms = |entry: &licence::CatalogueEntry| connectors::TypeTerms {
        name: entry.name.clone(),
        sharing: entry.sharing,
    };
    catalogue.entries().map(|entry| (entry.code, terms(entry))).collect()
}

/// Folders under `data`.
#[must_use]
pub fn folders(config: &Config) -> Folders {
    Folders {
        store: config.data.join("store"),
        search: config.data.join("search"),
        blobs: config.data.join("files"),
    }
}

/// Where the parts live under the data folder.
#[derive(Clone, Debug)]
pub struct Folders {
    /// RocksDB.
    pub store: PathBuf,
    /// Tantivy.
    pub search: PathBuf,
    /// Files, by digest.
    pub blobs: PathBuf,
}

impl Hub {
    /// Opens all parts and starts the followers. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The first part that cannot be opened, with its path or settings key.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>, OpenError> {
        let folders = folders(&config);
        let index_key = read_index_key(&config)?;
        let catalogue = read_catalogue(&config)?;
        let matters = read_matters(&config, &catalogue)?;
        let policies = read_policies(&config)?;
        let trust = trust::Keeper::open(&config, clock.now())?;
        connectors::check_all(&config.connectors).map_err(OpenError::Connectors)?;
        let sources = connectors::inbound::check_all(&config.inbound);
        let sources = sources.map_err(OpenError::Connectors)?;
        let departments = read_departments(&config)?;
        let organisations = read_organisations(&config)?;
        let mandates = read_mandates(&config)?;
        let login = oidc::Provider::open(&config)?;
        let calendar = read_calendar(&config)?;
        let keys = Keys::open(&config)?;
        let stamps = Stamps::open(&config)?;

        std::fs::create_dir_all(&config.data).map_err(|source| ConfigError::File {
            key: "data",
            path: config.data.clone(),
            source,
        })?;
        let rocks = RocksStore::open(&folders.store, store_options(&config))
            .map_err(|source| OpenError::Store { path: folders.store.clone(), source })?;
        let rocks = Arc::new(rocks);
        let store: Arc<dyn LicenceStore> = rocks.clone();
        check_index_key(&*store, &index_key)
            .await
            .map_err(|source| OpenError::Store { path: folders.store.clone(), source })?
            .then_some(())
            .ok_or_else(|| OpenError::IndexKey { path: config.index_key.clone() })?;
        let matters = crate::matters::keep(&*store, matters, &config.matters).await?;
        let blobs = Blobs::open(&folders.blobs)
            .map_err(|source| OpenError::Files { path: folders.blobs.clone(), source })?;
        let search = SearchIndex::open(&folders.search)
            .map_err(|source| OpenError::Search { path: folders.search.clone(), source })?;
        let shutdown = CancellationToken::new();
        let follower = SearchFollower::spawn(store.clone(), search.clone(), shutdown);
        let types = connector_types(&catalogue);
        let mut runners = BTreeMap::new();
        let mut counterparts = Vec::new();
        for settings in &config.connectors {
            let checked = settings.check()?;
            if let CheckedConnector::CaseBase(cases) = checked.connector {
                counterparts.push((cases, checked.runner));
                continue;
            }
            runners.insert(settings.name().to_owned(), settings.start_with(store.clone(), &types)?);
        }
        let hub = Arc::new(Self {
            clock,
            store,
            rocks,
            blobs,
            search,
            catalogue,
            matters,
            policies,
            index_key,
            regions: RegionTable::builtin(),
            departments,
            organisations,
            mandates,
            login,
            calendar,
            keys,
            connectors: runners,
            exchange: crate::exchange::Exchange::default(),
            couriers: std::sync::OnceLock::new(),
            inbound: std::sync::OnceLock::new(),
            sweep: std::sync::OnceLock::new(),
            stamps,
            grant_hours: config.grant_hours,
            in_progress: std::sync::Mutex::default(),
            reconciling: std::sync::Mutex::default(),
            snapshots: crate::http::snapshot::UnderWay::default(),
            trust,
            watch: std::sync::Mutex::default(),
            stop_watching: CancellationToken::new(),
            follower: std::sync::Mutex::new(Some(follower)),
            settings: config,
        });
        hub.start_couriers(counterparts);
        let start = |source: connectors::inbound::Checked| {
            (source.name.clone(), Inbound::start(&hub, source))
        };
        let _ = hub.inbound.set(sources.into_iter().map(start).collect());
        if let Some(stamps) = &hub.stamps {
            stamps.start(&hub);
        }
        let watch = trust::Keeper::watch(&hub, hub.stop_watching.clone());
        *hub.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        hub.keys.watch();
        let _ = hub.sweep.set(Sweep::start(&hub));
        connector_ops::schedule::start(&hub);
        Ok(hub)
    }

    fn start_couriers(self: &Arc<Self>, counterparts: Vec<(casebase::Settings, RunnerSettings)>) {
        let couriers = counterparts.into_iter().map(|(cases, settings)| {
            let courier = Courier::start(self, casebase::CaseBase::new(cases), settings);
            (courier.name().to_owned(), courier)
        });
        let _ = self.couriers.set(couriers.collect());
    }

    /// The key that signs packages and promises, with its certificates.
    ///
    /// # Errors
    /// Why there is none now.
    pub fn signer(&self) -> Result<Arc<SigningIdentity>, SignerUnavailable> {
        self.keys.signer(self.clock.now())
    }

    /// Counterparts that cases are handed to, by name.
    #[must_use]
    pub fn couriers(&self) -> &Couriers {
        self.couriers.get_or_init(Couriers::new)
    }

    /// The settings of counterparts, files by their full paths.
    pub(crate) fn connector_settings(&self) -> &[connectors::ConnectorSettings] {
        &self.settings.connectors
    }

    /// Where rows are fetched from, by name.
    #[must_use]
    pub fn inbound(&self) -> &Sources {
        self.inbound.get_or_init(Sources::new)
    }

    /// The sweep that tells the registry log what changed anchors and lists mean.
    #[must_use]
    pub fn sweep(&self) -> Option<&Sweep> {
        self.sweep.get()
    }

    /// What has signatures time-stamped; `None` without `[time_stamps]` in the settings.
    #[must_use]
    pub fn stamps(&self) -> Option<&Stamps> {
        self.stamps.as_ref()
    }

    /// Anchors and revocation lists as last read.
    #[must_use]
    pub fn trust(&self) -> Arc<TrustStore> {
        self.trust.store()
    }

    /// What the trust store is made of, and what there is to tell of it.
    #[must_use]
    pub fn trust_keeper(&self) -> &trust::Keeper {
        &self.trust
    }

    /// Reads anchors and revocation lists again, so that a new list counts from the next read on; by itself
    /// the hub looks every half second whether one changed. What cannot be read leaves the old ones in
    /// place.
    ///
    /// # Errors
    /// The file of the settings that cannot be used.
    pub fn reload_trust(&self) -> Result<(), ConfigError> {
        self.trust.read_again(self.clock.now(), true).map(|_| ())
    }

    /// The settings this hub was opened with.
    #[must_use]
    pub fn settings(&self) -> &Config {
        &self.settings
    }

    /// How long sessions last.
    #[must_use]
    pub fn session_limits(&self) -> Limits {
        self.settings.login.as_ref().map_or_else(Limits::default, |login| Limits {
            idle: SignedDuration::from_mins(i64::from(login.idle_minutes)),
            absolute: SignedDuration::from_hours(i64::from(login.session_hours)),
        })
    }

    /// A department's name if it is known, from the list of departments or the tree, else its credit code.
    #[must_use]
    pub fn department_name<'a>(&'a self, code: &'a CreditCode) -> &'a str {
        let mut nodes = self.organisations.all();
        let in_tree = || {
            let is_it =
                |node: &&Node| node.kind == NodeKind::Department && node.department == Some(*code);
            nodes.find(is_it).map(|node| node.name.as_str())
        };
        self.departments.get(code).map(String::as_str).or_else(in_tree).unwrap_or(code.as_str())
    }

    /// Told when the hub closes.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop_watching.clone()
    }

    /// Stops the followers and waits for them.
    pub async fn close(&self) {
        self.stop_watching.cancel();
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(watch) = watch {
            let _ = watch.await;
        }
        self.keys.stop();
        if let Some(stamps) = &self.stamps {
            stamps.stop().await;
        }
        for source in self.inbound().values() {
            source.stop().await;
        }
        for courier in self.couriers().values() {
            courier.stop().await;
        }
        for runner in self.connectors.values() {
            runner.stop().await;
        }
        if let Some(sweep) = self.sweep() {
            sweep.stop().await;
        }
        let follower = self.follower.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(follower) = follower {
            follower.stop().await;
        }
    }

    /// Closes, and returns when the store is closed too: the folder is free then, and no thread is in
    /// RocksDB any more. The end of the process must wait for that, since RocksDB's own statics go
    /// with it, and a thread that is still closing the store then aborts the process.
    pub async fn shut(self: Arc<Self>) {
        self.close().await;
        let rocks = self.rocks.clone();
        drop(self);
        // The server's workers let go a moment after they have ended.
        for _ in 0..2_000 {
            if Arc::strong_count(&rocks) == 1 {
                return; // the last one closes the store, here
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        tracing::warn!("a part of the hub did not let go of the store");
    }
}

/// Whether the key is the one that the store knows; an empty store learns it. What is kept is the
/// token of a holder that cannot exist, from which the key does not follow.
async fn check_index_key(
    store: &dyn LicenceStore,
    key: &IndexKey,
) -> Result<bool, indexes::StoreError> {
    let mark = format!("index-key-{}", key.check_value());
    if store.flag(&mark).await? {
        return Ok(true);
    }
    if store.flag("index-key-known").await? {
        return Ok(false);
    }
    store.set_flag(&mark, true).await?;
    store.set_flag("index-key-known", true).await?;
    Ok(true)
}

/// Reads the index key: 32 bytes as 64 hex digits.
///
/// # Errors
/// `File`, or `Content` when it is anything else.
pub fn read_index_key(config: &Config) -> Result<IndexKey, ConfigError> {
    let text = config::read_text("index_key", &config.index_key)?;
    hex::decode(text.trim())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .map(IndexKey::new)
        .ok_or_else(|| {
            config::content("index_key", &config.index_key, "64 hex digits are expected")
        })
}

/// Reads the catalogue.
///
/// # Errors
/// `File` or `Content`.
pub fn read_catalogue(config: &Config) -> Result<Catalogue, ConfigError> {
    let bytes = config::read_file("catalogue", &config.catalogue)?;
    Catalogue::parse(&bytes).map_err(|error| config::content("catalogue", &config.catalogue, error))
}

/// Reads the matters, and checks them against the catalogue.
///
/// # Errors
/// `File` or `Content`.
pub fn read_matters(config: &Config, catalogue: &Catalogue) -> Result<Matters, ConfigError> {
    let wrong = |error| config::content("matters", &config.matters, error);
    let bytes = config::read_file("matters", &config.matters)?;
    let matters = Matters::parse(&bytes).map_err(wrong)?;
    matters.check(catalogue).map_err(wrong)?;
    Ok(matters)
}

/// Reads the policies.
///
/// # Errors
/// `File` or `Content`.
pub fn read_policies(config: &Config) -> Result<Policies, ConfigError> {
    let text = config::read_text("policies", &config.policies)?;
    Policies::parse(&text).map_err(|error| config::content("policies", &config.policies, error))
}

fn read_departments(config: &Config) -> Result<BTreeMap<CreditCode, String>, ConfigError> {
    let Some(path) = &config.departments else {
        return Ok(BTreeMap::new());
    };
    let bytes = config::read_file("departments", path)?;
    serde_json::from_slice(&bytes).map_err(|error| config::content("departments", path, error))
}

/// Reads the tree of organisations.
///
/// # Errors
/// `File` or `Content`.
pub fn read_organisations(config: &Config) -> Result<Organisations, ConfigError> {
    let Some(path) = &config.organisations else {
        return Ok(Organisations::default());
    };
    let bytes = config::read_file("organisations", path)?;
    Organisations::parse(&bytes).map_err(|error| config::content("organisations", path, error))
}

/// Reads the calendar of working days; the built-in one unless the settings name another.
///
/// # Errors
/// `File` or `Content`.
pub fn read_calendar(config: &Config) -> Result<Calendar, ConfigError> {
    let Some(path) = &config.calendar else {
        return Ok(Calendar::builtin().clone());
    };
    let bytes = config::read_file("calendar", path)?;
    Calendar::parse(&bytes).map_err(|error| config::content("calendar", path, error))
}
