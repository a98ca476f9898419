//! Hands cases to the exchange database 前置库 from which departments' systems take them, and reads what they answer.
//!
//! Tables and columns in `docs/formats/casebase.md`. What is handed over is one transaction of rows that are inserted
//! once: `row_guid` is made of the connector's name and the reference of what is handed over, so a row that comes
//! again is dropped. What departments' systems write is read until it is marked as taken.
//!
//! When something is handed over, and what follows from an answer, is not decided here but by whoever drives it.

mod client;
mod encode;
mod mariadb;
mod postgresql;
mod reply;
mod settings;

use std::fmt;

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use licence::{CreditCode, HolderId, LicenceId, MatterCode, Sha256Digest};

pub use settings::Settings;

use crate::DeliveryError;

/// Something about a case that its department has to know. `Debug` shows the case and the reference only.
#[derive(Clone)]
pub struct Handover {
    /// Names it among all of this connector, of 96 characters at most: the same again is not handed over twice.
    pub reference: String,
    /// 办件编号.
    pub case: String,
    /// When it happened.
    pub at: Timestamp,
    /// The matter.
    pub matter: MatterCode,
    /// The matter's name.
    pub matter_name: String,
    /// The version that the case keeps.
    pub matter_version: u32,
    /// The department that decides.
    pub department: CreditCode,
    /// Its name.
    pub department_name: String,
    /// Who applies.
    pub applicant: HolderId,
    /// What the applicant is called.
    pub applicant_name: String,
    /// Where it was taken; `None`: online.
    pub window: Option<String>,
    /// The day by which the department promises to decide.
    pub due: Option<Date>,
    /// What happened.
    pub what: Happened,
}

impl fmt::Debug for Handover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Handover({} {})", self.case, self.reference)
    }
}

/// What happened to a case.
#[derive(Clone)]
pub enum Happened {
    /// Handed in, first or after a supplement.
    Submitted(Package),
    /// Withdrawn by the applicant.
    Withdrawn,
    /// A step that was taken in the hub, by a clerk.
    Step {
        /// Its word, as in `dn_pro_step.step`.
        step: &'static str,
        /// What was said.
        remark: String,
        /// The licence it resulted in.
        licence: Option<LicenceId>,
    },
}

/// A signed package.
#[derive(Clone)]
pub struct Package {
    /// It was submitted before: this one takes its place.
    pub again: bool,
    /// Its bytes, signature included.
    pub bytes: Bytes,
    /// SHA-256 of the bytes.
    pub digest: Sha256Digest,
    /// What is in it.
    pub materials: Vec<Material>,
}

/// A material of a package.
#[derive(Clone)]
pub struct Material {
    /// The requirement's name within the matter.
    pub requirement: String,
    /// What it is called.
    pub name: String,
    /// How it came.
    pub obtained: Obtained,
    /// Name of the file.
    pub file: Option<String>,
    /// SHA-256 of the file.
    pub digest: Option<Sha256Digest>,
    /// The licence.
    pub licence: Option<LicenceId>,
}

/// How a material came 材料获取方式.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obtained {
    /// A licence of the repository 电子证照.
    Licence,
    /// A fact on a licence 数据核验.
    Fact,
    /// A file handed in for this case 上传.
    HandedIn,
    /// A file handed in before 复用.
    Reused,
    /// It follows 容缺.
    Promised,
}

/// A step that a department's system reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its `row_guid`: the same step has the same.
    pub reference: String,
    /// 办件编号.
    pub case: String,
    /// The step; `Err` says what cannot be understood.
    pub step: Result<AnswerStep, &'static str>,
}

/// What a department's system did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerStep {
    /// 受理.
    Accept,
    /// 补正: what is asked for, all at once.
    Supplement(Vec<Asked>),
    /// 不予受理.
    Decline {
        /// Why.
        reason: String,
    },
    /// Decided.
    Decide {
        /// For the applicant.
        granted: bool,
        /// Why.
        reason: String,
    },
    /// The licence is in the repository.
    Result {
        /// Which.
        licence: LicenceId,
    },
}

/// One thing that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The requirement's name within the matter.
    pub requirement: String,
    /// What is wrong and what to do.
    pub why: String,
}

/// Something handed over that the counterpart finds fault with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its `row_guid` there.
    pub row: String,
    /// The [`Handover::reference`] it is about.
    pub reference: String,
    /// Why, in the counterpart's words, shortened, numbers masked.
    pub remark: String,
}

/// The case tables of an exchange database in PostgreSQL or MariaDB.
pub struct CaseBase {
    settings: Settings,
    client: client::Client,
}

