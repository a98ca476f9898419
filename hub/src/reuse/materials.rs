//! Materials 申请材料: files that were handed in once, and are used again.
//!
//! A material belongs to its holder. It is seen by whoever acts for the holder, and by who sees a case that it was
//! handed in for or attached to; for everybody else it is not there. Its bytes are a file named by their digest; who
//! handed it in, what was checked and which cases used it stand in its record. How files arrive: [`super::upload`].

use std::fmt;

use indexes::{Basis, BasisKind, BlobError, Collection, HolderToken, NewUse, StoreError, UseAct};
use jiff::{Timestamp, ToSpan, civil::Date};
use licence::{HolderId, Sha256Digest};
use serde::{Deserialize, Serialize};

use super::{
    Clerk, Who,
    case::{Case, StepBy},
    cases, corrections,
};
use crate::{
    Hub,
    clock::day_in_china,
    login::Person,
    records::{self, Draft, Held, Kept, newest_first},
};

/// Most characters of a file's name.
pub const MAX_NAME: usize = 120;
/// Most characters of a kind of material.
pub const MAX_KIND: usize = 64;
/// Most materials of a holder that are looked through for one that can be used again.
const MOST_LOOKED_THROUGH: usize = 5_000;

/// A file that was handed in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// Its name here: `m_` and random digits. Whoever knows it still has to be allowed to see it.
    pub id: String,
    /// Whose it is.
    pub holder: HolderId,
    /// The kind of material 材料类型: what makes an earlier file the same one.
    pub kind: String,
    /// The file's name, as it was handed in.
    pub name: String,
    /// What it is, by its content: one of [`super::sniff::FileKind`].
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Digest of the bytes, and their name in the file store.
    pub sha256: Sha256Digest,
    /// When it was complete.
    pub handed_in_at: Timestamp,
    /// The case it was handed in for.
    pub case: Option<String>,
    /// Who handed it in.
    pub by: StepBy,
    /// What was checked, in order.
    pub checked: Vec<Check>,
    /// The last day on which it may be used, if whoever handed it in named one.
    pub valid_until: Option<Date>,
    /// The cases it was attached to, in order.
    pub used_by: Vec<String>,
    /// A department sent it back: it is not used again in any case.
    #[serde(default)]
    pub sent_back: bool,
}

impl Kept for Material {
    const COLLECTION: Collection = Collection::new("materials");
}

impl fmt::Debug for Material {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Material({}, {}, {} bytes)", self.id, self.media_type, self.size)
    }
}

impl Material {
    /// How many copies it spared: every case after the first would have asked for one.
    #[must_use]
    pub fn spared(&self) -> usize {
        self.used_by.len().saturating_sub(1)
    }

    /// The last day on which it may be used in a further case, where the kind stays usable for `days` days
    /// (0: in its own case only). None for one that a department sent back.
    #[must_use]
    pub fn usable_until(&self, days: u16) -> Option<Date> {
        if days == 0 || self.sent_back {
            return None;
        }
        let handed_in = day_in_china(self.handed_in_at);
        let last = handed_in.saturating_add(i32::from(days).days());
        Some(self.valid_until.map_or(last, |until| until.min(last)))
    }

    /// The antivirus program that found nothing; `None` if none was asked.
    #[must_use]
    pub fn scanned(&self) -> Option<&Check> {
        self.checked.iter().find(|check| check.what == Checked::Scanned)
    }
}

/// One thing that was checked of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub what: Checked,
    /// By which program and version.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What was checked of a file. What fails a check is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// Its content is whole, and of one type that its name also says.
    Type,
    /// An antivirus program found nothing.
    Scanned,
    /// No antivirus program is set up here.
    NotScanned,
}

/// Materials of a holder: holder token 16 · newest first 8 · id 34 · kind.
pub const MATERIALS_OF_HOLDER: Collection = Collection::new("materials_of_holder");

/// Most materials of one kind that are looked at: of these, the newest are likely to be the ones.
const MOST_OF_A_KIND: usize = 20;

/// Recorded for a clerk's use: no certificate was shown.
const NO_CERTIFICATE: Sha256Digest = Sha256Digest::from_bytes([0; 32]);

const ID_LENGTH: usize = 34;

