//! Writes what the fuzzer starts from anew, `fuzz/authority` and `fuzz/seeds`, with openssl and pyHanko:
//! `cargo run --example fuzz_seeds`. A corpus that grew from other seeds is then of little use.

#[path = "../tests/support/sealing.rs"]
mod sealing;
#[path = "../tests/support/stamping.rs"]
mod stamping;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use certs::ofd::{SealTemplate, SealVersion, make_seal, seal_ofd};
use certs::{
    CertIssuer, CertificateTemplate, Evidence, EvidenceOrder, HashAlgorithm, KeySigner, Manifest,
    Profile, Signer, SigningIdentity, Suite, cms_to_pem, issue_certificate, issue_crl, ocsp,
    sha256, sign_attached, sign_detached, timestamp, with_time_stamp,
};
use jiff::Timestamp;
use jiff::civil::date;
use licence::{
    Holder, HolderId, HolderKind, Licence, LicenceId, LicenceTypeCode, StatusChange, StatusOrder,
};
use ring::rand::SystemRandom;
use sealing::{ALL_PROTECTED, SEALED, SIGNED, UNSIGNED, unpack};
use support::*;
use tempfile::TempDir;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The members of a DER value.
fn members(der: &[u8]) -> Vec<&[u8]> {
    let mut rest = value(der).1;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (header, content) = value(rest);
        let (member, after) = rest.split_at(header + content.len());
        members.push(member);
        rest = after;
    }
    members
}

/// The length of the header of the first DER value, and its content.
fn value(der: &[u8]) -> (usize, &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let bytes = &der[2..2 + usize::from(long & 0x7f)];
            (2 + bytes.len(), bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
        }
    };
    (header, &der[header..header + length])
}

/// What stands before the signature of a certificate or list.
fn to_be_signed(der: &[u8]) -> &[u8] {
    members(der)[0]
}

/// Everything is valid from 2025 to the end of 2034; the targets judge as of 2026-12-01.
struct Maker {
    desk: TempDir,
    root: SigningIdentity,
    issuer: SigningIdentity,
    now: Timestamp,
}

