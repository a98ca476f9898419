//! Time-stamps: `openssl ts` answers what we ask and verifies what we accept; what it must not be able to do.

#[path = "support/stamping.rs"]
mod stamping;
mod support;

use std::path::Path;
use std::sync::LazyLock;

use certs::timestamp::{self, TimestampError};
use certs::{
    Certificate, HashAlgorithm, Link, Outcome, Profile, SigningIdentity, Suite, Times, TrustStore,
    Usage, check_cms, cms_signature_value, issue_crl, sign_detached, time_stamp_of,
    verify_detached, verify_stamped, with_time_stamp,
};
use jiff::{SignedDuration, Timestamp};
use stamping::{answer, authority};
use support::{CONTENT, below, run, template};
use tempfile::TempDir;

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const NONCE: [u8; 8] = [0, 0x80, 3, 4, 5, 6, 7, 8];
/// `openssl ca` writes times to the second: a wide span.
const FROM: &str = "20200101000000Z";
const UNTIL: &str = "20491231235959Z";

/// One folder for all tests: keys take a while.
static DESK: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    stamping::prepare(folder.path());
    let critical = "critical,timeStamping";
    for (name, algorithm) in [
        ("p256", P256),
        ("p384", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
        ("rsa", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    ] {
        authority(folder.path(), name, algorithm, critical, FROM, UNTIL);
    }
    folder
});

