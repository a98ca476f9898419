//! Who looked, when, why and under which grant: the access log as the holder sees it.
//!
//! Complete but for what a rule discloses later, and without third parties: no clerk's account, no other holder's licence,
//! no number that a department wrote into its reason.

use std::collections::HashMap;

use indexes::{BasisKind, HolderToken, NewUse, Operator, Shown, StoreError, UseAct, UseEntry};
use jiff::Timestamp;
use licence::{CreditCode, LicenceId, Seq, Sha256Digest};

use super::{
    Who,
    terms::{self, GrantTerms},
};
use crate::{Hub, judge};

/// The most uses that are looked through for one answer.
const MOST_READ: usize = 20_000;

/// A use as the holder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenUse {
    /// Its number in the access log.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// The department.
    pub department: CreditCode,
    /// Its name.
    pub department_name: String,
    /// The window there; never a person.
    pub organisation: Option<String>,
    /// What was done.
    pub act: UseAct,
    /// What was being handled.
    pub matter_name: Option<String>,
    /// The case there.
    pub case: Option<String>,
    /// Why it was allowed.
    pub basis: Option<BasisKind>,
    /// The consent (`r_…`) or the mandate's code.
    pub reference: Option<String>,
    /// What the mandate is called.
    pub reference_name: Option<String>,
    /// The reason given, numbers hidden.
    pub reason: String,
    /// The holder's licences in it, each with the name of its type.
    pub licences: Vec<(LicenceId, String)>,
    /// The grant that it opened, or was made under.
    pub grant: Option<String>,
}

/// Who looked, newest first; the holder's own looks are in it ([`UseAct::Own`]).
///
/// Reading this list is no use of a licence: it shows nothing that stands on one.
///
/// # Errors
/// The store's. Whoever acts for no holder sees nothing.
pub async fn seen(hub: &Hub, who: &Who, limit: usize) -> Result<Vec<SeenUse>, StoreError> {
    seen_where(hub, who, limit, |_| true).await
}

/// As [`seen`], without the holder's own looks.
///
/// # Errors
/// As [`seen`].
pub async fn seen_by_others(
    hub: &Hub,
    who: &Who,
    limit: usize,
) -> Result<Vec<SeenUse>, StoreError> {
    seen_where(hub, who, limit, |entry| entry.act != UseAct::Own).await
}

async fn seen_where(
    hub: &Hub,
    who: &Who,
    limit: usize,
    wanted: impl Fn(&UseEntry) -> bool,
) -> Result<Vec<SeenUse>, StoreError> {
    let Some(holder) = who.acting_holder() else { return Ok(Vec::new()) };
    let holder = hub.index_key.token(holder);
    let now = hub.clock.now();
    let mut all_terms: HashMap<String, GrantTerms> = HashMap::new();
    let mut read = limit;
    loop {
        let entries = hub.store.uses_of_holder(&holder, read).await?;
        let exhausted = entries.len() < read || read >= MOST_READ;
        let mut found = Vec::new();
        for entry in entries.into_iter().filter(|entry| wanted(entry)) {
            if found.len() < limit && disclosed(hub, &entry, &mut all_terms, now).await? {
                found.push(as_seen(hub, &holder, entry).await?);
            }
        }
        if found.len() >= limit || exhausted {
            return Ok(found);
        }
        read = (read * 4).clamp(100, MOST_READ);
    }
}

/// Whether the holder is told by now. What the mandate said at the time of the use counts.
async fn disclosed(
    hub: &Hub,
    entry: &UseEntry,
    known: &mut HashMap<String, GrantTerms>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(grant) = &entry.grant else { return Ok(true) };
    if !known.contains_key(grant) {
        known.insert(grant.clone(), terms::of(hub, grant).await?);
    }
    Ok(known[grant].disclosed_at(entry.at) <= now)
}

