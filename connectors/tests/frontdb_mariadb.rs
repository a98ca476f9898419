//! The `frontdb` connector against a real MariaDB.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use connectors::{
    Batch, Bucket, ConnectorSettings, DeliveryError, Runner, RunnerSettings, Tally,
    local_mariadb::Options,
    rules::{connector_rules, samples},
};
use indexes::{LicenceStore, MemoryStore};
use licence::{LicenceStatus, RevocationCause, StatusChange};
use support::{
    caught_up, change,
    city::Authority,
    issue,
    maria::{Maria, MariaSchema},
    province::open,
    quick, set_asides, until,
};
use tempfile::TempDir;

fn memory() -> Arc<dyn LicenceStore> {
    Arc::new(MemoryStore::new())
}

async fn database() -> MariaSchema {
    Maria::start().await.database().await
}

#[tokio::test]
async fn keeps_the_rules_of_connectors() {
    let maria = Maria::start().await;
    connector_rules(|| maria.database()).await;
}

#[tokio::test]
async fn each_change_is_one_row() {
    let database = database().await;
    let store = memory();
    let licences = issue(&*store, 0, 2).await;
    change(&*store, &licences[0], StatusChange::Suspend).await;
    change(&*store, &licences[0], StatusChange::Restore).await;
    change(&*store, &licences[1], StatusChange::Revoke { cause: RevocationCause::Withdrawn }).await;
    let runner = Runner::start(store.clone(), database.connector(), quick());
    caught_up(&runner, &*store).await;
    let rows = database
        .texts(
            "SELECT CONCAT(RIGHT(row_guid, 2), ' ', cd_operation, ' ', RIGHT(certificate_number, 2), ' ',
                    certificate_holder_code, ' ', certificate_holder, ' ', data_source, ' ', LENGTH(cd_batch))
             FROM up_lic_data ORDER BY row_guid",
        )
        .await;
    assert_eq!(
        rows,
        [
            "00 I 0号 11010519491231002X 样本持证人 001 32",
            "01 I 1号 11010519491231002X 样本持证人 001 32",
            "02 D 0号 11010519491231002X 样本持证人 001 32",
            "03 I 0号 11010519491231002X 样本持证人 001 32",
            "04 D 1号 11010519491231002X 样本持证人 001 32",
        ]
    );
    assert!(runner.reconcile().await.unwrap().agrees);
}

#[tokio::test]
async fn times_are_beijing_time_and_every_character_fits() {
    let database = database().await;
    let mut licence = samples::licence(0, samples::types()[0]);
    licence.issuer_name = "𠮷'\"\\%_".repeat(42);
    let batch = Batch::new("province", 0, vec![samples::of_licence(0, licence.clone())]);
    database.ready().await.deliver(&batch).await.unwrap();
    assert_eq!(
        database.texts("SELECT CAST(cd_time AS CHAR) FROM up_lic_data").await,
        ["2025-03-01 09:30:00"]
    );
    assert_eq!(
        database.texts("SELECT issue_dept FROM up_lic_data").await,
        [licence.issuer_name.as_str()]
    );
}

#[tokio::test]
async fn a_record_the_database_refuses_is_found_and_set_aside() {
    let database = database().await;
    database.ready().await;
    database
        .execute("ALTER TABLE up_lic_data ADD CHECK (RIGHT(row_guid, 3) NOT IN ('007', '063'))")
        .await;
    database.execute("ALTER TABLE up_lic_data MODIFY certificate_number varchar(9) NOT NULL").await;
    let store = memory();
    issue(&*store, 0, 120).await;
    let runner = Runner::start(store.clone(), database.connector(), quick());
    caught_up(&runner, &*store).await;
    issue(&*store, 1_000, 1).await;
    caught_up(&runner, &*store).await;
    let refused = "value_refused".to_owned();
    assert_eq!(
        set_asides(&*store, "province").await,
        [(7, refused.clone()), (63, refused.clone()), (120, refused)]
    );
    assert_eq!(database.count().await, 118);
    for record in runner.set_asides(10).await.unwrap() {
        assert!(!record.remark.contains(samples::CITIZEN), "{}", record.remark);
        assert!(record.remark.contains("SQLSTATE"), "{}", record.remark);
    }
}

