//! Corrections 异议更正: a holder disputes a field of a licence, its issuer answers within the set working days.
//!
//! Both sides and the outcome stay on record. Until the answer the licence is disputed, and every pull of it says so. The
//! hub changes no licence: a correction is a new licence that the issuer issues.

use std::fmt;

use indexes::{Collection, HolderToken, Proof, StoreError, StoredLicence};
use jiff::{Timestamp, civil::Date};
use licence::{CreditCode, HolderId, LicenceId, LicenceTypeCode};
use serde::{Deserialize, Serialize};

use super::{
    Who,
    case::StepBy,
    materials::{self, Material, MaterialError},
    uses::{self, NoService},
};
use crate::{
    Hub,
    judge::{Judge, face},
    records::{self, Draft, Held, Kept, newest_first, random_name},
};

/// How often a change is tried when others are faster.
const ATTEMPTS: usize = 5;
/// The longest texts, in characters.
const LONGEST_TEXT: usize = 1_000;
/// Most materials with a dispute.
const MOST_MATERIALS: usize = 10;
/// Most corrections of a holder that are looked through for a material.
const MOST_LOOKED_THROUGH: usize = 1_000;
/// Most disputed fields of one licence at a time.
const MOST_DISPUTES: usize = 50;

/// What a holder disputes.
#[derive(Clone)]
pub struct NewDispute {
    /// The licence.
    pub licence: LicenceId,
    /// Its face field.
    pub field: String,
    /// What it should say.
    pub says: String,
    /// Why.
    pub why: String,
    /// Materials that show it, by id.
    pub materials: Vec<String>,
}

/// An issuer's answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The holder was right: a corrected licence was issued.
    Corrected {
        /// The new licence.
        licence: LicenceId,
    },
    /// The licence stays as it is.
    Kept {
        /// Why.
        reason: String,
    },
}

impl fmt::Debug for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrected { licence } => write!(formatter, "Corrected({licence})"),
            Self::Kept { .. } => formatter.write_str("Kept(withheld)"),
        }
    }
}

/// A disputed field and what became of it. `Debug` shows no texts and no holder.
#[derive(Clone, Serialize, Deserialize)]
pub struct Correction {
    /// `d_…`
    pub id: String,
    /// Who disputes.
    pub holder: HolderId,
    /// The same, as keys name them.
    pub token: HolderToken,
    /// Who issued the licence, and answers.
    pub issuer: CreditCode,
    /// The licence.
    pub licence: LicenceId,
    /// Its type.
    pub licence_type: LicenceTypeCode,
    /// Its name 证照名称.
    pub licence_name: String,
    /// The face field.
    pub field: String,
    /// What the licence says.
    pub shown: String,
    /// What it should say.
    pub says: String,
    /// Why.
    pub why: String,
    /// Materials that show it, by id.
    pub materials: Vec<String>,
    /// When it was disputed.
    pub disputed_at: Timestamp,
    /// The last day for an answer.
    pub due: Date,
    /// Whether the holidays on the way to `due` were known.
    pub due_certain: bool,
    /// The answer.
    pub outcome: Option<Outcome>,
    /// When it came.
    pub answered_at: Option<Timestamp>,
    /// Who answered; its account is never shown to the holder.
    pub answered_by: Option<StepBy>,
}

impl Kept for Correction {
    const COLLECTION: Collection = Collection::new("corrections");
}

/// Corrections of a holder: holder token 16 · newest first 8 · id.
pub const CORRECTIONS_OF_HOLDER: Collection = Collection::new("corrections_of_holder");
/// Corrections that an issuer has to answer: credit code 18 · newest first 8 · id.
pub const CORRECTIONS_OF_ISSUER: Collection = Collection::new("corrections_of_issuer");

impl fmt::Debug for Correction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Correction({}, due {})", self.id, self.due)
    }
}

impl Correction {
    /// Whether the answer is late, or came late.
    #[must_use]
    pub fn overdue(&self, today: Date) -> bool {
        self.answered_at.map_or(today, crate::clock::day_in_china) > self.due
    }
}

/// What is disputed of a licence, under its identifier; there is no record when nothing is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Disputes {
    open: Vec<OpenDispute>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct OpenDispute {
    correction: String,
    field: String,
    since: Timestamp,
}

impl Kept for Disputes {
    const COLLECTION: Collection = Collection::new("disputes");
}

/// That a licence is disputed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Disputed {
    /// Since when.
    #[schema(value_type = String)]
    pub since: Timestamp,
    /// Which face fields.
    pub fields: Vec<String>,
}

