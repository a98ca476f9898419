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
use crate::trust::{self, Act, TrustFolder};

/// What `hub crl` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// The lists, and whether they count.
    List(ListArguments),
    /// Take in a list.
    Add(AddArguments),
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
pub fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::List(arguments) => list(arguments),
        Command::Add(arguments) => add(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn list(arguments: &ListArguments) -> Result<(), TrustCommandError> {
    let (config, folder) = open(&arguments.common)?;
    let statics = trust::read_statics(&config)?;
    let gathered = trust::gather(&folder, &statics, Timestamp::now(), false)?;
    if arguments.common.json {
        print_json(&gathered.lists);
        return Ok(());
    }
    if gathered.lists.is_empty() {
        println!("no lists in {}", folder.crls().display());
    }
    for list in &gathered.lists {
        println!("{}: {}", list.file, list.refused.unwrap_or("counts"));
    }
    Ok(())
}

fn add(arguments: &AddArguments) -> Result<(), TrustCommandError> {
    let (config, folder) = open(&arguments.common)?;
    let path = &arguments.file;
    let act = arguments.signed.act(Timestamp::now())?;
    let bytes =
        fs::read(path).map_err(|source| TrustCommandError::File { path: path.clone(), source })?;
    let statics = trust::read_statics(&config)?;
    let mut gathered = trust::gather(&folder, &statics, act.at, false)?;
    gathered
        .store
        .add_crl(&bytes)
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
