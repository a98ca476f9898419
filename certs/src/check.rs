//! CMS signatures in files of others: a verdict for each signer and each link.

use crate::cms::{Bounds, SignedData, SignerInfo, Stapled};
use crate::effort::Effort;
use crate::timestamp::{self, TimeStamp};
use crate::{
    Certificate, FileKind, FileVerdict, HashAlgorithm, Link, LinkVerdict, Outcome, SignatureError,
    SignatureVerdict, Times, TrustStore, Usage, Verifier, oids,
};

/// What is taken in from other programs: time-stamps and revocation lists inside make containers large.
const BOUNDS: Bounds = Bounds { bytes: 1024 * 1024, certificates: 64, signers: 16 };

/// The most certificates of a container whose revocation lists and OCSP answers count.
const MAX_CARRIED: usize = 16;

/// What a list or answer that is carried costs: it may have to be tried with several certificates of one name.
const CHECKS_OF_STAPLED: usize = 4;

/// The most time-stamps of a signature that are looked at.
const MAX_TIME_STAMPS: usize = 4;

/// A CMS container whose signers were judged.
#[derive(Clone, Debug)]
pub struct CheckedCms {
    /// The content is not inside.
    pub is_detached: bool,
    /// The signers, as they stand in the container; at least one.
    pub signers: Vec<CheckedSigner>,
}

/// A signer of a CMS container.
#[derive(Clone, Debug)]
pub struct CheckedSigner {
    /// The verdict.
    pub verdict: SignatureVerdict,
    /// The hash function the content was signed with; `None` where the signature does not hold.
    pub hash: Option<HashAlgorithm>,
    /// The signer's certificate is named under the signature (signing-certificate, RFC 5035), as CAdES and
    /// PAdES require.
    pub names_certificate: bool,
}

/// Checks a CMS file (RFC 5652, GM/T 0010): every signer, link by link.
///
/// * `cms`: DER, at most 1 MiB besides the content inside, 64 certificates and 16 signers.
/// * `content`: what it is over. If it is inside too, both must be equal; without it the content inside
///   counts, and a detached signature cannot be judged.
pub fn check_cms(
    cms: &[u8],
    content: Option<&[u8]>,
    trust: &TrustStore,
    times: &Times,
) -> FileVerdict {
    let checked = match content {
        Some(content) => check_cms_over(cms, &[content], trust, times),
        None => check(cms, None, trust, times, &Effort::default(), usize::MAX),
    };
    let (links, signatures) = match checked {
        Ok(checked) => {
            let signatures = checked.signers.into_iter().map(|signer| signer.verdict);
            (vec![LinkVerdict::ok(Link::Format)], signatures.collect())
        }
        Err(SignatureError::ContentMissing) => {
            let error = SignatureError::ContentMissing;
            (vec![LinkVerdict::undetermined(error.link(), error.code())], Vec::new())
        }
        Err(error) => (vec![LinkVerdict::failed(error.link(), error.code())], Vec::new()),
    };
    FileVerdict { kind: FileKind::Cms, links, signatures }
}

/// Checks a CMS signature over content that lies in pieces, one after the other: the byte ranges of a
/// PDF. They are hashed where they lie.
///
/// # Errors
/// What concerns the container as a whole; what concerns a signer is in its verdict.
pub fn check_cms_over(
    cms: &[u8],
    pieces: &[&[u8]],
    trust: &TrustStore,
    times: &Times,
) -> Result<CheckedCms, SignatureError> {
    check_cms_within(cms, pieces, trust, times, &Effort::default())
}

/// The same for one of the containers of a file, whose effort it shares.
pub(crate) fn check_cms_within(
    cms: &[u8],
    pieces: &[&[u8]],
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
) -> Result<CheckedCms, SignatureError> {
    check(cms, Some(pieces), trust, times, effort, usize::MAX)
}

/// The same where one signer is expected: with more, none is judged.
///
/// # Errors
/// As there; `SeveralSigners`.
pub(crate) fn check_one_within(
    cms: &[u8],
    pieces: &[&[u8]],
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
) -> Result<CheckedCms, SignatureError> {
    check(cms, Some(pieces), trust, times, effort, 1)
}

fn check(
    cms: &[u8],
    pieces: Option<&[&[u8]]>,
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
    most_signers: usize,
) -> Result<CheckedCms, SignatureError> {
    let length = pieces.map_or(cms.len(), |pieces| pieces.iter().map(|piece| piece.len()).sum());
    let bounds = Bounds { bytes: BOUNDS.bytes.saturating_add(length), ..BOUNDS };
    let signed = SignedData::read(cms, bounds)?;
    if signed.signers.is_empty() {
        return Err(SignatureError::NoSigner);
    }
    let count = signed.signers.len();
    if count > most_signers {
        return Err(SignatureError::SeveralSigners { count });
    }
    if signed.content_type != oids::ID_DATA && signed.content_type != oids::GM_DATA {
        return Err(SignatureError::ContentType);
    }
    let inside;
    let pieces = match (pieces, signed.embedded) {
        (Some(pieces), Some(embedded)) if !is_joined(embedded, pieces) => {
            return Err(SignatureError::EmbeddedContentDiffers);
        }
        (Some(pieces), _) => pieces,
        (None, Some(embedded)) => {
            inside = [embedded];
            &inside
        }
        (None, None) => return Err(SignatureError::ContentMissing),
    };
    // One that cannot be read is of no use to a path.
    let certificates = signed.certificates.iter().filter_map(|der| Certificate::from_der(der).ok());
    let certificates: Vec<_> = certificates.collect();
    let stapled = with_stapled(&signed, &certificates, trust, times, effort);
    let trust = stapled.as_ref().unwrap_or(trust);
    let judge = |signer| judge(&signed, &certificates, signer, pieces, trust, times, effort);
    let signers = signed.signers.iter().map(judge);
    Ok(CheckedCms { is_detached: signed.embedded.is_none(), signers: signers.collect() })
}

