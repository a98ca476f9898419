//! How files arrive: announced, sent in pieces that may be resumed, examined, kept.
//!
//! An upload's record says how many bytes are durable; the bytes are an arriving file of the file store. What breaks off
//! goes on from there. When all bytes are there, the file is looked into, scanned, kept under its digest and recorded as
//! a material. Each of these steps may be repeated after a crash.

use std::{fmt, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use indexes::{Arriving, ArrivingWriter, BlobError, BlobReader, Collection};
use jiff::{SignedDuration, Timestamp, civil::Date};
use licence::{HolderId, Way};
use serde::{Deserialize, Serialize};

use super::{
    Who,
    case::{Case, StepBy},
    cases::{self, CaseError},
    checklist,
    materials::{
        self, Check, Checked, MATERIALS_OF_HOLDER, MAX_KIND, MAX_NAME, Material, MaterialError,
        NewMaterial,
    },
    scan::{self, Scanned},
    sniff,
};
use crate::{
    Hub,
    login::Person,
    records::{self, Draft, Held, Kept},
};

/// Bytes after which what arrived is made durable and recorded, while more comes.
const RECORDED_EVERY: u64 = 16 << 20;
/// How long a sender may stand still.
const STANDS_STILL: Duration = Duration::from_secs(30);
/// After this long an unfinished upload is given up.
pub const GIVEN_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// Most unfinished uploads of a holder.
const MOST_UPLOADS: usize = 20;
/// Most bytes of a holder's unfinished uploads, in files of the largest size.
const MOST_LARGE_FILES: u64 = 4;

/// A file on its way.
#[derive(Clone, Serialize, Deserialize)]
pub struct Upload {
    /// Its name here: `u_` and random digits.
    pub id: String,
    /// Whose file it will be.
    pub holder: HolderId,
    /// The kind of material.
    pub kind: String,
    /// The file's name.
    pub name: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are durable here.
    pub held: u64,
    /// The case it is for.
    pub case: Option<String>,
    /// The last day on which it may be used, if one was named.
    pub valid_until: Option<Date>,
    /// Who sends it.
    pub by: StepBy,
    /// When it was announced.
    pub begun_at: Timestamp,
    /// The material it became.
    pub material: Option<String>,
}

impl Kept for Upload {
    const COLLECTION: Collection = Collection::new("uploads");
}

impl fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Upload({}, {} of {} bytes)", self.id, self.held, self.size)
    }
}

impl Upload {
    /// The moment at which it is given up.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.begun_at.saturating_add(GIVEN_UP_AFTER).unwrap_or(Timestamp::MAX)
    }
}

/// Uploads of a holder: holder token 16 · id.
const UPLOADS_OF_HOLDER: Collection = Collection::new("uploads_of_holder");

/// Announces a file.
///
/// # Errors
/// `who` may not hand in for this holder or case; what is announced is not acceptable; too much is on its way already.
pub async fn begin(
    hub: &Hub,
    who: &Who,
    holder: &HolderId,
    what: &NewMaterial,
) -> Result<Upload, MaterialError> {
    let by = may_hand_in(hub, who, holder, what.case.as_deref()).await?;
    check(what)?;
    let most = hub.settings().materials.most_bytes;
    match what.size {
        0 => return Err(MaterialError::Empty),
        size if size > most => return Err(MaterialError::TooLarge { most }),
        _ => {}
    }
    let token = hub.index_key.token(holder);
    let mut on_the_way = 0_u64;
    let ids =
        records::keys(&*hub.store, UPLOADS_OF_HOLDER, token.as_bytes(), None, MOST_UPLOADS).await?;
    let mut unfinished = 0;
    for id in ids {
        let Some(held) = records::read::<Upload>(&*hub.store, &id).await? else { continue };
        if held.value.ends_at() <= hub.clock.now() {
            give_up(hub, &held).await?;
        } else {
            unfinished += 1;
            on_the_way = on_the_way.saturating_add(held.value.size);
        }
    }
    if unfinished >= MOST_UPLOADS
        || on_the_way.saturating_add(what.size) > most.saturating_mul(MOST_LARGE_FILES)
    {
        return Err(MaterialError::Quota);
    }
    let upload = Upload {
        id: records::random_name("u_")?,
        holder: holder.clone(),
        kind: what.kind.clone(),
        name: what.name.clone(),
        size: what.size,
        held: 0,
        case: what.case.clone(),
        valid_until: what.valid_until,
        by,
        begun_at: hub.clock.now(),
        material: None,
    };
    let mut draft = Draft::new();
    draft.create(upload.id.as_bytes(), &upload);
    draft.index(UPLOADS_OF_HOLDER, &key_of_holder(hub, &upload));
    draft.commit(&*hub.store).await?.map_err(|_| MaterialError::Busy)?;
    Ok(upload)
}

