//! Files, named by the SHA-256 of their bytes.
//!
//! A small file is put and got whole. A large one arrives in pieces ([`Blobs::arriving`]), is kept under its digest
//! when it is complete ([`Blobs::keep`]), and is read in pieces ([`Blobs::read`]): neither is ever in memory as a whole.

use std::{
    collections::HashSet,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use licence::Sha256Digest;
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;

use crate::decide::sha256;

/// Why a file was not kept or found. Holds no content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// No space left on the device.
    #[error("no space left on the device of the data folder")]
    DiskFull,
    /// The bytes read are not those that the name stands for.
    #[error("the file {digest} is damaged on disk; restore it from the last backup")]
    Corrupt {
        /// Its name.
        digest: Sha256Digest,
    },
    /// The file that arrives is in other hands.
    #[error("the file is being written by somebody else at this moment")]
    Busy,
    /// Reading or writing failed.
    #[error("the files could not be read or written: {detail}")]
    Io {
        /// What the system said.
        detail: String,
    },
}

impl BlobError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Corrupt { .. } => "file_corrupt",
            Self::Busy => "file_busy",
            Self::Io { .. } => "file_io",
        }
    }
}

/// Files by content: the same bytes are kept once. Nothing is ever changed or removed.
#[derive(Debug)]
pub struct Blobs {
    files: LocalFileSystem,
    folder: PathBuf,
    /// Names of arriving files that are in somebody's hands.
    in_hand: Arc<Mutex<HashSet<String>>>,
}

/// Where files are while they arrive; no digest begins with this.
const ARRIVING: &str = "arriving";
/// Bytes read at a time.
const PIECE: usize = 256 << 10;

impl Blobs {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// `Io` if the folder cannot be made.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BlobError> {
        let folder = path.as_ref().to_owned();
        std::fs::create_dir_all(folder.join(ARRIVING)).map_err(|error| io_error(&error))?;
        let files = LocalFileSystem::new_with_prefix(&folder).map_err(blob_error)?;
        Ok(Self { files: files.with_fsync(true), folder, in_hand: Arc::default() })
    }

    /// Keeps the bytes, durably on `Ok`, and names them. The file appears whole or not at all.
    ///
    /// # Errors
    /// `DiskFull`, `Io`. Putting the same bytes again is safe.
    pub async fn put(&self, bytes: Bytes) -> Result<Sha256Digest, BlobError> {
        let digest = sha256(&bytes);
        // What is there already may have been damaged since; then this repairs it.
        if self.get(&digest).await.is_ok_and(|held| held.is_some()) {
            return Ok(digest);
        }
        let put = self.files.put(&name(&digest), bytes.into()).await;
        put.map_err(blob_error)?;
        Ok(digest)
    }

    /// The bytes with this digest, computed again from what was read.
    ///
    /// # Errors
    /// `Corrupt` if they are not, `Io`.
    pub async fn get(&self, digest: &Sha256Digest) -> Result<Option<Bytes>, BlobError> {
        let found = match self.files.get(&name(digest)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(blob_error(error)),
        };
        let bytes = found.bytes().await.map_err(blob_error)?;
        if sha256(&bytes) == *digest {
            Ok(Some(bytes))
        } else {
            Err(BlobError::Corrupt { digest: *digest })
        }
    }

    /// Takes the arriving file of this name in hand; it begins empty. Nobody else has it until what is answered is
    /// dropped.
    ///
    /// * `name`: lower-case letters, digits and underscores, at most 64.
    ///
    /// # Errors
    /// `Busy` if somebody else has it, `Io` if it is no such name.
    pub fn arriving(&self, name: &str) -> Result<Arriving, BlobError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(BlobError::Io { detail: "no name for an arriving file".to_owned() });
        }
        let mut in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        if !in_hand.insert(name.to_owned()) {
            return Err(BlobError::Busy);
        }
        let hold = Hold { name: name.to_owned(), in_hand: self.in_hand.clone() };
        Ok(Arriving { path: self.folder.join(ARRIVING).join(name), hold: Arc::new(hold) })
    }

    /// Names of the arriving files that are on disk, at most `limit`.
    ///
    /// # Errors
    /// `Io`.
    pub async fn all_arriving(&self, limit: usize) -> Result<Vec<String>, BlobError> {
        let folder = self.folder.join(ARRIVING);
        blocking(move || {
            let entries = std::fs::read_dir(folder)?.take(limit);
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        })
        .await
    }

    /// Keeps a file that has arrived, durably on `Ok`, under the digest of its bytes. It stays among the arriving
    /// files too until it is given up, so that what is recorded of it can be written in between, and a crash then
    /// loses nothing.
    ///
    /// # Errors
    /// `DiskFull`, `Io`. Keeping it again is safe.
    pub async fn keep(&self, arriving: &Arriving) -> Result<Sha256Digest, BlobError> {
        let (from, folder) = (arriving.path.clone(), self.folder.clone());
        let hold = arriving.hold.clone();
        blocking(move || {
            let _hold = hold;
            let mut file = std::fs::File::open(&from)?;
            let digest = digest_of(&mut file)?;
            file.sync_all()?;
            let text = digest.to_string();
            let shelf = folder.join(&text[..2]);
            std::fs::create_dir_all(&shelf)?;
            let to = shelf.join(&text);
            // What is there already may have been damaged since; then this repairs it.
            let held = match std::fs::File::open(&to) {
                Ok(mut held) => digest_of(&mut held)? == digest,
                Err(_) => false,
            };
            if !held {
                let beside = shelf.join(format!("{text}.new"));
                let _ = std::fs::remove_file(&beside);
                std::fs::hard_link(&from, &beside)?;
                std::fs::rename(&beside, &to)?;
                // Renaming one link to a file onto another link to it leaves both.
                let _ = std::fs::remove_file(&beside);
            }
            std::fs::File::open(&shelf)?.sync_all()?;
            std::fs::File::open(&folder)?.sync_all()?;
            Ok(digest)
        })
        .await
    }

    /// Opens a file to be read in pieces.
    ///
    /// # Errors
    /// `Io`.
    pub async fn read(&self, digest: &Sha256Digest) -> Result<Option<BlobReader>, BlobError> {
        let text = digest.to_string();
        let path = self.folder.join(&text[..2]).join(&text);
        let digest = *digest;
        blocking(move || {
            let file = match std::fs::File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let left = file.metadata()?.len();
            let hash = ring::digest::Context::new(&ring::digest::SHA256);
            Ok(Some(BlobReader { file, hash, left, digest }))
        })
        .await
    }
}

