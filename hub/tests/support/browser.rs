//! A real browser: headless Chromium through its driver, and programs that end with the test.

#![allow(dead_code, reason = "each test file uses its part of the browser")]

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

/// How long anything may take to appear on a page.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The narrowest phone that the pages are made for, and a desk.
pub const WIDTHS: [u32; 2] = [360, 1280];

/// The tab key, as WebDriver writes it. Source: W3C WebDriver, 17.4.2.
pub const TAB: &str = "\u{e004}";
/// The enter key.
pub const ENTER: &str = "\u{e007}";

/// What the browser shows.
pub struct Page {
    pub browser: Browser,
    pub base: String,
}

impl Page {
    pub async fn open(&self, path: &str) {
        let address = format!("{}{path}", self.base);
        self.browser.ask(Method::POST, "/url", json!({ "url": address })).await;
    }

    pub async fn heading(&self) -> String {
        self.text_of("h1").await
    }

    /// The text of the first such element, as it is seen. A page that goes while it is read is followed by another: then
    /// that one's.
    pub async fn text_of(&self, selector: &str) -> String {
        let waiting = Instant::now();
        loop {
            let path = format!("/element/{}/text", self.see(selector).await);
            match self.browser.try_asking(Method::GET, &path, Value::Null).await {
                Ok(text) => return text.as_str().expect("text").to_owned(),
                Err(failed) => {
                    let gone = failed["value"]["error"] == "stale element reference";
                    assert!(gone && waiting.elapsed() < PATIENCE, "{selector}: {failed:#}");
                }
            }
        }
    }

    /// Follows a link of the navigation and waits until its page is there.
    pub async fn follow(&self, href: &str, heading: &str) {
        self.press(&format!("nav a[href='{href}']")).await;
        let waiting = Instant::now();
        while self.heading().await != heading {
            assert!(waiting.elapsed() < PATIENCE, "the page {heading} did not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Types; into a list of choices, the beginning of one.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.see(selector).await;
        let path = format!("/element/{element}/value");
        self.browser.ask(Method::POST, &path, json!({ "text": text })).await;
    }

    /// Presses a button. The driver waits for the page that follows.
    pub async fn press(&self, selector: &str) {
        let element = self.see(selector).await;
        self.browser.ask(Method::POST, &format!("/element/{element}/click"), json!({})).await;
    }

    /// Waits for an element; its WebDriver reference.
    pub async fn see(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.browser.ask(Method::POST, "/element", wanted).await;
        let reference = found.as_object().and_then(|found| found.values().next());
        reference.and_then(Value::as_str).expect("an element's reference").to_owned()
    }

    pub async fn script(&self, script: &str) -> Value {
        let call = json!({ "script": script, "args": [] });
        self.browser.ask(Method::POST, "/execute/sync", call).await
    }

    /// Waits until the main part's text is as expected.
    pub async fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
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
    pub async fn fits(&self, what: &str) {
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
            self.picture(&format!("{what} {width}")).await;
        }
    }

    /// Keeps a picture of the whole page in the folder that `YIHAO_PICTURES` names, if it does.
    async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("YIHAO_PICTURES") else { return };
        let whole = json!({ "cmd": "Page.captureScreenshot",
            "params": { "format": "png", "captureBeyondViewport": true } });
        let taken = self.browser.ask(Method::POST, "/goog/cdp/execute", whole).await;
        let png = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        let name = format!("{}.png", name.replace(' ', "-"));
        std::fs::write(Path::new(&folder).join(name), png).unwrap();
    }

