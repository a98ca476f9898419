//! Asking holders for licences, and opening what they gave.

use actix_web::{HttpResponse, http::StatusCode, web};
use jiff::civil::Date;
use licence::{LicenceTypeCode, Matter};

use super::{
    clerk, content,
    counter::{self, Meant, Typed},
    desk, failure, frame, matter_name, notice, rows, say, see_other,
    texts::WindowTexts,
    views::{ConsentChoice, ConsentPage, ConsentRow, Consents, Content, Tab, TypeChoice, Words},
};
use crate::{
    Hub,
    http::error::Problem,
    pages::{
        posted::Posted,
        texts::Language,
        verification::moment,
        views::{Badge, Fact, Hidden, Tone},
        visitor::{Failure, Visitor},
    },
    reuse::{
        Clerk, Who,
        consents::{self, Asked, Consent, ConsentError, ConsentState, Parts},
    },
};

/// Consents listed.
const MOST_LISTED: usize = 200;

/// `GET /window/consents`.
pub(super) async fn list(visitor: Visitor) -> HttpResponse {
    let page = async {
        let clerk = clerk(&visitor)?;
        Ok((StatusCode::OK, listed(&visitor, &clerk, &Typed::nothing()).await?))
    };
    visitor.show(page.await)
}

/// `POST /window/consents/choose`: which licences, which fields.
pub(super) async fn choose(visitor: Visitor, posted: Posted) -> HttpResponse {
    let typed = Typed::of(&posted);
    let clerk = match clerk(&visitor) {
        Ok(clerk) => clerk,
        Err(failure) => return visitor.failed(&failure),
    };
    let mut fitting = Vec::new();
    let refusal = match (typed.holder(), typed.meant(&visitor.hub, visitor.language)) {
        (Err(failure), _) => Some(failure),
        (_, Meant::None) => Some(counter::no_matter()),
        (_, Meant::Several(several)) => {
            fitting = several;
            None
        }
        (Ok(_), Meant::One(matter)) => {
            let page = choice(&visitor, &clerk, &typed, matter, &Chosen::default());
            return visitor.show(Ok((StatusCode::OK, page)));
        }
    };
    let page = async {
        let mut page = listed(&visitor, &clerk, &typed).await?;
        page.candidates = counter::candidates(&visitor, &fitting);
        page.carried = typed.hidden(None);
        page.carried.retain(|(name, _)| *name != "matter");
        page.notice = refusal.as_ref().map(|failure| notice(&visitor, failure));
        Ok((refusal.as_ref().map_or(StatusCode::OK, |failure| failure.status), page))
    };
    visitor.show(page.await)
}

/// `POST /window/consents`: asks.
pub(super) async fn ask(visitor: Visitor, posted: Posted) -> HttpResponse {
    let typed = Typed::of(&posted);
    let chosen = Chosen::of(&posted);
    let asked = async {
        let clerk = clerk(&visitor)?;
        let holder = typed.holder()?;
        let Meant::One(matter) = typed.meant(&visitor.hub, visitor.language) else {
            return Err(counter::no_matter());
        };
        let sent = match chosen.asked(holder, matter) {
            Ok(asked) => {
                let who = Who::Clerk(clerk.clone());
                consents::ask(&visitor.hub, &who, &asked).await.map_err(wrong)
            }
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(consent) => Ok(Ok(consent.id)),
            Err(failure) if failure.status.is_client_error() => {
                let mut page = choice(&visitor, &clerk, &typed, matter, &chosen);
                page.notice = Some(notice(&visitor, &failure));
                Ok(Err((failure.status, page)))
            }
            Err(failure) => Err(failure),
        }
    };
    match asked.await {
        Ok(Ok(id)) => see_other(&format!("/window/consents/{id}")),
        Ok(Err(page)) => visitor.show(Ok(page)),
        Err(failure) => visitor.failed(&failure),
    }
}

/// `GET /window/consents/{id}`.
pub(super) async fn look(visitor: Visitor, id: web::Path<String>) -> HttpResponse {
    visitor.show(one(&visitor, &id, None).await)
}

/// `POST /window/consents/{id}/open`: what was given, opened under its grant.
pub(super) async fn open(visitor: Visitor, id: web::Path<String>, _: Posted) -> HttpResponse {
    match opened(&visitor, &id).await {
        Ok(page) => visitor.show(Ok((StatusCode::OK, page))),
        // Withdrawn or over: the consent itself says how it stands.
        Err(failure) if failure.status.is_client_error() => {
            visitor.show(one(&visitor, &id, Some(&failure)).await)
        }
        Err(failure) => visitor.failed(&failure),
    }
}

