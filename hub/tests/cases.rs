//! Cases: what the repository holds is never asked for, what was handed in is used again, and what a department gets is
//! signed. All through HTTP, by persons with sessions and departments with certificates.

mod support;

use std::{path::Path, process::Command};

use bytes::Bytes;
use district::Story;
use futures_util::stream;
use hub::{
    login::{Person, Role},
    reuse::{
        Clerk, Who,
        case::CaseState,
        cases,
        materials::{self, NewMaterial},
        package::SignedFile,
        upload,
    },
};
use jiff::{SignedDuration, ToSpan};
use licence::{Licence, LicenceTypeCode, RevocationCause, StatusChange, Validity};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Answer, TestHub, people::PageClient};

const IDENTITY_CARD: &str = "11100000000013127D001";
const DRIVING_LICENCE: &str = "11100000000013127D003";
const PROPERTY_TITLE: &str = "11100000MB03271699021";

/// A shop: an identity card, premises (a title, or a lease as a file), an address, a floor plan, and a photograph that may
/// follow. Decided by the government services bureau.
fn shop(version: u32) -> Value {
    json!({
        "code": format!("{}4450131099001", department("government-services")),
        "name": "开办小店",
        "department": department("government-services"),
        "requires": [IDENTITY_CARD, PROPERTY_TITLE],
        "basis": "《中华人民共和国食品安全法》第三十六条",
        "version": version,
        "guide": {
            "applicants": ["person"],
            "days": { "legal": 20, "promised": 5 },
            "taken_at": ["district", "street"],
            "requirements": [
                requirement("card", &[json!({"by": "licence", "licence_type": IDENTITY_CARD})], None),
                requirement("premises", &[
                    json!({"by": "licence", "licence_type": PROPERTY_TITLE}),
                    json!({"by": "file", "kind": "lease", "reusable_days": 0}),
                ], None),
                requirement("address", &[
                    json!({"by": "fact", "licence_type": IDENTITY_CARD, "field": "address"}),
                ], None),
                requirement("plan", &[
                    json!({"by": "file", "kind": "floor-plan", "reusable_days": 30}),
                ], None),
                requirement("photo", &[
                    json!({"by": "file", "kind": "photo", "reusable_days": 0}),
                ], Some(5)),
            ],
            "forms": [{
                "id": "application",
                "name": { "zh": "申请表" },
                "fields": [
                    { "id": "home", "label": { "zh": "住址" }, "most": 120,
                      "prefill": [{ "licence_type": IDENTITY_CARD, "field": "address" }] },
                    { "id": "shop-name", "label": { "zh": "店名" }, "most": 20 },
                    { "id": "note", "label": { "zh": "备注" }, "most": 200, "optional": true },
                ],
            }],
            "result": DRIVING_LICENCE,
        },
    })
}

/// A signboard: an identity card and the same floor plan. Decided by the housing bureau.
fn signboard() -> Value {
    json!({
        "code": format!("{}4450117099002", department("housing")),
        "name": "设置招牌",
        "department": department("housing"),
        "requires": [IDENTITY_CARD],
        "basis": "《城市市容和环境卫生管理条例》第十一条",
        "version": 1,
        "guide": {
            "applicants": ["person"],
            "days": { "legal": 10, "promised": 0 },
            "requirements": [
                requirement("card", &[json!({"by": "licence", "licence_type": IDENTITY_CARD})], None),
                requirement("plan", &[
                    json!({"by": "file", "kind": "floor-plan", "reusable_days": 30}),
                ], None),
            ],
        },
    })
}

/// A purpose of pulls only.
fn purpose() -> Value {
    json!({
        "code": format!("{}4450117099003", department("housing")),
        "name": "核查", "department": department("housing"), "requires": [IDENTITY_CARD],
        "basis": "《中华人民共和国建筑法》第八条", "version": 1,
    })
}

fn requirement(id: &str, ways: &[Value], may_follow_days: Option<u16>) -> Value {
    json!({ "id": id, "name": { "zh": format!("材料 {id}") }, "basis": "办理依据第十条", "ways": ways,
            "may_follow_days": may_follow_days })
}

fn department(slug: &str) -> String {
    let mut all = support::departments().into_iter();
    all.find(|one| one.slug == slug).unwrap().code.to_string()
}

fn code_of(matter: &Value) -> &str {
    matter["code"].as_str().unwrap()
}

fn list(matters: &[Value]) -> String {
    json!({ "format": "yihao-matters-1", "matters": matters }).to_string()
}

/// A hub with these matters, and an applicant who holds a valid identity card and property title.
struct Town {
    hub: TestHub,
    person: u64,
    card: Licence,
    title: Licence,
}

impl Town {
    async fn found() -> Self {
        Self::with_matters(&[shop(1), signboard(), purpose()]).await
    }

    async fn with_matters(matters: &[Value]) -> Self {
        let matters = list(matters);
        let hub = TestHub::start_prepared("127.0.0.1:0", |folder| {
            std::fs::write(folder.join("matters.json"), matters).unwrap();
            String::new()
        })
        .await;
        let held = |person: u64, of: &str| licence_of(&hub, person, of);
        let (person, card, title) = (0..40)
            .find_map(|person| {
                Some((person, held(person, IDENTITY_CARD)?, held(person, PROPERTY_TITLE)?))
            })
            .expect("somebody in the district owns a home");
        Self { hub, person, card, title }
    }

    /// The town, with both licences in the repository.
    async fn with_licences() -> Self {
        let town = Self::found().await;
        town.issue(&town.card).await;
        town.issue(&town.title).await;
        town
    }

    async fn issue(&self, licence: &Licence) {
        let issued = issuer_of(&self.hub, licence).issue(licence).await;
        assert_eq!(issued.status, 201, "{}", issued.text);
    }

    async fn revoke(&self, licence: &Licence) {
        let change = StatusChange::Revoke { cause: RevocationCause::Withdrawn };
        let revoked = issuer_of(&self.hub, licence).order(&licence.identifier, change).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text);
    }

    /// The applicant, newly logged in.
    async fn applicant(&self) -> Applicant<'_> {
        Applicant { hub: &self.hub, client: self.hub.applicant(self.person).await }
    }

    /// Somebody else of the town.
    async fn neighbour(&self) -> Applicant<'_> {
        Applicant { hub: &self.hub, client: self.hub.applicant(self.person + 1).await }
    }

    /// Some days later.
    fn days_pass(&self, days: i64) {
        self.hub.hub.clock.advance(SignedDuration::from_hours(24 * days));
    }
}

/// A driving licence for the person of an identity card.
fn driving_licence(card: &Licence) -> Licence {
    let licence_type: LicenceTypeCode = DRIVING_LICENCE.parse().unwrap();
    let identifier = licence::LicenceId::build(&licence_type, &card.issuer, "20260000000001", 1);
    let fields = json!({
        "sex": "女", "nationality": "中国", "first_issued_on": "2020-01-01", "vehicle_class": "C1",
    });
    Licence {
        identifier: identifier.unwrap(),
        licence_type,
        name: "机动车驾驶证".to_owned(),
        fields: serde_json::from_value(fields).unwrap(),
        ..card.clone()
    }
}

