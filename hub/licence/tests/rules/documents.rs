use jiff::civil::date;
use licence::{Licence, LicenceError, Validity};
use serde_json::{Value, json};

use crate::samples::{self, BUSINESS_LICENCE, CITIZEN, ISSUER, document_with, identifier};

#[test]
fn every_element_of_a_document_is_read() {
    let licence = samples::licence();
    assert_eq!(licence.name, "营业执照");
    assert_eq!(licence.licence_type.as_str(), BUSINESS_LICENCE);
    assert_eq!(licence.number, "330105000012345");
    assert_eq!(licence.issuer_name, "杭州市拱墅区市场监督管理局");
    assert_eq!(licence.issuer.as_str(), ISSUER);
    assert_eq!(licence.issued_on, date(2024, 2, 29));
    assert_eq!(
        (licence.valid_from, licence.valid_to),
        (Some(date(2024, 2, 29)), Some(date(2034, 2, 28)))
    );
    assert_eq!(licence.holders[1].name, "张三");
    assert_eq!(licence.holders[1].id.number(), CITIZEN);
    assert_eq!(licence.region.unwrap().as_str(), "330105");
    assert_eq!(licence.project.unwrap().as_str(), "2603-141124-89-05-346948");
    assert_eq!((licence.identifier.version(), licence.predecessor.unwrap().version()), (2, 1));
    let names: Vec<_> = licence.fields.keys().collect();
    assert_eq!(names, ["经营范围", "注册资本", "人数", "a"], "in the issuer's order");
    assert_eq!((licence.files[0].name.as_str(), licence.files[0].size), ("营业执照.pdf", 12345));
}

#[test]
fn a_document_is_one_line_and_reads_back_the_same() {
    let licence = samples::licence();
    let bytes = licence.to_bytes();
    assert!(!bytes.contains(&b'\n'));
    assert_eq!(Licence::parse(&bytes).unwrap(), licence);
    assert_eq!(Licence::parse(&bytes).unwrap().to_bytes(), bytes);
    // The sample is written in the order of the format, so its bytes are the same.
    assert_eq!(bytes, document_with(|_| ()));
}

#[test]
fn what_may_be_left_out_is_left_out_of_the_bytes_too() {
    let optional = ["ZZYXQQSRQ", "ZZYXQJZRQ", "XZQHDM", "XMDM", "GLZZBS", "files"];
    let bytes =
        document_with(|document| document.retain(|key, _| !optional.contains(&key.as_str())));
    let licence = Licence::parse(&bytes).unwrap();
    assert_eq!(licence.to_bytes(), bytes);
    assert_eq!((licence.valid_to, licence.region, licence.files.len()), (None, None, 0));
}

#[test]
fn an_end_in_2099_is_no_end() {
    let licence =
        Licence::parse(&document_with(|d| drop(d.insert("ZZYXQJZRQ".into(), "2099-12-31".into()))))
            .unwrap();
    assert_eq!(licence.valid_to, None);
    assert_eq!(licence.valid_on(date(2100, 1, 1)), Validity::Ok);
}

#[test]
fn both_ends_of_the_validity_belong_to_it() {
    let licence = samples::licence();
    assert_eq!(licence.valid_on(date(2024, 2, 28)), Validity::NotYet);
    assert_eq!(licence.valid_on(date(2024, 2, 29)), Validity::Ok);
    assert_eq!(licence.valid_on(date(2034, 2, 28)), Validity::Ok);
    assert_eq!(licence.valid_on(date(2034, 3, 1)), Validity::Expired);
}

#[test]
fn an_older_identifier_names_the_division_of_the_issuer() {
    let with_region = |region: &str| {
        let identifier = identifier(BUSINESS_LICENCE, region, "2024000123", "002");
        Licence::parse(&document_with(|d| drop(d.insert("ZZBS".into(), identifier.into()))))
            .map(drop)
    };
    assert_eq!(with_region("330105"), Ok(()));
    assert_eq!(with_region("330106"), Err(LicenceError::IssuerDisagrees));
}

