//! Batches of files that departments drop on a file server: taken in once, answered with line numbers, moved aside.

#[path = "../../connectors/tests/support/relay.rs"]
mod relay;
mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use connectors::{
    files::manifest::{Content, MANIFEST_FORMAT, Manifest, sha256, sm3},
    local_sshd::{LocalSshd, Options},
};
use licence::{Licence, LicenceStatus};
use relay::{Relay, Weather};
use serde_json::{Value, json};
use support::TestHub;

/// The elements of a record, in the order of the CSV files.
const ELEMENTS: [(&str, &str); 17] = [
    ("zzbs", "identifier"),
    ("zzmc", "name"),
    ("lx", "licence_type"),
    ("zzbh", "number"),
    ("czzt", "holder_name"),
    ("czztdm", "holder_number"),
    ("czztlx", "holder_kind"),
    ("fzjg", "issuer_name"),
    ("fzjgdm", "issuer"),
    ("fzrq", "issued_on"),
    ("qsrq", "valid_from"),
    ("jzrq", "valid_to"),
    ("zt", "status"),
    ("op", "operation"),
    ("clrq", "fields.established_on"),
    ("jyfw", "fields.business_scope"),
    ("xmdm", "project"),
];

fn code_map() -> Value {
    let fields: Vec<Value> =
        ELEMENTS.iter().map(|(name, from)| json!({ "as": name, "from": from })).collect();
    json!({
        "format": "yihao-code-map-1", "fields": fields, "dates": "compact", "times": "china", "empty": "/",
        "open_ended": "20991231",
        "codes": {
            "status": { "valid": "01", "suspended": "02", "revoked.withdrawn": "07" },
            "operation": { "insert": "I", "update": "U", "delete": "D" },
        },
    })
}

/// A department's file server, and a hub that looks there.
struct Scene {
    hub: TestHub,
    server: Option<LocalSshd>,
    relay: Option<Relay>,
    folder: tempfile::TempDir,
}

async fn server_in(folder: &Path, port: Option<u16>) -> LocalSshd {
    assert!(
        LocalSshd::is_installed(),
        "OpenSSH is missing: the Debian packages `openssh-server` and `openssh-client`"
    );
    let options = Options { port, ..Options::default() };
    LocalSshd::start_with(&folder.join("sshd"), &options).await.unwrap()
}

fn market() -> licence::CreditCode {
    let mut all = district::issuing_departments().into_iter();
    all.find(|one| one.slug == "market-regulation").unwrap().code
}

impl Scene {
    async fn set(more: &str) -> Self {
        Self::set_through(more, false).await
    }

