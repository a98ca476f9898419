//! OCSP (RFC 6960): `openssl ocsp` reads our requests, we read its answers, and what an answer is worth is a
//! matter of who signed it, about what, and when.

mod support;

use certs::{
    Certificate, ChainRecord, OcspError, OcspStatus, Revocation, SigningIdentity, Suite, Times,
    TrustStore, Usage, check_ocsp, issue_crl, ocsp,
};
use der::asn1::{Any, ObjectIdentifier};
use der::{Decode, Encode};
use jiff::{SignedDuration, Timestamp};
use sm3::{Digest, Sm3};
use spki::SubjectPublicKeyInfoRef;
use support::office::{ISSUER, Office, RESPONDER, VALID};
use support::{CONTENT, SUITES, issuer, now, time};

const LICENCES: Usage = Usage::IssuingLicences;

#[test]
fn answers_of_the_issuer_and_of_its_responder_count() {
    for keys in ["EC -pkeyopt ec_paramgen_curve:P-256", "RSA -pkeyopt rsa_keygen_bits:2048"] {
        let office = Office::with_keys(keys);
        for signer in ["ca", "responder"] {
            for options in ["-ndays 3", "-ndays 3 -resp_key_id"] {
                let answer = office.answer(signer, options);
                let said = office.check(&answer);
                assert_eq!(said, Ok(OcspStatus::Good), "{keys} {signer} {options}");
                let mut trust = office.trust();
                let record = office.record(&trust);
                assert_eq!(trust.judge(&record, office.now).revocation, Revocation::NoCrl);
                trust.add_ocsp(&answer, Timestamp::now()).unwrap();
                let judged = trust.judge(&record, office.days(2)).revocation;
                assert!(matches!(judged, Revocation::Good { .. }), "{judged:?}");
                let judged = trust.judge(&record, office.days(4)).revocation;
                assert!(matches!(judged, Revocation::Stale { .. }), "{judged:?}");
            }
        }
    }
}

#[test]
fn names_may_be_hashed_with_sha_1_sha_256_or_sm3() {
    let office = Office::new();
    for hash in ["sha1", "sha256", "sm3"] {
        let answer = office
            .respond("responder", &format!("-{hash} -issuer ca.pem -cert issuer.pem -ndays 3"));
        assert_eq!(office.check(&answer), Ok(OcspStatus::Good), "{hash}");
        office.trust().add_ocsp(&answer, Timestamp::now()).unwrap();
    }
    let answer = office.respond("responder", "-sha384 -issuer ca.pem -cert issuer.pem -ndays 3");
    assert_eq!(office.trust().add_ocsp(&answer, office.now), Err(OcspError::UnknownIssuer));
}

#[test]
fn openssl_reads_our_requests_and_repeats_our_nonce() {
    let office = Office::new();
    let (issuer, ca) = (office.certificate("issuer"), office.certificate("ca"));
    let nonce = [0xA5; 32];
    office.put("request", ocsp::request(&issuer, &ca, Some(&nonce)));
    let text = office.run("openssl ocsp -reqin request -req_text -noverify");
    assert!(text.contains("Serial Number: 4D") && text.contains("A5A5A5"), "{text}");
    let answer = office.respond("responder", "-reqin request -ndays 1");
    assert_eq!(ocsp::check_nonce(&answer, &nonce), Ok(()));
    assert_eq!(ocsp::check_nonce(&answer, &[0; 32]), Err(OcspError::OtherNonce));
    let without = office.answer("responder", "-ndays 1");
    assert_eq!(ocsp::check_nonce(&without, &nonce), Ok(()), "responders may leave it out");
    // And openssl accepts the answer to what we asked.
    office.put("answer", answer);
    office.run("openssl ocsp -reqin request -respin answer -CAfile ca.pem");
}

