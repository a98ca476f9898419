//! What another site could make a browser send: every form of every page and every call that changes something, without
//! the session's token or with somebody else's. Each is refused, and nothing is changed. The routes come from what is
//! really served: one that is new is tested too.

mod support;

use std::collections::BTreeMap;

use district::Story;
use hub::http::Description;
use indexes::Collection;
use jiff::civil::date;
use reqwest::Method;
use serde_json::{Value, json};
use support::{
    TestHub, departments,
    people::{Page, PageClient},
};
use utoipa::OpenApi;

/// Everything that people can change. Sessions are left out: being seen changes them.
const KEPT: [&str; 14] = [
    "cases",
    "cases_of_holder",
    "cases_of_department",
    "materials",
    "materials_of_holder",
    "uploads",
    "consents",
    "consents_of_holder",
    "consents_of_department",
    "grant_terms",
    "corrections",
    "disputes",
    "case_outbox",
    "promises_of_holder",
];

struct Scene {
    hub: TestHub,
    people: Vec<PageClient>,
    ids: BTreeMap<&'static str, String>,
}

impl Scene {
    /// A draft of the applicant's at a window, an upload, a consent that waits, a dispute.
    async fn set() -> Self {
        let hub = TestHub::start_prepared("127.0.0.1:0", |_| {
            "[[connectors]]\nname = \"province\"\nkind = \"frontdb\"\n\
             connection = \"host=127.0.0.1 port=1 user=x dbname=x\"\n"
                .to_owned()
        })
        .await;
        let found = hub.district.applicant(Story::FoodShop, date(2026, 3, 2)).unwrap();
        for licence in &found.licences {
            let all = departments();
            let issuer = all.iter().find(|one| one.code == *licence.issuer.credit_code()).unwrap();
            assert_eq!(hub.issuing(issuer.slug).issue(licence).await.status, 201);
        }
        let applicant = hub.applicant(found.index).await;
        let window = hub.window_clerk().await;
        let made = async |client: &PageClient, path: &str, body: Value| {
            let answer = client.call(Method::POST, path, Some(&body)).await;
            assert!((200..300).contains(&answer.status), "{path}: {}", answer.text);
            answer.json["id"].as_str().unwrap().to_owned()
        };
        let matter = Story::FoodShop.code();
        let holder = json!({ "kind": "111", "number": found.holder.id.number() });
        let case = json!({ "matter": matter, "holder": holder });
        let case = made(&window, "/v1/cases", case).await;
        let upload =
            json!({ "kind": district::FLOOR_PLAN, "name": "a.png", "size": 1, "case": case });
        let upload = made(&applicant, "/v1/materials", upload).await;
        let card = &found.licences[0];
        let asked = json!({
            "holder": holder, "licences": [{ "type": card.licence_type, "fields": [] }],
            "matter": matter, "reason": "核对", "until": "2026-06-01",
        });
        let consent = made(&window, "/v1/grants", asked).await;
        let field = card.fields.keys().next().unwrap();
        let dispute =
            json!({ "licence": card.identifier, "field": field, "says": "甲", "why": "乙" });
        let correction = made(&applicant, "/v1/corrections", dispute).await;
        let ids = BTreeMap::from([
            ("cases", case),
            ("uploads", upload),
            ("consents", consent.clone()),
            ("grants", consent),
            ("corrections", correction),
            ("licences", card.identifier.to_string()),
            ("matters", matter.to_string()),
            ("connectors", "province".to_owned()),
        ]);
        let people = vec![
            applicant,
            window,
            hub.department_clerk("government-services").await,
            hub.department_clerk("public-security").await,
            hub.operator().await,
        ];
        Self { hub, people, ids }
    }

