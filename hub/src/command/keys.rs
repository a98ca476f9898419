//! `hub keys`: the service's own keys. Works on the folder; a running hub notices within two seconds.

use std::{path::PathBuf, process::ExitCode};

use certs::{Certificate, SigningIdentity, Suite};
use jiff::Timestamp;
use serde_json::json;

use super::fail;
use crate::{
    clock::Clock,
    config::{self, Config, ConfigError},
    keys::{
        KeysError, Places,
        book::{Act, BookError, Key, KeyId, State},
        change::{Owner, Wanted},
        folder::Folder,
    },
};

/// What `hub keys` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the keys: which one signs, which one will, which ones did.
    List(List),
    /// Make the next key, and a request for its certificate.
    New(New),
    /// Take the certificate that was issued for the next key: from then on it is published.
    Certify(Certify),
    /// Let the next key sign, once it was published for long enough; the current one is retired.
    Rotate(Rotate),
    /// Retire a key. What it signed stays valid.
    Retire(Retire),
}

/// What all of them take.
#[derive(clap::Args)]
pub struct Common {
    /// The settings file.
    #[arg(long)]
    config: PathBuf,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Who and why, for the book.
#[derive(clap::Args)]
pub struct Who {
    /// Who does it; the user who is logged in when left out.
    #[arg(long)]
    by: Option<String>,
    /// Why.
    #[arg(long, default_value = "")]
    why: String,
}

/// Arguments of `hub keys list`.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    common: Common,
}

/// Arguments of `hub keys new`.
#[derive(clap::Args)]
pub struct New {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    who: Who,
    /// What it signs with.
    #[arg(long, value_enum, default_value = "p256")]
    suite: SuiteName,
    /// Where it is kept: in a token if the settings name one, else in an encrypted file.
    #[arg(long = "in", value_enum)]
    place: Option<PlaceName>,
    /// Take the key that is on the token under this label, instead of making one.
    #[arg(long, conflicts_with_all = ["suite", "place"])]
    label: Option<String>,
    /// PEM chain of an authority whose key is at hand: the certificate is issued at once.
    #[arg(long, requires = "ca_key")]
    ca: Option<PathBuf>,
    /// Its PEM key.
    #[arg(long, requires = "ca")]
    ca_key: Option<PathBuf>,
    /// Days for which that certificate is good.
    #[arg(long, default_value_t = 730, requires = "ca")]
    days: u16,
}

/// Arguments of `hub keys certify`.
#[derive(clap::Args)]
pub struct Certify {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    who: Who,
    /// The key.
    id: String,
    /// PEM: its certificate, then its issuers'.
    chain: PathBuf,
}

/// Arguments of `hub keys rotate`.
#[derive(clap::Args)]
pub struct Rotate {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    who: Who,
    /// Do not wait until the key was published for long enough: when the current key is lost or known to others.
    #[arg(long)]
    force: bool,
}

/// Arguments of `hub keys retire`.
#[derive(clap::Args)]
pub struct Retire {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    who: Who,
    /// The key.
    id: String,
    /// Also the current one: nothing can be signed then until there is another.
    #[arg(long)]
    force: bool,
}

/// Suites that keys are made for.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum SuiteName {
    /// ECDSA P-256 with SHA-256.
    P256,
    /// ECDSA P-384 with SHA-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// SM2 with SM3; files only.
    Sm2,
}

/// Where keys are made.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PlaceName {
    /// An encrypted file.
    File,
    /// The token of keys.pkcs11.
    Token,
}

impl SuiteName {
    fn suite(self) -> Suite {
        match self {
            Self::P256 => Suite::EcdsaP256Sha256,
            Self::P384 => Suite::EcdsaP384Sha384,
            Self::Ed25519 => Suite::Ed25519,
            Self::Sm2 => Suite::Sm2Sm3,
        }
    }
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl From<BookError> for CommandError {
    fn from(error: BookError) -> Self {
        Self::Keys(error.into())
    }
}

impl CommandError {
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::Config(_) => None,
            Self::Keys(error) => Some(error.code()),
        }
    }
}

