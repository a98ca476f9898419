//! Two hubs: what one takes in arrives at the other, verified there and held once, in both directions; and nothing is
//! believed because a hub sent it.

mod support;

use std::{net::TcpListener, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{Manifest, sha256};
use connectors::push::{BATCH_MEDIA_TYPE, mark_of};
use licence::{Licence, RevocationCause, StatusChange, StatusOrder};
use serde_json::{Value, json};
use support::{Actor, Answer, NOW, TestHub};

const SOURCE: &str = "https://next-door.example";

/// An event about a licence, as the office next door would send it.
fn event(number: u64, kind: &str, licence: &Licence, proof: Value) -> Value {
    let document = licence.to_bytes();
    json!({
        "specversion": "1.0", "type": format!("cn.yihao.licence.{kind}.v1"), "source": SOURCE,
        "id": format!("here-{number:020}"), "subject": licence.identifier,
        "sequence": format!("{number:020}"), "datacontenttype": "application/json",
        "data": {
            "digest": sha256(&document), "document": STANDARD.encode(&document), "proof": proof,
            "status": "valid", "trust": "trusted",
        },
    })
}

fn issued(number: u64, licence: &Licence, issuer: &Actor) -> Value {
    let signature = STANDARD.encode(issuer.sign(&licence.to_bytes()));
    event(number, "issued", licence, json!({ "signature": signature }))
}

/// The issuer's order, inside the event that tells of it.
fn ordered(number: u64, licence: &Licence, change: StatusChange, issuer: &Actor) -> Value {
    let order = StatusOrder {
        identifier: licence.identifier.clone(),
        change,
        reason: "按申请办理".to_owned(),
        ordered_at: NOW.parse().unwrap(),
    };
    let order = order.to_bytes();
    let mut event = issued(number, licence, issuer);
    event["type"] = json!("cn.yihao.licence.status_changed.v1");
    event["data"]["order"] = json!({
        "document": STANDARD.encode(&order), "signature": STANDARD.encode(issuer.sign(&order)),
    });
    event
}

async fn send(sender: &Actor, events: &[Value]) -> Answer {
    let body = serde_json::to_vec(events).unwrap();
    sender.post_bytes("/v1/exchange/events", BATCH_MEDIA_TYPE, body).await
}

/// How many were accepted, and the codes of the others.
fn outcome(answer: &Answer) -> (u64, Vec<String>) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["format"], "yihao-exchange-1");
    let refused = answer.json["refused"].as_array().unwrap();
    let codes = refused.iter().map(|one| one["code"].as_str().unwrap().to_owned());
    (answer.json["accepted"].as_u64().unwrap(), codes.collect())
}

