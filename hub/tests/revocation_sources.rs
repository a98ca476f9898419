//! Revocation lists and OCSP answers are fetched on a schedule. What comes is believed or refused by name;
//! a source that fails takes nothing away, and is told.

mod support;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use support::{
    TestHub,
    trust::{Elsewhere, day, does, hand_in, hub_command, pulled, serial, soon, trust_folder},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Answers a request: its head and body in, the whole answer out; `None`: says nothing.
type Answering = Box<dyn Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// A source on the loopback.
struct Source {
    address: String,
    answering: Arc<Mutex<Answering>>,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    async fn open(
        answering: impl Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answering: Arc<Mutex<Answering>> = Arc::new(Mutex::new(Box::new(answering)));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (shared, seen) = (answering.clone(), heads.clone());
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (shared, seen) = (shared.clone(), seen.clone());
                tokio::spawn(async move {
                    let (head, body) = read(&mut stream).await;
                    seen.lock().unwrap().push(head.clone());
                    let answer = (shared.lock().unwrap())(&head, &body);
                    match answer {
                        Some(answer) => drop(stream.write_all(&answer).await),
                        None => tokio::time::sleep(Duration::from_secs(60)).await,
                    }
                });
            }
        });
        Self { address, answering, heads, task }
    }

    fn answers(&self, answering: impl Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) {
        *self.answering.lock().unwrap() = Box::new(answering);
    }

    fn asked(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

async fn read(stream: &mut tokio::net::TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap_or(0);
        bytes.extend_from_slice(&part[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            assert!(read > 0, "the request ended early");
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        if bytes.len() >= end + 4 + length {
            return (head, bytes[end + 4..].to_vec());
        }
    }
}

fn ok(body: &[u8], more: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{more}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// What `/readyz` says of trust.
async fn ready(hub: &TestHub) -> Value {
    let answer = hub.office().get("/readyz").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["trust"].clone()
}

async fn source_is(hub: &TestHub, state: &str) -> bool {
    ready(hub).await["sources"][0]["state"] == state
}

fn trusts(hub: &TestHub, elsewhere: &Elsewhere) {
    let root = elsewhere.root();
    let why = ["--usage", "issuing-licences", "--why", "test"];
    does(hub, &[&["anchors", "add", root.to_str().unwrap()], &why[..]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_on_its_schedule_and_outlives_its_source_and_a_restart() {
    let elsewhere = Elsewhere::found();
    let list = std::fs::read(elsewhere.list()).unwrap();
    let first = list.clone();
    let source = Source::open(move |_, _| Some(ok(&first, "ETag: \"one\"\r\n"))).await;
    let settings =
        format!("[[trust.crl_sources]]\naddress = \"{}\"\nevery_minutes = 30\n", source.address);
    let mut hub = TestHub::start_with(&settings).await;
    soon("nobody knows the list's issuer", async || source_is(&hub, "failing").await).await;
    assert_eq!(ready(&hub).await["sources"][0]["code"], "crl_unknown_issuer");
    assert_eq!(ready(&hub).await["state"], "attention");

    trusts(&hub, &elsewhere);
    let signer = elsewhere.signer(&hub);
    soon("the anchor counts", async || hand_in(&hub, &signer).await.status == 201).await;
    assert_eq!(pulled(&hub).await.1, "no_crl");
    hub.hub.clock.advance(SignedDuration::from_mins(1));
    soon("the list counts", async || pulled(&hub).await.1 == "good").await;
    assert!(source_is(&hub, "ok").await);
    assert_eq!(ready(&hub).await["problems"], serde_json::json!([]));

    // The next time it is asked whether something changed.
    let asked = source.asked();
    source.answers(|head, _| {
        assert!(head.contains("if-none-match: \"one\""), "{head}");
        Some(status("304 Not Modified"))
    });
    hub.hub.clock.advance(SignedDuration::from_mins(31));
    soon("it is asked", async || source.asked() > asked).await;
    soon("it has nothing new", async || source_is(&hub, "ok").await).await;

    // It has: the signer is revoked.
    let at = hub.hub.clock.now();
    let path =
        elsewhere.authority.revocation_list(&[(serial(&signer), day("2026-02-01"))], at).unwrap();
    let revoking = std::fs::read(path).unwrap();
    source.answers(move |_, _| Some(ok(&revoking, "")));
    hub.hub.clock.advance(SignedDuration::from_mins(31));
    soon("the signer is revoked", async || pulled(&hub).await.1 == "revoked").await;

    // It gives an older one, then nothing any more: what is believed stays, also after a restart offline.
    source.answers(move |_, _| Some(ok(&list, "")));
    hub.hub.clock.advance(SignedDuration::from_mins(31));
    soon("it is refused", async || ready(&hub).await["sources"][0]["code"] == "crl_older").await;
    drop(source);
    hub.hub.clock.advance(SignedDuration::from_mins(31));
    soon("it is gone", async || ready(&hub).await["sources"][0]["code"] == "source_unreachable")
        .await;
    assert_eq!(pulled(&hub).await.1, "revoked");
    hub.restart().await;
    // The clock of the restarted hub is behind: what was believed is not given up for that.
    assert!(hub.hub.clock.now() < at);
    assert_eq!(pulled(&hub).await.1, "revoked");

    // Weeks later nobody has a current list: it is told, and counts as stale for whoever is not on it.
    hub.hub.clock.advance(SignedDuration::from_hours(24 * 40));
    let problems = ready(&hub).await["problems"].clone();
    let stale = problems.as_array().unwrap().iter();
    assert_eq!(stale.filter(|one| one["code"] == "trust_list_stale").count(), 2, "{problems}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_in_which_a_source_fails_has_its_code_and_hides_no_good_one() {
    let (elsewhere, unknown) = (Elsewhere::found(), Elsewhere::found());
    let now = Timestamp::now();
    let good = std::fs::read(elsewhere.authority.revocation_list(&[], now).unwrap()).unwrap();
    let foreign = std::fs::read(unknown.list()).unwrap();
    let mut changed = good.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let source = Source::open(move |head, _| {
        let path = head.split(' ').nth(1).unwrap_or("");
        match path {
            "/good" => Some(ok(&good, "")),
            "/foreign" => Some(ok(&foreign, "")),
            "/changed" => Some(ok(&changed, "")),
            "/rubbish" => Some(ok(b"<html>log in first</html>", "")),
            "/large" => Some(ok(&vec![0x30; (32 << 20) + 1], "")),
            "/gone" => Some(status("404 Not Found")),
            "/round" => Some(status("302 Found\r\nLocation: /round")),
            _ => None,
        }
    })
    .await;
    let paths = ["silent", "gone", "round", "large", "rubbish", "foreign", "changed", "good"];
    let settings: String = paths
        .iter()
        .map(|path| {
            let address = &source.address;
            format!("[[trust.crl_sources]]\naddress = \"{address}/{path}\"\ntimeout_seconds = 2\n")
        })
        .collect();
    let hub = TestHub::start_with(&settings).await;
    trusts(&hub, &elsewhere);

    let (well, said) =
        tokio::task::block_in_place(|| hub_command(&hub, &["crl", "fetch", "--json"]));
    assert!(!well);
    let said = &said[..=said.rfind(']').unwrap()];
    let start = said.find('[').unwrap();
    let told: Vec<Value> = serde_json::from_str(&said[start..]).unwrap();
    let codes: Vec<_> = told.iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(
        codes,
        [
            "source_unreachable",
            "source_status",
            "source_unreachable",
            "source_too_large",
            "crl_malformed",
            // The issuer's name is the same, the key is not; then the last byte of a signature.
            "crl_bad_signature",
            "crl_bad_signature",
            "ok",
        ]
    );
    let files = std::fs::read_dir(trust_folder(&hub).join("crls")).unwrap().count();
    assert_eq!(files, 1, "what is not believed is not written");
}

/// A responder for the authority of the test: openssl answers what `index.txt` says.
fn openssl_answers(folder: &Path, request: &[u8]) -> Vec<u8> {
    std::fs::write(folder.join("request.der"), request).unwrap();
    let said = std::process::Command::new("openssl")
        .current_dir(folder)
        .args(["ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem"])
        .args(["-rkey", "ca.key", "-reqin", "request.der", "-respout", "answer.der"])
        .args(["-ndays", "7"])
        .output()
        .expect("the program `openssl` is needed by this test");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    std::fs::read(folder.join("answer.der")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_is_asked_about_the_signers_in_use_and_what_it_says_counts() {
    let folder = Arc::new(Mutex::new(None::<std::path::PathBuf>));
    let told = folder.clone();
    let source = Source::open(move |head, body| {
        assert!(head.contains("application/ocsp-request"), "{head}");
        let folder = told.lock().unwrap().clone().expect("told before the first request");
        Some(ok(&openssl_answers(&folder, body), "Content-Type: application/ocsp-response\r\n"))
    })
    .await;
    let settings = format!("[[trust.ocsp]]\naddress = \"{}\"\n", source.address);
    let hub = TestHub::start_with(&settings).await;
    *folder.lock().unwrap() = Some(hub.folder.path().to_owned());
    // openssl answers as of now, so the hub's clock is set to now.
    let ahead = Timestamp::now().duration_since(hub.hub.clock.now());
    hub.hub.clock.advance(ahead + SignedDuration::from_secs(1));
    hub.authority.revocation_list(&[], hub.hub.clock.now()).unwrap();
    let signer = hub.signing_identity(&hub.issuer().department);
    let index = |state: &str| {
        let serial = signer.certificate().serial_hex().to_uppercase();
        let line = format!("{state}\t{serial}\tunknown\t/CN=signer\n");
        std::fs::write(hub.folder.path().join("index.txt"), line).unwrap();
    };
    index("V\t280101000000Z\t");
    soon("the list of the settings counts", async || hand_in(&hub, &signer).await.status == 201)
        .await;
    // The hub looks at the list in its own time, and takes licences in meanwhile.
    let good = ("ok".to_owned(), "good".to_owned());
    soon("the new list is read", async || pulled(&hub).await == good).await;

    hub.hub.clock.advance(SignedDuration::from_mins(61));
    soon("it is asked", async || hub.hub.trust().ocsp_answers(hub.hub.clock.now()).0 == 1).await;
    assert_eq!(pulled(&hub).await.1, "good");

    // The list does not know it yet, but the responder does.
    index("R\t280101000000Z\t260801000000Z");
    // Answers have whole seconds; only a newer one takes the place of one that is held.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    hub.hub.clock.advance(SignedDuration::from_mins(61));
    soon("the signer is revoked", async || pulled(&hub).await.1 == "revoked").await;
    assert!(source_is(&hub, "ok").await);
}
