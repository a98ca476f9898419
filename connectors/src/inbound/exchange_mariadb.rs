//! As [`super::Exchange`], with the tables in MariaDB. MariaDB makes no JSON of a row: the columns that are read are
//! asked for by name.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mysql_async::{
    Column, Conn, Row as SqlRow, TxOpts, Value, consts::ColumnType, prelude::Queryable,
};
use tokio::sync::Mutex;

use super::{
    Answer, NO_TIME, Page, Position, Row, Source,
    exchange::{KEY_LIMIT, PAGE_LIMIT, ROW_LIMIT},
};
use crate::{
    DeliveryError, Problem,
    frontdb::{self, mariadb_database::MariaDatabase},
};

/// Columns that stand before those of the table: key, time, size, what the clock says, how many rows there are.
const BEFORE: usize = 5;

/// A front-end exchange database in MariaDB that rows are fetched from.
pub struct ExchangeMariaDb {
    database: MariaDatabase,
    table: String,
    look: String,
    answer: String,
    session: Mutex<Option<Session>>,
}

/// A connection that is set up. Dropping it closes it, and aborts what is not committed.
struct Session {
    connection: Conn,
    /// Bytes of a row that the server can send: a column is three times as long in UTF-8 at most.
    most_bytes: usize,
}

impl ExchangeMariaDb {
    /// A source with these settings. It connects when something is fetched.
    ///
    /// * `table`, `error_table`: lower-case letters, digits and underscores.
    pub fn new(settings: frontdb::Settings, table: &str, error_table: &str) -> Self {
        let database = MariaDatabase {
            settings,
            tables: "to fetch from, or for errors,",
            schema: include_str!("../frontdb/schema_mariadb.sql"),
        };
        // Compared as bytes: the table may hold `A` and `a` for the same, and `a` and `a` with a space behind it.
        let answer = format!(
            "INSERT INTO `{error_table}` (row_guid, certificate_source_id, error_remark, error_time)
             SELECT new.k, new.i, new.r, LOCALTIMESTAMP(6)
             FROM (SELECT CONVERT(? USING utf8mb4) AS k, CONVERT(? USING utf8mb4) AS i, CONVERT(? USING utf8mb4) AS r) AS new
             WHERE NOT EXISTS (
                 SELECT 1 FROM `{error_table}` AS old
                 WHERE old.row_guid = ?
                   AND CAST(CONVERT(old.row_guid USING utf8mb4) AS BINARY) = CAST(new.k AS BINARY)
                   AND CAST(CONVERT(old.error_remark USING utf8mb4) AS BINARY) = CAST(new.r AS BINARY))"
        );
        let look = format!("SELECT * FROM `{table}` LIMIT 0");
        Self { database, table: table.to_owned(), look, answer, session: Mutex::new(None) }
    }

    /// A session that is open: the one that was kept if it still answers, or a new one.
    async fn ready(&self, kept: Option<Session>) -> Result<Session, DeliveryError> {
        if let Some(mut session) = kept {
            // Whether a connection is open shows only when it is used.
            let answers = async { Ok(session.connection.ping().await.is_ok()) };
            if matches!(self.database.within(answers).await, Ok(true)) {
                return Ok(session);
            }
        }
        let mut connection = self.database.within(self.database.connect()).await?;
        let most = async { Ok(connection.query_first("SELECT @@max_allowed_packet").await) };
        let most: Option<usize> = self
            .database
            .within(most)
            .await?
            .map_err(|error| self.database.not_a_record(&error))?;
        let most_bytes = most.map_or(ROW_LIMIT, |most| ROW_LIMIT.min(most / 3));
        Ok(Session { connection, most_bytes })
    }

