//! Consents 授权: a department asks, the holder sees who, which licences and fields, why and until when, and says yes, no
//! or less; what was given can be withdrawn.
//!
//! A consent that was given opens a grant; further pulls may name it as their basis. All grants that rest on it end with
//! it: the consent is read at every opening ([`super::terms`]).

use std::fmt;

use indexes::{
    Basis, BasisKind, Collection, Grant, HolderToken, NewGrant, NewUse, Operator, Shown,
    StoreError, UseAct,
};
use jiff::{Timestamp, ToSpan, civil::Date};
use licence::{CreditCode, HolderId, LicenceTypeCode, MatterCode, Sha256Digest};
use serde::{Deserialize, Serialize};

use super::{
    Who, reach,
    terms::{self, GrantTerms, end_of},
};
use crate::{
    Hub,
    judge::{Judge, face},
    pull::{self, Asker, MOST_LICENCES, PullError},
    records::{self, Draft, Held, Kept, newest_first, random_name},
};

/// How often a change is tried when others are faster.
const ATTEMPTS: usize = 5;
/// Asks of one department to one holder that wait for an answer, at most.
const MOST_WAITING: usize = 20;
/// Keys of an index that are read at once.
const PAGE: usize = 200;
/// Newest asks that are looked through, for a clerk's list or for those that wait, at most.
const MOST_LOOKED: usize = 5_000;
/// Days from asking to the last day of use, at most.
const LONGEST_DAYS: i64 = 366;

/// Licence types, each with the face fields; no field named: the whole licence with its files.
pub type Parts = Vec<(LicenceTypeCode, Vec<String>)>;

/// What a department asks a holder for.
#[derive(Clone)]
pub struct Asked {
    /// Whom.
    pub holder: HolderId,
    /// Which licences, and which of their fields.
    pub licences: Parts,
    /// What is being handled.
    pub matter: MatterCode,
    /// The case, if one is open.
    pub case: Option<String>,
    /// 申请事由.
    pub reason: String,
    /// The last day of use.
    pub until: Date,
}

/// A holder's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As asked.
    Yes,
    /// Not at all.
    No,
    /// Less than asked.
    Less {
        /// Types and fields, none that was not asked for.
        licences: Parts,
        /// The last day, not after the one asked for.
        until: Date,
    },
}

/// An ask and what became of it. `Debug` shows no holder and no reason.
#[derive(Clone, Serialize, Deserialize)]
pub struct Consent {
    /// `r_…`
    pub id: String,
    /// Who is asked.
    pub holder: HolderId,
    /// The same, as keys name them.
    pub token: HolderToken,
    /// Who asks.
    pub department: CreditCode,
    /// The certificate it came with.
    pub certificate: Sha256Digest,
    /// The clerk; for the access log, never shown to the holder.
    pub operator: Option<Operator>,
    /// What is being handled.
    pub matter: MatterCode,
    /// The case there.
    pub case: Option<String>,
    /// What was asked for.
    pub licences: Parts,
    /// 申请事由.
    pub reason: String,
    /// The last day that was asked for; an ask that is not answered lapses with it.
    pub until: Date,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When it was answered.
    pub decided_at: Option<Timestamp>,
    /// What was given; `None` before the answer, and after a no.
    pub given: Option<Given>,
    /// When it was withdrawn: by the holder, or by the department that asked.
    pub withdrawn_at: Option<Timestamp>,
}

/// What a holder gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Types and fields.
    pub licences: Parts,
    /// The last day.
    pub until: Date,
    /// The grant that was opened with the answer.
    pub grant: String,
}

impl Kept for Consent {
    const COLLECTION: Collection = Collection::new("consents");
}

/// Consents of a holder: holder token 16 · newest first 8 · id.
pub const CONSENTS_OF_HOLDER: Collection = Collection::new("consents_of_holder");
/// Consents a department asked for: credit code 18 · newest first 8 · id.
pub const CONSENTS_OF_DEPARTMENT: Collection = Collection::new("consents_of_department");

