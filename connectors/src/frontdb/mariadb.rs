//! The connection to an exchange database in MariaDB.
//!
//! A batch is one transaction of INSERTs with many rows each. A row that is there already is left alone if it is equal,
//! and corrected if not.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use mysql_async::{Conn, Params, Row as SqlRow, TxOpts, Value, prelude::Queryable};
use tokio::time;

use super::{
    client::{Counted, ERRORS_LIMIT, ErrorRow, Held},
    database::within,
    encode::{self, Row},
    layout::Layout,
    mariadb_database::MariaDatabase,
    settings::Settings,
};
use crate::{DeliveryError, Problem, ReplyPosition};

/// ER_LOCK_DEADLOCK: the transaction was rolled back, and can be made again.
const DEADLOCK: u16 = 1213;
/// How long to wait before a transaction is made again: several that were broken off may be rolled back one after
/// the other, each in the way of the next attempt.
const DEADLOCK_PAUSES_MS: [u64; 6] = [1, 10, 30, 100, 200, 300];
/// Rows of one INSERT.
const ROWS: usize = 250;
/// Placeholders that a statement can have. Source: the protocol counts them in two bytes.
const PLACEHOLDERS: usize = 65_535;
/// Bytes of a value beside itself: its length (9 at most), its type (2), its bit among those that are NULL.
const BYTES_OF_A_VALUE: usize = 12;
/// Bytes of a statement's values beside them: command, number of the statement, flags, count; 12, and a few more.
const BYTES_OF_VALUES: usize = 64;
/// Connections kept for the next batch: as many as batches were under way at a time, at most.
const KEPT: usize = 64;
/// Counting takes longer than writing a batch.
const COUNTING: u32 = 20;

/// The row of the latest operation for each licence that was not refused. The number of the change is the last 20
/// characters of `row_guid`, so its order is the order of the changes.
const LATEST: &str = "
    SELECT up.*, row_number() OVER (
        PARTITION BY certificate_source_id ORDER BY CONVERT(row_guid USING utf8mb4) COLLATE utf8mb4_bin DESC
    ) AS place
    FROM up_lic_data AS up
    WHERE CONVERT(LEFT(row_guid, CHAR_LENGTH(?)) USING utf8mb4) COLLATE utf8mb4_bin = ?
      AND CHAR_LENGTH(row_guid) = CHAR_LENGTH(?) + 20
      AND NOT EXISTS (SELECT 1 FROM dn_lic_data_error AS dn WHERE dn.row_guid = up.row_guid)";

/// The licence type, from the identifier: what stands in `certificate_type_code` is the counterpart's.
const TYPE: &str = "SUBSTRING_INDEX(SUBSTRING_INDEX(certificate_source_id, '.', 6), '.', -1)";

/// Error rows of ours after a position, in order. A row without a usable time stands after all others: it is read
/// every time, and known by its `row_guid`.
const ERRORS: &str = "
    SELECT row_guid, remark, micros, TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', LOCALTIMESTAMP(6))
    FROM (
        SELECT CONVERT(row_guid USING utf8mb4) COLLATE utf8mb4_bin AS row_guid,
               COALESCE(LEFT(CONVERT(error_remark USING utf8mb4), 2000), '') AS remark,
               COALESCE(GREATEST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', error_time), 0),
                        9000000000000000000) AS micros
        FROM dn_lic_data_error
        WHERE CONVERT(LEFT(row_guid, CHAR_LENGTH(?)) USING utf8mb4) COLLATE utf8mb4_bin = ?
          AND CHAR_LENGTH(row_guid) = CHAR_LENGTH(?) + 20
    ) AS ours
    WHERE micros > ? OR (micros = ? AND row_guid > CONVERT(? USING utf8mb4) COLLATE utf8mb4_bin)
    ORDER BY micros, row_guid
    LIMIT ?";

/// The unique keys of `up_lic_data` that are `row_guid` alone.
const KEYS: &str = "
    SELECT count(*) FROM (
        SELECT index_name FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND table_name = 'up_lic_data' AND non_unique = 0
        GROUP BY index_name HAVING count(*) = 1 AND max(lower(column_name)) = 'row_guid') AS fit";

pub(crate) struct Client {
    database: MariaDatabase,
    prefix: String,
    sessions: Mutex<Vec<Session>>,
}

