//! A holder disputes a field, the issuer answers in working days, and meanwhile every pull says so.

mod support;

use district::Pull;
use jiff::{SignedDuration, Timestamp};
use licence::{Licence, LicenceId};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, Answer, TestHub, people::PageClient};

const PATH: &str = "/v1/corrections";

fn dispute_of(card: &Licence, field: &str) -> Value {
    json!({
        "licence": card.identifier,
        "field": field,
        "says": "澜溪区松风路18号",
        "why": "门牌号已于去年更改",
    })
}

async fn dispute(person: &PageClient, card: &Licence) -> Answer {
    person.call(Method::POST, PATH, Some(&dispute_of(card, "address"))).await
}

async fn answer(issuer: &Actor, id: &str, outcome: Value) -> Answer {
    issuer.post(&format!("{PATH}/{id}/answer"), &outcome).await
}

/// The bureau pulls the identity card of person 3.
async fn pulled(hub: &TestHub, card: &Licence) -> Answer {
    let pull = Pull {
        department: hub.office().department.code,
        matter: hub.matter("二手房转移登记一件事").parse().unwrap(),
        holder: hub.person(3).0,
        types: vec![card.licence_type],
    };
    let answer = hub.office().pull(&pull).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// The same licence, next version, with another address.
fn corrected(card: &Licence, address: &str) -> Licence {
    let serial = card.identifier.serial();
    let version = card.identifier.version() + 1;
    let mut next = card.clone();
    next.identifier = LicenceId::build(&card.licence_type, &card.issuer, serial, version).unwrap();
    next.fields["address"] = json!(address);
    next
}

fn set_clock(hub: &TestHub, at: &str) {
    let at: Timestamp = at.parse().unwrap();
    hub.hub.clock.advance(at.duration_since(hub.hub.clock.now()));
}

#[actix_web::test]
async fn a_disputed_licence_says_so_until_its_issuer_has_answered() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let police = hub.issuing("public-security");
    let person = hub.applicant(3).await;
    assert_eq!(pulled(&hub, &card).await.json["licences"][0]["disputed"], Value::Null);

    let disputed = dispute(&person, &card).await;
    assert_eq!(disputed.status, 201, "{}", disputed.text);
    assert_eq!(disputed.json["shown"], card.fields["address"]);
    assert_eq!(disputed.json["due"], "2026-03-09", "five working days after Monday");
    assert_eq!(disputed.json["due_certain"], true);
    let id = disputed.json["id"].as_str().unwrap();

    let meanwhile = pulled(&hub, &card).await;
    let said = &meanwhile.json["licences"][0];
    assert_eq!(said["disputed"], json!({ "since": support::NOW, "fields": ["address"] }));
    assert_eq!(said["verification"]["result"], "trusted", "the signature holds all the same");
    let face = format!("/v1/licences/{}", card.identifier);
    assert_eq!(hub.office().get(&face).await.json["disputed"], json!({ "since": support::NOW }));
    let own = person.call(Method::GET, "/v1/holders/me/licences", None).await;
    assert_eq!(own.json["licences"][0]["disputed"]["fields"], json!(["address"]));

    // A corrected licence has to be one: not the disputed one, not one that says the same, not one that nobody signed.
    let same = corrected(&card, card.fields["address"].as_str().unwrap());
    assert_eq!(police.issue(&same).await.status, 201);
    let unknown = corrected(&same, "澜溪区松风路18号");
    let unsigned = corrected(&unknown, "澜溪区松风路20号");
    let document = unsigned.to_bytes().into();
    hub::intake::take_in_unsigned(&hub.hub, &police.department.code, document).await.unwrap();
    for licence in [&card, &same, &unknown, &unsigned] {
        let outcome = json!({ "outcome": "corrected", "licence": licence.identifier });
        let refused = answer(&police, id, outcome).await;
        assert_eq!((refused.status, refused.code()), (422, "not_a_correction"), "{}", refused.text);
    }
    assert_eq!(police.issue(&unknown).await.status, 201);
    let outcome = json!({ "outcome": "corrected", "licence": unknown.identifier });
    let answered = answer(&police, id, outcome.clone()).await;
    assert_eq!((answered.status, &answered.json["state"]), (200, &json!("corrected")));
    let again = answer(&police, id, outcome).await;
    assert_eq!((again.status, again.code()), (409, "correction_answered"));

    for licence in pulled(&hub, &card).await.json["licences"].as_array().unwrap() {
        assert_eq!(licence["disputed"], Value::Null);
    }
    assert_eq!(hub.office().get(&face).await.json["disputed"], Value::Null);
}