/// Licences of the market regulator that are valid for long.
fn licences(hub: &TestHub, count: usize) -> Vec<Licence> {
    let issuer = hub.issuer().department.code;
    let found: Vec<Licence> = hub
        .licences()
        .filter(|licence| {
            *licence.issuer.credit_code() == issuer
                && licence.files.is_empty()
                && licence.valid_to.is_none_or(|last| last.year() > 2027)
        })
        .take(count)
        .collect();
    assert_eq!(found.len(), count, "the district has that many");
    found
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A connector to the hub on this port, with the office's certificate.
fn connector(port: u16, source: &str, files: &(std::path::PathBuf, std::path::PathBuf)) -> String {
    format!(
        "[[connectors]]\nname = \"neighbour\"\nkind = \"push\"\nsource = \"{source}\"\n\
         url = \"https://localhost:{port}/v1/exchange/events\"\nca = \"ca.pem\"\n\
         certificate = \"{}\"\nkey = \"{}\"\npoll_ms = 50\nbackoff_min_ms = 50\nbackoff_max_ms = 200\n",
        files.0.display(),
        files.1.display()
    )
}

/// Waits until both hubs have gone through everything, and there is nothing new.
async fn at_rest(hubs: [&TestHub; 2]) {
    let mut quiet = 0;
    for _ in 0..1_200 {
        let mut done = true;
        for hub in hubs {
            let state = hub.office().get("/v1/connectors").await.json["connectors"][0].clone();
            done &= state["cursor"] == json!(hub.registry_entries().await);
        }
        quiet = if done { quiet + 1 } else { 0 };
        if quiet == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for hub in hubs {
        eprintln!("{}", hub.office().get("/v1/connectors").await.text);
    }
    panic!("the hubs do not come to rest");
}

/// Identifier, digest, status of everything that is held.
async fn held(hub: &TestHub) -> Vec<String> {
    let page = hub.hub.store.page_of_licences(None, 1_000).await.unwrap();
    page.iter()
        .map(|held| format!("{} {} {}", held.identifier, held.digest, held.status.word()))
        .collect()
}

#[actix_web::test]
async fn what_either_hub_takes_in_is_held_by_both_in_the_end_and_they_come_to_rest() {
    let port = free_port();
    let second = TestHub::start_prepared("127.0.0.1:0", |path| {
        // Its certificate is made when the hub is there: files are read when something is delivered.
        let files = (
            path.join("client-government-services.pem"),
            path.join("client-government-services.key"),
        );
        connector(port, "https://second.example", &files)
    })
    .await;
    let files = second.client_files(&second.office().department);
    let more = connector(second.address.port(), "https://first.example", &files);
    let first = TestHub::start_beside(&second, &format!("127.0.0.1:{port}"), &more).await;

    let all = licences(&first, 12);
    let (single, bulk) = all.split_at(6);
    for licence in single {
        assert_eq!(first.issuer().issue(licence).await.status, 201);
    }
    let issuer = second.issuer();
    let documents: Vec<Vec<u8>> = bulk.iter().map(Licence::to_bytes).collect();
    let digests: Vec<_> = documents.iter().map(|document| sha256(document)).collect();
    let manifest = Manifest::write(&issuer.department.code, "0001", &digests).unwrap();
    let (answer, _) = issuer.hand_in_batch(&manifest, &issuer.sign(&manifest), &documents).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    at_rest([&first, &second]).await;
    for hub in [&first, &second] {
        let aside = hub.office().get("/v1/connectors/neighbour/set-aside").await;
        assert!(!aside.text.contains("\"code\""), "{}", aside.text);
    }

    // Orders may be given at either, wherever the licence came in.
    let revoke = StatusChange::Revoke { cause: RevocationCause::Deregistered };
    assert_eq!(
        second.issuer().order(&single[0].identifier, StatusChange::Suspend).await.status,
        200
    );
    assert_eq!(first.issuer().order(&bulk[0].identifier, revoke).await.status, 200);
    at_rest([&first, &second]).await;
    assert_eq!(
        first.issuer().order(&single[0].identifier, StatusChange::Restore).await.status,
        200
    );
    at_rest([&first, &second]).await;

    let (ours, theirs) = (held(&first).await, held(&second).await);
    assert_eq!(ours.len(), 12);
    assert_eq!(ours, theirs);
    // 12 licences and 3 orders are 15 changes, on either side, although each hub handed all of it back.
    assert_eq!((first.registry_entries().await, second.registry_entries().await), (15, 15));
    for hub in [&first, &second] {
        let compared = hub
            .office()
            .post("/v1/connectors/neighbour/reconcile", &json!({ "why": "test" }))
            .await;
        assert_eq!(compared.status, 200, "{}", compared.text);
        assert_eq!(compared.json["agrees"], true, "{}", compared.text);
        let aside = hub.office().get("/v1/connectors/neighbour/set-aside").await;
        assert!(!aside.text.contains("\"code\""), "{}", aside.text);
    }
    // What came under a manifest is pulled and proven like what came by itself.
    let evidence = second.hub.store.licence(&single[1].identifier).await.unwrap().unwrap();
    assert_eq!(evidence.document, single[1].to_bytes(), "byte for byte");
    let by_manifest = first.hub.store.licence(&bulk[1].identifier).await.unwrap().unwrap();
    assert!(matches!(by_manifest.proof, indexes::Proof::Manifest { .. }));
}

#[actix_web::test]
async fn a_repeat_changes_nothing_however_it_comes() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let licence = licences(&hub, 1).remove(0);
    let came = issued(3, &licence, &issuer);
    let suspended = ordered(4, &licence, StatusChange::Suspend, &issuer);
    let events = [came.clone(), suspended.clone()];
    for round in 0..3 {
        assert_eq!(outcome(&send(&office, &events).await), (2, vec![]), "round {round}");
        assert_eq!(hub.registry_entries().await, 2);
    }
    // Alone, twice in one request, and from somebody who has it from elsewhere.
    assert_eq!(outcome(&send(&office, std::slice::from_ref(&suspended)).await), (1, vec![]));
    assert_eq!(outcome(&send(&office, &[came.clone(), came.clone()]).await), (2, vec![]));
    let mut other = came;
    other["source"] = json!("https://elsewhere.example");
    other["id"] = json!("there-00000000000000000001");
    assert_eq!(outcome(&send(&office, &[other]).await), (1, vec![]));
    assert_eq!(hub.registry_entries().await, 2);
    // An order that comes by itself brings its licence along.
    let another = licences(&hub, 2).remove(1);
    let revoked = ordered(9, &another, StatusChange::Suspend, &issuer);
    assert_eq!(outcome(&send(&office, &[revoked]).await), (1, vec![]));
    assert_eq!(hub.registry_entries().await, 4);
}

#[actix_web::test]
async fn the_signature_of_a_licence_that_nobody_had_signed_comes_from_next_door_too() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let [licence] = &licences(&hub, 1)[..] else { panic!("one") };
    let document = licence.to_bytes().into();
    hub::intake::take_in_unsigned(&hub.hub, &issuer.department.code, document).await.unwrap();
    let proof = async || {
        let held = hub.hub.store.licence(&licence.identifier).await.unwrap().unwrap();
        (held.proof != indexes::Proof::Unsigned, held.trust_now())
    };

    let mut forged = issued(1, licence, &issuer);
    forged["data"]["proof"]["signature"] = json!(STANDARD.encode(issuer.sign(b"other bytes")));
    assert_eq!(outcome(&send(&office, &[forged]).await).0, 0);
    let fell = json!({ "signature": "" });
    let mut fell = event(2, "trust_changed", licence, fell);
    fell["data"]["trust"] = json!("untrusted");
    assert_eq!(outcome(&send(&office, &[fell]).await), (1, vec![]));
    assert_eq!(proof().await, (false, licence::Trust::Untrusted));

    assert_eq!(outcome(&send(&office, &[issued(3, licence, &issuer)]).await), (1, vec![]));
    assert_eq!(proof().await, (true, licence::Trust::Trusted));
    let entries = hub.registry_entries().await;
    assert_eq!(outcome(&send(&office, &[issued(3, licence, &issuer)]).await), (1, vec![]));
    assert_eq!(hub.registry_entries().await, entries, "a repeat changes nothing");
}