/// A connection that is set up. Dropping it closes it, and aborts what is not committed.
struct Session {
    connection: Conn,
    /// The table was looked at.
    has_key: bool,
    /// `max_allowed_packet`: bytes of a statement that the server takes.
    most_bytes: usize,
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            prefix: encode::guid_prefix(&settings.name),
            database: MariaDatabase {
                settings,
                tables: "up_lic_data or dn_lic_data_error",
                schema: include_str!("schema_mariadb.sql"),
            },
            sessions: Mutex::default(),
        }
    }

    /// Writes the rows, all or none. A row that is there already is left alone if it is equal, and corrected if not.
    pub(crate) async fn write(&self, layout: &Layout, rows: &[Row]) -> Result<(), DeliveryError> {
        if rows.is_empty() {
            return Ok(());
        }
        let columns: Vec<&str> = layout.columns().collect();
        // Taken out while in use: when this future is dropped midway, the connection goes with it.
        let mut session = self.ready(self.take()).await?;
        let pieces = match pieces(&columns, rows, session.most_bytes) {
            Ok(pieces) => pieces,
            Err(error) => {
                self.keep(session);
                return Err(error);
            }
        };
        let work = async {
            if !session.has_key {
                self.look_at_the_table(&mut session).await?;
            }
            let connection = &mut session.connection;
            let mut written = write(connection, &columns, &pieces).await;
            // What a connection that was broken off wrote is being rolled back meanwhile, and in the way.
            for pause_ms in DEADLOCK_PAUSES_MS {
                if !matches!(&written, Err(mysql_async::Error::Server(error)) if error.code == DEADLOCK)
                {
                    break;
                }
                time::sleep(Duration::from_millis(pause_ms)).await;
                written = write(connection, &columns, &pieces).await;
            }
            Ok(written)
        };
        match self.database.within(work).await? {
            Ok(()) => {
                let connector = &self.database.settings.name;
                tracing::debug!(connector, rows = rows.len(), "rows written");
                self.keep(session);
                Ok(())
            }
            Err(error) => {
                let error = self.database.explain(&error);
                if matches!(error, DeliveryError::Refused(_)) {
                    self.keep(session); // the transaction is rolled back before the connection is used again
                }
                Err(error)
            }
        }
    }

    /// Without a unique key on `row_guid`, repeats would be doubles.
    async fn look_at_the_table(&self, session: &mut Session) -> Result<(), DeliveryError> {
        // A table that is missing is told as that.
        let connection = &mut session.connection;
        let found: Result<Option<u64>, _> =
            match connection.query_drop("SELECT 1 FROM up_lic_data LIMIT 0").await {
                Ok(()) => connection.query_first(KEYS).await,
                Err(error) => Err(error),
            };
        if found.map_err(|error| self.database.not_a_record(&error))?.unwrap_or(0) == 0 {
            // As PostgreSQL says of an ON CONFLICT for which there is no key.
            let problem = Problem::TableDiffers { sqlstate: "42P10".to_owned() };
            return Err(DeliveryError::Configuration(problem));
        }
        session.has_key = true;
        Ok(())
    }

    /// Error rows after a position, and the server's clock in microseconds since 1970, local time.
    pub(crate) async fn errors_after(
        &self,
        after: &ReplyPosition,
    ) -> Result<(Vec<ErrorRow>, u64), DeliveryError> {
        let micros = i64::try_from(after.micros).unwrap_or(i64::MAX);
        let mut session = self.ready(self.take()).await?;
        let prefix = || Value::from(&self.prefix);
        let values = vec![
            prefix(),
            prefix(),
            prefix(),
            micros.into(),
            micros.into(),
            Value::from(&after.key),
            (ERRORS_LIMIT as u64).into(),
        ];
        let rows = self.query(&mut session, ERRORS, values).await?;
        self.keep(session);
        let mut now = 0;
        let mut errors = Vec::with_capacity(rows.len());
        for mut row in rows {
            let micros = |value: i64| u64::try_from(value).unwrap_or(0);
            now = micros(self.cell(&mut row, 3)?);
            errors.push(ErrorRow {
                row_guid: self.cell(&mut row, 0)?,
                remark: self.cell(&mut row, 1)?,
                micros: micros(self.cell(&mut row, 2)?),
            });
        }
        Ok((errors, now))
    }

    /// Licences by type code.
    pub(crate) async fn counts(
        &self,
        layout: &Layout,
    ) -> Result<Vec<(String, i64)>, DeliveryError> {
        let statement = format!(
            "SELECT CONVERT({TYPE} USING utf8mb4), count(*) FROM ({LATEST}) AS latest
             WHERE place = 1 AND cd_operation <> ? GROUP BY 1"
        );
        let rows = self.count(&statement, vec![Value::from(&layout.delete)]).await?;
        rows.into_iter()
            .map(|mut row| Ok((self.cell(&mut row, 0)?, self.cell(&mut row, 1)?)))
            .collect()
    }

    /// Licences and the sum of their marks by type code and what stands in `issue_date`.
    pub(crate) async fn tallies(&self, layout: &Layout) -> Result<Vec<Counted>, DeliveryError> {
        let statement = format!(
            "SELECT CONVERT({TYPE} USING utf8mb4), CONVERT(issue_date USING utf8mb4), count(*),
                    CAST(sum({}) AS CHAR) FROM ({LATEST}) AS latest
             WHERE place = 1 AND cd_operation <> ? GROUP BY 1, 2",
            mark(layout)
        );
        let rows = self.count(&statement, vec![Value::from(&layout.delete)]).await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(Counted {
                    licence_type: self.cell(&mut row, 0)?,
                    day: self.cell(&mut row, 1)?,
                    count: self.cell(&mut row, 2)?,
                    sum: self.cell(&mut row, 3)?,
                })
            })
            .collect()
    }

    /// Licences with their marks, of one type and day, by identifier after `after`.
    ///
    /// * `days`: the day as `issue_date` may have it.
    pub(crate) async fn holdings(
        &self,
        layout: &Layout,
        licence_type: &str,
        days: &[String],
        after: &str,
        limit: usize,
    ) -> Result<Vec<Held>, DeliveryError> {
        let places = vec!["?"; days.len()].join(", ");
        let identifier = "CONVERT(certificate_source_id USING utf8mb4) COLLATE utf8mb4_bin";
        let statement = format!(
            "SELECT {identifier}, CAST({} AS SIGNED) FROM (
                {LATEST} AND {TYPE} = ? AND issue_date IN ({places}) AND {identifier} > ?) AS latest
             WHERE place = 1 AND cd_operation <> ? ORDER BY 1 LIMIT ?",
            mark(layout)
        );
        let mut values = vec![Value::from(licence_type)];
        values.extend(days.iter().map(Value::from));
        values.extend([after.into(), Value::from(&layout.delete), (limit as u64).into()]);
        let rows = self.count(&statement, values).await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(Held { identifier: self.cell(&mut row, 0)?, mark: self.cell(&mut row, 1)? })
            })
            .collect()
    }

    /// On a connection of its own: a count takes no turn from a batch, and may take longer.
    ///
    /// * `values`: those after the three of [`LATEST`].
    async fn count(
        &self,
        statement: &str,
        mut values: Vec<Value>,
    ) -> Result<Vec<SqlRow>, DeliveryError> {
        values.splice(0..0, (0..3).map(|_| Value::from(&self.prefix)));
        let mut session = self.ready(None).await?;
        let settings = &self.database.settings;
        let longest = settings.timeout.saturating_mul(COUNTING).min(Duration::from_secs(3_600));
        let work = async {
            let connection = &mut session.connection;
            let rows = match self.database.limit(connection, longest).await {
                Ok(()) => connection.exec(statement, Params::Positional(values)).await,
                Err(error) => Err(error),
            };
            rows.map_err(|error| self.database.not_a_record(&error))
        };
        let rows = within(settings, longest, work).await?;
        self.end(session).await;
        Ok(rows)
    }

    async fn query(
        &self,
        session: &mut Session,
        statement: &str,
        values: Vec<Value>,
    ) -> Result<Vec<SqlRow>, DeliveryError> {
        let work = async {
            let rows = session.connection.exec(statement, Params::Positional(values)).await;
            rows.map_err(|error| self.database.not_a_record(&error))
        };
        self.database.within(work).await
    }

    fn cell<T: mysql_async::prelude::FromValue>(
        &self,
        row: &mut SqlRow,
        column: usize,
    ) -> Result<T, DeliveryError> {
        let why = "a column is not of its type";
        let wrong = || DeliveryError::Configuration(Problem::AnswerMalformed { why });
        row.take_opt(column).and_then(Result::ok).ok_or_else(wrong)
    }

    fn take(&self) -> Option<Session> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, session: Session) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() < KEPT {
            sessions.push(session);
        }
    }

    /// In good order, so that the server logs no aborted connection.
    async fn end(&self, session: Session) {
        let ended = async { Ok(session.connection.disconnect().await) };
        if self.database.within(ended).await.is_err() {
            let connector = &self.database.settings.name;
            tracing::debug!(connector, "the connection did not end in good order");
        }
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
        Ok(Session { connection, has_key: false, most_bytes })
    }
}

