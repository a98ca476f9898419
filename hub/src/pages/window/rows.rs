//! A checklist in words.

use licence::LicenceTypeCode;

use super::{
    said,
    texts::WindowTexts,
    views::{Row, Words},
};
use crate::{
    Hub,
    pages::{
        texts::{Language, fill},
        verification::moment,
        views::{Badge, Tone},
    },
    reuse::checklist::{Checklist, Item, ItemState, MayFollow, WhyNot},
};

/// What may be done with the items of a list.
#[derive(Clone, Copy, Default)]
pub(super) struct Acts<'a> {
    /// The case whose list it is.
    pub(super) case: Option<&'a str>,
    /// Files may be handed in for it.
    pub(super) hand_in: bool,
    /// The case may still be put together.
    pub(super) editable: bool,
    /// Licences may be opened under the case's grant.
    pub(super) may_open: bool,
}

/// One row for each requirement.
pub(super) fn rows(hub: &Hub, language: Language, list: &Checklist, acts: Acts<'_>) -> Vec<Row> {
    list.items
        .iter()
        .enumerate()
        .map(|(place, item)| row(hub, language, place + 1, item, acts))
        .collect()
}

/// `共需 8 项：库里已有 7 项，需要提交 1 项`.
pub(super) fn summary(w: &WindowTexts, list: &Checklist) -> String {
    let all = list.items.len();
    let missing = list.to_hand_in().count();
    let states = list.items.iter().map(|item| &item.state);
    let promised = states.filter(|state| matches!(state, ItemState::Promised { .. })).count();
    match (missing, promised) {
        (0, 0) => fill(w.needed_nothing, &[("all", &all)]),
        (_, 1..) => fill(
            w.needed_promised,
            &[
                ("all", &all),
                ("held", &(all - missing - promised)),
                ("missing", &missing),
                ("promised", &promised),
            ],
        ),
        _ => fill(w.needed, &[("all", &all), ("held", &(all - missing)), ("missing", &missing)]),
    }
}

fn row(hub: &Hub, language: Language, place: usize, item: &Item, acts: Acts<'_>) -> Row {
    let w = WindowTexts::of(language);
    let requirement = &item.requirement;
    let line = |text: String| Words::new(text, language);
    let (badge, mut says) = match &item.state {
        ItemState::Held { licence_type, name, .. } => {
            let name = type_name(hub, language, licence_type).unwrap_or_else(|| name.clone());
            (met(w.held), vec![line(fill(w.held_says, &[("name", &name)]))])
        }
        ItemState::Fact { licence_type, field, value, .. } => {
            let field = field_name(hub, language, licence_type, field);
            (met(w.fact), vec![line(fill(w.fact_says, &[("field", &field), ("value", value)]))])
        }
        ItemState::Reusable { name, handed_in_at, .. } => {
            let at = day(*handed_in_at);
            let text = fill(w.reusable_says, &[("name", name), ("at", &at)]);
            (met(w.reusable), vec![line(text)])
        }
        ItemState::HandedIn { name, reused, .. } => {
            let text = if *reused { w.handed_in_reused } else { w.handed_in_says };
            (met(w.handed_in), vec![line(fill(text, &[("name", name)]))])
        }
        ItemState::Promised { until } => {
            let badge = Badge { tone: Tone::Warning, sign: "…", word: w.promised.to_owned() };
            (badge, vec![line(fill(w.promised_says, &[("until", until)]))])
        }
        ItemState::ToHandIn { why, may_follow } => {
            let mut says = vec![line(why_not(w, why))];
            says.extend(follow(w, may_follow).map(line));
            let badge = Badge { tone: Tone::Bad, sign: "✎", word: w.to_hand_in.to_owned() };
            (badge, says)
        }
    };
    let missing = matches!(item.state, ItemState::ToHandIn { .. });
    if missing && !requirement.basis.is_empty() {
        says.push(line(fill(w.basis, &[("basis", &requirement.basis)])));
    }
    let late = matches!(item.state, ItemState::Promised { .. });
    Row {
        id: requirement.id.clone(),
        place,
        name: said(language, &requirement.name),
        badge,
        says,
        reuse: match &item.state {
            ItemState::Reusable { material, .. } if acts.editable => Some(material.clone()),
            _ => None,
        },
        file: match (&item.state, acts.case) {
            (ItemState::HandedIn { material, .. }, Some(case)) => {
                Some(format!("/window/cases/{case}/files/{material}"))
            }
            _ => None,
        },
        licence: match &item.state {
            ItemState::Held { identifier, .. } | ItemState::Fact { identifier, .. }
                if acts.may_open =>
            {
                Some(identifier.to_string())
            }
            _ => None,
        },
        hand_in: acts.hand_in && (late || (missing && acts.editable)),
        follows: match &item.state {
            ItemState::ToHandIn { may_follow: MayFollow::Until(until), .. } if acts.editable => {
                Some(until.to_string())
            }
            _ => None,
        },
    }
}

fn met(word: &str) -> Badge {
    Badge { tone: Tone::Good, sign: "✓", word: word.to_owned() }
}

fn why_not(w: &WindowTexts, why: &WhyNot) -> String {
    match why {
        WhyNot::OnlyAFile => w.only_file.to_owned(),
        WhyNot::NoneHeld => w.none_held.to_owned(),
        WhyNot::NotTrusted { link, .. } => {
            let said = match *link {
                "signature" => w.link_signature,
                "chain" => w.link_chain,
                "revocation" => w.link_revocation,
                "status" => w.link_status,
                "validity" => w.link_validity,
                _ => w.link_other,
            };
            fill(w.not_trusted, &[("link", &said)])
        }
        WhyNot::FactMissing { .. } => w.fact_missing.to_owned(),
        WhyNot::Outdated { .. } => w.outdated.to_owned(),
    }
}

fn follow(w: &WindowTexts, may: &MayFollow) -> Option<String> {
    match may {
        MayFollow::No => None,
        MayFollow::Until(until) => Some(fill(w.may_follow, &[("until", until)])),
        MayFollow::RefusedForUnkept { case } => Some(fill(w.may_follow_refused, &[("case", case)])),
    }
}

/// A licence type's name in the reader's language.
pub(super) fn type_name(
    hub: &Hub,
    language: Language,
    licence_type: &LicenceTypeCode,
) -> Option<String> {
    let entry = hub.catalogue.entry(licence_type)?;
    Some(language.pick(&entry.name, &entry.name_en).to_owned())
}

/// A face field's name, as the catalogue has it.
pub(super) fn field_name(
    hub: &Hub,
    language: Language,
    licence_type: &LicenceTypeCode,
    field: &str,
) -> String {
    if language == Language::English {
        return field.replace('_', " ");
    }
    hub.catalogue
        .entry(licence_type)
        .and_then(|entry| entry.fields["properties"][field]["title"].as_str())
        .unwrap_or(field)
        .to_owned()
}

/// The day of a moment, in China.
pub(super) fn day(at: jiff::Timestamp) -> String {
    moment(at).chars().take(10).collect()
}
