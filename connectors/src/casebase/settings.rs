//! Settings of the case tables, checked.

use licence::CreditCode;

use crate::{ConnectorSettings, SettingsProblem, frontdb};

/// Checked settings of a [`super::CaseBase`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the tables are: as for an exchange database of licences.
    pub database: frontdb::Settings,
    /// The departments whose cases go there.
    pub departments: Vec<CreditCode>,
}

impl Settings {
    /// Adds what is wrong to `problems`; `None` only if there is something.
    pub(crate) fn check(
        raw: &ConnectorSettings,
        name: String,
        problems: &mut Vec<SettingsProblem>,
    ) -> Option<Self> {
        let before = problems.len();
        let mut departments = Vec::new();
        match raw.departments.as_deref() {
            None | Some([]) => problems.push(SettingsProblem::Missing { setting: "departments" }),
            Some(texts) => {
                for text in texts {
                    match text.parse() {
                        Ok(code) => departments.push(code),
                        Err(_) => problems.push(SettingsProblem::Form {
                            setting: "departments",
                            form: "a list of credit codes",
                        }),
                    }
                }
            }
        }
        let database = frontdb::Settings::check_database(raw, "casebase", name, problems)?;
        (problems.len() == before).then_some(Self { database, departments })
    }
}
