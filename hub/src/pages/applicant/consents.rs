//! Consents: who asks for what, why and until when; yes, less or no; and taking it back.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use licence::LicenceTypeCode;
use serde_json::Value;

use super::{
    cases::{name_of_matter, news, refused},
    me::{Me, see_other},
    own,
    texts::MeTexts,
    views::{self, ConsentRow, Part, ToDo, TypePart, Words},
};
use crate::{
    http::error::Problem,
    pages::{
        posted::Posted,
        search::type_name,
        texts::{Language, fill},
        verification::moment,
        views::{Badge, Fact, Notice, Tone},
        visitor::Failure,
    },
    reuse::{
        Who,
        consents::{self, Answer, Consent, ConsentError, ConsentState, Parts},
    },
};

/// Most consents on a page.
const MOST: usize = 100;

/// Stands for a whole licence among the fields of a form.
const WHOLE: &str = "*";

impl From<ConsentError> for Failure {
    fn from(error: ConsentError) -> Self {
        own::refused(Problem::from(error))
    }
}

/// The consents of the holder the person acts for, newest first.
pub(crate) async fn of_holder(me: &Me) -> Result<Vec<Consent>, Failure> {
    Ok(consents::of_holder(&me.visitor.hub, &me.who(), MOST).await?)
}

/// What waits for an answer.
pub(crate) fn waiting(me: &Me, all: &[Consent]) -> Vec<ToDo> {
    let now = me.visitor.hub.clock.now();
    let waiting = all.iter().filter(|consent| consent.state(now) == ConsentState::Waiting);
    let to_do = waiting.map(|consent| ToDo {
        href: format!("/me/consents/{}", consent.id),
        badge: badge(me, ConsentState::Waiting),
        name: Words { text: department(me, consent).to_owned(), lang: "zh-CN" },
        says: me.m().consent_waits.to_owned(),
    });
    to_do.collect()
}

fn department<'a>(me: &'a Me, consent: &'a Consent) -> &'a str {
    me.visitor.hub.department_name(&consent.department)
}

fn badge(me: &Me, state: ConsentState) -> Badge {
    let m = me.m();
    let (tone, sign, word) = match state {
        ConsentState::Waiting => (Tone::Warning, "!", m.consent_waiting),
        ConsentState::Granted => (Tone::Good, "✓", m.consent_granted),
        ConsentState::Refused => (Tone::Plain, "✗", m.consent_refused),
        ConsentState::Withdrawn => (Tone::Plain, "–", m.consent_withdrawn),
        ConsentState::Lapsed => (Tone::Plain, "–", m.consent_lapsed),
        ConsentState::Ended => (Tone::Plain, "–", m.consent_ended),
    };
    Badge { tone, sign, word: word.to_owned() }
}

/// `GET /me/consents`.
pub(crate) async fn list(me: Me) -> HttpResponse {
    me.visitor.show(all(&me).await)
}

async fn all(me: &Me) -> Result<(StatusCode, views::Consents), Failure> {
    let now = me.visitor.hub.clock.now();
    let consents = of_holder(me).await?;
    let (page, mine) = me.frame(Part::Consents, me.m().consents_title).await?;
    let rows = consents.iter().map(|consent| ConsentRow {
        href: format!("/me/consents/{}", consent.id),
        department: department(me, consent).to_owned(),
        badge: badge(me, consent.state(now)),
        licences: names(me, &consent.licences),
        until: consent.given.as_ref().map_or(consent.until, |given| given.until).to_string(),
        asked: moment(consent.asked_at)[..10].to_owned(),
    });
    let more = (consents.len() == MOST).then(|| fill(me.m().only_newest, &[("n", &MOST)]));
    let rows = rows.collect();
    Ok((StatusCode::OK, views::Consents { page, mine, rows, more }))
}

fn names(me: &Me, parts: &Parts) -> String {
    let between = me.visitor.language.pick("、", ", ");
    let names: Vec<String> = parts.iter().map(|(one, _)| type_name(&me.visitor, one)).collect();
    names.join(between)
}

/// The consent, if it is asked of one of the person's holders.
async fn find(me: &Me, id: &str) -> Result<(Consent, Who), Failure> {
    for holder in &me.person.account.holders {
        let who = me.who_for(holder);
        match consents::consent(&me.visitor.hub, &who, id).await {
            Ok(consent) => return Ok((consent, who)),
            Err(ConsentError::Unknown) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ConsentError::Unknown.into())
}

/// `GET /me/consents/{id}`.
pub(crate) async fn one(me: Me, id: web::Path<String>, request: HttpRequest) -> HttpResponse {
    let m = me.m();
    let done = [
        ("yes", m.done_consent_yes),
        ("no", m.done_consent_no),
        ("withdrawn", m.done_consent_withdrawn),
    ];
    let notice = news(&me, &request, &done, None);
    me.visitor.show(consent_page(&me, &id, notice).await.map(|page| (StatusCode::OK, page)))
}

/// `POST /me/consents/{id}/answer`.
pub(crate) async fn answer(me: Me, id: web::Path<String>, posted: Posted) -> HttpResponse {
    let done = async {
        let (consent, who) = find(&me, &id).await?;
        let (answer, done) = match posted.text("answer") {
            "yes" => (Answer::Yes, "yes"),
            "no" => (Answer::No, "no"),
            "less" => (less(&me, &consent, &posted)?, "yes"),
            _ => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Err(Failure::of_room(status, "consent_answer", |language| {
                    MeTexts::of(language).say_consent_answer
                }));
            }
        };
        consents::decide(&me.visitor.hub, &who, &id, &answer).await?;
        Ok(done)
    };
    let done = done.await;
    go_on(&me, &id, done)
}