/// The upload, for who sends it.
///
/// # Errors
/// `UnknownUpload`.
pub async fn upload(hub: &Hub, who: &Who, id: &str) -> Result<Upload, MaterialError> {
    Ok(seen(hub, who, id).await?.value)
}

/// In which way a person stands to an upload, and the upload.
///
/// # Errors
/// `UnknownUpload` if in no way.
pub async fn stand(hub: &Hub, person: &Person, id: &str) -> Result<(Who, Upload), MaterialError> {
    for who in materials::ways(hub, person) {
        match upload(hub, &who, id).await {
            Ok(upload) => return Ok((who, upload)),
            Err(MaterialError::UnknownUpload) => {}
            Err(error) => return Err(error),
        }
    }
    Err(MaterialError::UnknownUpload)
}

/// Takes the bytes from `offset` on. Whatever the outcome, the bytes that arrived are kept.
///
/// * `offset`: how many bytes are held; anything else is refused, so that no byte is missing or there twice.
///
/// # Errors
/// `Offset`, `UploadBusy`, `TooLong`, `Interrupted`, `Finished`, `UnknownUpload`; the stores'.
pub async fn append<E>(
    hub: &Hub,
    who: &Who,
    id: &str,
    offset: u64,
    bytes: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Upload, MaterialError> {
    seen(hub, who, id).await?;
    let arriving = hub.blobs.arriving(id)?;
    // Read again: whoever had it in hand before may have gone on.
    let mut held = seen(hub, who, id).await?;
    if held.value.material.is_some() {
        return Err(MaterialError::Finished);
    }
    if held.value.held != offset {
        return Err(MaterialError::Offset { held: held.value.held });
    }
    let mut writer = arriving.write_from(offset).await?;
    let received = receive(hub, &mut held, &mut writer, bytes).await;
    let kept = record(hub, &mut held, &mut writer).await;
    received.and(kept)?;
    Ok(held.value)
}

async fn receive<E>(
    hub: &Hub,
    held: &mut Held<Upload>,
    writer: &mut ArrivingWriter,
    bytes: impl Stream<Item = Result<Bytes, E>>,
) -> Result<(), MaterialError> {
    let mut bytes = pin!(bytes);
    while let Some(piece) = next(&mut bytes).await? {
        let room = held.value.size - writer.offset();
        let fits = usize::try_from(room).map_or(piece.len(), |room| room.min(piece.len()));
        writer.write(&piece[..fits]).await?;
        if fits < piece.len() {
            return Err(MaterialError::TooLong);
        }
        if writer.offset() - held.value.held >= RECORDED_EVERY {
            record(hub, held, writer).await?;
        }
    }
    Ok(())
}

async fn next<E>(
    bytes: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<Option<Bytes>, MaterialError> {
    match tokio::time::timeout(STANDS_STILL, bytes.next()).await {
        Ok(Some(Ok(piece))) => Ok(Some(piece)),
        Ok(None) => Ok(None),
        Ok(Some(Err(_))) | Err(_) => Err(MaterialError::Interrupted),
    }
}

/// Makes durable what was written, and records that.
async fn record(
    hub: &Hub,
    held: &mut Held<Upload>,
    writer: &mut ArrivingWriter,
) -> Result<(), MaterialError> {
    if writer.offset() == held.value.held {
        return Ok(());
    }
    let mut upload = held.value.clone();
    upload.held = writer.sync().await?;
    let mut draft = Draft::new();
    draft.replace(held, &upload);
    // Only giving it up changes it meanwhile.
    let committed = draft.commit(&*hub.store).await?.map_err(|_| MaterialError::UnknownUpload)?;
    held.revision = committed.revisions.first().copied().unwrap_or_default();
    held.value = upload;
    Ok(())
}

/// Makes a material of an upload whose bytes have all arrived. Asked again, it answers the same material.
///
/// # Errors
/// `Incomplete`; the content is not acceptable or harmful, and is not kept then; the antivirus program does not answer,
/// and the bytes are kept then.
pub async fn finish(hub: &Hub, who: &Who, id: &str) -> Result<Material, MaterialError> {
    seen(hub, who, id).await?;
    let arriving = hub.blobs.arriving(id)?;
    let held = seen(hub, who, id).await?;
    let upload = &held.value;
    if let Some(material) = &upload.material {
        let held = records::read::<Material>(&*hub.store, material.as_bytes()).await?;
        return held.map(|held| held.value).ok_or(MaterialError::UnknownMaterial);
    }
    if upload.held < upload.size {
        return Err(MaterialError::Incomplete { held: upload.held, size: upload.size });
    }
    let announced = Announced {
        holder: &upload.holder,
        kind: &upload.kind,
        name: &upload.name,
        case: upload.case.as_ref(),
        valid_until: upload.valid_until,
        by: &upload.by,
    };
    let material = match announced.examine(hub, &arriving, upload.size).await {
        Ok(material) => material,
        Err(error) => {
            if matches!(error, MaterialError::Sniffed(_) | MaterialError::Infected) {
                drop(arriving);
                give_up(hub, &held).await?;
            }
            return Err(error);
        }
    };
    let mut draft = Draft::new();
    file(hub, &mut draft, &material);
    draft.replace(&held, &Upload { material: Some(material.id.clone()), ..upload.clone() });
    draft.unindex(UPLOADS_OF_HOLDER, &key_of_holder(hub, upload));
    draft.commit(&*hub.store).await?.map_err(|_| MaterialError::Busy)?;
    arriving.give_up().await?;
    Ok(material)
}

/// Takes a file in one go, for forms: what breaks off is not kept.
///
/// * `what`: its size is not looked at; the bytes are counted.
///
/// # Errors
/// As [`begin`] and [`finish`].
pub async fn take<E>(
    hub: &Hub,
    who: &Who,
    holder: &HolderId,
    what: &NewMaterial,
    bytes: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Material, MaterialError> {
    let by = may_hand_in(hub, who, holder, what.case.as_deref()).await?;
    check(what)?;
    let arriving = hub.blobs.arriving(&records::random_name("u_")?)?;
    let announced = Announced {
        holder,
        kind: &what.kind,
        name: &what.name,
        case: what.case.as_ref(),
        valid_until: what.valid_until,
        by: &by,
    };
    let taken = match receive_whole(hub, &arriving, bytes).await {
        Ok(size) => announced.examine(hub, &arriving, size).await,
        Err(error) => Err(error),
    };
    let recorded = match taken {
        Ok(material) => {
            let mut draft = Draft::new();
            file(hub, &mut draft, &material);
            let committed = draft.commit(&*hub.store).await;
            committed.map_err(MaterialError::from).map(|_| material)
        }
        Err(error) => Err(error),
    };
    arriving.give_up().await?;
    recorded
}

async fn receive_whole<E>(
    hub: &Hub,
    arriving: &Arriving,
    bytes: impl Stream<Item = Result<Bytes, E>>,
) -> Result<u64, MaterialError> {
    let most = hub.settings().materials.most_bytes;
    let mut writer = arriving.write_from(0).await?;
    let mut bytes = pin!(bytes);
    while let Some(piece) = next(&mut bytes).await? {
        if writer.offset() + piece.len() as u64 > most {
            return Err(MaterialError::TooLarge { most });
        }
        writer.write(&piece).await?;
    }
    match writer.sync().await? {
        0 => Err(MaterialError::Empty),
        size => Ok(size),
    }
}

/// What is known of a file before its content is.
struct Announced<'a> {
    holder: &'a HolderId,
    kind: &'a str,
    name: &'a str,
    case: Option<&'a String>,
    valid_until: Option<Date>,
    by: &'a StepBy,
}

impl Announced<'_> {
    /// Looks into a file that has arrived and keeps its bytes.
    async fn examine(
        &self,
        hub: &Hub,
        arriving: &Arriving,
        size: u64,
    ) -> Result<Material, MaterialError> {
        let (path, name) = (arriving.path().to_owned(), self.name.to_owned());
        let sniffed = tokio::task::spawn_blocking(move || {
            std::fs::File::open(path).and_then(|file| sniff::sniff(file, &name))
        });
        let sniffed = sniffed.await.map_err(std::io::Error::other).and_then(|sniffed| sniffed);
        let kind = sniffed.map_err(|error| BlobError::Io { detail: error.to_string() })??;
        let by = concat!("yihao ", env!("CARGO_PKG_VERSION")).to_owned();
        let mut checked = vec![Check { what: Checked::Type, by, at: hub.clock.now() }];
        checked.push(scanned(hub, arriving).await?);
        let sha256 = hub.blobs.keep(arriving).await?;
        Ok(Material {
            id: records::random_name("m_")?,
            holder: self.holder.clone(),
            kind: self.kind.to_owned(),
            name: self.name.to_owned(),
            media_type: kind.media_type().to_owned(),
            size,
            sha256,
            handed_in_at: hub.clock.now(),
            case: self.case.cloned(),
            by: self.by.clone(),
            checked,
            valid_until: self.valid_until,
            used_by: Vec::new(),
            sent_back: false,
        })
    }
}

async fn scanned(hub: &Hub, arriving: &Arriving) -> Result<Check, MaterialError> {
    let Some(socket) = &hub.settings().materials.clamd else {
        return Ok(Check { what: Checked::NotScanned, by: String::new(), at: hub.clock.now() });
    };
    match scan::scan(socket, arriving.path()).await {
        Ok(Scanned::Clean { by }) => Ok(Check { what: Checked::Scanned, by, at: hub.clock.now() }),
        Ok(Scanned::Infected) => {
            metrics::counter!("yihao_materials_infected_total").increment(1);
            Err(MaterialError::Infected)
        }
        Err(error) => {
            tracing::error!(error = %error, "clamd did not scan a file that was handed in");
            Err(MaterialError::Scanner)
        }
    }
}

fn file(hub: &Hub, draft: &mut Draft, material: &Material) {
    let token = hub.index_key.token(&material.holder);
    draft.create(material.id.as_bytes(), material);
    draft.index(MATERIALS_OF_HOLDER, &materials::key_of_holder(&token, material));
}

/// Gives an upload up, by its sender.
///
/// # Errors
/// `UnknownUpload`, `UploadBusy`; the stores'.
pub async fn abandon(hub: &Hub, who: &Who, id: &str) -> Result<(), MaterialError> {
    let held = seen(hub, who, id).await?;
    give_up(hub, &held).await
}

/// The file first: a record without a file is given up again, a file without a record would stay.
async fn give_up(hub: &Hub, held: &Held<Upload>) -> Result<(), MaterialError> {
    hub.blobs.arriving(&held.value.id)?.give_up().await?;
    let mut draft = Draft::new();
    draft.remove(held);
    draft.unindex(UPLOADS_OF_HOLDER, &key_of_holder(hub, &held.value));
    // Stale: it was given up, or went on, meanwhile.
    draft.commit(&*hub.store).await.map(drop).map_err(MaterialError::from)
}

/// Gives up what is too old, and removes arriving files that no upload knows of. To be called now and then.
///
/// # Errors
/// The stores'.
pub async fn sweep(hub: &Hub) -> Result<usize, MaterialError> {
    const AT_A_TIME: usize = 500;
    let mut given_up = 0;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let store = &*hub.store;
        let uploads = records::list::<Upload>(store, b"", after.as_deref(), AT_A_TIME).await?;
        for held in &uploads {
            if held.value.ends_at() <= hub.clock.now() {
                match give_up(hub, held).await {
                    Ok(()) => given_up += 1,
                    Err(MaterialError::UploadBusy) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        match uploads.into_iter().next_back() {
            Some(last) => after = Some(last.key),
            None => break,
        }
    }
    for name in hub.blobs.all_arriving(10_000).await? {
        // In hand: it arrives at this moment.
        let Ok(arriving) = hub.blobs.arriving(&name) else { continue };
        if records::read::<Upload>(&*hub.store, name.as_bytes()).await?.is_none() {
            arriving.give_up().await?;
            given_up += 1;
        }
    }
    Ok(given_up)
}

/// Opens a material's bytes. Where a department or a clerk does, that is a use, on record before the first byte.
///
/// # Errors
/// As [`materials::material`]; `Files` if the bytes are gone.
pub async fn open(
    hub: &Hub,
    who: &Who,
    id: &str,
) -> Result<(Material, impl Stream<Item = Result<Bytes, BlobError>> + use<>), MaterialError> {
    let material = materials::material(hub, who, id).await?.value;
    let gone = || BlobError::Io { detail: "a material's file is gone".to_owned() };
    let reader = hub.blobs.read(&material.sha256).await?.ok_or_else(gone)?;
    materials::record_opening(hub, who, &material).await?;
    Ok((material, pieces(reader)))
}

fn pieces(reader: BlobReader) -> impl Stream<Item = Result<Bytes, BlobError>> {
    futures_util::stream::unfold(Some(reader), async |reader| match reader?.next().await {
        Ok(Some((piece, rest))) => Some((Ok(piece), Some(rest))),
        Ok(None) => None,
        Err(error) => {
            tracing::error!(error = %error, "a material could not be read to its end");
            Some((Err(error), None))
        }
    })
}

/// The kind of file that a requirement of a case asks for, before a byte of one is read. The look is recorded.
///
/// # Errors
/// What the repository holds is not asked for: `HeldAlready`. `NotAFile`, `UnknownRequirement`.
pub async fn asked_for(
    hub: &Hub,
    who: &Who,
    case: &Case,
    requirement: &str,
) -> Result<String, CaseError> {
    let matter = cases::matter_of(hub, case)?;
    let list = checklist::checklist(hub, who, &case.holder, matter, Some(case)).await?;
    let item = list.items.iter().find(|item| item.requirement.id == requirement);
    let item = item.ok_or(CaseError::UnknownRequirement)?;
    if let Some(error) = cases::held_already(item) {
        return Err(error);
    }
    let kind = item.requirement.ways.iter().find_map(|way| match way {
        Way::File { kind, .. } => Some(kind.clone()),
        Way::Licence { .. } | Way::Fact { .. } => None,
    });
    kind.ok_or_else(|| CaseError::NotAFile { requirement: requirement.to_owned() })
}

/// Who hands in, if they may for this holder and case.
async fn may_hand_in(
    hub: &Hub,
    who: &Who,
    holder: &HolderId,
    case: Option<&str>,
) -> Result<StepBy, MaterialError> {
    let by = match who {
        Who::Holder { person, .. } if person.acts_for(holder) => StepBy::Holder,
        Who::Holder { .. } => {
            return Err(MaterialError::NotPermitted("you do not act for this holder"));
        }
        Who::Clerk(clerk) if case.is_some() => sender(clerk),
        Who::Clerk(_) => {
            return Err(MaterialError::NotPermitted("a clerk hands in for a case: name it"));
        }
        Who::Department(_) => {
            return Err(MaterialError::NotPermitted(
                "materials are handed in by applicants and at windows",
            ));
        }
    };
    if let Some(case) = case {
        let case = records::read::<Case>(&*hub.store, case_key(case)?).await?;
        let theirs = |case: &Case| {
            case.holder == *holder && materials::on_the_applicants_side(hub, who, case)
        };
        if !case.is_some_and(|case| theirs(&case.value)) {
            return Err(MaterialError::UnknownCase);
        }
    }
    Ok(by)
}

/// Keys have a greatest length: what is no id is not looked up.
fn case_key(case: &str) -> Result<&[u8], MaterialError> {
    if case.len() > 64 { Err(MaterialError::UnknownCase) } else { Ok(case.as_bytes()) }
}

fn sender(clerk: &super::Clerk) -> StepBy {
    StepBy::Clerk { node: clerk.node.clone(), account: clerk.operator().account }
}

async fn seen(hub: &Hub, who: &Who, id: &str) -> Result<Held<Upload>, MaterialError> {
    if id.len() != 34 {
        return Err(MaterialError::UnknownUpload);
    }
    let held = records::read::<Upload>(&*hub.store, id.as_bytes()).await?;
    let theirs = |held: &Held<Upload>| match who {
        Who::Holder { person, .. } => person.acts_for(&held.value.holder),
        Who::Clerk(clerk) => held.value.by == sender(clerk),
        Who::Department(_) => false,
    };
    let alive = |held: &Held<Upload>| hub.clock.now() < held.value.ends_at();
    held.filter(|held| theirs(held) && alive(held)).ok_or(MaterialError::UnknownUpload)
}

fn check(what: &NewMaterial) -> Result<(), MaterialError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if what.kind.is_empty() || what.kind.len() > MAX_KIND || !what.kind.bytes().all(plain) {
        return Err(MaterialError::Kind);
    }
    // Turning the direction of writing makes a name look as if it ended otherwise.
    let turns = |character| matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = |character: char| !character.is_control() && !turns(character);
    let name = &what.name;
    if name.trim().is_empty()
        || name.chars().count() > MAX_NAME
        || !name.chars().all(|character| shown(character) && !matches!(character, '/' | '\\'))
    {
        return Err(MaterialError::Name);
    }
    Ok(())
}

fn key_of_holder(hub: &Hub, upload: &Upload) -> Vec<u8> {
    let token = hub.index_key.token(&upload.holder);
    [&token.as_bytes()[..], upload.id.as_bytes()].concat()
}
