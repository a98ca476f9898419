//! Sealed OFD files: samples of another implementation, files sealed here, and everything about a seal or
//! a signature that must be refused.

#[path = "support/sealing.rs"]
mod sealing;
mod support;

use std::collections::BTreeMap;

use certs::ofd::{SealVersion, check, is_ofd, pack, seal_ofd};
use certs::{HashAlgorithm, Outcome, Suite, Times, TrustStore, sign_attached, sign_detached};
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
            let step = match original.len() {
                4001.. => 211,
                _ if file == SEALED => 11,
                _ => 1,
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
fn what_is_sealed_here_is_trusted_in_every_layout_and_suite() {
    for suite in SUITES {
        for (version, lists_digests) in
            [(SealVersion::V1, false), (SealVersion::V4, false), (SealVersion::V5, true)]
        {
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

#[test]
fn locations_are_found_from_the_folders_above_where_the_standard_finds_nothing() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    // As other writers have it: from the document's folder, from the root, without a slash.
    let file = office.sealed_as(UNSIGNED, |text| {
        text.replace("\"/Doc_0/Document.xml", "\"Document.xml")
            .replace("\"/OFD.xml", "\"OFD.xml")
            .replace(">/Doc_0/Signs/Sign_0/SignedValue.dat", ">SignedValue.dat")
            .replace("\"/Doc_0/PublicRes.xml", "\"../../PublicRes.xml")
    });
    let file = changed(&file, "Doc_0/Signs/Signatures.xml", |bytes| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        *bytes = text.replace("\"/Doc_0/Signs/Sign_0/", "\"Signs/Sign_0/").into_bytes();
    });
    assert_eq!(against(&office, &file), [""; 0]);

    // What is put where it would be found first leaves the true part outside.
    let mut parts = unpack(&file);
    let original = parts["Doc_0/Document.xml"].clone();
    parts.insert("Doc_0/Signs/Document.xml".into(), original);
    parts.insert("Doc_0/Document.xml".into(), b"<ofd:Document/>".to_vec());
    let line = "coverage ofd_part_not_covered Doc_0/Document.xml";
    assert_eq!(against(&office, &pack(&parts)), [line]);
}

/// What is said of a file, at a time when everything is valid.
fn said(office: &Office, file: &[u8]) -> Vec<String> {
    codes(&check(file, &office.trust, &Times::now(now())))
}

/// The lines that speak against a file.
fn against(office: &Office, file: &[u8]) -> Vec<String> {
    said(office, file).into_iter().filter(|line| !line.contains(" ok")).collect()
}

#[test]
fn parts_outside_of_the_signature_and_weak_digests_are_named() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let mut parts = unpack(&file);
    parts.insert("Doc_0/Pages/Page_1/Content.xml".into(), b"<ofd:Page/>".to_vec());
    let line = "coverage ofd_part_not_covered Doc_0/Pages/Page_1/Content.xml";
    assert_eq!(against(&office, &pack(&parts)), [line]);
    let mut parts = unpack(&file);
    parts.remove("Doc_0/PublicRes.xml");
    let line = "coverage ofd_part_missing Doc_0/PublicRes.xml";
    assert_eq!(against(&office, &pack(&parts)), [line]);

    let described =
        |from: &str, to: &str| office.sealed_as(UNSIGNED, |text| text.replace(from, to));
    let part = "Doc_0/Signs/Sign_0/Signature.xml";
    for method in ["MD5", "SHA1", "SHA-1", "1.2.840.113549.2.5", "1.3.14.3.2.26"] {
        let file = described("=\"SM3\"", &format!("=\"{method}\""));
        assert_eq!(against(&office, &file), [format!("coverage ofd_digest_weak {part}")]);
    }
    // The default of GB/T 33190.
    let file = described(" CheckMethod=\"SM3\"", "");
    assert_eq!(against(&office, &file), [format!("coverage ofd_digest_weak {part}")]);
    let file = described("=\"SM3\"", "=\"CRC32\"");
    assert_eq!(against(&office, &file), [format!("coverage ofd_digest_unknown {part}")]);
    let file = described("=\"SM3\"", "=\"1.2.156.10197.1.401\"");
    assert_eq!(against(&office, &file), [""; 0]);
}

#[test]
fn a_picture_of_a_seal_without_a_signature_proves_nothing() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let seal = office.seal(|_| ());
    let file = office.sealed(UNSIGNED, &seal);
    let mut parts = unpack(&file);
    parts.remove("Doc_0/Signs/Sign_0/SignedValue.dat");
    let line = "seal ofd_seal_without_signature Doc_0/Signs/Sign_0/Signature.xml";
    assert_eq!(against(&office, &pack(&parts)), [line]);

    let mut parts = unpack(UNSIGNED);
    parts.insert("Doc_0/Res/Seal.esl".into(), seal);
    let line = "seal ofd_seal_without_signature Doc_0/Res/Seal.esl";
    assert_eq!(against(&office, &pack(&parts)), [line]);

    let mut parts = unpack(UNSIGNED);
    let annotations = b"<ofd:PageAnnot><ofd:Annot ID=\"9\" Type=\"Stamp\"/></ofd:PageAnnot>";
    parts.insert("Doc_0/Annots/Page_0/Annotation.xml".into(), annotations.to_vec());
    let line = "seal ofd_seal_without_signature Doc_0/Annots/Page_0/Annotation.xml";
    assert_eq!(against(&office, &pack(&parts)), [line]);

    // A signature that says it is a seal's, and is a bare one.
    let bad = changed(&file, "Doc_0/Signs/Sign_0/SignedValue.dat", |bytes| {
        *bytes = unpack(SIGNED).remove("Doc_0/Signs/Sign_0/SignedValue.dat").unwrap();
    });
    let line = "seal seal_missing Doc_0/Signs/Sign_0/SignedValue.dat";
    assert_eq!(against(&office, &bad), [line]);
}