impl fmt::Debug for Consent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Consent({}, asked at {})", self.id, self.asked_at)
    }
}

/// Where a consent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// The holder has not answered.
    Waiting,
    /// Given, and in force.
    Granted,
    /// The holder said no.
    Refused,
    /// Withdrawn.
    Withdrawn,
    /// Its time passed without an answer.
    Lapsed,
    /// Its time is over.
    Ended,
}

impl ConsentState {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Lapsed => "lapsed",
            Self::Ended => "ended",
        }
    }
}

impl Consent {
    /// Where it stands at a moment.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ConsentState {
        match (&self.given, self.decided_at) {
            _ if self.withdrawn_at.is_some() => ConsentState::Withdrawn,
            (Some(given), _) if end_of(given.until) <= now => ConsentState::Ended,
            (Some(_), _) => ConsentState::Granted,
            (None, Some(_)) => ConsentState::Refused,
            (None, None) if end_of(self.until) <= now => ConsentState::Lapsed,
            (None, None) => ConsentState::Waiting,
        }
    }

    /// What a grant under it is bound to.
    #[must_use]
    pub fn terms(&self, licences: &Parts) -> GrantTerms {
        let limited = licences.iter().filter(|(_, fields)| !fields.is_empty());
        GrantTerms {
            fields: limited.cloned().collect(),
            consent: Some(self.id.clone()),
            ..GrantTerms::default()
        }
    }
}

/// Why nothing was asked, answered or withdrawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// Only a department asks.
    #[error("only a department's system or clerk can ask a holder")]
    NotADepartment,
    /// Only the holder answers.
    #[error("only the holder, or who acts for the holder, can answer")]
    NotTheHolder,
    /// None with this id, or somebody else's.
    #[error("there is no such consent")]
    Unknown,
    /// The purpose does not hold.
    #[error(transparent)]
    Purpose(#[from] PullError),
    /// One type twice.
    #[error("licence type {0} is named twice")]
    TypeTwice(LicenceTypeCode),
    /// The type has no such face field.
    #[error("licence type {0} does not have one of the fields named")]
    FieldNotOfType(LicenceTypeCode),
    /// The last day is past, or too far away.
    #[error("the last day is today or later, at most 366 days from today")]
    Until,
    /// More than was asked for.
    #[error("an answer can only give what was asked for, or less")]
    MoreThanAsked,
    /// The holder has many asks of this department to answer.
    #[error(
        "{MOST_WAITING} asks of this department wait for this holder's answer: take some back, or wait"
    )]
    TooManyWaiting,
    /// Less, but nothing is left.
    #[error("the answer gives nothing: say no instead")]
    NothingGiven,
    /// It was answered.
    #[error("this was answered already; a consent that was given can be withdrawn")]
    Decided,
    /// Its time passed.
    #[error("the time of this ask has passed: the department has to ask again")]
    Lapsed,
    /// It was withdrawn.
    #[error("this was withdrawn")]
    Withdrawn,
    /// It is over: there is nothing to withdraw.
    #[error("nothing is in force that could be withdrawn")]
    NotInForce,
    /// The grant does not rest on a consent.
    #[error(
        "this grant does not rest on a consent: a case is withdrawn with the case, a duty not at all"
    )]
    NotByConsent,
    /// Others were faster, again and again.
    #[error("others are changing the same consent: try again")]
    Busy,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl ConsentError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotADepartment => "department_required",
            Self::NotTheHolder => "holder_required",
            Self::Unknown => "unknown_consent",
            Self::Purpose(error) => error.code(),
            Self::TypeTwice(_) => "type_named_twice",
            Self::FieldNotOfType(_) => "field_not_of_type",
            Self::Until => "consent_until",
            Self::TooManyWaiting => "too_many_asks",
            Self::MoreThanAsked => "more_than_asked",
            Self::NothingGiven => "nothing_given",
            Self::Decided => "consent_decided",
            Self::Lapsed => "consent_lapsed",
            Self::Withdrawn => "consent_withdrawn",
            Self::NotInForce => "consent_not_in_force",
            Self::NotByConsent => "grant_not_by_consent",
            Self::Busy => "consent_busy",
            Self::Store(error) => error.code(),
        }
    }
}

