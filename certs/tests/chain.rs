//! Paths to an anchor: suites in any mix, times, uses, lengths, and what is remembered; revocation.

mod support;

use certs::{
    Certificate, ChainError, ChainRecord, ChainVerdict, CrlError, Judgement, Link, Profile,
    Revocation, SigningIdentity, Suite, Times, TrustStore, Usage, issue_crl, sign_detached,
    verify_detached,
};
use der::asn1::{Any, BitString};
use der::{Decode, Encode};
use support::*;

const LICENCES: Usage = Usage::IssuingLicences;
const CLIENTS: Usage = Usage::IssuingClients;

#[test]
fn suites_mix_along_a_path() {
    let suites = [SUITES.as_slice(), &[Suite::EcdsaP384Sha384]].concat();
    for &top in &suites {
        for &middle_suite in &suites {
            for &leaf in &suites {
                let root = root(top, "样例根");
                let middle = below(&root, middle_suite, &template("样例中级", Profile::Ca, 2));
                let issuer = below(&middle, leaf, &template("签发", Profile::LicenceIssuer, 3));
                let trust = trusting(&root);
                let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
                let verified = verify_detached(&cms, CONTENT, &trust, now()).unwrap();
                assert_eq!(verified.chain.anchor, root.certificate().sha256());
                let path: Vec<_> = verified.chain.certificates.iter().map(|c| c.sha256).collect();
                let expected: Vec<_> = issuer.chain().iter().map(Certificate::sha256).collect();
                assert_eq!(path, expected);
            }
        }
    }
}

#[test]
fn an_intermediate_may_be_known_or_handed_in() {
    let root = root(Suite::EcdsaP256Sha256, "样例根");
    let middle = below(&root, Suite::EcdsaP256Sha256, &template("样例中级", Profile::Ca, 2));
    let issuer = below(&middle, Suite::Sm2Sm3, &template("签发", Profile::LicenceIssuer, 3));
    let leaf = issuer.certificate();
    let mut trust = trusting(&root);
    let alone = |trust: &TrustStore| trust.verify_chain(leaf, &[], LICENCES, now());
    assert_eq!(alone(&trust), Err(ChainError::UnknownIssuer));
    let handed_in = [middle.certificate().clone()];
    trust.verify_chain(leaf, &handed_in, LICENCES, now()).unwrap();
    assert_eq!(alone(&trust), Err(ChainError::UnknownIssuer), "remembering changes no verdict");
    trust.add_intermediate(middle.certificate().clone());
    assert_eq!(alone(&trust).unwrap().certificates.len(), 2);
}

#[test]
fn times_count_to_the_second_for_every_certificate_of_the_path() {
    let (_, issuer, trust) = issuer(Suite::Ed25519);
    let leaf = issuer.certificate();
    for _ in ["first", "remembered"] {
        for (at, valid) in [
            ("2024-12-31T23:59:59.999Z", false),
            ("2025-01-01T00:00:00Z", true),
            ("2026-01-01T00:00:00.999Z", true),
            ("2026-01-01T00:00:01Z", false),
            ("1970-01-01T00:00:00Z", false),
            ("1969-01-01T00:00:00Z", false),
            ("9999-12-30T22:00:00Z", false),
        ] {
            let at = time(at);
            let verdict = trust.verify_chain(leaf, &[], LICENCES, at);
            let (not_before, not_after) = (leaf.not_before(), leaf.not_after());
            match verdict {
                Ok(_) => assert!(valid, "{at}"),
                Err(error) if at < not_before => {
                    assert_eq!(error, ChainError::NotYetValid { at, not_before });
                }
                Err(error) => assert_eq!(error, ChainError::Expired { at, not_after }),
            }
            assert_eq!(trust.verify_chain(leaf, &[], LICENCES, at).is_ok(), valid);
        }
    }
    // The authority's own end ends the path, too.
    let root = root(Suite::Ed25519, "样例根");
    let mut long = template("签发", Profile::LicenceIssuer, 3);
    long.not_after = time("2030-01-01T00:00:00Z");
    let issuer = below(&root, Suite::Ed25519, &long);
    let error = trusting(&root).verify_chain(
        issuer.certificate(),
        &[],
        LICENCES,
        time("2027-01-01T00:00:00Z"),
    );
    assert!(matches!(error, Err(ChainError::Expired { .. })));
}

