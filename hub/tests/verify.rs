//! Checking a file: the command offline, and the call with this hub's anchors, say the same.

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use certs::{cms_to_pem, sign_attached, sign_detached};
use jiff::Timestamp;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use support::{Actor, TestHub};

const SEALED: &[u8] = include_bytes!("../../certs/tests/data/ofd/sealed-v4.ofd");
const SEALED_2020: &[u8] = include_bytes!("../../certs/tests/data/ofd/sealed-v4-all-protected.ofd");
const UNSIGNED_OFD: &[u8] = include_bytes!("../../certs/tests/data/ofd/unsigned.ofd");
const SIGNED_TWICE: &[u8] =
    include_bytes!("../../certs/tests/data/pdf/minimal-two-fields-signed-twice.pdf");
const UNSIGNED_PDF: &[u8] = include_bytes!("../../certs/tests/data/pdf/minimal.pdf");

/// A folder with files to check, and the anchors and lists of a hub.
struct Desk {
    folder: tempfile::TempDir,
    hub: TestHub,
}

impl Desk {
    async fn new() -> Self {
        let hub = TestHub::start().await;
        Self { folder: tempfile::tempdir().unwrap(), hub }
    }

    fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// `hub verify` with the hub's own anchor and list.
    fn verify(&self, arguments: &[&Path], more: &[&str]) -> Output {
        self.command(arguments)
            .arg("--crl")
            .arg(self.file_of_hub("ca.crl"))
            .args(more)
            .output()
            .unwrap()
    }

    fn command(&self, arguments: &[&Path]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hub"));
        let now = self.hub.hub.clock.now().to_string();
        command.arg("verify").args(arguments).arg("--anchors").arg(self.file_of_hub("ca.pem"));
        command.args(["--at", &now]);
        command
    }

    fn file_of_hub(&self, name: &str) -> PathBuf {
        self.hub.folder.path().join(name)
    }

    fn now(&self) -> Timestamp {
        self.hub.hub.clock.now()
    }

    async fn ask(&self, actor: &Actor, media_type: &str, body: &[u8]) -> Value {
        let answer = actor.post_bytes("/v1/verify", media_type, body.to_vec()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json
    }
}

fn links(report: &Value) -> Vec<(&str, &str)> {
    let links = report["links"].as_array().unwrap().iter();
    links.map(|link| (link["link"].as_str().unwrap(), link["result"].as_str().unwrap())).collect()
}

#[actix_web::test]
async fn the_exit_code_says_trusted_untrusted_undetermined_or_not_checked() {
    let desk = Desk::new().await;
    let issuer = desk.hub.issuer();
    let content = b"a certificate of no criminal record".to_vec();
    let file = desk.put("letter.txt", &content);
    let signature = desk.put("letter.p7s", &issuer.sign(&content));
    let signed = [file.as_path(), Path::new("--signature"), &signature];

    let trusted = desk.verify(&signed, &[]);
    assert_eq!(trusted.status.code(), Some(0), "{}", told(&trusted));
    let without_list = desk.command(&signed).output().unwrap();
    assert_eq!(without_list.status.code(), Some(2), "{}", told(&without_list));
    let changed = desk.put("changed.txt", b"a certificate of no criminal records");
    let untrusted = desk.verify(&[&changed, Path::new("--signature"), &signature], &[]);
    assert_eq!(untrusted.status.code(), Some(1), "{}", told(&untrusted));
    assert!(told(&untrusted).contains("signature_digest_mismatch"), "{}", told(&untrusted));

    let by_settings = Command::new(env!("CARGO_BIN_EXE_hub"))
        .args(["verify", "--at", &desk.now().to_string(), "--config"])
        .arg(desk.file_of_hub("hub.toml"))
        .args(signed)
        .output()
        .unwrap();
    assert_eq!(by_settings.status.code(), Some(0), "{}", told(&by_settings));

    let missing = desk.verify(&[Path::new("there-is-no-such-file")], &[]);
    assert_eq!(missing.status.code(), Some(3), "{}", told(&missing));
    let wrong = Command::new(env!("CARGO_BIN_EXE_hub")).args(["verify", "--no-such"]).output();
    assert_eq!(wrong.unwrap().status.code(), Some(64));
}

#[actix_web::test]
async fn a_clerk_reads_the_verdict_in_chinese_or_english() {
    let desk = Desk::new().await;
    let file = desk.put("sealed.ofd", SEALED);
    let zh = told(&desk.verify(&[&file], &["--language", "zh"]));
    assert!(zh.contains("OFD版式文件: 不可信"), "{zh}");
    assert!(zh.contains("证书链不能到达任何受信任的根证书"), "{zh}");
    assert!(!zh.contains("no path leads"), "{zh}");
    let en = told(&desk.verify(&[&file], &["--language", "en"]));
    assert!(en.contains("OFD document: untrusted"), "{en}");
    assert!(en.contains("no path leads to a trust anchor"), "{en}");
    assert!(en.is_ascii() || !en.contains("证书链"), "{en}");
    let both = told(&desk.verify(&[&file], &[]));
    assert!(both.contains("不可信 untrusted"), "{both}");
}

#[actix_web::test]
async fn the_command_and_the_call_say_the_same_of_every_kind_of_file() {
    let desk = Desk::new().await;
    let issuer = desk.hub.issuer();
    let attached =
        sign_attached(issuer.identity.as_ref().unwrap(), b"attached content", desk.now()).unwrap();
    let detached =
        sign_detached(issuer.identity.as_ref().unwrap(), b"elsewhere", desk.now()).unwrap();
    let pem = cms_to_pem(&attached);
    let cases: [(&str, &str, &[u8], &str, &str); 8] = [
        ("attached.p7m", "application/cms", &attached, "cms", "trusted"),
        ("attached.pem", "application/x-pem-file", pem.as_bytes(), "cms", "trusted"),
        ("detached.p7s", "application/pkcs7-signature", &detached, "cms", "undetermined"),
        ("sealed.ofd", "application/ofd", SEALED, "ofd", "untrusted"),
        ("unsigned.ofd", "application/octet-stream", UNSIGNED_OFD, "ofd", "untrusted"),
        ("signed.pdf", "application/pdf", SIGNED_TWICE, "pdf", "untrusted"),
        ("unsigned.pdf", "application/pdf", UNSIGNED_PDF, "pdf", "untrusted"),
        ("picture.png", "application/octet-stream", b"\x89PNG\r\n", "unknown", "untrusted"),
    ];
    for (name, media_type, content, kind, result) in cases {
        let answered = desk.ask(&issuer, media_type, content).await;
        assert_eq!(
            (&answered["kind"], &answered["result"]),
            (&json!(kind), &json!(result)),
            "{name}: {answered}"
        );
        let printed = desk.verify(&[&desk.put(name, content)], &["--json"]);
        let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
        assert_eq!(printed, answered, "{name}");
    }
}

#[actix_web::test]
async fn each_link_of_a_seal_has_its_verdict() {
    let desk = Desk::new().await;
    let issuer = desk.hub.issuer();
    let sealed = desk.ask(&issuer, "application/ofd", SEALED_2020).await;
    let signature = &sealed["signatures"][0];
    for link in ["coverage", "signature", "seal"] {
        let verdicts = signature["links"].as_array().unwrap();
        let verdict = verdicts.iter().find(|verdict| verdict["link"] == link);
        assert_eq!(verdict.unwrap()["result"], "ok", "{link}: {sealed}");
    }
    let unsigned = desk.ask(&issuer, "application/ofd", UNSIGNED_OFD).await;
    assert!(links(&unsigned).contains(&("signature", "ofd_unsigned")), "{unsigned}");
}

#[actix_web::test]
async fn a_detached_signature_comes_as_a_part_beside_its_file() {
    let desk = Desk::new().await;
    let issuer = desk.hub.issuer();
    let content = b"a letter".to_vec();
    let signature = issuer.sign(&content);
    let send = |form: Form| issuer.client.post(desk.hub.url("/v1/verify")).multipart(form).send();
    let part = |bytes: &[u8]| Part::bytes(bytes.to_vec());

    let both = Form::new().part("file", part(&content)).part("signature", part(&signature));
    let report: Value = send(both).await.unwrap().json().await.unwrap();
    assert_eq!(
        (&report["kind"], &report["result"]),
        (&json!("signed"), &json!("trusted")),
        "{report}"
    );
    let other = Form::new().part("file", part(b"another")).part("signature", part(&signature));
    let report: Value = send(other).await.unwrap().json().await.unwrap();
    assert_eq!(report["result"], "untrusted", "{report}");

    for wrong in [
        Form::new().part("signature", part(&signature)),
        Form::new().part("file", part(&content)).part("manifest", part(&content)),
        Form::new().part("file", part(&content)).part("file", part(&content)),
        Form::new().part("file", part(&content)).part("picture", part(&content)),
    ] {
        let answer = send(wrong).await.unwrap();
        assert_eq!(answer.status(), 400);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "multipart");
    }
    let text = issuer.post_bytes("/v1/verify", "text/plain", content).await;
    assert_eq!((text.status, text.code()), (415, "media_type"));
}

