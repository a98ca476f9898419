//! The report on a file: the same for people and programs, in two languages.

use certs::{FileVerdict, Link, LinkVerdict, SignatureVerdict};
use jiff::Timestamp;
use licence::Sha256Digest;
use serde::Serialize;
use utoipa::ToSchema;

use super::Kind;
use crate::judge::{Outcome, RevocationLink};

/// The verdict on one link, explained.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explained {
    /// The link's name.
    pub link: &'static str,
    /// Its name in Chinese.
    pub name: &'static str,
    /// What this link comes to.
    pub outcome: Outcome,
    /// `ok` or the reason's code.
    pub result: String,
    /// The verdict in English.
    pub said: String,
    /// The verdict in Chinese.
    pub said_zh: String,
    /// What to do, in English; left out if nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub todo: String,
    /// What to do, in Chinese.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub todo_zh: String,
    /// The part of the file it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The time that explains it: of a revocation, a list, a time-stamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub at: Option<Timestamp>,
}

impl Explained {
    /// A link that holds.
    pub(super) fn ok(link: (&'static str, &'static str), said_zh: String, said: String) -> Self {
        Self {
            link: link.0,
            name: link.1,
            outcome: Outcome::Trusted,
            result: "ok".to_owned(),
            said,
            said_zh,
            todo: String::new(),
            todo_zh: String::new(),
            subject: None,
            at: None,
        }
    }

    /// A link that does not.
    pub(super) fn not(
        link: (&'static str, &'static str),
        outcome: Outcome,
        code: &str,
        said_zh: String,
        said: String,
    ) -> Self {
        Self { outcome, result: code.to_owned(), ..Self::ok(link, said_zh, said) }
    }

    #[must_use]
    pub(super) fn todo(self, zh: &str, en: &str) -> Self {
        Self { todo: en.to_owned(), todo_zh: zh.to_owned(), ..self }
    }

    /// What `certs` says of a link.
    #[must_use]
    pub fn of(verdict: &LinkVerdict) -> Self {
        let link = (verdict.link.word(), verdict.link.name_zh());
        let mut explained = match certs::words(verdict.code) {
            _ if verdict.outcome == certs::Outcome::Trusted => {
                let (zh, en) = holds(verdict.link);
                Self {
                    result: verdict.code.to_owned(),
                    ..Self::ok(link, zh.to_owned(), en.to_owned())
                }
            }
            Some(words) => Self::not(
                link,
                verdict.outcome.into(),
                verdict.code,
                words.zh.to_owned(),
                words.en.to_owned(),
            )
            .todo(words.todo_zh, words.todo_en),
            None => Self::not(
                link,
                verdict.outcome.into(),
                verdict.code,
                format!("{}未通过检查", verdict.link.name_zh()),
                format!("the {} does not hold", verdict.link.word()),
            ),
        };
        explained.subject.clone_from(&verdict.subject);
        explained.at = verdict.at;
        explained
    }
}

/// What it means that a link holds.
fn holds(link: Link) -> (&'static str, &'static str) {
    match link {
        Link::Format => ("格式正确", "well-formed"),
        Link::Coverage => (
            "签名覆盖全部受保护内容，签名后没有改动",
            "everything that was signed is unchanged, and nothing was added",
        ),
        Link::Signature => ("签名与内容相符", "the signature fits the content"),
        Link::Certificate => ("签名证书有效", "the signer's certificate was valid"),
        Link::Chain => ("能到达受信任的根证书", "leads to a trusted anchor"),
        Link::Revocation => ("未被吊销", "not revoked"),
        Link::Usage => ("证书可用于此目的", "the certificate is good for this use"),
        Link::Seal => (
            "印章真实、在有效期内，与签章人相符",
            "the seal is genuine, in force, and the signer's",
        ),
        Link::Time => ("时间戳可信", "the time-stamp is trusted"),
        _ => ("通过", "holds"),
    }
}

/// One signature of a file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Signed {
    /// Where it stands in the file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it comes to.
    pub result: Outcome,
    /// Who signed, as the certificate says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// SHA-256 of the signer's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub certificate: Option<Sha256Digest>,
    /// The suite.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub suite: Option<certs::Suite>,
    /// The time that the signer claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub claimed_at: Option<Timestamp>,
    /// The time that a trusted time-stamp proves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub proven_at: Option<Timestamp>,
    /// Each link that was judged, in order.
    pub links: Vec<Explained>,
}

impl Signed {
    /// What `certs` says of a signature.
    #[must_use]
    pub fn of(verdict: &SignatureVerdict) -> Self {
        Self {
            name: verdict.name.clone(),
            result: verdict.outcome().into(),
            signer: verdict.signer.as_ref().map(certs::Certificate::subject_text),
            certificate: verdict.signer.as_ref().map(certs::Certificate::sha256),
            suite: verdict.suite,
            claimed_at: verdict.claimed_at,
            proven_at: verdict.proven_at,
            links: verdict.links.iter().map(Explained::of).collect(),
        }
    }
}

/// The verdict on a file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    /// What the file is.
    pub kind: Kind,
    /// Over all links.
    pub result: Outcome,
    /// When it was judged.
    #[schema(value_type = String)]
    pub checked_at: Timestamp,
    /// The licence's identifier, if it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub identifier: Option<licence::LicenceId>,
    /// SHA-256 of the licence's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub digest: Option<Sha256Digest>,
    /// Who signed the licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Each link that was judged, in order; for a licence the first broken one ends the list.
    pub links: Vec<Explained>,
    /// The signatures of a file that has its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signed>,
    /// The licences in a package.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub parts: Vec<Report>,
    /// Revocation of the signer's certificates, if the chain held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationLink>,
    /// What the hub holds under this identifier: a status, or `other_bytes`. Not known offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<&'static str>,
}

impl Report {
    /// A report of links alone; their worst is the result.
    pub(super) fn of_explained(kind: Kind, links: Vec<Explained>, at: Timestamp) -> Self {
        let worst = links.iter().map(|link| link.outcome).reduce(worse);
        Self {
            kind,
            result: worst.unwrap_or(Outcome::Untrusted),
            checked_at: at,
            identifier: None,
            digest: None,
            signer: None,
            links,
            signatures: Vec::new(),
            parts: Vec::new(),
            revocation: None,
            held: None,
        }
    }

    pub(super) fn of_links(kind: Kind, links: &[LinkVerdict], at: Timestamp) -> Self {
        Self::of_explained(kind, links.iter().map(Explained::of).collect(), at)
    }

    pub(super) fn of_file(kind: Kind, verdict: &FileVerdict, at: Timestamp) -> Self {
        Self {
            result: verdict.outcome().into(),
            signatures: verdict.signatures.iter().map(Signed::of).collect(),
            ..Self::of_links(kind, &verdict.links, at)
        }
    }
}

/// The worse of two: untrusted, undetermined, trusted.
pub(super) fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::Untrusted, _) | (_, Outcome::Untrusted) => Outcome::Untrusted,
        (Outcome::Undetermined, _) | (_, Outcome::Undetermined) => Outcome::Undetermined,
        (Outcome::Trusted, Outcome::Trusted) => Outcome::Trusted,
    }
}
