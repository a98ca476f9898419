//! A change and its licence → the counterpart's elements. Pure.

use std::borrow::Cow;

use jiff::{Timestamp, civil::Date, tz::Offset};
use licence::{Holder, Licence, LicenceId, LicenceStatus, ProjectCode, Trust};

use super::{CodeList, CodeMap, DateForm, Field, Several, TimeForm};
use crate::{Operation, Refused, Shared};

/// An element with its value, as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The counterpart's name of the element.
    pub name: String,
    /// Its value.
    pub text: String,
}

/// Shows the name only: the value may be a holder's.
impl std::fmt::Debug for Value {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Value({})", self.name)
    }
}

/// Why a record cannot be written as the code map has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapProblem {
    /// The list has no code for ours.
    #[error("the code map has no code for the value of {element}")]
    Unmapped {
        /// The counterpart's element.
        element: String,
    },
    /// A mandatory element is empty, and the map does not say what it carries then.
    #[error("{element} is mandatory there, and empty here")]
    Missing {
        /// The counterpart's element.
        element: String,
    },
    /// Too many characters.
    #[error("the value for {element} is longer than the element")]
    TooLong {
        /// The counterpart's element.
        element: String,
    },
    /// One of several values holds what stands between values.
    #[error("a value for {element} holds the separator")]
    HasSeparator {
        /// The counterpart's element.
        element: String,
    },
    /// A NUL character.
    #[error("the value for {element} holds a NUL character")]
    HasNul {
        /// The counterpart's element.
        element: String,
    },
    /// The counterpart takes one holder, the licence has several.
    #[error("the licence has several holders, and {element} takes one")]
    SeveralHolders {
        /// The counterpart's element.
        element: String,
    },
}

impl MapProblem {
    /// Part of the public interface: never reworded.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unmapped { .. } => "value_unmapped",
            Self::Missing { .. } => "value_missing",
            Self::TooLong { .. } => "value_too_long",
            Self::HasSeparator { .. } => "value_has_separator",
            Self::HasNul { .. } => "value_has_nul",
            Self::SeveralHolders { .. } => "value_several_holders",
        }
    }

    /// A record that is set aside for it.
    pub fn refused(&self, item: &Shared) -> Refused {
        Refused { seq: item.seq(), code: self.code().to_owned(), remark: self.to_string() }
    }
}

impl CodeMap {
    /// The elements of one change, in the map's order: exactly what is sent.
    ///
    /// * `batch`: the batch's id; `connector`: the connector's name, part of the key that lets the receiver drop repeats.
    ///
    /// # Errors
    /// The first element that cannot be written.
    pub fn encode(
        &self,
        item: &Shared,
        connector: &str,
        batch: &str,
    ) -> Result<Vec<Value>, MapProblem> {
        let source = Source { map: self, item, connector, batch, type_name: None };
        let value = |field: &Field| {
            Ok(Value { name: field.name.clone(), text: source.element(field)?.into_owned() })
        };
        self.fields.iter().map(value).collect()
    }

    /// As [`CodeMap::encode`], the values alone.
    ///
    /// * `type_name`: the catalogue's name of the licence type, if known; else the licence's name stands in.
    pub(crate) fn texts(
        &self,
        item: &Shared,
        connector: &str,
        batch: &str,
        type_name: Option<&str>,
    ) -> Result<Vec<String>, MapProblem> {
        let mut texts = Vec::with_capacity(self.fields.len());
        self.each_text(item, connector, batch, type_name, |text| texts.push(text.into_owned()))?;
        Ok(texts)
    }

    /// The same, one after the other: what is not made up is lent from the licence.
    pub(crate) fn each_text(
        &self,
        item: &Shared,
        connector: &str,
        batch: &str,
        type_name: Option<&str>,
        mut take: impl FnMut(Cow<'_, str>),
    ) -> Result<(), MapProblem> {
        let source = Source { map: self, item, connector, batch, type_name };
        self.fields.iter().try_for_each(|field| {
            take(source.element(field)?);
            Ok(())
        })
    }
}

/// What elements are made of.
struct Source<'a> {
    map: &'a CodeMap,
    item: &'a Shared,
    connector: &'a str,
    batch: &'a str,
    type_name: Option<&'a str>,
}

