//! Operating a connector: everything names its reason and leaves a trace, what was refused is sent once more, and both
//! sides are compared.

mod support;

use std::{path::Path, time::Duration};

use connectors::{department_desk::DepartmentDesk, local_postgres::LocalPostgres};
use hub::connector_ops::schedule::{self, Resting};
use jiff::SignedDuration;
use licence::{Licence, StatusChange};
use serde_json::{Value, json};
use support::{Actor, TestHub};

struct Scene {
    hub: TestHub,
    province: LocalPostgres,
    office: Actor,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        Self::set_with(|_| String::new()).await
    }

    /// With more settings of the counterpart, given a folder for its files.
    async fn set_with(more: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs =
            LocalPostgres::find().expect("PostgreSQL is installed; ./dev test brings it");
        let province =
            LocalPostgres::start(&folder.path().join("province"), &programs).await.unwrap();
        let settings = format!(
            "[[connectors]]\nname = \"province\"\nkind = \"frontdb\"\nconnection = \"{}\"\n\
             create_tables = true\npoll_ms = 50\nbackoff_min_ms = 50\n{}",
            province.connection(),
            more(folder.path())
        );
        let hub = TestHub::start_with(&settings).await;
        let office = hub.office();
        Self { hub, province, office, folder }
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

/// Licences that one department issues.
fn some_licences(hub: &TestHub, count: usize) -> Vec<Licence> {
    let (first, _) = hub.enterprise_licence();
    let same = hub.licences().filter(|one| one.issuer == first.issuer);
    let all: Vec<Licence> = same.take(count).collect();
    assert_eq!(all.len(), count);
    all
}

#[actix_web::test]
async fn what_somebody_changed_over_there_is_found_and_just_that_is_sent_again() {
    let scene = Scene::set().await;
    let issuer = scene.hub.issuer();
    let licences = some_licences(&scene.hub, 12);
    for licence in &licences {
        assert_eq!(issuer.issue(licence).await.status, 201);
    }
    let [deleted, changed, ended] = [&licences[2], &licences[5], &licences[8]];
    assert_eq!(issuer.order(&ended.identifier, StatusChange::Suspend).await.status, 200);
    scene.caught_up().await;
    let compared = scene.post("reconcile", json!({ "why": "开始前" })).await;
    assert_eq!(compared["agrees"], true, "{compared}");

    let database = DepartmentDesk::connect(&scene.province.connection()).await.unwrap();
    let of = |licence: &Licence| format!("certificate_source_id = '{}'", licence.identifier);
    let unknown = some_licences(&scene.hub, 13).pop().unwrap();
    for statement in [
        format!("DELETE FROM up_lic_data WHERE {}", of(deleted)),
        format!("UPDATE up_lic_data SET issue_dept = '别处' WHERE {}", of(changed)),
        // The suspension is not there any more, so that what was issued stands again.
        format!("DELETE FROM up_lic_data WHERE {} AND cd_operation = 'D'", of(ended)),
        format!(
            "CREATE TABLE added AS SELECT * FROM up_lic_data WHERE {};
             UPDATE added SET row_guid = 'province-00000000000000900000',
                 certificate_source_id = '{}';
             INSERT INTO up_lic_data SELECT * FROM added; DROP TABLE added",
            of(&licences[0]),
            unknown.identifier
        ),
    ] {
        database.execute(&statement).await.unwrap();
    }
    let before = scene.until(|_| true).await["delivered"].as_u64().unwrap();
    let report = scene.post("reconcile", json!({ "why": "月底核对" })).await;
    let counts: Vec<Value> = ["missing", "different", "extra", "explained", "resent"]
        .map(|member| report[member].clone())
        .to_vec();
    assert_eq!(counts, [json!(1), json!(1), json!(2), json!(0), json!(3)], "{report}");
    let records = report["records"].as_array().unwrap();
    let mut found: Vec<(&str, &str, Option<u64>)> = records
        .iter()
        .map(|record| {
            let text = |member: &str| record[member].as_str().unwrap();
            (text("what"), text("identifier"), record["seq"].as_u64())
        })
        .collect();
    found.sort_unstable();
    let mut expected = vec![
        ("missing", deleted.identifier.as_str(), Some(2)),
        ("different", changed.identifier.as_str(), Some(5)),
        ("extra", ended.identifier.as_str(), Some(12)),
        ("extra", unknown.identifier.as_str(), None),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);

    scene.caught_up().await;
    let state = scene.until(|state| state["delivered"].as_u64() >= Some(before + 3)).await;
    assert_eq!(state["delivered"], json!(before + 3), "just those are sent again");
    // What this hub never sent is theirs to remove.
    let again = scene.post("reconcile", json!({ "why": "再核一次" })).await;
    assert_eq!((&again["extra"], &again["resent"]), (&json!(1), &json!(0)), "{again}");
    assert_eq!(again["records"].as_array().unwrap().len(), 1, "{again}");
    let remove = format!("DELETE FROM up_lic_data WHERE {}", of(&unknown));
    database.execute(&remove).await.unwrap();
    let clean = scene.post("reconcile", json!({ "why": "对方已删除" })).await;
    assert_eq!((&clean["agrees"], &clean["records"]), (&json!(true), &json!([])), "{clean}");

    // The file and the page say so.
    let id = report["id"].as_str().unwrap();
    let file = scene.hub.hub.settings().data.join(format!("reconciliations/province/{id}.json"));
    let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(kept, report);
    let operator = scene.hub.operator().await;
    let page = operator.get(&format!("/connectors/province/reconciliations/{id}")).await;
    let text = page.text();
    for says in [
        "缺 1，多 2，不同 1，有原因 0，补发 3",
        "对方缺少",
        "已补发",
        "不是本库推送的",
        "请再对账一次",
        "内容不同",
        "对方多出",
        deleted.identifier.as_str(),
        changed.identifier.as_str(),
        ended.identifier.as_str(),
        unknown.identifier.as_str(),
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let listed = operator.get("/connectors/province").await.text();
    assert!(listed.contains("缺 1，多 2，不同 1，有原因 0，补发 3"), "{listed}");
    assert!(listed.contains("缺 0，多 0，不同 0，有原因 0，补发 0"), "{listed}");
    drop(database);
    scene.province.stop().await;
}

/// A map that knows no status but one, so that no valid licence can be written with it.
const NO_STATUS: &str = r#"{ "format": "yihao-code-map-1",
  "fields": [ { "as": "certificate_number", "from": "number" },
              { "as": "certificate_name", "from": "status" } ],
  "codes": { "status": { "suspended": "2" } }, "empty": "/" }
"#;

impl Scene {
    async fn set_with_map(map: &str) -> Self {
        Self::set_with(|folder| {
            let path = folder.join("map.json");
            std::fs::write(&path, map).unwrap();
            format!("code_map = \"{}\"\n", path.display())
        })
        .await
    }

    async fn replace_map(&self, text: &str, replaces: &Value, why: &str) -> support::Answer {
        let body = json!({ "text": text, "replaces": replaces, "why": why });
        self.office.put("/v1/connectors/province/code-map", &body).await
    }
}

#[actix_web::test]
async fn a_missing_code_sets_records_aside_until_the_map_has_it_and_they_are_sent_once_more() {
    let scene = Scene::set_with_map(NO_STATUS).await;
    let issuer = scene.hub.issuer();
    for licence in some_licences(&scene.hub, 3) {
        assert_eq!(issuer.issue(&licence).await.status, 201);
    }
    scene.until(|state| state["set_aside"] == 3).await;
    let open = scene.get("/province/set-aside").await;
    for entry in open["set_aside"].as_array().unwrap() {
        assert_eq!(entry["code"], "value_unmapped", "{open}");
    }
    let database = DepartmentDesk::connect(&scene.province.connection()).await.unwrap();
    let names = "SELECT certificate_name FROM up_lic_data ORDER BY row_guid";
    assert!(database.texts(names).await.unwrap_or_default().is_empty(), "nothing is there");

    let read = scene.get("/province/code-map").await;
    let mended = NO_STATUS.replace("{ \"suspended\"", "{ \"valid\": \"1\", \"suspended\"");
    let replaced = scene.replace_map(&mended, &read["sha256"], "补上有效的代码").await;
    assert_eq!(replaced.status, 200, "{}", replaced.text);
    assert_eq!(scene.post("retry", json!({ "why": "代码已补" })).await, json!({ "retrying": 3 }));
    scene.until(|state| state["set_aside"] == 0 && state["resending"] == 0).await;
    assert_eq!(database.texts(names).await.unwrap(), ["1", "1", "1"]);
    let settled = scene.get("/province/set-aside?state=settled").await;
    let settled = settled["set_aside"].as_array().unwrap();
    let told: Vec<_> = settled
        .iter()
        .map(|one| (&one["refused"]["seq"], &one["refused"]["code"], &one["how"]))
        .collect();
    let (code, how) = (json!("value_unmapped"), json!("resent"));
    let seqs = [json!(0), json!(1), json!(2)];
    assert_eq!(told, seqs.iter().map(|seq| (seq, &code, &how)).collect::<Vec<_>>());
    let compared = scene.post("reconcile", json!({ "why": "核对" })).await;
    assert_eq!(compared["agrees"], true, "{compared}");
    drop(database);
    scene.province.stop().await;
}

#[actix_web::test]
async fn of_two_who_edit_a_code_map_the_second_is_told_and_overwrites_nothing() {
    let scene = Scene::set_with_map(NO_STATUS).await;
    let read = scene.get("/province/code-map").await;
    let map_of = |code: &str| NO_STATUS.replace("\"2\"", &format!("\"{code}\""));
    let first = scene.replace_map(&map_of("3"), &read["sha256"], "甲").await;
    assert_eq!(first.status, 200, "{}", first.text);
    let second = scene.replace_map(&map_of("4"), &read["sha256"], "乙").await;
    assert_eq!((second.status, second.code()), (409, "code_map_changed"), "{}", second.text);
    let there = || std::fs::read_to_string(scene.folder.path().join("map.json")).unwrap();
    assert_eq!(there(), map_of("3"));

    // On the page: what was typed stays, beside it what is there now; saving then replaces that.
    let operator = scene.hub.operator().await;
    let path = "/connectors/province/code-map";
    let digest_in = |html: &str| {
        let rest = html.split("name=\"replaces\" value=\"").nth(1).unwrap();
        rest[..64].to_owned()
    };
    let page = operator.get(path).await;
    let old = digest_in(&page.html);
    let third = scene.replace_map(&map_of("5"), &json!(old), "丙").await;
    assert_eq!(third.status, 200, "{}", third.text);
    let typed = map_of("6");
    let form =
        |digest: String| [("text", typed.clone()), ("replaces", digest), ("why", "丁".to_owned())];
    let send = async |digest: String| {
        let form = form(digest);
        let form: Vec<(&str, &str)> =
            form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        operator.post(path, &form).await
    };
    let page = send(old).await;
    assert_eq!(page.status, 409);
    let text = page.text().replace("&#34;", "\"");
    for says in
        ["其他人刚刚替换了代码映射，没有保存", "\"suspended\": \"5\"", "\"suspended\": \"6\""]
    {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert!(page.html.contains("value=\"丁\""), "the reason stays: {}", page.html);
    assert_eq!(there(), map_of("5"));
    let saved = send(digest_in(&page.html)).await;
    assert_eq!((saved.status, saved.location()), (303, "/connectors/province"));
    assert_eq!(there(), typed);
    // Never without saying what it is to replace.
    let blind = send(String::new()).await;
    assert_eq!(blind.status, 400);
    let broken = operator
        .post(
            path,
            &[
                ("text", "{"),
                ("replaces", &digest_in(&operator.get(path).await.html)),
                ("why", "试验"),
            ],
        )
        .await;
    assert_eq!(broken.status, 422);
    assert_eq!(there(), typed);

    let actions = scene.get("/province/actions").await;
    let actions = actions["actions"].as_array().unwrap();
    let mut told: Vec<_> = actions
        .iter()
        .map(|one| (one["why"].as_str().unwrap(), one["outcome"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("丁", "done"), ("丙", "done"), ("甲", "done")]);
    scene.province.stop().await;
}

#[actix_web::test]
async fn both_sides_are_compared_once_when_their_time_has_come() {
    // The hub's clock stands at nine in the morning in China.
    let scene = Scene::set_with(|_| "reconcile_at = \"09:30\"\n".to_owned()).await;
    scene.hub.issuer().issue(&scene.hub.enterprise_licence().0).await;
    scene.caught_up().await;
    let mut resting = Resting::default();
    // The hub looks by itself too, every 20 seconds: whoever comes first, it is one comparison.
    let compared = async |resting: &mut Resting| {
        schedule::look(&scene.hub.hub, resting).await;
        let mut listed = scene.get("/province/reconciliations").await["reconciliations"].take();
        for _ in 0..100 {
            if listed.as_array().is_some_and(|all| !all.is_empty()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            listed = scene.get("/province/reconciliations").await["reconciliations"].take();
        }
        listed.as_array().unwrap().clone()
    };
    schedule::look(&scene.hub.hub, &mut resting).await;
    assert_eq!(scene.get("/province/reconciliations").await["reconciliations"], json!([]));

    let clock = &scene.hub.hub.clock;
    clock.advance(SignedDuration::from_mins(30));
    for _ in 0..2 {
        let reports = compared(&mut resting).await;
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0]["trigger"], "schedule");
        assert_eq!(reports[0]["at"], "2026-03-02T01:30:00Z", "by the hub's clock");
        assert_eq!(reports[0]["agrees"], true);
        clock.advance(SignedDuration::from_mins(30));
    }
    clock.advance(SignedDuration::from_hours(23));
    schedule::look(&scene.hub.hub, &mut resting).await;
    for _ in 0..100 {
        if compared(&mut resting).await.len() == 2 {
            break;
        }
    }
    assert_eq!(compared(&mut resting).await.len(), 2, "the day after");
    // Nobody did that: it leaves a report, and no trace of an operator.
    assert_eq!(scene.get("/province/actions").await["actions"], json!([]));
    scene.province.stop().await;
}
