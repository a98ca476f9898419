//! Stories of people, in a real browser, over a real hub, with a real OpenID provider and the province's database.
//!
//! Each story ends with a search for its people's numbers and names in everything that was logged, measured and
//! addressed. `YIHAO_PICTURES=FOLDER` keeps a picture of every page they come by.

mod support;

use std::{path::PathBuf, process::Command};

use district::Story;
use jiff::{SignedDuration, Timestamp};
use licence::{HolderId, Licence};
use reqwest::Method;
use serde_json::{Value, json};
use support::{
    NOW, TestHub,
    browser::{ENTER, PATIENCE, Page, TAB},
    stage::{Someone, Stage},
};

/// The applicant of the stories: the district's person who holds what their matters ask for.
struct Applicant {
    holder: HolderId,
    name: String,
    licences: Vec<Licence>,
}

impl Applicant {
    fn of(hub: &TestHub) -> Self {
        let day = hub::clock::day_in_china(NOW.parse::<Timestamp>().unwrap());
        let found = hub.district.applicant(Story::FoodShop, day).expect("the district has one");
        Self { holder: found.holder.id, name: found.holder.name, licences: found.licences }
    }

    /// What must not stand in logs, metrics and addresses.
    fn secrets(&self) -> Vec<String> {
        vec![self.holder.number().to_owned(), self.name.clone()]
    }
}

/// A small district with its applicant, known before the hub is.
fn applicant() -> (HolderId, String) {
    let district = TestHub::small_district();
    let day = hub::clock::day_in_china(NOW.parse::<Timestamp>().unwrap());
    let found = district.applicant(Story::FoodShop, day).expect("the district has one");
    (found.holder.id, found.holder.name)
}

fn people() -> Vec<Someone> {
    let (holder, name) = applicant();
    let clerk = |subject: &str, name: &str, node: &str| Someone {
        subject: subject.to_owned(),
        claims: json!({ "name": name, "roles": ["staff"], "organisation": node }),
    };
    vec![
        Someone {
            subject: "applicant".to_owned(),
            claims: json!({
                "name": name, "holder_kind": "111", "holder_number": holder.number(),
                "roles": ["citizen"],
            }),
        },
        clerk("window", "周敏", "hall-1"),
        clerk("bureau", "孙立", "government-services"),
        clerk("police", "何勇", "public-security"),
    ]
}

async fn stage() -> (Stage, Applicant) {
    let stage = Stage::set(&people(), counterparts).await;
    let applicant = Applicant::of(&stage.hub);
    for licence in &applicant.licences {
        issue(&stage.hub, licence).await;
    }
    (stage, applicant)
}

fn counterparts(province: &str) -> String {
    let bureau = support::departments().into_iter().find(|one| one.slug == "government-services");
    let bureau = bureau.expect("the district has it").code;
    format!(
        "[[connectors]]\nname = \"province\"\nkind = \"frontdb\"\nconnection = \"{province}\"\n\
         create_tables = true\n\
         [[connectors]]\nname = \"cases\"\nkind = \"casebase\"\nconnection = \"{province}\"\n\
         create_tables = true\ndepartments = [\"{bureau}\"]\n"
    )
}

