//! OpenID Connect, as the relying party: authorisation code with PKCE, state and nonce.
//!
//! Source: OpenID Connect Core 1.0, 3.1; RFC 7636 (PKCE, S256); RFC 9207 (`iss` of the answer); RFC 9700. The crate
//! `openidconnect` checks tokens (`docs/decisions/0014-openid-connect-library.md`). The validity of ID tokens is judged by
//! the machine's clock, as that of TLS certificates is; everything else by the hub's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use openidconnect::{
    AccessTokenHash, AuthType, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret,
    CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl,
    Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, TokenResponse,
    core::{
        CoreAuthPrompt, CoreClient, CoreClientAuthMethod, CoreIdToken,
        CoreJwsSigningAlgorithm as Algorithm, CoreProviderMetadata, CoreResponseType,
        CoreTokenResponse,
    },
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Account, Organisations,
    claims::{self, Claims, ClaimsError},
    flow::{self, Flow, Seal},
};
use crate::{
    config::{self, Config, ConfigError, Login},
    records,
};

/// How long discovery and keys are believed without being asked for again.
const FRESH: Duration = Duration::from_secs(600);
/// Keys are asked for again for a token that does not fit them, but not more often than this.
const PAUSE: Duration = Duration::from_secs(10);
/// Seconds by which the provider's clock may be behind.
const CLOCKS_DIFFER: i64 = 60;
/// Most bytes of an answer of the provider.
const MOST_BYTES: usize = 1 << 20;
/// Signatures that are believed: never `none`, never a MAC.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
];

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why a login did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The provider cannot be reached, or does not answer as one.
    #[error("the provider cannot be asked now")]
    Provider,
    /// The answer does not belong to a login that this browser began here and now.
    #[error("the answer belongs to no login that this browser has begun")]
    State,
    /// The provider did not let the person in, or the person turned back.
    #[error("the provider did not let the person in")]
    Denied,
    /// The provider does not know the code, or it was used already.
    #[error("the provider does not take this code: it is over, or was used already")]
    Code,
    /// The tokens are not what they must be.
    #[error("what the provider said does not hold")]
    Token,
    /// No account can be made of what the provider says.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl LoginError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Provider => "login_provider_unavailable",
            Self::State => "login_state",
            Self::Denied => "login_denied",
            Self::Code => "login_code",
            Self::Token => "login_token",
            Self::Claims(error) => error.code(),
            Self::Random => "login_random",
        }
    }
}

/// What the provider sends the browser back with.
#[derive(Clone, Deserialize)]
pub struct Answered {
    /// The state.
    #[serde(default)]
    pub state: String,
    /// The code, unless there is an error.
    pub code: Option<String>,
    /// The error.
    pub error: Option<String>,
    /// Who answers (RFC 9207).
    pub iss: Option<String>,
}

/// The provider that people log in with.
pub struct Provider {
    settings: Login,
    secret: ClientSecret,
    http: reqwest::Client,
    seal: Seal,
    known: tokio::sync::Mutex<Option<Known>>,
}

/// What the provider says of itself, and when it was asked.
#[derive(Clone)]
struct Known {
    metadata: Arc<CoreProviderMetadata>,
    at: Instant,
}

