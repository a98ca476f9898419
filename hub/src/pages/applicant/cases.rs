//! A holder's cases: opened, put together on one page, handed over, followed to the end.
//!
//! What the person typed is saved before anything else is tried with it, so that a refused submission costs nothing.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use licence::{ApplicantKind, HolderId, LicenceId, Matter, MatterCode, Said, Way};

use super::{
    me::{Me, acting_for, see_other},
    own,
    texts::MeTexts,
    views::{self, CaseRow, FieldRow, FormPart, ItemRow, Part, StepRow, ToDo, Words},
};
use crate::{
    http::error::Problem,
    pages::{
        posted::Posted,
        texts::{Language, fill},
        verification::moment,
        views::{Badge, Fact, Notice, Section, Tone},
        visitor::Failure,
        window::cases as window,
    },
    reuse::{
        Who,
        case::{Case, CaseState, Provided, Step, StepBy, StepKind},
        cases::{self, CaseError, View},
        checklist::{Checklist, Item, ItemState, MayFollow, WhyNot},
    },
};

/// Most cases on a page.
const MOST: usize = 100;

impl From<CaseError> for Failure {
    fn from(error: CaseError) -> Self {
        own::refused(Problem::from(error))
    }
}

/// The cases of the holder the person acts for, newest first.
pub(crate) async fn of_holder(me: &Me) -> Result<Vec<Case>, Failure> {
    Ok(cases::of_holder(&me.visitor.hub, &me.who(), MOST).await?)
}

/// The matter a case runs through, in the version it was opened with.
fn matter_of<'a>(me: &'a Me, case: &Case) -> Option<&'a Matter> {
    cases::matter_of(&me.visitor.hub, case).ok()
}

/// A text of a guide.
fn said(me: &Me, said: &Said) -> Words {
    match (me.visitor.language, &said.en) {
        (Language::English, Some(english)) => Words { text: english.clone(), lang: "en" },
        _ => Words { text: said.zh.clone(), lang: "zh-CN" },
    }
}

fn matter_name(me: &Me, case: &Case) -> Words {
    match matter_of(me, case) {
        Some(matter) => name_of_matter(me, matter),
        None => Words { text: case.matter.to_string(), lang: "zh-CN" },
    }
}

/// What a matter is called.
pub(crate) fn name_of_matter(me: &Me, matter: &Matter) -> Words {
    said(me, &Said { zh: matter.name.clone(), en: matter.guide.name_en.clone() })
}

/// In the page's own language.
fn ours(me: &Me, text: impl Into<String>) -> Words {
    Words { text: text.into(), lang: me.visitor.language.tag() }
}

/// What a department wrote.
fn theirs(text: &str) -> Words {
    Words { text: text.to_owned(), lang: "zh-CN" }
}

/// Where a case stands: a badge, and what happens next.
fn standing(me: &Me, case: &Case) -> (Badge, String) {
    let m = me.m();
    let today = me.visitor.hub.clock.today();
    let by = |with: &'static str, without: &'static str| match case.due {
        Some(due) if due < today => fill(m.next_late, &[("day", &due)]),
        Some(due) => fill(with, &[("day", &due)]),
        None => without.to_owned(),
    };
    let (tone, sign, word, says) = match case.state {
        CaseState::Draft => (Tone::Plain, "…", m.state_draft, m.next_draft.to_owned()),
        CaseState::Submitted => {
            (Tone::Plain, "→", m.state_submitted, by(m.next_submitted, m.next_submitted_open))
        }
        CaseState::Supplement => {
            (Tone::Warning, "!", m.state_supplement, m.next_supplement.to_owned())
        }
        CaseState::Accepted => {
            (Tone::Good, "✓", m.state_accepted, by(m.next_accepted, m.next_accepted_open))
        }
        CaseState::Declined => (Tone::Bad, "✗", m.state_declined, m.next_declined.to_owned()),
        CaseState::Granted if case.result.is_some() => {
            (Tone::Good, "✓", m.state_granted, m.next_resulted.to_owned())
        }
        CaseState::Granted => (Tone::Good, "✓", m.state_granted, m.next_granted.to_owned()),
        CaseState::Refused => (Tone::Bad, "✗", m.state_refused, m.next_refused.to_owned()),
        CaseState::Withdrawn => (Tone::Plain, "–", m.state_withdrawn, m.next_withdrawn.to_owned()),
    };
    (Badge { tone, sign, word: word.to_owned() }, says)
}

