//! A provider that lies, or that somebody stands in front of: whatever does not hold is refused by name, and nobody is
//! logged in. It signs with keys of its own and says what each test tells it to.

mod support;

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hub::login::{flow, sessions};
use jiff::{SignedDuration, Timestamp};
use openidconnect::url::Url;
use reqwest::header::HeaderMap;
use ring::{
    digest, hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use support::{TestHub, browser::free_ports, privacy};

const SECRET: &str = "a secret of the tests alone, 0123456789abcdef";
const ACCESS: &str = "an-access-token";

/// How the provider lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    OtherKey,
    ChangedClaims,
    AlgNone,
    MacWithSecret,
    MacWithPublicKey,
    OtherAudience,
    OneMoreAudience,
    OtherIssuer,
    OtherNonce,
    NoNonce,
    Expired,
    NoExpiry,
    OtherAccessTokenHash,
    NoIdToken,
    OtherSubject,
    NoSubject,
    UserinfoFails,
    EarlierLogin,
    NoLoginTime,
}

/// What it says, and the keys it shows and signs with.
struct Script {
    issuer: String,
    lie: Lie,
    nonce: String,
    shown: Key,
    signing: Key,
    kid: &'static str,
}

#[derive(Clone)]
struct Key(Arc<EcdsaKeyPair>);

impl Key {
    fn new() -> Self {
        let (rng, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).unwrap();
        Self(Arc::new(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &rng).unwrap()))
    }

    fn jwk(&self, kid: &str) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
                "x": encoded(x), "y": encoded(y) })
    }

    fn sign(&self, said: &str) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), said.as_bytes()).unwrap().as_ref().to_vec()
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

type Shared = web::Data<Mutex<Script>>;

impl Script {
    fn token(&self) -> Option<String> {
        let now = Timestamp::now().as_second();
        let hash = digest::digest(&digest::SHA256, ACCESS.as_bytes());
        let mut claims = json!({
            "iss": self.issuer, "aud": "yihao", "sub": "lan", "nonce": self.nonce, "iat": now,
            "exp": now + 300, "auth_time": now, "at_hash": encoded(&hash.as_ref()[..16]),
        });
        let mut header = json!({ "alg": "ES256", "kid": self.kid });
        match self.lie {
            Lie::AlgNone => header = json!({ "alg": "none" }),
            Lie::MacWithSecret | Lie::MacWithPublicKey => header["alg"] = json!("HS256"),
            Lie::OtherAudience => claims["aud"] = json!("somebody-else"),
            Lie::OneMoreAudience => claims["aud"] = json!(["yihao", "somebody-else"]),
            Lie::OtherIssuer => claims["iss"] = json!("https://evil.example"),
            Lie::OtherNonce => claims["nonce"] = json!("another"),
            Lie::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
            Lie::Expired => claims["exp"] = json!(now - 1),
            Lie::NoExpiry => drop(claims.as_object_mut().unwrap().remove("exp")),
            Lie::OtherAccessTokenHash => claims["at_hash"] = json!(encoded(&[0; 16])),
            Lie::EarlierLogin => claims["auth_time"] = json!(now - 3_600),
            Lie::NoLoginTime => drop(claims.as_object_mut().unwrap().remove("auth_time")),
            Lie::NoIdToken => return None,
            _ => {}
        }
        let part = |json: &Value| encoded(json.to_string().as_bytes());
        let mut said = format!("{}.{}", part(&header), part(&claims));
        let mac = |key: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            hmac::sign(&key, said.as_bytes()).as_ref().to_vec()
        };
        let signature = match self.lie {
            Lie::AlgNone => Vec::new(),
            Lie::MacWithSecret => mac(SECRET.as_bytes()),
            Lie::MacWithPublicKey => mac(self.shown.0.public_key().as_ref()),
            _ => self.signing.sign(&said),
        };
        if self.lie == Lie::ChangedClaims {
            claims["sub"] = json!("root");
            said = format!("{}.{}", part(&header), part(&claims));
        }
        Some(format!("{said}.{}", encoded(&signature)))
    }
}

async fn discovery(script: Shared) -> HttpResponse {
    let issuer = &script.lock().unwrap().issuer;
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "none", "HS256"],
    }))
}

async fn keys(script: Shared) -> HttpResponse {
    let script = script.lock().unwrap();
    HttpResponse::Ok().json(json!({ "keys": [script.shown.jwk(script.kid)] }))
}

async fn token(script: Shared) -> HttpResponse {
    let mut answer = json!({ "access_token": ACCESS, "token_type": "Bearer", "expires_in": 300 });
    if let Some(token) = script.lock().unwrap().token() {
        answer["id_token"] = json!(token);
    }
    HttpResponse::Ok().json(answer)
}

