//! The follower: reads the registry log, writes the index, commits both together.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use licence::{Change, ChangeKind, Seq};
use tantivy::IndexWriter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::index::{Opened, Progress, SearchIndex, commit, throw_away};
use super::model::SearchError;
use crate::decide::sha256;
use crate::{LicenceStore, StoredLicence};

/// Changes read at a time.
const READ: usize = 1000;
/// How long to wait for a change when there is nothing to do.
const IDLE: Duration = Duration::from_secs(30);
/// How long to wait before trying again what failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Keeps an index up with a store, from where the index is, until it is told to stop.
#[derive(Debug)]
pub struct SearchFollower {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl SearchFollower {
    /// Starts following. What fails is tried again; an index that is damaged, or that has seen
    /// another store, is rebuilt from the first change.
    pub fn spawn(
        store: Arc<dyn LicenceStore>,
        index: SearchIndex,
        shutdown: CancellationToken,
    ) -> Self {
        let shutdown = shutdown.child_token();
        let task = tokio::spawn(keep_following(store, index, shutdown.clone()));
        Self { task, shutdown }
    }

    /// Commits what was read and stops.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // It ends by itself; if it has panicked there is nothing left to stop.
        let _ = self.task.await;
    }
}

/// Throws the index in `path` away and fills a new one up to the store's head now.
///
/// * `progress`: called with how many changes are in and how many there are.
///
/// # Errors
/// `Store` if the store fails, `Io` if the index cannot be written, `Locked` if a hub is using it.
pub async fn rebuild(
    path: &Path,
    store: Arc<dyn LicenceStore>,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<u64, SearchError> {
    let folder = path.to_owned();
    let opened = blocking(move || {
        // Whoever writes to it now would go on writing to deleted files.
        if folder.join("meta.json").exists() {
            drop(SearchIndex::open(&folder)?.writer()?);
        }
        throw_away(&folder)?;
        let index = SearchIndex::open(&folder)?;
        let writer = index.writer()?;
        Ok((index, writer))
    });
    let (index, writer) = opened.await?;
    let head = store.head().await?;
    let mut filling = Filling::new(index, writer);
    while filling.next < head {
        let changes = store.changes(filling.next, READ).await?;
        filling.take(&*store, changes).await?;
        if filling.pending >= filling.index.settings().bulk_changes {
            filling.commit().await?;
        }
        progress(filling.next.0.min(head.0), head.0);
    }
    filling.commit().await?;
    filling.close().await?;
    Ok(head.0)
}

async fn keep_following(
    store: Arc<dyn LicenceStore>,
    index: SearchIndex,
    shutdown: CancellationToken,
) {
    while let Err(error) = follow(&*store, &index, &shutdown).await {
        tracing::warn!(
            code = error.code(),
            "the search follower stopped; it starts again: {error}"
        );
        metrics::counter!("yihao_search_failures").increment(1);
        tokio::select! {
            () = tokio::time::sleep(AFTER_FAILURE) => {}
            () = shutdown.cancelled() => return,
        }
        if !matches!(error, SearchError::Store(_) | SearchError::Locked { .. }) {
            let again = index.clone();
            if let Err(error) = blocking(move || again.reopen()).await {
                tracing::warn!(code = error.code(), "the search index cannot be opened");
            }
        }
    }
}

/// Follows until it is told to stop or something fails.
async fn follow(
    store: &dyn LicenceStore,
    index: &SearchIndex,
    shutdown: &CancellationToken,
) -> Result<(), SearchError> {
    let opening = index.clone();
    let writer = blocking(move || {
        let writer = opening.writer()?;
        // Another process may have written before.
        opening.opened().show().map_err(|error| opening.error(error))?;
        Ok(writer)
    });
    let mut filling = Filling::new(index.clone(), writer.await?);
    if !filling.is_of(store).await? {
        tracing::warn!("the search index is of another store or a later state; it is rebuilt");
        filling.start_over().await?;
    }
    let settings = index.settings().clone();
    loop {
        let changes = store.changes(filling.next, READ).await?;
        let caught_up = changes.len() < READ;
        filling.take(store, changes).await?;
        let (many, delay) = match caught_up {
            true => (false, settings.live_delay),
            false => (filling.pending >= settings.bulk_changes, settings.bulk_delay),
        };
        let since_commit = filling.committed_at.elapsed();
        if filling.pending > 0 && (many || since_commit >= delay) {
            filling.commit().await?;
            metrics::gauge!("yihao_search_next").set(filling.next.0 as f64);
        }
        let wait = match (caught_up, filling.pending) {
            (false, _) => Duration::ZERO,
            (true, 0) => IDLE,
            (true, _) => delay.saturating_sub(since_commit),
        };
        if shutdown.is_cancelled() {
            break;
        }
        if !wait.is_zero() {
            tokio::select! {
                head = store.wait_beyond(filling.next, wait) => drop(head?),
                () = index.met_damage() => {
                    return Err(SearchError::Damaged { detail: "a search failed".to_owned() });
                }
                () = shutdown.cancelled() => break,
            }
        }
    }
    if filling.pending > 0 {
        filling.commit().await?;
    }
    filling.close().await
}

/// An index being filled.
struct Filling {
    index: SearchIndex,
    opened: Arc<Opened>,
    /// Taken out while a blocking thread works with it.
    writer: Option<IndexWriter>,
    next: Seq,
    last: Option<String>,
    /// Changes taken since the last commit.
    pending: u64,
    committed_at: Instant,
}

impl Filling {
    fn new(index: SearchIndex, writer: IndexWriter) -> Self {
        let opened = index.opened();
        let progress = opened.progress().unwrap_or_default();
        Self {
            index,
            opened,
            writer: Some(writer),
            next: progress.next,
            last: progress.last,
            pending: 0,
            committed_at: Instant::now(),
        }
    }

    /// Whether the last change that was indexed is in this store.
    async fn is_of(&self, store: &dyn LicenceStore) -> Result<bool, SearchError> {
        let Some(before) = self.next.0.checked_sub(1) else { return Ok(true) };
        let last = store.changes(Seq(before), 1).await?;
        Ok(last.first().map(change_digest) == self.last)
    }

    async fn start_over(&mut self) -> Result<(), SearchError> {
        (self.next, self.last) = (Seq::ZERO, None);
        self.with_writer(|_, writer| writer.delete_all_documents().map(drop)).await?;
        self.commit().await
    }

    /// Puts the licences that changed into the index, as they are now.
    async fn take(
        &mut self,
        store: &dyn LicenceStore,
        changes: Vec<Change>,
    ) -> Result<(), SearchError> {
        let Some(last) = changes.last() else { return Ok(()) };
        self.next = last.seq.next();
        self.last = Some(change_digest(last));
        self.pending += changes.len() as u64;
        // Nothing that is indexed follows from the trust in a licence: verdicts are made when it is read.
        let indexed = |change: &&Change| !matches!(change.kind, ChangeKind::TrustChanged { .. });
        let identifiers: BTreeSet<_> =
            changes.iter().filter(indexed).map(Change::identifier).collect();
        let identifiers: Vec<_> = identifiers.into_iter().cloned().collect();
        let licences = store.licences(&identifiers).await?;
        // A licence issued here was never indexed: log and index advance together.
        let issued = changes.iter().filter(|change| {
            matches!(change.kind, ChangeKind::Issued { .. } | ChangeKind::Unsigned { .. })
        });
        let issued: BTreeSet<_> = issued.map(|change| change.identifier().clone()).collect();
        self.with_writer(move |opened, writer| {
            for licence in licences.into_iter().flatten() {
                let is_new = issued.contains(&licence.identifier) && !licence.took_place();
                put(opened, writer, &licence, is_new)?;
            }
            Ok(())
        })
        .await
    }

    async fn commit(&mut self) -> Result<(), SearchError> {
        let progress = Progress::at(self.next, self.last.clone());
        self.with_writer(move |opened, writer| commit(opened, writer, &progress)).await?;
        self.pending = 0;
        self.committed_at = Instant::now();
        Ok(())
    }

    async fn close(mut self) -> Result<(), SearchError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let index = self.index.clone();
        blocking(move || writer.wait_merging_threads().map_err(|error| index.error(error))).await
    }

    /// Works with the writer on a blocking thread. After a failure there is none any more.
    async fn with_writer(
        &mut self,
        work: impl FnOnce(&Opened, &mut IndexWriter) -> tantivy::Result<()> + Send + 'static,
    ) -> Result<(), SearchError> {
        let gone = || SearchError::Io { detail: "the writer is gone".to_owned() };
        let mut writer = self.writer.take().ok_or_else(gone)?;
        let (opened, index) = (Arc::clone(&self.opened), self.index.clone());
        let worked = blocking(move || {
            work(&opened, &mut writer).map_err(|error| index.error(error))?;
            Ok(writer)
        });
        self.writer = Some(worked.await?);
        Ok(())
    }
}

fn put(
    opened: &Opened,
    writer: &IndexWriter,
    licence: &StoredLicence,
    is_new: bool,
) -> tantivy::Result<()> {
    if !is_new {
        writer.delete_term(opened.fields.identifier_term(&licence.identifier));
    }
    writer.add_document(opened.fields.document(licence)).map(drop)
}

fn change_digest(change: &Change) -> String {
    let bytes = postcard::to_stdvec(change).expect("a change serialises into memory");
    sha256(&bytes).to_string()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SearchError> + Send + 'static,
) -> Result<T, SearchError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.unwrap_or_else(|_| {
        // A panic: over damaged files Tantivy panics in places.
        Err(SearchError::Damaged { detail: "a file cannot be read".to_owned() })
    })
}
