//! What MariaDB answers → what follows. Pure.

use std::{io, time::Duration};

use mysql_async::{DriverError, Error};

use crate::{DeliveryError, Problem, pem, remark};

/// `Ok` for this one error of the server, for statements that are nice to have.
pub(crate) fn without(number: u16) -> impl FnOnce(Error) -> Result<(), Error> {
    move |error| match error {
        Error::Server(server) if server.code == number => Ok(()),
        other => Err(other),
    }
}

/// A failure of the connection or an error of the server → what follows.
pub(crate) fn failure(
    address: &str,
    schema: &str,
    tables: &'static str,
    timeout: Duration,
    error: &Error,
) -> DeliveryError {
    use DeliveryError::{Configuration, Refused, Unreachable};
    let to = address.to_owned();
    let malformed =
        || Configuration(Problem::AnswerMalformed { why: "not as the MariaDB protocol has it" });
    match error {
        Error::Server(server) => {
            let column = column(&server.message);
            server_error(schema, tables, address, timeout, (server.code, &server.state), column)
        }
        Error::Driver(DriverError::ConnectionClosed) => Unreachable(Problem::ConnectionLost { to }),
        // A smaller batch may pass.
        Error::Driver(DriverError::PacketTooLarge) => Refused(Problem::RecordTooLarge),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            let said = "the server does not offer TLS".to_owned();
            Configuration(Problem::Tls { to, said })
        }
        Error::Driver(
            DriverError::UnknownAuthPlugin { .. }
            | DriverError::MysqlOldPasswordDisabled
            | DriverError::CleartextPluginDisabled,
        ) => Configuration(Problem::LoginImpossible),
        Error::Io(_) | Error::Other(_) => {
            if let Some(said) = pem::tls_error(error) {
                return Configuration(Problem::Tls { to, said: said.to_string() });
            }
            match pem::io_kind(error) {
                Some(io::ErrorKind::TimedOut) => {
                    Unreachable(Problem::Connect { to, kind: "timed out".to_owned() })
                }
                Some(
                    io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionAborted,
                ) => Unreachable(Problem::ConnectionLost { to }),
                Some(kind) => Unreachable(Problem::Connect { to, kind: kind.to_string() }),
                None => malformed(),
            }
        }
        _ => malformed(),
    }
}

/// MariaDB's error → what follows. Source: MariaDB Server documentation, Error Codes; by number, then by the class of
/// its SQLSTATE.
///
/// * `code`: number and SQLSTATE.
fn server_error(
    schema: &str,
    tables: &'static str,
    address: &str,
    timeout: Duration,
    (number, state): (u16, &str),
    column: Option<String>,
) -> DeliveryError {
    use DeliveryError::{Configuration, Refused, Unreachable};
    let state = remark::sqlstate(state);
    let sqlstate = format!("{state}/{number}");
    let class = state.get(..2).unwrap_or_default();
    match (number, class) {
        // ER_NO_SUCH_TABLE, ER_NO_SUCH_TABLE_IN_ENGINE, ER_BAD_TABLE_ERROR
        (1146 | 1932 | 1051, _) => {
            Configuration(Problem::TableMissing { table: tables, schema: schema.to_owned() })
        }
        // ER_BAD_DB_ERROR, ER_NO_DB_ERROR
        (1049 | 1046, _) => Configuration(Problem::DatabaseMissing { sqlstate }),
        // ER_DBACCESS_DENIED, ER_TABLEACCESS_DENIED, ER_COLUMNACCESS_DENIED, ER_SPECIFIC_ACCESS_DENIED
        (1044 | 1142 | 1143 | 1227, _) => Configuration(Problem::RightMissing { sqlstate }),
        // ER_ACCESS_DENIED, ER_ACCESS_DENIED_NO_PASSWORD, ER_HOST_IS_BLOCKED, ER_HOST_NOT_PRIVILEGED, passwords that
        // have run out, ER_SECURE_TRANSPORT_REQUIRED
        (1045 | 1698 | 1129 | 1130 | 1820 | 1862 | 3159 | 4151, _) | (_, "28") => {
            Configuration(Problem::LoginRefused { sqlstate })
        }
        // ER_NOT_SUPPORTED_AUTH_MODE, ER_PLUGIN_IS_NOT_LOADED
        (1251 | 1524, _) => Configuration(Problem::LoginImpossible),
        // ER_STATEMENT_TIMEOUT, ER_QUERY_TIMEOUT, ER_LOCK_WAIT_TIMEOUT
        (1969 | 3024 | 1205, _) => {
            Unreachable(Problem::TimedOut { to: address.to_owned(), after: timeout })
        }
        // ER_NET_PACKET_TOO_LARGE: a smaller batch may pass
        (1153, _) => Refused(Problem::RecordTooLarge),
        // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, ER_WARN_DATA_OUT_OF_RANGE, WARN_DATA_TRUNCATED, ER_CHECK_CONSTRAINT
        (1366 | 1264 | 1265 | 3819 | 4025, _) | (_, "22" | "23" | "45") => {
            Refused(Problem::ValueRefused { sqlstate, column })
        }
        // ER_NO_DEFAULT_FOR_FIELD, ER_WRONG_VALUE_COUNT_ON_ROW, ER_NON_INSERTABLE_TABLE
        (1364 | 1136 | 1471, _) => Configuration(Problem::TableDiffers { sqlstate }),
        // 40 deadlock comes before 42 syntax and columns; 08 connection, 70 killed, HY000 everything else: full disks
        // and tables (1021, 1114), read-only servers (1290, 1836), too many connections (1040), shutdown (1053)
        (_, "42") => Configuration(Problem::TableDiffers { sqlstate }),
        _ => Unreachable(Problem::DatabaseFailing { sqlstate }),
    }
}

