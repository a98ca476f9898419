//! 容缺承诺: a minor material may follow, against a signed promise with a list and a last day. Whoever did not keep one
//! gets no other until it is made good.

use std::collections::BTreeSet;

use indexes::Collection;
use jiff::{Timestamp, civil::Date};
use licence::{HolderId, Matter};
use serde::{Deserialize, Serialize};

use super::{
    Who,
    case::{Case, Promise, Provided, Step, StepBy, StepKind},
    cases::{self, CaseError},
    checklist::{self, ItemState, Look},
    package::{self, Applicant, MatterSaid},
};
use crate::{
    Hub,
    records::{self, Draft},
    stamps,
};

/// Promises that are not kept yet: holder token 16 · last day as `YYYY-MM-DD` · case id. Filed at submission.
pub const PROMISES_OF_HOLDER: Collection = Collection::new("promises_of_holder");

/// Most overdue promises that are looked into: one is enough to refuse another.
const MOST_OVERDUE: usize = 20;

/// `yihao-promise-1`: what was promised, as it is signed.
#[derive(Clone, Serialize, Deserialize)]
pub struct PromiseDocument {
    /// `yihao-promise-1`.
    pub format: String,
    /// The case.
    pub case: String,
    /// The matter.
    pub matter: MatterSaid,
    /// Who promises.
    pub holder: Applicant,
    /// Who gave it: the applicant, or a clerk at a window for them.
    pub given_by: StepBy,
    /// When.
    pub promised_at: Timestamp,
    /// What follows.
    pub requirements: Vec<PromisedItem>,
    /// The last day.
    pub until: Date,
    /// Whether the holidays on the way to it were known.
    pub until_is_certain: bool,
    /// The words of the promise.
    pub text: String,
}

/// One thing that follows.
#[derive(Clone, Serialize, Deserialize)]
pub struct PromisedItem {
    /// The requirement's id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Debug for PromiseDocument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PromiseDocument(case {}, until {})", self.case, self.until)
    }
}

/// Format of promises.
pub const FORMAT: &str = "yihao-promise-1";

/// The words that are promised.
const TEXT: &str =
    "申请人承诺：所列材料在承诺期限内补齐；逾期未补齐的，在补齐之前不再享受容缺受理。";

/// Signs a promise for everything in the case that is to follow. The earliest last day of all counts.
pub(super) async fn give(
    hub: &Hub,
    who: &Who,
    case: &mut Case,
    matter: &Matter,
    look: &Look,
    until: Date,
    draft: &mut Draft,
) -> Result<(), CaseError> {
    let now = hub.clock.now();
    let follows: Vec<PromisedItem> = matter
        .guide
        .requirements
        .iter()
        .filter(|requirement| case.provided.get(&requirement.id) == Some(&Provided::Promised))
        .map(|one| PromisedItem { id: one.id.clone(), name: one.name.zh.clone() })
        .collect();
    let earlier = case.promise.as_ref().filter(|earlier| earlier.kept_at.is_none());
    let until = earlier.map_or(until, |earlier| earlier.until.min(until));
    let requirements: Vec<String> = follows.iter().map(|item| item.id.clone()).collect();
    let longest = matter.guide.requirements.iter().filter_map(|one| one.may_follow_days).max();
    let certain = hub.calendar.working_days_after(hub.clock.today(), longest.unwrap_or(0)).certain;
    let document = PromiseDocument {
        format: FORMAT.to_owned(),
        case: case.id.clone(),
        matter: MatterSaid::of(matter),
        holder: package::applicant(Some(who), case, &look.found),
        given_by: cases::step_by(who),
        promised_at: now,
        requirements: follows,
        until,
        until_is_certain: certain,
        text: TEXT.to_owned(),
    };
    let signed = package::sign(hub, FORMAT, &document, Default::default()).await?;
    stamps::file(hub, draft, &signed);
    let document = hub.blobs.put(signed).await?;
    // Before submission a promise binds nobody, so that it is filed then; after a supplement it goes on binding.
    let earlier = case.promise.as_ref().map(|earlier| earlier.until);
    if case.package.is_some() {
        if earlier != Some(until) {
            lapse(hub, case, draft);
        }
        draft.index(PROMISES_OF_HOLDER, &key(hub, &case.holder, until, &case.id));
    }
    case.promise = Some(Promise { document, requirements, until, at: now, kept_at: None });
    let what = StepKind::Promised { until };
    case.steps.push(Step { at: now, by: cases::step_by(who), what, reference: None });
    Ok(())
}

