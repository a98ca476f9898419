//! The window: what clerks see and do on its pages, over HTTP, without scripts.

mod support;

use district::{Applicant, Story};
use jiff::civil::date;
use support::{
    TestHub, departments,
    people::{Page, PageClient},
};

/// What no text on a page may become.
const SCRIPT: &str = "<script>alert(1)</script>";

/// A hub whose district has somebody for a story, with all that they hold.
async fn hub_with(story: Story) -> (TestHub, Applicant) {
    let hub = TestHub::start().await;
    let applicant = hub.district.applicant(story, date(2026, 3, 2)).expect("somebody can apply");
    for licence in &applicant.licences {
        let all = departments();
        let issuer = all.iter().find(|one| one.code == *licence.issuer.credit_code()).unwrap();
        let answer = hub.issuing(issuer.slug).issue(licence).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    (hub, applicant)
}

/// What is typed at the counter.
fn typed(applicant: &Applicant, story: Story) -> [(&'static str, String); 3] {
    let id = &applicant.holder.id;
    [
        ("number", id.number().to_owned()),
        ("kind", id.kind().code().to_owned()),
        ("matter", story.name().to_owned()),
    ]
}

async fn post(client: &PageClient, path: &str, form: &[(&'static str, String)]) -> Page {
    let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
    client.post(path, &form).await
}

/// Opens a case at the clerk's window; its address.
async fn open_case(clerk: &PageClient, applicant: &Applicant, story: Story) -> String {
    let opened = post(clerk, "/window/cases", &typed(applicant, story)).await;
    assert_eq!(opened.status, 303, "{}", opened.html);
    opened.location().to_owned()
}

#[track_caller]
fn shows(page: &Page, words: &[&str]) {
    let text = page.text();
    for word in words {
        assert!(text.contains(word), "{word} is missing in:\n{text}");
    }
}

#[track_caller]
fn hides(page: &Page, words: &[&str]) {
    for word in words {
        assert!(!page.html.contains(word), "{word} is shown in:\n{}", page.html);
    }
}

/// Keeps a page in the folder that `YIHAO_PAGES` names, to be looked at.
fn keep(name: &str, page: &Page) {
    if let Some(folder) = std::env::var_os("YIHAO_PAGES") {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), &page.html)
            .unwrap();
    }
}

/// In both languages, with a title, one heading, no inline script, and for clerks only.
async fn comes_in_both_languages(client: &PageClient, path: &str) {
    for (language, tag) in [("zh", "zh-CN"), ("en", "en")] {
        let page = client.get(&format!("{path}?lang={language}")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.html);
        keep(&format!("{}-{language}", path.trim_matches('/').replace('/', "_")), &page);
        assert!(page.html.contains(&format!("<html lang=\"{tag}\">")), "{path}");
        assert_eq!(page.html.matches("<h1").count(), 1, "{path}");
        hides(&page, &["<script>", " style=", " onclick", "javascript:"]);
    }
}

#[actix_web::test]
async fn a_number_goes_in_and_the_checklist_comes_out() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let clerk = hub.window_clerk().await;
    comes_in_both_languages(&clerk, "/window").await;
    let form = clerk.get("/window?lang=zh").await;
    assert!(form.html.contains("autofocus"));
    shows(&form, &["N", "K", "M", "S"]);

    let uses = hub.uses().await;
    let list = post(&clerk, "/window", &typed(&applicant, Story::FoodShop)).await;
    assert_eq!(list.status, 200, "{}", list.html);
    keep("checklist-zh", &list);
    shows(
        &list,
        &["共需 8 项材料：库里已有 7 项，需要提交 1 项。", "库中已有", "餐饮场所平面布局图"],
    );
    assert_eq!(hub.uses().await, uses + 1, "one look, on the log");
    for address in list.html.split("href=\"").chain(list.html.split("action=\"")).skip(1) {
        let address = address.split('"').next().unwrap();
        assert!(!address.contains(applicant.holder.id.number()), "{address}");
    }
    let english = clerk.get("/window?lang=en").await;
    assert_eq!(english.status, 200);
    let request = clerk.page(reqwest::Method::POST, "/window?lang=en");
    let id = &applicant.holder.id;
    let body = format!(
        "csrf={}&number={}&kind={}&matter={}",
        clerk.csrf,
        id.number(),
        id.kind().code(),
        Story::FoodShop.code()
    );
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
    let list = clerk.send(request).await;
    keep("checklist-en", &list);
    shows(&list, &["8 materials are needed: 7 are here, 1 to hand in."]);
    hub.stop().await;
}

#[actix_web::test]
async fn what_is_typed_at_the_counter_is_understood_or_said_to_be_wrong() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let clerk = hub.window_clerk().await;
    let number = applicant.holder.id.number();
    let [(_, typed_number), (_, kind), _] = typed(&applicant, Story::FoodShop);
    let ask = async |number: &str, kind: &str, matter: &str| {
        clerk.post("/window", &[("number", number), ("kind", kind), ("matter", matter)]).await
    };
    // Blanks between the digits, and a part of the matter's name.
    let spaced: String = number.chars().flat_map(|c| [c, ' ']).collect();
    shows(&ask(&spaced, &kind, "小餐饮").await, &["共需 8 项材料"]);
    // By code and by its English name.
    shows(&ask(number, &kind, Story::FoodShop.code().as_str()).await, &["共需 8 项材料"]);
    // Two that fit.
    let several = ask(number, &kind, "备案").await;
    shows(&several, &["有多个事项符合", Story::Signboard.name(), Story::FoodStall.name()]);
    // None, a number that is none, scripts.
    let none = ask(number, &kind, "没有这个事项").await;
    assert_eq!(none.status, 422);
    shows(&none, &["目录里没有的事项不能办理", "unknown_matter"]);
    let wrong = ask(&typed_number[1..], &kind, Story::FoodShop.name()).await;
    assert_eq!(wrong.status, 422);
    shows(&wrong, &["号码与所选类型不符"]);
    let script = ask(SCRIPT, SCRIPT, SCRIPT).await;
    assert_eq!(script.status, 422);
    hides(&script, &["<script>"]);
    hub.stop().await;
}

