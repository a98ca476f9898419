//! Published vectors (see `vectors/*/SOURCE.md`): ECDSA, Ed25519 and RSA of Wycheproof, SM2 and SM3 of
//! several implementations, a real SM2 chain and revocation list.
//!
//! Signing SM2 with a given nonce is not offered by the library, rightly; the vectors' `k` is therefore
//! not used, and what we sign is checked by verifying it (here, and by gmssl in `interop_gmssl.rs`).

mod support;

use std::path::{Path, PathBuf};

use certs::{
    Certificate, ChainError, CrlError, PublicKey, Revocation, Suite, TrustStore, Usage, Verifier,
};
use der::asn1::{Any, BitString, ObjectIdentifier, UintRef};
use der::{Decode, Encode};
use serde_json::Value;
use sm2::dsa::signature::{Verifier as _, hazmat::PrehashVerifier};
use sm3::{Digest, Sm3};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use support::time;

const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const SM2_CURVE: &str = "1.2.156.10197.1.301";
const DEFAULT_ID: &str = "1234567812345678";

#[test]
fn wycheproof_ecdsa_p256() {
    let file = "ecdsa_secp256r1_sha256_test.json";
    assert_eq!(wycheproof(Suite::EcdsaP256Sha256, file), (174, 310));
}

#[test]
fn wycheproof_ecdsa_p384() {
    for (suite, name, expected) in [
        (Suite::EcdsaP384Sha384, "sha384", (190, 301)),
        (Suite::EcdsaP384Sha256, "sha256", (158, 301)),
    ] {
        assert_eq!(wycheproof(suite, &format!("ecdsa_secp384r1_{name}_test.json")), expected);
    }
}

#[test]
fn wycheproof_ed25519() {
    assert_eq!(wycheproof(Suite::Ed25519, "ed25519_test.json"), (88, 63));
}

#[test]
fn wycheproof_rsa_pkcs1() {
    for (suite, name, expected) in [
        (Suite::RsaPkcs1Sha256, "2048_sha256", (9, 249)),
        (Suite::RsaPkcs1Sha384, "3072_sha384", (7, 251)),
        (Suite::RsaPkcs1Sha512, "4096_sha512", (7, 251)),
        (Suite::RsaPkcs1Sha256, "8192_sha256", (7, 250)),
    ] {
        let file = format!("rsa_signature_{name}_test.json");
        assert_eq!(wycheproof(suite, &file), expected, "{name}");
    }
}

#[test]
fn wycheproof_rsa_pss() {
    for (suite, name, expected) in [
        (Suite::RsaPssSha256, "2048_sha256_mgf1_32", (63, 45)),
        (Suite::RsaPssSha384, "2048_sha384_mgf1_48", (95, 46)),
        (Suite::RsaPssSha512, "4096_sha512_mgf1_64", (132, 47)),
    ] {
        let file = format!("rsa_pss_{name}_test.json");
        assert_eq!(wycheproof(suite, &file), expected, "{name}");
    }
}

/// Runs all of a file; how many were valid and invalid. The one `acceptable` of a file with RSA signatures
/// leaves out the NULL of a DigestInfo, which RFC 8017, appendix A.2.4, does not allow for these digests.
fn wycheproof(suite: Suite, name: &str) -> (usize, usize) {
    let file = json(&folder("wycheproof").join(name));
    let (mut valid, mut invalid, mut acceptable) = (0, 0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let key = PublicKey::from_spki(&bytes(&group["publicKeyDer"])).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let verdict = key.verify_with(suite, &bytes(&test["msg"]), &bytes(&test["sig"]));
            let id = &test["tcId"];
            match test["result"].as_str().unwrap() {
                "valid" => {
                    verdict.unwrap_or_else(|_| panic!("{name} {id} is valid"));
                    valid += 1;
                }
                "invalid" => {
                    verdict.expect_err(&format!("{name} {id} is invalid"));
                    invalid += 1;
                }
                "acceptable" => {
                    verdict.expect_err(&format!("{name} {id} is against the rule"));
                    acceptable += 1;
                }
                other => panic!("{name} {id}: {other}"),
            }
        }
    }
    assert_eq!(file["numberOfTests"], valid + invalid + acceptable, "{name}: all of them");
    (valid, invalid)
}

