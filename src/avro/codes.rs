//! Error codes of this room: they appear in logs, dead letters and documentation, and never change.

/// A key or value is too short for a schema id, or begins with another byte; or the header names no schema.
pub const FRAMING: &str = "decode.framing";
/// Bytes are left over after the key or value has been read.
pub const TRAILING_BYTES: &str = "decode.trailing_bytes";
/// The bytes end before the value does.
pub const TRUNCATED: &str = "decode.truncated";
/// A string is not UTF-8.
pub const UTF8: &str = "decode.utf8";
/// A length or count is negative, or larger than the remaining bytes.
pub const LENGTH: &str = "decode.length";
/// A date or time has more digits than microseconds.
pub const NANOSECONDS: &str = "decode.nanoseconds";
/// A number is outside the range of its semantic type.
pub const OUT_OF_RANGE: &str = "decode.out_of_range";
/// The values of a record take more memory than a record may take.
pub const TOO_LARGE: &str = "decode.too_large";
/// The bytes do not match the schema in any other way.
pub const MALFORMED: &str = "decode.malformed";
/// `changed` names a field that the record's schema lacks.
pub const UNKNOWN_FIELD: &str = "decode.unknown_field";
/// `op` is not a known letter.
pub const UNKNOWN_OP: &str = "decode.unknown_op";
/// A create, update or read has no `after`.
pub const NO_AFTER: &str = "decode.no_after";
/// A key, or a field of a key, is null.
pub const KEY_NULL: &str = "decode.key_null";
/// A key, or a field of a key, has a type that cannot identify a record.
pub const KEY_TYPE: &str = "decode.key_type";
/// A schema is too large, or not a valid Avro or Connect schema.
pub const UNUSABLE_SCHEMA: &str = "decode.unusable_schema";
/// The field that `version.field` names is null.
pub const VERSION_NULL: &str = "decode.version_null";
/// The field that `version.field` names is not a number, date or timestamp.
pub const VERSION_TYPE: &str = "decode.version_type";
/// The version is negative or too large.
pub const VERSION_RANGE: &str = "decode.version_range";
/// The schema lacks the field that `version.field` names.
pub const VERSION_ABSENT: &str = "decode.version_absent";
/// A record in JSON without a schema contains Debezium's placeholder for an unavailable value.
pub const UNAVAILABLE_VALUE: &str = "decode.unavailable_value";
/// The field that `delete.field` names has a value that neither marks a delete nor another change.
pub const DELETED_FIELD: &str = "decode.deleted_field";
/// A key or value is not JSON.
pub const JSON: &str = "decode.json";
/// JSON lacks `schema` and `payload`, or has more than these two.
pub const JSON_SCHEMA: &str = "decode.json_schema";
/// A JSON payload does not match its own schema.
pub const JSON_PAYLOAD: &str = "decode.json_payload";

/// An event does not match the schema of its object.
pub const ENCODE_MISFIT: &str = "encode.misfit";
/// The schema of an object is recursive, or cannot be placed in an envelope.
pub const OBJECT_SCHEMA: &str = "schema.unusable";

/// The registry cannot be reached, answers with a server error, or limits the rate of requests.
pub const REGISTRY_UNAVAILABLE: &str = "registry.unavailable";
/// The registry rejects the credentials.
pub const REGISTRY_AUTH: &str = "registry.auth";
/// A schema is not compatible with earlier versions of its subject.
pub const INCOMPATIBLE: &str = "registry.incompatible";
/// The registry rejects a request as invalid, or the server is not a schema registry.
pub const REGISTRY_REFUSED: &str = "registry.refused";
/// The registry has no schema under the id.
pub const UNKNOWN_SCHEMA: &str = "registry.unknown_schema";
/// The registry has something other than an Avro schema under the id.
pub const NOT_AVRO: &str = "registry.unusable_schema";
/// The registry does not support lookups by guid.
pub const NO_GUIDS: &str = "registry.no_guids";
/// `schema.registry.url` is not a list of HTTP URLs.
pub const REGISTRY_URL: &str = "config.invalid_value";
