//! Runs a file of x509-limbo cases (<https://x509-limbo.com>) against this crate.
//!
//! `cargo run -p certs --example limbo FILE…` prints how many cases were agreed, disagreed and
//! skipped, with ids and reasons. Ends with 1 when a case disagrees, or agrees although it is
//! listed by its id as one that does not; with 2 when a file cannot be read.

mod harness;
mod profile;

use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: limbo FILE...");
        return ExitCode::from(2);
    }
    let mut good = true;
    for file in files {
        let shown = file.to_string_lossy().into_owned();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("{shown}: {error}");
                return ExitCode::from(2);
            }
        };
        match harness::run(&text, jiff::Timestamp::now()) {
            Ok(report) => {
                println!("{shown}\n{report}");
                good &= report.is_good();
            }
            Err(error) => {
                eprintln!("{shown}: not a limbo file: {error}");
                return ExitCode::from(2);
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
