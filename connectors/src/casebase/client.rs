//! The connection to the case tables, whichever dialect the database speaks: the only I/O of this connector.

use super::{encode::Row, mariadb, postgresql};
use crate::{
    DeliveryError,
    frontdb::{self, settings::Server},
};

/// The tables, for an operator who lacks one.
pub(super) const TABLES: &str = "up_pro_… or dn_pro_…";
/// Rows read at a time.
pub(super) const PAGE: i64 = 100;
/// Characters of a remark or of the items that are read; more is cut, and items that are cut are no JSON any more.
pub(super) const MOST_TEXT: i32 = 100_000;
/// Characters of what the counterpart says of a row that are read.
pub(super) const MOST_REMARK: i32 = 2_000;

/// One row of `dn_pro_step`.
pub(crate) struct StepRow {
    pub(crate) row_guid: String,
    pub(crate) project_no: String,
    pub(crate) step: String,
    pub(crate) remark: String,
    pub(crate) items: String,
    pub(crate) licence: String,
}

/// One row of `dn_pro_error`.
pub(crate) struct ErrorRow {
    pub(crate) row_guid: String,
    pub(crate) remark: String,
}

/// A client of case tables.
pub(crate) enum Client {
    PostgreSql(postgresql::Client),
    MariaDb(mariadb::Client),
}

impl Client {
    pub(crate) fn new(settings: frontdb::Settings) -> Self {
        match &settings.server {
            Server::PostgreSql(_) => Self::PostgreSql(postgresql::Client::new(settings)),
            Server::MariaDb(_) => Self::MariaDb(mariadb::Client::new(settings)),
        }
    }

    /// Inserts the rows that are not there yet, all or none.
    pub(crate) async fn insert(&self, rows: &[Row]) -> Result<(), DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.insert(rows).await,
            Self::MariaDb(client) => client.insert(rows).await,
        }
    }

    /// Steps that are not taken yet, in order.
    pub(crate) async fn steps(&self) -> Result<Vec<StepRow>, DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.steps().await,
            Self::MariaDb(client) => client.steps().await,
        }
    }

    /// Marks a step as taken unless it is marked already.
    ///
    /// * `refused`: a code and why.
    pub(crate) async fn take_step(
        &self,
        row_guid: &str,
        refused: Option<(&str, &str)>,
    ) -> Result<(), DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.take_step(row_guid, refused).await,
            Self::MariaDb(client) => client.take_step(row_guid, refused).await,
        }
    }

    /// Error rows about rows of ours that are not noted yet.
    pub(crate) async fn errors(&self, prefix: &str) -> Result<Vec<ErrorRow>, DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.errors(prefix).await,
            Self::MariaDb(client) => client.errors(prefix).await,
        }
    }

    /// Marks an error row as noted.
    pub(crate) async fn take_error(&self, row_guid: &str) -> Result<(), DeliveryError> {
        match self {
            Self::PostgreSql(client) => client.take_error(row_guid).await,
            Self::MariaDb(client) => client.take_error(row_guid).await,
        }
    }
}