#[actix_web::test]
async fn the_window_is_for_clerks() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let clerk = hub.window_clerk().await;
    let case = open_case(&clerk, &applicant, Story::FoodShop).await;
    let own = hub.applicant(applicant.index).await;
    let operator = hub.operator().await;
    let auditor = hub.auditor().await;
    let paths = ["/window", "/window/cases", &case, "/window/consents", "/window/corrections"];
    for client in [&own, &operator, &auditor] {
        for path in paths {
            let page = client.get(path).await;
            assert_eq!(page.status, 403, "{path}");
            hides(&page, &[applicant.holder.id.number(), Story::FoodShop.name()]);
            let posted = post(client, "/window", &typed(&applicant, Story::FoodShop)).await;
            assert_eq!(posted.status, 403);
        }
    }
    hub.stop().await;
}

#[actix_web::test]
async fn a_case_is_seen_at_its_window_and_above_and_nowhere_else() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let qingxi = hub.clerk("qingxi-1").await;
    let case = open_case(&qingxi, &applicant, Story::FoodShop).await;
    comes_in_both_languages(&qingxi, &case).await;
    comes_in_both_languages(&qingxi, "/window/cases").await;
    let id = case.rsplit('/').next().unwrap();
    for (node, sees) in [
        ("qingxi", true),
        ("qingxi-1", true),
        ("baishi-1", false),
        ("hall-1", false),
        ("public-security", false),
    ] {
        let clerk = hub.clerk(node).await;
        let page = clerk.get(&case).await;
        assert_eq!(page.status, if sees { 200 } else { 404 }, "{node}");
        let queue = clerk.get("/window/cases").await;
        assert_eq!(queue.html.contains(id), sees, "{node}");
        let found = clerk.post("/window/cases/find", &[("case", id)]).await;
        assert_eq!(found.status, if sees { 303 } else { 404 }, "{node}");
        let unknown = clerk.post("/window/cases/find", &[("case", "20260302-AAAAAAAAAA")]).await;
        assert_eq!(unknown.status, 404);
        if !sees {
            shows(&found, &["没有这个办件"]);
        }
    }
    hub.stop().await;
}