    /// The statement that fetches these columns.
    fn statement(&self, columns: &[String], most_bytes: usize) -> String {
        let size: String =
            columns.iter().map(|name| format!(" + coalesce(length(up.{name}), 0)")).collect();
        let names: String = columns
            .iter()
            .enumerate()
            .map(|(place, name)| format!(", up.{name} AS c{place}"))
            .collect();
        let places = |form: fn(usize) -> String| -> String {
            (0..columns.len()).map(form).collect::<Vec<_>>().concat()
        };
        let (plain, bounded) = (
            places(|place| format!(", c{place}")),
            places(|place| format!(", IF(whole, c{place}, NULL) AS c{place}")),
        );
        let table = &self.table;
        format!(
            "SELECT k, micros, whole, CAST(timestampdiff(MICROSECOND, '1970-01-01', LOCALTIMESTAMP(6)) AS UNSIGNED), found{plain}
             FROM (
                 SELECT k, micros, whole, count(*) OVER () AS found,
                        row_number() OVER (ORDER BY micros, k) AS place,
                        sum(IF(whole, size, 0)) OVER (ORDER BY micros, k ROWS UNBOUNDED PRECEDING) AS bytes{bounded}
                 FROM (
                     SELECT k, micros, size, size <= {most_bytes} AS whole{plain}
                     FROM (
                         SELECT CAST(left(CONVERT(up.row_guid USING utf8mb4), {KEY_LIMIT}) AS BINARY) AS k,
                                CAST(coalesce(greatest(timestampdiff(MICROSECOND, '1970-01-01', up.cd_time), 0), {NO_TIME}) AS UNSIGNED) AS micros,
                                0{size} AS size{names}
                         FROM `{table}` AS up WHERE up.row_guid IS NOT NULL
                     ) AS found_rows_of_table
                     WHERE micros > ? OR (micros = ? AND k > CAST(? AS BINARY))
                     ORDER BY micros, k LIMIT ?
                 ) AS page
             ) AS counted
             WHERE place = 1 OR bytes <= {PAGE_LIMIT}
             ORDER BY micros, k"
        )
    }

    async fn page(
        &self,
        session: &mut Session,
        after: &Position,
        limit: usize,
        elements: &[&str],
    ) -> Result<Page, DeliveryError> {
        let failed = |error: mysql_async::Error| self.database.not_a_record(&error);
        let connection = &mut session.connection;
        let look = connection.prep(self.look.as_str()).await.map_err(failed)?;
        let there: Vec<String> =
            look.columns().iter().map(|column| column.name_str().into_owned()).collect();
        connection.close(look).await.map_err(failed)?;
        if elements.iter().any(|element| !there.iter().any(|name| name == element)) {
            // 1054: ER_BAD_FIELD_ERROR.
            let sqlstate = "42S22/1054".to_owned();
            return Err(DeliveryError::Configuration(Problem::TableDiffers { sqlstate }));
        }
        let quoted: Vec<String> =
            elements.iter().map(|name| format!("`{}`", name.replace('`', "``"))).collect();
        let statement = self.statement(&quoted, session.most_bytes);
        let most = u64::try_from(limit).unwrap_or(u64::MAX);
        let values = (after.micros, after.micros, after.key.as_str(), most);
        // Another statement for other columns; kept prepared, they would fill the server's memory.
        let prepared = connection.prep(statement).await.map_err(failed)?;
        let fetched: Result<Vec<SqlRow>, _> = connection.exec(&prepared, values).await;
        connection.close(prepared).await.map_err(failed)?;
        let mut page = Page::default();
        let mut whole = 0;
        for found in fetched.map_err(failed)? {
            let (row, now_micros, found) = read(found, elements, session.most_bytes)?;
            (page.now_micros, whole) = (now_micros, usize::try_from(found).unwrap_or(usize::MAX));
            page.rows.push(row);
        }
        page.more = whole >= limit || page.rows.len() < whole;
        Ok(page)
    }
}

#[async_trait]
impl Source for ExchangeMariaDb {
    fn name(&self) -> &str {
        &self.database.settings.name
    }

    fn kind(&self) -> &'static str {
        "exchange"
    }

    async fn fetch(
        &self,
        after: &Position,
        limit: usize,
        elements: &[&str],
    ) -> Result<Page, DeliveryError> {
        let mut kept = self.session.lock().await;
        // Taken out while in use: when this future is dropped midway, the connection goes with it.
        let mut session = self.ready(kept.take()).await?;
        let page = self.database.within(self.page(&mut session, after, limit, elements)).await?;
        *kept = Some(session);
        Ok(page)
    }

    async fn answer(&self, answers: &[Answer]) -> Result<(), DeliveryError> {
        if answers.is_empty() {
            return Ok(());
        }
        let mut kept = self.session.lock().await;
        let mut session = self.ready(kept.take()).await?;
        let work = async {
            let written = async {
                let mut transaction =
                    session.connection.start_transaction(TxOpts::default()).await?;
                for answer in answers {
                    let identifier: Option<String> =
                        answer.identifier.as_ref().map(|text| text.chars().take(128).collect());
                    let remark = format!("{}: {}", answer.code, answer.remark);
                    let (key, again) = (answer.key.as_str(), answer.key.as_str());
                    let values = (key, identifier, remark, again);
                    transaction.exec_drop(self.answer.as_str(), values).await?;
                }
                transaction.commit().await
            };
            Ok(written.await)
        };
        self.database.within(work).await?.map_err(|error| self.database.not_a_record(&error))?;
        *kept = Some(session);
        Ok(())
    }
}

