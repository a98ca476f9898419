//! `hub verify`: check a file offline, link by link. `POST /v1/verify` makes the same check: [`crate::verify`].

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use certs::{Certificate, CrlError, OcspError, TrustStore, Usage};
use jiff::Timestamp;

use super::tell;
use crate::{
    config::{Config, ConfigError, content, read_file},
    judge::Outcome,
    trust::Keeper,
    verify::{Explained, Input, Report, check},
};

/// The most bytes of a file that is checked.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Arguments of `hub verify`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A licence's evidence file, a package, a CMS file, a sealed OFD or a signed PDF; or anything that `--signature`
    /// signs, such as a licence document.
    file: PathBuf,
    /// PEM file with the anchors to trust for signing.
    #[arg(long, required_unless_present = "config")]
    anchors: Vec<PathBuf>,
    /// A hub's settings: its anchors, intermediates, lists and answers, as they lie on the disk.
    #[arg(long)]
    config: Option<PathBuf>,
    /// PEM file with the anchors to trust for time-stamps.
    #[arg(long)]
    time_anchors: Vec<PathBuf>,
    /// PEM file with intermediate certificates.
    #[arg(long)]
    intermediates: Vec<PathBuf>,
    /// Revocation lists, PEM or DER.
    #[arg(long)]
    crl: Vec<PathBuf>,
    /// Stored OCSP answers, DER.
    #[arg(long)]
    ocsp: Vec<PathBuf>,
    /// The detached signature (CMS, DER or PEM) over the file, or over its manifest.
    #[arg(long)]
    signature: Option<PathBuf>,
    /// The batch manifest of a licence document.
    #[arg(long, requires = "signature")]
    manifest: Option<PathBuf>,
    /// Judge as of this time (RFC 3339) instead of now.
    #[arg(long)]
    at: Option<Timestamp>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The language to print; without it, both.
    #[arg(long, value_enum)]
    language: Option<Language>,
}

/// A language of the report.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// 中文.
    Zh,
    /// English.
    En,
}

/// Checks a file and prints the verdict. Exit code 0 trusted, 1 untrusted, 2 undetermined; 3 if nothing could be
/// checked because a file given cannot be read.
pub fn run(arguments: &Arguments) -> ExitCode {
    let report = match read(arguments) {
        Ok(report) => report,
        Err(error) => {
            tell(&error);
            return ExitCode::from(3);
        }
    };
    if arguments.json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                tell(&error);
                return ExitCode::from(3);
            }
        }
    } else {
        print(&report, arguments.language, "");
    }
    match report.result {
        Outcome::Trusted => ExitCode::SUCCESS,
        Outcome::Untrusted => ExitCode::FAILURE,
        Outcome::Undetermined => ExitCode::from(2),
    }
}

fn read(arguments: &Arguments) -> Result<Report, ConfigError> {
    let at = arguments.at.unwrap_or_else(Timestamp::now);
    let trust = trust(arguments, at)?;
    let file = read_bounded("FILE", &arguments.file)?;
    let read = |key: &'static str, path: &Option<PathBuf>| {
        path.as_deref().map(|path| read_bounded(key, path)).transpose()
    };
    let signature = read("--signature", &arguments.signature)?;
    let manifest = read("--manifest", &arguments.manifest)?;
    let input =
        Input { file: &file, signature: signature.as_deref(), manifest: manifest.as_deref() };
    Ok(check(input, &trust, at).0)
}