#[test]
fn a_revoked_certificate_is_revoked_from_the_time_the_answer_names() {
    let office = Office::new();
    let at: Timestamp = "2026-06-10T00:00:00Z".parse().unwrap();
    let invalid: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    for (reason, since) in [
        ("", at),
        (",superseded", at),
        (",keyCompromise", Timestamp::MIN),
        (",keyTime,20260201000000Z", invalid),
        (",CAkeyTime,20260201000000Z", invalid),
    ] {
        office.put(
            "index.txt",
            format!("R\t351231235959Z\t260610000000Z{reason}\t4D\tunknown\t/CN=issuer\n"),
        );
        let answer = office.answer("responder", "-ndays 3");
        assert_eq!(office.check(&answer), Ok(OcspStatus::Revoked { at, since }), "{reason}");
        let mut trust = office.trust();
        let record = office.record(&trust);
        trust.add_ocsp(&answer, Timestamp::now()).unwrap();
        let now = office.days(1);
        let revoked = Revocation::Revoked { at, since };
        assert_eq!(trust.judge(&record, now).revocation, revoked);
        assert_eq!(
            trust.judge(&record, office.days(9)).revocation,
            revoked,
            "stale, but it said so"
        );
        trust.verify_chain(&office.certificate("issuer"), &[], LICENCES, now).unwrap_err();
        let proven = Some("2026-01-31T00:00:00Z".parse().unwrap());
        let judged = trust.judge_at(&record, &Times { now, proven }).revocation;
        assert_eq!(
            judged,
            if proven < Some(since) { Revocation::Good { as_of: at } } else { revoked }
        );
    }
}

#[test]
fn an_answer_must_be_about_the_certificate_that_was_asked_about() {
    let office = Office::new();
    office.run("openssl req -new -key issuer.key -subj /CN=second -out second.csr");
    office.issue("second", "ca", 0x4E, ISSUER, "-days 20");
    office.put("index.txt", format!("{VALID}V\t351231235959Z\t\t4E\tunknown\t/CN=second\n"));
    let answer = office.respond("responder", "-issuer ca.pem -cert second.pem -ndays 3");
    assert_eq!(office.check(&answer), Err(OcspError::OtherCertificate));
    // The same serial number of another authority is another certificate.
    office.run("openssl req -new -key issuer.key -subj /CN=third -out third.csr");
    office.issue("third", "other", 0x4D, ISSUER, "-days 20");
    let (third, other) = (office.certificate("third"), office.certificate("other"));
    let answer = office.answer("responder", "-ndays 3");
    let said = check_ocsp(&answer, &third, &other, Timestamp::now());
    assert_eq!(said, Err(OcspError::OtherCertificate));
    let said = check_ocsp(&answer, &third, &office.certificate("ca"), Timestamp::now());
    assert_eq!(said, Err(OcspError::OtherCertificate));
    // In the store it speaks for its own certificate alone.
    let mut trust = office.trust();
    let record = office.record(&trust);
    let answer = office.respond("responder", "-issuer ca.pem -cert second.pem -ndays 3");
    trust.add_ocsp(&answer, Timestamp::now()).unwrap();
    assert_eq!(trust.judge(&record, office.now).revocation, Revocation::NoCrl);
    // One answer may speak about several.
    let both = "-issuer ca.pem -cert second.pem -cert issuer.pem -ndays 3";
    let answer = office.respond("responder", both);
    trust.add_ocsp(&answer, Timestamp::now()).unwrap();
    let judged = trust.judge(&record, office.now).revocation;
    assert!(matches!(judged, Revocation::Good { .. }));
    assert_eq!(office.check(&answer), Ok(OcspStatus::Good));
    // Of the responder of another authority, nothing is taken.
    let mut stranger = TrustStore::new();
    stranger.add_anchor(LICENCES, office.certificate("other"));
    assert_eq!(stranger.add_ocsp(&answer, office.now), Err(OcspError::UnknownIssuer));
}

