//! The package of a case: everything that the department needs, signed once, checkable by anybody with `openssl`.
//!
//! A signed file is JSON `{"format","content","signature","evidence"}`: `content` is the document's bytes in base64,
//! `signature` a detached CMS over them, `evidence` the evidence files that the document names, by their digest. Files of
//! the applicant are named by digest and taken from the hub. Format: `docs/formats/package.md`.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use certs::SignError;
use indexes::{Basis, BasisKind, NewGrant, NewUse, UseAct};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use licence::{CreditCode, LicenceId, LicenceTypeCode, Matter, MatterCode, Sha256Digest};
use serde::{Deserialize, Serialize};

use super::{
    Who,
    case::{CASES_OF_DEPARTMENT, Case, Provided, Step, StepBy, StepKind},
    cases::{self, CaseError},
    checklist::{self, Found, ItemState, Look},
    corrections,
    materials::{self, Material},
    outbox, promise, terms,
};
use crate::{
    Hub,
    keys::SignerUnavailable,
    pull::evidence,
    records::{self, Draft, Held},
    stamps,
};

/// Format of packages.
pub const FORMAT: &str = "yihao-package-1";

/// A document with its signature and what it names.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedFile {
    /// The document's format.
    pub format: String,
    /// The document's bytes, base64.
    pub content: String,
    /// Detached CMS over them, DER, base64.
    pub signature: String,
    /// Evidence files by SHA-256, base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<Sha256Digest, String>,
}

/// `yihao-package-1`: the document inside.
#[derive(Clone, Serialize, Deserialize)]
pub struct Package {
    /// `yihao-package-1`.
    pub format: String,
    /// The case.
    pub case: String,
    /// How often the case was handed over, from 1.
    pub round: u32,
    /// The matter.
    pub matter: MatterSaid,
    /// The department that decides.
    pub department: CreditCode,
    /// Who applies.
    pub holder: Applicant,
    /// The node where a clerk took it; left out if the holder did it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// When it was handed over.
    pub submitted_at: Timestamp,
    /// The day by which the department promises to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Date>,
    /// Opens the licences' content.
    pub grant: GrantSaid,
    /// The forms' fields.
    pub form: Vec<FieldSaid>,
    /// What satisfies each requirement.
    pub items: Vec<PackedItem>,
    /// The licences that the items and the form rest on.
    pub licences: Vec<PackedLicence>,
    /// What follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<PromiseSaid>,
}

impl fmt::Debug for Package {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Package(case {}, round {})", self.case, self.round)
    }
}

/// A matter, named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatterSaid {
    /// Its code.
    pub code: MatterCode,
    /// Its name.
    pub name: String,
    /// The version that the case keeps.
    pub version: u32,
}

impl MatterSaid {
    pub(super) fn of(matter: &Matter) -> Self {
        Self { code: matter.code.clone(), name: matter.name.clone(), version: matter.version }
    }
}

/// Who applies. `Debug` shows neither number nor name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applicant {
    /// 持证主体代码类型.
    pub kind: String,
    /// The number.
    pub number: String,
    /// The name, as a licence or the account says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl fmt::Debug for Applicant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Applicant(kind {})", self.kind)
    }
}

/// A grant, named.
#[derive(Clone, Serialize, Deserialize)]
pub struct GrantSaid {
    /// 用证码.
    pub id: String,
    /// Until when it opens.
    pub until: Timestamp,
}

/// A form field as submitted.
#[derive(Clone, Serialize, Deserialize)]
pub struct FieldSaid {
    /// The form.
    pub form: String,
    /// The field.
    pub field: String,
    /// What applicants read.
    pub label: String,
    /// Its value.
    pub text: String,
    /// The licence it was taken from, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<LicenceId>,
}

/// A requirement and what satisfies it.
#[derive(Clone, Serialize, Deserialize)]
pub struct PackedItem {
    /// The requirement's id.
    pub requirement: String,
    /// Its name.
    pub name: String,
    /// What satisfies it.
    #[serde(flatten)]
    pub by: PackedBy,
}

/// What satisfies a requirement.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum PackedBy {
    /// A licence among `licences`.
    Licence {
        /// Which.
        identifier: LicenceId,
    },
    /// A fact on a licence among `licences`.
    Fact {
        /// Which.
        identifier: LicenceId,
        /// The face field.
        field: String,
        /// What it says.
        value: String,
    },
    /// A file.
    Material {
        /// Its id: `/v1/materials/{id}/content` gives the bytes.
        material: String,
        /// The kind of material.
        kind: String,
        /// The file's name.
        file_name: String,
        /// Its media type.
        media_type: String,
        /// Its size.
        size: u64,
        /// Its digest.
        sha256: Sha256Digest,
        /// When it was handed in.
        handed_in_at: Timestamp,
        /// It was handed in for an earlier case.
        reused: bool,
    },
    /// It follows.
    Promised {
        /// Until when.
        until: Date,
    },
}

