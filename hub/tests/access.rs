//! Who may what: every page and every call against every role, in one table. The rows are checked against the routes that
//! are really served: one that is missing here, or is no longer there, fails.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use district::Story;
use hub::http::Description;
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use support::{Actor, NOW, TestHub, people::PageClient};
use utoipa::OpenApi;

/// Who asks. The letter stands in the table.
const ROLES: [(char, &str); 12] = [
    ('-', "nobody"),
    ('x', "a department of another place, with a good certificate"),
    ('b', "another applicant"),
    ('v', "a clerk in another street"),
    ('e', "a clerk of another department"),
    ('i', "a clerk of the department that issued the licence"),
    ('u', "an auditor"),
    ('o', "the operator"),
    ('w', "the clerk at the window where the case was opened"),
    ('d', "a clerk of the department that decides"),
    ('s', "that department's system"),
    ('a', "the applicant, whose everything is"),
];

/// For each route, who gets past the door: everybody else is told to log in, that it is not theirs, or that there is no
/// such thing.
const TABLE: &[(&str, &str)] = &[
    ("GET /", "-xbveiuowdsa"),
    ("GET /connectors", "o"),
    ("GET /connectors/{name}", "o"),
    ("GET /connectors/{name}/code-map", "o"),
    ("GET /connectors/{name}/reconciliations/{report}", ""),
    ("GET /connectors/{name}/set-aside", "o"),
    ("GET /healthz", "-xbveiuowdsa"),
    ("GET /licences", "veiwd"),
    ("GET /licences/{identifier}", "veiwd"),
    ("GET /login", "-xbveiuowdsa"),
    ("GET /login/callback", "-xbveiuowdsa"),
    ("GET /matters", "-xbveiuowdsa"),
    ("GET /matters/{code}", "-xbveiuowdsa"),
    ("GET /matters/{code}/print", "-xbveiuowdsa"),
    ("GET /matters/{code}/qr.svg", "-xbveiuowdsa"),
    ("GET /me", "ba"),
    ("GET /me/cases", "ba"),
    ("GET /me/cases/{id}", "a"),
    ("GET /me/cases/{id}/letters/{letter}", "a"),
    ("GET /me/consents", "ba"),
    ("GET /me/consents/{id}", "a"),
    ("GET /me/corrections", "ba"),
    ("GET /me/corrections/{id}", "a"),
    ("GET /me/licences", "ba"),
    ("GET /me/licences/{identifier}", "a"),
    ("GET /me/licences/{identifier}/files/{sha256}", ""),
    ("GET /me/materials", "ba"),
    ("GET /me/sessions", "bveiuowda"),
    ("GET /me/uses", "ba"),
    ("GET /metrics", "-xbveiuowdsa"),
    ("GET /readyz", "-xbveiuowdsa"),
    ("GET /static/{file}", ""),
    ("GET /v1/cases", "xbveiwdsa"),
    ("GET /v1/cases/{id}", "wdsa"),
    ("GET /v1/cases/{id}/package", "wdsa"),
    ("GET /v1/catalogue", "-xbveiuowdsa"),
    ("GET /v1/changes", "s"),
    ("GET /v1/changes/snapshot", "s"),
    ("GET /v1/connectors", "s"),
    ("GET /v1/connectors/{name}/actions", "s"),
    ("GET /v1/connectors/{name}/code-map", "s"),
    ("GET /v1/connectors/{name}/reconciliations", "s"),
    ("GET /v1/connectors/{name}/reconciliations/{id}", ""),
    ("GET /v1/connectors/{name}/set-aside", "s"),
    ("GET /v1/corrections", "xveiwds"),
    ("GET /v1/corrections/{id}", "ia"),
    ("GET /v1/exchange/holdings", "s"),
    ("GET /v1/exchange/tallies", "s"),
    ("GET /v1/grants", "xveiwds"),
    ("GET /v1/grants/{id}", "dsa"),
    ("GET /v1/grants/{id}/licences/{identifier}", "ds"),
    ("GET /v1/grants/{id}/licences/{identifier}/files/{sha256}", ""),
    ("GET /v1/holders/me/consents", "ba"),
    ("GET /v1/holders/me/corrections", "ba"),
    ("GET /v1/holders/me/licences", "ba"),
    ("GET /v1/holders/me/licences/{identifier}/files/{sha256}", ""),
    ("GET /v1/holders/me/uses", "ba"),
    ("GET /v1/inbound", "s"),
    ("GET /v1/inbound/{name}/actions", "s"),
    ("GET /v1/keys", "-xbveiuowdsa"),
    ("GET /v1/licences/{identifier}", "-xbveiuowdsa"),
    ("GET /v1/materials", "ba"),
    ("GET /v1/materials/{id}", "wdsa"),
    ("GET /v1/materials/{id}/content", "wdsa"),
    ("GET /v1/matters", "-xbveiuowdsa"),
    ("GET /v1/matters/{code}/checklist", "ba"),
    ("GET /v1/search", "s"),
    ("GET /window", "veiwd"),
    ("GET /window/cases", "veiwd"),
    ("GET /window/cases/{id}", "wd"),
    ("GET /window/cases/{id}/files/{material}", "wd"),
    ("GET /window/cases/{id}/letters/{letter}", "wd"),
    ("GET /window/consents", "veiwd"),
    ("GET /window/consents/{id}", "d"),
    ("GET /window/corrections", "veiwd"),
    ("GET /window/corrections/{id}", "i"),
    ("GET /window/corrections/{id}/files/{material}", ""),
    ("HEAD /v1/materials/uploads/{id}", "a"),
    ("PATCH /v1/materials/uploads/{id}", "a"),
    ("PUT /v1/cases/{id}/form", "wa"),
    ("PUT /v1/connectors/{name}/code-map", "s"),
    ("POST /connectors/{name}/code-map", "o"),
    ("POST /connectors/{name}/pause", "o"),
    ("POST /connectors/{name}/preview", "o"),
    ("POST /connectors/{name}/reconcile", "o"),
    ("POST /connectors/{name}/replay", "o"),
    ("POST /connectors/{name}/resume", "o"),
    ("POST /connectors/{name}/retry", "o"),
    ("POST /connectors/{name}/send-again", "o"),
    ("POST /licences", "veiwd"),
    ("POST /licences/{identifier}", "veiwd"),
    ("POST /matters", "-xbveiuowdsa"),
    ("POST /me/cases", "ba"),
    ("POST /me/cases/{id}/files", "a"),
    ("POST /me/cases/{id}/form", "a"),
    ("POST /me/cases/{id}/promise", "a"),
    ("POST /me/cases/{id}/submit", "a"),
    ("POST /me/consents/{id}/answer", "a"),
    ("POST /me/corrections", "a"),
    ("POST /me/holder", "ba"),
    ("POST /v1/cases", "ba"),
    ("POST /v1/cases/{id}/materials", "wa"),
    ("POST /v1/cases/{id}/promise", "wa"),
    ("POST /v1/cases/{id}/steps", "ds"),
    ("POST /v1/cases/{id}/submit", "wa"),
    ("POST /v1/connectors/{name}/pause", "s"),
    ("POST /v1/connectors/{name}/preview", "s"),
    ("POST /v1/connectors/{name}/reconcile", "s"),
    ("POST /v1/connectors/{name}/replay", "s"),
    ("POST /v1/connectors/{name}/resume", "s"),
    ("POST /v1/connectors/{name}/retry", "s"),
    ("POST /v1/corrections", "a"),
    ("POST /v1/corrections/{id}/answer", "i"),
    ("POST /v1/exchange/events", "s"),
    ("POST /v1/grants", "xveiwds"),
    ("POST /v1/grants/{id}/decision", "a"),
    ("POST /v1/inbound/{name}/pause", "s"),
    ("POST /v1/inbound/{name}/resume", "s"),
    ("POST /v1/licences", "xs"),
    ("POST /v1/licences/batches", "xs"),
    ("POST /v1/licences/{identifier}/status", "xs"),
    ("POST /v1/materials", "wa"),
    ("POST /v1/materials/uploads/{id}/finish", "a"),
    ("POST /v1/pulls", "xs"),
    ("POST /v1/search", "s"),
    ("POST /v1/verify", "xs"),
    ("POST /window", "veiwd"),
    ("POST /window/cases", "veiwd"),
    ("POST /window/cases/find", "wd"),
    ("POST /window/cases/{id}/accept", "d"),
    ("POST /window/cases/{id}/decide", "d"),
    ("POST /window/cases/{id}/decline", "d"),
    ("POST /window/cases/{id}/files", "wd"),
    ("POST /window/cases/{id}/form", "w"),
    ("POST /window/cases/{id}/licences/{licence}", "wd"),
    ("POST /window/cases/{id}/materials", "w"),
    ("POST /window/cases/{id}/promise", "w"),
    ("POST /window/cases/{id}/result", "d"),
    ("POST /window/cases/{id}/submit", "w"),
    ("POST /window/cases/{id}/supplement", "d"),
    ("POST /window/consents", "veiwd"),
    ("POST /window/consents/choose", "veiwd"),
    ("POST /window/consents/{id}/open", "d"),
    ("POST /window/corrections/{id}", "i"),
    ("POST /me/cases/{id}/withdraw", "a"),
    ("POST /me/consents/{id}/withdraw", "a"),
    ("POST /v1/cases/{id}/withdraw", "wa"),
    ("POST /window/cases/{id}/withdraw", "w"),
    ("DELETE /v1/grants/{id}", "dsa"),
    ("DELETE /v1/materials/uploads/{id}", "a"),
    ("POST /me/sessions/end", "bveiuowda"),
    ("POST /me/sessions/{session}/end", ""),
    ("POST /logout", "-xbveiuowdsa"),
];

