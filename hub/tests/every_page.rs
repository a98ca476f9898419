//! Every page in a real browser, with data in it: in both languages, at the width of a phone and of a desk, looked at by
//! axe-core, weighed, and without a complaint of the browser (its content security policy among them). Then a file on its
//! way through a broken connection, and through a browser without scripts.
//!
//! `YIHAO_PICTURES=FOLDER` keeps a picture of every page.

mod support;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use district::{Applicant, Story};
use hub::login::{
    Role,
    provider::{DemoAccount, DemoProvider, ProviderSettings},
    sessions,
};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use support::{
    TestHub,
    browser::{Browser, PATIENCE, Page, Program, free_ports},
    departments,
    people::PageClient,
};

const SECRET: &str = "a secret of the tests alone, 0123456789abcdef";

/// A hub over HTTPS with the demo's provider, and a browser.
struct Place {
    hub: TestHub,
    page: Page,
    driver: Program,
    provider: DemoProvider,
    folder: tempfile::TempDir,
    applicant: Applicant,
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
        let applicant = hub.district.applicant(Story::FoodShop, hub.hub.clock.today()).unwrap();
        for licence in &applicant.licences {
            let all = departments();
            let issuer = all.iter().find(|one| one.code == *licence.issuer.credit_code()).unwrap();
            let answer = hub.issuing(issuer.slug).issue(licence).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
        }
        let folder = tempfile::tempdir().unwrap();
        let driver_port = free_ports();
        let driver = Program::start(
            Command::new("chromedriver").arg(format!("--port={driver_port}")),
            "started successfully",
            PATIENCE,
        );
        let browser = Browser::start(driver_port, &folder.path().join("browser")).await;
        let page = Page { browser, base: address };
        Self { hub, page, driver, provider: provider.unwrap(), folder, applicant }
    }

    async fn close(mut self) {
        self.page.browser.quit().await;
        drop(self.driver);
        self.hub.stop().await;
        self.provider.stop().await;
    }

    /// The browser becomes this person's, or nobody's.
    async fn becomes(&self, person: Option<&PageClient>) {
        let page = &self.page;
        page.browser.ask(Method::DELETE, "/cookie", Value::Null).await;
        page.open("/?lang=zh").await;
        if let Some(person) = person {
            let cookie = json!({ "cookie": {
                "name": sessions::COOKIE, "value": person.secret, "path": "/", "httpOnly": true,
                "secure": page.base.starts_with("https"),
            } });
            page.browser.ask(Method::POST, "/cookie", cookie).await;
        }
    }

    /// Looks at a page in both languages.
    async fn look(&self, what: &str, path: &str) {
        for language in ["zh", "en"] {
            let mark = if path.contains('?') { '&' } else { '?' };
            self.page.open(&format!("{path}{mark}lang={language}")).await;
            self.is_well_made(&format!("{what} {language}"), language, false).await;
        }
    }

    /// Looks at the page that says that something is not so, in both languages.
    async fn look_at_failure(&self, what: &str, path: &str) {
        for language in ["zh", "en"] {
            self.page.open(&format!("{path}?lang={language}")).await;
            self.is_well_made(&format!("{what} {language}"), language, true).await;
        }
    }

    /// Looks at the page that answers a form, in both languages: the form is sent once for each.
    async fn look_at_answer(&self, what: &str, from: &str, to: &str, form: &[(&str, &str)]) {
        for language in ["zh", "en"] {
            self.page.open(&format!("{from}?lang={language}")).await;
            self.send(to, form).await;
            self.is_well_made(&format!("{what} {language}"), language, true).await;
        }
    }

    /// Sends a form of the page that is open, with its token.
    async fn send(&self, to: &str, form: &[(&str, &str)]) {
        let script = format!(
            "const form = document.createElement('form'); form.method = 'post'; form.action = {};
             const token = document.querySelector('input[name=csrf]').value;
             for (const [name, value] of [...{}, ['csrf', token]]) {{
               const input = document.createElement('input'); input.type = 'hidden';
               input.name = name; input.value = value; form.append(input);
             }}
             const button = document.createElement('button'); button.id = 'sent-by-the-test';
             button.textContent = 'send'; form.append(button); document.querySelector('h1').after(form);",
            json!(to),
            json!(form)
        );
        self.page.script(&script).await;
        self.page.submit("#sent-by-the-test").await;
    }

    async fn is_well_made(&self, what: &str, language: &str, may_fail: bool) {
        let page = &self.page;
        let tag = if language == "zh" { "zh-CN" } else { "en" };
        let seen = "return [document.documentElement.lang, document.querySelectorAll('h1').length,
            document.querySelectorAll('main').length, document.title.length > 3]";
        assert_eq!(page.script(seen).await, json!([tag, 1, 1, true]), "{what}");
        page.fits(what).await;
        page.is_accessible_and_light(what).await;
        let said = page.browser.ask(Method::POST, "/se/log", json!({ "type": "browser" })).await;
        let complaints: Vec<&Value> = said
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| {
                // A page that says that something is not so has such a status, which the browser notes.
                let text = one["message"].as_str().unwrap_or_default();
                !(may_fail && text.contains("the server responded with a status of"))
            })
            .collect();
        assert!(complaints.is_empty(), "{what}: the browser complained: {complaints:#?}");
    }

    /// Opens a case of the applicant at a window; its path without `/window` or `/me`.
    async fn case(&self, clerk: &PageClient, story: Story) -> String {
        let id = &self.applicant.holder.id;
        let typed = [("number", id.number()), ("kind", id.kind().code()), ("matter", story.name())];
        let opened = clerk.post("/window/cases", &typed).await;
        assert_eq!(opened.status, 303, "{}", opened.text());
        opened.location().strip_prefix("/window").unwrap().to_owned()
    }

    /// A case of a food shop, filled in and submitted.
    async fn submitted(&self, clerk: &PageClient) -> String {
        let case = self.case(clerk, Story::FoodShop).await;
        acts(clerk, &format!("/window{case}/form"), SHOP).await;
        let page = clerk.get(&format!("/window{case}")).await;
        if page.html.contains("multipart/form-data") {
            let form = reqwest::multipart::Form::new()
                .text("csrf", clerk.csrf.clone())
                .text("requirement", "floor-plan")
                .part("file", reqwest::multipart::Part::bytes(pdf(0)).file_name("平面图.pdf"));
            let request = clerk.page(Method::POST, &format!("/window{case}/files")).multipart(form);
            let answer = clerk.send(request).await;
            assert_eq!(answer.status, 303, "{}", answer.text());
        }
        acts(clerk, &format!("/window{case}/submit"), &[]).await;
        case
    }
}

