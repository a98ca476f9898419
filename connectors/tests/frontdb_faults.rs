//! The fault schedule of `frontdb`, on PostgreSQL and on MariaDB: after each fault the database holds exactly what the
//! log says, and the set-aside list says the rest and why.
//!
//! An exchange database has no tokens that expire; a password that is changed is what comes nearest. A full disk is
//! played by a trigger that answers as the server does then (SQLSTATE 53100, error 1114): filling a file system for
//! real takes root.

mod support;

use std::sync::Arc;

use connectors::{
    ConnectorSettings, Runner, RunnerHandle, RunnerSettings,
    local_mariadb::{self, LocalMariaDb},
    local_postgres::{self, LocalPostgres, TlsListener},
};
use indexes::{LicenceStore, MemoryStore};
use licence::StatusChange;
use mysql_async::prelude::Queryable;
use support::{
    caught_up, change,
    city::Authority,
    issue, maria,
    province::{open, programs},
    quick,
    relay::{Relay, Weather},
    set_asides, until,
};
use tempfile::TempDir;

enum Server {
    Postgres(Option<LocalPostgres>, local_postgres::Options),
    Maria(Option<LocalMariaDb>, local_mariadb::Options),
}

/// An exchange database behind a relay, and a hub's log.
struct Peer {
    server: Server,
    relay: Relay,
    settings: ConnectorSettings,
    store: Arc<dyn LicenceStore>,
    folder: TempDir,
    data: TempDir,
}

impl Peer {
    async fn both() -> [Self; 2] {
        let authority = Authority::new("province");
        let server = authority.server("127.0.0.1");
        [
            Self::start(true, &authority.pem, &server.certificate, &server.key).await,
            Self::start(false, &authority.pem, &server.certificate, &server.key).await,
        ]
    }

    async fn start(postgres: bool, ca: &str, certificate: &str, key: &str) -> Self {
        let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let server = if postgres {
            let tls = Some(TlsListener { port, certificate, key });
            Server::Postgres(None, local_postgres::Options { tls })
        } else {
            let tls = Some((certificate, key));
            let options = local_mariadb::Options {
                port: Some(port),
                tls,
                prepared: maria::prepared(),
                ..Default::default()
            };
            Server::Maria(None, options)
        };
        let relay = Relay::to(([127, 0, 0, 1], port).into()).await;
        std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
        std::fs::write(folder.path().join("password"), "right\n").unwrap();
        let settings = ConnectorSettings {
            name: "province".to_owned(),
            kind: "frontdb".to_owned(),
            dialect: Some(if postgres { "postgresql" } else { "mariadb" }.to_owned()),
            host: Some("127.0.0.1".to_owned()),
            port: Some(relay.address().port()),
            user: Some("hub".to_owned()),
            database: Some("exchange".to_owned()),
            password_file: Some(folder.path().join("password")),
            ca: Some(folder.path().join("ca.pem")),
            create_tables: Some(true),
            connect_timeout_ms: Some(1_000),
            timeout_ms: Some(1_000),
            ..ConnectorSettings::default()
        };
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        let mut peer = Self { server, relay, settings, store, folder, data };
        peer.come_up().await;
        if postgres {
            peer.run("CREATE ROLE hub LOGIN SUPERUSER PASSWORD 'right'", "postgres").await;
            peer.run("CREATE DATABASE exchange", "postgres").await;
        } else {
            peer.run("CREATE USER hub@127.0.0.1 IDENTIFIED BY 'right' REQUIRE SSL", "mysql").await;
            peer.run("GRANT ALL ON *.* TO hub@127.0.0.1", "mysql").await;
            peer.run("CREATE DATABASE exchange", "mysql").await;
        }
        peer
    }

    fn is_postgres(&self) -> bool {
        matches!(self.server, Server::Postgres(..))
    }

    async fn come_up(&mut self) {
        let folder = self.data.path();
        match &mut self.server {
            Server::Postgres(server, options) => {
                let started = LocalPostgres::start_with(folder, &programs(), options).await;
                *server = Some(started.unwrap());
            }
            Server::Maria(server, options) => {
                let started = LocalMariaDb::start(folder, &maria::programs(), options).await;
                *server = Some(started.unwrap());
            }
        }
    }

    async fn go_down(&mut self) {
        match &mut self.server {
            Server::Postgres(server, _) => server.take().unwrap().stop().await,
            Server::Maria(server, _) => server.take().unwrap().stop().await,
        }
    }

