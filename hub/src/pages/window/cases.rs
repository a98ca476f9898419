//! The queue of cases, and one case: materials, form, letters, what happened.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, http::StatusCode, web};
use licence::{HolderId, Licence, LicenceId, Matter};

use super::{
    clerk, content,
    counter::{self, Meant, Typed},
    desk, failure, frame,
    letters::{self, Kind},
    matter_name, notice, rows,
    rows::Acts,
    said, say, see_other, shown_number,
    texts::WindowTexts,
    views::{
        CasePage, CaseRow, Content, Decide, FieldRow, FormPart, LetterPage, Mend, Queue, StepRow,
        Submit, Tab, Words,
    },
};
use crate::{
    Hub,
    http::error::Problem,
    login::NodeKind,
    pages::{
        posted::Posted,
        texts::{Language, fill, holder_kind},
        verification::moment,
        views::{Badge, Choice, Fact, Notice, Section, Tone},
        visitor::{Failure, Visitor},
    },
    reuse::{
        Clerk, Who,
        case::{Case, CaseState, Step, StepBy, StepKind},
        cases::{self, CaseError, View},
        checklist::{Checklist, ItemState},
        prefill::FilledField,
    },
};

/// Cases listed.
const MOST_LISTED: usize = 200;

/// `GET /window/cases`.
pub(super) async fn queue(
    visitor: Visitor,
    query: web::Query<BTreeMap<String, String>>,
) -> HttpResponse {
    let state = query.get("state").and_then(|word| CaseState::from_word(word));
    visitor.show(listed(&visitor, state, None).await)
}

/// `POST /window/cases/find`: by its number, which does not go into the address before it is known to be one.
pub(super) async fn find(visitor: Visitor, posted: Posted) -> HttpResponse {
    let typed = posted.text("case").to_uppercase();
    let found = async {
        let who = Who::Clerk(clerk(&visitor)?);
        cases::case(&visitor.hub, &who, &typed).await.map_err(wrong)
    };
    match found.await {
        Ok(held) => see_other(&format!("/window/cases/{}", held.value.id)),
        Err(failure) if failure.status == StatusCode::NOT_FOUND => {
            let said = notice(&visitor, &failure);
            visitor.show(listed(&visitor, None, Some((failure.status, said))).await)
        }
        Err(failure) => visitor.failed(&failure),
    }
}

/// `POST /window/cases`: opens a case for the applicant at the counter.
pub(super) async fn open(visitor: Visitor, posted: Posted) -> HttpResponse {
    let opened = async {
        let who = Who::Clerk(clerk(&visitor)?);
        let typed = Typed::of(&posted);
        let holder = typed.holder()?;
        let Meant::One(matter) = typed.meant(&visitor.hub, visitor.language) else {
            return Err(counter::no_matter());
        };
        cases::open(&visitor.hub, &who, &holder, &matter.code).await.map_err(wrong)
    };
    match opened.await {
        Ok(case) => see_other(&format!("/window/cases/{}", case.id)),
        Err(failure) => visitor.failed(&failure),
    }
}

/// `GET /window/cases/{id}`.
pub(super) async fn look(visitor: Visitor, id: web::Path<String>) -> HttpResponse {
    visitor.show(shown(&visitor, &id, None).await)
}

/// `POST /window/cases/{id}/form`.
pub(super) async fn fill_in(
    visitor: Visitor,
    id: web::Path<String>,
    posted: Posted,
) -> HttpResponse {
    let values: BTreeMap<String, String> =
        posted.under("field-").map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
    let done = async {
        let who = Who::Clerk(clerk(&visitor)?);
        let confirmed = posted.all("confirmed").map(str::to_owned).collect();
        let filled = cases::fill_and_confirm(&visitor.hub, &who, &id, &values, &confirmed).await;
        filled.map_err(wrong)
    };
    let done = done.await;
    after(&visitor, &id, done.map(drop)).await
}

/// `POST /window/cases/{id}/licences/{licence}`: opened by the deciding department under the case's grant.
pub(super) async fn licence(
    visitor: Visitor,
    path: web::Path<(String, String)>,
    _: Posted,
) -> HttpResponse {
    let (id, licence) = path.into_inner();
    visitor.show(opened(&visitor, &id, &licence).await.map(|page| (StatusCode::OK, page)))
}

