//! The desired table, from schemas and configuration.

use std::{collections::HashMap, sync::Arc};

use apache_avro::schema::{RecordField, Schema};
use towpath_api::{Error, ErrorType, Result};

use super::{
    catalog::CurrentTable,
    metadata::{MetadataColumn, Purpose},
    mismatch::{Mismatch, mismatch_error},
};
use crate::{
    codes,
    column::{ColumnType, common_type, fields_of},
    config::{MetadataColumns, PostgresSinkConfig, PrimaryKeyMode},
    filter::Fields,
    key::{KeyColumn, KeyField, Keys},
    name::TableName,
};

/// The key columns of the JDBC sinks.
pub(crate) const KAFKA_COLUMNS: [&str; 3] = ["__connect_topic", "__connect_partition", "__connect_offset"];

/// The table that a batch needs.
#[derive(Debug)]
pub(crate) struct DesiredTable<'a> {
    pub(crate) name: &'a TableName,
    /// The topic that fills the table.
    pub(crate) topic: &'a str,
    pub(crate) purpose: Purpose,
    pub(crate) config: &'a PostgresSinkConfig,
    /// The primary key; empty if the table has none.
    pub(crate) keys: Vec<KeyColumn>,
    /// Fields of records that the key holds, so they need no other column.
    pub(crate) key_fields: Vec<KeyField>,
    /// The record schemas whose fields become columns.
    pub(crate) schemas: Vec<Arc<Schema>>,
    pub(crate) key_schemas: Vec<Arc<Schema>>,
    /// Schemas of the batch, each with the time of its first record in milliseconds since the epoch: the newest labels
    /// a column.
    pub(crate) seen: Vec<(Arc<Schema>, i64)>,
}

impl<'a> DesiredTable<'a> {
    /// A table of the present state.
    ///
    /// # Errors
    /// Poison `postgres.mixed_shapes` if the keys have different shapes.
    pub(crate) fn of_state(
        (name, topic): (&'a TableName, &'a str),
        config: &'a PostgresSinkConfig,
        keys: Keys<'_>,
        schemas: Vec<Arc<Schema>>,
        key_schemas: Vec<Arc<Schema>>,
    ) -> Result<Self> {
        let (keys, key_fields) = keys.columns(&key_schemas).map_err(|why| {
            let doing = format!("write to table {name} at once: {why}, and a primary key never changes");
            Error::poison(codes::MIXED_SHAPES, ErrorType::Mapping, doing)
        })?;
        Ok(Self { name, topic, purpose: Purpose::State, config, keys, key_fields, schemas, key_schemas, seen: vec![] })
    }

    /// A table of changes. The fields of the records' keys are ordinary columns.
    pub(crate) fn of_log(
        (name, topic): (&'a TableName, &'a str),
        config: &'a PostgresSinkConfig,
        pk: PrimaryKeyMode,
        schemas: Vec<Arc<Schema>>,
    ) -> Self {
        let renamed = pk == config.primary_key() && !config.pk_fields.is_empty();
        let column = |at: usize, usual: &str, ty| {
            KeyColumn::new(if renamed { config.pk_fields[at].clone() } else { usual.to_owned() }, ty)
        };
        let keys = match pk {
            PrimaryKeyMode::None => vec![],
            PrimaryKeyMode::EventId => vec![column(0, "event_id", ColumnType::Text)],
            PrimaryKeyMode::Kafka | PrimaryKeyMode::RecordKey | PrimaryKeyMode::RecordValue => {
                let types = [ColumnType::Text, ColumnType::Integer, ColumnType::Bigint];
                types.into_iter().enumerate().map(|(at, ty)| column(at, KAFKA_COLUMNS[at], ty)).collect()
            }
        };
        Self {
            name,
            topic,
            purpose: Purpose::Log,
            config,
            keys,
            key_fields: vec![],
            schemas,
            key_schemas: vec![],
            seen: vec![],
        }
    }