    /// Runs SQL on the server's side, and gives the first column as text.
    async fn run(&self, sql: &str, database: &str) -> Vec<String> {
        match &self.server {
            Server::Postgres(server, _) => {
                let to = server.as_ref().unwrap().connection();
                let to = to.replace("dbname=postgres", &format!("dbname={database}"));
                let connected = tokio_postgres::connect(&to, tokio_postgres::NoTls).await;
                let (client, connection) = connected.unwrap();
                tokio::spawn(connection);
                let messages = client.simple_query(sql).await.unwrap();
                let rows = messages.iter().filter_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                    _ => None,
                });
                rows.collect()
            }
            Server::Maria(server, _) => {
                let mut client = server.as_ref().unwrap().connect().await.unwrap();
                client.query_drop(format!("USE {database}")).await.unwrap();
                client.query(sql).await.unwrap()
            }
        }
    }

    async fn sql(&self, postgres: &str, maria: &str) -> Vec<String> {
        self.run(if self.is_postgres() { postgres } else { maria }, "exchange").await
    }

    /// 40 licences, of which one is suspended again: 41 changes.
    async fn fill(&self, from: u64) {
        let licences = issue(&*self.store, from, 40).await;
        change(&*self.store, &licences[0], StatusChange::Suspend).await;
    }

    fn runner(&self) -> RunnerHandle {
        let settings = RunnerSettings { batch: 25, ..quick() };
        Runner::start(self.store.clone(), open(&self.settings), settings)
    }

    /// The code of the last failure once there is one.
    async fn fails(&self, runner: &RunnerHandle) -> String {
        until(runner, |state| state.is_failing()).await.last_error.unwrap().code
    }

    /// The rows are the changes of the log, each once, but for these; those are set aside with these codes.
    async fn settles(&self, runner: &RunnerHandle, refused: &[(u64, &str)]) {
        caught_up(runner, &*self.store).await;
        let head = self.store.head().await.unwrap().0;
        let refused: Vec<(u64, String)> =
            refused.iter().map(|(seq, code)| (*seq, (*code).to_owned())).collect();
        assert_eq!(set_asides(&*self.store, "province").await, refused);
        let count = "SELECT CAST(count(*) AS CHAR(9)) FROM up_lic_data";
        let missing = refused.iter().filter(|(_, code)| code == "value_refused").count() as u64;
        let found = self.run(count, "exchange").await;
        assert_eq!(found[0].trim(), (head - missing).to_string());
        let same = "SELECT row_guid FROM up_lic_data ORDER BY row_guid";
        let expected: Vec<String> = (0..head)
            .filter(|seq| !refused.iter().any(|(out, code)| out == seq && code == "value_refused"))
            .map(|seq| format!("province-{seq:020}"))
            .collect();
        assert_eq!(self.run(same, "exchange").await, expected);
    }
}

/// In this weather sending fails; when it is fair again, everything arrives.
async fn weather(bad: Weather, codes: &[&str]) {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        peer.relay.set(bad);
        peer.fill(100).await;
        let code = peer.fails(&runner).await;
        assert!(codes.contains(&code.as_str()), "{code}");
        peer.relay.set(Weather::Fair);
        peer.settles(&runner, &[]).await;
    }
}

const GONE: [&str; 4] = ["connect_failed", "connection_lost", "tls_failed", "timed_out"];

#[tokio::test]
async fn connection_refused() {
    weather(Weather::Refuse, &GONE).await;
}

#[tokio::test]
async fn hang() {
    weather(Weather::Hang, &["timed_out", "connect_failed"]).await;
}

#[tokio::test]
async fn cut_in_the_middle_of_a_batch() {
    weather(Weather::CutSending(3_000), &GONE).await;
}

/// The batch may be written, and its answer does not arrive: it comes again, and is there once.
#[tokio::test]
async fn cut_before_the_answer() {
    weather(Weather::CutAnswer(40), &GONE).await;
}

#[tokio::test]
async fn slow() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        peer.relay.set(Weather::Slow(200_000));
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
    }
}

/// Half of a batch is there already, from an attempt whose rest went another way.
#[tokio::test]
async fn half_applied() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        runner.stop().await;
        peer.run(
            "DELETE FROM up_lic_data WHERE row_guid > 'province-00000000000000000017'",
            "exchange",
        )
        .await;
        peer.store.save_cursor("province", licence::Seq(0)).await.unwrap();
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
    }
}

