//! The tree of organisations: district, street or town, village; department, window. It bounds what a clerk may do.
//!
//! In JSON: `{"format":"yihao-organisations-1","nodes":[{"code":"…","name":"…","kind":"district","parent":null,
//! "department":"credit code"?}, …]}`. A node without a department of its own acts for the nearest above it that has one.

use std::collections::BTreeMap;

use licence::CreditCode;
use serde::{Deserialize, Serialize};

/// What a node of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// 区县.
    District,
    /// 街道, 乡镇.
    Street,
    /// 村, 社区.
    Village,
    /// 部门.
    Department,
    /// 窗口.
    Window,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its code, unique in the tree: letters, digits, hyphens.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its name in English.
    #[serde(default)]
    pub name_en: Option<String>,
    /// What it is.
    pub kind: NodeKind,
    /// The node above.
    #[serde(default)]
    pub parent: Option<String>,
    /// The department it is, or acts for.
    #[serde(default)]
    pub department: Option<CreditCode>,
}

/// The tree.
#[derive(Clone, Debug, Default)]
pub struct Organisations {
    nodes: BTreeMap<String, Node>,
}

impl Organisations {
    /// The node with this code.
    #[must_use]
    pub fn node(&self, code: &str) -> Option<&Node> {
        self.nodes.get(code)
    }

    /// All nodes in the order of their codes.
    pub fn all(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The node and those above it, upwards.
    pub fn path<'a>(&'a self, code: &str) -> impl Iterator<Item = &'a Node> {
        let mut next = self.node(code);
        std::iter::from_fn(move || {
            let node = next?;
            next = node.parent.as_deref().and_then(|parent| self.node(parent));
            Some(node)
        })
        // A circle is refused when the tree is read; a bound costs nothing.
        .take(16)
    }

    /// The department that a clerk at this node acts for.
    #[must_use]
    pub fn department_of(&self, code: &str) -> Option<CreditCode> {
        self.path(code).find_map(|node| node.department)
    }

    /// Whether `below` is `above` or lies under it.
    #[must_use]
    pub fn is_within(&self, below: &str, above: &str) -> bool {
        self.path(below).any(|node| node.code == above)
    }

    /// The district that a node lies in.
    #[must_use]
    pub fn district_of(&self, code: &str) -> Option<&Node> {
        self.path(code).find(|node| node.kind == NodeKind::District)
    }
}

/// Why a tree was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrganisationsError {
    /// Not JSON of this shape.
    #[error("the tree of organisations does not have the expected shape: {0}")]
    Shape(#[from] serde_json::Error),
    /// Not `yihao-organisations-1`.
    #[error("the tree of organisations is not of format yihao-organisations-1")]
    Format,
    /// One code twice.
    #[error("node {0} is listed twice")]
    Duplicate(String),
    /// The node above is not there, or lies below.
    #[error("node {0}: its parent is missing, or the nodes form a circle")]
    Parent(String),
}

impl Organisations {
    /// Reads a tree.
    ///
    /// # Errors
    /// See [`OrganisationsError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, OrganisationsError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            format: String,
            nodes: Vec<Node>,
        }
        let file: File = serde_json::from_slice(bytes)?;
        if file.format != "yihao-organisations-1" {
            return Err(OrganisationsError::Format);
        }
        let mut nodes = BTreeMap::new();
        for node in file.nodes {
            let code = node.code.clone();
            if nodes.insert(code.clone(), node).is_some() {
                return Err(OrganisationsError::Duplicate(code));
            }
        }
        let tree = Self { nodes };
        for node in tree.all() {
            let top = tree.path(&node.code).last();
            if top.is_none_or(|top| top.parent.is_some()) {
                return Err(OrganisationsError::Parent(node.code.clone()));
            }
        }
        Ok(tree)
    }
}
