//! Exit codes: the numbers of `sysexits.h` where it has one for the case.

use std::process::ExitCode;

use towpath_api::{Error, ErrorType, Reaction};

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

/// Done, or drained after a signal.
pub const DONE: Exit = Exit(0);
/// A check found something.
pub const FOUND: Exit = Exit(1);
/// The arguments are wrong.
pub const USAGE: Exit = Exit(2);
/// The input cannot be used.
pub const BAD_INPUT: Exit = Exit(65);
/// A service cannot be reached.
pub const UNREACHABLE: Exit = Exit(69);
/// A bug.
pub const BUG: Exit = Exit(70);
/// The output cannot be written.
pub const CANNOT_WRITE: Exit = Exit(73);
/// A later attempt may succeed.
pub const TRY_LATER: Exit = Exit(75);
/// Credentials or rights are missing.
pub const NOT_PERMITTED: Exit = Exit(77);
/// The configuration is wrong.
pub const CONFIG: Exit = Exit(78);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.0.into()
    }
}

/// Prints `error` with its causes and its help; returns its exit code.
pub(super) fn report(error: &Error) -> Exit {
    eprintln!("error[{}]: cannot {}", error.code, error.chain());
    let help = error.help().or((error.error_type == ErrorType::Internal).then_some("this is a bug; please report it"));
    if let Some(help) = help {
        eprintln!("  = help: {help}");
    }
    of(error)
}

/// The exit code for an error.
pub(super) fn of(error: &Error) -> Exit {
    match error.error_type {
        ErrorType::Config => CONFIG,
        ErrorType::Auth => NOT_PERMITTED,
        ErrorType::Unavailable | ErrorType::Timeout => UNREACHABLE,
        ErrorType::RateLimited | ErrorType::Conflict => TRY_LATER,
        ErrorType::Internal => BUG,
        _ if error.reaction == Reaction::Retry => TRY_LATER,
        _ => BAD_INPUT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_ends_the_process_with_the_code_of_its_type() {
        let fatal = |error_type| of(&Error::fatal("test.code", error_type, "do it"));
        assert_eq!(fatal(ErrorType::Config), CONFIG);
        assert_eq!(fatal(ErrorType::Unavailable), UNREACHABLE);
        assert_eq!(fatal(ErrorType::Auth), NOT_PERMITTED);
        assert_eq!(fatal(ErrorType::Internal), BUG);
        assert_eq!(fatal(ErrorType::Schema), BAD_INPUT);
        assert_eq!(of(&Error::retry("test.code", ErrorType::NotFound, "do it")), TRY_LATER);
    }
}
