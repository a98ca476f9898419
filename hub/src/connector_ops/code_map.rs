//! The code map of a connector: read, and replaced by one that is right. The one before stays beside it.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use connectors::code_map::{CodeMap, CodeMapError};
use jiff::{Timestamp, tz::Offset};
use licence::Sha256Digest;
use serde::Serialize;
use serde_json::json;

use super::{By, OpsError, runner, trace};
use crate::Hub;

/// The largest code map that connectors read, in bytes.
const LIMIT: usize = 1 << 20;

/// One replacement at a time: each is of what was read, and all of them write to the same name beside the file.
static REPLACING: Mutex<()> = Mutex::new(());

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
    if text.len() > LIMIT {
        return Err(CodeMapError::Form("it is larger than 1 MiB".to_owned()).into());
    }
    CodeMap::parse(text.as_bytes())?;
    let before = read(&path)?;
    if replaces.is_some_and(|digest| digest != before.sha256) {
        return Err(OpsError::CodeMapChanged);
    }
    let after = CodeMapText { sha256: certs::sha256(text.as_bytes()), text: text.to_owned() };
    let detail = json!({ "before": before.sha256, "after": after.sha256 });
    trace::traced(hub, name, by, "code_map", detail, async {
        if after.sha256 != before.sha256 {
            replace(&path, &before, &after, hub.clock.now())?;
        }
        Ok(after)
    })
    .await
}

fn replace(
    path: &Path,
    before: &CodeMapText,
    after: &CodeMapText,
    now: Timestamp,
) -> Result<(), OpsError> {
    let _one = REPLACING.lock().unwrap_or_else(PoisonError::into_inner);
    // What the settings name may be a link: what it leads to is replaced, and the link stays.
    let path = fs::canonicalize(path).map_err(OpsError::CodeMapFile)?;
    // The reason was written down meanwhile, and somebody may have been faster.
    if read(&path)?.sha256 != before.sha256 {
        return Err(OpsError::CodeMapChanged);
    }
    put(&path, &before.text, &after.text, now).map_err(OpsError::CodeMapFile)
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
    // Never through a link, nor into a file that is there: one of an attempt that was broken off goes first.
    let part = beside(".part");
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = fs::File::create_new(&part)?;
    new.write_all(after.as_bytes())?;
    new.set_permissions(fs::metadata(path)?.permissions())?;
    new.sync_all()?;
    fs::rename(&part, path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(text: &str) -> CodeMapText {
        CodeMapText { sha256: certs::sha256(text.as_bytes()), text: text.to_owned() }
    }

    #[test]
    fn a_map_is_replaced_by_who_read_the_one_that_is_there_and_never_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (target, link) = (at("map.json"), at("link.json"));
        fs::write(&target, "old").unwrap();
        fs::write(at("other"), "another's").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        std::os::unix::fs::symlink(at("other"), at("map.json.part")).unwrap();
        let now = Timestamp::UNIX_EPOCH;

        replace(&link, &text_of("old"), &text_of("new"), now).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::read_to_string(at("other")).unwrap(), "another's");
        let kept = at("map.json.19700101T000000Z.before");
        assert_eq!(fs::read_to_string(kept).unwrap(), "old");

        let late = replace(&target, &text_of("old"), &text_of("late"), now).unwrap_err();
        assert_eq!(late.code(), "code_map_changed");
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    }
}
