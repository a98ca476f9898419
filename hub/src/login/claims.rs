//! What a provider's claims make of a person, by the settings.

use std::collections::BTreeSet;

use licence::{CreditCode, HolderId, HolderKind};
use serde_json::{Map, Value};

use super::{Account, Organisations, Role};
use crate::config::Login;

/// Claims of one account.
pub type Claims = Map<String, Value>;

/// Most organisations that one person represents.
const MOST_REPRESENTED: usize = 200;
/// Most characters of a name.
const LONGEST_NAME: usize = 100;

/// Why no account could be made of claims. Names the claim, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// A claim is missing or has another form.
    #[error("the provider's claim `{claim}` is missing or malformed")]
    Claim {
        /// The claim, as the settings name it.
        claim: String,
    },
    /// None of the roles means anything here.
    #[error("the account has no role in this hub")]
    NoRole,
    /// A clerk or operator whose place is not in the tree of organisations.
    #[error(
        "the account's place is not in the tree of organisations, or no department is above it"
    )]
    NoPlace,
}

impl ClaimsError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "login_claim",
            Self::NoRole => "login_no_role",
            Self::NoPlace => "login_no_place",
        }
    }
}

/// Reads an account.
///
/// # Errors
/// See [`ClaimsError`]. Nothing is guessed: what is malformed lets nobody in.
pub fn account(
    claims: &Claims,
    settings: &Login,
    organisations: &Organisations,
) -> Result<Account, ClaimsError> {
    let names = &settings.claims;
    let subject = text(claims, "sub")?.ok_or_else(|| wrong("sub"))?;
    if subject.len() > 255 || !subject.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("sub"));
    }
    let name = text(claims, &names.name)?.map(str::trim).ok_or_else(|| wrong(&names.name))?;
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control)
    {
        return Err(wrong(&names.name));
    }
    let roles: BTreeSet<Role> = list(claims, &names.roles)?
        .into_iter()
        .filter_map(|role| settings.roles.get(role).copied())
        .collect();
    if roles.is_empty() {
        return Err(ClaimsError::NoRole);
    }
    let holders =
        if roles.contains(&Role::Applicant) { holders(claims, settings)? } else { Vec::new() };
    let node = text(claims, &names.organisation)?.map(str::to_owned);
    let has_place = node.as_deref().is_some_and(|node| organisations.department_of(node).is_some());
    let needs_place = roles.contains(&Role::Clerk) || roles.contains(&Role::Operator);
    if needs_place && !has_place {
        return Err(ClaimsError::NoPlace);
    }
    Ok(Account {
        subject: format!("{} {subject}", settings.issuer),
        name: name.to_owned(),
        holders,
        roles,
        node: node.filter(|_| has_place),
    })
}

/// The person, then the organisations they represent.
fn holders(claims: &Claims, settings: &Login) -> Result<Vec<HolderId>, ClaimsError> {
    let names = &settings.claims;
    let mut holders = Vec::new();
    if let Some(number) = text(claims, &names.holder_number)? {
        let kind = text(claims, &names.holder_kind)?.unwrap_or("111");
        let kind = HolderKind::from_code(kind).map_err(|_| wrong(&names.holder_kind))?;
        if !kind.is_person() {
            return Err(wrong(&names.holder_kind));
        }
        let holder = HolderId::parse(kind, number).map_err(|_| wrong(&names.holder_number))?;
        holders.push(holder);
    }
    let represented = list(claims, &names.represents)?;
    if represented.len() > MOST_REPRESENTED {
        return Err(wrong(&names.represents));
    }
    for code in represented {
        let code: CreditCode = code.parse().map_err(|_| wrong(&names.represents))?;
        let holder = HolderId::Organisation(code);
        if !holders.contains(&holder) {
            holders.push(holder);
        }
    }
    if holders.is_empty() {
        return Err(wrong(&names.holder_number));
    }
    Ok(holders)
}

fn wrong(claim: &str) -> ClaimsError {
    ClaimsError::Claim { claim: claim.to_owned() }
}

/// A claim that is a text; one that is missing or null is not there.
fn text<'a>(claims: &'a Claims, name: &str) -> Result<Option<&'a str>, ClaimsError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name)),
    }
}

