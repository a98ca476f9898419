//! One guide, with the reader's own checklist.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use licence::{HolderId, Level, Matter, Requirement, Way};

use super::{
    applicants, field_name, matter, matter_name, said,
    texts::MattersTexts,
    type_name,
    views::{Form, Guide, Material, Start, YourRow, Yours},
};
use crate::{
    Hub,
    login::{Person, Role},
    pages::{
        texts::{Language, fill},
        verification::moment,
        views::{Badge, Fact, Notice, Section, Tone},
        visitor::{Failure, Visitor},
    },
    reuse::{
        Who,
        cases::CaseError,
        checklist::{self, Checklist, Item, ItemState, MayFollow, WhyNot},
    },
};

/// `GET /matters/{code}`. `?for=N`: for the Nth of those the reader acts for.
pub(super) async fn guide(
    visitor: Visitor,
    request: HttpRequest,
    code: web::Path<String>,
) -> HttpResponse {
    let chosen = request
        .query_string()
        .split('&')
        .find_map(|member| member.strip_prefix("for=")?.parse::<usize>().ok());
    visitor.show(page(&visitor, &code, chosen).await)
}

async fn page(
    visitor: &Visitor,
    code: &str,
    chosen: Option<usize>,
) -> Result<(StatusCode, Guide), Failure> {
    let matter = matter(visitor, code)?;
    let (hub, language) = (&visitor.hub, visitor.language);
    let w = MattersTexts::of(language);
    let in_force = matter.is_in_force(hub.clock.today());
    let open = in_force && matter.is_applied_for();
    let notice = match (matter.is_applied_for(), in_force) {
        (false, _) => Some((w.no_guide, w.no_guide_hint)),
        (true, false) => Some((w.not_in_force, w.not_in_force_hint)),
        (true, true) => None,
    };
    let applicant = visitor.person.as_ref().filter(|person| person.is(Role::Applicant));
    let yours = match applicant {
        Some(person) if open => yours(visitor, person, matter, chosen).await,
        _ => None,
    };
    let name = matter_name(language, matter);
    let page = visitor.frame(Section::Matters, name.text.clone());
    let start = match (open, &visitor.person, applicant) {
        (true, None, _) => page.login.clone().map_or(Start::No, Start::LogIn),
        (true, Some(_), Some(person)) if !fitting(person, matter).is_empty() => Start::Here,
        _ => Start::No,
    };
    let guide = Guide {
        page,
        w,
        code: matter.code.to_string(),
        chinese_name: (name.lang != Language::Chinese.tag()).then(|| matter.name.clone()),
        name,
        notice: notice.map(|(title, says)| Notice {
            tone: Tone::Warning,
            title: title.to_owned(),
            says: vec![says.to_owned()],
        }),
        facts: facts(hub, language, matter),
        start,
        yours,
        materials: materials(hub, language, matter),
        flow: matter.guide.flow.iter().map(|step| said(language, step)).collect(),
        forms: forms(hub, language, matter),
        versions: versions(hub, w, matter),
    };
    Ok((StatusCode::OK, guide))
}

/// What the matter is, in short.
pub(super) fn facts(hub: &Hub, language: Language, matter: &Matter) -> Vec<Fact> {
    let w = MattersTexts::of(language);
    let guide = &matter.guide;
    let mut facts = vec![Fact::data(w.department, hub.department_name(&matter.department))];
    if matter.is_applied_for() {
        facts.push(Fact::new(w.applicants, applicants(w, matter)));
        facts.push(Fact::new(w.time_limit, time_limit(w, matter)));
        facts.push(Fact::new(w.taken_at, taken_at(language, matter)));
    }
    if let Some(result) = &guide.result {
        let name = type_name(hub, language, result);
        facts.push(Fact::new(w.result, fill(w.result_is, &[("name", &name)])));
    }
    facts.push(Fact::data(w.basis, &matter.basis));
    facts.push(Fact::code(w.code, matter.code.as_str()));
    facts.push(Fact::new(w.version, version(w, matter)));
    facts
}

fn time_limit(w: &MattersTexts, matter: &Matter) -> String {
    let days = matter.guide.days;
    match (days.legal, days.promised) {
        (0, 0) => w.time_limit_none.to_owned(),
        (0, promised) => fill(w.time_limit_promised, &[("promised", &promised)]),
        (legal, promised) => fill(w.time_limit_is, &[("promised", &promised), ("legal", &legal)]),
    }
}

