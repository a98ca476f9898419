//! The `casebase` connector against a real PostgreSQL and a real MariaDB: what holds on one holds on the other.

mod support;

use bytes::Bytes;
use connectors::{
    ConnectorSettings, DeliveryError,
    casebase::{AnswerStep, Asked, CaseBase, Handover, Happened, Package},
    department_desk::{DepartmentDesk, DeskStep},
    rules::samples::sha256,
};
use support::{
    cases::{handed_in, open},
    maria::{Maria, MariaSchema},
    province::{Province, Schema},
};

/// Case tables in one of the databases.
enum Peer {
    Postgres(Schema),
    Maria(MariaSchema),
}

impl Peer {
    async fn both() -> [Self; 2] {
        let maria = Maria::start().await.database().await;
        [Self::Postgres(Province::start().await.schema().await), Self::Maria(maria)]
    }

    /// Both, and the connector, with the tables made.
    async fn ready() -> Vec<(Self, CaseBase)> {
        let mut ready = Vec::new();
        for peer in Self::both().await {
            let casebase = open(&peer.settings());
            casebase.answers().await.expect("the tables are made");
            ready.push((peer, casebase));
        }
        ready
    }

    fn settings(&self) -> ConnectorSettings {
        let database = match self {
            Self::Postgres(schema) => schema.settings(),
            Self::Maria(schema) => schema.settings(),
        };
        ConnectorSettings {
            name: "cases".to_owned(),
            kind: "casebase".to_owned(),
            departments: Some(vec!["91350100M000100Y43".to_owned()]),
            ..database
        }
    }

    async fn execute(&self, sql: &str) {
        match self {
            Self::Postgres(schema) => schema.execute(sql).await,
            Self::Maria(schema) => schema.execute(sql).await,
        }
    }

    /// One text column of a query, which both databases understand.
    async fn texts(&self, sql: &str) -> Vec<String> {
        match self {
            Self::Postgres(schema) => schema.texts(sql).await,
            Self::Maria(schema) => schema.texts(sql).await,
        }
    }

    async fn packages(&self) -> Vec<String> {
        match self {
            Self::Postgres(schema) => {
                schema.texts("SELECT convert_from(package, 'UTF8') FROM up_pro_accept").await
            }
            Self::Maria(schema) => schema.texts("SELECT package FROM up_pro_accept").await,
        }
    }

    async fn go_down(&self) {
        match self {
            Self::Postgres(schema) => schema.province.stop().await,
            Self::Maria(schema) => schema.maria.stop().await,
        }
    }

    async fn come_up(&self) {
        match self {
            Self::Postgres(schema) => schema.province.start_again().await,
            Self::Maria(schema) => schema.maria.start_again().await,
        }
    }

    async fn desk(&self) -> DepartmentDesk {
        match self {
            Self::Postgres(schema) => DepartmentDesk::connect(&schema.connection()).await,
            Self::Maria(schema) => {
                DepartmentDesk::connect_mariadb(schema.maria.socket(), &schema.name).await
            }
        }
        .unwrap()
    }
}

async fn write_step(peer: &Peer, guid: &str, case: &str, step: &str, rest: &str, time: &str) {
    peer
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
    for (peer, casebase) in Peer::ready().await {
        for _ in 0..3 {
            casebase.deliver(&handed_in(CASE, 1)).await.unwrap();
        }
        // Another process, which does not know what the first one did.
        open(&peer.settings()).deliver(&handed_in(CASE, 1)).await.unwrap();
        assert_eq!(
            peer
                .texts(
                    "SELECT CONCAT(project_no, ' ', cd_operation, ' ', apply_window, ' ', CAST(apply_time AS CHAR(19))) \
                     FROM up_pro_accept"
                )
                .await,
            [format!("{CASE} I east-1 2026-03-02 09:30:00")]
        );
        assert_eq!(peer.packages().await, [format!("package of {CASE}, round 1")]);
        assert_eq!(
            peer
                .texts("SELECT CONCAT(material_code, ' ', get_type, ' ', get_num) FROM up_pro_material ORDER BY row_guid")
                .await,
            ["identity licence 1", "floor-plan reuse 1"]
        );
        assert_eq!(peer.texts("SELECT process_name FROM up_pro_process").await, ["submit"]);
    }
}

