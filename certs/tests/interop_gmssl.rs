//! The `gmssl` command accepts what we make with SM2, and we accept what it makes: attached CMS in its own
//! form (see the table in `certs::cms`), certificates, revocation lists and bare signatures.

mod support;

use certs::{
    Certificate, Link, Profile, Revocation, SignatureError, SigningIdentity, Suite, TrustStore,
    Usage, Verifier, check_signature, cms_from_pem, cms_to_pem, issue_crl, sign_attached,
    sign_detached, verify_detached,
};
use jiff::{SignedDuration, Timestamp};
use support::*;
use tempfile::TempDir;

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

    fn run(&self, line: &str) -> Result<String, String> {
        run(self.0.path(), line)
    }

    /// gmssl's commands read their options two by two and report some failures with success.
    fn verifies(&self, line: &str) -> bool {
        self.run(line).is_ok_and(|output| output.contains("success") || output.contains("true"))
    }

    /// Root and issuer made by gmssl alone, and a store that trusts the root.
    fn theirs(&self) -> TrustStore {
        for line in [
            "gmssl sm2keygen -pass 1234 -out root.key -pubout root.pub",
            "gmssl certgen -C CN -O root -CN root -serial_len 12 -days 3 -key root.key -pass 1234 \
             -out root.pem -key_usage keyCertSign -key_usage cRLSign -ca -path_len_constraint 6 \
             -gen_subject_key_id",
            "gmssl sm2keygen -pass 1234 -out issuer.key -pubout issuer.pub",
            "gmssl reqgen -C CN -O issuer -CN issuer -key issuer.key -pass 1234 -out issuer.csr",
            "gmssl reqsign -in issuer.csr -serial_len 12 -days 2 -key_usage digitalSignature \
             -gen_authority_key_id -gen_subject_key_id -cacert root.pem -key root.key -pass 1234 \
             -out issuer.pem",
        ] {
            self.run(line).unwrap();
        }
        let mut trust = TrustStore::new();
        let root = Certificate::from_pem(&self.read("root.pem")).unwrap();
        trust.add_anchor(Usage::IssuingLicences, root);
        trust
    }

    /// Root and issuer of ours, valid now, in `root.pem` and `issuer.pem`.
    fn ours(&self) -> (SigningIdentity, SigningIdentity) {
        let around = SignedDuration::from_hours(24);
        let now = Timestamp::now();
        let root = {
            let key = key(Suite::Sm2Sm3);
            let mut template = template("样例根", Profile::Ca, 1);
            (template.not_before, template.not_after) = (now - around, now + around);
            let spki = certs::Signer::spki(&key);
            let issuer = certs::CertIssuer::SelfSigned(&key);
            let certificate = certs::issue_certificate(&template, &spki, issuer).unwrap();
            SigningIdentity::new(vec![certificate], Box::new(key)).unwrap()
        };
        let mut template = template("样例签发", Profile::LicenceIssuer, 2);
        (template.not_before, template.not_after) = (now - around, now + around);
        let issuer = below(&root, Suite::Sm2Sm3, &template);
        self.put("root.pem", root.certificate().to_pem());
        self.put("issuer.pem", issuer.certificate().to_pem());
        (root, issuer)
    }
}

#[test]
fn gmssl_accepts_our_attached_signatures() {
    let desk = Desk::new();
    let (_, issuer) = desk.ours();
    let cms = sign_attached(&issuer, CONTENT, Timestamp::now()).unwrap();
    desk.put("licence.pem", cms_to_pem(&cms));
    assert!(desk.verifies("gmssl cmsverify -in licence.pem -out out"));
    assert_eq!(desk.read("out"), CONTENT);

    let at = cms.windows(CONTENT.len()).position(|window| window == CONTENT).unwrap();
    let mut changed = cms;
    changed[at] ^= 1;
    desk.put("licence.pem", cms_to_pem(&changed));
    assert!(!desk.verifies("gmssl cmsverify -in licence.pem -out out"));
}

