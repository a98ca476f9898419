//! The package of an OFD file: a ZIP archive (GB/T 33190-2016, 7), read so that every reader sees the
//! same parts in it.

use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::OfdError;

/// The largest file taken in, in bytes.
pub const MAX_OFD_BYTES: usize = 64 * 1024 * 1024;

/// The most entries of a package, folders included.
const MAX_PARTS: usize = 4096;

/// The largest part when unpacked.
const MAX_PART_BYTES: u64 = 64 * 1024 * 1024;

/// What may be unpacked besides [`MAX_RATIO`] bytes for each byte of the file.
const FREE_BYTES: u64 = 16 * 1024 * 1024;

/// Pages of text shrink to a twentieth or so; a bomb shrinks to a thousandth.
const MAX_RATIO: u64 = 64;

/// The longest name of a part, in bytes.
const MAX_NAME_BYTES: usize = 512;

/// From how many folders a location is tried. Signatures lie three below the root.
const MAX_FOLDERS_TRIED: usize = 6;

/// ZIP's end of central directory record (APPNOTE 6.3, 4.3.16).
const END_OF_DIRECTORY: &[u8] = b"PK\x05\x06";

/// Its size without the comment.
const END_BYTES: usize = 22;

/// A package whose directory was checked; parts are unpacked when asked for.
pub(super) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// By the path in the package, without a slash in front.
    parts: BTreeMap<String, usize>,
    /// How many bytes may still be unpacked.
    budget: u64,
}

/// Whether `bytes` are a ZIP archive with an `OFD.xml`, the root of every OFD file (GB/T 33190-2016,
/// 7.4).
pub fn is_ofd(bytes: &[u8]) -> bool {
    if bytes.len() > MAX_OFD_BYTES || !bytes.starts_with(b"PK\x03\x04") {
        return false;
    }
    ZipArchive::new(Cursor::new(bytes)).is_ok_and(|archive| archive.index_for_name(ROOT).is_some())
}

/// The part that a package starts from.
pub(super) const ROOT: &str = "OFD.xml";

impl<'a> Package<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, OfdError> {
        if bytes.len() > MAX_OFD_BYTES {
            return Err(OfdError::TooLarge { bytes: bytes.len() });
        }
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| OfdError::NotAPackage)?;
        if archive.len() > MAX_PARTS {
            return Err(OfdError::TooManyParts { count: archive.len() });
        }
        if archive.offset() != 0 || !fills(bytes, archive.comment()) {
            return Err(OfdError::SurroundingBytes);
        }
        let budget = FREE_BYTES + MAX_RATIO * bytes.len() as u64;
        let mut package = Self { archive, parts: BTreeMap::new(), budget };
        package.read_directory(bytes)?;
        Ok(package)
    }

    fn read_directory(&mut self, bytes: &[u8]) -> Result<(), OfdError> {
        let mut seen = HashSet::with_capacity(self.archive.len());
        let mut unpacked: u64 = 0;
        for index in 0..self.archive.len() {
            let entry = self.archive.by_index_raw(index).map_err(|_| OfdError::Inconsistent)?;
            let name = part_name(entry.name_raw())?;
            let part = || name.to_owned();
            // A second name in Info-ZIP's extra field (APPNOTE 6.3, 4.6.9), which some readers follow.
            if header_name(bytes, entry.central_header_start()) != Some(name.as_bytes()) {
                return Err(OfdError::PartName { part: part() });
            }
            if !seen.insert(name.trim_end_matches('/').to_lowercase()) {
                return Err(OfdError::DuplicatePart { part: part() });
            }
            if entry.encrypted() {
                return Err(OfdError::Encrypted { part: part() });
            }
            let known = [CompressionMethod::Stored, CompressionMethod::Deflated];
            let is_folder = name.ends_with('/');
            if !known.contains(&entry.compression())
                || entry.is_symlink()
                || (is_folder && entry.size() != 0)
            {
                return Err(OfdError::Storage { part: part() });
            }
            unpacked = unpacked.saturating_add(entry.size());
            if entry.size() > MAX_PART_BYTES || unpacked > self.budget {
                return Err(OfdError::Bomb { part: part() });
            }
            if !is_folder {
                self.parts.insert(part(), index);
            }
        }
        if self.archive.has_duplicate_names() {
            return Err(OfdError::DuplicatePart { part: String::new() });
        }
        match self.archive.has_overlapping_entries() {
            Ok(false) => {}
            Ok(true) => return Err(OfdError::OverlappingParts),
            Err(_) => return Err(OfdError::Inconsistent),
        }
        // Local headers say what the directory says, and there are none beside it: a reader that goes
        // through the file from the front finds the same parts.
        self.archive.validate_header_consistency().map_err(|_| OfdError::Inconsistent)
    }

    /// The part that a location (ST_Loc; GB/T 33190-2016, 7.3) written in the part `from` names: from the
    /// package's root if it starts with `/`, else from the part's folder. `None` if it leads out of the
    /// package.
    ///
    /// Writers disagree about where the folder is; so where the standard finds nothing, the folders above are
    /// tried. A part put where it is found first leaves the other one outside the signature.
    pub(super) fn locate<'f>(&self, from: &'f str, location: &str) -> Option<String> {
        let by_standard = resolve(from, location)?;
        let above = |folder: &&'f str| folder.rsplit_once('/').map(|(above, _)| above);
        let found = std::iter::successors(Some(from), above)
            .take(MAX_FOLDERS_TRIED)
            .filter_map(|folder| resolve(folder, location))
            .find(|found| self.has(found));
        Some(found.unwrap_or(by_standard))
    }

    pub(super) fn has(&self, part: &str) -> bool {
        self.parts.contains_key(part)
    }

    /// The paths of all parts, in order; folders are none.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    /// Unpacks a part of at most `limit` bytes.
    pub(super) fn read(&mut self, part: &str, limit: u64) -> Result<Vec<u8>, OfdError> {
        let index =
            *self.parts.get(part).ok_or_else(|| OfdError::MissingPart { part: part.to_owned() })?;
        let damaged = || OfdError::DamagedPart { part: part.to_owned() };
        let entry = self.archive.by_index(index).map_err(|_| damaged())?;
        let size = entry.size();
        if size > limit.min(MAX_PART_BYTES) || size > self.budget {
            return Err(OfdError::Bomb { part: part.to_owned() });
        }
        self.budget -= size;
        let mut bytes = Vec::new();
        // One more than it says: what does not end there is not what the directory says. The check value
        // is compared at the end.
        entry.take(size + 1).read_to_end(&mut bytes).map_err(|_| damaged())?;
        if bytes.len() as u64 != size {
            return Err(damaged());
        }
        Ok(bytes)
    }

    /// Unpacks a part of any allowed size.
    pub(super) fn read_whole(&mut self, part: &str) -> Result<Vec<u8>, OfdError> {
        self.read(part, MAX_PART_BYTES)
    }
}

