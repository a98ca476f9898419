//! The SM suite against a foreign program and foreign bytes: chains of three with lists, in both directions
//! with `gmssl`; containers with the content types of GM/T 0010; and one test for each deviation that is seen
//! in the wild, made by changing a container that `gmssl` or we made.

mod support;

use std::path::Path;
use std::sync::LazyLock;

use certs::{
    CertIssuer, Certificate, CertificateTemplate, Profile, Revocation, SignatureError,
    SigningIdentity, Suite, TrustStore, Usage, check_signature, cms_from_pem, cms_to_pem,
    issue_certificate, issue_crl, sign_attached, sign_detached, verify_detached,
};
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerInfo};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode};
use jiff::{SignedDuration, Timestamp};
use sm2::dsa::signature::Signer as _;
use spki::AlgorithmIdentifierOwned;
use support::*;
use tempfile::TempDir;

const LICENCES: Usage = Usage::IssuingLicences;
const ID_DATA: &str = "1.2.840.113549.1.7.1";
const ID_SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const GM_DATA: &str = "1.2.156.10197.6.1.4.2.1";
const GM_SIGNED_DATA: &str = "1.2.156.10197.6.1.4.2.2";
const SM3: &str = "1.2.156.10197.1.401";
const SM3_KEYED: &str = "1.2.156.10197.1.401.2";
const SM2_WITH_SM3: &str = "1.2.156.10197.1.501";
const SM2_SIGN: &str = "1.2.156.10197.1.301.1";

/// Where `gmssl` works: it reads the clock, so everything is valid now.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        desk.put("licence", CONTENT);
        desk
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem(&self.read(name)).unwrap()
    }

    fn run(&self, line: &str) -> String {
        run(self.0.path(), line).unwrap()
    }

    /// gmssl reports some failures with success.
    fn accepts(&self, line: &str) -> bool {
        run(self.0.path(), line).is_ok_and(|said| said.contains("success") || said.contains("true"))
    }

    /// Root, middle and issuer, made by gmssl alone.
    fn theirs(&self) -> TrustStore {
        let authority = "-key_usage keyCertSign -key_usage cRLSign -ca -gen_subject_key_id";
        for line in [
            "gmssl sm2keygen -pass 1234 -out root.key -pubout root.pub".to_owned(),
            format!(
                "gmssl certgen -C CN -O root -CN root -serial_len 12 -days 9 -key root.key -pass 1234 \
                 -out root.pem {authority} -path_len_constraint 6"
            ),
            "gmssl sm2keygen -pass 1234 -out middle.key -pubout middle.pub".to_owned(),
            "gmssl reqgen -C CN -O middle -CN middle -key middle.key -pass 1234 -out middle.csr".to_owned(),
            format!(
                "gmssl reqsign -in middle.csr -serial_len 12 -days 8 {authority} -path_len_constraint 0 \
                 -gen_authority_key_id -cacert root.pem -key root.key -pass 1234 -out middle.pem"
            ),
            "gmssl sm2keygen -pass 1234 -out issuer.key -pubout issuer.pub".to_owned(),
            "gmssl reqgen -C CN -O issuer -CN issuer -key issuer.key -pass 1234 -out issuer.csr".to_owned(),
            "gmssl reqsign -in issuer.csr -serial_len 12 -days 7 -key_usage digitalSignature \
             -gen_authority_key_id -gen_subject_key_id -cacert middle.pem -key middle.key -pass 1234 \
             -out issuer.pem"
                .to_owned(),
        ] {
            self.run(&line);
        }
        let mut trust = TrustStore::new();
        trust.add_anchor(LICENCES, self.certificate("root.pem"));
        trust.add_intermediate(self.certificate("middle.pem"));
        trust
    }

    /// A list by gmssl of the certificates named, at least one, as `{authority}.crl`.
    fn list(&self, authority: &str, revoked: &[(&str, &str)]) -> Vec<u8> {
        let mut entries = Vec::new();
        for (name, reason) in revoked {
            // It would be appended to.
            let _ = std::fs::remove_file(self.0.path().join("entry"));
            self.run(&format!("gmssl certrevoke -in {name}.pem -reason {reason} -out entry"));
            entries.extend(self.read("entry"));
        }
        self.put("entries", &entries);
        self.run(&format!(
            "gmssl crlgen -in entries -cacert {authority}.pem -key {authority}.key -pass 1234 \
             -next_update 20991231000000Z -out {authority}.crl -gen_authority_key_id -crl_num 1"
        ));
        self.read(&format!("{authority}.crl"))
    }

    /// A container by gmssl over the licence.
    fn signed(&self) -> Vec<u8> {
        self.run(
            "gmssl cmssign -key issuer.key -pass 1234 -cert issuer.pem -in licence -out cms.pem",
        );
        cms_from_pem(&self.read("cms.pem")).unwrap()
    }
}