/// A licence in a package.
#[derive(Clone, Serialize, Deserialize)]
pub struct PackedLicence {
    /// 证照标识.
    pub identifier: LicenceId,
    /// Its type.
    pub licence_type: LicenceTypeCode,
    /// The verdict when the package was made.
    pub verification: String,
    /// Face fields that the holder disputes, not answered yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disputed: Vec<String>,
    /// SHA-256 of its evidence file (`yihao-evidence-1`), which stands in `evidence`.
    pub evidence: Sha256Digest,
}

/// A promise, named.
#[derive(Clone, Serialize, Deserialize)]
pub struct PromiseSaid {
    /// SHA-256 of the signed promise, which stands in `evidence`.
    pub document: Sha256Digest,
    /// What follows.
    pub requirements: Vec<String>,
    /// The last day.
    pub until: Date,
    /// When all of it had come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_at: Option<Timestamp>,
}

/// Why a package was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// Not a signed file, or not with a package in it.
    #[error("the file is no signed package of format yihao-package-1")]
    Shape,
}

impl PackageError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shape => "package_shape",
        }
    }
}

impl SignedFile {
    /// Reads a signed file. Checks no signature.
    ///
    /// # Errors
    /// `Shape`.
    pub fn parse(bytes: &[u8]) -> Result<Self, PackageError> {
        serde_json::from_slice(bytes).map_err(|_| PackageError::Shape)
    }

    /// The document's bytes, over which the signature is.
    ///
    /// # Errors
    /// `Shape` if they are not base64.
    pub fn content(&self) -> Result<Vec<u8>, PackageError> {
        STANDARD.decode(&self.content).map_err(|_| PackageError::Shape)
    }

    /// The detached signature, DER.
    ///
    /// # Errors
    /// `Shape` if it is not base64.
    pub fn signature(&self) -> Result<Vec<u8>, PackageError> {
        STANDARD.decode(&self.signature).map_err(|_| PackageError::Shape)
    }

    /// The package inside.
    ///
    /// # Errors
    /// `Shape` if it is something else.
    pub fn package(&self) -> Result<Package, PackageError> {
        let package: Package =
            serde_json::from_slice(&self.content()?).map_err(|_| PackageError::Shape)?;
        if self.format == FORMAT && package.format == FORMAT {
            Ok(package)
        } else {
            Err(PackageError::Shape)
        }
    }
}

/// Signs a document with the hub's key. A key on a token may take its time: no request waits behind another.
pub(super) async fn sign(
    hub: &Hub,
    format: &str,
    document: &impl Serialize,
    evidence: BTreeMap<Sha256Digest, String>,
) -> Result<Bytes, CaseError> {
    let signer = hub.signer().map_err(unavailable)?;
    let content: Bytes =
        serde_json::to_vec(document).expect("documents are plain structures with text keys").into();
    let (signed, now) = (content.clone(), hub.clock.now());
    let signature =
        tokio::task::spawn_blocking(move || certs::sign_detached(&signer, &signed, now));
    let signature = signature.await.unwrap_or(Err(SignError::Key)).map_err(|error| {
        let trouble = hub.keys.trouble().filter(|_| error == SignError::Key);
        trouble.map_or(CaseError::Sign(error), |trouble| CaseError::Signer(trouble.into()))
    })?;
    let file = SignedFile {
        format: format.to_owned(),
        content: STANDARD.encode(content),
        signature: STANDARD.encode(signature),
        evidence,
    };
    let bytes = serde_json::to_vec(&file).expect("a structure of texts always serialises");
    Ok(bytes.into())
}

fn unavailable(error: SignerUnavailable) -> CaseError {
    match error {
        SignerUnavailable::NotConfigured => CaseError::NoService,
        error => {
            tracing::error!(error.code = error.code(), error = %error, "a package could not be signed");
            CaseError::Signer(error)
        }
    }
}

/// Who applies, with the name that a trusted licence or the holder's own account says.
pub(super) fn applicant(who: Option<&Who>, case: &Case, found: &[Found]) -> Applicant {
    let on_licences = found.iter().filter(|one| one.is_trusted()).find_map(|one| {
        let licence = licence::Licence::parse(&one.stored.document).ok()?;
        licence.holders.into_iter().find(|holder| holder.id == case.holder).map(|one| one.name)
    });
    let name = on_licences.or_else(|| match who {
        Some(Who::Holder { person, .. })
            if person.account.holders.first() == Some(&case.holder) =>
        {
            Some(person.account.name.clone())
        }
        _ => None,
    });
    Applicant {
        kind: case.holder.kind().code().to_owned(),
        number: case.holder.number().to_string(),
        name,
    }
}

