//! Verified licences out: only for a purpose, never without a trace.

mod support;

use hub::clock::Clock;
use jiff::SignedDuration;
use licence::StatusChange;
use serde_json::json;
use support::{TestHub, pull_request};

#[actix_web::test]
async fn every_pull_and_every_opening_is_on_the_access_log() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    let office = hub.puller(&pull);

    let pulled = office.pull(&pull).await;
    let grant = pulled.json["grant"].as_str().unwrap();
    assert_eq!(hub.uses().await, 1);
    let content = office.get(&format!("/v1/grants/{grant}/licences/{}", licence.identifier)).await;
    assert_eq!(content.json["format"], "yihao-evidence-1", "{}", content.text);
    assert_eq!(hub.uses().await, 2);

    // What the grant opened can be checked without the hub.
    let checked = office.post("/v1/verify", &content.json).await;
    assert_eq!(checked.json["result"], "trusted", "{}", checked.text);
    assert_eq!(checked.json["held"], "valid");
}

#[actix_web::test]
async fn content_opens_for_the_grants_own_department_until_its_time() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    let office = hub.puller(&pull);
    let pulled = office.pull(&pull).await;
    let path = format!(
        "/v1/grants/{}/licences/{}",
        pulled.json["grant"].as_str().unwrap(),
        licence.identifier
    );

    let refused = hub.stranger().get(&path).await;
    assert_eq!((refused.status, refused.code()), (403, "grant_of_another"));
    let guessed = office
        .get(&format!("/v1/grants/g_{}/licences/{}", "0".repeat(32), licence.identifier))
        .await;
    assert_eq!((guessed.status, guessed.code()), (404, "unknown_grant"));

    assert!(matches!(hub.hub.clock, Clock::Set(_)));
    hub.hub.clock.advance(SignedDuration::from_hours(25));
    let ended = office.get(&path).await;
    assert_eq!((ended.status, ended.code()), (410, "grant_ended"));
}

#[actix_web::test]
async fn a_pull_needs_matter_basis_and_reason() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    let office = hub.puller(&pull);
    for (member, code) in [
        ("matter", "matter_required"),
        ("basis", "basis_required"),
        ("reason", "reason_required"),
        ("types", "types_required"),
        ("holder", "holder_or_project"),
    ] {
        let mut request = pull_request(&pull);
        request.as_object_mut().unwrap().remove(member);
        let refused = office.post("/v1/pulls", &request).await;
        assert_eq!(refused.code(), code, "{member}: {}", refused.text);
        assert!(refused.status == 422 || refused.status == 400);
        assert_eq!(refused.content_type, "application/problem+json");
    }
    assert_eq!(hub.uses().await, 0, "what was not shown was not used");
}

#[actix_web::test]
async fn policies_bound_what_a_department_may_pull() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;

    let refused = hub.stranger().pull(&pull).await;
    assert_eq!((refused.status, refused.code()), (403, "not_permitted"), "{}", refused.text);

    // Another matter of the same department that does not need this type.
    let office = hub.puller(&pull);
    let other = hub
        .hub
        .matters
        .all()
        .find(|matter| !matter.requires.contains(&licence.licence_type))
        .expect("a matter without this type");
    let mut request = pull_request(&pull);
    request["matter"] = json!(other.code);
    request["types"] = json!([licence.licence_type]);
    let refused = office.post("/v1/pulls", &request).await;
    assert_eq!((refused.status, refused.code()), (403, "matter_not_covering"));
}

#[actix_web::test]
async fn a_type_that_the_holder_lacks_is_named_as_missing() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    let office = hub.puller(&pull);
    let pulled = office.pull(&pull).await;
    assert_eq!(pulled.status, 200, "{}", pulled.text);
    assert_eq!(pulled.json["licences"], json!([]));
    let missing = pulled.json["missing"].as_array().unwrap();
    assert!(missing.contains(&json!({ "type": licence.licence_type, "reason": "none_held" })));
    assert_eq!(hub.uses().await, 1, "finding nothing is a use too");
}

#[actix_web::test]
async fn the_same_idempotency_key_is_one_grant_judged_anew_and_every_look_is_traced() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    let issuer = hub.issuer();
    issuer.issue(&licence).await;
    let office = hub.puller(&pull);
    let request = pull_request(&pull);

    let first = office.post_once("/v1/pulls", "case-17-window-3", &request).await;
    assert_eq!(first.json["licences"][0]["verification"]["result"], "trusted");
    issuer.order(&licence.identifier, StatusChange::Suspend).await;
    let again = office.post_once("/v1/pulls", "case-17-window-3", &request).await;
    assert_eq!(first.json["grant"], again.json["grant"]);
    assert_eq!(first.json["use"], again.json["use"]);
    assert_eq!(again.json["licences"][0]["verification"]["result"], "untrusted");
    assert_eq!(hub.uses().await, 2);

    let mut other = request.clone();
    other["reason"] = json!("另一事由");
    let refused = office.post_once("/v1/pulls", "case-17-window-3", &other).await;
    assert_eq!((refused.status, refused.code()), (422, "idempotency_key_reused"));
    // Another department's key of the same name is another key.
    let stranger = hub.stranger().post_once("/v1/pulls", "case-17-window-3", &request).await;
    assert_eq!(stranger.code(), "not_permitted");
}

#[actix_web::test]
async fn uses_and_licences_are_there_after_a_restart() {
    let mut hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    hub.puller(&pull).pull(&pull).await;
    hub.restart().await;
    assert_eq!((hub.registry_entries().await, hub.uses().await), (1, 1));
    let pulled = hub.puller(&pull).pull(&pull).await;
    assert_eq!(pulled.json["licences"][0]["verification"]["result"], "trusted");
    assert_eq!(pulled.json["use"], 1, "numbers go on without a gap");
}
