//! The demo district on disk: identities, settings, signed batches.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use certs::{Manifest, Profile, SigningIdentity, Suite, sha256, sign_detached};
use connectors::{local_postgres::LocalPostgres, local_sshd::LocalSshd};
use district::{Department, District, DistrictSize};
use jiff::Timestamp;
use licence::{CreditCode, Licence, LicenceId};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    DemoError,
    authority::{Authority, AuthorityFailure, Subject, write_secret},
    create_folder,
    desk::Desk,
    register, sealed, seeds, write,
};
use crate::command::import;

/// The same district every time.
const SEED: u64 = 20_260_101;

/// 2,000 persons and 500 enterprises, with the licences they naturally have.
const SIZE: DistrictSize =
    DistrictSize { persons: 2_000, enterprises: 500, projects: 60, licences: 0 };

/// The hub's name at the demo's OpenID provider.
pub const CLIENT_ID: &str = "yihao-demo";
/// The file with its secret there.
const SECRET_FILE: &str = "client.secret";

/// The hub's name at the province's gateway.
pub const GATEWAY_ID: &str = "yihao-demo";
/// The file with its secret there.
const GATEWAY_SECRET_FILE: &str = "gateway.secret";
/// Where the office's file server has batches dropped.
pub const OFFICE_FOLDER: &str = "licences";

/// Where the demo's parts are.
pub struct Addresses<'a> {
    /// Pages for a browser.
    pub pages: SocketAddr,
    /// The OpenID provider.
    pub issuer: &'a str,
    /// The city's receiver.
    pub city: SocketAddr,
    /// A department's key service.
    pub keys: SocketAddr,
    /// The province's gateway.
    pub gateway: SocketAddr,
}

/// The demo district.
pub struct DemoDistrict {
    data: PathBuf,
    authority: Authority,
    issuers: BTreeMap<CreditCode, SigningIdentity>,
    district: District,
    live: District,
}

impl DemoDistrict {
    /// Opens the district's files under `data`, or makes them.
    ///
    /// * `now`: from when on its certificates are valid.
    pub fn open(data: &Path, now: Timestamp) -> Result<Self, DemoError> {
        let credentials = data.join("credentials");
        let city = district::consuming_departments().swap_remove(0);
        let anchor = Subject {
            common_name: "汀陵市电子政务演示根证书 Tingling Demo Root",
            organisation_name: city.name,
            organisation: city.code,
        };
        let authority = Authority::open(&credentials, &anchor, now)?;

        create_folder(&credentials.join("signing"))?;
        let mut issuers = BTreeMap::new();
        let suites = [Suite::EcdsaP256Sha256, Suite::Sm2Sm3, Suite::Ed25519];
        for (department, suite) in district::issuing_departments().iter().zip(suites) {
            let identity = authority.identity(
                &format!("signing/{}", department.slug),
                suite,
                Profile::LicenceIssuer,
                &subject(department),
                now,
            )?;
            issuers.insert(department.code, identity);
        }
        let departments = departments();
        for department in &departments {
            authority.identity(
                department.slug,
                Suite::EcdsaP256Sha256,
                Profile::Client,
                &subject(department),
                now,
            )?;
        }
        // Signs packages and promises for the service that runs the hub.
        authority.identity(
            "signing/service",
            Suite::EcdsaP256Sha256,
            Profile::LicenceIssuer,
            &subject(&city),
            now,
        )?;
        for name in ["server", "city"] {
            authority.identity(
                name,
                Suite::EcdsaP256Sha256,
                Profile::Server {
                    dns: vec!["localhost".to_owned()],
                    ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
                },
                &subject(&city),
                now,
            )?;
        }
        let natural = District::new(SEED, SIZE).natural_licences();
        let district = District::new(SEED, DistrictSize { licences: natural, ..SIZE });
        let live = District::new(SEED + 1, DistrictSize { licences: natural, ..SIZE });
        Ok(Self { data: data.to_owned(), authority, issuers, district, live })
    }

    /// Its authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its licences.
    pub fn district(&self) -> &District {
        &self.district
    }

    /// Folder of the credentials for trying it by hand.
    pub fn credentials(&self) -> PathBuf {
        self.data.join("credentials")
    }

    /// Folder of files to hand in.
    pub fn samples(&self) -> PathBuf {
        self.data.join("samples")
    }

    /// Who signs for an issuing department.
    pub fn issuer(&self, code: &CreditCode) -> Option<&SigningIdentity> {
        self.issuers.get(code)
    }

    /// The city receiver's certificate and key, PEM.
    pub fn city_identity(&self) -> Result<(String, String), DemoError> {
        let read = |name: &str| {
            let path = self.credentials().join(name);
            std::fs::read_to_string(&path).map_err(|source| DemoError::File { path, source })
        };
        Ok((read("city.pem")?, read("city.key")?))
    }

