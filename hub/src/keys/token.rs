//! Keys in a hardware module (PKCS #11 v2.40), behind [`certs::Signer`].
//!
//! A module is loaded once a process and spoken to by one thread of its own: sessions are not for
//! several threads, starting a module again takes away everybody's sessions, and a module that hangs must
//! not hang the hub. Whatever fails with an open session is tried once more from the start (module,
//! session, login), which is what a token that was restarted needs. A PIN that a token refused is never
//! shown to it again, so that no number of requests or starts in a row locks it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use certs::{PublicParts, SignError, Signer, Suite};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as P11Error, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use licence::Sha256Digest;

use super::secret::{Secret, Source};

/// How long a module may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// `id-Ed25519` and the curves as OBJECT IDENTIFIER, DER (RFC 8410, 3; RFC 5480, 2.1.1.1).
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// `edwards25519` as PrintableString: how PKCS #11 v3.0, 6.3.3, names the curve too, and SoftHSM wants it.
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";

/// Which token, and how to log in.
#[derive(Clone, Debug)]
pub struct Token {
    /// The vendor's library.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// Its PIN.
    pub pin: Source,
}

/// Why a token does not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The library cannot be loaded or does not start.
    #[error("the PKCS#11 module cannot be used: {0}")]
    Module(String),
    /// No such token.
    #[error("there is no token with the label {0:?}")]
    Absent(String),
    /// There is no PIN.
    #[error("the PIN is missing: it is expected in {0}")]
    PinMissing(String),
    /// The token refused it; it is not tried again.
    #[error("the token refused the PIN; it is not tried again until it is another")]
    PinWrong,
    /// No try is left, or only one.
    #[error("the token's PIN is locked, or one more wrong try would lock it")]
    PinLocked,
    /// No such key.
    #[error("there is no key with the label {0:?} on the token")]
    KeyAbsent(String),
    /// Of no suite.
    #[error("the key on the token is of no kind that can be used here")]
    KeyKind,
    /// The label is taken.
    #[error("there is a key with the label {0:?} on the token already")]
    KeyThere(String),
    /// Anything else that a token says.
    #[error("the token failed: {0}")]
    Failed(String),
    /// It does not answer.
    #[error("the token does not answer")]
    Silent,
}

impl TokenError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Module(_) => "signer_module",
            Self::Absent(_) => "signer_token_absent",
            Self::PinMissing(_) => "signer_pin_missing",
            Self::PinWrong => "signer_pin_wrong",
            Self::PinLocked => "signer_pin_locked",
            Self::KeyAbsent(_) => "signer_key_absent",
            Self::KeyKind => "signer_key_kind",
            Self::KeyThere(_) => "signer_key_there",
            Self::Failed(_) => "signer_token_failed",
            Self::Silent => "signer_token_silent",
        }
    }

    /// Whether starting the module again may help.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Absent(_) | Self::KeyAbsent(_) | Self::Failed(_))
    }

    fn said(error: &P11Error) -> Self {
        match error {
            P11Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            ) => Self::PinWrong,
            P11Error::Pkcs11(RvError::PinLocked | RvError::PinExpired, _) => Self::PinLocked,
            // The code's name alone: the library's own text explains it in three lines.
            P11Error::Pkcs11(code, function) => Self::Failed(format!("{function}: {code:?}")),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// A key on a token.
#[derive(Clone, Debug)]
pub struct TokenKey {
    /// What it signs with.
    pub suite: Suite,
    /// DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
}

/// Signs with a key on a token.
pub struct TokenSigner {
    token: Token,
    label: String,
    key: TokenKey,
    trouble: Trouble,
}

/// What failed last, until something succeeds; shared with whoever tells the operator.
pub type Trouble = Arc<Mutex<Option<TokenError>>>;

impl TokenSigner {
    /// Logs in and looks for the key.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn open(token: Token, label: &str) -> Result<Self, TokenError> {
        let key = public_key(&token, label)?;
        Ok(Self { token, label: label.to_owned(), key, trouble: Trouble::default() })
    }

    /// Where it notes what failed.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Signs, and notes how it went.
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let (label, suite) = (self.label.clone(), self.key.suite);
        let message = message.to_vec();
        let signed = ask(&self.token, move |open| open.sign(&label, suite, &message));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
            signed.as_ref().err().cloned();
        signed
    }
}