/// A department asks a holder. Whether the holder has such licences is not looked up: asking shows nothing.
///
/// # Errors
/// `NotADepartment`; the purpose, as for a pull on the basis `consent`; a field or day that cannot be asked for;
/// `TooManyWaiting`.
pub async fn ask(hub: &Hub, who: &Who, asked: &Asked) -> Result<Consent, ConsentError> {
    let asker = Asker::of(hub, who).ok_or(ConsentError::NotADepartment)?;
    let types: Vec<LicenceTypeCode> = asked.licences.iter().map(|(one, _)| *one).collect();
    let purpose = (&asked.matter, BasisKind::Consent, asked.reason.as_str());
    pull::check_purpose(hub, &asker.department, &types, purpose)?;
    for (position, licence_type) in types.iter().enumerate() {
        if types[..position].contains(licence_type) {
            return Err(ConsentError::TypeTwice(*licence_type));
        }
    }
    check_fields(hub, &asked.licences)?;
    let now = hub.clock.now();
    let today = hub.clock.today();
    let furthest = today.checked_add(LONGEST_DAYS.days()).unwrap_or(Date::MAX);
    if asked.until < today || asked.until > furthest {
        return Err(ConsentError::Until);
    }
    let token = hub.index_key.token(&asked.holder);
    check_waiting(hub, &token, &asker.department, now).await?;
    let consent = Consent {
        id: random_name("r_")?,
        holder: asked.holder.clone(),
        token,
        department: asker.department,
        certificate: asker.certificate,
        operator: asker.operator,
        matter: asked.matter.clone(),
        case: asked.case.clone(),
        licences: asked.licences.clone(),
        reason: asked.reason.clone(),
        until: asked.until,
        asked_at: now,
        decided_at: None,
        given: None,
        withdrawn_at: None,
    };
    let mut draft = Draft::new();
    draft.create(consent.id.as_bytes(), &consent);
    let place = [&newest_first(now)[..], consent.id.as_bytes()].concat();
    draft.index(CONSENTS_OF_HOLDER, &[consent.token.as_bytes(), &place[..]].concat());
    let department = consent.department.as_str().as_bytes();
    draft.index(CONSENTS_OF_DEPARTMENT, &[department, &place[..]].concat());
    draft.commit(&*hub.store).await?.map_err(|_| ConsentError::Busy)?;
    metrics::counter!("yihao_consents_asked_total").increment(1);
    Ok(consent)
}

/// The holder answers. A yes, or less, opens the grant: the entry of the access log and the grant are durable with
/// the answer.
///
/// # Errors
/// `Unknown` for whoever is not the holder; `Decided`, `Lapsed`, `Withdrawn`; more than was asked for.
pub async fn decide(
    hub: &Hub,
    who: &Who,
    id: &str,
    answer: &Answer,
) -> Result<Consent, ConsentError> {
    for _ in 0..ATTEMPTS {
        let held = of_this_holder(hub, who, id).await?;
        let mut consent = held.value.clone();
        let now = hub.clock.now();
        match consent.state(now) {
            ConsentState::Waiting => {}
            ConsentState::Withdrawn => return Err(ConsentError::Withdrawn),
            ConsentState::Lapsed => return Err(ConsentError::Lapsed),
            ConsentState::Granted | ConsentState::Refused | ConsentState::Ended => {
                return Err(ConsentError::Decided);
            }
        }
        let given = match answer {
            Answer::No => None,
            Answer::Yes => Some((consent.licences.clone(), consent.until)),
            Answer::Less { licences, until } => {
                check_less(&consent, licences, *until, now)?;
                check_fields(hub, licences)?;
                Some((licences.clone(), *until))
            }
        };
        let mut draft = Draft::new();
        consent.decided_at = Some(now);
        if let Some((licences, until)) = given {
            let grant = random_name("g_")?;
            draft.record_use(opening(hub, &consent, &licences, until, &grant).await?);
            draft.create(grant.as_bytes(), &consent.terms(&licences));
            consent.given = Some(Given { licences, until, grant });
        }
        draft.replace(&held, &consent);
        if draft.commit(&*hub.store).await?.is_ok() {
            metrics::counter!("yihao_consents_answered_total").increment(1);
            return Ok(consent);
        }
    }
    Err(ConsentError::Busy)
}

