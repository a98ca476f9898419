//! What the receiver answers → what follows. Pure.

use std::collections::{BTreeMap, HashMap};

use licence::Sha256Digest;
use serde::de::DeserializeOwned;

use super::{
    client::Response,
    wire::{ANSWER_FORMAT, Answer, Holdings, MANIFEST_MISSING, Tallies, number_of},
};
use crate::{Bucket, DeliveryError, Holding, Mark, Problem, Refused, Shared, Tally, remark};

/// What became of the events of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Not taken.
    pub(crate) refused: Vec<Refused>,
    /// Not taken until the receiver has this manifest: place in the request, and which.
    pub(crate) waiting: Vec<(usize, Sha256Digest)>,
}

/// The answer to events with these ids → outcome.
///
/// * `is_hub`: every event must be answered for; of other receivers, success means that all are taken.
///
/// # Errors
/// By status first, then `AnswerMalformed`, `AnswerDoesNotAddUp`, `AnswerNamesOther`.
pub(crate) fn outcome(
    response: &Response,
    connector: &str,
    items: &[&Shared],
    is_hub: bool,
) -> Result<Outcome, DeliveryError> {
    judge_status(response)?;
    let Some(answer) = answer(response, is_hub)? else { return Ok(Outcome::default()) };
    let mut open: HashMap<String, usize> =
        items.iter().enumerate().map(|(place, item)| (item.key(connector), place)).collect();
    let mut outcome = Outcome::default();
    for event in &answer.refused {
        let Some(place) = open.remove(&event.id) else {
            return Err(DeliveryError::Configuration(match number_of(&event.id) {
                Some(seq) => Problem::AnswerNamesOther { seq },
                None => malformed("it refuses an event that was not sent"),
            }));
        };
        match event.manifest {
            Some(digest) if event.code == MANIFEST_MISSING => outcome.waiting.push((place, digest)),
            _ => outcome.refused.push(Refused {
                seq: items[place].seq(),
                code: remark::code(&event.code),
                remark: remark::kept(&event.remark),
            }),
        }
    }
    if answer.accepted != open.len() as u64 {
        return Err(DeliveryError::Configuration(Problem::AnswerDoesNotAddUp {
            sent: items.len() as u64,
            accepted: answer.accepted,
            refused: answer.refused.len() as u64,
        }));
    }
    outcome.refused.sort_by_key(|record| record.seq);
    outcome.waiting.sort_unstable();
    Ok(outcome)
}

/// The answer to a manifest: `Some` with why it is refused.
///
/// # Errors
/// As [`outcome`].
pub(crate) fn manifest(
    response: &Response,
    is_hub: bool,
) -> Result<Option<(String, String)>, DeliveryError> {
    judge_status(response)?;
    let answer = answer(response, is_hub)?;
    let refused = answer.and_then(|answer| answer.refused.into_iter().next());
    Ok(refused.map(|event| (remark::code(&event.code), remark::kept(&event.remark))))
}

/// The answer with tallies.
///
/// # Errors
/// By status first, then `AnswerMalformed`.
pub(crate) fn tallies(response: &Response) -> Result<BTreeMap<Bucket, Tally>, DeliveryError> {
    let answer: Tallies = content(response)?;
    let lines = answer.tallies.into_iter().filter(|line| line.count > 0);
    Ok(lines
        .map(|line| {
            let bucket = Bucket { licence_type: line.licence_type, day: line.day };
            (bucket, Tally { count: line.count, digest: line.digest })
        })
        .collect())
}

/// The answer with holdings, at most `limit`.
///
/// # Errors
/// By status first, then `AnswerMalformed`.
pub(crate) fn holdings(response: &Response, limit: usize) -> Result<Vec<Holding>, DeliveryError> {
    let answer: Holdings = content(response)?;
    if answer.holdings.len() > limit {
        return Err(DeliveryError::Configuration(malformed("it holds more than was asked for")));
    }
    let lines = answer.holdings.into_iter();
    Ok(lines.map(|line| Holding { identifier: line.identifier, mark: Mark(line.mark) }).collect())
}

fn answer(response: &Response, is_hub: bool) -> Result<Option<Answer>, DeliveryError> {
    let answer: Option<Answer> =
        response.json.then(|| serde_json::from_slice(&response.body).ok()).flatten();
    match answer.filter(|answer| answer.format == ANSWER_FORMAT) {
        None if is_hub => {
            Err(DeliveryError::Configuration(malformed("its body is not a hub's answer")))
        }
        answer => Ok(answer),
    }
}

fn malformed(why: &'static str) -> Problem {
    Problem::AnswerMalformed { why }
}

fn content<T: DeserializeOwned>(response: &Response) -> Result<T, DeliveryError> {
    judge_status(response)?;
    let why = if response.json {
        match serde_json::from_slice(&response.body) {
            Ok(content) => return Ok(content),
            Err(_) => "its body is not the agreed JSON",
        }
    } else {
        "its content type is not application/json"
    };
    Err(DeliveryError::Configuration(malformed(why)))
}

