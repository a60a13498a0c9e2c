//! Errors, classified by the reaction to them.
//!
//! If the environment is at fault (a broker, a database or a network is unavailable), the task retries, and no record
//! is dead-lettered. If the data is at fault (one record can never be stored), the record is dead-lettered without a
//! retry. Any other error needs a person, and stops only the work that it concerns.

use std::{borrow::Cow, fmt};

/// The worker's reaction to an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reaction {
    /// The environment is at fault: wait, then retry from the stored offset. No record is dead-lettered.
    Retry,
    /// One record can never be stored or sent; waiting does not help.
    ///
    /// The connector handles the record, not the worker:
    ///
    /// * A source gets this error from [`publish`](crate::Publisher::publish). It answers its client with the reason,
    ///   or logs the record and continues.
    /// * A sink stores the record and the reason with its dead letters, in the transaction of the batch, and counts the
    ///   record with [`Applied::add_dead_letter`](crate::Applied::add_dead_letter). A sink never returns this error.
    ///
    /// To the worker, `Poison` from [`run`](crate::Source::run) or [`apply`](crate::Sink::apply) is the same as
    /// [`Fatal`](Self::Fatal).
    Poison,
    /// Another instance owns the work now: let go of the work and change nothing more. A [`Journal`](crate::Journal)
    /// may report this without another instance, after the process was frozen.
    Fenced,
    /// Waiting alone does not help: report the error to a person. A partition of a sink waits and is retried at least
    /// once a minute, while the other partitions of its task continue. The task of a source stops.
    Fatal,
}

/// The closed set of causes that metrics and logs count by (label `error_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of the metric conventions, which explain themselves")]
pub enum ErrorType {
    Auth,
    RateLimited,
    Timeout,
    Unavailable,
    BadRequest,
    NotFound,
    Decode,
    Schema,
    Mapping,
    Constraint,
    Serialization,
    TooLarge,
    Conflict,
    Config,
    Internal,
}

impl ErrorType {
    /// All types, in the order of declaration; for metrics that start at zero.
    pub const ALL: [Self; 15] = [
        Self::Auth,
        Self::RateLimited,
        Self::Timeout,
        Self::Unavailable,
        Self::BadRequest,
        Self::NotFound,
        Self::Decode,
        Self::Schema,
        Self::Mapping,
        Self::Constraint,
        Self::Serialization,
        Self::TooLarge,
        Self::Conflict,
        Self::Config,
        Self::Internal,
    ];

    /// The name used as a label, in lower snake case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::Decode => "decode",
            Self::Schema => "schema",
            Self::Mapping => "mapping",
            Self::Constraint => "constraint",
            Self::Serialization => "serialization",
            Self::TooLarge => "too_large",
            Self::Conflict => "conflict",
            Self::Config => "config",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The result of the fallible operations of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, and the reaction to it.
///
/// `Display` prints only the verb phrase ("begin the transaction"); [`Error::chain`] prints it with all causes. Texts
/// never contain a secret or a payload: ids, counts, names and sizes suffice.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Error {
    /// The worker's reaction.
    pub reaction: Reaction,
    /// A stable code, `area.reason`, for logs, dead letters and documentation; for example `postgres.unavailable`.
    pub code: &'static str,
    /// The coarse cause, by which metrics count errors.
    pub error_type: ErrorType,
    doing: String,
    help: Option<Cow<'static, str>>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn new(reaction: Reaction, code: &'static str, error_type: ErrorType, doing: impl Into<String>) -> Self {
        Self { reaction, code, error_type, doing: doing.into(), help: None, source: None }
    }

    /// Creates an error of the environment. `doing` is a bare verb phrase such as `connect to Postgres at db:5432`.
    pub fn retry(code: &'static str, error_type: ErrorType, doing: impl Into<String>) -> Self {
        Self::new(Reaction::Retry, code, error_type, doing)
    }

    /// Creates an error of one record, which can never be stored or sent.
    pub fn poison(code: &'static str, error_type: ErrorType, doing: impl Into<String>) -> Self {
        Self::new(Reaction::Poison, code, error_type, doing)
    }

    /// Creates the error of a task that does not own its work any more.
    pub fn fenced(code: &'static str, doing: impl Into<String>) -> Self {
        Self::new(Reaction::Fenced, code, ErrorType::Conflict, doing)
    }

    /// Creates an error that a person has to fix.
    pub fn fatal(code: &'static str, error_type: ErrorType, doing: impl Into<String>) -> Self {
        Self::new(Reaction::Fatal, code, error_type, doing)
    }

    /// Adds the cause as the source of the error; the text stays as it is.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the next step for a person, such as "create the topic". The help is printed separately from the error, so
    /// it begins in lower case, ends without a period, and does not repeat the error.
    pub fn with_help(mut self, next_step: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(next_step.into());
        self
    }

    /// The next step for a person, if there is one.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Returns true if waiting alone does not help, so that a person has to act.
    pub fn needs_action(&self) -> bool {
        matches!(self.reaction, Reaction::Fatal | Reaction::Poison)
    }

    /// The error and all its causes on one line, separated by colons.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// `error: cause: cause of the cause`, without a cause that the text already ends with.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_not_part_of_the_chain() {
        let error =
            Error::fatal("kafka.config", ErrorType::Config, "create a Kafka client").with_help("check `kafka.*`");
        assert_eq!((error.chain().as_str(), error.help()), ("create a Kafka client", Some("check `kafka.*`")));
    }

    #[test]
    fn a_chain_reads_as_one_sentence() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error =
            Error::retry("postgres.unavailable", ErrorType::Unavailable, "connect to Postgres").because(refused);
        assert_eq!(error.chain(), "connect to Postgres: connection refused");
        assert_eq!(error.to_string(), "connect to Postgres");
    }
}