/// Everybody, and everything that ids stand for.
struct Scene {
    hub: TestHub,
    nobody: reqwest::Client,
    people: BTreeMap<char, PageClient>,
    systems: BTreeMap<char, Actor>,
    /// What stands for each parameter of a route.
    ids: BTreeMap<&'static str, String>,
}

impl Scene {
    async fn set() -> Self {
        let hub = TestHub::start_prepared("127.0.0.1:0", |path| {
            std::fs::write(path.join("client.secret"), "a secret of the tests alone").unwrap();
            "[login]\nissuer = \"http://127.0.0.1:1\"\nclient_id = \"yihao\"\n\
             client_secret = \"client.secret\"\naddress = \"http://127.0.0.1:2\"\n\
             [[connectors]]\nname = \"province\"\nkind = \"frontdb\"\n\
             connection = \"host=127.0.0.1 port=1 user=x dbname=x\"\n\
             [[connectors]]\nname = \"desk\"\nkind = \"casebase\"\ndepartments = [\"91350100M000100Y43\"]\n\
             connection = \"host=127.0.0.1 port=1 user=x dbname=x\"\n\
             [[inbound]]\nname = \"register\"\nkind = \"exchange\"\ndepartment = \"91350100M000100Y43\"\n\
             signatures = \"unsigned\"\nconnection = \"host=127.0.0.1 port=1 user=x dbname=x\"\n"
                .to_owned()
        })
        .await;
        let day = hub::clock::day_in_china(NOW.parse::<Timestamp>().unwrap());
        let found = hub.district.applicant(Story::FoodShop, day).expect("the district has one");
        for licence in &found.licences {
            let issuer = licence.issuer.credit_code();
            let departments = district::issuing_departments();
            let department = departments.iter().find(|one| one.code == *issuer).unwrap();
            assert_eq!(hub.issuing(department.slug).issue(licence).await.status, 201);
        }
        let applicant = hub.applicant(found.index).await;
        let system = hub.office();
        let another = (0..).find(|index| *index != found.index).unwrap();
        let people = BTreeMap::from([
            ('b', hub.applicant(another).await),
            ('v', hub.clerk("baishi-1").await),
            ('e', hub.clerk("housing").await),
            ('i', hub.clerk("public-security").await),
            ('u', hub.auditor().await),
            ('o', hub.operator().await),
            ('w', hub.window_clerk().await),
            ('d', hub.clerk("government-services").await),
            ('a', applicant),
        ]);
        let systems = BTreeMap::from([('x', hub.stranger()), ('s', system)]);
        let nobody = hub.client_builder().redirect(reqwest::redirect::Policy::none());
        let nobody = nobody.build().unwrap();
        let mut scene = Self { hub, nobody, people, systems, ids: BTreeMap::new() };
        scene.make_things(&found).await;
        scene
    }

