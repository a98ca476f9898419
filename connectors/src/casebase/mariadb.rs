//! The connection to case tables in MariaDB.

use std::collections::BTreeSet;

use jiff::{Timestamp, tz::Offset};
use mysql_async::{
    Conn, Params, Row as SqlRow, TxOpts,
    prelude::{FromValue, Queryable},
};
use tokio::sync::Mutex;

use super::{
    client::{ErrorRow, MOST_REMARK, MOST_TEXT, PAGE, StepRow, TABLES},
    encode::{Row, Value},
};
use crate::{
    DeliveryError, Problem,
    frontdb::{self, mariadb_database::MariaDatabase},
};

/// ER_DUP_ENTRY: what another connection wrote after we looked, or a key that is not ours.
const DUPLICATE: u16 = 1062;
/// ER_LOCK_DEADLOCK: the transaction was rolled back, and can be made again.
const DEADLOCK: u16 = 1213;
/// How often a transaction is made at most.
const ATTEMPTS: usize = 4;

/// A server that takes less than this takes no row at all: that is no case's fault.
const LEAST_BYTES: usize = 4_096;

/// A step without a time comes after all others, as PostgreSQL's `NULLS LAST` has it.
const STEPS: &str = "
    SELECT CONVERT(row_guid USING utf8mb4), CONVERT(project_no USING utf8mb4), CONVERT(step USING utf8mb4),
           COALESCE(LEFT(CONVERT(remark USING utf8mb4), ?), ''), COALESCE(LEFT(CONVERT(items USING utf8mb4), ?), ''),
           COALESCE(CONVERT(certificate_source_id USING utf8mb4), '')
    FROM dn_pro_step WHERE taken IS NULL
    ORDER BY step_time IS NULL, step_time, CONVERT(row_guid USING utf8mb4) COLLATE utf8mb4_bin LIMIT ?";

const TAKE_STEP: &str = "
    UPDATE dn_pro_step SET taken = LOCALTIMESTAMP(0), taken_code = ?, taken_remark = ?
    WHERE row_guid = ? AND taken IS NULL";

const ERRORS: &str = "
    SELECT CONVERT(row_guid USING utf8mb4), COALESCE(LEFT(CONVERT(error_remark USING utf8mb4), ?), '')
    FROM dn_pro_error
    WHERE taken IS NULL AND CONVERT(LEFT(row_guid, CHAR_LENGTH(?)) USING utf8mb4) COLLATE utf8mb4_bin = ?
    ORDER BY CONVERT(row_guid USING utf8mb4) COLLATE utf8mb4_bin LIMIT ?";

const TAKE_ERROR: &str =
    "UPDATE dn_pro_error SET taken = LOCALTIMESTAMP(0) WHERE row_guid = ? AND taken IS NULL";

/// The unique keys of a table that are `row_guid` alone.
const KEYS: &str = "
    SELECT count(*) FROM (
        SELECT index_name FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0
        GROUP BY index_name HAVING count(*) = 1 AND max(lower(column_name)) = 'row_guid') AS fit";

pub(crate) struct Client {
    database: MariaDatabase,
    session: Mutex<Option<Session>>,
}

/// A connection that is set up. Dropping it closes it, and aborts what is not committed.
struct Session {
    connection: Conn,
    /// Tables that were looked at.
    with_key: BTreeSet<&'static str>,
    /// `max_allowed_packet`: bytes of a row that the server takes.
    most_bytes: usize,
}

impl Client {
    pub(crate) fn new(settings: frontdb::Settings) -> Self {
        let schema = include_str!("schema_mariadb.sql");
        let database = MariaDatabase { settings, tables: TABLES, schema };
        Self { database, session: Mutex::new(None) }
    }

    /// Inserts the rows that are not there yet, all or none.
    pub(crate) async fn insert(&self, rows: &[Row]) -> Result<(), DeliveryError> {
        let mut kept = self.session.lock().await;
        // Taken out while in use: when this future is dropped midway, the connection goes with it.
        let mut session = self.ready(kept.take()).await?;
        let larger = |row: &Row| bytes(row) > session.most_bytes;
        if rows.iter().any(larger) {
            let any = session.most_bytes < LEAST_BYTES;
            *kept = Some(session);
            return Err(match any {
                true => DeliveryError::Configuration(Problem::RecordTooLarge),
                false => DeliveryError::Refused(Problem::RecordTooLarge),
            });
        }
        let work = async {
            for row in rows {
                self.look_at_the_table(&mut session, row.table).await?;
            }
            let mut inserted = insert_all(&mut session.connection, rows).await;
            for _ in 1..ATTEMPTS {
                let again = matches!(
                    &inserted,
                    Err(mysql_async::Error::Server(error))
                        if [DUPLICATE, DEADLOCK].contains(&error.code)
                );
                if !again {
                    break;
                }
                // What another connection wrote meanwhile shows now; another key is in the way as before.
                inserted = insert_all(&mut session.connection, rows).await;
            }
            Ok(inserted)
        };
        let inserted = self.database.within(work).await?;
        let inserted = inserted.map_err(|error| self.database.explain(&error));
        if matches!(inserted, Ok(()) | Err(DeliveryError::Refused(_))) {
            *kept = Some(session); // a refused transaction is rolled back, the connection is as good as before
        }
        inserted
    }