/// Why nothing was disputed or answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorrectionError {
    /// Only the holder disputes.
    #[error("only the holder, or who acts for the holder, can dispute a field")]
    NotTheHolder,
    /// Only the issuer answers.
    #[error("only the department that issued the licence can answer")]
    NotTheIssuer,
    /// Nobody answers their own dispute.
    #[error("you act for the holder who disputes: somebody else of the department has to answer")]
    OwnDispute,
    /// No such licence, or none of this holder's.
    #[error("no licence of yours is held under this identifier")]
    UnknownLicence,
    /// The licence has no such field.
    #[error("the licence has no such face field")]
    UnknownField,
    /// A text is missing or too long.
    #[error("`{0}` is needed, with at most 1000 characters and no control characters")]
    Text(&'static str),
    /// Too many materials, or one that is not the holder's.
    #[error("a material is not there, or more than 10 were named")]
    Materials,
    /// The field is disputed already.
    #[error("this field is disputed already: wait for the answer")]
    AlreadyDisputed,
    /// None with this id, or somebody else's.
    #[error("there is no such correction")]
    Unknown,
    /// It was answered.
    #[error("this was answered already")]
    Answered,
    /// The new licence does not correct the disputed one.
    #[error(
        "the corrected licence must be held, be another one of the same type, holder and issuer, and \
         say something else in the disputed field"
    )]
    NotACorrection,
    /// Nobody runs this hub in name.
    #[error("this hub has no `service` in its settings: it cannot record a holder's own look")]
    NoService(#[from] NoService),
    /// Others were faster, again and again.
    #[error("others are changing the same: try again")]
    Busy,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl CorrectionError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotTheHolder => "holder_required",
            Self::NotTheIssuer => "issuer_required",
            Self::OwnDispute => "own_dispute",
            Self::UnknownLicence => "unknown_licence",
            Self::UnknownField => "unknown_face_field",
            Self::Text(_) => "correction_text",
            Self::Materials => "correction_materials",
            Self::AlreadyDisputed => "already_disputed",
            Self::Unknown => "unknown_correction",
            Self::Answered => "correction_answered",
            Self::NotACorrection => "not_a_correction",
            Self::NoService(error) => error.code(),
            Self::Busy => "correction_busy",
            Self::Store(error) => error.code(),
        }
    }
}

/// A holder disputes a field. The deadline is fixed now; the licence is disputed from now on.
///
/// # Errors
/// `UnknownLicence` also for a licence of somebody else; `UnknownField`, `AlreadyDisputed`, a text.
pub async fn dispute(
    hub: &Hub,
    who: &Who,
    new: &NewDispute,
) -> Result<Correction, CorrectionError> {
    let holder = who.acting_holder().ok_or(CorrectionError::NotTheHolder)?;
    for (name, text) in [("says", &new.says), ("why", &new.why)] {
        check_text(name, text)?;
    }
    let token = hub.index_key.token(holder);
    let stored = hub
        .store
        .licence(&new.licence)
        .await?
        .filter(|stored| stored.holders.contains(&token))
        .ok_or(CorrectionError::UnknownLicence)?;
    let (licence_name, shown) = said(&stored, &new.field).ok_or(CorrectionError::UnknownField)?;
    check_materials(hub, who, &new.materials).await?;
    let now = hub.clock.now();
    let days = hub.settings().corrections_days;
    let deadline = hub.calendar.working_days_after(hub.clock.today(), days);
    let correction = Correction {
        id: random_name("d_")?,
        holder: holder.clone(),
        token,
        issuer: *stored.issuer.credit_code(),
        licence: stored.identifier.clone(),
        licence_type: stored.licence_type,
        licence_name,
        field: new.field.clone(),
        shown,
        says: new.says.clone(),
        why: new.why.clone(),
        materials: new.materials.clone(),
        disputed_at: now,
        due: deadline.date,
        due_certain: deadline.certain,
        outcome: None,
        answered_at: None,
        answered_by: None,
    };
    let verdict = Judge::new(hub).licence(&stored, face(&stored.document).as_ref()).await?;
    let look = [(stored.identifier.clone(), verdict.result)];
    let place = [&newest_first(now)[..], correction.id.as_bytes()].concat();
    for _ in 0..ATTEMPTS {
        let open = disputes(hub, &stored.identifier).await?;
        let mut disputes = open.as_ref().map(|held| held.value.clone()).unwrap_or_default();
        let same = disputes.open.iter().any(|dispute| dispute.field == new.field);
        if same || disputes.open.len() >= MOST_DISPUTES {
            return Err(CorrectionError::AlreadyDisputed);
        }
        disputes.open.push(OpenDispute {
            correction: correction.id.clone(),
            field: new.field.clone(),
            since: now,
        });
        let mut draft = Draft::new();
        match &open {
            Some(held) => draft.replace(held, &disputes),
            None => draft.create(stored.identifier.as_str().as_bytes(), &disputes),
        };
        draft.create(correction.id.as_bytes(), &correction);
        draft.index(CORRECTIONS_OF_HOLDER, &[token.as_bytes(), &place[..]].concat());
        let issuer = correction.issuer.as_str().as_bytes();
        draft.index(CORRECTIONS_OF_ISSUER, &[issuer, &place[..]].concat());
        draft.record_use(uses::own_look(hub, token, &look)?);
        if draft.commit(&*hub.store).await?.is_ok() {
            metrics::counter!("yihao_disputes_total").increment(1);
            return Ok(correction);
        }
    }
    Err(CorrectionError::Busy)
}

