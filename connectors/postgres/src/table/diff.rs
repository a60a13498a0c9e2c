//! Compares a table with the desired table. Changes nothing.

use tokio_postgres::Client;
use towpath_api::Result;

use super::{
    Column,
    catalog::{CurrentTable, NamedColumn, Notes, column_names, columns_in_order, grants, schema_exists},
    compare::{compare_column, compare_label, compare_metadata, has_our_comment, require_defaults},
    ddl,
    dependents::Dependent,
    desired::DesiredTable,
    difference::TableDiff,
    key::compare_key,
    metadata::Purpose,
    mismatch::mismatch_error,
    names::require_history,
};
use crate::{column::ColumnType, config::SchemaEvolution, name::column_name};

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