#[test]
fn only_who_was_authorised_by_that_ca_answers_for_it() {
    let office = Office::new();
    let refused = |error: OcspError| {
        let answer = office.answer("responder", "-ndays 3");
        assert_eq!(office.check(&answer), Err(error.clone()));
        assert_eq!(office.trust().add_ocsp(&answer, Timestamp::now()), Err(error));
    };
    // Without the purpose, with any purpose, with the purpose but by another CA.
    office.issue("responder", "ca", 0x53, "keyUsage=digitalSignature\n", "-days 20");
    refused(OcspError::ResponderNotAuthorised);
    office.issue("responder", "ca", 0x54, "extendedKeyUsage=2.5.29.37.0\n", "-days 20");
    refused(OcspError::ResponderNotAuthorised);
    office.issue(
        "responder",
        "ca",
        0x55,
        "keyUsage=keyCertSign\nextendedKeyUsage=OCSPSigning\n",
        "-days 20",
    );
    refused(OcspError::ResponderNotAuthorised);
    office.issue("responder", "other", 0x56, RESPONDER, "-days 20");
    refused(OcspError::ResponderNotAuthorised);
    let unknown = format!("{RESPONDER}1.2.3.4=critical,DER:0500\n");
    office.issue("responder", "ca", 0x59, &unknown, "-days 20");
    refused(OcspError::ResponderNotAuthorised);
    // Ended yesterday.
    office.issue("responder", "ca", 0x57, RESPONDER, "-days -1");
    let answer = office.answer("responder", "-ndays 3");
    let error = office.check(&answer).unwrap_err();
    assert!(matches!(error, OcspError::ResponderExpired { .. }), "{error:?}");

    // Without its certificate, nobody knows who it is.
    office.issue("responder", "ca", 0x58, RESPONDER, "-days 20");
    let answer = office.answer("responder", "-ndays 3 -resp_no_certs");
    assert_eq!(office.check(&answer), Err(OcspError::UnknownResponder));
    // Revoked by the CA's list.
    let list =
        office.list(&format!("{VALID}R\t351231235959Z\t260610000000Z\t58\tunknown\t/CN=r\n"));
    let answer = office.answer("responder", "-ndays 3");
    assert_eq!(office.check(&answer), Ok(OcspStatus::Good));
    let mut trust = office.trust();
    trust.add_crl(&list).unwrap();
    let epoch = trust.epoch();
    assert_eq!(trust.add_ocsp(&answer, Timestamp::now()), Err(OcspError::ResponderRevoked));
    assert_eq!(trust.epoch(), epoch);
}

#[test]
fn every_changed_bit_of_an_answer_shows() {
    let office = Office::new();
    // The issuer's own certificate, if it is there, is not looked at.
    for (signer, options) in [("ca", "-ndays 3 -resp_no_certs"), ("responder", "-ndays 3")] {
        let answer = office.answer(signer, options);
        let trust = office.trust();
        let mut held = trust.next();
        held.add_ocsp(&answer, Timestamp::now()).unwrap();
        for at in 0..answer.len() {
            for bit in [1, 0x20, 0x80] {
                let mut changed = answer.clone();
                changed[at] ^= bit;
                let mut trust = trust.next();
                assert!(
                    trust.add_ocsp(&changed, Timestamp::now()).is_err(),
                    "{signer} {at} {bit:x}"
                );
            }
        }
        for length in 0..answer.len() {
            assert!(office.check(&answer[..length]).is_err());
        }
    }
}

