//! The `openssl` command accepts what we make, and we accept what it makes. Debian's OpenSSL 3.0 has no
//! Ed25519 and no SM2 in CMS: for those, certificates, lists and bare signatures are compared.

mod support;

use certs::{
    Certificate, ChainError, CrlError, KeySigner, Profile, Revocation, SignatureError,
    SigningIdentity, Suite, TrustStore, Usage, check_signature, issue_crl, sign_attached,
    sign_detached, verify_detached,
};
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::{Decode, Encode};
use jiff::{SignedDuration, Timestamp};
use support::*;
use tempfile::TempDir;

/// Where both programs run: `openssl` reads the clock, so what it makes and checks must be valid now.
struct Desk {
    folder: TempDir,
    now: Timestamp,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: TempDir::new().unwrap(), now: Timestamp::now() };
        desk.put("licence", CONTENT);
        desk
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }

    fn run(&self, line: &str) -> Result<String, String> {
        run(self.folder.path(), line)
    }

    /// Root and issuer of ours, their files `root.pem`, `chain.pem` and `issuer.key` on the desk.
    fn ours(&self, suite: Suite) -> (SigningIdentity, SigningIdentity) {
        let root = self.root(suite);
        let mut template = template("样例签发", Profile::LicenceIssuer, 2);
        (template.not_before, template.not_after) = self.around();
        let (certificate, key) = issue_from(&root, suite, &template);
        self.put("root.pem", root.certificate().to_pem());
        self.put("chain.pem", certificate.to_pem());
        self.put("issuer.key", key.to_pkcs8_pem());
        let issuer = SigningIdentity::from_pem(&self.read("chain.pem"), &self.read("issuer.key"));
        (root, issuer.unwrap())
    }

    fn root(&self, suite: Suite) -> SigningIdentity {
        let key = key(suite);
        let mut template = template("样例根", Profile::Ca, 1);
        (template.not_before, template.not_after) = self.around();
        let issuer = certs::CertIssuer::SelfSigned(&key);
        let spki = certs::Signer::spki(&key);
        let certificate = certs::issue_certificate(&template, &spki, issuer).unwrap();
        SigningIdentity::new(vec![certificate], Box::new(key)).unwrap()
    }

    fn around(&self) -> (Timestamp, Timestamp) {
        let day = SignedDuration::from_hours(24);
        (self.now - day, self.now + day)
    }

    /// Root and issuer made by openssl alone: `root.pem`, `chain.pem`, `issuer.key`. `-CA` with an
    /// extension file needs no folder of records.
    fn theirs(&self, algorithm: &str) -> TrustStore {
        self.put(
            "ca.ext",
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
             subjectKeyIdentifier=hash\n",
        );
        self.put(
            "issuer.ext",
            "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature,nonRepudiation\n\
             subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
        );
        for line in [
            &format!("openssl genpkey {algorithm} -out root.key"),
            "openssl req -new -key root.key -subj /C=CN/O=root/CN=root -out root.csr",
            "openssl x509 -req -in root.csr -signkey root.key -days 3 -extfile ca.ext -out root.pem",
            &format!("openssl genpkey {algorithm} -out issuer.key"),
            &format!(
                "openssl req -new -key issuer.key -out issuer.csr -utf8 -subj \
                 /C=CN/O=issuer/2.5.4.97={}/CN=issuer",
                credit_code().as_str()
            ),
            "openssl x509 -req -in issuer.csr -CA root.pem -CAkey root.key -set_serial 77 -days 2 \
             -extfile issuer.ext -out chain.pem",
        ] {
            self.run(line).unwrap();
        }
        let mut trust = TrustStore::new();
        let root = Certificate::from_pem(&self.read("root.pem")).unwrap();
        trust.add_anchor(Usage::IssuingLicences, root);
        trust
    }
}

