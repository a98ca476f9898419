//! `sofd` (crate sofd-cli, version 0.6.1), a second reader of OFD, on the samples, on files sealed here and on
//! mutants of both. It judges seals by SM2 alone.
//!
//! What it checks was read in its source (sofd-sign 0.6.0, `verify_signature_under`): the signature value of a
//! seal signature over the bytes it carries, and that the signer's certificate was valid at the
//! `SignatureDateTime` of the description. **Not** checked by it, where the signed value is a seal's:
//!
//! * that XML is well-formed, and what is not needed to find the signed value;
//! * the digests of the parts, and that the description (Signature.xml) is the one that was signed;
//! * parts outside the signature (it reports them, and they do not count);
//! * the seal: its maker's signature, its signers, its validity, the seal file beside it;
//! * paths and revocation (its library can, its command does not), time-stamps, key usages.
//!
//! So where it refuses, we must; where it accepts and we do not, the reason must be one of these.

#[path = "support/sealing.rs"]
mod sealing;
mod support;

use std::collections::BTreeMap;
use std::process::Command;

use certs::ofd::{SealVersion, check};
use certs::{Outcome, Suite, Times, TrustStore};
use jiff::Timestamp;
use sealing::*;
use support::*;
use tempfile::TempDir;

/// What we look at and `sofd` does not.
const OURS_ALONE: [&str; 14] = [
    "ofd_xml_encoding",
    "ofd_xml_malformed",
    "ofd_part_changed",
    "ofd_part_missing",
    "ofd_part_not_covered",
    "ofd_digest_unknown",
    "ofd_digest_weak",
    "ofd_location_outside",
    "ofd_signature_xml_changed",
    "ofd_structure",
    "seal_not_the_signed_one",
    "seal_signer_not_listed",
    "certificate_bad_signature",
    "certificate_unknown_issuer",
];

/// A folder for the files that `sofd` reads, and the tally.
struct Judge {
    folder: TempDir,
    /// Both refuse; both accept; we alone refuse, by code.
    refused: usize,
    accepted: usize,
    differences: BTreeMap<String, usize>,
}

impl Judge {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { folder, refused: 0, accepted: 0, differences: BTreeMap::new() }
    }

    /// Whether `sofd verify` finds every signature valid.
    fn accepts(&self, file: &[u8]) -> bool {
        let path = self.folder.path().join("file.ofd");
        std::fs::write(&path, file).unwrap();
        let output = Command::new("sofd").args(["--locale", "en-US", "verify"]).arg(&path).output();
        let output = output.unwrap_or_else(|error| {
            panic!("the program `sofd` is needed ({error}): ./dev test installs it and runs this")
        });
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains("panicked"), "{text}");
        output.status.success()
    }

    /// Compares the verdicts. What is said of certificates and revocation counts only if `trust` could know.
    fn compare(&mut self, file: &[u8], trust: &TrustStore, at: Timestamp, what: &str) {
        let verdict = check(file, trust, &Times::now(at));
        let lines: Vec<_> = codes(&verdict)
            .into_iter()
            .filter(|line| !line.contains(" ok") && !line.contains("crl_missing"))
            .collect();
        match (self.accepts(file), verdict.outcome()) {
            (true, Outcome::Untrusted) => {
                let first = lines.first().unwrap();
                let code = first.split(' ').nth(1).unwrap();
                assert!(OURS_ALONE.contains(&code), "{what}: sofd accepts, we say {lines:?}");
                *self.differences.entry(code.to_owned()).or_default() += 1;
            }
            (true, _) => self.accepted += 1,
            (false, Outcome::Trusted) => panic!("{what}: sofd refuses, we trust"),
            (false, _) => self.refused += 1,
        }
    }
}

#[test]
fn the_samples_are_judged_alike_but_for_who_is_trusted() {
    let mut judge = Judge::new();
    // Valid for it: the signature holds. We ask who vouches for the signer.
    let at = time("2026-09-01T00:00:00Z");
    judge.compare(ALL_PROTECTED, &TrustStore::new(), at, "all protected");
    assert_eq!(judge.differences, [("certificate_unknown_issuer".to_owned(), 1)].into());
    // Sealed when the certificate had ended; a signature without certificate; none at all.
    for (file, what) in [(SEALED, "sealed"), (SIGNED, "signed"), (UNSIGNED, "unsigned")] {
        assert!(!judge.accepts(file), "{what}");
        judge.compare(file, &TrustStore::new(), at, what);
    }
    assert_eq!(judge.refused, 3);
}

#[test]
fn what_sofd_refuses_we_refuse_and_what_we_refuse_alone_has_a_written_reason() {
    let office = Office::new(Suite::Sm2Sm3);
    let mut judge = Judge::new();
    for version in [SealVersion::V4, SealVersion::V5] {
        let file = office.sealed(UNSIGNED, &office.seal(|template| template.version = version));
        let before = judge.accepted;
        judge.compare(&file, &office.trust, now(), "untouched");
        assert_eq!(judge.accepted, before + 1, "{version:?}");
        for (name, original) in unpack(&file) {
            // Bytes all over the part; more of the signed value, which both look at.
            let wanted = if name.ends_with("SignedValue.dat") { 40 } else { 6 };
            for position in (0..original.len()).step_by((original.len() / wanted).max(1)) {
                let bad = changed(&file, &name, |bytes| bytes[position] ^= 1 << (position % 8));
                judge.compare(&bad, &office.trust, now(), &format!("{name} at {position}"));
            }
        }
    }
    println!(
        "both accept {}, both refuse {}, we alone refuse {:?}",
        judge.accepted, judge.refused, judge.differences
    );
    assert!(judge.refused > 60, "{}", judge.refused);
}