    fn address(&self, route: &str) -> String {
        let mut before = "";
        let parts = route.split('/').map(|part| {
            let id = self.ids.get(before).map_or("none", String::as_str);
            before = part;
            if part.starts_with('{') { id } else { part }
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// All that is kept, and how many uses there are.
    async fn kept(&self) -> Vec<String> {
        let mut kept = vec![format!("{} uses", self.hub.uses().await)];
        for name in KEPT {
            let collection = Collection::new(name);
            for record in self.hub.hub.store.records(collection, b"", None, 10_000).await.unwrap() {
                kept.push(format!("{name} {:?} {:?}", record.key, record.value));
            }
        }
        kept
    }

    /// Whether a person's session still holds.
    async fn is_logged_in(&self, person: &PageClient) -> bool {
        person.get("/me/sessions").await.status == 200
    }
}

fn form(route: &str, csrf: Option<&str>) -> (&'static str, String) {
    if route.ends_with("/files") {
        let part = |name: &str, value: &str| {
            format!("--e\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let token = csrf.map(|csrf| part("csrf", csrf)).unwrap_or_default();
        let body = format!("{token}{}--e--\r\n", part("requirement", district::FLOOR_PLAN));
        return ("multipart/form-data; boundary=e", body);
    }
    let token = csrf.map(|csrf| format!("csrf={csrf}&")).unwrap_or_default();
    let body = format!(
        "{token}reason=x&granted=1&item=floor-plan&why-floor-plan=x&outcome=kept&answer=yes&holder=0\
         &field-shop-name=x&requirement=floor-plan"
    );
    ("application/x-www-form-urlencoded", body)
}

#[actix_web::test]
async fn no_form_is_taken_without_the_token_of_its_own_session() {
    let scene = Scene::set().await;
    let before = scene.kept().await;
    let mut refused = BTreeMap::new();
    for route in hub::pages::patterns() {
        let path = scene.address(&route);
        for (number, person) in scene.people.iter().enumerate() {
            let other = &scene.people[(number + 1) % scene.people.len()].csrf;
            let cut = &person.csrf[..person.csrf.len() - 1];
            for token in [None, Some(""), Some(cut), Some(other.as_str())] {
                let (kind, body) = form(&route, token);
                let request = person.page(Method::POST, &path).header("Content-Type", kind);
                let page: Page = person.send(request.body(body)).await;
                if page.status == 405 {
                    continue;
                }
                let by_token = page.status == 403 && page.html.contains("csrf_token");
                // Pages of another role, and things that are somebody else's, need not be asked for a token.
                let by_role = [401, 403, 404].contains(&page.status);
                assert!(by_token || by_role, "{route}: {} {}", page.status, page.html);
                *refused.entry(route.clone()).or_insert(0) += usize::from(by_token);
            }
        }
    }
    assert!(refused.len() > 30, "the pages were found: {refused:?}");
    for (route, times) in &refused {
        assert!(*times >= 4, "{route}: nobody was refused for the token");
    }
    assert_eq!(scene.kept().await, before, "nothing is changed");
    for person in &scene.people {
        assert!(scene.is_logged_in(person).await, "nobody is logged out");
    }
}

#[actix_web::test]
async fn no_call_that_changes_something_is_taken_without_the_token_of_its_own_session() {
    let scene = Scene::set().await;
    let before = scene.kept().await;
    let description = serde_json::to_value(Description::openapi()).unwrap();
    let (mut by_token, mut asked) = (0, 0);
    for (route, methods) in description["paths"].as_object().unwrap() {
        let path = scene.address(route);
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            if method.is_safe() {
                continue;
            }
            for (number, person) in scene.people.iter().enumerate() {
                let other = &scene.people[(number + 1) % scene.people.len()].csrf;
                for token in [None, Some(""), Some(other.as_str())] {
                    let mut request = person.api(method.clone(), &path);
                    if let Some(token) = token {
                        request = request.header("X-Yihao-Csrf", token);
                    }
                    let request = match method {
                        Method::PATCH => request
                            .header("Content-Type", "application/offset+octet-stream")
                            .header("Upload-Offset", "0")
                            .body("x"),
                        _ => request.json(&json!({ "answer": "yes", "step": "accept" })),
                    };
                    let answer = request.send().await.unwrap();
                    let status = answer.status().as_u16();
                    let problem: Value = answer.json().await.unwrap();
                    asked += 1;
                    match (status, problem["code"].as_str().unwrap()) {
                        (403, "csrf_token") => by_token += 1,
                        // Calls of systems alone look for a certificate and for no session.
                        (401, "certificate_required") => {}
                        other => panic!("{method} {route}: {other:?} {problem}"),
                    }
                }
            }
        }
    }
    assert!(by_token > 15 * 15, "{by_token} of {asked} were refused for the token");
    assert_eq!(scene.kept().await, before, "nothing is changed");
}

#[actix_web::test]
async fn a_browser_that_holds_a_departments_certificate_is_not_made_to_use_it_by_other_sites() {
    let scene = Scene::set().await;
    let system = scene.hub.office();
    for (site, answered) in [
        (None, 200),
        (Some("none"), 200),
        (Some("same-origin"), 200),
        (Some("same-site"), 403),
        (Some("cross-site"), 403),
    ] {
        let mut request = system.client.get(scene.hub.url("/v1/grants"));
        if let Some(site) = site {
            request = request.header("Sec-Fetch-Site", site);
        }
        assert_eq!(request.send().await.unwrap().status(), answered, "{site:?}");
    }
    let request = system.client.post(scene.hub.url("/v1/connectors/province/pause"));
    let refused = request.header("Sec-Fetch-Site", "cross-site").send().await.unwrap();
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "cross_site", "{problem}");
}
