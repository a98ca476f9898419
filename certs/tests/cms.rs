//! Signatures made and checked, every suite; and everything about a container that must be refused.
//! Containers are taken apart and put together by the `cms` crate, so that a second reader agrees with
//! ours about every container we make.

mod support;

use certs::{
    Certificate, SignatureError, SigningIdentity, Suite, check_signature, cms_from_pem, cms_to_pem,
    sha256, sign_attached, sign_detached, verify_detached,
};
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode};
use spki::AlgorithmIdentifierOwned;
use support::*;
use x509_cert::attr::Attribute;

const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const SHA_256: &str = "2.16.840.1.101.3.4.2.1";
const SHA_512: &str = "2.16.840.1.101.3.4.2.3";
const SM3: &str = "1.2.156.10197.1.401";
const SM3_KEYED: &str = "1.2.156.10197.1.401.2";
const SM2_WITH_SM3: &str = "1.2.156.10197.1.501";
const SM2_SIGN: &str = "1.2.156.10197.1.301.1";

#[test]
fn what_a_suite_signs_is_verified_with_signer_organisation_and_time() {
    for suite in SUITES {
        let (_, issuer, trust) = issuer(suite);
        let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
        for _ in ["first", "remembered"] {
            let verified = verify_detached(&cms, CONTENT, &trust, now()).unwrap();
            assert_eq!(verified.signer, *issuer.certificate());
            assert_eq!(verified.organisation, Some(credit_code()));
            assert_eq!(verified.suite, suite);
            assert_eq!(verified.signing_time, Some(now()));
            assert_eq!(verified.chain.certificates.len(), 1);
        }
        let unchained = check_signature(&cms, CONTENT).unwrap();
        assert_eq!(unchained.signer, *issuer.certificate());
        assert_eq!(refusal(&cms, b"other"), SignatureError::DigestMismatch);
    }
}

#[test]
fn attached_content_must_be_the_content_given() {
    for suite in SUITES {
        let (_, issuer, trust) = issuer(suite);
        let cms = sign_attached(&issuer, CONTENT, now()).unwrap();
        verify_detached(&cms, CONTENT, &trust, now()).unwrap();
        assert_eq!(refusal(&cms, b"other"), SignatureError::EmbeddedContentDiffers);
    }
}

#[test]
fn a_second_reader_reads_what_we_make_and_writes_the_same_bytes() {
    for suite in SUITES {
        let (_, issuer, _) = issuer(suite);
        for cms in [
            sign_detached(&issuer, CONTENT, now()).unwrap(),
            sign_attached(&issuer, CONTENT, now()).unwrap(),
        ] {
            assert_eq!(close(&open(&cms), content_info_type(&cms)), cms);
            assert_eq!(cms_from_pem(cms_to_pem(&cms).as_bytes()).unwrap(), cms);
        }
    }
}

#[test]
fn the_signer_may_be_named_by_key_identifier() {
    for suite in SUITES {
        let (_, issuer, trust) = issuer(suite);
        let cms = remade(&issuer, |data, signer| {
            let certificate = x509_cert::Certificate::from_der(issuer.certificate().der()).unwrap();
            signer.sid = SignerIdentifier::from(&certificate);
            assert!(matches!(signer.sid, SignerIdentifier::SubjectKeyIdentifier(_)));
            signer.version = CmsVersion::V3;
            data.version = CmsVersion::V3;
        });
        verify_detached(&cms, CONTENT, &trust, now()).unwrap();
    }
}

#[test]
fn exactly_one_signer() {
    let (_, issuer, _) = issuer(Suite::EcdsaP256Sha256);
    let none = remade(&issuer, |data, _| data.signer_infos.0 = SetOfVec::new());
    assert_eq!(refusal(&none, CONTENT), SignatureError::NoSigner);

    let one = open(&sign_detached(&issuer, CONTENT, now()).unwrap());
    let other = open(&sign_detached(&issuer, CONTENT, now()).unwrap());
    let mut both = one.clone();
    both.signer_infos.0.insert(other.signer_infos.0.get(0).unwrap().clone()).unwrap();
    assert_eq!(refusal(&shut(&both), CONTENT), SignatureError::SeveralSigners { count: 2 });
}

