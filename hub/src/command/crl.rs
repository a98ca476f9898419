//! `hub crl`: revocation lists in the trust folder; a running hub notices within two seconds.

use std::{fs, io::Write, path::PathBuf, process::ExitCode};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{
    anchors::{Common, Signed, TrustCommandError, open, print_json, write},
    fail,
};
use crate::trust::{self, Act, Sources, TrustFolder};

/// What `hub crl` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The lists, and whether they count.
    List(ListArguments),
    /// Take in a list.
    Add(AddArguments),
    /// Fetch from every source of the settings, now; exit code 1 if one fails.
    Fetch(ListArguments),
}

/// Arguments of `hub crl list`.
#[derive(Args)]
pub struct ListArguments {
    #[command(flatten)]
    common: Common,
}

/// Arguments of `hub crl add`.
#[derive(Args)]
pub struct AddArguments {
    /// The list, PEM or DER.
    file: PathBuf,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub async fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::List(arguments) => list(arguments),
        Command::Add(arguments) => add(arguments),
        Command::Fetch(arguments) => match fetch(arguments).await {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn list(arguments: &ListArguments) -> Result<(), TrustCommandError> {
    let (config, folder) = open(&arguments.common)?;
    let statics = trust::read_statics(&config)?;
    let now = Timestamp::now();
    let gathered = trust::gather(&folder, &statics, now, None, false)?;
    let mut held = gathered.store.crls();
    held.sort_by_key(|list| list.next_update);
    let (answers, stale) = gathered.store.ocsp_answers(now);
    let sources = Sources::open(&config).report();
    if arguments.common.json {
        let lists: Vec<_> = held
            .iter()
            .map(|list| {
                json!({
                    "issuer": list.issuer_text, "this_update": list.this_update,
                    "next_update": list.next_update, "revoked": list.entries,
                    "partial": list.is_partial, "stale": list.next_update <= now,
                })
            })
            .collect();
        print_json(&json!({
            "lists": lists, "answers": { "held": answers, "stale": stale },
            "files": gathered.lists, "sources": sources,
        }));
        return Ok(());
    }
    if held.is_empty() {
        println!("no revocation list is held: add one with `hub crl add`");
    }
    for list in &held {
        let state = if list.next_update <= now { "STALE since" } else { "current until" };
        let part = if list.is_partial { ", one of several" } else { "" };
        println!("{}", list.issuer_text);
        println!(
            "    {state} {}, of {}, {} revoked{part}",
            list.next_update, list.this_update, list.entries
        );
    }
    if answers > 0 {
        println!("{answers} OCSP answers, {stale} of them past their time");
    }
    for file in &gathered.lists {
        println!("{}: {}", file.file, file.refused.unwrap_or("counts"));
    }
    for source in &sources {
        let last = source.fetched_at.map_or("never".to_owned(), |at| at.to_string());
        let code = source.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        println!("source {}: {}{code}, gave last: {last}", source.address, source.state);
    }
    Ok(())
}

/// Fetches from every source; whether all gave.
async fn fetch(arguments: &ListArguments) -> Result<bool, TrustCommandError> {
    let (config, folder) = open(&arguments.common)?;
    let in_folder = |source| TrustCommandError::File { path: folder.path().to_owned(), source };
    folder.make().map_err(in_folder)?;
    let statics = trust::read_statics(&config)?;
    let gathered = trust::gather(&folder, &statics, Timestamp::now(), None, false)?;
    let sources = Sources::open(&config);
    let mut well = true;
    let mut told = Vec::new();
    for mut errand in sources.all(Timestamp::now()) {
        errand.run(&gathered.store).await;
        let (code, said) = match errand.outcome() {
            Ok(()) => ("ok", "fetched".to_owned()),
            Err(error) => (error.code(), error.to_string()),
        };
        well &= code == "ok";
        let address = errand.address().to_owned();
        if !arguments.common.json {
            println!("{address}: {said}");
        }
        told.push(json!({ "address": address, "code": code, "said": said }));
        sources.done(errand, Timestamp::now());
    }
    if arguments.common.json {
        print_json(&told);
    } else if told.is_empty() {
        println!("the settings name no source: trust.crl_sources, trust.ocsp");
    }
    Ok(well)
}

fn add(arguments: &AddArguments) -> Result<(), TrustCommandError> {
    let (config, folder) = open(&arguments.common)?;
    let path = &arguments.file;
    let act = arguments.signed.act(Timestamp::now())?;
    let bytes =
        fs::read(path).map_err(|source| TrustCommandError::File { path: path.clone(), source })?;
    let statics = trust::read_statics(&config)?;
    let mut gathered = trust::gather(&folder, &statics, act.at, None, false)?;
    gathered
        .store
        .add_crl_at(&bytes, act.at)
        .map_err(|source| TrustCommandError::List { path: path.clone(), source })?;
    let in_folder = |source| TrustCommandError::File { path: folder.path().to_owned(), source };
    folder.make().map_err(in_folder)?;
    let name = name_for(&folder, path, &bytes);
    let place = folder.crls().join(&name);
    write(&place, &bytes)?;
    record(&folder, "crl_add", &name, &act)?;
    if arguments.common.json {
        print_json(&json!({ "file": folder.place(&place), "sha256": certs::sha256(&bytes) }));
    } else {
        println!("added as {}", place.display());
        println!("a running hub notices within two seconds");
    }
    Ok(())
}

/// The file's own name; with a digest where another list has that name already.
fn name_for(folder: &TrustFolder, path: &std::path::Path, bytes: &[u8]) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || "-_.".contains(one);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().filter(|one| plain(*one)).take(100).collect();
    let name = name.trim_start_matches('.').trim_end_matches(".refused");
    let name = if name.is_empty() { "list.crl" } else { name };
    match fs::read(folder.crls().join(name)) {
        Ok(held) if held != bytes => {
            let digest = certs::sha256(bytes).to_string();
            format!("{}-{name}", digest.get(..8).unwrap_or_default())
        }
        _ => name.to_owned(),
    }
}

/// A line of `acts.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    act: &'a str,
    file: &'a str,
    #[serde(flatten)]
    signed: &'a Act,
}

fn record(
    folder: &TrustFolder,
    act: &str,
    file: &str,
    signed: &Act,
) -> Result<(), TrustCommandError> {
    let path = folder.acts();
    let append = || {
        let mut line = serde_json::to_vec(&Line { act, file, signed })?;
        line.push(b'\n');
        let mut acts = fs::OpenOptions::new().create(true).append(true).open(&path)?;
        acts.write_all(&line)?;
        acts.sync_all()
    };
    append().map_err(|source| TrustCommandError::File { path: path.clone(), source })
}