#[actix_web::test]
async fn both_sides_and_the_outcome_stay_on_record() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let person = hub.applicant(3).await;
    let id = dispute(&person, &card).await.json["id"].as_str().unwrap().to_owned();
    let clerk = hub.department_clerk("public-security").await;
    let queue = clerk.call(Method::GET, PATH, None).await;
    assert_eq!(queue.json["corrections"][0]["id"], json!(id), "{}", queue.text);
    for bad in [
        json!({ "outcome": "kept" }),
        json!({ "outcome": "corrected", "reason": "x" }),
        json!({ "outcome": "maybe", "reason": "x" }),
    ] {
        let path = format!("{PATH}/{id}/answer");
        let refused = clerk.call(Method::POST, &path, Some(&bad)).await;
        assert_eq!(refused.code(), "correction_outcome");
    }
    let kept = json!({ "outcome": "kept", "reason": "与户籍档案一致" });
    let path = format!("{PATH}/{id}/answer");
    let answered = clerk.call(Method::POST, &path, Some(&kept)).await;
    assert_eq!((answered.status, &answered.json["state"]), (200, &json!("kept")));

    let list = person.call(Method::GET, "/v1/holders/me/corrections", None).await;
    let own = person.call(Method::GET, &format!("{PATH}/{id}"), None).await;
    assert_eq!(list.json["corrections"][0], own.json);
    let record = &own.json;
    assert_eq!(record["shown"], card.fields["address"]);
    assert_eq!(record["says"], "澜溪区松风路18号");
    assert_eq!(record["why"], "门牌号已于去年更改");
    assert_eq!(record["reason"], "与户籍档案一致");
    assert_eq!(record["answered_at"], support::NOW);
    assert_eq!(record["overdue"], false);
    assert!(!own.text.contains("clerk-public-security"), "no clerk's account");
    assert!(!queue.text.contains(person.holder().number()), "no holder's number");
    // The field may be disputed again.
    assert_eq!(dispute(&person, &card).await.status, 201);
}

#[actix_web::test]
async fn the_deadline_counts_working_days_over_a_holiday() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    // Thursday before Labour Day: off from 1 to 5 May, Saturday 9 May is worked.
    set_clock(&hub, "2026-04-30T01:00:00Z");
    let person = hub.applicant(3).await;
    let disputed = dispute(&person, &card).await;
    assert_eq!(disputed.json["due"], "2026-05-11", "{}", disputed.text);
    assert_eq!(disputed.json["due_certain"], true);

    set_clock(&hub, "2026-05-11T15:00:00Z");
    let id = disputed.json["id"].as_str().unwrap();
    let police = hub.department("public-security");
    let path = format!("{PATH}/{id}");
    assert_eq!(police.get(&path).await.json["overdue"], false);
    set_clock(&hub, "2026-05-11T16:00:00Z"); // 12 May in China
    assert_eq!(police.get(&path).await.json["overdue"], true);
    let late = answer(&police, id, json!({ "outcome": "kept", "reason": "与户籍档案一致" })).await;
    assert_eq!((late.status, &late.json["overdue"]), (200, &json!(true)), "late, but answered");
}

#[actix_web::test]
async fn a_year_that_was_not_announced_makes_the_deadline_uncertain() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    set_clock(&hub, "2026-12-30T01:00:00Z");
    let person = hub.applicant(3).await;
    let disputed = dispute(&person, &card).await;
    assert_eq!(disputed.json["due"], "2027-01-06", "{}", disputed.text);
    assert_eq!(disputed.json["due_certain"], false);
}