/// A folder of a test's own beside the shared keys, since `openssl ts` keeps a serial number.
fn desk() -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in std::fs::read_dir(DESK.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn trusting(folder: &Path) -> TrustStore {
    let mut trust = TrustStore::new();
    let pem = std::fs::read(folder.join("ca.pem")).unwrap();
    trust.add_anchor(Usage::TimeStamping, Certificate::from_pem(&pem).unwrap());
    trust
}

fn now() -> Times {
    Times::now(Timestamp::now())
}

fn token(folder: &Path, name: &str, message: &[u8]) -> Vec<u8> {
    let hash = HashAlgorithm::Sha256;
    let request = timestamp::request(&hash.digest(&[message]), hash, Some(NONCE), None);
    timestamp::read_answer(&answer(folder, name, &request)).unwrap()
}

fn refusal(token: &[u8], trust: &TrustStore) -> TimestampError {
    timestamp::verify(token, CONTENT, trust, &now()).expect_err("must be refused")
}

#[test]
fn openssl_answers_our_requests_in_every_hash_and_suite() {
    let desk = desk();
    let trust = trusting(desk.path());
    let hashes =
        [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512, HashAlgorithm::Sm3];
    for name in ["p256", "p384", "rsa"] {
        for hash in hashes {
            let before = Timestamp::now();
            let request = timestamp::request(&hash.digest(&[CONTENT]), hash, Some(NONCE), None);
            let token = timestamp::read_answer(&answer(desk.path(), name, &request)).unwrap();
            let (a, b) = CONTENT.split_at(5);
            let stamp = timestamp::verify_over(&token, &[a, b], &trust, &now()).unwrap();
            assert!(stamp.at.as_second() >= before.as_second() && stamp.at <= Timestamp::now());
            assert_eq!(stamp.accuracy, SignedDuration::from_micros(1_500_100));
            assert_eq!(stamp.proven(), stamp.at + stamp.accuracy);
            assert_eq!(stamp.policy, "1.2.3.4.1");
            assert_eq!(stamp.revocation.code, "crl_missing");
            assert_eq!(stamp.authority.subject_text(), format!("CN={name}, C=CN, O=tsa"));
            stamp.answers(&NONCE, Some("1.2.3.4.1")).unwrap();
            assert_eq!(stamp.answers(&[9; 8], None), Err(TimestampError::OtherNonce));
            let policy = stamp.answers(&NONCE, Some("1.2.3.4.5.6"));
            assert_eq!(policy, Err(TimestampError::OtherPolicy));
            // What we accept, `openssl` verifies against the same request.
            let line = "openssl ts -verify -queryfile request.tsq -in answer.tsr -CAfile ca.pem";
            let said = run(desk.path(), line).unwrap();
            assert!(said.contains("Verification: OK"), "{said}");
        }
    }
}

#[test]
fn we_read_what_openssl_asks_and_answers_by_itself() {
    let desk = desk();
    let trust = trusting(desk.path());
    std::fs::write(desk.path().join("content"), CONTENT).unwrap();
    for (words, policy) in
        [("-cert", "1.2.3.4.1"), ("-no_nonce -tspolicy 1.2.3.4.5.6 -cert", "1.2.3.4.5.6")]
    {
        run(desk.path(), &format!("openssl ts -query -data content -sha512 {words} -out own.tsq"))
            .unwrap();
        let request = std::fs::read(desk.path().join("own.tsq")).unwrap();
        let token = timestamp::read_answer(&answer(desk.path(), "rsa", &request)).unwrap();
        let stamp = timestamp::verify(&token, CONTENT, &trust, &now()).unwrap();
        assert_eq!(stamp.policy, policy);
        assert_eq!(stamp.nonce.is_some(), words == "-cert");
    }
    let asked =
        timestamp::request(&[7; 32], HashAlgorithm::Sha256, Some(NONCE), Some("1.2.3.4.5.6"));
    std::fs::write(desk.path().join("asked.tsq"), asked).unwrap();
    let read = run(desk.path(), "openssl ts -query -in asked.tsq -text").unwrap();
    for line in [
        "Hash Algorithm: sha256",
        "Policy OID: tsa_policy2",
        "Nonce: 0x80030405060708",
        "required: yes",
    ] {
        assert!(read.contains(line), "{line} in {read}");
    }
    // Without the certificate inside, a token proves nothing to whoever does not have it.
    run(desk.path(), "openssl ts -query -data content -sha256 -out own.tsq").unwrap();
    let request = std::fs::read(desk.path().join("own.tsq")).unwrap();
    let token = timestamp::read_answer(&answer(desk.path(), "rsa", &request)).unwrap();
    assert_eq!(refusal(&token, &trust).code(), "timestamp_signature");
}

#[test]
fn a_time_stamp_counts_for_its_bytes_alone() {
    let desk = desk();
    let trust = trusting(desk.path());
    let token = token(desk.path(), "p256", b"other bytes");
    assert_eq!(refusal(&token, &trust), TimestampError::OtherBytes);
    assert_eq!(refusal(&token, &trust).link(), Link::Time);
    assert_eq!(refusal(&token, &trust).code(), "timestamp_other_bytes");
}

#[test]
fn what_an_authority_refuses_is_told() {
    let desk = desk();
    let sha1 = [
        &[0x30, 0x22, 2, 1, 1, 0x30, 0x1d, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 0x10][..],
        &[0; 16],
    ];
    let bad = answer(desk.path(), "p256", &sha1.concat());
    let error = timestamp::read_answer(&bad).unwrap_err();
    assert!(matches!(error, TimestampError::Refused { status: 2, .. }), "{error:?}");
    assert_eq!(error.code(), "timestamp_refused");
    let policy = timestamp::request(&[7; 32], HashAlgorithm::Sha256, None, Some("1.2.9.9"));
    let error = timestamp::read_answer(&answer(desk.path(), "p256", &policy)).unwrap_err();
    assert_eq!(error, TimestampError::Refused { status: 2, reason: "unacceptedPolicy" });
    assert_eq!(timestamp::read_answer(b"busy").unwrap_err(), TimestampError::Malformed);
    let large = vec![0; timestamp::MAX_TIME_STAMP_BYTES + 1];
    assert_eq!(timestamp::read_answer(&large).unwrap_err().code(), "timestamp_too_large");
    let trust = TrustStore::new();
    assert_eq!(refusal(&large, &trust).code(), "timestamp_too_large");
}

#[test]
fn only_a_certificate_for_time_stamping_alone_and_of_that_time_will_do() {
    let desk = desk();
    let trust = trusting(desk.path());
    // `openssl ts -reply` will not stamp with certificates like these, so ours signs in its place.
    for (name, usage, from, until, code) in [
        ("plain", "timeStamping", FROM, UNTIL, "certificate_wrong_usage"),
        ("both", "critical,timeStamping,emailProtection", FROM, UNTIL, "certificate_wrong_usage"),
        ("over", "critical,timeStamping", FROM, "20210101000000Z", "certificate_expired"),
        ("early", "critical,timeStamping", "20480101000000Z", UNTIL, "certificate_not_yet_valid"),
    ] {
        authority(desk.path(), name, P256, usage, from, until);
        let read = |end: &str| std::fs::read(desk.path().join(format!("{name}.{end}"))).unwrap();
        let identity = SigningIdentity::from_pem(&read("pem"), &read("key")).unwrap();
        let token = forge(&token(desk.path(), "p256", CONTENT), &identity, |_| {});
        let error = refusal(&token, &trust);
        let TimestampError::Authority(link) = &error else { panic!("{name}: {error:?}") };
        assert_eq!(link.code, code, "{name}");
        assert_eq!(error.verdict().outcome, Outcome::Untrusted);
    }
    // A good one that leads nowhere is somebody we do not know.
    let token = token(desk.path(), "p256", CONTENT);
    let error = refusal(&token, &TrustStore::new());
    assert_eq!(error.code(), "certificate_unknown_issuer");
    assert_eq!(error.verdict().outcome, Outcome::Undetermined);
    // Anchors for licences are none for time-stamps.
    let mut other = TrustStore::new();
    let pem = std::fs::read(desk.path().join("ca.pem")).unwrap();
    other.add_anchor(Usage::IssuingLicences, Certificate::from_pem(&pem).unwrap());
    assert_eq!(refusal(&token, &other).code(), "certificate_unknown_issuer");
}

#[test]
fn an_authority_may_end_after_its_stamp_but_not_be_revoked_before() {
    let desk = desk();
    let mut trust = trusting(desk.path());
    let token = token(desk.path(), "p256", CONTENT);
    // In twenty-five years, the certificate has ended.
    let later = Times::now("2050-06-01T00:00:00Z".parse().unwrap());
    let stamp = timestamp::verify(&token, CONTENT, &trust, &later).unwrap();
    assert_eq!(stamp.proven(), stamp.at + stamp.accuracy);
    let read = |name: &str| std::fs::read(desk.path().join(name)).unwrap();
    let ca = SigningIdentity::from_pem(&read("ca.pem"), &pkcs8(desk.path(), "ca.key")).unwrap();
    let serial = hex::decode(stamp.authority.serial_hex()).unwrap();
    let minute = SignedDuration::from_mins(1);
    let now = Timestamp::now();
    for (number, at, good) in [(1, stamp.at + minute, true), (2, stamp.at - minute, false)] {
        let list = issue_crl(&ca, number, &[(serial.clone(), at)], now, now + minute * 90).unwrap();
        trust.add_crl(&list).unwrap();
        let found = timestamp::verify(&token, CONTENT, &trust, &Times::now(now + minute * 2));
        assert_eq!(found.is_ok(), good, "{number}");
        if let Err(error) = found {
            assert_eq!(error.code(), "certificate_revoked");
        }
    }
}

#[test]
fn a_changed_time_or_byte_is_never_accepted() {
    let desk = desk();
    let trust = trusting(desk.path());
    let token = token(desk.path(), "p256", CONTENT);
    let good = timestamp::verify(&token, CONTENT, &trust, &now()).unwrap();
    let mut same = 0;
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(stamp) = timestamp::verify(&changed, CONTENT, &trust, &now()) {
            // The container's version and the ways to name one algorithm are not signed, and say the same.
            assert_eq!((stamp.at, &stamp.authority), (good.at, &good.authority), "byte {at}");
            same += 1;
        }
        assert!(timestamp::verify(&token[..at], CONTENT, &trust, &now()).is_err(), "cut at {at}");
    }
    assert!(same <= 4, "{same} bytes could be changed");
    // A clock that runs ahead.
    let early = Times::now(Timestamp::now() - SignedDuration::from_mins(10));
    let error = timestamp::verify(&token, CONTENT, &trust, &early).unwrap_err();
    assert_eq!(error.code(), "timestamp_in_future");
}

