//! Rows fetched from an exchange database in MariaDB: in order, in pages, each as it is, refusals told once.

mod support;

use connectors::{
    ConnectorSettings, DeliveryError,
    inbound::{self, Answer, NO_TIME, Opened, Position, Row, Source},
};
use support::maria::{Maria, MariaSchema};

const ELEMENTS: [&str; 4] = ["row_guid", "zzmc", "n", "wj"];

fn source(schema: &MariaSchema) -> Box<dyn Source> {
    let more = serde_json::json!({
        "department": "91350100M000100Y43", "signatures": "unsigned", "table": "rows_out", "error_table": "errors_in",
    });
    let settings = ConnectorSettings {
        name: "market".to_owned(),
        kind: "exchange".to_owned(),
        create_tables: None,
        more: more.as_object().unwrap().clone(),
        ..schema.settings()
    };
    match inbound::check(&settings).unwrap().open() {
        Opened::Rows(source) => source,
        Opened::Files(_) => panic!("a folder of files"),
    }
}

/// A register in this character set.
async fn register(maria: &Maria, charset: &str) -> MariaSchema {
    let schema = maria.database().await;
    schema
        .execute(&format!(
            "CREATE TABLE rows_out (row_guid varchar(300), zzmc mediumtext, n decimal(10,2), wj longblob, cd_time datetime)
             DEFAULT CHARACTER SET {charset}"
        ))
        .await;
    schema
        .execute(&format!(
            "CREATE TABLE errors_in (row_guid varchar(200), certificate_source_id varchar(128), error_remark text,
             error_time datetime(6), KEY (row_guid)) DEFAULT CHARACTER SET {charset}"
        ))
        .await;
    schema
}

/// All rows, in pages of so many.
async fn all(source: &dyn Source, limit: usize) -> (Vec<Row>, usize) {
    let (mut rows, mut pages, mut after) = (Vec::<Row>::new(), 0, Position::default());
    loop {
        let page = source.fetch(&after, limit, &ELEMENTS).await.unwrap();
        pages += 1;
        let Some(last) = page.rows.last() else { return (rows, pages) };
        assert!(last.position > after);
        after = last.position.clone();
        rows.extend(page.rows);
        if !page.more {
            return (rows, pages);
        }
    }
}

fn keys(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.key.as_str()).collect()
}

#[tokio::test]
async fn rows_come_once_each_in_order_of_time_and_key_whatever_the_collation() {
    let maria = Maria::start().await;
    for charset in ["utf8mb4", "gbk COLLATE gbk_chinese_ci", "utf8mb3"] {
        let schema = register(&maria, charset).await;
        schema
            .execute(
                "INSERT INTO rows_out VALUES
                 ('b', '许可证', 7, '{}', '2026-03-01 09:00:02'), ('a ', NULL, NULL, NULL, '2026-03-01 09:00:01'),
                 ('A', '二', 1.5, 0xFF, '2026-03-01 09:00:01'), ('a', '三', 1, '', '2026-03-01 09:00:01'),
                 (NULL, 'x', 1, '', '2026-03-01 09:00:01'), ('old', 'x', 1, '', '1950-01-01'),
                 ('never', 'x', 1, '', NULL), ('future', 'x', 1, '', '2999-01-01'),
                 ('证', 'x', 1, '', '2026-03-01 09:00:01')",
            )
            .await;
        let source = source(&schema);
        let expected = ["old", "A", "a", "a ", "证", "b", "future", "never"];
        for limit in [1, 2, 100] {
            let (rows, _) = all(&*source, limit).await;
            assert_eq!(keys(&rows), expected, "{charset}, {limit} at a time");
            assert_eq!(rows[0].position.micros, 0);
            assert_eq!(rows[1].position.micros, 1_772_355_601_000_000);
            assert_eq!(rows[7].position.micros, NO_TIME);
        }
        let (rows, pages) = all(&*source, 100).await;
        assert_eq!(pages, 1);
        let elements = |place: usize| rows[place].elements.as_ref().unwrap();
        assert_eq!(elements(5)["zzmc"], "许可证");
        assert_eq!(elements(5)["wj"], "{}");
        assert_eq!(elements(5)["n"], "7.00");
        assert_eq!((elements(3)["zzmc"].as_str(), elements(3)["n"].as_str()), ("", ""));
        assert_eq!(rows[1].elements, Err("row_unreadable"));
        let page = source.fetch(&Position::default(), 1, &ELEMENTS).await.unwrap();
        assert!(rows[5].position.micros < page.now_micros);
        assert!(page.now_micros < rows[6].position.micros);
    }
}

