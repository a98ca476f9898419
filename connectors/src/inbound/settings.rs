//! Settings of sources, `[[inbound]]`, checked.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use licence::{CreditCode, IssuerId};
use serde::Deserialize;

use super::{DropSettings, Exchange, ExchangeMariaDb, FileDrop, KeyService, Source};
use crate::{
    ConnectorSettings, RunnerSettings, SettingsError, SettingsProblem,
    code_map::{CodeMap, CodeMapFile},
    files,
    frontdb::{self, settings::Server},
    http,
    sftp::{self, Target},
};

/// The settings that only sources have.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    /// Credit code of the department that the rows come from: what it may hand in, policies say.
    department: Option<String>,
    /// Credit codes of the issuers whose licences come; `["*"]`: any; left out: the department alone.
    issuers: Option<Vec<String>>,
    /// `brought`: rows bring their signatures; `key_service`; `unsigned`.
    signatures: Option<String>,
    /// Who signs.
    key_service: Option<RawKeyService>,
    /// What is held signed already is passed over, not refused: rows that come back from where they were sent.
    return_flow: Option<bool>,
    /// `refuse` (the default) or `keep`: rows whose numbers have a wrong check character.
    defects: Option<String>,
    /// The table that is fetched from; `up_lic_data`.
    table: Option<String>,
    /// The table for what is not taken; `dn_lic_data_error`.
    error_table: Option<String>,
    /// How long after its `cd_time` a row may become visible, in seconds; 120.
    overlap_seconds: Option<u64>,
    /// The file server's key, a file as `known_hosts`.
    host_key: Option<PathBuf>,
    /// Where batches of files come.
    folder: Option<String>,
    /// Where answers to them go; `answers` below `folder`.
    answers: Option<String>,
    /// How long answers, and files of batches that were dealt with, stay, in days; 0: for ever; 90.
    keep_days: Option<u64>,
    /// How many batches are remembered; 100,000.
    keep_batches: Option<u64>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawKeyService {
    url: Option<String>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Settings that can be used, as far as that shows without looking at files and counterparts.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The source's name.
    pub name: String,
    /// The department that rows come from.
    pub department: CreditCode,
    /// Whose licences come.
    pub issuers: Issuers,
    /// Who signs what comes.
    pub signatures: Signatures,
    /// What is held signed already is passed over.
    pub return_flow: bool,
    /// What becomes of numbers with a wrong check character.
    pub defects: Defects,
    /// How long a row may take to become visible.
    pub overlap: Duration,
    /// The code map, if another than the built-in one.
    pub code_map: Option<PathBuf>,
    /// Rows at a time, polls, pauses.
    pub pace: RunnerSettings,
    /// Where the rows are.
    pub source: SourceKind,
    builtin: CodeMap,
}

/// Where rows are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SourceKind {
    /// An exchange database.
    Exchange {
        /// The connection.
        database: frontdb::Settings,
        /// The table that is fetched from.
        table: String,
        /// The table for errors.
        error_table: String,
    },
    /// A folder on a file server.
    Files(DropSettings),
}

/// A source that can be asked.
pub enum Opened {
    /// Rows are fetched from it.
    Rows(Box<dyn Source>),
    /// Batches of files are dropped there.
    Files(Box<FileDrop>),
}

/// Whose licences a source may bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuers {
    /// Whoever the policies let issue the type.
    Any,
    /// These.
    Only(BTreeSet<IssuerId>),
}

impl Issuers {
    /// Whether this one is among them.
    pub fn contains(&self, issuer: &IssuerId) -> bool {
        match self {
            Self::Any => true,
            Self::Only(issuers) => issuers.contains(issuer),
        }
    }

    /// The one issuer, where there is only one.
    pub fn only(&self) -> Option<&IssuerId> {
        match self {
            Self::Only(issuers) if issuers.len() == 1 => issuers.first(),
            _ => None,
        }
    }
}

