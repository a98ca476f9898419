//! A computer that several people use in turn, in a real browser with a real OpenID provider: who comes next is not let in
//! by what the provider remembers of the one before.

mod support;

use serde_json::json;
use support::stage::{Someone, Stage};

fn clerk(subject: &str, name: &str) -> Someone {
    Someone {
        subject: subject.to_owned(),
        claims: json!({ "name": name, "roles": ["staff"], "organisation": "hall-1" }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_logout_the_provider_asks_again_and_its_memory_lets_nobody_in() {
    let people = [clerk("first", "周敏"), clerk("second", "孙立")];
    let stage = Stage::set(&people, |_| String::new()).await;
    let page = &stage.page;
    stage.log_in("first").await;
    page.open("/window").await;
    assert!(page.text_of("header").await.contains("周敏"));

    page.submit("form[action='/logout'] button").await;
    page.open("/login?next=/window").await;
    page.see("input[name=login]").await;
    let asked = page.script("return location.origin").await;
    assert_ne!(asked, json!(page.base), "the provider asks who it is");

    page.open("/login?next=/window").await;
    page.see("input[name=login]").await;
    page.type_into("input[name=login]", "second").await;
    page.type_into("input[name=password]", "any").await;
    page.submit("button[type=submit]").await;
    let asks = "return document.querySelector('input[name=prompt][value=consent]') !== null";
    if page.script(asks).await == json!(true) {
        page.submit("button[type=submit]").await;
    }
    page.open("/window").await;
    let header = page.text_of("header").await;
    assert!(header.contains("孙立") && !header.contains("周敏"), "{header}");
    stage.end(&["周敏".to_owned(), "孙立".to_owned()]).await;
}
