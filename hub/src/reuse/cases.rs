//! Running a case: opened, filled in, handed to the department, decided. Each step says who may take it, and from where.
//!
//! The **applicant's side** is whoever acts for the holder, and the clerks of the window where the case was opened (and of
//! the places above it). The **department's side** is the deciding department: its system, and clerks at a node of
//! the department. It sees a case once that was submitted. For everybody else a case is not there.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use indexes::{BlobError, Shown, StoreError};
use jiff::civil::Date;
use licence::{
    ApplicantKind, CreditCode, HolderId, Level, LicenceId, Matter, MatterCode, Requirement,
    Sha256Digest, Way,
};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    Clerk, Who,
    case::{
        CASES_OF_DEPARTMENT, CASES_OF_HOLDER, Case, CaseState, FormValue, Provided, Step, StepBy,
        StepKind, SupplementItem,
    },
    checklist::{self, Checklist, Item, ItemState, Look, MayFollow, use_of},
    materials::{self, Material, MaterialError},
    outbox, package,
    prefill::{self, FilledField},
    promise::{self, PROMISES_OF_HOLDER},
    terms,
};
use crate::{
    Hub,
    judge::{Judge, Outcome, face},
    keys::SignerUnavailable,
    login::NodeKind,
    pull::PullError,
    records::{self, Draft, Held, newest_first},
};

/// How often a step is tried again when somebody else changed the case meanwhile.
pub(super) const ATTEMPTS: usize = 5;
/// Cases of a holder that are in the making, at most.
const MOST_DRAFTS: usize = 50;
/// Most cases that a queue looks through.
const MOST_IN_QUEUE: usize = 5_000;

