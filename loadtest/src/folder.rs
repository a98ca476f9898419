//! A folder with everything a hub needs to serve a district, and everything its clients need:
//! credentials, catalogue, matters, policies, settings, signed batches to import, pulls to send.
//!
//! ```text
//! catalogue.json matters.json policies.cedar mandates.json index.key hub.toml
//! credentials/ca.pem ca.key ca.crl server.pem server.key
//! credentials/clients/NAME.pem NAME.key      a department's client certificate
//! credentials/issuers/NAME.pem NAME.key      a department's signing certificate
//! import/NAME/0001.manifest …                what issuing department NAME has to hand in
//! pulls.tsv                                  one allowed pull a line, for `loadtest drive`
//! ```
//!
//! All of it is a function of the seed: keys are Ed25519, whose signatures are deterministic.

use std::{
    fs::File,
    io::{BufWriter, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{
    CertIssuer, Certificate, CertificateTemplate, KeySigner, Manifest, Profile, Signer,
    SigningIdentity, issue_certificate, issue_crl, sha256, sign_detached,
};
use district::Department;
use jiff::Timestamp;
use licence::{CreditCode, Sha256Digest};

use crate::error::{Error, write};

/// When everything is signed: after the last licence of the district, before today.
const SIGNED_AT: &str = "2026-04-01T00:00:00Z";
/// The certificates' validity.
const NOT_BEFORE: &str = "2025-01-01T00:00:00Z";
const NOT_AFTER: &str = "2045-01-01T00:00:00Z";

/// The paths of such a folder.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// A folder at this path, whatever is in it.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.root.join("hub.toml")
    }

    /// Where the hub keeps its data, by the settings.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The key that holder tokens are made with.
    pub fn index_key(&self) -> PathBuf {
        self.root.join("index.key")
    }

    /// The batches of an issuing department.
    pub fn import(&self, department: &Department) -> PathBuf {
        self.root.join("import").join(department.slug)
    }

    /// The list of pulls.
    pub fn pulls(&self) -> PathBuf {
        self.root.join("pulls.tsv")
    }

    /// The anchor of every certificate in the folder.
    pub fn ca(&self) -> PathBuf {
        self.root.join("credentials/ca.pem")
    }

    /// Certificate and key of the server.
    pub fn server(&self) -> (PathBuf, PathBuf) {
        self.pair("server")
    }

    /// Client certificate and key of a department.
    pub fn client(&self, department: &Department) -> (PathBuf, PathBuf) {
        self.pair(&format!("clients/{}", department.slug))
    }

    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        let credentials = self.root.join("credentials");
        (credentials.join(format!("{name}.pem")), credentials.join(format!("{name}.key")))
    }

    /// Writes everything but the batches and the pulls: credentials, catalogue, matters, policies,
    /// index key, settings.
    ///
    /// # Errors
    /// `File`, or what the authority says.
    pub fn set_up(root: &Path, seed: u64) -> Result<(Self, Authority), Error> {
        let folder = Self::at(root);
        let authority = Authority::new(seed)?;
        write(&root.join("catalogue.json"), district::catalogue_json())?;
        write(&root.join("matters.json"), district::matters_json())?;
        write(&root.join("policies.cedar"), district::policies())?;
        write(&root.join("mandates.json"), district::mandates_json())?;
        let key = seed_of(seed, "index key");
        write(&folder.index_key(), hex::encode(key))?;
        write(&folder.ca(), authority.identity.certificate().to_pem())?;
        write(&root.join("credentials/ca.key"), &authority.key)?;
        let crl = issue_crl(&authority.identity, 1, &[], at(NOT_BEFORE), at(NOT_AFTER))?;
        write(&root.join("credentials/ca.crl"), crl)?;

        let server = Profile::Server {
            dns: vec!["localhost".to_owned()],
            ips: vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()],
        };
        let owner = &district::consuming_departments()[0];
        let (certificate, key) = authority.issue("server", "localhost", owner, server)?;
        folder.write_pair("server", &certificate, &key)?;
        let issuing = district::issuing_departments();
        for department in issuing.iter().chain(&district::consuming_departments()) {
            let name = format!("clients/{}", department.slug);
            let (certificate, key) =
                authority.issue(&name, department.name_en, department, Profile::Client)?;
            folder.write_pair(&name, &certificate, &key)?;
        }
        for department in &issuing {
            let name = format!("issuers/{}", department.slug);
            let (certificate, key) =
                authority.issue(&name, department.name_en, department, Profile::LicenceIssuer)?;
            folder.write_pair(&name, &certificate, &key)?;
        }
        folder.write_settings("127.0.0.1:8443".parse().expect("an address"), "")?;
        Ok((folder, authority))
    }

    fn write_pair(&self, name: &str, certificate: &Certificate, key: &str) -> Result<(), Error> {
        let (pem, key_file) = self.pair(name);
        write(&pem, certificate.to_pem())?;
        write(&key_file, key)
    }

    /// Writes the settings file of a hub that serves this folder. `more` is appended as it is.
    ///
    /// # Errors
    /// `File`.
    pub fn write_settings(&self, listen: SocketAddr, more: &str) -> Result<(), Error> {
        self.write_settings_with("", listen, more)
    }

    /// As [`write_settings`](Self::write_settings), with settings that belong to no table, a line each.
    ///
    /// # Errors
    /// `File`.
    pub fn write_settings_with(
        &self,
        first: &str,
        listen: SocketAddr,
        more: &str,
    ) -> Result<(), Error> {
        let text = format!(
            r#"# A test hub. Relative paths count from this file's folder.
{first}
data = "data"
listen = "{listen}"
catalogue = "catalogue.json"
matters = "matters.json"
policies = "policies.cedar"
mandates = "mandates.json"
index_key = "index.key"

[tls]
certificate = "credentials/server.pem"
key = "credentials/server.key"
client_anchors = "credentials/ca.pem"

[trust]
licence_anchors = ["credentials/ca.pem"]
crls = ["credentials/ca.crl"]
{more}"#
        );
        write(&self.settings(), text)
    }
}

