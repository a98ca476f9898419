//! Bad input, from the list of what must be refused: each has a code and a link of its own, and words for people.

#[path = "support/drafting.rs"]
mod drafting;
#[path = "support/sealing.rs"]
mod sealing;
#[path = "support/stamping.rs"]
mod stamping;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use certs::ofd::pack;
use certs::{
    Assessment, Certificate, CrlError, FileVerdict, HashAlgorithm, Link, LinkVerdict, Outcome,
    Profile, SigningIdentity, Suite, Times, TrustStore, Usage, check_cms, issue_crl, sign_attached,
    timestamp, words,
};
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::{Decode, Encode};
use drafting::{CATALOG, Desk, Draft, FIELD, FORM, SIGNED_CATALOG, SIGNED_PAGE};
use jiff::Timestamp;
use sealing::{UNSIGNED, unpack};
use support::office::{ISSUER, Office, VALID};
use support::*;
use tempfile::TempDir;

const LICENCES: Usage = Usage::IssuingLicences;

/// What each bad input is refused with.
const EXPECTED: [(&str, Link, &str); 24] = [
    ("a certificate signed over MD5 or SHA-1", Link::Chain, "certificate_digest_weak"),
    ("a signature over MD5 or SHA-1", Link::Signature, "signature_digest_weak"),
    ("an RSA key under 2048 bits", Link::Certificate, "certificate_rsa_too_short"),
    ("a critical extension unknown", Link::Chain, "certificate_critical_extension"),
    ("a cycle of two CAs", Link::Chain, "certificate_unknown_issuer"),
    ("eight CAs that certify each other", Link::Chain, "certificate_budget"),
    ("a chain of 100", Link::Chain, "certificate_path_too_long"),
    ("a serial number among 10,000 revoked", Link::Revocation, "certificate_revoked"),
    ("a CRL of an issuer that nobody knows", Link::Revocation, "crl_unknown_issuer"),
    ("a CRL of an issuer of the same name", Link::Revocation, "crl_bad_signature"),
    ("an OCSP answer for another certificate", Link::Revocation, "ocsp_other_certificate"),
    ("a time-stamp over other bytes", Link::Time, "timestamp_other_bytes"),
    ("an OFD part outside the signature", Link::Coverage, "ofd_part_not_covered"),
    ("a zip bomb in OFD", Link::Format, "ofd_unpacked_too_large"),
    ("a path trick in OFD", Link::Format, "ofd_part_name"),
    ("a location in OFD that leads outside", Link::Format, "ofd_location_outside"),
    ("a DOCTYPE in OFD", Link::Format, "ofd_xml_doctype"),
    ("an XML entity in OFD", Link::Format, "ofd_xml_entity"),
    ("a PDF with a shadow", Link::Coverage, "pdf_changed_after_signing"),
    ("a PDF with a shadow that no table names", Link::Coverage, "pdf_bytes_added"),
    ("two signatures in CMS, one bad", Link::Signature, "signature_digest_mismatch"),
    ("two signatures in OFD, one bad", Link::Signature, "ofd_signature_wrong"),
    ("two signatures in PDF, one bad", Link::Coverage, "pdf_gap_not_signature"),
    ("a seal picture without a signature", Link::Seal, "ofd_seal_without_signature"),
];

fn expected(input: &str) -> (Link, &'static str) {
    let row = EXPECTED.iter().find(|row| row.0 == input);
    row.map(|row| (row.1, row.2)).unwrap_or_else(|| panic!("not in the list: {input}"))
}

/// The links that are broken.
fn broken<'a>(links: impl IntoIterator<Item = &'a LinkVerdict>) -> Vec<(Link, &'static str)> {
    let untrusted = links.into_iter().filter(|link| link.outcome == Outcome::Untrusted);
    untrusted.map(|link| (link.link, link.code)).collect()
}

