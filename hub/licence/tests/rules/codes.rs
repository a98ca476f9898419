use licence::{
    CodeError, IssuerId, LicenceId, LicenceTypeCode, MatterCode, ProjectCode, Sha256Digest, check,
};

use crate::samples::{BUSINESS_LICENCE, ISSUER, identifier};

#[derive(serde::Deserialize)]
struct Vectors {
    examples: Vec<Example>,
    type_codes: Vec<TypeCode>,
}

#[derive(serde::Deserialize)]
struct Example {
    identifier: String,
    check_character_valid: bool,
}

#[derive(serde::Deserialize)]
struct TypeCode {
    code: String,
}

#[test]
fn published_identifiers_and_type_codes_are_judged_as_recorded() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../vectors/licence-ids.json")).unwrap();
    assert_eq!((vectors.examples.len(), vectors.type_codes.len()), (4, 8));
    for example in vectors.examples {
        let verdict = example.identifier.parse::<LicenceId>().map(drop);
        match example.check_character_valid {
            true => assert_eq!(verdict, Ok(()), "{}", example.identifier),
            false => assert_eq!(verdict, Err(CodeError::CheckCharacter), "{}", example.identifier),
        }
    }
    for TypeCode { code } in vectors.type_codes {
        let parsed: LicenceTypeCode = code.parse().unwrap();
        assert_eq!((parsed.as_str(), parsed.authority().as_str()), (code.as_str(), &code[..18]));
    }
}

#[test]
fn the_parts_of_an_identifier_are_read_and_put_together_again() {
    let text = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U";
    let id: LicenceId = text.parse().unwrap();
    assert_eq!(id.licence_type().as_str(), "11100000000013338W011");
    assert_eq!(id.issuer_part(), "11430000006122244L");
    assert_eq!((id.serial(), id.version()), ("20230000403", 1));
    let issuer = id.issuer().unwrap();
    let built = LicenceId::build(&id.licence_type(), &issuer, id.serial(), id.version()).unwrap();
    assert_eq!(built, id);
    assert_eq!(built.to_string(), text);

    // The older form names a division: no issuer, but it agrees with issuers of that division.
    let older: LicenceId =
        "1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9".parse().unwrap();
    assert_eq!((older.issuer_part(), older.issuer()), ("340100", None));
    let of_division: IssuerId = crate::samples::credit_code("11340100000000000").into();
    let elsewhere: IssuerId = ISSUER.parse().unwrap();
    assert!(older.agrees_with_issuer(&of_division) && !older.agrees_with_issuer(&elsewhere));
    assert!(id.agrees_with_issuer(&issuer) && !id.agrees_with_issuer(&elsewhere));
}

#[test]
fn each_defect_of_an_identifier_has_its_own_error() {
    let good = identifier(BUSINESS_LICENCE, ISSUER, "2024000123", "001");
    assert!(good.parse::<LicenceId>().is_ok());
    let long = "1".repeat(33);
    let cases = [
        (String::new(), CodeError::Root),
        (good.replacen("1.2.156.3005.2", "1.2.156.3005.3", 1), CodeError::Root),
        (good.replacen("1.2.156.3005.2.", "1.2.156.3005.2", 1), CodeError::Root),
        (good[..good.len() - 2].into(), CodeError::Length),
        (format!("{good}.1"), CodeError::Length),
        (format!("{good}1"), CodeError::Length),
        ("1".repeat(1000), CodeError::Length),
        (identifier(BUSINESS_LICENCE, ISSUER, "", "001"), CodeError::Length),
        (identifier(BUSINESS_LICENCE, ISSUER, &long, "001"), CodeError::Length),
        (identifier(BUSINESS_LICENCE, ISSUER, "2024000123", "000"), CodeError::Version),
        (identifier(BUSINESS_LICENCE, ISSUER, "2024000123", "01"), CodeError::Version),
        (identifier(BUSINESS_LICENCE, ISSUER, "2024000123", "0A1"), CodeError::Version),
        (identifier(&BUSINESS_LICENCE[1..], ISSUER, "2024000123", "001"), CodeError::Length),
        (
            identifier(BUSINESS_LICENCE, "11330105002500287D", "2024000123", "001"),
            CodeError::CheckCharacter,
        ),
        (identifier(BUSINESS_LICENCE, "33010", "2024000123", "001"), CodeError::Length),
        (good.replace("2024000123", "2024000a23"), CodeError::Character { position: 63 }),
        (good.replace("2024000123", "2024000𝟙"), CodeError::Character { position: 63 }),
        (good.replace("2024000123", "2024000124"), CodeError::CheckCharacter),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<LicenceId>(), Err(expected), "{text}");
    }
    let (licence_type, issuer) = (BUSINESS_LICENCE.parse().unwrap(), ISSUER.parse().unwrap());
    let build = |serial, version| LicenceId::build(&licence_type, &issuer, serial, version);
    assert_eq!(build("1", 0), Err(CodeError::Version));
    assert_eq!(build("1", 1000), Err(CodeError::Version));
    assert_eq!(build("", 1), Err(CodeError::Length));
    assert_eq!(build("1-2", 1), Err(CodeError::Character { position: 1 }));
    assert_eq!(build(&"Z".repeat(32), 999).unwrap().as_str().len(), 94);
}

