//! The main call: a department pulls verified licences for a stated purpose.
//!
//! The order is fixed: is the purpose complete and allowed, find, judge, **record the use**, answer.
//! The access-log entry and the grant are durable before the first byte of the answer leaves.

use bytes::Bytes;
use certs::Evidence;
use indexes::{
    Basis, BasisKind, BlobError, Grant, NewGrant, NewUse, Operator, Proof, Shown, StoreError,
    StoredLicence, UseAct,
};
use jiff::{SignedDuration, Timestamp};
use licence::{HolderId, LicenceId, LicenceTypeCode, MatterCode, ProjectCode, Seq, Sha256Digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::{
    hub::Hub,
    judge::{Face, FaceFile, Outcome, Verification, face, judge},
    policy::Act,
    tls::Caller,
};

/// Most licences in one answer: a holder has tens, a project hundreds.
pub const MOST_LICENCES: usize = 500;

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
pub async fn pull(hub: &Hub, caller: &Caller, pull: Pull) -> Result<Answer, PullError> {
    answer(hub, caller, pull, None).await
}

/// Answers a pull that was answered before, under the grant it opened then. Licences are judged
/// anew and the repeated look is an access-log entry of its own; only grant and number are the
/// first ones.
///
/// # Errors
/// As [`pull`], and `GrantEnded`.
pub async fn pull_again(
    hub: &Hub,
    caller: &Caller,
    pull: Pull,
    grant: &str,
) -> Result<Answer, PullError> {
    let grant = hub.store.grant(grant).await?.ok_or(PullError::UnknownGrant)?;
    if grant.until <= hub.clock.now() {
        return Err(PullError::GrantEnded { at: grant.until });
    }
    answer(hub, caller, pull, Some(grant)).await
}

async fn answer(
    hub: &Hub,
    caller: &Caller,
    pull: Pull,
    earlier: Option<Grant>,
) -> Result<Answer, PullError> {
    check_purpose(hub, caller, &pull)?;
    let now = hub.clock.now();
    let (holder, project, stored) = find(hub, &pull).await?;
    if stored.len() > MOST_LICENCES {
        return Err(PullError::TooManyLicences);
    }
    let trust = hub.trust();
    let licences: Vec<Pulled> = stored
        .into_iter()
        .map(|stored| {
            let verification = judge(&stored, face(&stored.document).as_ref(), &trust, now);
            Pulled { stored, verification }
        })
        .collect();
    let mut missing = pull.types;
    missing.retain(|t| !licences.iter().any(|pulled| pulled.stored.licence_type == *t));

    let until = now
        .checked_add(SignedDuration::from_hours(i64::from(hub.grant_hours)))
        .unwrap_or(Timestamp::MAX);
    let (opens, act) = match &earlier {
        None => (Some(NewGrant { id: new_grant_id()?, until }), UseAct::Pull),
        Some(_) => (None, UseAct::View),
    };
    let shown = licences
        .iter()
        .map(|pulled| Shown {
            identifier: pulled.stored.identifier.clone(),
            result: pulled.verification.result.word().to_owned(),
        })
        .collect();
    let seq = hub
        .store
        .record_use(NewUse {
            at: now,
            caller: caller.department,
            certificate: caller.certificate,
            operator: pull.operator,
            matter: Some(pull.matter),
            case: pull.case,
            basis: Some(pull.basis),
            reason: pull.reason,
            holder,
            project,
            shown,
            grant: opens.clone(),
            act,
        })
        .await?;
    let (grant, seq) = match (earlier, opens) {
        (Some(earlier), _) => (earlier.id, earlier.opened_by.seq),
        (None, Some(opened)) => (opened.id, seq),
        (None, None) => return Err(PullError::UnknownGrant),
    };
    Ok(Answer { grant, seq, licences, missing })
}

fn check_purpose(hub: &Hub, caller: &Caller, pull: &Pull) -> Result<(), PullError> {
    if pull.types.is_empty() {
        return Err(PullError::NoTypes);
    }
    if pull.types.len() > 50 {
        return Err(PullError::TooManyTypes);
    }
    check_reason(&pull.reason)?;
    let named = pull.basis.reference.as_deref().is_some_and(|said| !said.trim().is_empty());
    if !named {
        match pull.basis.kind {
            BasisKind::Holder => {}
            BasisKind::Consent => return Err(PullError::BasisReference("consent")),
            BasisKind::Duty => return Err(PullError::BasisReference("mandate")),
        }
    }
    let matter = hub
        .matters
        .get(&pull.matter)
        .ok_or_else(|| PullError::UnknownMatter(pull.matter.clone()))?;
    for licence_type in &pull.types {
        if hub.catalogue.entry(licence_type).is_none() {
            return Err(PullError::UnknownType(*licence_type));
        }
        if !matter.requires.contains(licence_type) {
            return Err(PullError::MatterNotCovering {
                matter: pull.matter.clone(),
                licence_type: *licence_type,
            });
        }
        let act = Act::Pull {
            licence_type: *licence_type,
            matter: pull.matter.clone(),
            basis: pull.basis.kind,
        };
        if !hub.policies.permit(&caller.department, act) {
            return Err(PullError::NotPermitted {
                licence_type: *licence_type,
                matter: pull.matter.clone(),
                basis: pull.basis.kind.word(),
            });
        }
    }
    Ok(())
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

/// 128 random bits: the only thing that opens content.
fn new_grant_id() -> Result<String, PullError> {
    let mut random = [0_u8; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| StoreError::Closed)?;
    Ok(format!("g_{}", hex::encode(random)))
}

/// Opens a licence's content under a grant: everything needed to check it offline.
///
/// # Errors
/// The grant is unknown, another's or over; the licence is not in it or no longer trusted.
pub async fn open_content(
    hub: &Hub,
    caller: &Caller,
    grant: &str,
    identifier: &LicenceId,
) -> Result<Evidence, PullError> {
    let (grant, stored) = granted(hub, caller, grant, identifier).await?;
    let evidence = evidence(hub, &stored).await?;
    record_opening(hub, caller, grant, &stored).await?;
    Ok(evidence)
}

/// Opens one file of a licence under a grant.
///
/// # Errors
/// As [`open_content`], and `NoSuchFile`, `FileGone`.
pub async fn open_file(
    hub: &Hub,
    caller: &Caller,
    grant: &str,
    identifier: &LicenceId,
    sha256: &Sha256Digest,
) -> Result<(FaceFile, Bytes), PullError> {
    let (grant, stored) = granted(hub, caller, grant, identifier).await?;
    let file = face(&stored.document)
        .and_then(|face| face.files.into_iter().find(|file| file.sha256 == *sha256))
        .ok_or(PullError::NoSuchFile)?;
    let bytes = hub.blobs.get(sha256).await?.ok_or(PullError::FileGone)?;
    record_opening(hub, caller, grant, &stored).await?;
    Ok((file, bytes))
}

async fn granted(
    hub: &Hub,
    caller: &Caller,
    grant: &str,
    identifier: &LicenceId,
) -> Result<(Grant, StoredLicence), PullError> {
    let now = hub.clock.now();
    let grant = hub.store.grant(grant).await?.ok_or(PullError::UnknownGrant)?;
    if grant.opened_by.caller != caller.department {
        return Err(PullError::GrantOfAnother);
    }
    if grant.until <= now {
        return Err(PullError::GrantEnded { at: grant.until });
    }
    if !grant.opened_by.shown.iter().any(|shown| shown.identifier == *identifier) {
        return Err(PullError::NotInGrant);
    }
    let stored = hub.store.licence(identifier).await?.ok_or(PullError::NotInGrant)?;
    let verdict = judge(&stored, face(&stored.document).as_ref(), &hub.trust(), now);
    if verdict.result == Outcome::Untrusted {
        return Err(PullError::NotTrusted(Box::new(verdict)));
    }
    Ok((grant, stored))
}

async fn record_opening(
    hub: &Hub,
    caller: &Caller,
    grant: Grant,
    stored: &StoredLicence,
) -> Result<Seq, PullError> {
    let under = grant.opened_by;
    let seq = hub
        .store
        .record_use(NewUse {
            at: hub.clock.now(),
            caller: caller.department,
            certificate: caller.certificate,
            operator: under.operator,
            matter: under.matter,
            case: under.case,
            basis: under.basis,
            reason: under.reason,
            holder: under.holder,
            project: under.project,
            shown: vec![Shown {
                identifier: stored.identifier.clone(),
                result: "opened".to_owned(),
            }],
            grant: None,
            act: UseAct::Open,
        })
        .await?;
    Ok(seq)
}

/// The self-contained file with which a licence is checked offline.
///
/// # Errors
/// `Store`, also when the manifest that signs the licence is gone.
pub async fn evidence(hub: &Hub, stored: &StoredLicence) -> Result<Evidence, PullError> {
    let (signature, manifest) = match &stored.proof {
        Proof::Signature(cms) => (cms.to_vec(), None),
        Proof::Manifest { manifest, .. } => {
            let held = hub.store.manifest(manifest).await?.ok_or_else(|| StoreError::Corrupt {
                place: "manifests".to_owned(),
                detail: "a licence's batch manifest is missing".to_owned(),
            })?;
            (held.signature.to_vec(), Some(held.document.to_vec()))
        }
    };
    let orders = stored
        .orders
        .iter()
        .map(|order| certs::EvidenceOrder {
            order: order.document.to_vec(),
            signature: order.signature.to_vec(),
        })
        .collect();
    Ok(Evidence { licence: stored.document.to_vec(), signature, manifest, orders })
}
