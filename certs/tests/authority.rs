//! Keys, and what the small authority refuses to issue.

mod support;

use certs::{
    AuthorityError, CertIssuer, Certificate, CertificateError, KeySigner, Profile, PublicKey,
    SignError, Signer, SigningIdentity, Suite, Verifier, issue_certificate, issue_crl,
};
use ring::rand::SystemRandom;
use support::*;

#[test]
fn keys_survive_pem_and_sign_for_their_public_key() {
    for suite in SUITES {
        let key = key(suite);
        let again = KeySigner::from_pkcs8_pem(key.to_pkcs8_pem().as_bytes()).unwrap();
        assert_eq!(again.suite(), suite);
        assert_eq!(again.spki(), key.spki());
        let public = PublicKey::from_spki(&key.spki()).unwrap();
        assert_eq!(public.suite(), suite);
        let signature = again.sign(b"message").unwrap();
        public.verify(b"message", &signature).unwrap();
        public.verify(b"massage", &signature).unwrap_err();
        public.verify(b"message", &signature[1..]).unwrap_err();
        public.verify(b"message", b"").unwrap_err();
        let other = PublicKey::from_spki(&support::key(suite).spki()).unwrap();
        other.verify(b"message", &signature).unwrap_err();
        let text = format!("{key:?} {public:?}");
        assert!(!text.contains('['), "no key bytes in {text}");
        assert_eq!(key.sign_sm2_digest(&[7; 32]).is_ok(), suite == Suite::Sm2Sm3);
    }
}

#[test]
fn keys_that_cannot_be_used() {
    let rsa = KeySigner::generate(Suite::RsaPkcs1Sha256, &SystemRandom::new());
    assert_eq!(rsa.err(), Some(SignError::UnsupportedKey));
    for (pem, error) in [
        ("", SignError::NoKey),
        ("-----BEGIN PRIVATE KEY-----\n%\n-----END PRIVATE KEY-----\n", SignError::NoKey),
        ("-----BEGIN PRIVATE KEY-----\n", SignError::NoKey),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            SignError::Encrypted,
        ),
        (
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            SignError::UnsupportedKey,
        ),
    ] {
        assert_eq!(KeySigner::from_pkcs8_pem(pem.as_bytes()).err(), Some(error));
    }
    for suite in SUITES {
        let pem = key(suite).to_pkcs8_pem();
        let (_, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
        for at in 0..der.len() {
            // Some flips give another valid key, none may panic.
            let mut changed = der.clone();
            changed[at] ^= 1;
            let pem = der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, &changed);
            let _ = KeySigner::from_pkcs8_pem(pem.unwrap().as_bytes());
        }
    }
    let mut spki = key(Suite::EcdsaP256Sha256).spki();
    assert_eq!(PublicKey::from_spki(&spki[1..]).err(), Some(CertificateError::Malformed));
    let point = spki.len() - 65;
    spki[point] = 2;
    assert_eq!(PublicKey::from_spki(&spki).err(), Some(CertificateError::UnsupportedKey));
    let mut spki = key(Suite::Sm2Sm3).spki();
    *spki.last_mut().unwrap() ^= 1;
    let off_the_curve = PublicKey::from_spki(&spki).err();
    assert_eq!(off_the_curve, Some(CertificateError::UnsupportedKey));
}

#[test]
fn an_identity_needs_the_key_of_its_certificate() {
    for suite in SUITES {
        let (root, issuer, _) = issuer(suite);
        let chain = || issuer.chain().to_vec();
        let other = SigningIdentity::new(chain(), Box::new(key(suite)));
        assert_eq!(other.err(), Some(SignError::KeyMismatch));
        let kind = if suite == Suite::Ed25519 { Suite::Sm2Sm3 } else { Suite::Ed25519 };
        let other = SigningIdentity::new(chain(), Box::new(key(kind)));
        assert_eq!(other.err(), Some(SignError::KeyMismatch));
        let none = SigningIdentity::new(vec![], Box::new(key(suite)));
        assert_eq!(none.err(), Some(SignError::ChainLength));
        let many = SigningIdentity::new(vec![root.certificate().clone(); 7], Box::new(key(suite)));
        assert_eq!(many.err(), Some(SignError::ChainLength));
    }
    let missing = SigningIdentity::from_pem(b"", key(Suite::Ed25519).to_pkcs8_pem().as_bytes());
    assert_eq!(missing.err(), Some(SignError::Certificate(CertificateError::Empty)));
}

