//! The fields that become columns: `fields.include` and `fields.exclude`, for all topics or for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// A field that a list names: `field`, or `topic:field` for one topic. Topics have no colon, so a field whose own name
/// has one is named with its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named<'c> {
    pub(crate) topic: Option<&'c str>,
    pub(crate) field: &'c str,
}

impl<'c> Named<'c> {
    pub(crate) fn of(text: &'c str) -> Self {
        match text.split_once(':') {
            Some((topic, field)) => Self { topic: Some(topic), field },
            None => Self { topic: None, field: text },
        }
    }

    fn concerns(self, topic: &str) -> bool {
        self.topic.is_none_or(|own| own == topic)
    }
}

/// Returns true if a list names a field of a topic.
pub(crate) fn names(list: &[String], topic: &str, field: &str) -> bool {
    list.iter().map(|text| Named::of(text)).any(|named| named.field == field && named.concerns(topic))
}

/// The entries of the two lists that have matched nothing so far, each logged once.
#[derive(Debug, Default)]
pub(crate) struct Unmatched {
    entries: Mutex<BTreeMap<String, Matched>>,
    /// Topics of which `fields.include` names nothing, as far as logged.
    bare: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matched {
    Yes,
    /// It was logged that the entry matches nothing.
    Said,
}

impl Unmatched {
    /// Compares the lists with the fields of a topic's records. A filter that matches nothing is probably misspelled,
    /// and a field that was meant to be left out is stored.
    pub(crate) fn report(&self, key: &'static str, list: &[String], topic: &str, fields: &Fields<'_>) {
        for text in list {
            let named = Named::of(text);
            if !named.concerns(topic) {
                continue;
            }
            let why = match fields {
                _ if fields.columns.contains(named.field) => None,
                _ if fields.keys.contains(named.field) => Some("it is part of the key, which always becomes columns"),
                _ => Some("the records have no such field"),
            };
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(why) = why else {
                entries.insert(format!("{key}:{text}"), Matched::Yes);
                continue;
            };
            if entries.contains_key(&format!("{key}:{text}")) {
                continue;
            }
            entries.insert(format!("{key}:{text}"), Matched::Said);
            tracing::warn!(
                key, entry = %text, topic,
                "`{key}` has no effect on topic {topic} for `{text}`: {why}; the fields are {}", fields.listed()
            );
        }
    }

    /// Notes that `fields.include` names no field of a topic.
    pub(crate) fn report_bare(&self, topic: &str, fields: &Fields<'_>) {
        if self.bare.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned()) {
            tracing::warn!(
                topic,
                "`fields.include` names no field of topic {topic}, so its rows have only their key; the fields are {}",
                fields.listed()
            );
        }
    }
}

/// The fields of a topic's records.
#[derive(Debug, Default)]
pub(crate) struct Fields<'s> {
    /// Fields that become columns unless a filter leaves them out.
    pub(crate) columns: BTreeSet<&'s str>,
    /// Fields of the key.
    pub(crate) keys: BTreeSet<&'s str>,
}

impl Fields<'_> {
    /// The first names, for a message.
    fn listed(&self) -> String {
        const MOST: usize = 20;
        let mut listed: Vec<_> = self.columns.iter().take(MOST).map(|field| format!("`{field}`")).collect();
        listed.extend((self.columns.len() > MOST).then(|| "…".to_owned()));
        listed.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_for_all_topics_or_for_one() {
        let list = ["name", "acme.deals:note", "acme.deals:a:b", ":c"].map(str::to_owned);
        for (topic, field, named) in [
            ("acme.deals", "name", true),
            ("acme.leads", "name", true),
            ("acme.deals", "note", true),
            ("acme.leads", "note", false),
            ("acme.deals", "a:b", true),
            ("acme.deals", "acme.deals:note", false),
            ("acme.deals", "c", false),
        ] {
            assert_eq!(names(&list, topic, field), named, "{topic} {field}");
        }
    }
}