#[test]
fn we_accept_signatures_of_gmssl() {
    let desk = Desk::new();
    let trust = desk.theirs();
    desk.run(
        "gmssl cmssign -key issuer.key -pass 1234 -cert issuer.pem -in licence -out licence.pem",
    )
    .unwrap();
    let cms = cms_from_pem(&desk.read("licence.pem")).unwrap();
    let verified = verify_detached(&cms, CONTENT, &trust, Timestamp::now()).unwrap();
    assert_eq!(verified.suite, Suite::Sm2Sm3);
    assert_eq!(verified.signer, Certificate::from_pem(&desk.read("issuer.pem")).unwrap());
    assert_eq!(verified.signing_time, None);
    assert_eq!(verified.chain.certificates.len(), 1);

    let error = check_signature(&cms, b"other").err().unwrap();
    assert_eq!(error, SignatureError::EmbeddedContentDiffers);
    let stranger = TrustStore::new();
    let error = verify_detached(&cms, CONTENT, &stranger, Timestamp::now()).err().unwrap();
    assert_eq!(error.link(), Link::Chain);
    // The content is changed on both sides: what is left is the signature.
    let at = cms.windows(CONTENT.len()).position(|window| window == CONTENT).unwrap();
    let mut changed = cms.clone();
    changed[at] ^= 1;
    let content = changed[at..at + CONTENT.len()].to_vec();
    let error = check_signature(&changed, &content).err().unwrap();
    assert_eq!(error, SignatureError::BadSignature);
}

/// Known difference: GmSSL 3.1 knows no detached content and no signed attributes as RFC 5652 has them.
#[test]
fn gmssl_does_not_accept_detached_signatures() {
    let desk = Desk::new();
    let (_, issuer) = desk.ours();
    let cms = sign_detached(&issuer, CONTENT, Timestamp::now()).unwrap();
    desk.put("licence.pem", cms_to_pem(&cms));
    assert!(!desk.verifies("gmssl cmsverify -in licence.pem -out out"));
    desk.run("gmssl cmsparse -in licence.pem").expect("but it reads them");
}

#[test]
fn gmssl_accepts_our_certificates_and_lists() {
    let desk = Desk::new();
    let (root, issuer) = desk.ours();
    assert!(desk.verifies("gmssl certverify -in issuer.pem -cacert root.pem"));
    desk.run("gmssl certparse -in issuer.pem").unwrap();
    let serial = vec![9];
    let (now, day) = (Timestamp::now(), SignedDuration::from_hours(24));
    let list = issue_crl(&root, 3, &[(serial, now - day)], now, now + day).unwrap();
    desk.put("root.crl", list);
    assert!(desk.verifies("gmssl crlverify -in root.crl -cacert root.pem"));

    let (other, _) = Desk::new().ours();
    desk.put("other.pem", other.certificate().to_pem());
    assert!(!desk.verifies("gmssl certverify -in issuer.pem -cacert other.pem"));
    let value = certs::Signer::sign(issuer.signer(), CONTENT).unwrap();
    desk.put("value", value);
    assert!(desk.verifies("gmssl sm2verify -cert issuer.pem -in licence -sig value"));
}

#[test]
fn we_accept_bare_signatures_and_lists_of_gmssl() {
    let desk = Desk::new();
    let mut trust = desk.theirs();
    desk.run("gmssl sm2sign -key issuer.key -pass 1234 -in licence -out value").unwrap();
    let issuer = Certificate::from_pem(&desk.read("issuer.pem")).unwrap();
    issuer.public_key().unwrap().verify(CONTENT, &desk.read("value")).unwrap();
    issuer.public_key().unwrap().verify(b"other", &desk.read("value")).unwrap_err();

    let now = Timestamp::now();
    let record = trust.verify_chain(&issuer, &[], Usage::IssuingLicences, now).unwrap();
    desk.run("gmssl certrevoke -in issuer.pem -reason keyCompromise -out revoked.der").unwrap();
    desk.run(
        "gmssl crlgen -in revoked.der -cacert root.pem -key root.key -pass 1234 \
              -next_update 20991231000000Z -out root.crl -gen_authority_key_id -crl_num 1",
    )
    .unwrap();
    trust.add_crl(&desk.read("root.crl")).unwrap();
    let judged = trust.judge(&record, Timestamp::now() + SignedDuration::from_mins(1)).revocation;
    assert!(matches!(judged, Revocation::Revoked { .. }), "{judged:?}");
}
