//! Sealed OFD files (GB/T 33190-2016): the package, the digests of its parts, seals and signatures
//! (GB/T 38540-2020, GM/T 0031-2014 and -2025), each judged by itself.
//!
//! **Every part counts.** GB/T 33190 leaves it to the signer which parts a signature protects. A clerk who
//! sees "sealed" takes the whole file for sealed, so a part that a signature leaves out speaks against
//! it ([`OfdError::UncoveredPart`]). Left out may be what belongs to signatures: the list of signatures,
//! so that another can be added, and each signature's description, signed value and seal. Each of these is
//! held by its own signature. Why: docs/decisions/0026-a-seal-covers-the-whole-file.md.
//!
//! **Times.** The validity of a seal is judged at the sealing time (GB/T 38540-2020, 7.3): that of the time-stamp
//! in the file, else the one that the signer claims. Certificates are judged as everywhere: at a proven time, else now.

mod error;
mod judge;
mod make;
mod package;
mod seal;
mod xml;

use std::collections::{BTreeSet, HashMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

pub use error::OfdError;
pub use make::{
    SealTemplate, SealVersion, SealingError, Stamper, make_seal, pack, seal_ofd, seal_value,
};
pub use package::{MAX_OFD_BYTES, is_ofd};

use crate::effort::Effort;
use crate::{
    FileKind, FileVerdict, HashAlgorithm, Link, LinkVerdict, SignatureVerdict, Times, TrustStore,
};
use judge::Case;
use package::{Package, ROOT};
use seal::Seal;
use xml::{Element, MAX_XML_BYTES};

/// The most signatures of a file.
const MAX_SIGNATURES: usize = 16;

/// The largest signed value or seal: a picture and some certificates.
const MAX_SEAL_BYTES: u64 = 8 * 1024 * 1024;

/// The most parts that a verdict names for a signature.
const MAX_NAMED: usize = 16;

/// Checks every signature and seal of an OFD file. The file is trusted if there is a signature, each of
/// them holds, and each protects every part.
///
/// Signers and makers of seals must lead to an anchor for [`crate::Usage::IssuingLicences`].
pub fn check(bytes: &[u8], trust: &TrustStore, times: &Times) -> FileVerdict {
    let verdict = |links, signatures| FileVerdict { kind: FileKind::Ofd, links, signatures };
    let mut document = match Document::open(bytes) {
        Ok(document) => document,
        Err(error) => return verdict(vec![error.verdict()], Vec::new()),
    };
    let mut links = vec![LinkVerdict::ok(Link::Format)];
    if document.signatures.is_empty() {
        links.push(document.unsigned().verdict());
        return verdict(links, Vec::new());
    }
    let entries = std::mem::take(&mut document.signatures);
    let effort = Effort::default();
    let judge = |entry: &Entry| document.judge(entry, trust, times, &effort);
    let signatures = entries.iter().map(judge).collect();
    verdict(links, signatures)
}

/// An open package and what its signatures are made of.
struct Document<'a> {
    package: Package<'a>,
    signatures: Vec<Entry>,
    /// Parts that belong to signatures; each is held by its own signature.
    of_signatures: BTreeSet<String>,
    digests: HashMap<(String, HashAlgorithm), Vec<u8>>,
}

/// A signature as Signatures.xml lists it (GB/T 33190-2016, 18.1).
struct Entry {
    /// The path of its description, Signature.xml.
    part: String,
    is_seal: bool,
    description: Result<Description, OfdError>,
}

/// Signature.xml (GB/T 33190-2016, 18.2).
struct Description {
    bytes: Vec<u8>,
    signed_value: String,
    seal: Option<String>,
    method: Result<HashAlgorithm, OfdError>,
    /// Path and digest; `None` where the digest cannot be read.
    references: Vec<(String, Option<Vec<u8>>)>,
}

