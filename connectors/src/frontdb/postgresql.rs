//! The connection to an exchange database in PostgreSQL.
//!
//! A batch goes in by COPY, which is the fastest way there is. It cannot skip rows that are there already: when it meets
//! one, or the table does not take COPY, the batch goes in by an INSERT that leaves equal rows alone and corrects others.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::{Row as SqlRow, Statement, error::SqlState, types::ToSql};

use super::{
    client::{Counted, ERRORS_LIMIT, ErrorRow, Held},
    database::{ConnectionTask, Database, within},
    encode::{self, Encoded, Lines, Row, Source},
    layout::Layout,
    settings::Settings,
};
use crate::{DeliveryError, Refused, ReplyPosition};

/// The row of the latest operation for each licence that was not refused. The number of the change is the last 20
/// characters of `row_guid`, so its order is the order of the changes.
const LATEST: &str = "
    SELECT DISTINCT ON (certificate_source_id) up.*
    FROM up_lic_data AS up
    WHERE left(row_guid, length($1)) = $1 AND length(row_guid) = length($1) + 20
      AND NOT EXISTS (SELECT FROM dn_lic_data_error AS dn WHERE dn.row_guid = up.row_guid)";
const LATEST_ORDER: &str = "ORDER BY certificate_source_id, row_guid COLLATE \"C\" DESC";

/// The licence type, from the identifier: what stands in `certificate_type_code` is the counterpart's.
const TYPE: &str = "split_part(certificate_source_id, '.', 6)";

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

/// Connections kept for the next batch: as many as batches were under way at a time, at most.
const KEPT: usize = 64;
/// Counting takes longer than writing a batch.
const COUNTING: u32 = 20;
/// Bytes of a COPY handed to the connection at a time.
const PIECE: usize = 128 << 10;

pub(crate) struct Client {
    database: Database,
    prefix: String,
    sessions: Mutex<Vec<Session>>,
    /// The last batch held rows that were there already.
    repeats: AtomicBool,
}

/// A connection that is set up. Dropping it closes it, and aborts what is not committed.
struct Session {
    client: tokio_postgres::Client,
    writes: Option<Writes>,
    _connection: ConnectionTask,
}

