//! PDF files written by hand, revision by revision, and a signer for them.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fmt::Write as _;

use certs::pdf::check;
use certs::{
    FileVerdict, Outcome, SigningIdentity, Suite, Times, TrustStore, issue_crl, sign_detached,
};
use jiff::SignedDuration;

use super::support::*;

/// A document that grows by revisions.
#[derive(Clone)]
pub struct Draft {
    pub bytes: Vec<u8>,
    pub last_section: Option<usize>,
}

pub const PAGE: &str = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 144] /Contents 4 0 R >>";
pub const SIGNED_PAGE: &str =
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 144] /Contents 4 0 R /Annots [5 0 R] >>";
pub const CATALOG: &str = "<< /Type /Catalog /Pages 2 0 R >>";
pub const SIGNED_CATALOG: &str =
    "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [5 0 R] /SigFlags 3 >> >>";
pub const FIELD: &str =
    "<< /Type /Annot /Subtype /Widget /FT /Sig /T (Seal) /Rect [0 0 0 0] /V 6 0 R >>";
pub const FORM: &str = "/SubFilter /adbe.pkcs7.detached";

impl Draft {
    pub fn unsigned() -> Self {
        let mut draft = Self { bytes: b"%PDF-1.7\n".to_vec(), last_section: None };
        draft.revision(
            &[
                (1, CATALOG),
                (2, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"),
                (3, PAGE),
                (4, "<< /Length 7 >>\nstream\n% page \nendstream"),
            ],
            "",
        );
        draft
    }

    pub fn revision(&mut self, objects: &[(u32, &str)], trailer: &str) {
        let mut entries = String::new();
        for (number, object) in objects {
            writeln!(entries, "{number} 1\n{:010} 00000 n ", self.bytes.len()).unwrap();
            self.bytes.extend(format!("{number} 0 obj\n{object}\nendobj\n").bytes());
        }
        self.section(&entries, trailer);
    }

    pub fn section(&mut self, entries: &str, trailer: &str) {
        let here = self.bytes.len();
        let previous = self.last_section.map_or(String::new(), |last| format!("/Prev {last}"));
        let text = format!(
            "xref\n{entries}trailer\n<< /Root 1 0 R /Size 99 {previous} {trailer} >>\n\
             startxref\n{here}\n%%EOF\n"
        );
        self.bytes.extend(text.bytes());
        self.last_section = Some(here);
    }

    /// Signs with the byte range that `range` makes of the right one.
    pub fn sign(
        &mut self,
        key: &SigningIdentity,
        entries: &str,
        range: impl Fn([usize; 4]) -> String,
    ) {
        const ROOM: usize = 8000;
        let mut draft = self.clone();
        let dictionary = format!(
            "<< /Type /Sig /Filter /X {entries} /ByteRange [{:60}] /Contents <{}> >>",
            "",
            "0".repeat(ROOM)
        );
        let objects = [(1, SIGNED_CATALOG), (3, SIGNED_PAGE), (5, FIELD), (6, dictionary.as_str())];
        draft.revision(&objects, "");
        let gap = find(&draft.bytes, b"/Contents <").unwrap() + "/Contents ".len();
        let after = gap + ROOM + 2;
        let text = range([0, gap, after, draft.bytes.len() - after]);
        let place = find(&draft.bytes, b"/ByteRange [").unwrap() + "/ByteRange [".len();
        draft.bytes[place..place + text.len()].copy_from_slice(text.as_bytes());
        let numbers: Vec<usize> =
            text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let parts = numbers
            .chunks_exact(2)
            .filter_map(|part| draft.bytes.get(part[0]..part[0].checked_add(part[1])?));
        let cms = sign_detached(key, &parts.collect::<Vec<_>>().concat(), now()).unwrap();
        let cms = hex::encode(cms);
        draft.bytes[gap + 1..gap + 1 + cms.len()].copy_from_slice(cms.as_bytes());
        *self = draft;
    }
}

pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

pub fn as_it_should_be(range: [usize; 4]) -> String {
    range.map(|number| number.to_string()).join(" ")
}

/// A signer whose signatures are trusted, and what is found of a draft.
pub struct Desk {
    pub key: SigningIdentity,
    pub trust: TrustStore,
}

impl Desk {
    pub fn new() -> Self {
        let (root, key, mut trust) = issuer(Suite::Sm2Sm3);
        let day = SignedDuration::from_hours(24);
        let list = issue_crl(&root, 1, &[], now() - day, now() + day).unwrap();
        trust.add_crl(&list).unwrap();
        Self { key, trust }
    }

    pub fn signed(&self) -> Draft {
        self.signed_as(FORM, as_it_should_be)
    }

    pub fn signed_as(&self, entries: &str, range: impl Fn([usize; 4]) -> String) -> Draft {
        let mut draft = Draft::unsigned();
        draft.sign(&self.key, entries, range);
        draft
    }

    pub fn judge(&self, draft: &Draft) -> FileVerdict {
        check(&draft.bytes, &self.trust, &Times::now(now()))
    }

    /// The code of the first thing that failed.
    pub fn failure(&self, draft: &Draft) -> &'static str {
        let verdict = self.judge(draft);
        let links = verdict.links.iter().chain(verdict.signatures.iter().flat_map(|it| &it.links));
        let mut failed = links.filter(|link| link.outcome == Outcome::Untrusted);
        failed.next().map_or("", |link| link.code)
    }

    pub fn changed(&self, change: impl Fn(&mut Draft)) -> &'static str {
        let mut draft = self.signed();
        change(&mut draft);
        self.failure(&draft)
    }
}
