//! The counter: number in, checklist out.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, http::StatusCode};
use licence::{HolderId, HolderKind, Matter};

use super::{
    clerk, desk, failure, frame, matter_name, notice, rows,
    rows::Acts,
    say,
    texts::WindowTexts,
    views::{Asked, Counter, Found, Tab, Words},
};
use crate::{
    Hub,
    http::error::Problem,
    pages::{
        posted::Posted,
        texts::{Language, fill, holder_kind},
        views::{Choice, Fact, Hidden},
        visitor::{Failure, Visitor},
    },
    reuse::{Clerk, Who, checklist},
};

/// Most names offered while typing; a page stays light.
const MOST_OFFERED: usize = 300;
/// Most matters to choose from.
const MOST_CANDIDATES: usize = 20;
/// The kinds of number met most, first.
const FIRST: [HolderKind; 2] = [HolderKind::Citizen, HolderKind::Organisation];

/// What was typed: whose, and which matter.
pub(super) struct Typed {
    /// The number without blanks, full-width signs as ASCII.
    pub(super) number: String,
    pub(super) kind: HolderKind,
    pub(super) matter: String,
}

/// The matter that was meant.
pub(super) enum Meant<'a> {
    One(&'a Matter),
    Several(Vec<&'a Matter>),
    None,
}

impl Typed {
    /// From a form.
    pub(super) fn of(posted: &Posted) -> Self {
        Self {
            number: normal(posted.text("number")),
            kind: HolderKind::from_code(posted.text("kind")).unwrap_or(FIRST[0]),
            matter: posted.text("matter").to_owned(),
        }
    }

    pub(super) fn nothing() -> Self {
        Self { number: String::new(), kind: FIRST[0], matter: String::new() }
    }

    /// The holder, if the number is one of its kind.
    pub(super) fn holder(&self) -> Result<HolderId, Failure> {
        HolderId::parse(self.kind, &self.number).map_err(|_| {
            Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, "holder", say!(no_number))
        })
    }

    /// The matter, by code, name or part of a name.
    pub(super) fn meant<'a>(&self, hub: &'a Hub, language: Language) -> Meant<'a> {
        let typed = self.matter.as_str();
        if typed.is_empty() {
            return Meant::None;
        }
        let all = runnable(hub);
        if let Some(one) = all.iter().find(|one| one.code.as_str() == typed) {
            return Meant::One(one);
        }
        let names = labels(hub, language, &all);
        if let Some(place) = names.iter().position(|name| name == typed) {
            return Meant::One(all[place]);
        }
        let wanted = typed.to_lowercase();
        let fits = |one: &&&Matter| {
            one.name.to_lowercase().contains(&wanted)
                || one.guide.name_en.as_ref().is_some_and(|n| n.to_lowercase().contains(&wanted))
        };
        let mut fitting: Vec<_> = all.iter().filter(fits).copied().collect();
        match fitting.len() {
            0 => Meant::None,
            1 => Meant::One(fitting.remove(0)),
            _ => Meant::Several(fitting),
        }
    }

    /// To send again.
    pub(super) fn hidden(&self, matter: Option<&Matter>) -> Hidden {
        let mut hidden =
            vec![("number", self.number.clone()), ("kind", self.kind.code().to_owned())];
        match matter {
            Some(matter) => hidden.push(("matter", matter.code.to_string())),
            None => hidden.push(("matter", self.matter.clone())),
        }
        hidden
    }

    /// What the form shows of it.
    pub(super) fn asked(&self, visitor: &Visitor, matter: Option<&Matter>) -> Asked {
        let all = runnable(&visitor.hub);
        let names = labels(&visitor.hub, visitor.language, &all);
        let shown = matter.and_then(|matter| all.iter().position(|one| one.code == matter.code));
        let rest = HolderKind::ALL.into_iter().filter(|kind| !FIRST.contains(kind));
        Asked {
            number: self.number.clone(),
            kinds: FIRST
                .into_iter()
                .chain(rest)
                .map(|kind| Choice {
                    value: kind.code().to_owned(),
                    label: holder_kind(visitor.language, kind).to_owned(),
                    selected: kind == self.kind,
                })
                .collect(),
            matter: shown.map_or_else(|| self.matter.clone(), |place| names[place].clone()),
            matters: names.into_iter().take(MOST_OFFERED).collect(),
        }
    }
}

/// No matter fits.
pub(super) fn no_matter() -> Failure {
    Failure::of_room(StatusCode::UNPROCESSABLE_ENTITY, "unknown_matter", say!(no_matter))
}

/// Matters to choose from: code, name, department.
pub(super) fn candidates(visitor: &Visitor, fitting: &[&Matter]) -> Vec<(String, Words, String)> {
    fitting
        .iter()
        .take(MOST_CANDIDATES)
        .map(|one| {
            let department = visitor.hub.department_name(&one.department).to_owned();
            (one.code.to_string(), matter_name(visitor.language, one), department)
        })
        .collect()
}