fn licence_of(hub: &TestHub, person: u64, of: &str) -> Option<Licence> {
    let (holder, _) = hub.person(person);
    let of: LicenceTypeCode = of.parse().unwrap();
    let today = hub.hub.clock.today();
    hub.licences().find(|licence| {
        licence.licence_type == of
            && licence.holders.iter().any(|one| one.id == holder)
            && licence.valid_on(today.saturating_add(60.days())) == Validity::Ok
    })
}

fn issuer_of(hub: &TestHub, licence: &Licence) -> support::Actor {
    let mut all = support::departments().into_iter();
    hub.issuing(all.find(|one| one.code == *licence.issuer.credit_code()).unwrap().slug)
}

/// Somebody who applies.
struct Applicant<'a> {
    hub: &'a TestHub,
    client: PageClient,
}

impl Applicant<'_> {
    async fn get(&self, path: &str) -> Answer {
        self.client.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.call(Method::POST, path, Some(body)).await
    }

    /// Opens a case and answers its id.
    async fn open(&self, matter: &Value) -> String {
        let opened = self.post("/v1/cases", &json!({ "matter": code_of(matter) })).await;
        assert_eq!(opened.status, 201, "{}", opened.text);
        opened.json["id"].as_str().unwrap().to_owned()
    }

    /// Uploads a file.
    async fn hand_in(&self, kind: &str, case: Option<&str>) -> String {
        let holder = self.client.holder().clone();
        let person = hub::login::sessions::person(
            &*self.hub.hub.store,
            &self.client.secret,
            self.hub.hub.session_limits(),
            self.hub.hub.clock.now(),
        );
        let person = person.await.unwrap().expect("the session lasts");
        let who = Who::Holder { person, holder: holder.clone() };
        let what = NewMaterial {
            kind: kind.to_owned(),
            name: format!("{kind}.jpg"),
            size: 0,
            case: case.map(str::to_owned),
            valid_until: None,
        };
        let bytes = stream::iter([Ok::<_, std::io::Error>(Bytes::from(jpeg(kind)))]);
        upload::take(&self.hub.hub, &who, &holder, &what, bytes).await.unwrap().id
    }

    async fn attach(&self, case: &str, requirement: &str, material: &str) -> Answer {
        self.post(
            &format!("/v1/cases/{case}/materials"),
            &json!({ "requirement": requirement, "material": material }),
        )
        .await
    }

    /// Uploads a file for a requirement and attaches it.
    async fn provide(&self, case: &str, requirement: &str, kind: &str) {
        let material = self.hand_in(kind, Some(case)).await;
        let attached = self.attach(case, requirement, &material).await;
        assert_eq!(attached.status, 200, "{}", attached.text);
    }

    async fn fill(&self, case: &str, fields: Value) -> Answer {
        let path = format!("/v1/cases/{case}/form");
        self.client.call(Method::PUT, &path, Some(&json!({ "fields": fields }))).await
    }

    async fn promise(&self, case: &str, requirements: &[&str]) -> Answer {
        self.post(&format!("/v1/cases/{case}/promise"), &json!({ "requirements": requirements }))
            .await
    }

    async fn submit(&self, case: &str) -> Answer {
        self.post(&format!("/v1/cases/{case}/submit"), &json!({})).await
    }

    /// A shop that is complete and submitted.
    async fn submitted_shop(&self) -> String {
        let case = self.open(&shop(1)).await;
        self.provide(&case, "plan", "floor-plan").await;
        self.provide(&case, "photo", "photo").await;
        assert_eq!(self.fill(&case, json!({ "shop-name": "和平小店" })).await.status, 200);
        let submitted = self.submit(&case).await;
        assert_eq!(submitted.status, 200, "{}", submitted.text);
        case
    }

    /// The states of a checklist by requirement.
    async fn checklist(&self, matter: &Value) -> Value {
        let answer = self.get(&format!("/v1/matters/{}/checklist", code_of(matter))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let items = answer.json["items"].as_array().unwrap().iter();
        items.map(|item| (item["requirement"].as_str().unwrap().to_owned(), item.clone())).collect()
    }
}

/// A picture of its own for each text: the smallest JPEG, with a comment.
fn jpeg(comment: &str) -> Vec<u8> {
    let mut picture = vec![0xff, 0xd8, 0xff, 0xfe, 0, u8::try_from(comment.len() + 2).unwrap()];
    picture.extend(comment.as_bytes());
    picture.extend([0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xda, 0, 4, 0, 0, 7, 0xff, 0, 9, 0xff, 0xd9]);
    picture
}

async fn step(hub: &TestHub, case: &str, step: Value) -> Answer {
    hub.office().post(&format!("/v1/cases/{case}/steps"), &step).await
}

#[actix_web::test]
async fn what_the_repository_holds_is_never_asked_for() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;

    let list = applicant.checklist(&shop(1)).await;
    assert_eq!(list["card"]["state"], "held");
    assert_eq!(list["card"]["identifier"], town.card.identifier.to_string());
    assert_eq!(list["premises"]["state"], "held");
    assert_eq!(
        (&list["address"]["state"], &list["address"]["value"]),
        (&json!("fact"), &town.card.fields["address"])
    );
    assert_eq!(
        (&list["plan"]["state"], &list["plan"]["may_follow"]),
        (&json!("to_hand_in"), &json!("no"))
    );
    assert_eq!(
        (&list["photo"]["state"], &list["photo"]["may_follow"]),
        (&json!("to_hand_in"), &json!("yes"))
    );

    let case = applicant.open(&shop(1)).await;
    let lease = applicant.hand_in("lease", Some(&case)).await;
    let before = town.hub.uses().await;
    let refused = applicant.attach(&case, "premises", &lease).await;
    assert_eq!((refused.status, refused.code()), (409, "held_already"), "{}", refused.text);
    assert!(refused.text.contains(&town.title.identifier.to_string()), "the licence is named");
    assert!(refused.text.contains("不动产权证书"), "by its name, too");
    assert_eq!(town.hub.uses().await, before + 1, "the refusal is a look at the licence");

    let shown = applicant.get(&format!("/v1/cases/{case}")).await;
    assert_eq!(shown.json["provided"], json!({}), "nothing was attached");
}

#[actix_web::test]
async fn every_look_is_on_the_access_log_before_the_answer() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    applicant.checklist(&shop(1)).await;

    let uses = town.hub.hub.store.uses(licence::Seq(0), 10).await.unwrap();
    let last = uses.last().unwrap();
    assert_eq!(last.act, indexes::UseAct::Own);
    assert_eq!(last.reason, "本人查看");
    assert_eq!(last.caller, town.hub.hub.settings().service.as_ref().unwrap().organisation);
    assert_eq!(last.holder, Some(town.hub.hub.index_key.token(applicant.client.holder())));
    assert_eq!(last.shown.len(), 2);
}

#[actix_web::test]
async fn a_revoked_licence_is_asked_for_again() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    town.revoke(&town.title).await;

    let list = applicant.checklist(&shop(1)).await;
    assert_eq!(list["premises"]["state"], "to_hand_in");
    assert_eq!(
        (&list["premises"]["why"], &list["premises"]["link"]),
        (&json!("not_trusted"), &json!("status"))
    );

    let case = applicant.open(&shop(1)).await;
    applicant.provide(&case, "premises", "lease").await;
}