async fn opened(visitor: &Visitor, id: &str) -> Result<Content, Failure> {
    let hub = &visitor.hub;
    let clerk = clerk(visitor)?;
    let who = Who::Clerk(clerk.clone());
    let consent = consents::consent(hub, &who, id).await.map_err(wrong)?;
    let none =
        || Failure::of_room(StatusCode::CONFLICT, "consent_not_in_force", say!(consent_not_open));
    let given = consent.given.as_ref().ok_or_else(none)?;
    let grant = consents::grant_of(hub, &who, &given.grant).await.map_err(wrong)?;
    let licences: Vec<_> =
        grant.opened_by.shown.iter().map(|shown| shown.identifier.clone()).collect();
    let back = (
        format!("/window/consents/{id}"),
        WindowTexts::of(visitor.language).consent_title.to_owned(),
    );
    let desk = desk(visitor, &clerk, Tab::Consents);
    content::opened(visitor, &clerk, desk, &given.grant, &licences, back).await
}

fn wrong(error: ConsentError) -> Failure {
    failure(Problem::from(error))
}

async fn listed(visitor: &Visitor, clerk: &Clerk, typed: &Typed) -> Result<Consents, Failure> {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let who = Who::Clerk(clerk.clone());
    let found = consents::of_department(hub, &who, MOST_LISTED).await.map_err(wrong)?;
    let rows = found.iter().map(|consent| ConsentRow {
        id: consent.id.clone(),
        matter: name_of_matter(visitor, consent),
        licences: type_names(hub, visitor.language, &consent.licences).join("、"),
        state: badge(w, consent, hub),
        asked_at: moment(consent.asked_at).chars().take(16).collect(),
        until: consent.until.to_string(),
    });
    Ok(Consents {
        page: frame(visitor, w.consents),
        desk: desk(visitor, clerk, Tab::Consents),
        asked: typed.asked(visitor, None),
        notice: None,
        candidates: Vec::new(),
        carried: Vec::new(),
        rows: rows.collect(),
    })
}

fn name_of_matter(visitor: &Visitor, consent: &Consent) -> Words {
    visitor.hub.matters.get(&consent.matter).map_or_else(
        || Words::new(consent.matter.as_str(), Language::Chinese),
        |matter| matter_name(visitor.language, matter),
    )
}

fn type_names(hub: &Hub, language: Language, parts: &Parts) -> Vec<String> {
    let name = |code: &LicenceTypeCode| {
        rows::type_name(hub, language, code).unwrap_or_else(|| code.to_string())
    };
    parts.iter().map(|(code, _)| name(code)).collect()
}

fn badge(w: &WindowTexts, consent: &Consent, hub: &Hub) -> Badge {
    let less = consent
        .given
        .as_ref()
        .is_some_and(|given| given.licences != consent.licences || given.until != consent.until);
    let (tone, sign, word) = match consent.state(hub.clock.now()) {
        ConsentState::Waiting => (Tone::Warning, "…", w.consent_waiting),
        ConsentState::Granted if less => (Tone::Good, "✓", w.consent_less),
        ConsentState::Granted => (Tone::Good, "✓", w.consent_granted),
        ConsentState::Refused => (Tone::Bad, "✗", w.consent_refused),
        ConsentState::Withdrawn => (Tone::Bad, "←", w.consent_withdrawn),
        ConsentState::Lapsed | ConsentState::Ended => (Tone::Plain, "■", w.consent_over),
    };
    Badge { tone, sign, word: word.to_owned() }
}

/// What was ticked and written.
#[derive(Default)]
struct Chosen {
    types: Vec<(String, Vec<String>)>,
    reason: String,
    until: String,
    case: String,
}

impl Chosen {
    fn of(posted: &Posted) -> Self {
        let fields = |code: &str| posted.all(&format!("field-{code}")).map(str::to_owned).collect();
        Self {
            types: posted.all("type").map(|code| (code.to_owned(), fields(code))).collect(),
            reason: posted.text("reason").to_owned(),
            until: posted.text("until").to_owned(),
            case: posted.text("case").to_owned(),
        }
    }

    fn asked(&self, holder: licence::HolderId, matter: &Matter) -> Result<Asked, Failure> {
        let wrong = |code, say| Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, code, say);
        let licences: Option<Parts> = self
            .types
            .iter()
            .map(|(code, fields)| Some((code.parse().ok()?, fields.clone())))
            .collect();
        let licences = licences
            .filter(|licences| !licences.is_empty())
            .ok_or_else(|| wrong("types", say!(consent_nothing)))?;
        if self.reason.is_empty() {
            return Err(wrong("reason", say!(reason_missing)));
        }
        let until: Date =
            self.until.parse().map_err(|_| wrong("consent_until", say!(consent_day)))?;
        let case = Some(self.case.clone()).filter(|case| !case.is_empty());
        let (matter, reason) = (matter.code.clone(), self.reason.clone());
        Ok(Asked { holder, licences, matter, case, reason, until })
    }
}

