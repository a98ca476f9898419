//! A real hub for tests: RocksDB, Tantivy, mutual TLS and files in a folder of its own, with the
//! district's departments as actors. The clock stands where the test puts it.

#![allow(dead_code, reason = "each test file uses its part of the actors")]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{Certificate, KeySigner, Profile, SigningIdentity, Suite, sign_detached};
use district::{Department, District, DistrictSize, Pull};
use hub::{
    Hub,
    clock::Clock,
    command::demo::authority::{Authority, Subject},
    config::Config,
    http::server::{self, Running},
};
use jiff::Timestamp;
use licence::{Licence, LicenceId, StatusChange, StatusOrder};
use serde_json::{Value, json};

/// A real browser.
pub mod browser;
/// Identity cards, and what a department asks for.
pub mod consents;
/// Logged-in persons and their pages.
pub mod people;
/// What must not be said.
pub mod privacy;
/// What the service signs, and who checks it.
pub mod signing;
/// A hub with a provider, a province and a browser.
pub mod stage;
/// Authorities from elsewhere, and the trust folder.
pub mod trust;

/// When tests take place, unless they say otherwise.
pub const NOW: &str = "2026-03-02T01:00:00Z";

/// A hub with its district.
pub struct TestHub {
    /// The hub, for looking into it.
    pub hub: Held,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its folder, removed at the end.
    pub folder: tempfile::TempDir,
    /// Who issues certificates in the district.
    pub authority: Authority,
    running: Option<Running>,
    /// The invented district.
    pub district: District,
}

impl Drop for TestHub {
    /// Whatever a test was about: nobody of the district stands in the log that was written meanwhile.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let log = privacy::heard();
        privacy::names_no_citizen("the log", &log);
        let names: Vec<String> = (0..40).map(|index| self.district.person(index).name).collect();
        privacy::keeps("the log", &log, &names);
    }
}

/// A hub that runs, or has been stopped.
pub struct Held(Option<Arc<Hub>>);

impl std::ops::Deref for Held {
    type Target = Arc<Hub>;

    fn deref(&self) -> &Arc<Hub> {
        self.0.as_ref().expect("the hub runs")
    }
}

impl Drop for Held {
    /// A hub that a test did not stop is left open for good: its server's threads would otherwise
    /// close RocksDB while the process ends, and RocksDB aborts then.
    fn drop(&mut self) {
        if let Some(hub) = &self.0 {
            std::mem::forget(hub.rocks.clone());
        }
    }
}

/// An answer of the hub.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body, `Null` if it is no JSON.
    pub json: Value,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The problem's code.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or("")
    }

    /// The link that failed.
    pub fn link(&self) -> &str {
        self.json["link"].as_str().unwrap_or("")
    }

    async fn read(answer: reqwest::Response) -> Self {
        let status = answer.status().as_u16();
        let content_type = answer
            .headers()
            .get("content-type")
            .and_then(|said| said.to_str().ok())
            .unwrap_or("")
            .to_owned();
        let text = answer.text().await.unwrap();
        if status >= 400 {
            privacy::names_no_citizen("an error", &text);
        }
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, content_type, json, text }
    }
}

/// A department at work: its client certificate, and its signing key if it issues.
pub struct Actor {
    /// Who it is.
    pub department: Department,
    /// Speaks with its certificate.
    pub client: reqwest::Client,
    /// Signs for it.
    pub identity: Option<SigningIdentity>,
    base: String,
}

impl TestHub {
    /// Starts a hub with the district's catalogue, matters, policies and departments.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts a hub with more settings (TOML text appended to the file).
    pub async fn start_with(more: &str) -> Self {
        Self::start_prepared("127.0.0.1:0", |_| more.to_owned()).await
    }

    /// Starts a hub that listens there, with more settings that are found out once its folder is
    /// there: `server.pem`, `server.key` and `ca.pem` are in it.
    pub async fn start_prepared(listen: &str, more: impl FnOnce(&Path) -> String) -> Self {
        Self::start_founded(listen, |_| {}, more).await
    }

    /// Starts a hub under the same authority as another.
    pub async fn start_beside(other: &Self, listen: &str, more: &str) -> Self {
        let found = |path: &Path| {
            for file in ["ca.pem", "ca.key"] {
                std::fs::copy(other.folder.path().join(file), path.join(file)).unwrap();
            }
        };
        Self::start_founded(listen, found, |_| more.to_owned()).await
    }

