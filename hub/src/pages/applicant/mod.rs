//! The personal pages under `/me`: what a holder has here, what is being done for them, and who looked.
//!
//! A page is for whoever has logged in as an applicant. Ids of somebody else are answered like ids that do not
//! exist. Nothing here needs a script; what changes something is a form, answered with the page to go on with.

mod cases;
mod consents;
mod corrections;
mod licences;
pub(super) mod me;
mod overview;
mod own;
mod texts;
mod uses;
pub(super) mod views;

use actix_web::web;

use super::{page, read};

/// Registers the pages.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(page("/me", read().to(overview::overview)))
        .service(page("/me/holder", web::post().to(me::choose)))
        .service(page("/me/licences", read().to(licences::list)))
        .service(page("/me/licences/{identifier}", read().to(licences::one)))
        .service(page("/me/licences/{identifier}/files/{sha256}", read().to(licences::file)))
        .service(page("/me/cases", read().to(cases::list)).route(web::post().to(cases::open)))
        .service(page("/me/cases/{id}", read().to(cases::one)))
        .service(page("/me/cases/{id}/letters/{letter}", read().to(cases::letter)))
        .service(page("/me/cases/{id}/form", web::post().to(cases::fill_in)))
        .service(page("/me/cases/{id}/promise", web::post().to(cases::promise)))
        .service(page("/me/cases/{id}/submit", web::post().to(cases::submit)))
        .service(page("/me/cases/{id}/withdraw", web::post().to(cases::withdraw)))
        .service(page("/me/uses", read().to(uses::list)))
        .service(page("/me/consents", read().to(consents::list)))
        .service(page("/me/consents/{id}", read().to(consents::one)))
        .service(page("/me/consents/{id}/answer", web::post().to(consents::answer)))
        .service(page("/me/consents/{id}/withdraw", web::post().to(consents::withdraw)))
        .service(
            page("/me/corrections", read().to(corrections::list))
                .route(web::post().to(corrections::dispute)),
        )
        .service(page("/me/corrections/{id}", read().to(corrections::one)));
}
