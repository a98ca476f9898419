//! One licence: its verification spelled out, and for a stated reason its content.
//!
//! `GET` shows the public face, which holds no personal data. `POST` with a reason shows the content
//! too, if the department may find licences of the type and no link is broken. Both are uses,
//! recorded before they are answered.

use actix_web::{HttpResponse, http::StatusCode, web};
use certs::ChainRecord;
use indexes::{NewUse, Proof, Shown, StoredLicence, UseAct};
use licence::{CatalogueEntry, ChangeKind, LicenceId, Seq, StatusChange, StatusOrder};
use serde_json::Value;

use super::{
    home::number,
    search::{self, Asked, Form, status_badge, type_name},
    texts::{Language, Texts, fill, holder_kind},
    verification::{self, cause_name, moment, period},
    views::{self, Event, Fact, File, Notice, Section, Tone},
    visitor::{Failure, NO_CERTIFICATE, Visitor},
};
use crate::{
    http::{error::Problem, licences::parse_identifier},
    judge::{Judge, Outcome, Verification, face},
    policy::Act,
    pull::check_reason,
    reuse::Clerk,
    stamps::{self, TimeStampState},
};

/// `GET /licences/{identifier}`: the public face.
pub(crate) async fn look(visitor: Visitor, identifier: web::Path<String>) -> HttpResponse {
    visitor.show(page(&visitor, &identifier, None).await)
}

/// `POST /licences/{identifier}`: the content, for a reason.
pub(crate) async fn open(
    visitor: Visitor,
    identifier: web::Path<String>,
    form: Form,
) -> HttpResponse {
    let page = match search::read(&visitor, form) {
        Ok(asked) => page(&visitor, &identifier, Some(asked)).await,
        Err(failure) => Err(failure),
    };
    visitor.show(page)
}

/// What is known of a licence when it is shown.
struct Judged {
    stored: StoredLicence,
    verification: Verification,
    in_log: bool,
    outcome: Outcome,
    time_stamp: TimeStampState,
}

async fn page(
    visitor: &Visitor,
    identifier: &str,
    asked: Option<Asked>,
) -> Result<(StatusCode, views::Licence), Failure> {
    let t = visitor.t();
    let clerk = visitor.as_clerk()?;
    let identifier = parse_identifier(identifier)?;
    let judged = judged(visitor, &identifier).await?;
    let mut status = StatusCode::OK;
    let mut notice = None;
    let mut content = None;
    let mut ask = None;
    match &asked {
        None => ask = Some(t.default_reason.to_owned()),
        Some(asked) if check_reason(&asked.reason).is_err() => {
            status = StatusCode::UNPROCESSABLE_ENTITY;
            notice = Some(notice_of(t.say_reason.to_owned()));
            ask = Some(asked.reason.clone());
        }
        Some(asked) if visitor.may(Act::Search(judged.stored.licence_type)) => {
            content = Some(asked.reason.trim());
        }
        Some(_) => {
            status = StatusCode::FORBIDDEN;
            let name = visitor.department_name();
            notice = Some(notice_of(fill(t.not_permitted_type, &[("name", &name)])));
        }
    }
    // A broken licence has no content to ask for.
    if judged.outcome == Outcome::Untrusted {
        ask = None;
    }
    let seq = record(visitor, clerk, &judged, content).await?;
    let recorded = match content {
        Some(reason) => (fill(t.viewed, &[("seq", &seq)]), reason.to_owned()),
        None => (fill(t.viewed_public, &[("seq", &seq)]), String::new()),
    };
    let mut page = view(visitor, &judged, content.is_some());
    page.recorded = recorded;
    page.notice = notice;
    page.ask = ask;
    if let Some(asked) = &asked {
        page.page.again = Some(asked.hidden(&[]));
        page.back = (!asked.back.is_empty()).then(|| asked.hidden(&["back"]));
    }
    Ok((status, page))
}

fn notice_of(title: String) -> Notice {
    Notice { tone: Tone::Bad, title, says: Vec::new() }
}

