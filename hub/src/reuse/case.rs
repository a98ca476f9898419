//! What a case 办件 is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use indexes::Collection;
use jiff::{Timestamp, civil::Date};
use licence::{CreditCode, HolderId, LicenceId, LicenceTypeCode, MatterCode, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::records::Kept;

/// A case: one holder's run through one version of one matter.
#[derive(Clone, Serialize, Deserialize)]
pub struct Case {
    /// 办件编号: the day and random characters, e.g. `20260302-7K3QM9XW2F`.
    pub id: String,
    /// The matter.
    pub matter: MatterCode,
    /// Its version when the case was opened; the case keeps it.
    pub version: u32,
    /// Who applies.
    pub holder: HolderId,
    /// The department that decides.
    pub department: CreditCode,
    /// The node where a clerk opened it; `None` if the holder did.
    pub window: Option<String>,
    /// Where it stands.
    pub state: CaseState,
    /// What was written into the forms, by field.
    pub form: BTreeMap<String, FormValue>,
    /// What satisfies each requirement, by its id.
    pub provided: BTreeMap<String, Provided>,
    /// What may follow.
    pub promise: Option<Promise>,
    /// Requirements and form fields that the department asked again for, by id: these may not follow later.
    #[serde(default)]
    pub returned: BTreeSet<String>,
    /// Files that the department sent back: not used again for this case.
    #[serde(default)]
    pub sent_back: BTreeSet<String>,
    /// Form fields that the department asked about, and that were neither changed nor confirmed since.
    #[serde(default)]
    pub unconfirmed: BTreeSet<String>,
    /// Requirements and form fields that came or changed since the department last asked for more.
    #[serde(default)]
    pub renewed: BTreeSet<String>,
    /// Digest of the signed package last submitted (a file in the file store).
    pub package: Option<Sha256Digest>,
    /// Opens the licences in the package to the department.
    pub grant: Option<String>,
    /// The day by which the department promises to decide.
    pub due: Option<Date>,
    /// The licence it resulted in.
    pub result: Option<LicenceId>,
    /// What happened, oldest first.
    pub steps: Vec<Step>,
    /// When it was opened.
    pub opened_at: Timestamp,
}

impl Case {
    /// Whether the applicant may still change it: before submission, and when asked for more.
    #[must_use]
    pub fn is_editable(&self) -> bool {
        matches!(self.state, CaseState::Draft | CaseState::Supplement)
    }

    /// The step that was made with this reference.
    #[must_use]
    pub fn step_of(&self, reference: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.reference.as_deref() == Some(reference))
    }

    /// When the department last asked for more.
    #[must_use]
    pub fn asked_at(&self) -> Option<Timestamp> {
        let mut steps = self.steps.iter().rev();
        let asked = steps.find(|step| matches!(step.what, StepKind::SupplementAsked { .. }));
        asked.map(|step| step.at)
    }

    /// Whether it is at its end without a result: what was opened for it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, CaseState::Declined | CaseState::Refused | CaseState::Withdrawn)
    }

    /// Whether the department may ask for this requirement or form field, as far as it asked before: it tells everything at
    /// once 一次性告知, so that a second time only concerns what was asked for or came anew.
    #[must_use]
    pub fn may_be_asked(&self, id: &str) -> bool {
        self.supplement().is_none_or(|asked| {
            self.renewed.contains(id) || asked.iter().any(|item| item.requirement == id)
        })
    }

    /// What the department asked for when it last asked for more.
    #[must_use]
    pub fn supplement(&self) -> Option<&[SupplementItem]> {
        self.steps.iter().rev().find_map(|step| match &step.what {
            StepKind::SupplementAsked { items } => Some(items.as_slice()),
            _ => None,
        })
    }
}

impl Kept for Case {
    const COLLECTION: Collection = Collection::new("cases");
}

impl fmt::Debug for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Case({}, {:?})", self.id, self.state)
    }
}

/// Cases of a holder: holder token 16 · newest first 8 · case id.
pub const CASES_OF_HOLDER: Collection = Collection::new("cases_of_holder");
/// Cases a department or window works on: credit code 18 · newest first 8 · case id.
pub const CASES_OF_DEPARTMENT: Collection = Collection::new("cases_of_department");

/// Where a case stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseState {
    /// Being put together by the applicant or at a window.
    Draft,
    /// Handed to the department.
    Submitted,
    /// The department asked for more, all at once 一次性告知.
    Supplement,
    /// 受理.
    Accepted,
    /// 不予受理.
    Declined,
    /// Decided for the applicant.
    Granted,
    /// Decided against the applicant.
    Refused,
    /// Withdrawn by the applicant.
    Withdrawn,
}

impl CaseState {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Supplement => "supplement",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Draft,
            Self::Submitted,
            Self::Supplement,
            Self::Accepted,
            Self::Declined,
            Self::Granted,
            Self::Refused,
            Self::Withdrawn,
        ]
        .into_iter()
        .find(|state| state.word() == word)
    }
}

/// A form field's value.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormValue {
    /// The value.
    pub text: String,
    /// The licence it was taken from, unchanged; `None`: typed.
    pub source: Option<LicenceId>,
}

