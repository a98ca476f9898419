//! Face files with signatures of their own: sealed OFD and signed PDF.
//!
//! The issuer's signature over the licence covers its files by digest. A file that is sealed or signed besides is checked
//! when the licence comes in: one that was changed after signing is refused whatever the settings say, one whose signer is
//! not trusted by the setting `trust.face_files`. What was found is kept beside the licence, with the signers' paths, and
//! judged again, without cryptography, when the file is shown. A file without any signature claims nothing and is taken.
//! One that cannot be read is taken too, unless it speaks of a signature: that would get around the check.

use std::collections::BTreeMap;

use bytes::Bytes;
use certs::{
    ChainRecord, FileVerdict, Link, LinkVerdict, SignatureVerdict, Times, TrustStore, ofd, pdf,
};
use indexes::{Collection, StoreError, StoredLicence};
use jiff::Timestamp;
use licence::Sha256Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Hub,
    config::{FaceFiles, RevokedSigners},
    judge::{Face, Outcome},
    records::{self, Draft, Kept},
};

/// Why a licence is not taken in because of a file's own signatures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaceFileError {
    /// It was changed, or its signature or seal is wrong.
    #[error(
        "file {position} of the licence's list is signed, and the signature does not hold: {reason}"
    )]
    Broken {
        /// Position in the list, from 1.
        position: usize,
        /// The code of what was found.
        reason: &'static str,
    },
    /// It holds, but its signer is not trusted.
    #[error(
        "file {position} of the licence's list is signed by somebody who is not trusted: {reason}; have the \
         anchor added, or let such files in with the setting trust.face_files = \"record\""
    )]
    NotTrusted {
        /// Position in the list, from 1.
        position: usize,
        /// The code of what was found.
        reason: &'static str,
    },
}

impl FaceFileError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Broken { .. } => "face_file_broken",
            Self::NotTrusted { .. } => "face_file_not_trusted",
        }
    }
}

/// The verdicts on a licence's signed files, as kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    /// When they were checked.
    checked_at: Timestamp,
    files: BTreeMap<Sha256Digest, CheckedFile>,
}

impl Kept for Checked {
    const COLLECTION: Collection = Collection::new("face_files");
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct CheckedFile {
    /// The code of what does not hold about the file as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
    signatures: Vec<CheckedSignature>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct CheckedSignature {
    /// The code of the first link that does not hold, revocation left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claimed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proven_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<ChainRecord>,
}

/// What a file's own signatures say today.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SignedFile {
    /// Over all its signatures.
    pub result: Outcome,
    /// The first thing that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the signatures were checked.
    #[schema(value_type = String)]
    pub checked_at: Timestamp,
    /// Who signed, as the certificates say, oldest first.
    pub signers: Vec<String>,
}

/// Checks the files that are signed by themselves.
///
/// * `files`: position in the licence's list, from 1, and content.
///
/// # Errors
/// See [`FaceFileError`].
pub fn check(
    files: &[(usize, Bytes)],
    trust: &TrustStore,
    setting: FaceFiles,
    now: Timestamp,
) -> Result<Option<Checked>, FaceFileError> {
    let times = Times::now(now);
    let mut kept = BTreeMap::new();
    for (position, content) in files {
        let verdict = if pdf::is_pdf(content) {
            pdf::check(content, trust, &times)
        } else if ofd::is_ofd(content) {
            ofd::check(content, trust, &times)
        } else {
            continue;
        };
        if claims_nothing(&verdict) && !speaks_of_a_signature(content) {
            continue;
        }
        refuse(*position, &verdict, setting)?;
        kept.insert(certs::sha256(content), CheckedFile::of(&verdict));
    }
    Ok((!kept.is_empty()).then_some(Checked { checked_at: now, files: kept }))
}

/// Keeps what was found, under the digest of the licence's document.
///
/// # Errors
/// The store's.
pub async fn keep(hub: &Hub, document: &Sha256Digest, checked: &Checked) -> Result<(), StoreError> {
    let mut draft = Draft::new();
    draft.put(document.as_bytes(), checked);
    // Whatever is there: the same files were checked before.
    draft.commit(&*hub.store).await?.map(drop).map_err(|_| StoreError::Closed)
}

/// What the signed files of a licence say today, by digest. A licence without files costs nothing.
///
/// # Errors
/// The store's.
pub async fn judged(
    hub: &Hub,
    stored: &StoredLicence,
    face: Option<&Face<'_>>,
) -> Result<BTreeMap<Sha256Digest, SignedFile>, StoreError> {
    if face.is_none_or(|face| face.files.is_empty()) {
        return Ok(BTreeMap::new());
    }
    let held = records::read::<Checked>(&*hub.store, stored.digest.as_bytes()).await?;
    let Some(checked) = held.map(|held| held.value) else { return Ok(BTreeMap::new()) };
    let (trust, now) = (hub.trust(), hub.clock.now());
    let log = match hub.settings().trust.revoked_signers {
        RevokedSigners::TimeStampOrLog => Some(stored.received_at),
        RevokedSigners::TimeStampOnly | RevokedSigners::Never => None,
    };
    let never = hub.settings().trust.revoked_signers == RevokedSigners::Never;
    let times =
        |proven: Option<Timestamp>| Times { now, proven: proven.filter(|_| !never).or(log) };
    let judge = |file: &CheckedFile| file.judge(&trust, checked.checked_at, &times);
    Ok(checked.files.iter().map(|(digest, file)| (*digest, judge(file))).collect())
}

/// Nobody signed it, or it cannot be read as what it claims to be: there is nothing to judge.
fn claims_nothing(verdict: &FileVerdict) -> bool {
    let nothing = |link: &LinkVerdict| {
        link.outcome == certs::Outcome::Trusted
            || link.link == Link::Format
            || matches!(link.code, "ofd_unsigned" | "pdf_not_signed")
    };
    verdict.signatures.is_empty() && verdict.links.iter().all(nothing)
}

/// Whether a file that cannot be read has what only signed files have: the range of bytes of a PDF's signature, or the
/// name, never packed, of the part that lists an OFD's. Other programs may read it, and show it as signed.
fn speaks_of_a_signature(content: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"/ByteRange", b"Signatures.xml"];
    marks.iter().any(|mark| content.windows(mark.len()).any(|window| window == *mark))
}