    /// axe-core finds nothing serious, and what the page and all it refers to weigh is under 200 KB.
    /// Prints the time to the first contentful paint.
    pub async fn is_accessible_and_light(&self, what: &str) {
        let proof = std::env::var("YIHAO_PROOF").expect("./dev test sets YIHAO_PROOF");
        let axe = Path::new(&proof).join("node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&axe).expect("./dev setup test installs axe-core");
        let script = format!(
            "{axe};\nconst done = arguments[arguments.length - 1];
             axe.run(document, {{ resultTypes: ['violations'] }}).then(found => done(found.violations
               .filter(one => ['serious', 'critical'].includes(one.impact))
               .map(one => [one.id, one.help, one.nodes.map(node => node.html)])),
               error => done(String(error)));"
        );
        let call = json!({ "script": script, "args": [] });
        let found = self.browser.ask(Method::POST, "/execute/async", call).await;
        assert_eq!(found, json!([]), "{what}: axe-core");
        let weight = "const all = [...performance.getEntriesByType('navigation'),
               ...performance.getEntriesByType('resource')];
             const paint = performance.getEntriesByName('first-contentful-paint')[0];
             return [all.reduce((sum, one) => sum + (one.decodedBodySize || 0), 0),
               Math.round(paint ? paint.startTime : 0)]";
        let measured = self.script(weight).await;
        let bytes = measured[0].as_u64().expect("bytes");
        println!("{what}: {bytes} bytes, first paint after {} ms", measured[1]);
        assert!((1..200 << 10).contains(&bytes), "{what} weighs {bytes} bytes");
    }

    /// Submits the form that a button belongs to and waits until the page is another.
    pub async fn submit(&self, selector: &str) {
        self.script("window.stillTheOldPage = true").await;
        self.press(selector).await;
        let waiting = Instant::now();
        while self.script("return window.stillTheOldPage === true").await == json!(true) {
            assert!(waiting.elapsed() < PATIENCE, "nothing came after pressing {selector}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A session of headless Chromium, spoken to as W3C WebDriver has it: JSON over HTTP. (The crates
/// for this were looked at: one brings some 25 crates for what is 60 lines here, another turns on
/// a feature of serde_json that would make the tested hub another than the shipped one.)
#[derive(Clone)]
pub struct Browser {
    client: reqwest::Client,
    session: String,
}

impl Browser {
    pub async fn start(port: u16, profile: &Path) -> Self {
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
            "--ignore-certificate-errors",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "WARNING", "performance": "ALL" },
            "timeouts": { "implicit": PATIENCE.as_millis() as u64,
                "script": PATIENCE.as_millis() as u64 },
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
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> impl Future<Output = Value> + use<> {
        let place = std::panic::Location::caller();
        let asked = self.try_asking(method, path, body.clone());
        async move {
            let answer = asked.await;
            answer.unwrap_or_else(|answer| panic!("{place}: {body} was answered: {answer:#}"))
        }
    }

    /// Sends a command; its value, or the whole answer if the driver could not do it.
    fn try_asking(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> impl Future<Output = Result<Value, Value>> + use<> {
        let mut request = self.client.request(method, format!("{}{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        async move {
            let answer = request.send().await.expect("the driver answers");
            let succeeded = answer.status().is_success();
            let mut answer: Value = answer.json().await.expect("the driver answers in JSON");
            if succeeded { Ok(answer["value"].take()) } else { Err(answer) }
        }
    }

    /// All addresses that the browser has asked for since the last question, one on a line.
    pub async fn addresses(&self) -> String {
        let log = self.ask(Method::POST, "/se/log", json!({ "type": "performance" })).await;
        let entries = log.as_array().expect("a list of entries");
        let messages = entries.iter().filter_map(|entry| entry["message"].as_str());
        let messages = messages.filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let sent = messages.map(|message| message["message"].clone());
        let sent = sent.filter(|message| message["method"] == "Network.requestWillBeSent");
        sent.filter_map(|message| {
            Some(format!("{}\n", message["params"]["request"]["url"].as_str()?))
        })
        .collect()
    }

    pub async fn quit(&self) {
        let _ = self.client.delete(&self.session).send().await;
    }
}

/// Two free ports, one after the other; the first of them.
pub fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// A program in a process group of its own; it and its children are stopped when this is dropped.
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts it and waits until it prints a line with `ready` in it.
    pub fn start(command: &mut Command, ready: &str, patience: Duration) -> Self {
        Self::start_and_read(command, ready, patience).0
    }

    /// The same; and that line. Its standard input stays open as long as the test has it.
    pub fn start_and_read(
        command: &mut Command,
        ready: &str,
        patience: Duration,
    ) -> (Self, String) {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
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
                Ok(line) if line.contains(ready) => return (program, line),
                Ok(line) => said.push_str(&format!("{line}\n")),
                Err(error) => panic!("{name} did not get ready ({error}); it said:\n{said}"),
            }
        }
    }

    pub fn signal(&self, signal: &str, to: &str) {
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
