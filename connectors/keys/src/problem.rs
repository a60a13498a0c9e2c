//! Problems of a config, in words for its author.

use std::fmt;

use super::{Origin, codes};

/// A problem of a config. Its texts contain no secret and no value of a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// One of [`codes`].
    pub code: &'static str,
    /// The whole key; empty for a problem of the file.
    pub key: String,
    /// The problem in words, with the key.
    pub message: String,
    /// The place in the file; `None` without a file.
    pub origin: Option<Origin>,
    /// The known key or value that was probably meant.
    pub suggestion: Option<String>,
    /// The next step, if it is known.
    pub help: Option<String>,
    /// True if the value may be shown: not for secrets and unknown keys.
    pub value_shown: bool,
}

impl Problem {
    /// A problem of `key`, whose value is not shown.
    pub fn new(code: &'static str, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            key: key.into(),
            message: message.into(),
            origin: None,
            suggestion: None,
            help: None,
            value_shown: false,
        }
    }

    /// Adds the place.
    pub fn at(mut self, origin: Option<Origin>) -> Self {
        self.origin = origin;
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    /// One line: `postgres.toml:4:1: unknown key `conection.url`, did you mean `connection.url`?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, ", did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// Collects the problems that a [`Check`](super::Check) finds. Keys are as in the struct's declaration; the reader adds
/// the prefix of a group and the place in the file.
#[derive(Debug, Default)]
pub struct Problems {
    pub(super) found: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Problems {
    /// The value of `key` is invalid. `message` is the reason without the key: "must name an object".
    pub fn invalid(&mut self, key: &str, message: impl fmt::Display) {
        self.found.push(Problem::new(codes::INVALID_VALUE, key, message.to_string()));
    }

    /// The value of `key` names something that does not exist. `message` is the reason without the key, and
    /// `suggestion` the name that was probably meant; see [`nearest`](crate::nearest).
    pub fn unknown_name(&mut self, key: &str, message: impl fmt::Display, suggestion: Option<&str>) {
        let problem = Problem::new(codes::INVALID_VALUE, key, message.to_string());
        self.found.push(Problem { suggestion: suggestion.map(str::to_owned), ..problem });
    }

    /// Other keys require `key`. `message` is the reason without the key.
    pub fn missing(&mut self, key: &str, message: impl fmt::Display) {
        self.found.push(Problem::new(codes::MISSING_KEY, key, message.to_string()));
    }

    /// A setting works but is probably a mistake. `message` is the reason without the key.
    pub fn warn(&mut self, key: &str, message: impl fmt::Display) {
        self.warnings.push(Problem::new(codes::WARNING, key, message.to_string()));
    }

    /// The problems found so far, without warnings.
    pub fn found(&self) -> &[Problem] {
        &self.found
    }
}

/// Returns true if the name of a key suggests that its value is a secret.
pub fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["secret", "password", "passwd", "token", "key", "credential"].iter().any(|word| key.contains(word))
}

/// Returns true if a text may contain credentials such as `://user:password@host`. May return true for other texts.
pub fn holds_credentials(text: &str) -> bool {
    let in_url = |rest: &str| rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    text.split("://").skip(1).any(in_url) || text.to_ascii_lowercase().contains("password=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_a_password_holds_credentials() {
        assert!(holds_credentials("postgres://towpath:hunter2@db/towpath"));
        assert!(holds_credentials("host=db password=hunter2"));
        assert!(holds_credentials("postgres://towpath:pass/word@db"));
        assert!(!holds_credentials("postgres://towpath@db:5432/towpath"));
        assert!(!holds_credentials("http://127.0.0.1:8083"));
    }

    #[test]
    fn a_key_that_names_a_secret_looks_secret() {
        assert!(looks_secret("clients.acme.Secret") && looks_secret("close.api.key"));
        assert!(!looks_secret("connection.url"));
    }
}
