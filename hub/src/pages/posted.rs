//! A form that a page sent: read whole, bounded, and from this session.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    dev::{Payload, UrlEncoded},
    error::InternalError,
};

use super::visitor::{Failure, Visitor};

/// Most bytes of a form. Files come another way.
const MOST_BYTES: usize = 256 << 10;

/// The members of a form, in their order. The session's token was checked and is left out.
pub(crate) struct Posted(Vec<(String, String)>);

impl Posted {
    /// The member with this name, without blanks around it; empty if it is missing.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// All members with this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// Members whose names start with `prefix`: the rest of the name, and the value.
    pub(crate) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.trim())))
    }
}

impl FromRequest for Posted {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    /// Refuses, with a page, what is too large, no form, or without the token of the visitor's session.
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let read = UrlEncoded::<Vec<(String, String)>>::new(&request, payload).limit(MOST_BYTES);
        Box::pin(async move {
            let visitor = Visitor::of(&request)?;
            let refuse = |failure: &Failure| -> actix_web::Error {
                let page = visitor.failed(failure);
                InternalError::from_response("form refused", page).into()
            };
            let Ok(form) = read.await else {
                return Err(refuse(&Failure::bad_request("form", |t| t.say_form)));
            };
            let mut members = form;
            let sent = members.iter().position(|(key, _)| key == "csrf");
            let sent = sent.map(|at| members.remove(at).1);
            let wanted = visitor.person.as_ref().map(|person| &person.csrf);
            if wanted.is_some() && sent.as_ref() != wanted {
                return Err(refuse(&Failure::forbidden("csrf_token", |t| t.say_csrf)));
            }
            Ok(Self(members))
        })
    }
}