/// Statements that write, prepared for these columns.
struct Writes {
    columns: Vec<String>,
    /// None for a view and for a table with row security, which take no COPY.
    copy: Option<Statement>,
    insert: Statement,
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            prefix: encode::guid_prefix(&settings.name),
            database: Database {
                settings,
                tables: "up_lic_data or dn_lic_data_error",
                schema: include_str!("schema.sql"),
            },
            sessions: Mutex::default(),
            repeats: AtomicBool::new(false),
        }
    }

    /// Writes the rows, all or none. A row that is there already is left alone if it is equal, and corrected if not.
    /// Returns what cannot be a row.
    pub(crate) async fn write(&self, source: Source<'_>) -> Result<Vec<Refused>, DeliveryError> {
        let mut lines = source.lines();
        let Some(first) = lines.piece(PIECE) else { return Ok(lines.refused) };
        // Taken out while in use: when this future is dropped midway, the connection goes with it.
        let mut session = self.ready(self.take()).await?;
        let writing = async { Ok(session.write(&self.repeats, source, first, lines).await) };
        match self.within(writing).await? {
            Ok((how, refused)) => {
                let connector = &self.database.settings.name;
                let rows = source.batch.items.len() - refused.len();
                tracing::debug!(connector, rows, how, "rows written");
                self.keep(session);
                Ok(refused)
            }
            // The connection goes too: a COPY that fails before its first row leaves the library behind the server.
            Err(error) => Err(self.database.explain(&error)),
        }
    }

    /// Error rows after a position, and the server's clock in microseconds since 1970, local time.
    pub(crate) async fn errors_after(
        &self,
        after: &ReplyPosition,
    ) -> Result<(Vec<ErrorRow>, u64), DeliveryError> {
        let micros = i64::try_from(after.micros).unwrap_or(i64::MAX);
        let limit = i64::try_from(ERRORS_LIMIT).unwrap_or(i64::MAX);
        let session = self.ready(self.take()).await?;
        let values: [&(dyn ToSql + Sync); 4] = [&self.prefix, &micros, &after.key, &limit];
        let rows = self.within(async { Ok(session.client.query(ERRORS, &values).await) }).await?;
        let rows = rows.map_err(|error| self.database.not_a_record(&error))?;
        self.keep(session);
        let mut now = 0;
        let mut errors = Vec::with_capacity(rows.len());
        for row in &rows {
            let (error, clock) =
                error_row(row).map_err(|error| self.database.not_a_record(&error))?;
            now = clock;
            errors.push(error);
        }
        Ok((errors, now))
    }

    /// Licences by type code.
    pub(crate) async fn counts(
        &self,
        layout: &Layout,
    ) -> Result<Vec<(String, i64)>, DeliveryError> {
        let statement = format!(
            "SELECT {TYPE}, count(*) FROM ({LATEST} {LATEST_ORDER}) AS latest WHERE cd_operation <> $2 GROUP BY 1"
        );
        let rows = self.count(&statement, &[&self.prefix, &layout.delete]).await?;
        self.read(&rows, |row| Ok((row.try_get(0)?, row.try_get(1)?)))
    }

    /// Licences and the sum of their marks by type code and what stands in `issue_date`.
    pub(crate) async fn tallies(&self, layout: &Layout) -> Result<Vec<Counted>, DeliveryError> {
        let statement = format!(
            "SELECT {TYPE}, issue_date::text, count(*), sum({})::text FROM ({LATEST} {LATEST_ORDER}) AS latest
             WHERE cd_operation <> $2 GROUP BY 1, 2",
            mark(layout)
        );
        let rows = self.count(&statement, &[&self.prefix, &layout.delete]).await?;
        self.read(&rows, |row| {
            Ok(Counted {
                licence_type: row.try_get(0)?,
                day: row.try_get(1)?,
                count: row.try_get(2)?,
                sum: row.try_get(3)?,
            })
        })
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
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = format!(
            "SELECT certificate_source_id::text, {} FROM (
                {LATEST} AND {TYPE} = $3 AND issue_date::text = ANY($4)
                  AND certificate_source_id COLLATE \"C\" > $5 {LATEST_ORDER}) AS latest
             WHERE cd_operation <> $2 ORDER BY certificate_source_id COLLATE \"C\" LIMIT $6",
            mark(layout)
        );
        let values: [&(dyn ToSql + Sync); 6] =
            [&self.prefix, &layout.delete, &licence_type, &days, &after, &limit];
        let rows = self.count(&statement, &values).await?;
        self.read(&rows, |row| Ok(Held { identifier: row.try_get(0)?, mark: row.try_get(1)? }))
    }

    /// On a connection of its own: a count takes no turn from a batch, and may take longer.
    async fn count(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<SqlRow>, DeliveryError> {
        let session = self.ready(None).await?;
        let settings = &self.database.settings;
        let longest = settings.timeout.saturating_mul(COUNTING).min(Duration::from_secs(3_600));
        let set = format!("SET statement_timeout = {}", longest.as_millis());
        let work = async {
            let rows = match session.client.batch_execute(&set).await {
                Ok(()) => session.client.query(statement, values).await,
                Err(error) => Err(error),
            };
            rows.map_err(|error| self.database.not_a_record(&error))
        };
        within(settings, longest, work).await
    }

    fn read<T>(
        &self,
        rows: &[SqlRow],
        read: impl Fn(&SqlRow) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, DeliveryError> {
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| self.database.not_a_record(&error))
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

    /// A session that is open: the one that was kept, or a new one.
    async fn ready(&self, kept: Option<Session>) -> Result<Session, DeliveryError> {
        match kept {
            Some(session) if !session.client.is_closed() => Ok(session),
            _ => {
                let (client, connection) = self.within(self.database.connect()).await?;
                Ok(Session { client, writes: None, _connection: connection })
            }
        }
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, DeliveryError>>,
    ) -> Result<T, DeliveryError> {
        self.database.within(work).await
    }
}

impl Session {
    /// * `first`, `lines`: the rows as lines, the first piece of them made already.
    async fn write(
        &mut self,
        repeats: &AtomicBool,
        source: Source<'_>,
        first: Vec<u8>,
        lines: Lines<'_>,
    ) -> Result<(&'static str, Vec<Refused>), tokio_postgres::Error> {
        let layout = source.layout;
        if !self.writes.as_ref().is_some_and(|writes| layout.columns().eq(&writes.columns)) {
            self.writes = Some(Writes::prepare(&self.client, layout).await?);
        }
        let Some(writes) = &self.writes else { return Ok(("not at all", Vec::new())) };
        if let Some(statement) = &writes.copy
            && !repeats.load(Ordering::Relaxed)
        {
            match copy(&self.client, statement, first, lines).await {
                Ok(refused) => return Ok(("copied", refused)),
                // One of them is there already.
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
                Err(error) => return Err(error),
            }
        }
        let Encoded { rows, refused } = source.rows();
        let new = insert(&self.client, writes, &rows).await?;
        // The next ones are repeats too, probably, until all of a batch were new.
        repeats.store(new < rows.len() as u64, Ordering::Relaxed);
        Ok(("inserted", refused))
    }
}

impl Writes {
    async fn prepare(
        client: &tokio_postgres::Client,
        layout: &Layout,
    ) -> Result<Self, tokio_postgres::Error> {
        // Whoever may not correct rows can still add them.
        let may_update: bool = client
            .query_one("SELECT has_table_privilege('up_lic_data', 'UPDATE')", &[])
            .await?
            .try_get(0)?;
        let columns: Vec<String> = layout.columns().map(str::to_owned).collect();
        let list = columns.join(", ");
        let types = client
            .query(
                "SELECT attname::text, format_type(atttypid, -1) FROM pg_attribute
                 WHERE attrelid = 'up_lic_data'::regclass AND attnum > 0 AND NOT attisdropped",
                &[],
            )
            .await?;
        let types: std::collections::HashMap<String, String> = types
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, tokio_postgres::Error>>()?;
        // Columns that only this counterpart has may be dates or numbers there.
        let cast = |column: &String| match types.get(column) {
            Some(name) => format!("\"{column}\"::{name}"),
            None => format!("\"{column}\""),
        };
        let casts: Vec<String> = columns.iter().map(cast).collect();
        let arrays: Vec<String> =
            (1..=columns.len()).map(|number| format!("${number}::text[]")).collect();
        let repeat = if may_update {
            let content = |of: &str| {
                let content = columns
                    .iter()
                    .filter(|column| !["row_guid", "cd_batch"].contains(&column.as_str()));
                content.map(|column| format!("{of}.{column}")).collect::<Vec<_>>().join(", ")
            };
            let set: Vec<String> = columns
                .iter()
                .filter(|column| *column != "row_guid")
                .map(|column| format!("{column} = excluded.{column}"))
                .collect();
            // The first is NULL, and so refused, where the row is another licence's: numbers that were given out twice,
            // after an old backup was restored.
            format!(
                "DO UPDATE SET row_guid = CASE
                     WHEN up.certificate_source_id = excluded.certificate_source_id THEN excluded.row_guid END,
                 {}, cd_time = excluded.cd_time WHERE ({}) IS DISTINCT FROM ({})",
                set.join(", "),
                content("up"),
                content("excluded")
            )
        } else {
            "DO NOTHING".to_owned()
        };
        let insert = format!(
            "INSERT INTO up_lic_data AS up ({list}, cd_time)
             SELECT {}, cd_time FROM unnest({}, ${}::timestamp[]) AS new ({list}, cd_time)
             ON CONFLICT (row_guid) {repeat}",
            casts.join(", "),
            arrays.join(", "),
            columns.len() + 1,
        );
        let insert = client.prepare(&insert).await?;
        // Planned once, so that a table without the key by which repeats are recognised is noticed at once.
        let key = "EXPLAIN INSERT INTO up_lic_data (row_guid) VALUES ('') ON CONFLICT (row_guid) DO NOTHING";
        client.batch_execute(key).await?;
        let takes_copy: bool = client
            .query_one(
                "SELECT relkind IN ('r', 'p') AND NOT row_security_active(oid)
                 FROM pg_class WHERE oid = 'up_lic_data'::regclass",
                &[],
            )
            .await?
            .try_get(0)?;
        let copy = format!("COPY up_lic_data ({list}, cd_time) FROM STDIN");
        let copy = if takes_copy { Some(client.prepare(&copy).await?) } else { None };
        Ok(Self { columns, copy, insert })
    }
}

/// Returns what cannot be a row.
async fn copy(
    client: &tokio_postgres::Client,
    statement: &Statement,
    first: Vec<u8>,
    mut lines: Lines<'_>,
) -> Result<Vec<Refused>, tokio_postgres::Error> {
    let sink = client.copy_in::<_, Bytes>(statement).await?;
    tokio::pin!(sink);
    let mut next = Some(first);
    while let Some(piece) = next {
        sink.send(piece.into()).await?;
        // Others of this thread get their turn, the connection too, which sends what was made.
        tokio::task::yield_now().await;
        next = lines.piece(PIECE);
    }
    sink.finish().await?;
    Ok(lines.refused)
}

async fn insert(
    client: &tokio_postgres::Client,
    writes: &Writes,
    rows: &[Row],
) -> Result<u64, tokio_postgres::Error> {
    let texts: Vec<Vec<&str>> = (0..writes.columns.len())
        .map(|column| rows.iter().map(|row| row.values[column].as_str()).collect())
        .collect();
    let times: Vec<SystemTime> = rows.iter().map(|row| row.cd_time).collect();
    let mut values: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|column| column as _).collect();
    values.push(&times);
    client.execute(&writes.insert, &values).await
}

/// The mark of a row, as [`crate::Mark::of_line`] has it, in SQL.
fn mark(layout: &Layout) -> String {
    let columns: Vec<String> =
        layout.marked().map(|column| format!("coalesce({column}::text, '')")).collect();
    format!(
        "('x' || left(encode(sha256(convert_to(concat_ws('|', {}), 'UTF8')), 'hex'), 15))::bit(60)::bigint",
        columns.join(", ")
    )
}

fn error_row(row: &SqlRow) -> Result<(ErrorRow, u64), tokio_postgres::Error> {
    let micros =
        |column| row.try_get::<_, i64>(column).map(|micros| u64::try_from(micros).unwrap_or(0));
    let error = ErrorRow { row_guid: row.try_get(0)?, remark: row.try_get(1)?, micros: micros(2)? };
    Ok((error, micros(3)?))
}
