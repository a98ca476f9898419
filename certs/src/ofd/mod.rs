//! Sealed OFD files (GB/T 33190-2016): the package, the digests of its parts, seals and signatures
//! (GB/T 38540-2020, GM/T 0031-2014 and -2025), each judged by itself.
//!
//! **Every part counts.** GB/T 33190 leaves it to the signer which parts a signature protects. A clerk who
//! sees "sealed" takes the whole file for sealed, so a part that a signature leaves out speaks against
//! it ([`OfdError::UncoveredPart`]). Left out may be what belongs to signatures: the list of signatures,
//! so that another can be added, and each signature's description, signed value and seal. Each of these is
//! held by its own signature.
//!
//! **Times.** The validity of a seal is judged at the sealing time (GB/T 38540-2020, 7.3): the proven one,
//! else the one that the signer claims. Certificates are judged as everywhere: at a proven time, else now.

mod error;
mod make;
mod package;
mod seal;
mod xml;

use std::collections::{BTreeSet, HashMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::ToSpan;

pub use error::OfdError;
pub use make::{SealTemplate, SealVersion, SealingError, Stamper, make_seal, pack, seal_ofd};
pub use package::{MAX_OFD_BYTES, is_ofd};

use crate::tlv::Members;
use crate::{
    Certificate, CheckedCms, FileKind, FileVerdict, HashAlgorithm, Link, LinkVerdict, Outcome,
    SignatureVerdict, Times, TrustStore, Usage, Verifier, VerifyError, check_cms_over,
};
use package::{Package, ROOT, resolve};
use seal::{Seal, SealSignature};
use xml::{Element, MAX_XML_BYTES};

/// The most signatures of a file.
const MAX_SIGNATURES: usize = 16;

/// The largest signed value or seal: a picture and some certificates.
const MAX_SEAL_BYTES: u64 = 8 * 1024 * 1024;

/// The most parts that a verdict names for a signature.
const MAX_NAMED: usize = 16;

/// How far a signer's clock may be ahead.
const CLOCK_MINUTES: i64 = 5;

/// Checks every signature and seal of an OFD file. The file is trusted if there is a signature, each of
/// them holds, and each protects every part.
///
/// Signers and makers of seals must lead to an anchor for [`Usage::IssuingLicences`].
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
    let judge = |entry: &Entry| document.judge(entry, trust, times);
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
            let Some(list) = location(body, "Signatures", ROOT)? else {
                continue;
            };
            // A package that lists its signatures through one file for two documents says it once.
            if !package.has(&list) {
                return Err(OfdError::DanglingLocation { part: ROOT.to_owned() });
            }
            if of_signatures.insert(list.clone()) {
                read_list(&mut package, &list, &mut signatures)?;
            }
        }
        for entry in &signatures {
            of_signatures.insert(entry.part.clone());
            if let Ok(description) = &entry.description {
                of_signatures.insert(description.signed_value.clone());
                of_signatures.extend(description.seal.clone());
            }
        }
        Ok(Self { package, signatures, of_signatures, digests: HashMap::new() })
    }

    /// Why a file that lists no signature does not hold: it may look sealed.
    fn unsigned(&mut self) -> OfdError {
        let parts: Vec<String> = self.package.parts().map(str::to_owned).collect();
        let mut shown = None;
        for part in parts {
            let name = part.to_ascii_lowercase();
            if name.ends_with(".xml") {
                let Ok(root) = read_any_xml(&mut self.package, &part) else {
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
            } else if name.ends_with(".esl") {
                let read = self.package.read(&part, MAX_SEAL_BYTES);
                if read.is_ok_and(|bytes| Seal::read(&bytes).is_ok()) {
                    shown = Some(part);
                }
            }
        }
        shown.map_or(OfdError::Unsigned, |part| OfdError::SealWithoutSignature { part })
    }

    fn judge(&mut self, entry: &Entry, trust: &TrustStore, times: &Times) -> SignatureVerdict {
        let mut verdict = SignatureVerdict {
            name: entry.part.clone(),
            signer: None,
            suite: None,
            claimed_at: None,
            proven_at: times.proven,
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
        match self.package.read(&description.signed_value, MAX_SEAL_BYTES) {
            Ok(value) => self.judge_value(entry, description, &value, trust, times, &mut verdict),
            // A description that names a signature which is not there is no signature, though a seal may be
            // shown where it says.
            Err(OfdError::MissingPart { .. }) => {
                let part = entry.part.clone();
                let error = match entry.is_seal {
                    true => OfdError::SealWithoutSignature { part },
                    false => OfdError::DanglingLocation { part },
                };
                verdict.links.push(error.verdict());
            }
            Err(error) => verdict.links.push(error.verdict()),
        }
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

    /// The signed value: a seal signature, CMS, or nothing but a signature.
    fn judge_value(
        &mut self,
        entry: &Entry,
        description: &Description,
        value: &[u8],
        trust: &TrustStore,
        times: &Times,
        verdict: &mut SignatureVerdict,
    ) {
        let part = || description.signed_value.clone();
        match form_of(value) {
            Some(Form::Seal) => {
                let Ok(signature) = SealSignature::read(value) else {
                    verdict.links.push(OfdError::SignedValue { part: part() }.verdict());
                    return;
                };
                self.judge_seal(entry, description, &signature, trust, times, verdict);
            }
            Some(_) if entry.is_seal => {
                verdict.links.push(OfdError::NoSeal { part: part() }.verdict());
            }
            Some(Form::Cms) => judge_cms(description, value, trust, times, verdict),
            // GM/T 0009-2012, 7.3: r and s. Whose they are, the file does not say.
            Some(Form::Bare) => {
                verdict.links.push(OfdError::NoCertificate { part: part() }.verdict());
            }
            None => verdict.links.push(OfdError::SignedValue { part: part() }.verdict()),
        }
    }

    /// GB/T 38540-2020, 7.3.
    fn judge_seal(
        &mut self,
        entry: &Entry,
        description: &Description,
        signature: &SealSignature<'_>,
        trust: &TrustStore,
        times: &Times,
        verdict: &mut SignatureVerdict,
    ) {
        let part = || description.signed_value.clone();
        verdict.claimed_at = signature.claimed_at;
        let signer = match readable(signature.certificate) {
            Ok(signer) => signer,
            Err(error) => {
                verdict.links.push(error.verdict().about(part()));
                return;
            }
        };
        let Ok(key) = signer.public_key() else {
            let error = OfdError::Certificate(crate::CertificateError::UnsupportedKey);
            verdict.links.push(error.verdict().about(part()));
            return;
        };
        verdict.suite = Some(key.suite());
        verdict.signer = Some(signer.clone());
        let broken = match signature.fits(key) {
            Ok(true) if signature.is_over(&description.bytes, key.suite()) => None,
            Ok(true) => Some(OfdError::ChangedDescription { part: entry.part.clone() }),
            Ok(false) => Some(OfdError::Algorithm { part: part() }),
            Err(VerifyError) => Some(OfdError::WrongSignature { part: part() }),
        };
        if let Some(error) = broken {
            verdict.links.push(error.verdict());
            return;
        }
        verdict.links.push(LinkVerdict::ok(Link::Signature));
        self.judge_stamp(description, &signature.seal, &signer, trust, times, verdict);
        assess(&signer, &[], trust, times, verdict);

        if let Some(at) = signature.claimed_at {
            let latest = times.now.checked_add(CLOCK_MINUTES.minutes()).unwrap_or(times.now);
            let error = if at > latest {
                Some(OfdError::SealedInFuture { at })
            } else if at < signer.not_before() || at > signer.not_after() {
                Some(OfdError::SealedOutsideCertificate { at })
            } else {
                None
            };
            verdict.links.extend(error.map(|error| error.verdict()));
        }
    }

    /// The seal itself: its maker, its owner, its validity (GB/T 38540-2020, 6.3), and that it is the one
    /// shown.
    fn judge_stamp(
        &mut self,
        description: &Description,
        seal: &Seal<'_>,
        signer: &Certificate,
        trust: &TrustStore,
        times: &Times,
        verdict: &mut SignatureVerdict,
    ) {
        let before = verdict.links.len();
        if let Err(error) = self.check_stamp(description, seal, signer) {
            verdict.links.push(error.verdict());
            if matches!(error, OfdError::ForgedSeal { .. } | OfdError::Seal { .. }) {
                return;
            }
        }
        if let Some(at) = times.proven.or(verdict.claimed_at) {
            let error = if at < seal.from {
                Some(OfdError::SealNotYetValid { from: seal.from })
            } else if at > seal.until {
                Some(OfdError::SealExpired { until: seal.until })
            } else {
                None
            };
            verdict.links.extend(error.map(|error| error.verdict()));
        }
        if verdict.links.len() == before {
            verdict.links.push(LinkVerdict::ok(Link::Seal));
        }
        if let Ok(maker) = readable(seal.maker) {
            // Only what speaks against the maker, named by the seal: the rest would read as the signer's.
            let about = description.seal.as_ref().unwrap_or(&description.signed_value);
            let links = trust.assess(&maker, &[], Usage::IssuingLicences, times).links;
            let speaks = |link: &LinkVerdict| link.outcome != Outcome::Trusted;
            verdict.links.extend(links.into_iter().filter(speaks).map(|link| link.about(about)));
        }
    }

    fn check_stamp(
        &mut self,
        description: &Description,
        seal: &Seal<'_>,
        signer: &Certificate,
    ) -> Result<(), OfdError> {
        let part = || description.signed_value.clone();
        let maker = readable(seal.maker).map_err(|_| OfdError::Seal { part: part() })?;
        let key = maker.public_key().map_err(|_| OfdError::Seal { part: part() })?;
        if seal.fits(key) != Ok(true) {
            return Err(OfdError::ForgedSeal { part: part() });
        }
        if !seal.allows(signer) {
            return Err(OfdError::SignerNotOnSeal { part: part() });
        }
        if let Some(shown) = &description.seal
            && self.package.read(shown, MAX_SEAL_BYTES)? != seal.der
        {
            return Err(OfdError::OtherSeal { part: shown.clone() });
        }
        Ok(())
    }
}

/// GM/T 0099-2020, 7.2.2: a signature without a seal is CMS (GB/T 35275). What it is over is the
/// description, or the SM3 digest of it as content.
fn judge_cms(
    description: &Description,
    value: &[u8],
    trust: &TrustStore,
    times: &Times,
    verdict: &mut SignatureVerdict,
) {
    let digest = HashAlgorithm::Sm3.digest(&[&description.bytes]);
    let over = |content: &[u8]| check_cms_over(value, &[content], trust, times);
    let holds = |checked: &CheckedCms| checked.signers.iter().all(|signer| signer.hash.is_some());
    let checked = match over(&description.bytes) {
        Ok(checked) if holds(&checked) => Ok(checked),
        other => match over(&digest) {
            Ok(checked) if holds(&checked) => Ok(checked),
            _ => other,
        },
    };
    let part = || description.signed_value.clone();
    let signers = match checked {
        Ok(checked) => checked.signers,
        Err(error) => {
            verdict.links.push(OfdError::Cms(error).verdict().about(part()));
            return;
        }
    };
    let holds = signers.iter().all(|signer| signer.hash.is_some());
    for signer in signers.into_iter().map(|signer| signer.verdict) {
        // A signature that does not hold is in this part; anything else is about the signer.
        let about = |link: LinkVerdict| if holds { link } else { link.about(part()) };
        verdict.links.extend(signer.links.into_iter().map(about));
        if verdict.signer.is_none() {
            verdict.signer = signer.signer;
            verdict.suite = signer.suite;
            verdict.claimed_at = signer.claimed_at;
            verdict.chain = signer.chain;
        }
    }
}

/// The path of the signer, as far as it is known.
fn assess(
    signer: &Certificate,
    others: &[Certificate],
    trust: &TrustStore,
    times: &Times,
    verdict: &mut SignatureVerdict,
) {
    let assessment = trust.assess(signer, others, Usage::IssuingLicences, times);
    verdict.links.extend(assessment.links);
    verdict.chain = assessment.chain;
}

fn readable(certificate: &[u8]) -> Result<Certificate, OfdError> {
    Ok(Certificate::from_der(certificate)?)
}

enum Form {
    Seal,
    Cms,
    Bare,
}

/// By the first member: what is signed, an object identifier, or a number.
fn form_of(value: &[u8]) -> Option<Form> {
    let mut members = Members::of_sequence(value).ok()?;
    match members.next_tag().ok()? {
        der::Tag::Sequence => Some(Form::Seal),
        der::Tag::ObjectIdentifier => Some(Form::Cms),
        der::Tag::Integer => Some(Form::Bare),
        _ => None,
    }
}

fn read_xml(package: &mut Package<'_>, part: &str, name: &str) -> Result<Element, OfdError> {
    let root = read_any_xml(package, part)?;
    if root.name == name { Ok(root) } else { Err(OfdError::Structure { part: part.to_owned() }) }
}

fn read_any_xml(package: &mut Package<'_>, part: &str) -> Result<Element, OfdError> {
    xml::read(part, &package.read(part, MAX_XML_BYTES)?)
}

/// The path that the child `name` of `element` in `part` names.
fn location(element: &Element, name: &str, part: &str) -> Result<Option<String>, OfdError> {
    let found = element.optional(name, part)?;
    found.map(|found| resolved(part, found.text())).transpose()
}

fn resolved(part: &str, location: &str) -> Result<String, OfdError> {
    resolve(part, location).ok_or_else(|| OfdError::Location { part: part.to_owned() })
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
        let part = resolved(list, base)?;
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
        let signed_value = resolved(part, root.one("SignedValue", part)?.text())?;
        let information = root.one("SignedInfo", part)?;
        let seal = match information.optional("Seal", part)? {
            Some(seal) => Some(resolved(part, seal.one("BaseLoc", part)?.text())?),
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
            let named = resolved(part, named)?;
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
