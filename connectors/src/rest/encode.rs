//! Changes → requests. Pure: time, nonce, token and keys come in as arguments.

use std::collections::BTreeSet;

use jiff::{Timestamp, tz::Offset};
use serde_json::{Map, Value};

use super::{
    message_signatures::{self, Message, Parameters, SigningKey},
    settings::{Ready, Settings},
    shape::{self, Call, Naming},
    sign::{self, Method, Sign},
    template,
};
use crate::{
    Batch, Refused, Shared,
    code_map::{self, CodeMap},
};

/// What one request is about.
#[derive(Clone, Default)]
pub(crate) struct Content {
    /// Of these items and in this wording, always the same: 32 hexadecimal digits.
    pub(crate) batch: String,
    pub(crate) records: Vec<Value>,
    /// The elements and the key of the only record.
    pub(crate) fields: Vec<code_map::Value>,
    pub(crate) key: String,
    /// Beside: what is asked for.
    pub(crate) asked: Vec<(&'static str, String)>,
}

/// One request to be made, and what it hands over.
pub(crate) struct Parcel<'a> {
    pub(crate) items: Vec<&'a Shared>,
    pub(crate) content: Content,
}

/// The requests of a batch in order, and what cannot be written as the code map has it.
pub(crate) fn parcels<'a>(
    ready: &Ready,
    map: &CodeMap,
    connector: &str,
    batch: &'a Batch,
) -> (Vec<Parcel<'a>>, Vec<Refused>) {
    let wording = sign::sha256(map.to_text().as_bytes());
    let mut refused = Vec::new();
    let mut written = Vec::new();
    for item in &batch.items {
        match map.encode(item, connector, &batch.id) {
            Ok(fields) => written.push((item, fields)),
            Err(problem) => refused.push(problem.refused(item)),
        }
    }
    let send = &ready.shape.send;
    let by_identifier =
        send.results.as_ref().is_some_and(|results| results.record_is == Naming::Identifier);
    let parcels = chunks(&written, send.records, by_identifier).into_iter().enumerate();
    let parcels = parcels.map(|(place, chunk)| {
        // A gateway may answer a batch it has seen without looking at it: other words are another batch.
        let mut name = batch.id.clone().into_bytes();
        name.extend_from_slice(&wording);
        name.extend_from_slice(&(place as u64).to_be_bytes());
        let id = match send.records {
            1 => batch.id.clone(),
            _ => hex::encode(&sign::sha256(&name)[..16]),
        };
        let records: Vec<Value> = chunk
            .iter()
            .map(|(item, fields)| record(ready, connector, &id, item, fields))
            .collect();
        let content = Content {
            batch: id,
            records,
            fields: if send.records == 1 { chunk[0].1.clone() } else { Vec::new() },
            key: if send.records == 1 { chunk[0].0.key(connector) } else { String::new() },
            asked: Vec::new(),
        };
        Parcel { items: chunk.iter().map(|(item, _)| *item).collect(), content }
    });
    let parcels = parcels.collect();
    (parcels, refused)
}

/// A record with the elements it is written in.
type Written<'a> = (&'a Shared, Vec<code_map::Value>);

/// What goes into each request. Answers that name licences cannot tell two changes of one apart: those go one after
/// the other.
fn chunks<'a, 'b>(
    written: &'b [Written<'a>],
    most: usize,
    by_identifier: bool,
) -> Vec<&'b [Written<'a>]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut named = BTreeSet::new();
    for (place, (item, _)) in written.iter().enumerate() {
        let full = place - start >= most;
        if full || (by_identifier && named.contains(item.identifier())) {
            chunks.push(&written[start..place]);
            start = place;
            named.clear();
        }
        named.insert(item.identifier());
    }
    if start < written.len() {
        chunks.push(&written[start..]);
    }
    chunks
}

fn record(
    ready: &Ready,
    connector: &str,
    batch: &str,
    item: &Shared,
    fields: &[code_map::Value],
) -> Value {
    let Some(template) = &ready.shape.send.record else {
        let members: Map<String, Value> = fields
            .iter()
            .map(|field| (field.name.clone(), Value::from(field.text.as_str())))
            .collect();
        return Value::Object(members);
    };
    let lookup = |name: &str| {
        Some(match name {
            "key" => item.key(connector).into(),
            "batch" => batch.into(),
            _ => match name.strip_prefix("field.") {
                Some(wanted) => {
                    fields.iter().find(|field| field.name == wanted)?.text.clone().into()
                }
                None => ready.values.get(name.strip_prefix("values.")?)?.clone().into(),
            },
        })
    };
    template::value(template, &lookup)
}

/// What proves who we are. No `Debug`.
#[derive(Default)]
pub(crate) struct Access {
    pub(crate) token: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) key: Key,
}

