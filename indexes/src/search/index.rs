//! The index folder: opening, searching, and starting over when it is damaged.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use licence::Seq;
use serde::{Deserialize, Serialize};
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, PhraseQuery, Query,
    RangeQuery, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption, Value};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term};
use tokio::sync::Notify;

use super::collect::{Best, ELSEWHERE, EXACT, Found, IN_NAME, PREFIX};
use super::model::{SearchError, SearchFacets, SearchHit, SearchPage, SearchQuery};
use super::schema::{
    Fields, Record, STATUS_WORDS, VERSION, day_number, register_analysers, status_number,
};
use super::text::{Anchor, Asked, cover, find, fold};

const MAX_OFFSET: usize = 1000;
const MAX_LIMIT: usize = 50;
const MAX_HIGHLIGHTS: usize = 3;
const MAX_MATCHED: usize = 8;
/// Characters shown on each side of a match.
const CONTEXT: usize = 16;

/// An index up to this size is read through when it is opened; a larger one would delay the start
/// by more than some seconds, and is judged by what the first reads meet.
const MAX_CHECKED_BYTES: u64 = 4 << 30;

/// How the index is written.
#[derive(Clone, Debug)]
pub struct SearchSettings {
    /// Memory for documents not yet in a segment, in bytes; at least 15 MB.
    pub writer_memory: usize,
    /// While catching up, what was read becomes visible after this many changes,
    pub bulk_changes: u64,
    /// or after this time.
    pub bulk_delay: Duration,
    /// When caught up, a change becomes visible after at most this (and the time of a commit,
    /// some tens of milliseconds).
    pub live_delay: Duration,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            writer_memory: 64 << 20,
            bulk_changes: 20_000,
            bulk_delay: Duration::from_secs(3),
            live_delay: Duration::from_millis(500),
        }
    }
}

/// The search index. Cheap to clone; all clones are one index.
#[derive(Clone)]
pub struct SearchIndex(Arc<Inner>);

struct Inner {
    path: PathBuf,
    settings: SearchSettings,
    opened: RwLock<Arc<Opened>>,
    /// A search met damage: the follower looks into it.
    suspect: AtomicBool,
    met_damage: Notify,
}

pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) fields: Fields,
    reader: IndexReader,
    /// The next change wanted, of what the reader shows.
    visible: AtomicU64,
}

/// How far the index has come; committed with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    version: u32,
    /// The next change wanted.
    pub(super) next: Seq,
    /// SHA-256 of the last change indexed: tells whether the store is still the same.
    pub(super) last: Option<String>,
}

impl Progress {
    pub(super) fn at(next: Seq, last: Option<String>) -> Self {
        Self { version: VERSION, next, last }
    }
}

impl std::fmt::Debug for SearchIndex {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SearchIndex")
    }
}

