//! CMS files of other programs: every signer, every link.

mod support;

use certs::{
    FileVerdict, HashAlgorithm, Link, Outcome, Profile, SigningIdentity, Suite, Times, TrustStore,
    check_cms, check_cms_over, issue_crl, sign_attached, sign_detached,
};
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::{Decode, Encode};
use support::*;
use tempfile::TempDir;

#[test]
fn every_link_of_a_detached_signature_has_a_verdict() {
    for suite in SUITES {
        let (root, issuer, mut trust) = issuer(suite);
        let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
        let verdict = check_cms(&cms, Some(CONTENT), &trust, &Times::now(now()));
        assert_eq!(verdict.outcome(), Outcome::Undetermined, "no list says anything");
        assert_eq!(
            words(&verdict),
            ["signature ok", "certificate ok", "usage ok", "chain ok", "revocation crl_missing"]
        );
        let list = issue_crl(&root, 1, &[], now(), time("2025-07-01T00:00:00Z")).unwrap();
        trust.add_crl(&list).unwrap();
        let verdict = check_cms(&cms, Some(CONTENT), &trust, &Times::now(now()));
        assert_eq!(verdict.outcome(), Outcome::Trusted);
        let signature = &verdict.signatures[0];
        assert_eq!(signature.claimed_at, Some(now()));
        assert_eq!(signature.suite, Some(suite));
        assert_eq!(signature.signer.as_ref(), Some(issuer.certificate()));
    }
}

#[test]
fn content_may_lie_in_pieces_or_inside() {
    for suite in SUITES {
        let (_, issuer, trust) = issuer(suite);
        let times = Times::now(now());
        let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
        let (a, b) = CONTENT.split_at(7);
        let checked = check_cms_over(&cms, &[a, b, b""], &trust, &times).unwrap();
        assert!(checked.is_detached);
        assert!(checked.signers[0].hash.is_some());
        assert!(!checked.signers[0].names_certificate);
        assert_eq!(checked.signers[0].verdict.links[0].code, "ok");
        let checked = check_cms_over(&cms, &[b, a], &trust, &times).unwrap();
        assert_eq!(checked.signers[0].verdict.links[0].code, "signature_digest_mismatch");

        let attached = sign_attached(&issuer, CONTENT, now()).unwrap();
        let verdict = check_cms(&attached, None, &trust, &times);
        assert_eq!(words(&verdict)[0], "signature ok");
        let other = check_cms(&attached, Some(b"other"), &trust, &times);
        assert_eq!(other.links[0].code, "signature_embedded_content_differs");
        let missing = check_cms(&cms, None, &trust, &times);
        assert_eq!(missing.links[0].code, "signature_content_missing");
        assert_eq!(missing.links[0].link, Link::Coverage);
    }
}

#[test]
fn of_two_signers_each_has_its_verdict_and_the_worse_counts() {
    let (root, issuer, trust) = issuer(Suite::EcdsaP256Sha256);
    let second = below(&root, Suite::Ed25519, &template("第二", Profile::LicenceIssuer, 5));
    let over = |identity: &SigningIdentity, content: &[u8]| {
        let cms = sign_detached(identity, content, now()).unwrap();
        let info = ContentInfo::from_der(&cms).unwrap();
        info.content.decode_as::<SignedData>().unwrap()
    };
    let both = |content: &[u8]| {
        let mut data = over(&issuer, CONTENT);
        let other = over(&second, content);
        data.signer_infos.0.insert(other.signer_infos.0.get(0).unwrap().clone()).unwrap();
        data.digest_algorithms.insert(other.digest_algorithms.get(0).unwrap().clone()).unwrap();
        for certificate in other.certificates.unwrap().0.iter() {
            data.certificates.as_mut().unwrap().0.insert(certificate.clone()).unwrap();
        }
        let content_type = "1.2.840.113549.1.7.2".parse().unwrap();
        let content = der::Any::encode_from(&data).unwrap();
        ContentInfo { content_type, content }.to_der().unwrap()
    };
    let good = check_cms(&both(CONTENT), Some(CONTENT), &trust, &Times::now(now()));
    assert_eq!(good.signatures.len(), 2);
    assert!(good.signatures.iter().all(|found| found.outcome() == Outcome::Undetermined));
    let bad = check_cms(&both(b"something else"), Some(CONTENT), &trust, &Times::now(now()));
    assert_eq!(bad.outcome(), Outcome::Untrusted);
    let codes: Vec<_> = bad.signatures.iter().map(|found| found.links[0].code).collect();
    assert!(codes.contains(&"ok") && codes.contains(&"signature_digest_mismatch"), "{codes:?}");
}