    /// A case opened at the window and submitted, an upload, a file, a consent, a grant, a correction: all the applicant's.
    async fn make_things(&mut self, found: &district::Applicant) {
        let matter = Story::FoodShop.code();
        let holder = json!({ "kind": "111", "number": found.holder.id.number() });
        let made = |answer: support::Answer| {
            assert!((200..300).contains(&answer.status), "{} {}", answer.status, answer.text);
            answer.json
        };
        let window = &self.people[&'w'];
        let applicant = &self.people[&'a'];
        let case = json!({ "matter": matter, "holder": holder });
        let case = made(window.call(Method::POST, "/v1/cases", Some(&case)).await);
        let case = case["id"].as_str().unwrap().to_owned();
        let begin = |name: &str, bytes: &[u8]| json!({ "kind": district::FLOOR_PLAN, "name": name, "size": bytes.len(), "case": case });
        let upload = begin("another.png", PNG);
        let upload = made(applicant.call(Method::POST, "/v1/materials", Some(&upload)).await);
        let file = begin("plan.png", PNG);
        let file = made(applicant.call(Method::POST, "/v1/materials", Some(&file)).await);
        let address = format!("/v1/materials/uploads/{}", file["id"].as_str().unwrap());
        let sent = applicant
            .api(Method::PATCH, &address)
            .header("X-Yihao-Csrf", &applicant.csrf)
            .header("Content-Type", "application/offset+octet-stream")
            .header("Upload-Offset", "0")
            .body(PNG.to_vec());
        assert!(sent.send().await.unwrap().status().is_success());
        let finish = format!("{address}/finish");
        let material = made(applicant.call(Method::POST, &finish, Some(&json!({}))).await);
        let card = found.licences[0].clone();
        let asked = json!({
            "holder": holder, "licences": [{ "type": card.licence_type, "fields": [] }],
            "matter": matter, "reason": "核对", "until": "2026-06-01",
        });
        let consent = made(self.systems[&'s'].post("/v1/grants", &asked).await);
        let pull = json!({
            "holder": holder, "types": [card.licence_type], "matter": matter,
            "basis": { "kind": "holder" }, "reason": "核对",
        });
        let pull = made(self.systems[&'s'].post("/v1/pulls", &pull).await);
        let field = card.fields.keys().next().unwrap();
        let dispute = json!({ "licence": card.identifier, "field": field, "says": "另一内容", "why": "写错了" });
        let correction =
            made(applicant.call(Method::POST, "/v1/corrections", Some(&dispute)).await);
        let form = self.hub.hub.matters.get(&matter).expect("it is known").guide.forms.clone();
        let fields: BTreeMap<String, &str> =
            form.into_iter().flat_map(|form| form.fields).map(|field| (field.id, "按图")).collect();
        let fill = json!({ "fields": fields });
        let form = format!("/v1/cases/{case}/form");
        made(applicant.call(Method::PUT, &form, Some(&fill)).await);
        let attach = json!({ "requirement": "floor-plan", "material": material["id"] });
        let materials = format!("/v1/cases/{case}/materials");
        made(applicant.call(Method::POST, &materials, Some(&attach)).await);
        made(applicant.call(Method::POST, &format!("/v1/cases/{case}/submit"), None).await);
        let steps = format!("/v1/cases/{case}/steps");
        made(self.systems[&'s'].post(&steps, &json!({ "step": "accept" })).await);
        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        self.ids = BTreeMap::from([
            ("case", case),
            ("upload", id(&upload)),
            ("material", id(&material)),
            ("consent", id(&consent)),
            ("grant", pull["grant"].as_str().unwrap().to_owned()),
            ("correction", id(&correction)),
            ("licence", card.identifier.to_string()),
            ("matter", matter.to_string()),
            ("connector", "province".to_owned()),
        ]);
    }

