//! Request bodies that are cut off, too long, or not what they claim to be.

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{Manifest, sha256};
use licence::LicenceId;
use serde_json::{Value, json};

use crate::{
    assert_alive, assert_nothing_stored, assert_problem, assert_refused,
    raw::{Raw, RawAnswer},
    support::{Actor, Answer, TestHub},
    with,
};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const GIB: usize = 1 << 30;

/// Every call that takes a body, with the media type it takes.
fn calls(identifier: &LicenceId) -> [(String, &'static str); 6] {
    [
        ("/v1/licences".to_owned(), JSON),
        ("/v1/licences/batches".to_owned(), NDJSON),
        (format!("/v1/licences/{identifier}/status"), JSON),
        ("/v1/pulls".to_owned(), JSON),
        ("/v1/search".to_owned(), JSON),
        ("/v1/verify".to_owned(), JSON),
    ]
}

/// Refused as a whole, or – in the answer to a batch – in each of its lines.
#[track_caller]
fn assert_body_refused(answer: &Answer, what: &str) {
    if answer.content_type.starts_with(NDJSON) && answer.status == 200 {
        let mut refused = 0;
        for line in answer.text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if line.get("summary").is_none() {
                assert_eq!(line["outcome"], "refused", "{what}: {answer:?}");
                assert_problem(&line["problem"], &["request", "format", "manifest", "signature"]);
                refused += 1;
            }
        }
        assert!(refused > 0, "{what}: {answer:?}");
        return;
    }
    if what.ends_with("/v1/verify") && answer.status == 200 {
        // A verdict on any bytes is what this call is for: these are no evidence.
        assert_eq!(answer.json["result"], "untrusted", "{what}: {answer:?}");
        assert_eq!(answer.json["links"][0]["link"], "format", "{what}: {answer:?}");
        assert_ne!(answer.json["links"][0]["result"], "ok", "{what}: {answer:?}");
        return;
    }
    assert!((400..=431).contains(&answer.status), "{what}: {answer:?}");
    assert_refused(
        answer,
        &[answer.status],
        &["request", "format", "manifest", "signature", "identifier"],
    );
}

async fn sent_everywhere(hub: &TestHub, bodies: &[(&str, Vec<u8>)]) {
    let (licence, _) = hub.enterprise_licence();
    let issuer = hub.issuer();
    for (path, media_type) in calls(&licence.identifier) {
        for (what, body) in bodies {
            let answer = issuer.post_bytes(&path, media_type, body.clone()).await;
            assert_body_refused(&answer, &format!("{what} to {path}"));
        }
    }
    assert_nothing_stored(hub, &licence.identifier).await;
}

fn deep(depth: usize, open: &str, inner: &str, close: &str) -> Vec<u8> {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth)).into_bytes()
}

#[tokio::test]
async fn json_that_is_ten_thousand_deep_is_refused() {
    let hub = TestHub::start().await;
    sent_everywhere(
        &hub,
        &[
            ("arrays", deep(10_000, "[", "", "]")),
            ("objects", deep(10_000, "{\"a\":", "1", "}")),
            ("arrays without an end", deep(10_000, "[", "", "")),
            ("a deep member", {
                let mut body = b"{\"licence\":".to_vec();
                body.extend(deep(10_000, "[", "", "]"));
                body.extend(b",\"signature\":\"\"}");
                body
            }),
            ("a deep holder", {
                let mut body = b"{\"holder\":".to_vec();
                body.extend(deep(10_000, "{\"kind\":", "1", "}"));
                body.push(b'}');
                body
            }),
        ],
    )
    .await;
    assert_alive(&hub).await;
}

