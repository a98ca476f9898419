//! The catalogue of licence types, and the matters.

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Hub, http::error::Problem};

#[derive(Serialize, ToSchema)]
struct CatalogueAnswer<'a> {
    /// Entries with code, names, class, authority, holder kinds, sharing class, validity rule and
    /// the JSON Schema of the face fields.
    #[schema(value_type = Vec<Object>)]
    types: Vec<&'a licence::CatalogueEntry>,
}

#[derive(Serialize, ToSchema)]
struct MattersAnswer<'a> {
    /// Matters with code, name, department, the licence types they need, and legal basis.
    #[schema(value_type = Vec<Object>)]
    matters: Vec<&'a licence::Matter>,
}

/// The licence types with their face fields.
#[utoipa::path(responses((status = 200, body = CatalogueAnswer)))]
#[get("/v1/catalogue")]
pub async fn catalogue(hub: web::Data<Hub>) -> Result<HttpResponse, Problem> {
    let types = hub.catalogue.entries().collect();
    Ok(HttpResponse::Ok().json(CatalogueAnswer { types }))
}

/// The matters and the licence types they need.
#[utoipa::path(responses((status = 200, body = MattersAnswer)))]
#[get("/v1/matters")]
pub async fn matters(hub: web::Data<Hub>) -> Result<HttpResponse, Problem> {
    let matters = hub.matters.all().collect();
    Ok(HttpResponse::Ok().json(MattersAnswer { matters }))
}