impl<'a> Document<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, OfdError> {
        let mut package = Package::open(bytes)?;
        if !package.has(ROOT) {
            return Err(OfdError::NotAPackage);
        }
        let root = read_xml(&mut package, ROOT, "OFD")?;
        let mut signatures = Vec::new();
        let mut of_signatures = BTreeSet::new();
        for body in root.all("DocBody") {
            let Some(list) = location(&package, ROOT, body, "Signatures")? else {
                continue;
            };
            if !package.has(&list) {
                return Err(OfdError::DanglingLocation { part: ROOT.to_owned() });
            }
            // Two documents may have one list.
            if of_signatures.insert(list.clone()) {
                read_list(&mut package, &list, &mut signatures)?;
            }
        }
        for entry in &signatures {
            of_signatures.insert(entry.part.clone());
            if let Ok(description) = &entry.description {
                of_signatures.insert(description.signed_value.clone());
                // It must be the seal that signed; where there is none, it is a part like any other.
                of_signatures.extend(description.seal.clone().filter(|_| entry.is_seal));
            }
        }
        Ok(Self { package, signatures, of_signatures, digests: HashMap::new() })
    }

    /// Why a file that lists no signature does not hold: it may look sealed.
    fn unsigned(&mut self) -> OfdError {
        let parts: Vec<String> = self.package.parts().map(str::to_owned).collect();
        let mut shown = None;
        // What is looked at in all; a picture of a seal is not hidden behind more.
        let mut left = MAX_SEAL_BYTES;
        for part in parts {
            let name = part.to_ascii_lowercase();
            if !name.ends_with(".xml") && !name.ends_with(".esl") {
                continue;
            }
            let Ok(bytes) = self.package.read(&part, left) else {
                continue;
            };
            left -= bytes.len() as u64;
            if name.ends_with(".xml") {
                let Ok(root) = xml::read(&part, &bytes) else {
                    continue;
                };
                if matches!(root.name.as_str(), "Signature" | "Signatures")
                    && !self.of_signatures.contains(&part)
                {
                    let list = self.of_signatures.first().cloned();
                    let part = list.unwrap_or_else(|| ROOT.to_owned());
                    return OfdError::UnlistedSignature { part };
                }
                if shows_a_stamp(&root) {
                    shown = Some(part);
                }
            } else if Seal::read(&bytes).is_ok() {
                shown = Some(part);
            }
        }
        shown.map_or(OfdError::Unsigned, |part| OfdError::SealWithoutSignature { part })
    }

    fn judge(
        &mut self,
        entry: &Entry,
        trust: &TrustStore,
        times: &Times,
        effort: &Effort,
    ) -> SignatureVerdict {
        let mut verdict = SignatureVerdict {
            name: entry.part.clone(),
            signer: None,
            suite: None,
            claimed_at: None,
            proven_at: None,
            chain: None,
            links: Vec::new(),
        };
        let description = match &entry.description {
            Ok(description) => description,
            Err(error) => {
                verdict.links.push(error.verdict());
                return verdict;
            }
        };
        self.judge_coverage(description, &mut verdict);
        let value = match self.package.read(&description.signed_value, MAX_SEAL_BYTES) {
            Ok(value) => value,
            // A description that names a signature which is not there is no signature, though a seal may be
            // shown where it says.
            Err(OfdError::MissingPart { .. }) => {
                let part = entry.part.clone();
                let error = match entry.is_seal {
                    true => OfdError::SealWithoutSignature { part },
                    false => OfdError::DanglingLocation { part },
                };
                verdict.links.push(error.verdict());
                return verdict;
            }
            Err(error) => {
                verdict.links.push(error.verdict());
                return verdict;
            }
        };
        let shown = description.seal.as_ref();
        let shown = shown.map(|part| self.package.read(part, MAX_SEAL_BYTES));
        let mut case = Case {
            description,
            part: &entry.part,
            is_seal: entry.is_seal,
            shown,
            trust,
            times: *times,
            effort,
            verdict: &mut verdict,
        };
        case.judge(&value);
        verdict
    }

    /// The digests of all parts, and that there is one for every part.
    fn judge_coverage(&mut self, description: &Description, verdict: &mut SignatureVerdict) {
        let method = match &description.method {
            Ok(method) => *method,
            Err(error) => {
                verdict.links.push(error.verdict());
                return;
            }
        };
        let mut wrong = Vec::new();
        let mut covered: HashSet<&str> = HashSet::new();
        for (part, expected) in &description.references {
            covered.insert(part);
            match self.digest(part, method) {
                Ok(found) if Some(&found) == expected.as_ref() => {}
                Ok(_) => wrong.push(OfdError::ChangedPart { part: part.clone() }),
                Err(error) => wrong.push(error),
            }
            if wrong.len() >= MAX_NAMED {
                break;
            }
        }
        let is_left_out =
            |part: &&str| !covered.contains(part) && !self.of_signatures.contains(*part);
        let left_out = self.package.parts().filter(is_left_out).take(MAX_NAMED);
        wrong.extend(left_out.map(|part| OfdError::UncoveredPart { part: part.to_owned() }));
        wrong.truncate(MAX_NAMED);
        if wrong.is_empty() {
            verdict.links.push(LinkVerdict::ok(Link::Coverage));
        }
        verdict.links.extend(wrong.iter().map(OfdError::verdict));
    }

    fn digest(&mut self, part: &str, method: HashAlgorithm) -> Result<Vec<u8>, OfdError> {
        if let Some(known) = self.digests.get(&(part.to_owned(), method)) {
            return Ok(known.clone());
        }
        let digest = method.digest(&[&self.package.read_whole(part)?]);
        self.digests.insert((part.to_owned(), method), digest.clone());
        Ok(digest)
    }
}