/// Why something was not done with a case. No text holds a number, a name or what somebody wrote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// There is none, or it is somebody else's.
    #[error("there is no such case")]
    UnknownCase,
    /// The matter is not in the catalogue, or not in this version.
    #[error("the matter is not in the list of matters")]
    UnknownMatter,
    /// The matter has no guide: it is a purpose of pulls only, or not in force today.
    #[error("the matter cannot be applied for here: it has no guide in force today")]
    MatterNotRun,
    /// The matter is for another kind of applicant.
    #[error("the matter is not for this kind of applicant: see its guide")]
    ApplicantKind,
    /// The place does not take the matter.
    #[error("the matter is not taken at this place: see `taken_at` in its guide")]
    NotTakenHere,
    /// The holder has many cases in the making.
    #[error("{MOST_DRAFTS} cases of this holder are in the making: submit or withdraw some first")]
    TooManyDrafts,
    /// Not for this caller.
    #[error("this is not for you to do: {0}")]
    NotPermitted(&'static str),
    /// The case is elsewhere.
    #[error("the case is in state `{}`: this step cannot be taken now", .state.word())]
    State {
        /// Where it is.
        state: CaseState,
    },
    /// The form has no such field.
    #[error("the matter's forms have no field of that name")]
    UnknownField,
    /// Too long.
    #[error("form field `{field}` may have at most {most} characters")]
    FieldTooLong {
        /// The field.
        field: String,
        /// The limit.
        most: u16,
    },
    /// Control characters.
    #[error("form field `{field}` holds control characters")]
    FieldCharacters {
        /// The field.
        field: String,
    },
    /// The form is not complete.
    #[error("the form is not complete: these fields are empty: {}", .fields.join(", "))]
    FormIncomplete {
        /// The fields' ids.
        fields: Vec<String>,
    },
    /// The department asked about fields that stand as they stood.
    #[error("the department asked about these fields: change or confirm them: {}", .fields.join(", "))]
    FormUnconfirmed {
        /// The fields' ids.
        fields: Vec<String>,
    },
    /// A department asks a second time, for something else.
    #[error(
        "everything that is missing is told at once: a second time only what was asked for or came anew may be \
         asked for, not {}", .requirements.join(", ")
    )]
    SupplementOnce {
        /// What may not be asked for any more.
        requirements: Vec<String>,
    },
    /// The matter asks for no such thing.
    #[error("the matter has no requirement of that name")]
    UnknownRequirement,
    /// The repository covers it.
    #[error(
        "the repository holds what requirement `{requirement}` asks for: {name}, licence {identifier}; it is never \
         asked for, and nothing was attached"
    )]
    HeldAlready {
        /// The requirement.
        requirement: String,
        /// The licence that covers it.
        identifier: LicenceId,
        /// Its type's name 证照名称.
        name: String,
    },
    /// No file satisfies it.
    #[error("requirement `{requirement}` cannot be met with a file: the licence itself is needed")]
    NotAFile {
        /// The requirement.
        requirement: String,
    },
    /// The file is of another kind.
    #[error("the file is not of the kind that requirement `{requirement}` asks for")]
    MaterialKind {
        /// The requirement.
        requirement: String,
    },
    /// The file was handed in too long ago.
    #[error("the file was handed in too long ago, or only for its own case: hand in a new one")]
    MaterialOutdated,
    /// The department sent this file back.
    #[error("the department sent this very file back: hand in another")]
    MaterialSentBack,
    /// Not everything is there.
    #[error("these are still to be handed in: {}", .requirements.join(", "))]
    Missing {
        /// The requirements' ids, all at once.
        requirements: Vec<String>,
    },
    /// Not a minor one.
    #[error("requirement `{requirement}` may not follow later")]
    MayNotFollow {
        /// The requirement.
        requirement: String,
    },
    /// An earlier promise was not kept.
    #[error(
        "what was promised in case {case} did not come in time: nothing may follow later until it is handed in there"
    )]
    PromiseUnkept {
        /// The case of that promise.
        case: String,
    },
    /// The day passed before submission.
    #[error(
        "the promise's last day passed before the case was submitted: promise again, or hand in"
    )]
    PromiseOver,
    /// Nothing was named.
    #[error("name at least one requirement, each once")]
    NothingNamed,
    /// A reason is missing or too long.
    #[error("a reason is needed, with at most 500 characters and no control characters")]
    Reason,
    /// The reference is malformed.
    #[error("a reference has 1 to 128 printable ASCII characters")]
    Reference,
    /// The reference stands for another step.
    #[error("another step of this case was sent with this reference: nothing was changed")]
    ReferenceReused,
    /// The licence is not what the case can result in.
    #[error(
        "the licence is not in the repository, not trusted, not this holder's or not of the matter's type"
    )]
    ResultNotFitting,
    /// There is none yet.
    #[error("the case has no package yet: it was not submitted")]
    NoPackage,
    /// A file of the hub's own is gone.
    #[error("the package's bytes are not in the file store")]
    PackageGone,
    /// The key failed.
    #[error("the package could not be signed")]
    Sign(#[from] certs::SignError),
    /// No key can be reached.
    #[error("the hub cannot sign now: what was entered is kept, try again later")]
    Signer(SignerUnavailable),
    /// The file of an applicant.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// Evidence could not be put together.
    #[error(transparent)]
    Evidence(#[from] PullError),
    /// The hub has no key to sign with.
    #[error("cases need the section [service] in the hub's settings: tell the operator")]
    NoService,
    /// Others were faster, again and again.
    #[error("the case is being changed by somebody else: nothing was changed, try again")]
    Busy,
    /// The file store failed.
    #[error("the file store failed")]
    Files(#[from] BlobError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl CaseError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownCase => "unknown_case",
            Self::UnknownMatter => "unknown_matter",
            Self::MatterNotRun => "matter_not_run",
            Self::ApplicantKind => "applicant_kind",
            Self::NotTakenHere => "not_taken_here",
            Self::TooManyDrafts => "too_many_drafts",
            Self::NotPermitted(_) => "case_not_permitted",
            Self::State { .. } => "case_state",
            Self::UnknownField => "unknown_form_field",
            Self::FieldTooLong { .. } => "form_field_too_long",
            Self::FieldCharacters { .. } => "form_field_characters",
            Self::FormIncomplete { .. } => "form_incomplete",
            Self::FormUnconfirmed { .. } => "form_unconfirmed",
            Self::SupplementOnce { .. } => "supplement_once",
            Self::UnknownRequirement => "unknown_requirement",
            Self::HeldAlready { .. } => "held_already",
            Self::NotAFile { .. } => "not_a_file",
            Self::MaterialKind { .. } => "material_other_kind",
            Self::MaterialOutdated => "material_outdated",
            Self::MaterialSentBack => "material_sent_back",
            Self::Missing { .. } => "materials_missing",
            Self::MayNotFollow { .. } => "may_not_follow",
            Self::PromiseUnkept { .. } => "promise_unkept",
            Self::PromiseOver => "promise_over",
            Self::NothingNamed => "requirements_required",
            Self::Reason => "step_reason",
            Self::Reference => "step_reference",
            Self::ReferenceReused => "step_reference_reused",
            Self::ResultNotFitting => "result_not_fitting",
            Self::NoPackage => "no_package",
            Self::PackageGone => "package_gone",
            Self::Sign(error) => error.code(),
            Self::Signer(error) => error.code(),
            Self::Material(error) => error.code(),
            Self::Evidence(error) => error.code(),
            Self::NoService => "service_missing",
            Self::Busy => "case_busy",
            Self::Files(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

/// Tries a step until nobody else was faster.
macro_rules! until_not_stale {
    ($once:expr) => {{
        for _ in 0..ATTEMPTS {
            if let Some(done) = $once {
                return Ok(done);
            }
        }
        Err(CaseError::Busy)
    }};
}

/// Opens a case of a matter for a holder.
///
/// # Errors
/// The matter is not run, not for this applicant, not taken at this place; `who` may not.
pub async fn open(
    hub: &Hub,
    who: &Who,
    holder: &HolderId,
    matter: &MatterCode,
) -> Result<Case, CaseError> {
    until_not_stale!(open_once(hub, who, holder, matter).await?)
}

async fn open_once(
    hub: &Hub,
    who: &Who,
    holder: &HolderId,
    matter: &MatterCode,
) -> Result<Option<Case>, CaseError> {
    let matter = current_matter(hub, matter)?;
    may_apply(hub, who, holder, matter)?;
    service(hub)?;
    check_drafts(hub, holder).await?;
    let now = hub.clock.now();
    let window = match who {
        Who::Clerk(clerk) => Some(clerk.node.clone()),
        Who::Holder { .. } | Who::Department(_) => None,
    };
    let case = Case {
        id: new_id(hub)?,
        matter: matter.code.clone(),
        version: matter.version,
        holder: holder.clone(),
        department: matter.department,
        window,
        state: CaseState::Draft,
        form: BTreeMap::new(),
        provided: BTreeMap::new(),
        promise: None,
        returned: BTreeSet::new(),
        sent_back: BTreeSet::new(),
        unconfirmed: BTreeSet::new(),
        renewed: BTreeSet::new(),
        package: None,
        grant: None,
        due: None,
        result: None,
        steps: vec![Step { at: now, by: step_by(who), what: StepKind::Opened, reference: None }],
        opened_at: now,
    };
    let mut draft = Draft::new();
    draft.create(case.id.as_bytes(), &case);
    draft.index(CASES_OF_HOLDER, &key_of_holder(hub, &case));
    if let Some(department) =
        case.window.as_ref().and_then(|node| hub.organisations.department_of(node))
    {
        draft.index(CASES_OF_DEPARTMENT, &key_of_department(&department, &case));
    }
    let written = draft.commit(&*hub.store).await?.is_ok();
    if written {
        metrics::counter!("yihao_cases_total", "step" => "opened").increment(1);
    }
    Ok(written.then_some(case))
}

/// Nobody fills the store with cases that go nowhere: so many of a holder are in the making, and no more. Cases that are
/// opened at the same moment may pass together.
async fn check_drafts(hub: &Hub, holder: &HolderId) -> Result<(), CaseError> {
    let token = hub.index_key.token(holder);
    let prefix = token.as_bytes();
    let mut after: Option<Vec<u8>> = None;
    let mut drafts = 0;
    // Those among the newest: a list of any length costs the same.
    for _ in 0..5 {
        let keys =
            records::keys(&*hub.store, CASES_OF_HOLDER, prefix, after.as_deref(), 200).await?;
        let Some(last) = keys.last() else { break };
        after = Some([&prefix[..], last].concat());
        for key in keys {
            let id = key.get(8..).unwrap_or(&[]);
            let held = records::read::<Case>(&*hub.store, id).await?;
            drafts += usize::from(held.is_some_and(|held| held.value.state == CaseState::Draft));
        }
        if drafts >= MOST_DRAFTS {
            return Err(CaseError::TooManyDrafts);
        }
    }
    Ok(())
}

/// A case, for whoever may see it. The look at its licences is on the access log before the answer.
///
/// # Errors
/// `UnknownCase` also when it is somebody else's.
pub async fn case(hub: &Hub, who: &Who, id: &str) -> Result<Held<Case>, CaseError> {
    let held = arrived(hub, seen(hub, who, id).await?).await?;
    let case = &held.value;
    let shown = licences_in(case);
    if !shown.is_empty() {
        let token = hub.index_key.token(&case.holder);
        let new = use_of(hub, who, token, case.matter.clone(), Some(case.id.clone()), shown)?;
        hub.store.record_use(new).await?;
    }
    Ok(held)
}

/// A case as one page shows it.
pub struct View {
    /// The case.
    pub case: Case,
    /// What is there and what is missing.
    pub list: Checklist,
    /// Its forms.
    pub form: Vec<FilledField>,
}

/// A case with its checklist and its forms, for whoever may see it: one look, and one use on the access log.
///
/// # Errors
/// `UnknownCase` also when it is somebody else's; the store's.
pub async fn view(hub: &Hub, who: &Who, id: &str) -> Result<View, CaseError> {
    let case = arrived(hub, seen(hub, who, id).await?).await?.value;
    let matter = matter_of(hub, &case)?;
    let look = checklist::look(hub, &case.holder, matter, Some(&case)).await?;
    let mut look_as_use = look.as_use(hub, who, &case.holder, matter, Some(case.id.clone()))?;
    let judged: BTreeSet<LicenceId> =
        look_as_use.shown.iter().map(|shown| shown.identifier.clone()).collect();
    let named = licences_in(&case).into_iter();
    look_as_use.shown.extend(named.filter(|shown| !judged.contains(&shown.identifier)));
    hub.store.record_use(look_as_use).await?;
    let form = prefill::filled(matter, &case, &look.found);
    let (code, version) = (matter.code.clone(), matter.version);
    Ok(View { case, list: Checklist { matter: code, version, items: look.items }, form })
}

/// Keeps a promise for its holder when the licence that was still missing is in the repository by now: noticed by
/// whoever looks first. The department gets the case anew, complete.
async fn arrived(hub: &Hub, held: Held<Case>) -> Result<Held<Case>, CaseError> {
    let mut case = held.value.clone();
    let open = case.promise.as_ref().is_some_and(|promise| promise.kept_at.is_none());
    if !open || !is_at_department(&case) {
        return Ok(held);
    }
    let matter = matter_of(hub, &case)?;
    let look = checklist::look(hub, &case.holder, matter, Some(&case)).await?;
    let mut draft = Draft::new();
    if !promise::settle(hub, &mut case, &look, &mut draft) {
        return Ok(held);
    }
    package::hand_over(hub, None, &mut case, matter, &look, None, &mut draft).await?;
    draft.replace(&held, &case);
    draft.commit(&*hub.store).await?.ok();
    // Stale: somebody else was faster, and what they wrote counts.
    read(hub, &case.id).await
}

fn is_at_department(case: &Case) -> bool {
    matches!(case.state, CaseState::Submitted | CaseState::Accepted | CaseState::Granted)
}

/// The licences that a case names.
fn licences_in(case: &Case) -> Vec<Shown> {
    let provided = case.provided.values().filter_map(|provided| match provided {
        Provided::Licence { identifier, .. } | Provided::Fact { identifier, .. } => {
            Some(identifier)
        }
        Provided::Material { .. } | Provided::Promised => None,
    });
    let sources = case.form.values().filter_map(|value| value.source.as_ref());
    let all: BTreeSet<&LicenceId> = provided.chain(sources).chain(&case.result).collect();
    let named = |identifier: &LicenceId| Shown {
        identifier: identifier.clone(),
        result: "named".to_owned(),
    };
    all.into_iter().map(named).collect()
}

/// Writes into a case's forms. Fields not named keep what they have.
///
/// # Errors
/// A field that the forms do not have, or a value that does not fit; the case is past it.
pub async fn fill(
    hub: &Hub,
    who: &Who,
    id: &str,
    values: &BTreeMap<String, String>,
) -> Result<Case, CaseError> {
    fill_and_confirm(hub, who, id, values, &BTreeSet::new()).await
}

/// Writes into a case's forms, and confirms that fields the department asked about are right as they stand.
///
/// # Errors
/// As [`fill`].
pub async fn fill_and_confirm(
    hub: &Hub,
    who: &Who,
    id: &str,
    values: &BTreeMap<String, String>,
    confirmed: &BTreeSet<String>,
) -> Result<Case, CaseError> {
    until_not_stale!(fill_once(hub, who, id, values, confirmed).await?)
}

async fn fill_once(
    hub: &Hub,
    who: &Who,
    id: &str,
    values: &BTreeMap<String, String>,
    confirmed: &BTreeSet<String>,
) -> Result<Option<Case>, CaseError> {
    let held = for_applicant(hub, who, id).await?;
    editable(&held.value)?;
    let mut case = held.value.clone();
    let matter = matter_of(hub, &case)?;
    let found = checklist::find(hub, &case.holder, matter).await?;
    let before = case.form.clone();
    case.form.extend(prefill::written(matter, &found, values)?);
    let changed = |(field, value): &(&String, &FormValue)| {
        before.get(*field).map_or("", |before| before.text.as_str()) != value.text
    };
    let changed: BTreeSet<String> =
        case.form.iter().filter(changed).map(|(field, _)| field.clone()).collect();
    case.unconfirmed.retain(|field| !changed.contains(field) && !confirmed.contains(field));
    case.renewed.extend(changed);
    let shown = found.iter().map(checklist::shown).collect();
    let token = hub.index_key.token(&case.holder);
    let mut draft = Draft::new();
    draft.record_use(use_of(hub, who, token, case.matter.clone(), Some(case.id.clone()), shown)?);
    save(hub, &held, case, draft).await
}

/// A case's forms with what stands in them, each value with its source. The look is on the access log.
///
/// # Errors
/// `UnknownCase` if it is somebody else's; the store's.
pub async fn form(hub: &Hub, who: &Who, case: &Case) -> Result<Vec<FilledField>, CaseError> {
    may_see(hub, who, case)?;
    let matter = matter_of(hub, case)?;
    if matter.guide.forms.is_empty() {
        return Ok(Vec::new());
    }
    let found = checklist::find(hub, &case.holder, matter).await?;
    let shown = found.iter().map(checklist::shown).collect();
    let token = hub.index_key.token(&case.holder);
    let new = use_of(hub, who, token, case.matter.clone(), Some(case.id.clone()), shown)?;
    hub.store.record_use(new).await?;
    Ok(prefill::filled(matter, case, &found))
}

/// Attaches a file to a requirement: one handed in for this case, or before and still good. What the repository holds is
/// refused, naming the licence that covers it. After submission only what was promised may come.
///
/// # Errors
/// `HeldAlready`; the file is of another kind, outdated, sent back or somebody else's; the case is past it.
pub async fn provide(
    hub: &Hub,
    who: &Who,
    id: &str,
    requirement: &str,
    material: &str,
) -> Result<Case, CaseError> {
    until_not_stale!(provide_once(hub, who, id, requirement, material).await?)
}

async fn provide_once(
    hub: &Hub,
    who: &Who,
    id: &str,
    requirement: &str,
    material: &str,
) -> Result<Option<Case>, CaseError> {
    let held = for_applicant(hub, who, id).await?;
    let mut case = held.value.clone();
    let promised = case.provided.get(requirement) == Some(&Provided::Promised);
    if !(case.is_editable() || promised && is_at_department(&case)) {
        return Err(CaseError::State { state: case.state });
    }
    let matter = matter_of(hub, &case)?;
    let look = checklist::look(hub, &case.holder, matter, Some(&case)).await?;
    let item = item_of(&look, requirement)?;
    let look_as_use = look.as_use(hub, who, &case.holder, matter, Some(case.id.clone()))?;
    if let Some(error) = held_already(item) {
        // The refusal names a licence: that is a look, too.
        hub.store.record_use(look_as_use).await?;
        return Err(error);
    }
    let offered =
        matches!(&item.state, ItemState::Reusable { material: its, .. } if its == material);
    let file = if offered {
        // A clerk may attach what the checklist offers, without having seen the file before.
        let held = records::read::<Material>(&*hub.store, material.as_bytes()).await?;
        held.ok_or(MaterialError::UnknownMaterial)?
    } else {
        materials::material(hub, who, material).await?
    };
    let reused = check_file(hub, &case, &item.requirement, &file.value)?;
    let now = hub.clock.now();
    let provided = Provided::Material { material: material.to_owned(), reused };
    if case.provided.get(requirement) == Some(&provided) {
        return Ok(Some(case)); // sent twice
    }
    case.provided.insert(requirement.to_owned(), provided);
    case.renewed.insert(requirement.to_owned());
    let what = StepKind::Provided { requirement: requirement.to_owned() };
    case.steps.push(Step { at: now, by: step_by(who), what, reference: None });
    let mut draft = Draft::new();
    draft.record_use(look_as_use);
    if !file.value.used_by.contains(&case.id) {
        materials::use_in(&mut draft, &file, &case.id);
    }
    if promise::settle(hub, &mut case, &look, &mut draft) && !case.is_editable() {
        let look = checklist::look(hub, &case.holder, matter, Some(&case)).await?;
        package::hand_over(hub, Some(who), &mut case, matter, &look, Some(material), &mut draft)
            .await?;
    }
    save(hub, &held, case, draft).await
}

fn item_of<'a>(look: &'a Look, requirement: &str) -> Result<&'a Item, CaseError> {
    let mut items = look.items.iter();
    items.find(|item| item.requirement.id == requirement).ok_or(CaseError::UnknownRequirement)
}

/// The refusal of what the repository covers.
pub(super) fn held_already(item: &Item) -> Option<CaseError> {
    let (identifier, name) = match &item.state {
        ItemState::Held { identifier, name, .. } | ItemState::Fact { identifier, name, .. } => {
            (identifier.clone(), name.clone())
        }
        _ => return None,
    };
    Some(CaseError::HeldAlready { requirement: item.requirement.id.clone(), identifier, name })
}

/// Whether the file will do for the requirement, and whether that is using it again.
fn check_file(
    hub: &Hub,
    case: &Case,
    requirement: &Requirement,
    file: &Material,
) -> Result<bool, CaseError> {
    if file.holder != case.holder {
        return Err(MaterialError::UnknownMaterial.into());
    }
    let name = || requirement.id.clone();
    let mut kinds = requirement.ways.iter().filter_map(|way| match way {
        Way::File { kind, reusable_days } => Some((kind, *reusable_days)),
        Way::Licence { .. } | Way::Fact { .. } => None,
    });
    if kinds.clone().next().is_none() {
        return Err(CaseError::NotAFile { requirement: name() });
    }
    let days = kinds
        .find(|(kind, _)| **kind == file.kind)
        .map(|(_, days)| days)
        .ok_or_else(|| CaseError::MaterialKind { requirement: name() })?;
    if file.sent_back || case.sent_back.contains(&file.id) {
        return Err(CaseError::MaterialSentBack);
    }
    if file.case.as_ref() == Some(&case.id) {
        return Ok(false);
    }
    // A file that was handed in for no case yet is new to this one.
    let fresh = file.case.is_none() && file.used_by.is_empty();
    let today = hub.clock.today();
    let usable = match fresh {
        true => file.valid_until.is_none_or(|last| today <= last),
        false => file.usable_until(days).is_some_and(|last| today <= last),
    };
    if usable { Ok(!fresh) } else { Err(CaseError::MaterialOutdated) }
}

/// 容缺: promises that minor materials follow. The promise is signed and says what, and until when: the earliest of their
/// last days.
///
/// # Errors
/// `MayNotFollow`, `HeldAlready`; `PromiseUnkept` for those with an earlier promise that was not kept.
pub async fn promise(
    hub: &Hub,
    who: &Who,
    id: &str,
    requirements: &[String],
) -> Result<Case, CaseError> {
    until_not_stale!(promise_once(hub, who, id, requirements).await?)
}

async fn promise_once(
    hub: &Hub,
    who: &Who,
    id: &str,
    requirements: &[String],
) -> Result<Option<Case>, CaseError> {
    let held = for_applicant(hub, who, id).await?;
    editable(&held.value)?;
    let mut case = held.value.clone();
    let named: BTreeSet<&String> = requirements.iter().collect();
    if named.is_empty() || named.len() != requirements.len() {
        return Err(CaseError::NothingNamed);
    }
    let matter = matter_of(hub, &case)?;
    let look = checklist::look(hub, &case.holder, matter, Some(&case)).await?;
    let mut draft = Draft::new();
    draft.record_use(look.as_use(hub, who, &case.holder, matter, Some(case.id.clone()))?);
    let mut until: Option<Date> = None;
    for requirement in named {
        let item = item_of(&look, requirement)?;
        let last = match &item.state {
            ItemState::ToHandIn { may_follow: MayFollow::Until(last), .. } => *last,
            ItemState::ToHandIn { may_follow: MayFollow::RefusedForUnkept { case }, .. } => {
                return Err(CaseError::PromiseUnkept { case: case.clone() });
            }
            ItemState::Promised { until } => *until,
            _ => {
                return Err(held_already(item).unwrap_or_else(|| CaseError::MayNotFollow {
                    requirement: requirement.clone(),
                }));
            }
        };
        until = Some(until.map_or(last, |until| until.min(last)));
        case.provided.insert(requirement.clone(), Provided::Promised);
    }
    let until = until.ok_or(CaseError::NothingNamed)?;
    promise::give(hub, who, &mut case, matter, &look, until, &mut draft).await?;
    save(hub, &held, case, draft).await
}

/// Hands the case to the department: everything is judged once more, one signed package is made, a grant opens its
/// licences to the department, and it is put on its way. All of that is written together. A case that is submitted
/// already stays as it is.
///
/// # Errors
/// `Missing`, `FormIncomplete` and `FormUnconfirmed` name all that is not there; `PromiseOver`, `PromiseUnkept`.
pub async fn submit(hub: &Hub, who: &Who, id: &str) -> Result<Case, CaseError> {
    until_not_stale!(submit_once(hub, who, id).await?)
}

async fn submit_once(hub: &Hub, who: &Who, id: &str) -> Result<Option<Case>, CaseError> {
    let held = for_applicant(hub, who, id).await?;
    let mut case = held.value.clone();
    if case.state == CaseState::Submitted {
        return Ok(Some(case)); // sent twice
    }
    editable(&case)?;
    let matter = matter_of(hub, &case)?;
    let look = checklist::look(hub, &case.holder, matter, Some(&case)).await?;
    let mut draft = Draft::new();
    complete(&look, matter, &case)?;
    promise::settle(hub, &mut case, &look, &mut draft);
    if let Some(promise) = case.promise.as_ref().filter(|promise| promise.kept_at.is_none()) {
        if promise.until < hub.clock.today() {
            return Err(CaseError::PromiseOver);
        }
        if let Some(case) = promise::unkept(hub, &case.holder).await? {
            return Err(CaseError::PromiseUnkept { case });
        }
        draft.index(PROMISES_OF_HOLDER, &promise::key(hub, &case.holder, promise.until, &case.id));
    }
    let form = prefill::filled(matter, &case, &look.found).into_iter().map(|filled| {
        let source = filled.source.map(|(identifier, _)| identifier);
        (filled.field.id, FormValue { text: filled.text, source })
    });
    case.form = form.collect();
    case.state = CaseState::Submitted;
    let days = matter.guide.days;
    let days = if days.promised == 0 { days.legal } else { days.promised };
    case.due = Some(promise::working_day(hub, hub.clock.today(), days));
    package::hand_over(hub, Some(who), &mut case, matter, &look, None, &mut draft).await?;
    let saved = save(hub, &held, case, draft).await?;
    if saved.is_some() {
        metrics::counter!("yihao_cases_total", "step" => "submitted").increment(1);
    }
    Ok(saved)
}

/// Names all that is missing, at once.
fn complete(look: &Look, matter: &Matter, case: &Case) -> Result<(), CaseError> {
    let missing: Vec<String> = look
        .items
        .iter()
        .filter(|item| !item.state.is_met())
        .map(|item| item.requirement.id.clone())
        .collect();
    if !missing.is_empty() {
        return Err(CaseError::Missing { requirements: missing });
    }
    let empty: Vec<String> = prefill::filled(matter, case, &look.found)
        .into_iter()
        .filter(|filled| !filled.field.optional && filled.text.trim().is_empty())
        .map(|filled| filled.field.id)
        .collect();
    if !empty.is_empty() {
        return Err(CaseError::FormIncomplete { fields: empty });
    }
    let fields: Vec<String> = case.unconfirmed.iter().cloned().collect();
    if fields.is_empty() { Ok(()) } else { Err(CaseError::FormUnconfirmed { fields }) }
}

/// Withdraws a case that is not decided yet; the grant of the department ends with it. One that is withdrawn already stays as it is.
///
/// # Errors
/// `State` if it is decided.
pub async fn withdraw(hub: &Hub, who: &Who, id: &str) -> Result<Case, CaseError> {
    until_not_stale!(withdraw_once(hub, who, id).await?)
}

async fn withdraw_once(hub: &Hub, who: &Who, id: &str) -> Result<Option<Case>, CaseError> {
    let held = for_applicant(hub, who, id).await?;
    let mut case = held.value.clone();
    match case.state {
        CaseState::Withdrawn => return Ok(Some(case)),
        CaseState::Draft | CaseState::Submitted | CaseState::Supplement | CaseState::Accepted => {}
        state => return Err(CaseError::State { state }),
    }
    let now = hub.clock.now();
    let mut draft = Draft::new();
    promise::lapse(hub, &case, &mut draft);
    if let Some(grant) = &case.grant {
        terms::withdraw(hub, &mut draft, grant).await?;
    }
    if case.package.is_some() {
        outbox::file_withdrawal(&mut draft, &case.department, &case.id, now);
    }
    case.state = CaseState::Withdrawn;
    case.due = None;
    case.steps.push(Step { at: now, by: step_by(who), what: StepKind::Withdrawn, reference: None });
    save(hub, &held, case, draft).await
}

/// What a department does with a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DepartmentStep {
    /// 受理.
    Accept,
    /// 一次性告知: asks for more, all at once.
    Supplement {
        /// What, and why.
        items: Vec<SupplementItem>,
    },
    /// 不予受理.
    Decline {
        /// Why.
        reason: String,
    },
    /// Decides.
    Decide {
        /// For the applicant.
        granted: bool,
        /// Why; may be empty when granted.
        reason: String,
    },
    /// The licence it resulted in is in the repository.
    Result {
        /// The licence.
        licence: LicenceId,
    },
    /// Its system has the package.
    Delivered,
}

/// Takes a step of the deciding department. Sent twice with one reference, it is taken once.
///
/// # Errors
/// `State` if the case does not stand where the step starts; `HeldAlready` if more is asked for that the repository
/// holds; `ReferenceReused`; `ResultNotFitting`.
pub async fn step(
    hub: &Hub,
    who: &Who,
    id: &str,
    step: DepartmentStep,
    reference: Option<&str>,
) -> Result<Case, CaseError> {
    until_not_stale!(step_once(hub, who, id, &step, reference).await?)
}

async fn step_once(
    hub: &Hub,
    who: &Who,
    id: &str,
    step: &DepartmentStep,
    reference: Option<&str>,
) -> Result<Option<Case>, CaseError> {
    let held = seen(hub, who, id).await?;
    if !stand_of(hub, who, &held.value).decides {
        return Err(CaseError::NotPermitted("this step is the deciding department's"));
    }
    let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if reference.is_some_and(|text| !(1..=128).contains(&text.len()) || !printable(text)) {
        return Err(CaseError::Reference);
    }
    let mut case = held.value.clone();
    let what = step.what();
    if let Some(earlier) = reference.and_then(|reference| case.step_of(reference)) {
        // The step of a delivery says no more than that.
        return if earlier.what == what { Ok(Some(case)) } else { Err(CaseError::ReferenceReused) };
    }
    let mut draft = Draft::new();
    use CaseState as S;
    let next = match (case.state, step) {
        (S::Submitted, DepartmentStep::Accept) => S::Accepted,
        (S::Submitted | S::Accepted, DepartmentStep::Supplement { items }) => {
            supplement(hub, who, &mut case, items, &mut draft).await?;
            S::Supplement
        }
        (S::Submitted | S::Supplement, DepartmentStep::Decline { reason }) => {
            check_reason(reason)?;
            S::Declined
        }
        (S::Accepted, DepartmentStep::Decide { granted: true, reason }) => {
            if !reason.is_empty() {
                check_reason(reason)?;
            }
            S::Granted
        }
        (S::Accepted, DepartmentStep::Decide { granted: false, reason }) => {
            check_reason(reason)?;
            S::Refused
        }
        (S::Granted, DepartmentStep::Result { licence }) => {
            if case.result.as_ref() == Some(licence) {
                return Ok(Some(case));
            }
            check_result(hub, &case, licence).await?;
            case.result = Some(licence.clone());
            S::Granted
        }
        (S::Draft, _) => return Err(CaseError::State { state: S::Draft }),
        (state, DepartmentStep::Delivered) => state,
        (state, _) => return Err(CaseError::State { state }),
    };
    if matches!(next, S::Declined | S::Refused) {
        promise::lapse(hub, &case, &mut draft);
        if let Some(grant) = &case.grant {
            terms::withdraw(hub, &mut draft, grant).await?;
        }
    }
    if matches!(next, S::Supplement | S::Declined | S::Granted | S::Refused) {
        case.due = None;
    }
    case.state = next;
    let reference = reference.map(str::to_owned);
    let now = hub.clock.now();
    if matches!(who, Who::Clerk(_)) {
        // Its system did not make the step and has to know of it.
        outbox::file_step(&mut draft, &case.department, &case.id, case.steps.len(), now);
    }
    case.steps.push(Step { at: now, by: step_by(who), what, reference });
    save(hub, &held, case, draft).await
}

impl DepartmentStep {
    fn what(&self) -> StepKind {
        match self.clone() {
            Self::Accept => StepKind::Accepted,
            Self::Supplement { items } => StepKind::SupplementAsked { items },
            Self::Decline { reason } => StepKind::Declined { reason },
            Self::Decide { granted, reason } => StepKind::Decided { granted, reason },
            Self::Result { licence } => StepKind::Resulted { licence },
            Self::Delivered => StepKind::Delivered,
        }
    }
}

/// Asks for more: what is sent back has to come anew, and what the repository holds cannot be asked for. A second time
/// only what was asked for before or came since may be asked for, or what a licence covered and no longer does.
async fn supplement(
    hub: &Hub,
    who: &Who,
    case: &mut Case,
    items: &[SupplementItem],
    draft: &mut Draft,
) -> Result<(), CaseError> {
    let named: BTreeSet<&String> = items.iter().map(|item| &item.requirement).collect();
    if items.is_empty() || named.len() != items.len() {
        return Err(CaseError::NothingNamed);
    }
    let matter = matter_of(hub, case)?;
    let look = checklist::look(hub, &case.holder, matter, Some(case)).await?;
    let look_as_use = look.as_use(hub, who, &case.holder, matter, Some(case.id.clone()))?;
    let fields = matter.guide.forms.iter().flat_map(|form| &form.fields);
    let (mut files, mut asked_about, mut too_late) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for item in items {
        check_reason(&item.why)?;
        let id = &item.requirement;
        let wanted = match item_of(&look, id) {
            Ok(wanted) => Some(wanted),
            Err(_) if fields.clone().any(|field| field.id == *id) => None,
            Err(error) => return Err(error),
        };
        if let Some(error) = wanted.and_then(held_already) {
            hub.store.record_use(look_as_use).await?;
            return Err(error);
        }
        let lost = wanted.is_some_and(|item| !item.state.is_met());
        if !(case.may_be_asked(id) || lost) {
            too_late.push(id.clone());
        }
        case.returned.insert(id.clone());
        match case.provided.remove(id) {
            Some(Provided::Material { material, .. }) => {
                files.insert(material);
            }
            _ if wanted.is_none() => {
                asked_about.insert(id.clone());
            }
            _ => {}
        }
    }
    if !too_late.is_empty() {
        return Err(CaseError::SupplementOnce { requirements: too_late });
    }
    for material in &files {
        let held = records::read::<Material>(&*hub.store, material.as_bytes()).await?;
        let held = held.ok_or(MaterialError::UnknownMaterial)?;
        materials::send_back(draft, &held);
    }
    case.sent_back.extend(files);
    case.unconfirmed = asked_about;
    case.renewed.clear();
    draft.record_use(look_as_use);
    Ok(())
}

fn check_reason(reason: &str) -> Result<(), CaseError> {
    let fits = !reason.trim().is_empty()
        && reason.chars().count() <= 500
        && !reason.chars().any(|letter| letter.is_control() && letter != '\n');
    if fits { Ok(()) } else { Err(CaseError::Reason) }
}

async fn check_result(hub: &Hub, case: &Case, licence: &LicenceId) -> Result<(), CaseError> {
    let stored = hub.store.licence(licence).await?.ok_or(CaseError::ResultNotFitting)?;
    let verdict = Judge::new(hub).licence(&stored, face(&stored.document).as_ref()).await?;
    let wanted = matter_of(hub, case)?.guide.result;
    let fits = stored.holders.contains(&hub.index_key.token(&case.holder))
        && wanted.is_none_or(|wanted| wanted == stored.licence_type)
        && verdict.result != Outcome::Untrusted;
    if fits { Ok(()) } else { Err(CaseError::ResultNotFitting) }
}

/// The signed package last handed over, as it was signed. The look is on the access log before the answer.
///
/// # Errors
/// `NoPackage` before submission; `UnknownCase` for others.
pub async fn package(hub: &Hub, who: &Who, id: &str) -> Result<Bytes, CaseError> {
    let held = case(hub, who, id).await?;
    let digest = held.value.package.ok_or(CaseError::NoPackage)?;
    hub.blobs.get(&digest).await?.ok_or(CaseError::PackageGone)
}

/// The cases of a holder, newest first.
///
/// # Errors
/// `NotPermitted` for others than who acts for the holder.
pub async fn of_holder(hub: &Hub, who: &Who, limit: usize) -> Result<Vec<Case>, CaseError> {
    let Who::Holder { person, holder } = who else {
        return Err(CaseError::NotPermitted("a holder's cases are for the holder"));
    };
    if !person.acts_for(holder) {
        return Err(CaseError::NotPermitted("you do not act for this holder"));
    }
    let token = hub.index_key.token(holder);
    let keys = records::keys(&*hub.store, CASES_OF_HOLDER, token.as_bytes(), None, limit).await?;
    let mut cases = Vec::with_capacity(keys.len());
    for key in keys {
        if let Some(held) = records::read::<Case>(&*hub.store, key.get(8..).unwrap_or(&[])).await? {
            cases.push(held.value);
        }
    }
    Ok(cases)
}

/// The cases that a clerk or a department works on, newest first: those opened at the clerk's node or below it, and those
/// submitted to the department.
///
/// # Errors
/// `NotPermitted` for holders.
pub async fn queue(
    hub: &Hub,
    who: &Who,
    state: Option<CaseState>,
    limit: usize,
) -> Result<Vec<Case>, CaseError> {
    let departments: BTreeSet<CreditCode> = match who {
        Who::Holder { .. } => {
            return Err(CaseError::NotPermitted("the queue is for clerks and departments"));
        }
        Who::Clerk(clerk) => {
            let below = hub
                .organisations
                .all()
                .filter(|node| hub.organisations.is_within(&node.code, &clerk.node));
            below.filter_map(|node| hub.organisations.department_of(&node.code)).collect()
        }
        Who::Department(caller) => [caller.department].into(),
    };
    let mut cases = BTreeMap::new();
    for department in departments {
        let mut after: Option<Vec<u8>> = None;
        let (mut looked, mut fitting) = (0, 0);
        'department: while looked < MOST_IN_QUEUE {
            let prefix = department.as_str().as_bytes();
            let page =
                records::keys(&*hub.store, CASES_OF_DEPARTMENT, prefix, after.as_deref(), 200)
                    .await?;
            let Some(last) = page.last() else { break };
            after = Some([prefix, last].concat());
            for key in page {
                looked += 1;
                let id = key.get(8..).unwrap_or(&[]);
                let Some(held) = records::read::<Case>(&*hub.store, id).await? else { continue };
                let case = held.value;
                if may_see(hub, who, &case).is_ok() && state.is_none_or(|state| state == case.state)
                {
                    cases.insert(key, case);
                    fitting += 1;
                    if fitting == limit {
                        break 'department;
                    }
                }
            }
        }
    }
    Ok(cases.into_values().take(limit).collect())
}

