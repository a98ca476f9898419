//! Changes → rows of `up_lic_data`. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::settings::{DateForm, Settings};
use crate::{Batch, Operation, Refused, Shared, Types};

/// The text columns in the order of [`Row::values`], with the characters that fit; `None`: no limit.
pub(crate) const COLUMNS: [(&str, Option<usize>); 16] = [
    ("row_guid", Some(50)),
    ("certificate_source_id", Some(128)),
    ("certificate_name", Some(512)),
    ("certificate_type", Some(256)),
    ("certificate_type_code", Some(64)),
    ("certificate_number", Some(128)),
    ("certificate_holder", None),
    ("certificate_holder_code", None),
    ("certificate_holder_type", Some(2000)),
    ("certificate_area_code", Some(32)),
    ("issue_dept", Some(256)),
    ("issue_dept_code", Some(32)),
    ("issue_date", Some(32)),
    ("cd_batch", Some(32)),
    ("cd_operation", Some(2)),
    ("data_source", Some(3)),
];

/// Beijing time, in which counterparts keep `cd_time`: UTC+8 all year.
const CHINA_OFFSET: Duration = Duration::from_secs(8 * 3600);

/// Between several values in one field.
const SEPARATOR: char = '^';
/// In a mandatory field that has no value.
const EMPTY: &str = "/";

/// One row.
pub(crate) struct Row {
    /// As in [`COLUMNS`].
    pub(crate) values: [String; COLUMNS.len()],
    /// Beijing time, written as if it were UTC: the column has no time zone.
    pub(crate) cd_time: SystemTime,
}

impl Row {
    /// A line for each column, for people to look at.
    pub(crate) fn told(&self) -> String {
        let mut told = String::new();
        for ((column, _), value) in COLUMNS.iter().zip(&self.values) {
            told.push_str(&format!("{column}: {value}\n"));
        }
        told
    }
}

/// A batch as rows, and what of it cannot be one.
pub(crate) struct Encoded {
    pub(crate) rows: Vec<Row>,
    pub(crate) refused: Vec<Refused>,
}

/// Makes a row of each change; one that does not fit the columns is refused with the name of the column.
pub(crate) fn rows(settings: &Settings, types: &Types, batch: &Batch) -> Encoded {
    let mut encoded = Encoded { rows: Vec::with_capacity(batch.items.len()), refused: Vec::new() };
    for item in &batch.items {
        let row = row(settings, types, &batch.id, item);
        match row {
            Ok(row) => encoded.rows.push(row),
            Err(refused) => encoded.refused.push(refused),
        }
    }
    encoded
}

/// The part of `row_guid` before the number.
pub(crate) fn guid_prefix(connector: &str) -> String {
    format!("{connector}-")
}

fn row(settings: &Settings, types: &Types, batch: &str, item: &Shared) -> Result<Row, Refused> {
    let licence = &item.licence;
    let issue_date = match settings.date_form {
        DateForm::Iso => licence.issued_on.to_string(),
        DateForm::Compact => licence.issued_on.strftime("%Y%m%d").to_string(),
    };
    let holder_names = licence.holders.iter().map(|holder| holder.name.as_str());
    let holder_codes = licence.holders.iter().map(|holder| holder.id.number());
    let holder_kinds = licence.holders.iter().map(|holder| holder.id.kind().code());
    let values = [
        item.key(&settings.name),
        item.identifier().to_string(),
        mandatory(&licence.name),
        mandatory(types.get(&licence.licence_type).map_or(&licence.name, |terms| &terms.name)),
        licence.licence_type.to_string(),
        mandatory(&licence.number),
        joined("certificate_holder", item, holder_names)?,
        joined("certificate_holder_code", item, holder_codes)?,
        joined("certificate_holder_type", item, holder_kinds)?,
        licence.region.as_ref().map_or_else(|| EMPTY.to_owned(), ToString::to_string),
        mandatory(&licence.issuer_name),
        licence.issuer.to_string(),
        issue_date,
        batch.to_owned(),
        Operation::of(&item.change.kind, item.trust).code().to_owned(),
        settings.data_source.clone(),
    ];
    for ((column, limit), value) in COLUMNS.iter().zip(&values) {
        if value.contains('\0') {
            return Err(refused(item, "value_has_nul", column, "holds a NUL character"));
        }
        if limit.is_some_and(|limit| value.len() > limit && value.chars().count() > limit) {
            return Err(refused(item, "value_too_long", column, "is longer than the column"));
        }
    }
    let micros = u64::try_from(item.change.at.as_microsecond()).unwrap_or(0);
    let cd_time = UNIX_EPOCH + Duration::from_micros(micros) + CHINA_OFFSET;
    Ok(Row { values, cd_time })
}

fn mandatory(text: &str) -> String {
    if text.is_empty() { EMPTY.to_owned() } else { text.to_owned() }
}

/// Several values in one field. A value that holds the separator would be read as two.
fn joined<'a>(
    column: &'static str,
    item: &Shared,
    values: impl Iterator<Item = &'a str>,
) -> Result<String, Refused> {
    let mut joined = String::new();
    for (position, value) in values.enumerate() {
        if value.contains(SEPARATOR) {
            return Err(refused(item, "value_has_separator", column, "holds the character ^"));
        }
        if position > 0 {
            joined.push(SEPARATOR);
        }
        joined.push_str(if value.is_empty() { EMPTY } else { value });
    }
    Ok(mandatory(&joined))
}

fn refused(item: &Shared, code: &str, column: &str, what: &str) -> Refused {
    Refused {
        seq: item.seq(),
        code: code.to_owned(),
        remark: format!("the value for {column} {what}"),
    }
}

#[cfg(test)]
mod tests {
    use licence::{ChangeKind, LicenceStatus, RevocationCause, SharingClass, Trust};
    use proptest::prelude::*;

