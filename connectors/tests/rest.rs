//! The `rest` connector against a real HTTPS gateway that checks tokens and signatures by itself.

mod support;

use std::{process::Command, sync::Arc, time::Duration};

use connectors::{
    Batch, ConnectorSettings, DeliveryError, Mark,
    provincial_gateway::{GatewayFault, GatewayShape, GatewaySignatures},
    rest::message_signatures::{Algorithm, VerifyingKey},
    rules::{connector_rules, samples},
};
use indexes::{LicenceStore, MemoryStore};
use licence::{LicenceStatus, StatusChange};
use serde_json::{Value, json};
use support::{
    caught_up, change,
    gateway::{Gateway, SECRET, with, without},
    issue, issue_of,
    province::open,
    set_asides,
};

const SHAPES: [GatewayShape; 2] = [GatewayShape::Guangdong, GatewayShape::Gbt36906];

#[tokio::test]
async fn guangdong_keeps_the_rules_of_connectors() {
    connector_rules(|| Gateway::start(GatewayShape::Guangdong)).await;
}

#[tokio::test]
async fn gbt36906_keeps_the_rules_of_connectors() {
    connector_rules(|| Gateway::start(GatewayShape::Gbt36906)).await;
}

#[tokio::test]
async fn the_gateway_holds_what_counts_and_both_sides_agree_on_it() {
    for shape in SHAPES {
        let gateway = Gateway::start(shape).await;
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        let licences = issue(&*store, 0, 30).await;
        issue_of(&*store, 30, 2, samples::types()[1]).await;
        change(&*store, &licences[3], StatusChange::Suspend).await;
        let runner = gateway.settings().start(store.clone()).unwrap();
        caught_up(&runner, &*store).await;
        assert_eq!(gateway.gateway().current().len(), 31);
        assert!(!gateway.gateway().current().contains_key(&licences[3]));
        assert_eq!(gateway.gateway().log_ins(), 1, "a token serves many requests");

        let connector = open(&gateway.settings());
        let tallies = connector.tallies().await.unwrap().unwrap();
        assert_eq!(tallies.values().map(|tally| tally.count).sum::<u64>(), 31);
        for (bucket, tally) in &tallies {
            let mut after = None;
            let mut found = connectors::Tally::default();
            loop {
                let page = connector.holdings(bucket, after.as_ref(), 7).await.unwrap();
                for holding in &page {
                    let seq = gateway.gateway().current()[&holding.identifier];
                    let line = format!("{}|gateway-{:020}", holding.identifier, seq.0);
                    assert_eq!(holding.mark, Mark::of_line(&line));
                    found.add(holding.mark);
                }
                let Some(last) = page.last() else { break };
                after = Some(last.identifier.clone());
            }
            assert_eq!(found, *tally);
        }
    }
}

#[tokio::test]
async fn a_gateway_that_tells_no_digests_is_not_asked_for_them() {
    let gateway = Gateway::start(GatewayShape::Gbt36906).await;
    let connector = open(&without(gateway.settings(), "paths"));
    assert_eq!(connector.tallies().await.unwrap(), None);
    assert_eq!(gateway.gateway().log_ins(), 0);
}

/// The matter, the case and the operator go with every request to Guangdong.
#[tokio::test]
async fn a_request_says_for_what_and_by_whom() {
    let gateway = Gateway::start(GatewayShape::Guangdong).await;
    let connector = open(&gateway.settings());
    let batch = Batch::new("gateway", 0, vec![samples::issued(0)]);
    connector.deliver(&batch).await.unwrap();
    let head = gateway.gateway().last_head();
    assert_eq!(head["service_item_code"], "11370800MB285591843370117002011");
    assert_eq!(head["biz_num"], batch.id.as_str());
    assert_eq!(head["operator"]["service_org_code"], samples::ISSUER);
    let record = gateway.gateway().record(samples::issued(0).identifier()).unwrap();
    assert_eq!((&record["operation"], &record["expiry_date"]), (&json!("I"), &json!("2099-12-31")));
    assert_eq!(record.get("document"), None, "only what the code map lists is sent");
}