/// In which way a person stands to a case: for its holder, or as the clerk the person is.
///
/// # Errors
/// `UnknownCase` if in no way.
pub async fn stand(hub: &Hub, person: &crate::login::Person, id: &str) -> Result<Who, CaseError> {
    let held = read(hub, id).await?;
    let holder = Who::Holder { person: person.clone(), holder: held.value.holder.clone() };
    let clerk = Clerk::of(hub, person).map(Who::Clerk);
    [Some(holder), clerk]
        .into_iter()
        .flatten()
        .find(|who| may_see(hub, who, &held.value).is_ok())
        .ok_or(CaseError::UnknownCase)
}

/// Who may run this matter for this holder.
pub(super) fn may_apply(
    hub: &Hub,
    who: &Who,
    holder: &HolderId,
    matter: &Matter,
) -> Result<(), CaseError> {
    match who {
        Who::Holder { person, .. } if person.acts_for(holder) => {}
        Who::Holder { .. } => {
            return Err(CaseError::NotPermitted("you do not act for this holder"));
        }
        Who::Clerk(clerk) => taken_at(hub, clerk, matter)?,
        Who::Department(_) => {
            return Err(CaseError::NotPermitted("cases are opened by applicants and at windows"));
        }
    }
    let guide = &matter.guide;
    if !matter.is_in_force(hub.clock.today()) || !matter.is_applied_for() {
        return Err(CaseError::MatterNotRun);
    }
    let kind = match holder.kind().is_person() {
        true => ApplicantKind::Person,
        false => ApplicantKind::Organisation,
    };
    if !guide.applicants.is_empty() && !guide.applicants.contains(&kind) {
        return Err(CaseError::ApplicantKind);
    }
    Ok(())
}