/// The same of a whole file.
fn broken_in(verdict: &FileVerdict) -> Vec<(Link, &'static str)> {
    assert_eq!(verdict.outcome(), Outcome::Untrusted);
    broken(verdict.links.iter().chain(verdict.signatures.iter().flat_map(|found| &found.links)))
}

/// The outcome of each signature in a file.
fn outcomes(verdict: &FileVerdict) -> Vec<Outcome> {
    verdict.signatures.iter().map(|signature| signature.outcome()).collect()
}

fn assessed(office: &Office) -> Assessment {
    let times = Times::now(Timestamp::now());
    office.trust().assess(&office.certificate("issuer"), &[], LICENCES, &times)
}

/// * `others`: the CAs' certificates that come with the signer's.
fn refused(
    trust: &TrustStore,
    signer: &Certificate,
    others: &[Certificate],
) -> Vec<(Link, &'static str)> {
    let start = Instant::now();
    let found = broken(&trust.assess(signer, others, LICENCES, &Times::now(now())).links);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    found
}

#[test]
fn certificates_signed_over_md5_or_sha_1() {
    let office = Office::with_keys("RSA -pkeyopt rsa_keygen_bits:2048");
    assert_eq!(broken(&assessed(&office).links), []);
    for digest in ["-md5", "-sha1"] {
        office.issue("issuer", "ca", 0x4D, ISSUER, &format!("-days 20 {digest}"));
        let expected = expected("a certificate signed over MD5 or SHA-1");
        assert_eq!(broken(&assessed(&office).links), [expected], "{digest}");
    }
}

#[test]
fn signatures_over_md5_or_sha_1() {
    let office = Office::with_keys("RSA -pkeyopt rsa_keygen_bits:2048");
    office.put("content", CONTENT);
    for digest in ["md5", "sha1"] {
        office.run(&format!(
            "openssl cms -sign -binary -md {digest} -in content -signer issuer.pem -inkey \
             issuer.key -outform DER -out weak.cms"
        ));
        let times = Times::now(Timestamp::now());
        let verdict = check_cms(&office.read("weak.cms"), Some(CONTENT), &office.trust(), &times);
        assert_eq!(broken_in(&verdict), [expected("a signature over MD5 or SHA-1")], "{digest}");
    }
}

#[test]
fn rsa_keys_under_2048_bits() {
    let office = Office::new();
    // Of the signer, and of a CA above another signer.
    for bits in [512, 1024, 2047] {
        office.run(&format!(
            "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out issuer.key"
        ));
        office.run("openssl req -new -key issuer.key -subj /CN=issuer -out issuer.csr");
        office.issue("issuer", "ca", 0x4D, ISSUER, "-days 20");
        let expected = expected("an RSA key under 2048 bits");
        assert_eq!(broken(&assessed(&office).links), [expected], "{bits}");
    }
    let ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
    office.issue("issuer", "ca", 0x4D, ca, "-days 20");
    office.issue("other", "issuer", 0x4E, ISSUER, "-days 20");
    let times = Times::now(Timestamp::now());
    let between = [office.certificate("issuer")];
    let found = office.trust().assess(&office.certificate("other"), &between, LICENCES, &times);
    assert_eq!(broken(&found.links), [expected("an RSA key under 2048 bits")]);
}

#[test]
fn a_critical_extension_unknown() {
    let office = Office::new();
    let extended = |criticality: &str| {
        let extensions = format!("{ISSUER}1.2.3.4.5={criticality}ASN1:NULL\n");
        office.issue("issuer", "ca", 0x4D, &extensions, "-days 20");
        broken(&assessed(&office).links)
    };
    assert_eq!(extended(""), []);
    assert_eq!(extended("critical,"), [expected("a critical extension unknown")]);
}

