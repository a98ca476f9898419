//! Settings of connectors: as written, checked, started.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indexes::LicenceStore;
use licence::LicenceTypeCode;
use serde::Deserialize;

use crate::{Connector, Runner, RunnerHandle, RunnerSettings, TypeFilter, frontdb, http};

/// Names of licence types, by code: what counterparts want beside the code.
pub type TypeNames = BTreeMap<LicenceTypeCode, String>;

/// One `[[connectors]]` table of the settings file, as written. [`ConnectorSettings::check`] says what is wrong.
///
/// Times are in milliseconds, sizes in bytes. `Debug` shows name and kind only.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectorSettings {
    /// Lower-case letters, digits and hyphens, a letter first, at most 29. Keys the cursor: renaming sends anew.
    pub name: String,
    /// `frontdb` or `http`.
    pub kind: String,
    /// The licence types that go there, 21 characters each; left out: all.
    pub types: Option<Vec<String>>,
    /// The licence types that do not go there.
    pub except_types: Option<Vec<String>>,
    /// Most records of a batch.
    pub batch: Option<u64>,
    /// Most bytes of licence documents in a batch.
    pub batch_bytes: Option<u64>,
    /// How often the counterpart's replies are read, and how long the feed is waited for at a time.
    pub poll_ms: Option<u64>,
    /// The first pause after a failure.
    pub backoff_min_ms: Option<u64>,
    /// The longest pause after failures.
    pub backoff_max_ms: Option<u64>,
    /// How long a connection may take to come about.
    pub connect_timeout_ms: Option<u64>,
    /// How long a batch may take, from sending to answer.
    pub timeout_ms: Option<u64>,
    /// PEM certificates that the counterpart's certificate must lead to.
    pub ca: Option<PathBuf>,

    /// `frontdb`: a PostgreSQL connection string without a password, in place of host, port, user and database.
    pub connection: Option<String>,
    /// `frontdb`: host name, address, or folder of the Unix socket.
    pub host: Option<String>,
    /// `frontdb`: port, 5432 if left out.
    pub port: Option<u16>,
    /// `frontdb`: user.
    pub user: Option<String>,
    /// `frontdb`: file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// `frontdb`: database.
    pub database: Option<String>,
    /// `frontdb`: schema of the tables, `public` if left out.
    pub schema: Option<String>,
    /// `frontdb`: create the tables if they are missing.
    pub create_tables: Option<bool>,
    /// `frontdb`: the column `data_source`, 1 to 3 characters, `001` if left out.
    pub data_source: Option<String>,
    /// `frontdb`: `iso` (2025-03-01, the default) or `compact` (20250301).
    pub date_form: Option<String>,
    /// `frontdb`: send records and password unencrypted over a network.
    pub danger_plaintext: Option<bool>,

    /// `http`: `https://host[:port][/path]`; `/records` and `/counts` are below it.
    pub url: Option<String>,
    /// `http`: PEM chain of the client certificate, leaf first.
    pub certificate: Option<PathBuf>,
    /// `http`: PEM key of the client certificate (PKCS#8).
    pub key: Option<PathBuf>,
}

impl fmt::Debug for ConnectorSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ConnectorSettings({} {})", self.kind, self.name)
    }
}

/// Settings that can be used, as far as that shows without looking at files and counterparts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSettings {
    /// What the runner needs.
    pub runner: RunnerSettings,
    /// What the connector needs.
    pub connector: CheckedConnector,
}

/// Checked settings of a connector, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckedConnector {
    /// A front-end exchange database.
    FrontDb(frontdb::Settings),
    /// An HTTPS receiver.
    Http(http::Settings),
}