/// Makes the package, opens the grant and puts the case on its way: all into the draft.
///
/// * `who`: who hands it over; `None`: the hub, because what was promised arrived.
/// * `noted`: a file whose use by the case is in the draft already; one record is written once.
pub(super) async fn hand_over(
    hub: &Hub,
    who: Option<&Who>,
    case: &mut Case,
    matter: &Matter,
    look: &Look,
    noted: Option<&str>,
    draft: &mut Draft,
) -> Result<(), CaseError> {
    let now = hub.clock.now();
    let (items, files) = pack_items(hub, case, look).await?;
    let relied_on = rely_on(case, look);
    let mut evidence_files = BTreeMap::new();
    let mut licences = Vec::new();
    let identifiers: Vec<LicenceId> =
        relied_on.iter().map(|one| one.stored.identifier.clone()).collect();
    let disputed = corrections::disputed(hub, &identifiers).await?;
    for (one, disputed) in relied_on.iter().zip(disputed) {
        let file = evidence(hub, &one.stored).await?.to_bytes();
        let digest = certs::sha256(&file);
        evidence_files.insert(digest, STANDARD.encode(file));
        licences.push(PackedLicence {
            identifier: one.stored.identifier.clone(),
            licence_type: one.stored.licence_type,
            verification: one.verification.result.word().to_owned(),
            disputed: disputed.map(|disputed| disputed.fields).unwrap_or_default(),
            evidence: digest,
        });
    }
    let promise = case.promise.as_ref().map(|promise| PromiseSaid {
        document: promise.document,
        requirements: promise.requirements.clone(),
        until: promise.until,
        kept_at: promise.kept_at,
    });
    if let Some(promise) = &promise {
        let file = hub.blobs.get(&promise.document).await?.ok_or(CaseError::PackageGone)?;
        evidence_files.insert(promise.document, STANDARD.encode(file));
    }
    let grant = GrantSaid { id: records::random_name("g_")?, until: grant_until(hub, matter) };
    let earlier = case.steps.iter().filter(|step| matches!(step.what, StepKind::Submitted { .. }));
    let labels = matter.guide.forms.iter().flat_map(|form| {
        form.fields.iter().filter_map(|field| {
            let value = case.form.get(&field.id)?;
            Some(FieldSaid {
                form: form.id.clone(),
                field: field.id.clone(),
                label: field.label.zh.clone(),
                text: value.text.clone(),
                source: value.source.clone(),
            })
        })
    });
    let package = Package {
        format: FORMAT.to_owned(),
        case: case.id.clone(),
        round: u32::try_from(earlier.count()).unwrap_or(u32::MAX).saturating_add(1),
        matter: MatterSaid::of(matter),
        department: case.department,
        holder: applicant(who, case, &look.found),
        window: case.window.clone(),
        submitted_at: now,
        due: case.due,
        grant: grant.clone(),
        form: labels.collect(),
        items,
        licences,
        promise,
    };
    let signed = sign(hub, FORMAT, &package, evidence_files).await?;
    stamps::file(hub, draft, &signed);
    let digest = hub.blobs.put(signed).await?;
    for file in files.iter().filter(|file| noted != Some(file.value.id.as_str())) {
        materials::use_in(draft, file, &case.id);
    }
    draft.record_use(opening(hub, who, case, matter, &relied_on, grant.clone())?);
    draft.index(CASES_OF_DEPARTMENT, &cases::key_of_department(&case.department, case));
    outbox::file(draft, &case.department, &case.id, &digest, now);
    if let Some(earlier) = case.grant.replace(grant.id) {
        // What the department looks at is this package.
        terms::withdraw(hub, draft, &earlier).await?;
    }
    case.package = Some(digest);
    let what = StepKind::Submitted { package: digest };
    let by = who.map_or(StepBy::Hub, cases::step_by);
    case.steps.push(Step { at: now, by, what, reference: None });
    Ok(())
}

