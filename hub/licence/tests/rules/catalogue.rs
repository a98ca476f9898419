use licence::{Catalogue, FaceDefect, Licence, LicenceClass, Matters, SharingClass, ValidityRule};
use serde_json::{Value, json};

use crate::samples::{BUSINESS_LICENCE, CITIZEN, credit_code, document_with, licence};

fn entry() -> Value {
    json!({
        "code": BUSINESS_LICENCE, "name": "营业执照", "name_en": "Business licence", "class": "licence",
        "authority": "国家市场监督管理总局", "holder_kinds": ["001", "111"], "sharing": "conditional",
        "validity": { "years": 10 },
        "fields": {
            "type": "object",
            "required": ["经营范围"],
            "properties": {
                "经营范围": { "type": "string", "title": "经营范围", "maxLength": 100 },
                "注册资本": { "type": "number", "title": "注册资本", "minimum": 0 },
                "成立日期": { "type": "string", "title": "成立日期", "format": "date" },
                "a": { "properties": { "b": { "items": { "type": ["null", "boolean"] } } } },
            },
        },
    })
}

fn catalogue(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut entry = entry();
    change(&mut entry);
    serde_json::to_vec(&json!({ "format": "yihao-catalogue-1", "types": [entry] })).unwrap()
}

fn defects(catalogue: &[u8], licence: &Licence) -> Vec<(String, String)> {
    let catalogue = Catalogue::parse(catalogue).unwrap();
    let entry = catalogue.entries().next().unwrap();
    match entry.check(licence) {
        Ok(()) => Vec::new(),
        Err(error) => error
            .defects
            .into_iter()
            .map(|FaceDefect { pointer, keyword }| (pointer, keyword))
            .collect(),
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, keyword)| (pointer.to_string(), keyword.to_string())).collect()
}

#[test]
fn a_catalogue_is_read_and_written_the_same() {
    let read = Catalogue::parse(&catalogue(|_| ())).unwrap();
    let found = read.entry(&BUSINESS_LICENCE.parse().unwrap()).unwrap();
    assert_eq!((found.class, found.sharing), (LicenceClass::Licence, SharingClass::Conditional));
    assert_eq!(found.validity, ValidityRule::Years(10));
    assert_eq!(serde_json::to_value(found).unwrap(), entry());
    assert_eq!(read.entries().len(), 1);
    assert!(read.entry(&"11100000000013127D001".parse().unwrap()).is_none());
}

#[test]
fn a_licence_that_fits_its_type_passes() {
    assert_eq!(defects(&catalogue(|_| ()), &licence()), []);
}

#[test]
fn all_defects_of_the_face_fields_are_named_without_their_values() {
    let licence = Licence::parse(&document_with(|document| {
        document["fields"] =
            json!({ "注册资本": -1, "成立日期": "2024-02-30", "a": { "b": [null, "秘密"] } });
    }))
    .unwrap();
    let mut found = defects(&catalogue(|_| ()), &licence);
    found.sort();
    assert_eq!(
        found,
        pairs(&[
            ("/fields", "required"),
            ("/fields/a/b/1", "type"),
            ("/fields/成立日期", "format"),
            ("/fields/注册资本", "minimum"),
        ])
    );
    let read = Catalogue::parse(&catalogue(|_| ())).unwrap();
    let error = read.entries().next().unwrap().check(&licence).unwrap_err();
    assert_eq!(error.code(), "face_fields_invalid");
    assert!(!format!("{error} {error:?}").contains("秘密"));
}

#[test]
fn many_defects_are_cut_off_at_a_hundred() {
    let fields = json!({ "经营范围": "x", "a": { "b": vec![1; 5000] } });
    let licence = Licence::parse(&document_with(|document| document["fields"] = fields)).unwrap();
    assert_eq!(defects(&catalogue(|_| ()), &licence).len(), 100);
}

#[test]
fn only_the_listed_kinds_of_holder_may_hold_it() {
    let organisations = catalogue(|entry| entry["holder_kinds"] = json!(["001"]));
    assert_eq!(
        defects(&organisations, &licence()),
        pairs(&[("/holders/1/CZZTDMLXDM", "holder_kind")])
    );
    let anyone = catalogue(|entry| entry["holder_kinds"] = json!([]));
    assert_eq!(defects(&anyone, &licence()), []);
    let read = Catalogue::parse(&organisations).unwrap();
    let error = read.entries().next().unwrap().check(&licence()).unwrap_err();
    assert_eq!(error.code(), "holder_kind_not_allowed");
    assert!(!error.to_string().contains(CITIZEN));
}

