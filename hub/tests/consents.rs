//! A department asks, the holder decides, and sees who looked; what was given can be withdrawn.

mod support;

use district::{INSPECTION, Pull};
use hub::login::{Account, Role};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use support::{
    Actor, Answer, TestHub,
    consents::IDENTITY_CARD,
    people::{PageClient, account},
    pull_request,
};

/// Person number 3 has an identity card; the bureau has asked for it.
async fn asked(hub: &TestHub, fields: &[&str]) -> (PageClient, Actor, String) {
    let office = hub.office();
    let answer = office.post("/v1/grants", &hub.ask_of(3, fields)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json["state"], "waiting");
    let id = answer.json["id"].as_str().unwrap().to_owned();
    (hub.applicant(3).await, office, id)
}

async fn decide(person: &PageClient, id: &str, answer: Value) -> Answer {
    person.call(Method::POST, &format!("/v1/grants/{id}/decision"), Some(&answer)).await
}

async fn withdraw(person: &PageClient, id: &str) -> Answer {
    person.call(Method::DELETE, &format!("/v1/grants/{id}"), None).await
}

async fn uses_of(person: &PageClient) -> Vec<Value> {
    let answer = person.call(Method::GET, "/v1/holders/me/uses", None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["uses"].as_array().unwrap().clone()
}

fn grant_of(consent: &Answer) -> String {
    consent.json["given"]["grant"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_holder_sees_who_asks_for_what_and_why_says_yes_and_sees_every_opening() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let (person, office, id) = asked(&hub, &[]).await;

    let list = person.call(Method::GET, "/v1/holders/me/consents", None).await;
    let seen = &list.json["consents"][0];
    assert_eq!(seen["department"], json!(office.department.code));
    assert_eq!(seen["licences"][0]["type"], IDENTITY_CARD);
    assert_eq!(seen["reason"], "核验出卖人身份");
    assert_eq!(seen["matter_name"], "二手房转移登记一件事");
    assert_eq!(seen["until"], "2026-03-31");
    assert!(!list.text.contains(person.holder().number()), "both sides know whom it is about");

    let given = decide(&person, &id, json!({ "answer": "yes" })).await;
    assert_eq!((given.status, &given.json["state"]), (200, &json!("granted")), "{}", given.text);
    let known = office.get(&format!("/v1/grants/{id}")).await;
    let grant = grant_of(&known);
    let content = office.get(&format!("/v1/grants/{grant}/licences/{}", card.identifier)).await;
    assert_eq!(content.json["format"], "yihao-evidence-1", "{}", content.text);

    let uses = uses_of(&person).await;
    assert_eq!(uses.len(), 2);
    for (seen, act) in uses.iter().zip(["open", "pull"]) {
        assert_eq!(seen["act"], act);
        assert_eq!(seen["grant"], json!(grant));
        assert_eq!((&seen["basis"], &seen["reference"]), (&json!("consent"), &json!(id)));
        assert_eq!(seen["case"], "2026-17");
        assert_eq!(seen["licences"][0]["name"], "居民身份证");
    }
    let again = decide(&person, &id, json!({ "answer": "no" })).await;
    assert_eq!((again.status, again.code()), (409, "consent_decided"));
}

#[actix_web::test]
async fn a_holder_gives_less_and_nothing_but_that_is_opened() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let (person, office, id) = asked(&hub, &["sex", "address"]).await;

    let part = |fields: &[&str]| json!([{ "type": IDENTITY_CARD, "fields": fields }]);
    for more in [
        json!({ "answer": "less", "licences": part(&["birth_date"]) }),
        json!({ "answer": "less", "licences": part(&[]) }),
        json!({ "answer": "less", "until": "2026-04-01" }),
    ] {
        let refused = decide(&person, &id, more).await;
        assert_eq!((refused.status, refused.code()), (422, "more_than_asked"), "{}", refused.text);
    }
    let nothing = decide(&person, &id, json!({ "answer": "less", "licences": [] })).await;
    assert_eq!(nothing.code(), "nothing_given");
    let less = json!({ "answer": "less", "licences": part(&["address"]), "until": "2026-03-10" });
    let given = decide(&person, &id, less).await;
    assert_eq!(given.json["given"]["until"], "2026-03-10", "{}", given.text);

    let content =
        office.get(&format!("/v1/grants/{}/licences/{}", grant_of(&given), card.identifier)).await;
    assert_eq!(content.json["format"], "yihao-fields-1", "{}", content.text);
    assert_eq!(content.json["fields"], json!({ "address": card.fields["address"] }));
    assert_eq!(content.json["evidence"], "withheld");
    assert_eq!(content.json["verification"]["result"], "trusted");
    let pulled = office.post("/v1/pulls", &hub.pull_on_consent(3, &id)).await;
    assert_eq!(pulled.status, 200, "{}", pulled.text);
    for answer in [&content, &pulled] {
        for withheld in [&card.number, &card.holders[0].name, card.holders[0].id.number()] {
            assert!(!answer.text.contains(withheld), "{}", answer.text);
        }
        assert!(!answer.text.contains(card.fields["birth_date"].as_str().unwrap()));
    }
    let file = format!(
        "/v1/grants/{}/licences/{}/files/{}",
        grant_of(&given),
        card.identifier,
        "0".repeat(64)
    );
    let file = office.get(&file).await;
    assert_eq!((file.status, file.code()), (403, "files_withheld"));

    // It ends when the holder said, not when it was asked for.
    hub.hub.clock.advance(SignedDuration::from_hours(24 * 9));
    let ended = office.post("/v1/pulls", &hub.pull_on_consent(3, &id)).await;
    assert_eq!((ended.status, ended.code()), (403, "no_consent"), "{}", ended.text);
    let state = office.get(&format!("/v1/grants/{id}")).await;
    assert_eq!(state.json["state"], "ended");
}

#[actix_web::test]
async fn a_no_opens_nothing() {
    let hub = TestHub::start().await;
    hub.holds_identity_card(3).await;
    let (person, office, id) = asked(&hub, &[]).await;
    let refused = decide(&person, &id, json!({ "answer": "no" })).await;
    assert_eq!((refused.status, &refused.json["state"]), (200, &json!("refused")));
    assert_eq!(refused.json["given"], Value::Null);
    let pulled = office.post("/v1/pulls", &hub.pull_on_consent(3, &id)).await;
    assert_eq!((pulled.status, pulled.code()), (403, "no_consent"));
    assert_eq!(hub.uses().await, 0);
}

#[actix_web::test]
async fn what_was_withdrawn_is_refused_at_the_next_opening_under_every_grant_of_it() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let (person, office, id) = asked(&hub, &[]).await;
    let given = decide(&person, &id, json!({ "answer": "yes" })).await;
    let pulled = office.post("/v1/pulls", &hub.pull_on_consent(3, &id)).await;
    assert_eq!(pulled.status, 200, "{}", pulled.text);
    let grants = [grant_of(&given), pulled.json["grant"].as_str().unwrap().to_owned()];
    let content = |grant: &str| format!("/v1/grants/{grant}/licences/{}", card.identifier);
    for grant in &grants {
        assert_eq!(office.get(&content(grant)).await.status, 200);
    }
    let before = hub.uses().await;

    // By the grant's id as well as by the consent's.
    let withdrawn = withdraw(&person, &grants[1]).await;
    assert_eq!(withdrawn.status, 204, "{}", withdrawn.text);
    for grant in &grants {
        let refused = office.get(&content(grant)).await;
        assert_eq!((refused.status, refused.code()), (410, "grant_withdrawn"), "{}", refused.text);
    }
    let refused = office.post("/v1/pulls", &hub.pull_on_consent(3, &id)).await;
    assert_eq!((refused.status, refused.code()), (403, "no_consent"));
    assert_eq!(hub.uses().await, before, "what was refused was not used");
    let state = office.get(&format!("/v1/grants/{id}")).await;
    assert_eq!(state.json["state"], "withdrawn");
    assert_eq!(withdraw(&person, &id).await.status, 204, "again is the same");
}

