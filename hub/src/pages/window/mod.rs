//! The window: number in, checklist out, on one screen; the queue of cases, letters, consents, corrections.
//!
//! For clerks: of a window, a village, a town, the district, or a department. What a clerk may see and do is decided in
//! `crate::reuse`, never here. The keyboard alone suffices: fields stand in the order of the work, the first has the
//! focus, Enter sends, and access keys are written beside what they reach. Numbers travel by POST only.

pub(crate) mod cases;
mod counter;
mod letters;
mod rows;
mod texts;
mod views;

use actix_web::{HttpResponse, http::StatusCode, http::header, web};
use licence::{HolderId, Matter};

use self::{
    texts::WindowTexts,
    views::{Desk, Tab, Words},
};
use super::{
    licence::half_hidden,
    page, read,
    texts::{Language, fill},
    views::{Notice, Section, Tone},
    visitor::{Failure, Visitor},
};
use crate::{
    http::error::Problem,
    reuse::Clerk,
};

/// Registers the window's pages.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let post = web::post;
    config
        .service(page("/window", read().to(counter::form)).route(post().to(counter::checklist)))
        .service(page("/window/cases", read().to(cases::queue)).route(post().to(cases::open)))
        .service(page("/window/cases/find", post().to(cases::find)))
        .service(page("/window/cases/{id}", read().to(cases::look)))
        .service(page("/window/cases/{id}/form", post().to(cases::fill_in)))
        .service(page("/window/cases/{id}/letters/{letter}", read().to(cases::letter)));
}

/// A sentence of the window.
type Say = fn(Language) -> &'static str;

macro_rules! say {
    ($key:ident) => {
        |language: Language| WindowTexts::of(language).$key
    };
}
use say;

/// The clerk behind a visit.
fn clerk(visitor: &Visitor) -> Result<Clerk, Failure> {
    let Some(person) = &visitor.person else {
        let status = StatusCode::UNAUTHORIZED;
        return Err(Failure::of_room(status, "login_required", say!(say_login)));
    };
    Clerk::of(&visitor.hub, person).ok_or_else(|| {
        Failure::of_room(StatusCode::FORBIDDEN, "clerk_required", say!(say_not_clerk))
    })
}

/// What every page shows of the clerk's place.
fn desk(visitor: &Visitor, clerk: &Clerk, tab: Tab) -> Desk {
    let node = visitor.hub.organisations.node(&clerk.node);
    Desk {
        w: WindowTexts::of(visitor.language),
        tab,
        node: node.map(|node| node.name.clone()).unwrap_or_default(),
        csrf: clerk.person.csrf.clone(),
    }
}

/// What a refusal of the use cases is called here.
fn failure(problem: Problem) -> Failure {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Failure::of_room(status, &problem.code, words(&problem.code, status))
}

fn words(code: &str, status: StatusCode) -> Say {
    match code {
        "unknown_case" => say!(say_unknown_case),
        "unknown_matter" | "matter_not_run" => say!(no_matter),
        "held_already" => say!(say_held_already),
        "case_incomplete" => say!(say_incomplete),
        "case_state" => say!(say_wrong_state),
        "case_busy" | "material_busy" | "consent_busy" | "correction_busy" => say!(say_busy),
        "may_not_follow" | "promise_unkept" | "promise_refused" => say!(say_promise_refused),
        "not_taken_here" => say!(say_not_here),
        "applicant_kind" => say!(say_not_this_applicant),
        "service_missing" => say!(say_no_signer),
        "scanner_unavailable" => say!(say_scanner),
        "unknown_consent" | "unknown_grant" => say!(say_unknown_consent),
        "unknown_correction" => say!(say_unknown_correction),
        "grant_withdrawn" => say!(say_withdrawn),
        "grant_ended" => say!(say_over),
        _ if status.is_server_error() => say!(say_unavailable),
        _ => say!(say_refused),
    }
}

/// The refusal on the page itself: what happened, what was kept.
fn notice(visitor: &Visitor, failure: &Failure) -> Notice {
    let w = WindowTexts::of(visitor.language);
    let mut says = vec![fill(w.code_is, &[("code", &failure.code)])];
    if failure.nothing_changed {
        says.insert(0, w.kept.to_owned());
    }
    Notice { tone: Tone::Bad, title: failure.say.in_language(visitor.language).to_owned(), says }
}

/// On to a page that was read: what was posted is not posted again by going back or renewing.
fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

/// A text of a matter in the reader's language.
fn said(language: Language, said: &licence::Said) -> Words {
    match (language, &said.en) {
        (Language::English, Some(english)) => Words::new(english, Language::English),
        _ => Words::new(&said.zh, Language::Chinese),
    }
}

/// A matter's name in the reader's language.
fn matter_name(language: Language, matter: &Matter) -> Words {
    match (language, &matter.guide.name_en) {
        (Language::English, Some(english)) => Words::new(english, Language::English),
        _ => Words::new(&matter.name, Language::Chinese),
    }
}

/// The number as it may be shown: an organisation's is public, a person's is shown by its ends.
fn shown_number(holder: &HolderId) -> String {
    let number = holder.number();
    if holder.kind().is_person() { half_hidden(number) } else { number.to_owned() }
}

/// A page of the window, titled.
fn frame(visitor: &Visitor, title: impl Into<String>) -> super::views::Frame {
    visitor.frame(Section::Window, title)
}
