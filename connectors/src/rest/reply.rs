//! What a gateway answers → what follows. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{Timestamp, civil::Date};
use licence::{LicenceId, LicenceTypeCode};
use serde_json::Value;

use super::shape::{
    Action, Answers, Counts, Holdings, Lists, Naming, Results, Tallies, Token, Unit,
};
use crate::{Bucket, DeliveryError, Holding, Mark, Problem, Refused, Shared, Tally, remark};

/// An answer of the gateway.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The gateway's clock.
    pub(crate) date: Option<Timestamp>,
    /// Read only if the status says that it counts.
    pub(crate) body: Vec<u8>,
}

/// What follows from an answer.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Done. With the body, if it counts.
    Taken(Value),
    /// Not taken, now or later.
    Refused { code: String, remark: String },
    /// The token is not accepted.
    Renew { code: String },
    /// Our time is not accepted.
    Clock,
    /// Everything else.
    Failed(DeliveryError),
}

/// What the status alone says.
pub(crate) fn of_status(answers: &Answers, status: u16) -> Action {
    let class = format!("{}xx", status / 100);
    let found = answers
        .statuses
        .get(&status.to_string())
        .or_else(|| answers.statuses.get(&class))
        .or_else(|| answers.statuses.get("*"));
    found.copied().unwrap_or_else(|| usual(status))
}

/// What a status says if the shape says nothing.
fn usual(status: u16) -> Action {
    match status {
        200 => Action::Body,
        401 => Action::Renew,
        408 | 425 | 429 | 500..=599 => Action::Retry,
        400 | 409 | 413 | 422 => Action::Refuse,
        _ => Action::Stop,
    }
}

/// What follows from an answer.
pub(crate) fn verdict(answers: &Answers, response: &Response) -> Verdict {
    let status = response.status;
    let action = of_status(answers, status);
    if action == Action::Body {
        let read = serde_json::from_slice::<Value>(&response.body).ok();
        let code = read.as_ref().and_then(|body| first(body, &answers.code_at));
        match (read, code) {
            (Some(body), Some(code)) => return of_code(answers, response, body, &code),
            (None, _) if status == 200 => {
                return malformed("its body is not JSON");
            }
            (Some(_), None) if status == 200 => {
                return malformed("its body has no code where the shape says");
            }
            // Something before the gateway answered: by status alone.
            _ => {
                return of_action(
                    unless_body(usual(status)),
                    response,
                    &status.to_string(),
                    "",
                    true,
                );
            }
        }
    }
    of_action(action, response, &status.to_string(), "", true)
}

fn unless_body(action: Action) -> Action {
    if action == Action::Body { Action::Stop } else { action }
}

fn malformed(why: &'static str) -> Verdict {
    Verdict::Failed(DeliveryError::Configuration(Problem::AnswerMalformed { why }))
}

fn of_code(answers: &Answers, response: &Response, body: Value, code: &str) -> Verdict {
    let action = answers.codes.get(code).or_else(|| answers.codes.get("*"));
    match action.copied().unwrap_or(Action::Stop) {
        Action::Taken => Verdict::Taken(body),
        action => {
            let message = first(&body, &answers.message_at).unwrap_or_default();
            of_action(unless_body(action), response, code, &message, false)
        }
    }
}

fn of_action(
    action: Action,
    response: &Response,
    code: &str,
    message: &str,
    by_status: bool,
) -> Verdict {
    use DeliveryError::{Configuration, Unreachable};
    let status = response.status;
    let retry_after = response.retry_after;
    let code = remark::code(code);
    match action {
        Action::Taken | Action::Body => Verdict::Taken(Value::Null),
        Action::Refuse => {
            let remark = match message {
                "" => format!("the gateway answered {code}"),
                message => remark::kept(message),
            };
            Verdict::Refused { code, remark }
        }
        Action::Renew => Verdict::Renew { code },
        Action::Clock => Verdict::Clock,
        Action::Retry if by_status => {
            Verdict::Failed(Unreachable(Problem::ReceiverFailing { status, retry_after }))
        }
        Action::Retry => {
            Verdict::Failed(Unreachable(Problem::GatewayFailing { code, retry_after }))
        }
        Action::Stop if by_status && matches!(status, 401 | 403 | 407) => {
            Verdict::Failed(Configuration(Problem::AccessRefused { status }))
        }
        Action::Stop if by_status => {
            Verdict::Failed(Configuration(Problem::NoInterface { status }))
        }
        Action::Stop => Verdict::Failed(Configuration(Problem::GatewayStopped { code })),
    }
}