#[test]
fn content_types_and_other_containers() {
    let (_, issuer, _) = issuer(Suite::EcdsaP256Sha256);
    let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
    let enveloped = close(&open(&cms), oid("1.2.840.113549.1.7.3"));
    assert_eq!(refusal(&enveloped, CONTENT), SignatureError::NotSignedData);

    let time_stamp = remade(&issuer, |data, _| {
        data.encap_content_info.econtent_type = oid("1.2.840.113549.1.9.16.1.4");
    });
    assert_eq!(refusal(&time_stamp, CONTENT), SignatureError::ContentType);
    let differing = remade(&issuer, |_, signer| {
        set_attribute(signer, CONTENT_TYPE, &[oid("1.2.156.10197.6.1.4.2.1").to_der().unwrap()]);
    });
    assert_eq!(refusal(&differing, CONTENT), SignatureError::SignedAttributes);
}

#[test]
fn der_is_strict() {
    for suite in SUITES {
        let (_, issuer, _) = issuer(suite);
        let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
        let trailing = [cms.as_slice(), &[0]].concat();
        assert_eq!(refusal(&trailing, CONTENT), SignatureError::Malformed);
        for cut in 0..cms.len() {
            assert_eq!(refusal(&cms[..cut], CONTENT), SignatureError::Malformed);
        }
        // The outermost length in three bytes where two are enough, and without a length.
        let body = &cms[4..];
        let long = [&[0x30, 0x83, 0, cms[2], cms[3]], body].concat();
        assert_eq!(refusal(&long, CONTENT), SignatureError::Malformed);
        let indefinite = [&[0x30, 0x80], body, &[0, 0]].concat();
        assert_eq!(refusal(&indefinite, CONTENT), SignatureError::Malformed);
    }
}

#[test]
fn sizes_are_bounded() {
    let (root, issuer, trust) = issuer(Suite::EcdsaP256Sha256);
    let big = vec![0; certs::MAX_CMS_BYTES + 1];
    assert_eq!(refusal(&big, b""), SignatureError::TooLarge { bytes: big.len() });

    let add = |data: &mut SignedData, count: u64| {
        for serial in 0..count {
            let profile = certs::Profile::LicenceIssuer;
            let template = template("另一", profile, 100 + serial);
            let (certificate, _) = issue_from(&root, Suite::EcdsaP256Sha256, &template);
            add_certificate(data, &certificate);
        }
    };
    let eight = remade(&issuer, |data, _| add(data, 7));
    verify_detached(&eight, CONTENT, &trust, now()).unwrap();
    let nine = remade(&issuer, |data, _| add(data, 8));
    assert_eq!(refusal(&nine, CONTENT), SignatureError::TooManyCertificates { count: 9 });
}

#[test]
fn the_signers_certificate_must_be_there() {
    let (_, issuer, _) = issuer(Suite::EcdsaP256Sha256);
    let missing = remade(&issuer, |data, _| data.certificates = None);
    assert_eq!(refusal(&missing, CONTENT), SignatureError::SignerCertificateMissing);
    let other_serial = remade(&issuer, |_, signer| {
        let SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            serial_number, ..
        }) = &mut signer.sid
        else {
            panic!("issuer and serial number expected");
        };
        *serial_number = x509_cert::serial_number::SerialNumber::new(&[3]).unwrap();
    });
    assert_eq!(refusal(&other_serial, CONTENT), SignatureError::SignerCertificateMissing);
}

#[test]
fn algorithms_must_fit_the_key_and_each_other() {
    for suite in SUITES {
        let (_, issuer, _) = issuer(suite);
        let other = if suite == Suite::Ed25519 { SHA_256 } else { SHA_512 };
        let signer_digest = remade(&issuer, |_, signer| signer.digest_alg.oid = oid(other));
        assert_eq!(refusal(&signer_digest, CONTENT), SignatureError::AlgorithmMismatch);
        let digests = remade(&issuer, |data, _| data.digest_algorithms = algorithms(&[other]));
        assert_eq!(refusal(&digests, CONTENT), SignatureError::AlgorithmMismatch);
        let none = remade(&issuer, |data, _| data.digest_algorithms = SetOfVec::new());
        assert_eq!(refusal(&none, CONTENT), SignatureError::AlgorithmMismatch);
        let rsa = remade(&issuer, |_, signer| {
            signer.signature_algorithm.oid = oid("1.2.840.113549.1.1.11");
        });
        assert_eq!(refusal(&rsa, CONTENT), SignatureError::AlgorithmMismatch);
    }
}