    /// A route with its parameters filled in.
    fn address(&self, route: &str) -> String {
        let mut filled = Vec::new();
        let mut before = "";
        for part in route.split('/') {
            filled.push(match (part, before) {
                ("{id}" | "{case}", "cases") => self.ids["case"].clone(),
                ("{id}", "uploads") => self.ids["upload"].clone(),
                ("{id}", "materials") | ("{material}", _) => self.ids["material"].clone(),
                ("{id}", "consents") => self.ids["consent"].clone(),
                // A consent where it is asked for and decided, a grant where content is opened.
                ("{id}", "grants") if route.contains("/licences/") => self.ids["grant"].clone(),
                ("{id}", "grants") => self.ids["consent"].clone(),
                ("{id}", "corrections") => self.ids["correction"].clone(),
                ("{identifier}" | "{licence}", _) => self.ids["licence"].clone(),
                ("{sha256}", _) => "0".repeat(64),
                ("{code}", "matters") => self.ids["matter"].clone(),
                ("{name}", "connectors") if route.ends_with("/send-again") => "desk".to_owned(),
                ("{name}", "connectors") => self.ids["connector"].clone(),
                ("{name}", "inbound") => "register".to_owned(),
                ("{id}", "reconciliations") => "20260302T010000.000000Z".to_owned(),
                ("{report}", _) => "20260302T010203.000456Z".to_owned(),
                ("{letter}", _) => "acceptance".to_owned(),
                ("{n}" | "{number}" | "{session}", "sessions") => "1".to_owned(),
                ("{file}", "static") => "none.css".to_owned(),
                (part, _) if part.starts_with('{') => panic!("what stands for {part} in {route}?"),
                (part, _) => part.to_owned(),
            });
            before = part;
        }
        filled.join("/")
    }

