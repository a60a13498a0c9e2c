//! The error codes of the management listener.

/// The address of a listener cannot be bound to.
pub(crate) const UNAVAILABLE: &str = "rest.unavailable";
/// The requested path does not exist.
pub(crate) const NOT_FOUND: &str = "http.not_found";
/// The requested path does not have the method.
pub(crate) const METHOD_NOT_ALLOWED: &str = "http.method_not_allowed";