/// The issuer answers. The field is no longer disputed; both sides and the outcome stay on record.
///
/// # Errors
/// `Unknown` for other departments; `Answered`, `NotACorrection`, a text.
pub async fn answer(
    hub: &Hub,
    who: &Who,
    id: &str,
    outcome: &Outcome,
) -> Result<Correction, CorrectionError> {
    for _ in 0..ATTEMPTS {
        let held = read(hub, who, id).await?;
        let by = match who {
            Who::Holder { .. } => return Err(CorrectionError::NotTheIssuer),
            Who::Clerk(clerk) if clerk.person.account.holders.contains(&held.value.holder) => {
                return Err(CorrectionError::OwnDispute);
            }
            Who::Clerk(clerk) => {
                StepBy::Clerk { node: clerk.node.clone(), account: clerk.operator().account }
            }
            Who::Department(_) => StepBy::Department,
        };
        let mut correction = held.value.clone();
        if correction.outcome.is_some() {
            return Err(CorrectionError::Answered);
        }
        match outcome {
            Outcome::Kept { reason } => check_text("reason", reason)?,
            Outcome::Corrected { licence } => check_corrected(hub, &correction, licence).await?,
        }
        correction.outcome = Some(outcome.clone());
        correction.answered_at = Some(hub.clock.now());
        correction.answered_by = Some(by);
        let mut draft = Draft::new();
        draft.replace(&held, &correction);
        if let Some(held) = disputes(hub, &correction.licence).await? {
            let mut disputes = held.value.clone();
            disputes.open.retain(|dispute| dispute.correction != correction.id);
            if disputes.open.is_empty() {
                draft.remove(&held);
            } else {
                draft.replace(&held, &disputes);
            }
        }
        if draft.commit(&*hub.store).await?.is_ok() {
            metrics::counter!("yihao_disputes_answered_total").increment(1);
            return Ok(correction);
        }
    }
    Err(CorrectionError::Busy)
}

/// A correction, for the holder who disputes and the issuer who answers.
///
/// # Errors
/// `Unknown`: not there, or somebody else's.
pub async fn correction(hub: &Hub, who: &Who, id: &str) -> Result<Correction, CorrectionError> {
    Ok(read(hub, who, id).await?.value)
}

/// What a holder disputed, newest first.
///
/// # Errors
/// `NotTheHolder`; the store's.
pub async fn of_holder(
    hub: &Hub,
    who: &Who,
    limit: usize,
) -> Result<Vec<Correction>, CorrectionError> {
    let holder = who.acting_holder().ok_or(CorrectionError::NotTheHolder)?;
    let token = hub.index_key.token(holder);
    listed(hub, CORRECTIONS_OF_HOLDER, token.as_bytes(), limit).await
}

/// What an issuer has to answer, and has answered, newest first.
///
/// # Errors
/// `NotTheIssuer`; the store's.
pub async fn of_issuer(
    hub: &Hub,
    who: &Who,
    limit: usize,
) -> Result<Vec<Correction>, CorrectionError> {
    let issuer = who.department().ok_or(CorrectionError::NotTheIssuer)?;
    if matches!(who, Who::Clerk(clerk) if !clerk.is_of_department(hub)) {
        return Ok(Vec::new());
    }
    listed(hub, CORRECTIONS_OF_ISSUER, issuer.as_str().as_bytes(), limit).await
}

