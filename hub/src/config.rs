//! The settings file: raw as written, checked as used.
//!
//! `hub serve --config F` reads TOML; environment variables named `YIHAO_HUB_…` override single
//! values (`YIHAO_HUB_TLS__KEY` for `tls.key`). Relative paths count from the settings file's folder.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use serde::Deserialize;

/// Settings as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder for everything the hub stores.
    pub data: PathBuf,
    /// Where HTTPS is served.
    pub listen: SocketAddr,
    /// Where plain-HTTP pages are served: demo mode only, loopback only.
    #[serde(default)]
    pub pages_listen: Option<SocketAddr>,
    /// Demo mode: pages over plain HTTP on the loopback, and an OpenID provider of our own.
    #[serde(default)]
    pub demo: bool,
    /// Server certificate and who may connect.
    pub tls: Tls,
    /// Whose licences are believed.
    #[serde(default)]
    pub trust: Trust,
    /// The catalogue of licence types, JSON.
    pub catalogue: PathBuf,
    /// The matters, JSON.
    pub matters: PathBuf,
    /// The Cedar policies.
    pub policies: PathBuf,
    /// The 32-byte index key, hex; keep it off the disk that holds `data`.
    pub index_key: PathBuf,
    /// Names of departments for pages, JSON; may be left out.
    #[serde(default)]
    pub departments: Option<PathBuf>,
    /// The tree of organisations, JSON; without it nobody is a clerk.
    #[serde(default)]
    pub organisations: Option<PathBuf>,
    /// Who may look for which mandated duty, JSON; without it no pull on the basis `duty` is answered.
    #[serde(default)]
    pub mandates: Option<PathBuf>,
    /// Working days and holidays, JSON; without it the built-in calendar.
    #[serde(default)]
    pub calendar: Option<PathBuf>,
    /// Working days within which an issuer answers a disputed field.
    #[serde(default = "default_corrections_days")]
    pub corrections_days: u16,
    /// How people log in; without it only departments' systems come in.
    #[serde(default)]
    pub login: Option<Login>,
    /// Who runs this hub, and the key it signs packages and promises with.
    #[serde(default)]
    pub service: Option<Service>,
    /// Where the service's keys are kept; without it the one that `service` names is all there is.
    #[serde(default)]
    pub keys: Option<Keys>,
    /// Who puts time-stamps on signatures; without it nothing is stamped.
    #[serde(default)]
    pub time_stamps: Option<TimeStamps>,
    /// Files that people hand in.
    #[serde(default)]
    pub materials: Materials,
    /// Hours for which a grant opens content.
    #[serde(default = "default_grant_hours")]
    pub grant_hours: u16,
    /// Worker threads for HTTP; as many as cores when left out.
    #[serde(default)]
    pub workers: Option<usize>,
    /// MiB of memory for the store's block cache.
    #[serde(default = "default_cache_mib")]
    pub cache_mib: usize,
    /// Counterparts, each with its own settings.
    #[serde(default)]
    pub connectors: Vec<connectors::ConnectorSettings>,
    /// Departments whose rows are fetched, each with its own settings.
    #[serde(default)]
    pub inbound: Vec<connectors::ConnectorSettings>,
}

fn default_grant_hours() -> u16 {
    24
}

fn default_corrections_days() -> u16 {
    5
}

fn default_cache_mib() -> usize {
    256
}

/// The OpenID Connect provider, and what its claims mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The issuer's address; its discovery document is under it.
    pub issuer: String,
    /// This hub's name there.
    pub client_id: String,
    /// File with the client secret.
    pub client_secret: PathBuf,
    /// The address at which browsers reach this hub: scheme, host, port.
    pub address: String,
    /// PEM anchors of the provider's server certificate; without it those of the system.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Further scopes to ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Names of the claims.
    #[serde(default)]
    pub claims: Claims,
    /// What the values of the roles claim mean: value at the provider → role here.
    #[serde(default)]
    pub roles: std::collections::BTreeMap<String, crate::login::Role>,
    /// Minutes without a request after which a session ends.
    #[serde(default = "default_idle_minutes")]
    pub idle_minutes: u16,
    /// Hours after which a session ends in any case.
    #[serde(default = "default_session_hours")]
    pub session_hours: u16,
}

