//! On whose behalf something is done.

use indexes::Operator;
use licence::{CreditCode, HolderId};

use crate::{
    Hub,
    login::{NodeKind, Person, Role},
    tls::Caller,
};

/// A clerk at work.
#[derive(Clone, Debug)]
pub struct Clerk {
    /// The person.
    pub person: Person,
    /// Code of the node the clerk works at.
    pub node: String,
    /// The department the clerk acts for.
    pub department: CreditCode,
}

impl Clerk {
    /// The clerk a person is, if any: the role, and a node of the tree with a department.
    #[must_use]
    pub fn of(hub: &Hub, person: &Person) -> Option<Self> {
        if !person.is(Role::Clerk) {
            return None;
        }
        let node = person.account.node.clone()?;
        let department = hub.organisations.department_of(&node)?;
        Some(Self { person: person.clone(), node, department })
    }

    /// Whether the clerk works in the department itself, not at a window, street or village that acts for it. Only such
    /// a clerk sees what concerns the whole department.
    #[must_use]
    pub fn is_of_department(&self, hub: &Hub) -> bool {
        let node = hub.organisations.node(&self.node);
        node.is_some_and(|node| node.kind == NodeKind::Department)
    }

    /// As the access log names the clerk: account and node, no personal name.
    #[must_use]
    pub fn operator(&self) -> Operator {
        let subject = &self.person.account.subject;
        let account = subject.split_once(' ').map_or(subject.as_str(), |(_, account)| account);
        Operator { account: account.to_owned(), organisation: self.node.clone() }
    }
}

/// Who does something with cases, materials, consents or corrections.
#[derive(Clone, Debug)]
pub enum Who {
    /// A person for a holder they act for.
    Holder {
        /// The person.
        person: Person,
        /// The holder.
        holder: HolderId,
    },
    /// A clerk at a window or in a department.
    Clerk(Clerk),
    /// A department's system.
    Department(Caller),
}

impl Who {
    /// The holder, for a person who may act for them.
    #[must_use]
    pub fn acting_holder(&self) -> Option<&HolderId> {
        match self {
            Self::Holder { person, holder } if person.acts_for(holder) => Some(holder),
            _ => None,
        }
    }

    /// The department, for a clerk or a system.
    #[must_use]
    pub fn department(&self) -> Option<CreditCode> {
        match self {
            Self::Holder { .. } => None,
            Self::Clerk(clerk) => Some(clerk.department),
            Self::Department(caller) => Some(caller.department),
        }
    }
}