    use super::*;
    use crate::{CheckedConnector, ConnectorSettings, TypeTerms, rules::samples};

    fn settings(date_form: &str) -> Settings {
        let raw = ConnectorSettings {
            name: "province".to_owned(),
            kind: "frontdb".to_owned(),
            connection: Some("host=/run/pg user=a dbname=b".to_owned()),
            data_source: Some("017".to_owned()),
            date_form: Some(date_form.to_owned()),
            ..ConnectorSettings::default()
        };
        match raw.check().unwrap().connector {
            CheckedConnector::FrontDb(settings) => settings,
            _ => unreachable!("the kind is frontdb"),
        }
    }

    fn shown(encoded: &Encoded) -> String {
        let mut shown = String::new();
        for row in &encoded.rows {
            for ((column, _), value) in COLUMNS.iter().zip(&row.values) {
                shown.push_str(&format!("{column}: {value}\n"));
            }
            let seconds = row.cd_time.duration_since(UNIX_EPOCH).unwrap().as_secs();
            shown.push_str(&format!("cd_time: {seconds}\n\n"));
        }
        for refused in &encoded.refused {
            shown.push_str(&format!("{refused:?}\n"));
        }
        shown
    }

    #[test]
    fn rows_are_as_the_golden_file_has_them() {
        let first = samples::issued(7);
        let revoked = LicenceStatus::Revoked { cause: RevocationCause::Withdrawn };
        let items = vec![
            first.clone(),
            samples::changed(8, &first, LicenceStatus::Valid, LicenceStatus::Suspended),
            samples::changed(9, &first, LicenceStatus::Suspended, LicenceStatus::Valid),
            samples::changed(u64::MAX >> 40, &first, LicenceStatus::Valid, revoked),
        ];
        let names = Types::from([(
            samples::types()[0],
            TypeTerms { name: "许可证类型".to_owned(), sharing: SharingClass::Conditional },
        )]);
        let batch = Batch::new("province", 0, items);
        insta::assert_snapshot!("rows", shown(&rows(&settings("iso"), &names, &batch)));

        let compact = rows(&settings("compact"), &Types::new(), &batch);
        assert_eq!(compact.rows[0].values[12], "20250301");
        assert_eq!(
            compact.rows[0].values[3], "样本许可证",
            "without a catalogue the licence's name stands in"
        );
    }

    #[test]
    fn operations_follow_from_before_and_after() {
        let first = samples::issued(0);
        let revoked = LicenceStatus::Revoked { cause: RevocationCause::Annulled };
        let superseded = LicenceStatus::Superseded { by: samples::issued(1).identifier().clone() };
        assert_eq!(Operation::of(&first.change.kind, Trust::Trusted), Operation::Insert);
        use LicenceStatus::{Suspended, Valid};
        for (from, to, operation) in [
            (Valid, Suspended, "D"),
            (Valid, revoked.clone(), "D"),
            (Valid, superseded, "D"),
            (Suspended, revoked, "D"),
            (Suspended, Valid, "I"),
            (Valid, Valid, "U"),
        ] {
            let change = samples::changed(1, &first, from, to).change;
            assert_eq!(Operation::of(&change.kind, Trust::Trusted).code(), operation);
            assert_eq!(Operation::of(&change.kind, Trust::Untrusted), Operation::Delete);
        }
        for (to, status, operation) in [
            (Trust::Untrusted, Valid, "D"),
            (Trust::Trusted, Valid, "I"),
            (Trust::Untrusted, Suspended, "D"),
            (Trust::Trusted, Suspended, "D"),
        ] {
            let mut change = samples::judged(1, &first, to).change;
            if let ChangeKind::TrustChanged { status: held, .. } = &mut change.kind {
                *held = status;
            }
            assert_eq!(Operation::of(&change.kind, to).code(), operation);
        }
    }

    #[test]
    fn the_longest_name_and_number_fit_the_key() {
        let name = "n".repeat(29);
        let item = samples::issued(0);
        let guid = format!("{}{:020}", guid_prefix(&name), u64::MAX);
        assert_eq!(guid.len(), COLUMNS[0].1.unwrap());
        assert!(row(&settings("iso"), &Types::new(), &"b".repeat(32), &item).is_ok());
    }

    proptest! {
        /// Whatever a licence says, a row fits its columns or the record is refused, without its value.
        #[test]
        fn a_row_fits_or_is_refused(name in "\\PC{0,600}|[a-z^\\x00]{0,9}", number in "\\PC{0,140}", holder in ".{0,40}") {
            let mut licence = samples::licence(1, samples::types()[0]);
            licence.name = name;
            licence.number = number;
            licence.holders[0].name = holder.clone();
            let batch = Batch::new("province", 0, vec![samples::of_licence(1, licence)]);
            let encoded = rows(&settings("iso"), &Types::new(), &batch);
            prop_assert_eq!(encoded.rows.len() + encoded.refused.len(), 1);
            for row in &encoded.rows {
                for ((column, limit), value) in COLUMNS.iter().zip(&row.values) {
                    prop_assert!(!value.is_empty() && !value.contains('\0'), "{}", column);
                    prop_assert!(limit.is_none_or(|limit| value.chars().count() <= limit), "{}", column);
                }
            }
            for refused in &encoded.refused {
                prop_assert!(COLUMNS.iter().any(|(column, _)| refused.remark.contains(column)));
            }
        }

        /// The order of keys as text is the order of changes.
        #[test]
        fn keys_sort_as_changes_do(first: u64, second: u64) {
            let guid = |seq: u64| format!("{}{seq:020}", guid_prefix("province"));
            prop_assert_eq!(guid(first).cmp(&guid(second)), first.cmp(&second));
        }
    }
}
