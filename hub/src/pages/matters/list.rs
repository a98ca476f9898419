//! All matters, by department; and those whose names have the words looked for.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, http::StatusCode};
use licence::Matter;

use super::{
    applicants, matter_name,
    texts::MattersTexts,
    views::{Department, Entry, List},
};
use crate::pages::{
    posted::Posted,
    texts::{Language, fill},
    views::{Notice, Section, Tone},
    visitor::Visitor,
};

/// Most matters on a page, so that it stays light on a phone.
const MOST: usize = 200;
/// Most characters of a search.
const MOST_CHARS: usize = 100;

/// `GET /matters`.
pub(super) async fn list(visitor: Visitor) -> HttpResponse {
    visitor.show(Ok((StatusCode::OK, page(&visitor, ""))))
}

/// `POST /matters`: those with all the words.
pub(super) async fn find(visitor: Visitor, posted: Posted) -> HttpResponse {
    let words = posted.text("words");
    if words.chars().count() > MOST_CHARS {
        let w = MattersTexts::of(visitor.language);
        let mut page = page(&visitor, "");
        page.refused =
            Some(Notice { tone: Tone::Bad, title: w.say_query.to_owned(), says: Vec::new() });
        return visitor.show(Ok((StatusCode::UNPROCESSABLE_ENTITY, page)));
    }
    let mut page = page(&visitor, words);
    page.page.again = Some(vec![("words", words.to_owned())]);
    visitor.show(Ok((StatusCode::OK, page)))
}

fn page(visitor: &Visitor, words: &str) -> List {
    let (hub, language) = (&visitor.hub, visitor.language);
    let w = MattersTexts::of(language);
    let today = hub.clock.today();
    let wanted: Vec<String> = words.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let fitting: Vec<&Matter> = hub
        .matters
        .all()
        .map(|newest| hub.matters.current(&newest.code, today).unwrap_or(newest))
        .filter(|matter| fits(matter, hub.department_name(&matter.department), &wanted))
        .collect();
    let mut departments: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
    let mut others = Vec::new();
    for matter in fitting.iter().take(MOST) {
        if matter.is_applied_for() {
            departments.entry(matter.department).or_default().push(entry(language, w, matter));
        } else {
            let department = hub.department_name(&matter.department).to_owned();
            others.push((matter.name.clone(), department));
        }
    }
    let count = fitting.len();
    let found = (!wanted.is_empty()).then(|| match count {
        0 => w.found_none.to_owned(),
        1 => w.found_one.to_owned(),
        _ => fill(w.found, &[("n", &count)]),
    });
    List {
        page: visitor.frame(Section::Matters, w.matters),
        w,
        words: words.to_owned(),
        found,
        refused: None,
        departments: departments
            .into_iter()
            .map(|(code, matters)| Department {
                id: format!("department-{code}"),
                name: hub.department_name(&code).to_owned(),
                matters,
            })
            .collect(),
        others,
        more: (count > MOST).then(|| fill(w.found_more, &[("n", &MOST)])),
    }
}

fn entry(language: Language, w: &'static MattersTexts, matter: &Matter) -> Entry {
    let guide = &matter.guide;
    Entry {
        code: matter.code.to_string(),
        name: matter_name(language, matter),
        applicants: applicants(w, matter),
        summary: fill(
            w.summary,
            &[("materials", &guide.requirements.len()), ("days", &guide.days.promised)],
        ),
    }
}

/// Whether each of the words stands in the matter's name, its department's or its code.
fn fits(matter: &Matter, department: &str, wanted: &[String]) -> bool {
    let english = matter.guide.name_en.as_deref().unwrap_or_default();
    let text = format!("{}\n{english}\n{department}\n{}", matter.name, matter.code).to_lowercase();
    wanted.iter().all(|word| text.contains(word.as_str()))
}