/// Whether the archive begins where the file does, the record of its end follows right after the
/// directory, and nothing but a comment follows that record: then there is no other record that a reader
/// could take for it. No file of this size needs the larger records of ZIP64.
fn fills(bytes: &[u8], comment: &[u8]) -> bool {
    let Some(end) = (bytes.len() - comment.len()).checked_sub(END_BYTES) else {
        return false;
    };
    let record = &bytes[end..];
    let number = |at: usize| match record.get(at..at + 4) {
        Some(&[a, b, c, d]) => u64::from(u32::from_le_bytes([a, b, c, d])),
        _ => u64::MAX / 2,
    };
    let another = comment.windows(END_OF_DIRECTORY.len()).any(|window| window == END_OF_DIRECTORY);
    // Size of the directory and where it starts.
    bytes.starts_with(b"PK")
        && record.starts_with(END_OF_DIRECTORY)
        && number(12) + number(16) == end as u64
        && !another
}

/// The name in an entry's header in the directory (APPNOTE 6.3, 4.3.12).
fn header_name(bytes: &[u8], start: u64) -> Option<&[u8]> {
    let header = bytes.get(usize::try_from(start).ok()?..)?;
    let length = u16::from_le_bytes([*header.get(28)?, *header.get(29)?]);
    header.get(46..46 + usize::from(length))
}

/// The name of an entry as a path in the package: relative, without detours, with `/` between.
fn part_name(raw: &[u8]) -> Result<&str, OfdError> {
    let wrong = || {
        let shown = String::from_utf8_lossy(&raw[..raw.len().min(64)]);
        OfdError::PartName { part: shown.chars().filter(|symbol| !symbol.is_control()).collect() }
    };
    let name = std::str::from_utf8(raw).map_err(|_| wrong())?;
    let path = name.strip_suffix('/').unwrap_or(name);
    let strange = |symbol: char| symbol.is_control() || matches!(symbol, '\\' | ':');
    if name.len() > MAX_NAME_BYTES || name.contains(strange) || !path.split('/').all(is_step) {
        return Err(wrong());
    }
    Ok(name)
}

/// A step of a path that leads down.
fn is_step(step: &str) -> bool {
    !matches!(step, "" | "." | "..")
}

/// The path that a location in the part `from` names by the standard.
fn resolve(from: &str, location: &str) -> Option<String> {
    let mut steps: Vec<&str> = Vec::new();
    let relative = match location.strip_prefix('/') {
        Some(absolute) => absolute,
        None => {
            steps.extend(from.split('/'));
            steps.pop();
            location
        }
    };
    for step in relative.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop()?;
            }
            _ => steps.push(step),
        }
    }
    Some(steps.join("/"))
}
