//! Changes → rows of `up_lic_data`. Pure.

use std::borrow::Cow;
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
        time_text(self.cd_time)
    }
}

/// Changes that are to be rows, and what the rows need to know beside them.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) connector: &'a str,
    pub(crate) layout: &'a Layout,
    pub(crate) types: &'a Types,
    pub(crate) batch: &'a Batch,
}

impl<'a> Source<'a> {
    pub(crate) fn rows(&self) -> Encoded {
        rows(self.connector, self.layout, self.types, self.batch)
    }

    pub(crate) fn lines(self) -> Lines<'a> {
        Lines { source: self, next: 0, refused: Vec::new(), time: (u64::MAX, String::new()) }
    }
}

/// A batch as lines of COPY's text format, made piece by piece, so that one is on its way while the next is made.
pub(crate) struct Lines<'a> {
    source: Source<'a>,
    next: usize,
    /// What of the pieces so far cannot be a row.
    pub(crate) refused: Vec<Refused>,
    /// The last `cd_time`: many changes have the same.
    time: (u64, String),
}

impl Lines<'_> {
    /// The next lines, of `bytes` bytes or little more; `None` if there are no more.
    pub(crate) fn piece(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let Source { connector, layout, types, batch } = self.source;
        let mut piece = Vec::with_capacity(bytes + 4_096);
        while let Some(item) = batch.items.get(self.next).filter(|_| piece.len() < bytes) {
            self.next += 1;
            let start = piece.len();
            let take = |text: Cow<'_, str>| {
                escape(&mut piece, &text);
                piece.push(b'\t');
            };
            let name = type_name(types, item);
            match layout.map.each_text(item, connector, &batch.id, name, take) {
                Ok(()) => {
                    let seconds = seconds(item);
                    if self.time.0 != seconds {
                        self.time = (seconds, time_text(cd_time(seconds)));
                    }
                    piece.extend_from_slice(self.time.1.as_bytes());
                    piece.push(b'\n');
                }
                Err(problem) => {
                    piece.truncate(start);
                    self.refused.push(problem.refused(item));
                }
            }
        }
        (!piece.is_empty()).then_some(piece)
    }
}

/// A value in COPY's text format. Source: PostgreSQL 15, COPY, File Formats.
fn escape(into: &mut Vec<u8>, value: &str) {
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t'))
    {
        into.extend_from_slice(&rest[..at]);
        into.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    into.extend_from_slice(rest);
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
    let values = layout.map.texts(item, connector, batch, type_name(types, item))?;
    Ok(Row { values, cd_time: cd_time(seconds(item)) })
}

fn type_name<'a>(types: &'a Types, item: &Shared) -> Option<&'a str> {
    types.get(&item.licence.licence_type).map(|terms| terms.name.as_str())
}

fn seconds(item: &Shared) -> u64 {
    u64::try_from(item.change.at.as_second()).unwrap_or(0)
}

fn cd_time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds) + CHINA_OFFSET
}

fn time_text(cd_time: SystemTime) -> String {
    let seconds = cd_time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = i64::try_from(seconds).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    let at = at.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
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
    fn what_separates_columns_and_rows_is_escaped() {
        let mut escaped = Vec::new();
        escape(&mut escaped, "a\tb\nc\rd\\e\\N证照");
        assert_eq!(String::from_utf8(escaped).unwrap(), "a\\tb\\nc\\rd\\\\e\\\\N证照");
    }

    #[test]
    fn lines_are_rows_in_pieces_without_what_is_refused() {
        let mut long = samples::licence(1, samples::types()[0]);
        long.name = "长".repeat(600);
        let mut items: Vec<_> = (0..9).map(samples::issued).collect();
        items.insert(4, samples::of_licence(99, long));
        let batch = Batch::new("province", 0, items);
        let (layout, types) = (layout(DateForm::Iso), Types::new());
        let source =
            Source { connector: "province", layout: &layout, types: &types, batch: &batch };
        let rows = source.rows();
        let line = |row: &Row| format!("{}\t{}\n", row.values.join("\t"), row.cd_time_text());
        let expected: String = rows.rows.iter().map(line).collect();
        for bytes in [1, 500, 1 << 20] {
            let mut lines = source.lines();
            let mut text = Vec::new();
            while let Some(piece) = lines.piece(bytes) {
                text.extend(piece);
            }
            assert_eq!(String::from_utf8(text).unwrap(), expected);
            assert_eq!(lines.refused, rows.refused);
        }
        assert_eq!((rows.rows.len(), rows.refused.len()), (9, 1));
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