    /// A body that gets as far as the question of rights.
    fn body(&self, route: &str) -> Value {
        let holder = json!({ "kind": "111", "number": "11010519491231002X" });
        match route {
            "/v1/cases/{id}/form" => json!({ "fields": {} }),
            "/v1/cases/{id}/materials" => {
                json!({ "requirement": "floor-plan", "material": self.ids["material"] })
            }
            "/v1/cases/{id}/promise" => json!({ "requirements": ["floor-plan"] }),
            "/v1/cases/{id}/steps" => json!({ "step": "accept" }),
            "/v1/cases" => json!({ "matter": self.ids["matter"] }),
            "/v1/corrections" => json!({
                "licence": self.ids["licence"], "field": "none", "says": "x", "why": "x",
            }),
            "/v1/corrections/{id}/answer" => json!({ "outcome": "kept", "reason": "x" }),
            "/v1/grants" => json!({
                "holder": holder, "licences": [], "matter": self.ids["matter"], "reason": "x",
                "until": "2026-06-01",
            }),
            "/v1/grants/{id}/decision" => json!({ "answer": "no" }),
            "/v1/materials" => json!({
                "kind": "floor-plan", "name": "plan.png", "size": 1, "case": self.ids["case"],
            }),
            _ => json!({}),
        }
    }