async fn opened(visitor: &Visitor, id: &str, licence: &str) -> Result<Content, Failure> {
    let hub = &visitor.hub;
    let clerk = clerk(visitor)?;
    let who = Who::Clerk(clerk.clone());
    let held = cases::case(hub, &who, id).await.map_err(wrong)?;
    let none = || Failure::of_room(StatusCode::NOT_FOUND, "unknown_case", say!(say_unknown_case));
    let grant = held.value.grant.as_ref();
    let grant = grant.filter(|_| stand(hub, &clerk, &held.value).department).ok_or_else(none)?;
    let licence: LicenceId = licence.parse().map_err(|_| none())?;
    let back = WindowTexts::of(visitor.language).letter_back.to_owned();
    let back = (format!("/window/cases/{id}"), back);
    let desk = desk(visitor, &clerk, Tab::Queue);
    content::opened(visitor, &clerk, desk, grant, &[licence], back).await
}

/// `GET /window/cases/{id}/letters/{letter}`.
pub(super) async fn letter(visitor: Visitor, path: web::Path<(String, String)>) -> HttpResponse {
    let (id, word) = path.into_inner();
    let page = async {
        let who = Who::Clerk(clerk(&visitor)?);
        letter_page(&visitor, Section::Window, &who, &id, &word, format!("/window/cases/{id}"))
            .await
    };
    visitor.show(page.await.map(|page| (StatusCode::OK, page)))
}

/// A letter of a case, for whoever may see the case. `back`: the page it was opened from.
pub(crate) async fn letter_page(
    visitor: &Visitor,
    section: Section,
    who: &Who,
    id: &str,
    word: &str,
    back: String,
) -> Result<LetterPage, Failure> {
    let hub = &visitor.hub;
    let View { case, list, .. } = cases::view(hub, who, id).await.map_err(wrong)?;
    let case = &case;
    let matter = cases::matter_of(hub, case).map_err(wrong)?;
    let none = || Failure::of_room(StatusCode::NOT_FOUND, "no_such_letter", say!(letter_none));
    let kind = Kind::from_word(word).filter(|kind| kind.is_due(case)).ok_or_else(none)?;
    let applicant = applicant_name(hub, case, &list).await?;
    let facts = letters::Facts {
        case,
        matter,
        department: hub.department_name(&case.department),
        applicant: applicant.as_deref(),
        number: &shown_number(&case.holder),
        calendar: &hub.calendar,
    };
    let letter = letters::letter(kind, &facts).ok_or_else(none)?;
    Ok(LetterPage {
        page: visitor.frame(section, letter.title),
        w: WindowTexts::of(visitor.language),
        back,
        letter,
    })
}

/// What the applicant is called on the first of the licences just listed (and recorded as seen).
async fn applicant_name(
    hub: &Hub,
    case: &Case,
    list: &Checklist,
) -> Result<Option<String>, Failure> {
    for item in &list.items {
        if let ItemState::Held { identifier, .. } | ItemState::Fact { identifier, .. } = &item.state
            && let Some(stored) = hub.store.licence(identifier).await?
            && let Ok(licence) = Licence::parse(&stored.document)
            && let Some(holder) = licence.holders.into_iter().find(|one| one.id == case.holder)
        {
            return Ok(Some(holder.name));
        }
    }
    Ok(None)
}

/// A refusal of the cases, in the window's words.
pub(super) fn wrong(error: CaseError) -> Failure {
    failure(Problem::from(error))
}

/// After a step: the case again; if the step was refused, with the reason on it.
pub(super) async fn after(visitor: &Visitor, id: &str, done: Result<(), Failure>) -> HttpResponse {
    match done {
        Ok(()) => see_other(&format!("/window/cases/{id}")),
        Err(failure) if is_about_the_step(failure.status) => {
            visitor.show(refused(visitor, id, &failure).await)
        }
        Err(failure) => visitor.failed(&failure),
    }
}

/// The case, with a refusal on it.
pub(super) async fn refused(
    visitor: &Visitor,
    id: &str,
    failure: &Failure,
) -> Result<(StatusCode, CasePage), Failure> {
    shown(visitor, id, Some((failure.status, notice(visitor, failure)))).await
}

