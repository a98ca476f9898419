//! Lists of matters: guides that fit the catalogue, versions, and what is refused.

use jiff::civil::date;
use licence::{Catalogue, Guide, MatterCode, Matters, Way};
use serde_json::{Value, json};

const CODE: &str = "11370800MB285591843370117002011";
const CARD: &str = "11100000000013127D001";
const TITLE: &str = "11100000MB03271699021";

fn code() -> MatterCode {
    CODE.parse().unwrap()
}

fn matter() -> Value {
    json!({
        "code": CODE, "name": "开办小餐饮店", "department": &CODE[..18], "version": 1,
        "basis": "食品安全法第三十五条",
        "guide": {
            "applicants": ["person"],
            "days": { "legal": 20, "promised": 5 },
            "taken_at": ["district", "street"],
            "flow": [{ "zh": "申请", "en": "Apply" }],
            "requirements": [
                { "id": "operator", "name": { "zh": "身份证明" }, "basis": "同上",
                  "ways": [{ "by": "licence", "licence_type": CARD },
                           { "by": "file", "kind": "identity-proof", "reusable_days": 0 }] },
                { "id": "area", "name": { "zh": "面积" }, "basis": "同上", "may_follow_days": 10,
                  "ways": [{ "by": "fact", "licence_type": TITLE, "field": "area_m2" }] },
            ],
            "forms": [{ "id": "form", "name": { "zh": "申请表" }, "fields": [
                { "id": "address", "label": { "zh": "住址", "en": "Address" }, "most": 200,
                  "prefill": [{ "licence_type": CARD, "field": "address" }] },
            ] }],
        },
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut matter = matter();
    change(&mut matter);
    matter
}

fn list(matters: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "format": "yihao-matters-2", "matters": matters })).unwrap()
}

fn refused(change: impl FnOnce(&mut Value)) -> &'static str {
    Matters::parse(&list(&[changed(change)])).expect_err("a rule is broken").code()
}

fn catalogue() -> Catalogue {
    let entry = |code: &str, kinds: &[&str], properties: Value| {
        json!({ "code": code, "name": "证", "name_en": "A licence", "class": "licence",
                "authority": "机关", "holder_kinds": kinds, "sharing": "conditional",
                "validity": "open_ended", "fields": { "type": "object", "properties": properties } })
    };
    let types = [
        entry(CARD, &["111"], json!({ "address": { "type": "string" } })),
        entry(
            TITLE,
            &["001", "111"],
            json!({ "area_m2": { "type": "number" }, "owners": { "type": "array" } }),
        ),
    ];
    Catalogue::parse(
        json!({ "format": "yihao-catalogue-1", "types": types }).to_string().as_bytes(),
    )
    .unwrap()
}

fn unfit(change: impl FnOnce(&mut Value)) -> &'static str {
    let matters = Matters::parse(&list(&[changed(change)])).unwrap();
    matters.check(&catalogue()).expect_err("the catalogue does not have it").code()
}

#[test]
fn a_guide_is_read_and_fits_the_catalogue() {
    let matters = Matters::parse(&list(&[matter()])).unwrap();
    matters.check(&catalogue()).unwrap();
    let found = matters.get(&code()).unwrap();
    assert!(found.is_applied_for());
    assert_eq!(found.guide.name_en, None);
    let Way::Fact { field, equals: None, .. } = &found.guide.requirements[1].ways[0] else {
        panic!("a fact is expected");
    };
    assert_eq!(field, "area_m2");
    let address = &found.guide.forms[0].fields[0].label;
    assert_eq!((address.text(false), address.text(true)), ("住址", "Address"));
    let name = &found.guide.requirements[1].name;
    assert_eq!(name.text(true), "面积", "the Chinese stands in for the English");
}

#[test]
fn the_types_that_a_guide_names_are_required() {
    let matters = Matters::parse(&list(&[matter()])).unwrap();
    let types: Vec<_> =
        matters.get(&code()).unwrap().requires.iter().map(ToString::to_string).collect();
    assert_eq!(types, [CARD, TITLE], "left out: just these");
    let with = |types: Value| changed(|matter| matter["requires"] = types);
    Matters::parse(&list(&[with(json!([TITLE, CARD]))])).unwrap();
    let fewer = Matters::parse(&list(&[with(json!([CARD]))])).unwrap_err();
    assert_eq!(fewer.code(), "matter_guide_broken");
    assert!(fewer.to_string().contains(TITLE), "{fewer}");
}

#[test]
fn a_matter_survives_its_json() {
    let matters = Matters::parse(&list(&[matter()])).unwrap();
    let again = serde_json::to_value(matters.get(&code()).unwrap()).unwrap();
    assert_eq!(Matters::parse(&list(&[again])).unwrap(), matters);
}

#[test]
fn the_older_format_has_no_guides_and_is_still_read() {
    let old = changed(|matter| {
        let matter = matter.as_object_mut().unwrap();
        matter.remove("guide");
        matter.insert("requires".into(), json!([CARD]));
    });
    let file = json!({ "format": "yihao-matters-1", "matters": [old] }).to_string();
    let matters = Matters::parse(file.as_bytes()).unwrap();
    let found = matters.get(&code()).unwrap();
    assert!(!found.is_applied_for());
    assert_eq!(found.guide, Guide::default());
    assert!(found.is_in_force(date(2026, 3, 2)));
}