/// A promise that still waits for its materials: the last day, and whether that has passed.
fn open_promise(me: &Me, case: &Case) -> Option<(jiff::civil::Date, bool)> {
    let promise = case.promise.as_ref().filter(|promise| promise.kept_at.is_none())?;
    let open = matches!(
        case.state,
        CaseState::Submitted | CaseState::Supplement | CaseState::Accepted | CaseState::Granted
    ) && case.provided.values().any(|provided| *provided == Provided::Promised);
    open.then(|| (promise.until, promise.until < me.visitor.hub.clock.today()))
}

/// What waits for the person among their cases.
pub(crate) fn waiting(me: &Me, all: &[Case]) -> Vec<ToDo> {
    let m = me.m();
    let mut waiting = Vec::new();
    for case in all {
        let href = format!("/me/cases/{}", case.id);
        let to_do = |tone, sign, word: &str, says: String| ToDo {
            href: href.clone(),
            badge: Badge { tone, sign, word: word.to_owned() },
            name: matter_name(me, case),
            says,
        };
        if case.state == CaseState::Supplement {
            let (_, says) = standing(me, case);
            waiting.push(to_do(Tone::Warning, "!", m.state_supplement, says));
        }
        match open_promise(me, case) {
            Some((day, true)) => {
                let says = fill(m.promise_overdue, &[("day", &day)]);
                waiting.push(to_do(Tone::Bad, "✗", m.promise_overdue_word, says));
            }
            Some((day, false)) => {
                let says = fill(m.promise_open, &[("day", &day)]);
                waiting.push(to_do(Tone::Warning, "!", m.promise_open_word, says));
            }
            None => {}
        }
    }
    waiting
}

/// The cases that are not at their end.
pub(crate) fn open_rows(me: &Me, all: &[Case]) -> Vec<CaseRow> {
    let open = all.iter().filter(|case| {
        matches!(
            case.state,
            CaseState::Draft | CaseState::Submitted | CaseState::Supplement | CaseState::Accepted
        )
    });
    open.map(|case| row(me, case)).collect()
}

fn row(me: &Me, case: &Case) -> CaseRow {
    let (badge, says) = standing(me, case);
    CaseRow {
        href: format!("/me/cases/{}", case.id),
        matter: matter_name(me, case),
        department: me.visitor.hub.department_name(&case.department).to_owned(),
        badge,
        says,
        opened: moment(case.opened_at)[..10].to_owned(),
    }
}

/// `GET /me/cases`.
pub(crate) async fn list(me: Me) -> HttpResponse {
    me.visitor.show(all(&me).await)
}

async fn all(me: &Me) -> Result<(StatusCode, views::Cases), Failure> {
    let cases = of_holder(me).await?;
    let (page, mine) = me.frame(Part::Cases, me.m().cases).await?;
    let more = (cases.len() == MOST).then(|| fill(me.m().only_newest, &[("n", &MOST)]));
    let cases = cases.iter().map(|case| row(me, case)).collect();
    Ok((StatusCode::OK, views::Cases { page, mine, cases, more }))
}

/// `POST /me/cases`: opens a case of `matter`. If several of the person's holders may apply and none was named, asks
/// which.
pub(crate) async fn open(me: Me, posted: Posted) -> HttpResponse {
    match opened(&me, &posted).await {
        Ok(Opened::Case { id, place }) => {
            acting_for(&me, place, see_other(&format!("/me/cases/{id}")))
        }
        Ok(Opened::Choose(page)) => me.visitor.show(Ok((StatusCode::OK, *page))),
        Err(failure) => me.visitor.failed(&failure),
    }
}

enum Opened {
    Case { id: String, place: usize },
    Choose(Box<views::ForWhom>),
}

