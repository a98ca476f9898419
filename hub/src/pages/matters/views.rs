//! What the guides show, as plain text. Templates add structure only.

use askama::Template;

use super::texts::MattersTexts;
use crate::pages::{
    texts::Language,
    views::{Badge, Fact, Frame, Notice},
};

/// A text in its language: what comes from matters may be Chinese on an English page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) lang: &'static str,
}

impl Words {
    pub(crate) fn new(text: impl Into<String>, language: Language) -> Self {
        Self { text: text.into(), lang: language.tag() }
    }
}

/// `/matters`.
#[derive(Template)]
#[template(path = "matters.html")]
pub(crate) struct List {
    pub(crate) page: Frame,
    pub(crate) w: &'static MattersTexts,
    /// What was looked for.
    pub(crate) words: String,
    /// How many were found, if something was looked for.
    pub(crate) found: Option<String>,
    pub(crate) refused: Option<Notice>,
    pub(crate) departments: Vec<Department>,
    /// Matters without a guide: name, department.
    pub(crate) others: Vec<(String, String)>,
    /// There are more than are shown.
    pub(crate) more: Option<String>,
}

/// The matters of one department.
pub(crate) struct Department {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) matters: Vec<Entry>,
}

/// A matter in the list.
pub(crate) struct Entry {
    pub(crate) code: String,
    pub(crate) name: Words,
    pub(crate) applicants: &'static str,
    pub(crate) summary: String,
}

/// `/matters/{code}`.
#[derive(Template)]
#[template(path = "matter.html")]
pub(crate) struct Guide {
    pub(crate) page: Frame,
    pub(crate) w: &'static MattersTexts,
    pub(crate) code: String,
    pub(crate) name: Words,
    /// The Chinese name, where the title is English.
    pub(crate) chinese_name: Option<String>,
    pub(crate) notice: Option<Notice>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) start: Start,
    pub(crate) yours: Option<Yours>,
    pub(crate) materials: Vec<Material>,
    pub(crate) flow: Vec<Words>,
    pub(crate) forms: Vec<Form>,
    /// The versions, newest first, and whether each is the one in force; empty if there is only one.
    pub(crate) versions: Vec<(String, bool)>,
}

/// How to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// A form that opens a case.
    Here,
    /// Where to log in.
    LogIn(String),
    /// Not for this reader, or not today.
    No,
}

/// The reader's own checklist.
pub(crate) struct Yours {
    /// For whom, if the reader acts for several.
    pub(crate) name: Option<String>,
    /// Links to see it for the others.
    pub(crate) others: Vec<(String, String)>,
    pub(crate) summary: String,
    pub(crate) rows: Vec<YourRow>,
    pub(crate) notice: Option<Notice>,
}

/// One of the reader's materials.
pub(crate) struct YourRow {
    pub(crate) name: Words,
    pub(crate) badge: Badge,
    pub(crate) says: Vec<String>,
}

/// A material and how it is had.
pub(crate) struct Material {
    pub(crate) name: Words,
    pub(crate) ways: Vec<String>,
    pub(crate) may_follow: Option<String>,
    pub(crate) sample: Option<Words>,
    pub(crate) basis: String,
}

/// A form.
pub(crate) struct Form {
    pub(crate) id: String,
    pub(crate) name: Words,
    /// Label, and where it is filled in from.
    pub(crate) fields: Vec<(Words, String)>,
}

/// `/matters/{code}/print`.
#[derive(Template)]
#[template(path = "matter_print.html")]
pub(crate) struct Sheet {
    pub(crate) page: Frame,
    pub(crate) w: &'static MattersTexts,
    pub(crate) code: String,
    pub(crate) name: Words,
    pub(crate) facts: Vec<Fact>,
    pub(crate) materials: Vec<Material>,
    pub(crate) address: String,
    pub(crate) made: String,
}