impl Login {
    /// Whether nothing secret would travel in the clear.
    fn check(&self, demo: bool) -> Result<(), &'static str> {
        use openidconnect::url::{Host, Origin, Url};
        let safe = |url: &Url| match url.host() {
            Some(Host::Ipv4(ip)) if demo && ip.is_loopback() => true,
            Some(Host::Domain("localhost")) if demo => true,
            Some(_) => url.scheme() == "https",
            None => false,
        };
        let address = Url::parse(&self.address).ok().filter(safe);
        let origin = address.map(|address| address.origin());
        if !origin.is_some_and(|origin| {
            matches!(origin, Origin::Tuple(..)) && origin.ascii_serialization() == self.address
        }) {
            return Err(
                "login.address is an origin, https://host or https://host:port, in small letters and without \
                 a path; plain http is for demo mode on the loopback only",
            );
        }
        if !Url::parse(&self.issuer).ok().is_some_and(|issuer| safe(&issuer)) {
            return Err(
                "login.issuer is an https address; plain http is for demo mode on the loopback only",
            );
        }
        if self.idle_minutes == 0 || self.session_hours == 0 {
            return Err("login.idle_minutes and login.session_hours are at least 1");
        }
        Ok(())
    }
}

fn default_idle_minutes() -> u16 {
    30
}

fn default_session_hours() -> u16 {
    10
}

/// Names of the claims that an account is read from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// What the person is called.
    pub name: String,
    /// 持证主体代码类型 of the person's own number; 111 where the claim is missing.
    pub holder_kind: String,
    /// The person's own number.
    pub holder_number: String,
    /// Credit codes of the organisations the person represents: a list.
    pub represents: String,
    /// The roles: a text or a list.
    pub roles: String,
    /// Where a clerk works: the code of a node.
    pub organisation: String,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            name: "name".to_owned(),
            holder_kind: "holder_kind".to_owned(),
            holder_number: "holder_number".to_owned(),
            represents: "represents".to_owned(),
            roles: "roles".to_owned(),
            organisation: "organisation".to_owned(),
        }
    }
}

/// Who runs this hub.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its credit code: the caller in the access log when a holder looks at what is their own.
    pub organisation: licence::CreditCode,
    /// Its name.
    pub name: String,
    /// PEM chain of the key that signs packages and promises; may be left out beside `[keys]`.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PEM key (PKCS#8, encrypted or not).
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// Where the service's keys are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Folder of `keys.json`, certificates and encrypted keys; `keys` under `data` when left out.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// File with the passphrase of encrypted keys; without it the environment variable
    /// `YIHAO_HUB_KEY_PASSPHRASE`.
    #[serde(default)]
    pub passphrase_file: Option<PathBuf>,
    /// Hours for which a key is published before it signs.
    #[serde(default = "default_publish_hours")]
    pub publish_hours: u16,
    /// The module that new keys are made in; without it they are files.
    #[serde(default)]
    pub pkcs11: Option<Pkcs11>,
}

fn default_publish_hours() -> u16 {
    24
}

/// A hardware module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11 {
    /// The vendor's library.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// File with the user's PIN; without it the environment variable `YIHAO_HUB_KEY_PIN`.
    #[serde(default)]
    pub pin_file: Option<PathBuf>,
}

/// Who puts time-stamps (RFC 3161) on signatures.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeStamps {
    /// The authorities, tried in this order.
    pub authorities: Vec<TimeStampAuthority>,
    /// PEM files with anchors that the authorities' certificates lead to; more may be in the trust folder.
    #[serde(default)]
    pub anchors: Vec<PathBuf>,
    /// Whether what was taken in before time-stamps were first set up is stamped too.
    #[serde(default)]
    pub include_existing: bool,
    /// Seconds within which an authority answers.
    #[serde(default = "default_stamp_timeout")]
    pub timeout_seconds: u16,
    /// The longest pause before an authority that fails is asked again; the first is one second.
    #[serde(default = "default_stamp_pause")]
    pub longest_pause_seconds: u16,
}

fn default_stamp_timeout() -> u16 {
    10
}

fn default_stamp_pause() -> u16 {
    300
}

/// A time-stamp authority.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeStampAuthority {
    /// What it is called: in answers, pages, log lines and metrics.
    pub name: String,
    /// Where requests are posted.
    pub address: String,
    /// The policy asked for, in dots; without it the authority's own.
    #[serde(default)]
    pub policy: Option<String>,
    /// SHA-256 of its certificate, where no other will do.
    #[serde(default)]
    pub certificate_sha256: Option<licence::Sha256Digest>,
}

/// Files that people hand in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Materials {
    /// Most bytes of one file.
    pub most_bytes: u64,
    /// The socket of clamd; without it files are not scanned, and say so.
    pub clamd: Option<PathBuf>,
}

impl Default for Materials {
    fn default() -> Self {
        Self { most_bytes: 500 << 20, clamd: None }
    }
}