#[test]
fn signed_attributes_must_be_complete_and_single() {
    for suite in SUITES {
        let (_, issuer, _) = issuer(suite);
        for kind in [MESSAGE_DIGEST, CONTENT_TYPE] {
            let missing = remade(&issuer, |_, signer| set_attribute(signer, kind, &[]));
            assert_eq!(refusal(&missing, CONTENT), SignatureError::SignedAttributes);
        }
        let wrong = remade(&issuer, |_, signer| {
            let digest = OctetString::new([0; 32]).unwrap().to_der().unwrap();
            set_attribute(signer, MESSAGE_DIGEST, &[digest]);
        });
        assert_eq!(refusal(&wrong, CONTENT), SignatureError::DigestMismatch);
        let two_values = remade(&issuer, |_, signer| {
            let value = |byte: u8| OctetString::new([byte; 32]).unwrap().to_der().unwrap();
            set_attribute(signer, MESSAGE_DIGEST, &[value(0), value(1)]);
        });
        assert_eq!(refusal(&two_values, CONTENT), SignatureError::SignedAttributes);
        let twice = remade(&issuer, |_, signer| {
            let value = OctetString::new([7; 32]).unwrap().to_der().unwrap();
            let attributes = signer.signed_attrs.as_mut().unwrap();
            attributes.insert(attribute(MESSAGE_DIGEST, &[value])).unwrap();
        });
        assert_eq!(refusal(&twice, CONTENT), SignatureError::SignedAttributes);
    }
}

#[test]
fn without_signed_attributes_the_signature_is_over_the_content() {
    for suite in SUITES {
        let (_, issuer, trust) = issuer(suite);
        let bare = remade(&issuer, |_, signer| {
            signer.signed_attrs = None;
            signer.signature = OctetString::new(issuer.signer().sign(CONTENT).unwrap()).unwrap();
        });
        verify_detached(&bare, CONTENT, &trust, now()).unwrap();
        assert_eq!(refusal(&bare, b"other"), SignatureError::BadSignature);
    }
}

/// Else a signature over attributes could be shown again as one over content that nobody signed.
#[test]
fn attributes_cannot_be_passed_off_as_content() {
    for suite in SUITES {
        let (_, issuer, _) = issuer(suite);
        let mut data = open(&sign_detached(&issuer, CONTENT, now()).unwrap());
        let mut signer = data.signer_infos.0.get(0).unwrap().clone();
        let attributes = signer.signed_attrs.take().unwrap().to_der().unwrap();
        data.signer_infos.0 = SetOfVec::try_from(vec![signer]).unwrap();
        assert_eq!(refusal(&shut(&data), &attributes), SignatureError::AmbiguousContent);
    }
}

#[test]
fn sm2_containers_seen_in_the_wild_are_tolerated() {
    let (_, issuer, trust) = issuer(Suite::Sm2Sm3);
    let null = || Some(Any::null());
    type Change = Box<dyn Fn(&mut SignedData, &mut SignerInfo)>;
    let changes: Vec<Change> = vec![
        Box::new(move |_, signer| signer.signature_algorithm.parameters = null()),
        Box::new(|_, signer| signer.signature_algorithm.oid = oid(SM2_SIGN)),
        Box::new(|data, signer| {
            data.digest_algorithms = algorithms(&[SM3_KEYED]);
            signer.digest_alg.oid = oid(SM3_KEYED);
        }),
        Box::new(|data, _| data.digest_algorithms = algorithms(&[SM2_WITH_SM3])),
        Box::new(move |data, signer| {
            data.digest_algorithms = algorithms(&[SM3]);
            signer.digest_alg =
                AlgorithmIdentifierOwned { oid: oid(SM2_WITH_SM3), parameters: null() };
        }),
        // The content types of RFC 5652 instead of those of GM/T 0010.
        Box::new(|data, signer| {
            data.encap_content_info.econtent_type = oid("1.2.840.113549.1.7.1");
            set_attribute(signer, CONTENT_TYPE, &[oid("1.2.840.113549.1.7.1").to_der().unwrap()]);
        }),
        // RFC 5652, 5.1, asks for version 3 with any content type but its own.
        Box::new(|data, _| data.version = CmsVersion::V3),
    ];
    for change in changes {
        let cms = remade(&issuer, |data, signer| change(data, signer));
        verify_detached(&cms, CONTENT, &trust, now()).unwrap();
        assert_eq!(refusal(&cms, b"other"), SignatureError::DigestMismatch);
    }
}