/// A file that arrives in pieces, in the hands of whoever has this.
#[derive(Debug)]
pub struct Arriving {
    path: PathBuf,
    hold: Arc<Hold>,
}

/// Lasts as long as anybody, also a write that nobody waits for any more, has the file in hand.
#[derive(Debug)]
struct Hold {
    name: String,
    in_hand: Arc<Mutex<HashSet<String>>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Arriving {
    /// Where it is, for those that look into it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it to be written from `offset` on; what is there beyond is cut off.
    ///
    /// # Errors
    /// `Io` if fewer bytes are there.
    pub async fn write_from(&self, offset: u64) -> Result<ArrivingWriter, BlobError> {
        let (path, hold) = (self.path.clone(), self.hold.clone());
        blocking(move || {
            let created = !path.exists();
            let mut file =
                std::fs::File::options().create(true).truncate(false).write(true).open(&path)?;
            if file.metadata()?.len() < offset {
                return Err(std::io::Error::other("fewer bytes are on disk than were recorded"));
            }
            file.set_len(offset)?;
            file.seek(SeekFrom::Start(offset))?;
            if created && let Some(folder) = path.parent() {
                std::fs::File::open(folder)?.sync_all()?;
            }
            Ok(ArrivingWriter { file: Some((file, hold)), waiting: Vec::new(), offset })
        })
        .await
    }

    /// Gives it up: the bytes are removed.
    ///
    /// # Errors
    /// `Io`. One that is not there was given up already.
    pub async fn give_up(self) -> Result<(), BlobError> {
        let Self { path, hold } = self;
        blocking(move || {
            let removed = std::fs::remove_file(path);
            drop(hold);
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
        .await
    }
}

/// Writes an arriving file. Bytes count once [`ArrivingWriter::sync`] has returned.
#[derive(Debug)]
pub struct ArrivingWriter {
    file: Option<(std::fs::File, Arc<Hold>)>,
    waiting: Vec<u8>,
    offset: u64,
}

impl ArrivingWriter {
    /// Where the next byte goes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset + self.waiting.len() as u64
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE { self.flush(false).await } else { Ok(()) }
    }

    /// Makes all bytes durable; answers how many the file has.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub async fn sync(&mut self) -> Result<u64, BlobError> {
        self.flush(true).await?;
        Ok(self.offset)
    }

    async fn flush(&mut self, sync: bool) -> Result<(), BlobError> {
        let lost = || BlobError::Io { detail: "an earlier write failed".to_owned() };
        let mut file = self.file.take().ok_or_else(lost)?;
        let waiting = std::mem::take(&mut self.waiting);
        let (file, waiting) = blocking(move || {
            file.0.write_all(&waiting)?;
            if sync {
                file.0.sync_data()?;
            }
            Ok((file, waiting))
        })
        .await?;
        self.offset += waiting.len() as u64;
        self.waiting = waiting;
        self.waiting.clear();
        self.file = Some(file);
        Ok(())
    }
}

/// Reads a file in pieces. Its last piece is held back until the digest was found right, so that a damaged file never
/// looks complete to a reader who knows its size.
pub struct BlobReader {
    file: std::fs::File,
    hash: ring::digest::Context,
    left: u64,
    digest: Sha256Digest,
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "BlobReader({}, {} bytes to come)", self.digest, self.left)
    }
}