#[test]
fn the_certificate_must_be_named_under_the_signature() {
    let desk = desk();
    let trust = trusting(desk.path());
    let token = token(desk.path(), "p256", CONTENT);
    let read = |name: &str| std::fs::read(desk.path().join(name)).unwrap();
    let identity = SigningIdentity::from_pem(&read("p256.pem"), &read("p256.key")).unwrap();
    let unnamed = forge(&token, &identity, |attributes| {
        attributes.retain(|found| found.oid != "1.2.840.113549.1.9.16.2.47".parse().unwrap());
    });
    assert_eq!(refusal(&unnamed, &trust), TimestampError::AuthorityUnnamed);
}

#[test]
fn a_signature_carries_its_time_stamp_and_outlives_its_certificate() {
    let desk = desk();
    let stamped_now = Timestamp::now();
    let hour = SignedDuration::from_hours(1);
    for suite in support::SUITES {
        let mut trust = trusting(desk.path());
        let signer = |name: &str, profile, serial| {
            let mut found = template(name, profile, serial);
            (found.not_before, found.not_after) =
                (stamped_now - hour * 48, stamped_now + hour * 48);
            found
        };
        let key = support::key(suite);
        let certificate = certs::issue_certificate(
            &signer("根", Profile::Ca, 1),
            &certs::Signer::spki(&key),
            certs::CertIssuer::SelfSigned(&key),
        );
        let root = SigningIdentity::new(vec![certificate.unwrap()], Box::new(key)).unwrap();
        let issuer = below(&root, suite, &signer("签发", Profile::LicenceIssuer, 2));
        trust.add_anchor(Usage::IssuingLicences, root.certificate().clone());

        let cms = sign_detached(&issuer, CONTENT, stamped_now).unwrap();
        let value = cms_signature_value(&cms).unwrap();
        let stamp = token(desk.path(), "p384", &value);
        let stamped = with_time_stamp(&cms, &stamp).unwrap();
        let late = Times::now(stamped_now + hour * 24 * 30);
        let code = |cms: &[u8], link| {
            let verdict = check_cms(cms, Some(CONTENT), &trust, &late);
            let signature = &verdict.signatures[0];
            let found = signature.links.iter().find(|found| found.link == link);
            (found.map(|found| found.code), signature.proven_at)
        };
        assert_eq!(code(&cms, Link::Certificate), (Some("certificate_expired"), None));
        let (certificate, proven) = code(&stamped, Link::Certificate);
        assert_eq!(certificate, Some("ok"));
        assert!(proven.is_some_and(|at| at > stamped_now - hour && at < stamped_now + hour));
        assert_eq!(code(&stamped, Link::Time).0, Some("crl_missing"));
        // Two stamps, one of them over something else: the good one counts.
        let other = token(desk.path(), "rsa", b"another signature");
        let both = with_time_stamp(&stamped, &other).unwrap();
        assert_eq!(code(&both, Link::Certificate).0, Some("ok"));
        let wrong = with_time_stamp(&cms, &other).unwrap();
        assert_eq!(with_time_stamp(&stamped, &stamp).unwrap(), stamped, "never twice");
        // As it is taken out.
        let taken = |cms: &[u8]| time_stamp_of(cms, &trust, late.now);
        for cms in [&stamped, &both] {
            assert_eq!(taken(cms).unwrap().map(|(token, _)| token).as_ref(), Some(&stamp));
        }
        assert!(taken(&cms).unwrap().is_none());
        assert_eq!(taken(&wrong).err().unwrap().code(), "timestamp_other_bytes");
        let unknown = time_stamp_of(&stamped, &TrustStore::new(), late.now);
        assert!(unknown.unwrap().is_none(), "an authority that nobody knows");
        assert_eq!(code(&wrong, Link::Time), (Some("timestamp_other_bytes"), None));
        assert_eq!(code(&wrong, Link::Certificate).0, Some("certificate_expired"));

        // So too where a licence's signature is verified as a whole.
        let verify = |cms: &[u8]| verify_stamped(cms, CONTENT, &trust, late.now);
        let verified = verify(&stamped).unwrap();
        assert_eq!(verified.proven_at, proven);
        assert_eq!(verified.time_stamp.unwrap().link, Link::Time);
        assert_eq!(verify(&cms).err().unwrap().code(), "certificate_expired");
        let refused = verify(&wrong).err().unwrap();
        assert_eq!((refused.code(), refused.link()), ("timestamp_other_bytes", Link::Time));
        let strict = verify_detached(&stamped, CONTENT, &trust, late.now).err().unwrap();
        assert_eq!(strict.code(), "certificate_expired", "what comes in is judged now");

        if suite == Suite::EcdsaP256Sha256 {
            std::fs::write(desk.path().join("stamped.cms"), &stamped).unwrap();
            std::fs::write(desk.path().join("root.pem"), root.certificate().to_pem()).unwrap();
            std::fs::write(desk.path().join("content"), CONTENT).unwrap();
            let line = "openssl cms -verify -binary -inform DER -in stamped.cms -content content -CAfile \
                        root.pem -purpose any -out read";
            run(desk.path(), line).unwrap();
            assert_eq!(std::fs::read(desk.path().join("read")).unwrap(), CONTENT);
        }
    }
}