/// A row, what the counterpart's clock says, and how many rows there are.
fn read(
    found: SqlRow,
    elements: &[&str],
    most_bytes: usize,
) -> Result<(Row, u64, u64), DeliveryError> {
    let why = "a column is not of its type";
    let wrong = || DeliveryError::Configuration(Problem::AnswerMalformed { why });
    let columns = found.columns();
    let mut values = found.unwrap().into_iter();
    let mut before = values.by_ref().take(BEFORE);
    let mut next = || before.next().ok_or_else(wrong);
    let Value::Bytes(key) = next()? else { return Err(wrong()) };
    let key = String::from_utf8(key).map_err(|_| wrong())?;
    let number = |value: Value| mysql_async::from_value_opt::<u64>(value).map_err(|_| wrong());
    let (micros, whole) = (number(next()?)?, number(next()?)?);
    let (now_micros, found) = (number(next()?)?, number(next()?)?);
    let elements = match whole {
        0 => Err("row_too_large"),
        _ => texts(elements, columns.get(BEFORE..).unwrap_or_default(), values, most_bytes),
    };
    let row = Row { position: Position { micros, key: key.clone() }, key, elements };
    Ok((row, now_micros, found))
}

fn texts(
    elements: &[&str],
    columns: &[Column],
    values: impl Iterator<Item = Value>,
    most_bytes: usize,
) -> Result<BTreeMap<String, String>, &'static str> {
    let mut named = BTreeMap::new();
    let mut bytes = 0;
    for ((name, column), value) in elements.iter().zip(columns).zip(values) {
        let text = text(column.column_type(), value).ok_or("row_unreadable")?;
        bytes += text.len();
        named.insert((*name).to_owned(), text);
    }
    // Texts of other character sets grow when they are made UTF-8.
    if bytes > most_bytes.max(ROW_LIMIT) { Err("row_too_large") } else { Ok(named) }
}

/// A value as text, as MariaDB would write it; nothing for NULL. `None`: bytes that are no text.
fn text(column: ColumnType, value: Value) -> Option<String> {
    Some(match value {
        Value::NULL => String::new(),
        Value::Bytes(bytes) if column == ColumnType::MYSQL_TYPE_BIT => bytes
            .iter()
            .try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))?
            .to_string(),
        Value::Bytes(bytes) => String::from_utf8(bytes).ok()?,
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Date(year, month, day, ..) if column == ColumnType::MYSQL_TYPE_DATE => {
            format!("{year:04}-{month:02}-{day:02}")
        }
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let whole = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            if micros == 0 { whole } else { format!("{whole}.{micros:06}") }
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let (sign, hours) =
                (if negative { "-" } else { "" }, u64::from(days) * 24 + u64::from(hours));
            let whole = format!("{sign}{hours:02}:{minutes:02}:{seconds:02}");
            if micros == 0 { whole } else { format!("{whole}.{micros:06}") }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_as_mariadb_writes_it() {
        use ColumnType as Of;
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        for (column, value, expected) in [
            (Of::MYSQL_TYPE_VAR_STRING, Value::NULL, Some("")),
            (Of::MYSQL_TYPE_VAR_STRING, bytes("许可".as_bytes()), Some("许可")),
            (Of::MYSQL_TYPE_BLOB, bytes(&[0xFF]), None),
            (Of::MYSQL_TYPE_BIT, bytes(&[1, 0]), Some("256")),
            (Of::MYSQL_TYPE_LONG, Value::Int(-7), Some("-7")),
            (Of::MYSQL_TYPE_DOUBLE, Value::Double(1.5), Some("1.5")),
            (Of::MYSQL_TYPE_DATE, Value::Date(2025, 3, 1, 0, 0, 0, 0), Some("2025-03-01")),
            (
                Of::MYSQL_TYPE_DATETIME,
                Value::Date(2025, 3, 1, 0, 0, 0, 0),
                Some("2025-03-01 00:00:00"),
            ),
            (
                Of::MYSQL_TYPE_DATETIME,
                Value::Date(2025, 3, 1, 9, 0, 1, 5),
                Some("2025-03-01 09:00:01.000005"),
            ),
            (Of::MYSQL_TYPE_TIME, Value::Time(true, 1, 2, 3, 4, 0), Some("-26:03:04")),
        ] {
            assert_eq!(text(column, value.clone()).as_deref(), expected, "{value:?}");
        }
    }
}
