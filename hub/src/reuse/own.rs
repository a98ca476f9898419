//! A holder's own licences, looked at by the holder. Every look is on the access log.

use bytes::Bytes;
use indexes::StoreError;
use licence::{LicenceId, Sha256Digest};

use super::{
    Who,
    corrections::{self, CorrectionError},
    uses::own_look,
};
use crate::{
    Hub, face_files,
    judge::{FaceFile, Judge, face},
    pull::{PullError, Pulled},
    records::Draft,
};

/// The holder's licences of all types, newest first, each judged now.
///
/// # Errors
/// `NotTheHolder`, `NoService`; the store's.
pub async fn licences(hub: &Hub, who: &Who, limit: usize) -> Result<Vec<Pulled>, CorrectionError> {
    let holder = who.acting_holder().ok_or(CorrectionError::NotTheHolder)?;
    let token = hub.index_key.token(holder);
    let stored = hub.store.licences_of_holder(&token, &[], limit).await?;
    look(hub, token, stored).await
}

/// One of the holder's licences.
///
/// # Errors
/// `UnknownLicence` also for a licence of somebody else; `NotTheHolder`, `NoService`; the store's.
pub async fn licence(
    hub: &Hub,
    who: &Who,
    identifier: &LicenceId,
) -> Result<Pulled, CorrectionError> {
    let holder = who.acting_holder().ok_or(CorrectionError::NotTheHolder)?;
    let token = hub.index_key.token(holder);
    let stored = hub.store.licence(identifier).await?;
    let stored = stored.filter(|stored| stored.holders.contains(&token));
    let stored = stored.ok_or(CorrectionError::UnknownLicence)?;
    let mut pulled = look(hub, token, vec![stored]).await?;
    pulled.pop().ok_or(CorrectionError::UnknownLicence)
}

/// Why a file of the holder's own was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OwnFileError {
    /// The licence could not be looked at.
    #[error(transparent)]
    Look(#[from] CorrectionError),
    /// The file could not be opened.
    #[error(transparent)]
    Open(#[from] PullError),
}

impl OwnFileError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Look(error) => error.code(),
            Self::Open(error) => error.code(),
        }
    }
}

/// A file of one of the holder's licences, with its bytes; also of one that is no longer valid. The look is on the
/// access log before the answer.
///
/// # Errors
/// As [`licence()`]; `NoSuchFile`, `FileGone`; `NotTrusted` if the licence is not what its issuer signed.
pub async fn file(
    hub: &Hub,
    who: &Who,
    identifier: &LicenceId,
    sha256: &Sha256Digest,
) -> Result<(FaceFile, Bytes), OwnFileError> {
    let pulled = licence(hub, who, identifier).await?;
    if pulled.verification.signature != "ok" {
        return Err(PullError::NotTrusted(Box::new(pulled.verification)).into());
    }
    let file = face(&pulled.stored.document)
        .and_then(|face| face.files.into_iter().find(|file| file.sha256 == *sha256))
        .ok_or(PullError::NoSuchFile)?;
    let bytes = hub.blobs.get(sha256).await.map_err(PullError::from)?;
    Ok((file, bytes.ok_or(PullError::FileGone)?))
}

async fn look(
    hub: &Hub,
    token: indexes::HolderToken,
    stored: Vec<indexes::StoredLicence>,
) -> Result<Vec<Pulled>, CorrectionError> {
    let identifiers: Vec<LicenceId> = stored.iter().map(|one| one.identifier.clone()).collect();
    let disputed = corrections::disputed(hub, &identifiers).await?;
    let judge = Judge::new(hub);
    let mut pulled = Vec::with_capacity(stored.len());
    for (stored, disputed) in stored.into_iter().zip(disputed) {
        let face = face(&stored.document);
        let verification = judge.licence(&stored, face.as_ref()).await?;
        let signed_files = face_files::judged(hub, &stored, face.as_ref()).await?;
        pulled.push(Pulled { stored, verification, disputed, only_fields: None, signed_files });
    }
    let seen: Vec<_> =
        pulled.iter().map(|one| (one.stored.identifier.clone(), one.verification.result)).collect();
    let mut draft = Draft::new();
    draft.record_use(own_look(hub, token, &seen)?);
    // A commit of a use alone expects nothing and cannot be stale.
    draft.commit(&*hub.store).await?.map_err(|_| StoreError::Closed)?;
    Ok(pulled)
}
