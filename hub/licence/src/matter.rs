use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};
use crate::text::{all_bytes, debug_shows_text, is_upper_or_digit, text_code};
use crate::{Catalogue, CatalogueEntry, CodeError, CreditCode, HolderKind, LicenceTypeCode};

/// The code of a matter 政务服务事项 as carried out by one body 实施编码.
///
/// 31 characters: credit code of the body 18, level 1, base code 基本编码 12; 业务办理项编码 adds 2.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatterCode(Arc<str>);

impl MatterCode {
    /// The 31 or 33 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The body that carries the matter out.
    pub fn department(&self) -> CreditCode {
        self.0[..18].parse().expect("checked by the parser")
    }
}

impl FromStr for MatterCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        if !matches!(text.len(), 31 | 33) {
            return Err(CodeError::Length);
        }
        all_bytes(text.as_bytes(), 0, is_upper_or_digit)?;
        text[..18].parse::<CreditCode>()?;
        all_bytes(&text.as_bytes()[18..19], 18, |byte| byte.is_ascii_digit())?;
        all_bytes(&text.as_bytes()[31..], 31, |byte| byte.is_ascii_digit())?;
        Ok(Self(text.into()))
    }
}

text_code!(MatterCode, "a matter code of 31 or 33 characters");
debug_shows_text!(MatterCode);

/// A matter: what is being handled, by whom, and the licences it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matter {
    /// Its code; the body inside need not be `department` when a matter was delegated.
    pub code: MatterCode,
    /// Its name.
    pub name: String,
    /// The department that handles it.
    pub department: CreditCode,
    /// The licence types it may ask for: at least all that the guide names. Left out of a file: just these.
    #[serde(default)]
    pub requires: Vec<LicenceTypeCode>,
    /// The legal basis for asking.
    pub basis: String,
    /// Counts the changes of this entry, from 1.
    pub version: u32,
    /// Its code in the list it was taken from, if that has codes of another form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub national_code: Option<String>,
    /// What an applicant reads and hands in; empty for a matter that is only a purpose of pulls.
    #[serde(default, skip_serializing_if = "Guide::is_empty")]
    pub guide: Guide,
}

impl Matter {
    /// Whether this version counts on a day.
    pub fn is_in_force(&self, day: jiff::civil::Date) -> bool {
        self.guide.from.is_none_or(|from| from <= day)
            && self.guide.until.is_none_or(|until| day <= until)
    }

    /// Whether cases of it can be run: there is something to hand in or to fill in.
    pub fn is_applied_for(&self) -> bool {
        !self.guide.requirements.is_empty() || !self.guide.forms.is_empty()
    }
}

/// How a matter is handled: what an applicant reads before, and what a case of it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guide {
    /// The matter's name in English.
    pub name_en: Option<String>,
    /// Who may apply.
    pub applicants: Vec<ApplicantKind>,
    /// Working days: what the law allows, and what the department promises.
    pub days: TimeLimit,
    /// Where it may be taken: any of these.
    pub taken_at: Vec<Level>,
    /// The steps of handling it, in order.
    pub flow: Vec<Said>,
    /// What has to be there, in order.
    pub requirements: Vec<Requirement>,
    /// Forms to fill in.
    pub forms: Vec<Form>,
    /// The type of licence that a granted case results in.
    pub result: Option<LicenceTypeCode>,
    /// First and last day of this version; open where left out.
    pub from: Option<jiff::civil::Date>,
    /// Last day of this version.
    pub until: Option<jiff::civil::Date>,
}

impl Guide {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The licence types that ways and prefills name.
    pub fn licence_types(&self) -> BTreeSet<LicenceTypeCode> {
        self.face_fields()
            .map(|(licence_type, _)| licence_type)
            .chain(self.types_of_ways())
            .collect()
    }

    fn ways(&self) -> impl Iterator<Item = &Way> {
        self.requirements.iter().flat_map(|requirement| &requirement.ways)
    }

    fn types_of_ways(&self) -> impl Iterator<Item = LicenceTypeCode> {
        self.ways().filter_map(|way| match way {
            Way::Licence { licence_type } | Way::Fact { licence_type, .. } => Some(*licence_type),
            Way::File { .. } => None,
        })
    }

    /// The face fields that it reads.
    fn face_fields(&self) -> impl Iterator<Item = (LicenceTypeCode, &str)> {
        let facts = self.ways().filter_map(|way| match way {
            Way::Fact { licence_type, field, .. } => Some((*licence_type, &**field)),
            Way::Licence { .. } | Way::File { .. } => None,
        });
        let fields = self.forms.iter().flat_map(|form| &form.fields);
        let prefills = fields.flat_map(|field| &field.prefill);
        facts.chain(prefills.map(|prefill| (prefill.licence_type, &*prefill.field)))
    }
}

