//! Settings of an exchange database, checked.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use tokio_postgres::config::{Config, Host, SslMode};

use crate::{ConnectorSettings, SettingsProblem};

/// Checked settings of a [`super::FrontDb`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The connector's name.
    pub name: String,
    /// Where and as whom.
    pub(crate) server: Server,
    /// Host and port, or the socket: for errors.
    pub(crate) address: String,
    /// How the connection is protected.
    pub transport: Transport,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Schema of the tables; with MariaDB the database.
    pub schema: String,
    /// Create the tables if they are missing.
    pub create_tables: bool,
    /// The column `data_source`.
    pub data_source: String,
    /// How dates are written.
    pub date_form: DateForm,
    /// How a counterpart writes what a licence says, in place of the columns of the standard.
    pub code_map: Option<PathBuf>,
    /// How long a statement may take.
    pub timeout: Duration,
}

/// Where and as whom, without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// PostgreSQL. Holds the connect timeout too.
    PostgreSql(Box<Config>),
    /// MariaDB or MySQL.
    MariaDb(MariaDb),
}

/// A MariaDB server, and what to use there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MariaDb {
    /// Host name or address; the path of a Unix socket if it begins with `/`.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) connect_timeout: Duration,
}

impl MariaDb {
    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

/// How the connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Not at all: a Unix socket, the loopback, or `danger_plaintext`.
    Plain,
    /// TLS; the server's certificate must lead to one in this PEM file and name the host.
    Tls {
        /// The PEM file.
        ca: PathBuf,
    },
}

/// How dates are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateForm {
    /// 2025-03-01
    Iso,
    /// 20250301
    Compact,
}

impl Settings {
    /// Adds what is wrong to `problems`; `None` only if there is something.
    pub(crate) fn check(
        raw: &ConnectorSettings,
        name: String,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        Self::check_database(raw, "frontdb", name, problems)
    }

    /// As [`Settings::check`], for a kind of connector whose tables are in such a database.
    pub(crate) fn check_database(
        raw: &ConnectorSettings,
        kind: &'static str,
        name: String,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        raw.refuse_others(kind, problems);
        let (connect_timeout, timeout) = raw.timeouts(problems);
        let schema = raw.schema.clone().unwrap_or_else(|| "public".to_owned());
        if !is_schema(&schema) {
            let form = "at most 63 lower-case letters, digits and underscores, no digit first";
            problems.push(SettingsProblem::Form { setting: "schema", form });
        }
        let data_source = raw.data_source.clone().unwrap_or_else(|| "001".to_owned());
        if !(1..=3).contains(&data_source.chars().count())
            || data_source.chars().any(char::is_control)
        {
            problems
                .push(SettingsProblem::Form { setting: "data_source", form: "1 to 3 characters" });
        }
        let date_form = match raw.date_form.as_deref() {
            None | Some("iso") => DateForm::Iso,
            Some("compact") => DateForm::Compact,
            Some(_) => {
                problems.push(SettingsProblem::Form {
                    setting: "date_form",
                    form: "`iso` or `compact`",
                });
                DateForm::Iso
            }
        };
        let mariadb = match raw.dialect.as_deref() {
            None | Some("postgresql") => false,
            Some("mariadb") => true,
            Some(_) => {
                let form = "`postgresql` or `mariadb`";
                problems.push(SettingsProblem::Form { setting: "dialect", form });
                false
            }
        };
        let (server, transport, address, schema) = if mariadb {
            let server = mariadb_server(raw, connect_timeout, problems)?;
            let local = server.is_socket() || is_this_machine(&server.host);
            let transport = transport(raw, server.is_socket(), local, problems)?;
            let address = if server.is_socket() {
                server.host.clone()
            } else {
                format!("{}:{}", server.host, server.port)
            };
            let database = server.database.clone();
            (Server::MariaDb(server), transport, address, database)
        } else {
            let mut config = config(raw, problems)?;
            let sockets = config.get_hosts().iter().any(|host| matches!(host, Host::Unix(_)));
            let transport = transport(raw, sockets, is_local(&config), problems)?;
            config.connect_timeout(connect_timeout).application_name("yihao").ssl_mode(
                match transport {
                    Transport::Plain => SslMode::Disable,
                    Transport::Tls { .. } => SslMode::Require,
                },
            );
            let address = address(&config);
            (Server::PostgreSql(Box::new(config)), transport, address, schema)
        };
        Some(Self {
            name,
            address,
            server,
            transport,
            password_file: raw.password_file.clone(),
            schema,
            create_tables: raw.create_tables.unwrap_or(false),
            data_source,
            date_form,
            code_map: raw.code_map.clone(),
            timeout,
        })
    }
}

