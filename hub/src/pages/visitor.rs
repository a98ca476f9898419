//! Who looks at a page, in which language, and what they are told when something fails.

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
    views::{self, Frame, Nav, Section},
};
use crate::{
    Hub,
    http::error::Problem,
    login::{Person, Role},
    policy::Act,
    reuse::Clerk,
    tls::Caller,
};

/// The digest recorded for a use by a person: no certificate was shown.
pub(crate) const NO_CERTIFICATE: Sha256Digest = Sha256Digest::from_bytes([0; 32]);

/// The reader of a page.
pub(crate) struct Visitor {
    /// The hub.
    pub(crate) hub: web::Data<Hub>,
    /// The language to answer in.
    pub(crate) language: Language,
    /// Who has logged in.
    pub(crate) person: Option<Person>,
    /// The clerk that the person is, if any.
    pub(crate) clerk: Option<Clerk>,
    /// The path of the page, for coming back to it.
    here: String,
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
        let person = request.extensions().get::<Person>().cloned();
        let clerk = person.as_ref().and_then(|person| Clerk::of(&hub, person));
        let here = if request.method().is_safe() { request.path() } else { "/" };
        Ok(Self { language, person, clerk, here: here.to_owned(), hub })
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
        frame.demo = self.hub.settings().demo;
        frame.acting = self.clerk.as_ref().map(|_| (before, self.department_name(), after));
        match &self.person {
            Some(person) => {
                frame.csrf.clone_from(&person.csrf);
                frame.person = Some(person.account.name.clone());
                frame.nav = Nav {
                    mine: person.is(Role::Applicant),
                    window: self.clerk.is_some(),
                    operate: person.is(Role::Operator),
                };
            }
            None if self.hub.settings().login.is_some() => {
                let next =
                    openidconnect::url::form_urlencoded::byte_serialize(self.here.as_bytes());
                frame.login = Some(format!("/login?next={}", next.collect::<String>()));
            }
            None => {}
        }
        frame
    }

    /// The person, for pages that need one.
    ///
    /// # Errors
    /// 401, with the way to the login.
    pub(crate) fn logged_in(&self) -> Result<&Person, Failure> {
        self.person.as_ref().ok_or_else(Failure::login_required)
    }

    /// The clerk, for pages that need one.
    ///
    /// # Errors
    /// 401 for those who have not logged in, 403 for those who are no clerk.
    pub(crate) fn as_clerk(&self) -> Result<&Clerk, Failure> {
        self.logged_in()?;
        self.clerk
            .as_ref()
            .ok_or_else(|| Failure::forbidden("clerk_required", |t| t.say_clerks_only))
    }

    /// The clerk's department, as a caller of the interface would be.
    ///
    /// # Errors
    /// As [`Self::as_clerk`].
    pub(crate) fn caller(&self) -> Result<Caller, Failure> {
        let department = self.as_clerk()?.department;
        Ok(Caller { department, certificate: NO_CERTIFICATE })
    }

    /// Whether the person may do this: a clerk for their department, an operator with the connectors.
    pub(crate) fn may(&self, act: Act) -> bool {
        let department = match act {
            Act::Operate => self.operates(),
            _ => self.clerk.as_ref().map(|clerk| clerk.department),
        };
        department.is_some_and(|department| self.hub.policies.permit(&department, act))
    }

    /// Who acts, if it is an operator: the department, and the person there.
    pub(crate) fn operating(&self) -> Option<(CreditCode, indexes::Operator)> {
        let account = &self.person.as_ref()?.account;
        let subject = &account.subject;
        let name = subject.split_once(' ').map_or(subject.as_str(), |(_, name)| name);
        let organisation = account.node.clone()?;
        let operator = indexes::Operator { account: name.to_owned(), organisation };
        Some((self.operates()?, operator))
    }

    fn operates(&self) -> Option<CreditCode> {
        let person = self.person.as_ref().filter(|person| person.is(Role::Operator))?;
        self.hub.organisations.department_of(person.account.node.as_deref()?)
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
        let page = self.frame(Section::None, failure.title(t));
        let to_login = (failure.status == StatusCode::UNAUTHORIZED).then(|| page.login.clone());
        let page = views::Error {
            page,
            to_login: to_login.flatten(),
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

/// The language of the cookie.
pub(crate) fn remembered_language(request: &HttpRequest) -> Option<Language> {
    request
        .headers()
        .get_all(header::COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix("lang="))
        .find_map(Language::from_word)
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

    /// 401: nobody has logged in, or the session has ended.
    pub(crate) fn login_required() -> Self {
        let say: fn(&'static Texts) -> &'static str = |t| t.say_login;
        Self { nothing_changed: true, ..Self::new(StatusCode::UNAUTHORIZED, "login_required", say) }
    }

    /// 403.
    pub(crate) fn forbidden(code: &str, say: fn(&'static Texts) -> &'static str) -> Self {
        Self { nothing_changed: true, ..Self::new(StatusCode::FORBIDDEN, code, say) }
    }

    /// 404.
    pub(crate) fn not_found(code: &str, say: fn(&'static Texts) -> &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, say)
    }

    /// 409.
    pub(crate) fn conflict(code: &str, say: fn(&'static Texts) -> &'static str) -> Self {
        Self { nothing_changed: true, ..Self::new(StatusCode::CONFLICT, code, say) }
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
            StatusCode::UNAUTHORIZED => t.title_login,
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
