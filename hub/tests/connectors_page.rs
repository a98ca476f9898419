//! The operators' pages in a real browser, with counterparts that lag, fail and refuse: everything is there to be read,
//! on a phone too and in both languages, and the forms that show or send licences again do just that.
//!
//! With `YIHAO_PICTURES` it keeps a picture of each page.

mod support;

use std::process::Command;

use connectors::{Sample, department_desk::DepartmentDesk, local_postgres::LocalPostgres};
use hub::login::sessions;
use indexes::{Collection, Commit, Expected, RecordWrite};
use jiff::{SignedDuration, Timestamp};
use licence::Licence;
use reqwest::Method;
use serde_json::{Value, json};
use support::{
    TestHub,
    browser::{Browser, PATIENCE, Page, Program, free_ports},
};

/// The usual columns as a code map, but for those that the hub fills by itself.
fn map() -> String {
    let standard = include_str!("../../connectors/src/frontdb/standard.json");
    let mut map: Value = serde_json::from_str(standard).unwrap();
    let own = ["row_guid", "certificate_source_id", "cd_batch", "cd_time"];
    let fields = map["fields"].as_array_mut().unwrap();
    fields.retain(|field| !own.contains(&field["as"].as_str().unwrap()));
    format!("{map:#}\n")
}

struct Scene {
    hub: TestHub,
    province: LocalPostgres,
    page: Page,
    driver: Program,
    licences: Vec<Licence>,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs =
            LocalPostgres::find().expect("PostgreSQL is installed; ./dev test brings it");
        let province =
            LocalPostgres::start(&folder.path().join("province"), &programs).await.unwrap();
        let map = folder.path().join("map.json");
        std::fs::write(&map, self::map()).unwrap();
        let nobody = free_ports();
        let hub = TestHub::start_with(&format!(
            "[[connectors]]\nname = \"province\"\nkind = \"frontdb\"\nconnection = \"{}\"\n\
             create_tables = true\npoll_ms = 50\nbackoff_min_ms = 50\ncode_map = \"{}\"\n\
             [[connectors]]\nname = \"city\"\nkind = \"frontdb\"\n\
             connection = \"host=127.0.0.1 port={nobody} user=yihao dbname=city\"\n\
             backoff_min_ms = 1000\nconnect_timeout_ms = 500\n\
             [[connectors]]\nname = \"county\"\nkind = \"frontdb\"\nconnection = \"{}\"\n\
             create_tables = true\nschema = \"public\"\npoll_ms = 50\n",
            province.connection(),
            map.display(),
            province.connection(),
        ))
        .await;
        let why = json!({ "why": "对方机房维护，今晚恢复" });
        hub.office().post("/v1/connectors/county/pause", &why).await;
        let issuer = hub.issuer();
        let (first, _) = hub.enterprise_licence();
        let same = hub.licences().filter(|one| one.issuer == first.issuer);
        let licences: Vec<Licence> = same.take(8).collect();
        for licence in &licences {
            assert_eq!(issuer.issue(licence).await.status, 201);
        }
        for name in ["province", "city", "county"] {
            invent_a_day(&hub, name).await;
        }
        let driver_port = free_ports();
        let driver = Program::start(
            Command::new("chromedriver").arg(format!("--port={driver_port}")),
            "started successfully",
            PATIENCE,
        );
        let browser = Browser::start(driver_port, &folder.path().join("browser")).await;
        let page = Page { browser, base: hub.pages() };
        let operator = hub.operator().await;
        page.open("/").await;
        let cookie = json!({ "cookie": {
            "name": sessions::COOKIE, "value": operator.secret, "path": "/", "httpOnly": true,
        } });
        page.browser.ask(Method::POST, "/cookie", cookie).await;
        Self { hub, province, page, driver, licences, _folder: folder }
    }

    async fn end(mut self) {
        self.page.browser.quit().await;
        drop(self.driver);
        self.hub.stop().await;
        self.province.stop().await;
    }
}

/// A day with a failure in the night, a long wait in the morning, and an hour in which the hub did not run.
async fn invent_a_day(hub: &TestHub, connector: &str) {
    let now = Timestamp::now();
    let sample = |before: i64| {
        let waiting = if (420..600).contains(&before) { 40 * (600 - before) } else { before % 7 };
        Sample {
            at: now - SignedDuration::from_mins(before),
            lag: u64::try_from(waiting).unwrap(),
            lag_seconds: u64::try_from(waiting / 2).unwrap(),
            delivered: u64::try_from(200 + (before * 37) % 90).unwrap(),
            failures: u64::from((800..840).contains(&before)),
        }
    };
    let minutes = (2..24 * 60).rev().filter(|before| !(1_000..1_060).contains(before));
    let writes = minutes.map(sample).map(|sample| {
        let minute = u64::try_from(sample.at.as_second() / 60).unwrap();
        RecordWrite {
            collection: Collection::new("connector_history"),
            key: [connector.as_bytes(), &[0], &minute.to_be_bytes()].concat(),
            expected: Expected::Any,
            value: Some(serde_json::to_vec(&sample).unwrap()),
        }
    });
    let commit = Commit { writes: writes.collect(), uses: Vec::new() };
    assert!(hub.hub.store.commit(commit).await.unwrap().is_ok());
}

