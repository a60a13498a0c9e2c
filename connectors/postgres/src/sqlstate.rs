//! What a database error means: wait, set the record aside, or stop.

use std::error::Error as _;

use tokio_postgres::{
    error::{Error as PgError, SqlState},
    types::WrongType,
};
use towpath_api::{Error, ErrorType};

/// The classes that differ in what is done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The server or the way to it is away, full or read-only: wait for as long as it takes.
    Outage,
    /// Another transaction was in the way: try again.
    Contention,
    /// It took too long.
    TooSlow,
    /// A value that can never be stored.
    Data,
    /// Rights, tables or columns are not as needed: a person has to act.
    Setup,
}

/// Sorts an error by its `SQLSTATE` (`PostgreSQL` manual, appendix A). One without a state never reached the server
/// whole.
pub(crate) fn classify(error: &PgError) -> Class {
    let Some(state) = error.code() else {
        // A value that the client could not encode has no SQLSTATE either; that is a bug of ours, not an outage.
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
        // Corruption does not heal by waiting.
        "XX001" | "XX002" => Class::Setup,
        // A pooler or an administrator has taken the session's statements away; a fresh connection has them.
        "25006" | "25P02" | "28P01" | "28000" | "55006" | "25P03" | "25P04" | "26000" | "42P05" => Class::Outage,
        code => match &code[..2] {
            "08" | "57" | "53" | "58" | "XX" => Class::Outage,
            "40" => Class::Contention,
            "21" | "22" | "23" | "54" | "P0" => Class::Data,
            _ => Class::Setup,
        },
    }
}

/// The code of a row that refers to one which is not there, and may come.
pub(crate) const FOREIGN_KEY: &str = "postgres.foreign_key";

/// The code of a statement that no longer fits its table. It is prepared anew once; only if that does not help, a
/// person has to act.
pub(crate) const TABLE_CHANGED: &str = "postgres.table_changed";

/// Whether a column has another type or is gone since the statement was prepared. A table that is gone is another
/// matter: made anew, it would lack what it held.
fn is_outdated(state: &SqlState) -> bool {
    [SqlState::DATATYPE_MISMATCH, SqlState::UNDEFINED_COLUMN, SqlState::FEATURE_NOT_SUPPORTED].contains(state)
}

/// Turns a database error into the error of the contract; `doing` is a verb phrase.
///
/// Data errors come out as poison: who holds the batch looks for the record.
pub(crate) fn database_error(doing: impl Into<String>, error: PgError) -> Error {
    let kind = match classify(&error) {
        Class::Outage if is_auth(&error) => Error::retry("postgres.auth", ErrorType::Auth, doing),
        Class::Outage => Error::retry("postgres.unavailable", ErrorType::Unavailable, doing),
        Class::Contention => Error::retry("postgres.contention", ErrorType::Conflict, doing),
        Class::TooSlow => Error::retry("postgres.too_slow", ErrorType::Timeout, doing),
        Class::Data if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => {
            Error::poison(FOREIGN_KEY, ErrorType::Constraint, doing)
        }
        Class::Data => Error::poison("postgres.refused_value", ErrorType::Constraint, doing),
        Class::Setup if error.code().is_some_and(is_outdated) => Error::fatal(TABLE_CHANGED, ErrorType::Schema, doing),
        Class::Setup => Error::fatal("postgres.setup", ErrorType::Config, doing),
    };
    kind.because(ServerMessage::from(error))
}

/// As [`database_error`], for statements that carry no record: an error of the data is then one of the setup, and a name that
/// somebody else made at the same moment is there at the next try.
pub(crate) fn setup_error(doing: impl Into<String>, error: PgError) -> Error {
    let raced = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
    match classify(&error) {
        Class::Data if raced => {
            Error::retry("postgres.contention", ErrorType::Conflict, doing).because(ServerMessage::from(error))
        }
        Class::Data => Error::fatal("postgres.setup", ErrorType::Config, doing).because(ServerMessage::from(error)),
        _ => database_error(doing, error),
    }
}

/// Whether a column cannot get another type since views, rules or other objects use it.
pub(crate) fn blocked_by_dependents(error: &PgError) -> bool {
    [Some(&SqlState::FEATURE_NOT_SUPPORTED), Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST)].contains(&error.code())
}

/// Whether an error of COMMIT leaves open how the transaction ended: no answer came, or one that says so.
pub(crate) fn leaves_outcome_unknown(error: &PgError) -> bool {
    error.code().is_none_or(|state| state.code() == "40003" || ["08", "57", "58"].contains(&&state.code()[..2]))
}

fn is_auth(error: &PgError) -> bool {
    error.code().is_some_and(|state| state.code().starts_with("28"))
}

/// The server's message and SQLSTATE without its `DETAIL`, which quotes values of the row.
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

/// `a number is out of range (SQLSTATE 22003, column amount)`. Messages about values quote them, in the language of the
/// server and in words that triggers may choose, so classes 22, 23 and P0 are told in ours.
fn describe(error: &tokio_postgres::error::DbError) -> String {
    let code = error.code().code();
    let message = match code {
        "22001" => "a text is too long for its column",
        "22003" => "a number is out of range",
        "22007" | "22008" => "a date or time is out of range",
        "22021" | "22P05" => "a text holds a character that the database cannot store",
        "23502" => "a column that must have a value got null",
        "23503" => "the row that it refers to is not there",
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

/// The cause of an error in the server's words, without what we were doing.
pub(crate) fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