#[actix_web::test]
async fn scripts_in_a_form_and_in_a_search_stay_text() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let clerk = hub.window_clerk().await;
    let case = open_case(&clerk, &applicant, Story::FoodShop).await;
    let saved = clerk.post(&format!("{case}/form"), &[("field-shop-name", SCRIPT)]).await;
    assert_eq!(saved.status, 303, "{}", saved.html);
    let page = clerk.get(&case).await;
    hides(&page, &["<script>"]);
    assert!(page.html.contains("&#60;script&#62;"), "{}", page.html);
    let long = "很".repeat(61);
    let refused = clerk.post(&format!("{case}/form"), &[("field-shop-name", &long)]).await;
    assert_eq!(refused.status, 422);
    shows(&refused, &["没有做成", "form_field_too_long"]);
    let find = clerk.post("/window/cases/find", &[("case", SCRIPT)]).await;
    hides(&find, &["<script>"]);
    hub.stop().await;
}

/// A floor plan as it comes from a scanner: one empty page.
const PDF: &[u8] = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
    2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
    3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n\
    trailer<</Root 1 0 R>>\nstartxref\n9\n%%EOF\n";

/// Hands a scanned file in at the window.
async fn hand_in(clerk: &PageClient, case: &str, requirement: &str, name: &str) -> Page {
    let form = reqwest::multipart::Form::new()
        .text("csrf", clerk.csrf.clone())
        .text("requirement", requirement.to_owned())
        .part("file", reqwest::multipart::Part::bytes(PDF).file_name(name.to_owned()));
    let request = clerk.page(reqwest::Method::POST, &format!("{case}/files")).multipart(form);
    clerk.send(request).await
}

/// Fills the form in, hands the one file in and submits.
async fn submit_food_shop(clerk: &PageClient, case: &str) {
    let form = [
        ("field-shop-name", "江畔小馆"),
        ("field-items", "热食类食品制售"),
        ("field-phone", "0772-5550101"),
    ];
    assert_eq!(clerk.post(&format!("{case}/form"), &form).await.status, 303);
    let handed_in = hand_in(clerk, case, FLOOR_PLAN, "平面图.pdf").await;
    assert_eq!(handed_in.status, 303, "{}", handed_in.html);
    let submitted = clerk.post(&format!("{case}/submit"), &[]).await;
    assert_eq!(submitted.status, 303, "{}", submitted.html);
}

/// The requirement that asks for a floor plan.
const FLOOR_PLAN: &str = "floor-plan";

