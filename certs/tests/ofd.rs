//! Sealed OFD files: samples of another implementation, files sealed here, and everything about a seal or
//! a signature that must be refused.

#[path = "support/sealing.rs"]
mod sealing;
mod support;

use certs::ofd::{SealVersion, check, is_ofd};
use certs::{Outcome, Suite, Times, TrustStore};
use sealing::*;
use support::*;

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
        "time seal_time_outside_certificate",
        "seal seal_expired",
        "chain certificate_unknown_issuer Doc_0/Signs/Sign_0/Seal.esl",
        "chain certificate_unknown_issuer",
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

#[test]
fn every_changed_byte_of_the_samples_is_refused_naming_the_part() {
    let times = Times::now(time("2026-09-01T00:00:00Z"));
    let mut tried = 0;
    for file in [SEALED, ALL_PROTECTED] {
        let untouched = codes(&check(file, &TrustStore::new(), &times));
        for (name, original) in unpack(file) {
            if name.ends_with("Signatures.xml") && file == SEALED {
                continue;
            }
            // Pictures of seals are long, and SM2 takes its time.
            let step = if original.len() > 4000 {
                97
            } else if file == SEALED {
                5
            } else {
                1
            };
            for position in (0..original.len()).step_by(step) {
                let bad = changed(file, &name, |bytes| bytes[position] ^= 1 << (position % 8));
                let found = codes(&check(&bad, &TrustStore::new(), &times));
                let named = found
                    .iter()
                    .any(|line| line.ends_with(&format!(" {name}")) && !untouched.contains(line));
                assert!(named, "{name} at {position}: {found:?}");
                tried += 1;
            }
        }
    }
    println!("{tried} bytes of the samples changed, all refused with the part");
}

#[test]
fn what_is_sealed_here_is_trusted_in_both_layouts_and_every_suite() {
    for suite in SUITES {
        for (version, lists_digests) in [(SealVersion::V4, false), (SealVersion::V5, true)] {
            let office = Office::new(suite);
            let seal = office.seal(|template| {
                template.version = version;
                template.lists_digests = lists_digests;
            });
            let file = office.sealed(UNSIGNED, &seal);
            let verdict = check(&file, &office.trust, &Times::now(now()));
            let all = [
                "format ok",
                "coverage ok",
                "signature ok",
                "seal ok",
                "certificate ok",
                "usage ok",
                "chain ok",
                "revocation ok",
            ];
            assert_eq!(codes(&verdict), all, "{suite:?}");
            assert_eq!(verdict.outcome(), Outcome::Trusted);
            let signature = &verdict.signatures[0];
            assert_eq!(signature.signer.as_ref(), Some(office.signer.certificate()));
            assert_eq!(signature.suite, Some(suite));
            assert_eq!(signature.claimed_at, Some(now()));
            assert_eq!(signature.proven_at, None);
        }
    }
}

#[test]
fn a_second_seal_leaves_the_first_intact_and_a_bad_one_is_named() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let seal = office.seal(|_| ());
    let once = office.sealed(UNSIGNED, &seal);
    let twice = office.sealed(&once, &seal);
    let verdict = check(&twice, &office.trust, &Times::now(now()));
    assert_eq!(verdict.outcome(), Outcome::Trusted, "{:?}", codes(&verdict));
    assert_eq!(verdict.signatures.len(), 2);

    let bad = changed(&twice, "Doc_0/Signs/Sign_1/SignedValue.dat", |bytes| {
        *bytes.last_mut().unwrap() ^= 1;
    });
    let verdict = check(&bad, &office.trust, &Times::now(now()));
    assert_eq!(verdict.outcome(), Outcome::Untrusted);
    assert_eq!(verdict.signatures[0].outcome(), Outcome::Trusted);
    assert_eq!(verdict.signatures[1].outcome(), Outcome::Untrusted);
    assert!(
        codes(&verdict)
            .contains(&"signature ofd_signature_wrong Doc_0/Signs/Sign_1/SignedValue.dat".into())
    );
}

#[test]
fn every_changed_byte_of_a_protected_part_or_of_the_signature_is_refused_naming_the_part() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let parts = unpack(&file);
    let mut tried = 0;
    for (name, original) in &parts {
        if name.ends_with("Signatures.xml") {
            continue; // Nobody's signature covers the list: another signature may be added.
        }
        for position in 0..original.len() {
            let bad = changed(&file, name, |bytes| bytes[position] ^= 1 << (position % 8));
            let verdict = check(&bad, &office.trust, &Times::now(now()));
            tried += 1;
            assert_eq!(verdict.outcome(), Outcome::Untrusted, "{name} at {position}");
            let named = codes(&verdict)
                .iter()
                .any(|line| line.ends_with(&format!(" {name}")) && !line.contains(" ok"));
            assert!(named, "{name} at {position}: {:?}", codes(&verdict));
        }
    }
    println!("{tried} bytes changed, all refused with the part");
    assert!(tried > 4000, "{tried}");
}

#[test]
fn a_changed_byte_of_the_file_is_refused_or_changes_no_part() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let parts = unpack(&file);
    let (mut refused, mut harmless) = (0, 0);
    for position in 0..file.len() {
        let mut bad = file.clone();
        bad[position] ^= 1 << (position % 8);
        if check(&bad, &office.trust, &Times::now(now())).outcome() == Outcome::Trusted {
            assert_eq!(unpack(&bad), parts, "at {position}");
            harmless += 1;
        } else {
            refused += 1;
        }
    }
    println!("{refused} refused, {harmless} without effect on any part");
}
