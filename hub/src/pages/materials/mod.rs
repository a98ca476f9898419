//! Files that people hand in: taken from a form, listed with what they spared, opened again.
//!
//! A form sends its file in one go (`received`). Where scripts run, `static/upload.js` sends the file in pieces first,
//! through the calls of [`crate::http::materials`], which are served among the pages for that; the form then only names the
//! material.

mod list;
pub(crate) mod received;
mod texts;

use actix_web::{HttpResponse, http::StatusCode, web};

use self::texts::FileTexts;
use super::{applicant::me::Me, page, read, texts::Language, visitor::Failure};
use crate::{
    http::{self, error::Problem},
    reuse::{Who, cases},
};

/// Registers the pages, and the calls that their script makes.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(page("/me/materials", read().to(list::list)))
        .service(page("/me/cases/{id}/files", web::post().to(hand_in)))
        .service(http::materials::begin_upload)
        .service(http::materials::show_upload)
        .service(http::materials::append_to_upload)
        .service(http::materials::finish_upload)
        .service(http::materials::abandon_upload)
        .service(http::materials::open_material);
}

/// `POST /me/cases/{id}/files`: the session's token, the requirement, then the file or the name of the material it became.
async fn hand_in(me: Me, id: web::Path<String>, form: actix_multipart::Multipart) -> HttpResponse {
    let hub = &me.visitor.hub;
    let done = match cases::stand(hub, &me.person, &id).await {
        Ok(who @ Who::Holder { .. }) => {
            received::receive(hub, &who, &me.person.csrf, &id, form).await
        }
        Ok(_) => Err(cases::CaseError::UnknownCase.into()),
        Err(error) => Err(error.into()),
    };
    let to = |word: &str| super::applicant::me::see_other(&format!("/me/cases/{}?{word}", *id));
    match done {
        Ok(()) => to("done=file"),
        Err(problem) if about_the_file(&problem) => to(&format!("refused={}", problem.code)),
        Err(problem) => me.visitor.failed(&Failure::from(problem)),
    }
}

/// What the page of the case can say: the case is there, the file was not taken.
fn about_the_file(problem: &Problem) -> bool {
    !matches!(
        StatusCode::from_u16(problem.status),
        Ok(StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED)
    )
}

/// What is said of a file that was not taken, by the stable code.
pub(crate) fn say_of_code(code: &str) -> Option<fn(Language) -> &'static str> {
    Some(match code {
        "file_missing" | "material_empty" => |language| FileTexts::of(language).say_no_file,
        "file_type" => |language| FileTexts::of(language).say_type,
        "file_extension" => |language| FileTexts::of(language).say_extension,
        "file_truncated" => |language| FileTexts::of(language).say_truncated,
        "file_two_types" => |language| FileTexts::of(language).say_two_types,
        "file_archive" => |language| FileTexts::of(language).say_archive,
        "material_infected" => |language| FileTexts::of(language).say_infected,
        "material_name" => |language| FileTexts::of(language).say_name,
        "material_too_large" => |language| FileTexts::of(language).say_too_large,
        "upload_interrupted" | "upload_too_long" => {
            |language| FileTexts::of(language).say_interrupted
        }
        "upload_quota" => |language| FileTexts::of(language).say_quota,
        "scanner_unavailable" => |language| FileTexts::of(language).say_scanner,
        "material_busy" | "upload_busy" => |language| FileTexts::of(language).say_busy,
        "material_other_kind" => |language| FileTexts::of(language).say_other_kind,
        "material_outdated" => |language| FileTexts::of(language).say_outdated,
        "material_sent_back" => |language| FileTexts::of(language).say_sent_back,
        "disk_full" | "file_io" => |language| FileTexts::of(language).say_disk,
        _ => return None,
    })
}
