//! The difference between a table and the desired table. Changes nothing.

use std::collections::HashMap;

use apache_avro::schema::RecordField;
use tokio_postgres::Client;
use towpath_api::Result;

use super::{
    Column, Table,
    catalog::{CurrentTable, NamedColumn, Notes, column_names, columns_in_order, grants, schema_exists},
    change::{Loosening, Relabelling, Widening},
    compare::{compare_column, compare_label, compare_metadata, has_our_comment, require_defaults},
    ddl,
    dependents::Dependent,
    desired::DesiredTable,
    key::compare_key,
    metadata::{MetadataColumn, Purpose},
    mismatch::{Mismatch, mismatch_error},
    names::require_history,
};
use crate::{column::ColumnType, config::SchemaEvolution, key::KeyColumn, name::column_name};

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
    around: Option<(String, Vec<String>)>,
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
    fn require_room(&mut self, current: &CurrentTable) {
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
    fn restrict(&mut self, desired: &DesiredTable<'_>) {
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

/// Compares the table with the desired one.
///
/// # Errors
/// `postgres.schema_mismatch` if there are mismatches.
pub(super) async fn acceptable_diff(client: &Client, desired: &mut DesiredTable<'_>) -> Result<TableDiff> {
    let diff = diff(client, desired).await?;
    if diff.mismatches.is_empty() {
        Ok(diff)
    } else {
        Err(mismatch_error(desired.name, desired.config.schema_mismatch, &diff.mismatches, &diff.remedies()))
    }
}

/// Compares the table with the desired one. Mismatches are part of the result.
pub(super) async fn diff(client: &Client, desired: &mut DesiredTable<'_>) -> Result<TableDiff> {
    let name = desired.name;
    let mut current = CurrentTable::of(client, name).await?;
    desired.adopt_exact_key(&current);
    let desired = &*desired;
    require_history(desired, &current)?;
    let has_schema = current.exists() || schema_exists(client, name).await?;
    let mut diff = TableDiff { exists: current.exists(), has_schema, ..TableDiff::default() };
    diff.keys.clone_from(&desired.keys);
    diff.is_copyable = desired.purpose == Purpose::State && !current.guarded;
    diff.is_partitioned = current.is_partitioned;
    if diff.exists {
        compare_key(desired, &current, &mut diff);
        compare_metadata(desired, &current, &mut diff);
    }
    diff.notes = Some(Notes::of(client).await?);
    let mut named = column_names(client, name).await?;
    let labels = desired.labels();
    let is_owned = current.is_owned;
    for (ty, mut field) in desired.fields()? {
        let agreed = if let Some(agreed) = named.get(&field.name) {
            agreed.clone()
        } else {
            let key = |name: &str| desired.keys.iter().any(|key| key.name == name);
            let taken = |name: &str| key(name) || named.values().any(|other| other.name == name);
            // A table that another tool created may have a column named exactly as the field.
            let is_reserved = field.name.starts_with("_towpath_");
            let has_same_name = current.columns.contains_key(&field.name) && !taken(&field.name) && !is_reserved;
            let fresh = if has_same_name { field.name.clone() } else { column_name(&field.name, taken) };
            diff.unnamed.push((field.name.clone(), fresh.clone()));
            let fresh = NamedColumn { name: fresh, ..NamedColumn::default() };
            named.insert(field.name.clone(), fresh.clone());
            fresh
        };
        let label = labels.get(field.name.as_str()).copied();
        if let Some((doc, _)) = label {
            field.doc = doc.map(str::to_owned);
        }
        let (form, cast, declared) = Default::default();
        let mut wanted = Column { name: agreed.name.clone(), field: field.name.clone(), ty, form, cast, declared };
        let is_made_here = current.is_made_here();
        match current.columns.get_mut(&wanted.name) {
            None => diff.missing.push((wanted.clone(), field.clone())),
            Some(have) => {
                have.is_ours = is_made_here && has_our_comment(have, &field);
                wanted.declared.clone_from(&have.declared);
                if agreed.is_mixed && have.base == "jsonb" && ty != ColumnType::JsonText {
                    wanted.ty = ColumnType::Mixed;
                }
                compare_column(desired, &mut wanted, have, &field, &mut diff);
                if is_owned && label.is_some_and(|(_, time)| agreed.labelled_ms.is_none_or(|ms| ms < time)) {
                    compare_label(&wanted, have, &field, &mut diff);
                }
            }
        }
        let becomes_json = diff.widened.last().is_some_and(|last| last.to_json && last.column == wanted.name);
        let is_mixed = wanted.ty == ColumnType::Mixed && wanted.cast.is_none() || becomes_json;
        if is_mixed && !agreed.is_mixed && diff.notes.is_some_and(|notes| notes.of_columns) {
            diff.mixed.push(field.name.clone());
        }
        diff.by_field.insert(field.name.clone(), diff.columns.len());
        diff.columns.push(wanted);
    }
    if diff.exists && !desired.schemas.is_empty() {
        require_defaults(desired, &current, &mut diff);
    }
    if diff.exists && desired.has_live_view() {
        let (view, rights) = (name.live_view(), grants(client, &name.live_view()).await?);
        let makes = desired.config.schema_evolution == SchemaEvolution::Evolve && current.may_create;
        diff.lacks_view = makes && !current.has_live_view;
        if current.has_live_view {
            let mut after = vec![ddl::live_view(name, &columns_in_order(client, name).await?)];
            after.extend(rights);
            diff.around = Some((format!("DROP VIEW {}", view.sql()), after));
        }
    }
    diff.restrict(desired);
    diff.require_room(&current);
    for view in Dependent::of(client, name, &diff.retyped).await? {
        let (before, after) = diff.around.get_or_insert_default();
        let parts = [std::mem::take(before), view.drop()];
        *before = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        after.extend(view.statements());
    }
    Ok(diff)
}
