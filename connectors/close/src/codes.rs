//! Error codes of the Close source, in the worker's log and states.

/// Close does not answer, or answers 5xx, or its answer is cut or not JSON.
pub(crate) const UNAVAILABLE: &str = "close.unavailable";
/// 429: the allowance of the key, or of the organization, is used up.
pub(crate) const RATE_LIMITED: &str = "close.rate_limited";
/// 401: Close does not know the key.
pub(crate) const KEY_REFUSED: &str = "close.key_refused";
/// 403: the key's user may not read this.
pub(crate) const FORBIDDEN: &str = "close.forbidden";
/// 404: the object does not exist, or the key's user does not see it.
pub(crate) const NOT_FOUND: &str = "close.not_found";
/// Another status that waiting does not change.
pub(crate) const REFUSED: &str = "close.refused";
/// One request keeps failing while Close answers others.
pub(crate) const FAILING: &str = "close.failing";
/// An answer is larger than one that is taken.
pub(crate) const TOO_LARGE: &str = "close.too_large";
/// `close.api.url` is not an address, or what answers there is not Close.
pub(crate) const URL: &str = "close.url";
/// The stored position belongs to another organization.
pub(crate) const OTHER_ORGANIZATION: &str = "close.other_organization";
/// The stored position cannot be read.
pub(crate) const POSITION: &str = "close.position";
/// A base schema cannot be combined with the organization's fields.
pub(crate) const SCHEMA: &str = "close.schema";
/// An object's list cannot be read, or not all of it.
pub(crate) const OBJECT_UNREADABLE: &str = "close.object_unreadable";
/// A comparison would delete more records of an object than it may without approval.
pub(crate) const DELETES_WAIT: &str = "close.deletes_wait";
/// The check at the end of a run found another number of records, or others, than Close has.
pub(crate) const DIFFERS: &str = "close.differs";
/// The event log no longer reached back to the position, and `snapshot.mode` lets no comparison make it good.
pub(crate) const GAP: &str = "close.gap";
/// A notice cannot be posted to `notify.webhook.url`; it is tried again.
pub(crate) const NOTICE_WEBHOOK: &str = "close.notice_webhook";
/// A notice cannot be sent to `notify.email`; it is tried again.
pub(crate) const NOTICE_EMAIL: &str = "close.notice_email";
/// The source starts again by itself, since an object that waited was prepared.
pub(crate) const REOPENED: &str = "close.reopened";
