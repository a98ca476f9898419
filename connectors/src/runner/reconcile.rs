//! Comparing counts.

use indexes::{LicenceStore, StoreError, StoredLicence};
use jiff::Timestamp;
use licence::{Licence, LicenceStatus, Seq, Trust};

use super::{Counts, ReconcileError, Reconciliation, TypeCount, task::SET_ASIDES_COUNTED};
use crate::{Connector, Filter};

/// Licences read from the store at a time.
const PAGE: usize = 500;

pub(super) async fn compare(
    store: &dyn LicenceStore,
    connector: &dyn Connector,
    filter: &Filter,
) -> Result<Reconciliation, ReconcileError> {
    let name = connector.name();
    let cursor = store.cursor(name).await?.unwrap_or(Seq(0));
    let lag = store.head().await?.0.saturating_sub(cursor.0);
    let set_aside = store.set_asides(name, SET_ASIDES_COUNTED).await?.len() as u64;
    let ours = ours(store, filter).await?;
    let theirs = connector.counts().await?;
    let types = beside(&ours, &theirs);
    let agrees = types.iter().all(|count| count.difference == 0);
    Ok(Reconciliation {
        connector: name.to_owned(),
        at: Timestamp::now(),
        lag,
        set_aside,
        types,
        agrees,
    })
}

/// The valid licences of these types that the log does not call untrusted, by type.
async fn ours(store: &dyn LicenceStore, filter: &Filter) -> Result<Counts, StoreError> {
    let mut counts = Counts::new();
    let mut after = None;
    loop {
        let page = store.page_of_licences(after, PAGE).await?;
        for stored in &page {
            let counts_there = matches!(stored.status, LicenceStatus::Valid)
                && stored.trust_now() == Trust::Trusted;
            if counts_there && covered(filter, stored) {
                *counts.entry(stored.licence_type).or_default() += 1;
            }
        }
        match page.into_iter().next_back() {
            Some(last) => after = Some(last.identifier),
            None => return Ok(counts),
        }
    }
}

/// Whether it goes there. What cannot be read is set aside, and does not.
fn covered(filter: &Filter, stored: &StoredLicence) -> bool {
    filter.covers_type(&stored.licence_type)
        && (filter.regions.is_none()
            || Licence::parse(&stored.document).is_ok_and(|licence| filter.covers(&licence)))
}

fn beside(ours: &Counts, theirs: &Counts) -> Vec<TypeCount> {
    let mut types: Vec<_> = ours.keys().chain(theirs.keys()).copied().collect();
    types.sort_unstable();
    types.dedup();
    types
        .into_iter()
        .map(|licence_type| {
            let ours = ours.get(&licence_type).copied().unwrap_or(0);
            let theirs = theirs.get(&licence_type).copied().unwrap_or(0);
            let difference =
                i64::try_from(theirs).unwrap_or(i64::MAX).saturating_sub_unsigned(ours);
            TypeCount { licence_type, ours, theirs, difference }
        })
        .collect()
}
