//! The demo's own OpenID provider: a real one, with a page that lists its accounts to click instead of asking for a
//! password. For demo mode on the loopback only.
//!
//! Discovery, authorisation with PKCE (S256 only), token, keys and userinfo; ID tokens are signed with Ed25519 under a key
//! that lives as long as the process. Accounts come from a file: `{"format":"yihao-accounts-1","accounts":[{"subject",
//! "name","about"?,"holder_kind"?,"holder_number"?,"represents"?,"roles","organisation"?}]}`.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    http::{StatusCode, header},
    web,
};
use askama::Template;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use openidconnect::url::{Url, form_urlencoded};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Role;
use crate::{
    pages::{
        assets::{ASSETS, Assets},
        texts::{Language, texts},
        visitor::remembered_language,
    },
    records,
};

/// How long a code is good for.
const CODE: Duration = Duration::from_secs(60);
/// How long an access token is good for.
const TOKEN: Duration = Duration::from_secs(300);
/// Most codes and tokens that are remembered; the page cannot be used to fill the memory.
const MOST: usize = 10_000;

texts! { ProviderTexts;
    title: "选择演示账号", "Choose a demo account";
    lead: "这里是演示用的统一身份认证。点一个账号即以此身份登录，不用密码；账号和数据均为虚构。", "This is the demo's identity provider. Click an account to log in as it; no password is asked for. Accounts and data are invented.";
    name: "账号", "Account";
    roles: "身份", "Role";
    about: "说明", "About";
    applicant: "申请人", "Applicant";
    clerk: "工作人员", "Clerk";
    operator: "运维人员", "Operator";
    auditor: "审计人员", "Auditor";
    log_in: "以此登录", "Log in";
    cancel: "取消", "Cancel";
    refused: "这个请求不是证照库发出的", "This request did not come from the repository";
    refused_hint: "请回到证照库，重新点“登录”。", "Go back to the repository and choose “Log in” again.";
}

/// An account of the demo. `Debug` shows no name and no number.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoAccount {
    /// The provider's name for it.
    pub subject: String,
    /// What the person is called.
    pub name: String,
    /// Who this is, for whoever chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// 持证主体代码类型.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_kind: Option<String>,
    /// The person's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_number: Option<String>,
    /// Credit codes of the organisations they represent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub represents: Vec<String>,
    /// What they may be.
    pub roles: Vec<Role>,
    /// Where they work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
}

impl fmt::Debug for DemoAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DemoAccount").field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// Why the provider does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The file of accounts has another shape.
    #[error("the accounts do not have the shape of yihao-accounts-1: {0}")]
    Accounts(String),
    /// It is for the loopback only.
    #[error("the demo's provider asks for no password and is for the loopback only; {0} is not")]
    Exposed(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No key could be made.
    #[error("the system gives no random bytes")]
    Random,
}

/// Reads a file of accounts.
///
/// # Errors
/// `Accounts`.
pub fn read_accounts(bytes: &[u8]) -> Result<Vec<DemoAccount>, ProviderError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        format: String,
        accounts: Vec<DemoAccount>,
    }
    // Only where it is wrong, not what stands there.
    let wrong = |error: serde_json::Error| {
        ProviderError::Accounts(format!("line {}, column {}", error.line(), error.column()))
    };
    let file: File = serde_json::from_slice(bytes).map_err(wrong)?;
    if file.format != "yihao-accounts-1" {
        return Err(ProviderError::Accounts("the format is another".to_owned()));
    }
    Ok(file.accounts)
}

/// What the provider is told.
#[derive(Clone)]
pub struct ProviderSettings {
    /// Where it listens; the loopback.
    pub listen: SocketAddr,
    /// The hub's name here.
    pub client_id: String,
    /// The hub's secret here.
    pub client_secret: String,
    /// Where the hub takes answers: `{login.address}/login/callback`.
    pub redirect_uri: String,
    /// Who can log in, in the order in which they are listed.
    pub accounts: Vec<DemoAccount>,
}

