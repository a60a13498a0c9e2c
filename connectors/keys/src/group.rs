//! Keys with free parts: `objects.<name>.schema`, `kafka.<anything>`.

use std::fmt;

use super::looks_secret;

/// Named groups of keys, in the order in which their names first appear.
#[derive(Debug, Clone)]
pub struct Named<T>(Vec<(String, T)>);

impl<T> Named<T> {
    /// The group called `name`.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, group)| group)
    }

    /// Names and groups.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, group)| (name.as_str(), group))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no group.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(String, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(groups: I) -> Self {
        Self(groups.into_iter().collect())
    }
}

/// Keys that are passed on unchanged, such as librdkafka's, in the order of the file.
///
/// `Debug` shows values as written, except for keys whose name suggests a secret.
#[derive(Clone, Default)]
pub struct Pairs(Vec<Pair>);

#[derive(Clone)]
struct Pair {
    key: String,
    value: String,
    shown: Option<String>,
}

impl Pairs {
    /// The value of `key`, with references resolved.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
    }

    /// Keys and values, with references resolved. A value may be a secret.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|pair| (pair.key.as_str(), pair.value.as_str()))
    }

    /// Returns true if there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a key. `reference` is shown instead of a value that came from it.
    pub(super) fn push(&mut self, key: &str, value: String, literal: bool, reference: Option<&str>) {
        let shown = match reference {
            Some(reference) => Some(reference.to_owned()),
            None => (literal && !looks_secret(key)).then(|| value.clone()),
        };
        self.0.push(Pair { key: key.to_owned(), value, shown });
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut out = Self::default();
        for (key, value) in pairs {
            out.push(&key.into(), value.into(), true, None);
        }
        out
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |pair: &Pair| pair.shown.clone().unwrap_or_else(|| "[redacted]".to_owned());
        f.debug_map().entries(self.0.iter().map(|pair| (pair.key.clone(), shown(pair)))).finish()
    }
}