#[test]
fn certificates_say_what_was_asked_for() {
    for suite in SUITES {
        let root = root(suite, "样例根");
        let mut template = template("签发", Profile::LicenceIssuer, 0x00AB_CDEF);
        template.not_after = time("2055-06-01T12:00:00Z");
        let (certificate, key) = issue_from(&root, suite, &template);
        assert_eq!(certificate.serial_hex(), "abcdef");
        assert_eq!(certificate.not_before(), template.not_before);
        assert_eq!(certificate.not_after(), template.not_after);
        assert_eq!(certificate.organisation(), Some(credit_code()));
        assert_eq!(certificate.organisation_name().unwrap(), "样例市市场监督管理局");
        assert!(certificate.subject_text().contains("签发"), "{}", certificate.subject_text());
        assert_eq!(certificate.issuer_text(), root.certificate().subject_text());
        assert_eq!(certificate.spki(), key.spki());
        let pem = format!("a comment\n{}{}", certificate.to_pem(), root.certificate().to_pem());
        let both = [certificate.clone(), root.certificate().clone()];
        assert_eq!(Certificate::many_from_pem(pem.as_bytes()).unwrap(), both);
        assert_eq!(Certificate::from_pem(pem.as_bytes()).unwrap(), certificate);
        let windows = pem.replace('\n', "\r\n");
        assert_eq!(Certificate::from_pem(windows.as_bytes()).unwrap(), certificate);
        // A second reader, stricter than ours.
        let (_, read) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
        assert_eq!(read.version(), x509_parser::x509::X509Version::V3);
        <x509_cert::Certificate as der::Decode>::from_der(certificate.der()).unwrap();
    }
}

#[test]
fn certificates_that_cannot_be_read() {
    let (_, issuer, _) = issuer(Suite::EcdsaP256Sha256);
    let der = issuer.certificate().der();
    let trailing = [der, &[0]].concat();
    assert_eq!(Certificate::from_der(&trailing).err(), Some(CertificateError::Malformed));
    assert_eq!(Certificate::from_der(&der[1..]).err(), Some(CertificateError::Malformed));
    let large = vec![0x30; 16 * 1024 + 1];
    let error = Some(CertificateError::TooLarge { bytes: large.len() });
    assert_eq!(Certificate::from_der(&large).err(), error);
    assert_eq!(Certificate::from_pem(b"").err(), Some(CertificateError::Empty));
    assert_eq!(Certificate::from_pem(&[0xFF]).err(), Some(CertificateError::Pem));
    let cut = &issuer.certificate().to_pem().into_bytes()[..100];
    assert_eq!(Certificate::from_pem(cut).err(), Some(CertificateError::Pem));
}

#[test]
fn what_cannot_stand_in_a_certificate_is_refused() {
    let root = root(Suite::Ed25519, "样例根");
    let spki = key(Suite::Ed25519).spki();
    let refused = |change: &dyn Fn(&mut certs::CertificateTemplate)| {
        let mut template = template("样例", Profile::LicenceIssuer, 5);
        change(&mut template);
        issue_certificate(&template, &spki, CertIssuer::Authority(&root)).err()
    };
    for serial in [vec![], vec![0], vec![0, 0], vec![1; 21], vec![0x80; 20]] {
        let error = refused(&|template| template.serial = serial.clone());
        assert_eq!(error, Some(AuthorityError::Serial), "{serial:?}");
    }
    assert_eq!(refused(&|template| template.serial = vec![0x7F; 20]), None);
    for name in [String::new(), "名".repeat(65)] {
        let error = refused(&|template| template.subject_common_name = name.clone());
        assert_eq!(error, Some(AuthorityError::Name));
    }
    for host in ["", "例.example", "a b", &"a".repeat(254)] {
        let server = Profile::Server { dns: vec![host.to_owned()], ips: vec![] };
        let error = refused(&|template| template.profile = server.clone());
        assert_eq!(error, Some(AuthorityError::Name), "{host:?}");
    }
    let error = refused(&|template| template.not_before = time("2027-01-01T00:00:00Z"));
    assert_eq!(error, Some(AuthorityError::Validity));
    let error = refused(&|template| template.not_before = time("1969-12-31T23:59:59Z"));
    assert_eq!(error, Some(AuthorityError::Validity));
    let template = template("样例", Profile::LicenceIssuer, 5);
    let error = issue_certificate(&template, b"no key", CertIssuer::Authority(&root)).err();
    assert_eq!(error, Some(AuthorityError::Key(CertificateError::Malformed)));

    let (from, to) = (time("2025-06-01T00:00:00Z"), time("2025-07-01T00:00:00Z"));
    assert_eq!(issue_crl(&root, 1, &[], to, from), Err(AuthorityError::Validity));
    assert_eq!(issue_crl(&root, 1, &[(vec![], from)], from, to), Err(AuthorityError::Serial));
}