/// Replaces one element, by JSON pointer; a text stays that of the sample where `null` is given.
fn refused(pointer: &str, value: Value) -> LicenceError {
    let bytes = document_with(|document| {
        let mut whole = Value::Object(std::mem::take(document));
        *whole.pointer_mut(pointer).unwrap() = value;
        *document = whole.as_object().unwrap().clone();
    });
    Licence::parse(&bytes).unwrap_err()
}

#[test]
fn each_defect_of_an_element_has_its_own_error() {
    let other_type = identifier("11100000000013127D001", ISSUER, "2024000123", "002");
    let other_issuer = identifier(BUSINESS_LICENCE, "11430000006122244L", "2024000123", "002");
    let wrong_check = {
        let good = identifier(BUSINESS_LICENCE, ISSUER, "2024000123", "002");
        let wrong = if good.ends_with('0') { "1" } else { "0" };
        format!("{}{wrong}", &good[..good.len() - 1])
    };
    let cases = [
        ("/format", json!("yihao-licence-2"), "wrong_format"),
        ("/format", json!(1), "element_wrong_shape"),
        ("/ZZBS", json!(wrong_check), "wrong_check_character"),
        ("/ZZBS", json!("1.2.3"), "wrong_identifier_root"),
        ("/ZZBS", json!(other_type), "identifier_type_disagrees"),
        ("/ZZBS", json!(other_issuer), "identifier_issuer_disagrees"),
        ("/ZZMC", json!(null), "element_wrong_shape"),
        ("/ZZMC", json!(""), "text_not_usable"),
        ("/ZZMC", json!(" \u{3000}"), "text_not_usable"),
        ("/ZZMC", json!("a\nb"), "text_not_usable"),
        ("/ZZMC", json!("长".repeat(257)), "text_not_usable"),
        ("/ZZBH", json!(330105), "element_wrong_shape"),
        ("/ZZBH", json!("1".repeat(129)), "text_not_usable"),
        ("/ZZBFJG", json!("\u{7f}"), "text_not_usable"),
        ("/ZZLXDM", json!("营业执照"), "wrong_length"),
        ("/ZZBFJGDM", json!("11330105002500287D"), "wrong_check_character"),
        ("/ZZBFRQ", json!("20240229"), "no_such_date"),
        ("/ZZBFRQ", json!("2023-02-29"), "no_such_date"),
        ("/ZZBFRQ", json!("2024-02-29T00:00"), "no_such_date"),
        ("/ZZBFRQ", json!("2024-2-29"), "no_such_date"),
        ("/ZZBFRQ", json!("0000-01-01"), "no_such_date"),
        ("/ZZBFRQ", json!("-002024-02-29"), "no_such_date"),
        ("/ZZBFRQ", json!(1709164800), "element_wrong_shape"),
        ("/ZZYXQJZRQ", json!("/"), "no_such_date"),
        ("/ZZYXQJZRQ", json!("2024-02-28"), "validity_reversed"),
        ("/ZZYXQQSRQ", json!(null), "element_wrong_shape"),
        ("/XZQHDM", json!("33010"), "wrong_length"),
        ("/XMDM", json!("2603-141124-89-05-346949"), "wrong_check_character"),
        (
            "/GLZZBS",
            json!(identifier(BUSINESS_LICENCE, ISSUER, "2024000123", "002")),
            "predecessor_is_itself",
        ),
        ("/holders", json!([]), "holder_count"),
        ("/holders", json!({}), "element_wrong_shape"),
        ("/holders/0", json!("x"), "element_wrong_shape"),
        (
            "/holders/0",
            json!({ "CZZT": "x", "CZZTDM": CITIZEN, "CZZTDMLXDM": "111" }),
            "holder_named_twice",
        ),
        (
            "/holders/0",
            json!({ "CZZT": "x", "CZZTDM": "110105491231002", "CZZTDMLXDM": "111" }),
            "holder_named_twice",
        ),
        ("/holders/0", json!({ "CZZT": "x", "CZZTDM": CITIZEN }), "element_missing"),
        (
            "/holders/0",
            json!({ "CZZT": "x", "CZZTDM": CITIZEN, "CZZTDMLXDM": "111", "y": 1 }),
            "element_unknown",
        ),
        ("/holders/0/CZZT", json!(""), "text_not_usable"),
        ("/holders/0/CZZTDM", json!(CITIZEN), "wrong_check_character"),
        ("/holders/0/CZZTDMLXDM", json!("112"), "unknown_holder_kind"),
        ("/fields", json!([]), "element_wrong_shape"),
        ("/files", json!(null), "element_wrong_shape"),
        ("/files/0", json!(null), "element_wrong_shape"),
        ("/files/0/name", json!("../营业执照.pdf"), "file_name_not_plain"),
        ("/files/0/name", json!("a\\b"), "file_name_not_plain"),
        ("/files/0/name", json!(".."), "file_name_not_plain"),
        ("/files/0/media_type", json!("pdf"), "media_type_malformed"),
        ("/files/0/media_type", json!("text/html; charset=utf-8"), "media_type_malformed"),
        ("/files/0/sha256", json!("00"), "wrong_length"),
        ("/files/0/sha256", json!("AA".repeat(32)), "wrong_character"),
        ("/files/0/size", json!(-1), "element_wrong_shape"),
        ("/files/0/size", json!("12"), "element_wrong_shape"),
    ];
    for (pointer, value, code) in cases {
        assert_eq!(refused(pointer, value.clone()).code(), code, "{pointer} {value}");
    }
}

