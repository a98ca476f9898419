//! An authority from elsewhere, the operator's commands, and what a department sees of trust.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use certs::{Profile, SigningIdentity, Suite, sign_detached};
use hub::command::demo::authority::{Authority, Subject};
use jiff::Timestamp;
use serde_json::Value;

use super::{Answer, NOW, TestHub, subject};

/// What a change may take, and what the machine of the tests may take on top.
pub const SOON: Duration = Duration::from_secs(2);

pub fn day(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

/// An authority that the hub of the test does not know.
pub struct Elsewhere {
    /// It.
    pub authority: Authority,
    folder: tempfile::TempDir,
}

impl Elsewhere {
    pub fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let city = district::consuming_departments().swap_remove(0);
        let subject = Subject {
            common_name: "Root from elsewhere",
            organisation_name: city.name,
            organisation: city.code,
        };
        let authority = Authority::open(folder.path(), &subject, day("2024-01-01")).unwrap();
        authority.revocation_list(&[], NOW.parse().unwrap()).unwrap();
        Self { authority, folder }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn list(&self) -> PathBuf {
        self.folder.path().join("ca.crl")
    }

    pub fn sha256(&self) -> String {
        self.authority.anchor().sha256().to_string()
    }

    /// The market regulator's signing identity, issued here.
    pub fn signer(&self, hub: &TestHub) -> SigningIdentity {
        let department = hub.issuer().department;
        let subject = subject(&department);
        let (certificate, key) = self
            .authority
            .issue(
                Suite::EcdsaP256Sha256,
                Profile::LicenceIssuer,
                &subject,
                day("2025-01-01"),
                1_000,
            )
            .unwrap();
        SigningIdentity::new(vec![certificate], Box::new(key)).unwrap()
    }
}

/// Runs a command as an operator would; what it printed, and whether it ended well.
pub fn hub_command(hub: &TestHub, arguments: &[&str]) -> (bool, String) {
    let config = hub.folder.path().join("hub.toml");
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_hub"))
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env("USER", "operator")
        .output()
        .unwrap();
    let text = [said.stdout, said.stderr].concat();
    (said.status.success(), String::from_utf8(text).unwrap())
}

pub fn does(hub: &TestHub, arguments: &[&str]) -> String {
    let (well, said) = hub_command(hub, arguments);
    assert!(well, "{arguments:?}: {said}");
    said
}

pub fn refuses(hub: &TestHub, arguments: &[&str]) -> String {
    let (well, said) = hub_command(hub, arguments);
    assert!(!well, "{arguments:?}: {said}");
    said
}

pub fn trust_folder(hub: &TestHub) -> PathBuf {
    hub.folder.path().join("hub/trust")
}

/// Waits until something holds, as long as the hub may take to notice; how long it took.
pub async fn soon(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < SOON, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

pub async fn hand_in(hub: &TestHub, signer: &SigningIdentity) -> Answer {
    let (licence, _) = hub.enterprise_licence();
    let document = licence.to_bytes();
    let signature = sign_detached(signer, &document, NOW.parse().unwrap()).unwrap();
    hub.issuer().hand_in(&document, &signature).await
}

/// The links chain and revocation of the verdict, as a department that pulls sees them.
pub async fn pulled(hub: &TestHub) -> (String, String) {
    let (_, pull) = hub.enterprise_licence();
    let answer = hub.puller(&pull).pull(&pull).await;
    let verification = &answer.json["licences"][0]["verification"];
    let word = |link: &Value| link.as_str().unwrap_or("").to_owned();
    (word(&verification["chain"]), word(&verification["revocation"]["result"]))
}

pub fn serial(signer: &SigningIdentity) -> Vec<u8> {
    hex::decode(signer.certificate().serial_hex()).unwrap()
}