#[test]
fn a_seal_must_be_its_makers_its_signers_the_one_shown_and_in_force() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let value = "Doc_0/Signs/Sign_0/SignedValue.dat";
    let (from, until) = (time("2025-06-16T00:00:00Z"), time("2025-06-14T00:00:00Z"));
    let others = [office.maker.certificate().clone()];
    for (seal, line) in [
        (office.seal(|template| template.valid_from = from), "seal seal_not_yet_valid".to_owned()),
        (office.seal(|template| template.valid_until = until), "seal seal_expired".to_owned()),
        (office.seal(|template| template.created = from), "seal seal_made_later".to_owned()),
        (
            office.seal(|template| template.signers = &[]),
            format!("seal seal_signer_not_listed {value}"),
        ),
        (office.seal_listing(&others, true), format!("seal seal_signer_not_listed {value}")),
    ] {
        assert_eq!(against(&office, &office.sealed(UNSIGNED, &seal)), [line]);
    }

    // The maker's authority bears the name of ours, and is another.
    let stranger = Office::new(Suite::EcdsaP256Sha256);
    let forged = stranger.seal_listing(&[office.signer.certificate().clone()], false);
    let line = "chain certificate_bad_signature Doc_0/Signs/Sign_0/Seal.esl";
    assert_eq!(against(&office, &office.sealed(UNSIGNED, &forged)), [line]);

    // The maker's name is on it, and the signature is not his.
    let mut forged = office.seal(|_| ());
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let line = format!("seal seal_signature_wrong {value}");
    assert_eq!(against(&office, &office.sealed(UNSIGNED, &forged)), [line]);

    // Another seal of the same office is shown.
    let file = office.sealed(UNSIGNED, &office.seal(|_| ()));
    let other = office.seal(|template| template.name = "样例市人民政府");
    let bad = changed(&file, "Doc_0/Signs/Sign_0/Seal.esl", |bytes| *bytes = other);
    let changed = "coverage ofd_part_changed Doc_0/Signs/Sign_0/Seal.esl";
    let shown = "seal seal_not_the_signed_one Doc_0/Signs/Sign_0/Seal.esl";
    assert_eq!(against(&office, &bad), [changed, shown]);
}

