//! A folder on a file server that a department drops batches in: `docs/formats/inbound.md`, files as in
//! `docs/formats/files.md`. Each batch is read whole, answered in a file, and moved aside.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::batch::{BATCH_BYTES, BatchRefused, FileBatch, announced};
use crate::{
    DeliveryError, Problem,
    code_map::CodeMap,
    files::{
        answer::{ANSWER_END, Answer},
        manifest::{Content, DONE_END, MANIFEST_END, MANIFEST_LIMIT, sha256},
    },
    sftp::{self, Session, Sftp, Target, join},
};

/// Most files in a folder that is listed.
const FILES: usize = 100_000;

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
}

/// A folder that batches are dropped in.
pub struct FileDrop {
    settings: DropSettings,
    sftp: Sftp,
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
        Self { settings, sftp }
    }

    /// The batches that are complete, by name.
    ///
    /// # Errors
    /// As the connection and the server have it; there is no such folder.
    pub async fn markers(&self) -> Result<Vec<Marker>, DeliveryError> {
        let session = self.sftp.session().await?;
        let listed = session.list(&self.settings.folder, FILES).await?;
        session.keep();
        let mut markers: Vec<Marker> = listed
            .into_iter()
            .filter(|entry| entry.is_file && sftp::is_name(&entry.name))
            .filter_map(|entry| {
                let stem = entry.name.strip_suffix(DONE_END).filter(|stem| !stem.is_empty())?;
                Some(Marker { stem: stem.to_owned(), modified: entry.modified })
            })
            .collect();
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
            for end in [DONE_END, Content::Ndjson.end(), Content::Csv.end(), MANIFEST_END] {
                let from = self.path(stem, end);
                if session.about(&from).await?.is_some() {
                    session.rename(&from, &join(&aside, &format!("{stem}{end}"))).await?;
                }
            }
        }
        session.keep();
        Ok(())
    }

    fn path(&self, stem: &str, end: &str) -> String {
        join(&self.settings.folder, &format!("{stem}{end}"))
    }
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
