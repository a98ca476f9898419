//! The `http` connector against real HTTPS receivers that check client certificates.

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use connectors::{
    Batch, ConnectorSettings, DeliveryError, Runner, Types,
    http::PushRecord,
    rules::{connector_rules, samples},
};
use indexes::{LicenceStore, MemoryStore};
use licence::{StatusChange, Trust};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use support::{
    caught_up, change,
    city::{Authority, City, settings},
    issue, judge, quick, set_asides, until,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[tokio::test]
async fn keeps_the_rules_of_connectors() {
    connector_rules(City::start).await;
}

#[tokio::test]
async fn the_city_holds_the_last_record_of_each_licence() {
    let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
    let licences = issue(&*store, 0, 500).await;
    let mut city = City::start().await;
    let runner = city.settings().start(store.clone()).unwrap();
    caught_up(&runner, &*store).await;
    change(&*store, &licences[7], StatusChange::Suspend).await;
    caught_up(&runner, &*store).await;

    let record: PushRecord = city.receiver().record(&licences[7]).unwrap();
    assert_eq!(
        (record.seq.0, record.event.as_str(), record.status.as_str()),
        (500, "status_changed", "suspended")
    );
    let sent: serde_json::Value = serde_json::from_str(record.licence.get()).unwrap();
    assert_eq!(sent["ZZBS"], licences[7].as_str());
    assert_eq!(city.receiver().len(), 500);
    assert!(runner.reconcile().await.unwrap().agrees);

    // The city loses everything: the counts show it, and a replay brings it back.
    city.receiver.take().unwrap().stop().await;
    city.run().await;
    let lost = runner.reconcile().await.unwrap();
    assert_eq!((lost.agrees, lost.types[0].difference), (false, -499));
    runner.replay(licence::Seq(0)).await.unwrap();
    until(&runner, |state| state.delivered == 501 + 501).await;
    assert!(runner.reconcile().await.unwrap().agrees);
}

/// Whether it is shared follows from both: a licence that is restored while its signer is revoked does not count.
#[tokio::test]
async fn a_licence_whose_signer_fell_does_not_count_until_it_stands_again() {
    let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
    let licences = issue(&*store, 0, 10).await;
    let city = City::start().await;
    let runner = city.settings().start(store.clone()).unwrap();
    let steps = [
        (None, Some(Trust::Untrusted), "trust_changed", "valid", 9),
        (Some(StatusChange::Suspend), None, "status_changed", "suspended", 9),
        (Some(StatusChange::Restore), None, "status_changed", "valid", 9),
        (None, Some(Trust::Trusted), "trust_changed", "valid", 10),
    ];
    for (order, to, event, status, counted) in steps {
        if let Some(order) = order {
            change(&*store, &licences[7], order).await;
        }
        if let Some(to) = to {
            judge(&*store, &licences[7], to).await;
        }
        caught_up(&runner, &*store).await;
        let record = city.receiver().record(&licences[7]).unwrap();
        assert_eq!((record.event.as_str(), record.status.as_str()), (event, status));
        assert_eq!(record.is_current(), counted == 10);
        let counts = runner.reconcile().await.unwrap();
        assert!(counts.agrees);
        assert_eq!(counts.types[0].ours, counted);
    }
}

#[tokio::test]
async fn the_receiver_wants_a_certificate_of_its_authority() {
    let city = City::start().await;
    let batch = Batch::new("city", 0, vec![samples::issued(0)]);
    let stranger = Authority::new("stranger").client();
    let expired = city.authority.expired_client();
    for identity in [&stranger, &expired] {
        city.write("other.pem", &identity.certificate);
        city.write("other.key", &identity.key);
        let settings = ConnectorSettings {
            certificate: Some(city.file("other.pem")),
            key: Some(city.file("other.key")),
            ..city.settings()
        };
        let error = support::province::open(&settings).deliver(&batch).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Configuration(_)), "{error:?}");
        assert_eq!(error.code(), "tls_failed", "{error}");
    }
    assert!(city.receiver().is_empty());

    // A certificate renewed in its file is used at the next attempt, by the same connector.
    let settings = ConnectorSettings {
        certificate: Some(city.file("other.pem")),
        key: Some(city.file("other.key")),
        ..city.settings()
    };
    let connector = support::province::open(&settings);
    connector.deliver(&batch).await.unwrap_err();
    let renewed = city.authority.client();
    city.write("other.pem", &renewed.certificate);
    city.write("other.key", &renewed.key);
    connector.deliver(&batch).await.unwrap();
}

