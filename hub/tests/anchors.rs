//! Anchors and revocation lists come and go while the hub runs: what the operator's commands write counts
//! within two seconds, and what cannot be believed takes nothing away.

mod support;

use serde_json::Value;
use support::{
    NOW, TestHub,
    trust::{Elsewhere, day, does, hand_in, pulled, refuses, serial, soon, trust_folder},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_counts_within_two_seconds_and_so_does_its_end() {
    let hub = TestHub::start().await;
    let elsewhere = Elsewhere::found();
    let signer = elsewhere.signer(&hub);
    let refused = hand_in(&hub, &signer).await;
    assert_eq!((refused.status, refused.link()), (422, "chain"), "{}", refused.text);

    let root = elsewhere.root();
    does(
        &hub,
        &[
            "anchors",
            "add",
            root.to_str().unwrap(),
            "--usage",
            "issuing-licences",
            "--why",
            "letter 12 of the city",
        ],
    );
    soon("the anchor counts", async || hand_in(&hub, &signer).await.status == 201).await;
    assert_eq!(pulled(&hub).await, ("ok".to_owned(), "no_crl".to_owned()));

    let list = elsewhere.list();
    does(&hub, &["crl", "add", list.to_str().unwrap(), "--why", "the first one"]);
    soon("the list counts", async || pulled(&hub).await.1 == "good").await;

    let sha256 = elsewhere.sha256();
    does(&hub, &["anchors", "retire", &sha256[..12], "--now", "--why", "its key is out"]);
    soon("nothing is trusted by it", async || pulled(&hub).await.0 == "anchor_withdrawn").await;

    assert_eq!(hub.hub.trust().crls().len(), 1, "the list of the settings counts as before");

    let listed = does(&hub, &["anchors", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let ours = listed.as_array().unwrap().iter().find(|one| one["sha256"] == sha256).unwrap();
    assert_eq!(ours["standing"], "retired");
    assert_eq!(ours["added"]["by"], "operator");
    assert_eq!(ours["added"]["why"], "letter 12 of the city");
    assert_eq!(ours["retired"]["why"], "its key is out");
    let words = does(&hub, &["anchors", "list"]);
    assert!(words.contains("retired, trusted for nothing"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_dropped_into_the_folder_counts_and_a_bad_one_says_why_beside_itself() {
    let hub = TestHub::start().await;
    let elsewhere = Elsewhere::found();
    let root = elsewhere.root();
    let usage = ["--usage", "issuing-licences", "--why", "test"];
    does(&hub, &[&["anchors", "add", root.to_str().unwrap()], &usage[..]].concat());
    let signer = elsewhere.signer(&hub);
    soon("the anchor counts", async || hand_in(&hub, &signer).await.status == 201).await;

    let crls = trust_folder(&hub).join("crls");
    std::fs::write(crls.join("broken.crl"), b"no list at all").unwrap();
    let (note, said) = (crls.join("broken.crl.refused"), "crl_malformed");
    soon("the bad one is told", async || {
        std::fs::read_to_string(&note).is_ok_and(|text| text.starts_with(said))
    })
    .await;
    std::fs::copy(elsewhere.list(), crls.join("elsewhere.crl")).unwrap();
    soon("the good one counts", async || pulled(&hub).await.1 == "good").await;
    let problems = hub.hub.trust_keeper().told().problems.clone();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].place.as_str(), &*problems[0].code), ("crls/broken.crl", said));

    // The good one is overwritten by rubbish, and by an older list: what was believed stays.
    let newer = elsewhere
        .authority
        .revocation_list(&[(serial(&signer), day("2026-02-01"))], NOW.parse().unwrap())
        .unwrap();
    std::fs::copy(newer, crls.join("elsewhere.crl")).unwrap();
    soon("the newer one counts", async || pulled(&hub).await.1 == "revoked").await;
    std::fs::write(crls.join("elsewhere.crl"), b"rubbish").unwrap();
    let note = crls.join("elsewhere.crl.refused");
    soon("it is told", async || note.exists()).await;
    assert_eq!(pulled(&hub).await.1, "revoked");
    let older = elsewhere.authority.revocation_list(&[], day("2026-02-20")).unwrap();
    std::fs::copy(older, crls.join("elsewhere.crl")).unwrap();
    soon("it is told", async || {
        std::fs::read_to_string(&note).is_ok_and(|text| text.starts_with("crl_older"))
    })
    .await;
    assert_eq!(pulled(&hub).await.1, "revoked");

    // Mended: the notes go.
    std::fs::remove_file(crls.join("broken.crl")).unwrap();
    let fresh = elsewhere.authority.revocation_list(&[], "2026-03-02T01:01:00Z".parse().unwrap());
    std::fs::copy(fresh.unwrap(), crls.join("elsewhere.crl")).unwrap();
    soon("the next one counts", async || pulled(&hub).await.1 == "good").await;
    assert!(!note.exists() && !crls.join("broken.crl.refused").exists());
    assert!(hub.hub.trust_keeper().told().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_believed_outlives_a_damaged_folder_and_a_restart() {
    let mut hub = TestHub::start().await;
    let elsewhere = Elsewhere::found();
    let root = elsewhere.root();
    let usage = ["--usage", "issuing-licences", "--why", "test"];
    does(&hub, &[&["anchors", "add", root.to_str().unwrap()], &usage[..]].concat());
    std::fs::copy(elsewhere.list(), trust_folder(&hub).join("crls/elsewhere.crl")).unwrap();
    let signer = elsewhere.signer(&hub);
    soon("the anchor counts", async || hand_in(&hub, &signer).await.status == 201).await;
    soon("the list counts", async || pulled(&hub).await.1 == "good").await;

    let damaged = |path: &str| std::fs::write(trust_folder(&hub).join(path), b"{").unwrap();
    damaged("anchors.json");
    damaged("crls/elsewhere.crl");
    damaged(&format!("anchors/{}.pem", elsewhere.sha256()));
    let codes = |hub: &TestHub| {
        let told = hub.hub.trust_keeper().told();
        told.problems.iter().map(|problem| problem.code.to_string()).collect::<Vec<_>>()
    };
    let expected = ["anchors_malformed", "certificate_missing", "crl_malformed"];
    soon("the damage is told", async || codes(&hub) == expected).await;
    assert_eq!(pulled(&hub).await, ("ok".to_owned(), "good".to_owned()));

    hub.restart().await;
    assert_eq!(codes(&hub), expected);
    assert_eq!(pulled(&hub).await, ("ok".to_owned(), "good".to_owned()));
    let said = refuses(&hub, &["anchors", "retire", &elsewhere.sha256(), "--now", "--why", "test"]);
    assert!(said.contains("anchors.json is not of the form"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_refuse_what_makes_no_sense_and_change_nothing() {
    let hub = TestHub::start().await;
    let elsewhere = Elsewhere::found();
    let (root, list) = (elsewhere.root(), elsewhere.list());
    let (root, list) = (root.to_str().unwrap(), list.to_str().unwrap());
    let usage = ["--usage", "issuing-licences"];

    let said = refuses(&hub, &["crl", "add", list, "--why", "test"]);
    assert!(said.contains("the issuer of the revocation list is not known"), "{said}");
    let said = refuses(&hub, &[&["anchors", "add", root, "--why", " "], &usage[..]].concat());
    assert!(said.contains("say why"), "{said}");
    let said = refuses(&hub, &[&["anchors", "add", list, "--why", "test"], &usage[..]].concat());
    assert!(said.contains("not a well-formed X.509 certificate"), "{said}");
    does(&hub, &[&["anchors", "add", root, "--why", "test"], &usage[..]].concat());
    let said = refuses(&hub, &[&["anchors", "add", root, "--why", "test"], &usage[..]].concat());
    assert!(said.contains("an anchor for issuing-licences already"), "{said}");
    let said = refuses(&hub, &["anchors", "retire", "abc", "--now", "--why", "test"]);
    assert!(said.contains("6 to 64"), "{said}");
    let said = refuses(&hub, &["anchors", "retire", "000000", "--now", "--why", "test"]);
    assert!(said.contains("no anchor in force"), "{said}");
    let register = std::fs::read(trust_folder(&hub).join("anchors.json")).unwrap();
    let register: Value = serde_json::from_slice(&register).unwrap();
    assert_eq!(register["anchors"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_end_of_an_anchor_stays_trusted() {
    let hub = TestHub::start().await;
    let elsewhere = Elsewhere::found();
    let root = elsewhere.root();
    let usage = ["--usage", "issuing-licences", "--why", "test"];
    does(&hub, &[&["anchors", "add", root.to_str().unwrap()], &usage[..]].concat());
    std::fs::copy(elsewhere.list(), trust_folder(&hub).join("crls/elsewhere.crl")).unwrap();
    let signer = elsewhere.signer(&hub);
    soon("the anchor counts", async || hand_in(&hub, &signer).await.status == 201).await;

    let end = "2026-03-02T02:00:00Z";
    does(
        &hub,
        &["anchors", "retire", &elsewhere.sha256(), "--from", end, "--why", "its successor"],
    );
    let epoch = hub.hub.trust().epoch();
    soon("it is read", async || hub.hub.trust().epoch() > epoch).await;
    hub.hub.clock.advance(jiff::SignedDuration::from_hours(2));
    let (chain, _) = pulled(&hub).await;
    assert_eq!(chain, "ok", "the log shows that the licence is older");
    let (licence, _) = hub.some_licence(|licence, _| {
        licence.issuer.credit_code() == &hub.issuer().department.code
            && licence.identifier != hub.enterprise_licence().0.identifier
    });
    let document = licence.to_bytes();
    let signature =
        certs::sign_detached(&signer, &document, "2026-03-02T01:30:00Z".parse().unwrap()).unwrap();
    let refused = hub.issuer().hand_in(&document, &signature).await;
    assert_eq!(refused.code(), "certificate_anchor_ended", "{}", refused.text);
}

/// A call that a department's system makes.
const CALL: &str = "/v1/changes?after=0&limit=1";

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_an_authority_come_and_go_without_a_restart() {
    let hub = TestHub::start().await;
    let elsewhere = Elsewhere::found();
    let department = hub.office().department;
    let issue = || {
        let subject = support::subject(&department);
        let (suite, profile) = (certs::Suite::EcdsaP256Sha256, certs::Profile::Client);
        elsewhere.authority.issue(suite, profile, &subject, day("2025-01-01"), 3_000).unwrap()
    };
    let (certificate, key) = issue();
    // A client of its own for each try: what is tried is the handshake.
    let comes_in = async || {
        let client = hub.client_with(&certificate, &key);
        client.get(hub.url(CALL)).send().await.is_ok_and(|answer| answer.status() == 200)
    };
    assert!(!comes_in().await);

    let root = elsewhere.root();
    let usage = ["--usage", "issuing-clients", "--why", "test"];
    does(&hub, &[&["anchors", "add", root.to_str().unwrap()], &usage[..]].concat());
    soon("the client comes in", &comes_in).await;
    let refused = hand_in(&hub, &elsewhere.signer(&hub)).await;
    assert_eq!(refused.link(), "chain", "an anchor for clients issues no licences");

    // One connection stays open; its certificate is revoked, another one of the authority is not.
    let open = hub.client_with(&certificate, &key);
    assert_eq!(open.get(hub.url(CALL)).send().await.unwrap().status(), 200);
    let serial = hex::decode(certificate.serial_hex()).unwrap();
    let list =
        elsewhere.authority.revocation_list(&[(serial, day("2026-02-01"))], day("2026-03-02"));
    std::fs::copy(list.unwrap(), trust_folder(&hub).join("crls/clients.crl")).unwrap();
    soon("its open connection is of no use", async || {
        let answer = open.get(hub.url(CALL)).send().await;
        answer.is_ok_and(|answer| answer.status() == 401)
    })
    .await;
    assert!(!comes_in().await);
    let (certificate, key) = issue();
    let other = hub.client_with(&certificate, &key);
    assert_eq!(other.get(hub.url(CALL)).send().await.unwrap().status(), 200);

    does(&hub, &["anchors", "retire", &elsewhere.sha256(), "--now", "--why", "test"]);
    soon("nobody of the authority comes in", async || {
        let answer = other.get(hub.url(CALL)).send().await;
        answer.is_ok_and(|answer| answer.status() == 401)
    })
    .await;
    soon("its list has no known issuer any more", async || {
        let told = hub.hub.trust_keeper().told();
        told.problems.iter().map(|one| &*one.code).eq(["crl_unknown_issuer"])
    })
    .await;
    assert_eq!(hub.office().get(CALL).await.status, 200, "all others are where they were");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_server_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let hub = TestHub::start().await;
    let shown = async || {
        let client = hub.client_builder().tls_info(true).build().unwrap();
        let answer = client.get(hub.url("/healthz")).send().await.unwrap();
        let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
        certs::Certificate::from_der(info.peer_certificate().unwrap()).unwrap().sha256()
    };
    let city = district::consuming_departments().swap_remove(0);
    let profile = certs::Profile::Server {
        dns: vec!["localhost".to_owned()],
        ips: vec!["127.0.0.1".parse().unwrap()],
    };
    let subject = support::subject(&city);
    let suite = certs::Suite::EcdsaP256Sha256;
    let (certificate, key) =
        hub.authority.issue(suite, profile, &subject, day("2025-01-01"), 3_000).unwrap();
    let write =
        |name: &str, text: &str| std::fs::write(hub.folder.path().join(name), text).unwrap();
    let before = shown().await;

    write("server.pem", &certificate.to_pem());
    let told = || hub.hub.trust_keeper().problems(hub.hub.clock.now());
    soon("the key does not fit", async || told().iter().any(|one| one.code == "tls_settings"))
        .await;
    assert_eq!(shown().await, before);
    write("server.key", &key.to_pkcs8_pem());
    soon("the new one is shown", async || shown().await == certificate.sha256()).await;
    assert!(told().is_empty());
    write("ca.pem", "rubbish");
    soon("the anchors are broken", async || told().len() == 2).await;
    assert_eq!(shown().await, certificate.sha256());
    assert_eq!(hub.office().get(CALL).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_that_only_the_settings_name_is_retired_by_the_same_command() {
    let hub = TestHub::start().await;
    let listed = does(&hub, &["anchors", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let root = listed[0].clone();
    assert_eq!(root["place"], "settings");
    assert_eq!(root["usages"], serde_json::json!(["issuing-licences", "issuing-clients"]));

    let open = hub.office();
    assert_eq!(open.get(CALL).await.status, 200);

    let sha256 = root["sha256"].as_str().unwrap();
    does(&hub, &["anchors", "retire", &sha256[..12], "--now", "--why", "its key is out"]);
    soon("nothing is trusted by it, and nobody comes in", async || {
        let none = hub.hub.trust().anchors(certs::Usage::IssuingLicences).is_empty();
        none && open
            .client
            .get(hub.url(CALL))
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 401)
    })
    .await;
    let another = hub.office().client.get(hub.url(CALL)).send().await;
    assert!(another.is_err(), "no new connection comes about");
    let words = does(&hub, &["anchors", "list"]);
    assert!(!words.contains("[settings]"), "{words}");
    assert!(words.contains("named by the settings"), "{words}");
}