#[test]
fn answers_have_their_time() {
    let office = Office::new();
    let answer = office.answer("responder", "-ndays 3");
    let mut trust = office.trust();
    let early = office.days(-1);
    let error = trust.add_ocsp(&answer, early).unwrap_err();
    assert!(matches!(error, OcspError::NotYetValid { .. } | OcspError::ResponderExpired { .. }));
    let (issuer, ca) = (office.certificate("issuer"), office.certificate("ca"));
    let minutes = SignedDuration::from_mins;
    check_ocsp(&answer, &issuer, &ca, office.now + minutes(1)).unwrap();
    let error = check_ocsp(&answer, &issuer, &ca, office.days(4)).unwrap_err();
    assert!(matches!(error, OcspError::Stale { .. }), "{error:?}");
    // Kept and read again when it is over, even when the responder's certificate is: it is stale then.
    let record = office.record(&trust);
    trust.add_ocsp(&answer, office.days(100)).unwrap();
    let judged = trust.judge(&record, office.days(100)).revocation;
    assert!(matches!(judged, Revocation::Stale { .. }));
    assert_eq!(trust.ocsp_answers(office.days(100)), (1, 1));
    assert_eq!(trust.ocsp_answers(office.now), (1, 0));

    // Without nextUpdate it counts for a day.
    let answer = office.answer("ca", "");
    let said = check_ocsp(&answer, &issuer, &ca, Timestamp::now()).unwrap();
    assert_eq!(said.next_update, said.this_update + SignedDuration::from_hours(24));
}

#[test]
fn of_several_answers_the_newest_counts() {
    let office = Office::new();
    let revoked = "R\t351231235959Z\t260610000000Z\t4D\tunknown\t/CN=issuer\n";
    let good = office.answer("responder", "-ndays 3");
    // openssl writes whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    office.put("index.txt", revoked);
    let later = office.answer("ca", "-ndays 3");
    let is_revoked = |trust: &TrustStore, record: &ChainRecord| {
        matches!(trust.judge(record, office.days(1)).revocation, Revocation::Revoked { .. })
    };
    for order in [[&good, &later], [&later, &good]] {
        let mut trust = office.trust();
        let record = office.record(&trust);
        for (position, answer) in order.into_iter().enumerate() {
            let taken = trust.add_ocsp(answer, Timestamp::now());
            let older = position == 1 && answer == &good;
            assert_eq!(taken, if older { Err(OcspError::Older) } else { Ok(()) });
        }
        assert!(is_revoked(&trust, &record));
    }
}

#[test]
fn a_certificate_that_the_responder_does_not_know_is_judged_by_the_list() {
    let office = Office::new();
    let list = office.list(VALID);
    office.put("index.txt", VALID.replace("4D", "4F"));
    let answer = office.answer("responder", "-ndays 3");
    assert_eq!(office.check(&answer), Ok(OcspStatus::Unknown));
    let mut trust = office.trust();
    let record = office.record(&trust);
    trust.add_ocsp(&answer, Timestamp::now()).unwrap();
    let judged = trust.judge(&record, office.days(1)).revocation;
    assert!(matches!(judged, Revocation::Unknown { .. }), "{judged:?}");
    let times = Times::now(office.days(1));
    let assessed = trust.assess(&office.certificate("issuer"), &[], LICENCES, &times);
    assert_eq!(assessed.links.last().unwrap().code, "ocsp_unknown");
    trust.add_crl(&list).unwrap();
    let judged = trust.judge(&record, office.days(1)).revocation;
    assert!(matches!(judged, Revocation::Good { .. }), "{judged:?}");
    let judged = trust.judge(&record, office.days(6)).revocation;
    assert!(matches!(judged, Revocation::Stale { .. }), "{judged:?}");
}

#[test]
fn what_a_list_revoked_stays_revoked_unless_it_was_on_hold() {
    for (reason, good_again) in [("superseded", false), ("certificateHold", true)] {
        let office = Office::new();
        let list = office
            .list(&format!("R\t351231235959Z\t260610000000Z,{reason}\t4D\tunknown\t/CN=issuer\n"));
        std::thread::sleep(std::time::Duration::from_millis(1100));
        office.put("index.txt", VALID);
        let answer = office.answer("responder", "-ndays 3");
        let mut trust = office.trust();
        let record = office.record(&trust);
        trust.add_crl(&list).unwrap();
        let judge = |trust: &TrustStore, days| trust.judge(&record, office.days(days)).revocation;
        assert!(matches!(judge(&trust, 1), Revocation::Revoked { .. }));
        trust.add_ocsp(&answer, Timestamp::now()).unwrap();
        assert_eq!(matches!(judge(&trust, 1), Revocation::Good { .. }), good_again, "{reason}");
        // When the answer is over, the list counts again.
        assert!(matches!(judge(&trust, 4), Revocation::Revoked { .. }));
    }
}

