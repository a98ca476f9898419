//! A province's exchange database in MariaDB: a real server, with a database for each test.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use connectors::{
    Connector, ConnectorSettings, Shared,
    local_mariadb::{LocalMariaDb, Options, Programs},
    rules::{Counterpart, samples},
};
use licence::{Licence, Seq};
use mysql_async::prelude::Queryable;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::province::open;

/// One MariaDB server.
#[derive(Clone)]
pub struct Maria(Arc<Inner>);

struct Inner {
    /// Before `folder`, so that it ends before its files are removed.
    server: Mutex<Option<LocalMariaDb>>,
    folder: TempDir,
    options: Options,
    socket: PathBuf,
    databases: AtomicU32,
}

pub fn programs() -> Programs {
    LocalMariaDb::find().expect("MariaDB's programs: the Debian package `mariadb-server`")
}

/// Empty databases in the build folder: the first test makes them, the others copy them.
pub fn prepared() -> Option<PathBuf> {
    Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("mariadb"))
}

impl Maria {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub async fn start_with(mut options: Options) -> Self {
        options.prepared = prepared();
        let folder = TempDir::new().unwrap();
        let server = LocalMariaDb::start(folder.path(), &programs(), &options).await.unwrap();
        let socket = server.socket().to_owned();
        Self(Arc::new(Inner {
            folder,
            options,
            server: Mutex::new(Some(server)),
            socket,
            databases: AtomicU32::new(0),
        }))
    }

    pub async fn stop(&self) {
        if let Some(server) = self.0.server.lock().await.take() {
            server.stop().await;
        }
    }

    pub async fn start_again(&self) {
        let (folder, options) = (self.0.folder.path(), &self.0.options);
        let server = LocalMariaDb::start(folder, &programs(), options).await.unwrap();
        *self.0.server.lock().await = Some(server);
    }

    pub fn socket(&self) -> &Path {
        &self.0.socket
    }

    /// A database of its own.
    pub async fn database(&self) -> MariaSchema {
        let number = self.0.databases.fetch_add(1, Ordering::Relaxed);
        let database = MariaSchema { maria: self.clone(), name: format!("test_{number}") };
        let mut client = self.root(None).await;
        client.query_drop(format!("CREATE DATABASE {}", database.name)).await.unwrap();
        database
    }

    async fn root(&self, database: Option<&str>) -> mysql_async::Conn {
        let options = mysql_async::OptsBuilder::default()
            .socket(Some(self.0.socket.display().to_string()))
            .user(Some("root"))
            .db_name(database);
        mysql_async::Conn::new(options).await.unwrap()
    }
}

/// A database of a server, with the tables in it once a connector made them.
#[derive(Clone)]
pub struct MariaSchema {
    pub maria: Maria,
    pub name: String,
}

impl MariaSchema {
    pub fn settings(&self) -> ConnectorSettings {
        ConnectorSettings {
            name: "province".to_owned(),
            kind: "frontdb".to_owned(),
            dialect: Some("mariadb".to_owned()),
            host: Some(self.maria.0.socket.to_str().unwrap().to_owned()),
            user: Some("root".to_owned()),
            database: Some(self.name.clone()),
            create_tables: Some(true),
            connect_timeout_ms: Some(2_000),
            timeout_ms: Some(10_000),
            ..ConnectorSettings::default()
        }
    }

    pub fn connector(&self) -> Box<dyn Connector> {
        open(&self.settings())
    }

    /// A connector, and the tables.
    pub async fn ready(&self) -> Box<dyn Connector> {
        let connector = self.connector();
        connector.counts().await.expect("the tables are made");
        connector
    }

    pub async fn client(&self) -> mysql_async::Conn {
        self.maria.root(Some(&self.name)).await
    }

    pub async fn execute(&self, sql: &str) {
        self.client().await.query_drop(sql).await.unwrap();
    }

    /// One text column of a query.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        self.client().await.query(sql).await.unwrap()
    }

    pub async fn count(&self) -> i64 {
        let counted = self.client().await.query_first("SELECT count(*) FROM up_lic_data").await;
        counted.unwrap().unwrap()
    }

    /// The province finds fault with a change.
    pub async fn refuse(&self, seq: u64, remark: &str, time: &str) {
        self.execute(&format!(
            "INSERT INTO dn_lic_data_error SELECT row_guid, certificate_source_id, '{remark}', {time} \
             FROM up_lic_data WHERE row_guid = 'province-{seq:020}'"
        ))
        .await;
    }
}

#[async_trait]
impl Counterpart for MariaSchema {
    fn connector(&self) -> Box<dyn Connector> {
        self.connector()
    }

    async fn held(&self) -> Vec<Seq> {
        let exists = self
            .texts("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'up_lic_data'")
            .await;
        if exists.is_empty() {
            return Vec::new();
        }
        // The table is kept in the order of its key; that rows came in this order does not show.
        let guids = self.texts("SELECT row_guid FROM up_lic_data ORDER BY row_guid").await;
        guids
            .iter()
            .map(|guid| Seq(guid.strip_prefix("province-").unwrap().parse().unwrap()))
            .collect()
    }

    fn spoil(&self, record: Shared) -> Shared {
        let mut licence: Licence = (*record.licence).clone();
        licence.issuer_name = "很长".repeat(200);
        samples::of_licence(record.seq().0, licence)
    }

    async fn go_down(&mut self) {
        self.maria.stop().await;
    }

    async fn come_up(&mut self) {
        self.maria.start_again().await;
    }
}
