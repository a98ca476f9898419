//! The worker: follows the registry log, has everything signed in it stamped, and the hub's own documents.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use indexes::{LicenceStore, Proof, StoreError, StoredLicence};
use licence::{Change, ChangeKind, LicenceId, Seq, TrustReason};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{CURSOR, DueDocument, Stamp, Stamps, key, key_of_licence, key_of_order};
use crate::Hub;
use crate::records::{self, Draft, Held};

/// Changes and documents of one round.
const PAGE: usize = 64;
/// Requests under way at a time.
const AT_A_TIME: usize = 4;
/// How long the worker sleeps when nothing is due; a change or a document wakes it.
const IDLE: Duration = Duration::from_secs(2);
/// How long it waits after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What is to be done next.
enum Next {
    /// More is due.
    Now,
    /// Nothing is due before the change with this number.
    AfterChange(Seq),
    /// No authority may be asked before then.
    At(Instant),
}

/// What is to be stamped.
struct Subject {
    key: Vec<u8>,
    value: Vec<u8>,
    /// The change that brought it in, or the document that waits.
    source: Source,
}

enum Source {
    Change(Seq),
    Document(Box<Held<DueDocument>>),
}

pub(super) async fn run(hub: Weak<Hub>, shutdown: CancellationToken) {
    loop {
        let Some(hub) = hub.upgrade() else { return };
        let Some(stamps) = hub.stamps() else { return };
        let next = tokio::select! {
            () = shutdown.cancelled() => return,
            next = round(&hub, stamps) => next,
        };
        let next = next.unwrap_or_else(|error| {
            tracing::warn!(code = error.code(), "time-stamping waits for the store: {error}");
            Next::At(Instant::now() + AFTER_FAILURE)
        });
        match next {
            Next::Now => {}
            Next::AfterChange(seq) => {
                let store: Arc<dyn LicenceStore> = hub.store.clone();
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    _ = timeout(IDLE, stamps.wake.notified()) => {}
                    _ = store.wait_beyond(seq, IDLE) => {}
                }
            }
            Next::At(at) => {
                drop(hub);
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = sleep_until(at) => {}
                }
            }
        }
    }
}

async fn round(hub: &Hub, stamps: &Stamps) -> Result<Next, StoreError> {
    let store = &*hub.store;
    let start = match store.cursor(CURSOR).await? {
        Some(cursor) => cursor,
        None => {
            let head = store.head().await?;
            let first = if stamps.settings.include_existing { Seq::ZERO } else { head };
            store.save_cursor(CURSOR, first).await?;
            first
        }
    };
    let changes = store.changes(start, PAGE).await?;
    let end = changes.last().map_or(start, |change| change.seq.next());
    let mut subjects = documents(store).await?;
    let mut wanted = of_changes(store, &changes).await?;
    wanted.retain({
        let mut seen = HashSet::new();
        move |subject| seen.insert(subject.key.clone())
    });
    for subject in wanted {
        if store.record(super::STAMPS, &subject.key).await?.is_none() {
            subjects.push(subject);
        }
    }

    let mut stamped = stream::iter(subjects)
        .map(|subject| async move { (ask(hub, stamps, &subject.value).await, subject) })
        .buffered(AT_A_TIME);
    let mut draft = Draft::new();
    let mut filled = 0;
    // The cursor stops before the first change that has no stamp.
    let mut until = end;
    while let Some((stamp, subject)) = stamped.next().await {
        match (stamp, subject.source) {
            (Some(stamp), source) => {
                draft.put(&subject.key, &stamp);
                if let Source::Document(held) = source {
                    draft.remove(&held);
                }
                filled += 1;
            }
            (None, Source::Change(seq)) => until = until.min(seq),
            (None, Source::Document(_)) => {}
        }
    }
    drop(stamped);
    // Stamps first: what is stamped again after a crash between the two is found stamped. A document that
    // somebody removed meanwhile makes the commit stale; the next round finds what is there.
    let written = filled == 0 || draft.commit(store).await?.is_ok();
    if written && until > start {
        store.save_cursor(CURSOR, until).await?;
    }
    Ok(match paused_until(stamps) {
        Some(at) => Next::At(at),
        None if until < end || !written || filled > 0 || changes.len() == PAGE => Next::Now,
        None => Next::AfterChange(end),
    })
}

