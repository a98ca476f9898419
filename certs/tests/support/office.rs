//! An authority that `openssl` keeps: certificates, records, lists and answers, all valid now.

use certs::{Certificate, ChainRecord, OcspError, OcspStatus, TrustStore, Usage, check_ocsp, ocsp};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::run;

const LICENCES: Usage = Usage::IssuingLicences;
const ROOT: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
                    subjectKeyIdentifier=hash\n";
pub const ISSUER: &str = "keyUsage=critical,digitalSignature,nonRepudiation\n";
pub const RESPONDER: &str = "keyUsage=critical,digitalSignature\nextendedKeyUsage=OCSPSigning\n";
/// The record of a certificate in force, for `index.txt`.
pub const VALID: &str = "V\t351231235959Z\t\t4D\tunknown\t/CN=issuer\n";

/// A CA with its records, as `openssl` keeps them; everything is valid now.
pub struct Office {
    folder: TempDir,
    pub now: Timestamp,
}

impl Office {
    /// A root `ca`, a licence issuer `issuer` of serial 4D and a responder `responder`.
    pub fn new() -> Self {
        Self::with_keys("EC -pkeyopt ec_paramgen_curve:P-256")
    }

    pub fn with_keys(algorithm: &str) -> Self {
        let mut office = Self { folder: TempDir::new().unwrap(), now: Timestamp::now() };
        for name in ["ca", "issuer", "responder", "other"] {
            office.run(&format!("openssl genpkey -algorithm {algorithm} -out {name}.key"));
            office
                .run(&format!("openssl req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
        }
        office.put("ext", ROOT);
        office
            .run("openssl x509 -req -in ca.csr -signkey ca.key -days 30 -extfile ext -out ca.pem");
        office.run(
            "openssl x509 -req -in other.csr -signkey other.key -days 30 -extfile ext -out other.pem",
        );
        office.issue("issuer", "ca", 0x4D, ISSUER, "-days 20");
        office.issue("responder", "ca", 0x52, RESPONDER, "-days 20");
        office.put("index.txt", VALID);
        office.now = Timestamp::now();
        office
    }

    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }

    pub fn run(&self, line: &str) -> String {
        run(self.folder.path(), line).unwrap()
    }

    pub fn issue(&self, name: &str, authority: &str, serial: u32, extensions: &str, times: &str) {
        self.put("ext", extensions);
        self.run(&format!(
            "openssl x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key \
             -set_serial {serial} {times} -extfile ext -out {name}.pem"
        ));
    }

    pub fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem(&self.read(&format!("{name}.pem"))).unwrap()
    }

    /// The answer to our request about `issuer`, from what `index.txt` says.
    pub fn answer(&self, signer: &str, options: &str) -> Vec<u8> {
        let request = ocsp::request(&self.certificate("issuer"), &self.certificate("ca"), None);
        self.put("request", request);
        self.respond(signer, &format!("-reqin request {options}"))
    }

    pub fn respond(&self, signer: &str, options: &str) -> Vec<u8> {
        self.run(&format!(
            "openssl ocsp -index index.txt -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key \
             -respout answer {options}"
        ));
        self.read("answer")
    }

    pub fn trust(&self) -> TrustStore {
        let mut trust = TrustStore::new();
        trust.add_anchor(LICENCES, self.certificate("ca"));
        trust
    }

    /// The path of `issuer`.
    pub fn record(&self, trust: &TrustStore) -> ChainRecord {
        trust.verify_chain(&self.certificate("issuer"), &[], LICENCES, self.now).unwrap()
    }

    pub fn check(&self, answer: &[u8]) -> Result<OcspStatus, OcspError> {
        let (issuer, ca) = (self.certificate("issuer"), self.certificate("ca"));
        check_ocsp(answer, &issuer, &ca, Timestamp::now()).map(|answer| answer.status)
    }

    /// What `openssl verify` says about `issuer`, with the last list.
    pub fn verify(&self, options: &str) -> Result<String, String> {
        let line = format!("openssl verify {options} -CAfile ca.pem -CRLfile list.pem issuer.pem");
        run(self.folder.path(), &line)
    }

    pub fn days(&self, days: i64) -> Timestamp {
        self.now + SignedDuration::from_hours(24 * days)
    }

    /// A list of the CA, made by `openssl ca` from these records, for five days.
    pub fn list(&self, index: &str) -> Vec<u8> {
        self.list_with(index, "", "-crldays 5")
    }

    /// * `extensions`: lines of a section of crlExtensions, and sections after it.
    pub fn list_with(&self, index: &str, extensions: &str, options: &str) -> Vec<u8> {
        self.put("index.txt", index);
        self.put(
            "ca.cnf",
            format!(
                "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=sha256\ncrlnumber=number\n\
                 certificate=ca.pem\nprivate_key=ca.key\n[extensions]\n\
                 authorityKeyIdentifier=keyid\n{extensions}\n"
            ),
        );
        self.put("number", "01\n");
        self.run(&format!(
            "openssl ca -config ca.cnf -gencrl -crlexts extensions {options} -out list.pem"
        ));
        self.read("list.pem")
    }
}