/// The province says twice what it says, and says it of two records.
#[tokio::test]
async fn duplicate_answer() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        for _ in 0..2 {
            peer.run(
                "INSERT INTO dn_lic_data_error SELECT row_guid, certificate_source_id, '退回', '2025-03-01 10:00:00' \
                 FROM up_lic_data WHERE row_guid IN ('province-00000000000000000003', 'province-00000000000000000004')",
                "exchange",
            )
            .await;
        }
        until(&runner, |state| state.set_aside == 2).await;
        peer.settles(&runner, &[(3, "error_row"), (4, "error_row")]).await;
    }
}

#[tokio::test]
async fn an_error_for_one_record_of_a_batch() {
    for peer in Peer::both().await {
        peer.runner().reconcile().await.unwrap(); // the tables are made
        peer.run("ALTER TABLE up_lic_data ADD CHECK (row_guid NOT LIKE '%07')", "exchange").await;
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[(7, "value_refused")]).await;
    }
}

/// Something else answers at the address.
#[tokio::test]
async fn wrong_answer() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // Whether it is heard does not matter.
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for peer in Peer::both().await {
        peer.fill(0).await;
        let elsewhere = ConnectorSettings { port: Some(port), ..peer.settings.clone() };
        let runner = Runner::start(peer.store.clone(), open(&elsewhere), quick());
        peer.fails(&runner).await;
        assert_eq!(runner.state().cursor.0, 0);
        runner.stop().await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn certificate_expired() {
    let authority = Authority::new("province");
    let (old, new) = (authority.expired_server("127.0.0.1"), authority.server("127.0.0.1"));
    for postgres in [true, false] {
        let mut peer = Peer::start(postgres, &authority.pem, &old.certificate, &old.key).await;
        peer.fill(0).await;
        let runner = peer.runner();
        assert_eq!(peer.fails(&runner).await, "tls_failed");
        peer.go_down().await;
        match &mut peer.server {
            Server::Postgres(_, options) => {
                let tls = options.tls.as_mut().unwrap();
                (tls.certificate, tls.key) = (new.certificate.clone(), new.key.clone());
            }
            Server::Maria(_, options) => {
                options.tls = Some((new.certificate.clone(), new.key.clone()));
            }
        }
        peer.come_up().await;
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn password_changed() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        peer.sql("ALTER ROLE hub PASSWORD 'new'", "ALTER USER hub@127.0.0.1 IDENTIFIED BY 'new'")
            .await;
        let runner = peer.runner();
        assert_eq!(peer.fails(&runner).await, "login_refused");
        std::fs::write(peer.folder.path().join("password"), "new").unwrap();
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn table_missing() {
    for mut peer in Peer::both().await {
        peer.settings.create_tables = None;
        peer.fill(0).await;
        let runner = peer.runner();
        assert_eq!(peer.fails(&runner).await, "table_missing");
        let creates = ConnectorSettings { create_tables: Some(true), ..peer.settings.clone() };
        open(&creates).counts().await.unwrap(); // somebody makes them
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn disk_full() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        peer.sql(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'No space left on device'; END $$;
             CREATE TRIGGER full_disk BEFORE INSERT ON up_lic_data FOR EACH ROW EXECUTE FUNCTION full_disk()",
            "CREATE TRIGGER full_disk BEFORE INSERT ON up_lic_data FOR EACH ROW
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'",
        )
        .await;
        peer.fill(100).await;
        assert_eq!(peer.fails(&runner).await, "database_failing");
        peer.sql("DROP TRIGGER full_disk ON up_lic_data", "DROP TRIGGER full_disk").await;
        peer.settles(&runner, &[]).await;
    }
}

#[tokio::test]
async fn restarted() {
    for mut peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        peer.go_down().await;
        peer.fill(100).await;
        peer.fails(&runner).await;
        peer.come_up().await;
        peer.settles(&runner, &[]).await;
    }
}

/// The province's clock is wrong by years: what it says with a time still to come hides nothing that it says later.
#[tokio::test]
async fn clock_skew() {
    for peer in Peer::both().await {
        peer.fill(0).await;
        let runner = peer.runner();
        peer.settles(&runner, &[]).await;
        for (seq, time) in
            [(3, "'2099-01-01 00:00:00'"), (4, "'1999-01-01 00:00:00'"), (5, "now()")]
        {
            peer.run(
                &format!(
                    "INSERT INTO dn_lic_data_error SELECT row_guid, certificate_source_id, '退回', {time} \
                     FROM up_lic_data WHERE row_guid = 'province-{seq:020}'"
                ),
                "exchange",
            )
            .await;
            until(&runner, |state| state.set_aside >= 1).await;
        }
        until(&runner, |state| state.set_aside == 3).await;
        let codes = [(3, "error_row"), (4, "error_row"), (5, "error_row")];
        peer.settles(&runner, &codes).await;
    }
}
