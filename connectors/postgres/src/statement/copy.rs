//! New rows by `COPY`: at most half the work of an upsert, if none of the keys exists.
//!
//! The elements of an array have the form of fields in `COPY`'s binary format, each after its length. Here they are
//! brought into the order of the rows.

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio_postgres::types::Type;

use super::{Parameters, Refused, arrays::values, key_names};
use crate::{
    column::ColumnArray,
    config::MetadataColumns,
    fold::Row,
    key::Keys,
    name::quoted,
    table::{Column, Table},
};

/// A `COPY` of whole rows that set the same columns.
#[derive(Debug)]
pub(crate) struct Copy<'t> {
    pub(crate) sql: String,
    /// Queries the current columns.
    pub(crate) look: String,
    /// The types that the columns must have: values are encoded for them, and another type would misread the bytes.
    pub(crate) types: Vec<Type>,
    table: &'t Table,
    columns: Vec<&'t Column>,
    partition: i32,
}

/// Signature, flags, length of the extension (`PostgreSQL` manual, COPY, binary format).
pub(crate) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Follows the last row.
pub(crate) const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// Rows of `table` that set the columns at the indexes `set`.
pub(crate) fn copy<'t>(table: &'t Table, partition: i32, set: &[usize]) -> Copy<'t> {
    let columns: Vec<&Column> = set.iter().filter_map(|&at| table.columns.get(at)).collect();
    let mut list = key_names(&table.keys);
    list.extend(metadata_columns(table.metadata).iter().map(|name| (*name).to_owned()));
    list.extend(columns.iter().map(|column| quoted(&column.name)));
    let (name, list) = (table.name.sql(), list.join(", "));
    let own = metadata_columns(table.metadata).iter().map(|name| match *name {
        "_towpath_deleted" => Type::BOOL,
        "_towpath_partition" => Type::INT4,
        _ => Type::INT8,
    });
    let keys = table.keys.iter().map(|key| key.ty.element());
    let types = keys.chain(own).chain(columns.iter().map(|column| column.ty.element())).collect();
    let sql = format!("COPY {name} ({list}) FROM STDIN (FORMAT binary)");
    Copy { sql, look: format!("SELECT {list} FROM {name} WHERE false"), types, table, columns, partition }
}

/// Without `_towpath_applied_at`, which has a default. The first are those of [`Parameters::add_keys_and_versions`], in
/// order.
fn metadata_columns(metadata: MetadataColumns) -> &'static [&'static str] {
    match metadata {
        MetadataColumns::None => &[],
        MetadataColumns::Version | MetadataColumns::Full => {
            &["_towpath_ts", "_towpath_seq", "_towpath_offset", "_towpath_deleted", "_towpath_partition"]
        }
    }
}

impl Copy<'_> {
    /// Encodes rows.
    ///
    /// # Errors
    /// A row in `rows` has a value that its column does not hold.
    pub(crate) fn rows(&self, keys: Keys<'_>, rows: &[&Row<'_>]) -> Result<Bytes, Refused> {
        let mut parameters = Parameters::default();
        parameters.add_keys_and_versions(self.table, keys, rows)?;
        let before_constants = parameters.arrays.len();
        for column in &self.columns {
            parameters.add("", values(column, rows)?);
        }
        let mut constants = BytesMut::new();
        if self.table.metadata != MetadataColumns::None {
            constants.put_i32(1);
            constants.put_u8(u8::from(false));
            constants.put_i32(4);
            constants.put_i32(self.partition);
        }
        let constant_fields = metadata_columns(self.table.metadata).len() + self.table.keys.len() - before_constants;
        // A table has at most 1,600 columns.
        let fields = i16::try_from(parameters.arrays.len() + constant_fields).unwrap_or(i16::MAX);
        let mut left: Vec<&[u8]> = parameters.arrays.iter().map(ColumnArray::elements).collect();
        let size = left.iter().map(|elements| elements.len()).sum::<usize>() + rows.len() * (constants.len() + 2);
        let mut out = BytesMut::with_capacity(size);
        for _ in rows {
            out.put_i16(fields);
            for (at, elements) in left.iter_mut().enumerate() {
                if at == before_constants {
                    out.put_slice(&constants);
                }
                out.put_slice(take_element(elements));
            }
            if left.len() == before_constants {
                out.put_slice(&constants);
            }
        }
        Ok(out.freeze())
    }
}

/// Removes the first element and its length from the front.
fn take_element<'e>(elements: &mut &'e [u8]) -> &'e [u8] {
    let len = elements.first_chunk().map_or(-1, |len| i32::from_be_bytes(*len));
    // -1 means null, which has no bytes.
    let size = 4 + usize::try_from(len).unwrap_or(0);
    let (element, rest) = elements.split_at(size.min(elements.len()));
    *elements = rest;
    element
}
