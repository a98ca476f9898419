//! Keys in a hardware module, with SoftHSM: the hub signs with them, and survives what happens to tokens.
//!
//! A module belongs to a process and reads its settings from the environment, so each test runs again in a
//! process of its own, with a SoftHSM of its own.

mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use certs::Suite;
use hub::keys::{
    book::{Place, State},
    change::Wanted,
    token::{self, TokenError},
};
use support::{
    TestHub,
    signing::{PASSPHRASE, unavailable, write_matter},
};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "271828";
const P256: Wanted<'static> = Wanted::OnToken(Suite::EcdsaP256Sha256);

/// A SoftHSM with one token, `yihao`.
struct SoftHsm(PathBuf);

impl SoftHsm {
    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Takes the token out.
    fn unplug(&self) {
        std::fs::rename(self.at("tokens"), self.at("unplugged")).unwrap();
        std::fs::create_dir(self.at("tokens")).unwrap();
    }

    /// Puts it back.
    fn plug_in(&self) {
        std::fs::remove_dir_all(self.at("tokens")).unwrap();
        std::fs::rename(self.at("unplugged"), self.at("tokens")).unwrap();
    }

    fn write_pin(&self, pin: &str) {
        std::fs::write(self.at("pin"), pin).unwrap();
    }

    fn settings(&self, folder: &Path) -> String {
        std::fs::write(folder.join("keys.pass"), PASSPHRASE).unwrap();
        write_matter(folder);
        let pin = self.at("pin");
        format!(
            "[keys]\nfolder = \"keys\"\npassphrase_file = \"keys.pass\"\n[keys.pkcs11]\nmodule = \"{MODULE}\"\n\
             token = \"yihao\"\npin_file = \"{}\"\n",
            pin.display()
        )
    }

    async fn hub(&self) -> TestHub {
        self.write_pin(PIN);
        TestHub::start_prepared("127.0.0.1:0", |folder| self.settings(folder)).await
    }

    /// A hub that signs with a key on the token.
    async fn hub_that_signs(&self) -> TestHub {
        let hub = self.hub().await;
        let id = hub.publish_key(P256);
        hub.rotate_to(&id).await;
        hub
    }
}

/// Runs the test `name` again, alone in a process, with a new SoftHSM.
fn alone(name: &str, test: impl AsyncFnOnce(SoftHsm)) {
    if std::env::var("YIHAO_TEST_ALONE").is_ok() {
        let conf = PathBuf::from(std::env::var("SOFTHSM2_CONF").unwrap());
        let hsm = SoftHsm(conf.parent().unwrap().to_owned());
        return actix_web::rt::System::new().block_on(test(hsm));
    }
    let folder = tempfile::tempdir().unwrap();
    let (tokens, conf) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
    std::fs::create_dir(&tokens).unwrap();
    let settings = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, settings).unwrap();
    softhsm(
        &conf,
        &["--init-token", "--free", "--label", "yihao", "--so-pin", "314159", "--pin", PIN],
    );
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env("YIHAO_TEST_ALONE", "1")
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}");
    assert!(said.contains("1 passed"), "no test is named {name}: {said}");
}

