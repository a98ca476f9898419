//! What stands beside a data file: how much is in it, and what it must hash to. For both directions.

use serde::{Deserialize, Serialize};
use sm3::Digest;

/// The name of the format.
pub const MANIFEST_FORMAT: &str = "yihao-files-manifest-1";
/// The end of a manifest's name.
pub const MANIFEST_END: &str = ".manifest.json";
/// The end of the name of a done-marker: it comes last, and is empty.
pub const DONE_END: &str = ".done";
/// The largest manifest, in bytes.
pub const MANIFEST_LIMIT: usize = 1 << 20;

/// How records stand in a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// A JSON object in each line.
    Ndjson,
    /// A line of names, then a record in each line; quoted as RFC 4180 has it, lines end with LF.
    Csv,
}

impl Content {
    /// The end of a data file's name, with its dot.
    pub const fn end(self) -> &'static str {
        match self {
            Self::Ndjson => ".ndjson",
            Self::Csv => ".csv",
        }
    }
}

/// How many records do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operations {
    /// Licences to be shared from now on.
    pub insert: u64,
    /// Shared licences whose record changed.
    pub update: u64,
    /// Licences not to be shared any more.
    pub delete: u64,
}

/// What stands beside a data file.
///
/// Optional is what a sender of ours always writes and a department may leave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: String,
    /// Who sends it: a connector's name.
    #[serde(default)]
    pub sender: String,
    /// The batch: the data file's name without its end.
    pub batch: String,
    /// The data file's name.
    pub file: String,
    /// How records stand in it.
    pub content: Content,
    /// `utf-8`, `gb18030` or `gbk`.
    pub encoding: String,
    /// How many there are; in CSV the line of names is none.
    pub records: u64,
    /// How many do what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Operations>,
    /// The data file's bytes.
    pub size: u64,
    /// SHA-256 of the data file, 64 hexadecimal digits.
    pub sha256: String,
    /// SM3 (GB/T 32905) of the data file, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm3: Option<String>,
    /// The number of the first change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The number of the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// The number of the change of each record, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<u64>,
}

/// Why a manifest, or the data file beside it, is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not JSON, or not of this shape.
    #[error("the manifest is not as `docs/formats/files.md` has it")]
    Form,
    /// Another format, or a later one.
    #[error("the manifest must begin with \"format\": \"{MANIFEST_FORMAT}\"")]
    Format,
    /// The data file has another length.
    #[error("the data file has another size than the manifest says")]
    Size,
    /// The data file has another content.
    #[error("the data file has another digest than the manifest says")]
    Digest,
}

impl ManifestError {
    /// Part of the public interface: never reworded.
    pub fn code(self) -> &'static str {
        match self {
            Self::Form => "manifest_form",
            Self::Format => "manifest_format",
            Self::Size => "manifest_size",
            Self::Digest => "manifest_digest",
        }
    }
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// `Form`, `Format`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|_| ManifestError::Form)?;
        if manifest.format != MANIFEST_FORMAT {
            return Err(ManifestError::Format);
        }
        Ok(manifest)
    }

    /// Checks a data file against size and digests.
    ///
    /// # Errors
    /// `Size`, `Digest`.
    pub fn check(&self, data: &[u8]) -> Result<(), ManifestError> {
        if self.size != data.len() as u64 {
            return Err(ManifestError::Size);
        }
        let same = self.sha256.eq_ignore_ascii_case(&sha256(data))
            && self.sm3.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(&sm3(data)));
        if same { Ok(()) } else { Err(ManifestError::Digest) }
    }

    /// As it is written: JSON, indented, with a line end.
    ///
    /// # Panics
    /// Never: strings and numbers can always be written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings can always be written");
        bytes.push(b'\n');
        bytes
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes))
}

/// SM3 in hexadecimal digits. Source: GB/T 32905-2016.
pub fn sm3(bytes: &[u8]) -> String {
    hex::encode(sm3::Sm3::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        // FIPS 180-2, appendix B.1; GB/T 32905-2016, appendix A.1.
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(sm3(b"abc"), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    }

    #[test]
    fn a_manifest_vouches_for_its_data_file() {
        let text = format!(
            r#"{{"format":"yihao-files-manifest-1","batch":"b","file":"b.csv","content":"csv","encoding":"gb18030",
                "records":1,"size":3,"sha256":"{}","more":1}}"#,
            sha256(b"abc").to_uppercase()
        );
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.check(b"abc"), Ok(()));
        assert_eq!(manifest.check(b"abcd"), Err(ManifestError::Size));
        assert_eq!(manifest.check(b"abd"), Err(ManifestError::Digest));
        let wrong = Manifest { sm3: Some(sm3(b"x")), ..manifest.clone() };
        assert_eq!(wrong.check(b"abc"), Err(ManifestError::Digest));
        let right = Manifest { sm3: Some(sm3(b"abc")), ..manifest };
        assert_eq!(right.check(b"abc"), Ok(()));
        assert_eq!(Manifest::parse(&right.to_bytes()), Ok(right));
    }

    #[test]
    fn what_is_no_manifest_is_told() {
        let code = |text: &str| Manifest::parse(text.as_bytes()).unwrap_err().code();
        assert_eq!(code(""), "manifest_form");
        assert_eq!(code("{}"), "manifest_form");
        let other = r#"{"format":"x","batch":"b","file":"b.csv","content":"csv","encoding":"utf-8","records":1,"size":3,"sha256":""}"#;
        assert_eq!(code(other), "manifest_format");
    }
}
