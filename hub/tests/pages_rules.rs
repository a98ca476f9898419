//! The pages, over HTTP and over a real hub: what they show, what they keep to themselves, what
//! they record, and whom they answer.

mod support;

use hub::login::{Role, sessions};
use indexes::{UseAct, UseEntry};
use jiff::SignedDuration;
use licence::{Licence, LicenceStatus, RevocationCause, Seq, StatusChange};
use support::{TestHub, people};

/// The pages of a test hub, and a browser without scripts, logged in as a clerk who also operates the connectors.
struct Pages {
    base: String,
    client: reqwest::Client,
    cookie: String,
    csrf: String,
}

/// What came back.
struct Page {
    status: u16,
    headers: reqwest::header::HeaderMap,
    html: String,
}

impl Pages {
    async fn of(hub: &TestHub) -> Self {
        let roles = [Role::Clerk, Role::Operator];
        let node = Some("government-services");
        let account = people::account("clerk", "周敏", Vec::new(), &roles, node);
        let person = hub.log_in(account).await;
        let client =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let cookie = format!("{}={}", sessions::COOKIE, person.secret);
        Self { base: hub.pages(), client, cookie, csrf: person.csrf }
    }

    async fn get(&self, path: &str) -> Page {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Page {
        let form = [&[("csrf", self.csrf.as_str())], form].concat();
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = self
            .client
            .post(format!("{}{path}", self.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        self.send(request).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let answer = request.header("Cookie", &self.cookie).send().await.unwrap();
        Page {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            html: answer.text().await.unwrap(),
        }
    }

    /// Stops pages and hub, so that the hub's folder can go.
    async fn close(self, mut hub: TestHub) {
        hub.stop().await;
    }
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        assert!(self.html.contains(text), "{text} is missing in:\n{}", self.html);
    }

    #[track_caller]
    fn hides(&self, text: &str) {
        assert!(!text.is_empty());
        assert!(!self.html.contains(text), "{text} is shown in:\n{}", self.html);
    }

    /// Text without tags, so that marks inside a name do not cut it.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in self.html.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                _ if !inside => text.push(c),
                _ => {}
            }
        }
        text
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The two characters in the middle of a name.
fn two_of(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    letters[letters.len() / 2 - 1..=letters.len() / 2].iter().collect()
}

/// A licence that the acting department may find, and that fits.
fn findable(hub: &TestHub, fits: impl Fn(&Licence) -> bool) -> Licence {
    let office = hub.office().department.code;
    let (licence, _) = hub.some_licence(|licence, pull| {
        pull.department == office
            && licence.valid_to.is_none_or(|last| last.year() > 2027)
            && pull.types.contains(&licence.licence_type)
            && fits(licence)
    });
    licence
}

fn of_a_person(licence: &Licence) -> bool {
    licence.holders[0].id.kind().is_person()
}

fn of_an_enterprise(licence: &Licence) -> bool {
    !of_a_person(licence)
}

async fn issue(hub: &TestHub, licence: &Licence) {
    let slug = slug_of(licence);
    let answer = hub.issuing(slug).issue(licence).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

fn slug_of(licence: &Licence) -> &'static str {
    let all = support::departments();
    all.iter().find(|one| one.code == *licence.issuer.credit_code()).unwrap().slug
}

async fn last_use(hub: &TestHub) -> UseEntry {
    let head = hub.hub.store.use_head().await.unwrap();
    hub.hub.store.use_entry(Seq(head.0 - 1)).await.unwrap().unwrap()
}

const REASON: (&str, &str) = ("reason", "核对开办材料");

#[actix_web::test]
async fn every_page_comes_in_both_languages_and_is_guarded() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_an_enterprise);
    issue(&hub, &licence).await;
    let pages = Pages::of(&hub).await;
    let identifier = format!("/licences/{}", licence.identifier);
    let paths = [
        ("/", 200),
        ("/licences", 200),
        (identifier.as_str(), 200),
        ("/connectors", 200),
        ("/connectors?refresh=off", 200),
        ("/connectors/nobody/set-aside", 404),
        ("/licences/1.2.156.3005.2.x", 400),
        ("/no/such/page", 404),
        ("/static/pages.000000000000.css", 404),
        ("/connectors/nobody/pause", 405),
    ];
    for (path, status) in paths {
        for (language, tag) in [("", "zh-CN"), ("zh", "zh-CN"), ("en", "en"), ("xx", "zh-CN")] {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = pages.get(&format!("{path}{joint}lang={language}")).await;
            assert_eq!(page.status, status, "{path} {language}");
            page.shows(&format!("<html lang=\"{tag}\">"));
            page.shows("<main id=\"main\"");
            page.shows("href=\"#main\"");
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
            assert_eq!(page.header("cache-control"), "no-store");
            assert_eq!(page.header("x-content-type-options"), "nosniff");
            assert_eq!(page.header("referrer-policy"), "no-referrer");
            let csp = page.header("content-security-policy");
            for rule in [
                "default-src 'none'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "form-action 'self'",
            ] {
                assert!(csp.contains(rule), "{csp}");
            }
            assert!(!csp.contains("unsafe"), "{csp}");
            // Nothing that the policy would have to allow by exception.
            page.hides(" style=");
            page.hides("<style");
            page.hides("javascript:");
            page.hides(" onclick");
            assert!(!page.html.contains("<script>"), "inline script on {path}");
        }
    }
    pages.close(hub).await;
}

