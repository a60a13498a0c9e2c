//! The meaning of a database error: retry, dead-letter the record, or stop.

use std::error::Error as _;

use tokio_postgres::{
    error::{Error as PgError, SqlState},
    types::WrongType,
};
use towpath_api::{Error, ErrorType};

use crate::codes;

/// Classes of errors by reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The server is unreachable, full or read-only: retry without a limit.
    Outage,
    /// Another transaction interfered: retry.
    Contention,
    TooSlow,
    /// The value can never be stored.
    Data,
    /// Rights, tables or columns are not as needed: a person has to act.
    Setup,
}

/// Classifies an error by its `SQLSTATE` (`PostgreSQL` manual, appendix A). Without a state the server did not answer.
pub(crate) fn classify(error: &PgError) -> Class {
    let Some(state) = error.code() else {
        // A value that the client could not encode has no SQLSTATE either; that is our bug, not an outage.
        return if error.source().is_some_and(<dyn std::error::Error>::is::<WrongType>) {
            Class::Setup
        } else {
            Class::Outage
        };
    };
    if *state == SqlState::QUERY_CANCELED {
        return Class::TooSlow;
    }
    if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE]
        .contains(state)
    {
        return Class::Contention;
    }
    match state.code() {
        // Corrupted data does not recover by waiting.
        "XX001" | "XX002" => Class::Setup,
        // A pooler or an administrator dropped the session's prepared statements; a new connection prepares them again.
        "25006" | "25P02" | "28P01" | "28000" | "55006" | "25P03" | "25P04" | "26000" | "42P05" => Class::Outage,
        code => match &code[..2] {
            "08" | "57" | "53" | "58" | "XX" => Class::Outage,
            "40" => Class::Contention,
            "21" | "22" | "23" | "54" | "P0" => Class::Data,
            _ => Class::Setup,
        },
    }
}

/// Returns true if a column changed its type or was dropped since the statement was prepared. A dropped table does not
/// count: re-created, it would lack the earlier rows.
fn is_outdated(state: &SqlState) -> bool {
    [SqlState::DATATYPE_MISMATCH, SqlState::UNDEFINED_COLUMN, SqlState::FEATURE_NOT_SUPPORTED].contains(state)
}

const SETUP_HELP: &str = "check the rights of the role, the table and its triggers; it is tried again within a minute";

/// Converts a database error into an error of the contract; `doing` is a verb phrase.
///
/// Errors of class data become poison: the caller, which has the batch, isolates the record.
pub(crate) fn database_error(doing: impl Into<String>, error: PgError) -> Error {
    let kind = match classify(&error) {
        Class::Outage if is_auth(&error) => Error::retry(codes::AUTH, ErrorType::Auth, doing)
            .with_help("check `connection.user` and `connection.password`"),
        Class::Outage => Error::retry(codes::UNAVAILABLE, ErrorType::Unavailable, doing),
        Class::Contention => Error::retry(codes::CONTENTION, ErrorType::Conflict, doing),
        Class::TooSlow => Error::retry(codes::TOO_SLOW, ErrorType::Timeout, doing)
            .with_help("look for slow triggers and missing indexes of the table"),
        Class::Data if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => {
            Error::poison(codes::FOREIGN_KEY, ErrorType::Constraint, doing)
        }
        Class::Data => Error::poison(codes::REFUSED_VALUE, ErrorType::Constraint, doing),
        Class::Setup if error.code().is_some_and(is_outdated) => {
            Error::fatal(codes::TABLE_CHANGED, ErrorType::Schema, doing)
                .with_help("compare the table with its records using `towpath preflight`")
        }
        Class::Setup => Error::fatal(codes::SETUP, ErrorType::Config, doing).with_help(SETUP_HELP),
    };
    kind.because(ServerMessage::from(error))
}

/// As [`database_error`], for statements without records: errors of class data mean a wrong setup, except that a unique
/// violation means another session created the same object at the same time, so the next try finds it.
pub(crate) fn setup_error(doing: impl Into<String>, error: PgError) -> Error {
    let raced = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
    match classify(&error) {
        Class::Data if raced => {
            Error::retry(codes::CONTENTION, ErrorType::Conflict, doing).because(ServerMessage::from(error))
        }
        Class::Data => Error::fatal(codes::SETUP, ErrorType::Config, doing)
            .with_help(SETUP_HELP)
            .because(ServerMessage::from(error)),
        _ => database_error(doing, error),
    }
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

/// The server's message and SQLSTATE, without `DETAIL`, which quotes values of the row.
#[derive(Debug)]
pub(crate) struct ServerMessage {
    text: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl std::fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ServerMessage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}

impl From<PgError> for ServerMessage {
    fn from(error: PgError) -> Self {
        let text = error.as_db_error().map(describe);
        match text {
            Some(text) => Self { text, source: None },
            None => Self { text: error.to_string(), source: error.into_source() },
        }
    }
}

/// For example `a number is out of range (SQLSTATE 22003, column amount)`. Messages of classes 22, 23 and P0 quote
/// values, in the server's language or in a trigger's words, so they are replaced by our own.
fn describe(error: &tokio_postgres::error::DbError) -> String {
    let code = error.code().code();
    let message = match code {
        "22001" => "a text is too long for its column",
        "22003" => "a number is out of range",
        "22007" | "22008" => "a date or time is out of range",
        "22021" | "22P05" => "a text holds a character that the database cannot store",
        "23502" => "a NOT NULL column got null",
        "23503" => "the row that it refers to does not exist",
        "23505" => "another row has the same unique value",
        "23514" => "a check of the table is violated",
        _ if ["22", "23", "P0"].contains(&&code[..2]) => "the database refuses a value",
        _ => error.message(),
    };
    let mut text = format!("{message} (SQLSTATE {code}");
    for (what, name) in [("table", error.table()), ("column", error.column()), ("constraint", error.constraint())] {
        if let Some(name) = name {
            text.push_str(&format!(", {what} {name}"));
        }
    }
    text.push(')');
    text
}

/// The cause of an error, without the operation that failed.
pub(crate) fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
