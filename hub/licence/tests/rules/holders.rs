use jiff::civil::date;
use licence::{
    CitizenNumber, CodeError, CreditCode, DocumentNumber, ForeignResidentNumber, HolderId,
    HolderKind, RegionTable,
};

use crate::samples::{CITIZEN, credit_code};

#[test]
fn the_sample_of_the_standard_is_a_citizen_number_and_no_other_check_character_is() {
    let number: CitizenNumber = CITIZEN.parse().unwrap();
    assert_eq!(number.birth_date(), date(1949, 12, 31));
    assert_eq!(number.region().as_str(), "110105");
    for check in "0123456789".chars() {
        let mutated = format!("{}{check}", &CITIZEN[..17]);
        assert_eq!(mutated.parse::<CitizenNumber>(), Err(CodeError::CheckCharacter));
    }
    let refused = |text: &str| text.parse::<CitizenNumber>().unwrap_err();
    assert_eq!(refused("11010519491231002x"), CodeError::Character { position: 17 });
    assert_eq!(refused("1101051949123100２"), CodeError::Length);
    assert_eq!(refused("11010519491231X02X"), CodeError::Character { position: 14 });
    assert_eq!(refused("110105194912310021X"), CodeError::Length);
    assert_eq!(refused(" 1010519491231002X"), CodeError::Character { position: 0 });
}

#[test]
fn a_birth_date_must_be_a_real_day() {
    for (day, real) in [
        ("20000229", true),
        ("19000229", false),
        ("20230229", false),
        ("20230431", false),
        ("20231301", false),
        ("20230100", false),
        ("00000101", false),
    ] {
        let body = format!("110105{day}002");
        let check = licence::check::mod_11_2(body.as_bytes().try_into().unwrap()).unwrap();
        let verdict = format!("{body}{}", char::from(check)).parse::<CitizenNumber>().map(drop);
        assert_eq!(verdict, if real { Ok(()) } else { Err(CodeError::Date) }, "{day}");
    }
}

#[test]
fn a_legacy_number_is_the_same_holder_as_its_upgrade() {
    let legacy = HolderId::parse(HolderKind::Citizen, "110105491231002").unwrap();
    let full = HolderId::parse(HolderKind::Citizen, CITIZEN).unwrap();
    assert_eq!(legacy, full);
    assert_eq!(legacy.number(), CITIZEN);
    assert_eq!("110105491331002".parse::<CitizenNumber>(), Err(CodeError::Date));
    assert_eq!(
        "11010549123100X".parse::<CitizenNumber>(),
        Err(CodeError::Character { position: 14 })
    );
}

#[test]
fn a_region_is_judged_by_all_its_years_and_refuses_no_number() {
    let table = RegionTable::builtin();
    let number = |region: &str| -> CitizenNumber { format!("{region}491231002").parse().unwrap() };
    assert!(number("110105").region_in_force(table));
    assert!(number("110103").region_in_force(table), "withdrawn in 2010");
    assert!(!number("999999").region_in_force(table));
    for permit in ["710000", "810000", "820000", "830000"] {
        assert!(number(permit).is_residence_permit());
        assert!(number(permit).region_in_force(table), "{permit}");
    }
    assert!(!number("110105").is_residence_permit());
}

#[test]
fn foreign_residents_have_18_or_15_characters() {
    let number: ForeignResidentNumber = "911124198108030024".parse().unwrap();
    assert_eq!(number.birth_date(), Some(date(1981, 8, 3)));
    let refused = |text: &str| text.parse::<ForeignResidentNumber>().unwrap_err();
    assert_eq!(refused("911124198108030025"), CodeError::CheckCharacter);
    assert_eq!(refused("911124198113030024"), CodeError::Date);
    assert_eq!(refused(CITIZEN), CodeError::Character { position: 0 });

    let card_of_2017 = |body: &str| {
        let check = licence::check::weights_7_3_1(body.bytes()).unwrap();
        format!("{body}{}", char::from(check))
    };
    let number: ForeignResidentNumber = card_of_2017("CAN31018108030").parse().unwrap();
    assert_eq!(number.birth_date(), None);
    // 29 February of 2000, not of 1900.
    assert!(card_of_2017("CAN31010002290").parse::<ForeignResidentNumber>().is_ok());
    assert_eq!(refused(&card_of_2017("CAN31018113030")), CodeError::Date);
    assert_eq!(refused(&card_of_2017("CA131018108030")), CodeError::Character { position: 2 });
    let wrong = format!("CAN31018108030{}", (number.as_str().as_bytes()[14] - b'0' + 1) % 10);
    assert_eq!(refused(&wrong), CodeError::CheckCharacter);
}