/// The rows in pieces of which each is one statement.
///
/// * `most_bytes`: of a statement; the protocol sends it once as text and then its values.
///
/// # Errors
/// `Refused`: a row fits no statement. `Configuration`: no row would, as the text does not.
fn pieces<'a>(
    columns: &[&str],
    rows: &'a [Row],
    most_bytes: usize,
) -> Result<Vec<&'a [Row]>, DeliveryError> {
    let places = columns.len() + 1;
    // The command's byte, and what is rounded.
    let text = insert(columns, 1).len() + 16;
    // `,(?,?,…)`
    let text_of_a_row = 2 * places + 2;
    if text > most_bytes {
        return Err(DeliveryError::Configuration(Problem::RecordTooLarge));
    }
    let most_rows = ROWS.min(PLACEHOLDERS / places).min((most_bytes - text) / text_of_a_row + 1);
    let (mut pieces, mut start, mut bytes) = (Vec::new(), 0, BYTES_OF_VALUES);
    for (end, row) in rows.iter().enumerate() {
        let more = row.values.iter().map(|value| value.len() + BYTES_OF_A_VALUE).sum::<usize>()
            + BYTES_OF_A_VALUE
            + row.cd_time_text().len();
        if BYTES_OF_VALUES + more > most_bytes {
            return Err(DeliveryError::Refused(Problem::RecordTooLarge));
        }
        if bytes + more > most_bytes || end - start >= most_rows.max(1) {
            pieces.push(&rows[start..end]);
            (start, bytes) = (end, BYTES_OF_VALUES);
        }
        bytes += more;
    }
    pieces.push(&rows[start..]);
    Ok(pieces)
}

