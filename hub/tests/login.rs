//! Logging in through a real provider (the demo's own) over real HTTP, by HTTPS: what leads to a session, what does not, and
//! when a session ends.

mod support;

use std::{collections::BTreeMap, sync::Mutex};

use hub::login::{
    Role, flow,
    provider::{DemoAccount, DemoProvider, ProviderSettings},
    sessions,
};
use jiff::SignedDuration;
use reqwest::header::HeaderMap;
use support::{TestHub, browser::free_ports};

const SECRET: &str = "a secret of the tests alone, 0123456789abcdef";

/// A hub whose people log in with the demo's provider.
struct Place {
    hub: TestHub,
    address: String,
    provider: DemoProvider,
}

/// A browser without scripts.
struct Browser {
    client: reqwest::Client,
    hub: String,
    jar: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug)]
struct Page {
    status: u16,
    headers: HeaderMap,
    html: String,
}

impl Place {
    async fn open() -> Self {
        let port = free_ports();
        let address = format!("https://localhost:{port}");
        let mut provider = None;
        let hub = TestHub::start_prepared(&format!("127.0.0.1:{port}"), |path| {
            let running = DemoProvider::start(ProviderSettings {
                listen: "127.0.0.1:0".parse().unwrap(),
                client_id: "yihao".to_owned(),
                client_secret: SECRET.to_owned(),
                redirect_uri: format!("{address}/login/callback"),
                accounts: accounts(),
            })
            .unwrap();
            std::fs::write(path.join("client.secret"), SECRET).unwrap();
            let issuer = running.issuer().to_owned();
            provider = Some(running);
            format!(
                "[login]\nissuer = \"{issuer}\"\nclient_id = \"yihao\"\n\
                 client_secret = \"client.secret\"\naddress = \"{address}\"\n\
                 scopes = [\"profile\", \"yihao\"]\n[login.roles]\napplicant = \"applicant\"\n\
                 clerk = \"clerk\"\noperator = \"operator\"\n"
            )
        })
        .await;
        Self { hub, address, provider: provider.unwrap() }
    }

    fn browser(&self) -> Browser {
        let client = self.hub.client_builder().redirect(reqwest::redirect::Policy::none());
        Browser {
            client: client.build().unwrap(),
            hub: self.address.clone(),
            jar: Mutex::default(),
        }
    }

    async fn close(mut self) {
        self.hub.stop().await;
        self.provider.stop().await;
    }
}

fn accounts() -> Vec<DemoAccount> {
    let account = |subject: &str, name: &str, role: Role| DemoAccount {
        subject: subject.to_owned(),
        name: name.to_owned(),
        about: None,
        holder_kind: None,
        holder_number: None,
        represents: Vec::new(),
        roles: vec![role],
        organisation: None,
    };
    let number = Some("11010519491231002X".to_owned()); // the example of GB 11643-1999
    let place = |node: &str| Some(node.to_owned());
    vec![
        DemoAccount { holder_number: number, ..account("wan", "林晚", Role::Applicant) },
        DemoAccount { organisation: place("hall-1"), ..account("lan", "陈岚", Role::Clerk) },
        DemoAccount { organisation: place("nowhere"), ..account("lost", "何川", Role::Clerk) },
        account("numberless", "周远", Role::Applicant),
        account("roleless", "顾言", Role::Auditor),
    ]
}

impl Browser {
    async fn get(&self, url: &str) -> Page {
        let url = if url.starts_with('/') { format!("{}{url}", self.hub) } else { url.to_owned() };
        self.send(&url, self.client.get(&url)).await
    }

