//! What the exchange database answers → what follows. Pure.

use std::{collections::BTreeMap, io, time::Duration};

use licence::{LicenceTypeCode, Seq};

use super::{
    client::{ERRORS_LIMIT, ErrorRow},
    encode,
};
use crate::{DeliveryError, Problem, Refused, Reply, ReplyPage, ReplyPosition, pem, remark};

/// The code under which a record is set aside that the counterpart refused after it had taken it.
const REFUSED_LATER: &str = "error_row";

/// Counts as read → counts.
///
/// # Errors
/// `UnknownTypeCounted`: the table holds a row of ours that we cannot have written.
pub(crate) fn counts(
    rows: Vec<(String, i64)>,
) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
    rows.into_iter()
        .map(|(code, count)| Some((code.parse().ok()?, u64::try_from(count).ok()?)))
        .collect::<Option<_>>()
        .ok_or(DeliveryError::Configuration(Problem::UnknownTypeCounted))
}

/// Error rows → replies. Rows that do not name one of our changes are not ours.
pub(crate) fn page(connector: &str, rows: Vec<ErrorRow>, now_micros: u64) -> ReplyPage {
    let prefix = encode::guid_prefix(connector);
    let more = i64::try_from(rows.len()).is_ok_and(|rows| rows >= ERRORS_LIMIT);
    let replies = rows
        .into_iter()
        .filter_map(|row| {
            let digits = row.row_guid.strip_prefix(&prefix)?;
            let fits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let seq = Seq(digits.parse().ok().filter(|_| fits)?);
            let remark = remark::kept(&row.remark);
            Some(Reply {
                position: ReplyPosition { micros: row.micros, key: row.row_guid },
                refused: Refused { seq, code: REFUSED_LATER.to_owned(), remark },
            })
        })
        .collect();
    ReplyPage { replies, more, now_micros }
}

/// A failure of the connection or an error of the server → what follows.
pub(crate) fn failure(
    address: &str,
    schema: &str,
    timeout: Duration,
    error: &tokio_postgres::Error,
) -> DeliveryError {
    if let Some(database) = error.as_db_error() {
        return sql_error(schema, address, timeout, database.code().code(), database.column());
    }
    let to = address.to_owned();
    if let Some(said) = pem::tls_error(error) {
        return DeliveryError::Configuration(Problem::Tls { to, said: said.to_string() });
    }
    match pem::io_kind(error) {
        Some(io::ErrorKind::TimedOut) => {
            return DeliveryError::Unreachable(Problem::Connect {
                to,
                kind: "timed out".to_owned(),
            });
        }
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted,
        ) => {
            return DeliveryError::Unreachable(Problem::ConnectionLost { to });
        }
        Some(kind) => {
            return DeliveryError::Unreachable(Problem::Connect { to, kind: kind.to_string() });
        }
        None => {}
    }
    if error.is_closed() {
        return DeliveryError::Unreachable(Problem::ConnectionLost { to });
    }
    // The library has no public kinds; these two beginnings are its words for them.
    let text = error.to_string();
    if text.starts_with("authentication error") || text.starts_with("invalid configuration") {
        DeliveryError::Configuration(Problem::LoginImpossible)
    } else if text.starts_with("error performing TLS handshake") {
        let said = "the server does not offer TLS".to_owned();
        DeliveryError::Configuration(Problem::Tls { to, said })
    } else {
        DeliveryError::Configuration(Problem::AnswerMalformed {
            why: "not as the PostgreSQL protocol has it",
        })
    }
}

/// PostgreSQL's error code → what follows. Source: PostgreSQL 15, Appendix A, by class and code.
fn sql_error(
    schema: &str,
    address: &str,
    timeout: Duration,
    sqlstate: &str,
    column: Option<&str>,
) -> DeliveryError {
    use DeliveryError::{Configuration, Refused, Unreachable};
    let code = sqlstate.to_owned();
    let class = sqlstate.get(..2).unwrap_or_default();
    match (class, sqlstate) {
        (_, "42P01") | ("3F", _) => Configuration(Problem::TableMissing {
            table: "up_lic_data or dn_lic_data_error",
            schema: schema.to_owned(),
        }),
        (_, "42501") => Configuration(Problem::RightMissing { sqlstate: code }),
        ("42", _) => Configuration(Problem::TableDiffers { sqlstate: code }),
        ("28", _) => Configuration(Problem::LoginRefused { sqlstate: code }),
        ("3D", _) => Configuration(Problem::DatabaseMissing { sqlstate: code }),
        ("22" | "23" | "54", _) => {
            Refused(Problem::ValueRefused { sqlstate: code, column: column.map(str::to_owned) })
        }
        // Raised by a trigger over there: it is about a row.
        ("P0", _) => Refused(Problem::ValueRefused { sqlstate: code, column: None }),
        (_, "57014") => Unreachable(Problem::TimedOut { to: address.to_owned(), after: timeout }),
        // 08 connection, 25 read-only, 40 rolled back, 53 resources, 55 state, 57 operator, 58 system, XX internal
        _ => Unreachable(Problem::DatabaseFailing { sqlstate: code }),
    }
}
