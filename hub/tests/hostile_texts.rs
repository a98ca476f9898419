//! Script, markup and tricks of writing in every text that people can fill in: on every page, in both languages, they stand
//! there as text. No element and no attribute is made of them, and no page allows scripts or styles of its own.

mod support;

use district::{Applicant, Story};
use hub::login::Role;
use jiff::civil::date;
use reqwest::Method;
use support::{
    TestHub, departments,
    people::{Page, PageClient, account},
};

/// What is written into every field. `zq` marks it; each fits into the shortest of them.
const TEXTS: [&str; 7] = [
    "<script>zq(1)</script>",
    "\"><img src=zq onerror=zq(1)>",
    "' autofocus onfocus='zq(1)",
    "javascript:zq(1)",
    "{{7*7}}{%zq%}${7*7}",
    "zq\u{202e}gnp.\u{2066}exe",
    "</title></textarea>zq<!--",
];

/// What a file may be called of it.
fn file_name(text: &str) -> String {
    let name: String =
        text.chars().filter(|one| !['/', '\u{202e}', '\u{2066}'].contains(one)).collect();
    format!("{name}.pdf")
}

const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n";

/// Elements that these pages have.
const ELEMENTS: &str = " html head meta title link script body header nav main footer section article aside h1 h2 h3 h4 p \
    a ul ol li dl dt dd div span small strong em b kbd code table caption thead tbody tr th td form fieldset legend label \
    input textarea select option datalist button img progress output time details summary mark br hr abbr noscript bdi \
    svg path rect circle g line title polyline figure figcaption ";

/// Looks at a page as a browser's parser does, as far as templates with quoted attributes go.
fn look(where_from: &str, page: &Page) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |what: String| wrong.push(format!("{where_from}: {what}"));
    let policy = page.headers.get("content-security-policy").map(|one| one.to_str().unwrap());
    match policy {
        Some(policy) if policy.contains("default-src 'none'") && !policy.contains("unsafe") => {}
        policy => say(format!("its policy is {policy:?}")),
    }
    let is =
        |name: &str| page.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    if is("x-content-type-options") != "nosniff" {
        say("its type may be guessed".to_owned());
    }
    if page.status >= 500 && page.status != 503 {
        say(format!("answered {}", page.status));
    }
    if is("location").contains("zq") && !is("location").starts_with("/login?next=%2F") {
        say(format!("leads to {}", is("location")));
    }
    if !is("content-type").starts_with("text/html") {
        return wrong;
    }
    let mut rest = page.html.as_str();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(after) =
            rest.strip_prefix("!doctype html>").or(rest.strip_prefix("!DOCTYPE html>"))
        {
            rest = after;
            continue;
        }
        let after = rest.strip_prefix('/').unwrap_or(rest);
        let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
        let name = &after[..end];
        if !ELEMENTS.contains(&format!(" {name} ")) {
            say(format!("<{} is no element of ours", after.chars().take(30).collect::<String>()));
        }
        let mut tag = &after[end..];
        loop {
            tag = tag.trim_start();
            if let Some(after) = tag.strip_prefix('>').or(tag.strip_prefix("/>")) {
                rest = after;
                break;
            }
            let end =
                tag.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(tag.len());
            let attribute = &tag[..end];
            if end == 0 || attribute.starts_with("on") || ["style", "srcdoc"].contains(&attribute) {
                say(format!("an attribute is made: {}", tag.chars().take(40).collect::<String>()));
                rest = tag;
                break;
            }
            tag = &tag[end..];
            let Some(value) = tag.strip_prefix("=\"") else { continue };
            let end = value.find('"').unwrap_or(value.len());
            let (said, after) = (&value[..end], &value[(end + 1).min(value.len())..]);
            tag = after;
            let leads = ["href", "src", "action", "formaction"].contains(&attribute);
            if leads
                && !(['/', '#', '?'].iter().any(|own| said.starts_with(*own))
                    || said.starts_with("https://") && !said.contains("zq"))
            {
                say(format!("{attribute} leads to {said}"));
            }
            let may_say = ["value", "title", "aria-label", "content", "label"].contains(&attribute);
            if said.contains("zq") && !may_say && !leads {
                say(format!("{attribute} says {said}"));
            }
        }
    }
    if page.html.contains("49}") || page.html.contains(">49<") {
        say("a template was worked out".to_owned());
    }
    wrong
}

