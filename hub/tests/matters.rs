//! Matters: their versions, their guides for everybody, and each reader's own checklist.

mod support;

use district::{Applicant, Story};
use hub::{Hub, clock::Clock, config::Config};
use indexes::UseAct;
use licence::{Matters, Seq};
use serde_json::{Value, json};
use support::{NOW, TestHub, people::PageClient};

/// The applicant of a story, with all licences that it finds.
async fn applicant(hub: &TestHub, story: Story) -> Applicant {
    let applicant = hub.district.applicant(story, hub.hub.clock.today()).unwrap();
    for licence in &applicant.licences {
        let department = support::departments()
            .into_iter()
            .find(|one| one.code == *licence.issuer.credit_code())
            .unwrap();
        let answer = hub.issuing(department.slug).issue(licence).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    applicant
}

fn guide_of(story: Story) -> String {
    format!("/matters/{}", story.code())
}

/// Somebody without a session.
async fn anybody(hub: &TestHub) -> PageClient {
    let mut client = hub.operator().await;
    client.secret = "none".to_owned();
    client.csrf.clear();
    client
}

fn read_matters(hub: &TestHub) -> Value {
    let text = std::fs::read_to_string(hub.folder.path().join("matters.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn write_matters(hub: &TestHub, matters: &Value) {
    std::fs::write(hub.folder.path().join("matters.json"), matters.to_string()).unwrap();
}

async fn opened_again(hub: &TestHub) -> Result<std::sync::Arc<Hub>, hub::hub::OpenError> {
    let config = Config::read(&hub.folder.path().join("hub.toml")).unwrap();
    Hub::open(config, Clock::standing_at(NOW.parse().unwrap())).await
}

#[actix_web::test]
async fn everybody_finds_a_matter_and_reads_its_guide() {
    let hub = TestHub::start().await;
    let reader = anybody(&hub).await;
    let list = reader.get("/matters").await;
    assert_eq!(list.status, 200);
    assert!(list.text().contains("开办小餐饮店"), "{}", list.text());
    assert!(list.html.contains(&format!("href=\"{}\"", guide_of(Story::FoodShop))));

    let found = reader.post("/matters", &[("words", "食品 摊贩")]).await;
    assert!(found.text().contains("找到 1 个事项"), "{}", found.text());
    assert!(found.text().contains("食品摊贩备案") && !found.text().contains("开办小餐饮店"));
    let none = reader.post("/matters", &[("words", "没有的事项")]).await;
    assert!(none.text().contains("没有找到"), "{}", none.text());

    let guide = reader.get(&guide_of(Story::FoodShop)).await;
    assert_eq!(guide.status, 200);
    let text = guide.text();
    for expected in [
        "承诺 5 个工作日（法定 20 个）",
        "库里有《居民身份证》就不用交",
        "从《不动产权证书》的“建筑面积（平方米）”取得，不用交",
        "《不动产权证书》的“共有情况”写着“单独所有”就不用交",
        "交一份文件，365 天内办其他事项可再用",
        "可以后补：先受理，10 个工作日内补齐",
        "《小餐饮登记证》（电子证照）",
        "画出厨房、餐区、洗手间和出入口",
        "到经营场所看一次",
        "小餐饮登记申请表",
        "任一街道（镇）便民服务中心",
    ] {
        assert!(text.contains(expected), "{expected} is missing in: {text}");
    }
    assert!(!text.contains("您的材料清单"), "nobody has logged in");

    let english = reader.get(&format!("{}?lang=en", guide_of(Story::FoodShop))).await.text();
    assert!(english.contains("Open a small food shop"), "{english}");
    assert!(english.contains("Floor plan of the premises"), "{english}");
    assert!(english.contains("5 working days promised (20 by law)"), "{english}");
}

#[actix_web::test]
async fn what_is_not_in_the_catalogue_has_no_guide() {
    let hub = TestHub::start().await;
    let reader = anybody(&hub).await;
    let unknown = "/matters/11450203MB1A21035C4450131025999";
    for path in [unknown, "/matters/x", &format!("{unknown}/print"), &format!("{unknown}/qr.svg")] {
        let page = reader.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.text().contains("unknown_matter"), "{path}: {}", page.text());
    }
    let purpose = district::consuming_departments();
    let purpose = hub.hub.matters.all().find(|matter| {
        !matter.is_applied_for() && purpose.iter().any(|one| one.code == matter.department)
    });
    let page = reader.get(&format!("/matters/{}", purpose.unwrap().code)).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("这个事项在这里还不能申请"), "{}", page.text());
    assert!(!page.html.contains("action=\"/me/cases\""));
}

#[actix_web::test]
async fn an_applicant_sees_the_own_checklist_and_the_look_is_recorded() {
    let hub = TestHub::start().await;
    let who = applicant(&hub, Story::FoodShop).await;
    let client = hub.applicant(who.index).await;
    let before = hub.uses().await;

    let guide = client.get(&guide_of(Story::FoodShop)).await;
    let text = guide.text();
    assert!(text.contains("共 8 项：已有 7 项，还要交 1 项"), "{text}");
    assert!(text.contains("《不动产权证书》在库中，今天有效"), "{text}");
    assert!(text.contains("请准备文件"), "{text}");
    assert!(guide.html.contains("action=\"/me/cases\""), "a case can be opened from here");
    assert!(guide.html.contains(&format!("value=\"{}\"", Story::FoodShop.code())));
    assert!(!guide.html.contains(who.holder.id.number()), "no number on the page");

    assert_eq!(hub.uses().await, before + 1);
    let entry = hub.hub.store.uses(Seq(before), 1).await.unwrap().remove(0);
    assert_eq!(entry.act, UseAct::Own);
    assert_eq!(entry.matter, Some(Story::FoodShop.code()));
}

#[actix_web::test]
async fn who_acts_for_several_sees_the_checklist_of_each_and_no_number_in_addresses() {
    let hub = TestHub::start().await;
    let person = applicant(&hub, Story::FoodShop).await;
    let client = hub.representative(person.index, 0).await;
    let enterprise = client.account.holders[1].number().to_owned();

    let own = client.get(&guide_of(Story::FoodShop)).await;
    assert!(own.text().contains("已有 7 项"), "{}", own.text());
    let other = format!("{}?for=1#yours", guide_of(Story::FoodShop));
    assert!(own.html.contains(&format!("href=\"{other}\"")), "{}", own.html);
    let of_enterprise = client.get(&format!("{}?for=1", guide_of(Story::FoodShop))).await;
    assert!(of_enterprise.text().contains("还要交 8 项"), "{}", of_enterprise.text());

    // A matter for organisations is for the enterprise only; a place that is none is passed over.
    let refund = client.get(&format!("{}?for=7", guide_of(Story::JobRefund))).await;
    assert!(refund.text().contains("您的材料清单"), "{}", refund.text());
    for page in [&own, &of_enterprise, &refund] {
        for address in page.html.split(" href=\"").skip(1) {
            let address = address.split('"').next().unwrap();
            assert!(!address.contains(&enterprise), "{address}");
        }
    }
    let person_only = hub.applicant(person.index).await;
    let page = person_only.get(&guide_of(Story::JobRefund)).await;
    assert!(page.text().contains("不是为您这类申请人办理的"), "{}", page.text());
    assert!(!page.html.contains("action=\"/me/cases\""));
}

#[actix_web::test]
async fn a_look_at_a_guide_by_clerks_and_by_nobody_is_no_use() {
    let hub = TestHub::start().await;
    let before = hub.uses().await;
    anybody(&hub).await.get(&guide_of(Story::FoodShop)).await;
    hub.window_clerk().await.get(&guide_of(Story::FoodShop)).await;
    assert_eq!(hub.uses().await, before);
}

#[actix_web::test]
async fn the_sheet_has_a_code_that_leads_to_the_guide() {
    let hub = TestHub::start().await;
    let reader = anybody(&hub).await;
    let sheet = reader.get(&format!("{}/print", guide_of(Story::FoodStall))).await;
    assert_eq!(sheet.status, 200);
    assert!(sheet.text().contains("扫码看指南"), "{}", sheet.text());
    let address = format!("{}{}", hub.pages(), guide_of(Story::FoodStall));
    assert!(sheet.text().contains(&address), "{}", sheet.text());
    assert!(sheet.html.contains(&format!("src=\"{}/qr.svg\"", guide_of(Story::FoodStall))));

    let image = reader.get(&format!("{}/qr.svg", guide_of(Story::FoodStall))).await;
    assert_eq!(image.headers["content-type"], "image/svg+xml");
    assert!(image.html.contains("<svg") && !image.html.contains("style="));
    assert_eq!(read_code(&image.html, hub.folder.path()), address);
}

/// What a phone would read, by zbar. The drawing is squares only: they are painted into a picture here.
fn read_code(svg: &str, folder: &std::path::Path) -> String {
    let size: usize =
        svg.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    let path = svg.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut picture = vec![255_u8; size * size];
    for square in path.split('M').skip(1) {
        let numbers: Vec<usize> = square
            .split(|letter: char| !letter.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        let [x, y, width, height, ..] = numbers[..] else { panic!("a square: {square}") };
        for row in y..y + height {
            picture[row * size + x..row * size + x + width].fill(0);
        }
    }
    let file = folder.join("qr.pgm");
    let head = format!("P5\n{size} {size}\n255\n").into_bytes();
    std::fs::write(&file, [head, picture].concat()).unwrap();
    let output = std::process::Command::new("zbarimg").args(["--raw", "-q"]).arg(&file).output();
    let output = output.expect("zbarimg reads codes (Debian's zbar-tools)");
    assert!(output.status.success(), "zbarimg: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[actix_web::test]
async fn a_changed_entry_needs_the_next_version() {
    let mut hub = TestHub::start().await;
    let before = read_matters(&hub);
    hub.stop().await;

    let mut changed = before.clone();
    changed["matters"][0]["name"] = json!("另一个名称");
    write_matters(&hub, &changed);
    let refused = opened_again(&hub).await.err().expect("the content is another").to_string();
    assert!(refused.contains("version 1 of matter"), "{refused}");

    changed["matters"][0]["version"] = json!(2);
    write_matters(&hub, &changed);
    hub.restart().await;
    let code = before["matters"][0]["code"].as_str().unwrap().parse().unwrap();
    assert_eq!(hub.hub.matters.get(&code).unwrap().version, 2);
    let kept = hub.hub.matters.version(&code, 1).expect("cases may have begun under it");
    assert_eq!(kept.name, before["matters"][0]["name"].as_str().unwrap());
}

#[actix_web::test]
async fn a_guide_that_does_not_fit_the_catalogue_is_refused_at_the_start() {
    let mut hub = TestHub::start().await;
    let before = read_matters(&hub);
    hub.stop().await;
    let matters = before["matters"].as_array().unwrap();
    let place = matters.iter().position(|one| one.get("guide").is_some()).unwrap();
    let mut wrong = before.clone();
    wrong["matters"][place]["guide"]["requirements"][1]["ways"][0]["field"] = json!("colour");
    write_matters(&hub, &wrong);
    let refused = opened_again(&hub).await.err().expect("there is no such field").to_string();
    assert!(refused.contains("colour"), "{refused}");
}

#[actix_web::test]
async fn the_guide_shows_the_version_of_the_day_and_the_others_with_their_days() {
    let mut hub = TestHub::start().await;
    hub.stop().await;
    let mut matters = read_matters(&hub);
    let list = matters["matters"].as_array_mut().unwrap();
    let code = Story::FoodStall.code();
    let first = list.iter().find(|one| one["code"] == code.as_str()).unwrap().clone();
    for (version, from, until, days) in
        [(2, "2026-02-01", "2026-03-31", 2), (3, "2026-04-01", "2026-04-30", 1)]
    {
        let mut next = first.clone();
        next["version"] = json!(version);
        next["guide"]["from"] = json!(from);
        next["guide"]["until"] = json!(until);
        next["guide"]["days"]["promised"] = json!(days);
        list.push(next);
    }
    list.retain(|one| one["code"] != code.as_str() || one["version"] != 1);
    write_matters(&hub, &matters);
    hub.restart().await;

    let reader = anybody(&hub).await;
    let text = reader.get(&guide_of(Story::FoodStall)).await.text();
    assert!(text.contains("承诺 2 个工作日"), "{text}");
    assert!(text.contains("第 3 版，2026-04-01 至 2026-04-30 施行"), "{text}");
    hub.hub.clock.advance(jiff::SignedDuration::from_hours(24 * 40));
    let text = reader.get(&guide_of(Story::FoodStall)).await.text();
    assert!(text.contains("承诺 1 个工作日"), "{text}");
    hub.hub.clock.advance(jiff::SignedDuration::from_hours(24 * 40));
    let text = reader.get(&guide_of(Story::FoodStall)).await.text();
    assert!(text.contains("今天不办理这个事项"), "{text}");
}

#[actix_web::test]
async fn what_is_looked_for_comes_back_as_text() {
    let hub = TestHub::start().await;
    let reader = anybody(&hub).await;
    let script = "\"><script>alert(1)</script>";
    let page = reader.post("/matters", &[("words", script)]).await;
    assert_eq!(page.status, 200);
    assert!(!page.html.contains("<script>alert"), "{}", page.html);
    let long = reader.post("/matters", &[("words", &"字".repeat(101))]).await;
    assert_eq!(long.status, 422);
    let client = hub.applicant(0).await;
    let forged = client.post_as_is("/matters", &[("words", "x"), ("csrf", "wrong")]).await;
    assert_eq!(forged.status, 403);
}

const PUBLISHED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/service-matters/matters.json");

fn import(arguments: &[&std::ffi::OsStr]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_hub"))
        .args(["matters", "import"])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_published_list_becomes_a_list_of_matters_and_what_cannot_be_taken_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (out, names) = (folder.path().join("matters.json"), folder.path().join("names.json"));
    let arguments =
        ["--out".as_ref(), out.as_os_str(), "--departments".as_ref(), names.as_os_str()];
    let output = import(&[&[PUBLISHED.as_ref()], &arguments[..]].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");

    let published: Value = serde_json::from_slice(&std::fs::read(PUBLISHED).unwrap()).unwrap();
    let all = published.as_array().unwrap().len();
    let matters = Matters::parse(&std::fs::read(&out).unwrap()).unwrap();
    let left = said.lines().filter(|line| line.contains("not taken, ")).count();
    assert!(left >= 4 && matters.all().len() >= 8, "{said}");
    assert_eq!(matters.all().len() + left, all, "each entry is taken or told: {said}");
    for matter in matters.all() {
        let known = matter.national_code.as_deref().unwrap();
        assert!(
            published.as_array().unwrap().iter().any(|one| one["item_code"] == known
                && one["name"].as_str().unwrap().trim() == matter.name),
            "{known}"
        );
        assert!(!matter.is_applied_for(), "nobody has written a guide yet");
    }
    let names: Value = serde_json::from_slice(&std::fs::read(&names).unwrap()).unwrap();
    assert_eq!(names["115113010833722043"], "区教科体局");

    let again = import(&[&[PUBLISHED.as_ref()], &arguments[..]].concat());
    assert!(!again.status.success(), "what is there is not overwritten");
}

#[test]
fn a_second_import_keeps_guides_and_gives_what_changed_the_next_version() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let run = |from: &std::path::Path, to: &str, previous: Option<&str>| {
        let out = file(to);
        let mut arguments = vec![from.as_os_str(), "--out".as_ref(), out.as_os_str()];
        let previous = previous.map(file);
        if let Some(previous) = &previous {
            arguments.extend(["--previous".as_ref(), previous.as_os_str()]);
        }
        let output = import(&arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&std::fs::read(&out).unwrap()).unwrap()
    };
    let mut first = run(PUBLISHED.as_ref(), "first.json", None);
    first["matters"][0]["guide"] = json!({ "applicants": ["person"], "flow": [{ "zh": "申请" }] });
    std::fs::write(file("edited.json"), first.to_string()).unwrap();

    let same = run(PUBLISHED.as_ref(), "same.json", Some("edited.json"));
    assert_eq!(same["matters"][0]["guide"]["flow"][0]["zh"], "申请");
    assert_eq!(same["matters"][0]["version"], 1);

    let text = std::fs::read_to_string(PUBLISHED).unwrap();
    let name = same["matters"][0]["name"].as_str().unwrap();
    std::fs::write(file("renamed.json"), text.replace(name, "改了名的事项")).unwrap();
    let renamed = run(&file("renamed.json"), "renamed-out.json", Some("edited.json"));
    assert_eq!(renamed["matters"][0]["name"], "改了名的事项");
    assert_eq!(renamed["matters"][0]["version"], 2);
    assert_eq!(renamed["matters"][1]["version"], 1);
}

/// The whole of the published list, where it is beside the clone. Of what is left, 149 have no credit code that checks;
/// the code of one names neither area nor body.
#[test]
#[ignore = "reads ../shared; .ci/run does"]
fn nearly_nine_of_ten_published_matters_are_taken() {
    let path = std::env::var("YIHAO_SERVICE_MATTERS").expect("the file to read");
    let imported = hub::command::matters::read(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!((imported.matters.len(), imported.left.len()), (985, 150));
}