/// One thing that is wrong with a connector's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsProblem {
    /// Not a connector's name.
    #[error("`name` must be 1 to 29 lower-case letters, digits and hyphens, a letter first")]
    Name,
    /// Two connectors with one name would share one cursor.
    #[error("`name` is used by another connector too")]
    NameTaken,
    /// No such kind.
    #[error("`kind` must be `frontdb` or `http`")]
    Kind,
    /// A setting that this kind needs.
    #[error("`{setting}` is missing")]
    Missing {
        /// The key.
        setting: &'static str,
    },
    /// A setting that this kind does not have.
    #[error("`{setting}` is not a setting of kind `{kind}`")]
    NotOfKind {
        /// The key.
        setting: &'static str,
        /// The kind.
        kind: &'static str,
    },
    /// Two settings that say the same thing, or that contradict.
    #[error("`{setting}` cannot stand beside `{beside}`")]
    Beside {
        /// The key.
        setting: &'static str,
        /// The other key.
        beside: &'static str,
    },
    /// A number out of its range.
    #[error("`{setting}` must be {min} to {max}")]
    Range {
        /// The key.
        setting: &'static str,
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
    },
    /// Not a licence type.
    #[error("`{setting}`: entry {position} is not a licence type code")]
    Type {
        /// The key.
        setting: &'static str,
        /// Which entry, from 1.
        position: usize,
    },
    /// A value that does not have the form it must have.
    #[error("`{setting}` must be {form}")]
    Form {
        /// The key.
        setting: &'static str,
        /// The form.
        form: &'static str,
    },
    /// A password belongs into a file of its own.
    #[error("`connection` holds a password: put it into a file and name that in `password_file`")]
    PasswordInConnection,
    /// Records and password would cross a network unencrypted.
    #[error(
        "the exchange database is on another machine: name the certificate authority of its certificate in `ca`, or \
         set `danger_plaintext = true` to send records and password unencrypted"
    )]
    Plaintext,
}

impl SettingsProblem {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name => "connector_name",
            Self::NameTaken => "connector_name_taken",
            Self::Kind => "connector_kind",
            Self::Missing { .. } => "setting_missing",
            Self::NotOfKind { .. } => "setting_not_of_kind",
            Self::Beside { .. } => "settings_contradict",
            Self::Range { .. } => "setting_out_of_range",
            Self::Type { .. } => "setting_no_licence_type",
            Self::Form { .. } => "setting_form",
            Self::PasswordInConnection => "password_in_connection",
            Self::Plaintext => "plaintext_to_other_machine",
        }
    }
}

/// Everything that is wrong with one connector's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The connector's name as written.
    pub name: String,
    /// What is wrong, at least one thing.
    pub problems: Vec<SettingsProblem>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "connector {:?}: ", self.name)?;
        for (position, problem) in self.problems.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

impl SettingsError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        "connector_settings"
    }
}

