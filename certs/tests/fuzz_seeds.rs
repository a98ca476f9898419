//! What the fuzzer starts from (`fuzz/seeds`, made by `certs/examples/fuzz_seeds.rs`): small, and good, so that
//! it gets behind the first checks.

use std::fs;
use std::path::{Path, PathBuf};

use certs::timestamp::{self, read_answer};
use certs::{
    Certificate, Evidence, FileVerdict, KeySigner, Manifest, Outcome, Times, TrustStore, Usage,
    check_cms, check_ocsp, ofd, pdf,
};
use jiff::Timestamp;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn seed(name: &str) -> Vec<u8> {
    read(&format!("seeds/{name}"))
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn certificate(name: &str) -> Certificate {
    Certificate::from_pem(&read(&format!("authority/{name}.pem"))).unwrap()
}

/// As the targets trust, at the time they judge.
fn trust() -> (TrustStore, Times) {
    let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
    let mut trust = TrustStore::new();
    for usage in [Usage::IssuingLicences, Usage::IssuingClients, Usage::TimeStamping] {
        trust.add_anchor(usage, certificate("ca"));
    }
    trust.add_crl(&seed("crl/empty")).unwrap();
    (trust, Times::now(now))
}

#[test]
fn every_target_starts_from_a_few_small_files() {
    let mut total = 0;
    for target in fs::read_dir(folder().join("src/bin")).unwrap() {
        let name = target.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let seeds = fs::read_dir(folder().join("seeds").join(&name));
        let seeds = seeds.unwrap_or_else(|error| panic!("{name}: {error}"));
        let sizes: Vec<u64> = seeds.map(|seed| seed.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.len() >= 3, "{name} starts from {} files", sizes.len());
        total += sizes.iter().sum::<u64>();
    }
    assert!(total < 2 << 20, "{total} bytes");
}

#[test]
fn the_seeds_hold() {
    let (mut trust, times) = trust();
    let content = read("authority/content.json");
    let holds = |name: &str, verdict: FileVerdict| {
        assert_eq!(verdict.outcome(), Outcome::Trusted, "{name}: {verdict:?}");
    };
    for name in ["detached", "stamped", "attached", "rsa", "pss", "p384", "two", "key-id"] {
        holds(name, check_cms(&seed(&format!("cms/{name}")), Some(&content), &trust, &times));
    }
    for name in ["v1", "v4", "v5", "twice"] {
        holds(name, ofd::check(&seed(&format!("ofd/{name}.ofd")), &trust, &times));
    }
    for name in ["good-p256", "good-rsa", "good-stamped", "good-twice-packed", "good-archived"] {
        holds(name, pdf::check(&seed(&format!("pdf/{name}")), &trust, &times));
    }
    for name in ["answer", "sm3"] {
        let token = read_answer(&seed(&format!("timestamp/{name}"))).unwrap();
        timestamp::verify(&token, &content, &trust, &times).unwrap();
    }
    for name in ["one", "of-batch"] {
        let evidence = Evidence::parse(&seed(&format!("evidence/{name}"))).unwrap();
        evidence.verify(&trust, times.now).unwrap();
    }
    for name in ["one", "three"] {
        Manifest::parse(&seed(&format!("manifest/{name}"))).unwrap();
    }
    for name in ["p256", "p384", "ed25519", "sm2", "rsa"] {
        KeySigner::from_pkcs8_pem(&seed(&format!("key/{name}"))).unwrap();
    }
    for name in ["pbkdf2", "scrypt"] {
        KeySigner::from_encrypted_pkcs8_pem(&seed(&format!("key/{name}")), b"passphrase").unwrap();
    }
    for name in ["good", "by-ca", "revoked"] {
        let answer = seed(&format!("ocsp/{name}"));
        check_ocsp(&answer, &certificate("issuer"), &certificate("ca"), times.now).unwrap();
    }
    for name in ["issuer", "p384", "rsa", "ed25519"] {
        let certificate = Certificate::from_der(&seed(&format!("certificate/{name}"))).unwrap();
        trust.verify_chain(&certificate, &[], Usage::IssuingLicences, times.now).unwrap();
    }
    for name in ["three", "partial"] {
        trust.add_crl(&seed(&format!("crl/{name}"))).unwrap();
    }
}