#[test]
fn each_use_needs_its_own_certificate_and_anchor() {
    for suite in SUITES {
        let root = root(suite, "样例根");
        let trust = trusting(&root);
        let server = Profile::Server { dns: vec!["hub.example".into()], ips: vec![] };
        for (profile, for_licences, for_clients) in [
            // Without extended key usage, RFC 5280 leaves a certificate open to every use.
            (Profile::LicenceIssuer, true, true),
            (Profile::Client, false, true),
            (server, false, false),
            (Profile::Ca, false, false),
        ] {
            let (leaf, _) = issue_from(&root, suite, &template("样例", profile.clone(), 4));
            for (usage, allowed) in [(LICENCES, for_licences), (CLIENTS, for_clients)] {
                let verdict = trust.verify_chain(&leaf, &[], usage, now());
                if allowed {
                    verdict.unwrap();
                } else {
                    let error = verdict.unwrap_err();
                    assert_eq!(error, ChainError::WrongUsage { usage }, "{profile:?}");
                    assert_eq!(error.link(), Link::Usage);
                }
            }
        }
        let mut clients_only = TrustStore::new();
        clients_only.add_anchor(CLIENTS, root.certificate().clone());
        let (leaf, _) = issue_from(&root, suite, &template("样例", Profile::LicenceIssuer, 5));
        let error = clients_only.verify_chain(&leaf, &[], LICENCES, now()).unwrap_err();
        assert_eq!(error, ChainError::UnknownIssuer);
        clients_only.verify_chain(&leaf, &[], CLIENTS, now()).unwrap();
        let error = clients_only.verify_chain(&leaf, &[], LICENCES, now()).unwrap_err();
        assert_eq!(error, ChainError::UnknownIssuer, "remembered for the other use only");
    }
}

#[test]
fn a_signature_on_a_certificate_must_fit() {
    for suite in SUITES {
        let real = root(suite, "同名根");
        let false_root = root(suite, "同名根");
        let issuer = below(&false_root, suite, &template("签发", Profile::LicenceIssuer, 2));
        let error = trusting(&real).verify_chain(issuer.certificate(), &[], LICENCES, now());
        assert_eq!(error, Err(ChainError::BadSignature { position: 0 }));
        // With both of the name known, the one that fits is found.
        let mut both = trusting(&real);
        both.add_anchor(LICENCES, false_root.certificate().clone());
        let record = both.verify_chain(issuer.certificate(), &[], LICENCES, now()).unwrap();
        assert_eq!(record.anchor, false_root.certificate().sha256());

        let middle = below(&false_root, suite, &template("样例中级", Profile::Ca, 3));
        let issuer = below(&middle, suite, &template("签发", Profile::LicenceIssuer, 4));
        let others = &issuer.chain()[1..];
        let error = trusting(&real).verify_chain(issuer.certificate(), others, LICENCES, now());
        assert_eq!(error, Err(ChainError::BadSignature { position: 1 }));
    }
}