#[tokio::test]
async fn what_happens_later_is_a_row_of_its_own() {
    for (peer, casebase) in Peer::ready().await {
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
            peer.texts("SELECT cd_operation FROM up_pro_accept ORDER BY cd_time").await,
            ["I", "U", "D"]
        );
        assert_eq!(
            peer.texts("SELECT process_name FROM up_pro_process ORDER BY cd_time, row_guid").await,
            ["submit", "resubmit", "accept", "grant", "withdraw"]
        );
        assert_eq!(
            peer.texts("SELECT CONCAT(result_type, ' ', remark) FROM up_pro_result").await,
            ["grant 同意"]
        );
    }
}

#[tokio::test]
async fn a_database_that_was_down_gets_the_case_when_it_is_back() {
    for (peer, casebase) in Peer::ready().await {
        casebase.deliver(&handed_in(CASE, 1)).await.unwrap();
        peer.go_down().await;
        let error = casebase.deliver(&handed_in(CASE, 2)).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Unreachable(_)), "{error}");
        let error = casebase.answers().await.unwrap_err();
        assert!(matches!(error, DeliveryError::Unreachable(_)), "{error}");
        peer.come_up().await;
        casebase.deliver(&handed_in(CASE, 2)).await.unwrap();
        assert_eq!(
            peer.texts("SELECT cd_operation FROM up_pro_accept ORDER BY cd_time").await,
            ["I", "U"]
        );
    }
}

#[tokio::test]
async fn steps_are_read_in_order_until_they_are_taken() {
    for (peer, casebase) in Peer::ready().await {
        let items = r#"'', '[{"requirement":"floor-plan","why":"看不清，请重拍"}]'"#;
        write_step(&peer, "b", CASE, "accept", "", "'2026-03-02 12:00'").await;
        write_step(&peer, "a", CASE, "supplement", items, "'2026-03-02 11:00'").await;
        write_step(&peer, "c", CASE, "approve", "", "NULL").await;
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
            peer
                .texts(
                    "SELECT CONCAT(row_guid, ' ', coalesce(taken_code, '-'), ' ', coalesce(taken_remark, '-')) \
                     FROM dn_pro_step WHERE taken IS NOT NULL ORDER BY row_guid"
                )
                .await,
            ["a - -".to_owned(), format!("c step_unreadable {unknown}")]
        );
    }
}

#[tokio::test]
async fn what_the_counterpart_finds_fault_with_is_read_until_it_is_noted() {
    for (peer, casebase) in Peer::ready().await {
        let handover = handed_in(CASE, 1);
        casebase.deliver(&handover).await.unwrap();
        peer
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
}

#[tokio::test]
async fn a_row_the_database_refuses_is_no_reason_not_to_take_the_next() {
    for (peer, casebase) in Peer::ready().await {
        peer.execute(&format!(
            "ALTER TABLE up_pro_material ADD CHECK (project_no <> '{CASE}' OR get_type <> 'reuse')"
        ))
        .await;
        let error = casebase.deliver(&handed_in(CASE, 1)).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Refused(_)), "{error}");
        assert_eq!(error.code(), "value_refused");
        casebase.deliver(&handed_in("20260302-8K3QM9XW2F", 1)).await.unwrap();
        // All or nothing: nothing of the refused one is there.
        for table in ["up_pro_accept", "up_pro_material", "up_pro_process"] {
            let found = peer.texts(&format!("SELECT DISTINCT project_no FROM {table}")).await;
            assert_eq!(found, ["20260302-8K3QM9XW2F"], "{table}");
        }
    }
}