#[test]
fn counts_are_bounded() {
    let holder =
        |n: usize| json!({ "CZZT": "x", "CZZTDM": format!("T{n:07}"), "CZZTDMLXDM": "511" });
    let file = |n: usize| json!({ "name": format!("{n}"), "media_type": "a/b", "sha256": "0".repeat(64), "size": 1 });
    let with = |key: &str, values: Vec<Value>| {
        Licence::parse(&document_with(|d| drop(d.insert(key.into(), values.into())))).map(drop)
    };
    assert_eq!(with("holders", (0..64).map(holder).collect()), Ok(()));
    assert_eq!(with("holders", (0..65).map(holder).collect()), Err(LicenceError::HolderCount));
    assert_eq!(with("files", (0..64).map(file).collect()), Ok(()));
    assert_eq!(with("files", (0..65).map(file).collect()), Err(LicenceError::FileCount));
    assert_eq!(with("files", vec![file(1), file(1)]), Err(LicenceError::DuplicateFile));
}

#[test]
fn a_missing_element_is_named_and_an_unknown_one_refused() {
    for element in [
        "format", "ZZBS", "ZZMC", "ZZLXDM", "ZZBH", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "holders",
        "fields",
    ] {
        let bytes = document_with(|document| drop(document.shift_remove(element)));
        assert_eq!(Licence::parse(&bytes), Err(LicenceError::Missing { element }));
    }
    let bytes = document_with(|document| drop(document.insert("zzbs".into(), json!(1))));
    assert_eq!(Licence::parse(&bytes), Err(LicenceError::UnknownElement));
}

#[test]
fn a_licence_put_together_by_hand_is_checked_like_a_parsed_one() {
    let mut licence = samples::licence();
    assert_eq!(licence.check(), Ok(()));
    licence.holders.clear();
    assert_eq!(licence.check(), Err(LicenceError::HolderCount));
    assert_eq!(Licence::parse(&licence.to_bytes()), Err(LicenceError::HolderCount));
}

#[test]
fn errors_carry_no_content() {
    let secrets = [CITIZEN, "110105491231002", "张三"];
    let documents = [
        document_with(|d| d["holders"][1]["CZZTDM"] = json!("110105194912310021")),
        document_with(|d| d["holders"][1]["CZZTDM"] = json!(CITIZEN.to_lowercase())),
        document_with(|d| drop(d.insert(CITIZEN.into(), json!(1)))),
        document_with(|d| d["holders"][1]["张三"] = json!(1)),
        [&document_with(|_| ())[..], CITIZEN.as_bytes()].concat(),
        br#"{"110105491231002":1,"110105491231002":2}"#.to_vec(),
        "{\"张三".as_bytes().to_vec(),
    ];
    for bytes in documents {
        let error = Licence::parse(&bytes).unwrap_err();
        let printed = format!("{error} {error:?}");
        assert!(!secrets.iter().any(|secret| printed.contains(secret)), "{printed}");
    }
}