#[tokio::test]
async fn tables_and_rights_that_are_not_as_agreed_are_told() {
    let database = database().await;
    database.ready().await;
    database.execute("CREATE USER clerk@localhost").await;
    let grant =
        |what: &str| format!("GRANT {what} ON {}.up_lic_data TO clerk@localhost", database.name);
    database.execute(&grant("SELECT")).await;
    let batch = Batch::new("province", 0, vec![samples::issued(0)]);
    let as_clerk = ConnectorSettings {
        user: Some("clerk".to_owned()),
        create_tables: None,
        ..database.settings()
    };
    assert_eq!(open(&as_clerk).deliver(&batch).await.unwrap_err().code(), "right_missing");
    database.execute(&grant("INSERT, UPDATE")).await;
    open(&as_clerk).deliver(&batch).await.unwrap();

    let nobody = ConnectorSettings { user: Some("nobody".to_owned()), ..database.settings() };
    assert_eq!(open(&nobody).deliver(&batch).await.unwrap_err().code(), "login_refused");
    let nowhere = ConnectorSettings { database: Some("nowhere".to_owned()), ..database.settings() };
    assert_eq!(open(&nowhere).deliver(&batch).await.unwrap_err().code(), "database_missing");

    for (sql, what) in [
        ("ALTER TABLE up_lic_data DROP PRIMARY KEY", "no key to recognise repeats by"),
        (
            "ALTER TABLE up_lic_data ADD PRIMARY KEY (row_guid), DROP COLUMN issue_date",
            "a column less",
        ),
    ] {
        database.execute(sql).await;
        let connector = open(&ConnectorSettings { create_tables: None, ..database.settings() });
        let error = connector.deliver(&batch).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Configuration(_)), "{what}");
        assert_eq!(error.code(), "table_differs", "{what}");
    }
}

/// A key that is not ours must not make two records one.
#[tokio::test]
async fn a_row_that_another_key_forbids_is_refused_and_changes_no_other() {
    let database = database().await;
    let connector = database.ready().await;
    database.execute("ALTER TABLE up_lic_data ADD UNIQUE (certificate_source_id)").await;
    let first = samples::issued(0);
    let again = samples::changed(1, &first, LicenceStatus::Valid, LicenceStatus::Suspended);
    connector.deliver(&Batch::new("province", 0, vec![first])).await.unwrap();
    let error = connector.deliver(&Batch::new("province", 0, vec![again])).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Refused(_)), "{error}");
    assert_eq!(database.texts("SELECT cd_operation FROM up_lic_data").await, ["I"]);
}

#[tokio::test]
async fn the_provinces_error_rows_are_read_back_once_each() {
    let database = database().await;
    let store = memory();
    issue(&*store, 0, 20).await;
    let runner = Runner::start(store.clone(), database.connector(), quick());
    caught_up(&runner, &*store).await;
    database.refuse(3, "证件号码 11010519491231002X 与姓名不符", "NOW(6)").await;
    database.refuse(4, "颁发机构未备案", "NULL").await;
    database.refuse(5, "时间有误", "'9999-12-31 23:59:59'").await;
    database
        .execute(
            "INSERT INTO dn_lic_data_error VALUES ('other-00000000000000000001', 'x', 'y', NOW()),
             ('province-0000000000000000000x', 'x', 'y', NOW()), (NULL, NULL, NULL, NULL)",
        )
        .await;
    until(&runner, |state| state.set_aside == 3).await;
    let records = runner.set_asides(10).await.unwrap();
    let remarks: Vec<&str> = records.iter().map(|record| record.remark.as_str()).collect();
    assert_eq!(remarks, ["证件号码 *** 与姓名不符", "颁发机构未备案", "时间有误"]);
    assert!(records.iter().all(|record| record.code == "error_row"));
    let compared = runner.reconcile().await.unwrap();
    assert_eq!((compared.set_aside, compared.types[0].difference), (3, -3), "refused is not held");
}

#[tokio::test]
async fn more_error_rows_than_one_page_are_all_read() {
    let database = database().await;
    let store = memory();
    issue(&*store, 0, 2_500).await;
    let settings = RunnerSettings { batch: 1_000, ..quick() };
    let runner = Runner::start(store.clone(), database.connector(), settings);
    caught_up(&runner, &*store).await;
    database
        .execute(
            "INSERT INTO dn_lic_data_error SELECT row_guid, certificate_source_id, '退回',
             IF(RAND() < 0.1, NULL, TIMESTAMP '2025-03-01 00:00:00' + INTERVAL (CRC32(row_guid) % 3) SECOND)
             FROM up_lic_data",
        )
        .await;
    until(&runner, |state| state.set_aside == 2_500).await;
}