#[actix_web::test]
async fn nobody_else_disputes_a_licence_or_sees_and_answers_a_correction() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let unknown = hub.identity_card(6); // never issued
    let other = hub.applicant(5).await;
    for licence in [&card, &unknown] {
        let refused = dispute(&other, licence).await;
        assert_eq!((refused.status, refused.code()), (404, "unknown_licence"), "{}", refused.text);
    }
    let person = hub.applicant(3).await;
    let id = dispute(&person, &card).await.json["id"].as_str().unwrap().to_owned();
    let housing = hub.department("housing");
    let clerk = hub.window_clerk().await;
    let kept = json!({ "outcome": "kept", "reason": "x" });
    for id in [id.as_str(), "d_00000000000000000000000000000000"] {
        let path = format!("{PATH}/{id}");
        let answer_path = format!("{path}/answer");
        for answer in [
            other.call(Method::GET, &path, None).await,
            other.call(Method::POST, &answer_path, Some(&kept)).await,
            housing.get(&path).await,
            housing.post(&answer_path, &kept).await,
            clerk.call(Method::GET, &path, None).await,
            clerk.call(Method::POST, &answer_path, Some(&kept)).await,
        ] {
            let said = (answer.status, answer.code());
            assert_eq!(said, (404, "unknown_correction"), "{}", answer.text);
        }
    }
    let own = format!("{PATH}/{id}/answer");
    let refused = person.call(Method::POST, &own, Some(&kept)).await;
    assert_eq!((refused.status, refused.code()), (403, "issuer_required"));
    assert_eq!(housing.get(PATH).await.json["corrections"], json!([]));
    let refused = housing.post(PATH, &dispute_of(&card, "address")).await;
    assert_eq!((refused.status, refused.code()), (401, "login_required"));
}

#[actix_web::test]
async fn what_cannot_be_disputed_is_said() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let person = hub.applicant(3).await;
    for (member, value, code) in [
        ("field", json!("salary"), "unknown_face_field"),
        ("says", json!("  "), "correction_text"),
        ("why", json!("由".repeat(1_001)), "correction_text"),
        ("why", json!("a\u{0}b"), "correction_text"),
        ("materials", json!(["m_00000000000000000000000000000000"]), "correction_materials"),
        ("holder", json!(1), "holder_required"),
    ] {
        let mut wrong = dispute_of(&card, "address");
        wrong[member] = value;
        let refused = person.call(Method::POST, PATH, Some(&wrong)).await;
        assert_eq!(refused.code(), code, "{member}: {}", refused.text);
    }
    assert_eq!(dispute(&person, &card).await.status, 201);
    let twice = dispute(&person, &card).await;
    assert_eq!((twice.status, twice.code()), (409, "already_disputed"));
    // Another field of the same licence is another matter.
    let sex = person.call(Method::POST, PATH, Some(&dispute_of(&card, "sex"))).await;
    assert_eq!(sex.status, 201, "{}", sex.text);
    hub.hub.clock.advance(SignedDuration::from_secs(1));
    let both = pulled(&hub, &card).await;
    let fields = &both.json["licences"][0]["disputed"]["fields"];
    assert_eq!(fields, &json!(["address", "sex"]));
}

#[actix_web::test]
async fn a_holders_own_look_is_on_the_access_log() {
    let hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let person = hub.applicant(3).await;
    let own = person.call(Method::GET, "/v1/holders/me/licences", None).await;
    assert_eq!(own.json["licences"][0]["identifier"], json!(card.identifier), "{}", own.text);
    assert_eq!(own.json["licences"][0]["fields"], json!(card.fields));
    assert_eq!(hub.uses().await, 1);
    dispute(&person, &card).await;
    assert_eq!(hub.uses().await, 2, "whoever disputes has been told that it is held");
    let seen = person.call(Method::GET, "/v1/holders/me/uses", None).await;
    for look in seen.json["uses"].as_array().unwrap() {
        assert_eq!((&look["act"], &look["basis"]), (&json!("own"), &json!("holder")));
    }
    let other = hub.applicant(5).await.call(Method::GET, "/v1/holders/me/licences", None).await;
    assert_eq!(other.json["licences"], json!([]));
}
