//! The front-end exchange database in the other direction: rows that a department inserts are fetched, and rows that are
//! not taken are told in its error table. Tables as in standards.md section 3; any other table that has `row_guid` and
//! `cd_time` will do.

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::{Answer, NO_TIME, Page, Position, Row, Source, texts};
use crate::{
    DeliveryError, Problem,
    frontdb::{
        self,
        database::{ConnectionTask, Database},
    },
};

/// A row that is larger is refused, in bytes of JSON.
pub(super) const ROW_LIMIT: usize = 1 << 20;
/// Rows that are fetched at a time have no more together, or it is one.
pub(super) const PAGE_LIMIT: usize = 8 << 20;
/// Characters of `row_guid` that count; the standard's column has 50.
pub(super) const KEY_LIMIT: usize = 200;

/// A front-end exchange database in PostgreSQL that rows are fetched from.
pub struct Exchange {
    database: Database,
    fetch: String,
    answer: String,
    session: Mutex<Option<Session>>,
}

/// A connection that is set up. Dropping it closes it, and aborts what is not committed.
struct Session {
    client: Client,
    _connection: ConnectionTask,
}

impl Exchange {
    /// A source with these settings. It connects when something is fetched.
    ///
    /// * `table`, `error_table`: names that need no quoting.
    pub fn new(settings: frontdb::Settings, table: &str, error_table: &str) -> Self {
        let fetch = format!(
            "SELECT row_guid, micros, row, (extract(epoch FROM localtimestamp) * 1000000)::bigint, found
             FROM (
                 SELECT row_guid, micros, row, count(*) OVER () AS found,
                        row_number() OVER (ORDER BY micros, row_guid) AS place,
                        sum(coalesce(octet_length(row), 0)) OVER (ORDER BY micros, row_guid) AS bytes
                 FROM (
                     SELECT row_guid, micros, CASE WHEN octet_length(row) <= {ROW_LIMIT} THEN row END AS row
                     FROM (
                         SELECT left(row_guid::text, {KEY_LIMIT}) COLLATE \"C\" AS row_guid,
                                row_to_json(up)::text AS row,
                                CASE WHEN isfinite(cd_time)
                                     THEN (least(greatest(extract(epoch FROM cd_time), 0), 9000000000000) * 1000000)::bigint
                                     ELSE {NO_TIME} END AS micros
                         FROM {table} AS up
                     ) AS rows
                     WHERE row_guid IS NOT NULL AND (micros, row_guid) > ($1, $2)
                     ORDER BY micros, row_guid LIMIT $3
                 ) AS page
             ) AS page
             WHERE place = 1 OR bytes <= {PAGE_LIMIT}
             ORDER BY micros, row_guid"
        );
        let answer = format!(
            "INSERT INTO {error_table} (row_guid, certificate_source_id, error_remark, error_time)
             SELECT key, identifier, remark, localtimestamp
             FROM unnest($1::text[], $2::text[], $3::text[]) AS new (key, identifier, remark)
             WHERE NOT EXISTS (SELECT FROM {error_table} AS old
                               WHERE old.row_guid = new.key AND old.error_remark = new.remark)"
        );
        let database = Database {
            settings,
            tables: "to fetch from, or for errors,",
            schema: include_str!("../frontdb/schema.sql"),
        };
        Self { database, fetch, answer, session: Mutex::new(None) }
    }

    /// A session that is open: the one that was kept, or a new one.
    async fn ready(&self, kept: Option<Session>) -> Result<Session, DeliveryError> {
        match kept {
            Some(session) if !session.client.is_closed() => Ok(session),
            _ => {
                self.database
                    .within(async {
                        let (client, connection) = self.database.connect().await?;
                        Ok(Session { client, _connection: connection })
                    })
                    .await
            }
        }
    }
}

#[async_trait]
impl Source for Exchange {
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
        let micros = i64::try_from(after.micros).unwrap_or(i64::MAX);
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut kept = self.session.lock().await;
        // Taken out while in use: when this future is dropped midway, the connection goes with it.
        let session = self.ready(kept.take()).await?;
        let found = self
            .database
            .within(async {
                Ok(session.client.query(&self.fetch, &[&micros, &after.key, &most]).await)
            })
            .await?
            .map_err(|error| self.database.not_a_record(&error))?;
        *kept = Some(session);
        let read = |found: &tokio_postgres::Row| {
            Ok((found.try_get(0)?, found.try_get::<_, i64>(1)?, found.try_get(2)?))
        };
        let now = found.first().map(|one| one.try_get::<_, i64>(3)).transpose();
        let now = now.map_err(|error| self.database.not_a_record(&error))?;
        let whole = found.first().map_or(Ok(0), |one| one.try_get::<_, i64>(4));
        let whole = whole.map_err(|error| self.database.not_a_record(&error))?;
        let whole = usize::try_from(whole).unwrap_or(usize::MAX);
        let now_micros = now.and_then(|now| u64::try_from(now).ok()).unwrap_or(0);
        let mut rows = Vec::with_capacity(found.len());
        for one in &found {
            let (key, micros, json) =
                read(one).map_err(|error| self.database.not_a_record(&error))?;
            rows.push(row(key, u64::try_from(micros).unwrap_or(0), json));
        }
        if let Some(first) = rows.iter().find_map(|row| row.elements.as_ref().ok())
            && elements.iter().any(|element| !first.contains_key(*element))
        {
            // 42703: undefined_column.
            let sqlstate = "42703".to_owned();
            return Err(DeliveryError::Configuration(Problem::TableDiffers { sqlstate }));
        }
        Ok(Page { more: whole >= limit || rows.len() < whole, rows, now_micros })
    }

    async fn answer(&self, answers: &[Answer]) -> Result<(), DeliveryError> {
        if answers.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = answers.iter().map(|answer| answer.key.as_str()).collect();
        let identifiers: Vec<Option<String>> = answers
            .iter()
            .map(|answer| answer.identifier.as_ref().map(|text| text.chars().take(128).collect()))
            .collect();
        let remarks: Vec<String> =
            answers.iter().map(|answer| format!("{}: {}", answer.code, answer.remark)).collect();
        let mut kept = self.session.lock().await;
        let session = self.ready(kept.take()).await?;
        self.database
            .within(async {
                Ok(session.client.execute(&self.answer, &[&keys, &identifiers, &remarks]).await)
            })
            .await?
            .map_err(|error| self.database.not_a_record(&error))?;
        *kept = Some(session);
        Ok(())
    }
}

/// A row out of its JSON: texts as they are, everything else as JSON has it, nothing for NULL.
fn row(key: String, micros: u64, json: Option<String>) -> Row {
    let elements = match json.map(|json| serde_json::from_str::<serde_json::Map<_, _>>(&json)) {
        None => Err("row_too_large"),
        Some(Err(_)) => Err("row_unreadable"),
        Some(Ok(found)) => Ok(texts(found)),
    };
    Row { position: Position { micros, key: key.clone() }, key, elements }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_elements_as_text() {
        let json = r#"{"a":"x","b":null,"c":7,"d":true}"#;
        let read = row("k".to_owned(), 5, Some(json.to_owned()));
        let texts: Vec<_> = read.elements.unwrap().into_values().collect();
        assert_eq!(texts, ["x", "", "7", "true"]);
        assert_eq!(row("k".to_owned(), 5, None).elements, Err("row_too_large"));
        assert_eq!(row("k".to_owned(), 5, Some("[".to_owned())).elements, Err("row_unreadable"));
    }
}
