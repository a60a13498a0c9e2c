//! Compares a table with what it should be; changes nothing.

use std::collections::HashMap;

use apache_avro::schema::{RecordField, Schema};
use tokio_postgres::Client;
use towpath_api::Result;

use super::{
    Column, OwnColumn, Purpose, Table, Wish,
    catalogue::{Present, PresentColumn, agreed_names, columns_in_order, grants},
    ddl,
    fit::{Fit, fit},
    mismatch,
};
use crate::{
    config::{DeleteMode, SchemaEvolution},
    name::column,
};

/// A table beside what it should look like.
#[expect(clippy::struct_excessive_bools, reason = "each says something else of the table")]
#[derive(Default)]
pub(super) struct Found {
    pub(super) exists: bool,
    pub(super) columns: Vec<Column>,
    pub(super) by_field: HashMap<String, usize>,
    /// Columns that are not there yet, with the field that each is for.
    pub(super) missing: Vec<(Column, RecordField)>,
    pub(super) missing_own: Vec<OwnColumn>,
    /// Columns and the types that they need.
    pub(super) widened: Vec<(String, String)>,
    /// Columns that must be allowed to be null.
    pub(super) loosened: Vec<String>,
    /// Fields and the names chosen for their columns, which are not written down yet.
    pub(super) unnamed: Vec<(String, String)>,
    /// Whether rows can come by `COPY`: no value needs another type than its column.
    pub(super) is_copyable: bool,
    pub(super) is_partitioned: bool,
    /// Casts of the key.
    pub(super) key_casts: Vec<Option<String>>,
    pub(super) refusals: Vec<Refusal>,
    /// Whether the view of the live rows has yet to be made.
    pub(super) lacks_view: bool,
    /// What a person has to run before and after the statements that mend the table: our own view keeps a column from
    /// being altered.
    around: Option<(String, Vec<String>)>,
}

/// Something that the table lacks and that is not made.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) what: String,
    /// The statement that mends it, where there is one.
    pub(super) remedy: Option<String>,
}

impl Found {
    pub(super) fn is_complete(&self) -> bool {
        self.exists
            && self.missing.is_empty()
            && self.missing_own.is_empty()
            && self.widened.is_empty()
            && self.loosened.is_empty()
            && self.unnamed.is_empty()
            && !self.lacks_view
    }

    /// The statements that mend what was refused, in their order.
    pub(super) fn mends(&self) -> Vec<String> {
        let remedies: Vec<String> = self.refusals.iter().filter_map(|refusal| refusal.remedy.clone()).collect();
        match &self.around {
            Some((before, after)) if remedies.iter().any(|remedy| remedy.contains(" TYPE ")) => {
                std::iter::once(before.clone()).chain(remedies).chain(after.iter().cloned()).collect()
            }
            _ => remedies,
        }
    }

