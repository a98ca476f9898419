//! Revocation lists and OCSP answers fetched on a schedule.
//!
//! What is fetched is checked against what is believed now, and only then written into the trust folder,
//! whole or not at all: the hub reads it from there like anything that is dropped into it, and an offline
//! restart still has it. A source that fails is asked again after a pause that doubles, and is told.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use certs::{Certificate, CrlError, OcspError, TrustStore, check_ocsp, ocsp};
use jiff::{SignedDuration, Timestamp};
use reqwest::{StatusCode, header};
use serde::{Deserialize, Serialize};

use super::{
    Problem, TrustFolder,
    folder::{dropped, read_bounded},
    read_certificates, write_atomically,
};
use crate::config::{Config, Source};

/// The largest list that is fetched; `certs` reads no larger one.
const MOST_LIST: usize = 32 << 20;

/// The largest answer of a responder.
const MOST_ANSWER: usize = 256 << 10;

/// Most certificates that a responder is asked about.
const MOST_ASKED: usize = 4_096;

/// The first pause after a failure; each further one doubles it, up to the source's own schedule.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// What a source gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A revocation list.
    Crl,
    /// OCSP answers.
    Ocsp,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection, or it broke, or it took too long.
    #[error("it cannot be reached: {said}")]
    Unreachable {
        /// Why.
        said: String,
    },
    /// It answered with something else than 200.
    #[error("it answers with the HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The answer is larger than any list or answer.
    #[error("its answer has more than {most} bytes")]
    TooLarge {
        /// How many are read.
        most: usize,
    },
    /// A file that the source names, or the trust folder.
    #[error("{path}: {said}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        said: String,
    },
    /// The list is not believed.
    #[error("its list is not believed: {0}")]
    List(#[from] CrlError),
    /// The answer is not believed.
    #[error("its answer is not believed: {0}")]
    Answer(#[from] OcspError),
}

impl FetchError {
    /// Part of the public interface, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "source_unreachable",
            Self::Status { .. } => "source_status",
            Self::TooLarge { .. } => "source_too_large",
            Self::File { .. } => "source_file",
            Self::List(error) => error.code(),
            Self::Answer(error) => error.code(),
        }
    }
}

/// What is remembered of a source, in `sources.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// When it was asked last.
    tried_at: Option<Timestamp>,
    /// When it gave last, or said that nothing changed.
    fetched_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// How often it failed since it gave last.
    #[serde(default)]
    failures: u32,
    /// The last failure's code and words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<(String, String)>,
}

/// What there is to tell of a source.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SourceReport {
    /// Its address.
    pub address: String,
    /// `crl` or `ocsp`.
    #[schema(value_type = String)]
    pub kind: SourceKind,
    /// `ok`, `failing`, or `waiting` for its first fetch.
    pub state: &'static str,
    /// When it gave last.
    #[schema(value_type = Option<String>)]
    pub fetched_at: Option<Timestamp>,
    /// Why it fails: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The sources of the settings.
pub struct Sources {
    folder: TrustFolder,
    all: Vec<(SourceKind, Source)>,
    remembered: Mutex<BTreeMap<String, Remembered>>,
}

/// One fetch.
pub struct Errand {
    folder: TrustFolder,
    kind: SourceKind,
    source: Source,
    remembered: Remembered,
    now: Timestamp,
    outcome: Result<(), FetchError>,
}

