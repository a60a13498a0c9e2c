//! Tables, columns and views made from the schema of the records.
//!
//! Nothing is ever dropped or narrowed. What is made here lies in the transaction of the batch that needs it, before any of
//! its rows: two partitions that meet a new field at once wait for each other here and nowhere else. What cannot be made without
//! loss, or may not be, is refused with the statement that a person would run.

mod catalogue;
mod ddl;
mod fit;
mod own;

use std::{collections::HashMap, sync::Arc};

use apache_avro::schema::{RecordField, RecordSchema, Schema};
use tokio_postgres::Client;
use towpath_api::{Error, ErrorType, Result};

pub(crate) use self::own::{OwnColumn, Purpose};
use self::{
    catalogue::{Present, PresentColumn, agree, agreed_names, columns_in_order, grants},
    fit::{Fit, fit},
};
use crate::{
    column::{ColumnType, joined},
    config::{DeleteMode, MetadataColumns, PostgresSinkConfig, SchemaEvolution, SchemaMismatch},
    name::{TableName, column},
    sqlstate::{refused_setup, shape_in_use},
};

/// Taken by whoever changes a table or the bookkeeping, for the time of a transaction ("towpath" in ASCII, read as a number).
pub(crate) const DDL_LOCK: i64 = 0x0074_6f77_7061_7468;
/// The code of records whose table has not the shape that they need.
pub(crate) const MISMATCH: &str = "postgres.schema_mismatch";
/// A column of a large table takes its time to be rewritten; the worker gives a silent store up after five minutes.
const ALTER_TIMEOUT: &str = "SET LOCAL statement_timeout = '4min'";

/// A table as this connection knows it.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    pub(crate) metadata: MetadataColumns,
    /// The primary key.
    pub(crate) keys: Vec<KeyColumn>,
    /// The columns that hold fields, without the key and without Towpath's own.
    pub(crate) columns: Vec<Column>,
    /// The record schemas that the columns and the key come from.
    pub(crate) schemas: Vec<Arc<Schema>>,
    pub(crate) key_schemas: Vec<Arc<Schema>>,
    /// Field of the Avro schema → position in `columns`.
    by_field: HashMap<String, usize>,
}

/// A column of the primary key.
#[derive(Debug, Clone)]
pub(crate) struct KeyColumn {
    /// Its name, not quoted.
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    /// What values are cast to, where the column has another type.
    pub(crate) cast: Option<String>,
}

/// A column that holds a field.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its name, not quoted.
    pub(crate) name: String,
    /// The name of the field.
    pub(crate) field: String,
    pub(crate) ty: ColumnType,
    /// What values are cast to, where the column has another type.
    pub(crate) cast: Option<String>,
}

/// What a table should be.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) name: &'a TableName,
    pub(crate) purpose: Purpose,
    pub(crate) config: &'a PostgresSinkConfig,
    /// The primary key; none where the table has none.
    pub(crate) keys: Vec<KeyColumn>,
    /// Fields of records that are in the key, and so make no column.
    pub(crate) key_fields: Vec<String>,
    /// The record schemas whose fields become columns.
    pub(crate) schemas: Vec<Arc<Schema>>,
    pub(crate) key_schemas: Vec<Arc<Schema>>,
}

impl Wish<'_> {
    fn own(&self) -> Vec<OwnColumn> {
        self.purpose.own(self.config.metadata_columns)
    }

    /// Each field that becomes a column, once, with the type that holds its values in all schemas.
    fn fields(&self) -> Result<Vec<(ColumnType, RecordField)>, Refusal> {
        let mut fields: Vec<(ColumnType, RecordField)> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for field in self.schemas.iter().flat_map(|schema| fields_of(schema)) {
            if self.key_fields.contains(&field.name) || !self.config.takes(&field.name) {
                continue;
            }
            let ty = ColumnType::of_field(field).map_err(|reason| Refusal {
                what: format!("no column type holds field `{}`, which is {reason}; `fields.exclude` leaves it out", field.name),
                remedy: None,
            })?;
            match at.get(field.name.as_str()) {
                None => {
                    at.insert(&field.name, fields.len());
                    fields.push((ty, field.clone()));
                }
                Some(&known) => {
                    let before = fields[known].0;
                    fields[known].0 = joined(before, ty).ok_or_else(|| Refusal {
                        what: format!("field `{}` was {} and now is {}", field.name, before.sql(), ty.sql()),
                        remedy: None,
                    })?;
                }
            }
        }
        Ok(fields)
    }
}