/// Whether the holder attached the material to a dispute that `who` answers.
pub(super) async fn is_shown(
    hub: &Hub,
    who: &Who,
    material: &Material,
) -> Result<bool, StoreError> {
    let answers = |correction: &Correction| match who {
        Who::Holder { .. } => false,
        Who::Clerk(_) | Who::Department(_) => is_of(hub, who, correction),
    };
    let token = hub.index_key.token(&material.holder);
    let prefix = token.as_bytes();
    let keys = records::keys(&*hub.store, CORRECTIONS_OF_HOLDER, prefix, None, MOST_LOOKED_THROUGH)
        .await?;
    for key in keys {
        let id = key.get(8..).unwrap_or_default();
        let held = records::read::<Correction>(&*hub.store, id).await?;
        let attached = |correction: &Correction| correction.materials.contains(&material.id);
        if held.is_some_and(|held| attached(&held.value) && answers(&held.value)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is disputed of each licence now: one point read each.
///
/// # Errors
/// The store's.
pub async fn disputed(
    hub: &Hub,
    identifiers: &[LicenceId],
) -> Result<Vec<Option<Disputed>>, StoreError> {
    let mut found = Vec::with_capacity(identifiers.len());
    for identifier in identifiers {
        let open = disputes(hub, identifier).await?.map(|held| held.value.open);
        let open = open.unwrap_or_default();
        let since = open.iter().map(|dispute| dispute.since).min();
        let fields = open.into_iter().map(|dispute| dispute.field).collect();
        found.push(since.map(|since| Disputed { since, fields }));
    }
    Ok(found)
}

async fn disputes(hub: &Hub, licence: &LicenceId) -> Result<Option<Held<Disputes>>, StoreError> {
    records::read(&*hub.store, licence.as_str().as_bytes()).await
}

async fn listed(
    hub: &Hub,
    index: Collection,
    prefix: &[u8],
    limit: usize,
) -> Result<Vec<Correction>, CorrectionError> {
    let mut found = Vec::new();
    for key in records::keys(&*hub.store, index, prefix, None, limit).await? {
        let id = key.get(8..).unwrap_or_default();
        found.extend(records::read::<Correction>(&*hub.store, id).await?.map(|held| held.value));
    }
    Ok(found)
}

async fn read(hub: &Hub, who: &Who, id: &str) -> Result<Held<Correction>, CorrectionError> {
    let held = records::read::<Correction>(&*hub.store, id.as_bytes()).await?;
    held.filter(|held| is_of(hub, who, &held.value)).ok_or(CorrectionError::Unknown)
}

/// Whether somebody is one of the two sides: the holder who disputes, or the issuer who answers.
fn is_of(hub: &Hub, who: &Who, correction: &Correction) -> bool {
    match who {
        Who::Holder { .. } => who.acting_holder() == Some(&correction.holder),
        Who::Clerk(clerk) => clerk.department == correction.issuer && clerk.is_of_department(hub),
        Who::Department(caller) => caller.department == correction.issuer,
    }
}

fn check_text(name: &'static str, text: &str) -> Result<(), CorrectionError> {
    let plain = |one: char| !one.is_control() || matches!(one, '\n' | '\r' | '\t');
    let fits =
        !text.trim().is_empty() && text.chars().count() <= LONGEST_TEXT && text.chars().all(plain);
    if fits { Ok(()) } else { Err(CorrectionError::Text(name)) }
}

async fn check_materials(hub: &Hub, who: &Who, named: &[String]) -> Result<(), CorrectionError> {
    if named.len() > MOST_MATERIALS {
        return Err(CorrectionError::Materials);
    }
    for id in named {
        match materials::material(hub, who, id).await {
            Ok(held) if Some(&held.value.holder) == who.acting_holder() => {}
            Err(MaterialError::Store(error)) => return Err(error.into()),
            Ok(_) | Err(_) => return Err(CorrectionError::Materials),
        }
    }
    Ok(())
}

/// The licence's name, and what its face field says.
fn said(stored: &StoredLicence, field: &str) -> Option<(String, String)> {
    let face = face(&stored.document)?;
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(face.fields.get()).ok()?;
    let said = match fields.get(field)? {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some((face.name, said))
}

/// Whether a licence corrects the disputed one.
async fn check_corrected(
    hub: &Hub,
    correction: &Correction,
    licence: &LicenceId,
) -> Result<(), CorrectionError> {
    let stored = hub.store.licence(licence).await?;
    let corrects = stored.is_some_and(|stored| {
        stored.identifier != correction.licence
            && stored.licence_type == correction.licence_type
            && stored.issuer.credit_code() == &correction.issuer
            && stored.holders.contains(&correction.token)
            && stored.proof != Proof::Unsigned
            && said(&stored, &correction.field).is_none_or(|(_, now)| now != correction.shown)
    });
    if corrects { Ok(()) } else { Err(CorrectionError::NotACorrection) }
}
