//! The main call: a department pulls verified licences for a stated purpose.
//!
//! The order is fixed: is the purpose complete and allowed, find, judge, **record the use**, answer.
//! The access-log entry and the grant are durable before the first byte of the answer leaves.

use std::collections::BTreeMap;

use bytes::Bytes;
use certs::Evidence;
use indexes::{
    Basis, BasisKind, BlobError, Grant, NewGrant, NewUse, Operator, Proof, Shown, StoreError,
    StoredLicence, UseAct,
};
use jiff::{SignedDuration, Timestamp};
use licence::{
    CreditCode, HolderId, LicenceId, LicenceTypeCode, MatterCode, ProjectCode, Seq, Sha256Digest,
};
use serde_json::value::RawValue;

use crate::{
    face_files::{self, SignedFile},
    hub::Hub,
    judge::{Face, FaceFile, Judge, Outcome, Verification, face},
    policy::Act,
    records::{Draft, random_name},
    reuse::{
        Clerk, Who,
        case::{Case, CaseState},
        consents,
        corrections::{self, Disputed},
        reach,
        terms::{self, GrantTerms},
        uses,
    },
    stamps,
    tls::Caller,
};

/// Most licences in one answer: a holder has tens, a project hundreds.
pub const MOST_LICENCES: usize = 500;

/// A department at work: its system, or a clerk of it.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The department.
    pub department: CreditCode,
    /// The certificate it came with; for a clerk, who came with a session, the hub's own.
    pub certificate: Sha256Digest,
    /// The clerk, as the access log names them.
    pub operator: Option<Operator>,
    /// The clerk, whom the tree of organisations bounds.
    pub clerk: Option<Clerk>,
}

impl Asker {
    /// The department behind somebody, if there is one.
    #[must_use]
    pub fn of(hub: &Hub, who: &Who) -> Option<Self> {
        match who {
            Who::Holder { .. } => None,
            Who::Clerk(clerk) => Some(Self::clerk(hub, clerk)),
            Who::Department(caller) => Some(caller.into()),
        }
    }

    /// A clerk.
    #[must_use]
    pub fn clerk(hub: &Hub, clerk: &Clerk) -> Self {
        Self {
            department: clerk.department,
            certificate: uses::own_certificate(hub),
            operator: Some(clerk.operator()),
            clerk: Some(clerk.clone()),
        }
    }
}

impl From<&Caller> for Asker {
    fn from(caller: &Caller) -> Self {
        Self {
            department: caller.department,
            certificate: caller.certificate,
            operator: None,
            clerk: None,
        }
    }
}

/// Whose licences are pulled.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A person's or an organisation's.
    Holder(HolderId),
    /// Those filed under a project.
    Project(ProjectCode),
}

/// A pull with its purpose, checked for form.
#[derive(Clone, Debug)]
pub struct Pull {
    /// Whose.
    pub subject: Subject,
    /// Which types; at least one.
    pub types: Vec<LicenceTypeCode>,
    /// What is being handled.
    pub matter: MatterCode,
    /// The case, if one is open.
    pub case: Option<String>,
    /// Why the use is allowed.
    pub basis: Basis,
    /// 申请事由.
    pub reason: String,
    /// Who at the department asked.
    pub operator: Option<Operator>,
}

/// One licence in an answer.
pub struct Pulled {
    /// The record.
    pub stored: StoredLicence,
    /// The verdict at this moment.
    pub verification: Verification,
    /// Whether its holder disputes it.
    pub disputed: Option<Disputed>,
    /// The only face fields that are given; `None`: the whole licence.
    pub only_fields: Option<Vec<String>>,
    /// Files that are sealed or signed by themselves, by digest.
    pub signed_files: BTreeMap<Sha256Digest, SignedFile>,
}

impl Pulled {
    /// The face, for a licence that is not broken; what is broken is shown without its fields.
    #[must_use]
    pub fn face(&self) -> Option<Face<'_>> {
        (self.verification.result != Outcome::Untrusted)
            .then(|| face(&self.stored.document))
            .flatten()
    }
}

/// The fields of a face that may be given, as they stand there.
#[must_use]
pub fn given_fields<'a>(
    face: &Face<'a>,
    only: &[String],
) -> std::collections::BTreeMap<String, &'a RawValue> {
    let mut fields: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(face.fields.get()).unwrap_or_default();
    fields.retain(|field, _| only.contains(field));
    fields
}

