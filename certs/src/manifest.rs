//! Batch manifests: one signature over the digests of up to 100 000 licences.

use std::fmt;
use std::hash::BuildHasher;
use std::str::FromStr;

use foldhash::quality::RandomState;
use hashbrown::{HashTable, hash_table::Entry};
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
#[derive(Clone)]
pub struct Manifest {
    issuer: CreditCode,
    batch: String,
    digests: Vec<Sha256Digest>,
    /// Positions, found by digest: small enough for a core's cache, which a map that holds the digests is not.
    positions: HashTable<u32>,
    /// Random in each manifest: who writes one cannot choose digests that collide.
    hasher: RandomState,
}

impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        (self.issuer, &self.batch, &self.digests) == (other.issuer, &other.batch, &other.digests)
    }
}

impl Eq for Manifest {}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("issuer", &self.issuer)
            .field("batch", &self.batch)
            .field("digests", &self.digests.len())
            .finish()
    }
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
        let listing = lines.rest;
        let mut digests = Vec::with_capacity(stated);
        let mut failure = None;
        while failure.is_none() && !lines.rest.is_empty() && digests.len() <= stated {
            lines
                .digest()
                .map_or_else(|wrong| failure = Some(wrong), |digest| digests.push(digest));
        }
        if failure.is_some() || !lines.rest.is_empty() || digests.len() != stated {
            // That lines are missing or too many says more than which of them is wrong.
            let listed = listing.iter().filter(|byte| **byte == b'\n').count();
            let count = ManifestError::Count { stated, listed };
            return Err(failure.filter(|_| listed == stated).unwrap_or(count));
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
        let hasher = RandomState::default();
        let hash = |position: &u32| hasher.hash_one(digests[*position as usize]);
        let mut positions = HashTable::with_capacity(digests.len());
        for (position, digest) in (0_u32..).zip(&digests) {
            let same = |other: &u32| digests[*other as usize] == *digest;
            match positions.entry(hasher.hash_one(digest), same, hash) {
                Entry::Vacant(place) => {
                    place.insert(position);
                }
                Entry::Occupied(first) => {
                    let line = |position: u32| HEADER_LINES + 1 + position as usize;
                    return Err(ManifestError::Duplicate {
                        first: line(*first.get()),
                        second: line(position),
                    });
                }
            }
        }
        Ok(Self { issuer, batch, digests, positions, hasher })
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
        let same = |position: &u32| self.digests[*position as usize] == *digest;
        self.positions.find(self.hasher.hash_one(digest), same).copied()
    }
}

/// What [`DIGITS`] says of a byte that is none.
const NO_DIGIT: u8 = 0xF0;

/// The value of each byte as a hexadecimal digit, lower case. A batch of 100 000 licences has 6.4 million of them, and a
/// table reads them ten times as fast as looking at each by its range.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value: u8 = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

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

    /// A line of 64 lower-case hexadecimal digits: a digest has one spelling.
    fn digest(&mut self) -> Result<Sha256Digest, ManifestError> {
        self.number += 1;
        let (line, rest) = self.rest.split_first_chunk::<65>().ok_or(self.wrong())?;
        let mut digest = [0; 32];
        let mut wrong = u8::from(line[64] != b'\n');
        for (byte, pair) in digest.iter_mut().zip(line[..64].chunks_exact(2)) {
            let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
            wrong |= (high | low) & NO_DIGIT;
            *byte = high << 4 | low;
        }
        if wrong != 0 {
            return Err(self.wrong());
        }
        self.rest = rest;
        Ok(Sha256Digest::from_bytes(digest))
    }

    fn wrong(&self) -> ManifestError {
        ManifestError::Line { line: self.number }
    }
}

fn is_batch_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}