    async fn post(&self, url: &str, form: &[(&str, &str)]) -> Page {
        let url = if url.starts_with('/') { format!("{}{url}", self.hub) } else { url.to_owned() };
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = self
            .client
            .post(&url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        self.send(&url, request).await
    }

    async fn send(&self, url: &str, mut request: reqwest::RequestBuilder) -> Page {
        let at_hub = url.starts_with(&self.hub);
        if at_hub {
            let jar = self.jar.lock().unwrap();
            let cookies: Vec<String> =
                jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("Cookie", cookies.join("; "));
        }
        let answer = request.send().await.unwrap();
        let headers = answer.headers().clone();
        for cookie in headers.get_all("set-cookie").iter().filter(|_| at_hub) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut jar = self.jar.lock().unwrap();
            if attributes.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { status: answer.status().as_u16(), headers, html: answer.text().await.unwrap() }
    }

    /// To the provider: where the hub leads.
    async fn begin(&self, next: &str) -> String {
        let page = self.get(&format!("/login?next={}", encoded(next))).await;
        assert_eq!(page.status, 303, "{}", page.html);
        page.location().to_owned()
    }

    /// Chooses an account at the provider: where it leads back to.
    async fn choose(&self, authorize: &str, subject: &str) -> String {
        let page = self.get(authorize).await;
        assert_eq!(page.status, 200, "{}", page.html);
        let mut form = page.hidden();
        form.push(("subject".to_owned(), subject.to_owned()));
        let form: Vec<(&str, &str)> =
            form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let endpoint = authorize.split('?').next().unwrap();
        let page = self.post(endpoint, &form).await;
        assert_eq!(page.status, 303, "{}", page.html);
        page.location().to_owned()
    }

    /// The whole way.
    async fn log_in(&self, subject: &str, next: &str) -> Page {
        let authorize = self.begin(next).await;
        let callback = self.choose(&authorize, subject).await;
        self.get(&callback).await
    }

    fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().unwrap().get(name).cloned()
    }

    fn set(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    async fn is_logged_in(&self) -> bool {
        let page = self.get("/me/sessions").await;
        assert!([200, 401].contains(&page.status), "{}", page.html);
        page.status == 200
    }

    /// The token of the session's forms.
    async fn csrf(&self) -> String {
        let hidden = self.get("/me/sessions").await.hidden();
        hidden.into_iter().find(|(name, _)| name == "csrf").unwrap().1
    }
}

impl Page {
    fn location(&self) -> &str {
        self.headers.get("location").map_or("", |value| value.to_str().unwrap())
    }

    fn cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
    }

    fn hidden(&self) -> Vec<(String, String)> {
        let members = self.html.split("<input type=\"hidden\" name=\"").skip(1);
        members
            .map(|rest| {
                let (name, rest) = rest.split_once("\" value=\"").unwrap();
                let value = rest.split_once('"').unwrap().0;
                (name.to_owned(), value.replace("&#38;", "&").replace("&#x2F;", "/"))
            })
            .collect()
    }

    /// Fails unless the login was refused with this code and left no session.
    #[track_caller]
    fn is_refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.html);
        assert!(self.html.contains(code), "{code} is missing in {}", self.html);
        let session = format!("{}=", sessions::COOKIE);
        assert!(self.cookies().iter().all(|cookie| !cookie.starts_with(&session)));
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[actix_web::test]
async fn a_person_logs_in_through_the_provider_and_comes_back_to_the_page() {
    let place = Place::open().await;
    let browser = place.browser();
    assert!(!browser.is_logged_in().await);
    let authorize = browser.begin("/me/sessions").await;
    for member in ["code_challenge_method=S256", "nonce=", "state=", "scope=openid"] {
        assert!(authorize.contains(member), "{member} is missing in {authorize}");
    }
    let callback = browser.choose(&authorize, "wan").await;
    let page = browser.get(&callback).await;
    assert_eq!((page.status, page.location()), (303, "/me/sessions"), "{}", page.html);
    let session = page.cookies().into_iter().find(|one| one.starts_with(sessions::COOKIE)).unwrap();
    for attribute in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
        assert!(session.contains(attribute), "{session}");
    }
    assert_eq!(browser.cookie(flow::COOKIE), None, "the login is over");
    let page = browser.get("/me/sessions").await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("林晚") && page.html.contains("action=\"/logout\""));
    assert!(!page.html.contains("11010519491231002X"));
    // The interface stays what it was, beside the pages.
    assert_eq!(browser.get("/healthz").await.status, 200);
    let unknown = browser.get("/v1/nothing").await;
    assert!(unknown.html.contains("no_such_route"), "{}", unknown.html);
    assert!(browser.get("/nothing").await.html.contains("no_such_page"));
    place.close().await;
}

#[actix_web::test]
async fn a_session_is_new_at_every_login_and_the_one_before_it_ends() {
    let place = Place::open().await;
    let browser = place.browser();
    let planted = "00".repeat(32);
    browser.set(sessions::COOKIE, &planted);
    browser.log_in("wan", "").await;
    let first = browser.cookie(sessions::COOKIE).unwrap();
    assert_ne!(first, planted, "a session that somebody else knows is not taken");
    browser.log_in("lan", "").await;
    let second = browser.cookie(sessions::COOKIE).unwrap();
    assert_ne!(second, first);
    browser.set(sessions::COOKIE, &first);
    assert!(!browser.is_logged_in().await, "the session before has ended");
    browser.set(sessions::COOKIE, &planted);
    assert!(!browser.is_logged_in().await);
    place.close().await;
}