/// `GET /window`.
pub(super) async fn form(visitor: Visitor) -> HttpResponse {
    let page =
        clerk(&visitor).map(|clerk| (StatusCode::OK, page(&visitor, &clerk, &Typed::nothing())));
    visitor.show(page)
}

/// `POST /window`: the checklist.
pub(super) async fn checklist(visitor: Visitor, posted: Posted) -> HttpResponse {
    let page = listed(&visitor, &posted).await;
    visitor.show(page)
}

async fn listed(visitor: &Visitor, posted: &Posted) -> Result<(StatusCode, Counter), Failure> {
    let clerk = clerk(visitor)?;
    let typed = Typed::of(posted);
    let mut page = page(visitor, &clerk, &typed);
    page.page.again = Some(typed.hidden(None));
    let refuse = |mut page: Counter, failure: &Failure| {
        page.notice = Some(notice(visitor, failure));
        (failure.status, page)
    };
    let holder = match typed.holder() {
        Ok(holder) => holder,
        Err(failure) => return Ok(refuse(page, &failure)),
    };
    let matter = match typed.meant(&visitor.hub, visitor.language) {
        Meant::One(matter) => matter,
        Meant::Several(fitting) => {
            page.candidates = candidates(visitor, &fitting);
            page.carried = typed.hidden(None);
            page.carried.retain(|(name, _)| *name != "matter");
            return Ok((StatusCode::OK, page));
        }
        Meant::None => return Ok(refuse(page, &no_matter())),
    };
    page.asked = typed.asked(visitor, Some(matter));
    page.page.again = Some(typed.hidden(Some(matter)));
    let who = Who::Clerk(clerk);
    match checklist::checklist(&visitor.hub, &who, &holder, matter, None).await {
        Ok(list) => {
            page.found = Some(found(visitor, &typed, matter, &list));
            Ok((StatusCode::OK, page))
        }
        Err(error) => Ok(refuse(page, &failure(Problem::from(error)))),
    }
}

fn found(visitor: &Visitor, typed: &Typed, matter: &Matter, list: &checklist::Checklist) -> Found {
    let w = WindowTexts::of(visitor.language);
    let mut title = matter_name(visitor.language, matter);
    title.text = fill(w.checklist_of, &[("matter", &title.text)]);
    title.lang = visitor.language.tag();
    let days = matter.guide.days;
    let limit = fill(w.time_limit, &[("promised", &days.promised), ("legal", &days.legal)]);
    Found {
        title,
        facts: vec![
            Fact::data(w.decided_by, visitor.hub.department_name(&matter.department)),
            Fact {
                note: Some(fill(w.version, &[("n", &matter.version)])),
                ..Fact::new(w.time_limit_name, limit)
            },
        ],
        summary: rows::summary(w, list),
        rows: rows::rows(&visitor.hub, visitor.language, list, Acts::default()),
        carried: typed.hidden(Some(matter)),
    }
}

fn page(visitor: &Visitor, clerk: &Clerk, typed: &Typed) -> Counter {
    Counter {
        page: frame(visitor, WindowTexts::of(visitor.language).counter),
        desk: desk(visitor, clerk, Tab::Counter),
        asked: typed.asked(visitor, None),
        notice: None,
        candidates: Vec::new(),
        carried: Vec::new(),
        found: None,
    }
}

/// The matters that cases are opened for today.
fn runnable(hub: &Hub) -> Vec<&Matter> {
    let today = hub.clock.today();
    let current = hub.matters.all().filter_map(|one| hub.matters.current(&one.code, today));
    current.filter(|one| one.is_applied_for()).collect()
}

/// Their names in the reader's language; two that are called the same, with their departments.
fn labels(hub: &Hub, language: Language, matters: &[&Matter]) -> Vec<String> {
    let names: Vec<_> = matters.iter().map(|one| matter_name(language, one).text).collect();
    let mut times = BTreeMap::new();
    for name in &names {
        *times.entry(name.clone()).or_insert(0) += 1;
    }
    let label = |(name, one): (String, &&Matter)| match times[&name] {
        1 => name,
        _ => format!("{name}（{}）", hub.department_name(&one.department)),
    };
    names.into_iter().zip(matters).map(label).collect()
}

/// A number as it is written on documents: no blanks, no full-width signs, capital letters.
fn normal(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| match c {
            '！'..='～' => {
                char::from_u32(u32::from(c) - 0xFEE0).expect("full-width signs lie above ASCII's")
            }
            other => other,
        })
        .collect::<String>()
        .to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn a_number_may_be_typed_with_blanks_and_full_width_signs() {
        assert_eq!(normal(" 450203 １９９００１０１ 123x"), "45020319900101123X");
    }
}