/// Whether the case itself can be shown beside the refusal.
fn is_about_the_step(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::CONFLICT
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::BAD_REQUEST
            | StatusCode::SERVICE_UNAVAILABLE
    )
}

async fn listed(
    visitor: &Visitor,
    state: Option<CaseState>,
    said: Option<(StatusCode, Notice)>,
) -> Result<(StatusCode, Queue), Failure> {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let clerk = clerk(visitor)?;
    let desk = desk(visitor, &clerk, Tab::Queue);
    let who = Who::Clerk(clerk);
    let found = cases::queue(hub, &who, state, MOST_LISTED + 1).await.map_err(wrong)?;
    let mut page = frame(visitor, w.queue);
    page.keep = keep(state);
    let (status, notice) = said.map_or((StatusCode::OK, None), |(status, n)| (status, Some(n)));
    if notice.is_some() {
        page.again = None;
    }
    let page = Queue {
        page,
        desk,
        notice,
        states: std::iter::once((String::new(), w.all_states, state.is_none()))
            .chain(
                ALL_STATES
                    .into_iter()
                    .map(|one| (one.word().to_owned(), state_words(w, one).2, state == Some(one))),
            )
            .map(|(value, label, selected)| Choice { value, label: label.to_owned(), selected })
            .collect(),
        more: (found.len() > MOST_LISTED).then(|| fill(w.queue_more, &[("n", &MOST_LISTED)])),
        rows: found.iter().take(MOST_LISTED).map(|case| case_row(visitor, case)).collect(),
    };
    Ok((status, page))
}

/// In the order of a case's life, those that wait for a clerk first.
const ALL_STATES: [CaseState; 8] = [
    CaseState::Submitted,
    CaseState::Accepted,
    CaseState::Supplement,
    CaseState::Draft,
    CaseState::Granted,
    CaseState::Refused,
    CaseState::Declined,
    CaseState::Withdrawn,
];

/// Kept in the address when the language is switched.
fn keep(state: Option<CaseState>) -> &'static str {
    match state {
        None => "",
        Some(CaseState::Draft) => "state=draft&",
        Some(CaseState::Submitted) => "state=submitted&",
        Some(CaseState::Supplement) => "state=supplement&",
        Some(CaseState::Accepted) => "state=accepted&",
        Some(CaseState::Declined) => "state=declined&",
        Some(CaseState::Granted) => "state=granted&",
        Some(CaseState::Refused) => "state=refused&",
        Some(CaseState::Withdrawn) => "state=withdrawn&",
    }
}

fn case_row(visitor: &Visitor, case: &Case) -> CaseRow {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let matter = cases::matter_of(hub, case).ok();
    CaseRow {
        id: case.id.clone(),
        matter: matter.map_or_else(
            || Words::new(case.matter.as_str(), Language::Chinese),
            |matter| matter_name(visitor.language, matter),
        ),
        department: hub.department_name(&case.department).to_owned(),
        state: state_badge(w, case.state),
        opened: minute(case.opened_at),
        due: case.due.map_or_else(|| "—".to_owned(), |due| due.to_string()),
        late: late(visitor, case),
    }
}

/// A moment to the minute.
fn minute(at: jiff::Timestamp) -> String {
    moment(at).chars().take(16).collect()
}

/// A case's state as a badge.
pub(super) fn state_badge(w: &WindowTexts, state: CaseState) -> Badge {
    let (tone, sign, word) = state_words(w, state);
    Badge { tone, sign, word: word.to_owned() }
}

fn state_words(w: &WindowTexts, state: CaseState) -> (Tone, &'static str, &'static str) {
    match state {
        CaseState::Draft => (Tone::Plain, "✎", w.state_draft),
        CaseState::Submitted => (Tone::Warning, "→", w.state_submitted),
        CaseState::Supplement => (Tone::Warning, "!", w.state_supplement),
        CaseState::Accepted => (Tone::Good, "…", w.state_accepted),
        CaseState::Declined => (Tone::Bad, "✗", w.state_declined),
        CaseState::Granted => (Tone::Good, "✓", w.state_granted),
        CaseState::Refused => (Tone::Bad, "✗", w.state_refused),
        CaseState::Withdrawn => (Tone::Plain, "←", w.state_withdrawn),
    }
}