/// A text in both languages of the pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Chinese.
    pub zh: String,
    /// English; the Chinese is shown where it is missing.
    #[serde(default)]
    pub en: Option<String>,
}

impl Said {
    /// The text in the language asked for, as far as there is one.
    pub fn text(&self, english: bool) -> &str {
        self.en.as_deref().filter(|_| english).unwrap_or(&self.zh)
    }
}

/// Who may apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicantKind {
    /// 自然人.
    Person,
    /// 法人和其他组织.
    Organisation,
}

/// Working days for a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeLimit {
    /// 法定办结时限.
    pub legal: u16,
    /// 承诺办结时限.
    pub promised: u16,
}

/// The level of a place that takes cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// 区县.
    District,
    /// 街道, 乡镇.
    Street,
    /// 村, 社区.
    Village,
}

/// One material that a case needs 申请材料.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Its name within the matter: lower-case letters, digits, hyphens.
    pub id: String,
    /// What applicants read.
    pub name: Said,
    /// The legal basis for asking.
    pub basis: String,
    /// What satisfies it: any one of these, tried in order.
    pub ways: Vec<Way>,
    /// 容缺: a minor one that may follow within so many working days, against a promise.
    #[serde(default)]
    pub may_follow_days: Option<u16>,
    /// How it should look, for the guide.
    #[serde(default)]
    pub sample: Option<Said>,
}

/// A way to satisfy a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Way {
    /// A valid, trusted licence of this type in the repository.
    Licence {
        /// The type.
        licence_type: LicenceTypeCode,
    },
    /// A fact on a licence: the face field is there and, if `equals` is given, says just that.
    Fact {
        /// The type.
        licence_type: LicenceTypeCode,
        /// Name of the face field.
        field: String,
        /// What it must say.
        #[serde(default)]
        equals: Option<String>,
    },
    /// A file handed in, now or before.
    File {
        /// The kind of material 材料类型: what makes an earlier file the same one.
        kind: String,
        /// For how many days a file of this kind stays usable in later cases; 0: for its own case only.
        reusable_days: u16,
    },
}

/// A form of a matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Its name within the matter.
    pub id: String,
    /// What applicants read.
    pub name: Said,
    /// Its fields, in order.
    pub fields: Vec<FormField>,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormField {
    /// Its name within the matter (unique over its forms).
    pub id: String,
    /// What applicants read.
    pub label: Said,
    /// Whether it may be left empty.
    #[serde(default)]
    pub optional: bool,
    /// The most characters; at most 2000.
    pub most: u16,
    /// Where its value is taken from: face fields of licences, tried in order.
    #[serde(default)]
    pub prefill: Vec<Prefill>,
}

/// A face field that fills a form field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prefill {
    /// The type of licence.
    pub licence_type: LicenceTypeCode,
    /// Name of the face field.
    pub field: String,
}

/// The list of matters. In JSON `{"format":"yihao-matters-2","matters":[…]}`; a code may be listed in several versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matters {
    /// Versions in rising order; never none.
    listed: BTreeMap<MatterCode, Vec<Matter>>,
    /// Versions that the list no longer has, for cases that began under them.
    earlier: BTreeMap<(MatterCode, u32), Matter>,
}

/// Why a list of matters was not read. Lists are the operator's own, so the message may quote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MattersError {
    /// Not JSON as this crate takes it.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON of another shape.
    #[error("the list of matters does not have the expected shape: {0}")]
    Shape(String),
    /// Neither `yihao-matters-2` nor `yihao-matters-1`.
    #[error("the list of matters is of neither format yihao-matters-2 nor yihao-matters-1")]
    Format,
    /// One version of one code twice.
    #[error("version {version} of matter {code} is listed twice")]
    Duplicate {
        /// The matter.
        code: MatterCode,
        /// Its version.
        version: u32,
    },
    /// A rule of the format is broken.
    #[error("matter {code}, {place}: {rule}")]
    Guide {
        /// The matter.
        code: MatterCode,
        /// Where in it.
        place: String,
        /// What is expected there.
        rule: &'static str,
    },
    /// A type that is not in the catalogue.
    #[error("matter {code} names licence type {licence_type}, which is not in the catalogue")]
    UnknownType {
        /// The matter.
        code: MatterCode,
        /// The type.
        licence_type: LicenceTypeCode,
    },
    /// A face field that licences of the type do not have, or that is neither text nor number.
    #[error(
        "matter {code} reads face field `{field}`, which is no text or number of licence type {licence_type}"
    )]
    UnknownField {
        /// The matter.
        code: MatterCode,
        /// The type.
        licence_type: LicenceTypeCode,
        /// The field.
        field: String,
    },
}

