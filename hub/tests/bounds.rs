//! Who works at a place that merely acts for a department reaches what was asked there, not what the whole department
//! has; and nobody is buried in asks or drafts.

mod support;

use hub::login::Role;
use licence::Licence;
use reqwest::Method;
use serde_json::json;
use support::{
    Answer, TestHub,
    people::{PageClient, account},
    pull_request,
};

/// Asks person 3 for the identity card: the consent's id.
async fn asked_by(hub: &TestHub, clerk: &PageClient) -> String {
    let asked = clerk.call(Method::POST, "/v1/grants", Some(&hub.ask_of(3, &[]))).await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    asked.json["id"].as_str().unwrap().to_owned()
}

/// The grant that person 3 gives on it.
async fn given(hub: &TestHub, id: &str) -> String {
    let person = hub.applicant(3).await;
    let yes = json!({ "answer": "yes" });
    let given = person.call(Method::POST, &format!("/v1/grants/{id}/decision"), Some(&yes)).await;
    given.json["given"]["grant"].as_str().unwrap().to_owned()
}

async fn is_not_there(answer: Answer, code: &str) {
    assert_eq!((answer.status, answer.code()), (404, code), "{}", answer.text);
}

/// Everything by which a clerk could reach a consent and its grant answers as if they did not exist.
async fn does_not_reach(clerk: &PageClient, id: &str, grant: &str, card: &Licence) {
    for (id, grant) in [(id, grant), ("r_00000000000000000000000000000000", "g_none")] {
        let consent = format!("/v1/grants/{id}");
        is_not_there(clerk.call(Method::GET, &consent, None).await, "unknown_consent").await;
        is_not_there(clerk.call(Method::DELETE, &consent, None).await, "unknown_consent").await;
        let path = format!("/v1/grants/{grant}");
        is_not_there(clerk.call(Method::GET, &path, None).await, "unknown_grant").await;
        is_not_there(clerk.call(Method::DELETE, &path, None).await, "unknown_grant").await;
        let content = format!("{path}/licences/{}", card.identifier);
        is_not_there(clerk.call(Method::GET, &content, None).await, "unknown_grant").await;
        let file = format!("{content}/files/{}", "0".repeat(64));
        is_not_there(clerk.call(Method::GET, &file, None).await, "unknown_grant").await;
        assert_eq!(clerk.get(&format!("/window/consents/{id}")).await.status, 404);
        assert_eq!(clerk.post(&format!("/window/consents/{id}/open"), &[]).await.status, 404);
    }
    let list = clerk.call(Method::GET, "/v1/grants", None).await;
    assert!(!list.text.contains(id), "{}", list.text);
    assert!(!clerk.get("/window/consents").await.html.contains(id));
}

async fn reaches(clerk: &PageClient, id: &str, grant: &str, card: &Licence) {
    let list = clerk.call(Method::GET, "/v1/grants", None).await;
    assert!(list.text.contains(id), "{}", list.text);
    let content = format!("/v1/grants/{grant}/licences/{}", card.identifier);
    let opened = clerk.call(Method::GET, &content, None).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
    assert_eq!(clerk.post(&format!("/window/consents/{id}/open"), &[]).await.status, 200);
}

#[actix_web::test]
async fn clerks_reach_what_was_asked_at_their_place_or_below_it_and_the_department_reaches_all() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    // Of which place was asked, who reaches it, who does not.
    for (place, near, far) in [
        ("heping-1", ["heping-1", "heping", "qingxi"], ["qingxi-1", "baishi", "hall-1"]),
        ("hall-1", ["hall-1", "hall", "government-services"], ["hall-2", "qingxi", "heping-1"]),
    ] {
        let id = asked_by(&hub, &hub.clerk(place).await).await;
        let grant = given(&hub, &id).await;
        for node in far {
            does_not_reach(&hub.clerk(node).await, &id, &grant, &card).await;
        }
        for node in near {
            reaches(&hub.clerk(node).await, &id, &grant, &card).await;
        }
    }
}

#[actix_web::test]
async fn what_the_departments_system_asked_or_pulled_is_for_clerks_of_the_department_itself() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let office = hub.office();
    let asked = office.post("/v1/grants", &hub.ask_of(3, &[])).await;
    let id = asked.json["id"].as_str().unwrap().to_owned();
    let grant = given(&hub, &id).await;
    for node in ["heping-1", "qingxi", "hall-1"] {
        does_not_reach(&hub.clerk(node).await, &id, &grant, &card).await;
    }
    reaches(&hub.department_clerk("government-services").await, &id, &grant, &card).await;

    // A pull of the system's, which rests on no consent; it cannot be claimed by naming a place as its operator.
    let (licence, pull) = hub.enterprise_licence();
    assert_eq!(hub.issuer().issue(&licence).await.status, 201);
    let mut request = pull_request(&pull);
    request["operator"] = json!({ "account": "clerk-heping-1", "organisation": "heping-1" });
    let puller = hub.puller(&pull);
    let pulled = puller.post("/v1/pulls", &request).await;
    assert_eq!(pulled.status, 200, "{}", pulled.text);
    let grant = pulled.json["grant"].as_str().unwrap();
    let path = format!("/v1/grants/{grant}/licences/{}", licence.identifier);
    for node in ["heping-1", "qingxi", "hall-1"] {
        let clerk = hub.clerk(node).await;
        for answer in [
            clerk.call(Method::GET, &path, None).await,
            clerk.call(Method::DELETE, &format!("/v1/grants/{grant}"), None).await,
        ] {
            assert!([403, 404].contains(&answer.status), "{node}: {}", answer.text);
        }
    }
    assert_eq!(puller.get(&path).await.status, 200, "nobody has withdrawn it");
}

