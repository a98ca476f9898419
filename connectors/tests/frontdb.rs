//! The `frontdb` connector against a real PostgreSQL.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use connectors::{
    Batch, Connector, ConnectorSettings, Delivered, DeliveryError, Runner, RunnerSettings,
    local_postgres::{LocalPostgres, Options, TlsListener},
    rules::{connector_rules, samples},
};
use indexes::{LicenceStore, MemoryStore, RocksOptions, RocksStore};
use licence::{
    Holder, HolderId, HolderKind, Licence, LicenceStatus, LicenceTypeCode, RevocationCause, Seq,
    StatusChange,
};
use support::{
    caught_up, change,
    city::Authority,
    cursor, issue, issue_of, issue_this,
    province::{Province, Schema, open, programs},
    quick, set_asides, until,
};
use tempfile::TempDir;

fn memory() -> Arc<dyn LicenceStore> {
    Arc::new(MemoryStore::new())
}

async fn schema() -> Schema {
    Province::start().await.schema().await
}

#[tokio::test]
async fn keeps_the_rules_of_connectors() {
    let province = Province::start().await;
    connector_rules(|| province.schema()).await;
}

#[tokio::test]
async fn each_change_is_one_row() {
    let schema = schema().await;
    let store = memory();
    let licences = issue(&*store, 0, 2).await;
    change(&*store, &licences[0], StatusChange::Suspend).await;
    change(&*store, &licences[0], StatusChange::Restore).await;
    change(&*store, &licences[1], StatusChange::Revoke { cause: RevocationCause::Withdrawn }).await;
    let runner = Runner::start(store.clone(), schema.connector(), quick());
    caught_up(&runner, &*store).await;

    let rows = schema
        .texts(
            "SELECT right(row_guid, 2) || ' ' || cd_operation || ' ' || right(certificate_number, 2) || ' ' || \
             certificate_holder_code || ' ' || data_source || ' ' || length(cd_batch) FROM up_lic_data ORDER BY row_guid",
        )
        .await;
    assert_eq!(
        rows,
        [
            "00 I 0号 11010519491231002X 001 32",
            "01 I 1号 11010519491231002X 001 32",
            "02 D 0号 11010519491231002X 001 32",
            "03 I 0号 11010519491231002X 001 32",
            "04 D 1号 11010519491231002X 001 32",
        ]
    );
    assert!(runner.reconcile().await.unwrap().agrees);
}

#[tokio::test]
async fn times_are_beijing_time() {
    let schema = schema().await;
    schema
        .ready()
        .await
        .deliver(&Batch::new("province", 0, vec![samples::issued(0)]))
        .await
        .unwrap();
    assert_eq!(
        schema.texts("SELECT cd_time::text FROM up_lic_data").await,
        ["2025-03-01 09:30:00"]
    );
}

#[tokio::test]
async fn values_that_do_not_fit_are_set_aside_by_column() {
    let schema = schema().await;
    let connector = schema.ready().await;
    let spoil = |seq, act: fn(&mut Licence)| {
        let mut licence = samples::licence(seq, samples::types()[0]);
        act(&mut licence);
        samples::of_licence(seq, licence)
    };
    let items = vec![
        samples::issued(0),
        spoil(1, |licence| licence.name = "照".repeat(513)),
        spoil(2, |licence| licence.name = "照".repeat(256)),
        spoil(3, |licence| licence.holders[0].name = "a\0b".to_owned()),
        spoil(4, |licence| licence.holders[0].name = "a^b".to_owned()),
        spoil(5, |licence| licence.number = "9".repeat(129)),
        spoil(6, |licence| licence.number = String::new()),
        spoil(7, |licence| licence.region = None),
        spoil(8, |licence| licence.issuer_name = "𠮷".repeat(256)),
    ];
    let delivered = connector.deliver(&Batch::new("province", 0, items)).await.unwrap();
    let refused: Vec<(u64, &str, &str)> =
        delivered.refused.iter().map(|r| (r.seq.0, r.code.as_str(), r.remark.as_str())).collect();
    assert_eq!(
        refused,
        [
            (1, "value_too_long", "the value for certificate_name is longer than the element"),
            (3, "value_has_nul", "the value for certificate_holder holds a NUL character"),
            (4, "value_has_separator", "a value for certificate_holder holds the separator"),
            (5, "value_too_long", "the value for certificate_number is longer than the element"),
        ]
    );
    let empty = schema.texts("SELECT certificate_number || certificate_area_code FROM up_lic_data WHERE row_guid LIKE '%6' OR row_guid LIKE '%7' ORDER BY 1").await;
    assert_eq!(empty, ["/430100", "湘样本字第7号/"]);
    assert_eq!(schema.count().await, 5);
}