#[actix_web::test]
async fn every_link_that_does_not_hold_has_words_in_both_languages() {
    let desk = Desk::new().await;
    let issuer = desk.hub.issuer();
    for (media_type, content) in [
        ("application/ofd", SEALED),
        ("application/ofd", UNSIGNED_OFD),
        ("application/pdf", SIGNED_TWICE),
        ("application/pdf", UNSIGNED_PDF),
        ("application/json", br#"{"format":"yihao-evidence-1"}"#.as_slice()),
        ("application/json", br#"{"format":"yihao-package-1"}"#.as_slice()),
        ("application/json", b"{}".as_slice()),
    ] {
        let report = desk.ask(&issuer, media_type, content).await;
        let own = report["links"].as_array().unwrap().iter();
        let signatures = report["signatures"].as_array().into_iter().flatten();
        let all = own.chain(signatures.flat_map(|one| one["links"].as_array().unwrap()));
        for link in all {
            let zh = link["said_zh"].as_str().unwrap();
            assert!(!zh.is_ascii(), "{link}");
            assert!(!zh.contains("未通过检查"), "no words of its own: {link}");
            assert!(!link["said"].as_str().unwrap().is_empty(), "{link}");
        }
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Each part of a package may cost as much to check as a file by itself.
#[test]
fn of_a_package_with_many_bad_parts_some_are_checked_and_the_rest_is_named() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let parts = (0..10).map(|number| format!("{{\"format\":\"yihao-evidence-2\"}} {number}"));
    let evidence: serde_json::Map<_, _> = parts
        .map(|part| (certs::sha256(part.as_bytes()).to_string(), json!(STANDARD.encode(part))))
        .collect();
    let package = json!({
        "format": "yihao-package-1", "content": STANDARD.encode("{}"), "signature": "", "evidence": evidence,
    });
    let file = package.to_string();
    let input = hub::verify::Input { file: file.as_bytes(), signature: None, manifest: None };
    let trust = certs::TrustStore::new();
    let (report, _) = hub::verify::check(input, &trust, "2026-06-15T08:00:00Z".parse().unwrap());
    assert_eq!(report.parts.len(), 4, "{report:?}");
    let left = report.links.iter().filter(|link| link.result == "certificate_budget");
    assert_eq!(left.count(), 6, "{report:?}");
}