/// Withdraws: the holder what was given, the department what it asked. The next opening under it is refused.
///
/// # Errors
/// `Unknown`, `NotInForce`.
pub async fn withdraw(hub: &Hub, who: &Who, id: &str) -> Result<Consent, ConsentError> {
    for _ in 0..ATTEMPTS {
        let held = read(hub, who, id).await?;
        let mut consent = held.value.clone();
        let now = hub.clock.now();
        match consent.state(now) {
            ConsentState::Granted => {}
            // A holder who has not answered says no.
            ConsentState::Waiting if who.department().is_some() => {}
            ConsentState::Withdrawn => return Ok(consent),
            _ => return Err(ConsentError::NotInForce),
        }
        consent.withdrawn_at = Some(now);
        let mut draft = Draft::new();
        draft.replace(&held, &consent);
        if draft.commit(&*hub.store).await?.is_ok() {
            metrics::counter!("yihao_consents_withdrawn_total").increment(1);
            return Ok(consent);
        }
    }
    Err(ConsentError::Busy)
}

/// Withdraws a grant: one that rests on a consent with its consent, by either side; any other is given back by the
/// department that has it.
///
/// # Errors
/// `Unknown` for whoever has no part in it; `NotByConsent` for a holder.
pub async fn withdraw_grant(hub: &Hub, who: &Who, id: &str) -> Result<(), ConsentError> {
    for _ in 0..ATTEMPTS {
        let grant = grant_of(hub, who, id).await?;
        if let Some(consent) = terms::of(hub, &grant.id).await?.consent {
            return withdraw(hub, who, &consent).await.map(drop);
        }
        if who.department().is_none() {
            return Err(ConsentError::NotByConsent);
        }
        let mut draft = Draft::new();
        terms::withdraw(hub, &mut draft, &grant.id).await?;
        if draft.commit(&*hub.store).await?.is_ok() {
            return Ok(());
        }
    }
    Err(ConsentError::Busy)
}

/// A grant, for the department that has it (its clerks as far as they reach), and for the holder as soon as they are told of its uses.
///
/// # Errors
/// `GrantOfAnother` for another department; `UnknownGrant` for everybody else, and for clerks who do not reach it.
pub async fn grant_of(hub: &Hub, who: &Who, id: &str) -> Result<Grant, ConsentError> {
    let grant = hub.store.grant(id).await?.ok_or(PullError::UnknownGrant)?;
    if let Some(department) = who.department() {
        if grant.opened_by.caller != department {
            return Err(PullError::GrantOfAnother.into());
        }
        return match who {
            Who::Clerk(clerk) if !reach::grant(hub, clerk, &grant).await? => {
                Err(PullError::UnknownGrant.into())
            }
            _ => Ok(grant),
        };
    }
    let token = who.acting_holder().map(|holder| hub.index_key.token(holder));
    let told = terms::of(hub, id).await?.disclosed_at(grant.opened_by.at) <= hub.clock.now();
    match token.is_some() && token == grant.opened_by.holder && told {
        true => Ok(grant),
        false => Err(PullError::UnknownGrant.into()),
    }
}

/// A consent, for the holder who is asked and the department that asks.
///
/// # Errors
/// `Unknown`: not there, or somebody else's.
pub async fn consent(hub: &Hub, who: &Who, id: &str) -> Result<Consent, ConsentError> {
    Ok(read(hub, who, id).await?.value)
}