async fn issue(hub: &TestHub, licence: &Licence) {
    let issuer = licence.issuer.credit_code();
    let departments = district::issuing_departments();
    let department = departments.iter().find(|one| one.code == *issuer).expect("it issues");
    let answer = hub.issuing(department.slug).issue(licence).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

/// How many such elements the page has.
async fn count(page: &Page, selector: &str) -> u64 {
    let script = format!("return document.querySelectorAll({}).length", json!(selector));
    page.script(&script).await.as_u64().unwrap()
}

async fn path(page: &Page) -> String {
    page.script("return location.pathname").await.as_str().unwrap().to_owned()
}

/// Looks at a page as the design asks for: nothing stands out at 360 and 1280, axe-core finds nothing serious, light.
async fn is_well_made(page: &Page, what: &str) {
    page.fits(what).await;
    page.is_accessible_and_light(what).await;
}

/// Waits until the department's counterpart has the case in its tables, once.
async fn arrives_in_the_province(stage: &Stage, case: &str) {
    let question = format!("select count(*) from up_pro_accept where project_no = '{case}'");
    let waiting = std::time::Instant::now();
    loop {
        let asked = Command::new("psql")
            .arg(stage.province.connection())
            .args(["-Atc", &question])
            .output()
            .unwrap();
        match String::from_utf8_lossy(&asked.stdout).trim() {
            "1" => return,
            "0" | "" => {}
            several => panic!("the case arrived {several} times"),
        }
        assert!(waiting.elapsed() < PATIENCE, "the case did not arrive in the province");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// A file as an applicant has it.
fn a_drawing(stage: &Stage, name: &str, mark: &str) -> PathBuf {
    let mut pdf = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n".to_vec();
    pdf.extend_from_slice(b"2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n");
    pdf.extend_from_slice(b"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>\nendobj\n");
    pdf.extend_from_slice(format!("% {mark}\n").as_bytes());
    let xref = pdf.len();
    pdf.extend_from_slice(b"xref\n0 4\n0000000000 65535 f \n");
    for object in ["1 0 obj", "2 0 obj", "3 0 obj"] {
        let at = pdf.windows(7).position(|window| window == object.as_bytes()).unwrap();
        pdf.extend_from_slice(format!("{at:010} 00000 n \n").as_bytes());
    }
    let trailer = format!("trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n{xref}\n%%EOF\n");
    pdf.extend_from_slice(trailer.as_bytes());
    let path = stage.hub.folder.path().join(name);
    std::fs::write(&path, pdf).unwrap();
    path
}

/// Starts a matter from its guide; the case's id.
async fn start(page: &Page, story: Story) -> String {
    page.open(&format!("/matters/{}", story.code())).await;
    assert_eq!(page.heading().await, story.name());
    is_well_made(page, &format!("guide {}", story.slug())).await;
    page.submit("form[action='/me/cases'] button").await;
    let path = path(page).await;
    path.strip_prefix("/me/cases/").unwrap_or_else(|| panic!("led to {path}")).to_owned()
}

/// Hands in a file where the page asks for one, first place first.
async fn hand_in(page: &Page, file: &std::path::Path) {
    page.type_into("form.hand-in input[type=file]", file.to_str().unwrap()).await;
    page.submit("form.hand-in button").await;
}

/// Writes into every form field that is empty.
async fn fill_in(page: &Page) {
    page.script(
        "document.querySelectorAll(\"[name^='field']\").forEach(one => { if (!one.value) one.value = '按图施工' })",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applicant_hands_in_one_of_eight_materials_and_for_the_next_matter_none() {
    let (stage, applicant) = stage().await;
    let page = &stage.page;

    stage.log_in("applicant").await;
    page.open("/me").await;
    is_well_made(page, "my overview").await;
    let case = start(page, Story::FoodShop).await;
    assert_eq!(count(page, "ol.items > li").await, 8, "the matter asks for eight materials");
    assert_eq!(count(page, "form.hand-in").await, 1, "one of them is not held");
    is_well_made(page, "a case to put together").await;
    hand_in(page, &a_drawing(&stage, "平面图.pdf", "first")).await;
    assert_eq!(count(page, "form.hand-in").await, 0, "nothing more is asked for");
    fill_in(page).await;
    page.submit(&format!("form[action='/me/cases/{case}/submit'] button.primary")).await;
    page.until("submitted", |text| text.contains("已提交")).await;
    is_well_made(page, "a case submitted").await;
    arrives_in_the_province(&stage, &case).await;

    // The department asks for a better drawing, once and all at once.
    stage.log_in("bureau").await;
    page.open("/window/cases").await;
    is_well_made(page, "the queue").await;
    page.submit(&format!("a[href='/window/cases/{case}']")).await;
    is_well_made(page, "a case to decide").await;
    page.press("#mend-floor-plan").await;
    page.type_into("[name=why-floor-plan]", "图上没有标出入口").await;
    page.submit("#supplement button").await;
    page.open(&format!("/window/cases/{case}/letters/supplement")).await;
    assert!(page.text_of("main").await.contains("图上没有标出入口"));
    is_well_made(page, "letter of supplement").await;

    stage.log_in("applicant").await;
    page.open(&format!("/me/cases/{case}")).await;
    page.until("what is asked for", |text| text.contains("图上没有标出入口")).await;
    assert_eq!(count(page, "form.hand-in").await, 1, "only what was sent back is asked for");
    hand_in(page, &a_drawing(&stage, "平面图二.pdf", "second, with the entrance")).await;
    page.submit(&format!("form[action='/me/cases/{case}/submit'] button.primary")).await;

    stage.log_in("bureau").await;
    page.open(&format!("/window/cases/{case}")).await;
    page.submit(&format!("form[action='/window/cases/{case}/accept'] button")).await;
    page.submit(&format!("form[action='/window/cases/{case}/decide'] button.primary")).await;
    page.until("granted", |text| text.contains("准予")).await;

    // The second matter uses the drawing again.
    stage.log_in("applicant").await;
    let second = start(page, Story::Signboard).await;
    assert_eq!(count(page, "form.hand-in").await, 0, "nothing is asked for");
    fill_in(page).await;
    page.submit(&format!("form[action='/me/cases/{second}/submit'] button.primary")).await;
    page.until("submitted", |text| text.contains("已提交")).await;
    page.open("/me/materials").await;
    is_well_made(page, "my materials").await;

    stage.end(&applicant.secrets()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_code_of_a_guide_leads_to_the_guide() {
    let (stage, applicant) = stage().await;
    let page = &stage.page;
    let guide = format!("/matters/{}", Story::FoodShop.code());
    page.open(&format!("{guide}/print")).await;
    let size = json!({ "width": 1280, "height": 1800, "deviceScaleFactor": 1, "mobile": false });
    let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
    page.browser.ask(Method::POST, "/goog/cdp/execute", command).await;
    let taken = page.browser.ask(Method::GET, "/screenshot", Value::Null).await;
    let png = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        taken.as_str().expect("a picture"),
    )
    .unwrap();
    let file = stage.hub.folder.path().join("print.png");
    std::fs::write(&file, png).unwrap();
    let read = Command::new("zbarimg").args(["--quiet", "--raw"]).arg(&file).output().unwrap();
    let read = String::from_utf8(read.stdout).unwrap();
    assert_eq!(read.trim(), format!("{}{guide}", page.base));
    stage.log_in("applicant").await;
    page.open(read.trim().strip_prefix(&page.base).unwrap()).await;
    assert_eq!(page.heading().await, Story::FoodShop.name());
    stage.end(&applicant.secrets()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_is_kept_and_one_that_is_not_costs_the_next() {
    let (stage, applicant) = stage().await;
    let page = &stage.page;
    stage.log_in("applicant").await;

    // Promised and kept.
    let kept = promise(page).await;
    is_well_made(page, "a promise given").await;
    hand_in(page, &a_drawing(&stage, "健康证.pdf", "health")).await;
    page.until("the promise is kept", |text| text.contains("承诺的材料都补齐了")).await;
    let held = stage.hub.case(&kept).await;
    assert!(held.promise.expect("it was given").kept_at.is_some());

    // Promised again when the certificate of before is too old. Nothing comes, the day passes, and nothing may follow
    // any more. (The applicant's identity card lives on; a signer's certificate of the tests ends in 2027.)
    days_pass(&stage.hub, 370);
    stage.log_in("applicant").await;
    promise(page).await;
    days_pass(&stage.hub, 40);
    stage.log_in("applicant").await;
    let next = start(page, Story::FoodStall).await;
    assert_eq!(count(page, "[name=promise]").await, 0, "nothing may follow");
    page.until("why", |text| text.contains("承诺")).await;
    assert_eq!(path(page).await, format!("/me/cases/{next}"));
    is_well_made(page, "a promise not kept").await;
    stage.end(&applicant.secrets()).await;
}

/// Days pass, and the authority goes on publishing its revocation lists.
fn days_pass(hub: &TestHub, days: i64) {
    hub.hub.clock.advance(SignedDuration::from_hours(24 * days));
    hub.authority.revocation_list(&[], hub.hub.clock.now()).unwrap();
    hub.hub.reload_trust().unwrap();
}

/// Opens a case and submits it against a promise; its id.
async fn promise(page: &Page) -> String {
    let case = start(page, Story::FoodStall).await;
    page.press("[name=promise]").await;
    fill_in(page).await;
    page.submit(&format!("form[action='/me/cases/{case}/submit'] button.primary")).await;
    page.until("submitted against a promise", |text| text.contains("已提交")).await;
    case
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clerk_looks_by_consent_the_holder_sees_it_and_withdraws() {
    let (stage, applicant) = stage().await;
    let page = &stage.page;

    // By the keyboard alone: number in, checklist out, then the question to the holder.
    stage.log_in("window").await;
    page.open("/window").await;
    is_well_made(page, "the window").await;
    let typed = format!("{}{TAB}{TAB}{}{ENTER}", applicant.holder.number(), Story::FoodShop.name());
    page.type_into("#number", &typed).await;
    page.until("the checklist", |text| text.contains("餐饮场所平面布局图")).await;
    assert_eq!(path(page).await, "/window", "no number in the address");
    is_well_made(page, "the window's checklist").await;
    page.submit("form[action='/window/consents/choose'] button").await;
    is_well_made(page, "what to ask for").await;
    page.script(
        "document.querySelectorAll('[name=type]').forEach((one, at) => { one.checked = at === 0 });
         document.querySelector('#reason').value = '代办核对身份';
         document.querySelector('#until').value = '2026-06-01';",
    )
    .await;
    page.submit("form[action='/window/consents'] button.primary").await;
    let asked = path(page).await;
    is_well_made(page, "a question that waits").await;

    stage.log_in("applicant").await;
    page.open("/me/consents").await;
    is_well_made(page, "my consents").await;
    let id = asked.rsplit('/').next().unwrap();
    page.submit(&format!("a[href='/me/consents/{id}']")).await;
    page.until("who and why", |text| text.contains("代办核对身份")).await;
    is_well_made(page, "a question to answer").await;
    page.submit("button[value=yes]").await;

    stage.log_in("window").await;
    page.open(&asked).await;
    page.submit(&format!("form[action='{asked}/open'] button")).await;
    page.until("the content", |text| text.contains(&applicant.name)).await;
    is_well_made(page, "what the holder lets us see").await;

    stage.log_in("applicant").await;
    page.open("/me/uses").await;
    page.until("who looked and why", |text| text.contains("代办核对身份")).await;
    is_well_made(page, "who looked").await;
    page.open(&format!("/me/consents/{id}")).await;
    page.submit("form[action$='/withdraw'] button").await;

    stage.log_in("window").await;
    let opened = post_by_hand(page, &asked).await;
    assert_eq!(opened, 410, "the next opening is refused");
    page.open(&asked).await;
    page.until("withdrawn", |text| text.contains("撤回")).await;
    is_well_made(page, "a consent withdrawn").await;
    stage.end(&applicant.secrets()).await;
}

/// Opens under a consent as the page's own button would, also where the page offers none any more; the status.
async fn post_by_hand(page: &Page, asked: &str) -> u64 {
    let script = format!(
        "const done = arguments[arguments.length - 1];
         const csrf = document.querySelector('[name=csrf]').value;
         fetch('{asked}/open', {{ method: 'POST', redirect: 'manual',
           headers: {{ 'content-type': 'application/x-www-form-urlencoded' }}, body: 'csrf=' + csrf }})
           .then(answer => done(answer.status), error => done(String(error)));"
    );
    let call = json!({ "script": script, "args": [] });
    let status = page.browser.ask(Method::POST, "/execute/async", call).await;
    status.as_u64().unwrap_or_else(|| panic!("{status}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disputed_field_is_answered_by_the_issuer_and_both_sides_are_on_record() {
    let (stage, applicant) = stage().await;
    let page = &stage.page;
    let card = &applicant.licences[0];
    stage.log_in("applicant").await;
    page.open(&format!("/me/licences/{}", card.identifier)).await;
    is_well_made(page, "a licence of mine").await;
    page.press("#dispute summary").await;
    page.script("document.querySelector('#dispute-field').selectedIndex = 1").await;
    page.type_into("#dispute-says", "青溪路12号").await;
    page.type_into("#dispute-why", "已经搬家并登记过").await;
    page.submit("form[action='/me/corrections'] button").await;
    is_well_made(page, "a correction asked for").await;
    page.open(&format!("/me/licences/{}", card.identifier)).await;
    page.until("it is disputed", |text| text.contains("有异议")).await;
    is_well_made(page, "a disputed licence").await;

    stage.log_in("police").await;
    page.open("/window/corrections").await;
    is_well_made(page, "corrections to answer").await;
    page.submit("table a").await;
    page.until("what the holder says", |text| text.contains("已经搬家并登记过")).await;
    is_well_made(page, "a correction to answer").await;
    page.type_into("#reason", "登记簿所载与证照一致").await;
    page.submit("form.ask button").await;

    stage.log_in("applicant").await;
    page.open("/me/corrections").await;
    is_well_made(page, "my corrections").await;
    page.submit("table a").await;
    page.until("both sides", |text| {
        text.contains("已经搬家并登记过") && text.contains("登记簿所载与证照一致")
    })
    .await;
    is_well_made(page, "a correction answered").await;
    page.open(&format!("/me/licences/{}", card.identifier)).await;
    page.until("it is not disputed any more", |text| !text.contains("有异议")).await;
    stage.end(&applicant.secrets()).await;
}
