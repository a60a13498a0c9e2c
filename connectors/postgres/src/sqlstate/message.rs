//! The text of a database error, without values of rows.
//!
//! `DETAIL`, `HINT` and the context are never shown: they quote rows, statements and parameters. The message is shown
//! only where it cannot quote a row.

use tokio_postgres::error::{DbError, Error as PgError};

use super::{Class, Origin, class_of};

/// The server's message, or ours in its place, and the SQLSTATE.
#[derive(Debug)]
pub(super) struct ServerMessage {
    text: String,
    /// True if the server refuses a value: class 22, not chosen by a function's author.
    pub(super) refuses_value: bool,
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

impl ServerMessage {
    /// The message to a statement without rows.
    pub(super) fn of_statement(error: PgError) -> Self {
        Self::new(error, false)
    }

    /// The message to a statement with rows.
    pub(super) fn of_rows(error: PgError) -> Self {
        Self::new(error, true)
    }

    fn new(error: PgError, has_rows: bool) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self {
                text: describe(refusal, has_rows),
                refuses_value: refusal.code().code().starts_with("22") && Origin::of(refusal) != Origin::Raised,
                source: None,
            },
            None => Self { text: error.to_string(), refuses_value: false, source: error.into_source() },
        }
    }
}

/// For example `a number is out of range (SQLSTATE 22003, column amount)`.
fn describe(error: &DbError, has_rows: bool) -> String {
    let (code, origin) = (error.code().code(), Origin::of(error));
    let mut text = match own_words(code, origin) {
        Some(words) => words.to_owned(),
        None if error.where_().is_some_and(|context| lacks_an_object(code, context)) => error.message().to_owned(),
        None if quotes_no_row(code, origin, has_rows) => error.message().to_owned(),
        None => "the database refuses the row".to_owned(),
    };
    text.push_str(&format!(" (SQLSTATE {code}"));
    // The author of the function chooses what the server would otherwise name.
    let function = error.where_().and_then(function);
    let named = if origin == Origin::Raised {
        [("function", function), ("", None), ("", None), ("", None)]
    } else {
        [
            ("function", function),
            ("table", error.table()),
            ("column", error.column()),
            ("constraint", error.constraint()),
        ]
    };
    for (what, name) in named {
        if let Some(name) = name {
            text.push_str(&format!(", {what} {name}"));
        }
    }
    text.push(')');
    text
}

fn own_words(code: &str, origin: Origin) -> Option<&'static str> {
    if origin == Origin::Raised {
        return Some("a function of the database refuses the row");
    }
    Some(match code {
        "22001" => "a text is too long for its column",
        "22003" => "a number is out of range",
        "22007" | "22008" => "a date or time is out of range",
        "22021" | "22P05" => "a text holds a character that the database cannot store",
        "23502" => "a NOT NULL column got null",
        "23503" => "the row that it refers to does not exist",
        "23505" => "another row has the same unique value",
        "23P01" => "another row excludes the row",
        "23514" => "a check of the table is violated",
        "42501" if origin == Origin::Policy => "a row-level security policy refuses the row",
        "44000" => "the check option of a view refuses the row",
        "54000" => "the row, or its entry in an index, is too large",
        "54001" => "a value is too deeply nested, or a trigger calls itself without end",
        _ => return None,
    })
}

/// Returns true if the server's message has only names of objects, numbers and settings.
fn quotes_no_row(code: &str, origin: Origin, has_rows: bool) -> bool {
    match class_of(code, origin) {
        _ if origin == Origin::Rights => true,
        _ if origin != Origin::Statement => false,
        Class::Data => false,
        Class::Outage | Class::Contention | Class::TooSlow | Class::TooLarge => true,
        Class::Unclear | Class::Internal | Class::Setup => !has_rows,
    }
}

/// The function of a context that begins with `PL/pgSQL function s.check() line 3 at RAISE` or `SQL function "f"`.
fn function(context: &str) -> Option<&str> {
    let line = context.lines().next()?;
    if let Some(rest) = line.strip_prefix("SQL function \"") {
        return rest.split_once('"').map(|(name, _)| name);
    }
    line.strip_prefix("PL/pgSQL function ")?.split_once('(').map(|(name, _)| name)
}

/// Returns true if a statement that stands in a PL/pgSQL function names a table, column, function, type or schema that
/// does not exist. A statement that the function composes may name one after a value.
fn lacks_an_object(code: &str, context: &str) -> bool {
    let is_fixed = context.lines().next().is_some_and(|line| {
        line.starts_with("PL/pgSQL function ") && (line.ends_with(" at SQL statement") || line.ends_with(" at PERFORM"))
    });
    is_fixed && ["42P01", "42703", "42883", "42704", "3F000"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_only_if_it_cannot_quote_a_row() {
        use Origin::{Function, Policy, Raised, Rights, Statement};
        for (code, origin, with_rows, without) in [
            ("53100", Statement, true, true),
            ("57014", Statement, true, true),
            ("42501", Rights, true, true),
            ("42P01", Statement, false, true),
            ("XX000", Statement, false, true),
            ("22P02", Statement, false, false),
            ("UE001", Raised, false, false),
            ("57P03", Raised, false, false),
            ("08001", Function, false, false),
            ("42P01", Function, false, false),
            ("42501", Policy, false, false),
        ] {
            assert_eq!(quotes_no_row(code, origin, true), with_rows, "{code} at {origin:?}");
            assert_eq!(quotes_no_row(code, origin, false), without, "{code} at {origin:?}");
        }
    }

    #[test]
    fn a_raising_function_is_named_and_its_context_is_not() {
        let context = "PL/pgSQL function acme.check_deal() line 3 at RAISE\nSQL statement \"SELECT 'secret'\"";
        assert_eq!(function(context), Some("acme.check_deal"));
        assert_eq!(function("SQL function \"f\" statement 1"), Some("f"));
        assert_eq!(function("SQL statement \"SELECT 'secret'\"\nPL/pgSQL function f() line 1 at SQL statement"), None);
    }

    #[test]
    fn a_missing_object_is_named_unless_a_value_may_have_named_it() {
        let at = |place: &str| format!("PL/pgSQL function acme.note() line 1 at {place}");
        assert!(lacks_an_object("42P01", &at("SQL statement")) && lacks_an_object("42883", &at("PERFORM")));
        assert!(!lacks_an_object("42P01", &at("EXECUTE")) && !lacks_an_object("42P01", &at("assignment")));
        assert!(!lacks_an_object("22P02", &at("SQL statement")));
    }
}
