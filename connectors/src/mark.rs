//! Marks: what both sides compute of a record, to find out where they differ without sending it.
//!
//! A mark is the first 60 bits of a SHA-256, so that any database can add marks up. The sum over a bucket (a licence
//! type and a day of issue) is the bucket's digest: it needs no order and no memory, and is computed while reading.
//! It finds errors. It is no proof against somebody who makes records up to fit a sum.

use jiff::civil::Date;
use licence::{LicenceId, LicenceTypeCode};
use ring::digest;
use serde::{Deserialize, Serialize};

/// The mark of one record: 60 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub u64);

impl Mark {
    /// Of the record's line: its parts, with `|` between. In SQL: the first 15 hexadecimal digits of `sha256(line)`.
    pub fn of_line(line: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, line.as_bytes());
        let first: [u8; 8] = hash.as_ref()[..8].try_into().expect("SHA-256 has 32 bytes");
        Self(u64::from_be_bytes(first) >> 4)
    }
}

/// Where a record is counted: a licence never moves from one bucket to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bucket {
    /// The licence type.
    #[serde(rename = "type")]
    pub licence_type: LicenceTypeCode,
    /// The day of issue 颁发日期.
    pub day: Date,
}

/// How many current records are in a bucket, and the sum of their marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The sum of the marks modulo 2^60.
    pub digest: u64,
}

/// 2^60 − 1.
const MASK: u64 = (1 << 60) - 1;

impl Tally {
    /// One record more.
    pub fn add(&mut self, mark: Mark) {
        self.count += 1;
        self.digest = (self.digest + mark.0) & MASK;
    }

    /// From a count and a sum as a database has it, of any size, in decimal digits. `None`: it is no number.
    pub fn from_sum(count: u64, sum: &str) -> Option<Self> {
        let mut digest = 0_u64;
        for digit in sum.bytes() {
            let value = char::from(digit).to_digit(10)?;
            digest = ((u128::from(digest) * 10 + u128::from(value)) & u128::from(MASK)) as u64;
        }
        Some(Self { count, digest })
    }
}

/// A current record as a counterpart holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The licence.
    pub identifier: LicenceId,
    /// The mark of what is held of it.
    pub mark: Mark,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_the_first_fifteen_digits_of_the_hash() {
        // sha256("abc"), FIPS 180-2 appendix B.1.
        assert_eq!(format!("{:x}", Mark::of_line("abc").0), "ba7816bf8f01cfe");
    }

    #[test]
    fn a_sum_of_any_size_is_the_digest_whatever_the_order() {
        let marks = ["a", "b", "c", "d", "e"].map(Mark::of_line);
        let mut tally = Tally::default();
        marks.iter().for_each(|mark| tally.add(*mark));
        let mut backwards = Tally::default();
        marks.iter().rev().for_each(|mark| backwards.add(*mark));
        assert_eq!(tally, backwards);
        let sum: u128 = marks.iter().map(|mark| u128::from(mark.0)).sum();
        assert_eq!(Tally::from_sum(5, &sum.to_string()), Some(tally));
        assert_eq!(Tally::from_sum(1, "1.5"), None);
    }
}
