//! Changes → rows of `up_lic_data`. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::layout::Layout;
use crate::{Batch, Refused, Shared, Types, code_map::MapProblem};

/// Beijing time, in which counterparts keep `cd_time`: UTC+8 all year.
const CHINA_OFFSET: Duration = Duration::from_secs(8 * 3600);

/// One row.
pub(crate) struct Row {
    /// As in [`Layout::columns`].
    pub(crate) values: Vec<String>,
    /// Beijing time to the second, written as if it were UTC: the column has no time zone.
    pub(crate) cd_time: SystemTime,
}

impl Row {
    /// A line for each column, for people to look at.
    pub(crate) fn told(&self, layout: &Layout) -> String {
        let mut told = String::new();
        for (column, value) in layout.columns().zip(&self.values) {
            told.push_str(&format!("{column}: {value}\n"));
        }
        told.push_str(&format!("cd_time: {}\n", self.cd_time_text()));
        told
    }

    /// `2025-03-01 09:30:00`.
    pub(crate) fn cd_time_text(&self) -> String {
        let seconds = self.cd_time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let at = i64::try_from(seconds).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
        let at = at.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        at.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// A batch as rows, and what of it cannot be one.
pub(crate) struct Encoded {
    pub(crate) rows: Vec<Row>,
    pub(crate) refused: Vec<Refused>,
}

/// Makes a row of each change; one that does not fit the columns is refused with the name of the column.
pub(crate) fn rows(connector: &str, layout: &Layout, types: &Types, batch: &Batch) -> Encoded {
    let mut encoded = Encoded { rows: Vec::with_capacity(batch.items.len()), refused: Vec::new() };
    for item in &batch.items {
        match row(connector, layout, types, &batch.id, item) {
            Ok(row) => encoded.rows.push(row),
            Err(problem) => encoded.refused.push(problem.refused(item)),
        }
    }
    encoded
}

/// The row of one change.
pub(crate) fn row(
    connector: &str,
    layout: &Layout,
    types: &Types,
    batch: &str,
    item: &Shared,
) -> Result<Row, MapProblem> {
    let type_name = types.get(&item.licence.licence_type).map(|terms| terms.name.as_str());
    let values = layout.map.texts(item, connector, batch, type_name)?;
    let seconds = u64::try_from(item.change.at.as_second()).unwrap_or(0);
    let cd_time = UNIX_EPOCH + Duration::from_secs(seconds) + CHINA_OFFSET;
    Ok(Row { values, cd_time })
}

/// The part of `row_guid` before the number.
pub(crate) fn guid_prefix(connector: &str) -> String {
    format!("{connector}-")
}

#[cfg(test)]
mod tests {
    use licence::{ChangeKind, LicenceStatus, RevocationCause, SharingClass, Trust};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Operation, TypeTerms, code_map::DateForm, frontdb::layout::COLUMNS, rules::samples,
    };

    fn layout(dates: DateForm) -> Layout {
        Layout::new(None, "017", dates).unwrap()
    }

    fn encoded(layout: &Layout, types: &Types, batch: &Batch) -> Encoded {
        rows("province", layout, types, batch)
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
        insta::assert_snapshot!("rows", shown(&encoded(&layout(DateForm::Iso), &names, &batch)));

        let compact = encoded(&layout(DateForm::Compact), &Types::new(), &batch);
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
        let batch = "b".repeat(32);
        assert!(row(&name, &layout(DateForm::Iso), &Types::new(), &batch, &item).is_ok());
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
            let encoded = rows("province", &layout(DateForm::Iso), &Types::new(), &batch);
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