#[test]
fn only_a_ca_may_issue() {
    let (root, issuer, trust) = issuer(Suite::EcdsaP256Sha256);
    let (leaf, _) =
        issue_from(&issuer, Suite::EcdsaP256Sha256, &template("冒", Profile::LicenceIssuer, 9));
    let others = [issuer.certificate().clone()];
    let error = trust.verify_chain(&leaf, &others, LICENCES, now()).unwrap_err();
    assert_eq!(error, ChainError::NotCa { position: 1 });

    // A signer's certificate may be an anchor itself; it speaks for itself alone.
    let mut direct = TrustStore::new();
    direct.add_anchor(LICENCES, issuer.certificate().clone());
    let record = direct.verify_chain(issuer.certificate(), &[], LICENCES, now()).unwrap();
    assert_eq!((record.certificates.len(), record.anchor), (0, issuer.certificate().sha256()));
    let error = direct.verify_chain(&leaf, &[], LICENCES, now()).unwrap_err();
    assert_eq!(error, ChainError::NotCa { position: 1 });
    let error = direct.verify_chain(issuer.certificate(), &[], CLIENTS, now()).unwrap_err();
    assert_eq!(error, ChainError::UnknownIssuer);
    let after = time("2026-06-01T00:00:00Z");
    let error = direct.verify_chain(issuer.certificate(), &[], LICENCES, after).unwrap_err();
    assert!(matches!(error, ChainError::Expired { .. }));
    // A root for CAs does not sign licences, even when it is the anchor.
    let error = trust.verify_chain(root.certificate(), &[], LICENCES, now()).unwrap_err();
    assert_eq!(error, ChainError::WrongUsage { usage: LICENCES });
}

#[test]
fn a_path_has_at_most_six_certificates_below_the_anchor() {
    let root = root(Suite::Ed25519, "样例根");
    let mut authorities = vec![];
    for level in 1..=6_u64 {
        let above: &SigningIdentity = authorities.last().unwrap_or(&root);
        let template = template(&format!("中级{level}"), Profile::Ca, level + 1);
        let (certificate, key) = issue_from(above, Suite::Ed25519, &template);
        authorities.push(SigningIdentity::new(vec![certificate], Box::new(key)).unwrap());
    }
    let all: Vec<_> = authorities.iter().map(|ca| ca.certificate().clone()).collect();
    let trust = trusting(&root);
    for (level, allowed) in [(4, true), (5, false)] {
        let template = template("签发", Profile::LicenceIssuer, 50);
        let (leaf, _) = issue_from(&authorities[level], Suite::Ed25519, &template);
        let verdict = trust.verify_chain(&leaf, &all, LICENCES, now());
        match verdict {
            Ok(record) => assert!(allowed && record.certificates.len() == 6),
            Err(error) => assert!(!allowed && error == ChainError::TooLong),
        }
    }
}