#[test]
fn a_flipped_bit_is_never_accepted() {
    for suite in SUITES {
        let root = root(suite, "样例根");
        let profile = certs::Profile::Ca;
        let middle = below(&root, suite, &template("样例中级", profile, 2));
        let profile = certs::Profile::LicenceIssuer;
        let issuer = below(&middle, suite, &template("样例签发", profile, 3));
        assert_eq!(issuer.chain().len(), 2);
        let warm = trusting(&root);
        for attached in [false, true] {
            let sign = if attached { sign_attached } else { sign_detached };
            let cms = sign(&issuer, CONTENT, now()).unwrap();
            verify_detached(&cms, CONTENT, &warm, now()).unwrap();

            for flipped in flips(CONTENT) {
                assert!(verify_detached(&cms, &flipped, &warm, now()).is_err());
            }
            let mut accepted = Vec::new();
            for (at, flipped) in flips(&cms).enumerate() {
                let (byte, bit) = (at / 8, at % 8);
                let verdict = verify_detached(&flipped, CONTENT, &warm, now()).is_ok();
                if verdict {
                    accepted.push((byte, bit));
                }
                // One bit of each byte also with nothing remembered.
                if bit == byte % 8 {
                    let cold = verify_detached(&flipped, CONTENT, &trusting(&root), now());
                    assert_eq!(cold.is_ok(), verdict, "what was seen before decides");
                }
            }
            // Of an SM2 container, version 1 read as 3 is accepted, and says the same.
            let version = version_at(&cms);
            let harmless = if suite == Suite::Sm2Sm3 { vec![(version, 1)] } else { vec![] };
            assert_eq!(accepted, harmless, "{suite:?}, attached: {attached}");
        }
    }
}

#[test]
fn a_flipped_bit_in_a_certificate_is_never_accepted() {
    for suite in SUITES {
        let (root, issuer, _) = issuer(suite);
        for flipped in flips(issuer.certificate().der()) {
            let Ok(certificate) = Certificate::from_der(&flipped) else {
                continue;
            };
            let trust = trusting(&root);
            let usage = certs::Usage::IssuingLicences;
            assert!(trust.verify_chain(&certificate, &[], usage, now()).is_err());
        }
    }
}

/// Where unsigned bytes are: what is in them changes no verdict.
#[test]
fn unsigned_attributes_and_spare_certificates_change_nothing() {
    let (root, issuer, trust) = issuer(Suite::EcdsaP256Sha256);
    let profile = certs::Profile::LicenceIssuer;
    let (spare, _) = issue_from(&root, Suite::Ed25519, &template("另一", profile, 9));
    let cms = remade(&issuer, |data, signer| {
        add_certificate(data, &spare);
        let value = OctetString::new(b"unsigned".as_slice()).unwrap().to_der().unwrap();
        let unsigned = attribute("1.3.6.1.4.1.99999.1", &[value]);
        signer.unsigned_attrs = Some(SetOfVec::try_from(vec![unsigned]).unwrap());
    });
    let verified = verify_detached(&cms, CONTENT, &trust, now()).unwrap();
    assert_eq!(verified.signer.sha256(), sha256(issuer.certificate().der()));
    let start = cms.windows(spare.der().len()).position(|window| window == spare.der()).unwrap();
    let mut damaged = cms.clone();
    damaged[start + spare.der().len() - 1] ^= 1;
    verify_detached(&damaged, CONTENT, &trust, now()).unwrap();
    let start = cms.windows(8).position(|window| window == b"unsigned").unwrap();
    let mut damaged = cms;
    damaged[start] ^= 1;
    verify_detached(&damaged, CONTENT, &trust, now()).unwrap();
}

fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|at| {
        let mut flipped = bytes.to_vec();
        flipped[at / 8] ^= 1 << (at % 8);
        flipped
    })
}

/// Where the value of SignedData's version is: after the tags and lengths of five values.
fn version_at(cms: &[u8]) -> usize {
    cms.windows(3).position(|window| window == [2, 1, 1]).unwrap() + 2
}

fn refusal(cms: &[u8], content: &[u8]) -> SignatureError {
    check_signature(cms, content).err().expect("must be refused")
}

fn oid(text: &str) -> ObjectIdentifier {
    text.parse().unwrap()
}

fn algorithms(oids: &[&str]) -> SetOfVec<AlgorithmIdentifierOwned> {
    let all = oids.iter().map(|text| AlgorithmIdentifierOwned { oid: oid(text), parameters: None });
    SetOfVec::try_from(all.collect::<Vec<_>>()).unwrap()
}

fn attribute(kind: &str, values: &[Vec<u8>]) -> Attribute {
    let values = values.iter().map(|der| Any::from_der(der).unwrap()).collect::<Vec<_>>();
    Attribute { oid: oid(kind), values: SetOfVec::try_from(values).unwrap() }
}

/// Sets the values of a signed attribute; without values it is taken out.
fn set_attribute(signer: &mut SignerInfo, kind: &str, values: &[Vec<u8>]) {
    let all = signer.signed_attrs.take().unwrap();
    let mut kept: Vec<_> = all.iter().filter(|found| found.oid != oid(kind)).cloned().collect();
    if !values.is_empty() {
        kept.push(attribute(kind, values));
    }
    signer.signed_attrs = Some(SetOfVec::try_from(kept).unwrap());
}

fn add_certificate(data: &mut SignedData, certificate: &Certificate) {
    let certificate = x509_cert::Certificate::from_der(certificate.der()).unwrap();
    let all = data.certificates.as_mut().unwrap();
    all.0.insert(CertificateChoices::Certificate(certificate)).unwrap();
}

/// A detached signature, changed, and signed again over the changed attributes.
fn remade(
    issuer: &SigningIdentity,
    change: impl FnOnce(&mut SignedData, &mut SignerInfo),
) -> Vec<u8> {
    let mut data = open(&sign_detached(issuer, CONTENT, now()).unwrap());
    let mut signer = data.signer_infos.0.get(0).unwrap().clone();
    let before = signer.signed_attrs.clone();
    let all = data.signer_infos.0.len();
    change(&mut data, &mut signer);
    if let Some(attributes) = &signer.signed_attrs
        && signer.signed_attrs != before
    {
        let signature = issuer.signer().sign(&attributes.to_der().unwrap()).unwrap();
        signer.signature = OctetString::new(signature).unwrap();
    }
    if data.signer_infos.0.len() == all {
        data.signer_infos.0 = SetOfVec::try_from(vec![signer]).unwrap();
    }
    shut(&data)
}

fn open(cms: &[u8]) -> SignedData {
    ContentInfo::from_der(cms).unwrap().content.decode_as().unwrap()
}

fn content_info_type(cms: &[u8]) -> ObjectIdentifier {
    ContentInfo::from_der(cms).unwrap().content_type
}

fn shut(data: &SignedData) -> Vec<u8> {
    let gm = data.encap_content_info.econtent_type == oid("1.2.156.10197.6.1.4.2.1");
    close(data, oid(if gm { "1.2.156.10197.6.1.4.2.2" } else { "1.2.840.113549.1.7.2" }))
}

fn close(data: &SignedData, content_type: ObjectIdentifier) -> Vec<u8> {
    let content = Any::encode_from(data).unwrap();
    ContentInfo { content_type, content }.to_der().unwrap()
}