impl Table {
    /// A table of which only this is known.
    pub(crate) fn bare(name: &TableName, metadata: MetadataColumns) -> Self {
        let (keys, columns, schemas, key_schemas) = Default::default();
        Self { name: name.clone(), metadata, keys, columns, schemas, key_schemas, by_field: HashMap::new() }
    }

    /// The position of a field's column.
    pub(crate) fn position(&self, field: &str) -> Option<usize> {
        self.by_field.get(field).copied()
    }

    /// Whether each field of these schemas has its column, of the right type.
    pub(crate) fn holds(&self, schema: &Arc<Schema>) -> bool {
        self.schemas.iter().chain(&self.key_schemas).any(|known| Arc::ptr_eq(known, schema))
    }
}

/// The fields of a record schema.
pub(crate) fn fields_of(schema: &Schema) -> &[RecordField] {
    match schema {
        Schema::Record(RecordSchema { fields, .. }) => fields,
        _ => &[],
    }
}

/// Makes sure that the table exists with a column for each field; says what it looks like, and whether anything was made.
///
/// Only who has something to make takes the lock, and then looks again.
///
/// # Errors
/// [`MISMATCH`] when the table has not the shape and may not or cannot get it; says what lacks and which statements mend it. It is
/// waited for or the data's, as `schema.mismatch` says.
pub(crate) async fn ensure(client: &Client, wish: Wish<'_>) -> Result<(Table, bool)> {
    let found = look(client, &wish).await?;
    if found.is_complete() {
        return Ok((found.into_table(wish), false));
    }
    let name = wish.name;
    let doing = |what: &str| format!("{what} table {name}");
    run(client, doing("lock the shape of"), &format!("SELECT pg_advisory_xact_lock({DDL_LOCK})")).await?;
    let found = look(client, &wish).await?;
    let made = !found.is_complete();
    if made {
        make(client, &wish, &found).await?;
    }
    Ok((found.into_table(wish), made))
}

/// A table beside what it should look like.
#[derive(Default)]
struct Found {
    exists: bool,
    columns: Vec<Column>,
    by_field: HashMap<String, usize>,
    /// Columns that are not there yet, with the field that each is for.
    missing: Vec<(Column, RecordField)>,
    missing_own: Vec<OwnColumn>,
    /// Columns and the types that they need.
    widened: Vec<(String, String)>,
    /// Columns that must be allowed to be null.
    loosened: Vec<String>,
    /// Fields and the names chosen for their columns, which are not written down yet.
    unnamed: Vec<(String, String)>,
    /// Casts of the key.
    key_casts: Vec<Option<String>>,
    refusals: Vec<Refusal>,
}

/// Something that the table lacks and that is not made.
#[derive(Debug)]
struct Refusal {
    what: String,
    /// The statement that mends it, where there is one.
    remedy: Option<String>,
}

impl Found {
    fn is_complete(&self) -> bool {
        self.exists
            && self.missing.is_empty()
            && self.missing_own.is_empty()
            && self.widened.is_empty()
            && self.loosened.is_empty()
            && self.unnamed.is_empty()
    }

