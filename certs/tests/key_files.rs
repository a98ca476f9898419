//! Key files under a passphrase, and requests for certificates: with `openssl` on the other side.

mod support;

use certs::{
    KeySigner, PublicKey, PublicParts, SignError, Signer, SigningIdentity, Suite, Verifier,
    certificate_request, ecdsa_der, spki_of,
};
use ring::rand::SystemRandom;
use support::{SUITES as OF_CHAINS, credit_code, issuer, key, run};

/// What keys are made for.
const SUITES: [Suite; 4] = [OF_CHAINS[0], OF_CHAINS[1], OF_CHAINS[2], Suite::EcdsaP384Sha384];

const PASSPHRASE: &[u8] = b"correct horse battery staple";

#[test]
fn a_key_under_a_passphrase_opens_with_it_and_with_no_other() {
    for suite in SUITES {
        let key = key(suite);
        let sealed = key.to_encrypted_pkcs8_pem(PASSPHRASE, &SystemRandom::new()).unwrap();
        let again = KeySigner::from_encrypted_pkcs8_pem(sealed.as_bytes(), PASSPHRASE).unwrap();
        assert_eq!((again.suite(), again.spki()), (suite, key.spki()));

        let other = KeySigner::from_encrypted_pkcs8_pem(sealed.as_bytes(), b"correct horse");
        assert_eq!(other.err(), Some(SignError::Passphrase));
        let without = KeySigner::from_pkcs8_pem(sealed.as_bytes());
        assert_eq!(without.err(), Some(SignError::Encrypted));
        let open = key.to_pkcs8_pem();
        let open = KeySigner::from_encrypted_pkcs8_pem(open.as_bytes(), PASSPHRASE);
        assert_eq!(open.err(), Some(SignError::NoKey));
    }
    let empty = key(Suite::Ed25519).to_encrypted_pkcs8_pem(b"", &SystemRandom::new());
    assert_eq!(empty.err(), Some(SignError::Passphrase));
}

#[test]
fn an_identity_asks_for_the_passphrase_only_where_there_is_one() {
    let (_, issuer, _) = issuer(Suite::EcdsaP256Sha256);
    let chain = issuer.certificate().to_pem();
    let other = key(Suite::EcdsaP256Sha256);
    let sealed = other.to_encrypted_pkcs8_pem(PASSPHRASE, &SystemRandom::new()).unwrap();
    let read = |key: &str, passphrase| {
        SigningIdentity::from_pem_with(chain.as_bytes(), key.as_bytes(), passphrase).err()
    };
    assert_eq!(read(&sealed, None), Some(SignError::Encrypted));
    assert_eq!(read(&sealed, Some(b"wrong")), Some(SignError::Passphrase));
    assert_eq!(read(&sealed, Some(PASSPHRASE)), Some(SignError::KeyMismatch));
    assert_eq!(read(&other.to_pkcs8_pem(), Some(b"unused")), Some(SignError::KeyMismatch));
}

#[test]
fn openssl_opens_our_encrypted_keys() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pass"), PASSPHRASE).unwrap();
    for suite in SUITES {
        let key = key(suite);
        let sealed = key.to_encrypted_pkcs8_pem(PASSPHRASE, &SystemRandom::new()).unwrap();
        std::fs::write(folder.path().join("key"), sealed).unwrap();
        let spki = run(folder.path(), "openssl pkey -in key -passin file:pass -pubout").unwrap();
        let (_, spki) = der::pem::decode_vec(spki.as_bytes()).unwrap();
        if suite == Suite::Sm2Sm3 {
            // OpenSSL 3.0 writes the key's algorithm as `sm2`, not as `id-ecPublicKey`.
            assert!(spki.ends_with(&key.spki()[27..]));
        } else {
            assert_eq!(spki, key.spki());
        }
    }
}

#[test]
fn we_open_what_openssl_encrypts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pass"), PASSPHRASE).unwrap();
    for (suite, generate) in [
        (Suite::EcdsaP256Sha256, "EC -pkeyopt ec_paramgen_curve:P-256"),
        (Suite::EcdsaP384Sha384, "EC -pkeyopt ec_paramgen_curve:P-384"),
        (Suite::Ed25519, "ED25519"),
        (Suite::RsaPkcs1Sha256, "RSA -pkeyopt rsa_keygen_bits:2048"),
    ] {
        run(folder.path(), &format!("openssl genpkey -algorithm {generate} -out plain")).unwrap();
        let plain = std::fs::read(folder.path().join("plain")).unwrap();
        let plain = KeySigner::from_pkcs8_pem(&plain).unwrap();
        for scheme in [
            "-v2 aes256",
            "-v2 aes128 -v2prf hmacWithSHA512",
            "-v2 aes192 -v2prf hmacWithSHA256 -iter 100000",
            "-scrypt",
            "-scrypt -scrypt_N 32768 -scrypt_r 4 -scrypt_p 2",
        ] {
            let seal =
                format!("openssl pkcs8 -topk8 -in plain -out key -passout file:pass {scheme}");
            run(folder.path(), &seal).unwrap();
            let sealed = std::fs::read(folder.path().join("key")).unwrap();
            let key = KeySigner::from_encrypted_pkcs8_pem(&sealed, PASSPHRASE)
                .unwrap_or_else(|error| panic!("{suite:?} {scheme}: {error}"));
            assert_eq!((key.suite(), key.spki()), (suite, plain.spki()));
            let signature = key.sign(b"message").unwrap();
            PublicKey::from_spki(&key.spki()).unwrap().verify(b"message", &signature).unwrap();
        }
        for scheme in ["-v2 aes256 -v2prf hmacWithSHA1", "-v2 des3"] {
            let seal =
                format!("openssl pkcs8 -topk8 -in plain -out key -passout file:pass {scheme}");
            run(folder.path(), &seal).unwrap();
            let sealed = std::fs::read(folder.path().join("key")).unwrap();
            let key = KeySigner::from_encrypted_pkcs8_pem(&sealed, PASSPHRASE);
            assert_eq!(key.err(), Some(SignError::UnsupportedKey), "{scheme}");
        }
    }
}

