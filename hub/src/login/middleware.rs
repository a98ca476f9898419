//! Puts the person behind a request into its extensions, before anything else looks at it.

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
    web,
};

use super::{Person, sessions};
use crate::{Hub, http::error::Problem};

/// Finds the session of a request.
pub async fn find_person(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Some(secret) = cookie(request.request(), sessions::COOKIE)
        && let Some(hub) = request.app_data::<web::Data<Hub>>().cloned()
    {
        match sessions::person(&*hub.store, &secret, hub.session_limits(), hub.clock.now()).await {
            Ok(Some(person)) => drop(request.extensions_mut().insert(person)),
            Ok(None) => {}
            Err(error) => {
                let answer = Problem::from(error).error_response();
                return Ok(request.into_response(answer));
            }
        }
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// The value of a cookie that is there once.
#[must_use]
pub fn cookie(request: &HttpRequest, name: &str) -> Option<String> {
    let mut values = request
        .headers()
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Who sends along the session's CSRF token, for calls of the interface made with a session.
pub const CSRF_HEADER: &str = "x-yihao-csrf";

impl FromRequest for Person {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    /// For the interface: a call with a session that changes something must carry [`CSRF_HEADER`].
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let person = request.extensions().get::<Person>().cloned();
        std::future::ready(match person {
            None => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "login_required",
                "this call needs a person who has logged in",
            )
            .at("session")),
            Some(person) if request.method().is_safe() || carries(request, &person.csrf) => {
                Ok(person)
            }
            Some(_) => Err(Problem::forbidden(
                "csrf_token",
                "a call with a session that changes something needs the session's token in the \
                 header X-Yihao-Csrf",
            )
            .at("session")),
        })
    }
}

fn carries(request: &HttpRequest, token: &str) -> bool {
    request.headers().get(CSRF_HEADER).is_some_and(|given| given.as_bytes() == token.as_bytes())
}