/// Marks the promise kept when all of it came, by hand or into the repository. True if it was kept just now.
pub(super) fn settle(hub: &Hub, case: &mut Case, look: &Look, draft: &mut Draft) -> bool {
    let covered: BTreeSet<&String> = look
        .items
        .iter()
        .filter(|item| {
            !matches!(item.state, ItemState::Promised { .. } | ItemState::ToHandIn { .. })
        })
        .map(|item| &item.requirement.id)
        .collect();
    let came = |id: &String| {
        covered.contains(id) || matches!(case.provided.get(id), Some(Provided::Material { .. }))
    };
    let kept = case
        .promise
        .as_ref()
        .is_some_and(|promise| promise.kept_at.is_none() && promise.requirements.iter().all(came));
    if kept {
        lapse(hub, case, draft);
        let now = hub.clock.now();
        if let Some(promise) = &mut case.promise {
            promise.kept_at = Some(now);
        }
        case.steps.push(Step {
            at: now,
            by: StepBy::Hub,
            what: StepKind::PromiseKept,
            reference: None,
        });
    }
    kept
}

/// Takes a case's open promise off the holder's list.
pub(super) fn lapse(hub: &Hub, case: &Case, draft: &mut Draft) {
    if let Some(promise) = &case.promise {
        draft.unindex(PROMISES_OF_HOLDER, &key(hub, &case.holder, promise.until, &case.id));
    }
}

/// The key of an open promise.
pub(super) fn key(hub: &Hub, holder: &HolderId, until: Date, case: &str) -> Vec<u8> {
    let token = hub.index_key.token(holder);
    [token.as_bytes().as_slice(), until.to_string().as_bytes(), case.as_bytes()].concat()
}

/// The case of the holder's oldest promise whose last day has passed, and which the repository has not kept meanwhile.
pub(super) async fn unkept(hub: &Hub, holder: &HolderId) -> Result<Option<String>, CaseError> {
    let token = hub.index_key.token(holder);
    let prefix = token.as_bytes();
    let keys = records::keys(&*hub.store, PROMISES_OF_HOLDER, prefix, None, MOST_OVERDUE).await?;
    for key in keys {
        let Ok(key) = String::from_utf8(key) else { continue };
        let Some((day, id)) = key.split_at_checked(10) else { continue };
        if day.parse::<Date>().is_ok_and(|until| until >= hub.clock.today()) {
            break; // sorted by day
        }
        let Some(held) = records::read::<Case>(&*hub.store, id.as_bytes()).await? else { continue };
        if !covered_by_now(hub, &held.value).await? {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}

/// Whether everything that still has to follow is in the repository now.
async fn covered_by_now(hub: &Hub, case: &Case) -> Result<bool, CaseError> {
    let Ok(matter) = cases::matter_of(hub, case) else { return Ok(false) };
    let found = checklist::find(hub, &case.holder, matter).await?;
    let Some(promise) = &case.promise else { return Ok(false) };
    let came = |id: &String| {
        matches!(case.provided.get(id), Some(Provided::Material { .. }))
            || matter
                .guide
                .requirements
                .iter()
                .any(|one| one.id == *id && checklist::cover(one, &found).is_ok())
    };
    Ok(promise.requirements.iter().all(came))
}

/// The last day of a term of so many working days that starts on the day after `from`.
pub(super) fn working_day(hub: &Hub, from: Date, days: u16) -> Date {
    hub.calendar.working_days_after(from, days).date
}