async fn opened(me: &Me, posted: &Posted) -> Result<Opened, Failure> {
    let hub = &me.visitor.hub;
    let matter = posted.text("matter").parse::<MatterCode>().ok();
    let matter = matter.and_then(|code| hub.matters.get(&code)).ok_or(CaseError::UnknownMatter)?;
    let fitting: Vec<usize> = me
        .person
        .account
        .holders
        .iter()
        .enumerate()
        .filter(|(_, holder)| fits(matter, holder))
        .map(|(place, _)| place)
        .collect();
    let named = posted.text("place").parse::<usize>().ok();
    let place = match (named, &fitting[..]) {
        (Some(place), _) if place < me.person.account.holders.len() => place,
        (_, []) => return Err(CaseError::ApplicantKind.into()),
        (_, [only]) => *only,
        (_, several) => {
            let (mut page, mine) = me.frame(Part::Cases, me.m().for_whom).await?;
            page.again =
                Some(vec![("csrf", me.person.csrf.clone()), ("matter", matter.code.to_string())]);
            let mut holders = Vec::new();
            for place in several {
                holders.push((*place, own::name_of(me, *place).await?));
            }
            return Ok(Opened::Choose(Box::new(views::ForWhom {
                page,
                mine,
                matter: matter.code.to_string(),
                name: name_of_matter(me, matter),
                holders,
            })));
        }
    };
    let holder = &me.person.account.holders[place];
    let case = cases::open(hub, &me.who_for(holder), holder, &matter.code).await?;
    Ok(Opened::Case { id: case.id, place })
}

fn fits(matter: &Matter, holder: &HolderId) -> bool {
    let kind = match holder.kind().is_person() {
        true => ApplicantKind::Person,
        false => ApplicantKind::Organisation,
    };
    matter.guide.applicants.is_empty() || matter.guide.applicants.contains(&kind)
}

/// Whoever the person is to this case, as its applicant. A clerk's way to it is the window.
pub(crate) async fn who_of(me: &Me, id: &str) -> Result<Who, Failure> {
    match cases::stand(&me.visitor.hub, &me.person, id).await? {
        who @ Who::Holder { .. } => Ok(who),
        Who::Clerk(_) | Who::Department(_) => Err(CaseError::UnknownCase.into()),
    }
}

/// `GET /me/cases/{id}`.
pub(crate) async fn one(me: Me, id: web::Path<String>, request: HttpRequest) -> HttpResponse {
    let m = me.m();
    let done = [
        ("saved", m.done_saved),
        ("file", m.done_file),
        ("promised", m.done_promised),
        ("submitted", m.done_submitted),
        ("withdrawn", m.done_withdrawn),
    ];
    let notice = news(&me, &request, &done, Some(m.what_was_kept));
    me.visitor.show(case_page(&me, &id, notice).await.map(|page| (StatusCode::OK, page)))
}

/// `POST /me/cases/{id}/form`: saves what was typed.
pub(crate) async fn fill_in(me: Me, id: web::Path<String>, posted: Posted) -> HttpResponse {
    let done = saved(&me, &id, &posted).await;
    go_on(&me, &id, "saved", done)
}

/// `POST /me/cases/{id}/submit`: saves what was typed, gives the promise that was ticked, and hands the case over.
pub(crate) async fn submit(me: Me, id: web::Path<String>, posted: Posted) -> HttpResponse {
    let done = async {
        saved(&me, &id, &posted).await?;
        let hub = &me.visitor.hub;
        let who = who_of(&me, &id).await?;
        let promised: BTreeSet<String> = posted.all("promise").map(str::to_owned).collect();
        if !promised.is_empty() {
            let promised: Vec<String> = promised.into_iter().collect();
            cases::promise(hub, &who, &id, &promised).await?;
        }
        cases::submit(hub, &who, &id).await?;
        Ok(())
    };
    let done = done.await;
    go_on(&me, &id, "submitted", done)
}