impl Sources {
    /// The sources, with what is remembered of them.
    #[must_use]
    pub fn open(config: &Config) -> Self {
        let crls = config.trust.crl_sources.iter().map(|source| (SourceKind::Crl, source.clone()));
        let ocsp = config.trust.ocsp.iter().map(|source| (SourceKind::Ocsp, source.clone()));
        let folder = TrustFolder::of(config);
        let remembered = read_bounded(&file(&folder)).ok();
        // What is damaged is forgotten: then all are asked anew.
        let remembered = remembered.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            folder,
            all: crls.chain(ocsp).collect(),
            remembered: Mutex::new(remembered.unwrap_or_default()),
        }
    }

    /// The next source that is due.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Errand> {
        let due = |(kind, source): &&(SourceKind, Source)| {
            let remembered = self.remembered(*kind, source);
            let pause = pause(remembered.failures, source.every_minutes);
            remembered.tried_at.is_none_or(|tried| {
                // A clock that was put back does not keep a source waiting.
                now < tried || tried.saturating_add(pause).is_ok_and(|next| next <= now)
            })
        };
        let (kind, source) = self.all.iter().find(due)?;
        Some(self.errand(*kind, source, now))
    }

    /// Every source, due or not.
    #[must_use]
    pub fn all(&self, now: Timestamp) -> Vec<Errand> {
        self.all.iter().map(|(kind, source)| self.errand(*kind, source, now)).collect()
    }

    fn errand(&self, kind: SourceKind, source: &Source, now: Timestamp) -> Errand {
        let remembered = self.remembered(kind, source);
        let (folder, source) = (self.folder.clone(), source.clone());
        Errand { folder, kind, source, remembered, now, outcome: Ok(()) }
    }

    /// Remembers what came of a fetch.
    pub fn done(&self, errand: Errand, now: Timestamp) {
        let Errand { kind, source, mut remembered, outcome, .. } = errand;
        remembered.tried_at = Some(now);
        match &outcome {
            Ok(()) => {
                remembered.fetched_at = Some(now);
                (remembered.failures, remembered.failure) = (0, None);
            }
            Err(error) => {
                remembered.failures = remembered.failures.saturating_add(1);
                remembered.failure = Some((error.code().to_owned(), error.to_string()));
                tracing::warn!(
                    source = source.address,
                    error.code = error.code(),
                    error = %error,
                    "a source of revocation lists or answers fails"
                );
            }
        }
        let mut all = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key(kind, &source), remembered);
        let bytes = serde_json::to_vec_pretty(&*all).unwrap_or_default();
        if let Err(error) = write_atomically(&file(&self.folder), &bytes) {
            tracing::warn!(error = %error, "what is known of the sources could not be written");
        }
    }

    /// What there is to tell of each.
    #[must_use]
    pub fn report(&self) -> Vec<SourceReport> {
        let report = |(kind, source): &(SourceKind, Source)| {
            let remembered = self.remembered(*kind, source);
            SourceReport {
                address: source.address.clone(),
                kind: *kind,
                state: match (&remembered.failure, remembered.fetched_at) {
                    (Some(_), _) => "failing",
                    (None, None) => "waiting",
                    (None, Some(_)) => "ok",
                },
                fetched_at: remembered.fetched_at,
                code: remembered.failure.map(|(code, _)| code),
            }
        };
        self.all.iter().map(report).collect()
    }

    /// The sources that fail.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let failing = |(kind, source): &(SourceKind, Source)| {
            let remembered = self.remembered(*kind, source);
            let (code, said) = remembered.failure?;
            let last = remembered.fetched_at.map_or("never".to_owned(), |at| at.to_string());
            Some(Problem::new(&source.address, code, format!("{said}; it gave last: {last}")))
        };
        self.all.iter().filter_map(failing).collect()
    }

    fn remembered(&self, kind: SourceKind, source: &Source) -> Remembered {
        let all = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&key(kind, source)).cloned().unwrap_or_default()
    }
}

