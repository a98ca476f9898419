//! How far a clerk reaches into what a department asked for and was given.
//!
//! A street, a village or a window often acts for a department without being a part of it. Its clerks work with what was
//! asked at their own place or below it; what the department's system asked, or others of its places, is for the clerks
//! of the department itself ([`Clerk::is_of_department`]). A case's grant is for those who see the case for the
//! deciding department.

use indexes::{Grant, StoreError};

use super::{Clerk, Who, case::Case, cases, consents::Consent, terms};
use crate::{Hub, records};

/// Whether a clerk works with this consent.
#[must_use]
pub fn consent(hub: &Hub, clerk: &Clerk, consent: &Consent) -> bool {
    let asked_near = || {
        let asked_at = consent.operator.as_ref().map(|operator| operator.organisation.as_str());
        asked_at.is_some_and(|node| hub.organisations.is_within(node, &clerk.node))
    };
    clerk.department == consent.department && (clerk.is_of_department(hub) || asked_near())
}

/// Whether a clerk may see, use or give back this grant.
///
/// # Errors
/// The store's.
pub async fn grant(hub: &Hub, clerk: &Clerk, grant: &Grant) -> Result<bool, StoreError> {
    if grant.opened_by.caller != clerk.department {
        return Ok(false);
    }
    if let Some(id) = terms::of(hub, &grant.id).await?.consent {
        let held = records::read::<Consent>(&*hub.store, id.as_bytes()).await?;
        return Ok(held.is_some_and(|held| consent(hub, clerk, &held.value)));
    }
    if let Some(id) = grant.opened_by.case.as_deref().filter(|id| id.len() <= 64)
        && let Some(held) = records::read::<Case>(&*hub.store, id.as_bytes()).await?
        && held.value.grant.as_deref() == Some(grant.id.as_str())
    {
        return Ok(cases::is_for_department(hub, &Who::Clerk(clerk.clone()), &held.value));
    }
    Ok(clerk.is_of_department(hub))
}