#[actix_web::test]
async fn an_expired_licence_is_asked_for_again() {
    let town = Town::found().await;
    let mut card = town.card.clone();
    card.valid_to = Some(town.hub.hub.clock.today().saturating_add(3.days()));
    town.issue(&card).await;
    assert_eq!(town.applicant().await.checklist(&signboard()).await["card"]["state"], "held");

    town.days_pass(4);
    let list = town.applicant().await.checklist(&signboard()).await;
    assert_eq!(
        (&list["card"]["state"], &list["card"]["link"]),
        (&json!("to_hand_in"), &json!("validity"))
    );
}

#[actix_web::test]
async fn a_file_cannot_stand_for_a_licence_that_must_be_there() {
    let town = Town::found().await;
    let applicant = town.applicant().await;
    let case = applicant.open(&signboard()).await;
    let material = applicant.hand_in("floor-plan", Some(&case)).await;
    let refused = applicant.attach(&case, "card", &material).await;
    assert_eq!((refused.status, refused.code()), (422, "not_a_file"));
    let refused = applicant.attach(&case, "nothing", &material).await;
    assert_eq!((refused.status, refused.code()), (422, "unknown_requirement"));
}

#[actix_web::test]
async fn fields_are_prefilled_from_licences_with_their_source() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;

    let shown = applicant.get(&format!("/v1/cases/{case}")).await;
    let home = &shown.json["form"]["home"];
    assert_eq!(home["text"], town.card.fields["address"]);
    assert_eq!(home["source"], town.card.identifier.to_string());
    assert_eq!(
        shown.json["form"]["shop-name"]["source"],
        Value::Null,
        "what was typed has no source"
    );
}

#[actix_web::test]
async fn what_was_typed_over_a_licences_field_loses_its_source() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.open(&shop(1)).await;
    let filled = applicant.fill(&case, json!({ "home": "别处", "shop-name": "小店" })).await;
    assert_eq!(filled.json["form"]["home"], json!({ "text": "别处" }));
    let address = town.card.fields["address"].clone();
    let filled = applicant.fill(&case, json!({ "home": address })).await;
    assert_eq!(filled.json["form"]["home"]["source"], town.card.identifier.to_string());

    for (fields, code) in [
        (json!({ "unknown": "x" }), "unknown_form_field"),
        (json!({ "shop-name": "店".repeat(21) }), "form_field_too_long"),
        (json!({ "shop-name": "小\u{7}店" }), "form_field_characters"),
    ] {
        let refused = applicant.fill(&case, fields).await;
        assert_eq!((refused.status, refused.code()), (422, code));
    }
}

#[actix_web::test]
async fn everything_that_is_missing_is_named_at_once() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.open(&shop(1)).await;
    let refused = applicant.submit(&case).await;
    assert_eq!((refused.status, refused.code()), (409, "materials_missing"));
    assert_eq!(refused.json["defects"], json!(["plan", "photo"]));

    applicant.provide(&case, "plan", "floor-plan").await;
    applicant.provide(&case, "photo", "photo").await;
    let refused = applicant.submit(&case).await;
    assert_eq!((refused.status, refused.code()), (409, "form_incomplete"));
    assert_eq!(refused.json["defects"], json!(["shop-name"]));
}

#[actix_web::test]
async fn a_second_matter_asks_for_nothing_that_was_handed_in_for_the_first() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    applicant.submitted_shop().await;

    let list = applicant.checklist(&signboard()).await;
    assert_eq!(
        (&list["card"]["state"], &list["plan"]["state"]),
        (&json!("held"), &json!("reusable"))
    );
    let plan = list["plan"]["material"].as_str().unwrap().to_owned();

    let second = applicant.open(&signboard()).await;
    let submitted = applicant.submit(&second).await;
    assert_eq!(submitted.status, 200, "{}", submitted.text);
    let provided = &submitted.json["provided"]["plan"]["material"];
    assert_eq!(*provided, json!({ "material": plan, "reused": true }));

    let held =
        hub::records::read::<materials::Material>(&*town.hub.hub.store, plan.as_bytes()).await;
    assert_eq!(held.unwrap().unwrap().value.spared(), 1, "the copy it spared is counted");
}

#[actix_web::test]
async fn parallel_matters_share_a_material() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let shop_case = applicant.open(&shop(1)).await;
    let sign_case = applicant.open(&signboard()).await;
    let plan = applicant.hand_in("floor-plan", Some(&shop_case)).await;
    assert_eq!(applicant.attach(&shop_case, "plan", &plan).await.status, 200);
    let shared = applicant.attach(&sign_case, "plan", &plan).await;
    assert_eq!(shared.json["provided"]["plan"]["material"]["reused"], true, "{}", shared.text);
}

#[actix_web::test]
async fn an_outdated_material_is_asked_for_again() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let shop_case = applicant.open(&shop(1)).await;
    let plan = applicant.hand_in("floor-plan", Some(&shop_case)).await;
    assert_eq!(applicant.attach(&shop_case, "plan", &plan).await.status, 200);

    town.days_pass(31);
    let applicant = town.applicant().await;
    let list = applicant.checklist(&signboard()).await;
    assert_eq!(
        (&list["plan"]["state"], &list["plan"]["why"]),
        (&json!("to_hand_in"), &json!("outdated"))
    );
    let case = applicant.open(&signboard()).await;
    let refused = applicant.attach(&case, "plan", &plan).await;
    assert_eq!((refused.status, refused.code()), (409, "material_outdated"));
}

#[actix_web::test]
async fn a_material_of_another_kind_or_holder_is_refused() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.open(&shop(1)).await;
    let photo = applicant.hand_in("photo", Some(&case)).await;
    let refused = applicant.attach(&case, "plan", &photo).await;
    assert_eq!((refused.status, refused.code()), (422, "material_other_kind"));

    let neighbour = town.neighbour().await;
    let theirs = neighbour.hand_in("floor-plan", None).await;
    let refused = applicant.attach(&case, "plan", &theirs).await;
    let unknown = applicant.attach(&case, "plan", &format!("m_{}", "0".repeat(32))).await;
    assert_eq!((refused.status, refused.code()), (404, "unknown_material"));
    assert_eq!(refused.text, unknown.text, "as if it were not there");
}

#[actix_web::test]
async fn a_promise_is_signed_and_kept_when_all_of_it_came() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.open(&shop(1)).await;
    applicant.provide(&case, "plan", "floor-plan").await;
    applicant.fill(&case, json!({ "shop-name": "和平小店" })).await;
    let refused = applicant.promise(&case, &["plan", "photo"]).await;
    assert_eq!((refused.status, refused.code()), (409, "may_not_follow"));
    let refused = applicant.promise(&case, &["card"]).await;
    assert_eq!((refused.status, refused.code()), (409, "held_already"));
    let refused = applicant.promise(&case, &[]).await;
    assert_eq!((refused.status, refused.code()), (422, "requirements_required"));

    // 2 March 2026 is a Monday; five working days end on the next.
    let promised = applicant.promise(&case, &["photo"]).await;
    assert_eq!(promised.json["promise"]["until"], "2026-03-09", "{}", promised.text);
    assert_eq!(applicant.submit(&case).await.status, 200);

    let package = town.hub.office().get(&format!("/v1/cases/{case}/package")).await;
    let file = SignedFile::parse(package.text.as_bytes()).unwrap();
    let document = file.package().unwrap().promise.unwrap();
    let signed = file.evidence.get(&document.document).expect("the promise is in the package");
    assert!(!signed.is_empty());

    step(&town.hub, &case, json!({ "step": "accept" })).await;
    applicant.provide(&case, "photo", "photo").await;
    let shown = applicant.get(&format!("/v1/cases/{case}")).await;
    assert!(shown.json["promise"]["kept_at"].is_string(), "{}", shown.text);
    assert_eq!(shown.json["state"], "accepted", "the department goes on where it was");
    let again = town.hub.office().get(&format!("/v1/cases/{case}/package")).await;
    let again = SignedFile::parse(again.text.as_bytes()).unwrap().package().unwrap();
    assert_eq!(again.round, 2, "and gets the whole of it");
    assert!(again.promise.unwrap().kept_at.is_some());
}

