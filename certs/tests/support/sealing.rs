//! An office that seals OFD files, the samples, and what tests do to them.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use certs::ofd::{SealTemplate, SealVersion, make_seal, pack, seal_ofd, seal_value};
use certs::{
    Certificate, FileVerdict, LinkVerdict, Profile, SigningIdentity, Suite, TrustStore, issue_crl,
};
use zip::ZipArchive;

use super::support::*;

pub const SEALED: &[u8] = include_bytes!("../data/ofd/sealed-v4.ofd");
pub const ALL_PROTECTED: &[u8] = include_bytes!("../data/ofd/sealed-v4-all-protected.ofd");
pub const SIGNED: &[u8] = include_bytes!("../data/ofd/signed-no-seal.ofd");
pub const UNSIGNED: &[u8] = include_bytes!("../data/ofd/unsigned.ofd");

/// Every link as a line: link, code, part.
pub fn codes(verdict: &FileVerdict) -> Vec<String> {
    let signatures = verdict.signatures.iter().flat_map(|signature| &signature.links);
    let words = |link: &LinkVerdict| {
        let subject = link.subject.as_deref().map(|part| format!(" {part}")).unwrap_or_default();
        format!("{} {}{subject}", link.link.word(), link.code)
    };
    verdict.links.iter().chain(signatures).map(words).collect()
}

/// A maker of seals, a signer with a seal, and who trusts them.
pub struct Office {
    pub maker: SigningIdentity,
    pub signer: SigningIdentity,
    pub trust: TrustStore,
}

impl Office {
    pub fn new(suite: Suite) -> Self {
        let root = root(suite, "样例根");
        let maker = below(&root, suite, &template("样例制章", Profile::LicenceIssuer, 2));
        let signer = below(&root, suite, &template("样例签章", Profile::LicenceIssuer, 3));
        let mut trust = trusting(&root);
        let list =
            issue_crl(&root, 1, &[], time("2025-01-01T00:00:00Z"), time("2026-01-01T00:00:00Z"));
        trust.add_crl(&list.unwrap()).unwrap();
        Self { maker, signer, trust }
    }

    pub fn seal(&self, change: impl FnOnce(&mut SealTemplate<'_>)) -> Vec<u8> {
        let signers = [self.signer.certificate().clone()];
        let mut template = SealTemplate {
            version: SealVersion::V4,
            identifier: "35010000000001",
            name: "样例市市场监督管理局",
            signers: &signers,
            lists_digests: false,
            picture: b"\x89PNG\r\n\x1a\n, and so on",
            created: time("2025-01-01T00:00:00Z"),
            valid_from: time("2025-01-01T00:00:00Z"),
            valid_until: time("2025-12-31T00:00:00Z"),
        };
        change(&mut template);
        make_seal(&template, &self.maker, None).unwrap()
    }

    /// A seal for these signers.
    pub fn seal_listing(&self, signers: &[Certificate], lists_digests: bool) -> Vec<u8> {
        let (name, picture) = ("样例市市场监督管理局", b"picture".as_slice());
        let (from, until) = (time("2025-01-01T00:00:00Z"), time("2025-12-31T00:00:00Z"));
        let template = SealTemplate {
            version: SealVersion::V4,
            identifier: "35010000000001",
            name,
            signers,
            lists_digests,
            picture,
            created: from,
            valid_from: from,
            valid_until: until,
        };
        make_seal(&template, &self.maker, None).unwrap()
    }

    /// A file sealed over another description of what is signed.
    pub fn sealed_as(&self, file: &[u8], change: impl FnOnce(String) -> String) -> Vec<u8> {
        let seal = self.seal(|_| ());
        let mut parts = unpack(&self.sealed(file, &seal));
        let part = "Doc_0/Signs/Sign_0/Signature.xml";
        let text = String::from_utf8(parts.remove(part).unwrap()).unwrap();
        let text = change(text);
        let value = seal_value(&seal, text.as_bytes(), part, &self.signer, now(), None).unwrap();
        parts.insert("Doc_0/Signs/Sign_0/SignedValue.dat".into(), value);
        parts.insert(part.into(), text.into_bytes());
        pack(&parts)
    }

    /// The parts of a file with a signature of the kind that has no seal; the signed value is missing.
    pub fn without_seal(&self, file: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut parts = unpack(&self.sealed(file, &self.seal(|_| ())));
        parts.remove("Doc_0/Signs/Sign_0/Seal.esl");
        parts.remove("Doc_0/Signs/Sign_0/SignedValue.dat");
        let mut change = |part: &str, change: &dyn Fn(String) -> String| {
            let text = String::from_utf8(parts.remove(part).unwrap()).unwrap();
            parts.insert(part.to_owned(), change(text).into_bytes());
        };
        change("Doc_0/Signs/Signatures.xml", &|text| text.replace("\"Seal\"", "\"Sign\""));
        change("Doc_0/Signs/Sign_0/Signature.xml", &|text| {
            let without = cut(&text, "<ofd:Seal>", "</ofd:Seal>");
            let without = cut(&without, "<ofd:StampAnnot", "/>");
            let reference = "<ofd:Reference FileRef=\"/Doc_0/Signs/Sign_0/Seal.esl\">";
            cut(&without, reference, "</ofd:Reference>")
        });
        parts
    }

    pub fn sealed(&self, file: &[u8], seal: &[u8]) -> Vec<u8> {
        seal_ofd(file, seal, &self.signer, now(), None).unwrap()
    }
}

/// The text without what stands from `from` through `to`.
fn cut(text: &str, from: &str, to: &str) -> String {
    let (before, rest) = text.split_once(from).unwrap();
    let (_, after) = rest.split_once(to).unwrap();
    format!("{before}{after}")
}

pub fn unpack(file: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(file)).unwrap();
    let mut parts = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = String::from_utf8(entry.name_raw().to_vec()).unwrap();
        if entry.is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            parts.insert(name, bytes);
        }
    }
    parts
}

/// The file with a part changed.
pub fn changed(file: &[u8], part: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut parts = unpack(file);
    change(parts.get_mut(part).unwrap());
    pack(&parts)
}
