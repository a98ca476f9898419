//! Bad input, one test per sentence of the rule: each is answered with a clear error that names the
//! link that failed, and nothing of it is stored.

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod callers;
mod documents;
mod machine;
mod raw;
mod signatures;

use licence::{Licence, LicenceId};
use serde_json::Value;
use support::{Answer, TestHub};

/// A refusal: one of these HTTP statuses, a problem with a stable code, a sentence for people, and one
/// of these links.
#[track_caller]
fn assert_refused(answer: &Answer, statuses: &[u16], links: &[&str]) {
    assert!(statuses.contains(&answer.status), "status: {answer:?}");
    assert!(answer.content_type.starts_with("application/problem+json"), "{answer:?}");
    assert_problem(&answer.json, links);
}

/// The problem itself, as it also stands in a line of a batch's answer.
#[track_caller]
fn assert_problem(problem: &Value, links: &[&str]) {
    let code = problem["code"].as_str().unwrap_or_default();
    let snake_case = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_';
    assert!(!code.is_empty() && code.chars().all(snake_case), "code: {problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.chars().count() >= 10, "detail: {problem}");
    let link = problem["link"].as_str().unwrap_or_default();
    assert!(links.contains(&link), "link {link:?} is none of {links:?}: {problem}");
}

/// Both logs are empty, and nobody finds the licence by its identifier.
async fn assert_nothing_stored(hub: &TestHub, identifier: &LicenceId) {
    assert_eq!(hub.registry_entries().await, 0, "the registry log has an entry");
    assert_eq!(hub.uses().await, 0, "the access log has an entry");
    let found = hub.issuer().get(&format!("/v1/licences/{identifier}")).await;
    assert_eq!(found.status, 404, "{found:?}");
}

/// The hub is still there after what was done to it.
async fn assert_alive(hub: &TestHub) {
    let health = hub.issuer().get("/healthz").await;
    assert_eq!(health.status, 200, "{health:?}");
    let (licence, _) = hub.enterprise_licence();
    let issued = hub.issuer().issue(&licence).await;
    assert!([200, 201].contains(&issued.status), "{issued:?}");
}

/// The text of a licence with one of its elements replaced.
fn with(licence: &Licence, element: &str, value: Value) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(&licence.to_bytes()).unwrap();
    document[element] = value;
    serde_json::to_vec(&document).unwrap()
}
