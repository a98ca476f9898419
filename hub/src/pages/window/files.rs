//! Files handed in at the window for an applicant, and opened by who works on the case.

use actix_multipart::{Field, Multipart};
use actix_web::{HttpResponse, http::StatusCode, web};
use futures_util::{StreamExt, TryStreamExt};
use licence::Way;

use super::{
    cases::{self as pages, wrong},
    clerk, failure, say,
};
use crate::{
    http::{error::Problem, materials::content},
    pages::visitor::{Failure, Visitor},
    reuse::{
        Who, cases,
        checklist::{self, ItemState},
        materials::{MaterialError, NewMaterial},
        upload,
    },
};

/// Most bytes of a field that is no file.
const MOST_TEXT: usize = 256;

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
        content(&visitor.hub, &who, &material).await.map_err(not_taken)
    };
    opened.await.unwrap_or_else(|failure| visitor.failed(&failure))
}

async fn taken(visitor: &Visitor, id: &str, mut form: Multipart) -> Result<(), Failure> {
    let hub = &visitor.hub;
    let clerk = clerk(visitor)?;
    let broken = || {
        Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, "material_missing", say!(say_no_file))
    };
    let csrf = text(&mut form, "csrf").await.ok_or_else(broken)?;
    if csrf != clerk.person.csrf {
        return Err(Failure::forbidden("csrf_token", |t| t.say_csrf));
    }
    let requirement = text(&mut form, "requirement").await.ok_or_else(broken)?;
    let who = Who::Clerk(clerk);
    let held = cases::case(hub, &who, id).await.map_err(wrong)?;
    let case = &held.value;
    let matter = cases::matter_of(hub, case).map_err(wrong)?;
    let list =
        checklist::checklist(hub, &who, &case.holder, matter, Some(case)).await.map_err(wrong)?;
    let item = list.items.iter().find(|item| item.requirement.id == requirement);
    let item = item.ok_or_else(broken)?;
    // What the repository holds is not even read.
    if matches!(item.state, ItemState::Held { .. } | ItemState::Fact { .. }) {
        return Err(Failure::of_room(StatusCode::CONFLICT, "held_already", say!(say_held_already)));
    }
    let kind = item.requirement.ways.iter().find_map(|way| match way {
        Way::File { kind, .. } => Some(kind.clone()),
        Way::Licence { .. } | Way::Fact { .. } => None,
    });
    let kind = kind.ok_or_else(|| {
        Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, "not_a_file", say!(say_other_file))
    })?;
    let file = form.try_next().await.ok().flatten().filter(|field| field.name() == Some("file"));
    let file = file.ok_or_else(broken)?;
    let name = name_of(&file).ok_or_else(broken)?;
    let case = Some(case.id.clone());
    let what = NewMaterial { kind, name, size: 0, case, valid_until: None };
    let material = upload::take(hub, &who, &held.value.holder, &what, file).await;
    let material = material.map_err(not_taken)?;
    cases::provide(hub, &who, id, &requirement, &material.id).await.map(drop).map_err(wrong)
}

/// The next field, if it has this name and is short.
async fn text(form: &mut Multipart, name: &str) -> Option<String> {
    let mut field = form.try_next().await.ok()??;
    if field.name() != Some(name) {
        return None;
    }
    let mut bytes = Vec::new();
    while let Some(piece) = field.next().await {
        bytes.extend_from_slice(&piece.ok()?);
        if bytes.len() > MOST_TEXT {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The file's name without a path; `None` if no file was chosen.
fn name_of(field: &Field) -> Option<String> {
    let name = field.content_disposition()?.get_filename()?;
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Why a file was not taken, in the window's words.
fn not_taken(error: MaterialError) -> Failure {
    let said = failure(Problem::from(error));
    match said.code.as_str() {
        "unknown_material" | "unknown_case" => {
            Failure::of_room(StatusCode::NOT_FOUND, &said.code, say!(say_unknown_case))
        }
        "scanner_unavailable" => said,
        _ if said.status.is_client_error() => {
            Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, &said.code, say!(say_file))
        }
        _ => said,
    }
}