/// Any place of the district takes any matter of a department of the district, at the levels that the guide names.
fn taken_at(hub: &Hub, clerk: &Clerk, matter: &Matter) -> Result<(), CaseError> {
    let tree = &hub.organisations;
    let district = tree.district_of(&clerk.node).ok_or(CaseError::NotTakenHere)?;
    let of_district = tree.all().any(|node| {
        node.department == Some(matter.department)
            && tree.district_of(&node.code).is_some_and(|its| its.code == district.code)
    });
    let level = tree.path(&clerk.node).find_map(|node| match node.kind {
        NodeKind::District => Some(Level::District),
        NodeKind::Street => Some(Level::Street),
        NodeKind::Village => Some(Level::Village),
        NodeKind::Department | NodeKind::Window => None,
    });
    let levels = &matter.guide.taken_at;
    if of_district && level.is_some_and(|level| levels.is_empty() || levels.contains(&level)) {
        Ok(())
    } else {
        Err(CaseError::NotTakenHere)
    }
}

/// How somebody stands to a case.
#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    /// On the applicant's side.
    applicant: bool,
    /// Sees it for the deciding department.
    department: bool,
    /// Decides for the department.
    decides: bool,
}

fn stand_of(hub: &Hub, who: &Who, case: &Case) -> Stand {
    let submitted = case.package.is_some();
    match who {
        Who::Holder { person, .. } => {
            Stand { applicant: person.acts_for(&case.holder), ..Stand::default() }
        }
        Who::Clerk(clerk) => {
            let tree = &hub.organisations;
            let near = |window: &String| tree.is_within(window, &clerk.node);
            let desk = tree.path(&clerk.node).find(|node| node.kind == NodeKind::Department);
            let department = submitted
                && desk.is_some_and(|desk| tree.department_of(&desk.code) == Some(case.department));
            // Nobody decides their own case.
            let own = clerk.person.account.holders.contains(&case.holder);
            let decides = department
                && !own
                && tree.node(&clerk.node).is_some_and(|node| node.kind == NodeKind::Department);
            Stand { applicant: case.window.as_ref().is_some_and(near), department, decides }
        }
        Who::Department(caller) => {
            let department = submitted && caller.department == case.department;
            Stand { applicant: false, department, decides: department }
        }
    }
}

