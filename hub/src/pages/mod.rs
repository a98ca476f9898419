//! Pages for applicants, clerks and operators; Chinese first, English second.
//!
//! They stand beside the interface on the HTTPS listener once people can log in (`[login]` in the
//! settings), and in demo mode on the loopback over plain HTTP. Who may see what hangs on the person
//! (`visitor`) and is decided once more in the use cases. What every page shows stands in `views` as plain text, every text in
//! `texts`, how it looks in `hub/static/pages.css` (`docs/design-system.md`). Every page can be
//! read and worked without JavaScript. What a clerk searches for travels by POST, so that no name
//! stands in an address; what is shown of a licence is a use, recorded before it is shown.

mod applicant;
pub(crate) mod assets;
mod connectors;
mod guard;
mod home;
mod licence;
mod login;
mod materials;
mod matters;
mod posted;
mod search;
pub(crate) mod texts;
mod verification;
mod views;
pub(crate) mod visitor;
mod window;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse, Resource, Route, Scope, guard as when, http::header,
    middleware::from_fn, web,
};

use crate::{http::materials as materials_calls, login::middleware::find_person};
use visitor::{Failure, Visitor};

/// Registers the pages. The application data must hold a [`crate::Hub`].
pub fn configure(config: &mut web::ServiceConfig) {
    // The interface is not on this listener; what `static/upload.js` calls of it is.
    let pages = pages()
        .service(materials_calls::begin_upload)
        .service(materials_calls::show_upload)
        .service(materials_calls::append_to_upload)
        .service(materials_calls::finish_upload);
    config.service(pages.wrap(from_fn(guard::guard)).wrap(from_fn(find_person)));
}

/// Registers the pages where the interface is registered too and the session was looked for.
pub fn configure_beside_interface(config: &mut web::ServiceConfig) {
    let elsewhere = when::fn_guard(|request| !is_interface(request.head().uri.path()));
    config.service(pages().guard(elsewhere).wrap(from_fn(guard::guard)));
}

/// Addresses that are answered in JSON, also those that are not there.
fn is_interface(path: &str) -> bool {
    path.starts_with("/v1/") || ["/v1", "/healthz", "/readyz", "/metrics"].contains(&path)
}

fn pages() -> Scope {
    web::scope("")
        .service(page("/", read().to(home::home)))
        .service(page("/licences", read().to(search::form)).route(web::post().to(search::results)))
        .service(
            page("/licences/{identifier}", read().to(licence::look))
                .route(web::post().to(licence::open)),
        )
        .service(page("/connectors", read().to(connectors::list)))
        .service(page("/connectors/{name}", read().to(connectors::one)))
        .service(page("/connectors/{name}/set-aside", read().to(connectors::set_aside)))
        .service(
            page("/connectors/{name}/code-map", read().to(connectors::code_map))
                .route(web::post().to(connectors::replace_code_map)),
        )
        .service(page(
            "/connectors/{name}/reconciliations/{report}",
            read().to(connectors::reconciliation),
        ))
        .service(page("/connectors/{name}/pause", web::post().to(connectors::pause)))
        .service(page("/connectors/{name}/resume", web::post().to(connectors::resume)))
        .service(page("/connectors/{name}/replay", web::post().to(connectors::replay)))
        .service(page("/connectors/{name}/preview", web::post().to(connectors::preview)))
        .service(page("/connectors/{name}/retry", web::post().to(connectors::retry)))
        .service(page("/connectors/{name}/send-again", web::post().to(connectors::send_again)))
        .service(page("/connectors/{name}/reconcile", web::post().to(connectors::reconcile)))
        .configure(login::configure)
        .configure(matters::configure)
        .configure(window::configure)
        .configure(applicant::configure)
        .configure(materials::configure)
        .service(page("/static/{file}", read().to(asset)))
        .default_service(web::to(no_such_page))
}

/// The patterns of all pages that were registered in this process: each is a row of the table of rights, whose test
/// fails for one that is missing.
pub fn patterns() -> Vec<String> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

static REGISTERED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A page, for reading or for sending a form to.
fn page(path: &str, route: Route) -> Resource {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    web::resource(path).route(route).default_service(web::to(wrong_method))
}

/// A route for reading.
fn read() -> Route {
    web::route().guard(when::Any(when::Get()).or(when::Head()))
}

async fn no_such_page(visitor: Visitor) -> HttpResponse {
    visitor.failed(&Failure::not_found("no_such_page", |t| t.say_not_found))
}

async fn wrong_method(visitor: Visitor) -> HttpResponse {
    visitor.failed(&Failure::wrong_method())
}

/// An embedded file. Its name changes with its content, so it may be kept for a year.
async fn asset(request: HttpRequest, visitor: Visitor) -> HttpResponse {
    match assets::ASSETS.at(request.path()) {
        Some(asset) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, asset.media_type))
            .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(asset.content),
        None => no_such_page(visitor).await,
    }
}
