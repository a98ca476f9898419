//! The code map of a connector: read, and replaced by one that is right. The one before stays beside it.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use connectors::code_map::CodeMap;
use jiff::{Timestamp, tz::Offset};
use licence::Sha256Digest;
use serde::Serialize;
use serde_json::json;

use super::{By, OpsError, runner, trace};
use crate::Hub;

/// A code map as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CodeMapText {
    /// The file's text.
    pub text: String,
    /// SHA-256 of it: says which one another is to replace.
    pub sha256: Sha256Digest,
}

/// The code map of this connector.
///
/// # Errors
/// `Unknown`, `ForCases`, `NoCodeMap`, `CodeMapFile`.
pub fn code_map(hub: &Hub, name: &str) -> Result<CodeMapText, OpsError> {
    read(&path(hub, name)?)
}

fn path(hub: &Hub, name: &str) -> Result<PathBuf, OpsError> {
    runner(hub, name)?;
    let mut all = hub.settings().connectors.iter();
    let settings = all.find(|settings| settings.name() == name).ok_or(OpsError::Unknown)?;
    settings.code_map.clone().ok_or(OpsError::NoCodeMap)
}

fn read(path: &Path) -> Result<CodeMapText, OpsError> {
    let text = fs::read_to_string(path).map_err(OpsError::CodeMapFile)?;
    let sha256 = certs::sha256(text.as_bytes());
    Ok(CodeMapText { text, sha256 })
}

/// Puts another code map in its place; it counts from the next delivery on. The one before is kept beside it, as
/// `FILE.TIME.before`; the trace has the digests of both.
///
/// * `replaces`: the digest of the one that was read; another in its place means that somebody was faster.
///
/// # Errors
/// `Unknown`, `ForCases`, `NoCodeMap`, `CodeMap`, `CodeMapChanged`, `CodeMapFile`, `Store`.
pub async fn replace_code_map(
    hub: &Hub,
    name: &str,
    text: &str,
    replaces: Option<Sha256Digest>,
    by: &By,
) -> Result<CodeMapText, OpsError> {
    let path = path(hub, name)?;
    CodeMap::parse(text.as_bytes())?;
    let before = read(&path)?;
    if replaces.is_some_and(|digest| digest != before.sha256) {
        return Err(OpsError::CodeMapChanged);
    }
    let after = CodeMapText { sha256: certs::sha256(text.as_bytes()), text: text.to_owned() };
    let detail = json!({ "before": before.sha256, "after": after.sha256 });
    trace::traced(hub, name, by, "code_map", detail, async {
        if after.sha256 != before.sha256 {
            put(&path, &before.text, &after.text, hub.clock.now())
                .map_err(OpsError::CodeMapFile)?;
        }
        Ok(after)
    })
    .await
}

fn put(path: &Path, before: &str, after: &str, now: Timestamp) -> io::Result<()> {
    let time = Offset::UTC.to_datetime(now).strftime("%Y%m%dT%H%M%SZ").to_string();
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    // Each under a name of its own, also in one second.
    let mut kept = beside(&format!(".{time}.before"));
    let mut again = 1;
    let mut old = loop {
        match fs::File::create_new(&kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && again < 1_000 => {
                again += 1;
                kept = beside(&format!(".{time}-{again}.before"));
            }
            opened => break opened?,
        }
    };
    old.write_all(before.as_bytes())?;
    old.sync_all()?;
    let part = beside(".part");
    let mut new = fs::File::create(&part)?;
    new.write_all(after.as_bytes())?;
    new.sync_all()?;
    fs::set_permissions(&part, fs::metadata(path)?.permissions())?;
    fs::rename(&part, path)
}
