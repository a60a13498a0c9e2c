//! The codes of problems of configs.

/// A key is given twice, or by two of its names.
pub const DUPLICATE_KEY: &str = "config.duplicate_key";
/// A value is outside the key's type, range or alternatives, or contradicts another key.
pub const INVALID_VALUE: &str = "config.invalid_value";
/// A required key is missing.
pub const MISSING_KEY: &str = "config.missing_key";
/// The file cannot be read, or is not valid TOML.
pub const SYNTAX: &str = "config.syntax";
/// No struct has the key.
pub const UNKNOWN_KEY: &str = "config.unknown_key";
/// A reference such as `${env:NAME}` cannot be resolved.
pub const UNRESOLVED_REFERENCE: &str = "config.unresolved_reference";
/// A setting works but is probably a mistake. The only code that does not refuse the config.
pub const WARNING: &str = "config.warning";