impl Provider {
    /// The provider of the settings, if they name one. It is not asked for anything yet.
    ///
    /// # Errors
    /// `File` or `Content`.
    pub fn open(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(settings) = config.login.clone() else {
            return Ok(None);
        };
        let file = &settings.client_secret;
        let secret = config::read_text("login.client_secret", file)?;
        let secret = secret.trim();
        if secret.len() < 16 {
            let said = "a client secret has at least 16 characters";
            return Err(config::content("login.client_secret", file, said));
        }
        let mut http = reqwest::Client::builder()
            .https_only(settings.issuer.starts_with("https://"))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(15))
            .user_agent(concat!("yihao/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.ca {
            let pem = config::read_file("login.ca", path)?;
            let wrong = |error: reqwest::Error| config::content("login.ca", path, error);
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).map_err(wrong)?);
        }
        let http =
            http.build().map_err(|error| config::content("login.client_secret", file, error))?;
        let seal = Seal::from_secret(secret);
        let secret = ClientSecret::new(secret.to_owned());
        Ok(Some(Self { settings, secret, http, seal, known: tokio::sync::Mutex::default() }))
    }

    /// The address at which browsers reach this hub.
    #[must_use]
    pub fn own_address(&self) -> &str {
        &self.settings.address
    }

    /// Begins a login: where the browser goes, and the value of its cookie [`flow::COOKIE`].
    ///
    /// * `anew`: a login that the provider still remembers does not suffice. Asked for by `prompt` and `max_age`, and
    ///   judged by the token's `auth_time`, since the browser carries the request.
    ///
    /// # Errors
    /// `Provider`, `Random`.
    pub async fn begin(
        &self,
        next: &str,
        anew: bool,
        now: Timestamp,
    ) -> Result<(String, String), LoginError> {
        let known = self.known(FRESH).await?;
        let client = self.client(&known)?;
        let random = || records::random_name("").map_err(|_| LoginError::Random);
        let (state, nonce) = (random()?, random()?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = Flow {
            state: state.clone(),
            nonce: nonce.clone(),
            verifier: verifier.into_secret(),
            next: flow::local_path(next).unwrap_or_default().to_owned(),
            until: now + flow::PATIENCE,
            anew_since: anew.then(|| Timestamp::now().as_second()),
        };
        let cookie = self.seal.seal(&flow).ok_or(LoginError::Random)?;
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge);
        if anew {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        }
        let (address, _, _) = request.url();
        if self.settings.issuer.starts_with("https://") && address.scheme() != "https" {
            tracing::error!("the provider's authorisation endpoint is not under https");
            return Err(LoginError::Provider);
        }
        Ok((address.into(), cookie))
    }

    /// Ends a login: the account, and where to go.
    ///
    /// * `cookie`: the value of [`flow::COOKIE`], if the browser has it.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn finish(
        &self,
        cookie: Option<&str>,
        answered: &Answered,
        organisations: &Organisations,
        now: Timestamp,
    ) -> Result<(Account, String), LoginError> {
        let flow = cookie.and_then(|cookie| self.seal.open(cookie, now));
        let flow = flow.ok_or(LoginError::State)?;
        // Digests are compared, so that the time taken says nothing of the state.
        let digest = |text: &str| certs::sha256(text.as_bytes());
        if digest(&flow.state) != digest(&answered.state) {
            return Err(LoginError::State);
        }
        if answered.iss.as_ref().is_some_and(|issuer| *issuer != self.settings.issuer) {
            return Err(LoginError::State);
        }
        if answered.error.is_some() {
            return Err(LoginError::Denied);
        }
        let code = answered.code.clone().filter(|code| !code.is_empty());
        let code = AuthorizationCode::new(code.ok_or(LoginError::State)?);
        let known = self.known(FRESH).await?;
        let tokens = self.exchange(&known, code, flow.verifier).await?;
        let id_token = tokens.id_token().ok_or(LoginError::Token)?;
        let nonce = Nonce::new(flow.nonce);
        if let Err(error) = self.verify(&known, id_token, &tokens, &nonce) {
            // The provider may have changed its keys.
            let again = self.known(PAUSE).await?;
            if again.at == known.at {
                return Err(error);
            }
            self.verify(&again, id_token, &tokens, &nonce)?;
        }
        let mut claims = payload(id_token).ok_or(LoginError::Token)?;
        if let Some(since) = flow.anew_since {
            // Source: OpenID Connect Core 1.0, 3.1.2.1: with `max_age`, the token must say `auth_time`.
            let shown = claims.get("auth_time").and_then(Value::as_i64);
            if shown.is_none_or(|at| at < since - CLOCKS_DIFFER) {
                tracing::warn!("the provider let somebody in by an earlier login");
                return Err(LoginError::Token);
            }
        }
        if let Some(endpoint) = known.metadata.userinfo_endpoint() {
            let more = self.userinfo(endpoint.url().as_str(), &tokens).await?;
            // Source: OpenID Connect Core 1.0, 5.3.2: the subjects must be the same.
            if more.get("sub") != claims.get("sub") {
                tracing::warn!("a login was refused: userinfo is of another subject");
                return Err(LoginError::Token);
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        let account = claims::account(&claims, &self.settings, organisations)?;
        Ok((account, flow.next))
    }

    /// What the provider says of itself, asked again if it is older than this.
    async fn known(&self, fresh: Duration) -> Result<Known, LoginError> {
        let mut kept = self.known.lock().await;
        if let Some(known) = kept.as_ref().filter(|known| known.at.elapsed() < fresh) {
            return Ok(known.clone());
        }
        let unusable = |error: &dyn std::fmt::Display| {
            tracing::error!(error = %error, "the provider's discovery document cannot be used");
            LoginError::Provider
        };
        let issuer =
            IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| unusable(&error))?;
        let http = |request| ask(self.http.clone(), request);
        let metadata = match CoreProviderMetadata::discover_async(issuer, &http).await {
            Ok(metadata) => Arc::new(metadata),
            Err(error) => return Err(unusable(&error)),
        };
        let known = Known { metadata, at: Instant::now() };
        *kept = Some(known.clone());
        Ok(known)
    }

    fn client(&self, known: &Known) -> Result<Client, LoginError> {
        let back = format!("{}/login/callback", self.settings.address);
        let back = RedirectUrl::new(back).map_err(|_| LoginError::Provider)?;
        let id = ClientId::new(self.settings.client_id.clone());
        let metadata = (*known.metadata).clone();
        let basic = metadata
            .token_endpoint_auth_methods_supported()
            .is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let by = if basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        let secret = Some(self.secret.clone());
        Ok(CoreClient::from_provider_metadata(metadata, id, secret)
            .set_redirect_uri(back)
            .set_auth_type(by))
    }

    async fn exchange(
        &self,
        known: &Known,
        code: AuthorizationCode,
        verifier: String,
    ) -> Result<CoreTokenResponse, LoginError> {
        let client = self.client(known)?;
        let http = |request| ask(self.http.clone(), request);
        let request = client.exchange_code(code).map_err(|_| LoginError::Provider)?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier));
        request.request_async(&http).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(said) => {
                tracing::warn!(error.code = said.error().as_ref(), "the provider gave no tokens");
                LoginError::Code
            }
            RequestTokenError::Request(error) => {
                tracing::error!(error = %error, "the provider's token endpoint failed");
                LoginError::Provider
            }
            // What was said may contain tokens: it stays out of the log.
            _ => LoginError::Token,
        })
    }

    fn verify(
        &self,
        known: &Known,
        id_token: &CoreIdToken,
        tokens: &CoreTokenResponse,
        nonce: &Nonce,
    ) -> Result<(), LoginError> {
        let client = self.client(known)?;
        let offered = known.metadata.id_token_signing_alg_values_supported();
        let believed = ALGORITHMS.into_iter().filter(|one| offered.contains(one));
        let verifier = client.id_token_verifier().set_allowed_algs(believed);
        let wrong = |error: &dyn std::fmt::Display| {
            tracing::warn!(error = %error, "an ID token was refused");
            LoginError::Token
        };
        let claims = id_token.claims(&verifier, nonce).map_err(|error| wrong(&error.kind()))?;
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = id_token.signing_alg().map_err(|_| LoginError::Token)?;
            let key = id_token.signing_key(&verifier).map_err(|_| LoginError::Token)?;
            let actual = AccessTokenHash::from_token(tokens.access_token(), algorithm, key)
                .map_err(|_| LoginError::Token)?;
            if actual != *expected {
                tracing::warn!("an ID token was refused: it belongs to another access token");
                return Err(LoginError::Token);
            }
        }
        Ok(())
    }

    async fn userinfo(
        &self,
        endpoint: &str,
        tokens: &CoreTokenResponse,
    ) -> Result<Claims, LoginError> {
        let request = self
            .http
            .get(endpoint)
            .header("Accept", "application/json")
            .bearer_auth(tokens.access_token().secret());
        let request = request.build().map_err(|_| LoginError::Provider)?;
        let (status, body) = bounded(&self.http, request).await.map_err(|error| {
            tracing::error!(error = %error, "the provider's userinfo endpoint failed");
            LoginError::Provider
        })?;
        if !status.status().is_success() {
            return Err(LoginError::Token);
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(LoginError::Token),
        }
    }
}

