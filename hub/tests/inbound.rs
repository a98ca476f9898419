//! Rows of departments whose systems cannot call: taken in once, signed by the department's key service or trusted by
//! nobody, and refused in the department's own table.

mod support;

use std::{
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{Profile, SigningIdentity, Suite, sign_detached};
use connectors::local_postgres::LocalPostgres;
use licence::{Licence, LicenceStatus};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use support::{NOW, TestHub, subject};

/// A register's own table, with other names than the standard's.
const TABLES: &str = "
    CREATE TABLE rows_out (row_guid varchar(50) PRIMARY KEY, zzbs text, zzmc text, lx text, zzbh text, czzt text,
        czztdm text, czztlx text, fzjg text, fzjgdm text, fzrq text, qsrq text, jzrq text, zt text, op text,
        clrq text, jyfw text, wj text, qm text, cd_time timestamp(0) NOT NULL);
    CREATE TABLE dn_lic_data_error (row_guid varchar(200), certificate_source_id varchar(128), error_remark text,
        error_time timestamp);";

fn code_map() -> Value {
    let fields = [
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
        ("wj", "document"),
        ("qm", "signature"),
        ("cd_time", "changed_at"),
    ];
    let fields: Vec<Value> =
        fields.iter().map(|(name, from)| json!({ "as": name, "from": from })).collect();
    json!({
        "format": "yihao-code-map-1", "fields": fields, "dates": "compact", "times": "china", "empty": "/",
        "open_ended": "20991231",
        "codes": {
            "status": { "valid": "01", "suspended": "02", "revoked.withdrawn": "07" },
            "operation": { "insert": "I", "update": "U", "delete": "D" },
        },
    })
}

/// A register, and a hub that fetches from it.
struct Scene {
    hub: TestHub,
    register: Option<LocalPostgres>,
    folder: tempfile::TempDir,
}

async fn register_in(folder: &Path) -> LocalPostgres {
    let programs = LocalPostgres::find().expect("PostgreSQL is installed; ./dev test brings it");
    LocalPostgres::start(&folder.join("register"), &programs).await.unwrap()
}

fn market() -> licence::CreditCode {
    market_department().code
}

impl Scene {
    async fn set(more: &str) -> Self {
        Self::set_with(TABLES, more).await
    }

    async fn set_with(tables: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let register = register_in(folder.path()).await;
        std::fs::write(folder.path().join("map.json"), code_map().to_string()).unwrap();
        let settings = format!(
            "[[inbound]]\nname = \"market\"\nkind = \"exchange\"\nconnection = \"{}\"\n\
             department = \"{}\"\ntable = \"rows_out\"\ncode_map = \"{}\"\npoll_ms = 30\nbackoff_min_ms = 30\n\
             backoff_max_ms = 200\nconnect_timeout_ms = 2000\ntimeout_ms = 5000\n{more}\n",
            register.connection(),
            market(),
            folder.path().join("map.json").display(),
        );
        psql(&register, tables);
        let hub = TestHub::start_prepared("127.0.0.1:0", |_| settings).await;
        Self { hub, register: Some(register), folder }
    }

    fn sql(&self, text: &str) -> String {
        psql(self.register.as_ref().expect("it runs"), text)
    }

    /// A business licence of the district, and a pull that may find it.
    fn business_licence(&self) -> (Licence, district::Pull) {
        self.hub.some_licence(|licence, pull| {
            licence.issuer.credit_code() == &market()
                && licence.fields.contains_key("business_scope")
                && licence.valid_to.is_none_or(|last| last.year() > 2027)
                && pull.types.contains(&licence.licence_type)
        })
    }

    /// The row of a business licence that the district has, under this name, with what is to be another.
    fn row(&self, guid: &str, second: u32, other: &[(&str, &str)]) -> Licence {
        let (mut licence, _) = self.business_licence();
        licence.fields.retain(|name, _| name == "established_on" || name == "business_scope");
        let field = |name: &str| licence.fields[name].as_str().unwrap().to_owned();
        let day = |date: Option<jiff::civil::Date>| {
            date.map_or_else(|| "20991231".to_owned(), |date| date.strftime("%Y%m%d").to_string())
        };
        let mut values = vec![
            ("row_guid", guid.to_owned()),
            ("zzmc", licence.name.clone()),
            ("lx", licence.licence_type.to_string()),
            ("zzbh", licence.number.clone()),
            ("czzt", licence.holders[0].name.clone()),
            ("czztdm", licence.holders[0].id.number().to_owned()),
            ("czztlx", licence.holders[0].id.kind().code().to_owned()),
            ("fzjg", licence.issuer_name.clone()),
            ("fzjgdm", licence.issuer.to_string()),
            ("fzrq", day(Some(licence.issued_on))),
            ("qsrq", licence.valid_from.map_or_else(|| "/".to_owned(), |date| day(Some(date)))),
            ("jzrq", day(licence.valid_to)),
            ("zt", "01".to_owned()),
            ("op", "I".to_owned()),
            ("clrq", field("established_on")),
            ("jyfw", field("business_scope")),
            ("cd_time", format!("2026-03-01 09:00:{second:02}")),
        ];
        for (name, value) in other {
            match values.iter_mut().find(|(known, _)| known == name) {
                Some(held) => held.1 = (*value).to_owned(),
                None => values.push((name, (*value).to_owned())),
            }
        }
        let (names, texts): (Vec<_>, Vec<_>) =
            values.into_iter().map(|(name, text)| (name, format!("'{text}'"))).unzip();
        self.sql(&format!(
            "INSERT INTO rows_out ({}) VALUES ({})",
            names.join(", "),
            texts.join(", ")
        ));
        licence
    }

    /// Waits until so many rows were taken and refused.
    async fn until(&self, taken: u64, refused: u64) {
        let mut state = self.state();
        for _ in 0..500 {
            if (state.taken, state.refused) == (taken, refused) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            state = self.state();
        }
        panic!("not {taken} taken and {refused} refused, but {state:?}; {}", self.errors());
    }

    fn state(&self) -> hub::inbound::InboundState {
        self.hub.hub.inbound()["market"].state()
    }

    async fn until_code(&self, code: &str) {
        for _ in 0..500 {
            let state = self.state();
            if state.is_failing() && state.last_error.is_some_and(|error| error.code == code) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not {code}, but {:?}", self.state());
    }

    fn errors(&self) -> String {
        self.sql("SELECT row_guid, split_part(error_remark, ':', 1) FROM dn_lic_data_error ORDER BY 1, 2")
    }

    /// All that the hub holds, by identifier: version, status, proof.
    async fn held(&self) -> Vec<(u16, LicenceStatus, &'static str)> {
        let all = self.hub.hub.store.page_of_licences(None, 100).await.unwrap();
        let shown = all.into_iter().map(|held| {
            let proof = if held.proof == indexes::Proof::Unsigned { "unsigned" } else { "signed" };
            (held.identifier.version(), held.status, proof)
        });
        shown.collect()
    }
}

fn psql(register: &LocalPostgres, text: &str) -> String {
    let answer = Command::new("psql")
        .args([&register.connection(), "-v", "ON_ERROR_STOP=1", "-qAtc", text])
        .output()
        .expect("psql is installed; ./dev test brings it");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).unwrap().trim().to_owned()
}

const UNSIGNED: &str = "signatures = \"unsigned\"";

#[actix_web::test]
async fn what_nobody_signed_is_held_and_trusted_by_nobody() {
    let scene = Scene::set(UNSIGNED).await;
    let licence = scene.row("r1", 1, &[]);
    scene.until(1, 0).await;
    assert_eq!(scene.held().await, [(1, LicenceStatus::Valid, "unsigned")]);

    let (_, pull) = scene.business_licence();
    let answer = scene.hub.puller(&pull).pull(&pull).await;
    let listed = &answer.json["licences"][0];
    assert_eq!(listed["verification"]["result"], "untrusted", "{}", answer.text);
    assert_eq!(listed["verification"]["signature"], "unsigned");
    assert!(listed.get("fields").is_none_or(Value::is_null), "no content of it is given");
    assert!(!answer.text.contains(licence.fields["business_scope"].as_str().unwrap()));

    let feed = scene.hub.issuer().get("/v1/changes").await;
    let change = &feed.json["changes"][0];
    assert_eq!((&change["kind"], &change["trust"]), (&json!("issued"), &json!("untrusted")));
    assert_eq!(change["reason"], "unsigned");
}

#[actix_web::test]
async fn its_signature_over_the_same_bytes_makes_it_a_trusted_one() {
    let scene = Scene::set(UNSIGNED).await;
    scene.row("r1", 1, &[]);
    scene.until(1, 0).await;
    let held = scene.hub.hub.store.page_of_licences(None, 1).await.unwrap().remove(0);
    let issuer = scene.hub.issuer();
    let answer = issuer.hand_in(&held.document, &issuer.sign(&held.document)).await;
    assert_eq!(answer.json["verdict"]["result"], "trusted", "{}", answer.text);
    assert_eq!(scene.held().await, [(1, LicenceStatus::Valid, "signed")]);
}

#[actix_web::test]
async fn a_changed_row_is_the_next_version_and_the_one_before_is_superseded() {
    let mut scene = Scene::set(UNSIGNED).await;
    scene.row("r1", 1, &[]);
    scene.until(1, 0).await;
    scene.row("r2", 2, &[("op", "U"), ("jyfw", "另一种经营范围")]);
    scene.until(2, 0).await;
    scene.row("r3", 3, &[("op", "U"), ("jyfw", "另一种经营范围"), ("zt", "02")]);
    scene.until(3, 0).await;
    let held = scene.held().await;
    assert!(matches!(held[0], (1, LicenceStatus::Superseded { .. }, "unsigned")), "{held:?}");
    assert_eq!(held[1], (2, LicenceStatus::Suspended, "unsigned"));
    scene.row("r4", 4, &[("op", "D"), ("zt", "07")]);
    scene.until(4, 0).await;
    assert!(matches!(scene.held().await[1].1, LicenceStatus::Revoked { .. }));

    // Nothing of it is done again after a restart, though all the rows are read again.
    let entries = scene.hub.registry_entries().await;
    scene.hub.restart().await;
    scene.row("r5", 5, &[("op", "I"), ("zzbh", "NEW1")]);
    scene.until(5, 0).await;
    assert_eq!((entries, scene.hub.registry_entries().await), (5, 6));
}

#[actix_web::test]
async fn what_was_planned_for_a_row_is_done_once_though_it_comes_again() {
    // As after a kill between the licence and the note that the row was dealt with: the notes are lost.
    let mut scene = Scene::set(UNSIGNED).await;
    scene.row("r1", 1, &[]);
    scene.row("r2", 2, &[("op", "U"), ("jyfw", "另一种经营范围")]);
    scene.row("r3", 3, &[("op", "U"), ("jyfw", "另一种经营范围"), ("zt", "02")]);
    scene.row("r4", 4, &[("op", "U"), ("jyfw", "另一种经营范围"), ("zt", "01")]);
    scene.until(4, 0).await;
    let (held, entries) = (scene.held().await, scene.hub.registry_entries().await);
    let store = scene.hub.hub.store.clone();
    let rows = indexes::Collection::new("inbound_rows");
    let mut writes = Vec::new();
    for record in store.records(rows, b"market\0", None, 100).await.unwrap() {
        let mut kept: Value = serde_json::from_slice(&record.value[1..]).unwrap();
        kept["done"] = json!(false);
        let value = [&[1_u8], kept.to_string().as_bytes()].concat();
        writes.push(indexes::RecordWrite {
            collection: rows,
            key: record.key,
            expected: indexes::Expected::Any,
            value: Some(value),
        });
    }
    assert_eq!(writes.len(), 4);
    writes.push(indexes::RecordWrite {
        collection: indexes::Collection::new("inbound"),
        key: b"market".to_vec(),
        expected: indexes::Expected::Any,
        value: None,
    });
    scene.hub.hub.inbound()["market"].stop().await;
    store.commit(indexes::Commit { writes, uses: Vec::new() }).await.unwrap().unwrap();
    drop(store);
    scene.hub.restart().await;
    scene.until(4, 0).await;
    assert_eq!((scene.held().await, scene.hub.registry_entries().await), (held, entries));
    assert_eq!(scene.errors(), "");
}

#[actix_web::test]
async fn a_row_that_is_not_taken_is_told_once_in_the_departments_table() {
    let mut scene = Scene::set(UNSIGNED).await;
    scene.row("r1", 1, &[("czztdm", "91350100M000100Y44")]);
    scene.row("r2", 2, &[("fzrq", "2025-02-31")]);
    scene.row("r3", 3, &[("fzjgdm", "91350100M000100Y43")]);
    scene.row("r4", 4, &[("zt", "55")]);
    scene.row("r5", 5, &[("op", "D"), ("zzbh", "UNKNOWN")]);
    scene.row("r6", 6, &[("clrq", "gestern")]);
    scene.row("r7", 7, &[("zzbs", "1.2.3")]);
    scene.row("r8", 8, &[]);
    scene.until(1, 7).await;
    let expected = "r1|wrong_check_character\nr2|value_no_date\nr3|issuer_not_of_source\nr4|value_unmapped\n\
                    r5|unknown_licence\nr6|face_fields\nr7|wrong_identifier_root";
    assert_eq!(scene.errors(), expected);
    assert!(
        !scene.sql("SELECT error_remark FROM dn_lic_data_error").contains("91350100M000100Y44")
    );
    scene.hub.restart().await;
    scene.row("r9", 9, &[("zt", "55")]);
    scene.until(1, 8).await;
    assert_eq!(scene.errors(), format!("{expected}\nr9|value_unmapped"));
}

#[actix_web::test]
async fn a_row_with_the_identifier_of_anothers_licence_does_nothing_to_it() {
    let scene = Scene::set(&format!("{UNSIGNED}\nissuers = [\"91350100M000100Y43\"]")).await;
    let (mut licence, _) = scene.business_licence();
    licence.fields.retain(|name, _| name == "established_on" || name == "business_scope");
    let document = licence.to_bytes().into();
    hub::intake::take_in_unsigned(&scene.hub.hub, &market(), document).await.unwrap();
    let zzbs = ("zzbs", licence.identifier.as_str());
    scene.row("r1", 1, &[zzbs, ("op", "D")]);
    scene.row("r2", 2, &[zzbs, ("op", "D"), ("zt", "07")]);
    scene.row("r3", 3, &[zzbs, ("op", "U"), ("zt", "02")]);
    scene.row("r4", 4, &[zzbs, ("op", "U"), ("zt", "02"), ("fzjgdm", "91350100M000100Y43")]);
    scene.until(0, 4).await;
    let codes = scene.errors();
    assert_eq!(codes.matches("issuer_not_of_source").count(), 3, "{codes}");
    assert_eq!(scene.held().await, [(1, LicenceStatus::Valid, "unsigned")]);
}

#[actix_web::test]
async fn rows_come_in_pages_of_bounded_size_and_none_is_passed_over() {
    let scene = Scene::set(UNSIGNED).await;
    let guid = "g".repeat(50);
    scene.sql(&format!(
        "ALTER TABLE rows_out ALTER row_guid TYPE text;
         INSERT INTO rows_out (row_guid, zzmc, cd_time)
         SELECT '{guid}' || n, repeat('x', 900000), '2026-03-01 08:00:00' FROM generate_series(10, 34) AS n;
         INSERT INTO rows_out (row_guid, zzmc, cd_time) VALUES (repeat('k', 1000), 'x', '2026-03-01 08:00:01'),
             ('large', repeat('x', 2000000), '2026-03-01 08:00:02')"
    ));
    scene.row("r1", 1, &[]);
    scene.until(1, 27).await;
    let told =
        scene.sql("SELECT count(DISTINCT row_guid), max(length(row_guid)) FROM dn_lic_data_error");
    assert_eq!(told, "27|200", "{}", scene.errors());
}

#[actix_web::test]
async fn a_wrong_check_character_is_a_recorded_defect_where_the_settings_keep_it() {
    let scene = Scene::set(&format!("{UNSIGNED}\ndefects = \"keep\"")).await;
    scene.row("r1", 1, &[("czztdm", "91350100M000100Y44")]);
    scene.until(0, 1).await; // the catalogue has no such licence for a holder of another kind
    assert_eq!(scene.errors(), "r1|face_fields");
    let (good, _) = scene.business_licence();
    let wrong: String = {
        let text = good.identifier.to_string();
        let last = if text.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &text[..text.len() - 1])
    };
    scene.row("r2", 2, &[("zzbs", &wrong)]);
    scene.until(1, 1).await;
    let held = scene.hub.hub.store.page_of_licences(None, 1).await.unwrap().remove(0);
    let key = held.identifier.as_str().as_bytes();
    let recorded =
        hub::records::read::<hub::inbound::Defects>(&*scene.hub.hub.store, key).await.unwrap();
    let recorded = recorded.expect("it is written down").value;
    assert_eq!(recorded.defects[0].element, "ZZBS");
    assert_eq!(recorded.defects[0].code, "wrong_check_character");
}

