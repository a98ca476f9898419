//! What a holder still has to hand in for a matter: the repository is asked first, then what was handed in before.
//!
//! Each requirement is judged at the moment of asking; nothing about it is remembered. What the repository covers is
//! covered for as long as the licence is trusted and valid, and no longer.

use std::fmt;

use indexes::{Basis, BasisKind, HolderToken, NewUse, Shown, StoreError, StoredLicence, UseAct};
use jiff::{Timestamp, civil::Date};
use licence::{HolderId, LicenceId, LicenceTypeCode, Matter, MatterCode, Requirement, Way};

use super::{
    Who,
    case::{Case, CaseState, Provided},
    cases::{self, CaseError},
    materials::{self, Material},
    prefill::face_value,
    promise,
};
use crate::{
    Hub,
    judge::{Judge, Outcome, Verification, face},
    pull::MOST_LICENCES,
    records,
};

/// What a holder has, may reuse and must hand in for a matter.
pub struct Checklist {
    /// The matter.
    pub matter: MatterCode,
    /// The version the list was made with.
    pub version: u32,
    /// One item for each requirement, in the matter's order.
    pub items: Vec<Item>,
}

/// One requirement and where it stands.
#[derive(Clone)]
pub struct Item {
    /// The requirement.
    pub requirement: Requirement,
    /// Where it stands.
    pub state: ItemState,
}

/// Where a requirement stands.
#[derive(Clone)]
pub enum ItemState {
    /// The repository holds a licence that covers it: never asked for.
    Held {
        /// The licence.
        identifier: LicenceId,
        /// Its type.
        licence_type: LicenceTypeCode,
        /// Its name 证照名称.
        name: String,
    },
    /// A licence of the repository says the fact.
    Fact {
        /// The licence.
        identifier: LicenceId,
        /// Its type.
        licence_type: LicenceTypeCode,
        /// Its name 证照名称.
        name: String,
        /// The face field.
        field: String,
        /// What it says.
        value: String,
    },
    /// A file handed in for an earlier case will do.
    Reusable {
        /// The material.
        material: String,
        /// Its name.
        name: String,
        /// When it was handed in.
        handed_in_at: Timestamp,
    },
    /// A file is attached to this case.
    HandedIn {
        /// The material.
        material: String,
        /// Its name.
        name: String,
        /// It was handed in for an earlier case.
        reused: bool,
    },
    /// 容缺: promised to follow.
    Promised {
        /// The last day.
        until: Date,
    },
    /// To be handed in.
    ToHandIn {
        /// Why it is asked for.
        why: WhyNot,
        /// Whether it may follow.
        may_follow: MayFollow,
    },
}

/// Why a requirement is not covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// Only a file can satisfy it.
    OnlyAFile,
    /// The holder has no such licence here.
    NoneHeld,
    /// There is a licence, but it is not to be relied on now.
    NotTrusted {
        /// The licence.
        identifier: LicenceId,
        /// The link that fails: `status`, `validity`, `revocation`, …
        link: &'static str,
    },
    /// There is a licence, but it does not say the fact.
    FactMissing {
        /// The licence.
        identifier: LicenceId,
        /// The face field.
        field: String,
    },
    /// A file was handed in before, but too long ago.
    Outdated {
        /// The material.
        material: String,
    },
}

/// Whether a requirement may follow after submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayFollow {
    /// No.
    No,
    /// Until this day, against a promise.
    Until(Date),
    /// It could, but an earlier promise was not kept.
    RefusedForUnkept {
        /// The case of that promise.
        case: String,
    },
}

impl ItemState {
    /// Whether the case can be submitted as far as this requirement goes.
    #[must_use]
    pub fn is_met(&self) -> bool {
        !matches!(self, Self::ToHandIn { .. })
    }

    /// The word on the wire.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Held { .. } => "held",
            Self::Fact { .. } => "fact",
            Self::Reusable { .. } => "reusable",
            Self::HandedIn { .. } => "handed_in",
            Self::Promised { .. } => "promised",
            Self::ToHandIn { .. } => "to_hand_in",
        }
    }
}

