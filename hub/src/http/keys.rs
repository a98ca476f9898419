//! The keys that the hub signs with: for everybody, so that the next one is known before it signs.

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH},
    web,
};

use crate::{Hub, keys::PublishedKeys};

/// The certificates of the keys that sign packages and promises: next, current and retired, with their times.
#[utoipa::path(responses((status = 200, body = PublishedKeys), (status = 304, description = "as named by `If-None-Match`")))]
#[get("/v1/keys")]
pub async fn keys(hub: web::Data<Hub>, request: HttpRequest) -> HttpResponse {
    let published = hub.keys.published();
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let known = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == published.etag));
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((ETAG, published.etag))
        .insert_header((CACHE_CONTROL, "public, max-age=60"));
    if known {
        answer.finish()
    } else {
        answer.content_type("application/json").body(published.document)
    }
}
