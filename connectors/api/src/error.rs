//! Errors, sorted by what to do about them.
//!
//! The environment (a broker, a database, a network that is away) is waited for and never dead-lettered. The data (one
//! record that can never be stored) is set aside and never waited for. What is neither stops the task and says why.

use std::{borrow::Cow, fmt};

/// What the worker does about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reaction {
    /// The environment is at fault: wait, then do the same again from the stored offset. Never dead-lettered.
    Retry,
    /// One record can never be stored or sent, whatever is waited for.
    ///
    /// The connector handles the record, not the worker:
    ///
    /// * A source gets it from [`publish`](crate::Publisher::publish): it answers its client with the reason, or notes
    ///   the record and goes on.
    /// * A sink writes the record with its reason where its dead letters are, in the transaction of the batch, and
    ///   counts it with [`Applied::set_aside`]. It never returns this.
    ///
    /// To the worker, `Poison` from [`run`](crate::Source::run) or [`apply`](crate::Sink::apply) is the same as
    /// [`Fatal`](Self::Fatal): the task fails.
    Poison,
    /// Somebody else owns the work now: let go of it and change nothing more.
    Fenced,
    /// Waiting does not help: stop the task and tell a person.
    Fatal,
}

/// The closed set of causes that metrics and logs count by (label `error_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words of the metric conventions; each says what it is")]
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
    /// Every type, in the order of declaration; for metrics that start at zero.
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

    /// The word used as a label, lower snake case.
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

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and what to do about it.
///
/// `Display` prints the verb phrase alone ("begin the transaction"); [`Error::chain`] prints it with every cause. Texts
/// never hold a secret or a payload: ids, counts, names and sizes suffice.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Error {
    /// What the worker does about it.
    pub reaction: Reaction,
    /// A stable code, `area.reason`, for logs, dead letters and documentation; for example `postgres.unavailable`.
    pub code: &'static str,
    /// The coarse cause that metrics count by.
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

    /// The environment is at fault; `doing` is a bare verb phrase such as `connect to Postgres at db:5432`.
    pub fn retry(code: &'static str, error_type: ErrorType, doing: impl Into<String>) -> Self {
        Self::new(Reaction::Retry, code, error_type, doing)
    }

    /// One record is at fault and will be for ever.
    pub fn poison(code: &'static str, error_type: ErrorType, doing: impl Into<String>) -> Self {
        Self::new(Reaction::Poison, code, error_type, doing)
    }

    /// Somebody else owns this work now.
    pub fn fenced(code: &'static str, doing: impl Into<String>) -> Self {
        Self::new(Reaction::Fenced, code, ErrorType::Conflict, doing)
    }

    /// A person has to act.
    pub fn fatal(code: &'static str, error_type: ErrorType, doing: impl Into<String>) -> Self {
        Self::new(Reaction::Fatal, code, error_type, doing)
    }

    /// Adds the cause, kept as a source and not formatted into the text.
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the next step for a person, such as "create the topic". It is printed apart from
    /// what went wrong, so it begins in lower case, ends without a period, and does not repeat the error.
    pub fn with_help(mut self, next_step: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(next_step.into());
        self
    }

    /// The next step for a person, where there is one.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Prints the whole chain on one line, causes after colons.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// `error: cause: cause of the cause`, leaving out a cause that its parent already ends with.
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
    fn the_next_step_is_not_part_of_what_went_wrong() {
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
