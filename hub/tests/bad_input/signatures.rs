//! Signatures and certificates that are not what they should be.

use certs::{KeySigner, Manifest, Profile, SigningIdentity, Suite, sha256, sign_detached};
use jiff::Timestamp;

use crate::{
    assert_nothing_stored, assert_refused,
    support::{Actor, Answer, NOW, TestHub, departments, subject},
};

/// A licence of the market regulator, signed by the identity that is handed in.
async fn hand_in_signed_by(hub: &TestHub, identity: SigningIdentity) -> Answer {
    let (licence, _) = hub.enterprise_licence();
    let document = licence.to_bytes();
    let signature = sign_detached(&identity, &document, NOW.parse().unwrap()).unwrap();
    hub.issuer().hand_in(&document, &signature).await
}

fn market(hub: &TestHub) -> Actor {
    hub.issuer()
}

fn day(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

#[tokio::test]
async fn a_byte_changed_in_a_licence_breaks_the_signature() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let document = String::from_utf8(licence.to_bytes()).unwrap();
    let signature = issuer.sign(document.as_bytes());
    // Still a perfect licence: only the year of issue is another.
    let year = licence.issued_on.year();
    let issued_on = format!("\"ZZBFRQ\":\"{year:04}");
    assert!(document.contains(&issued_on));
    let changed = document.replacen(&issued_on, &format!("\"ZZBFRQ\":\"{:04}", year - 1), 1);

    let answer = issuer.hand_in(changed.as_bytes(), &signature).await;

    assert_refused(&answer, &[422], &["signature"]);
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn no_bit_of_a_licence_can_be_changed_unnoticed() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let document = licence.to_bytes();
    let signature = issuer.sign(&document);

    for position in 0..document.len() {
        let mut changed = document.clone();
        changed[position] ^= 1 << (position % 8);
        let answer = issuer.hand_in(&changed, &signature).await;
        let links = ["signature", "format", "identifier", "catalogue", "policy"];
        assert_refused(&answer, &[400, 403, 422], &links);
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn no_bit_of_a_signature_or_its_certificate_can_be_changed_unnoticed() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let document = licence.to_bytes();
    let signature = issuer.sign(&document);
    let certificate = issuer.identity.as_ref().unwrap().certificate().der().to_vec();
    let start = signature
        .windows(certificate.len())
        .position(|window| window == certificate)
        .expect("the signature carries its certificate");
    let certificate = start..start + certificate.len();

    let mut unnoticed = Vec::new();
    for position in 0..signature.len() {
        let mut changed = signature.clone();
        changed[position] ^= 1 << (position % 8);
        let answer = issuer.hand_in(&document, &changed).await;
        if answer.status < 400 {
            unnoticed.push(position);
            continue;
        }
        let mut links = vec!["signature", "format", "certificate", "chain", "usage"];
        if certificate.contains(&position) {
            // A changed name makes it another department's.
            links.push("policy");
        }
        assert_refused(&answer, &[400, 403, 422], &links);
    }
    assert_eq!(unnoticed, [0_usize; 0], "changed bytes that were accepted");
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn an_expired_certificate_does_not_sign() {
    let hub = TestHub::start().await;
    let identity = hub.signing_identity_from(
        &market(&hub).department,
        Profile::LicenceIssuer,
        day("2024-06-01"),
        365,
    );

    let answer = hand_in_signed_by(&hub, identity).await;

    assert_refused(&answer, &[422], &["certificate"]);
    assert!(answer.code().contains("expired"), "{answer:?}");
    assert_nothing_stored(&hub, &hub.enterprise_licence().0.identifier).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_yet_valid_does_not_sign() {
    let hub = TestHub::start().await;
    let identity = hub.signing_identity_from(
        &market(&hub).department,
        Profile::LicenceIssuer,
        day("2026-04-01"),
        365,
    );

    let answer = hand_in_signed_by(&hub, identity).await;

    assert_refused(&answer, &[422], &["certificate"]);
    assert!(answer.code().contains("not_yet"), "{answer:?}");
    assert_nothing_stored(&hub, &hub.enterprise_licence().0.identifier).await;
}

#[tokio::test]
async fn certificates_for_other_purposes_do_not_sign_licences() {
    let hub = TestHub::start().await;
    let server = Profile::Server { dns: vec!["localhost".to_owned()], ips: Vec::new() };
    for profile in [Profile::Client, server, Profile::Ca] {
        let identity = hub.signing_identity_from(
            &market(&hub).department,
            profile.clone(),
            day("2025-01-01"),
            1_000,
        );
        let answer = hand_in_signed_by(&hub, identity).await;
        assert_refused(&answer, &[422], &["usage"]);
    }
    assert_nothing_stored(&hub, &hub.enterprise_licence().0.identifier).await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_issuer_does_not_sign() {
    let hub = TestHub::start().await;
    let market = market(&hub).department;
    let elsewhere = tempfile::tempdir().unwrap();
    let founded = day("2024-01-01");
    // Everything but the key is the same: subject, issuer's name, validity.
    let city = district::consuming_departments().swap_remove(0);
    let name = hub::command::demo::authority::Subject {
        common_name: "Test Root",
        organisation_name: city.name,
        organisation: city.code,
    };
    let authority =
        hub::command::demo::authority::Authority::open(elsewhere.path(), &name, founded).unwrap();
    let (certificate, key) = authority
        .issue(
            Suite::EcdsaP256Sha256,
            Profile::LicenceIssuer,
            &subject(&market),
            day("2025-01-01"),
            1_000,
        )
        .unwrap();
    let alone = SigningIdentity::new(vec![certificate.clone()], Box::new(copy(&key))).unwrap();
    let with_its_root =
        SigningIdentity::new(vec![certificate, authority.anchor().clone()], Box::new(key)).unwrap();

    for identity in [alone, with_its_root] {
        let answer = hand_in_signed_by(&hub, identity).await;
        assert_refused(&answer, &[422], &["chain"]);
    }
    assert_nothing_stored(&hub, &hub.enterprise_licence().0.identifier).await;
}

#[tokio::test]
async fn a_certificate_that_signed_itself_does_not_sign_licences() {
    let hub = TestHub::start().await;
    let department = market(&hub).department;
    let elsewhere = tempfile::tempdir().unwrap();
    let own = hub::command::demo::authority::Authority::open(
        elsewhere.path(),
        &subject(&department),
        day("2025-01-01"),
    )
    .unwrap();
    let key = std::fs::read(elsewhere.path().join("ca.key")).unwrap();
    let identity = SigningIdentity::from_pem(own.anchor().to_pem().as_bytes(), &key).unwrap();

    let answer = hand_in_signed_by(&hub, identity).await;

    assert_refused(&answer, &[422], &["chain", "usage"]);
    assert_nothing_stored(&hub, &hub.enterprise_licence().0.identifier).await;
}

#[tokio::test]
async fn a_revoked_certificate_does_not_sign() {
    let hub = TestHub::start().await;
    let identity = hub.signing_identity(&market(&hub).department);
    let serial = hex::decode(identity.certificate().serial_hex()).unwrap();
    let revoked_at = day("2026-02-01");
    hub.authority.revocation_list(&[(serial, revoked_at)], day("2026-03-01")).unwrap();
    hub.hub.reload_trust().unwrap();

    let answer = hand_in_signed_by(&hub, identity).await;

    assert_refused(&answer, &[422], &["revocation"]);
    assert_nothing_stored(&hub, &hub.enterprise_licence().0.identifier).await;
}

#[tokio::test]
async fn an_issuer_does_not_sign_a_type_that_is_not_its_own() {
    let hub = TestHub::start().await;
    let police = hub.issuing("public-security");
    let (licence, _) = hub.enterprise_licence();

    // The market regulator's licence, signed by the police: it says another issuer than signed it.
    let answer = police.issue(&licence).await;
    assert_refused(&answer, &[403, 422], &["policy"]);

    // A business licence in the name of the police, signed by the police.
    let mut own = licence.clone();
    own.issuer = police.department.code.into();
    own.issuer_name = police.department.name.to_owned();
    own.identifier =
        licence::LicenceId::build(&own.licence_type, &own.issuer, "A000000001", 1).unwrap();
    let answer = police.issue(&own).await;
    assert_refused(&answer, &[403], &["policy"]);

    assert_nothing_stored(&hub, &licence.identifier).await;
    assert_nothing_stored(&hub, &own.identifier).await;
}

#[tokio::test]
async fn a_signature_over_another_licence_is_not_accepted() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let mut other = licence.clone();
    other.identifier =
        licence::LicenceId::build(&other.licence_type, &other.issuer, "A000000002", 1).unwrap();

    let answer = issuer.hand_in(&licence.to_bytes(), &issuer.sign(&other.to_bytes())).await;

    assert_refused(&answer, &[422], &["signature"]);
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn what_is_no_signature_at_all_is_not_accepted() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let document = licence.to_bytes();
    let good = issuer.sign(&document);
    let digest = sha256(&document).as_bytes().to_vec();
    let manifest = Manifest::write(&issuer.department.code, "one", &[sha256(&document)]).unwrap();
    let mut twice = good.clone();
    twice.extend_from_slice(&good);
    let mut trailing = good.clone();
    trailing.push(0);
    let nonsense: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0],
        vec![0x30, 0x80],
        vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        vec![0x30; 60_000],
        vec![0xff; 60_000],
        digest,
        document.clone(),
        issuer.identity.as_ref().unwrap().certificate().der().to_vec(),
        certs::cms_to_pem(&good).into_bytes(),
        good[..good.len() - 1].to_vec(),
        good[..good.len() / 2].to_vec(),
        twice,
        trailing,
        // A good signature, but of a manifest: it belongs to a batch.
        issuer.sign(&manifest),
    ];
    for signature in nonsense {
        let answer = issuer.hand_in(&document, &signature).await;
        assert_refused(&answer, &[400, 422], &["format", "signature", "certificate"]);
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn every_department_signs_for_itself_only() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    let issuer = *licence.issuer.credit_code();
    for department in departments().into_iter().filter(|one| one.code != issuer) {
        let answer = hand_in_signed_by(&hub, hub.signing_identity(&department)).await;
        assert_refused(&answer, &[403, 422], &["policy", "signature", "certificate"]);
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

fn copy(key: &KeySigner) -> KeySigner {
    KeySigner::from_pkcs8_pem(key.to_pkcs8_pem().as_bytes()).unwrap()
}
