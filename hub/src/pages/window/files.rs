//! Files handed in at the window for an applicant, and opened by who works on the case.

use actix_multipart::Multipart;
use actix_web::{HttpResponse, http::StatusCode, web};

use super::{
    cases::{self as pages, wrong},
    clerk, failure, say,
};
use crate::{
    http::{error::Problem, materials::content},
    pages::{
        materials::{received, say_of_code},
        visitor::{Failure, Visitor},
    },
    reuse::{Who, cases, corrections, materials::MaterialError},
};

/// `POST /window/cases/{id}/files`: the session's token, the requirement, then the file.
pub(super) async fn hand_in(
    visitor: Visitor,
    id: web::Path<String>,
    form: Multipart,
) -> HttpResponse {
    let done = taken(&visitor, &id, form).await;
    pages::after(&visitor, &id, done).await
}

/// `GET /window/cases/{id}/files/{material}`.
pub(super) async fn open(visitor: Visitor, path: web::Path<(String, String)>) -> HttpResponse {
    let (id, material) = path.into_inner();
    let opened = async {
        let who = Who::Clerk(clerk(&visitor)?);
        cases::case(&visitor.hub, &who, &id).await.map_err(wrong)?;
        content(&visitor.hub, &who, &material).await.map_err(|error| not_taken(error.into()))
    };
    opened.await.unwrap_or_else(|failure| visitor.failed(&failure))
}

/// `GET /window/corrections/{id}/files/{material}`: what a holder attached to a dispute, for who answers it.
pub(super) async fn open_of_correction(
    visitor: Visitor,
    path: web::Path<(String, String)>,
) -> HttpResponse {
    let (id, material) = path.into_inner();
    let opened = async {
        let who = Who::Clerk(clerk(&visitor)?);
        let correction = corrections::correction(&visitor.hub, &who, &id).await;
        let correction = correction.map_err(|error| failure(Problem::from(error)))?;
        if !correction.materials.contains(&material) {
            return Err(not_taken(MaterialError::UnknownMaterial.into()));
        }
        content(&visitor.hub, &who, &material).await.map_err(|error| not_taken(error.into()))
    };
    opened.await.unwrap_or_else(|failure| visitor.failed(&failure))
}

async fn taken(visitor: &Visitor, id: &str, form: Multipart) -> Result<(), Failure> {
    let clerk = clerk(visitor)?;
    let csrf = clerk.person.csrf.clone();
    let who = Who::Clerk(clerk);
    received::receive(&visitor.hub, &who, &csrf, id, form).await.map_err(not_taken)
}

/// Why a file was not taken, in the window's words or in those for files.
fn not_taken(problem: Problem) -> Failure {
    if problem.code == "csrf_token" {
        return Failure::forbidden("csrf_token", |t| t.say_csrf);
    }
    match say_of_code(&problem.code) {
        Some(say) => Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, &problem.code, say),
        None if problem.code == "unknown_material" => {
            Failure::of_room(StatusCode::NOT_FOUND, &problem.code, say!(say_unknown_material))
        }
        None => failure(problem),
    }
}
