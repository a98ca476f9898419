use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::{
    all_bytes, ascii, debug_hides_text, debug_shows_text, is_upper_or_digit, text_code,
};
use crate::{CodeError, RegionCode, RegionTable, check};

/// What kind of number identifies a holder 持证主体代码类型. In JSON the code of three digits.
///
/// Sources: GB/T 36903 Annex A; 553 (foreign permanent residence) from provincial practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HolderKind {
    /// 001 统一社会信用代码
    Organisation,
    /// 099 other organisation
    OtherOrganisation,
    /// 111 公民身份号码, residence permits of Hong Kong, Macao and Taiwan residents included
    Citizen,
    /// 114 军官证
    MilitaryOfficer,
    /// 115 武警警官证
    ArmedPoliceOfficer,
    /// 118 解放军士兵证
    Soldier,
    /// 119 武警士兵证
    ArmedPoliceSoldier,
    /// 120 文职人员证 (of the army)
    CivilianStaff120,
    /// 122 文职人员证 (of the armed police)
    CivilianStaff122,
    /// 411 外交护照
    DiplomaticPassport,
    /// 412 公务护照
    ServicePassport,
    /// 413 公务普通护照
    PublicAffairsPassport,
    /// 414 普通护照
    OrdinaryPassport,
    /// 511 台湾居民来往大陆通行证
    TaiwanTravelPermit,
    /// 516 港澳居民来往内地通行证
    HongKongMacaoTravelPermit,
    /// 553 外国人永久居留身份证
    ForeignResident,
    /// 999 other person
    OtherPerson,
}

impl HolderKind {
    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 17] = [
        Self::Organisation,
        Self::OtherOrganisation,
        Self::Citizen,
        Self::MilitaryOfficer,
        Self::ArmedPoliceOfficer,
        Self::Soldier,
        Self::ArmedPoliceSoldier,
        Self::CivilianStaff120,
        Self::CivilianStaff122,
        Self::DiplomaticPassport,
        Self::ServicePassport,
        Self::PublicAffairsPassport,
        Self::OrdinaryPassport,
        Self::TaiwanTravelPermit,
        Self::HongKongMacaoTravelPermit,
        Self::ForeignResident,
        Self::OtherPerson,
    ];

    /// The code of three digits.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// The same as [`code`](Self::code); the name that all codes of this crate share.
    pub const fn as_str(&self) -> &'static str {
        self.row().0
    }

    /// The name as counterparts write it.
    pub const fn name_zh(self) -> &'static str {
        self.row().1
    }

    /// Whether the holder is a natural person.
    pub const fn is_person(self) -> bool {
        !matches!(self, Self::Organisation | Self::OtherOrganisation)
    }

    /// Reads a code of three digits.
    ///
    /// # Errors
    /// `Kind` if Annex A does not have it.
    pub fn from_code(code: &str) -> Result<Self, CodeError> {
        Self::ALL.into_iter().find(|kind| kind.code() == code).ok_or(CodeError::Kind)
    }

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::Organisation => ("001", "统一社会信用代码"),
            Self::OtherOrganisation => ("099", "其他法人或其他组织有效证件代码"),
            Self::Citizen => ("111", "公民身份号码"),
            Self::MilitaryOfficer => ("114", "中国人民解放军军官证"),
            Self::ArmedPoliceOfficer => ("115", "中国人民武装警察部队警官证"),
            Self::Soldier => ("118", "解放军士兵证"),
            Self::ArmedPoliceSoldier => ("119", "武警士兵证"),
            Self::CivilianStaff120 => ("120", "解放军文职人员证"),
            Self::CivilianStaff122 => ("122", "武警部队文职人员证"),
            Self::DiplomaticPassport => ("411", "外交护照"),
            Self::ServicePassport => ("412", "公务护照"),
            Self::PublicAffairsPassport => ("413", "公务普通护照"),
            Self::OrdinaryPassport => ("414", "普通护照"),
            Self::TaiwanTravelPermit => ("511", "台湾居民来往大陆通行证"),
            Self::HongKongMacaoTravelPermit => ("516", "港澳居民来往内地通行证"),
            Self::ForeignResident => ("553", "外国人永久居留身份证"),
            Self::OtherPerson => ("999", "其他自然人有效证件代码"),
        }
    }
}

