//! A folder on a file server that a department drops batches in: `docs/formats/inbound.md`, files as in
//! `docs/formats/files.md`. Each batch is read whole, answered in a file, and moved aside.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::batch::{BATCH_BYTES, BatchRefused, FileBatch, announced};
use crate::{
    DeliveryError, Problem,
    code_map::CodeMap,
    files::{
        answer::{ANSWER_END, Answer},
        manifest::{Content, DONE_END, MANIFEST_END, MANIFEST_LIMIT, sha256},
    },
    sftp::{self, Entry, Session, Sftp, Target, join},
};

/// Most files in a folder that is listed.
const FILES: usize = 100_000;
/// Most files in a folder that is cleaned up.
const KEPT_FILES: usize = 1_000_000;
/// Most files that are removed together, and a batch.
const CLEAN_FILES: usize = 5_000;
/// How often it is looked for old files, at most, and only when a batch came.
const CLEAN_EVERY: Duration = Duration::from_secs(3_600);
/// Longest stem, in bytes: with it a file's name is at most 255 bytes while it is being written too, by whichever side.
const STEM: usize = 255 - MANIFEST_END.len() - sftp::PART.len();
/// How the names of a batch's files end, the marker first.
const ENDS: [&str; 4] = [DONE_END, Content::Ndjson.end(), Content::Csv.end(), MANIFEST_END];

/// Checked settings of a [`FileDrop`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSettings {
    /// The source's name.
    pub name: String,
    /// The server.
    pub target: Target,
    /// Where batches come.
    pub folder: String,
    /// Where answers go.
    pub answers: String,
    /// How long answers, and files of batches that were dealt with, stay; `None`: for ever.
    pub keep: Option<Duration>,
    /// How many batches are remembered at least.
    pub keep_batches: u64,
}

/// A folder that batches are dropped in.
pub struct FileDrop {
    settings: DropSettings,
    sftp: Sftp,
    /// When files were last cleaned up; `None`: not since the start.
    cleaned: Mutex<Option<Instant>>,
    /// How many markers were passed over when it was last looked.
    passed_over: AtomicUsize,
}

impl fmt::Debug for FileDrop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FileDrop({:?})", self.sftp)
    }
}

/// A batch that is complete: its done-marker is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// What the names of its files begin with.
    pub stem: String,
    /// When the marker was written, in seconds since 1970 by the server's clock.
    pub modified: u64,
}

/// What is in the files of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// SHA-256 of the manifest, hexadecimal; `None`: there is none.
    pub manifest: Option<String>,
    /// The records; `Err`: the batch is refused as a whole.
    pub batch: Result<FileBatch, BatchRefused>,
}

/// How a batch ends: an answer beside it, and its files aside. Written down before it is carried out, so that it can be
/// carried out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclusion {
    /// What the names of its files begin with.
    pub stem: String,
    /// As [`Found::manifest`]: files with another one are another batch, dropped under the same name since.
    pub manifest: Option<String>,
    /// What became of it.
    pub answer: Answer,
    /// An answer that is there is left as it is.
    pub keeps_answer: bool,
    /// Below the folder: where its files go.
    pub aside: Aside,
}

/// Where files of a batch go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aside {
    /// It was worked through.
    Handled,
    /// It was refused as a whole.
    Refused,
}

impl Aside {
    fn folder(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Refused => "refused",
        }
    }
}

impl FileDrop {
    /// Nothing is connected to before something is asked for.
    pub fn new(settings: DropSettings) -> Self {
        let sftp = Sftp::new(settings.target.clone());
        Self { settings, sftp, cleaned: Mutex::new(None), passed_over: AtomicUsize::new(0) }
    }

    /// How many batches are remembered at least.
    pub fn keep_batches(&self) -> u64 {
        self.settings.keep_batches
    }

    /// The batches that are complete, by name. Those whose files could not be named are passed over: those of longer
    /// stems, and names that are not UTF-8, which nobody can ask for.
    ///
    /// # Errors
    /// As the connection and the server have it; there is no such folder.
    pub async fn markers(&self) -> Result<Vec<Marker>, DeliveryError> {
        let session = self.sftp.session().await?;
        let listed = session.list(&self.settings.folder, FILES).await?;
        session.keep();
        let (mut markers, passed_over) = usable(listed);
        if self.passed_over.swap(passed_over, Ordering::Relaxed) != passed_over && passed_over > 0 {
            tracing::warn!(
                inbound = self.settings.name,
                markers = passed_over,
                "batches are passed over: their names are longer than {STEM} bytes, or not UTF-8"
            );
        }
        markers.sort_by(|one, other| one.stem.cmp(&other.stem));
        Ok(markers)
    }