impl BlobReader {
    /// How many bytes are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes, and the reader for those after; `None` at the end.
    ///
    /// # Errors
    /// `Corrupt` in place of the last piece if the bytes are not those that the name stands for, `Io`.
    pub async fn next(mut self) -> Result<Option<(Bytes, Self)>, BlobError> {
        if self.left == 0 {
            return Ok(None);
        }
        let digest = self.digest;
        let (piece, reader, right) = blocking(move || {
            let mut piece =
                vec![0; usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE))];
            self.file.read_exact(&mut piece)?;
            self.hash.update(&piece);
            self.left -= piece.len() as u64;
            let right =
                self.left > 0 || self.hash.clone().finish().as_ref() == self.digest.as_bytes();
            Ok((Bytes::from(piece), self, right))
        })
        .await?;
        if right { Ok(Some((piece, reader))) } else { Err(BlobError::Corrupt { digest }) }
    }
}

fn digest_of(file: &mut std::fs::File) -> std::io::Result<Sha256Digest> {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            count => hash.update(&piece[..count]),
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    Ok(Sha256Digest::from_bytes(digest))
}

/// Works with files on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| io_error(&error)),
        Err(error) => Err(BlobError::Io { detail: error.to_string() }),
    }
}

/// In 256 folders, by the first byte.
fn name(digest: &Sha256Digest) -> Name {
    let text = digest.to_string();
    Name::from_iter([&text[..2], &text])
}

fn blob_error(error: object_store::Error) -> BlobError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && is_full(io)
        {
            return BlobError::DiskFull;
        }
        source = cause.source();
    }
    BlobError::Io { detail: error.to_string() }
}