fn judge_status(response: &Response) -> Result<(), DeliveryError> {
    use DeliveryError::{Configuration, Refused, Unreachable};
    let status = response.status;
    match status {
        200..=299 => Ok(()),
        401 | 403 | 407 => Err(Configuration(Problem::AccessRefused { status })),
        408 | 425 | 429 | 500..=599 => {
            Err(Unreachable(Problem::ReceiverFailing { status, retry_after: response.retry_after }))
        }
        400 | 409 | 413 | 422 => Err(Refused(Problem::BatchRefused { status })),
        _ => Err(Configuration(Problem::NoInterface { status })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    fn response(status: u16, body: &str) -> Response {
        Response { status, retry_after: None, json: true, body: body.as_bytes().to_vec() }
    }

    fn hub(accepted: u64, refused: &str) -> String {
        format!(r#"{{"format":"yihao-exchange-1","accepted":{accepted},"refused":[{refused}]}}"#)
    }

    fn id(seq: u64) -> String {
        format!("neighbour-{seq:020}")
    }

    #[test]
    fn each_answer_has_its_outcome() {
        let (five, six) = (samples::issued(5), samples::issued(6));
        let items = [&five, &six];
        let refusal = |seq| format!(r#"{{"id":"{}","code":"conflict"}}"#, id(seq));
        let missing = format!(
            r#"{{"id":"{}","code":"manifest_missing","manifest":"{}"}}"#,
            id(6),
            samples::sha256(b"m")
        );
        let both = format!("{},{}", refusal(5), refusal(5));
        for (status, body, hub_says, any_says) in [
            (200, hub(2, ""), "delivered 0 0", "delivered 0 0"),
            (200, hub(1, &refusal(6)), "delivered 1 0", "delivered 1 0"),
            (200, hub(1, &missing), "delivered 0 1", "delivered 0 1"),
            (200, hub(2, &refusal(6)), "answer_does_not_add_up", "answer_does_not_add_up"),
            (200, hub(1, ""), "answer_does_not_add_up", "answer_does_not_add_up"),
            (200, hub(1, &refusal(7)), "answer_names_other", "answer_names_other"),
            (200, hub(1, &both), "answer_names_other", "answer_names_other"),
            (200, hub(1, r#"{"id":"x","code":"y"}"#), "answer_malformed", "answer_malformed"),
            (200, String::new(), "answer_malformed", "delivered 0 0"),
            (202, r#"{"ok":true}"#.to_owned(), "answer_malformed", "delivered 0 0"),
            (204, String::new(), "answer_malformed", "delivered 0 0"),
            (301, String::new(), "no_interface", "no_interface"),
            (400, String::new(), "batch_refused", "batch_refused"),
            (403, String::new(), "access_refused", "access_refused"),
            (404, String::new(), "no_interface", "no_interface"),
            (413, String::new(), "batch_refused", "batch_refused"),
            (415, String::new(), "no_interface", "no_interface"),
            (429, String::new(), "receiver_failing", "receiver_failing"),
            (503, String::new(), "receiver_failing", "receiver_failing"),
        ] {
            for (is_hub, expected) in [(true, hub_says), (false, any_says)] {
                let said = match outcome(&response(status, &body), "neighbour", &items, is_hub) {
                    Ok(outcome) => {
                        format!("delivered {} {}", outcome.refused.len(), outcome.waiting.len())
                    }
                    Err(error) => error.code().to_owned(),
                };
                assert_eq!(said, expected, "{status} {body} hub: {is_hub}");
            }
        }
    }

    #[test]
    fn words_of_the_receiver_are_masked() {
        let five = samples::issued(5);
        let body = hub(
            0,
            &format!(
                r#"{{"id":"{}","code":"no {c}","remark":"号码 {c}"}}"#,
                id(5),
                c = samples::CITIZEN
            ),
        );
        let refused = outcome(&response(200, &body), "neighbour", &[&five], true).unwrap().refused;
        assert_eq!((refused[0].code.as_str(), refused[0].remark.as_str()), ("refused", "号码 ***"));
    }

    #[test]
    fn holdings_are_no_more_than_was_asked_for() {
        let one = format!(
            r#"{{"holdings":[{{"identifier":"{}","mark":7}}]}}"#,
            samples::issued(5).identifier()
        );
        assert_eq!(holdings(&response(200, &one), 1).unwrap()[0].mark, Mark(7));
        assert_eq!(holdings(&response(200, &one), 0).unwrap_err().code(), "answer_malformed");
        assert_eq!(holdings(&response(200, "{}"), 1).unwrap_err().code(), "answer_malformed");
        assert_eq!(tallies(&response(200, r#"{"tallies":[]}"#)).unwrap(), BTreeMap::new());
    }
}