#[tokio::test]
async fn pages_are_bounded_in_bytes_and_a_row_that_is_too_large_is_told_as_that() {
    let maria = Maria::start().await;
    let schema = register(&maria, "utf8mb4").await;
    schema
        .execute(
            "INSERT INTO rows_out SELECT concat('r', seq), repeat('x', 900000), 1, '', '2026-03-01 08:00:00'
             FROM seq_10_to_34",
        )
        .await;
    schema
        .execute("INSERT INTO rows_out VALUES ('r20a', repeat('x', 2000000), 1, '', '2026-03-01 08:00:00')")
        .await;
    schema
        .execute(
            "INSERT INTO rows_out VALUES (repeat('k', 300), 'x', 1, '', '2026-03-01 07:00:00')",
        )
        .await;
    let source = source(&schema);
    let first = source.fetch(&Position::default(), 1_000, &ELEMENTS).await.unwrap();
    assert!(first.more && first.rows.len() < 12, "{} rows", first.rows.len());
    let (rows, pages) = all(&*source, 1_000).await;
    assert_eq!((rows.len(), pages), (27, 3));
    assert_eq!(rows[0].key, "k".repeat(200));
    let large: Vec<_> = rows.iter().filter(|row| row.elements.is_err()).collect();
    assert_eq!(keys(&large.into_iter().cloned().collect::<Vec<_>>()), ["r20a"]);
}

#[tokio::test]
async fn what_is_told_is_told_once_and_all_of_it_or_none() {
    let maria = Maria::start().await;
    let schema = register(&maria, "utf8mb4").await;
    let source = source(&schema);
    let answer = |key: &str, remark: &str| Answer {
        key: key.to_owned(),
        identifier: Some("标".repeat(200)),
        code: "value_unmapped".to_owned(),
        remark: remark.to_owned(),
    };
    for _ in 0..2 {
        let answers = [answer("a", "x"), answer("A", "x"), answer("a ", "x"), answer("a", "y")];
        source.answer(&answers).await.unwrap();
    }
    let told =
        "SELECT concat('<', row_guid, '> ', error_remark, ' ', char_length(certificate_source_id),
                error_time IS NOT NULL) FROM errors_in ORDER BY hex(row_guid), error_remark";
    assert_eq!(
        schema.texts(told).await,
        [
            "<A> value_unmapped: x 1281",
            "<a> value_unmapped: x 1281",
            "<a> value_unmapped: y 1281",
            "<a > value_unmapped: x 1281"
        ]
    );
    // One that does not fit keeps the others of its page out, which come again with it.
    let error = source.answer(&[answer("b", "x"), answer(&"k".repeat(201), "x")]).await;
    let Err(DeliveryError::Configuration(problem)) = error else { panic!("{error:?}") };
    assert_eq!(problem.code(), "value_refused");
    assert_eq!(schema.texts(told).await.len(), 4);
}

#[tokio::test]
async fn tables_that_are_missing_or_differ_are_told_and_found_when_they_are_mended() {
    let maria = Maria::start().await;
    let schema = maria.database().await;
    let source = source(&schema);
    let start = Position::default();
    let code = |found: Result<inbound::Page, DeliveryError>| found.unwrap_err().code();
    assert_eq!(code(source.fetch(&start, 9, &ELEMENTS).await), "table_missing");
    schema.execute("CREATE TABLE rows_out (row_guid varchar(50), zzmc text, n int, wj text)").await;
    assert_eq!(code(source.fetch(&start, 9, &ELEMENTS).await), "table_differs", "no cd_time");
    schema.execute("ALTER TABLE rows_out ADD cd_time datetime(3)").await;
    assert!(source.fetch(&start, 9, &ELEMENTS).await.unwrap().rows.is_empty());
    schema
        .execute("INSERT INTO rows_out VALUES ('a', 'x', 1, 'y', '2026-03-01 09:00:01.25')")
        .await;
    let page = source.fetch(&start, 9, &ELEMENTS).await.unwrap();
    assert_eq!(page.rows[0].position.micros, 1_772_355_601_250_000);
    assert_eq!(code(source.fetch(&start, 9, &["other"]).await), "table_differs");
    let answer = Answer {
        key: "a".to_owned(),
        identifier: None,
        code: "x".to_owned(),
        remark: "y".to_owned(),
    };
    let told = source.answer(&[answer]).await.unwrap_err();
    assert_eq!(told.code(), "table_missing");
}