#[test]
fn sm2_signatures_and_refusals() {
    let file = json(&folder("sm2").join("sm2-sign.json"));
    let (mut valid, mut refused) = (0, 0);
    for test in file.as_array().unwrap() {
        let name = test["id"].as_str().unwrap();
        let point = [vec![4], bytes(&test["pub_x"]), bytes(&test["pub_y"])].concat();
        let id = String::from_utf8(bytes(&test["signer_id_hex"])).unwrap();
        let message = bytes(&test["msg_hex"]);
        let (r, s) = (bytes(&test["r"]), bytes(&test["s"]));
        let signature =
            vec![UintRef::new(&r).unwrap(), UintRef::new(&s).unwrap()].to_der().unwrap();
        let expected = test["valid"].as_bool().unwrap();

        let library = sm2::dsa::VerifyingKey::from_sec1_bytes(&id, &point).unwrap();
        let verdict = sm2::dsa::Signature::from_der(&signature)
            .and_then(|signature| library.verify(&message, &signature));
        assert_eq!(verdict.is_ok(), expected, "{name} under its own id");
        let ours = PublicKey::from_spki(&spki(EC_PUBLIC_KEY, Some(SM2_CURVE), &point)).unwrap();
        let verdict = ours.verify(&message, &signature).is_ok();
        // Two refusals per vector are a valid signature read under another id.
        let expected_here = match name.split_once('/') {
            Some((origin, "other-id" | "empty-id")) => origin == "gmt0003.5-annex-a",
            _ => expected && id == DEFAULT_ID,
        };
        assert_eq!(verdict, expected_here, "{name} under the default id");

        // The intermediate values: ZA over id, curve and key, and e = SM3(ZA ‖ message).
        if let Some(za) = test.get("za") {
            assert_eq!(sm3(&[&bytes(za), &message]), bytes(&test["e"]), "{name}: e");
        }
        *(if expected { &mut valid } else { &mut refused }) += 1;
    }
    assert_eq!((valid, refused), (4, 30));
}

#[test]
fn sm2_signatures_over_a_given_digest() {
    let text = std::fs::read_to_string(folder("sm2").join("evppkey_sm2.txt")).unwrap();
    let start = text.find("-----BEGIN PRIVATE KEY-----").unwrap();
    let key = certs::KeySigner::from_pkcs8_pem(&text.as_bytes()[start..]).unwrap();
    let spki = SubjectPublicKeyInfoOwned::from_der(&certs::Signer::spki(&key)).unwrap();
    let point = spki.subject_public_key.raw_bytes();
    let key = sm2::dsa::VerifyingKey::from_sec1_bytes(DEFAULT_ID, point).unwrap();
    let mut verified = 0;
    for case in evp_cases(&text).iter().filter(|case| case[0].0 == "Verify") {
        let value = |name: &str| &case.iter().find(|(key, _)| key == name).unwrap().1;
        let signature = sm2::dsa::Signature::from_der(&hex::decode(value("Output")).unwrap());
        let e = hex::decode(value("Input")).unwrap();
        if case.iter().any(|(key, _)| key == "Result") {
            // The one case with another digest than SM3: its input is no 32 bytes.
            assert!(key.verify_prehash(&e, &signature.unwrap()).is_err());
        } else {
            key.verify_prehash(&e, &signature.unwrap()).unwrap();
            verified += 1;
        }
    }
    assert_eq!(verified, 2);
}

#[test]
fn sm3_digests() {
    let text = std::fs::read_to_string(folder("sm2").join("evpmd_sm3.txt")).unwrap();
    let mut checked = 0;
    for case in evp_cases(&text).iter().filter(|case| case[0] == ("Digest".into(), "SM3".into())) {
        let value =
            |name: &str| hex::decode(&case.iter().find(|(key, _)| key == name).unwrap().1).unwrap();
        assert_eq!(sm3(&[&value("Input")]), value("Output"));
        checked += 1;
    }
    assert_eq!(checked, 8);
}

#[test]
fn every_sm2_certificate_verifies_under_the_default_id_and_no_other() {
    for entry in json(&certificates().join("manifest.json")).as_array().unwrap() {
        let (file, issuer) = (entry["file"].as_str().unwrap(), entry["issuer"].as_str().unwrap());
        let (certificate, issuer) = (certificate(file), certificate(issuer));
        let parts = Vec::<Any>::from_der(certificate.der()).unwrap();
        let tbs = parts[0].to_der().unwrap();
        let signature = parts[2].decode_as::<BitString>().unwrap();
        let signature = signature.raw_bytes();
        let ours = issuer.public_key().unwrap();
        assert!(entry["signature_valid_with_default_id"].as_bool().unwrap());
        ours.verify(&tbs, signature).unwrap_or_else(|_| panic!("{file}"));

        let spki = SubjectPublicKeyInfoOwned::from_der(issuer.spki()).unwrap();
        let point = spki.subject_public_key.raw_bytes();
        let signature = sm2::dsa::Signature::from_der(signature).unwrap();
        for other in ["", "1234567812345679", "ALICE123@YAHOO.COM"] {
            let key = sm2::dsa::VerifyingKey::from_sec1_bytes(other, point).unwrap();
            key.verify(&tbs, &signature).expect_err(file);
        }
    }
}