/// `POST /me/cases/{id}/promise`: promises that what was ticked follows.
pub(crate) async fn promise(me: Me, id: web::Path<String>, posted: Posted) -> HttpResponse {
    let done = async {
        saved(&me, &id, &posted).await?;
        let promised: BTreeSet<String> = posted.all("promise").map(str::to_owned).collect();
        let promised: Vec<String> = promised.into_iter().collect();
        let who = who_of(&me, &id).await?;
        cases::promise(&me.visitor.hub, &who, &id, &promised).await?;
        Ok(())
    };
    let done = done.await;
    go_on(&me, &id, "promised", done)
}

/// `POST /me/cases/{id}/withdraw`.
pub(crate) async fn withdraw(me: Me, id: web::Path<String>, _: Posted) -> HttpResponse {
    let done = async {
        let who = who_of(&me, &id).await?;
        cases::withdraw(&me.visitor.hub, &who, &id).await?;
        Ok(())
    };
    let done = done.await;
    go_on(&me, &id, "withdrawn", done)
}

async fn saved(me: &Me, id: &str, posted: &Posted) -> Result<(), Failure> {
    let who = who_of(me, id).await?;
    let values: BTreeMap<String, String> =
        posted.under("field.").map(|(field, text)| (field.to_owned(), text.to_owned())).collect();
    let confirmed: BTreeSet<String> = posted.all("confirmed").map(str::to_owned).collect();
    if !(values.is_empty() && confirmed.is_empty()) {
        cases::fill_and_confirm(&me.visitor.hub, &who, id, &values, &confirmed).await?;
    }
    Ok(())
}

/// Back to the case; with the reason on it if something was refused.
pub(crate) fn go_on(me: &Me, id: &str, done: &str, result: Result<(), Failure>) -> HttpResponse {
    let failure = match result {
        Ok(()) => return see_other(&format!("/me/cases/{id}?done={done}")),
        Err(failure) => failure,
    };
    refused(me, &format!("/me/cases/{id}"), &failure)
}

/// Back to a page that then says why something was refused; by its stable code, so that the page can be read again and in
/// the other language.
pub(crate) fn refused(me: &Me, page: &str, failure: &Failure) -> HttpResponse {
    let told = MeTexts::of_code(&failure.code).is_some();
    match told && failure.status.is_client_error() && failure.status != StatusCode::NOT_FOUND {
        true => see_other(&format!("{page}?refused={}", failure.code)),
        false => me.visitor.failed(failure),
    }
}

