//! The meaning of a database error: retry, dead-letter the record, or stop.
//!
//! The SQLSTATE decides, and where it does not, the place in the server that reports the error: a trigger may raise any
//! state, and a missing right and a policy that refuses one row have the same one. What remains unclear is decided by
//! experiment: see [`row_error`].

mod message;
#[cfg(test)]
mod tests;

use std::{error::Error as _, io};

use tokio_postgres::{
    error::{DbError, Error as PgError, SqlState},
    types::WrongType,
};
use towpath_api::{Error, ErrorType, Reaction};

use self::message::ServerMessage;
use crate::codes;

/// Classes of errors by reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The server is unreachable, full or read-only: retry without a limit.
    Outage,
    /// Another transaction interfered: retry.
    Contention,
    /// The statement takes too long: retry, with fewer rows if it has several.
    TooSlow,
    /// The statement needs more memory or temporary space than the server grants: as [`Class::TooSlow`].
    TooLarge,
    /// The row can never be stored.
    Data,
    /// The row, or rights, tables and functions: the SQLSTATE does not say which.
    Unclear,
    /// As [`Class::Unclear`], but waiting may help: an internal error.
    Internal,
    /// Rights, tables or columns are not as needed: a person has to act.
    Setup,
}

/// The place in the server that reports an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The statement itself.
    Statement,
    /// The check of the statement's rights on a table.
    Rights,
    /// A row-level security policy, or the check option of a view.
    Policy,
    /// A function: of a trigger, a constraint, a default or an index.
    Function,
    /// `RAISE` in a PL/pgSQL function. The state is the choice of the function's author.
    Raised,
}

impl Origin {
    /// The server names the C function that reports the error, in every language.
    fn of(error: &DbError) -> Self {
        let within_function = error.where_().is_some();
        match error.routine() {
            Some("exec_stmt_raise") => Self::Raised,
            Some("ExecWithCheckOptions") => Self::Policy,
            Some("aclcheck_error") if !within_function => Self::Rights,
            _ if within_function => Self::Function,
            _ => Self::Statement,
        }
    }
}

/// The classes of SQLSTATEs of `PostgreSQL` 18 (manual, appendix A). Any other is the choice of a function's author.
const CLASSES: [&str; 44] = [
    "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23", "24", "25",
    "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "53", "54", "55", "57",
    "58", "72", "F0", "HV", "P0", "XX",
];

/// The class of a SQLSTATE that a statement with rows has met at `origin`.
fn class_of(state: &str, origin: Origin) -> Class {
    let group = state.get(..2).unwrap_or_default();
    match (state, group) {
        ("57014", _) => Class::TooSlow,
        ("53200" | "53400", _) => Class::TooLarge,
        ("55P03", _) | (_, "40" | "72") => Class::Contention,
        (_, "08" | "53" | "57" | "58") => Class::Outage,
        // The author of the function asks to retry with the states above, and refuses the row with any other.
        _ if matches!(origin, Origin::Raised | Origin::Policy) => Class::Data,
        // Corrupted data does not recover by waiting.
        ("XX001" | "XX002", _) => Class::Setup,
        (_, "XX") => Class::Internal,
        // A pooler or an administrator dropped the session's prepared statements; a new connection prepares them again.
        ("25006" | "25P02" | "25P03" | "25P04" | "55006" | "26000" | "42P05" | "HV00N", _) => Class::Outage,
        // The credentials of the session; within a function those of another connection.
        (_, "28") if origin != Origin::Function => Class::Outage,
        (_, "20" | "21" | "22" | "23" | "38" | "44" | "54" | "P0") => Class::Data,
        ("42501", _) if origin == Origin::Rights => Class::Setup,
        _ if CLASSES.contains(&group) => Class::Unclear,
        _ => Class::Data,
    }
}

