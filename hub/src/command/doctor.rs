//! `hub doctor`: checks what a hub needs and says what to do. Works on a stopped hub's store; on a
//! running one it says so and checks the rest.

use std::{path::PathBuf, process::ExitCode};

use certs::{Certificate, Usage};
use indexes::{RocksOptions, RocksStore, StoreError};
use jiff::{SignedDuration, Timestamp};
use licence::{Catalogue, Matters};

use crate::{
    config::{self, Config},
    hub::{self, folders},
    keys::Keys,
    reuse::mandates::{self, Mandates},
    tls,
    trust::{self, TrustFolder},
};

/// Arguments of `hub doctor`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The settings file.
    #[arg(long)]
    config: PathBuf,
}

struct Findings {
    bad: usize,
}

impl Findings {
    fn good(&self, what: &str) {
        println!("ok    {what}");
    }

    fn bad(&mut self, what: &str, to_do: &str) {
        self.bad += 1;
        println!("BAD   {what}\n      → {to_do}");
    }

    fn note(&self, what: &str) {
        println!("note  {what}");
    }

    fn check<T, E: std::fmt::Display>(
        &mut self,
        what: &str,
        found: Result<T, E>,
        to_do: &str,
    ) -> Option<T> {
        match found {
            Ok(value) => {
                self.good(what);
                Some(value)
            }
            Err(error) => {
                self.bad(&format!("{what}: {error}"), to_do);
                None
            }
        }
    }
}

/// Checks; exit code 1 if anything is bad.
pub async fn run(arguments: Arguments) -> ExitCode {
    let mut findings = Findings { bad: 0 };
    let config = Config::read(&arguments.config);
    if let Some(config) = findings.check("settings", config, "mend the settings file") {
        check(&mut findings, &config).await;
    }
    if findings.bad == 0 {
        println!("nothing is wrong");
        ExitCode::SUCCESS
    } else {
        println!("{} found", findings.bad);
        ExitCode::FAILURE
    }
}

async fn check(findings: &mut Findings, config: &Config) {
    findings.check("index key", hub::read_index_key(config), "restore the key from its safe copy");
    let catalogue = hub::read_catalogue(config);
    if let Some(catalogue) = findings.check("catalogue", catalogue, "mend the catalogue file") {
        let matters = hub::read_matters(config, &catalogue);
        let matters = findings.check("matters", matters, "mend the matters file");
        let mandates = mandates::read_mandates(config);
        let mandates = findings.check("mandates", mandates, "mend the mandates file");
        if let (Some(matters), Some(mandates)) = (matters, mandates) {
            mandated(findings, &mandates, &matters, &catalogue);
        }
    }
    findings.check("calendar", hub::read_calendar(config), "mend the calendar file");
    findings.check("policies", hub::read_policies(config), "mend the policies file");
    findings.check("server certificate", tls::server_config(&config.tls), "mend [tls]");
    let now = Timestamp::now();
    certificate_times(findings, config, now);
    service_key(findings, config, now);
    believed(findings, config, now);
    if now < "2025-01-01T00:00:00Z".parse().unwrap_or(Timestamp::UNIX_EPOCH) {
        findings.bad(&format!("the clock says {now}"), "set the machine's clock");
    } else {
        findings.good(&format!("clock: {now}"));
    }
    listening(findings, config);
    store(findings, config).await;
    for connector in &config.connectors {
        let what = format!("connector {}", connector.name());
        findings.check(&what, connector.check(), "mend its [[connectors]] table");
    }
    for source in &config.inbound {
        let what = format!("source {}", source.name());
        findings.check(&what, connectors::inbound::check(source), "mend its [[inbound]] table");
    }
}

/// Anchors, revocation lists, and what their folder says.
fn believed(findings: &mut Findings, config: &Config, now: Timestamp) {
    let folder = TrustFolder::of(config);
    let gathered = trust::read_statics(config)
        .and_then(|statics| trust::gather(&folder, &statics, now, None, false));
    let gathered =
        findings.check("anchors and revocation lists", gathered, "mend what [trust] names");
    let Some(gathered) = gathered else { return };
    for problem in &gathered.problems {
        findings.bad(
            &format!("{}: {}: {}", problem.place, problem.code, problem.said),
            "mend or delete the file; what it held before stays in force",
        );
    }
    for problem in trust::stale(&gathered.store, now) {
        findings.bad(
            &format!("{}: {}: {}", problem.place, problem.code, problem.said),
            "get the next one with `hub crl fetch`, or from the authority and `hub crl add`",
        );
    }
    for problem in trust::Sources::open(config).problems() {
        findings.bad(
            &format!("source {}: {}: {}", problem.place, problem.code, problem.said),
            "try `hub crl fetch`; compare the address and the way to it",
        );
    }
    if gathered.store.crls().is_empty() && config.trust.ocsp.is_empty() {
        findings.bad(
            "no revocation lists: every pull will say `undetermined`",
            "add the issuing authority's list with `hub crl add`, or its address under \
             trust.crl_sources",
        );
    }
    let anchors = gathered.store.anchors(Usage::IssuingLicences);
    if anchors.is_empty() {
        findings.bad("no anchors: no licence will be believed", "add one with `hub anchors add`");
    }
    for anchor in anchors {
        if anchor.not_after() < now {
            findings.bad(
                &format!("anchor {} ended at {}", anchor.subject_text(), anchor.not_after()),
                "add its successor with `hub anchors add`, or under trust.licence_anchors",
            );
        }
    }
}

