//! Signed PDF: PAdES B-B and B-T (ETSI EN 319 142-1) and the older detached form (ISO 32000-2, 12.8.3.3).
//!
//! What is checked, signature by signature: that its byte range is the whole of the revision it was written in
//! but for the signature value itself; that the value fits bytes and certificate; that the certificate is
//! trusted; and that nothing was changed afterwards but what a later signature brings with it. Stricter than
//! the standard allows readers to be: a file that programs might read in different ways is refused, for a
//! signature on it says nothing about what a person sees.
//!
//! What was signed is taken as it is: contents of the document itself are not looked into.

mod changes;
mod file;
mod object;
mod signature;

use crate::check::check_one_within;
use crate::effort::Effort;
use crate::{
    FileKind, FileVerdict, Link, LinkVerdict, SignatureError, SignatureVerdict, Times, TrustStore,
    Verifier, timestamp,
};
use changes::Changes;
use file::File;
use signature::{FieldReader, Form, Signature};

/// The largest PDF taken in, in bytes.
pub const MAX_PDF_BYTES: usize = 256 * 1024 * 1024;

/// The most signatures in a PDF.
const MAX_SIGNATURES: usize = 64;

/// Why a PDF, or a signature in it, was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PdfError {
    /// Larger than [`MAX_PDF_BYTES`].
    #[error("the PDF is larger than allowed")]
    TooLarge,
    /// Not of the form of ISO 32000-2, or one that programs read in different ways.
    #[error("the PDF is malformed at byte {at}")]
    Malformed {
        /// Where; in a compressed part, a place in that.
        at: usize,
    },
    /// The tables that say where objects stand contradict the file or each other.
    #[error("the cross-references of the PDF are wrong at byte {at}")]
    CrossReference {
        /// Where.
        at: usize,
    },
    /// Encrypted: what a person reads is not what the bytes say.
    #[error("the PDF is encrypted")]
    Encrypted,
    /// More revisions, objects, fields or signatures than allowed, or nested too deep.
    #[error("the PDF has more parts than allowed")]
    TooComplex,
    /// Compressed parts decode to more than allowed.
    #[error("compressed parts of the PDF decode to more than allowed")]
    DecodesTooLarge,
    /// No signature.
    #[error("the PDF has no signature")]
    NotSigned,
    /// The signature dictionary is incomplete or malformed.
    #[error("the signature dictionary is malformed")]
    SignatureDictionary,
    /// A SubFilter that is not accepted.
    #[error("the signature is of the form {0}, which is not accepted")]
    SubFilter(&'static str),
    /// The byte range is not two ranges from the file's first byte on.
    #[error("the byte range of the signature is wrong")]
    ByteRange,
    /// The bytes left out are not exactly the signature's value.
    #[error("the signature leaves out other bytes than its own value")]
    Gap,
    /// The byte range ends before or after the revision that the signature was written in.
    #[error("the signature does not cover its revision to the end")]
    RevisionNotCovered,
    /// Something else than further signatures was added or changed after signing.
    #[error("the PDF was changed after it was signed")]
    ChangedAfterSigning,
    /// Bytes after the signed revision belong to no object.
    #[error("bytes that belong to no object were added after signing")]
    BytesAdded,
    /// The certifying signature allows no such change (DocMDP, FieldMDP).
    #[error("a signature forbids a change that was made after it")]
    ChangeNotPermitted,
    /// A PAdES signature does not name the signer's certificate among what it signs.
    #[error("the signature does not cover the signer's certificate")]
    SigningCertificateMissing,
}