/// `POST /me/consents/{id}/withdraw`.
pub(crate) async fn withdraw(me: Me, id: web::Path<String>, _: Posted) -> HttpResponse {
    let done = async {
        let (_, who) = find(&me, &id).await?;
        consents::withdraw(&me.visitor.hub, &who, &id).await?;
        Ok("withdrawn")
    };
    let done = done.await;
    go_on(&me, &id, done)
}

/// What was ticked, and the last day.
fn less(me: &Me, consent: &Consent, posted: &Posted) -> Result<Answer, Failure> {
    let until = posted.text("until").parse().map_err(|_| ConsentError::Until)?;
    let mut licences: Parts = Vec::new();
    for (licence_type, asked) in &consent.licences {
        let member = format!("take.{licence_type}");
        let ticked: Vec<&str> = posted.all(&member).collect();
        // The whole licence only if nothing of it was taken away.
        let all = all_fields(me, licence_type);
        let whole = asked.is_empty()
            && ticked.contains(&WHOLE)
            && all.iter().all(|(key, _)| ticked.contains(&key.as_str()));
        let fields: Vec<String> = match whole {
            true => Vec::new(),
            false => ticked.iter().filter(|one| **one != WHOLE).map(|&one| one.into()).collect(),
        };
        if whole || !fields.is_empty() {
            licences.push((*licence_type, fields));
        }
    }
    Ok(Answer::Less { licences, until })
}

fn go_on(me: &Me, id: &str, done: Result<&str, Failure>) -> HttpResponse {
    match done {
        Ok(done) => see_other(&format!("/me/consents/{id}?done={done}")),
        Err(failure) => refused(me, &format!("/me/consents/{id}"), &failure),
    }
}

async fn consent_page(
    me: &Me,
    id: &str,
    notice: Option<Notice>,
) -> Result<views::ConsentPage, Failure> {
    let (hub, m) = (&me.visitor.hub, me.m());
    let (consent, _) = find(me, id).await?;
    let state = consent.state(hub.clock.now());
    let (page, mine) = me.frame(Part::Consents, m.consent_title).await?;
    let matter = hub.matters.get(&consent.matter);
    let matter = matter.map_or_else(
        || Words { text: consent.matter.to_string(), lang: "zh-CN" },
        |matter| name_of_matter(me, matter),
    );
    let mut facts = vec![
        Fact::data(m.consent_who, department(me, &consent)),
        Fact { data: matter.lang == "zh-CN", ..Fact::new(m.consent_matter, matter.text) },
        Fact::data(m.consent_why, &consent.reason),
        Fact::new(m.consent_until, consent.until.to_string()),
        Fact::new(m.consent_asked, moment(consent.asked_at)),
    ];
    facts.extend(consent.decided_at.map(|at| Fact::new(m.consent_decided, moment(at))));
    facts.extend(consent.withdrawn_at.map(|at| Fact::new(m.consent_withdrawn_at, moment(at))));
    let given = consent.given.as_ref().map(|given| {
        facts.push(Fact::new(m.consent_given_until, given.until.to_string()));
        facts.push(Fact::code(m.grant, &given.grant));
        parts(me, &given.licences)
    });
    let says = match state {
        ConsentState::Waiting => m.consent_says_waiting,
        ConsentState::Granted => m.consent_says_granted,
        ConsentState::Refused => m.consent_says_refused,
        ConsentState::Withdrawn => m.consent_says_withdrawn,
        ConsentState::Lapsed => m.consent_says_lapsed,
        ConsentState::Ended => m.consent_says_ended,
    };
    Ok(views::ConsentPage {
        page,
        mine,
        id: consent.id.clone(),
        badge: badge(me, state),
        says,
        notice,
        facts,
        asked: parts(me, &consent.licences),
        given,
        until: consent.until.to_string(),
        today: hub.clock.today().to_string(),
        waiting: state == ConsentState::Waiting,
        withdrawable: state == ConsentState::Granted,
    })
}

fn parts(me: &Me, parts: &Parts) -> Vec<TypePart> {
    parts
        .iter()
        .map(|(licence_type, fields)| {
            let whole = fields.is_empty();
            let mut choices: Vec<(String, Words)> = match whole {
                true => all_fields(me, licence_type),
                false => {
                    let named = fields.iter();
                    named.map(|key| (key.clone(), field_name(me, licence_type, key))).collect()
                }
            };
            if whole {
                let text = me.m().consent_original.to_owned();
                choices
                    .insert(0, (WHOLE.to_owned(), Words { text, lang: me.visitor.language.tag() }));
            }
            TypePart {
                code: licence_type.to_string(),
                name: type_name(&me.visitor, licence_type),
                whole,
                choices,
            }
        })
        .collect()
}

fn all_fields(me: &Me, licence_type: &LicenceTypeCode) -> Vec<(String, Words)> {
    let entry = me.visitor.hub.catalogue.entry(licence_type);
    let properties = entry.and_then(|entry| entry.fields["properties"].as_object());
    let keys = properties.into_iter().flat_map(|properties| properties.keys());
    keys.map(|key| (key.clone(), field_name(me, licence_type, key))).collect()
}

/// What a face field is called: as the catalogue has it, in English by its key.
pub(crate) fn field_name(me: &Me, licence_type: &LicenceTypeCode, key: &str) -> Words {
    let entry = me.visitor.hub.catalogue.entry(licence_type);
    let schema = entry.map_or(&Value::Null, |entry| &entry.fields);
    let label = crate::pages::licence::Label::of(key, &schema["properties"][key]);
    match me.visitor.language {
        Language::Chinese => Words { text: label.chinese, lang: "zh-CN" },
        Language::English => Words { text: label.english, lang: "en" },
    }
}