fn certificate_times(findings: &mut Findings, config: &Config, now: Timestamp) {
    let Ok(pem) = config::read_file("tls.certificate", &config.tls.certificate) else { return };
    let Ok(chain) = Certificate::many_from_pem(&pem) else { return };
    let Some(leaf) = chain.first() else { return };
    let soon = now.saturating_add(SignedDuration::from_hours(24 * 30)).unwrap_or(Timestamp::MAX);
    if leaf.not_after() < soon {
        findings.bad(&format!("the server's certificate ends at {}", leaf.not_after()), "renew it");
    } else {
        findings.good(&format!("the server's certificate is good until {}", leaf.not_after()));
    }
}

/// Whether the hub could sign now. Shows the token its PIN once.
fn service_key(findings: &mut Findings, config: &Config, now: Timestamp) {
    if config.service.is_none() {
        findings.note("no [service]: nothing is signed, and no cases are run");
        return;
    }
    let Some(keys) = findings.check("keys", Keys::open(config), "mend [service] or [keys]") else {
        return;
    };
    if let Err(error) = keys.health(now) {
        findings.bad(
            &format!("the hub cannot sign: {error}"),
            "see docs/operations.md, the service's keys",
        );
    }
    let soon = now.saturating_add(SignedDuration::from_hours(24 * 30)).unwrap_or(Timestamp::MAX);
    match keys.certificate_ends() {
        Some(ends) if ends < soon => findings.bad(
            &format!("the certificate of the service's key ends at {ends}"),
            "hub keys new, then hub keys rotate a day later",
        ),
        Some(ends) => findings.good(&format!("the service's certificate is good until {ends}")),
        None => {}
    }
}

fn listening(findings: &mut Findings, config: &Config) {
    match std::net::TcpListener::bind(config.listen) {
        Ok(_) => findings.good(&format!("{} is free", config.listen)),
        Err(_) => findings.note(&format!(
            "somebody listens on {}: this hub, or another program that must go first",
            config.listen
        )),
    }
}

async fn store(findings: &mut Findings, config: &Config) {
    let folders = folders(config);
    if !folders.store.exists() {
        findings.note(&format!("no store yet in {}", folders.store.display()));
        return;
    }
    match RocksStore::open(&folders.store, RocksOptions::default()) {
        Ok(store) => match store.check_integrity() {
            Ok(report) if report.is_sound() => findings.good(&format!(
                "store: {} registry entries, {} licences, {} uses, {} grants, all fit together",
                report.changes, report.licences, report.uses, report.grants
            )),
            Ok(report) => {
                for defect in &report.defects {
                    println!("      {} at {}", defect.code, defect.place);
                }
                findings.bad(
                    &format!("store: {} defects", report.defect_count),
                    "stop the hub, keep a copy of the data folder, restore the last backup",
                );
            }
            Err(error) => findings.bad(
                &format!("store: {error}"),
                "stop the hub, keep a copy of the data folder, restore the last backup",
            ),
        },
        Err(StoreError::Locked { .. }) => {
            findings.note("a hub has the store open: stop it to have the store checked");
        }
        Err(error) => findings.bad(
            &format!("store: {error}"),
            "stop the hub, keep a copy of the data folder, restore the last backup",
        ),
    }
}

/// A mandate for what is not in the lists allows nothing.
fn mandated(
    findings: &mut Findings,
    mandates: &Mandates,
    matters: &Matters,
    catalogue: &Catalogue,
) {
    for mandate in mandates.all() {
        let matters_known = mandate.matters.iter().all(|one| matters.get(one).is_some());
        let types_known = mandate.types.iter().all(|one| catalogue.entry(one).is_some());
        if !(matters_known && types_known) {
            findings.bad(
                &format!(
                    "mandate {} names a matter or a licence type that is not listed",
                    mandate.code
                ),
                "correct it in the mandates file, or add what it names",
            );
        }
    }
}