#[actix_web::test]
async fn who_did_not_keep_a_promise_gets_no_other_until_it_is_made_good() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let first = applicant.open(&shop(1)).await;
    applicant.provide(&first, "plan", "floor-plan").await;
    applicant.fill(&first, json!({ "shop-name": "和平小店" })).await;
    applicant.promise(&first, &["photo"]).await;
    assert_eq!(applicant.submit(&first).await.status, 200);

    town.days_pass(7); // the last day itself
    let applicant = town.applicant().await;
    let second = applicant.open(&shop(1)).await;
    assert_eq!(applicant.checklist(&shop(1)).await["photo"]["may_follow"], "yes");

    town.days_pass(1);
    let applicant = town.applicant().await;
    let list = applicant.checklist(&shop(1)).await;
    assert_eq!(list["photo"]["may_follow"], "refused");
    assert_eq!(list["photo"]["unkept"], first);
    let refused = applicant.promise(&second, &["photo"]).await;
    assert_eq!((refused.status, refused.code()), (409, "promise_unkept"));
    assert_eq!(refused.json["defects"], json!([first]));

    applicant.provide(&first, "photo", "photo").await;
    let promised = applicant.promise(&second, &["photo"]).await;
    assert_eq!(promised.status, 200, "made good late is made good: {}", promised.text);
}

#[actix_web::test]
async fn a_supplement_names_all_at_once_and_leads_back_to_the_department() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;

    let asked = step(
        &town.hub,
        &case,
        json!({ "step": "supplement", "items": [
        { "requirement": "premises", "why": "看不清" },
    ] }),
    )
    .await;
    assert_eq!(
        (asked.status, asked.code()),
        (409, "held_already"),
        "a department cannot ask for it either"
    );
    let asked = step(
        &town.hub,
        &case,
        json!({ "step": "supplement", "items": [
        { "requirement": "nothing", "why": "没有" },
    ] }),
    )
    .await;
    assert_eq!((asked.status, asked.code()), (422, "unknown_requirement"));
    let asked = step(&town.hub, &case, json!({ "step": "supplement", "items": [] })).await;
    assert_eq!((asked.status, asked.code()), (422, "requirements_required"));

    let asked = step(
        &town.hub,
        &case,
        json!({ "step": "supplement", "items": [
        { "requirement": "photo", "why": "照片不清晰，请重拍" },
        { "requirement": "shop-name", "why": "名称与他人重复" },
    ] }),
    )
    .await;
    assert_eq!((asked.status, &asked.json["state"]), (200, &json!("supplement")), "{}", asked.text);

    let refused = applicant.submit(&case).await;
    assert_eq!(refused.json["defects"], json!(["photo"]));
    let refused = applicant.promise(&case, &["photo"]).await;
    assert_eq!(refused.code(), "may_not_follow", "what was asked for again does not follow later");
    let shown = applicant.get(&format!("/v1/cases/{case}")).await;
    let sent_back = shown.json["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(sent_back["what"]["items"].as_array().unwrap().len(), 2);

    applicant.provide(&case, "photo", "photo").await;
    applicant.fill(&case, json!({ "shop-name": "青溪小店" })).await;
    let submitted = applicant.submit(&case).await;
    assert_eq!(
        (submitted.status, &submitted.json["state"]),
        (200, &json!("submitted")),
        "{}",
        submitted.text
    );
    let package = town.hub.office().get(&format!("/v1/cases/{case}/package")).await;
    let package = SignedFile::parse(package.text.as_bytes()).unwrap().package().unwrap();
    assert_eq!(package.round, 2);
    assert!(package.form.iter().any(|field| field.text == "青溪小店"));
}

#[actix_web::test]
async fn a_case_runs_from_acceptance_to_the_licence_it_results_in() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    let path = format!("/v1/cases/{case}");
    // Five working days after Monday, 2 March 2026.
    assert_eq!(applicant.get(&path).await.json["due"], "2026-03-09");

    let early = step(&town.hub, &case, json!({ "step": "decide", "granted": true })).await;
    assert_eq!((early.status, early.code()), (409, "case_state"));
    let accepted = step(&town.hub, &case, json!({ "step": "accept" })).await;
    assert_eq!(accepted.json["state"], "accepted");
    let bare = step(&town.hub, &case, json!({ "step": "decide", "granted": false })).await;
    assert_eq!((bare.status, bare.code()), (422, "step_reason"), "a refusal says why");
    let granted = step(&town.hub, &case, json!({ "step": "decide", "granted": true })).await;
    assert_eq!(granted.json["state"], "granted");

    let wrong = json!({ "step": "result", "licence": town.card.identifier });
    let refused = step(&town.hub, &case, wrong).await;
    assert_eq!((refused.status, refused.code()), (422, "result_not_fitting"), "of another type");
    let result = driving_licence(&town.card);
    town.issue(&result).await;
    let linked =
        step(&town.hub, &case, json!({ "step": "result", "licence": result.identifier })).await;
    assert_eq!(linked.status, 200, "{}", linked.text);
    assert_eq!(applicant.get(&path).await.json["result"], result.identifier.to_string());
}

#[actix_web::test]
async fn a_step_repeated_with_its_reference_is_taken_once() {
    let town = Town::with_licences().await;
    let case = town.applicant().await.submitted_shop().await;
    let accept = json!({ "step": "accept", "reference": "CB-2026-17" });
    let first = step(&town.hub, &case, accept.clone()).await;
    let again = step(&town.hub, &case, accept).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.json["steps"], again.json["steps"]);

    let other = json!({ "step": "decide", "granted": true, "reference": "CB-2026-17" });
    let refused = step(&town.hub, &case, other).await;
    assert_eq!((refused.status, refused.code()), (409, "step_reference_reused"));
}

#[actix_web::test]
async fn the_grant_of_a_case_opens_its_licences_to_the_department_alone() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    let office = town.hub.office();

    assert_eq!(applicant.get(&format!("/v1/cases/{case}")).await.json["grant"], Value::Null);
    let grant =
        office.get(&format!("/v1/cases/{case}")).await.json["grant"].as_str().unwrap().to_owned();
    let content = format!("/v1/grants/{grant}/licences/{}", town.title.identifier);
    assert_eq!(office.get(&content).await.status, 200);
    assert_eq!(town.hub.department("housing").get(&content).await.status, 403);

    town.days_pass(29); // twenty working days, to the end of the last
    let over = office.get(&content).await;
    assert_eq!((over.status, over.code()), (410, "grant_ended"));
}