impl Desk {
    /// A P-256 certificate `{name}.pem` with the extensions given, issued by `{authority}.pem`.
    fn issued(&self, name: &str, authority: &str, extensions: &str) -> Certificate {
        self.put(&format!("{name}.ext"), extensions);
        let key = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
        for line in [
            format!("openssl genpkey {key} -out {name}.key"),
            format!("openssl req -new -key {name}.key -subj /CN={name} -out {name}.csr"),
            format!(
                "openssl x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key \
                 -set_serial 5 -days 2 -extfile {name}.ext -out {name}.pem"
            ),
        ] {
            self.run(&line).unwrap();
        }
        Certificate::from_pem(&self.read(&format!("{name}.pem"))).unwrap()
    }
}

#[test]
fn openssl_accepts_our_p256_signatures() {
    let desk = Desk::new();
    let (_, issuer) = desk.ours(Suite::EcdsaP256Sha256);
    let verify = "openssl cms -verify -binary -inform DER -in licence.p7s -CAfile root.pem";
    desk.put("licence.p7s", sign_detached(&issuer, CONTENT, desk.now).unwrap());
    desk.run(&format!("{verify} -content licence -out out")).unwrap();
    assert_eq!(desk.read("out"), CONTENT);
    desk.put("other", b"other");
    desk.run(&format!("{verify} -content other -out out")).unwrap_err();

    desk.put("licence.p7s", sign_attached(&issuer, CONTENT, desk.now).unwrap());
    desk.run(&format!("{verify} -out out")).unwrap();
    assert_eq!(desk.read("out"), CONTENT);
}

#[test]
fn we_accept_p256_and_rsa_signatures_of_openssl() {
    let p256 = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    let rsa = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    for (algorithm, suite) in [(p256, Suite::EcdsaP256Sha256), (rsa, Suite::RsaPkcs1Sha256)] {
        let desk = Desk::new();
        let trust = desk.theirs(algorithm);
        let sign = "openssl cms -sign -binary -in licence -signer chain.pem -inkey issuer.key \
                    -md sha256 -outform DER -out licence.p7s";
        for option in ["", "-noattr", "-keyid", "-nodetach", "-certfile root.pem", "-nosmimecap"] {
            desk.run(&format!("{sign} {option}")).unwrap();
            let cms = desk.read("licence.p7s");
            let verified = verify_detached(&cms, CONTENT, &trust, Timestamp::now()).unwrap();
            assert_eq!(verified.suite, suite);
            assert_eq!(verified.organisation, Some(credit_code()));
            assert_eq!(verified.signer.serial_hex(), "4d");
            assert_eq!(verified.signing_time.is_some(), option != "-noattr");
            let error = check_signature(&cms, b"other").err().unwrap();
            let expected = match option {
                "-nodetach" => SignatureError::EmbeddedContentDiffers,
                "-noattr" => SignatureError::BadSignature,
                _ => SignatureError::DigestMismatch,
            };
            assert_eq!(error, expected, "{option}");
        }
        desk.run(&format!("{sign} -nocerts")).unwrap();
        let error = check_signature(&desk.read("licence.p7s"), CONTENT).err().unwrap();
        assert_eq!(error, SignatureError::SignerCertificateMissing);
        // The PEM form.
        desk.run(
            "openssl cms -sign -binary -in licence -signer chain.pem -inkey issuer.key \
                  -outform PEM -out licence.pem",
        )
        .unwrap();
        let cms = certs::cms_from_pem(&desk.read("licence.pem")).unwrap();
        verify_detached(&cms, CONTENT, &trust, Timestamp::now()).unwrap();
    }
}

#[test]
fn two_signers_by_openssl_are_one_too_many() {
    let desk = Desk::new();
    desk.theirs("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    desk.run(
        "openssl cms -sign -binary -in licence -signer chain.pem -inkey issuer.key \
              -signer root.pem -inkey root.key -outform DER -out licence.p7s",
    )
    .unwrap();
    let error = check_signature(&desk.read("licence.p7s"), CONTENT).err().unwrap();
    assert_eq!(error, SignatureError::SeveralSigners { count: 2 });
}