#[tokio::test]
async fn several_holders_are_joined() {
    let schema = schema().await;
    let mut licence = samples::licence(0, samples::types()[0]);
    let id = |kind, number| HolderId::parse(HolderKind::from_code(kind).unwrap(), number).unwrap();
    licence
        .holders
        .push(Holder { name: "样本公司".to_owned(), id: id("001", "91350100M000100Y43") });
    let store = memory();
    issue_this(&*store, &licence).await;
    let runner = Runner::start(store.clone(), schema.connector(), quick());
    caught_up(&runner, &*store).await;
    let row = schema
        .texts("SELECT certificate_holder || '|' || certificate_holder_code || '|' || certificate_holder_type FROM up_lic_data")
        .await;
    assert_eq!(row, ["样本持证人^样本公司|11010519491231002X^91350100M000100Y43|111^001"]);
}

#[tokio::test]
async fn sending_goes_on_when_the_database_comes_back() {
    let schema = schema().await;
    let store = memory();
    issue(&*store, 0, 50).await;
    let runner = Runner::start(store.clone(), schema.connector(), quick());
    caught_up(&runner, &*store).await;
    schema.province.stop().await;
    issue(&*store, 50, 50).await;
    let state = until(&runner, |state| state.is_failing() && state.lag == 50).await;
    assert_eq!(state.last_error.unwrap().code, "connect_failed");
    assert_eq!(state.cursor, Seq(50));
    schema.province.start_again().await;
    caught_up(&runner, &*store).await;
    assert_eq!(schema.count().await, 100);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_given_up() {
    // One that accepts the connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = ConnectorSettings {
        host: Some("127.0.0.1".to_owned()),
        port: Some(silent.local_addr().unwrap().port()),
        timeout_ms: Some(200),
        ..elsewhere()
    };
    let batch = Batch::new("province", 0, vec![samples::issued(0)]);
    let error = open(&settings).deliver(&batch).await.unwrap_err();
    assert!(
        matches!(error, DeliveryError::Unreachable(_)) && error.code() == "timed_out",
        "{error}"
    );

    // One whose table is locked by somebody else, for a while.
    let schema = schema().await;
    schema.ready().await;
    let connector = open(&ConnectorSettings {
        timeout_ms: Some(200),
        create_tables: None,
        ..schema.settings()
    });
    let other = schema.client().await;
    other.batch_execute("BEGIN; LOCK TABLE up_lic_data IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let error = connector.deliver(&batch).await.unwrap_err();
    assert!(
        matches!(error, DeliveryError::Unreachable(_)) && error.code() == "timed_out",
        "{error}"
    );
    other.batch_execute("COMMIT").await.unwrap();
    connector.deliver(&batch).await.unwrap();
    assert_eq!(schema.count().await, 1);
}

fn elsewhere() -> ConnectorSettings {
    ConnectorSettings {
        name: "province".to_owned(),
        kind: "frontdb".to_owned(),
        user: Some("postgres".to_owned()),
        database: Some("postgres".to_owned()),
        ..ConnectorSettings::default()
    }
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_batch_leaves_nothing_of_it() {
    let schema = schema().await;
    schema.ready().await;
    // The 30th row of the first attempt ends the connection from the server's side, in the middle of the INSERT.
    schema
        .execute(
            "CREATE SEQUENCE inserted;
             CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('inserted') = 30 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER cut BEFORE INSERT ON up_lic_data FOR EACH ROW EXECUTE FUNCTION cut()",
        )
        .await;
    let connector = schema.connector();
    let batch = Batch::new("province", 0, (0..100).map(samples::issued).collect());
    let error = connector.deliver(&batch).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)), "{error}");
    assert_eq!(schema.count().await, 0);

    connector.deliver(&batch).await.unwrap();
    assert_eq!(schema.count().await, 100);
}