/// Root, middle and issuer of ours, valid now; on the desk as `root.pem` and `chain.pem`.
fn ours(desk: &Desk) -> [SigningIdentity; 3] {
    let now = Timestamp::now();
    let around = SignedDuration::from_hours(24);
    let valid = |name: &str, profile, serial| CertificateTemplate {
        not_before: now - around,
        not_after: now + around,
        ..template(name, profile, serial)
    };
    let signer = key(Suite::Sm2Sm3);
    let own = valid("样例根", Profile::Ca, 1);
    let spki = certs::Signer::spki(&signer);
    let certificate = issue_certificate(&own, &spki, CertIssuer::SelfSigned(&signer)).unwrap();
    let root = SigningIdentity::new(vec![certificate], Box::new(signer)).unwrap();
    let middle = below(&root, Suite::Sm2Sm3, &valid("样例中级", Profile::Ca, 2));
    let issuer = below(&middle, Suite::Sm2Sm3, &valid("样例签发", Profile::LicenceIssuer, 3));
    desk.put("root.pem", root.certificate().to_pem());
    desk.put("middle.pem", middle.certificate().to_pem());
    desk.put("issuer.pem", issuer.certificate().to_pem());
    desk.put("chain.pem", [issuer.certificate().to_pem(), middle.certificate().to_pem()].concat());
    [root, middle, issuer]
}

#[test]
fn chains_of_three_hold_for_gmssl_and_for_us_and_fail_for_both() {
    let desk = Desk::new();
    let verify = "gmssl certverify -in chain.pem -cacert root.pem";
    let accepted = |certificate: &Certificate| {
        let mut trust = TrustStore::new();
        trust.add_anchor(LICENCES, desk.certificate("root.pem"));
        let others = [desk.certificate("middle.pem")];
        trust.verify_chain(certificate, &others, LICENCES, Timestamp::now()).is_ok()
    };
    for made_by in ["gmssl", "us"] {
        if made_by == "us" {
            ours(&desk);
        } else {
            desk.theirs();
            desk.put("chain.pem", [desk.read("issuer.pem"), desk.read("middle.pem")].concat());
        }
        let issuer = desk.certificate("issuer.pem");
        assert!(accepted(&issuer), "{made_by}");
        assert!(desk.accepts(verify), "{made_by}");
        // In the name, the key and the signature.
        let length = issuer.der().len();
        for at in [length / 4, length / 2, length - 40, length - 3] {
            let mut changed = issuer.der().to_vec();
            changed[at] ^= 1;
            let Ok(changed) = Certificate::from_der(&changed) else { continue };
            assert!(!accepted(&changed), "{made_by} {at}");
            desk.put(
                "chain.pem",
                [changed.to_pem().into_bytes(), desk.read("middle.pem")].concat(),
            );
            assert!(!desk.accepts(verify), "{made_by} {at}");
        }
    }
}

#[test]
fn lists_of_gmssl_at_each_level_are_judged() {
    let desk = Desk::new();
    let trust = desk.theirs();
    let issuer = desk.certificate("issuer.pem");
    let record = trust.verify_chain(&issuer, &[], LICENCES, Timestamp::now()).unwrap();
    let judge = |trust: &TrustStore| {
        trust.judge(&record, Timestamp::now() + SignedDuration::from_mins(1)).revocation
    };
    let mut sparing = trust.next();
    sparing.add_crl(&desk.list("root", &[("issuer", "superseded")])).unwrap();
    assert_eq!(judge(&sparing), Revocation::NoCrl, "nothing of the middle's yet");
    sparing.add_crl(&desk.list("middle", &[("middle", "superseded")])).unwrap();
    assert!(matches!(judge(&sparing), Revocation::Good { .. }), "{:?}", judge(&sparing));

    let mut leaf = sparing.next();
    leaf.add_crl(&desk.list("middle", &[("issuer", "superseded")])).unwrap();
    let Revocation::Revoked { at, since } = judge(&leaf) else { panic!("{:?}", judge(&leaf)) };
    assert_eq!(at, since);
    let mut middle = sparing.next();
    let list = desk.list("root", &[("issuer", "superseded"), ("middle", "cACompromise")]);
    middle.add_crl(&list).unwrap();
    let judged = judge(&middle);
    let Revocation::Revoked { since, .. } = judged else { panic!("{judged:?}") };
    assert_eq!(since, Timestamp::MIN);

    // A changed list is no list, for gmssl neither.
    assert!(desk.accepts("gmssl crlverify -in root.crl -cacert root.pem"));
    for at in [list.len() / 3, list.len() / 2, list.len() - 5] {
        let mut changed = list.clone();
        changed[at] ^= 1;
        trust.next().add_crl(&changed).unwrap_err();
        desk.put("changed.crl", &changed);
        assert!(!desk.accepts("gmssl crlverify -in changed.crl -cacert root.pem"), "{at}");
    }
}