/// Eight CAs of one name: every order of them is a path by name, but their signatures say otherwise.
#[test]
fn certificates_that_only_look_like_issuers_cost_little() {
    let suite = Suite::EcdsaP256Sha256;
    let authorities: Vec<_> = (0..8).map(|_| root(suite, "环")).collect();
    let template = template("签发", Profile::LicenceIssuer, 2);
    let (leaf, _) = issue_from(&authorities[0], suite, &template);
    let others: Vec<_> = authorities.iter().map(|ca| ca.certificate().clone()).collect();
    let trust = trusting(&root(suite, "样例根"));
    let start = std::time::Instant::now();
    let (verdict, cost) = trust.verify_chain_counting(&leaf, &others, LICENCES, now());
    assert_eq!(verdict, Err(ChainError::UnknownIssuer));
    assert!(cost.signature_checks <= 15 && cost.paths == 0, "{cost:?}");
    let trust = trusting(&root(suite, "环"));
    let (verdict, cost) = trust.verify_chain_counting(&leaf, &others, LICENCES, now());
    assert_eq!(verdict, Err(ChainError::BadSignature { position: 0 }));
    assert!(cost.signature_checks <= 17 && cost.paths == 0, "{cost:?}");
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn cas_that_certify_each_other_are_searched_within_a_budget() {
    let (authorities, others) = cross_certified(8);
    let template = template("签发", Profile::LicenceIssuer, 2);
    let (leaf, _) = issue_from(&authorities[0], Suite::Ed25519, &template);
    let start = std::time::Instant::now();
    let stranger = root(Suite::Ed25519, "样例根");
    let (verdict, cost) =
        trusting(&stranger).verify_chain_counting(&leaf, &others, LICENCES, now());
    assert_eq!(verdict, Err(ChainError::Budget));
    assert_eq!(ChainError::Budget.code(), "certificate_budget");
    assert!(cost.steps <= 4096 && cost.signature_checks <= 64, "{cost:?}");
    // One of them is the anchor: the path is there at once, and stays as short as it can be.
    let trust = trusting(&authorities[5]);
    let (verdict, cost) = trust.verify_chain_counting(&leaf, &others, LICENCES, now());
    assert_eq!(verdict.unwrap().anchor, authorities[5].certificate().sha256());
    assert_eq!(cost.paths, 1);
    // Nor do paths that end at an anchor, and are refused there, go on for ever.
    let late = time("2027-01-01T00:00:00Z");
    let (verdict, cost) = trust.verify_chain_counting(&leaf, &others, LICENCES, late);
    assert_eq!(verdict, Err(ChainError::Budget));
    assert_eq!(cost.paths, 16);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn a_hundred_cas_in_a_row_and_a_cycle_end_soon() {
    let suite = Suite::Ed25519;
    let root = root(suite, "样例根");
    let mut authorities: Vec<SigningIdentity> = vec![];
    for level in 1..=100_u64 {
        let above = authorities.last().unwrap_or(&root);
        let (certificate, key) =
            issue_from(above, suite, &template(&format!("第{level}级"), Profile::Ca, level + 1));
        authorities.push(SigningIdentity::new(vec![certificate], Box::new(key)).unwrap());
    }
    let all: Vec<_> = authorities.iter().map(|ca| ca.certificate().clone()).collect();
    let signer = template("签发", Profile::LicenceIssuer, 200);
    let (leaf, _) = issue_from(&authorities[99], suite, &signer);
    let (verdict, cost) = trusting(&root).verify_chain_counting(&leaf, &all, LICENCES, now());
    assert_eq!(verdict, Err(ChainError::TooLong));
    assert_eq!((cost.signature_checks, cost.paths), (5, 0));

    let (authorities, others) = cross_certified(2);
    let (leaf, _) = issue_from(&authorities[0], suite, &signer);
    let (verdict, cost) = trusting(&root).verify_chain_counting(&leaf, &others, LICENCES, now());
    assert_eq!(verdict, Err(ChainError::UnknownIssuer));
    assert!(cost.signature_checks <= 4, "{cost:?}");
}

#[test]
fn a_null_after_the_sm2_algorithm_is_tolerated() {
    let root = root(Suite::Sm2Sm3, "样例根");
    let (leaf, _) = issue_from(&root, Suite::Sm2Sm3, &template("签", Profile::LicenceIssuer, 2));
    let with_null = Any::from_der(&hex::decode("300c06082a811ccf550183750500").unwrap()).unwrap();
    let mut parts = Vec::<Any>::from_der(leaf.der()).unwrap();
    let mut tbs = Vec::<Any>::from_der(&parts[0].to_der().unwrap()).unwrap();
    tbs[2] = with_null.clone();
    let tbs = tbs.to_der().unwrap();
    let signature = BitString::from_bytes(&root.signer().sign(&tbs).unwrap()).unwrap();
    parts = vec![Any::from_der(&tbs).unwrap(), with_null, Any::encode_from(&signature).unwrap()];
    let leaf = Certificate::from_der(&parts.to_der().unwrap()).unwrap();
    trusting(&root).verify_chain(&leaf, &[], LICENCES, now()).unwrap();
}

#[test]
fn revocation_is_judged_by_lists_and_the_worst_counts() {
    for suite in SUITES {
        let root = root(suite, "样例根");
        let middle = below(&root, suite, &template("样例中级", Profile::Ca, 2));
        let issuer = below(&middle, suite, &template("签发", Profile::LicenceIssuer, 0x80));
        let mut trust = trusting(&root);
        trust.add_intermediate(middle.certificate().clone());
        let leaf = issuer.certificate();
        let record = trust.verify_chain(leaf, &[], LICENCES, now()).unwrap();
        let judge = |trust: &TrustStore, at: &str| trust.judge(&record, time(at)).revocation;

        let june = |day: u8| time(&format!("2025-06-{day:02}T00:00:00Z"));
        let list = |authority: &SigningIdentity, number, serials: &[u8], from, to| {
            let revoked: Vec<_> = serials.iter().map(|serial| (vec![*serial], june(10))).collect();
            issue_crl(authority, number, &revoked, june(from), june(to)).unwrap()
        };
        assert_eq!(judge(&trust, "2025-06-15T00:00:00Z"), Revocation::NoCrl);
        trust.add_crl(&list(&middle, 1, &[], 14, 20)).unwrap();
        assert_eq!(judge(&trust, "2025-06-15T00:00:00Z"), Revocation::NoCrl, "none of the root's");
        trust.add_crl(&list(&root, 1, &[7], 12, 18)).unwrap();
        let good = Revocation::Good { as_of: june(12) };
        assert_eq!(judge(&trust, "2025-06-15T00:00:00Z"), good);
        assert_eq!(judge(&trust, "2025-06-17T23:59:59Z"), good);
        let stale = Revocation::Stale { as_of: june(12) };
        assert_eq!(judge(&trust, "2025-06-18T00:00:00Z"), stale);
        trust.verify_chain(leaf, &[], LICENCES, now()).unwrap();

        // The leaf revoked by its issuer.
        let mut revoking = TrustStore::new();
        revoking.add_anchor(LICENCES, root.certificate().clone());
        revoking.add_intermediate(middle.certificate().clone());
        revoking.verify_chain(leaf, &[], LICENCES, now()).unwrap();
        revoking.add_crl(&list(&middle, 2, &[0x80], 14, 20)).unwrap();
        let revoked = Revocation::Revoked { at: june(10), since: june(10) };
        assert_eq!(judge(&revoking, "2025-06-15T00:00:00Z"), revoked);
        assert_eq!(judge(&revoking, "2025-12-15T00:00:00Z"), revoked, "stale, but it said so");
        assert_eq!(judge(&revoking, "2025-06-09T00:00:00Z"), Revocation::NoCrl);
        let error = revoking.verify_chain(leaf, &[], LICENCES, now()).unwrap_err();
        assert_eq!(error, ChainError::Revoked { position: 0, revoked_at: june(10) });
        assert_eq!(error.link(), Link::Revocation);
        let before = time("2025-06-09T00:00:00Z");
        revoking.verify_chain(leaf, &[], LICENCES, before).unwrap();
        let error = revoking.verify_chain(leaf, &[], LICENCES, now()).unwrap_err();
        assert!(matches!(error, ChainError::Revoked { .. }), "remembered and then revoked");

        // The CA revoked by the root; the same serial on another issuer's list means nothing.
        trust.add_crl(&list(&root, 2, &[2, 0x80], 13, 20)).unwrap();
        let error = trust.verify_chain(leaf, &[], LICENCES, now()).unwrap_err();
        assert_eq!(error, ChainError::Revoked { position: 1, revoked_at: june(10) });
    }
}

#[test]
fn lists_are_taken_from_their_issuer_only_and_never_older() {
    for suite in SUITES {
        let (root, issuer, mut trust) = issuer(suite);
        let (from, to) = (time("2025-06-01T00:00:00Z"), time("2025-07-01T00:00:00Z"));
        let newer = issue_crl(&root, 2, &[], from, to).unwrap();
        trust.add_crl(&newer).unwrap();
        trust.add_crl(&newer).unwrap();
        let older = issue_crl(&root, 1, &[], time("2025-05-01T00:00:00Z"), to).unwrap();
        assert_eq!(trust.add_crl(&older), Err(CrlError::Older { held: from }));

        let stranger = support::root(suite, "别处");
        let list = issue_crl(&stranger, 1, &[], from, to).unwrap();
        assert_eq!(trust.add_crl(&list), Err(CrlError::UnknownIssuer));
        let namesake = support::root(suite, "样例根");
        let list = issue_crl(&namesake, 9, &[(vec![2], from)], from, to).unwrap();
        assert_eq!(trust.add_crl(&list), Err(CrlError::BadSignature));
        trust.add_intermediate(issuer.certificate().clone());
        let list = issue_crl(&issuer, 1, &[], from, to).unwrap();
        assert_eq!(trust.add_crl(&list), Err(CrlError::WrongUsage));
        assert_eq!(trust.add_crl(b""), Err(CrlError::Malformed));
        let trailing = [newer.as_slice(), &[0]].concat();
        assert_eq!(trust.add_crl(&trailing), Err(CrlError::Malformed));
        for at in 0..newer.len() {
            for bit in 0..8 {
                let mut changed = newer.clone();
                changed[at] ^= 1 << bit;
                assert!(trust.add_crl(&changed).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn a_withdrawn_anchor_shows_in_every_later_judgement() {
    let (root, issuer, mut trust) = issuer(Suite::Sm2Sm3);
    let leaf = issuer.certificate();
    let record = trust.verify_chain(leaf, &[], LICENCES, now()).unwrap();
    let judged = trust.judge(&record, now());
    let no_list = Revocation::NoCrl;
    assert_eq!(judged, Judgement { chain: ChainVerdict::Ok, revocation: no_list });
    assert!(trust.remove_anchor(LICENCES, &root.certificate().sha256()));
    assert!(!trust.remove_anchor(LICENCES, &root.certificate().sha256()));
    assert_eq!(trust.judge(&record, now()).chain, ChainVerdict::AnchorWithdrawn);
    let error = trust.verify_chain(leaf, &[], LICENCES, now()).unwrap_err();
    assert_eq!(error, ChainError::UnknownIssuer);
    assert_eq!(trust.anchors(CLIENTS), [root.certificate().clone()]);
}

#[test]
fn records_survive_storage() {
    let (_, issuer, trust) = issuer(Suite::EcdsaP256Sha256);
    let record = trust.verify_chain(issuer.certificate(), &[], LICENCES, now()).unwrap();
    let bytes = postcard::to_allocvec(&record).unwrap();
    assert_eq!(postcard::from_bytes::<ChainRecord>(&bytes).unwrap(), record);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<ChainRecord>(&text).unwrap(), record);
}

#[test]
fn an_anchor_counts_for_its_own_time_only() {
    let root = root(Suite::EcdsaP256Sha256, "样例根");
    let issuer = below(&root, Suite::EcdsaP256Sha256, &template("签发", Profile::LicenceIssuer, 2));
    let (leaf, anchor) = (issuer.certificate(), root.certificate());
    let (from, until) = (time("2025-03-01T00:00:00Z"), time("2025-09-01T00:00:00Z"));
    let mut trust = TrustStore::new();
    trust.add_anchor_between(LICENCES, anchor.clone(), Some(from), Some(until));
    for _ in ["first", "remembered"] {
        for (at, expected) in [
            (from, Ok(())),
            (time("2025-08-31T23:59:59.9Z"), Ok(())),
            (until, Err("certificate_anchor_ended")),
            (time("2025-02-28T23:59:59.9Z"), Err("certificate_anchor_not_yet_valid")),
        ] {
            let verdict = trust.verify_chain(leaf, &[], LICENCES, at);
            assert_eq!(verdict.map(drop).map_err(|error| error.code()), expected, "{at}");
            let verdict = trust.verify_chain(anchor, &[], CLIENTS, at);
            assert_eq!(verdict.err(), Some(ChainError::UnknownIssuer));
        }
    }
    let record = trust.verify_chain(leaf, &[], LICENCES, from).unwrap();
    let judge = |proven: Option<&str>, now| {
        trust.judge_at(&record, &Times { now, proven: proven.map(time) }).chain
    };
    assert_eq!(judge(None, from), ChainVerdict::Ok);
    assert_eq!(judge(None, until), ChainVerdict::AnchorEnded);
    assert_eq!(judge(Some("2025-08-01T00:00:00Z"), until), ChainVerdict::Ok, "older than the end");
    assert_eq!(judge(Some("2025-02-01T00:00:00Z"), until), ChainVerdict::AnchorNotYet);
    trust.remove_anchor(LICENCES, &anchor.sha256());
    let times = Times { now: until, proven: Some(from) };
    assert_eq!(trust.judge_at(&record, &times).chain, ChainVerdict::AnchorWithdrawn);
}
