//! No bytes from outside make a parser panic: random bytes, and good ones damaged at random.

mod support;

use std::sync::LazyLock;

use certs::{
    Certificate, Evidence, KeySigner, Manifest, PublicKey, Suite, TrustStore, Usage, check_ocsp,
    check_signature, cms_from_pem, issue_crl, ocsp, sha256, sign_attached, sign_detached,
    verify_detached,
};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use support::office::Office;
use support::*;

/// One good sample of everything that is parsed.
static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut samples = vec![Manifest::write(&credit_code(), "1", &[sha256(b"")]).unwrap()];
    for suite in SUITES {
        let (root, issuer, _) = issuer(suite);
        let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
        let next = time("2026-01-01T00:00:00Z");
        samples.extend([
            issuer.certificate().der().to_vec(),
            issuer.certificate().to_pem().into_bytes(),
            issuer.certificate().spki().to_vec(),
            sign_attached(&issuer, CONTENT, now()).unwrap(),
            certs::cms_to_pem(&cms).into_bytes(),
            issue_crl(&root, 1, &[(vec![2], now())], now(), next).unwrap(),
            key(suite).to_pkcs8_pem().into_bytes(),
            Evidence {
                licence: CONTENT.to_vec(),
                signature: cms.clone(),
                manifest: Some(vec![]),
                orders: vec![],
            }
            .to_bytes(),
            cms,
        ]);
    }
    samples.push(ANSWER.0.clone());
    samples
});

static ROOT: LazyLock<Certificate> = LazyLock::new(|| {
    let (root, _, _) = issuer(Suite::EcdsaP256Sha256);
    root.certificate().clone()
});

/// An answer of `openssl ocsp` with a nonce, and who issued the certificate that it is about.
static ANSWER: LazyLock<(Vec<u8>, Certificate)> = LazyLock::new(|| {
    let office = Office::new();
    let (issuer, ca) = (office.certificate("issuer"), office.certificate("ca"));
    office.put("request", ocsp::request(&issuer, &ca, Some(&[7; 32])));
    (office.respond("responder", "-reqin request -ndays 3"), ca)
});

/// Hands `bytes` to everything that parses.
fn parse(bytes: &[u8]) {
    let mut trust = TrustStore::new();
    trust.add_anchor(Usage::IssuingLicences, ROOT.clone());
    trust.add_anchor(Usage::IssuingClients, ROOT.clone());
    let _ = verify_detached(bytes, CONTENT, &trust, now());
    let _ = check_signature(bytes, bytes);
    let _ = cms_from_pem(bytes);
    if let Ok(certificate) = Certificate::from_der(bytes) {
        let _ = trust.verify_chain(&certificate, &[], Usage::IssuingLicences, now());
        let _ = trust.verify_chain(&certificate, &[], Usage::IssuingClients, now());
    }
    let _ = Certificate::many_from_pem(bytes);
    let _ = PublicKey::from_spki(bytes);
    let _ = KeySigner::from_pkcs8_pem(bytes);
    let _ = Manifest::parse(bytes);
    if let Ok(evidence) = Evidence::parse(bytes) {
        let _ = evidence.verify(&trust, now());
    }
    let _ = trust.add_crl(bytes);
    let (_, ca) = &*ANSWER;
    trust.add_anchor(Usage::IssuingLicences, ca.clone());
    let _ = trust.add_ocsp(bytes, Timestamp::now());
    let _ = check_ocsp(bytes, ca, ca, Timestamp::now());
    let _ = ocsp::check_nonce(bytes, &[7; 32]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..600)) {
        parse(&bytes);
    }

    #[test]
    fn damaged_samples_do_not_panic(
        sample in any::<Index>(),
        changes in vec((any::<Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<Index>()),
        copied in proptest::option::of((any::<Index>(), any::<Index>(), any::<Index>())),
    ) {
        let mut bytes = sample.get(&SAMPLES).clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some((from, length, to)) = copied {
            let from = from.index(bytes.len());
            let part = bytes[from..from + length.index(bytes.len() - from)].to_vec();
            let to = to.index(bytes.len());
            bytes.splice(to..to, part);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        parse(&bytes);
    }
}