/// A provider that runs.
pub struct DemoProvider {
    issuer: String,
    handle: ServerHandle,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl DemoProvider {
    /// Starts it.
    ///
    /// # Errors
    /// `Exposed`, `Listen`, `Random`.
    pub fn start(settings: ProviderSettings) -> Result<Self, ProviderError> {
        let address = settings.listen;
        if !address.ip().is_loopback() {
            return Err(ProviderError::Exposed(address));
        }
        let listen = |source| ProviderError::Listen { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(listen)?;
        let issuer = format!("http://{}", listener.local_addr().map_err(listen)?);
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .ok()
            .and_then(|bytes| Ed25519KeyPair::from_pkcs8(bytes.as_ref()).ok())
            .ok_or(ProviderError::Random)?;
        let desk = web::Data::new(Desk {
            issuer: issuer.clone(),
            settings,
            key,
            issued: Mutex::default(),
        });
        let app = move || {
            App::new()
                .app_data(desk.clone())
                .route("/.well-known/openid-configuration", web::get().to(discovery))
                .route("/jwks", web::get().to(keys))
                .route("/authorize", web::get().to(accounts_page))
                .route("/authorize", web::post().to(choose))
                .route("/token", web::post().to(token))
                .route("/userinfo", web::get().to(userinfo))
                .route("/static/{file}", web::get().to(asset))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .shutdown_timeout(1)
            .disable_signals()
            .listen(listener)
            .map_err(listen)?
            .run();
        let handle = server.handle();
        Ok(Self { issuer, handle, task: tokio::spawn(server) })
    }

    /// Its address, for `login.issuer`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Stops it.
    pub async fn stop(self) {
        self.handle.stop(false).await;
        let _ = self.task.await;
    }
}

struct Desk {
    issuer: String,
    settings: ProviderSettings,
    key: Ed25519KeyPair,
    issued: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    codes: HashMap<String, Code>,
    /// Access token → account, and when it was issued.
    tokens: HashMap<String, (Arc<DemoAccount>, Instant)>,
}

struct Code {
    account: Arc<DemoAccount>,
    challenge: String,
    nonce: Option<String>,
    at: Instant,
    /// What it was exchanged for: a second exchange takes that back.
    token: Option<String>,
}

impl Desk {
    fn issued(&self) -> MutexGuard<'_, Issued> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.codes.retain(|_, code| code.at.elapsed() < TOKEN);
        issued.tokens.retain(|_, (_, at)| at.elapsed() < TOKEN);
        issued
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }
}

async fn discovery(desk: web::Data<Desk>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "issuer": desk.issuer,
        "authorization_endpoint": desk.url("/authorize"),
        "token_endpoint": desk.url("/token"),
        "userinfo_endpoint": desk.url("/userinfo"),
        "jwks_uri": desk.url("/jwks"),
        "scopes_supported": ["openid", "profile", "yihao"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn keys(desk: web::Data<Desk>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "demo",
        "x": URL_SAFE_NO_PAD.encode(desk.key.public_key().as_ref()),
    }] }))
}

/// What the hub asks for; the page sends it again with the choice.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Asked {
    client_id: String,
    redirect_uri: String,
    response_type: String,
    scope: String,
    state: String,
    nonce: Option<String>,
    code_challenge: String,
    code_challenge_method: String,
    /// The chosen account; empty to turn back.
    subject: String,
}

impl Asked {
    /// Whether the answer may be sent anywhere at all. Source: RFC 6749, 4.1.2.1.
    fn is_known(&self, settings: &ProviderSettings) -> bool {
        self.client_id == settings.client_id && self.redirect_uri == settings.redirect_uri
    }

    fn error(&self) -> Option<&'static str> {
        if self.response_type != "code" {
            Some("unsupported_response_type")
        } else if !self.scope.split(' ').any(|scope| scope == "openid") {
            Some("invalid_scope")
        } else if self.code_challenge_method != "S256" || self.code_challenge.len() != 43 {
            Some("invalid_request")
        } else {
            None
        }
    }

    /// Back to the hub with these members.
    fn answer(&self, desk: &Desk, member: (&str, &str)) -> HttpResponse {
        let Ok(mut address) = Url::parse(&self.redirect_uri) else {
            return HttpResponse::BadRequest().finish();
        };
        address
            .query_pairs_mut()
            .append_pair(member.0, member.1)
            .append_pair("state", &self.state)
            .append_pair("iss", &desk.issuer);
        HttpResponse::SeeOther()
            .insert_header((header::LOCATION, address.as_str()))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .finish()
    }

    /// As hidden members of the page's forms.
    fn hidden(&self) -> Vec<(&'static str, String)> {
        let mut members = vec![
            ("client_id", self.client_id.clone()),
            ("redirect_uri", self.redirect_uri.clone()),
            ("response_type", self.response_type.clone()),
            ("scope", self.scope.clone()),
            ("state", self.state.clone()),
            ("code_challenge", self.code_challenge.clone()),
            ("code_challenge_method", self.code_challenge_method.clone()),
        ];
        members.extend(self.nonce.clone().map(|nonce| ("nonce", nonce)));
        members
    }
}

