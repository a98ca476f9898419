//! Settings of a file drop, checked.

use std::{path::PathBuf, time::Duration};

use encoding_rs::{Encoding, GB18030, GBK, UTF_8};
use serde::Deserialize;

use super::manifest::Content;
use crate::{
    ConnectorSettings, SettingsProblem,
    sftp::{self, Target},
};

/// What only this kind has, as written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    host_key: Option<PathBuf>,
    folder: Option<String>,
    answers: Option<String>,
    format: Option<String>,
    encoding: Option<String>,
    keep_days: Option<u64>,
}

/// Checked settings of a [`super::Files`].
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The connector's name.
    pub name: String,
    /// The server.
    pub target: Target,
    /// Where batches go.
    pub folder: String,
    /// Where answers come.
    pub answers: String,
    /// NDJSON or CSV.
    pub content: Content,
    /// In which encoding data files are written and answers may come.
    pub encoding: &'static Encoding,
    /// How long what was answered stays there; `None`: for ever.
    pub keep: Option<Duration>,
    /// The code map; `None`: the built-in one.
    pub code_map: Option<PathBuf>,
}

impl Settings {
    /// Adds what is wrong to `problems`; `None` only if there is something.
    pub(crate) fn check(
        raw: &ConnectorSettings,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        let own: Option<Raw> = raw.of_kind("files", &sftp::SHARED_SETTINGS, problems);
        let own = own?;
        if raw.ca.is_some() {
            // What shows that the server is the right one is its host key.
            problems.push(SettingsProblem::NotOfKind { setting: "ca", kind: "files" });
        }
        let host_key = own.host_key.as_ref().map(|path| raw.folder.join(path));
        let target = Target::check(raw, host_key.as_deref(), problems);
        let folder = check_folder("folder", own.folder.as_deref(), problems);
        let beside = folder.as_deref().map(|folder| sftp::join(folder, "answers"));
        let answers = match own.answers.as_deref() {
            None => beside,
            given => check_folder("answers", given, problems),
        };
        if answers.is_some() && answers == folder {
            problems.push(SettingsProblem::Beside { setting: "answers", beside: "folder" });
        }
        let mut form = |setting, form| problems.push(SettingsProblem::Form { setting, form });
        let content = match own.format.as_deref() {
            None | Some("ndjson") => Content::Ndjson,
            Some("csv") => Content::Csv,
            Some(_) => {
                form("format", "`ndjson` or `csv`");
                Content::Ndjson
            }
        };
        let encoding = match own.encoding.as_deref() {
            None => UTF_8,
            Some(text) => encoding(text).unwrap_or_else(|| {
                form("encoding", "`utf-8`, `gb18030` or `gbk`");
                UTF_8
            }),
        };
        if own.keep_days.is_some_and(|days| days > 3_650) {
            problems.push(SettingsProblem::Range { setting: "keep_days", min: 0, max: 3_650 });
        }
        let keep = own.keep_days.map(|days| Duration::from_secs(days.min(3_650) * 86_400));
        Some(Self {
            name: raw.name.clone(),
            target: target?,
            folder: folder?,
            answers: answers?,
            content,
            encoding,
            keep,
            code_map: raw.code_map.clone(),
        })
    }
}

/// The encodings that files are exchanged in, by their names in settings and manifests.
pub fn encoding(name: &str) -> Option<&'static Encoding> {
    match name.to_ascii_lowercase().as_str() {
        "utf-8" => Some(UTF_8),
        "gb18030" => Some(GB18030),
        "gbk" => Some(GBK),
        _ => None,
    }
}

/// A folder over there, without a slash at its end.
pub(crate) fn check_folder(
    setting: &'static str,
    value: Option<&str>,
    problems: &mut Vec<SettingsProblem>,
) -> Option<String> {
    match value {
        None => {
            problems.push(SettingsProblem::Missing { setting });
            None
        }
        Some(folder) if sftp::is_folder(folder) => {
            // `/out/` and `/out` are one folder.
            let trimmed = folder.trim_end_matches('/');
            Some(if trimmed.is_empty() { "/" } else { trimmed }.to_owned())
        }
        Some(_) => {
            let form = "a path on the file server without `..`, at most 1,000 bytes";
            problems.push(SettingsProblem::Form { setting, form });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(own: serde_json::Value) -> ConnectorSettings {
        ConnectorSettings {
            name: "city".to_owned(),
            kind: "files".to_owned(),
            host: Some("files.example".to_owned()),
            user: Some("yihao".to_owned()),
            key: Some("/etc/yihao/key".into()),
            more: own.as_object().unwrap().clone(),
            folder: "/etc/yihao".into(),
            ..ConnectorSettings::default()
        }
    }

    fn codes(raw: &ConnectorSettings) -> Vec<&'static str> {
        let mut problems = Vec::new();
        let settings = Settings::check(raw, &mut problems);
        assert_eq!(settings.is_none() || !problems.is_empty(), !problems.is_empty());
        problems.iter().map(SettingsProblem::code).collect()
    }

    #[test]
    fn what_is_left_out_has_a_usual_value() {
        let mut problems = Vec::new();
        let own = serde_json::json!({ "host_key": "known", "folder": "/out/" });
        let settings = Settings::check(&raw(own), &mut problems).unwrap();
        assert_eq!(problems, []);
        assert_eq!(settings.target.port, 22);
        assert_eq!(settings.target.host_key, PathBuf::from("/etc/yihao/known"));
        assert_eq!((settings.folder.as_str(), settings.answers.as_str()), ("/out", "/out/answers"));
        assert_eq!((settings.content, settings.encoding), (Content::Ndjson, UTF_8));
        assert_eq!(settings.keep, None);
    }

    #[test]
    fn each_wrong_setting_is_told() {
        let with = |more: serde_json::Value| {
            let mut own = serde_json::json!({ "host_key": "known", "folder": "/out" });
            own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            codes(&raw(own))
        };
        assert_eq!(with(serde_json::json!({ "format": "xml" })), ["setting_form"]);
        assert_eq!(with(serde_json::json!({ "encoding": "latin1" })), ["setting_form"]);
        assert_eq!(with(serde_json::json!({ "folder": "/out/../etc" })), ["setting_form"]);
        assert_eq!(with(serde_json::json!({ "answers": "/out/" })), ["settings_contradict"]);
        assert_eq!(with(serde_json::json!({ "keep_days": 3_651 })), ["setting_out_of_range"]);
        assert_eq!(with(serde_json::json!({ "fodler": "/" })), ["setting_unknown"]);
        assert_eq!(codes(&raw(serde_json::json!({}))), ["setting_missing", "setting_missing"]);
        let mut other = raw(serde_json::json!({ "host_key": "known", "folder": "/out" }));
        other.ca = Some("ca.pem".into());
        other.url = Some("https://x".to_owned());
        assert_eq!(codes(&other), ["setting_not_of_kind", "setting_not_of_kind"]);
    }
}
