//! What the window's pages show, as plain text. Templates add structure only.

use askama::Template;

use super::texts::WindowTexts;
use crate::pages::{
    texts::Language,
    views::{Badge, Choice, Fact, Frame, Hidden, Notice},
};

/// A part of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    /// Number in, checklist out.
    Counter,
    /// Cases.
    Queue,
    /// Consents.
    Consents,
    /// Corrections.
    Corrections,
}

/// What every page of the window has.
pub(crate) struct Desk {
    pub(crate) w: &'static WindowTexts,
    pub(crate) tab: Tab,
    /// Where the clerk works.
    pub(crate) node: String,
    /// The token that forms carry.
    pub(crate) csrf: String,
}

impl Desk {
    /// The parts of the window: address, access key, name, whether it is this one.
    pub(crate) fn tabs(&self) -> [(&'static str, &'static str, &'static str, bool); 4] {
        let w = self.w;
        [
            ("/window", "W", w.tab_counter, self.tab == Tab::Counter),
            ("/window/cases", "L", w.tab_queue, self.tab == Tab::Queue),
            ("/window/consents", "G", w.tab_consents, self.tab == Tab::Consents),
            ("/window/corrections", "C", w.tab_corrections, self.tab == Tab::Corrections),
        ]
    }
}

/// A text in its language: what comes from matters and licences may be Chinese on an English page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) lang: &'static str,
}

impl Words {
    pub(crate) fn new(text: impl Into<String>, language: Language) -> Self {
        Self { text: text.into(), lang: language.tag() }
    }
}

/// Who applies for what, as typed at the counter.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) number: String,
    pub(crate) kinds: Vec<Choice>,
    pub(crate) matter: String,
    /// Names to choose from while typing.
    pub(crate) matters: Vec<String>,
}

/// One requirement.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) place: usize,
    pub(crate) name: Words,
    pub(crate) badge: Badge,
    pub(crate) says: Vec<Words>,
    /// Opens the file handed in.
    pub(crate) file: Option<String>,
    /// Opens the licence under the case's grant.
    pub(crate) licence: Option<String>,
    /// A file may be handed in now.
    pub(crate) hand_in: bool,
    /// An earlier file that may be used.
    pub(crate) reuse: Option<String>,
    /// May follow until this day.
    pub(crate) follows: Option<String>,
}

/// The counter.
#[derive(Template)]
#[template(path = "window_counter.html")]
pub(crate) struct Counter {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    pub(crate) asked: Asked,
    pub(crate) notice: Option<Notice>,
    /// Matters that fit what was typed: code, name, department.
    pub(crate) candidates: Vec<(String, Words, String)>,
    pub(crate) carried: Hidden,
    pub(crate) found: Option<Found>,
}

/// A checklist at the counter.
pub(crate) struct Found {
    pub(crate) title: Words,
    pub(crate) facts: Vec<Fact>,
    pub(crate) summary: String,
    pub(crate) rows: Vec<Row>,
    /// Sent along when a case is opened or consent is asked for.
    pub(crate) carried: Hidden,
}

/// The queue of cases.
#[derive(Template)]
#[template(path = "window_queue.html")]
pub(crate) struct Queue {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    pub(crate) notice: Option<Notice>,
    /// Word, name, chosen.
    pub(crate) states: Vec<Choice>,
    pub(crate) rows: Vec<CaseRow>,
    pub(crate) more: Option<String>,
}

/// One case in the queue.
pub(crate) struct CaseRow {
    pub(crate) id: String,
    pub(crate) matter: Words,
    pub(crate) department: String,
    pub(crate) state: Badge,
    pub(crate) opened: String,
    pub(crate) due: String,
    pub(crate) late: Option<Badge>,
}

/// A case.
#[derive(Template)]
#[template(path = "window_case.html")]
pub(crate) struct CasePage {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    pub(crate) id: String,
    pub(crate) title: Words,
    pub(crate) state: Badge,
    pub(crate) late: Option<Badge>,
    pub(crate) notice: Option<Notice>,
    /// What the department asked for, if it still waits: item and why.
    pub(crate) asked: Vec<(Words, String)>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) summary: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) follows: bool,
    pub(crate) forms: Vec<FormPart>,
    pub(crate) editable: bool,
    pub(crate) submit: Option<Submit>,
    pub(crate) decide: Option<Decide>,
    pub(crate) letters: Vec<(String, &'static str)>,
    pub(crate) steps: Vec<StepRow>,
}

/// Handing the case to the department.
pub(crate) struct Submit {
    pub(crate) label: &'static str,
    /// What is missing, if anything is.
    pub(crate) missing: Option<String>,
}

/// A form of a case.
pub(crate) struct FormPart {
    pub(crate) name: Words,
    pub(crate) fields: Vec<FieldRow>,
}