impl Errand {
    /// The source's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.source.address
    }

    /// What came of it.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub fn outcome(&self) -> Result<(), &FetchError> {
        self.outcome.as_ref().copied()
    }

    /// Fetches. What comes is believed by `store`, or refused.
    pub async fn run(&mut self, store: &TrustStore) {
        self.outcome = match self.kind {
            SourceKind::Crl => self.list(store).await,
            SourceKind::Ocsp => self.answers(store).await,
        };
    }

    async fn list(&mut self, store: &TrustStore) -> Result<(), FetchError> {
        let name = format!("fetched-{}.crl", short(self.source.address.as_bytes()));
        let path = self.folder.crls().join(name);
        let mut request = self.client()?.get(&self.source.address);
        if path.exists() {
            let known = [
                (header::IF_NONE_MATCH, &self.remembered.etag),
                (header::IF_MODIFIED_SINCE, &self.remembered.last_modified),
            ];
            for (name, value) in known {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
        }
        let mut answer = request.send().await.map_err(unreachable)?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(());
        }
        let list = body(&mut answer, MOST_LIST).await?;
        // A trial on the side: verifying a list of 32 MiB is no work for this thread.
        let mut trial = store.next();
        let (now, bytes) = (self.now, list.clone());
        let taken = tokio::task::spawn_blocking(move || trial.add_crl_at(&bytes, now)).await;
        taken.unwrap_or(Err(CrlError::Malformed))?;
        self.write(&path, &list)?;
        let said = |name| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        self.remembered.etag = said(header::ETAG);
        self.remembered.last_modified = said(header::LAST_MODIFIED);
        Ok(())
    }

    /// Asks about every certificate in use. One that fails keeps no other from being asked, but a
    /// responder that cannot be reached is not asked further.
    async fn answers(&mut self, store: &TrustStore) -> Result<(), FetchError> {
        let only = match &self.source.issuer {
            None => None,
            Some(path) => {
                let wrong = |(_, said)| FetchError::File { path: path.clone(), said };
                Some(read_certificates(path).map_err(wrong)?)
            }
        };
        let client = self.client()?;
        let mut worst = Ok(());
        let (folder, remembered, now) = (self.folder.clone(), store.in_use(), self.now);
        let asked = tokio::task::spawn_blocking(move || in_use(&folder, &remembered, now)).await;
        for (certificate, issuer) in asked.unwrap_or_default() {
            if only.as_ref().is_some_and(|only| !only.contains(&issuer)) {
                continue;
            }
            match self.ask(&client, &certificate, &issuer).await {
                Ok(()) => {}
                Err(error @ (FetchError::Answer(_) | FetchError::Status { .. })) => {
                    worst = Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        worst
    }

    async fn ask(
        &self,
        client: &reqwest::Client,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<(), FetchError> {
        let request = client
            .post(&self.source.address)
            .header(header::CONTENT_TYPE, "application/ocsp-request")
            .body(ocsp::request(certificate, issuer, None));
        let mut answer = request.send().await.map_err(unreachable)?;
        let bytes = body(&mut answer, MOST_ANSWER).await?;
        check_ocsp(&bytes, certificate, issuer, self.now)?;
        let about = [self.source.address.as_bytes(), certificate.sha256().as_bytes()].concat();
        self.write(&self.folder.ocsp().join(format!("fetched-{}.der", short(&about))), &bytes)
    }

    fn client(&self) -> Result<reqwest::Client, FetchError> {
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::limited(3))
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(u64::from(self.source.timeout_seconds)))
            .user_agent(concat!("yihao/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.source.ca {
            let wrong = |said: String| FetchError::File { path: path.clone(), said };
            let pem = read_bounded(path).map_err(|error| wrong(error.to_string()))?;
            let anchors = reqwest::Certificate::from_pem_bundle(&pem);
            client = client.tls_certs_only(anchors.map_err(|error| wrong(error.to_string()))?);
        }
        client.build().map_err(unreachable)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FetchError> {
        if read_bounded(path).ok().as_deref() == Some(bytes) {
            return Ok(());
        }
        let wrong =
            |error: io::Error| FetchError::File { path: path.to_owned(), said: error.to_string() };
        write_atomically(path, bytes).map_err(wrong)
    }
}

/// The certificates in use, those before the last start too, each with its issuer.
fn in_use(
    folder: &TrustFolder,
    remembered: &[(Certificate, Certificate)],
    now: Timestamp,
) -> Vec<(Certificate, Certificate)> {
    let folder = folder.held().join("in-use");
    let _ = std::fs::create_dir_all(&folder);
    for (certificate, issuer) in remembered {
        let path = folder.join(format!("{}.pem", certificate.sha256()));
        if !path.exists() {
            let pem = format!("{}{}", certificate.to_pem(), issuer.to_pem());
            let _ = write_atomically(&path, pem.as_bytes());
        }
    }
    let read = |path: PathBuf| {
        let pair = read_certificates(&path).ok()?;
        let [certificate, issuer] = pair.as_slice() else { return None };
        if certificate.not_after() < now {
            let _ = std::fs::remove_file(path);
            return None;
        }
        Some((certificate.clone(), issuer.clone()))
    };
    dropped(&folder).unwrap_or_default().into_iter().filter_map(read).take(MOST_ASKED).collect()
}

/// How long after the last try a source is asked again.
fn pause(failures: u32, every_minutes: u32) -> SignedDuration {
    let every = SignedDuration::from_mins(i64::from(every_minutes));
    match failures {
        0 => every,
        _ => FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(20)).min(every),
    }
}

async fn body(answer: &mut reqwest::Response, most: usize) -> Result<Vec<u8>, FetchError> {
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status { status: answer.status().as_u16() });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > most {
            return Err(FetchError::TooLarge { most });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The last cause says most.
fn unreachable(error: reqwest::Error) -> FetchError {
    if error.is_timeout() {
        return FetchError::Unreachable { said: "no answer in time".to_owned() };
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    FetchError::Unreachable { said: cause.to_string() }
}

fn key(kind: SourceKind, source: &Source) -> String {
    match kind {
        SourceKind::Crl => format!("crl {}", source.address),
        SourceKind::Ocsp => format!("ocsp {}", source.address),
    }
}

fn file(folder: &TrustFolder) -> PathBuf {
    folder.path().join("sources.json")
}

fn short(bytes: &[u8]) -> String {
    hex::encode(&certs::sha256(bytes).as_bytes()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_fails_is_asked_again_after_a_minute_then_two_then_four_up_to_its_schedule() {
        let minutes = |failures| pause(failures, 10).as_mins();
        assert_eq!([0, 1, 2, 3, 4, 5, 40].map(minutes), [10, 1, 2, 4, 8, 10, 10]);
    }
}
