//! Routes a path to a collection or endpoints.

use std::{collections::HashMap, sync::LazyLock};

use super::collection::{Collection, Endpoint};
use crate::resources;

/// The target of a path.
pub enum Route {
    /// A whole collection.
    List(&'static Collection),
    /// One object, by the text of its id.
    Object(&'static Collection, String),
    /// Endpoints at one path, one per method, with the segments matched by the placeholders.
    Endpoints(Vec<&'static Endpoint>, Vec<String>),
}

struct Table {
    collections: HashMap<&'static str, &'static Collection>,
    /// By number of segments.
    endpoints: HashMap<usize, Vec<&'static Endpoint>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { collections: HashMap::new(), endpoints: HashMap::new() };
    for source in resources::SOURCES {
        for collection in source.collections {
            assert!(
                table.collections.insert(collection.path, collection).is_none(),
                "two collections at {}",
                collection.path
            );
        }
        for endpoint in source.endpoints {
            table.endpoints.entry(endpoint.path.split('/').count()).or_default().push(endpoint);
        }
    }
    table
});

/// The target of a path without `/api/v1/` and without slashes at the ends; `None` for unknown paths.
pub fn route(path: &str) -> Option<Route> {
    // The older spelling is still served (reference, section 5.3).
    let renamed;
    let path = match path.strip_prefix("custom_fields/") {
        Some(rest) => {
            renamed = format!("custom_field/{rest}");
            &renamed
        }
        None => path,
    };
    let segments: Vec<&str> = path.split('/').collect();
    let mut endpoints = Vec::new();
    let mut taken = Vec::new();
    for endpoint in TABLE.endpoints.get(&segments.len()).into_iter().flatten() {
        if let Some(segments) = matches(endpoint.path, &segments) {
            if endpoints.is_empty() {
                taken = segments;
            }
            endpoints.push(*endpoint);
        }
    }
    if !endpoints.is_empty() {
        return Some(Route::Endpoints(endpoints, taken));
    }
    if let Some(collection) = TABLE.collections.get(path) {
        return Some(Route::List(collection));
    }
    let (path, id) = path.rsplit_once('/')?;
    TABLE.collections.get(path).map(|collection| Route::Object(collection, decoded(id)))
}

/// Percent-decodes a path segment; a plus stays a plus.
fn decoded(segment: &str) -> String {
    if !segment.contains('%') {
        return segment.to_owned();
    }
    let escaped = format!("={}", segment.replace('+', "%2B"));
    form_urlencoded::parse(escaped.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The collection at a path, even if an endpoint shares the path.
pub fn collection(path: &str) -> Option<&'static Collection> {
    TABLE.collections.get(path).copied()
}

fn matches(pattern: &str, segments: &[&str]) -> Option<Vec<String>> {
    let mut taken = Vec::new();
    for (part, segment) in pattern.split('/').zip(segments) {
        if part == "{}" {
            taken.push(decoded(segment));
        } else if part != *segment {
            return None;
        }
    }
    Some(taken)
}
