//! The window: number in, checklist out, on one screen; the queue of cases, letters, consents, corrections.
//!
//! For clerks: of a window, a village, a town, the district, or a department. What a clerk may see and do is decided in
//! `crate::reuse`, never here. The keyboard alone suffices: fields stand in the order of the work, the first has the
//! focus, Enter sends, and access keys are written beside what they reach. Numbers travel by POST only.

mod acts;
pub(crate) mod cases;
mod consents;
mod content;
mod corrections;
mod counter;
mod files;
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
use crate::{http::error::Problem, reuse::Clerk};

/// Registers the window's pages.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let post = web::post;
    config
        .service(page("/window", read().to(counter::form)).route(post().to(counter::checklist)))
        .service(page("/window/cases", read().to(cases::queue)).route(post().to(cases::open)))
        .service(page("/window/cases/find", post().to(cases::find)))
        .service(page("/window/cases/{id}", read().to(cases::look)))
        .service(page("/window/cases/{id}/form", post().to(cases::fill_in)))
        .service(page("/window/cases/{id}/files", post().to(files::hand_in)))
        .service(page("/window/cases/{id}/files/{material}", read().to(files::open)))
        .service(page("/window/cases/{id}/materials", post().to(acts::provide)))
        .service(page("/window/cases/{id}/promise", post().to(acts::promise)))
        .service(page("/window/cases/{id}/submit", post().to(acts::submit)))
        .service(page("/window/cases/{id}/withdraw", post().to(acts::withdraw)))
        .service(page("/window/cases/{id}/accept", post().to(acts::accept)))
        .service(page("/window/cases/{id}/supplement", post().to(acts::supplement)))
        .service(page("/window/cases/{id}/decline", post().to(acts::decline)))
        .service(page("/window/cases/{id}/decide", post().to(acts::decide)))
        .service(page("/window/cases/{id}/result", post().to(acts::result)))
        .service(page("/window/cases/{id}/licences/{licence}", post().to(cases::licence)))
        .service(page("/window/cases/{id}/letters/{letter}", read().to(cases::letter)))
        .service(
            page("/window/consents", read().to(consents::list)).route(post().to(consents::ask)),
        )
        .service(page("/window/consents/choose", post().to(consents::choose)))
        .service(page("/window/consents/{id}", read().to(consents::look)))
        .service(page("/window/consents/{id}/open", post().to(consents::open)))
        .service(page("/window/corrections", read().to(corrections::list)))
        .service(
            page("/window/corrections/{id}", read().to(corrections::look))
                .route(post().to(corrections::answer)),
        )
        .service(page(
            "/window/corrections/{id}/files/{material}",
            read().to(files::open_of_correction),
        ));
}

/// A sentence of the window.
type Say = fn(Language) -> &'static str;

macro_rules! say {
    ($key:ident) => {
        |language: $crate::pages::texts::Language| {
            $crate::pages::window::texts::WindowTexts::of(language).$key
        }
    };
}
use say;

/// The clerk behind a visit.
fn clerk(visitor: &Visitor) -> Result<Clerk, Failure> {
    visitor.as_clerk().cloned()
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
        "materials_missing" | "form_incomplete" => say!(say_incomplete),
        "form_unconfirmed" => say!(say_unconfirmed),
        "supplement_once" => say!(say_supplement_once),
        "case_state" => say!(say_wrong_state),
        "case_busy" | "material_busy" | "consent_busy" | "correction_busy" => say!(say_busy),
        "may_not_follow" | "promise_unkept" => say!(say_promise_refused),
        "promise_over" => say!(say_promise_over),
        "requirements_required" => say!(say_nothing_ticked),
        "material_other_kind" | "material_outdated" | "not_a_file" => say!(say_other_file),
        "material_sent_back" => say!(say_sent_back),
        "step_reason" | "reason" | "correction_text" => say!(reason_missing),
        "result_not_fitting" | "not_a_correction" => say!(say_not_fitting),
        "not_taken_here" => say!(say_not_here),
        "too_many_asks" => say!(say_many_asks),
        "too_many_drafts" => say!(say_many_drafts),
        "own_dispute" => say!(say_own_dispute),
        "applicant_kind" => say!(say_not_this_applicant),
        "case_not_permitted" | "not_permitted" | "matter_not_covering" => say!(say_not_yours),
        "service_missing" => say!(say_no_signer),
        _ if code.starts_with("signer_") => say!(say_signer_away),
        "scanner_unavailable" => say!(say_scanner),
        "unknown_consent" | "unknown_grant" | "grant_of_another" => say!(say_unknown_consent),
        "consent_until" => say!(consent_day),
        "unknown_material" => say!(say_unknown_material),
        "unknown_correction" => say!(say_unknown_correction),
        "correction_answered" => say!(say_answered),
        "grant_withdrawn" | "consent_withdrawn" => say!(say_withdrawn),
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
