//! One time-stamp authority, over HTTP (RFC 3161, 3.4): asks, and believes nothing that it did not verify.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use certs::{HashAlgorithm, TimestampError, timestamp};
use jiff::SignedDuration;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use super::Stamp;
use crate::{Hub, config::TimeStampAuthority};

/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A stamp is of the moment it was asked for: by how much the authority's clock may differ from ours.
const APART: SignedDuration = SignedDuration::from_mins(10);

/// Why an authority gave no stamp.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// It cannot be reached, or does not answer in time.
    #[error("the time-stamp authority cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It answers with another HTTP status than 200.
    #[error("the time-stamp authority answers with HTTP status {0}")]
    Status(u16),
    /// What it answers does not count.
    #[error(transparent)]
    Answer(#[from] TimestampError),
    /// Its certificate is another than the one that the settings name.
    #[error("the time-stamp is by another certificate than the one in the settings")]
    OtherCertificate,
    /// Its clock and ours are more than ten minutes apart.
    #[error("the time-stamp authority's clock is more than ten minutes off ours")]
    ClockOff,
    /// There are no random bytes for a nonce.
    #[error("the system has no random bytes")]
    Random,
}

impl StampError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "stamp_unreachable",
            Self::Status(_) => "stamp_http_status",
            Self::Answer(error) => error.code(),
            Self::OtherCertificate => "stamp_other_certificate",
            Self::ClockOff => "stamp_clock_off",
            Self::Random => "stamp_no_random",
        }
    }
}

/// An authority of the settings, and how it has been doing.
pub(super) struct Authority {
    pub(super) settings: TimeStampAuthority,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    next_attempt: Option<Instant>,
}

impl Authority {
    /// # Errors
    /// In words, what is wrong with the settings.
    pub(super) fn new(settings: TimeStampAuthority) -> Result<Self, String> {
        let address = reqwest::Url::parse(&settings.address).ok();
        if !address.is_some_and(|address| matches!(address.scheme(), "http" | "https")) {
            return Err(format!("{}: the address is no http address", settings.name));
        }
        Ok(Self { settings, state: Mutex::default() })
    }

    pub(super) fn is_failing(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failures > 0
    }

    /// When it may be asked again, if not now.
    pub(super) fn pause(&self) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.next_attempt.filter(|at| *at > Instant::now())
    }

    /// Asks for a stamp over a signature value.
    pub(super) async fn ask(
        &self,
        hub: &Hub,
        http: &reqwest::Client,
        value: &[u8],
        longest: Duration,
    ) -> Result<Stamp, StampError> {
        let outcome = self.try_ask(hub, http, value).await;
        let name = &self.settings.name;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(_) => {
                if state.failures > 0 {
                    tracing::info!(authority = name, "the time-stamp authority serves again");
                }
                *state = State::default();
            }
            // Requests under way together fail together, and count once.
            Err(_) if state.next_attempt.is_some_and(|at| at > Instant::now()) => {}
            Err(error) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << state.failures.min(16)).min(longest);
                state.failures = state.failures.saturating_add(1);
                state.next_attempt = Some(Instant::now() + pause);
                tracing::warn!(
                    authority = name,
                    code = error.code(),
                    pause_s = pause.as_secs(),
                    "no time-stamp: {error}"
                );
            }
        }
        let outcome_word = outcome.as_ref().map_or_else(StampError::code, |_| "stamped");
        let name = name.clone();
        metrics::counter!("yihao_stamps_total", "authority" => name, "outcome" => outcome_word)
            .increment(1);
        outcome
    }

    async fn try_ask(
        &self,
        hub: &Hub,
        http: &reqwest::Client,
        value: &[u8],
    ) -> Result<Stamp, StampError> {
        let mut nonce = [0; 8];
        SystemRandom::new().fill(&mut nonce).map_err(|_| StampError::Random)?;
        let hash = HashAlgorithm::Sha256;
        let policy = self.settings.policy.as_deref();
        let request = timestamp::request(&hash.digest(&[value]), hash, Some(nonce), policy);
        let answer = http
            .post(&self.settings.address)
            .header("content-type", "application/timestamp-query")
            .body(request)
            .send()
            .await
            .map_err(StampError::Unreachable)?;
        if answer.status() != 200 {
            return Err(StampError::Status(answer.status().as_u16()));
        }
        let token = timestamp::read_answer(&bounded(answer).await?)?;
        let times = super::now(&hub.clock);
        let stamp = timestamp::verify(&token, value, &hub.trust(), &times)?;
        stamp.answers(&nonce, policy)?;
        let pinned = self.settings.certificate_sha256.as_ref();
        if pinned.is_some_and(|pinned| stamp.authority.sha256() != *pinned) {
            return Err(StampError::OtherCertificate);
        }
        if stamp.at.duration_since(times.now).abs() > APART {
            return Err(StampError::ClockOff);
        }
        let authority = self.settings.name.clone();
        Ok(Stamp { authority, at: stamp.at, token, value: value.to_vec() })
    }
}

async fn bounded(mut answer: reqwest::Response) -> Result<Vec<u8>, StampError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(StampError::Unreachable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > timestamp::MAX_TIME_STAMP_BYTES {
            return Err(TimestampError::TooLarge { bytes: bytes.len() }.into());
        }
    }
    Ok(bytes)
}
