//! Reading back what the topics of a source hold.

use std::{pin::Pin, sync::Arc};

use apache_avro::{schema::Schema, types::Value};

use crate::{Key, Op, Result, Version};

/// A future of [`PublishedRecords`], which is used as a trait object.
pub type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What a call of [`PublishedRecords::read`] decodes of each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The key and the headers only: `op`, `after` and `version` of each [`Published`] are `None`. Cheap.
    Ids,
    /// The whole record.
    Whole,
}

/// A committed record of an object's topic, in the order of its partition. Tombstones are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The partition within the topic.
    pub partition: i32,
    /// The offset of the record.
    pub offset: i64,
    /// The identity of the record.
    pub key: Key,
    /// The id of its event: [`EVENT_ID_HEADER`](crate::EVENT_ID_HEADER).
    pub event_id: Option<String>,
    /// The kind of the change; `None` at [`Depth::Ids`].
    pub op: Option<Op>,
    /// The record after the change, one value for each field of the schema that it was written with; `None` for a
    /// delete and at [`Depth::Ids`]. The value of a nullable field is bare; that of a field with several other types is
    /// a `Value::Union` with its branch.
    pub after: Option<Vec<(String, Value)>>,
    /// The version of the record; `None` if the record has none, and at [`Depth::Ids`].
    pub version: Option<Version>,
}

/// Reads the topics of a source task's objects. A call names an object; its topic is `<topic.prefix>.<object>`.
///
/// Only committed records are read, and of these only records with a key that are not tombstones and that a source of
/// ours could have written; the others are left out, and the worker logs how many. A task that reads what it has
/// published itself sees all of it, since its journal has fenced older instances and settled their transactions before.
pub trait PublishedRecords: Send + Sync + 'static {
    /// The next offset of each partition, by partition; empty if the topic does not exist. While a transaction is open,
    /// this is the offset at which it began.
    ///
    /// # Errors
    /// Retry while no broker answers.
    fn ends<'a>(&'a self, object: &'a str) -> Reading<'a, Vec<i64>>;

    /// Reads the records from the offsets `from`, by partition, up to the end at the time of the call, and passes each
    /// to `each`. A partition that `from` does not have is read from its beginning, and so is one whose offset the
    /// broker no longer has. A topic that does not exist has no records.
    ///
    /// # Errors
    /// Retry while the broker or the registry is unavailable; `each` may have seen some of the records then.
    ///
    /// # Cancel safety
    /// Safe: reading changes nothing.
    fn read<'a>(
        &'a self,
        object: &'a str,
        from: &'a [i64],
        depth: Depth,
        each: &'a mut (dyn FnMut(Published) + Send),
    ) -> Reading<'a, ()>;

    /// The latest registered schema of the object's records, with defaults, labels and attributes as they were
    /// registered; `None` if there is none yet. Each call asks the registry.
    ///
    /// # Errors
    /// Retry while the registry is unavailable. Fatal if the latest schema is not a record.
    fn schema<'a>(&'a self, object: &'a str) -> Reading<'a, Option<Arc<Schema>>>;
}