fn read_xml(package: &mut Package<'_>, part: &str, name: &str) -> Result<Element, OfdError> {
    let root = xml::read(part, &package.read(part, MAX_XML_BYTES)?)?;
    if root.name == name { Ok(root) } else { Err(OfdError::Structure { part: part.to_owned() }) }
}

/// The path that the child `name` of `element` in `part` names.
fn location(
    package: &Package<'_>,
    part: &str,
    element: &Element,
    name: &str,
) -> Result<Option<String>, OfdError> {
    let found = element.optional(name, part)?;
    found.map(|found| located(package, part, found.text())).transpose()
}

fn located(package: &Package<'_>, part: &str, location: &str) -> Result<String, OfdError> {
    let outside = || OfdError::Location { part: part.to_owned() };
    package.locate(part, location).ok_or_else(outside)
}

/// Signatures.xml (GB/T 33190-2016, 18.1).
fn read_list(
    package: &mut Package<'_>,
    list: &str,
    signatures: &mut Vec<Entry>,
) -> Result<(), OfdError> {
    let structure = || OfdError::Structure { part: list.to_owned() };
    let root = read_xml(package, list, "Signatures")?;
    let count = signatures.len() + root.all("Signature").count();
    if count > MAX_SIGNATURES {
        return Err(OfdError::TooManySignatures { count });
    }
    for listed in root.all("Signature") {
        let base = listed.attribute("BaseLoc").ok_or_else(structure)?;
        let part = located(package, list, base)?;
        if signatures.iter().any(|known| known.part == part) {
            return Err(structure());
        }
        if !package.has(&part) {
            return Err(OfdError::DanglingLocation { part: list.to_owned() });
        }
        // The default is a seal.
        let is_seal = match listed.attribute("Type") {
            None | Some("Seal") => true,
            Some("Sign") => false,
            Some(_) => return Err(structure()),
        };
        let description = Description::read(package, &part);
        signatures.push(Entry { part, is_seal, description });
    }
    Ok(())
}

impl Description {
    fn read(package: &mut Package<'_>, part: &str) -> Result<Self, OfdError> {
        let structure = || OfdError::Structure { part: part.to_owned() };
        let bytes = package.read(part, MAX_XML_BYTES)?;
        let root = xml::read(part, &bytes)?;
        if root.name != "Signature" {
            return Err(structure());
        }
        let signed_value = located(package, part, root.one("SignedValue", part)?.text())?;
        let information = root.one("SignedInfo", part)?;
        let seal = match information.optional("Seal", part)? {
            Some(seal) => Some(located(package, part, seal.one("BaseLoc", part)?.text())?),
            None => None,
        };
        let list = information.one("References", part)?;
        let method = match hash_named(list.attribute("CheckMethod").unwrap_or("MD5")) {
            Ok(method) => Ok(method),
            Err(true) => Err(OfdError::WeakDigest { part: part.to_owned() }),
            Err(false) => Err(OfdError::UnknownDigest { part: part.to_owned() }),
        };
        let mut references = Vec::new();
        for reference in list.all("Reference") {
            let named = reference.attribute("FileRef").ok_or_else(structure)?;
            let named = located(package, part, named)?;
            let value = reference.one("CheckValue", part)?;
            let digits: String = value.text().split_ascii_whitespace().collect();
            references.push((named, BASE64_STANDARD.decode(digits).ok()));
        }
        Ok(Self { bytes, signed_value, seal, method, references })
    }
}

/// A hash function by name or object identifier, as CheckMethod (GB/T 33190-2016, 18.2.2) and seals name
/// it; `Err(true)` for one that is broken, `Err(false)` for an unknown one.
fn hash_named(text: &str) -> Result<HashAlgorithm, bool> {
    let name: String = text.chars().filter(|symbol| !matches!(symbol, '-' | '_')).collect();
    match name.to_ascii_uppercase().as_str() {
        "SM3" | "1.2.156.10197.1.401" => Ok(HashAlgorithm::Sm3),
        "SHA256" | "2.16.840.1.101.3.4.2.1" => Ok(HashAlgorithm::Sha256),
        "SHA384" | "2.16.840.1.101.3.4.2.2" => Ok(HashAlgorithm::Sha384),
        "SHA512" | "2.16.840.1.101.3.4.2.3" => Ok(HashAlgorithm::Sha512),
        "MD5" | "1.2.840.113549.2.5" | "SHA1" | "1.3.14.3.2.26" => Err(true),
        _ => Err(false),
    }
}

/// Whether there is an annotation of a seal (GB/T 33190-2016, 15.2, type Stamp) or a place for one
/// (18.2.3, StampAnnot).
fn shows_a_stamp(element: &Element) -> bool {
    element.name == "StampAnnot"
        || (element.name == "Annot" && element.attribute("Type") == Some("Stamp"))
        || element.children.iter().any(shows_a_stamp)
}