/// Delivers for real and then does not come back: the hub dies between delivery and saving the cursor.
struct DiesAfterDelivery(Box<dyn Connector>);

#[async_trait]
impl Connector for DiesAfterDelivery {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        self.0.deliver(batch).await?;
        std::future::pending().await
    }

    async fn counts(&self) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
        self.0.counts().await
    }

    fn preview(&self, batch: &Batch) -> Result<connectors::Preview, DeliveryError> {
        self.0.preview(batch)
    }
}

#[tokio::test]
async fn a_crash_between_delivery_and_cursor_makes_no_doubles() {
    let schema = schema().await;
    let store = memory();
    issue(&*store, 0, 80).await;
    let dying = Box::new(DiesAfterDelivery(schema.ready().await));
    let runner = Runner::start(store.clone(), dying, quick());
    while schema.count().await < 80 {
        tokio::task::yield_now().await;
    }
    runner.stop().await;
    assert_eq!(cursor(&store, "province").await, None);

    // More came meanwhile: the next batch is another, with the old records in it.
    issue(&*store, 80, 10).await;
    let runner = Runner::start(store.clone(), schema.connector(), quick());
    caught_up(&runner, &*store).await;
    assert_eq!(schema.count().await, 90);
    assert!(runner.reconcile().await.unwrap().agrees);
}

#[tokio::test]
async fn a_record_the_database_refuses_is_found_and_set_aside() {
    let schema = schema().await;
    schema.ready().await;
    schema
        .execute("ALTER TABLE up_lic_data ADD CHECK (right(row_guid, 3) NOT IN ('007', '063'))")
        .await;
    schema.execute("ALTER TABLE up_lic_data ALTER certificate_number TYPE varchar(9)").await;
    let store = memory();
    issue(&*store, 0, 120).await;
    let runner = Runner::start(store.clone(), schema.connector(), quick());
    caught_up(&runner, &*store).await;
    // From number 1000 on the licence number has ten characters, one more than this table allows.
    issue(&*store, 1_000, 1).await;
    caught_up(&runner, &*store).await;
    let refused = "value_refused".to_owned();
    assert_eq!(
        set_asides(&*store, "province").await,
        [(7, refused.clone()), (63, refused.clone()), (120, refused)]
    );
    assert_eq!(schema.count().await, 118);
    for record in runner.set_asides(10).await.unwrap() {
        assert!(
            !record.remark.contains(samples::CITIZEN) && record.remark.contains("SQLSTATE"),
            "{}",
            record.remark
        );
    }
}

#[tokio::test]
async fn a_missing_table_is_told_and_waited_for() {
    let schema = schema().await;
    let settings = ConnectorSettings { create_tables: None, ..schema.settings() };
    let store = memory();
    issue(&*store, 0, 5).await;
    let runner = Runner::start(store.clone(), open(&settings), quick());
    let state = until(&runner, |state| state.is_failing()).await;
    let error = state.last_error.unwrap();
    assert_eq!(error.code, "table_missing");
    assert!(
        error.message.contains(&schema.name) && error.advice.contains("create_tables"),
        "{error:?}"
    );

    schema.ready().await; // somebody makes the tables
    caught_up(&runner, &*store).await;
    assert_eq!(schema.count().await, 5);
}