#[actix_web::test]
async fn the_language_is_chosen_on_the_page_itself_and_kept_in_a_cookie() {
    let hub = TestHub::start().await;
    let pages = Pages::of(&hub).await;
    let page = pages.get("/connectors?refresh=off").await;
    page.shows("<html lang=\"zh-CN\">");
    page.shows("href=\"?refresh=off&amp;lang=en\"".replace("&amp;", "&#38;").as_str());
    assert!(page.headers.get("set-cookie").is_none());

    let page = pages.get("/connectors?lang=en").await;
    let cookie = page.header("set-cookie").to_owned();
    assert!(cookie.starts_with("lang=en; ") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(page.headers.get("location").is_none(), "nothing is redirected");

    let request = pages.client.get(format!("{}/", pages.base)).header("Cookie", "a=b; lang=en");
    pages.send(request).await.shows("<html lang=\"en\">");
    let request = pages.client.get(format!("{}/", pages.base)).header("Cookie", "lang=<script>");
    pages.send(request).await.shows("<html lang=\"zh-CN\">");
    pages.close(hub).await;
}

#[actix_web::test]
async fn an_enterprise_is_found_by_two_characters_and_opened_for_a_reason() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_an_enterprise);
    issue(&hub, &licence).await;
    hub.search_has_caught_up().await;
    let pages = Pages::of(&hub).await;
    let name = &licence.holders[0].name;
    let two = two_of(name);

    let page = pages.post("/licences", &[("q", &two), REASON]).await;
    assert_eq!(page.status, 200, "{}", page.html);
    page.shows(&format!("<mark>{two}</mark>"));
    assert!(page.text().contains(name.as_str()));
    page.shows(&format!("formaction=\"/licences/{}\"", licence.identifier));
    let search = last_use(&hub).await;
    assert_eq!(search.act, UseAct::Search);
    page.shows(&format!("使用日志第 {} 号", search.seq));
    for address in page.html.split("href=\"").chain(page.html.split("action=\"")).skip(1) {
        let address = address.split('"').next().unwrap();
        assert!(!address.contains(&two) && !address.contains(&encoded(&two)), "{address}");
    }

    let before = hub.uses().await;
    let path = format!("/licences/{}", licence.identifier);
    let page = pages.post(&path, &[REASON, ("q", &two), ("back", "1")]).await;
    assert_eq!(page.status, 200, "{}", page.html);
    page.shows("✓</span> 可信");
    page.hides("不成立");
    page.shows(name);
    page.shows(licence.holders[0].id.number());
    page.shows(&licence.number);
    for value in licence.fields.values().filter_map(|value| value.as_str()) {
        assert!(page.text().contains(value), "{value} is missing");
    }
    page.shows("返回检索结果");
    assert_eq!(hub.uses().await, before + 1);
    let view = last_use(&hub).await;
    page.shows(&format!("使用日志第 {} 号", view.seq));
    assert_eq!(view.act, UseAct::View);
    assert_eq!(view.reason, REASON.1);
    assert_eq!(view.caller, hub.office().department.code);
    assert_eq!(view.holder, Some(hub.hub.index_key.token(&licence.holders[0].id)));
    assert_eq!(view.shown[0].identifier, licence.identifier);
    assert_eq!(view.shown[0].result, "trusted");
    assert!(view.operator.is_some());

    let page = pages.post(&format!("{path}?lang=en"), &[REASON]).await;
    page.shows("✓</span> Trusted");
    page.shows("The content is, byte for byte, what was verified");
    pages.close(hub).await;
}