impl Maker {
    fn new() -> Self {
        let desk = TempDir::new().unwrap();
        let (key, issuer_key) = (key(Suite::EcdsaP256Sha256), key(Suite::EcdsaP256Sha256));
        let (pem, issuer_pem) = (key.to_pkcs8_pem(), issuer_key.to_pkcs8_pem());
        let certificate = issue_certificate(
            &until_2034("样例根", Profile::Ca, 1),
            &key.spki(),
            CertIssuer::SelfSigned(&key),
        );
        let root = SigningIdentity::new(vec![certificate.unwrap()], Box::new(key)).unwrap();
        let certificate = issue_certificate(
            &until_2034("样例签发", Profile::LicenceIssuer, 2),
            &issuer_key.spki(),
            CertIssuer::Authority(&root),
        );
        let issuer =
            SigningIdentity::new(vec![certificate.unwrap()], Box::new(issuer_key)).unwrap();
        let authority = folder().join("authority");
        for (name, identity, key) in [("ca", &root, pem), ("issuer", &issuer, issuer_pem)] {
            for folder in [desk.path(), &authority] {
                fs::write(folder.join(format!("{name}.pem")), identity.certificate().to_pem())
                    .unwrap();
                fs::write(folder.join(format!("{name}.key")), &key).unwrap();
            }
        }
        let maker = Self { desk, root, issuer, now: "2026-11-01T00:00:00Z".parse().unwrap() };
        for name in ["pem", "key"] {
            fs::copy(maker.path(&format!("ca.{name}")), maker.path(&format!("root.{name}")))
                .unwrap();
        }
        maker
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn run(&self, line: &str) {
        run(self.desk.path(), line).unwrap();
    }

    /// A certificate by `openssl` below `authority`: NAME.pem, NAME.key, NAME.der.
    fn issue(&self, name: &str, algorithm: &str, extensions: &str, authority: &str, serial: u32) {
        self.put("ext", extensions);
        self.run(&format!("openssl genpkey -algorithm {algorithm} -out {name}.key"));
        self.run(&format!(
            "openssl req -new -key {name}.key -subj /C=CN/O={name}/CN={name} -out {name}.csr"
        ));
        self.run(&format!(
            "openssl x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -set_serial {serial} \
             -days 2900 -extfile ext -out {name}.pem"
        ));
        self.run(&format!("openssl x509 -in {name}.pem -outform DER -out {name}.der"));
    }
}

fn until_2034(name: &str, profile: Profile, serial: u64) -> CertificateTemplate {
    let not_after = time("2035-01-01T00:00:00Z");
    CertificateTemplate { not_after, ..template(name, profile, serial) }
}

/// Replaces the seeds of a target, except what was found.
fn write(target: &str, seeds: Vec<(&str, Vec<u8>)>) {
    let folder = folder().join("seeds").join(target);
    fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in seeds {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

const P256: &str = "EC -pkeyopt ec_paramgen_curve:P-256";
const SIGNER: &str = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature,nonRepudiation\n\
                      subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
const STAMPS: &str = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n\
                      extendedKeyUsage=critical,timeStamping\nsubjectKeyIdentifier=hash\n\
                      authorityKeyIdentifier=keyid\n";
/// Every extension that says something about a path.
const CA: &str = "basicConstraints=critical,CA:TRUE,pathlen:1\nkeyUsage=critical,keyCertSign,cRLSign\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid,issuer\ncertificatePolicies=1.2.3.4,@policy\n\
    policyMappings=1.2.3.4:1.2.3.5\npolicyConstraints=requireExplicitPolicy:3,inhibitPolicyMapping:2\n\
    inhibitAnyPolicy=2\nextendedKeyUsage=clientAuth,emailProtection\n\
    nameConstraints=critical,permitted;DNS:example.cn,permitted;IP:10.0.0.0/255.0.0.0,\
    excluded;email:bad.cn,permitted;dirName:names\n\
    [policy]\npolicyIdentifier=1.2.3.6\nCPS.1=http://example.cn/\nuserNotice.1=@notice\n\
    [notice]\nexplicitText=text\norganization=o\nnoticeNumbers=1,2\n[names]\nC=CN\n";
const LEAF: &str = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature,nonRepudiation\n\
    certificatePolicies=1.2.3.5\nextendedKeyUsage=clientAuth\n\
    subjectAltName=DNS:a.example.cn,IP:10.1.2.3,email:a@good.cn,URI:http://a.example.cn/,dirName:names\n\
    crlDistributionPoints=URI:http://example.cn/list.crl\nauthorityInfoAccess=OCSP;URI:http://example.cn/ocsp\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n[names]\nC=CN\nO=leaf\n";

fn main() {
    let maker = Maker::new();
    let authority = folder().join("authority");
    let licence = licence();
    let content = licence.to_bytes();
    fs::write(authority.join("content.json"), &content).unwrap();
    let (root, issuer, now) = (&maker.root, &maker.issuer, maker.now);

    certificates(&maker);
    paths(&maker);
    containers_and_time_stamps(&maker, &content);
    lists(&maker);
    answers(&maker);
    sealed(&maker);
    pdf(&maker);

    let digests = [sha256(&content), sha256(b"1"), sha256(b"2")];
    let manifest = Manifest::write(&credit_code(), "2025-03-01.1", &digests).unwrap();
    let one = Manifest::write(&credit_code(), "1", &digests[..1]).unwrap();
    let none = b"yihao-batch-1\nissuer 91350100M000100Y43\n".to_vec();
    write("manifest", vec![("three", manifest.clone()), ("one", one), ("cut", none)]);

    let order = StatusOrder {
        identifier: licence.identifier,
        change: StatusChange::Suspend,
        reason: "样例".into(),
        ordered_at: now,
    };
    let order = order.to_bytes();
    let sign = |bytes: &[u8]| sign_detached(issuer, bytes, now).unwrap();
    let orders = vec![EvidenceOrder { signature: sign(&order), order: order.clone() }];
    let evidence = Evidence {
        licence: content.clone(),
        signature: sign(&content),
        manifest: None,
        orders: vec![],
    };
    let of_batch = Evidence {
        signature: sign(&manifest),
        manifest: Some(manifest),
        orders,
        ..evidence.clone()
    };
    evidence.verify(&trusting(root), now).unwrap();
    of_batch.verify(&trusting(root), now).unwrap();
    write(
        "evidence",
        vec![
            ("one", evidence.to_bytes()),
            ("of-batch", of_batch.to_bytes()),
            ("licence", content.clone()),
            ("order", order),
        ],
    );
    keys(&maker);
}

fn licence() -> Licence {
    let licence_type: LicenceTypeCode = "11100000MB0143028R001".parse().unwrap();
    let issuer = credit_code().as_str().parse().unwrap();
    Licence {
        identifier: LicenceId::build(&licence_type, &issuer, "20250301001", 1).unwrap(),
        name: "营业执照".into(),
        licence_type,
        number: "91350100M000100Y43".into(),
        issuer_name: "样例市市场监督管理局".into(),
        issuer,
        issued_on: date(2025, 3, 1),
        holders: vec![Holder {
            name: "样例有限公司".into(),
            id: HolderId::parse(HolderKind::from_code("001").unwrap(), "91350100M000100Y43")
                .unwrap(),
        }],
        valid_from: Some(date(2025, 3, 1)),
        valid_to: Some(date(2034, 6, 15)),
        region: None,
        project: None,
        predecessor: None,
        fields: serde_json::Map::new(),
        files: vec![],
    }
}

fn certificates(maker: &Maker) {
    maker.issue("ca2", P256, CA, "ca", 3);
    maker.issue("leaf", P256, LEAF, "ca2", 4);
    maker.issue("p256", P256, SIGNER, "ca", 5);
    maker.issue("p384", "EC -pkeyopt ec_paramgen_curve:P-384", SIGNER, "ca", 6);
    maker.issue("rsa", "RSA -pkeyopt rsa_keygen_bits:2048", SIGNER, "ca", 7);
    maker.issue("ed25519", "ED25519", SIGNER, "ca", 8);
    maker.issue("tsa", P256, STAMPS, "ca", 9);
    let names = ["ca2", "leaf", "p384", "rsa", "ed25519", "tsa"];
    let mut seeds: Vec<_> =
        names.into_iter().map(|name| (name, maker.read(&format!("{name}.der")))).collect();
    let (sm2_root, sm2_issuer, _) = issuer(Suite::Sm2Sm3);
    seeds.extend([
        ("root", maker.root.certificate().der().to_vec()),
        ("issuer", maker.issuer.certificate().der().to_vec()),
        ("sm2", sm2_issuer.certificate().der().to_vec()),
        ("pem", (sm2_root.certificate().to_pem() + &maker.issuer.certificate().to_pem()).into()),
    ]);
    write("certificate", seeds);
}

/// All with the root's key.
fn paths(maker: &Maker) {
    let key = || {
        let pem = maker.read("ca.key");
        KeySigner::from_pkcs8_pem(&pem).unwrap()
    };
    for name in ["ca2", "leaf"] {
        fs::copy(maker.path("ca.key"), maker.path(&format!("{name}.key"))).unwrap();
    }
    let again = |name: &str, extensions: &str, authority: &str, serial: u32| {
        maker.put("ext", extensions);
        maker.run(&format!(
            "openssl req -new -key ca.key -subj /C=CN/O={name}/CN={name} -out {name}.csr"
        ));
        maker.run(&format!(
            "openssl x509 -req -in {name}.csr -CA {authority}.pem -CAkey ca.key -set_serial {serial} \
             -days 2900 -extfile ext -out {name}.pem"
        ));
        maker.run(&format!("openssl x509 -in {name}.pem -outform DER -out {name}.der"));
        maker.read(&format!("{name}.der"))
    };
    let ca = again("ca2", CA, "ca", 3);
    let leaf = again("leaf", LEAF, "ca2", 4);
    let signer = again("p256-of-ca", SIGNER, "ca2", 5);
    let tsa = again("tsa-of-ca", STAMPS, "ca", 6);
    let signed = [&leaf, &signer, &ca, &tsa].map(|der| to_be_signed(der).to_vec());
    let issued = |name, profile, authority: &SigningIdentity, serial| {
        issue_certificate(
            &until_2034(name, profile, serial),
            &key().spki(),
            CertIssuer::Authority(authority),
        )
        .unwrap()
    };
    let above = issued("样例中间", Profile::Ca, &maker.root, 11);
    let above = SigningIdentity::new(vec![above], Box::new(key())).unwrap();
    let below = issued("样例签发", Profile::LicenceIssuer, &above, 12);
    let ours = [below.der(), above.certificate().der(), maker.root.certificate().der()]
        .map(to_be_signed)
        .concat();
    write(
        "path",
        vec![
            ("leaf-ca", [&signed[0][..], &signed[2]].concat()),
            ("signer-ca", [&signed[1][..], &signed[2]].concat()),
            ("tsa", signed[3].clone()),
            ("ours", ours),
            ("issuer", to_be_signed(maker.issuer.certificate().der()).to_vec()),
        ],
    );
}

fn containers_and_time_stamps(maker: &Maker, content: &[u8]) {
    let (issuer, now) = (&maker.issuer, maker.now);
    maker.put("content", content);
    let openssl = |name: &str, options: &str| {
        maker.run(&format!(
            "openssl cms -sign -binary -in content -outform DER -out out -signer {name}.pem -inkey {name}.key \
             {options}"
        ));
        maker.read("out")
    };
    // An authority's settings, and its certificate.
    let desk = TempDir::new().unwrap();
    stamping::prepare(desk.path());
    for name in ["tsa.pem", "tsa.key"] {
        fs::copy(maker.path(name), desk.path().join(name)).unwrap();
    }
    let stamp = |message: &[u8], hash: HashAlgorithm, nonce| {
        let request = timestamp::request(&hash.digest(&[message]), hash, nonce, None);
        stamping::answer(desk.path(), "tsa", &request)
    };
    let answer = stamp(content, HashAlgorithm::Sha256, Some([7; 8]));
    let sm3 = stamp(content, HashAlgorithm::Sm3, None);
    let refused = stamping::answer(desk.path(), "tsa", b"\x30\x03\x02\x01\x01");
    let token = timestamp::read_answer(&answer).unwrap();
    write(
        "timestamp",
        vec![("answer", answer), ("sm3", sm3), ("refused", refused), ("token", token)],
    );

    let detached = sign_detached(issuer, content, now).unwrap();
    let value = certs::cms_signature_value(&detached).unwrap();
    let token = timestamp::read_answer(&stamp(&value, HashAlgorithm::Sha256, None)).unwrap();
    let (_, sm2, _) = support::issuer(Suite::Sm2Sm3);
    let (_, ed25519, _) = support::issuer(Suite::Ed25519);
    write(
        "cms",
        vec![
            ("stamped", with_time_stamp(&detached, &token).unwrap()),
            ("pem", cms_to_pem(&detached).into()),
            ("detached", detached),
            ("attached", sign_attached(issuer, content, now).unwrap()),
            ("sm2", sign_detached(&sm2, content, now).unwrap()),
            ("rsa", openssl("rsa", "-cades")),
            ("pss", openssl("rsa", "-keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:-1")),
            ("p384", openssl("p384", "-md sha384 -nodetach -certfile ca.pem")),
            ("ed25519", sign_detached(&ed25519, content, now).unwrap()),
            ("two", openssl("p256", "-cades -signer p384.pem -inkey p384.key")),
            ("key-id", openssl("p256", "-keyid -noattr")),
        ],
    );
}

fn lists(maker: &Maker) {
    let (from, until) = (time("2026-11-01T00:00:00Z"), time("2034-01-01T00:00:00Z"));
    let revoked = [(vec![2], from), (vec![9, 9], from), (vec![0x12; 20], from)];
    let empty = issue_crl(&maker.root, 1, &[], from, until).unwrap();
    let three = issue_crl(&maker.root, 2, &revoked, from, until).unwrap();
    maker.put(
        "index.txt",
        "R\t351231235959Z\t261101000000Z,keyCompromise,20261001000000Z\t02\tunknown\t/CN=a\n\
         R\t351231235959Z\t261101000000Z,CAkeyTime,20261001000000Z\t04\tunknown\t/CN=c\n\
         R\t351231235959Z\t261101000000Z,superseded\t03\tunknown\t/CN=b\n",
    );
    maker.put("number", "03\n");
    maker.put(
        "ca.cnf",
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=sha256\ncrlnumber=number\n\
         certificate=ca.pem\nprivate_key=ca.key\n[extensions]\nauthorityKeyIdentifier=keyid\n\
         issuingDistributionPoint=critical,@point\n[point]\nfullname=URI:http://example.cn/list.crl\n\
         onlyuser=TRUE\n",
    );
    maker.run("openssl ca -config ca.cnf -gencrl -crlexts extensions -crldays 2000 -out list.pem");
    maker.run("openssl crl -in list.pem -outform DER -out list.der");
    let partial = maker.read("list.der");
    write(
        "crl",
        vec![
            ("empty", empty.clone()),
            ("three", three.clone()),
            ("partial", partial.clone()),
            ("empty-unsigned", to_be_signed(&empty).to_vec()),
            ("three-unsigned", to_be_signed(&three).to_vec()),
            ("partial-unsigned", to_be_signed(&partial).to_vec()),
        ],
    );
}

fn answers(maker: &Maker) {
    let extensions = "keyUsage=critical,digitalSignature\nextendedKeyUsage=OCSPSigning\n";
    maker.issue("responder", P256, extensions, "ca", 20);
    let request =
        ocsp::request(maker.issuer.certificate(), maker.root.certificate(), Some(&[7; 32]));
    maker.put("request", request);
    let answer = |signer: &str, index: &str| {
        maker.put("index.txt", index);
        maker.run(&format!(
            "openssl ocsp -index index.txt -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -reqin request \
             -ndays 2000 -respout answer"
        ));
        maker.read("answer")
    };
    let good = answer("responder", "V\t351231235959Z\t\t02\tunknown\t/CN=a\n");
    let by_ca = answer("ca", "V\t351231235959Z\t\t02\tunknown\t/CN=a\n");
    let revoked =
        answer("responder", "R\t351231235959Z\t261101000000Z,keyCompromise\t02\tunknown\t/CN=a\n");
    let unknown = answer("responder", "V\t351231235959Z\t\t77\tunknown\t/CN=b\n");
    // OCSPResponse, ResponseBytes, BasicOCSPResponse, ResponseData.
    let data = |answer: &[u8]| {
        let explicit = members(answer)[1].to_vec();
        let bytes = members(members(&explicit)[0])[1].to_vec();
        let (header, _) = value(&bytes);
        to_be_signed(&bytes[header..]).to_vec()
    };
    write(
        "ocsp",
        vec![
            ("good-unsigned", data(&good)),
            ("revoked-unsigned", data(&revoked)),
            ("unknown-unsigned", data(&unknown)),
            ("good", good),
            ("by-ca", by_ca),
            ("revoked", revoked),
            ("try-later", b"\x30\x03\x0a\x01\x03".to_vec()),
        ],
    );
}

fn sealed(maker: &Maker) {
    let signers = [maker.issuer.certificate().clone()];
    let seal = |version, lists_digests| {
        let template = SealTemplate {
            version,
            identifier: "35010000000001",
            name: "样例市市场监督管理局",
            signers: &signers,
            lists_digests,
            picture: b"\x89PNG\r\n\x1a\n, and so on",
            created: time("2025-01-01T00:00:00Z"),
            valid_from: time("2025-01-01T00:00:00Z"),
            valid_until: time("2034-12-31T00:00:00Z"),
        };
        make_seal(&template, &maker.issuer, None).unwrap()
    };
    let [v1, v4, v5] =
        [seal(SealVersion::V1, false), seal(SealVersion::V4, false), seal(SealVersion::V5, true)];
    let file = |seal: &[u8]| seal_ofd(UNSIGNED, seal, &maker.issuer, maker.now, None).unwrap();
    let twice = seal_ofd(&file(&v4), &v5, &maker.issuer, maker.now, None).unwrap();
    write(
        "ofd",
        vec![
            ("v1.ofd", file(&v1)),
            ("v4.ofd", file(&v4)),
            ("v5.ofd", file(&v5)),
            ("twice.ofd", twice),
            ("sample-sealed.ofd", SEALED.to_vec()),
            ("sample-all-protected.ofd", ALL_PROTECTED.to_vec()),
            ("sample-signed.ofd", SIGNED.to_vec()),
            ("sample-unsigned.ofd", UNSIGNED.to_vec()),
        ],
    );

    // One part of a file of two parts, with its number before it.
    let two: BTreeMap<String, Vec<u8>> = unpack(UNSIGNED)
        .into_iter()
        .filter(|(name, _)| name == "OFD.xml" || name == "Doc_0/Document.xml")
        .collect();
    let file = certs::ofd::pack(&two);
    let file = seal_ofd(&file, &v4, &maker.issuer, maker.now, None).unwrap();
    let parts = unpack(&file);
    let folder = folder().join("authority/ofd");
    fs::create_dir_all(&folder).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    put("OFD.xml", &two["OFD.xml"]);
    put("OFD_sealed.xml", &parts["OFD.xml"]);
    for (name, bytes) in parts.iter().filter(|(name, _)| name.contains('/')) {
        put(name.rsplit_once('/').unwrap().1, bytes);
    }
    let part = |number: u8, bytes: &[u8]| [&[number], bytes].concat();
    let sign = "Doc_0/Signs/Sign_0";
    write(
        "ofd_parts",
        vec![
            ("root", part(0, &two["OFD.xml"])),
            ("list", part(1, &parts["Doc_0/Signs/Signatures.xml"])),
            ("description", part(2, &parts[&format!("{sign}/Signature.xml")])),
            ("value", part(3, &parts[&format!("{sign}/SignedValue.dat")])),
            ("seal-v1", part(4, &v1)),
            ("seal-v4", part(4, &v4)),
            ("seal-v5", part(4, &v5)),
            ("document", part(5, &two["Doc_0/Document.xml"])),
        ],
    );
}

fn pdf(maker: &Maker) {
    for (serial, name) in (30..).zip(["stranger", "other-tsa"]) {
        let extensions = if name == "stranger" { SIGNER } else { STAMPS };
        maker.issue(name, P256, extensions, "ca", serial);
    }
    maker.put("serial", "01\n");
    for tsa in ["tsa", "other-tsa"] {
        let settings = format!(
            "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_cert={tsa}.pem\n\
             signer_key={tsa}.key\nsigner_digest=sha256\n\
             default_policy=1.2.3.4\ndigests=sha256,sha384,sha512\n\
             ess_cert_id_chain=no\ness_cert_id_alg=sha256\n"
        );
        maker.put(&format!("{tsa}.cnf"), settings);
    }
    let home = std::env::var("HOME").unwrap_or_default();
    let tools = std::env::var("YIHAO_TOOLS_DIR").unwrap_or_else(|_| format!("{home}/.cache/yihao"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judge_pdf.py");
    maker.run(&format!("{tools}/python/bin/python {script} make ."));
    revisions(maker);
    let mut seeds: Vec<(&str, Vec<u8>)> = [
        "good-p256",
        "good-rsa",
        "good-stamped",
        "good-packed",
        "good-twice-packed",
        "good-visible",
        "good-archived",
        "good-form",
        "good-locked",
        "good-certified-for-forms-then-signed",
        "bad-annotation",
        "bad-contents-packed",
    ]
    .into_iter()
    .map(|name| (name, maker.read(&format!("{name}.pdf"))))
    .collect();
    let sample = |name: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pdf").join(name)).unwrap()
    };
    seeds.push(("sample-unsigned", sample("minimal.pdf")));
    seeds.push(("sample-twice", sample("minimal-two-fields-signed-twice.pdf")));
    write("pdf", seeds);
}

/// The objects of what others add to `good-p256`, without tables and trailers.
fn revisions(maker: &Maker) {
    let before = maker.read("good-p256.pdf");
    let names = ["good-archived", "good-twice", "bad-annotation", "bad-filled", "bad-page-added"];
    let objects = names.into_iter().filter_map(|name| {
        let file = maker.read(&format!("{name}.pdf"));
        let mut rest = file.strip_prefix(&before[..])?;
        let mut objects = Vec::new();
        let find = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|at| at == word);
        while let (Some(table), Some(end)) = (find(rest, b"\nxref\n"), find(rest, b"%%EOF\n")) {
            objects.extend_from_slice(&rest[..=table]);
            objects.extend_from_slice(b"%%EOF\n");
            rest = &rest[end + 6..];
        }
        Some((name, objects))
    });
    write("pdf_revision", objects.collect());
}

fn keys(maker: &Maker) {
    let suites = [
        ("p256", Suite::EcdsaP256Sha256),
        ("p384", Suite::EcdsaP384Sha384),
        ("ed25519", Suite::Ed25519),
        ("sm2", Suite::Sm2Sm3),
    ];
    let made = |suite| KeySigner::generate(suite, &SystemRandom::new()).unwrap();
    let mut seeds: Vec<_> =
        suites.map(|(name, suite)| (name, made(suite).to_pkcs8_pem().into_bytes())).into();
    // As little work as the form allows: the fuzzer is to read them, not to wait for them.
    for (name, options) in [
        ("pbkdf2", "-v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 1000"),
        ("scrypt", "-v2 aes-128-cbc -scrypt -scrypt_N 16 -scrypt_r 1 -scrypt_p 1"),
    ] {
        maker.run(&format!(
            "openssl pkcs8 -topk8 -in p256.key -passout pass:passphrase {options} -out out"
        ));
        seeds.push((name, maker.read("out")));
    }
    seeds.push(("rsa", maker.read("rsa.key")));
    seeds.push(("spki", made(Suite::Sm2Sm3).spki()));
    write("key", seeds);
}