#[test]
fn a_cycle_of_cross_certified_cas() {
    let stranger = root(Suite::Ed25519, "样例根");
    for (count, input) in [(2, "a cycle of two CAs"), (8, "eight CAs that certify each other")] {
        let (authorities, others) = cross_certified(count);
        let signer = template("签发", Profile::LicenceIssuer, 2);
        let (signer, _) = issue_from(&authorities[0], Suite::Ed25519, &signer);
        assert_eq!(refused(&trusting(&stranger), &signer, &others), [expected(input)]);
        // Where one of them is trusted the others do no harm.
        assert_eq!(refused(&trusting(&authorities[1]), &signer, &others), []);
    }
}

#[test]
fn a_chain_of_100_certificates() {
    let root = root(Suite::Ed25519, "样例根");
    let mut authorities: Vec<SigningIdentity> = vec![];
    for level in 1..100_u64 {
        let above = authorities.last().unwrap_or(&root);
        let template = template(&format!("第{level}级"), Profile::Ca, level + 1);
        let (certificate, key) = issue_from(above, Suite::Ed25519, &template);
        authorities.push(SigningIdentity::new(vec![certificate], Box::new(key)).unwrap());
    }
    let signer = template("签发", Profile::LicenceIssuer, 200);
    let (signer, _) = issue_from(&authorities[98], Suite::Ed25519, &signer);
    let others: Vec<_> = authorities.iter().map(|ca| ca.certificate().clone()).collect();
    assert_eq!(refused(&trusting(&root), &signer, &others), [expected("a chain of 100")]);
}

#[test]
fn a_crl_with_10_000_entries_is_read_and_asked_in_time() {
    let (root, issuer, mut trust) = issuer(Suite::EcdsaP256Sha256);
    let revoked: Vec<_> =
        (2..10_002_u64).map(|serial| (serial.to_be_bytes().to_vec(), now())).collect();
    let (from, until) = (time("2025-06-01T00:00:00Z"), time("2025-07-01T00:00:00Z"));
    let list = issue_crl(&root, 1, &revoked, from, until).unwrap();
    let start = Instant::now();
    trust.add_crl(&list).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(trust.crls()[0].entries, 10_000);
    let expected = expected("a serial number among 10,000 revoked");
    assert_eq!(refused(&trust, issuer.certificate(), &[]), [expected]);
    let other = below(&root, Suite::Ed25519, &template("签发", Profile::LicenceIssuer, 10_002));
    assert_eq!(refused(&trust, other.certificate(), &[]), []);
}

#[test]
fn a_crl_of_the_wrong_issuer() {
    let (from, until) = (time("2025-06-01T00:00:00Z"), time("2025-07-01T00:00:00Z"));
    let (root_here, issuer, mut trust) = issuer(Suite::EcdsaP256Sha256);
    for (name, input) in [
        ("别处根", "a CRL of an issuer that nobody knows"),
        ("样例根", "a CRL of an issuer of the same name"),
    ] {
        let other = root(Suite::EcdsaP256Sha256, name);
        let list = issue_crl(&other, 1, &[(vec![2], now())], from, until).unwrap();
        let error: CrlError = trust.add_crl(&list).unwrap_err();
        assert_eq!((error.link(), error.code()), expected(input));
    }
    // It revokes nothing, and keeps no list of the right issuer out.
    assert_eq!(refused(&trust, issuer.certificate(), &[]), []);
    trust.add_crl(&issue_crl(&root_here, 1, &[(vec![2], now())], from, until).unwrap()).unwrap();
    let expected = expected("a serial number among 10,000 revoked");
    assert_eq!(refused(&trust, issuer.certificate(), &[]), [expected]);
}

#[test]
fn an_ocsp_answer_for_another_certificate() {
    let office = Office::new();
    office.run("openssl req -new -key issuer.key -subj /CN=second -out second.csr");
    office.issue("second", "ca", 0x4E, ISSUER, "-days 20");
    office.put("index.txt", format!("{VALID}V\t351231235959Z\t\t4E\tunknown\t/CN=second\n"));
    let answer = office.respond("responder", "-issuer ca.pem -cert second.pem -ndays 3");
    let error = office.check(&answer).unwrap_err();
    assert_eq!((error.link(), error.code()), expected("an OCSP answer for another certificate"));
}