    /// Reads a batch.
    ///
    /// # Errors
    /// As the connection and the server have it.
    pub async fn open(&self, marker: &Marker, map: &CodeMap) -> Result<Found, DeliveryError> {
        let session = self.sftp.session().await?;
        let path = |end: &str| self.path(&marker.stem, end);
        let refused = |manifest: Option<String>, code, why: &str| Found {
            manifest,
            batch: Err(BatchRefused::new(code, why)),
        };
        let bytes = match bounded(&session, &path(MANIFEST_END), MANIFEST_LIMIT).await? {
            Some(Some(bytes)) => bytes,
            Some(None) => {
                session.keep();
                return Ok(refused(None, "manifest_form", "the manifest is larger than any"));
            }
            None => {
                session.keep();
                let why = "there is a done-marker and no manifest";
                return Ok(refused(None, "manifest_missing", why));
            }
        };
        let digest = Some(sha256(&bytes));
        let manifest = match announced(&marker.stem, &bytes) {
            Ok(manifest) => manifest,
            Err(why) => {
                session.keep();
                return Ok(Found { manifest: digest, batch: Err(why) });
            }
        };
        let data = bounded(&session, &path(manifest.content.end()), BATCH_BYTES).await?;
        session.keep();
        Ok(match data {
            None => refused(digest, "data_file_missing", "there is a manifest and no data file"),
            Some(None) => refused(digest, "batch_too_large", "the data file is larger than any"),
            Some(Some(data)) => {
                let map = map.clone();
                // Up to BATCH_BYTES are hashed and taken apart.
                let batch =
                    tokio::task::spawn_blocking(move || FileBatch::read(&manifest, data, &map));
                let batch = batch.await.unwrap_or_else(|_| {
                    Err(BatchRefused::new("row_unreadable", "the data file cannot be read"))
                });
                Found { manifest: digest, batch }
            }
        })
    }

    /// Writes the answer and moves the files aside. The same again changes nothing.
    ///
    /// # Errors
    /// As the connection and the server have it.
    pub async fn conclude(&self, conclusion: &Conclusion) -> Result<(), DeliveryError> {
        let (settings, stem) = (&self.settings, &conclusion.stem);
        if !fits(stem) {
            // Nothing of this name could be written, ever.
            return Ok(());
        }
        let session = self.sftp.session().await?;
        session.make_folder(&settings.answers).await?;
        let answer = join(&settings.answers, &format!("{stem}{ANSWER_END}"));
        if !(conclusion.keeps_answer && session.about(&answer).await?.is_some()) {
            session.put(&answer, &conclusion.answer.to_bytes()).await?;
        }
        let there = bounded(&session, &self.path(stem, MANIFEST_END), MANIFEST_LIMIT).await?;
        let there = there.flatten().map(|bytes| sha256(&bytes));
        // Without its manifest it was moved already, the manifest comes last.
        if there == conclusion.manifest {
            let aside = join(&settings.folder, conclusion.aside.folder());
            session.make_folder(&aside).await?;
            // The marker first: what has none is looked at by nobody.
            for end in ENDS {
                let from = self.path(stem, end);
                if session.about(&from).await?.is_some() {
                    session.rename(&from, &join(&aside, &format!("{stem}{end}"))).await?;
                }
            }
        }
        if self.is_to_clean() {
            // The answer was just written, or is there from an earlier time: then less is old.
            let now = session.about(&answer).await?.map_or(0, |answer| answer.modified);
            match self.clean(&session, now, stem).await {
                Ok(all) if all => self.was_cleaned(),
                Ok(_) => {}
                // Nothing of what comes in depends on it.
                Err(error) => {
                    self.was_cleaned();
                    let (code, name) = (error.code(), &self.settings.name);
                    tracing::warn!(inbound = name, error.code = code, error = %error, "old files are left");
                    return Ok(());
                }
            }
        }
        session.keep();
        Ok(())
    }

    fn is_to_clean(&self) -> bool {
        let cleaned = *self.cleaned.lock().unwrap_or_else(PoisonError::into_inner);
        self.settings.keep.is_some() && cleaned.is_none_or(|at| at.elapsed() >= CLEAN_EVERY)
    }

