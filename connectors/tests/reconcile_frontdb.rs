//! Comparing with a real exchange database: what was lost, changed or added over there is found record by record, sent
//! again, and equal afterwards.

mod support;

use std::sync::Arc;

use connectors::{
    Bucket, Connector, DifferenceKind, Reconciliation, Runner, RunnerHandle, RunnerSettings,
    rules::samples,
};
use indexes::{LicenceStore, MemoryStore};
use jiff::civil::{Date, date};
use licence::{LicenceId, StatusChange};
use support::{
    caught_up, change, issue_this,
    maria::{Maria, MariaSchema},
    province::{Province, Schema},
    quick, until,
};

enum Database {
    Postgres(Schema),
    Maria(MariaSchema),
}

impl Database {
    async fn both() -> [Self; 2] {
        [
            Self::Postgres(Province::start().await.schema().await),
            Self::Maria(Maria::start().await.database().await),
        ]
    }

    async fn ready(&self) -> Box<dyn Connector> {
        match self {
            Self::Postgres(schema) => schema.ready().await,
            Self::Maria(schema) => schema.ready().await,
        }
    }

    async fn execute(&self, sql: &str) {
        match self {
            Self::Postgres(schema) => schema.execute(sql).await,
            Self::Maria(schema) => schema.execute(sql).await,
        }
    }
}

const RECORDS: u64 = 5_000;

/// Three days; serials of different lengths, of digits and letters.
async fn licences(store: &dyn LicenceStore) -> Vec<(LicenceId, Date)> {
    let mut made = Vec::new();
    for number in 0..RECORDS {
        let mut licence = samples::licence(number, samples::types()[0]);
        let serial = match number % 3 {
            0 => format!("{number:07}"),
            1 => format!("{number:07}A"),
            _ => format!("A{number:07}0"),
        };
        let identifier = LicenceId::build(&licence.licence_type, &licence.issuer, &serial, 1);
        licence.identifier = identifier.unwrap();
        licence.issued_on = date(2025, 3, 1 + i8::try_from(number % 5 / 2).unwrap());
        issue_this(store, &licence).await;
        made.push((licence.identifier, licence.issued_on));
    }
    made
}

fn guid(seq: u64) -> String {
    format!("'province-{seq:020}'")
}

/// What was found is sent again and taken; compared again.
async fn mended(runner: &RunnerHandle, found: &Reconciliation) -> Reconciliation {
    runner.resend(found.to_resend()).await.unwrap();
    until(runner, |state| state.resending == 0 && state.next_attempt.is_none()).await;
    runner.reconcile().await.unwrap()
}

fn counts(found: &Reconciliation) -> (u64, u64, u64) {
    (found.missing, found.extra, found.different)
}

