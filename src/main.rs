//! The `towpath` binary. Everything is in the library, so that tests reach it.

use std::process::ExitCode;

/// Rows and records are many short-lived texts: `docs/decisions.md` has what the system's allocator costs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A panic is a bug of ours; its own exit code tells operators so.
    std::panic::catch_unwind(towpath::cli::main).unwrap_or_else(|_| towpath::cli::exit::BUG.into())
}