#[test]
fn a_key_file_that_asks_for_absurd_work_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let key = key(Suite::Ed25519);
    std::fs::write(folder.path().join("plain"), key.to_pkcs8_pem()).unwrap();
    let sealed = |scheme: &str| {
        let line = format!("openssl pkcs8 -topk8 -in plain -out key -passout pass:p {scheme}");
        run(folder.path(), &line).unwrap();
        let pem = std::fs::read(folder.path().join("key")).unwrap();
        der::pem::decode_vec(&pem).unwrap().1
    };
    let opened = |der: &[u8]| {
        let pem = der::pem::encode_string("ENCRYPTED PRIVATE KEY", der::pem::LineEnding::LF, der);
        let started = std::time::Instant::now();
        let error = KeySigner::from_encrypted_pkcs8_pem(pem.unwrap().as_bytes(), b"p").err();
        assert!(started.elapsed().as_secs() < 20);
        error
    };
    // Other numbers of the same length, in place.
    let replace = |der: &[u8], from: &[u8], to: &[u8]| {
        assert_eq!(from.len(), to.len());
        let at = der.windows(from.len()).position(|part| part == from).unwrap();
        [&der[..at], to, &der[at + from.len()..]].concat()
    };
    // 9,999,999 is 0x0098967f.
    let rounds = sealed("-v2 aes256 -iter 9999999");
    let more = replace(&rounds, &[2, 4, 0, 0x98, 0x96, 0x7f], &[2, 4, 0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(opened(&more), Some(SignError::UnsupportedKey));
    let none = replace(&rounds, &[2, 4, 0, 0x98, 0x96, 0x7f], &[2, 4, 0, 0, 0, 0]);
    assert_eq!(opened(&none), Some(SignError::UnsupportedKey));
    let scrypt = sealed("-scrypt -scrypt_N 16384 -scrypt_r 8 -scrypt_p 1");
    let cost = [2, 2, 0x40, 0, 2, 1, 8, 2, 1, 1];
    for other in [
        [2, 2, 0, 0, 2, 1, 8, 2, 1, 1],
        [2, 1, 0, 2, 2, 0, 8, 2, 1, 1],
        [2, 2, 0x40, 0, 2, 1, 0, 2, 1, 1],
        [2, 2, 0x40, 0, 2, 1, 8, 2, 1, 0],
        [2, 2, 0x40, 0, 2, 1, 127, 2, 1, 127],
        [2, 2, 0x40, 1, 2, 1, 8, 2, 1, 1],
    ] {
        let error = opened(&replace(&scrypt, &cost, &other)).unwrap();
        assert_eq!(error, SignError::UnsupportedKey, "{other:?}");
    }
}

#[test]
fn openssl_verifies_our_requests_and_issues_for_them() {
    let folder = tempfile::tempdir().unwrap();
    for suite in SUITES {
        let key = key(suite);
        let request = certificate_request("签发一", "样例服务", credit_code(), &key).unwrap();
        std::fs::write(folder.path().join("request.der"), &request).unwrap();
        if suite == Suite::Sm2Sm3 {
            let verify = "openssl req -in request.der -inform DER -verify -noout -vfyopt distid:1234567812345678";
            run(folder.path(), verify).unwrap();
            continue;
        }
        let said = run(
            folder.path(),
            "openssl req -in request.der -inform DER -verify -noout -subject -nameopt utf8,sep_comma_plus",
        )
        .unwrap();
        assert!(said.contains("CN=签发一") && said.contains("O=样例服务"), "{said}");
    }
}

#[test]
fn what_a_module_says_of_a_key_is_the_key() {
    for suite in SUITES {
        let spki = key(suite).spki();
        let length = match suite {
            Suite::Ed25519 => 32,
            Suite::EcdsaP384Sha384 => 97,
            _ => 65,
        };
        let point = &spki[spki.len() - length..];
        assert_eq!(spki_of(suite, PublicParts::Point(point)), Ok(spki.clone()));
        let short = spki_of(suite, PublicParts::Point(&point[1..]));
        assert_eq!(short, Err(SignError::UnsupportedKey));
    }
    // r and s with a leading zero, and with the highest bit set.
    let raw = [[0, 1].as_slice(), &[2; 30], &[0x80; 32]].concat();
    let der = [&[0x30, 0x44, 2, 0x1f, 1][..], &[2; 30], &[2, 0x21, 0], &[0x80; 32]].concat();
    assert_eq!(ecdsa_der(&raw), Ok(der));
    assert_eq!(ecdsa_der(&raw[1..]), Err(SignError::Encoding));
    assert_eq!(ecdsa_der(&[]), Err(SignError::Encoding));
}
