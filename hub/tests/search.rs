//! Search finds what a department may find, and hides persons' names.

mod support;

use serde_json::json;
use support::TestHub;

#[actix_web::test]
async fn any_two_characters_of_an_enterprises_name_find_its_licence() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.enterprise_licence();
    hub.issuer().issue(&licence).await;
    hub.search_has_caught_up().await;
    let office = hub.puller(&pull);
    let name: Vec<char> = licence.holders[0].name.chars().collect();
    for two in name.windows(2) {
        let q: String = two.iter().collect();
        if q.chars().any(|one| !one.is_alphanumeric()) {
            continue;
        }
        let found = office.post("/v1/search", &json!({ "q": q })).await;
        assert_eq!(found.status, 200, "{}", found.text);
        assert_eq!(found.json["hits"][0]["identifier"], licence.identifier.as_str(), "{q}");
    }
    assert!(hub.uses().await > 0, "a search is a use");
}

#[actix_web::test]
async fn a_persons_name_is_masked_and_a_stranger_finds_nothing() {
    let hub = TestHub::start().await;
    let (licence, pull) = hub.some_licence(|licence, pull| {
        licence.holders[0].id.kind().is_person() && pull.types.contains(&licence.licence_type)
    });
    let issuer = support::departments()
        .into_iter()
        .find(|one| one.code == *licence.issuer.credit_code())
        .unwrap();
    let answer = hub.issuing(issuer.slug).issue(&licence).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    hub.search_has_caught_up().await;

    let name = &licence.holders[0].name;
    let found = hub.puller(&pull).post("/v1/search", &json!({ "q": name })).await;
    assert_eq!(found.json["hits"][0]["identifier"], licence.identifier.as_str(), "{}", found.text);
    assert!(!found.text.contains(name.as_str()), "{}", found.text);

    let refused = hub.stranger().post("/v1/search", &json!({ "q": name })).await;
    assert_eq!((refused.status, refused.code()), (403, "not_permitted"));
}
