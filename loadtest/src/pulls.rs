//! Pulls to send: a list in a file, and the requests made of it.

use std::{fmt, path::Path};

use bytes::Bytes;
use licence::{CreditCode, HolderId, HolderKind, LicenceTypeCode, MatterCode};
use serde_json::json;

use crate::error::{Error, read};

/// One line of a list of pulls: who may pull whose licences of which types for what.
///
/// Tab-separated: department's credit code, matter code, holder kind, holder number, and the type
/// codes joined with commas.
#[derive(Clone, PartialEq, Eq)]
pub struct PullLine {
    /// Who pulls.
    pub department: CreditCode,
    /// For what.
    pub matter: MatterCode,
    /// Whose licences.
    pub holder: HolderId,
    /// Which types.
    pub types: Vec<LicenceTypeCode>,
}

impl PullLine {
    /// The first line of a list.
    pub const HEADER: &str = "department\tmatter\tkind\tnumber\ttypes";

    /// Reads a list of pulls.
    ///
    /// # Errors
    /// `File`, or `Content` with the line.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, Error> {
        let text = String::from_utf8(read(path)?).map_err(|_| Error::Content {
            path: path.to_owned(),
            line: 1,
            what: "the file is not UTF-8".to_owned(),
        })?;
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && *line != Self::HEADER);
        lines
            .map(|(number, line)| {
                Self::parse(line).ok_or_else(|| Error::Content {
                    path: path.to_owned(),
                    line: number + 1,
                    what: format!("not a pull; expected: {}", Self::HEADER.replace('\t', ", ")),
                })
            })
            .collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut cells = line.split('\t');
        let mut next = || cells.next();
        let (department, matter) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let holder = HolderId::parse(HolderKind::from_code(next()?).ok()?, next()?).ok()?;
        let types = next()?.split(',').map(|code| code.parse().ok()).collect::<Option<_>>()?;
        Some(Self { department, matter, holder, types })
    }

    /// The body of `POST /v1/pulls`.
    pub fn request(&self) -> Bytes {
        let body = json!({
            "holder": self.holder,
            "types": self.types,
            "matter": self.matter,
            "basis": { "kind": "duty", "reference": district::mandate_for(&self.matter) },
            "reason": "load test",
            "operator": { "account": "loadtest", "organisation": "load test" },
        });
        Bytes::from(body.to_string())
    }
}

impl From<district::Pull> for PullLine {
    fn from(pull: district::Pull) -> Self {
        Self {
            department: pull.department,
            matter: pull.matter,
            holder: pull.holder,
            types: pull.types,
        }
    }
}

impl fmt::Display for PullLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self.types.iter().map(LicenceTypeCode::as_str).collect();
        let (kind, number) = (self.holder.kind().code(), self.holder.number());
        let (department, matter) = (self.department.as_str(), self.matter.as_str());
        write!(formatter, "{department}\t{matter}\t{kind}\t{number}\t{}", types.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let district = district::District::new(1, district::DistrictSize::for_licences(500));
        for index in 0..500 {
            let line = PullLine::from(district.pull(index));
            assert!(PullLine::parse(&line.to_string()) == Some(line));
        }
    }

    #[test]
    fn a_line_with_a_wrong_check_character_is_refused() {
        let district = district::District::new(1, district::DistrictSize::for_licences(500));
        let line = PullLine::from(district.pull(3)).to_string();
        assert!(PullLine::parse(&line.replacen('1', "2", 1)).is_none());
        assert!(PullLine::parse("").is_none());
    }
}