/// Ed25519 and its CMS: the value is checked over the signed attributes, which is what RFC 8419 says.
#[test]
fn openssl_agrees_on_our_ed25519_signature_value() {
    let desk = Desk::new();
    let (_, issuer) = desk.ours(Suite::Ed25519);
    let cms = sign_detached(&issuer, CONTENT, desk.now).unwrap();
    let data: SignedData = ContentInfo::from_der(&cms).unwrap().content.decode_as().unwrap();
    let signer = data.signer_infos.0.get(0).unwrap();
    desk.put("attributes", signer.signed_attrs.as_ref().unwrap().to_der().unwrap());
    desk.put("value", signer.signature.as_bytes());
    desk.run("openssl x509 -in chain.pem -pubkey -noout -out public.pem").unwrap();
    let verify = "openssl pkeyutl -verify -rawin -pubin -inkey public.pem -sigfile value";
    desk.run(&format!("{verify} -in attributes")).unwrap();
    desk.run(&format!("{verify} -in licence")).unwrap_err();
}

#[test]
fn we_accept_an_ed25519_value_of_openssl_and_its_keys() {
    let desk = Desk::new();
    let trust = desk.theirs("-algorithm ED25519");
    let key = KeySigner::from_pkcs8_pem(&desk.read("issuer.key")).unwrap();
    let chain = Certificate::many_from_pem(&desk.read("chain.pem")).unwrap();
    let issuer = SigningIdentity::new(chain, Box::new(key)).unwrap();
    let cms = sign_detached(&issuer, CONTENT, Timestamp::now()).unwrap();
    verify_detached(&cms, CONTENT, &trust, Timestamp::now()).unwrap();

    desk.run("openssl pkeyutl -sign -rawin -inkey issuer.key -in licence -out value").unwrap();
    let key = issuer.certificate().public_key().unwrap();
    certs::Verifier::verify(key, CONTENT, &desk.read("value")).unwrap();
}

#[test]
fn openssl_accepts_our_certificates_and_lists_of_every_suite() {
    for suite in SUITES {
        let desk = Desk::new();
        let (root, _) = desk.ours(suite);
        // Debian's OpenSSL wants to be told the signer id.
        let id = if suite == Suite::Sm2Sm3 { "-vfyopt distid:1234567812345678" } else { "" };
        let day = SignedDuration::from_hours(24);
        desk.put("issuer.crl", {
            let list = issue_crl(&root, 7, &[(vec![9], desk.now - day)], desk.now, desk.now + day);
            der::pem::encode_string("X509 CRL", der::pem::LineEnding::LF, &list.unwrap()).unwrap()
        });
        let verify = format!("openssl verify -x509_strict {id} -CAfile root.pem");
        desk.run(&format!("{verify} chain.pem")).unwrap();
        let text = desk.run("openssl crl -in issuer.crl -noout -text").unwrap();
        assert!(text.contains("Serial Number: 09") && text.contains("CRL Number"), "{text}");
        if suite != Suite::Sm2Sm3 {
            desk.run("openssl crl -in issuer.crl -noout -CAfile root.pem").unwrap();
            desk.run(&format!("{verify} -crl_check -CRLfile issuer.crl chain.pem")).unwrap();
        }
        desk.run("openssl pkey -in issuer.key -noout -check").unwrap();
    }
}

#[test]
fn openssl_checks_servers_and_clients_by_our_certificates() {
    let desk = Desk::new();
    let root = desk.root(Suite::EcdsaP256Sha256);
    desk.put("root.pem", root.certificate().to_pem());
    let server = Profile::Server {
        dns: vec!["localhost".into()],
        ips: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
    };
    for (profile, options, wrong) in [
        (
            server,
            "-purpose sslserver -verify_ip 127.0.0.1 -verify_hostname localhost",
            "-purpose sslclient",
        ),
        (Profile::Client, "-purpose sslclient", "-purpose sslserver"),
    ] {
        let mut template = template("样例", profile, 5);
        (template.not_before, template.not_after) = desk.around();
        let (certificate, _) = issue_from(&root, Suite::EcdsaP256Sha256, &template);
        desk.put("leaf.pem", certificate.to_pem());
        desk.run(&format!("openssl verify -CAfile root.pem {options} leaf.pem")).unwrap();
        desk.run(&format!("openssl verify -CAfile root.pem {wrong} leaf.pem")).unwrap_err();
    }
}