    fn into_table(self, wish: Wish<'_>) -> Table {
        let Wish { name, config, mut keys, schemas, key_schemas, .. } = wish;
        for (key, cast) in keys.iter_mut().zip(self.key_casts) {
            key.cast = cast;
        }
        let metadata = config.metadata_columns;
        Table { name: name.clone(), metadata, keys, columns: self.columns, schemas, key_schemas, by_field: self.by_field }
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
            let left_out: Vec<String> = std::mem::take(&mut self.missing).into_iter().map(|(column, _)| column.field).collect();
            if !left_out.is_empty() {
                tracing::warn!(table = %name, fields = %left_out.join(", "), "table {name} has no columns for these fields, which are left out (schema.evolution=off)");
                self.unnamed.retain(|(field, _)| !left_out.contains(field));
                self.columns.retain(|column| !left_out.contains(&column.field));
                self.by_field = self.columns.iter().enumerate().map(|(at, column)| (column.field.clone(), at)).collect();
            }
        }
        let mut refuse = |what: String, remedy| self.refusals.push(Refusal { what, remedy: Some(remedy) });
        for missing in &self.missing {
            refuse(format!("field `{}` has no column", missing.0.field), ddl::add_columns(name, std::slice::from_ref(missing)));
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

/// Compares the table with what it should be; changes nothing.
async fn look(client: &Client, wish: &Wish<'_>) -> Result<Found> {
    let name = wish.name;
    let present = Present::of(client, name).await?;
    let mut found = Found { exists: present.exists(), ..Found::default() };
    found.key_casts.resize(wish.keys.len(), None);
    if found.exists {
        look_at_key(wish, &present, &mut found);
        look_at_own(wish, &present, &mut found);
    }
    let mut named = agreed_names(client, name).await?;
    let fields = match wish.fields() {
        Ok(fields) => fields,
        Err(refusal) => return Err(mismatch(wish, &[refusal])),
    };
    for (ty, field) in fields {
        let column_name = if let Some(agreed) = named.get(&field.name) {
            agreed.clone()
        } else {
            let key = |name: &str| wish.keys.iter().any(|key| key.name == name);
            let taken = |name: &str| key(name) || named.values().any(|other| other == name);
            // A table of others may have the field's own name where ours would be another.
            let as_it_is = present.columns.contains_key(&field.name) && !taken(&field.name);
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
    found.restrict(wish);
    if found.refusals.is_empty() { Ok(found) } else { Err(mismatch(wish, &found.refusals)) }
}

fn look_at_key(wish: &Wish<'_>, present: &Present, found: &mut Found) {
    for (at, key) in wish.keys.iter().enumerate() {
        let what = |is: &str| format!("column `{}` of the key should be {} and is {is}", key.name, key.ty.sql());
        match present.columns.get(&key.name) {
            None => found.refusals.push(Refusal { what: what("missing"), remedy: None }),
            Some(have) => match fit(key.ty, have) {
                Fit::Takes(cast) => found.key_casts[at] = cast,
                Fit::Widened(ty) => found.widened.push((key.name.clone(), ty)),
                Fit::Refused => {
                    let remedy = Some(ddl::alter_type(wish.name, &key.name, &key.ty.sql()));
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
            Some(have) if have.ty == own.ty() => {}
            Some(have) => found.refusals.push(Refusal {
                what: format!("column `{}` should be {} and is {}", own.name(), own.ty(), have.ty),
                remedy: Some(ddl::alter_type(wish.name, own.name(), own.ty())),
            }),
        }
    }
}

fn look_at_column(wish: &Wish<'_>, wanted: &mut Column, have: &PresentColumn, field: &RecordField, found: &mut Found) {
    let is_nullable = matches!(&field.schema, Schema::Union(union) if union.variants().contains(&Schema::Null));
    let may_be_null = is_nullable || wish.purpose == Purpose::Log || wish.config.delete_mode == DeleteMode::Soft;
    if have.generated {
        let what = format!("column `{}` is computed by the database; `fields.exclude` leaves its field out", wanted.name);
        found.refusals.push(Refusal { what, remedy: None });
    } else if have.not_null && may_be_null {
        found.loosened.push(wanted.name.clone());
    }
    match fit(wanted.ty, have) {
        Fit::Takes(cast) => wanted.cast = cast,
        Fit::Widened(ty) => found.widened.push((wanted.name.clone(), ty)),
        Fit::Refused => found.refusals.push(Refusal {
            what: format!("column `{}` should be {} and is {}", wanted.name, wanted.ty.sql(), have.ty),
            remedy: Some(ddl::alter_type(wish.name, &wanted.name, &wanted.ty.sql())),
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

/// Makes what lacks. The lock is held.
async fn make(client: &Client, wish: &Wish<'_>, found: &Found) -> Result<()> {
    let name = wish.name;
    let doing = |what: &str| format!("{what} table {name}");
    for (field, column) in &found.unnamed {
        agree(client, name, field, column).await?;
    }
    if wish.config.schema_evolution != SchemaEvolution::Evolve {
        return Ok(());
    }
    run(client, doing("alter"), ALTER_TIMEOUT).await?;
    let mut rights = Vec::new();
    if !found.exists {
        run(client, doing("create"), &ddl::create(wish, &found.missing)).await?;
        run(client, doing("comment on"), &ddl::table_comments(wish)).await?;
    } else {
        if !found.widened.is_empty() {
            // A view that shows a column keeps its type from changing; ours is made again below.
            rights = grants(client, &name.live_view()).await?;
            run(client, doing("alter"), &format!("DROP VIEW IF EXISTS {}", name.live_view().sql())).await?;
        }
        for (column, ty) in &found.widened {
            let sql = ddl::alter_type(name, column, ty);
            let altered = client.batch_execute(&sql).await;
            altered.map_err(|error| {
                if !shape_in_use(&error) {
                    return refused_setup(doing("widen a column of"), error);
                }
                let what = format!("column `{column}` has to be {ty}, and another view or rule uses it");
                mismatch(wish, &[Refusal { what, remedy: Some(sql.clone()) }])
            })?;
        }
        let loosened: Vec<String> = found.loosened.iter().map(|column| ddl::drop_not_null(name, column)).collect();
        run(client, doing("let null into"), &loosened.join("; ")).await?;
        if !found.missing.is_empty() {
            run(client, doing("add columns to"), &ddl::add_columns(name, &found.missing)).await?;
        }
        if !found.missing_own.is_empty() {
            run(client, doing("add columns to"), &ddl::add_own_columns(name, &found.missing_own)).await?;
            run(client, doing("comment on"), &ddl::own_comments(name, &found.missing_own)).await?;
        }
    }
    run(client, doing("comment on"), &ddl::field_comments(name, &found.missing)).await?;
    if wish.purpose == Purpose::State && wish.config.metadata_columns != MetadataColumns::None {
        let columns = columns_in_order(client, name).await?;
        run(client, doing("show the live rows of"), &ddl::live_view(name, &columns)).await?;
        run(client, doing("give back the rights to the view of"), &rights.join("; ")).await?;
    }
    run(client, doing("alter"), "SET LOCAL statement_timeout = '30s'").await?;
    tracing::info!(
        table = %name, columns.added = found.missing.len(), columns.widened = found.widened.len(),
        "made {} columns in table {name}, widened {}", found.missing.len(), found.widened.len()
    );
    Ok(())
}

/// All that is wrong at once, and all statements that mend it.
fn mismatch(wish: &Wish<'_>, refusals: &[Refusal]) -> Error {
    let what: Vec<_> = refusals.iter().map(|refusal| refusal.what.as_str()).collect();
    let remedies: Vec<_> = refusals.iter().filter_map(|refusal| refusal.remedy.as_deref()).collect();
    let mend = if remedies.is_empty() { String::new() } else { format!(" It is mended by: {}", remedies.join("; ")) };
    let doing = |fate: &str| format!("write to table {}: {}; {fate}{mend}", wish.name, what.join("; "));
    match wish.config.schema_mismatch {
        SchemaMismatch::Pause => {
            Error::retry(MISMATCH, ErrorType::Schema, doing("nothing was written, and the records wait until it is mended."))
        }
        SchemaMismatch::DeadLetter => Error::poison(MISMATCH, ErrorType::Schema, doing("the record was not written.")),
    }
}

async fn run(client: &Client, doing: String, sql: &str) -> Result<()> {
    if sql.is_empty() {
        return Ok(());
    }
    client.batch_execute(sql).await.map_err(|error| refused_setup(doing, error))
}
