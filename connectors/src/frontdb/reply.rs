//! What the exchange database answers → what follows. Pure.

use std::{collections::BTreeMap, io, time::Duration};

use jiff::{Timestamp, civil::Date, tz::Offset};
use licence::{LicenceTypeCode, Seq};

use super::{
    client::{Counted, ERRORS_LIMIT, ErrorRow},
    encode,
};
use crate::{
    Bucket, DeliveryError, Problem, Refused, Reply, ReplyPage, ReplyPosition, Tally, pem, remark,
};

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

/// Tallies as read → tallies; `None` if a day cannot be told, because a code map does not send it.
///
/// # Errors
/// `UnknownTypeCounted`: the table holds a row of ours that we cannot have written.
pub(crate) fn tallies(
    rows: Vec<Counted>,
) -> Result<Option<BTreeMap<Bucket, Tally>>, DeliveryError> {
    let mut tallies: BTreeMap<Bucket, Tally> = BTreeMap::new();
    for row in rows {
        let licence_type = row.licence_type.parse().ok();
        let count = u64::try_from(row.count).ok();
        let tally = count.and_then(|count| Tally::from_sum(count, &row.sum));
        let Some((licence_type, tally)) = licence_type.zip(tally) else {
            return Err(DeliveryError::Configuration(Problem::UnknownTypeCounted));
        };
        let Some(day) = day_of(&row.day) else { return Ok(None) };
        // Days may be written in two forms, when a code map was changed between.
        let held = tallies.entry(Bucket { licence_type, day }).or_default();
        held.count = held.count.saturating_add(tally.count);
        held.digest = (held.digest + tally.digest) & ((1 << 60) - 1);
    }
    Ok(Some(tallies))
}

/// Beijing time: UTC+8 all year.
const CHINA: Offset = Offset::constant(8);

/// A day in any of the forms that code maps have.
fn day_of(text: &str) -> Option<Date> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match (text.len(), digits) {
        (10, false) => text.parse().ok(),
        (8, true) => Date::strptime("%Y%m%d", text).ok(),
        _ => {
            let at = Timestamp::from_millisecond(text.parse().ok()?).ok()?;
            Some(CHINA.to_datetime(at).date())
        }
    }
}

/// A day in all the forms that code maps have.
pub(crate) fn forms_of(day: Date) -> Vec<String> {
    let mut forms = vec![day.to_string(), day.strftime("%Y%m%d").to_string()];
    if let Ok(at) = CHINA.to_timestamp(day.at(0, 0, 0, 0)) {
        forms.push(at.as_millisecond().to_string());
    }
    forms
}

