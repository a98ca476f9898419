//! Running a case: opened, filled in, handed to the department, decided. Each step says who may take it, and from where.
//!
//! The **applicant's side** is whoever acts for the holder, and the clerks of the window where the case was opened (and of
//! the places above it). The **department's side** is the deciding department: its system, and clerks at a node of
//! the department. It sees a case once that was submitted. For everybody else a case is not there.

use std::collections::{BTreeMap, BTreeSet};

use indexes::{BlobError, Shown, StoreError};
use licence::{
    ApplicantKind, CreditCode, HolderId, Level, LicenceId, Matter, MatterCode, Sha256Digest,
};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    Clerk, Who,
    case::{
        CASES_OF_DEPARTMENT, CASES_OF_HOLDER, Case, CaseState, Provided, Step, StepBy, StepKind,
    },
    checklist::{self, use_of},
    prefill::{self, FilledField},
};
use crate::{
    Hub,
    login::NodeKind,
    records::{self, Draft, Held, newest_first},
};

/// How often a step is tried again when somebody else changed the case meanwhile.
pub(super) const ATTEMPTS: usize = 5;
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
            Self::NotPermitted(_) => "case_not_permitted",
            Self::State { .. } => "case_state",
            Self::UnknownField => "unknown_form_field",
            Self::FieldTooLong { .. } => "form_field_too_long",
            Self::FieldCharacters { .. } => "form_field_characters",
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
    let listed = hub.matters.get(matter).ok_or(CaseError::UnknownMatter)?;
    let matter = hub.matters.current(matter, hub.clock.today()).unwrap_or(listed);
    may_apply(hub, who, holder, matter)?;
    service(hub)?;
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
    Ok(draft.commit(&*hub.store).await?.is_ok().then_some(case))
}

/// A case, for whoever may see it. The look at its licences is on the access log before the answer.
///
/// # Errors
/// `UnknownCase` also when it is somebody else's.
pub async fn case(hub: &Hub, who: &Who, id: &str) -> Result<Held<Case>, CaseError> {
    let held = seen(hub, who, id).await?;
    let case = &held.value;
    let shown = licences_in(case);
    if !shown.is_empty() {
        let token = hub.index_key.token(&case.holder);
        let new = use_of(hub, who, token, case.matter.clone(), Some(case.id.clone()), shown)?;
        hub.store.record_use(new).await?;
    }
    Ok(held)
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
    until_not_stale!(fill_once(hub, who, id, values).await?)
}

async fn fill_once(
    hub: &Hub,
    who: &Who,
    id: &str,
    values: &BTreeMap<String, String>,
) -> Result<Option<Case>, CaseError> {
    let held = for_applicant(hub, who, id).await?;
    editable(&held.value)?;
    let mut case = held.value.clone();
    let matter = matter_of(hub, &case)?;
    let found = checklist::find(hub, &case.holder, matter).await?;
    case.form.extend(prefill::written(matter, &found, values)?);
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
    let today = hub.clock.today();
    let in_force = guide.from.is_none_or(|from| from <= today)
        && guide.until.is_none_or(|until| today <= until);
    if !in_force || (guide.requirements.is_empty() && guide.forms.is_empty()) {
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
            let decides = department
                && tree.node(&clerk.node).is_some_and(|node| node.kind == NodeKind::Department);
            Stand { applicant: case.window.as_ref().is_some_and(near), department, decides }
        }
        Who::Department(caller) => {
            let department = submitted && caller.department == case.department;
            Stand { applicant: false, department, decides: department }
        }
    }
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

/// Who runs the hub: the caller in the access log when no department looks itself.
pub(super) struct ServiceSeal {
    pub(super) organisation: CreditCode,
    pub(super) certificate: Sha256Digest,
}

pub(super) fn service(hub: &Hub) -> Result<ServiceSeal, CaseError> {
    let service = hub.settings().service.as_ref().ok_or(CaseError::NoService)?;
    let signer = hub.signer.as_ref().ok_or(CaseError::NoService)?;
    Ok(ServiceSeal {
        organisation: service.organisation,
        certificate: signer.certificate().sha256(),
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

fn key_of_department(department: &CreditCode, case: &Case) -> Vec<u8> {
    let department = department.as_str().as_bytes();
    [department, &newest_first(case.opened_at), case.id.as_bytes()].concat()
}