#[actix_web::test]
async fn a_look_shows_no_personal_data_and_is_recorded_all_the_same() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, |licence| licence.holders[0].id.number() == licence.number);
    issue(&hub, &licence).await;
    let pages = Pages::of(&hub).await;
    let (name, number) = (&licence.holders[0].name, licence.holders[0].id.number());
    let path = format!("/licences/{}", licence.identifier);

    let page = pages.get(&path).await;
    page.shows("✓</span> 可信");
    page.hides(name);
    page.hides(number);
    for value in licence.fields.values().filter_map(|value| value.as_str()) {
        assert!(value.chars().count() < 2 || !page.text().contains(value), "{value}");
    }
    let look = last_use(&hub).await;
    assert_eq!((look.act, look.holder), (UseAct::View, None));
    assert_eq!(look.shown[0].identifier, licence.identifier);

    // With a reason the content is shown, but a person's number by its ends only, also where it is
    // the number of the licence.
    assert_eq!(licence.number, number, "an identity card");
    let page = pages.post(&path, &[REASON]).await;
    page.shows(name);
    page.hides(number);
    page.shows(&number[..4]);
    pages.close(hub).await;
}

#[actix_web::test]
async fn a_persons_name_is_masked_in_results() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_a_person);
    issue(&hub, &licence).await;
    hub.search_has_caught_up().await;
    let pages = Pages::of(&hub).await;
    let name = &licence.holders[0].name;
    // By the licence's number: the name itself would stand in the form that is shown again.
    let page = pages.post("/licences", &[("q", &licence.number), REASON]).await;
    page.shows(licence.identifier.as_str());
    assert!(!page.text().contains(name.as_str()), "a person's name is shown");
    let masked = hub::http::search::masked(name);
    assert!(page.text().contains(&masked));
    pages.close(hub).await;
}

#[actix_web::test]
async fn without_a_reason_or_a_right_only_the_public_face_is_shown() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_an_enterprise);
    issue(&hub, &licence).await;
    let office = hub.office().department.code;
    let (withheld, _) = hub.some_licence(|licence, _| {
        let act = hub::policy::Act::Search(licence.licence_type);
        !hub.hub.policies.permit(&office, act)
    });
    issue(&hub, &withheld).await;
    let pages = Pages::of(&hub).await;

    let path = format!("/licences/{}", licence.identifier);
    let long = "长".repeat(201);
    for reason in ["", "  ", long.as_str()] {
        let page = pages.post(&path, &[("reason", reason)]).await;
        assert_eq!(page.status, 422);
        page.shows("请填写申请事由");
        page.hides(&licence.holders[0].name);
        page.hides(&licence.number);
    }
    let page = pages.post(&format!("/licences/{}", withheld.identifier), &[REASON]).await;
    assert_eq!(page.status, 403);
    page.shows("没有策略允许");
    page.hides(&withheld.holders[0].name);
    assert_eq!(last_use(&hub).await.holder, None);
    pages.close(hub).await;
}

