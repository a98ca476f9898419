use std::str::FromStr;

use crate::text::{ascii, debug_shows_text, text_code};
use crate::{CodeError, RegionCode, check};

/// An investment project code 投资项目统一代码, with its dashes.
///
/// `YYMM-RRRRRR-DD-TT-NNNNNC` (GB/T 40058-2021; C is ISO 7064 MOD 11,10 over the 19 digits before
/// it), or the legacy form `YYYY-RRRRRR-II-TT-NNNNNN` of 2015 to 2020 without a check digit. They
/// cannot collide: read as YYMM, the years 2015 to 2020 have no month.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectCode([u8; 24]);

impl ProjectCode {
    /// The 24 characters.
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// Whether this is the form of 2015 to 2020.
    pub fn is_legacy(&self) -> bool {
        is_legacy(&self.0)
    }

    /// The division where the project was registered.
    pub fn region(&self) -> RegionCode {
        RegionCode::inside(&self.0[5..11])
    }
}

impl FromStr for ProjectCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let code: [u8; 24] = text.as_bytes().try_into().map_err(|_| CodeError::Length)?;
        for (position, byte) in code.into_iter().enumerate() {
            let fits = match position {
                4 | 11 | 14 | 17 => byte == b'-',
                _ => byte.is_ascii_digit(),
            };
            if !fits {
                return Err(CodeError::Character { position });
            }
        }
        if is_legacy(&code) {
            return Ok(Self(code));
        }
        if !(b"01"..=b"12").contains(&&[code[2], code[3]]) {
            return Err(CodeError::Date);
        }
        match check::mod_11_10(code[..23].iter().copied().filter(|&byte| byte != b'-')) {
            Some(expected) if expected == code[23] => Ok(Self(code)),
            _ => Err(CodeError::CheckCharacter),
        }
    }
}

text_code!(ProjectCode, "a project code");
debug_shows_text!(ProjectCode);

fn is_legacy(code: &[u8; 24]) -> bool {
    (b"2015"..=b"2020").contains(&code.first_chunk().expect("24 characters"))
}
