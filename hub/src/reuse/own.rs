//! A holder's own licences, looked at by the holder. Every look is on the access log.

use indexes::StoreError;
use licence::LicenceId;

use super::{
    Who,
    corrections::{self, CorrectionError},
    uses::own_look,
};
use crate::{
    Hub,
    judge::{face, judge},
    pull::Pulled,
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

async fn look(
    hub: &Hub,
    token: indexes::HolderToken,
    stored: Vec<indexes::StoredLicence>,
) -> Result<Vec<Pulled>, CorrectionError> {
    let identifiers: Vec<LicenceId> = stored.iter().map(|one| one.identifier.clone()).collect();
    let disputed = corrections::disputed(hub, &identifiers).await?;
    let (trust, now) = (hub.trust(), hub.clock.now());
    let pulled: Vec<Pulled> = stored
        .into_iter()
        .zip(disputed)
        .map(|(stored, disputed)| {
            let verification = judge(&stored, face(&stored.document).as_ref(), &trust, now);
            Pulled { stored, verification, disputed, only_fields: None }
        })
        .collect();
    let seen: Vec<_> =
        pulled.iter().map(|one| (one.stored.identifier.clone(), one.verification.result)).collect();
    let mut draft = Draft::new();
    draft.record_use(own_look(hub, token, &seen)?);
    // A commit of a use alone expects nothing and cannot be stale.
    draft.commit(&*hub.store).await?.map_err(|_| StoreError::Closed)?;
    Ok(pulled)
}
