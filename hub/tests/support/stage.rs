//! Where the stories of people take place: a real hub over HTTPS with its clock in the test's hand, a real OpenID
//! provider (npm `oidc-provider`), the province's PostgreSQL, and a real browser.

use std::{path::Path, process::Command};

use connectors::local_postgres::LocalPostgres;
use serde_json::{Value, json};

use super::{
    TestHub,
    browser::{Browser, PATIENCE, Page, Program, free_ports},
    privacy,
};

/// All that a story needs. Everything that was started ends with it.
pub struct Stage {
    /// The hub.
    pub hub: TestHub,
    /// The browser, at the hub's address.
    pub page: Page,
    /// The province.
    pub province: LocalPostgres,
    driver: Program,
    provider: Program,
    folder: tempfile::TempDir,
}

/// A person at the provider.
pub struct Someone {
    /// The subject, and what is typed as the login.
    pub subject: String,
    /// The claims.
    pub claims: Value,
}

impl Stage {
    /// Sets the stage for these people. `connectors`: more settings, given the province's connection.
    pub async fn set(people: &[Someone], connectors: impl FnOnce(&str) -> String) -> Self {
        privacy::listen();
        let folder = tempfile::tempdir().unwrap();
        let programs = LocalPostgres::find().expect("PostgreSQL's programs");
        let province =
            LocalPostgres::start(&folder.path().join("province"), &programs).await.unwrap();
        let port = free_ports();
        let address = format!("https://localhost:{port}");
        let counterparts = connectors(&province.connection().to_string());
        let mut provider = None;
        let hub = TestHub::start_prepared(&format!("127.0.0.1:{port}"), |path| {
            let (program, issuer) = start_provider(path, &address, people);
            provider = Some(program);
            std::fs::write(path.join("client.secret"), SECRET).unwrap();
            format!(
                "[login]\nissuer = \"{issuer}\"\nclient_id = \"yihao\"\n\
                 client_secret = \"client.secret\"\naddress = \"{address}\"\nca = \"ca.pem\"\n\
                 scopes = [\"profile\", \"yihao\"]\n[login.roles]\ncitizen = \"applicant\"\n\
                 staff = \"clerk\"\nops = \"operator\"\naudit = \"auditor\"\n{counterparts}"
            )
        })
        .await;
        let driver_port = free_ports();
        let driver = Program::start(
            Command::new("chromedriver").arg(format!("--port={driver_port}")),
            "started successfully",
            PATIENCE,
        );
        let browser = Browser::start(driver_port, &folder.path().join("browser")).await;
        let page = Page { browser, base: address };
        let provider = provider.expect("it was started above");
        Self { hub, page, province, driver, provider, folder }
    }

    /// Logs in through the provider's own pages; leaves the browser where the hub then leads.
    pub async fn log_in(&self, subject: &str) {
        let page = &self.page;
        page.browser.ask(reqwest::Method::DELETE, "/cookie", Value::Null).await;
        page.open("/login?next=/").await;
        page.see("input[name=login]").await;
        page.type_into("input[name=login]", subject).await;
        page.type_into("input[name=password]", "any").await;
        page.submit("button[type=submit]").await;
        // The provider asks for consent once for each login.
        let asks = "return document.querySelector('input[name=prompt][value=consent]') !== null";
        if page.script(asks).await == json!(true) {
            page.submit("button[type=submit]").await;
        }
        let here = page.script("return location.origin").await;
        assert_eq!(here, json!(page.base), "the provider leads back to the hub");
    }

    /// Looks for these numbers and names in everything that was logged, measured and addressed; then ends
    /// everything, in order.
    pub async fn end(mut self, secrets: &[String]) {
        let metrics = self.hub.nobody().get(self.hub.url("/metrics")).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        assert!(metrics.contains("yihao_http_seconds"), "the metrics are there");
        privacy::keeps("the metrics", &metrics, secrets);
        let log = privacy::heard();
        assert!(!log.is_empty(), "the log was heard");
        privacy::keeps("the log", &log, secrets);
        let addresses = self.page.browser.addresses().await;
        assert!(addresses.contains("/login/callback"), "the browser's addresses are known");
        privacy::keeps("an address", &addresses, secrets);
        self.page.browser.quit().await;
        self.hub.stop().await;
        self.province.stop().await;
    }
}

const SECRET: &str = "a secret of the tests alone, 0123456789abcdef";

fn start_provider(path: &Path, address: &str, people: &[Someone]) -> (Program, String) {
    let accounts: Vec<Value> = people
        .iter()
        .map(|one| {
            let mut account = one.claims.clone();
            account["subject"] = json!(one.subject);
            account
        })
        .collect();
    let settings = json!({
        "certificate": path.join("server.pem"), "key": path.join("server.key"),
        "client_id": "yihao", "client_secret": SECRET,
        "redirect_uri": format!("{address}/login/callback"), "accounts": accounts,
    });
    let file = path.join("provider.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    let modules = std::env::var("YIHAO_PROOF").expect("./dev test sets YIHAO_PROOF");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proof/provider.mjs");
    let (program, line) = Program::start_and_read(
        Command::new("node").arg(script).arg(modules).arg(file),
        "ready ",
        PATIENCE,
    );
    let issuer = line.trim_start_matches("ready ").trim().to_owned();
    (program, issuer)
}
