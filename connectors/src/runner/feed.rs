//! Reading the next stretch of the change feed.

use std::sync::Arc;

use indexes::{LicenceStore, StoreError, StoredOrder};
use jiff::Timestamp;
use licence::{Change, Licence, LicenceId, Seq};

use super::RunnerSettings;
use crate::{Refused, Shared};

/// A stretch of the feed.
pub(super) struct Stretch {
    /// What goes to the counterpart, oldest first.
    pub(super) items: Vec<Shared>,
    /// What should go there, but is not readable here: set aside.
    pub(super) unreadable: Vec<Refused>,
    /// The first change after the stretch.
    pub(super) end: Seq,
    /// When the first change of the stretch was taken in; `None`: there is no change.
    pub(super) oldest: Option<Timestamp>,
}

/// The changes from `from` on, bounded in records and in bytes of documents, those of other types left out.
pub(super) async fn read(
    store: &dyn LicenceStore,
    settings: &RunnerSettings,
    from: Seq,
) -> Result<Stretch, StoreError> {
    let changes = store.changes(from, settings.batch).await?;
    let mut stretch = Stretch {
        items: Vec::new(),
        unreadable: Vec::new(),
        end: from,
        oldest: changes.first().map(|change| change.at),
    };
    let (wanted, identifiers): (Vec<&Change>, Vec<LicenceId>) = changes
        .iter()
        .filter(|change| settings.filter.covers_type(change.licence_type()))
        .map(|change| (change, change.identifier().clone()))
        .unzip();
    // Read in portions, so that large documents are not all in memory before the bound is noticed.
    let mut bytes = 0;
    for (wanted, identifiers) in wanted.chunks(PORTION).zip(identifiers.chunks(PORTION)) {
        let found = store.licences(identifiers).await?;
        for (change, found) in wanted.iter().zip(found) {
            let Some(stored) = found else {
                stretch.unreadable.push(unreadable(
                    change,
                    "licence_missing",
                    "the licence is not in the store",
                ));
                continue;
            };
            if bytes + stored.document.len() > settings.batch_bytes && !stretch.items.is_empty() {
                stretch.end = change.seq; // the changes left out before it need not be looked at again
                return Ok(stretch);
            }
            match Licence::parse(&stored.document) {
                Ok(licence) if !settings.filter.covers(&licence) => {}
                // Nobody is told of what nobody signed; once it is signed, it is told as new.
                Ok(_) if stored.unsigned_at(change.seq) => {}
                Ok(licence) => {
                    bytes += stored.document.len();
                    let trust = stored.trust_at(change.seq);
                    stretch.items.push(Shared {
                        change: (*change).clone(),
                        licence: Arc::new(licence),
                        document: stored.document,
                        digest: stored.digest,
                        trust,
                        proof: stored.proof,
                        order: order(&stored.orders, change.seq),
                    });
                }
                Err(_) => {
                    let what = "the document in the store cannot be read";
                    stretch.unreadable.push(unreadable(change, "document_unreadable", what));
                }
            }
        }
        // Parsing takes a while; others on this thread get their turn.
        tokio::task::yield_now().await;
    }
    stretch.end = changes.last().map_or(from, |change| change.seq.next());
    Ok(stretch)
}

/// The order that made this change; none of another kind of change.
fn order(orders: &[StoredOrder], seq: Seq) -> Option<Arc<StoredOrder>> {
    orders.iter().find(|order| order.seq == seq).map(|order| Arc::new(order.clone()))
}

/// Licences read from the store at a time.
const PORTION: usize = 64;

fn unreadable(change: &Change, code: &str, remark: &str) -> Refused {
    Refused { seq: change.seq, code: code.to_owned(), remark: remark.to_owned() }
}