/// The key of a material among those of its holder.
pub(super) fn key_of_holder(token: &HolderToken, material: &Material) -> Vec<u8> {
    let newest = newest_first(material.handed_in_at);
    [&token.as_bytes()[..], &newest, material.id.as_bytes(), material.kind.as_bytes()].concat()
}

/// What is handed in.
#[derive(Clone)]
pub struct NewMaterial {
    /// The kind of material 材料类型.
    pub kind: String,
    /// The file's name.
    pub name: String,
    /// Its bytes; [`super::upload::take`] counts them itself.
    pub size: u64,
    /// The case it is for. A clerk always hands in for a case.
    pub case: Option<String>,
    /// The last day on which it may be used, where the document has one.
    pub valid_until: Option<Date>,
}

impl fmt::Debug for NewMaterial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NewMaterial({}, {} bytes)", self.kind, self.size)
    }
}

/// Why a file was not taken or shown. No text holds a name, a number or content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialError {
    /// There is none, or it is somebody else's.
    #[error("there is no such material")]
    UnknownMaterial,
    /// There is none, it is somebody else's, or it was given up.
    #[error(
        "there is no such upload: one that is not finished is given up after a day, begin again"
    )]
    UnknownUpload,
    /// There is none, or it is somebody else's.
    #[error("there is no such case")]
    UnknownCase,
    /// Not for this caller.
    #[error("this is not for you to do: {0}")]
    NotPermitted(&'static str),
    /// Not letters, digits and hyphens.
    #[error("`kind` must be 1 to 64 lower-case letters, digits and hyphens")]
    Kind,
    /// No name that can be shown.
    #[error("`name` must have 1 to 120 characters, without control characters and slashes")]
    Name,
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Too large.
    #[error("the file is larger than {most} bytes")]
    TooLarge {
        /// The limit.
        most: u64,
    },
    /// Too much on the way.
    #[error("too many unfinished uploads for this holder: finish or give up one first")]
    Quota,
    /// The upload is elsewhere.
    #[error("the next byte of this upload is {held}: ask with HEAD and go on from there")]
    Offset {
        /// How many bytes are held.
        held: u64,
    },
    /// Two at once.
    #[error("this upload is being written by another request: ask again in a moment")]
    UploadBusy,
    /// More came than was announced.
    #[error("more bytes came than were announced: nothing beyond the announced size was kept")]
    TooLong,
    /// Not all is there.
    #[error("{held} of {size} bytes have arrived: send the rest first")]
    Incomplete {
        /// How many bytes are held.
        held: u64,
        /// How many were announced.
        size: u64,
    },
    /// It is a material already.
    #[error("this upload is finished")]
    Finished,
    /// The connection broke or stood still.
    #[error(
        "the file did not come to its end: what arrived of an upload is kept, ask with HEAD and go on"
    )]
    Interrupted,
    /// The content is not acceptable.
    #[error(transparent)]
    Sniffed(#[from] super::sniff::SniffError),
    /// An antivirus program found something.
    #[error("the antivirus program found something in the file: it was not kept")]
    Infected,
    /// The antivirus program does not answer.
    #[error(
        "the antivirus program does not answer, so the file was not taken yet: try again later"
    )]
    Scanner,
    /// Others were faster, again and again.
    #[error("the material is being changed by somebody else: nothing was changed, try again")]
    Busy,
    /// The file store failed.
    #[error("the file store failed")]
    Files(#[source] BlobError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl MaterialError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownMaterial => "unknown_material",
            Self::UnknownUpload => "unknown_upload",
            Self::UnknownCase => "unknown_case",
            Self::NotPermitted(_) => "material_not_permitted",
            Self::Kind => "material_kind",
            Self::Name => "material_name",
            Self::Empty => "material_empty",
            Self::TooLarge { .. } => "material_too_large",
            Self::Quota => "upload_quota",
            Self::Offset { .. } => "upload_offset",
            Self::UploadBusy => "upload_busy",
            Self::TooLong => "upload_too_long",
            Self::Incomplete { .. } => "upload_incomplete",
            Self::Finished => "upload_finished",
            Self::Interrupted => "upload_interrupted",
            Self::Sniffed(error) => error.code(),
            Self::Infected => "material_infected",
            Self::Scanner => "scanner_unavailable",
            Self::Busy => "material_busy",
            Self::Files(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl From<BlobError> for MaterialError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Busy => Self::UploadBusy,
            error => Self::Files(error),
        }
    }
}

