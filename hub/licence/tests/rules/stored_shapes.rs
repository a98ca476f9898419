//! What other crates store and send: the text of each type in JSON, its bytes in postcard. A change
//! here is a change of format.

use std::fmt::Debug;

use jiff::Timestamp;
use licence::{
    Change, ChangeKind, CitizenNumber, CreditCode, DocumentNumber, ForeignResidentNumber, HolderId,
    HolderKind, IssuerId, LicenceClass, LicenceId, LicenceStatus, LicenceTypeCode, MatterCode,
    ProjectCode, RegionCode, RevocationCause, Seq, Sha256Digest, SharingClass, StatusChange,
    StatusOrder, Trust, TrustReason, ValidityRule,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::samples::{BUSINESS_LICENCE, CITIZEN, ISSUER, identifier};

/// Holds a value to its JSON, and to itself after a trip through JSON and through postcard.
fn shape<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, json: &str) -> Vec<u8> {
    assert_eq!(serde_json::to_string(&value).unwrap(), json);
    assert_eq!(serde_json::from_str::<T>(json).unwrap(), value);
    // As a reader and as a value: the second hands texts over owned, not borrowed.
    assert_eq!(serde_json::from_reader::<_, T>(json.as_bytes()).unwrap(), value);
    assert_eq!(serde_json::from_value::<T>(serde_json::from_str(json).unwrap()).unwrap(), value);
    let bytes = postcard::to_stdvec(&value).unwrap();
    let (back, rest) = postcard::take_from_bytes::<T>(&bytes).unwrap();
    assert_eq!((back, rest), (value, &[][..]));
    bytes
}

fn id(version: &str) -> LicenceId {
    identifier(BUSINESS_LICENCE, ISSUER, "2024000123", version).parse().unwrap()
}

