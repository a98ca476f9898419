//! Settings of a receiver of events, checked.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;
use serde::Deserialize;

use super::wire;
use crate::{ConnectorSettings, SettingsProblem};

/// What only this kind has, as written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    source: Option<String>,
    receiver: Option<String>,
}

/// Checked settings of a [`super::Push`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The connector's name.
    pub name: String,
    /// Where events go.
    pub(crate) events: Url,
    /// Who sends them: the attribute `source`.
    pub(crate) source: String,
    /// Whether the receiver is a hub, which answers for each event.
    pub(crate) is_hub: bool,
    /// PEM certificates that the receiver's certificate must lead to.
    pub(crate) ca: PathBuf,
    /// PEM chain of the client certificate, leaf first.
    pub(crate) certificate: PathBuf,
    /// PEM key of the client certificate.
    pub(crate) key: PathBuf,
    /// How long a connection may take to come about.
    pub(crate) connect_timeout: Duration,
    /// How long an answer may take, from sending on.
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Adds what is wrong to `problems`; `None` only if there is something.
    pub(crate) fn check(
        raw: &ConnectorSettings,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        let own: Option<Raw> = raw.of_kind("push", &["url", "certificate", "key"], problems);
        if raw.code_map.is_some() {
            // What is signed is sent as it is.
            problems.push(SettingsProblem::NotOfKind { setting: "code_map", kind: "push" });
        }
        let (connect_timeout, timeout) = raw.timeouts(problems);
        let events = required("url", raw.url.as_deref(), problems).and_then(|text| {
            let url = address(text);
            if url.is_none() {
                let form = "`https://host[:port]/path`, without user, query and fragment";
                problems.push(SettingsProblem::Form { setting: "url", form });
            }
            url
        });
        let ca = required("ca", raw.ca.clone(), problems);
        let certificate = required("certificate", raw.certificate.clone(), problems);
        let key = required("key", raw.key.clone(), problems);
        let own = own?;
        let source = required("source", own.source, problems);
        if source.as_deref().is_some_and(|source| !wire::is_source(source)) {
            let form =
                "1 to 120 visible characters that name this hub, such as `https://hub.example`";
            problems.push(SettingsProblem::Form { setting: "source", form });
        }
        let is_hub = match own.receiver.as_deref() {
            None | Some("hub") => true,
            Some("any") => false,
            Some(_) => {
                problems
                    .push(SettingsProblem::Form { setting: "receiver", form: "`hub` or `any`" });
                true
            }
        };
        Some(Self {
            name: raw.name.clone(),
            events: events?,
            source: source?,
            is_hub,
            ca: ca?,
            certificate: certificate?,
            key: key?,
            connect_timeout,
            timeout,
        })
    }

    /// Host and port, for errors.
    pub(crate) fn address(&self) -> String {
        let host = self.events.host_str().unwrap_or_default();
        format!("{host}:{}", self.events.port_or_known_default().unwrap_or(443))
    }

    /// The hub's call with this name, beside the one that takes events.
    pub(crate) fn beside(&self, name: &str) -> Url {
        let mut url = self.events.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().pop().push(name);
        }
        url
    }
}

fn required<T>(
    setting: &'static str,
    value: Option<T>,
    problems: &mut Vec<SettingsProblem>,
) -> Option<T> {
    if value.is_none() {
        problems.push(SettingsProblem::Missing { setting });
    }
    value
}

fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (url.scheme() == "https" && plain && url.path() != "/").then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(more: serde_json::Value) -> ConnectorSettings {
        let mut settings = serde_json::json!({
            "name": "neighbour", "kind": "push", "url": "https://hub.example/v1/exchange/events",
            "ca": "ca.pem", "certificate": "client.pem", "key": "client.key",
            "source": "https://here.example",
        });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        settings.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        serde_json::from_value(settings).unwrap()
    }

    fn checked(more: serde_json::Value) -> Result<Settings, Vec<String>> {
        let mut problems = Vec::new();
        let settings = Settings::check(&raw(more), &mut problems);
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn right_settings_are_right() {
        let hub = checked(serde_json::json!({})).unwrap();
        assert!(hub.is_hub);
        assert_eq!(hub.beside("tallies").as_str(), "https://hub.example/v1/exchange/tallies");
        assert_eq!(hub.address(), "hub.example:443");
        assert!(!checked(serde_json::json!({"receiver": "any"})).unwrap().is_hub);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = checked(serde_json::json!({
            "url": "http://hub.example/x", "source": "a b", "receiver": "city", "key": null,
            "code_map": "map.json", "host": "x",
        }));
        assert_eq!(
            wrong.unwrap_err(),
            [
                "`host` is not a setting of kind `push`",
                "`code_map` is not a setting of kind `push`",
                "`url` must be `https://host[:port]/path`, without user, query and fragment",
                "`key` is missing",
                "`source` must be 1 to 120 visible characters that name this hub, such as `https://hub.example`",
                "`receiver` must be `hub` or `any`",
            ]
        );
        let unknown = checked(serde_json::json!({"sauce": "x"})).unwrap_err();
        assert!(unknown[0].contains("unknown field `sauce`"), "{unknown:?}");
        for url in ["https://hub.example", "https://u@hub.example/x", "https://hub.example/x?t=1"] {
            assert!(checked(serde_json::json!({ "url": url })).is_err(), "{url}");
        }
    }
}