    /// Writes the settings with which `hub serve` would serve the same district.
    pub fn write_settings(
        &self,
        https: SocketAddr,
        addresses: &Addresses<'_>,
        province: Option<&LocalPostgres>,
        files: Option<&LocalSshd>,
    ) -> Result<PathBuf, DemoError> {
        let data = &self.data;
        let Addresses { pages, issuer, city, keys, gateway } = addresses;
        write(&data.join("catalogue.json"), district::catalogue_json().as_bytes())?;
        write(&data.join("matters.json"), district::matters_json().as_bytes())?;
        write(&data.join("policies.cedar"), district::policies().as_bytes())?;
        write(&data.join("mandates.json"), district::mandates_json().as_bytes())?;
        write(&data.join("organisations.json"), district::organisations_json().as_bytes())?;
        let names: BTreeMap<CreditCode, &str> =
            departments().into_iter().map(|one| (one.code, one.name)).collect();
        write(
            &data.join("departments.json"),
            serde_json::to_string_pretty(&names).unwrap_or_default().as_bytes(),
        )?;
        self.write_secret("index.key")?;
        self.write_secret("keys.pass")?;
        let service = district::consuming_departments().swap_remove(0);
        let mut text = format!(
            r#"# Written by `hub demo` at every start. `hub serve --config` takes the same form.
demo = true
data = "hub"
listen = "{https}"
pages_listen = "{pages}"
catalogue = "catalogue.json"
matters = "matters.json"
policies = "policies.cedar"
mandates = "mandates.json"
organisations = "organisations.json"
departments = "departments.json"
index_key = "index.key"

[tls]
certificate = "credentials/server.pem"
key = "credentials/server.key"
client_anchors = "credentials/ca.pem"

[trust]
licence_anchors = ["credentials/ca.pem"]
crls = ["credentials/ca.crl"]

[login]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{SECRET_FILE}"
address = "http://{pages}"

[login.roles]
applicant = "applicant"
clerk = "clerk"
operator = "operator"
auditor = "auditor"

[service]
organisation = "{service_code}"
name = "{service_name}"
certificate = "credentials/signing/service.pem"
key = "credentials/signing/service.key"

# The next keys: hub keys new --config hub.toml --ca credentials/ca.pem --ca-key credentials/ca.key
[keys]
folder = "keys"
passphrase_file = "keys.pass"
publish_hours = 1

[[connectors]]
name = "city"
kind = "http"
url = "https://localhost:{city_port}"
ca = "credentials/ca.pem"
certificate = "credentials/government-services.pem"
key = "credentials/government-services.key"

# The province's gateway: a token, and each request signed with HMAC-SM3.
[[connectors]]
name = "gateway"
kind = "rest"
url = "https://localhost:{gateway_port}"
ca = "credentials/ca.pem"
shape = "gbt36906"
access_id = "{GATEWAY_ID}"
secret_file = "{GATEWAY_SECRET_FILE}"
paths = {{ tallies = "/tallyCertInfo", holdings = "/listCertInfo" }}
"#,
            city_port = city.port(),
            gateway_port = gateway.port(),
            service_code = service.code,
            service_name = service.name,
        );
        if let Some(province) = province {
            let _ = write!(
                text,
                r#"
[[connectors]]
name = "province"
kind = "frontdb"
connection = "{connection}"
create_tables = true

[[connectors]]
name = "cases"
kind = "casebase"
connection = "{connection}"
create_tables = true
departments = {departments:?}
"#,
                connection = province.connection(),
                departments =
                    seeds::departments().iter().map(CreditCode::as_str).collect::<Vec<_>>(),
            );
        }
        if let (Some(province), Some(market)) = (province, register::department()) {
            let department = market.code;
            let of_both = format!(
                "kind = \"exchange\"\nconnection = \"{}\"\ndepartment = \"{department}\"\ncode_map = \"{}\"",
                province.connection(),
                register::MAP,
            );
            let _ = write!(
                text,
                r#"
# Rows of a department whose systems cannot call: nobody signs what the old register has.
[[inbound]]
name = "old-register"
{of_both}
table = "old_register"
error_table = "old_register_errors"
signatures = "unsigned"

[[inbound]]
name = "register"
{of_both}
table = "register"
error_table = "register_errors"
signatures = "key_service"

[inbound.key_service]
url = "https://localhost:{keys}/sign"
ca = "credentials/ca.pem"
certificate = "credentials/government-services.pem"
key = "credentials/government-services.key"
"#,
                keys = keys.port(),
            );
        }
        if let Some(files) = files {
            let port = files.address().port();
            let known = files.known_host("127.0.0.1", port)?;
            write(&data.join("file-server.known_hosts"), known.as_bytes())?;
            let _ = write!(
                text,
                r#"
# An office that takes files: what it has answered is removed.
[[connectors]]
name = "office"
kind = "files"
host = "127.0.0.1"
port = {port}
user = "{user}"
key = "file-server/client_key"
host_key = "file-server.known_hosts"
folder = "{OFFICE_FOLDER}"
keep_days = 0
"#,
                user = files.user(),
            );
        }
        let path = data.join("hub.toml");
        write(&path, text.as_bytes())?;
        Ok(path)
    }

