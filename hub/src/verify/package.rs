//! Packages and promises: the hub's signature over the document, and the files that it names.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{Link, LinkVerdict, Times, TrustStore, check_cms, sha256};
use jiff::Timestamp;
use licence::Sha256Digest;

use super::{Input, Kind, check as check_any, report::Explained, report::Report, report::worse};
use crate::judge::Outcome;
use crate::reuse::package::{Package, SignedFile};

/// The most files in a package that are checked.
const MAX_PARTS: usize = 200;

/// The most parts that may turn out not to be trusted before the rest is left unchecked: each may cost as much as a file
/// by itself, and what is trusted costs little.
const MAX_UNTRUSTED: usize = 4;

pub(super) fn check(file: &[u8], trust: &TrustStore, at: Timestamp) -> Report {
    let broken = |verdict: LinkVerdict| Report::of_links(Kind::Package, &[verdict], at);
    let Ok(signed) = serde_json::from_slice::<SignedFile>(file) else {
        return broken(LinkVerdict::failed(Link::Format, "package_malformed"));
    };
    let decoded = (STANDARD.decode(&signed.content), STANDARD.decode(&signed.signature));
    let (Ok(content), Ok(signature)) = decoded else {
        return broken(LinkVerdict::failed(Link::Format, "package_malformed"));
    };
    if signed.evidence.len() > MAX_PARTS {
        return broken(LinkVerdict::failed(Link::Format, "package_too_many_parts"));
    }
    let verdict = check_cms(&signature, Some(&content), trust, &Times::now(at));
    let mut report = Report::of_file(Kind::Package, &verdict, at);

    let named = named(&content);
    let mut came = BTreeSet::new();
    let mut untrusted = 0;
    for (digest, part) in &signed.evidence {
        let part = STANDARD.decode(part).ok().filter(|part| sha256(part) == *digest);
        let failed = match &part {
            None => Some(LinkVerdict::failed(Link::Coverage, "package_part_changed")),
            Some(_) if !named.contains(digest) => {
                Some(LinkVerdict::failed(Link::Coverage, "package_part_not_named"))
            }
            Some(_) => None,
        };
        if let Some(verdict) = failed {
            report.links.push(Explained::of(&verdict.about(digest.to_string())));
        }
        came.insert(*digest);
        if let Some(part) = part {
            if untrusted >= MAX_UNTRUSTED {
                let verdict = LinkVerdict::failed(Link::Chain, "certificate_budget");
                report.links.push(Explained::of(&verdict.about(digest.to_string())));
                continue;
            }
            // A package names promises, and those name nothing: one level, and no more.
            let input = Input { file: &part, signature: None, manifest: None };
            let found = match super::recognise::kind(&input) {
                Kind::Package if !signed.evidence.is_empty() => alone(&part, trust, at),
                _ => check_any(input, trust, at).0,
            };
            untrusted += usize::from(found.result == Outcome::Untrusted);
            report.parts.push(found);
        }
    }
    for missing in named.difference(&came) {
        let verdict = LinkVerdict::failed(Link::Coverage, "package_part_missing");
        report.links.push(Explained::of(&verdict.about(missing.to_string())));
    }
    let links = report.links.iter().map(|link| link.outcome);
    let parts = report.parts.iter().map(|part| part.result);
    report.result = links.chain(parts).fold(report.result, worse);
    report
}

/// A signed document inside a package, without what may be inside it.
fn alone(file: &[u8], trust: &TrustStore, at: Timestamp) -> Report {
    match serde_json::from_slice::<SignedFile>(file) {
        Ok(signed) if signed.evidence.is_empty() => check(file, trust, at),
        _ => {
            let nested = LinkVerdict::failed(Link::Format, "package_malformed");
            Report::of_links(Kind::Package, &[nested], at)
        }
    }
}

/// The digests that the document names: evidence of licences and the promise.
fn named(content: &[u8]) -> BTreeSet<Sha256Digest> {
    let Ok(package) = serde_json::from_slice::<Package>(content) else {
        return BTreeSet::new(); // a promise names no files
    };
    let evidence = package.licences.iter().map(|licence| licence.evidence);
    evidence.chain(package.promise.map(|promise| promise.document)).collect()
}
