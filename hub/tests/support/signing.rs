//! Acts that need the service's signature, the folder of its keys, and `openssl`, which judges.

use std::process::Command;

use certs::{KeySigner, Profile, SigningIdentity, Suite};
use hub::{
    command::demo::authority::Authority,
    keys::{
        KeysError, Places, SignerUnavailable,
        book::{Act, KeyId},
        change::{Made, Owner, Wanted},
    },
    reuse::package::SignedFile,
};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, NOW, TestHub, departments, people::PageClient};

/// The passphrase of all keys in tests.
pub const PASSPHRASE: &str = "a passphrase of these tests";

/// The settings of a folder of keys under that passphrase, and its file.
pub fn keys_in_files(folder: &std::path::Path) -> String {
    std::fs::write(folder.join("keys.pass"), format!("{PASSPHRASE}\n")).unwrap();
    write_matter(folder);
    "[keys]\nfolder = \"keys\"\npassphrase_file = \"keys.pass\"\n".to_owned()
}

/// A matter that asks for nothing but a photograph, which may follow: a promise and a package are signed.
pub fn write_matter(folder: &std::path::Path) {
    let matters = json!({ "format": "yihao-matters-1", "matters": [matter()] });
    std::fs::write(folder.join("matters.json"), matters.to_string()).unwrap();
}

fn matter() -> Value {
    let mut all = departments().into_iter();
    let department = all.find(|one| one.slug == "government-services").unwrap().code.to_string();
    json!({
        "code": format!("{department}4450131099001"),
        "name": "登记",
        "department": department,
        "requires": [],
        "basis": "办理依据第一条",
        "version": 1,
        "guide": {
            "applicants": ["person"],
            "days": { "legal": 20, "promised": 5 },
            "requirements": [{
                "id": "photo", "name": { "zh": "照片" }, "basis": "办理依据第十条",
                "ways": [{ "by": "file", "kind": "photo", "reusable_days": 0 }], "may_follow_days": 5,
            }],
        },
    })
}

impl TestHub {
    /// A hub with a folder of keys.
    pub async fn with_keys_in_files() -> Self {
        Self::start_prepared("127.0.0.1:0", keys_in_files).await
    }

    /// The keys as `hub keys` works on them.
    pub fn places(&self) -> Places {
        Places::of(self.hub.settings())
    }

    /// Whose keys they are.
    pub fn owner(&self) -> Owner {
        let service = self.hub.settings().service.as_ref().unwrap();
        Owner { organisation: service.organisation, name: service.name.clone() }
    }

    /// Somebody does something `hours` after the test's time.
    pub fn act(&self, hours: i64) -> Act {
        let now: Timestamp = NOW.parse().unwrap();
        Act::new(now + SignedDuration::from_hours(hours), "吴刚", "试验").unwrap()
    }

    /// Makes the next key.
    pub fn make_key(&self, wanted: Wanted<'_>) -> Result<Made, KeysError> {
        self.places().make(&self.owner(), wanted, self.act(0))
    }

    /// Makes the next key and has the district's authority issue its certificate.
    pub fn publish_key(&self, wanted: Wanted<'_>) -> KeyId {
        let made = self.make_key(wanted).unwrap();
        self.certify(&made.id);
        made.id
    }

    /// Has the district's authority issue the next key's certificate.
    pub fn certify(&self, id: &KeyId) {
        let read = |name: &str| std::fs::read(self.folder.path().join(name)).unwrap();
        let authority = SigningIdentity::from_pem(&read("ca.pem"), &read("ca.key")).unwrap();
        self.places().issue(id, &self.owner(), &authority, 730, self.act(0)).unwrap();
    }

    /// Lets the next key sign without waiting, and waits until the hub does.
    pub async fn rotate_to(&self, id: &KeyId) {
        self.places().rotate(true, &self.act(0)).unwrap();
        self.key_is("current", id).await;
    }

    /// Waits until the running hub shows a key in a state: at most two seconds, and as long again for a busy machine.
    pub async fn key_is(&self, state: &str, id: &KeyId) {
        self.soon(&format!("{id} is {state}"), async || {
            let keys = self.shown_keys().await;
            keys.iter().any(|key| key["id"] == id.as_str() && key["state"] == state)
        })
        .await;
    }