/// What was done or refused just before, as the address says: by `done` and one of these words, or by `refused` and a
/// stable code.
pub(crate) fn news(
    me: &Me,
    request: &HttpRequest,
    done: &[(&str, &'static str)],
    kept: Option<&'static str>,
) -> Option<Notice> {
    let m = me.m();
    let member = |name: &str| {
        let mut members = request.query_string().split('&').filter_map(|one| one.split_once('='));
        members.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    if let Some(word) = member("done") {
        let title = done.iter().find(|(known, _)| *known == word)?.1.to_owned();
        return Some(Notice { tone: Tone::Good, title, says: Vec::new() });
    }
    let say = MeTexts::of_code(member("refused")?)?;
    let says = [Some(say(me.visitor.language)), kept];
    let says = says.into_iter().flatten().map(str::to_owned).collect();
    Some(Notice { tone: Tone::Bad, title: m.not_done.to_owned(), says })
}

async fn case_page(me: &Me, id: &str, notice: Option<Notice>) -> Result<views::CasePage, Failure> {
    let (hub, m) = (&me.visitor.hub, me.m());
    let who = who_of(me, id).await?;
    let View { case, list, form } = cases::view(hub, &who, id).await?;
    let matter = matter_of(me, &case).ok_or(CaseError::UnknownMatter)?;
    let editable = case.is_editable();
    let mut rows: Vec<ItemRow> = list.items.iter().map(|item| item_row(me, &case, item)).collect();
    // What the person has to do comes first.
    rows.sort_by_key(|row| !row.open);
    let forms = forms(me, &case, matter, form);
    let follow: Vec<(String, Words, String)> = list
        .items
        .iter()
        .filter(|_| editable)
        .filter_map(|item| match &item.state {
            ItemState::ToHandIn { may_follow: MayFollow::Until(day), .. } => Some((
                item.requirement.id.clone(),
                said(me, &item.requirement.name),
                day.to_string(),
            )),
            _ => None,
        })
        .collect();
    let missing: Vec<Words> = list
        .items
        .iter()
        .filter(|item| {
            matches!(&item.state, ItemState::ToHandIn { may_follow, .. }
                if !matches!(may_follow, MayFollow::Until(_)))
        })
        .map(|item| said(me, &item.requirement.name))
        .collect();
    let title = matter_name(me, &case);
    let (badge, says) = standing(me, &case);
    let (page, mine) = me.frame(Part::Cases, title.text.clone()).await?;
    let withdrawable = matches!(
        case.state,
        CaseState::Draft | CaseState::Submitted | CaseState::Supplement | CaseState::Accepted
    );
    Ok(views::CasePage {
        page,
        mine,
        id: case.id.clone(),
        title,
        badge,
        says,
        notice,
        reason: reason(&case),
        asked: asked(me, &case, matter),
        promise: open_promise(me, &case).map(|(day, late)| promise_notice(me, day, late)),
        facts: facts(me, &case),
        result: case.result.as_ref().map(|licence| format!("/me/licences/{licence}")),
        summary: summary(m, &list),
        rows,
        forms,
        editable,
        follow,
        missing,
        again: case.state == CaseState::Supplement,
        withdrawable,
        letters: letters_of(me, &case),
        steps: case.steps.iter().map(|step| step_row(me, matter, step)).collect(),
    })
}

/// The letters that the case has come to: address and name.
fn letters_of(me: &Me, case: &Case) -> Vec<(String, &'static str)> {
    let due = window::letters_of(me.visitor.language, case).into_iter();
    due.map(|(word, name)| (format!("/me/cases/{}/letters/{word}", case.id), name)).collect()
}

/// `GET /me/cases/{id}/letters/{letter}`.
pub(crate) async fn letter(me: Me, path: web::Path<(String, String)>) -> HttpResponse {
    let (id, word) = path.into_inner();
    let page = async {
        let who = who_of(&me, &id).await?;
        let section = Section::Mine;
        window::letter_page(&me.visitor, section, &who, &id, &word, format!("/me/cases/{id}")).await
    };
    let page = page.await.map_err(own::in_our_words);
    me.visitor.show(page.map(|page| (StatusCode::OK, page)))
}

fn promise_notice(me: &Me, day: jiff::civil::Date, late: bool) -> Notice {
    let m = me.m();
    let (tone, title, says) = match late {
        true => (Tone::Bad, m.promise_overdue_word, m.promise_overdue),
        false => (Tone::Warning, m.promise_open_word, m.promise_open),
    };
    Notice { tone, title: title.to_owned(), says: vec![fill(says, &[("day", &day)])] }
}

/// Why the department said no.
fn reason(case: &Case) -> Option<String> {
    case.steps.iter().rev().find_map(|step| match &step.what {
        StepKind::Declined { reason } | StepKind::Decided { granted: false, reason } => {
            Some(reason.clone())
        }
        _ => None,
    })
}

/// What the department asked for, while it waits.
fn asked(me: &Me, case: &Case, matter: &Matter) -> Vec<(Words, String)> {
    if case.state != CaseState::Supplement {
        return Vec::new();
    }
    let items = case.supplement().unwrap_or_default();
    items.iter().map(|item| (name_of(me, matter, &item.requirement), item.why.clone())).collect()
}

/// The name of a requirement or form field.
fn name_of(me: &Me, matter: &Matter, id: &str) -> Words {
    let guide = &matter.guide;
    let requirement = guide.requirements.iter().find(|one| one.id == id).map(|one| &one.name);
    let mut fields = guide.forms.iter().flat_map(|form| &form.fields);
    let field = || fields.find(|one| one.id == id).map(|one| &one.label);
    requirement.or_else(field).map_or_else(|| theirs(id), |name| said(me, name))
}

fn facts(me: &Me, case: &Case) -> Vec<Fact> {
    let m = me.m();
    let hub = &me.visitor.hub;
    let mut facts = vec![
        Fact::code(m.case_number, &case.id),
        Fact::data(m.department, hub.department_name(&case.department)),
        Fact::new(m.column_opened, moment(case.opened_at)),
    ];
    if let Some(node) = &case.window {
        let name = hub.organisations.node(node).map_or(node.as_str(), |node| node.name.as_str());
        facts.push(Fact::data(m.opened_at_window, name));
    }
    facts.extend(case.due.map(|due| Fact::new(m.due, due.to_string())));
    facts
}

fn summary(m: &MeTexts, list: &Checklist) -> String {
    let of =
        |fits: fn(&ItemState) -> bool| list.items.iter().filter(|item| fits(&item.state)).count();
    let spared = of(|state| {
        matches!(
            state,
            ItemState::Held { .. } | ItemState::Fact { .. } | ItemState::Reusable { .. }
        )
    });
    let promised = of(|state| matches!(state, ItemState::Promised { .. }));
    let left = of(|state| matches!(state, ItemState::ToHandIn { .. }));
    let text = match (left, promised) {
        (0, 0) => m.summary_complete,
        (0, _) => m.summary_promised,
        _ => m.summary_left,
    };
    let all = list.items.len();
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("all", &all), ("spared", &spared), ("left", &left), ("promised", &promised)];
    fill(text, &values)
}

fn item_row(me: &Me, case: &Case, item: &Item) -> ItemRow {
    let m = me.m();
    let badge = |tone, sign, word: &str| Badge { tone, sign, word: word.to_owned() };
    let licence = |identifier: &LicenceId, name: &str| {
        Some((format!("/me/licences/{identifier}"), name.to_owned()))
    };
    let file = |material: &str, name: &str| {
        Some((format!("/v1/materials/{material}/content"), name.to_owned()))
    };
    let mut row = ItemRow {
        id: item.requirement.id.clone(),
        open: false,
        name: said(me, &item.requirement.name),
        badge: badge(Tone::Good, "✓", m.item_held),
        says: m.item_held_says.to_owned(),
        source: None,
        value: None,
        also: None,
        other_case: None,
        sample: None,
        kind: None,
    };
    let file_kind = item.requirement.ways.iter().find_map(|way| match way {
        Way::File { kind, .. } => Some(kind.clone()),
        Way::Licence { .. } | Way::Fact { .. } => None,
    });
    match &item.state {
        ItemState::Held { identifier, name, .. } => row.source = licence(identifier, name),
        ItemState::Fact { identifier, name, value, .. } => {
            row.says = m.item_fact_says.to_owned();
            row.source = licence(identifier, name);
            row.value = Some(value.clone());
        }
        ItemState::Reusable { material, name, handed_in_at } => {
            row.badge = badge(Tone::Good, "✓", m.item_reusable);
            let day = &moment(*handed_in_at)[..10];
            row.says = fill(m.item_reusable_says, &[("day", &day)]);
            row.source = file(material, name);
        }
        ItemState::HandedIn { material, name, reused } => {
            row.badge = badge(Tone::Good, "✓", m.item_handed_in);
            row.says = if *reused { m.item_reused_says } else { m.item_handed_in_says }.to_owned();
            row.source = file(material, name);
        }
        ItemState::Promised { until } => {
            row.open = true;
            row.badge = badge(Tone::Warning, "!", m.item_promised);
            row.says = fill(m.item_promised_says, &[("day", until)]);
            let ended = matches!(
                case.state,
                CaseState::Declined | CaseState::Refused | CaseState::Withdrawn
            );
            row.kind = file_kind.filter(|_| !ended);
        }
        ItemState::ToHandIn { why, may_follow } => {
            row.open = true;
            row.badge = badge(Tone::Warning, "!", m.item_to_hand_in);
            row.says = why_not(m, why, file_kind.is_some()).to_owned();
            if let WhyNot::NotTrusted { identifier, .. } | WhyNot::FactMissing { identifier, .. } =
                why
            {
                row.source = licence(identifier, m.show_licence);
            }
            match may_follow {
                MayFollow::No => {}
                MayFollow::Until(day) => {
                    row.also = Some(fill(m.item_may_follow, &[("day", day)]));
                }
                MayFollow::RefusedForUnkept { case } => {
                    row.also = Some(m.item_may_not_follow.to_owned());
                    row.other_case = Some(format!("/me/cases/{case}"));
                }
            }
            row.sample = item.requirement.sample.as_ref().map(|sample| said(me, sample));
            row.kind = file_kind.filter(|_| case.is_editable());
        }
    }
    row
}

fn why_not(m: &'static MeTexts, why: &WhyNot, a_file_will_do: bool) -> &'static str {
    match (why, a_file_will_do) {
        (WhyNot::OnlyAFile, _) => m.why_only_a_file,
        (WhyNot::NoneHeld, true) => m.why_none_held_file,
        (WhyNot::NoneHeld, false) => m.why_none_held,
        (WhyNot::NotTrusted { .. }, true) => m.why_not_trusted_file,
        (WhyNot::NotTrusted { .. }, false) => m.why_not_trusted,
        (WhyNot::FactMissing { .. }, _) => m.why_fact_missing,
        (WhyNot::Outdated { .. }, _) => m.why_outdated,
    }
}

fn forms(
    me: &Me,
    case: &Case,
    matter: &Matter,
    filled: Vec<crate::reuse::prefill::FilledField>,
) -> Vec<FormPart> {
    let mut parts: Vec<FormPart> = matter
        .guide
        .forms
        .iter()
        .map(|form| FormPart { name: said(me, &form.name), fields: Vec::new() })
        .collect();
    for one in filled {
        let place = matter.guide.forms.iter().position(|form| form.id == one.form);
        let Some(part) = place.and_then(|place| parts.get_mut(place)) else { continue };
        part.fields.push(FieldRow {
            confirm: case.unconfirmed.contains(&one.field.id),
            id: one.field.id,
            label: said(me, &one.field.label),
            most: one.field.most,
            long: one.field.most > 100,
            required: !one.field.optional,
            text: one.text,
            source: one
                .source
                .map(|(identifier, name)| (format!("/me/licences/{identifier}"), name)),
        });
    }
    parts
}

fn step_row(me: &Me, matter: &Matter, step: &Step) -> StepRow {
    let m = me.m();
    let by = match &step.by {
        StepBy::Holder => ours(me, m.by_you),
        StepBy::Clerk { node, .. } => {
            let node = me.visitor.hub.organisations.node(node);
            node.map_or_else(|| ours(me, m.by_window), |node| theirs(&node.name))
        }
        StepBy::Department => theirs(me.visitor.hub.department_name(&matter.department)),
        StepBy::Hub => ours(me, m.by_hub),
    };
    let mut details = Vec::new();
    let what = match &step.what {
        StepKind::Opened => m.step_opened.to_owned(),
        StepKind::Provided { requirement } => {
            details.push(name_of(me, matter, requirement));
            m.step_provided.to_owned()
        }
        StepKind::Promised { until } => fill(m.step_promised, &[("day", until)]),
        StepKind::PromiseKept => m.step_promise_kept.to_owned(),
        StepKind::Submitted { .. } => m.step_submitted.to_owned(),
        StepKind::Delivered => m.step_delivered.to_owned(),
        StepKind::SupplementAsked { items } => {
            for item in items {
                let name = name_of(me, matter, &item.requirement);
                details.push(theirs(&format!("{}：{}", name.text, item.why)));
            }
            m.step_supplement.to_owned()
        }
        StepKind::Accepted => m.step_accepted.to_owned(),
        StepKind::Declined { reason } => {
            details.push(theirs(reason));
            m.step_declined.to_owned()
        }
        StepKind::Decided { granted: true, .. } => m.step_granted.to_owned(),
        StepKind::Decided { granted: false, reason } => {
            details.push(theirs(reason));
            m.step_refused.to_owned()
        }
        StepKind::Resulted { .. } => m.step_resulted.to_owned(),
        StepKind::Withdrawn => m.step_withdrawn.to_owned(),
    };
    StepRow { at: moment(step.at), what, details, by }
}