/// A list leaves out what ended (RFC 5280, 3.3), and what was never on it.
#[test]
fn what_an_answer_revoked_stays_revoked_unless_it_was_on_hold() {
    let (root, issuer, trust) = issuer(Suite::EcdsaP256Sha256);
    let record = trust.verify_chain(issuer.certificate(), &[], LICENCES, now()).unwrap();
    let (from, until) = (time("2025-06-20T00:00:00Z"), time("2025-07-20T00:00:00Z"));
    let list = issue_crl(&root, 1, &[], from, until).unwrap();
    for (reason, good_again) in [(4, false), (1, false), (6, true)] {
        let reason = tlv(0xA0, &[&[0x0A, 1, reason]]);
        let revoked = tlv(0xA1, &[&moment("20250610000000Z"), &reason]);
        let single = single(root.certificate(), 2, &revoked, Some("20250616000000Z"), &[]);
        let answer = Made::new(&root, vec![single]).encode();
        let mut trust = trust.next();
        trust.add_ocsp(&answer, now()).unwrap();
        trust.add_crl(&list).unwrap();
        let judged = trust.judge(&record, time("2025-06-25T00:00:00Z")).revocation;
        assert_eq!(matches!(judged, Revocation::Good { .. }), good_again, "{judged:?}");
        assert_eq!(matches!(judged, Revocation::Revoked { .. }), !good_again, "{judged:?}");
    }
}

#[test]
fn what_a_responder_says_instead_of_an_answer_has_a_code() {
    // OCSPResponseStatus (RFC 6960, 4.2.1) without an answer.
    for (status, error) in [
        (1, OcspError::Refused { status: 1 }),
        (2, OcspError::TryLater),
        (3, OcspError::TryLater),
        (5, OcspError::Refused { status: 5 }),
        (6, OcspError::Refused { status: 6 }),
        (0, OcspError::Malformed),
    ] {
        let mut trust = TrustStore::new();
        let answer = [0x30, 3, 0x0A, 1, status];
        assert_eq!(trust.add_ocsp(&answer, Timestamp::now()), Err(error));
    }
    let large = vec![0x30; 256 * 1024 + 1];
    let error = TrustStore::new().add_ocsp(&large, Timestamp::now()).unwrap_err();
    assert_eq!(error.code(), "ocsp_too_large");
    // A certificate is no answer.
    let office = Office::new();
    let der = office.certificate("ca");
    let error = office.trust().add_ocsp(der.der(), office.now).unwrap_err();
    assert_eq!(error.code(), "ocsp_malformed");
}

/// An answer put together by hand: what `openssl ocsp` never says.
struct Made<'a> {
    issuer: &'a SigningIdentity,
    /// The members of `responses`.
    singles: Vec<Vec<u8>>,
    version: &'static [u8],
    /// The members of responseExtensions.
    extensions: Vec<u8>,
    kind: &'static str,
}

const GOOD: &[u8] = &[0x80, 0];
const UNKNOWN: &[u8] = &[0x82, 0];

impl<'a> Made<'a> {
    fn new(issuer: &'a SigningIdentity, singles: Vec<Vec<u8>>) -> Self {
        Self { issuer, singles, version: &[], extensions: vec![], kind: "1.3.6.1.5.5.7.48.1.1" }
    }

