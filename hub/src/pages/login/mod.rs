//! Logging in and out, and the sessions of an account.
//!
//! A session is new at every login and the one before it ends, so nobody can be made to work in a session that somebody
//! else knows. The browser is led to paths of these pages only.

mod texts;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use askama::Template;
use serde::Deserialize;

use self::texts::LoginTexts;
use super::{
    page,
    posted::Posted,
    read,
    texts::fill,
    verification::moment,
    views::{Frame, Section},
    visitor::{Failure, Visitor},
};
use crate::{
    Hub,
    http::error::Problem,
    login::{
        Account, Role, flow,
        middleware::cookie,
        oidc::{Answered, LoginError, Provider},
        sessions,
    },
};

/// Registers the pages.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(page("/login", read().to(begin)))
        .service(page("/login/callback", read().to(finish)))
        .service(page("/logout", web::post().to(log_out)))
        .service(page("/me/sessions", read().to(list)))
        .service(page("/me/sessions/end", web::post().to(end_all)))
        .service(page("/me/sessions/{session}/end", web::post().to(end)));
}

macro_rules! say {
    ($key:ident) => {
        |language| LoginTexts::of(language).$key
    };
}

/// How long a browser remembers that somebody logged out.
const A_MONTH: &str = "; Max-Age=2592000";
/// The attribute that makes a browser forget a cookie.
const GONE: &str = "; Max-Age=0";

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
}

/// `GET /login?next=`: to the provider.
async fn begin(visitor: Visitor, request: HttpRequest) -> HttpResponse {
    let wanted = web::Query::<Wanted>::from_query(request.query_string());
    let next = wanted.map(|wanted| wanted.into_inner().next).unwrap_or_default();
    let next = flow::local_path(&next).unwrap_or_default();
    let provider = match provider(&visitor) {
        Ok(provider) => provider,
        Err(failure) => return visitor.failed(&failure),
    };
    if let Some(own) = elsewhere(&request, provider.own_address()) {
        return see_other(&format!("{own}/login?next={}", encoded(next)));
    }
    // Whoever sits down at a shared computer is not let in by what the provider remembers of the one before: somebody
    // logged out here, or a session of this browser is over.
    let anew = visitor.person.is_none()
        && (cookie(&request, flow::LEFT).is_some() || cookie(&request, sessions::COOKIE).is_some());
    match provider.begin(next, anew, visitor.hub.clock.now()).await {
        Ok((address, sealed)) => {
            let mut answer = see_other(&address);
            let age = format!("; Max-Age={}", flow::PATIENCE.as_secs());
            set(&mut answer, &visitor.hub, flow::COOKIE, &sealed, "/login", &age);
            answer
        }
        Err(error) => visitor.failed(&failure(error)),
    }
}

/// `GET /login/callback`: back from the provider.
async fn finish(visitor: Visitor, request: HttpRequest) -> HttpResponse {
    let mut answer = match account(&visitor, &request).await {
        Ok((account, next)) => match enter(&visitor, account, &next).await {
            Ok(answer) => answer,
            Err(failure) => visitor.failed(&failure),
        },
        Err(failure) => visitor.failed(&failure),
    };
    // A login that has come to an end, good or bad, is not gone on with.
    set(&mut answer, &visitor.hub, flow::COOKIE, "", "/login", GONE);
    answer
}

async fn account(visitor: &Visitor, request: &HttpRequest) -> Result<(Account, String), Failure> {
    let provider = provider(visitor)?;
    let answered = web::Query::<Answered>::from_query(request.query_string())
        .map_err(|_| failure(LoginError::State))?;
    let sealed = cookie(request, flow::COOKIE);
    let hub = &visitor.hub;
    provider
        .finish(sealed.as_deref(), &answered, &hub.organisations, hub.clock.now())
        .await
        .map_err(failure)
}

/// Begins a session, ends the one before it, and leads on.
async fn enter(visitor: &Visitor, account: Account, next: &str) -> Result<HttpResponse, Failure> {
    let hub = &visitor.hub;
    if let Some(before) = &visitor.person {
        sessions::end(&*hub.store, &before.session).await?;
    }
    let next = match flow::local_path(next) {
        Some(path) => path,
        None => landing(&account),
    };
    let mut answer = see_other(next);
    let (secret, _) = sessions::begin(&*hub.store, account, hub.clock.now()).await?;
    set(&mut answer, hub, sessions::COOKIE, &secret, "/", "");
    set(&mut answer, hub, flow::LEFT, "", "/login", GONE);
    Ok(answer)
}

/// Where the work of an account begins.
fn landing(account: &Account) -> &'static str {
    let is = |role| account.roles.contains(&role);
    if is(Role::Clerk) {
        "/window"
    } else if is(Role::Applicant) {
        "/me"
    } else if is(Role::Operator) {
        "/connectors"
    } else {
        "/"
    }
}

/// `POST /logout`.
async fn log_out(visitor: Visitor, _: Posted) -> HttpResponse {
    if let Some(person) = &visitor.person
        && let Err(error) = sessions::end(&*visitor.hub.store, &person.session).await
    {
        return visitor.failed(&error.into());
    }
    left(&visitor)
}

