use std::str::FromStr;
use std::sync::Arc;

use crate::text::{all_bytes, ascii, debug_shows_text, is_upper_or_digit, text_code};
use crate::{CodeError, CreditCode, RegionCode, check};

/// The object identifier under which licence identifiers are assigned (GB/T 36904-2018).
pub const LICENCE_ID_ROOT: &str = "1.2.156.3005.2";

/// The organisation that issues a licence 颁发机构; an X.509 issuer is something else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerId(CreditCode);

impl IssuerId {
    /// The issuer's credit code.
    pub fn credit_code(&self) -> &CreditCode {
        &self.0
    }

    /// The 18 characters.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<CreditCode> for IssuerId {
    fn from(code: CreditCode) -> Self {
        Self(code)
    }
}

impl FromStr for IssuerId {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        text.parse().map(Self)
    }
}

text_code!(IssuerId, "an issuer's credit code");
debug_shows_text!(IssuerId);

/// A licence type 证照类型代码: the credit code of the authority that defines it and three digits.
/// Source: GB/T 36902.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LicenceTypeCode([u8; 21]);

impl LicenceTypeCode {
    /// The 21 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// The authority that defines the type.
    pub fn authority(&self) -> CreditCode {
        ascii(&self.0[..18]).parse().expect("checked by the parser")
    }
}

impl FromStr for LicenceTypeCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let code: [u8; 21] = text.as_bytes().try_into().map_err(|_| CodeError::Length)?;
        let authority =
            std::str::from_utf8(&code[..18]).map_err(|_| CodeError::Character { position: 0 })?;
        authority.parse::<CreditCode>()?;
        all_bytes(&code[18..], 18, |byte| byte.is_ascii_digit())?;
        Ok(Self(code))
    }
}

text_code!(LicenceTypeCode, "a licence type code");
debug_shows_text!(LicenceTypeCode);

/// A licence identifier 证照标识 (GB/T 36904-2018): names one version of one licence.
///
/// `1.2.156.3005.2.` type `.` issuer `.` serial `.` version `.` check character. The check is
/// ISO 7064 MOD 37,36 over type, issuer, serial and version, without dots and without the root.
/// The issuer is a credit code; older identifiers have a division code of six digits there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LicenceId(Arc<str>);

impl LicenceId {
    /// Puts an identifier together and computes its check character.
    ///
    /// * `serial`: 1 to 32 capitals and digits.
    /// * `version`: 1 to 999.
    ///
    /// # Errors
    /// `Length` or `Character` (position within the serial), `Version`.
    pub fn build(
        licence_type: &LicenceTypeCode,
        issuer: &IssuerId,
        serial: &str,
        version: u16,
    ) -> Result<Self, CodeError> {
        check_serial(serial, 0)?;
        if !(1..=999).contains(&version) {
            return Err(CodeError::Version);
        }
        let body = format!("{licence_type}.{issuer}.{serial}.{version:03}");
        let check = check_character(&body).expect("every part is capitals and digits");
        Ok(Self(format!("{LICENCE_ID_ROOT}.{body}.{}", char::from(check)).into()))
    }

    /// The whole identifier, root included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The licence type.
    pub fn licence_type(&self) -> LicenceTypeCode {
        self.part(0).parse().expect("checked by the parser")
    }

    /// The issuer as written: a credit code, or in older identifiers a division code.
    pub fn issuer_part(&self) -> &str {
        self.part(1)
    }

    /// The issuer, unless the identifier names a division instead.
    pub fn issuer(&self) -> Option<IssuerId> {
        self.part(1).parse().ok()
    }

    /// The serial.
    pub fn serial(&self) -> &str {
        self.part(2)
    }

    /// The version, 1 to 999.
    pub fn version(&self) -> u16 {
        self.part(3).parse().expect("checked by the parser")
    }

    /// Whether this identifier can be one of `issuer`: it names it, or (older form) its division.
    pub fn agrees_with_issuer(&self, issuer: &IssuerId) -> bool {
        let part = self.issuer_part();
        part == issuer.as_str() || part == issuer.credit_code().region().as_str()
    }

    fn part(&self, index: usize) -> &str {
        self.0[LICENCE_ID_ROOT.len() + 1..].split('.').nth(index).expect("checked by the parser")
    }
}

impl FromStr for LicenceId {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        // The longest: root 14, five dots, 21 + 18 + 32 + 3 + 1.
        if text.len() > 14 + 5 + 75 {
            return Err(CodeError::Length);
        }
        let parts = text.strip_prefix(LICENCE_ID_ROOT).and_then(|rest| rest.strip_prefix('.'));
        let parts = parts.ok_or(CodeError::Root)?;
        let mut split = parts.split('.');
        let mut next = || split.next().ok_or(CodeError::Length);
        let (licence_type, issuer, serial, version, check) =
            (next()?, next()?, next()?, next()?, next()?);
        if split.next().is_some() {
            return Err(CodeError::Length);
        }
        let start = LICENCE_ID_ROOT.len() + 1;
        at(start, licence_type.parse::<LicenceTypeCode>())?;
        let issuer_start = start + licence_type.len() + 1;
        match issuer.len() {
            6 => at(issuer_start, issuer.parse::<RegionCode>().map(drop))?,
            _ => at(issuer_start, issuer.parse::<IssuerId>().map(drop))?,
        }
        check_serial(serial, issuer_start + issuer.len() + 1)?;
        if version.len() != 3
            || version == "000"
            || !version.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(CodeError::Version);
        }
        if check.len() != 1 {
            return Err(CodeError::Length);
        }
        let body = &parts[..parts.len() - 2];
        match check_character(body) {
            Some(expected) if expected == check.as_bytes()[0] => Ok(Self(text.into())),
            _ => Err(CodeError::CheckCharacter),
        }
    }
}

text_code!(LicenceId, "a licence identifier");
debug_shows_text!(LicenceId);

fn check_serial(serial: &str, offset: usize) -> Result<(), CodeError> {
    all_bytes(serial.as_bytes(), offset, is_upper_or_digit)?;
    match serial.len() {
        1..=32 => Ok(()),
        _ => Err(CodeError::Length),
    }
}

/// Over the dotted parts, dots skipped.
fn check_character(body: &str) -> Option<u8> {
    check::mod_37_36(body.bytes().filter(|&byte| byte != b'.'))
}

/// Moves the position of a part's error to the whole text.
fn at<T>(offset: usize, result: Result<T, CodeError>) -> Result<T, CodeError> {
    result.map_err(|error| match error {
        CodeError::Character { position } => CodeError::Character { position: offset + position },
        other => other,
    })
}
