//! Comments and their threads.

use crate::http::{Collection, Source};
use crate::model::resource::{AUTHORS, DATES, ID, Laws, ORGANIZATION, Resource};
use crate::model::{Kind, Stamps};

/// comment.
pub static COMMENT: Resource = Resource {
    name: "comment",
    event: Some(|_| "comment"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};
/// comment_thread.
pub static COMMENT_THREAD: Resource = Resource {
    name: "comment_thread",
    event: Some(|_| "comment_thread"),
    stamps: Stamps::Offset,
    fields: &[&[ID, ORGANIZATION], AUTHORS, DATES],
    custom_fields: false,
    laws: Laws::PLAIN,
};

/// What is served.
pub static SOURCE: Source = Source {
    collections: &[Collection::new("comment", &[Kind::Comment]), Collection::new("comment_thread", &[Kind::CommentThread])],
    endpoints: &[],
};