#[test]
fn the_sealing_time_is_within_the_certificate_and_not_to_come() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let seal = office.seal(|template| {
        template.valid_from = time("2020-01-01T00:00:00Z");
        template.created = time("2020-01-01T00:00:00Z");
    });
    for (at, line) in [
        ("2025-06-15T08:04:00Z", None),
        ("2025-06-15T08:06:00Z", Some("time seal_time_in_future")),
        ("2024-12-31T00:00:00Z", Some("time seal_time_outside_certificate")),
    ] {
        let file = seal_ofd(UNSIGNED, &seal, &office.signer, time(at), None).unwrap();
        assert_eq!(against(&office, &file), Vec::from_iter(line), "{at}");
    }
}

#[test]
fn what_is_known_to_exist_long_after_was_sealed_with_a_seal_in_force() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let seal = office.seal(|template| template.valid_until = time("2025-06-16T00:00:00Z"));
    let file = office.sealed(UNSIGNED, &seal);
    // Taken in half a year later, when the seal had ended and the certificates had not.
    let proven = Some(time("2025-12-01T00:00:00Z"));
    let times = Times { now: time("2025-12-02T00:00:00Z"), proven };
    let verdict = check(&file, &office.trust, &times);
    assert_eq!(verdict.outcome(), Outcome::Trusted, "{:?}", codes(&verdict));
    assert_eq!(verdict.signatures[0].proven_at, None);
}

#[test]
fn a_signature_without_seal_that_names_one_leaves_that_part_outside() {
    let office = Office::new(Suite::EcdsaP256Sha256);
    let mut parts = office.without_seal(UNSIGNED);
    let part = "Doc_0/Signs/Sign_0/Signature.xml";
    let text = String::from_utf8(parts[part].clone()).unwrap();
    let seal = "<ofd:Seal><ofd:BaseLoc>/Doc_0/Page.xml</ofd:BaseLoc></ofd:Seal><ofd:References";
    let text = text.replace("<ofd:References", seal);
    let cms = sign_detached(&office.signer, text.as_bytes(), now()).unwrap();
    parts.insert("Doc_0/Signs/Sign_0/SignedValue.dat".into(), cms);
    parts.insert(part.into(), text.into_bytes());
    parts.insert("Doc_0/Page.xml".into(), b"<ofd:Page/>".to_vec());
    let line = "coverage ofd_part_not_covered Doc_0/Page.xml";
    assert_eq!(against(&office, &pack(&parts)), [line]);
}

#[test]
fn a_signature_without_seal_is_cms_over_the_description_or_its_digest() {
    for suite in SUITES {
        let office = Office::new(suite);
        let description =
            |parts: &BTreeMap<String, Vec<u8>>| parts["Doc_0/Signs/Sign_0/Signature.xml"].clone();
        let unsealed = office.without_seal(UNSIGNED);
        let text = description(&unsealed);
        let digest = HashAlgorithm::Sm3.digest(&[&text]);
        let value = "Doc_0/Signs/Sign_0/SignedValue.dat";
        let with = |cms: Vec<u8>| {
            let mut parts = unsealed.clone();
            parts.insert(value.into(), cms);
            pack(&parts)
        };
        for cms in [
            sign_detached(&office.signer, &text, now()).unwrap(),
            sign_attached(&office.signer, &digest, now()).unwrap(),
        ] {
            let verdict = check(&with(cms.clone()), &office.trust, &Times::now(now()));
            assert_eq!(verdict.outcome(), Outcome::Trusted, "{suite:?} {:?}", codes(&verdict));
            let signature = &verdict.signatures[0];
            assert_eq!(signature.signer.as_ref(), Some(office.signer.certificate()));

            let mut bad = cms;
            *bad.last_mut().unwrap() ^= 1;
            let line = format!("signature signature_wrong {value}");
            assert_eq!(against(&office, &with(bad)), [line]);
        }
        let cms = sign_detached(&office.signer, b"something else", now()).unwrap();
        let line = format!("signature signature_digest_mismatch {value}");
        assert_eq!(against(&office, &with(cms)), [line]);
        let line = format!("format ofd_signed_value_malformed {value}");
        assert_eq!(against(&office, &with(b"no signature".to_vec())), [line]);
    }
}
