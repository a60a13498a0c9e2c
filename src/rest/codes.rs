//! The error codes of the management listener.

/// The address of a listener cannot be bound to, or the listener ended.
pub(crate) const UNAVAILABLE: &str = "rest.unavailable";
/// A listener ended with a panic.
pub(crate) const BUG: &str = "rest.bug";
/// The requested path does not exist.
pub(crate) const NOT_FOUND: &str = "http.not_found";
/// The requested path does not have the method.
pub(crate) const METHOD_NOT_ALLOWED: &str = "http.method_not_allowed";
