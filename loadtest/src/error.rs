//! Why a command of the load tester did not do its job.

use std::path::{Path, PathBuf};

/// What went wrong. Texts are for the person at the terminal; none shows a holder's number or name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file whose content is not as it should be.
    #[error("{path}, line {line}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// An argument.
    #[error("{0}")]
    Argument(String),
    /// A certificate, key or address that cannot be used.
    #[error("{what}: {said}")]
    Identity {
        /// Which.
        what: String,
        /// Why not.
        said: String,
    },
    /// Making certificates or signatures.
    #[error("signing: {0}")]
    Sign(#[from] certs::SignError),
    /// Making certificates.
    #[error("the test authority: {0}")]
    Authority(#[from] certs::AuthorityError),
    /// Writing a manifest.
    #[error("the batch manifest: {0}")]
    Manifest(#[from] certs::ManifestError),
    /// A connection to the hub.
    #[error("the connection to {to}: {said}")]
    Connection {
        /// Address.
        to: String,
        /// Why.
        said: String,
    },
    /// The hub answered otherwise than it should.
    #[error("{call}: the hub answered {status}{code}")]
    Answer {
        /// Method and path without identifiers of holders.
        call: String,
        /// HTTP status.
        status: u16,
        /// The problem's code, after a space, if there is one.
        code: String,
    },
    /// A program that was started.
    #[error("{program}: {said}")]
    Program {
        /// Which.
        program: String,
        /// What happened.
        said: String,
    },
    /// RocksDB, opened for the floor.
    #[error("the store's folder: {0}")]
    Rocks(#[from] rocksdb::Error),
    /// Tantivy, opened for the floor.
    #[error("the search folder: {0}")]
    Tantivy(#[from] tantivy::TantivyError),
    /// Requests failed while something was measured: the figure would not be one.
    #[error("{errors} of {sent} requests failed during {what}: {told}")]
    Measured {
        /// What was measured.
        what: String,
        /// How many failed.
        errors: u64,
        /// Of how many.
        sent: u64,
        /// By cause.
        told: String,
    },
    /// A promise of the hub's that was found broken; each was told before.
    #[error("{0} of the hub's promises were found broken, see above")]
    Broken(usize),
    /// Something took too long.
    #[error("gave up waiting for {0}")]
    Patience(String),
}

impl Error {
    /// Stable name of the cause.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Content { .. } => "content",
            Self::Argument(_) => "argument",
            Self::Identity { .. } => "identity",
            Self::Sign(error) => error.code(),
            Self::Authority(error) => error.code(),
            Self::Manifest(error) => error.code(),
            Self::Connection { .. } => "connection",
            Self::Answer { .. } => "answer",
            Self::Program { .. } => "program",
            Self::Rocks(_) => "store",
            Self::Tantivy(_) => "search",
            Self::Measured { .. } => "failed_requests",
            Self::Broken(_) => "promise_broken",
            Self::Patience(_) => "patience",
        }
    }

    /// For `map_err` on file operations.
    pub fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::file(path))
}

/// Writes a file, making its folder.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    std::fs::write(path, content).map_err(Error::file(path))
}