/// Posts a form that is answered by leading on.
async fn acts(person: &PageClient, path: &str, form: &[(&str, &str)]) {
    let answer = person.post(path, form).await;
    assert_eq!(answer.status, 303, "{path}: {}", answer.text());
}

const SHOP: &[(&str, &str)] = &[
    ("field-shop-name", "江畔小馆"),
    ("field-items", "热食类食品制售"),
    ("field-phone", "0772-5550101"),
];

fn accounts() -> Vec<DemoAccount> {
    let account = |subject: &str, name: &str, about: &str, role, place: Option<&str>| DemoAccount {
        subject: subject.to_owned(),
        name: name.to_owned(),
        about: Some(about.to_owned()),
        holder_kind: None,
        holder_number: None,
        represents: Vec::new(),
        roles: vec![role],
        organisation: place.map(str::to_owned),
    };
    vec![
        account("window", "周敏", "政务服务中心1号窗口", Role::Clerk, Some("hall-1")),
        account("numberless", "周远", "没有号码的人", Role::Applicant, None),
    ]
}

/// A drawing as a scanner makes it, with so many bytes of nothing in it.
fn pdf(padding: usize) -> Vec<u8> {
    let mut pdf = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
        2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
        3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n"
        .to_vec();
    let line = format!("%{}\n", "0123456789".repeat(10));
    pdf.extend(line.bytes().cycle().take(padding / line.len() * line.len()));
    pdf.extend_from_slice(b"trailer<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n");
    pdf
}

#[actix_web::test]
async fn every_page_fits_is_accessible_light_and_without_a_complaint() {
    let place = Place::open().await;
    anybodys_pages(&place).await;
    let cases = cases_in_every_state(&place).await;
    window_pages(&place, &cases).await;
    applicants_pages(&place, &cases).await;
    place.close().await;
}