async fn userinfo(script: Shared) -> HttpResponse {
    let mut claims = json!({
        "sub": "lan", "name": "陈岚", "roles": ["clerk"], "organisation": "hall-1",
    });
    match script.lock().unwrap().lie {
        Lie::OtherSubject => claims["sub"] = json!("wan"),
        Lie::NoSubject => drop(claims.as_object_mut().unwrap().remove("sub")),
        Lie::UserinfoFails => return HttpResponse::Unauthorized().finish(),
        _ => {}
    }
    HttpResponse::Ok().json(claims)
}

/// A hub in front of the liar.
struct Place {
    hub: TestHub,
    address: String,
    script: Shared,
    server: ServerHandle,
    client: reqwest::Client,
}

/// What came back, with the cookies that it sets.
struct Page {
    status: u16,
    headers: HeaderMap,
    html: String,
}

impl Page {
    fn location(&self) -> &str {
        self.headers.get("location").map_or("", |value| value.to_str().unwrap())
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.headers.get_all("set-cookie").iter();
        cookies
            .filter_map(|cookie| cookie.to_str().unwrap().strip_prefix(name)?.strip_prefix('='))
            .filter(|rest| !rest.contains("Max-Age=0"))
            .find_map(|rest| rest.split(';').next())
    }
}

impl Place {
    async fn open() -> Self {
        privacy::listen();
        let port = free_ports();
        let address = format!("https://localhost:{port}");
        let key = Key::new();
        let script = web::Data::new(Mutex::new(Script {
            issuer: String::new(),
            lie: Lie::None,
            nonce: String::new(),
            shown: key.clone(),
            signing: key,
            kid: "first",
        }));
        let mut server = None;
        let hub = TestHub::start_prepared(&format!("127.0.0.1:{port}"), |path| {
            let shared = script.clone();
            let bound = HttpServer::new(move || {
                App::new()
                    .app_data(shared.clone())
                    .route("/.well-known/openid-configuration", web::get().to(discovery))
                    .route("/jwks", web::get().to(keys))
                    .route("/token", web::post().to(token))
                    .route("/userinfo", web::get().to(userinfo))
            })
            .workers(1)
            .bind("127.0.0.1:0")
            .unwrap();
            let issuer = format!("http://{}", bound.addrs()[0]);
            let running = bound.run();
            server = Some(running.handle());
            actix_web::rt::spawn(running);
            script.lock().unwrap().issuer.clone_from(&issuer);
            std::fs::write(path.join("client.secret"), SECRET).unwrap();
            format!(
                "[login]\nissuer = \"{issuer}\"\nclient_id = \"yihao\"\n\
                 client_secret = \"client.secret\"\naddress = \"{address}\"\n\
                 scopes = [\"profile\", \"yihao\"]\n[login.roles]\nclerk = \"clerk\"\n"
            )
        })
        .await;
        let client = hub.client_builder().redirect(reqwest::redirect::Policy::none());
        let client = client.build().unwrap();
        Self { hub, address, script, server: server.unwrap(), client }
    }

    async fn get(&self, path: &str, cookies: &str) -> Page {
        let request = self.client.get(format!("{}{path}", self.address));
        self.send(request.header("Cookie", cookies)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let answer = request.send().await.unwrap();
        Page {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            html: answer.text().await.unwrap(),
        }
    }

    /// Begins a login in a browser with these cookies and comes back with what the provider then says; also the
    /// address that the browser was sent to.
    async fn log_in(&self, lie: Lie, cookies: &str) -> (Page, Url) {
        let page = self.get("/login?next=/window", cookies).await;
        assert_eq!(page.status, 303, "{}", page.html);
        let authorize = Url::parse(page.location()).unwrap();
        let member = |name: &str| {
            let found = authorize.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).unwrap()
        };
        {
            let mut script = self.script.lock().unwrap();
            script.lie = lie;
            script.nonce = member("nonce");
        }
        let sealed = page.cookie(flow::COOKIE).unwrap();
        let back = format!("/login/callback?code=c&state={}", member("state"));
        let page = self.get(&back, &format!("{}={sealed}; {cookies}", flow::COOKIE)).await;
        (page, authorize)
    }

    /// The session that the login led to.
    async fn is_let_in(&self, lie: Lie, cookies: &str) -> String {
        let (page, _) = self.log_in(lie, cookies).await;
        assert_eq!((page.status, page.location()), (303, "/window"), "{lie:?}: {}", page.html);
        let secret = page.cookie(sessions::COOKIE).unwrap().to_owned();
        let window = self.get("/window", &format!("{}={secret}", sessions::COOKIE)).await;
        assert_eq!(window.status, 200);
        secret
    }