/// Online, and at the places of the guide.
fn taken_at(language: Language, matter: &Matter) -> String {
    let w = MattersTexts::of(language);
    let mut places = vec![w.online];
    places.extend(matter.guide.taken_at.iter().map(|level| match level {
        Level::District => w.at_district,
        Level::Street => w.at_street,
        Level::Village => w.at_village,
    }));
    if matter.guide.taken_at.is_empty() {
        places.push(w.anywhere);
    }
    places.join(language.pick("；", "; "))
}

fn version(w: &MattersTexts, matter: &Matter) -> String {
    let n = matter.version;
    match (matter.guide.from, matter.guide.until) {
        (None, None) => fill(w.version_is, &[("n", &n)]),
        (Some(from), None) => fill(w.version_from, &[("n", &n), ("from", &from)]),
        (None, Some(until)) => fill(w.version_until, &[("n", &n), ("until", &until)]),
        (Some(from), Some(until)) => {
            fill(w.version_between, &[("n", &n), ("from", &from), ("until", &until)])
        }
    }
}

fn versions(hub: &Hub, w: &MattersTexts, matter: &Matter) -> Vec<(String, bool)> {
    let listed = hub.matters.versions(&matter.code);
    if listed.len() < 2 {
        return Vec::new();
    }
    let now = hub.matters.current(&matter.code, hub.clock.today()).map(|one| one.version);
    listed.iter().rev().map(|one| (version(w, one), Some(one.version) == now)).collect()
}

/// The materials and how each is had.
pub(super) fn materials(hub: &Hub, language: Language, matter: &Matter) -> Vec<Material> {
    let w = MattersTexts::of(language);
    let of = |requirement: &Requirement| Material {
        name: said(language, &requirement.name),
        ways: ways(hub, language, requirement),
        may_follow: requirement.may_follow_days.map(|days| fill(w.may_follow, &[("days", &days)])),
        sample: requirement.sample.as_ref().map(|sample| said(language, sample)),
        basis: requirement.basis.clone(),
    };
    matter.guide.requirements.iter().map(of).collect()
}

fn ways(hub: &Hub, language: Language, requirement: &Requirement) -> Vec<String> {
    let w = MattersTexts::of(language);
    let mut said = Vec::new();
    for way in &requirement.ways {
        let words = match way {
            Way::Licence { licence_type } => {
                fill(w.way_licence, &[("name", &type_name(hub, language, licence_type))])
            }
            Way::Fact { licence_type, field, equals } => {
                let name = type_name(hub, language, licence_type);
                let field = field_name(hub, language, licence_type, field);
                match equals {
                    Some(value) => {
                        fill(w.way_fact_is, &[("name", &name), ("field", &field), ("value", value)])
                    }
                    None => fill(w.way_fact, &[("name", &name), ("field", &field)]),
                }
            }
            Way::File { reusable_days: 0, .. } => w.way_file_once.to_owned(),
            Way::File { reusable_days, .. } => fill(w.way_file, &[("days", reusable_days)]),
        };
        let words = match said.is_empty() {
            false if matches!(way, Way::File { .. }) => fill(w.way_else, &[("way", &words)]),
            _ => words,
        };
        said.push(capital(&words));
    }
    said
}

/// With a capital letter, as a line of its own begins.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn forms(hub: &Hub, language: Language, matter: &Matter) -> Vec<Form> {
    let w = MattersTexts::of(language);
    let mut forms = Vec::new();
    for form in &matter.guide.forms {
        let fields = form.fields.iter().map(|field| {
            let sources: Vec<String> = field
                .prefill
                .iter()
                .map(|from| {
                    let name = type_name(hub, language, &from.licence_type);
                    let field = field_name(hub, language, &from.licence_type, &from.field);
                    fill(w.field_of, &[("name", &name), ("field", &field)])
                })
                .collect();
            let from = match (sources.is_empty(), field.optional) {
                (false, _) => sources.join(w.or),
                (true, true) => w.filled_by_you_optional.to_owned(),
                (true, false) => w.filled_by_you.to_owned(),
            };
            (said(language, &field.label), from)
        });
        forms.push(Form {
            id: format!("form-{}", form.id),
            name: said(language, &form.name),
            fields: fields.collect(),
        });
    }
    forms
}

/// Places, among those a person acts for, of those who may apply.
fn fitting(person: &Person, matter: &Matter) -> Vec<usize> {
    let may = |holder: &HolderId| {
        let kind = match holder.kind().is_person() {
            true => licence::ApplicantKind::Person,
            false => licence::ApplicantKind::Organisation,
        };
        matter.guide.applicants.is_empty() || matter.guide.applicants.contains(&kind)
    };
    let holders = person.account.holders.iter().enumerate();
    holders.filter(|(_, holder)| may(holder)).map(|(place, _)| place).collect()
}

