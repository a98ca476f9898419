//! The interface says what it is: OpenAPI and the routes are one list; errors are problems.

mod support;

use hub::http::Description;
use support::TestHub;
use utoipa::OpenApi;

/// The calls of design.md section 7 that exist so far. A route that is not here, or that is here and
/// not served, fails.
const CALLS: &[&str] = &[
    "delete /v1/grants/{id}",
    "delete /v1/materials/uploads/{id}",
    "get /healthz",
    "get /metrics",
    "get /readyz",
    "get /v1/cases",
    "get /v1/cases/{id}",
    "get /v1/cases/{id}/package",
    "get /v1/catalogue",
    "get /v1/changes",
    "get /v1/changes/snapshot",
    "get /v1/connectors",
    "get /v1/connectors/{name}/actions",
    "get /v1/connectors/{name}/code-map",
    "get /v1/connectors/{name}/reconciliations",
    "get /v1/connectors/{name}/reconciliations/{id}",
    "get /v1/connectors/{name}/set-aside",
    "get /v1/corrections",
    "get /v1/corrections/{id}",
    "get /v1/exchange/holdings",
    "get /v1/exchange/tallies",
    "get /v1/grants",
    "get /v1/grants/{id}",
    "get /v1/grants/{id}/licences/{identifier}",
    "get /v1/grants/{id}/licences/{identifier}/files/{sha256}",
    "get /v1/holders/me/consents",
    "get /v1/holders/me/corrections",
    "get /v1/holders/me/licences",
    "get /v1/holders/me/licences/{identifier}/files/{sha256}",
    "get /v1/holders/me/uses",
    "get /v1/inbound",
    "get /v1/inbound/{name}/actions",
    "get /v1/keys",
    "get /v1/licences/{identifier}",
    "get /v1/materials",
    "get /v1/materials/{id}",
    "get /v1/materials/{id}/content",
    "get /v1/matters",
    "get /v1/matters/{code}/checklist",
    "get /v1/search",
    "head /v1/materials/uploads/{id}",
    "patch /v1/materials/uploads/{id}",
    "post /v1/cases",
    "post /v1/cases/{id}/materials",
    "post /v1/cases/{id}/promise",
    "post /v1/cases/{id}/steps",
    "post /v1/cases/{id}/submit",
    "post /v1/cases/{id}/withdraw",
    "post /v1/connectors/{name}/pause",
    "post /v1/connectors/{name}/preview",
    "post /v1/connectors/{name}/reconcile",
    "post /v1/connectors/{name}/replay",
    "post /v1/connectors/{name}/resume",
    "post /v1/connectors/{name}/retry",
    "post /v1/corrections",
    "post /v1/corrections/{id}/answer",
    "post /v1/exchange/events",
    "post /v1/grants",
    "post /v1/grants/{id}/decision",
    "post /v1/inbound/{name}/pause",
    "post /v1/inbound/{name}/resume",
    "post /v1/licences",
    "post /v1/licences/batches",
    "post /v1/licences/{identifier}/status",
    "post /v1/materials",
    "post /v1/materials/uploads/{id}/finish",
    "post /v1/pulls",
    "post /v1/search",
    "put /v1/cases/{id}/form",
    "put /v1/connectors/{name}/code-map",
];

#[test]
fn the_openapi_document_describes_every_call() {
    let document = serde_json::to_value(Description::openapi()).unwrap();
    let mut described: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .collect();
    described.sort();
    let mut expected: Vec<&str> = CALLS.to_vec();
    expected.push("post /v1/verify");
    expected.sort_unstable();
    assert_eq!(described, expected);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
}

#[actix_web::test]
async fn every_described_call_is_served_and_asks_who_calls_where_it_should() {
    let hub = TestHub::start().await;
    let open = ["/healthz", "/metrics", "/readyz", "/v1/catalogue", "/v1/keys", "/v1/matters"];
    let client = hub.nobody();
    for call in CALLS.iter().chain(&["post /v1/verify"]) {
        let (method, path) = call.split_once(' ').unwrap();
        let url = hub.url(&path.replace(['{', '}'], ""));
        let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let request = client.request(method.clone(), url);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!(!text.contains("no_such_route"), "{call} is not served");
        if open.contains(&path) {
            assert_eq!(status, 200, "{call}: {text}");
        } else if path != "/v1/licences/{identifier}" || method != "GET" {
            assert_eq!(status, 401, "{call}: {text}");
            // What people do asks for a session, what only departments do for a certificate.
            let asks = ["certificate_required", "login_required"];
            let asks = asks.iter().any(|code| text.contains(code));
            assert!(asks || method == "HEAD", "{call}: {text}");
        }
    }
}

#[actix_web::test]
async fn what_is_not_served_is_a_problem_too() {
    let hub = TestHub::start().await;
    let answer = hub.office().get("/v1/nothing").await;
    assert_eq!((answer.status, answer.code()), (404, "no_such_route"));
    assert_eq!(answer.content_type, "application/problem+json");
}

#[actix_web::test]
async fn metrics_and_health_name_no_holder() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    hub.puller(&pull).pull(&pull).await;
    let metrics = hub.office().get("/metrics").await.text;
    assert!(metrics.contains("yihao_pulls_total"), "{metrics}");
    assert!(metrics.contains("yihao_registry_entries 1"), "{metrics}");
    for secret in [licence.holders[0].name.as_str(), pull.holder.number(), licence.number.as_str()]
    {
        assert!(!metrics.contains(secret));
    }
    let ready = hub.office().get("/readyz").await;
    assert_eq!((ready.status, &ready.json["ready"]), (200, &serde_json::json!(true)));
}
