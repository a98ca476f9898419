//! Cases on their way: a submitted case reaches its department's system once, and the department's steps come back
//! once, whatever stops in between.

mod support;

use std::{collections::BTreeMap, time::Duration};

use connectors::{
    department_desk::DepartmentDesk,
    local_mariadb::{self, LocalMariaDb},
    local_postgres::LocalPostgres,
};
use district::Story;
use hub::{
    login::Person,
    records::{self, Draft},
    reuse::{
        Who,
        case::{Case, CaseState, StepKind},
        cases, outbox,
    },
};
use jiff::civil::date;
use licence::{CreditCode, HolderId};
use serde_json::{Value, json};
use support::TestHub;

/// A province and a hub that hands cases to it.
struct Scene {
    hub: TestHub,
    province: Option<LocalPostgres>,
    folder: tempfile::TempDir,
}

fn services() -> CreditCode {
    district::consuming_departments().swap_remove(0).code
}

fn casebase(name: &str, connection: &str, department: &CreditCode) -> String {
    format!(
        "[[connectors]]\nname = \"{name}\"\nkind = \"casebase\"\nconnection = \"{connection}\"\n\
         create_tables = true\npoll_ms = 30\nbackoff_min_ms = 30\nbackoff_max_ms = 200\n\
         connect_timeout_ms = 2000\ntimeout_ms = 5000\ndepartments = [\"{department}\"]\n"
    )
}

async fn province_in(folder: &tempfile::TempDir) -> LocalPostgres {
    let programs = LocalPostgres::find().expect("PostgreSQL is installed; ./dev test brings it");
    LocalPostgres::start(&folder.path().join("province"), &programs).await.unwrap()
}