#[actix_web::test]
async fn what_nobody_signed_bars_no_licence_that_its_issuer_signed_with_other_words() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let all = licences(&hub, 3);
    for licence in &all {
        let claimed = Licence { name: "登记簿所载".to_owned(), ..licence.clone() };
        let document = claimed.to_bytes().into();
        hub::intake::take_in_unsigned(&hub.hub, &issuer.department.code, document).await.unwrap();
    }
    let held = async |licence: &Licence| {
        let held = hub.hub.store.licence(&licence.identifier).await.unwrap().unwrap();
        (held.document == licence.to_bytes(), held.trust_now().word(), held.seq.0)
    };
    assert_eq!(held(&all[0]).await, (false, "untrusted", 0));
    // From another hub, by itself, under a manifest.
    let events = [issued(1, &all[0], &issuer), issued(2, &all[0], &issuer)];
    assert_eq!(outcome(&send(&office, &events).await), (2, vec![]));
    assert_eq!(issuer.issue(&all[1]).await.status, 201);
    let document = all[2].to_bytes();
    let manifest = Manifest::write(&issuer.department.code, "0001", &[sha256(&document)]).unwrap();
    let (answer, _) = issuer.hand_in_batch(&manifest, &issuer.sign(&manifest), &[document]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (licence, seq) in all.iter().zip(3..) {
        assert_eq!(held(licence).await, (true, "trusted", seq));
    }
    // The feed says both, and which counts.
    let feed = issuer.get("/v1/changes").await;
    let digests: Vec<(&str, &str)> = feed.json["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["identifier"] == json!(all[0].identifier))
        .map(|change| (change["kind"].as_str().unwrap(), change["digest"].as_str().unwrap()))
        .collect();
    let signed = sha256(&all[0].to_bytes()).to_string();
    assert_eq!((digests.len(), digests[1]), (2, ("issued", &*signed)), "{}", feed.text);
    // The claim comes no more.
    let claimed = Licence { name: "登记簿所载".to_owned(), ..all[0].clone() };
    let document = claimed.to_bytes().into();
    let again = hub::intake::take_in_unsigned(&hub.hub, &issuer.department.code, document).await;
    assert_eq!(again.unwrap_err().code(), "identifier_conflict");
}

#[actix_web::test]
async fn a_status_that_nobody_signed_does_not_arrive_as_valid() {
    let second = TestHub::start().await;
    let files = second.client_files(&second.office().department);
    let more = connector(second.address.port(), "https://first.example", &files);
    let first = TestHub::start_beside(&second, "127.0.0.1:0", &more).await;
    let issuer = first.issuer();
    let all = licences(&first, 4);
    let [ended, over, told, back] = &all[..] else { panic!("four") };
    for licence in &all {
        let document = licence.to_bytes().into();
        hub::intake::take_in_unsigned(&first.hub, &issuer.department.code, document).await.unwrap();
    }
    let says = async |licence: &Licence, change: StatusChange| {
        let order = StatusOrder {
            identifier: licence.identifier.clone(),
            change,
            reason: "按来源系统的登记变更".to_owned(),
            ordered_at: NOW.parse().unwrap(),
        };
        let (department, document) = (&issuer.department.code, order.to_bytes().into());
        let changed = hub::intake::change_status_unsigned(
            &first.hub,
            department,
            &licence.identifier,
            document,
        );
        changed.await.unwrap();
    };
    let revoke = || StatusChange::Revoke { cause: RevocationCause::Deregistered };
    // By the register's word alone: ended, and suspended. By the issuer's signature: suspended. By the register: there and back.
    says(ended, revoke()).await;
    says(over, StatusChange::Suspend).await;
    assert_eq!(issuer.order(&told.identifier, StatusChange::Suspend).await.status, 200);
    says(back, StatusChange::Suspend).await;
    says(back, StatusChange::Restore).await;
    for licence in &all {
        assert_eq!(issuer.issue(licence).await.status, 201);
    }
    let there = async |licence: &Licence| {
        let settled = async || {
            let state = first.office().get("/v1/connectors").await.json["connectors"][0].clone();
            state["cursor"] == json!(first.registry_entries().await)
        };
        for _ in 0..600 {
            if settled().await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let held = second.hub.store.licence(&licence.identifier).await.unwrap();
        held.map(|held| format!("{} {}", held.status.word(), held.trust_now().word()))
    };
    let said = |word: &str| Some(format!("{word} trusted"));
    assert_eq!(there(ended).await, None, "it is held back");
    assert_eq!(there(over).await, None, "it is held back");
    assert_eq!(there(told).await, said("suspended"), "the order came along");
    assert_eq!(there(back).await, said("valid"));
    let aside = first.office().get("/v1/connectors/neighbour/set-aside").await;
    assert_eq!(aside.text.matches("\"status_unsigned\"").count(), 2, "{}", aside.text);

    // Signed orders lead both sides to the same again.
    assert_eq!(issuer.order(&over.identifier, StatusChange::Restore).await.status, 200);
    assert_eq!(there(over).await, said("valid"));
    assert_eq!(issuer.order(&over.identifier, StatusChange::Suspend).await.status, 200);
    assert_eq!(issuer.order(&told.identifier, revoke()).await.status, 200);
    assert_eq!(there(over).await, said("suspended"));
    assert_eq!(there(told).await, said("revoked"));
    let aside = first.office().get("/v1/connectors/neighbour/set-aside").await;
    assert_eq!(aside.text.matches("\"code\"").count(), 2, "nothing more: {}", aside.text);
}

#[actix_web::test]
async fn an_event_brings_the_orders_that_its_status_rests_on() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let [licence, other] = &licences(&hub, 2)[..] else { panic!("two") };
    let suspend = ordered(1, licence, StatusChange::Suspend, &issuer)["data"]["order"].clone();
    let mut event = issued(2, licence, &issuer);
    event["data"]["orders"] = json!([suspend]);
    assert_eq!(outcome(&send(&office, &[event.clone(), event]).await), (2, vec![]));
    let status = async || {
        let held = hub.hub.store.licence(&licence.identifier).await.unwrap().unwrap();
        held.status.word()
    };
    assert_eq!((status().await, hub.registry_entries().await), ("suspended", 2));
    // Of the order that it is about it is no repeat.
    let mut restored = ordered(3, licence, StatusChange::Restore, &issuer);
    restored["data"]["orders"] = json!([suspend]);
    assert_eq!(outcome(&send(&office, &[restored]).await), (1, vec![]));
    assert_eq!((status().await, hub.registry_entries().await), ("valid", 3));
    // They are checked like any order, and they are few.
    let forger = hub.issuing("public-security");
    let forged = ordered(4, other, StatusChange::Suspend, &forger)["data"]["order"].clone();
    for (orders, code) in [
        (vec![forged], "signer_not_issuer"),
        (vec![suspend.clone()], "order_for_another_licence"),
        (vec![suspend; 9], "event_data"),
    ] {
        let mut event = issued(5, other, &issuer);
        event["data"]["orders"] = json!(orders);
        assert_eq!(outcome(&send(&office, &[event]).await), (0, vec![code.to_owned()]));
    }
    assert_eq!(hub.registry_entries().await, 3);
}

#[actix_web::test]
async fn what_the_store_refuses_is_refused_each_time_it_comes_in_a_request() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let licence = licences(&hub, 1).remove(0);
    assert_eq!(issuer.issue(&licence).await.status, 201);
    let restore = ordered(1, &licence, StatusChange::Restore, &issuer);
    let not_allowed = "status_transition_not_allowed".to_owned();
    let twice = [restore.clone(), restore.clone()];
    assert_eq!(outcome(&send(&office, &twice).await), (0, vec![not_allowed.clone(); 2]));
    // In order: what was not allowed at first is allowed later.
    let suspend = ordered(2, &licence, StatusChange::Suspend, &issuer);
    let between = [restore.clone(), suspend, restore];
    assert_eq!(outcome(&send(&office, &between).await), (2, vec![not_allowed]));
    let held = hub.hub.store.licence(&licence.identifier).await.unwrap().unwrap();
    assert_eq!((held.status.word(), held.orders.len()), ("valid", 2));
}