#[tokio::test]
async fn many_hubs_may_create_the_tables_at_once() {
    let schema = schema().await;
    let connectors: Vec<_> = (0..12).map(|_| schema.connector()).collect();
    let counts =
        futures_util::future::join_all(connectors.iter().map(|connector| connector.counts())).await;
    for counted in counts {
        assert_eq!(counted.unwrap(), BTreeMap::new());
    }
}

#[tokio::test]
async fn tables_and_rights_that_are_not_as_agreed_are_told() {
    let schema = schema().await;
    schema.ready().await;
    schema.execute("CREATE USER clerk; GRANT USAGE ON SCHEMA test_0 TO clerk").await;
    let batch = Batch::new("province", 0, vec![samples::issued(0)]);
    let as_clerk = ConnectorSettings {
        user: Some("clerk".to_owned()),
        create_tables: None,
        ..schema.settings()
    };
    assert_eq!(open(&as_clerk).deliver(&batch).await.unwrap_err().code(), "right_missing");
    schema.execute("GRANT SELECT, INSERT ON up_lic_data TO clerk").await;
    open(&as_clerk).deliver(&batch).await.unwrap();

    let nobody = ConnectorSettings { user: Some("nobody".to_owned()), ..schema.settings() };
    assert_eq!(open(&nobody).deliver(&batch).await.unwrap_err().code(), "login_refused");
    let nowhere = ConnectorSettings { database: Some("nowhere".to_owned()), ..schema.settings() };
    assert_eq!(open(&nowhere).deliver(&batch).await.unwrap_err().code(), "database_missing");
    let elsewhere = ConnectorSettings { schema: Some("nowhere".to_owned()), ..schema.settings() };
    assert_eq!(open(&elsewhere).deliver(&batch).await.unwrap_err().code(), "table_missing");

    for (sql, what) in [
        (
            "ALTER TABLE up_lic_data DROP CONSTRAINT up_lic_data_pkey",
            "no key to recognise repeats by",
        ),
        ("ALTER TABLE up_lic_data DROP COLUMN issue_date", "a column less"),
    ] {
        schema.execute(sql).await;
        let error = open(&ConnectorSettings { create_tables: None, ..schema.settings() })
            .deliver(&batch)
            .await;
        let error = error.unwrap_err();
        assert!(matches!(error, DeliveryError::Configuration(_)), "{what}");
        assert_eq!(error.code(), "table_differs", "{what}");
    }
}

#[tokio::test]
async fn the_provinces_error_rows_are_read_back_once_each() {
    let schema = schema().await;
    let store = memory();
    issue(&*store, 0, 20).await;
    let runner = Runner::start(store.clone(), schema.connector(), quick());
    caught_up(&runner, &*store).await;
    schema.refuse(3, "证件号码 11010519491231002X 与姓名不符", "localtimestamp").await;
    schema.refuse(4, "颁发机构未备案", "NULL").await;
    schema.refuse(5, "时间有误", "'infinity'").await;
    // Rows that are not ours: another sender's, and one that cannot be read.
    schema
        .execute(
            "INSERT INTO dn_lic_data_error VALUES ('other-00000000000000000001', 'x', 'y', localtimestamp),
             ('province-0000000000000000000x', 'x', 'y', localtimestamp), (NULL, NULL, NULL, NULL)",
        )
        .await;
    until(&runner, |state| state.set_aside == 3).await;
    let records = runner.set_asides(10).await.unwrap();
    let remarks: Vec<&str> = records.iter().map(|record| record.remark.as_str()).collect();
    assert_eq!(remarks, ["证件号码 *** 与姓名不符", "颁发机构未备案", "时间有误"]);
    assert!(records.iter().all(|record| record.code == "error_row"));
    let compared = runner.reconcile().await.unwrap();
    assert_eq!((compared.set_aside, compared.types[0].difference), (3, -3), "refused is not held");
    runner.stop().await;

    let first: Vec<_> = records.iter().map(|record| record.at).collect();
    let runner = Runner::start(store.clone(), schema.connector(), quick());
    schema.refuse(9, "新的一条", "localtimestamp").await;
    until(&runner, |state| state.set_aside == 4).await;
    let again: Vec<_> =
        runner.set_asides(3).await.unwrap().iter().map(|record| record.at).collect();
    assert_eq!(again, first, "not handled again after a restart");
}

