//! The pages in a real browser, over the real hub in demo mode: a clerk finds an enterprise, opens
//! its licence, reads the verdict in two languages, and watches, pauses and resumes a counterpart.
//!
//! Needs Chromium and its driver (Debian's `chromium` and `chromium-driver`). Everything that is
//! started is stopped again and everything written is deleted, also when the story fails.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};

/// How long anything may take to appear on a page.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the demo may take to set its district up.
const SETTING_UP: Duration = Duration::from_secs(120);
/// How long the whole story may take.
const STORY: Duration = Duration::from_secs(120);
/// The narrowest phone that the pages are made for, and a desk.
const WIDTHS: [u32; 2] = [360, 1280];

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

    // An enterprise, by two characters of its name.
    page.follow("/licences", "证照检索").await;
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
    page.follow("/connectors", "Connectors").await;
    page.until("every counterpart is up to date", |text| {
        text.contains("Up to date") && !text.contains("Sending") && !text.contains("Failing")
    })
    .await;
    let city = "section[aria-labelledby=name-city]";
    assert!(page.text_of(city).await.contains("Waiting\n0 records"));
    page.fits("the connectors").await;

    page.press(&format!("{city} form[action*=pause] button")).await;
    page.until("the city is paused", |text| text.contains("Paused")).await;
    page.press(&format!("{city} form[action*=resume] button")).await;
    page.until("the city is up to date again", |text| {
        !text.contains("Paused") && text.contains("Up to date")
    })
    .await;
    page.press(&format!("{city} form[action*=reconcile] button")).await;
    page.until("the counts agree", |text| text.contains("Both sides hold the same")).await;
    page.fits("the reconciliation").await;

    // The keyboard alone: the first stop is the way past the navigation.
    page.open("/licences?lang=zh").await;
    page.type_into("body", TAB).await;
    let focused = page.script("return document.activeElement.getAttribute('href')").await;
    assert_eq!(focused, "#main");

    let complaints = page.browser.ask(Method::POST, "/se/log", json!({ "type": "browser" })).await;
    assert_eq!(complaints, json!([]), "the browser complained");
}

/// The tab key, as WebDriver writes it. Source: W3C WebDriver, 17.4.2.
const TAB: &str = "\u{e004}";

/// What the browser shows.
struct Page {
    browser: Browser,
    base: String,
}

impl Page {
    async fn open(&self, path: &str) {
        let address = format!("{}{path}", self.base);
        self.browser.ask(Method::POST, "/url", json!({ "url": address })).await;
    }

    async fn heading(&self) -> String {
        self.text_of("h1").await
    }

    /// The text of the first such element, as it is seen.
    async fn text_of(&self, selector: &str) -> String {
        let element = self.see(selector).await;
        let path = format!("/element/{element}/text");
        let text = self.browser.ask(Method::GET, &path, Value::Null).await;
        text.as_str().expect("text").to_owned()
    }