#[actix_web::test]
async fn a_register_that_is_away_or_without_its_table_is_waited_for() {
    let mut scene = Scene::set_with("SELECT 1", UNSIGNED).await;
    scene.until_code("table_missing").await;
    scene.sql(TABLES);
    scene.row("r1", 1, &[]);
    scene.until(1, 0).await;
    scene.register.take().unwrap().stop().await;
    scene.until_code("connect_failed").await;
    scene.register = Some(register_in(scene.folder.path()).await);
    scene.row("r2", 2, &[("zzbh", "NEW1")]);
    scene.until(2, 0).await;
    // A clock that went ahead for a while hides nothing that comes after.
    scene.sql("UPDATE rows_out SET cd_time = '2099-01-01' WHERE row_guid = 'r2'");
    scene.until(3, 0).await;
    scene.row("r3", 3, &[("zzbh", "NEW2")]);
    scene.until(4, 0).await;
    assert_eq!(scene.held().await.len(), 3);
    scene.sql("ALTER TABLE rows_out DROP COLUMN zzmc");
    scene.until_code("table_differs").await;
}

#[actix_web::test]
async fn an_operator_pauses_and_resumes_a_source_also_across_restarts() {
    let mut scene = Scene::set(UNSIGNED).await;
    scene.row("r1", 1, &[]);
    scene.until(1, 0).await;
    let operator = scene.hub.office();
    let why = json!({ "why": "对方搬迁登记系统" });
    let paused = operator.post("/v1/inbound/market/pause", &why).await;
    assert_eq!((paused.status, &paused.json["paused"]), (200, &json!(true)), "{}", paused.text);
    scene.row("r2", 2, &[("zzbh", "N2")]);
    scene.hub.restart().await;
    scene.hub.hub.inbound()["market"].wake();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let operator = scene.hub.office();
    let state = operator.get("/v1/inbound").await.json["inbound"][0].clone();
    assert_eq!((&state["paused"], &state["taken"]), (&json!(true), &json!(1)), "{state}");
    assert_eq!(operator.get("/readyz").await.json["inbound"]["market"], "paused");
    assert_eq!(scene.held().await.len(), 1);

    let resumed = operator.post("/v1/inbound/market/resume", &json!({ "why": "搬完了" })).await;
    assert_eq!((resumed.status, &resumed.json["paused"]), (200, &json!(false)));
    scene.until(2, 0).await;
    let state = operator.get("/v1/inbound").await.json["inbound"][0].clone();
    assert_eq!((&state["name"], &state["kind"]), (&json!("market"), &json!("exchange")));
    assert_eq!((&state["refused"], &state["signatures"]), (&json!(0), &json!("unsigned")));
    assert_eq!((&state["next_attempt"], &state["paused"]), (&Value::Null, &json!(false)));
    assert_eq!(state["position_micros"], json!(1_772_355_602_000_000_u64));
    assert!(state["last_success"].is_string());

    let done = operator.get("/v1/inbound/market/actions").await.json["actions"].clone();
    let acts: std::collections::BTreeMap<_, _> = done
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["act"].as_str().unwrap(), (&one["outcome"], &one["why"])))
        .collect();
    let ended = json!("done");
    assert_eq!(acts["pause"], (&ended, &why["why"]));
    assert_eq!(acts["resume"], (&ended, &json!("搬完了")));
    assert_eq!(acts.len(), 2);

    let nobody = operator.post("/v1/inbound/other/pause", &why).await;
    assert_eq!((nobody.status, &nobody.json["code"]), (404, &json!("unknown_source")));
    let unsaid = operator.post("/v1/inbound/market/pause", &json!({ "why": " " })).await;
    assert_eq!((unsaid.status, &unsaid.json["code"]), (422, &json!("why")));
    let stranger = scene.hub.issuer().post("/v1/inbound/market/pause", &why).await;
    assert_eq!((stranger.status, &stranger.json["code"]), (403, &json!("not_permitted")));
}