/// The first authority that serves, in the order of the settings. Those that failed lately are left in peace.
async fn ask(hub: &Hub, stamps: &Stamps, value: &[u8]) -> Option<Stamp> {
    let longest = Duration::from_secs(u64::from(stamps.settings.longest_pause_seconds.max(1)));
    for authority in &stamps.authorities {
        if authority.pause().is_some() {
            continue;
        }
        if let Ok(stamp) = authority.ask(hub, &stamps.http, value, longest).await {
            return Some(stamp);
        }
    }
    None
}

/// When the first authority may be asked again, if none may now.
fn paused_until(stamps: &Stamps) -> Option<Instant> {
    let pauses: Option<Vec<_>> = stamps.authorities.iter().map(|one| one.pause()).collect();
    pauses.and_then(|pauses| pauses.into_iter().min())
}

async fn documents(store: &dyn LicenceStore) -> Result<Vec<Subject>, StoreError> {
    let due = records::list::<DueDocument>(store, b"", None, PAGE).await?;
    Ok(due
        .into_iter()
        .map(|held| Subject {
            key: key(b'D', &held.value.key),
            value: held.value.value.clone(),
            source: Source::Document(Box::new(held)),
        })
        .collect())
}

/// What was signed by somebody in these changes.
async fn of_changes(
    store: &dyn LicenceStore,
    changes: &[Change],
) -> Result<Vec<Subject>, StoreError> {
    let identifiers: Vec<LicenceId> = changes.iter().filter_map(signed).collect();
    let held = store.licences(&identifiers).await?;
    let mut found = Vec::with_capacity(held.len());
    let mut held = held.into_iter();
    for change in changes {
        if signed(change).is_none() {
            continue;
        }
        let Some(Some(licence)) = held.next() else { continue };
        let subject = match &change.kind {
            ChangeKind::Issued { .. } | ChangeKind::TrustChanged { .. } => {
                let Some(cms) = proof(store, &licence).await? else { continue };
                Some((key_of_licence(&licence), cms))
            }
            _ => licence
                .orders
                .iter()
                .find(|order| order.seq == change.seq && !order.signature.is_empty())
                .map(|order| (key_of_order(order), order.signature.clone())),
        };
        let Some((key, cms)) = subject else { continue };
        match certs::cms_signature_value(&cms) {
            Ok(value) => found.push(Subject { key, value, source: Source::Change(change.seq) }),
            // Taken in by an older hub, or damaged: nothing that waiting would better.
            Err(error) => tracing::warn!(
                seq = change.seq.0,
                code = error.code(),
                "a signature cannot be stamped: {error}"
            ),
        }
    }
    Ok(found)
}

/// The licence of a change that somebody signed.
fn signed(change: &Change) -> Option<LicenceId> {
    match &change.kind {
        ChangeKind::Issued { identifier, .. } | ChangeKind::StatusChanged { identifier, .. } => {
            Some(identifier.clone())
        }
        ChangeKind::TrustChanged { identifier, reason: TrustReason::Signed, .. } => {
            Some(identifier.clone())
        }
        ChangeKind::TrustChanged { .. } | ChangeKind::Unsigned { .. } => None,
    }
}

async fn proof(
    store: &dyn LicenceStore,
    licence: &StoredLicence,
) -> Result<Option<bytes::Bytes>, StoreError> {
    Ok(match &licence.proof {
        Proof::Unsigned => None,
        Proof::Signature(cms) => Some(cms.clone()),
        Proof::Manifest { manifest, .. } => {
            // Megabytes: read only while it has no stamp.
            if store.record(super::STAMPS, &key_of_licence(licence)).await?.is_some() {
                None
            } else {
                store.manifest(manifest).await?.map(|held| held.signature)
            }
        }
    })
}