/// The material with this id, for somebody who may see it.
///
/// # Errors
/// `UnknownMaterial` if there is none or it is not theirs to see.
pub async fn material(hub: &Hub, who: &Who, id: &str) -> Result<Held<Material>, MaterialError> {
    if id.len() != ID_LENGTH {
        return Err(MaterialError::UnknownMaterial);
    }
    let held = records::read::<Material>(&*hub.store, id.as_bytes()).await?;
    let held = held.ok_or(MaterialError::UnknownMaterial)?;
    if may_see(hub, who, &held.value).await? {
        Ok(held)
    } else {
        Err(MaterialError::UnknownMaterial)
    }
}

/// In which way a person stands to a material: for its holder, or as the clerk the person is.
///
/// # Errors
/// `UnknownMaterial` if in no way.
pub async fn stand(hub: &Hub, person: &Person, id: &str) -> Result<Who, MaterialError> {
    for who in ways(hub, person) {
        match material(hub, &who, id).await {
            Ok(_) => return Ok(who),
            Err(MaterialError::UnknownMaterial) => {}
            Err(error) => return Err(error),
        }
    }
    Err(MaterialError::UnknownMaterial)
}

/// What a person may be here: somebody who acts for holders, and a clerk.
pub(super) fn ways(hub: &Hub, person: &Person) -> Vec<Who> {
    let holder = person.account.holders.first();
    let holder =
        holder.map(|holder| Who::Holder { person: person.clone(), holder: holder.clone() });
    holder.into_iter().chain(Clerk::of(hub, person).map(Who::Clerk)).collect()
}

/// The materials of the holder that `who` acts for, the newest first.
///
/// # Errors
/// `NotPermitted` for who acts for no holder; the store's.
pub async fn of_holder(hub: &Hub, who: &Who, limit: usize) -> Result<Vec<Material>, MaterialError> {
    let Who::Holder { person, holder } = who else {
        return Err(MaterialError::NotPermitted("materials are listed for their holder only"));
    };
    if !person.acts_for(holder) {
        return Err(MaterialError::NotPermitted("you do not act for this holder"));
    }
    let mut materials = Vec::new();
    for (id, _) in listed(hub, holder, limit).await? {
        materials.extend(records::read::<Material>(&*hub.store, id.as_bytes()).await?);
    }
    Ok(materials.into_iter().map(|held| held.value).collect())
}

/// The newest material of this kind that may be used again on `today`, where the kind stays usable for `days` days.
/// Who may ask is decided by the caller: a checklist for this holder.
///
/// # Errors
/// The store's.
pub async fn reusable(
    hub: &Hub,
    holder: &HolderId,
    kind: &str,
    days: u16,
    today: Date,
) -> Result<Option<Material>, MaterialError> {
    let ids = listed(hub, holder, MOST_LOOKED_THROUGH).await?;
    for (id, _) in ids.into_iter().filter(|(_, its)| its == kind).take(MOST_OF_A_KIND) {
        let held = records::read::<Material>(&*hub.store, id.as_bytes()).await?;
        let usable = |material: &Material| material.usable_until(days) >= Some(today);
        if let Some(held) = held.filter(|held| usable(&held.value)) {
            return Ok(Some(held.value));
        }
    }
    Ok(None)
}

/// The newest material of this kind that was not sent back, outdated or not.
///
/// # Errors
/// The store's.
pub async fn newest_of_kind(
    hub: &Hub,
    holder: &HolderId,
    kind: &str,
) -> Result<Option<Material>, MaterialError> {
    let ids = listed(hub, holder, MOST_LOOKED_THROUGH).await?;
    for (id, _) in ids.into_iter().filter(|(_, its)| its == kind).take(MOST_OF_A_KIND) {
        let held = records::read::<Material>(&*hub.store, id.as_bytes()).await?;
        if let Some(held) = held.filter(|held| !held.value.sent_back) {
            return Ok(Some(held.value));
        }
    }
    Ok(None)
}