#[actix_web::test]
async fn nothing_is_believed_because_a_hub_sent_it() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let all = licences(&hub, 3);
    let (licence, other) = (&all[0], &all[1]);
    let right = issued(1, licence, &issuer);
    let changed = |pointer: &str, value: Value| {
        let mut event = right.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let digest = sha256(b"another").to_string();
    let signature = |content: &[u8], signer: &Actor| json!({ "signature": STANDARD.encode(signer.sign(content)) });
    let document = licence.to_bytes();
    let forger = hub.issuing("public-security");
    let mut touched = document.clone();
    *touched.last_mut().unwrap() = b' ';
    let by_manifest = json!({ "manifest": { "digest": digest, "position": 0 } });
    let mut order_missing = changed("/type", json!("cn.yihao.licence.status_changed.v1"));
    order_missing["data"].as_object_mut().unwrap().remove("order");
    let mut without_number = changed("/sequence", json!("7"));
    without_number["id"] = json!("x");
    let mut for_another = ordered(2, licence, StatusChange::Suspend, &issuer);
    for_another["data"]["order"] =
        ordered(2, other, StatusChange::Suspend, &issuer)["data"]["order"].clone();
    for (event, code) in [
        (changed("/specversion", json!("0.3")), "event_version"),
        (changed("/type", json!("cn.yihao.licence.issued.v2")), "event_type"),
        (changed("/source", json!("")), "event_source"),
        (changed("/source", json!("a\u{0}b")), "event_source"),
        (without_number, "event_number"),
        (changed("/subject", json!(other.identifier)), "event_subject"),
        (changed("/subject", json!("nothing")), "event_subject"),
        (changed("/data", json!({})), "event_data"),
        (changed("/data", json!("text")), "event_data"),
        (changed("/data/document", json!("%%%")), "event_data"),
        (changed("/data/digest", json!(digest)), "digest_mismatch"),
        (order_missing, "event_data"),
        (changed("/data/proof", signature(b"another", &issuer)), "signature_digest_mismatch"),
        (changed("/data/proof", signature(&document, &forger)), "signer_not_issuer"),
        (changed("/data/proof", json!({ "signature": "AAAA" })), "signature_malformed"),
        (changed("/data/proof", json!({ "signature": "" })), "signature_malformed"),
        (changed("/data/proof", by_manifest), "manifest_missing"),
        (for_another, "order_for_another_licence"),
        (ordered(2, licence, StatusChange::Suspend, &forger), "signer_not_issuer"),
    ] {
        assert_eq!(outcome(&send(&office, &[event]).await), (0, vec![code.to_owned()]));
    }
    assert_eq!(hub.registry_entries().await, 0, "nothing of it is stored");

    // One that cannot be taken does not hold up the others.
    let mixed =
        [issued(1, licence, &issuer), changed("/type", json!("x")), issued(2, other, &issuer)];
    assert_eq!(outcome(&send(&office, &mixed).await), (2, vec!["event_type".to_owned()]));
    assert_eq!(hub.registry_entries().await, 2);
    // What is held is not replaced, and no status is reached that the order does not lead to.
    let renamed = Licence { name: "另一名称".to_owned(), ..licence.clone() };
    for (event, code) in [
        (issued(3, &renamed, &issuer), "identifier_conflict"),
        (ordered(4, licence, StatusChange::Restore, &issuer), "status_transition_not_allowed"),
        (ordered(4, licence, StatusChange::Suspend, &forger), "signer_not_issuer"),
    ] {
        assert_eq!(outcome(&send(&office, &[event]).await), (0, vec![code.to_owned()]));
    }
    // What the sender says of status and trust is nothing to go by.
    let mut said = issued(5, licence, &issuer);
    said["data"]["status"] = json!("revoked");
    said["data"]["trust"] = json!("untrusted");
    assert_eq!(outcome(&send(&office, &[said]).await), (1, vec![]));
    let held = hub.hub.store.licence(&licence.identifier).await.unwrap().unwrap();
    assert_eq!((held.status.word(), held.trust_now().word()), ("valid", "trusted"));
    assert_eq!(hub.registry_entries().await, 2);
}