/// Runs one of them.
pub fn run(command: &Command) -> ExitCode {
    let (common, done) = match command {
        Command::List(arguments) => (&arguments.common, list(arguments)),
        Command::New(arguments) => (&arguments.common, new(arguments)),
        Command::Certify(arguments) => (&arguments.common, certify(arguments)),
        Command::Rotate(arguments) => (&arguments.common, rotate(arguments)),
        Command::Retire(arguments) => (&arguments.common, retire(arguments)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if common.json => {
            let said = json!({ "error": error.code(), "detail": error.to_string() });
            println!("{said}");
            ExitCode::FAILURE
        }
        Err(error) => fail(&error),
    }
}

/// The settings, the places of keys, and the time.
struct Desk {
    config: Config,
    places: Places,
    now: Timestamp,
}

impl Desk {
    fn open(common: &Common) -> Result<Self, CommandError> {
        let config = Config::read(&common.config)?;
        let places = Places::of(&config);
        // Whole seconds: what people read, and certificates hold.
        let now = Clock::System.now();
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Ok(Self { places, config, now })
    }

    fn folder(&self) -> Result<&Folder, KeysError> {
        self.places.folder.as_ref().ok_or(KeysError::NotConfigured)
    }

    fn act(&self, who: &Who) -> Result<Act, BookError> {
        let user =
            || ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|one| std::env::var(one).ok());
        let by = who.by.clone().or_else(user).unwrap_or_else(|| "unknown".to_owned());
        Act::new(self.now, &by, &who.why)
    }

    fn owner(&self) -> Result<Owner, KeysError> {
        let service = self.config.service.as_ref().ok_or(KeysError::NotConfigured)?;
        Ok(Owner { organisation: service.organisation, name: service.name.clone() })
    }
}

fn list(arguments: &List) -> Result<(), CommandError> {
    let desk = Desk::open(&arguments.common)?;
    let folder = desk.folder()?;
    let book = folder.book()?;
    if arguments.common.json {
        println!("{}", json!({ "keys": book.keys() }));
        return Ok(());
    }
    if book.keys().is_empty() {
        let simple = desk.config.service.as_ref().is_some_and(|one| one.key.is_some());
        match simple {
            true => {
                println!("no keys in {} yet; the one of [service] signs", folder.path().display())
            }
            false => {
                println!("no keys in {} yet: make one with `hub keys new`", folder.path().display())
            }
        }
    }
    for key in book.keys() {
        show(&desk, folder, key);
    }
    Ok(())
}

fn show(desk: &Desk, folder: &Folder, key: &Key) {
    use crate::keys::book::Place;
    let place = match &key.place {
        Place::File => "encrypted file".to_owned(),
        Place::Pkcs11 { token, label } => format!("token {token:?}, label {label:?}"),
    };
    println!("{}  {}  {}  {place}", key.id, key.state.word(), word_of(key.suite));
    for (what, act) in [
        ("made", Some(&key.made)),
        ("published", key.published.as_ref()),
        ("signs since", key.current.as_ref()),
        ("retired", key.retired.as_ref()),
    ] {
        let Some(act) = act else { continue };
        let why = if act.why.is_empty() { String::new() } else { format!(": {}", act.why) };
        println!("  {what} {:.0} by {}{why}", act.at, act.by);
    }
    match folder.chain(key) {
        Ok(chain) => {
            println!("  certificate {} until {}", chain[0].sha256(), chain[0].not_after());
        }
        Err(_) if key.certificate.is_none() && key.state == State::Next => {
            let request = folder.file(&key.id, "csr");
            println!("  waits for its certificate: have one issued for {}", request.display());
        }
        Err(_) if key.certificate.is_none() => println!("  never had a certificate"),
        Err(error) => println!("  certificate: {error}"),
    }
    if key.state == State::Next
        && let Some(published) = &key.published
    {
        let hours = i64::from(desk.places.publish_hours);
        let from = published.at.saturating_add(jiff::SignedDuration::from_hours(hours));
        println!("  may sign from {:.0}", from.unwrap_or(Timestamp::MAX));
    }
}