#[actix_web::test]
async fn a_supplement_round_is_worked_by_pages_alone_and_its_letters_are_printed() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let window = hub.window_clerk().await;
    let case = open_case(&window, &applicant, Story::FoodShop).await;

    // Nothing that is held is taken, and nothing incomplete is submitted.
    let held = hand_in(&window, &case, "operator", "身份证.pdf").await;
    assert_eq!(held.status, 409, "{}", held.html);
    shows(&held, &["库里已有这一项的证照，不得再要", "held_already"]);
    let early = window.post(&format!("{case}/submit"), &[]).await;
    assert_eq!(early.status, 409, "{}", early.html);
    shows(&early, &["没有提交", "materials_missing", "还缺 1 项材料"]);
    submit_food_shop(&window, &case).await;
    shows(&window.get(&case).await, &["已提交，待受理", "平面图.pdf", "江畔小馆"]);

    // The department sees it, opens a licence, and asks for more, all at once.
    let department = hub.department_clerk("government-services").await;
    let page = department.get(&case).await;
    keep("submitted-zh", &page);
    shows(&page, &["一次性告知补正", "查看证照"]);
    let open = page.html.split("formaction=\"").next().unwrap();
    let open = open.split(&format!("action=\"{case}/licences/")).nth(1).unwrap();
    let licence = open.split('"').next().unwrap();
    let opened = department.post(&format!("{case}/licences/{licence}"), &[]).await;
    assert_eq!(opened.status, 200, "{}", opened.html);
    keep("licence-zh", &opened);
    shows(&opened, &["证照内容", &applicant.holder.name, "本次打开已记入使用日志"]);
    let nothing = department.post(&format!("{case}/supplement"), &[]).await;
    assert_eq!(nothing.status, 422);
    let unsaid = [("item", FLOOR_PLAN), ("why-shop-name", "与店招不一致")];
    let unsaid = department.post(&format!("{case}/supplement"), &unsaid).await;
    assert_eq!(unsaid.status, 422);
    shows(&unsaid, &["请至少勾选一项，并为勾选的每一项写明问题和要求"]);
    assert!(unsaid.html.contains("value=\"与店招不一致\""), "what was written is kept");
    let why = format!("没有标注灶台位置{SCRIPT}");
    let items = [
        ("item", FLOOR_PLAN),
        ("item", "shop-name"),
        ("why-floor-plan", why.as_str()),
        ("why-shop-name", "与店招不一致"),
    ];
    let asked = department.post(&format!("{case}/supplement"), &items).await;
    assert_eq!(asked.status, 303, "{}", asked.html);

    // The letter says what, why and until when.
    for language in ["zh", "en"] {
        let letter = window.get(&format!("{case}/letters/supplement?lang={language}")).await;
        keep(&format!("letter-supplement-{language}"), &letter);
        assert_eq!(letter.status, 200, "{}", letter.html);
        let department = "澜溪区政务服务和数据管理局";
        let id = case.rsplit('/').next().unwrap();
        let words =
            ["补正告知书", "餐饮场所平面布局图", "没有标注灶台位置", "与店招不一致", department];
        shows(&letter, &words);
        shows(&letter, &[id, &applicant.holder.name, "2026年3月2日", "2026年3月16日前补正"]);
        hides(&letter, &["<script>", applicant.holder.id.number()]);
    }

    // The window mends it: the same file again will not do.
    let page = window.get(&case).await;
    keep("supplement-zh", &page);
    shows(&page, &["待补正", "办理部门一次性告知需要补正", "没有标注灶台位置"]);
    hides(&page, &["<script>"]);
    let renamed = window.post(&format!("{case}/form"), &[("field-shop-name", "江畔餐馆")]).await;
    assert_eq!(renamed.status, 303);
    assert_eq!(hand_in(&window, &case, FLOOR_PLAN, "平面图（新）.pdf").await.status, 303);
    assert_eq!(window.post(&format!("{case}/submit"), &[]).await.status, 303);

    // Accepted, decided; the window cannot do either.
    let not_theirs = window.post(&format!("{case}/accept"), &[]).await;
    assert_eq!(not_theirs.status, 403);
    assert_eq!(department.post(&format!("{case}/accept"), &[]).await.status, 303);
    let letter = window.get(&format!("{case}/letters/acceptance")).await;
    keep("letter-acceptance-zh", &letter);
    shows(
        &letter,
        &["受理通知书", "电子证照共享，申请人免交", "申请人提交", "承诺办结时限5个工作日"],
    );
    let twice = department.post(&format!("{case}/accept"), &[]).await;
    assert_eq!(twice.status, 409);
    shows(&twice, &["办件已到别的状态", "已受理"]);
    let refused = [("reason", "经营场所未通过现场核查")];
    assert_eq!(department.post(&format!("{case}/decide"), &refused).await.status, 303);
    let letter = department.get(&format!("{case}/letters/refusal")).await;
    keep("letter-refusal-zh", &letter);
    shows(
        &letter,
        &["不予办理决定书", "经营场所未通过现场核查", "六十日内依法申请行政复议", "六个月内"],
    );
    assert_eq!(window.get(&format!("{case}/letters/promise")).await.status, 404);
    comes_in_both_languages(&department, &case).await;
    comes_in_both_languages(&department, "/window/cases").await;
    hub.stop().await;
}