    async fn set_through(more: &str, relayed: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = server_in(folder.path(), None).await;
        let files = server.files();
        fs::create_dir(files.join("in")).unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("map.json"), code_map().to_string()).unwrap();
        let relay = if relayed { Some(Relay::to(server.address()).await) } else { None };
        let port = relay.as_ref().map_or(server.address(), Relay::address).port();
        fs::write(path("known_hosts"), server.known_host("127.0.0.1", port).unwrap()).unwrap();
        let settings = format!(
            "[[inbound]]\nname = \"market\"\nkind = \"files\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{}\"\n\
             key = \"{}\"\nhost_key = \"{}\"\nfolder = \"{}\"\ndepartment = \"{}\"\ncode_map = \"{}\"\n\
             poll_ms = 50\nbackoff_min_ms = 50\nbackoff_max_ms = 200\nconnect_timeout_ms = 2000\n\
             timeout_ms = 3000\nsignatures = \"unsigned\"\nbatch = 2\n{more}\n",
            server.user(),
            server.client_key().display(),
            path("known_hosts").display(),
            files.join("in").display(),
            market(),
            path("map.json").display(),
        );
        let hub = TestHub::start_prepared("127.0.0.1:0", |_| settings).await;
        Self { hub, server: Some(server), relay, folder }
    }

    fn inbox(&self) -> PathBuf {
        self.folder.path().join("sshd/files/in")
    }

    /// A business licence of the district as a record, with what is to be another.
    fn record(&self, other: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let (licence, _) = self.hub.some_licence(|licence, pull| {
            licence.issuer.credit_code() == &market()
                && licence.fields.contains_key("business_scope")
                && licence.valid_to.is_none_or(|last| last.year() > 2027)
                && pull.types.contains(&licence.licence_type)
        });
        let value = |name: &str| element(&licence, name);
        ELEMENTS
            .iter()
            .map(|(name, _)| {
                let other = other.iter().find(|(of, _)| of == name);
                (*name, other.map_or_else(|| value(name), |(_, text)| (*text).to_owned()))
            })
            .collect()
    }

    fn ndjson(&self, records: &[&[(&str, &str)]]) -> String {
        let line = |other: &&[(&str, &str)]| {
            let elements = self.record(other).into_iter();
            let object: serde_json::Map<_, _> =
                elements.map(|(name, text)| (name.to_owned(), Value::String(text))).collect();
            format!("{}\n", Value::Object(object))
        };
        records.iter().map(line).collect()
    }

    fn csv(&self, records: &[&[(&str, &str)]]) -> String {
        let names: Vec<_> = ELEMENTS.iter().map(|(name, _)| *name).collect();
        let mut text = format!("{}\n", names.join(","));
        for other in records {
            let values: Vec<_> = self
                .record(other)
                .into_iter()
                .map(|(_, value)| format!("\"{}\"", value.replace('"', "\"\"")))
                .collect();
            text += &format!("{}\n", values.join(","));
        }
        text
    }

    fn manifest(
        stem: &str,
        content: Content,
        encoding: &str,
        records: u64,
        data: &[u8],
    ) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            sender: "market".to_owned(),
            batch: stem.to_owned(),
            file: format!("{stem}{}", content.end()),
            content,
            encoding: encoding.to_owned(),
            records,
            operations: None,
            size: data.len() as u64,
            sha256: sha256(data),
            sm3: Some(sm3(data)),
            first: None,
            last: None,
            numbers: Vec::new(),
        }
    }

    /// Drops the files of a batch, the marker last.
    fn put(&self, stem: &str, manifest: &Manifest, data: &[u8]) {
        let path = |end: &str| self.inbox().join(format!("{stem}{end}"));
        fs::write(path(manifest.content.end()), data).unwrap();
        fs::write(path(".manifest.json"), manifest.to_bytes()).unwrap();
        fs::write(path(".done"), b"").unwrap();
    }

    fn put_ndjson(&self, stem: &str, records: &[&[(&str, &str)]]) {
        let data = self.ndjson(records).into_bytes();
        let manifest = Self::manifest(stem, Content::Ndjson, "utf-8", records.len() as u64, &data);
        self.put(stem, &manifest, &data);
    }

    /// Waits for a batch to be answered and moved, and gives what the answer says: its result, and line and code of each.
    async fn answer(&self, stem: &str) -> Vec<String> {
        let answer = self.inbox().join(format!("answers/{stem}.answer.json"));
        for _ in 0..400 {
            let left = [".done", ".manifest.json", ".ndjson", ".csv"];
            let moved = left.iter().all(|end| !self.inbox().join(format!("{stem}{end}")).exists());
            if moved && answer.exists() {
                return said(&answer);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{stem} is not answered: {:?}", self.state());
    }

    fn state(&self) -> hub::inbound::InboundState {
        self.hub.hub.inbound()["market"].state()
    }

    async fn until_code(&self, code: &str) {
        self.until_code_of(&[code]).await;
    }

    async fn until_code_of(&self, codes: &[&str]) {
        for _ in 0..400 {
            let state = self.state();
            if state.is_failing()
                && state.last_error.is_some_and(|error| codes.contains(&error.code.as_str()))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not {codes:?}, but {:?}", self.state());
    }

    /// All that the hub holds, by identifier: version and status.
    async fn held(&self) -> Vec<(u16, LicenceStatus)> {
        let all = self.hub.hub.store.page_of_licences(None, 100).await.unwrap();
        all.into_iter().map(|held| (held.identifier.version(), held.status)).collect()
    }
}

fn element(licence: &Licence, name: &str) -> String {
    let day = |date: Option<jiff::civil::Date>| {
        date.map_or_else(|| "20991231".to_owned(), |date| date.strftime("%Y%m%d").to_string())
    };
    let field = |name: &str| licence.fields[name].as_str().unwrap().to_owned();
    match name {
        "zzmc" => licence.name.clone(),
        "lx" => licence.licence_type.to_string(),
        "zzbh" => licence.number.clone(),
        "czzt" => licence.holders[0].name.clone(),
        "czztdm" => licence.holders[0].id.number().to_owned(),
        "czztlx" => licence.holders[0].id.kind().code().to_owned(),
        "fzjg" => licence.issuer_name.clone(),
        "fzjgdm" => licence.issuer.to_string(),
        "fzrq" => day(Some(licence.issued_on)),
        "qsrq" => licence.valid_from.map_or_else(|| "/".to_owned(), |date| day(Some(date))),
        "jzrq" => day(licence.valid_to),
        "zt" => "01".to_owned(),
        "op" => "I".to_owned(),
        "clrq" => field("established_on"),
        "jyfw" => field("business_scope"),
        _ => "/".to_owned(),
    }
}

fn said(answer: &Path) -> Vec<String> {
    let answer: Value = serde_json::from_slice(&fs::read(answer).unwrap()).unwrap();
    let mut all = vec![answer["result"].as_str().unwrap().to_owned()];
    all.extend(answer["code"].as_str().map(str::to_owned));
    for record in answer["records"].as_array().unwrap() {
        all.push(format!("{} {}", record["line"], record["code"].as_str().unwrap()));
    }
    all
}

const OTHER_SCOPE: (&str, &str) = ("jyfw", "另一种经营范围");

#[actix_web::test]
async fn a_batch_is_taken_in_answered_with_line_numbers_and_moved_aside() {
    let scene = Scene::set("").await;
    scene.put_ndjson(
        "b1",
        &[
            &[],
            &[("czztdm", "91350100M000100Y44")],
            &[("op", "U"), OTHER_SCOPE],
            &[("fzrq", "20250231"), ("zzbh", "N1")],
            &[("op", "U"), OTHER_SCOPE, ("zt", "02")],
        ],
    );
    assert_eq!(scene.answer("b1").await, ["taken", "2 wrong_check_character", "4 value_no_date"]);
    assert!(
        !fs::read_to_string(scene.inbox().join("answers/b1.answer.json"))
            .unwrap()
            .contains("91350100M000100Y44")
    );
    let held = scene.held().await;
    assert!(matches!(held[0], (1, LicenceStatus::Superseded { .. })), "{held:?}");
    assert_eq!(held[1..], [(2, LicenceStatus::Suspended)]);
    for end in [".done", ".manifest.json", ".ndjson"] {
        assert!(scene.inbox().join(format!("handled/b1{end}")).exists(), "{end}");
    }
    let state = scene.state();
    assert_eq!((state.kind, state.taken, state.refused), ("files", 3, 2));

    // A restore, a suspension and a restore in one batch are three orders though the batch has one time.
    let zt = |code: &'static str| [("op", "U"), OTHER_SCOPE, ("zt", code)];
    let entries = scene.hub.registry_entries().await;
    scene.put_ndjson("b2", &[&zt("01"), &zt("02"), &zt("01")]);
    assert_eq!(scene.answer("b2").await, ["taken"]);
    assert_eq!(scene.held().await[1], (2, LicenceStatus::Valid));
    assert_eq!(scene.hub.registry_entries().await, entries + 3);
}

#[actix_web::test]
async fn csv_in_gb18030_is_read_as_well() {
    let scene = Scene::set("").await;
    let text = scene.csv(&[&[("jyfw", "𠮷，\n零售")], &[("zt", "55"), ("zzbh", "N1")]]);
    let data = connectors::files::encoding("gb18030").unwrap().encode(&text).0;
    let manifest = Scene::manifest("b1", Content::Csv, "gb18030", 2, &data);
    scene.put("b1", &manifest, &data);
    assert_eq!(scene.answer("b1").await, ["taken", "2 value_unmapped"]);
    let held = scene.hub.hub.store.page_of_licences(None, 2).await.unwrap();
    assert!(String::from_utf8_lossy(&held[0].document).contains("𠮷，\\n零售"));
}

#[actix_web::test]
async fn what_has_no_done_marker_is_not_looked_at() {
    let scene = Scene::set("").await;
    scene.put_ndjson("b1", &[&[]]);
    assert_eq!(scene.answer("b1").await, ["taken"]);
    let data = scene.ndjson(&[&[("zzbh", "N1")]]).into_bytes();
    fs::write(scene.inbox().join("b2.ndjson"), &data).unwrap();
    scene.put_ndjson("b3", &[&[("zzbh", "N2")]]);
    assert_eq!(scene.answer("b3").await, ["taken"]);
    assert_eq!(scene.held().await.len(), 2);
    assert!(scene.inbox().join("b2.ndjson").exists());
}

#[actix_web::test]
async fn a_batch_that_is_not_what_its_manifest_says_is_refused_and_the_next_is_taken() {
    let scene = Scene::set("").await;
    let data = scene.ndjson(&[&[]]).into_bytes();
    let right = |stem| Scene::manifest(stem, Content::Ndjson, "utf-8", 1, &data);
    scene.put("a1", &Manifest { records: 2, ..right("a1") }, &data);
    scene.put("a2", &Manifest { sha256: sha256(b"x"), ..right("a2") }, &data);
    scene.put("a3", &right("other"), &data);
    fs::write(scene.inbox().join("a4.done"), b"").unwrap();
    fs::write(scene.inbox().join("a5.manifest.json"), right("a5").to_bytes()).unwrap();
    fs::write(scene.inbox().join("a5.done"), b"").unwrap();
    scene.put_ndjson("b1", &[&[]]);
    assert_eq!(scene.answer("a1").await, ["refused", "manifest_records"]);
    assert_eq!(scene.answer("a2").await, ["refused", "manifest_digest"]);
    assert_eq!(scene.answer("a3").await, ["refused", "manifest_names"]);
    assert_eq!(scene.answer("a4").await, ["refused", "manifest_missing"]);
    assert_eq!(scene.answer("a5").await, ["refused", "data_file_missing"]);
    assert_eq!(scene.answer("b1").await, ["taken"]);
    assert!(scene.inbox().join("refused/a1.ndjson").exists());
    assert_eq!(scene.held().await, [(1, LicenceStatus::Valid)]);

    // Mended, it is taken under the same name, and the answer is the new one.
    scene.put("a1", &right("a1"), &data);
    assert_eq!(scene.answer("a1").await, ["taken"]);
}

#[actix_web::test]
async fn a_batch_that_comes_again_is_not_taken_in_again_and_keeps_its_answer() {
    let scene = Scene::set("").await;
    let first: [&[(&str, &str)]; 2] = [&[], &[("zt", "55"), ("zzbh", "N1")]];
    scene.put_ndjson("b1", &first);
    assert_eq!(scene.answer("b1").await, ["taken", "2 value_unmapped"]);
    scene.put_ndjson("b2", &[&[("op", "U"), OTHER_SCOPE]]);
    assert_eq!(scene.answer("b2").await, ["taken"]);
    let (held, state) = (scene.held().await, scene.state());
    scene.put_ndjson("b1", &first);
    assert_eq!(scene.answer("b1").await, ["taken", "2 value_unmapped"]);
    fs::remove_file(scene.inbox().join("answers/b1.answer.json")).unwrap();
    scene.put_ndjson("b1", &first);
    assert_eq!(scene.answer("b1").await, ["refused", "batch_repeated"]);
    assert_eq!(scene.held().await, held);
    assert_eq!((scene.state().taken, scene.state().refused), (state.taken, state.refused));
    // Another content under the name is another batch.
    scene.put_ndjson("b1", &[&[("zzbh", "N2")]]);
    assert_eq!(scene.answer("b1").await, ["taken"]);
    assert_eq!(scene.held().await.len(), held.len() + 1);
}

/// As after a kill when the records were taken in, and nothing of it was noted.
async fn forget_the_note(scene: &Scene) {
    let store = scene.hub.hub.store.clone();
    let collections = ["inbound", "inbound_batches"].map(indexes::Collection::new);
    let place = store.record(collections[0], b"market").await.unwrap().unwrap();
    let mut kept: Value = serde_json::from_slice(&place.value[1..]).unwrap();
    let handled = store.records(collections[1], b"market", None, 10).await.unwrap().remove(0);
    let batch: String =
        handled.key[b"market\0".len()..].iter().map(|byte| format!("{byte:02x}")).collect();
    let micros = kept["position"]["micros"].clone();
    kept = json!({ "position": { "micros": 0, "key": "" }, "taken": 0, "refused": 0, "begun": [batch, micros] });
    let write = |collection, key: &[u8], value| indexes::RecordWrite {
        collection,
        key: key.to_vec(),
        expected: indexes::Expected::Any,
        value,
    };
    let value = [&[1_u8], kept.to_string().as_bytes()].concat();
    let writes = vec![
        write(collections[0], b"market", Some(value)),
        write(collections[1], &handled.key, None),
    ];
    store.commit(indexes::Commit { writes, uses: Vec::new() }).await.unwrap().unwrap();
}

#[actix_web::test]
async fn a_batch_is_taken_in_once_also_after_a_kill() {
    for noted in [true, false] {
        let mut scene = Scene::set("").await;
        // It cannot be answered: what is to be the folder is a file.
        fs::write(scene.inbox().join("answers"), b"").unwrap();
        let zt = |code: &'static str| [("op", "U"), OTHER_SCOPE, ("zt", code)];
        scene.put_ndjson(
            "b1",
            &[
                &[],
                &[("fzrq", "1")],
                &[("op", "U"), OTHER_SCOPE],
                &zt("02"),
                &zt("01"),
                &[("zzbh", "N1")],
            ],
        );
        scene.until_code("file_server_failing").await;
        let (held, entries) = (scene.held().await, scene.hub.registry_entries().await);
        assert_eq!(held.len(), 3);
        scene.hub.hub.inbound()["market"].stop().await;
        if !noted {
            forget_the_note(&scene).await;
        }
        fs::remove_file(scene.inbox().join("answers")).unwrap();
        scene.hub.restart().await;
        assert_eq!(scene.answer("b1").await, ["taken", "2 value_no_date"]);
        assert_eq!((scene.held().await, scene.hub.registry_entries().await), (held, entries));
        scene.put_ndjson("b2", &[&[("zzbh", "N2")]]);
        assert_eq!(scene.answer("b2").await, ["taken"]);
        assert_eq!((scene.state().taken, scene.state().refused), (6, 1));
        let rows = indexes::Collection::new("inbound_rows");
        let mut left = usize::MAX;
        for _ in 0..100 {
            left = scene.hub.hub.store.records(rows, b"market", None, 10).await.unwrap().len();
            if left == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(left, 0, "what was planned is forgotten");
    }
}

#[actix_web::test]
async fn files_of_somebody_who_means_harm_do_none() {
    let scene = Scene::set("").await;
    let inbox = scene.inbox();
    // Announced small, and larger than any batch; a marker that is a folder; a name that is none; a manifest that is huge.
    let large = fs::File::create(inbox.join("a1.ndjson")).unwrap();
    large.set_len(1 << 40).unwrap();
    let manifest = Scene::manifest("a1", Content::Ndjson, "utf-8", 1, b"{}\n");
    fs::write(inbox.join("a1.manifest.json"), manifest.to_bytes()).unwrap();
    fs::write(inbox.join("a1.done"), b"").unwrap();
    fs::create_dir(inbox.join("a2.done")).unwrap();
    fs::write(inbox.join(".done"), b"").unwrap();
    let large = fs::File::create(inbox.join("a3.manifest.json")).unwrap();
    large.set_len(1 << 40).unwrap();
    fs::write(inbox.join("a3.done"), b"").unwrap();
    // A folder where a file is announced; names that no answer could have.
    scene.put("a0", &Scene::manifest("a0", Content::Ndjson, "utf-8", 1, b"{}\n"), b"{}\n");
    fs::remove_file(inbox.join("a0.ndjson")).unwrap();
    fs::create_dir(inbox.join("a0.ndjson")).unwrap();
    for length in [240, 250] {
        fs::write(inbox.join(format!("{}.done", "a".repeat(length))), b"").unwrap();
    }
    // An unclosed quote, and lines without end.
    let data = format!("{}{}", scene.csv(&[&[]]), "\"".repeat(100_001)).into_bytes();
    scene.put("a4", &Scene::manifest("a4", Content::Csv, "utf-8", 1, &data), &data);
    let data = vec![b'\n'; 1 << 20];
    scene.put("a5", &Scene::manifest("a5", Content::Ndjson, "utf-8", 20_000, &data), &data);
    scene.put_ndjson("b1", &[&[]]);
    assert_eq!(scene.answer("b1").await, ["taken"]);
    assert_eq!(scene.answer("a1").await, ["refused", "batch_too_large"]);
    assert_eq!(scene.answer("a3").await, ["refused", "manifest_form"]);
    assert_eq!(scene.answer("a4").await, ["refused", "manifest_records"]);
    assert_eq!(scene.answer("a5").await, ["refused", "manifest_records"]);
    scene.until_code("answer_malformed").await;
    assert_eq!(scene.held().await, [(1, LicenceStatus::Valid)]);
}

#[actix_web::test]
async fn a_server_that_is_away_without_its_folder_or_another_one_is_waited_for() {
    let mut scene = Scene::set("").await;
    let (inbox, elsewhere) = (scene.inbox(), scene.inbox().with_file_name("elsewhere"));
    fs::rename(&inbox, &elsewhere).unwrap();
    scene.until_code("folder_missing").await;
    fs::rename(&elsewhere, &inbox).unwrap();
    scene.put_ndjson("b1", &[&[]]);
    assert_eq!(scene.answer("b1").await, ["taken"]);

    let server = scene.server.take().unwrap();
    let port = server.address().port();
    server.stop().await;
    scene.until_code("connect_failed").await;
    let keys = scene.folder.path().join("sshd");
    for name in ["host_key", "host_key.pub"] {
        fs::rename(keys.join(name), keys.join(format!("{name}.kept"))).unwrap();
    }
    scene.put_ndjson("b2", &[&[("zzbh", "N1")]]);
    scene.server = Some(server_in(scene.folder.path(), Some(port)).await);
    scene.until_code("host_key_differs").await;
    assert!(inbox.join("b2.done").exists(), "nothing is read from a server that is another");
    scene.server.take().unwrap().stop().await;
    for name in ["host_key", "host_key.pub"] {
        fs::rename(keys.join(format!("{name}.kept")), keys.join(name)).unwrap();
    }
    fs::set_permissions(keys.join("host_key"), fs::Permissions::from_mode(0o600)).unwrap();
    scene.server = Some(server_in(scene.folder.path(), Some(port)).await);
    assert_eq!(scene.answer("b2").await, ["taken"]);
    assert_eq!(scene.held().await.len(), 2);
}

#[actix_web::test]
async fn a_network_that_fails_loses_nothing_and_doubles_nothing() {
    let scene = Scene::set_through("", true).await;
    let relay = scene.relay.as_ref().unwrap();
    let mut records = 0;
    for (step, weather) in [
        Weather::Refuse,
        Weather::Hang,
        Weather::Slow(40_000),
        Weather::CutSending(6_000),
        Weather::CutAnswer(9_000),
        Weather::CutAnswer(12_000),
    ]
    .into_iter()
    .enumerate()
    {
        relay.set(weather);
        let number = format!("W{step}");
        let stem = format!("b{step}");
        scene.put_ndjson(
            &stem,
            &[&[("zzbh", &number)], &[("zt", "55")], &[("zzbh", &number), ("zt", "02")]],
        );
        if !matches!(weather, Weather::Slow(_)) {
            tokio::time::sleep(Duration::from_millis(700)).await;
            relay.set(Weather::Fair);
        }
        assert_eq!(scene.answer(&stem).await, ["taken", "2 value_unmapped"], "{weather:?}");
        relay.set(Weather::Fair);
        records += 1;
        let held = scene.held().await;
        assert_eq!(held, vec![(1, LicenceStatus::Suspended); records], "{weather:?}");
        assert_eq!(scene.hub.registry_entries().await, 2 * records as u64, "{weather:?}");
    }
}

#[actix_web::test]
async fn a_server_that_is_killed_in_the_middle_of_a_transfer_is_waited_for() {
    let mut scene = Scene::set_through("", true).await;
    scene.put_ndjson("b0", &[&[]]);
    assert_eq!(scene.answer("b0").await, ["taken"]);
    // Some hundred records, which take seconds to come.
    scene.relay.as_ref().unwrap().set(Weather::Slow(60_000));
    let numbers: Vec<String> = (0..300).map(|number| format!("K{number}")).collect();
    let records: Vec<[(&str, &str); 1]> =
        numbers.iter().map(|number| [("zzbh", number.as_str())]).collect();
    let mut records: Vec<&[(&str, &str)]> = records.iter().map(|one| &one[..]).collect();
    let bad = [("zt", "55")];
    records.push(&bad);
    scene.put_ndjson("b1", &records);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let server = scene.server.take().unwrap();
    let port = server.address().port();
    kill_below(&scene.folder.path().join("sshd"), &server);
    scene.until_code_of(&["connection_lost", "connect_failed"]).await;
    assert_eq!(scene.held().await.len(), 1, "nothing of half a batch");
    server.stop().await;
    scene.relay.as_ref().unwrap().set(Weather::Fair);
    scene.server = Some(server_in(scene.folder.path(), Some(port)).await);
    assert_eq!(scene.answer("b1").await, ["taken", "301 value_unmapped"]);
    assert_eq!(scene.hub.registry_entries().await, 301);
    assert_eq!((scene.state().taken, scene.state().refused), (301, 1));
}

/// SIGKILL to every process of this server: those whose command line names its folder, and what serves sessions.
fn kill_below(folder: &Path, server: &LocalSshd) {
    let pids: Vec<(u32, u32, String)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent, String::from_utf8_lossy(&line).replace('\0', " ")))
        })
        .collect();
    let folder = folder.display().to_string();
    let mut found: Vec<u32> = pids
        .iter()
        .filter(|(_, _, line)| line.contains(&folder) && line.contains("sshd"))
        .map(|(pid, ..)| *pid)
        .collect();
    assert!(!found.is_empty(), "the server at {} has no process", server.address());
    let mut place = 0;
    while place < found.len() {
        let children = pids.iter().filter(|(_, parent, _)| *parent == found[place]);
        found.extend(children.map(|(pid, ..)| *pid).collect::<Vec<_>>());
        place += 1;
    }
    for pid in found {
        let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    }
}

