//! A code map in a file that may change while the hub runs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::CodeMap;
use crate::{DeliveryError, Problem};

/// The largest code map, in bytes.
const LIMIT: u64 = 1 << 20;

/// A code map that is read again when its file has changed: an operator mends it, and the next attempt uses it.
#[derive(Debug)]
pub struct CodeMapFile {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Arc<CodeMap>)>>,
}

/// What tells that a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl CodeMapFile {
    /// The code map in this file. It is read when it is used.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The map as the file has it now.
    ///
    /// # Errors
    /// `Configuration` with `FileUnreadable` or `CodeMap`: nothing is delivered until someone mends the file.
    pub fn current(&self) -> Result<Arc<CodeMap>, DeliveryError> {
        let unreadable = |error: std::io::Error| {
            DeliveryError::Configuration(Problem::FileUnreadable {
                setting: "code_map",
                path: self.path.clone(),
                kind: error.kind(),
            })
        };
        let about = fs::metadata(&self.path).map_err(unreadable)?;
        let stamp = Stamp { modified: about.modified().map_err(unreadable)?, length: about.len() };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, map)) = &*read
            && *known == stamp
        {
            return Ok(map.clone());
        }
        if stamp.length > LIMIT {
            return Err(DeliveryError::Configuration(Problem::FileUnusable {
                setting: "code_map",
                path: self.path.clone(),
                why: "is larger than 1 MiB",
            }));
        }
        let bytes = fs::read(&self.path).map_err(unreadable)?;
        let map = CodeMap::parse(&bytes).map_err(|error| {
            DeliveryError::Configuration(Problem::CodeMap { path: self.path.clone(), error })
        })?;
        let map = Arc::new(map);
        *read = Some((stamp, map.clone()));
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_was_mended_counts_from_the_next_use_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.json");
        let file = CodeMapFile::new(path.clone());
        assert_eq!(file.current().unwrap_err().code(), "file_unreadable");
        fs::write(&path, "{").unwrap();
        assert_eq!(file.current().unwrap_err().code(), "code_map_form");
        let text = |name: &str| {
            format!(r#"{{"format":"yihao-code-map-1","fields":[{{"as":"{name}","from":"name"}}]}}"#)
        };
        fs::write(&path, text("A")).unwrap();
        assert_eq!(file.current().unwrap().fields[0].name, "A");
        fs::write(&path, text("LONGER")).unwrap();
        assert_eq!(file.current().unwrap().fields[0].name, "LONGER");
    }
}