/// Who signs what comes in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Signatures {
    /// Rows bring a signature.
    Brought,
    /// The department's key service.
    KeyService(Box<http::Settings>),
    /// Nobody: licences are taken in as unsigned ones, and are never trusted.
    None,
}

impl Signatures {
    /// The key service, if there is one. It connects when it is asked.
    pub fn open(&self) -> Option<KeyService> {
        match self {
            Self::KeyService(settings) => Some(KeyService::new(*settings.clone())),
            _ => None,
        }
    }
}

/// What becomes of a number whose check character is wrong (standards.md section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defects {
    /// The row is refused.
    #[default]
    Refuse,
    /// The licence is taken without that number, or with it as one of another kind, and the defect is recorded.
    Keep,
}

impl Checked {
    /// Makes the source. It connects when something is fetched.
    pub fn open(&self) -> Opened {
        match &self.source {
            SourceKind::Exchange { database, table, error_table } => {
                let settings = database.clone();
                Opened::Rows(match settings.server {
                    Server::PostgreSql(_) => Box::new(Exchange::new(settings, table, error_table)),
                    Server::MariaDb(_) => {
                        Box::new(ExchangeMariaDb::new(settings, table, error_table))
                    }
                })
            }
            SourceKind::Files(settings) => Opened::Files(Box::new(FileDrop::new(settings.clone()))),
        }
    }

    /// The kind, as in the settings.
    pub fn kind(&self) -> &'static str {
        match self.source {
            SourceKind::Exchange { .. } => "exchange",
            SourceKind::Files(_) => "files",
        }
    }

    /// The file of the certificate that the department's key service is shown, if there is one.
    pub fn certificate(&self) -> Option<&Path> {
        match &self.signatures {
            Signatures::KeyService(settings) => Some(&settings.certificate),
            _ => None,
        }
    }

    /// The code map file, if the settings name one.
    pub fn map_file(&self) -> Option<CodeMapFile> {
        self.code_map.clone().map(CodeMapFile::new)
    }

    /// The map of the columns of `up_lic_data`, for sources without one of their own.
    pub fn builtin_map(&self) -> &CodeMap {
        &self.builtin
    }
}

/// Checks one `[[inbound]]` table.
///
/// # Errors
/// All problems at once.
pub fn check(raw: &ConnectorSettings) -> Result<Checked, SettingsError> {
    let mut problems = Vec::new();
    let checked = check_into(raw, &mut problems);
    match checked {
        Some(checked) if problems.is_empty() => Ok(checked),
        _ => Err(SettingsError { name: raw.name.clone(), problems }),
    }
}

