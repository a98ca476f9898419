//! Manifests and evidence files.

mod support;

use certs::{
    Evidence, EvidenceError, EvidenceOrder, Link, MAX_MANIFEST_LICENCES, Manifest, ManifestError,
    Profile, Revocation, SigningIdentity, Suite, TrustStore, Usage, issue_crl, sha256,
    sign_attached, sign_detached,
};
use jiff::civil::date;
use licence::{
    CreditCode, Holder, HolderId, HolderKind, Licence, LicenceId, LicenceStatus, LicenceTypeCode,
    RevocationCause, Sha256Digest, StatusChange, StatusOrder, Validity,
};
use support::*;

fn licence(serial: &str) -> Licence {
    let licence_type: LicenceTypeCode = "11100000MB0143028R001".parse().unwrap();
    let issuer = credit_code().as_str().parse().unwrap();
    Licence {
        identifier: LicenceId::build(&licence_type, &issuer, serial, 1).unwrap(),
        name: "营业执照".into(),
        licence_type,
        number: "91350100M000100Y43".into(),
        issuer_name: "样例市市场监督管理局".into(),
        issuer,
        issued_on: date(2025, 3, 1),
        holders: vec![Holder {
            name: "样例有限公司".into(),
            id: HolderId::parse(HolderKind::from_code("001").unwrap(), "91350100M000100Y43")
                .unwrap(),
        }],
        valid_from: Some(date(2025, 3, 1)),
        valid_to: Some(date(2025, 6, 15)),
        region: None,
        project: None,
        predecessor: None,
        fields: serde_json::Map::new(),
        files: vec![],
    }
}

fn order(issuer: &SigningIdentity, identifier: &LicenceId, change: StatusChange) -> EvidenceOrder {
    let order = StatusOrder {
        identifier: identifier.clone(),
        change,
        reason: "样例".into(),
        ordered_at: now(),
    };
    let order = order.to_bytes();
    EvidenceOrder { signature: sign_detached(issuer, &order, now()).unwrap(), order }
}

/// One licence under its own signature, without orders.
fn evidence(issuer: &SigningIdentity) -> Evidence {
    let licence = licence("20250301001").to_bytes();
    let signature = sign_detached(issuer, &licence, now()).unwrap();
    Evidence { licence, signature, manifest: None, orders: vec![] }
}

/// The same licence as the second of three in a batch.
fn evidence_of_batch(issuer: &SigningIdentity) -> Evidence {
    let licences =
        ["20250301000", "20250301001", "20250301002"].map(|serial| licence(serial).to_bytes());
    let digests = licences.each_ref().map(|bytes| sha256(bytes));
    let manifest = Manifest::write(&credit_code(), "2025-03-01.1", &digests).unwrap();
    let signature = sign_detached(issuer, &manifest, now()).unwrap();
    let [_, licence, _] = licences;
    Evidence { licence, signature, manifest: Some(manifest), orders: vec![] }
}

fn refused(evidence: &Evidence, trust: &TrustStore) -> (&'static str, Link) {
    let error = evidence.verify(trust, now()).err().expect("must be refused");
    (error.code(), error.link())
}

#[test]
fn evidence_shows_licence_signer_status_and_validity() {
    for suite in SUITES {
        let (root, issuer, mut trust) = issuer(suite);
        let (from, to) = (time("2025-06-01T00:00:00Z"), time("2025-07-01T00:00:00Z"));
        trust.add_crl(&issue_crl(&root, 1, &[], from, to).unwrap()).unwrap();
        for (evidence, position) in
            [(evidence(&issuer), None), (evidence_of_batch(&issuer), Some(1))]
        {
            let read = Evidence::parse(&evidence.to_bytes()).unwrap();
            assert_eq!(read, evidence);
            let verdict = read.verify(&trust, now()).unwrap();
            assert_eq!(verdict.licence.name, "营业执照");
            assert_eq!(verdict.digest, sha256(&evidence.licence));
            assert_eq!(verdict.manifest_position, position);
            assert_eq!(verdict.signature.organisation, Some(credit_code()));
            assert_eq!(verdict.status, LicenceStatus::Valid);
            assert_eq!(verdict.judgement.revocation, Revocation::Good { as_of: from });
            assert_eq!(verdict.validity, Validity::Ok);
        }
        // The last day is the 15th, in Chinese time.
        let evidence = evidence(&issuer);
        let validity = |at: &str| evidence.verify(&trust, time(at)).unwrap().validity;
        assert_eq!(validity("2025-06-15T15:59:59Z"), Validity::Ok);
        assert_eq!(validity("2025-06-15T16:00:00Z"), Validity::Expired);
        assert_eq!(validity("2025-02-28T15:59:59Z"), Validity::NotYet);
    }
}