impl PdfError {
    /// Part of the public interface, never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "pdf_too_large",
            Self::Malformed { .. } => "pdf_malformed",
            Self::CrossReference { .. } => "pdf_cross_reference",
            Self::Encrypted => "pdf_encrypted",
            Self::TooComplex => "pdf_too_complex",
            Self::DecodesTooLarge => "pdf_decodes_too_large",
            Self::NotSigned => "pdf_not_signed",
            Self::SignatureDictionary => "pdf_signature_dictionary",
            Self::SubFilter(_) => "pdf_signature_form",
            Self::ByteRange => "pdf_byte_range",
            Self::Gap => "pdf_gap_not_signature",
            Self::RevisionNotCovered => "pdf_revision_not_covered",
            Self::ChangedAfterSigning => "pdf_changed_after_signing",
            Self::BytesAdded => "pdf_bytes_added",
            Self::ChangeNotPermitted => "pdf_change_not_permitted",
            Self::SigningCertificateMissing => "pdf_signing_certificate_missing",
        }
    }

    /// Which link failed.
    pub fn link(&self) -> Link {
        match self {
            Self::NotSigned => Link::Signature,
            Self::ByteRange
            | Self::Gap
            | Self::RevisionNotCovered
            | Self::ChangedAfterSigning
            | Self::BytesAdded
            | Self::ChangeNotPermitted => Link::Coverage,
            Self::SigningCertificateMissing => Link::Certificate,
            _ => Link::Format,
        }
    }

    fn verdict(self) -> LinkVerdict {
        let verdict = LinkVerdict::failed(self.link(), self.code());
        match self {
            Self::Malformed { at } | Self::CrossReference { at } => {
                verdict.about(format!("byte {at}"))
            }
            Self::SubFilter(name) => verdict.about(name),
            _ => verdict,
        }
    }
}

/// Whether `bytes` say of themselves that they are a PDF. Programs look for the head in the first 1024 bytes
/// (ISO 32000-1, H.3); [`check`] accepts only one that stands first.
pub fn is_pdf(bytes: &[u8]) -> bool {
    let head = bytes.get(..1024).unwrap_or(bytes);
    head.windows(HEAD.len()).any(|window| window == HEAD)
}

const HEAD: &[u8] = b"%PDF-";

/// Checks every signature in a PDF; a verdict on each, oldest first, and on the file.
pub fn check(bytes: &[u8], trust: &TrustStore, times: &Times) -> FileVerdict {
    let mut verdict = FileVerdict { kind: FileKind::Pdf, links: vec![], signatures: vec![] };
    match judge(bytes, trust, times) {
        Ok(signatures) => {
            verdict.links.push(LinkVerdict::ok(Link::Format));
            if signatures.is_empty() {
                verdict.links.push(PdfError::NotSigned.verdict());
            }
            verdict.signatures = signatures;
        }
        Err(error) => verdict.links.push(error.verdict()),
    }
    verdict
}

fn judge(
    bytes: &[u8],
    trust: &TrustStore,
    times: &Times,
) -> Result<Vec<SignatureVerdict>, PdfError> {
    if bytes.len() > MAX_PDF_BYTES {
        return Err(PdfError::TooLarge);
    }
    if !bytes.starts_with(HEAD) {
        return Err(PdfError::Malformed { at: 0 });
    }
    let file = File::read(bytes)?;
    let mut placed = placed_signatures(&file)?;
    placed.sort_by_key(|placed| placed.order);
    let first = placed.iter().filter_map(|placed| Some(placed.signature.as_ref().ok()?.revision));
    let changes = first.min().map(|first| Changes::since(&file, first)).transpose()?;
    // Newest first: a document time-stamp proves the time of everything before it.
    let mut times = *times;
    let mut stamped = None;
    let effort = Effort::default();
    let mut verdicts = Vec::with_capacity(placed.len());
    for Placed { name, signature, .. } in placed.into_iter().rev() {
        let mut verdict = unread(name);
        match signature {
            Ok(signature) => {
                let coverage = changes.as_ref().map(|changes| changes.after(&signature));
                verdict.links.extend(coverage);
                if signature.form == Form::TimeStamp {
                    judge_time_stamp(&file, &signature, trust, &times, &effort, &mut verdict);
                    stamped = stamped.into_iter().chain(verdict.proven_at).min();
                    times.proven = times.proven.into_iter().chain(stamped).min();
                } else {
                    judge_signature(&file, &signature, trust, &times, &effort, &mut verdict);
                    verdict.proven_at = verdict.proven_at.into_iter().chain(stamped).min();
                }
            }
            Err(error) => verdict.links.push(error.verdict()),
        }
        verdicts.push(verdict);
    }
    verdicts.reverse();
    Ok(verdicts)
}