fn mariadb_server(
    raw: &ConnectorSettings,
    connect_timeout: Duration,
    problems: &mut Vec<SettingsProblem>,
) -> Option<MariaDb> {
    for (setting, given) in
        [("connection", raw.connection.is_some()), ("schema", raw.schema.is_some())]
    {
        if given {
            problems.push(SettingsProblem::Beside { setting, beside: "dialect" });
        }
    }
    let mut name = |setting, value: &Option<String>| match value.as_deref() {
        None => {
            problems.push(SettingsProblem::Missing { setting });
            None
        }
        Some(text) if text.is_empty() || text.chars().any(char::is_control) => {
            problems.push(SettingsProblem::Form { setting, form: "a name" });
            None
        }
        Some(text) => Some(text.to_owned()),
    };
    let (host, user, database) =
        (name("host", &raw.host), name("user", &raw.user), name("database", &raw.database));
    Some(MariaDb {
        host: host?,
        port: raw.port.unwrap_or(3306),
        user: user?,
        database: database?,
        connect_timeout,
    })
}

fn config(raw: &ConnectorSettings, problems: &mut Vec<SettingsProblem>) -> Option<Config> {
    if let Some(text) = &raw.connection {
        for (setting, given) in [
            ("host", raw.host.is_some()),
            ("port", raw.port.is_some()),
            ("user", raw.user.is_some()),
            ("database", raw.database.is_some()),
        ] {
            if given {
                problems.push(SettingsProblem::Beside { setting, beside: "connection" });
            }
        }
        let Ok(config) = text.parse::<Config>() else {
            problems.push(SettingsProblem::Form {
                setting: "connection",
                form: "a PostgreSQL connection string",
            });
            return None;
        };
        if config.get_password().is_some() {
            problems.push(SettingsProblem::PasswordInConnection);
        }
        for (form, missing) in [
            (
                "a connection string with a host",
                config.get_hosts().is_empty() && config.get_hostaddrs().is_empty(),
            ),
            ("a connection string with a user", config.get_user().is_none()),
            ("a connection string with a dbname", config.get_dbname().is_none()),
        ] {
            if missing {
                problems.push(SettingsProblem::Form { setting: "connection", form });
            }
        }
        return Some(config);
    }
    let mut config = Config::new();
    for (setting, value) in [("host", &raw.host), ("user", &raw.user), ("database", &raw.database)]
    {
        match value.as_deref() {
            None => problems.push(SettingsProblem::Missing { setting }),
            Some(text) if text.is_empty() || text.chars().any(|c| c.is_control()) => {
                problems.push(SettingsProblem::Form { setting, form: "a name" });
            }
            Some(text) => {
                match setting {
                    "host" => config.host(text),
                    "user" => config.user(text),
                    _ => config.dbname(text),
                };
            }
        }
    }
    config.port(raw.port.unwrap_or(5432));
    (!config.get_hosts().is_empty()).then_some(config)
}

/// * `sockets`: it is reached by a Unix socket; `local`: no network is crossed.
fn transport(
    raw: &ConnectorSettings,
    sockets: bool,
    local: bool,
    problems: &mut Vec<SettingsProblem>,
) -> Option<Transport> {
    let danger = raw.danger_plaintext.unwrap_or(false);
    match &raw.ca {
        Some(_) if sockets => {
            let form = "left out for a Unix socket, which has no TLS";
            problems.push(SettingsProblem::Form { setting: "ca", form });
            None
        }
        Some(_) if danger => {
            problems.push(SettingsProblem::Beside { setting: "danger_plaintext", beside: "ca" });
            None
        }
        Some(ca) => Some(Transport::Tls { ca: ca.clone() }),
        None if danger || local => Some(Transport::Plain),
        None => {
            problems.push(SettingsProblem::Plaintext);
            None
        }
    }
}

/// Whether every host is this machine, so that no network is crossed.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => is_this_machine(name),
        Host::Unix(_) => true,
    });
    hosts && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn address(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(host)), _) => format!("{host}:{port}"),
        (Some(Host::Unix(folder)), _) => format!("{}/.s.PGSQL.{port}", folder.display()),
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => String::new(),
    }
}

/// A name that needs no quoting, so that quoting cannot go wrong.
pub(crate) fn is_schema(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
