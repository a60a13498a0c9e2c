//! The schema of an object, prepared for mapping rows.

use std::sync::Arc;

use towpath_api::Object;

use super::Fields;
use crate::catalogue::Kind;

/// The schema of one object, with what is needed to map its rows.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) kind: &'static Kind,
    pub(crate) object: Arc<Object>,
    /// The way from a row to the fields of the schema.
    pub(crate) fields: Fields,
}