impl FromStr for HolderKind {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Self::from_code(text)
    }
}

text_code!(HolderKind, "a holder kind of three digits");

/// The holder of a licence, as identified on the licence.
///
/// The formats overlap (18 characters each; a credit code may be all digits), so the kind is an
/// input, never guessed. A value is well formed; that does not show it was ever assigned.
/// In JSON `{"kind":"111","number":"…"}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HolderId {
    /// Kind 001.
    Organisation(CreditCode),
    /// Kind 111.
    Citizen(CitizenNumber),
    /// Kind 553.
    ForeignResident(ForeignResidentNumber),
    /// Every kind whose number has no check digit.
    Other {
        /// Never 001, 111 or 553: [`HolderId::parse`] sees to it.
        kind: HolderKind,
        /// The document's number.
        number: DocumentNumber,
    },
}

impl HolderId {
    /// Reads a number of a known kind.
    ///
    /// # Errors
    /// Those of the number's own parser.
    pub fn parse(kind: HolderKind, text: &str) -> Result<Self, CodeError> {
        Ok(match kind {
            HolderKind::Organisation => Self::Organisation(text.parse()?),
            HolderKind::Citizen => Self::Citizen(text.parse()?),
            HolderKind::ForeignResident => Self::ForeignResident(text.parse()?),
            HolderKind::DiplomaticPassport
            | HolderKind::ServicePassport
            | HolderKind::PublicAffairsPassport
            | HolderKind::OrdinaryPassport => {
                Self::Other { kind, number: DocumentNumber::passport(text)? }
            }
            _ => Self::Other { kind, number: text.parse()? },
        })
    }

    /// The kind of the number.
    pub fn kind(&self) -> HolderKind {
        match self {
            Self::Organisation(_) => HolderKind::Organisation,
            Self::Citizen(_) => HolderKind::Citizen,
            Self::ForeignResident(_) => HolderKind::ForeignResident,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// The number in its one spelling: a citizen number always has 18 characters.
    pub fn number(&self) -> &str {
        match self {
            Self::Organisation(code) => code.as_str(),
            Self::Citizen(number) => number.as_str(),
            Self::ForeignResident(number) => number.as_str(),
            Self::Other { number, .. } => number.as_str(),
        }
    }
}

/// Shows the kind, no digits.
impl fmt::Debug for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HolderId(kind {})", self.kind().code())
    }
}

impl Serialize for HolderId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut wire = serializer.serialize_struct("HolderId", 2)?;
        wire.serialize_field("kind", &self.kind())?;
        wire.serialize_field("number", self.number())?;
        wire.end()
    }
}

impl<'de> Deserialize<'de> for HolderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "HolderId", deny_unknown_fields)]
        struct Wire {
            kind: HolderKind,
            number: String,
        }
        let wire = Wire::deserialize(deserializer)?;
        Self::parse(wire.kind, &wire.number).map_err(serde::de::Error::custom)
    }
}

/// A unified social credit code 统一社会信用代码: 18 characters, GB 32100-2015.
///
/// Parsing checks form and check character. The organisation code inside (positions 9 to 17) has a
/// check of its own, which real registers break: see [`body_code_checks`](Self::body_code_checks).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreditCode([u8; 18]);

impl CreditCode {
    /// The 18 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// Position 1, the registering administration (`1` 机构编制, `5` 民政, `9` 市场监管, `N` 农业 …).
    pub fn authority(&self) -> char {
        char::from(self.0[0])
    }