#[test]
fn signatures_of_gmssls_form_are_evidence_too() {
    let (_, issuer, trust) = issuer(Suite::Sm2Sm3);
    let mut evidence = evidence(&issuer);
    evidence.signature = sign_attached(&issuer, &evidence.licence, now()).unwrap();
    evidence.verify(&trust, now()).unwrap();
}

#[test]
fn status_orders_are_followed_in_turn() {
    let (_, issuer, trust) = issuer(Suite::EcdsaP256Sha256);
    let mut evidence = evidence(&issuer);
    let identifier = licence("20250301001").identifier;
    let cause = RevocationCause::Withdrawn;
    for (change, status) in [
        (StatusChange::Suspend, LicenceStatus::Suspended),
        (StatusChange::Restore, LicenceStatus::Valid),
        (StatusChange::Revoke { cause }, LicenceStatus::Revoked { cause }),
    ] {
        evidence.orders.push(order(&issuer, &identifier, change));
        let read = Evidence::parse(&evidence.to_bytes()).unwrap();
        let verdict = read.verify(&trust, now()).unwrap();
        assert_eq!(verdict.status, status);
        assert_eq!(verdict.orders.len(), evidence.orders.len());
    }
    let mut restored = evidence.clone();
    restored.orders.push(order(&issuer, &identifier, StatusChange::Restore));
    assert_eq!(refused(&restored, &trust), ("order_transition", Link::Format));
    let mut swapped = evidence.clone();
    swapped.orders.swap(0, 1);
    assert_eq!(refused(&swapped, &trust), ("order_transition", Link::Format));

    let other = licence("20250301002").identifier;
    let of_another = Evidence {
        orders: vec![order(&issuer, &other, StatusChange::Suspend)],
        ..evidence.clone()
    };
    assert_eq!(refused(&of_another, &trust), ("order_other_licence", Link::Format));
    let mut exchanged = evidence.clone();
    exchanged.orders[0].signature = exchanged.orders[1].signature.clone();
    assert_eq!(refused(&exchanged, &trust), ("signature_digest_mismatch", Link::Signature));
    let mut damaged = evidence;
    damaged.orders[2].order.push(b' ');
    let error = damaged.verify(&trust, now()).err().unwrap();
    assert!(matches!(error, EvidenceError::Order { position: 2, .. }), "{error}");
}