#[tokio::test]
async fn both_sides_compute_the_same_marks() {
    let database = database().await;
    support::marks::agree(&*database.ready().await).await;
    // What was changed over there shows in exactly one bucket.
    let connector = database.connector();
    let before = connector.tallies().await.unwrap().unwrap();
    database
        .execute("UPDATE up_lic_data SET issue_dept = '别处' WHERE row_guid = 'province-00000000000000000003'")
        .await;
    let after = connector.tallies().await.unwrap().unwrap();
    let differ: Vec<&Bucket> = before
        .iter()
        .filter(|(bucket, tally)| after[*bucket] != **tally)
        .map(|found| found.0)
        .collect();
    assert_eq!(differ.len(), 1);
    assert_eq!(after.values().map(|tally: &Tally| tally.count).sum::<u64>(), 6);
}

#[tokio::test]
async fn a_code_map_says_what_is_sent_and_what_was_sent_otherwise_is_corrected() {
    let folder = TempDir::new().unwrap();
    let database = database().await;
    let client = database.ready().await;
    database.execute("ALTER TABLE up_lic_data ADD valid_until date").await;
    let batch = Batch::new("province", 0, vec![samples::issued(0), samples::issued(1)]);
    client.deliver(&batch).await.unwrap();
    let map = folder.path().join("map.json");
    std::fs::write(&map, support::marks::SMALL_MAP).unwrap();
    let settings = ConnectorSettings { code_map: Some(map), ..database.settings() };
    let mapped = open(&settings);
    mapped.deliver(&batch).await.unwrap();
    let rows = database
        .texts(
            "SELECT CONCAT_WS(' ', RIGHT(row_guid, 1), cd_operation, certificate_holder, certificate_holder_type,
                    issue_date, valid_until, data_source) FROM up_lic_data ORDER BY 1",
        )
        .await;
    assert_eq!(rows, ["0 1 - 01 20250301 2099-12-31 001", "1 1 - 01 20250301 2099-12-31 001"]);
    assert_eq!(mapped.counts().await.unwrap(), BTreeMap::from([(samples::types()[0], 2)]));
    support::marks::compare(&*mapped, &batch.items).await;
}

#[tokio::test]
async fn a_database_elsewhere_is_reached_by_tls_with_a_password() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("province");
    let server = authority.server("127.0.0.1");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tls = Some((server.certificate, server.key));
    let maria = Maria::start_with(Options { port: Some(port), tls, ..Options::default() }).await;
    let database = maria.database().await;
    database.execute("CREATE USER hub@127.0.0.1 IDENTIFIED BY 'right' REQUIRE SSL").await;
    database.execute("GRANT ALL ON *.* TO hub@127.0.0.1").await;
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Some(path)
    };
    let settings = ConnectorSettings {
        host: Some("127.0.0.1".to_owned()),
        port: Some(port),
        user: Some("hub".to_owned()),
        password_file: file("right", "right\n"),
        ca: file("ca.pem", &authority.pem),
        ..database.settings()
    };
    let batch = Batch::new("province", 0, vec![samples::issued(0)]);
    open(&settings).deliver(&batch).await.unwrap();
    assert_eq!(database.count().await, 1);

    let other = file("other.pem", &Authority::new("other").pem);
    for (wrong, code) in [
        (ConnectorSettings { ca: other, ..settings.clone() }, "tls_failed"),
        (
            ConnectorSettings { host: Some("localhost".to_owned()), ..settings.clone() },
            "tls_failed",
        ),
        (
            ConnectorSettings { password_file: file("wrong", "wrong"), ..settings.clone() },
            "login_refused",
        ),
        (ConnectorSettings { password_file: None, ..settings.clone() }, "login_refused"),
        (
            ConnectorSettings { password_file: Some("/nowhere".into()), ..settings.clone() },
            "file_unreadable",
        ),
        // This user is let in by TLS only.
        (ConnectorSettings { ca: None, ..settings.clone() }, "login_refused"),
    ] {
        let error = open(&wrong).deliver(&batch).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Configuration(_)), "{error:?}");
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn a_number_that_was_given_out_twice_is_refused_and_overwrites_nothing() {
    let database = database().await;
    let connector = database.ready().await;
    connector.deliver(&Batch::new("province", 0, vec![samples::issued(0)])).await.unwrap();
    let other = samples::of_licence(0, samples::licence(9, samples::types()[0]));
    let error = connector.deliver(&Batch::new("province", 0, vec![other])).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Refused(_)), "{error}");
    assert_eq!(error.code(), "value_refused");
    let held = database.texts("SELECT certificate_source_id FROM up_lic_data").await;
    assert_eq!(held, [samples::issued(0).identifier().to_string()]);
}

