//! What the personal pages show, as plain text. Templates add structure only.

use askama::Template;

use super::texts::MeTexts;
use crate::pages::{
    texts::fill,
    views::{Badge, Choice, Fact, File, Frame, Notice},
};

/// A part of the personal pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Overview,
    Licences,
    Cases,
    Materials,
    Uses,
    Consents,
    Corrections,
}

/// What every personal page has.
pub(crate) struct Mine {
    pub(crate) m: &'static MeTexts,
    pub(crate) part: Part,
    /// The page's language, as `lang` has it.
    pub(crate) tag: &'static str,
    /// The token that forms carry.
    pub(crate) csrf: String,
    /// For whom the person acts, if there is a choice.
    pub(crate) acting: Option<String>,
}

impl Mine {
    /// What stands before the name in the sentence that says for whom the person acts.
    pub(crate) fn acting_before(&self) -> &'static str {
        self.m.acting_for.split_once("{name}").map_or("", |(before, _)| before)
    }

    /// What stands after it.
    pub(crate) fn acting_after(&self) -> &'static str {
        self.m.acting_for.split_once("{name}").map_or("", |(_, after)| after)
    }

    /// The language of what a link is called: data is Chinese, the page's own words are its own.
    pub(crate) fn lang_of(&self, name: &str) -> &'static str {
        if name == self.m.show_licence { self.tag } else { "zh-CN" }
    }

    /// By when something is to follow.
    pub(crate) fn follow_by(&self, day: &str) -> String {
        fill(self.m.follow_by, &[("day", &day)])
    }

    /// The parts: address, name, whether it is this one.
    pub(crate) fn tabs(&self) -> [(&'static str, &'static str, bool); 7] {
        let m = self.m;
        let here = |part| self.part == part;
        [
            ("/me", m.mine, here(Part::Overview)),
            ("/me/cases", m.cases, here(Part::Cases)),
            ("/me/licences", m.licences, here(Part::Licences)),
            ("/me/materials", m.materials, here(Part::Materials)),
            ("/me/uses", m.uses, here(Part::Uses)),
            ("/me/consents", m.consents, here(Part::Consents)),
            ("/me/corrections", m.corrections, here(Part::Corrections)),
        ]
    }
}

/// A text in its language: what comes from licences and matters may be Chinese on an English page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) lang: &'static str,
}

/// Something that waits for the person.
pub(crate) struct ToDo {
    pub(crate) href: String,
    pub(crate) badge: Badge,
    pub(crate) name: Words,
    pub(crate) says: String,
}

/// One licence in a list.
pub(crate) struct LicenceRow {
    pub(crate) href: String,
    pub(crate) name: String,
    /// The name of its type, for readers who do not read the licence's own.
    pub(crate) type_name: Option<String>,
    pub(crate) number: String,
    pub(crate) valid: String,
    pub(crate) badge: Badge,
    pub(crate) disputed: Option<Badge>,
}

/// One case in a list.
pub(crate) struct CaseRow {
    pub(crate) href: String,
    pub(crate) matter: Words,
    pub(crate) department: String,
    pub(crate) badge: Badge,
    pub(crate) says: String,
    pub(crate) opened: String,
}

/// `/me`.
#[derive(Template)]
#[template(path = "applicant_overview.html")]
pub(crate) struct Overview {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) to_do: Vec<ToDo>,
    pub(crate) licences: Vec<LicenceRow>,
    pub(crate) all_licences: String,
    pub(crate) cases: Vec<CaseRow>,
    pub(crate) uses: Vec<UseRow>,
    /// Whom the person may act for: place, what to press, whether it is so now.
    pub(crate) holders: Vec<(usize, String, bool)>,
}

/// `/me/licences`.
#[derive(Template)]
#[template(path = "applicant_licences.html")]
pub(crate) struct Licences {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) licences: Vec<LicenceRow>,
    pub(crate) more: Option<String>,
}

/// `/me/licences/{identifier}`.
#[derive(Template)]
#[template(path = "applicant_licence.html")]
pub(crate) struct LicencePage {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) badge: Badge,
    pub(crate) says: String,
    pub(crate) code: Option<String>,
    pub(crate) newer: Option<String>,
    pub(crate) disputed: Option<Notice>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) files: Vec<File>,
    /// Of this page.
    pub(crate) address: String,
    pub(crate) dispute: Option<Dispute>,
}

/// `/me/cases`.
#[derive(Template)]
#[template(path = "applicant_cases.html")]
pub(crate) struct Cases {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) cases: Vec<CaseRow>,
    pub(crate) more: Option<String>,
}

/// For whom a case is opened, if several may apply.
#[derive(Template)]
#[template(path = "applicant_for_whom.html")]
pub(crate) struct ForWhom {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) matter: String,
    pub(crate) name: Words,
    /// Place and name.
    pub(crate) holders: Vec<(usize, String)>,
}

/// `/me/cases/{id}`.
#[derive(Template)]
#[template(path = "applicant_case.html")]
pub(crate) struct CasePage {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) id: String,
    pub(crate) title: Words,
    pub(crate) badge: Badge,
    pub(crate) says: String,
    pub(crate) notice: Option<Notice>,
    /// Why the department said no.
    pub(crate) reason: Option<String>,
    /// What the department asks for now: item and why.
    pub(crate) asked: Vec<(Words, String)>,
    pub(crate) promise: Option<Notice>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) result: Option<String>,
    pub(crate) summary: String,
    pub(crate) rows: Vec<ItemRow>,
    pub(crate) forms: Vec<FormPart>,
    pub(crate) editable: bool,
    /// What may be promised to follow: id, name, last day.
    pub(crate) follow: Vec<(String, Words, String)>,
    /// What has to be there before it can be handed over.
    pub(crate) missing: Vec<Words>,
    /// It was handed over before.
    pub(crate) again: bool,
    pub(crate) withdrawable: bool,
    /// Letters to read and print: address and name.
    pub(crate) letters: Vec<(String, &'static str)>,
    pub(crate) steps: Vec<StepRow>,
}

