//! Who looks at a page, in which language, and what they are told when something fails.

use std::collections::BTreeSet;

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse, dev,
    error::ErrorInternalServerError,
    http::{StatusCode, header},
    web,
};
use askama::Template;
use licence::{CreditCode, Sha256Digest};

use super::{
    texts::{Language, Texts, fill},
    views::{self, Frame, Section},
};
use crate::{Hub, http::error::Problem, login::Person, policy::Act, tls::Caller};

/// The digest recorded for a use by a page of demo mode: no certificate was shown.
const NO_CERTIFICATE: Sha256Digest = Sha256Digest::from_bytes([0; 32]);

/// The reader of a page.
pub(crate) struct Visitor {
    /// The hub.
    pub(crate) hub: web::Data<Hub>,
    /// The language to answer in.
    pub(crate) language: Language,
    /// Who has logged in.
    pub(crate) person: Option<Person>,
    /// The department the reader acts for; `None` if the policies let nobody search.
    pub(crate) clerk: Option<Caller>,
}

impl FromRequest for Visitor {
    type Error = actix_web::Error;
    type Future = std::future::Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(Self::of(request))
    }
}

impl Visitor {
    /// The visitor behind a request.
    ///
    /// # Errors
    /// If the application was put together without a hub.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, actix_web::Error> {
        let hub = request
            .app_data::<web::Data<Hub>>()
            .cloned()
            .ok_or_else(|| ErrorInternalServerError("the pages were given no hub"))?;
        let language = chosen_language(request)
            .or_else(|| remembered_language(request))
            .unwrap_or(Language::Chinese);
        let clerk = acting_department(&hub)
            .map(|department| Caller { department, certificate: NO_CERTIFICATE });
        let person = request.extensions().get::<Person>().cloned();
        Ok(Self { hub, language, person, clerk })
    }

    /// The texts in the reader's language.
    pub(crate) fn t(&self) -> &'static Texts {
        self.language.texts()
    }

    /// The name of the department the reader acts for.
    pub(crate) fn department_name(&self) -> String {
        self.clerk
            .as_ref()
            .map(|clerk| self.hub.department_name(&clerk.department).to_owned())
            .unwrap_or_default()
    }

    /// What surrounds a page.
    pub(crate) fn frame(&self, section: Section, title: impl Into<String>) -> Frame {
        let mut frame = Frame::new(self.language, section, title);
        let (before, after) = self.t().acting_as.split_once("{name}").unwrap_or_default();
        frame.csrf = self.person.as_ref().map(|person| person.csrf.clone()).unwrap_or_default();
        frame.acting = self.clerk.as_ref().map(|_| (before, self.department_name(), after));
        frame
    }

    /// The department, if it may do this.
    pub(crate) fn may(&self, act: Act) -> Option<&Caller> {
        self.clerk.as_ref().filter(|clerk| self.hub.policies.permit(&clerk.department, act))
    }

    /// Answers with a page, or says why not.
    pub(crate) fn show<T: Template>(&self, page: Result<(StatusCode, T), Failure>) -> HttpResponse {
        match page {
            Ok((status, page)) => html(status, &page),
            Err(failure) => self.failed(&failure),
        }
    }

    /// Says what went wrong.
    pub(crate) fn failed(&self, failure: &Failure) -> HttpResponse {
        let t = self.t();
        let page = views::Error {
            page: self.frame(Section::None, failure.title(t)),
            says: failure.say.in_language(self.language),
            kept: failure.nothing_changed.then_some(t.error_kept),
            code: fill(t.error_code_is, &[("code", &failure.code)]),
            status: failure.status.as_u16(),
        };
        html(failure.status, &page)
    }
}

