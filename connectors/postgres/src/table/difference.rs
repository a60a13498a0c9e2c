//! The difference between a table and the desired table, and what the sink may do about it.

use std::collections::HashMap;

use apache_avro::schema::RecordField;

use super::{
    Column, Table,
    catalog::{CurrentTable, Notes},
    change::{Loosening, Relabelling, Widening},
    ddl,
    desired::DesiredTable,
    metadata::{MetadataColumn, Purpose},
    mismatch::Mismatch,
};
use crate::{config::SchemaEvolution, key::KeyColumn};

/// Maximum columns of a table (`MaxHeapAttributeNumber`), with those that were dropped.
const MAX_COLUMNS: usize = 1_600;

/// The columns that a table has and lacks.
#[expect(clippy::struct_excessive_bools, reason = "each is a separate property of the table")]
#[derive(Default)]
pub(super) struct TableDiff {
    pub(super) exists: bool,
    /// True if the schema of the table exists.
    pub(super) has_schema: bool,
    pub(super) columns: Vec<Column>,
    pub(super) by_field: HashMap<String, usize>,
    /// Columns to add, each with its field.
    pub(super) missing: Vec<(Column, RecordField)>,
    pub(super) missing_metadata: Vec<MetadataColumn>,
    pub(super) widened: Vec<Widening>,
    pub(super) loosened: Vec<Loosening>,
    pub(super) relabelled: Vec<Relabelling>,
    /// Fields whose columns are not yet noted as jsonb of several types.
    pub(super) mixed: Vec<String>,
    pub(super) notes: Option<Notes>,
    /// Fields and the names chosen for their columns, not yet in `towpath.columns`.
    pub(super) unnamed: Vec<(String, String)>,
    /// True if `COPY` can add rows: no value needs a cast.
    pub(super) is_copyable: bool,
    pub(super) is_partitioned: bool,
    /// The columns of the key, as the table has them.
    pub(super) keys: Vec<KeyColumn>,
    pub(super) mismatches: Vec<Mismatch>,
    /// True if the view of the live rows must be created.
    pub(super) lacks_view: bool,
    /// Columns of the key that a person has to rename.
    pub(super) renamed: Vec<String>,
    /// Columns whose type a person has to change.
    pub(super) retyped: Vec<String>,
    /// Statements for a person to run before and after a change of type: our views block altering the column.
    pub(super) around: Option<(String, Vec<String>)>,
}

impl TableDiff {
    pub(super) fn is_complete(&self) -> bool {
        self.exists
            && self.missing.is_empty()
            && self.missing_metadata.is_empty()
            && self.widened.is_empty()
            && self.loosened.is_empty()
            && self.relabelled.is_empty()
            && self.mixed.is_empty()
            && self.unnamed.is_empty()
            && !self.lacks_view
    }

    /// Returns true if the view of the live rows must be created, or show other columns.
    pub(super) fn changes_view(&self) -> bool {
        !self.exists
            || self.lacks_view
            || !self.missing.is_empty()
            || !self.missing_metadata.is_empty()
            || !self.widened.is_empty()
    }

    /// The statements that remove the mismatches, in the order to run them.
    pub(super) fn remedies(&self) -> Vec<String> {
        let remedies: Vec<String> = self.mismatches.iter().filter_map(|mismatch| mismatch.remedy.clone()).collect();
        match &self.around {
            Some((before, after)) if remedies.iter().any(|remedy| remedy.contains(" TYPE ")) => {
                std::iter::once(before.clone()).chain(remedies).chain(after.iter().cloned()).collect()
            }
            _ => remedies,
        }
    }

    pub(super) fn into_table(self, desired: DesiredTable<'_>) -> Table {
        let DesiredTable { name, config, schemas, key_schemas, .. } = desired;
        let metadata = config.metadata_columns;
        Table {
            name: name.clone(),
            metadata,
            keys: self.keys,
            columns: self.columns,
            schemas,
            key_schemas,
            by_field: self.by_field,
            is_partitioned: self.is_partitioned,
            is_copyable: self.is_copyable,
        }
    }

    /// Requires room for the missing columns, which an `ALTER TABLE` would find out with an error that stops the sink.
    pub(super) fn require_room(&mut self, current: &CurrentTable) {
        let added = self.missing.len() + self.missing_metadata.len();
        let has = usize::try_from(current.attributes).unwrap_or(0);
        if added == 0 || has + added <= MAX_COLUMNS {
            return;
        }
        let (columns, first) = (current.columns.len(), self.missing.first());
        let first = first.map_or_else(String::new, |(column, _)| format!(", the first of them `{}`", column.field));
        let problem = format!(
            "{added} columns are missing{first}; it has {columns}, and {} that were dropped count towards the \
             {MAX_COLUMNS} of Postgres; copy it to a new table, or exclude fields with `fields.exclude`",
            has.saturating_sub(columns)
        );
        self.mismatches.push(Mismatch { problem, remedy: None });
    }

    /// Unless `schema.evolution=evolve`, turns missing columns into mismatches, or leaves their fields out.
    pub(super) fn restrict(&mut self, desired: &DesiredTable<'_>) {
        let (name, evolution) = (desired.name, desired.config.schema_evolution);
        if evolution == SchemaEvolution::Evolve {
            return;
        }
        self.relabelled.clear();
        if !self.exists {
            let problem = format!("it does not exist, and schema.evolution={} creates none", evolution.as_str());
            self.mismatches
                .push(Mismatch { problem, remedy: Some(ddl::create(desired, self.has_schema, &self.missing)) });
            return;
        }
        if evolution == SchemaEvolution::Off {
            let left_out: Vec<String> =
                std::mem::take(&mut self.missing).into_iter().map(|(column, _)| column.field).collect();
            if !left_out.is_empty() {
                tracing::warn!(
                    table = %name, fields = %left_out.join(", "),
                    "table {name} has no columns for these fields; they are left out (schema.evolution=off)"
                );
                self.unnamed.retain(|(field, _)| !left_out.contains(field));
                self.columns.retain(|column| !left_out.contains(&column.field));
                self.by_field =
                    self.columns.iter().enumerate().map(|(at, column)| (column.field.clone(), at)).collect();
            }
        }
        let fills = desired.purpose == Purpose::State;
        let mut refuse = |problem: String, remedy| self.mismatches.push(Mismatch { problem, remedy: Some(remedy) });
        for missing in &self.missing {
            refuse(
                format!("field `{}` has no column", missing.0.field),
                ddl::add_columns(name, std::slice::from_ref(missing), fills),
            );
        }
        for own in &self.missing_metadata {
            let remedy = ddl::add_metadata_columns(name, &[*own]);
            refuse(format!("column {} is missing (metadata.columns says which are needed)", own.name()), remedy);
        }
        self.retyped.extend(self.widened.iter().map(|widening| widening.column.clone()));
        for widening in &self.widened {
            refuse(format!("column `{}` must become {}", widening.column, widening.to), widening.sql(name));
        }
        // A null in a NOT NULL column is an error of that record.
        self.loosened.clear();
    }
}
