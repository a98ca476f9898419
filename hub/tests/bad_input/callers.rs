//! Callers that may not, and pulls that do not say why.

use certs::{Manifest, Profile, Suite, sha256};
use jiff::Timestamp;
use licence::{LicenceId, StatusChange};
use serde_json::{Value, json};

use crate::{
    assert_nothing_stored, assert_refused,
    support::{Actor, TestHub, pull_request, subject},
};

fn day(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

/// Everything that a department can ask for. (What everybody may see is not among it.)
fn everything(identifier: &LicenceId) -> Vec<(&'static str, String)> {
    vec![
        ("POST", "/v1/licences".into()),
        ("POST", "/v1/licences/batches".into()),
        ("POST", format!("/v1/licences/{identifier}/status")),
        ("POST", "/v1/pulls".into()),
        ("GET", format!("/v1/grants/g_x/licences/{identifier}")),
        ("GET", "/v1/search?q=a".into()),
        ("POST", "/v1/search".into()),
        ("GET", "/v1/changes".into()),
        ("GET", "/v1/changes/snapshot".into()),
        ("GET", "/v1/connectors".into()),
        ("POST", "/v1/connectors/province/pause".into()),
        ("POST", "/v1/connectors/province/resume".into()),
        ("POST", "/v1/connectors/province/replay".into()),
        ("POST", "/v1/connectors/province/reconcile".into()),
        ("POST", "/v1/connectors/province/retry".into()),
        ("POST", "/v1/connectors/province/preview".into()),
        ("PUT", "/v1/connectors/province/code-map".into()),
        ("GET", "/v1/connectors/province/code-map".into()),
        ("GET", "/v1/connectors/province/actions".into()),
        ("GET", "/v1/connectors/province/reconciliations".into()),
    ]
}

/// The hub does not talk to this client at all, or says that it does not know it.
async fn assert_not_admitted(hub: &TestHub, client: &reqwest::Client) {
    let (licence, pull) = hub.enterprise_licence();
    for (method, path) in everything(&licence.identifier) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client.request(method, hub.url(&path)).json(&pull_request(&pull));
        if let Ok(answer) = request.send().await {
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            assert!([401, 403].contains(&status), "{path}: {status} {text}");
        }
    }
    assert_nothing_stored(hub, &licence.identifier).await;
}

fn client(hub: &TestHub, profile: Profile, from: &str, days: i64) -> reqwest::Client {
    let department = hub.office().department;
    let (certificate, key) = hub
        .authority
        .issue(Suite::EcdsaP256Sha256, profile, &subject(&department), day(from), days)
        .unwrap();
    hub.client_with(&certificate, &key)
}

#[tokio::test]
async fn nobody_is_admitted_without_a_certificate() {
    let hub = TestHub::start().await;
    assert_not_admitted(&hub, &hub.nobody()).await;
}

#[tokio::test]
async fn a_client_certificate_of_an_unknown_authority_is_not_admitted() {
    let hub = TestHub::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let department = hub.office().department;
    let authority = hub::command::demo::authority::Authority::open(
        elsewhere.path(),
        &subject(&department),
        day("2024-01-01"),
    )
    .unwrap();
    let (certificate, key) = authority
        .issue(
            Suite::EcdsaP256Sha256,
            Profile::Client,
            &subject(&department),
            day("2025-01-01"),
            3_000,
        )
        .unwrap();
    assert_not_admitted(&hub, &hub.client_with(&certificate, &key)).await;
}

#[tokio::test]
async fn an_expired_client_certificate_is_not_admitted() {
    let hub = TestHub::start().await;
    assert_not_admitted(&hub, &client(&hub, Profile::Client, "2024-01-02", 30)).await;
}

#[tokio::test]
async fn a_client_certificate_that_is_not_yet_valid_is_not_admitted() {
    let hub = TestHub::start().await;
    // TLS is judged by the clock of the machine: a year from now, whenever that is.
    let next_year = Timestamp::now() + jiff::SignedDuration::from_hours(24 * 365);
    let department = hub.office().department;
    let (certificate, key) = hub
        .authority
        .issue(Suite::EcdsaP256Sha256, Profile::Client, &subject(&department), next_year, 30)
        .unwrap();
    assert_not_admitted(&hub, &hub.client_with(&certificate, &key)).await;
}