#[actix_web::test]
async fn a_pause_breaks_off_what_is_under_way() {
    let mut scene = Scene::set(UNSIGNED).await;
    // A lock on the table holds the hub's question up.
    let register = scene.register.as_ref().unwrap().connection();
    let mut lock = Command::new("psql")
        .args([&register, "-qAtc", "BEGIN; LOCK rows_out; SELECT pg_sleep(20)"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let operator = scene.hub.office();
    let asked = std::time::Instant::now();
    let why = json!({ "why": "x" });
    assert_eq!(operator.post("/v1/inbound/market/pause", &why).await.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(4), "it does not wait for the question");
    lock.kill().unwrap();
    lock.wait().unwrap();
    scene.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)' AND pid <> pg_backend_pid()");
    scene.row("r1", 1, &[]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((scene.state().taken, scene.state().paused), (0, true));
    assert_eq!(operator.post("/v1/inbound/market/resume", &why).await.status, 200);
    scene.until(1, 0).await;
    scene.hub.restart().await;
}

/// How a key service signs.
#[derive(Clone)]
enum Manner {
    Right,
    OtherBytes,
    As(Arc<SigningIdentity>),
}

fn market_department() -> district::Department {
    let mut all = district::issuing_departments().into_iter();
    all.find(|one| one.slug == "market-regulation").unwrap()
}

/// The department's key service: HTTPS with client certificates, on the listener, with the department's key.
///
/// * `manner`: how it signs now.
fn key_service(
    scene: &TestHub,
    listener: TcpListener,
    refuses: &'static str,
    manner: Arc<Mutex<Manner>>,
) {
    let identity = Arc::new(scene.signing_identity(&market_department()));
    let path = |name: &str| scene.folder.path().join(name);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(path("server.key")).unwrap();
    let mut roots = RootCertStore::empty();
    for anchor in CertificateDer::pem_file_iter(path("ca.pem")).unwrap() {
        roots.add(anchor.unwrap()).unwrap();
    }
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let tls = ServerConfig::builder().with_client_cert_verifier(clients);
    let tls = tls.with_single_cert(chain, key).unwrap();
    let server = HttpServer::new(move || {
        let (identity, manner) = (identity.clone(), manner.clone());
        let sign = move |asked: web::Json<Value>| {
            let manner = manner.lock().unwrap().clone();
            let right = identity.clone();
            async move {
                assert_eq!(asked["format"], "yihao-sign-1");
                let mut content = STANDARD.decode(asked["content"].as_str().unwrap()).unwrap();
                let identity = match manner {
                    Manner::Right => right,
                    Manner::OtherBytes => {
                        content.push(b' ');
                        right
                    }
                    Manner::As(other) => other,
                };
                if !refuses.is_empty() && String::from_utf8_lossy(&content).contains(refuses) {
                    return HttpResponse::UnprocessableEntity().finish();
                }
                let cms = sign_detached(&identity, &content, NOW.parse().unwrap()).unwrap();
                HttpResponse::Ok().json(json!({ "signature": STANDARD.encode(cms) }))
            }
        };
        App::new().route("/sign", web::post().to(sign))
    });
    let server = server.workers(1).disable_signals().listen_rustls_0_23(listener, tls).unwrap();
    actix_web::rt::spawn(server.run());
}

/// A scene whose department has its rows signed at this listener.
async fn signed_at(listener: &TcpListener) -> Scene {
    let port = listener.local_addr().unwrap().port();
    let settings = format!(
        "signatures = \"key_service\"\n[inbound.key_service]\nurl = \"https://localhost:{port}/sign\"\n\
         ca = \"ca.pem\"\ncertificate = \"caller.pem\"\nkey = \"caller.key\"\n"
    );
    Scene::set(&settings).await
}

/// The certificate that the hub shows to key services.
fn admit(scene: &Scene) {
    let services = district::consuming_departments().swap_remove(0);
    let from = "2025-01-01T00:00:00Z".parse().unwrap();
    let (certificate, key) = scene
        .hub
        .authority
        .issue(Suite::EcdsaP256Sha256, Profile::Client, &subject(&services), from, 3_000)
        .unwrap();
    let folder = scene.hub.folder.path();
    std::fs::write(folder.join("caller.key"), key.to_pkcs8_pem()).unwrap();
    std::fs::write(folder.join("caller.pem"), certificate.to_pem()).unwrap();
}

#[actix_web::test]
async fn the_departments_key_service_signs_what_comes_in_as_rows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = signed_at(&listener).await;
    scene.row("r1", 1, &[]);
    // Until the hub's own certificate is there nothing is asked, and nothing is taken.
    scene.until_code("file_unreadable").await;
    key_service(&scene.hub, listener, "禁止签名", Arc::new(Mutex::new(Manner::Right)));
    admit(&scene);
    scene.until(1, 0).await;
    assert_eq!(scene.held().await, [(1, LicenceStatus::Valid, "signed")]);
    let (_, pull) = scene.business_licence();
    let answer = scene.hub.puller(&pull).pull(&pull).await;
    assert_eq!(answer.json["licences"][0]["verification"]["result"], "trusted", "{}", answer.text);

    scene.row("r2", 2, &[("op", "U"), ("zt", "02")]);
    scene.until(2, 0).await;
    assert_eq!(scene.held().await, [(1, LicenceStatus::Suspended, "signed")]);
    scene.row("r3", 3, &[("zzbh", "NEW1"), ("jyfw", "禁止签名")]);
    scene.until(2, 1).await;
    assert_eq!(scene.errors(), "r3|not_signed");
}

#[actix_web::test]
async fn a_key_service_that_signs_wrongly_is_waited_for_and_refuses_no_row() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = signed_at(&listener).await;
    let manner = Arc::new(Mutex::new(Manner::Right));
    key_service(&scene.hub, listener, "禁止签名", manner.clone());
    admit(&scene);
    let elsewhere = district::issuing_departments()
        .into_iter()
        .find(|one| one.slug != "market-regulation")
        .unwrap();
    let founded = "2020-01-01T00:00:00Z".parse().unwrap();
    let other = tempfile::tempdir().unwrap();
    let root = subject(&elsewhere);
    let stranger =
        hub::command::demo::authority::Authority::open(other.path(), &root, founded).unwrap();
    let (certificate, key) = stranger
        .issue(
            Suite::EcdsaP256Sha256,
            Profile::LicenceIssuer,
            &subject(&market_department()),
            founded,
            3_000,
        )
        .unwrap();
    let stranger = SigningIdentity::new(vec![certificate], Box::new(key)).unwrap();
    let from = |profile, from: &str, days| {
        let from = from.parse().unwrap();
        scene.hub.signing_identity_from(&market_department(), profile, from, days)
    };
    let ended = from(Profile::LicenceIssuer, "2025-01-01T00:00:00Z", 30);
    let client = from(Profile::Client, "2025-01-01T00:00:00Z", 1_000);
    let acting = |identity| Manner::As(Arc::new(identity));
    let mut taken = 0;
    for (wrong, code) in [
        (Manner::OtherBytes, "signature_digest_mismatch"),
        (acting(scene.hub.signing_identity(&elsewhere)), "signer_not_issuer"),
        (acting(stranger), "certificate_unknown_issuer"),
        (acting(ended), "certificate_expired"),
        (acting(client), "certificate_wrong_usage"),
    ] {
        *manner.lock().unwrap() = wrong;
        let (number, second) = (format!("N{taken}"), u32::try_from(taken).unwrap() + 1);
        // What is wrong in the row is told all the same, when the page goes through.
        scene.row(&format!("a{taken}"), second, &[("zt", "55")]);
        scene.row(&format!("b{taken}"), second, &[("zzbh", &number)]);
        scene.until_code("key_service_wrong").await;
        let error = scene.state().last_error.unwrap();
        assert!(error.message.contains(code), "{code}: {}", error.message);
        assert!(scene.state().is_failing() && error.advice.contains("Ask the department"));
        assert_eq!(scene.state().taken, taken);
        let ready = scene.hub.issuer().get("/readyz").await;
        assert_eq!(ready.json["inbound"]["market"], "key_service_wrong", "{}", ready.text);
        assert_eq!(ready.json["ready"], true);

        *manner.lock().unwrap() = Manner::Right;
        taken += 1;
        scene.until(taken, taken).await;
        let held = scene.held().await;
        assert_eq!(held, vec![(1, LicenceStatus::Valid, "signed"); taken as usize], "{code}");
    }
    // The orders that it signs are held to the same.
    *manner.lock().unwrap() = Manner::OtherBytes;
    scene.row("c", 30, &[("zzbh", "N0"), ("op", "U"), ("zt", "02")]);
    scene.until_code("key_service_wrong").await;
    *manner.lock().unwrap() = Manner::Right;
    scene.until(taken + 1, taken).await;
    assert_eq!(scene.errors().matches("value_unmapped").count(), 5, "{}", scene.errors());
    assert_eq!(scene.errors().lines().count(), 5);
    assert!(scene.held().await.contains(&(1, LicenceStatus::Suspended, "signed")));
    assert_eq!(scene.hub.issuer().get("/readyz").await.json["inbound"]["market"], "ok");
}