/// Whether somebody sees a case as the deciding department, and so may have its grant.
#[must_use]
pub fn is_for_department(hub: &Hub, who: &Who, case: &Case) -> bool {
    stand_of(hub, who, case).department
}

/// Whether somebody sees a case.
pub(super) fn may_see(hub: &Hub, who: &Who, case: &Case) -> Result<(), CaseError> {
    let stand = stand_of(hub, who, case);
    (stand.applicant || stand.department).then_some(()).ok_or(CaseError::UnknownCase)
}

async fn read(hub: &Hub, id: &str) -> Result<Held<Case>, CaseError> {
    // What is no id is not looked up: keys have a greatest length.
    if id.len() > 64 {
        return Err(CaseError::UnknownCase);
    }
    records::read(&*hub.store, id.as_bytes()).await?.ok_or(CaseError::UnknownCase)
}

async fn seen(hub: &Hub, who: &Who, id: &str) -> Result<Held<Case>, CaseError> {
    let held = read(hub, id).await?;
    may_see(hub, who, &held.value)?;
    Ok(held)
}

/// The case, for a step of the applicant's side.
async fn for_applicant(hub: &Hub, who: &Who, id: &str) -> Result<Held<Case>, CaseError> {
    let held = seen(hub, who, id).await?;
    if !stand_of(hub, who, &held.value).applicant {
        return Err(CaseError::NotPermitted("this step is the applicant's"));
    }
    Ok(held)
}

