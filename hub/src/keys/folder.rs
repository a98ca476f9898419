//! The folder of keys: `keys.json`, and for each key `ID.pem` (certificates), `ID.key` (encrypted) or nothing
//! where the key is in a module, and `ID.csr` while it waits for its certificate. Beside them `published.pem`:
//! all certificates, for whoever checks signatures offline.
//!
//! `keys.json` is what counts: it is replaced in one step after everything it names is on the disk.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use certs::Certificate;

use super::{
    KeysError,
    book::{self, Book, Key, KeyId},
};

/// Most bytes of a chain or key file.
const MOST_BYTES: u64 = 1 << 20;

/// Where keys are kept.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Nobody else changes the book meanwhile.
pub struct Lock(#[expect(dead_code, reason = "held until it is dropped")] File);

impl Folder {
    /// A folder that may not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The book's file.
    #[must_use]
    pub fn book_path(&self) -> PathBuf {
        self.0.join("keys.json")
    }

    /// A file of a key.
    #[must_use]
    pub fn file(&self, id: &KeyId, ending: &str) -> PathBuf {
        self.0.join(format!("{id}.{ending}"))
    }

    /// Takes the right to change the book, making the folder if need be.
    ///
    /// # Errors
    /// `Busy` if another command has it; `File`.
    pub fn lock(&self) -> Result<Lock, KeysError> {
        fs::create_dir_all(&self.0).map_err(|source| file(&self.0, source))?;
        let path = self.0.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| file(&path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Lock(lock)),
            Err(TryLockError::WouldBlock) => Err(KeysError::Busy),
            Err(TryLockError::Error(source)) => Err(file(&path, source)),
        }
    }

    /// The book; an empty one where there is none.
    ///
    /// # Errors
    /// `File`, `Book`.
    pub fn book(&self) -> Result<Book, KeysError> {
        match read(&self.book_path(), book::MOST_BYTES) {
            Ok(bytes) => Ok(Book::parse(&bytes)?),
            Err(KeysError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Book::default())
            }
            Err(error) => Err(error),
        }
    }

    /// The certificates of a key, its own first.
    ///
    /// # Errors
    /// `File`, `Certificate`; `OtherCertificate` if it is not the one that the book names.
    pub fn chain(&self, key: &Key) -> Result<Vec<Certificate>, KeysError> {
        let path = self.file(&key.id, "pem");
        let chain = Certificate::many_from_pem(&read(&path, MOST_BYTES)?)?;
        match chain.first() {
            Some(own) if Some(own.sha256()) == key.certificate => Ok(chain),
            _ => Err(KeysError::OtherCertificate(key.id.clone())),
        }
    }

    /// A key's encrypted file.
    ///
    /// # Errors
    /// `File`.
    pub fn key_file(&self, id: &KeyId) -> Result<Vec<u8>, KeysError> {
        read(&self.file(id, "key"), MOST_BYTES)
    }

    /// Writes a file of a key.
    ///
    /// # Errors
    /// `File`.
    pub fn write(&self, id: &KeyId, ending: &str, bytes: &[u8]) -> Result<PathBuf, KeysError> {
        let path = self.file(id, ending);
        replace(&path, bytes, if ending == "key" { 0o600 } else { 0o644 })?;
        Ok(path)
    }

    /// Writes the book, and the certificates it publishes.
    ///
    /// # Errors
    /// `File`.
    pub fn keep(&self, _: &Lock, book: &Book) -> Result<(), KeysError> {
        let published: String = book
            .keys()
            .iter()
            .filter(|key| key.certificate.is_some())
            .filter_map(|key| self.chain(key).ok())
            .filter_map(|chain| chain.first().map(Certificate::to_pem))
            .collect();
        replace(&self.book_path(), &book.to_bytes(), 0o644)?;
        replace(&self.0.join("published.pem"), published.as_bytes(), 0o644)
    }
}

/// Reads a bounded file.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, KeysError> {
    let mut bytes = Vec::new();
    let wrong = |source| file(path, source);
    let length = File::open(path).map_err(wrong)?.take(most + 1).read_to_end(&mut bytes);
    if length.map_err(wrong)? as u64 > most {
        return Err(file(path, io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    Ok(bytes)
}

/// Replaces a file in one step that survives a power cut.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeysError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let new = path.with_added_extension("new");
    let write = || {
        let mut out =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&new, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| file(path, source))
}

fn file(path: &Path, source: io::Error) -> KeysError {
    KeysError::File { path: path.to_owned(), source }
}