#[actix_web::test]
async fn a_licence_that_fails_shows_the_broken_link_and_no_fields() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_an_enterprise);
    issue(&hub, &licence).await;
    let issuer = hub.issuing(slug_of(&licence));
    let pages = Pages::of(&hub).await;
    let path = format!("/licences/{}", licence.identifier);

    let answer = issuer.order(&licence.identifier, StatusChange::Suspend).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let page = pages.post(&path, &[REASON]).await;
    page.shows("✗</span> 不可信");
    page.shows("颁发机构已暂扣此证照。");
    page.hides(&licence.holders[0].name);
    page.hides(&licence.number);
    assert_eq!(last_use(&hub).await.shown[0].result, "untrusted");

    assert_eq!(issuer.order(&licence.identifier, StatusChange::Restore).await.status, 200);
    let page = pages.post(&path, &[REASON]).await;
    page.shows("✓</span> 可信");
    page.shows("按申请办理");
    for change in ["入库", "暂扣", "恢复"] {
        page.shows(change);
    }

    let revoke = StatusChange::Revoke { cause: RevocationCause::Deregistered };
    assert_eq!(issuer.order(&licence.identifier, revoke).await.status, 200);
    let stored = hub.hub.store.licence(&licence.identifier).await.unwrap().unwrap();
    assert!(matches!(stored.status, LicenceStatus::Revoked { .. }));
    let page = pages.post(&format!("{path}?lang=en"), &[REASON]).await;
    page.shows("✗</span> Not trusted");
    page.shows("Ended by its issuer (deregistered).");
    page.hides("按申请办理");
    pages.close(hub).await;
}

#[actix_web::test]
async fn an_old_revocation_list_makes_the_verdict_undetermined() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_an_enterprise);
    issue(&hub, &licence).await;
    hub.hub.clock.advance(SignedDuration::from_hours(24 * 300));
    let pages = Pages::of(&hub).await;
    let page = pages.get(&format!("/licences/{}", licence.identifier)).await;
    page.shows("?</span> 暂不能确定");
    page.shows("?</span> 无法判断");
    page.shows("吊销列表已过期");
    pages.close(hub).await;
}

#[actix_web::test]
async fn results_are_paged_and_narrowed_by_forms() {
    let hub = TestHub::start().await;
    let office = hub.office().department.code;
    let may_find = |licence: &Licence| {
        hub.hub.policies.permit(&office, hub::policy::Act::Search(licence.licence_type))
    };
    let licences: Vec<Licence> = hub.licences().filter(may_find).take(25).collect();
    for licence in &licences {
        issue(&hub, licence).await;
    }
    hub.search_has_caught_up().await;
    let pages = Pages::of(&hub).await;

    let first = pages.post("/licences", &[("q", ""), REASON]).await;
    first.shows("共 25 件，显示第 1–20 件");
    first.shows("name=\"cursor\" value=\"20\"");
    first.shows("下一页");
    first.hides("上一页");
    let second = pages.post("/licences", &[("q", ""), REASON, ("cursor", "20")]).await;
    second.shows("显示第 21–25 件");
    second.shows("上一页");
    second.hides("下一页");
    let shown = |page: &Page, licence: &&Licence| page.html.contains(licence.identifier.as_str());
    assert_eq!(licences.iter().filter(|one| shown(&first, one)).count(), 20);
    assert_eq!(licences.iter().filter(|one| shown(&second, one)).count(), 5);
    assert!(!licences.iter().any(|one| shown(&first, &one) && shown(&second, &one)));

    let code = licences[0].licence_type;
    first.shows(&format!("name=\"type\" value=\"{code}\""));
    let of_type = licences.iter().filter(|one| one.licence_type == code).count();
    let page = pages.post("/licences", &[REASON, ("type", code.as_str())]).await;
    page.shows(&format!("共 {of_type} 件"));
    page.shows("aria-pressed=\"true\"");
    let page = pages.post("/licences", &[REASON, ("status", "revoked")]).await;
    page.shows("没有找到证照");
    let page = pages.post("/licences", &[REASON, ("issued_from", "2031-01-01")]).await;
    page.shows("没有找到证照");

    for (name, value) in
        [("issued_from", "yesterday"), ("type", "x"), ("status", "x"), ("holder_kind", "x")]
    {
        let before = hub.uses().await;
        let page = pages.post("/licences", &[REASON, (name, value)]).await;
        assert_eq!(page.status, 400, "{name}");
        page.shows("role=\"alert\"");
        page.shows("有一项条件的格式不对");
        assert_eq!(hub.uses().await, before, "a refused search is no use");
    }
    pages.close(hub).await;
}