impl Signer for TokenSigner {
    fn suite(&self) -> Suite {
        self.key.suite
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.try_sign(message).map_err(|error| {
            tracing::error!(error.code = error.code(), error = %error, "the token did not sign");
            SignError::Key
        })
    }

    fn spki(&self) -> Vec<u8> {
        self.key.spki.clone()
    }
}

/// The public half of a key on the token.
///
/// # Errors
/// See [`TokenError`].
pub fn public_key(token: &Token, label: &str) -> Result<TokenKey, TokenError> {
    let label = label.to_owned();
    ask(token, move |open| open.public_key(&label))
}

/// Whether the token is there and has the key: what a look costs that signs nothing.
///
/// # Errors
/// See [`TokenError`].
pub fn look(token: &Token, label: &str) -> Result<(), TokenError> {
    let label = label.to_owned();
    ask(token, move |open| {
        open.private_keys.clear();
        open.private_key(&label).map(|_| ())
    })
}

/// Makes a key pair that never leaves the token.
///
/// # Errors
/// `KeyThere`; `KeyKind` for a suite that tokens do not have; else as any.
pub fn generate(token: &Token, label: &str, suite: Suite) -> Result<TokenKey, TokenError> {
    let name = label.to_owned();
    ask(token, move |open| open.generate(&name, suite))
}

/// Does one thing on a token: the thread of its module does, within [`PATIENCE`].
fn ask<T: Send + 'static>(
    token: &Token,
    mut act: impl FnMut(&mut Open) -> Result<T, TokenError> + Send + 'static,
) -> Result<T, TokenError> {
    let worker = Worker::of(&token.module)?;
    // A module that let somebody wait in vain is asked again once it has answered them.
    if worker.silent.load(Ordering::Acquire) {
        return Err(TokenError::Silent);
    }
    let (answer, answered) = mpsc::sync_channel(1);
    let token = token.clone();
    let job = move |module: &mut Module| {
        let _ = answer.send(module.act(&token, &mut act));
    };
    worker.jobs.send(Box::new(job)).map_err(|_| TokenError::Silent)?;
    match answered.recv_timeout(PATIENCE) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => {
            worker.silent.store(true, Ordering::Release);
            Err(TokenError::Silent)
        }
        Err(RecvTimeoutError::Disconnected) => Err(TokenError::Silent),
    }
}

type Job = Box<dyn FnOnce(&mut Module) + Send>;

/// The thread that speaks to a module.
#[derive(Clone)]
struct Worker {
    jobs: mpsc::Sender<Job>,
    silent: Arc<AtomicBool>,
}

/// Modules of this process by path. What is loaded stays loaded.
static WORKERS: Mutex<Option<HashMap<PathBuf, Worker>>> = Mutex::new(None);

impl Worker {
    fn of(module: &Path) -> Result<Self, TokenError> {
        let mut workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
        let workers = workers.get_or_insert_default();
        if let Some(worker) = workers.get(module) {
            return Ok(worker.clone());
        }
        let (jobs, asked) = mpsc::channel::<Job>();
        let silent = Arc::new(AtomicBool::new(false));
        let answered = silent.clone();
        let mut module_here = Module::new(module);
        std::thread::Builder::new()
            .name("pkcs11".to_owned())
            .spawn(move || {
                for job in asked {
                    job(&mut module_here);
                    answered.store(false, Ordering::Release);
                }
            })
            .map_err(|error| TokenError::Module(error.to_string()))?;
        let worker = Self { jobs, silent };
        workers.insert(module.to_owned(), worker.clone());
        Ok(worker)
    }
}

/// A loaded library and its open tokens; lives in its thread.
struct Module {
    path: PathBuf,
    /// Before `library`: sessions are closed first.
    tokens: HashMap<String, Open>,
    library: Option<Pkcs11>,
    /// Digests of PINs that tokens refused.
    refused: HashMap<String, Sha256Digest>,
}

/// A token with a session that is logged in.
struct Open {
    session: Session,
    private_keys: HashMap<String, ObjectHandle>,
}

