//! The personal pages, over HTTP as a person without scripts sees them: what they show, what they keep to their holder,
//! and that a case can be run on them from beginning to end.

mod support;

use indexes::UseAct;
use licence::{HolderId, Licence};
use support::{
    TestHub,
    people::{Page, account},
};

#[actix_web::test]
async fn a_person_sees_their_licences_in_both_languages() {
    let mut hub = TestHub::start().await;
    let held = issue_all_of(&hub, 3).await;
    let person = hub.applicant(3).await;

    for (language, greeting, valid) in [("zh", "您好", "有效"), ("en", "Hello", "Valid")] {
        let page = person.get(&format!("/me?lang={language}")).await;
        shows(&page, &[greeting, valid, &person.account.name, &held[0].name]);
        let page = person.get(&format!("/me/licences?lang={language}")).await;
        for licence in &held {
            shows(&page, &[&licence.name, &format!("/me/licences/{}", licence.identifier)]);
        }
        let path = format!("/me/licences/{}?lang={language}", held[0].identifier);
        let page = person.get(&path).await;
        shows(&page, &[valid, &held[0].issuer_name, &held[0].holders[0].name]);
    }
    hub.stop().await;
}

#[actix_web::test]
async fn every_look_of_the_holder_is_a_use_before_it_is_shown() {
    let mut hub = TestHub::start().await;
    let held = issue_all_of(&hub, 3).await;
    let person = hub.applicant(3).await;
    let before = hub.uses().await;

    person.get("/me/licences").await;
    person.get(&format!("/me/licences/{}", held[0].identifier)).await;

    let uses = hub.hub.store.uses(licence::Seq(before), 10).await.unwrap();
    let told: Vec<_> = uses.iter().map(|one| (one.act, one.shown.len())).collect();
    assert_eq!(told, [(UseAct::Own, held.len()), (UseAct::Own, 1)]);
    assert!(uses.iter().all(|one| one.operator.is_none() && one.reason == "本人查看"));
    hub.stop().await;
}

#[actix_web::test]
async fn what_is_somebody_elses_is_answered_like_what_does_not_exist() {
    let mut hub = TestHub::start().await;
    let others = issue_all_of(&hub, 4).await;
    let person = hub.applicant(3).await;
    let before = hub.uses().await;

    let theirs = person.get(&format!("/me/licences/{}", others[0].identifier)).await;
    let nowhere = person.get("/me/licences/1.2.156.3005.2.no-such-licence").await;

    assert_eq!((theirs.status, nowhere.status), (404, 404));
    assert_eq!(without_addresses(&theirs), without_addresses(&nowhere));
    assert_eq!(hub.uses().await, before);
    hub.stop().await;
}

#[actix_web::test]
async fn whoever_has_not_logged_in_is_sent_to_do_so_and_a_clerk_has_no_personal_pages() {
    let mut hub = TestHub::start().await;
    let mut nobody = hub.applicant(3).await;
    nobody.secret = "no such session".to_owned();
    let clerk = hub.window_clerk().await;

    for path in PAGES {
        let page = nobody.get(path).await;
        let to_login = format!("/login?next={path}");
        assert_eq!((page.status, page.location()), (303, to_login.as_str()));
        let page = clerk.get(path).await;
        assert_eq!(page.status, 403, "{path}");
        shows(&page, &["这些页面只给申请人使用"]);
    }
    hub.stop().await;
}

#[actix_web::test]
async fn a_person_chooses_for_whom_they_act_and_no_number_is_in_an_address() {
    let mut hub = TestHub::start().await;
    let enterprise = hub.district.enterprise(2);
    let licences = issue_all_for(&hub, &enterprise.id).await;
    let person = hub.representative(3, 2).await;

    let page = person.get("/me").await;
    shows(&page, &["正在为", "为谁办事", &enterprise.name]);
    let chosen = person.post("/me/holder", &[("place", "1")]).await;
    assert_eq!((chosen.status, chosen.location()), (303, "/me"));
    let cookie = chosen.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && !cookie.contains(enterprise.id.number()));

    let request = person.page(reqwest::Method::GET, "/me/licences").header("Cookie", cookie);
    let page = person.send(request).await;
    shows(&page, &[&licences[0].name]);
    // Whichever is chosen, a licence of either opens.
    let page = person.get(&format!("/me/licences/{}", licences[0].identifier)).await;
    assert_eq!(page.status, 200);

    let refused = person.post("/me/holder", &[("place", "7")]).await;
    assert_eq!(refused.status, 422);
    hub.stop().await;
}

#[actix_web::test]
async fn a_form_without_the_sessions_token_changes_nothing() {
    let mut hub = TestHub::start().await;
    let person = hub.representative(3, 2).await;
    let page = person.post_as_is("/me/holder", &[("place", "1")]).await;
    assert_eq!(page.status, 403);
    assert!(!page.headers.contains_key("set-cookie"));
    hub.stop().await;
}

#[actix_web::test]
async fn script_in_a_name_is_text() {
    let mut hub = TestHub::start().await;
    let (holder, _) = hub.person(3);
    let roles = [hub::login::Role::Applicant];
    let person = hub.log_in(account("script", SCRIPT, vec![holder], &roles, None)).await;
    let page = person.get("/me").await;
    harmless(&page);
    shows(&page, &[SCRIPT]);
    hub.stop().await;
}

/// Every page that needs no id.
const PAGES: &[&str] = &["/me", "/me/licences", "/me/cases"];

/// What must only ever be text.
const SCRIPT: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

/// Hands in everything the district has of a person, each by its issuer.
async fn issue_all_of(hub: &TestHub, person: u64) -> Vec<Licence> {
    issue_all_for(hub, &hub.person(person).0).await
}

async fn issue_all_for(hub: &TestHub, holder: &HolderId) -> Vec<Licence> {
    let mut held = Vec::new();
    for licence in hub.licences().filter(|one| one.holders.iter().any(|one| one.id == *holder)) {
        let department = support::departments()
            .into_iter()
            .find(|one| one.code == *licence.issuer.credit_code())
            .unwrap();
        let answer = hub.issuing(department.slug).issue(&licence).await;
        assert!(answer.status < 300, "{}", answer.text);
        held.push(licence);
    }
    assert!(!held.is_empty());
    held
}

#[track_caller]
fn shows(page: &Page, texts: &[&str]) {
    let read = page.text();
    for text in texts {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = read.contains(&words)
            || read.replace("&#34;", "\"").replace("&#39;", "'").contains(&words)
            || page.html.contains(text);
        assert!(shown, "“{text}” is missing ({}):\n{read}", page.status);
    }
}

/// No markup that came from data.
#[track_caller]
fn harmless(page: &Page) {
    assert!(!page.html.contains("<script>alert"), "{}", page.html);
    assert!(!page.html.contains("<img src=x"), "{}", page.html);
}

/// A page as it is compared: the address it was read from stands in some of its links.
fn without_addresses(page: &Page) -> String {
    page.text()
}
