//! Where things lie below the trust folder, and how they are written: whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::config::Config;

/// Most files that are looked at in one folder. A district has a handful of authorities.
pub const MOST_FILES: usize = 1_000;

/// The largest file that is read: as large as the largest revocation list, and its PEM form.
pub const MOST_BYTES: u64 = 48 << 20;

/// The trust folder (`trust.folder`, by default `trust` below `data`).
#[derive(Clone, Debug)]
pub struct TrustFolder {
    path: PathBuf,
}

impl TrustFolder {
    /// The folder of these settings.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let path = config.trust.folder.clone();
        Self { path: path.unwrap_or_else(|| config.data.join("trust")) }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The list of anchors, `yihao-anchors-1`.
    #[must_use]
    pub fn register(&self) -> PathBuf {
        self.path.join("anchors.json")
    }

    /// Certificates of the anchors, PEM. One that the list does not name is trusted for nothing.
    #[must_use]
    pub fn anchors(&self) -> PathBuf {
        self.path.join("anchors")
    }

    /// Intermediate certificates, PEM; any file here is read.
    #[must_use]
    pub fn intermediates(&self) -> PathBuf {
        self.path.join("intermediates")
    }

    /// Revocation lists, PEM or DER; any file here is read.
    #[must_use]
    pub fn crls(&self) -> PathBuf {
        self.path.join("crls")
    }

    /// OCSP answers, DER; any file here is read.
    #[must_use]
    pub fn ocsp(&self) -> PathBuf {
        self.path.join("ocsp")
    }

    /// What was believed last of each file, for when the file itself is damaged: the hub's own.
    #[must_use]
    pub fn held(&self) -> PathBuf {
        self.path.join("held")
    }

    /// What operators did, one JSON line each.
    #[must_use]
    pub fn acts(&self) -> PathBuf {
        self.path.join("acts.jsonl")
    }

    /// Makes the folder and those below it.
    ///
    /// # Errors
    /// The file system's.
    pub fn make(&self) -> io::Result<()> {
        let held = ["anchors", "crls", "ocsp"].map(|name| self.held().join(name));
        let own = [self.anchors(), self.intermediates(), self.crls(), self.ocsp()];
        own.iter().chain(&held).try_for_each(fs::create_dir_all)
    }

    /// Only one program changes the list of anchors at a time: the lock goes with the file.
    ///
    /// # Errors
    /// The file system's.
    pub fn lock(&self) -> io::Result<File> {
        let file = File::create(self.path.join(".lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// The path below the folder, for people.
    #[must_use]
    pub fn place(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).display().to_string()
    }
}

/// The files dropped into a folder, by name: no hidden ones, no notes of ours, nothing half written by
/// ourselves. A folder that is not there is empty.
///
/// # Errors
/// The file system's.
pub fn dropped(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
        if !name.starts_with('.') && !name.ends_with(NOTE) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files.truncate(MOST_FILES);
    Ok(files)
}

/// Ends the name of a note that says why the file beside it was refused.
const NOTE: &str = ".refused";

/// Says beside a file why it was refused, or takes away what was said. That it cannot be written (a
/// folder that is read only) is no failure: `/readyz` says the same.
pub fn note(file: &Path, refused: Option<&str>) {
    let mut name = file.as_os_str().to_owned();
    name.push(NOTE);
    let path = PathBuf::from(name);
    match refused {
        Some(said) => {
            if fs::read_to_string(&path).ok().as_deref() != Some(said) {
                let _ = write_atomically(&path, said.as_bytes());
            }
        }
        None => {
            let _ = fs::remove_file(path);
        }
    }
}

/// Takes away notes whose file is gone.
pub fn sweep_notes(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let note = entry.path();
        let file = note.to_str().and_then(|name| name.strip_suffix(NOTE)).map(Path::new);
        if file.is_some_and(|file| !file.exists()) {
            let _ = fs::remove_file(note);
        }
    }
}

/// Reads a file of at most [`MOST_BYTES`].
///
/// # Errors
/// The file system's; `FileTooLarge`.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(bytes)
}

/// Writes a file so that a reader, or a power cut, meets the old bytes or the new ones.
///
/// # Errors
/// The file system's.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Tells one state of a file from another without reading it: two states of a file differ in one of
/// these, since a new file has another inode and writing moves the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print {
    path: PathBuf,
    seen: Option<(u64, SystemTime, u64)>,
}

impl Print {
    /// The state of a file now; that it is missing is a state too.
    pub fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let seen = fs::metadata(path).ok().map(|found| {
            (found.len(), found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.ino())
        });
        Self { path: path.to_owned(), seen }
    }
}
