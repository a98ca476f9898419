//! What a file is, by its content.

use certs::{cms_from_pem, ofd, pdf};
use serde::Serialize;
use utoipa::ToSchema;

use super::Input;

/// A kind of file that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A licence: an evidence file, or the document with its signature.
    Licence,
    /// A package or promise that a hub signed.
    Package,
    /// CMS by itself.
    Cms,
    /// Any content with a detached CMS signature.
    Signed,
    /// OFD.
    Ofd,
    /// PDF.
    Pdf,
    /// None of these.
    Unknown,
}

impl Kind {
    /// What it is called: Chinese, English.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Licence => ("电子证照", "licence"),
            Self::Package => ("办件材料包", "package of a case"),
            Self::Cms => ("CMS签名文件", "CMS signature"),
            Self::Signed => ("带独立签名的文件", "file with a detached signature"),
            Self::Ofd => ("OFD版式文件", "OFD document"),
            Self::Pdf => ("PDF文件", "PDF document"),
            Self::Unknown => ("不认识的文件", "unknown file"),
        }
    }
}

pub(super) fn kind(input: &Input<'_>) -> Kind {
    let file = input.file;
    if input.manifest.is_some() {
        return Kind::Licence;
    }
    if input.signature.is_some() {
        let is_licence = format_of(file).is_some_and(|format| format.starts_with("yihao-licence-"));
        return if is_licence { Kind::Licence } else { Kind::Signed };
    }
    if pdf::is_pdf(file) {
        Kind::Pdf
    } else if ofd::is_ofd(file) {
        Kind::Ofd
    } else if der(file).is_some() {
        Kind::Cms
    } else {
        match format_of(file).as_deref() {
            Some(format) if format.starts_with("yihao-evidence-") => Kind::Licence,
            Some("yihao-package-1" | "yihao-promise-1") => Kind::Package,
            _ => Kind::Unknown,
        }
    }
}

/// The member `format` of a JSON object. Only its first level is looked at.
fn format_of(file: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: String,
    }
    let first = file.iter().find(|byte| !byte.is_ascii_whitespace());
    (first == Some(&b'{'))
        .then(|| serde_json::from_slice::<Format>(file).ok())
        .flatten()
        .map(|found| found.format)
}

/// The DER of a CMS file, which may be PEM.
pub(super) fn der(file: &[u8]) -> Option<Vec<u8>> {
    // ContentInfo: SEQUENCE { OBJECT IDENTIFIER …
    let is_der = |bytes: &[u8]| {
        let length_bytes = match bytes.get(1) {
            Some(byte) if *byte < 0x80 => 0,
            Some(byte) => usize::from(byte & 0x7f),
            None => return false,
        };
        bytes[0] == 0x30 && length_bytes <= 4 && bytes.get(2 + length_bytes) == Some(&0x06)
    };
    if is_der(file) {
        return Some(file.to_vec());
    }
    cms_from_pem(file).ok().filter(|decoded| is_der(decoded))
}
