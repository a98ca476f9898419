use jiff::civil::Date;
use licence::{
    Catalogue, CitizenNumber, CreditCode, FileRef, Holder, HolderId, HolderKind, Licence,
    LicenceId, LicenceTypeCode, Matters, ProjectCode, Sha256Digest, StatusOrder, check,
};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::samples;

fn credit_code() -> BoxedStrategy<CreditCode> {
    "[159N][1-9][0-9]{6}[0-9ABCDEFGHJKLMNPQRTUWXY]{9}"
        .prop_map(|body| samples::credit_code(&body))
        .boxed()
}

fn day() -> BoxedStrategy<Date> {
    (1i16..=9999, 1i8..=12, 1i8..=31)
        .prop_filter_map("no such day", |(year, month, day)| Date::new(year, month, day).ok())
        .boxed()
}

fn citizen() -> BoxedStrategy<CitizenNumber> {
    ("[1-9][0-9]{5}", day(), 0u16..1000)
        .prop_map(|(region, born, sequence)| {
            let body = format!("{region}{}{sequence:03}", born.strftime("%Y%m%d"));
            let check = check::mod_11_2(body.as_bytes().try_into().unwrap()).unwrap();
            format!("{body}{}", char::from(check)).parse().unwrap()
        })
        .boxed()
}

fn project() -> BoxedStrategy<ProjectCode> {
    let new =
        ("(2[1-9]|3[0-9])(0[1-9]|1[0-2])-[0-9]{6}-[0-9]{2}-[0-9]{2}-[0-9]{5}").prop_map(|body| {
            let check = check::mod_11_10(body.bytes().filter(|&byte| byte != b'-')).unwrap();
            format!("{body}{}", char::from(check))
        });
    let legacy = "20(1[5-9]|20)-[0-9]{6}-[0-9]{2}-[0-9]{2}-[0-9]{6}";
    prop_oneof![new, legacy].prop_map(|text| text.parse().unwrap()).boxed()
}

fn holder_id() -> BoxedStrategy<HolderId> {
    prop_oneof![
        credit_code().prop_map(HolderId::Organisation),
        citizen().prop_map(HolderId::Citizen),
        "[A-Z][0-9]{8}"
            .prop_map(|text| HolderId::parse(HolderKind::OrdinaryPassport, &text).unwrap()),
        "[一-龥A-Z0-9-]{1,20}1".prop_map(|text| HolderId::parse(
            HolderKind::MilitaryOfficer,
            &text
        )
        .unwrap()),
    ]
    .boxed()
}

/// Any JSON that a licence may carry.
fn json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |number| number.is_finite().then(|| number.into())),
        "[^\\x00]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[^\\x00]{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
    .boxed()
}

fn name() -> BoxedStrategy<String> {
    "[\\p{Han}A-Za-z（）·\\PC]{1,40}x".boxed()
}

prop_compose! {
    fn any_licence()(
        authority in credit_code(), number in 0u16..1000, issuer in credit_code(), serial in "[A-Z0-9]{1,32}",
        version in 2u16..1000, texts in [name(), name(), name()], issued_on in day(),
        holders in prop::collection::hash_map(holder_id(), name(), 1..5), mut validity in (day(), day()),
        open in any::<(bool, bool)>(), region in prop::option::of("[0-9]{6}"), project in prop::option::of(project()),
        renewed in any::<bool>(), fields in prop::collection::hash_map("[^\\x00]{0,8}", json(), 0..6),
        files in prop::collection::hash_map("[\\p{Han}a-z]{1,20}\\.pdf", any::<([u8; 32], u64)>(), 0..3),
    ) -> Licence {
        if validity.0 > validity.1 {
            std::mem::swap(&mut validity.0, &mut validity.1);
        }
        let licence_type: LicenceTypeCode = format!("{authority}{number:03}").parse().unwrap();
        let issuer = issuer.into();
        let id = |version| LicenceId::build(&licence_type, &issuer, &serial, version).unwrap();
        let [name, number, issuer_name] = texts;
        Licence {
            identifier: id(version),
            name,
            licence_type,
            number,
            issuer_name,
            issuer,
            issued_on,
            holders: holders.into_iter().map(|(id, name)| Holder { name, id }).collect(),
            valid_from: open.0.then_some(validity.0),
            valid_to: open.1.then_some(validity.1),
            region: region.map(|text| text.parse().unwrap()),
            project,
            predecessor: renewed.then(|| id(version - 1)),
            fields: fields.into_iter().collect(),
            files: files.into_iter().map(|(name, (sha256, size))| FileRef {
                name, media_type: "application/pdf".into(), sha256: Sha256Digest::from_bytes(sha256), size,
            }).collect(),
        }
    }
}