async fn judged(visitor: &Visitor, identifier: &LicenceId) -> Result<Judged, Failure> {
    let hub = &visitor.hub;
    let stored = hub.store.licence(identifier).await?.ok_or_else(|| {
        Problem::not_found("unknown_licence", "no licence is held under this identifier")
    })?;
    let verification = Judge::new(hub).licence(&stored, face(&stored.document).as_ref()).await?;
    let in_log = hub.store.changes(stored.seq, 1).await?.first().is_some_and(|change| {
        change.seq == stored.seq
            && matches!(&change.kind, ChangeKind::Issued { identifier, digest, .. }
                | ChangeKind::Unsigned { identifier, digest, .. } if *identifier == stored.identifier && *digest == stored.digest)
    });
    let outcome = verification::outcome(&verification, in_log);
    let time_stamp = stamps::state_of(hub, &stored).await?;
    Ok(Judged { stored, verification, in_log, outcome, time_stamp })
}

/// Records the use. `content`: the reason for which the content is shown; `None` for the public face.
async fn record(
    visitor: &Visitor,
    clerk: &Clerk,
    judged: &Judged,
    content: Option<&str>,
) -> Result<Seq, Failure> {
    let stored = &judged.stored;
    let reason = content.unwrap_or(Language::Chinese.texts().public_view_reason);
    let seq = visitor
        .hub
        .store
        .record_use(NewUse {
            at: visitor.hub.clock.now(),
            caller: clerk.department,
            certificate: NO_CERTIFICATE,
            operator: Some(clerk.operator()),
            matter: None,
            case: None,
            basis: None,
            reason: reason.to_owned(),
            holder: content.and(stored.holders.first().copied()),
            also: content.map(|_| stored.holders.clone()).unwrap_or_default(),
            project: None,
            shown: vec![Shown {
                identifier: stored.identifier.clone(),
                result: judged.outcome.word().to_owned(),
            }],
            grant: None,
            act: UseAct::View,
        })
        .await?;
    Ok(seq)
}

fn view(visitor: &Visitor, judged: &Judged, with_content: bool) -> views::Licence {
    let t = visitor.t();
    let stored = &judged.stored;
    let signed = face(&stored.document);
    // What is broken is shown without its fields.
    let content = (with_content && judged.outcome != Outcome::Untrusted)
        .then(|| licence::Licence::parse(&stored.document).ok())
        .flatten();
    let entry = visitor.hub.catalogue.entry(&stored.licence_type);
    let (badge, means) = verification::verdict(t, judged.outcome);
    let period = signed.as_ref().map(|face| period(t, face.valid_from, face.valid_to));
    let files = content.as_ref().map(|licence| licence.files.as_slice()).unwrap_or_default();
    views::Licence {
        page: visitor.frame(Section::Search, type_name(visitor, &stored.licence_type)),
        identifier: stored.identifier.to_string(),
        back: None,
        recorded: Default::default(),
        notice: None,
        badge,
        means,
        checked_at: fill(t.checked_at, &[("at", &moment(judged.verification.checked_at))]),
        links: {
            let all = &judged.verification;
            let mut links = verification::links(t, stored, signed.as_ref(), all, judged.in_log);
            links.extend(verification::time_stamp(t, &judged.time_stamp));
            links
        },
        face_title: if content.is_some() { t.face } else { t.public_face },
        facts: facts(visitor, stored, content.as_ref(), period),
        fields: content.as_ref().map(|licence| fields(visitor, entry, licence)).unwrap_or_default(),
        files: files
            .iter()
            .map(|file| File {
                name: file.name.clone(),
                media_type: file.media_type.clone(),
                size: format!("{} B", number(file.size)),
                digest: file.sha256.to_string(),
            })
            .collect(),
        history: history(t, stored, content.is_some()),
        with_reasons: content.is_some(),
        technical: technical(t, stored),
        ask: None,
    }
}