    async fn start_founded(
        listen: &str,
        found: impl FnOnce(&Path),
        more: impl FnOnce(&Path) -> String,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        privacy::listen();
        let now: Timestamp = NOW.parse().unwrap();
        let path = folder.path();
        found(path);
        let city = district::consuming_departments().swap_remove(0);
        let root = Subject {
            common_name: "Test Root",
            organisation_name: city.name,
            organisation: city.code,
        };
        // TLS is judged by the machine's clock, licences by the hub's: the authority's validity
        // spans both.
        let founded: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let authority = Authority::open(path, &root, founded).unwrap();
        authority.revocation_list(&[], now).unwrap();
        let server = Profile::Server {
            dns: vec!["localhost".to_owned()],
            ips: vec!["127.0.0.1".parse().unwrap()],
        };
        let (certificate, key) =
            authority.issue(Suite::EcdsaP256Sha256, server, &root, founded, 3_000).unwrap();
        write(path.join("server.pem"), &certificate.to_pem());
        write(path.join("server.key"), &key.to_pkcs8_pem());
        write(path.join("catalogue.json"), &district::catalogue_json());
        write(path.join("matters.json"), &district::matters_json());
        write(path.join("policies.cedar"), &district::policies());
        write(path.join("mandates.json"), &district::mandates_json());
        write(path.join("organisations.json"), &district::organisations_json());
        let (certificate, key) = authority
            .issue(Suite::EcdsaP256Sha256, Profile::LicenceIssuer, &root, founded, 3_000)
            .unwrap();
        write(path.join("service.pem"), &certificate.to_pem());
        write(path.join("service.key"), &key.to_pkcs8_pem());
        write(path.join("index.key"), &"2a".repeat(32));
        let services = root.organisation;
        let service = format!("[service]\norganisation = \"{services}\"\n{SERVICE}");
        let settings = SETTINGS.replace("127.0.0.1:0\"\ncat", &format!("{listen}\"\ncat"));
        write(path.join("hub.toml"), &format!("{settings}\n{service}\n{}", more(path)));
        let config = Config::read(&path.join("hub.toml")).unwrap();
        let hub = Hub::open(config, Clock::standing_at(now)).await.unwrap();
        let running = server::start(&hub).unwrap();
        let address = running.https;
        let district = Self::small_district();
        let hub = Held(Some(hub));
        Self { hub, address, folder, authority, running: Some(running), district }
    }

    /// The district of every test hub.
    pub fn small_district() -> District {
        let size = DistrictSize { persons: 40, enterprises: 20, projects: 4, licences: 0 };
        let natural = District::new(7, size).natural_licences();
        District::new(7, DistrictSize { licences: natural, ..size })
    }

    /// Stops the hub and opens it again on the same folder.
    pub async fn restart(&mut self) {
        self.restart_at(NOW.parse().unwrap()).await;
    }

    /// The same, with the hub's clock at another time.
    pub async fn restart_at(&mut self, now: Timestamp) {
        self.stop().await;
        let config = Config::read(&self.folder.path().join("hub.toml")).unwrap();
        let hub = Hub::open(config, Clock::standing_at(now)).await.unwrap();
        let running = server::start(&hub).unwrap();
        self.hub = Held(Some(hub));
        self.address = running.https;
        self.running = Some(running);
    }

