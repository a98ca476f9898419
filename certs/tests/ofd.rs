//! Sealed OFD files: samples of another implementation, files sealed here, and everything about a
//! package, a seal or a signature that must be refused.

mod support;

use certs::ofd::{check, is_ofd};
use certs::{FileVerdict, LinkVerdict, Outcome, Times, TrustStore};
use support::*;

const SEALED: &[u8] = include_bytes!("data/ofd/sealed-v4.ofd");
const ALL_PROTECTED: &[u8] = include_bytes!("data/ofd/sealed-v4-all-protected.ofd");
const SIGNED: &[u8] = include_bytes!("data/ofd/signed-no-seal.ofd");
const UNSIGNED: &[u8] = include_bytes!("data/ofd/unsigned.ofd");

#[test]
fn digests_seals_and_signatures_of_the_samples_hold_and_nobody_vouches_for_their_makers() {
    let trust = TrustStore::new();
    let verdict = check(ALL_PROTECTED, &trust, &Times::now(time("2020-10-23T12:00:00Z")));
    let [signature] = verdict.signatures.as_slice() else { panic!("{verdict:?}") };
    assert_eq!(signature.name, "Doc_0/Signs/Sign_0/Signature.xml");
    assert_eq!(signature.claimed_at, Some(time("2020-10-23T11:45:37Z")));
    let unknown_maker = [
        "format ok",
        "coverage ok",
        "signature ok",
        "seal ok",
        "chain certificate_unknown_issuer Doc_0/Signs/Sign_0/Seal.esl",
        "chain certificate_unknown_issuer",
    ];
    assert_eq!(codes(&verdict), unknown_maker);
    assert_eq!(verdict.outcome(), Outcome::Untrusted);

    // The other one was sealed four years after its seal and its certificate had ended.
    let verdict = check(SEALED, &trust, &Times::now(time("2026-09-01T00:00:00Z")));
    let too_late = [
        "format ok",
        "coverage ok",
        "signature ok",
        "seal seal_expired",
        "chain certificate_unknown_issuer Doc_0/Signs/Sign_0/Seal.esl",
        "chain certificate_unknown_issuer",
        "time seal_time_outside_certificate",
    ];
    assert_eq!(codes(&verdict), too_late);
}

#[test]
fn a_signature_without_certificate_shows_nothing_and_a_file_without_signature_is_untrusted() {
    let times = Times::now(time("2026-09-01T00:00:00Z"));
    let verdict = check(SIGNED, &TrustStore::new(), &times);
    let missing = "certificate ofd_certificate_missing Doc_0/Signs/Sign_0/SignedValue.dat";
    assert_eq!(codes(&verdict), ["format ok", "coverage ok", missing]);
    assert_eq!(verdict.outcome(), Outcome::Undetermined);

    let verdict = check(UNSIGNED, &TrustStore::new(), &times);
    assert_eq!(codes(&verdict), ["format ok", "signature ofd_unsigned"]);
    assert_eq!(verdict.outcome(), Outcome::Untrusted);
    assert!([SEALED, SIGNED, UNSIGNED].into_iter().all(is_ofd));
    assert!(!is_ofd(b"%PDF-1.7"));
}

/// Every link as a line: link, code, part.
fn codes(verdict: &FileVerdict) -> Vec<String> {
    let signatures = verdict.signatures.iter().flat_map(|signature| &signature.links);
    let words = |link: &LinkVerdict| {
        let subject = link.subject.as_deref().map(|part| format!(" {part}")).unwrap_or_default();
        format!("{} {}{subject}", link.link.word(), link.code)
    };
    verdict.links.iter().chain(signatures).map(words).collect()
}
