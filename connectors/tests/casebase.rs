//! The `casebase` connector against a real PostgreSQL.

mod support;

use bytes::Bytes;
use connectors::{
    CheckedConnector, ConnectorSettings, DeliveryError,
    casebase::{AnswerStep, Asked, CaseBase, Handover, Happened, Material, Obtained, Package},
    department_desk::{DepartmentDesk, DeskStep},
    rules::samples::sha256,
};
use licence::{HolderId, HolderKind};
use support::province::{Province, Schema};

fn settings(schema: &Schema) -> ConnectorSettings {
    ConnectorSettings {
        name: "cases".to_owned(),
        kind: "casebase".to_owned(),
        departments: Some(vec!["91350100M000100Y43".to_owned()]),
        ..schema.settings()
    }
}

fn open(settings: &ConnectorSettings) -> CaseBase {
    match settings.check().unwrap().connector {
        CheckedConnector::CaseBase(settings) => CaseBase::new(settings),
        other => panic!("{other:?}"),
    }
}

async fn counterpart() -> (Schema, CaseBase) {
    let schema = Province::start().await.schema().await;
    let casebase = open(&settings(&schema));
    casebase.answers().await.expect("the tables are made");
    (schema, casebase)
}

fn handed_in(case: &str, round: u8) -> Handover {
    let material = |requirement: &str, obtained| Material {
        requirement: requirement.to_owned(),
        name: format!("材料 {requirement}"),
        obtained,
        file: None,
        digest: None,
        licence: None,
    };
    let bytes = Bytes::from(format!("package of {case}, round {round}"));
    let person = HolderKind::from_code("111").unwrap();
    Handover {
        reference: format!("{case}-{}", &sha256(&bytes).to_string()[..16]),
        case: case.to_owned(),
        at: format!("2026-03-02T0{round}:30:00Z").parse().unwrap(),
        matter: "11370800MB285591843370117002011".parse().unwrap(),
        matter_name: "开办小餐饮店".to_owned(),
        matter_version: 2,
        department: "91350100M000100Y43".parse().unwrap(),
        department_name: "样本局".to_owned(),
        applicant: HolderId::parse(person, "11010519491231002X").unwrap(),
        applicant_name: "样本申请人".to_owned(),
        window: Some("east-1".to_owned()),
        due: Some(jiff::civil::date(2026, 3, 9)),
        what: Happened::Submitted(Package {
            again: round > 1,
            digest: sha256(&bytes),
            bytes,
            materials: vec![
                material("identity", Obtained::Licence),
                material("floor-plan", Obtained::Reused),
            ],
        }),
    }
}

async fn write_step(schema: &Schema, guid: &str, case: &str, step: &str, rest: &str, time: &str) {
    schema
        .execute(&format!(
            "INSERT INTO dn_pro_step (row_guid, project_no, step, {}) VALUES ('{guid}', '{case}', '{step}', {})",
            if rest.is_empty() { "step_time" } else { "remark, items, step_time" },
            if rest.is_empty() { time.to_owned() } else { format!("{rest}, {time}") },
        ))
        .await;
}

const CASE: &str = "20260302-7K3QM9XW2F";

#[tokio::test]
async fn a_case_is_handed_over_once_however_often_it_comes() {
    let (schema, casebase) = counterpart().await;
    for _ in 0..3 {
        casebase.deliver(&handed_in(CASE, 1)).await.unwrap();
    }
    // Another process, which does not know what the first one did.
    open(&settings(&schema)).deliver(&handed_in(CASE, 1)).await.unwrap();
    assert_eq!(
        schema
            .texts(
                "SELECT project_no || ' ' || cd_operation || ' ' || apply_window || ' ' || apply_time::text || ' ' || \
                 convert_from(package, 'UTF8') FROM up_pro_accept"
            )
            .await,
        [format!("{CASE} I east-1 2026-03-02 09:30:00 package of {CASE}, round 1")]
    );
    assert_eq!(
        schema
            .texts("SELECT material_code || ' ' || get_type || ' ' || get_num FROM up_pro_material ORDER BY row_guid")
            .await,
        ["identity licence 1", "floor-plan reuse 1"]
    );
    assert_eq!(schema.texts("SELECT process_name FROM up_pro_process").await, ["submit"]);
}

