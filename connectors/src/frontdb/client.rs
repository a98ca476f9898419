//! The connection to the exchange database, whichever dialect it speaks: the only I/O of this connector.

use super::{
    encode::Source,
    layout::Layout,
    mariadb, postgresql,
    settings::{Server, Settings},
};
use crate::{DeliveryError, Refused, ReplyPosition};

/// Error rows read at a time.
pub(crate) const ERRORS_LIMIT: usize = 1_000;

/// One row of `dn_lic_data_error`.
pub(crate) struct ErrorRow {
    pub(crate) row_guid: String,
    pub(crate) remark: String,
    pub(crate) micros: u64,
}

/// What is held of one type and day.
pub(crate) struct Counted {
    pub(crate) licence_type: String,
    /// What stands in `issue_date`.
    pub(crate) day: String,
    pub(crate) count: i64,
    /// The sum of the marks in decimal digits.
    pub(crate) sum: String,
}

/// What is held of one licence.
pub(crate) struct Held {
    pub(crate) identifier: String,
    pub(crate) mark: i64,
}

/// A client of an exchange database.
pub(crate) enum Client {
    PostgreSql(postgresql::Client),
    MariaDb(mariadb::Client),
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        match &settings.server {
            Server::PostgreSql(_) => Self::PostgreSql(postgresql::Client::new(settings)),
            Server::MariaDb(_) => Self::MariaDb(mariadb::Client::new(settings)),
        }
    }

    /// Writes the rows, all or none. A row that is there already is left alone if it is equal, and corrected if not.
    /// Returns what cannot be a row.
    pub(crate) async fn write(&self, source: Source<'_>) -> Result<Vec<Refused>, DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.write(source).await,
            Self::MariaDb(client) => {
                let encoded = source.rows();
                client.write(source.layout, &encoded.rows).await?;
                Ok(encoded.refused)
            }
        }
    }

    /// Error rows after a position, and the server's clock in microseconds since 1970, local time.
    pub(crate) async fn errors_after(
        &self,
        after: &ReplyPosition,
    ) -> Result<(Vec<ErrorRow>, u64), DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.errors_after(after).await,
            Self::MariaDb(client) => client.errors_after(after).await,
        }
    }

    /// Licences by type code.
    pub(crate) async fn counts(
        &self,
        layout: &Layout,
    ) -> Result<Vec<(String, i64)>, DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.counts(layout).await,
            Self::MariaDb(client) => client.counts(layout).await,
        }
    }

    /// Licences and the sum of their marks by type code and what stands in `issue_date`.
    pub(crate) async fn tallies(&self, layout: &Layout) -> Result<Vec<Counted>, DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.tallies(layout).await,
            Self::MariaDb(client) => client.tallies(layout).await,
        }
    }

    /// Licences with their marks, of one type and day, by identifier after `after`.
    ///
    /// * `days`: the day as `issue_date` may have it.
    pub(crate) async fn holdings(
        &self,
        layout: &Layout,
        licence_type: &str,
        days: &[String],
        after: &str,
        limit: usize,
    ) -> Result<Vec<Held>, DeliveryError> {
        match self {
            Self::PostgreSql(client) => {
                client.holdings(layout, licence_type, days, after, limit).await
            }
            Self::MariaDb(client) => {
                client.holdings(layout, licence_type, days, after, limit).await
            }
        }
    }
}
