//! A connection to an exchange database in MariaDB, made and watched the same way whichever tables are used.

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder, SslOpts, prelude::Queryable};
use tokio::time;

use super::{
    database::{trim_line_end, within},
    mariadb_reply as reply,
    settings::{MariaDb, Server, Settings, Transport},
};
use crate::{DeliveryError, Problem, pem};

/// Unknown system variable: MySQL has no `max_statement_time`.
const NO_SUCH_VARIABLE: u16 = 1193;

/// Where the tables are, and which.
pub(crate) struct MariaDatabase {
    pub(crate) settings: Settings,
    /// The tables, for an operator who lacks one.
    pub(crate) tables: &'static str,
    /// What creates them: statements that end in `;` at the end of a line.
    pub(crate) schema: &'static str,
}

impl MariaDatabase {
    /// A connection that is set up: character set, strictness, time limits, tables.
    pub(crate) async fn connect(&self) -> Result<Conn, DeliveryError> {
        let settings = &self.settings;
        let Server::MariaDb(server) = &settings.server else {
            // Whoever uses this asks for the dialect first; said as what it would be to an operator.
            return Err(DeliveryError::Configuration(Problem::LoginImpossible));
        };
        let options = self.options(server)?;
        let to = || settings.address.clone();
        let opened = time::timeout(server.connect_timeout, Conn::new(options)).await;
        let Ok(opened) = opened else {
            let problem = Problem::Connect { to: to(), kind: "timed out".to_owned() };
            return Err(DeliveryError::Unreachable(problem));
        };
        let mut connection = opened.map_err(|error| self.not_a_record(&error))?;
        self.set_up(&mut connection).await.map_err(|error| self.not_a_record(&error))?;
        Ok(connection)
    }

    fn options(&self, server: &MariaDb) -> Result<OptsBuilder, DeliveryError> {
        let settings = &self.settings;
        // A connection that was made over the network stays there: only what the settings name is used.
        let mut options = OptsBuilder::default()
            .prefer_socket(false)
            .user(Some(&server.user))
            .db_name(Some(&server.database))
            .tcp_nodelay(true);
        options = if server.is_socket() {
            options.socket(Some(&server.host))
        } else {
            options.ip_or_hostname(&server.host).tcp_port(server.port)
        };
        if let Some(path) = &settings.password_file {
            let bytes = pem::read("password_file", path).map_err(DeliveryError::Configuration)?;
            let Ok(text) = std::str::from_utf8(trim_line_end(&bytes)) else {
                let problem = pem::unusable("password_file", path, "is not UTF-8");
                return Err(DeliveryError::Configuration(problem));
            };
            options = options.pass(Some(text));
        }
        if let Transport::Tls { ca } = &settings.transport {
            // Read here too, so that what is wrong with the file is told as that.
            pem::tls_client(ca, None).map_err(DeliveryError::Configuration)?;
            let tls = SslOpts::default()
                .with_root_certs(vec![ca.clone().into()])
                .with_disable_built_in_roots(true);
            options = options.ssl_opts(Some(tls));
        }
        Ok(options)
    }

    async fn set_up(&self, connection: &mut Conn) -> Result<(), mysql_async::Error> {
        // Strict, so that a value that does not fit is refused and not cut.
        connection
            .query_drop(
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
                 SESSION transaction_isolation = 'READ-COMMITTED'",
            )
            .await
            .or_else(reply::without(NO_SUCH_VARIABLE))?;
        connection.query_drop("SET NAMES utf8mb4 COLLATE utf8mb4_bin").await?;
        self.limit(connection, self.settings.timeout).await?;
        if self.settings.create_tables {
            for statement in self.schema.split(";\n").map(str::trim) {
                if !statement.is_empty() {
                    connection.query_drop(statement).await?;
                }
            }
        }
        Ok(())
    }

    /// `max_allowed_packet`: the largest statement that the server takes on this connection, in bytes. What is larger
    /// ends the connection, often before the server's answer is read.
    pub(crate) async fn most_bytes(&self, connection: &mut Conn) -> Result<usize, DeliveryError> {
        let most = async { Ok(connection.query_first("SELECT @@max_allowed_packet").await) };
        let most: Option<usize> =
            self.within(most).await?.map_err(|error| self.not_a_record(&error))?;
        Ok(most.unwrap_or(usize::MAX))
    }

    /// Limits how long a statement may take, and how long it may wait for a lock.
    pub(crate) async fn limit(
        &self,
        connection: &mut Conn,
        longest: Duration,
    ) -> Result<(), mysql_async::Error> {
        let seconds = longest.as_secs_f64();
        connection
            .query_drop(format!("SET SESSION max_statement_time = {seconds}"))
            .await
            .or_else(reply::without(NO_SUCH_VARIABLE))?;
        let seconds = longest.as_secs().max(1);
        connection.query_drop(format!("SET SESSION innodb_lock_wait_timeout = {seconds}")).await
    }

    /// Gives the work up when it takes too long.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, DeliveryError>>,
    ) -> Result<T, DeliveryError> {
        within(&self.settings, self.settings.timeout, work).await
    }

    /// What an error means.
    pub(crate) fn explain(&self, error: &mysql_async::Error) -> DeliveryError {
        let settings = &self.settings;
        reply::failure(&settings.address, &settings.schema, self.tables, settings.timeout, error)
    }

    /// What an error means where no record is at stake: whatever is refused, it is not a record.
    pub(crate) fn not_a_record(&self, error: &mysql_async::Error) -> DeliveryError {
        match self.explain(error) {
            DeliveryError::Refused(problem) => DeliveryError::Configuration(problem),
            other => other,
        }
    }
}