#[tokio::test]
async fn the_code_map_beside_the_settings_takes_the_place_of_the_shapes() {
    let gateway = Gateway::start(GatewayShape::Gbt36906).await;
    let field = |name: &str, from: &str| json!({ "as": name, "from": from });
    let map = json!({
        "format": "yihao-code-map-1",
        "fields": [
            field("key", "key"), field("operation", "operation"), field("ZZBS", "identifier"),
            field("ZZLXDM", "licence_type"), field("ZZMC", "name"), field("CZZT", "holder_name"),
            field("CZZTDM", "holder_number"), field("ZZBFRQ", "issued_on"), field("ZT", "status")
        ],
        "codes": {
            "operation": { "*": "1", "delete": "3" }, "status": { "valid": "在用" }
        }
    });
    gateway.write("map.json", &map.to_string());
    let settings =
        ConnectorSettings { code_map: Some(gateway.file("map.json")), ..gateway.settings() };
    let first = samples::issued(0);
    let suspended = samples::changed(1, &first, LicenceStatus::Valid, LicenceStatus::Suspended);
    let batch = Batch::new("gateway", 0, vec![first.clone(), suspended]);
    let connector = open(&settings);
    let preview = connector.preview(&batch).unwrap();
    assert_eq!(preview.refused[0].code, "value_unmapped");
    let refused = connector.deliver(&batch).await.unwrap().refused;
    assert_eq!(refused, preview.refused);
    let record = gateway.gateway().record(first.identifier()).unwrap();
    assert_eq!((&record["ZT"], &record["ZZBFRQ"]), (&json!("在用"), &json!("2025-03-01")));
}

#[tokio::test]
async fn a_preview_is_what_is_sent_without_what_proves_who_we_are() {
    for shape in SHAPES {
        let gateway = Gateway::start(shape).await;
        let connector = open(&gateway.settings());
        let batch = Batch::new("gateway", 0, vec![samples::issued(0), samples::issued(1)]);
        let preview = connector.preview(&batch).unwrap();
        assert_eq!(preview.parts.len(), if shape == GatewayShape::Guangdong { 2 } else { 1 });
        let title = format!("POST https://{}/", gateway.address);
        assert!(preview.parts[0].title.starts_with(&title), "{}", preview.parts[0].title);
        let text = &preview.parts[0].text;
        assert!(text.contains(samples::HOLDER_NAME) && text.contains("(token)"), "{text}");
        assert!(!text.contains(SECRET) && !format!("{preview:?}").contains(samples::CITIZEN));

        connector.deliver(&batch).await.unwrap();
        let sent = gateway.gateway().record(samples::issued(0).identifier()).unwrap();
        let (_, body) = text.split_once("\n\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let shown = match shape {
            GatewayShape::Guangdong => &body["data"],
            GatewayShape::Gbt36906 => &body["data"]["certs"][0],
        };
        assert_eq!(*shown, sent);
        assert_eq!(gateway.gateway().requests(), preview.parts.len() as u64);
    }
}