/// What a holder was asked, newest first.
///
/// # Errors
/// `NotTheHolder`; the store's.
pub async fn of_holder(hub: &Hub, who: &Who, limit: usize) -> Result<Vec<Consent>, ConsentError> {
    let holder = who.acting_holder().ok_or(ConsentError::NotTheHolder)?;
    let token = hub.index_key.token(holder);
    listed(hub, CONSENTS_OF_HOLDER, token.as_bytes(), limit).await
}

/// What a department asked, newest first; a clerk sees of it as much as they reach.
///
/// # Errors
/// `NotADepartment`; the store's.
pub async fn of_department(
    hub: &Hub,
    who: &Who,
    limit: usize,
) -> Result<Vec<Consent>, ConsentError> {
    let department = who.department().ok_or(ConsentError::NotADepartment)?;
    let prefix = department.as_str().as_bytes();
    let clerk = match who {
        Who::Clerk(clerk) if !clerk.is_of_department(hub) => clerk,
        _ => return listed(hub, CONSENTS_OF_DEPARTMENT, prefix, limit).await,
    };
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    for _ in 0..MOST_LOOKED / PAGE {
        let keys =
            records::keys(&*hub.store, CONSENTS_OF_DEPARTMENT, prefix, after.as_deref(), PAGE)
                .await?;
        let Some(last) = keys.last() else { break };
        after = Some([prefix, last].concat());
        for consent in consents_at(hub, &keys).await? {
            if reach::consent(hub, clerk, &consent) {
                found.push(consent);
            }
            if found.len() >= limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

async fn listed(
    hub: &Hub,
    index: Collection,
    prefix: &[u8],
    limit: usize,
) -> Result<Vec<Consent>, ConsentError> {
    let keys = records::keys(&*hub.store, index, prefix, None, limit).await?;
    Ok(consents_at(hub, &keys).await?)
}

async fn consents_at(hub: &Hub, keys: &[Vec<u8>]) -> Result<Vec<Consent>, StoreError> {
    let mut found = Vec::new();
    for key in keys {
        let id = key.get(8..).unwrap_or_default();
        found.extend(records::read::<Consent>(&*hub.store, id).await?.map(|held| held.value));
    }
    Ok(found)
}

/// Nobody buries a holder in asks: so many of one department wait for an answer, and no more. Asks that come at the
/// same moment may pass together.
async fn check_waiting(
    hub: &Hub,
    token: &HolderToken,
    department: &CreditCode,
    now: Timestamp,
) -> Result<(), ConsentError> {
    let prefix = token.as_bytes();
    let mut after: Option<Vec<u8>> = None;
    let mut waiting = 0;
    for _ in 0..MOST_LOOKED / PAGE {
        let keys =
            records::keys(&*hub.store, CONSENTS_OF_HOLDER, prefix, after.as_deref(), PAGE).await?;
        let Some(last) = keys.last() else { break };
        after = Some([&prefix[..], last].concat());
        for consent in consents_at(hub, &keys).await? {
            let counts =
                consent.department == *department && consent.state(now) == ConsentState::Waiting;
            waiting += usize::from(counts);
        }
        if waiting >= MOST_WAITING {
            return Err(ConsentError::TooManyWaiting);
        }
    }
    Ok(())
}

/// The given consent that a pull names as its basis, if it allows it now: of this holder, department and matter.
///
/// # Errors
/// The store's.
pub(crate) async fn in_force(
    hub: &Hub,
    id: &str,
    department: &CreditCode,
    holder: &HolderId,
    matter: &MatterCode,
) -> Result<Option<(Consent, Given)>, StoreError> {
    let Some(held) = records::read::<Consent>(&*hub.store, id.as_bytes()).await? else {
        return Ok(None);
    };
    let consent = held.value;
    let fits = consent.department == *department
        && consent.holder == *holder
        && consent.matter == *matter
        && consent.state(hub.clock.now()) == ConsentState::Granted;
    Ok(consent.given.clone().filter(|_| fits).map(|given| (consent, given)))
}

async fn read(hub: &Hub, who: &Who, id: &str) -> Result<Held<Consent>, ConsentError> {
    let held = records::read::<Consent>(&*hub.store, id.as_bytes()).await?;
    let mine = |consent: &Consent| match who {
        Who::Holder { .. } => who.acting_holder() == Some(&consent.holder),
        Who::Clerk(clerk) => reach::consent(hub, clerk, consent),
        Who::Department(caller) => caller.department == consent.department,
    };
    held.filter(|held| mine(&held.value)).ok_or(ConsentError::Unknown)
}

async fn of_this_holder(hub: &Hub, who: &Who, id: &str) -> Result<Held<Consent>, ConsentError> {
    let held = read(hub, who, id).await?;
    match who {
        Who::Holder { .. } => Ok(held),
        _ => Err(ConsentError::NotTheHolder),
    }
}

fn check_fields(hub: &Hub, licences: &Parts) -> Result<(), ConsentError> {
    for (licence_type, fields) in licences {
        let entry =
            hub.catalogue.entry(licence_type).ok_or(PullError::UnknownType(*licence_type))?;
        let known = |field: &String| entry.fields["properties"].get(field).is_some();
        if !fields.iter().all(known) {
            return Err(ConsentError::FieldNotOfType(*licence_type));
        }
    }
    Ok(())
}

/// Nothing may be given that was not asked for, and something must be.
fn check_less(
    consent: &Consent,
    licences: &Parts,
    until: Date,
    now: Timestamp,
) -> Result<(), ConsentError> {
    if licences.is_empty() {
        return Err(ConsentError::NothingGiven);
    }
    for (position, (licence_type, fields)) in licences.iter().enumerate() {
        if licences[..position].iter().any(|(before, _)| before == licence_type) {
            return Err(ConsentError::TypeTwice(*licence_type));
        }
        let asked = consent.licences.iter().find(|(asked, _)| asked == licence_type);
        let within = asked.is_some_and(|(_, asked)| {
            asked.is_empty()
                || (!fields.is_empty() && fields.iter().all(|field| asked.contains(field)))
        });
        if !within {
            return Err(ConsentError::MoreThanAsked);
        }
    }
    if until > consent.until {
        return Err(ConsentError::MoreThanAsked);
    }
    if end_of(until) <= now {
        return Err(ConsentError::Until);
    }
    Ok(())
}

/// The use with which a given consent opens its grant.
async fn opening(
    hub: &Hub,
    consent: &Consent,
    licences: &Parts,
    until: Date,
    grant: &str,
) -> Result<NewUse, ConsentError> {
    let now = hub.clock.now();
    let types: Vec<LicenceTypeCode> = licences.iter().map(|(one, _)| *one).collect();
    let found = hub.store.licences_of_holder(&consent.token, &types, MOST_LICENCES + 1).await?;
    if found.len() > MOST_LICENCES {
        return Err(PullError::TooManyLicences.into());
    }
    let judge = Judge::new(hub);
    let mut shown = Vec::with_capacity(found.len());
    for stored in &found {
        let verdict = judge.licence(stored, face(&stored.document).as_ref()).await?;
        let result = verdict.result.word().to_owned();
        shown.push(Shown { identifier: stored.identifier.clone(), result });
    }
    Ok(NewUse {
        at: now,
        caller: consent.department,
        certificate: consent.certificate,
        operator: consent.operator.clone(),
        matter: Some(consent.matter.clone()),
        case: consent.case.clone(),
        basis: Some(Basis { kind: BasisKind::Consent, reference: Some(consent.id.clone()) }),
        reason: consent.reason.clone(),
        holder: Some(consent.token),
        also: found.iter().flat_map(|stored| stored.holders.clone()).collect(),
        project: None,
        shown,
        grant: Some(NewGrant { id: grant.to_owned(), until: end_of(until) }),
        act: UseAct::Pull,
    })
}