#[test]
fn each_rule_of_the_format_is_kept() {
    let guide = "matter_guide_broken";
    assert_eq!(refused(|m| m["version"] = json!(0)), guide);
    assert_eq!(refused(|m| m["name"] = json!(" ")), guide);
    assert_eq!(refused(|m| m["guide"]["days"]["promised"] = json!(21)), guide);
    let turned = |m: &mut Value| {
        m["guide"]["from"] = json!("2026-02-01");
        m["guide"]["until"] = json!("2026-01-31");
    };
    assert_eq!(refused(turned), guide);
    assert_eq!(refused(|m| m["guide"]["flow"][0]["zh"] = json!("")), guide);
    let first =
        |change: fn(&mut Value)| refused(move |m| change(&mut m["guide"]["requirements"][0]));
    assert_eq!(first(|one| one["id"] = json!("area")), guide);
    assert_eq!(first(|one| one["id"] = json!("Operator")), guide);
    assert_eq!(first(|one| one["id"] = json!("x".repeat(41))), guide);
    assert_eq!(first(|one| one["basis"] = json!("")), guide);
    assert_eq!(first(|one| one["name"]["zh"] = json!("")), guide);
    assert_eq!(first(|one| one["ways"] = json!([])), guide);
    assert_eq!(first(|one| one["ways"].as_array_mut().unwrap().reverse()), guide);
    assert_eq!(first(|one| one["ways"][1]["kind"] = json!("a b")), guide);
    assert_eq!(first(|one| one["may_follow_days"] = json!(0)), guide);
    let form = |change: fn(&mut Value)| refused(move |m| change(&mut m["guide"]["forms"][0]));
    assert_eq!(form(|one| one["fields"] = json!([])), guide);
    assert_eq!(form(|one| one["fields"][0]["most"] = json!(0)), guide);
    assert_eq!(form(|one| one["fields"][0]["most"] = json!(2_001)), guide);
    assert_eq!(form(|one| one["fields"][0]["label"]["zh"] = json!("")), guide);
    let twice = |one: &mut Value| {
        let field = one["fields"][0].clone();
        one["fields"].as_array_mut().unwrap().push(field);
    };
    assert_eq!(form(twice), guide);
    assert_eq!(refused(|m| m["guide"]["flaw"] = json!(1)), "wrong_shape");
    assert_eq!(first(|one| one["ways"][0]["by"] = json!("wish")), "wrong_shape");
}

#[test]
fn what_the_catalogue_does_not_have_is_refused() {
    let unknown = "11100000000013127D002";
    assert_eq!(
        unfit(|m| m["guide"]["requirements"][0]["ways"][0]["licence_type"] = json!(unknown)),
        "matter_type_unknown"
    );
    assert_eq!(unfit(|m| m["guide"]["result"] = json!(unknown)), "matter_type_unknown");
    let field = |name: &'static str| {
        unfit(move |m| m["guide"]["requirements"][1]["ways"][0]["field"] = json!(name))
    };
    assert_eq!(field("colour"), "matter_field_unknown");
    assert_eq!(field("owners"), "matter_field_unknown", "a list is no fact");
    assert_eq!(
        unfit(|m| m["guide"]["forms"][0]["fields"][0]["prefill"][0]["field"] = json!("colour")),
        "matter_field_unknown"
    );
    assert_eq!(
        unfit(|m| m["guide"]["applicants"] = json!(["organisation"])),
        "matter_guide_broken",
        "no organisation holds an identity card"
    );
}

#[test]
fn the_newest_version_in_force_on_the_day_counts() {
    let version = |number: u32, from: &str, until: &str| {
        changed(|matter| {
            matter["version"] = json!(number);
            matter["guide"]["from"] = json!(from);
            matter["guide"]["until"] = json!(until);
        })
    };
    let list = list(&[
        version(2, "2026-02-01", "2026-12-31"),
        version(1, "2025-01-01", "2026-03-31"),
        version(4, "2027-01-01", "2027-12-31"),
    ]);
    let matters = Matters::parse(&list).unwrap();
    let on = |day| matters.current(&code(), day).map(|matter| matter.version);
    assert_eq!(on(date(2024, 12, 31)), None);
    assert_eq!(on(date(2026, 1, 31)), Some(1));
    assert_eq!(on(date(2026, 2, 1)), Some(2));
    assert_eq!(on(date(2026, 12, 31)), Some(2));
    assert_eq!(on(date(2027, 6, 1)), Some(4));
    assert_eq!(on(date(2028, 1, 1)), None);
    assert_eq!(matters.get(&code()).unwrap().version, 4);
    assert_eq!(matters.version(&code(), 1).unwrap().version, 1);
    assert!(matters.version(&code(), 3).is_none());
    assert_eq!(matters.all().len(), 1);
    assert_eq!(matters.every_version().count(), 3);
    let numbers: Vec<_> = matters.versions(&code()).iter().map(|one| one.version).collect();
    assert_eq!(numbers, [1, 2, 4]);
}

#[test]
fn one_version_is_listed_once() {
    let twice = Matters::parse(&list(&[matter(), matter()])).unwrap_err();
    assert_eq!(twice.code(), "matter_listed_twice");
}

#[test]
fn an_earlier_version_is_found_and_is_never_current() {
    let first = Matters::parse(&list(&[matter()])).unwrap();
    let kept: Vec<_> = first.every_version().cloned().collect();
    let newer = changed(|matter| matter["version"] = json!(2));
    let matters = Matters::parse(&list(&[newer])).unwrap().with_earlier(kept.clone());
    assert_eq!(matters.version(&code(), 1), kept.first());
    assert_eq!(matters.current(&code(), date(2026, 3, 2)).unwrap().version, 2);
    let gone = Matters::parse(&list(&[])).unwrap().with_earlier(kept);
    assert!(gone.get(&code()).is_none() && gone.current(&code(), date(2026, 3, 2)).is_none());
    assert!(gone.version(&code(), 1).is_some());
}
