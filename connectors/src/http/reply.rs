//! What the receiver answers → what follows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use licence::{LicenceTypeCode, Seq};
use serde::de::DeserializeOwned;

use super::{
    client::Response,
    wire::{Answer, Counts},
};
use crate::{Batch, Delivered, DeliveryError, Problem, Refused, remark};

/// The answer to a push → outcome.
///
/// # Errors
/// By status first, then `AnswerMalformed`, `AnswerDoesNotAddUp`, `AnswerNamesOther`.
pub(crate) fn outcome(response: &Response, batch: &Batch) -> Result<Delivered, DeliveryError> {
    let answer: Answer = content(response)?;
    let mut open: BTreeSet<u64> = batch.items.iter().map(|item| item.seq().0).collect();
    let sent = open.len() as u64;
    let mut refused = Vec::with_capacity(answer.refused.len().min(batch.items.len()));
    for record in &answer.refused {
        if !open.remove(&record.seq) {
            return Err(DeliveryError::Configuration(Problem::AnswerNamesOther {
                seq: record.seq,
            }));
        }
        refused.push(Refused {
            seq: Seq(record.seq),
            code: remark::code(&record.code),
            remark: remark::kept(&record.remark),
        });
    }
    let refusals = answer.refused.len() as u64;
    if answer.accepted != open.len() as u64 {
        let problem =
            Problem::AnswerDoesNotAddUp { sent, accepted: answer.accepted, refused: refusals };
        return Err(DeliveryError::Configuration(problem));
    }
    refused.sort_by_key(|record| record.seq);
    Ok(Delivered { refused })
}

/// The answer with counts → counts.
///
/// # Errors
/// By status first, then `AnswerMalformed`, `UnknownTypeCounted`.
pub(crate) fn counts(response: &Response) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
    let answer: Counts = content(response)?;
    answer
        .counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(code, count)| Some((code.parse().ok()?, count)))
        .collect::<Option<_>>()
        .ok_or(DeliveryError::Configuration(Problem::UnknownTypeCounted))
}

fn content<T: DeserializeOwned>(response: &Response) -> Result<T, DeliveryError> {
    use DeliveryError::{Configuration, Refused, Unreachable};
    let status = response.status;
    match status {
        200 if !response.json => Err(Configuration(Problem::AnswerMalformed {
            why: "its content type is not application/json",
        })),
        200 => serde_json::from_slice(&response.body).map_err(|_| {
            Configuration(Problem::AnswerMalformed { why: "its body is not the agreed JSON" })
        }),
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
    use std::time::Duration;

    use super::*;
    use crate::rules::samples;

    fn response(status: u16, body: &str) -> Response {
        let retry_after = (status == 429).then_some(Duration::from_secs(7));
        Response { status, retry_after, json: true, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn each_answer_has_its_outcome() {
        let batch = Batch::new("city", 0, vec![samples::issued(5), samples::issued(6)]);
        for (status, body, outcome_is, code) in [
            (200, r#"{"accepted":2,"refused":[]}"#, "delivered", ""),
            (
                200,
                r#"{"accepted":0,"refused":[{"seq":6,"code":"b"},{"seq":5,"code":"a"}]}"#,
                "delivered",
                "",
            ),
            (200, r#"{"accepted":1,"refused":[]}"#, "configuration", "answer_does_not_add_up"),
            (200, r#"{"accepted":3,"refused":[]}"#, "configuration", "answer_does_not_add_up"),
            (200, r#"{"accepted":1,"refused":[{"seq":7}]}"#, "configuration", "answer_names_other"),
            (
                200,
                r#"{"accepted":1,"refused":[{"seq":5},{"seq":5}]}"#,
                "configuration",
                "answer_names_other",
            ),
            (200, r#"{"accepted":-1,"refused":[]}"#, "configuration", "answer_malformed"),
            (200, r#"{"refused":[]}"#, "configuration", "answer_malformed"),
            (200, "", "configuration", "answer_malformed"),
            (201, "", "configuration", "no_interface"),
            (301, "", "configuration", "no_interface"),
            (400, "", "refused", "batch_refused"),
            (401, "", "configuration", "access_refused"),
            (403, "", "configuration", "access_refused"),
            (404, "", "configuration", "no_interface"),
            (405, "", "configuration", "no_interface"),
            (408, "", "unreachable", "receiver_failing"),
            (409, "", "refused", "batch_refused"),
            (413, "", "refused", "batch_refused"),
            (422, "", "refused", "batch_refused"),
            (429, "", "unreachable", "receiver_failing"),
            (500, "", "unreachable", "receiver_failing"),
            (503, "", "unreachable", "receiver_failing"),
        ] {
            let found = match outcome(&response(status, body), &batch) {
                Ok(_) => ("delivered", ""),
                Err(error) => match &error {
                    DeliveryError::Unreachable(_) => ("unreachable", error.code()),
                    DeliveryError::Refused(_) => ("refused", error.code()),
                    DeliveryError::Configuration(_) => ("configuration", error.code()),
                },
            };
            assert_eq!(found, (outcome_is, code), "{status} {body}");
        }
    }

    #[test]
    fn refused_records_come_in_order_with_masked_remarks() {
        let batch = Batch::new("city", 0, vec![samples::issued(5), samples::issued(6)]);
        let body = format!(
            r#"{{"accepted":0,"refused":[{{"seq":6}},{{"seq":5,"code":"no {c}","remark":"号码 {c} 有误"}}]}}"#,
            c = samples::CITIZEN
        );
        let refused = outcome(&response(200, &body), &batch).unwrap().refused;
        assert_eq!((refused[0].seq.0, refused[1].seq.0), (5, 6));
        assert_eq!(
            (refused[0].code.as_str(), refused[0].remark.as_str()),
            ("refused", "号码 *** 有误")
        );
    }

    #[test]
    fn the_receiver_may_ask_for_time() {
        let batch = Batch::new("city", 0, vec![samples::issued(5)]);
        let error = outcome(&response(429, ""), &batch).unwrap_err();
        assert_eq!(error.problem().retry_after(), Some(Duration::from_secs(7)));
    }
}
