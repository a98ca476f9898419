//! Who a person is: accounts from an OpenID Connect provider, sessions kept here, and the tree of organisations that
//! bounds what a clerk may do. Departments' systems come with certificates instead (`crate::tls`).

pub mod account;
pub mod claims;
pub mod flow;
pub mod middleware;
pub mod oidc;
pub mod organisations;
pub mod provider;
pub mod sessions;

pub use account::{Account, Person, Role};
pub use organisations::{Node, NodeKind, Organisations};