/// The test authority of a folder.
pub struct Authority {
    identity: SigningIdentity,
    key: String,
    seed: u64,
}

impl Authority {
    /// The authority of a seed.
    ///
    /// # Errors
    /// What making its certificate says.
    pub fn new(seed: u64) -> Result<Self, Error> {
        let key = ed25519_pem(seed, "authority");
        let signer = KeySigner::from_pkcs8_pem(key.as_bytes())?;
        let owner = &district::consuming_departments()[0];
        let template = template(seed, "authority", "Yihao Load Test Authority", owner, Profile::Ca);
        let spki = signer.spki();
        let certificate = issue_certificate(&template, &spki, CertIssuer::SelfSigned(&signer))?;
        let identity = SigningIdentity::new(vec![certificate], Box::new(signer))?;
        Ok(Self { identity, key, seed })
    }

    /// A certificate for a key that the folder's seed and `name` determine; with that key.
    fn issue(
        &self,
        name: &str,
        common_name: &str,
        department: &Department,
        profile: Profile,
    ) -> Result<(Certificate, String), Error> {
        let key = ed25519_pem(self.seed, name);
        let signer = KeySigner::from_pkcs8_pem(key.as_bytes())?;
        let certificate = self.certify(name, common_name, department, profile, &signer.spki())?;
        Ok((certificate, key))
    }

    fn certify(
        &self,
        name: &str,
        common_name: &str,
        department: &Department,
        profile: Profile,
        spki: &[u8],
    ) -> Result<Certificate, Error> {
        let template = template(self.seed, name, common_name, department, profile);
        Ok(issue_certificate(&template, spki, CertIssuer::Authority(&self.identity))?)
    }

    /// With what a department signs licences and manifests.
    ///
    /// # Errors
    /// What the authority says.
    pub fn issuer(&self, department: &Department) -> Result<SigningIdentity, Error> {
        let name = format!("issuers/{}", department.slug);
        let (certificate, key) =
            self.issue(&name, department.name_en, department, Profile::LicenceIssuer)?;
        let signer = KeySigner::from_pkcs8_pem(key.as_bytes())?;
        Ok(SigningIdentity::new(vec![certificate], Box::new(signer))?)
    }