#[actix_web::test]
async fn a_promise_is_recorded_printed_and_kept() {
    let (mut hub, applicant) = hub_with(Story::FoodStall).await;
    let village = hub.clerk("heping-1").await;
    let case = open_case(&village, &applicant, Story::FoodStall).await;
    let page = village.get(&case).await;
    keep("may-follow-zh", &page);
    shows(&page, &["可以容缺：承诺在 2026-03-16 前补交", "登记承诺"]);
    let form = [("field-pitch", "和平村集市"), ("field-goods", "糖水")];
    assert_eq!(village.post(&format!("{case}/form"), &form).await.status, 303);
    let nothing = village.post(&format!("{case}/promise"), &[]).await;
    assert_eq!(nothing.status, 422);
    shows(&nothing, &["没有勾选任何一项"]);
    let not_minor = village.post(&format!("{case}/promise"), &[("requirement", "operator")]).await;
    assert!((400..500).contains(&not_minor.status), "{}", not_minor.html);
    let promised = village.post(&format!("{case}/promise"), &[("requirement", "health")]).await;
    assert_eq!(promised.status, 303, "{}", promised.html);
    let letter = village.get(&format!("{case}/letters/promise")).await;
    keep("letter-promise-zh", &letter);
    shows(
        &letter,
        &[
            "容缺受理承诺书",
            "从业人员健康证明",
            "2026年3月16日前补齐",
            &applicant.holder.name,
            "澜溪区政务服务和数据管理局",
        ],
    );
    hides(&letter, &[applicant.holder.id.number()]);
    assert_eq!(village.post(&format!("{case}/submit"), &[]).await.status, 303);
    shows(&village.get(&case).await, &["已承诺后补", "2026-03-16 前补齐"]);

    // It may still come after submission, and then it is kept.
    assert_eq!(hand_in(&village, &case, "health", "健康证.pdf").await.status, 303);
    shows(&village.get(&case).await, &["已于 2026-03-02 补齐", "健康证.pdf"]);
    hub.stop().await;
}

#[actix_web::test]
async fn a_file_of_the_case_is_opened_by_its_window_and_department_only() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let window = hub.window_clerk().await;
    let case = open_case(&window, &applicant, Story::FoodShop).await;
    submit_food_shop(&window, &case).await;
    let page = window.get(&case).await;
    let file = page.html.split(&format!("href=\"{case}/files/")).nth(1).unwrap();
    let file = format!("{case}/files/{}", file.split('"').next().unwrap());
    let department = hub.department_clerk("government-services").await;
    for client in [&window, &department] {
        let opened = client.get(&file).await;
        assert_eq!(opened.status, 200);
        assert!(opened.html.starts_with("%PDF"));
        let disposition = opened.headers["content-disposition"].to_str().unwrap();
        assert!(disposition.starts_with("attachment"), "{disposition}");
    }
    for node in ["housing", "baishi-1"] {
        assert_eq!(hub.clerk(node).await.get(&file).await.status, 404, "{node}");
    }

    // A forged or missing token takes no file; what is no PDF is refused in words.
    let sent = async |csrf: &str, content: &'static [u8], name: &'static str| {
        let form = reqwest::multipart::Form::new()
            .text("csrf", csrf.to_owned())
            .text("requirement", FLOOR_PLAN)
            .part("file", reqwest::multipart::Part::bytes(content).file_name(name));
        let request = window.page(reqwest::Method::POST, &format!("{case}/files")).multipart(form);
        window.send(request).await
    };
    assert_eq!(sent("0123", PDF, "a.pdf").await.status, 403);
    let script = sent(&window.csrf, b"<script>alert(1)</script>", "a.pdf").await;
    assert_eq!(script.status, 422, "{}", script.html);
    shows(&script, &["文件没有收下"]);
    hub.stop().await;
}