impl Module {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            tokens: HashMap::new(),
            library: None,
            refused: HashMap::new(),
        }
    }

    /// Does it; once more with the module started anew if that may help.
    fn act<T>(
        &mut self,
        token: &Token,
        act: &mut dyn FnMut(&mut Open) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let fresh = self.library.is_none();
        match self.act_once(token, act) {
            Err(error) if error.may_pass() && !fresh => {
                tracing::info!(error.code = error.code(), "starting the PKCS#11 module again");
                self.end();
                self.act_once(token, act)
            }
            done => done,
        }
    }

    fn act_once<T>(
        &mut self,
        token: &Token,
        act: &mut dyn FnMut(&mut Open) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        if !self.tokens.contains_key(&token.label) {
            let open = self.open(token)?;
            self.tokens.insert(token.label.clone(), open);
        }
        let open = self.tokens.get_mut(&token.label).ok_or(TokenError::Silent)?;
        let done = act(open);
        if matches!(done, Err(TokenError::Failed(_) | TokenError::KeyAbsent(_))) {
            self.tokens.remove(&token.label);
        }
        done
    }

    fn open(&mut self, token: &Token) -> Result<Open, TokenError> {
        let library = match &self.library {
            Some(library) => library.clone(),
            None => {
                let library = start(&self.path)?;
                self.library = Some(library.clone());
                library
            }
        };
        let slot = slot_of(&library, &token.label)?;
        let info = library.get_token_info(slot).map_err(|error| TokenError::said(&error))?;
        if info.user_pin_locked() || info.user_pin_final_try() {
            return Err(TokenError::PinLocked);
        }
        let session = library.open_rw_session(slot).map_err(|error| TokenError::said(&error))?;
        if info.login_required() {
            self.log_in(token, &session)?;
        }
        Ok(Open { session, private_keys: HashMap::new() })
    }

    fn log_in(&mut self, token: &Token, session: &Session) -> Result<(), TokenError> {
        let pin: Secret =
            token.pin.read().ok_or_else(|| TokenError::PinMissing(token.pin.place()))?;
        if self.refused.get(&token.label) == Some(&pin.digest()) {
            return Err(TokenError::PinWrong);
        }
        let said = session.login(UserType::User, Some(&AuthPin::from(pin.expose())));
        let word = if said.is_ok() { "ok" } else { "refused" };
        metrics::counter!("yihao_token_logins_total", "result" => word).increment(1);
        match said {
            Ok(()) | Err(P11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(error) => {
                let error = TokenError::said(&error);
                if error == TokenError::PinWrong {
                    self.refused.insert(token.label.clone(), pin.digest());
                }
                Err(error)
            }
        }
    }

    /// Lets go of everything, as after a power cut of the token.
    fn end(&mut self) {
        self.tokens.clear();
        if let Some(library) = self.library.take()
            && let Err(error) = library.finalize()
        {
            tracing::debug!(error = %error, "the PKCS#11 module did not end in order");
        }
    }
}

fn start(path: &Path) -> Result<Pkcs11, TokenError> {
    let wrong = |error: &P11Error| TokenError::Module(format!("{}: {error}", path.display()));
    let library = Pkcs11::new(path).map_err(|error| wrong(&error))?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(P11Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(library),
        Err(error) => Err(wrong(&error)),
    }
}

fn slot_of(library: &Pkcs11, label: &str) -> Result<Slot, TokenError> {
    let slots = library.get_slots_with_token().map_err(|error| TokenError::said(&error))?;
    slots
        .into_iter()
        .find(|slot| {
            library
                .get_token_info(*slot)
                .is_ok_and(|info| info.token_initialized() && info.label().trim_end() == label)
        })
        .ok_or_else(|| TokenError::Absent(label.to_owned()))
}

