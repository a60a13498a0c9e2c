//! The standard views of all sources, and how a sink's store stands to them.

use towpath_api::StandardView;

/// The views that connectors declare over the tables of their objects. Every sink with tables is offered all of them.
pub fn standard_views() -> &'static [StandardView] {
    towpath_close::standard_views()
}

/// A standard view in the store of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewCheck {
    /// The name of the view as declared.
    pub view: &'static str,
    /// The full name.
    pub name: String,
    /// Why it is missing or outdated; `None` if it is installed.
    pub why_not: Option<String>,
    /// The tables that it does without, each with the reason.
    pub without: Vec<String>,
}