impl WhyNot {
    /// The word on the wire.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::OnlyAFile => "only_a_file",
            Self::NoneHeld => "none_held",
            Self::NotTrusted { .. } => "not_trusted",
            Self::FactMissing { .. } => "fact_missing",
            Self::Outdated { .. } => "outdated",
        }
    }
}

// What is held for whom is personal: the values stay out of logs.
impl fmt::Debug for ItemState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {:?}", self.requirement.id, self.state)
    }
}

impl fmt::Debug for Checklist {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.items).finish()
    }
}

impl Checklist {
    /// The requirements that are not met.
    pub fn to_hand_in(&self) -> impl Iterator<Item = &Requirement> {
        self.items.iter().filter(|item| !item.state.is_met()).map(|item| &item.requirement)
    }
}

/// The checklist of a holder for a matter, or for a case of it. The look is on the access log before the answer.
///
/// # Errors
/// `NotPermitted` if `who` may not ask for this holder or run this matter; the store's.
pub async fn checklist(
    hub: &Hub,
    who: &Who,
    holder: &HolderId,
    matter: &Matter,
    case: Option<&Case>,
) -> Result<Checklist, CaseError> {
    match case {
        Some(case) if case.holder == *holder && case.matter == matter.code => {
            cases::may_see(hub, who, case)?;
        }
        Some(_) => return Err(CaseError::UnknownCase),
        None => cases::may_apply(hub, who, holder, matter)?,
    }
    let look = look(hub, holder, matter, case).await?;
    let id = case.map(|case| case.id.clone());
    hub.store.record_use(look.as_use(hub, who, holder, matter, id)?).await?;
    Ok(Checklist { matter: matter.code.clone(), version: matter.version, items: look.items })
}

/// A licence as found, with its verdict at this moment.
pub(super) struct Found {
    pub(super) stored: StoredLicence,
    pub(super) verification: Verification,
}

impl Found {
    pub(super) fn is_trusted(&self) -> bool {
        self.verification.result == Outcome::Trusted
    }
}

/// What was seen of a holder for a matter. Whoever takes a look records it as a use.
pub(super) struct Look {
    pub(super) found: Vec<Found>,
    pub(super) items: Vec<Item>,
}

impl Look {
    /// The trusted licence with this identifier.
    pub(super) fn trusted(&self, identifier: &LicenceId) -> Option<&Found> {
        self.found.iter().find(|one| one.is_trusted() && one.stored.identifier == *identifier)
    }

    /// The entry of the access log for this look.
    pub(super) fn as_use(
        &self,
        hub: &Hub,
        who: &Who,
        holder: &HolderId,
        matter: &Matter,
        case: Option<String>,
    ) -> Result<NewUse, CaseError> {
        let shown = self.found.iter().map(shown).collect();
        let holder = hub.index_key.token(holder);
        let mut new = use_of(hub, who, holder, matter.code.clone(), case, shown)?;
        if new.act != UseAct::Own {
            new.also = self.found.iter().flat_map(|one| one.stored.holders.clone()).collect();
        }
        Ok(new)
    }
}

pub(super) fn shown(found: &Found) -> Shown {
    Shown {
        identifier: found.stored.identifier.clone(),
        result: found.verification.result.word().to_owned(),
    }
}

/// A look at what a holder has, as an entry of the access log.
pub(super) fn use_of(
    hub: &Hub,
    who: &Who,
    holder: HolderToken,
    matter: MatterCode,
    case: Option<String>,
    shown: Vec<Shown>,
) -> Result<NewUse, CaseError> {
    let service = cases::service(hub)?;
    let (caller, certificate, operator, act, reason) = match who {
        Who::Holder { .. } => {
            (service.organisation, service.certificate, None, UseAct::Own, "本人查看")
        }
        Who::Clerk(clerk) => (
            clerk.department,
            service.certificate,
            Some(clerk.operator()),
            UseAct::View,
            "办理事项，核对申请材料",
        ),
        Who::Department(caller) => {
            (caller.department, caller.certificate, None, UseAct::View, "办理本部门办件")
        }
    };
    Ok(NewUse {
        at: hub.clock.now(),
        caller,
        certificate,
        operator,
        matter: Some(matter),
        case,
        basis: Some(Basis { kind: BasisKind::Holder, reference: None }),
        reason: reason.to_owned(),
        holder: Some(holder),
        also: Vec::new(),
        project: None,
        shown,
        grant: None,
        act,
    })
}

