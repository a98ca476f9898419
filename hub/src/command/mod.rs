//! The operator's command line.

pub mod anchors;
pub mod connector;
pub mod crl;
pub mod demo;
pub mod doctor;
pub mod import;
pub mod keys;
pub mod matters;
pub mod rebuild;
pub mod serve;
pub mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Electronic licence repository and data-sharing hub (电子证照库与共享枢纽).
#[derive(Parser)]
#[command(name = "hub", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A complete hub with a synthetic district, ready to click.
    Demo(demo::Arguments),
    /// Serve with a settings file.
    Serve(serve::Arguments),
    /// Hand in a folder of signed batches; resumes where it stopped.
    Import(import::Arguments),
    /// Check a licence, package, CMS file, OFD or PDF offline: exit code 0 trusted, 1 untrusted, 2 undetermined.
    Verify(verify::Arguments),
    /// Throw a follower away and build it anew from the log.
    #[command(subcommand)]
    Rebuild(rebuild::Command),
    /// The keys that the service signs with: list, new, certify, rotate, retire.
    #[command(subcommand)]
    Keys(keys::Command),
    /// The list of matters.
    #[command(subcommand)]
    Matters(matters::Command),
    /// Whose signatures are believed.
    #[command(subcommand)]
    Anchors(anchors::Command),
    /// Revocation lists.
    #[command(subcommand)]
    Crl(crl::Command),
    /// The connectors of a running hub: state, what would be sent, pause, replay, compare, set-asides.
    #[command(subcommand)]
    Connector(connector::Command),
    /// Operate the sources of rows of a running hub.
    #[command(subcommand)]
    Inbound(connector::SourceCommand),
    /// Check settings, keys, disk, store and counterparts; says what to do.
    Doctor(doctor::Arguments),
}

/// Runs the command line.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(asked) => {
            let _ = asked.print();
            // 2 is a verdict of `hub verify`; a wrong command line is 64 (EX_USAGE).
            return if asked.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    end_with_the_reader();
    // ring is the one TLS provider of this program; a second installation cannot happen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        match arguments.command {
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Import(arguments) => import::run(arguments).await,
            Command::Verify(arguments) => verify::run(&arguments),
            Command::Rebuild(command) => rebuild::run(command).await,
            Command::Keys(command) => keys::run(&command),
            Command::Matters(command) => matters::run(&command),
            Command::Anchors(command) => anchors::run(&command),
            Command::Crl(command) => crl::run(&command).await,
            Command::Connector(command) => connector::run(command).await,
            Command::Inbound(command) => connector::run_source(command).await,
            Command::Doctor(arguments) => doctor::run(arguments).await,
        }
    })
}

/// Ends quietly when nobody reads standard output any more, as in `hub anchors list | head`.
fn end_with_the_reader() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or("");
        if said.starts_with("failed printing to stdout") {
            std::process::exit(141); // as a shell says it of SIGPIPE
        }
        tell(panic);
    }));
}

/// Log lines go to standard error as JSON; `RUST_LOG` sets the level.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,tantivy=warn"));
    // certval writes the subjects of certificates, which may be persons, into its log lines.
    let filter = match "certval=off".parse() {
        Ok(silence) => filter.add_directive(silence),
        Err(_) => filter,
    };
    let _ = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// Tells what went wrong, with every cause, and ends with 1.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    tell(error);
    ExitCode::FAILURE
}

/// Tells what went wrong, with every cause.
fn tell(error: &dyn std::error::Error) {
    let mut told = error.to_string();
    eprintln!("hub: {told}");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_told = cause.to_string();
        if !told.contains(&cause_told) {
            eprintln!("  because: {cause_told}");
        }
        told = cause_told;
        source = cause.source();
    }
}
