//! Settings of a gateway, checked.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use reqwest::Url;
use serde::Deserialize;

use super::{
    shape::{self, Shape},
    sign::{Method, Sign},
    template,
};
use crate::{ConnectorSettings, DeliveryError, Problem, SettingsProblem, code_map::CodeMapFile};

/// The settings that only this kind has, as written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    shape: Option<String>,
    shape_file: Option<PathBuf>,
    access_id: Option<String>,
    secret_file: Option<PathBuf>,
    values: BTreeMap<String, String>,
    paths: BTreeMap<String, String>,
    sign: Option<Sign>,
    sign_key_file: Option<PathBuf>,
    sign_key_id: Option<String>,
}

/// Checked settings of a [`super::Rest`]. `Debug` shows the name only.
pub struct Settings {
    /// The connector's name.
    pub name: String,
    /// Paths of calls are put behind its own.
    pub(crate) url: Url,
    /// PEM certificates that the gateway's certificate must lead to.
    pub ca: PathBuf,
    /// PEM chain and key of a client certificate, if the gateway wants one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long an answer may take, from sending on.
    pub timeout: Duration,
    /// Who we are to the gateway.
    pub(crate) access_id: String,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) sign_key_file: Option<PathBuf>,
    pub(crate) sign_key_id: Option<String>,
    pub(crate) code_map: Option<CodeMapFile>,
    given: Given,
    shape: Source,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Settings({})", self.name)
    }
}

/// What the settings say that a shape leaves open.
struct Given {
    values: BTreeMap<String, String>,
    paths: BTreeMap<String, String>,
    sign: Option<Sign>,
    has_secret: bool,
    has_key: bool,
    has_key_id: bool,
}

enum Source {
    BuiltIn(Arc<Ready>),
    File(PathBuf, Mutex<Option<Read>>),
}

/// A shape as its file had it, and what tells that the file was changed: its time and its length.
type Read = ((SystemTime, u64), Arc<Ready>);

/// A shape with what the settings say.
pub(crate) struct Ready {
    pub(crate) shape: Shape,
    /// Templates.
    pub(crate) values: BTreeMap<String, String>,
}

/// The largest shape, in bytes.
const LIMIT: u64 = 1 << 20;

impl Settings {
    /// Adds what is wrong to `problems`; `None` only if there is something.
    pub(crate) fn check(
        raw: &ConnectorSettings,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        let before = problems.len();
        let also = ["url", "certificate", "key"];
        let own: Raw = raw.of_kind("rest", &also, problems)?;
        let (connect_timeout, timeout) = raw.timeouts(problems);
        let url = match raw.url.as_deref().map(base) {
            None => {
                problems.push(SettingsProblem::Missing { setting: "url" });
                None
            }
            Some(None) => {
                let form = "`https://host[:port][/path]`, without user, query and fragment";
                problems.push(SettingsProblem::Form { setting: "url", form });
                None
            }
            Some(url) => url,
        };
        if raw.ca.is_none() {
            problems.push(SettingsProblem::Missing { setting: "ca" });
        }
        let identity = match (&raw.certificate, &raw.key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (None, Some(_)) => {
                problems.push(SettingsProblem::Missing { setting: "certificate" });
                None
            }
            (Some(_), None) => {
                problems.push(SettingsProblem::Missing { setting: "key" });
                None
            }
        };
        let access_id = own.access_id.unwrap_or_default();
        if access_id.len() > 200 || access_id.chars().any(char::is_control) {
            let form = "at most 200 characters, none of them a control character";
            problems.push(SettingsProblem::Form { setting: "access_id", form });
        }
        let texts = own.values.values().chain(own.sign_key_id.iter());
        if texts.into_iter().any(|text| text.len() > 1_000 || text.chars().any(char::is_control)) {
            let form = "texts of at most 1000 bytes without control characters";
            problems.push(SettingsProblem::Form { setting: "values", form });
        }
        let given = Given {
            values: own.values,
            paths: own.paths,
            sign: own.sign,
            has_secret: own.secret_file.is_some(),
            has_key: own.sign_key_file.is_some(),
            has_key_id: own.sign_key_id.is_some(),
        };
        let file = |path: Option<PathBuf>| path.map(|path| raw.folder.join(path));
        let shape = match (own.shape, own.shape_file) {
            (Some(_), Some(_)) => {
                let (setting, beside) = ("shape_file", "shape");
                problems.push(SettingsProblem::Beside { setting, beside });
                None
            }
            (None, None) => {
                problems.push(SettingsProblem::Missing { setting: "shape" });
                None
            }
            (None, Some(path)) => Some(Source::File(raw.folder.join(path), Mutex::default())),
            (Some(name), None) => match Shape::built_in(&name) {
                None => {
                    let form = "`guangdong` or `gbt36906`";
                    problems.push(SettingsProblem::Form { setting: "shape", form });
                    None
                }
                Some(shape) => match given.complete(shape) {
                    Ok(ready) => Some(Source::BuiltIn(Arc::new(ready))),
                    Err(why) => {
                        problems.push(SettingsProblem::Unknown(why));
                        None
                    }
                },
            },
        };
        let settings = Self {
            name: raw.name.clone(),
            url: url?,
            ca: raw.ca.clone()?,
            identity,
            connect_timeout,
            timeout,
            access_id,
            secret_file: file(own.secret_file),
            sign_key_file: file(own.sign_key_file),
            sign_key_id: own.sign_key_id,
            code_map: raw.code_map.clone().map(CodeMapFile::new),
            given,
            shape: shape?,
        };
        (problems.len() == before).then_some(settings)
    }