    /// Positions 3 to 8, the division of the registering authority.
    pub fn region(&self) -> RegionCode {
        RegionCode::inside(&self.0[2..8])
    }

    /// Positions 9 to 17, the organisation code.
    pub fn body_code(&self) -> &str {
        ascii(&self.0[8..17])
    }

    /// Whether the organisation code's own check character (GB 11714, position 17) is right.
    pub fn body_code_checks(&self) -> bool {
        let body: &[u8; 8] = self.0[8..16].first_chunk().expect("eight characters");
        check::organisation_code(body) == Some(self.0[16])
    }
}

impl FromStr for CreditCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let code: [u8; 18] = text.as_bytes().try_into().map_err(|_| CodeError::Length)?;
        all_bytes(&code, 0, check::is_credit_code_character)?;
        all_bytes(&code[2..8], 2, |byte| byte.is_ascii_digit())?;
        let body: &[u8; 17] = code.first_chunk().expect("18 characters");
        match check::credit_code(body) {
            Some(expected) if expected == code[17] => Ok(Self(code)),
            _ => Err(CodeError::CheckCharacter),
        }
    }
}

text_code!(CreditCode, "a unified social credit code");
debug_shows_text!(CreditCode);

/// A citizen number 公民身份号码: 18 characters, GB 11643-1999.
///
/// A legacy number of 15 digits is read and upgraded (`19` before the year, check character at the
/// end). Judged on form, birth date and check character; a region outside the lists does not refuse
/// a number, see [`region_in_force`](Self::region_in_force). Residence permits of Hong Kong, Macao
/// and Taiwan residents (81, 82, 83; formerly 71) follow the same rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CitizenNumber([u8; 18]);

impl CitizenNumber {
    /// The 18 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// Positions 7 to 14.
    pub fn birth_date(&self) -> Date {
        date_of(&self.0[6..14]).expect("checked by the parser")
    }

    /// Positions 1 to 6: where the number was first assigned.
    pub fn region(&self) -> RegionCode {
        RegionCode::inside(&self.0[..6])
    }

    /// Whether the number is that of a residence permit 港澳台居民居住证 (regions 71, 81, 82, 83).
    pub fn is_residence_permit(&self) -> bool {
        matches!(&self.0[..2], b"71" | b"81" | b"82" | b"83")
    }

    /// Whether the region was in force at some time, or belongs to a residence permit.
    pub fn region_in_force(&self, table: &RegionTable) -> bool {
        self.is_residence_permit() || table.ever_in_force(&self.region())
    }
}

impl FromStr for CitizenNumber {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let number: [u8; 18] = match text.as_bytes() {
            legacy if legacy.len() == 15 => {
                all_bytes(legacy, 0, |byte| byte.is_ascii_digit())?;
                upgraded(legacy)
            }
            number => number.try_into().map_err(|_| CodeError::Length)?,
        };
        personal_number(&number)?;
        Ok(Self(number))
    }
}

text_code!(CitizenNumber, "a citizen number");
debug_hides_text!(CitizenNumber);

/// The number on a foreign permanent resident identity card 外国人永久居留身份证.
///
/// Card of 2023: 18 characters, `9`, province, nationality (ISO 3166-1 numeric), birth date,
/// sequence, check as in a citizen number. Card of 2017: 15 characters, nationality (3 letters),
/// region (4 digits), YYMMDD, sequence, check digit with weights 7-3-1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignResidentNumber(Arc<str>);

impl ForeignResidentNumber {
    /// The 18 or 15 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The birth date; unknown for the card of 2017, whose year has two digits.
    pub fn birth_date(&self) -> Option<Date> {
        (self.0.len() == 18).then(|| date_of(&self.0.as_bytes()[6..14])).flatten()
    }
}

