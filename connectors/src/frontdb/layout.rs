//! Which columns of `up_lic_data` are filled, and from what. Pure.
//!
//! Without a code map the columns are as the standard has them: [`STANDARD`] is that map. A counterpart's code map takes
//! its place column by column; a column that it does not list carries what it says of empty elements, so that nothing
//! is sent that the counterpart did not ask for. It may list further columns that the counterpart's table has.

use std::collections::BTreeSet;

use crate::code_map::{CodeList, CodeMap, DateForm, Field};

/// The text columns of the standard, with the characters that fit; `None`: no limit.
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

/// The columns of the standard as a code map.
pub(crate) const STANDARD: &str = include_str!("standard.json");

/// Columns that say what is ours to say: by them repeats are dropped and both sides compared.
const OURS: [&str; 4] = ["row_guid", "certificate_source_id", "cd_batch", "cd_time"];
/// Columns that are no part of a mark: which batch it came with, and what is to be done, are not what is held.
const UNMARKED: [&str; 2] = ["cd_batch", "cd_operation"];
/// In a mandatory column that has no value, where the map does not say.
const EMPTY: &str = "/";
/// Most columns beside the standard's.
const MOST_MORE: usize = 100;

/// Which columns are filled, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Its fields are the columns, those of the standard first.
    pub(crate) map: CodeMap,
    /// How `cd_operation` says that a licence is not to be shared any more.
    pub(crate) delete: String,
}

impl Layout {
    /// * `data_source`, `dates`: as the settings have them, where no code map says otherwise.
    ///
    /// # Errors
    /// What is wrong with the code map.
    pub(crate) fn new(
        own: Option<&CodeMap>,
        data_source: &str,
        dates: DateForm,
    ) -> Result<Self, &'static str> {
        let standard =
            CodeMap::parse(STANDARD.as_bytes()).map_err(|_| "is not the standard's any more")?;
        let mut map = own.cloned().unwrap_or_else(|| CodeMap { dates, ..standard.clone() });
        let empty = map.empty.get_or_insert_with(|| EMPTY.to_owned()).clone();
        if empty.is_empty() {
            return Err("has an empty `empty`: the columns are mandatory");
        }
        if !map.codes.contains_key(&CodeList::Operation)
            && let Some(operations) = standard.codes.get(&CodeList::Operation)
        {
            map.codes.insert(CodeList::Operation, operations.clone());
        }
        let listed = std::mem::take(&mut map.fields);
        if listed.iter().any(|field| own.is_some() && OURS.contains(&field.name.as_str())) {
            return Err(
                "lists row_guid, certificate_source_id, cd_batch or cd_time, which are the hub's to fill",
            );
        }
        for (column, limit) in COLUMNS {
            let standard = standard.fields.iter().find(|field| field.name == column);
            let listed = listed.iter().find(|field| field.name == column);
            let mut field = match (listed, standard) {
                (Some(field), _) => field.clone(),
                (None, Some(field)) if OURS.contains(&column) || column == "cd_operation" => {
                    field.clone()
                }
                _ => constant(column, if column == "data_source" { data_source } else { &empty }),
            };
            if column == "data_source" && own.is_none() {
                field = constant(column, data_source);
            }
            field.mandatory = true;
            field.max = match (field.max, limit) {
                (Some(own), Some(limit)) => Some(own.min(limit)),
                (own, limit) => own.or(limit),
            };
            map.fields.push(field);
        }
        let known: BTreeSet<&str> = COLUMNS.iter().map(|(column, _)| *column).collect();
        for field in listed {
            if known.contains(field.name.as_str()) {
                continue;
            }
            if !is_column(&field.name) {
                return Err(
                    "lists a column that is not lower-case letters, digits and underscores",
                );
            }
            map.fields.push(Field { mandatory: true, ..field });
        }
        if map.fields.len() > COLUMNS.len() + MOST_MORE {
            return Err("lists more than 100 columns beside the standard's");
        }
        let delete = map.code(CodeList::Operation, "delete").unwrap_or("D").to_owned();
        Ok(Self { map, delete })
    }

    /// The columns in the order of a row's values.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.map.fields.iter().map(|field| field.name.as_str())
    }

    /// The columns that a mark is made of.
    pub(crate) fn marked(&self) -> impl Iterator<Item = &str> {
        self.columns().filter(|column| !UNMARKED.contains(column))
    }

    /// The line that a row's mark is made of.
    pub(crate) fn line(&self, values: &[String]) -> String {
        let marked = self
            .columns()
            .zip(values)
            .filter(|(column, _)| !UNMARKED.contains(column))
            .map(|(_, value)| value.as_str());
        marked.collect::<Vec<_>>().join("|")
    }
}

fn constant(column: &str, value: &str) -> Field {
    Field {
        name: column.to_owned(),
        from: None,
        value: Some(value.to_owned()),
        mandatory: true,
        max: None,
    }
}

/// A name that needs no quoting, so that quoting cannot go wrong.
fn is_column(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(json: serde_json::Value) -> Result<Layout, &'static str> {
        let map = CodeMap::parse(json.to_string().as_bytes()).unwrap();
        Layout::new(Some(&map), "017", DateForm::Iso)
    }

    #[test]
    fn the_standards_map_has_the_standards_columns() {
        let layout = Layout::new(None, "017", DateForm::Compact).unwrap();
        let columns: Vec<&str> = layout.columns().collect();
        assert_eq!(columns, COLUMNS.map(|(column, _)| column));
        assert_eq!(layout.delete, "D");
        assert_eq!(layout.map.fields[15].value.as_deref(), Some("017"));
        assert_eq!(layout.map.dates, DateForm::Compact);
        let limits: Vec<Option<usize>> = layout.map.fields.iter().map(|field| field.max).collect();
        assert_eq!(limits, COLUMNS.map(|(_, limit)| limit));
    }

    #[test]
    fn a_column_that_is_not_listed_carries_what_is_empty_there() {
        let layout = own(serde_json::json!({
            "format": "yihao-code-map-1",
            "fields": [
                { "as": "certificate_holder_code", "from": "holder_number", "max": 18 },
                { "as": "valid_until", "from": "valid_to" }
            ],
            "codes": { "operation": { "insert": "1", "update": "2", "delete": "3" } },
            "empty": "-"
        }))
        .unwrap();
        let field = |name: &str| {
            layout.map.fields.iter().find(|field| field.name == name).cloned().unwrap()
        };
        assert_eq!(field("certificate_holder").value.as_deref(), Some("-"));
        assert_eq!(field("certificate_holder_code").max, Some(18));
        assert_eq!(field("row_guid").from.as_deref(), Some("key"));
        assert_eq!(field("data_source").value.as_deref(), Some("017"));
        assert_eq!(layout.columns().last(), Some("valid_until"));
        assert_eq!(layout.delete, "3");
    }

    #[test]
    fn what_is_the_hubs_to_fill_and_what_is_no_column_is_refused() {
        let fields = |name: &str| {
            own(
                serde_json::json!({ "format": "yihao-code-map-1", "fields": [{ "as": name, "from": "name" }] }),
            )
        };
        for column in OURS {
            assert!(fields(column).unwrap_err().contains("hub's to fill"), "{column}");
        }
        for name in ["ZZMC", "a b", "a\"b", "1a", "名称"] {
            assert!(fields(name).unwrap_err().contains("lower-case"), "{name}");
        }
        assert!(fields("zzmc").is_ok());
    }
}
