//! Verdicts on signed files: one for each link, the worst of them for the whole.

use jiff::Timestamp;

use crate::{Certificate, ChainRecord, ChainVerdict, Judgement, Link, Revocation, Suite};

/// What a check comes to: of one link, of a signature, or of a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Trusted,
    /// It does not.
    Untrusted,
    /// Nothing speaks against it, but something needed to judge it is not at hand.
    Undetermined,
}

impl Outcome {
    /// The word in answers and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
            Self::Undetermined => "undetermined",
        }
    }

    /// The worse of two: untrusted, undetermined, trusted.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Untrusted, _) | (_, Self::Untrusted) => Self::Untrusted,
            (Self::Undetermined, _) | (_, Self::Undetermined) => Self::Undetermined,
            (Self::Trusted, Self::Trusted) => Self::Trusted,
        }
    }
}

/// The verdict on one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkVerdict {
    /// Which link.
    pub link: Link,
    /// What it comes to.
    pub outcome: Outcome,
    /// `ok`, or the reason's stable code.
    pub code: &'static str,
    /// The part it is about, where a file has several: a path in an OFD package, a byte range of a PDF.
    /// Never a name or number of a holder.
    pub subject: Option<String>,
    /// The time that explains it: of a revocation, of the list that was used, of a time-stamp.
    pub at: Option<Timestamp>,
}

impl LinkVerdict {
    /// The link holds.
    pub fn ok(link: Link) -> Self {
        Self { link, outcome: Outcome::Trusted, code: "ok", subject: None, at: None }
    }

    /// The link is broken, for the reason with this code.
    pub fn failed(link: Link, code: &'static str) -> Self {
        Self { link, outcome: Outcome::Untrusted, code, subject: None, at: None }
    }

    /// The link cannot be judged, for the reason with this code.
    pub fn undetermined(link: Link, code: &'static str) -> Self {
        Self { link, outcome: Outcome::Undetermined, code, subject: None, at: None }
    }

    /// The same, about a part of the file.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// The same, explained by a time.
    #[must_use]
    pub fn with_time(self, at: Timestamp) -> Self {
        Self { at: Some(at), ..self }
    }
}

impl Revocation {
    /// What it says about the link revocation.
    pub fn verdict(&self) -> LinkVerdict {
        match self {
            Revocation::Good { as_of } => LinkVerdict::ok(Link::Revocation).with_time(*as_of),
            Revocation::Revoked { at, .. } => {
                LinkVerdict::failed(Link::Revocation, "certificate_revoked").with_time(*at)
            }
            Revocation::Unknown { as_of } => {
                LinkVerdict::undetermined(Link::Revocation, "ocsp_unknown").with_time(*as_of)
            }
            Revocation::Stale { as_of } => {
                LinkVerdict::undetermined(Link::Revocation, "crl_stale").with_time(*as_of)
            }
            Revocation::NoCrl => LinkVerdict::undetermined(Link::Revocation, "crl_missing"),
        }
    }
}

impl Judgement {
    /// The links chain and revocation.
    pub fn links(&self) -> [LinkVerdict; 2] {
        let chain = match self.chain {
            ChainVerdict::Ok => LinkVerdict::ok(Link::Chain),
            ChainVerdict::AnchorWithdrawn => {
                LinkVerdict::failed(Link::Chain, "certificate_anchor_withdrawn")
            }
            ChainVerdict::AnchorNotYet => {
                LinkVerdict::failed(Link::Chain, "certificate_anchor_not_yet_valid")
            }
            ChainVerdict::AnchorEnded => {
                LinkVerdict::failed(Link::Chain, "certificate_anchor_ended")
            }
        };
        [chain, self.revocation.verdict()]
    }
}

/// The verdict on one signature in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureVerdict {
    /// Where it stands: a path in an OFD package, a field of a PDF; empty where there is only one.
    pub name: String,
    /// The signer's certificate, if it could be read.
    pub signer: Option<Certificate>,
    /// The suite.
    pub suite: Option<Suite>,
    /// The time that the signer claims; nobody proves it.
    pub claimed_at: Option<Timestamp>,
    /// The time that a trusted time-stamp proves.
    pub proven_at: Option<Timestamp>,
    /// The path to the anchor, if there is one.
    pub chain: Option<ChainRecord>,
    /// Each link that was judged, in order; what builds on a broken link is left out.
    pub links: Vec<LinkVerdict>,
}

impl SignatureVerdict {
    /// The worst of the links; untrusted where none was judged.
    pub fn outcome(&self) -> Outcome {
        worst(&self.links).unwrap_or(Outcome::Untrusted)
    }
}

/// What kind of signed file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileKind {
    /// CMS SignedData (RFC 5652, GM/T 0010).
    Cms,
    /// OFD (GB/T 33190).
    Ofd,
    /// PDF (ISO 32000).
    Pdf,
}

/// The verdict on a file with signatures of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVerdict {
    /// What kind of file it is.
    pub kind: FileKind,
    /// What concerns the file as a whole: its form, that there is a signature, bytes that none covers.
    pub links: Vec<LinkVerdict>,
    /// The signatures, oldest first.
    pub signatures: Vec<SignatureVerdict>,
}

impl FileVerdict {
    /// The worst of everything. A file without a signature is untrusted, for nobody vouches for it, unless its
    /// own links say that this could not be judged.
    pub fn outcome(&self) -> Outcome {
        let signatures = self.signatures.iter().map(SignatureVerdict::outcome);
        match (signatures.reduce(Outcome::and), worst(&self.links)) {
            (None, Some(Outcome::Undetermined)) => Outcome::Undetermined,
            (None, _) => Outcome::Untrusted,
            (Some(signed), file) => file.map_or(signed, |file| file.and(signed)),
        }
    }
}

fn worst(links: &[LinkVerdict]) -> Option<Outcome> {
    links.iter().map(|link| link.outcome).reduce(Outcome::and)
}