impl MattersError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Shape(_) => "wrong_shape",
            Self::Format => "wrong_format",
            Self::Duplicate { .. } => "matter_listed_twice",
            Self::Guide { .. } => "matter_guide_broken",
            Self::UnknownType { .. } => "matter_type_unknown",
            Self::UnknownField { .. } => "matter_field_unknown",
        }
    }
}

impl Matters {
    /// Reads a list of matters, and checks each for itself.
    ///
    /// # Errors
    /// See [`MattersError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MattersError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            format: String,
            matters: Vec<Matter>,
        }
        let value = json::parse(bytes, json::CONFIGURATION)?;
        let file: File = serde_json::from_value(value)
            .map_err(|error| MattersError::Shape(error.to_string()))?;
        if !matches!(&*file.format, "yihao-matters-2" | "yihao-matters-1") {
            return Err(MattersError::Format);
        }
        let mut listed: BTreeMap<MatterCode, Vec<Matter>> = BTreeMap::new();
        for mut matter in file.matters {
            if matter.requires.is_empty() {
                matter.requires = matter.guide.licence_types().into_iter().collect();
            }
            rules(&matter).map_err(|(place, rule)| MattersError::Guide {
                code: matter.code.clone(),
                place,
                rule,
            })?;
            let versions = listed.entry(matter.code.clone()).or_default();
            match versions.binary_search_by_key(&matter.version, |other| other.version) {
                Ok(_) => {
                    return Err(MattersError::Duplicate {
                        code: matter.code,
                        version: matter.version,
                    });
                }
                Err(place) => versions.insert(place, matter),
            }
        }
        Ok(Self { listed, earlier: BTreeMap::new() })
    }

    /// Checks what the matters name against the catalogue.
    ///
    /// # Errors
    /// `UnknownType`, `UnknownField`; `Guide` for a type that no applicant of the matter can hold.
    pub fn check(&self, catalogue: &Catalogue) -> Result<(), MattersError> {
        for matter in self.listed.values().flatten() {
            let entry = |licence_type: &LicenceTypeCode| {
                catalogue.entry(licence_type).ok_or_else(|| MattersError::UnknownType {
                    code: matter.code.clone(),
                    licence_type: *licence_type,
                })
            };
            for licence_type in matter.requires.iter().chain(&matter.guide.result) {
                entry(licence_type)?;
            }
            for licence_type in matter.guide.licence_types() {
                if !may_be_held(&matter.guide, entry(&licence_type)?) {
                    return Err(MattersError::Guide {
                        code: matter.code.clone(),
                        place: format!("licence type {licence_type}"),
                        rule: "one of the applicants can hold it",
                    });
                }
            }
            for (licence_type, field) in matter.guide.face_fields() {
                if !has_field(entry(&licence_type)?, field) {
                    return Err(MattersError::UnknownField {
                        code: matter.code.clone(),
                        licence_type,
                        field: field.into(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Adds versions that were listed before. What the list has stays as the list has it.
    #[must_use]
    pub fn with_earlier(mut self, earlier: impl IntoIterator<Item = Matter>) -> Self {
        self.earlier.extend(earlier.into_iter().map(|one| ((one.code.clone(), one.version), one)));
        self
    }

    /// The matter of a code in its newest version.
    pub fn get(&self, code: &MatterCode) -> Option<&Matter> {
        self.listed.get(code)?.last()
    }

    /// The newest version that is in force on a day.
    pub fn current(&self, code: &MatterCode, day: jiff::civil::Date) -> Option<&Matter> {
        self.listed.get(code)?.iter().rev().find(|matter| matter.is_in_force(day))
    }

    /// A version, also one that is no longer listed.
    pub fn version(&self, code: &MatterCode, version: u32) -> Option<&Matter> {
        self.versions(code)
            .iter()
            .find(|matter| matter.version == version)
            .or_else(|| self.earlier.get(&(code.clone(), version)))
    }

    /// The listed versions of a code, oldest first.
    pub fn versions(&self, code: &MatterCode) -> &[Matter] {
        self.listed.get(code).map_or(&[], Vec::as_slice)
    }

    /// All matters in the order of their codes, each in its newest version.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Matter> {
        self.listed.values().map(|versions| versions.last().expect("a listed code has a version"))
    }

    /// All listed versions.
    pub fn every_version(&self) -> impl Iterator<Item = &Matter> {
        self.listed.values().flatten()
    }
}

/// Longest name of a requirement, form, field or kind of file.
const MOST_NAME: usize = 40;
/// Most characters a form field can allow.
const MOST_CHARS: u16 = 2_000;

/// The first rule that a matter breaks: where, and which.
fn rules(matter: &Matter) -> Result<(), (String, &'static str)> {
    let guide = &matter.guide;
    let rule = |holds: bool, place: &str, rule: &'static str| {
        if holds { Ok(()) } else { Err((place.to_owned(), rule)) }
    };
    rule(matter.version >= 1, "version", "versions count from 1")?;
    rule(is_text(&matter.name), "name", "a name is expected")?;
    let order = guide.from.zip(guide.until).is_none_or(|(from, until)| from <= until);
    rule(order, "guide.until", "the last day is not before the first")?;
    let days = guide.days;
    let kept = days.legal == 0 || days.promised <= days.legal;
    rule(kept, "guide.days", "what is promised is within what the law allows")?;
    let missing = guide.licence_types().into_iter().find(|one| !matter.requires.contains(one));
    if let Some(missing) = missing {
        return Err((
            format!("requires, licence type {missing}"),
            "all types that the guide names are required",
        ));
    }
    for (number, step) in guide.flow.iter().enumerate() {
        rule(is_text(&step.zh), &format!("flow {}", number + 1), "a text is expected")?;
    }
    let mut names = BTreeSet::new();
    for requirement in &guide.requirements {
        let place = format!("requirement `{}`", requirement.id);
        rule(is_name(&requirement.id), &place, NAMES)?;
        rule(names.insert(&requirement.id), &place, "the name stands once in the matter")?;
        rule(is_text(&requirement.name.zh), &place, "applicants need a name to read")?;
        rule(is_text(&requirement.basis), &place, "a legal basis is expected")?;
        rule(!requirement.ways.is_empty(), &place, "there is a way to satisfy it")?;
        rule(requirement.may_follow_days != Some(0), &place, "what may follow has a day or more")?;
        for (number, way) in requirement.ways.iter().enumerate() {
            match way {
                Way::File { kind, .. } => {
                    rule(is_name(kind), &place, NAMES)?;
                    let last = number + 1 == requirement.ways.len();
                    rule(
                        last,
                        &place,
                        "a file is the last of the ways, since what is held is not asked for",
                    )?;
                }
                Way::Fact { field, .. } => rule(is_text(field), &place, "a face field is named")?,
                Way::Licence { .. } => {}
            }
        }
    }
    let (mut forms, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for form in &guide.forms {
        let place = format!("form `{}`", form.id);
        rule(is_name(&form.id), &place, NAMES)?;
        rule(forms.insert(&form.id), &place, "the name stands once in the matter")?;
        rule(is_text(&form.name.zh), &place, "applicants need a name to read")?;
        rule(!form.fields.is_empty(), &place, "a form has a field")?;
        for field in &form.fields {
            let place = format!("{place}, field `{}`", field.id);
            rule(is_name(&field.id), &place, NAMES)?;
            rule(fields.insert(&field.id), &place, "the name stands once in the matter's forms")?;
            let free = !names.contains(&field.id);
            rule(free, &place, "no requirement has the same name: either may be asked for anew")?;
            rule(is_text(&field.label.zh), &place, "applicants need a label to read")?;
            let most = (1..=MOST_CHARS).contains(&field.most);
            rule(most, &place, "from 1 to 2000 characters at most")?;
        }
    }
    Ok(())
}

const NAMES: &str = "names are lower-case letters, digits and hyphens, at most 40";

fn is_name(text: &str) -> bool {
    (1..=MOST_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty()
}

/// Whether somebody who may apply can hold a licence of the type.
fn may_be_held(guide: &Guide, entry: &CatalogueEntry) -> bool {
    let applies = |kind: &HolderKind| {
        guide.applicants.contains(match kind.is_person() {
            true => &ApplicantKind::Person,
            false => &ApplicantKind::Organisation,
        })
    };
    guide.applicants.is_empty()
        || entry.holder_kinds.is_empty()
        || entry.holder_kinds.iter().any(applies)
}

/// Whether licences of the type have this face field, as a text or a number.
fn has_field(entry: &CatalogueEntry, field: &str) -> bool {
    entry
        .fields
        .get("properties")
        .and_then(|properties| properties.get(field))
        .and_then(|property| property.get("type"))
        .and_then(serde_json::Value::as_str)
        .is_some_and(|kind| matches!(kind, "string" | "number" | "integer"))
}
