//! Batch manifests: one signature over the digests of up to 100 000 licences.

use licence::{CreditCode, Sha256Digest};

use crate::Link;

/// The most licences one manifest may list.
pub const MAX_MANIFEST_LICENCES: usize = 100_000;

/// Why bytes are not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A line is not what the format asks for at this place.
    #[error("line {line} of the manifest is not as the format asks")]
    Line {
        /// 1 is the first line.
        line: usize,
    },
    /// The file ends too early, or goes on after the last digest.
    #[error("the manifest states {stated} licences and lists {listed}")]
    Count {
        /// The number in the `count` line.
        stated: usize,
        /// Digest lines found.
        listed: usize,
    },
    /// More than [`MAX_MANIFEST_LICENCES`].
    #[error("the manifest lists more than 100000 licences")]
    TooMany,
    /// No licence at all.
    #[error("the manifest lists no licence")]
    Empty,
    /// One digest twice.
    #[error("lines {first} and {second} of the manifest are the same digest")]
    Duplicate {
        /// Line of the first.
        first: usize,
        /// Line of the second.
        second: usize,
    },
    /// The batch name is not 1 to 64 characters of `A-Za-z0-9._-`.
    #[error("the batch name is not 1 to 64 of A-Z a-z 0-9 . _ -")]
    Batch,
}

impl ManifestError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Line { .. } => "manifest_line",
            Self::Count { .. } => "manifest_count",
            Self::TooMany => "manifest_too_many",
            Self::Empty => "manifest_empty",
            Self::Duplicate { .. } => "manifest_duplicate",
            Self::Batch => "manifest_batch_name",
        }
    }

    /// Always [`Link::Format`].
    pub fn link(&self) -> Link {
        Link::Format
    }
}

/// A batch manifest, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    issuer: CreditCode,
    batch: String,
    digests: Vec<Sha256Digest>,
}

impl Manifest {
    /// Reads a manifest; every byte counts.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn parse(_bytes: &[u8]) -> Result<Self, ManifestError> {
        todo!()
    }

    /// Writes a manifest, digests in the order given.
    ///
    /// # Errors
    /// `Batch`, `Empty`, `TooMany`, `Duplicate`.
    pub fn write(
        _issuer: &CreditCode,
        _batch: &str,
        _digests: &[Sha256Digest],
    ) -> Result<Vec<u8>, ManifestError> {
        todo!()
    }

    /// Who issued the batch.
    pub fn issuer(&self) -> &CreditCode {
        &self.issuer
    }

    /// The issuer's name for the batch.
    pub fn batch(&self) -> &str {
        &self.batch
    }

    /// The digests in order.
    pub fn digests(&self) -> &[Sha256Digest] {
        &self.digests
    }

    /// The zero-based position of a licence.
    pub fn position(&self, _digest: &Sha256Digest) -> Option<u32> {
        todo!()
    }
}
