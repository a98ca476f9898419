//! An exchange database in a server of its own, reached by TLS through a relay on which the network fails: what fault
//! schedules play with.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
    process::Command,
};

use connectors::{
    ConnectorSettings,
    local_mariadb::{self, LocalMariaDb},
    local_postgres::{self, LocalPostgres, TlsListener},
};
use mysql_async::prelude::Queryable;
use tempfile::TempDir;

use super::{city::Authority, maria, province::programs, relay::Relay};

pub enum Server {
    Postgres(Option<LocalPostgres>, local_postgres::Options),
    Maria(Option<LocalMariaDb>, local_mariadb::Options),
}

/// An exchange database in a server of its own, behind a relay.
pub struct Exchange {
    pub server: Server,
    pub relay: Relay,
    pub settings: ConnectorSettings,
    pub folder: TempDir,
    data: TempDir,
}

impl Exchange {
    pub async fn both() -> [Self; 2] {
        let authority = Authority::new("province");
        let server = authority.server("127.0.0.1");
        [
            Self::start(true, &authority.pem, &server.certificate, &server.key).await,
            Self::start(false, &authority.pem, &server.certificate, &server.key).await,
        ]
    }

    pub async fn start(postgres: bool, ca: &str, certificate: &str, key: &str) -> Self {
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
        let mut peer = Self { server, relay, settings, folder, data };
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

    pub fn is_postgres(&self) -> bool {
        matches!(self.server, Server::Postgres(..))
    }

    pub async fn come_up(&mut self) {
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

    pub async fn go_down(&mut self) {
        match &mut self.server {
            Server::Postgres(server, _) => server.take().unwrap().stop().await,
            Server::Maria(server, _) => server.take().unwrap().stop().await,
        }
    }

    /// Runs SQL on the server's side, and gives the first column as text.
    pub async fn run(&self, sql: &str, database: &str) -> Vec<String> {
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

    pub async fn sql(&self, postgres: &str, maria: &str) -> Vec<String> {
        self.run(if self.is_postgres() { postgres } else { maria }, "exchange").await
    }

    /// Where the server keeps its files: the owner of this folder is the server's user.
    fn files(&self) -> PathBuf {
        match &self.server {
            Server::Postgres(server, _) => server.as_ref().unwrap().socket_folder().to_owned(),
            Server::Maria(server, _) => {
                server.as_ref().unwrap().socket().parent().unwrap().to_owned()
            }
        }
    }

    /// The second column of the first row, of MariaDB.
    async fn second(&self, sql: &str) -> String {
        let Server::Maria(server, _) = &self.server else { panic!("{sql} is MariaDB's") };
        let mut client = server.as_ref().unwrap().connect().await.unwrap();
        client.query_drop("USE exchange").await.unwrap();
        let row: Option<(String, String)> = client.query_first(sql).await.unwrap();
        row.unwrap().1
    }

    /// From the next start on the server shows this certificate.
    pub fn show(&mut self, certificate: &str, key: &str) {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        match &mut self.server {
            Server::Postgres(_, options) => {
                let tls = options.tls.as_mut().unwrap();
                (tls.certificate, tls.key) = (certificate, key);
            }
            Server::Maria(_, options) => options.tls = Some((certificate, key)),
        }
    }
}

/// The room that a table has left: a small file system below it where we are root, else a trigger that answers as the
/// server does without any (SQLSTATE 53100, error 1114).
pub enum SmallDisk {
    Mounted {
        at: PathBuf,
        _folder: TempDir,
    },
    /// On this table.
    Trigger(String),
}

impl SmallDisk {
    /// Moves a table there.
    pub async fn below(exchange: &Exchange, table: &str) -> Self {
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            return Self::Trigger(table.to_owned());
        }
        // Both servers run as users of their own, who have to reach it.
        let folder = tempfile::Builder::new().prefix("yihao-small-disk-").tempdir_in("/var/tmp");
        let folder = folder.unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let at = folder.path().join("disk");
        std::fs::create_dir(&at).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&at).status();
        assert!(mount.unwrap().success());
        let disk = Self::Mounted { at: at.clone(), _folder: folder };
        let data = at.join("data");
        std::fs::create_dir(&data).unwrap();
        let owner = std::fs::metadata(exchange.files()).unwrap();
        chown(&data, Some(owner.uid()), Some(owner.gid())).unwrap();
        let data = data.display();
        if exchange.is_postgres() {
            exchange.run(&format!("CREATE TABLESPACE small LOCATION '{data}'"), "exchange").await;
            exchange.run(&format!("ALTER TABLE {table} SET TABLESPACE small"), "exchange").await;
        } else {
            // A table's place is given when it is made.
            let made = exchange.second(&format!("SHOW CREATE TABLE {table}")).await;
            exchange.run(&format!("RENAME TABLE {table} TO old_rows"), "exchange").await;
            exchange.run(&format!("{made} DATA DIRECTORY='{data}'"), "exchange").await;
            exchange.run(&format!("INSERT INTO {table} SELECT * FROM old_rows"), "exchange").await;
            exchange.run("DROP TABLE old_rows", "exchange").await;
        }
        disk
    }

    /// Something else takes all the room.
    pub async fn fill(&self, exchange: &Exchange) {
        match self {
            Self::Mounted { at, .. } => {
                let mut filler = std::fs::File::create(at.join("filler")).unwrap();
                while std::io::Write::write_all(&mut filler, &[1; 4_096]).is_ok() {}
            }
            Self::Trigger(table) if exchange.is_postgres() => {
                exchange
                    .run(
                        &format!(
                            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                                 RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'No space left on device'; END $$;
                             CREATE TRIGGER full_disk BEFORE INSERT ON {table}
                             FOR EACH ROW EXECUTE FUNCTION full_disk()"
                        ),
                        "exchange",
                    )
                    .await;
            }
            Self::Trigger(table) => {
                exchange
                    .run(
                        &format!(
                            "CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW
                             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'"
                        ),
                        "exchange",
                    )
                    .await;
            }
        }
    }

    /// There is room again.
    pub async fn empty(&self, exchange: &Exchange) {
        match self {
            Self::Mounted { at, .. } => {
                // Room for everything that is to come.
                let more = Command::new("mount").args(["-o", "remount,size=64m"]).arg(at).status();
                assert!(more.unwrap().success());
                std::fs::remove_file(at.join("filler")).unwrap();
            }
            Self::Trigger(table) if exchange.is_postgres() => {
                exchange.run(&format!("DROP TRIGGER full_disk ON {table}"), "exchange").await;
            }
            Self::Trigger(_) => {
                exchange.run("DROP TRIGGER full_disk", "exchange").await;
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Self::Mounted { at, .. } = self {
            let _ = Command::new("umount").arg("--lazy").arg(at).status();
        }
    }
}