#[test]
fn our_lists_of_each_level_hold_for_gmssl() {
    let desk = Desk::new();
    let [root, middle, _] = ours(&desk);
    let (now, day) = (Timestamp::now(), SignedDuration::from_hours(24));
    for (authority, name) in [(&root, "root"), (&middle, "middle")] {
        let revoked: Vec<_> = (1..200_u8).map(|serial| (vec![serial, 0x80], now - day)).collect();
        for revoked in [&revoked[..0], &revoked] {
            let list = issue_crl(authority, 1, revoked, now, now + day).unwrap();
            desk.put("list", list);
            assert!(
                desk.accepts(&format!("gmssl crlverify -in list -cacert {name}.pem")),
                "{name}"
            );
        }
    }
    assert!(!desk.accepts("gmssl crlverify -in list -cacert root.pem"));
}

#[test]
fn containers_of_gm_t_0010_go_both_ways_below_a_chain() {
    let desk = Desk::new();
    let trust = desk.theirs();
    let cms = desk.signed();
    let info = ContentInfo::from_der(&cms).unwrap();
    assert_eq!(info.content_type, oid(GM_SIGNED_DATA));
    let data: SignedData = info.content.decode_as().unwrap();
    assert_eq!(data.encap_content_info.econtent_type, oid(GM_DATA));
    let verified = verify_detached(&cms, CONTENT, &trust, Timestamp::now()).unwrap();
    assert_eq!(verified.chain.certificates.len(), 2);

    let [_, _, issuer] = ours(&desk);
    let cms = sign_attached(&issuer, CONTENT, Timestamp::now()).unwrap();
    desk.put("cms.pem", cms_to_pem(&cms));
    assert!(desk.accepts("gmssl cmsverify -in cms.pem -out out"));
    assert_eq!(desk.read("out"), CONTENT);
    // Both with the types of GM/T 0010, with attributes and without.
    for cms in [cms, sign_detached(&issuer, CONTENT, Timestamp::now()).unwrap()] {
        let info = ContentInfo::from_der(&cms).unwrap();
        assert_eq!(info.content_type, oid(GM_SIGNED_DATA));
        check_signature(&cms, CONTENT).unwrap();
    }
}

/// A container by gmssl with a change that its signature does not cover is accepted; over other content, or
/// with another signature, it is not.
fn tolerated(change: impl Fn(&mut SignedData, &mut SignerInfo)) {
    /// Made once: the container, and a store that trusts its signer.
    static THEIRS: LazyLock<(Vec<u8>, TrustStore)> = LazyLock::new(|| {
        let desk = Desk::new();
        let trust = desk.theirs();
        (desk.signed(), trust)
    });
    let (cms, trust) = &*THEIRS;
    let cms = changed(cms, &change);
    verify_detached(&cms, CONTENT, trust, Timestamp::now()).unwrap();
    let at = cms.windows(CONTENT.len()).position(|window| window == CONTENT).unwrap();
    let mut other = cms.clone();
    other[at] ^= 1;
    let content = other[at..at + CONTENT.len()].to_vec();
    assert_eq!(check_signature(&other, &content).err(), Some(SignatureError::BadSignature));

    // The same in a container with signed attributes, which gmssl does not make.
    let (_, issuer, trust) = issuer(Suite::Sm2Sm3);
    let cms = changed(&sign_detached(&issuer, CONTENT, now()).unwrap(), &change);
    verify_detached(&cms, CONTENT, &trust, now()).unwrap();
    assert_eq!(check_signature(&cms, b"other").err(), Some(SignatureError::DigestMismatch));
}