/// One requirement of a case.
pub(crate) struct ItemRow {
    pub(crate) id: String,
    /// The person has to do something about it.
    pub(crate) open: bool,
    pub(crate) name: Words,
    pub(crate) badge: Badge,
    pub(crate) says: String,
    /// The licence or file it is about: address and name.
    pub(crate) source: Option<(String, String)>,
    /// What the licence says.
    pub(crate) value: Option<String>,
    /// What else there is to say.
    pub(crate) also: Option<String>,
    /// The case whose promise was not kept.
    pub(crate) other_case: Option<String>,
    /// How the file should look.
    pub(crate) sample: Option<Words>,
    /// A file of this kind may be handed in now.
    pub(crate) kind: Option<String>,
}

/// One form of a case.
pub(crate) struct FormPart {
    pub(crate) name: Words,
    pub(crate) fields: Vec<FieldRow>,
}

/// One field.
pub(crate) struct FieldRow {
    pub(crate) id: String,
    pub(crate) label: Words,
    pub(crate) most: u16,
    pub(crate) long: bool,
    pub(crate) required: bool,
    /// The department asked about it: to be changed or confirmed.
    pub(crate) confirm: bool,
    pub(crate) text: String,
    /// The licence it was taken from: address and name.
    pub(crate) source: Option<(String, String)>,
}

/// One thing that happened.
pub(crate) struct StepRow {
    pub(crate) at: String,
    pub(crate) what: String,
    pub(crate) details: Vec<Words>,
    pub(crate) by: Words,
}

/// One use.
pub(crate) struct UseRow {
    pub(crate) at: String,
    pub(crate) who: Words,
    /// The window.
    pub(crate) place: Option<String>,
    pub(crate) what: &'static str,
    pub(crate) why: Vec<Words>,
    pub(crate) allowed: Option<&'static str>,
    pub(crate) consent: Option<String>,
    pub(crate) case: Option<String>,
    /// Address and name.
    pub(crate) licences: Vec<(String, String)>,
    pub(crate) grant: Option<String>,
    pub(crate) seq: String,
}

/// `/me/uses`.
#[derive(Template)]
#[template(path = "applicant_uses.html")]
pub(crate) struct Uses {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) uses: Vec<UseRow>,
    pub(crate) with_own: bool,
    /// Where the page of later uses is.
    pub(crate) later: Option<String>,
    /// Where the page of earlier uses is.
    pub(crate) earlier: Option<String>,
}

/// One consent in the list.
pub(crate) struct ConsentRow {
    pub(crate) href: String,
    pub(crate) department: String,
    pub(crate) badge: Badge,
    pub(crate) licences: String,
    pub(crate) until: String,
    pub(crate) asked: String,
}

/// `/me/consents`.
#[derive(Template)]
#[template(path = "applicant_consents.html")]
pub(crate) struct Consents {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) rows: Vec<ConsentRow>,
    pub(crate) more: Option<String>,
}

/// A licence type of a consent.
pub(crate) struct TypePart {
    pub(crate) code: String,
    pub(crate) name: String,
    /// The whole licence, not single fields.
    pub(crate) whole: bool,
    /// What may be given of it: form value and name.
    pub(crate) choices: Vec<(String, Words)>,
}

/// `/me/consents/{id}`.
#[derive(Template)]
#[template(path = "applicant_consent.html")]
pub(crate) struct ConsentPage {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) id: String,
    pub(crate) badge: Badge,
    pub(crate) says: &'static str,
    pub(crate) notice: Option<Notice>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) asked: Vec<TypePart>,
    pub(crate) given: Option<Vec<TypePart>>,
    pub(crate) until: String,
    pub(crate) today: String,
    pub(crate) waiting: bool,
    pub(crate) withdrawable: bool,
}

/// A form that disputes a field.
pub(crate) struct Dispute {
    pub(crate) licence: String,
    /// Field, and its name with what stands there now.
    pub(crate) fields: Vec<Choice>,
    pub(crate) says: String,
    pub(crate) why: String,
    pub(crate) refused: Option<Notice>,
    /// Files that may go along: id, name, when handed in.
    pub(crate) materials: Vec<(String, String, String)>,
    pub(crate) open: bool,
}

/// One correction in the list.
pub(crate) struct CorrectionRow {
    pub(crate) href: String,
    pub(crate) licence: String,
    pub(crate) field: Words,
    pub(crate) badge: Badge,
    pub(crate) due: String,
    pub(crate) at: String,
}

/// `/me/corrections`.
#[derive(Template)]
#[template(path = "applicant_corrections.html")]
pub(crate) struct Corrections {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) rows: Vec<CorrectionRow>,
}

/// `/me/corrections/{id}`.
#[derive(Template)]
#[template(path = "applicant_correction.html")]
pub(crate) struct CorrectionPage {
    pub(crate) page: Frame,
    pub(crate) mine: Mine,
    pub(crate) badge: Badge,
    pub(crate) says: String,
    pub(crate) notice: Option<Notice>,
    /// Why the issuer keeps the licence as it is.
    pub(crate) reason: Option<String>,
    pub(crate) corrected: Option<String>,
    pub(crate) facts: Vec<Fact>,
}
