//! Reads a flat map into structs and collects all problems.

use std::collections::{HashMap, HashSet};

use super::{
    Check, ConfigValue, Entry, Flat, Given, Invalid, KeyDefinition, Keys, Named, Pairs, Problem, Problems, Scalar,
    codes,
    keys::ValueRange,
    looks_secret, nearest,
    reference::{self, Resolver},
};

/// The maximum number of keys that the help for an unknown key lists.
const MAX_LISTED: usize = 12;

/// Reads `K` from `flat`, with references to the environment of the process. Also returns warnings.
///
/// # Errors
/// All problems in the order of the file, missing keys last.
pub fn read<K: Keys>(flat: &Flat) -> Result<(K, Vec<Problem>), Vec<Problem>> {
    read_with(flat, &|name| std::env::var(name).ok())
}

/// [`read`], with `env` instead of the environment.
///
/// # Errors
/// As [`read`].
pub fn read_with<K: Keys>(
    flat: &Flat,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(K, Vec<Problem>), Vec<Problem>> {
    let mut reader = FlatReader {
        flat,
        resolver: Resolver { env, base_dir: flat.base_dir() },
        prefix: String::new(),
        taken: HashSet::new(),
        given: HashMap::new(),
        found: Vec::new(),
        warnings: Vec::new(),
    };
    let config = K::read(&mut reader);
    reader.find_repeated();
    reader.find_unknown(&K::definitions(), &K::foreign());
    let FlatReader { mut found, warnings, .. } = reader;
    found.sort_by_key(|problem| {
        let (line, column) = problem.origin.as_ref().map_or((0, 0), |origin| (origin.line, origin.column));
        (problem.code == codes::MISSING_KEY && line == 0, line, column)
    });
    match config {
        Some(config) if found.is_empty() => Ok((config, warnings)),
        _ => Err(found),
    }
}

/// A flat map that is being read. Fields take their keys; the remaining keys are unknown.
pub struct FlatReader<'a> {
    flat: &'a Flat,
    resolver: Resolver<'a>,
    /// The prefix of the current group, such as `objects.transactions.`.
    prefix: String,
    /// The keys that fields have taken.
    taken: HashSet<String>,
    /// The entry of each declared key, for later problems.
    given: HashMap<String, &'a Entry>,
    found: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> FlatReader<'a> {
    /// Runs the check across the keys of a struct. Called by the code that `config_keys!` generates.
    pub fn check(&mut self, config: &impl Check) {
        let mut problems = Problems::default();
        config.check(&mut problems);
        let Problems { found, warnings } = problems;
        let found: Vec<Problem> = found.into_iter().map(|problem| self.complete(problem)).collect();
        let warnings: Vec<Problem> = warnings.into_iter().map(|problem| self.complete(problem)).collect();
        self.found.extend(found);
        self.warnings.extend(warnings);
    }

    /// The value of a key; `Ok(None)` if it is absent, `Err` if a problem was recorded.
    pub(super) fn value<T: ConfigValue>(
        &mut self,
        key: &str,
        aliases: &[&str],
        range: Option<&ValueRange<T>>,
    ) -> Result<Option<T>, ()> {
        let Some(entry) = self.take(key, aliases) else { return Ok(None) };
        let resolved = self.resolve::<T>(entry)?;
        let shown = reference::shown(&entry.value);
        let given = Given {
            key: &entry.key,
            value: &resolved,
            literal: resolved == entry.value,
            reference: shown.as_deref(),
            base_dir: self.flat.base_dir(),
        };
        let value = T::parse(&given).and_then(|value| match range {
            Some(range) if !(range.contains)(&value) => Err(given.mismatch(&range.words)),
            _ => Ok(value),
        });
        value.map(Some).map_err(|Invalid { message, suggestion }| {
            let message = format!("`{}`: {message}", entry.key);
            self.report::<T>(entry, Problem { suggestion, ..Problem::new(codes::INVALID_VALUE, &entry.key, message) });
        })
    }

    /// Records that a required key is absent.
    pub(super) fn missing(&mut self, key: &str, documentation: &str) {
        let key = format!("{}{key}", self.prefix);
        let mut problem =
            Problem::new(codes::MISSING_KEY, &key, format!("`{key}` is missing")).at(self.flat.file_origin());
        problem.help =
            documentation.split("\n\n").next().filter(|text| !text.is_empty()).map(|text| text.replace('\n', " "));
        self.found.push(problem);
    }

    /// One struct for each name after `start`.
    pub(super) fn named<K: Keys>(&mut self, start: &str) -> Option<Named<K>> {
        let start = format!("{}{start}", self.prefix);
        let mut names: Vec<&str> = Vec::new();
        for entry in self.flat.entries() {
            let name = entry.key.strip_prefix(&start).and_then(|rest| rest.split_once('.')).map(|(name, _)| name);
            if let Some(name) = name.filter(|name| !names.contains(name)) {
                names.push(name);
            }
        }
        let groups: Vec<Option<(String, K)>> = names
            .into_iter()
            .map(|name| {
                let outer = std::mem::replace(&mut self.prefix, format!("{start}{name}."));
                let group = K::read(self);
                self.prefix = outer;
                Some((name.to_owned(), group?))
            })
            .collect();
        groups.into_iter().collect()
    }

    /// All keys with the prefix `start`, as text.
    pub(super) fn pairs(&mut self, start: &str) -> Option<Pairs> {
        let start = format!("{}{start}", self.prefix);
        let mut pairs = Some(Pairs::default());
        for entry in self.flat.entries() {
            let Some(key) = entry.key.strip_prefix(&start).filter(|key| !key.is_empty()) else { continue };
            self.taken.insert(entry.key.clone());
            match (self.resolve::<String>(entry), &mut pairs) {
                (Ok(value), Some(pairs)) => {
                    let shown = reference::shown(&entry.value);
                    pairs.push(key, value.to_string(), value == entry.value, shown.as_deref());
                }
                (Err(()), _) => pairs = None,
                (Ok(_), None) => {}
            }
        }
        pairs
    }

    /// The entry of a key, by its name or an alias.
    fn take(&mut self, key: &str, aliases: &[&str]) -> Option<&'a Entry> {
        let mut taken: Option<&'a Entry> = None;
        for name in std::iter::once(&key).chain(aliases) {
            let name = format!("{}{name}", self.prefix);
            let flat = self.flat;
            if let Some(entry) = flat.entries().iter().find(|entry| entry.key == name) {
                match taken {
                    None => taken = Some(entry),
                    Some(first) => self.found.push(
                        Problem::new(
                            codes::DUPLICATE_KEY,
                            &name,
                            format!("`{name}` is an alias of `{}`, which is given too", first.key),
                        )
                        .at(entry.origin.clone()),
                    ),
                }
            }
            self.taken.insert(name);
        }
        if let Some(entry) = taken {
            self.given.insert(format!("{}{key}", self.prefix), entry);
        }
        taken
    }

    fn resolve<T: ConfigValue>(&mut self, entry: &Entry) -> Result<Scalar, ()> {
        self.resolver.scalar(&entry.value).map_err(|message| {
            let message = format!("cannot resolve `{}`: {message}", entry.key);
            self.report::<T>(entry, Problem::new(codes::UNRESOLVED_REFERENCE, &entry.key, message));
        })
    }

    fn report<T: ConfigValue>(&mut self, entry: &Entry, problem: Problem) {
        let value_shown = !T::SECRET && !looks_secret(&entry.key);
        self.found.push(Problem { value_shown, ..problem.at(entry.origin.clone()) });
    }

    /// Adds the prefix and the place to a check's problem.
    fn complete(&self, problem: Problem) -> Problem {
        let key = format!("{}{}", self.prefix, problem.key);
        let entry = self.given.get(&key);
        let key = entry.map_or(key, |entry| entry.key.clone());
        let origin = entry.and_then(|entry| entry.origin.clone()).or_else(|| self.flat.file_origin());
        Problem { message: format!("`{key}`: {}", problem.message), key, origin, ..problem }
    }

    fn find_repeated(&mut self) {
        let mut first: HashMap<&str, &Entry> = HashMap::new();
        for entry in self.flat.entries() {
            let Some(earlier) = first.get(entry.key.as_str()) else {
                first.insert(&entry.key, entry);
                continue;
            };
            let place = earlier.origin.as_ref().map(|origin| format!(", first in line {}", origin.line));
            let message = format!("`{}` is given twice{}", entry.key, place.unwrap_or_default());
            let problem = Problem::new(codes::DUPLICATE_KEY, &entry.key, message).at(entry.origin.clone());
            self.found.push(problem.help("remove one of the two"));
        }
    }

    fn find_unknown(&mut self, definitions: &[KeyDefinition], foreign: &[(&str, &str)]) {
        let mut named = HashSet::new();
        for entry in self.flat.entries() {
            if self.taken.contains(&entry.key) || !named.insert(&entry.key) {
                continue;
            }
            let problem = Problem::new(codes::UNKNOWN_KEY, &entry.key, format!("unknown key `{}`", entry.key))
                .at(entry.origin.clone());
            if let Some((_, help)) = foreign.iter().find(|(key, _)| matches(key, &entry.key)) {
                self.found.push(problem.help(*help));
                continue;
            }
            let candidates: Vec<String> = definitions
                .iter()
                .flat_map(|definition| std::iter::once(&definition.key).chain(&definition.aliases))
                .filter_map(|pattern| fill(pattern, &entry.key))
                .collect();
            let suggestion = nearest(&entry.key, candidates.iter().map(String::as_str)).map(ToOwned::to_owned);
            let help = suggestion.is_none().then(|| known_keys(definitions));
            self.found.push(Problem { suggestion, help, ..problem });
        }
    }
}

/// Returns true if `key` is `pattern`, or begins as it does before its `*`.
fn matches(pattern: &str, key: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == key, |beginning| key.starts_with(beginning))
}

/// The help for an unknown key that resembles no known key.
fn known_keys(definitions: &[KeyDefinition]) -> String {
    if definitions.len() > MAX_LISTED {
        return "docs/configuration.md lists all keys".to_owned();
    }
    let keys: Vec<String> =
        definitions.iter().map(|definition| format!("`{}`", definition.key.replace("{}", "<name>"))).collect();
    format!("the keys are {}", keys.join(", "))
}

/// The key that `pattern` gives if each `{}` is the word of `typed` in its place; `None` if `typed` is shorter.
fn fill(pattern: &str, typed: &str) -> Option<String> {
    let mut words = typed.split('.');
    let mut filled: Vec<&str> = Vec::new();
    let mut parts = pattern.split('.').peekable();
    while let Some(part) = parts.next() {
        let word = words.next();
        match part {
            "{}" if parts.peek().is_none() => {
                filled.push(word?);
                filled.extend(words.by_ref());
            }
            "{}" => filled.push(word?),
            part => filled.push(part),
        }
    }
    Some(filled.join("."))
}