#[tokio::test]
async fn a_signed_licence_that_is_ten_thousand_deep_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let text = String::from_utf8(with(&licence, "fields", json!("HERE"))).unwrap();
    for (open, inner, close) in [("[", "", "]"), ("{\"a\":", "1", "}")] {
        let nest = String::from_utf8(deep(10_000, open, inner, close)).unwrap();
        for document in [
            nest.clone(),
            text.replace("\"HERE\"", &nest),
            text.replace("\"HERE\"", &format!("{{\"business_scope\":{nest}}}")),
        ] {
            let signature = issuer.sign(document.as_bytes());
            let answer = issuer.hand_in(document.as_bytes(), &signature).await;
            assert_refused(&answer, &[400, 422], &["format"]);
        }
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
    assert_alive(&hub).await;
}

#[tokio::test]
async fn invalid_utf_8_is_refused() {
    let hub = TestHub::start().await;
    sent_everywhere(
        &hub,
        &[
            ("a lone continuation byte", b"{\"reason\":\"\x80\"}".to_vec()),
            ("a character cut off", b"{\"reason\":\"\xe8\xaf\"}".to_vec()),
            ("an overlong slash", b"{\"reason\":\"\xc0\xaf\"}".to_vec()),
            ("a surrogate", b"{\"reason\":\"\xed\xa0\x80\"}".to_vec()),
            ("beyond Unicode", b"{\"reason\":\"\xf5\x80\x80\x80\"}".to_vec()),
            ("GB 18030", b"{\"reason\":\"\xba\xcb\xd1\xe9\"}".to_vec()),
            ("UTF-16", "{\"reason\":\"核验\"}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("invalid in a name", b"{\"\xff\":1}".to_vec()),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_signed_licence_with_invalid_utf_8_or_nul_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let good = licence.to_bytes();
    let middle = String::from_utf8(good.clone()).unwrap().find("\"ZZMC\":\"").unwrap() + 8;
    let bad: [&[u8]; 6] = [b"\x80", b"\xe8\xaf", b"\xed\xa0\x80", b"\0", b"\\u0000", b"\\ud800"];
    for bytes in bad {
        let mut document = good.clone();
        document.splice(middle..middle, bytes.iter().copied());
        let answer = issuer.hand_in(&document, &issuer.sign(&document)).await;
        assert_refused(&answer, &[400, 422], &["format"]);
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn nul_is_refused() {
    let hub = TestHub::start().await;
    sent_everywhere(
        &hub,
        &[
            ("one NUL", vec![0]),
            ("many", vec![0; 10_000]),
            ("in a string", b"{\"reason\":\"a\0b\"}".to_vec()),
            ("before", b"\0{\"reason\":\"a\"}".to_vec()),
            ("after", b"{\"reason\":\"a\"}\0".to_vec()),
        ],
    )
    .await;
}

#[tokio::test]
async fn nul_and_nonsense_in_an_address_find_nothing() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    for part in [
        "%00",
        "%ff",
        "%e8%af",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "'",
        "%22",
        "%0d%0aX:y",
        "a%20b",
        "1.2.156.3005.2",
        &"9".repeat(5_000),
        &licence.identifier.as_str()[..40],
    ] {
        for path in [
            format!("/v1/licences/{part}"),
            format!("/v1/grants/{part}/licences/{}", licence.identifier),
            format!("/v1/grants/g_{part}/licences/{part}"),
            format!("/v1/{part}"),
            format!("/v1/changes?after={part}"),
            format!("/v1/changes?limit={part}"),
        ] {
            let answer = issuer.get(&path).await;
            assert!((400..=431).contains(&answer.status), "{path}: {answer:?}");
            assert!(!answer.code().is_empty(), "{path}: {answer:?}");
            assert!(answer.content_type.starts_with("application/problem+json"), "{answer:?}");
        }
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn every_kind_of_file_that_is_not_the_json_asked_for_is_refused() {
    let hub = TestHub::start().await;
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let many_members = format!(
        "{{{}}}",
        (0..5_000).map(|number| format!("\"k{number}\":{number}")).collect::<Vec<_>>().join(",")
    );
    let texts: &[(&str, &str)] = &[
        ("nothing", ""),
        ("white space", " \r\n\t "),
        ("null", "null"),
        ("true", "true"),
        ("a number", "0"),
        ("a negative zero", "-0"),
        ("a huge number", "1e999999"),
        ("a long number", "123456789012345678901234567890123456789012345678901234567890"),
        ("a string", "\"licence\""),
        ("an array", "[]"),
        ("an array of arrays", "[[],[[]]]"),
        ("an array of objects", "[{}]"),
        ("NaN", "NaN"),
        ("infinity", "-Infinity"),
        ("undefined", "undefined"),
        ("a leading zero", "{\"a\":01}"),
        ("a leading plus", "{\"a\":+1}"),
        ("hexadecimal", "{\"a\":0x1}"),
        ("a bare point", "{\"a\":.5}"),
        ("a trailing comma", "{\"a\":1,}"),
        ("only a comma", "{,}"),
        ("a missing value", "{\"a\":}"),
        ("a missing colon", "{\"a\" 1}"),
        ("a missing brace", "{\"a\":1"),
        ("one brace more", "{\"a\":1}}"),
        ("wrong brackets", "{\"a\":[1}}"),
        ("a name without quotes", "{a:1}"),
        ("single quotes", "{'a':1}"),
        ("a comment", "{/* a */\"a\":1}"),
        ("a line comment", "// a\n{\"a\":1}"),
        ("two objects", "{\"a\":1}{\"a\":2}"),
        ("something after it", "{\"a\":1} x"),
        ("a byte order mark", "\u{feff}{\"a\":1}"),
        ("a line break in a string", "{\"a\":\"b\nc\"}"),
        ("a tab in a string", "{\"a\":\"b\tc\"}"),
        ("an unknown escape", "{\"a\":\"\\x41\"}"),
        ("an escape cut off", "{\"a\":\"\\u00"),
        ("a lone surrogate", "{\"a\":\"\\ud800\"}"),
        ("a string without end", "{\"a\":\"b"),
        ("an unknown member", "{\"unheard_of\":1}"),
        ("the same member twice", "{\"licence\":\"\",\"licence\":\"\",\"signature\":\"\"}"),
        ("a prototype", "{\"__proto__\":{\"licence\":\"\"}}"),
        (
            "numbers for strings",
            "{\"licence\":1,\"signature\":2,\"holder\":3,\"order\":4,\"text\":5}",
        ),
        (
            "null for strings",
            "{\"licence\":null,\"signature\":null,\"holder\":null,\"order\":null}",
        ),
        ("no base64", "{\"licence\":\"*\",\"signature\":\"*\",\"order\":\"*\",\"manifest\":\"*\"}"),
        ("empty base64", "{\"licence\":\"\",\"signature\":\"\"}"),
        ("XML", "<?xml version=\"1.0\"?><licence/>"),
        ("YAML", "licence: a\nsignature: b\n"),
        ("TOML", "[licence]\na = 1\n"),
        ("CSV", "licence,signature\na,b\n"),
        ("a form", "licence=a&signature=b"),
        ("JSON lines", "{\"a\":1}\n{\"a\":2}\n"),
        ("a JSON text sequence", "\u{1e}{\"a\":1}\n"),
        ("JSONP", "callback({\"a\":1})"),
        ("JSON5", "{a:'b',}"),
        ("a template", "{\"licence\":{{secret}}}"),
        ("HTML", "<!doctype html><p>licence"),
        ("a path", "/etc/passwd"),
    ];
    let mut bodies: Vec<(&str, Vec<u8>)> =
        texts.iter().map(|(what, text)| (*what, text.as_bytes().to_vec())).collect();
    bodies.push(("UTF-16 with its mark", [vec![0xfe, 0xff], utf16].concat()));
    bodies.push(("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    bodies.push(("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0]));
    bodies.push(("CBOR", vec![0xa1, 0x61, 0x61, 1]));
    bodies.push(("MessagePack", vec![0x81, 0xa1, b'a', 1]));
    bodies.push(("a PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec()));
    bodies.push(("a ZIP, such as OFD", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec()));
    bodies.push(("every byte", (0..=255).collect()));
    bodies.push(("five thousand members", many_members.into_bytes()));
    bodies.push(("a name of 40 KiB", format!("{{\"{}\":1}}", "a".repeat(40_000)).into_bytes()));
    bodies.push(("spaces", vec![b' '; 50_000]));
    sent_everywhere(&hub, &bodies).await;
    assert_alive(&hub).await;
}

#[tokio::test]
async fn a_body_of_another_media_type_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let document = licence.to_bytes();
    let body = json!({
        "licence": STANDARD.encode(&document), "signature": STANDARD.encode(issuer.sign(&document)),
    });
    for media_type in
        ["text/plain", "application/xml", "application/pdf", "nonsense", "image/*", ""]
    {
        // Any file can be checked: what it is, its content says.
        let takes_files = |path: &str| path == "/v1/verify" && media_type == "application/pdf";
        for (path, _) in calls(&licence.identifier) {
            if takes_files(&path) {
                continue;
            }
            let answer = issuer.post_bytes(&path, media_type, body.to_string().into_bytes()).await;
            assert_refused(&answer, &[400, 415], &["request"]);
        }
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn multipart_without_its_parts_or_its_end_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let document = String::from_utf8(licence.to_bytes()).unwrap();
    let part = |name: &str, content: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    };
    let form = "multipart/form-data; boundary=x";
    for (media_type, body) in [
        (form, String::new()),
        (form, "--x--\r\n".to_owned()),
        (form, "nothing of the kind".to_owned()),
        (form, part("licence", &document) + "--x--\r\n"),
        (form, part("signature", "x") + "--x--\r\n"),
        (form, part("licence", &document) + &part("signature", "x") + "--x--\r\n"),
        (form, part("licence", &document) + &part("licence", &document) + "--x--\r\n"),
        (form, part("licence", &document) + &part("unheard_of", "x") + "--x--\r\n"),
        (form, part("licence", &document) + &part("signature", "x")),
        (form, part("licence", &document)[..60].to_owned()),
        ("multipart/form-data", part("licence", &document) + "--x--\r\n"),
        ("multipart/form-data; boundary=", part("licence", &document) + "--x--\r\n"),
    ] {
        let answer = issuer.post_bytes("/v1/licences", media_type, body.into_bytes()).await;
        assert_refused(&answer, &[400, 415, 422], &["request", "format", "signature"]);
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn files_that_are_not_the_ones_that_were_signed_are_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let content = b"%PDF-1.7 the face".to_vec();
    let said = json!([{
        "name": "face.pdf", "media_type": "application/pdf",
        "sha256": hex::encode(sha256(&content).as_bytes()), "size": content.len(),
    }]);
    let document = with(&licence, "files", said);
    let signature = STANDARD.encode(issuer.sign(&document));
    let document = STANDARD.encode(&document);
    let file = |name: &str, content: &[u8]| json!({ "name": name, "media_type": "application/pdf", "content": STANDARD.encode(content) });
    for files in [
        json!([]),
        json!([file("face.pdf", b"%PDF-1.7 the fake")]),
        json!([file("face.pdf", &content[..5])]),
        json!([file("face.pdf", b"")]),
        json!([file("face.pdf", &content), file("other.pdf", b"unasked for")]),
        json!([{ "name": "face.pdf", "media_type": "application/pdf", "content": "*" }]),
    ] {
        let body = json!({ "licence": document, "signature": signature, "files": files });
        println!("{files}");
        let answer = issuer.post("/v1/licences", &body).await;
        assert_refused(&answer, &[400, 422], &["files", "request"]);
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
}

// ---- lengths ------------------------------------------------------------------------------------

fn head(path: &str, media_type: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n{more}\r\n")
}

/// A perfect request to take in a licence.
fn perfect(hub: &TestHub, issuer: &Actor) -> String {
    let document = hub.enterprise_licence().0.to_bytes();
    json!({
        "licence": STANDARD.encode(&document), "signature": STANDARD.encode(issuer.sign(&document)),
    })
    .to_string()
}

async fn exchange(hub: &TestHub, bytes: Vec<u8>, hang_up: bool) -> RawAnswer {
    let mut raw = Raw::connect(hub, &hub.issuer());
    tokio::task::spawn_blocking(move || {
        let _ = raw.send(&bytes);
        if hang_up {
            raw.hang_up();
        }
        raw.answer()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_off_stores_nothing() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let identifier = hub.enterprise_licence().0.identifier;
    let body = perfect(&hub, &issuer);
    for kept in [0, 1, body.len() / 2, body.len() - 1] {
        let length = format!("Content-Length: {}\r\n", body.len());
        let declared = head("/v1/licences", JSON, &length) + &body[..kept];
        let chunked = head("/v1/licences", JSON, "Transfer-Encoding: chunked\r\n")
            + &format!("{:x}\r\n{}", body.len(), &body[..kept]);
        for bytes in [declared, chunked] {
            let answer = exchange(&hub, bytes.into_bytes(), true).await;
            assert!(matches!(answer.status, None | Some(400 | 408)), "{answer:?}");
        }
    }
    assert_nothing_stored(&hub, &identifier).await;
    assert_alive(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_is_cut_off_only_what_was_acknowledged_is_stored() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let documents: Vec<Vec<u8>> = (0..3)
        .map(|number| {
            let mut one = licence.clone();
            one.identifier =
                LicenceId::build(&one.licence_type, &one.issuer, &format!("T{number:09}"), 1)
                    .unwrap();
            one.to_bytes()
        })
        .collect();
    let digests: Vec<_> = documents.iter().map(|one| sha256(one)).collect();
    let manifest = Manifest::write(&issuer.department.code, "cut", &digests).unwrap();
    let signature = issuer.sign(&manifest);
    let mut body = json!({
        "manifest": STANDARD.encode(&manifest), "signature": STANDARD.encode(&signature),
    })
    .to_string();
    for document in &documents {
        body += "\n";
        body += &json!({ "licence": STANDARD.encode(document) }).to_string();
    }
    let cut = &body[..body.len() - 100];
    let length = format!("Content-Length: {}\r\n", body.len());

    let request = head("/v1/licences/batches", NDJSON, &length) + cut;
    let answer = exchange(&hub, request.into_bytes(), true).await;

    let acknowledged = answer.text.matches("\"stored\"").count();
    let stored = hub.registry_entries().await;
    assert!(stored <= 2, "the third licence was not whole, and {stored} are stored: {answer:?}");
    assert!(acknowledged as u64 <= stored + 1, "more acknowledged than stored: {answer:?}");
    // The whole batch again brings the rest, and nothing twice.
    let (again, _) = issuer.hand_in_batch(&manifest, &signature, &documents).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(hub.registry_entries().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_does_not_fit_the_body_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let identifier = hub.enterprise_licence().0.identifier;
    let body = perfect(&hub, &issuer);
    let right = body.len();
    for more in [
        format!("Content-Length: {}\r\n", right - 1),
        format!("Content-Length: {}\r\n", right / 2),
        "Content-Length: 0\r\n".to_owned(),
        "Content-Length: 1\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: \r\n".to_owned(),
        "Content-Length: many\r\n".to_owned(),
        format!("Content-Length: +{right}\r\n"),
        format!("Content-Length: 0x{right:x}\r\n"),
        format!("Content-Length: {right}\r\nContent-Length: {}\r\n", right - 1),
        "Content-Length: 99999999999999999999999999\r\n".to_owned(),
        format!("Content-Length: {right}\r\nTransfer-Encoding: chunked\r\n"),
        "Transfer-Encoding: chunked, chunked\r\n".to_owned(),
        "Transfer-Encoding: nonsense\r\n".to_owned(),
        String::new(),
    ] {
        let request = head("/v1/licences", JSON, &more) + &body;
        let answer = exchange(&hub, request.into_bytes(), true).await;
        let status = answer.status;
        assert!(
            matches!(status, None | Some(400 | 411 | 413 | 415 | 422 | 501)),
            "{more:?}: {answer:?}"
        );
    }
    for chunks in [
        format!("{:x}\r\n{body}\r\n0\r\n\r\n", right - 1),
        format!("{:x}\r\n{body}\r\n0\r\n\r\n", right + 1),
        format!("zz\r\n{body}\r\n0\r\n\r\n"),
        format!("ffffffffffffffffffff\r\n{body}\r\n0\r\n\r\n"),
        format!("-1\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let request = head("/v1/licences", JSON, "Transfer-Encoding: chunked\r\n") + &chunks;
        let answer = exchange(&hub, request.into_bytes(), true).await;
        assert!(matches!(answer.status, None | Some(400)), "{answer:?}");
    }
    assert_nothing_stored(&hub, &identifier).await;
    assert_alive(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_declares_one_gibibyte_is_refused_before_it_is_read() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    for (path, media_type) in calls(&licence.identifier) {
        if media_type == NDJSON {
            continue; // a batch may be that long; its lines may not: see below
        }
        let request = head(&path, media_type, &format!("Content-Length: {GIB}\r\n"));
        let answer = exchange(&hub, request.into_bytes(), false).await;
        assert_eq!(answer.status, Some(413), "{path}: {answer:?}");
        assert!(answer.text.contains("\"link\":\"request\""), "{path}: {answer:?}");
        assert!(answer.took.as_secs() < 10, "{path}: {answer:?}");
    }
    assert_nothing_stored(&hub, &licence.identifier).await;
    assert_alive(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_one_gibibyte_that_declares_nothing_is_refused_and_not_kept() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    let before = resident_mib();
    for (path, media_type) in calls(&licence.identifier) {
        let mut raw = Raw::connect(&hub, &hub.issuer());
        let request = head(&path, media_type, "Transfer-Encoding: chunked\r\n");
        let (answer, sent) = tokio::task::spawn_blocking(move || {
            let mebibyte = format!("100000\r\n{}\r\n", "x".repeat(1 << 20)).into_bytes();
            raw.send(request.as_bytes()).unwrap();
            let mut sent = 0;
            while sent < GIB && !raw.answers_already() && raw.send(&mebibyte).is_ok() {
                sent += 1 << 20;
            }
            (raw.answer(), sent)
        })
        .await
        .unwrap();
        // The largest that is ever taken is a licence with its files: tens of megabytes.
        assert!(sent < 200 << 20, "{path}: {} MiB were taken", sent >> 20);
        let refused = matches!(answer.status, Some(413 | 400))
            || answer.text.contains("\"refused\"") && answer.text.contains("\"link\":\"request\"");
        assert!(refused, "{path}: {answer:?}");
    }
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 300, "memory grew by {grown} MiB");
    assert_nothing_stored(&hub, &licence.identifier).await;
    assert_alive(&hub).await;
}

/// Memory of this process, which the hub under test runs in.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_document_over_the_limit_is_refused() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let (licence, _) = hub.enterprise_licence();
    let document = with(&licence, "fields", json!({ "business_scope": "长".repeat(300 * 1024) }));

    let answer = issuer.hand_in(&document, &issuer.sign(&document)).await;

    assert_refused(&answer, &[413, 422], &["format", "request"]);
    assert_nothing_stored(&hub, &licence.identifier).await;
}
