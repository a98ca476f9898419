//! The service's keys: published before they sign, renewed while the hub runs, and what was signed stays valid.

mod support;

use std::process::Command;

use certs::Suite;
use hub::keys::{book::State, change::Wanted};
use serde_json::Value;
use support::{
    TestHub,
    signing::{PASSPHRASE, another_chain, keys_in_files, unavailable},
};

const P256: Wanted<'static> = Wanted::File(Suite::EcdsaP256Sha256);

#[actix_web::test]
async fn a_key_is_published_before_it_signs_and_the_old_one_stays_known() {
    let hub = TestHub::with_keys_in_files().await;
    let person = hub.applicant(3).await;
    let before = hub.signed_package(&person).await;
    let service = hub.certificate_of("service").await;
    assert_eq!(hub.openssl_signer(&before), service);

    let made = hub.make_key(P256).unwrap();
    let keys = hub.shown_keys().await;
    assert_eq!(keys.len(), 1, "a key without a certificate is not published");
    hub.certify(&made.id);
    hub.key_is("next", &made.id).await;
    assert_eq!(hub.openssl_signer(&hub.signed_package(&person).await), service);

    // A day has to pass.
    let early = hub.places().rotate(false, &hub.act(23)).unwrap_err();
    assert_eq!(early.code(), "keys_too_early");
    hub.places().rotate(false, &hub.act(24)).unwrap();
    hub.key_is("current", &made.id).await;
    let after = hub.signed_package(&person).await;
    assert_eq!(hub.openssl_signer(&after), hub.certificate_of(made.id.as_str()).await);

    let keys = hub.shown_keys().await;
    let states: Vec<&str> = keys.iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["retired", "current"]);
    assert_eq!(hub.openssl_signer(&before), service, "what was signed stays valid");
    assert!(keys[1]["published_at"].is_string() && keys[1]["current_from"].is_string());
    assert_eq!(keys[0]["retired_at"], keys[1]["current_from"]);
    let on_disk = std::fs::read(hub.folder.path().join("keys/published.pem")).unwrap();
    let on_disk = certs::Certificate::many_from_pem(&on_disk).unwrap();
    assert_eq!(on_disk[0].sha256().to_string(), keys[1]["sha256"]);
}

#[actix_web::test]
async fn keys_of_every_suite_take_over_one_from_the_other() {
    let hub = TestHub::with_keys_in_files().await;
    let person = hub.applicant(3).await;
    for suite in [Suite::EcdsaP256Sha256, Suite::EcdsaP384Sha384, Suite::Sm2Sm3, Suite::Ed25519] {
        let id = hub.publish_key(Wanted::File(suite));
        hub.rotate_to(&id).await;
        let package = hub.signed_package(&person).await;
        if matches!(suite, Suite::EcdsaP256Sha256 | Suite::EcdsaP384Sha384) {
            assert_eq!(hub.openssl_signer(&package), hub.certificate_of(id.as_str()).await);
            continue;
        }
        // `openssl cms` 3.0 does neither Ed25519 nor the GM/T 0010 types: the library does.
        let (content, signature) = (package.content().unwrap(), package.signature().unwrap());
        let now = support::NOW.parse().unwrap();
        let trust = hub.hub.trust();
        let found = certs::verify_detached(&signature, &content, &trust, now).unwrap();
        let signer = found.signer.sha256().to_string();
        assert_eq!(signer, hub.certificate_of(id.as_str()).await, "{suite:?}");
    }
}

#[actix_web::test]
async fn renewing_a_key_under_load_fails_nothing_and_every_signature_holds() {
    let hub = TestHub::with_keys_in_files().await;
    let ids = [hub.publish_key(P256)];
    hub.key_is("next", &ids[0]).await;
    let signing = async |person: u64| {
        let client = hub.applicant(person).await;
        let mut signers = Vec::new();
        for _ in 0..6 {
            let package = hub.signed_package(&client).await;
            signers.push(hub.openssl_signer(&package));
        }
        signers
    };
    let rotating = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        hub.rotate_to(&ids[0]).await;
    };
    let people = futures_util::future::join_all((0..4).map(signing));
    let (signers, ()) = futures_util::future::join(people, rotating).await;
    let last = signing(5).await;

    let (old, new) =
        (hub.certificate_of("service").await, hub.certificate_of(ids[0].as_str()).await);
    let all: Vec<String> = signers.concat();
    assert_eq!(all.len(), 24);
    assert!(all.iter().all(|signer| *signer == old || *signer == new));
    assert!(last.iter().all(|signer| *signer == new));
}