/// The column that a message names: "… for column 'issue_dept' at row 1", "Column 'row_guid' cannot be null". Nothing
/// else of the message is kept: it may quote a value.
fn column(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("olumn '").or_else(|| message.split_once("olumn `"))?;
    // MariaDB writes `database`.`table`.`column` where there is more than one.
    let whole = rest.split([' ', '\n']).next()?;
    let name =
        whole.trim_end_matches(['\'', '`']).rsplit(['.', '`']).find(|part| !part.is_empty())?;
    remark::column(name)
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    #[test]
    fn each_error_of_the_database_has_its_outcome() {
        for (number, state, outcome, code) in [
            (1146, "42S02", "configuration", "table_missing"),
            (1049, "42000", "configuration", "database_missing"),
            (1044, "42000", "configuration", "right_missing"),
            (1142, "42000", "configuration", "right_missing"),
            (1143, "42000", "configuration", "right_missing"),
            (1045, "28000", "configuration", "login_refused"),
            (1130, "HY000", "configuration", "login_refused"),
            (3159, "08004", "configuration", "login_refused"),
            (1251, "08004", "configuration", "login_impossible"),
            (1054, "42S22", "configuration", "table_differs"),
            (1064, "42000", "configuration", "table_differs"),
            (1364, "HY000", "configuration", "table_differs"),
            (1406, "22001", "refused", "value_refused"),
            (1366, "22007", "refused", "value_refused"),
            (1048, "23000", "refused", "value_refused"),
            (1062, "23000", "refused", "value_refused"),
            (4025, "23000", "refused", "value_refused"),
            (1644, "45000", "refused", "value_refused"),
            (1153, "08S01", "refused", "record_too_large"),
            (1969, "70100", "unreachable", "timed_out"),
            (1205, "HY000", "unreachable", "timed_out"),
            (1213, "40001", "unreachable", "database_failing"),
            (1040, "08004", "unreachable", "database_failing"),
            (1053, "08S01", "unreachable", "database_failing"),
            (1927, "70100", "unreachable", "database_failing"),
            (1114, "HY000", "unreachable", "database_failing"),
            (1021, "HY000", "unreachable", "database_failing"),
            (1290, "HY000", "unreachable", "database_failing"),
        ] {
            let error = Error::Server(ServerError {
                code: number,
                state: state.to_owned(),
                message: String::new(),
            });
            let error = failure("db:3306", "exchange", "a table", Duration::from_secs(30), &error);
            let found = match &error {
                DeliveryError::Unreachable(_) => "unreachable",
                DeliveryError::Refused(_) => "refused",
                DeliveryError::Configuration(_) => "configuration",
            };
            assert_eq!((found, error.code()), (outcome, code), "{number} {state}");
        }
    }

    #[test]
    fn of_a_message_the_column_is_kept_and_no_value() {
        for (message, named) in [
            ("Data too long for column 'issue_dept' at row 1", Some("issue_dept")),
            ("Column 'row_guid' cannot be null", Some("row_guid")),
            (
                "Incorrect string value: '\\xF0' for column `db`.`up_lic_data`.`issue_dept` at row 2",
                Some("issue_dept"),
            ),
            ("Duplicate entry '11010519491231002X' for key 'x'", None),
            ("for column '11010519491231002X 张三'", None),
            ("", None),
        ] {
            assert_eq!(column(message).as_deref(), named, "{message}");
        }
    }
}