/// Kinds of refusal, without what the token says.
trait Kind {
    fn kind(&self) -> &'static str;
}

impl Kind for openidconnect::ClaimsVerificationError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Expired(_) => "it has expired",
            Self::InvalidAudience(_) => "it is for another audience",
            Self::InvalidIssuer(_) => "it is by another issuer",
            Self::InvalidNonce(_) => "its nonce is another",
            Self::SignatureVerification(_) => "its signature does not hold",
            _ => "it is malformed",
        }
    }
}

/// The claims of an ID token that was verified.
fn payload(id_token: &CoreIdToken) -> Option<Claims> {
    let text = id_token.to_string();
    let payload = text.split('.').nth(1)?;
    match serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()? {
        Value::Object(claims) => Some(claims),
        _ => None,
    }
}

/// Why the provider was not heard.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{}", without_address(.0))]
    Transport(reqwest::Error),
    #[error("the answer is too large")]
    TooLarge,
    #[error("the request cannot be made")]
    Request,
}

/// An error of the transport with its causes, but not the address: tokens and codes are nobody's to read.
fn without_address(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "it cannot be reached"
    } else {
        "the connection failed"
    };
    let mut said = kind.to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.source().is_none() {
            said = format!("{said}: {inner}");
        }
        cause = inner.source();
    }
    said
}

async fn ask(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, AskError> {
    let request = reqwest::Request::try_from(request).map_err(|_| AskError::Request)?;
    let (head, body) = bounded(&http, request).await?;
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = head.status();
    *answer.headers_mut() = head.headers().clone();
    Ok(answer)
}

async fn bounded(
    http: &reqwest::Client,
    request: reqwest::Request,
) -> Result<(reqwest::Response, Vec<u8>), AskError> {
    let mut answer = http.execute(request).await.map_err(AskError::Transport)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(AskError::Transport)? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(AskError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((answer, body))
}
