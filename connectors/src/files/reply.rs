//! What a receiver dropped → what follows. Pure.

use encoding_rs::{Encoding, UTF_8};
use licence::Seq;

use super::{
    answer::{ANSWER_FORMAT, Answer, AnswerRecord, COUNTS_FORMAT, Counts, Outcome},
    manifest::Manifest,
};
use crate::{Refused, Reply, ReplyPosition, remark};

/// Most records that an answer can name: as many as a batch can have.
const RECORDS: usize = 10_000;

/// An answer as read.
///
/// # Errors
/// Why it is none.
pub(crate) fn parse(bytes: &[u8], encoding: &'static Encoding) -> Result<Answer, &'static str> {
    let text = decoded(bytes, encoding)?;
    let answer: Answer =
        serde_json::from_str(&text).map_err(|_| "is not JSON of the agreed shape")?;
    if answer.format != ANSWER_FORMAT {
        return Err("has another `format`");
    }
    if answer.records.len() > RECORDS {
        return Err("names more records than a batch has");
    }
    if answer.result == Outcome::Refused && !answer.records.is_empty() {
        return Err("refuses the batch and names records of it too");
    }
    Ok(answer)
}

/// Counts as read.
///
/// # Errors
/// Why they are none.
pub(crate) fn parse_counts(
    bytes: &[u8],
    encoding: &'static Encoding,
) -> Result<Counts, &'static str> {
    let text = decoded(bytes, encoding)?;
    let counts: Counts =
        serde_json::from_str(&text).map_err(|_| "is not JSON of the agreed shape")?;
    if counts.format != COUNTS_FORMAT {
        return Err("has another `format`");
    }
    Ok(counts)
}

/// UTF-8, or else the agreed encoding.
fn decoded(bytes: &[u8], encoding: &'static Encoding) -> Result<String, &'static str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Some(text) = UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
        return Ok(text.into_owned());
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    text.map(|text| text.into_owned()).ok_or("is in another encoding")
}

/// Whether it takes the batch's manifest to understand this answer: to know which changes were in the batch.
pub(crate) fn needs_manifest(answer: &Answer, connector: &str) -> bool {
    answer.result == Outcome::Refused
        || answer.records.iter().any(|record| number(record, connector).is_none())
}

/// What it says about our records.
///
/// * `modified`: when the answer was written, in seconds since 1970, by the server's clock.
///
/// # Errors
/// Why it cannot be understood.
pub(crate) fn replies(
    answer: &Answer,
    manifest: Option<&Manifest>,
    connector: &str,
    modified: u64,
) -> Result<Vec<Reply>, &'static str> {
    let mut refused = Vec::new();
    match answer.result {
        Outcome::Refused => {
            let numbers = &manifest.ok_or("is about a batch whose manifest is gone")?.numbers;
            let code = answer.code.as_deref().map_or("batch_refused".to_owned(), remark::code);
            let remark = remark::kept(answer.remark.as_deref().unwrap_or_default());
            refused.extend(numbers.iter().map(|number| Refused {
                seq: Seq(*number),
                code: code.clone(),
                remark: remark.clone(),
            }));
        }
        Outcome::Taken => {
            for record in &answer.records {
                let number = match number(record, connector) {
                    Some(number) => number,
                    None => by_line(record, manifest)?,
                };
                // Its own manifest is the measure, where it is there.
                if manifest.is_some_and(|manifest| !manifest.numbers.contains(&number)) {
                    return Err("names a record that was not in the batch");
                }
                refused.push(Refused {
                    seq: Seq(number),
                    code: remark::code(&record.code),
                    remark: remark::kept(&record.remark),
                });
            }
        }
    }
    let micros = modified.saturating_mul(1_000_000);
    let mut replies: Vec<Reply> = refused
        .into_iter()
        .map(|refused| Reply {
            position: ReplyPosition {
                micros,
                key: format!("{}/{:020}", answer.batch, refused.seq.0),
            },
            refused,
        })
        .collect();
    replies.sort_by(|one, other| one.position.cmp(&other.position));
    // A record that is named twice in one answer is refused once.
    replies.dedup_by(|one, other| one.position == other.position);
    Ok(replies)
}

/// The change that a key of ours names.
fn number(record: &AnswerRecord, connector: &str) -> Option<u64> {
    let digits = record.key.as_deref()?.strip_prefix(connector)?.strip_prefix('-')?;
    let fits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| fits)
}

fn by_line(record: &AnswerRecord, manifest: Option<&Manifest>) -> Result<u64, &'static str> {
    let line = record.line.ok_or("names a record neither by our key nor by its line")?;
    let manifest = manifest.ok_or("names a line of a batch whose manifest is gone")?;
    let index = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
    let number = index.and_then(|index| manifest.numbers.get(index));
    number.copied().ok_or("names a line that the batch does not have")
}

/// Whether this can be the name of a batch of ours: `NAME-FIRST-LAST-DIGEST`.
pub(crate) fn is_ours(stem: &str, connector: &str) -> bool {
    first_of(stem, connector).is_some()
}

