//! Time-stamps on signatures, by `openssl ts` behind loopback HTTP: authorities that serve, are down, lie, and come
//! back; intake never waits for them.

#[path = "../../certs/tests/support/stamping.rs"]
mod stamping;
mod support;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use certs::{HashAlgorithm, timestamp};
use hub::{intake::BatchIntake, records::Draft, reuse::package::SignedFile, stamps};
use jiff::{SignedDuration, Timestamp};
use licence::{Licence, StatusChange};
use serde_json::Value;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const FROM: &str = "20200101000000Z";
const UNTIL: &str = "20491231235959Z";
const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

/// What the authority on a port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Stamps as `openssl ts -reply` with this certificate.
    Stamps(&'static str),
    /// Closes every connection.
    Down,
    /// Answers with HTTP status 500.
    Broken,
    /// Stamps other bytes.
    OtherBytes,
    /// Stamps as for another request over the same bytes.
    OtherNonce,
}

/// An authority on the loopback.
struct Responder {
    address: String,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<Mutex<u64>>,
}

impl Responder {
    async fn start(folder: PathBuf, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/tsa", listener.local_addr().unwrap());
        let (manner, asked) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(0)));
        let (now, count) = (manner.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let manner = *now.lock().unwrap();
                if manner == Manner::Down {
                    continue;
                }
                let Some(request) = read_request(&mut connection).await else { continue };
                let folder = folder.clone();
                let answer = tokio::task::spawn_blocking(move || answer(&folder, manner, &request));
                let (status, body) = answer.await.unwrap();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/timestamp-reply\r\ncontent-length: \
                     {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = connection.write_all(head.as_bytes()).await;
                let _ = connection.write_all(&body).await;
            }
        });
        Self { address, manner, asked }
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn asked(&self) -> u64 {
        *self.asked.lock().unwrap()
    }
}

async fn read_request(connection: &mut tokio::net::TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = connection.read(&mut piece).await.ok()?;
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some(end) = text.find("\r\n\r\n") {
            let lower = text[..end].to_lowercase();
            let length = lower.split("content-length: ").nth(1)?;
            let length: usize = length.split("\r\n").next()?.parse().ok()?;
            let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
            if bytes.len() >= head + length {
                return Some(bytes[head..head + length].to_vec());
            }
        }
        if count == 0 {
            return None;
        }
    }
}

fn answer(folder: &Path, manner: Manner, request: &[u8]) -> (&'static str, Vec<u8>) {
    // One at a time: `openssl ts` keeps its serial number in a file.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let stamped = |name: &str, request: &[u8]| ("200 OK", stamping::answer(folder, name, request));
    match manner {
        Manner::Stamps(name) => stamped(name, request),
        Manner::Down => unreachable!("the connection is closed"),
        Manner::Broken => ("500 Internal Server Error", Vec::new()),
        Manner::OtherBytes => {
            let hash = HashAlgorithm::Sha256;
            let nonce = nonce_of(request);
            stamped("one", &timestamp::request(&[7; 32], hash, Some(nonce), None))
        }
        Manner::OtherNonce => {
            let mut changed = request.to_vec();
            let last = changed.len() - 4; // the nonce's last byte stands before `certReq TRUE`
            changed[last] ^= 1;
            stamped("one", &changed)
        }
    }
}

fn nonce_of(request: &[u8]) -> [u8; 8] {
    request[request.len() - 11..request.len() - 3].try_into().unwrap()
}