#[test]
fn a_null_after_sm2_with_sm3_is_read() {
    tolerated(|_, signer| signer.signature_algorithm = algorithm(SM2_WITH_SM3, true));
}

#[test]
fn sm2_alone_as_signature_algorithm_is_read() {
    tolerated(|_, signer| signer.signature_algorithm = algorithm(SM2_SIGN, false));
    tolerated(|_, signer| signer.signature_algorithm = algorithm(SM2_SIGN, true));
}

#[test]
fn the_keyed_sm3_is_read_as_sm3() {
    tolerated(|data, signer| digests(data, signer, &algorithm(SM3_KEYED, false)));
    tolerated(|data, signer| digests(data, signer, &algorithm(SM3_KEYED, true)));
}

#[test]
fn sm3_as_digest_algorithm_is_read_with_null_and_without() {
    tolerated(|data, signer| digests(data, signer, &algorithm(SM3, false)));
    tolerated(|data, signer| digests(data, signer, &algorithm(SM3, true)));
}

#[test]
fn sm2_with_sm3_as_digest_algorithm_is_read_as_sm3() {
    tolerated(|data, signer| digests(data, signer, &algorithm(SM2_WITH_SM3, false)));
    tolerated(|data, signer| digests(data, signer, &algorithm(SM2_WITH_SM3, true)));
}

#[test]
fn another_digest_with_sm2_is_refused() {
    let (_, issuer, _) = issuer(Suite::Sm2Sm3);
    let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
    for (other, code) in [
        ("2.16.840.1.101.3.4.2.1", "signature_algorithm_mismatch"),
        ("1.3.14.3.2.26", "signature_digest_weak"),
        ("1.2.840.113549.2.5", "signature_digest_weak"),
    ] {
        let cms = changed(&cms, |data, signer| digests(data, signer, &algorithm(other, true)));
        let error = check_signature(&cms, CONTENT).err().unwrap();
        assert_eq!(error.code(), code, "{other}");
    }
}

#[test]
fn content_types_of_rfc_5652_and_gm_t_0010_are_read_with_attributes_in_any_mix() {
    let (_, issuer, trust) = issuer(Suite::Sm2Sm3);
    let cms = sign_detached(&issuer, CONTENT, now()).unwrap();
    for inner in [ID_DATA, GM_DATA] {
        for outer in [ID_SIGNED_DATA, GM_SIGNED_DATA] {
            let data = remade(&issuer, &cms, inner);
            let cms = close(&data, outer);
            verify_detached(&cms, CONTENT, &trust, now()).unwrap();
        }
    }
    // The attribute must name the type that is there.
    let mut data = remade(&issuer, &cms, ID_DATA);
    data.encap_content_info.econtent_type = oid(GM_DATA);
    let error = check_signature(&close(&data, GM_SIGNED_DATA), CONTENT).err().unwrap();
    assert_eq!(error, SignatureError::SignedAttributes);
    // And no other type is a signature over data.
    let data = remade(&issuer, &cms, "1.2.156.10197.6.1.4.2.3");
    let error = check_signature(&close(&data, GM_SIGNED_DATA), CONTENT).err().unwrap();
    assert_eq!(error, SignatureError::ContentType);
    let data = remade(&issuer, &cms, GM_DATA);
    let error = check_signature(&close(&data, "1.2.156.10197.6.1.4.2.3"), CONTENT).err().unwrap();
    assert_eq!(error, SignatureError::NotSignedData);
}

#[test]
fn a_signature_under_another_signer_id_is_refused() {
    let key = sm2::SecretKey::from_slice(&[7; 32]).unwrap();
    for (id, accepted) in [("1234567812345678", true), ("", false), ("ALICE123@YAHOO.COM", false)] {
        let signing = sm2::dsa::SigningKey::new(id, &key).unwrap();
        let value: sm2::dsa::Signature = signing.sign(CONTENT);
        let spki = spki_of(&key);
        let ours = certs::PublicKey::from_spki(&spki).unwrap();
        let verdict = certs::Verifier::verify(&ours, CONTENT, &value.to_der().to_der().unwrap());
        assert_eq!(verdict.is_ok(), accepted, "{id}");
    }
}

