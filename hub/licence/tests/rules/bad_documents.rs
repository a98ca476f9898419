use std::collections::HashMap;

use licence::{JsonError, Licence, LicenceError, MAX_DOCUMENT_BYTES, StatusOrder};

use crate::samples::document_with;

fn document() -> String {
    String::from_utf8(document_with(|_| ())).unwrap()
}

/// The sample with `text` as the value of a face field.
fn with_field(text: &str) -> Vec<u8> {
    document().replace("\"人数\":12", &format!("\"人数\":{text}")).into_bytes()
}

fn code(bytes: &[u8]) -> &'static str {
    match Licence::parse(bytes) {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[test]
fn every_kind_of_bad_json_has_its_own_code() {
    let nested = |open: &str, close: &str, depth| {
        with_field(&(open.repeat(depth) + "1" + &close.repeat(depth)))
    };
    let utf16: Vec<u8> = document().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = format!("\"{}\"", "x".repeat(MAX_DOCUMENT_BYTES));
    let whole = document();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "json_empty"),
        ("white space", b" \r\n\t".to_vec(), "json_empty"),
        ("10,000 arrays", nested("[", "]", 10_000), "json_too_deep"),
        ("10,000 objects", nested("{\"a\":", "}", 10_000), "json_too_deep"),
        ("10,000 open brackets", vec![b'['; 10_000], "json_too_deep"),
        ("one level too many", nested("[", "]", 31), "json_too_deep"),
        ("all levels", nested("[", "]", 30), "ok"),
        ("brackets in a string", with_field(&format!("\"{}\"", "[".repeat(1000))), "ok"),
        (
            "escaped quote before brackets",
            with_field(&format!("\"\\\"{}\"", "[".repeat(1000))),
            "ok",
        ),
        (
            "escaped backslash before brackets",
            with_field(&format!("\"\\\\\",\"b\":{}", "[".repeat(32))),
            "json_too_deep",
        ),
        ("invalid UTF-8", [b"{\"\xff", whole.as_bytes()].concat(), "json_not_utf8"),
        ("overlong NUL", [b"{\"\xC0\x80", whole.as_bytes()].concat(), "json_not_utf8"),
        ("UTF-8 surrogate", [&b"\xED\xA0\x80"[..], whole.as_bytes()].concat(), "json_not_utf8"),
        ("byte order mark", format!("\u{feff}{whole}").into_bytes(), "json_byte_order_mark"),
        ("UTF-16 with mark", [&b"\xFF\xFE"[..], &utf16].concat(), "json_byte_order_mark"),
        (
            "UTF-16 without mark",
            "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "json_nul",
        ),
        ("NUL in a string", with_field("\"a\0b\""), "json_nul"),
        ("escaped NUL", with_field(r#""a\u0000b""#), "json_nul"),
        ("escaped NUL in a key", with_field(r#"{"\u0000":1}"#), "json_nul"),
        ("NUL after the end", format!("{whole}\0").into_bytes(), "json_nul"),
        ("high surrogate alone", with_field(r#""\ud83d""#), "json_lone_surrogate"),
        ("low surrogate alone", with_field(r#""\uDE00""#), "json_lone_surrogate"),
        ("two high surrogates", with_field(r#""\ud83d\ud83d""#), "json_lone_surrogate"),
        ("surrogate, then letter", with_field(r#""\ud83dA""#), "json_lone_surrogate"),
        ("surrogate pair", with_field(r#""\ud83d\uDE00""#), "ok"),
        ("escaped backslash, then u0000", with_field(r#""\\u0000""#), "ok"),
        ("key twice", with_field("1,\"人数\":1"), "json_duplicate_key"),
        ("key twice, escaped", with_field(r#"{"a":1,"\u0061":2}"#), "json_duplicate_key"),
        ("key twice, deep", with_field(r#"[[{"x":{"a":1,"b":2,"a":3}}]]"#), "json_duplicate_key"),
        (
            "element twice",
            whole.replacen('{', "{\"format\":\"yihao-licence-1\",", 1).into_bytes(),
            "json_duplicate_key",
        ),
        ("same key in two objects", with_field(r#"[{"a":1},{"a":1}]"#), "ok"),
        ("cut off", whole.as_bytes()[..whole.len() - 1].to_vec(), "json_truncated"),
        ("cut off in a string", whole.as_bytes()[..5].to_vec(), "json_truncated"),
        ("second document", format!("{whole}{whole}").into_bytes(), "json_trailing_bytes"),
        ("bracket after the end", format!("{whole}}}").into_bytes(), "json_trailing_bytes"),
        ("white space around", format!(" \r\n\t{whole}\n").into_bytes(), "ok"),
        ("too large", with_field(&long), "json_too_large"),
        ("1e400", with_field("1e400"), "json_number_range"),
        ("-1e400", with_field("[-1e400]"), "json_number_range"),
        ("65 bits", with_field("18446744073709551616"), "json_number_range"),
        ("64 bits", with_field("18446744073709551615"), "ok"),
        ("most negative", with_field("-9223372036854775808"), "ok"),
        ("one less", with_field("-9223372036854775809"), "json_number_range"),
        ("tiny", with_field("1e-400"), "ok"),
        ("minus zero", with_field("-0"), "ok"),
        ("digits in a string", with_field("\"18446744073709551616\""), "ok"),
        ("a number", b"1".to_vec(), "not_an_object"),
        ("a string", b"\"x\"".to_vec(), "not_an_object"),
        ("an array", b"[1]".to_vec(), "not_an_object"),
        ("null", b"null".to_vec(), "not_an_object"),
        ("true", b"true".to_vec(), "not_an_object"),
        ("an empty object", b"{}".to_vec(), "element_missing"),
        ("words", b"hello".to_vec(), "json_syntax"),
        ("XML", b"<?xml version=\"1.0\"?><a/>".to_vec(), "json_syntax"),
        ("PDF", b"%PDF-1.7".to_vec(), "json_syntax"),
        ("DER", b"\x30\x82\x01\x0a\x02".to_vec(), "json_not_utf8"),
        ("zip", b"PK\x03\x04".to_vec(), "json_syntax"),
        ("JSON5", b"{a:1}".to_vec(), "json_syntax"),
        ("single quotes", with_field("'a'"), "json_syntax"),
        ("comment", with_field("1/* one */"), "json_syntax"),
        ("comma at the end", with_field("[1,]"), "json_syntax"),
        ("two commas", with_field("[1,,2]"), "json_syntax"),
        ("NaN", with_field("NaN"), "json_syntax"),
        ("Infinity", with_field("-Infinity"), "json_syntax"),
        ("hexadecimal", with_field("0x10"), "json_syntax"),
        ("leading zero", with_field("012"), "json_syntax"),
        ("plus sign", with_field("+1"), "json_syntax"),
        ("dot at the end", with_field("1."), "json_syntax"),
        ("two dots", with_field("1.2.3"), "json_syntax"),
        ("True", with_field("True"), "json_syntax"),
        ("unknown escape", with_field(r#""\x41""#), "json_syntax"),
        ("short escape", with_field(r#""\u12""#), "json_syntax"),
        ("line feed in a string", with_field("\"a\nb\""), "json_syntax"),
        ("tab in a string", with_field("\"a\tb\""), "json_syntax"),
        ("number as key", with_field("{1:2}"), "json_syntax"),
        ("wrong bracket", with_field("[1}"), "json_syntax"),
        ("no colon", with_field("{\"a\" 1}"), "json_syntax"),
        ("ideographic space", format!("\u{3000}{whole}").into_bytes(), "json_syntax"),
        ("form feed", format!("\u{c}{whole}").into_bytes(), "json_syntax"),
    ];
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (name, bytes, expected) in &cases {
        assert_eq!(code(bytes), *expected, "{name}");
        *seen.entry(expected).or_default() += 1;
    }
    assert_eq!(seen.len(), 15, "{seen:?}");
}

#[test]
fn positions_point_at_the_defect() {
    let json = |bytes: &[u8]| match Licence::parse(bytes) {
        Err(LicenceError::Json(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(json(b"{\"a\xff"), JsonError::NotUtf8 { offset: 3 });
    assert_eq!(json(b"{\"a\0"), JsonError::Nul { offset: 3 });
    assert_eq!(json(br#"{"a":"\u0000"}"#), JsonError::Nul { offset: 6 });
    assert_eq!(json(br#"{"a":"\ud800"}"#), JsonError::LoneSurrogate { offset: 6 });
    assert_eq!(json(br#"{"a":-1e999}"#), JsonError::NumberRange { offset: 5 });
    assert_eq!(json(b"{\n\"a\": x}"), JsonError::Syntax { line: 2, column: 6 });
    assert_eq!(json(b"{\"a\":1,\n\"a\":2}"), JsonError::DuplicateKey { line: 2, column: 3 });
}

#[test]
fn every_prefix_of_a_document_is_refused() {
    let whole = document();
    for end in 0..whole.len() {
        let code = code(&whole.as_bytes()[..end]);
        assert!(["json_empty", "json_truncated", "json_not_utf8"].contains(&code), "{end}: {code}");
    }
}

#[test]
fn the_order_of_checks_bounds_the_work() {
    // Far beyond the limit and deep: the size is looked at first.
    let bytes = vec![b'['; 64 << 20];
    assert_eq!(code(&bytes), "json_too_large");
    assert_eq!(StatusOrder::parse(&bytes).unwrap_err().code(), "json_too_large");
}
