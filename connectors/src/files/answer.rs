//! What a receiver says about a batch, and what it holds: files that it drops. For both directions.

use std::collections::BTreeMap;

use jiff::civil::Date;
use licence::{LicenceId, LicenceTypeCode};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Bucket, Holding, Mark, Tally, bounded_list, inbound::BATCH_RECORDS};

/// The name of the format.
pub const ANSWER_FORMAT: &str = "yihao-files-answer-1";
/// The end of an answer's name.
pub const ANSWER_END: &str = ".answer.json";
/// The largest answer, in bytes.
pub const ANSWER_LIMIT: usize = 16 << 20;
/// The name of the format of counts.
pub const COUNTS_FORMAT: &str = "yihao-files-counts-1";
/// The name of a file with counts.
pub const COUNTS_NAME: &str = "counts.json";
/// The name of a file with what is held, one record a line.
pub const HOLDINGS_NAME: &str = "holdings.ndjson";

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The receiver has it, but for the records that are named.
    Taken,
    /// The receiver has nothing of it.
    Refused,
}

/// What a receiver says about a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`ANSWER_FORMAT`].
    pub format: String,
    /// The batch, as its manifest has it.
    pub batch: String,
    /// What became of it.
    pub result: Outcome,
    /// Why it was refused as a whole: a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it was refused as a whole, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// The records of it that were not taken, at most [`BATCH_RECORDS`].
    #[serde(default, deserialize_with = "bounded_records")]
    pub records: Vec<AnswerRecord>,
}

fn bounded_records<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AnswerRecord>, D::Error> {
    bounded_list::read(from, usize::try_from(BATCH_RECORDS).unwrap_or(usize::MAX))
}

/// A record that was not taken. `Debug` shows no remark.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// Which record of the data file, from 1; in CSV the line of names is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The record's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why, as a word.
    #[serde(default)]
    pub code: String,
    /// Why, for people.
    #[serde(default)]
    pub remark: String,
}

impl std::fmt::Debug for AnswerRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AnswerRecord({:?} {})", self.line, self.code)
    }
}

impl Answer {
    /// As it is written: JSON, indented, with a line end.
    ///
    /// # Panics
    /// Never: strings and numbers can always be written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings can always be written");
        bytes.push(b'\n');
        bytes
    }
}

/// What a receiver holds, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// [`COUNTS_FORMAT`].
    pub format: String,
    /// One more than the number of the last change that was worked through, 0 before the first; left out: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The valid licences by type.
    #[serde(default)]
    pub types: BTreeMap<String, u64>,
    /// The current records by type and day of issue; left out: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<BucketCount>>,
}

/// The records of one type and one day of issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCount {
    /// The licence type.
    #[serde(rename = "type")]
    pub licence_type: String,
    /// The day of issue, `2025-03-01`.
    pub day: String,
    /// How many.
    pub count: u64,
    /// The sum of their marks modulo 2^60, up to 15 hexadecimal digits.
    pub digest: String,
}

impl BucketCount {
    /// As it is written.
    pub fn new(bucket: &Bucket, tally: &Tally) -> Self {
        Self {
            licence_type: bucket.licence_type.to_string(),
            day: bucket.day.to_string(),
            count: tally.count,
            digest: format!("{:015x}", tally.digest),
        }
    }

    /// As it is meant; `None`: it is none.
    pub fn read(&self) -> Option<(Bucket, Tally)> {
        let bucket = Bucket { licence_type: self.licence_type.parse().ok()?, day: day(&self.day)? };
        Some((bucket, Tally { count: self.count, digest: sixty_bits(&self.digest)? }))
    }
}

impl Counts {
    /// By type; `None`: a type is none.
    pub(crate) fn by_type(&self) -> Option<BTreeMap<LicenceTypeCode, u64>> {
        let mut counts = BTreeMap::new();
        for (code, count) in &self.types {
            if *count > 0 {
                counts.insert(code.parse().ok()?, *count);
            }
        }
        if self.types.is_empty() {
            for (bucket, tally) in self.by_bucket()?.unwrap_or_default() {
                let held = counts.entry(bucket.licence_type).or_default();
                *held = held.saturating_add(tally.count);
            }
        }
        Some(counts)
    }

    /// By bucket, if told; outer `None`: one is none.
    pub(crate) fn by_bucket(&self) -> Option<Option<BTreeMap<Bucket, Tally>>> {
        let Some(buckets) = &self.buckets else { return Some(None) };
        let read: Option<BTreeMap<_, _>> =
            buckets.iter().filter(|bucket| bucket.count > 0).map(BucketCount::read).collect();
        read.map(Some)
    }
}

/// A line of [`HOLDINGS_NAME`]: a current record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingRecord {
    /// The licence type.
    #[serde(rename = "type")]
    pub licence_type: String,
    /// The day of issue, `2025-03-01`.
    pub day: String,
    /// The licence.
    pub identifier: String,
    /// Its mark, up to 15 hexadecimal digits.
    pub mark: String,
}

impl HoldingRecord {
    /// As it is written.
    pub fn new(bucket: &Bucket, holding: &Holding) -> Self {
        Self {
            licence_type: bucket.licence_type.to_string(),
            day: bucket.day.to_string(),
            identifier: holding.identifier.to_string(),
            mark: format!("{:015x}", holding.mark.0),
        }
    }

    /// As it is meant; `None`: it is none.
    pub fn read(&self) -> Option<(Bucket, Holding)> {
        let bucket = Bucket { licence_type: self.licence_type.parse().ok()?, day: day(&self.day)? };
        let identifier: LicenceId = self.identifier.parse().ok()?;
        Some((bucket, Holding { identifier, mark: Mark(sixty_bits(&self.mark)?) }))
    }
}

fn day(text: &str) -> Option<Date> {
    text.parse().ok()
}

fn sixty_bits(digits: &str) -> Option<u64> {
    let right =
        (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    #[test]
    fn what_is_counted_and_held_is_read_as_written() {
        let bucket =
            Bucket { licence_type: samples::types()[0], day: "2025-03-01".parse().unwrap() };
        let tally = Tally { count: 3, digest: (1 << 60) - 1 };
        assert_eq!(BucketCount::new(&bucket, &tally).read(), Some((bucket, tally)));
        let identifier = samples::issued(1).identifier().clone();
        let holding = Holding { identifier, mark: Mark(7) };
        assert_eq!(HoldingRecord::new(&bucket, &holding).read(), Some((bucket, holding)));
    }

    #[test]
    fn an_answer_about_more_records_than_any_batch_has_is_not_read() {
        let answer = |records: u64| {
            let records = vec!["{}"; usize::try_from(records).unwrap()].join(",");
            let text =
                format!(r#"{{"format":"","batch":"","result":"taken","records":[{records}]}}"#);
            serde_json::from_str::<Answer>(&text)
        };
        assert_eq!(answer(BATCH_RECORDS).unwrap().records.len() as u64, BATCH_RECORDS);
        let error = answer(BATCH_RECORDS + 1).unwrap_err().to_string();
        assert!(error.contains("more than 20000"), "{error}");
    }

    #[test]
    fn what_is_no_count_is_none() {
        for digest in ["", "x", "+1", "1000000000000000"] {
            assert_eq!(sixty_bits(digest), None, "{digest}");
        }
        let with = |types: &[(&str, u64)]| Counts {
            types: types.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect(),
            ..Counts::default()
        };
        assert_eq!(with(&[("x", 1)]).by_type(), None);
        assert_eq!(with(&[("x", 0)]).by_type(), Some(BTreeMap::new()));
    }
}