fn html(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(text),
        Err(error) => {
            tracing::error!(error = %error, "a page could not be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// The language asked for in the address: `?lang=en`.
pub(crate) fn chosen_language(request: &HttpRequest) -> Option<Language> {
    request
        .query_string()
        .split('&')
        .filter_map(|member| member.strip_prefix("lang="))
        .find_map(Language::from_word)
}

fn remembered_language(request: &HttpRequest) -> Option<Language> {
    request
        .headers()
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix("lang="))
        .find_map(Language::from_word)
}

/// The department a page's reader acts for while there is no login: of those the hub knows, one
/// that operates the connectors, and of these the one that finds the most licence types; the first
/// by credit code of equals. (The first that may search would be one that finds little and
/// operates nothing, so half of the pages would show nothing.)
fn acting_department(hub: &Hub) -> Option<CreditCode> {
    let known: BTreeSet<CreditCode> = hub
        .departments
        .keys()
        .copied()
        .chain(hub.matters.all().map(|matter| matter.department))
        .collect();
    let mut best: Option<((bool, usize), CreditCode)> = None;
    for department in known {
        let finds = hub
            .catalogue
            .entries()
            .filter(|entry| hub.policies.permit(&department, Act::Search(entry.code)))
            .count();
        let rank = (hub.policies.permit(&department, Act::Operate), finds);
        if finds > 0 && best.is_none_or(|(best, _)| rank > best) {
            best = Some((rank, department));
        }
    }
    best.map(|(_, department)| department)
}

/// A sentence for the reader, from the texts of all pages or of one room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// From the texts of all pages.
    Common(fn(&'static Texts) -> &'static str),
    /// From the texts of a room.
    Room(fn(Language) -> &'static str),
}

impl Say {
    /// The sentence.
    pub(crate) fn in_language(self, language: Language) -> &'static str {
        match self {
            Self::Common(say) => say(language.texts()),
            Self::Room(say) => say(language),
        }
    }
}

/// Why a page is not shown, in words of the reader's language.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// Stable code, as on the interface.
    pub(crate) code: String,
    /// What happened and what to do.
    pub(crate) say: Say,
    /// It is certain that nothing was changed.
    pub(crate) nothing_changed: bool,
}

impl Failure {
    fn new(status: StatusCode, code: &str, say: fn(&'static Texts) -> &'static str) -> Self {
        Self { status, code: code.to_owned(), say: Say::Common(say), nothing_changed: false }
    }

    /// In the words of a room of pages. Nothing was changed.
    pub(crate) fn of_room(
        status: StatusCode,
        code: &str,
        say: fn(Language) -> &'static str,
    ) -> Self {
        Self { status, code: code.to_owned(), say: Say::Room(say), nothing_changed: true }
    }

    /// 400.
    pub(crate) fn bad_request(code: &str, say: fn(&'static Texts) -> &'static str) -> Self {
        Self { nothing_changed: true, ..Self::new(StatusCode::BAD_REQUEST, code, say) }
    }

    /// 403.
    pub(crate) fn forbidden(code: &str, say: fn(&'static Texts) -> &'static str) -> Self {
        Self { nothing_changed: true, ..Self::new(StatusCode::FORBIDDEN, code, say) }
    }

    /// 404.
    pub(crate) fn not_found(code: &str, say: fn(&'static Texts) -> &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, say)
    }

    /// 405.
    pub(crate) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", |t| t.say_method)
    }

    /// 503.
    pub(crate) fn unavailable(code: &str, say: fn(&'static Texts) -> &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, say)
    }

    fn title(&self, t: &'static Texts) -> &'static str {
        match self.status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => t.title_bad_request,
            StatusCode::FORBIDDEN => t.title_forbidden,
            StatusCode::NOT_FOUND => t.title_not_found,
            StatusCode::METHOD_NOT_ALLOWED => t.title_method,
            StatusCode::SERVICE_UNAVAILABLE => t.title_unavailable,
            _ => t.error_heading,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let say: fn(&'static Texts) -> &'static str = match (problem.code.as_str(), status) {
            ("unknown_licence", _) => |t| t.say_unknown_licence,
            ("unknown_connector", _) => |t| t.say_unknown_connector,
            ("filter", _) => |t| t.say_filter,
            ("query_too_long", _) => |t| t.say_query_too_long,
            ("not_permitted", _) => |t| t.say_not_permitted,
            ("search_unavailable", _) => |t| t.say_search_unavailable,
            _ if problem.link == Some("identifier") => |t| t.say_identifier,
            (_, StatusCode::FORBIDDEN) => |t| t.say_forbidden,
            (_, StatusCode::NOT_FOUND) => |t| t.say_not_found,
            (_, StatusCode::SERVICE_UNAVAILABLE) => |t| t.say_unavailable,
            _ => |t| t.say_bad_request,
        };
        Self { nothing_changed: status.is_client_error(), ..Self::new(status, &problem.code, say) }
    }
}

impl From<indexes::StoreError> for Failure {
    fn from(error: indexes::StoreError) -> Self {
        Problem::from(error).into()
    }
}