#[actix_web::test]
async fn a_row_that_brings_its_signature_is_as_good_as_a_licence_that_was_handed_in() {
    let scene = Scene::set("signatures = \"brought\"").await;
    let (licence, pull) = scene.business_licence();
    let (issuer, document) = (scene.hub.issuer(), licence.to_bytes());
    let text = String::from_utf8(document.clone()).unwrap();
    let signed = STANDARD.encode(issuer.sign(&document));
    scene.row("r1", 1, &[("wj", &text), ("qm", &signed)]);
    scene.until(1, 0).await;
    let held = scene.hub.hub.store.licence(&licence.identifier).await.unwrap().unwrap();
    assert_eq!(held.document, document, "byte for byte");
    let answer = scene.hub.puller(&pull).pull(&pull).await;
    assert_eq!(answer.json["licences"][0]["verification"]["result"], "trusted", "{}", answer.text);

    // No signature, one of other bytes, one of another department, and what is none.
    let other = Licence { number: "NEW1".to_owned(), ..licence.clone() };
    let serial = other.identifier.serial().to_owned();
    let identifier =
        licence::LicenceId::build(&other.licence_type, &other.issuer, &serial, 77).unwrap();
    let other = Licence { identifier, ..other };
    let bytes = other.to_bytes();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let elsewhere = district::issuing_departments()
        .into_iter()
        .find(|one| one.slug != "market-regulation")
        .unwrap();
    let stranger = STANDARD.encode(scene.hub.issuing(elsewhere.slug).sign(&bytes));
    scene.row("r2", 2, &[("wj", &text)]);
    scene.row("r3", 3, &[("wj", &text), ("qm", &signed)]);
    scene.row("r4", 4, &[("wj", &text), ("qm", &stranger)]);
    scene.row("r5", 5, &[("wj", &text), ("qm", "***")]);
    scene.until(1, 4).await;
    assert_eq!(scene.held().await.len(), 1);
    let errors = scene.errors();
    let codes: Vec<_> = errors.lines().collect();
    assert_eq!(codes[0], "r2|signature_missing");
    assert_eq!(codes[1], "r3|signature_digest_mismatch");
    assert_eq!(codes[2], "r4|signer_not_issuer");
    assert_eq!(codes[3], "r5|signature_not_base64");
    scene.row("r6", 6, &[("wj", &text), ("qm", &STANDARD.encode(issuer.sign(&bytes)))]);
    scene.until(2, 4).await;
}