/// A claim that is a list of texts, or one text.
fn list<'a>(claims: &'a Claims, name: &str) -> Result<Vec<&'a str>, ClaimsError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(all)) => {
            all.iter().map(|one| one.as_str().ok_or_else(|| wrong(name))).collect()
        }
        Some(_) => Err(wrong(name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CODE: &str = "91350100M000100Y43";
    const NUMBER: &str = "11010519491231002X"; // the example of GB 11643-1999

    fn settings() -> Login {
        serde_json::from_value(json!({
            "issuer": "https://provider.test", "client_id": "hub", "client_secret": "s",
            "address": "https://hub.test",
            "claims": { "roles": "groups", "organisation": "unit" },
            "roles": { "citizen": "applicant", "staff": "clerk", "ops": "operator" },
        }))
        .unwrap()
    }

    fn read(claims: Value) -> Result<Account, String> {
        let tree = json!({"format": "yihao-organisations-1", "nodes": [
            {"code": "d", "name": "区", "kind": "district"},
            {"code": "w", "name": "窗口", "kind": "window", "parent": "d", "department": CODE},
        ]});
        let tree = Organisations::parse(tree.to_string().as_bytes()).unwrap();
        let Value::Object(claims) = claims else { panic!("an object") };
        account(&claims, &settings(), &tree).map_err(|error| match error {
            ClaimsError::Claim { claim } => claim,
            other => other.code().to_owned(),
        })
    }

    #[test]
    fn claims_are_read_under_the_names_of_the_settings() {
        let account = read(json!({
            "sub": "a1", "name": " 林晚 ", "groups": ["citizen", "staff", "unheard-of"],
            "holder_number": NUMBER, "represents": [CODE, CODE], "unit": "w",
        }))
        .unwrap();
        assert_eq!(account.subject, "https://provider.test a1");
        assert_eq!(account.name, "林晚");
        assert_eq!(account.roles, BTreeSet::from([Role::Applicant, Role::Clerk]));
        assert_eq!(account.holders.len(), 2);
        assert_eq!(account.holders[1].number(), CODE);
        assert_eq!(account.node.as_deref(), Some("w"));
        assert!(!format!("{account:?}").contains("林晚"));
    }

    #[test]
    fn a_clerk_who_is_no_applicant_acts_for_no_holder() {
        let account = read(json!({
            "sub": "a", "name": "n", "groups": "staff", "unit": "w", "holder_number": NUMBER,
        }));
        assert!(account.unwrap().holders.is_empty());
    }

    #[test]
    fn what_is_missing_or_malformed_lets_nobody_in() {
        let good = json!({
            "sub": "a1", "name": "n", "groups": ["citizen", "staff"], "holder_number": NUMBER,
            "holder_kind": "111", "represents": [CODE], "unit": "w",
        });
        assert!(read(good.clone()).is_ok());
        for (claim, value, said) in [
            ("sub", json!(null), "sub"),
            ("sub", json!("two words"), "sub"),
            ("sub", json!("x".repeat(256)), "sub"),
            ("name", json!(" "), "name"),
            ("name", json!("a\nb"), "name"),
            ("name", json!(["n"]), "name"),
            ("groups", json!([]), "login_no_role"),
            ("groups", json!(["unheard-of"]), "login_no_role"),
            ("groups", json!([1]), "groups"),
            ("groups", json!({"staff": true}), "groups"),
            ("holder_number", json!("110105194912310021"), "holder_number"),
            ("holder_number", json!(1), "holder_number"),
            ("holder_kind", json!("001"), "holder_kind"),
            ("holder_kind", json!("x"), "holder_kind"),
            ("represents", json!(["91350100M000100Y44"]), "represents"),
            ("represents", json!(vec![CODE; 201]), "represents"),
            ("unit", json!(null), "login_no_place"),
            ("unit", json!("elsewhere"), "login_no_place"),
            ("unit", json!("d"), "login_no_place"),
        ] {
            let mut claims = good.clone();
            claims[claim] = value;
            assert_eq!(read(claims.clone()).unwrap_err(), said, "{claims}");
        }
    }
}