/// Looks at what a holder has for a matter. Records nothing.
pub(super) async fn look(
    hub: &Hub,
    holder: &HolderId,
    matter: &Matter,
    case: Option<&Case>,
) -> Result<Look, CaseError> {
    let found = find(hub, holder, matter).await?;
    let unkept = promise::unkept(hub, holder).await?;
    let mut items = Vec::with_capacity(matter.guide.requirements.len());
    for requirement in &matter.guide.requirements {
        let state = state(hub, requirement, &found, holder, case, unkept.as_deref()).await?;
        items.push(Item { requirement: requirement.clone(), state });
    }
    Ok(Look { found, items })
}

/// The holder's licences of the types that the matter's guide names, each judged now.
pub(super) async fn find(
    hub: &Hub,
    holder: &HolderId,
    matter: &Matter,
) -> Result<Vec<Found>, StoreError> {
    let ways = matter.guide.requirements.iter().flat_map(|requirement| &requirement.ways);
    let of_ways = ways.filter_map(|way| match way {
        Way::Licence { licence_type } | Way::Fact { licence_type, .. } => Some(*licence_type),
        Way::File { .. } => None,
    });
    let fields = matter.guide.forms.iter().flat_map(|form| &form.fields);
    let of_forms = fields.flat_map(|field| &field.prefill).map(|prefill| prefill.licence_type);
    let mut types: Vec<LicenceTypeCode> = of_ways.chain(of_forms).collect();
    types.sort_unstable();
    types.dedup();
    if types.is_empty() {
        return Ok(Vec::new()); // naming no type would ask for all
    }
    let token = hub.index_key.token(holder);
    let stored = hub.store.licences_of_holder(&token, &types, MOST_LICENCES).await?;
    let judge = Judge::new(hub);
    let mut judged = Vec::with_capacity(stored.len());
    for stored in stored {
        let verification = judge.licence(&stored, face(&stored.document).as_ref()).await?;
        judged.push(Found { stored, verification });
    }
    Ok(judged)
}

async fn state(
    hub: &Hub,
    requirement: &Requirement,
    found: &[Found],
    holder: &HolderId,
    case: Option<&Case>,
    unkept: Option<&str>,
) -> Result<ItemState, CaseError> {
    let why = match cover(requirement, found) {
        Ok(covered) => return Ok(covered),
        Err(why) => why,
    };
    match case.and_then(|case| case.provided.get(&requirement.id)) {
        Some(Provided::Material { material, reused }) => {
            let held = records::read::<Material>(&*hub.store, material.as_bytes()).await?;
            // Sent back elsewhere before this case was handed over: it does not go out once more.
            let is_draft = case.is_some_and(|case| case.state == CaseState::Draft);
            if !(is_draft && held.as_ref().is_some_and(|held| held.value.sent_back)) {
                return Ok(ItemState::HandedIn {
                    material: material.clone(),
                    name: held.map(|held| held.value.name).unwrap_or_default(),
                    reused: *reused,
                });
            }
        }
        // What the repository covered at submission was judged anew above; a promise gives way to a file.
        Some(Provided::Promised | Provided::Licence { .. } | Provided::Fact { .. }) | None => {}
    }
    let mut why = why;
    if let Some((state, usable)) = earlier_file(hub, requirement, holder, case).await? {
        match usable {
            true => return Ok(state),
            false if matches!(why, WhyNot::OnlyAFile | WhyNot::NoneHeld) => {
                if let ItemState::Reusable { material, .. } = state {
                    why = WhyNot::Outdated { material };
                }
            }
            false => {}
        }
    }
    let promised = case.and_then(|case| case.provided.get(&requirement.id));
    if promised == Some(&Provided::Promised)
        && let Some(promise) = case.and_then(|case| case.promise.as_ref())
    {
        return Ok(ItemState::Promised { until: promise.until });
    }
    let returned = case.is_some_and(|case| case.returned.contains(&requirement.id));
    let may_follow = match (requirement.may_follow_days, unkept) {
        (None, _) => MayFollow::No,
        (Some(_), _) if returned => MayFollow::No,
        (Some(_), Some(case)) => MayFollow::RefusedForUnkept { case: case.to_owned() },
        (Some(days), None) => MayFollow::Until(promise::working_day(hub, hub.clock.today(), days)),
    };
    Ok(ItemState::ToHandIn { why, may_follow })
}

