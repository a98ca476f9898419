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
