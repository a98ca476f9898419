//! A department's system, played over the case tables of an exchange database: what the demo and the tests hand cases
//! to. It takes every case that comes and grants it; a real one has people.

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

/// Why the desk cannot work.
#[derive(Debug, thiserror::Error)]
#[error("the department's desk and the exchange database: {0}")]
pub struct DeskError(#[from] tokio_postgres::Error);

/// The latest row of `up_pro_accept` of a case, and how far the desk has come with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDesk {
    /// `row_guid` of the row.
    pub row: String,
    /// 办件编号.
    pub case: String,
    /// Code of the matter.
    pub matter: String,
    /// What the desk does next.
    pub next: DeskStep,
}

/// The steps of a desk, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeskStep {
    /// 受理.
    Accept,
    /// Decided for the applicant.
    Grant,
    /// A licence is issued and reported.
    Result,
}

impl DeskStep {
    /// Its word in `dn_pro_step`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Grant => "grant",
            Self::Result => "result",
        }
    }
}

/// A connection from the department's side. Dropping it closes it.
pub struct DepartmentDesk {
    client: Client,
    connection: JoinHandle<()>,
}

impl Drop for DepartmentDesk {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The latest row of each case that was neither withdrawn nor is older than `$1`, and which of the desk's steps were
/// taken: 0 not written, 1 written, 2 taken, 3 refused.
const ON_DESK: &str = "
    SELECT row_guid::text, project_no::text, task_code::text, state('accept'), state('grant'), state('result')
    FROM (SELECT DISTINCT ON (project_no) row_guid, project_no, task_code, dept_code, cd_operation, cd_time
          FROM up_pro_accept ORDER BY project_no, cd_time DESC, cd_operation) AS latest
    WHERE cd_operation <> 'D' AND dept_code = $2 AND cd_time > $1::text::timestamp
    ORDER BY cd_time, row_guid";

/// [`ON_DESK`] as PostgreSQL takes it.
fn on_desk() -> String {
    let mut sql = ON_DESK.to_owned();
    for step in ["accept", "grant", "result"] {
        let state = format!(
            "coalesce((SELECT CASE WHEN taken IS NULL THEN 1 WHEN taken_code IS NULL THEN 2 ELSE 3 END
             FROM dn_pro_step AS step WHERE step.row_guid = latest.row_guid || '.{step}'), 0)"
        );
        sql = sql.replace(&format!("state('{step}')"), &state);
    }
    sql
}

impl DepartmentDesk {
    /// Connects with a PostgreSQL connection string, without TLS: the database is on this machine.
    ///
    /// # Errors
    /// The database's.
    pub async fn connect(connection: &str) -> Result<Self, DeskError> {
        let (client, connection) = tokio_postgres::connect(connection, NoTls).await?;
        let connection = tokio::spawn(async move {
            let _ = connection.await; // the next call tells
        });
        client
            .batch_execute("SET TIME ZONE 'Asia/Shanghai'; SET client_min_messages = error")
            .await?;
        Ok(Self { client, connection })
    }

    /// The cases that wait for this department's desk, oldest first: what was handed over after `since`, Beijing time as
    /// `2026-03-02 09:30:00`, and is not through yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn waiting(&self, department: &str, since: &str) -> Result<Vec<OnDesk>, DeskError> {
        let rows = self.client.query(&on_desk(), &[&since, &department]).await?;
        let mut waiting = Vec::new();
        for row in rows {
            let state = |column: usize| row.try_get::<_, i32>(3 + column);
            let next = match (state(0)?, state(1)?, state(2)?) {
                (0, _, _) => DeskStep::Accept,
                (2, 0, _) => DeskStep::Grant,
                (2, 2, 0) => DeskStep::Result,
                // Not taken yet, or refused: a clerk did it by hand.
                _ => continue,
            };
            let (row, case, matter) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            waiting.push(OnDesk { row, case, matter, next });
        }
        Ok(waiting)
    }

    /// The signed package that came with a row.
    ///
    /// # Errors
    /// The database's; also when there is no such row.
    pub async fn package(&self, row: &str) -> Result<Bytes, DeskError> {
        let sql = "SELECT package FROM up_pro_accept WHERE row_guid = $1";
        let package: Vec<u8> = self.client.query_one(sql, &[&row]).await?.try_get(0)?;
        Ok(package.into())
    }

    /// Reports the next step; once for a row, however often it is called.
    ///
    /// # Errors
    /// The database's.
    pub async fn report(
        &self,
        on_desk: &OnDesk,
        remark: &str,
        licence: Option<&str>,
    ) -> Result<(), DeskError> {
        let word = on_desk.next.word();
        self.write_step(
            &format!("{}.{word}", on_desk.row),
            &on_desk.case,
            word,
            remark,
            "",
            licence,
        )
        .await
    }

    /// Writes a step.
    ///
    /// * `items`: JSON, for a supplement; else empty.
    ///
    /// # Errors
    /// The database's.
    pub async fn write_step(
        &self,
        row: &str,
        case: &str,
        step: &str,
        remark: &str,
        items: &str,
        licence: Option<&str>,
    ) -> Result<(), DeskError> {
        let sql = "INSERT INTO dn_pro_step
                   (row_guid, project_no, step, remark, items, certificate_source_id, step_time)
                   VALUES ($1, $2, $3, $4, $5, $6, localtimestamp) ON CONFLICT (row_guid) DO NOTHING";
        self.client.execute(sql, &[&row, &case, &step, &remark, &items, &licence]).await?;
        Ok(())
    }

    /// Runs statements.
    ///
    /// # Errors
    /// The database's.
    pub async fn execute(&self, sql: &str) -> Result<(), DeskError> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// One text column of a query.
    ///
    /// # Errors
    /// The database's.
    pub async fn texts(&self, sql: &str) -> Result<Vec<String>, DeskError> {
        let rows = self.client.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }
}