fn trust(arguments: &Arguments, at: Timestamp) -> Result<TrustStore, ConfigError> {
    let mut trust = match &arguments.config {
        None => TrustStore::new(),
        Some(path) => Keeper::open(&Config::read(path)?, at)?.store().next(),
    };
    for path in &arguments.anchors {
        for anchor in certificates("--anchors", path)? {
            trust.add_anchor(Usage::IssuingLicences, anchor);
        }
    }
    for path in &arguments.time_anchors {
        for anchor in certificates("--time-anchors", path)? {
            trust.add_anchor(Usage::TimeStamping, anchor);
        }
    }
    for path in &arguments.intermediates {
        for certificate in certificates("--intermediates", path)? {
            trust.add_intermediate(certificate);
        }
    }
    for path in &arguments.crl {
        let bytes = read_bounded("--crl", path)?;
        match trust.add_crl(&bytes) {
            // Whoever gives a folder of lists need not know which is the newest.
            Ok(()) | Err(CrlError::Older { .. }) => {}
            Err(error) => return Err(content("--crl", path, error)),
        }
    }
    for path in &arguments.ocsp {
        let bytes = read_bounded("--ocsp", path)?;
        match trust.add_ocsp(&bytes, at) {
            Ok(()) | Err(OcspError::Older) => {}
            Err(error) => return Err(content("--ocsp", path, error)),
        }
    }
    Ok(trust)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<Certificate>, ConfigError> {
    let pem = read_bounded(key, path)?;
    Certificate::many_from_pem(&pem).map_err(|error| content(key, path, error))
}

fn read_bounded(key: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let size = std::fs::metadata(path).map(|data| data.len());
    if size.is_ok_and(|size| size > MAX_FILE_BYTES) {
        return Err(content(key, path, format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    read_file(key, path)
}

fn print(report: &Report, language: Option<Language>, indent: &str) {
    let both = |zh: &str, en: &str| match language {
        Some(Language::Zh) => zh.to_owned(),
        Some(Language::En) => en.to_owned(),
        None => format!("{zh} {en}"),
    };
    let (kind_zh, kind_en) = report.kind.names();
    let (zh, en) = words_of(report.result);
    println!(
        "{indent}{}: {} ({} {})",
        both(kind_zh, kind_en),
        both(zh, en),
        both("判断时刻", "as of"),
        whole_seconds(report.checked_at)
    );
    if let Some(identifier) = &report.identifier {
        println!("{indent}{}: {identifier}", both("证照标识", "licence"));
    }
    if let Some(signer) = &report.signer {
        println!("{indent}{}: {signer}", both("签名人", "signed by"));
    }
    for link in &report.links {
        print_link(link, language, indent);
    }
    for signature in &report.signatures {
        let (zh, en) = words_of(signature.result);
        let name =
            if signature.name.is_empty() { String::new() } else { format!(" {}", signature.name) };
        println!("{indent}  {}{name}: {}", both("签名", "signature"), both(zh, en));
        if let Some(signer) = &signature.signer {
            println!("{indent}    {}: {signer}", both("签名人", "signed by"));
        }
        match (signature.proven_at, signature.claimed_at) {
            (Some(at), _) => {
                println!(
                    "{indent}    {}: {at}",
                    both("签名时间（时间戳证明）", "signed by (proven by a time-stamp)")
                );
            }
            (None, Some(at)) => {
                println!(
                    "{indent}    {}: {at}",
                    both("签名时间（签名人自称，无证明）", "signed at (the signer's claim)")
                );
            }
            (None, None) => {}
        }
        for link in &signature.links {
            print_link(link, language, &format!("{indent}  "));
        }
    }
    for part in &report.parts {
        print(part, language, &format!("{indent}  "));
    }
}

fn print_link(link: &Explained, language: Option<Language>, indent: &str) {
    let mark = match link.outcome {
        Outcome::Trusted => "✓",
        Outcome::Untrusted => "✗",
        Outcome::Undetermined => "?",
    };
    let subject =
        link.subject.as_deref().map_or_else(String::new, |subject| format!(" [{subject}]"));
    let at = link.at.map_or_else(String::new, |at| format!(" ({at})"));
    let code =
        if link.outcome == Outcome::Trusted { String::new() } else { format!(" {}", link.result) };
    let (name, said) = match language {
        Some(Language::Zh) => (link.name.to_owned(), link.said_zh.clone()),
        Some(Language::En) => (link.link.to_owned(), link.said.clone()),
        None => {
            (format!("{} {}", link.name, link.link), format!("{} – {}", link.said_zh, link.said))
        }
    };
    println!("{indent}  {mark} {name}{subject}: {said}{at}{code}");
    if language != Some(Language::En) && !link.todo_zh.is_empty() {
        println!("{indent}      → {}", link.todo_zh);
    }
    if language != Some(Language::Zh) && !link.todo.is_empty() {
        println!("{indent}      → {}", link.todo);
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn words_of(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Trusted => ("可信", "trusted"),
        Outcome::Untrusted => ("不可信", "untrusted"),
        Outcome::Undetermined => ("无法确定", "undetermined"),
    }
}
