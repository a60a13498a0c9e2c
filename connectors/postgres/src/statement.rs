//! The SQL that changes rows, and its parameters.
//!
//! One statement writes many rows of one kind: one array per column, unnested side by side. Version, offset and
//! partition of each row guard it, so a stale record changes nothing. Only `metadata.columns=none` has no guard.
//!
//! These statements run under the role's own `search_path`, for the sake of the user's triggers (`connection.rs`).
//! There somebody may have created an operator or a function that fits better than the built-in one. So each function
//! is qualified, and so is each operator whose operands are not exactly of the types of a built-in operator.

mod append;
mod arrays;
mod copy;
mod free;
mod look;
mod order;
mod patch;
mod remove;
mod renew;
mod upsert;

use tokio_postgres::types::ToSql;
use towpath_api::{Error, ErrorType};

pub(crate) use self::{
    append::{Appended, append},
    copy::{HEADER as COPY_HEADER, TRAILER as COPY_TRAILER, copy},
    free::{Exclusive, free, vacate},
    look::{count_keys, look},
    patch::patch,
    remove::{delete_by_tombstone, remembers_tombstones, remove, truncate},
    renew::{renew, unsupplied},
    upsert::upsert,
};
use crate::{
    codes,
    column::{ColumnArray, ColumnType, Unfit},
    config::MetadataColumns,
    fold::{Content, Row, carried},
    key::KeyColumn,
    name::quoted,
    table::{Column, Table},
};

/// Rows of one statement: enough to make its fixed cost negligible, few enough for the server to start early.
pub(crate) const CHUNK_ROWS: usize = 1_250;

/// A statement with its parameters.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    topic: Option<String>,
    partition: Option<i32>,
    arrays: Vec<ColumnArray>,
}

impl Statement {
    /// The parameters, in the order of `$1`, `$2` and so on.
    pub(crate) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        let topic = self.topic.iter().map(|topic| topic as &(dyn ToSql + Sync));
        let partition = self.partition.iter().map(|partition| partition as _);
        topic.chain(partition).chain(self.arrays.iter().map(|array| array as _)).collect()
    }
}

/// A value that its column does not hold.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The row's index in the statement.
    place: usize,
    /// The field, or the column of the key.
    what: String,
    /// The column and its type.
    column: String,
    why: Unfit,
}

impl Refused {
    fn of_column(place: usize, column: &Column, why: Unfit) -> Self {
        let declared = if column.declared.is_empty() { &column.ty.sql() } else { &column.declared };
        let of = format!("column `{}` ({declared})", column.name);
        Self { place, what: format!("field `{}`", column.field), column: of, why }
    }

    fn of_key(place: usize, column: Option<&KeyColumn>, why: Unfit) -> Self {
        let name = column.map_or_else(String::new, |key| {
            let declared = if key.declared.is_empty() { &key.ty.sql() } else { &key.declared };
            format!("column `{}` ({declared})", key.name)
        });
        Self { place, what: "the key".to_owned(), column: name, why }
    }
}

/// The error of a value that its column does not hold. Its text has the field and not the value.
pub(crate) fn out_of_range(Refused { place, what, column, why }: Refused) -> Error {
    let Unfit(why) = why;
    let doing = format!("write {what} of record {place} of a statement: the value {why} {column}");
    Error::poison(codes::OUT_OF_RANGE, ErrorType::Mapping, doing)
}

/// The columns that a whole row sets: positions in [`Table::columns`], ascending.
pub(crate) type ColumnSet = Vec<usize>;

/// The columns that a row carries values for.
pub(crate) fn columns_of(table: &Table, row: &Row<'_>) -> ColumnSet {
    let mut set: ColumnSet = match &row.content {
        Content::Nothing => Vec::new(),
        Content::One(change) => carried(change).filter_map(|(field, _)| table.position(field)).collect(),
        Content::Merged(fields) => fields.keys().filter_map(|field| table.position(field)).collect(),
    };
    set.sort_unstable();
    set
}

/// The parameters of a statement while it is built: scalars first, then arrays, each with its name in the statement.
#[derive(Debug, Default)]
struct Parameters {
    topic: Option<String>,
    partition: Option<i32>,
    arrays: Vec<ColumnArray>,
    types: Vec<ColumnType>,
    names: Vec<String>,
}

impl Parameters {
    /// Starts with the partition, as [`PARTITION`], if the table has a column for it.
    fn with_partition(metadata: MetadataColumns, partition: i32) -> Self {
        Self { partition: (metadata != MetadataColumns::None).then_some(partition), ..Self::default() }
    }

    fn add(&mut self, name: impl Into<String>, array: ColumnArray) {
        self.types.push(array.column());
        self.names.push(name.into());
        self.arrays.push(array);
    }

    /// `(SELECT unnest($2::text[]) AS k0, unnest($3::bigint[]) AS ts) AS x`. In the select list the arrays are unnested
    /// row by row. In `FROM`, each would first be materialized, which costs a sixth of the statement.
    fn rows(&self) -> String {
        let columns: Vec<_> =
            self.casts().zip(&self.names).map(|(cast, name)| format!("pg_catalog.unnest({cast}) AS {name}")).collect();
        format!("(SELECT {}) AS x", columns.join(", "))
    }

    /// As [`Parameters::rows`], with row numbers from 1 as `place`.
    fn counted_rows(&self) -> String {
        let arrays: Vec<_> = self.casts().map(|cast| format!("pg_catalog.unnest({cast})")).collect();
        format!("ROWS FROM ({}) WITH ORDINALITY AS x({}, place)", arrays.join(", "), self.names.join(", "))
    }

    fn casts(&self) -> impl Iterator<Item = String> {
        let first = 1 + usize::from(self.topic.is_some()) + usize::from(self.partition.is_some());
        self.types.iter().enumerate().map(move |(at, ty)| format!("${}::{}[]", at + first, ty.array_element()))
    }

    fn into_statement(self, sql: String) -> Statement {
        Statement { sql, topic: self.topic, partition: self.partition, arrays: self.arrays }
    }
}

/// The partition, in statements without a topic.
const PARTITION: &str = "$1::integer";

/// A key or a column of the input rows, cast to the type of its column.
fn input_column(prefix: char, at: usize, cast: Option<&str>) -> String {
    match cast {
        None => format!("x.{prefix}{at}"),
        Some(ty) => format!("x.{prefix}{at}::{ty}"),
    }
}

/// The columns of the key, quoted.
fn key_names(keys: &[KeyColumn]) -> Vec<String> {
    keys.iter().map(|key| quoted(&key.name)).collect()
}

/// The key of the input rows: `x.k0, x.k1::uuid`.
fn input_keys(keys: &[KeyColumn]) -> Vec<String> {
    keys.iter().enumerate().map(|(at, key)| input_column('k', at, key.cast.as_deref())).collect()
}

/// `t."id" = x.k0 AND …`: the row of the table with the key of the input row.
fn same_key(keys: &[KeyColumn]) -> String {
    let pairs = key_names(keys).into_iter().zip(input_keys(keys)).zip(keys);
    let equal = |((name, input), key): ((String, String), &KeyColumn)| {
        // Such as citext's, in the schema of the extension, which the session's search path may not include.
        let schema = key.operators.as_deref().unwrap_or("pg_catalog");
        format!("t.{name} OPERATOR({schema}.=) {input}")
    };
    pairs.map(equal).collect::<Vec<_>>().join(" AND ")
}

/// SQL: the row in the table is marked as deleted.
fn is_deleted(metadata: MetadataColumns) -> &'static str {
    if metadata == MetadataColumns::None { "false" } else { "t._towpath_deleted" }
}