#[test]
fn type_codes_end_in_three_digits() {
    assert_eq!(
        "11100000MB0143028R00A".parse::<LicenceTypeCode>(),
        Err(CodeError::Character { position: 20 })
    );
    assert_eq!(
        "11100000MB0143028S001".parse::<LicenceTypeCode>(),
        Err(CodeError::Character { position: 17 })
    );
    assert_eq!("11100000MB0143028Q001".parse::<LicenceTypeCode>(), Err(CodeError::CheckCharacter));
    // Three bytes of UTF-8 across the border between the two parts.
    assert_eq!(
        "11100000MB0143028中1".parse::<LicenceTypeCode>().map_err(|e| e.code()),
        Err("wrong_character")
    );
}

#[test]
fn new_project_codes_carry_a_check_digit_and_old_ones_do_not() {
    for text in ["2603-141124-89-05-346948", "2411-130202-89-01-637015", "2509-320193-89-01-544060"]
    {
        let code: ProjectCode = text.parse().unwrap();
        assert!(!code.is_legacy());
        assert_eq!((code.as_str(), code.region().as_str()), (text, &text[5..11]));
        for wrong in b'0'..=b'9' {
            let mutated = format!("{}{}", &text[..23], char::from(wrong));
            let expected = if mutated == text { Ok(code) } else { Err(CodeError::CheckCharacter) };
            assert_eq!(mutated.parse::<ProjectCode>(), expected);
        }
    }
    for year in 2015..=2020 {
        let code: ProjectCode = format!("{year}-330105-65-03-123456").parse().unwrap();
        assert!(code.is_legacy());
    }
    // 2012 and 2101 are months of new codes, 2013, 2014, 2021 and 2100 are neither.
    for not_a_month in ["2013", "2014", "2021", "2600", "2613"] {
        let text = format!("{not_a_month}-330105-65-03-123456");
        assert_eq!(text.parse::<ProjectCode>(), Err(CodeError::Date), "{text}");
    }
    let refused = |text: &str| text.parse::<ProjectCode>().unwrap_err();
    assert_eq!(refused("26031411248905346948"), CodeError::Length);
    assert_eq!(refused("2603-141124-89-05.346948"), CodeError::Character { position: 17 });
    assert_eq!(refused("2603-14112A-89-05-346948"), CodeError::Character { position: 10 });
    assert_eq!(refused("２603-141124-89-05-3469"), CodeError::Character { position: 0 });
}

#[test]
fn matter_codes_have_31_or_33_characters_and_a_real_body() {
    let text = "11370800MB285591843370117002011";
    let code: MatterCode = text.parse().unwrap();
    assert_eq!((code.as_str(), code.department().as_str()), (text, &text[..18]));
    assert!(format!("{text}01").parse::<MatterCode>().is_ok());
    let refused = |text: &str| text.parse::<MatterCode>().unwrap_err();
    assert_eq!(refused(&text[1..]), CodeError::Length);
    assert_eq!(refused(&format!("{text}1")), CodeError::Length);
    assert_eq!(refused(&format!("{text}0A")), CodeError::Character { position: 32 });
    assert_eq!(refused(&text.replace("84337", "84A37")), CodeError::Character { position: 18 });
    assert_eq!(refused(&text.replace("2011", "201中")), CodeError::Character { position: 30 });
    assert_eq!(refused(&text.replace("MB28", "MB29")), CodeError::CheckCharacter);
}

#[test]
fn a_digest_has_one_spelling() {
    let text = "0123456789abcdef".repeat(4);
    let digest: Sha256Digest = text.parse().unwrap();
    assert_eq!(digest.to_string(), text);
    assert_eq!(Sha256Digest::from_bytes(*digest.as_bytes()), digest);
    assert_eq!(
        text.to_uppercase().parse::<Sha256Digest>(),
        Err(CodeError::Character { position: 10 })
    );
    assert_eq!(text[1..].parse::<Sha256Digest>(), Err(CodeError::Length));
}

/// ISO 7064 names these as examples of its hybrid systems; 0794 is that of MOD 11,10.
#[test]
fn check_functions_refuse_what_is_outside_their_alphabet() {
    assert_eq!(check::mod_11_10(*b"0794"), Some(b'5'));
    assert_eq!(check::mod_37_36(*b"A12425GABC1234002"), Some(b'M'));
    assert_eq!(check::mod_37_36(*b"a"), None);
    assert_eq!(check::mod_11_10(*b"A"), None);
    assert_eq!(check::weights_7_3_1(*b"L898902C3"), Some(b'6'));
    assert_eq!(check::weights_7_3_1(*b"<"), None);
    assert_eq!(check::credit_code(b"9111000060003734I"), None);
    assert_eq!(check::mod_11_2(b"1101051949123100A"), None);
    assert_eq!(check::organisation_code(b"0000000-"), None);
}