    /// A further signing identity of a department, with a key from outside: for other suites.
    ///
    /// # Errors
    /// What the authority says.
    pub fn issuer_with_key(
        &self,
        department: &Department,
        signer: KeySigner,
    ) -> Result<SigningIdentity, Error> {
        let name = format!("issuers/{} {:?}", department.slug, signer.suite());
        let profile = Profile::LicenceIssuer;
        let certificate =
            self.certify(&name, department.name_en, department, profile, &signer.spki())?;
        Ok(SigningIdentity::new(vec![certificate], Box::new(signer))?)
    }
}

fn template(
    seed: u64,
    name: &str,
    common_name: &str,
    department: &Department,
    profile: Profile,
) -> CertificateTemplate {
    let mut serial = seed_of(seed, &format!("serial {name}"))[..16].to_vec();
    serial[0] |= 0x40; // never zero, and always 16 bytes
    serial[0] &= 0x7f;
    CertificateTemplate {
        subject_common_name: common_name.to_owned(),
        organisation_name: department.name.to_owned(),
        organisation: department.code,
        serial,
        not_before: at(NOT_BEFORE),
        not_after: at(NOT_AFTER),
        profile,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a constant of this module")
}

fn seed_of(seed: u64, name: &str) -> [u8; 32] {
    *sha256(format!("yihao load test {seed} {name}").as_bytes()).as_bytes()
}

/// An Ed25519 key as PKCS #8 (RFC 8410, 7: the 32 bytes in an OCTET STRING in an OCTET STRING).
fn ed25519_pem(seed: u64, name: &str) -> String {
    const HEAD: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let der = [&HEAD[..], &seed_of(seed, name)].concat();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// Writes signed batches into a folder, as `hub import` reads them.
pub struct BatchWriter<'a> {
    folder: PathBuf,
    identity: &'a SigningIdentity,
    issuer: CreditCode,
    /// Licences in a batch.
    size: usize,
    batches: u32,
    written: u64,
    lines: Option<BufWriter<File>>,
    digests: Vec<Sha256Digest>,
}

impl<'a> BatchWriter<'a> {
    /// * `size`: licences in a batch, 1 to 100,000.
    ///
    /// # Errors
    /// `File` if the folder cannot be made.
    pub fn new(
        folder: PathBuf,
        identity: &'a SigningIdentity,
        issuer: &CreditCode,
        size: usize,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        Ok(Self {
            folder,
            identity,
            issuer: *issuer,
            size,
            batches: 0,
            written: 0,
            lines: None,
            digests: Vec::new(),
        })
    }

    /// Adds a licence, one line without a line break.
    ///
    /// # Errors
    /// `File`, or what signing a full batch says.
    pub fn push(&mut self, document: &[u8]) -> Result<(), Error> {
        let path = self.path("licences");
        let lines = match &mut self.lines {
            Some(lines) => lines,
            lines => {
                let file = File::create(&path).map_err(Error::file(&path))?;
                lines.insert(BufWriter::with_capacity(1 << 18, file))
            }
        };
        lines
            .write_all(document)
            .and_then(|()| lines.write_all(b"\n"))
            .map_err(Error::file(&path))?;
        self.digests.push(sha256(document));
        self.written += 1;
        if self.digests.len() == self.size { self.close() } else { Ok(()) }
    }

    /// Signs what is still open. Returns how many licences and batches were written.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self) -> Result<(u64, u32), Error> {
        if !self.digests.is_empty() {
            self.close()?;
        }
        Ok((self.written, self.batches))
    }

    fn close(&mut self) -> Result<(), Error> {
        if let Some(mut lines) = self.lines.take() {
            let path = self.path("licences");
            lines.flush().map_err(Error::file(&path))?;
        }
        let name = self.name();
        let manifest = Manifest::write(&self.issuer, &name, &self.digests)?;
        let signature = sign_detached(self.identity, &manifest, at(SIGNED_AT))?;
        write(&self.path("manifest"), manifest)?;
        write(&self.path("manifest.p7s"), signature)?;
        self.digests.clear();
        self.batches += 1;
        Ok(())
    }

    fn name(&self) -> String {
        format!("{:04}", self.batches + 1)
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name()))
    }
}