/// Whether the department is late, or will be tomorrow.
fn late(visitor: &Visitor, case: &Case) -> Option<Badge> {
    let w = WindowTexts::of(visitor.language);
    let waits = matches!(case.state, CaseState::Submitted | CaseState::Accepted);
    let due = case.due.filter(|_| waits)?;
    let today = visitor.hub.clock.today();
    let (tone, sign, word) = match due.cmp(&today) {
        std::cmp::Ordering::Less => (Tone::Bad, "!", w.overdue),
        std::cmp::Ordering::Equal => (Tone::Warning, "!", w.due_today),
        std::cmp::Ordering::Greater => return None,
    };
    Some(Badge { tone, sign, word: word.to_owned() })
}

/// How the clerk stands to the case: what is offered. What is allowed is decided where it is done.
struct Stand {
    applicant: bool,
    decides: bool,
    department: bool,
}

fn stand(hub: &Hub, clerk: &Clerk, case: &Case) -> Stand {
    let tree = &hub.organisations;
    let applicant = case.window.as_ref().is_some_and(|window| tree.is_within(window, &clerk.node));
    // A street's window acts for a department without being a part of it.
    let desk = tree.path(&clerk.node).find(|node| node.kind == NodeKind::Department);
    let department = case.package.is_some()
        && desk.is_some_and(|desk| tree.department_of(&desk.code) == Some(case.department));
    let decides = department && desk.is_some_and(|desk| desk.code == clerk.node);
    Stand { applicant, department, decides }
}

pub(super) async fn shown(
    visitor: &Visitor,
    id: &str,
    said_before: Option<(StatusCode, Notice)>,
) -> Result<(StatusCode, CasePage), Failure> {
    let (hub, language) = (&visitor.hub, visitor.language);
    let w = WindowTexts::of(language);
    let clerk = clerk(visitor)?;
    let desk = desk(visitor, &clerk, Tab::Queue);
    let who = Who::Clerk(clerk.clone());
    let View { case, list, form: fields } = cases::view(hub, &who, id).await.map_err(wrong)?;
    let case = &case;
    let matter = cases::matter_of(hub, case).map_err(wrong)?;
    let stand = stand(hub, &clerk, case);
    let editable = stand.applicant && case.is_editable();
    let open = stand.applicant && (case.is_editable() || case.promise.is_some());
    let acts = Acts {
        case: Some(&case.id),
        hand_in: open,
        editable,
        may_open: stand.department && case.grant.is_some() && !case.is_closed(),
    };
    let name = applicant_name(hub, case, &list).await?;
    let rows = rows::rows(hub, language, &list, acts);
    let (status, notice) =
        said_before.map_or((StatusCode::OK, None), |(status, notice)| (status, Some(notice)));
    let waiting = case.state == CaseState::Supplement;
    let page = CasePage {
        page: frame(visitor, fill(w.case_title, &[("id", &case.id)])),
        desk,
        id: case.id.clone(),
        title: matter_name(language, matter),
        state: state_badge(w, case.state),
        late: late(visitor, case),
        notice,
        asked: case
            .supplement()
            .filter(|_| waiting)
            .unwrap_or_default()
            .iter()
            .map(|item| (item_name(language, matter, &item.requirement), item.why.clone()))
            .collect(),
        facts: facts(visitor, case, matter, name.as_deref()),
        summary: rows::summary(w, &list),
        follows: rows.iter().any(|row| row.follows.is_some()),
        rows,
        submit: editable.then(|| submit(w, case, &list, &fields)),
        forms: forms(language, case, matter, fields),
        editable,
        decide: stand.decides.then(|| decide(visitor, case, matter, &list)).flatten(),
        letters: letters_of(language, case)
            .into_iter()
            .map(|(word, name)| (format!("/window/cases/{}/letters/{word}", case.id), name))
            .collect(),
        steps: case.steps.iter().map(|step| step_row(visitor, matter, step)).collect(),
    };
    Ok((status, page))
}

/// The letters that a case has come to: the word in the address, and the name.
pub(crate) fn letters_of(language: Language, case: &Case) -> Vec<(&'static str, &'static str)> {
    let w = WindowTexts::of(language);
    let due = Kind::ALL.into_iter().filter(|kind| kind.is_due(case));
    due.map(|kind| (kind.word(), letter_name(w, kind))).collect()
}