#[actix_web::test]
async fn a_sender_hands_over_what_a_policy_lets_it_and_sees_what_came_from_itself() {
    let hub = TestHub::start_prepared("127.0.0.1:0", |path| {
        let policies = path.join("policies.cedar");
        let mut text = std::fs::read_to_string(&policies).unwrap();
        text.push_str(
            "permit(principal == Department::\"91350100M000100Y43\", action == Action::\"exchange\",\n\
             resource == LicenceType::\"11100000000013127D001\");",
        );
        std::fs::write(&policies, text).unwrap();
        String::new()
    })
    .await;
    let (office, stranger, issuer) = (hub.office(), hub.stranger(), hub.issuer());
    let all = licences(&hub, 3);
    // The stranger may hand over identity cards only; whether a licence is held is not told either.
    for _ in 0..2 {
        let refused = send(&stranger, &[issued(1, &all[0], &issuer)]).await;
        assert_eq!(outcome(&refused), (0, vec!["not_permitted".to_owned()]));
        send(&office, &[issued(1, &all[0], &issuer)]).await;
    }
    // A department without any right is told so.
    let refused = send(&issuer, &[]).await;
    assert_eq!((refused.status, refused.code()), (403, "not_permitted"));
    for path in ["tallies?source=x", "holdings?source=x&type=x&day=x"] {
        let refused = issuer.get(&format!("/v1/exchange/{path}")).await;
        assert_eq!((refused.status, refused.code()), (403, "not_permitted"));
    }

    send(&office, &[issued(2, &all[1], &issuer), issued(3, &all[2], &issuer)]).await;
    send(&office, &[ordered(4, &all[2], StatusChange::Suspend, &issuer)]).await;
    let tallies = |actor: &Actor, source: &str| {
        let (client, url) =
            (actor.client.clone(), hub.url(&format!("/v1/exchange/tallies?source={source}")));
        async move { client.get(url).send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let told = tallies(&office, SOURCE).await;
    let count: u64 = told["tallies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["count"].as_u64().unwrap())
        .sum();
    assert_eq!(count, 2, "what is suspended does not count: {told}");
    for (actor, source) in [(&stranger, SOURCE), (&office, "https://other.example")] {
        assert_eq!(tallies(actor, source).await, json!({ "tallies": [] }));
    }
    for licence in &all[..2] {
        let day = licence.issued_on;
        let found = office
            .get(&format!(
                "/v1/exchange/holdings?source={SOURCE}&type={}&day={day}",
                licence.licence_type
            ))
            .await;
        let mark = mark_of(&licence.identifier, &sha256(&licence.to_bytes())).0;
        let line = json!({ "identifier": licence.identifier, "mark": mark });
        assert!(found.json["holdings"].as_array().unwrap().contains(&line), "{}", found.text);
    }
    let day = all[2].issued_on;
    let first = format!(
        "/v1/exchange/holdings?source={SOURCE}&type={}&day={day}&limit=1",
        all[2].licence_type
    );
    let mut after = String::new();
    let mut seen = Vec::new();
    loop {
        let found = office.get(&format!("{first}{after}")).await;
        let Some(one) = found.json["holdings"][0]["identifier"].as_str() else { break };
        seen.push(one.to_owned());
        after = format!("&after={one}");
    }
    assert!(!seen.contains(&all[2].identifier.to_string()));
}

#[actix_web::test]
async fn a_department_comes_under_a_few_names() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let licence = licences(&hub, 1).remove(0);
    let under = |number: u64| {
        let mut event = issued(number, &licence, &issuer);
        event["source"] = json!(format!("https://{number}.example"));
        event
    };
    let first: Vec<Value> = (0..40).map(under).collect();
    assert_eq!(outcome(&send(&office, &first).await), (40, vec![]));
    let more: Vec<Value> = (30..70).map(under).collect();
    assert_eq!(outcome(&send(&office, &more).await), (34, vec!["event_sources".to_owned(); 6]));
    // Those that are known stay so.
    assert_eq!(outcome(&send(&office, &[under(0), under(63)]).await), (2, vec![]));
    assert_eq!(outcome(&send(&office, &[under(64)]).await), (0, vec!["event_sources".to_owned()]));
    let told = office.get("/v1/exchange/tallies?source=https://63.example").await;
    assert_eq!(told.json["tallies"][0]["count"], 1, "{}", told.text);
    let told = office.get("/v1/exchange/tallies?source=https://64.example").await;
    assert_eq!(told.json["tallies"], json!([]), "{}", told.text);
}

#[actix_web::test]
async fn a_licence_whose_files_are_not_here_is_refused_with_what_to_do() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let file = b"%PDF-1.4 a face".to_vec();
    let listed = licence::FileRef {
        name: "face.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size: file.len() as u64,
        sha256: sha256(&file),
    };
    let licence = Licence { files: vec![listed], ..licences(&hub, 1).remove(0) };
    let answer = send(&office, &[issued(1, &licence, &issuer)]).await;
    assert_eq!(outcome(&answer), (0, vec!["file_missing".to_owned()]));
    let remark = answer.json["refused"][0]["remark"].as_str().unwrap();
    assert!(remark.contains("files do not travel in events"), "{remark}");
    assert_eq!(hub.registry_entries().await, 0, "nothing is shown without its face");
    // Where the file is held, the licence comes in whole.
    hub.hub.blobs.put(file.into()).await.unwrap();
    assert_eq!(outcome(&send(&office, &[issued(2, &licence, &issuer)]).await), (1, vec![]));
}

/// The names of all members, wherever they stand.
fn members(value: &Value) -> std::collections::BTreeSet<String> {
    let (inner, own): (Vec<&Value>, Vec<String>) = match value {
        Value::Array(items) => (items.iter().collect(), Vec::new()),
        Value::Object(map) => (map.values().collect(), map.keys().cloned().collect()),
        _ => (Vec::new(), Vec::new()),
    };
    inner.into_iter().flat_map(members).chain(own).collect()
}

#[actix_web::test]
async fn the_examples_of_the_page_on_the_interface_are_what_is_sent_and_answered() {
    let page = std::fs::read_to_string("../docs/formats/http-api.md").unwrap();
    let section = page.split("## Exchanging with another hub").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks: Vec<Value> = section
        .split("```json")
        .skip(1)
        .map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
        .collect();
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let all = licences(&hub, 3);
    let right = ordered(1, &all[0], StatusChange::Suspend, &issuer);
    assert_eq!(members(&blocks[0]), members(&json!([right])));
    let missing = json!({ "manifest": { "digest": sha256(b"another"), "position": 0 } });
    let answer = send(&office, &[right, event(2, "issued", &all[1], missing)]).await;
    assert_eq!(members(&blocks[1]), members(&answer.json), "{}", answer.text);
    assert_eq!(blocks[1]["refused"][0]["remark"], answer.json["refused"][0]["remark"]);
    assert_eq!(outcome(&answer), (1, vec!["manifest_missing".to_owned()]));

    assert_eq!(outcome(&send(&office, &[issued(3, &all[2], &issuer)]).await), (1, vec![]));
    let told = office.get(&format!("/v1/exchange/tallies?source={SOURCE}")).await;
    assert_eq!(members(&blocks[2]), members(&told.json), "{}", told.text);
    let (licence_type, day) = (all[2].licence_type, all[2].issued_on);
    let path = format!("/v1/exchange/holdings?source={SOURCE}&type={licence_type}&day={day}");
    let told = office.get(&path).await;
    assert_eq!(members(&blocks[3]), members(&told.json), "{}", told.text);
    assert_eq!(blocks.len(), 4);
}

/// Numbers that look random and are the same in each run (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// Changes some bytes: another one, some away, some twice.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(40)).min(bytes.len());
            match self.below(4) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = b"\0\"\\[]{},:0-\xff"[self.below(12)],
                2 => drop(bytes.drain(at..end)),
                _ => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
            }
        }
    }

    /// Changes a member of an event; what is base64 below the base64 too, with the digest made to fit now and then.
    fn twist(&mut self, event: &mut Value, others: &[Value]) {
        const PLACES: [&str; 17] = [
            "",
            "/type",
            "/source",
            "/id",
            "/subject",
            "/sequence",
            "/specversion",
            "/data",
            "/data/digest",
            "/data/document",
            "/data/proof",
            "/data/proof/signature",
            "/data/order",
            "/data/order/document",
            "/data/order/signature",
            "/data/orders",
            "/data/status",
        ];
        let place = PLACES[self.below(PLACES.len())];
        let other = others[self.below(others.len())].pointer(place).cloned();
        let which = self.below(5);
        let Some(member) = event.pointer_mut(place) else { return };
        match (which, member.as_str().map(str::to_owned)) {
            (0, _) => *member = other.unwrap_or(Value::Null),
            (1, _) => {
                let odd = [json!(null), json!(-1), json!(1e300), json!([]), json!({}), json!("")];
                *member = odd[self.below(odd.len())].clone();
            }
            (2, _) => *member = json!([member.clone(), other]),
            (_, Some(text)) => match STANDARD.decode(&text) {
                Ok(mut inner) if !inner.is_empty() => {
                    self.spoil(&mut inner);
                    *member = json!(STANDARD.encode(&inner));
                    if place == "/data/document" && self.below(2) == 0 {
                        event["data"]["digest"] = json!(sha256(&inner));
                    }
                }
                _ => {
                    let mut bytes = text.into_bytes();
                    self.spoil(&mut bytes);
                    *member = json!(String::from_utf8_lossy(&bytes));
                }
            },
            (_, None) => {
                if let Some(map) = member.as_object_mut()
                    && let Some(key) = map.keys().nth(self.below(map.len().max(1))).cloned()
                {
                    map.remove(&key);
                }
            }
        }
    }
}