#[actix_web::test]
async fn a_login_leads_to_no_other_place_than_these_pages() {
    let place = Place::open().await;
    let browser = place.browser();
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/.//evil.example",
        "/\r\nLocation: https://evil.example",
        "/login?next=/",
        "",
    ] {
        let page = browser.log_in("wan", next).await;
        assert_eq!((page.status, page.location()), (303, "/me"), "{next:?}");
    }
    assert_eq!(browser.log_in("lan", "").await.location(), "/window");
    let page = browser.log_in("wan", "/matters?lang=en").await;
    assert_eq!(page.location(), "/matters?lang=en");
    place.close().await;
}

#[actix_web::test]
async fn an_answer_to_a_login_that_this_browser_did_not_begin_is_refused() {
    let place = Place::open().await;
    let (victim, attacker) = (place.browser(), place.browser());
    // The attacker's own login, handed to somebody else.
    let authorize = attacker.begin("/").await;
    let callback = attacker.choose(&authorize, "wan").await;
    victim.get(&callback).await.is_refused(400, "login_state");
    // Also while the victim has begun a login too.
    victim.begin("/").await;
    victim.get(&callback).await.is_refused(400, "login_state");
    // Another state, none, one of another length.
    for state in ["", "0", "00000000000000000000000000000000"] {
        victim.begin("/").await;
        let wrong = format!("/login/callback?code=x&state={state}");
        victim.get(&wrong).await.is_refused(400, "login_state");
    }
    // A cookie that the hub did not make.
    attacker.set(flow::COOKIE, &"A".repeat(200));
    attacker.get(&callback).await.is_refused(400, "login_state");
    // Another provider's answer (RFC 9207).
    let authorize = victim.begin("/").await;
    let callback = victim.choose(&authorize, "wan").await;
    let (before, _) = callback.split_once("&iss=").unwrap();
    victim
        .get(&format!("{before}&iss=https%3A%2F%2Fevil.example"))
        .await
        .is_refused(400, "login_state");
    // Too late.
    let authorize = victim.begin("/").await;
    let callback = victim.choose(&authorize, "wan").await;
    place.hub.hub.clock.advance(flow::PATIENCE + SignedDuration::from_secs(1));
    victim.get(&callback).await.is_refused(400, "login_state");
    assert!(!victim.is_logged_in().await);
    place.close().await;
}

#[actix_web::test]
async fn a_code_is_good_once_and_only_with_the_verifier_of_its_login() {
    let place = Place::open().await;
    let browser = place.browser();
    let authorize = browser.begin("/").await;
    let sealed = browser.cookie(flow::COOKIE).unwrap();
    let callback = browser.choose(&authorize, "wan").await;
    assert_eq!(browser.get(&callback).await.status, 303);
    browser.get(&callback).await.is_refused(400, "login_state");
    browser.set(flow::COOKIE, &sealed);
    browser.get(&callback).await.is_refused(400, "login_code");
    // A stolen code, brought in under a login of the thief's own.
    let stolen = browser.choose(&browser.begin("/").await, "wan").await;
    let stolen =
        stolen.split(['?', '&']).find(|part| part.starts_with("code=")).unwrap().to_owned();
    let thief = place.browser();
    let own = thief.choose(&thief.begin("/").await, "lan").await;
    let state = own.split(['?', '&']).find(|part| part.starts_with("state=")).unwrap();
    thief.get(&format!("/login/callback?{stolen}&{state}")).await.is_refused(400, "login_code");
    place.close().await;
}

#[actix_web::test]
async fn who_turns_back_or_means_nothing_here_is_not_let_in() {
    let place = Place::open().await;
    let browser = place.browser();
    browser.log_in("", "/").await.is_refused(403, "login_denied");
    browser.log_in("lost", "/").await.is_refused(403, "login_no_place");
    browser.log_in("numberless", "/").await.is_refused(403, "login_claim");
    browser.log_in("roleless", "/").await.is_refused(403, "login_no_role");
    assert!(!browser.is_logged_in().await);
    place.close().await;
}