/// What the answer says of each record.
///
/// # Errors
/// `AnswerMalformed`, `AnswerNamesOther`, `AnswerDoesNotAddUp`; `GatewayFailing` and `GatewayStopped` by the code of a
/// record.
pub(crate) fn results(
    results: &Results,
    body: &Value,
    items: &[&Shared],
    connector: &str,
) -> Result<Vec<Refused>, DeliveryError> {
    use DeliveryError::{Configuration, Unreachable};
    let malformed = |why| Configuration(Problem::AnswerMalformed { why });
    let list = match body.pointer(&results.at) {
        Some(Value::Array(list)) => list.as_slice(),
        None | Some(Value::Null) if results.lists == Lists::Refused => &[],
        _ => return Err(malformed("it has no list of results where the shape says")),
    };
    // Two changes of one licence are never in one request if answers name licences.
    let mut open: BTreeMap<String, &Shared> = (1_u64..)
        .zip(items)
        .map(|(place, item)| (named(results.record_is, place, item, connector), *item))
        .collect();
    let sent = open.len() as u64;
    let mut refused = Vec::new();
    let mut failed = None;
    let mut told = 0;
    for entry in list {
        let name = entry.pointer(&results.record_at).and_then(text);
        let code = entry.pointer(&results.code_at).and_then(text);
        let (Some(name), Some(code)) = (name, code) else {
            return Err(malformed("a result has no record or no code where the shape says"));
        };
        let Some(item) = open.remove(&name) else {
            return Err(malformed(
                "a result is about a record that was not sent, or told of before",
            ));
        };
        told += 1;
        let action = results.codes.get(&code).or_else(|| results.codes.get("*"));
        let code = remark::code(&code);
        match action.copied().unwrap_or(Action::Stop) {
            Action::Taken => {}
            Action::Refuse => {
                let message =
                    results.message_at.as_ref().and_then(|at| entry.pointer(at)).and_then(text);
                let remark = match message {
                    Some(message) if !message.is_empty() => remark::kept(&message),
                    _ => format!("the gateway answered {code}"),
                };
                refused.push(Refused { seq: item.seq(), code, remark });
            }
            Action::Retry => {
                failed = Some(Unreachable(Problem::GatewayFailing { code, retry_after: None }));
            }
            _ => failed = failed.or(Some(Configuration(Problem::GatewayStopped { code }))),
        }
    }
    if results.lists == Lists::All && !open.is_empty() {
        let accepted = told - refused.len() as u64;
        let refused = refused.len() as u64;
        return Err(Configuration(Problem::AnswerDoesNotAddUp { sent, accepted, refused }));
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(refused),
    }
}

fn named(naming: Naming, place: u64, item: &Shared, connector: &str) -> String {
    match naming {
        Naming::Key => item.key(connector),
        Naming::Seq => item.seq().to_string(),
        Naming::Identifier => item.identifier().to_string(),
        Naming::Place => place.to_string(),
    }
}