#[actix_web::test]
async fn nobody_else_sees_a_consent_or_answers_it() {
    let hub = TestHub::start().await;
    hub.holds_identity_card(3).await;
    let (_, office, id) = asked(&hub, &[]).await;
    let unknown = format!("r_{}", "0".repeat(32));
    let other = hub.applicant(5).await;
    let housing = hub.department("housing");
    let clerk = hub.department_clerk("housing").await;
    let yes = json!({ "answer": "yes" });
    for id in [&id, &unknown] {
        let path = format!("/v1/grants/{id}");
        for answer in [
            other.call(Method::GET, &path, None).await,
            decide(&other, id, yes.clone()).await,
            withdraw(&other, id).await,
            housing.get(&path).await,
            clerk.call(Method::GET, &path, None).await,
            withdraw(&clerk, id).await,
        ] {
            assert_eq!((answer.status, answer.code()), (404, "unknown_consent"), "{}", answer.text);
        }
    }
    // The department that asks cannot answer for the holder.
    let own = hub.department_clerk("government-services").await;
    let refused = decide(&own, &id, yes.clone()).await;
    assert_eq!((refused.status, refused.code()), (403, "holder_required"));
    let refused = office.post(&format!("/v1/grants/{id}/decision"), &yes).await;
    assert_eq!((refused.status, refused.code()), (401, "login_required"));
    // Nor can a holder ask.
    let refused = other.call(Method::POST, "/v1/grants", Some(&hub.ask_of(3, &[]))).await;
    assert_eq!((refused.status, refused.code()), (403, "department_required"));
    let list = other.call(Method::GET, "/v1/holders/me/consents", None).await;
    assert_eq!(list.json["consents"], json!([]));
    let list = housing.get("/v1/grants").await;
    assert_eq!(list.json["consents"], json!([]));
}

