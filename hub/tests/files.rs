//! Files of a licence: handed in with it, kept by their digest, opened under a grant only.

mod support;

use certs::sha256;
use licence::FileRef;
use reqwest::multipart::{Form, Part};
use support::TestHub;

#[actix_web::test]
async fn a_file_comes_in_with_its_licence_and_is_opened_under_the_grant_of_a_pull() {
    let hub = TestHub::start().await;
    let (mut licence, pull) = hub.enterprise_licence();
    let picture = b"%PDF-1.7 the face of the licence".to_vec();
    licence.files = vec![FileRef {
        name: "face.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        sha256: sha256(&picture),
        size: picture.len() as u64,
    }];
    let issuer = hub.issuer();
    let document = licence.to_bytes();
    let signature = issuer.sign(&document);

    let without = issuer.hand_in(&document, &signature).await;
    assert_eq!((without.status, without.code(), without.link()), (422, "file_missing", "files"));
    let other = [("file", b"another file".to_vec())];
    let refused = parts(&hub, &issuer, &document, &signature, &other).await;
    assert_eq!(refused["code"], "file_missing", "{refused}");
    let both = [("file", picture.clone()), ("file", b"another file".to_vec())];
    let refused = parts(&hub, &issuer, &document, &signature, &both).await;
    assert_eq!(refused["code"], "file_not_listed", "{refused}");
    assert_eq!(hub.registry_entries().await, 0, "nothing is stored of what was refused");

    let taken = parts(&hub, &issuer, &document, &signature, &[("file", picture.clone())]).await;
    assert_eq!(taken["verdict"]["result"], "trusted", "{taken}");

    let office = hub.puller(&pull);
    let pulled = office.pull(&pull).await;
    let file = &pulled.json["licences"][0]["files"][0];
    assert_eq!(file["sha256"], sha256(&picture).to_string(), "{}", pulled.text);
    let href = file["href"].as_str().unwrap();
    let opened = office.client.get(hub.url(href)).send().await.unwrap();
    assert_eq!(opened.headers()["content-type"], "application/pdf");
    assert_eq!(opened.bytes().await.unwrap(), picture);
    assert_eq!(hub.uses().await, 2, "opening is a use");

    let stranger = hub.stranger().get(href).await;
    assert_eq!((stranger.status, stranger.code()), (403, "grant_of_another"));
}

#[actix_web::test]
async fn a_holder_opens_the_files_of_an_own_licence_and_nobody_elses() {
    let hub = TestHub::start().await;
    let holder = hub.person(3).0;
    let mut licences = hub.licences();
    let mut licence = licences.find(|one| one.holders.iter().any(|one| one.id == holder)).unwrap();
    let picture = b"%PDF-1.7 the face of the licence".to_vec();
    licence.files = vec![FileRef {
        name: "face.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        sha256: sha256(&picture),
        size: picture.len() as u64,
    }];
    let mut all = support::departments().into_iter();
    let slug = all.find(|one| one.code == *licence.issuer.credit_code()).unwrap().slug;
    let issuer = hub.issuing(slug);
    let document = licence.to_bytes();
    let signature = issuer.sign(&document);
    parts(&hub, &issuer, &document, &signature, &[("file", picture.clone())]).await;

    let person = hub.applicant(3).await;
    let page = format!("/me/licences/{}", licence.identifier);
    let file = format!("{page}/files/{}", sha256(&picture));
    assert!(person.get(&page).await.html.contains(&format!("href=\"{file}\"")));
    let before = hub.uses().await;
    let opened = person.send(person.page(reqwest::Method::GET, &file)).await;
    assert_eq!((opened.status, opened.html.as_bytes()), (200, &picture[..]));
    assert_eq!(hub.uses().await, before + 1, "opening is a use");
    let api = format!("/v1/holders/me/licences/{}/files/{}", licence.identifier, sha256(&picture));
    let opened = person.api(reqwest::Method::GET, &api).send().await.unwrap();
    assert_eq!(opened.headers()["content-disposition"], "attachment");
    assert_eq!(opened.bytes().await.unwrap(), picture);

    let none = format!("{page}/files/{}", sha256(b"another file"));
    assert_eq!(person.get(&none).await.status, 404);
    let other = hub.applicant(4).await;
    assert_eq!(other.get(&file).await.status, 404);
    assert_eq!(other.call(reqwest::Method::GET, &api, None).await.code(), "unknown_licence");
}

#[actix_web::test]
async fn parts_that_do_not_belong_are_refused() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    let issuer = hub.issuer();
    let document = licence.to_bytes();
    let signature = issuer.sign(&document);
    for (extra, why) in [("note", "an unknown part"), ("licence", "a second licence")] {
        let refused =
            parts(&hub, &issuer, &document, &signature, &[(extra, document.clone())]).await;
        assert_eq!(refused["code"], "multipart", "{why}: {refused}");
    }
    let form = Form::new().part("licence", Part::bytes(document.clone()));
    let answer = issuer.client.post(hub.url("/v1/licences")).multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 400, "no signature");
    assert_eq!(hub.registry_entries().await, 0);
}

async fn parts(
    hub: &TestHub,
    issuer: &support::Actor,
    document: &[u8],
    signature: &[u8],
    more: &[(&'static str, Vec<u8>)],
) -> serde_json::Value {
    let mut form = Form::new()
        .part("licence", Part::bytes(document.to_vec()))
        .part("signature", Part::bytes(signature.to_vec()));
    for (name, bytes) in more {
        form = form.part(*name, Part::bytes(bytes.clone()).file_name("face.pdf"));
    }
    let answer = issuer.client.post(hub.url("/v1/licences")).multipart(form).send().await;
    answer.unwrap().json().await.unwrap()
}