#[tokio::test]
async fn what_happens_later_is_a_row_of_its_own() {
    let (schema, casebase) = counterpart().await;
    casebase.deliver(&handed_in(CASE, 1)).await.unwrap();
    casebase.deliver(&handed_in(CASE, 2)).await.unwrap();
    let step = |step, reference: &str| Handover {
        reference: format!("{CASE}-{reference}"),
        what: Happened::Step { step, remark: "同意".to_owned(), licence: None },
        ..handed_in(CASE, 3)
    };
    casebase.deliver(&step("accept", "s0004")).await.unwrap();
    casebase.deliver(&step("grant", "s0005")).await.unwrap();
    let withdrawn = Handover {
        reference: format!("{CASE}-withdrawn"),
        what: Happened::Withdrawn,
        ..handed_in(CASE, 4)
    };
    casebase.deliver(&withdrawn).await.unwrap();
    assert_eq!(
        schema.texts("SELECT cd_operation FROM up_pro_accept ORDER BY cd_time").await,
        ["I", "U", "D"]
    );
    assert_eq!(
        schema.texts("SELECT process_name FROM up_pro_process ORDER BY cd_time, row_guid").await,
        ["submit", "resubmit", "accept", "grant", "withdraw"]
    );
    assert_eq!(
        schema.texts("SELECT result_type || ' ' || remark FROM up_pro_result").await,
        ["grant 同意"]
    );
}

#[tokio::test]
async fn a_database_that_was_down_gets_the_case_when_it_is_back() {
    let (schema, casebase) = counterpart().await;
    casebase.deliver(&handed_in(CASE, 1)).await.unwrap();
    schema.province.stop().await;
    let error = casebase.deliver(&handed_in(CASE, 2)).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)), "{error}");
    let error = casebase.answers().await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)), "{error}");
    schema.province.start_again().await;
    casebase.deliver(&handed_in(CASE, 2)).await.unwrap();
    assert_eq!(
        schema.texts("SELECT cd_operation FROM up_pro_accept ORDER BY cd_time").await,
        ["I", "U"]
    );
}

#[tokio::test]
async fn steps_are_read_in_order_until_they_are_taken() {
    let (schema, casebase) = counterpart().await;
    let items = r#"'', '[{"requirement":"floor-plan","why":"看不清，请重拍"}]'"#;
    write_step(&schema, "b", CASE, "accept", "", "'2026-03-02 12:00'").await;
    write_step(&schema, "a", CASE, "supplement", items, "'2026-03-02 11:00'").await;
    write_step(&schema, "c", CASE, "approve", "", "NULL").await;
    let asked = AnswerStep::Supplement(vec![Asked {
        requirement: "floor-plan".to_owned(),
        why: "看不清，请重拍".to_owned(),
    }]);
    let unknown = "step must be accept, supplement, decline, grant, refuse or result";
    for _ in 0..2 {
        let answers = casebase.answers().await.unwrap();
        let steps: Vec<_> =
            answers.into_iter().map(|answer| (answer.reference, answer.step)).collect();
        assert_eq!(
            steps,
            [
                ("a".to_owned(), Ok(asked.clone())),
                ("b".to_owned(), Ok(AnswerStep::Accept)),
                ("c".to_owned(), Err(unknown)),
            ]
        );
    }
    casebase.taken("a", None).await.unwrap();
    casebase.taken("c", Some(("step_unreadable", unknown))).await.unwrap();
    casebase.taken("c", None).await.unwrap(); // the first word stands
    let left = casebase.answers().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(
        schema
            .texts(
                "SELECT row_guid || ' ' || coalesce(taken_code, '-') || ' ' || coalesce(taken_remark, '-') \
                 FROM dn_pro_step WHERE taken IS NOT NULL ORDER BY row_guid"
            )
            .await,
        ["a - -".to_owned(), format!("c step_unreadable {unknown}")]
    );
}

