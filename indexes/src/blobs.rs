//! Files, named by the SHA-256 of their bytes.

use std::path::Path;

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
            Self::Io { .. } => "file_io",
        }
    }
}

/// Files by content: the same bytes are kept once. Nothing is ever changed or removed.
#[derive(Debug)]
pub struct Blobs {
    files: LocalFileSystem,
}

impl Blobs {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// `Io` if the folder cannot be made.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BlobError> {
        std::fs::create_dir_all(&path)
            .map_err(|error| BlobError::Io { detail: error.to_string() })?;
        let files = LocalFileSystem::new_with_prefix(path).map_err(blob_error)?;
        Ok(Self { files: files.with_fsync(true) })
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
            && matches!(
                io.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            )
        {
            return BlobError::DiskFull;
        }
        source = cause.source();
    }
    BlobError::Io { detail: error.to_string() }
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
}
