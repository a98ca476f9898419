use licence::{
    LicenceId, LicenceStatus, RevocationCause, StatusChange, StatusOrder, StatusOrderError,
};
use serde_json::{Value, json};

use crate::samples::{BUSINESS_LICENCE, ISSUER, identifier};

fn id(serial: &str) -> LicenceId {
    identifier(BUSINESS_LICENCE, ISSUER, serial, "001").parse().unwrap()
}

#[test]
fn the_table_of_transitions() {
    let revoked = LicenceStatus::Revoked { cause: RevocationCause::Withdrawn };
    let superseded = LicenceStatus::Superseded { by: id("2") };
    let changes = [
        StatusChange::Suspend,
        StatusChange::Restore,
        StatusChange::Revoke { cause: RevocationCause::Withdrawn },
        StatusChange::Supersede { by: id("2") },
    ];
    let table = [
        (
            LicenceStatus::Valid,
            [Some(LicenceStatus::Suspended), None, Some(revoked.clone()), Some(superseded.clone())],
        ),
        (
            LicenceStatus::Suspended,
            [None, Some(LicenceStatus::Valid), Some(revoked.clone()), Some(superseded.clone())],
        ),
        (revoked, [None, None, None, None]),
        (superseded, [None, None, None, None]),
    ];
    for (from, row) in table {
        for (change, expected) in changes.iter().zip(row) {
            let after = from.apply(change);
            if after.is_err() {
                let error = after.clone().unwrap_err();
                assert_eq!((error.from, error.change), (from.word(), change.word()));
                assert_eq!(error.code(), "status_transition_not_allowed");
            }
            assert_eq!(after.ok(), expected, "{} {}", from.word(), change.word());
        }
    }
}

fn order() -> Value {
    json!({ "format": "yihao-status-1", "identifier": id("1"), "change": "revoke", "cause": "withdrawn",
        "reason": "违法经营", "ordered_at": "2025-03-01T08:00:00Z" })
}

fn with(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let mut order = order();
    change(order.as_object_mut().unwrap());
    serde_json::to_vec(&order).unwrap()
}

#[test]
fn an_order_reads_back_as_written() {
    let bytes = with(|_| ());
    let parsed = StatusOrder::parse(&bytes).unwrap();
    assert_eq!(parsed.change, StatusChange::Revoke { cause: RevocationCause::Withdrawn });
    assert_eq!(parsed.to_bytes(), bytes);
    for change in [
        StatusChange::Suspend,
        StatusChange::Restore,
        StatusChange::Supersede { by: id("2") },
        StatusChange::Revoke { cause: RevocationCause::Annulled },
        StatusChange::Revoke { cause: RevocationCause::Deregistered },
    ] {
        let order = StatusOrder { change, ..parsed.clone() };
        assert_eq!(StatusOrder::parse(&order.to_bytes()), Ok(order));
    }
    assert!(!format!("{parsed:?}").contains("违法"));
}

#[test]
fn each_defect_of_an_order_has_its_own_error() {
    type Object = serde_json::Map<String, Value>;
    let set = |key: &'static str, value: Value| {
        move |order: &mut Object| drop(order.insert(key.into(), value))
    };
    let cases = [
        (b"".to_vec(), "json_empty"),
        (b"[]".to_vec(), "not_an_object"),
        (b"{}".to_vec(), "element_missing"),
        (with(set("format", json!("yihao-licence-1"))), "wrong_format"),
        (with(set("identifier", json!("1.2.156.3005.2.x"))), "wrong_length"),
        (with(set("identifier", json!(1))), "element_wrong_shape"),
        (with(set("change", json!("expire"))), "unknown_change"),
        (with(set("change", json!("suspend"))), "element_unknown"),
        (with(set("change", json!("supersede"))), "element_missing"),
        (with(set("cause", json!("lost"))), "unknown_revocation_cause"),
        (with(|order| drop(order.shift_remove("cause"))), "element_missing"),
        (with(set("by", json!(id("2")))), "element_unknown"),
        (with(set("note", json!(1))), "element_unknown"),
        (with(set("reason", json!(""))), "reason_not_usable"),
        (with(set("reason", json!("\t"))), "reason_not_usable"),
        (with(set("reason", json!("长".repeat(201)))), "reason_not_usable"),
        (with(set("reason", json!([["x"]]))), "json_too_deep"),
        (with(set("ordered_at", json!("2025-03-01"))), "no_such_time"),
        (with(set("ordered_at", json!("2025-03-01T08:00:00"))), "no_such_time"),
        (with(set("ordered_at", json!("2025-03-01 08:00:00Z"))), "no_such_time"),
        (
            with(set("ordered_at", json!("2025-03-01T08:00:00+08:00[Asia/Shanghai]"))),
            "no_such_time",
        ),
        (with(set("ordered_at", json!("2025-02-30T08:00:00Z"))), "no_such_time"),
        (with(set("ordered_at", json!("中Z"))), "no_such_time"),
        (with(set("ordered_at", json!("2025-03-01T08中文"))), "no_such_time"),
        (with(set("ordered_at", json!("2025-03-01T08:00:00+08"))), "no_such_time"),
    ];
    for (bytes, code) in cases {
        let error = StatusOrder::parse(&bytes).unwrap_err();
        assert_eq!(error.code(), code, "{}", String::from_utf8_lossy(&bytes));
    }
    assert!(StatusOrder::parse(&with(set("reason", json!("长".repeat(200))))).is_ok());
    assert!(
        StatusOrder::parse(&with(set("ordered_at", json!("2025-03-01T16:00:00.5+08:00")))).is_ok()
    );

    let mut itself = StatusOrder::parse(&with(|_| ())).unwrap();
    itself.change = StatusChange::Supersede { by: itself.identifier.clone() };
    assert_eq!(StatusOrder::parse(&itself.to_bytes()), Err(StatusOrderError::SupersedesItself));
}