    fn encode(&self) -> Vec<u8> {
        let name = tlv(0xA1, &[&subject(self.issuer.certificate())]);
        let singles = tlv(0x30, &[&self.singles.concat()]);
        let mut data = vec![self.version.to_vec(), name, moment("20250615080000Z"), singles];
        if !self.extensions.is_empty() {
            data.push(tlv(0xA1, &[&tlv(0x30, &[&self.extensions])]));
        }
        let data = tlv(0x30, &[&data.concat()]);
        let algorithm = hex::decode(match self.issuer.signer().suite() {
            Suite::EcdsaP256Sha256 => "300a06082a8648ce3d040302",
            Suite::Ed25519 => "300506032b6570",
            _ => "300a06082a811ccf55018375",
        });
        let signature = self.issuer.signer().sign(&data).unwrap();
        let basic = tlv(0x30, &[&data, &algorithm.unwrap(), &tlv(3, &[&[0], &signature])]);
        let bytes = tlv(0x30, &[&oid(self.kind), &tlv(4, &[&basic])]);
        tlv(0x30, &[&[0x0A, 1, 0], &tlv(0xA0, &[&bytes])])
    }
}

/// A SingleResponse about this serial number, from 2025-06-14 on.
fn single(
    issuer: &Certificate,
    serial: u8,
    status: &[u8],
    next: Option<&str>,
    more: &[u8],
) -> Vec<u8> {
    let spki = SubjectPublicKeyInfoRef::from_der(issuer.spki()).unwrap();
    let (name, key) = (subject(issuer), spki.subject_public_key.raw_bytes());
    let id = tlv(
        0x30,
        &[
            &tlv(0x30, &[&oid("1.2.156.10197.1.401")]),
            &tlv(4, &[&Sm3::digest(name)]),
            &tlv(4, &[&Sm3::digest(key)]),
            &[2, 1, serial],
        ],
    );
    let next = next.map_or(vec![], |next| tlv(0xA0, &[&moment(next)]));
    let more = if more.is_empty() { vec![] } else { tlv(0xA1, &[&tlv(0x30, &[more])]) };
    tlv(0x30, &[&id, status, &moment("20250614000000Z"), &next, &more])
}

fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xFF] } else { &[] };
    tlv(0x30, &[&oid(kind), critical, &tlv(4, &[value])])
}

fn moment(text: &str) -> Vec<u8> {
    tlv(0x18, &[text.as_bytes()])
}

fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new(text).unwrap().to_der().unwrap()
}

fn subject(certificate: &Certificate) -> Vec<u8> {
    let parsed = x509_cert::Certificate::from_der(certificate.der()).unwrap();
    parsed.tbs_certificate().subject().to_der().unwrap()
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let length = der::Length::try_from(value.len()).unwrap().to_der().unwrap();
    [&[tag], length.as_slice(), &value].concat()
}

#[test]
fn answers_of_every_suite_and_form_are_read() {
    for suite in SUITES {
        let (root, issuer, trust) = issuer(suite);
        let (ca, leaf) = (root.certificate(), issuer.certificate());
        let revoked = tlv(0xA1, &[&moment("20250610000000Z")]);
        let compromised = tlv(0xA1, &[&moment("20250610000000Z"), &tlv(0xA0, &[&[0x0A, 1, 1]])]);
        let next = Some("20250620000000Z");
        let at = time("2025-06-10T00:00:00Z");
        let invalid = extension("2.5.29.24", false, &moment("20250301000000Z"));
        for (status, more, expected) in [
            (GOOD, &[][..], OcspStatus::Good),
            (UNKNOWN, &[], OcspStatus::Unknown),
            (&revoked, &[], OcspStatus::Revoked { at, since: at }),
            (&compromised, &[], OcspStatus::Revoked { at, since: Timestamp::MIN }),
            (
                &compromised,
                &invalid,
                OcspStatus::Revoked { at, since: time("2025-03-01T00:00:00Z") },
            ),
        ] {
            let mut made = Made::new(&root, vec![single(ca, 2, status, next, more)]);
            let said = check_ocsp(&made.encode(), leaf, ca, now()).unwrap();
            assert_eq!((said.status, said.next_update), (expected, time("2025-06-20T00:00:00Z")));
            trust.next().add_ocsp(&made.encode(), now()).unwrap();
            // The version written out, though it is the default; extensions that are known, or not critical.
            made.version = &[0xA0, 3, 2, 1, 0];
            let definition = extension("1.3.6.1.5.5.7.48.1.9", true, &[5, 0]);
            made.extensions = [definition, extension("1.2.3.4", false, &[5, 0])].concat();
            trust.next().add_ocsp(&made.encode(), now()).unwrap();
        }
    }
}