fn word_of(suite: Suite) -> String {
    serde_json::to_value(suite)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn new(arguments: &New) -> Result<(), CommandError> {
    let desk = Desk::open(&arguments.common)?;
    let (owner, act) = (desk.owner()?, desk.act(&arguments.who)?);
    // What can be found wrong beforehand leaves no key behind.
    let authority = match (&arguments.ca, &arguments.ca_key) {
        (Some(chain), Some(key)) => {
            let (chain_pem, key_pem) =
                (config::read_file("--ca", chain)?, config::read_file("--ca-key", key)?);
            let identity = SigningIdentity::from_pem(&chain_pem, &key_pem)
                .map_err(|error| config::content("--ca-key", key, error))?;
            Some(identity)
        }
        _ => None,
    };
    let suite = arguments.suite.suite();
    let on_token = match arguments.place {
        Some(place) => place == PlaceName::Token,
        None => desk.places.token.is_some(),
    };
    let wanted = match &arguments.label {
        Some(label) => Wanted::FoundOnToken(label),
        None if on_token => Wanted::OnToken(suite),
        None => Wanted::File(suite),
    };
    let made = desk.places.make(&owner, wanted, act.clone())?;
    let from = match &authority {
        Some(authority) => {
            Some(desk.places.issue(&made.id, &owner, authority, arguments.days, act)?)
        }
        None => None,
    };
    if arguments.common.json {
        println!("{}", json!({ "id": made.id, "request": made.request, "may_sign_from": from }));
        return Ok(());
    }
    println!("{} is made; its request for a certificate is {}", made.id, made.request.display());
    match from {
        Some(from) => says_published(&made.id, from),
        None => println!(
            "next: have the authority issue a certificate (digitalSignature, nonRepudiation), then\n  \
             hub keys certify --config {} {} CHAIN.pem",
            arguments.common.config.display(),
            made.id
        ),
    }
    Ok(())
}

fn says_published(id: &KeyId, from: Timestamp) {
    println!("{id} is published; it may sign from {from:.0}: `hub keys rotate` then");
}

fn certify(arguments: &Certify) -> Result<(), CommandError> {
    let desk = Desk::open(&arguments.common)?;
    let id: KeyId = arguments.id.parse()?;
    let pem = config::read_file("CHAIN.pem", &arguments.chain)?;
    let chain = Certificate::many_from_pem(&pem).map_err(KeysError::from)?;
    let from = desk.places.certify(&id, &chain, desk.act(&arguments.who)?)?;
    if arguments.common.json {
        println!("{}", json!({ "id": id, "may_sign_from": from }));
    } else {
        says_published(&id, from);
    }
    Ok(())
}

fn rotate(arguments: &Rotate) -> Result<(), CommandError> {
    let desk = Desk::open(&arguments.common)?;
    let id = desk.places.rotate(arguments.force, &desk.act(&arguments.who)?)?;
    if arguments.common.json {
        println!("{}", json!({ "current": id }));
    } else {
        println!("{id} signs from now on; a running hub notices within two seconds");
    }
    Ok(())
}

fn retire(arguments: &Retire) -> Result<(), CommandError> {
    let desk = Desk::open(&arguments.common)?;
    let id: KeyId = arguments.id.parse()?;
    let was = desk.places.retire(&id, arguments.force, desk.act(&arguments.who)?)?;
    if arguments.common.json {
        println!("{}", json!({ "retired": id, "was": was }));
        return Ok(());
    }
    println!(
        "{id} is retired; what it signed stays valid as long as its certificate's chain is trusted"
    );
    if was == State::Current {
        println!("nothing can be signed now: `hub keys new`, `hub keys rotate`");
    }
    Ok(())
}
