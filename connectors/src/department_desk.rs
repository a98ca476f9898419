//! A department's system, played over the case tables of an exchange database: what the demo and the tests hand cases
//! to. It takes every case that comes and grants it; a real one has people.

use std::path::Path;

use bytes::Bytes;
use mysql_async::{Conn, OptsBuilder, Row as MariaRow, prelude::Queryable};
use tokio::{sync::Mutex, task::JoinHandle};
use tokio_postgres::{Client, NoTls};

/// Why the desk cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// PostgreSQL, or the connection to it.
    #[error("the department's desk and the exchange database: {0}")]
    PostgreSql(#[from] tokio_postgres::Error),
    /// MariaDB, or the connection to it.
    #[error("the department's desk and the exchange database: {0}")]
    MariaDb(#[from] mysql_async::Error),
    /// There is no such row, or a column is not of its type.
    #[error("the department's desk does not find what it looks for")]
    NotFound,
}

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
pub struct DepartmentDesk(Database);

enum Database {
    PostgreSql { client: Client, _connection: Task },
    MariaDb(Mutex<Conn>),
}

/// Reads and writes the connection until it is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The latest row of each case that was neither withdrawn nor is older than `{since}`, and which of the desk's steps were
/// taken: 0 not written, 1 written, 2 taken, 3 refused. Both databases understand it once the words in braces are theirs.
const ON_DESK: &str = "
    SELECT row_guid, project_no, task_code, {accept}, {grant}, {result}
    FROM (SELECT row_guid, project_no, task_code, dept_code, cd_operation, cd_time,
                 row_number() OVER (PARTITION BY project_no ORDER BY cd_time DESC, cd_operation) AS place
          FROM up_pro_accept) AS latest
    WHERE place = 1 AND cd_operation <> 'D' AND dept_code = {department} AND cd_time > {since}
    ORDER BY cd_time, row_guid";

/// [`ON_DESK`] with these places for the values.
fn on_desk(department: &str, since: &str) -> String {
    let mut sql = ON_DESK.replace("{department}", department).replace("{since}", since);
    for step in ["accept", "grant", "result"] {
        let state = format!(
            "coalesce((SELECT CASE WHEN taken IS NULL THEN 1 WHEN taken_code IS NULL THEN 2 ELSE 3 END
             FROM dn_pro_step AS step WHERE step.row_guid = CONCAT(latest.row_guid, '.{step}')), 0)"
        );
        sql = sql.replace(&format!("{{{step}}}"), &state);
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
        Ok(Self(Database::PostgreSql { client, _connection: Task(connection) }))
    }

    /// Connects to a database of a MariaDB server as its user `root` without a password, through its Unix socket.
    ///
    /// # Errors
    /// The database's.
    pub async fn connect_mariadb(socket: &Path, database: &str) -> Result<Self, DeskError> {
        let options = OptsBuilder::default()
            .socket(Some(socket.display().to_string()))
            .prefer_socket(true)
            .user(Some("root"))
            .db_name(Some(database));
        let mut connection = Conn::new(options).await?;
        connection
            .query_drop("SET time_zone = '+08:00', NAMES utf8mb4 COLLATE utf8mb4_bin")
            .await?;
        Ok(Self(Database::MariaDb(Mutex::new(connection))))
    }

    /// Runs statements on the department's own tables.
    ///
    /// # Errors
    /// The database's.
    pub async fn run(&self, sql: &str) -> Result<(), DeskError> {
        match &self.0 {
            Database::PostgreSql { client, .. } => Ok(client.batch_execute(sql).await?),
            Database::MariaDb(connection) => Ok(connection.lock().await.query_drop(sql).await?),
        }
    }

    /// The cases that wait for this department's desk, oldest first: what was handed over after `since`, Beijing time as
    /// `2026-03-02 09:30:00`, and is not through yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn waiting(&self, department: &str, since: &str) -> Result<Vec<OnDesk>, DeskError> {
        type Found = (String, String, String, i32, i32, i32);
        let found: Vec<Found> = match &self.0 {
            Database::PostgreSql { client, .. } => {
                let sql = on_desk("$2", "$1::text::timestamp");
                let rows = client.query(&sql, &[&since, &department]).await?;
                let found = rows.iter().map(|row| {
                    let text = |column: usize| row.try_get(column);
                    let state = |column: usize| row.try_get(column);
                    Ok((text(0)?, text(1)?, text(2)?, state(3)?, state(4)?, state(5)?))
                });
                found.collect::<Result<_, tokio_postgres::Error>>()?
            }
            Database::MariaDb(connection) => {
                let sql = on_desk("?", "?");
                connection.lock().await.exec(sql, (department, since)).await?
            }
        };
        let mut waiting = Vec::new();
        for (row, case, matter, accept, grant, result) in found {
            let next = match (accept, grant, result) {
                (0, _, _) => DeskStep::Accept,
                (2, 0, _) => DeskStep::Grant,
                (2, 2, 0) => DeskStep::Result,
                // Not taken yet, or refused: a clerk did it by hand.
                _ => continue,
            };
            waiting.push(OnDesk { row, case, matter, next });
        }
        Ok(waiting)
    }

    /// The signed package that came with a row.
    ///
    /// # Errors
    /// The database's; also when there is no such row.
    pub async fn package(&self, row: &str) -> Result<Bytes, DeskError> {
        let sql =
            |place: &str| format!("SELECT package FROM up_pro_accept WHERE row_guid = {place}");
        let package: Vec<u8> = match &self.0 {
            Database::PostgreSql { client, .. } => {
                client.query_one(&sql("$1"), &[&row]).await?.try_get(0)?
            }
            Database::MariaDb(connection) => {
                let found = connection.lock().await.exec_first(sql("?"), (row,)).await?;
                found.ok_or(DeskError::NotFound)?
            }
        };
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
        const INSERT: &str = "INSERT INTO dn_pro_step
            (row_guid, project_no, step, remark, items, certificate_source_id, step_time)";
        match &self.0 {
            Database::PostgreSql { client, .. } => {
                let sql = format!(
                    "{INSERT} VALUES ($1, $2, $3, $4, $5, $6, localtimestamp) ON CONFLICT (row_guid) DO NOTHING"
                );
                client.execute(&sql, &[&row, &case, &step, &remark, &items, &licence]).await?;
            }
            Database::MariaDb(connection) => {
                let sql = format!(
                    "{INSERT} VALUES (?, ?, ?, ?, ?, ?, localtimestamp(6))
                     ON DUPLICATE KEY UPDATE row_guid = dn_pro_step.row_guid"
                );
                let values = (row, case, step, remark, items, licence);
                connection.lock().await.exec_drop(sql, values).await?;
            }
        }
        Ok(())
    }

    /// Runs statements; on MariaDB one.
    ///
    /// # Errors
    /// The database's.
    pub async fn execute(&self, sql: &str) -> Result<(), DeskError> {
        match &self.0 {
            Database::PostgreSql { client, .. } => client.batch_execute(sql).await?,
            Database::MariaDb(connection) => connection.lock().await.query_drop(sql).await?,
        }
        Ok(())
    }

    /// One text column of a query.
    ///
    /// # Errors
    /// The database's.
    pub async fn texts(&self, sql: &str) -> Result<Vec<String>, DeskError> {
        match &self.0 {
            Database::PostgreSql { client, .. } => {
                let rows = client.query(sql, &[]).await?;
                Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
            }
            Database::MariaDb(connection) => {
                let rows: Vec<MariaRow> = connection.lock().await.query(sql).await?;
                rows.into_iter()
                    .map(|mut row| row.take_opt(0).and_then(Result::ok).ok_or(DeskError::NotFound))
                    .collect()
            }
        }
    }
}