impl SearchIndex {
    /// Opens the index, or makes an empty one. A damaged one, or one of another version, is
    /// thrown away with a warning: the follower fills it again. Blocks, up to some seconds.
    ///
    /// # Errors
    /// `Io` if the folder cannot be made, read or emptied.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SearchError> {
        Self::open_with(path, SearchSettings::default())
    }

    /// As [`SearchIndex::open`], with settings.
    ///
    /// # Errors
    /// As [`SearchIndex::open`].
    pub fn open_with(
        path: impl AsRef<Path>,
        settings: SearchSettings,
    ) -> Result<Self, SearchError> {
        let path = path.as_ref().to_owned();
        let opened = open_or_start_over(&path)?;
        Ok(Self(Arc::new(Inner {
            path,
            settings,
            opened: RwLock::new(Arc::new(opened)),
            suspect: AtomicBool::new(false),
            met_damage: Notify::new(),
        })))
    }

    /// Searches what was visible at the last commit. Blocks: some milliseconds, more when a
    /// large part of all licences match.
    ///
    /// # Errors
    /// `Damaged` if the files cannot be read; the follower then rebuilds the index.
    pub fn search(&self, query: &SearchQuery) -> Result<SearchPage, SearchError> {
        let opened = self.opened();
        // Over damaged files Tantivy panics in places; no index is worth a hub.
        let page = catch_unwind(AssertUnwindSafe(|| opened.search(query)));
        let page = match page {
            Ok(page) => page.map_err(|error| self.error(error)),
            Err(_) => Err(SearchError::Damaged { detail: "a file cannot be read".to_owned() }),
        };
        if matches!(page, Err(SearchError::Damaged { .. })) {
            self.0.suspect.store(true, Ordering::Release);
            self.0.met_damage.notify_one();
        }
        page
    }

    /// The number of the first change that searches do not see yet.
    pub fn next(&self) -> Seq {
        Seq(self.opened().visible.load(Ordering::Acquire))
    }

    /// How many licences are in the index.
    pub fn size(&self) -> u64 {
        self.opened().reader.searcher().num_docs()
    }

    pub(super) fn settings(&self) -> &SearchSettings {
        &self.0.settings
    }

    pub(super) fn opened(&self) -> Arc<Opened> {
        Arc::clone(&self.0.opened.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when a search has met damage.
    pub(super) async fn met_damage(&self) {
        while !self.0.suspect.load(Ordering::Acquire) {
            self.0.met_damage.notified().await;
        }
    }

    /// Opens the folder again, starting over if it is damaged. Only when no writer is open.
    pub(super) fn reopen(&self) -> Result<(), SearchError> {
        let opened = open_or_start_over(&self.0.path)?;
        *self.0.opened.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(opened);
        self.0.suspect.store(false, Ordering::Release);
        Ok(())
    }

    pub(super) fn writer(&self) -> Result<IndexWriter, SearchError> {
        let memory = self.0.settings.writer_memory.max(15_000_000);
        let writer = self.opened().index.writer_with_num_threads(1, memory);
        writer.map_err(|error| self.error(error))
    }

    pub(super) fn error(&self, error: TantivyError) -> SearchError {
        search_error(&self.0.path, error)
    }
}

/// Commits with the progress, and shows what was committed.
pub(super) fn commit(
    opened: &Opened,
    writer: &mut IndexWriter,
    progress: &Progress,
) -> tantivy::Result<()> {
    let payload = serde_json::to_string(progress).expect("a structure of numbers and texts");
    let mut prepared = writer.prepare_commit()?;
    prepared.set_payload(&payload);
    prepared.commit()?;
    opened.show()
}

/// Throws the index away; whoever opens it next starts over.
pub(super) fn throw_away(path: &Path) -> Result<(), SearchError> {
    let removed = std::fs::remove_dir_all(path).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    removed.map_err(|error| SearchError::Io { detail: error.to_string() })
}

fn open_or_start_over(path: &Path) -> Result<Opened, SearchError> {
    std::fs::create_dir_all(path).map_err(|error| SearchError::Io { detail: error.to_string() })?;
    if path.join("meta.json").exists() {
        let opened = catch_unwind(AssertUnwindSafe(|| Opened::open(path)));
        let reason = match opened {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(reason)) => reason,
            Err(_) => "a file cannot be read".to_owned(),
        };
        tracing::warn!(reason, "the search index is damaged or of another version; it is rebuilt");
    } else if !is_empty(path) {
        tracing::warn!("the search index has lost its meta.json; it is rebuilt");
    }
    throw_away(path)?;
    std::fs::create_dir_all(path).map_err(|error| SearchError::Io { detail: error.to_string() })?;
    let (schema, _) = Fields::new();
    let index = Index::create_in_dir(path, schema).map_err(|error| search_error(path, error))?;
    Opened::new(index).map_err(|error| search_error(path, error))
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn search_error(path: &Path, error: TantivyError) -> SearchError {
    match error {
        TantivyError::LockFailure(..) => SearchError::Locked { path: path.display().to_string() },
        TantivyError::DataCorruption(_) | TantivyError::IncompatibleIndex(_) => {
            SearchError::Damaged { detail: "a file is not what was written".to_owned() }
        }
        TantivyError::OpenReadError(_) | TantivyError::OpenDirectoryError(_) => {
            SearchError::Damaged { detail: "a file cannot be opened".to_owned() }
        }
        TantivyError::IoError(error) => SearchError::Io { detail: error.to_string() },
        other => SearchError::Io { detail: other.to_string() },
    }
}

impl Opened {
    fn new(index: Index) -> tantivy::Result<Self> {
        register_analysers(&index);
        let (_, fields) = Fields::new();
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let opened = Self { index, fields, reader, visible: AtomicU64::new(0) };
        opened.show()?;
        Ok(opened)
    }

    /// Shows what was committed last.
    pub(super) fn show(&self) -> tantivy::Result<()> {
        let next = self.progress().unwrap_or_default().next;
        self.reader.reload()?;
        self.visible.store(next.0, Ordering::Release);
        Ok(())
    }

    /// Opens what is there, if it is whole and of this version.
    fn open(path: &Path) -> Result<Self, String> {
        let index = Index::open_in_dir(path).map_err(|error| error.to_string())?;
        let (schema, _) = Fields::new();
        if index.schema() != schema {
            return Err("it has other fields".to_owned());
        }
        let opened = Self::new(index).map_err(|error| error.to_string())?;
        let progress = opened.progress();
        if progress.is_none() && opened.reader.searcher().num_docs() > 0 {
            return Err("it is of another version".to_owned());
        }
        let space = opened.reader.searcher().space_usage().map_err(|error| error.to_string())?;
        if space.total().get_bytes() <= MAX_CHECKED_BYTES {
            let damaged = opened.index.validate_checksum().map_err(|error| error.to_string())?;
            if let Some(file) = damaged.iter().next() {
                return Err(format!("{} is damaged", file.display()));
            }
        }
        Ok(opened)
    }

    /// `None` for an index never committed, or of another version.
    pub(super) fn progress(&self) -> Option<Progress> {
        let payload = self.index.load_metas().ok()?.payload?;
        let progress: Progress = serde_json::from_str(&payload).ok()?;
        (progress.version == VERSION).then_some(progress)
    }

    fn search(&self, query: &SearchQuery) -> tantivy::Result<SearchPage> {
        let asked = Asked::new(&query.text);
        let (offset, limit) = (query.offset.min(MAX_OFFSET), query.limit.min(MAX_LIMIT));
        let searcher = self.reader.searcher();
        let found = searcher.search(&self.query(query, &asked), &Best { keep: offset + limit })?;
        let mut hits = Vec::new();
        for (_, address) in found.best.iter().skip(offset) {
            let document: TantivyDocument = searcher.doc(*address)?;
            let record = document.get_first(self.fields.record);
            let record = record.and_then(|value| value.as_bytes().and_then(Record::parse));
            let damaged = || "a licence's record does not parse".to_owned();
            let record = record.ok_or_else(|| {
                TantivyError::DataCorruption(
                    tantivy::error::DataCorruption::comment_only(damaged()),
                )
            })?;
            hits.push(hit(record, &asked));
        }
        Ok(SearchPage { total: found.total, hits, facets: facets(found) })
    }

    fn query(&self, query: &SearchQuery, asked: &Asked) -> BooleanQuery {
        let fields = &self.fields;
        let mut all: Vec<Box<dyn Query>> = vec![match asked.whole.is_empty() {
            // Text in which nothing can be searched for finds nothing; no text finds all.
            true if query.text.trim().is_empty() => score(Box::new(AllQuery), ELSEWHERE),
            true => Box::new(EmptyQuery),
            false => self.text_query(asked),
        }];
        let mut filter = |query: Box<dyn Query>| all.push(score(query, 0.0));
        if !query.licence_types.is_empty() {
            let types = query.licence_types.iter();
            filter(Box::new(TermSetQuery::new(
                types.map(|code| Term::from_field_text(fields.licence_type, code.as_str())),
            )));
        }
        if let Some(issuer) = &query.issuer {
            filter(term(fields.issuer, issuer.as_str()));
        }
        if let Some(region) = &query.region {
            filter(term(fields.regions, region.as_str()));
        }
        if let Some(kind) = &query.holder_kind {
            filter(term(fields.holder_kinds, kind.code()));
        }
        if let Some(status) = &query.status {
            let term = Term::from_field_u64(fields.status, status_number(status));
            filter(Box::new(TermQuery::new(term, IndexRecordOption::Basic)));
        }
        if query.issued_from.is_some() || query.issued_to.is_some() {
            let day = |day| Term::from_field_u64(fields.issued_on, day_number(day));
            let from =
                query.issued_from.map_or(Bound::Unbounded, |from| Bound::Included(day(from)));
            let to = query.issued_to.map_or(Bound::Unbounded, |to| Bound::Included(day(to)));
            filter(Box::new(RangeQuery::new(from, to)));
        }
        BooleanQuery::intersection(all)
    }

    /// The best of: is the name or number, starts a name, stands in a name, stands elsewhere.
    fn text_query(&self, asked: &Asked) -> Box<dyn Query> {
        let fields = &self.fields;
        let whole: String = asked.whole.iter().collect();
        let mut ways = vec![
            score(run(fields, fields.names, &asked.whole, Anchor::Both), EXACT),
            score(term(fields.exact, &whole), EXACT),
            score(run(fields, fields.names, &asked.whole, Anchor::Start), PREFIX),
        ];
        if let [only] = asked.whole.as_slice() {
            ways.push(score(term(fields.characters, only.encode_utf8(&mut [0; 4])), ELSEWHERE));
        } else {
            ways.push(score(run(fields, fields.names, &asked.whole, Anchor::Nowhere), IN_NAME));
            ways.push(score(run(fields, fields.texts, &asked.whole, Anchor::Nowhere), ELSEWHERE));
        }
        if !asked.parts.is_empty() {
            let anywhere = |part: &Vec<char>| -> Box<dyn Query> {
                Box::new(BooleanQuery::union(vec![
                    run(fields, fields.names, part, Anchor::Nowhere),
                    run(fields, fields.texts, part, Anchor::Nowhere),
                ]))
            };
            let parts = asked.parts.iter().map(anywhere).collect();
            ways.push(score(Box::new(BooleanQuery::intersection(parts)), ELSEWHERE));
        }
        Box::new(DisjunctionMaxQuery::new(ways))
    }
}

fn score(query: Box<dyn Query>, score: f32) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, score))
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    let term = Term::from_field_text(field, text);
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