/// The store with the lists and answers that the container carries, if there are any.
fn with_stapled(
    signed: &SignedData<'_>,
    certificates: &[Certificate],
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
) -> Option<TrustStore> {
    let Stapled { lists, answers } = &signed.stapled;
    if lists.is_empty() && answers.is_empty() {
        return None;
    }
    effort.spend(CHECKS_OF_STAPLED * (lists.len() + answers.len())).ok()?;
    let carried = certificates.get(..MAX_CARRIED).unwrap_or(certificates);
    Some(trust.with_stapled(lists, answers, carried, times.now))
}

/// * `certificates`: those of the container that can be read.
fn judge(
    signed: &SignedData<'_>,
    certificates: &[Certificate],
    signer: &SignerInfo<'_>,
    pieces: &[&[u8]],
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
) -> CheckedSigner {
    let mut checked = CheckedSigner {
        verdict: SignatureVerdict {
            name: String::new(),
            signer: None,
            suite: None,
            claimed_at: None,
            proven_at: None,
            chain: None,
            links: Vec::new(),
        },
        hash: None,
        names_certificate: false,
    };
    let verdict = &mut checked.verdict;
    let read = || {
        effort.spend(1)?;
        signed.certificate_among(certificates, signer)
    };
    let certificate = match read() {
        Ok(certificate) => certificate,
        Err(error) => {
            verdict.links.push(LinkVerdict::failed(error.link(), error.code()));
            return checked;
        }
    };
    verdict.signer = Some(certificate.clone());
    verdict.suite = certificate.public_key().ok().map(Verifier::suite);
    match signed.check(signer, &certificate, pieces) {
        Ok(found) => {
            verdict.claimed_at = found.signing_time;
            checked.hash = Some(found.hash);
            verdict.suite = Some(found.suite);
            checked.names_certificate = found.names_certificate;
        }
        Err(error) => {
            verdict.links.push(LinkVerdict::failed(error.link(), error.code()));
            return checked;
        }
    }
    verdict.links.push(LinkVerdict::ok(Link::Signature));
    let mut times = *times;
    if let Some(link) = proven(signer, trust, &mut times, effort) {
        verdict.proven_at = if link.outcome == Outcome::Untrusted { None } else { times.proven };
        verdict.links.push(link);
    }
    let others = certificates.iter().filter(|other| **other != certificate).cloned();
    let others: Vec<_> = others.collect();
    let usage = Usage::IssuingLicences;
    let assessed = trust.assess_within(&certificate, &others, usage, &times, effort);
    verdict.links.extend(assessed.links);
    verdict.chain = assessed.chain;
    checked
}

/// The verdict on the time-stamps over a signature, if there are any; `times.proven` becomes the earliest
/// that holds.
pub(crate) fn proven(
    signer: &SignerInfo<'_>,
    trust: &TrustStore,
    times: &mut Times,
    effort: &Effort,
) -> Option<LinkVerdict> {
    match earliest(signer, trust, times, effort) {
        Ok((_, stamp)) => {
            let at = stamp.proven();
            times.proven = Some(times.proven.map_or(at, |known| known.min(at)));
            let link = LinkVerdict { link: Link::Time, ..stamp.revocation };
            Some(link.with_time(stamp.at))
        }
        Err(failure) => failure,
    }
}

/// The earliest time-stamp over a signature that holds, with its token; else what is wrong with the others, first
/// of all that one is false.
pub(crate) fn earliest<'a>(
    signer: &SignerInfo<'a>,
    trust: &TrustStore,
    times: &Times,
    effort: &Effort,
) -> Result<(&'a [u8], TimeStamp), Option<LinkVerdict>> {
    let mut found: Option<(&[u8], TimeStamp)> = None;
    let mut failure: Option<LinkVerdict> = None;
    for token in signer.time_stamps().into_iter().take(MAX_TIME_STAMPS) {
        match timestamp::verify_within(token, &[signer.signature], trust, times, effort) {
            Ok(stamp) if found.as_ref().is_none_or(|(_, held)| stamp.proven() < held.proven()) => {
                found = Some((token, stamp));
            }
            Ok(_) => {}
            Err(error) => {
                let failed = failure.as_ref().is_some_and(|one| one.outcome == Outcome::Untrusted);
                failure = if failed { failure } else { Some(error.verdict()) };
            }
        }
    }
    found.ok_or(failure)
}

fn is_joined(whole: &[u8], pieces: &[&[u8]]) -> bool {
    let mut rest = whole;
    for piece in pieces {
        match rest.strip_prefix(*piece) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}
