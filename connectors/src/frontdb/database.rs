//! A connection to an exchange database, made and watched the same way whichever tables are used.

use std::time::Duration;

use tokio::{task::JoinHandle, time};
use tokio_postgres::{Client, Config, NoTls};

use super::{
    reply,
    settings::{Server, Settings, Transport},
    tls::Tls,
};
use crate::{DeliveryError, Problem, pem};

/// The advisory lock under which tables are created; the number is of no meaning.
const CREATING: i64 = 0x7969_6861_6f31;

/// Where the tables are, and which.
pub(crate) struct Database {
    pub(crate) settings: Settings,
    /// The tables, for an operator who lacks one.
    pub(crate) tables: &'static str,
    /// What creates them.
    pub(crate) schema: &'static str,
}

/// Reads and writes the connection until it is dropped.
pub(crate) struct ConnectionTask(JoinHandle<()>);

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Database {
    /// A connection that is set up: schema, time limit, tables.
    pub(crate) async fn connect(&self) -> Result<(Client, ConnectionTask), DeliveryError> {
        let settings = &self.settings;
        let Server::PostgreSql(config) = &settings.server else {
            // Whoever uses this asks for the dialect first; said as what it would be to an operator.
            return Err(DeliveryError::Configuration(Problem::LoginImpossible));
        };
        let mut config = config.clone();
        if let Some(path) = &settings.password_file {
            let bytes = pem::read("password_file", path).map_err(DeliveryError::Configuration)?;
            config.password(trim_line_end(&bytes));
        }
        let (client, connection) = match &settings.transport {
            Transport::Plain => self.open(&config, NoTls).await?,
            Transport::Tls { ca } => {
                let tls = pem::tls_client(ca, None).map_err(DeliveryError::Configuration)?;
                self.open(&config, Tls::new(tls)).await?
            }
        };
        self.set_up(&client).await.map_err(|error| self.not_a_record(&error))?;
        Ok((client, connection))
    }

    async fn open<T>(
        &self,
        config: &Config,
        tls: T,
    ) -> Result<(Client, ConnectionTask), DeliveryError>
    where
        T: tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>,
        T::Stream: Send + 'static,
    {
        let (client, connection) =
            config.connect(tls).await.map_err(|error| self.explain(&error))?;
        let connector = self.settings.name.clone();
        let connection = tokio::spawn(async move {
            if connection.await.is_err() {
                tracing::debug!(connector, "the connection to the exchange database ended");
            }
        });
        Ok((client, ConnectionTask(connection)))
    }

    async fn set_up(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let schema = &self.settings.schema;
        let timeout = self.settings.timeout.as_millis();
        client
            .batch_execute(&format!(
                "SET search_path TO \"{schema}\"; SET statement_timeout = {timeout}; SET client_min_messages = error"
            ))
            .await?;
        if self.settings.create_tables {
            // IF NOT EXISTS does not keep two connections from creating one table at the same time.
            client
                .batch_execute(&format!(
                    "BEGIN; SELECT pg_advisory_xact_lock({CREATING}); {}; COMMIT",
                    self.schema
                ))
                .await?;
        }
        Ok(())
    }

    /// Gives the work up when it takes too long.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, DeliveryError>>,
    ) -> Result<T, DeliveryError> {
        within(&self.settings, self.settings.timeout, work).await
    }

    /// What an error means.
    pub(crate) fn explain(&self, error: &tokio_postgres::Error) -> DeliveryError {
        let settings = &self.settings;
        reply::failure(&settings.address, &settings.schema, self.tables, settings.timeout, error)
    }

    /// What an error means where no record is at stake: whatever is refused, it is not a record.
    pub(crate) fn not_a_record(&self, error: &tokio_postgres::Error) -> DeliveryError {
        match self.explain(error) {
            DeliveryError::Refused(problem) => DeliveryError::Configuration(problem),
            other => other,
        }
    }
}

/// Gives the work up when it takes too long.
pub(crate) async fn within<T>(
    settings: &Settings,
    timeout: Duration,
    work: impl Future<Output = Result<T, DeliveryError>>,
) -> Result<T, DeliveryError> {
    // A little longer than the server's own limit, so that its answer is heard.
    let limit = timeout + Duration::from_millis(500);
    time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(DeliveryError::Unreachable(Problem::TimedOut {
            to: settings.address.clone(),
            after: timeout,
        }))
    })
}

/// A password file may end in one line end.
pub(crate) fn trim_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
