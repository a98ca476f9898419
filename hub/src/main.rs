//! The hub's program; everything stands in the library.

use std::process::ExitCode;

/// For everything in this program, the store's C++ too: docs/decisions/0035-jemalloc.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    hub::command::run()
}
