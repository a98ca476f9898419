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