#[test]
fn a_credit_code_is_checked_and_its_parts_are_read() {
    let code: CreditCode = "91350100M000100Y43".parse().unwrap();
    assert_eq!(
        (code.authority(), code.region().as_str(), code.body_code()),
        ('9', "350100", "M000100Y4")
    );
    assert!(code.body_code_checks());
    for text in
        ["91110000600037341L", "11330105002500287C", "11430000006122244L", "11100000MB0143028R"]
    {
        assert!(text.parse::<CreditCode>().unwrap().body_code_checks(), "{text}");
    }
    // Real registers hold codes whose inner check is wrong: parsed, and told apart.
    assert!(!credit_code("91350100M000100Y5").body_code_checks());
    let refused = |text: &str| text.parse::<CreditCode>().unwrap_err();
    assert_eq!(refused("91350100M000100Y44"), CodeError::CheckCharacter);
    assert_eq!(refused("91350100M000100Y4"), CodeError::Length);
    assert_eq!(refused("91350100m000100Y43"), CodeError::Character { position: 8 });
    assert_eq!(refused("91350100I000100Y43"), CodeError::Character { position: 8 });
    assert_eq!(refused("913501A0M000100Y43"), CodeError::Character { position: 6 });
    assert_eq!(refused("320113000002259"), CodeError::Length);
}

#[test]
fn a_number_of_the_wrong_kind_is_refused() {
    let code = "91350100M000100Y43";
    assert_eq!(
        HolderId::parse(HolderKind::Citizen, code),
        Err(CodeError::Character { position: 8 })
    );
    assert_eq!(HolderId::parse(HolderKind::Organisation, CITIZEN), Err(CodeError::CheckCharacter));
    assert_eq!(
        HolderId::parse(HolderKind::ForeignResident, CITIZEN),
        Err(CodeError::Character { position: 0 })
    );
    assert_eq!(
        HolderId::parse(HolderKind::OrdinaryPassport, "护照1234567"),
        Err(CodeError::Character { position: 0 })
    );
    assert_eq!(HolderId::parse(HolderKind::OrdinaryPassport, "E123"), Err(CodeError::Length));
    assert!(HolderId::parse(HolderKind::OrdinaryPassport, "E12345678").is_ok());
}

#[test]
fn other_documents_have_letters_digits_and_few_signs() {
    for text in ["军字第1234567号", "H0123456701", "T12345678(01)", "士字第（2010）123号", "A-1/2"]
    {
        assert!(text.parse::<DocumentNumber>().is_ok(), "{text}");
    }
    let refused = |text: &str| text.parse::<DocumentNumber>().unwrap_err();
    assert_eq!(refused(""), CodeError::Length);
    assert_eq!(refused(&"1".repeat(65)), CodeError::Length);
    assert_eq!(refused("/"), CodeError::Character { position: 0 });
    assert_eq!(refused("军1^2"), CodeError::Character { position: 4 });
    assert_eq!(refused("A 1"), CodeError::Character { position: 1 });
    assert_eq!(refused("A\u{0}"), CodeError::Character { position: 1 });
}

#[test]
fn kinds_are_those_of_the_annex() {
    let codes: Vec<_> = HolderKind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(
        codes,
        [
            "001", "099", "111", "114", "115", "118", "119", "120", "122", "411", "412", "413",
            "414", "511", "516", "553", "999"
        ]
    );
    for kind in HolderKind::ALL {
        assert_eq!(HolderKind::from_code(kind.code()), Ok(kind));
        assert_eq!(kind.is_person(), !matches!(kind.code(), "001" | "099"));
        assert!(!kind.name_zh().is_empty());
    }
    assert_eq!(HolderKind::from_code("1"), Err(CodeError::Kind));
}

#[test]
fn what_is_printed_for_the_log_names_no_person() {
    let holder = HolderId::parse(HolderKind::Citizen, CITIZEN).unwrap();
    assert_eq!(format!("{holder:?}"), "HolderId(kind 111)");
    let licence = crate::samples::licence();
    let debug = format!("{licence:?} {:?} {:?}", licence.holders, licence.files);
    assert!(
        !debug.contains("张三") && !debug.contains("1949") && !debug.contains("pdf"),
        "{debug}"
    );
    let number: DocumentNumber = "E12345678".parse().unwrap();
    assert_eq!(format!("{number:?}"), "DocumentNumber(…)");
}