/// Server certificate and client anchors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM key (PKCS#8).
    pub key: PathBuf,
    /// PEM anchors that departments' client certificates lead to.
    pub client_anchors: PathBuf,
    /// Revocation lists for client certificates, PEM.
    #[serde(default)]
    pub client_crls: Vec<PathBuf>,
}

/// Anchors and revocation lists.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// Folder that `hub anchors`, `hub crl` and the scheduled sources write to; `trust` below `data` when left
    /// out.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// PEM files with the anchors that issuers' certificates lead to, beside those of the folder.
    #[serde(default)]
    pub licence_anchors: Vec<PathBuf>,
    /// PEM files with intermediate certificates.
    #[serde(default)]
    pub intermediates: Vec<PathBuf>,
    /// Revocation lists, PEM or DER; read again within two seconds of a change.
    #[serde(default)]
    pub crls: Vec<PathBuf>,
    /// Which signatures outlive the revocation of their signer's certificate.
    #[serde(default)]
    pub revoked_signers: RevokedSigners,
    /// What happens to a licence with a file that is sealed or signed by somebody who is not trusted.
    #[serde(default)]
    pub face_files: FaceFiles,
    /// Where revocation lists are fetched.
    #[serde(default)]
    pub crl_sources: Vec<Source>,
    /// Responders that are asked about the certificates in use (OCSP, RFC 6960).
    #[serde(default)]
    pub ocsp: Vec<Source>,
}

/// What proves that a signature is older than the revocation of a certificate, or than the end of an anchor's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokedSigners {
    /// A trusted time-stamp; else the time at which the registry log took the licence in.
    #[default]
    TimeStampOrLog,
    /// A trusted time-stamp alone.
    TimeStampOnly,
    /// Nothing: revoked is revoked.
    Never,
}

/// What happens to a licence with a face file whose own signature holds, but whose signer is not trusted. One that was
/// changed after signing is refused in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaceFiles {
    /// It is refused.
    #[default]
    Refuse,
    /// It is taken in; whoever is shown the file is told.
    Record,
}

/// Where something about revocation is fetched. What is fetched is signed, so plain HTTP will do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `http://…` or `https://…`, without a user or password.
    pub address: String,
    /// Minutes from one fetch to the next.
    #[serde(default = "default_source_minutes")]
    pub every_minutes: u32,
    /// Seconds that one answer may take.
    #[serde(default = "default_source_seconds")]
    pub timeout_seconds: u32,
    /// PEM anchors of an `https` server; without it those of the system.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// A responder only: PEM certificate of the authority that it speaks for; for all without it.
    #[serde(default)]
    pub issuer: Option<PathBuf>,
}

impl Source {
    /// Whether it can be asked at all.
    fn check(&self) -> Result<(), &'static str> {
        use openidconnect::url::Url;
        let fits = Url::parse(&self.address).is_ok_and(|url| {
            let plain = url.username().is_empty() && url.password().is_none();
            ["http", "https"].contains(&url.scheme()) && plain && url.host().is_some()
        });
        if !fits {
            return Err("the address of a source under [trust] is http:// or https://, without a \
                        user or password");
        }
        if self.every_minutes == 0 || self.timeout_seconds == 0 {
            return Err("every_minutes and timeout_seconds of a source are at least 1");
        }
        Ok(())
    }
}

fn default_source_minutes() -> u32 {
    60
}

