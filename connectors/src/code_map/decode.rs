//! The counterpart's elements → what a licence says, in our words and forms. Pure.

use std::{collections::BTreeMap, fmt};

use jiff::{Timestamp, civil::Date};

use super::{CodeList, CodeMap, DateForm, Field, TimeForm, encode::CHINA};
use crate::Operation;

/// What a row says, by the code map. Codes are ours, dates are dates; whether a number is one, and whether the parts fit
/// together, is for who makes a licence of it. `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Incoming {
    /// What became of the record there; `None`: the map does not read it.
    pub operation: Option<Operation>,
    /// Our word of [`CodeList::Status`].
    pub status: Option<String>,
    /// When it changed there.
    pub changed_at: Option<Timestamp>,
    /// A licence document, as it is; the elements below count for nothing then.
    pub document: Option<String>,
    /// A detached CMS signature over the document, in base64.
    pub signature: Option<String>,
    /// 证照标识.
    pub identifier: Option<String>,
    /// 证照名称.
    pub name: Option<String>,
    /// 证照类型代码, as ours.
    pub licence_type: Option<String>,
    /// 证照编号.
    pub number: Option<String>,
    /// 颁发机构代码.
    pub issuer: Option<String>,
    /// 颁发机构.
    pub issuer_name: Option<String>,
    /// 颁发日期.
    pub issued_on: Option<Date>,
    /// 有效期起始.
    pub valid_from: Option<Date>,
    /// 有效期截止.
    pub valid_to: Option<Date>,
    /// 行政区划代码.
    pub region: Option<String>,
    /// 投资项目统一代码.
    pub project: Option<String>,
    /// 关联证照标识.
    pub predecessor: Option<String>,
    /// 持证主体, in order.
    pub holders: Vec<IncomingHolder>,
    /// Face fields, as text.
    pub fields: BTreeMap<String, String>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Incoming({} holders)", self.holders.len())
    }
}

/// A holder as a row has it. `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IncomingHolder {
    /// 持证主体.
    pub name: String,
    /// 持证主体代码.
    pub number: String,
    /// 持证主体代码类型, our code of three digits.
    pub kind: String,
}

impl fmt::Debug for IncomingHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IncomingHolder(withheld)")
    }
}

/// Why a row says nothing that can be understood. Names the counterpart's element, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeProblem {
    /// The list has no code that is written so.
    #[error("the code map has nothing for the value of {element}")]
    Unmapped {
        /// The counterpart's element.
        element: String,
    },
    /// A mandatory element is empty or not there.
    #[error("{element} is mandatory, and empty")]
    Missing {
        /// The counterpart's element.
        element: String,
    },
    /// Not a date in the form of the map.
    #[error("{element} is not a date as the code map has it")]
    Date {
        /// The counterpart's element.
        element: String,
    },
    /// Not a time in the form of the map.
    #[error("{element} is not a time as the code map has it")]
    Time {
        /// The counterpart's element.
        element: String,
    },
    /// Names, numbers and kinds of several holders do not go together.
    #[error("{element} names another number of holders than the other elements")]
    Holders {
        /// The counterpart's element.
        element: String,
    },
}

impl DecodeProblem {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unmapped { .. } => "value_unmapped",
            Self::Missing { .. } => "value_missing",
            Self::Date { .. } => "value_no_date",
            Self::Time { .. } => "value_no_time",
            Self::Holders { .. } => "value_holders_differ",
        }
    }
}

/// Most holders that are read out of a row: one more than a licence may have.
const MOST_HOLDERS: usize = 65;

impl CodeMap {
    /// The map backwards: what the elements of a row say. An element that only carries what stands for nothing is
    /// empty. Elements that the map does not name, and those with a fixed `value`, say nothing.
    ///
    /// # Errors
    /// The first element that cannot be understood.
    pub fn decode(&self, row: &BTreeMap<String, String>) -> Result<Incoming, DecodeProblem> {
        let mut incoming = Incoming::default();
        for field in &self.fields {
            let Some(from) = &field.from else { continue };
            let given = row.get(&field.name).map_or("", |text| text.trim());
            let empty = given.is_empty() || self.empty.as_deref() == Some(given);
            match (empty, field.mandatory) {
                (true, true) => return Err(DecodeProblem::Missing { element: field.name.clone() }),
                (true, false) => {}
                (false, _) => self.take(&mut incoming, field, from, given)?,
            }
        }
        Ok(incoming)
    }

