//! Shapes: what one family of gateways wants of a request and says in an answer, as data. Pure.
//!
//! A shape is a JSON file, `yihao-rest-shape-1` (`docs/formats/rest.md`). Two are built in; where the public sources
//! are silent they hold what is likely, and a counterpart's own file takes their place.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    sign::{Method, Sign},
    template,
};
use crate::code_map::CodeMap;

/// The name of the format.
pub const FORMAT: &str = "yihao-rest-shape-1";

/// The built-in shapes, by name: Guangdong's, and that of the GB/T 36906 family.
pub(crate) const BUILT_IN: [(&str, &str); 2] = [
    ("guangdong", include_str!("shapes/guangdong.json")),
    ("gbt36906", include_str!("shapes/gbt36906.json")),
];

/// How to talk to a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    pub(crate) format: String,
    /// For people.
    #[serde(default)]
    pub(crate) about: String,
    /// How `{timestamp}` is written.
    #[serde(default)]
    pub(crate) timestamp: Timestamp,
    /// What settings can say beside; `null`: must say. Templates.
    #[serde(default)]
    pub(crate) values: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub(crate) token: Option<Token>,
    #[serde(default)]
    pub(crate) sign: Option<Sign>,
    pub(crate) answers: Answers,
    pub(crate) send: Send,
    #[serde(default)]
    pub(crate) counts: Option<Counts>,
    #[serde(default)]
    pub(crate) tallies: Option<Tallies>,
    #[serde(default)]
    pub(crate) holdings: Option<Holdings>,
    /// The code map, if the settings name none.
    pub(crate) code_map: CodeMap,
}

/// How `{timestamp}` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Timestamp {
    /// Since 1970.
    #[default]
    Milliseconds,
    /// Since 1970.
    Seconds,
    /// Chinese time: `2025-03-01 09:30:00`.
    China,
    /// Chinese time: `20250301093000`.
    Compact,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    #[serde(default)]
    pub(crate) method: Verb,
    /// Below the settings' `url`; left out: only if the settings' `paths` have one.
    #[serde(default)]
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// The body is written as a form, not as JSON.
    #[serde(default)]
    pub(crate) form: bool,
    #[serde(default = "yes")]
    pub(crate) signed: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verb {
    #[default]
    Post,
    Put,
    Get,
}

impl Verb {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Get => "GET",
        }
    }
}

/// Logging in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    pub(crate) call: Call,
    /// Where the answer has the token: a JSON pointer (RFC 6901).
    pub(crate) token_at: String,
    /// Where the answer has its lifetime.
    #[serde(default)]
    pub(crate) lifetime_at: Option<String>,
    #[serde(default)]
    pub(crate) lifetime_unit: Unit,
    /// The lifetime if the answer does not say, in seconds.
    #[serde(default = "an_hour")]
    pub(crate) lifetime_s: u64,
}

fn an_hour() -> u64 {
    3_600
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Milliseconds,
    #[default]
    Seconds,
    Minutes,
}

/// Handing over records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send {
    pub(crate) call: Call,
    /// Most records of a request.
    pub(crate) records: usize,
    /// One record, by template with `{field.NAME}`; left out: an object of the code map's elements.
    #[serde(default)]
    pub(crate) record: Option<Value>,
    /// Where the answer says what became of each record.
    #[serde(default)]
    pub(crate) results: Option<Results>,
}

/// What an answer says of each record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Results {
    pub(crate) at: String,
    /// Where an entry names the record.
    pub(crate) record_at: String,
    /// By what.
    pub(crate) record_is: Naming,
    /// Where an entry has its code.
    pub(crate) code_at: String,
    #[serde(default)]
    pub(crate) message_at: Option<String>,
    /// What follows from the code; `*`: from all others.
    pub(crate) codes: BTreeMap<String, Action>,
    /// Whether the list has all records, or those with a defect only.
    pub(crate) lists: Lists,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Naming {
    Key,
    Seq,
    Identifier,
    /// Its place in the request, from 1.
    Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lists {
    All,
    Refused,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Look at the code in the body. Only of statuses.
    Body,
    /// Done; what was done before too.
    Taken,
    /// Try again later.
    Retry,
    /// The record is not taken, now or later; of a request with several: the request.
    Refuse,
    /// Log in again and try once more.
    Renew,
    /// Take the time from the answer's `Date` and try once more.
    Clock,
    /// Nothing goes on until someone changes something.
    Stop,
}

/// What answers say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answers {
    /// By HTTP status: `401`, `5xx`, `*`. Others as `docs/formats/rest.md` has it.
    #[serde(default)]
    pub(crate) statuses: BTreeMap<String, Action>,
    /// Where a body has its code: the first of these that it has.
    pub(crate) code_at: Vec<String>,
    #[serde(default)]
    pub(crate) message_at: Vec<String>,
    /// What follows from the code; `*`: from all others. Left out: `stop`.
    pub(crate) codes: BTreeMap<String, Action>,
}

