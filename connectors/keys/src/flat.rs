//! The flat map of dotted keys, before the keys are interpreted.

use std::{fmt, path::PathBuf, sync::Arc};

use super::{BaseDir, ConfigFile, Origin};

/// A value as written, with unresolved references such as `${env:NAME}`.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A text. Kafka Connect's clients also send numbers, booleans and lists as text.
    String(String),
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    List(Vec<Scalar>),
}

impl Scalar {
    /// The type, in words for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "a list",
        }
    }
}

impl fmt::Display for Scalar {
    /// The text that Kafka Connect would send.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Bool(truth) => truth.fmt(f),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                f.write_str(&items.join(","))
            }
        }
    }
}

/// A key with its value. `Debug` omits the value, which may be a secret.
#[derive(Clone)]
pub struct Entry {
    /// The whole dotted key.
    pub key: String,
    /// The value as written.
    pub value: Scalar,
    /// The place in the file; `None` without a file.
    pub origin: Option<Origin>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.value.kind())
    }
}

/// Dotted keys with their values, in the order of the file.
///
/// Repeated keys are kept, and reported on reading.
#[derive(Debug, Clone, Default)]
pub struct Flat {
    entries: Vec<Entry>,
    file: Option<Arc<ConfigFile>>,
    base_dir: BaseDir,
}

impl Flat {
    /// An empty map for the entries of `file`. Relative paths start at the file's folder.
    pub fn of_file(file: Arc<ConfigFile>) -> Self {
        let base_dir = BaseDir::new(file.path().parent().map(PathBuf::from));
        Self { entries: Vec::new(), file: Some(file), base_dir }
    }

    /// Keys with text values, as Kafka Connect's clients send them.
    pub fn from_strings<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut flat = Self::default();
        for (key, value) in pairs {
            flat.push(key, Scalar::String(value.into()), None);
        }
        flat
    }

    /// The same map with another folder for relative paths.
    pub fn with_base_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base_dir = BaseDir::new(Some(folder.into()));
        self
    }

    /// Adds a key at the end.
    pub fn push(&mut self, key: impl Into<String>, value: Scalar, origin: Option<Origin>) {
        self.entries.push(Entry { key: key.into(), value, origin });
    }

    /// All keys, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The value of `key` as written; the first if the key is repeated.
    pub fn get(&self, key: &str) -> Option<&Scalar> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Keys and values as Kafka Connect would send them, with references such as `${env:NAME}` as they were given.
    pub fn strings(&self) -> impl Iterator<Item = (&str, String)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), entry.value.to_string()))
    }

    /// The folder at which relative paths start.
    pub fn base_dir(&self) -> &BaseDir {
        &self.base_dir
    }

    /// The file as a whole; `None` without a file.
    pub fn file_origin(&self) -> Option<Origin> {
        self.file.clone().map(Origin::file)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_flat_map_of_strings_round_trips(pairs in prop::collection::vec(("[a-z.]{1,12}", ".{0,12}"), 0..8)) {
            let flat = Flat::from_strings(pairs.clone());
            let back: Vec<(String, String)> =
                flat.entries().iter().map(|entry| (entry.key.clone(), entry.value.to_string())).collect();
            prop_assert_eq!(back, pairs);
        }
    }

    #[test]
    fn strings_are_as_given_after_references_were_resolved() {
        crate::config_keys! {
            struct SecretConfig {
                /// A password.
                #[key("password")]
                password: crate::Secret,
                /// Names.
                #[key("names")]
                names: Vec<String> = vec![],
            }
        }
        impl crate::Check for SecretConfig {}
        let mut flat = Flat::from_strings([("password", "${env:PASSWORD}")]);
        flat.push("names", Scalar::List(vec![Scalar::String("a".to_owned()), Scalar::String("b".to_owned())]), None);
        let env = |_: &str| Some("canary".to_owned());
        let (config, _) = crate::read_with::<SecretConfig>(&flat, &env).unwrap();
        assert_eq!((config.password.reveal(), config.names.len()), ("canary", 2));
        let given: Vec<(&str, String)> = flat.strings().collect();
        assert_eq!(given, [("password", "${env:PASSWORD}".to_owned()), ("names", "a,b".to_owned())]);
    }

    #[test]
    fn debug_output_shows_no_value() {
        let flat = Flat::from_strings([("connection.password", "canary")]);
        assert!(!format!("{flat:?}").contains("canary"));
    }
}
