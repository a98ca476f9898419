//! Settings of an HTTPS receiver, checked.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;

use crate::{ConnectorSettings, SettingsProblem};

/// Checked settings of a [`super::HttpPush`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The connector's name.
    pub name: String,
    /// Where records go: `…/records`.
    pub(crate) records: Url,
    /// Where counts come from: `…/counts`.
    pub(crate) counts: Url,
    /// PEM certificates that the receiver's certificate must lead to.
    pub ca: PathBuf,
    /// PEM chain of the client certificate, leaf first.
    pub certificate: PathBuf,
    /// PEM key of the client certificate.
    pub key: PathBuf,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long an answer may take, from sending on.
    pub timeout: Duration,
}

impl Settings {
    /// Adds what is wrong to `problems`; `None` only if there is something.
    pub(crate) fn check(
        raw: &ConnectorSettings,
        name: String,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        raw.refuse_others("http", problems);
        Self::check_url(raw, name, problems, false)
    }

    /// As [`Settings::check`], for a service whose address is used as it is.
    pub(crate) fn check_exact(
        raw: &ConnectorSettings,
        name: String,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        Self::check_url(raw, name, problems, true)
    }

    fn check_url(
        raw: &ConnectorSettings,
        name: String,
        problems: &mut Vec<SettingsProblem>,
        exact: bool,
    ) -> Option<Self> {
        let (connect_timeout, timeout) = raw.timeouts(problems);
        let url = match &raw.url {
            Some(text) => {
                let urls = urls(text).map(|(records, counts)| match Url::parse(text) {
                    Ok(url) if exact => (url, counts),
                    _ => (records, counts),
                });
                if urls.is_none() {
                    let form = "`https://host[:port][/path]`, without user, query and fragment";
                    problems.push(SettingsProblem::Form { setting: "url", form });
                }
                urls
            }
            None => {
                problems.push(SettingsProblem::Missing { setting: "url" });
                None
            }
        };
        let mut file = |setting, value: &Option<PathBuf>| {
            if value.is_none() {
                problems.push(SettingsProblem::Missing { setting });
            }
            value.clone()
        };
        let ca = file("ca", &raw.ca);
        let certificate = file("certificate", &raw.certificate);
        let key = file("key", &raw.key);
        let (records, counts) = url?;
        Some(Self {
            name,
            records,
            counts,
            ca: ca?,
            certificate: certificate?,
            key: key?,
            connect_timeout,
            timeout,
        })
    }

    /// Host and port, for errors.
    pub(crate) fn address(&self) -> String {
        let host = self.records.host_str().unwrap_or_default();
        format!("{host}:{}", self.records.port_or_known_default().unwrap_or(443))
    }
}

fn urls(text: &str) -> Option<(Url, Url)> {
    let base = Url::parse(text).ok()?;
    let plain = base.username().is_empty()
        && base.password().is_none()
        && base.query().is_none()
        && base.fragment().is_none();
    if base.scheme() != "https" || !plain {
        return None;
    }
    let below = |last: &str| {
        let mut url = base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().push(last);
        Some(url)
    };
    Some((below("records")?, below("counts")?))
}
