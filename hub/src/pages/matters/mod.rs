//! The guides: what each matter takes, how long and where; with a sheet to put up at windows.
//!
//! Everybody may read them. Who has logged in as an applicant sees the own checklist too, which is a look at the own
//! licences and recorded as one. What is looked for travels by POST: people type their names into every field.

mod guide;
mod list;
mod sheet;
mod texts;
mod views;

use actix_web::{http::StatusCode, web};
use licence::{ApplicantKind, LicenceTypeCode, Matter, MatterCode, Said};

use self::{texts::MattersTexts, views::Words};
use super::{
    page, read,
    texts::Language,
    visitor::{Failure, Visitor},
};
use crate::Hub;

/// Registers the guides.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(page("/matters", read().to(list::list)).route(web::post().to(list::find)))
        .service(page("/matters/{code}", read().to(guide::guide)))
        .service(page("/matters/{code}/print", read().to(sheet::sheet)))
        .service(page("/matters/{code}/qr.svg", read().to(sheet::qr)));
}

/// The matter of an address: the version in force today, else the newest.
fn matter<'a>(visitor: &'a Visitor, code: &str) -> Result<&'a Matter, Failure> {
    let matters = &visitor.hub.matters;
    code.parse::<MatterCode>()
        .ok()
        .and_then(|code| {
            matters.current(&code, visitor.hub.clock.today()).or_else(|| matters.get(&code))
        })
        .ok_or_else(|| {
            Failure::of_room(StatusCode::NOT_FOUND, "unknown_matter", |language| {
                MattersTexts::of(language).say_unknown
            })
        })
}

/// A matter's name in the reader's language.
fn matter_name(language: Language, matter: &Matter) -> Words {
    match (language, &matter.guide.name_en) {
        (Language::English, Some(english)) => Words::new(english, Language::English),
        _ => Words::new(&matter.name, Language::Chinese),
    }
}

/// A text of a matter in the reader's language.
fn said(language: Language, said: &Said) -> Words {
    match (language, &said.en) {
        (Language::English, Some(english)) => Words::new(english, Language::English),
        _ => Words::new(&said.zh, Language::Chinese),
    }
}

/// Who may apply.
fn applicants(w: &'static MattersTexts, matter: &Matter) -> &'static str {
    let has = |kind| matter.guide.applicants.contains(&kind);
    match (has(ApplicantKind::Person), has(ApplicantKind::Organisation)) {
        (true, false) => w.for_persons,
        (false, true) => w.for_organisations,
        _ => w.for_both,
    }
}

/// A licence type's name in the reader's language; its code if the catalogue does not have it.
fn type_name(hub: &Hub, language: Language, code: &LicenceTypeCode) -> String {
    hub.catalogue.entry(code).map_or_else(
        || code.to_string(),
        |entry| language.pick(&entry.name, &entry.name_en).to_owned(),
    )
}

/// A face field's name in the reader's language.
fn field_name(hub: &Hub, language: Language, code: &LicenceTypeCode, field: &str) -> String {
    let title = hub
        .catalogue
        .entry(code)
        .and_then(|entry| entry.fields.get("properties")?.get(field)?.get("title")?.as_str());
    match (language, title) {
        (Language::Chinese, Some(title)) => title.to_owned(),
        _ => field.replace('_', " "),
    }
}
