//! The fault schedule of sources of rows, on PostgreSQL and on MariaDB: after each fault every row was taken once, or
//! refused once with its reason, and nothing is lost.
//!
//! An exchange database has no tokens that expire; a login that has run out or was changed is what comes nearest. A full
//! disk is played by a trigger that answers as the server does then (SQLSTATE 53100, error 1114): filling a file system
//! under a database for real takes root.

#[path = "../../connectors/tests/support/relay.rs"]
mod relay;
mod support;

use std::{path::Path, process::Command, time::Duration};

use certs::{Profile, Suite};
use connectors::{
    local_mariadb::{self, LocalMariaDb},
    local_postgres::{self, LocalPostgres, TlsListener},
};
use licence::Licence;
use relay::{Relay, Weather};
use serde_json::{Value, json};
use support::{TestHub, subject};

const COLUMNS: [(&str, &str); 16] = [
    ("zzmc", "name"),
    ("lx", "licence_type"),
    ("zzbh", "number"),
    ("czzt", "holder_name"),
    ("czztdm", "holder_number"),
    ("czztlx", "holder_kind"),
    ("fzjg", "issuer_name"),
    ("fzjgdm", "issuer"),
    ("fzrq", "issued_on"),
    ("qsrq", "valid_from"),
    ("jzrq", "valid_to"),
    ("zt", "status"),
    ("op", "operation"),
    ("clrq", "fields.established_on"),
    ("jyfw", "fields.business_scope"),
    ("cd_time", "changed_at"),
];
/// Good rows of a step; two are bad.
const GOOD: u32 = 24;

enum Server {
    Postgres(Option<LocalPostgres>),
    Maria(Option<LocalMariaDb>),
}

/// A register behind a relay, and a hub that fetches from it.
struct Scene {
    hub: TestHub,
    server: Server,
    relay: Relay,
    port: u16,
    folder: tempfile::TempDir,
    steps: u32,
}

fn market_department() -> district::Department {
    let mut all = district::issuing_departments().into_iter();
    all.find(|one| one.slug == "market-regulation").unwrap()
}

/// A program's answer.
fn answer_of(program: &str, arguments: &[&str]) -> String {
    let answer = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("{program} cannot be run ({error}); ./dev test brings it");
    });
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).unwrap().trim().to_owned()
}

