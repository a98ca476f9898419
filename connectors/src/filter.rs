//! What goes to a counterpart: by licence type, sharing class and region.

use std::collections::{BTreeMap, BTreeSet};

use licence::{Licence, LicenceTypeCode, SharingClass};

/// What the catalogue says of a licence type, as far as connectors want to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeTerms {
    /// Its name.
    pub name: String,
    /// On which terms it is shared.
    pub sharing: SharingClass,
}

/// The catalogue's licence types, by code.
pub type Types = BTreeMap<LicenceTypeCode, TypeTerms>;

/// The licence types that go to a counterpart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TypeFilter {
    /// Every type.
    #[default]
    All,
    /// These types.
    Only(BTreeSet<LicenceTypeCode>),
    /// Every type but these.
    Except(BTreeSet<LicenceTypeCode>),
}

impl TypeFilter {
    /// Whether licences of this type go there.
    pub fn covers(&self, code: &LicenceTypeCode) -> bool {
        match self {
            Self::All => true,
            Self::Only(types) => types.contains(code),
            Self::Except(types) => !types.contains(code),
        }
    }
}

/// What goes to a counterpart. A licence never changes its type or region, so it is in or out for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// By type.
    pub types: TypeFilter,
    /// By the sharing class of the type; `None`: every class. A type that the catalogue does not have is
    /// [`SharingClass::Withheld`].
    pub sharing: Option<BTreeSet<SharingWord>>,
    /// By region: the first digits of division codes; `None`: every licence, also those without a region.
    pub regions: Option<BTreeSet<String>>,
    /// The sharing classes of the types: see [`Filter::with_types`].
    classes: BTreeMap<LicenceTypeCode, SharingWord>,
}

/// A [`SharingClass`] that can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SharingWord {
    /// 无条件共享
    Unconditional,
    /// 有条件共享
    Conditional,
    /// 不予共享
    Withheld,
}

impl SharingWord {
    /// The class with this word in settings.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "unconditional" => Self::Unconditional,
            "conditional" => Self::Conditional,
            "withheld" => Self::Withheld,
            _ => return None,
        })
    }
}

impl From<SharingClass> for SharingWord {
    fn from(class: SharingClass) -> Self {
        match class {
            SharingClass::Unconditional => Self::Unconditional,
            SharingClass::Conditional => Self::Conditional,
            SharingClass::Withheld => Self::Withheld,
        }
    }
}

impl Filter {
    /// A filter; the classes of the types come with [`Filter::with_types`].
    pub fn new(
        types: TypeFilter,
        sharing: Option<BTreeSet<SharingWord>>,
        regions: Option<BTreeSet<String>>,
    ) -> Self {
        Self { types, sharing, regions, classes: BTreeMap::new() }
    }

    /// The same filter, knowing the sharing classes of the catalogue.
    #[must_use]
    pub fn with_types(mut self, types: &Types) -> Self {
        self.classes = types.iter().map(|(code, terms)| (*code, terms.sharing.into())).collect();
        self
    }

    /// Whether licences of this type may go there: a first look, before the licence is read.
    pub fn covers_type(&self, code: &LicenceTypeCode) -> bool {
        let class = || self.classes.get(code).copied().unwrap_or(SharingWord::Withheld);
        self.types.covers(code)
            && self.sharing.as_ref().is_none_or(|classes| classes.contains(&class()))
    }

    /// Whether this licence goes there.
    pub fn covers(&self, licence: &Licence) -> bool {
        self.covers_type(&licence.licence_type) && self.covers_region(licence)
    }

    fn covers_region(&self, licence: &Licence) -> bool {
        let Some(regions) = &self.regions else { return true };
        let Some(region) = &licence.region else { return false };
        let region = region.to_string();
        regions.iter().any(|prefix| region.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    #[test]
    fn a_filter_lets_through_what_type_class_and_region_allow() {
        let [first, second] = samples::types();
        let terms = |sharing| TypeTerms { name: "许可证".to_owned(), sharing };
        let types = Types::from([
            (first, terms(SharingClass::Unconditional)),
            (second, terms(SharingClass::Withheld)),
        ]);
        let licence = |code| samples::licence(1, code); // of region 430100
        let filter = Filter::default().with_types(&types);
        assert!(filter.covers(&licence(first)) && filter.covers(&licence(second)));

        let open = [SharingWord::Unconditional, SharingWord::Conditional];
        let sharing = Filter { sharing: Some(open.into()), ..Filter::default() };
        let filter = sharing.clone().with_types(&types);
        assert!(filter.covers(&licence(first)) && !filter.covers(&licence(second)));
        assert!(!sharing.covers(&licence(first)), "a type nobody knows is withheld");

        let of_region = |prefix: &str| Filter {
            regions: Some([prefix.to_owned()].into()),
            ..Filter::default()
        };
        assert!(of_region("43").covers(&licence(first)));
        assert!(of_region("430100").covers(&licence(first)));
        assert!(!of_region("44").covers(&licence(first)));
        let nowhere = Licence { region: None, ..licence(first) };
        assert!(!of_region("43").covers(&nowhere));
    }
}