#[test]
fn the_sm2_chain_is_valid_within_its_time_and_not_outside() {
    let mut trust = TrustStore::new();
    trust.add_anchor(Usage::IssuingLicences, certificate("root-ca.pem"));
    let middle = [certificate("sub-ca.pem")];
    let usage = Usage::IssuingLicences;
    let inside = time("2025-01-01T00:00:00Z");
    for file in ["client-sign.pem", "server-sign.pem"] {
        let leaf = certificate(file);
        let record = trust.verify_chain(&leaf, &middle, usage, inside).unwrap();
        assert_eq!(record.certificates.len(), 2);
        assert_eq!(
            trust.verify_chain(&leaf, &[], usage, inside),
            Err(ChainError::UnknownIssuer),
            "a remembered path does not stand in for a missing certificate"
        );
        let before = time("2023-02-22T02:30:13Z");
        assert_eq!(
            trust.verify_chain(&leaf, &middle, usage, before),
            Err(ChainError::NotYetValid { at: before, not_before: leaf.not_before() })
        );
        let after = time("2123-01-29T02:30:15Z");
        assert_eq!(
            trust.verify_chain(&leaf, &middle, usage, after),
            Err(ChainError::Expired { at: after, not_after: leaf.not_after() })
        );
    }
    for file in ["client-sign-expire.pem", "server-sign-expire.pem"] {
        let leaf = certificate(file);
        let refused = trust.verify_chain(&leaf, &middle, usage, inside);
        assert_eq!(refused, Err(ChainError::Expired { at: inside, not_after: leaf.not_after() }));
        // While the leaf was valid, the CAs above it were not yet.
        let refused = trust.verify_chain(&leaf, &middle, usage, time("2000-06-01T00:00:00Z"));
        assert!(matches!(refused, Err(ChainError::NotYetValid { .. })));
    }
    // Keys for encryption do not sign licences.
    for file in ["client-enc.pem", "server-enc.pem"] {
        let refused = trust.verify_chain(&certificate(file), &middle, usage, inside);
        assert_eq!(refused, Err(ChainError::WrongUsage { usage }));
    }
}

#[test]
fn a_real_sm2_revocation_list() {
    let list = std::fs::read(certificates().join("nrcac-device-root.crl")).unwrap();
    let root = certificate("nrcac-device-root.pem");
    let mut trust = TrustStore::new();
    assert_eq!(trust.add_crl(&list), Err(CrlError::UnknownIssuer));
    trust.add_anchor(Usage::IssuingLicences, root.clone());
    trust.add_crl(&list).unwrap();

    let issued = time("2022-05-05T06:21:20Z");
    let record = |serial: &str| certs::ChainRecord {
        usage: Usage::IssuingLicences,
        anchor: root.sha256(),
        certificates: vec![certs::ChainCertificate {
            sha256: root.sha256(),
            serial: hex::decode(serial).unwrap(),
            issuer: certs::sha256(&[subject(&root).as_slice(), root.spki()].concat()),
            not_before: root.not_before(),
            not_after: root.not_after(),
        }],
    };
    let judge = |serial, at| trust.judge(&record(serial), time(at)).revocation;
    assert_eq!(judge("01", "2022-05-20T00:00:00Z"), Revocation::Good { as_of: issued });
    assert_eq!(judge("01", "2022-06-04T06:21:20Z"), Revocation::Stale { as_of: issued });
    assert_eq!(judge("01", "2025-01-01T00:00:00Z"), Revocation::Stale { as_of: issued });
    let revoked = "5224fc62cbcf3e1d092538ca16573486";
    let at = time("2015-11-30T09:46:27Z");
    assert_eq!(judge(revoked, "2022-05-20T00:00:00Z"), Revocation::Revoked { at, since: at });
    assert_eq!(judge(revoked, "2025-01-01T00:00:00Z"), Revocation::Revoked { at, since: at });
    assert_eq!(judge(revoked, "2015-01-01T00:00:00Z"), Revocation::Good { as_of: issued });

    let der = der::pem::decode_vec(&list).map(|(_, der)| der).unwrap_or(list);
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1;
        assert!(trust.add_crl(&changed).is_err(), "byte {at}");
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn certificates() -> PathBuf {
    folder("sm2").join("certs")
}

fn certificate(file: &str) -> Certificate {
    Certificate::from_pem(&std::fs::read(certificates().join(file)).unwrap()).unwrap()
}

fn subject(certificate: &Certificate) -> Vec<u8> {
    let parsed = x509_cert::Certificate::from_der(certificate.der()).unwrap();
    parsed.tbs_certificate().subject().to_der().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Hex, of which an odd number of digits stands for a number such as "0".
fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
    hex::decode(padded).unwrap()
}

fn sm3(parts: &[&[u8]]) -> Vec<u8> {
    Sm3::digest(parts.concat()).to_vec()
}

fn spki(algorithm: &str, curve: Option<&str>, point: &[u8]) -> Vec<u8> {
    let oid = |text: &str| text.parse::<ObjectIdentifier>().unwrap();
    let parameters = curve.map(|curve| Any::from(oid(curve)));
    let algorithm = AlgorithmIdentifierOwned { oid: oid(algorithm), parameters };
    let subject_public_key = BitString::from_bytes(point).unwrap();
    SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der().unwrap()
}

/// The cases of a file in OpenSSL's evp_test form: blocks of `key = value` lines.
fn evp_cases(text: &str) -> Vec<Vec<(String, String)>> {
    let blocks = text.split("\n\n").map(|block| {
        let lines = block.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('='));
        pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
    });
    blocks.filter(|case: &Vec<_>| !case.is_empty()).collect()
}