    async fn is_refused(&self, lie: Lie, cookies: &str, says: &str) {
        let before = privacy::heard().len();
        let (page, _) = self.log_in(lie, cookies).await;
        assert_ne!(page.status, 303, "{lie:?} was let in");
        assert!(page.html.contains("login_token"), "{lie:?}: {}", page.html);
        assert_eq!(page.cookie(sessions::COOKIE), None, "{lie:?} left a session");
        let log = privacy::heard()[before..].to_owned();
        assert!(log.contains(says), "{lie:?}: the log does not say {says:?}: {log}");
        for secret in [ACCESS, SECRET, "陈岚"] {
            assert!(!log.contains(secret) && !page.html.contains(secret), "{lie:?}");
        }
    }

    async fn close(mut self) {
        self.hub.stop().await;
        self.server.stop(false).await;
    }
}

#[actix_web::test]
async fn what_does_not_hold_is_refused_by_name_and_nobody_is_logged_in() {
    let place = Place::open().await;
    place.is_let_in(Lie::None, "").await;
    for (lie, says) in [
        (Lie::ChangedClaims, "its signature does not hold"),
        (Lie::AlgNone, "its signature does not hold"),
        (Lie::MacWithSecret, "its signature does not hold"),
        (Lie::MacWithPublicKey, "its signature does not hold"),
        (Lie::OtherAudience, "it is for another audience"),
        (Lie::OneMoreAudience, "it is for another audience"),
        (Lie::OtherIssuer, "it is by another issuer"),
        (Lie::OtherNonce, "its nonce is another"),
        (Lie::NoNonce, "its nonce is another"),
        (Lie::Expired, "it has expired"),
        (Lie::NoExpiry, "login_token"),
        (Lie::OtherAccessTokenHash, "it belongs to another access token"),
        (Lie::NoIdToken, "login_token"),
        (Lie::OtherSubject, "userinfo is of another subject"),
        (Lie::NoSubject, "userinfo is of another subject"),
        (Lie::UserinfoFails, "login_token"),
    ] {
        place.is_refused(lie, "", says).await;
    }
    place.is_let_in(Lie::None, "").await;
    place.close().await;
}

#[actix_web::test]
async fn a_key_that_the_provider_does_not_show_signs_nothing_and_a_changed_one_is_found() {
    let place = Place::open().await;
    place.is_let_in(Lie::None, "").await;
    let new = Key::new();
    place.script.lock().unwrap().signing = new.clone();
    place.is_refused(Lie::OtherKey, "", "its signature does not hold").await;
    {
        let mut script = place.script.lock().unwrap();
        script.shown = new;
        script.kid = "second";
    }
    // Keys are not asked for again more often than every ten seconds, or a liar could make the hub ask without end.
    actix_web::rt::time::sleep(std::time::Duration::from_secs(11)).await;
    place.is_let_in(Lie::None, "").await;
    place.close().await;
}

#[actix_web::test]
async fn who_comes_after_a_logout_shows_anew_who_they_are() {
    let place = Place::open().await;
    let (_, authorize) = place.log_in(Lie::EarlierLogin, "").await;
    assert!(!authorize.as_str().contains("prompt"), "nobody has left this browser");
    let secret = place.is_let_in(Lie::EarlierLogin, "").await;
    let session = format!("{}={secret}", sessions::COOKIE);
    let page = place.get("/me/sessions", &session).await;
    let csrf = page.html.split("name=\"csrf\" value=\"").nth(1).unwrap();
    let csrf = csrf.split('"').next().unwrap();
    let request = place
        .client
        .post(format!("{}/logout", place.address))
        .header("Cookie", &session)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("csrf={csrf}"));
    let out = place.send(request).await;
    assert_eq!(out.status, 303, "{}", out.html);
    let left = format!("{}={}", flow::LEFT, out.cookie(flow::LEFT).unwrap());

    // Also without the note, by the cookie of a session that has ended.
    for cookies in [left.as_str(), session.as_str()] {
        let (_, authorize) = place.log_in(Lie::None, cookies).await;
        for member in ["prompt=login", "max_age=0"] {
            assert!(authorize.as_str().contains(member), "{authorize}");
        }
        // Taking them out of the address does not help: what counts is when the provider says it was.
        for lie in [Lie::EarlierLogin, Lie::NoLoginTime] {
            place.is_refused(lie, cookies, "by an earlier login").await;
        }
        place.is_let_in(Lie::None, cookies).await;
    }
    // A session that is over by itself counts as left.
    let secret = place.is_let_in(Lie::None, &left).await;
    place.hub.hub.clock.advance(SignedDuration::from_hours(24));
    let idle = format!("{}={secret}", sessions::COOKIE);
    let (_, authorize) = place.log_in(Lie::None, &idle).await;
    assert!(authorize.as_str().contains("prompt=login"));
    place.close().await;
}