#[actix_web::test]
async fn a_hub_without_its_passphrase_does_everything_else_and_keeps_what_was_entered() {
    let mut hub = TestHub::with_keys_in_files().await;
    let id = hub.publish_key(P256);
    hub.rotate_to(&id).await;
    let passphrase = hub.folder.path().join("keys.pass");
    std::fs::write(&passphrase, "").unwrap();
    hub.restart().await;
    assert_eq!(hub.signer_word().await, "passphrase_missing");

    let person = hub.applicant(3).await;
    let case = person.opened().await;
    let refused = person.promised_and_submitted(&case).await;
    assert_eq!((refused.status, refused.code()), (503, "signer_passphrase_missing"));
    assert_eq!((refused.link(), &refused.json["retry"]), ("certificate", &Value::Bool(true)));
    assert!(!refused.text.contains("keys.pass"), "{}", refused.text);
    assert_eq!(hub.shown_keys().await.len(), 2, "the certificates are published all the same");

    std::fs::write(&passphrase, "another passphrase").unwrap();
    hub.signer_is("passphrase_wrong").await;
    std::fs::write(&passphrase, PASSPHRASE).unwrap();
    hub.signer_is("ok").await;
    let submitted = person.promised_and_submitted(&case).await;
    assert_eq!(submitted.status, 200, "{}", submitted.text);
    let package = hub.package(&case).await;
    assert_eq!(hub.openssl_signer(&package), hub.certificate_of(id.as_str()).await);
}

#[actix_web::test]
async fn a_certificate_that_is_over_signs_no_more() {
    let hub = TestHub::with_keys_in_files().await;
    let id = hub.publish_key(P256);
    hub.rotate_to(&id).await;
    assert_eq!(hub.signer_word().await, "ok");
    hub.hub.clock.advance(jiff::SignedDuration::from_hours(24 * 731));
    assert_eq!(hub.signer_word().await, "certificate_ended");
}

#[actix_web::test]
async fn a_retired_key_never_comes_back() {
    let hub = TestHub::with_keys_in_files().await;
    let id = hub.publish_key(P256);
    hub.rotate_to(&id).await;
    let refused = hub.places().retire(&id, false, hub.act(1)).unwrap_err();
    assert_eq!(refused.code(), "keys_retire_current");
    assert_eq!(hub.places().retire(&id, true, hub.act(1)).unwrap(), State::Current);
    // Not the one of [service] either, which it had replaced.
    hub.signer_is("key_missing").await;
    let person = hub.applicant(3).await;
    let refused = person.promised_and_submitted(&person.opened().await).await;
    assert_eq!((refused.status, refused.code()), (503, "signer_key_missing"));
}

#[actix_web::test]
async fn a_book_or_key_that_was_damaged_leaves_the_running_hub_as_it_was() {
    let hub = TestHub::with_keys_in_files().await;
    let id = hub.publish_key(P256);
    hub.rotate_to(&id).await;
    let person = hub.applicant(3).await;
    let at = |name: &str| hub.folder.path().join("keys").join(name);
    let book = std::fs::read(at("keys.json")).unwrap();
    std::fs::write(at("keys.json"), &book[..book.len() / 2]).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert_eq!(hub.signer_word().await, "ok");
    hub.signed_package(&person).await;
    assert_eq!(hub.places().rotate(true, &hub.act(1)).unwrap_err().code(), "keys_book");
    std::fs::write(at("keys.json"), &book).unwrap();

    // Of the next key: a key of another, a certificate of another, a damaged file.
    let made = hub.make_key(P256).unwrap();
    let (other, _) = another_chain(&hub.authority, &hub.owner());
    let refused = hub.places().certify(&made.id, &[other], hub.act(1)).unwrap_err();
    assert_eq!(refused.code(), "keys_certificate_other_key");
    hub.certify(&made.id);
    let key = at(&format!("{}.key", made.id));
    let sealed = std::fs::read(&key).unwrap();
    std::fs::write(&key, std::fs::read(at(&format!("{id}.key"))).unwrap()).unwrap();
    let refused = hub.places().rotate(true, &hub.act(1)).unwrap_err();
    assert_eq!(unavailable(refused).word(), "key_file");
    std::fs::write(&key, &sealed).unwrap();
    let pem = at(&format!("{}.pem", made.id));
    std::fs::write(&pem, std::fs::read(at(&format!("{id}.pem"))).unwrap()).unwrap();
    let refused = hub.places().rotate(true, &hub.act(1)).unwrap_err();
    assert_eq!(refused.code(), "keys_certificate_exchanged");
    assert_eq!(hub.signer_word().await, "ok", "nothing of it touched the key that signs");
}

#[actix_web::test]
async fn the_list_of_keys_is_cached_by_its_tag() {
    let hub = TestHub::with_keys_in_files().await;
    let client = hub.nobody();
    let shown = client.get(hub.url("/v1/keys")).send().await.unwrap();
    assert_eq!(shown.headers()["cache-control"], "public, max-age=60");
    let tag = shown.headers()["etag"].clone();
    let again = client.get(hub.url("/v1/keys")).header("if-none-match", &tag);
    assert_eq!(again.send().await.unwrap().status(), 304);
    let id = hub.publish_key(P256);
    hub.key_is("next", &id).await;
    let again = client.get(hub.url("/v1/keys")).header("if-none-match", &tag);
    assert_eq!(again.send().await.unwrap().status(), 200);
}

