//! Servers of one's own from Debian's package.

mod support;

use connectors::local_postgres::{LocalPostgres, LocalPostgresError};
use support::province::programs;
use tempfile::TempDir;
use tokio_postgres::NoTls;

async fn client(server: &LocalPostgres) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&server.connection(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn count(server: &LocalPostgres) -> i64 {
    client(server).await.query_one("SELECT count(*) FROM kept", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    client(&server)
        .await
        .batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        .await
        .unwrap();
    server.stop().await;
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn two_folders_run_at_once_and_one_folder_only_once() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = LocalPostgres::start(one.path(), &programs()).await.unwrap();
    let second = LocalPostgres::start(two.path(), &programs()).await.unwrap();
    client(&first).await;
    client(&second).await;
    let error = LocalPostgres::start(one.path(), &programs()).await.unwrap_err();
    assert!(matches!(error, LocalPostgresError::InUse { .. }), "{error}");
    client(&first).await;
}

#[tokio::test]
async fn dropping_it_ends_the_server() {
    let folder = TempDir::new().unwrap();
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    let connection = server.connection();
    let pid = folder.path().join("data/postmaster.pid");
    assert!(pid.exists());
    drop(server);
    assert!(!pid.exists(), "it ended in good order");
    assert!(tokio_postgres::connect(&connection, NoTls).await.is_err());
}

/// What a killed run leaves behind: a server that still runs, or only its files, or half an initdb.
#[tokio::test]
async fn a_stale_folder_is_taken_over() {
    let folder = TempDir::new().unwrap();
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    client(&server)
        .await
        .batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        .await
        .unwrap();

    // The server is killed: its pid file and socket stay.
    let pid_file = folder.path().join("data/postmaster.pid");
    let pid = std::fs::read_to_string(&pid_file).unwrap().lines().next().unwrap().to_owned();
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    drop(server);
    assert!(pid_file.exists());
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    assert_eq!(count(&server).await, 1);
    drop(server);

    // The file names a process that is no server of this folder: us. It must be left alone.
    let stale = format!("{}\n{}\n", std::process::id(), folder.path().join("data").display());
    std::fs::write(&pid_file, stale).unwrap();
    let started = LocalPostgres::start(folder.path(), &programs()).await;
    drop(started);
    let _ = std::fs::remove_file(&pid_file);

    // initdb was cut short.
    std::fs::remove_file(folder.path().join("initialised")).unwrap();
    std::fs::remove_file(folder.path().join("data/global/pg_control")).unwrap();
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    client(&server).await;
}

/// The process that started a server is killed: the server ends by itself, and does not hold the folder.
#[tokio::test]
async fn the_server_ends_with_the_process_that_started_it() {
    let folder = TempDir::new().unwrap();
    // This test again, in a process of its own that starts a server and waits to be killed.
    if let Some(path) = std::env::var_os("YIHAO_TEST_ABANDON") {
        let server = LocalPostgres::start(std::path::Path::new(&path), &programs()).await.unwrap();
        std::fs::write(std::path::Path::new(&path).join("../started"), server.connection())
            .unwrap();
        std::future::pending::<()>().await;
    }
    let data = folder.path().join("data folder with spaces");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_server_ends_with_the_process_that_started_it", "--nocapture"])
        .env("YIHAO_TEST_ABANDON", &data)
        .spawn()
        .unwrap();
    let started = folder.path().join("started");
    for _ in 0..600 {
        if started.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(started.exists(), "the other process started a server");
    child.kill().unwrap();
    child.wait().unwrap();
    let server = LocalPostgres::start(&data, &programs()).await.unwrap();
    client(&server).await;
}