fn editable(case: &Case) -> Result<(), CaseError> {
    if case.is_editable() { Ok(()) } else { Err(CaseError::State { state: case.state }) }
}

/// Writes the changed case with what belongs to it; `None` if somebody else was faster.
async fn save(
    hub: &Hub,
    held: &Held<Case>,
    case: Case,
    mut draft: Draft,
) -> Result<Option<Case>, CaseError> {
    draft.replace(held, &case);
    Ok(draft.commit(&*hub.store).await?.is_ok().then_some(case))
}

/// The version of the matter that a case keeps.
///
/// # Errors
/// `UnknownMatter` if it is gone.
pub fn matter_of<'a>(hub: &'a Hub, case: &Case) -> Result<&'a Matter, CaseError> {
    hub.matters.version(&case.matter, case.version).ok_or(CaseError::UnknownMatter)
}

/// The matter as it is offered today.
///
/// # Errors
/// `UnknownMatter`.
pub fn current_matter<'a>(hub: &'a Hub, code: &MatterCode) -> Result<&'a Matter, CaseError> {
    hub.matters
        .current(code, hub.clock.today())
        .or_else(|| hub.matters.get(code))
        .ok_or(CaseError::UnknownMatter)
}

/// Who runs the hub: the caller in the access log when no department looks itself.
pub(super) struct ServiceSeal {
    pub(super) organisation: CreditCode,
    pub(super) certificate: Sha256Digest,
}