#[actix_web::test]
async fn a_clerk_asks_for_licences_opens_what_was_given_and_no_more_after_withdrawal() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let clerk = hub.department_clerk("government-services").await;
    comes_in_both_languages(&clerk, "/window/consents").await;
    let choose = post(&clerk, "/window/consents/choose", &typed(&applicant, Story::FoodShop)).await;
    assert_eq!(choose.status, 200, "{}", choose.html);
    keep("choose-zh", &choose);
    shows(&choose, &["选择证照和字段", "居民身份证", "住址", "到何时为止"]);

    let card = &applicant.licences[0].licence_type.to_string();
    let mut form = typed(&applicant, Story::FoodShop).to_vec();
    let nothing = post(&clerk, "/window/consents", &form).await;
    assert_eq!(nothing.status, 422, "{}", nothing.html);
    shows(&nothing, &["请至少选一种证照"]);
    let field = format!("field-{card}");
    let mut asked: Vec<(&str, &str)> =
        form.iter_mut().map(|(key, value)| (*key, value.as_str())).collect();
    asked.extend([
        ("type", card.as_str()),
        (field.as_str(), "address"),
        (field.as_str(), "birth_date"),
        ("reason", SCRIPT),
        ("until", "2026-03-31"),
    ]);
    let sent = clerk.post("/window/consents", &asked).await;
    assert_eq!(sent.status, 303, "{}", sent.html);
    let consent = sent.location().to_owned();
    assert!(!consent.contains(applicant.holder.id.number()));
    comes_in_both_languages(&clerk, &consent).await;
    let page = clerk.get(&format!("{consent}?lang=zh")).await;
    shows(&page, &["等待持有人答复", "居民身份证：住址、出生日期"]);
    hides(&page, &["<script>", applicant.holder.id.number()]);
    let early = clerk.post(&format!("{consent}/open"), &[]).await;
    assert_eq!(early.status, 409, "{}", early.html);
    shows(&early, &["现在不能打开"]);

    // The holder gives less; only that is opened, and it is on the log.
    let holder = hub.applicant(applicant.index).await;
    let id = consent.rsplit('/').next().unwrap();
    let less = serde_json::json!({
        "answer": "less", "licences": [{ "type": card, "fields": ["address"] }],
    });
    let decision = format!("/v1/grants/{id}/decision");
    let decided = holder.call(reqwest::Method::POST, &decision, Some(&less)).await;
    assert_eq!(decided.status, 200, "{}", decided.text);
    let uses = hub.uses().await;
    let opened = clerk.post(&format!("{consent}/open"), &[]).await;
    assert_eq!(opened.status, 200, "{}", opened.html);
    keep("opened-zh", &opened);
    let face = &applicant.licences[0].fields;
    shows(&opened, &[face["address"].as_str().unwrap(), "持有人没有给出的字段不显示"]);
    hides(&opened, &[face["birth_date"].as_str().unwrap(), &applicant.holder.name]);
    assert_eq!(hub.uses().await, uses + 1);
    shows(&clerk.get("/window/consents").await, &["同意一部分"]);

    // Another department knows nothing of it; a withdrawn one opens no more.
    let other = hub.department_clerk("housing").await;
    assert_eq!(other.get(&consent).await.status, 404);
    assert_eq!(other.post(&format!("{consent}/open"), &[]).await.status, 404);
    hides(&other.get("/window/consents").await, &[id]);
    let path = format!("/v1/grants/{id}");
    assert!(holder.call(reqwest::Method::DELETE, &path, None).await.status < 300);
    let late = clerk.post(&format!("{consent}/open"), &[]).await;
    assert_eq!(late.status, 410, "{}", late.html);
    shows(&late, &["持有人已撤回授权，不能再打开", "已撤回"]);
    hub.stop().await;
}

