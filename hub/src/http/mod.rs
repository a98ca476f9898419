//! HTTP interface, version 1. One list of routes makes both the server and the OpenAPI document.

pub mod batches;
pub mod body;
pub mod cases;
pub mod catalogue;
pub mod changes;
pub mod connectors;
pub mod corrections;
pub mod error;
pub mod exchange;
pub mod grants;
pub mod health;
pub mod holders;
pub mod idempotency;
pub mod keys;
pub mod licences;
pub mod materials;
pub mod pulls;
pub mod search;
pub mod server;
pub mod snapshot;
pub mod verify;
pub mod who;

use actix_web::{HttpResponse, Responder, get, web};
use error::Problem;
use utoipa::OpenApi;

/// Registers every route and describes it: what is not in this list is neither served nor
/// described.
macro_rules! routes {
    ($($module:ident :: $handler:ident),* $(,)?) => {
        /// Registers the version 1 interface.
        pub fn configure(config: &mut web::ServiceConfig) {
            config
                .app_data(web::QueryConfig::default().error_handler(|_, _| malformed_query().into()))
                $(.service($module::$handler))*
                .service(show_openapi)
                .default_service(web::to(no_such_route));
        }

        /// The OpenAPI document.
        #[derive(OpenApi)]
        #[openapi(
            info(
                title = "Yihao",
                description = "Electronic licence repository: signed licences in, verified \
                    licences out for a stated purpose. Errors are application/problem+json with \
                    a stable `code`. Departments authenticate with client certificates.",
            ),
            paths($($module::$handler),*),
            components(schemas(Problem))
        )]
        pub struct Description;
    };
}

routes![
    licences::take_in,
    batches::take_in_batch,
    licences::change_status,
    licences::public_face,
    pulls::pull_licences,
    grants::ask,
    grants::list,
    grants::show,
    grants::withdraw,
    grants::decide,
    grants::open_content,
    grants::open_file,
    holders::licences,
    holders::own_file,
    holders::uses,
    holders::consents,
    holders::corrections,
    corrections::dispute,
    corrections::list,
    corrections::show,
    corrections::answer,
    search::search,
    search::search_by_post,
    changes::changes,
    snapshot::snapshot,
    exchange::take_events,
    exchange::tallies,
    exchange::holdings,
    catalogue::catalogue,
    catalogue::matters,
    cases::show_checklist,
    cases::open_case,
    cases::list_cases,
    cases::show_case,
    cases::fill_form,
    cases::attach,
    cases::promise_to_follow,
    cases::submit_case,
    cases::withdraw_case,
    cases::take_step,
    cases::show_package,
    verify::verify,
    connectors::list,
    connectors::pause,
    connectors::resume,
    connectors::replay,
    connectors::reconcile,
    connectors::set_aside,
    connectors::retry,
    connectors::preview,
    connectors::code_map,
    connectors::replace_code_map,
    connectors::reconciliations,
    connectors::reconciliation,
    connectors::actions,
    connectors::list_sources,
    connectors::pause_source,
    connectors::resume_source,
    connectors::source_actions,
    materials::begin_upload,
    materials::show_upload,
    materials::append_to_upload,
    materials::finish_upload,
    materials::abandon_upload,
    materials::list_materials,
    materials::show_material,
    materials::open_material,
    keys::keys,
    health::healthz,
    health::readyz,
    health::show_metrics,
];

/// The OpenAPI 3.1 document of this interface.
#[get("/v1/openapi.json")]
async fn show_openapi() -> impl Responder {
    HttpResponse::Ok().json(Description::openapi())
}

fn malformed_query() -> Problem {
    Problem::bad_request("query", "a query parameter is unknown or malformed; see /v1/openapi.json")
}

async fn no_such_route() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found(
        "no_such_route",
        "there is no such address, or it does not take this method: see /v1/openapi.json",
    )
    .at("request"))
}
