//! A synthetic district: persons, enterprises, projects and their licences of twelve types, as a
//! pure function of a seed.
//!
//! Every number has valid check characters, a division code in force at birth, and belongs to one
//! holder only. Whatever has an index depends on seed, sizes and index alone, never on what was made
//! before, so a district of any size streams in constant memory. The same seed gives the same bytes.
//! Signing, certificates and files are left to `loadtest` and to the hub's demo mode.
//!
//! Names come from tables written for this crate; likeness to real persons or enterprises is chance.

mod departments;
mod draw;
mod entities;
mod kinds;
mod licences;
mod matters;
mod names;
mod numbers;
mod organisations;
mod stories;

use std::{fmt::Debug, str::FromStr};

pub use departments::{
    CITY, DISTRICT, Department, Pull, REGION, consuming_departments, issues, issuing_departments,
    policies,
};
use draw::{Purpose, Shuffle, Source};
pub use entities::{Enterprise, Person, Project};
pub use kinds::catalogue_json;
pub use matters::{INSPECTION, mandate_for, mandates_json, matter_for, matters_json};
pub use organisations::organisations_json;
pub use stories::{Applicant, FLOOR_PLAN, HEALTH_CERTIFICATE, Story, result};

/// The most persons a district has: beyond this the numbers of a region and day run out.
pub const MAX_PERSONS: u64 = 40_000_000;
/// The most enterprises: 31⁶ body codes.
pub const MAX_ENTERPRISES: u64 = 800_000_000;
/// The most projects: the codes of five years.
pub const MAX_PROJECTS: u64 = 24_000_000;
/// The most licences: their running number within a type fits a serial of ten digits.
pub const MAX_LICENCES: u64 = 10_000_000_000;

/// How large a district is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistrictSize {
    /// Persons, at most [`MAX_PERSONS`].
    pub persons: u64,
    /// Enterprises, at most [`MAX_ENTERPRISES`].
    pub enterprises: u64,
    /// Projects, at most [`MAX_PROJECTS`].
    pub projects: u64,
    /// Licences, at most [`MAX_LICENCES`]; the types come in their natural proportions.
    pub licences: u64,
}

impl DistrictSize {
    /// So many persons, enterprises and projects with exactly their natural set of licences, and
    /// therefore nobody with two identity cards.
    pub fn natural(persons: u64, enterprises: u64, projects: u64) -> Self {
        let size = Self { persons, enterprises, projects, licences: 0 };
        Self { licences: District::new(0, size).natural_licences(), ..size }
    }

    /// Whether there are numbers enough for a district of this size.
    pub fn is_possible(&self) -> bool {
        self.persons <= MAX_PERSONS
            && self.enterprises <= MAX_ENTERPRISES
            && self.projects <= MAX_PROJECTS
            && self.licences <= MAX_LICENCES
    }

    /// The district whose natural set has at least `licences`: about two licences a person, a
    /// quarter as many enterprises as persons, a project for every ten enterprises.
    pub fn for_licences(licences: u64) -> Self {
        // A person has 2.7 licences on average (1 + 0.6 + 0.35 + 0.4 + 0.25 + 0.1), an enterprise
        // 1.5 and 0.1 projects with 1.8: with one enterprise to four persons, 3.12 a person.
        let persons = (licences * 100 / 312 + 20).min(MAX_PERSONS);
        let enterprises = persons / 4 + 10;
        Self { persons, enterprises, projects: enterprises / 10 + 1, licences }
    }
}

/// A district. Cheap to clone; all its parts are computed when asked for.
#[derive(Clone)]
pub struct District {
    source: Source,
    size: DistrictSize,
    registers: entities::Registers,
    natural: [u64; 12],
    order: Shuffle,
}

impl District {
    /// The district of a seed. A district without persons, enterprises and projects has no licences.
    ///
    /// # Panics
    /// If the size is not [possible](DistrictSize::is_possible).
    pub fn new(seed: u64, size: DistrictSize) -> Self {
        assert!(size.is_possible(), "a district of this size has no numbers left");
        let source = Source::new(seed);
        let registers = entities::Registers::new(&source);
        let order = source.shuffle(Purpose::Order, size.licences);
        let mut district = Self { source, size, registers, natural: [0; 12], order };
        district.natural = district.natural();
        if district.natural.iter().sum::<u64>() == 0 {
            district.size.licences = 0;
        }
        district
    }

    /// The size it was made with.
    pub fn size(&self) -> DistrictSize {
        self.size
    }

    /// How many licences there are.
    pub fn licence_count(&self) -> u64 {
        self.size.licences
    }

    /// How many licences the natural set has: each person's and enterprise's own, once.
    pub fn natural_licences(&self) -> u64 {
        self.natural.iter().sum()
    }
}

/// Reads a code that this crate made or knows.
fn known<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("the district makes valid codes, see its tests")
}