#[test]
fn only_the_issuer_named_in_the_licence_may_sign_it() {
    let root = root(Suite::Ed25519, "样例根");
    let mut trust = trusting(&root);
    let mut template = template("别的机关", Profile::LicenceIssuer, 9);
    template.organisation = "11370800MB28559184".parse::<CreditCode>().unwrap();
    let stranger = below(&root, Suite::Ed25519, &template);
    let (certificate, key) =
        issue_from(&root, Suite::Ed25519, &support::template("签发", Profile::LicenceIssuer, 8));
    let issuer = SigningIdentity::new(vec![certificate], Box::new(key)).unwrap();
    assert_eq!(refused(&evidence(&stranger), &trust), ("signer_not_issuer", Link::Usage));
    assert_eq!(refused(&evidence_of_batch(&stranger), &trust), ("signer_not_issuer", Link::Usage));
    // A manifest that names somebody else than the licences in it.
    let mut batch = evidence_of_batch(&issuer);
    let digest = [sha256(&batch.licence)];
    let manifest = Manifest::write(&template.organisation, "1", &digest).unwrap();
    batch.signature = sign_detached(&issuer, &manifest, now()).unwrap();
    batch.manifest = Some(manifest);
    assert_eq!(refused(&batch, &trust), ("signer_not_issuer", Link::Usage));

    let mut evidence = evidence(&issuer);
    let identifier = licence("20250301001").identifier;
    evidence.orders.push(order(&stranger, &identifier, StatusChange::Suspend));
    assert_eq!(refused(&evidence, &trust), ("signer_not_issuer", Link::Usage));
    evidence.orders.clear();
    trust.remove_anchor(Usage::IssuingLicences, &root.certificate().sha256());
    assert_eq!(refused(&evidence, &trust), ("certificate_unknown_issuer", Link::Chain));
}

#[test]
fn every_part_of_an_evidence_file_counts() {
    let (_, issuer, trust) = issuer(Suite::EcdsaP256Sha256);
    let mut evidence = evidence_of_batch(&issuer);
    let identifier = licence("20250301001").identifier;
    evidence.orders.push(order(&issuer, &identifier, StatusChange::Suspend));
    evidence.verify(&trust, now()).unwrap();
    let parts: [fn(&mut Evidence) -> &mut Vec<u8>; 5] = [
        |evidence| &mut evidence.licence,
        |evidence| &mut evidence.signature,
        |evidence| evidence.manifest.as_mut().unwrap(),
        |evidence| &mut evidence.orders[0].order,
        |evidence| &mut evidence.orders[0].signature,
    ];
    for part in parts {
        for at in 0..part(&mut evidence).len() {
            let mut changed = evidence.clone();
            part(&mut changed)[at] ^= 1;
            assert!(changed.verify(&trust, now()).is_err(), "byte {at}");
        }
    }
    let mut without = evidence.clone();
    without.manifest = None;
    assert_eq!(refused(&without, &trust), ("signature_digest_mismatch", Link::Signature));
    let mut unsigned = evidence.clone();
    unsigned.signature.clear();
    assert_eq!(refused(&unsigned, &trust), ("evidence_unsigned", Link::Signature));
    let mut absent = evidence;
    absent.licence = licence("20250301009").to_bytes();
    assert_eq!(refused(&absent, &trust), ("not_in_manifest", Link::Signature));
}

#[test]
fn evidence_files_that_are_not_of_the_format() {
    let (_, issuer, _) = issuer(Suite::EcdsaP256Sha256);
    let good = String::from_utf8(evidence(&issuer).to_bytes()).unwrap();
    let (start, _) = good.split_once(",\"orders\"").unwrap();
    let deep = format!("{start},\"orders\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let many = format!(
        "{start},\"orders\":[{}]}}",
        vec!["{\"order\":\"\",\"signature\":\"\"}"; 101].join(",")
    );
    for bad in [
        "".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        deep,
        many,
        good.replace("yihao-evidence-1", "yihao-evidence-2"),
        good.replacen('{', "{\"extra\":1,", 1),
        good.replacen('{', "{\"licence\":\"\",", 1),
        good.replace("\"licence\":\"", "\"licence\":\"*"),
        good.replace("\"licence\":\"", "\"licence\":\"A"),
        format!("{good}x"),
        good[..good.len() / 2].to_owned(),
        "\0".to_owned(),
    ] {
        let error = Evidence::parse(bad.as_bytes()).err().unwrap();
        assert_eq!((error.code(), error.link()), ("evidence_malformed", Link::Format));
    }
    assert!(Evidence::parse(&[0xFF, 0xFE]).is_err());
    assert!(Evidence::parse(&vec![b' '; 17 * 1024 * 1024]).is_err());
}