#[actix_web::test]
async fn openssl_accepts_the_package_and_the_digests_in_it() {
    let town = Town::with_licences().await;
    let case = town.applicant().await.submitted_shop().await;
    let package = town.hub.office().get(&format!("/v1/cases/{case}/package")).await;
    assert_eq!(package.status, 200, "{}", package.text);
    let file = SignedFile::parse(package.text.as_bytes()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("content.json"), file.content().unwrap()).unwrap();
    std::fs::write(at("content.p7s"), file.signature().unwrap()).unwrap();
    std::fs::write(at("ca.pem"), town.hub.authority.anchor().to_pem()).unwrap();
    assert!(openssl_accepts(folder.path()));
    let mut changed = file.content().unwrap();
    changed[20] ^= 1;
    std::fs::write(at("content.json"), changed).unwrap();
    assert!(!openssl_accepts(folder.path()), "a changed byte is seen");

    let document = file.package().unwrap();
    assert_eq!(document.licences.len(), 2);
    for licence in &document.licences {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let evidence = STANDARD.decode(&file.evidence[&licence.evidence]).unwrap();
        assert_eq!(certs::sha256(&evidence), licence.evidence);
        certs::Evidence::parse(&evidence).unwrap();
    }
    assert_eq!(document.holder.number, town.person_number());
}

fn openssl_accepts(folder: &Path) -> bool {
    let arguments = "cms -verify -binary -inform DER -in content.p7s -content content.json -CAfile ca.pem \
                     -purpose any -out /dev/null";
    let run =
        Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output();
    run.unwrap().status.success()
}

impl Town {
    fn person_number(&self) -> String {
        self.hub.person(self.person).0.number().to_string()
    }
}

#[actix_web::test]
async fn submits_at_the_same_time_give_one_package() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.open(&shop(1)).await;
    applicant.provide(&case, "plan", "floor-plan").await;
    applicant.provide(&case, "photo", "photo").await;
    applicant.fill(&case, json!({ "shop-name": "和平小店" })).await;
    let tries = (0..6).map(|_| applicant.submit(&case));
    let answers = futures_util::future::join_all(tries).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json["package"], answers[0].json["package"]);
    }
    let steps = answers[0].json["steps"].as_array().unwrap();
    assert_eq!(steps.iter().filter(|step| step["what"]["step"] == "submitted").count(), 1);
    let department = department("government-services");
    let waiting = town.hub.hub.store.records(
        indexes::Collection::new("case_outbox"),
        department.as_bytes(),
        None,
        10,
    );
    assert_eq!(waiting.await.unwrap().len(), 1, "and one delivery");
}

#[actix_web::test]
async fn somebody_elses_case_is_not_there() {
    let town = Town::with_licences().await;
    let case = town.applicant().await.submitted_shop().await;
    let neighbour = town.neighbour().await;
    let unknown = "20260302-2222222222";
    let calls: [(Method, &str, Value); 8] = [
        (Method::GET, "", Value::Null),
        (Method::GET, "/package", Value::Null),
        (Method::PUT, "/form", json!({ "fields": {} })),
        (Method::POST, "/materials", json!({ "requirement": "plan", "material": "m_0" })),
        (Method::POST, "/promise", json!({ "requirements": ["photo"] })),
        (Method::POST, "/submit", json!({})),
        (Method::POST, "/withdraw", json!({})),
        (Method::POST, "/steps", json!({ "step": "accept" })),
    ];
    let housing = town.hub.department("housing");
    for (method, path, body) in calls {
        let body = (!body.is_null()).then_some(&body);
        let theirs = format!("/v1/cases/{case}{path}");
        let none = format!("/v1/cases/{unknown}{path}");
        let refused = neighbour.client.call(method.clone(), &theirs, body).await;
        let not_there = neighbour.client.call(method.clone(), &none, body).await;
        assert_eq!((refused.status, refused.code()), (404, "unknown_case"), "{method} {path}");
        assert_eq!(refused.text, not_there.text, "{method} {path}");
        if method == Method::POST {
            let refused = housing.post(&theirs, body.unwrap()).await;
            assert_eq!(
                (refused.status, refused.code()),
                (404, "unknown_case"),
                "{path}: another department"
            );
        }
    }
}

#[actix_web::test]
async fn a_department_sees_a_case_once_it_was_submitted() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.open(&shop(1)).await;
    let early = town.hub.office().get(&format!("/v1/cases/{case}")).await;
    assert_eq!((early.status, early.code()), (404, "unknown_case"));
    let none = applicant.get(&format!("/v1/cases/{case}/package")).await;
    assert_eq!((none.status, none.code()), (404, "no_package"));
}

#[actix_web::test]
async fn any_window_of_the_district_takes_a_matter_at_the_levels_it_names() {
    let town = Town::with_licences().await;
    let (holder, _) = town.hub.person(town.person);
    let for_holder = |matter: &Value| {
        json!({ "matter": code_of(matter),
                "holder": { "kind": holder.kind().code(), "number": holder.number() } })
    };
    for (node, matter, status) in [
        ("hall-1", shop(1), 201),
        ("baishi-1", shop(1), 201),
        ("heping-1", shop(1), 403), // the guide names district and street
        ("heping-1", signboard(), 201),
    ] {
        let clerk = town.hub.clerk(node).await;
        let opened = clerk.call(Method::POST, "/v1/cases", Some(&for_holder(&matter))).await;
        assert_eq!(opened.status, status, "{node}: {}", opened.text);
        if status == 403 {
            assert_eq!(opened.code(), "not_taken_here");
        }
    }
    let lost = town.hub.clerk("nowhere").await;
    let refused = lost.call(Method::POST, "/v1/cases", Some(&for_holder(&shop(1)))).await;
    assert_eq!(refused.status, 403, "a clerk outside the tree: {}", refused.text);
}

#[actix_web::test]
async fn a_window_sees_its_own_cases_and_those_below_it() {
    let town = Town::with_licences().await;
    let (holder, _) = town.hub.person(town.person);
    let new = json!({ "matter": code_of(&signboard()),
                      "holder": { "kind": holder.kind().code(), "number": holder.number() } });
    let village = town.hub.clerk("heping-1").await;
    let opened = village.call(Method::POST, "/v1/cases", Some(&new)).await;
    let path = format!("/v1/cases/{}", opened.json["id"].as_str().unwrap());
    for (node, status) in [
        ("heping-1", 200),
        ("heping", 200),
        ("qingxi", 200),
        ("qingxi-1", 404),
        ("baishi", 404),
        ("hall-1", 404),
        ("housing", 404),
    ] {
        let clerk = town.hub.clerk(node).await;
        let shown = clerk.call(Method::GET, &path, None).await;
        assert_eq!(shown.status, status, "{node}: {}", shown.text);
    }
    let applicant = town.applicant().await.get(&path).await;
    assert_eq!(applicant.status, 200, "it is the holder's case");
}