#[actix_web::test]
async fn whatever_comes_is_answered_and_what_is_accepted_is_what_was_signed() {
    let hub = TestHub::start().await;
    let (office, issuer) = (hub.office(), hub.issuer());
    let all = licences(&hub, 5);
    let by_manifest: Vec<Vec<u8>> = all[3..].iter().map(Licence::to_bytes).collect();
    let digests: Vec<_> = by_manifest.iter().map(|document| sha256(document)).collect();
    let manifest = Manifest::write(&issuer.department.code, "0001", &digests).unwrap();
    let mut manifest_event = issued(9, &all[0], &issuer);
    manifest_event["type"] = json!("cn.yihao.licence.manifest.v1");
    manifest_event["subject"] = json!(sha256(&manifest));
    manifest_event["data"] = json!({
        "manifest": STANDARD.encode(&manifest), "signature": STANDARD.encode(issuer.sign(&manifest)),
    });
    let proof = |position: usize| json!({ "manifest": { "digest": sha256(&manifest), "position": position } });
    let mut restored = ordered(4, &all[1], StatusChange::Restore, &issuer);
    let suspended = ordered(3, &all[1], StatusChange::Suspend, &issuer);
    restored["data"]["orders"] = json!([suspended["data"]["order"]]);
    let right = [
        issued(1, &all[0], &issuer),
        issued(2, &all[2], &issuer),
        suspended,
        restored,
        manifest_event,
        event(5, "issued", &all[3], proof(0)),
        event(6, "trust_changed", &all[4], proof(1)),
    ];
    let signed: Vec<Vec<u8>> = all.iter().map(Licence::to_bytes).collect();
    let orders: Vec<Vec<u8>> = [&right[2], &right[3]]
        .iter()
        .map(|event| STANDARD.decode(event["data"]["order"]["document"].as_str().unwrap()).unwrap())
        .collect();
    let mut chance = Chance(20_261_124);
    let (mut accepted, mut refused, mut malformed) = (0, 0, 0);
    for _ in 0..1_500 {
        let mut events: Vec<Value> =
            (0..=chance.below(3)).map(|_| right[chance.below(right.len())].clone()).collect();
        for event in &mut events {
            for _ in 0..=chance.below(2) {
                chance.twist(event, &right);
            }
        }
        let mut body = serde_json::to_vec(&events).unwrap();
        if chance.below(4) == 0 {
            chance.spoil(&mut body);
        }
        let answer = office.post_bytes("/v1/exchange/events", BATCH_MEDIA_TYPE, body.clone()).await;
        if answer.status == 400 {
            assert_eq!(answer.code(), "json", "{}", answer.text);
            malformed += 1;
            continue;
        }
        let (taken, codes) = outcome(&answer);
        let sent: Vec<Value> = serde_json::from_slice(&body).unwrap();
        assert_eq!(taken as usize + codes.len(), sent.len(), "each is answered for");
        (accepted, refused) = (accepted + taken, refused + codes.len());
    }
    assert!(accepted > 50 && refused > 500 && malformed > 50, "{accepted} {refused} {malformed}");
    let trust = hub.hub.trust();
    let now = NOW.parse().unwrap();
    let page = hub.hub.store.page_of_licences(None, 100).await.unwrap();
    assert!(page.len() >= 3, "some came through");
    for held in &page {
        assert!(signed.iter().any(|one| *one == held.document), "{}", held.identifier);
        match &held.proof {
            indexes::Proof::Signature(cms) => {
                certs::verify_detached(cms, &held.document, &trust, now).unwrap();
            }
            indexes::Proof::Manifest { manifest: named, .. } => {
                assert_eq!(*named, sha256(&manifest));
            }
            indexes::Proof::Unsigned => panic!("{} is unsigned", held.identifier),
        }
        for order in &held.orders {
            assert!(orders.iter().any(|one| *one == order.document));
            certs::verify_detached(&order.signature, &order.document, &trust, now).unwrap();
        }
    }
    // What is right comes in after all of it, and what came in is not there twice.
    let (taken, codes) = outcome(&send(&office, &right).await);
    assert!(codes.is_empty() && taken == 7, "{taken} {codes:?}");
    assert_eq!(hub.registry_entries().await, 7, "five licences, two orders");
}