/// The first number in the name of a batch of ours; `None`: it is none.
pub(crate) fn first_of(stem: &str, connector: &str) -> Option<u64> {
    let rest = stem.strip_prefix(connector)?.strip_prefix('-')?;
    let mut parts = rest.split('-');
    let (first, last, digest) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str| text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit());
    let hex = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = parts.next().is_none() && digits(first) && digits(last) && hex(digest);
    first.parse().ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use encoding_rs::GB18030;

    use super::*;
    use crate::files::manifest::{Content, MANIFEST_FORMAT};

    const STEM: &str = "city-00000000000000000004-00000000000000000009-0123456789abcdef";

    fn manifest() -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            sender: "city".to_owned(),
            batch: STEM.to_owned(),
            file: format!("{STEM}.csv"),
            content: Content::Csv,
            encoding: "utf-8".to_owned(),
            records: 3,
            operations: None,
            size: 0,
            sha256: String::new(),
            sm3: None,
            first: Some(4),
            last: Some(9),
            numbers: vec![4, 7, 9],
        }
    }

    fn answer(json: &str) -> Result<Answer, &'static str> {
        let text = format!(r#"{{"format":"yihao-files-answer-1","batch":"{STEM}",{json}}}"#);
        parse(text.as_bytes(), UTF_8)
    }

    fn found(
        json: &str,
        manifest: Option<&Manifest>,
    ) -> Result<Vec<(u64, String, String)>, &'static str> {
        let replies = replies(&answer(json)?, manifest, "city", 5)?;
        assert!(replies.iter().all(|reply| reply.position.micros == 5_000_000));
        Ok(replies
            .into_iter()
            .map(|reply| (reply.refused.seq.0, reply.refused.code, reply.refused.remark))
            .collect())
    }

    #[test]
    fn each_answer_has_its_outcome() {
        let manifest = manifest();
        let there = Some(&manifest);
        let all = |code: &str, remark: &str| {
            Ok([4, 7, 9].map(|number| (number, code.to_owned(), remark.to_owned())).to_vec())
        };
        let one = |number, code: &str, remark: &str| {
            Ok(vec![(number, code.to_owned(), remark.to_owned())])
        };
        let key = "city-00000000000000000007";
        for (json, manifest, expected) in [
            (r#""result":"taken""#.to_owned(), None, Ok(vec![])),
            (r#""result":"refused""#.to_owned(), there, all("batch_refused", "")),
            (
                r#""result":"refused","code":"checksum","remark":"第11010519491231002X号"}"#
                    .trim_end_matches('}')
                    .to_owned(),
                there,
                all("checksum", "第***号"),
            ),
            (
                r#""result":"refused""#.to_owned(),
                None,
                Err("is about a batch whose manifest is gone"),
            ),
            (
                r#""result":"taken","records":[{"line":3,"code":"type"}]"#.to_owned(),
                there,
                one(9, "type", ""),
            ),
            (
                format!(r#""result":"taken","records":[{{"key":"{key}","remark":"x"}}]"#),
                None,
                one(7, "refused", "x"),
            ),
            (
                format!(r#""result":"taken","records":[{{"key":"{key}"}},{{"line":2}}]"#),
                there,
                one(7, "refused", ""),
            ),
            (
                r#""result":"taken","records":[{"line":0}]"#.to_owned(),
                there,
                Err("names a line that the batch does not have"),
            ),
            (
                r#""result":"taken","records":[{"line":4}]"#.to_owned(),
                there,
                Err("names a line that the batch does not have"),
            ),
            (
                r#""result":"taken","records":[{"line":1}]"#.to_owned(),
                None,
                Err("names a line of a batch whose manifest is gone"),
            ),
            (
                r#""result":"taken","records":[{"key":"city-5"}]"#.to_owned(),
                there,
                Err("names a record neither by our key nor by its line"),
            ),
            (
                r#""result":"taken","records":[{"key":"city-00000000000000000008"}]"#.to_owned(),
                there,
                Err("names a record that was not in the batch"),
            ),
            (
                r#""result":"refused","records":[{"line":1}]"#.to_owned(),
                there,
                Err("refuses the batch and names records of it too"),
            ),
            (r#""result":"perhaps""#.to_owned(), there, Err("is not JSON of the agreed shape")),
        ] {
            assert_eq!(found(&json, manifest), expected, "{json}");
        }
    }

    #[test]
    fn answers_come_in_utf_8_or_in_the_agreed_encoding() {
        let text = format!(
            r#"{{"format":"yihao-files-answer-1","batch":"{STEM}","result":"refused","remark":"退回"}}"#
        );
        let remark = |bytes: &[u8], encoding| {
            parse(bytes, encoding).map(|answer| answer.remark.unwrap_or_default())
        };
        let gb = GB18030.encode(&text).0.into_owned();
        assert_eq!(remark(&gb, GB18030), Ok("退回".to_owned()));
        assert_eq!(remark(&gb, UTF_8), Err("is in another encoding"));
        assert_eq!(remark(text.as_bytes(), GB18030), Ok("退回".to_owned()));
        let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
        assert_eq!(remark(&marked, GB18030), Ok("退回".to_owned()));
        assert_eq!(remark(b"{}", UTF_8), Err("is not JSON of the agreed shape"));
        assert_eq!(
            remark(text.replace("answer-1", "answer-2").as_bytes(), UTF_8),
            Err("has another `format`")
        );
    }

    #[test]
    fn only_names_of_our_batches_are_ours() {
        assert!(is_ours(STEM, "city"));
        for other in ["", "city-", &STEM[1..], &format!("{STEM}-x"), &STEM.replace('f', "g")] {
            assert!(!is_ours(other, "city"), "{other}");
        }
        assert!(!is_ours(STEM, "province"));
    }
}