/// Classifies an error. Without a SQLSTATE the server did not answer.
fn classify(error: &PgError) -> Class {
    if let Some(refusal) = error.as_db_error() {
        return class_of(refusal.code().code(), Origin::of(refusal));
    }
    // A value that the client could not encode has no SQLSTATE either, and is not an outage.
    match error.source() {
        Some(cause) if cause.is::<WrongType>() => Class::Setup,
        Some(cause) if is_too_large(cause) => Class::Data,
        _ => Class::Outage,
    }
}

/// Returns true if a value exceeds the length that the protocol can express.
fn is_too_large(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidInput)
}

/// Returns true if a column changed its type or was dropped since the statement was prepared. A dropped table does not
/// count: re-created, it would lack the earlier rows.
fn is_outdated(error: &PgError) -> bool {
    error.as_db_error().is_some_and(|error| {
        Origin::of(error) == Origin::Statement
            && [SqlState::DATATYPE_MISMATCH, SqlState::UNDEFINED_COLUMN, SqlState::FEATURE_NOT_SUPPORTED]
                .contains(error.code())
    })
}

const SETUP_HELP: &str =
    "check the rights of the role, the tables and their triggers; the table is tried again within a minute";
const UNIQUE_HELP: &str = "find the row that has the value; if rows exchange values, make the constraint DEFERRABLE \
    INITIALLY DEFERRED, and if a deleted row has it, let a unique index with `WHERE NOT _towpath_deleted` replace it";
const TABLE_CHANGED_HELP: &str = "compare the table with its records using `towpath preflight`";

/// Converts the error of a statement that writes no rows into an error of the contract; `doing` is a verb phrase.
pub(crate) fn database_error(doing: impl Into<String>, error: PgError) -> Error {
    reaction(classify(&error), doing, &error).because(ServerMessage::of_statement(error))
}

fn reaction(class: Class, doing: impl Into<String>, error: &PgError) -> Error {
    match class {
        Class::Outage if is_auth(error) => Error::retry(codes::AUTH, ErrorType::Auth, doing)
            .with_help("check `connection.user` and `connection.password`"),
        Class::Outage | Class::Internal => Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing),
        Class::Contention => Error::retry(codes::CONTENTION, ErrorType::Conflict, doing),
        Class::TooSlow => Error::retry(codes::TOO_SLOW, ErrorType::Timeout, doing)
            .with_help("look for slow triggers and missing indexes of the table"),
        Class::TooLarge => Error::retry(codes::OUT_OF_MEMORY, ErrorType::TooLarge, doing)
            .with_help("give the server more memory or temporary space, or look for triggers that use much of it"),
        Class::Data if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => {
            Error::poison(codes::FOREIGN_KEY, ErrorType::Constraint, doing)
        }
        Class::Data if is_taken(error) => {
            Error::poison(codes::UNIQUE_VALUE, ErrorType::Constraint, doing).with_help(UNIQUE_HELP)
        }
        Class::Data => Error::poison(codes::REFUSED_VALUE, ErrorType::Constraint, doing),
        Class::Unclear | Class::Setup if is_outdated(error) => {
            Error::fatal(codes::TABLE_CHANGED, ErrorType::Schema, doing).with_help(TABLE_CHANGED_HELP)
        }
        Class::Unclear | Class::Setup => Error::fatal(codes::SETUP, ErrorType::Config, doing).with_help(SETUP_HELP),
    }
}

/// As [`database_error`], for a statement that writes rows. Its text has none of their values.
///
/// Errors of class data become poison: the caller, which has the batch, isolates the record. So do errors that are
/// unclear. If the database then accepts other records, the record was at fault; if it refuses each of them, the
/// set-up is, and [`of_every_row`] has the error.
pub(crate) fn row_error(doing: impl Into<String>, error: PgError) -> Error {
    let code = match classify(&error) {
        Class::Unclear if is_outdated(&error) => codes::TABLE_CHANGED,
        Class::Unclear => codes::REFUSED_ROW,
        Class::Internal => codes::FAILED_WITHIN,
        class => return reaction(class, doing, &error).because(ServerMessage::of_rows(error)),
    };
    Error::poison(code, ErrorType::Constraint, doing).because(ServerMessage::of_rows(error))
}