fn licence() -> BoxedStrategy<Licence> {
    any_licence().boxed()
}

proptest! {
    #[test]
    fn a_document_survives_its_bytes(licence in licence()) {
        prop_assert_eq!(licence.check(), Ok(()));
        let bytes = licence.to_bytes();
        prop_assert!(!bytes.contains(&b'\n'));
        let back = Licence::parse(&bytes).unwrap();
        prop_assert!(back == licence);
        prop_assert_eq!(back.to_bytes(), bytes);
    }

    #[test]
    fn codes_survive_their_text(
        code in credit_code(), citizen in citizen(), project in project(), holder in holder_id()
    ) {
        prop_assert_eq!(code.to_string().parse(), Ok(code));
        prop_assert_eq!(citizen.to_string().parse(), Ok(citizen));
        prop_assert_eq!(project.to_string().parse(), Ok(project));
        prop_assert_eq!(HolderId::parse(holder.kind(), holder.number()), Ok(holder));
    }

    /// What the check characters are for: every single substitution within the alphabet is seen.
    #[test]
    fn one_wrong_character_is_never_accepted(
        code in credit_code(), citizen in citizen(), licence in licence(), at in any::<prop::sample::Index>(),
        to in "[0-9A-Z]",
    ) {
        let mutated = |text: &str, first: usize| {
            let at = first + at.index(text.len() - first);
            let mut bytes = text.as_bytes().to_vec();
            let changes = bytes[at] != to.as_bytes()[0] && bytes[at] != b'.';
            bytes[at] = to.as_bytes()[0];
            changes.then(|| String::from_utf8(bytes).unwrap())
        };
        if let Some(text) = mutated(code.as_str(), 0) {
            prop_assert!(text.parse::<CreditCode>().is_err());
        }
        if let Some(text) = mutated(citizen.as_str(), 0) {
            prop_assert!(text.parse::<CitizenNumber>().is_err());
        }
        if let Some(text) = mutated(licence.identifier.as_str(), 0) {
            prop_assert!(text.parse::<LicenceId>().is_err());
        }
    }

    /// Of a document with a byte changed: refused, or a document of its own right.
    #[test]
    fn a_changed_byte_is_refused_or_read_consistently(
        licence in licence(), at in any::<prop::sample::Index>(), to in any::<u8>()
    ) {
        let mut bytes = licence.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(other) = Licence::parse(&bytes) {
            prop_assert!(Licence::parse(&other.to_bytes()).unwrap() == other);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,40}") {
        for input in [&bytes[..], text.as_bytes()] {
            let _ = (Licence::parse(input), StatusOrder::parse(input), Catalogue::parse(input), Matters::parse(input));
        }
        for kind in HolderKind::ALL {
            let _ = HolderId::parse(kind, &text);
        }
        let _ = (text.parse::<LicenceId>(), text.parse::<ProjectCode>(), text.parse::<Sha256Digest>());
        let _ = format!("1.2.156.3005.2.{text}").parse::<LicenceId>();
    }

    /// JSON-looking noise reaches deeper than random bytes.
    #[test]
    fn no_brackets_and_escapes_make_a_parser_panic(
        text in "([\\[\\]{}:,\"\\\\u0-9a-fA-FdD.eE+-]|\\\\u[0-9a-f]{1,4}|[\\p{Han}]){0,60}"
    ) {
        let _ = Licence::parse(text.as_bytes());
    }
}