impl Scene {
    async fn set(maria: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let relay = Relay::to(([127, 0, 0, 1], port).into()).await;
        let fields: Vec<Value> =
            COLUMNS.iter().map(|(name, from)| json!({ "as": name, "from": from })).collect();
        let map = json!({
            "format": "yihao-code-map-1", "fields": fields, "dates": "compact", "times": "china", "empty": "/",
            "open_ended": "20991231",
            "codes": { "status": { "valid": "01" }, "operation": { "insert": "I" } },
        });
        let settings = format!(
            "[[inbound]]\nname = \"market\"\nkind = \"exchange\"\ndialect = \"{}\"\nhost = \"127.0.0.1\"\nport = {}\n\
             user = \"hub\"\ndatabase = \"exchange\"\npassword_file = \"register.password\"\nca = \"ca.pem\"\n\
             department = \"{}\"\ntable = \"rows_out\"\ncode_map = \"map.json\"\nsignatures = \"unsigned\"\nbatch = 10\n\
             poll_ms = 50\nbackoff_min_ms = 50\nbackoff_max_ms = 200\nconnect_timeout_ms = 1000\ntimeout_ms = 1500\n",
            if maria { "mariadb" } else { "postgresql" },
            relay.address().port(),
            market_department().code,
        );
        let hub = TestHub::start_prepared("127.0.0.1:0", |path| {
            std::fs::write(path.join("map.json"), map.to_string()).unwrap();
            std::fs::write(path.join("register.password"), "right\n").unwrap();
            settings
        })
        .await;
        let server = if maria { Server::Maria(None) } else { Server::Postgres(None) };
        let mut scene = Self { hub, server, relay, port, folder, steps: 0 };
        scene.come_up("server").await;
        if maria {
            scene.sql_in("mysql", "CREATE DATABASE exchange CHARACTER SET utf8mb4");
            scene.sql_in("mysql", "CREATE USER hub@127.0.0.1 IDENTIFIED BY 'right' REQUIRE SSL");
            scene.sql_in("mysql", "GRANT SELECT, INSERT ON exchange.* TO hub@127.0.0.1");
        } else {
            scene.sql_in("postgres", "CREATE ROLE hub LOGIN PASSWORD 'right'");
            scene.sql_in("postgres", "CREATE DATABASE exchange");
        }
        let texts: String = COLUMNS
            .iter()
            .filter(|(name, _)| *name != "cd_time")
            .map(|(name, _)| format!("{name} text, "))
            .collect();
        let time = if maria { "datetime" } else { "timestamp(0)" };
        scene.sql(&format!(
            "CREATE TABLE rows_out (row_guid varchar(50) PRIMARY KEY, {texts} cd_time {time} NOT NULL)"
        ));
        scene.sql(&format!(
            "CREATE TABLE dn_lic_data_error (row_guid varchar(50), certificate_source_id varchar(128), error_remark text,
             error_time {time})"
        ));
        if !maria {
            scene.sql("GRANT SELECT ON rows_out TO hub");
            scene.sql("GRANT SELECT, INSERT ON dn_lic_data_error TO hub");
        }
        scene
    }

    fn is_maria(&self) -> bool {
        matches!(self.server, Server::Maria(_))
    }

    /// * `certificate`: the name of its files in the hub's folder.
    async fn come_up(&mut self, certificate: &str) {
        let read = |end: &str| {
            let path = self.hub.folder.path().join(format!("{certificate}{end}"));
            std::fs::read_to_string(path).unwrap()
        };
        let (certificate, key) = (read(".pem"), read(".key"));
        let (folder, port) = (self.folder.path().join("register"), self.port);
        match &mut self.server {
            Server::Postgres(server) => {
                let programs = LocalPostgres::find().expect("PostgreSQL; ./dev test brings it");
                let tls = Some(TlsListener { port, certificate, key });
                let options = local_postgres::Options { tls };
                let started = LocalPostgres::start_with(&folder, &programs, &options).await;
                *server = Some(started.unwrap());
            }
            Server::Maria(server) => {
                let programs = LocalMariaDb::find().expect("MariaDB; ./dev test brings it");
                let options = local_mariadb::Options {
                    port: Some(port),
                    tls: Some((certificate, key)),
                    prepared: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("mariadb")),
                    ..Default::default()
                };
                std::fs::create_dir_all(&folder).unwrap();
                *server = Some(LocalMariaDb::start(&folder, &programs, &options).await.unwrap());
            }
        }
    }

    async fn go_down(&mut self) {
        match &mut self.server {
            Server::Postgres(server) => server.take().unwrap().stop().await,
            Server::Maria(server) => server.take().unwrap().stop().await,
        }
    }

    fn sql_in(&self, database: &str, text: &str) -> String {
        match &self.server {
            Server::Postgres(server) => {
                let to = server.as_ref().unwrap().connection();
                let to = to.replace("dbname=postgres", &format!("dbname={database}"));
                answer_of("psql", &[&to, "-v", "ON_ERROR_STOP=1", "-qAtc", text])
            }
            Server::Maria(server) => {
                let socket = format!("--socket={}", server.as_ref().unwrap().socket().display());
                let charset = "--default-character-set=utf8mb4";
                answer_of("mariadb", &[&socket, charset, "-u", "root", "-NB", database, "-e", text])
            }
        }
    }

    fn sql(&self, text: &str) -> String {
        self.sql_in("exchange", text)
    }

    /// As PostgreSQL has it, and as MariaDB has it.
    fn either(&self, postgres: &str, maria: &str) {
        self.sql(if self.is_maria() { maria } else { postgres });
    }

    /// What the hub is connected with is cut: a login is asked for only at the beginning.
    fn cut(&self) {
        let ended =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'hub'";
        self.either(ended, "KILL USER hub@127.0.0.1");
    }

    /// The rows of another step: good ones, and two that are not to be taken.
    fn fill(&mut self) {
        let step = self.steps;
        self.steps += 1;
        let market = market_department().code;
        let (mut licence, _) = self.hub.some_licence(|licence, pull| {
            licence.issuer.credit_code() == &market
                && licence.fields.contains_key("business_scope")
                && licence.valid_to.is_none_or(|last| last.year() > 2027)
                && pull.types.contains(&licence.licence_type)
        });
        licence.fields.retain(|name, _| name == "established_on" || name == "business_scope");
        let rows: Vec<String> = (0..GOOD + 2)
            .map(|row| {
                let values = COLUMNS.iter().map(|(name, _)| match *name {
                    "zzbh" => format!("'S{step}N{row}'"),
                    "zt" if row % 20 == 5 => "'55'".to_owned(),
                    "cd_time" => format!("'2026-03-01 09:{step:02}:{row:02}'"),
                    name => format!("'{}'", value(&licence, name)),
                });
                let values: Vec<String> = values.collect();
                format!("('s{step:02}r{row:02}', {})", values.join(", "))
            })
            .collect();
        let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        self.sql(&format!("INSERT INTO rows_out (row_guid, {names}) VALUES {}", rows.join(", ")));
    }

    fn state(&self) -> hub::inbound::InboundState {
        self.hub.hub.inbound()["market"].state()
    }

    /// Waits for a failure with one of these codes, from now on.
    async fn fails(&self, codes: &[&str]) {
        for _ in 0..500 {
            let state = self.state();
            if let Some(error) = state.last_error.filter(|_| state.next_attempt.is_some())
                && codes.contains(&error.code.as_str())
            {
                assert!(!error.advice.is_empty());
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not {codes:?}, but {:?}", self.state());
    }

    /// Each row of all steps was taken once, or refused once with its reason.
    async fn settles(&self, after: &str) {
        let (taken, refused) = (u64::from(GOOD * self.steps), u64::from(2 * self.steps));
        for _ in 0..1_000 {
            let state = self.state();
            if (state.taken, state.refused) == (taken, refused) && !state.is_failing() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let state = self.state();
        assert_eq!((state.taken, state.refused), (taken, refused), "after {after}: {state:?}");
        assert_eq!(self.hub.registry_entries().await, taken, "after {after}");
        let told = self.sql("SELECT row_guid, error_remark FROM dn_lic_data_error ORDER BY 1");
        let told: Vec<_> = told.lines().collect();
        assert_eq!(told.len() as u64, refused, "after {after}: {told:?}");
        for (place, line) in told.iter().enumerate() {
            let row = format!("s{:02}r{:02}", place / 2, 5 + 20 * (place % 2));
            assert!(line.starts_with(&row) && line.contains("value_unmapped"), "{after}: {line}");
        }
    }
}

fn value(licence: &Licence, name: &str) -> String {
    let day = |date: Option<jiff::civil::Date>| {
        date.map_or_else(|| "20991231".to_owned(), |date| date.strftime("%Y%m%d").to_string())
    };
    match name {
        "zzmc" => licence.name.clone(),
        "lx" => licence.licence_type.to_string(),
        "czzt" => licence.holders[0].name.clone(),
        "czztdm" => licence.holders[0].id.number().to_owned(),
        "czztlx" => licence.holders[0].id.kind().code().to_owned(),
        "fzjg" => licence.issuer_name.clone(),
        "fzjgdm" => licence.issuer.to_string(),
        "fzrq" => day(Some(licence.issued_on)),
        "qsrq" => licence.valid_from.map_or_else(|| "/".to_owned(), |date| day(Some(date))),
        "jzrq" => day(licence.valid_to),
        "zt" => "01".to_owned(),
        "op" => "I".to_owned(),
        "clrq" => licence.fields["established_on"].as_str().unwrap().to_owned(),
        "jyfw" => licence.fields["business_scope"].as_str().unwrap().to_owned(),
        other => panic!("no column {other}"),
    }
}

/// What the network does.
async fn weather(maria: bool) {
    const GONE: [&str; 4] = ["connect_failed", "connection_lost", "tls_failed", "timed_out"];
    let mut scene = Scene::set(maria).await;
    scene.fill();
    scene.settles("nothing").await;
    for bad in [
        Weather::Refuse,
        Weather::Hang,
        // In the handshake, in what is asked, in the middle of a page, before the answer to an answer.
        Weather::CutSending(300),
        Weather::CutSending(4_000),
        Weather::CutAnswer(6_000),
        Weather::CutAnswer(9_000),
        Weather::CutAnswer(15_000),
    ] {
        scene.relay.set(bad);
        scene.fill();
        scene.fails(&GONE).await;
        scene.relay.set(Weather::Fair);
        scene.settles(&format!("{bad:?}")).await;
    }
    scene.relay.set(Weather::Slow(60_000));
    scene.fill();
    scene.settles("a slow network").await;
}

#[actix_web::test]
async fn a_network_that_fails_loses_no_row_of_postgresql_and_doubles_none() {
    weather(false).await;
}

#[actix_web::test]
async fn a_network_that_fails_loses_no_row_of_mariadb_and_doubles_none() {
    weather(true).await;
}

/// What the register does.
async fn peer(maria: bool) {
    let mut scene = Scene::set(maria).await;
    let city = district::consuming_departments().swap_remove(0);
    let profile = Profile::Server {
        dns: vec!["localhost".to_owned()],
        ips: vec!["127.0.0.1".parse().unwrap()],
    };
    let founded = "2024-01-01T00:00:00Z".parse().unwrap();
    let old =
        scene.hub.authority.issue(Suite::EcdsaP256Sha256, profile, &subject(&city), founded, 30);
    let (certificate, key) = old.unwrap();
    std::fs::write(scene.hub.folder.path().join("old.pem"), certificate.to_pem()).unwrap();
    std::fs::write(scene.hub.folder.path().join("old.key"), key.to_pkcs8_pem()).unwrap();

    // Restarted in the middle of it, several times.
    for _ in 0..3 {
        scene.fill();
        tokio::time::sleep(Duration::from_millis(60)).await;
        scene.go_down().await;
        scene.fails(&["connect_failed", "connection_lost", "database_failing"]).await;
        scene.come_up("server").await;
        scene.settles("a restart").await;
    }

    scene.fill();
    scene.settles("nothing").await;
    scene.go_down().await;
    scene.come_up("old").await;
    scene.fill();
    scene.fails(&["tls_failed"]).await;
    scene.go_down().await;
    scene.come_up("server").await;
    scene.settles("an expired certificate").await;

    scene.either(
        "ALTER ROLE hub PASSWORD 'other'",
        "ALTER USER hub@127.0.0.1 IDENTIFIED BY 'other'",
    );
    scene.cut();
    scene.fill();
    scene.fails(&["login_refused"]).await;
    std::fs::write(scene.hub.folder.path().join("register.password"), "other").unwrap();
    scene.settles("another password").await;

    scene
        .either("ALTER ROLE hub VALID UNTIL '2020-01-01'", "ALTER USER hub@127.0.0.1 ACCOUNT LOCK");
    scene.cut();
    scene.fill();
    scene.fails(&["login_refused"]).await;
    scene
        .either("ALTER ROLE hub VALID UNTIL 'infinity'", "ALTER USER hub@127.0.0.1 ACCOUNT UNLOCK");
    scene.settles("a login that has run out").await;

    scene.sql("ALTER TABLE rows_out RENAME TO elsewhere");
    scene.fails(&["table_missing"]).await;
    scene.sql("ALTER TABLE elsewhere RENAME TO rows_out");
    scene.fill();
    scene.settles("a missing table").await;

    // Taken, and not to be answered: none is taken twice for it.
    scene.sql("ALTER TABLE dn_lic_data_error RENAME TO elsewhere");
    scene.fill();
    scene.fails(&["table_missing"]).await;
    scene.sql("ALTER TABLE elsewhere RENAME TO dn_lic_data_error");
    scene.settles("a missing table for errors").await;

    scene.either(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'No space left on device'; END $$;
         CREATE TRIGGER full_disk BEFORE INSERT ON dn_lic_data_error FOR EACH ROW EXECUTE FUNCTION full_disk()",
        "CREATE TRIGGER full_disk BEFORE INSERT ON dn_lic_data_error FOR EACH ROW
         SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'",
    );
    scene.fill();
    scene.fails(&["database_failing"]).await;
    scene.either("DROP TRIGGER full_disk ON dn_lic_data_error", "DROP TRIGGER full_disk");
    scene.settles("a full disk").await;
}

#[actix_web::test]
async fn a_postgresql_that_fails_loses_no_row_and_doubles_none() {
    peer(false).await;
}

#[actix_web::test]
async fn a_mariadb_that_fails_loses_no_row_and_doubles_none() {
    peer(true).await;
}