    /// Follows a link of the navigation and waits until its page is there.
    async fn follow(&self, href: &str, heading: &str) {
        self.press(&format!("nav a[href='{href}']")).await;
        let waiting = Instant::now();
        while self.heading().await != heading {
            assert!(waiting.elapsed() < PATIENCE, "the page {heading} did not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Types; into a list of choices, the beginning of one.
    async fn type_into(&self, selector: &str, text: &str) {
        let element = self.see(selector).await;
        let path = format!("/element/{element}/value");
        self.browser.ask(Method::POST, &path, json!({ "text": text })).await;
    }

    /// Presses a button. The driver waits for the page that follows.
    async fn press(&self, selector: &str) {
        let element = self.see(selector).await;
        self.browser.ask(Method::POST, &format!("/element/{element}/click"), json!({})).await;
    }

    /// Waits for an element; its WebDriver reference.
    async fn see(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.browser.ask(Method::POST, "/element", wanted).await;
        let reference = found.as_object().and_then(|found| found.values().next());
        reference.and_then(Value::as_str).expect("an element's reference").to_owned()
    }

    async fn script(&self, script: &str) -> Value {
        let call = json!({ "script": script, "args": [] });
        self.browser.ask(Method::POST, "/execute/sync", call).await
    }

    /// Waits until the main part's text is as expected.
    async fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let waiting = Instant::now();
        loop {
            let text = self.script("return document.querySelector('main')?.innerText ?? ''").await;
            let text = text.as_str().unwrap_or_default();
            if is_so(text) {
                return;
            }
            assert!(waiting.elapsed() < PATIENCE, "not seen: {what}; the page says:\n{text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Nothing is wider than the screen, on a phone and on a desk.
    async fn fits(&self, what: &str) {
        for width in WIDTHS {
            let size = json!({
                "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600,
            });
            let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
            self.browser.ask(Method::POST, "/goog/cdp/execute", command).await;
            let script = "const root = document.documentElement; \
                          return [innerWidth, root.scrollWidth - root.clientWidth]";
            let seen = self.script(script).await;
            assert_eq!(
                seen,
                json!([width, 0]),
                "{what}: the window, and how much stands out of it"
            );
        }
    }
}

/// A session of headless Chromium, spoken to as W3C WebDriver has it: JSON over HTTP. (The crates
/// for this were looked at: one brings some 25 crates for what is 60 lines here, another turns on
/// a feature of serde_json that would make the tested hub another than the shipped one.)
#[derive(Clone)]
struct Browser {
    client: reqwest::Client,
    session: String,
}

impl Browser {
    async fn start(port: u16, profile: &Path) -> Self {
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "WARNING" },
            "timeouts": { "implicit": PATIENCE.as_millis() as u64 },
        } } });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let driver = Self { client, session: format!("http://127.0.0.1:{port}") };
        let started = driver.ask(Method::POST, "/session", wanted).await;
        let id = started["sessionId"].as_str().expect("a session");
        Self { session: format!("{}/session/{id}", driver.session), ..driver }
    }

    /// Sends a command; its value.
    #[track_caller]
    fn ask(&self, method: Method, path: &str, body: Value) -> impl Future<Output = Value> + use<> {
        let place = std::panic::Location::caller();
        let mut request = self.client.request(method, format!("{}{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        async move {
            let answer = request.send().await.expect("the driver answers");
            let succeeded = answer.status().is_success();
            let mut answer: Value = answer.json().await.expect("the driver answers in JSON");
            assert!(succeeded, "{place}: {body} was answered: {answer:#}");
            answer["value"].take()
        }
    }

    async fn quit(&self) {
        let _ = self.client.delete(&self.session).send().await;
    }
}

/// Two free ports, one after the other; the first of them.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// A program in a process group of its own; it and its children are stopped when this is dropped.
struct Program {
    child: Child,
}

impl Program {
    /// Starts it and waits until it prints a line with `ready` in it.
    fn start(command: &mut Command, ready: &str, patience: Duration) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .env("RUST_LOG", "error")
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = BufReader::new(child.stdout.take().expect("piped above"));
        let program = Self { child };
        let (sender, lines) = mpsc::channel();
        // Reads on to the end, so that the program never waits for somebody to read.
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let deadline = Instant::now() + patience;
        let mut said = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) if line.contains(ready) => return program,
                Ok(line) => said.push_str(&format!("{line}\n")),
                Err(error) => panic!("{name} did not get ready ({error}); it said:\n{said}"),
            }
        }
    }

    fn signal(&self, signal: &str, to: &str) {
        let _ = Command::new("kill").args([signal, "--", to]).stderr(Stdio::null()).status();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal("-TERM", &self.child.id().to_string());
        let waiting = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && waiting.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        // What the program left behind in its group.
        self.signal("-KILL", &format!("-{}", self.child.id()));
        let _ = self.child.wait();
    }
}