#[actix_web::test]
async fn a_clerk_at_a_window_hands_over_but_does_not_decide() {
    let town = Town::with_licences().await;
    let case = town.applicant().await.submitted_shop().await;
    let path = format!("/v1/cases/{case}/steps");
    let accept = json!({ "step": "accept" });
    let window = town.hub.clerk("hall-1").await;
    let refused = window.call(Method::POST, &path, Some(&accept)).await;
    assert_eq!((refused.status, refused.code()), (403, "case_not_permitted"));
    let holder = town.applicant().await.post(&path, &accept).await;
    assert_eq!((holder.status, holder.code()), (403, "case_not_permitted"));
    let desk = town.hub.department_clerk("government-services").await;
    let accepted = desk.call(Method::POST, &path, Some(&accept)).await;
    assert_eq!(accepted.status, 200, "{}", accepted.text);
    let by = &accepted.json["steps"].as_array().unwrap().last().unwrap()["by"]["clerk"];
    assert_eq!(by["node"], "government-services");
    let shown = town.applicant().await.get(&format!("/v1/cases/{case}")).await;
    let by = &shown.json["steps"].as_array().unwrap().last().unwrap()["by"]["clerk"];
    assert_eq!(by["account"], "", "the holder learns the place, not the clerk");
}

#[actix_web::test]
async fn what_is_no_matter_for_applicants_cannot_be_run() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let refused = applicant.post("/v1/cases", &json!({ "matter": code_of(&purpose()) })).await;
    assert_eq!((refused.status, refused.code()), (422, "matter_not_run"));
    let unknown = format!("{}4450117099009", department("housing"));
    let refused = applicant.post("/v1/cases", &json!({ "matter": unknown })).await;
    assert_eq!((refused.status, refused.code()), (422, "unknown_matter"));
    let organisation = town.hub.representative(town.person, 3).await;
    let enterprise = organisation.account.holders[1].clone();
    let body = json!({ "matter": code_of(&shop(1)),
        "holder": { "kind": enterprise.kind().code(), "number": enterprise.number() } });
    let refused = organisation.call(Method::POST, "/v1/cases", Some(&body)).await;
    assert_eq!((refused.status, refused.code()), (403, "applicant_kind"));
}

#[actix_web::test]
async fn a_case_opened_twice_under_one_key_is_one_case() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let body = json!({ "matter": code_of(&signboard()) });
    let open = || async {
        let request = applicant.client.api(Method::POST, "/v1/cases");
        let request = request
            .header("X-Yihao-Csrf", &applicant.client.csrf)
            .header("Idempotency-Key", "one")
            .json(&body);
        request.send().await.unwrap().json::<Value>().await.unwrap()["id"].clone()
    };
    assert_eq!(open().await, open().await);
}

#[actix_web::test]
async fn a_withdrawn_case_goes_no_further() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    let withdrawn = applicant.post(&format!("/v1/cases/{case}/withdraw"), &json!({})).await;
    assert_eq!((withdrawn.status, &withdrawn.json["state"]), (200, &json!("withdrawn")));
    let accept = step(&town.hub, &case, json!({ "step": "accept" })).await;
    assert_eq!((accept.status, accept.code()), (409, "case_state"));
    let again = applicant.submit(&case).await;
    assert_eq!((again.status, again.code()), (409, "case_state"));
}

#[actix_web::test]
async fn withdrawing_a_case_ends_its_grant() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    let office = town.hub.office();
    let shown = office.get(&format!("/v1/cases/{case}")).await;
    let grant = shown.json["grant"].as_str().unwrap();
    let content = format!("/v1/grants/{grant}/licences/{}", town.title.identifier);
    assert_eq!(office.get(&content).await.status, 200);
    applicant.post(&format!("/v1/cases/{case}/withdraw"), &json!({})).await;
    let refused = office.get(&content).await;
    assert_eq!((refused.status, refused.code()), (410, "grant_withdrawn"));
}

#[actix_web::test]
async fn what_was_promised_is_kept_by_the_licence_that_arrives() {
    let mut matter = shop(1);
    matter["requires"] = json!([]); // all that the guide names
    let photo = &mut matter["guide"]["requirements"][4]["ways"];
    photo
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"by": "licence", "licence_type": DRIVING_LICENCE}));
    let town = Town::with_matters(&[matter.clone(), signboard()]).await;
    town.issue(&town.card).await;
    town.issue(&town.title).await;
    let applicant = town.applicant().await;
    let case = applicant.open(&matter).await;
    applicant.provide(&case, "plan", "floor-plan").await;
    applicant.fill(&case, json!({ "shop-name": "和平小店" })).await;
    applicant.promise(&case, &["photo"]).await;
    assert_eq!(applicant.submit(&case).await.status, 200);

    town.days_pass(8);
    let applicant = town.applicant().await;
    assert_eq!(applicant.checklist(&matter).await["photo"]["may_follow"], "refused");
    town.issue(&driving_licence(&town.card)).await;
    let list = applicant.checklist(&matter).await;
    assert_eq!(list["photo"]["state"], "held");
    let package = town.hub.office().get(&format!("/v1/cases/{case}/package")).await;
    let package = SignedFile::parse(package.text.as_bytes()).unwrap().package().unwrap();
    assert_eq!((package.round, package.licences.len()), (2, 3), "the department gets it complete");
    let shown = applicant.get(&format!("/v1/cases/{case}")).await;
    assert!(shown.json["promise"]["kept_at"].is_string(), "{}", shown.text);
    let second = applicant.open(&matter).await;
    applicant.fill(&second, json!({ "shop-name": "第二家店" })).await;
    let submitted = applicant.submit(&second).await;
    assert_eq!(submitted.status, 200, "nothing is overdue any more: {}", submitted.text);
}

#[actix_web::test]
async fn a_case_keeps_the_version_it_was_opened_with() {
    let mut next = shop(2);
    next["guide"]["from"] = json!("2026-03-05");
    let more =
        requirement("water", &[json!({"by": "file", "kind": "water", "reusable_days": 0})], None);
    next["guide"]["requirements"].as_array_mut().unwrap().push(more);
    let town = Town::with_matters(&[shop(1), next]).await;
    town.issue(&town.card).await;
    town.issue(&town.title).await;
    let applicant = town.applicant().await;
    let early = applicant.open(&shop(1)).await;

    town.days_pass(4);
    let applicant = town.applicant().await;
    assert_eq!(
        applicant.checklist(&shop(1)).await["water"]["state"],
        "to_hand_in",
        "the new version"
    );
    let late = applicant.open(&shop(1)).await;
    assert_eq!(applicant.get(&format!("/v1/cases/{late}")).await.json["version"], 2);

    for (case, complete) in [(&early, true), (&late, false)] {
        applicant.provide(case, "plan", "floor-plan").await;
        applicant.provide(case, "photo", "photo").await;
        applicant.fill(case, json!({ "shop-name": "和平小店" })).await;
        let submitted = applicant.submit(case).await;
        assert_eq!(submitted.status == 200, complete, "{}", submitted.text);
        if !complete {
            assert_eq!(submitted.json["defects"], json!(["water"]));
        }
    }
}

#[actix_web::test]
async fn a_file_that_was_sent_back_is_not_taken_again() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    let shown = applicant.get(&format!("/v1/cases/{case}")).await;
    let plan = shown.json["provided"]["plan"]["material"]["material"].as_str().unwrap().to_owned();
    let asked = step(
        &town.hub,
        &case,
        json!({ "step": "supplement", "items": [
        { "requirement": "plan", "why": "缺少比例尺" },
    ] }),
    )
    .await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    let refused = applicant.submit(&case).await;
    assert_eq!(refused.json["defects"], json!(["plan"]), "it is not used again by itself either");
    let refused = applicant.attach(&case, "plan", &plan).await;
    assert_eq!((refused.status, refused.code()), (409, "material_sent_back"));
    applicant.provide(&case, "plan", "floor-plan").await;
    assert_eq!(applicant.submit(&case).await.status, 200);
}