#[tokio::test]
async fn more_error_rows_than_one_page_are_all_read() {
    let schema = schema().await;
    let store = memory();
    issue(&*store, 0, 2_500).await;
    let runner = Runner::start(
        store.clone(),
        schema.connector(),
        RunnerSettings { batch: 1_000, ..quick() },
    );
    caught_up(&runner, &*store).await;
    schema
        .execute(
            "INSERT INTO dn_lic_data_error SELECT row_guid, certificate_source_id, '退回', \
             CASE WHEN random() < 0.1 THEN NULL ELSE timestamp '2025-03-01' + (length(row_guid) % 3) * interval '1 s' END \
             FROM up_lic_data",
        )
        .await;
    until(&runner, |state| state.set_aside == 2_500).await;
}

#[tokio::test]
async fn counts_are_ours_alone_and_of_the_latest_change() {
    let schema = schema().await;
    let [first, second] = samples::types();
    let connector = schema.ready().await;
    let items = vec![samples::issued(9), samples::issued_of(10, second)];
    connector.deliver(&Batch::new("province", 0, items.clone())).await.unwrap();
    let deleted = samples::changed(100, &items[0], LicenceStatus::Valid, LicenceStatus::Suspended);
    connector.deliver(&Batch::new("province", 0, vec![deleted])).await.unwrap();
    // Another hub in the same table, whose name begins alike.
    let other = ConnectorSettings { name: "province-2".to_owned(), ..schema.settings() };
    open(&other).deliver(&Batch::new("province-2", 0, vec![samples::issued(0)])).await.unwrap();
    assert_eq!(connector.counts().await.unwrap(), BTreeMap::from([(second, 1)]));
    assert_eq!(open(&other).counts().await.unwrap(), BTreeMap::from([(first, 1)]));

    // The province does not take the deletion: it holds the licence still.
    schema.refuse(100, "不能删除", "localtimestamp").await;
    assert_eq!(connector.counts().await.unwrap(), BTreeMap::from([(first, 1), (second, 1)]));
}