fn softhsm(conf: &Path, arguments: &[&str]) {
    let run = Command::new("softhsm2-util").args(arguments).env("SOFTHSM2_CONF", conf).output();
    let run =
        run.expect("the program `softhsm2-util` is needed: ./dev test installs it (softhsm2)");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn keys_of_every_kind_on_a_token_sign_packages_that_openssl_accepts() {
    alone("keys_of_every_kind_on_a_token_sign_packages_that_openssl_accepts", async |hsm| {
        let hub = hsm.hub().await;
        let person = hub.applicant(3).await;
        // One that somebody else put there.
        let run = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out"])
            .arg(hsm.at("rsa.pem"))
            .output()
            .expect("the program `openssl` is needed: ./dev test installs it");
        assert!(run.status.success());
        let rsa = hsm.at("rsa.pem");
        let import = ["--import", rsa.to_str().unwrap(), "--token", "yihao", "--label", "vendor's"];
        let import = [&import[..], &["--id", "77", "--pin", PIN]].concat();
        softhsm(&hsm.at("softhsm2.conf"), &import);

        for (wanted, suite) in [
            (P256, Suite::EcdsaP256Sha256),
            (Wanted::OnToken(Suite::EcdsaP384Sha384), Suite::EcdsaP384Sha384),
            (Wanted::FoundOnToken("vendor's"), Suite::RsaPkcs1Sha256),
            (Wanted::OnToken(Suite::Ed25519), Suite::Ed25519),
        ] {
            let id = hub.publish_key(wanted);
            hub.rotate_to(&id).await;
            assert_eq!(hub.signer_word().await, "ok");
            let package = hub.signed_package(&person).await;
            let certificate = hub.certificate_of(id.as_str()).await;
            if suite == Suite::Ed25519 {
                // `openssl cms` 3.0 does no Ed25519: the library does.
                let (content, signature) =
                    (package.content().unwrap(), package.signature().unwrap());
                let found = certs::check_signature(&signature, &content).unwrap();
                assert_eq!(found.signer.sha256().to_string(), certificate);
            } else {
                assert_eq!(hub.openssl_signer(&package), certificate, "{suite:?}");
            }
        }
        let sm2 = hub.make_key(Wanted::OnToken(Suite::Sm2Sm3)).unwrap_err();
        assert_eq!(unavailable(sm2).word(), "key_kind");
        let none = hub.make_key(Wanted::FoundOnToken("nothing")).unwrap_err();
        assert_eq!(unavailable(none).word(), "key_absent");
    });
}

#[test]
fn a_missing_pin_shows_and_a_wrong_one_is_tried_once() {
    alone("a_missing_pin_shows_and_a_wrong_one_is_tried_once", async |hsm| {
        let mut hub = hsm.hub_that_signs().await;
        std::fs::remove_file(hsm.at("pin")).unwrap();
        hub.restart().await;
        // The session of this process is still logged in: the module knows the user, not the hub.
        forget_sessions();
        hub.restart().await;
        assert_eq!(hub.signer_word().await, "pin_missing");
        let person = hub.applicant(3).await;
        let case = person.opened().await;
        let refused = person.promised_and_submitted(&case).await;
        assert_eq!((refused.status, refused.code()), (503, "signer_pin_missing"));

        assert_eq!(refused_logins(&hub).await, 0);
        hsm.write_pin("000000");
        hub.signer_is("pin_wrong").await;
        for _ in 0..5 {
            let refused = person.promised_and_submitted(&case).await;
            assert_eq!((refused.status, refused.code()), (503, "signer_pin_wrong"));
        }
        hub.restart().await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        assert_eq!(refused_logins(&hub).await, 1, "a PIN that was refused is not shown again");
        assert_eq!(hub.signer_word().await, "pin_wrong");

        hsm.write_pin(&format!("{PIN}\n"));
        hub.signer_is("ok").await;
        let person = hub.applicant(3).await;
        let submitted = person.promised_and_submitted(&case).await;
        assert_eq!(submitted.status, 200, "{}", submitted.text);
    });
}

/// How often a token refused a PIN.
async fn refused_logins(hub: &TestHub) -> u32 {
    let said = hub.nobody().get(hub.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let refused = "yihao_token_logins_total{result=\"refused\"} ";
    said.lines().find_map(|line| line.strip_prefix(refused)?.parse().ok()).unwrap_or(0)
}

/// What a program does that ends the module: every session is gone, and the login with them.
fn forget_sessions() {
    cryptoki::context::Pkcs11::new(MODULE).unwrap().finalize().unwrap();
}

#[test]
fn a_token_that_was_restarted_signs_on() {
    alone("a_token_that_was_restarted_signs_on", async |hsm| {
        let hub = hsm.hub_that_signs().await;
        let person = hub.applicant(3).await;
        hub.signed_package(&person).await;
        for _ in 0..3 {
            forget_sessions();
            hub.signed_package(&person).await;
        }
        assert_eq!(hub.signer_word().await, "ok");
    });
}

#[test]
fn a_token_that_went_away_is_told_and_back_again_it_signs() {
    alone("a_token_that_went_away_is_told_and_back_again_it_signs", async |hsm| {
        let hub = hsm.hub_that_signs().await;
        let person = hub.applicant(3).await;
        let case = person.opened().await;
        hsm.unplug();
        let refused = person.promised_and_submitted(&case).await;
        assert_eq!((refused.status, refused.code()), (503, "signer_token_absent"));
        assert_eq!(hub.signer_word().await, "token_absent");
        // Reading, taking in and pulling need no signature.
        let shown = hub.nobody().get(hub.url("/v1/catalogue")).send().await.unwrap();
        assert_eq!(shown.status(), 200);

        hsm.plug_in();
        hub.signer_is("ok").await;
        let submitted = person.promised_and_submitted(&case).await;
        assert_eq!(submitted.status, 200, "{}", submitted.text);
    });
}

#[test]
fn a_hub_starts_without_its_token_and_finds_it_later() {
    alone("a_hub_starts_without_its_token_and_finds_it_later", async |hsm| {
        let mut hub = hsm.hub_that_signs().await;
        hub.stop().await;
        forget_sessions();
        hsm.unplug();
        hub.restart().await;
        assert_eq!(hub.signer_word().await, "token_absent");
        assert_eq!(hub.shown_keys().await.len(), 2);
        hsm.plug_in();
        hub.signer_is("ok").await;
        hub.signed_package(&hub.applicant(3).await).await;
    });
}

#[test]
fn a_token_that_goes_away_unused_is_noticed() {
    alone("a_token_that_goes_away_unused_is_noticed", async |hsm| {
        let hub = hsm.hub_that_signs().await;
        hsm.unplug();
        hub.signer_is("token_absent").await;
        hsm.plug_in();
        hub.signer_is("ok").await;
    });
}

#[test]
fn renewing_from_a_file_to_a_token_and_back_loses_no_signature() {
    alone("renewing_from_a_file_to_a_token_and_back_loses_no_signature", async |hsm| {
        let hub = hsm.hub().await;
        let signing = async |person: u64| {
            let client = hub.applicant(person).await;
            let mut signers = std::collections::BTreeSet::new();
            for _ in 0..8 {
                let package = hub.signed_package(&client).await;
                signers.insert(hub.openssl_signer(&package));
            }
            signers
        };
        let renewing = async {
            for wanted in [P256, Wanted::File(Suite::EcdsaP256Sha256), P256] {
                let id = hub.publish_key(wanted);
                hub.rotate_to(&id).await;
            }
        };
        let people = futures_util::future::join_all((0..4).map(signing));
        let (signers, ()) = futures_util::future::join(people, renewing).await;
        let known: Vec<String> = hub
            .shown_keys()
            .await
            .iter()
            .map(|key| key["sha256"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(known.len(), 4);
        assert!(signers.iter().flatten().all(|signer| known.contains(signer)));
    });
}

#[test]
fn settings_that_name_no_token_or_module_are_told() {
    alone("settings_that_name_no_token_or_module_are_told", async |hsm| {
        let hub = hsm.hub().await;
        let places = hub.places();
        let mut token = places.token.clone().unwrap();
        token.label = "other".to_owned();
        assert_eq!(token::look(&token, "x"), Err(TokenError::Absent("other".to_owned())));
        token.module = "/usr/lib/x86_64-linux-gnu/libc.so.6".into();
        assert_eq!(token::look(&token, "x").unwrap_err().code(), "signer_module");
        token.module = "/nowhere.so".into();
        assert_eq!(token::look(&token, "x").unwrap_err().code(), "signer_module");

        // A key that was made while the settings named another token.
        let id = hub.publish_key(P256);
        let book = places.folder.as_ref().unwrap().book_path();
        let text = std::fs::read_to_string(&book).unwrap();
        std::fs::write(&book, text.replace("\"yihao\"", "\"elsewhere\"")).unwrap();
        let refused = places.rotate(true, &hub.act(0)).unwrap_err();
        assert_eq!(unavailable(refused).word(), "token_unknown");
        std::fs::write(&book, text).unwrap();
        hub.rotate_to(&id).await;
        let read = places.folder.as_ref().unwrap().book().unwrap();
        let key = read.current().unwrap();
        let there = Place::Pkcs11 { token: "yihao".to_owned(), label: id.to_string() };
        assert_eq!((&key.place, key.state), (&there, State::Current));
    });
}

/// A module whose first start takes 12 seconds; each fails.
const SLEEPER: &str = r#"
#include <stdlib.h>
#include <unistd.h>
static unsigned long start(void *arguments) {
    (void)arguments;
    if (!getenv("STARTED")) { setenv("STARTED", "1", 1); sleep(12); }
    return 5;
}
static struct { unsigned char version[2]; void *functions[68]; } list = { { 2, 40 }, { (void *)start } };
unsigned long C_GetFunctionList(void **answer) { *answer = &list; return 0; }
"#;

#[test]
fn a_module_that_does_not_answer_keeps_nobody_waiting_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let (source, module) = (folder.path().join("sleeper.c"), folder.path().join("sleeper.so"));
    std::fs::write(&source, SLEEPER).unwrap();
    let mut compile = Command::new("cc");
    let compiled = compile.args(["-shared", "-fPIC", "-o"]).arg(&module).arg(&source).output();
    let compiled = compiled.expect("the program `cc` is needed: ./dev test installs it (g++)");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let pin = hub::keys::secret::Source::new(None, "YIHAO_HUB_KEY_PIN");
    let token = token::Token { module, label: "yihao".to_owned(), pin };

    let started = std::time::Instant::now();
    assert_eq!(token::look(&token, "x"), Err(TokenError::Silent));
    assert!(started.elapsed().as_secs() < 11);
    // Who comes meanwhile is told at once.
    let again = std::time::Instant::now();
    assert_eq!(token::look(&token, "x"), Err(TokenError::Silent));
    assert!(again.elapsed().as_millis() < 500);
    std::thread::sleep(std::time::Duration::from_secs(4));
    // It answers again, if only that it fails.
    assert_eq!(token::look(&token, "x").unwrap_err().code(), "signer_module");
}

#[test]
fn an_operator_makes_a_key_on_the_token_with_the_pin_from_the_environment() {
    alone("an_operator_makes_a_key_on_the_token_with_the_pin_from_the_environment", async |hsm| {
        let mut hub = hsm.hub().await;
        hub.stop().await;
        let settings = hub.folder.path().join("hub.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        let without = text.lines().filter(|line| !line.starts_with("pin_file"));
        std::fs::write(&settings, without.collect::<Vec<_>>().join("\n")).unwrap();
        let new = |pin: Option<&str>| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_hub"));
            command.args(["keys", "new", "--json", "--suite", "p384", "--config"]).arg(&settings);
            if let Some(pin) = pin {
                command.env("YIHAO_HUB_KEY_PIN", pin);
            }
            let run = command.output().unwrap();
            serde_json::from_slice::<serde_json::Value>(&run.stdout)
                .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&run.stderr)))
        };
        assert_eq!(new(None)["error"], "signer_pin_missing");
        assert_eq!(new(Some("000000"))["error"], "signer_pin_wrong");
        let made = new(Some(PIN));
        assert!(made["id"].is_string(), "{made}");
        let request = made["request"].as_str().unwrap();
        let mut verify = Command::new("openssl");
        verify.args(["req", "-verify", "-noout", "-in", request]);
        assert!(verify.output().unwrap().status.success());
    });
}
