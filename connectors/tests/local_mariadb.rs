//! MariaDB servers of one's own from Debian's package.

use std::process::Command;

use connectors::local_mariadb::{LocalMariaDb, LocalMariaDbError, Options, Programs};
use mysql_async::prelude::Queryable;
use tempfile::TempDir;

fn programs() -> Programs {
    LocalMariaDb::find().expect("MariaDB's programs: the Debian package `mariadb-server`")
}

async fn start(folder: &TempDir) -> Result<LocalMariaDb, LocalMariaDbError> {
    LocalMariaDb::start(folder.path(), &programs(), &Options::default()).await
}

async fn keep_one(server: &LocalMariaDb) {
    let mut client = server.connect().await.unwrap();
    client.query_drop("CREATE DATABASE kept").await.unwrap();
    client.query_drop("CREATE TABLE kept.kept (n int) AS SELECT 1 AS n").await.unwrap();
}

async fn count(server: &LocalMariaDb) -> i64 {
    let mut client = server.connect().await.unwrap();
    client.query_first("SELECT count(*) FROM kept.kept").await.unwrap().unwrap()
}

#[tokio::test]
async fn one_folder_runs_once_and_what_was_written_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = start(&folder).await.unwrap();
    keep_one(&server).await;
    let error = start(&folder).await.unwrap_err();
    assert!(matches!(error, LocalMariaDbError::InUse { .. }), "{error}");
    assert_eq!(error.code(), "mariadb_in_use");
    server.stop().await;
    let server = start(&folder).await.unwrap();
    assert_eq!(count(&server).await, 1);
    let pid = folder.path().join("server.pid");
    assert!(pid.exists());
    drop(server);
    assert!(!pid.exists(), "dropping it ended it in good order");
}

/// What a killed run leaves behind: a keeper that is gone and a server that still runs.
#[tokio::test]
async fn a_server_whose_starter_is_gone_ends_and_its_folder_is_taken_over() {
    let folder = TempDir::new().unwrap();
    let server = start(&folder).await.unwrap();
    keep_one(&server).await;
    let pid = std::fs::read_to_string(folder.path().join("server.pid")).unwrap();
    let killed = Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
    assert!(killed.success());
    drop(server);
    let server = start(&folder).await.unwrap();
    assert_eq!(count(&server).await, 1);
}