#[actix_web::test]
async fn what_is_typed_in_is_shown_as_text() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_an_enterprise);
    issue(&hub, &licence).await;
    let pages = Pages::of(&hub).await;
    let script = "\"><script>alert(1)</script>{{7*7}}";
    let path = format!("/licences/{}", licence.identifier);
    let names = [
        "q",
        "reason",
        "type",
        "status",
        "holder_kind",
        "issued_from",
        "issued_to",
        "cursor",
        "back",
    ];
    for name in names {
        let mut form = vec![(name, script)];
        if name != "reason" {
            form.push(REASON);
        }
        for path in ["/licences", path.as_str()] {
            let page = pages.post(path, &form).await;
            page.hides("<script>");
            assert!(page.status < 500, "{path} {name}");
        }
    }
    for path in [
        "/licences/%3Cscript%3E",
        "/%3Cscript%3E",
        "/?lang=%3Cscript%3E",
        "/connectors/%3Cscript%3E/set-aside",
    ] {
        pages.get(path).await.hides("<script>");
    }
    pages.close(hub).await;
}

#[actix_web::test]
async fn what_does_not_exist_is_said_in_words() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_an_enterprise);
    let pages = Pages::of(&hub).await;
    let page = pages.get(&format!("/licences/{}", licence.identifier)).await;
    assert_eq!(page.status, 404);
    page.shows("库中没有这个标识的证照");
    page.shows("unknown_licence");
    let page = pages.get("/licences/1.2.156.3005.2.nonsense?lang=en").await;
    assert_eq!(page.status, 400);
    page.shows("The identifier is malformed");
    let request = pages
        .client
        .post(format!("{}/licences", pages.base))
        .header("Content-Type", "application/json")
        .body("{}");
    let page = pages.send(request).await;
    assert_eq!(page.status, 400);
    page.shows("form_malformed");
    let page = pages.post("/licences", &[("q", &"长".repeat(100_000))]).await;
    assert_eq!(page.status, 400);
    let request = pages.client.delete(format!("{}/licences", pages.base));
    assert_eq!(pages.send(request).await.status, 405);
    let request = pages.client.head(format!("{}/", pages.base));
    assert_eq!(pages.send(request).await.status, 200);
    pages.close(hub).await;
}

#[actix_web::test]
async fn nothing_from_another_site_is_answered_or_recorded() {
    let hub = TestHub::start().await;
    let licence = findable(&hub, of_an_enterprise);
    issue(&hub, &licence).await;
    let pages = Pages::of(&hub).await;
    let before = hub.uses().await;
    let url = format!("{}/licences/{}", pages.base, licence.identifier);
    let form = |request: reqwest::RequestBuilder| {
        request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("reason=x&csrf={}", pages.csrf))
    };
    let evil = "https://evil.example";
    let refused = [
        form(pages.client.post(&url).header("Origin", evil)),
        form(pages.client.post(&url).header("Origin", "null")),
        form(pages.client.post(&url).header("Sec-Fetch-Site", "cross-site")),
        pages.client.get(&url).header("Host", "evil.example"),
        form(pages.client.post(&url).header("Host", "evil.example:80")),
        pages
            .client
            .get(&url)
            .header("Sec-Fetch-Site", "cross-site")
            .header("Sec-Fetch-Mode", "no-cors"),
    ];
    for request in refused {
        let page = pages.send(request).await;
        assert_eq!(page.status, 403, "{}", page.html);
        page.hides(&licence.number);
        assert_eq!(page.header("cache-control"), "no-store");
    }
    assert_eq!(hub.uses().await, before);
    let own = form(pages.client.post(&url).header("Origin", &pages.base));
    assert_eq!(pages.send(own).await.status, 200);
    pages.close(hub).await;
}

