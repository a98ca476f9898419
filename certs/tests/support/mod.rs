//! A small public key infrastructure for the tests: authorities, issuers and clients of every suite.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod office;

use certs::{
    CertIssuer, Certificate, CertificateTemplate, KeySigner, Profile, Signer, SigningIdentity,
    Suite, TrustStore, Usage, issue_certificate,
};
use jiff::Timestamp;
use licence::CreditCode;
use ring::rand::SystemRandom;

pub const SUITES: [Suite; 3] = [Suite::EcdsaP256Sha256, Suite::Ed25519, Suite::Sm2Sm3];

/// A licence-like document, in Chinese, without a line end.
pub const CONTENT: &[u8] = "{\"format\":\"yihao-licence-1\",\"ZZMC\":\"营业执照\"}".as_bytes();

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A moment at which everything made here is valid.
pub fn now() -> Timestamp {
    time("2025-06-15T08:00:00Z")
}

pub fn credit_code() -> CreditCode {
    "91350100M000100Y43".parse().unwrap()
}

pub fn template(name: &str, profile: Profile, serial: u64) -> CertificateTemplate {
    CertificateTemplate {
        subject_common_name: name.to_owned(),
        organisation_name: "样例市市场监督管理局".to_owned(),
        organisation: credit_code(),
        serial: serial.to_be_bytes().to_vec(),
        not_before: time("2025-01-01T00:00:00Z"),
        not_after: time("2026-01-01T00:00:00Z"),
        profile,
    }
}

pub fn key(suite: Suite) -> KeySigner {
    KeySigner::generate(suite, &SystemRandom::new()).unwrap()
}

pub fn root(suite: Suite, name: &str) -> SigningIdentity {
    let signer = key(suite);
    let template = template(name, Profile::Ca, 1);
    let certificate =
        issue_certificate(&template, &signer.spki(), CertIssuer::SelfSigned(&signer)).unwrap();
    SigningIdentity::new(vec![certificate], Box::new(signer)).unwrap()
}

pub fn issue_from(
    authority: &SigningIdentity,
    suite: Suite,
    template: &CertificateTemplate,
) -> (Certificate, KeySigner) {
    let signer = key(suite);
    let issuer = CertIssuer::Authority(authority);
    (issue_certificate(template, &signer.spki(), issuer).unwrap(), signer)
}

/// An identity below `authority`; its chain is its own certificate and the authority's without the root.
pub fn below(
    authority: &SigningIdentity,
    suite: Suite,
    template: &CertificateTemplate,
) -> SigningIdentity {
    let (certificate, signer) = issue_from(authority, suite, template);
    let above = authority.chain().iter();
    let above = above.filter(|certificate| certificate.issuer_text() != certificate.subject_text());
    let chain = std::iter::once(certificate).chain(above.cloned()).collect();
    SigningIdentity::new(chain, Box::new(signer)).unwrap()
}

pub fn trusting(root: &SigningIdentity) -> TrustStore {
    let mut trust = TrustStore::new();
    trust.add_anchor(Usage::IssuingLicences, root.certificate().clone());
    trust.add_anchor(Usage::IssuingClients, root.certificate().clone());
    trust
}

/// Root, issuer and a store that trusts the root, all of one suite.
pub fn issuer(suite: Suite) -> (SigningIdentity, SigningIdentity, TrustStore) {
    let root = root(suite, "样例根");
    let issuer = below(&root, suite, &template("样例签发", Profile::LicenceIssuer, 2));
    let trust = trusting(&root);
    (root, issuer, trust)
}

/// `count` CAs of which each certified each other one.
pub fn cross_certified(count: u64) -> (Vec<SigningIdentity>, Vec<Certificate>) {
    let suite = Suite::Ed25519;
    let name = |number: u64| format!("互签{number}");
    let keys: Vec<_> = (0..count).map(|_| key(suite)).collect();
    let authorities: Vec<_> = (0..count)
        .zip(keys)
        .map(|(number, key)| {
            let template = template(&name(number), Profile::Ca, 1);
            let issuer = CertIssuer::SelfSigned(&key);
            let certificate = issue_certificate(&template, &key.spki(), issuer).unwrap();
            SigningIdentity::new(vec![certificate], Box::new(key)).unwrap()
        })
        .collect();
    let mut certificates = vec![];
    for (number, of) in (0..).zip(&authorities) {
        for (other, by) in (0..).zip(&authorities) {
            if number != other {
                let template = template(&name(number), Profile::Ca, 10 + other);
                let issuer = CertIssuer::Authority(by);
                let spki = of.certificate().spki();
                certificates.push(issue_certificate(&template, spki, issuer).unwrap());
            }
        }
    }
    (authorities, certificates)
}

/// Runs a program in `folder`; its output. `Err` with standard error if it fails.
pub fn run(folder: &std::path::Path, line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    let output = std::process::Command::new(program)
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "the program `{program}` is needed ({error}): ./dev test installs it and runs this"
            )
        });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{line}: {}{}", text(&output.stdout), text(&output.stderr)))
    }
}