#[actix_web::test]
async fn an_answer_needs_the_token_of_the_session() {
    let hub = TestHub::start().await;
    let (person, office, id) = asked(&hub, &[]).await;
    let path = format!("/v1/grants/{id}/decision");
    let forged = person.api(Method::POST, &path).json(&json!({ "answer": "yes" }));
    assert_eq!(forged.send().await.unwrap().status(), 403);
    let forged = person.api(Method::DELETE, &format!("/v1/grants/{id}"));
    assert_eq!(forged.send().await.unwrap().status(), 403);
    let state = office.get(&format!("/v1/grants/{id}")).await;
    assert_eq!(state.json["state"], "waiting");
}

#[actix_web::test]
async fn an_ask_that_nobody_answers_lapses() {
    let hub = TestHub::start().await;
    let (_, office, id) = asked(&hub, &[]).await;
    // 31 March is still a day to answer, in China.
    hub.hub.clock.advance(SignedDuration::from_hours(24 * 29 + 14));
    let state = office.get(&format!("/v1/grants/{id}")).await;
    assert_eq!(state.json["state"], "waiting");
    hub.hub.clock.advance(SignedDuration::from_hours(1));
    let state = office.get(&format!("/v1/grants/{id}")).await;
    assert_eq!(state.json["state"], "lapsed");
    let person = hub.applicant(3).await;
    let late = decide(&person, &id, json!({ "answer": "yes" })).await;
    assert_eq!((late.status, late.code()), (410, "consent_lapsed"));
}

#[actix_web::test]
async fn asking_needs_a_purpose_and_tells_nothing() {
    let hub = TestHub::start().await;
    let office = hub.office();
    hub.holds_identity_card(3).await;
    let shape = |answer: Answer| {
        let mut json = answer.json;
        for member in ["id", "asked_at"] {
            json.as_object_mut().unwrap().remove(member);
        }
        (answer.status, json)
    };
    let holds = office.post("/v1/grants", &hub.ask_of(3, &[])).await;
    let holds_nothing = office.post("/v1/grants", &hub.ask_of(4, &[])).await;
    assert_eq!(shape(holds), shape(holds_nothing));

    for (member, value, code) in [
        ("reason", json!(" "), "reason_required"),
        ("until", json!("2026-03-01"), "consent_until"),
        ("until", json!("2027-03-31"), "consent_until"),
        ("licences", json!([]), "types_required"),
        ("licences", json!([{ "type": IDENTITY_CARD, "fields": ["salary"] }]), "field_not_of_type"),
        (
            "licences",
            json!([{ "type": IDENTITY_CARD }, { "type": IDENTITY_CARD }]),
            "type_named_twice",
        ),
        ("matter", json!(hub.matter("企业开办住所核验")), "not_permitted"),
    ] {
        let mut ask = hub.ask_of(3, &[]);
        ask[member] = value;
        let refused = office.post("/v1/grants", &ask).await;
        assert_eq!(refused.code(), code, "{}", refused.text);
    }
    let refused = hub.stranger().post("/v1/grants", &hub.ask_of(3, &[])).await;
    assert_eq!((refused.status, refused.code()), (403, "not_permitted"));
    assert_eq!(hub.uses().await, 0);
}

