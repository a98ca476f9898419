//! Numbers with correct check characters, made independently of the parsers that will read them.

use jiff::civil::Date;

/// The alphabet of GB 32100-2015: no I, O, S, V, Z.
pub(crate) const CREDIT_ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// A citizen number (GB 11643-1999): region, birth date, sequence and the MOD 11-2 check.
pub(crate) fn citizen(region: &str, birth: Date, sequence: u64) -> String {
    const WEIGHTS: [u64; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let mut number = format!("{region}{}{sequence:03}", compact(birth));
    let sum: u64 =
        number.bytes().zip(WEIGHTS).map(|(digit, weight)| u64::from(digit - b'0') * weight).sum();
    number.push(char::from(b"10X98765432"[(sum % 11) as usize]));
    number
}

/// A credit code (GB 32100-2015) over authority and kind, region and the first eight characters of
/// the body code, whose own check (GB 11714) is position 17.
pub(crate) fn credit(authority_and_kind: &str, region: &str, body: &str) -> String {
    const BODY_WEIGHTS: [u64; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u64 = body
        .chars()
        .zip(BODY_WEIGHTS)
        .map(|(symbol, weight)| u64::from(symbol.to_digit(36).unwrap_or(0)) * weight)
        .sum();
    let inner = b"0X987654321"[(sum % 11) as usize]; // 11 − Σ mod 11; 10 is X, 11 is 0
    let mut code = format!("{authority_and_kind}{region}{body}{}", char::from(inner));
    let mut weight = 1;
    let mut total = 0;
    for symbol in code.bytes() {
        total += CREDIT_ALPHABET.iter().position(|s| *s == symbol).unwrap_or(0) * weight;
        weight = weight * 3 % 31;
    }
    code.push(char::from(CREDIT_ALPHABET[(31 - total % 31) % 31]));
    code
}

/// Eight characters `MA` + six of the credit alphabet, as bodies registered since 2015 have.
pub(crate) fn body(mut place: u64) -> String {
    let mut tail = [0_u8; 6];
    for symbol in tail.iter_mut().rev() {
        *symbol = CREDIT_ALPHABET[(place % 31) as usize];
        place /= 31;
    }
    format!("MA{}", String::from_utf8_lossy(&tail))
}

/// How many different [`body`] codes there are: 31⁶.
pub(crate) const BODIES: u64 = 31_u64.pow(6);

/// A project code (GB/T 40058-2021) with its ISO 7064 MOD 11,10 check digit.
pub(crate) fn project(
    year_month: &str,
    region: &str,
    department: &str,
    kind: &str,
    n: u64,
) -> String {
    let digits = format!("{year_month}{region}{department}{kind}{n:05}");
    let mut product = 10;
    for digit in digits.bytes() {
        let sum = (product + u64::from(digit - b'0')) % 10;
        product = (if sum == 0 { 10 } else { sum }) * 2 % 11;
    }
    let check = (11 - product) % 10;
    format!("{year_month}-{region}-{department}-{kind}-{n:05}{check}")
}

/// `YYYYMMDD`.
pub(crate) fn compact(date: Date) -> String {
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// Published numbers, quoted in the standards and in public project lists.
    #[test]
    fn published_numbers_come_out_as_published() {
        assert_eq!(citizen("110105", date(1949, 12, 31), 2), "11010519491231002X");
        assert_eq!(credit("11", "100000", "MB014302"), "11100000MB0143028R");
        assert_eq!(credit("11", "100000", "00001312"), "11100000000013127D");
        assert_eq!(credit("11", "100000", "MB032716"), "11100000MB03271699");
        assert_eq!(project("2603", "141124", "89", "05", 34694), "2603-141124-89-05-346948");
        assert_eq!(project("2411", "130202", "89", "01", 63701), "2411-130202-89-01-637015");
    }
}
