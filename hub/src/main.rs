//! The hub's program; everything stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hub::command::run()
}
