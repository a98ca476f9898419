//! `/me/materials`: what the holder handed in, how long it can be used again, and how often it spared a copy.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use licence::Way;

use super::texts::FileTexts;
use crate::{
    clock::day_in_china,
    pages::{
        applicant::{
            me::Me,
            views::{Mine, Part, Words},
        },
        texts::{Language, fill},
        verification::moment,
        views::{Badge, Frame, Tone},
        visitor::Failure,
    },
    reuse::{
        case::StepBy,
        materials::{self, Checked, Material},
    },
};

/// Most files on the page.
const MOST: usize = 200;

/// The page.
#[derive(Template)]
#[template(path = "materials.html")]
struct Materials {
    page: Frame,
    mine: Mine,
    f: &'static FileTexts,
    spared: Option<String>,
    rows: Vec<Row>,
    more: Option<String>,
}

/// One file.
struct Row {
    href: String,
    /// The file's name.
    name: String,
    /// What kind of material it is.
    kind: Words,
    size: String,
    usable: String,
    spared: String,
    cases: Vec<String>,
    handed_in: String,
    by: Words,
    checked: Badge,
    checked_by: Option<String>,
}

/// `GET /me/materials`.
pub(super) async fn list(me: Me) -> HttpResponse {
    me.visitor.show(all(&me).await)
}

async fn all(me: &Me) -> Result<(StatusCode, Materials), Failure> {
    let hub = &me.visitor.hub;
    let f = FileTexts::of(me.visitor.language);
    let found = materials::of_holder(hub, &me.who(), MOST).await;
    let found = found.map_err(|error| Failure::from(crate::http::error::Problem::from(error)))?;
    let (page, mine) = me.frame(Part::Materials, me.m().materials).await?;
    let spared: usize = found.iter().map(Material::spared).sum();
    let more = (found.len() == MOST).then(|| fill(f.only_newest, &[("n", &MOST)]));
    let page = Materials {
        page,
        mine,
        f,
        spared: (spared > 0).then(|| fill(f.spared_all, &[("n", &spared)])),
        rows: found.iter().map(|one| row(me, f, one)).collect(),
        more,
    };
    Ok((StatusCode::OK, page))
}

fn row(me: &Me, f: &FileTexts, material: &Material) -> Row {
    let (kind, days) = kind(me, f, &material.kind);
    let today = me.visitor.hub.clock.today();
    let usable = match material.usable_until(days) {
        None => f.usable_own_case.to_owned(),
        Some(last) if last < today => f.usable_over.to_owned(),
        Some(last) => last.to_string(),
    };
    let spared = match material.spared() {
        0 => f.spared_none.to_owned(),
        spared => fill(f.spared, &[("n", &spared)]),
    };
    let (checked, checked_by) = match material.scanned() {
        Some(check) => (
            Badge { tone: Tone::Good, sign: "✓", word: f.scanned.to_owned() },
            Some(fill(f.scanned_by, &[("by", &check.by), ("at", &moment(check.at))])),
        ),
        None => (Badge { tone: Tone::Plain, sign: "–", word: f.not_scanned.to_owned() }, None),
    };
    debug_assert!(material.checked.iter().any(|check| check.what != Checked::Type));
    Row {
        href: format!("/v1/materials/{}/content", material.id),
        name: material.name.clone(),
        kind,
        size: size(f, material.size),
        usable,
        spared,
        cases: material.used_by.clone(),
        handed_in: day_in_china(material.handed_in_at).to_string(),
        by: by(me, f, &material.by),
        checked,
        checked_by,
    }
}

/// What matters call this kind of material, and for how many days one of them would use it again.
fn kind(me: &Me, f: &FileTexts, kind: &str) -> (Words, u16) {
    let requirements = me.visitor.hub.matters.all().flat_map(|one| &one.guide.requirements);
    let asking = requirements.filter_map(|requirement| {
        let days = requirement.ways.iter().find_map(|way| match way {
            Way::File { kind: its, reusable_days } if its == kind => Some(*reusable_days),
            _ => None,
        });
        Some((requirement, days?))
    });
    let longest = asking.max_by_key(|(_, days)| *days);
    let ours = || Words { text: f.other_kind.to_owned(), lang: me.visitor.language.tag() };
    match longest {
        None => (ours(), 0),
        Some((requirement, days)) => {
            let name = match (me.visitor.language, &requirement.name.en) {
                (Language::English, Some(english)) => Words { text: english.clone(), lang: "en" },
                _ => Words { text: requirement.name.zh.clone(), lang: "zh-CN" },
            };
            (name, days)
        }
    }
}

fn by(me: &Me, f: &FileTexts, by: &StepBy) -> Words {
    let lang = me.visitor.language.tag();
    match by {
        StepBy::Clerk { node, .. } => {
            let node = me.visitor.hub.organisations.node(node);
            let name = node.map(|node| match (me.visitor.language, &node.name_en) {
                (Language::English, Some(english)) => english.as_str(),
                _ => node.name.as_str(),
            });
            Words { text: fill(f.by_window, &[("node", &name.unwrap_or_default())]), lang }
        }
        StepBy::Holder | StepBy::Department | StepBy::Hub => {
            Words { text: f.by_you.to_owned(), lang }
        }
    }
}

/// Rounded up, so that nothing has no size.
fn size(f: &FileTexts, bytes: u64) -> String {
    match bytes.div_ceil(1 << 10) {
        kib if kib < 1 << 10 => fill(f.size_kb, &[("n", &kib)]),
        kib => fill(f.size_mb, &[("n", &kib.div_ceil(1 << 10))]),
    }
}