/// Returns true if another row of the same table has the unique value of the row, or excludes it.
fn is_taken(error: &PgError) -> bool {
    let states = [Some(&SqlState::UNIQUE_VIOLATION), Some(&SqlState::EXCLUSION_VIOLATION)];
    states.contains(&error.code()) && error.as_db_error().is_some_and(|error| Origin::of(error) == Origin::Statement)
}

/// Returns true if later records may make the row acceptable: by the row that it refers to, or by a change of the row
/// that has its unique value.
pub(crate) fn is_curable(code: &str) -> bool {
    [codes::FOREIGN_KEY, codes::UNIQUE_VALUE, codes::OLD_ROW].contains(&code)
}

/// Returns true if experiment decides between the record and the set-up: see [`row_error`].
pub(crate) fn is_unclear(error: &Error) -> bool {
    error.reaction == Reaction::Poison
        && [codes::TABLE_CHANGED, codes::REFUSED_ROW, codes::FAILED_WITHIN].contains(&error.code)
}

/// Returns true if the server refuses a value of the row, and does not name its column.
pub(crate) fn refuses_a_value(error: &Error) -> bool {
    let message = std::error::Error::source(error).and_then(|source| source.downcast_ref::<ServerMessage>());
    error.reaction == Reaction::Poison && message.is_some_and(|message| message.refuses_value)
}

/// The error of a table that refuses every record for an unclear reason.
pub(crate) fn of_every_row(mut error: Error) -> Error {
    let help;
    (error.reaction, error.code, error.error_type, help) = match error.code {
        codes::FAILED_WITHIN => {
            (Reaction::Retry, codes::UNAVAILABLE, ErrorType::Unavailable, "look for the cause in the server's log")
        }
        codes::TABLE_CHANGED => (Reaction::Fatal, codes::TABLE_CHANGED, ErrorType::Schema, TABLE_CHANGED_HELP),
        _ => (Reaction::Fatal, codes::SETUP, ErrorType::Config, SETUP_HELP),
    };
    error.with_help(help)
}

/// As [`database_error`], for statements without records: errors of class data mean a wrong setup, except that a unique
/// violation means another session created the same object at the same time, so the next try finds it.
pub(crate) fn setup_error(doing: impl Into<String>, error: PgError) -> Error {
    let raced = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
    match classify(&error) {
        Class::Data if raced => {
            Error::retry(codes::CONTENTION, ErrorType::Conflict, doing).because(ServerMessage::of_rows(error))
        }
        Class::Data => Error::fatal(codes::SETUP, ErrorType::Config, doing)
            .with_help(SETUP_HELP)
            .because(ServerMessage::of_statement(error)),
        _ => database_error(doing, error),
    }
}

/// Returns true if the server refuses the values of a statement, and may accept others.
pub(crate) fn refuses_values(error: &PgError) -> bool {
    matches!(classify(error), Class::Data)
}

/// Returns true if another way of writing the same rows may succeed: the server answered, and is neither away, full nor
/// slow.
pub(crate) fn refuses_this_way(error: &PgError) -> bool {
    matches!(classify(error), Class::Data | Class::Unclear | Class::Internal | Class::Setup)
}

/// Returns true if the type of a column cannot change because views, rules or other objects use the column.
pub(crate) fn blocked_by_dependents(error: &PgError) -> bool {
    [Some(&SqlState::FEATURE_NOT_SUPPORTED), Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST)].contains(&error.code())
}

/// Returns true if the outcome of COMMIT is unknown after this error: no answer came, or the answer says so.
pub(crate) fn leaves_outcome_unknown(error: &PgError) -> bool {
    error.code().is_none_or(|state| state.code() == "40003" || ["08", "57", "58"].contains(&&state.code()[..2]))
}

fn is_auth(error: &PgError) -> bool {
    error.code().is_some_and(|state| state.code().starts_with("28"))
}

/// The cause of an error, without the operation that failed.
pub(crate) fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
