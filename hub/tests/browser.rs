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

use fantoccini::{
    Client, ClientBuilder, Locator, elements::Element, error::CmdError,
    wd::WebDriverCompatibleCommand,
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// How long anything may take to appear on a page.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the demo may take to set its district up.
const SETTING_UP: Duration = Duration::from_secs(180);
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
    let client = browser(driver_port, &folder.path().join("browser")).await;

    // The story runs in a task, so that what was started is stopped before a failure is passed on.
    let page = Page { client: client.clone(), base: format!("http://127.0.0.1:{}", port + 1) };
    let told = tokio::spawn(tokio::time::timeout(Duration::from_secs(150), story(page))).await;
    let _ = client.close().await;
    drop(driver);
    drop(demo);
    told.unwrap().expect("the story came to its end in time").unwrap();
}

async fn story(page: Page) -> Result<(), CmdError> {
    page.open("/").await?;
    assert_eq!(page.heading().await?, "一号证照库");
    page.fits("the front page").await?;

    // An enterprise, by two characters of its name.
    page.follow("证照检索").await?;
    page.type_into("#q", "有限").await?;
    page.choose("#type", "营业执照").await?;
    page.press("form[role=search] button").await?;
    let found = page.see("main table tbody tr").await?;
    assert!(found.text().await?.contains("有限"), "the match stands in the first hit");
    assert_eq!(page.see("main table mark").await?.text().await?, "有限");
    assert!(!page.client.current_url().await?.as_str().contains("%E6"), "no name in the address");
    page.fits("the results").await?;

    // Its licence, and the verdict link by link.
    let holder = page.see("main table td[data-label]").await?.text().await?;
    page.press("main table button.link").await?;
    assert_eq!(page.heading().await?, "营业执照");
    assert_eq!(page.see(".verdict-word").await?.text().await?, "✓ 可信");
    let links = page.all(".links li").await?;
    assert_eq!(links.len(), 6);
    for link in links {
        assert!(link.text().await?.starts_with("✓ 成立"), "{}", link.text().await?);
    }
    let shown = page.see("main").await?.text().await?;
    assert!(shown.contains(holder.trim()), "the holder is shown");
    assert!(shown.contains("本次查阅已记入使用日志"), "the use is told");
    page.fits("the licence").await?;

    // The same page in English.
    page.press(".switch button").await?;
    assert_eq!(page.heading().await?, "Business Licence");
    assert_eq!(page.see(".verdict-word").await?.text().await?, "✓ Trusted");
    assert_eq!(
        page.client.find(Locator::Css("html")).await?.attr("lang").await?.as_deref(),
        Some("en")
    );
    page.fits("the licence in English").await?;

    // The counterparts: until everything has arrived there; the page renews itself.
    page.follow("Connectors").await?;
    page.until("every counterpart is up to date", |text| {
        text.contains("Up to date") && !text.contains("Sending") && !text.contains("Failing")
    })
    .await?;
    let city = "section[aria-labelledby=name-city]";
    assert!(page.see(city).await?.text().await?.contains("Waiting\n0 records"));
    page.fits("the connectors").await?;

    page.press(&format!("{city} form[action*=pause] button")).await?;
    page.until("the city is paused", |text| text.contains("Paused")).await?;
    page.press(&format!("{city} form[action*=resume] button")).await?;
    page.until("the city is up to date again", |text| {
        !text.contains("Paused") && text.contains("Up to date")
    })
    .await?;
    page.press(&format!("{city} form[action*=reconcile] button")).await?;
    assert!(page.see(".notice.good").await?.text().await?.contains("Both sides hold the same"));
    page.fits("the reconciliation").await?;

    // The keyboard alone: the first stop is the way past the navigation.
    page.open("/licences?lang=zh").await?;
    page.client.active_element().await?.send_keys("\u{e004}").await?;
    let first = page.client.active_element().await?;
    assert_eq!(first.attr("href").await?.as_deref(), Some("#main"));

    let complaints = page.complaints().await?;
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}

/// What the browser shows.
struct Page {
    client: Client,
    base: String,
}

impl Page {
    async fn open(&self, path: &str) -> Result<(), CmdError> {
        self.client.goto(&format!("{}{path}", self.base)).await
    }

    async fn heading(&self) -> Result<String, CmdError> {
        self.see("h1").await?.text().await
    }

    /// Waits for an element.
    async fn see(&self, selector: &str) -> Result<Element, CmdError> {
        self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await
    }

    async fn all(&self, selector: &str) -> Result<Vec<Element>, CmdError> {
        self.client.find_all(Locator::Css(selector)).await
    }

    /// Follows a link of the navigation and waits until its page is there.
    async fn follow(&self, text: &str) -> Result<(), CmdError> {
        self.client.find(Locator::LinkText(text)).await?.click().await?;
        let waiting = Instant::now();
        while self.heading().await? != text {
            assert!(waiting.elapsed() < PATIENCE, "the page {text} did not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn type_into(&self, selector: &str, text: &str) -> Result<(), CmdError> {
        self.see(selector).await?.send_keys(text).await
    }

    /// Opens the filters if need be, and chooses by label.
    async fn choose(&self, selector: &str, label: &str) -> Result<(), CmdError> {
        let field = self.see(selector).await?;
        if !field.is_displayed().await? {
            self.press("details summary").await?;
        }
        field.select_by_label(label).await
    }

    /// Presses a button. The driver waits for the page that follows.
    async fn press(&self, selector: &str) -> Result<(), CmdError> {
        self.see(selector).await?.click().await
    }

    /// Waits until the main part's text is as expected.
    async fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<(), CmdError> {
        let waiting = Instant::now();
        loop {
            let script = "return document.querySelector('main').innerText";
            let text = self.client.execute(script, Vec::new()).await?;
            let text = text.as_str().unwrap_or_default();
            if is_so(text) {
                return Ok(());
            }
            assert!(waiting.elapsed() < PATIENCE, "not seen: {what}; the page says:\n{text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Nothing is wider than the screen, on a phone and on a desk.
    async fn fits(&self, what: &str) -> Result<(), CmdError> {
        for width in WIDTHS {
            self.devtools(
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600 }),
            )
            .await?;
            let script = "const root = document.documentElement; \
                          return [innerWidth, root.scrollWidth - root.clientWidth]";
            let seen = self.client.execute(script, Vec::new()).await?;
            assert_eq!(seen, json!([width, 0]), "{what}: width and what stands out at {width}");
        }
        Ok(())
    }

    /// Warnings and errors of the browser's console, of every page so far.
    async fn complaints(&self) -> Result<Vec<Value>, CmdError> {
        let log = self.ask("se/log", json!({ "type": "browser" })).await?;
        Ok(log.as_array().cloned().unwrap_or_default())
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value, CmdError> {
        self.ask("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    async fn ask(&self, path: &'static str, body: Value) -> Result<Value, CmdError> {
        self.client.issue_cmd(Extension { path, body }).await
    }
}

/// A command of Chromium's driver beyond the WebDriver standard.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

async fn browser(port: u16, profile: &Path) -> Client {
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
    let capabilities = json!({
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "WARNING" },
    });
    let Value::Object(capabilities) = capabilities else { unreachable!("written as an object") };
    ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .expect("a session of headless Chromium")
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
            .stderr(Stdio::null())
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
