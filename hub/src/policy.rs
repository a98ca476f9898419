//! Who may do what: Cedar policies over departments, licence types, matters and bases.
//!
//! The policies are a file of the operator's, checked against [`SCHEMA`] when the hub starts, so
//! that a misspelt action is found on Monday morning and not by the clerk. Decisions do not change
//! while the hub runs, so each is computed once and remembered.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{PoisonError, RwLock},
};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet,
    Request, Schema, ValidationMode, Validator,
};
use indexes::BasisKind;
use licence::{CreditCode, LicenceTypeCode, MatterCode};

/// The vocabulary that policies are written in.
pub const SCHEMA: &str = include_str!("policy.cedarschema");

/// Remembered decisions; beyond this many the memory starts anew.
const REMEMBERED: usize = 65_536;

/// What a department asks to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Pull licences of a type for a matter on a basis.
    Pull {
        /// The type asked for.
        licence_type: LicenceTypeCode,
        /// What is being handled.
        matter: MatterCode,
        /// Why the use is allowed.
        basis: BasisKind,
    },
    /// Issue licences of a type.
    Issue(LicenceTypeCode),
    /// Change the status of licences of a type.
    Status(LicenceTypeCode),
    /// Find licences of a type.
    Search(LicenceTypeCode),
    /// Follow the changes of a type.
    Follow(LicenceTypeCode),
    /// Hand over licences of a type and what becomes of them, as another hub does.
    Exchange(LicenceTypeCode),
    /// Operate the connectors.
    Operate,
}

/// Why policies could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The text is not Cedar.
    #[error("the policies cannot be read: {0}")]
    Parse(String),
    /// The text is Cedar, but not in the hub's vocabulary.
    #[error("the policies do not fit the hub's schema: {0}")]
    Schema(String),
}

/// The loaded policies.
pub struct Policies {
    authorizer: Authorizer,
    policies: PolicySet,
    schema: Schema,
    decided: RwLock<HashMap<(CreditCode, Act), bool>>,
}

impl Policies {
    /// Reads and checks policies in Cedar's text form.
    ///
    /// # Errors
    /// `Parse` if the text is not Cedar, `Schema` if it names what the hub does not know.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA)
            .map_err(|error| PolicyError::Schema(error.to_string()))?;
        let policies =
            PolicySet::from_str(text).map_err(|error| PolicyError::Parse(error.to_string()))?;
        let verdict = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !verdict.validation_passed() {
            let said: Vec<String> = verdict.validation_errors().map(ToString::to_string).collect();
            return Err(PolicyError::Schema(said.join("; ")));
        }
        Ok(Self {
            authorizer: Authorizer::new(),
            policies,
            schema,
            decided: RwLock::new(HashMap::new()),
        })
    }

    /// Whether the department may do this. What cannot be evaluated is refused.
    #[must_use]
    pub fn permit(&self, department: &CreditCode, act: Act) -> bool {
        let key = (*department, act);
        if let Some(&decided) =
            self.decided.read().unwrap_or_else(PoisonError::into_inner).get(&key)
        {
            return decided;
        }
        let decided = self.decide(&key.0, &key.1).unwrap_or(false);
        let mut memory = self.decided.write().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= REMEMBERED {
            memory.clear();
        }
        memory.insert(key, decided);
        decided
    }

    fn decide(&self, department: &CreditCode, act: &Act) -> Option<bool> {
        let (action, resource, context) = match act {
            Act::Pull { licence_type, matter, basis } => (
                "pull",
                uid("LicenceType", licence_type.as_str())?,
                Context::from_json_value(
                    serde_json::json!({ "matter": matter.as_str(), "basis": basis.word() }),
                    None,
                )
                .ok()?,
            ),
            Act::Issue(t) => ("issue", uid("LicenceType", t.as_str())?, Context::empty()),
            Act::Status(t) => ("status", uid("LicenceType", t.as_str())?, Context::empty()),
            Act::Search(t) => ("search", uid("LicenceType", t.as_str())?, Context::empty()),
            Act::Follow(t) => ("follow", uid("LicenceType", t.as_str())?, Context::empty()),
            Act::Exchange(t) => ("exchange", uid("LicenceType", t.as_str())?, Context::empty()),
            Act::Operate => ("operate", uid("Hub", "hub")?, Context::empty()),
        };
        let request = Request::new(
            uid("Department", department.as_str())?,
            uid("Action", action)?,
            resource,
            context,
            Some(&self.schema),
        )
        .ok()?;
        let answer = self.authorizer.is_authorized(&request, &self.policies, &Entities::empty());
        Some(answer.decision() == Decision::Allow)
    }
}

fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    let kind = EntityTypeName::from_str(kind).ok()?;
    Some(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGULATOR: &str = "11370800MB28559184";
    const LICENCE: &str = "11100000MB0143028R001";

    fn policies() -> Policies {
        Policies::parse(&format!(
            r#"permit(principal == Department::"{REGULATOR}", action == Action::"pull",
                resource == LicenceType::"{LICENCE}")
               when {{ context.matter == "11370800MB285591843370117002011" && context.basis == "holder" }};
               permit(principal == Department::"{REGULATOR}", action == Action::"issue",
                resource == LicenceType::"{LICENCE}");"#
        ))
        .unwrap()
    }

    fn pull(basis: BasisKind) -> Act {
        Act::Pull {
            licence_type: LICENCE.parse().unwrap(),
            matter: "11370800MB285591843370117002011".parse().unwrap(),
            basis,
        }
    }

    #[test]
    fn a_pull_is_permitted_for_its_matter_and_basis_only() {
        let policies = policies();
        let regulator: CreditCode = REGULATOR.parse().unwrap();
        assert!(policies.permit(&regulator, pull(BasisKind::Holder)));
        assert!(!policies.permit(&regulator, pull(BasisKind::Duty)));
        // The remembered answer is the same answer.
        assert!(policies.permit(&regulator, pull(BasisKind::Holder)));
        assert!(!policies.permit(&regulator, pull(BasisKind::Duty)));
        let other: CreditCode = "91350100M000100Y43".parse().unwrap();
        assert!(!policies.permit(&other, pull(BasisKind::Holder)));
    }

    #[test]
    fn what_no_policy_names_is_refused() {
        let policies = policies();
        let regulator: CreditCode = REGULATOR.parse().unwrap();
        assert!(policies.permit(&regulator, Act::Issue(LICENCE.parse().unwrap())));
        assert!(!policies.permit(&regulator, Act::Status(LICENCE.parse().unwrap())));
        assert!(!policies.permit(&regulator, Act::Operate));
    }

    #[test]
    fn a_misspelt_action_is_found_when_loading() {
        let wrong = r#"permit(principal, action == Action::"pul", resource);"#;
        assert!(matches!(Policies::parse(wrong), Err(PolicyError::Schema(_))));
        assert!(matches!(Policies::parse("permit("), Err(PolicyError::Parse(_))));
    }
}