fn io_error(error: &std::io::Error) -> BlobError {
    if is_full(error) { BlobError::DiskFull } else { BlobError::Io { detail: error.to_string() } }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, Blobs) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().join("files")).unwrap();
        (folder, blobs)
    }

    #[tokio::test]
    async fn bytes_are_named_by_their_digest_and_kept_once() {
        let (folder, blobs) = fresh();
        let digest = blobs.put(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(
            digest.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(blobs.put(Bytes::from_static(b"abc")).await.unwrap(), digest);
        assert_eq!(blobs.get(&digest).await.unwrap().unwrap(), b"abc".as_slice());
        let kept = std::fs::read_dir(folder.path().join("files/ba")).unwrap().count();
        assert_eq!(kept, 1);
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused_and_repaired_by_the_same_bytes() {
        let (folder, blobs) = fresh();
        let digest = blobs.put(Bytes::from_static(b"abc")).await.unwrap();
        let file = folder.path().join("files/ba").join(digest.to_string());
        std::fs::write(&file, b"abd").unwrap();
        assert!(matches!(blobs.get(&digest).await, Err(BlobError::Corrupt { .. })));
        blobs.put(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(blobs.get(&digest).await.unwrap().unwrap(), b"abc".as_slice());
    }

    #[tokio::test]
    async fn what_was_never_put_is_not_there() {
        let (_folder, blobs) = fresh();
        assert_eq!(blobs.get(&sha256(b"other")).await.unwrap(), None);
    }

    async fn all(mut reader: BlobReader) -> Result<Vec<u8>, BlobError> {
        let mut bytes = Vec::new();
        while let Some((piece, rest)) = reader.next().await? {
            bytes.extend_from_slice(&piece);
            reader = rest;
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn a_file_that_arrives_in_pieces_is_the_one_that_is_put_whole() {
        let (folder, blobs) = fresh();
        let arriving = blobs.arriving("u_1").unwrap();
        let mut writer = arriving.write_from(0).await.unwrap();
        writer.write(b"a").await.unwrap();
        writer.write(b"bc").await.unwrap();
        assert_eq!(writer.sync().await.unwrap(), 3);
        let digest = blobs.keep(&arriving).await.unwrap();
        assert_eq!(blobs.keep(&arriving).await.unwrap(), digest, "keeping again is safe");
        arriving.give_up().await.unwrap();
        assert_eq!(blobs.put(Bytes::from_static(b"abc")).await.unwrap(), digest);
        assert_eq!(all(blobs.read(&digest).await.unwrap().unwrap()).await.unwrap(), b"abc");
        assert!(blobs.all_arriving(9).await.unwrap().is_empty());
        let kept = std::fs::read_dir(folder.path().join("files/ba")).unwrap().count();
        assert_eq!(kept, 1);
    }

    #[tokio::test]
    async fn what_was_written_but_not_recorded_is_cut_off_when_the_rest_comes() {
        let (_folder, blobs) = fresh();
        let arriving = blobs.arriving("u_1").unwrap();
        let mut writer = arriving.write_from(0).await.unwrap();
        writer.write(b"abXXXX").await.unwrap();
        writer.sync().await.unwrap();
        drop(writer);
        let mut writer = arriving.write_from(2).await.unwrap();
        writer.write(b"c").await.unwrap();
        writer.sync().await.unwrap();
        assert_eq!(blobs.keep(&arriving).await.unwrap(), sha256(b"abc"));
        assert!(arriving.write_from(4).await.is_err(), "bytes that are recorded but not there");
    }

    #[tokio::test]
    async fn an_arriving_file_is_in_one_hand_at_a_time_and_its_name_is_no_path() {
        let (_folder, blobs) = fresh();
        let held = blobs.arriving("u_1").unwrap();
        assert!(matches!(blobs.arriving("u_1"), Err(BlobError::Busy)));
        drop(held);
        blobs.arriving("u_1").unwrap();
        for name in ["", "..", "a/b", "/etc/passwd", "A", &"a".repeat(65)] {
            assert!(matches!(blobs.arriving(name), Err(BlobError::Io { .. })), "{name}");
        }
    }

    #[tokio::test]
    async fn a_damaged_file_never_reads_to_its_end() {
        let (folder, blobs) = fresh();
        let bytes = vec![7_u8; 3 * PIECE + 5];
        let digest = blobs.put(Bytes::from(bytes.clone())).await.unwrap();
        assert_eq!(all(blobs.read(&digest).await.unwrap().unwrap()).await.unwrap(), bytes);
        let text = digest.to_string();
        let file = folder.path().join("files").join(&text[..2]).join(&text);
        let mut damaged = bytes.clone();
        damaged[9] ^= 1;
        std::fs::write(&file, &damaged).unwrap();
        let read = all(blobs.read(&digest).await.unwrap().unwrap()).await;
        assert!(matches!(read, Err(BlobError::Corrupt { .. })));
        // The same bytes, arriving again, repair it.
        let arriving = blobs.arriving("u_1").unwrap();
        let mut writer = arriving.write_from(0).await.unwrap();
        writer.write(&bytes).await.unwrap();
        writer.sync().await.unwrap();
        assert_eq!(blobs.keep(&arriving).await.unwrap(), digest);
        assert_eq!(all(blobs.read(&digest).await.unwrap().unwrap()).await.unwrap(), bytes);
    }
}