/// The answer to a pull.
pub struct Answer {
    /// Opens the content of the trusted licences.
    pub grant: String,
    /// Number of the access-log entry.
    pub seq: Seq,
    /// What was found, whatever its verdict.
    pub licences: Vec<Pulled>,
    /// Types of which the holder has none.
    pub missing: Vec<LicenceTypeCode>,
}

/// Why a pull was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// No type was asked for.
    #[error("name at least one licence type in `types`")]
    NoTypes,
    /// Too many types.
    #[error("at most 50 licence types can be pulled at once")]
    TooManyTypes,
    /// The reason is empty or too long.
    #[error("`reason` (申请事由) is needed, with at most 200 characters")]
    Reason,
    /// A duty or a consent must be named.
    #[error("`basis.reference` is needed: the {0} that allows this use")]
    BasisReference(&'static str),
    /// The matter is not in the catalogue.
    #[error("matter {0} is not in the list of matters")]
    UnknownMatter(MatterCode),
    /// The type is not in the catalogue.
    #[error("licence type {0} is not in the catalogue")]
    UnknownType(LicenceTypeCode),
    /// The matter does not need this type.
    #[error("matter {matter} does not cover licence type {licence_type}")]
    MatterNotCovering {
        /// The matter.
        matter: MatterCode,
        /// The type.
        licence_type: LicenceTypeCode,
    },
    /// No policy allows it.
    #[error(
        "no policy allows this department to pull type {licence_type} for matter {matter} on the \
         basis `{basis}`"
    )]
    NotPermitted {
        /// The type.
        licence_type: LicenceTypeCode,
        /// The matter.
        matter: MatterCode,
        /// The basis.
        basis: &'static str,
    },
    /// No such consent is in force.
    #[error(
        "no consent under this reference is in force for this department, holder, matter and types: \
         ask the holder with POST /v1/grants"
    )]
    NoConsent,
    /// No such mandate.
    #[error(
        "no mandate with this code allows this department to pull type {licence_type} for matter \
         {matter} today"
    )]
    NoMandate {
        /// The type.
        licence_type: LicenceTypeCode,
        /// The matter.
        matter: MatterCode,
    },
    /// The case is not this holder's.
    #[error("`case` names no case of this holder and matter that is not withdrawn")]
    CaseOfAnother,
    /// The grant was withdrawn.
    #[error("the grant was withdrawn at {at}: its content is not opened any more")]
    GrantWithdrawn {
        /// When.
        at: Timestamp,
    },
    /// The grant gives single fields only.
    #[error("the holder gave single fields of this licence: its files are withheld")]
    FilesWithheld,
    /// No such grant.
    #[error("there is no such grant")]
    UnknownGrant,
    /// The grant was opened by another department.
    #[error("this grant was opened by another department")]
    GrantOfAnother,
    /// The grant's time is over.
    #[error("the grant ended at {at}: pull again")]
    GrantEnded {
        /// When.
        at: Timestamp,
    },
    /// The licence is not one that the grant names.
    #[error("the grant does not name this licence")]
    NotInGrant,
    /// The licence has no such file.
    #[error("the licence has no such file")]
    NoSuchFile,
    /// The licence is no longer one to rely on.
    #[error("the licence is untrusted now, its {} does not hold: its content is not opened",
            .0.failing_link())]
    NotTrusted(Box<Verification>),
    /// More licences than an answer holds.
    #[error("more than {MOST_LICENCES} licences fit: name fewer types")]
    TooManyLicences,
    /// A file's bytes are gone.
    #[error("the file's bytes are not in the file store")]
    FileGone,
    /// The file store failed.
    #[error("the file store failed")]
    Files(#[from] BlobError),
    /// The store failed.
    #[error("the licence store failed")]
    Store(#[from] StoreError),
}

impl PullError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTypes => "types_required",
            Self::TooManyTypes => "too_many_types",
            Self::Reason => "reason_required",
            Self::BasisReference(_) => "basis_reference_required",
            Self::UnknownMatter(_) => "unknown_matter",
            Self::UnknownType(_) => "unknown_licence_type",
            Self::MatterNotCovering { .. } => "matter_not_covering",
            Self::NotPermitted { .. } => "not_permitted",
            Self::NoConsent => "no_consent",
            Self::NoMandate { .. } => "no_mandate",
            Self::CaseOfAnother => "case_of_another",
            Self::GrantWithdrawn { .. } => "grant_withdrawn",
            Self::FilesWithheld => "files_withheld",
            Self::UnknownGrant => "unknown_grant",
            Self::GrantOfAnother => "grant_of_another",
            Self::GrantEnded { .. } => "grant_ended",
            Self::NotInGrant => "not_in_grant",
            Self::NoSuchFile => "no_such_file",
            Self::NotTrusted(_) => "licence_not_trusted",
            Self::TooManyLicences => "too_many_licences",
            Self::FileGone => "file_gone",
            Self::Files(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

/// Answers a pull and records the use.
///
/// # Errors
/// The first rule that is not met, or `Store`. A refused pull leaves no use behind.
pub async fn pull(hub: &Hub, asker: &Asker, pull: Pull) -> Result<Answer, PullError> {
    answer(hub, asker, pull, None).await
}

/// Answers a pull that was answered before, under the grant it opened then. Licences are judged
/// anew and the repeated look is an access-log entry of its own; only grant and number are the
/// first ones.
///
/// # Errors
/// As [`pull`], and `GrantEnded`, `GrantWithdrawn`.
pub async fn pull_again(
    hub: &Hub,
    asker: &Asker,
    pull: Pull,
    grant: &str,
) -> Result<Answer, PullError> {
    let grant = hub.store.grant(grant).await?.ok_or(PullError::UnknownGrant)?;
    in_force(hub, &grant).await?;
    answer(hub, asker, pull, Some(grant)).await
}

async fn answer(
    hub: &Hub,
    asker: &Asker,
    pull: Pull,
    earlier: Option<Grant>,
) -> Result<Answer, PullError> {
    check_basis_reference(&pull)?;
    let purpose = (&pull.matter, pull.basis.kind, pull.reason.as_str());
    check_purpose(hub, &asker.department, &pull.types, purpose)?;
    let now = hub.clock.now();
    let hours = SignedDuration::from_hours(i64::from(hub.grant_hours));
    let latest = now.checked_add(hours).unwrap_or(Timestamp::MAX);
    let (terms, until) = check_basis(hub, asker, &pull, latest).await?;
    let (holder, project, stored) = find(hub, &pull).await?;
    if stored.len() > MOST_LICENCES {
        return Err(PullError::TooManyLicences);
    }
    let licences = judged(hub, stored, &terms).await?;
    let mut missing = pull.types;
    missing.retain(|t| !licences.iter().any(|pulled| pulled.stored.licence_type == *t));

    let (grant, act) = match &earlier {
        None => (NewGrant { id: random_name("g_")?, until }, UseAct::Pull),
        // The same grant, which is open already.
        Some(earlier) => (NewGrant { id: earlier.id.clone(), until: earlier.until }, UseAct::View),
    };
    let shown = licences
        .iter()
        .map(|pulled| Shown {
            identifier: pulled.stored.identifier.clone(),
            result: pulled.verification.result.word().to_owned(),
        })
        .collect();
    let new = NewUse {
        at: now,
        caller: asker.department,
        certificate: asker.certificate,
        operator: pull.operator.or_else(|| asker.operator.clone()),
        matter: Some(pull.matter),
        case: pull.case,
        basis: Some(pull.basis),
        reason: pull.reason,
        holder,
        also: licences.iter().flat_map(|pulled| pulled.stored.holders.clone()).collect(),
        project,
        shown,
        grant: Some(grant.clone()),
        act,
    };
    let seq = if earlier.is_some() || terms == GrantTerms::default() {
        hub.store.record_use(new).await?
    } else {
        let mut draft = Draft::new();
        draft.record_use(new);
        draft.create(grant.id.as_bytes(), &terms);
        let committed = draft.commit(&*hub.store).await?;
        // A random id that nobody else has; and one use was drafted.
        committed.ok().and_then(|done| done.uses.first().copied()).ok_or(StoreError::Closed)?
    };
    let seq = earlier.map_or(seq, |earlier| earlier.opened_by.seq);
    Ok(Answer { grant: grant.id, seq, licences, missing })
}

async fn judged(
    hub: &Hub,
    stored: Vec<StoredLicence>,
    terms: &GrantTerms,
) -> Result<Vec<Pulled>, StoreError> {
    let identifiers: Vec<LicenceId> =
        stored.iter().map(|stored| stored.identifier.clone()).collect();
    let disputed = corrections::disputed(hub, &identifiers).await?;
    let judge = Judge::new(hub);
    let mut judged = Vec::with_capacity(stored.len());
    for (stored, disputed) in stored.into_iter().zip(disputed) {
        let face = face(&stored.document);
        let verification = judge.licence(&stored, face.as_ref()).await?;
        let only_fields = terms.only_fields(&stored.licence_type).map(<[String]>::to_vec);
        let signed_files = face_files::judged(hub, &stored, face.as_ref()).await?;
        judged.push(Pulled { stored, verification, disputed, only_fields, signed_files });
    }
    Ok(judged)
}

fn check_basis_reference(pull: &Pull) -> Result<(), PullError> {
    let named = pull.basis.reference.as_deref().is_some_and(|said| !said.trim().is_empty());
    match pull.basis.kind {
        BasisKind::Consent if !named => Err(PullError::BasisReference("consent")),
        BasisKind::Duty if !named => Err(PullError::BasisReference("mandate")),
        _ => Ok(()),
    }
}

/// Whether a department may ask for these types for a matter on a kind of basis, and says why.
///
/// # Errors
/// The first rule that is not met.
pub fn check_purpose(
    hub: &Hub,
    department: &CreditCode,
    types: &[LicenceTypeCode],
    (matter, basis, reason): (&MatterCode, BasisKind, &str),
) -> Result<(), PullError> {
    if types.is_empty() {
        return Err(PullError::NoTypes);
    }
    if types.len() > 50 {
        return Err(PullError::TooManyTypes);
    }
    check_reason(reason)?;
    let listed = hub.matters.get(matter).ok_or_else(|| PullError::UnknownMatter(matter.clone()))?;
    for licence_type in types {
        if hub.catalogue.entry(licence_type).is_none() {
            return Err(PullError::UnknownType(*licence_type));
        }
        if !listed.requires.contains(licence_type) {
            return Err(PullError::MatterNotCovering {
                matter: matter.clone(),
                licence_type: *licence_type,
            });
        }
        let act = Act::Pull { licence_type: *licence_type, matter: matter.clone(), basis };
        if !hub.policies.permit(department, act) {
            return Err(PullError::NotPermitted {
                licence_type: *licence_type,
                matter: matter.clone(),
                basis: basis.word(),
            });
        }
    }
    Ok(())
}

/// Whether the basis holds for just this pull: the terms of its grant, and its end at the latest.
async fn check_basis(
    hub: &Hub,
    asker: &Asker,
    pull: &Pull,
    latest: Timestamp,
) -> Result<(GrantTerms, Timestamp), PullError> {
    let reference = pull.basis.reference.as_deref().unwrap_or_default();
    match (pull.basis.kind, &pull.subject) {
        (BasisKind::Duty, _) => {
            let mandate = hub.mandates.get(reference);
            let today = hub.clock.today();
            let uncovered = pull.types.iter().find(|one| {
                !mandate.is_some_and(|mandate| {
                    mandate.covers(&asker.department, &pull.matter, one, today)
                })
            });
            if let Some(licence_type) = uncovered {
                return Err(PullError::NoMandate {
                    licence_type: *licence_type,
                    matter: pull.matter.clone(),
                });
            }
            let disclosed_after_days = mandate.map_or(0, |mandate| mandate.disclosed_after_days);
            Ok((GrantTerms { disclosed_after_days, ..GrantTerms::default() }, latest))
        }
        (BasisKind::Consent, Subject::Holder(holder)) => {
            let department = &asker.department;
            let (consent, given) =
                consents::in_force(hub, reference, department, holder, &pull.matter)
                    .await?
                    .ok_or(PullError::NoConsent)?;
            let covered = |one: &LicenceTypeCode| given.licences.iter().any(|(t, _)| t == one);
            if !pull.types.iter().all(covered) {
                return Err(PullError::NoConsent);
            }
            let until = latest.min(terms::end_of(given.until));
            Ok((consent.terms(&given.licences), until))
        }
        // A project gives no consent.
        (BasisKind::Consent, Subject::Project(_)) => Err(PullError::NoConsent),
        (BasisKind::Holder, _) => {
            check_case(hub, pull).await?;
            Ok((GrantTerms::default(), latest))
        }
    }
}

/// A case of ours must be this holder's, of this matter, and not be withdrawn. The number of a case in the department's own
/// system is its own business.
async fn check_case(hub: &Hub, pull: &Pull) -> Result<(), PullError> {
    let Some(id) = pull.case.as_deref().filter(|id| looks_like_ours(id)) else { return Ok(()) };
    let case = crate::records::read::<Case>(&*hub.store, id.as_bytes()).await?;
    let fits = case.is_some_and(|held| {
        let case = held.value;
        let holder = match &pull.subject {
            Subject::Holder(holder) => case.holder == *holder,
            Subject::Project(_) => true,
        };
        holder && case.matter == pull.matter && case.state != CaseState::Withdrawn
    });
    if fits { Ok(()) } else { Err(PullError::CaseOfAnother) }
}

/// 办件编号 of this hub: the day, a hyphen and ten capitals or digits.
fn looks_like_ours(case: &str) -> bool {
    case.split_once('-').is_some_and(|(day, random)| {
        day.len() == 8
            && day.bytes().all(|byte| byte.is_ascii_digit())
            && random.len() == 10
            && random.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
}

/// 申请事由 is mandatory, at most 200 characters (GB/T 36906 `useCause`).
///
/// # Errors
/// `Reason`.
pub fn check_reason(reason: &str) -> Result<(), PullError> {
    if reason.trim().is_empty() || reason.chars().count() > 200 {
        return Err(PullError::Reason);
    }
    Ok(())
}

type Found = (Option<indexes::HolderToken>, Option<ProjectCode>, Vec<StoredLicence>);

async fn find(hub: &Hub, pull: &Pull) -> Result<Found, PullError> {
    Ok(match &pull.subject {
        Subject::Holder(holder) => {
            let token = hub.index_key.token(holder);
            let stored =
                hub.store.licences_of_holder(&token, &pull.types, MOST_LICENCES + 1).await?;
            (Some(token), None, stored)
        }
        Subject::Project(project) => {
            let stored =
                hub.store.licences_of_project(project, &pull.types, MOST_LICENCES + 1).await?;
            (None, Some(*project), stored)
        }
    })
}

/// What a grant opens of a licence.
pub enum Content {
    /// Everything needed to check it offline.
    Whole(Box<Evidence>),
    /// The fields that the holder gave; the signed bytes hold the others too and are withheld.
    Fields(Box<Pulled>),
}

/// Opens a licence's content under a grant.
///
/// # Errors
/// The grant is unknown, another's, withdrawn or over; the licence is not in it or no longer trusted.
pub async fn open_content(
    hub: &Hub,
    asker: &Asker,
    grant: &str,
    identifier: &LicenceId,
) -> Result<Content, PullError> {
    let (grant, pulled) = granted(hub, asker, grant, identifier).await?;
    let content = if pulled.only_fields.is_none() {
        let evidence = evidence(hub, &pulled.stored).await?;
        record_opening(hub, asker, grant, &pulled.stored).await?;
        Content::Whole(Box::new(evidence))
    } else {
        record_opening(hub, asker, grant, &pulled.stored).await?;
        Content::Fields(Box::new(pulled))
    };
    Ok(content)
}

/// Opens a licence under a grant to be read on a page: its face, bound to the fields that were given.
///
/// # Errors
/// As [`open_content`].
pub async fn open_licence(
    hub: &Hub,
    asker: &Asker,
    grant: &str,
    identifier: &LicenceId,
) -> Result<Pulled, PullError> {
    let (grant, pulled) = granted(hub, asker, grant, identifier).await?;
    record_opening(hub, asker, grant, &pulled.stored).await?;
    Ok(pulled)
}

/// Opens one file of a licence under a grant.
///
/// # Errors
/// As [`open_content`], and `NoSuchFile`, `FilesWithheld`, `FileGone`.
pub async fn open_file(
    hub: &Hub,
    asker: &Asker,
    grant: &str,
    identifier: &LicenceId,
    sha256: &Sha256Digest,
) -> Result<(FaceFile, Bytes), PullError> {
    let (grant, pulled) = granted(hub, asker, grant, identifier).await?;
    if pulled.only_fields.is_some() {
        return Err(PullError::FilesWithheld);
    }
    let file = face(&pulled.stored.document)
        .and_then(|face| face.files.into_iter().find(|file| file.sha256 == *sha256))
        .ok_or(PullError::NoSuchFile)?;
    let bytes = hub.blobs.get(sha256).await?.ok_or(PullError::FileGone)?;
    record_opening(hub, asker, grant, &pulled.stored).await?;
    Ok((file, bytes))
}

/// The terms of a grant, if it is in force now.
///
/// # Errors
/// `GrantEnded`, `GrantWithdrawn`, `Store`.
pub async fn in_force(hub: &Hub, grant: &Grant) -> Result<GrantTerms, PullError> {
    let terms = terms::of(hub, &grant.id).await?;
    if let Some(at) = terms::withdrawn_at(hub, &terms).await? {
        return Err(PullError::GrantWithdrawn { at });
    }
    if grant.until <= hub.clock.now() {
        return Err(PullError::GrantEnded { at: grant.until });
    }
    Ok(terms)
}

async fn granted(
    hub: &Hub,
    asker: &Asker,
    grant: &str,
    identifier: &LicenceId,
) -> Result<(Grant, Pulled), PullError> {
    let grant = hub.store.grant(grant).await?.ok_or(PullError::UnknownGrant)?;
    if grant.opened_by.caller != asker.department {
        return Err(PullError::GrantOfAnother);
    }
    if let Some(clerk) = &asker.clerk
        && !reach::grant(hub, clerk, &grant).await?
    {
        return Err(PullError::UnknownGrant);
    }
    let terms = in_force(hub, &grant).await?;
    if !grant.opened_by.shown.iter().any(|shown| shown.identifier == *identifier) {
        return Err(PullError::NotInGrant);
    }
    let stored = hub.store.licence(identifier).await?.ok_or(PullError::NotInGrant)?;
    let judged = judged(hub, vec![stored], &terms).await?;
    let pulled = judged.into_iter().next().ok_or(PullError::NotInGrant)?;
    if pulled.verification.result == Outcome::Untrusted {
        return Err(PullError::NotTrusted(Box::new(pulled.verification)));
    }
    Ok((grant, pulled))
}

async fn record_opening(
    hub: &Hub,
    asker: &Asker,
    grant: Grant,
    stored: &StoredLicence,
) -> Result<Seq, PullError> {
    let under = grant.opened_by;
    let seq = hub
        .store
        .record_use(NewUse {
            at: hub.clock.now(),
            caller: asker.department,
            certificate: asker.certificate,
            operator: asker.operator.clone().or(under.operator),
            matter: under.matter,
            case: under.case,
            basis: under.basis,
            reason: under.reason,
            holder: under.holder,
            also: stored.holders.clone(),
            project: under.project,
            shown: vec![Shown {
                identifier: stored.identifier.clone(),
                result: "opened".to_owned(),
            }],
            grant: Some(NewGrant { id: grant.id, until: grant.until }),
            act: UseAct::Open,
        })
        .await?;
    Ok(seq)
}

/// The self-contained file with which a licence is checked offline. Signatures that were time-stamped carry their
/// stamps.
///
/// # Errors
/// `Store`, also when the manifest that signs the licence is gone.
pub async fn evidence(hub: &Hub, stored: &StoredLicence) -> Result<Evidence, PullError> {
    let (signature, manifest) = match &stored.proof {
        Proof::Signature(cms) => (cms.to_vec(), None),
        // Whoever checks it finds no signature, and says so.
        Proof::Unsigned => (Vec::new(), None),
        Proof::Manifest { manifest, .. } => {
            let held = hub.store.manifest(manifest).await?.ok_or_else(|| StoreError::Corrupt {
                place: "manifests".to_owned(),
                detail: "a licence's batch manifest is missing".to_owned(),
            })?;
            (held.signature.to_vec(), Some(held.document.to_vec()))
        }
    };
    let signature = stamps::carried(signature, stamps::of_licence(hub, stored).await?);
    let mut orders = Vec::with_capacity(stored.orders.len());
    for order in &stored.orders {
        let stamp = stamps::of_order(hub, order).await?;
        orders.push(certs::EvidenceOrder {
            order: order.document.to_vec(),
            signature: stamps::carried(order.signature.to_vec(), stamp),
        });
    }
    Ok(Evidence { licence: stored.document.to_vec(), signature, manifest, orders })
}