/// The reader's own checklist. The look is on the access log before the page is shown.
async fn yours(
    visitor: &Visitor,
    person: &Person,
    matter: &Matter,
    chosen: Option<usize>,
) -> Option<Yours> {
    let (hub, language) = (&visitor.hub, visitor.language);
    let w = MattersTexts::of(language);
    let places = fitting(person, matter);
    let failed = |title: &str| Yours {
        name: None,
        others: Vec::new(),
        summary: String::new(),
        rows: Vec::new(),
        notice: Some(Notice { tone: Tone::Warning, title: title.to_owned(), says: Vec::new() }),
    };
    let Some(first) = places.first() else { return Some(failed(w.not_for_you)) };
    let place = *chosen.as_ref().filter(|place| places.contains(place)).unwrap_or(first);
    let holder = person.account.holders.get(place)?;
    let who = Who::Holder { person: person.clone(), holder: holder.clone() };
    let list = match checklist::checklist(hub, &who, holder, matter, None).await {
        Ok(list) => list,
        Err(CaseError::NoService) => return None, // this hub runs no cases
        Err(error) => {
            tracing::warn!(error.code = error.code(), "a guide is shown without its checklist");
            return Some(failed(w.say_unavailable));
        }
    };
    let name = |place: usize| holder_name(visitor, person, place);
    let several = places.len() > 1;
    let others = places.iter().filter(|other| **other != place).map(|other| {
        let href = format!("/matters/{}?for={other}#yours", matter.code);
        (href, fill(w.yours_other, &[("name", &name(*other))]))
    });
    Some(Yours {
        name: several.then(|| fill(w.yours_for, &[("name", &name(place))])),
        others: others.collect(),
        summary: summary(w, &list),
        rows: list.items.iter().map(|item| row(hub, language, item)).collect(),
        notice: None,
    })
}

/// What the reader calls a holder: the own name, or the organisation's code.
fn holder_name(visitor: &Visitor, person: &Person, place: usize) -> String {
    match person.account.holders.get(place) {
        Some(holder) if !holder.kind().is_person() => {
            format!("{} {}", MattersTexts::of(visitor.language).for_organisations, holder.number())
        }
        _ => person.account.name.clone(),
    }
}

fn summary(w: &MattersTexts, list: &Checklist) -> String {
    let all = list.items.len();
    match list.to_hand_in().count() {
        0 => fill(w.needed_nothing, &[("all", &all)]),
        missing => {
            fill(w.needed, &[("all", &all), ("held", &(all - missing)), ("missing", &missing)])
        }
    }
}

fn row(hub: &Hub, language: Language, item: &Item) -> YourRow {
    let w = MattersTexts::of(language);
    let (badge, says) = match &item.state {
        ItemState::Held { licence_type, .. } => {
            let name = type_name(hub, language, licence_type);
            (met(w.state_held), vec![fill(w.says_held, &[("name", &name)])])
        }
        ItemState::Fact { licence_type, .. } => {
            let name = type_name(hub, language, licence_type);
            (met(w.state_held), vec![fill(w.says_fact, &[("name", &name)])])
        }
        ItemState::Reusable { handed_in_at, .. } => {
            let at: String = moment(*handed_in_at).chars().take(10).collect();
            (met(w.state_reusable), vec![fill(w.says_reusable, &[("at", &at)])])
        }
        // Of a case only.
        ItemState::HandedIn { .. } | ItemState::Promised { .. } => {
            (met(w.state_reusable), Vec::new())
        }
        ItemState::ToHandIn { why, may_follow } => {
            let mut says = vec![why_not(w, why).to_owned()];
            match may_follow {
                MayFollow::No => {}
                MayFollow::Until(until) => {
                    says.push(fill(w.says_may_follow, &[("until", until)]));
                }
                MayFollow::RefusedForUnkept { .. } => says.push(w.says_may_not_follow.to_owned()),
            }
            let word = w.state_to_hand_in.to_owned();
            (Badge { tone: Tone::Warning, sign: "✎", word }, says)
        }
    };
    YourRow { name: said(language, &item.requirement.name), badge, says }
}

fn met(word: &str) -> Badge {
    Badge { tone: Tone::Good, sign: "✓", word: word.to_owned() }
}

fn why_not(w: &'static MattersTexts, why: &WhyNot) -> &'static str {
    match why {
        WhyNot::OnlyAFile => w.says_only_file,
        WhyNot::NoneHeld => w.says_none_held,
        WhyNot::NotTrusted { .. } => w.says_not_trusted,
        WhyNot::FactMissing { .. } => w.says_fact_missing,
        WhyNot::Outdated { .. } => w.says_outdated,
    }
}
