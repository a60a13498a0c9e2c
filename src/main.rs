//! The `towpath` binary. Everything is in the library, so that tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic is a bug of ours; its own exit code tells operators so.
    std::panic::catch_unwind(towpath::cli::main).unwrap_or_else(|_| towpath::cli::exit::BUG.into())
}