/// A file may bring many signatures, each with certificates of one name that all could have issued each other.
#[test]
fn what_a_file_costs_is_bounded_however_many_signatures_it_brings() {
    let suite = Suite::EcdsaP256Sha256;
    let namesakes: Vec<_> = (0..8).map(|_| root(suite, "环")).collect();
    let template = template("签发", Profile::LicenceIssuer, 2);
    let (leaf, key) = issue_from(&namesakes[0], suite, &template);
    let signer = SigningIdentity::new(vec![leaf], Box::new(key)).unwrap();
    let signed = |seconds: i64| {
        let at = now() + jiff::SignedDuration::from_secs(seconds);
        let cms = sign_detached(&signer, CONTENT, at).unwrap();
        ContentInfo::from_der(&cms).unwrap().content.decode_as::<SignedData>().unwrap()
    };
    let mut data = signed(0);
    for seconds in 1..16 {
        let other = signed(seconds).signer_infos.0.get(0).unwrap().clone();
        data.signer_infos.0.insert(other).unwrap();
    }
    for namesake in &namesakes {
        let certificate = x509_cert::Certificate::from_der(namesake.certificate().der()).unwrap();
        let choice = cms::cert::CertificateChoices::Certificate(certificate);
        data.certificates.as_mut().unwrap().0.insert(choice).unwrap();
    }
    let content_type = "1.2.840.113549.1.7.2".parse().unwrap();
    let content = der::Any::encode_from(&data).unwrap();
    let cms = ContentInfo { content_type, content }.to_der().unwrap();
    let verdict = check_cms(&cms, Some(CONTENT), &TrustStore::new(), &Times::now(now()));
    let codes: Vec<_> =
        verdict.signatures.iter().map(|signature| signature.links.last().unwrap().code).collect();
    assert_eq!(codes.len(), 16);
    assert_eq!(codes[0], "certificate_unknown_issuer");
    assert_eq!(codes[15], "certificate_budget");
}

#[test]
fn openssl_signs_with_every_hash_and_names_its_certificate() {
    let folder = TempDir::new().unwrap();
    let line = |line: &str| run(folder.path(), line).unwrap();
    std::fs::write(folder.path().join("content"), CONTENT).unwrap();
    line("openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=s");
    for (name, hash) in [
        ("sha256", HashAlgorithm::Sha256),
        ("sha384", HashAlgorithm::Sha384),
        ("sha512", HashAlgorithm::Sha512),
    ] {
        line(&format!(
            "openssl cms -sign -binary -md {name} -cades -in content -signer cert -inkey key \
             -outform DER -out {name}.cms"
        ));
        let cms = std::fs::read(folder.path().join(format!("{name}.cms"))).unwrap();
        let times = Times::now(jiff::Timestamp::now());
        let checked = check_cms_over(&cms, &[CONTENT], &TrustStore::new(), &times).unwrap();
        assert_eq!(checked.signers[0].hash, Some(hash));
        assert!(checked.signers[0].names_certificate);
        assert_eq!(checked.signers[0].verdict.links[0].code, "ok");
    }
    for weak in ["md5", "sha1"] {
        line(&format!(
            "openssl cms -sign -binary -md {weak} -in content -signer cert -inkey key -outform \
             DER -out weak.cms"
        ));
        let cms = std::fs::read(folder.path().join("weak.cms")).unwrap();
        let verdict = check_cms(&cms, Some(CONTENT), &TrustStore::new(), &Times::now(now()));
        assert_eq!(verdict.signatures[0].links[0].code, "signature_digest_weak");
        assert_eq!(verdict.signatures[0].links[0].link, Link::Signature);
    }
}

fn words(verdict: &FileVerdict) -> Vec<String> {
    let links = &verdict.signatures[0].links;
    links.iter().map(|link| format!("{} {}", link.link.word(), link.code)).collect()
}
