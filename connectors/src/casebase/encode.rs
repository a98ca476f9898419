//! What is handed over → rows. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::{Handover, Happened, Material, Obtained, Package, settings::Settings};
use crate::Problem;

/// Beijing time, in which counterparts keep times: UTC+8 all year.
const CHINA_OFFSET: Duration = Duration::from_secs(8 * 3600);
/// In a mandatory column that has no value.
const EMPTY: &str = "/";
/// Bytes of a package that still fit a row, with room for the rest of the protocol's message.
pub(crate) const MOST_PACKAGE: usize = 256 << 20;

/// A row of a table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) table: &'static str,
    pub(crate) values: Vec<(&'static str, Value)>,
}

/// A value of a column.
#[derive(Debug)]
pub(crate) enum Value {
    Text(String),
    Number(i32),
    /// Beijing time, written as if it were UTC: the columns have no time zone.
    Time(SystemTime),
    Bytes(bytes::Bytes),
}

/// The part of `row_guid` before the reference.
pub(crate) fn guid_prefix(connector: &str) -> String {
    format!("{connector}-")
}

/// The rows of what is handed over, in the order in which they are inserted.
///
/// # Errors
/// A value that no column can hold.
pub(crate) fn rows(settings: &Settings, handover: &Handover) -> Result<Vec<Row>, Problem> {
    let mut rows = Vec::new();
    match &handover.what {
        Happened::Submitted(package) => {
            let operation = if package.again { "U" } else { "I" };
            for (number, material) in (1..).zip(&package.materials) {
                rows.push(material_row(settings, handover, number, material, operation)?);
            }
            let step = if package.again { "resubmit" } else { "submit" };
            rows.push(process_row(settings, handover, step, "", "applicant")?);
            // Last: whoever collects by this table finds the rest there.
            rows.push(accept_row(settings, handover, Some(package), operation)?);
        }
        Happened::Withdrawn => {
            rows.push(process_row(settings, handover, "withdraw", "", "applicant")?);
            rows.push(accept_row(settings, handover, None, "D")?);
        }
        Happened::Step { step, remark, licence } => {
            rows.push(process_row(settings, handover, step, remark, "department")?);
            if matches!(*step, "grant" | "refuse" | "result") {
                rows.push(
                    Table::new("up_pro_result", settings, handover, "")
                        .text("result_type", 16, step)?
                        .time("result_time", handover.at)
                        .text(
                            "certificate_source_id",
                            128,
                            &licence.as_ref().map_or_else(String::new, ToString::to_string),
                        )?
                        .text("remark", usize::MAX, remark)?
                        .done("I"),
                );
            }
        }
    }
    Ok(rows)
}

fn accept_row(
    settings: &Settings,
    handover: &Handover,
    package: Option<&Package>,
    operation: &str,
) -> Result<Row, Problem> {
    let due = handover.due.map_or_else(String::new, |due| due.to_string());
    let bytes = package.map(|package| package.bytes.clone()).unwrap_or_default();
    if bytes.len() > MOST_PACKAGE {
        return Err(too_long("package"));
    }
    let row = Table::new("up_pro_accept", settings, handover, "")
        .text("task_code", 64, handover.matter.as_str())?
        .text("task_name", 512, &handover.matter_name)?
        .number("task_version", handover.matter_version)
        .text("dept_code", 32, handover.department.as_str())?
        .text("dept_name", 256, &handover.department_name)?
        .text("applicant_name", usize::MAX, &handover.applicant_name)?
        .text("applicant_code", usize::MAX, handover.applicant.number())?
        .text("applicant_type", 16, handover.applicant.kind().code())?
        .text("apply_window", 256, handover.window.as_deref().unwrap_or_default())?
        .time("apply_time", handover.at)
        .text("promise_date", 32, &due)?
        .text(
            "package_digest",
            64,
            &package.map_or_else(String::new, |package| package.digest.to_string()),
        )?
        .bytes("package", bytes);
    Ok(row.done(operation))
}

fn material_row(
    settings: &Settings,
    handover: &Handover,
    number: u32,
    material: &Material,
    operation: &str,
) -> Result<Row, Problem> {
    let digest = material.digest.as_ref().map_or_else(String::new, ToString::to_string);
    let licence = material.licence.as_ref().map_or_else(String::new, ToString::to_string);
    let held = u32::from(material.obtained != Obtained::Promised);
    Ok(Table::new("up_pro_material", settings, handover, &format!("-{number:03}"))
        .text("material_code", 64, &material.requirement)?
        .text("material_name", 512, &material.name)?
        .text("material_attach_name", 512, material.file.as_deref().unwrap_or_default())?
        .text("material_digest", 64, &digest)?
        .text("certificate_source_id", 128, &licence)?
        .text("get_type", 16, get_type(material.obtained))?
        .number("get_num", held)
        .done(operation))
}