/// The token's content signed by somebody else, who names his own certificate.
fn forge(
    token: &[u8],
    identity: &SigningIdentity,
    change: impl FnOnce(&mut Vec<x509_cert::attr::Attribute>),
) -> Vec<u8> {
    use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
    use cms::content_info::ContentInfo;
    use cms::signed_data::{SignedData, SignerIdentifier};
    use der::asn1::{Any, OctetString, SetOfVec};
    use der::{Decode, Encode};

    let info = ContentInfo::from_der(token).unwrap();
    let mut data: SignedData = info.content.decode_as().unwrap();
    let certificate = x509_cert::Certificate::from_der(identity.certificate().der()).unwrap();
    let mut signer = data.signer_infos.0.get(0).unwrap().clone();
    signer.sid = SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
        issuer: certificate.tbs_certificate().issuer().clone(),
        serial_number: certificate.tbs_certificate().serial_number().clone(),
    });
    let mut attributes: Vec<_> = signer.signed_attrs.take().unwrap().iter().cloned().collect();
    for attribute in &mut attributes {
        if attribute.oid == "1.2.840.113549.1.9.16.2.47".parse().unwrap() {
            let digest = certs::sha256(identity.certificate().der()).as_bytes().to_vec();
            let id = OctetString::new(digest).unwrap().to_der().unwrap();
            let wrap = |inner: &[u8]| [&[0x30, u8::try_from(inner.len()).unwrap()], inner].concat();
            let value = Any::from_der(&wrap(&wrap(&wrap(&id)))).unwrap();
            attribute.values = SetOfVec::try_from(vec![value]).unwrap();
        }
    }
    change(&mut attributes);
    let attributes = SetOfVec::try_from(attributes).unwrap();
    let value = identity.signer().sign(&attributes.to_der().unwrap()).unwrap();
    signer.signed_attrs = Some(attributes);
    signer.signature = OctetString::new(value).unwrap();
    data.signer_infos.0 = SetOfVec::try_from(vec![signer]).unwrap();
    let choice = CertificateChoices::Certificate(certificate);
    data.certificates = Some(SetOfVec::try_from(vec![choice]).unwrap().into());
    let content = Any::encode_from(&data).unwrap();
    ContentInfo { content_type: info.content_type, content }.to_der().unwrap()
}

fn pkcs8(folder: &Path, name: &str) -> Vec<u8> {
    run(folder, &format!("openssl pkcs8 -topk8 -nocrypt -in {name} -out {name}.p8")).unwrap();
    std::fs::read(folder.join(format!("{name}.p8"))).unwrap()
}