impl Scene {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let province = province_in(&folder).await;
        let settings = casebase("cases", &province.connection(), &services());
        let hub = TestHub::start_with(&settings).await;
        Self { hub, province: Some(province), folder }
    }

    async fn province_goes_down(&mut self) {
        self.province.take().expect("it runs").stop().await;
    }

    async fn province_comes_back(&mut self) {
        self.province = Some(province_in(&self.folder).await);
    }

    async fn desk(&self) -> DepartmentDesk {
        let connection = self.province.as_ref().expect("it runs").connection();
        DepartmentDesk::connect(&connection).await.unwrap()
    }

    async fn applicant(&self) -> Who {
        let today = date(2026, 3, 2);
        let applicant = self.hub.district.applicant(Story::FoodStall, today).expect("somebody");
        for licence in &applicant.licences {
            let issuer = *licence.issuer.credit_code();
            let slug = district::issuing_departments().into_iter().find(|one| one.code == issuer);
            self.hub.issuing(slug.expect("an issuer").slug).issue(licence).await;
        }
        person(applicant.holder.id)
    }

    /// Hands in a stall whose health certificate follows.
    async fn hand_in(&self, who: &Who) -> Case {
        let Who::Holder { holder, .. } = who else { panic!("an applicant") };
        let hub = &self.hub.hub;
        let case = cases::open(hub, who, holder, &Story::FoodStall.code()).await.unwrap();
        let form = [("pitch", "青溪街道夜市"), ("goods", "米粉")];
        let form: BTreeMap<String, String> =
            form.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect();
        cases::fill(hub, who, &case.id, &form).await.unwrap();
        cases::promise(hub, who, &case.id, &["health".to_owned()]).await.unwrap();
        cases::submit(hub, who, &case.id).await.unwrap()
    }

    async fn case(&self, id: &str) -> Case {
        let held = records::read::<Case>(&*self.hub.hub.store, id.as_bytes()).await.unwrap();
        held.expect("the case is there").value
    }

    /// Waits until the case is as wanted.
    async fn until(&self, id: &str, wanted: impl Fn(&Case) -> bool) -> Case {
        for _ in 0..1_000 {
            let case = self.case(id).await;
            if wanted(&case) {
                return case;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("did not come about: {:?}, {}", self.case(id).await.steps, self.state().await);
    }

    async fn state(&self) -> Value {
        self.hub.office().get("/v1/connectors").await.json["cases"][0].clone()
    }

    async fn until_state(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1_000 {
            let state = self.state().await;
            if wanted(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("did not come about: {}", self.state().await);
    }

    async fn end(mut self) {
        self.hub.stop().await;
        if let Some(province) = self.province.take() {
            province.stop().await;
        }
    }
}

fn person(holder: HolderId) -> Who {
    let account = support::people::account(
        "applicant",
        "申请人",
        vec![holder.clone()],
        &[hub::login::Role::Applicant],
        None,
    );
    let person = Person { account, session: "session".to_owned(), csrf: "token".to_owned() };
    Who::Holder { person, holder }
}

fn count(case: &Case, wanted: impl Fn(&StepKind) -> bool) -> usize {
    case.steps.iter().filter(|step| wanted(&step.what)).count()
}

fn delivered(case: &Case) -> usize {
    count(case, |what| matches!(what, StepKind::Delivered))
}

/// Why an operator does something.
fn why() -> Value {
    json!({ "why": "试验" })
}

#[actix_web::test]
async fn a_case_reaches_the_province_once_even_when_hub_and_province_stop_in_between() {
    let mut scene = Scene::set().await;
    let who = scene.applicant().await;
    scene.province_goes_down().await;
    let case = scene.hand_in(&who).await;
    let state =
        scene.until_state(|state| !state["next_attempt"].is_null() && state["waiting"] == 1).await;
    assert_eq!(state["last_error"]["code"], "connect_failed", "{state}");
    scene.hub.restart().await;
    scene.province_comes_back().await;
    let case = scene.until(&case.id, |case| delivered(case) > 0).await;

    // As if the hub had stopped after the province had it and before that was noted: it goes again.
    let mut draft = Draft::new();
    let (package, department) = (case.package.unwrap(), case.department);
    let submitted =
        case.steps.iter().find(|step| matches!(step.what, StepKind::Submitted { .. })).unwrap();
    outbox::file(&mut draft, &department, &case.id, &package, submitted.at);
    draft.commit(&*scene.hub.hub.store).await.unwrap().unwrap();
    scene.hub.restart().await;
    scene.until_state(|state| state["delivered"] == 1 && state["waiting"] == 0).await;

    let desk = scene.desk().await;
    let sql = "SELECT project_no || ' ' || cd_operation || ' ' || length(package)::text FROM up_pro_accept";
    let bytes = scene.hub.hub.blobs.get(&package).await.unwrap().unwrap();
    assert_eq!(desk.texts(sql).await.unwrap(), [format!("{} I {}", case.id, bytes.len())]);
    let sql = "SELECT material_code || ' ' || get_type FROM up_pro_material ORDER BY row_guid";
    assert_eq!(
        desk.texts(sql).await.unwrap(),
        ["operator licence", "operator-address fact", "health promise"]
    );
    assert_eq!(delivered(&scene.case(&case.id).await), 1);
    drop(desk);
    scene.end().await;
}

#[actix_web::test]
async fn the_departments_steps_come_back_once() {
    let scene = Scene::set().await;
    let who = scene.applicant().await;
    let case = scene.hand_in(&who).await;
    scene.until(&case.id, |case| delivered(case) == 1).await;
    let desk = scene.desk().await;
    let items = r#"[{"requirement":"pitch","why":"请写明具体点位"}]"#;
    desk.write_step("a-1", &case.id, "supplement", "", items, None).await.unwrap();
    let asked = scene.until(&case.id, |case| case.state == CaseState::Supplement).await;
    assert_eq!(count(&asked, |what| matches!(what, StepKind::SupplementAsked { .. })), 1);

    // The applicant answers; the package goes again, as a row of its own.
    let form = BTreeMap::from([("pitch".to_owned(), "青溪街道夜市12号位".to_owned())]);
    scene.hub.hub.clock.advance(jiff::SignedDuration::from_mins(5));
    cases::fill(&scene.hub.hub, &who, &case.id, &form).await.unwrap();
    cases::submit(&scene.hub.hub, &who, &case.id).await.unwrap();
    scene.until(&case.id, |case| delivered(case) == 2).await;
    let sql = "SELECT cd_operation::text FROM up_pro_accept ORDER BY cd_time";
    assert_eq!(desk.texts(sql).await.unwrap(), ["I", "U"]);

    desk.write_step("a-2", &case.id, "accept", "", "", None).await.unwrap();
    desk.write_step("a-3", &case.id, "grant", "", "", None).await.unwrap();
    scene.until(&case.id, |case| case.state == CaseState::Granted).await;

    // As if the hub had stopped after taking a step and before saying so: it reads the step again.
    let open = "UPDATE dn_pro_step SET taken = NULL WHERE row_guid IN ('a-2', 'a-3')";
    desk.execute(open).await.unwrap();
    for _ in 0..1_000 {
        let sql = "SELECT row_guid::text FROM dn_pro_step WHERE taken IS NULL";
        if desk.texts(sql).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let case = scene.case(&case.id).await;
    assert_eq!(count(&case, |what| matches!(what, StepKind::Accepted)), 1);
    assert_eq!(count(&case, |what| matches!(what, StepKind::Decided { .. })), 1);
    let sql = "SELECT coalesce(taken_code, 'taken')::text FROM dn_pro_step ORDER BY row_guid";
    assert_eq!(desk.texts(sql).await.unwrap(), ["taken"; 3]);
    drop(desk);
    scene.end().await;
}

/// The courier does not know which database it is.
#[actix_web::test]
async fn a_department_with_mariadb_gets_the_case_and_its_steps_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let programs = LocalMariaDb::find().expect("MariaDB is installed; ./dev test brings it");
    let place = folder.path().join("mariadb");
    let options = local_mariadb::Options::default();
    let start = || LocalMariaDb::start(&place, &programs, &options);
    let server = start().await.unwrap();
    let socket = server.socket().to_owned();
    let desk = DepartmentDesk::connect_mariadb(&socket, "mysql").await.unwrap();
    desk.execute("CREATE DATABASE exchange").await.unwrap();
    let settings = casebase("cases", "", &services()).replace(
        "connection = \"\"\n",
        &format!(
            "dialect = \"mariadb\"\nhost = \"{}\"\nuser = \"root\"\ndatabase = \"exchange\"\n",
            socket.display()
        ),
    );
    let hub = TestHub::start_with(&settings).await;
    let mut scene = Scene { hub, province: None, folder };
    let who = scene.applicant().await;
    let case = scene.hand_in(&who).await;
    scene.until(&case.id, |case| delivered(case) == 1).await;
    server.stop().await;
    scene.until_state(|state| !state["next_attempt"].is_null()).await;
    let server = start().await.unwrap();
    scene.hub.restart().await;

    let desk = DepartmentDesk::connect_mariadb(&socket, "exchange").await.unwrap();
    let sql = "SELECT CONCAT(project_no, ' ', cd_operation) FROM up_pro_accept";
    assert_eq!(desk.texts(sql).await.unwrap(), [format!("{} I", case.id)]);
    desk.write_step("a-1", &case.id, "grant", "", "", None).await.unwrap();
    scene.until_state(|state| state["steps_refused"] == 1).await;
    desk.write_step("a-2", &case.id, "accept", "", "", None).await.unwrap();
    desk.write_step("a-3", &case.id, "grant", "同意", "", None).await.unwrap();
    let case = scene.until(&case.id, |case| case.state == CaseState::Granted).await;
    assert_eq!(count(&case, |what| matches!(what, StepKind::Accepted)), 1);
    scene.until_state(|state| state["steps"] == 2).await;
    let sql = "SELECT coalesce(taken_code, 'taken') FROM dn_pro_step ORDER BY row_guid";
    assert_eq!(desk.texts(sql).await.unwrap(), ["case_state", "taken", "taken"]);

    let refuse = "INSERT INTO dn_pro_error (row_guid, error_remark)
                  SELECT row_guid, '申请人证件 11010519491231002X 查无此人' FROM up_pro_accept";
    desk.execute(refuse).await.unwrap();
    scene.until_state(|state| state["set_aside"] == 1).await;
    let listed = scene.hub.office().get("/v1/connectors/cases/set-aside").await;
    assert_eq!(listed.json["set_aside"][0]["remark"], "申请人证件 *** 查无此人");
    drop(desk);
    scene.end().await;
    server.stop().await;
}

#[actix_web::test]
async fn a_step_that_cannot_be_taken_is_told_and_changes_nothing() {
    let scene = Scene::set().await;
    let who = scene.applicant().await;
    let case = scene.hand_in(&who).await;
    scene.until(&case.id, |case| delivered(case) == 1).await;
    let desk = scene.desk().await;
    desk.write_step("b-1", &case.id, "grant", "", "", None).await.unwrap();
    desk.write_step("b-2", "20260302-ZZZZZZZZZZ", "accept", "", "", None).await.unwrap();
    desk.write_step("b-3", &case.id, "approve", "", "", None).await.unwrap();
    desk.write_step("b-4", &case.id, "accept", "", "", None).await.unwrap();
    let case = scene.until(&case.id, |case| case.state == CaseState::Accepted).await;
    assert_eq!(count(&case, |what| matches!(what, StepKind::Decided { .. })), 0);
    let state = scene.until_state(|state| state["steps"] == 1).await;
    assert_eq!(state["steps_refused"], 3, "{state}");
    let sql = "SELECT coalesce(taken_code, 'taken')::text FROM dn_pro_step ORDER BY row_guid";
    assert_eq!(
        desk.texts(sql).await.unwrap(),
        ["case_state", "unknown_case", "step_unreadable", "taken"]
    );
    drop(desk);
    scene.end().await;
}

#[actix_web::test]
async fn what_the_counterpart_does_not_take_is_set_aside_with_its_remark_until_it_is_sent_again() {
    let scene = Scene::set().await;
    let who = scene.applicant().await;
    scene.until_state(|state| !state["last_success"].is_null()).await;
    let desk = scene.desk().await;
    desk.execute("ALTER TABLE up_pro_accept ADD CONSTRAINT closed CHECK (task_version > 1)")
        .await
        .unwrap();
    let case = scene.hand_in(&who).await;
    let state = scene.until_state(|state| state["set_aside"] == 1).await;
    assert_eq!((&state["waiting"], &state["next_attempt"]), (&json!(0), &Value::Null), "{state}");
    let office = scene.hub.office();
    let listed = office.get("/v1/connectors/cases/set-aside").await;
    assert_eq!(listed.json["set_aside"][0]["code"], "value_refused", "{}", listed.text);
    assert_eq!(listed.json["set_aside"][0]["outgoing"]["case"], json!(case.id));

    // The reason is gone: it is sent again, and arrives.
    desk.execute("ALTER TABLE up_pro_accept DROP CONSTRAINT closed").await.unwrap();
    let sent =
        office.post("/v1/connectors/cases/replay", &json!({ "from": 0, "why": "试验" })).await;
    assert_eq!(sent.json, json!({ "sent_again": 1 }), "{}", sent.text);
    scene.until(&case.id, |case| delivered(case) == 1).await;

    // What is refused later comes back with the counterpart's words, once.
    let refuse = "INSERT INTO dn_pro_error (row_guid, error_remark)
                  SELECT row_guid, '申请人证件 11010519491231002X 查无此人' FROM up_pro_accept";
    desk.execute(refuse).await.unwrap();
    let state = scene.until_state(|state| state["set_aside"] == 1).await;
    let listed = office.get("/v1/connectors/cases/set-aside").await;
    assert_eq!(listed.json["set_aside"][0]["code"], "error_row", "{state}");
    assert_eq!(listed.json["set_aside"][0]["remark"], "申请人证件 *** 查无此人");
    let sent =
        office.post("/v1/connectors/cases/replay", &json!({ "from": 0, "why": "试验" })).await;
    assert_eq!(sent.json, json!({ "sent_again": 1 }), "{}", sent.text);
    scene.until_state(|state| state["set_aside"] == 0 && state["delivered"] == 2).await;
    let sql = "SELECT right(row_guid, 7)::text FROM up_pro_accept ORDER BY row_guid";
    assert_eq!(desk.texts(sql).await.unwrap(), ["-again1", "-again2"]);
    let counted = office.post("/v1/connectors/cases/reconcile", &why()).await;
    assert_eq!((counted.status, counted.code()), (422, "connector_for_cases"));
    drop(desk);
    scene.end().await;
}

#[actix_web::test]
async fn a_counterpart_that_is_down_delays_no_applicant_and_no_other_counterpart() {
    let folder = tempfile::tempdir().unwrap();
    let province = province_in(&folder).await;
    let labour = district::consuming_departments().swap_remove(2).code;
    let settings = [
        casebase("cases", &province.connection(), &services()),
        casebase("down", "host=127.0.0.1 port=1 user=a dbname=b", &labour),
    ];
    let hub = TestHub::start_with(&settings.concat()).await;
    let scene = Scene { hub, province: Some(province), folder };
    let who = scene.applicant().await;
    let mut draft = Draft::new();
    let package = certs::sha256(b"whatever");
    outbox::file(&mut draft, &labour, "20260302-WAITING222", &package, scene.hub.hub.clock.now());
    draft.commit(&*scene.hub.hub.store).await.unwrap().unwrap();
    let case = scene.hand_in(&who).await;
    scene.until(&case.id, |case| delivered(case) == 1).await;
    let answer = scene.hub.office().get("/v1/connectors").await;
    let states: Vec<(&Value, &Value)> = answer.json["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|state| (&state["name"], &state["set_aside"]))
        .collect();
    assert_eq!(states[0].0, "cases");
    assert_eq!(states[1].0, "down");
    let ready = scene.hub.nobody().get(scene.hub.url("/readyz")).send().await.unwrap();
    let ready: Value = serde_json::from_str(&ready.text().await.unwrap()).unwrap();
    assert_eq!(ready["connectors"]["cases"], "ok", "{ready}");
    scene.end().await;
}

#[actix_web::test]
async fn a_paused_counterpart_gets_nothing_until_it_is_resumed_also_across_a_restart() {
    let mut scene = Scene::set().await;
    let who = scene.applicant().await;
    let office = scene.hub.office();
    let paused = office.post("/v1/connectors/cases/pause", &why()).await;
    assert_eq!(paused.json, json!({ "paused": true }), "{}", paused.text);
    let case = scene.hand_in(&who).await;
    scene.hub.restart().await;
    let state = scene.until_state(|state| state["waiting"] == 1).await;
    assert_eq!((&state["paused"], &state["delivered"]), (&json!(true), &json!(0)), "{state}");
    scene.hub.office().post("/v1/connectors/cases/resume", &why()).await;
    scene.until(&case.id, |case| delivered(case) == 1).await;
    scene.end().await;
}

#[actix_web::test]
async fn a_withdrawn_case_is_withdrawn_there_too() {
    let scene = Scene::set().await;
    let who = scene.applicant().await;
    let case = scene.hand_in(&who).await;
    scene.until(&case.id, |case| delivered(case) == 1).await;
    scene.hub.hub.clock.advance(jiff::SignedDuration::from_mins(5));
    cases::withdraw(&scene.hub.hub, &who, &case.id).await.unwrap();
    scene.until_state(|state| state["delivered"] == 2).await;
    let desk = scene.desk().await;
    let sql = "SELECT cd_operation::text FROM up_pro_accept ORDER BY cd_time";
    assert_eq!(desk.texts(sql).await.unwrap(), ["I", "D"]);
    drop(desk);
    scene.end().await;
}

#[actix_web::test]
async fn operators_see_counterparts_for_cases_on_the_page() {
    let scene = Scene::set().await;
    let who = scene.applicant().await;
    scene.until_state(|state| !state["last_success"].is_null()).await;
    let desk = scene.desk().await;
    desk.execute("ALTER TABLE up_pro_accept ADD CONSTRAINT closed CHECK (task_version > 1)")
        .await
        .unwrap();
    let case = scene.hand_in(&who).await;
    scene.until_state(|state| state["set_aside"] == 1).await;
    let operator = scene.hub.operator().await;
    let page = operator.get("/connectors").await;
    assert_eq!(page.status, 200, "{}", page.html);
    for shown in ["cases", "办件前置库", "对应部门", "退回"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    let refused = operator.get("/connectors/cases/set-aside").await;
    assert!(refused.text().contains(&case.id), "{}", refused.text());
    desk.execute("ALTER TABLE up_pro_accept DROP CONSTRAINT closed").await.unwrap();
    let sent = operator.post("/connectors/cases/send-again", &[("why", "约束已取消")]).await;
    assert_eq!((sent.status, sent.location()), (303, "/connectors/cases"), "{}", sent.html);
    scene.until(&case.id, |case| delivered(case) == 1).await;
    drop(desk);
    scene.end().await;
}