/// A file system that is soon full. Dropping it takes it away.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[actix_web::test]
async fn an_answer_for_which_there_is_no_room_is_written_when_there_is() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::set("").await;
    let answers = scene.inbox().join("answers");
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let _disk = if root {
        fs::create_dir(&answers).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&answers)
            .status()
            .unwrap();
        assert!(mounted.success());
        let disk = SmallDisk(answers.clone());
        fs::write(answers.join("filler"), vec![1; 64 << 10]).unwrap();
        Some(disk)
    } else {
        // Who is not root mounts nothing. `/dev/full` has no room either (full(4)).
        fs::create_dir(&answers).unwrap();
        std::os::unix::fs::symlink("/dev/full", answers.join("b1.answer.json.part")).unwrap();
        None
    };
    scene.put_ndjson("b1", &[&[], &[("zt", "55"), ("zzbh", "N1")]]);
    scene.until_code("file_server_failing").await;
    let entries = scene.hub.registry_entries().await;
    assert!(!answers.join("b1.answer.json").exists());
    assert!(scene.inbox().join("b1.done").exists(), "not moved before it is answered");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let filler = if root { "filler" } else { "b1.answer.json.part" };
    fs::remove_file(answers.join(filler)).unwrap();
    assert_eq!(scene.answer("b1").await, ["taken", "2 value_unmapped"]);
    assert_eq!((entries, scene.hub.registry_entries().await), (1, 1));
    assert_eq!((scene.state().taken, scene.state().refused), (1, 1));
}