    pub(super) fn into_table(self, wish: Wish<'_>) -> Table {
        let Wish { name, config, mut keys, schemas, key_schemas, .. } = wish;
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

    /// Under `schema.evolution` other than `evolve` what would be made is refused, or left out.
    fn restrict(&mut self, wish: &Wish<'_>) {
        let (name, evolution) = (wish.name, wish.config.schema_evolution);
        if evolution == SchemaEvolution::Evolve {
            return;
        }
        if !self.exists {
            let what = format!("it is not there, and schema.evolution={} makes none", evolution.as_str());
            self.refusals.push(Refusal { what, remedy: Some(ddl::create(wish, &self.missing)) });
            return;
        }
        if evolution == SchemaEvolution::Off {
            let left_out: Vec<String> =
                std::mem::take(&mut self.missing).into_iter().map(|(column, _)| column.field).collect();
            if !left_out.is_empty() {
                tracing::warn!(table = %name, fields = %left_out.join(", "), "table {name} has no columns for these fields, which are left out (schema.evolution=off)");
                self.unnamed.retain(|(field, _)| !left_out.contains(field));
                self.columns.retain(|column| !left_out.contains(&column.field));
                self.by_field =
                    self.columns.iter().enumerate().map(|(at, column)| (column.field.clone(), at)).collect();
            }
        }
        let mut refuse = |what: String, remedy| self.refusals.push(Refusal { what, remedy: Some(remedy) });
        for missing in &self.missing {
            refuse(
                format!("field `{}` has no column", missing.0.field),
                ddl::add_columns(name, std::slice::from_ref(missing)),
            );
        }
        for own in &self.missing_own {
            let remedy = ddl::add_own_columns(name, &[*own]);
            refuse(format!("column {} is missing (metadata.columns says which are needed)", own.name()), remedy);
        }
        for (column, ty) in &self.widened {
            refuse(format!("column `{column}` has to be {ty}"), ddl::alter_type(name, column, ty));
        }
        // A null in a column that may have none is an error of that record.
        self.loosened.clear();
    }
}

/// Compares the table with what it should be, and refuses what it lacks and cannot get.
pub(super) async fn look(client: &Client, wish: &Wish<'_>) -> Result<Found> {
    let found = compare(client, wish).await?;
    if found.refusals.is_empty() { Ok(found) } else { Err(mismatch(wish, &found.refusals, &found.mends())) }
}

/// Compares the table with what it should be; changes nothing.
pub(super) async fn compare(client: &Client, wish: &Wish<'_>) -> Result<Found> {
    let name = wish.name;
    let present = Present::of(client, name).await?;
    let mut found = Found { exists: present.exists(), ..Found::default() };
    found.key_casts.resize(wish.keys.len(), None);
    found.is_copyable = wish.purpose == Purpose::State && !present.guarded;
    found.is_partitioned = present.is_partitioned;
    if found.exists {
        look_at_key(wish, &present, &mut found);
        look_at_own(wish, &present, &mut found);
    }
    let mut named = agreed_names(client, name).await?;
    for (ty, field) in wish.fields()? {
        let column_name = if let Some(agreed) = named.get(&field.name) {
            agreed.clone()
        } else {
            let key = |name: &str| wish.keys.iter().any(|key| key.name == name);
            let taken = |name: &str| key(name) || named.values().any(|other| other == name);
            // A table of others may have the field's own name where ours would be another.
            let is_own = field.name.starts_with("_towpath_");
            let as_it_is = present.columns.contains_key(&field.name) && !taken(&field.name) && !is_own;
            let fresh = if as_it_is { field.name.clone() } else { column(&field.name, taken) };
            found.unnamed.push((field.name.clone(), fresh.clone()));
            named.insert(field.name.clone(), fresh.clone());
            fresh
        };
        let mut wanted = Column { name: column_name, field: field.name.clone(), ty, cast: None };
        match present.columns.get(&wanted.name) {
            None => found.missing.push((wanted.clone(), field.clone())),
            Some(have) => look_at_column(wish, &mut wanted, have, &field, &mut found),
        }
        found.by_field.insert(field.name.clone(), found.columns.len());
        found.columns.push(wanted);
    }
    if found.exists && !wish.schemas.is_empty() {
        look_at_others(wish, &present, &mut found);
    }
    if found.exists && wish.has_live_view() {
        let (view, rights) = (name.live_view(), grants(client, &name.live_view()).await?);
        let makes = wish.config.schema_evolution == SchemaEvolution::Evolve && present.may_create;
        found.lacks_view = makes && !present.has_live_view;
        if present.has_live_view {
            let mut after = vec![ddl::live_view(name, &columns_in_order(client, name).await?)];
            after.extend(rights);
            found.around = Some((format!("DROP VIEW {}", view.sql()), after));
        }
    }
    found.restrict(wish);
    Ok(found)
}

fn look_at_key(wish: &Wish<'_>, present: &Present, found: &mut Found) {
    for (at, key) in wish.keys.iter().enumerate() {
        let what = |is: &str| format!("column `{}` of the key should be {} and is {is}", key.name, key.ty.sql());
        match present.columns.get(&key.name) {
            None => found.refusals.push(Refusal { what: what("missing"), remedy: None }),
            Some(have) => match fit(key.ty, have) {
                Fit::Takes(None) if have.base != key.ty.array_element() => found.is_copyable = false,
                Fit::Takes(cast) => {
                    found.is_copyable &= cast.is_none();
                    found.key_casts[at] = cast;
                }
                Fit::Widened(ty) => found.widened.push((key.name.clone(), ty)),
                Fit::Refused => {
                    let remedy = Some(ddl::alter_type_by_text(wish.name, &key.name, &key.ty.sql()));
                    found.refusals.push(Refusal { what: what(&have.ty), remedy });
                }
            },
        }
    }
    let names = || wish.keys.iter().map(|key| key.name.as_str());
    if !wish.keys.is_empty() && names().all(|name| present.columns.contains_key(name)) && !present.is_key(names()) {
        let list = ddl::key_list(&wish.keys);
        let remedy = format!("ALTER TABLE {} ADD UNIQUE ({list})", wish.name.sql());
        found.refusals.push(Refusal { what: format!("({list}) is not unique in it"), remedy: Some(remedy) });
    }
}

fn look_at_own(wish: &Wish<'_>, present: &Present, found: &mut Found) {
    for own in wish.own() {
        match present.columns.get(own.name()) {
            None => found.missing_own.push(own),
            Some(have) if have.ty == own.ty() && own == OwnColumn::AppliedAt && !have.fills_itself => {
                found.is_copyable = false
            }
            Some(have) if have.ty == own.ty() => {}
            Some(have) => found.refusals.push(Refusal {
                what: format!("column `{}` should be {} and is {}", own.name(), own.ty(), have.ty),
                remedy: Some(ddl::alter_type_by_text(wish.name, own.name(), own.ty())),
            }),
        }
    }
}

fn look_at_column(wish: &Wish<'_>, wanted: &mut Column, have: &PresentColumn, field: &RecordField, found: &mut Found) {
    let is_nullable = matches!(&field.schema, Schema::Union(union) if union.variants().contains(&Schema::Null));
    let may_be_null = is_nullable || wish.purpose == Purpose::Log || wish.config.delete_mode == DeleteMode::Soft;
    if have.generated {
        let what =
            format!("column `{}` is computed by the database; `fields.exclude` leaves its field out", wanted.name);
        found.refusals.push(Refusal { what, remedy: None });
    } else if have.not_null && may_be_null {
        found.loosened.push(wanted.name.clone());
    }
    found.is_copyable &= have.base == wanted.ty.array_element();
    match fit(wanted.ty, have) {
        Fit::Takes(cast) => wanted.cast = cast,
        Fit::Widened(ty) => found.widened.push((wanted.name.clone(), ty)),
        Fit::Refused => found.refusals.push(Refusal {
            what: format!("column `{}` should be {} and is {}", wanted.name, wanted.ty.sql(), have.ty),
            remedy: Some(ddl::alter_type_by_text(wish.name, &wanted.name, &wanted.ty.sql())),
        }),
    }
}

/// Columns that no record fills must be able to fill themselves.
fn look_at_others(wish: &Wish<'_>, present: &Present, found: &mut Found) {
    let own = wish.own();
    for (name, column) in &present.columns {
        let ours = wish.keys.iter().any(|key| key.name == *name)
            || found.columns.iter().any(|column| column.name == *name)
            || own.iter().any(|own| own.name() == name);
        if !ours && column.not_null && !column.fills_itself {
            let what = format!("column `{name}` must have a value, and no record has one for it");
            found.refusals.push(Refusal { what, remedy: Some(ddl::drop_not_null(wish.name, name)) });
        }
    }
}
