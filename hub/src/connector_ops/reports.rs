//! Reports of comparisons: one JSON file each, the last ones kept (`docs/operations.md`, Connectors at work).

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::PoisonError,
};

use connectors::Reconciliation;
use jiff::{SignedDuration, Timestamp, tz::Offset};
use serde::{Deserialize, Serialize};

use super::{OpsError, runner};
use crate::Hub;

/// The name of the format.
const FORMAT: &str = "yihao-reconciliation-1";
/// Reports of one connector that are kept.
const KEPT: usize = 60;

/// Why both sides were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// It was time to.
    Schedule,
    /// An operator asked.
    Request,
}

/// What comparing both sides came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `yihao-reconciliation-1`.
    pub format: String,
    /// Names it among those of its connector: when it began, in UTC. They sort by time.
    pub id: String,
    /// Why it was made.
    pub trigger: Trigger,
    /// What was found.
    #[serde(flatten)]
    pub found: Reconciliation,
}

/// Compares, has sent again what differs, and keeps the report.
pub(super) async fn compare(hub: &Hub, name: &str, trigger: Trigger) -> Result<Report, OpsError> {
    let runner = runner(hub, name)?;
    let _running = Running::begin(hub, name)?;
    let last = reconciliations(hub, name, 1).await?;
    let after = last.first().and_then(|last| last.found.go_on_after);
    let at = hub.clock.now();
    let mut found = runner.reconcile_after(after).await?;
    // By the clock that says when the next one is due.
    found.at = at;
    told(&found);
    let resend = found.to_resend();
    found.resent = resend.len() as u64;
    if !resend.is_empty() {
        runner.resend(resend).await?;
    }
    let report = Report { format: FORMAT.to_owned(), id: id_of(found.at), trigger, found };
    let folder = folder(hub, name);
    aside(move || keep(&folder, report)).await
}

/// For alerts: what differs and is not explained, and when that was found.
fn told(found: &Reconciliation) {
    let differing = found.missing.saturating_add(found.extra).saturating_add(found.different);
    metrics::gauge!("yihao_connector_differences", "connector" => found.connector.clone())
        .set(differing as f64);
    metrics::gauge!("yihao_connector_compared_seconds", "connector" => found.connector.clone())
        .set(found.at.as_second() as f64);
}

/// The reports of a connector, newest first, at most `limit`.
///
/// # Errors
/// `Unknown`, `ForCases`, `Reports`.
pub async fn reconciliations(hub: &Hub, name: &str, limit: usize) -> Result<Vec<Report>, OpsError> {
    runner(hub, name)?;
    let folder = folder(hub, name);
    aside(move || {
        let ids = ids(&folder)?.into_iter().rev().take(limit);
        // One that is removed meanwhile, or damaged, is left out.
        Ok(ids.filter_map(|id| read(&folder, &id).ok()).collect())
    })
    .await
}

/// One report.
///
/// # Errors
/// `Unknown`, `ForCases`, `UnknownReport`, `Reports`.
pub async fn reconciliation(hub: &Hub, name: &str, id: &str) -> Result<Report, OpsError> {
    runner(hub, name)?;
    if !is_id(id) {
        return Err(OpsError::UnknownReport);
    }
    let (folder, id) = (folder(hub, name), id.to_owned());
    match aside(move || read(&folder, &id)).await {
        Err(OpsError::Reports(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(OpsError::UnknownReport)
        }
        read => read,
    }
}

fn folder(hub: &Hub, name: &str) -> PathBuf {
    hub.settings().data.join("reconciliations").join(name)
}

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, OpsError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(std::io::Error::other("the thread was stopped")))
        .map_err(OpsError::Reports)
}

fn id_of(at: Timestamp) -> String {
    let text = Offset::UTC.to_datetime(at).strftime("%Y%m%dT%H%M%S").to_string();
    format!("{text}.{:06}Z", at.subsec_microsecond().unsigned_abs())
}

/// `20260302T010203.000456Z`: also what keeps an address from naming any other file.
fn is_id(text: &str) -> bool {
    text.len() == 23
        && text.bytes().enumerate().all(|(position, byte)| match position {
            8 => byte == b'T',
            15 => byte == b'.',
            22 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

fn ids(folder: &Path) -> std::io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
        ids.extend(id.filter(|id| is_id(id)).map(str::to_owned));
    }
    ids.sort_unstable();
    Ok(ids)
}

fn read(folder: &Path, id: &str) -> std::io::Result<Report> {
    let bytes = fs::read(folder.join(format!("{id}.json")))?;
    serde_json::from_slice(&bytes).map_err(std::io::Error::other)
}

/// Under its own name once it is whole; the oldest go.
fn keep(folder: &Path, mut report: Report) -> std::io::Result<Report> {
    fs::create_dir_all(folder)?;
    // Where a clock stands, or was set back, two have one moment: none takes another's place.
    let mut at = report.found.at;
    while folder.join(format!("{}.json", report.id)).try_exists()? {
        at += SignedDuration::from_micros(1);
        report.id = id_of(at);
    }
    let part = folder.join(format!("{}.part", report.id));
    let mut file = fs::File::create(&part)?;
    file.write_all(&serde_json::to_vec_pretty(&report).map_err(std::io::Error::other)?)?;
    file.sync_all()?;
    fs::rename(&part, folder.join(format!("{}.json", report.id)))?;
    fs::File::open(folder)?.sync_all()?;
    let ids = ids(folder)?;
    for old in &ids[..ids.len().saturating_sub(KEPT)] {
        fs::remove_file(folder.join(format!("{old}.json")))?;
    }
    Ok(report)
}

/// Holds a connector while both sides are compared: once at a time.
struct Running<'a>(&'a Hub, String);

impl<'a> Running<'a> {
    fn begin(hub: &'a Hub, name: &str) -> Result<Self, OpsError> {
        let mut running = hub.reconciling.lock().unwrap_or_else(PoisonError::into_inner);
        if running.insert(name.to_owned()) {
            Ok(Self(hub, name.to_owned()))
        } else {
            Err(OpsError::Reconciling)
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.reconciling.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_named_by_its_time_and_nothing_else_is_a_name() {
        let at: Timestamp = "2026-03-02T01:02:03.000456789Z".parse().unwrap();
        assert_eq!(id_of(at), "20260302T010203.000456Z");
        assert!(is_id(&id_of(at)));
        for text in [
            "",
            "..",
            "20260302T010203.000456",
            "../../../../../etc/passwd",
            "20260302T010203/000456Z",
        ] {
            assert!(!is_id(text), "{text}");
        }
    }
}
