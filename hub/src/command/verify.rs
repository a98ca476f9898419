//! `hub verify`: check a licence offline, link by link. `POST /v1/verify` uses the same check.

use std::{path::PathBuf, process::ExitCode};

use certs::{Evidence, EvidenceError, Revocation, TrustStore, Usage};
use jiff::Timestamp;
use licence::{Licence, Sha256Digest};
use serde::Serialize;
use utoipa::ToSchema;

use super::fail;
use crate::{
    config::{ConfigError, content, read_file},
    judge::{Outcome, RevocationLink, revocation_link, status_word, validity_word},
};

/// Arguments of `hub verify`.
#[derive(clap::Args)]
pub struct Arguments {
    /// An evidence file, or a licence document together with `--signature`.
    file: PathBuf,
    /// PEM file with the anchors to trust.
    #[arg(long, required = true)]
    anchors: Vec<PathBuf>,
    /// PEM file with intermediate certificates.
    #[arg(long)]
    intermediates: Vec<PathBuf>,
    /// Revocation lists, PEM or DER.
    #[arg(long)]
    crl: Vec<PathBuf>,
    /// The detached signature (CMS, DER) of a bare licence document or of its manifest.
    #[arg(long)]
    signature: Option<PathBuf>,
    /// The batch manifest of a bare licence document.
    #[arg(long, requires = "signature")]
    manifest: Option<PathBuf>,
    /// Judge as of this time (RFC 3339) instead of now.
    #[arg(long)]
    at: Option<Timestamp>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One link of the chain of trust.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LinkVerdict {
    /// Its name.
    pub link: &'static str,
    /// Its name in Chinese.
    pub name: &'static str,
    /// `ok` or the reason's code.
    pub result: String,
    /// The verdict in words.
    pub said: String,
}

/// The verdict on a file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
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
    /// Who signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Each link that was judged, in order; the first broken one ends the list.
    pub links: Vec<LinkVerdict>,
    /// Revocation of the signer's certificates, if the chain held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationLink>,
    /// What the hub holds under this identifier: a status, or `other_bytes`. Not known offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<&'static str>,
}

const LINKS: [(&str, &str); 7] = [
    ("format", "格式"),
    ("signature", "签名"),
    ("certificate", "签名证书"),
    ("chain", "证书链"),
    ("revocation", "证书吊销"),
    ("status", "证照状态"),
    ("validity", "有效期"),
];

/// Checks an evidence file, or a bare licence with its signature.
///
/// * `file`: evidence, or a licence document when `signature` (CMS, and the manifest if it signs
///   one) is given.
#[must_use]
pub fn check(
    file: &[u8],
    signature: Option<(Vec<u8>, Option<Vec<u8>>)>,
    trust: &TrustStore,
    at: Timestamp,
) -> (Report, Option<Licence>) {
    let evidence = match signature {
        None => Evidence::parse(file),
        Some((signature, manifest)) => {
            Ok(Evidence { licence: file.to_vec(), signature, manifest, orders: Vec::new() })
        }
    };
    let verdict = match evidence.and_then(|evidence| evidence.verify(trust, at)) {
        Ok(verdict) => verdict,
        Err(error) => return (broken(&error, at), None),
    };
    let ok = |link: usize, said: String| verdict_of(link, "ok", said);
    let signer = verdict.signature.signer.subject_text();
    let mut links = vec![
        ok(0, format!("a licence of type {}", verdict.licence.licence_type)),
        ok(
            1,
            match verdict.manifest_position {
                None => "the issuer's signature over exactly these bytes".to_owned(),
                Some(position) => format!(
                    "the issuer's signature over the batch manifest that lists these bytes at \
                 position {}",
                    position + 1
                ),
            },
        ),
        ok(2, "good for issuing licences, and it is the issuer's".to_owned()),
        ok(3, "leads to a trusted anchor, all valid at the time".to_owned()),
    ];
    let revocation = revocation_link(&verdict.judgement.revocation);
    links.push(verdict_of(
        4,
        if revocation.result == "good" { "ok" } else { revocation.result },
        match verdict.judgement.revocation {
            Revocation::Good { as_of } => format!("not revoked, by the list of {as_of}"),
            Revocation::Revoked { at, .. } => format!("a certificate was revoked at {at}"),
            Revocation::Unknown { as_of } => {
                format!("the OCSP responder did not know a certificate at {as_of}")
            }
            Revocation::Stale { as_of } => {
                format!("the list of {as_of} is past its next update: fetch a new one")
            }
            Revocation::NoCrl => "no revocation list is at hand: add one".to_owned(),
        },
    ));
    let status = status_word(&verdict.status);
    links.push(verdict_of(
        5,
        status,
        format!(
            "{} by the {} order(s) in the file; ask the hub for later ones",
            verdict.status.word(),
            verdict.orders.len()
        ),
    ));
    let validity = validity_word(verdict.validity);
    links.push(verdict_of(
        6,
        validity,
        match validity {
            "ok" => "valid on the day".to_owned(),
            "expired" => "its time is over".to_owned(),
            _ => "its time has not begun".to_owned(),
        },
    ));
    let undetermined = matches!(revocation.result, "unknown" | "stale" | "no_crl");
    let untrusted = revocation.result == "revoked" || status != "ok" || validity != "ok";
    let report = Report {
        result: match (untrusted, undetermined) {
            (true, _) => Outcome::Untrusted,
            (false, true) => Outcome::Undetermined,
            (false, false) => Outcome::Trusted,
        },
        checked_at: at,
        identifier: Some(verdict.licence.identifier.clone()),
        digest: Some(verdict.digest),
        signer: Some(signer),
        links,
        revocation: Some(revocation),
        held: None,
    };
    (report, Some(verdict.licence))
}