    /// Waits until `/readyz` says this word of the signer.
    pub async fn signer_is(&self, word: &str) {
        self.soon(&format!("the signer is {word}"), async || self.signer_word().await == word)
            .await;
    }

    /// What `/readyz` says of the signer.
    pub async fn signer_word(&self) -> String {
        let ready = self.nobody().get(self.url("/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), 200, "a hub that cannot sign is ready");
        let ready: Value = ready.json().await.unwrap();
        ready["signer"].as_str().unwrap().to_owned()
    }

    async fn soon(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        for _ in 0..200 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("not in ten seconds: {what}");
    }

    /// `GET /v1/keys` as anybody sees it.
    pub async fn shown_keys(&self) -> Vec<Value> {
        let shown = self.nobody().get(self.url("/v1/keys")).send().await.unwrap();
        assert_eq!(shown.status(), 200);
        let shown: Value = shown.json().await.unwrap();
        shown["keys"].as_array().unwrap().clone()
    }

    /// What `openssl` finds in a package: the digest of the signer's certificate.
    pub fn openssl_signer(&self, package: &SignedFile) -> String {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("content"), package.content().unwrap()).unwrap();
        std::fs::write(at("signature"), package.signature().unwrap()).unwrap();
        std::fs::write(at("ca.pem"), self.authority.anchor().to_pem()).unwrap();
        let arguments = "cms -verify -binary -inform DER -in signature -content content -CAfile ca.pem \
                         -purpose any -signer signer.pem -out /dev/null";
        let run = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(folder.path())
            .output()
            .expect("the program `openssl` is needed: ./dev test installs it and runs this");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let signer = std::fs::read(at("signer.pem")).unwrap();
        certs::Certificate::from_pem(&signer).unwrap().sha256().to_string()
    }

    /// The digest of the certificate of a key that is shown.
    pub async fn certificate_of(&self, id: &str) -> String {
        let keys = self.shown_keys().await;
        let key = keys.iter().find(|key| key["id"] == id).unwrap_or_else(|| panic!("no {id}"));
        key["sha256"].as_str().unwrap().to_owned()
    }

    /// Opens a case, promises and submits, and answers the package.
    pub async fn signed_package(&self, person: &PageClient) -> SignedFile {
        let case = person.opened().await;
        let submitted = person.promised_and_submitted(&case).await;
        assert_eq!(submitted.status, 200, "{}", submitted.text);
        self.package(&case).await
    }

    /// The package of a case.
    pub async fn package(&self, case: &str) -> SignedFile {
        let package = self.office().get(&format!("/v1/cases/{case}/package")).await;
        assert_eq!(package.status, 200, "{}", package.text);
        SignedFile::parse(package.text.as_bytes()).unwrap()
    }
}

impl PageClient {
    /// Opens a case.
    pub async fn opened(&self) -> String {
        let body = json!({ "matter": matter()["code"] });
        let opened = self.call(Method::POST, "/v1/cases", Some(&body)).await;
        assert_eq!(opened.status, 201, "{}", opened.text);
        opened.json["id"].as_str().unwrap().to_owned()
    }

    /// Promises the photograph, and submits; the first refusal.
    pub async fn promised_and_submitted(&self, case: &str) -> Answer {
        let body = json!({ "requirements": ["photo"] });
        let promise = format!("/v1/cases/{case}/promise");
        let promised = self.call(Method::POST, &promise, Some(&body)).await;
        if promised.status != 200 {
            return promised;
        }
        self.call(Method::POST, &format!("/v1/cases/{case}/submit"), Some(&json!({}))).await
    }
}

/// A chain for some other key of the service, as PEM.
pub fn another_chain(authority: &Authority, owner: &Owner) -> (certs::Certificate, KeySigner) {
    let subject = hub::command::demo::authority::Subject {
        common_name: &owner.name,
        organisation_name: &owner.name,
        organisation: owner.organisation,
    };
    let from: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
    authority.issue(Suite::EcdsaP256Sha256, Profile::LicenceIssuer, &subject, from, 1_000).unwrap()
}

/// Whether the key cannot be opened, and why.
pub fn unavailable(error: KeysError) -> SignerUnavailable {
    match error {
        KeysError::Signer(error) => error,
        other => panic!("{other}"),
    }
}