fn letter_name(w: &WindowTexts, kind: Kind) -> &'static str {
    match kind {
        Kind::Acceptance => w.letter_acceptance,
        Kind::Supplement => w.letter_supplement,
        Kind::Refusal => w.letter_refusal,
        Kind::Promise => w.letter_promise,
    }
}

fn facts(visitor: &Visitor, case: &Case, matter: &Matter, name: Option<&str>) -> Vec<Fact> {
    let (hub, w) = (&visitor.hub, WindowTexts::of(visitor.language));
    let mut facts = vec![
        Fact::code(w.case_number, &case.id),
        Fact {
            note: Some(fill(w.version, &[("n", &case.version)])),
            ..Fact::data(w.matter, &matter.name)
        },
        holder_fact(visitor, w.applicant, &case.holder, name),
        Fact::data(w.decided_by, hub.department_name(&case.department)),
        match case.window.as_deref().and_then(|node| hub.organisations.node(node)) {
            Some(node) => Fact::data(w.taken_at, &node.name),
            None => Fact::new(w.taken_at, w.taken_online),
        },
        Fact::new(w.opened, minute(case.opened_at)),
    ];
    facts.extend(case.due.map(|due| Fact::new(w.due, due.to_string())));
    if let Some(promise) = &case.promise {
        let until = promise.until;
        let said = match promise.kept_at {
            Some(at) => fill(w.promise_kept, &[("at", &rows::day(at))]),
            None if until < hub.clock.today() => fill(w.promise_overdue, &[("until", &until)]),
            None => fill(w.promise_open, &[("until", &until)]),
        };
        facts.push(Fact::new(w.promise_until, said));
    }
    facts.extend(case.result.as_ref().map(|licence| Fact::code(w.result, licence.as_str())));
    facts
}

/// Whose it is: the name if a licence said it, and the number.
pub(super) fn holder_fact(
    visitor: &Visitor,
    label: &str,
    holder: &HolderId,
    name: Option<&str>,
) -> Fact {
    let number = shown_number(holder);
    let text = match name {
        Some(name) => format!("{name}\n{number}"),
        None => number,
    };
    Fact {
        note: Some(holder_kind(visitor.language, holder.kind()).to_owned()),
        ..Fact::data(label, text)
    }
}

fn submit(
    w: &'static WindowTexts,
    case: &Case,
    list: &Checklist,
    fields: &[FilledField],
) -> Submit {
    let materials = list.to_hand_in().count();
    let empty =
        fields.iter().filter(|one| !one.field.optional && one.text.trim().is_empty()).count();
    let missing = match (materials, empty) {
        (0, 0) => None,
        (0, _) => Some(fill(w.still_empty, &[("n", &empty)])),
        _ => Some(fill(w.still_missing, &[("n", &materials)])),
    };
    let again = case.state == CaseState::Supplement;
    Submit { label: if again { w.submit_again } else { w.submit }, missing }
}