#[tokio::test]
async fn what_was_lost_changed_or_added_over_there_is_found_sent_again_and_equal() {
    for database in Database::both().await {
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        let connector = database.ready().await;
        let made = licences(&*store).await;
        let suspended = &made[4_321].0;
        change(&*store, suspended, StatusChange::Suspend).await;
        let settings = RunnerSettings { batch: 1_000, ..quick() };
        let runner = Runner::start(store.clone(), connector, settings);
        caught_up(&runner, &*store).await;
        let found = runner.reconcile().await.unwrap();
        assert!(found.agrees && found.buckets_differing == 0, "{found:?}");

        // Lost: 40 rows. Tampered with: 30. Added: one that we do not have, and one that we took back.
        let guids = |numbers: std::ops::Range<u64>| numbers.map(guid).collect::<Vec<_>>().join(",");
        database
            .execute(&format!("DELETE FROM up_lic_data WHERE row_guid IN ({})", guids(100..140)))
            .await;
        database
            .execute(&format!(
                "UPDATE up_lic_data SET issue_dept = '别处' WHERE row_guid IN ({})",
                guids(2_000..2_030)
            ))
            .await;
        let last = guid(RECORDS);
        database.execute(&format!("DELETE FROM up_lic_data WHERE row_guid = {last}")).await;
        let unknown = samples::licence(999_999, samples::types()[0]).identifier;
        let columns = "certificate_name, certificate_type, certificate_type_code, certificate_number, \
                       certificate_holder, certificate_holder_code, certificate_holder_type, certificate_area_code, \
                       issue_dept, issue_dept_code, issue_date, cd_batch, cd_operation, cd_time, data_source";
        let added = guid(900_000);
        database
            .execute(&format!(
                "INSERT INTO up_lic_data (row_guid, certificate_source_id, {columns})
                 SELECT {added}, '{unknown}', {columns} FROM up_lic_data WHERE row_guid = {}",
                guid(0)
            ))
            .await;
        let found = runner.reconcile().await.unwrap();
        assert_eq!(counts(&found), (40, 2, 30));
        assert!(found.complete && !found.agrees);
        let extra: Vec<_> = found
            .records
            .iter()
            .filter(|one| one.what == DifferenceKind::Extra)
            .map(|one| (&one.identifier, one.seq.map(|seq| seq.0)))
            .collect();
        assert!(extra.contains(&(suspended, Some(RECORDS))) && extra.contains(&(&unknown, None)));
        assert_eq!(
            found.to_resend().len(),
            71,
            "who knows nothing of a licence sends nothing of it"
        );
        let found = mended(&runner, &found).await;
        assert_eq!(counts(&found), (0, 1, 0), "what we never sent is theirs to remove");
        database.execute(&format!("DELETE FROM up_lic_data WHERE row_guid = {added}")).await;
        assert!(runner.reconcile().await.unwrap().agrees);

        // A whole day is missing.
        let day = date(2025, 3, 3);
        database.execute("DELETE FROM up_lic_data WHERE issue_date = '2025-03-03'").await;
        let mut found = runner.reconcile().await.unwrap();
        let of_day = made.iter().filter(|(_, issued_on)| *issued_on == day).count() as u64;
        assert_eq!(of_day, 1_000);
        assert_eq!(found.buckets_differing, 1);
        // As many as a report holds at a time.
        let mut rounds = 0;
        while !found.agrees && rounds < 5 {
            assert!(found.missing > 0 && found.extra == 0 && found.different == 0, "{found:?}");
            found = mended(&runner, &found).await;
            rounds += 1;
        }
        assert!(found.agrees, "{:?}", counts(&found));
        runner.stop().await;
    }
}

/// Whatever order the database itself would give them: its collation may pass over the dots.
#[tokio::test]
async fn holdings_come_in_byte_order_whatever_the_collation() {
    for database in Database::both().await {
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        let connector = database.ready().await;
        database
            .execute(match &database {
                Database::Postgres(_) => {
                    "ALTER TABLE up_lic_data ALTER certificate_source_id TYPE varchar(128) COLLATE \"en-x-icu\""
                }
                Database::Maria(_) => {
                    "ALTER TABLE up_lic_data MODIFY certificate_source_id varchar(128)
                     CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL"
                }
            })
            .await;
        let mut expected = Vec::new();
        for serial in
            ["1234567", "12345678", "1234567A", "123456700", "A234567", "12345670", "Z0000001"]
        {
            let mut licence = samples::licence(0, samples::types()[0]);
            let identifier = LicenceId::build(&licence.licence_type, &licence.issuer, serial, 1);
            licence.identifier = identifier.unwrap();
            issue_this(&*store, &licence).await;
            expected.push(licence.identifier);
        }
        let runner = Runner::start(store.clone(), connector, quick());
        caught_up(&runner, &*store).await;
        expected.sort_by_key(ToString::to_string);
        let connector = database.ready().await;
        let bucket = Bucket { licence_type: samples::types()[0], day: date(2025, 3, 1) };
        let mut held: Vec<LicenceId> = Vec::new();
        loop {
            let page = connector.holdings(&bucket, held.last(), 2).await.unwrap();
            if page.is_empty() {
                break;
            }
            held.extend(page.into_iter().map(|holding| holding.identifier));
        }
        assert_eq!(held, expected);
        database
            .execute("DELETE FROM up_lic_data WHERE certificate_source_id LIKE '%12345678%'")
            .await;
        let found = runner.reconcile().await.unwrap();
        assert_eq!(counts(&found), (1, 0, 0));
        assert!(mended(&runner, &found).await.agrees);
        runner.stop().await;
    }
}