/// The key that requests are signed with.
#[derive(Default)]
pub(crate) enum Key {
    #[default]
    None,
    /// Of a string-to-sign.
    Bytes(Vec<u8>),
    /// Of HTTP message signatures.
    Message(Box<SigningKey>),
}

/// What makes one attempt differ from the next.
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) nonce: String,
}

/// A request, ready to be sent.
pub(crate) struct Wire {
    pub(crate) method: &'static str,
    /// Path and query.
    pub(crate) target: String,
    /// Names as the shape has them.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Fills a call's templates and signs it.
///
/// # Errors
/// What of shape and settings cannot be used.
pub(crate) fn wire(
    settings: &Settings,
    ready: &Ready,
    call: &Call,
    content: &Content,
    access: &Access,
    moment: &Moment,
) -> Result<Wire, String> {
    let path = call.path.as_deref().ok_or("the shape has no such call")?;
    let target = format!("{}{path}", settings.prefix());
    let timestamp = written(ready.shape.timestamp, moment.now);
    let secret = || String::from_utf8_lossy(&access.secret).into_owned();
    let signing = ready.shape.sign.as_ref().filter(|_| call.signed);

    let plain = |name: &str| -> Option<Value> {
        Some(match name {
            "access_id" => settings.access_id.as_str().into(),
            "connector" => settings.name.as_str().into(),
            "batch" => content.batch.as_str().into(),
            "timestamp" => timestamp.as_str().into(),
            "nonce" => moment.nonce.as_str().into(),
            "token" => access.token.as_str().into(),
            _ => {
                let value = ready.values.get(name.strip_prefix("values.")?)?;
                let own = |name: &str| match name {
                    "access_id" => Some(settings.access_id.as_str().into()),
                    "connector" => Some(settings.name.as_str().into()),
                    "batch" => Some(content.batch.as_str().into()),
                    _ => None,
                };
                template::text(value, &own).into()
            }
        })
    };
    let string = |body: &[u8]| -> Option<String> {
        let sign = signing.filter(|sign| sign.method != Method::Rfc9421)?;
        let (bare, query) = target.split_once('?').unwrap_or((&target, ""));
        let lookup = |name: &str| {
            Some(match name {
                "method" => call.method.word().into(),
                "path" => bare.into(),
                "query" => query.into(),
                "host" => settings.authority().into(),
                "secret" => secret().into(),
                "body" => String::from_utf8_lossy(body).into_owned().into(),
                "body_sm3" => hex::encode(sign::sm3(body)).into(),
                "body_sm3_base64" => sign::Encoding::Base64.write(&sign::sm3(body)).into(),
                "body_sha256" => hex::encode(sign::sha256(body)).into(),
                "body_sha256_base64" => sign::Encoding::Base64.write(&sign::sha256(body)).into(),
                other => return plain(other),
            })
        };
        Some(template::text(sign.string.as_deref().unwrap_or_default(), &lookup))
    };
    let signature = |body: &[u8]| -> Option<String> {
        let string = string(body)?;
        let sign = signing?;
        let key = match &access.key {
            Key::Bytes(key) => key.as_slice(),
            _ => access.secret.as_slice(),
        };
        Some(sign.encoding.write(&sign.method.sign(key, &string)))
    };

    // A body that holds the signature is not part of what is signed: the shape's check sees to it.
    let early = call
        .body
        .as_ref()
        .is_some_and(|body| template::names_in(body).unwrap_or_default().contains(&"signature"));
    let early = if early { signature(b"") } else { None };
    let lookup = |name: &str| {
        Some(match name {
            "count" => content.records.len().to_string().into(),
            "records" => Value::Array(content.records.clone()),
            "record" => content.records.first().cloned()?,
            "key" => content.key.as_str().into(),
            "signature" => early.clone()?.into(),
            "secret" => secret().into(),
            "secret_sm3" => hex::encode(sign::sm3(&access.secret)).into(),
            other => {
                if let Some((_, value)) = content.asked.iter().find(|(asked, _)| *asked == other) {
                    return Some(value.as_str().into());
                }
                match other.strip_prefix("field.") {
                    Some(wanted) => {
                        let field = content.fields.iter().find(|field| field.name == wanted)?;
                        field.text.as_str().into()
                    }
                    None => return plain(other),
                }
            }
        })
    };
    let body = match &call.body {
        None => Vec::new(),
        Some(body) => {
            let filled = template::value(body, &lookup);
            if call.form { form(&filled) } else { filled.to_string().into_bytes() }
        }
    };

    let late = early.clone().or_else(|| signature(&body));
    let of_header = |name: &str| match name {
        "signature" => late.clone().map(Value::from),
        "key" => Some(content.key.as_str().into()),
        "count" => Some(content.records.len().to_string().into()),
        other => plain(other),
    };
    let mut headers = Vec::new();
    if !body.is_empty() {
        let media =
            if call.form { "application/x-www-form-urlencoded" } else { "application/json" };
        headers.push(("Content-Type".to_owned(), media.to_owned()));
    }
    let extra = signing.map(|sign| sign.headers.iter()).into_iter().flatten();
    for (name, value) in call.headers.iter().chain(extra) {
        headers.push((name.clone(), template::text(value, &of_header)));
    }
    if let Some(sign) = signing.filter(|sign| sign.method == Method::Rfc9421) {
        let of = Signed { settings, sign, call, target: &target, moment, key: &access.key };
        message(&of, &body, &mut headers)?;
    }
    Ok(Wire { method: call.method.word(), target, headers, body })
}

/// What a message signature is made of beside headers and body.
struct Signed<'a> {
    settings: &'a Settings,
    sign: &'a Sign,
    call: &'a Call,
    target: &'a str,
    moment: &'a Moment,
    key: &'a Key,
}