#[tokio::test]
async fn a_type_that_is_not_agreed_on_is_set_aside() {
    for (shape, code) in [(SHAPES[0], "TYPE_NOT_AGREED"), (SHAPES[1], "422")] {
        let gateway = Gateway::start(shape).await;
        let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
        issue(&*store, 0, 3).await;
        issue_of(&*store, 3, 1, "11100000000013338W777".parse().unwrap()).await;
        issue(&*store, 4, 3).await;
        let runner = gateway.settings().start(store.clone()).unwrap();
        caught_up(&runner, &*store).await;
        assert_eq!(set_asides(&*store, "gateway").await, [(3, code.to_owned())]);
        assert_eq!(gateway.gateway().current().len(), 6);
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_it_runs_out() {
    let mut gateway = Gateway::start(GatewayShape::Gbt36906).await;
    gateway.token_lifetime = Duration::from_secs(1);
    gateway.run_again().await;
    let connector = open(&gateway.settings());
    for seq in 0..3 {
        let batch = Batch::new("gateway", 0, vec![samples::issued(seq)]);
        connector.deliver(&batch).await.unwrap();
        tokio::time::sleep(Duration::from_millis(950)).await;
    }
    assert_eq!(gateway.gateway().log_ins(), 3);
    assert_eq!(gateway.gateway().requests(), 3, "none was sent with a token that had run out");
}

#[tokio::test]
async fn many_requests_at_a_time_log_in_once() {
    let gateway = Gateway::start(GatewayShape::Gbt36906).await;
    let connector: Arc<dyn connectors::Connector> = open(&gateway.settings()).into();
    let tasks: Vec<_> = (0..8)
        .map(|seq| {
            let connector = connector.clone();
            tokio::spawn(async move {
                let batch = Batch::new("gateway", 0, vec![samples::issued(seq)]);
                connector.deliver(&batch).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((gateway.gateway().log_ins(), gateway.gateway().taken().len()), (1, 8));
}

#[tokio::test]
async fn a_secret_that_is_not_accepted_is_told_and_the_mended_file_is_used() {
    for shape in SHAPES {
        let gateway = Gateway::start(shape).await;
        gateway.write("wrong", "wrong");
        gateway.write("key", SECRET);
        let settings = with(gateway.settings(), "secret_file", json!(gateway.file("wrong")));
        let settings = with(settings, "sign_key_file", json!(gateway.file("key")));
        let connector = open(&settings);
        let batch = Batch::new("gateway", 0, vec![samples::issued(0)]);
        let error = connector.deliver(&batch).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Configuration(_)));
        assert_eq!(error.code(), "token_refused");
        assert!(!format!("{error:?} {error}").contains("wrong"));
        gateway.write("wrong", SECRET);
        connector.deliver(&batch).await.unwrap();
    }
}

/// A wrong key for signing is a matter for the operator, and told with the gateway's code.
#[tokio::test]
async fn a_signature_that_is_not_accepted_is_told() {
    for (shape, code) in [(SHAPES[0], "SIGNATURE_INVALID"), (SHAPES[1], "403")] {
        let gateway = Gateway::start(shape).await;
        gateway.write("key", "another key");
        let settings = with(gateway.settings(), "sign_key_file", json!(gateway.file("key")));
        let batch = Batch::new("gateway", 0, vec![samples::issued(0)]);
        let error = open(&settings).deliver(&batch).await.unwrap_err();
        // It is the first request that is refused so: the log-in.
        assert_eq!(error.code(), "token_refused");
        assert!(error.to_string().contains(code), "{error}");
        assert_eq!(gateway.gateway().taken(), []);
    }
}

/// OpenSSL makes the keys; the gateway checks what the connector signs with them.
#[tokio::test]
async fn messages_are_signed_with_each_algorithm_of_rfc_9421() {
    for (algorithm, word, options) in [
        (Algorithm::Ed25519, "ed25519", &["-algorithm", "ed25519"][..]),
        (
            Algorithm::EcdsaP256Sha256,
            "ecdsa-p256-sha256",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        ),
        (Algorithm::RsaPssSha512, "rsa-pss-sha512", &["-algorithm", "RSA"]),
        (Algorithm::RsaV15Sha256, "rsa-v1_5-sha256", &["-algorithm", "RSA"]),
        (Algorithm::HmacSha256, "hmac-sha256", &[]),
    ] {
        let mut gateway = Gateway::start(GatewayShape::Guangdong).await;
        let key = gateway.file("sign.key");
        let public = if options.is_empty() {
            gateway.write("sign.key", "shared between the two");
            b"shared between the two".to_vec()
        } else {
            openssl(&[&["genpkey", "-out", key.to_str().unwrap()], options].concat());
            public_key(&key, algorithm)
        };
        gateway.signatures = GatewaySignatures::Message {
            key_id: "hub-2025".to_owned(),
            key: VerifyingKey::new(algorithm, public),
        };
        gateway.run_again().await;
        let sign = json!({
            "method": "rfc9421", "algorithm": word,
            "components": ["@method", "@authority", "@path", "content-type", "content-digest"]
        });
        let settings = with(gateway.settings(), "sign", sign.clone());
        let settings = with(settings, "sign_key_file", json!(key));
        let settings = with(settings, "sign_key_id", json!("hub-2025"));
        let batch = Batch::new("gateway", 0, vec![samples::issued(0)]);
        open(&settings).deliver(&batch).await.unwrap_or_else(|error| panic!("{word}: {error}"));
        assert_eq!(gateway.gateway().taken().len(), 1, "{word}");

        // Another key id, or less covered than the gateway wants, is refused.
        let other = with(settings.clone(), "sign_key_id", json!("hub-2024"));
        assert_eq!(open(&other).deliver(&batch).await.unwrap_err().code(), "token_refused");
        let mut less = sign;
        less["components"] = json!(["@method", "@authority", "@path"]);
        let less = with(settings, "sign", less);
        assert_eq!(open(&less).deliver(&batch).await.unwrap_err().code(), "token_refused");
    }
}

/// The HMAC-SM3 of the string-to-sign is the one that OpenSSL makes.
#[tokio::test]
async fn hmac_sm3_is_that_of_openssl() {
    use hmac::{Hmac, KeyInit, Mac};
    let folder = tempfile::tempdir().unwrap();
    for string in ["", "POST\n/v1/license/push\n1740792600000\nabc\n66c7", &"长".repeat(500)] {
        std::fs::write(folder.path().join("string"), string).unwrap();
        let key = format!("hexkey:{}", hex::encode(SECRET));
        let path = folder.path().join("string");
        let made = openssl(&[
            "mac",
            "-digest",
            "SM3",
            "-macopt",
            &key,
            "-in",
            path.to_str().unwrap(),
            "HMAC",
        ]);
        let mut mac = Hmac::<sm3::Sm3>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(string.as_bytes());
        let ours = hex::encode(mac.finalize().into_bytes());
        assert_eq!(String::from_utf8(made).unwrap().trim().to_lowercase(), ours);
    }
}

#[tokio::test]
async fn a_gateway_may_want_a_client_certificate() {
    let mut gateway = Gateway::start(GatewayShape::Gbt36906).await;
    gateway.client_anchors = Some(gateway.authority.pem.clone());
    gateway.run_again().await;
    let batch = Batch::new("gateway", 0, vec![samples::issued(0)]);
    let error = open(&gateway.settings()).deliver(&batch).await.unwrap_err();
    assert_eq!(error.code(), "tls_failed");
    let client = gateway.authority.client();
    gateway.write("client.pem", &client.certificate);
    gateway.write("client.key", &client.key);
    let settings = ConnectorSettings {
        certificate: Some(gateway.file("client.pem")),
        key: Some(gateway.file("client.key")),
        ..gateway.settings()
    };
    open(&settings).deliver(&batch).await.unwrap();
}

#[tokio::test]
async fn a_shape_in_a_file_is_read_again_when_it_was_mended() {
    let gateway = Gateway::start(GatewayShape::Gbt36906).await;
    let shape = include_str!("../src/rest/shapes/gbt36906.json");
    gateway.write("shape.json", &shape.replace("\"/pushCertInfo\"", "\"pushCertInfo\""));
    let settings = without(gateway.settings(), "shape");
    let connector = open(&with(settings, "shape_file", json!(gateway.file("shape.json"))));
    let batch = Batch::new("gateway", 0, vec![samples::issued(0)]);
    let error = connector.deliver(&batch).await.unwrap_err();
    assert_eq!(error.code(), "shape_unusable");
    assert!(error.to_string().contains("send.call.path"), "{error}");
    gateway.write("shape.json", shape);
    connector.deliver(&batch).await.unwrap();
}

/// What a gateway may answer, and what follows from it.
#[tokio::test]
async fn wrong_answers_are_told_clearly() {
    let gateway = Gateway::start(GatewayShape::Gbt36906).await;
    let connector = open(&gateway.settings());
    let key = |seq: u64| format!("gateway-{seq:020}");
    let told = |results: Value| {
        json!({ "head": { "status": "0" }, "data": { "results": results } }).to_string()
    };
    let of = |seq: u64, status: &str| json!({ "key": key(seq), "status": status });
    for (status, body, code) in [
        (200, told(json!([of(0, "0"), of(1, "409")])), ""),
        (200, told(json!([of(0, "0"), of(1, "422")])), ""),
        (200, told(json!([of(0, "0")])), "answer_does_not_add_up"),
        (200, told(json!([of(0, "0"), of(0, "0"), of(1, "0")])), "answer_malformed"),
        (200, told(json!([of(0, "0"), of(9, "0")])), "answer_malformed"),
        (200, told(json!([of(0, "0"), { "key": key(1) }])), "answer_malformed"),
        (200, told(json!([of(0, "0"), of(1, "503")])), "gateway_failing"),
        (200, told(json!([of(0, "0"), of(1, "777")])), "gateway_stopped"),
        (200, told(json!("none")), "answer_malformed"),
        (200, r#"{"head":{"status":"0"}}"#.to_owned(), "answer_malformed"),
        (200, r#"{"head":{"status":0}}"#.to_owned(), "answer_malformed"),
        (200, r#"{"head":{}}"#.to_owned(), "answer_malformed"),
        (200, "<html>".to_owned(), "answer_malformed"),
        (200, String::new(), "answer_malformed"),
        (200, "[".repeat(100_000), "answer_malformed"),
        (200, " ".repeat(5 << 20), "answer_too_large"),
        (200, r#"{"head":{"status":"503"}}"#.to_owned(), "gateway_failing"),
        (200, r#"{"head":{"status":"403"}}"#.to_owned(), "gateway_stopped"),
        (200, r#"{"head":{"status":"999"}}"#.to_owned(), "gateway_stopped"),
        (200, r#"{"head":{"status":"422"}}"#.to_owned(), "gateway_refused"),
        (400, r#"{"head":{"status":"422"}}"#.to_owned(), "gateway_refused"),
        (400, "<html>".to_owned(), "gateway_refused"),
        (403, "<html>".to_owned(), "access_refused"),
        (404, "<html>".to_owned(), "no_interface"),
        (302, String::new(), "no_interface"),
        (429, String::new(), "receiver_failing"),
        (502, "<html>".to_owned(), "receiver_failing"),
    ] {
        gateway.gateway().faults([GatewayFault::Answer { status, body: body.clone() }]);
        let batch = Batch::new("gateway", 0, vec![samples::issued(0), samples::issued(1)]);
        let shown: String = body.chars().take(90).collect();
        match connector.deliver(&batch).await {
            Ok(_) => assert_eq!(code, "", "{status} {shown}"),
            Err(error) => {
                assert_eq!(error.code(), code, "{status} {shown}");
                assert!(!error.advice().is_empty());
            }
        }
    }
}

/// A remark of the gateway may quote what it complains about.
#[tokio::test]
async fn remarks_are_kept_with_numbers_masked() {
    let gateway = Gateway::start(GatewayShape::Guangdong).await;
    let body = json!({
        "ack_code": "FAILURE",
        "errors": [{ "code": "DATA_INVALID", "message": format!("号码 {} 有误", samples::CITIZEN) }]
    });
    gateway.gateway().faults([GatewayFault::Answer { status: 200, body: body.to_string() }]);
    let batch = Batch::new("gateway", 0, vec![samples::issued(0)]);
    let refused = open(&gateway.settings()).deliver(&batch).await.unwrap().refused;
    assert_eq!(
        (refused[0].code.as_str(), refused[0].remark.as_str()),
        ("DATA_INVALID", "号码 *** 有误")
    );
}

#[tokio::test]
async fn everything_wrong_with_the_settings_is_told() {
    let gateway = Gateway::start(GatewayShape::Guangdong).await;
    let right = gateway.settings();
    let told = |settings: &ConnectorSettings| {
        settings.check().map_or_else(|error| error.to_string(), |_| String::new())
    };
    assert_eq!(told(&right), "");
    let values = with(right.clone(), "values", json!({ "matter_code": "1" }));
    assert!(told(&values).contains("the shape needs `values.matter_name`"));
    for (settings, part) in [
        (with(right.clone(), "shape", json!("hunan")), "`shape` must be"),
        (without(right.clone(), "shape"), "`shape` is missing"),
        (with(right.clone(), "shape_file", json!("x")), "cannot stand beside"),
        (without(right.clone(), "secret_file"), "`secret_file` is missing"),
        (with(right.clone(), "paths", json!({ "send": "push" })), "must begin with /"),
        (with(right.clone(), "paths", json!({ "erase": "/x" })), "a call that the shape has not"),
        (with(right.clone(), "sign", json!({ "method": "hmac-sm3" })), "`string` is missing"),
        (with(right.clone(), "sign", json!({ "method": "md5" })), "unknown variant"),
        (with(right.clone(), "sekret", json!("x")), "unknown field"),
        (ConnectorSettings { url: Some("http://x".into()), ..right.clone() }, "`url` must be"),
        (ConnectorSettings { ca: None, ..right.clone() }, "`ca` is missing"),
        (ConnectorSettings { key: Some("x".into()), ..right.clone() }, "`certificate` is missing"),
        (ConnectorSettings { host: Some("x".into()), ..right.clone() }, "`host` is not a setting"),
    ] {
        assert!(told(&settings).contains(part), "{part}: {}", told(&settings));
    }
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output();
    let output = output.expect("openssl is there: apt-get install openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The public key as ring wants it, cut out of what OpenSSL writes.
fn public_key(key: &std::path::Path, algorithm: Algorithm) -> Vec<u8> {
    let key = key.to_str().unwrap();
    let spki = openssl(&["pkey", "-in", key, "-pubout", "-outform", "DER"]);
    match algorithm {
        Algorithm::Ed25519 => spki[spki.len() - 32..].to_vec(),
        Algorithm::EcdsaP256Sha256 => spki[spki.len() - 65..].to_vec(),
        // SEQUENCE, AlgorithmIdentifier, BIT STRING without unused bits: 24 bytes before PKCS#1 at 2048 bits.
        _ => spki[24..].to_vec(),
    }
}
