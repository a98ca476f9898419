//! `hub import`: hands a folder of signed batches to a hub, with a progress bar, resumable.
//!
//! The folder holds for each batch `NAME.manifest`, `NAME.manifest.p7s` (CMS, DER) and
//! `NAME.licences` (one licence document a line). A batch that was handed in completely is noted in
//! `.import-state.json`; one that was interrupted is sent again, which the hub takes for what it is.
//! Refused licences go to `.import-refusals.ndjson` with line and reason.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::io::StreamReader;

use super::fail;
use crate::http::batches::Summary;

/// Arguments of `hub import`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder, or one `.manifest` file of it.
    folder: PathBuf,
    /// Address of the hub, such as <https://localhost:8443>.
    #[arg(long)]
    to: String,
    /// Client certificate of the issuing department, PEM.
    #[arg(long)]
    identity: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// Anchor of the hub's own certificate, PEM.
    #[arg(long)]
    ca: PathBuf,
    /// Seconds to go on trying while the hub cannot be reached.
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

/// Why an import cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing to do.
    #[error("there is no .manifest file in {0}")]
    Empty(PathBuf),
    /// The state file of an earlier run is not readable.
    #[error("{0} is damaged: delete it to send every batch again, which is safe")]
    State(PathBuf),
    /// Certificate, key or anchor.
    #[error("the client certificate, key or anchor cannot be used: {0}")]
    Identity(String),
    /// The hub refuses the batch as a whole.
    #[error("batch {batch} was refused: {code}: {detail}")]
    Refused {
        /// Its name.
        batch: String,
        /// The hub's code.
        code: String,
        /// In words.
        detail: String,
    },
    /// The hub could not be reached for too long.
    #[error(
        "the hub could not be reached for {seconds} s: {said}; run the same command again to go on"
    )]
    Unreachable {
        /// How long.
        seconds: u64,
        /// The last cause.
        said: String,
    },
}

/// A try that may be repeated.
enum Interrupted {
    Retry(String),
    Final(ImportError),
}

impl From<ImportError> for Interrupted {
    fn from(error: ImportError) -> Self {
        Self::Final(error)
    }
}

#[derive(Default, Serialize, Deserialize)]
struct State {
    done: BTreeSet<String>,
}

/// A problem as the hub says it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Said {
    code: String,
    detail: String,
    #[serde(default)]
    retry: bool,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    defects: Vec<String>,
}

#[derive(Deserialize)]
struct AnswerLine {
    #[serde(default)]
    line: Option<usize>,
    #[serde(default)]
    problem: Option<Said>,
    #[serde(default)]
    summary: Option<Summary>,
}

#[derive(Serialize)]
struct RefusalLine<'a> {
    batch: &'a str,
    line: usize,
    problem: Said,
}

/// Imports; exit code 1 if anything was refused or is missing.
pub async fn run(arguments: Arguments) -> ExitCode {
    match import(&arguments).await {
        Ok(total) => {
            println!(
                "stored {}, already held {}, refused {}, missing {}",
                total.stored, total.already_held, total.refused, total.missing
            );
            if total.refused + total.missing == 0 {
                ExitCode::SUCCESS
            } else {
                println!("see .import-refusals.ndjson in the folder for each refusal's reason");
                ExitCode::FAILURE
            }
        }
        Err(error) => fail(&error),
    }
}

async fn import(arguments: &Arguments) -> Result<Summary, ImportError> {
    let (folder, batches) = batches(&arguments.folder)?;
    let client = client(&arguments.identity, &arguments.key, &arguments.ca)?;
    import_folder(&client, &arguments.to, &folder, &batches, arguments.patience).await
}

