//! Records pushed on: what is issued and revoked arrives in a real exchange database, and whoever
//! may operate the hub sees and steers it.

mod support;

use std::time::Duration;

use connectors::local_postgres::LocalPostgres;
use licence::StatusChange;
use serde_json::{Value, json};
use support::{Actor, TestHub};

async fn hub_with_a_province() -> (TestHub, LocalPostgres, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let programs = LocalPostgres::find().expect("PostgreSQL is installed; ./dev test brings it");
    let province = LocalPostgres::start(&folder.path().join("province"), &programs).await.unwrap();
    let settings = format!(
        "[[connectors]]\nname = \"province\"\nkind = \"frontdb\"\nconnection = \"{}\"\n\
         create_tables = true\npoll_ms = 50\nbackoff_min_ms = 50\n",
        province.connection()
    );
    (TestHub::start_with(&settings).await, province, folder)
}

async fn state(office: &Actor) -> Value {
    office.get("/v1/connectors").await.json["connectors"][0].clone()
}

async fn until_caught_up(hub: &TestHub, office: &Actor) {
    let head = hub.registry_entries().await;
    for _ in 0..600 {
        if state(office).await["cursor"] == json!(head) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the province did not catch up: {}", state(office).await);
}

/// Why an operator does something.
fn why() -> Value {
    json!({ "why": "试验" })
}

#[actix_web::test]
async fn the_province_gets_what_is_issued_and_what_is_revoked_and_the_counts_agree() {
    let (hub, province, _folder) = hub_with_a_province().await;
    let (licence, _) = hub.enterprise_licence();
    let (issuer, office) = (hub.issuer(), hub.office());
    issuer.issue(&licence).await;
    until_caught_up(&hub, &office).await;
    let compared = office.post("/v1/connectors/province/reconcile", &why()).await;
    assert_eq!(compared.status, 200, "{}", compared.text);
    let of_type = |compared: &Value| {
        compared["types"]
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["licence_type"] == json!(licence.licence_type))
            .map(|line| (line["ours"].clone(), line["theirs"].clone()))
    };
    assert_eq!(of_type(&compared.json), Some((json!(1), json!(1))));

    issuer.order(&licence.identifier, StatusChange::Suspend).await;
    until_caught_up(&hub, &office).await;
    let compared = office.post("/v1/connectors/province/reconcile", &why()).await;
    let agreed = [None, Some((json!(0), json!(0)))];
    assert!(agreed.contains(&of_type(&compared.json)), "{}", compared.text);
    province.stop().await;
}

#[actix_web::test]
async fn the_province_is_told_when_a_signer_falls_and_when_it_stands_again() {
    let (hub, province, _folder) = hub_with_a_province().await;
    let (licence, _) = hub.enterprise_licence();
    let (issuer, office) = (hub.issuer(), hub.office());
    issuer.issue(&licence).await;
    let signer = issuer.identity.as_ref().unwrap().certificate().serial_hex();
    let before = "2026-02-01T00:00:00Z".parse().unwrap();
    let revoked = vec![(hex::decode(signer).unwrap(), before)];
    for (round, (list, counted)) in [(revoked, 0), (vec![], 1)].into_iter().enumerate() {
        let told = licence::Seq(round as u64 + 1);
        hub.authority.revocation_list(&list, hub.hub.clock.now()).unwrap();
        hub.hub.reload_trust().unwrap();
        hub.hub.store.wait_beyond(told, Duration::from_secs(30)).await.unwrap();
        until_caught_up(&hub, &office).await;
        let compared = office.post("/v1/connectors/province/reconcile", &why()).await;
        assert_eq!(compared.json["agrees"], true, "{}", compared.text);
        let types = compared.json["types"].as_array().unwrap();
        let theirs: u64 = types.iter().filter_map(|line| line["theirs"].as_u64()).sum();
        assert_eq!(theirs, counted, "{}", compared.text);
    }
    assert_eq!(hub.registry_entries().await, 3);
    province.stop().await;
}

#[actix_web::test]
async fn a_paused_connector_stays_behind_across_a_restart_until_it_is_resumed() {
    let (mut hub, province, _folder) = hub_with_a_province().await;
    let (licence, _) = hub.enterprise_licence();
    let office = hub.office();
    let paused = office.post("/v1/connectors/province/pause", &why()).await;
    assert_eq!(paused.json, json!({ "paused": true }), "{}", paused.text);
    hub.issuer().issue(&licence).await;
    hub.restart().await;
    let office = hub.office();
    let mut behind = state(&office).await;
    // The state is at most a second old.
    while behind["head"] == json!(0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        behind = state(&office).await;
    }
    assert_eq!((&behind["paused"], &behind["lag"]), (&json!(true), &json!(1)), "{behind}");

    office.post("/v1/connectors/province/resume", &why()).await;
    until_caught_up(&hub, &office).await;
    assert_eq!(state(&office).await["lag"], 0);

    let beyond =
        office.post("/v1/connectors/province/replay", &json!({ "from": 99, "why": "试验" })).await;
    assert_eq!((beyond.status, beyond.code()), (422, "replay_beyond_head"));
    let replayed =
        office.post("/v1/connectors/province/replay", &json!({ "from": 0, "why": "试验" })).await;
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    until_caught_up(&hub, &office).await;
    let compared = office.post("/v1/connectors/province/reconcile", &why()).await;
    for line in compared.json["types"].as_array().unwrap() {
        assert_eq!(line["difference"], 0, "a repeat is dropped by the receiver: {line}");
    }
    province.stop().await;
}

#[actix_web::test]
async fn only_who_may_operate_sees_the_connectors() {
    let hub = TestHub::start().await;
    for path in ["pause", "resume", "reconcile"] {
        let refused = hub.issuer().post(&format!("/v1/connectors/province/{path}"), &why()).await;
        assert_eq!((refused.status, refused.code()), (403, "not_permitted"), "{path}");
    }
    let refused = hub.stranger().get("/v1/connectors").await;
    assert_eq!((refused.status, refused.code()), (403, "not_permitted"));
    let unknown = hub.office().post("/v1/connectors/nowhere/pause", &why()).await;
    assert_eq!((unknown.status, unknown.code()), (404, "unknown_connector"));
}
