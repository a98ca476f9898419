use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::ToSpan;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{self, JsonError};
use crate::{HolderKind, Licence, LicenceTypeCode};

/// The class of a licence type 证照类别.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LicenceClass {
    /// 证照执照
    Licence,
    /// 证明文件
    Proof,
    /// 批文批复
    Approval,
    /// 鉴定报告
    Report,
    /// 办事结果
    Result,
}

impl LicenceClass {
    /// The Chinese word.
    pub const fn name_zh(self) -> &'static str {
        match self {
            Self::Licence => "证照执照",
            Self::Proof => "证明文件",
            Self::Approval => "批文批复",
            Self::Report => "鉴定报告",
            Self::Result => "办事结果",
        }
    }
}

/// On which terms a licence type is shared 共享类型.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharingClass {
    /// 无条件共享
    Unconditional,
    /// 有条件共享
    Conditional,
    /// 不予共享
    Withheld,
}

/// How long licences of a type are valid. In JSON `"open_ended"`, `{"years":10}` or `"stated"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidityRule {
    /// Without end: no end date may stand on the licence.
    OpenEnded,
    /// So many years from the start (or else from the issue date) to the same day or the day before it.
    Years(u8),
    /// Whatever the licence states.
    Stated,
}

/// A licence type as the catalogue 证照目录 defines it.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct CatalogueEntry {
    /// The type's code.
    pub code: LicenceTypeCode,
    /// Its name.
    pub name: String,
    /// Its English name.
    pub name_en: String,
    /// Its class.
    pub class: LicenceClass,
    /// The name of the authority that defines it.
    pub authority: String,
    /// Who may hold it; empty: anyone.
    pub holder_kinds: Vec<HolderKind>,
    /// Terms of sharing.
    pub sharing: SharingClass,
    /// Validity rule.
    pub validity: ValidityRule,
    /// JSON Schema of the face fields; each property's `title` is its Chinese label.
    pub fields: Value,
    /// `fields`, made ready once.
    #[serde(skip)]
    face: Arc<jsonschema::Validator>,
}

impl fmt::Debug for CatalogueEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogueEntry")
            .field("code", &self.code)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One thing in which a licence does not fit its type; never the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaceDefect {
    /// JSON pointer into the licence document.
    pub pointer: String,
    /// The JSON Schema keyword that failed, or `licence_type`, `holder_kind`, `validity_rule`.
    pub keyword: String,
}

/// All the things in which a licence does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FaceFieldError {
    /// At least one, at most 100; those of the document first, then those of its face fields.
    pub defects: Vec<FaceDefect>,
}

impl fmt::Display for FaceFieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the licence does not fit its type:")?;
        for defect in &self.defects {
            write!(f, " {} ({})", defect.pointer, defect.keyword)?;
        }
        Ok(())
    }
}

impl FaceFieldError {
    /// Stable name of the first defect's cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self.defects.first().map(|defect| defect.keyword.as_str()) {
            Some("licence_type") => "licence_type_mismatch",
            Some("holder_kind") => "holder_kind_not_allowed",
            Some("validity_rule") => "validity_rule_broken",
            _ => "face_fields_invalid",
        }
    }
}

impl CatalogueEntry {
    /// Whether a licence fits this type: holder kinds, validity rule, face fields.
    ///
    /// # Errors
    /// Every defect, by JSON pointer into the document and keyword.
    pub fn check(&self, licence: &Licence) -> Result<(), FaceFieldError> {
        const MOST: usize = 100;
        let mut defects = Vec::new();
        let mut add = |pointer: String, keyword: &str| {
            defects.push(FaceDefect { pointer, keyword: keyword.into() })
        };
        if licence.licence_type != self.code {
            add("/ZZLXDM".into(), "licence_type");
        }
        for (index, holder) in licence.holders.iter().enumerate() {
            if !self.holder_kinds.is_empty() && !self.holder_kinds.contains(&holder.id.kind()) {
                add(format!("/holders/{index}/CZZTDMLXDM"), "holder_kind");
            }
        }
        if !self.validity.allows(licence) {
            add("/ZZYXQJZRQ".into(), "validity_rule");
        }
        let fields = Value::Object(licence.fields.clone());
        for error in self.face.iter_errors(&fields).take(MOST) {
            add(format!("/fields{}", error.instance_path()), error.kind().keyword());
        }
        defects.truncate(MOST);
        match defects.is_empty() {
            true => Ok(()),
            false => Err(FaceFieldError { defects }),
        }
    }
}

