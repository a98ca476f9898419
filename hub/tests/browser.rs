//! The pages in a real browser, over the real hub in demo mode: a clerk finds an enterprise, opens
//! its licence, reads the verdict in two languages, and watches, pauses and resumes a counterpart.
//!
//! Needs Chromium and its driver (Debian's `chromium` and `chromium-driver`). Everything that is
//! started is stopped again and everything written is deleted, also when the story fails.

#[path = "support/browser.rs"]
mod browser;

use std::{process::Command, time::Duration};

use browser::{Browser, PATIENCE, Page, Program, TAB, free_ports};
use reqwest::Method;
use serde_json::json;

/// How long the demo may take to set its district up.
const SETTING_UP: Duration = Duration::from_secs(120);
/// How long the whole story may take.
const STORY: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_clerk_finds_opens_and_reads_a_licence_and_watches_a_counterpart() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_ports();
    let demo = Program::start(
        Command::new(env!("CARGO_BIN_EXE_hub"))
            .args(["demo", "--every", "0", "--port", &port.to_string(), "--data"])
            .arg(folder.path().join("demo")),
        "ready",
        SETTING_UP,
    );
    let driver_port = free_ports();
    let driver = Program::start(
        Command::new("chromedriver").arg(format!("--port={driver_port}")),
        "started successfully",
        PATIENCE,
    );
    let browser = Browser::start(driver_port, &folder.path().join("browser")).await;

    // The story runs in a task, so that what was started is stopped before a failure is passed on.
    let page = Page { browser: browser.clone(), base: format!("http://127.0.0.1:{}", port + 1) };
    let told = tokio::spawn(tokio::time::timeout(STORY, story(page))).await;
    browser.quit().await;
    drop(driver);
    drop(demo);
    told.unwrap().expect("the story came to its end in time");
}

async fn story(page: Page) {
    page.open("/").await;
    assert_eq!(page.heading().await, "一号证照库");
    page.fits("the front page").await;

    // A clerk logs in at the demo's provider and is led back.
    page.open("/login?next=/licences").await;
    assert_eq!(page.heading().await, "选择演示账号");
    page.fits("the accounts").await;
    page.submit("button[value=services]").await;
    assert_eq!(page.heading().await, "证照检索");

    // An enterprise, by two characters of its name.
    page.type_into("#q", "有限").await;
    page.press("details summary").await;
    page.type_into("#type", "营业执照").await;
    page.press("form[role=search] button").await;
    assert!(page.text_of("main tbody tr").await.contains("有限"), "the first hit matches");
    assert_eq!(page.text_of("main tbody mark").await, "有限");
    let address = page.script("return location.href").await;
    assert_eq!(address, json!(format!("{}/licences#results", page.base)), "no name in the address");
    page.fits("the results").await;

    // Its licence, and the verdict link by link.
    let holder = page.text_of("main tbody td[data-label]").await;
    page.press("main tbody button.link").await;
    page.until("the licence", |text| text.contains("核验结论")).await;
    assert_eq!(page.heading().await, "营业执照");
    assert_eq!(page.text_of(".verdict-word").await, "✓ 可信");
    let links = "return [...document.querySelectorAll('.links .badge')].map(one => one.innerText)";
    assert_eq!(page.script(links).await, json!(["✓ 成立"; 6].as_slice()));
    let shown = page.text_of("main").await;
    assert!(shown.contains(&holder), "the holder is shown");
    assert!(shown.contains("本次查阅已记入使用日志"), "the use is told");
    page.fits("the licence").await;

    // The same page in English.
    page.press(".switch button").await;
    page.until("English", |text| text.contains("Verification")).await;
    assert_eq!(page.heading().await, "Business Licence");
    assert_eq!(page.text_of(".verdict-word").await, "✓ Trusted");
    assert_eq!(page.script("return document.documentElement.lang").await, "en");
    page.fits("the licence in English").await;

    // The counterparts: until everything has arrived there; the page renews itself.
    page.submit("form[action='/logout'] button").await;
    page.open("/login?next=/connectors").await;
    assert_eq!(page.heading().await, "Choose a demo account");
    page.fits("the accounts in English").await;
    page.is_accessible_and_light("the accounts in English").await;
    page.submit("button[value=operator]").await;
    assert_eq!(page.heading().await, "Connectors");
    page.until("every counterpart is up to date", |text| {
        text.contains("Up to date") && !text.contains("Sending") && !text.contains("Failing")
    })
    .await;
    let city = "section[aria-labelledby=name-city]";
    assert!(page.text_of(city).await.contains("Waiting\n0 records"));
    page.fits("the connectors").await;
    page.is_accessible_and_light("the connectors").await;

    page.submit(&format!("{city} a[href='/connectors/city']")).await;
    page.fits("one connector").await;
    page.is_accessible_and_light("one connector").await;
    page.type_into("#why-pause", "maintenance").await;
    page.submit("form[action*=pause] button").await;
    page.until("the city is paused", |text| text.contains("Paused")).await;
    page.type_into("#why-resume", "maintenance is over").await;
    page.submit("form[action*=resume] button").await;
    page.until("the city is up to date again", |text| {
        !text.contains("Paused") && text.contains("Up to date")
    })
    .await;
    page.type_into("#why-reconcile", "a test").await;
    page.submit("form[action*=reconcile] button").await;
    page.until("the counts agree", |text| text.contains("Both sides hold the same")).await;
    page.fits("the reconciliation").await;
    page.is_accessible_and_light("the reconciliation").await;
    page.open("/connectors/province/set-aside").await;
    page.fits("what was set aside").await;
    page.is_accessible_and_light("what was set aside").await;

    // The keyboard alone: the first stop is the way past the navigation.
    page.open("/?lang=zh").await;
    page.type_into("body", TAB).await;
    let focused = page.script("return document.activeElement.getAttribute('href')").await;
    assert_eq!(focused, "#main");

    let complaints = page.browser.ask(Method::POST, "/se/log", json!({ "type": "browser" })).await;
    assert_eq!(complaints, json!([]), "the browser complained");
}