fn process_row(
    settings: &Settings,
    handover: &Handover,
    step: &str,
    remark: &str,
    by: &str,
) -> Result<Row, Problem> {
    Ok(Table::new("up_pro_process", settings, handover, "")
        .text("process_name", 64, step)?
        .text("process_by", 64, by)?
        .time("process_time", handover.at)
        .text("remark", usize::MAX, remark)?
        .done("I"))
}

/// 材料获取方式, as docs/formats/casebase.md lists it.
fn get_type(obtained: Obtained) -> &'static str {
    match obtained {
        Obtained::Licence => "licence",
        Obtained::Fact => "fact",
        Obtained::HandedIn => "upload",
        Obtained::Reused => "reuse",
        Obtained::Promised => "promise",
    }
}

/// A row being put together.
struct Table<'a> {
    row: Row,
    settings: &'a Settings,
    handover: &'a Handover,
}

impl<'a> Table<'a> {
    fn new(
        table: &'static str,
        settings: &'a Settings,
        handover: &'a Handover,
        suffix: &str,
    ) -> Self {
        let prefix = guid_prefix(&settings.database.name);
        let guid = format!("{prefix}{}{suffix}", handover.reference);
        let values = vec![
            ("row_guid", Value::Text(guid)),
            ("project_no", Value::Text(handover.case.clone())),
        ];
        Self { row: Row { table, values }, settings, handover }
    }

    fn text(mut self, column: &'static str, most: usize, text: &str) -> Result<Self, Problem> {
        if text.contains('\0') {
            return Err(Problem::ValueRefused {
                sqlstate: "22021".to_owned(), // as PostgreSQL answers: character not in repertoire
                column: Some(column.to_owned()),
            });
        }
        if text.chars().count() > most {
            return Err(too_long(column));
        }
        let text = if text.is_empty() { EMPTY } else { text };
        self.row.values.push((column, Value::Text(text.to_owned())));
        Ok(self)
    }

    fn number(mut self, column: &'static str, number: u32) -> Self {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        self.row.values.push((column, Value::Number(number)));
        self
    }

    fn time(mut self, column: &'static str, at: Timestamp) -> Self {
        self.row.values.push((column, Value::Time(beijing(at))));
        self
    }

    fn bytes(mut self, column: &'static str, bytes: bytes::Bytes) -> Self {
        self.row.values.push((column, Value::Bytes(bytes)));
        self
    }

    fn done(mut self, operation: &str) -> Row {
        let batch: String = self.handover.reference.chars().take(32).collect();
        self.row.values.extend([
            ("cd_batch", Value::Text(batch)),
            ("cd_operation", Value::Text(operation.to_owned())),
            ("cd_time", Value::Time(beijing(self.handover.at))),
            ("data_source", Value::Text(self.settings.database.data_source.clone())),
        ]);
        self.row
    }
}

fn too_long(column: &'static str) -> Problem {
    // As PostgreSQL answers: string data, right truncation.
    Problem::ValueRefused { sqlstate: "22001".to_owned(), column: Some(column.to_owned()) }
}

fn beijing(at: Timestamp) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    UNIX_EPOCH + since + CHINA_OFFSET
}

#[cfg(test)]
mod tests {
    use super::{super::tests_support, *};

    fn shown(rows: &[Row]) -> String {
        let mut shown = String::new();
        for row in rows {
            shown.push_str(&format!("{}\n", row.table));
            for (column, value) in &row.values {
                let value = match value {
                    Value::Text(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Time(time) => {
                        time.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string()
                    }
                    Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
                };
                shown.push_str(&format!("  {column}: {value}\n"));
            }
        }
        shown
    }

    #[test]
    fn rows_are_as_the_golden_file_has_them() {
        let (settings, submitted) = tests_support::submitted();
        insta::assert_snapshot!("submitted", shown(&rows(&settings, &submitted).unwrap()));
        let withdrawn = Handover { what: Happened::Withdrawn, ..submitted.clone() };
        let resulted = Handover {
            what: Happened::Step {
                step: "result",
                remark: String::new(),
                licence: tests_support::licence(),
            },
            ..submitted
        };
        let all = [rows(&settings, &withdrawn).unwrap(), rows(&settings, &resulted).unwrap()];
        insta::assert_snapshot!("later", shown(&all.into_iter().flatten().collect::<Vec<_>>()));
    }

    #[test]
    fn what_no_column_can_hold_is_refused_by_column_without_its_value() {
        let (settings, submitted) = tests_support::submitted();
        let long = Handover { matter_name: "长".repeat(513), ..submitted.clone() };
        let nul = Handover { applicant_name: "a\0b".to_owned(), ..submitted };
        for (handover, said) in [
            (long, "the exchange database refused a value (SQLSTATE 22001, column task_name)"),
            (nul, "the exchange database refused a value (SQLSTATE 22021, column applicant_name)"),
        ] {
            assert_eq!(rows(&settings, &handover).unwrap_err().to_string(), said);
        }
    }
}