    /// Files to hand in, a floor plan and a health certificate, and a sealed one to check.
    pub fn write_samples(&self, now: Timestamp) -> Result<(), DemoError> {
        let folder = self.samples();
        create_folder(&folder)?;
        for (name, title) in
            [("floor-plan.pdf", "Floor plan"), ("health-certificate.pdf", "Health certificate")]
        {
            write(&folder.join(name), &seeds::pdf(title))?;
        }
        // Seals are made with SM2 (GB/T 38540).
        let has_sm2 = |department: &&Department| {
            self.issuer(&department.code)
                .is_some_and(|issuer| issuer.signer().suite() == Suite::Sm2Sm3)
        };
        if let Some(department) = district::issuing_departments().iter().find(has_sm2)
            && let Some(signer) = self.issuer(&department.code)
        {
            write(&folder.join("sealed.ofd"), &sealed::ofd(signer, department.name, now)?)?;
        }
        Ok(())
    }

    /// The hub's secret at the demo's OpenID provider; made at the first start.
    pub fn client_secret(&self) -> Result<String, DemoError> {
        self.secret(SECRET_FILE)
    }

    /// The secret that the hub shares with the province's gateway, made once.
    pub fn gateway_secret(&self) -> Result<String, DemoError> {
        self.secret(GATEWAY_SECRET_FILE)
    }

    fn secret(&self, name: &str) -> Result<String, DemoError> {
        let path = self.data.join(name);
        if !path.exists() {
            let mut secret = [0_u8; 32];
            SystemRandom::new().fill(&mut secret).map_err(|_| AuthorityFailure::Random)?;
            write_secret(&path, hex::encode(secret).as_bytes())?;
        }
        std::fs::read_to_string(&path).map_err(|source| DemoError::File { path, source })
    }

    /// 64 random hex digits, once: the index key, and the passphrase of the service's keys.
    fn write_secret(&self, name: &str) -> Result<(), DemoError> {
        let path = self.data.join(name);
        if path.exists() {
            return Ok(());
        }
        let mut key = [0_u8; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| AuthorityFailure::Random)?;
        Ok(write_secret(&path, hex::encode(key).as_bytes())?)
    }

    /// Signs the district's licences in batches, one for each issuing department, and hands in what
    /// was not handed in before.
    pub async fn hand_in(&self, https: SocketAddr, signed_at: Timestamp) -> Result<(), DemoError> {
        let mut by_issuer: BTreeMap<CreditCode, Vec<Licence>> = BTreeMap::new();
        for licence in self.district.licences() {
            by_issuer.entry(*licence.issuer.credit_code()).or_default().push(licence);
        }
        let mut refused = 0;
        for department in district::issuing_departments() {
            let Some(licences) = by_issuer.get(&department.code) else { continue };
            let folder = self.data.join("import").join(department.slug);
            if !folder.join("0001.licences").exists() {
                self.write_batch(&folder, &department.code, licences, signed_at)?;
            }
            let client = self.client(department.slug)?;
            let to = format!("https://localhost:{}", https.port());
            println!("{}: {} licences", department.name, licences.len());
            let summary =
                import::import_folder(&client, &to, &folder, &["0001".to_owned()], 60).await?;
            refused += summary.refused + summary.missing;
        }
        if refused > 0 { Err(DemoError::Refused(refused)) } else { Ok(()) }
    }

    fn write_batch(
        &self,
        folder: &Path,
        code: &CreditCode,
        licences: &[Licence],
        signed_at: Timestamp,
    ) -> Result<(), DemoError> {
        create_folder(folder)?;
        let Some(issuer) = self.issuer(code) else { return Ok(()) };
        let (mut lines, mut digests) = (Vec::new(), Vec::new());
        for licence in licences {
            let document = licence.to_bytes();
            digests.push(sha256(&document));
            lines.extend_from_slice(&document);
            lines.push(b'\n');
        }
        let manifest = Manifest::write(code, "demo-0001", &digests).unwrap_or_default();
        let signature = sign_detached(issuer, &manifest, signed_at)?;
        write(&folder.join("0001.manifest"), &manifest)?;
        write(&folder.join("0001.manifest.p7s"), &signature)?;
        // Last: its presence says that the batch is complete.
        write(&folder.join("0001.licences"), &lines)
    }

