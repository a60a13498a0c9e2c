//! Selects topics by name or by pattern.

use std::{collections::BTreeSet, sync::Arc};

/// The topics that a sink reads.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Topics with these names.
    Names(Vec<String>),
    /// Topics whose whole name matches, including topics that are created later. See [`Selection::pattern`].
    Pattern {
        pattern: regex::Regex,
        /// Topics whose whole name matches this are not selected.
        without: Option<regex::Regex>,
        /// Topics that the pattern does not select, besides internal ones.
        except: Arc<BTreeSet<String>>,
    },
}

/// Beginnings of names that brokers, registries and their tools use for topics of their own.
const INTERNAL: [&str; 4] = ["__", "_schemas", "_confluent", "_redpanda"];

/// Returns true if the topic belongs to the brokers, to a registry or to their tools: `__consumer_offsets`,
/// `__transaction_state`, `_schemas` and others.
fn is_internal(topic: &str) -> bool {
    INTERNAL.iter().any(|beginning| topic.starts_with(beginning))
}

impl Selection {
    /// Selects topics whose whole name matches `expression`, except internal topics.
    ///
    /// # Errors
    /// The text is not a regular expression.
    pub fn pattern(expression: &str) -> Result<Self, regex::Error> {
        Self::pattern_without(expression, None)
    }

    /// As [`Selection::pattern`], except topics whose whole name matches `without`.
    ///
    /// # Errors
    /// One of the texts is not a regular expression.
    pub fn pattern_without(expression: &str, without: Option<&str>) -> Result<Self, regex::Error> {
        let whole = |expression: &str| regex::Regex::new(&format!("^(?:{expression})$"));
        let (pattern, without) = (whole(expression)?, without.map(whole).transpose()?);
        Ok(Self::Pattern { pattern, without, except: Arc::default() })
    }

    /// Leaves these topics out of a pattern. Names that were given one by one stay.
    #[must_use]
    pub fn except(self, topics: impl IntoIterator<Item = String>) -> Self {
        match self {
            Self::Pattern { pattern, without, except } => {
                let except = except.iter().cloned().chain(topics).collect();
                Self::Pattern { pattern, without, except: Arc::new(except) }
            }
            names @ Self::Names(_) => names,
        }
    }

    /// The names; empty for a pattern.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Names(names) => names,
            Self::Pattern { .. } => &[],
        }
    }

    /// Returns true if the topic is read.
    pub fn includes(&self, topic: &str) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| name == topic),
            Self::Pattern { pattern, without, except } => {
                let is_left_out = without.as_ref().is_some_and(|without| without.is_match(topic));
                pattern.is_match(topic) && !is_left_out && !is_internal(topic) && !except.contains(topic)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_name() {
        let selection = Selection::pattern(r"acme\.deals|acme\.deals2").unwrap();
        assert!(selection.includes("acme.deals") && selection.includes("acme.deals2"));
        assert!(!selection.includes("old.acme.deals"));
        assert!(!Selection::Names(vec!["a".into()]).includes("ab"));
    }

    #[test]
    fn internal_topics_are_read_by_name_only() {
        let all = Selection::pattern(".*").unwrap().except(["towpath-offsets".to_owned()]);
        for internal in
            ["__consumer_offsets", "__transaction_state", "_schemas", "_confluent-metrics", "towpath-offsets"]
        {
            assert!(!all.includes(internal), "{internal}");
            let named = Selection::Names(vec![internal.to_owned()]).except([internal.to_owned()]);
            assert!(named.includes(internal), "{internal}");
        }
        for topic in ["acme.deals", "_acme.deals", "acme.__x", "towpath-offsets2"] {
            assert!(all.includes(topic), "{topic}");
        }
    }
}
