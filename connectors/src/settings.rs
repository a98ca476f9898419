//! Settings of connectors: as written, checked, started.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indexes::LicenceStore;
use jiff::civil::Time;
use licence::LicenceTypeCode;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Connector, Filter, KINDS, Opener, Runner, RunnerHandle, RunnerSettings, SharingWord,
    TypeFilter, Types, Window, casebase, frontdb, http, window,
};

/// One `[[connectors]]` table of the settings file, as written. [`ConnectorSettings::check`] says what is wrong.
///
/// Times are in milliseconds, sizes in bytes. `Debug` shows name and kind only.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConnectorSettings {
    /// Lower-case letters, digits and hyphens, a letter first, at most 29. Keys the cursor: renaming sends anew.
    pub name: String,
    /// `frontdb`, `http`, `casebase`, or a kind out of [`KINDS`].
    pub kind: String,
    /// The licence types that go there, 21 characters each; left out: all.
    pub types: Option<Vec<String>>,
    /// The licence types that do not go there.
    pub except_types: Option<Vec<String>>,
    /// The sharing classes that go there: `unconditional`, `conditional`, `withheld`; left out: all.
    pub sharing: Option<Vec<String>>,
    /// The regions whose licences go there: the first 2 to 6 digits of division codes; left out: all.
    pub regions: Option<Vec<String>>,
    /// A code map (`docs/formats/code-map.md`): how the counterpart writes what a licence says.
    pub code_map: Option<PathBuf>,
    /// Most records a second; left out: as many as go.
    pub pace: Option<u64>,
    /// When records may be sent, in Chinese time, such as `["22:00-06:00"]`; left out: always.
    pub windows: Option<Vec<String>>,
    /// Batches under way at a time. Changes of one holder stay in order.
    pub concurrency: Option<u64>,
    /// When both sides are compared every day, in Chinese time, such as `"02:30"`; left out: only when asked.
    pub reconcile_at: Option<String>,
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
    /// Records refused in a row, none taken between, after which one at a time is tried, with pauses.
    pub stop_after_refused: Option<u64>,
    /// How long a connection may take to come about.
    pub connect_timeout_ms: Option<u64>,
    /// How long a batch may take, from sending to answer.
    pub timeout_ms: Option<u64>,
    /// PEM certificates that the counterpart's certificate must lead to.
    pub ca: Option<PathBuf>,

    /// `frontdb`, `casebase`: `postgresql` (the default) or `mariadb`, which MySQL is too.
    pub dialect: Option<String>,
    /// `frontdb`: a PostgreSQL connection string without a password, in place of host, port, user and database.
    pub connection: Option<String>,
    /// `frontdb`: host name, address, or folder of the Unix socket; with MariaDB the socket itself.
    pub host: Option<String>,
    /// `frontdb`: port; 5432, with MariaDB 3306 if left out.
    pub port: Option<u16>,
    /// `frontdb`: user.
    pub user: Option<String>,
    /// `frontdb`: file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// `frontdb`: database.
    pub database: Option<String>,
    /// `frontdb`: schema of the tables, `public` if left out; MariaDB has none.
    pub schema: Option<String>,
    /// `frontdb`: create the tables if they are missing.
    pub create_tables: Option<bool>,
    /// `frontdb`: the column `data_source`, 1 to 3 characters, `001` if left out.
    pub data_source: Option<String>,
    /// `frontdb`: `iso` (2025-03-01, the default) or `compact` (20250301).
    pub date_form: Option<String>,
    /// `frontdb`: send records and password unencrypted over a network.
    pub danger_plaintext: Option<bool>,

    /// `casebase`: credit codes of the departments whose cases go there.
    pub departments: Option<Vec<String>>,

    /// `http`: `https://host[:port][/path]`; `/records` and `/counts` are below it.
    pub url: Option<String>,
    /// `http`: PEM chain of the client certificate, leaf first.
    pub certificate: Option<PathBuf>,
    /// `http`: PEM key of the client certificate (PKCS#8).
    pub key: Option<PathBuf>,

    /// The settings that only a kind out of [`KINDS`] has: see [`ConnectorSettings::of_kind`].
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
    /// The folder that relative paths of `more` count from.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl fmt::Debug for ConnectorSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ConnectorSettings({} {})", self.kind, self.name)
    }
}

/// Settings that can be used, as far as that shows without looking at files and counterparts.
#[derive(Clone, Debug)]
pub struct CheckedSettings {
    /// What the runner needs.
    pub runner: RunnerSettings,
    /// What the connector needs.
    pub connector: CheckedConnector,
}

