//! What is held of what came from a sender, for the sender to compare itself with.

use std::collections::BTreeMap;

use connectors::{
    Bucket, Tally,
    push::{HoldingLine, Holdings, Tallies, TallyLine, mark_of},
};
use indexes::{StoreError, StoredLicence};
use licence::{CreditCode, LicenceId, LicenceStatus, Trust};

use super::{Came, check::identifier_of};
use crate::{Hub, policy::Act, records::Kept};

/// Records and licences read at a time.
const PAGE: usize = 256;
/// Most licences in an answer.
pub const MOST_HOLDINGS: usize = 10_000;

/// The current licences that came from this sender, counted by type and day of issue.
///
/// # Errors
/// The store's.
pub async fn tallies(hub: &Hub, sender: &CreditCode, source: &str) -> Result<Tallies, StoreError> {
    let prefix = format!("{sender}\0{source}\0").into_bytes();
    let mut tallies: BTreeMap<Bucket, Tally> = BTreeMap::new();
    let mut after = None;
    while let Some(page) = page(hub, &prefix, &mut after).await? {
        for held in page.iter().filter(|held| is_current(hub, sender, held)) {
            let bucket = Bucket { licence_type: held.licence_type, day: held.issued_on };
            tallies.entry(bucket).or_default().add(mark_of(&held.identifier, &held.digest));
        }
    }
    let lines = tallies.into_iter().map(|(bucket, tally)| TallyLine {
        licence_type: bucket.licence_type,
        day: bucket.day,
        count: tally.count,
        digest: tally.digest,
    });
    Ok(Tallies { tallies: lines.collect() })
}

/// The current licences of one bucket that came from this sender, by identifier, after `after`, at most `limit`.
///
/// # Errors
/// The store's.
pub async fn holdings(
    hub: &Hub,
    sender: &CreditCode,
    source: &str,
    bucket: &Bucket,
    after: Option<&LicenceId>,
    limit: usize,
) -> Result<Holdings, StoreError> {
    let Bucket { licence_type, day } = bucket;
    let prefix = format!("{sender}\0{source}\0{licence_type}\0{day}\0").into_bytes();
    let mut after = after.map(|after| [&prefix[..], after.as_str().as_bytes()].concat());
    let mut holdings = Vec::new();
    while let Some(page) = page(hub, &prefix, &mut after).await? {
        for held in page.iter().filter(|held| is_current(hub, sender, held)) {
            holdings.push(HoldingLine {
                identifier: held.identifier.clone(),
                mark: mark_of(&held.identifier, &held.digest).0,
            });
            if holdings.len() >= limit.min(MOST_HOLDINGS) {
                return Ok(Holdings { holdings });
            }
        }
    }
    Ok(Holdings { holdings })
}

/// Whether the licence counts, as a sender counts: valid, and the signer vouched for.
fn is_current(hub: &Hub, sender: &CreditCode, held: &StoredLicence) -> bool {
    held.status == LicenceStatus::Valid
        && held.trust_now() == Trust::Trusted
        && hub.policies.permit(sender, Act::Exchange(held.licence_type))
}

/// The licences of the next records; `None` after the last.
async fn page(
    hub: &Hub,
    prefix: &[u8],
    after: &mut Option<Vec<u8>>,
) -> Result<Option<Vec<StoredLicence>>, StoreError> {
    let records = hub.store.records(Came::COLLECTION, prefix, after.as_deref(), PAGE).await?;
    let Some(last) = records.last() else { return Ok(None) };
    *after = Some(last.key.clone());
    let identifiers: Vec<LicenceId> =
        records.iter().map(|record| identifier_of(&record.key)).collect::<Result<_, _>>()?;
    let held = hub.store.licences(&identifiers).await?;
    tokio::task::yield_now().await;
    Ok(Some(held.into_iter().flatten().collect()))
}
