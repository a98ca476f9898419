//! The personal pages, over HTTP as a person without scripts sees them: what they show, what they keep to their holder,
//! and that a case can be run on them from beginning to end.

mod support;

use district::Story;
use hub::login::Role;
use indexes::UseAct;
use jiff::SignedDuration;
use licence::{HolderId, Licence};
use serde_json::{Value, json};
use support::{
    TestHub,
    people::{Page, PageClient, account},
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
async fn what_nobody_signed_is_shown_to_its_holder_as_that_and_never_as_damaged_or_valid() {
    let mut hub = TestHub::start().await;
    let (holder, _) = hub.person(3);
    let mut held: Vec<Licence> =
        hub.licences().filter(|one| one.holders.iter().any(|one| one.id == holder)).collect();
    let unsigned = held.swap_remove(0);
    let issuer = unsigned.issuer.credit_code();
    let document = unsigned.to_bytes().into();
    hub::intake::take_in_unsigned(&hub.hub, issuer, document).await.unwrap();
    let person = hub.applicant(3).await;

    let path = format!("/me/licences/{}", unsigned.identifier);
    for (language, word, says, wrong) in [
        ("zh", "未签名", "颁发机构还没有签名", ["内容受损", "与颁发时不一致", "现在有效"]),
        (
            "en",
            "Not signed",
            "has not signed",
            ["Damaged", "not what its issuer signed", "is valid"],
        ),
    ] {
        let list = person.get(&format!("/me/licences?lang={language}")).await;
        shows(&list, &[word, &unsigned.name]);
        let page = person.get(&format!("{path}?lang={language}")).await;
        shows(&page, &[word, says, &unsigned.holders[0].name, &unsigned.issuer_name]);
        for page in [list, page] {
            for wrong in wrong {
                assert!(!page.text().contains(wrong), "{wrong}: {}", page.text());
            }
        }
    }
    // To those who ask without being its holder: not trusted, because nobody signed it; and never its content.
    let face = hub.office().get(&format!("/v1/licences/{}", unsigned.identifier)).await;
    let says = |member: &str| face.json[member].clone();
    assert_eq!((says("result"), says("signature")), (json!("untrusted"), json!("unsigned")));
    assert_eq!(face.json["revocation"], json!({ "result": "none" }), "{}", face.text);
    assert!(!face.text.contains("damaged"), "{}", face.text);
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
    let account = account("script", SCRIPT, vec![holder], &[Role::Applicant], None);
    let person = hub.log_in(account).await;
    let page = person.get("/me").await;
    harmless(&page);
    shows(&page, &[SCRIPT]);
    hub.stop().await;
}

#[actix_web::test]
async fn a_case_is_run_from_the_matter_to_the_licence_without_a_script() {
    let mut hub = TestHub::start().await;
    let applicant = hub.district.applicant(Story::FoodShop, hub.hub.clock.today()).unwrap();
    issue_all_for(&hub, &applicant.holder.id).await;
    let person = hub.applicant(applicant.index).await;

    // Opened from the matter.
    let matter = Story::FoodShop.code();
    let opened = person.post("/me/cases", &[("matter", matter.as_str())]).await;
    assert_eq!(opened.status, 303, "{}", opened.text());
    let path = opened.location().to_owned();
    let case = path.strip_prefix("/me/cases/").unwrap().to_owned();

    // Seven of eight are there, each with where it comes from; one is to hand in.
    let page = person.get(&path).await;
    keep("case-draft", &page);
    shows(
        &page,
        &["共 8 项，其中 7 项不用您交，还差 1 项。", "证照库里已有：", "取自", "还不能提交"],
    );
    assert_eq!(page.html.matches("enctype=\"multipart/form-data\"").count(), 1);
    assert!(!page.html.contains("提交给部门"), "nothing to press that would be refused");
    let page = person.get(&format!("{path}?lang=en")).await;
    keep("case-draft-en", &page);
    shows(&page, &["8 items, 7 of which you need not hand in; 1 still missing.", "Taken from"]);

    // The file; then what was typed is kept although it is not complete.
    let page = hand_in(&person, &case, "floor-plan", "floor-plan").await;
    shows(&page, &["文件已收到", "您交了：", "平面图<b>.jpg"]);
    let typed = [("field.shop-name", "和平小店"), ("field.phone", "0772-0000000")];
    let refused = person.post(&format!("{path}/submit"), &typed).await;
    let told = person.get(refused.location()).await;
    keep("case-refused", &told);
    shows(
        &told,
        &["没有办成", "表格还有必填的地方空着", "您填写的内容和交过的文件都保留着", "和平小店"],
    );
    let saved = person.post(&format!("{path}/form"), &[("field.items", "小吃、饮料")]).await;
    shows(&person.get(saved.location()).await, &["已保存", "小吃、饮料", "提交给部门"]);

    // Handed over, and on its way.
    let done = person.post(&format!("{path}/submit"), &[]).await;
    assert_eq!(done.location(), format!("{path}?done=submitted"));
    let page = person.get(done.location()).await;
    keep("case-submitted", &page);
    shows(&page, &["已提交给部门", "部门正在看", "和平小店", "取自"]);

    // More is needed, all at once; what the department writes is text.
    step(
        &hub,
        &case,
        json!({ "step": "supplement", "items": [
        { "requirement": "floor-plan", "why": format!("看不清{SCRIPT}") },
        { "requirement": "items", "why": "请写清是否现场加工" },
    ] }),
    )
    .await;
    let page = person.get(&path).await;
    keep("case-supplement", &page);
    harmless(&page);
    shows(&page, &["请补正", "看不清", "请写清是否现场加工", "还不能提交"]);
    shows(&person.get("/me").await, &["等您处理", "请补正"]);
    let page = hand_in(&person, &case, "floor-plan", "floor-plan again").await;
    shows(&page, &["补好了，再提交"]);
    let items = [("field.items", "小吃、饮料，现场加工")];
    let done = person.post(&format!("{path}/submit"), &items).await;
    assert_eq!(done.location(), format!("{path}?done=submitted"), "{}", done.text());

    // Decided; the licence it results in is linked.
    step(&hub, &case, json!({ "step": "accept" })).await;
    step(&hub, &case, json!({ "step": "decide", "granted": true })).await;
    let page = person.get(&path).await;
    keep("case-granted", &page);
    shows(&page, &["已办成", "部门受理", "部门准予", "现场加工"]);

    // The second matter asks for nothing.
    let matter = Story::Signboard.code();
    let opened = person.post("/me/cases", &[("matter", matter.as_str())]).await;
    let page = person.get(opened.location()).await;
    keep("case-second", &page);
    shows(&page, &["材料已齐", "不用再交", "您 2026-03-02 交过，这次接着用"]);
    assert!(!page.html.contains("multipart/form-data"));
    hub.stop().await;
}

#[actix_web::test]
async fn a_look_at_a_case_is_one_use() {
    let (mut hub, applicant, person) = food_shop().await;
    let case = submitted(&person).await;
    let before = hub.uses().await;
    person.get(&format!("/me/cases/{case}")).await;
    let uses = hub.hub.store.uses(licence::Seq(before), 10).await.unwrap();
    assert_eq!(uses.len(), 1, "case, checklist and form are one look");
    assert_eq!((uses[0].act, uses[0].case.as_deref()), (UseAct::Own, Some(case.as_str())));
    let shown: std::collections::BTreeSet<_> =
        uses[0].shown.iter().map(|shown| shown.identifier.clone()).collect();
    assert_eq!(shown.len(), uses[0].shown.len(), "each licence once");
    assert!(applicant.licences.iter().any(|one| shown.contains(&one.identifier)));

    let desk = hub.department_clerk("government-services").await;
    let before = hub.uses().await;
    assert_eq!(desk.get(&format!("/window/cases/{case}")).await.status, 200);
    assert_eq!(hub.uses().await, before + 1, "a clerk's look, too");
    hub.stop().await;
}

#[actix_web::test]
async fn a_person_reads_and_prints_the_letters_of_a_case() {
    let (mut hub, _, person) = food_shop().await;
    let case = submitted(&person).await;
    let path = format!("/me/cases/{case}");
    let letter = format!("{path}/letters/acceptance");
    assert_eq!(person.get(&letter).await.status, 404, "it is not accepted yet");
    assert!(!person.get(&path).await.html.contains("/letters/"));
    step(&hub, &case, json!({ "step": "accept" })).await;

    let page = person.get(&path).await;
    shows(&page, &["文书", "受理通知书"]);
    assert!(page.html.contains(&format!("href=\"{letter}\"")));
    let before = hub.uses().await;
    let page = person.get(&letter).await;
    keep("my-letter", &page);
    assert_eq!(page.status, 200, "{}", page.html);
    shows(&page, &["受理通知书", "电子证照共享，申请人免交", &case]);
    assert!(page.html.contains(&format!("href=\"{path}\"")), "and back to the case");
    assert_eq!(hub.uses().await, before + 1);
    assert_eq!(person.get(&format!("{letter}?lang=en")).await.status, 200);
    assert_eq!(hub.applicant(3).await.get(&letter).await.status, 404);
    hub.stop().await;
}

#[actix_web::test]
async fn the_licence_a_case_resulted_in_is_opened_from_its_page() {
    let (mut hub, applicant, person) = food_shop().await;
    let case = submitted(&person).await;
    let path = format!("/me/cases/{case}");
    step(&hub, &case, json!({ "step": "accept" })).await;
    step(&hub, &case, json!({ "step": "decide", "granted": true })).await;
    assert!(!person.get(&path).await.html.contains("查看结果证照"));

    let fields = json!({
        "shop_name": "和平小店", "premises": "澜溪区望江路33号", "items": "热食类食品制售",
    });
    let fields = fields.as_object().unwrap().clone();
    let (today, holder) = (hub.hub.clock.today(), applicant.holder.clone());
    let licence = district::result(Story::FoodShop, holder, fields, today, 1).unwrap();
    let issued = hub.issuing("market-regulation").issue(&licence).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    step(&hub, &case, json!({ "step": "result", "licence": licence.identifier })).await;

    let page = person.get(&path).await;
    shows(&page, &["查看结果证照"]);
    let link = format!("/me/licences/{}", licence.identifier);
    assert!(page.html.contains(&format!("href=\"{link}\"")));
    let page = person.get(&link).await;
    assert_eq!(page.status, 200);
    shows(&page, &["和平小店", "澜溪区望江路33号"]);
    hub.stop().await;
}

#[actix_web::test]
async fn what_the_department_asked_about_is_ticked_or_changed_on_the_page() {
    let (mut hub, _, person) = food_shop().await;
    let case = submitted(&person).await;
    let path = format!("/me/cases/{case}");
    let items = json!([
        { "requirement": "items", "why": "请写清" }, { "requirement": "shop-name", "why": "重名" },
    ]);
    step(&hub, &case, json!({ "step": "supplement", "items": items })).await;
    let page = person.get(&path).await;
    keep("case-confirm", &page);
    assert_eq!(page.html.matches("name=\"confirmed\"").count(), 2);

    let same = [("field.shop-name", "和平小店"), ("field.items", "小吃、饮料")];
    let refused = person.post(&format!("{path}/submit"), &same).await;
    shows(&person.get(refused.location()).await, &["也没有勾选", "已经核对，不用改"]);
    let ticked =
        [("field.shop-name", "青溪小店"), ("field.items", "小吃、饮料"), ("confirmed", "items")];
    let done = person.post(&format!("{path}/submit"), &ticked).await;
    assert_eq!(done.location(), format!("{path}?done=submitted"));
    hub.stop().await;
}

/// A hub with somebody who opens a food shop and holds all that the district has of them.
async fn food_shop() -> (TestHub, district::Applicant, PageClient) {
    let hub = TestHub::start().await;
    let applicant = hub.district.applicant(Story::FoodShop, hub.hub.clock.today()).unwrap();
    issue_all_for(&hub, &applicant.holder.id).await;
    let person = hub.applicant(applicant.index).await;
    (hub, applicant, person)
}

/// Opens a food shop's case, completes it and hands it over; answers its number.
async fn submitted(person: &PageClient) -> String {
    let matter = Story::FoodShop.code();
    let opened = person.post("/me/cases", &[("matter", matter.as_str())]).await;
    let case = opened.location().strip_prefix("/me/cases/").unwrap().to_owned();
    hand_in(person, &case, "floor-plan", "floor-plan").await;
    let typed = [
        ("field.shop-name", "和平小店"),
        ("field.phone", "0772-0000000"),
        ("field.items", "小吃、饮料"),
    ];
    let done = person.post(&format!("/me/cases/{case}/submit"), &typed).await;
    assert_eq!(done.location(), format!("/me/cases/{case}?done=submitted"));
    case
}

#[actix_web::test]
async fn a_promise_is_given_with_a_tick_and_its_last_day_is_shown() {
    let mut hub = TestHub::start().await;
    let applicant = hub.district.applicant(Story::FoodStall, hub.hub.clock.today()).unwrap();
    issue_all_for(&hub, &applicant.holder.id).await;
    let person = hub.applicant(applicant.index).await;
    let matter = Story::FoodStall.code();
    let opened = person.post("/me/cases", &[("matter", matter.as_str())]).await;
    let path = opened.location().to_owned();

    let page = person.get(&path).await;
    keep("case-promise", &page);
    shows(&page, &["先办后补", "打勾就是承诺", "提交给部门"]);
    let id = page.html.split("name=\"promise\" value=\"").nth(1).unwrap();
    let id = id.split('"').next().unwrap();
    // Without the tick it is refused, and says what is missing.
    let filled = [("field.pitch", "东街"), ("field.goods", "煎饼")];
    let refused = person.post(&format!("{path}/submit"), &filled).await;
    shows(&person.get(refused.location()).await, &["还有材料没有交齐"]);

    let done = person.post(&format!("{path}/submit"), &[("promise", id)]).await;
    assert_eq!(done.location(), format!("{path}?done=submitted"), "{}", done.text());
    let page = person.get(&path).await;
    keep("case-promised", &page);
    shows(&page, &["有待补交", "以后补交", "共 3 项，其中 2 项不用您交，1 项以后补交。"]);
    assert!(page.html.contains("multipart/form-data"), "what was promised may come");
    shows(&person.get("/me").await, &["有待补交"]);

    hub.hub.clock.advance(SignedDuration::from_hours(24 * 60));
    let person = hub.applicant(applicant.index).await;
    shows(&person.get(&path).await, &["补交过期"]);
    // Nothing may follow until it is made good, and the page leads there.
    let opened = person.post("/me/cases", &[("matter", matter.as_str())]).await;
    let page = person.get(opened.location()).await;
    shows(&page, &["所以这次不能先办后补", "去补交"]);
    assert!(page.html.contains(&path));
    hub.stop().await;
}

#[actix_web::test]
async fn a_case_is_withdrawn_by_its_applicant_and_nobody_else_sees_it() {
    let mut hub = TestHub::start().await;
    let applicant = hub.district.applicant(Story::FoodShop, hub.hub.clock.today()).unwrap();
    issue_all_for(&hub, &applicant.holder.id).await;
    let person = hub.applicant(applicant.index).await;
    let other = hub.applicant(applicant.index + 1).await;
    let matter = Story::FoodShop.code();
    let path = person.post("/me/cases", &[("matter", matter.as_str())]).await.location().to_owned();

    for (address, answer) in [
        (path.clone(), other.get(&path).await),
        ("form".to_owned(), other.post(&format!("{path}/form"), &[("field.items", "x")]).await),
        ("promise".to_owned(), other.post(&format!("{path}/promise"), &[("promise", "x")]).await),
        ("submit".to_owned(), other.post(&format!("{path}/submit"), &[]).await),
        ("withdraw".to_owned(), other.post(&format!("{path}/withdraw"), &[]).await),
        ("nowhere".to_owned(), other.get("/me/cases/20260302-ABCDEFGHJK").await),
    ] {
        assert_eq!(answer.status, 404, "{address}");
        shows(&answer, &["您名下没有这件办件"]);
    }
    let done = person.post(&format!("{path}/withdraw"), &[]).await;
    shows(&person.get(done.location()).await, &["已撤回", "您撤回了这次申请"]);
    shows(&person.get("/me/cases").await, &["开办小餐饮店", "已撤回"]);
    hub.stop().await;
}

#[actix_web::test]
async fn a_matter_for_organisations_is_opened_for_the_organisation() {
    let mut hub = TestHub::start().await;
    let applicant = hub.district.applicant(Story::JobRefund, hub.hub.clock.today()).unwrap();
    issue_all_for(&hub, &applicant.holder.id).await;
    let person = hub.representative(3, applicant.index).await;
    let alone = hub.applicant(3).await;

    let matter = Story::JobRefund.code();
    let refused = alone.post("/me/cases", &[("matter", matter.as_str())]).await;
    assert_eq!(refused.status, 403);
    shows(&refused, &["这个事项不是给您这类申请人办的"]);
    let opened = person.post("/me/cases", &[("matter", matter.as_str())]).await;
    shows(&person.get(opened.location()).await, &["失业保险稳岗返还申领"]);

    // Either may open a shop: the person says for whom.
    let matter = Story::FoodShop.code();
    let asked = person.post("/me/cases", &[("matter", matter.as_str())]).await;
    keep("for-whom", &asked);
    shows(&asked, &["这件事为谁办？", &applicant.holder.name]);
    let chosen = [("matter", matter.as_str()), ("place", "1")];
    assert_eq!(person.post("/me/cases", &chosen).await.status, 303);
    hub.stop().await;
}

#[actix_web::test]
async fn a_holder_answers_a_department_sees_its_look_and_takes_the_answer_back() {
    let mut hub = TestHub::start().await;
    hub.holds_identity_card(3).await;
    let office = hub.office();
    let mut ask = hub.ask_of(3, &[]);
    ask["reason"] = json!(format!("核验出卖人身份{SCRIPT}"));
    let asked = office.post("/v1/grants", &ask).await;
    let id = asked.json["id"].as_str().unwrap_or_else(|| panic!("{}", asked.text)).to_owned();
    let person = hub.applicant(3).await;
    let path = format!("/me/consents/{id}");

    shows(&person.get("/me").await, &["等您处理", "请求使用您的证照"]);
    let page = person.get(&path).await;
    keep("consent", &page);
    harmless(&page);
    shows(&page, &["等您答复", "居民身份证", "整件证照，连同附件", "核验出卖人身份", "2026-03-31"]);
    keep("consent-en", &person.get(&format!("{path}?lang=en")).await);
    shows(&person.get("/me/consents?lang=en").await, &["Waiting for you"]);

    // Nothing ticked is no answer.
    let nothing = [("answer", "less"), ("until", "2026-03-20")];
    let refused = person.post(&format!("{path}/answer"), &nothing).await;
    shows(&person.get(refused.location()).await, &["一项也没有勾选"]);
    // Less: one field, and a shorter time.
    let member = format!("take.{}", support::consents::IDENTITY_CARD);
    let less = [
        ("answer", "less"),
        ("until", "2026-03-20"),
        (member.as_str(), "*"),
        (member.as_str(), "address"),
    ];
    let done = person.post(&format!("{path}/answer"), &less).await;
    assert_eq!(done.location(), format!("{path}?done=yes"));
    let page = person.get(done.location()).await;
    keep("consent-given", &page);
    shows(&page, &["已同意", "您同意的内容", "2026-03-20", "住址"]);
    let given = page.html.split("您同意的内容").nth(1).unwrap();
    assert!(!given.contains("整件证照"), "a tick taken away takes the whole away");

    // The department looks; the holder sees who, why, and under which grant.
    assert_eq!(office.post("/v1/pulls", &hub.pull_on_consent(3, &id)).await.status, 200);
    let page = person.get("/me/uses").await;
    keep("uses", &page);
    harmless(&page);
    shows(&page, &[office.department.name, "您的授权", "用证授权编号", "二手房转移登记一件事"]);
    assert!(page.html.contains(&path));
    keep("uses-en", &person.get("/me/uses?own=1&lang=en").await);
    keep("overview", &person.get("/me").await);
    keep("overview-en", &person.get("/me?lang=en").await);

    let done = person.post(&format!("{path}/withdraw"), &[]).await;
    shows(&person.get(done.location()).await, &["已收回"]);
    assert!(office.post("/v1/pulls", &hub.pull_on_consent(3, &id)).await.status >= 400);
    keep("consents", &person.get("/me/consents").await);

    // Somebody else's consent is not there.
    let other = hub.applicant(4).await;
    for answer in [
        other.get(&path).await,
        other.post(&format!("{path}/answer"), &[("answer", "yes")]).await,
        other.post(&format!("{path}/withdraw"), &[]).await,
        other.get("/me/consents/r_00000000000000000000000000000000").await,
    ] {
        assert_eq!(answer.status, 404);
        shows(&answer, &["您名下没有这份授权请求"]);
    }
    hub.stop().await;
}

#[actix_web::test]
async fn a_holder_disputes_a_field_and_reads_the_issuers_answer() {
    let mut hub = TestHub::start().await;
    let card = hub.holds_identity_card(3).await;
    let person = hub.applicant(3).await;
    let path = format!("/me/licences/{}", card.identifier);
    let page = person.get(&path).await;
    keep("licence", &page);
    keep("licence-en", &person.get(&format!("{path}?lang=en")).await);
    shows(&page, &["有内容不对？", "请颁发机构更正"]);

    // What was typed is kept when something is missing.
    let identifier = card.identifier.to_string();
    let typed = [("licence", identifier.as_str()), ("field", "address"), ("says", SCRIPT)];
    let refused = person.post("/me/corrections", &typed).await;
    keep("dispute-refused", &refused);
    assert_eq!(refused.status, 422);
    harmless(&refused);
    shows(&refused, &["没有办成", "都要填写", "您填写的内容还在下面", SCRIPT]);

    let whole = [&typed[..], &[("why", SCRIPT)]].concat();
    let sent = person.post("/me/corrections", &whole).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let correction = sent.location().split('?').next().unwrap().to_owned();
    let page = person.get(sent.location()).await;
    keep("correction", &page);
    harmless(&page);
    shows(&page, &["已发给颁发机构", "等待答复", SCRIPT]);
    let page = person.get(&path).await;
    keep("licence-disputed", &page);
    shows(&page, &["有异议"]);
    shows(&person.get("/me/licences").await, &["有异议"]);
    shows(&person.get("/me/corrections?lang=en").await, &["Waiting"]);

    // Late, then answered.
    hub.hub.clock.advance(SignedDuration::from_hours(24 * 20));
    let person = hub.applicant(3).await;
    shows(&person.get(&correction).await, &["逾期未答复"]);
    let id = correction.rsplit('/').next().unwrap();
    let answer = json!({ "outcome": "kept", "reason": format!("与档案一致{SCRIPT}") });
    let answered =
        hub.issuing("public-security").post(&format!("/v1/corrections/{id}/answer"), &answer).await;
    assert_eq!(answered.status, 200, "{}", answered.text);
    let page = person.get(&correction).await;
    harmless(&page);
    shows(&page, &["维持原样", "与档案一致"]);

    let other = hub.applicant(4).await;
    assert_eq!(other.get(&correction).await.status, 404);
    let refused = other.post("/me/corrections", &whole).await;
    assert_eq!(refused.status, 404);
    shows(&refused, &["您名下没有这件证照"]);
    hub.stop().await;
}

/// Every page that needs no id.
const PAGES: &[&str] = &[
    "/me",
    "/me/licences",
    "/me/cases",
    "/me/materials",
    "/me/uses",
    "/me/consents",
    "/me/corrections",
];

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

/// Hands a file in as the form on the case's page does.
async fn hand_in(person: &PageClient, case: &str, requirement: &str, text: &str) -> Page {
    let path = format!("/me/cases/{case}");
    let page = person.get(&path).await;
    let form = page.html.split(&format!("action=\"{path}/files\"")).nth(1).expect("the form");
    assert!(form.contains(&format!("name=\"requirement\" value=\"{requirement}\"")));
    let mut body = Vec::new();
    for (name, value) in [("csrf", person.csrf.as_str()), ("requirement", requirement)] {
        let head = format!("--part\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
    }
    let head = "--part\r\nContent-Disposition: form-data; name=\"file\"; \
                filename=\"平面图<b>.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n";
    body.extend_from_slice(head.as_bytes());
    body.extend(jpeg(text));
    body.extend_from_slice(b"\r\n--part--\r\n");
    let request = person
        .page(reqwest::Method::POST, &format!("{path}/files"))
        .header("Content-Type", "multipart/form-data; boundary=part")
        .body(body);
    let answer = person.send(request).await;
    assert_eq!(answer.location(), format!("{path}?done=file"), "{}", answer.text());
    person.get(answer.location()).await
}

/// A picture of its own for each text: the smallest JPEG, with a comment.
fn jpeg(comment: &str) -> Vec<u8> {
    let mut picture = vec![0xff, 0xd8, 0xff, 0xfe, 0, u8::try_from(comment.len() + 2).unwrap()];
    picture.extend(comment.as_bytes());
    picture.extend([0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xda, 0, 4, 0, 0, 7, 0xff, 0, 9, 0xff, 0xd9]);
    picture
}

/// What the department does with a case.
async fn step(hub: &TestHub, case: &str, step: Value) {
    let answer = hub.office().post(&format!("/v1/cases/{case}/steps"), &step).await;
    assert!(answer.status < 300, "{}", answer.text);
}

/// Writes a page into the folder that `KEEP_PAGES` names, if it is set: to look at it as a picture.
fn keep(name: &str, page: &Page) {
    if let Some(folder) = std::env::var_os("KEEP_PAGES") {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), &page.html)
            .unwrap();
    }
}