#[tokio::test]
async fn a_database_elsewhere_is_reached_by_tls_with_a_password() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let authority = Authority::new("province");
    let server = authority.server("127.0.0.1");
    let port = free_port();
    let tls = TlsListener { port, certificate: server.certificate, key: server.key };
    let options = Options { tls: Some(tls) };
    let postgres = LocalPostgres::start_with(data.path(), &programs(), &options).await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(&postgres.connection(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE ROLE hub LOGIN SUPERUSER PASSWORD 'right'").await.unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Some(path)
    };
    let settings = ConnectorSettings {
        name: "province".to_owned(),
        kind: "frontdb".to_owned(),
        host: Some("127.0.0.1".to_owned()),
        port: Some(port),
        user: Some("hub".to_owned()),
        database: Some("postgres".to_owned()),
        password_file: file("right", "right\n"),
        ca: file("ca.pem", &authority.pem),
        create_tables: Some(true),
        ..ConnectorSettings::default()
    };
    let batch = Batch::new("province", 0, vec![samples::issued(0)]);
    open(&settings).deliver(&batch).await.unwrap();
    let protected: bool = client
        .query_one("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL", &[])
        .await
        .map(|row| row.get::<_, Option<bool>>(0).unwrap_or(true))
        .unwrap();
    assert!(protected);

    let other = file("other.pem", &Authority::new("other").pem);
    for (wrong, code) in [
        (ConnectorSettings { ca: other, ..settings.clone() }, "tls_failed"),
        (
            ConnectorSettings { password_file: file("wrong", "wrong"), ..settings.clone() },
            "login_refused",
        ),
        (ConnectorSettings { password_file: None, ..settings.clone() }, "login_impossible"),
        (
            ConnectorSettings { password_file: Some("/nowhere".into()), ..settings.clone() },
            "file_unreadable",
        ),
        // The server lets nobody in without TLS.
        (ConnectorSettings { ca: None, ..settings.clone() }, "login_refused"),
    ] {
        let error = open(&wrong).deliver(&batch).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Configuration(_)), "{error:?}");
        assert_eq!(error.code(), code, "{error}");
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// From the durable store into the database, with a restart of the hub in the middle.
#[tokio::test]
async fn from_rocksdb_to_postgresql_and_back_in_numbers() {
    let schema = schema().await;
    let folder = TempDir::new().unwrap();
    let [_, second] = samples::types();
    let open_store = || -> Arc<dyn LicenceStore> {
        Arc::new(RocksStore::open(folder.path(), RocksOptions::default()).unwrap())
    };
    let store = open_store();
    let licences = issue(&*store, 0, 3_000).await;
    issue_of(&*store, 3_000, 500, second).await;
    let settings = || RunnerSettings { batch: 250, ..quick() };
    let runner = Runner::start(store.clone(), schema.connector(), settings());
    until(&runner, |state| state.cursor >= Seq(1_000)).await;
    runner.pause().await.unwrap();
    runner.stop().await;
    let reached = cursor(&store, "province").await.unwrap();
    drop((runner, store));

    let store = open_store();
    for identifier in &licences[..40] {
        change(&*store, identifier, StatusChange::Suspend).await;
    }
    change(&*store, &licences[0], StatusChange::Restore).await;
    let runner = Runner::start(store.clone(), schema.connector(), settings());
    let state = until(&runner, |state| state.paused).await;
    assert_eq!(state.cursor, reached, "a pause and the cursor outlive a restart");
    runner.resume().await.unwrap();
    caught_up(&runner, &*store).await;
    assert_eq!(schema.count().await, 3_541);
    let compared = runner.reconcile().await.unwrap();
    assert!(compared.agrees, "{compared:?}");
    assert_eq!(compared.types.iter().map(|count| count.ours).sum::<u64>(), 3_461);
    runner.stop().await;
}

/// How fast the feed goes from the durable store into the database. The bound is low enough for a busy machine; the
/// figure is printed.
#[tokio::test]
async fn records_flow_by_the_thousand_a_second() {
    const RECORDS: u64 = 20_000;
    let schema = schema().await;
    schema.ready().await;
    let folder = TempDir::new().unwrap();
    let store: Arc<dyn LicenceStore> =
        Arc::new(RocksStore::open(folder.path(), RocksOptions::default()).unwrap());
    issue(&*store, 0, RECORDS).await;
    let started = std::time::Instant::now();
    let runner = Runner::start(store.clone(), schema.connector(), RunnerSettings::default());
    caught_up(&runner, &*store).await;
    let rate = RECORDS as f64 / started.elapsed().as_secs_f64();
    println!("frontdb: {rate:.0} records a second");
    assert_eq!(schema.count().await, RECORDS as i64);
    assert!(rate > 1_000.0, "{rate:.0} records a second");
    runner.stop().await;
}

#[tokio::test]
async fn both_sides_compute_the_same_marks() {
    let schema = schema().await;
    support::marks::agree(&*schema.ready().await).await;
    let connector = schema.connector();
    let before = connector.tallies().await.unwrap().unwrap();
    schema
        .execute("UPDATE up_lic_data SET issue_dept = '别处' WHERE row_guid = 'province-00000000000000000003'")
        .await;
    let after = connector.tallies().await.unwrap().unwrap();
    assert_eq!(before.iter().filter(|(bucket, tally)| after[*bucket] != **tally).count(), 1);
}