    /// Takes a column of the key that the table has under the exact name of its field, unless the table's key is under
    /// the other names.
    pub(super) fn adopt_exact_key(&mut self, current: &CurrentTable) {
        let exact: Vec<String> = self
            .keys
            .iter()
            .map(|key| key.exact.clone().filter(|exact| current.columns.contains_key(exact)))
            .zip(&self.keys)
            .map(|(exact, key)| exact.unwrap_or_else(|| key.name.clone()))
            .collect();
        let is_key = current.is_key(exact.iter().map(String::as_str));
        if is_key || !current.is_key(self.keys.iter().map(|key| key.name.as_str())) {
            for (key, exact) in self.keys.iter_mut().zip(exact) {
                key.name = exact;
            }
        }
    }

    /// The fields of the records, as far as filters concern them.
    pub(crate) fn filterable(&self) -> Fields<'_> {
        let fields = self.schemas.iter().flat_map(|schema| fields_of(schema));
        let (keys, columns) = fields.map(|field| field.name.as_str()).partition(|name| self.key_holds(name));
        Fields { columns, keys }
    }

    fn key_holds(&self, name: &str) -> bool {
        let of_key = |schema: &Arc<Schema>| fields_of(schema).iter().any(|field| field.name == name);
        self.keys.iter().any(|key| key.exact.as_deref().unwrap_or(&key.name) == name)
            && self.key_schemas.iter().any(of_key)
    }

    /// Adds the times of the batch's schemas.
    pub(crate) fn seen(self, seen: Vec<(Arc<Schema>, i64)>) -> Self {
        Self { seen, ..self }
    }

    /// The documentation of each field in the newest schema of the batch that has the field, with the time of that
    /// schema.
    pub(super) fn labels(&self) -> HashMap<&str, (Option<&str>, i64)> {
        let mut seen: Vec<_> = self.seen.iter().collect();
        seen.sort_by_key(|(_, time)| *time);
        seen.into_iter()
            .flat_map(|(schema, time)| fields_of(schema).iter().map(move |field| (field, *time)))
            .map(|(field, time)| (field.name.as_str(), (field.doc.as_deref(), time)))
            .collect()
    }

    /// Returns true if a view shows the rows of the table that are not deleted.
    pub(super) fn has_live_view(&self) -> bool {
        self.purpose == Purpose::State && self.config.metadata_columns != MetadataColumns::None
    }

    pub(super) fn metadata_columns(&self) -> Vec<MetadataColumn> {
        self.purpose.metadata_columns(self.config.metadata_columns)
    }

    /// Each field that becomes a column, once, with the type that holds its values in all schemas.
    pub(super) fn fields(&self) -> Result<Vec<(ColumnType, RecordField)>> {
        let mut fields: Vec<(ColumnType, RecordField)> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for field in self.schemas.iter().flat_map(|schema| fields_of(schema)) {
            if !self.config.takes(self.topic, &field.name) {
                continue;
            }
            let ty = ColumnType::of_field(field).map_err(|reason| {
                let problem = format!(
                    "no column type holds field `{}`, which is {reason}; exclude it with `fields.exclude`",
                    field.name
                );
                mismatch_error(self.name, self.config.schema_mismatch, &[Mismatch { problem, remedy: None }], &[])
            })?;
            if self.key_fields.iter().any(|key| key.holds(&field.name, ty)) {
                continue;
            }
            match at.get(field.name.as_str()) {
                None => {
                    at.insert(&field.name, fields.len());
                    fields.push((ty, field.clone()));
                }
                Some(&known) => {
                    let before = fields[known].0;
                    fields[known].0 = common_type(before, ty).ok_or_else(|| {
                        let both = format!("field `{}` is {} and {}", field.name, before.sql(), ty.sql());
                        Error::poison(
                            codes::MIXED_SHAPES,
                            ErrorType::Mapping,
                            format!("write to table {} at once: {both}", self.name),
                        )
                    })?;
                }
            }
        }
        Ok(fields)
    }
}
