//! The connection to the exchange database: the only I/O of this connector.

use std::time::SystemTime;

use tokio::sync::Mutex;
use tokio_postgres::{Row as SqlRow, Statement, types::ToSql};

use super::{
    database::{ConnectionTask, Database},
    encode::{self, COLUMNS, Row},
    settings::Settings,
};
use crate::{DeliveryError, ReplyPosition};

/// Error rows read at a time.
pub(crate) const ERRORS_LIMIT: i64 = 1_000;

/// Rows of the latest operation for each licence that was not refused, counted by type. The number of the change is
/// the last 20 characters of `row_guid`, so its order is the order of the changes.
const COUNTS: &str = "
    SELECT certificate_type_code::text, count(*)
    FROM (
        SELECT DISTINCT ON (certificate_source_id) certificate_source_id, certificate_type_code, cd_operation
        FROM up_lic_data AS up
        WHERE left(row_guid, length($1)) = $1 AND length(row_guid) = length($1) + 20
          AND NOT EXISTS (SELECT FROM dn_lic_data_error AS dn WHERE dn.row_guid = up.row_guid)
        ORDER BY certificate_source_id, row_guid COLLATE \"C\" DESC
    ) AS latest
    WHERE cd_operation <> 'D'
    GROUP BY certificate_type_code";

/// Error rows of ours after a position, in order. A row without a usable time stands after all others: it is read
/// every time, and known by its `row_guid`.
const ERRORS: &str = "
    SELECT row_guid, remark, micros, (extract(epoch FROM localtimestamp) * 1000000)::bigint
    FROM (
        SELECT row_guid::text COLLATE \"C\" AS row_guid,
               coalesce(left(error_remark::text, 2000), '') AS remark,
               CASE WHEN isfinite(error_time)
                    THEN (least(greatest(extract(epoch FROM error_time), 0), 9000000000000) * 1000000)::bigint
                    ELSE 9000000000000000000 END AS micros
        FROM dn_lic_data_error
        WHERE left(row_guid, length($1)) = $1 AND length(row_guid) = length($1) + 20
    ) AS ours
    WHERE (micros, row_guid) > ($2, $3)
    ORDER BY micros, row_guid
    LIMIT $4";

/// One row of `dn_lic_data_error`.
pub(crate) struct ErrorRow {
    pub(crate) row_guid: String,
    pub(crate) remark: String,
    pub(crate) micros: u64,
}

pub(crate) struct Client {
    database: Database,
    insert: String,
    prefix: String,
    session: Mutex<Option<Session>>,
}

/// A connection that is set up. Dropping it closes it, and aborts what is not committed.
struct Session {
    client: tokio_postgres::Client,
    insert: Statement,
    _connection: ConnectionTask,
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            insert: insert_statement(),
            prefix: encode::guid_prefix(&settings.name),
            database: Database {
                settings,
                tables: "up_lic_data or dn_lic_data_error",
                schema: include_str!("schema.sql"),
            },
            session: Mutex::new(None),
        }
    }

    /// Inserts the rows that are not there yet, all or none.
    pub(crate) async fn insert(&self, rows: &[Row]) -> Result<(), DeliveryError> {
        if rows.is_empty() {
            return Ok(());
        }
        let texts: Vec<Vec<&str>> = (0..COLUMNS.len())
            .map(|column| rows.iter().map(|row| row.values[column].as_str()).collect())
            .collect();
        let times: Vec<SystemTime> = rows.iter().map(|row| row.cd_time).collect();
        let mut values: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|column| column as _).collect();
        values.push(&times);

        let mut kept = self.session.lock().await;
        // Taken out while in use: when this future is dropped midway, the connection goes with it.
        let session = self.ready(kept.take()).await?;
        let inserted = self
            .within(async { Ok(session.client.execute(&session.insert, &values).await) })
            .await?;
        match inserted {
            Ok(new) => {
                tracing::debug!(
                    connector = self.database.settings.name,
                    rows = rows.len(),
                    new,
                    "rows inserted"
                );
                *kept = Some(session);
                Ok(())
            }
            Err(error) => {
                let error = self.explain(&error);
                if matches!(error, DeliveryError::Refused(_)) {
                    *kept = Some(session); // the transaction is rolled back, the connection is as good as before
                }
                Err(error)
            }
        }
    }

    /// Error rows after a position, and the server's clock in microseconds since 1970, local time.
    pub(crate) async fn errors_after(
        &self,
        after: &ReplyPosition,
    ) -> Result<(Vec<ErrorRow>, u64), DeliveryError> {
        let micros = i64::try_from(after.micros).unwrap_or(i64::MAX);
        let mut kept = self.session.lock().await;
        let session = self.ready(kept.take()).await?;
        let values: [&(dyn ToSql + Sync); 4] = [&self.prefix, &micros, &after.key, &ERRORS_LIMIT];
        let rows = self.within(async { Ok(session.client.query(ERRORS, &values).await) }).await?;
        let rows = rows.map_err(|error| self.explain(&error))?;
        *kept = Some(session);
        let mut now = 0;
        let mut errors = Vec::with_capacity(rows.len());
        for row in &rows {
            let (error, clock) = error_row(row).map_err(|error| self.explain(&error))?;
            now = clock;
            errors.push(error);
        }
        Ok((errors, now))
    }

    /// Licences by type code, as the tables have it. On a connection of its own: a count takes no turn from a batch.
    pub(crate) async fn counts(&self) -> Result<Vec<(String, i64)>, DeliveryError> {
        let session = self.ready(None).await?;
        let rows =
            self.within(async { Ok(session.client.query(COUNTS, &[&self.prefix]).await) }).await?;
        let rows = rows.map_err(|error| self.explain(&error))?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, _>>()
            .map_err(|error| self.explain(&error))
    }

    /// A session that is open: the one that was kept, or a new one.
    async fn ready(&self, kept: Option<Session>) -> Result<Session, DeliveryError> {
        match kept {
            Some(session) if !session.client.is_closed() => Ok(session),
            _ => self.within(self.connect()).await,
        }
    }

    async fn connect(&self) -> Result<Session, DeliveryError> {
        let (client, connection) = self.database.connect().await?;
        let insert = client
            .prepare(&self.insert)
            .await
            .map_err(|error| self.database.not_a_record(&error))?;
        Ok(Session { client, insert, _connection: connection })
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, DeliveryError>>,
    ) -> Result<T, DeliveryError> {
        self.database.within(work).await
    }

    fn explain(&self, error: &tokio_postgres::Error) -> DeliveryError {
        self.database.explain(error)
    }
}

/// One array a column: PostgreSQL plans the statement once and takes any number of rows.
fn insert_statement() -> String {
    let columns: Vec<&str> = COLUMNS.iter().map(|(column, _)| *column).collect();
    let arrays: Vec<String> =
        (1..=COLUMNS.len()).map(|number| format!("${number}::text[]")).collect();
    format!(
        "INSERT INTO up_lic_data ({}, cd_time) SELECT * FROM unnest({}, ${}::timestamp[]) \
         ON CONFLICT (row_guid) DO NOTHING",
        columns.join(", "),
        arrays.join(", "),
        COLUMNS.len() + 1,
    )
}

fn error_row(row: &SqlRow) -> Result<(ErrorRow, u64), tokio_postgres::Error> {
    let micros =
        |column| row.try_get::<_, i64>(column).map(|micros| u64::try_from(micros).unwrap_or(0));
    let error = ErrorRow { row_guid: row.try_get(0)?, remark: row.try_get(1)?, micros: micros(2)? };
    Ok((error, micros(3)?))
}