#[tokio::test]
async fn a_code_map_says_what_is_sent_and_what_was_sent_otherwise_is_corrected() {
    let folder = TempDir::new().unwrap();
    let schema = schema().await;
    let standard = schema.ready().await;
    schema.execute("ALTER TABLE up_lic_data ADD valid_until date").await;
    let batch = Batch::new("province", 0, vec![samples::issued(0), samples::issued(1)]);
    standard.deliver(&batch).await.unwrap();
    let map = folder.path().join("map.json");
    std::fs::write(&map, support::marks::SMALL_MAP).unwrap();
    let settings = ConnectorSettings { code_map: Some(map.clone()), ..schema.settings() };
    let mapped = open(&settings);
    mapped.deliver(&batch).await.unwrap();
    let rows = schema
        .texts(
            "SELECT concat_ws(' ', right(row_guid, 1), cd_operation, certificate_holder, certificate_holder_type, \
             issue_date, valid_until, data_source) FROM up_lic_data ORDER BY 1",
        )
        .await;
    assert_eq!(rows, ["0 1 - 01 20250301 2099-12-31 001", "1 1 - 01 20250301 2099-12-31 001"]);
    assert_eq!(mapped.counts().await.unwrap(), BTreeMap::from([(samples::types()[0], 2)]));
    support::marks::compare(&*mapped, &batch.items).await;

    // What a preview shows is what is there; a map that is none stops everything and changes nothing.
    let preview = mapped.preview(&batch).unwrap();
    assert!(preview.parts[0].text.contains("certificate_holder: -\n"), "{}", preview.parts[0].text);
    assert!(preview.parts[0].text.contains("cd_time: 2025-03-01 09:30:00\n"));
    std::fs::write(&map, support::marks::SMALL_MAP.replace("valid_until", "row_guid")).unwrap();
    let error = mapped.deliver(&batch).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Configuration(_)), "{error}");
    assert_eq!(error.code(), "file_unusable");
}

#[tokio::test]
async fn rows_that_are_there_already_are_left_alone_when_they_are_equal() {
    let schema = schema().await;
    let connector = schema.ready().await;
    let items: Vec<_> = (0..30).map(samples::issued).collect();
    connector.deliver(&Batch::new("province", 0, items.clone())).await.unwrap();
    let rows =
        "SELECT ctid::text || xmin::text || cd_batch FROM up_lic_data ORDER BY row_guid LIMIT 30";
    let before = schema.texts(rows).await;
    let more = items.into_iter().chain((30..40).map(samples::issued)).collect();
    connector.deliver(&Batch::new("province", 1, more)).await.unwrap();
    assert_eq!(schema.texts(rows).await, before);
    assert_eq!(schema.count().await, 40);
}

#[tokio::test]
async fn a_view_in_place_of_the_table_takes_rows_too() {
    let schema = schema().await;
    schema.ready().await;
    schema
        .execute(
            "ALTER TABLE up_lic_data RENAME TO kept;
             CREATE VIEW up_lic_data AS SELECT * FROM kept WHERE data_source = '001'",
        )
        .await;
    let connector = open(&ConnectorSettings { create_tables: None, ..schema.settings() });
    let batch = Batch::new("province", 0, (0..5).map(samples::issued).collect());
    connector.deliver(&batch).await.unwrap();
    connector.deliver(&batch).await.unwrap();
    assert_eq!(schema.count().await, 5);
}

#[tokio::test]
async fn a_number_that_was_given_out_twice_is_refused_and_overwrites_nothing() {
    let schema = schema().await;
    let connector = schema.ready().await;
    connector.deliver(&Batch::new("province", 0, vec![samples::issued(0)])).await.unwrap();
    let other = samples::of_licence(0, samples::licence(9, samples::types()[0]));
    let error = connector.deliver(&Batch::new("province", 0, vec![other])).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Refused(_)), "{error}");
    assert_eq!(error.code(), "value_refused");
    let held = schema.texts("SELECT certificate_source_id FROM up_lic_data").await;
    assert_eq!(held, [samples::issued(0).identifier().to_string()]);
}