fn left(visitor: &Visitor) -> HttpResponse {
    let mut answer = see_other("/");
    set(&mut answer, &visitor.hub, sessions::COOKIE, "", "/", GONE);
    set(&mut answer, &visitor.hub, flow::LEFT, "1", "/login", A_MONTH);
    answer
}

struct SessionRow {
    key: String,
    since: String,
    seen: String,
    current: bool,
    label: String,
}

#[derive(Template)]
#[template(path = "login_sessions.html")]
struct Sessions {
    page: Frame,
    l: &'static LoginTexts,
    rows: Vec<SessionRow>,
    limits: String,
}

/// `GET /me/sessions`.
async fn list(visitor: Visitor) -> HttpResponse {
    visitor.show(listed(&visitor).await)
}

async fn listed(visitor: &Visitor) -> Result<(StatusCode, Sessions), Failure> {
    let person = visitor.logged_in()?;
    let hub = &visitor.hub;
    let l = LoginTexts::of(visitor.language);
    let limits = hub.session_limits();
    let all = sessions::of(&*hub.store, &person.account, limits, hub.clock.now()).await?;
    let rows = all
        .into_iter()
        .map(|session| SessionRow {
            since: moment(session.since),
            seen: moment(session.seen),
            current: session.key == person.session,
            label: fill(l.end_of, &[("at", &moment(session.since))]),
            key: session.key,
        })
        .collect();
    let (idle, hours) = (limits.idle.as_mins(), limits.absolute.as_hours());
    let limits = fill(l.limits, &[("idle", &idle), ("hours", &hours)]);
    let page = visitor.frame(Section::None, l.sessions);
    Ok((StatusCode::OK, Sessions { page, l, rows, limits }))
}

/// `POST /me/sessions/{session}/end`.
async fn end(visitor: Visitor, session: web::Path<String>, _: Posted) -> HttpResponse {
    match ended(&visitor, &session).await {
        Ok(true) => left(&visitor),
        Ok(false) => see_other("/me/sessions"),
        Err(failure) => visitor.failed(&failure),
    }
}

/// Ends a session of the same account; whether it was this one.
async fn ended(visitor: &Visitor, session: &str) -> Result<bool, Failure> {
    let person = visitor.logged_in()?;
    let hub = &visitor.hub;
    let (limits, now) = (hub.session_limits(), hub.clock.now());
    let own = sessions::of(&*hub.store, &person.account, limits, now).await?;
    if !own.iter().any(|one| one.key == session) {
        let gone = StatusCode::NOT_FOUND;
        return Err(Failure::of_room(gone, "unknown_session", say!(say_no_session)));
    }
    sessions::end(&*hub.store, session).await?;
    Ok(session == person.session)
}

/// `POST /me/sessions/end`: all of them.
async fn end_all(visitor: Visitor, _: Posted) -> HttpResponse {
    match all_ended(&visitor).await {
        Ok(()) => left(&visitor),
        Err(failure) => visitor.failed(&failure),
    }
}

async fn all_ended(visitor: &Visitor) -> Result<(), Failure> {
    let person = visitor.logged_in()?;
    let hub = &visitor.hub;
    let (limits, now) = (hub.session_limits(), hub.clock.now());
    for session in sessions::of(&*hub.store, &person.account, limits, now).await? {
        sessions::end(&*hub.store, &session.key).await?;
    }
    Ok(())
}

fn provider(visitor: &Visitor) -> Result<&Provider, Failure> {
    visitor.hub.login.as_ref().ok_or_else(|| {
        Failure::of_room(StatusCode::NOT_FOUND, "login_not_set_up", say!(say_not_set_up))
    })
}

/// The hub's own address, if the browser has reached it under another name: cookies would not come back. Only demo mode's
/// plain listener has more than one name.
fn elsewhere<'a>(request: &HttpRequest, own: &'a str) -> Option<&'a str> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok())?;
    let here = own.split_once("://").is_some_and(|(_, name)| name.eq_ignore_ascii_case(host));
    (!here).then_some(own)
}

fn failure(error: LoginError) -> Failure {
    tracing::info!(error.code = error.code(), "a login did not come to its end");
    let code = error.code();
    let status = Problem::from(error).status;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let words: fn(super::texts::Language) -> &'static str = match code {
        "login_provider_unavailable" | "login_random" => say!(say_provider),
        "login_state" | "login_code" => say!(say_state),
        "login_denied" => say!(say_denied),
        "login_claim" => say!(say_claim),
        "login_no_role" => say!(say_no_role),
        "login_no_place" => say!(say_no_place),
        _ => say!(say_token),
    };
    Failure::of_room(status, code, words)
}

fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, address)).finish()
}

/// Sets a cookie that scripts do not see, that other sites do not send along with what they post, and that travels
/// encrypted wherever the hub is reached so.
fn set(answer: &mut HttpResponse, hub: &Hub, name: &str, value: &str, path: &str, age: &str) {
    let https = |login: &Provider| login.own_address().starts_with("https://");
    let secure = if hub.login.as_ref().is_some_and(https) { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}{age}");
    if let Ok(value) = header::HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn encoded(text: &str) -> String {
    openidconnect::url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