fn default_source_seconds() -> u32 {
    30
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is missing.
    #[error("there is no settings file {0}")]
    Missing(PathBuf),
    /// The file's text is not right.
    #[error("the settings in {path} cannot be used: {said}")]
    Text {
        /// The settings file.
        path: PathBuf,
        /// What is wrong, with the key.
        said: String,
    },
    /// A file that the settings name cannot be read.
    #[error("{key} names {path}, which cannot be read: {source}")]
    File {
        /// The key in the settings.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file was read, but its content is not usable.
    #[error("{key}: {path}: {said}")]
    Content {
        /// The key in the settings.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        said: String,
    },
    /// Pages over plain HTTP would be reachable from elsewhere.
    #[error("pages over plain HTTP are for demo mode on the loopback only; {0} is not")]
    PagesExposed(SocketAddr),
}

impl Config {
    /// Reads the settings file and makes its paths absolute.
    ///
    /// # Errors
    /// `Missing`, `Text` with the key that is wrong, `PagesExposed`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        if !path.is_file() {
            return Err(ConfigError::Missing(path.to_owned()));
        }
        let mut config: Self = Figment::new()
            .merge(Toml::file_exact(path))
            // Two secrets that are no settings: see `keys::secret`.
            .merge(Env::prefixed("YIHAO_HUB_").ignore(&["key_passphrase", "key_pin"]).split("__"))
            .extract()
            .map_err(|error| ConfigError::Text {
                path: path.to_owned(),
                said: error.to_string(),
            })?;
        if let Some(pages) = config.pages_listen
            && !(config.demo && pages.ip().is_loopback())
        {
            return Err(ConfigError::PagesExposed(pages));
        }
        if let Some(login) = &config.login {
            login.check(config.demo).map_err(|said| ConfigError::Text {
                path: path.to_owned(),
                said: said.to_owned(),
            })?;
        }
        config
            .check_keys()
            .map_err(|said| ConfigError::Text { path: path.to_owned(), said: said.to_owned() })?;
        let mut sources = config.trust.crl_sources.iter().chain(&config.trust.ocsp);
        sources
            .try_for_each(Source::check)
            .map_err(|said| ConfigError::Text { path: path.to_owned(), said: said.to_owned() })?;
        let absolute = std::path::absolute(path).map_err(|source| ConfigError::File {
            key: "--config",
            path: path.to_owned(),
            source,
        })?;
        let base = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        config.rebase(&base);
        Ok(config)
    }

    fn check_keys(&self) -> Result<(), &'static str> {
        let simple =
            self.service.as_ref().map(|one| (one.certificate.is_some(), one.key.is_some()));
        match (simple, &self.keys) {
            (Some((true, false) | (false, true)), _) => {
                Err("service.certificate and service.key go together")
            }
            (Some((false, false)), None) => {
                Err("[service] needs certificate and key, or a section [keys] beside it")
            }
            (None, Some(_)) => Err("[keys] needs [service]: it says whose keys they are"),
            _ => Ok(()),
        }
    }

    fn rebase(&mut self, base: &Path) {
        let rebase = |path: &mut PathBuf| *path = base.join(&*path);
        rebase(&mut self.data);
        rebase(&mut self.tls.certificate);
        rebase(&mut self.tls.key);
        rebase(&mut self.tls.client_anchors);
        self.tls.client_crls.iter_mut().for_each(rebase);
        self.trust.folder.iter_mut().for_each(rebase);
        self.trust.licence_anchors.iter_mut().for_each(rebase);
        self.trust.intermediates.iter_mut().for_each(rebase);
        self.trust.crls.iter_mut().for_each(rebase);
        for source in self.trust.crl_sources.iter_mut().chain(&mut self.trust.ocsp) {
            source.ca.iter_mut().chain(&mut source.issuer).for_each(rebase);
        }
        rebase(&mut self.catalogue);
        rebase(&mut self.matters);
        rebase(&mut self.policies);
        rebase(&mut self.index_key);
        self.departments.iter_mut().for_each(rebase);
        self.organisations.iter_mut().for_each(rebase);
        self.mandates.iter_mut().for_each(rebase);
        self.calendar.iter_mut().for_each(rebase);
        if let Some(login) = &mut self.login {
            rebase(&mut login.client_secret);
            login.ca.iter_mut().for_each(rebase);
        }
        if let Some(service) = &mut self.service {
            service.certificate.iter_mut().for_each(rebase);
            service.key.iter_mut().for_each(rebase);
        }
        if let Some(keys) = &mut self.keys {
            keys.folder.iter_mut().for_each(rebase);
            keys.passphrase_file.iter_mut().for_each(rebase);
            if let Some(pkcs11) = &mut keys.pkcs11 {
                rebase(&mut pkcs11.module);
                pkcs11.pin_file.iter_mut().for_each(rebase);
            }
        }
        self.time_stamps.iter_mut().flat_map(|stamps| &mut stamps.anchors).for_each(rebase);
        self.materials.clamd.iter_mut().for_each(rebase);
        self.connectors.iter_mut().for_each(|connector| connector.resolve_paths(base));
        self.inbound.iter_mut().for_each(|source| source.resolve_paths(base));
    }
}

/// Reads a file that the settings name under `key`.
///
/// # Errors
/// `File` with the key, the path and the cause.
pub fn read_file(key: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::File { key, path: path.to_owned(), source })
}

/// Reads a text file that the settings name under `key`.
///
/// # Errors
/// `File` if it cannot be read, `Content` if it is not UTF-8.
pub fn read_text(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(read_file(key, path)?)
        .map_err(|_| content(key, path, "the file is not UTF-8 text"))
}

/// A `Content` error.
pub fn content(key: &'static str, path: &Path, said: impl ToString) -> ConfigError {
    ConfigError::Content { key, path: path.to_owned(), said: said.to_string() }
}