/// What stands above the face fields: of the public face, and more if there is content.
fn facts(
    visitor: &Visitor,
    stored: &StoredLicence,
    content: Option<&licence::Licence>,
    period: Option<String>,
) -> Vec<Fact> {
    let (t, hub) = (visitor.t(), &visitor.hub);
    let mut facts = vec![Fact::code(t.identifier, stored.identifier.as_str())];
    if let Some(licence) = content {
        facts.push(Fact::data(t.licence_name, &licence.name));
        facts.extend(holder_facts(visitor, licence));
        facts.push(Fact::data(t.issuer, &licence.issuer_name));
    } else {
        facts.push(Fact::new(t.type_name, type_name(visitor, &stored.licence_type)));
        let name = hub.departments.get(stored.issuer.credit_code());
        facts.extend(name.map(|name| Fact::data(t.issuer, name)));
    }
    facts.push(Fact::code(t.issuer_code, stored.issuer.as_str()));
    facts.push(Fact::new(t.issued_on, stored.issued_on.to_string()));
    facts.extend(period.map(|period| Fact::new(t.validity_period, period)));
    let status = status_badge(t, stored.status.word());
    facts.push(Fact::new(t.status, format!("{} {}", status.sign, status.word)));
    if let Some(licence) = content {
        if let Some(region) = &licence.region {
            let name = hub.regions.name(region, licence.issued_on).unwrap_or_default();
            facts.push(Fact::data(t.region, format!("{name} {region}").trim()));
        }
        facts.extend(licence.project.map(|project| Fact::code(t.project, project.as_str())));
        if let Some(earlier) = &licence.predecessor {
            facts.push(Fact {
                link: Some((format!("/licences/{earlier}"), t.show_predecessor.to_owned())),
                ..Fact::code(t.predecessor, earlier.as_str())
            });
        }
    }
    facts
}

/// Number and holders; a person's number is shown by its ends.
pub(crate) fn holder_facts(visitor: &Visitor, licence: &licence::Licence) -> Vec<Fact> {
    let t = visitor.t();
    let mut facts = Vec::new();
    let persons = licence.holders.iter().filter(|holder| holder.id.kind().is_person());
    // An identity card's number is its holder's.
    let number = match persons.map(|holder| holder.id.number()).find(|one| *one == licence.number) {
        Some(number) => half_hidden(number),
        None => licence.number.clone(),
    };
    facts.push(Fact::code(t.number, number));
    for holder in &licence.holders {
        let kind = holder.id.kind();
        let number = holder.id.number();
        let number = if kind.is_person() { half_hidden(number) } else { number.to_owned() };
        facts.push(Fact {
            note: Some(holder_kind(visitor.language, kind).to_owned()),
            ..Fact::data(t.holders, format!("{}\n{number}", holder.name))
        });
    }
    facts
}

/// A person's number with its middle hidden: enough to compare, not enough to note down.
pub(crate) fn half_hidden(number: &str) -> String {
    let length = number.chars().count();
    let (head, tail) = if length >= 12 { (4, 3) } else { (1, 1) };
    number
        .chars()
        .enumerate()
        .map(|(place, c)| if place < head || place + tail >= length { c } else { '*' })
        .collect()
}

/// The face fields, named as the catalogue names them: the required ones in the catalogue's order,
/// then the others by key.
pub(crate) fn fields(
    visitor: &Visitor,
    entry: Option<&CatalogueEntry>,
    licence: &licence::Licence,
) -> Vec<Fact> {
    let schema = entry.map_or(&Value::Null, |entry| &entry.fields);
    let first: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut keys: Vec<&String> = licence.fields.keys().collect();
    keys.sort_by_key(|key| first.iter().position(|one| one == key).unwrap_or(usize::MAX));
    let mut facts = Vec::new();
    for key in keys {
        let property = &schema["properties"][key.as_str()];
        let label = Label::of(key, property);
        flatten(visitor, &label, property, &licence.fields[key], &mut facts);
    }
    facts
}

/// A field's name in both languages.
#[derive(Clone)]
pub(crate) struct Label {
    pub(crate) chinese: String,
    pub(crate) english: String,
}

impl Label {
    pub(crate) fn of(key: &str, property: &Value) -> Self {
        let mut english = key.replace('_', " ");
        if let Some(first) = english.get(..1) {
            english = first.to_ascii_uppercase() + &english[1..];
        }
        Self { chinese: property["title"].as_str().unwrap_or(key).to_owned(), english }
    }

    fn inside(&self, outer: &Self) -> Self {
        Self {
            chinese: format!("{} · {}", outer.chinese, self.chinese),
            english: format!("{} · {}", outer.english, self.english),
        }
    }
}