#[test]
fn a_licence_of_another_type_does_not_fit() {
    let other = catalogue(|entry| entry["code"] = json!("11100000000013127D001"));
    assert_eq!(defects(&other, &licence()), pairs(&[("/ZZLXDM", "licence_type")]));
}

#[test]
fn the_validity_follows_the_rule_of_the_type() {
    let broken = pairs(&[("/ZZYXQJZRQ", "validity_rule")]);
    let until = |from: Option<&str>, to: Option<&str>| {
        Licence::parse(&document_with(|document| {
            for (key, day) in [("ZZYXQQSRQ", from), ("ZZYXQJZRQ", to)] {
                document.shift_remove(key);
                if let Some(day) = day {
                    document.insert(key.into(), day.into());
                }
            }
        }))
        .unwrap()
    };
    let years = catalogue(|_| ());
    assert_eq!(defects(&years, &until(Some("2024-03-01"), Some("2034-03-01"))), []);
    assert_eq!(defects(&years, &until(Some("2024-03-01"), Some("2034-02-28"))), []);
    assert_eq!(defects(&years, &until(Some("2024-03-01"), Some("2034-03-02"))), broken);
    assert_eq!(defects(&years, &until(Some("2024-03-01"), None)), broken);
    assert_eq!(defects(&years, &until(None, Some("2034-02-28"))), [], "counts from the issue date");
    let open_ended = catalogue(|entry| entry["validity"] = json!("open_ended"));
    assert_eq!(defects(&open_ended, &until(None, None)), []);
    assert_eq!(defects(&open_ended, &until(None, Some("2034-02-28"))), broken);
    let stated = catalogue(|entry| entry["validity"] = json!("stated"));
    assert_eq!(defects(&stated, &until(None, None)), []);
    assert_eq!(defects(&stated, &until(None, Some("2024-02-29"))), []);
}

#[test]
fn each_defect_of_a_catalogue_has_its_own_error() {
    let code = |bytes: &[u8]| Catalogue::parse(bytes).unwrap_err().code();
    assert_eq!(code(b""), "json_empty");
    assert_eq!(code(b"[]"), "wrong_shape");
    assert_eq!(code(br#"{"format":"x","types":[]}"#), "wrong_format");
    assert_eq!(code(&catalogue(|entry| entry["class"] = json!("x"))), "wrong_shape");
    assert_eq!(code(&catalogue(|entry| entry["extra"] = json!(1))), "wrong_shape");
    assert_eq!(code(&catalogue(|entry| entry["code"] = json!("x"))), "wrong_shape");
    assert_eq!(
        code(&catalogue(|entry| entry["fields"] = json!({ "type": "text" }))),
        "face_fields_not_a_schema"
    );
    let elsewhere = json!({ "$ref": "https://example.org/schema.json" });
    assert_eq!(code(&catalogue(|entry| entry["fields"] = elsewhere)), "face_fields_not_a_schema");
    let file = json!({ "$ref": "file:///etc/hostname" });
    assert_eq!(code(&catalogue(|entry| entry["fields"] = file)), "face_fields_not_a_schema");
    let twice = json!({ "format": "yihao-catalogue-1", "types": [entry(), entry()] });
    assert_eq!(code(&serde_json::to_vec(&twice).unwrap()), "licence_type_listed_twice");
}

#[test]
fn matters_are_read_by_their_codes() {
    let matter = json!({
        "code": "11370800MB285591843370117002011", "name": "食品经营许可", "department": credit_code("11370800MB2855918"),
        "requires": [BUSINESS_LICENCE], "basis": "食品安全法第三十五条", "version": 1,
    });
    let list = |matters: Value| {
        serde_json::to_vec(&json!({ "format": "yihao-matters-1", "matters": matters })).unwrap()
    };
    let matters = Matters::parse(&list(json!([matter]))).unwrap();
    let found = matters.get(&"11370800MB285591843370117002011".parse().unwrap()).unwrap();
    assert_eq!(serde_json::to_value(found).unwrap(), matter);
    assert_eq!(matters.all().len(), 1);
    let code = |bytes: &[u8]| Matters::parse(bytes).unwrap_err().code();
    assert_eq!(code(&list(json!([matter, matter]))), "matter_listed_twice");
    assert_eq!(code(&list(json!([{}]))), "wrong_shape");
    assert_eq!(code(br#"{"format":"yihao-catalogue-1","matters":[]}"#), "wrong_format");
    assert_eq!(code(b"{"), "json_truncated");
}