impl ValidityRule {
    fn allows(self, licence: &Licence) -> bool {
        match self {
            Self::OpenEnded => licence.valid_to.is_none(),
            Self::Stated => true,
            Self::Years(years) => {
                let start = licence.valid_from.unwrap_or(licence.issued_on);
                let end = start.checked_add(i32::from(years).years());
                let last_day = end.clone().and_then(|end| end.yesterday());
                licence.valid_to.is_some_and(|to| {
                    end.is_ok_and(|end| end == to) || last_day.is_ok_and(|day| day == to)
                })
            }
        }
    }
}

/// The licence types of a repository. In JSON `{"format":"yihao-catalogue-1","types":[…]}`.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    entries: BTreeMap<LicenceTypeCode, CatalogueEntry>,
}

/// Why a catalogue was not read. Catalogues are the operator's own, so the message may quote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// Not JSON as this crate takes it.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON of another shape.
    #[error("the catalogue does not have the expected shape: {0}")]
    Shape(String),
    /// Not `yihao-catalogue-1`.
    #[error("the catalogue is not of format yihao-catalogue-1")]
    Format,
    /// One code twice.
    #[error("licence type {0} is listed twice")]
    Duplicate(LicenceTypeCode),
    /// Face fields that are not a JSON Schema.
    #[error("the face fields of licence type {code} are not a JSON Schema: {message}")]
    Schema {
        /// The type.
        code: LicenceTypeCode,
        /// What the schema compiler says.
        message: String,
    },
}

impl CatalogueError {
    /// Stable name of the cause; part of the public interface.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Shape(_) => "wrong_shape",
            Self::Format => "wrong_format",
            Self::Duplicate(_) => "licence_type_listed_twice",
            Self::Schema { .. } => "face_fields_not_a_schema",
        }
    }
}

impl Catalogue {
    /// Reads a catalogue. Schemas may not refer to other files or addresses.
    ///
    /// # Errors
    /// See [`CatalogueError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogueError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            format: String,
            types: Vec<Wire>,
        }
        let value = json::parse(bytes, json::CONFIGURATION)?;
        let file: File = serde_json::from_value(value)
            .map_err(|error| CatalogueError::Shape(error.to_string()))?;
        if file.format != "yihao-catalogue-1" {
            return Err(CatalogueError::Format);
        }
        let mut entries = BTreeMap::new();
        for wire in file.types {
            let entry = wire.into_entry()?;
            let code = entry.code;
            if entries.insert(code, entry).is_some() {
                return Err(CatalogueError::Duplicate(code));
            }
        }
        Ok(Self { entries })
    }

    /// The entry of a type.
    pub fn entry(&self, code: &LicenceTypeCode) -> Option<&CatalogueEntry> {
        self.entries.get(code)
    }

    /// All entries in the order of their codes.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &CatalogueEntry> {
        self.entries.values()
    }
}

/// An entry as written, its schema not yet looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    code: LicenceTypeCode,
    name: String,
    name_en: String,
    class: LicenceClass,
    authority: String,
    holder_kinds: Vec<HolderKind>,
    sharing: SharingClass,
    validity: ValidityRule,
    fields: Value,
}

impl Wire {
    fn into_entry(self) -> Result<CatalogueEntry, CatalogueError> {
        let face = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&self.fields)
            .map_err(|error| CatalogueError::Schema {
                code: self.code,
                message: error.to_string(),
            })?;
        Ok(CatalogueEntry {
            code: self.code,
            name: self.name,
            name_en: self.name_en,
            class: self.class,
            authority: self.authority,
            holder_kinds: self.holder_kinds,
            sharing: self.sharing,
            validity: self.validity,
            fields: self.fields,
            face: Arc::new(face),
        })
    }
}