fn verdict_of(link: usize, result: &str, said: String) -> LinkVerdict {
    let (link, name) = LINKS.get(link).copied().unwrap_or(("format", "格式"));
    LinkVerdict { link, name, result: result.to_owned(), said }
}

/// A report that ends with the link that is broken.
fn broken(error: &EvidenceError, at: Timestamp) -> Report {
    let word = match error.link().word() {
        "usage" => "certificate",
        word => word,
    };
    let failed = LINKS.iter().position(|(link, _)| *link == word).unwrap_or(0);
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    Report {
        result: Outcome::Untrusted,
        checked_at: at,
        identifier: None,
        digest: None,
        signer: None,
        links: vec![verdict_of(failed, error.code(), said)],
        revocation: None,
        held: None,
    }
}

/// Checks a file and prints the verdict. Exit code 0 trusted, 1 untrusted, 2 undetermined.
pub fn run(arguments: &Arguments) -> ExitCode {
    let checked = read(arguments);
    let (report, _) = match checked {
        Ok(checked) => checked,
        Err(error) => return fail(&error),
    };
    if arguments.json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => return fail(&error),
        }
    } else {
        print(&report);
    }
    match report.result {
        Outcome::Trusted => ExitCode::SUCCESS,
        Outcome::Untrusted => ExitCode::FAILURE,
        Outcome::Undetermined => ExitCode::from(2),
    }
}

fn read(arguments: &Arguments) -> Result<(Report, Option<Licence>), ConfigError> {
    let mut trust = TrustStore::new();
    for path in &arguments.anchors {
        let pem = read_file("--anchors", path)?;
        let anchors = certs::Certificate::many_from_pem(&pem)
            .map_err(|error| content("--anchors", path, error))?;
        for anchor in anchors {
            trust.add_anchor(Usage::IssuingLicences, anchor);
        }
    }
    for path in &arguments.intermediates {
        let pem = read_file("--intermediates", path)?;
        let known = certs::Certificate::many_from_pem(&pem)
            .map_err(|error| content("--intermediates", path, error))?;
        for certificate in known {
            trust.add_intermediate(certificate);
        }
    }
    for path in &arguments.crl {
        let bytes = read_file("--crl", path)?;
        trust.add_crl(&bytes).map_err(|error| content("--crl", path, error))?;
    }
    let file = read_file("FILE", &arguments.file)?;
    let signature = match &arguments.signature {
        None => None,
        Some(path) => {
            let manifest = match &arguments.manifest {
                Some(path) => Some(read_file("--manifest", path)?),
                None => None,
            };
            Some((read_file("--signature", path)?, manifest))
        }
    };
    let at = arguments.at.unwrap_or_else(Timestamp::now);
    Ok(check(&file, signature, &trust, at))
}

fn print(report: &Report) {
    let (zh, en) = match report.result {
        Outcome::Trusted => ("可信", "trusted"),
        Outcome::Untrusted => ("不可信", "untrusted"),
        Outcome::Undetermined => ("无法确定", "undetermined"),
    };
    println!("{zh} {en} (judged as of {})", report.checked_at);
    if let Some(identifier) = &report.identifier {
        println!("licence {identifier}");
    }
    if let Some(signer) = &report.signer {
        println!("signed by {signer}");
    }
    for link in &report.links {
        let mark = if link.result == "ok" { "✓" } else { "✗" };
        println!("  {mark} {} {}: {} – {}", link.name, link.link, link.result, link.said);
    }
}