fn message(
    of: &Signed<'_>,
    body: &[u8],
    headers: &mut Vec<(String, String)>,
) -> Result<(), String> {
    let Key::Message(key) = of.key else { return Err("the key for signing is missing".to_owned()) };
    let digest = "content-digest".to_owned();
    if of.sign.components.contains(&digest) {
        headers.push((digest, message_signatures::content_digest(body)));
    }
    let lower: Vec<(String, String)> =
        headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let authority = of.settings.authority();
    let message = Message {
        method: of.call.method.word(),
        authority: &authority,
        target: of.target,
        headers: &lower,
    };
    // A call without a body has no type of it to cover.
    let components: Vec<String> = of
        .sign
        .components
        .iter()
        .filter(|name| !body.is_empty() || *name != "content-type")
        .cloned()
        .collect();
    let parameters = Parameters {
        label: &of.sign.label,
        components: &components,
        created: of.moment.now.as_second(),
        nonce: Some(&of.moment.nonce),
        key_id: of.settings.sign_key_id.as_deref().unwrap_or_default(),
    };
    headers.extend(message_signatures::sign(&message, &parameters, key)?);
    Ok(())
}

/// `application/x-www-form-urlencoded`.
fn form(value: &Value) -> Vec<u8> {
    let Ok(mut url) = reqwest::Url::parse("https://form/") else { return Vec::new() };
    if let Some(members) = value.as_object() {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in members {
            match value {
                Value::String(text) => pairs.append_pair(name, text),
                other => pairs.append_pair(name, &other.to_string()),
            };
        }
    }
    url.query().unwrap_or_default().as_bytes().to_vec()
}

/// Beijing time: UTC+8 all year.
const CHINA: Offset = Offset::constant(8);

fn written(form: shape::Timestamp, at: Timestamp) -> String {
    let china = |format| CHINA.to_datetime(at).strftime(format).to_string();
    match form {
        shape::Timestamp::Milliseconds => at.as_millisecond().to_string(),
        shape::Timestamp::Seconds => at.as_second().to_string(),
        shape::Timestamp::China => china("%Y-%m-%d %H:%M:%S"),
        shape::Timestamp::Compact => china("%Y%m%d%H%M%S"),
    }
}

#[cfg(test)]
mod tests {
    use licence::LicenceStatus;
    use serde_json::json;

    use super::*;
    use crate::{ConnectorSettings, rules::samples};

    fn settings(shape: &str) -> Settings {
        let values = match shape {
            "guangdong" => json!({
                "matter_code": "11370800MB285591843370117002011", "matter_name": "电子证照归集",
                "operator_account": "yihao", "operator_name": "{token}",
                "operator_organisation": "样本局", "operator_organisation_code": samples::ISSUER
            }),
            _ => json!({}),
        };
        let more = json!({
            "shape": shape, "access_id": "hub", "secret_file": "secret", "values": values,
            "paths": { "tallies": "/tallies", "holdings": "/holdings" }
        });
        let raw = ConnectorSettings {
            name: "gateway".to_owned(),
            kind: "rest".to_owned(),
            url: Some("https://gateway.example/licences/".to_owned()),
            ca: Some("ca.pem".into()),
            more: more.as_object().unwrap().clone(),
            ..ConnectorSettings::default()
        };
        let mut problems = Vec::new();
        let checked = Settings::check(&raw, &mut problems);
        checked.unwrap_or_else(|| panic!("{problems:?}"))
    }

    fn shown(wire: &Wire) -> String {
        let mut text = format!("{} {}\n", wire.method, wire.target);
        for (name, value) in &wire.headers {
            text.push_str(&format!("{name}: {value}\n"));
        }
        let body: Value = serde_json::from_slice(&wire.body).unwrap();
        format!("{text}\n{body:#}\n")
    }