#[actix_web::test]
async fn a_disputed_field_is_answered_by_the_issuer_alone() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let holder = hub.applicant(applicant.index).await;
    let dispute = serde_json::json!({
        "licence": applicant.licences[0].identifier,
        "field": "address",
        "says": "澜溪区松风路18号",
        "why": format!("门牌号已更改{SCRIPT}"),
    });
    let disputed = holder.call(reqwest::Method::POST, "/v1/corrections", Some(&dispute)).await;
    assert_eq!(disputed.status, 201, "{}", disputed.text);
    let path = format!("/window/corrections/{}", disputed.json["id"].as_str().unwrap());

    let police = hub.department_clerk("public-security").await;
    comes_in_both_languages(&police, "/window/corrections").await;
    comes_in_both_languages(&police, &path).await;
    shows(&police.get("/window/corrections?lang=zh").await, &["居民身份证", "住址", "2026-03-09"]);
    let page = police.get(&path).await;
    shows(&page, &["待答复", "澜溪区松风路18号", "答复：维持原状"]);
    hides(&page, &["<script>", applicant.holder.id.number()]);

    let other = hub.department_clerk("housing").await;
    assert_eq!(other.get(&path).await.status, 404);
    hides(&other.get("/window/corrections").await, &[&path]);
    let kept = [("outcome", "kept"), ("reason", "以户籍登记为准")];
    assert_eq!(other.post(&path, &kept).await.status, 404);

    let wrong = [("outcome", "corrected"), ("licence", SCRIPT)];
    let wrong = police.post(&path, &wrong).await;
    assert_eq!(wrong.status, 422);
    hides(&wrong, &["<script>"]);
    shows(&wrong, &["这不是证照标识"]);
    let same = applicant.licences[0].identifier.to_string();
    let same = police.post(&path, &[("outcome", "corrected"), ("licence", &same)]).await;
    assert_eq!(same.status, 422);
    shows(&same, &["这份证照不合适"]);
    assert_eq!(police.post(&path, &[("outcome", "kept"), ("reason", "")]).await.status, 422);
    assert_eq!(police.post(&path, &kept).await.status, 303);
    shows(&police.get(&path).await, &["维持原状", "以户籍登记为准"]);
    let again = police.post(&path, &kept).await;
    assert_eq!(again.status, 409);
    shows(&again, &["这份更正已经答复过"]);
    hub.stop().await;
}

#[actix_web::test]
async fn what_a_holder_attached_to_a_dispute_is_opened_by_the_issuer_alone() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let holder = hub.applicant(applicant.index).await;
    let picture = [
        &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xda, 0, 4, 0, 0, 7][..],
        &[0xff, 0, 9, 0xff, 0xd9],
    ]
    .concat();
    let new = serde_json::json!({
        "kind": "proof", "name": "门牌照片.jpg", "size": picture.len(),
    });
    let begun = holder.call(reqwest::Method::POST, "/v1/materials", Some(&new)).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let upload = format!("/v1/materials/uploads/{}", begun.json["id"].as_str().unwrap());
    let request = holder
        .api(reqwest::Method::PATCH, &upload)
        .header("X-Yihao-Csrf", &holder.csrf)
        .header("Upload-Offset", "0")
        .header("Content-Type", "application/offset+octet-stream")
        .body(picture.clone());
    let sent = holder.send(request).await;
    assert!(sent.status < 300, "{}", sent.html);
    let finished = holder.call(reqwest::Method::POST, &format!("{upload}/finish"), None).await;
    let material = finished.json["id"].as_str().expect(&finished.text).to_owned();
    let police = hub.department_clerk("public-security").await;
    let content = format!("/v1/materials/{material}/content");
    let nothing = police.call(reqwest::Method::GET, &content, None).await;
    assert_eq!(nothing.status, 404, "before the dispute");

    let dispute = serde_json::json!({
        "licence": applicant.licences[0].identifier, "field": "address",
        "says": "澜溪区松风路18号", "why": "门牌号已更改", "materials": [material],
    });
    let disputed = holder.call(reqwest::Method::POST, "/v1/corrections", Some(&dispute)).await;
    assert_eq!(disputed.status, 201, "{}", disputed.text);
    let path = format!("/window/corrections/{}", disputed.json["id"].as_str().unwrap());
    let page = police.get(&path).await;
    let file = format!("{path}/files/{material}");
    shows(&page, &["持证人交的证明材料", "门牌照片.jpg"]);
    assert!(page.html.contains(&format!("href=\"{file}\"")));
    let before = hub.uses().await;
    let opened = police.send(police.page(reqwest::Method::GET, &file)).await;
    assert_eq!(opened.status, 200);
    let uses = hub.hub.store.uses(licence::Seq(before), 10).await.unwrap();
    assert!(uses.iter().any(|one| one.reason == "查看证照异议的证明材料"));

    for other in ["housing", "government-services"] {
        let other = hub.department_clerk(other).await;
        assert_eq!(other.get(&file).await.status, 404);
        assert_eq!(other.call(reqwest::Method::GET, &content, None).await.status, 404);
    }
    assert_eq!(police.get(&format!("{path}/files/m_0")).await.status, 404);
    hub.stop().await;
}