impl ConnectorSettings {
    /// The name as written; empty if none is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the paths that are relative count from `folder`, the settings file's.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let files = [&mut self.ca, &mut self.password_file, &mut self.certificate, &mut self.key];
        for file in files.into_iter().flatten() {
            *file = folder.join(&*file);
        }
    }

    /// Checks everything that can be checked without looking at files and counterparts.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check(&self) -> Result<CheckedSettings, SettingsError> {
        let mut problems = Vec::new();
        let name = check_name(&self.name, &mut problems);
        let runner = self.check_runner(&mut problems);
        let connector = match self.kind.as_str() {
            "frontdb" => {
                frontdb::Settings::check(self, name, &mut problems).map(CheckedConnector::FrontDb)
            }
            "http" => http::Settings::check(self, name, &mut problems).map(CheckedConnector::Http),
            _ => {
                problems.push(SettingsProblem::Kind);
                None
            }
        };
        match (runner, connector) {
            (Some(runner), Some(connector)) if problems.is_empty() => {
                Ok(CheckedSettings { runner, connector })
            }
            _ => Err(SettingsError { name: self.name.clone(), problems }),
        }
    }

    /// Checks the settings and starts the connector's runner. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// All problems of the settings. That the counterpart is not there is none: the runner's state tells.
    pub fn start(&self, store: Arc<dyn LicenceStore>) -> Result<RunnerHandle, SettingsError> {
        self.start_with(store, &TypeNames::new())
    }

    /// As [`ConnectorSettings::start`], with the names of the licence types for counterparts that want them.
    ///
    /// # Errors
    /// All problems of the settings.
    pub fn start_with(
        &self,
        store: Arc<dyn LicenceStore>,
        names: &TypeNames,
    ) -> Result<RunnerHandle, SettingsError> {
        let checked = self.check()?;
        let connector = checked.connector.open(names);
        Ok(Runner::start(store, connector, checked.runner))
    }

    fn check_runner(&self, problems: &mut Vec<SettingsProblem>) -> Option<RunnerSettings> {
        let default = RunnerSettings::default();
        let before = problems.len();
        let mut range = |setting, value: Option<u64>, default: u64, min, max| {
            let value = value.unwrap_or(default);
            if !(min..=max).contains(&value) {
                problems.push(SettingsProblem::Range { setting, min, max });
            }
            value
        };
        let batch = range("batch", self.batch, default.batch as u64, 1, 10_000);
        let batch_bytes =
            range("batch_bytes", self.batch_bytes, default.batch_bytes as u64, 1, 64 << 20);
        let poll = range("poll_ms", self.poll_ms, millis(default.poll), 10, 3_600_000);
        let min =
            range("backoff_min_ms", self.backoff_min_ms, millis(default.backoff_min), 1, 3_600_000);
        let max = range(
            "backoff_max_ms",
            self.backoff_max_ms,
            millis(default.backoff_max).max(min),
            min.min(86_400_000),
            86_400_000,
        );
        let types = self.check_types(problems);
        (problems.len() == before).then(|| RunnerSettings {
            batch: batch as usize,
            batch_bytes: batch_bytes as usize,
            poll: Duration::from_millis(poll),
            backoff_min: Duration::from_millis(min),
            backoff_max: Duration::from_millis(max),
            types,
        })
    }

    fn check_types(&self, problems: &mut Vec<SettingsProblem>) -> TypeFilter {
        let mut parse = |setting, texts: &[String]| -> BTreeSet<LicenceTypeCode> {
            let mut types = BTreeSet::new();
            for (position, text) in (1..).zip(texts) {
                match text.parse() {
                    Ok(code) => drop(types.insert(code)),
                    Err(_) => problems.push(SettingsProblem::Type { setting, position }),
                }
            }
            types
        };
        match (&self.types, &self.except_types) {
            (None, None) => TypeFilter::All,
            (Some(only), None) => TypeFilter::Only(parse("types", only)),
            (None, Some(except)) => TypeFilter::Except(parse("except_types", except)),
            (Some(only), Some(except)) => {
                parse("types", only);
                parse("except_types", except);
                problems.push(SettingsProblem::Beside { setting: "except_types", beside: "types" });
                TypeFilter::All
            }
        }
    }

    /// The settings of another kind that are given all the same are problems.
    pub(crate) fn refuse_others(&self, kind: &'static str, problems: &mut Vec<SettingsProblem>) {
        let frontdb = [
            ("connection", self.connection.is_some()),
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
            ("database", self.database.is_some()),
            ("schema", self.schema.is_some()),
            ("create_tables", self.create_tables.is_some()),
            ("data_source", self.data_source.is_some()),
            ("date_form", self.date_form.is_some()),
            ("danger_plaintext", self.danger_plaintext.is_some()),
        ];
        let http = [
            ("url", self.url.is_some()),
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
        ];
        let others: &[(&'static str, bool)] = if kind == "http" { &frontdb } else { &http };
        for (setting, given) in others {
            if *given {
                problems.push(SettingsProblem::NotOfKind { setting, kind });
            }
        }
    }

    /// Connect timeout and answer timeout.
    pub(crate) fn timeouts(&self, problems: &mut Vec<SettingsProblem>) -> (Duration, Duration) {
        let mut check = |setting, value: Option<u64>, default: u64| {
            let value = value.unwrap_or(default);
            if !(10..=600_000).contains(&value) {
                problems.push(SettingsProblem::Range { setting, min: 10, max: 600_000 });
            }
            Duration::from_millis(value)
        };
        (
            check("connect_timeout_ms", self.connect_timeout_ms, 5_000),
            check("timeout_ms", self.timeout_ms, 30_000),
        )
    }
}

impl CheckedConnector {
    /// Makes the connector. Files and counterpart are looked at when something is delivered.
    pub fn open(&self, names: &TypeNames) -> Box<dyn Connector> {
        match self {
            Self::FrontDb(settings) => {
                Box::new(frontdb::FrontDb::new(settings.clone(), names.clone()))
            }
            Self::Http(settings) => Box::new(http::HttpPush::new(settings.clone())),
        }
    }
}

/// Checks the settings of all connectors, also against each other.
///
/// # Errors
/// For each connector that has any, all its problems.
pub fn check_all(
    connectors: &[ConnectorSettings],
) -> Result<Vec<CheckedSettings>, Vec<SettingsError>> {
    let mut names = BTreeSet::new();
    let mut checked = Vec::new();
    let mut errors = Vec::new();
    for settings in connectors {
        let taken = !names.insert(&settings.name);
        match settings.check() {
            Ok(settings) if !taken => checked.push(settings),
            outcome => {
                let mut problems = outcome.err().map(|error| error.problems).unwrap_or_default();
                if taken {
                    problems.push(SettingsProblem::NameTaken);
                }
                errors.push(SettingsError { name: settings.name.clone(), problems });
            }
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(errors) }
}

/// Names are part of keys that have 50 characters at most: 29, a hyphen, 20 digits (docs/formats/frontdb.md).
fn check_name(name: &str, problems: &mut Vec<SettingsProblem>) -> String {
    let fits = (1..=29).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !fits {
        problems.push(SettingsProblem::Name);
    }
    name.to_owned()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
