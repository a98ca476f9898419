use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};
use crate::text::{all_bytes, debug_shows_text, is_upper_or_digit, text_code};
use crate::{CodeError, CreditCode, LicenceTypeCode};

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
    /// The licence types it may ask for.
    pub requires: Vec<LicenceTypeCode>,
    /// The legal basis for asking.
    pub basis: String,
    /// Counts the changes of this entry, from 1.
    pub version: u32,
    /// What an applicant reads and hands in; empty for a matter that is only a purpose of pulls.
    #[serde(default)]
    pub guide: Guide,
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

/// The list of matters. In JSON `{"format":"yihao-matters-1","matters":[…]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matters {
    matters: BTreeMap<MatterCode, Matter>,
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
    /// Not `yihao-matters-1`.
    #[error("the list of matters is not of format yihao-matters-1")]
    Format,
    /// One code twice.
    #[error("matter {0} is listed twice")]
    Duplicate(MatterCode),
}

impl MattersError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Shape(_) => "wrong_shape",
            Self::Format => "wrong_format",
            Self::Duplicate(_) => "matter_listed_twice",
        }
    }
}

impl Matters {
    /// Reads a list of matters.
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
        if file.format != "yihao-matters-1" {
            return Err(MattersError::Format);
        }
        let mut matters = BTreeMap::new();
        for matter in file.matters {
            let code = matter.code.clone();
            if matters.insert(code.clone(), matter).is_some() {
                return Err(MattersError::Duplicate(code));
            }
        }
        Ok(Self { matters })
    }

    /// The matter of a code.
    pub fn get(&self, code: &MatterCode) -> Option<&Matter> {
        self.matters.get(code)
    }

    /// All matters in the order of their codes.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Matter> {
        self.matters.values()
    }
}