    fn access() -> Access {
        Access { token: "t-1".to_owned(), secret: b"secret".to_vec(), key: Key::None }
    }

    fn moment() -> Moment {
        Moment { now: "2025-03-01T01:30:00Z".parse().unwrap(), nonce: "n-1".to_owned() }
    }

    fn items() -> Vec<Shared> {
        let first = samples::issued(7);
        let suspended = samples::changed(8, &first, LicenceStatus::Valid, LicenceStatus::Suspended);
        vec![first, suspended, samples::issued(9)]
    }

    /// Log-in, records and questions, with signatures, as they go over the wire.
    #[test]
    fn requests_are_as_the_golden_files_have_them() {
        for shape in ["guangdong", "gbt36906"] {
            let settings = settings(shape);
            let ready = settings.ready().unwrap();
            let batch = Batch::new("gateway", 0, items());
            let (parcels, refused) = parcels(&ready, &ready.shape.code_map, "gateway", &batch);
            assert_eq!(refused, []);
            let wire = |call: &Call, content: &Content| {
                shown(&wire(&settings, &ready, call, content, &access(), &moment()).unwrap())
            };
            let shape = &ready.shape;
            let asked = vec![
                ("type", samples::types()[0].to_string()),
                ("day", "2025-03-01".to_owned()),
                ("after", String::new()),
                ("limit", "100".to_owned()),
            ];
            let mut all = wire(&shape.token.as_ref().unwrap().call, &Content::default());
            for parcel in &parcels {
                all.push_str(&wire(&shape.send.call, &parcel.content));
            }
            all.push_str(&wire(&shape.counts.as_ref().unwrap().call, &Content::default()));
            let content = Content { asked, ..Content::default() };
            all.push_str(&wire(&shape.holdings.as_ref().unwrap().call, &content));
            insta::assert_snapshot!(settings_name(&settings, shape), all);
        }
    }

    fn settings_name(settings: &Settings, shape: &shape::Shape) -> String {
        format!("{}_{}", settings.name, if shape.send.records == 1 { "one" } else { "many" })
    }

    #[test]
    fn the_same_records_in_the_same_words_are_the_same_batch() {
        let settings = settings("gbt36906");
        let ready = settings.ready().unwrap();
        let batch = Batch::new("gateway", 0, items());
        let id = |map: &CodeMap| {
            let (parcels, _) = parcels(&ready, map, "gateway", &batch);
            parcels[0].content.batch.clone()
        };
        let map = &ready.shape.code_map;
        assert_eq!(id(map), id(map));
        let other = CodeMap { empty: Some("无".to_owned()), ..map.clone() };
        assert_ne!(id(map), id(&other));
    }

    #[test]
    fn requests_hold_as_many_records_as_the_shape_says() {
        let of = |most, by_identifier| {
            let items = items();
            let written: Vec<Written<'_>> = items.iter().map(|item| (item, Vec::new())).collect();
            let chunks = chunks(&written, most, by_identifier);
            chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>()
        };
        assert_eq!(of(1, false), [1, 1, 1]);
        assert_eq!(of(2, false), [2, 1]);
        assert_eq!(of(9, false), [3]);
        // The second record is about the licence of the first.
        assert_eq!(of(9, true), [1, 2]);
    }

    /// Nothing that settings or records say is taken for a template.
    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let settings = settings("guangdong");
        let ready = settings.ready().unwrap();
        let mut licence = samples::licence(7, samples::types()[0]);
        licence.name = "{secret}{token}".to_owned();
        let batch = Batch::new("gateway", 0, vec![samples::of_licence(7, licence)]);
        let (parcels, _) = parcels(&ready, &ready.shape.code_map, "gateway", &batch);
        let call = &ready.shape.send.call;
        let made = wire(&settings, &ready, call, &parcels[0].content, &access(), &moment());
        let body: Value = serde_json::from_slice(&made.unwrap().body).unwrap();
        assert_eq!(body["data"]["license_name"], "{secret}{token}");
        assert_eq!(body["operator"]["name"], "{token}");
    }

    #[test]
    fn a_form_is_written_as_forms_are() {
        let body = form(&json!({ "a": "1 2&3", "b": "中", "n": 7 }));
        assert_eq!(String::from_utf8(body).unwrap(), "a=1+2%263&b=%E4%B8%AD&n=7");
    }

    #[test]
    fn times_have_their_forms() {
        let now = moment().now;
        assert_eq!(written(shape::Timestamp::Milliseconds, now), "1740792600000");
        assert_eq!(written(shape::Timestamp::Seconds, now), "1740792600");
        assert_eq!(written(shape::Timestamp::China, now), "2025-03-01 09:30:00");
        assert_eq!(written(shape::Timestamp::Compact, now), "20250301093000");
    }
}