/// The text as it stands in HTML.
fn as_text(text: &str) -> String {
    text.replace('&', "&#38;")
        .replace('<', "&#60;")
        .replace('>', "&#62;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Somebody at a page: what was wrong, and where the text was shown.
struct Watch {
    text: &'static str,
    wrong: Vec<String>,
    shown: usize,
}

impl Watch {
    fn saw(&mut self, what: &str, page: &Page) {
        self.wrong.extend(look(&format!("{what} with {:?}", self.text), page));
        self.shown += usize::from(page.html.contains(&as_text(self.text)));
    }

    /// Must show the text, as text.
    fn shows(&mut self, what: &str, page: &Page) {
        let before = self.shown;
        self.saw(what, page);
        if self.shown == before {
            let text = page.text();
            self.wrong
                .push(format!("{what} ({}) does not show {:?}: {text}", page.status, self.text));
        }
    }

    async fn post(&mut self, client: &PageClient, path: &str, form: &[(&str, &str)]) -> Page {
        let page = client.post(path, form).await;
        self.saw(&format!("POST {path}"), &page);
        page
    }

    /// In both languages.
    async fn reads(&mut self, client: &PageClient, paths: &[&str], must_show: bool) {
        for path in paths {
            for language in ["zh", "en"] {
                let page = client.get(&format!("{path}?lang={language}")).await;
                match must_show {
                    true => self.shows(path, &page),
                    false => self.saw(path, &page),
                }
            }
        }
    }
}

async fn hand_in(client: &PageClient, case: &str, name: &str) -> Page {
    let form = reqwest::multipart::Form::new()
        .text("csrf", client.csrf.clone())
        .text("requirement", "floor-plan")
        .part("file", reqwest::multipart::Part::bytes(PDF).file_name(name.to_owned()));
    client.send(client.page(Method::POST, &format!("{case}/files")).multipart(form)).await
}

async fn hub_with(found: &Applicant, hub: &TestHub) {
    for licence in &found.licences {
        let all = departments();
        let issuer = all.iter().find(|one| one.code == *licence.issuer.credit_code()).unwrap();
        assert_eq!(hub.issuing(issuer.slug).issue(licence).await.status, 201);
    }
}

/// Case, letters, files, consent and dispute, with the text in every field.
async fn whole_story(hub: &TestHub, found: &Applicant, text: &'static str) -> Watch {
    let mut watch = Watch { text, wrong: Vec::new(), shown: 0 };
    let named = |subject: &str, role, holders, node| account(subject, text, holders, &[role], node);
    let holder = found.holder.id.clone();
    let applicant = hub.log_in(named("a", Role::Applicant, vec![holder.clone()], None)).await;
    let window = hub.log_in(named("w", Role::Clerk, vec![], Some("hall-1"))).await;
    let desk = hub.log_in(named("d", Role::Clerk, vec![], Some("government-services"))).await;
    let police = hub.log_in(named("p", Role::Clerk, vec![], Some("public-security"))).await;
    let operator =
        hub.log_in(named("o", Role::Operator, vec![], Some("government-services"))).await;
    let (number, kind) = (holder.number(), holder.kind().code());
    let matter = Story::FoodShop.code().to_string();

    // What is typed comes back on the page.
    let page = watch.post(&applicant, "/matters", &[("words", text)]).await;
    watch.shows("/matters", &page);
    let typed = [("number", text), ("kind", text), ("matter", text)];
    let page = watch.post(&window, "/window", &typed).await;
    watch.shows("/window", &page);
    watch.post(&window, "/window", &[("number", number), ("kind", kind), ("matter", text)]).await;
    watch.post(&window, "/window/cases", &typed).await;
    watch.post(&window, "/window/cases/find", &[("case", text), ("state", text)]).await;
    let search =
        [("q", text), ("reason", text), ("type", text), ("issued_from", text), ("page", text)];
    watch.post(&desk, "/licences", &search).await;
    let search = [("q", text), ("reason", text)];
    let page = watch.post(&desk, "/licences", &search).await;
    watch.shows("/licences", &page);
    let card = found.licences[0].identifier.to_string();
    watch.post(&desk, &format!("/licences/{card}"), &[("reason", text), ("q", text)]).await;
    watch.post(&applicant, "/me/holder", &[("place", text)]).await;
    watch.post(&operator, &format!("/connectors/{}/pause", percent(text)), &[]).await;

    // A case at the window, sent back, refused.
    let typed = [("number", number), ("kind", kind), ("matter", matter.as_str())];
    let opened = watch.post(&window, "/window/cases", &typed).await;
    let case = opened.location().to_owned();
    let mine = case.replace("/window/", "/me/");
    let form =
        [("field-shop-name", text), ("field-items", text), ("field-phone", text), (text, text)];
    watch.post(&window, &format!("{case}/form"), &form).await;
    watch.post(&window, &format!("{case}/form"), &form[..3]).await;
    let form: Vec<(String, &str)> =
        form[..3].iter().map(|(name, text)| (name.replace('-', "."), *text)).collect();
    let form: Vec<(&str, &str)> = form.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    watch.post(&applicant, &format!("{mine}/form"), &form).await;
    watch.reads(&window, &[&case], true).await;
    watch.reads(&applicant, &[&mine], true).await;
    watch.saw("a file's name", &hand_in(&window, &case, text).await);
    let handed_in = hand_in(&window, &case, &file_name(text)).await;
    watch.saw("a file", &handed_in);
    if handed_in.status != 303 {
        watch.saw("a file", &hand_in(&window, &case, "zq.pdf").await);
    }
    let bad = [("requirement", text), ("material", text), ("promise", text), ("sure", text)];
    for step in ["materials", "promise", "withdraw", "result", "supplement"] {
        watch.post(&window, &format!("{case}/{step}"), &bad).await;
    }
    watch.reads(&applicant, &["/me/materials", "/me/cases", "/me"], false).await;
    watch.post(&window, &format!("{case}/submit"), &[]).await;
    let wrong = [("item", text), ("why-floor-plan", text)];
    watch.post(&desk, &format!("{case}/supplement"), &wrong).await;
    let items = [
        ("item", "floor-plan"),
        ("why-floor-plan", text),
        ("item", "shop-name"),
        ("why-shop-name", text),
    ];
    watch.post(&desk, &format!("{case}/supplement"), &items).await;
    watch.reads(&window, &[&case, &format!("{case}/letters/supplement")], true).await;
    watch.reads(&applicant, &[&mine], true).await;
    let form = [("field-shop-name", "江畔"), ("field-items", text), ("field-phone", text)];
    watch.post(&window, &format!("{case}/form"), &form).await;
    let plan = [PDF, text.as_bytes()].concat();
    let again = reqwest::multipart::Form::new()
        .text("csrf", window.csrf.clone())
        .text("requirement", "floor-plan")
        .part("file", reqwest::multipart::Part::bytes(plan).file_name("zq.pdf"));
    let request = window.page(Method::POST, &format!("{case}/files")).multipart(again);
    watch.saw("a new file", &window.send(request).await);
    watch.post(&window, &format!("{case}/submit"), &[]).await;
    watch.post(&desk, &format!("{case}/result"), &[("licence", text)]).await;
    watch.post(&desk, &format!("{case}/accept"), &[]).await;
    watch.reads(&window, &[&format!("{case}/letters/acceptance")], false).await;
    watch.post(&desk, &format!("{case}/decide"), &[("reason", text)]).await;
    let refusal = format!("{case}/letters/refusal");
    watch.reads(&desk, &[&case, &refusal], true).await;
    watch.reads(&applicant, &[&mine], true).await;
    let letters = format!("{case}/letters/{}", percent(text));
    watch.reads(&desk, &[&letters, "/window/cases"], false).await;
    // Another one, declined.
    let opened = watch.post(&applicant, "/me/cases", &[("matter", text), ("holder", text)]).await;
    assert_ne!(opened.status, 303);
    let opened = watch.post(&applicant, "/me/cases", &[("matter", &matter)]).await;
    let mine = opened.location().split('?').next().unwrap().to_owned();
    let case = mine.replace("/me/", "/window/");
    let form: Vec<(&str, &str)> =
        vec![("field.shop-name", text), ("field.items", text), ("field.phone", text)];
    watch.post(&applicant, &format!("{mine}/form"), &form).await;
    watch.reads(&applicant, &[&mine], true).await;
    watch.saw("a file", &hand_in(&applicant, &mine, &file_name(text)).await);
    watch.post(&applicant, &format!("{mine}/submit"), &[]).await;
    watch.post(&desk, &format!("{case}/decline"), &[("reason", text)]).await;
    watch.reads(&applicant, &[&mine], true).await;

    // A consent.
    let asked = [
        ("number", number),
        ("kind", kind),
        ("matter", matter.as_str()),
        ("reason", text),
        ("case", text),
        ("until", "2026-03-31"),
        ("type", found.licences[0].licence_type.as_str()),
    ];
    watch.post(&window, "/window/consents/choose", &asked).await;
    let wrong = asked.map(|(name, said)| (name, if name == "until" { text } else { said }));
    let page = watch.post(&window, "/window/consents", &wrong).await;
    watch.shows("/window/consents", &page);
    let made = watch.post(&window, "/window/consents", &asked).await;
    let consent = made.location().to_owned();
    let mine = consent.replace("/window/", "/me/");
    watch.reads(&window, &[&consent], true).await;
    watch.reads(&window, &["/window/consents"], false).await;
    watch.reads(&applicant, &[&mine], true).await;
    let less = [("answer", text), ("until", text)];
    watch.post(&applicant, &format!("{mine}/answer"), &less).await;
    watch.post(&applicant, &format!("{mine}/answer"), &[("answer", "yes")]).await;
    watch.post(&window, &format!("{consent}/open"), &[]).await;
    watch.reads(&applicant, &["/me/uses"], true).await;
    watch.reads(&applicant, &[&mine, "/me/consents", "/me"], false).await;

    // A dispute.
    let field = found.licences[0].fields.keys().next().unwrap().as_str();
    let wrong = [
        ("licence", card.as_str()),
        ("field", text),
        ("says", text),
        ("why", text),
        ("material", text),
    ];
    watch.post(&applicant, "/me/corrections", &wrong).await;
    let new = [("licence", card.as_str()), ("field", field), ("says", text), ("why", text)];
    let made = watch.post(&applicant, "/me/corrections", &new).await;
    let mine = made.location().split('?').next().unwrap().to_owned();
    let theirs = mine.replace("/me/", "/window/");
    watch.reads(&applicant, &[&mine], true).await;
    watch.reads(&police, &[&theirs], true).await;
    watch.post(&police, &theirs, &[("outcome", "corrected"), ("licence", text)]).await;
    watch.post(&police, &theirs, &[("outcome", "kept"), ("reason", text)]).await;
    watch.reads(&applicant, &[&mine], true).await;
    watch.reads(&police, &[&theirs], true).await;
    let licence = format!("/me/licences/{card}");
    watch.reads(&applicant, &["/me/corrections", "/me/licences", &licence], false).await;
    watch.reads(&police, &["/window/corrections"], false).await;

    // The guide, before and after the log-in.
    let guide = format!("/matters/{matter}");
    watch.reads(&applicant, &[&guide, &format!("{guide}/print"), "/matters", "/"], false).await;

    // Every page, with the text in its address and as its language.
    for pattern in hub::pages::patterns() {
        let path: Vec<String> = pattern
            .split('/')
            .map(|part| if part.starts_with('{') { percent(text) } else { part.to_owned() })
            .collect();
        let path = path.join("/");
        let asks = percent(text);
        for client in [&applicant, &window, &desk, &operator] {
            let paths = [
                format!("{path}?lang={asks}&next={asks}&state={asks}&after={asks}&holder={asks}"),
                format!("{path}?{asks}"),
            ];
            for path in paths {
                let page = client.get(&path).await;
                watch.saw(&format!("GET {pattern}"), &page);
            }
        }
    }
    watch
}

#[actix_web::test]
async fn whatever_is_written_into_a_field_stands_on_every_page_as_text() {
    let mut wrong = Vec::new();
    for text in TEXTS {
        let mut hub = TestHub::start_with(
            "[[connectors]]\nname = \"province\"\nkind = \"frontdb\"\n\
             connection = \"host=127.0.0.1 port=1 user=x dbname=x\"\n",
        )
        .await;
        let found = hub.district.applicant(Story::FoodShop, date(2026, 3, 2)).unwrap();
        hub_with(&found, &hub).await;
        let watch = whole_story(&hub, &found, text).await;
        wrong.extend(watch.wrong);
        hub.stop().await;
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[actix_web::test]
async fn what_is_far_too_long_is_refused_in_words_and_breaks_nothing() {
    let mut hub = TestHub::start().await;
    let clerk = hub.window_clerk().await;
    let person = hub.applicant(3).await;
    let long = "长".repeat(10_000);
    for (client, path, name) in [
        (&clerk, "/window", "number"),
        (&clerk, "/window", "matter"),
        (&clerk, "/window/cases/find", "case"),
        (&clerk, "/licences", "q"),
        (&clerk, "/licences", "reason"),
        (&clerk, "/window/consents", "reason"),
        (&person, "/matters", "words"),
        (&person, "/me/corrections", "says"),
        (&person, "/me/cases", "matter"),
    ] {
        for text in [&long, &long.repeat(9)] {
            let page = client.post(path, &[(name, text)]).await;
            let wrong = look(path, &page);
            assert!(wrong.is_empty(), "{wrong:?}");
            assert!(page.status < 500, "{path} {name}: {}", page.status);
        }
    }
    hub.stop().await;
}

/// The test's own eyes.
#[test]
fn a_page_that_was_broken_would_be_noticed() {
    let page = |html: &str| Page {
        status: 200,
        headers: [
            ("content-type", "text/html"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'"),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect(),
        html: html.to_owned(),
    };
    let good =
        "<p><a href=\"/me\" title=\"zq\">&#60;script&#62;zq</a><input value=\"zq\" required></p>";
    assert_eq!(look("", &page(good)), Vec::<String>::new());
    for bad in [
        "<p><iframe></iframe></p>",
        "<p onclick=\"zq\">",
        "<img src=zq onerror=zq(1)>",
        "<a href=\"javascript:zq(1)\">",
        "<input value=\"\" autofocus onfocus='zq(1)'>",
        "<p id=\"zq\">",
        "<p style=\"x\">",
        "<p>{{49}}",
        "<!--",
    ] {
        assert!(!look("", &page(bad)).is_empty(), "{bad}");
    }
}
