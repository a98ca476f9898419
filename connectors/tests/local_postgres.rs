//! Servers of one's own from Debian's package.

mod support;

use std::{
    fs::Permissions,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

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

    // The file names a process that is no server of this folder: us. It must be left alone, and not be in the way.
    let stale = format!("{}\n{}\n", std::process::id(), folder.path().join("data").display());
    std::fs::write(&pid_file, stale).unwrap();
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    assert_eq!(count(&server).await, 1);
    drop(server);

    // initdb was cut short.
    std::fs::remove_file(folder.path().join("initialised")).unwrap();
    std::fs::remove_file(folder.path().join("data/global/pg_control")).unwrap();
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    client(&server).await;
}

/// The process that started a server is killed: the server ends by itself, and does not hold the folder.
#[tokio::test]
async fn the_server_ends_with_the_process_that_started_it() {
    // This test again, in a process of its own that starts a server and waits to be killed.
    if let Some(folder) = std::env::var_os("YIHAO_TEST_ABANDON") {
        let _server = LocalPostgres::start(Path::new(&folder), &programs()).await.unwrap();
        println!("started");
        std::future::pending::<()>().await;
    }
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_server_ends_with_the_process_that_started_it", "--nocapture"])
        .env("YIHAO_TEST_ABANDON", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().ends_with("started")),
        "the other process started a server"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let server = LocalPostgres::start(folder.path(), &programs()).await.unwrap();
    client(&server).await;
}

/// A folder whose path holds what shells and connection strings treat specially, and is too long for a socket.
#[tokio::test]
async fn unusual_paths_work() {
    let above = TempDir::new().unwrap();
    open_to_all(above.path());
    for name in ["a b, it's; $(false) \"数据\" \\", &"long".repeat(30)] {
        unusual_path_works(&above.path().join(name)).await;
    }
}

async fn unusual_path_works(folder: &Path) {
    let server = LocalPostgres::start(folder, &programs()).await.unwrap();
    client(&server).await;
    let socket_folder = server.socket_folder().to_owned();
    drop(server);
    if !socket_folder.starts_with(folder) {
        std::fs::remove_dir_all(socket_folder).unwrap();
    }
}

/// Root's own folders are closed to the user that the server must run as.
#[tokio::test]
async fn a_folder_that_the_server_cannot_reach_is_replaced_and_noted() {
    let above = TempDir::new().unwrap();
    std::fs::set_permissions(above.path(), Permissions::from_mode(0o700)).unwrap();
    let folder = above.path().join("data");
    let server = LocalPostgres::start(&folder, &programs()).await.unwrap();
    client(&server).await;
    drop(server);
    let note = std::fs::read_to_string(folder.join("where-the-database-is.txt"));
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    assert_eq!(note.is_ok(), is_root, "an ordinary user's server runs as that user");
    if let Ok(note) = note {
        let place = note.lines().last().unwrap().strip_prefix("The database is in ").unwrap();
        assert!(Path::new(place).join("data/PG_VERSION").exists());
        std::fs::remove_dir_all(place).unwrap();
    }
}

fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
}
