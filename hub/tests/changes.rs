//! The change feed and its snapshot: who starts with the snapshot and goes on with the feed has what the registry holds.

mod support;

use std::collections::BTreeMap;

use licence::{Licence, RevocationCause, StatusChange};
use serde_json::{Value, json};
use support::{Actor, TestHub};

/// A licence as a follower holds it: digest, status, trust.
type Held = BTreeMap<String, (String, String, String)>;

fn text(line: &Value, member: &str) -> String {
    line[member].as_str().unwrap_or_default().to_owned()
}

/// The lines of a snapshot: the first, then those of licences.
async fn snapshot(follower: &Actor, query: &str) -> (Value, Vec<Value>) {
    let answer = follower.get(&format!("/v1/changes/snapshot{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.content_type, "application/x-ndjson");
    let mut lines: Vec<Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    assert_eq!(last, json!({ "end": true, "count": lines.len() - 1 }));
    (lines.remove(0), lines)
}

fn held(lines: &[Value]) -> Held {
    let mut held = Held::new();
    for line in lines {
        let state = (text(line, "digest"), text(line, "status"), text(line, "trust"));
        assert!(held.insert(text(line, "identifier"), state).is_none(), "each stands once");
    }
    held
}

/// Applies the changes after `after` (`None`: all) and returns the number of the last one.
async fn follow(follower: &Actor, held: &mut Held, mut after: Option<u64>) -> Option<u64> {
    loop {
        let query = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let answer = follower.get(&format!("/v1/changes?limit=50{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let changes = answer.json["changes"].as_array().unwrap();
        for change in changes {
            let identifier = text(change, "identifier");
            if change["kind"] == "issued" {
                let state = (text(change, "digest"), "valid".to_owned(), "trusted".to_owned());
                assert!(held.insert(identifier, state).is_none(), "nothing comes twice: {change}");
                continue;
            }
            let state = held.get_mut(&identifier).unwrap();
            state.1 = text(change, "status");
            if change["kind"] == "trust_changed" {
                state.2 = text(change, "trust");
            }
        }
        after = answer.json["next"].as_u64();
        if changes.is_empty() {
            return after;
        }
    }
}

fn of_issuer(hub: &TestHub, issuer: &Actor) -> Vec<Licence> {
    let code = issuer.department.code;
    hub.licences().filter(|licence| *licence.issuer.credit_code() == code).collect()
}

#[actix_web::test]
async fn an_empty_registry_has_a_snapshot_without_a_number() {
    let hub = TestHub::start().await;
    let (first, lines) = snapshot(&hub.issuer(), "").await;
    assert!(first.get("seq").is_none(), "{first}");
    assert!(lines.is_empty());
}

#[actix_web::test]
async fn a_snapshot_and_the_changes_after_it_are_the_registry_while_it_grows() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let licences = of_issuer(&hub, &issuer);
    assert!(licences.len() >= 12, "{} licences", licences.len());
    let (before, meanwhile) = licences.split_at(licences.len() / 2);
    for licence in before {
        assert_eq!(issuer.issue(licence).await.status, 201);
    }
    let revoke = StatusChange::Revoke { cause: RevocationCause::Withdrawn };
    issuer.order(&before[0].identifier, StatusChange::Suspend).await;
    issuer.order(&before[1].identifier, revoke.clone()).await;

    // Licences come in and change while snapshots are taken.
    let going_on = async {
        for (new, old) in meanwhile.iter().zip(before) {
            assert_eq!(issuer.issue(new).await.status, 201);
            issuer.order(&old.identifier, StatusChange::Suspend).await;
            issuer.order(&new.identifier, revoke.clone()).await;
        }
    };
    let follower = hub.issuer();
    let taking = async {
        let mut taken = Vec::new();
        for _ in 0..8 {
            let (first, lines) = snapshot(&follower, "").await;
            taken.push((first["seq"].as_u64(), held(&lines)));
        }
        taken
    };
    let (taken, ()) = tokio::join!(taking, going_on);

    let mut whole = Held::new();
    let end = follow(&follower, &mut whole, None).await;
    assert!(whole.values().any(|state| state.1 == "suspended"));
    assert!(taken.iter().any(|(seq, _)| *seq < end), "some were taken before the end");
    for (seq, mut held) in taken {
        follow(&follower, &mut held, seq).await;
        assert_eq!(held, whole, "snapshot as of {seq:?}, then the changes after it");
    }
}

#[actix_web::test]
async fn a_snapshot_broken_off_goes_on_as_of_its_number() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    let licences = of_issuer(&hub, &issuer);
    for licence in &licences[..8] {
        assert_eq!(issuer.issue(licence).await.status, 201);
    }
    let (first, lines) = snapshot(&issuer, "").await;
    let seq = first["seq"].as_u64().unwrap();
    for licence in &licences[..8] {
        issuer.order(&licence.identifier, StatusChange::Suspend).await;
    }
    let after = text(&lines[4], "identifier");
    let (again, rest) = snapshot(&issuer, &format!("?seq={seq}&after_licence={after}")).await;
    assert_eq!(again["seq"], first["seq"]);
    assert_eq!(rest, lines[5..]);
    assert!(rest.iter().all(|line| line["status"] == "valid"), "{rest:?}");
}

#[actix_web::test]
async fn a_snapshot_shows_the_types_that_the_department_may_follow_and_no_others() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    let (_, lines) = snapshot(&hub.issuer(), "").await;
    assert_eq!(lines.len(), 1);
    for department in support::departments() {
        let other = hub.department(department.slug);
        let feed = other.get("/v1/changes").await;
        let answer = other.get("/v1/changes/snapshot").await;
        assert_eq!(answer.status, feed.status, "{}", department.slug);
        if feed.status == 200 {
            let follows = !feed.json["changes"].as_array().unwrap().is_empty();
            assert_eq!(answer.text.contains(licence.identifier.as_str()), follows);
        }
    }
    let refused = hub.stranger().get("/v1/changes/snapshot").await;
    assert_eq!((refused.status, refused.code()), (403, "not_permitted"));
}

#[actix_web::test]
async fn a_snapshot_asked_for_wrongly_is_a_problem() {
    let hub = TestHub::start().await;
    let issuer = hub.issuer();
    for (query, status, code) in [
        ("?seq=0", 422, "snapshot_beyond_head"),
        ("?seq=18446744073709551615", 422, "snapshot_beyond_head"),
        ("?seq=-1", 400, "query"),
        ("?after=0", 400, "query"),
        ("?after_licence=1.2", 400, "query"),
        ("?seq=0&after_licence=1.2", 400, "query"),
    ] {
        let answer = issuer.get(&format!("/v1/changes/snapshot{query}")).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{query}");
        assert_eq!(answer.content_type, "application/problem+json");
    }
}