/// Checks all of them, also against each other.
///
/// # Errors
/// For each that has any, all its problems.
pub fn check_all(all: &[ConnectorSettings]) -> Result<Vec<Checked>, Vec<SettingsError>> {
    let mut names = BTreeSet::new();
    let (mut checked, mut errors) = (Vec::new(), Vec::new());
    for raw in all {
        match check(raw) {
            Ok(_) if !names.insert(raw.name.clone()) => errors.push(SettingsError {
                name: raw.name.clone(),
                problems: vec![SettingsProblem::NameTaken],
            }),
            Ok(settings) => checked.push(settings),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(checked) } else { Err(errors) }
}

fn check_into(raw: &ConnectorSettings, problems: &mut Vec<SettingsProblem>) -> Option<Checked> {
    // The settings that sources have in common with connectors, without those that only sources have.
    let common = ConnectorSettings { more: serde_json::Map::new(), ..raw.clone() };
    let name = crate::settings::check_name(&raw.name, problems);
    let pace = common.check_runner(problems);
    let also = serde_json::Value::Object(raw.more.clone());
    let own: Raw = match serde_json::from_value(also) {
        Ok(own) => own,
        Err(error) => {
            problems.push(SettingsProblem::Unknown(error.to_string()));
            return None;
        }
    };
    let department = department(&own, problems);
    let issuers = issuers(&own, department, problems);
    let signatures = signatures(&common, &own, &name, problems);
    let defects = match own.defects.as_deref() {
        None | Some("refuse") => Defects::Refuse,
        Some("keep") => Defects::Keep,
        Some(_) => {
            let form = "`refuse` or `keep`";
            problems.push(SettingsProblem::Form { setting: "defects", form });
            Defects::Refuse
        }
    };
    let overlap = own.overlap_seconds.unwrap_or(120);
    if overlap > 86_400 {
        problems.push(SettingsProblem::Range { setting: "overlap_seconds", min: 0, max: 86_400 });
    }
    let source = match raw.kind.as_str() {
        "exchange" => exchange(&common, &own, &name, problems),
        "files" => file_drop(&common, &own, &name, problems),
        _ => {
            let form = "`exchange` or `files`";
            problems.push(SettingsProblem::Form { setting: "kind", form });
            None
        }
    };
    let dates = if raw.date_form.as_deref() == Some("compact") { "compact" } else { "iso" };
    Some(Checked {
        name,
        department: department?,
        issuers: issuers?,
        signatures: signatures?,
        return_flow: own.return_flow.unwrap_or(false),
        defects,
        overlap: Duration::from_secs(overlap),
        code_map: raw.code_map.clone(),
        pace: pace?,
        source: source?,
        builtin: builtin(dates),
    })
}

fn department(own: &Raw, problems: &mut Vec<SettingsProblem>) -> Option<CreditCode> {
    let Some(text) = &own.department else {
        problems.push(SettingsProblem::Missing { setting: "department" });
        return None;
    };
    let code = text.parse().ok();
    if code.is_none() {
        problems.push(SettingsProblem::Form { setting: "department", form: "a credit code" });
    }
    code
}

fn issuers(
    own: &Raw,
    department: Option<CreditCode>,
    problems: &mut Vec<SettingsProblem>,
) -> Option<Issuers> {
    match own.issuers.as_deref() {
        None => Some(Issuers::Only([IssuerId::from(department?)].into())),
        Some([any]) if any == "*" => Some(Issuers::Any),
        Some(listed) => {
            let codes: Option<BTreeSet<IssuerId>> =
                listed.iter().map(|text| text.parse().ok()).collect();
            let codes = codes.filter(|codes| !codes.is_empty());
            if codes.is_none() {
                let form = "credit codes, or `[\"*\"]`";
                problems.push(SettingsProblem::Form { setting: "issuers", form });
            }
            codes.map(Issuers::Only)
        }
    }
}

fn signatures(
    common: &ConnectorSettings,
    own: &Raw,
    name: &str,
    problems: &mut Vec<SettingsProblem>,
) -> Option<Signatures> {
    let signed_by = own.signatures.as_deref();
    if own.key_service.is_some() && signed_by != Some("key_service") {
        problems.push(SettingsProblem::Beside { setting: "key_service", beside: "signatures" });
    }
    match signed_by {
        Some("brought") => Some(Signatures::Brought),
        Some("unsigned") => Some(Signatures::None),
        Some("key_service") => {
            let Some(service) = &own.key_service else {
                problems.push(SettingsProblem::Missing { setting: "key_service" });
                return None;
            };
            let file = |path: &Option<PathBuf>| path.as_ref().map(|path| common.folder.join(path));
            let service = ConnectorSettings {
                name: name.to_owned(),
                url: service.url.clone(),
                ca: file(&service.ca),
                certificate: file(&service.certificate),
                key: file(&service.key),
                connect_timeout_ms: common.connect_timeout_ms,
                timeout_ms: common.timeout_ms,
                ..ConnectorSettings::default()
            };
            http::Settings::check_exact(&service, name.to_owned(), problems)
                .map(|settings| Signatures::KeyService(Box::new(settings)))
        }
        Some(_) => {
            let form = "`brought`, `key_service` or `unsigned`";
            problems.push(SettingsProblem::Form { setting: "signatures", form });
            None
        }
        None => {
            problems.push(SettingsProblem::Missing { setting: "signatures" });
            None
        }
    }
}

/// Names a setting of the other kind of source that is given all the same.
fn not_of_kind(
    given: &[(&'static str, bool)],
    kind: &'static str,
    problems: &mut Vec<SettingsProblem>,
) {
    for (setting, _) in given.iter().filter(|(_, given)| *given) {
        problems.push(SettingsProblem::NotOfKind { setting, kind });
    }
}

fn file_drop(
    common: &ConnectorSettings,
    own: &Raw,
    name: &str,
    problems: &mut Vec<SettingsProblem>,
) -> Option<SourceKind> {
    let others = [
        ("table", own.table.is_some()),
        ("error_table", own.error_table.is_some()),
        ("overlap_seconds", own.overlap_seconds.is_some()),
    ];
    not_of_kind(&others, "files", problems);
    let keep_days = own.keep_days.unwrap_or(90);
    if keep_days > 3_650 {
        problems.push(SettingsProblem::Range { setting: "keep_days", min: 0, max: 3_650 });
    }
    let keep_batches = own.keep_batches.unwrap_or(100_000);
    if !(10..=200_000).contains(&keep_batches) {
        problems.push(SettingsProblem::Range { setting: "keep_batches", min: 10, max: 200_000 });
    }
    // Only names what is of no use here: what this kind has of its own is in `own`.
    let none: Option<serde_json::Map<String, serde_json::Value>> =
        common.of_kind("files", &sftp::SHARED_SETTINGS, problems);
    let host_key = own.host_key.as_ref().map(|path| common.folder.join(path));
    let target = Target::check(common, host_key.as_deref(), problems);
    let folder = files::check_folder("folder", own.folder.as_deref(), problems);
    let beside = folder.as_deref().map(|folder| sftp::join(folder, "answers"));
    let answers = match own.answers.as_deref() {
        None => beside,
        given => files::check_folder("answers", given, problems),
    };
    none?;
    Some(SourceKind::Files(DropSettings {
        name: name.to_owned(),
        target: target?,
        folder: folder?,
        answers: answers?,
        keep: (keep_days > 0).then(|| Duration::from_secs(keep_days.min(3_650) * 86_400)),
        keep_batches,
    }))
}

fn exchange(
    common: &ConnectorSettings,
    own: &Raw,
    name: &str,
    problems: &mut Vec<SettingsProblem>,
) -> Option<SourceKind> {
    let others = [
        ("host_key", own.host_key.is_some()),
        ("folder", own.folder.is_some()),
        ("answers", own.answers.is_some()),
        ("keep_days", own.keep_days.is_some()),
        ("keep_batches", own.keep_batches.is_some()),
    ];
    not_of_kind(&others, "exchange", problems);
    let mut table = |setting, value: &Option<String>, default: &str| {
        let table = value.clone().unwrap_or_else(|| default.to_owned());
        if !frontdb::settings::is_schema(&table) {
            let form = "at most 63 lower-case letters, digits and underscores, no digit first";
            problems.push(SettingsProblem::Form { setting, form });
        }
        table
    };
    let error_table = table("error_table", &own.error_table, "dn_lic_data_error");
    let table = table("table", &own.table, "up_lic_data");
    let database =
        frontdb::Settings::check_database(common, "exchange", name.to_owned(), problems)?;
    Some(SourceKind::Exchange { database, table, error_table })
}

/// The columns of `up_lic_data` (standards.md section 3). Face fields and validity have no column there.
fn builtin(dates: &str) -> CodeMap {
    let fields = [
        ("certificate_source_id", "identifier"),
        ("certificate_name", "name"),
        ("certificate_type_code", "licence_type"),
        ("certificate_number", "number"),
        ("certificate_holder", "holder_name"),
        ("certificate_holder_code", "holder_number"),
        ("certificate_holder_type", "holder_kind"),
        ("certificate_area_code", "region"),
        ("issue_dept", "issuer_name"),
        ("issue_dept_code", "issuer"),
        ("issue_date", "issued_on"),
        ("cd_operation", "operation"),
        ("cd_time", "changed_at"),
    ];
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, from)| serde_json::json!({ "as": name, "from": from }))
        .collect();
    let map = serde_json::json!({
        "format": crate::code_map::FORMAT, "fields": fields, "dates": dates, "times": "china", "empty": "/",
        "codes": { "operation": { "insert": "I", "update": "U", "delete": "D" } },
    });
    CodeMap::parse(map.to_string().as_bytes()).expect("the built-in map is one")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(more: serde_json::Value) -> ConnectorSettings {
        let mut all = json!({
            "name": "civil", "kind": "exchange", "host": "/run/postgresql", "user": "hub", "database": "exchange",
            "department": "91350100M000100Y43", "signatures": "unsigned",
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn codes(more: serde_json::Value) -> Vec<&'static str> {
        check(&settings(more)).err().map_or_else(Vec::new, |error| {
            error.problems.iter().map(SettingsProblem::code).collect()
        })
    }

    #[test]
    fn right_settings_are_right() {
        let checked = check(&settings(json!({}))).unwrap();
        assert!(checked.issuers.only().is_some());
        assert_eq!(checked.kind(), "exchange");
        let service = json!({ "url": "https://keys.example/sign", "ca": "ca.pem", "certificate": "a.pem", "key": "a.key" });
        assert_eq!(codes(json!({ "signatures": "key_service", "key_service": service })), [""; 0]);
        assert_eq!(
            codes(json!({ "issuers": ["*"], "return_flow": true, "defects": "keep" })),
            [""; 0]
        );
    }

    #[test]
    fn a_folder_of_files_needs_its_server_and_its_key() {
        let drop = |more: serde_json::Value| {
            let mut all = json!({
                "name": "civil", "kind": "files", "host": "files.example", "user": "hub", "key": "hub.key",
                "host_key": "known", "folder": "/in/", "department": "91350100M000100Y43",
                "signatures": "unsigned",
            });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            serde_json::from_value::<ConnectorSettings>(all).unwrap()
        };
        let codes = |more| {
            check(&drop(more)).err().map_or_else(Vec::new, |error| {
                error.problems.iter().map(SettingsProblem::code).collect()
            })
        };
        let checked = check(&drop(json!({}))).unwrap();
        let SourceKind::Files(settings) = &checked.source else { panic!("{}", checked.kind()) };
        assert_eq!((settings.folder.as_str(), settings.answers.as_str()), ("/in", "/in/answers"));
        assert_eq!(codes(json!({ "host_key": null })), ["setting_missing"]);
        assert_eq!(codes(json!({ "folder": "../in" })), ["setting_form"]);
        assert_eq!(codes(json!({ "table": "x" })), ["setting_not_of_kind"]);
        assert_eq!(codes(json!({ "keep_days": 3_651 })), ["setting_out_of_range"]);
        assert_eq!(codes(json!({ "keep_batches": 9 })), ["setting_out_of_range"]);
        assert_eq!(codes(json!({ "database": "x" })), ["setting_not_of_kind"]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert_eq!(codes(json!({ "department": "1" })), ["setting_form"]);
        assert_eq!(codes(json!({ "signatures": "mine" })), ["setting_form"]);
        assert_eq!(codes(json!({ "signatures": "key_service" })), ["setting_missing"]);
        assert_eq!(codes(json!({ "table": "a; drop" })), ["setting_form"]);
        assert_eq!(codes(json!({ "kind": "fax" })), ["setting_form"]);
        assert_eq!(codes(json!({ "tabel": "x" })), ["setting_unknown"]);
        assert_eq!(codes(json!({ "folder": "x" })), ["setting_not_of_kind"]);
        assert_eq!(codes(json!({ "keep_days": 1 })), ["setting_not_of_kind"]);
        assert_eq!(codes(json!({ "host": "db.example" })), ["plaintext_to_other_machine"]);
        let twice = [settings(json!({})), settings(json!({}))];
        assert_eq!(check_all(&twice).unwrap_err()[0].problems, [SettingsProblem::NameTaken]);
    }
}
