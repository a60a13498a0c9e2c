//! Statuses by label in bodies.
//!
//! Deprecated, but vendor scripts still send it (reference, section 4.1). A body is reworded before it is read.

use crate::{
    model::{Id, Kind, Record},
    world::view::View,
};

/// The status of a kind with a label, or else the first whose `type` is that word; labels ignore case.
pub fn status(view: &View<'_>, kind: Kind, label: &str, fits: impl Fn(&Record) -> bool) -> Option<Id> {
    let find =
        |is: &dyn Fn(&Record) -> bool| view.all(kind).find(|status| fits(status) && is(status)).map(|status| status.id);
    find(&|status| status.text("label") == Some(label))
        .or_else(|| find(&|status| status.text("label").is_some_and(|known| known.eq_ignore_ascii_case(label))))
        .or_else(|| find(&|status| status.text("type") == Some(label)))
}