pub(super) fn service(hub: &Hub) -> Result<ServiceSeal, CaseError> {
    let service = hub.settings().service.as_ref().ok_or(CaseError::NoService)?;
    Ok(ServiceSeal {
        organisation: service.organisation,
        certificate: super::uses::own_certificate(hub),
    })
}

pub(super) fn step_by(who: &Who) -> StepBy {
    match who {
        Who::Holder { .. } => StepBy::Holder,
        Who::Clerk(clerk) => {
            StepBy::Clerk { node: clerk.node.clone(), account: clerk.operator().account }
        }
        Who::Department(_) => StepBy::Department,
    }
}

/// The day and ten random characters without those that are easily confused.
fn new_id(hub: &Hub) -> Result<String, CaseError> {
    const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let mut random = [0_u8; 10];
    SystemRandom::new().fill(&mut random).map_err(|_| StoreError::Closed)?;
    let letters: String =
        random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    Ok(format!("{}-{letters}", hub.clock.today().strftime("%Y%m%d")))
}

fn key_of_holder(hub: &Hub, case: &Case) -> Vec<u8> {
    let token = hub.index_key.token(&case.holder);
    [token.as_bytes().as_slice(), &newest_first(case.opened_at), case.id.as_bytes()].concat()
}

pub(super) fn key_of_department(department: &CreditCode, case: &Case) -> Vec<u8> {
    let department = department.as_str().as_bytes();
    [department, &newest_first(case.opened_at), case.id.as_bytes()].concat()
}