struct Row {
    subject: String,
    name: String,
    roles: String,
    about: String,
}

#[derive(Template)]
#[template(path = "provider_accounts.html")]
struct AccountsPage {
    t: &'static ProviderTexts,
    language: Language,
    assets: &'static Assets,
    hidden: Vec<(&'static str, String)>,
    rows: Vec<Row>,
}

async fn accounts_page(desk: web::Data<Desk>, request: HttpRequest) -> HttpResponse {
    let language = remembered_language(&request).unwrap_or(Language::Chinese);
    let t = ProviderTexts::of(language);
    let asked = web::Query::<Asked>::from_query(request.query_string());
    let asked = asked.map(web::Query::into_inner).unwrap_or_default();
    if !from_here(&desk, &request) || !asked.is_known(&desk.settings) {
        return shown(&desk, t, language, StatusCode::BAD_REQUEST, Vec::new(), Vec::new());
    }
    if let Some(error) = asked.error() {
        return asked.answer(&desk, ("error", error));
    }
    let rows = desk.settings.accounts.iter().map(|account| {
        let roles: Vec<&str> = account
            .roles
            .iter()
            .map(|role| match role {
                Role::Applicant => t.applicant,
                Role::Clerk => t.clerk,
                Role::Operator => t.operator,
                Role::Auditor => t.auditor,
            })
            .collect();
        Row {
            subject: account.subject.clone(),
            name: account.name.clone(),
            roles: roles.join(language.pick("、", ", ")),
            about: account.about.clone().unwrap_or_default(),
        }
    });
    shown(&desk, t, language, StatusCode::OK, asked.hidden(), rows.collect())
}

fn shown(
    desk: &Desk,
    t: &'static ProviderTexts,
    language: Language,
    status: StatusCode,
    hidden: Vec<(&'static str, String)>,
    rows: Vec<Row>,
) -> HttpResponse {
    let page = AccountsPage { t, language, assets: &ASSETS, hidden, rows };
    let Ok(html) = page.render() else {
        return HttpResponse::InternalServerError().finish();
    };
    // The form's answer leads on to the hub, which Chromium counts as a target of the form.
    let hub = Url::parse(&desk.settings.redirect_uri)
        .map(|address| address.origin().ascii_serialization())
        .unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' {hub}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(html)
}

/// A name elsewhere that was made to point here is refused, and a form on another site.
fn from_here(desk: &Desk, request: &HttpRequest) -> bool {
    let text = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap_or("?"));
    let host = text("host");
    let own = desk.issuer.strip_prefix("http://").is_some_and(|own| own == host);
    let reading = request.method().is_safe();
    let origin = text("origin");
    own && (reading || origin.is_empty() || origin == desk.issuer)
        && (reading || ["", "same-origin"].contains(&text("sec-fetch-site")))
}

async fn choose(
    desk: web::Data<Desk>,
    request: HttpRequest,
    form: Result<web::Form<Asked>, actix_web::Error>,
) -> HttpResponse {
    let asked = form.map(web::Form::into_inner).unwrap_or_default();
    if !from_here(&desk, &request) || !asked.is_known(&desk.settings) {
        return HttpResponse::BadRequest().finish();
    }
    if let Some(error) = asked.error() {
        return asked.answer(&desk, ("error", error));
    }
    let chosen = desk.settings.accounts.iter().find(|one| one.subject == asked.subject);
    let (Some(account), Ok(code)) = (chosen, records::random_name("")) else {
        return asked.answer(&desk, ("error", "access_denied"));
    };
    let mut issued = desk.issued();
    if issued.codes.len() >= MOST {
        return asked.answer(&desk, ("error", "temporarily_unavailable"));
    }
    issued.codes.insert(
        code.clone(),
        Code {
            account: Arc::new(account.clone()),
            challenge: asked.code_challenge.clone(),
            nonce: asked.nonce.clone(),
            at: Instant::now(),
            token: None,
        },
    );
    drop(issued);
    asked.answer(&desk, ("code", &code))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Exchange {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    client_id: Option<String>,
    client_secret: Option<String>,
}

async fn token(
    desk: web::Data<Desk>,
    request: HttpRequest,
    form: Result<web::Form<Exchange>, actix_web::Error>,
) -> HttpResponse {
    let exchange = form.map(web::Form::into_inner).unwrap_or_default();
    if !is_client(&desk.settings, &request, &exchange) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    if exchange.grant_type != "authorization_code" {
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let Ok(access) = records::random_name("") else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
    };
    let mut issued = desk.issued();
    let issued = &mut *issued;
    let known = issued.codes.get_mut(&exchange.code);
    let Some(code) = known.filter(|code| {
        let challenge = digest::digest(&digest::SHA256, exchange.code_verifier.as_bytes());
        code.at.elapsed() < CODE
            && exchange.redirect_uri == desk.settings.redirect_uri
            && URL_SAFE_NO_PAD.encode(challenge) == code.challenge
    }) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    // Used twice: somebody has stolen it, and nobody keeps what it gave. Source: RFC 6749, 4.1.2.
    if let Some(token) = &code.token {
        issued.tokens.remove(token);
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    code.token = Some(access.clone());
    let id_token = id_token(&desk, code, &access);
    issued.tokens.insert(access.clone(), (code.account.clone(), Instant::now()));
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({
        "access_token": access, "token_type": "Bearer", "expires_in": TOKEN.as_secs(),
        "id_token": id_token,
    }))
}

fn refused(status: StatusCode, error: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "error": error }))
}