impl<'a> Source<'a> {
    fn element(&self, field: &'a Field) -> Result<Cow<'a, str>, MapProblem> {
        let element = || field.name.clone();
        let mut text = match (&field.from, &field.value) {
            (Some(from), _) => self.value(field, from)?,
            (None, constant) => lent(constant.as_deref().unwrap_or_default()),
        };
        if text.is_empty() && field.mandatory {
            let empty = self.map.empty.as_deref();
            text = lent(empty.ok_or_else(|| MapProblem::Missing { element: element() })?);
        }
        if text.contains('\0') {
            return Err(MapProblem::HasNul { element: element() });
        }
        if field.max.is_some_and(|max| text.len() > max && text.chars().count() > max) {
            return Err(MapProblem::TooLong { element: element() });
        }
        Ok(text)
    }

    fn value(&self, field: &'a Field, from: &str) -> Result<Cow<'a, str>, MapProblem> {
        let licence: &'a Licence = &self.item.licence;
        let map = self.map;
        let code = |list, ours: &'a str| {
            let code = map.code(list, ours).map(lent);
            code.ok_or_else(|| MapProblem::Unmapped { element: field.name.clone() })
        };
        Ok(match from {
            "batch" => lent(self.batch),
            "changed_at" => made(moment(map.times, self.item.change.at)),
            "digest" => made(self.item.digest.to_string()),
            "document" => String::from_utf8_lossy(&self.item.document),
            "holder_kind" => {
                self.holders(field, |holder| code(CodeList::HolderKind, holder.id.kind().code()))?
            }
            "holder_name" => self.holders(field, |holder| Ok(lent(&holder.name)))?,
            "holder_number" => self.holders(field, |holder| Ok(lent(holder.id.number())))?,
            "identifier" => lent(self.item.identifier().as_str()),
            "issued_on" => made(day(map.dates, licence.issued_on)),
            "issuer" => lent(licence.issuer.as_str()),
            "issuer_name" => lent(&licence.issuer_name),
            "key" => made(self.item.key(self.connector)),
            "licence_type" => code(CodeList::LicenceType, licence.licence_type.as_ref())?,
            "name" => lent(&licence.name),
            "number" => lent(&licence.number),
            "operation" => code(CodeList::Operation, Operation::of_item(self.item).word())?,
            "predecessor" => lent(licence.predecessor.as_ref().map_or("", LicenceId::as_str)),
            "project" => lent(licence.project.as_ref().map_or("", ProjectCode::as_str)),
            "region" => match &licence.region {
                Some(region) => code(CodeList::Region, region.as_ref())?,
                None => lent(""),
            },
            "seq" => made(self.item.seq().to_string()),
            "signature" => made(self.signature()),
            "status" => code(CodeList::Status, status_word(&self.item.status()))?,
            "trust" => code(
                CodeList::Trust,
                match self.item.trust {
                    Trust::Trusted => "trusted",
                    Trust::Untrusted => "untrusted",
                },
            )?,
            "type_name" => lent(self.type_name.unwrap_or(&licence.name)),
            "valid_from" => {
                made(licence.valid_from.map_or_else(String::new, |date| day(map.dates, date)))
            }
            "valid_to" => match licence.valid_to {
                Some(date) => made(day(map.dates, date)),
                None => lent(map.open_ended.as_deref().unwrap_or_default()),
            },
            face => face.strip_prefix("fields.").map_or(lent(""), |name| made(self.face(name))),
        })
    }

    /// The signature over the document alone, in base64; empty where a batch manifest vouches.
    fn signature(&self) -> String {
        use base64::{Engine, engine::general_purpose::STANDARD};
        match &self.item.proof {
            indexes::Proof::Signature(cms) => STANDARD.encode(cms),
            indexes::Proof::Manifest { .. } | indexes::Proof::Unsigned => String::new(),
        }
    }

    /// A face field as text: strings as they are, everything else as JSON.
    fn face(&self, name: &str) -> String {
        match self.item.licence.fields.get(name) {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    fn holders(
        &self,
        field: &Field,
        value: impl Fn(&'a Holder) -> Result<Cow<'a, str>, MapProblem>,
    ) -> Result<Cow<'a, str>, MapProblem> {
        let holders: &'a [Holder] = &self.item.licence.holders;
        let taken = match self.map.holders {
            Several::Refused if holders.len() > 1 => {
                return Err(MapProblem::SeveralHolders { element: field.name.clone() });
            }
            Several::First => &holders[..holders.len().min(1)],
            Several::Joined | Several::Refused => holders,
        };
        let mut joined = String::new();
        for (position, holder) in taken.iter().enumerate() {
            let value = value(holder)?;
            if value.contains(&self.map.separator) {
                return Err(MapProblem::HasSeparator { element: field.name.clone() });
            }
            if taken.len() == 1 {
                return Ok(value);
            }
            if position > 0 {
                joined.push_str(&self.map.separator);
            }
            match (value.is_empty(), &self.map.empty) {
                (true, Some(empty)) => joined.push_str(empty),
                _ => joined.push_str(&value),
            }
        }
        Ok(made(joined))
    }
}

fn lent(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

fn made(text: String) -> Cow<'static, str> {
    Cow::Owned(text)
}

/// The status as a word of [`CodeList::Status`].
fn status_word(status: &LicenceStatus) -> &'static str {
    use licence::RevocationCause::{Annulled, Deregistered, Withdrawn};
    match status {
        LicenceStatus::Valid => "valid",
        LicenceStatus::Suspended => "suspended",
        LicenceStatus::Revoked { cause: Annulled } => "revoked.annulled",
        LicenceStatus::Revoked { cause: Withdrawn } => "revoked.withdrawn",
        LicenceStatus::Revoked { cause: Deregistered } => "revoked.deregistered",
        LicenceStatus::Superseded { .. } => "superseded",
    }
}

/// Beijing time: UTC+8 all year.
pub(super) const CHINA: Offset = Offset::constant(8);

fn day(form: DateForm, date: Date) -> String {
    match form {
        DateForm::Iso => date.to_string(),
        DateForm::Compact => date.strftime("%Y%m%d").to_string(),
        DateForm::EpochMs => CHINA
            .to_timestamp(date.at(0, 0, 0, 0))
            .map_or_else(|_| String::new(), |at| at.as_millisecond().to_string()),
    }
}

fn moment(form: TimeForm, at: Timestamp) -> String {
    let china = || CHINA.to_datetime(at);
    match form {
        TimeForm::Rfc3339 => at.to_string(),
        TimeForm::China => china().strftime("%Y-%m-%d %H:%M:%S").to_string(),
        TimeForm::Compact => china().strftime("%Y%m%d%H%M%S").to_string(),
        TimeForm::EpochMs => at.as_millisecond().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use licence::{LicenceStatus, RevocationCause};

    use super::*;
    use crate::rules::samples;

    fn map(json: serde_json::Value) -> CodeMap {
        CodeMap::parse(json.to_string().as_bytes()).unwrap()
    }

    fn texts(map: &CodeMap, item: &Shared) -> Vec<String> {
        let values = map.encode(item, "province", "b1").unwrap();
        values.into_iter().map(|value| format!("{}={}", value.name, value.text)).collect()
    }

    #[test]
    fn a_record_is_written_as_the_map_has_it_and_nothing_more() {
        let map = map(serde_json::json!({
            "format": "yihao-code-map-1",
            "fields": [
                { "as": "ZZBS", "from": "identifier" },
                { "as": "ZZZT", "from": "status" },
                { "as": "CZZT", "from": "holder_name" },
                { "as": "CZZTDMLXDM", "from": "holder_kind" },
                { "as": "ZZBFRQ", "from": "issued_on" },
                { "as": "ZZYXQJZRQ", "from": "valid_to" },
                { "as": "XMDM", "from": "project", "mandatory": true },
                { "as": "OP", "from": "operation" },
                { "as": "SJ", "from": "changed_at" },
                { "as": "LY", "value": "001" }
            ],
            "codes": {
                "status": { "valid": "01", "revoked.withdrawn": "07", "*": "99" },
                "holder_kind": { "111": "1" },
                "operation": { "insert": "I", "update": "U", "delete": "D" }
            },
            "dates": "compact", "times": "china", "open_ended": "20991231", "empty": "/"
        }));
        let issued = samples::issued(0);
        assert_eq!(
            texts(&map, &issued)[1..],
            [
                "ZZZT=01",
                "CZZT=样本持证人",
                "CZZTDMLXDM=1",
                "ZZBFRQ=20250301",
                "ZZYXQJZRQ=20991231",
                "XMDM=/",
                "OP=I",
                "SJ=2025-03-01 09:30:00",
                "LY=001"
            ]
        );
        let withdrawn = LicenceStatus::Revoked { cause: RevocationCause::Withdrawn };
        let revoked = samples::changed(1, &issued, LicenceStatus::Valid, withdrawn);
        assert_eq!(texts(&map, &revoked)[1], "ZZZT=07");
        assert_eq!(texts(&map, &revoked)[7], "OP=D");
        let suspended =
            samples::changed(1, &issued, LicenceStatus::Valid, LicenceStatus::Suspended);
        assert_eq!(texts(&map, &suspended)[1], "ZZZT=99");
    }

    #[test]
    fn what_cannot_be_written_is_told_by_the_element() {
        let parse = |field: serde_json::Value, more: serde_json::Value| {
            let mut whole = serde_json::json!({ "format": "yihao-code-map-1", "fields": [field] });
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            map(whole).encode(&samples::issued(0), "province", "b").unwrap_err().code()
        };
        let none = serde_json::json!({});
        let field = |from: &str| serde_json::json!({ "as": "E", "from": from });
        assert_eq!(
            parse(field("status"), serde_json::json!({ "codes": { "status": {} } })),
            "value_unmapped"
        );
        let mandatory = serde_json::json!({ "as": "E", "from": "project", "mandatory": true });
        assert_eq!(parse(mandatory, none.clone()), "value_missing");
        let short = serde_json::json!({ "as": "E", "from": "name", "max": 3 });
        assert_eq!(parse(short, none), "value_too_long");
        let separator = serde_json::json!({ "separator": "样" });
        assert_eq!(parse(field("holder_name"), separator), "value_has_separator");
    }

    #[test]
    fn maps_that_are_none_are_refused() {
        let code = |json: &str| CodeMap::parse(json.as_bytes()).unwrap_err().code();
        let with = |fields: &str| format!(r#"{{"format":"yihao-code-map-1","fields":[{fields}]}}"#);
        assert_eq!(code("{}"), "code_map_form");
        assert_eq!(code(r#"{"format":"x","fields":[]}"#), "code_map_format");
        assert_eq!(code(&with("")), "code_map_fields");
        assert_eq!(
            code(&with(r#"{"as":"A","from":"name"},{"as":"A","value":""}"#)),
            "code_map_name"
        );
        assert_eq!(code(&with(r#"{"as":"A","from":"nmae"}"#)), "code_map_source");
        assert_eq!(code(&with(r#"{"as":"A","from":"name","value":"x"}"#)), "code_map_source");
    }

    #[test]
    fn days_and_moments_have_their_forms() {
        let date = jiff::civil::date(2025, 3, 1);
        let at: Timestamp = "2025-02-28T16:00:00Z".parse().unwrap();
        assert_eq!(day(DateForm::EpochMs, date), at.as_millisecond().to_string());
        assert_eq!(moment(TimeForm::Compact, at), "20250301000000");
        assert_eq!(moment(TimeForm::Rfc3339, at), "2025-02-28T16:00:00Z");
    }
}