#[test]
fn we_judge_by_a_list_of_openssl() {
    let desk = Desk::new();
    let mut trust = desk.theirs("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    desk.put("index.txt", "");
    desk.put("crlnumber", "01\n");
    desk.put(
        "ca.conf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\n\
         default_crl_days=1\n",
    );
    let make = "openssl ca -config ca.conf -keyfile root.key -cert root.pem -gencrl -out root.crl";
    desk.run(make).unwrap();
    desk.run(
        "openssl cms -sign -binary -in licence -signer chain.pem -inkey issuer.key \
              -outform DER -out licence.p7s",
    )
    .unwrap();
    let cms = desk.read("licence.p7s");
    let verified = verify_detached(&cms, CONTENT, &trust, Timestamp::now()).unwrap();
    let judge = |trust: &TrustStore, at| trust.judge(&verified.chain, at).revocation;
    assert_eq!(judge(&trust, Timestamp::now()), Revocation::NoCrl);
    trust.add_crl(&desk.read("root.crl")).unwrap();
    assert!(matches!(judge(&trust, Timestamp::now()), Revocation::Good { .. }));
    let later = Timestamp::now() + SignedDuration::from_hours(48);
    assert!(matches!(judge(&trust, later), Revocation::Stale { .. }));

    desk.run(
        "openssl ca -config ca.conf -keyfile root.key -cert root.pem -revoke chain.pem \
              -crl_reason keyCompromise",
    )
    .unwrap();
    desk.run(make).unwrap();
    trust.add_crl(&desk.read("root.crl")).unwrap();
    assert!(matches!(judge(&trust, Timestamp::now()), Revocation::Revoked { .. }));
    let error = verify_detached(&cms, CONTENT, &trust, Timestamp::now()).err().unwrap();
    assert_eq!((error.code(), error.link()), ("certificate_revoked", certs::Link::Revocation));

    let mut other = TrustStore::new();
    other.add_anchor(Usage::IssuingLicences, desk.root(Suite::Ed25519).certificate().clone());
    assert_eq!(other.add_crl(&desk.read("root.crl")), Err(CrlError::UnknownIssuer));
}

/// What RFC 5280 forbids, made by openssl: each leaf is sound but for one thing in its path.
#[test]
fn paths_that_rfc_5280_refuses() {
    let usage = Usage::IssuingLicences;
    let leaf = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n";
    let ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
    let no_extension = String::new();
    for (middle, leaf, expected) in [
        (ca.to_owned(), leaf.to_owned(), None),
        (
            ca.to_owned(),
            format!("{leaf}1.2.3.4=critical,DER:0500\n"),
            Some(ChainError::CriticalExtension { position: 0 }),
        ),
        (
            format!("{ca}1.2.3.4=critical,DER:0500\n"),
            leaf.to_owned(),
            Some(ChainError::CriticalExtension { position: 1 }),
        ),
        (ca.to_owned(), format!("{leaf}1.2.3.4=DER:0500\n"), None),
        (
            format!("{ca}extendedKeyUsage=serverAuth,clientAuth\n"),
            leaf.to_owned(),
            Some(ChainError::WrongUsage { usage }),
        ),
        (format!("{ca}extendedKeyUsage=emailProtection\n"), leaf.to_owned(), None),
        (
            format!("{ca}nameConstraints=critical,excluded;DNS:bad.example\n"),
            format!("{leaf}subjectAltName=DNS:hub.bad.example\n"),
            Some(ChainError::NameConstraints),
        ),
        (
            format!("{ca}nameConstraints=critical,excluded;DNS:bad.example\n"),
            format!("{leaf}subjectAltName=DNS:hub.good.example\n"),
            None,
        ),
        (
            "basicConstraints=CA:FALSE\nkeyUsage=keyCertSign\n".to_owned(),
            leaf.to_owned(),
            Some(ChainError::NotCa { position: 1 }),
        ),
        (
            "keyUsage=keyCertSign\n".to_owned(),
            leaf.to_owned(),
            Some(ChainError::NotCa { position: 1 }),
        ),
        (
            "basicConstraints=CA:TRUE\nkeyUsage=digitalSignature\n".to_owned(),
            leaf.to_owned(),
            Some(ChainError::NotCa { position: 1 }),
        ),
        (
            format!("{ca}policyConstraints=critical,requireExplicitPolicy:0\n"),
            leaf.to_owned(),
            Some(ChainError::Policy),
        ),
        (
            ca.to_owned(),
            format!("{leaf}extendedKeyUsage=serverAuth,clientAuth\n"),
            Some(ChainError::WrongUsage { usage }),
        ),
        (ca.to_owned(), format!("{leaf}extendedKeyUsage=serverAuth,emailProtection\n"), None),
        (ca.to_owned(), format!("{leaf}extendedKeyUsage=critical,1.2.3.4\n"), None),
        (
            ca.to_owned(),
            "keyUsage=keyEncipherment\n".to_owned(),
            Some(ChainError::WrongUsage { usage }),
        ),
        (ca.to_owned(), no_extension, Some(ChainError::WrongUsage { usage })),
    ] {
        let desk = Desk::new();
        // An RSA root above a P-256 CA above a P-256 leaf.
        let trust = desk.theirs("-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
        let middle_found = desk.issued("middle", "root", &middle);
        let leaf_found = desk.issued("leaf", "middle", &leaf);
        let verdict = trust.verify_chain(&leaf_found, &[middle_found], usage, Timestamp::now());
        assert_eq!(verdict.err(), expected, "middle {middle:?}, leaf {leaf:?}");
    }
}

#[test]
fn a_path_length_of_zero_and_an_algorithm_we_do_not_know() {
    let usage = Usage::IssuingLicences;
    let desk = Desk::new();
    let trust = desk.theirs("-algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    let ca = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign\n";
    let leaf = "keyUsage=digitalSignature\n";
    let others = [desk.issued("first", "root", ca), desk.issued("second", "first", ca)];
    let allowed = desk.issued("allowed", "first", leaf);
    trust.verify_chain(&allowed, &others, usage, Timestamp::now()).unwrap();
    let too_long = desk.issued("long", "second", leaf);
    let error = trust.verify_chain(&too_long, &others, usage, Timestamp::now()).err();
    assert_eq!(error, Some(ChainError::TooLong));

    // P-256 with SHA-512, and a key on P-521.
    desk.run(
        "openssl x509 -req -in long.csr -CA root.pem -CAkey root.key -set_serial 9 -sha512 -days 2 \
              -extfile long.ext -out sha512.pem",
    )
    .unwrap();
    let sha512 = Certificate::from_pem(&desk.read("sha512.pem")).unwrap();
    let error = trust.verify_chain(&sha512, &[], usage, Timestamp::now()).err();
    assert_eq!(error, Some(ChainError::UnsupportedAlgorithm));

    let other = Desk::new();
    let trust = other.theirs("-algorithm EC -pkeyopt ec_paramgen_curve:P-521");
    let leaf = Certificate::from_pem(&other.read("chain.pem")).unwrap();
    let error = trust.verify_chain(&leaf, &[], usage, Timestamp::now()).err();
    assert_eq!(error, Some(ChainError::UnsupportedAlgorithm));
    other
        .run(
            "openssl cms -sign -binary -in licence -signer chain.pem -inkey issuer.key -outform DER \
             -out licence.p7s",
        )
        .unwrap();
    let error = check_signature(&other.read("licence.p7s"), CONTENT).err().unwrap();
    assert_eq!(error.code(), "certificate_key_unsupported");
}