/// Texts of `field` in which `characters` stand one after the other.
fn run(fields: &Fields, field: Field, characters: &[char], anchor: Anchor) -> Box<dyn Query> {
    let bigrams = cover(characters, anchor);
    match bigrams.as_slice() {
        [] => match characters {
            [only] => term(fields.characters, only.encode_utf8(&mut [0; 4])),
            _ => Box::new(EmptyQuery),
        },
        [(_, only)] => term(field, only),
        _ => {
            let term =
                |(place, bigram): &(usize, String)| (*place, Term::from_field_text(field, bigram));
            Box::new(PhraseQuery::new_with_offset(bigrams.iter().map(term).collect()))
        }
    }
}

fn facets(found: Found) -> SearchFacets {
    let mut licence_type: Vec<(String, u64)> = found.types.into_iter().collect();
    licence_type.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    let words = STATUS_WORDS.iter().zip(found.status).filter(|(_, count)| *count > 0);
    let mut status: Vec<_> = words.map(|(word, count)| ((*word).to_owned(), count)).collect();
    status.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    SearchFacets { licence_type, status }
}

fn hit(record: Record, asked: &Asked) -> SearchHit {
    let (highlights, matched) = highlights(&record, asked);
    SearchHit {
        identifier: record.identifier,
        name: record.name,
        holder_names: record.holder_names,
        holder_kinds: record.holder_kinds,
        issuer_name: record.issuer_name,
        licence_type: record.licence_type,
        number: record.number,
        status: record.status,
        issued_on: record.issued_on,
        highlights,
        matched,
    }
}