#[tokio::test]
async fn a_certificate_for_servers_does_not_admit() {
    let hub = TestHub::start().await;
    let server = Profile::Server { dns: vec!["office.example".to_owned()], ips: Vec::new() };
    assert_not_admitted(&hub, &client(&hub, server, "2025-01-01", 3_000)).await;
}

#[tokio::test]
async fn a_certificate_without_rights_takes_nothing_in() {
    let hub = TestHub::start().await;
    let mut stranger = hub.stranger();
    stranger.identity = Some(hub.signing_identity(&stranger.department));
    let (licence, _) = hub.enterprise_licence();
    let mut own = licence.clone();
    own.issuer = stranger.department.code.into();
    own.identifier = LicenceId::build(&own.licence_type, &own.issuer, "A000000001", 1).unwrap();

    assert_refused(&stranger.issue(&own).await, &[403], &["policy"]);
    assert_refused(&stranger.issue(&licence).await, &[403, 422], &["policy", "signature"]);
    let document = own.to_bytes();
    let manifest = Manifest::write(&stranger.department.code, "one", &[sha256(&document)]).unwrap();
    let (answer, lines) =
        stranger.hand_in_batch(&manifest, &stranger.sign(&manifest), &[document]).await;
    if answer.status == 200 {
        assert_eq!(lines[0]["outcome"], "refused", "{answer:?}");
        assert_eq!(lines[0]["problem"]["link"], "policy", "{answer:?}");
    } else {
        assert_refused(&answer, &[403], &["policy"]);
    }
    assert_nothing_stored(&hub, &own.identifier).await;
    assert_nothing_stored(&hub, &licence.identifier).await;
}

#[tokio::test]
async fn a_certificate_without_rights_sees_and_changes_nothing() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    assert_eq!(hub.issuer().issue(&licence).await.status, 201);
    hub.search_has_caught_up().await;
    let mut stranger = hub.stranger();
    stranger.identity = Some(hub.signing_identity(&stranger.department));

    assert_refused(&stranger.pull(&pull).await, &[403], &["policy"]);
    let order = stranger.order(&licence.identifier, StatusChange::Suspend).await;
    assert_refused(&order, &[403, 422], &["policy", "signature"]);
    for path in ["pause", "resume", "replay", "reconcile"] {
        let path = format!("/v1/connectors/province/{path}");
        let answer = stranger.post(&path, &json!({ "from": 0 })).await;
        assert_refused(&answer, &[403, 404], &["policy", "request"]);
    }
    let text = &licence.holders[0].name;
    for answer in
        [stranger.get(&format!("/v1/search?q={text}")).await, stranger.get("/v1/changes").await]
    {
        if answer.status == 200 {
            let shown = answer.text.contains(licence.identifier.as_str())
                || answer.text.contains(text.as_str())
                || answer.text.contains(licence.holders[0].id.number());
            assert!(!shown, "{answer:?}");
        } else {
            assert_refused(&answer, &[403], &["policy"]);
        }
    }
    assert_eq!(hub.registry_entries().await, 1);
    let again = hub.issuer().get(&format!("/v1/licences/{}", licence.identifier)).await;
    assert!(again.text.contains("\"valid\""), "{again:?}");
}

#[tokio::test]
async fn a_consuming_department_issues_nothing() {
    let hub = TestHub::start().await;
    let mut office = hub.office();
    office.identity = Some(hub.signing_identity(&office.department));
    let (licence, _) = hub.enterprise_licence();
    let mut own = licence.clone();
    own.issuer = office.department.code.into();
    own.identifier = LicenceId::build(&own.licence_type, &own.issuer, "A000000001", 1).unwrap();

    assert_refused(&office.issue(&own).await, &[403], &["policy"]);
    assert_nothing_stored(&hub, &own.identifier).await;
}

