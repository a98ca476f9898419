//! `loadtest`: puts load on a Yihao hub and proves what it promises.
//!
//! It makes synthetic districts and packs real rows ([`generate`], [`enterprises`]), drives a hub at
//! a fixed rate ([`drive`]), measures it beside its floors ([`mod@bench`]), and kills it in the middle
//! of its work to see that nothing acknowledged is lost ([`prove`]). It speaks HTTP to a running
//! hub; of the repository's crates it uses only the domain types and the signatures.

mod bench;
mod bench_certs;
mod bench_connectors;
mod client;
mod drive;
mod enterprises;
mod error;
mod floor;
mod folder;
mod generate;
mod hub;
mod load;
mod measure;
mod postgres;
mod prove;
mod prove_exchange;
mod pulls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

/// Synthetic districts, load, benchmarks and proofs for a Yihao hub.
#[derive(Parser)]
#[command(name = "loadtest", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a synthetic district: credentials, settings and signed batches to import.
    Generate(generate::Arguments),
    /// Write rows of a register as signed business licences.
    Enterprises(enterprises::Arguments),
    /// Pull at a fixed rate; latency counts from when a pull was due.
    Drive(drive::Arguments),
    /// Measure pulls, issues and searches, each beside its floor.
    Bench(bench::Arguments),
    /// Import a register with the hub being killed, and check that all of it is there.
    Prove(prove::Arguments),
    /// Two hubs hand over to each other while either is killed; both hold the same in the end.
    Exchange(prove_exchange::Arguments),
    /// The bare handler that pulls are measured against.
    #[command(hide = true)]
    Floor(floor::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread for all of a client's connections: the cores are the hub's.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("loadtest: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = match &arguments.command {
        Command::Generate(arguments) => generate::run(arguments),
        Command::Enterprises(arguments) => enterprises::run(arguments),
        Command::Drive(arguments) => runtime.block_on(drive::run(arguments)),
        Command::Bench(arguments) => runtime.block_on(bench::run(arguments)),
        Command::Prove(arguments) => runtime.block_on(prove::run(arguments)),
        Command::Exchange(arguments) => runtime.block_on(prove_exchange::run(arguments)),
        Command::Floor(arguments) => floor::serve(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fail(&error);
            ExitCode::FAILURE
        }
    }
}

fn fail(error: &Error) {
    eprintln!("loadtest: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
}