#[actix_web::test]
async fn a_service_key_under_a_passphrase_is_opened_with_it() {
    let mut hub = TestHub::start_prepared("127.0.0.1:0", |folder| {
        let key = std::fs::read(folder.join("service.key")).unwrap();
        let key = certs::KeySigner::from_pkcs8_pem(&key).unwrap();
        let random = ring::rand::SystemRandom::new();
        let sealed = key.to_encrypted_pkcs8_pem(PASSPHRASE.as_bytes(), &random).unwrap();
        std::fs::write(folder.join("service.key"), sealed).unwrap();
        keys_in_files(folder)
    })
    .await;
    assert_eq!(hub.signer_word().await, "ok");
    let package = hub.signed_package(&hub.applicant(3).await).await;
    assert_eq!(hub.openssl_signer(&package), hub.certificate_of("service").await);
    std::fs::remove_file(hub.folder.path().join("keys.pass")).unwrap();
    hub.restart().await;
    assert_eq!(hub.signer_word().await, "passphrase_missing");
}

/// The operator's side, with the program itself and the machine's clock.
#[test]
fn an_operator_renews_the_key_with_commands() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("keys.pass"), PASSPHRASE).unwrap();
    std::fs::write(at("hub.toml"), OPERATOR).unwrap();
    let openssl = |line: &str| {
        let run = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(folder.path())
            .output();
        let run = run.expect("the program `openssl` is needed: ./dev test installs it");
        assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
    };
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key -out ca.pem -subj \
         /CN=Authority -days 3650",
    );
    let keys = |arguments: &[&str]| {
        let (command, rest) = arguments.split_first().unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_hub"))
            .args(["keys", command, "--config", "hub.toml", "--json"])
            .args(rest)
            .current_dir(folder.path())
            .env_remove("YIHAO_HUB_KEY_PASSPHRASE")
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&run.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&run.stderr)));
        (run.status.success(), said)
    };

    let (done, made) = keys(&["new", "--by", "吴刚", "--why", "第一把"]);
    assert!(done, "{made}");
    let (first, request) = (made["id"].as_str().unwrap(), made["request"].as_str().unwrap());
    let (done, refused) = keys(&["new"]);
    assert!(!done);
    assert_eq!(refused["error"], "keys_next_exists");
    assert_eq!(keys(&["rotate"]).1["error"], "keys_not_published");
    openssl(&format!("req -in {request} -verify -noout"));
    openssl(&format!("x509 -req -in {request} -CA ca.pem -CAkey ca.key -days 30 -out first.pem"));
    assert!(keys(&["certify", first, "first.pem"]).0);
    // The first of all waits for nobody.
    let (done, rotated) = keys(&["rotate"]);
    assert!(done, "{rotated}");
    assert_eq!(rotated["current"], first);

    let (done, made) = keys(&["new", "--suite", "p384", "--ca", "ca.pem", "--ca-key", "ca.key"]);
    assert!(done, "{made}");
    let second = made["id"].as_str().unwrap();
    assert_eq!(keys(&["rotate"]).1["error"], "keys_too_early");
    assert!(keys(&["rotate", "--force", "--why", "旧密钥丢失"]).0);
    let (_, listed) = keys(&["list"]);
    let listed = listed["keys"].as_array().unwrap();
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&first.into(), &"retired".into()));
    assert_eq!((&listed[1]["id"], &listed[1]["state"]), (&second.into(), &"current".into()));
    assert_eq!(
        (&listed[0]["made"]["by"], &listed[0]["made"]["why"]),
        (&"吴刚".into(), &"第一把".into())
    );
    assert_eq!(listed[1]["current"]["why"], "旧密钥丢失");
    assert_eq!(keys(&["retire", first]).1["error"], "keys_already_retired");
    assert_eq!(keys(&["retire", second]).1["error"], "keys_retire_current");
    assert_eq!(keys(&["retire", "nobody"]).1["error"], "keys_unknown");
    assert_eq!(keys(&["retire", "../x"]).1["error"], "keys_name");

    // Nobody else reads a key; a short passphrase seals none.
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(at(&format!("keys/{second}.key"))).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(at("keys.pass"), "short").unwrap();
    assert_eq!(keys(&["new"]).1["error"], "keys_passphrase_short");
    std::fs::remove_file(at("keys.pass")).unwrap();
    assert_eq!(keys(&["new"]).1["error"], "signer_passphrase_missing");
}

const OPERATOR: &str = r#"
data = "hub"
listen = "127.0.0.1:0"
catalogue = "catalogue.json"
matters = "matters.json"
policies = "policies.cedar"
index_key = "index.key"
[tls]
certificate = "server.pem"
key = "server.key"
client_anchors = "ca.pem"
[trust]
licence_anchors = ["ca.pem"]
[service]
organisation = "91350100M000100Y43"
name = "某市政务服务和数据管理局"
[keys]
folder = "keys"
passphrase_file = "keys.pass"
"#;
