//! Check characters: the arithmetic alone. Each function takes the characters before the check
//! character and returns the check character, or `None` if a character is outside the alphabet.

/// Alphabet of GB 32100-2015: digits and capitals without I, O, S, V, Z. Its length is 31.
const CREDIT_CODE_ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Weights of GB 32100-2015 for positions 1 to 17: 3^(i−1) mod 31.
const CREDIT_CODE_WEIGHTS: [u32; 17] =
    [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

/// Citizen numbers and foreign permanent residence numbers: ISO 7064 MOD 11-2 over 17 digits.
/// Source: GB 11643-1999, 4 (weights 2^(18−i) mod 11).
pub fn mod_11_2(digits: &[u8; 17]) -> Option<u8> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let mut sum = 0;
    for (digit, weight) in digits.iter().zip(WEIGHTS) {
        sum += digit_value(*digit)? * weight;
    }
    Some(b"10X98765432"[(sum % 11) as usize])
}

/// Credit codes: GB 32100-2015, over 17 characters.
pub fn credit_code(characters: &[u8; 17]) -> Option<u8> {
    let mut sum = 0;
    for (character, weight) in characters.iter().zip(CREDIT_CODE_WEIGHTS) {
        sum += credit_code_value(*character)? * weight;
    }
    Some(CREDIT_CODE_ALPHABET[((31 - sum % 31) % 31) as usize])
}

/// Organisation codes: GB 11714, over 8 characters; A is 10, Z is 35.
pub fn organisation_code(characters: &[u8; 8]) -> Option<u8> {
    const WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let mut sum = 0;
    for (character, weight) in characters.iter().zip(WEIGHTS) {
        sum += base36_value(*character)? * weight;
    }
    Some(match 11 - sum % 11 {
        10 => b'X',
        11 => b'0',
        value => b'0' + value as u8,
    })
}

/// ISO 7064 MOD 37,36 hybrid over digits and capitals, of any length. Source: ISO 7064, 8.
pub fn mod_37_36(characters: impl IntoIterator<Item = u8>) -> Option<u8> {
    let rest = hybrid::<36>(characters.into_iter().map(base36_value))?;
    Some(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest as usize])
}

/// ISO 7064 MOD 11,10 hybrid over digits, of any length. Source: ISO 7064, 8.
pub fn mod_11_10(digits: impl IntoIterator<Item = u8>) -> Option<u8> {
    let rest = hybrid::<10>(digits.into_iter().map(digit_value))?;
    Some(b'0' + rest as u8)
}

/// 7-3-1 weights modulo 10 over digits and capitals (A is 10), as in machine-readable travel
/// documents. Source: ICAO 9303-3, 4.9.
pub fn weights_7_3_1(characters: impl IntoIterator<Item = u8>) -> Option<u8> {
    let mut sum = 0;
    for (character, weight) in characters.into_iter().zip([7, 3, 1].into_iter().cycle()) {
        sum += base36_value(character)? * weight;
    }
    Some(b'0' + (sum % 10) as u8)
}

/// Whether a character is in the alphabet of GB 32100-2015.
pub(crate) fn is_credit_code_character(byte: u8) -> bool {
    credit_code_value(byte).is_some()
}

/// The check value of an ISO 7064 hybrid system MOD M+1,M: the value that brings the carried sum to 1.
fn hybrid<const M: u32>(values: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    let mut carried = M;
    for value in values {
        let sum = match (carried + value?) % M {
            0 => M,
            sum => sum,
        };
        carried = sum * 2 % (M + 1);
    }
    Some((M + 1 - carried) % M)
}

/// The value of each byte in [`CREDIT_CODE_ALPHABET`]; 31 for those that are not in it.
const CREDIT_CODE_VALUES: [u8; 256] = {
    let mut values = [31; 256];
    let mut value = 0;
    while value < CREDIT_CODE_ALPHABET.len() {
        values[CREDIT_CODE_ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

fn credit_code_value(byte: u8) -> Option<u32> {
    let value = CREDIT_CODE_VALUES[usize::from(byte)];
    (value < 31).then(|| u32::from(value))
}

fn digit_value(byte: u8) -> Option<u32> {
    byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
}

fn base36_value(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        _ => None,
    }
}