#[actix_web::test]
async fn a_counterpart_that_is_away_is_explained_paused_and_resumed() {
    // Nobody listens on port 9 (discard) of the loopback.
    let hub = TestHub::start_with(
        "[[connectors]]\nname = \"city\"\nkind = \"http\"\nurl = \"https://127.0.0.1:9\"\n\
         ca = \"ca.pem\"\ncertificate = \"server.pem\"\nkey = \"server.key\"\nbackoff_min_ms = 50\n\
         backoff_max_ms = 100",
    )
    .await;
    issue(&hub, &findable(&hub, of_an_enterprise)).await;
    let runner = &hub.hub.connectors["city"];
    let mut watched = runner.watch();
    watched.wait_for(|state| state.is_failing() && state.lag == 1).await.unwrap();
    let pages = Pages::of(&hub).await;

    let page = pages.get("/connectors").await;
    page.shows("✗</span> 出错，等待重试");
    page.shows("连不上对方。");
    page.shows("怎么办");
    page.shows("connect_failed");
    page.shows("1 条");
    page.shows("<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>");
    pages.get("/connectors?refresh=off").await.hides("http-equiv=\"refresh\"");
    pages.get("/connectors?lang=en").await.shows("The counterpart cannot be reached.");

    let page = pages.post("/connectors/city/pause", &[]).await;
    assert_eq!(page.status, 400);
    page.shows("请写明原因");
    let page = pages.post("/connectors/city/pause", &[("why", "对方停机维护")]).await;
    assert_eq!((page.status, page.header("location")), (303, "/connectors/city"));
    watched.wait_for(|state| state.paused).await.unwrap();
    let page = pages.get("/connectors").await;
    page.shows("已暂停");
    let page = pages.get("/connectors/city").await;
    page.shows("action=\"/connectors/city/resume\"");
    page.shows("对方停机维护");
    page.shows("<svg class=\"chart\"");
    let page = pages.post("/connectors/city/resume", &[("why", "维护结束")]).await;
    assert_eq!((page.status, page.header("location")), (303, "/connectors/city"));
    watched.wait_for(|state| !state.paused).await.unwrap();

    let page = pages.post("/connectors/city/replay", &[("why", "核对"), ("from", "99")]).await;
    assert_eq!(page.status, 400);
    page.shows("没有这个序号");
    let page = pages.post("/connectors/city/reconcile", &[("why", "核对")]).await;
    assert_eq!(page.status, 503);
    page.shows("对方现在没有回答");
    let page = pages.get("/connectors/city/set-aside").await;
    assert_eq!(page.status, 200);
    page.shows("没有退回记录");
    assert_eq!(pages.post("/connectors/nobody/pause", &[]).await.status, 404);
    pages.close(hub).await;
}

#[actix_web::test]
async fn pages_are_light_and_their_files_are_kept_for_a_year() {
    let hub = TestHub::start().await;
    let pages = Pages::of(&hub).await;
    let page = pages.get("/connectors").await;
    let mut weight = page.html.len();
    let mut files = 0;
    for part in page.html.split(['"', '\'']).filter(|part| part.starts_with("/static/")) {
        let file = pages.get(part).await;
        assert_eq!(file.status, 200, "{part}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        weight += file.html.len();
        files += 1;
    }
    assert!(files >= 3, "style sheet, script and mark");
    assert!(weight < 50_000, "{weight} bytes");
    pages.close(hub).await;
}