    /// Stops the hub; its store is free afterwards.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
            if let Some(hub) = self.hub.0.take() {
                hub.shut().await;
            }
        }
    }

    /// Where the pages are.
    pub fn pages(&self) -> String {
        let pages = self.running.as_ref().and_then(|running| running.pages);
        format!("http://{}", pages.expect("the pages are served"))
    }

    /// Address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// 澜溪区市场监督管理局, which issues business licences.
    pub fn issuer(&self) -> Actor {
        self.issuing("market-regulation")
    }

    /// An issuing department.
    pub fn issuing(&self, slug: &str) -> Actor {
        let mut actor = self.department(slug);
        actor.identity = Some(self.signing_identity(&actor.department));
        actor
    }

    /// A department's signing identity, newly issued.
    pub fn signing_identity(&self, department: &Department) -> SigningIdentity {
        let from: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
        self.signing_identity_from(department, Profile::LicenceIssuer, from, 1_000)
    }

    /// A department's signing identity for a purpose and a time.
    pub fn signing_identity_from(
        &self,
        department: &Department,
        profile: Profile,
        from: Timestamp,
        days: i64,
    ) -> SigningIdentity {
        let (certificate, key) = self
            .authority
            .issue(Suite::EcdsaP256Sha256, profile, &subject(department), from, days)
            .unwrap();
        SigningIdentity::new(vec![certificate], Box::new(key)).unwrap()
    }

    /// 澜溪区政务服务和数据管理局, which pulls, and operates the connectors.
    pub fn office(&self) -> Actor {
        self.department("government-services")
    }

    /// The consuming department that may make this pull.
    pub fn puller(&self, pull: &Pull) -> Actor {
        let slug = departments().into_iter().find(|one| one.code == pull.department).unwrap().slug;
        self.department(slug)
    }

    /// A department's client certificate and key, as files in the hub's folder.
    pub fn client_files(&self, department: &Department) -> (PathBuf, PathBuf) {
        let from: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
        let (certificate, key) = self
            .authority
            .issue(Suite::EcdsaP256Sha256, Profile::Client, &subject(department), from, 3_000)
            .unwrap();
        let file = |end: &str| self.folder.path().join(format!("client-{}.{end}", department.slug));
        write(file("pem"), &certificate.to_pem());
        write(file("key"), &key.to_pkcs8_pem());
        (file("pem"), file("key"))
    }

    /// A department of the district with its client certificate.
    pub fn department(&self, slug: &str) -> Actor {
        let department = departments().into_iter().find(|one| one.slug == slug).unwrap();
        let client = self.client_of(&department);
        Actor { department, client, identity: None, base: self.url("") }
    }

    /// A department with a good certificate that no policy names.
    pub fn stranger(&self) -> Actor {
        let department = Department {
            name: "外地某局",
            name_en: "Some bureau from elsewhere",
            code: "91350100M000100Y43".parse().unwrap(),
            slug: "stranger",
        };
        let client = self.client_of(&department);
        Actor { department, client, identity: None, base: self.url("") }
    }

    /// Somebody without a certificate.
    pub fn nobody(&self) -> reqwest::Client {
        self.client_builder().build().unwrap()
    }

    /// A client builder that trusts the district's anchor.
    pub fn client_builder(&self) -> reqwest::ClientBuilder {
        let anchor =
            reqwest::Certificate::from_pem(self.authority.anchor().to_pem().as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([anchor])
    }

    /// A client with a certificate and key.
    pub fn client_with(&self, certificate: &Certificate, key: &KeySigner) -> reqwest::Client {
        let pem = format!("{}\n{}", certificate.to_pem(), key.to_pkcs8_pem());
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).unwrap();
        self.client_builder().identity(identity).build().unwrap()
    }

    fn client_of(&self, department: &Department) -> reqwest::Client {
        let from: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
        let (certificate, key) = self
            .authority
            .issue(Suite::EcdsaP256Sha256, Profile::Client, &subject(department), from, 3_000)
            .unwrap();
        self.client_with(&certificate, &key)
    }

    /// A licence of an enterprise that the market regulator issues, valid now, and a pull that is
    /// allowed to find it.
    pub fn enterprise_licence(&self) -> (Licence, Pull) {
        self.some_licence(|licence, pull| {
            licence.issuer.credit_code() == &self.issuer_code()
                && !licence.holders[0].id.kind().is_person()
                && licence.valid_to.is_none_or(|last| last.year() > 2027)
                && pull.types.contains(&licence.licence_type)
        })
    }

    /// A licence of the district that fits.
    pub fn some_licence(&self, fits: impl Fn(&Licence, &Pull) -> bool) -> (Licence, Pull) {
        (0..self.district.licence_count())
            .map(|index| (self.district.licence(index), self.district.pull(index)))
            .find(|(licence, pull)| fits(licence, pull))
            .expect("the district has such a licence")
    }

    /// All licences of the district.
    pub fn licences(&self) -> impl Iterator<Item = Licence> + '_ {
        self.district.licences()
    }

    fn issuer_code(&self) -> licence::CreditCode {
        departments().into_iter().find(|one| one.slug == "market-regulation").unwrap().code
    }

    /// Waits until the search index has seen everything.
    pub async fn search_has_caught_up(&self) {
        let head = self.hub.store.head().await.unwrap();
        while self.hub.search.next() < head {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// How many entries the registry log has.
    pub async fn registry_entries(&self) -> u64 {
        self.hub.store.head().await.unwrap().0
    }

    /// How many entries the access log has.
    pub async fn uses(&self) -> u64 {
        self.hub.store.use_head().await.unwrap().0
    }
}

impl Actor {
    /// Signs as this department.
    pub fn sign(&self, content: &[u8]) -> Vec<u8> {
        let at = NOW.parse().unwrap();
        sign_detached(self.identity.as_ref().expect("an issuing department"), content, at).unwrap()
    }

    /// Issues a licence: signs its bytes and hands them in.
    pub async fn issue(&self, licence: &Licence) -> Answer {
        let document = licence.to_bytes();
        self.hand_in(&document, &self.sign(&document)).await
    }

    /// Hands in any bytes with any signature.
    pub async fn hand_in(&self, document: &[u8], signature: &[u8]) -> Answer {
        self.post(
            "/v1/licences",
            &json!({
                "licence": STANDARD.encode(document),
                "signature": STANDARD.encode(signature),
            }),
        )
        .await
    }

    /// Orders a change of status.
    pub async fn order(&self, identifier: &LicenceId, change: StatusChange) -> Answer {
        let order = StatusOrder {
            identifier: identifier.clone(),
            change,
            reason: "按申请办理".to_owned(),
            ordered_at: NOW.parse().unwrap(),
        };
        let order = order.to_bytes();
        self.post(
            &format!("/v1/licences/{identifier}/status"),
            &json!({
                "order": STANDARD.encode(&order),
                "signature": STANDARD.encode(self.sign(&order)),
            }),
        )
        .await
    }

    /// Pulls.
    pub async fn pull(&self, pull: &Pull) -> Answer {
        self.post("/v1/pulls", &pull_request(pull)).await
    }

    /// POSTs JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.client.post(format!("{}{path}", self.base)).json(body);
        Answer::read(request.send().await.unwrap()).await
    }

    /// PUTs JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        let request = self.client.put(format!("{}{path}", self.base)).json(body);
        Answer::read(request.send().await.unwrap()).await
    }

    /// POSTs anything.
    pub async fn post_bytes(&self, path: &str, media_type: &str, body: Vec<u8>) -> Answer {
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("Content-Type", media_type)
            .body(body);
        Answer::read(request.send().await.unwrap()).await
    }

    /// POSTs JSON with an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("Idempotency-Key", key)
            .json(body);
        Answer::read(request.send().await.unwrap()).await
    }

    /// GETs.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::read(self.client.get(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    /// Hands in a batch: manifest, its signature, and lines of licences. One JSON value for each
    /// line of the answer.
    pub async fn hand_in_batch(
        &self,
        manifest: &[u8],
        signature: &[u8],
        licences: &[Vec<u8>],
    ) -> (Answer, Vec<Value>) {
        let mut body = json!({
            "manifest": STANDARD.encode(manifest), "signature": STANDARD.encode(signature),
        })
        .to_string();
        for licence in licences {
            body.push('\n');
            body.push_str(&json!({ "licence": STANDARD.encode(licence) }).to_string());
        }
        let answer = self
            .post_bytes("/v1/licences/batches", "application/x-ndjson", body.into_bytes())
            .await;
        let lines = answer
            .text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or(Value::Null))
            .collect();
        (answer, lines)
    }
}

/// A pull's wire form, with reason and basis.
pub fn pull_request(pull: &Pull) -> Value {
    json!({
        "holder": { "kind": pull.holder.kind().code(), "number": pull.holder.number() },
        "types": pull.types,
        "matter": pull.matter,
        "basis": { "kind": "duty", "reference": district::mandate_for(&pull.matter) },
        "reason": "核验申请人材料",
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

fn write(path: PathBuf, text: &str) {
    std::fs::write(path, text).unwrap();
}

const SETTINGS: &str = r#"
data = "hub"
listen = "127.0.0.1:0"
catalogue = "catalogue.json"
matters = "matters.json"
policies = "policies.cedar"
mandates = "mandates.json"
index_key = "index.key"
organisations = "organisations.json"
demo = true
pages_listen = "127.0.0.1:0"
workers = 2
cache_mib = 16

[tls]
certificate = "server.pem"
key = "server.key"
client_anchors = "ca.pem"

[trust]
licence_anchors = ["ca.pem"]
crls = ["ca.crl"]
"#;

const SERVICE: &str = r#"
name = "澜溪区政务服务和数据管理局"
certificate = "service.pem"
key = "service.key"
"#;