    fn take(
        &self,
        incoming: &mut Incoming,
        field: &Field,
        from: &str,
        given: &str,
    ) -> Result<(), DecodeProblem> {
        let element = || field.name.clone();
        let code = |list: CodeList, theirs: &str| {
            let ours = self.ours(list, theirs).map(str::to_owned);
            ours.ok_or_else(|| DecodeProblem::Unmapped { element: element() })
        };
        let date = || {
            let date = parse_day(self.dates, given);
            date.ok_or_else(|| DecodeProblem::Date { element: element() })
        };
        let text = || Some(given.to_owned());
        match from {
            "operation" => {
                let word = code(CodeList::Operation, given)?;
                let all = [Operation::Insert, Operation::Update, Operation::Delete];
                let found = all.into_iter().find(|one| one.word() == word);
                let found = found.ok_or_else(|| DecodeProblem::Unmapped { element: element() })?;
                incoming.operation = Some(found);
            }
            "status" => incoming.status = Some(code(CodeList::Status, given)?),
            "changed_at" => {
                let at = parse_moment(self.times, given);
                let at = at.ok_or_else(|| DecodeProblem::Time { element: element() })?;
                incoming.changed_at = Some(at);
            }
            "document" => incoming.document = text(),
            "signature" => incoming.signature = text(),
            "identifier" => incoming.identifier = text(),
            "name" => incoming.name = text(),
            "licence_type" => incoming.licence_type = Some(code(CodeList::LicenceType, given)?),
            "number" => incoming.number = text(),
            "issuer" => incoming.issuer = text(),
            "issuer_name" => incoming.issuer_name = text(),
            "issued_on" => incoming.issued_on = Some(date()?),
            "valid_from" => incoming.valid_from = Some(date()?),
            "valid_to" if self.open_ended.as_deref() == Some(given) => {}
            "valid_to" => incoming.valid_to = Some(date()?),
            "region" => incoming.region = Some(code(CodeList::Region, given)?),
            "project" => incoming.project = text(),
            "predecessor" => incoming.predecessor = text(),
            "holder_name" => self.holders(incoming, field, given, |holder, value| {
                holder.name = value.to_owned();
                Ok(())
            })?,
            "holder_number" => self.holders(incoming, field, given, |holder, value| {
                holder.number = value.to_owned();
                Ok(())
            })?,
            "holder_kind" => self.holders(incoming, field, given, |holder, value| {
                holder.kind = code(CodeList::HolderKind, value)?;
                Ok(())
            })?,
            face => {
                if let Some(name) = face.strip_prefix("fields.") {
                    incoming.fields.insert(name.to_owned(), given.to_owned());
                } // batch, digest, key, seq, trust: the counterpart's own, and nothing that a licence says
            }
        }
        Ok(())
    }

    /// Several holders stand in one element; one value counts for all of them.
    fn holders(
        &self,
        incoming: &mut Incoming,
        field: &Field,
        given: &str,
        set: impl Fn(&mut IncomingHolder, &str) -> Result<(), DecodeProblem>,
    ) -> Result<(), DecodeProblem> {
        let values: Vec<&str> = given.split(&self.separator).take(MOST_HOLDERS).collect();
        let several = incoming.holders.len().max(values.len());
        if incoming.holders.is_empty() {
            incoming.holders.resize_with(several, IncomingHolder::default);
        }
        if incoming.holders.len() == 1 && several > 1 {
            let first = incoming.holders[0].clone();
            incoming.holders.resize(several, first);
        }
        if values.len() != 1 && values.len() != incoming.holders.len() {
            return Err(DecodeProblem::Holders { element: field.name.clone() });
        }
        for (position, holder) in incoming.holders.iter_mut().enumerate() {
            let value =
                values.get(position).or_else(|| values.first()).map_or("", |one| one.trim());
            let empty = self.empty.as_deref() == Some(value);
            if !value.is_empty() && !empty {
                set(holder, value)?;
            }
        }
        Ok(())
    }
}

fn parse_day(form: DateForm, text: &str) -> Option<Date> {
    match form {
        DateForm::Iso => Date::strptime("%Y-%m-%d", text).ok(),
        DateForm::Compact => Date::strptime("%Y%m%d", text).ok().filter(|_| text.len() == 8),
        DateForm::EpochMs => {
            let at = Timestamp::from_millisecond(text.parse().ok()?).ok()?;
            Some(CHINA.to_datetime(at).date())
        }
    }
}