#[tokio::test]
async fn a_receiver_of_another_authority_gets_nothing() {
    let city = City::start().await;
    city.write("ca.pem", &Authority::new("other").pem);
    let batch = Batch::new("city", 0, vec![samples::issued(0)]);
    let error = support::province::open(&city.settings()).deliver(&batch).await.unwrap_err();
    assert_eq!(error.code(), "tls_failed");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert!(city.receiver().is_empty());
}

#[tokio::test]
async fn files_that_are_not_right_are_named() {
    let city = City::start().await;
    let batch = Batch::new("city", 0, vec![samples::issued(0)]);
    city.write("empty.pem", "");
    city.write("other.key", &city.authority.client().key);
    for (settings, code, setting) in [
        (
            ConnectorSettings { ca: Some(city.file("none.pem")), ..city.settings() },
            "file_unreadable",
            "`ca`",
        ),
        (
            ConnectorSettings { ca: Some(city.file("empty.pem")), ..city.settings() },
            "file_unusable",
            "`ca`",
        ),
        (
            ConnectorSettings { certificate: Some(city.file("empty.pem")), ..city.settings() },
            "file_unusable",
            "`certificate`",
        ),
        (
            ConnectorSettings { key: Some(city.file("client.pem")), ..city.settings() },
            "file_unusable",
            "`key`",
        ),
        (
            ConnectorSettings { key: Some(city.file("other.key")), ..city.settings() },
            "file_unusable",
            "`key`",
        ),
    ] {
        let error = support::province::open(&settings).deliver(&batch).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Configuration(_)));
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[tokio::test]
async fn sending_goes_on_when_the_receiver_comes_back() {
    let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
    let mut city = City::start().await;
    let checked = city.settings().check().unwrap();
    let runner =
        Runner::start(store.clone(), checked.connector.open(&Types::new()).unwrap(), quick());
    issue(&*store, 0, 10).await;
    caught_up(&runner, &*store).await;
    city.receiver.take().unwrap().stop().await;
    issue(&*store, 10, 10).await;
    let state = until(&runner, |state| state.is_failing()).await;
    assert_eq!(state.last_error.unwrap().code, "connect_failed");
    city.run().await;
    caught_up(&runner, &*store).await;
    assert_eq!(city.receiver().len(), 10);
}

#[tokio::test]
async fn a_type_that_is_not_agreed_on_is_set_aside() {
    let store: Arc<dyn LicenceStore> = Arc::new(MemoryStore::new());
    issue(&*store, 0, 3).await;
    support::issue_of(&*store, 3, 1, "11100000000013338W777".parse().unwrap()).await;
    issue(&*store, 4, 3).await;
    let city = City::start().await;
    let runner = city.settings().start(store.clone()).unwrap();
    caught_up(&runner, &*store).await;
    assert_eq!(set_asides(&*store, "city").await, [(3, "type_not_agreed".to_owned())]);
    assert_eq!(city.receiver().len(), 6);
}