#[test]
fn a_time_stamp_over_other_bytes() {
    let folder = TempDir::new().unwrap();
    stamping::prepare(folder.path());
    let key = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    let usage = "critical,timeStamping";
    stamping::authority(folder.path(), "tsa", key, usage, "250101000000Z", "350101000000Z");
    let digest = HashAlgorithm::Sha256.digest(&[b"other bytes"]);
    let request = timestamp::request(&digest, HashAlgorithm::Sha256, None, None);
    let answer = stamping::answer(folder.path(), "tsa", &request);
    let token = timestamp::read_answer(&answer).unwrap();
    let mut trust = TrustStore::new();
    let anchor = std::fs::read(folder.path().join("ca.pem")).unwrap();
    trust.add_anchor(Usage::TimeStamping, Certificate::from_pem(&anchor).unwrap());
    let times = Times::now(Timestamp::now());
    timestamp::verify(&token, b"other bytes", &trust, &times).unwrap();
    let error = timestamp::verify(&token, CONTENT, &trust, &times).unwrap_err();
    assert_eq!((error.link(), error.code()), expected("a time-stamp over other bytes"));
}

/// A sealed file in parts, the office that sealed it, and what speaks against it after a change.
fn sealed_and(change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Vec<(Link, &'static str)> {
    let office = sealing::Office::new(Suite::EcdsaP256Sha256);
    let mut parts = unpack(&office.sealed(UNSIGNED, &office.seal(|_| ())));
    let times = Times::now(now());
    let honest = certs::ofd::check(&pack(&parts), &office.trust, &times);
    assert_eq!(honest.outcome(), Outcome::Trusted);
    change(&mut parts);
    let file = pack(&parts);
    let start = Instant::now();
    let verdict = certs::ofd::check(&file, &office.trust, &times);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    broken_in(&verdict)
}

/// The same, with one part more.
fn sealed_with(name: &str, bytes: Vec<u8>) -> Vec<(Link, &'static str)> {
    sealed_and(|parts| drop(parts.insert(name.to_owned(), bytes)))
}

/// The same, with other words in a part.
fn sealed_saying(part: &str, from: &str, to: &str) -> Vec<(Link, &'static str)> {
    sealed_and(|parts| {
        let bytes = parts.get_mut(part).unwrap();
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        assert!(text.contains(from), "{text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
    })
}

#[test]
fn ofd_parts_outside_the_signature() {
    let found = sealed_with("Doc_0/Pages/Page_1/Content.xml", b"<ofd:Page/>".to_vec());
    assert_eq!(found, [expected("an OFD part outside the signature")]);
}

#[test]
fn a_zip_bomb_in_ofd() {
    let found = sealed_with("Doc_0/Res/bomb.bin", vec![0; 65 << 20]);
    assert_eq!(found, [expected("a zip bomb in OFD")]);
}

#[test]
fn path_tricks_in_ofd() {
    for name in ["/etc/passwd", "../OFD.xml", "Doc_0/../../x", "Doc_0\\..\\x", "C:\\x"] {
        let found = sealed_with(name, b"text".to_vec());
        assert_eq!(found, [expected("a path trick in OFD")], "{name}");
    }
    let description = "Doc_0/Signs/Sign_0/Signature.xml";
    for to in ["\"../../../../OFD.xml\"", "\"/../OFD.xml\""] {
        let found = sealed_saying(description, "\"/OFD.xml\"", to);
        assert_eq!(found, [expected("a location in OFD that leads outside")], "{to}");
    }
}

#[test]
fn xml_entities_and_doctypes_in_ofd() {
    let head = "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><ofd:OFD ";
    let found = sealed_saying("OFD.xml", "<ofd:OFD ", head);
    assert_eq!(found, [expected("a DOCTYPE in OFD")]);
    let found = sealed_saying("OFD.xml", "OFD R&amp;W", "&a;");
    assert_eq!(found, [expected("an XML entity in OFD")]);
}

/// Of a document signed as `draft` is now, what speaks against it after a change.
fn shadowed(
    desk: &Desk,
    mut draft: Draft,
    change: impl FnOnce(&mut Draft),
) -> (Link, &'static str) {
    draft.sign(&desk.key, FORM, drafting::as_it_should_be);
    assert_eq!(desk.judge(&draft).outcome(), Outcome::Trusted);
    change(&mut draft);
    let found = broken_in(&desk.judge(&draft));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

/// Mainka, Mladenov and Rohlmann, Shadow Attacks (2021): what is to be seen later is there when it is signed.
#[test]
fn a_pdf_with_a_shadow_signature() {
    let desk = Desk::new();
    let text = |words: &str| format!("<< /Length 7 >>\nstream\n% {words} \nendstream");
    let stream = |words: &str| -> String { text(words) };
    let (page, evil) = (stream("page"), stream("evil"));
    let shadow = expected("a PDF with a shadow");

    // Hide: the overlay that hid the text when it was signed is taken away.
    let mut draft = Draft::unsigned();
    draft.revision(&[(4, &evil), (20, &page)], "");
    let hide = |draft: &mut Draft| draft.revision(&[(20, "null")], "");
    assert_eq!(shadowed(&desk, draft.clone(), hide), shadow);
    let hide = |draft: &mut Draft| draft.section("20 1\n0000000000 00001 f \n", "");
    assert_eq!(shadowed(&desk, draft.clone(), hide), shadow);

    // Replace: what seems to show nothing, a font or a form's face, is another one.
    let replace = |draft: &mut Draft| draft.revision(&[(20, &evil)], "");
    assert_eq!(shadowed(&desk, draft.clone(), replace), shadow);

    // Hide and replace: a second document lies inside, and the new table leads to it.
    let mut draft = Draft::unsigned();
    let hidden = draft.bytes.len();
    draft.revision(&[(4, &evil)], "");
    draft.revision(&[(4, &page)], "");
    let switch = |draft: &mut Draft| draft.section(&format!("4 1\n{hidden:010} 00000 n \n"), "");
    assert_eq!(shadowed(&desk, draft, switch), shadow);
    let mut draft = Draft::unsigned();
    draft.revision(&[(30, CATALOG)], "");
    let switch = |draft: &mut Draft| draft.revision(&[(31, "null")], "/Root 30 0 R");
    assert_ne!(shadowed(&desk, draft, switch).1, "");

    // An object that no table names, for programs that repair files.
    let unlisted = |draft: &mut Draft| {
        draft.bytes.extend(format!("4 0 obj\n{evil}\nendobj\n").bytes());
        draft.section("0 0\n", "");
    };
    let found = shadowed(&desk, Draft::unsigned(), unlisted);
    assert_eq!(found, expected("a PDF with a shadow that no table names"));
}

#[test]
fn two_signatures_in_a_pdf_of_which_one_is_bad() {
    let desk = Desk::new();
    let mut draft = desk.signed();
    let form = SIGNED_CATALOG.replace("[5 0 R]", "[5 0 R 30 0 R]");
    let page = SIGNED_PAGE.replace("[5 0 R]", "[5 0 R 30 0 R]");
    let field = FIELD.replace("Seal", "Next").replace("6 0 R", "31 0 R");
    let cms = hex::encode(certs::sign_detached(&desk.key, b"other bytes", now()).unwrap());
    let value = format!("<< /Type /Sig {FORM} /ByteRange [0 1 2 3] /Contents <{cms}> >>");
    draft.revision(&[(1, &form), (3, &page), (30, &field), (31, &value)], "");
    let verdict = desk.judge(&draft);
    assert_eq!(outcomes(&verdict), [Outcome::Trusted, Outcome::Untrusted]);
    assert_eq!(broken_in(&verdict), [expected("two signatures in PDF, one bad")]);
}

#[test]
fn two_signatures_in_an_ofd_of_which_one_is_bad() {
    let office = sealing::Office::new(Suite::EcdsaP256Sha256);
    let seal = office.seal(|_| ());
    let twice = office.sealed(&office.sealed(UNSIGNED, &seal), &seal);
    let times = Times::now(now());
    for bad in [0, 1] {
        let part = format!("Doc_0/Signs/Sign_{bad}/SignedValue.dat");
        let file = sealing::changed(&twice, &part, |bytes| *bytes.last_mut().unwrap() ^= 1);
        let verdict = certs::ofd::check(&file, &office.trust, &times);
        assert!(broken_in(&verdict).contains(&expected("two signatures in OFD, one bad")));
        assert_eq!(verdict.signatures[bad].outcome(), Outcome::Untrusted);
    }
}

#[test]
fn two_signatures_in_a_cms_of_which_one_is_bad() {
    let (root, first, mut trust) = issuer(Suite::EcdsaP256Sha256);
    let second = below(&root, Suite::EcdsaP256Sha256, &template("二", Profile::LicenceIssuer, 5));
    let list = issue_crl(&root, 1, &[], now(), time("2025-07-01T00:00:00Z")).unwrap();
    trust.add_crl(&list).unwrap();
    let parse = |identity: &SigningIdentity, content: &[u8]| {
        let cms = sign_attached(identity, content, now()).unwrap();
        let info = ContentInfo::from_der(&cms).unwrap();
        info.content.decode_as::<SignedData>().unwrap()
    };
    let judged = |signed_by_second: &[u8]| {
        let mut both = parse(&first, CONTENT);
        let other = parse(&second, signed_by_second);
        both.signer_infos.0.insert(other.signer_infos.0.get(0).unwrap().clone()).unwrap();
        for certificate in other.certificates.unwrap().0.iter() {
            both.certificates.as_mut().unwrap().0.insert(certificate.clone()).unwrap();
        }
        let content_type = "1.2.840.113549.1.7.2".parse().unwrap();
        let content = der::Any::encode_from(&both).unwrap();
        let cms = ContentInfo { content_type, content }.to_der().unwrap();
        check_cms(&cms, None, &trust, &Times::now(now()))
    };
    assert_eq!(outcomes(&judged(CONTENT)), [Outcome::Trusted; 2]);
    let verdict = judged(b"other bytes");
    let mut found = outcomes(&verdict);
    found.sort_by_key(|outcome| outcome.word());
    assert_eq!(found, [Outcome::Trusted, Outcome::Untrusted]);
    assert_eq!(broken_in(&verdict), [expected("two signatures in CMS, one bad")]);
}

#[test]
fn a_seal_picture_without_a_signature() {
    let office = sealing::Office::new(Suite::EcdsaP256Sha256);
    let mut parts = unpack(UNSIGNED);
    parts.insert("Doc_0/Res/Seal.esl".into(), office.seal(|_| ()));
    let verdict = certs::ofd::check(&pack(&parts), &office.trust, &Times::now(now()));
    assert_eq!(broken_in(&verdict), [expected("a seal picture without a signature")]);
    let found = sealed_and(|parts| drop(parts.remove("Doc_0/Signs/Sign_0/SignedValue.dat")));
    assert_eq!(found, [expected("a seal picture without a signature")]);
}

#[test]
fn each_has_a_code_of_its_own_and_words_in_both_languages() {
    let codes: BTreeSet<_> = EXPECTED.iter().map(|row| row.2).collect();
    assert_eq!(codes.len(), EXPECTED.len());
    let mut said = BTreeSet::new();
    for (input, link, code) in EXPECTED {
        let found = words(code).unwrap_or_else(|| panic!("{input}: no words for {code}"));
        assert!(!found.zh.is_ascii() && found.en.is_ascii() && !found.en.is_empty(), "{code}");
        assert!(!link.name_zh().is_empty());
        assert!(said.insert(found.zh) && said.insert(found.en), "{code} says what another says");
    }
}