/// Error rows → replies. Rows without our prefix are not ours; one that has it, but no number of a change, is about a
/// change that there is not: it must not hide those behind it.
pub(crate) fn page(connector: &str, rows: Vec<ErrorRow>, now_micros: u64) -> ReplyPage {
    let prefix = encode::guid_prefix(connector);
    let more = rows.len() >= ERRORS_LIMIT;
    let replies = rows
        .into_iter()
        .filter_map(|row| {
            let digits = row.row_guid.strip_prefix(&prefix)?;
            let fits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let seq = Seq(digits.parse().ok().filter(|_| fits).unwrap_or(u64::MAX));
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
    tables: &'static str,
    timeout: Duration,
    error: &tokio_postgres::Error,
) -> DeliveryError {
    if let Some(database) = error.as_db_error() {
        let code = remark::sqlstate(database.code().code());
        let column = database.column().and_then(remark::column);
        return sql_error(schema, tables, address, timeout, code, column);
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
    tables: &'static str,
    address: &str,
    timeout: Duration,
    sqlstate: &str,
    column: Option<String>,
) -> DeliveryError {
    use DeliveryError::{Configuration, Refused, Unreachable};
    let code = sqlstate.to_owned();
    let class = sqlstate.get(..2).unwrap_or_default();
    match (class, sqlstate) {
        (_, "42P01") | ("3F", _) => {
            Configuration(Problem::TableMissing { table: tables, schema: schema.to_owned() })
        }
        (_, "42501") => Configuration(Problem::RightMissing { sqlstate: code }),
        ("42", _) => Configuration(Problem::TableDiffers { sqlstate: code }),
        ("28", _) => Configuration(Problem::LoginRefused { sqlstate: code }),
        ("3D", _) => Configuration(Problem::DatabaseMissing { sqlstate: code }),
        ("22" | "23" | "54", _) => Refused(Problem::ValueRefused { sqlstate: code, column }),
        // Raised by a trigger over there: it is about a row.
        ("P0", _) => Refused(Problem::ValueRefused { sqlstate: code, column: None }),
        (_, "57014") => Unreachable(Problem::TimedOut { to: address.to_owned(), after: timeout }),
        // 08 connection, 25 read-only, 40 rolled back, 53 resources, 55 state, 57 operator, 58 system, XX internal
        _ => Unreachable(Problem::DatabaseFailing { sqlstate: code }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_database_has_its_outcome() {
        for (sqlstate, outcome, code) in [
            ("42P01", "configuration", "table_missing"),
            ("3F000", "configuration", "table_missing"),
            ("42703", "configuration", "table_differs"),
            ("42804", "configuration", "table_differs"),
            ("42P10", "configuration", "table_differs"),
            ("42501", "configuration", "right_missing"),
            ("28P01", "configuration", "login_refused"),
            ("28000", "configuration", "login_refused"),
            ("3D000", "configuration", "database_missing"),
            ("22001", "refused", "value_refused"),
            ("22021", "refused", "value_refused"),
            ("23502", "refused", "value_refused"),
            ("23505", "refused", "value_refused"),
            ("23514", "refused", "value_refused"),
            ("54000", "refused", "value_refused"),
            ("P0001", "refused", "value_refused"),
            ("57014", "unreachable", "timed_out"),
            ("57P01", "unreachable", "database_failing"),
            ("57P03", "unreachable", "database_failing"),
            ("53300", "unreachable", "database_failing"),
            ("53100", "unreachable", "database_failing"),
            ("40P01", "unreachable", "database_failing"),
            ("25006", "unreachable", "database_failing"),
            ("XX000", "unreachable", "database_failing"),
            ("", "unreachable", "database_failing"),
        ] {
            let error = sql_error(
                "public",
                "up_lic_data or dn_lic_data_error",
                "db:5432",
                Duration::from_secs(30),
                sqlstate,
                Some("issue_dept".to_owned()),
            );
            let found = match &error {
                DeliveryError::Unreachable(_) => "unreachable",
                DeliveryError::Refused(_) => "refused",
                DeliveryError::Configuration(_) => "configuration",
            };
            assert_eq!((found, error.code()), (outcome, code), "{sqlstate}");
        }
    }

    #[test]
    fn rows_with_our_prefix_are_replies_if_only_about_a_change_that_there_is_not() {
        let row = |guid: &str| ErrorRow {
            row_guid: guid.to_owned(),
            remark: "退回".to_owned(),
            micros: 5,
        };
        let rows = [
            "province-00000000000000000042",
            "province-18446744073709551615",
            "province-18446744073709551616",
            "province-0000000000000000042",
            "province-+0000000000000000042",
            "province-0000000000000000004x",
            "city-00000000000000000042",
            "province-",
            "",
        ];
        let page = page("province", rows.iter().map(|guid| row(guid)).collect(), 9);
        let found: Vec<u64> = page.replies.iter().map(|reply| reply.refused.seq.0).collect();
        // The highest number stands for none: no change ever has it.
        let none = u64::MAX;
        assert_eq!(found, [42, none, none, none, none, none, none]);
        assert!(!page.more);
        assert_eq!((page.replies[0].position.micros, page.now_micros), (5, 9));
    }

    #[test]
    fn a_day_is_known_in_each_form_and_nothing_else_is_one() {
        let day = jiff::civil::date(2025, 3, 1);
        for form in forms_of(day) {
            assert_eq!(day_of(&form), Some(day), "{form}");
        }
        for none in ["", "/", "2025年3月1日", "20251301", "2025-13-01", "1e9"] {
            assert_eq!(day_of(none), None, "{none}");
        }
        let counted = |licence_type: &str, day: &str| Counted {
            licence_type: licence_type.to_owned(),
            day: day.to_owned(),
            count: 1,
            sum: "7".to_owned(),
        };
        let known = "11100000000013338W011";
        assert_eq!(tallies(vec![counted(known, "/")]).unwrap(), None);
        let both = vec![counted(known, "20250301"), counted(known, "2025-03-01")];
        let found = tallies(both).unwrap().unwrap();
        assert_eq!(found.values().collect::<Vec<_>>(), [&Tally { count: 2, digest: 14 }]);
        assert_eq!(tallies(vec![counted("x", "/")]).unwrap_err().code(), "unknown_type_counted");
    }

    #[test]
    fn counts_name_licence_types() {
        let known = ("11100000000013338W011".to_owned(), 3);
        assert_eq!(counts(vec![known.clone()]).unwrap().values().sum::<u64>(), 3);
        for wrong in [("x".to_owned(), 3), ("11100000000013338W011".to_owned(), -1)] {
            let error = counts(vec![known.clone(), wrong]).unwrap_err();
            assert_eq!(error.code(), "unknown_type_counted");
        }
    }
}
