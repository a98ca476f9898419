//! Checking a file that somebody holds: is it what it claims to be, who vouches for it, and does that count today?
//!
//! One check for `hub verify` (offline, with the anchors given) and `POST /v1/verify` (with this hub's anchors). What is
//! taken, told apart by the content, never by a name: evidence files, a licence document with its signature, packages
//! and promises of a hub, CMS (attached, or detached with its content), sealed OFD, signed PDF. The answer names every link
//! that was judged, in Chinese and English, with what to do about a broken one.

mod licence;
mod package;
mod recognise;
mod report;

use ::licence::Licence;
use certs::{FileKind, FileVerdict, Link, LinkVerdict, Times, TrustStore, check_cms, ofd, pdf};
use jiff::Timestamp;

pub use recognise::Kind;
pub use report::{Explained, Report, Signed};

/// What is to be checked.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The file.
    pub file: &'a [u8],
    /// A detached signature over it (CMS, DER or PEM), or over `manifest`.
    pub signature: Option<&'a [u8]>,
    /// The batch manifest that lists the licence document.
    pub manifest: Option<&'a [u8]>,
}

/// Checks a file as of `at`. The licence is returned if there is one that could be read, for who knows more about it.
#[must_use]
pub fn check(input: Input<'_>, trust: &TrustStore, at: Timestamp) -> (Report, Option<Licence>) {
    let times = Times::now(at);
    let kind = recognise::kind(&input);
    let report = match kind {
        Kind::Licence => return licence::check(&input, trust, at),
        Kind::Package => package::check(input.file, trust, at),
        Kind::Pdf => Report::of_file(kind, &pdf::check(input.file, trust, &times), at),
        Kind::Ofd => Report::of_file(kind, &ofd::check(input.file, trust, &times), at),
        Kind::Cms | Kind::Signed => {
            let (cms, content) = match input.signature {
                None => (input.file, None),
                Some(signature) => (signature, Some(input.file)),
            };
            let verdict = match recognise::der(cms) {
                Some(cms) => check_cms(&cms, content, trust, &times),
                None => FileVerdict {
                    kind: FileKind::Cms,
                    links: vec![LinkVerdict::failed(Link::Format, "signature_malformed")],
                    signatures: Vec::new(),
                },
            };
            Report::of_file(kind, &verdict, at)
        }
        Kind::Unknown => {
            let links = [LinkVerdict::failed(Link::Format, "file_not_recognised")];
            Report::of_links(kind, &links, at)
        }
    };
    (report, None)
}