async fn as_seen(hub: &Hub, holder: &HolderToken, entry: UseEntry) -> Result<SeenUse, StoreError> {
    let identifiers: Vec<LicenceId> =
        entry.shown.into_iter().map(|shown| shown.identifier).collect();
    let stored = hub.store.licences(&identifiers).await?;
    let licences = stored
        .into_iter()
        .flatten()
        .filter(|stored| stored.holders.contains(holder))
        .map(|stored| {
            let entry = hub.catalogue.entry(&stored.licence_type);
            let name = entry.map(|entry| entry.name.clone());
            (stored.identifier, name.unwrap_or_else(|| stored.licence_type.to_string()))
        })
        .collect();
    let matter = entry.matter.as_ref().and_then(|matter| hub.matters.get(matter));
    let (basis, reference) = match entry.basis {
        Some(basis) => (Some(basis.kind), basis.reference),
        None => (None, None),
    };
    let mandate = match (basis, &reference) {
        (Some(BasisKind::Duty), Some(code)) => hub.mandates.get(code),
        _ => None,
    };
    Ok(SeenUse {
        seq: entry.seq,
        at: entry.at,
        department: entry.caller,
        department_name: hub.department_name(&entry.caller).to_owned(),
        organisation: entry.operator.and_then(|operator| place(hub, operator)),
        act: entry.act,
        matter_name: matter.map(|matter| matter.name.clone()),
        case: entry.case.map(|case| hide_numbers(&case, 15)),
        basis,
        reference_name: mandate.map(|mandate| mandate.name.clone()),
        reference: reference.map(|reference| hide_numbers(&reference, 15)),
        reason: hide_numbers(&entry.reason, 7),
        licences,
        grant: entry.grant,
    })
}

/// The window's name; what a department's system wrote stands as it is, numbers hidden.
fn place(hub: &Hub, operator: Operator) -> Option<String> {
    let said = operator.organisation;
    match hub.organisations.node(&said) {
        Some(node) => Some(node.name.clone()),
        None if said.trim().is_empty() || said.parse::<CreditCode>().is_ok() => None,
        None => Some(hide_numbers(&said, 7)),
    }
}

/// Hides every run of at least `longest` digits and capital letters that is mostly digits: numbers of persons,
/// documents, telephones.
fn hide_numbers(text: &str, longest: usize) -> String {
    let is_part = |one: char| {
        one.is_ascii_digit() || one.is_ascii_uppercase() || matches!(one, '０'..='９' | 'x' | 'Ｘ')
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let (run, after) = from.split_at(from.find(|one| !is_part(one)).unwrap_or(from.len()));
        let digits = run.chars().filter(|one| one.is_ascii_digit() || ('０'..='９').contains(one));
        out.push_str(before);
        if digits.count() >= longest {
            out.push('＊')
        } else {
            out.push_str(run)
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Nobody runs this hub in name: its settings have no `service`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this hub has no `service` in its settings")]
pub struct NoService;

impl NoService {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "service_missing"
    }
}

/// A holder's look at their own licences, as an entry of the access log.
///
/// # Errors
/// `NoService`: whoever runs the hub is the caller of such an entry.
pub fn own_look(
    hub: &Hub,
    holder: HolderToken,
    licences: &[(LicenceId, judge::Outcome)],
) -> Result<NewUse, NoService> {
    let service = hub.settings().service.as_ref().ok_or(NoService)?;
    let shown = licences.iter().map(|(identifier, result)| Shown {
        identifier: identifier.clone(),
        result: result.word().to_owned(),
    });
    Ok(NewUse {
        at: hub.clock.now(),
        caller: service.organisation,
        certificate: own_certificate(hub),
        operator: None,
        matter: None,
        case: None,
        basis: Some(indexes::Basis { kind: BasisKind::Holder, reference: None }),
        reason: "本人查看".to_owned(),
        holder: Some(holder),
        also: Vec::new(),
        project: None,
        shown: shown.collect(),
        grant: None,
        act: UseAct::Own,
    })
}

/// The certificate that stands in the access log where a person came with a session and not with a certificate: the
/// hub's own.
pub(crate) fn own_certificate(hub: &Hub) -> Sha256Digest {
    hub.keys.certificate().unwrap_or(Sha256Digest::from_bytes([0; 32]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_reason_are_hidden_and_words_stay() {
        let hidden = |text: &str| hide_numbers(text, 7);
        assert_eq!(hidden("核验11010519491231002X的婚姻情况"), "核验＊的婚姻情况");
        assert_eq!(hidden("电话 13800138000，第12号窗口"), "电话 ＊，第12号窗口");
        assert_eq!(hidden("９１４５０２０３１２３４５"), "＊");
        assert_eq!(hidden("按 GB/T 36906 核验"), "按 GB/T 36906 核验");
        assert_eq!(hide_numbers("20260302-7K3QM9XW2F", 15), "20260302-7K3QM9XW2F");
        assert_eq!(hide_numbers("CASE450203199001011234", 15), "＊");
    }
}
