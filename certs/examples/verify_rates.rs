//! Prints how many signatures a second one core verifies, container and path included, beside the bare
//! primitive: `cargo run -p certs --example verify_rates`.

use std::time::{Duration, Instant};

use certs::{
    CertIssuer, CertificateTemplate, KeySigner, Profile, Signer, SigningIdentity, Suite,
    TrustStore, Usage, Verifier, issue_certificate, issue_crl, sign_detached, verify_detached,
};
use jiff::Timestamp;
use ring::rand::SystemRandom;

fn main() {
    let content: String = "样例".chars().cycle().take(500).collect();
    println!("{:>16} {:>9} {:>9} {:>6} {:>9}", "suite", "bare/s", "ours/s", "ratio", "first/s");
    for suite in [Suite::EcdsaP256Sha256, Suite::Ed25519, Suite::Sm2Sm3] {
        let at: Timestamp = "2025-06-15T08:00:00Z".parse().expect("a fixed time");
        let root = certified(suite, "root", Profile::Ca, None);
        let issuer = certified(suite, "issuer", Profile::LicenceIssuer, Some(&root));
        let list = issue_crl(&root, 1, &[], at, at + Duration::from_secs(86400));
        let trusting = || {
            let mut trust = TrustStore::new();
            trust.add_anchor(Usage::IssuingLicences, root.certificate().clone());
            trust.add_crl(list.as_ref().expect("a list")).expect("its issuer is known");
            trust
        };
        let trust = trusting();
        let cms = sign_detached(&issuer, content.as_bytes(), at).expect("a signature");
        let value = issuer.signer().sign(content.as_bytes()).expect("a signature");
        let key = issuer.certificate().public_key().expect("a supported key");
        let bare = rate(|| key.verify(content.as_bytes(), &value).is_ok());
        let ours = rate(|| verify_detached(&cms, content.as_bytes(), &trust, at).is_ok());
        let first = rate(|| verify_detached(&cms, content.as_bytes(), &trusting(), at).is_ok());
        let suite = format!("{suite:?}");
        println!("{suite:>16} {bare:>9.0} {ours:>9.0} {:>6.2} {first:>9.0}", ours / bare);
    }
}

fn rate(mut verify: impl FnMut() -> bool) -> f64 {
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let (start, mut count) = (Instant::now(), 0.0);
        while start.elapsed() < Duration::from_millis(400) {
            assert!(verify());
            count += 1.0;
        }
        best = best.max(count / start.elapsed().as_secs_f64());
    }
    best
}

fn certified(
    suite: Suite,
    name: &str,
    profile: Profile,
    authority: Option<&SigningIdentity>,
) -> SigningIdentity {
    let key = KeySigner::generate(suite, &SystemRandom::new()).expect("a key");
    let template = CertificateTemplate {
        subject_common_name: name.into(),
        organisation_name: "样例市市场监督管理局".into(),
        organisation: "91350100M000100Y43".parse().expect("a credit code"),
        serial: vec![1],
        not_before: "2025-01-01T00:00:00Z".parse().expect("a fixed time"),
        not_after: "2026-01-01T00:00:00Z".parse().expect("a fixed time"),
        profile,
    };
    let issuer = authority.map_or(CertIssuer::SelfSigned(&key), CertIssuer::Authority);
    let certificate = issue_certificate(&template, &key.spki(), issuer).expect("a certificate");
    SigningIdentity::new(vec![certificate], Box::new(key)).expect("its key")
}