impl FromStr for ForeignResidentNumber {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        if let Ok(number) = <&[u8; 18]>::try_from(text.as_bytes()) {
            if number[0] != b'9' {
                return Err(CodeError::Character { position: 0 });
            }
            personal_number(number)?;
        } else {
            let number: &[u8; 15] = text.as_bytes().try_into().map_err(|_| CodeError::Length)?;
            card_of_2017(number)?;
        }
        Ok(Self(text.into()))
    }
}

text_code!(ForeignResidentNumber, "a foreign permanent residence number");
debug_hides_text!(ForeignResidentNumber);

/// The number of a document without a check digit: 1 to 64 letters and digits of any script, with
/// `-`, `/`, `.` and brackets between them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentNumber(Arc<str>);

impl DocumentNumber {
    /// The number as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Passports have 5 to 20 capitals and digits; ICAO 9303 allows 9, some states print more.
    fn passport(text: &str) -> Result<Self, CodeError> {
        all_bytes(text.as_bytes(), 0, is_upper_or_digit)?;
        match text.len() {
            5..=20 => Ok(Self(text.into())),
            _ => Err(CodeError::Length),
        }
    }
}

impl FromStr for DocumentNumber {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let refused = |c: char| !(c.is_alphanumeric() || "-/.()（）〔〕[]".contains(c));
        match text.char_indices().find(|&(_, c)| refused(c)) {
            Some((position, _)) => Err(CodeError::Character { position }),
            None if text.is_empty() || text.chars().count() > 64 => Err(CodeError::Length),
            // An empty mandatory field travels as `/`: that is no number.
            None if !text.contains(char::is_alphanumeric) => {
                Err(CodeError::Character { position: 0 })
            }
            None => Ok(Self(text.into())),
        }
    }
}

text_code!(DocumentNumber, "a document number");
debug_hides_text!(DocumentNumber);

/// What citizen numbers and the foreign residence numbers of 2023 share: 17 digits with a birth
/// date at positions 7 to 14, then MOD 11-2.
fn personal_number(number: &[u8; 18]) -> Result<(), CodeError> {
    all_bytes(&number[..17], 0, |byte| byte.is_ascii_digit())?;
    all_bytes(&number[17..], 17, |byte| byte.is_ascii_digit() || byte == b'X')?;
    date_of(&number[6..14]).ok_or(CodeError::Date)?;
    match check::mod_11_2(number.first_chunk().expect("18 characters")) {
        Some(expected) if expected == number[17] => Ok(()),
        _ => Err(CodeError::CheckCharacter),
    }
}

/// 15 checked digits to 18 characters.
fn upgraded(legacy: &[u8]) -> [u8; 18] {
    let mut number = [b'0'; 18];
    number[..6].copy_from_slice(&legacy[..6]);
    number[6..8].copy_from_slice(b"19");
    number[8..17].copy_from_slice(&legacy[6..]);
    let body = number.first_chunk().expect("18 characters");
    number[17] = check::mod_11_2(body).expect("the caller checked the digits");
    number
}

fn card_of_2017(number: &[u8; 15]) -> Result<(), CodeError> {
    all_bytes(&number[..3], 0, |byte| byte.is_ascii_uppercase())?;
    all_bytes(&number[3..], 3, |byte| byte.is_ascii_digit())?;
    // Two digits of the year: real in one of the two centuries is enough.
    let in_century =
        |century: &str| date_of(format!("{century}{}", ascii(&number[7..13])).as_bytes());
    in_century("19").or_else(|| in_century("20")).ok_or(CodeError::Date)?;
    match check::weights_7_3_1(number[..14].iter().copied()) {
        Some(expected) if expected == number[14] => Ok(()),
        _ => Err(CodeError::CheckCharacter),
    }
}

/// YYYYMMDD; there is no year 0.
fn date_of(digits: &[u8]) -> Option<Date> {
    let number =
        |range: std::ops::Range<usize>| -> Option<i16> { ascii(&digits[range]).parse().ok() };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    if year == 0 {
        return None;
    }
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}