/// A licence with names of so many bytes.
fn large(number: u64, bytes: usize) -> licence::Licence {
    let mut licence = samples::licence(number, samples::types()[0]);
    let holder = |place: usize| licence::Holder {
        name: "x".repeat(256.min(bytes - place * 256)),
        id: licence::HolderId::parse(
            licence::HolderKind::from_code("099").unwrap(),
            &format!("H{place:03}"),
        )
        .unwrap(),
    };
    licence.holders = (0..bytes.div_ceil(256)).map(holder).collect();
    licence
}

/// The server closes the connection on whatever is larger, and would do so again and again.
#[tokio::test]
async fn batches_are_cut_to_what_the_server_takes_at_once_and_a_record_that_never_fits_is_set_aside()
 {
    let more = vec!["--max-allowed-packet=8K".to_owned(), "--net-buffer-length=4K".to_owned()];
    let maria = Maria::start_with(Options { more, ..Options::default() }).await;
    let database = maria.database().await;
    let store = memory();
    for number in 0..40 {
        support::issue_this(&*store, &large(number, 1_500)).await;
    }
    // From what fits with room to what never fits.
    for number in 40..80 {
        support::issue_this(&*store, &large(number, 6_800 + (number as usize - 40) * 35)).await;
    }
    support::issue_this(&*store, &large(80, 16_000)).await;
    support::issue_this(&*store, &large(81, 1_500)).await;
    let runner = Runner::start(store.clone(), database.connector(), quick());
    let state = caught_up(&runner, &*store).await;
    assert!(state.last_error.is_none(), "no connection was lost for it: {state:?}");
    let refused = set_asides(&*store, "province").await;
    let first = refused[0].0;
    assert!((50..75).contains(&first), "{first}");
    let expected: Vec<_> = (first..81).map(|seq| (seq, "record_too_large".to_owned())).collect();
    assert_eq!(refused, expected);
    assert_eq!(database.count().await, 82 - expected.len() as i64);
    let remarks = runner.set_asides(1).await.unwrap();
    assert!(remarks[0].remark.contains("max_allowed_packet"), "{}", remarks[0].remark);

    // Raised, as the advice says, it arrives when it is retried; connections that are open keep what they had.
    database.execute("SET GLOBAL max_allowed_packet = 1048576").await;
    runner.stop().await;
    let runner = Runner::start(store.clone(), database.connector(), quick());
    runner.resend(refused.iter().map(|(seq, _)| licence::Seq(*seq)).collect()).await.unwrap();
    until(&runner, |state| state.set_aside == 0 && state.resending == 0).await;
    assert_eq!(database.count().await, 82);
}

/// A limit that not even the statement's text keeps is not the records' fault.
#[tokio::test]
async fn a_server_that_takes_no_statement_at_all_sets_nothing_aside() {
    let maria = Maria::start().await;
    let database = maria.database().await;
    database.ready().await;
    database.execute("SET GLOBAL max_allowed_packet = 1024").await;
    let store = memory();
    issue(&*store, 0, 5).await;
    let settings = ConnectorSettings { create_tables: None, ..database.settings() };
    let runner = Runner::start(store.clone(), open(&settings), quick());
    let state = until(&runner, |state| state.is_failing()).await;
    assert_eq!(state.last_error.unwrap().code, "record_too_large");
    assert!(set_asides(&*store, "province").await.is_empty());
    database.execute("SET GLOBAL max_allowed_packet = 16777216").await;
    runner.stop().await;
    let runner = Runner::start(store.clone(), open(&settings), quick());
    caught_up(&runner, &*store).await;
    assert_eq!(database.count().await, 5);
}
