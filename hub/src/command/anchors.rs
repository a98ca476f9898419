//! `hub anchors`: whose signatures are believed, for what, and since when. Works on the trust folder; a
//! running hub notices within two seconds.

use std::{collections::BTreeMap, io, path::PathBuf, process::ExitCode};

use certs::Certificate;
use clap::Args;
use jiff::Timestamp;
use licence::Sha256Digest;
use serde::Serialize;

use super::fail;
use crate::{
    config::{Config, ConfigError},
    trust::{
        self, Act, Entry, Register, RegisterError, Retirement, Standing, Statics, TrustFolder,
        UsageWord,
    },
};

/// What `hub anchors` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The anchors, with what they are trusted for and since when.
    List(ListArguments),
    /// Trust a certificate.
    Add(AddArguments),
    /// Trust a certificate no longer.
    Retire(RetireArguments),
}

/// What every act has.
#[derive(Args)]
pub struct Common {
    /// The settings file.
    #[arg(long)]
    pub config: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hub anchors list`.
#[derive(Args)]
pub struct ListArguments {
    #[command(flatten)]
    common: Common,
}

/// Who acts, and why: recorded for whoever asks later.
#[derive(Args)]
pub struct Signed {
    /// Why.
    #[arg(long)]
    pub why: String,
    /// Who; by default the account of this machine.
    #[arg(long)]
    pub by: Option<String>,
}

/// Arguments of `hub anchors add`.
#[derive(Args)]
pub struct AddArguments {
    /// The certificate, PEM or DER.
    file: PathBuf,
    /// What it is trusted for; may be given more than once.
    #[arg(long = "usage", required = true)]
    usages: Vec<UsageWord>,
    /// Trust what was signed at or after this time only (RFC 3339).
    #[arg(long)]
    from: Option<Timestamp>,
    /// Trust what was signed before this time only.
    #[arg(long)]
    until: Option<Timestamp>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `hub anchors retire`.
#[derive(Args)]
pub struct RetireArguments {
    /// The beginning of its digest, at least 6 digits.
    sha256: String,
    /// Trust nothing that leads to it, however old: its key is in other hands.
    #[arg(long, conflicts_with = "from", required_unless_present = "from")]
    now: bool,
    /// Trust what is proven to be older than this time, and nothing else.
    #[arg(long)]
    from: Option<Timestamp>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    common: Common,
}

/// Why a command on the trust folder did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustCommandError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list of anchors.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The file holds no certificate.
    #[error("{path}: {said}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        said: String,
    },
    /// The file holds more than one certificate.
    #[error("{path} holds {found} certificates; give one, and put the others into {intermediates}")]
    Several {
        /// The file.
        path: PathBuf,
        /// How many.
        found: usize,
        /// Where intermediates go.
        intermediates: PathBuf,
    },
    /// A digest that is too short to name one.
    #[error("a digest is 6 to 64 hexadecimal digits; {0:?} is none")]
    Digest(String),
    /// Nobody says who acts.
    #[error("say who you are: --by NAME")]
    Nobody,
    /// No reason is given.
    #[error("say why: --why TEXT")]
    NoReason,
    /// The revocation list was not believed.
    #[error("{path}: {source}; nothing was changed")]
    List {
        /// The file.
        path: PathBuf,
        /// Why.
        source: certs::CrlError,
    },
}

/// Runs the command.
pub fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::List(arguments) => list(arguments),
        Command::Add(arguments) => add(arguments),
        Command::Retire(arguments) => retire(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// An anchor as it is listed.
#[derive(Serialize)]
struct Listed {
    sha256: Sha256Digest,
    subject: Option<String>,
    not_after: Option<Timestamp>,
    usages: Vec<UsageWord>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    standing: Standing,
    /// The file below the trust folder, or `settings`.
    place: String,
    added: Option<Act>,
    retired: Option<Retirement>,
}

fn list(arguments: &ListArguments) -> Result<(), TrustCommandError> {
    let (config, folder) = open(&arguments.common)?;
    let now = Timestamp::now();
    let statics = trust::read_statics(&config)?;
    let register = read(&folder)?;
    let mut all: Vec<Listed> = of_settings(&register, &statics)
        .into_values()
        .map(|(certificate, usages)| Listed {
            sha256: certificate.sha256(),
            subject: Some(certificate.subject_text()),
            not_after: Some(certificate.not_after()),
            usages,
            from: None,
            until: None,
            standing: Standing::Trusted,
            place: "settings".to_owned(),
            added: None,
            retired: None,
        })
        .collect();
    for entry in &register.anchors {
        let path = folder.anchors().join(&entry.file);
        let certificate = trust::read_certificates(&path)
            .ok()
            .and_then(|all| all.into_iter().find(|one| one.sha256() == entry.sha256));
        all.push(Listed {
            sha256: entry.sha256,
            subject: certificate.as_ref().map(Certificate::subject_text),
            not_after: certificate.as_ref().map(Certificate::not_after),
            usages: entry.usages.clone(),
            from: entry.from,
            until: entry.ends(),
            standing: entry.standing(now),
            place: folder.place(&path),
            added: Some(entry.added.clone()),
            retired: entry.retired.clone(),
        });
    }
    if arguments.common.json {
        print_json(&all);
        return Ok(());
    }
    if all.is_empty() {
        println!("no anchors: no licence is believed; add one with `hub anchors add`");
    }
    for anchor in &all {
        tell(anchor);
    }
    Ok(())
}

/// The anchors that only the settings name, with what they name them for.
fn of_settings<'a>(
    register: &Register,
    statics: &'a Statics,
) -> BTreeMap<Sha256Digest, (&'a Certificate, Vec<UsageWord>)> {
    let mut found = BTreeMap::new();
    let words = [UsageWord::IssuingLicences, UsageWord::IssuingClients, UsageWord::TimeStamping];
    for (usage, certificates) in statics.anchors() {
        let of_list = |one: &&Certificate| !register.speaks_of(usage, &one.sha256());
        for certificate in certificates.iter().filter(of_list) {
            let (_, usages) =
                found.entry(certificate.sha256()).or_insert_with(|| (certificate, Vec::new()));
            usages.extend(words.into_iter().filter(|word| word.usage() == usage));
        }
    }
    found
}

/// Takes anchors that only the settings name into the list, where they can be retired.
fn take_over(
    register: &mut Register,
    folder: &TrustFolder,
    statics: &Statics,
    (digest, at, by): (&str, Timestamp, &str),
) -> Result<(), TrustCommandError> {
    for (sha256, (certificate, usages)) in of_settings(register, statics) {
        if !sha256.to_string().starts_with(digest) {
            continue;
        }
        let file = format!("{sha256}.pem");
        write(&folder.anchors().join(&file), certificate.to_pem().as_bytes())?;
        let why = "named by the settings".to_owned();
        let added = Act { at, by: by.to_owned(), why };
        register.add(Entry {
            sha256,
            file,
            usages,
            from: None,
            until: None,
            added,
            retired: None,
        })?;
    }
    Ok(())
}

fn tell(anchor: &Listed) {
    let subject = anchor.subject.as_deref().unwrap_or("(its file is missing or another)");
    println!("{}  {subject}", anchor.sha256);
    let usages: Vec<_> = anchor.usages.iter().map(ToString::to_string).collect();
    let standing = match anchor.standing {
        Standing::Trusted => "trusted",
        Standing::NotYet => "not yet trusted",
        Standing::Ended => "trusted for what is older",
        Standing::Retired => "retired, trusted for nothing",
    };
    let from = anchor.from.map(|at| format!(", from {at}")).unwrap_or_default();
    let until = anchor.until.map(|at| format!(", until {at}")).unwrap_or_default();
    println!("    {standing}: {}{from}{until}   [{}]", usages.join(", "), anchor.place);
    if let Some(not_after) = anchor.not_after {
        println!("    the certificate is good until {not_after}");
    }
    if let Some(act) = &anchor.added {
        println!("    added {} by {}: {}", act.at, act.by, act.why);
    }
    if let Some(act) = &anchor.retired {
        println!("    retired {} by {}: {}", act.at, act.by, act.why);
    }
}

fn add(arguments: &AddArguments) -> Result<(), TrustCommandError> {
    let (_, folder) = open(&arguments.common)?;
    let path = arguments.file.clone();
    let certificates = trust::read_certificates(&path)
        .map_err(|(_, said)| TrustCommandError::Certificate { path: path.clone(), said })?;
    let [certificate] = certificates.as_slice() else {
        let (found, intermediates) = (certificates.len(), folder.intermediates());
        return Err(TrustCommandError::Several { path, found, intermediates });
    };
    let added = arguments.signed.act(Timestamp::now())?;
    let mut usages = arguments.usages.clone();
    usages.sort_unstable();
    usages.dedup();
    let sha256 = certificate.sha256();
    let entry = Entry {
        sha256,
        file: format!("{sha256}.pem"),
        usages,
        from: arguments.from,
        until: arguments.until,
        added: added.clone(),
        retired: None,
    };
    change(&folder, |register| {
        register.add(entry.clone())?;
        // The file first: an entry without one would be told as a problem meanwhile.
        write(&folder.anchors().join(&entry.file), certificate.to_pem().as_bytes())
    })?;
    if arguments.common.json {
        print_json(&entry);
    } else {
        println!("added {sha256}  {}", certificate.subject_text());
        if certificate.not_after() < added.at {
            println!("note: the certificate ended at {}", certificate.not_after());
        }
        println!("a running hub notices within two seconds");
    }
    Ok(())
}

fn retire(arguments: &RetireArguments) -> Result<(), TrustCommandError> {
    let (config, folder) = open(&arguments.common)?;
    let statics = trust::read_statics(&config)?;
    let digest = arguments.sha256.to_ascii_lowercase();
    let hex = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex || !(6..=64).contains(&digest.len()) {
        return Err(TrustCommandError::Digest(arguments.sha256.clone()));
    }
    let Act { at, by, why } = arguments.signed.act(Timestamp::now())?;
    let retirement = Retirement { at, by, why, from: arguments.from };
    let mut sha256 = None;
    change(&folder, |register| {
        take_over(register, &folder, &statics, (&digest, at, &retirement.by))?;
        sha256 = Some(register.retire(&digest, retirement.clone())?);
        Ok(())
    })?;
    let Some(sha256) = sha256 else { return Ok(()) };
    if arguments.common.json {
        print_json(&serde_json::json!({ "sha256": sha256, "retired": retirement }));
        return Ok(());
    }
    match arguments.from {
        None => println!("retired {sha256}: nothing that leads to it is trusted any more"),
        Some(from) => {
            println!("retired {sha256} from {from}: what is proven to be older stays trusted");
        }
    }
    println!("a running hub notices within two seconds");
    Ok(())
}

/// Changes the list, alone.
fn change(
    folder: &TrustFolder,
    act: impl FnOnce(&mut Register) -> Result<(), TrustCommandError>,
) -> Result<(), TrustCommandError> {
    let in_folder = |source| TrustCommandError::File { path: folder.path().to_owned(), source };
    folder.make().map_err(in_folder)?;
    let _lock = folder.lock().map_err(in_folder)?;
    let mut register = read(folder)?;
    act(&mut register)?;
    write(&folder.register(), &register.to_bytes())
}

fn read(folder: &TrustFolder) -> Result<Register, TrustCommandError> {
    let path = folder.register();
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Register::parse(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Register::default()),
        Err(source) => Err(TrustCommandError::File { path, source }),
    }
}

/// Reads the settings and finds the folder.
pub fn open(common: &Common) -> Result<(Config, TrustFolder), TrustCommandError> {
    let config = Config::read(&common.config)?;
    let folder = TrustFolder::of(&config);
    Ok((config, folder))
}

/// Writes a file whole or not at all.
pub fn write(path: &std::path::Path, bytes: &[u8]) -> Result<(), TrustCommandError> {
    trust::write_atomically(path, bytes)
        .map_err(|source| TrustCommandError::File { path: path.to_owned(), source })
}

/// Prints an answer for programs.
pub fn print_json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("hub: {error}"),
    }
}

impl Signed {
    /// Who acts, and why.
    ///
    /// # Errors
    /// `Nobody`, `NoReason`.
    pub fn act(&self, at: Timestamp) -> Result<Act, TrustCommandError> {
        let account = || {
            let names = ["SUDO_USER", "USER", "LOGNAME"];
            names.iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        };
        let by = self.by.clone().or_else(account).ok_or(TrustCommandError::Nobody)?;
        let why = self.why.trim().to_owned();
        if why.is_empty() {
            return Err(TrustCommandError::NoReason);
        }
        Ok(Act { at, by, why })
    }
}