#[actix_web::test]
async fn what_the_pages_say_is_seen_on_a_phone_and_a_desk_in_both_languages() {
    let scene = Scene::set().await;
    let page = &scene.page;
    page.open("/connectors?refresh=off").await;
    page.until("a counterpart that fails", |text| {
        text.contains("连接失败") || text.contains("失败")
    })
    .await;
    // Two rows are changed over there; three are refused.
    let desk = DepartmentDesk::connect(&scene.province.connection()).await.unwrap();
    let office = scene.hub.office();
    for _ in 0..200 {
        let state = office.get("/v1/connectors").await.json;
        let all = state["connectors"].as_array().unwrap().clone();
        if all.iter().any(|one| one["name"] == "province" && one["cursor"] == json!(8)) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let of = |licence: &Licence| format!("certificate_source_id = '{}'", licence.identifier);
    let delete = format!("DELETE FROM up_lic_data WHERE {}", of(&scene.licences[0]));
    desk.execute(&delete).await.unwrap();
    let change =
        format!("UPDATE up_lic_data SET issue_dept = '别处' WHERE {}", of(&scene.licences[1]));
    desk.execute(&change).await.unwrap();
    let why = json!({ "why": "月底核对" });
    let report = office.post("/v1/connectors/province/reconcile", &why).await;
    assert_eq!(report.status, 200, "{}", report.text);
    let report = report.json["id"].as_str().unwrap().to_owned();
    desk.execute(
        "INSERT INTO dn_lic_data_error (row_guid, certificate_source_id, error_remark)
         SELECT row_guid, certificate_source_id, '持证主体代码与省库不一致，请核对后重新报送'
         FROM up_lic_data ORDER BY row_guid LIMIT 3",
    )
    .await
    .unwrap();
    for _ in 0..200 {
        let state = office.get("/v1/connectors/province/set-aside").await.json;
        if state["set_aside"].as_array().is_some_and(|all| all.len() == 3) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    drop(desk);

    for (language, words) in [
        ("zh", ["推送状态", "失败", "退回", "已暂停"]),
        ("en", ["Connectors", "Failing", "set aside", "Paused"]),
    ] {
        for (path, what) in [
            ("/connectors?refresh=off&".to_owned(), "the connectors"),
            ("/connectors/province?".to_owned(), "one connector"),
            ("/connectors/city?".to_owned(), "one that fails"),
            ("/connectors/province/set-aside?".to_owned(), "what was set aside"),
            ("/connectors/province/code-map?".to_owned(), "the code map"),
            (format!("/connectors/province/reconciliations/{report}?"), "the reconciliation"),
        ] {
            page.open(&format!("{path}lang={language}")).await;
            page.fits(&format!("{what} {language}")).await;
            page.is_accessible_and_light(what).await;
            if what == "the connectors" {
                let text = page.text_of("main").await;
                for word in words {
                    assert!(text.contains(word), "{word}: {text}");
                }
            }
        }
    }
    scene.end().await;
}

#[actix_web::test]
async fn a_preview_shows_what_would_be_sent_and_a_holder_is_sent_again_without_being_named() {
    let scene = Scene::set().await;
    let page = &scene.page;
    let licence = &scene.licences[2];
    page.open("/connectors/county?lang=zh").await;
    page.type_into("#seq", "2").await;
    page.type_into("#why-preview", "上线前核对").await;
    page.submit("form[action*=preview] button").await;
    page.until("what would be sent", |text| text.contains("没有实际推送")).await;
    let shown = page.text_of("main").await;
    assert!(shown.contains(licence.identifier.as_str()), "{shown}");
    let address = page.script("return location.pathname + location.search").await;
    assert_eq!(address, "/connectors/county/preview");
    page.fits("the preview").await;
    page.is_accessible_and_light("the preview").await;

    // No such change: said in words, and nothing is shown.
    page.open("/connectors/county").await;
    page.type_into("#seq", "99").await;
    page.type_into("#why-preview", "试验").await;
    page.submit("form[action*=preview] button").await;
    page.until("no such change", |text| text.contains("没有这个序号的变更")).await;

    let holder = &licence.holders[0].id;
    let to_holder = "form[action*=replay]:has(#number)";
    page.open("/connectors/county").await;
    page.type_into("#kind", kind_name(page, holder.kind().code()).await.as_str()).await;
    page.type_into("#number", holder.number()).await;
    page.fits("the form of one holder").await;
    page.type_into("#why-replay-holder", "本人来问").await;
    page.submit(&format!("{to_holder} button")).await;
    page.until("it is traced", |text| text.contains("本人来问")).await;
    let text = page.text_of("main").await;
    assert!(!text.contains(holder.number()), "the number is shown nowhere: {text}");
    let state = scene.hub.office().get("/v1/connectors").await.json;
    let county = state["connectors"].as_array().unwrap().iter();
    let county = county.clone().find(|one| one["name"] == "county").unwrap();
    assert_eq!(county["resending"], json!(of_holder(&scene, licence)), "{county}");

    // A number that is none of its kind: said in words, and not repeated.
    page.type_into("#number", "91350100M000100Y44").await;
    page.type_into("#why-replay-holder", "试验").await;
    page.submit(&format!("{to_holder} button")).await;
    page.until("no such number", |text| text.contains("号码与证件类型不符")).await;
    assert!(!page.text_of("main").await.contains("91350100M000100Y44"));
    let addresses = page.browser.addresses().await;
    assert!(addresses.contains("/connectors/county/replay"), "{addresses}");
    for number in [holder.number(), "91350100M000100Y44"] {
        assert!(!addresses.contains(number), "a number stands in an address");
    }
    scene.end().await;
}

/// How many of the issued licences are the same holder's.
fn of_holder(scene: &Scene, licence: &Licence) -> usize {
    let holder = &licence.holders[0].id;
    let theirs = |one: &&Licence| one.holders.iter().any(|one| one.id == *holder);
    scene.licences.iter().filter(theirs).count()
}

/// What a choice says.
async fn kind_name(page: &Page, code: &str) -> String {
    let script = format!("return document.querySelector('#kind option[value=\"{code}\"]').text");
    page.script(&script).await.as_str().unwrap().to_owned()
}
