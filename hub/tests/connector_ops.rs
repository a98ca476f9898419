//! Operating a connector: everything names its reason and leaves a trace, what was refused is sent once more, and both
//! sides are compared.

mod support;

use std::time::Duration;

use connectors::{department_desk::DepartmentDesk, local_postgres::LocalPostgres};
use licence::StatusChange;
use serde_json::{Value, json};
use support::{Actor, TestHub};

struct Scene {
    hub: TestHub,
    province: LocalPostgres,
    office: Actor,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs =
            LocalPostgres::find().expect("PostgreSQL is installed; ./dev test brings it");
        let province =
            LocalPostgres::start(&folder.path().join("province"), &programs).await.unwrap();
        let settings = format!(
            "[[connectors]]\nname = \"province\"\nkind = \"frontdb\"\nconnection = \"{}\"\n\
             create_tables = true\npoll_ms = 50\nbackoff_min_ms = 50\n",
            province.connection()
        );
        let hub = TestHub::start_with(&settings).await;
        let office = hub.office();
        Self { hub, province, office, _folder: folder }
    }

    async fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..600 {
            let state = self.get("").await["connectors"][0].clone();
            if wanted(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("did not come about: {}", self.get("").await);
    }

    async fn caught_up(&self) {
        let head = self.hub.registry_entries().await;
        self.until(|state| state["cursor"] == json!(head) && state["resending"] == 0).await;
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.office.get(&format!("/v1/connectors{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json
    }

    async fn post(&self, word: &str, body: Value) -> Value {
        let answer = self.office.post(&format!("/v1/connectors/province/{word}"), &body).await;
        assert_eq!(answer.status, 200, "{word}: {}", answer.text);
        answer.json
    }

    async fn refused(&self, word: &str, body: Value) -> (u16, String) {
        let answer = self.office.post(&format!("/v1/connectors/province/{word}"), &body).await;
        (answer.status, answer.code().to_owned())
    }
}

#[actix_web::test]
async fn what_was_refused_is_sent_once_more_and_stays_listed() {
    let scene = Scene::set().await;
    let (licence, _) = scene.hub.enterprise_licence();
    scene.hub.issuer().issue(&licence).await;
    scene.caught_up().await;
    let refuse = "INSERT INTO dn_lic_data_error (row_guid, error_remark)
                  SELECT row_guid, '字段不符' FROM up_lic_data";
    let database = DepartmentDesk::connect(&scene.province.connection()).await.unwrap();
    database.execute(refuse).await.unwrap();
    scene.until(|state| state["set_aside"] == 1).await;
    let open = scene.get("/province/set-aside").await;
    let entry = &open["set_aside"][0];
    assert_eq!((&entry["seq"], &entry["code"]), (&json!(0), &json!("error_row")), "{open}");
    assert_eq!(entry["remark"], "字段不符");

    let none = scene.refused("retry", json!({ "seqs": [7], "why": "试验" })).await;
    assert_eq!(none, (409, "not_set_aside".to_owned()));
    let retried = scene.post("retry", json!({ "seqs": [0], "why": "省里已改好字段" })).await;
    assert_eq!(retried, json!({ "retrying": 1 }));
    scene.until(|state| state["set_aside"] == 0 && state["resending"] == 0).await;
    assert_eq!(scene.get("/province/set-aside").await["set_aside"], json!([]));
    let settled = scene.get("/province/set-aside?state=settled").await;
    let entry = &settled["set_aside"][0];
    assert_eq!((&entry["how"], &entry["refused"]["seq"]), (&json!("resent"), &json!(0)));
    assert_eq!(scene.post("retry", json!({ "why": "再试" })).await, json!({ "retrying": 0 }));

    let actions = scene.get("/province/actions").await;
    let told = |at: usize, member: &str| actions["actions"][at][member].clone();
    let acts: Vec<Value> = (0..2).map(|at| told(at, "act")).collect();
    assert_eq!(acts, ["retry", "retry"], "{actions}");
    let reasons: Vec<Value> = (0..2).map(|at| told(at, "why")).collect();
    assert!(reasons.contains(&json!("省里已改好字段")), "{actions}");
    assert_eq!(told(0, "outcome"), "done");
    assert_eq!(told(0, "department"), json!(scene.office.department.code));
    drop(database);
    scene.province.stop().await;
}

#[actix_web::test]
async fn nothing_is_done_without_a_reason_and_a_reason_is_a_line() {
    let scene = Scene::set().await;
    for word in ["pause", "resume", "reconcile", "retry"] {
        let missing = scene.refused(word, json!({})).await;
        assert_eq!(missing, (400, "json".to_owned()), "{word}");
        for why in ["", "   ", "a\nb", &"长".repeat(201)] {
            let refused = scene.refused(word, json!({ "why": why })).await;
            assert_eq!(refused, (422, "why".to_owned()), "{word} {why:?}");
        }
    }
    scene.post("pause", json!({ "why": "长".repeat(200) })).await;
    let actions = scene.get("/province/actions").await;
    assert_eq!(actions["actions"].as_array().unwrap().len(), 1, "{actions}");
    scene.province.stop().await;
}

#[actix_web::test]
async fn a_comparison_is_a_report_that_can_be_read_again() {
    let scene = Scene::set().await;
    let (licence, _) = scene.hub.enterprise_licence();
    scene.hub.issuer().issue(&licence).await;
    scene.caught_up().await;
    let report = scene.post("reconcile", json!({ "why": "月底核对" })).await;
    assert_eq!((&report["agrees"], &report["trigger"]), (&json!(true), &json!("request")));
    let id = report["id"].as_str().unwrap();
    let again = scene.get(&format!("/province/reconciliations/{id}")).await;
    assert_eq!(again, report);
    let listed = scene.get("/province/reconciliations").await;
    assert_eq!(listed["reconciliations"][0]["id"], report["id"]);
    let file = scene.hub.hub.settings().data.join(format!("reconciliations/province/{id}.json"));
    let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(kept, report);
    for id in ["20200101T000000.000000Z", "..%2f..%2fhub", "x"] {
        let path = format!("/v1/connectors/province/reconciliations/{id}");
        let unknown = scene.office.get(&path).await;
        assert_eq!((unknown.status, unknown.code()), (404, "unknown_reconciliation"), "{id}");
    }
    scene.province.stop().await;
}

#[actix_web::test]
async fn a_replay_begins_at_a_day_or_is_of_one_holder() {
    let scene = Scene::set().await;
    let (licence, _) = scene.hub.enterprise_licence();
    let issuer = scene.hub.issuer();
    issuer.issue(&licence).await;
    issuer.order(&licence.identifier, StatusChange::Suspend).await;
    scene.caught_up().await;
    let day = |day: &str| json!({ "day": day, "why": "补发" });
    assert_eq!(scene.post("replay", day("2026-03-02")).await, json!({ "from": 0 }));
    assert_eq!(scene.post("replay", day("2020-01-01")).await, json!({ "from": 0 }));
    let later = scene.refused("replay", day("2026-03-03")).await;
    assert_eq!(later, (422, "no_change_since".to_owned()));
    scene.caught_up().await;

    let holder = &licence.holders[0].id;
    let body = json!({
        "holder": { "kind": holder.kind().code(), "number": holder.number() }, "why": "补发",
    });
    assert_eq!(scene.post("replay", body).await, json!({ "sent_again": 2 }));
    scene.caught_up().await;
    let both = json!({ "from": 0, "day": "2026-03-02", "why": "补发" });
    assert_eq!(scene.refused("replay", both).await, (422, "replay_from".to_owned()));
    let actions = scene.get("/province/actions").await.to_string();
    assert!(!actions.contains(holder.number()), "the trace says how many, not whose");
    let compared = scene.post("reconcile", json!({ "why": "核对" })).await;
    assert_eq!(compared["agrees"], true, "{compared}");
    scene.province.stop().await;
}

#[actix_web::test]
async fn a_preview_shows_what_would_be_sent_sends_nothing_and_is_a_use() {
    let scene = Scene::set().await;
    let (licence, _) = scene.hub.enterprise_licence();
    scene.post("pause", json!({ "why": "先看再发" })).await;
    scene.hub.issuer().issue(&licence).await;
    let uses = scene.hub.hub.store.use_head().await.unwrap();
    let preview = scene.post("preview", json!({ "seq": 0, "why": "上线前核对" })).await;
    let text = preview["parts"][0]["text"].as_str().unwrap();
    assert!(text.contains(licence.identifier.as_str()), "{preview}");
    assert_eq!(preview["refused"], json!([]));
    let used = scene.hub.hub.store.uses(uses, 10).await.unwrap();
    assert_eq!(used.len(), 1);
    assert_eq!(
        (used[0].reason.as_str(), &used[0].shown[0].identifier),
        ("上线前核对", &licence.identifier)
    );
    let beyond = scene.refused("preview", json!({ "seq": 1, "why": "试验" })).await;
    assert_eq!(beyond, (404, "unknown_change".to_owned()));
    assert_eq!(scene.until(|_| true).await["delivered"], 0);
    scene.province.stop().await;
}
