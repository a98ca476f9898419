//! Why the store did not answer.

/// Why the store did not answer. Never holds a key, a number or a document.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the folder open.
    #[error(
        "another hub has the data folder {path} open; stop it, or start this one on another folder"
    )]
    Locked {
        /// The folder.
        path: String,
    },
    /// Bytes on disk are not what was written.
    #[error(
        "the store is damaged ({place}): {detail}. Stop the hub, keep a copy of the data folder, run `hub doctor`, \
         and restore the last backup if it confirms the damage"
    )]
    Corrupt {
        /// The file, or the family and the first 8 bytes of the SHA-256 of the key.
        place: String,
        /// What is wrong there.
        detail: String,
    },
    /// The folder was written by another version.
    #[error(
        "the data folder has store format {found}; this program reads formats up to {supported}"
    )]
    Format {
        /// What the folder says.
        found: String,
        /// The newest format this program knows.
        supported: u32,
    },
    /// No space left on the device. Nothing was lost; writing works again when there is space.
    #[error(
        "no space left on the device of the data folder; free some, writing then goes on by itself"
    )]
    DiskFull,
    /// Reading or writing failed. After a write it is unknown whether it took effect: doing it again is safe.
    #[error("the data folder could not be read or written: {detail}")]
    Io {
        /// What the system said.
        detail: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// A request that no store can keep: an over-long name or key.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
}

impl StoreError {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store_locked",
            Self::Corrupt { .. } => "store_corrupt",
            Self::Format { .. } => "store_format",
            Self::DiskFull => "disk_full",
            Self::Io { .. } => "store_io",
            Self::Closed => "store_closed",
            Self::TooLong { .. } => "too_long",
        }
    }

    /// Whether the same call can succeed later without anyone doing anything to the call.
    pub fn may_retry(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Io { .. })
    }
}
