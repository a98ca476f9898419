//! A person who has logged in: what the provider said, read once.

use std::{collections::BTreeSet, fmt};

use licence::HolderId;
use serde::{Deserialize, Serialize};

/// What a person may be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Acts for themself and the organisations they represent.
    Applicant,
    /// Works at a window or in a department: takes cases, asks for licences, answers corrections.
    Clerk,
    /// Looks after the hub: connectors.
    Operator,
    /// Reads logs and cases, changes nothing.
    Auditor,
}

/// An account of the provider. `Debug` shows no name and no number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The provider's name for it: issuer, a space, subject. Never shown to others.
    pub subject: String,
    /// What the person is called.
    pub name: String,
    /// Whom the person acts for: first themself, then the organisations they represent.
    pub holders: Vec<HolderId>,
    /// What they may be.
    pub roles: BTreeSet<Role>,
    /// Where a clerk works: a node of the tree of organisations.
    pub node: Option<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Account")
            .field("roles", &self.roles)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// A person with a session. Put into a request's extensions by the session middleware.
#[derive(Clone)]
pub struct Person {
    /// Who.
    pub account: Account,
    /// The key of the session's record: SHA-256 of the secret in the cookie, hex.
    pub session: String,
    /// What a form of this session must carry.
    pub csrf: String,
}

impl fmt::Debug for Person {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Person").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Person {
    /// Whether the person has a role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.account.roles.contains(&role)
    }

    /// Whether the person acts for this holder.
    #[must_use]
    pub fn acts_for(&self, holder: &HolderId) -> bool {
        self.is(Role::Applicant) && self.account.holders.contains(holder)
    }
}