/// A token, and how long it holds.
///
/// # Errors
/// `AnswerMalformed`.
pub(crate) fn token(token: &Token, body: &Value) -> Result<(String, Duration), DeliveryError> {
    let malformed = |why| DeliveryError::Configuration(Problem::AnswerMalformed { why });
    let text = body.pointer(&token.token_at).and_then(Value::as_str);
    let text = text
        .filter(|text| {
            (1..=8_192).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .ok_or_else(|| malformed("it has no token where the shape says"))?;
    let told = token.lifetime_at.as_ref().and_then(|at| body.pointer(at));
    let lifetime = match told.filter(|value| !value.is_null()) {
        None => Duration::from_secs(token.lifetime_s),
        Some(value) => {
            let number =
                number(value).ok_or_else(|| malformed("the token's lifetime is no number"))?;
            match token.lifetime_unit {
                Unit::Milliseconds => Duration::from_millis(number),
                Unit::Seconds => Duration::from_secs(number),
                Unit::Minutes => Duration::from_secs(number.saturating_mul(60)),
            }
        }
    };
    // A day at most: a token that is renewed too often does no harm.
    Ok((text.to_owned(), lifetime.min(Duration::from_secs(86_400))))
}

/// Counts by type.
///
/// # Errors
/// `AnswerMalformed`, `UnknownTypeCounted`.
pub(crate) fn counts(
    counts: &Counts,
    body: &Value,
) -> Result<BTreeMap<LicenceTypeCode, u64>, DeliveryError> {
    let mut found = BTreeMap::new();
    for entry in list(body, &counts.at)? {
        let count = entry.pointer(&counts.count_at).and_then(number).ok_or_else(no_count)?;
        if count > 0 && found.insert(licence_type(entry, &counts.type_at)?, count).is_some() {
            return Err(twice());
        }
    }
    Ok(found)
}

/// Counts and digests by type and day.
///
/// # Errors
/// `AnswerMalformed`, `UnknownTypeCounted`.
pub(crate) fn tallies(
    tallies: &Tallies,
    body: &Value,
) -> Result<BTreeMap<Bucket, Tally>, DeliveryError> {
    let mut found = BTreeMap::new();
    for entry in list(body, &tallies.at)? {
        let count = entry.pointer(&tallies.count_at).and_then(number).ok_or_else(no_count)?;
        let sum = entry.pointer(&tallies.digest_at).and_then(text);
        let tally = sum.and_then(|sum| Tally::from_sum(count, &sum)).ok_or_else(no_count)?;
        let day = entry.pointer(&tallies.day_at).and_then(Value::as_str).and_then(day);
        let day = day.ok_or_else(no_count)?;
        let bucket = Bucket { licence_type: licence_type(entry, &tallies.type_at)?, day };
        if count > 0 && found.insert(bucket, tally).is_some() {
            return Err(twice());
        }
    }
    Ok(found)
}

/// The records of one bucket, in order of identifiers.
///
/// # Errors
/// `AnswerMalformed`.
pub(crate) fn holdings(
    holdings: &Holdings,
    body: &Value,
    limit: usize,
) -> Result<Vec<Holding>, DeliveryError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in list(body, &holdings.at)?.iter().take(limit) {
        let identifier = entry.pointer(&holdings.identifier_at).and_then(Value::as_str);
        let identifier: Option<LicenceId> = identifier.and_then(|text| text.parse().ok());
        let mark = entry.pointer(&holdings.mark_at).and_then(number).map(Mark);
        let (Some(identifier), Some(mark)) = (identifier, mark) else { return Err(no_count()) };
        if !seen.insert(identifier.clone()) {
            return Err(twice());
        }
        found.push(Holding { identifier, mark });
    }
    found.sort_by(|a, b| a.identifier.cmp(&b.identifier));
    Ok(found)
}

fn no_count() -> DeliveryError {
    let why = "an entry of what is held is not as the shape says";
    DeliveryError::Configuration(Problem::AnswerMalformed { why })
}

fn twice() -> DeliveryError {
    let why = "it counts something twice";
    DeliveryError::Configuration(Problem::AnswerMalformed { why })
}

fn list<'a>(body: &'a Value, at: &str) -> Result<&'a [Value], DeliveryError> {
    let why = "it has no list where the shape says";
    let list = body.pointer(at).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or(DeliveryError::Configuration(Problem::AnswerMalformed { why }))
}

fn licence_type(entry: &Value, at: &str) -> Result<LicenceTypeCode, DeliveryError> {
    let code = entry.pointer(at).and_then(Value::as_str).and_then(|text| text.parse().ok());
    code.ok_or(DeliveryError::Configuration(Problem::UnknownTypeCounted))
}

/// `2025-03-01` or `20250301`.
fn day(text: &str) -> Option<Date> {
    text.parse().ok().or_else(|| Date::strptime("%Y%m%d", text).ok())
}

fn first(body: &Value, pointers: &[String]) -> Option<String> {
    pointers.iter().find_map(|at| body.pointer(at).and_then(text))
}