#[test]
fn answers_that_cannot_be_relied_on_are_refused_by_name() {
    let (root, _, trust) = issuer(Suite::EcdsaP256Sha256);
    let stranger = support::root(Suite::EcdsaP256Sha256, "别处");
    let ca = root.certificate();
    let about = |more: &[u8]| single(ca, 2, GOOD, Some("20250620000000Z"), more);
    let refused = |made: &Made<'_>, at: Timestamp| {
        trust.next().add_ocsp(&made.encode(), at).unwrap_err().code()
    };
    let made = Made::new(&root, vec![about(&[])]);
    trust.next().add_ocsp(&made.encode(), now()).unwrap();
    assert_eq!(refused(&Made::new(&root, vec![]), now()), "ocsp_empty");
    let other = single(stranger.certificate(), 2, GOOD, None, &[]);
    assert_eq!(
        refused(&Made::new(&root, vec![about(&[]), other.clone()]), now()),
        "ocsp_several_issuers"
    );
    assert_eq!(refused(&Made::new(&root, vec![other]), now()), "ocsp_unknown_issuer");
    let critical = extension("1.2.3.4", true, &[5, 0]);
    let unknown = Made::new(&root, vec![about(&critical)]);
    assert_eq!(refused(&unknown, now()), "ocsp_critical_extension");
    let mut unknown = Made::new(&root, vec![about(&[])]);
    unknown.extensions = critical.clone();
    assert_eq!(refused(&unknown, now()), "ocsp_critical_extension");
    unknown.extensions = extension("1.2.3.4", false, &[5, 0]).repeat(2);
    assert_eq!(refused(&unknown, now()), "ocsp_malformed");
    let other = Made { kind: "1.3.6.1.5.5.7.48.1.2", ..Made::new(&root, vec![about(&[])]) };
    assert_eq!(refused(&other, now()), "ocsp_unknown_kind");
    // By a key of the same name, by a stranger, from the future.
    let namesake = support::root(Suite::EcdsaP256Sha256, "样例根");
    assert_eq!(refused(&Made::new(&namesake, vec![about(&[])]), now()), "ocsp_bad_signature");
    assert_eq!(refused(&Made::new(&stranger, vec![about(&[])]), now()), "ocsp_unknown_responder");
    assert_eq!(refused(&made, time("2025-06-13T23:54:59Z")), "ocsp_not_yet_valid");
    trust.next().add_ocsp(&made.encode(), time("2025-06-13T23:55:00Z")).unwrap();
}