impl CaseBase {
    /// A connector with these settings. It connects when something is handed over.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let client = client::Client::new(settings.database.clone());
        Self { settings, client }
    }

    /// The connector's name: the first part of every `row_guid`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.database.name
    }

    /// The departments whose cases go there.
    #[must_use]
    pub fn departments(&self) -> &[CreditCode] {
        &self.settings.departments
    }

    /// Hands something over, once however often it is called. On `Ok` the counterpart has it; on `Err` it may have it.
    ///
    /// # Errors
    /// `Unreachable` and `Configuration`: try again later. `Refused`: it will not be taken as it is.
    pub async fn deliver(&self, handover: &Handover) -> Result<(), DeliveryError> {
        let rows = encode::rows(&self.settings, handover).map_err(DeliveryError::Refused)?;
        self.client.insert(&rows).await
    }

    /// Steps that are not taken yet, in order, at most 100.
    ///
    /// # Errors
    /// As [`CaseBase::deliver`].
    pub async fn answers(&self) -> Result<Vec<Answer>, DeliveryError> {
        Ok(self.client.steps().await?.into_iter().map(reply::answer).collect())
    }

    /// Marks a step as taken, or as refused with a code and why.
    ///
    /// # Errors
    /// As [`CaseBase::deliver`].
    pub async fn taken(
        &self,
        reference: &str,
        refused: Option<(&str, &str)>,
    ) -> Result<(), DeliveryError> {
        self.client.take_step(reference, refused).await
    }

    /// What the counterpart finds fault with and nobody has noted yet, at most 100.
    ///
    /// # Errors
    /// As [`CaseBase::deliver`].
    pub async fn refusals(&self) -> Result<Vec<Refusal>, DeliveryError> {
        let prefix = encode::guid_prefix(self.name());
        let rows = self.client.errors(&prefix).await?;
        Ok(rows.into_iter().filter_map(|row| reply::refusal(&prefix, row)).collect())
    }

    /// Marks a refusal as noted.
    ///
    /// # Errors
    /// As [`CaseBase::deliver`].
    pub async fn noted(&self, refusal: &Refusal) -> Result<(), DeliveryError> {
        self.client.take_error(&refusal.row).await
    }
}

#[cfg(test)]
mod tests_support {
    use licence::HolderKind;

    use super::*;
    use crate::ConnectorSettings;

    pub(super) fn licence() -> Option<LicenceId> {
        Some(
            "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
                .parse()
                .unwrap(),
        )
    }

    pub(super) fn submitted() -> (Settings, Handover) {
        let raw = ConnectorSettings {
            name: "cases".to_owned(),
            kind: "casebase".to_owned(),
            host: Some("/run/postgresql".to_owned()),
            user: Some("hub".to_owned()),
            database: Some("exchange".to_owned()),
            departments: Some(vec!["91350100M000100Y43".to_owned()]),
            ..ConnectorSettings::default()
        };
        let settings = Settings::check(&raw, raw.name.clone(), &mut Vec::new()).unwrap();
        let material =
            |requirement: &str, obtained, licence, digest: Option<Sha256Digest>| Material {
                requirement: requirement.to_owned(),
                name: format!("材料 {requirement}"),
                obtained,
                file: digest.map(|_| "plan.pdf".to_owned()),
                digest,
                licence,
            };
        let digest = crate::rules::samples::sha256(b"package");
        let package = Package {
            again: false,
            bytes: Bytes::from_static(b"package"),
            digest,
            materials: vec![
                material("identity", Obtained::Licence, licence(), None),
                material("floor-plan", Obtained::HandedIn, None, Some(digest)),
                material("lease", Obtained::Promised, None, None),
            ],
        };
        let person = HolderKind::from_code("111").unwrap();
        let handover = Handover {
            reference: "20260302-7K3QM9XW2F-0123456789abcdef".to_owned(),
            case: "20260302-7K3QM9XW2F".to_owned(),
            at: "2026-03-02T01:30:00Z".parse().unwrap(),
            matter: "11370800MB285591843370117002011".parse().unwrap(),
            matter_name: "开办小餐饮店".to_owned(),
            matter_version: 2,
            department: "91350100M000100Y43".parse().unwrap(),
            department_name: "样本局".to_owned(),
            applicant: HolderId::parse(person, "11010519491231002X").unwrap(),
            applicant_name: "样本申请人".to_owned(),
            window: None,
            due: Some(jiff::civil::date(2026, 3, 9)),
            what: Happened::Submitted(package),
        };
        (settings, handover)
    }
}