/// Objects become one fact for each member, lists of plain values one fact.
fn flatten(visitor: &Visitor, label: &Label, schema: &Value, value: &Value, facts: &mut Vec<Fact>) {
    let t = visitor.t();
    let text = match value {
        Value::Object(members) => {
            for (key, value) in members {
                let property = &schema["properties"][key.as_str()];
                let inner = Label::of(key, property).inside(label);
                flatten(visitor, &inner, property, value, facts);
            }
            return;
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (position, item) in items.iter().enumerate() {
                let position = position + 1;
                let numbered = Label {
                    chinese: format!("{} {position}", label.chinese),
                    english: format!("{} {position}", label.english),
                };
                flatten(visitor, &numbered, &schema["items"], item, facts);
            }
            return;
        }
        Value::Array(items) => {
            items.iter().map(|item| plain(t, item)).collect::<Vec<_>>().join("、")
        }
        plain_value => plain(t, plain_value),
    };
    facts.push(match visitor.language {
        Language::Chinese => Fact::data(label.chinese.clone(), text),
        Language::English => Fact {
            chinese_label: Some(label.chinese.clone()),
            ..Fact::data(label.english.clone(), text)
        },
    });
}

fn plain(t: &Texts, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => t.yes.to_owned(),
        Value::Bool(false) => t.no.to_owned(),
        Value::Null => "—".to_owned(),
        other => other.to_string(),
    }
}

/// How the licence came in and what its issuer ordered since, oldest first.
fn history(t: &'static Texts, stored: &StoredLicence, with_reasons: bool) -> Vec<Event> {
    let taken_in = Event {
        at: moment(stored.received_at),
        what: t.history_issued.to_owned(),
        why: "—".to_owned(),
        seq: stored.seq.to_string(),
    };
    let ordered = stored.orders.iter().map(|kept| {
        let order = StatusOrder::parse(&kept.document).ok();
        Event {
            at: moment(kept.at),
            what: order.as_ref().map_or_else(
                || t.history_unreadable.to_owned(),
                |order| change_name(t, &order.change),
            ),
            why: order.filter(|_| with_reasons).map(|order| order.reason).unwrap_or_default(),
            seq: kept.seq.to_string(),
        }
    });
    std::iter::once(taken_in).chain(ordered).collect()
}

fn change_name(t: &'static Texts, change: &StatusChange) -> String {
    match change {
        StatusChange::Suspend => t.change_suspend.to_owned(),
        StatusChange::Restore => t.change_restore.to_owned(),
        StatusChange::Revoke { cause } => {
            format!("{}（{}）", t.change_revoke, cause_name(t, *cause))
        }
        StatusChange::Supersede { .. } => t.change_supersede.to_owned(),
    }
}

fn technical(t: &'static Texts, stored: &StoredLicence) -> Vec<Fact> {
    let proof = match &stored.proof {
        Proof::Signature(_) => Fact::new(t.proof, t.proof_own),
        Proof::Unsigned => Fact::new(t.proof, t.proof_none),
        Proof::Manifest { manifest, position } => Fact::new(
            t.proof,
            fill(
                t.proof_manifest,
                &[("position", &(u64::from(*position) + 1)), ("digest", manifest)],
            ),
        ),
    };
    let mut facts = vec![
        Fact::code(t.type_code, stored.licence_type.as_str()),
        Fact::code(t.digest, stored.digest.to_string()),
        proof,
        Fact::new(t.received_at, moment(stored.received_at)),
    ];
    if let Ok(chain) = postcard::from_bytes::<ChainRecord>(&stored.chain.0) {
        let serials: Vec<String> =
            chain.certificates.iter().map(|certificate| hex::encode(&certificate.serial)).collect();
        facts.push(Fact::code(t.certificates, serials.join("\n")));
        facts.push(Fact::code(t.anchor, chain.anchor.to_string()));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_by_its_ends() {
        assert_eq!(half_hidden("450203199001011234"), "4502***********234");
        assert_eq!(half_hidden("E12345678"), "E*******8");
        assert_eq!(half_hidden("A"), "A");
        assert_eq!(half_hidden(""), "");
    }

    #[test]
    fn a_field_is_named_by_the_catalogue_and_by_its_key() {
        let label = Label::of("first_issued_on", &serde_json::json!({ "title": "初次领证日期" }));
        assert_eq!(
            (label.chinese.as_str(), label.english.as_str()),
            ("初次领证日期", "First issued on")
        );
        let unnamed = Label::of("经营范围", &Value::Null);
        assert_eq!((unnamed.chinese.as_str(), unnamed.english.as_str()), ("经营范围", "经营范围"));
    }
}