/// Checked settings of a connector, by kind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CheckedConnector {
    /// A front-end exchange database.
    FrontDb(frontdb::Settings),
    /// An HTTPS receiver.
    Http(http::Settings),
    /// The case tables of an exchange database. Takes no licences: it is not driven by a [`Runner`].
    CaseBase(casebase::Settings),
    /// One of [`KINDS`].
    Other(Opener),
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
    #[error("`kind` must be one of {}", kinds())]
    Kind,
    /// A setting that no connector has, or not in this form.
    #[error("the settings cannot be read: {0}")]
    Unknown(String),
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
            Self::Unknown(_) => "setting_unknown",
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
        self.folder = folder.to_owned();
        let files = [
            &mut self.ca,
            &mut self.password_file,
            &mut self.certificate,
            &mut self.key,
            &mut self.code_map,
        ];
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
            "casebase" => {
                casebase::Settings::check(self, name, &mut problems).map(CheckedConnector::CaseBase)
            }
            other => match KINDS.iter().find(|kind| kind.name == other) {
                Some(kind) => (kind.check)(self, &mut problems).map(CheckedConnector::Other),
                None => {
                    problems.push(SettingsProblem::Kind);
                    None
                }
            },
        };
        match (runner, connector) {
            (Some(runner), Some(connector)) if problems.is_empty() => {
                Ok(CheckedSettings { runner, connector })
            }
            _ => Err(SettingsError { name: self.name.clone(), problems }),
        }
    }

    /// The settings that only this kind has, as its own type; relative paths in it count from `self.folder`. Settings of
    /// `frontdb`, `http` and `casebase` that are given all the same are problems, but for those named in `also`.
    pub fn of_kind<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        also: &[&str],
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<T> {
        for (setting, given) in self.of_other_kinds() {
            if given && !also.contains(&setting) {
                problems.push(SettingsProblem::NotOfKind { setting, kind });
            }
        }
        match serde_json::from_value(serde_json::Value::Object(self.more.clone())) {
            Ok(settings) => Some(settings),
            Err(error) => {
                problems.push(SettingsProblem::Unknown(error.to_string()));
                None
            }
        }
    }

    /// The settings that are not everybody's, and whether they are given.
    fn of_other_kinds(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("dialect", self.dialect.is_some()),
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
            ("departments", self.departments.is_some()),
            ("url", self.url.is_some()),
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
        ]
    }

    /// Checks the settings and starts the connector's runner. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// All problems of the settings. That the counterpart is not there is none: the runner's state tells.
    pub fn start(&self, store: Arc<dyn LicenceStore>) -> Result<RunnerHandle, SettingsError> {
        self.start_with(store, &Types::new())
    }

    /// As [`ConnectorSettings::start`], with the catalogue's licence types.
    ///
    /// # Errors
    /// All problems of the settings.
    pub fn start_with(
        &self,
        store: Arc<dyn LicenceStore>,
        types: &Types,
    ) -> Result<RunnerHandle, SettingsError> {
        let checked = self.check()?;
        let connector = checked.connector.open(types).ok_or_else(|| SettingsError {
            name: self.name.clone(),
            problems: vec![SettingsProblem::Kind],
        })?;
        let mut runner = checked.runner;
        runner.filter = runner.filter.with_types(types);
        Ok(Runner::start(store, connector, runner))
    }

    pub(crate) fn check_runner(
        &self,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<RunnerSettings> {
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
        let stop_after_refused = range(
            "stop_after_refused",
            self.stop_after_refused,
            default.stop_after_refused,
            1,
            1_000_000,
        );
        let pace = self.pace.map(|pace| range("pace", Some(pace), 0, 1, 1_000_000));
        let concurrency = range("concurrency", self.concurrency, default.concurrency as u64, 1, 64);
        let types = self.check_types(problems);
        let filter = self.check_filter(types, problems);
        let windows = self.check_windows(problems);
        let reconcile_at = self.check_reconcile_at(problems);
        (problems.len() == before).then(|| RunnerSettings {
            batch: batch as usize,
            batch_bytes: batch_bytes as usize,
            poll: Duration::from_millis(poll),
            backoff_min: Duration::from_millis(min),
            backoff_max: Duration::from_millis(max),
            stop_after_refused,
            filter,
            pace,
            windows,
            concurrency: concurrency as usize,
            reconcile_at,
        })
    }

    fn check_filter(&self, types: TypeFilter, problems: &mut Vec<SettingsProblem>) -> Filter {
        let sharing = self.sharing.as_ref().map(|words| {
            words
                .iter()
                .filter_map(|word| {
                    let class = SharingWord::from_word(word);
                    if class.is_none() {
                        let form = "a list of `unconditional`, `conditional`, `withheld`";
                        problems.push(SettingsProblem::Form { setting: "sharing", form });
                    }
                    class
                })
                .collect()
        });
        let regions = self.regions.as_ref().map(|regions| {
            for region in regions {
                let digits = region.bytes().all(|byte| byte.is_ascii_digit());
                if !digits || ![2, 4, 6].contains(&region.len()) {
                    let form = "a list of division codes, or their first 2 or 4 digits";
                    problems.push(SettingsProblem::Form { setting: "regions", form });
                }
            }
            regions.iter().cloned().collect()
        });
        Filter::new(types, sharing, regions)
    }

    fn check_windows(&self, problems: &mut Vec<SettingsProblem>) -> Vec<Window> {
        let texts = self.windows.iter().flatten();
        texts
            .filter_map(|text| {
                let window = Window::parse(text);
                if window.is_none() {
                    let form = "a list of times such as `22:00-06:00`";
                    problems.push(SettingsProblem::Form { setting: "windows", form });
                }
                window
            })
            .collect()
    }

    fn check_reconcile_at(&self, problems: &mut Vec<SettingsProblem>) -> Option<Time> {
        let time = window::clock(self.reconcile_at.as_ref()?);
        if time.is_none() {
            let form = "a time such as `02:30`";
            problems.push(SettingsProblem::Form { setting: "reconcile_at", form });
        }
        time
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
            ("dialect", self.dialect.is_some()),
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
        let licences = [
            ("types", self.types.is_some()),
            ("except_types", self.except_types.is_some()),
            ("batch", self.batch.is_some()),
            ("batch_bytes", self.batch_bytes.is_some()),
            ("date_form", self.date_form.is_some()),
            ("sharing", self.sharing.is_some()),
            ("regions", self.regions.is_some()),
            ("pace", self.pace.is_some()),
            ("windows", self.windows.is_some()),
            ("concurrency", self.concurrency.is_some()),
            ("reconcile_at", self.reconcile_at.is_some()),
            ("stop_after_refused", self.stop_after_refused.is_some()),
        ];
        // The whole signed licence goes to `http`; the tables of cases are what they are.
        let map = [("code_map", self.code_map.is_some())];
        let cases = [("departments", self.departments.is_some())];
        let others: Vec<(&'static str, bool)> = match kind {
            "http" => [&frontdb[..], &cases, &map].concat(),
            "casebase" => [&http[..], &licences, &map].concat(),
            _ => [&http[..], &cases].concat(),
        };
        for (setting, given) in others {
            if given {
                problems.push(SettingsProblem::NotOfKind { setting, kind });
            }
        }
        for setting in self.more.keys() {
            problems.push(SettingsProblem::Unknown(format!("unknown field `{setting}`")));
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
    /// Makes the connector; `None` for one that takes cases, not licences. Files and counterpart are looked at when
    /// something is delivered.
    pub fn open(&self, types: &Types) -> Option<Box<dyn Connector>> {
        match self {
            Self::FrontDb(settings) => {
                Some(Box::new(frontdb::FrontDb::new(settings.clone(), types.clone())))
            }
            Self::Other(opener) => Some(opener.open(types)),
            Self::Http(settings) => Some(Box::new(http::HttpPush::new(settings.clone()))),
            Self::CaseBase(_) => None,
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

/// The words for `kind`.
fn kinds() -> String {
    let others = KINDS.iter().map(|kind| kind.name);
    let names: Vec<String> = ["frontdb", "http", "casebase"]
        .into_iter()
        .chain(others)
        .map(|name| format!("`{name}`"))
        .collect();
    names.join(", ")
}

/// Names are part of keys that have 50 characters at most: 29, a hyphen, 20 digits (docs/formats/frontdb.md).
pub(crate) fn check_name(name: &str, problems: &mut Vec<SettingsProblem>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn frontdb() -> ConnectorSettings {
        ConnectorSettings {
            name: "province".to_owned(),
            kind: "frontdb".to_owned(),
            host: Some("/run/postgresql".to_owned()),
            user: Some("hub".to_owned()),
            database: Some("exchange".to_owned()),
            ..ConnectorSettings::default()
        }
    }

    fn http() -> ConnectorSettings {
        ConnectorSettings {
            name: "city".to_owned(),
            kind: "http".to_owned(),
            url: Some("https://city.example/licences/".to_owned()),
            ca: Some("ca.pem".into()),
            certificate: Some("client.pem".into()),
            key: Some("client.key".into()),
            ..ConnectorSettings::default()
        }
    }

    fn casebase() -> ConnectorSettings {
        ConnectorSettings {
            name: "cases".to_owned(),
            kind: "casebase".to_owned(),
            departments: Some(vec!["91350100M000100Y43".to_owned()]),
            ..frontdb()
        }
    }

    fn problems(settings: &ConnectorSettings) -> Vec<String> {
        match settings.check() {
            Ok(_) => Vec::new(),
            Err(error) => error.problems.iter().map(ToString::to_string).collect(),
        }
    }

    fn codes(settings: &ConnectorSettings) -> Vec<&'static str> {
        settings.check().err().map_or_else(Vec::new, |error| {
            error.problems.iter().map(SettingsProblem::code).collect()
        })
    }

    #[test]
    fn right_settings_are_right() {
        assert_eq!(problems(&frontdb()), [""; 0]);
        assert_eq!(problems(&http()), [""; 0]);
        let CheckedConnector::Http(checked) = http().check().unwrap().connector else {
            panic!("http")
        };
        assert_eq!(checked.records.as_str(), "https://city.example/licences/records");
        assert_eq!(checked.counts.as_str(), "https://city.example/licences/counts");
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let settings = ConnectorSettings {
            name: "Province 1".to_owned(),
            batch: Some(0),
            backoff_min_ms: Some(5_000),
            backoff_max_ms: Some(4_000),
            timeout_ms: Some(1),
            types: Some(vec![
                "11100000000013338W011".to_owned(),
                "11100000000013338X011".to_owned(),
            ]),
            user: None,
            url: Some("https://x".to_owned()),
            schema: Some("a\"b".to_owned()),
            data_source: Some("0001".to_owned()),
            date_form: Some("us".to_owned()),
            ..frontdb()
        };
        assert_eq!(
            problems(&settings),
            [
                "`name` must be 1 to 29 lower-case letters, digits and hyphens, a letter first",
                "`batch` must be 1 to 10000",
                "`backoff_max_ms` must be 5000 to 86400000",
                "`types`: entry 2 is not a licence type code",
                "`url` is not a setting of kind `frontdb`",
                "`timeout_ms` must be 10 to 600000",
                "`schema` must be at most 63 lower-case letters, digits and underscores, no digit first",
                "`data_source` must be 1 to 3 characters",
                "`date_form` must be `iso` or `compact`",
                "`user` is missing",
            ]
        );
        let nothing = ConnectorSettings { kind: "http".to_owned(), ..ConnectorSettings::default() };
        assert_eq!(
            codes(&nothing),
            [
                "connector_name",
                "setting_missing",
                "setting_missing",
                "setting_missing",
                "setting_missing"
            ]
        );
        let unknown = ConnectorSettings { kind: "ftp".to_owned(), ..frontdb() };
        assert_eq!(codes(&unknown), ["connector_kind"]);
    }

    #[test]
    fn cases_go_to_departments_that_are_named() {
        assert_eq!(problems(&casebase()), [""; 0]);
        let nobody = ConnectorSettings { departments: None, ..casebase() };
        assert_eq!(problems(&nobody), ["`departments` is missing"]);
        let wrong = ConnectorSettings {
            departments: Some(vec!["91350100M000100Y44".to_owned()]),
            types: Some(Vec::new()),
            date_form: Some("iso".to_owned()),
            host: Some("db.example".to_owned()),
            ..casebase()
        };
        assert_eq!(
            codes(&wrong),
            [
                "setting_form",
                "setting_not_of_kind",
                "setting_not_of_kind",
                "plaintext_to_other_machine"
            ]
        );
        let licences = ConnectorSettings { departments: Some(Vec::new()), ..frontdb() };
        assert_eq!(problems(&licences), ["`departments` is not a setting of kind `frontdb`"]);
        assert!(casebase().check().unwrap().connector.open(&Types::new()).is_none());
    }

    #[test]
    fn no_network_is_crossed_in_plain_text_unless_danger_is_asked_for() {
        let host = |host: &str| ConnectorSettings { host: Some(host.to_owned()), ..frontdb() };
        let connection = |text: &str| ConnectorSettings {
            connection: Some(text.to_owned()),
            host: None,
            user: None,
            database: None,
            ..frontdb()
        };
        for local in ["localhost", "127.0.0.1", "127.8.8.8", "::1", "/tmp"] {
            assert_eq!(codes(&host(local)), [""; 0], "{local}");
        }
        for other in ["10.0.0.1", "db.example", "localhost.example", "::2", "0.0.0.0"] {
            assert_eq!(codes(&host(other)), ["plaintext_to_other_machine"], "{other}");
            let danger = ConnectorSettings { danger_plaintext: Some(true), ..host(other) };
            assert_eq!(codes(&danger), [""; 0]);
            let tls = ConnectorSettings { ca: Some("ca.pem".into()), ..host(other) };
            let CheckedConnector::FrontDb(checked) = tls.check().unwrap().connector else {
                panic!("frontdb")
            };
            assert_eq!(checked.transport, frontdb::Transport::Tls { ca: "ca.pem".into() });
        }
        let socket = ConnectorSettings { ca: Some("ca.pem".into()), ..host("/run/postgresql") };
        assert_eq!(codes(&socket), ["setting_form"]);
        assert_eq!(codes(&connection("host=/run/pg user=a dbname=b")), [""; 0]);
        for text in [
            "host=10.0.0.1 user=a dbname=b",
            "host=localhost,10.0.0.1 user=a dbname=b",
            "host=localhost hostaddr=10.0.0.1 user=a dbname=b",
            "postgresql://a@db.example/b?sslmode=require",
        ] {
            assert_eq!(codes(&connection(text)), ["plaintext_to_other_machine"], "{text}");
        }
    }

    #[test]
    fn a_connection_string_stands_alone_and_holds_no_password() {
        let with =
            |text: &str| ConnectorSettings { connection: Some(text.to_owned()), ..frontdb() };
        let alone =
            |text: &str| ConnectorSettings { host: None, user: None, database: None, ..with(text) };
        assert_eq!(codes(&with("host=/run/pg user=a dbname=b")), ["settings_contradict"; 3]);
        let password = alone("host=/run/pg user=a dbname=b password=secret");
        assert_eq!(codes(&password), ["password_in_connection"]);
        let shown = format!("{password:?} {}", password.check().unwrap_err());
        assert!(!shown.contains("secret"));
        assert_eq!(codes(&alone("no connection string")), ["setting_form"]);
        assert_eq!(codes(&alone("host=/run/pg")), ["setting_form"; 2]);
    }

    #[test]
    fn a_receiver_is_named_by_a_plain_https_address() {
        for url in [
            "http://city.example",
            "https://user@city.example",
            "https://user:secret@city.example",
            "https://city.example/?token=secret",
            "https://city.example/#x",
            "city.example",
            "",
        ] {
            let settings = ConnectorSettings { url: Some(url.to_owned()), ..http() };
            assert_eq!(codes(&settings), ["setting_form"], "{url}");
            assert!(!settings.check().unwrap_err().to_string().contains("secret"));
        }
    }

    #[test]
    fn names_are_used_once() {
        assert_eq!(check_all(&[frontdb(), http()]).unwrap().len(), 2);
        let errors =
            check_all(&[frontdb(), ConnectorSettings { name: "province".to_owned(), ..http() }]);
        let errors = errors.unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].problems, [SettingsProblem::NameTaken]);
    }

    #[test]
    fn settings_are_read_from_json_and_unknown_ones_refused() {
        let read = |text: &str| serde_json::from_str::<ConnectorSettings>(text);
        let settings = read(r#"{"name":"a","kind":"http","batch":5}"#).unwrap();
        assert_eq!((settings.name(), settings.batch), ("a", Some(5)));
        let unknown = read(r#"{"name":"a","kind":"http","bacth":5}"#).unwrap();
        assert_eq!(
            codes(&ConnectorSettings { name: "city".to_owned(), more: unknown.more, ..http() }),
            ["setting_unknown"]
        );
    }

    #[test]
    fn relative_paths_count_from_the_settings_folder() {
        let mut settings = ConnectorSettings { ca: Some("/abs/ca.pem".into()), ..http() };
        settings.resolve_paths(Path::new("/etc/yihao"));
        assert_eq!(settings.ca, Some("/abs/ca.pem".into()));
        assert_eq!(settings.key, Some("/etc/yihao/client.key".into()));
    }
}
