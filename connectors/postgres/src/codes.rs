//! The codes of errors and dead letters of this sink. `docs/operations.md` lists them with what to do.

// Connecting.

/// `connection.url` cannot be read.
pub(crate) const URL: &str = "postgres.url";
/// `connection.ssl.ca` cannot be read, or TLS cannot be set up.
pub(crate) const TLS: &str = "postgres.tls";
/// The server refuses the role or its password.
pub(crate) const AUTH: &str = "postgres.auth";
/// The server is unreachable, full, shutting down or out of connections.
pub(crate) const UNAVAILABLE: &str = "postgres.unavailable";
/// The server is a standby.
pub(crate) const READ_ONLY: &str = "postgres.read_only";
/// The server is older than `PostgreSQL` 12.
pub(crate) const VERSION: &str = "postgres.version";
/// Rights, tables or settings of the database are not as needed.
pub(crate) const SETUP: &str = "postgres.setup";

// Partitions and offsets.

/// Another worker has claimed the partition.
pub(crate) const FENCED: &str = "postgres.fenced";
/// The stored offset differs from the first offset of the batch.
pub(crate) const OFFSET_MOVED: &str = "postgres.offset_moved";
/// The transaction had failed before COMMIT.
pub(crate) const ROLLED_BACK: &str = "postgres.rolled_back";
/// The answer to COMMIT was lost.
pub(crate) const COMMIT_UNKNOWN: &str = "postgres.commit_unknown";
/// An offset cannot be set while the connector has connections to the database.
pub(crate) const CONNECTOR_RUNNING: &str = "postgres.connector_running";

// Statements.

/// A lock of another transaction, a deadlock, or a serialization failure.
pub(crate) const CONTENTION: &str = "postgres.contention";
/// A statement took longer than `statement_timeout`.
pub(crate) const TOO_SLOW: &str = "postgres.too_slow";
/// A statement needs more memory or temporary space than the server grants.
pub(crate) const OUT_OF_MEMORY: &str = "postgres.out_of_memory";

// Tables.

/// The topic has no valid table name.
pub(crate) const TABLE_NAME: &str = "postgres.table_name";
/// Another topic fills the table.
pub(crate) const TABLE_TAKEN: &str = "postgres.table_taken";
/// A table that Towpath has filled does not exist any more.
pub(crate) const TABLE_MISSING: &str = "postgres.table_missing";
/// An object of somebody else has the name of the table's view or history.
pub(crate) const NAME_TAKEN: &str = "postgres.name_taken";
/// An object of somebody else has the name of a standard view, or somebody has changed the view.
pub(crate) const VIEW_TAKEN: &str = "postgres.view_taken";
/// The database refuses to create a standard view.
pub(crate) const VIEW_REFUSED: &str = "postgres.view_refused";
/// A prepared statement no longer fits its table. The sink prepares it again once; a second failure needs a person.
pub(crate) const TABLE_CHANGED: &str = "postgres.table_changed";
/// The table does not fit its records, and may not or cannot be altered.
pub(crate) const SCHEMA_MISMATCH: &str = "postgres.schema_mismatch";
/// No column type holds all types that a field has in these records, so one statement cannot write them together.
pub(crate) const MIXED_SHAPES: &str = "postgres.mixed_shapes";

// Records.

/// A record was refused, and `errors.tolerance=none`.
pub(crate) const POISON: &str = "postgres.poison";
/// The database refuses a value.
pub(crate) const REFUSED_VALUE: &str = "postgres.refused_value";
/// The database refuses the row and accepts others, for a reason that could also be the set-up.
pub(crate) const REFUSED_ROW: &str = "postgres.refused_row";
/// An internal error of the server at this row, and at no other.
pub(crate) const FAILED_WITHIN: &str = "postgres.internal_error";
/// A value is out of the range of its column.
pub(crate) const OUT_OF_RANGE: &str = "postgres.out_of_range";
/// Two keys of the records are one key to the database.
pub(crate) const AMBIGUOUS_KEY: &str = "postgres.ambiguous_key";
/// A row refers to a row that does not exist.
pub(crate) const FOREIGN_KEY: &str = "postgres.foreign_key";
/// Another row has the same unique value, or excludes the row.
pub(crate) const UNIQUE_VALUE: &str = "postgres.unique_value";
/// A record waited for a row when its topic was truncated or re-created.
pub(crate) const WAITING_SUPERSEDED: &str = "postgres.waiting_superseded";
/// A batch waits for a row that it refers to.
pub(crate) const FOREIGN_KEY_WAIT: &str = "postgres.foreign_key_wait";
/// A batch waits until another row gives up a unique value.
pub(crate) const UNIQUE_VALUE_WAIT: &str = "postgres.unique_value_wait";

// Dead letters.

/// A record that cannot be decoded came without a code.
pub(crate) const DECODE_UNKNOWN: &str = "decode.unknown";
/// The record has no key, or lacks a field of `pk.fields`.
pub(crate) const KEY_ABSENT: &str = "apply.key_absent";
/// A field of `pk.fields` is null.
pub(crate) const KEY_NULL: &str = "apply.key_null";
/// A field of `pk.fields` has a type that cannot be a key.
pub(crate) const KEY_TYPE: &str = "apply.key_type";
/// The header `towpath_event_id` is missing, and `pk.mode=event_id`.
pub(crate) const EVENT_ID_ABSENT: &str = "apply.event_id_absent";
/// A truncate has no version, and its table has rows of several partitions.
pub(crate) const TRUNCATE_ACROSS_PARTITIONS: &str = "apply.truncate_across_partitions";
/// A record is not ordered by versions, and its row was written from another partition.
pub(crate) const UNDECIDED_CHANGE: &str = "apply.undecided_change";
/// A delete is not ordered by versions, and its row was written from another partition.
pub(crate) const UNDECIDED_DELETE: &str = "apply.undecided_delete";
/// The source did not have all values of the record, and the table has no row with them.
pub(crate) const UNAVAILABLE_VALUES: &str = "apply.unavailable_values";
/// A record with a new key lacks values, and the row of its old key is not there or is not deleted yet.
pub(crate) const OLD_ROW: &str = "apply.old_row";
/// A partial update is older than its row.
pub(crate) const STALE_PARTIAL_UPDATE: &str = "stale_partial_update";