#[actix_web::test]
async fn batches_are_forgotten_in_the_end_and_taken_in_no_second_time() {
    let scene = Scene::set("keep_batches = 10").await;
    let drop = |stem: String, number: String| {
        scene.put_ndjson(&stem, &[&[("zzbh", number.as_str())]]);
        stem
    };
    for number in 10..22 {
        let stem = drop(format!("b{number}"), format!("N{number}"));
        assert_eq!(scene.answer(&stem).await, ["taken"]);
    }
    let batches = indexes::Collection::new("inbound_batches");
    let remembered = || async {
        scene.hub.hub.store.records(batches, b"market", None, 100).await.unwrap().len()
    };
    let mut left = remembered().await;
    for _ in 0..100 {
        if left == 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        left = remembered().await;
    }
    assert_eq!(left, 10);
    let entries = scene.hub.registry_entries().await;
    // Forgotten, and recognised by its name; remembered, and recognised as itself.
    fs::remove_file(scene.inbox().join("answers/b10.answer.json")).unwrap();
    drop("b10".to_owned(), "N10".to_owned());
    assert_eq!(scene.answer("b10").await, ["refused", "batch_name_used"]);
    fs::remove_file(scene.inbox().join("answers/b20.answer.json")).unwrap();
    drop("b20".to_owned(), "N20".to_owned());
    assert_eq!(scene.answer("b20").await, ["refused", "batch_repeated"]);
    assert_eq!(scene.hub.registry_entries().await, entries);
    // Another content under a name that was used lately is another batch, as ever.
    drop("b21".to_owned(), "M21".to_owned());
    assert_eq!(scene.answer("b21").await, ["taken"]);
    assert_eq!(scene.hub.registry_entries().await, entries + 1);
}

