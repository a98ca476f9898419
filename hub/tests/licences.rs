//! Signed licences in: what is taken in, and what the hub says of it.

mod support;

use certs::{Manifest, sha256};
use licence::{RevocationCause, StatusChange};
use serde_json::json;
use support::TestHub;

#[actix_web::test]
async fn a_signed_licence_is_stored_once_and_pulled_as_trusted() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();

    let first = hub.issuer().issue(&licence).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.json["verdict"]["result"], "trusted");
    assert_eq!(first.json["seq"], 0);

    // The same bytes again: the first number, nothing new.
    let issuer = hub.issuer();
    let document = licence.to_bytes();
    let again = issuer.hand_in(&document, &issuer.sign(&document)).await;
    assert_eq!((again.status, &again.json["seq"]), (200, &json!(0)));
    assert_eq!(hub.registry_entries().await, 1);

    let pulled = hub.puller(&pull).pull(&pull).await;
    assert_eq!(pulled.status, 200, "{}", pulled.text);
    let held = &pulled.json["licences"][0];
    assert_eq!(held["identifier"], licence.identifier.as_str());
    assert_eq!(held["verification"]["result"], "trusted");
    for link in ["signature", "chain", "status", "validity"] {
        assert_eq!(held["verification"][link], "ok", "{link}");
    }
    assert_eq!(held["verification"]["revocation"]["result"], "good");
    assert_eq!(held["verification"]["log"]["digest"], sha256(&document).to_string());
    assert_eq!(held["fields"], serde_json::Value::Object(licence.fields.clone()));
    assert_eq!(pulled.json["use"], 0, "the use is on the access log");
}

#[actix_web::test]
async fn a_revoked_licence_is_listed_without_its_fields_and_the_feed_says_so() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    let issuer = hub.issuer();
    issuer.issue(&licence).await;

    let cause = RevocationCause::Deregistered;
    let revoked = issuer.order(&licence.identifier, StatusChange::Revoke { cause }).await;
    assert_eq!(
        (revoked.status, &revoked.json["status"]),
        (200, &json!("revoked")),
        "{}",
        revoked.text
    );

    let pulled = hub.puller(&pull).pull(&pull).await;
    let held = &pulled.json["licences"][0];
    assert_eq!(held["status"], "revoked");
    assert_eq!(held["verification"]["result"], "untrusted");
    assert_eq!(held["verification"]["status"], "revoked");
    assert!(held.get("fields").is_none() && held.get("name").is_none(), "{held}");

    let feed = issuer.get("/v1/changes").await;
    let kinds: Vec<_> = feed.json["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| format!("{} {}", change["seq"], change["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, ["0 issued", "1 status_changed"]);

    // What is revoked stays revoked.
    let restored = issuer.order(&licence.identifier, StatusChange::Restore).await;
    assert_eq!((restored.status, restored.code()), (409, "status_transition_not_allowed"));
    assert_eq!(hub.registry_entries().await, 2);
}

#[actix_web::test]
async fn a_suspended_licence_is_trusted_again_after_it_is_restored() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    let issuer = hub.issuer();
    issuer.issue(&licence).await;
    let office = hub.puller(&pull);

    issuer.order(&licence.identifier, StatusChange::Suspend).await;
    let suspended = office.pull(&pull).await;
    assert_eq!(suspended.json["licences"][0]["verification"]["status"], "suspended");

    let restored = issuer.order(&licence.identifier, StatusChange::Restore).await;
    assert_eq!(restored.status, 200, "{}", restored.text);
    let pulled = office.pull(&pull).await;
    assert_eq!(pulled.json["licences"][0]["verification"]["result"], "trusted");
}

#[actix_web::test]
async fn a_batch_is_taken_in_under_one_signature_and_each_licence_stands_alone() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let licences: Vec<_> = hub
        .licences()
        .filter(|licence| *licence.issuer.credit_code() == issuer.department.code)
        .take(20)
        .collect();
    let documents: Vec<Vec<u8>> = licences.iter().map(licence::Licence::to_bytes).collect();
    let digests: Vec<_> = documents.iter().map(|document| sha256(document)).collect();
    let manifest = Manifest::write(&issuer.department.code, "b-1", &digests).unwrap();
    let signature = issuer.sign(&manifest);

    let (answer, lines) = issuer.hand_in_batch(&manifest, &signature, &documents).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(lines.len(), 21);
    for (position, line) in lines[..20].iter().enumerate() {
        assert_eq!(line["outcome"], "stored", "{line}");
        assert_eq!(line["line"], position + 2);
        assert_eq!(line["seq"], position);
    }
    let summary = json!({ "stored": 20, "already_held": 0, "refused": 0, "missing": 0 });
    assert_eq!(lines[20]["summary"], summary);

    let (_, lines) = issuer.hand_in_batch(&manifest, &signature, &documents).await;
    assert_eq!(lines[20]["summary"]["already_held"], 20, "sending it again is safe");
    assert_eq!(hub.registry_entries().await, 20);

    let face = issuer.get(&format!("/v1/licences/{}", licences[3].identifier)).await;
    assert_eq!(face.json["status"], "valid", "{}", face.text);
}

#[actix_web::test]
async fn the_public_face_needs_no_certificate_and_shows_nothing_personal() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    let answer = hub
        .nobody()
        .get(hub.url(&format!("/v1/licences/{}", licence.identifier)))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(text.contains("\"result\":\"trusted\""), "{text}");
    assert!(!text.contains(&licence.holders[0].name) && !text.contains(&licence.number), "{text}");
}