#[actix_web::test]
async fn a_clerk_asks_and_opens_and_the_holder_sees_the_window_but_not_the_clerk() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let clerk = hub.window_clerk().await;
    let asked = clerk.call(Method::POST, "/v1/grants", Some(&hub.ask_of(3, &[]))).await;
    assert_eq!(asked.status, 201, "{}", asked.text);
    let id = asked.json["id"].as_str().unwrap();
    let person = hub.applicant(3).await;
    let given = decide(&person, id, json!({ "answer": "yes" })).await;
    let path = format!("/v1/grants/{}/licences/{}", grant_of(&given), card.identifier);
    let opened = clerk.call(Method::GET, &path, None).await;
    assert_eq!(opened.json["format"], "yihao-evidence-1", "{}", opened.text);

    let uses = person.call(Method::GET, "/v1/holders/me/uses", None).await;
    let node = hub.hub.organisations.node("hall-1").unwrap();
    for seen in uses.json["uses"].as_array().unwrap() {
        assert_eq!(seen["organisation"], json!(node.name));
    }
    for text in [&uses.text, &given.text] {
        assert!(!text.contains("clerk-hall-1"), "no clerk's account: {text}");
        assert!(!text.contains(&clerk.account.name));
    }
    // The department has it, and may give it back.
    let back = clerk.call(Method::DELETE, &format!("/v1/grants/{}", grant_of(&given)), None).await;
    assert_eq!(back.status, 204, "{}", back.text);
    assert_eq!(hub.office().get(&path).await.code(), "grant_withdrawn");
}

#[actix_web::test]
async fn the_department_may_take_its_ask_back() {
    let hub = TestHub::start().await;
    let (person, office, id) = asked(&hub, &[]).await;
    let path = hub.url(&format!("/v1/grants/{id}"));
    assert_eq!(office.client.delete(path).send().await.unwrap().status(), 204);
    let late = decide(&person, &id, json!({ "answer": "yes" })).await;
    assert_eq!((late.status, late.code()), (409, "consent_withdrawn"));
}

#[actix_web::test]
async fn a_representative_answers_for_the_organisation_they_choose() {
    let hub = TestHub::start().await;
    let person = hub.representative(3, 2).await;
    let enterprise = person.account.holders[1].clone();
    let mut ask = hub.ask_of(3, &[]);
    ask["holder"] = json!(enterprise);
    let asked = hub.office().post("/v1/grants", &ask).await;
    let id = asked.json["id"].as_str().unwrap();
    let own = person.call(Method::GET, "/v1/holders/me/consents", None).await;
    assert_eq!(own.json["consents"], json!([]));
    let theirs = person.call(Method::GET, "/v1/holders/me/consents?holder=1", None).await;
    assert_eq!(theirs.json["consents"][0]["id"], id);
    let nobodys = person.call(Method::GET, "/v1/holders/me/consents?holder=2", None).await;
    assert_eq!((nobodys.status, nobodys.code()), (403, "holder_required"));
    let wrong = person.call(Method::GET, "/v1/holders/me/consents?holder=x", None).await;
    assert_eq!((wrong.status, wrong.code()), (400, "query"));
    let given = decide(&person, id, json!({ "answer": "yes" })).await;
    assert_eq!(given.json["state"], "granted", "{}", given.text);
}

#[actix_web::test]
async fn a_duty_needs_a_mandate_of_this_department_matter_and_type() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    let office = hub.puller(&pull);
    let others = hub.hub.mandates.all().filter(|one| one.department != pull.department);
    let others = others.map(|one| one.code.as_str());
    for reference in others.chain(["办理依据第十条", "M-"]) {
        let mut request = pull_request(&pull);
        request["basis"]["reference"] = json!(reference);
        let refused = office.post("/v1/pulls", &request).await;
        assert_eq!((refused.status, refused.code()), (403, "no_mandate"), "{reference}");
    }
    assert_eq!(hub.uses().await, 0);
    let allowed = office.pull(&pull).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text);
}

#[actix_web::test]
async fn uses_under_a_disclosure_delay_appear_when_it_is_over() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let inspection = hub.hub.mandates.get(INSPECTION).unwrap().clone();
    let pull = Pull {
        department: inspection.department,
        matter: inspection.matters[0].clone(),
        holder: hub.person(3).0,
        types: vec![card.licence_type],
    };
    let labour = hub.department("social-security");
    let mut request = pull_request(&pull);
    request["basis"]["reference"] = json!(INSPECTION);
    let pulled = labour.post("/v1/pulls", &request).await;
    assert_eq!(pulled.status, 200, "{}", pulled.text);
    let grant = pulled.json["grant"].as_str().unwrap();
    hub.hub.clock.advance(SignedDuration::from_hours(2));
    let content = labour.get(&format!("/v1/grants/{grant}/licences/{}", card.identifier)).await;
    assert_eq!(content.status, 200, "{}", content.text);

    let person = hub.applicant(3).await;
    assert_eq!(uses_of(&person).await, Vec::<Value>::new());
    let hidden = person.call(Method::GET, &format!("/v1/grants/{grant}"), None).await;
    assert_eq!((hidden.status, hidden.code()), (404, "unknown_grant"));

    // 30 days after each use, the opening two hours after the pull.
    hub.hub.clock.advance(SignedDuration::from_hours(24 * 30 - 2));
    let person = hub.applicant(3).await;
    let uses = uses_of(&person).await;
    assert_eq!(uses.len(), 1);
    assert_eq!((&uses[0]["act"], &uses[0]["grant"]), (&json!("pull"), &json!(grant)));
    assert_eq!(uses[0]["reference_name"], json!(inspection.name));
    hub.hub.clock.advance(SignedDuration::from_hours(2));
    let person = hub.applicant(3).await;
    assert_eq!(uses_of(&person).await.len(), 2);
    let shown = person.call(Method::GET, &format!("/v1/grants/{grant}"), None).await;
    assert_eq!(shown.status, 200);
    // A duty cannot be withdrawn by the holder.
    let refused = withdraw(&person, grant).await;
    assert_eq!((refused.status, refused.code()), (409, "grant_not_by_consent"));
}