#[tokio::test]
async fn what_the_counterpart_finds_fault_with_is_read_until_it_is_noted() {
    let (schema, casebase) = counterpart().await;
    let handover = handed_in(CASE, 1);
    casebase.deliver(&handover).await.unwrap();
    schema
        .execute(&format!(
            "INSERT INTO dn_pro_error (row_guid, error_remark) VALUES \
             ('cases-{}', '申请人证件 11010519491231002X 无法核对'), ('other-{CASE}', '与本库无关')",
            handover.reference
        ))
        .await;
    for _ in 0..2 {
        let refusals = casebase.refusals().await.unwrap();
        assert_eq!(refusals.len(), 1);
        assert_eq!(refusals[0].reference, handover.reference);
        assert_eq!(refusals[0].remark, "申请人证件 *** 无法核对");
    }
    casebase.noted(&casebase.refusals().await.unwrap()[0]).await.unwrap();
    assert!(casebase.refusals().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_the_database_refuses_is_no_reason_not_to_take_the_next() {
    let (schema, casebase) = counterpart().await;
    schema
        .execute(&format!(
            "ALTER TABLE up_pro_material ADD CHECK (project_no <> '{CASE}' OR get_type <> 'reuse')"
        ))
        .await;
    let error = casebase.deliver(&handed_in(CASE, 1)).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Refused(_)), "{error}");
    assert_eq!(error.code(), "value_refused");
    casebase.deliver(&handed_in("20260302-8K3QM9XW2F", 1)).await.unwrap();
    // All or nothing: nothing of the refused one is there.
    for table in ["up_pro_accept", "up_pro_material", "up_pro_process"] {
        let found = schema.texts(&format!("SELECT DISTINCT project_no FROM {table}")).await;
        assert_eq!(found, ["20260302-8K3QM9XW2F"], "{table}");
    }
}

#[tokio::test]
async fn tables_that_are_missing_are_the_operators_to_make() {
    let schema = Province::start().await.schema().await;
    let casebase = open(&ConnectorSettings { create_tables: None, ..settings(&schema) });
    let error = casebase.deliver(&handed_in(CASE, 1)).await.unwrap_err();
    assert!(
        matches!(error, DeliveryError::Configuration(_)) && error.code() == "table_missing",
        "{error}"
    );
}

#[tokio::test]
async fn a_desk_takes_each_case_step_by_step_as_the_hub_takes_its_steps() {
    let (schema, casebase) = counterpart().await;
    casebase.deliver(&handed_in(CASE, 1)).await.unwrap();
    let desk = DepartmentDesk::connect(&schema.connection()).await.unwrap();
    let office = "91350100M000100Y43";
    let waiting = || async { desk.waiting(office, "2026-03-01").await.unwrap() };
    assert!(desk.waiting(office, "2026-03-03").await.unwrap().is_empty(), "older than that");
    assert!(desk.waiting("91350100M000100Y44", "2026-03-01").await.unwrap().is_empty());
    for next in [DeskStep::Accept, DeskStep::Grant, DeskStep::Result] {
        let [on_desk] = &waiting().await[..] else { panic!("{:?}", waiting().await) };
        assert_eq!((on_desk.case.as_str(), on_desk.next), (CASE, next));
        desk.report(on_desk, "", None).await.unwrap();
        desk.report(on_desk, "", None).await.unwrap();
        assert!(waiting().await.is_empty(), "the hub has not taken it yet");
        let [step] = &casebase.answers().await.unwrap()[..] else { panic!("one step") };
        casebase.taken(&step.reference, None).await.unwrap();
    }
    assert!(waiting().await.is_empty(), "it is through");
    // Handed in again, it is on the desk again; what the hub refuses is left to people.
    casebase.deliver(&handed_in(CASE, 2)).await.unwrap();
    let again = waiting().await.remove(0);
    assert_eq!(
        desk.package(&again.row).await.unwrap(),
        format!("package of {CASE}, round 2").as_bytes()
    );
    desk.report(&again, "", None).await.unwrap();
    let step = casebase.answers().await.unwrap().remove(0);
    casebase.taken(&step.reference, Some(("case_state", "decided by hand"))).await.unwrap();
    assert!(waiting().await.is_empty());
}
