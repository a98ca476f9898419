//! The connection to case tables in PostgreSQL.

use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;

use super::{
    client::{ErrorRow, MOST_REMARK, MOST_TEXT, PAGE, StepRow, TABLES},
    encode::{Row, Value},
};
use crate::{
    DeliveryError,
    frontdb::{
        self,
        database::{ConnectionTask, Database},
    },
};

const STEPS: &str = "
    SELECT row_guid::text, project_no::text, step::text, coalesce(left(remark::text, $1), ''),
           coalesce(left(items::text, $1), ''), coalesce(certificate_source_id::text, '')
    FROM dn_pro_step WHERE taken IS NULL ORDER BY step_time NULLS LAST, row_guid LIMIT $2";

const TAKE_STEP: &str = "
    UPDATE dn_pro_step SET taken = localtimestamp(0), taken_code = $2, taken_remark = $3
    WHERE row_guid = $1 AND taken IS NULL";

const ERRORS: &str = "
    SELECT row_guid::text, coalesce(left(error_remark::text, $3), '')
    FROM dn_pro_error WHERE taken IS NULL AND left(row_guid, length($1)) = $1 ORDER BY row_guid LIMIT $2";

const TAKE_ERROR: &str =
    "UPDATE dn_pro_error SET taken = localtimestamp(0) WHERE row_guid = $1 AND taken IS NULL";

pub(crate) struct Client {
    database: Database,
    session: Mutex<Option<Session>>,
}

/// A connection that is set up. Dropping it closes it, and aborts what is not committed.
struct Session {
    client: tokio_postgres::Client,
    _connection: ConnectionTask,
}

impl Client {
    pub(crate) fn new(settings: frontdb::Settings) -> Self {
        let database = Database { settings, tables: TABLES, schema: include_str!("schema.sql") };
        Self { database, session: Mutex::new(None) }
    }

    /// Inserts the rows that are not there yet, all or none.
    pub(crate) async fn insert(&self, rows: &[Row]) -> Result<(), DeliveryError> {
        let mut kept = self.session.lock().await;
        // Taken out while in use: when this future is dropped midway, the connection goes with it.
        let mut session = self.ready(kept.take()).await?;
        let inserted = self
            .database
            .within(async { Ok(insert_all(&mut session.client, rows).await) })
            .await?
            .map_err(|error| self.database.explain(&error));
        if matches!(inserted, Ok(()) | Err(DeliveryError::Refused(_))) {
            *kept = Some(session); // a refused transaction is rolled back, the connection is as good as before
        }
        inserted
    }

    /// Steps that are not taken yet, in order.
    pub(crate) async fn steps(&self) -> Result<Vec<StepRow>, DeliveryError> {
        let rows = self.query(STEPS, &[&MOST_TEXT, &PAGE]).await?;
        let step = |row: &tokio_postgres::Row| {
            Ok(StepRow {
                row_guid: row.try_get(0)?,
                project_no: row.try_get(1)?,
                step: row.try_get(2)?,
                remark: row.try_get(3)?,
                items: row.try_get(4)?,
                licence: row.try_get(5)?,
            })
        };
        rows.iter()
            .map(step)
            .collect::<Result<_, _>>()
            .map_err(|error| self.database.not_a_record(&error))
    }

    pub(crate) async fn take_step(
        &self,
        row_guid: &str,
        refused: Option<(&str, &str)>,
    ) -> Result<(), DeliveryError> {
        let (code, remark) = refused.unzip();
        self.query(TAKE_STEP, &[&row_guid, &code, &remark]).await.map(drop)
    }

    /// Error rows about rows of ours that are not noted yet.
    pub(crate) async fn errors(&self, prefix: &str) -> Result<Vec<ErrorRow>, DeliveryError> {
        let rows = self.query(ERRORS, &[&prefix, &PAGE, &MOST_REMARK]).await?;
        rows.iter()
            .map(|row| Ok(ErrorRow { row_guid: row.try_get(0)?, remark: row.try_get(1)? }))
            .collect::<Result<_, _>>()
            .map_err(|error| self.database.not_a_record(&error))
    }

    pub(crate) async fn take_error(&self, row_guid: &str) -> Result<(), DeliveryError> {
        self.query(TAKE_ERROR, &[&row_guid]).await.map(drop)
    }

    async fn query(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, DeliveryError> {
        let mut kept = self.session.lock().await;
        let session = self.ready(kept.take()).await?;
        let rows = self
            .database
            .within(async { Ok(session.client.query(statement, values).await) })
            .await?
            .map_err(|error| self.database.not_a_record(&error))?;
        *kept = Some(session);
        Ok(rows)
    }

    /// A session that is open: the one that was kept, or a new one.
    async fn ready(&self, kept: Option<Session>) -> Result<Session, DeliveryError> {
        match kept {
            Some(session) if !session.client.is_closed() => Ok(session),
            _ => {
                let connected = self.database.within(self.database.connect()).await?;
                let (client, connection) = connected;
                Ok(Session { client, _connection: connection })
            }
        }
    }
}

async fn insert_all(
    client: &mut tokio_postgres::Client,
    rows: &[Row],
) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    for row in rows {
        let columns: Vec<&str> = row.values.iter().map(|(column, _)| *column).collect();
        let places: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
        let statement = format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (row_guid) DO NOTHING",
            row.table,
            columns.join(", "),
            places.join(", ")
        );
        let values: Vec<Box<dyn ToSql + Sync + Send + '_>> =
            row.values.iter().map(|(_, value)| to_sql(value)).collect();
        let values: Vec<&(dyn ToSql + Sync)> =
            values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        transaction.execute(&statement, &values).await?;
    }
    transaction.commit().await
}

fn to_sql(value: &Value) -> Box<dyn ToSql + Sync + Send + '_> {
    match value {
        Value::Text(text) => Box::new(text.as_str()),
        Value::Number(number) => Box::new(*number),
        Value::Time(time) => Box::new(*time),
        Value::Bytes(bytes) => Box::new(&bytes[..]),
    }
}