/// Notes in the case what satisfies each requirement, and says it for the package. Answers the files that the case uses
/// for the first time.
async fn pack_items(
    hub: &Hub,
    case: &mut Case,
    look: &Look,
) -> Result<(Vec<PackedItem>, Vec<Held<Material>>), CaseError> {
    let mut items = Vec::with_capacity(look.items.len());
    let mut files = Vec::new();
    for item in &look.items {
        let (provided, by) = match &item.state {
            ItemState::Held { identifier, licence_type, .. } => (
                Provided::Licence { identifier: identifier.clone(), licence_type: *licence_type },
                PackedBy::Licence { identifier: identifier.clone() },
            ),
            ItemState::Fact { identifier, field, value, .. } => (
                Provided::Fact { identifier: identifier.clone(), field: field.clone() },
                PackedBy::Fact {
                    identifier: identifier.clone(),
                    field: field.clone(),
                    value: value.clone(),
                },
            ),
            ItemState::Reusable { material, .. } | ItemState::HandedIn { material, .. } => {
                let file = records::read::<Material>(&*hub.store, material.as_bytes())
                    .await?
                    .ok_or(materials::MaterialError::UnknownMaterial)?;
                let reused = match &item.state {
                    ItemState::HandedIn { reused, .. } => *reused,
                    _ => file.value.case.as_ref() != Some(&case.id),
                };
                let packed = PackedBy::Material {
                    material: material.clone(),
                    kind: file.value.kind.clone(),
                    file_name: file.value.name.clone(),
                    media_type: file.value.media_type.clone(),
                    size: file.value.size,
                    sha256: file.value.sha256,
                    handed_in_at: file.value.handed_in_at,
                    reused,
                };
                // One file may stand for two requirements; it is one use.
                let known = files.iter().any(|one: &Held<Material>| one.key == file.key);
                if !known && !file.value.used_by.contains(&case.id) {
                    files.push(file);
                }
                (Provided::Material { material: material.clone(), reused }, packed)
            }
            ItemState::Promised { until } => {
                (Provided::Promised, PackedBy::Promised { until: *until })
            }
            // After submission something may have stopped counting; the department has seen it then.
            ItemState::ToHandIn { .. } => continue,
        };
        case.provided.insert(item.requirement.id.clone(), provided);
        items.push(PackedItem {
            requirement: item.requirement.id.clone(),
            name: item.requirement.name.zh.clone(),
            by,
        });
    }
    Ok((items, files))
}

/// The trusted licences that the items and the form rest on.
fn rely_on<'a>(case: &Case, look: &'a Look) -> Vec<&'a Found> {
    let of_items = look.items.iter().filter_map(|item| match &item.state {
        ItemState::Held { identifier, .. } | ItemState::Fact { identifier, .. } => Some(identifier),
        _ => None,
    });
    let of_form = case.form.values().filter_map(|value| value.source.as_ref());
    let mut all: Vec<&LicenceId> = of_items.chain(of_form).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().filter_map(|identifier| look.trusted(identifier)).collect()
}

/// The grant lasts for the time that the law allows for the decision, to the end of that day, and at least as long as
/// any other.
fn grant_until(hub: &Hub, matter: &Matter) -> Timestamp {
    let days = matter.guide.days;
    let last = promise::working_day(hub, hub.clock.today(), days.legal.max(days.promised));
    let least = hub
        .clock
        .now()
        .checked_add(SignedDuration::from_hours(i64::from(hub.grant_hours)))
        .unwrap_or(Timestamp::MAX);
    let in_china = TimeZone::fixed(jiff::tz::offset(8));
    let end = last.tomorrow().and_then(|next| in_china.to_timestamp(next.at(0, 0, 0, 0)));
    end.map_or(least, |end| end.max(least))
}

/// The use that opens the licences to the department: the holder asked for it by applying.
fn opening(
    hub: &Hub,
    who: Option<&Who>,
    case: &Case,
    matter: &Matter,
    licences: &[&Found],
    grant: GrantSaid,
) -> Result<NewUse, CaseError> {
    let operator = match who {
        Some(Who::Clerk(clerk)) => Some(clerk.operator()),
        Some(Who::Holder { .. } | Who::Department(_)) | None => None,
    };
    Ok(NewUse {
        at: hub.clock.now(),
        caller: case.department,
        certificate: cases::service(hub)?.certificate,
        operator,
        matter: Some(matter.code.clone()),
        case: Some(case.id.clone()),
        basis: Some(Basis { kind: BasisKind::Holder, reference: Some(case.id.clone()) }),
        reason: "申请人提交办件，随件提供证照".to_owned(),
        holder: Some(hub.index_key.token(&case.holder)),
        also: licences.iter().flat_map(|one| one.stored.holders.clone()).collect(),
        project: None,
        shown: licences.iter().map(|one| checklist::shown(one)).collect(),
        grant: Some(NewGrant { id: grant.id, until: grant.until }),
        act: UseAct::Pull,
    })
}