fn choice(
    visitor: &Visitor,
    clerk: &Clerk,
    typed: &Typed,
    matter: &Matter,
    chosen: &Chosen,
) -> ConsentChoice {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let carried: Hidden = typed.hidden(Some(matter));
    let mut page = frame(visitor, w.consent_choose);
    page.again = Some(carried.clone());
    ConsentChoice {
        page,
        desk: desk(visitor, clerk, Tab::Consents),
        notice: None,
        matter: matter_name(visitor.language, matter),
        carried,
        types: matter
            .requires
            .iter()
            .filter_map(|code| type_choice(hub, visitor.language, code, chosen))
            .collect(),
        case: chosen.case.clone(),
        reason: chosen.reason.clone(),
        until: chosen.until.clone(),
        today: hub.clock.today().to_string(),
    }
}

fn type_choice(
    hub: &Hub,
    language: Language,
    code: &LicenceTypeCode,
    chosen: &Chosen,
) -> Option<TypeChoice> {
    let entry = hub.catalogue.entry(code)?;
    let word = code.to_string();
    let fields = chosen.types.iter().find(|(one, _)| *one == word).map(|(_, fields)| fields);
    let properties = entry.fields["properties"].as_object();
    Some(TypeChoice {
        name: Words::new(rows::type_name(hub, language, code)?, language),
        chosen: fields.is_some(),
        fields: properties
            .into_iter()
            .flat_map(|properties| properties.keys())
            .map(|field| {
                let label = Words::new(rows::field_name(hub, language, code, field), language);
                let ticked = fields.is_some_and(|fields| fields.contains(field));
                (field.clone(), label, ticked)
            })
            .collect(),
        code: word,
    })
}

async fn one(
    visitor: &Visitor,
    id: &str,
    refusal: Option<&Failure>,
) -> Result<(StatusCode, ConsentPage), Failure> {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let clerk = clerk(visitor)?;
    let who = Who::Clerk(clerk.clone());
    let consent = consents::consent(hub, &who, id).await.map_err(wrong)?;
    let state = consent.state(hub.clock.now());
    let page = ConsentPage {
        page: frame(visitor, w.consent_title),
        desk: desk(visitor, &clerk, Tab::Consents),
        id: consent.id.clone(),
        state: badge(w, &consent, hub),
        notice: refusal.map(|failure| notice(visitor, failure)),
        facts: facts(visitor, &consent),
        may_open: state == ConsentState::Granted,
    };
    Ok((refusal.map_or(StatusCode::OK, |failure| failure.status), page))
}

fn facts(visitor: &Visitor, consent: &Consent) -> Vec<Fact> {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let mut facts = vec![
        Fact {
            data: true,
            ..super::cases::holder_fact(visitor, w.consent_holder, &consent.holder, None)
        },
        Fact::new(w.matter, name_of_matter(visitor, consent).text),
        Fact::data(w.consent_reason, &consent.reason),
        Fact::new(w.consent_what, parts(hub, visitor.language, &consent.licences)),
        Fact::new(w.consent_until, consent.until.to_string()),
        Fact::new(w.consent_asked_at, moment(consent.asked_at)),
    ];
    facts.extend(consent.case.as_ref().map(|case| Fact::code(w.case_number, case)));
    if let Some(given) = &consent.given {
        let text = parts(hub, visitor.language, &given.licences);
        facts.push(Fact::new(w.consent_given, text));
        facts.push(Fact::new(w.consent_given_until, given.until.to_string()));
    }
    facts.extend(consent.decided_at.map(|at| Fact::new(w.consent_decided_at, moment(at))));
    facts.extend(consent.withdrawn_at.map(|at| Fact::new(w.consent_withdrawn, moment(at))));
    facts
}

/// Types with their fields, one a line.
fn parts(hub: &Hub, language: Language, parts: &Parts) -> String {
    let w = WindowTexts::of(language);
    let line = |(code, fields): &(LicenceTypeCode, Vec<String>)| {
        let name = rows::type_name(hub, language, code).unwrap_or_else(|| code.to_string());
        let fields: Vec<_> =
            fields.iter().map(|field| rows::field_name(hub, language, code, field)).collect();
        let fields = if fields.is_empty() { w.all_fields.to_owned() } else { fields.join("、") };
        language.pick(&format!("{name}：{fields}"), &format!("{name}: {fields}")).to_owned()
    };
    parts.iter().map(line).collect::<Vec<_>>().join("\n")
}