async fn write(
    connection: &mut Conn,
    columns: &[&str],
    pieces: &[&[Row]],
) -> Result<(), mysql_async::Error> {
    let mut transaction = connection.start_transaction(TxOpts::default()).await?;
    for rows in pieces {
        let mut values = Vec::with_capacity(rows.len() * (columns.len() + 1));
        for row in *rows {
            values.extend(row.values.iter().map(Value::from));
            values.push(Value::from(row.cd_time_text()));
        }
        let statement = insert(columns, rows.len());
        transaction.exec_drop(statement, Params::Positional(values)).await?;
    }
    transaction.commit().await
}

fn insert(columns: &[&str], rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len() + 1].join(","));
    let names: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    let content =
        names.iter().filter(|name| !["`row_guid`", "`cd_batch`"].contains(&name.as_str()));
    let equal: Vec<String> = content.map(|name| format!("{name} <=> VALUES({name})")).collect();
    let set: Vec<String> = names
        .iter()
        .filter(|name| !["`row_guid`", "`cd_batch`"].contains(&name.as_str()))
        .map(|name| format!("{name} = VALUES({name})"))
        .collect();
    // The first assignment is NULL, and so refused, where another unique key than ours was hit, or the row is another
    // licence's: numbers that were given out twice, after an old backup was restored. The second comes before the columns
    // that it compares are assigned.
    format!(
        "INSERT INTO up_lic_data ({}, cd_time) VALUES {} ON DUPLICATE KEY UPDATE
         row_guid = IF(row_guid = VALUES(row_guid) AND certificate_source_id = VALUES(certificate_source_id),
                       row_guid, NULL),
         cd_batch = IF({}, cd_batch, VALUES(cd_batch)), {}, cd_time = VALUES(cd_time)",
        names.join(","),
        vec![row; rows].join(","),
        equal.join(" AND "),
        set.join(", "),
    )
}

/// The mark of a row, as [`crate::Mark::of_line`] has it, in SQL.
fn mark(layout: &Layout) -> String {
    let columns: Vec<String> =
        layout.marked().map(|column| format!("COALESCE(`{column}`, '')")).collect();
    format!(
        "CAST(CONV(LEFT(SHA2(CONVERT(CONCAT_WS('|', {}) USING utf8mb4), 256), 15), 16, 10) AS UNSIGNED)",
        columns.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn rows(sizes: &[usize]) -> Vec<Row> {
        let row = |size: &usize| Row { values: vec!["x".repeat(*size); 2], cd_time: UNIX_EPOCH };
        sizes.iter().map(row).collect()
    }

    fn cut(sizes: &[usize], most_bytes: usize) -> Result<Vec<usize>, DeliveryError> {
        let rows = rows(sizes);
        let pieces = pieces(&["row_guid", "cd_batch"], &rows, most_bytes)?;
        Ok(pieces.into_iter().map(<[Row]>::len).collect())
    }

    #[test]
    fn a_batch_is_cut_by_rows_and_by_what_the_server_takes_at_once() {
        assert_eq!(cut(&[10; 600], usize::MAX).unwrap(), [250, 250, 100]);
        assert_eq!(cut(&[4_000; 5], 20_000).unwrap(), [2, 2, 1]);
        assert_eq!(cut(&[4_000, 9_000, 4_000, 1, 1], 20_000).unwrap(), [1, 1, 3]);
        // The statement's text has to fit too.
        let text = insert(&["row_guid", "cd_batch"], 3).len() + 16;
        assert_eq!(cut(&[1; 7], text).unwrap(), [3, 3, 1]);
    }

    #[test]
    fn what_fits_no_statement_is_told_apart_from_a_server_that_takes_none() {
        let error = cut(&[10, 10_000, 10], 20_000).unwrap_err();
        assert!(matches!(error, DeliveryError::Refused(Problem::RecordTooLarge)), "{error}");
        let error = cut(&[10], 256).unwrap_err();
        assert!(matches!(error, DeliveryError::Configuration(Problem::RecordTooLarge)), "{error}");
    }
}