#[actix_web::test]
async fn what_is_no_batch_of_events_is_refused_as_a_whole() {
    let hub = TestHub::start().await;
    let office = hub.office();
    let deep = format!("[{}{}]", "[".repeat(500), "]".repeat(500));
    for (media_type, body, status, code) in [
        ("application/json", "[]", 415, "media_type"),
        (BATCH_MEDIA_TYPE, "{}", 400, "json"),
        (BATCH_MEDIA_TYPE, "[{}]", 400, "json"),
        (BATCH_MEDIA_TYPE, "[1]", 400, "json"),
        (BATCH_MEDIA_TYPE, "[", 400, "json"),
        (BATCH_MEDIA_TYPE, &deep, 400, "json"),
        (BATCH_MEDIA_TYPE, &format!("[{}]", vec!["1"; 10_001].join(",")), 413, "body_too_large"),
    ] {
        let answer = office.post_bytes("/v1/exchange/events", media_type, body.into()).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text);
    }
    assert_eq!(outcome(&send(&office, &[]).await), (0, vec![]));
    for path in [
        "tallies",
        "tallies?source=",
        "holdings?source=x&type=x&day=2025-01-01",
        "tallies?source=x&y=1",
    ] {
        let answer = office.get(&format!("/v1/exchange/{path}")).await;
        assert_eq!((answer.status, answer.code()), (400, "query"), "{path}: {}", answer.text);
    }
}