/// A field of a form.
pub(crate) struct FieldRow {
    pub(crate) id: String,
    pub(crate) label: Words,
    pub(crate) optional: bool,
    /// The department asked about it: to be changed or confirmed.
    pub(crate) confirm: bool,
    pub(crate) most: u16,
    pub(crate) value: String,
    /// Where it was taken from.
    pub(crate) source: Option<String>,
}

/// What the deciding department may do now.
pub(crate) struct Decide {
    pub(crate) lead: String,
    pub(crate) accept: bool,
    pub(crate) supplement: Vec<Mend>,
    pub(crate) decline: bool,
    pub(crate) decide: bool,
    pub(crate) result: bool,
}

/// Something that may have to be mended.
pub(crate) struct Mend {
    pub(crate) id: String,
    pub(crate) name: Words,
    pub(crate) label: String,
    pub(crate) ticked: bool,
    pub(crate) why: String,
}

/// Something that happened.
pub(crate) struct StepRow {
    pub(crate) at: String,
    pub(crate) who: String,
    pub(crate) what: String,
}

/// A letter, as printed.
#[derive(Template)]
#[template(path = "window_letter.html")]
pub(crate) struct LetterPage {
    pub(crate) page: Frame,
    pub(crate) w: &'static WindowTexts,
    /// Address and name of the page to go back to.
    pub(crate) back: String,
    pub(crate) letter: Letter,
}

/// What stands on a letter; Chinese, whatever the page's language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) department: String,
    pub(crate) title: &'static str,
    pub(crate) number: String,
    pub(crate) to: Option<String>,
    pub(crate) opening: Vec<String>,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) closing: Vec<String>,
    /// Lines to sign on, with their labels.
    pub(crate) lines: Vec<&'static str>,
    /// Who signs, and the day.
    pub(crate) signed: (String, String),
    pub(crate) seal: bool,
    pub(crate) foot: Vec<String>,
}

/// Consents asked for.
#[derive(Template)]
#[template(path = "window_consents.html")]
pub(crate) struct Consents {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    pub(crate) asked: Asked,
    pub(crate) notice: Option<Notice>,
    pub(crate) candidates: Vec<(String, Words, String)>,
    pub(crate) carried: Hidden,
    pub(crate) rows: Vec<ConsentRow>,
}

/// One consent.
pub(crate) struct ConsentRow {
    pub(crate) id: String,
    pub(crate) matter: Words,
    pub(crate) licences: String,
    pub(crate) state: Badge,
    pub(crate) asked_at: String,
    pub(crate) until: String,
}

/// Licences and fields to ask for.
#[derive(Template)]
#[template(path = "window_consent_choose.html")]
pub(crate) struct ConsentChoice {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    pub(crate) notice: Option<Notice>,
    pub(crate) matter: Words,
    pub(crate) carried: Hidden,
    pub(crate) types: Vec<TypeChoice>,
    pub(crate) case: String,
    pub(crate) reason: String,
    pub(crate) until: String,
    pub(crate) today: String,
}

/// A licence type to choose.
pub(crate) struct TypeChoice {
    pub(crate) code: String,
    pub(crate) name: Words,
    pub(crate) chosen: bool,
    /// Name, label, chosen.
    pub(crate) fields: Vec<(String, Words, bool)>,
}

/// One consent, with what may be opened.
#[derive(Template)]
#[template(path = "window_consent.html")]
pub(crate) struct ConsentPage {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    pub(crate) id: String,
    pub(crate) state: Badge,
    pub(crate) notice: Option<Notice>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) may_open: bool,
}

/// The content of licences, opened under a grant.
#[derive(Template)]
#[template(path = "window_content.html")]
pub(crate) struct Content {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    /// Address and words of the page to go back to.
    pub(crate) back: (String, String),
    pub(crate) withheld: bool,
    pub(crate) licences: Vec<Opened>,
}

/// An opened licence.
pub(crate) struct Opened {
    pub(crate) name: Words,
    pub(crate) verdict: Badge,
    pub(crate) facts: Vec<Fact>,
}

/// Disputes of what the department issued.
#[derive(Template)]
#[template(path = "window_corrections.html")]
pub(crate) struct Corrections {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    pub(crate) rows: Vec<CorrectionRow>,
}

/// One dispute.
pub(crate) struct CorrectionRow {
    pub(crate) id: String,
    pub(crate) licence: Words,
    pub(crate) field: Words,
    pub(crate) state: Badge,
    pub(crate) at: String,
    pub(crate) due: String,
}

/// A dispute to answer.
#[derive(Template)]
#[template(path = "window_correction.html")]
pub(crate) struct CorrectionPage {
    pub(crate) page: Frame,
    pub(crate) desk: Desk,
    pub(crate) id: String,
    pub(crate) state: Badge,
    pub(crate) notice: Option<Notice>,
    pub(crate) facts: Vec<Fact>,
    /// What the holder attached: address and name.
    pub(crate) files: Vec<(String, String)>,
    pub(crate) open: bool,
    /// What was typed before it was refused.
    pub(crate) typed: (String, String),
}
