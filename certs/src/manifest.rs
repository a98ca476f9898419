//! Batch manifests: one signature over the digests of up to 100 000 licences.

use std::collections::HashMap;
use std::str::FromStr;

use licence::{CreditCode, Sha256Digest};

use crate::Link;

/// The most licences one manifest may list.
pub const MAX_MANIFEST_LICENCES: usize = 100_000;

const FORMAT: &str = "yihao-manifest-1";
const HEADER_LINES: usize = 5;

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

/// A batch manifest, parsed. Format: text, each line ended by LF:
///
/// ```text
/// yihao-manifest-1
/// issuer 11350100003604573W
/// batch 2025-11-24.001
/// algorithm sha256
/// count 2
/// <64 lower-case hex digits>
/// <64 lower-case hex digits>
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    issuer: CreditCode,
    batch: String,
    digests: Vec<Sha256Digest>,
    positions: HashMap<Sha256Digest, u32>,
}

impl Manifest {
    /// Reads a manifest; every byte counts.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut lines = Lines { rest: bytes, number: 0 };
        if lines.next()? != FORMAT {
            return Err(ManifestError::Line { line: 1 });
        }
        let issuer = lines.value("issuer ")?;
        let batch: String = lines.value("batch ")?;
        if !is_batch_name(&batch) {
            return Err(ManifestError::Batch);
        }
        if lines.next()? != "algorithm sha256" {
            return Err(lines.wrong());
        }
        let count: String = lines.value("count ")?;
        let stated: usize = count.parse().map_err(|_| lines.wrong())?;
        // One spelling: no sign, no leading zeros.
        if stated.to_string() != count {
            return Err(lines.wrong());
        }
        if stated > MAX_MANIFEST_LICENCES {
            return Err(ManifestError::TooMany);
        }
        let listed = lines.rest.iter().filter(|byte| **byte == b'\n').count();
        if stated != listed {
            return Err(ManifestError::Count { stated, listed });
        }
        let mut digests = Vec::with_capacity(stated);
        while !lines.rest.is_empty() {
            digests.push(lines.value("")?);
        }
        Self::new(issuer, batch, digests)
    }

    /// Writes a manifest, digests in the order given.
    ///
    /// # Errors
    /// `Batch`, `Empty`, `TooMany`, `Duplicate`.
    pub fn write(
        issuer: &CreditCode,
        batch: &str,
        digests: &[Sha256Digest],
    ) -> Result<Vec<u8>, ManifestError> {
        let manifest = Self::new(*issuer, batch.to_owned(), digests.to_vec())?;
        let mut text = format!(
            "{FORMAT}\nissuer {}\nbatch {batch}\nalgorithm sha256\ncount {}\n",
            issuer.as_str(),
            digests.len(),
        );
        for digest in &manifest.digests {
            text.push_str(&hex::encode(digest.as_bytes()));
            text.push('\n');
        }
        Ok(text.into_bytes())
    }

    fn new(
        issuer: CreditCode,
        batch: String,
        digests: Vec<Sha256Digest>,
    ) -> Result<Self, ManifestError> {
        if !is_batch_name(&batch) {
            return Err(ManifestError::Batch);
        }
        if digests.is_empty() {
            return Err(ManifestError::Empty);
        }
        if digests.len() > MAX_MANIFEST_LICENCES {
            return Err(ManifestError::TooMany);
        }
        let mut positions = HashMap::with_capacity(digests.len());
        for (position, digest) in (0_u32..).zip(&digests) {
            if let Some(first) = positions.insert(*digest, position) {
                let line = |position: u32| HEADER_LINES + 1 + position as usize;
                return Err(ManifestError::Duplicate {
                    first: line(first),
                    second: line(position),
                });
            }
        }
        Ok(Self { issuer, batch, digests, positions })
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
    pub fn position(&self, digest: &Sha256Digest) -> Option<u32> {
        self.positions.get(digest).copied()
    }
}

/// The lines of a manifest, each with its LF.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str, ManifestError> {
        self.number += 1;
        // The longest line, the digest's, has 64 characters; the batch's at most 70.
        let window = &self.rest[..self.rest.len().min(80)];
        let end = window.iter().position(|byte| *byte == b'\n').ok_or(self.wrong())?;
        let line = std::str::from_utf8(&self.rest[..end]).map_err(|_| self.wrong())?;
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    fn value<T: FromStr>(&mut self, key: &str) -> Result<T, ManifestError> {
        let line = self.next()?;
        let value = line.strip_prefix(key).ok_or(self.wrong())?;
        value.parse().map_err(|_| self.wrong())
    }

    fn wrong(&self) -> ManifestError {
        ManifestError::Line { line: self.number }
    }
}

fn is_batch_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}