#[actix_web::test]
async fn old_files_are_removed_and_nothing_else() {
    let scene = Scene::set("keep_days = 30").await;
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(31 * 86_400);
    let put = |path: &str, old: bool| {
        let path = scene.inbox().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::File::create(path).unwrap();
        if old {
            file.set_modified(long_ago).unwrap();
        }
    };
    for (stem, answered_lately) in [("a1", false), ("a2", true)] {
        for end in [".done", ".manifest.json", ".ndjson"] {
            put(&format!("handled/{stem}{end}"), true);
        }
        put(&format!("answers/{stem}.answer.json"), !answered_lately);
    }
    put("refused/a3.csv", true);
    put("refused/a4.csv", false);
    put("handled/notes.txt", true);
    put("waiting.ndjson", true);
    scene.put_ndjson("b1", &[&[]]);
    assert_eq!(scene.answer("b1").await, ["taken"]);
    let there = |path: &str| scene.inbox().join(path).exists();
    for _ in 0..100 {
        if !there("answers/a1.answer.json") && !there("refused/a3.csv") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for gone in ["handled/a1.done", "handled/a1.ndjson", "answers/a1.answer.json", "refused/a3.csv"]
    {
        assert!(!there(gone), "{gone}");
    }
    for kept in [
        "handled/a2.ndjson",
        "answers/a2.answer.json",
        "refused/a4.csv",
        "handled/notes.txt",
        "waiting.ndjson",
    ] {
        assert!(there(kept), "{kept}");
    }
    assert!(there("handled/b1.ndjson") && there("answers/b1.answer.json"));
}

#[actix_web::test]
async fn a_server_whose_clock_is_wrong_hides_no_batch() {
    let scene = Scene::set("").await;
    for (step, seconds) in [(0_u32, 4_070_908_800_u64), (1, 86_400), (2, 4_070_908_800)] {
        let (stem, number) = (format!("b{step}"), format!("C{step}"));
        let data = scene.ndjson(&[&[("zzbh", &number)]]).into_bytes();
        let manifest = Scene::manifest(&stem, Content::Ndjson, "utf-8", 1, &data);
        let marker = fs::File::create(scene.inbox().join("marker")).unwrap();
        let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        marker.set_modified(at).unwrap();
        let path = |end: &str| scene.inbox().join(format!("{stem}{end}"));
        fs::write(path(".ndjson"), &data).unwrap();
        fs::write(path(".manifest.json"), manifest.to_bytes()).unwrap();
        fs::rename(scene.inbox().join("marker"), path(".done")).unwrap();
        assert_eq!(scene.answer(&stem).await, ["taken"]);
    }
    assert_eq!(scene.held().await.len(), 3);
}
