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