#[tokio::test]
async fn an_issuing_department_does_not_change_the_status_of_anothers_licence() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    assert_eq!(hub.issuer().issue(&licence).await.status, 201);

    let answer =
        hub.issuing("public-security").order(&licence.identifier, StatusChange::Suspend).await;

    assert_refused(&answer, &[403, 422], &["policy", "signature"]);
    assert_eq!(hub.registry_entries().await, 1);
}

// ---- pulls --------------------------------------------------------------------------------------

/// A pull, changed: refused, nothing shown, no use written down.
async fn assert_pull_refused(hub: &TestHub, what: &str, change: impl Fn(&mut Value)) {
    let (licence, pull) = hub.enterprise_licence();
    if hub.registry_entries().await == 0 {
        assert_eq!(hub.issuer().issue(&licence).await.status, 201);
    }
    let mut request = pull_request(&pull);
    change(&mut request);
    let answer = hub.puller(&pull).post("/v1/pulls", &request).await;
    println!("{what}: {} {}", answer.status, answer.text);
    assert_refused(&answer, &[400, 403, 422], &["request", "policy", "format", "identifier"]);
    assert!(answer.json.get("licences").is_none(), "{what}: {answer:?}");
    let number = request["holder"]["number"].as_str().filter(|number| number.len() > 1);
    let number = number.unwrap_or("no number");
    assert!(!answer.text.contains(number), "{what}: the number is repeated: {answer:?}");
    assert_eq!(hub.uses().await, 0, "{what}");
}

fn remove(member: &'static str) -> impl Fn(&mut Value) {
    move |request| drop(request.as_object_mut().unwrap().remove(member).unwrap())
}

fn set(member: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |request| request[member] = value.clone()
}

#[tokio::test]
async fn a_good_pull_is_answered_and_written_down() {
    // What the pulls below are changed from.
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    assert_eq!(hub.issuer().issue(&licence).await.status, 201);

    let answer = hub.puller(&pull).pull(&pull).await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["licences"][0]["identifier"], licence.identifier.as_str());
    assert_eq!(answer.json["licences"][0]["verification"]["result"], "trusted");
    assert_eq!(hub.uses().await, 1);
}

#[tokio::test]
async fn a_pull_without_a_matter_is_refused() {
    let hub = TestHub::start().await;
    assert_pull_refused(&hub, "no matter", remove("matter")).await;
    assert_pull_refused(&hub, "null", set("matter", Value::Null)).await;
    assert_pull_refused(&hub, "empty", set("matter", json!(""))).await;
    assert_pull_refused(&hub, "malformed", set("matter", json!("123"))).await;
    let unknown = format!("{}4999999999999", hub.office().department.code);
    assert_pull_refused(&hub, "unknown", set("matter", json!(&unknown[..31]))).await;
}

#[tokio::test]
async fn a_pull_without_a_basis_is_refused() {
    let hub = TestHub::start().await;
    assert_pull_refused(&hub, "no basis", remove("basis")).await;
    assert_pull_refused(&hub, "null", set("basis", Value::Null)).await;
    assert_pull_refused(&hub, "empty", set("basis", json!({}))).await;
    assert_pull_refused(&hub, "text", set("basis", json!("duty"))).await;
    assert_pull_refused(&hub, "unknown", set("basis", json!({ "kind": "curiosity" }))).await;
    assert_pull_refused(&hub, "empty kind", set("basis", json!({ "kind": "" }))).await;
}

#[tokio::test]
async fn a_pull_without_a_reason_is_refused() {
    let hub = TestHub::start().await;
    assert_pull_refused(&hub, "no reason", remove("reason")).await;
    assert_pull_refused(&hub, "empty", set("reason", json!(""))).await;
    assert_pull_refused(&hub, "spaces", set("reason", json!("  　 "))).await;
    assert_pull_refused(&hub, "too long", set("reason", json!("由".repeat(201)))).await;
}