    /// An HTTP client with a department's certificate.
    pub fn client(&self, slug: &str) -> Result<reqwest::Client, DemoError> {
        let credentials = self.credentials();
        Ok(import::client(
            &credentials.join(format!("{slug}.pem")),
            &credentials.join(format!("{slug}.key")),
            &credentials.join("ca.pem"),
        )?)
    }

    /// Goes on issuing licences of another seed, so that there is something to watch.
    pub fn go_on_issuing(&self, https: SocketAddr, every: Duration) -> tokio::task::JoinHandle<()> {
        let to = format!("https://localhost:{}/v1/licences", https.port());
        let mut clients = BTreeMap::new();
        for department in district::issuing_departments() {
            if let Ok(client) = self.client(department.slug) {
                clients.insert(department.code, client);
            }
        }
        let signers: BTreeMap<CreditCode, SigningIdentity> = self
            .issuers
            .keys()
            .filter_map(|code| Some((*code, self.reread_issuer(code)?)))
            .collect();
        let live = self.live.clone();
        tokio::spawn(async move {
            let mut next = 0;
            let mut ticks = tokio::time::interval(every);
            while next < live.licence_count() {
                ticks.tick().await;
                // What an earlier run of the demo issued is passed over at once.
                loop {
                    let Some(licence) = live_licence(&live, next) else { return };
                    next += 1;
                    let issuer = licence.issuer.credit_code();
                    let (Some(client), Some(signer)) = (clients.get(issuer), signers.get(issuer))
                    else {
                        break;
                    };
                    match issue(client, signer, &to, &licence).await {
                        Ok(true) => break,
                        Ok(false) if next < live.licence_count() => {}
                        Ok(false) => break,
                        Err(error) => {
                            tracing::warn!(error = %error, "the demo could not issue a licence");
                            break;
                        }
                    }
                }
            }
        })
    }

    /// The desk of the departments that decide.
    ///
    /// * `since`: when it began to work.
    pub fn desk(&self, https: SocketAddr, province: &LocalPostgres, since: Timestamp) -> Desk {
        let mut issuers = Vec::new();
        for department in district::issuing_departments() {
            if let (Ok(client), Some(signer)) =
                (self.client(department.slug), self.reread_issuer(&department.code))
            {
                issuers.push((department.code, client, signer));
            }
        }
        let china = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
        Desk {
            connection: province.connection(),
            since: china.to_datetime(since).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            hub: format!("https://localhost:{}", https.port()),
            issuers,
        }
    }

    /// A department's signing identity, read again.
    pub fn reread_issuer(&self, code: &CreditCode) -> Option<SigningIdentity> {
        let department =
            district::issuing_departments().into_iter().find(|one| one.code == *code)?;
        let path = self.credentials().join("signing").join(department.slug);
        let pem = std::fs::read(path.with_extension("pem")).ok()?;
        let key = std::fs::read(path.with_extension("key")).ok()?;
        SigningIdentity::from_pem(&pem, &key).ok()
    }
}

/// A licence of the other seed, with a serial of its own: both seeds count their licences from 1.
fn live_licence(live: &District, index: u64) -> Option<Licence> {
    let mut licence = live.licence(index);
    let serial = format!("LIVE{index:010}");
    licence.identifier =
        LicenceId::build(&licence.licence_type, &licence.issuer, &serial, 1).ok()?;
    Some(licence)
}

/// Issues one licence over HTTP; whether it is new.
async fn issue(
    client: &reqwest::Client,
    signer: &SigningIdentity,
    to: &str,
    licence: &Licence,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let document = licence.to_bytes();
    let signature = sign_detached(signer, &document, Timestamp::now())?;
    let answer = client.post(to).json(&signed_licence(&document, &signature)).send().await?;
    Ok(answer.error_for_status()?.status() == reqwest::StatusCode::CREATED)
}

/// The JSON form of a signed licence.
pub fn signed_licence(document: &[u8], signature: &[u8]) -> serde_json::Value {
    use base64::{Engine, engine::general_purpose::STANDARD};
    serde_json::json!({
        "licence": STANDARD.encode(document),
        "signature": STANDARD.encode(signature),
    })
}

/// Issuing and consuming departments.
pub fn departments() -> Vec<Department> {
    let mut all = district::issuing_departments();
    all.extend(district::consuming_departments());
    all
}

/// The certificate subject of a department.
pub fn subject(department: &Department) -> Subject<'_> {
    Subject {
        common_name: department.name_en,
        organisation_name: department.name,
        organisation: department.code,
    }
}
