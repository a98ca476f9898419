//! One x509-limbo case after the other: what the suite expects, and what this crate says.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use certs::{Certificate, PathCost, Revocation, TrustStore, Usage};
use jiff::Timestamp;
use serde::Deserialize;

use crate::profile::{self, Profile, Role};

/// Cases that are not expected to agree, each with its reason.
const SKIPPED: &str = include_str!("../../tests/data/limbo/skipped.json");

#[derive(Deserialize)]
struct Suite {
    version: u64,
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    #[serde(default)]
    features: Vec<String>,
    validation_kind: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
    #[serde(default)]
    signature_algorithms: Vec<String>,
    #[serde(default)]
    key_usage: Vec<String>,
    #[serde(default)]
    extended_key_usage: Vec<String>,
    expected_result: String,
    expected_peer_name: Option<PeerName>,
    #[serde(default)]
    expected_peer_names: Vec<PeerName>,
    max_chain_depth: Option<usize>,
    #[serde(default)]
    crls: Vec<String>,
}

#[derive(Deserialize)]
struct PeerName {
    kind: String,
    value: String,
}

/// An entry of the list: it names an id, a family (the id's beginning) or a feature.
#[derive(Deserialize)]
struct Skip {
    id: Option<String>,
    family: Option<String>,
    feature: Option<String>,
    reason: String,
}

impl Skip {
    fn covers(&self, case: &Case) -> bool {
        let family = |family: &String| case.id.starts_with(&format!("{family}::"));
        self.id.as_ref().is_some_and(|id| *id == case.id)
            || self.family.as_ref().is_some_and(family)
            || self.feature.as_ref().is_some_and(|feature| case.features.contains(feature))
    }
}

/// What came of a file.
#[derive(Default)]
pub struct Report {
    /// Id, and what was said.
    pub agreed: Vec<(String, String)>,
    /// Id, and what was said against the expectation.
    pub disagreed: Vec<(String, String)>,
    /// Id and reason.
    pub skipped: Vec<(String, String)>,
    /// Listed by id as not agreeing, and they do: the list is out of date.
    pub unexpected: Vec<String>,
    /// Listed by id, and not in the file.
    pub absent: usize,
    slowest: Option<(Duration, String)>,
    dearest: PathCost,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.disagreed.is_empty() && self.unexpected.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "agreed {}", self.agreed.len())?;
        for (id, said) in &self.agreed {
            writeln!(f, "    {id}: {said}")?;
        }
        writeln!(f, "skipped {}", self.skipped.len())?;
        for (id, reason) in &self.skipped {
            writeln!(f, "    {id}: {reason}")?;
        }
        writeln!(f, "agreed although listed as skipped {}", self.unexpected.len())?;
        self.unexpected.iter().try_for_each(|id| writeln!(f, "    {id}"))?;
        writeln!(f, "disagreed {}", self.disagreed.len())?;
        for (id, said) in &self.disagreed {
            writeln!(f, "    {id}: {said}")?;
        }
        writeln!(
            f,
            "total {}: agreed {}, disagreed {}, skipped {}; listed, but not in this file: {}",
            self.agreed.len() + self.disagreed.len() + self.skipped.len() + self.unexpected.len(),
            self.agreed.len() + self.unexpected.len(),
            self.disagreed.len(),
            self.skipped.len(),
            self.absent
        )?;
        if let Some((time, id)) = &self.slowest {
            let cost = self.dearest;
            write!(
                f,
                "slowest {} ms ({id}); at most {} signature checks, {} paths, {} steps",
                time.as_millis(),
                cost.signature_checks,
                cost.paths,
                cost.steps
            )?;
        }
        Ok(())
    }
}

/// Runs a file; `now` stands for the time of cases that name none.
pub fn run(text: &str, now: Timestamp) -> Result<Report, String> {
    let suite: Suite = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if suite.version != 1 {
        return Err(format!("version {} of the format is not known", suite.version));
    }
    let skips: Vec<Skip> = serde_json::from_str(SKIPPED).map_err(|error| error.to_string())?;
    let mut report = Report::default();
    let ids: HashSet<&str> = suite.testcases.iter().map(|case| case.id.as_str()).collect();
    let listed = skips.iter().filter_map(|skip| skip.id.as_deref());
    report.absent = listed.filter(|id| !ids.contains(id)).count();
    for case in &suite.testcases {
        let start = Instant::now();
        let verdict = judge(case, now, &mut report.dearest);
        let time = start.elapsed();
        if report.slowest.as_ref().is_none_or(|(slowest, _)| time > *slowest) {
            report.slowest = Some((time, case.id.clone()));
        }
        let expected = case.expected_result == "SUCCESS";
        let skip = skips.iter().find(|skip| skip.covers(case));
        match (verdict.is_ok() == expected, skip) {
            // A rule for a family or a feature says that we need not agree, not that we never do.
            (true, Some(Skip { id: Some(_), .. })) => report.unexpected.push(case.id.clone()),
            (true, _) => {
                let said =
                    verdict.err().map_or("accepted".to_owned(), |why| format!("refused: {why}"));
                report.agreed.push((case.id.clone(), said));
            }
            (false, Some(skip)) => report.skipped.push((case.id.clone(), skip.reason.clone())),
            (false, None) => {
                let said = match verdict {
                    Ok(()) => "accepted, to be refused".to_owned(),
                    Err(reason) => format!("refused, to be accepted: {reason}"),
                };
                report.disagreed.push((case.id.clone(), said));
            }
        }
    }
    Ok(report)
}