#[tokio::test]
async fn a_reason_of_two_hundred_characters_is_long_but_good() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    assert_eq!(hub.issuer().issue(&licence).await.status, 201);
    let mut request = pull_request(&pull);
    request["reason"] = json!("由".repeat(200));
    let answer = hub.puller(&pull).post("/v1/pulls", &request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_pull_for_a_matter_of_another_department_or_another_type_is_refused() {
    let hub = TestHub::start().await;
    let (_, pull) = hub.enterprise_licence();
    let (_, foreign) = hub.some_licence(|_, other| other.department != pull.department);
    assert_pull_refused(&hub, "another's matter", set("matter", json!(foreign.matter))).await;
    let driving = json!(["11100000000013127D003"]);
    let not_covered = !pull.types.iter().any(|one| one.as_str() == "11100000000013127D003");
    assert!(not_covered, "the matter must not cover the type for this test to say anything");
    assert_pull_refused(&hub, "a type not covered", set("types", driving)).await;
    let unknown = json!(["11100000MB0143028R999"]);
    assert_pull_refused(&hub, "a type unknown", set("types", unknown)).await;
    assert_pull_refused(&hub, "a type malformed", set("types", json!(["营业执照"]))).await;
}

#[tokio::test]
async fn a_holder_number_of_the_wrong_kind_is_refused() {
    let hub = TestHub::start().await;
    let (licence, _) = hub.enterprise_licence();
    let code = licence.holders[0].id.number().to_owned();
    let citizen = "11010519491231002X";
    for (kind, number) in [
        ("111", code.as_str()),
        ("001", citizen),
        ("553", citizen),
        ("111", "11010519491231002x1"),
        ("111", "110105194912310021"),
        ("111", "11010519491331002X"),
        ("001", "91350100M000100Y44"),
        ("001", " "),
        ("", citizen),
        ("555", citizen),
        ("1", citizen),
        ("公民", citizen),
        ("001", "９１３５０１００Ｍ０００１００Ｙ４３"),
    ] {
        let holder = json!({ "kind": kind, "number": number });
        assert_pull_refused(&hub, &format!("kind {kind}"), set("holder", holder)).await;
    }
}

#[tokio::test]
async fn a_pull_about_nobody_or_about_two_is_refused() {
    let hub = TestHub::start().await;
    let project = "2603-141124-89-05-346948";
    assert_pull_refused(&hub, "nobody", remove("holder")).await;
    assert_pull_refused(&hub, "null", set("holder", Value::Null)).await;
    assert_pull_refused(&hub, "a list", set("holder", json!([]))).await;
    assert_pull_refused(&hub, "text", set("holder", json!("someone"))).await;
    assert_pull_refused(&hub, "holder and project", set("project", json!(project))).await;
    assert_pull_refused(&hub, "a wrong project", |request| {
        remove("holder")(request);
        request["project"] = json!("2603-141124-89-05-346947");
    })
    .await;
}

#[tokio::test]
async fn a_pull_with_members_of_the_wrong_shape_is_refused() {
    let hub = TestHub::start().await;
    assert_pull_refused(&hub, "types", set("types", json!("营业执照"))).await;
    assert_pull_refused(&hub, "types", set("types", json!([1]))).await;
    assert_pull_refused(&hub, "reason", set("reason", json!(1))).await;
    assert_pull_refused(&hub, "operator", set("operator", json!("someone"))).await;
    assert_pull_refused(&hub, "case", set("case", json!(["a"]))).await;
    assert_pull_refused(&hub, "unknown", set("unheard_of", json!(1))).await;
    assert_pull_refused(&hub, "no types", set("types", json!([]))).await;
    let many = json!(vec!["11100000MB0143028R001"; 1_000]);
    assert_pull_refused(&hub, "a thousand types", set("types", many)).await;
}

#[tokio::test]
async fn a_grant_of_one_department_does_not_open_content_for_another() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    assert_eq!(hub.issuer().issue(&licence).await.status, 201);
    let pulled = hub.puller(&pull).pull(&pull).await;
    let grant = pulled.json["grant"].as_str().unwrap();
    let path = format!("/v1/grants/{grant}/licences/{}", licence.identifier);
    let others: [Actor; 2] = [hub.stranger(), hub.issuing("public-security")];
    for other in others {
        let answer = other.get(&path).await;
        assert_refused(&answer, &[403, 404], &["policy", "request"]);
    }
    assert_eq!(hub.puller(&pull).get(&path).await.status, 200);
}