impl fmt::Debug for FormValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FormValue(withheld, source {:?})", self.source)
    }
}

/// What satisfies a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provided {
    /// A licence of the repository.
    Licence {
        /// Which.
        identifier: LicenceId,
        /// Its type.
        licence_type: LicenceTypeCode,
    },
    /// A fact on a licence.
    Fact {
        /// Which licence.
        identifier: LicenceId,
        /// Its face field.
        field: String,
    },
    /// A file handed in, for this case or before.
    Material {
        /// Its id.
        material: String,
        /// It was handed in for an earlier case.
        reused: bool,
    },
    /// Promised to follow.
    Promised,
}

/// 容缺承诺: what follows until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// Digest of the signed promise (a file in the file store).
    pub document: Sha256Digest,
    /// The requirements that follow.
    pub requirements: Vec<String>,
    /// The last day for them.
    pub until: Date,
    /// When it was given.
    pub at: Timestamp,
    /// When the last of them came.
    pub kept_at: Option<Timestamp>,
}

/// Something that happened to a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// Who: `holder`, `clerk` (of which node), `department` (its counterpart or clerk), `hub`.
    pub by: StepBy,
    /// What.
    pub what: StepKind,
    /// The counterpart's own number for it: the same step sent twice is taken once.
    pub reference: Option<String>,
}

/// Who made a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepBy {
    /// The applicant.
    Holder,
    /// A clerk at a node.
    Clerk {
        /// The node.
        node: String,
        /// The account there.
        account: String,
    },
    /// The department's system.
    Department,
    /// The hub itself.
    Hub,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StepKind {
    /// Opened.
    Opened,
    /// A file was attached, or used again.
    Provided {
        /// The requirement.
        requirement: String,
    },
    /// A promise was given.
    Promised {
        /// The last day.
        until: Date,
    },
    /// All that was promised came.
    PromiseKept,
    /// Handed to the department, first or after a supplement.
    Submitted {
        /// Digest of the package.
        package: Sha256Digest,
    },
    /// The counterpart has the package.
    Delivered,
    /// The department asks for more.
    SupplementAsked {
        /// What, and why.
        items: Vec<SupplementItem>,
    },
    /// 受理.
    Accepted,
    /// 不予受理.
    Declined {
        /// Why.
        reason: String,
    },
    /// Decided.
    Decided {
        /// For the applicant.
        granted: bool,
        /// Why; empty when granted.
        reason: String,
    },
    /// The licence it resulted in is in the repository.
    Resulted {
        /// The licence.
        licence: LicenceId,
    },
    /// Withdrawn by the applicant.
    Withdrawn,
}

/// One thing a department asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplementItem {
    /// The requirement, or a form field.
    pub requirement: String,
    /// What is wrong and what to do.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case as it was written first; what came later has defaults.
    const FIRST: &str = r#"{"id":"20260302-7K3QM9XW2F","matter":"11370800MB285591843370117002011","version":1,
        "holder":{"kind":"001","number":"91350100M000100Y43"},"department":"11370800MB28559184","window":null,
        "state":"submitted","form":{"name":{"text":"和平小店","source":null}},
        "provided":{"photo":"promised","plan":{"material":{"material":"m_1","reused":true}}},
        "promise":null,"package":null,"grant":null,"due":"2026-03-09","result":null,
        "steps":[{"at":"2026-03-02T01:00:00Z","by":{"clerk":{"node":"hall-1","account":"zhou"}},
            "what":{"step":"opened"},"reference":null}],
        "opened_at":"2026-03-02T01:00:00Z"}"#;

    #[test]
    fn a_case_written_first_is_read_for_ever() {
        let case: Case = serde_json::from_str(FIRST).unwrap();
        assert_eq!(case.state, CaseState::Submitted);
        assert_eq!(case.provided["photo"], Provided::Promised);
        assert!(case.returned.is_empty() && case.sent_back.is_empty());
        assert!(case.unconfirmed.is_empty() && case.renewed.is_empty());
        let again = serde_json::to_value(&case).unwrap();
        let back: Case = serde_json::from_value(again.clone()).unwrap();
        assert_eq!(serde_json::to_value(back).unwrap(), again);
    }

    #[test]
    fn a_case_says_nothing_personal_when_it_is_logged() {
        let case: Case = serde_json::from_str(FIRST).unwrap();
        assert_eq!(format!("{case:?}"), "Case(20260302-7K3QM9XW2F, Submitted)");
        assert!(!format!("{:?}", case.form).contains("和平小店"));
    }

    #[test]
    fn every_state_has_its_word() {
        for word in [
            "draft",
            "submitted",
            "supplement",
            "accepted",
            "declined",
            "granted",
            "refused",
            "withdrawn",
        ] {
            assert_eq!(CaseState::from_word(word).map(CaseState::word), Some(word));
            let json: CaseState = serde_json::from_value(word.into()).unwrap();
            assert_eq!(json.word(), word, "on the wire and in the store");
        }
        assert_eq!(CaseState::from_word("closed"), None);
    }
}