    /// The shape as its file has it now.
    ///
    /// # Errors
    /// `Configuration`: the file cannot be read or holds no shape that fits the settings.
    pub(crate) fn ready(&self) -> Result<Arc<Ready>, DeliveryError> {
        let (path, kept) = match &self.shape {
            Source::BuiltIn(ready) => return Ok(ready.clone()),
            Source::File(path, kept) => (path, kept),
        };
        let unreadable = |error: std::io::Error| {
            let (setting, path) = ("shape_file", path.clone());
            DeliveryError::Configuration(Problem::FileUnreadable {
                setting,
                path,
                kind: error.kind(),
            })
        };
        let about = fs::metadata(path).map_err(unreadable)?;
        let stamp = (about.modified().map_err(unreadable)?, about.len());
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, ready)) = &*kept
            && *known == stamp
        {
            return Ok(ready.clone());
        }
        if stamp.1 > LIMIT {
            let (setting, path) = ("shape_file", path.clone());
            return Err(DeliveryError::Configuration(Problem::FileUnusable {
                setting,
                path,
                why: "is larger than 1 MiB",
            }));
        }
        let ready = Shape::parse(&fs::read(path).map_err(unreadable)?)
            .and_then(|shape| self.given.complete(shape))
            .map_err(|why| DeliveryError::Configuration(Problem::ShapeUnusable { why }))?;
        let ready = Arc::new(ready);
        *kept = Some((stamp, ready.clone()));
        Ok(ready)
    }

    /// Host and port, for errors.
    pub(crate) fn address(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}:{}", self.url.port_or_known_default().unwrap_or(443))
    }

    /// As in the header `Host`.
    pub(crate) fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The path before the paths of calls.
    pub(crate) fn prefix(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// The files that hold what proves who we are.
    pub(crate) fn secrets(&self) -> [(&'static str, Option<&Path>); 2] {
        [
            ("secret_file", self.secret_file.as_deref()),
            ("sign_key_file", self.sign_key_file.as_deref()),
        ]
    }
}

impl Given {
    /// The shape with what the settings say; what is missing or does not fit is told.
    fn complete(&self, mut shape: Shape) -> Result<Ready, String> {
        if let Some(sign) = &self.sign {
            shape.check_sign(sign)?;
            shape.sign = Some(sign.clone());
        }
        for (call, path) in &self.paths {
            shape::check_path(path).map_err(|why| format!("paths.{call} {why}"))?;
            let call = match call.as_str() {
                "token" => shape.token.as_mut().map(|token| &mut token.call),
                "send" => Some(&mut shape.send.call),
                "counts" => shape.counts.as_mut().map(|counts| &mut counts.call),
                "tallies" => shape.tallies.as_mut().map(|tallies| &mut tallies.call),
                "holdings" => shape.holdings.as_mut().map(|holdings| &mut holdings.call),
                _ => None,
            };
            let call = call.ok_or("`paths` has a call that the shape has not")?;
            call.path = Some(path.clone());
        }
        let mut values = BTreeMap::new();
        for (name, default) in &shape.values {
            let value = self.values.get(name).cloned().map(|text| braces(&text));
            match value.or_else(|| default.clone()) {
                Some(value) => drop(values.insert(name.clone(), value)),
                None => return Err(format!("the shape needs `values.{name}`")),
            }
        }
        if let Some(other) = self.values.keys().find(|name| !shape.values.contains_key(*name)) {
            return Err(format!("the shape has no value `{other}`"));
        }
        if shape.token.as_ref().is_some_and(|token| uses(token.call.body.as_ref(), "secret"))
            && !self.has_secret
        {
            return Err("the shape logs in with a secret: `secret_file` is missing".to_owned());
        }
        match &shape.sign {
            Some(sign) if sign.method == Method::Rfc9421 && !(self.has_key && self.has_key_id) => {
                return Err("signing needs `sign_key_file` and `sign_key_id`".to_owned());
            }
            Some(_) if !self.has_key && !self.has_secret => {
                return Err("signing needs `sign_key_file` or `secret_file`".to_owned());
            }
            _ => {}
        }
        Ok(Ready { shape, values })
    }
}

/// A setting is a text, not a template.
fn braces(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

fn uses(body: Option<&serde_json::Value>, prefix: &str) -> bool {
    let names = body.and_then(|body| template::names_in(body).ok()).unwrap_or_default();
    names.iter().any(|name| name.starts_with(prefix))
}

fn base(text: &str) -> Option<Url> {
    let base = Url::parse(text).ok()?;
    let plain = base.username().is_empty()
        && base.password().is_none()
        && base.query().is_none()
        && base.fragment().is_none();
    (base.scheme() == "https" && plain && base.host_str().is_some()).then_some(base)
}