    /// Without a unique key on `row_guid`, two processes could each insert a row.
    async fn look_at_the_table(
        &self,
        session: &mut Session,
        table: &'static str,
    ) -> Result<(), DeliveryError> {
        if session.with_key.contains(table) {
            return Ok(());
        }
        let connection = &mut session.connection;
        // A table that is missing is told as that.
        let found: Result<Option<u64>, _> =
            match connection.query_drop(format!("SELECT 1 FROM {table} LIMIT 0")).await {
                Ok(()) => connection.exec_first(KEYS, (table,)).await,
                Err(error) => Err(error),
            };
        if found.map_err(|error| self.database.not_a_record(&error))?.unwrap_or(0) == 0 {
            // As PostgreSQL says of an ON CONFLICT for which there is no key.
            let problem = Problem::TableDiffers { sqlstate: "42P10".to_owned() };
            return Err(DeliveryError::Configuration(problem));
        }
        session.with_key.insert(table);
        Ok(())
    }

    /// Steps that are not taken yet, in order.
    pub(crate) async fn steps(&self) -> Result<Vec<StepRow>, DeliveryError> {
        let rows = self.query(STEPS, (MOST_TEXT, MOST_TEXT, PAGE)).await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(StepRow {
                    row_guid: cell(&mut row, 0)?,
                    project_no: cell(&mut row, 1)?,
                    step: cell(&mut row, 2)?,
                    remark: cell(&mut row, 3)?,
                    items: cell(&mut row, 4)?,
                    licence: cell(&mut row, 5)?,
                })
            })
            .collect()
    }

    /// Marks a step as taken unless it is marked already.
    pub(crate) async fn take_step(
        &self,
        row_guid: &str,
        refused: Option<(&str, &str)>,
    ) -> Result<(), DeliveryError> {
        let (code, remark) = refused.unzip();
        self.query(TAKE_STEP, (code, remark, row_guid)).await.map(drop)
    }

    /// Error rows about rows of ours that are not noted yet.
    pub(crate) async fn errors(&self, prefix: &str) -> Result<Vec<ErrorRow>, DeliveryError> {
        let rows = self.query(ERRORS, (MOST_REMARK, prefix, prefix, PAGE)).await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(ErrorRow { row_guid: cell(&mut row, 0)?, remark: cell(&mut row, 1)? })
            })
            .collect()
    }

    /// Marks an error row as noted.
    pub(crate) async fn take_error(&self, row_guid: &str) -> Result<(), DeliveryError> {
        self.query(TAKE_ERROR, (row_guid,)).await.map(drop)
    }

    async fn query(
        &self,
        statement: &str,
        values: impl Into<Params>,
    ) -> Result<Vec<SqlRow>, DeliveryError> {
        let values = values.into();
        let mut kept = self.session.lock().await;
        let mut session = self.ready(kept.take()).await?;
        let rows = self
            .database
            .within(async { Ok(session.connection.exec(statement, values).await) })
            .await?
            .map_err(|error| self.database.not_a_record(&error))?;
        *kept = Some(session);
        Ok(rows)
    }

    /// A session that is open: the one that was kept if it still answers, or a new one.
    async fn ready(&self, kept: Option<Session>) -> Result<Session, DeliveryError> {
        if let Some(mut session) = kept {
            // Whether a connection is open shows only when it is used; what was asked for would then be in doubt.
            let answers = async { Ok(session.connection.ping().await.is_ok()) };
            if matches!(self.database.within(answers).await, Ok(true)) {
                return Ok(session);
            }
        }
        let mut connection = self.database.within(self.database.connect()).await?;
        let most_bytes = self.database.most_bytes(&mut connection).await?;
        Ok(Session { connection, with_key: BTreeSet::new(), most_bytes })
    }
}

/// Bytes of the statement that inserts a row, or a few more.
fn bytes(row: &Row) -> usize {
    let value = |value: &Value| match value {
        Value::Text(text) => text.len() + 16,
        Value::Bytes(bytes) => bytes.len() + 16,
        Value::Number(_) | Value::Time(_) => 32,
    };
    1_024 + row.values.iter().map(|(_, one)| value(one)).sum::<usize>()
}

/// Looks first and inserts then: `ON DUPLICATE KEY UPDATE` would need the right to update, and `INSERT IGNORE` would
/// swallow more than repeats.
async fn insert_all(connection: &mut Conn, rows: &[Row]) -> Result<(), mysql_async::Error> {
    let mut transaction = connection.start_transaction(TxOpts::default()).await?;
    for row in rows {
        let guid = row.values.iter().find_map(|(column, value)| match value {
            Value::Text(text) if *column == "row_guid" => Some(text.as_str()),
            _ => None,
        });
        let look = format!("SELECT row_guid FROM {} WHERE row_guid = ?", row.table);
        let there: Option<String> = transaction.exec_first(look, (guid,)).await?;
        // Compared here again: the table may hold `A` and `a` for the same.
        if there.as_deref() == guid {
            continue;
        }
        let columns: Vec<&str> = row.values.iter().map(|(column, _)| *column).collect();
        let statement = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            row.table,
            columns.join(", "),
            vec!["?"; columns.len()].join(", ")
        );
        let values = row.values.iter().map(|(_, value)| sql_value(value)).collect();
        transaction.exec_drop(statement, Params::Positional(values)).await?;
    }
    transaction.commit().await
}

fn sql_value(value: &Value) -> mysql_async::Value {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Number(number) => (*number).into(),
        Value::Time(time) => {
            // A time before 1970 is none that we write.
            let time = Timestamp::try_from(*time).unwrap_or_default();
            let time = Offset::UTC.to_datetime(time);
            time.strftime("%Y-%m-%d %H:%M:%S").to_string().into()
        }
        Value::Bytes(bytes) => bytes[..].into(),
    }
}

fn cell<T: FromValue>(row: &mut SqlRow, column: usize) -> Result<T, DeliveryError> {
    let why = "a column is not of its type";
    let wrong = || DeliveryError::Configuration(Problem::AnswerMalformed { why });
    row.take_opt(column).and_then(Result::ok).ok_or_else(wrong)
}