    /// What a role's request to a route is answered with: the status, and where it leads.
    async fn ask(&self, role: char, method: &Method, route: &str) -> (u16, String) {
        let path = self.address(route);
        let is_page = !is_interface(&path);
        let request: RequestBuilder = if let Some(person) = self.people.get(&role) {
            match is_page {
                true => person.page(method.clone(), &path),
                false => person.api(method.clone(), &path).header("X-Yihao-Csrf", &person.csrf),
            }
        } else {
            let base = if is_page { self.hub.pages() } else { self.hub.url("") };
            let client = self.systems.get(&role).map_or(&self.nobody, |system| &system.client);
            client.request(method.clone(), format!("{base}{path}"))
        };
        let request = match (method.as_str(), is_page) {
            ("GET" | "HEAD", _) => request,
            ("PATCH", _) => request
                .header("Content-Type", "application/offset+octet-stream")
                .header("Upload-Offset", "0")
                .body(PNG),
            (_, true) if route.ends_with("/files") => {
                let csrf = self.people.get(&role).map_or("", |person| person.csrf.as_str());
                let part = |name: &str, value: &str| {
                    format!(
                        "--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                    )
                };
                let body =
                    [part("csrf", csrf), part("requirement", "none"), "--edge--\r\n".to_owned()];
                request
                    .header("Content-Type", "multipart/form-data; boundary=edge")
                    .body(body.concat())
            }
            (_, true) => {
                let csrf = self.people.get(&role).map_or("", |person| person.csrf.as_str());
                let (licence, material) = (&self.ids["licence"], &self.ids["material"]);
                let (case, matter) = (&self.ids["case"], &self.ids["matter"]);
                request.header("Content-Type", "application/x-www-form-urlencoded").body(format!(
                    "csrf={csrf}&licence={licence}&material={material}&case={case}&matter={matter}\
                     &reason=x&sure=1&granted=1&item=floor-plan&why-floor-plan=x\
                     &requirement=floor-plan&promise=floor-plan&outcome=kept&holder=0"
                ))
            }
            (_, false) => request.json(&self.body(route)),
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            // A system's client went on to the hub's own address, where nobody listens in this test.
            Err(error) if error.is_connect() => {
                return (302, if route == "/login" { "elsewhere" } else { "/login" }.to_owned());
            }
            Err(error) => panic!("{error}"),
        };
        let location = answer.headers().get("location").and_then(|to| to.to_str().ok());
        (answer.status().as_u16(), location.unwrap_or("").to_owned())
    }
}

fn is_interface(path: &str) -> bool {
    path.starts_with("/v1/") || ["/healthz", "/readyz", "/metrics"].contains(&path)
}

/// Whether somebody got past the door.
fn is_in((status, location): &(u16, String)) -> bool {
    !matches!(status, 401 | 403 | 404) && !location.starts_with("/login")
}

/// All routes that are served: method and pattern.
async fn served(scene: &Scene) -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    let description = serde_json::to_value(Description::openapi()).unwrap();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    for path in hub::pages::patterns() {
        for method in [Method::GET, Method::POST] {
            // What is not offered is told even to nobody.
            let (status, _) = scene.ask('-', &method, &path).await;
            if status != 405 {
                routes.insert(format!("{method} {path}"));
            }
        }
    }
    routes
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_as_far_as_the_table_says_and_no_further() {
    let scene = Scene::set().await;
    let served = served(&scene).await;
    let table: BTreeMap<&str, &str> = TABLE.iter().copied().collect();
    assert_eq!(table.len(), TABLE.len(), "a route stands in the table twice");
    let mut found = String::new();
    let mut wrong = Vec::new();
    // What ends things comes last.
    let mut in_order: Vec<&String> = served.iter().collect();
    let ends = |route: &str| {
        let sessions = route.contains("/sessions/");
        let withdraws = route.contains("withdraw");
        (
            route.contains("/logout"),
            sessions,
            route.starts_with("DELETE"),
            withdraws,
            route.starts_with("POST"),
        )
    };
    in_order.sort_by_key(|route| ends(route));
    for route in in_order {
        let (method, path) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let mut admitted = String::new();
        for (role, _) in ROLES {
            if is_in(&scene.ask(role, &method, path).await) {
                admitted.push(role);
            }
        }
        found.push_str(&format!("    (\"{route}\", \"{admitted}\"),\n"));
        match table.get(route.as_str()) {
            None => wrong.push(format!("{route} is not in the table; found: {admitted}")),
            Some(expected) if *expected != admitted => {
                wrong.push(format!(
                    "{route}: may be asked by {expected}, was answered to {admitted}"
                ));
            }
            Some(_) => {}
        }
    }
    for route in table.keys().filter(|route| !served.contains(**route)) {
        wrong.push(format!("{route} is in the table and not served"));
    }
    if let Some(file) = std::env::var_os("YIHAO_ACCESS_TABLE") {
        std::fs::write(file, found).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One grey pixel.
const PNG: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0,
    0, 0, 58, 126, 155, 85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 104, 0, 0, 0, 130, 0, 129,
    119, 205, 114, 182, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];