fn digest(number: u32) -> Sha256Digest {
    sha256(&number.to_be_bytes())
}

#[test]
fn a_manifest_has_one_spelling() {
    let digests = [digest(0), digest(1)];
    let bytes = Manifest::write(&credit_code(), "2025-11-24.001", &digests).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(
        text,
        format!(
            "yihao-manifest-1\nissuer 91350100M000100Y43\nbatch 2025-11-24.001\nalgorithm sha256\n\
             count 2\n{}\n{}\n",
            digest(0),
            digest(1)
        )
    );
    let manifest = Manifest::parse(&bytes).unwrap();
    assert_eq!(manifest.issuer(), &credit_code());
    assert_eq!(manifest.batch(), "2025-11-24.001");
    assert_eq!(manifest.digests(), digests);
    assert_eq!(manifest.position(&digest(1)), Some(1));
    assert_eq!(manifest.position(&digest(2)), None);

    let line = |line| Err(ManifestError::Line { line });
    let count = |stated, listed| Err(ManifestError::Count { stated, listed });
    for (bad, error) in [
        (String::new(), line(1)),
        (text.replace("manifest-1", "manifest-2"), line(1)),
        (text.replace('\n', "\r\n"), line(1)),
        (text.replace("91350100M000100Y43", "91350100M000100Y44"), line(2)),
        (text.replace("issuer ", "issuer  "), line(2)),
        (text.replace("batch 2025", "batch 20 25"), Err(ManifestError::Batch)),
        (text.replace("batch 2025-11-24.001", "batch "), Err(ManifestError::Batch)),
        (
            text.replace("batch 2025", &format!("batch {}", "9".repeat(60))),
            Err(ManifestError::Batch),
        ),
        (text.replace("sha256", "sm3"), line(4)),
        (text.replace("count 2", "count 02"), line(5)),
        (text.replace("count 2", "count +2"), line(5)),
        (text.replace("count 2", "count 2 "), line(5)),
        (text.replace("count 2", "count -1"), line(5)),
        (text.replace("count 2", "count 99999999999999999999"), line(5)),
        (text.replace("count 2", "count 100001"), Err(ManifestError::TooMany)),
        (text.replace("count 2", "count 3"), count(3, 2)),
        (text.replace("count 2", "count 1"), count(1, 2)),
        (format!("{text}{}\n", digest(2)), count(2, 3)),
        (text.trim_end().to_owned(), count(2, 1)),
        (format!("{text}x"), line(8)),
        (text.replace(&digest(1).to_string(), &digest(1).to_string().to_uppercase()), line(7)),
        (
            text.replace(&digest(1).to_string(), &digest(0).to_string()),
            Err(ManifestError::Duplicate { first: 6, second: 7 }),
        ),
    ] {
        assert_eq!(Manifest::parse(bad.as_bytes()).map(drop), error, "{bad:?}");
    }
    assert_eq!(Manifest::write(&credit_code(), "", &digests), Err(ManifestError::Batch));
    assert_eq!(Manifest::write(&credit_code(), "批", &digests), Err(ManifestError::Batch));
    assert_eq!(Manifest::write(&credit_code(), "1", &[]), Err(ManifestError::Empty));
    let twice = [digest(0), digest(1), digest(0)];
    let error = Err(ManifestError::Duplicate { first: 6, second: 8 });
    assert_eq!(Manifest::write(&credit_code(), "1", &twice), error);
}

#[test]
fn a_manifest_of_the_largest_size() {
    let most = u32::try_from(MAX_MANIFEST_LICENCES).unwrap();
    let mut digests: Vec<_> = (0..most).map(digest).collect();
    let bytes = Manifest::write(&credit_code(), "all", &digests).unwrap();
    let manifest = Manifest::parse(&bytes).unwrap();
    assert_eq!(manifest.position(&digest(most - 1)), Some(most - 1));
    digests.push(digest(most));
    assert_eq!(Manifest::write(&credit_code(), "all", &digests), Err(ManifestError::TooMany));
}