/// Builds a client that speaks with a department's certificate and trusts one anchor.
///
/// # Errors
/// `File` or `Identity`.
pub fn client(identity: &Path, key: &Path, ca: &Path) -> Result<reqwest::Client, ImportError> {
    let wrong = |error: reqwest::Error| ImportError::Identity(error.to_string());
    let mut pem = read(identity)?;
    pem.push(b'\n');
    pem.extend_from_slice(&read(key)?);
    let identity = reqwest::Identity::from_pem(&pem).map_err(wrong)?;
    let anchors = reqwest::Certificate::from_pem_bundle(&read(ca)?).map_err(wrong)?;
    reqwest::Client::builder()
        .tls_certs_only(anchors)
        .identity(identity)
        .connect_timeout(Duration::from_secs(10))
        .build()
        .map_err(wrong)
}

/// Hands in the named batches of a folder.
///
/// # Errors
/// See [`ImportError`].
pub async fn import_folder(
    client: &reqwest::Client,
    to: &str,
    folder: &Path,
    batches: &[String],
    patience: u64,
) -> Result<Summary, ImportError> {
    let state_file = folder.join(".import-state.json");
    let mut state = read_state(&state_file)?;
    let mut refusals = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(".import-refusals.ndjson"))
        .map_err(|source| ImportError::File { path: folder.to_owned(), source })?;

    let mut licences = 0;
    for batch in batches {
        licences += count_of(&folder.join(format!("{batch}.manifest")))?;
    }
    let bar = ProgressBar::new(licences);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} licences, {per_sec}, {eta} left, {msg}")
    {
        bar.set_style(style);
    }
    let mut total = Summary::default();
    for batch in batches {
        if state.done.contains(batch) {
            bar.inc(count_of(&folder.join(format!("{batch}.manifest")))?);
            continue;
        }
        let began_at = bar.position();
        let mut failing_since: Option<Instant> = None;
        let mut pause = Duration::from_millis(200);
        let summary = loop {
            bar.set_position(began_at);
            let mut refused = Vec::new();
            match hand_in(client, to, folder, batch, &bar, &mut refused).await {
                Ok(summary) => {
                    for line in refused {
                        let mut text = serde_json::to_vec(&line).unwrap_or_default();
                        text.push(b'\n');
                        refusals.write_all(&text).map_err(|source| ImportError::File {
                            path: folder.to_owned(),
                            source,
                        })?;
                    }
                    break summary;
                }
                Err(Interrupted::Final(error)) => return Err(error),
                Err(Interrupted::Retry(said)) => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if bar.position() > began_at {
                        failing_since = None; // it had got somewhere: patience starts anew
                    } else if since.elapsed().as_secs() >= patience {
                        return Err(ImportError::Unreachable { seconds: patience, said });
                    }
                    bar.set_message("interrupted, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        };
        bar.set_message("");
        total.stored += summary.stored;
        total.already_held += summary.already_held;
        total.refused += summary.refused;
        total.missing += summary.missing;
        state.done.insert(batch.clone());
        write_state(&state_file, &state)?;
    }
    bar.finish_and_clear();
    Ok(total)
}

/// Sends one batch and reads every line of the answer.
async fn hand_in<'a>(
    client: &reqwest::Client,
    to: &str,
    folder: &Path,
    batch: &'a str,
    bar: &ProgressBar,
    refused: &mut Vec<RefusalLine<'a>>,
) -> Result<Summary, Interrupted> {
    let manifest = read(&folder.join(format!("{batch}.manifest")))?;
    let signature = read(&folder.join(format!("{batch}.manifest.p7s")))?;
    let path = folder.join(format!("{batch}.licences"));
    let file = tokio::fs::File::open(&path)
        .await
        .map_err(|source| ImportError::File { path: path.clone(), source })?;
    let first = format!(
        "{{\"manifest\":\"{}\",\"signature\":\"{}\"}}\n",
        STANDARD.encode(&manifest),
        STANDARD.encode(&signature)
    );
    let lines = lines_of(file).ready_chunks(64).map(|lines| {
        let mut chunk = String::new();
        for line in lines {
            chunk.push_str("{\"licence\":\"");
            STANDARD.encode_string(line?, &mut chunk);
            chunk.push_str("\"}\n");
        }
        Ok::<_, std::io::Error>(chunk)
    });
    let body = futures_util::stream::iter([Ok(first)]).chain(lines);
    let answer = client
        .post(format!("{to}/v1/licences/batches"))
        .header("Content-Type", "application/x-ndjson")
        .body(reqwest::Body::wrap_stream(body))
        .send()
        .await
        .map_err(|error| Interrupted::Retry(chain_of(&error)))?;
    if !answer.status().is_success() {
        let said: Said =
            answer.json().await.map_err(|error| Interrupted::Retry(chain_of(&error)))?;
        if said.retry {
            return Err(Interrupted::Retry(said.detail));
        }
        return Err(Interrupted::Final(ImportError::Refused {
            batch: batch.to_owned(),
            code: said.code,
            detail: said.detail,
        }));
    }
    let bytes = answer.bytes_stream().map_err(std::io::Error::other);
    let mut lines = BufReader::new(StreamReader::new(bytes)).lines();
    let mut broken = None;
    loop {
        let line = lines
            .next_line()
            .await
            .map_err(|error| Interrupted::Retry(chain_of(&error)))?
            .ok_or_else(|| Interrupted::Retry("the answer ended too early".to_owned()))?;
        let line: AnswerLine = serde_json::from_str(&line)
            .map_err(|_| Interrupted::Retry("the answer is malformed".to_owned()))?;
        match (line.line, line.problem, line.summary) {
            (Some(line), Some(problem), _) => {
                bar.inc(1);
                refused.push(RefusalLine { batch, line, problem });
            }
            (Some(_), None, _) => bar.inc(1),
            (None, Some(problem), _) => broken = Some(problem),
            (None, None, Some(summary)) => {
                return match broken {
                    None => Ok(summary),
                    Some(problem) => Err(Interrupted::Retry(problem.detail)),
                };
            }
            (None, None, None) => {
                return Err(Interrupted::Retry("the answer is malformed".to_owned()));
            }
        }
    }
}

/// The file's lines as bytes, each without its LF and nothing else: any byte may be signed.
fn lines_of(file: tokio::fs::File) -> impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> {
    let reader = BufReader::with_capacity(1 << 18, file);
    futures_util::stream::try_unfold(reader, |mut reader| async move {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(Some((line, reader)))
    })
    .boxed()
}

/// An error with its causes; reqwest hides them. Addresses of ours hold no personal data.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    said
}