async fn anybodys_pages(place: &Place) {
    let page = &place.page;
    place.becomes(None).await;
    place.look("home", "/").await;
    place.look("matters", "/matters").await;
    for story in Story::ALL {
        let code = story.code();
        place.look(&format!("guide {}", story.slug()), &format!("/matters/{code}")).await;
        place.look(&format!("sheet {}", story.slug()), &format!("/matters/{code}/print")).await;
    }
    place.look_at_failure("no such page", "/nowhere").await;
    place.look_at_failure("no such matter", "/matters/11451224M000100Y40000").await;
    place.look_at_failure("login gone wrong", "/login/callback").await;

    // The provider's page: in English it is looked at where the demo is (`browser.rs`).
    page.open("/?lang=zh").await;
    page.open("/login?next=/").await;
    place.is_well_made("accounts", "zh", false).await;
    page.submit("button[value=numberless]").await;
    place.is_well_made("a login without a number", "zh", true).await;
}

/// Cases: draft, promised, submitted, supplement, accepted, granted, refused, declined, withdrawn.
struct Cases {
    draft: String,
    stall: String,
    promised: String,
    submitted: String,
    supplement: String,
    accepted: String,
    granted: String,
    refused: String,
    declined: String,
    withdrawn: String,
}

async fn cases_in_every_state(place: &Place) -> Cases {
    let clerk = place.hub.window_clerk().await;
    let bureau = place.hub.department_clerk("government-services").await;
    let act = async |case: &str, act: &str, form: &[(&str, &str)]| {
        acts(&bureau, &format!("/window{case}/{act}"), form).await;
    };
    let draft = place.case(&clerk, Story::FoodShop).await;
    let submitted = place.submitted(&clerk).await;
    let supplement = place.submitted(&clerk).await;
    let items = [
        ("item", "floor-plan"),
        ("item", "shop-name"),
        ("why-floor-plan", "没有标注灶台位置"),
        ("why-shop-name", "与店招不一致"),
    ];
    act(&supplement, "supplement", &items).await;
    let accepted = place.submitted(&clerk).await;
    act(&accepted, "accept", &[]).await;
    let refused = place.submitted(&clerk).await;
    act(&refused, "accept", &[]).await;
    act(&refused, "decide", &[("reason", "经营场所未通过现场核查")]).await;
    let declined = place.submitted(&clerk).await;
    act(&declined, "decline", &[("reason", "不属于本机关职权范围")]).await;
    let granted = place.submitted(&clerk).await;
    act(&granted, "accept", &[]).await;
    act(&granted, "decide", &[("granted", "1")]).await;
    let fields = json!({
        "shop_name": "江畔小馆", "premises": "澜溪区望江路33号", "items": "热食类食品制售",
    });
    let today = place.hub.hub.clock.today();
    let holder = place.applicant.holder.clone();
    let fields = fields.as_object().unwrap().clone();
    let licence = district::result(Story::FoodShop, holder, fields, today, 1).unwrap();
    let issued = place.hub.issuing("market-regulation").issue(&licence).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    act(&granted, "result", &[("licence", licence.identifier.as_str())]).await;
    let withdrawn = place.submitted(&clerk).await;
    acts(&clerk, &format!("/window{withdrawn}/withdraw"), &[("sure", "1")]).await;
    let stall = place.case(&clerk, Story::FoodStall).await;
    let promised = place.case(&clerk, Story::FoodStall).await;
    let form = [("field-pitch", "和平村集市"), ("field-goods", "糖水")];
    acts(&clerk, &format!("/window{promised}/form"), &form).await;
    acts(&clerk, &format!("/window{promised}/promise"), &[("requirement", "health")]).await;
    acts(&clerk, &format!("/window{promised}/submit"), &[]).await;
    Cases {
        draft,
        stall,
        promised,
        submitted,
        supplement,
        accepted,
        granted,
        refused,
        declined,
        withdrawn,
    }
}