/// Pieces of the texts in which the whole stands, or else its parts; and what stands there.
fn highlights(record: &Record, asked: &Asked) -> (Vec<String>, Vec<String>) {
    let texts: Vec<_> = record.texts().map(|text| (text, fold(text))).collect();
    let whole = std::slice::from_ref(&asked.whole);
    let stands = texts.iter().any(|(_, folded)| find(folded, &asked.whole).is_some());
    let runs = if stands { whole } else { &asked.parts };
    let mut pieces = Vec::new();
    let mut matched = BTreeSet::new();
    for (text, folded) in &texts {
        for range in runs.iter().filter_map(|run| find(folded, run)) {
            if pieces.len() < MAX_HIGHLIGHTS {
                let piece = piece(text, range.clone());
                if !pieces.contains(&piece) {
                    pieces.push(piece);
                }
            }
            if matched.len() < MAX_MATCHED {
                matched.insert(text[range].to_owned());
            }
        }
    }
    (pieces, matched.into_iter().collect())
}

/// The match with a little of the text on both sides; `…` where text was left out.
fn piece(text: &str, range: std::ops::Range<usize>) -> String {
    let before = text[..range.start].char_indices().rev().nth(CONTEXT - 1);
    let from = before.map_or(0, |(at, _)| at);
    let after = text[range.end..].char_indices().nth(CONTEXT);
    let to = after.map_or(text.len(), |(at, _)| range.end + at);
    let start = if from > 0 { "…" } else { "" };
    let end = if to < text.len() { "…" } else { "" };
    format!("{start}{}{end}", &text[from..to])
}