#[test]
fn of_answers_of_one_time_the_worst_counts() {
    let (root, issuer, trust) = issuer(Suite::Ed25519);
    let ca = root.certificate();
    let revoked = tlv(0xA1, &[&moment("20250610000000Z")]);
    let record = trust.verify_chain(issuer.certificate(), &[], LICENCES, now()).unwrap();
    let statuses: [&[u8]; 3] = [GOOD, UNKNOWN, &revoked];
    let said = |status: &[u8]| single(ca, 2, status, Some("20250620000000Z"), &[]);
    let word = |trust: &TrustStore| match trust.judge(&record, now()).revocation {
        Revocation::Good { .. } => 0,
        Revocation::Unknown { .. } => 1,
        Revocation::Revoked { .. } => 2,
        other => panic!("{other:?}"),
    };
    for (first, one) in statuses.into_iter().enumerate() {
        for (second, other) in statuses.into_iter().enumerate() {
            let mut apart = trust.next();
            apart.add_ocsp(&Made::new(&root, vec![said(one)]).encode(), now()).unwrap();
            let taken = apart.add_ocsp(&Made::new(&root, vec![said(other)]).encode(), now());
            assert_eq!(taken.is_err(), second < first);
            let mut together = trust.next();
            together
                .add_ocsp(&Made::new(&root, vec![said(one), said(other)]).encode(), now())
                .unwrap();
            assert_eq!((word(&apart), word(&together)), (first.max(second), first.max(second)));
        }
    }
}

/// RFC 5652, 5.1, `crls`, with OCSP answers as RFC 5940 puts them there.
#[test]
fn lists_and_answers_that_a_signature_carries_are_judged_with_it() {
    let office = Office::new();
    let key = office.read("issuer.key");
    let signer = SigningIdentity::from_pem(&office.read("issuer.pem"), &key).unwrap();
    let cms = certs::sign_detached(&signer, CONTENT, office.now).unwrap();
    let carrying = |stapled: &[Vec<u8>]| {
        let mut info = Vec::<Any>::from_der(&cms).unwrap();
        let mut data = Vec::<Any>::from_der(info[1].value()).unwrap();
        data.insert(4, Any::from_der(&tlv(0xA1, &[&stapled.concat()])).unwrap());
        info[1] = Any::from_der(&tlv(0xA0, &[&data.to_der().unwrap()])).unwrap();
        info.to_der().unwrap()
    };
    let stapled = |answer: &[u8]| tlv(0xA1, &[&oid("1.3.6.1.5.5.7.16.2"), answer]);
    let trust = office.trust();
    let word = |trust: &TrustStore, cms: &[u8], days: i64| {
        let times = Times::now(office.days(days));
        let verdict = certs::check_cms(cms, Some(CONTENT), trust, &times);
        verdict.signatures[0].links.last().unwrap().code
    };
    assert_eq!(word(&trust, &cms, 1), "crl_missing");
    let good = office.answer("responder", "-ndays 3");
    let with_answer = carrying(&[stapled(&good)]);
    assert_eq!(word(&trust, &with_answer, 1), "ok");
    assert_eq!(word(&trust, &with_answer, 4), "crl_stale");
    assert_eq!(word(&trust, &cms, 1), "crl_missing", "and the store is as before");
    let list = |index: &str| {
        let pem = String::from_utf8(office.list(index)).unwrap();
        der::pem::decode_vec(pem.as_bytes()).unwrap().1
    };
    let with_list = carrying(&[list(VALID)]);
    assert_eq!((word(&trust, &with_list, 1), word(&trust, &with_list, 6)), ("ok", "crl_stale"));
    // What the store knows is not undone by what is handed in.
    let revoked = list("R\t351231235959Z\t260610000000Z\t4D\tunknown\t/CN=issuer\n");
    let mut warned = trust.next();
    warned.add_crl(&revoked).unwrap();
    assert_eq!(word(&warned, &with_answer, 1), "certificate_revoked");
    assert_eq!(word(&trust, &carrying(&[stapled(&good), revoked]), 1), "certificate_revoked");
    // What cannot be read, or is by a stranger, counts for nothing.
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    for stapled in
        [stapled(&changed), tlv(0x30, &[]), tlv(0xA1, &[&oid("1.2.3.4"), &good]), vec![5, 0]]
    {
        assert_eq!(word(&trust, &carrying(&[stapled]), 1), "crl_missing");
    }
    let many: Vec<_> = std::iter::repeat_n(stapled(&changed), 16).chain([stapled(&good)]).collect();
    assert_eq!(word(&trust, &carrying(&many), 1), "crl_missing", "sixteen are looked at");
}