impl Cases {
    fn all(&self) -> [(&'static str, &str); 10] {
        [
            ("draft", &self.draft),
            ("stall draft", &self.stall),
            ("promised", &self.promised),
            ("submitted", &self.submitted),
            ("supplement", &self.supplement),
            ("accepted", &self.accepted),
            ("granted", &self.granted),
            ("refused", &self.refused),
            ("declined", &self.declined),
            ("withdrawn", &self.withdrawn),
        ]
    }
}

async fn window_pages(place: &Place, cases: &Cases) {
    let hub = &place.hub;
    let id = &place.applicant.holder.id;
    let typed = [
        ("number", id.number()),
        ("kind", id.kind().code()),
        ("matter", Story::FoodShop.name()),
        ("reason", "核验申请人"),
    ];
    let clerk = hub.window_clerk().await;
    place.becomes(Some(&clerk)).await;
    place.look("home of a clerk", "/").await;
    place.look("sessions", "/me/sessions").await;
    place.look("counter", "/window").await;
    place.look_at_answer("checklist", "/window", "/window", &typed).await;
    let several = [typed[0], typed[1], ("matter", "备案")];
    place.look_at_answer("several matters", "/window", "/window", &several).await;
    let wrong = [("number", "12"), typed[1], typed[2]];
    place.look_at_answer("a wrong number", "/window", "/window", &wrong).await;
    place.look("queue", "/window/cases").await;
    let unknown = [("case", "20260302-AAAAAAAAAA")];
    place.look_at_answer("no such case", "/window/cases", "/window/cases/find", &unknown).await;
    for (name, case) in cases.all() {
        place.look(&format!("window case {name}"), &format!("/window{case}")).await;
    }
    let early = format!("/window{}", cases.draft);
    place.look_at_answer("too early", &early, &format!("{early}/submit"), &[]).await;
    for (letter, case) in [
        ("acceptance", &cases.accepted),
        ("supplement", &cases.supplement),
        ("refusal", &cases.refused),
        ("promise", &cases.promised),
    ] {
        place.look(&format!("letter {letter}"), &format!("/window{case}/letters/{letter}")).await;
    }

    // The department that decides.
    let bureau = hub.department_clerk("government-services").await;
    place.becomes(Some(&bureau)).await;
    place.look("queue of the bureau", "/window/cases").await;
    for (name, case) in [
        ("submitted", &cases.submitted),
        ("accepted", &cases.accepted),
        ("granted", &cases.granted),
        ("promised", &cases.promised),
    ] {
        place.look(&format!("bureau case {name}"), &format!("/window{case}")).await;
    }
    let case = format!("/window{}", cases.submitted);
    let opened = bureau.get(&case).await;
    let licence = opened.html.split(&format!("action=\"{case}/licences/")).nth(1).unwrap();
    let licence = licence.split('"').next().unwrap();
    let to = format!("{case}/licences/{licence}");
    place.look_at_answer("a licence of a case", &case, &to, &[]).await;
    let empty = format!("{case}/supplement");
    place.look_at_answer("an empty supplement", &case, &empty, &[]).await;

    // Consents.
    place.look("consents before any", "/window/consents").await;
    let choose = "/window/consents/choose";
    place.look_at_answer("consent to choose", "/window/consents", choose, &typed).await;
    place.look_at_answer("nothing chosen", "/window/consents", "/window/consents", &typed).await;
    let holder = hub.applicant(place.applicant.index).await;
    let mut consents = Vec::new();
    for answer in [None, Some("no"), Some("less"), Some("yes"), Some("taken back")] {
        let consent = ask(place, &bureau).await;
        let decision = format!("/v1/grants/{consent}/decision");
        let card = support::consents::IDENTITY_CARD;
        let body = match answer {
            None => None,
            Some("less") => Some(json!({
                "answer": "less", "licences": [{ "type": card, "fields": ["address"] }],
            })),
            Some("no") => Some(json!({ "answer": "no" })),
            Some(_) => Some(json!({ "answer": "yes" })),
        };
        if let Some(body) = body {
            let decided = holder.call(Method::POST, &decision, Some(&body)).await;
            assert_eq!(decided.status, 200, "{}", decided.text);
        }
        if answer == Some("taken back") {
            let path = format!("/v1/grants/{consent}");
            assert!(holder.call(Method::DELETE, &path, None).await.status < 300);
        }
        let name = answer.unwrap_or("waiting");
        place.look(&format!("window consent {name}"), &format!("/window/consents/{consent}")).await;
        consents.push((name, consent));
    }
    let given = format!("/window/consents/{}", consents[2].1);
    place.look_at_answer("given and opened", &given, &format!("{given}/open"), &[]).await;
    let back = format!("/window/consents/{}", consents[4].1);
    place.look_at_answer("taken back", &back, &format!("{back}/open"), &[]).await;
    place.look("window consents", "/window/consents").await;

    // Searching.
    hub.search_has_caught_up().await;
    place.look("search", "/licences").await;
    let search = [("q", "证"), ("reason", "核验")];
    place.look_at_answer("search results", "/licences", "/licences", &search).await;
    let none = [("q", "没有这样的"), ("reason", "核验")];
    place.look_at_answer("search without a hit", "/licences", "/licences", &none).await;
    let held = &place.applicant.licences[0].identifier;
    let to = format!("/licences/{held}");
    place.look_at_answer("licence at the desk", "/licences", &to, &[("reason", "核验")]).await;
    place.look_at_failure("not for a clerk", "/me").await;
    place.look_at_failure("not for a clerk to operate", "/connectors").await;

    let operator = hub.operator().await;
    place.becomes(Some(&operator)).await;
    place.look("home of an operator", "/").await;
    place.look("connectors, none", "/connectors").await;
    place.look_at_failure("no such connector", "/connectors/nowhere/set-aside").await;
    place.look_at_failure("not for an operator", "/window").await;

    applicants_consents(place, &holder, &consents).await;
}

/// Asks for the identity card's address and birth date; the consent's id.
async fn ask(place: &Place, bureau: &PageClient) -> String {
    let id = &place.applicant.holder.id;
    let field = format!("field-{}", support::consents::IDENTITY_CARD);
    let form = [
        ("number", id.number()),
        ("kind", id.kind().code()),
        ("matter", Story::FoodShop.name()),
        ("type", support::consents::IDENTITY_CARD),
        (field.as_str(), "address"),
        (field.as_str(), "birth_date"),
        ("reason", "核实经营者的住址和出生日期，用于上门核查时联系"),
        ("until", "2026-03-31"),
    ];
    let sent = bureau.post("/window/consents", &form).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    sent.location().rsplit('/').next().unwrap().to_owned()
}

async fn applicants_consents(place: &Place, holder: &PageClient, consents: &[(&str, String)]) {
    place.becomes(Some(holder)).await;
    for (name, id) in consents {
        place.look(&format!("my consent {name}"), &format!("/me/consents/{id}")).await;
    }
    place.look("my consents", "/me/consents").await;
}

async fn applicants_pages(place: &Place, cases: &Cases) {
    let hub = &place.hub;
    let holder = hub.applicant(place.applicant.index).await;
    place.becomes(Some(&holder)).await;
    place.look("home of an applicant", "/").await;
    place.look("guide with my checklist", &format!("/matters/{}", Story::FoodShop.code())).await;
    for (name, case) in cases.all() {
        place.look(&format!("my case {name}"), &format!("/me{case}")).await;
    }
    place.look("my cases", "/me/cases").await;
    place.look("my materials", "/me/materials").await;
    place.look("my licences", "/me/licences").await;
    place.look("who looked", "/me/uses").await;
    place.look("who looked, myself too", "/me/uses?own=1").await;
    place.look("who looked earlier", "/me/uses?page=2").await;
    let text = place.page.text_of("main").await;
    assert!(text.contains("Later") && text.contains("Earlier"), "{text}");

    // A field is disputed, late, and answered.
    let card = &place.applicant.licences[0].identifier.to_string();
    let licence = format!("/me/licences/{card}");
    place.look("my licence", &licence).await;
    let half = [("licence", card.as_str()), ("field", "address"), ("says", "澜溪区松风路18号")];
    place.look_at_answer("half a dispute", &licence, "/me/corrections", &half).await;
    let sent = holder
        .post("/me/corrections", &[&half[..], &[("why", "门牌号去年重新编过")]].concat())
        .await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let correction = sent.location().split('?').next().unwrap().to_owned();
    let id = correction.rsplit('/').next().unwrap().to_owned();
    place.look("my correction waiting", &correction).await;
    place.look("my licence disputed", &licence).await;
    place.look("overview", "/me").await;
    let police = hub.department_clerk("public-security").await;
    place.becomes(Some(&police)).await;
    place.look("window corrections", "/window/corrections").await;
    let at_window = format!("/window/corrections/{id}");
    place.look("window correction open", &at_window).await;
    let wrong = [("outcome", "corrected"), ("licence", "nothing")];
    place.look_at_answer("no licence to correct by", &at_window, &at_window, &wrong).await;
    acts(&police, &at_window, &[("outcome", "kept"), ("reason", "以户籍登记为准")]).await;
    place.look("window correction answered", &at_window).await;
    place.becomes(Some(&holder)).await;
    place.look("my correction answered", &correction).await;
    place.look("my corrections", "/me/corrections").await;
    place.look_at_failure("no licence of mine", "/me/licences/1.2.156.3005.2.no-such").await;
    place.look_at_failure("no case of mine", "/me/cases/20260302-AAAAAAAAAA").await;

    // Somebody who holds nothing; somebody who acts for an enterprise too.
    let nobody = hub.applicant(place.applicant.index + 1).await;
    place.becomes(Some(&nobody)).await;
    for path in ["", "/licences", "/cases", "/materials", "/uses", "/consents", "/corrections"] {
        place.look(&format!("nothing yet {}", &path.replace('/', "")), &format!("/me{path}")).await;
    }
    let both = hub.representative(place.applicant.index, 2).await;
    place.becomes(Some(&both)).await;
    place.look("overview of two", "/me").await;
    let code = Story::FoodShop.code();
    let matter = [("matter", code.as_str())];
    place.look_at_answer("for whom", "/me", "/me/cases", &matter).await;

    // Two weeks later: overdue, on all sides.
    hub.hub.clock.advance(SignedDuration::from_hours(24 * 24));
    let holder = hub.applicant(place.applicant.index).await;
    place.becomes(Some(&holder)).await;
    place.look("my case overdue", &format!("/me{}", cases.promised)).await;
    place.look("my case after a broken promise", &format!("/me{}", cases.stall)).await;
    place.look("overview later", "/me").await;
    let bureau = hub.department_clerk("government-services").await;
    place.becomes(Some(&bureau)).await;
    place.look("queue overdue", "/window/cases").await;
    place.look("bureau case overdue", &format!("/window{}", cases.accepted)).await;
    place.becomes(None).await;
}

#[actix_web::test]
async fn a_file_goes_on_where_a_broken_connection_stopped_it() {
    let place = Place::open().await;
    let holder = place.hub.applicant(place.applicant.index).await;
    let code = Story::FoodShop.code();
    let opened = holder.post("/me/cases", &[("matter", code.as_str())]).await;
    let case = opened.location().to_owned();
    let content = pdf(20 << 20);
    let file = place.folder.path().join("平面图.pdf");
    std::fs::write(&file, &content).unwrap();
    let page = &place.page;
    place.becomes(Some(&holder)).await;
    page.open(&case).await;
    page.browser.addresses().await;

    network(page, false, 4 << 20).await;
    page.type_into("form.hand-in input[type=file]", file.to_str().unwrap()).await;
    page.press("form.hand-in button").await;
    progress(page, "a third", |sent| sent > 7 << 20).await;
    place.fits_on_the_way("a file on its way").await;
    network(page, true, 0).await;
    said(page, "网络中断，已传的部分保留着，正在重试…").await;
    place.fits_on_the_way("a broken connection").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    network(page, false, 40 << 20).await;

    page.until("the file is there", |text| text.contains("平面图.pdf")).await;
    let offsets = pieces(page).await;
    println!("pieces were sent from {offsets:?} of {}", content.len());
    assert!(offsets.is_sorted(), "nothing that was held was sent again: {offsets:?}");
    assert!(offsets.iter().any(|at| *at > 0), "it went on where it had stopped");
    let list = holder.call(Method::GET, "/v1/materials", None).await;
    assert!(list.text.contains(&content.len().to_string()), "{}", list.text);
    let kept = page.script("return Object.keys(localStorage)").await;
    assert_eq!(kept, json!([]), "nothing is left in the browser");
    place.close().await;
}

#[actix_web::test]
async fn the_same_form_hands_a_file_in_without_scripts() {
    let place = Place::open().await;
    let holder = place.hub.applicant(place.applicant.index).await;
    let code = Story::FoodShop.code();
    let opened = holder.post("/me/cases", &[("matter", code.as_str())]).await;
    let case = opened.location().to_owned();
    let file = place.folder.path().join("平面图.pdf");
    std::fs::write(&file, pdf(3 << 20)).unwrap();
    let page = &place.page;
    place.becomes(Some(&holder)).await;
    let off = json!({ "cmd": "Emulation.setScriptExecutionDisabled", "params": { "value": true } });
    page.browser.ask(Method::POST, "/goog/cdp/execute", off).await;
    page.open(&case).await;
    page.browser.addresses().await;
    page.type_into("form.hand-in input[type=file]", file.to_str().unwrap()).await;
    page.press("form.hand-in button").await;
    let waiting = Instant::now();
    while !page.text_of("main").await.contains("平面图.pdf") {
        assert!(waiting.elapsed() < PATIENCE, "the file did not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = page.browser.addresses().await;
    assert!(asked.contains(&format!("{case}/files")) && !asked.contains("/v1/"), "{asked}");
    place.close().await;
}

#[actix_web::test]
async fn the_demos_plain_pages_take_a_file_in_pieces_too() {
    let mut place = Place::open().await;
    let holder = place.hub.applicant(place.applicant.index).await;
    let code = Story::FoodShop.code();
    let opened = holder.post("/me/cases", &[("matter", code.as_str())]).await;
    let case = opened.location().to_owned();
    let file = place.folder.path().join("平面图.pdf");
    std::fs::write(&file, pdf(9 << 20)).unwrap();
    place.page.base = place.hub.pages();
    place.becomes(Some(&holder)).await;
    let page = &place.page;
    page.open(&case).await;
    page.browser.addresses().await;
    page.type_into("form.hand-in input[type=file]", file.to_str().unwrap()).await;
    page.press("form.hand-in button").await;
    page.until("the file is there", |text| text.contains("平面图.pdf")).await;
    assert_eq!(pieces(page).await, [0, 4 << 20, 8 << 20]);
    place.close().await;
}

impl Place {
    /// As [`Page::fits`], for a page that changes while it is looked at.
    async fn fits_on_the_way(&self, what: &str) {
        self.page.fits(what).await;
        let bar = "const bar = document.querySelector('.upload-state progress');
            return bar.getAttribute('aria-label').length > 0 && bar.max > 0";
        assert_eq!(self.page.script(bar).await, json!(true), "{what}: the bar");
    }
}

/// The connection as the browser has it: none, or so many bytes a second upwards.
async fn network(page: &Page, offline: bool, upwards: u64) {
    let conditions = json!({ "network_conditions": {
        "offline": offline, "latency": 5, "download_throughput": 50 << 20,
        "upload_throughput": upwards,
    } });
    page.browser.ask(Method::POST, "/chromium/network_conditions", conditions).await;
}

/// Waits until the bar shows so many bytes.
async fn progress(page: &Page, what: &str, is_so: impl Fn(u64) -> bool) {
    let waiting = Instant::now();
    let bar = "return document.querySelector('.upload-state progress')?.value ?? 0";
    while !is_so(page.script(bar).await.as_f64().unwrap_or_default() as u64) {
        assert!(waiting.elapsed() < PATIENCE, "not shown: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let line = page.text_of(".upload-state p").await;
    assert!(line.starts_with("正在上传") && line.ends_with('%'), "{line}");
}

/// Waits until the form says so.
async fn said(page: &Page, words: &str) {
    let waiting = Instant::now();
    while page.text_of(".upload-state p").await != words {
        assert!(waiting.elapsed() < PATIENCE, "not said: {words}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// From which byte each piece was sent, in order.
async fn pieces(page: &Page) -> Vec<u64> {
    let log = page.browser.ask(Method::POST, "/se/log", json!({ "type": "performance" })).await;
    let entries = log.as_array().unwrap().iter().filter_map(|one| one["message"].as_str());
    let messages = entries.filter_map(|text| serde_json::from_str::<Value>(text).ok());
    messages
        .map(|message| message["message"].clone())
        .filter(|message| message["method"] == "Network.requestWillBeSent")
        .filter(|message| message["params"]["request"]["method"] == "PATCH")
        .filter_map(|message| {
            message["params"]["request"]["headers"]["Upload-Offset"].as_str()?.parse().ok()
        })
        .collect()
}
