//! Work that ends by itself: today the snapshots of sources, which the management API shows and starts.
//!
//! This room knows no connector and no route. A connector registers what it can do while it is open, and the API finds
//! it here by the connector's name.

mod snapshots;

pub use snapshots::Snapshots;