/// Notes that a case uses the material; goes into the draft that changes the case. A case counts once.
pub fn use_in(draft: &mut Draft, held: &Held<Material>, case: &str) {
    if !held.value.used_by.iter().any(|used| used == case) {
        let mut material = held.value.clone();
        material.used_by.push(case.to_owned());
        draft.replace(held, &material);
    }
}

/// Notes that a department sent the material back; goes into the draft that changes the case.
pub(super) fn send_back(draft: &mut Draft, held: &Held<Material>) {
    if !held.value.sent_back {
        draft.replace(held, &Material { sent_back: true, ..held.value.clone() });
    }
}

/// Ids and kinds of a holder's materials, the newest first.
async fn listed(
    hub: &Hub,
    holder: &HolderId,
    limit: usize,
) -> Result<Vec<(String, String)>, StoreError> {
    let token = hub.index_key.token(holder);
    let keys =
        records::keys(&*hub.store, MATERIALS_OF_HOLDER, token.as_bytes(), None, limit).await?;
    keys.into_iter()
        .map(|key| {
            let text = key.get(8..).and_then(|rest| std::str::from_utf8(rest).ok());
            let (id, kind) = text.and_then(|text| text.split_at_checked(ID_LENGTH))?;
            Some((id.to_owned(), kind.to_owned()))
        })
        .map(|one| {
            one.ok_or_else(|| StoreError::Corrupt {
                place: format!("records, collection {}", MATERIALS_OF_HOLDER.name()),
                detail: "a key is too short or no text".to_owned(),
            })
        })
        .collect()
}

/// Whether somebody sees a material: the holder's side, who sees one of its cases, or who answers a dispute that it was
/// attached to.
async fn may_see(hub: &Hub, who: &Who, material: &Material) -> Result<bool, StoreError> {
    if let Who::Holder { person, .. } = who {
        return Ok(person.acts_for(&material.holder));
    }
    Ok(seen_through(hub, who, material).await?.is_some()
        || corrections::is_shown(hub, who, material).await?)
}

/// The latest case through which a clerk or a department sees a material.
pub(super) async fn seen_through(
    hub: &Hub,
    who: &Who,
    material: &Material,
) -> Result<Option<Case>, StoreError> {
    for id in material.used_by.iter().rev().chain(&material.case) {
        let case = records::read::<Case>(&*hub.store, id.as_bytes()).await?;
        if let Some(case) = case
            && cases::may_see(hub, who, &case.value).is_ok()
        {
            return Ok(Some(case.value));
        }
    }
    Ok(None)
}

/// Notes that a clerk or a department opens a material; its holder's own looks are nobody's use.
pub(super) async fn record_opening(
    hub: &Hub,
    who: &Who,
    material: &Material,
) -> Result<(), MaterialError> {
    let (caller, certificate, operator) = match who {
        Who::Holder { .. } => return Ok(()),
        Who::Clerk(clerk) => (clerk.department, NO_CERTIFICATE, Some(clerk.operator())),
        Who::Department(caller) => (caller.department, caller.certificate, None),
    };
    let case = seen_through(hub, who, material).await?;
    let reason = match case {
        Some(_) => "查看申请材料",
        None => "查看证照异议的证明材料",
    };
    let (matter, case) = case.map(|case| (case.matter, case.id)).unzip();
    let new = NewUse {
        at: hub.clock.now(),
        caller,
        certificate,
        operator,
        matter,
        case,
        basis: Some(Basis { kind: BasisKind::Holder, reference: None }),
        reason: reason.to_owned(),
        holder: Some(hub.index_key.token(&material.holder)),
        also: Vec::new(),
        project: None,
        shown: Vec::new(),
        grant: None,
        act: UseAct::Open,
    };
    hub.store.record_use(new).await?;
    Ok(())
}

/// Whether somebody acts for the applicant of a case: the applicant, and clerks of the window where it was opened and
/// of the places above it.
pub(super) fn on_the_applicants_side(hub: &Hub, who: &Who, case: &Case) -> bool {
    match who {
        Who::Holder { person, .. } => person.acts_for(&case.holder),
        Who::Clerk(clerk) => {
            let near = |window: &String| hub.organisations.is_within(window, &clerk.node);
            case.window.as_ref().is_some_and(near)
        }
        Who::Department(_) => false,
    }
}
