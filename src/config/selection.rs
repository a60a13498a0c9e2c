//! Selects topics by name or by pattern.

/// The topics that a sink reads.
#[derive(Debug, Clone)]
pub enum Selection {
    /// Topics with these names.
    Names(Vec<String>),
    /// Topics whose whole name matches, including topics that are created later. See [`Selection::pattern`].
    Pattern(regex::Regex),
}

impl Selection {
    /// Selects topics whose whole name matches `expression`.
    ///
    /// # Errors
    /// The text is not a regular expression.
    pub fn pattern(expression: &str) -> Result<Self, regex::Error> {
        regex::Regex::new(&format!("^(?:{expression})$")).map(Self::Pattern)
    }

    /// The names; empty for a pattern.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Names(names) => names,
            Self::Pattern(_) => &[],
        }
    }

    /// Returns true if the topic is read.
    pub fn includes(&self, topic: &str) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| name == topic),
            Self::Pattern(pattern) => pattern.is_match(topic),
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
}