/// A signature that a field of any revision names.
struct Placed {
    name: String,
    /// Where its dictionary stands, or the file's end where none can be read.
    order: usize,
    signature: Result<Signature, PdfError>,
}

/// Those of earlier revisions too: a signature that was taken out again was there.
fn placed_signatures(file: &File<'_>) -> Result<Vec<Placed>, PdfError> {
    let mut reader = FieldReader::default();
    let mut found: Vec<Placed> = Vec::new();
    let mut seen = Vec::new();
    for revision in 0..file.revisions.len() {
        for field in reader.fields(file, revision)? {
            let Some(value) = field.value else { continue };
            let number = value.reference().map(|id| id.number);
            let entry = number.and_then(|number| file.entry(revision, number));
            let key = (field.number, number, entry);
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            if seen.len() > MAX_SIGNATURES {
                return Err(PdfError::TooComplex);
            }
            let signature = number.ok_or(PdfError::SignatureDictionary);
            let signature = signature.and_then(|number| Signature::read(file, revision, number));
            let (order, signature) = match signature {
                Ok((signature, offset)) => (offset, Ok(signature)),
                Err(error) => (file.bytes.len(), Err(error)),
            };
            found.push(Placed { name: field.name, order, signature });
        }
    }
    Ok(found)
}

fn unread(name: String) -> SignatureVerdict {
    SignatureVerdict {
        name,
        signer: None,
        suite: None,
        claimed_at: None,
        proven_at: None,
        chain: None,
        links: Vec::new(),
    }
}

/// A document time-stamp (ISO 32000-2, 12.8.5; ETSI EN 319 142-1, 5.4.3).
fn judge_time_stamp(
    file: &File<'_>,
    signature: &Signature,
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
    verdict: &mut SignatureVerdict,
) {
    match timestamp::verify_within(
        &signature.contents,
        &signature.pieces(file),
        trust,
        times,
        effort,
    ) {
        Ok(stamp) => {
            verdict.proven_at = Some(stamp.proven());
            verdict.links.push(LinkVerdict::ok(Link::Signature));
            let link = LinkVerdict { link: Link::Time, ..stamp.revocation };
            verdict.links.push(link.with_time(stamp.at));
            verdict.suite = stamp.authority.public_key().ok().map(Verifier::suite);
            verdict.signer = Some(stamp.authority);
            verdict.chain = stamp.chain;
        }
        Err(error) => verdict.links.push(error.verdict()),
    }
}

fn judge_signature(
    file: &File<'_>,
    signature: &Signature,
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
    verdict: &mut SignatureVerdict,
) {
    verdict.claimed_at = signature.claimed_at;
    let checked =
        check_one_within(&signature.contents, &signature.pieces(file), trust, times, effort);
    let refused = |error: SignatureError| LinkVerdict::failed(error.link(), error.code());
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => return verdict.links.push(refused(error)),
    };
    // ETSI EN 319 142-1, 4.1 and ISO 32000-2, 12.8.3.3: one signer, and the content is not inside.
    let (Some(signer), true) = (checked.signers.into_iter().next(), checked.is_detached) else {
        return verdict.links.push(PdfError::SignatureDictionary.verdict());
    };
    let found = signer.verdict;
    verdict.signer = found.signer;
    verdict.suite = found.suite;
    verdict.claimed_at = signature.claimed_at.or(found.claimed_at);
    verdict.proven_at = found.proven_at;
    verdict.chain = found.chain;
    verdict.links.extend(found.links);
    // EN 319 142-1, table 1: else another certificate of the same key could be put in its place.
    if signature.form == Form::Cades && signer.hash.is_some() && !signer.names_certificate {
        verdict.links.push(PdfError::SigningCertificateMissing.verdict());
    }
}