#[test]
fn codes_are_their_texts() {
    shape::<CreditCode>(ISSUER.parse().unwrap(), r#""11330105002500287C""#);
    shape::<IssuerId>(ISSUER.parse().unwrap(), r#""11330105002500287C""#);
    shape::<CitizenNumber>(CITIZEN.parse().unwrap(), r#""11010519491231002X""#);
    shape::<ForeignResidentNumber>(
        "911124198108030024".parse().unwrap(),
        r#""911124198108030024""#,
    );
    shape::<DocumentNumber>("军字第1号".parse().unwrap(), r#""军字第1号""#);
    shape::<LicenceTypeCode>(BUSINESS_LICENCE.parse().unwrap(), r#""11100000MB0143028R001""#);
    shape(id("001"), &format!("\"{}\"", id("001")));
    shape::<ProjectCode>(
        "2603-141124-89-05-346948".parse().unwrap(),
        r#""2603-141124-89-05-346948""#,
    );
    shape::<MatterCode>(
        "11370800MB285591843370117002011".parse().unwrap(),
        r#""11370800MB285591843370117002011""#,
    );
    let bytes = shape::<RegionCode>("330105".parse().unwrap(), r#""330105""#);
    assert_eq!(bytes, b"\x06330105");
    let bytes = shape(HolderKind::Citizen, r#""111""#);
    assert_eq!(bytes, b"\x03111");
}

#[test]
fn a_malformed_code_is_refused_in_json_and_in_postcard() {
    assert!(serde_json::from_str::<CreditCode>(r#""11330105002500287D""#).is_err());
    assert!(serde_json::from_str::<CreditCode>("1").is_err());
    assert!(postcard::from_bytes::<RegionCode>(b"\x0633010A").is_err());
    assert!(serde_json::from_str::<HolderId>(r#"{"kind":"111","number":"1"}"#).is_err());
    assert!(
        serde_json::from_str::<HolderId>(r#"{"kind":"111","number":"11010519491231002X","x":1}"#)
            .is_err()
    );
    assert!(serde_json::from_str::<Sha256Digest>(r#""00""#).is_err());
}

#[test]
fn holders() {
    let holder = HolderId::parse(HolderKind::Citizen, CITIZEN).unwrap();
    let bytes = shape(holder, r#"{"kind":"111","number":"11010519491231002X"}"#);
    assert_eq!(bytes, b"\x03111\x1211010519491231002X");
    let holder = HolderId::parse(HolderKind::TaiwanTravelPermit, "T1234567").unwrap();
    shape(holder, r#"{"kind":"511","number":"T1234567"}"#);
    let holder = HolderId::parse(HolderKind::Organisation, ISSUER).unwrap();
    shape(holder, r#"{"kind":"001","number":"11330105002500287C"}"#);
    let holder = HolderId::parse(HolderKind::ForeignResident, "911124198108030024").unwrap();
    shape(holder, r#"{"kind":"553","number":"911124198108030024"}"#);
}

#[test]
fn digests_are_hexadecimal_or_32_bytes() {
    let bytes = shape(Sha256Digest::from_bytes([0xab; 32]), &format!("\"{}\"", "ab".repeat(32)));
    assert_eq!(bytes, [0xab; 32]);
}

#[test]
fn statuses_and_their_changes() {
    use LicenceStatus::*;
    assert_eq!(shape(Valid, r#""valid""#), [0]);
    assert_eq!(shape(Suspended, r#""suspended""#), [1]);
    assert_eq!(
        shape(Revoked { cause: RevocationCause::Annulled }, r#"{"revoked":{"cause":"annulled"}}"#),
        [2, 0]
    );
    assert_eq!(
        shape(
            Revoked { cause: RevocationCause::Withdrawn },
            r#"{"revoked":{"cause":"withdrawn"}}"#
        ),
        [2, 1]
    );
    let deregistered = Revoked { cause: RevocationCause::Deregistered };
    assert_eq!(shape(deregistered, r#"{"revoked":{"cause":"deregistered"}}"#), [2, 2]);
    let bytes = shape(
        Superseded { by: id("002") },
        &format!(r#"{{"superseded":{{"by":"{}"}}}}"#, id("002")),
    );
    assert_eq!((bytes[0], usize::from(bytes[1])), (3, id("002").as_str().len()));
    shape(StatusChange::Suspend, r#""suspend""#);
    shape(StatusChange::Restore, r#""restore""#);
    shape(
        StatusChange::Revoke { cause: RevocationCause::Annulled },
        r#"{"revoke":{"cause":"annulled"}}"#,
    );
    shape(
        StatusChange::Supersede { by: id("002") },
        &format!(r#"{{"supersede":{{"by":"{}"}}}}"#, id("002")),
    );
    let order = StatusOrder {
        identifier: id("001"),
        change: StatusChange::Suspend,
        reason: "暂扣".into(),
        ordered_at: Timestamp::UNIX_EPOCH,
    };
    let json = format!(
        r#"{{"identifier":"{}","change":"suspend","reason":"暂扣","ordered_at":"1970-01-01T00:00:00Z"}}"#,
        id("001")
    );
    shape(order, &json);
}

#[test]
fn changes() {
    let issued = Change {
        seq: Seq(7),
        at: Timestamp::new(1, 500_000_000).unwrap(),
        kind: ChangeKind::Issued {
            identifier: id("001"),
            licence_type: BUSINESS_LICENCE.parse().unwrap(),
            issuer: ISSUER.parse().unwrap(),
            digest: Sha256Digest::from_bytes([0; 32]),
        },
    };
    assert_eq!(issued.identifier(), &id("001"));
    assert_eq!(issued.licence_type().as_str(), BUSINESS_LICENCE);
    assert_eq!(issued.issuer().as_str(), ISSUER);
    let json = format!(
        r#"{{"seq":7,"at":"1970-01-01T00:00:01.5Z","kind":{{"issued":{{"identifier":"{}","licence_type":"{BUSINESS_LICENCE}","issuer":"{ISSUER}","digest":"{}"}}}}}}"#,
        id("001"),
        "00".repeat(32)
    );
    let bytes = shape(issued, &json);
    assert_eq!(&bytes[..25], b"\x07\x161970-01-01T00:00:01.5Z\x00");
    let changed = Change {
        seq: Seq::ZERO.next(),
        at: Timestamp::UNIX_EPOCH,
        kind: ChangeKind::StatusChanged {
            identifier: id("001"),
            licence_type: BUSINESS_LICENCE.parse().unwrap(),
            issuer: ISSUER.parse().unwrap(),
            from: LicenceStatus::Valid,
            to: LicenceStatus::Suspended,
            order: Sha256Digest::from_bytes([1; 32]),
        },
    };
    assert_eq!((changed.seq.get(), changed.seq.to_string()), (1, "1".to_string()));
    assert_eq!(changed.identifier(), &id("001"));
    let json = format!(
        r#"{{"seq":1,"at":"1970-01-01T00:00:00Z","kind":{{"status_changed":{{"identifier":"{}","licence_type":"{BUSINESS_LICENCE}","issuer":"{ISSUER}","from":"valid","to":"suspended","order":"{}"}}}}}}"#,
        id("001"),
        "01".repeat(32)
    );
    shape(changed, &json);
}

#[test]
fn changes_of_trust() {
    let fell = Change {
        seq: Seq(2),
        at: Timestamp::UNIX_EPOCH,
        kind: ChangeKind::TrustChanged {
            identifier: id("001"),
            licence_type: BUSINESS_LICENCE.parse().unwrap(),
            issuer: ISSUER.parse().unwrap(),
            from: Trust::Trusted,
            to: Trust::Untrusted,
            reason: TrustReason::CertificateRevoked,
            status: LicenceStatus::Suspended,
        },
    };
    assert_eq!(fell.identifier(), &id("001"));
    assert_eq!(fell.licence_type().as_str(), BUSINESS_LICENCE);
    assert_eq!(fell.issuer().as_str(), ISSUER);
    let json = format!(
        r#"{{"seq":2,"at":"1970-01-01T00:00:00Z","kind":{{"trust_changed":{{"identifier":"{}","licence_type":"{BUSINESS_LICENCE}","issuer":"{ISSUER}","from":"trusted","to":"untrusted","reason":"certificate_revoked","status":"suspended"}}}}}}"#,
        id("001"),
    );
    shape(fell, &json);
    for trust in [Trust::Trusted, Trust::Untrusted] {
        shape(trust, &format!("{:?}", trust.word()));
    }
    let reasons = [
        TrustReason::CertificateRevoked,
        TrustReason::AnchorWithdrawn,
        TrustReason::AnchorEnded,
        TrustReason::ChainDamaged,
        TrustReason::RevocationLifted,
        TrustReason::AnchorRestored,
        TrustReason::AnchorNotYetValid,
        TrustReason::Unsigned,
        TrustReason::Signed,
    ];
    for (number, reason) in reasons.into_iter().enumerate() {
        let bytes = shape(reason, &format!("{:?}", reason.word()));
        assert_eq!(bytes, [number as u8], "the number under which it is stored");
    }
}

#[test]
fn words_of_the_catalogue() {
    shape(LicenceClass::Licence, r#""licence""#);
    shape(LicenceClass::Proof, r#""proof""#);
    shape(LicenceClass::Approval, r#""approval""#);
    shape(LicenceClass::Report, r#""report""#);
    shape(LicenceClass::Result, r#""result""#);
    shape(SharingClass::Unconditional, r#""unconditional""#);
    shape(SharingClass::Conditional, r#""conditional""#);
    shape(SharingClass::Withheld, r#""withheld""#);
    shape(ValidityRule::OpenEnded, r#""open_ended""#);
    shape(ValidityRule::Years(10), r#"{"years":10}"#);
    shape(ValidityRule::Stated, r#""stated""#);
}