fn refuse(position: usize, verdict: &FileVerdict, setting: FaceFiles) -> Result<(), FaceFileError> {
    let links = verdict.links.iter().chain(verdict.signatures.iter().flat_map(|one| &one.links));
    let failed: Vec<_> = links.filter(|link| link.outcome == certs::Outcome::Untrusted).collect();
    let is_about_signer = |link: &LinkVerdict| {
        matches!(
            link.link,
            Link::Certificate | Link::Chain | Link::Usage | Link::Revocation | Link::Time
        )
    };
    if let Some(broken) = failed.iter().find(|link| !is_about_signer(link)) {
        return Err(FaceFileError::Broken { position, reason: broken.code });
    }
    match failed.first() {
        Some(failed) if setting == FaceFiles::Refuse => {
            Err(FaceFileError::NotTrusted { position, reason: failed.code })
        }
        _ => Ok(()),
    }
}

impl CheckedFile {
    fn of(verdict: &FileVerdict) -> Self {
        Self {
            broken: first_broken(&verdict.links).map(str::to_owned),
            signatures: verdict.signatures.iter().map(CheckedSignature::of).collect(),
        }
    }

    fn judge(
        &self,
        trust: &TrustStore,
        checked_at: Timestamp,
        times: &impl Fn(Option<Timestamp>) -> Times,
    ) -> SignedFile {
        let mut result = Outcome::Trusted;
        let mut reason = None;
        let mut note = |outcome: Outcome, code: &str| {
            if result != Outcome::Untrusted && outcome != Outcome::Trusted {
                if result != outcome {
                    reason = Some(code.to_owned());
                }
                result = outcome;
            }
        };
        if let Some(code) = &self.broken {
            note(Outcome::Untrusted, code);
        }
        for signature in &self.signatures {
            match (&signature.broken, &signature.chain) {
                (Some(code), _) => note(Outcome::Untrusted, code),
                (None, None) => note(Outcome::Undetermined, "certificate_unknown_issuer"),
                (None, Some(chain)) => {
                    for link in trust.judge_at(chain, &times(signature.proven_at)).links() {
                        note(link.outcome.into(), link.code);
                    }
                }
            }
        }
        let signers = self.signatures.iter().filter_map(|one| one.signer.clone()).collect();
        SignedFile { result, reason, checked_at, signers }
    }
}

impl CheckedSignature {
    fn of(verdict: &SignatureVerdict) -> Self {
        Self {
            broken: first_broken(&verdict.links).map(str::to_owned),
            signer: verdict.signer.as_ref().map(certs::Certificate::subject_text),
            claimed_at: verdict.claimed_at,
            proven_at: verdict.proven_at,
            chain: verdict.chain.clone(),
        }
    }
}

/// What can be judged again later, revocation, is left out.
fn first_broken(links: &[LinkVerdict]) -> Option<&'static str> {
    let broken = |link: &&LinkVerdict| {
        link.outcome == certs::Outcome::Untrusted && link.link != Link::Revocation
    };
    links.iter().find(broken).map(|link| link.code)
}