/// Counts by type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    pub(crate) call: Call,
    pub(crate) at: String,
    pub(crate) type_at: String,
    pub(crate) count_at: String,
}

/// Counts and digests by type and day of issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tallies {
    pub(crate) call: Call,
    pub(crate) at: String,
    pub(crate) type_at: String,
    pub(crate) day_at: String,
    pub(crate) count_at: String,
    pub(crate) digest_at: String,
}

/// The records of one type and day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Holdings {
    pub(crate) call: Call,
    pub(crate) at: String,
    pub(crate) identifier_at: String,
    pub(crate) mark_at: String,
}

/// What placeholders of every call can be.
const COMMON: [&str; 6] = ["access_id", "connector", "nonce", "signature", "timestamp", "token"];
/// In strings-to-sign.
const SIGNED: [&str; 15] = [
    "access_id",
    "batch",
    "body",
    "body_sha256",
    "body_sha256_base64",
    "body_sm3",
    "body_sm3_base64",
    "connector",
    "host",
    "method",
    "nonce",
    "path",
    "query",
    "secret",
    "timestamp",
];

impl Shape {
    /// Reads a shape and checks it.
    ///
    /// # Errors
    /// What is wrong with it, for operators.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let shape: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if shape.format != FORMAT {
            return Err(format!("it must begin with \"format\": \"{FORMAT}\""));
        }
        shape.check()?;
        Ok(shape)
    }

    /// A built-in shape.
    pub(crate) fn built_in(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Some(Self::parse(text.as_bytes()).expect("a built-in shape is one"))
    }

    fn check(&self) -> Result<(), String> {
        let map = serde_json::to_vec(&self.code_map).map_err(|error| error.to_string())?;
        CodeMap::parse(&map).map_err(|error| format!("code_map: {error}"))?;
        if !(1..=10_000).contains(&self.send.records) {
            return Err("send.records must be 1 to 10000".to_owned());
        }
        if self.send.call.path.is_none() {
            return Err("send.call needs a path".to_owned());
        }
        for (name, value) in &self.values {
            let known =
                |placeholder: &str| ["batch", "connector", "access_id"].contains(&placeholder);
            placeholders(value.as_deref().unwrap_or_default(), &format!("values.{name}"), known)?;
        }
        let of_batch = |name: &str| ["batch", "count"].contains(&name);
        let fields: BTreeSet<&str> =
            self.code_map.fields.iter().map(|field| field.name.as_str()).collect();
        // A code map in a file of its own may have other fields: the names are only checked to be there at all.
        let field = |name: &str| name.strip_prefix("field.").is_some_and(|name| !name.is_empty());
        let one = self.send.records == 1;
        self.check_call("send", &self.send.call, &|name| {
            of_batch(name)
                || name == "records"
                || (one && (name == "record" || name == "key" || field(name)))
        })?;
        if let Some(record) = &self.send.record {
            let names = template::names_in(record)?;
            for name in names {
                let known = name.strip_prefix("field.").is_some_and(|name| fields.contains(name))
                    || name == "key"
                    || of_batch(name)
                    || self.is_value(name);
                if !known {
                    return Err(format!("send.record: {{{name}}} stands for nothing"));
                }
            }
        }
        let body =
            self.send.call.body.as_ref().map(template::names_in).transpose()?.unwrap_or_default();
        let carries =
            body.iter().any(|name| *name == "records" || *name == "record" || field(name));
        if !carries {
            return Err("send.call.body carries no record".to_owned());
        }
        if let Some(results) = &self.send.results {
            self.check_pointers(&[&results.at, &results.record_at, &results.code_at])?;
            let wrong = |action: &Action| {
                !matches!(action, Action::Taken | Action::Refuse | Action::Retry | Action::Stop)
            };
            if results.codes.values().any(wrong) {
                return Err("send.results.codes: taken, refuse, retry or stop".to_owned());
            }
        }
        if let Some(token) = &self.token {
            self.check_call("token", &token.call, &|name| {
                name == "secret" || name == "secret_sm3"
            })?;
            self.check_pointers(&[&token.token_at])?;
            let names = token.call.body.as_ref().map(template::names_in).transpose()?;
            if names.is_some_and(|names| names.contains(&"token")) {
                return Err("token.call: there is no {token} before logging in".to_owned());
            }
            if token.call.path.is_none() || token.call.method == Verb::Get {
                return Err("token.call needs a path, and cannot be GET".to_owned());
            }
        }
        if let Some(counts) = &self.counts {
            self.check_call("counts", &counts.call, &|_| false)?;
            self.check_pointers(&[&counts.at, &counts.type_at, &counts.count_at])?;
        }
        if let Some(tallies) = &self.tallies {
            self.check_call("tallies", &tallies.call, &|_| false)?;
            self.check_pointers(&[&tallies.at, &tallies.type_at, &tallies.day_at])?;
            self.check_pointers(&[&tallies.count_at, &tallies.digest_at])?;
        }
        if let Some(holdings) = &self.holdings {
            let known = |name: &str| ["type", "day", "after", "limit"].contains(&name);
            self.check_call("holdings", &holdings.call, &known)?;
            self.check_pointers(&[&holdings.at, &holdings.identifier_at, &holdings.mark_at])?;
        }
        let at: Vec<&String> =
            self.answers.code_at.iter().chain(&self.answers.message_at).collect();
        self.check_pointers(&at)?;
        if self.answers.codes.values().any(|action| *action == Action::Body) {
            return Err("answers.codes: `body` is for statuses".to_owned());
        }
        if let Some(sign) = &self.sign {
            self.check_sign(sign)?;
        }
        Ok(())
    }

    /// Checks a way of signing against this shape.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_sign(&self, sign: &Sign) -> Result<(), String> {
        let string = sign.string.as_deref();
        match sign.method {
            Method::Rfc9421 => {
                if string.is_some() || sign.algorithm.is_none() || sign.components.is_empty() {
                    return Err(
                        "sign: rfc9421 needs `algorithm` and `components`, and no `string`"
                            .to_owned(),
                    );
                }
                let distinct: BTreeSet<_> = sign.components.iter().collect();
                let upper = |name: &String| name.bytes().any(|byte| byte.is_ascii_uppercase());
                if distinct.len() < sign.components.len() || sign.components.iter().any(upper) {
                    return Err("sign.components: each once, in lower case".to_owned());
                }
            }
            method => {
                let text = string.ok_or("sign: `string` is missing")?;
                let known =
                    |name: &str| SIGNED.contains(&name) || name == "token" || self.is_value(name);
                placeholders(text, "sign.string", known)?;
                let keyed = template::names(text)?.contains(&"secret");
                if !keyed && matches!(method, Method::Sm3 | Method::Sha256) {
                    return Err("sign.string: a digest without {secret} proves nothing".to_owned());
                }
                if sign.algorithm.is_some() || !sign.components.is_empty() {
                    return Err("sign: `algorithm` and `components` are for rfc9421".to_owned());
                }
            }
        }
        for (name, value) in &sign.headers {
            header(name)?;
            let known = |placeholder: &str| {
                COMMON.contains(&placeholder)
                    || placeholder == "batch"
                    || self.is_value(placeholder)
            };
            placeholders(value, "sign.headers", known)?;
        }
        let needs_body = string.is_some_and(|text| text.contains("{body"));
        let calls = [
            self.token.as_ref().map(|token| &token.call),
            Some(&self.send.call),
            self.counts.as_ref().map(|counts| &counts.call),
        ];
        for body in calls.into_iter().flatten().filter_map(|call| call.body.as_ref()) {
            if needs_body && template::names_in(body)?.contains(&"signature") {
                return Err("the body cannot hold a {signature} of itself".to_owned());
            }
        }
        Ok(())
    }

    fn is_value(&self, name: &str) -> bool {
        name.strip_prefix("values.").is_some_and(|name| self.values.contains_key(name))
    }

    fn check_call(
        &self,
        place: &str,
        call: &Call,
        also: &dyn Fn(&str) -> bool,
    ) -> Result<(), String> {
        let known = |name: &str| COMMON.contains(&name) || self.is_value(name) || also(name);
        if let Some(path) = &call.path {
            check_path(path).map_err(|why| format!("{place}.call.path {why}"))?;
        }
        for (name, value) in &call.headers {
            header(name)?;
            placeholders(value, &format!("{place}.call.headers"), |name| {
                known(name) && !name.starts_with("field.") && name != "record" && name != "records"
            })?;
        }
        let body = call.body.as_ref().map(template::names_in).transpose()?.unwrap_or_default();
        if let Some(name) = body.into_iter().find(|name| !known(name)) {
            return Err(format!("{place}.call.body: {{{name}}} stands for nothing"));
        }
        if call.method == Verb::Get && call.body.is_some() {
            return Err(format!("{place}.call: GET has no body"));
        }
        if call.form && !call.body.as_ref().is_some_and(Value::is_object) {
            return Err(format!("{place}.call: a form's body is an object"));
        }
        Ok(())
    }

    fn check_pointers(&self, pointers: &[&String]) -> Result<(), String> {
        match pointers.iter().find(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            Some(pointer) => Err(format!("`{pointer}` is no JSON pointer: it begins with /")),
            None => Ok(()),
        }
    }
}