fn batches(path: &Path) -> Result<(PathBuf, Vec<String>), ImportError> {
    let file = |source| ImportError::File { path: path.to_owned(), source };
    let name = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".manifest"))
            .map(ToOwned::to_owned)
    };
    if path.is_file() {
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let batch = name(path).ok_or_else(|| ImportError::Empty(path.to_owned()))?;
        return Ok((folder, vec![batch]));
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(file)? {
        found.extend(name(&entry.map_err(file)?.path()));
    }
    found.sort();
    if found.is_empty() {
        return Err(ImportError::Empty(path.to_owned()));
    }
    Ok((path.to_owned(), found))
}

/// The `count` line of a manifest; the hub checks the rest.
fn count_of(manifest: &Path) -> Result<u64, ImportError> {
    let bytes = read(manifest)?;
    let head = bytes.get(..1_024.min(bytes.len())).unwrap_or_default();
    Ok(String::from_utf8_lossy(head)
        .lines()
        .find_map(|line| line.strip_prefix("count ")?.parse().ok())
        .unwrap_or(0))
}

fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    std::fs::read(path).map_err(|source| ImportError::File { path: path.to_owned(), source })
}

fn read_state(path: &Path) -> Result<State, ImportError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|_| ImportError::State(path.to_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(State::default()),
        Err(source) => Err(ImportError::File { path: path.to_owned(), source }),
    }
}

/// Writes beside and renames, so that a power cut leaves the old state or the new one.
fn write_state(path: &Path, state: &State) -> Result<(), ImportError> {
    let file = |source| ImportError::File { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    let mut out = std::fs::File::create(&beside).map_err(file)?;
    out.write_all(&serde_json::to_vec(state).unwrap_or_default()).map_err(file)?;
    out.sync_all().map_err(file)?;
    std::fs::rename(&beside, path).map_err(file)
}