#[tokio::test]
async fn tables_that_are_missing_are_the_operators_to_make() {
    for peer in Peer::both().await {
        let casebase = open(&ConnectorSettings { create_tables: None, ..peer.settings() });
        let error = casebase.deliver(&handed_in(CASE, 1)).await.unwrap_err();
        assert!(
            matches!(error, DeliveryError::Configuration(_)) && error.code() == "table_missing",
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_desk_takes_each_case_step_by_step_as_the_hub_takes_its_steps() {
    for (peer, casebase) in Peer::ready().await {
        casebase.deliver(&handed_in(CASE, 1)).await.unwrap();
        let desk = peer.desk().await;
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
}

/// Whoever hands over needs no right to change what is there.
#[tokio::test]
async fn on_mariadb_the_rights_to_insert_and_to_read_are_enough() {
    let maria = Maria::start().await.database().await;
    let peer = Peer::Maria(maria.clone());
    open(&peer.settings()).answers().await.expect("the tables are made");
    peer.execute("CREATE USER clerk@localhost").await;
    for table in ["up_pro_accept", "up_pro_material", "up_pro_process", "up_pro_result"] {
        peer.execute(&format!("GRANT SELECT, INSERT ON {}.{table} TO clerk@localhost", maria.name))
            .await;
    }
    for table in ["dn_pro_step", "dn_pro_error"] {
        peer.execute(&format!("GRANT SELECT, UPDATE ON {}.{table} TO clerk@localhost", maria.name))
            .await;
    }
    let casebase = open(&ConnectorSettings {
        user: Some("clerk".to_owned()),
        create_tables: None,
        ..peer.settings()
    });
    write_step(&peer, "a", CASE, "accept", "", "NULL").await;
    for _ in 0..2 {
        casebase.deliver(&handed_in(CASE, 1)).await.unwrap();
        casebase.taken("a", None).await.unwrap();
    }
    assert!(casebase.answers().await.unwrap().is_empty());
    assert_eq!(peer.packages().await, [format!("package of {CASE}, round 1")]);
    peer.execute("REVOKE INSERT ON *.* FROM clerk@localhost").await;
    peer.execute(&format!("REVOKE INSERT ON {}.up_pro_accept FROM clerk@localhost", maria.name))
        .await;
    let error = casebase.deliver(&handed_in(CASE, 2)).await.unwrap_err();
    assert!(
        matches!(error, DeliveryError::Configuration(_)) && error.code() == "right_missing",
        "{error}"
    );
}

#[tokio::test]
async fn processes_that_hand_over_the_same_at_once_hand_it_over_once() {
    for (peer, _) in Peer::ready().await {
        let settings = peer.settings();
        let hands: Vec<_> = (0..8)
            .map(|_| {
                let casebase = open(&settings);
                tokio::spawn(async move {
                    for round in 1..6 {
                        casebase.deliver(&handed_in(CASE, round)).await.unwrap();
                    }
                })
            })
            .collect();
        for hand in hands {
            hand.await.unwrap();
        }
        assert_eq!(
            peer.texts("SELECT cd_operation FROM up_pro_accept ORDER BY cd_time").await,
            ["I", "U", "U", "U", "U"]
        );
    }
}

#[tokio::test]
async fn tables_that_cannot_tell_a_repeat_are_told() {
    for (peer, _) in Peer::ready().await {
        let drop = match &peer {
            Peer::Postgres(_) => "DROP CONSTRAINT up_pro_process_pkey",
            Peer::Maria(_) => "DROP PRIMARY KEY",
        };
        peer.execute(&format!("ALTER TABLE up_pro_process {drop}")).await;
        let casebase = open(&ConnectorSettings { create_tables: None, ..peer.settings() });
        let error = casebase.deliver(&handed_in(CASE, 1)).await.unwrap_err();
        assert!(
            matches!(error, DeliveryError::Configuration(_)) && error.code() == "table_differs",
            "{error}"
        );
    }
}

/// A package of a few megabytes is a usual one; one that is larger than the server takes is that case's fault alone.
#[tokio::test]
async fn large_packages_arrive_and_those_that_are_too_large_stop_no_other() {
    let large = |case: &str, megabytes: usize| {
        let bytes = Bytes::from(vec![b'%'; megabytes << 20]);
        let package =
            Package { again: false, digest: sha256(&bytes), bytes, materials: Vec::new() };
        let handover = handed_in(case, 1);
        Handover {
            reference: format!("{case}-{}", &package.digest.to_string()[..16]),
            what: Happened::Submitted(package),
            ..handover
        }
    };
    for (peer, casebase) in Peer::ready().await {
        casebase.deliver(&large(CASE, 6)).await.unwrap();
        if let Peer::Maria(_) = peer {
            let error = casebase.deliver(&large("20260302-8K3QM9XW2F", 40)).await.unwrap_err();
            assert!(
                matches!(error, DeliveryError::Refused(_)) && error.code() == "record_too_large",
                "{error}"
            );
        }
        casebase.deliver(&handed_in("20260302-9K3QM9XW2F", 1)).await.unwrap();
        assert_eq!(
            peer.texts(
                "SELECT CONCAT(project_no, ' ', length(package)) FROM up_pro_accept ORDER BY 1"
            )
            .await,
            [format!("{CASE} {}", 6 << 20), "20260302-9K3QM9XW2F 39".to_owned()]
        );
    }
}
