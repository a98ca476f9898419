//! The kinds of connectors that have a folder of their own here. To add one is to add a folder and a line: see
//! `docs/write-a-connector.md`.

use std::{fmt, sync::Arc};

use crate::{Connector, ConnectorSettings, SettingsProblem, Types, rest};

/// A kind of connector: how its settings are called and checked.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The word in the settings, `kind = "…"`.
    pub name: &'static str,
    /// Checks the settings that only this kind has ([`ConnectorSettings::of_kind`]), without looking at files and
    /// counterparts. Adds what is wrong to the list; `None` only if there is something.
    pub check: fn(&ConnectorSettings, &mut Vec<SettingsProblem>) -> Option<Opener>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Kind({})", self.name)
    }
}

/// Makes the connector. Files and counterpart are looked at when something is delivered.
#[derive(Clone)]
pub struct Opener(Arc<Open>);

type Open = dyn Fn(&Types) -> Box<dyn Connector> + Send + Sync;

impl Opener {
    /// What makes the connector, given the catalogue's licence types.
    pub fn new(open: impl Fn(&Types) -> Box<dyn Connector> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Makes it.
    pub fn open(&self, types: &Types) -> Box<dyn Connector> {
        (self.0)(types)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Opener")
    }
}

/// Every kind beside `frontdb`, `http` and `casebase`.
pub static KINDS: &[Kind] = &[crate::files::KIND, crate::push::KIND, rest::KIND];
