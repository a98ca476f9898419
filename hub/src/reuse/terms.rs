//! What bounds a grant beyond its time: fields, the consent it rests on, whether it was withdrawn, and when the holder
//! is told of its uses.

use std::collections::BTreeMap;

use indexes::{Collection, StoreError};
use jiff::{
    Timestamp,
    civil::Date,
    tz::{TimeZone, offset},
};
use licence::LicenceTypeCode;
use serde::{Deserialize, Serialize};

use super::consents::Consent;
use crate::{
    Hub,
    records::{self, Draft, Held, Kept},
};

/// The terms of a grant. A grant without a record has none but its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantTerms {
    /// Of licences of these types only these face fields are given; of other types the whole licence.
    pub fields: BTreeMap<LicenceTypeCode, Vec<String>>,
    /// The consent it rests on: when that is withdrawn, the grant is.
    pub consent: Option<String>,
    /// When it was withdrawn by itself.
    pub withdrawn_at: Option<Timestamp>,
    /// Days after which the holder is told of a use under it.
    pub disclosed_after_days: u16,
}

impl Kept for GrantTerms {
    const COLLECTION: Collection = Collection::new("grant_terms");
}

impl GrantTerms {
    /// The only fields that are given of a licence of this type; `None`: all of the licence.
    #[must_use]
    pub fn only_fields(&self, licence_type: &LicenceTypeCode) -> Option<&[String]> {
        self.fields.get(licence_type).map(Vec::as_slice)
    }

    /// When the holder is told of a use at `at`.
    #[must_use]
    pub fn disclosed_at(&self, at: Timestamp) -> Timestamp {
        let days = jiff::SignedDuration::from_hours(24 * i64::from(self.disclosed_after_days));
        at.checked_add(days).unwrap_or(Timestamp::MAX)
    }
}

/// The terms of a grant.
///
/// # Errors
/// The store's.
pub async fn of(hub: &Hub, grant: &str) -> Result<GrantTerms, StoreError> {
    let held = records::read::<GrantTerms>(&*hub.store, grant.as_bytes()).await?;
    Ok(held.map(|held| held.value).unwrap_or_default())
}

/// When the grant was withdrawn, by itself or with its consent.
///
/// # Errors
/// The store's.
pub async fn withdrawn_at(hub: &Hub, terms: &GrantTerms) -> Result<Option<Timestamp>, StoreError> {
    let (None, Some(consent)) = (terms.withdrawn_at, &terms.consent) else {
        return Ok(terms.withdrawn_at);
    };
    let consent = records::read::<Consent>(&*hub.store, consent.as_bytes()).await?;
    Ok(consent.and_then(|held| held.value.withdrawn_at))
}

/// Withdraws a grant, together with what else is drafted: its next opening is refused.
///
/// # Errors
/// The store's. The draft is stale if the terms were changed meanwhile.
pub async fn withdraw(hub: &Hub, draft: &mut Draft, grant: &str) -> Result<(), StoreError> {
    let held: Option<Held<GrantTerms>> = records::read(&*hub.store, grant.as_bytes()).await?;
    let at = Some(hub.clock.now());
    match held {
        Some(held) if held.value.withdrawn_at.is_some() => {}
        Some(held) => {
            draft.replace(&held, &GrantTerms { withdrawn_at: at, ..held.value.clone() });
        }
        None => {
            let terms = GrantTerms { withdrawn_at: at, ..GrantTerms::default() };
            draft.create(grant.as_bytes(), &terms);
        }
    }
    Ok(())
}

/// The moment at which a day in China is over.
#[must_use]
pub fn end_of(day: Date) -> Timestamp {
    day.tomorrow()
        .and_then(|next| TimeZone::fixed(offset(8)).to_timestamp(next.at(0, 0, 0, 0)))
        .unwrap_or(Timestamp::MAX)
}
