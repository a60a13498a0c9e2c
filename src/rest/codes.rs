//! The error codes of the management listener.

/// The address of a listener cannot be bound to.
pub(crate) const UNAVAILABLE: &str = "rest.unavailable";
/// The requested path does not exist.
pub(crate) const NOT_FOUND: &str = "http.not_found";
/// The requested path does not have the method.
pub(crate) const METHOD_NOT_ALLOWED: &str = "http.method_not_allowed";
/// The body of a request cannot be read, or its members are wrong.
pub(crate) const MALFORMED: &str = "http.malformed";
/// The body of a request is larger than allowed, or was cut.
pub(crate) const TOO_LARGE: &str = "http.too_large";
/// The body of a request did not arrive in time.
pub(crate) const TIMEOUT: &str = "http.timeout";
/// The content type of a request is not JSON.
pub(crate) const MEDIA_TYPE: &str = "http.media_type";
/// No connector of this name that takes snapshots is open on this worker.
pub(crate) const UNKNOWN_CONNECTOR: &str = "snapshot.unknown_connector";
/// The connector does not read an object of this name.
pub(crate) const UNKNOWN_OBJECT: &str = "snapshot.unknown_object";
/// The source does not run at the moment, so it takes no request.
pub(crate) const NOT_RUNNING: &str = "snapshot.not_running";
/// No delete waits for approval.
pub(crate) const NOTHING_WAITS: &str = "snapshot.nothing_waits";