/// Whether the hub itself asks: by HTTP Basic, or in the form. Source: RFC 6749, 2.3.1.
fn is_client(settings: &ProviderSettings, request: &HttpRequest, exchange: &Exchange) -> bool {
    let basic = || {
        let said = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let said = STANDARD.decode(said.strip_prefix("Basic ")?).ok()?;
        let (id, secret) = std::str::from_utf8(&said).ok()?.split_once(':')?;
        Some((decoded(id)?, decoded(secret)?))
    };
    let posted = || Some((exchange.client_id.clone()?, exchange.client_secret.clone()?));
    let digest = |text: &str| certs::sha256(text.as_bytes());
    basic().or_else(posted).is_some_and(|(id, secret)| {
        id == settings.client_id && digest(&secret) == digest(&settings.client_secret)
    })
}

fn decoded(text: &str) -> Option<String> {
    let line = format!("v={text}");
    form_urlencoded::parse(line.as_bytes()).next().map(|(_, value)| value.into_owned())
}

fn id_token(desk: &Desk, code: &Code, access: &str) -> String {
    let now = Timestamp::now().as_second();
    let half = digest::digest(&digest::SHA512, access.as_bytes());
    let mut claims = json!({
        "iss": desk.issuer, "aud": desk.settings.client_id, "sub": code.account.subject,
        "iat": now, "exp": now + 300, "auth_time": now, "name": code.account.name,
        "at_hash": URL_SAFE_NO_PAD.encode(&half.as_ref()[..32]),
    });
    if let Some(nonce) = &code.nonce {
        claims["nonce"] = json!(nonce);
    }
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "demo" });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = desk.key.sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

async fn userinfo(desk: web::Data<Desk>, request: HttpRequest) -> HttpResponse {
    let said = request.headers().get(header::AUTHORIZATION).and_then(|said| said.to_str().ok());
    let token = said.and_then(|said| said.strip_prefix("Bearer "));
    let account = token.and_then(|token| Some(desk.issued().tokens.get(token)?.0.clone()));
    let Some(account) = account else {
        return HttpResponse::Unauthorized()
            .insert_header((header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""))
            .finish();
    };
    let mut claims = serde_json::to_value(&*account).unwrap_or_default();
    if let Some(claims) = claims.as_object_mut() {
        claims.remove("about");
        if let Some(subject) = claims.remove("subject") {
            claims.insert("sub".to_owned(), subject);
        }
    }
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(claims)
}

async fn asset(request: HttpRequest) -> HttpResponse {
    match ASSETS.at(request.path()) {
        Some(asset) => HttpResponse::Ok().content_type(asset.media_type).body(asset.content),
        None => HttpResponse::NotFound().finish(),
    }
}