#[actix_web::test]
async fn a_holder_sees_no_third_party() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let other = hub.person(5).0;
    let matter = hub.matter("二手房转移登记一件事").parse().unwrap();
    let pull = Pull {
        department: hub.office().department.code,
        matter,
        holder: hub.person(3).0,
        types: vec![card.licence_type],
    };
    let mut request = pull_request(&pull);
    request["reason"] = json!(format!("与{}同案核验，电话13800138000", other.number()));
    request["case"] = json!(format!("F-{}", other.number()));
    request["operator"] = json!({ "account": "li.na", "organisation": "二号窗口" });
    let pulled = hub.office().post("/v1/pulls", &request).await;
    assert_eq!(pulled.status, 200, "{}", pulled.text);

    let person = hub.applicant(3).await;
    let answer = person.call(Method::GET, "/v1/holders/me/uses", None).await;
    let seen = &answer.json["uses"][0];
    assert_eq!(seen["reason"], "与＊同案核验，电话＊");
    assert_eq!(seen["organisation"], "二号窗口");
    for third in [other.number(), "13800138000", "li.na"] {
        assert!(!answer.text.contains(third), "{}", answer.text);
    }
    // The other one sees nothing of it.
    assert_eq!(uses_of(&hub.applicant(5).await).await, Vec::<Value>::new());
}

#[actix_web::test]
async fn both_holders_of_a_joint_licence_see_who_looked_at_it() {
    let hub = TestHub::start().await;
    let (joint, pull) = hub.some_licence(|licence, pull| {
        licence.holders.len() == 2
            && pull.types.contains(&licence.licence_type)
            && pull.department == hub.office().department.code
    });
    let issuers = support::departments();
    let issuer = issuers.iter().find(|one| one.code == *joint.issuer.credit_code()).unwrap();
    assert_eq!(hub.issuing(issuer.slug).issue(&joint).await.status, 201);
    let pulled = hub.office().pull(&pull).await;
    let grant = pulled.json["grant"].as_str().unwrap();
    let path = format!("/v1/grants/{grant}/licences/{}", joint.identifier);
    assert_eq!(hub.office().get(&path).await.status, 200);

    for (index, holder) in joint.holders.iter().enumerate() {
        let subject = format!("spouse-{index}");
        let account =
            account(&subject, &holder.name, vec![holder.id.clone()], &[Role::Applicant], None);
        let uses = uses_of(&hub.log_in(account).await).await;
        let acts: Vec<&Value> = uses.iter().map(|one| &one["act"]).collect();
        assert_eq!(acts, ["open", "pull"]);
        for seen in &uses {
            assert_eq!(seen["licences"][0]["identifier"], json!(joint.identifier));
        }
    }
}

#[actix_web::test]
async fn a_case_of_this_hub_counts_for_its_own_holder_and_matter_only() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    let office = hub.puller(&pull);
    let mut request = pull_request(&pull);
    request["basis"] = json!({ "kind": "holder" });
    request["case"] = json!("窗口-2026-17"); // the department's own number
    assert_eq!(office.post("/v1/pulls", &request).await.status, 200);
    request["case"] = json!("20260302-7K3QM9XW2F");
    let refused = office.post("/v1/pulls", &request).await;
    assert_eq!((refused.status, refused.code()), (403, "case_of_another"));
}

#[actix_web::test]
async fn who_is_no_applicant_has_no_uses_of_their_own() {
    let hub = TestHub::start().await;
    let holder = hub.person(3).0;
    let clerk: Account = account("c", "周敏", vec![holder], &[Role::Clerk], Some("hall-1"));
    let clerk = hub.log_in(clerk).await;
    let refused = clerk.call(Method::GET, "/v1/holders/me/uses", None).await;
    assert_eq!((refused.status, refused.code()), (403, "holder_required"));
}