/// `Err` with the reason if the peer is refused.
fn judge(case: &Case, now: Timestamp, dearest: &mut PathCost) -> Result<(), String> {
    let at = match &case.validation_time {
        Some(text) => text.parse().map_err(|error| format!("validation time: {error}"))?,
        None => now,
    };
    if !case.signature_algorithms.is_empty() {
        return Err("the harness knows no limits on algorithms".to_owned());
    }
    let profile = Profile::of(&case.id);
    let usage = match case.validation_kind.as_str() {
        "SERVER" => Usage::AuthenticatingServers,
        _ => Usage::IssuingClients,
    };
    let peer = read(&case.peer_certificate)?;
    peer.public_key().map_err(|error| error.code().to_owned())?;
    profile.check(&peer, Role::Peer)?;

    // What does not conform is no reason to refuse as long as the path does without it.
    let mut left_out = vec![];
    let mut usable = |texts: &[String], role| -> Vec<Certificate> {
        let mut found = vec![];
        for text in texts {
            match read(text).and_then(|ca| profile.check(&ca, role).map(|()| ca)) {
                Ok(ca) => found.push(ca),
                Err(reason) => left_out.push(reason),
            }
        }
        found
    };
    let mut trust = TrustStore::new();
    for anchor in usable(&case.trusted_certs, Role::Anchor) {
        trust.add_anchor(usage, anchor);
    }
    let others = usable(&case.untrusted_intermediates, Role::Authority);
    let (record, cost) = trust.verify_chain_counting(&peer, &others, usage, at);
    dearest.signature_checks = dearest.signature_checks.max(cost.signature_checks);
    dearest.paths = dearest.paths.max(cost.paths);
    dearest.steps = dearest.steps.max(cost.steps);
    left_out.sort();
    left_out.dedup();
    let record = record.map_err(|error| match left_out.is_empty() {
        true => error.code().to_owned(),
        false => format!("{}, without a CA that breaks {}", error.code(), left_out.join("; ")),
    })?;
    // RFC 5280, 6.1.4 (l): what a CA issues to itself, as when it changes keys, does not count.
    let used = |other: &&Certificate| {
        record.certificates.iter().skip(1).any(|used| used.sha256 == other.sha256())
            && other.issuer_text() != other.subject_text()
    };
    let between = others.iter().filter(used).count();
    if case.max_chain_depth.is_some_and(|most| between > most) {
        return Err(format!("{between} certificates between peer and anchor"));
    }

    if !case.crls.is_empty() {
        others.into_iter().for_each(|other| trust.add_intermediate(other));
        for crl in &case.crls {
            profile::check_crl(crl.as_bytes())?;
            trust.add_crl_at(crl.as_bytes(), at).map_err(|error| error.code().to_owned())?;
        }
        // With lists at hand, every certificate of the path must be on a current one's good side.
        let revocation = trust.judge(&record, at).revocation;
        if !matches!(revocation, Revocation::Good { .. }) {
            return Err(format!("{revocation:?}"));
        }
    }
    let names = profile::Names::of(&peer)?;
    for name in case.expected_peer_name.iter().chain(&case.expected_peer_names) {
        let found = match name.kind.as_str() {
            "DNS" => names.has_host(&name.value),
            "IP" => name.value.parse().is_ok_and(|address: IpAddr| names.has_address(address)),
            _ => names.has_mailbox(&name.value),
        };
        if !found {
            return Err("the certificate is for another name".to_owned());
        }
    }
    profile::check_asked(&peer, &case.key_usage, &case.extended_key_usage)
}

fn read(pem: &str) -> Result<Certificate, String> {
    Certificate::from_pem(pem.as_bytes()).map_err(|error| error.code().to_owned())
}