#[actix_web::test]
async fn a_form_without_the_sessions_token_does_nothing() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let clerk = hub.window_clerk().await;
    let case = open_case(&clerk, &applicant, Story::FoodShop).await;
    let acts = ["form", "materials", "promise", "submit", "withdraw", "accept", "supplement"];
    let acts = acts.into_iter().chain(["decline", "decide", "result"]);
    let paths = acts.map(|act| format!("{case}/{act}")).chain([
        "/window".to_owned(),
        "/window/cases".to_owned(),
        "/window/cases/find".to_owned(),
        "/window/consents".to_owned(),
        "/window/consents/choose".to_owned(),
        "/window/consents/r_0/open".to_owned(),
        "/window/corrections/d_0".to_owned(),
    ]);
    for path in paths {
        for form in [&[][..], &[("csrf", "0123")]] {
            let page = clerk.post_as_is(&path, form).await;
            assert_eq!(page.status, 403, "{path}");
            shows(&page, &["csrf_token"]);
        }
    }
    hub.stop().await;
}

#[actix_web::test]
async fn a_granted_case_is_linked_to_the_licence_it_resulted_in_and_a_late_one_is_marked() {
    let (mut hub, applicant) = hub_with(Story::FoodShop).await;
    let window = hub.window_clerk().await;
    let case = open_case(&window, &applicant, Story::FoodShop).await;
    submit_food_shop(&window, &case).await;
    let department = hub.department_clerk("government-services").await;
    assert_eq!(department.post(&format!("{case}/accept"), &[]).await.status, 303);
    shows(&department.get("/window/cases?state=accepted").await, &["2026-03-09", "已受理"]);

    // Five working days were promised; the eighth is too late.
    hub.hub.clock.advance(jiff::SignedDuration::from_hours(24 * 10));
    let department = hub.department_clerk("government-services").await;
    shows(&department.get("/window/cases").await, &["已超期"]);
    let page = department.get(&case).await;
    shows(&page, &["已超期", "准予"]);
    let granted = department.post(&format!("{case}/decide"), &[("granted", "1")]).await;
    assert_eq!(granted.status, 303, "{}", granted.html);
    shows(&department.get(&case).await, &["准予办结", "结果证照的证照标识"]);

    let other = applicant.licences[0].identifier.to_string();
    let result = format!("{case}/result");
    let wrong = department.post(&result, &[("licence", other.as_str())]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.html);
    shows(&wrong, &["这份证照不合适"]);
    let fields = serde_json::json!({
        "shop_name": "江畔小馆", "premises": "澜溪区望江路33号", "items": "热食类食品制售",
    });
    let fields = fields.as_object().unwrap().clone();
    let today = date(2026, 3, 12);
    let holder = applicant.holder.clone();
    let licence = district::result(Story::FoodShop, holder, fields, today, 1).unwrap();
    let issued = hub.issuing("market-regulation").issue(&licence).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let identifier = licence.identifier.to_string();
    let linked = department.post(&result, &[("licence", identifier.as_str())]).await;
    assert_eq!(linked.status, 303, "{}", linked.html);
    shows(&department.get(&case).await, &[&identifier, "结果证照已入库"]);
    hub.stop().await;
}