#[actix_web::test]
async fn a_file_that_was_sent_back_is_offered_nowhere_until_it_is_handed_in_anew() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    let plan = material_of(&applicant, &case, "plan").await;
    let beside = applicant.open(&signboard()).await;
    assert_eq!(applicant.attach(&beside, "plan", &plan).await.status, 200);

    asks_for(&town, &case, &["plan"]).await;

    let list = applicant.checklist(&signboard()).await;
    assert_eq!(list["plan"]["state"], "to_hand_in", "a new case");
    let refused = applicant.submit(&beside).await;
    assert_eq!(refused.json["defects"], json!(["plan"]), "a case that was open already");
    let refused = applicant.attach(&beside, "plan", &plan).await;
    assert_eq!((refused.status, refused.code()), (409, "material_sent_back"));
    let told = applicant.get(&format!("/v1/materials/{plan}")).await;
    assert_eq!(told.json["sent_back"], true, "{}", told.text);

    applicant.provide(&case, "plan", "floor-plan").await;
    assert_eq!(applicant.checklist(&signboard()).await["plan"]["state"], "reusable");
    assert_eq!(applicant.submit(&beside).await.status, 200);
}

#[actix_web::test]
async fn what_was_asked_for_again_is_not_met_by_an_older_file() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    applicant.hand_in("floor-plan", None).await;
    town.days_pass(1);
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    asks_for(&town, &case, &["plan"]).await;

    let refused = applicant.submit(&case).await;
    assert_eq!(refused.json["defects"], json!(["plan"]));
    assert_eq!(applicant.checklist(&signboard()).await["plan"]["state"], "reusable");
}

#[actix_web::test]
async fn a_field_the_department_asked_about_is_changed_or_confirmed_before_it_goes_back() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    asks_for(&town, &case, &["shop-name", "note"]).await;

    let refused = applicant.submit(&case).await;
    assert_eq!((refused.status, refused.code()), (409, "form_unconfirmed"));
    assert_eq!(refused.json["defects"], json!(["note", "shop-name"]));
    applicant.fill(&case, json!({ "shop-name": "和平小店", "note": "二楼" })).await;
    let refused = applicant.submit(&case).await;
    assert_eq!(refused.json["defects"], json!(["shop-name"]), "the same again is no change");
    let confirmed = json!({ "confirmed": ["shop-name"] });
    let path = format!("/v1/cases/{case}/form");
    assert_eq!(applicant.client.call(Method::PUT, &path, Some(&confirmed)).await.status, 200);
    assert_eq!(applicant.submit(&case).await.status, 200);
}

#[actix_web::test]
async fn everything_is_asked_for_at_once_and_a_second_time_only_what_came_anew() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    asks_for(&town, &case, &["photo"]).await;
    applicant.provide(&case, "photo", "photo").await;
    applicant.fill(&case, json!({ "note": "二楼" })).await;
    assert_eq!(applicant.submit(&case).await.status, 200);

    let refused = supplement(&town, &case, &["photo", "plan", "shop-name"]).await;
    assert_eq!((refused.status, refused.code()), (409, "supplement_once"));
    assert_eq!(refused.json["defects"], json!(["plan", "shop-name"]));
    let shown = applicant.get(&format!("/v1/cases/{case}")).await;
    assert_eq!(shown.json["state"], "submitted", "nothing of it was taken");
    asks_for(&town, &case, &["photo", "note"]).await;
}

#[actix_web::test]
async fn what_a_licence_covered_is_asked_for_again_when_it_is_revoked() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    asks_for(&town, &case, &["photo"]).await;
    applicant.provide(&case, "photo", "photo").await;
    assert_eq!(applicant.submit(&case).await.status, 200);
    assert_eq!(supplement(&town, &case, &["premises"]).await.code(), "held_already");
    town.revoke(&town.title).await;
    asks_for(&town, &case, &["premises"]).await;
}

#[actix_web::test]
async fn a_package_that_is_handed_over_anew_ends_the_grant_of_the_one_before() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let case = applicant.submitted_shop().await;
    let first = title_under_grant_of(&town, &case).await;
    asks_for(&town, &case, &["photo"]).await;
    assert_eq!(town.hub.office().get(&first).await.status, 200, "the department still looks at it");
    applicant.provide(&case, "photo", "photo").await;
    assert_eq!(applicant.submit(&case).await.status, 200);

    let over = town.hub.office().get(&first).await;
    assert_eq!((over.status, over.code()), (410, "grant_withdrawn"));
    let second = title_under_grant_of(&town, &case).await;
    assert_eq!(town.hub.office().get(&second).await.status, 200);
}

#[actix_web::test]
async fn what_was_declined_or_refused_is_opened_no_longer() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let declined = applicant.submitted_shop().await;
    let refused = applicant.submitted_shop().await;
    let no = json!({ "step": "decline", "reason": "不属于本机关职权范围" });
    let content = title_under_grant_of(&town, &declined).await;
    assert_eq!(step(&town.hub, &declined, no).await.status, 200);
    let over = town.hub.office().get(&content).await;
    assert_eq!((over.status, over.code()), (410, "grant_withdrawn"));

    let content = title_under_grant_of(&town, &refused).await;
    step(&town.hub, &refused, json!({ "step": "accept" })).await;
    let no = json!({ "step": "decide", "granted": false, "reason": "现场核查未通过" });
    assert_eq!(step(&town.hub, &refused, no).await.status, 200);
    assert_eq!(town.hub.office().get(&content).await.code(), "grant_withdrawn");
}

#[actix_web::test]
async fn cases_are_listed_for_who_applies_and_for_who_works_on_them() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let draft = applicant.open(&signboard()).await;
    let submitted = applicant.submitted_shop().await;
    let ids = |answer: &Answer| -> Vec<String> {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let cases = answer.json["cases"].as_array().unwrap().iter();
        cases.map(|case| case["id"].as_str().unwrap().to_owned()).collect()
    };

    let own = ids(&applicant.get("/v1/cases").await);
    assert_eq!(own.len(), 2);
    assert!(own.contains(&draft) && own.contains(&submitted));
    assert_eq!(ids(&applicant.get("/v1/cases?state=draft").await), [draft]);
    assert_eq!(ids(&town.hub.office().get("/v1/cases").await), std::slice::from_ref(&submitted));
    assert!(ids(&town.hub.office().get("/v1/cases?state=accepted").await).is_empty());
    assert!(ids(&town.hub.department("housing").get("/v1/cases").await).is_empty());
    let desk = town.hub.department_clerk("government-services").await;
    assert_eq!(ids(&desk.call(Method::GET, "/v1/cases", None).await), [submitted]);
    assert!(ids(&town.neighbour().await.get("/v1/cases").await).is_empty());
    let wrong = applicant.get("/v1/cases?state=lost").await;
    assert_eq!((wrong.status, wrong.code()), (422, "case_state_word"));
}

/// The file of a case for a requirement.
async fn material_of(applicant: &Applicant<'_>, case: &str, requirement: &str) -> String {
    let shown = applicant.get(&format!("/v1/cases/{case}")).await;
    let material = &shown.json["provided"][requirement]["material"]["material"];
    material.as_str().unwrap().to_owned()
}

