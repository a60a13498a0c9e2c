//! Error codes of the webhook, in its answers and in the worker's log.

/// A schema file cannot be used, or the connector's name cannot be part of a path.
pub(crate) const CONFIG: &str = "webhook.config";
/// An address of `webhook.listeners` cannot be bound to.
pub(crate) const LISTENER: &str = "webhook.listener";

/// 400, 405, 408: the request is not a post, exceeds a limit, or did not arrive in full.
pub(crate) const MALFORMED: &str = "webhook.malformed";
/// 401: the credentials are missing or wrong.
pub(crate) const CREDENTIALS: &str = "webhook.credentials";
/// 429: too many wrong credentials came from the address of the client.
pub(crate) const ATTEMPTS: &str = "webhook.attempts";
/// 404: the worker has no webhook connector of this name.
pub(crate) const UNKNOWN_CONNECTOR: &str = "webhook.unknown_connector";
/// 404: the webhook has no object of this name.
pub(crate) const UNKNOWN_OBJECT: &str = "webhook.unknown_object";
/// 413: the body exceeds `body.max.bytes`, or an event exceeds the limit of its topic. 431: the head of the request
/// exceeds the limits of the listener.
pub(crate) const TOO_LARGE: &str = "webhook.too_large";
/// 415: the body is not `application/json` in UTF-8, or is encoded.
pub(crate) const CONTENT_TYPE: &str = "webhook.content_type";
/// 422: the data does not fit the agreed schema, or an event can never be stored.
pub(crate) const SCHEMA: &str = "webhook.schema";
/// 503: Kafka or the registry is away, or the connector is not running.
pub(crate) const UNAVAILABLE: &str = "webhook.unavailable";
/// 503: events of this object cannot be published until its topic or its schema is changed.
pub(crate) const OBJECT_UNAVAILABLE: &str = "webhook.object_unavailable";
/// 503: the connector is stopping.
pub(crate) const DRAINING: &str = "webhook.draining";
/// 503: `requests.max.in.flight` requests are in flight, or bodies that are being read hold `webhook.bodies.max.bytes`.
pub(crate) const OVERLOADED: &str = "webhook.overloaded";
