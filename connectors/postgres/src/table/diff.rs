//! The difference between a table and the desired table. Changes nothing.

use std::collections::HashMap;

use apache_avro::schema::{RecordField, Schema};
use tokio_postgres::Client;
use towpath_api::Result;

use super::{
    Column, Table,
    catalog::{CurrentColumn, CurrentTable, NamedColumn, Notes, column_names, columns_in_order, grants, schema_exists},
    change::{Loosening, Relabelling, Widening},
    ddl,
    dependents::Dependent,
    desired::DesiredTable,
    fit::{Fit, fit},
    metadata::{MetadataColumn, Purpose},
    mismatch::{Mismatch, mismatch_error},
    names::require_history,
};
use crate::{
    column::ColumnType,
    config::{DeleteMode, SchemaEvolution},
    name::column_name,
};

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
    /// One entry for each column of the key.
    pub(super) key_casts: Vec<Option<String>>,
    pub(super) mismatches: Vec<Mismatch>,
    /// True if the view of the live rows must be created.
    pub(super) lacks_view: bool,
    /// Columns whose type a person has to change.
    retyped: Vec<String>,
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
        let DesiredTable { name, config, mut keys, schemas, key_schemas, .. } = desired;
        for (key, cast) in keys.iter_mut().zip(self.key_casts) {
            key.cast = cast;
        }
        let metadata = config.metadata_columns;
        Table {
            name: name.clone(),
            metadata,
            keys,
            columns: self.columns,
            schemas,
            key_schemas,
            by_field: self.by_field,
            is_partitioned: self.is_partitioned,
            is_copyable: self.is_copyable,
        }
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
        let mut refuse = |problem: String, remedy| self.mismatches.push(Mismatch { problem, remedy: Some(remedy) });
        for missing in &self.missing {
            refuse(
                format!("field `{}` has no column", missing.0.field),
                ddl::add_columns(name, std::slice::from_ref(missing)),
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
pub(super) async fn acceptable_diff(client: &Client, desired: &DesiredTable<'_>) -> Result<TableDiff> {
    let diff = diff(client, desired).await?;
    if diff.mismatches.is_empty() {
        Ok(diff)
    } else {
        Err(mismatch_error(desired.name, desired.config.schema_mismatch, &diff.mismatches, &diff.remedies()))
    }
}

/// Compares the table with the desired one. Mismatches are part of the result.
pub(super) async fn diff(client: &Client, desired: &DesiredTable<'_>) -> Result<TableDiff> {
    let name = desired.name;
    let current = CurrentTable::of(client, name).await?;
    require_history(desired, &current)?;
    let has_schema = current.exists() || schema_exists(client, name).await?;
    let mut diff = TableDiff { exists: current.exists(), has_schema, ..TableDiff::default() };
    diff.key_casts.resize(desired.keys.len(), None);
    diff.is_copyable = desired.purpose == Purpose::State && !current.guarded;
    diff.is_partitioned = current.is_partitioned;
    if diff.exists {
        compare_key(desired, &current, &mut diff);
        compare_metadata(desired, &current, &mut diff);
    }
    diff.notes = Some(Notes::of(client).await?);
    let mut named = column_names(client, name).await?;
    let labels = desired.labels();
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
        let mut wanted = Column { name: agreed.name.clone(), field: field.name.clone(), ty, cast: None };
        match current.columns.get(&wanted.name) {
            None => diff.missing.push((wanted.clone(), field.clone())),
            Some(have) => {
                if agreed.is_mixed && have.base == "jsonb" && ty != ColumnType::JsonText {
                    wanted.ty = ColumnType::Mixed;
                }
                compare_column(desired, &mut wanted, have, &field, &mut diff);
                if current.is_owned && label.is_some_and(|(_, time)| agreed.labelled_ms.is_none_or(|ms| ms < time)) {
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
    for view in Dependent::of(client, name, &diff.retyped).await? {
        let (before, after) = diff.around.get_or_insert_default();
        let parts = [std::mem::take(before), view.drop()];
        *before = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        after.extend(view.statements());
    }
    Ok(diff)
}

fn compare_key(desired: &DesiredTable<'_>, current: &CurrentTable, diff: &mut TableDiff) {
    for (at, key) in desired.keys.iter().enumerate() {
        let problem = |is: &str| format!("column `{}` of the key should be {} and is {is}", key.name, key.ty.sql());
        match current.columns.get(&key.name) {
            None => diff.mismatches.push(Mismatch { problem: problem("missing"), remedy: None }),
            Some(have) => match fit(key.ty, have) {
                Fit::Accepts(None) if have.base != key.ty.array_element() => diff.is_copyable = false,
                Fit::Accepts(cast) => {
                    diff.is_copyable &= cast.is_none();
                    diff.key_casts[at] = cast;
                }
                Fit::Widened(to) => diff.widened.push(Widening {
                    column: key.name.clone(),
                    field: None,
                    from: have.ty.clone(),
                    to,
                    to_json: false,
                }),
                Fit::BecomesJson | Fit::Refused => {
                    let remedy = Some(ddl::alter_type_by_text(desired.name, &key.name, &key.ty.sql()));
                    diff.retyped.push(key.name.clone());
                    diff.mismatches.push(Mismatch { problem: problem(&have.ty), remedy });
                }
            },
        }
    }
    let names = || desired.keys.iter().map(|key| key.name.as_str());
    if !desired.keys.is_empty() && names().all(|name| current.columns.contains_key(name)) && !current.is_key(names()) {
        let list = ddl::key_list(&desired.keys);
        let remedy = format!("ALTER TABLE {} ADD UNIQUE ({list})", desired.name.sql());
        diff.mismatches.push(Mismatch { problem: format!("({list}) has no unique index"), remedy: Some(remedy) });
    }
}

fn compare_metadata(desired: &DesiredTable<'_>, current: &CurrentTable, diff: &mut TableDiff) {
    for own in desired.metadata_columns() {
        match current.columns.get(own.name()) {
            None => diff.missing_metadata.push(own),
            Some(have) if have.ty == own.ty() && own == MetadataColumn::AppliedAt && !have.fills_itself => {
                diff.is_copyable = false;
            }
            Some(have) if have.ty == own.ty() => {}
            Some(have) => diff.mismatches.push(Mismatch {
                problem: format!("column `{}` should be {} and is {}", own.name(), own.ty(), have.ty),
                remedy: Some(ddl::alter_type_by_text(desired.name, own.name(), own.ty())),
            }),
        }
    }
}

fn compare_column(
    desired: &DesiredTable<'_>,
    wanted: &mut Column,
    have: &CurrentColumn,
    field: &RecordField,
    diff: &mut TableDiff,
) {
    let is_nullable = matches!(&field.schema, Schema::Union(union) if union.variants().contains(&Schema::Null));
    let may_be_null = is_nullable || desired.purpose == Purpose::Log || desired.config.delete_mode == DeleteMode::Soft;
    if have.generated {
        let problem =
            format!("column `{}` is computed by the database; exclude its field with `fields.exclude`", wanted.name);
        diff.mismatches.push(Mismatch { problem, remedy: None });
    } else if have.not_null && may_be_null {
        let (column, field) = (wanted.name.clone(), wanted.field.clone());
        diff.loosened.push(Loosening { column, field, ty: have.ty.clone() });
    }
    diff.is_copyable &= have.base == wanted.ty.array_element();
    let evolves = desired.config.schema_evolution == SchemaEvolution::Evolve;
    match fit(wanted.ty, have) {
        Fit::Accepts(cast) => wanted.cast = cast,
        Fit::Widened(to) => diff.widened.push(Widening {
            column: wanted.name.clone(),
            field: Some(wanted.field.clone()),
            from: have.ty.clone(),
            to,
            to_json: false,
        }),
        // Without the note, a text of an earlier schema would be taken for JSON.
        Fit::BecomesJson if evolves && diff.notes.is_some_and(|notes| notes.of_columns) => {
            if wanted.ty != ColumnType::JsonText {
                wanted.ty = ColumnType::Mixed;
            }
            diff.widened.push(Widening {
                column: wanted.name.clone(),
                field: Some(wanted.field.clone()),
                from: have.ty.clone(),
                to: "jsonb".to_owned(),
                to_json: true,
            });
        }
        // The text of JSON, from which the value can be read.
        Fit::BecomesJson if have.ty == have.base && ["text", "character varying"].contains(&&*have.base) => {
            wanted.cast = Some(have.ty.clone());
        }
        Fit::BecomesJson => {
            diff.retyped.push(wanted.name.clone());
            diff.mismatches.push(Mismatch {
                problem: format!("column `{}` should be jsonb and is {}", wanted.name, have.ty),
                remedy: Some(ddl::alter_to_json(desired.name, &wanted.name)),
            });
        }
        Fit::Refused => {
            diff.retyped.push(wanted.name.clone());
            diff.mismatches.push(Mismatch {
                problem: format!("column `{}` should be {} and is {}", wanted.name, wanted.ty.sql(), have.ty),
                remedy: Some(ddl::alter_type_by_text(desired.name, &wanted.name, &wanted.ty.sql())),
            });
        }
    }
}

/// Compares the comment on a column with the label of its field, unless a person has written the comment.
fn compare_label(wanted: &Column, have: &CurrentColumn, field: &RecordField, diff: &mut TableDiff) {
    let label = ddl::label(field);
    let is_ours = |comment: &&String| {
        comment.strip_prefix(&*field.name).is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
    };
    let Some(comment) = have.comment.as_ref().filter(is_ours).filter(|comment| **comment != label) else { return };
    if diff.notes.is_some_and(|notes| notes.of_columns) {
        diff.relabelled.push(Relabelling {
            column: wanted.name.clone(),
            field: wanted.field.clone(),
            ty: have.ty.clone(),
            from: comment.clone(),
            to: label,
        });
    }
}

/// Reports columns that are `NOT NULL`, have no default and are filled by no field.
fn require_defaults(desired: &DesiredTable<'_>, current: &CurrentTable, diff: &mut TableDiff) {
    let own = desired.metadata_columns();
    for (name, column) in &current.columns {
        let ours = desired.keys.iter().any(|key| key.name == *name)
            || diff.columns.iter().any(|column| column.name == *name)
            || own.iter().any(|own| own.name() == name);
        if !ours && column.not_null && !column.fills_itself {
            let problem = format!("column `{name}` is NOT NULL without a default, and no field fills it");
            diff.mismatches.push(Mismatch { problem, remedy: Some(ddl::drop_not_null(desired.name, name)) });
        }
    }
}