    fn was_cleaned(&self) {
        *self.cleaned.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Removes files of batches that were dealt with, and their answers, when all of a batch's are old. Whether that is
    /// all there was to remove.
    ///
    /// * `now`: seconds since 1970 by the server's clock, whatever it says.
    /// * `just`: the batch that was just concluded, whose files may be old.
    async fn clean(&self, session: &Session, now: u64, just: &str) -> Result<bool, DeliveryError> {
        let Some(keep) = self.settings.keep else { return Ok(true) };
        let settings = &self.settings;
        let aside =
            [Aside::Handled, Aside::Refused].map(|one| join(&settings.folder, one.folder()));
        let mut batches: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
        for folder in [&aside[0], &aside[1], &settings.answers] {
            if session.about(folder).await?.is_none() {
                continue;
            }
            let ends: &[&str] = if *folder == settings.answers { &[ANSWER_END] } else { &ENDS };
            for entry in session.list(folder, KEPT_FILES).await? {
                let stem = ends.iter().find_map(|end| entry.name.strip_suffix(end));
                let Some(stem) = stem.filter(|stem| !stem.is_empty() && *stem != just) else {
                    continue;
                };
                if entry.is_file && sftp::is_name(&entry.name) {
                    let batch = batches.entry(stem.to_owned()).or_default();
                    batch.0 = batch.0.max(entry.modified);
                    batch.1.push(join(folder, &entry.name));
                }
            }
        }
        let old = batches
            .into_values()
            .filter(|(last, _)| now.checked_sub(*last).is_some_and(|age| age > keep.as_secs()));
        let mut removed = 0;
        for (_, files) in old {
            if removed >= CLEAN_FILES {
                return Ok(false);
            }
            // Those of the batch first, in the order they were listed; the answer last.
            for file in files {
                session.remove(&file).await?;
                removed += 1;
            }
        }
        Ok(true)
    }

    fn path(&self, stem: &str, end: &str) -> String {
        join(&self.settings.folder, &format!("{stem}{end}"))
    }
}

/// The markers in a folder, and how many others have names that nothing can be done with.
fn usable(listed: Vec<Entry>) -> (Vec<Marker>, usize) {
    let (mut markers, mut passed_over) = (Vec::new(), 0);
    for entry in listed.into_iter().filter(|entry| entry.is_file && sftp::is_name(&entry.name)) {
        match entry.name.strip_suffix(DONE_END) {
            None | Some("") => {}
            Some(stem) if fits(stem) => {
                markers.push(Marker { stem: stem.to_owned(), modified: entry.modified });
            }
            Some(_) => passed_over += 1,
        }
    }
    (markers, passed_over)
}

/// Whether files with this stem can be named. Bytes that are not UTF-8 come as U+FFFD.
fn fits(stem: &str) -> bool {
    stem.len() <= STEM && !stem.contains(char::REPLACEMENT_CHARACTER)
}

/// A file's bytes; `None`: there is none; inside `None`: it is larger.
async fn bounded(
    session: &Session,
    path: &str,
    limit: usize,
) -> Result<Option<Option<Vec<u8>>>, DeliveryError> {
    match session.read(path, limit).await {
        Ok(bytes) => Ok(bytes.map(Some)),
        Err(DeliveryError::Configuration(Problem::AnswerTooLarge { .. })) => Ok(Some(None)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_whose_files_could_not_be_named_are_passed_over() {
        let entry = |name: String, is_file| Entry { name, size: 0, modified: 7, is_file };
        let longest = "a".repeat(STEM);
        let listed = vec![
            entry(format!("{longest}.done"), true),
            entry(format!("{longest}b.done"), true),
            entry(format!("{}.done", "a".repeat(250)), true),
            entry("b\u{FFFD}.done".to_owned(), true),
            entry(".done".to_owned(), true),
            entry("c.done".to_owned(), false),
            entry("d.csv".to_owned(), true),
            entry("e.done".to_owned(), true),
        ];
        let marker = |stem: &str| Marker { stem: stem.to_owned(), modified: 7 };
        assert_eq!(usable(listed), (vec![marker(&longest), marker("e")], 3));
        assert_eq!(format!("{longest}{MANIFEST_END}{}", sftp::PART).len(), 255);
    }
}