/// A string, number or truth as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A number, or a string of digits.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{rest::shape::Shape, rules::samples};

    fn shape(name: &str) -> Shape {
        Shape::built_in(name).unwrap()
    }

    fn response(status: u16, body: &str) -> Response {
        let retry_after = (status == 429).then_some(Duration::from_secs(7));
        Response { status, retry_after, date: None, body: body.as_bytes().to_vec() }
    }

    fn word(verdict: &Verdict) -> (&'static str, String) {
        match verdict {
            Verdict::Taken(_) => ("taken", String::new()),
            Verdict::Refused { code, .. } => ("refused", code.clone()),
            Verdict::Renew { code } => ("renew", code.clone()),
            Verdict::Clock => ("clock", String::new()),
            Verdict::Failed(DeliveryError::Unreachable(problem)) => {
                ("unreachable", problem.code().to_owned())
            }
            Verdict::Failed(error) => ("configuration", error.code().to_owned()),
        }
    }

    #[test]
    fn each_answer_of_guangdong_has_its_verdict() {
        let answers = shape("guangdong").answers;
        let failure = |code: &str| {
            json!({ "ack_code": "FAILURE", "errors": [{ "code": code, "message": "x" }] })
                .to_string()
        };
        for (status, body, is, code) in [
            (200, r#"{"ack_code":"SUCCESS","errors":[]}"#.to_owned(), "taken", ""),
            (200, failure("LICENSE_EXISTS"), "taken", ""),
            (200, failure("TOKEN_EXPIRED"), "renew", "TOKEN_EXPIRED"),
            (200, failure("TIMESTAMP_INVALID"), "clock", ""),
            (200, failure("SYSTEM_BUSY"), "unreachable", "gateway_failing"),
            (200, failure("DATA_INVALID"), "refused", "DATA_INVALID"),
            (400, failure("DATA_INVALID"), "refused", "DATA_INVALID"),
            (200, failure("SIGNATURE_INVALID"), "configuration", "gateway_stopped"),
            (200, failure("SOMETHING_NEW"), "configuration", "gateway_stopped"),
            (200, r#"{"ack_code":"FAILURE"}"#.to_owned(), "configuration", "gateway_stopped"),
            (200, "{}".to_owned(), "configuration", "answer_malformed"),
            (200, r#"{"ack_code":{}}"#.to_owned(), "configuration", "answer_malformed"),
            (200, "x".to_owned(), "configuration", "answer_malformed"),
            (400, "x".to_owned(), "refused", "400"),
            (401, String::new(), "renew", "401"),
            (403, String::new(), "configuration", "access_refused"),
            (404, String::new(), "configuration", "no_interface"),
            (302, String::new(), "configuration", "no_interface"),
            (408, String::new(), "unreachable", "receiver_failing"),
            (413, String::new(), "refused", "413"),
            (429, String::new(), "unreachable", "receiver_failing"),
            (503, String::new(), "unreachable", "receiver_failing"),
            (599, String::new(), "unreachable", "receiver_failing"),
        ] {
            let found = word(&verdict(&answers, &response(status, &body)));
            assert_eq!((found.0, found.1.as_str()), (is, code), "{status} {body}");
        }
        let Verdict::Failed(error) = verdict(&answers, &response(429, "")) else {
            panic!("failed")
        };
        assert_eq!(error.problem().retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn codes_can_be_texts_numbers_or_truths() {
        let mut answers = shape("gbt36906").answers;
        answers.codes.insert("true".to_owned(), Action::Taken);
        for status in [json!("0"), json!(0), json!(200), json!(true)] {
            let body = json!({ "head": { "status": status } }).to_string();
            assert_eq!(word(&verdict(&answers, &response(200, &body))).0, "taken", "{body}");
        }
    }

    /// A code that no shape names stops everything: nothing is set aside, nothing is taken for done.
    #[test]
    fn unknown_codes_lose_nothing() {
        let mut answers = shape("gbt36906").answers;
        answers.codes.remove("*");
        let body =
            json!({ "head": { "status": "11010519491231002X", "message": "?" } }).to_string();
        let Verdict::Failed(error) = verdict(&answers, &response(200, &body)) else {
            panic!("failed")
        };
        assert_eq!(error.code(), "gateway_stopped");
        assert!(!error.to_string().contains("1101"), "{error}");
    }

    #[test]
    fn what_is_said_of_records_can_name_them_in_four_ways() {
        let items = [samples::issued(5), samples::issued(6)];
        let items: Vec<&Shared> = items.iter().collect();
        for (naming, name) in [
            (Naming::Key, json!("gateway-00000000000000000006")),
            (Naming::Seq, json!(6)),
            (Naming::Identifier, json!(items[1].identifier().to_string())),
            (Naming::Place, json!(2)),
        ] {
            let mut results = shape("gbt36906").send.results.unwrap();
            results.record_is = naming;
            results.lists = Lists::Refused;
            let message = format!("号码 {} 有误", samples::CITIZEN);
            let entry = json!({ "key": name, "status": 422, "message": message });
            let body = json!({ "data": { "results": [entry] } });
            let refused = super::results(&results, &body, &items, "gateway").unwrap();
            assert_eq!(refused.len(), 1, "{naming:?}");
            assert_eq!((refused[0].seq.0, refused[0].code.as_str()), (6, "422"));
            assert_eq!(refused[0].remark, "号码 *** 有误");
            // Nothing said of any: all are taken, if the list has those with a defect only.
            assert_eq!(super::results(&results, &json!({}), &items, "gateway").unwrap(), []);
            results.lists = Lists::All;
            let error = super::results(&results, &body, &items, "gateway").unwrap_err();
            assert_eq!(error.code(), "answer_does_not_add_up");
        }
    }

    #[test]
    fn tokens_are_read_strictly() {
        let shape = shape("gbt36906").token.unwrap();
        let of = |body: Value| token(&shape, &json!({ "data": body }));
        let seconds = |body| of(body).unwrap().1.as_secs();
        assert_eq!(seconds(json!({ "accessToken": "t" })), 7_200);
        assert_eq!(seconds(json!({ "accessToken": "t", "expiresIn": null })), 7_200);
        assert_eq!(seconds(json!({ "accessToken": "t", "expiresIn": 60 })), 60);
        assert_eq!(seconds(json!({ "accessToken": "t", "expiresIn": "60" })), 60);
        assert_eq!(seconds(json!({ "accessToken": "t", "expiresIn": u64::MAX })), 86_400);
        for wrong in [
            json!({}),
            json!({ "accessToken": "" }),
            json!({ "accessToken": "a\nb" }),
            json!({ "accessToken": 7 }),
            json!({ "accessToken": "x".repeat(8_193) }),
            json!({ "accessToken": "t", "expiresIn": "soon" }),
            json!({ "accessToken": "t", "expiresIn": -1 }),
        ] {
            assert_eq!(of(wrong).unwrap_err().code(), "answer_malformed");
        }
    }

    #[test]
    fn what_is_held_is_read_strictly() {
        let shape = shape("gbt36906");
        let licence_type = samples::types()[0].to_string();
        let told = |entries: Value| json!({ "data": { "counts": entries, "tallies": entries } });
        let of = |body| counts(shape.counts.as_ref().unwrap(), &body);
        let entry = json!({ "certTypeCode": licence_type, "count": "3" });
        assert_eq!(of(told(json!([entry]))).unwrap()[&samples::types()[0]], 3);
        assert_eq!(of(told(json!([{ "certTypeCode": "x", "count": 0 }]))).unwrap().len(), 0);
        for (body, code) in [
            (told(json!([entry, entry])), "answer_malformed"),
            (told(json!([{ "certTypeCode": "x", "count": 1 }])), "unknown_type_counted"),
            (told(json!([{ "certTypeCode": licence_type, "count": -1 }])), "answer_malformed"),
            (told(json!({})), "answer_malformed"),
            (json!({}), "answer_malformed"),
        ] {
            assert_eq!(of(body).unwrap_err().code(), code);
        }

        let tallied = |day: &str, digest: Value| {
            let entry = json!({
                "certTypeCode": licence_type, "issueDate": day, "count": 2, "digest": digest
            });
            tallies(shape.tallies.as_ref().unwrap(), &told(json!([entry])))
        };
        let bucket =
            Bucket { licence_type: samples::types()[0], day: jiff::civil::date(2025, 3, 1) };
        // Sums of any size come as text: numbers of JSON are not exact beyond 2^53 with every program.
        let sum = "2305843009213693953";
        for day in ["2025-03-01", "20250301"] {
            let tally = tallied(day, json!(sum)).unwrap()[&bucket];
            assert_eq!(tally, Tally::from_sum(2, sum).unwrap());
        }
        assert_eq!(tallied("1 March", json!(sum)).unwrap_err().code(), "answer_malformed");
        assert_eq!(tallied("2025-03-01", json!("f")).unwrap_err().code(), "answer_malformed");
    }
}