fn forms(
    language: Language,
    case: &Case,
    matter: &Matter,
    fields: Vec<FilledField>,
) -> Vec<FormPart> {
    let w = WindowTexts::of(language);
    let mut parts: Vec<(String, FormPart)> = matter
        .guide
        .forms
        .iter()
        .map(|form| {
            let name = said(language, &form.name);
            (form.id.clone(), FormPart { name, fields: Vec::new() })
        })
        .collect();
    for one in fields {
        let row = FieldRow {
            label: said(language, &one.field.label),
            optional: one.field.optional,
            confirm: case.unconfirmed.contains(&one.field.id),
            most: one.field.most,
            value: one.text,
            source: one.source.map(|(_, name)| fill(w.form_source, &[("name", &name)])),
            id: one.field.id,
        };
        if let Some((_, part)) = parts.iter_mut().find(|(id, _)| *id == one.form) {
            part.fields.push(row);
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

/// What the department may do now.
fn decide(visitor: &Visitor, case: &Case, matter: &Matter, list: &Checklist) -> Option<Decide> {
    let w = WindowTexts::of(visitor.language);
    let name = visitor.hub.department_name(&case.department);
    let lead = fill(w.decide_lead, &[("department", &name)]);
    let none = Decide {
        lead,
        accept: false,
        supplement: Vec::new(),
        decline: false,
        decide: false,
        result: false,
    };
    match case.state {
        CaseState::Submitted => Some(Decide {
            accept: true,
            supplement: mends(visitor.language, case, matter, list),
            decline: true,
            ..none
        }),
        CaseState::Supplement => Some(Decide { decline: true, ..none }),
        CaseState::Accepted => Some(Decide {
            decide: true,
            supplement: mends(visitor.language, case, matter, list),
            ..none
        }),
        CaseState::Granted if case.result.is_none() && matter.guide.result.is_some() => {
            Some(Decide { result: true, ..none })
        }
        _ => None,
    }
}

/// Everything that a supplement may ask for: materials that the repository does not hold, then form fields. A second time
/// only what was asked for or came anew.
fn mends(language: Language, case: &Case, matter: &Matter, list: &Checklist) -> Vec<Mend> {
    let w = WindowTexts::of(language);
    let held = |state: &ItemState| matches!(state, ItemState::Held { .. } | ItemState::Fact { .. });
    let materials = list.items.iter().filter(|item| {
        let may_be = case.may_be_asked(&item.requirement.id) || !item.state.is_met();
        may_be && !held(&item.state)
    });
    let requirements = materials.map(|item| item.requirement.id.as_str());
    let fields =
        matter.guide.forms.iter().flat_map(|form| &form.fields).map(|field| field.id.as_str());
    let fields = fields.filter(|id| case.may_be_asked(id));
    requirements
        .chain(fields)
        .map(|id| {
            let name = item_name(language, matter, id);
            Mend {
                id: id.to_owned(),
                label: fill(w.supplement_why, &[("item", &name.text)]),
                name,
                ticked: false,
                why: String::new(),
            }
        })
        .collect()
}

/// A requirement or form field by its name.
fn item_name(language: Language, matter: &Matter, id: &str) -> Words {
    let w = WindowTexts::of(language);
    let guide = &matter.guide;
    if let Some(one) = guide.requirements.iter().find(|one| one.id == id) {
        return said(language, &one.name);
    }
    match guide.forms.iter().flat_map(|form| &form.fields).find(|field| field.id == id) {
        Some(field) => {
            let label = said(language, &field.label);
            Words { text: fill(w.supplement_of_form, &[("item", &label.text)]), ..label }
        }
        None => Words::new(id, language),
    }
}

fn step_row(visitor: &Visitor, matter: &Matter, step: &Step) -> StepRow {
    let w = WindowTexts::of(visitor.language);
    let name = |id: &str| item_name(visitor.language, matter, id).text;
    let what = match &step.what {
        StepKind::Opened => w.step_opened.to_owned(),
        StepKind::Provided { requirement } => {
            fill(w.step_provided, &[("item", &name(requirement))])
        }
        StepKind::Promised { until } => fill(w.step_promised, &[("until", until)]),
        StepKind::PromiseKept => w.step_promise_kept.to_owned(),
        StepKind::Submitted { .. } => w.step_submitted.to_owned(),
        StepKind::Delivered => w.step_delivered.to_owned(),
        StepKind::SupplementAsked { items } => {
            let names: Vec<_> = items.iter().map(|item| name(&item.requirement)).collect();
            fill(w.step_supplement, &[("items", &names.join("、"))])
        }
        StepKind::Accepted => w.step_accepted.to_owned(),
        StepKind::Declined { reason } => fill(w.step_declined, &[("reason", reason)]),
        StepKind::Decided { granted: true, .. } => w.step_granted.to_owned(),
        StepKind::Decided { granted: false, reason } => fill(w.step_refused, &[("reason", reason)]),
        StepKind::Resulted { .. } => w.step_resulted.to_owned(),
        StepKind::Withdrawn => w.step_withdrawn.to_owned(),
    };
    let who = match &step.by {
        StepBy::Holder => w.by_holder.to_owned(),
        StepBy::Clerk { node, .. } => {
            let node = visitor.hub.organisations.node(node);
            let name = node.map(|node| node.name.as_str()).unwrap_or_default();
            fill(w.by_clerk, &[("node", &name)])
        }
        StepBy::Department => w.by_department.to_owned(),
        StepBy::Hub => w.by_hub.to_owned(),
    };
    StepRow { at: moment(step.at), who, what }
}