/// The published chain (`vectors/sm2/SOURCE.md`), with a leaf key that is published too.
#[test]
fn the_published_chain_signs_and_gmssl_agrees() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sm2/certs");
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let inside = time("2025-01-01T00:00:00Z");
    let mut trust = TrustStore::new();
    trust.add_anchor(LICENCES, Certificate::from_pem(&file("root-ca.pem")).unwrap());
    let desk = Desk::new();
    desk.put("root.pem", file("root-ca.pem"));
    for name in ["client-sign", "server-sign"] {
        let chain = [file(&format!("{name}.pem")), file("sub-ca.pem")].concat();
        let signer = SigningIdentity::from_pem(&chain, &file(&format!("{name}.key.pem"))).unwrap();
        for cms in [
            sign_detached(&signer, CONTENT, inside).unwrap(),
            sign_attached(&signer, CONTENT, inside).unwrap(),
        ] {
            let verified = verify_detached(&cms, CONTENT, &trust, inside).unwrap();
            assert_eq!(verified.chain.certificates.len(), 2);
            let error = verify_detached(&cms, CONTENT, &trust, time("2123-06-01T00:00:00Z"));
            assert_eq!(error.err().unwrap().code(), "certificate_expired");
        }
        desk.put("cms.pem", cms_to_pem(&sign_attached(&signer, CONTENT, inside).unwrap()));
        assert!(desk.accepts("gmssl cmsverify -in cms.pem -out out"), "{name}");
        desk.put("leaf.pem", file(&format!("{name}.pem")));
        desk.put("middle.pem", file("sub-ca.pem"));
        desk.run("gmssl certparse -in leaf.pem");
    }
}

fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(text).unwrap()
}

fn algorithm(text: &str, null: bool) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: oid(text), parameters: null.then(Any::null) }
}

fn digests(data: &mut SignedData, signer: &mut SignerInfo, algorithm: &AlgorithmIdentifierOwned) {
    data.digest_algorithms = SetOfVec::try_from(vec![algorithm.clone()]).unwrap();
    signer.digest_alg = algorithm.clone();
}

/// The container with a change that no signature covers.
fn changed(cms: &[u8], change: impl Fn(&mut SignedData, &mut SignerInfo)) -> Vec<u8> {
    let info = ContentInfo::from_der(cms).unwrap();
    let mut data: SignedData = info.content.decode_as().unwrap();
    let mut signer = data.signer_infos.0.get(0).unwrap().clone();
    change(&mut data, &mut signer);
    data.signer_infos.0 = SetOfVec::try_from(vec![signer]).unwrap();
    close(&data, &info.content_type.to_string())
}

/// The container with signed attributes over another content type, signed anew.
fn remade(issuer: &SigningIdentity, cms: &[u8], content_type: &str) -> SignedData {
    let mut data: SignedData = ContentInfo::from_der(cms).unwrap().content.decode_as().unwrap();
    data.encap_content_info.econtent_type = oid(content_type);
    let mut signer = data.signer_infos.0.get(0).unwrap().clone();
    let attributes = signer.signed_attrs.take().unwrap();
    let attributes = attributes.iter().map(|attribute| {
        let mut attribute = attribute.clone();
        if attribute.oid == oid("1.2.840.113549.1.9.3") {
            let value = Any::encode_from(&oid(content_type)).unwrap();
            attribute.values = SetOfVec::try_from(vec![value]).unwrap();
        }
        attribute
    });
    let attributes = SetOfVec::try_from(attributes.collect::<Vec<_>>()).unwrap();
    let value = issuer.signer().sign(&attributes.to_der().unwrap()).unwrap();
    signer.signed_attrs = Some(attributes);
    signer.signature = OctetString::new(value).unwrap();
    data.signer_infos.0 = SetOfVec::try_from(vec![signer]).unwrap();
    data
}

fn close(data: &SignedData, content_type: &str) -> Vec<u8> {
    let content = Any::encode_from(data).unwrap();
    ContentInfo { content_type: oid(content_type), content }.to_der().unwrap()
}

fn spki_of(key: &sm2::SecretKey) -> Vec<u8> {
    let point = key.public_key().to_sec1_bytes();
    let algorithm = AlgorithmIdentifierOwned {
        oid: oid("1.2.840.10045.2.1"),
        parameters: Some(Any::from(oid("1.2.156.10197.1.301"))),
    };
    let subject_public_key = der::asn1::BitString::from_bytes(&point).unwrap();
    spki::SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der().unwrap()
}