/// A path below the settings' `url`: no placeholders, so nothing of a licence and no token can stand in a URL.
pub(crate) fn check_path(path: &str) -> Result<(), &'static str> {
    let right = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 500
        // Nothing that the URL would write otherwise: what is signed is what is sent.
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/?=&+,:@!$*".contains(&byte))
        && !path.split(['/', '?']).any(|part| part == ".." || part == ".");
    if right { Ok(()) } else { Err("must begin with / and hold no placeholder") }
}

fn placeholders(text: &str, place: &str, known: impl Fn(&str) -> bool) -> Result<(), String> {
    let names = template::names(text).map_err(|why| format!("{place}: {why}"))?;
    match names.into_iter().find(|name| !known(name)) {
        Some(name) => Err(format!("{place}: {{{name}}} stands for nothing")),
        None => Ok(()),
    }
}

/// Headers that the transport makes are not a shape's to set.
fn header(name: &str) -> Result<(), String> {
    let token = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let own = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "content-digest",
        "signature",
        "signature-input",
    ];
    if token && !own.contains(&name.to_ascii_lowercase().as_str()) {
        Ok(())
    } else {
        Err(format!("`{name}` is no header that a shape can set"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(pointer: &str, value: Value) -> String {
        let mut shape: Value = serde_json::from_str(BUILT_IN[1].1).unwrap();
        *shape.pointer_mut(pointer).unwrap() = value;
        Shape::parse(shape.to_string().as_bytes()).unwrap_err()
    }

    #[test]
    fn the_built_in_shapes_are_shapes() {
        for (name, _) in BUILT_IN {
            let shape = Shape::built_in(name).unwrap();
            assert!(
                shape.token.is_some() && shape.sign.is_some() && shape.counts.is_some(),
                "{name}"
            );
            let again = serde_json::to_vec(&shape).unwrap();
            assert_eq!(Shape::parse(&again).unwrap(), shape);
        }
        assert!(Shape::built_in("hunan").is_none());
    }

    #[test]
    fn what_is_wrong_with_a_shape_is_told() {
        for (pointer, value, told) in [
            ("/format", "x".into(), "it must begin with"),
            ("/send/records", 0.into(), "send.records"),
            ("/send/call/path", "push".into(), "must begin with /"),
            ("/send/call/path", "/push?token={token}".into(), "hold no placeholder"),
            ("/send/call/path", "/../admin".into(), "must begin with /"),
            ("/send/call/body", "{nothing}".into(), "{nothing} stands for nothing"),
            ("/send/call/body", "{count}".into(), "carries no record"),
            ("/send/call/body", "{secret}".into(), "{secret} stands for nothing"),
            ("/send/results/at", "data".into(), "no JSON pointer"),
            ("/sign/string", "{field.x}".into(), "{field.x} stands for nothing"),
            ("/sign/method", "sm3".into(), "proves nothing"),
            ("/sign/headers", serde_json::json!({ "Host": "x" }), "no header"),
            ("/answers/codes", serde_json::json!({ "0": "body" }), "`body` is for statuses"),
            ("/token/call", serde_json::json!({ "method": "GET", "path": "/t" }), "cannot be GET"),
            ("/code_map/fields", serde_json::json!([]), "code_map"),
        ] {
            let found = changed(pointer, value);
            assert!(found.contains(told), "{pointer}: {found}");
        }
        assert!(Shape::parse(br#"{"format":"yihao-rest-shape-1","more":1}"#).is_err());
    }

    #[test]
    fn a_body_cannot_be_signed_by_what_stands_in_it() {
        let mut shape: Value = serde_json::from_str(BUILT_IN[1].1).unwrap();
        shape["send"]["call"]["body"]["sign"] = "{signature}".into();
        let why = Shape::parse(shape.to_string().as_bytes()).unwrap_err();
        assert!(why.contains("of itself"), "{why}");
    }
}