/// The newest file of a kind that will do, and whether it still may be used.
async fn earlier_file(
    hub: &Hub,
    requirement: &Requirement,
    holder: &HolderId,
    case: Option<&Case>,
) -> Result<Option<(ItemState, bool)>, CaseError> {
    for way in &requirement.ways {
        let Way::File { kind, reusable_days } = way else { continue };
        if *reusable_days == 0 {
            continue;
        }
        let Some(file) = materials::newest_of_kind(hub, holder, kind).await? else { continue };
        // What was asked for again is not met by what was there before.
        let again = case.filter(|case| case.returned.contains(&requirement.id));
        if again.and_then(Case::asked_at).is_some_and(|asked| file.handed_in_at <= asked) {
            continue;
        }
        let today = hub.clock.today();
        let usable = file.usable_until(*reusable_days).is_some_and(|until| today <= until);
        let state = ItemState::Reusable {
            material: file.id,
            name: file.name,
            handed_in_at: file.handed_in_at,
        };
        return Ok(Some((state, usable)));
    }
    Ok(None)
}

/// What of the repository covers a requirement; the first way that does counts.
pub(super) fn cover(requirement: &Requirement, found: &[Found]) -> Result<ItemState, WhyNot> {
    let of_type = |wanted: &LicenceTypeCode| {
        let wanted = *wanted;
        found.iter().filter(move |one| one.stored.licence_type == wanted)
    };
    let mut why = WhyNot::OnlyAFile;
    for way in &requirement.ways {
        let (licence_type, fact) = match way {
            Way::File { .. } => continue,
            Way::Licence { licence_type } => (licence_type, None),
            Way::Fact { licence_type, field, equals } => (licence_type, Some((field, equals))),
        };
        let mut untrusted = None;
        let mut silent = None;
        for one in of_type(licence_type) {
            let identifier = &one.stored.identifier;
            if !one.is_trusted() {
                let link = one.verification.failing_link();
                let said = WhyNot::NotTrusted { identifier: identifier.clone(), link };
                untrusted.get_or_insert(said);
                continue;
            }
            let name = || face(&one.stored.document).map(|face| face.name).unwrap_or_default();
            let Some((field, equals)) = fact else {
                return Ok(ItemState::Held {
                    identifier: identifier.clone(),
                    licence_type: *licence_type,
                    name: name(),
                });
            };
            match face_value(one, field) {
                Some(value) if equals.as_ref().is_none_or(|wanted| *wanted == value) => {
                    return Ok(ItemState::Fact {
                        identifier: identifier.clone(),
                        licence_type: *licence_type,
                        name: name(),
                        field: field.clone(),
                        value,
                    });
                }
                _ => {
                    silent.get_or_insert(WhyNot::FactMissing {
                        identifier: identifier.clone(),
                        field: field.clone(),
                    });
                }
            }
        }
        // The first licence that almost did says the most.
        if matches!(why, WhyNot::OnlyAFile | WhyNot::NoneHeld) {
            why = silent.or(untrusted).unwrap_or(WhyNot::NoneHeld);
        }
    }
    Err(why)
}
