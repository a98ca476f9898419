//! Materials: files handed in once. They arrive in pieces and go on after whatever broke; only whole files of the types
//! that are taken are kept; nobody else's files are there.

mod support;

use std::{
    io::{Cursor, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use hub::reuse::{
    Clerk, Who,
    materials::{self, MaterialError},
    upload,
};
use jiff::{SignedDuration, ToSpan};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Answer, TestHub, people::PageClient};

/// Bytes by which our own signature database knows a harmful file.
const HARMFUL: &str = "yihao-harmful-test-content";

fn pdf(content: &[u8]) -> Vec<u8> {
    [b"%PDF-1.7\n".as_slice(), content, b"\nstartxref\n9\n%%EOF\n"].concat()
}

fn png() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", &[0; 13][..]), (b"IDAT", &[1; 30]), (b"IEND", &[])] {
        png.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        png.extend([kind, content, &[0; 4]].concat());
    }
    png
}

fn ofd(more: &[(&str, &[u8])]) -> Vec<u8> {
    let xml = br#"<ofd:OFD xmlns:ofd="http://www.ofdspec.org/2016" Version="1.0"/>"#;
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [("OFD.xml", xml.as_slice())].iter().chain(more) {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A matter of the housing bureau that asks for a floor plan, usable for 30 days.
fn signboard() -> Value {
    let housing = support::departments().into_iter().find(|one| one.slug == "housing").unwrap();
    json!({
        "code": format!("{}4450117099002", housing.code),
        "name": "设置招牌",
        "department": housing.code,
        "requires": [],
        "basis": "《城市市容和环境卫生管理条例》第十一条",
        "version": 1,
        "guide": {
            "applicants": ["person"],
            "days": { "legal": 10, "promised": 5 },
            "requirements": [{
                "id": "plan", "name": { "zh": "平面布局图", "en": "Floor plan" },
                "basis": "《城市市容和环境卫生管理条例》第十一条",
                "ways": [{ "by": "file", "kind": "floor-plan", "reusable_days": 30 }],
            }],
        },
    })
}

async fn town(more: &str) -> TestHub {
    let matters = json!({ "format": "yihao-matters-1", "matters": [signboard()] }).to_string();
    TestHub::start_prepared("127.0.0.1:0", |folder| {
        std::fs::write(folder.join("matters.json"), matters).unwrap();
        more.to_owned()
    })
    .await
}

/// What a person does with files, through the interface.
trait HandsIn {
    async fn announce(&self, new: &Value) -> Answer;
    async fn announced(&self, name: &str, size: usize) -> String;
    async fn patch(&self, upload: &str, offset: u64, bytes: Vec<u8>) -> reqwest::Response;
    async fn held(&self, upload: &str) -> Option<u64>;
    async fn finish(&self, upload: &str) -> Answer;
    async fn hand_in(&self, name: &str, bytes: Vec<u8>) -> Answer;
    async fn material(&self, name: &str, bytes: Vec<u8>) -> String;
    async fn open_case(&self) -> String;
    async fn attach(&self, case: &str, material: &str) -> Answer;
    async fn submit(&self, case: &str) -> Answer;
}

impl HandsIn for PageClient {
    async fn announce(&self, new: &Value) -> Answer {
        self.call(Method::POST, "/v1/materials", Some(new)).await
    }

    async fn announced(&self, name: &str, size: usize) -> String {
        let new = json!({ "kind": "floor-plan", "name": name, "size": size });
        let answer = self.announce(&new).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    async fn patch(&self, upload: &str, offset: u64, bytes: Vec<u8>) -> reqwest::Response {
        self.api(Method::PATCH, &format!("/v1/materials/uploads/{upload}"))
            .header("X-Yihao-Csrf", &self.csrf)
            .header("Content-Type", "application/offset+octet-stream")
            .header("Upload-Offset", offset)
            .body(bytes)
            .send()
            .await
            .unwrap()
    }

    async fn held(&self, upload: &str) -> Option<u64> {
        let path = format!("/v1/materials/uploads/{upload}");
        let answer = self.api(Method::HEAD, &path).send().await.unwrap();
        answer.headers().get("upload-offset")?.to_str().unwrap().parse().ok()
    }

    async fn finish(&self, upload: &str) -> Answer {
        let path = format!("/v1/materials/uploads/{upload}/finish");
        self.call(Method::POST, &path, None).await
    }

    async fn hand_in(&self, name: &str, bytes: Vec<u8>) -> Answer {
        let upload = self.announced(name, bytes.len()).await;
        assert_eq!(self.patch(&upload, 0, bytes).await.status(), 204);
        self.finish(&upload).await
    }

    async fn material(&self, name: &str, bytes: Vec<u8>) -> String {
        let answer = self.hand_in(name, bytes).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    async fn open_case(&self) -> String {
        let new = json!({ "matter": signboard()["code"] });
        let answer = self.call(Method::POST, "/v1/cases", Some(&new)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    async fn attach(&self, case: &str, material: &str) -> Answer {
        let path = format!("/v1/cases/{case}/materials");
        let body = json!({ "requirement": "plan", "material": material });
        self.call(Method::POST, &path, Some(&body)).await
    }

    async fn submit(&self, case: &str) -> Answer {
        self.call(Method::POST, &format!("/v1/cases/{case}/submit"), Some(&json!({}))).await
    }
}

fn offset_of(answer: &reqwest::Response) -> &str {
    answer.headers().get("upload-offset").map_or("", |offset| offset.to_str().unwrap())
}

/// Files in the file store, without those that are arriving.
fn kept(hub: &TestHub) -> usize {
    let folder = hub.folder.path().join("hub/files");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|shelf| shelf.unwrap())
        .filter(|shelf| shelf.file_name() != "arriving")
        .map(|shelf| std::fs::read_dir(shelf.path()).unwrap().count())
        .sum()
}

fn arriving(hub: &TestHub) -> usize {
    std::fs::read_dir(hub.folder.path().join("hub/files/arriving")).unwrap().count()
}

#[actix_web::test]
async fn a_file_sent_in_pieces_becomes_the_material_that_was_announced_and_reads_back_byte_for_byte()
 {
    let hub = TestHub::start().await;
    let person = hub.applicant(1).await;
    let bytes = pdf(&(0..3_000_000_u32).map(|at| at.to_le_bytes()[0] ^ 7).collect::<Vec<_>>());
    let upload = person.announced("平面图.pdf", bytes.len()).await;
    assert_eq!(person.held(&upload).await, Some(0));
    let half = bytes.len() / 2;
    let sent = person.patch(&upload, 0, bytes[..half].to_vec()).await;
    assert_eq!((sent.status().as_u16(), offset_of(&sent)), (204, half.to_string().as_str()));
    assert_eq!(person.held(&upload).await, Some(half as u64));
    assert_eq!(person.finish(&upload).await.code(), "upload_incomplete");
    assert_eq!(person.patch(&upload, half as u64, bytes[half..].to_vec()).await.status(), 204);

    let material = person.finish(&upload).await;

    assert_eq!(material.status, 200, "{}", material.text);
    let id = material.json["id"].as_str().unwrap();
    assert_eq!(material.json["media_type"], "application/pdf");
    assert_eq!(material.json["size"], bytes.len());
    assert_eq!(material.json["sha256"], certs::sha256(&bytes).to_string());
    assert_eq!(material.json["handed_in_by"], "holder");
    assert_eq!(material.json["checked"][0]["what"], "type");
    assert_eq!(material.json["checked"][1]["what"], "not_scanned");
    assert_eq!(person.finish(&upload).await.json["id"], id, "finishing again is the same material");
    assert_eq!((kept(&hub), arriving(&hub)), (1, 0));
    let path = format!("/v1/materials/{id}/content");
    let opened = person.api(Method::GET, &path).send().await.unwrap();
    let said = |name: &str| opened.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(said("content-type"), "application/pdf");
    assert_eq!(said("content-length"), bytes.len().to_string());
    assert_eq!(said("x-content-type-options"), "nosniff");
    assert_eq!(
        said("content-disposition"),
        "attachment; filename*=UTF-8''%E5%B9%B3%E9%9D%A2%E5%9B%BE.pdf"
    );
    assert_eq!(opened.bytes().await.unwrap(), bytes);
    let listed = person.call(Method::GET, "/v1/materials", None).await;
    assert_eq!(listed.json["materials"][0]["id"], id);
}

#[actix_web::test]
async fn an_upload_goes_on_after_a_broken_connection_and_after_a_restart_of_the_hub() {
    let mut hub = TestHub::start().await;
    let person = hub.applicant(1).await;
    let bytes = pdf(&vec![5; 2_000_000]);
    let upload = person.announced("图.pdf", bytes.len()).await;
    // A body that is declared longer than what comes before the connection breaks.
    let broken = stream::iter([
        Ok(Bytes::from(bytes[..700_000].to_vec())),
        Err(std::io::Error::other("the cable was pulled")),
    ]);
    let sent = person
        .api(Method::PATCH, &format!("/v1/materials/uploads/{upload}"))
        .header("X-Yihao-Csrf", &person.csrf)
        .header("Content-Type", "application/offset+octet-stream")
        .header("Content-Length", bytes.len())
        .header("Upload-Offset", 0)
        .body(reqwest::Body::wrap_stream(broken))
        .send()
        .await;
    assert!(sent.is_err(), "nothing was acknowledged");
    let mut held = 0;
    for _ in 0..100 {
        held = person.held(&upload).await.unwrap();
        if held > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(held > 0, "what arrived is kept");
    assert!(held <= 700_000);

    hub.restart().await;

    let person = hub.applicant(1).await;
    assert_eq!(person.held(&upload).await, Some(held), "also by a hub that was restarted");
    let from = usize::try_from(held).unwrap();
    assert_eq!(person.patch(&upload, held, bytes[from..].to_vec()).await.status(), 204);
    let material = person.finish(&upload).await;
    assert_eq!(material.json["sha256"], certs::sha256(&bytes).to_string(), "{}", material.text);
    hub.stop().await;
}

#[actix_web::test]
async fn no_byte_is_missing_or_there_twice() {
    let hub = TestHub::start().await;
    let person = hub.applicant(1).await;
    let bytes = pdf(b"x");
    let upload = person.announced("图.pdf", bytes.len()).await;
    assert_eq!(person.patch(&upload, 0, bytes[..10].to_vec()).await.status(), 204);
    for wrong in [0, 9, 11, u64::MAX] {
        let refused = person.patch(&upload, wrong, bytes[10..].to_vec()).await;
        assert_eq!((refused.status().as_u16(), offset_of(&refused)), (409, "10"), "{wrong}");
    }
    let more = [&bytes[10..], b"more"].concat();
    assert_eq!(person.patch(&upload, 10, more).await.status(), 413);
    assert_eq!(person.finish(&upload).await.status, 200, "what fits was kept");
    assert_eq!(person.patch(&upload, bytes.len() as u64, vec![]).await.status(), 409, "finished");
    // Without an offset, or with another media type, nothing is written.
    let upload = person.announced("图.pdf", bytes.len()).await;
    let path = format!("/v1/materials/uploads/{upload}");
    let patch = || person.api(Method::PATCH, &path).header("X-Yihao-Csrf", &person.csrf);
    let piece = "application/offset+octet-stream";
    let refused = patch().header("Content-Type", piece).body(bytes.clone()).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let refused = patch().header("Upload-Offset", 0).body(bytes.clone()).send().await.unwrap();
    assert_eq!(refused.status(), 415);
    let forged = person.api(Method::PATCH, &path).header("Content-Type", piece);
    let forged = forged.header("Upload-Offset", 0).body(bytes).send().await.unwrap();
    assert_eq!(forged.status(), 403, "without the session's token");
    assert_eq!(person.held(&upload).await, Some(0));
}

#[actix_web::test]
async fn an_upload_is_written_by_one_request_at_a_time() {
    let hub = TestHub::start().await;
    let person = hub.applicant(1).await;
    let upload = person.announced("图.pdf", 100).await;
    let who = Who::Holder { person: person_of(&person), holder: person.holder().clone() };
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let slow = stream::unfold(receiver, async |mut all| all.recv().await.map(|one| (one, all)));
    let (first, second) = tokio::join!(upload::append(&hub.hub, &who, &upload, 0, slow), async {
        sender.send(Ok(Bytes::from_static(b"%PDF"))).await.unwrap();
        let refused = person.patch(&upload, 0, b"other".to_vec()).await;
        let finished = person.finish(&upload).await;
        drop(sender);
        (refused.status().as_u16(), finished.code().to_owned())
    });
    assert_eq!(first.unwrap().held, 4);
    assert_eq!(second, (503, "upload_busy".to_owned()));
}

fn person_of(client: &PageClient) -> hub::login::Person {
    hub::login::Person {
        account: client.account.clone(),
        session: String::new(),
        csrf: client.csrf.clone(),
    }
}

#[actix_web::test]
async fn only_whole_files_of_the_types_that_are_taken_are_kept() {
    let hub = TestHub::start().await;
    let person = hub.applicant(1).await;
    let bomb = ofd(&[("a", &vec![0; 8 << 20])]);
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("a.pdf", b"<html><script>alert(1)</script></html>".to_vec(), "file_type"),
        ("a.exe", b"MZ\x90\0".to_vec(), "file_type"),
        ("a.docx", ofd_without_ofd(), "file_type"),
        ("a.png", pdf(b"x"), "file_extension"),
        ("a.pdf.exe", pdf(b"x"), "file_extension"),
        ("a.pdf", pdf(b"x")[..20].to_vec(), "file_truncated"),
        ("a.png", png()[..40].to_vec(), "file_truncated"),
        ("a.png", [png(), pdf(b"x")].concat(), "file_two_types"),
        ("a.pdf", [pdf(b"x"), ofd(&[])].concat(), "file_two_types"),
        ("a.ofd", ofd(&[("../../etc/passwd", b"x")]), "file_archive"),
        ("a.ofd", bomb, "file_archive"),
    ];
    for (name, bytes, code) in cases {
        let refused = person.hand_in(name, bytes).await;
        assert_eq!((refused.status, refused.code()), (422, code), "{name}: {}", refused.text);
        assert_eq!(refused.link(), "files");
    }
    assert_eq!((kept(&hub), arriving(&hub)), (0, 0), "nothing of it stays");
    for (name, bytes, media_type) in [
        ("a.pdf", pdf(b"x"), "application/pdf"),
        ("a.PNG", png(), "image/png"),
        ("a.ofd", ofd(&[("Doc_0/Document.xml", b"x")]), "application/ofd"),
    ] {
        let taken = person.hand_in(name, bytes).await;
        assert_eq!(taken.json["media_type"], media_type, "{}", taken.text);
    }
}

fn ofd_without_ofd() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
    archive.finish().unwrap().into_inner()
}

#[actix_web::test]
async fn what_is_announced_is_bounded_and_can_be_shown() {
    let hub = TestHub::start_with("[materials]\nmost_bytes = 1000\n").await;
    let person = hub.applicant(1).await;
    let long = "长".repeat(121);
    for (kind, name, size, code) in [
        ("", "a.pdf", 1, "material_kind"),
        ("Floor Plan", "a.pdf", 1, "material_kind"),
        ("../x", "a.pdf", 1, "material_kind"),
        ("plan", "", 1, "material_name"),
        ("plan", "a/b.pdf", 1, "material_name"),
        ("plan", "a\nb.pdf", 1, "material_name"),
        ("plan", "a\u{202e}fdp.exe", 1, "material_name"),
        ("plan", long.as_str(), 1, "material_name"),
        ("plan", "a.pdf", 0, "material_empty"),
        ("plan", "a.pdf", 1001, "material_too_large"),
    ] {
        let refused = person.announce(&json!({ "kind": kind, "name": name, "size": size })).await;
        assert_eq!(refused.code(), code, "{kind} {name} {size}");
    }
    // What is not announced is counted: a form cannot take more either.
    let who = Who::Holder { person: person_of(&person), holder: person.holder().clone() };
    let what = materials::NewMaterial {
        kind: "plan".to_owned(),
        name: "a.pdf".to_owned(),
        size: 0,
        case: None,
        valid_until: None,
    };
    for (pieces, code) in [(11, "material_too_large"), (0, "material_empty")] {
        let pieces = vec![Bytes::from(vec![1; 100]); pieces].into_iter();
        let pieces = stream::iter(pieces.map(Ok::<_, std::io::Error>));
        let taken = upload::take(&hub.hub, &who, person.holder(), &what, pieces).await;
        assert_eq!(taken.unwrap_err().code(), code);
    }
    assert_eq!(arriving(&hub), 0);
    // Four of the largest may be on the way at a time.
    for _ in 0..4 {
        person.announced("a.pdf", 1000).await;
    }
    let new = json!({ "kind": "plan", "name": "a.pdf", "size": 1 });
    assert_eq!(person.announce(&new).await.code(), "upload_quota");
    let other = hub.applicant(2).await;
    assert_eq!(other.announce(&new).await.status, 201, "others are not held up");
}

#[actix_web::test]
async fn an_upload_that_is_not_finished_within_a_day_is_given_up_with_its_bytes() {
    let hub = TestHub::start().await;
    let person = hub.applicant(1).await;
    let old = person.announced("图.pdf", 100).await;
    assert_eq!(person.patch(&old, 0, vec![1; 50]).await.status(), 204);
    std::fs::write(hub.folder.path().join("hub/files/arriving/u_orphan"), b"x").unwrap();
    hub.hub.clock.advance(SignedDuration::from_hours(23));
    let person = hub.applicant(1).await;
    let young = person.announced("图.pdf", 100).await;
    assert_eq!(person.patch(&young, 0, vec![1; 50]).await.status(), 204);
    assert_eq!(upload::sweep(&hub.hub).await.unwrap(), 1, "what no upload knows of");
    hub.hub.clock.advance(SignedDuration::from_hours(1));

    let person = hub.applicant(1).await;
    assert_eq!(person.held(&old).await, None);
    assert_eq!(upload::sweep(&hub.hub).await.unwrap(), 1);

    assert_eq!((arriving(&hub), person.held(&young).await), (1, Some(50)));
    let path = format!("/v1/materials/uploads/{young}");
    assert_eq!(person.call(Method::DELETE, &path, None).await.status, 204);
    assert_eq!((arriving(&hub), person.held(&young).await), (0, None));
}

#[actix_web::test]
async fn somebody_elses_uploads_materials_and_cases_are_answered_as_if_they_were_not_there() {
    let hub = town("").await;
    let (owner, other) = (hub.applicant(1).await, hub.applicant(2).await);
    let bytes = pdf(b"x");
    let upload = owner.announced("图.pdf", bytes.len()).await;
    let material = owner.material("图.pdf", bytes.clone()).await;
    let case = owner.open_case().await;
    let unknown = ("u_00000000000000000000000000000000", "m_00000000000000000000000000000000");
    let strangers = [
        other,
        hub.window_clerk().await,
        hub.department_clerk("housing").await,
        hub.operator().await,
        hub.auditor().await,
    ];
    for stranger in &strangers {
        for (method, theirs, nobodys) in [
            (Method::PATCH, format!("/uploads/{upload}"), format!("/uploads/{}", unknown.0)),
            (Method::DELETE, format!("/uploads/{upload}"), format!("/uploads/{}", unknown.0)),
            (Method::GET, format!("/{material}"), format!("/{}", unknown.1)),
            (Method::GET, format!("/{material}/content"), format!("/{}/content", unknown.1)),
        ] {
            let ask = async |path: String| {
                let path = format!("/v1/materials{path}");
                let request = stranger
                    .api(method.clone(), &path)
                    .header("X-Yihao-Csrf", &stranger.csrf)
                    .header("Content-Type", "application/offset+octet-stream")
                    .header("Upload-Offset", 0)
                    .body(bytes.clone());
                let answer = request.send().await.unwrap();
                (answer.status().as_u16(), answer.text().await.unwrap())
            };
            let (theirs, nobodys) = (ask(theirs).await, ask(nobodys).await);
            assert_eq!(theirs, nobodys);
            assert_eq!(theirs.0, 404, "{}", theirs.1);
        }
        assert_eq!(stranger.held(&upload).await, None);
        assert_eq!(stranger.finish(&upload).await.code(), "unknown_upload");
        let new = json!({ "kind": "plan", "name": "a.pdf", "size": 9, "case": case });
        assert_eq!(stranger.announce(&new).await.code(), "unknown_case");
        let listed = stranger.call(Method::GET, "/v1/materials", None).await;
        assert!(!listed.text.contains(&material), "{}", listed.text);
    }
    assert_eq!(owner.held(&upload).await, Some(0), "nothing was done to it");
    let housing = hub.department("housing");
    assert_eq!(housing.get(&format!("/v1/materials/{material}")).await.code(), "unknown_material");
}

#[actix_web::test]
async fn a_department_opens_a_file_once_its_case_was_submitted_and_each_opening_is_a_use() {
    let hub = town("").await;
    let person = hub.applicant(1).await;
    let material = person.material("图.pdf", pdf(b"plan")).await;
    let case = person.open_case().await;
    let attached = person.attach(&case, &material).await;
    assert_eq!(attached.status, 200, "{}", attached.text);
    let (housing, elsewhere) = (hub.department("housing"), hub.office());
    let content = format!("/v1/materials/{material}/content");
    assert_eq!(housing.get(&content).await.code(), "unknown_material", "not handed to it yet");
    let submitted = person.submit(&case).await;
    assert_eq!(submitted.status, 200, "{}", submitted.text);

    let before = hub.uses().await;
    let opened = housing.get(&content).await;

    assert_eq!((opened.status, opened.text.as_bytes()), (200, pdf(b"plan").as_slice()));
    assert_eq!(hub.uses().await, before + 1);
    let entry = hub.hub.store.uses(licence::Seq(before), 1).await.unwrap().remove(0);
    assert_eq!(entry.case.as_deref(), Some(case.as_str()));
    assert_eq!(entry.caller, housing.department.code);
    let told = housing.get(&format!("/v1/materials/{material}")).await;
    assert!(told.json.get("used_by").is_none(), "other cases are not its business: {}", told.text);
    assert_eq!(elsewhere.get(&content).await.code(), "unknown_material");
    let clerk = hub.department_clerk("housing").await;
    assert_eq!(clerk.api(Method::GET, &content).send().await.unwrap().status(), 200);
    assert_eq!(hub.uses().await, before + 2);
    // The holder's own look is nobody's use.
    assert_eq!(person.api(Method::GET, &content).send().await.unwrap().status(), 200);
    assert_eq!(hub.uses().await, before + 2);
}

#[actix_web::test]
async fn a_file_handed_in_once_is_used_again_until_it_is_outdated_and_counts_the_copies_it_spared()
{
    let hub = town("").await;
    let person = hub.applicant(1).await;
    let material = person.material("图.pdf", pdf(b"plan")).await;
    let today = hub.hub.clock.today();
    let reusable = async |days: u16, ahead: i32| {
        let day = today.saturating_add(ahead.days());
        let found =
            materials::reusable(&hub.hub, person.holder(), "floor-plan", days, day).await.unwrap();
        found.map(|found| found.id)
    };
    assert_eq!(reusable(30, 30).await.as_deref(), Some(material.as_str()));
    assert_eq!(reusable(30, 31).await, None, "outdated");
    assert_eq!(reusable(0, 0).await, None, "a kind for its own case only");
    for spared in 0..3 {
        let case = person.open_case().await;
        assert_eq!(person.attach(&case, &material).await.status, 200);
        assert_eq!(person.attach(&case, &material).await.status, 200, "attached twice counts once");
        let told = person.call(Method::GET, &format!("/v1/materials/{material}"), None).await;
        assert_eq!(told.json["spared"], spared);
    }
    // A document with a last day of its own is not used after it.
    hub.hub.clock.advance(jiff::SignedDuration::from_secs(1));
    let last = today.saturating_add(3.days());
    let new = json!({ "kind": "floor-plan", "name": "图.pdf", "size": pdf(b"new").len(),
                      "valid_until": last.to_string() });
    let upload = person.announce(&new).await.json["id"].as_str().unwrap().to_owned();
    person.patch(&upload, 0, pdf(b"new")).await;
    let newer = person.finish(&upload).await.json["id"].as_str().unwrap().to_owned();
    assert_eq!(reusable(30, 3).await, Some(newer));
    assert_eq!(reusable(30, 4).await, Some(material), "the one before is still good");
}

#[actix_web::test]
async fn a_clerk_hands_in_for_a_case_of_the_window_and_for_nothing_else() {
    let hub = town("").await;
    let clerk = hub.window_clerk().await;
    let holder = hub.person(1).0;
    let new = json!({ "matter": signboard()["code"],
                      "holder": { "kind": holder.kind().code(), "number": holder.number() } });
    let case = clerk.call(Method::POST, "/v1/cases", Some(&new)).await;
    assert_eq!(case.status, 201, "{}", case.text);
    let case = case.json["id"].as_str().unwrap();
    let bytes = pdf(b"scanned");
    let mut new = json!({ "kind": "floor-plan", "name": "扫描件.pdf", "size": bytes.len() });
    assert_eq!(clerk.announce(&new).await.code(), "material_not_permitted");
    new["case"] = json!(case);
    let upload = clerk.announce(&new).await.json["id"].as_str().unwrap().to_owned();
    let colleague = hub.clerk("hall-2").await;
    assert_eq!(colleague.held(&upload).await, None, "another window's clerk");
    assert_eq!(clerk.patch(&upload, 0, bytes).await.status(), 204);
    let material = clerk.finish(&upload).await;
    assert_eq!(material.json["handed_in_by"], "hall-1", "{}", material.text);
    let id = material.json["id"].as_str().unwrap();
    assert_eq!(clerk.attach(case, id).await.status, 200);
    // It is the holder's.
    let person = hub.applicant(1).await;
    let listed = person.call(Method::GET, "/v1/materials", None).await;
    assert_eq!(listed.json["materials"][0]["id"], id);
    let who = Who::Clerk(Clerk::of(&hub.hub, &person_of(&clerk)).unwrap());
    let asked = materials::of_holder(&hub.hub, &who, 9).await;
    assert!(matches!(asked, Err(MaterialError::NotPermitted(_))), "clerks list nobody's files");
}

/// The real clamd with a signature database of our own, on a socket in a folder.
struct Clamd {
    folder: PathBuf,
    running: Option<Child>,
}

impl Clamd {
    fn prepare(folder: &Path) -> Self {
        let database = folder.join("signatures");
        std::fs::create_dir_all(&database).unwrap();
        let signature = format!("Yihao.Test:0:*:{}\n", hex::encode(HARMFUL));
        std::fs::write(database.join("own.ndb"), signature).unwrap();
        let settings = format!(
            "LocalSocket {folder}/clamd.sock\nDatabaseDirectory {folder}/signatures\n\
             Foreground yes\nFixStaleSocket yes\nStreamMaxLength 2M\nMaxFileSize 2M\n\
             MaxScanSize 2M\nAlertExceedsMax yes\n",
            folder = folder.display()
        );
        std::fs::write(folder.join("clamd.conf"), settings).unwrap();
        Self { folder: folder.to_owned(), running: None }
    }

    fn settings(&self) -> String {
        format!("[materials]\nclamd = \"{}/clamd.sock\"\n", self.folder.display())
    }

    async fn start(&mut self) {
        let program = ["/usr/sbin/clamd", "/usr/local/sbin/clamd"].into_iter().map(Path::new);
        let program = program.into_iter().find(|path| path.exists());
        let running = Command::new(program.expect("clamd; `./dev setup test` brings it"))
            .arg("--config-file")
            .arg(self.folder.join("clamd.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.running = Some(running);
        for _ in 0..600 {
            if std::os::unix::net::UnixStream::connect(self.folder.join("clamd.sock")).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("clamd did not come up");
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}

#[actix_web::test]
async fn what_the_antivirus_program_finds_is_not_kept_and_without_it_nothing_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut clamd = Clamd::prepare(folder.path());
    let hub = TestHub::start_with(&clamd.settings()).await;
    let person = hub.applicant(1).await;
    // clamd is away: nothing is taken, nothing is lost.
    let bytes = pdf(b"plan");
    let upload = person.announced("图.pdf", bytes.len()).await;
    person.patch(&upload, 0, bytes.clone()).await;
    let refused = person.finish(&upload).await;
    assert_eq!((refused.status, refused.code()), (503, "scanner_unavailable"));
    assert_eq!(refused.json["retry"], true);
    assert_eq!((kept(&hub), person.held(&upload).await), (0, Some(bytes.len() as u64)));

    clamd.start().await;

    let material = person.finish(&upload).await;
    assert_eq!(material.status, 200, "{}", material.text);
    assert_eq!(material.json["checked"][1]["what"], "scanned");
    let by = material.json["checked"][1]["by"].as_str().unwrap();
    assert!(by.starts_with("ClamAV "), "{by}");
    let harmful = person.hand_in("图.pdf", pdf(HARMFUL.as_bytes())).await;
    assert_eq!((harmful.status, harmful.code()), (422, "material_infected"));
    assert!(!harmful.text.contains("Yihao.Test"), "{}", harmful.text);
    // Larger than what clamd looks at: not looked at is not clean.
    let large = person.hand_in("图.pdf", pdf(&vec![1; 3 << 20])).await;
    assert_eq!((large.status, large.code()), (503, "scanner_unavailable"), "{}", large.text);
    assert_eq!(kept(&hub), 1);
}

/// A form with a file, as a browser without scripts sends it.
async fn send_form(
    client: &PageClient,
    path: &str,
    csrf: &str,
    members: &[(&str, &str)],
    file: Option<(&str, Vec<u8>)>,
) -> support::people::Page {
    let mut form = reqwest::multipart::Form::new().text("csrf", csrf.to_owned());
    for (name, value) in members {
        form = form.text((*name).to_owned(), (*value).to_owned());
    }
    if let Some((name, bytes)) = file {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned());
        form = form.part("file", part);
    }
    client.send(client.page(Method::POST, path).multipart(form)).await
}

#[actix_web::test]
async fn a_form_without_scripts_hands_a_file_in_for_its_case_and_the_list_says_what_it_spared() {
    let hub = town("").await;
    let person = hub.applicant(1).await;
    let case = person.open_case().await;
    let path = format!("/me/cases/{case}/files");
    let plan = [("requirement", "plan"), ("kind", "floor-plan")];
    let csrf = person.csrf.clone();
    let name = "平面图 <b>一.pdf";

    let wrong = send_form(&person, &path, "wrong", &plan, Some((name, pdf(b"x")))).await;
    assert_eq!(wrong.status, 403, "the token of another session");
    for (members, file, code) in [
        (&plan[..], Some(("a.pdf", b"<html>".to_vec())), "file_type"),
        (&plan[..], None, "file_missing"),
        (&[][..], Some(("a.pdf", pdf(b"x"))), "file_missing"),
        (&[("requirement", "other")][..], Some(("a.pdf", pdf(b"x"))), "unknown_requirement"),
    ] {
        let refused = send_form(&person, &path, &csrf, members, file).await;
        let to = format!("/me/cases/{case}?refused={code}");
        assert_eq!((refused.status, refused.location()), (303, to.as_str()));
        assert_eq!(person.get(&to).await.status, 200);
    }
    assert_eq!(kept(&hub), 0);
    let stranger = hub.applicant(2).await;
    let stolen = send_form(&stranger, &path, &stranger.csrf, &plan, Some(("a.pdf", pdf(b"x"))));
    assert_eq!(stolen.await.status, 404);

    let taken = send_form(&person, &path, &csrf, &plan, Some((name, pdf(b"plan")))).await;

    let to = format!("/me/cases/{case}?done=file");
    assert_eq!((taken.status, taken.location()), (303, to.as_str()), "{}", taken.text());
    let list = person.get("/me/materials").await;
    assert_eq!(list.status, 200, "{}", list.text());
    assert!(list.html.contains("平面图 &#60;b&#62;一.pdf"), "{}", list.html);
    assert!(list.html.contains("平面布局图"), "the matter's name for it: {}", list.text());
    assert!(list.html.contains("2026-04-01"), "usable for 30 days: {}", list.text());
    assert!(list.html.contains(&format!("/me/cases/{case}")), "{}", list.text());
    assert!(list.html.contains("还没有再用过"), "{}", list.text());
    // Another case uses it: by name, as the script sends it.
    let other = person.open_case().await;
    let listed = person.call(Method::GET, "/v1/materials", None).await;
    let material = listed.json["materials"][0]["id"].as_str().unwrap();
    let members = [("requirement", "plan"), ("material", material)];
    let path = format!("/me/cases/{other}/files");
    let named = send_form(&person, &path, &csrf, &members, None).await;
    assert_eq!(named.location(), format!("/me/cases/{other}?done=file"));
    let list = person.get("/me/materials?lang=en").await.text();
    assert!(list.contains("Together they spared you 1 copies."), "{list}");
    // The file opens from the page's own address, too.
    let opened = person.get(&format!("/v1/materials/{material}/content")).await;
    assert_eq!((opened.status, opened.html.as_bytes()), (200, pdf(b"plan").as_slice()));
    let nobody = stranger.get("/me/materials").await.text();
    assert!(!nobody.contains("平面图"), "{nobody}");
}

/// 500 MB have a step of their own in `.ci/run`. By hand:
/// `cargo test -p hub --test materials -- --ignored --nocapture`.
#[actix_web::test]
#[ignore = "writes 1.5 GB; .ci/run does, by itself"]
async fn half_a_gigabyte_goes_through_with_bounded_memory() {
    const PIECE: usize = 1 << 20;
    let hub = TestHub::start().await;
    let person = hub.applicant(1).await;
    let pieces = 500_usize;
    let head = pdf(b"");
    let (start, end) = (b"%PDF-1.7\n".to_vec(), head[10..].to_vec());
    let size = pieces * PIECE;
    let upload = person.announced("大图.pdf", size).await;
    let before = peak_kib();
    let begun = std::time::Instant::now();
    let body = stream::iter((0..pieces).map(move |at| {
        let mut piece = vec![at.to_le_bytes()[0]; PIECE];
        if at == 0 {
            piece[..start.len()].copy_from_slice(&start);
        }
        if at == pieces - 1 {
            piece[PIECE - end.len()..].copy_from_slice(&end);
        }
        Ok::<_, std::io::Error>(Bytes::from(piece))
    }));
    let sent = person
        .api(Method::PATCH, &format!("/v1/materials/uploads/{upload}"))
        .header("X-Yihao-Csrf", &person.csrf)
        .header("Content-Type", "application/offset+octet-stream")
        .header("Upload-Offset", 0)
        .header("Content-Length", size)
        .body(reqwest::Body::wrap_stream(body))
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 204);
    let arrived = begun.elapsed();
    let material = person.finish(&upload).await;
    assert_eq!(material.status, 200, "{}", material.text);
    let finished = begun.elapsed();
    let path = format!("/v1/materials/{}/content", material.json["id"].as_str().unwrap());
    let mut opened = person.api(Method::GET, &path).send().await.unwrap();
    let mut read = 0;
    while let Some(piece) = opened.chunk().await.unwrap() {
        read += piece.len();
    }
    assert_eq!(read, size);
    let (peak, all) = (peak_kib(), begun.elapsed());
    println!(
        "sent {arrived:.1?}, finished {finished:.1?}, read back {all:.1?}; peak RSS {before} -> {peak} KiB \
         (hub and client in one process)"
    );
    assert!(peak - before < 128 << 10, "{before} -> {peak} KiB");
}

/// The most memory this process has had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