/// The department asks for these.
async fn supplement(town: &Town, case: &str, wanted: &[&str]) -> Answer {
    let items: Vec<Value> =
        wanted.iter().map(|one| json!({ "requirement": one, "why": "请核对" })).collect();
    step(&town.hub, case, json!({ "step": "supplement", "items": items })).await
}

async fn asks_for(town: &Town, case: &str, wanted: &[&str]) {
    let asked = supplement(town, case, wanted).await;
    assert_eq!((asked.status, &asked.json["state"]), (200, &json!("supplement")), "{}", asked.text);
}

/// Where the department opens the property title under the grant of a case.
async fn title_under_grant_of(town: &Town, case: &str) -> String {
    let shown = town.hub.office().get(&format!("/v1/cases/{case}")).await;
    let grant = shown.json["grant"].as_str().unwrap();
    format!("/v1/grants/{grant}/licences/{}", town.title.identifier)
}

#[actix_web::test]
async fn nobody_decides_their_own_case() {
    let town = Town::with_licences().await;
    let case = town.applicant().await.submitted_shop().await;
    let (holder, name) = town.hub.person(town.person);
    let both = support::people::account(
        "both",
        &name,
        vec![holder],
        &[Role::Applicant, Role::Clerk],
        Some("government-services"),
    );
    let both = town.hub.log_in(both).await;
    let steps = format!("/v1/cases/{case}/steps");
    let refused = both.call(Method::POST, &steps, Some(&json!({ "step": "accept" }))).await;
    assert_eq!((refused.status, refused.code()), (403, "case_not_permitted"));
}

#[actix_web::test]
async fn queues_show_what_a_place_works_on_and_nothing_else() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let draft = applicant.open(&signboard()).await;
    let submitted = applicant.submitted_shop().await;

    let of = |client: &PageClient| {
        let person = Person {
            account: client.account.clone(),
            session: String::new(),
            csrf: client.csrf.clone(),
        };
        Clerk::of(&town.hub.hub, &person).map(Who::Clerk).unwrap()
    };
    let desk = of(&town.hub.department_clerk("government-services").await);
    let ids = |cases: Vec<hub::reuse::case::Case>| {
        cases.into_iter().map(|case| case.id).collect::<Vec<_>>()
    };
    let waiting = cases::queue(&town.hub.hub, &desk, Some(CaseState::Submitted), 10).await;
    assert_eq!(ids(waiting.unwrap()), std::slice::from_ref(&submitted));
    let accepted = cases::queue(&town.hub.hub, &desk, Some(CaseState::Accepted), 10).await;
    assert!(accepted.unwrap().is_empty());
    let elsewhere = of(&town.hub.department_clerk("housing").await);
    assert!(cases::queue(&town.hub.hub, &elsewhere, None, 10).await.unwrap().is_empty());
    let village = of(&town.hub.clerk("heping-1").await);
    assert!(cases::queue(&town.hub.hub, &village, None, 10).await.unwrap().is_empty());

    let holder = applicant.client.holder().clone();
    let person = Person {
        account: applicant.client.account.clone(),
        session: String::new(),
        csrf: String::new(),
    };
    let own = Who::Holder { person, holder };
    let listed = ids(cases::of_holder(&town.hub.hub, &own, 10).await.unwrap());
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&draft) && listed.contains(&submitted));
    assert!(cases::queue(&town.hub.hub, &own, None, 10).await.is_err());
}

#[actix_web::test]
async fn the_districts_shop_asks_for_one_of_eight_and_its_signboard_for_none() {
    let hub = TestHub::start().await;
    let (shop, sign) = (Story::FoodShop, Story::Signboard);
    let applicant = hub.district.applicant(shop, hub.hub.clock.today()).unwrap();
    for licence in &applicant.licences {
        assert_eq!(issuer_of(&hub, licence).issue(licence).await.status, 201);
    }
    let applicant = Applicant { hub: &hub, client: hub.applicant(applicant.index).await };
    let open = async |story: Story| {
        let body = json!({ "matter": story.code() });
        let opened = applicant.post("/v1/cases", &body).await;
        opened.json["id"].as_str().unwrap_or_else(|| panic!("{}", opened.text)).to_owned()
    };

    let list = applicant.get(&format!("/v1/matters/{}/checklist", shop.code())).await;
    let items = list.json["items"].as_array().unwrap();
    let wanted: Vec<_> = items.iter().filter(|item| item["state"] == "to_hand_in").collect();
    assert_eq!((items.len(), wanted.len()), (8, 1), "{}", list.text);
    let case = open(shop).await;
    applicant
        .provide(&case, wanted[0]["requirement"].as_str().unwrap(), district::FLOOR_PLAN)
        .await;
    let fields = json!({ "shop-name": "和平小店", "items": "面条", "phone": "0772-0000000" });
    assert_eq!(applicant.fill(&case, fields).await.status, 200);
    let submitted = applicant.submit(&case).await;
    assert_eq!(submitted.status, 200, "{}", submitted.text);

    let second = open(sign).await;
    assert_eq!(
        applicant.fill(&second, json!({ "wording": "和平小店", "size": "3×1" })).await.status,
        200
    );
    let submitted = applicant.submit(&second).await;
    assert_eq!(submitted.status, 200, "nothing is asked for: {}", submitted.text);
}

#[actix_web::test]
async fn a_package_says_what_the_holder_disputes() {
    let town = Town::with_licences().await;
    let applicant = town.applicant().await;
    let dispute = json!({ "licence": town.card.identifier, "field": "address",
        "says": "澜溪区松风路18号", "why": "门牌号已于去年更改" });
    let disputed = applicant.post("/v1/corrections", &dispute).await;
    assert_eq!(disputed.status, 201, "{}", disputed.text);
    let case = applicant.submitted_shop().await;
    let package = town.hub.office().get(&format!("/v1/cases/{case}/package")).await;
    let package = SignedFile::parse(package.text.as_bytes()).unwrap().package().unwrap();
    let card = package.licences.iter().find(|one| one.identifier == town.card.identifier).unwrap();
    assert_eq!(card.disputed, ["address"]);
}

#[actix_web::test]
async fn a_window_elsewhere_does_not_get_the_grant_of_what_it_handed_over() {
    let town = Town::with_licences().await;
    let (holder, _) = town.hub.person(town.person);
    // The street's window acts for the bureau that decides, but is no desk of it.
    let clerk = town.hub.clerk("qingxi-1").await;
    let new = json!({ "matter": code_of(&shop(1)),
        "holder": { "kind": holder.kind().code(), "number": holder.number() } });
    let opened = clerk.call(Method::POST, "/v1/cases", Some(&new)).await;
    let case = opened.json["id"].as_str().unwrap().to_owned();
    let applicant = town.applicant().await;
    applicant.provide(&case, "plan", "floor-plan").await;
    applicant.provide(&case, "photo", "photo").await;
    applicant.fill(&case, json!({ "shop-name": "和平小店" })).await;
    let path = format!("/v1/cases/{case}");
    let submitted = clerk.call(Method::POST, &format!("{path}/submit"), Some(&json!({}))).await;
    assert_eq!(submitted.status, 200, "{}", submitted.text);
    assert_eq!(submitted.json["grant"], Value::Null);
    assert!(town.hub.office().get(&path).await.json["grant"].is_string());
}