/// What a receiver may answer, and what follows from it.
#[tokio::test]
async fn wrong_answers_are_told_clearly() {
    let json = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let status = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n");
    let html =
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi".to_owned();
    let endless = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{}",
        " ".repeat(5 << 20)
    );
    let short = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{"
        .to_owned();
    let moved = "HTTP/1.1 302 Found\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
        .to_owned();
    for (answer, code) in [
        (json(r#"{"accepted":1,"refused":[{"seq":1,"code":"x","remark":"y"}]}"#), ""),
        (json(r#"{"accepted":2}"#), ""),
        (json(r#"{"accepted":1}"#), "answer_does_not_add_up"),
        (json(r#"{"accepted":2,"refused":[{"seq":1}]}"#), "answer_does_not_add_up"),
        (json(r#"{"accepted":1,"refused":[{"seq":9}]}"#), "answer_names_other"),
        (json(r#"{"accepted":0,"refused":[{"seq":1},{"seq":1}]}"#), "answer_names_other"),
        (json(r#"{"ok":true}"#), "answer_malformed"),
        (json("{"), "answer_malformed"),
        (json("\u{feff}{}"), "answer_malformed"),
        (html, "answer_malformed"),
        (endless, "answer_too_large"),
        (short, "connection_lost"),
        ("nonsense\r\n\r\n".to_owned(), "connection_lost"),
        (String::new(), "connection_lost"),
        (moved, "no_interface"),
        (status("404 Not Found"), "no_interface"),
        (status("204 No Content"), "no_interface"),
        (status("401 Unauthorized"), "access_refused"),
        (status("403 Forbidden"), "access_refused"),
        (status("400 Bad Request"), "batch_refused"),
        (status("422 Unprocessable"), "batch_refused"),
        (status("429 Too Many"), "receiver_failing"),
        (status("503 Unavailable"), "receiver_failing"),
    ] {
        let receiver = Scripted::start(vec![answer.clone().into_bytes()]).await;
        let batch = Batch::new("city", 0, vec![samples::issued(0), samples::issued(1)]);
        let outcome = receiver.connector(5_000).deliver(&batch).await;
        let shown: String = answer.chars().take(90).collect();
        match outcome {
            Ok(_) => assert_eq!(code, "", "{shown}"),
            Err(error) => {
                assert_eq!(error.code(), code, "{shown}");
                assert!(!error.advice().is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_push_is_what_the_interface_says() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{\"accepted\":1}";
    let receiver = Scripted::start(vec![answer.as_bytes().to_vec()]).await;
    let batch = Batch::new("city", 0, vec![samples::issued(0)]);
    receiver.connector(5_000).deliver(&batch).await.unwrap();
    let request = receiver.requests.lock().unwrap().concat();
    let request = String::from_utf8(request).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /records http/1.1\r\n"));
    assert!(head.contains(&format!("\r\nidempotency-key: {}", batch.id)));
    assert!(head.contains("\r\ncontent-type: application/json"));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&body["format"], &body["batch"]),
        (&"yihao-push-1".into(), &batch.id.as_str().into())
    );
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_given_up() {
    let receiver = Scripted::start(Vec::new()).await;
    let batch = Batch::new("city", 0, vec![samples::issued(0)]);
    let error = receiver.connector(300).deliver(&batch).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Unreachable(_)));
    assert_eq!(error.code(), "timed_out");
}

#[tokio::test]
async fn counts_are_read_strictly() {
    for (body, code) in [
        (r#"{"counts":{"11100000000013338W011":3,"11100000000013338W009":0}}"#, ""),
        (r#"{"counts":{"nonsense":3}}"#, "unknown_type_counted"),
        (r#"{"counts":{"11100000000013338W011":-1}}"#, "answer_malformed"),
        (r#"{}"#, "answer_malformed"),
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let receiver = Scripted::start(vec![answer.into_bytes()]).await;
        match receiver.connector(5_000).counts().await {
            Ok(counts) => {
                assert_eq!(code, "");
                assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(samples::types()[0], 3)]);
            }
            Err(error) => assert_eq!(error.code(), code),
        }
    }
}

/// The city's receiver against clients that do not keep to the interface.
#[tokio::test]
async fn the_city_refuses_what_is_not_a_push() {
    let city = City::start().await;
    let connector = support::province::open(&city.settings());
    connector.deliver(&Batch::new("city", 0, vec![samples::issued(0)])).await.unwrap();
    let client = plain_client(&city);
    let url = format!("https://{}", city.address);
    let body = |batch: &str, seqs: &str| {
        format!(
            r#"{{"format":"yihao-push-1","connector":"city","batch":"{batch}","records":[{seqs}]}}"#
        )
    };
    for (path, key, body, status, code) in [
        ("records", "b1", body("b1", ""), 200, ""),
        ("records", "b2", body("b1", ""), 400, "idempotency_key"),
        ("records", "b1", "{".to_owned(), 400, "body_malformed"),
        ("records", "b1", String::new(), 400, "body_malformed"),
        ("records", "b1", body("b1", "").replace("push-1", "push-9"), 400, "unknown_format"),
        ("nowhere", "b1", String::new(), 404, "no_such_route"),
        ("counts", "b1", String::new(), 405, "method_not_allowed"),
    ] {
        let sent =
            client.post(format!("{url}/{path}")).header("idempotency-key", key).body(body).send();
        let answer = sent.await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path} {code}");
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(answer["code"].as_str().unwrap_or_default(), code);
    }
    let identifier = samples::issued(0).identifier().clone();
    let held = client.get(format!("{url}/records/{identifier}")).send().await.unwrap();
    assert_eq!(held.json::<serde_json::Value>().await.unwrap()["status"], "valid");
    let other = client.get(format!("{url}/records/nothing")).send().await.unwrap();
    assert_eq!(other.status().as_u16(), 404);
}

#[tokio::test]
async fn the_city_keeps_no_more_than_its_capacity() {
    let mut city = City::start().await;
    city.receiver.take().unwrap().stop().await;
    let server = city.authority.server("127.0.0.1");
    let small =
        connectors::city_receiver::CityReceiver::start(connectors::city_receiver::CitySettings {
            listen: city.address,
            certificate: server.certificate,
            key: server.key,
            client_anchors: city.authority.pem.clone(),
            capacity: 2,
            types: None,
        });
    let small = small.await.unwrap();
    let connector = support::province::open(&city.settings());
    let items: Vec<_> = (0..3).map(samples::issued).collect();
    let delivered = connector.deliver(&Batch::new("city", 0, items.clone())).await.unwrap();
    assert_eq!(delivered.refused.len(), 1);
    assert_eq!(delivered.refused[0].code, "receiver_full");
    assert_eq!(small.len(), 2);
    // What it holds can still change.
    let suspended = samples::changed(
        3,
        &items[0],
        licence::LicenceStatus::Valid,
        licence::LicenceStatus::Suspended,
    );
    connector.deliver(&Batch::new("city", 0, vec![suspended])).await.unwrap();
    assert_eq!(small.counts().values().sum::<u64>(), 1);
}

fn plain_client(city: &City) -> reqwest::Client {
    let mut roots = rustls::RootCertStore::empty();
    let ca = std::fs::read(city.file("ca.pem")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
    let chain = CertificateDer::pem_file_iter(city.file("client.pem"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(city.file("client.key")).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_client_auth_cert(chain, key)
    .unwrap();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

/// A receiver that answers each request with the next of the bytes it was given, and then nothing more.
struct Scripted {
    folder: TempDir,
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Scripted {
    async fn start(answers: Vec<Vec<u8>>) -> Self {
        let authority = Authority::new("scripted");
        let (server, client) = (authority.server("127.0.0.1"), authority.client());
        let folder = TempDir::new().unwrap();
        for (name, content) in [
            ("ca.pem", &authority.pem),
            ("client.pem", &client.certificate),
            ("client.key", &client.key),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let chain = vec![CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = tls.accept(socket).await else { continue };
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                let Some(answer) = answers.next() else {
                    std::future::pending::<()>().await;
                    return;
                };
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { folder, address, requests }
    }

    fn connector(&self, timeout_ms: u64) -> Box<dyn connectors::Connector> {
        let settings = ConnectorSettings {
            timeout_ms: Some(timeout_ms),
            ..settings(self.folder.path(), self.address)
        };
        support::province::open(&settings)
    }
}

/// Head and body of one request.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        let head = request.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = head {
            let text = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = text
                .lines()
                .find_map(|line| {
                    line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok()
                })
                .unwrap_or(0);
            if request.len() >= end + 4 + length {
                return request;
            }
        }
        match tokio::time::timeout(Duration::from_secs(10), stream.read(&mut part)).await {
            Ok(Ok(count)) if count > 0 => request.extend_from_slice(&part[..count]),
            _ => return request,
        }
    }
}