#[actix_web::test]
async fn a_withdrawal_by_a_clerk_far_away_withdraws_nothing() {
    let hub = TestHub::start().await;
    hub.holds_identity_card(3).await;
    let id = asked_by(&hub, &hub.clerk("hall-1").await).await;
    let village = hub.clerk("heping-1").await;
    let path = format!("/v1/grants/{id}");
    is_not_there(village.call(Method::DELETE, &path, None).await, "unknown_consent").await;
    let state = hub.office().get(&path).await;
    assert_eq!(state.json["state"], "waiting");
}

#[actix_web::test]
async fn disputes_are_answered_by_the_department_itself_and_by_nobody_who_disputes() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let person = hub.applicant(3).await;
    let new = json!({ "licence": card.identifier, "field": "address", "says": "甲", "why": "乙" });
    let disputed = person.call(Method::POST, "/v1/corrections", Some(&new)).await;
    assert_eq!(disputed.status, 201, "{}", disputed.text);
    let path = format!("/v1/corrections/{}", disputed.json["id"].as_str().unwrap());
    let kept = json!({ "outcome": "kept", "reason": "x" });
    let answer = format!("{path}/answer");
    // The person who disputes, working in the very department.
    let (holder, name) = hub.person(3);
    let roles = [Role::Applicant, Role::Clerk];
    let both = account("both", &name, vec![holder], &roles, Some("public-security"));
    let both = hub.log_in(both).await;
    let refused = both.call(Method::POST, &answer, Some(&kept)).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let page = format!("/window/corrections/{}", disputed.json["id"].as_str().unwrap());
    let refused = both.post(&page, &[("outcome", "kept"), ("reason", "x")]).await;
    assert!(refused.status >= 400 && refused.html.contains("own_dispute"), "{}", refused.html);
    let state = person.call(Method::GET, &path, None).await;
    assert_eq!(state.json["state"], "open", "{}", state.text);
    let clerk = hub.department_clerk("public-security").await;
    assert_eq!(clerk.call(Method::POST, &answer, Some(&kept)).await.status, 200);
}

#[actix_web::test]
async fn a_department_buries_nobody_in_asks() {
    let hub = TestHub::start().await;
    let office = hub.office();
    let mut first = String::new();
    for number in 0..20 {
        let asked = office.post("/v1/grants", &hub.ask_of(3, &[])).await;
        assert_eq!(asked.status, 201, "{number}: {}", asked.text);
        first = asked.json["id"].as_str().unwrap().to_owned();
    }
    let refused = office.post("/v1/grants", &hub.ask_of(3, &[])).await;
    assert_eq!((refused.status, refused.code()), (409, "too_many_asks"), "{}", refused.text);
    let window = hub.window_clerk().await;
    let refused = window.call(Method::POST, "/v1/grants", Some(&hub.ask_of(3, &[]))).await;
    assert_eq!(refused.code(), "too_many_asks", "its clerks are the same department");
    // Others may be asked; and what is answered or taken back makes room.
    assert_eq!(office.post("/v1/grants", &hub.ask_of(4, &[])).await.status, 201);
    let person = hub.applicant(3).await;
    let no = json!({ "answer": "no" });
    let said = person.call(Method::POST, &format!("/v1/grants/{first}/decision"), Some(&no)).await;
    assert_eq!(said.status, 200, "{}", said.text);
    assert_eq!(office.post("/v1/grants", &hub.ask_of(3, &[])).await.status, 201);
}

#[actix_web::test]
async fn a_holder_has_so_many_drafts_and_no_more() {
    let hub = TestHub::start().await;
    let person = hub.applicant(3).await;
    let open = json!({ "matter": hub.matter("开办小餐饮店") });
    let mut last = String::new();
    for number in 0..50 {
        let opened = person.call(Method::POST, "/v1/cases", Some(&open)).await;
        assert_eq!(opened.status, 201, "{number}: {}", opened.text);
        last = opened.json["id"].as_str().unwrap().to_owned();
    }
    let refused = person.call(Method::POST, "/v1/cases", Some(&open)).await;
    assert_eq!((refused.status, refused.code()), (409, "too_many_drafts"), "{}", refused.text);
    let withdrawn = person.call(Method::POST, &format!("/v1/cases/{last}/withdraw"), None).await;
    assert_eq!(withdrawn.status, 200, "{}", withdrawn.text);
    assert_eq!(person.call(Method::POST, "/v1/cases", Some(&open)).await.status, 201);
}