#[actix_web::test]
async fn what_comes_back_from_the_province_is_passed_over_and_what_is_new_from_there_is_held() {
    let scene = Scene::set(&format!("{UNSIGNED}\nreturn_flow = true\nissuers = [\"*\"]")).await;
    let (licence, _) = scene.business_licence();
    let answer = scene.hub.issuer().issue(&licence).await;
    assert_eq!(answer.json["verdict"]["result"], "trusted", "{}", answer.text);
    let entries = scene.hub.registry_entries().await;
    let ours = licence.identifier.to_string();
    // As the province wrote it down, and ended it: neither is more than what the issuer signed.
    scene.row("r1", 1, &[("zzbs", &ours), ("jyfw", "省里改写的经营范围")]);
    scene.row("r2", 2, &[("zzbs", &ours), ("op", "D"), ("zt", "07")]);
    scene.until(2, 0).await;
    assert_eq!(scene.hub.registry_entries().await, entries);
    assert_eq!(
        scene.held().await,
        [(licence.identifier.version(), LicenceStatus::Valid, "signed")]
    );

    let above = licence::LicenceId::build(&licence.licence_type, &licence.issuer, "ABOVE0001", 3);
    let above = above.unwrap().to_string();
    scene.row("r3", 3, &[("zzbs", &above), ("zzbh", "ABOVE1")]);
    scene.until(3, 0).await;
    scene.row("r4", 4, &[("zzbs", &above), ("zzbh", "ABOVE1"), ("op", "U"), ("zt", "02")]);
    scene.until(4, 0).await;
    let held = scene.held().await;
    assert_eq!(held.len(), 2);
    assert!(held.contains(&(3, LicenceStatus::Suspended, "unsigned")), "{held:?}");
    // Any issuer means any that policies let issue the type.
    scene.row("r5", 5, &[("fzjgdm", "91350100M000100Y43"), ("zzbh", "NEW1")]);
    scene.until(4, 1).await;
    assert_eq!(scene.errors(), "r5|not_permitted");
}