impl Open {
    fn find(&self, class: ObjectClass, label: &str) -> Result<Option<ObjectHandle>, TokenError> {
        let like = [
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        let found = self.session.find_objects(&like).map_err(|error| TokenError::said(&error))?;
        Ok(found.first().copied())
    }

    fn private_key(&mut self, label: &str) -> Result<ObjectHandle, TokenError> {
        if let Some(key) = self.private_keys.get(label) {
            return Ok(*key);
        }
        let key = self
            .find(ObjectClass::PRIVATE_KEY, label)?
            .ok_or_else(|| TokenError::KeyAbsent(label.to_owned()))?;
        self.private_keys.insert(label.to_owned(), key);
        Ok(key)
    }

    fn public_key(&mut self, label: &str) -> Result<TokenKey, TokenError> {
        self.private_key(label)?;
        let key = self
            .find(ObjectClass::PUBLIC_KEY, label)?
            .ok_or_else(|| TokenError::KeyAbsent(label.to_owned()))?;
        self.read_public(key)
    }

    fn read_public(&self, key: ObjectHandle) -> Result<TokenKey, TokenError> {
        let said = |error: P11Error| TokenError::said(&error);
        let read =
            |wanted: &[AttributeType]| self.session.get_attributes(key, wanted).map_err(said);
        let kind = read(&[AttributeType::KeyType])?;
        let Some(Attribute::KeyType(kind)) = kind.first() else {
            return Err(TokenError::KeyKind);
        };
        if *kind == KeyType::RSA {
            let parts = read(&[AttributeType::Modulus, AttributeType::PublicExponent])?;
            let [Attribute::Modulus(modulus), Attribute::PublicExponent(exponent)] = &parts[..]
            else {
                return Err(TokenError::KeyKind);
            };
            return token_key(Suite::RsaPkcs1Sha256, PublicParts::Rsa { modulus, exponent });
        }
        let parts = read(&[AttributeType::EcParams, AttributeType::EcPoint])?;
        let [Attribute::EcParams(curve), Attribute::EcPoint(point)] = &parts[..] else {
            return Err(TokenError::KeyKind);
        };
        let (suite, length) = match (*kind, &curve[..]) {
            (KeyType::EC, P256) => (Suite::EcdsaP256Sha256, 65),
            (KeyType::EC, P384) => (Suite::EcdsaP384Sha384, 97),
            (KeyType::EC_EDWARDS, ED25519 | EDWARDS25519) => (Suite::Ed25519, 32),
            _ => return Err(TokenError::KeyKind),
        };
        // PKCS #11 v2.40, 2.3.3: the point is DER OCTET STRING; some modules give it bare.
        let point = match &point[..] {
            [0x04, said, bare @ ..] if bare.len() == length && usize::from(*said) == length => bare,
            bare => bare,
        };
        if point.len() != length {
            return Err(TokenError::KeyKind);
        }
        token_key(suite, PublicParts::Point(point))
    }

    fn sign(&mut self, label: &str, suite: Suite, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let key = self.private_key(label)?;
        let sign = |mechanism: &Mechanism<'_>, data: &[u8]| {
            self.session.sign(mechanism, key, data).map_err(|error| TokenError::said(&error))
        };
        // ECDSA in a module signs a digest and answers r‖s, each as long as the order.
        let ecdsa = |algorithm| {
            let digest = ring::digest::digest(algorithm, message);
            let raw = sign(&Mechanism::Ecdsa, digest.as_ref())?;
            certs::ecdsa_der(&raw).map_err(|error| TokenError::Failed(error.to_string()))
        };
        match suite {
            Suite::EcdsaP256Sha256 => ecdsa(&ring::digest::SHA256),
            Suite::EcdsaP384Sha384 => ecdsa(&ring::digest::SHA384),
            Suite::Ed25519 => {
                let pure = EddsaParams::new(EddsaSignatureScheme::Pure);
                sign(&Mechanism::Eddsa(pure), message)
            }
            Suite::RsaPkcs1Sha256 => sign(&Mechanism::Sha256RsaPkcs, message),
            _ => Err(TokenError::KeyKind),
        }
    }

    fn generate(&mut self, label: &str, suite: Suite) -> Result<TokenKey, TokenError> {
        if self.find(ObjectClass::PRIVATE_KEY, label)?.is_some() {
            return Err(TokenError::KeyThere(label.to_owned()));
        }
        let (mechanism, curve) = match suite {
            Suite::EcdsaP256Sha256 => (Mechanism::EccKeyPairGen, P256),
            Suite::EcdsaP384Sha384 => (Mechanism::EccKeyPairGen, P384),
            Suite::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, EDWARDS25519),
            _ => return Err(TokenError::KeyKind),
        };
        let name = || {
            [Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(label.as_bytes().to_vec())]
        };
        let mut public = vec![
            Attribute::Token(true),
            Attribute::Verify(true),
            Attribute::EcParams(curve.to_vec()),
        ];
        public.extend(name());
        let mut private = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        private.extend(name());
        let (key, _) = self
            .session
            .generate_key_pair(&mechanism, &public, &private)
            .map_err(|error| TokenError::said(&error))?;
        self.read_public(key)
    }
}

fn token_key(suite: Suite, parts: PublicParts<'_>) -> Result<TokenKey, TokenError> {
    let spki = certs::spki_of(suite, parts).map_err(|_| TokenError::KeyKind)?;
    Ok(TokenKey { suite, spki })
}
