//! Sets of Avro schemas, compared by pointer: records written with one schema share its `Arc`.

use std::sync::Arc;

use apache_avro::schema::Schema;
use towpath_api::{Body, Record};

use crate::key::Keys;

/// The schemas of all changes and of all keys among `records`, in topic order. Changes that will be folded into later
/// ones are included, because their fields may end up in the rows.
pub(crate) fn schemas_of(records: &[Record], keys: Keys<'_>) -> (Vec<Arc<Schema>>, Vec<Arc<Schema>>) {
    let (mut schemas, mut key_schemas) = (Vec::new(), Vec::new());
    for record in records {
        if let Body::Change(change) = &record.body {
            insert_new(&mut schemas, &change.schema);
        }
        if let Some(schema) = keys.schema_of(&record.body) {
            insert_new(&mut key_schemas, schema);
        }
    }
    (schemas, key_schemas)
}

/// The schemas of all changes, each with the time of its first record in milliseconds since the epoch.
pub(crate) fn seen<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<(Arc<Schema>, i64)> {
    let mut seen: Vec<(Arc<Schema>, i64)> = Vec::new();
    for record in records {
        if let Body::Change(change) = &record.body
            && !seen.iter().any(|(known, _)| Arc::ptr_eq(known, &change.schema))
        {
            seen.push((Arc::clone(&change.schema), record.timestamp_ms));
        }
    }
    seen
}

/// Appends `schema` unless the set has it.
pub(crate) fn insert_new(schemas: &mut Vec<Arc<Schema>>, schema: &Arc<Schema>) {
    if !schemas.iter().any(|known| Arc::ptr_eq(known, schema)) {
        schemas.push(Arc::clone(schema));
    }
}

/// All of `first`, then those of `others` that it lacks.
pub(crate) fn union(first: &[Arc<Schema>], others: &[Arc<Schema>]) -> Vec<Arc<Schema>> {
    let mut all = first.to_vec();
    others.iter().for_each(|schema| insert_new(&mut all, schema));
    all
}