#[actix_web::test]
async fn a_session_ends_when_it_is_not_used_and_in_any_case_after_its_hours() {
    let place = Place::open().await;
    let clock = &place.hub.hub.clock;
    let browser = place.browser();
    browser.log_in("wan", "").await;
    for _ in 0..20 {
        clock.advance(SignedDuration::from_mins(29));
        assert!(browser.is_logged_in().await, "it was used every half an hour");
    }
    clock.advance(SignedDuration::from_mins(21)); // 20 × 29 + 21 minutes: ten hours and one minute
    assert!(!browser.is_logged_in().await, "ten hours are over");
    browser.log_in("wan", "").await;
    clock.advance(SignedDuration::from_mins(31));
    assert!(!browser.is_logged_in().await, "half an hour without use");
    clock.advance(SignedDuration::from_mins(-31));
    assert!(!browser.is_logged_in().await, "what has ended does not come back");
    place.close().await;
}

#[actix_web::test]
async fn sessions_are_listed_and_ended_by_their_owner_only() {
    let place = Place::open().await;
    let (here, there, other) = (place.browser(), place.browser(), place.browser());
    here.log_in("wan", "").await;
    there.log_in("wan", "").await;
    other.log_in("lan", "").await;
    let key = |browser: &Browser| sessions::key(&browser.cookie(sessions::COOKIE).unwrap());
    let page = here.get("/me/sessions").await;
    assert!(page.html.contains(&key(&here)) && page.html.contains(&key(&there)));
    assert!(!page.html.contains(&key(&other)), "sessions of others are not shown");
    let csrf = here.csrf().await;
    let end = |browser: &Browser| format!("/me/sessions/{}/end", key(browser));

    let refused = here.post(&end(&there), &[]).await;
    assert_eq!(refused.status, 403, "a form without the token");
    let csrf_of_another = other.csrf().await;
    assert_eq!(here.post(&end(&there), &[("csrf", &csrf_of_another)]).await.status, 403);
    let foreign = here.post(&end(&other), &[("csrf", &csrf)]).await;
    let unknown = here.post("/me/sessions/none/end", &[("csrf", &csrf)]).await;
    assert_eq!((foreign.status, unknown.status), (404, 404));
    assert_eq!(foreign.html, unknown.html, "another's is answered like one that is not there");
    assert!(there.is_logged_in().await && other.is_logged_in().await);

    let ended = here.post(&end(&there), &[("csrf", &csrf)]).await;
    assert_eq!((ended.status, ended.location()), (303, "/me/sessions"));
    assert!(!there.is_logged_in().await);
    there.log_in("wan", "").await;
    let ended = here.post("/me/sessions/end", &[("csrf", &csrf)]).await;
    assert_eq!((ended.status, ended.location()), (303, "/"));
    assert!(!there.is_logged_in().await && !here.is_logged_in().await);
    assert!(other.is_logged_in().await);
    place.close().await;
}

#[actix_web::test]
async fn logging_out_needs_the_sessions_token_and_ends_the_session_for_good() {
    let place = Place::open().await;
    let browser = place.browser();
    browser.log_in("wan", "").await;
    let secret = browser.cookie(sessions::COOKIE).unwrap();
    assert_eq!(browser.get("/logout").await.status, 405);
    assert_eq!(browser.post("/logout", &[]).await.status, 403);
    let foreign = browser
        .client
        .post(format!("{}/logout", place.address))
        .header("Cookie", format!("{}={secret}", sessions::COOKIE))
        .header("Origin", "https://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert!(browser.is_logged_in().await);
    let csrf = browser.csrf().await;
    let page = browser.post("/logout", &[("csrf", &csrf)]).await;
    assert_eq!((page.status, page.location()), (303, "/"));
    assert_eq!(browser.cookie(sessions::COOKIE), None);
    browser.set(sessions::COOKIE, &secret);
    assert!(!browser.is_logged_in().await, "the secret is worth nothing now");
    place.close().await;
}

#[actix_web::test]
async fn without_the_provider_nobody_logs_in_and_the_page_says_so() {
    let place = Place::open().await;
    let Place { mut hub, address, provider } = place;
    provider.stop().await;
    let client = hub.client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let browser = Browser { client, hub: address, jar: Mutex::default() };
    let page = browser.get("/login").await;
    page.is_refused(503, "login_provider_unavailable");
    assert!(page.html.contains("统一身份认证现在没有回答"));
    hub.stop().await;
}