fn parse_moment(form: TimeForm, text: &str) -> Option<Timestamp> {
    let china = |form: &str| {
        let there = jiff::civil::DateTime::strptime(form, text).ok()?;
        CHINA.to_timestamp(there).ok()
    };
    match form {
        TimeForm::Rfc3339 => text.parse().ok(),
        // A database writes the same with a T between, and with fractions of the second where its column has them.
        TimeForm::China => china("%Y-%m-%d %H:%M:%S%.f").or_else(|| china("%Y-%m-%dT%H:%M:%S%.f")),
        TimeForm::Compact => china("%Y%m%d%H%M%S"),
        TimeForm::EpochMs => Timestamp::from_millisecond(text.parse().ok()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::samples;

    fn map() -> CodeMap {
        let map = json!({
            "format": "yihao-code-map-1",
            "fields": [
                { "as": "ZZBS", "from": "identifier" },
                { "as": "ZZMC", "from": "name", "mandatory": true },
                { "as": "ZT", "from": "status" },
                { "as": "CZZT", "from": "holder_name" },
                { "as": "CZZTDM", "from": "holder_number" },
                { "as": "LX", "from": "holder_kind" },
                { "as": "FZRQ", "from": "issued_on" },
                { "as": "JZRQ", "from": "valid_to" },
                { "as": "XMDM", "from": "project" },
                { "as": "OP", "from": "operation" },
                { "as": "SJ", "from": "changed_at" },
                { "as": "JYFW", "from": "fields.scope" },
                { "as": "LY", "value": "001" }
            ],
            "codes": {
                "status": { "valid": "01", "revoked.withdrawn": "07", "*": "99" },
                "holder_kind": { "111": "1", "001": "2" },
                "operation": { "insert": "I", "update": "U", "delete": "D" }
            },
            "dates": "compact", "times": "china", "open_ended": "20991231", "empty": "/"
        });
        CodeMap::parse(map.to_string().as_bytes()).unwrap()
    }

    fn row(elements: &[(&str, &str)]) -> BTreeMap<String, String> {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        elements.iter().map(text).collect()
    }

    #[test]
    fn a_row_says_what_the_map_backwards_has_it_say() {
        let row = row(&[
            ("ZZMC", " 许可证 "),
            ("ZT", "07"),
            ("CZZT", "甲^乙"),
            ("CZZTDM", "A^B"),
            ("LX", "1"),
            ("FZRQ", "20250301"),
            ("JZRQ", "20991231"),
            ("XMDM", "/"),
            ("OP", "D"),
            ("SJ", "2025-03-01T09:30:00.000"),
            ("JYFW", "零售"),
            ("else", "x"),
        ]);
        let incoming = map().decode(&row).unwrap();
        assert_eq!(incoming.name.as_deref(), Some("许可证"));
        assert_eq!(incoming.status.as_deref(), Some("revoked.withdrawn"));
        assert_eq!(incoming.operation, Some(Operation::Delete));
        assert_eq!(incoming.issued_on, Some(jiff::civil::date(2025, 3, 1)));
        assert_eq!((incoming.valid_to, &incoming.project), (None, &None));
        assert_eq!(incoming.changed_at, "2025-03-01T01:30:00Z".parse().ok());
        assert_eq!(incoming.fields["scope"], "零售");
        let holders: Vec<_> = incoming
            .holders
            .iter()
            .map(|one| (one.name.as_str(), one.number.as_str(), one.kind.as_str()))
            .collect();
        assert_eq!(holders, [("甲", "A", "111"), ("乙", "B", "111")]);
    }

    #[test]
    fn what_cannot_be_understood_is_told_by_the_element_and_never_by_its_value() {
        let named = ("ZZMC", "许可证");
        for (elements, code) in [
            (vec![], "value_missing"),
            (vec![("ZZMC", "/")], "value_missing"),
            (vec![named, ("ZT", "55")], "value_unmapped"),
            (vec![named, ("ZT", "99")], "value_unmapped"), // what stands for all others is none of them
            (vec![named, ("OP", "X")], "value_unmapped"),
            (vec![named, ("FZRQ", "2025-03-01")], "value_no_date"),
            (vec![named, ("FZRQ", "20250231")], "value_no_date"),
            (vec![named, ("SJ", "gestern")], "value_no_time"),
            (vec![named, ("CZZT", "甲^乙"), ("CZZTDM", "A^B^C")], "value_holders_differ"),
        ] {
            let problem = map().decode(&row(&elements)).unwrap_err();
            assert_eq!(problem.code(), code, "{elements:?}");
            assert!(!problem.to_string().contains("许可证"));
        }
    }

    #[test]
    fn what_was_sent_by_a_map_is_read_back_by_it() {
        let sent = samples::issued(0);
        let values = map().encode(&sent, "province", "b1").unwrap();
        let row = values.into_iter().map(|value| (value.name, value.text)).collect();
        let incoming = map().decode(&row).unwrap();
        assert_eq!(incoming.identifier, Some(sent.licence.identifier.to_string()));
        assert_eq!(incoming.holders[0].number, sent.licence.holders[0].id.number());
        assert_eq!(incoming.holders[0].kind, sent.licence.holders[0].id.kind().code());
        assert_eq!(incoming.issued_on, Some(sent.licence.issued_on));
        assert_eq!(incoming.operation, Some(Operation::Insert));
        assert_eq!(incoming.status.as_deref(), Some("valid"));
    }
}
