//! A province's exchange database: a real PostgreSQL, with a schema for each test.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use connectors::{
    CheckedConnector, Connector, ConnectorSettings, Shared, Types,
    local_postgres::{LocalPostgres, Programs},
    rules::{Counterpart, samples},
};
use licence::{Licence, Seq};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_postgres::NoTls;

/// One PostgreSQL server.
#[derive(Clone)]
pub struct Province(Arc<Inner>);

struct Inner {
    /// Before `folder`, so that it ends before its files are removed.
    server: Mutex<Option<LocalPostgres>>,
    folder: TempDir,
    programs: Programs,
    socket_folder: PathBuf,
    schemas: AtomicU32,
}

pub fn programs() -> Programs {
    LocalPostgres::find().expect("PostgreSQL's programs: the Debian package `postgresql`")
}

impl Province {
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let programs = programs();
        let server = LocalPostgres::start(folder.path(), &programs).await.unwrap();
        let socket_folder = server.socket_folder().to_owned();
        Self(Arc::new(Inner {
            folder,
            programs,
            server: Mutex::new(Some(server)),
            socket_folder,
            schemas: AtomicU32::new(0),
        }))
    }

    pub async fn stop(&self) {
        if let Some(server) = self.0.server.lock().await.take() {
            server.stop().await;
        }
    }

    pub async fn start_again(&self) {
        let server = LocalPostgres::start(self.0.folder.path(), &self.0.programs).await.unwrap();
        *self.0.server.lock().await = Some(server);
    }

    /// A schema of its own.
    pub async fn schema(&self) -> Schema {
        let number = self.0.schemas.fetch_add(1, Ordering::Relaxed);
        let schema = Schema { province: self.clone(), name: format!("test_{number}") };
        schema.execute(&format!("CREATE SCHEMA {}", schema.name)).await;
        schema
    }
}

/// A schema of a province, with the tables in it once a connector made them.
#[derive(Clone)]
pub struct Schema {
    pub province: Province,
    pub name: String,
}

impl Schema {
    pub fn settings(&self) -> ConnectorSettings {
        ConnectorSettings {
            name: "province".to_owned(),
            kind: "frontdb".to_owned(),
            host: Some(self.province.0.socket_folder.to_str().unwrap().to_owned()),
            user: Some("postgres".to_owned()),
            database: Some("postgres".to_owned()),
            schema: Some(self.name.clone()),
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

    pub async fn execute(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }

    /// A connection string that leads to this schema.
    pub fn connection(&self) -> String {
        format!(
            "host='{}' user=postgres dbname=postgres options='-c search_path={}'",
            self.province.0.socket_folder.display(),
            self.name
        )
    }

    pub async fn client(&self) -> tokio_postgres::Client {
        let connection = format!(
            "host='{}' user=postgres dbname=postgres",
            self.province.0.socket_folder.display()
        );
        let (client, connection) = tokio_postgres::connect(&connection, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path TO {}", self.name)).await.unwrap();
        client
    }

    /// One text column of a query.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.client().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub async fn count(&self) -> i64 {
        self.client().await.query_one("SELECT count(*) FROM up_lic_data", &[]).await.unwrap().get(0)
    }

    /// The province finds fault with a change.
    pub async fn refuse(&self, seq: u64, remark: &str, time: &str) {
        let sql = format!(
            "INSERT INTO dn_lic_data_error SELECT row_guid, certificate_source_id, '{remark}', {time} \
             FROM up_lic_data WHERE row_guid = 'province-{seq:020}'"
        );
        let inserted = self.client().await.execute(&sql, &[]).await.unwrap();
        assert_eq!(inserted, 1);
    }
}

pub fn open(settings: &ConnectorSettings) -> Box<dyn Connector> {
    let checked: CheckedConnector = settings.check().unwrap().connector;
    checked.open(&Types::new()).unwrap()
}

#[async_trait]
impl Counterpart for Schema {
    fn connector(&self) -> Box<dyn Connector> {
        self.connector()
    }

    async fn held(&self) -> Vec<Seq> {
        let client = self.client().await;
        let exists: bool = client
            .query_one("SELECT to_regclass('up_lic_data') IS NOT NULL", &[])
            .await
            .unwrap()
            .get(0);
        if !exists {
            return Vec::new();
        }
        let guids = self.texts("SELECT row_guid FROM up_lic_data ORDER BY ctid").await;
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
        self.province.stop().await;
    }

    async fn come_up(&mut self) {
        self.province.start_again().await;
    }
}
