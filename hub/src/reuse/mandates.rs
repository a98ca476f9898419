//! Mandates 职责: which department may look at which licences without being asked by the holder, for which matters, under
//! which law, and after how long the holder is told.
//!
//! A pull on the basis `duty` names a mandate; without one it is refused, whatever the policies say. In JSON
//! `yihao-mandates-1`, see `docs/formats/mandates.md`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use licence::{CreditCode, LicenceTypeCode, MatterCode};
use serde::{Deserialize, Serialize};

use crate::config::{self, Config, ConfigError};

/// The longest delay, in days, after which a holder is told: ten years.
const LONGEST_DELAY: u16 = 3_660;

/// One mandate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mandate {
    /// Its code: what a pull names as `basis.reference`.
    pub code: String,
    /// What the duty is called; holders read it.
    pub name: String,
    /// The law it follows from.
    pub basis: String,
    /// Whose duty.
    pub department: CreditCode,
    /// The matters it covers.
    pub matters: Vec<MatterCode>,
    /// The licence types it covers.
    pub types: Vec<LicenceTypeCode>,
    /// Days after which a holder is told of a use; 0: at once.
    #[serde(default)]
    pub disclosed_after_days: u16,
    /// First day; open where left out.
    #[serde(default)]
    pub from: Option<Date>,
    /// Last day; open where left out.
    #[serde(default)]
    pub until: Option<Date>,
}

impl Mandate {
    /// Whether it allows this department this matter and type on this day.
    #[must_use]
    pub fn covers(
        &self,
        department: &CreditCode,
        matter: &MatterCode,
        licence_type: &LicenceTypeCode,
        day: Date,
    ) -> bool {
        self.department == *department
            && self.matters.contains(matter)
            && self.types.contains(licence_type)
            && self.from.is_none_or(|from| from <= day)
            && self.until.is_none_or(|until| day <= until)
    }
}

/// The mandates by code.
#[derive(Clone, Debug, Default)]
pub struct Mandates {
    mandates: BTreeMap<String, Mandate>,
}

/// Why a list of mandates was not read. Lists are the operator's own, so the message may quote them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MandatesError {
    /// Not JSON of this shape.
    #[error("the list of mandates does not have the expected shape: {0}")]
    Shape(#[from] serde_json::Error),
    /// Not `yihao-mandates-1`.
    #[error("the list of mandates is not of format yihao-mandates-1")]
    Format,
    /// One code twice.
    #[error("mandate {0} is listed twice")]
    Duplicate(String),
    /// A code that cannot be named, or a delay that is no delay any more.
    #[error(
        "mandate {0}: its code has 1 to 128 characters and no space at its ends, its delay at most \
         3660 days"
    )]
    Bounds(String),
}

impl MandatesError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shape(_) => "wrong_shape",
            Self::Format => "wrong_format",
            Self::Duplicate(_) => "mandate_listed_twice",
            Self::Bounds(_) => "mandate_bounds",
        }
    }
}

impl Mandates {
    /// Reads a list.
    ///
    /// # Errors
    /// See [`MandatesError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MandatesError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            format: String,
            mandates: Vec<Mandate>,
        }
        let file: File = serde_json::from_slice(bytes)?;
        if file.format != "yihao-mandates-1" {
            return Err(MandatesError::Format);
        }
        let mut mandates = BTreeMap::new();
        for mandate in file.mandates {
            let code = mandate.code.clone();
            let named = code.trim() == code && (1..=128).contains(&code.chars().count());
            if !named || mandate.disclosed_after_days > LONGEST_DELAY {
                return Err(MandatesError::Bounds(code));
            }
            if mandates.insert(code.clone(), mandate).is_some() {
                return Err(MandatesError::Duplicate(code));
            }
        }
        Ok(Self { mandates })
    }

    /// The mandate with this code.
    #[must_use]
    pub fn get(&self, code: &str) -> Option<&Mandate> {
        self.mandates.get(code)
    }

    /// All of them, in the order of their codes.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Mandate> {
        self.mandates.values()
    }
}

/// Reads the mandates that the settings name; none without.
///
/// # Errors
/// `File` or `Content`.
pub fn read_mandates(config: &Config) -> Result<Mandates, ConfigError> {
    let Some(path) = &config.mandates else {
        return Ok(Mandates::default());
    };
    let bytes = config::read_file("mandates", path)?;
    Mandates::parse(&bytes).map_err(|error| config::content("mandates", path, error))
}
