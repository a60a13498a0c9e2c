//! Tables, columns and views, created and altered to fit the schemas of the records.
//!
//! Nothing is ever dropped or narrowed. Changes run in the transaction of the batch that needs them, before any of its
//! rows; two partitions that meet a new field at the same time wait for each other only here. A change that would lose
//! data, or that the configuration forbids, is refused with the statement for a person to run.

mod catalog;
mod change;
mod compare;
mod ddl;
mod dependents;
mod desired;
mod diff;
mod difference;
mod evolve;
mod fit;
mod key;
mod metadata;
mod mismatch;
mod names;
pub(crate) mod place;
pub(crate) mod preflight;
mod remedy;
pub(crate) mod schema_changes;

use std::{collections::HashMap, sync::Arc};

use apache_avro::schema::Schema;

pub(crate) use self::{
    catalog::grants,
    dependents::lock_views,
    desired::{DesiredTable, KAFKA_COLUMNS},
    evolve::ensure,
    mismatch::key_mismatch,
    schema_changes::Cause,
};
use crate::{
    column::{ColumnType, Form, Route},
    config::MetadataColumns,
    key::KeyColumn,
    name::TableName,
};

/// Advisory lock for changes of schema `towpath`, and the seed of the locks for changes of tables. Each is held until
/// its transaction ends. The number is "towpath" in ASCII.
pub(crate) const DDL_LOCK: i64 = 0x0074_6f77_7061_7468;

/// A table as the connection last saw it.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    pub(crate) metadata: MetadataColumns,
    pub(crate) keys: Vec<KeyColumn>,
    /// The columns that hold fields: neither the key nor the columns `_towpath_*`.
    pub(crate) columns: Vec<Column>,
    /// The record schemas that the columns and the key come from.
    pub(crate) schemas: Vec<Arc<Schema>>,
    pub(crate) key_schemas: Vec<Arc<Schema>>,
    /// True if `COPY` can add rows: no value needs a cast.
    pub(crate) is_copyable: bool,
    /// True if the table is partitioned in Postgres.
    pub(crate) is_partitioned: bool,
    /// Field of the Avro schema → position in `columns`.
    by_field: HashMap<String, usize>,
}

/// A column that holds a field.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Not quoted.
    pub(crate) name: String,
    pub(crate) field: String,
    /// The type of the values on the wire.
    pub(crate) ty: ColumnType,
    pub(crate) form: Form,
    /// The type that values are cast to, if the column's type differs from `ty`.
    pub(crate) cast: Option<String>,
    /// The type of the column, for people; empty if Towpath adds the column.
    pub(crate) declared: String,
}

impl Column {
    /// Brings values into the column in this way.
    fn follow(&mut self, route: Route) {
        self.ty = route.wire.unwrap_or(self.ty);
        (self.form, self.cast) = (route.form, route.cast);
    }
}

impl Table {
    /// A table of which only the name and the metadata columns are known.
    pub(crate) fn bare(name: &TableName, metadata: MetadataColumns) -> Self {
        let (keys, columns, schemas, key_schemas) = Default::default();
        Self {
            name: name.clone(),
            metadata,
            keys,
            columns,
            schemas,
            key_schemas,
            is_copyable: false,
            is_partitioned: false,
            by_field: HashMap::new(),
        }
    }

    /// The position in [`Table::columns`] of a field's column.
    pub(crate) fn position(&self, field: &str) -> Option<usize> {
        self.by_field.get(field).copied()
    }

    /// Returns true if each field of the schema has a column of the right type.
    pub(crate) fn holds(&self, schema: &Arc<Schema>) -> bool {
        self.schemas.iter().chain(&self.key_schemas).any(|known| Arc::ptr_eq(known, schema))
    }
}