/// What `stamping` runs programs with.
fn run(folder: &Path, line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    let output = std::process::Command::new(program).args(words).current_dir(folder).output();
    let output = output
        .unwrap_or_else(|error| panic!("`{program}` is needed ({error}): ./dev test installs it"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{line}: {said}"))
    }
}

/// A hub with two authorities, at the machine's own time, since `openssl ts` knows no other.
struct Desk {
    hub: TestHub,
    tsa: tempfile::TempDir,
    first: Responder,
    second: Responder,
}

impl Desk {
    async fn start(first: Manner, second: Manner) -> Self {
        Self::prepared(first, second, |_| {}).await
    }

    /// * `prepare`: what is done in the hub's folder before it starts.
    async fn prepared(first: Manner, second: Manner, prepare: impl FnOnce(&Path)) -> Self {
        let tsa = tempfile::tempdir().unwrap();
        stamping::prepare(tsa.path());
        stamping::authority(tsa.path(), "one", P256, "critical,timeStamping", FROM, UNTIL);
        stamping::authority(tsa.path(), "two", P256, "critical,timeStamping", FROM, UNTIL);
        let over = "20210101000000Z";
        stamping::authority(tsa.path(), "over", P256, "critical,timeStamping", FROM, over);
        let first = Responder::start(tsa.path().to_owned(), first).await;
        let second = Responder::start(tsa.path().to_owned(), second).await;
        let settings = format!(
            "[time_stamps]\nanchors = [\"{}\"]\ntimeout_seconds = 5\nlongest_pause_seconds = 1\nauthorities = [\n\
             {{ name = \"first\", address = \"{}\" }},\n\
             {{ name = \"second\", address = \"{}\" }} ]\n",
            tsa.path().join("ca.pem").display(),
            first.address,
            second.address
        );
        let hub = TestHub::start_prepared("127.0.0.1:0", |folder| {
            prepare(folder);
            settings
        });
        let hub = hub.await;
        let desk = Self { hub, tsa, first, second };
        desk.at_the_machines_time();
        desk
    }

    fn at_the_machines_time(&self) {
        let by = Timestamp::now().duration_since(self.hub.hub.clock.now());
        self.hub.hub.clock.advance(by);
    }

    /// Licences of one issuer.
    fn licences(&self, count: usize) -> Vec<Licence> {
        let issuer = self.hub.issuer().department.code;
        let of_issuer =
            |licence: &Licence| *licence.issuer.credit_code() == issuer && licence.files.is_empty();
        let found: Vec<_> = self.hub.licences().filter(of_issuer).take(count).collect();
        assert_eq!(found.len(), count);
        found
    }

    async fn face(&self, licence: &Licence) -> Value {
        let answer =
            self.hub.nobody().get(self.hub.url(&format!("/v1/licences/{}", licence.identifier)));
        answer.send().await.unwrap().json().await.unwrap()
    }

    async fn readiness(&self) -> Value {
        self.hub.nobody().get(self.hub.url("/readyz")).send().await.unwrap().json().await.unwrap()
    }

    /// Waits until the face of the licence says so.
    async fn comes_to(&self, licence: &Licence, state: &str) -> Value {
        for _ in 0..600 {
            let face = self.face(licence).await;
            if face["time_stamp"]["state"] == state {
                return face;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never {state}: {}, {}", self.face(licence).await, self.readiness().await);
    }

    async fn says(&self, word: &str) {
        for _ in 0..600 {
            if self.readiness().await["time_stamps"] == word {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never {word}: {}", self.readiness().await);
    }
}

#[actix_web::test]
async fn a_signature_is_stamped_after_intake_and_the_stamp_proves_its_time() {
    let desk = Desk::start(Manner::Stamps("one"), Manner::Stamps("two")).await;
    let (licence, _) = desk.hub.enterprise_licence();
    let before = Timestamp::now();
    let answer = desk.hub.issuer().issue(&licence).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let face = desk.comes_to(&licence, "stamped").await;
    assert_eq!(face["time_stamp"]["authority"], "first");
    let at: Timestamp = face["time_stamp"]["at"].as_str().unwrap().parse().unwrap();
    assert!(at >= before - SignedDuration::from_secs(1) && at <= Timestamp::now());

    let hub = &desk.hub.hub;
    let stored = hub.store.licence(&licence.identifier).await.unwrap().unwrap();
    let proven = stamps::proven(hub, &stored).await.unwrap().unwrap();
    assert!(proven >= at && proven <= at + SignedDuration::from_secs(2));
    desk.says("ok").await;
    // Whoever has the token needs no word of ours: `openssl ts` verifies it over the signature value.
    let stamp = stamps::of_licence(hub, &stored).await.unwrap().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(desk.tsa.path().join(name), bytes).unwrap();
    put("value", &stamp.value);
    put("token", &stamp.token);
    let line = "openssl ts -verify -data value -in token -token_in -CAfile ca.pem";
    assert!(run(desk.tsa.path(), line).unwrap().contains("OK"));
    assert_eq!(desk.second.asked(), 0, "the second is asked when the first fails");
}

#[actix_web::test]
async fn an_authority_that_is_down_or_lies_is_passed_over() {
    let desk = Desk::start(Manner::Down, Manner::Stamps("two")).await;
    let licences = desk.licences(6);
    let manners = [
        Manner::Down,
        Manner::Broken,
        Manner::OtherBytes,
        Manner::OtherNonce,
        Manner::Stamps("over"),
    ];
    for (licence, manner) in licences.iter().zip(manners) {
        desk.first.set(manner);
        let asked = desk.first.asked();
        // The first is asked again once its pause is over.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let answer = desk.hub.issuer().issue(licence).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let face = desk.comes_to(licence, "stamped").await;
        assert_eq!(face["time_stamp"]["authority"], "second", "{manner:?}");
        assert!(desk.first.asked() > asked, "{manner:?}");
        desk.says("fallback").await;
    }
    desk.first.set(Manner::Stamps("one"));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let licence = &licences[5];
    desk.hub.issuer().issue(licence).await;
    let face = desk.comes_to(licence, "stamped").await;
    assert_eq!(face["time_stamp"]["authority"], "first");
    desk.says("ok").await;
}

#[actix_web::test]
async fn without_any_authority_the_hub_goes_on_and_stamps_later_also_after_a_restart() {
    let mut desk = Desk::start(Manner::Down, Manner::Broken).await;
    let licences = desk.licences(4);
    for licence in &licences {
        let answer = desk.hub.issuer().issue(licence).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(desk.face(licence).await["time_stamp"], serde_json::json!({"state": "due"}));
    }
    let order = desk.hub.issuer().order(&licences[0].identifier, StatusChange::Suspend).await;
    assert_eq!(order.status, 200, "{}", order.text);
    desk.says("failing").await;
    assert_eq!(desk.readiness().await["ready"], true);
    let state = desk.hub.hub.stamps().unwrap().state(&desk.hub.hub).await.unwrap();
    assert!(state.due >= 4 && state.oldest.is_some(), "{state:?}");

    desk.hub.restart_at(Timestamp::now()).await;
    assert_eq!(desk.face(&licences[0]).await["time_stamp"]["state"], "due");
    desk.second.set(Manner::Stamps("two"));
    for licence in &licences {
        let face = desk.comes_to(licence, "stamped").await;
        assert_eq!(face["time_stamp"]["authority"], "second");
    }
    // The order too.
    let hub = &desk.hub.hub;
    for _ in 0..200 {
        let stored = hub.store.licence(&licences[0].identifier).await.unwrap().unwrap();
        if stamps::of_order(hub, &stored.orders[0]).await.unwrap().is_some() {
            let state = hub.stamps().unwrap().state(hub).await.unwrap();
            assert_eq!((state.due, state.oldest), (0, None));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the order was never stamped");
}

#[actix_web::test]
async fn a_stamp_outlives_the_revocation_of_its_signer_also_where_nothing_else_does() {
    let mut desk = Desk::start(Manner::Stamps("one"), Manner::Stamps("two")).await;
    let issuer = desk.hub.issuer();
    let licences = desk.licences(2);
    assert_eq!(issuer.issue(&licences[0]).await.status, 201);
    desk.comes_to(&licences[0], "stamped").await;
    // The second comes in while nobody stamps.
    desk.first.set(Manner::Down);
    desk.second.set(Manner::Down);
    assert_eq!(issuer.issue(&licences[1]).await.status, 201);
    let path = desk.hub.folder.path().join("hub.toml");
    let settings = std::fs::read_to_string(&path).unwrap();
    let rule = "[trust]\nrevoked_signers = \"time_stamp_only\"\n";
    std::fs::write(&path, settings.replace("[trust]\n", rule)).unwrap();

    let day = SignedDuration::from_hours(24);
    let revoked_at = Timestamp::from_second((Timestamp::now() + day).as_second()).unwrap();
    desk.hub.restart_at(Timestamp::now() + 2 * day).await;
    let hub = desk.hub.hub.clone();
    let serial = hex::decode(issuer.identity.unwrap().certificate().serial_hex()).unwrap();
    desk.hub.authority.revocation_list(&[(serial, revoked_at)], hub.clock.now()).unwrap();
    hub.reload_trust().unwrap();

    let face = desk.face(&licences[0]).await;
    assert_eq!(
        (&face["result"], &face["revocation"]["result"]),
        (&"trusted".into(), &"outlived".into())
    );
    assert_eq!(face["proven"]["by"], "time_stamp");
    let proven: Timestamp = face["proven"]["at"].as_str().unwrap().parse().unwrap();
    assert!(proven < revoked_at);
    let face = desk.face(&licences[1]).await;
    assert_eq!(
        (&face["result"], &face["revocation"]["result"]),
        (&"untrusted".into(), &"revoked".into())
    );

    // Those who follow hear of the second alone.
    hub.store.wait_beyond(licence::Seq(2), Duration::from_secs(30)).await.unwrap();
    let mut sweep = hub.sweep().unwrap().watch();
    sweep.wait_for(|state| !state.running).await.unwrap();
    let changes = hub.store.changes(licence::Seq(2), 10).await.unwrap();
    let fell: Vec<_> = changes.iter().map(licence::Change::identifier).collect();
    assert_eq!(fell, [&licences[1].identifier]);
}

#[actix_web::test]
async fn what_is_stamped_outlives_its_signers_certificate_also_offline() {
    let desk = Desk::start(Manner::Stamps("one"), Manner::Down).await;
    let (licence, pull) = desk.hub.enterprise_licence();
    let issuer = desk.hub.issuer();
    assert_eq!(issuer.issue(&licence).await.status, 201);
    desk.comes_to(&licence, "stamped").await;
    let hub = &desk.hub.hub;
    let office = desk.hub.puller(&pull);
    let pulled = office.pull(&pull).await;
    let grant = pulled.json["grant"].as_str().unwrap();
    let path = format!("/v1/grants/{grant}/licences/{}", licence.identifier);
    let opened = office.get(&path).await;
    let evidence = certs::Evidence::parse(opened.text.as_bytes()).unwrap();
    let stored = hub.store.licence(&licence.identifier).await.unwrap().unwrap();
    let indexes::Proof::Signature(plain) = &stored.proof else { panic!("signed by itself") };
    let mut unstamped = evidence.clone();
    unstamped.signature = plain.to_vec();
    assert_ne!(unstamped, evidence, "the stamp travels in the signature");

    let hour = SignedDuration::from_hours(1);
    hub.clock.advance(hour * 2);
    let now = hub.clock.now();
    let signer = issuer.identity.as_ref().unwrap().certificate().serial_hex();
    let revoked = [(hex::decode(signer).unwrap(), now - hour)];
    desk.hub.authority.revocation_list(&revoked, now).unwrap();
    hub.reload_trust().unwrap();
    let trust = hub.trust();
    let refused = unstamped.verify(&trust, now).err().unwrap();
    assert_eq!(refused.code(), "certificate_revoked");
    let verdict = evidence.verify(&trust, now).unwrap();
    let stamp = stamps::of_licence(hub, &stored).await.unwrap().unwrap();
    assert!(verdict.signature.proven_at.is_some_and(|at| at >= stamp.at));
    assert!(matches!(verdict.judgement.revocation, certs::Revocation::Good { .. }));
    // Whose stamps one does not trust prove nothing.
    let mut other = certs::TrustStore::new();
    let usage = certs::Usage::IssuingLicences;
    trust.anchors(usage).into_iter().for_each(|anchor| other.add_anchor(usage, anchor));
    let alone = evidence.verify(&other, now).unwrap();
    assert_eq!(alone.signature.proven_at, None);
    assert_eq!(alone.signature.time_stamp.unwrap().code, "certificate_unknown_issuer");
}

#[actix_web::test]
async fn licences_of_one_batch_share_one_stamp() {
    let desk = Desk::start(Manner::Stamps("one"), Manner::Down).await;
    let issuer = desk.hub.issuer();
    let licences = desk.licences(4);
    let documents: Vec<_> =
        licences.iter().map(|licence| Bytes::from(licence.to_bytes())).collect();
    let digests: Vec<_> = documents.iter().map(|document| certs::sha256(document)).collect();
    let code = issuer.department.code;
    let manifest = certs::Manifest::write(&code, "2026-1", &digests).unwrap();
    let signature = issuer.sign(&manifest);
    let mut batch =
        BatchIntake::begin(Arc::clone(&*desk.hub.hub), code, manifest.into(), signature.into())
            .await
            .unwrap();
    let outcomes = batch.take_in(documents.into_iter().enumerate().collect()).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    for licence in &licences {
        desk.comes_to(licence, "stamped").await;
    }
    assert_eq!(desk.first.asked(), 1);
}

#[actix_web::test]
async fn what_the_hub_signs_is_stamped_too() {
    let desk = Desk::start(Manner::Down, Manner::Stamps("two")).await;
    let hub = &desk.hub.hub;
    let identity = desk.hub.issuer().identity.unwrap();
    let content = b"a document of the hub".to_vec();
    let signature = certs::sign_detached(&identity, &content, hub.clock.now()).unwrap();
    let file = SignedFile {
        format: "yihao-package-1".to_owned(),
        content: STANDARD.encode(&content),
        signature: STANDARD.encode(&signature),
        evidence: std::collections::BTreeMap::new(),
    };
    let bytes = Bytes::from(serde_json::to_vec(&file).unwrap());
    assert_eq!(stamps::with_stamp(hub, bytes.clone()).await.unwrap(), bytes);
    let mut draft = Draft::new();
    stamps::file(hub, &mut draft, &bytes);
    draft.commit(&*hub.store).await.unwrap().unwrap();
    for _ in 0..200 {
        let stamped = stamps::with_stamp(hub, bytes.clone()).await.unwrap();
        if stamped == bytes {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let signature = SignedFile::parse(&stamped).unwrap().signature().unwrap();
        let times = certs::Times::now(hub.clock.now());
        let verdict = certs::check_cms(&signature, Some(&content), &hub.trust(), &times);
        assert!(verdict.signatures[0].proven_at.is_some());
        let state = hub.stamps().unwrap().state(hub).await.unwrap();
        assert_eq!(state.due, 0);
        return;
    }
    panic!("never stamped");
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Desk {
    /// The market regulator, with a certificate that ends tomorrow.
    fn issuer_until_tomorrow(&self) -> Actor {
        let mut issuer = self.hub.issuer();
        let from: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
        let days = Timestamp::now().duration_since(from).as_hours() / 24 + 1;
        let profile = certs::Profile::LicenceIssuer;
        let signer = self.hub.signing_identity_from(&issuer.department, profile, from, days);
        issuer.identity = Some(signer);
        issuer
    }

    /// Lets three days pass; since one of them these certificates have been revoked.
    fn three_days_pass(&self, revoked: &[&Actor]) {
        let hub = &self.hub.hub;
        hub.clock.advance(DAY * 3);
        let since = Timestamp::from_second((hub.clock.now() - DAY).as_second()).unwrap();
        let serial = |one: &&Actor| {
            let hex = one.identity.as_ref().unwrap().certificate().serial_hex();
            (hex::decode(hex).unwrap(), since)
        };
        let revoked: Vec<_> = revoked.iter().map(serial).collect();
        self.hub.authority.revocation_list(&revoked, hub.clock.now()).unwrap();
        hub.reload_trust().unwrap();
    }

    async fn waits_for_nothing(&self) {
        let hub = &self.hub.hub;
        for _ in 0..200 {
            if hub.stamps().unwrap().state(hub).await.unwrap().due == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("something is due for ever");
    }
}

/// A time-stamp of this authority over the bytes, at the machine's time.
fn token(folder: &Path, name: &str, bytes: &[u8]) -> Vec<u8> {
    let hash = HashAlgorithm::Sha256;
    let request = timestamp::request(&hash.digest(&[bytes]), hash, None, None);
    timestamp::read_answer(&stamping::answer(folder, name, &request)).unwrap()
}

/// The signature with a time-stamp inside, as departments keep old ones.
fn stamped(folder: &Path, signature: &[u8]) -> Vec<u8> {
    let value = certs::cms_signature_value(signature).unwrap();
    certs::with_time_stamp(signature, &token(folder, "one", &value)).unwrap()
}

#[actix_web::test]
async fn a_licence_older_than_its_signers_certificate_comes_in_with_the_stamp_that_shows_it() {
    let desk = Desk::start(Manner::Stamps("one"), Manner::Stamps("two")).await;
    let (hub, tsa) = (&desk.hub.hub, desk.tsa.path());
    let issuer = desk.issuer_until_tomorrow();
    let (licence, pull) = desk.hub.enterprise_licence();
    let document = licence.to_bytes();
    let plain = issuer.sign(&document);
    let good = stamped(tsa, &plain);
    let elsewhere = tempfile::tempdir().unwrap();
    stamping::prepare(elsewhere.path());
    let usage = "critical,timeStamping";
    stamping::authority(elsewhere.path(), "one", P256, usage, FROM, UNTIL);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1; // the end of the stamp's signature
    let other = certs::with_time_stamp(&plain, &token(tsa, "one", b"other bytes")).unwrap();
    desk.three_days_pass(&[]);
    for (signature, code, link) in [
        (&plain, "certificate_expired", "certificate"),
        (&other, "timestamp_other_bytes", "time"),
        (&forged, "timestamp_signature", "time"),
        (&stamped(elsewhere.path(), &plain), "certificate_expired", "certificate"),
    ] {
        let refused = issuer.hand_in(&document, signature).await;
        assert_eq!((refused.status, refused.code(), refused.link()), (422, code, link));
    }

    let taken = issuer.hand_in(&document, &good).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    assert_eq!(taken.json["verdict"]["result"], "trusted", "{}", taken.text);
    let face = desk.face(&licence).await;
    assert_eq!(
        (&face["result"], &face["time_stamp"]["state"]),
        (&"trusted".into(), &"stamped".into())
    );
    assert!(face["time_stamp"]["authority"].as_str().unwrap().contains("CN=one"));
    let at: Timestamp = face["time_stamp"]["at"].as_str().unwrap().parse().unwrap();
    assert!(at < hub.clock.now() - DAY * 2, "the time inside, not that of taking it in");
    let stored = hub.store.licence(&licence.identifier).await.unwrap().unwrap();
    assert!(stamps::proven(hub, &stored).await.unwrap().is_some_and(|proven| proven >= at));
    desk.waits_for_nothing().await;
    assert_eq!((desk.first.asked(), desk.second.asked()), (0, 0), "it has its stamp");

    // Whoever pulls it gets the stamp, once, and comes to the same offline.
    let office = desk.hub.puller(&pull);
    let pulled = office.pull(&pull).await;
    let grant = pulled.json["grant"].as_str().unwrap();
    let opened = office.get(&format!("/v1/grants/{grant}/licences/{}", licence.identifier)).await;
    let evidence = certs::Evidence::parse(opened.text.as_bytes()).unwrap();
    assert_eq!(evidence.signature, good);
    let verdict = evidence.verify(&hub.trust(), hub.clock.now()).unwrap();
    assert!(verdict.signature.proven_at.is_some_and(|proven| proven >= at));
    let file = tsa.join("evidence.json");
    std::fs::write(&file, &opened.text).unwrap();
    let verified = std::process::Command::new(env!("CARGO_BIN_EXE_hub"))
        .args(["verify", "--at", &hub.clock.now().to_string(), "--config"])
        .arg(desk.hub.folder.path().join("hub.toml"))
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(!said.contains("untrusted") && verified.status.code() != Some(1), "{said}");
}

#[actix_web::test]
async fn a_revoked_signers_licence_comes_in_with_an_older_stamp_unless_the_rule_is_never() {
    let mut desk = Desk::start(Manner::Stamps("one"), Manner::Down).await;
    let issuers = [desk.hub.issuer(), desk.issuer_until_tomorrow()];
    let licences = desk.licences(4);
    let handed: Vec<_> = licences
        .iter()
        .zip([&issuers[0], &issuers[1], &issuers[0], &issuers[1]])
        .map(|(licence, issuer)| {
            let document = licence.to_bytes();
            let plain = issuer.sign(&document);
            (stamped(desk.tsa.path(), &plain), plain, document)
        })
        .collect();
    desk.three_days_pass(&[&issuers[0], &issuers[1]]);
    let plain = ["certificate_revoked", "certificate_expired"];
    for ((licence, (stamped, plain, document)), code) in licences.iter().zip(&handed).zip(plain) {
        let refused = issuers[0].hand_in(document, plain).await;
        assert_eq!((refused.status, refused.code()), (422, code));
        let taken = issuers[0].hand_in(document, stamped).await;
        assert_eq!(taken.status, 201, "{}", taken.text);
        let face = desk.face(licence).await;
        assert_eq!(
            (&face["result"], &face["revocation"]["result"], &face["proven"]["by"]),
            (&"trusted".into(), &"outlived".into(), &"time_stamp".into())
        );
    }

    let path = desk.hub.folder.path().join("hub.toml");
    let settings = std::fs::read_to_string(&path).unwrap();
    let rule = "[trust]\nrevoked_signers = \"never\"\n";
    std::fs::write(&path, settings.replace("[trust]\n", rule)).unwrap();
    let now = desk.hub.hub.clock.now();
    desk.hub.restart_at(now).await;
    for (stamped, _, document) in &handed[2..] {
        let refused = desk.hub.issuer().hand_in(document, stamped).await;
        assert_eq!((refused.status, refused.code()), (422, "certificate_revoked"));
    }
}

#[actix_web::test]
async fn a_batch_comes_in_with_the_stamp_of_its_manifest() {
    let desk = Desk::start(Manner::Stamps("one"), Manner::Down).await;
    let issuer = desk.issuer_until_tomorrow();
    let licences = desk.licences(3);
    let documents: Vec<_> =
        licences.iter().map(|licence| Bytes::from(licence.to_bytes())).collect();
    let digests: Vec<_> = documents.iter().map(|document| certs::sha256(document)).collect();
    let code = issuer.department.code;
    let manifest = Bytes::from(certs::Manifest::write(&code, "2025-9", &digests).unwrap());
    let plain = issuer.sign(&manifest);
    let good = stamped(desk.tsa.path(), &plain);
    desk.three_days_pass(&[]);
    let hub = Arc::clone(&*desk.hub.hub);
    let begin = |signature: Vec<u8>| {
        BatchIntake::begin(Arc::clone(&hub), code, manifest.clone(), signature.into())
    };
    assert_eq!(begin(plain).await.err().unwrap().code(), "certificate_expired");
    let mut batch = begin(good).await.unwrap();
    let outcomes = batch.take_in(documents.into_iter().enumerate().collect()).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    for licence in &licences {
        let face = desk.face(licence).await;
        assert_eq!(
            (&face["result"], &face["time_stamp"]["state"]),
            (&"trusted".into(), &"stamped".into())
        );
    }
    desk.waits_for_nothing().await;
    assert_eq!(desk.first.asked(), 0);
}

#[actix_web::test]
async fn a_stamp_that_comes_inside_is_checked_and_filed_with_the_signature_that_is_kept() {
    let desk = Desk::start(Manner::Down, Manner::Down).await;
    let (hub, tsa) = (&desk.hub.hub, desk.tsa.path());
    let issuer = desk.hub.issuer();
    let licences = desk.licences(3);
    let documents: Vec<_> = licences.iter().map(Licence::to_bytes).collect();
    // Held without: a second signature of the same licence is not kept, nor its stamp.
    assert_eq!(issuer.issue(&licences[0]).await.status, 201);
    let again = issuer.hand_in(&documents[0], &stamped(tsa, &issuer.sign(&documents[0]))).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(desk.face(&licences[0]).await["time_stamp"]["state"], "due");
    // A signer in good standing with a false stamp.
    let plain = issuer.sign(&documents[1]);
    let other = certs::with_time_stamp(&plain, &token(tsa, "one", b"other bytes")).unwrap();
    let refused = issuer.hand_in(&documents[1], &other).await;
    assert_eq!((refused.status, refused.code()), (422, "timestamp_other_bytes"));
    // With one of an authority that is not known here: ours are asked.
    let elsewhere = tempfile::tempdir().unwrap();
    stamping::prepare(elsewhere.path());
    let usage = "critical,timeStamping";
    stamping::authority(elsewhere.path(), "one", P256, usage, FROM, UNTIL);
    let taken = issuer.hand_in(&documents[1], &stamped(elsewhere.path(), &plain)).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    assert_eq!(desk.face(&licences[1]).await["time_stamp"]["state"], "due");
    // A good one, handed in twice.
    let good = stamped(tsa, &issuer.sign(&documents[2]));
    for status in [201, 200] {
        assert_eq!(issuer.hand_in(&documents[2], &good).await.status, status);
        assert_eq!(desk.face(&licences[2]).await["time_stamp"]["state"], "stamped");
    }
    desk.first.set(Manner::Stamps("one"));
    for licence in &licences[..2] {
        assert_eq!(desk.comes_to(licence, "stamped").await["time_stamp"]["authority"], "first");
        let stored = hub.store.licence(&licence.identifier).await.unwrap().unwrap();
        let indexes::Proof::Signature(kept) = &stored.proof else { panic!("signed by itself") };
        let stamp = stamps::of_licence(hub, &stored).await.unwrap().unwrap();
        assert_eq!(stamp.value, certs::cms_signature_value(kept).unwrap());
    }
}

#[actix_web::test]
async fn the_package_of_a_case_that_was_submitted_carries_its_stamp() {
    let desk = Desk::prepared(Manner::Down, Manner::Stamps("two"), signing::write_matter).await;
    let person = desk.hub.applicant(3).await;
    let before = Timestamp::now();
    let case = person.opened().await;
    let submitted = person.promised_and_submitted(&case).await;
    assert_eq!(submitted.status, 200, "{}", submitted.text);
    let hub = &desk.hub.hub;
    let is_stamped = |package: &SignedFile| {
        let (signature, content) = (package.signature().unwrap(), package.content().unwrap());
        let times = certs::Times::now(hub.clock.now());
        let verdict = certs::check_cms(&signature, Some(&content), &hub.trust(), &times);
        assert_ne!(verdict.outcome(), certs::Outcome::Untrusted, "{verdict:?}");
        verdict.signatures[0].proven_at
    };
    for _ in 0..200 {
        let package = desk.hub.package(&case).await;
        let Some(at) = is_stamped(&package) else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // To the second, and the authority's accuracy on top.
        assert!(at >= before - SignedDuration::from_secs(1));
        assert!(at <= Timestamp::now() + SignedDuration::from_secs(2));
        desk.hub.openssl_signer(&package);
        // Its promise was signed too, and waits no longer.
        desk.waits_for_nothing().await;
        assert_eq!(desk.second.asked(), 2);
        return;
    }
    panic!("never stamped: {}", desk.readiness().await);
}

#[actix_web::test]
async fn the_page_of_a_licence_shows_its_stamp_in_both_languages() {
    let desk = Desk::start(Manner::Down, Manner::Down).await;
    let licence = desk.licences(1).remove(0);
    assert_eq!(desk.hub.issuer().issue(&licence).await.status, 201);
    let clerk = desk.hub.window_clerk().await;
    let shows = async |says: [[&str; 2]; 2]| {
        for (language, says) in ["zh", "en"].into_iter().zip(says) {
            let path = format!("/licences/{}?lang={language}", licence.identifier);
            let text = clerk.get(&path).await.text();
            for words in says {
                assert!(text.contains(words), "{language}: {words} is missing: {text}");
            }
        }
    };
    let due = ["时间戳稍后补加", "The signature will be time-stamped"];
    shows([["时间戳", due[0]], ["Time-stamp", due[1]]]).await;
    desk.second.set(Manner::Stamps("two"));
    desk.comes_to(&licence, "stamped").await;
    let stamped = ["second 证明该签名在", "second vouches that the signature existed at"];
    shows([["时间戳", stamped[0]], ["Time-stamp", stamped[1]]]).await;
}

#[actix_web::test]
async fn where_nobody_is_asked_for_stamps_the_page_does_not_speak_of_them() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    assert_eq!(hub.issuer().issue(&licence).await.status, 201);
    let clerk = hub.window_clerk().await;
    for (language, word) in [("zh", "时间戳"), ("en", "Time-stamp")] {
        let path = format!("/licences/{}?lang={language}", licence.identifier);
        assert!(!clerk.get(&path).await.text().contains(word));
    }
}

/// It may have been filed for another signature, whose intake broke off.
#[actix_web::test]
async fn a_stamp_over_another_signature_on_the_same_bytes_proves_nothing() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    let document = licence.to_bytes();
    let stamp = |value: Vec<u8>| stamps::Stamp {
        authority: "somebody".to_owned(),
        at: hub.hub.clock.now(),
        token: vec![],
        value,
    };
    let digest = certs::sha256(&document);
    stamps::file_licence(&hub.hub, &digest, &stamp(b"another".to_vec())).await.unwrap();
    let signature = hub.issuer().sign(&document);
    assert_eq!(hub.issuer().hand_in(&document, &signature).await.status, 201);
    let stored = hub.hub.store.licence(&licence.identifier).await.unwrap().unwrap();
    assert!(stamps::of_licence(&hub.hub, &stored).await.unwrap().is_none());
    assert_eq!(stamps::state_of(&hub.hub, &stored).await.unwrap().state, "none");

    let value = certs::cms_signature_value(&signature).unwrap();
    stamps::file_licence(&hub.hub, &digest, &stamp(value)).await.unwrap();
    assert!(stamps::of_licence(&hub.hub, &stored).await.unwrap().is_some());
}
