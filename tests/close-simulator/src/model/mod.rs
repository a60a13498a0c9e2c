//! The objects of a Close organization: ids, values, records, and the description of every kind. Pure data, no clock
//! and no network.

pub mod id;
pub mod input;
pub mod kind;
pub mod moment;
pub mod record;
pub mod refusal;
pub mod render;
pub mod resource;

pub use id::Id;
pub use kind::Kind;
pub use moment::{Day, Moment, Stamps};
pub use record::{Key, Record, Value};
pub use refusal::Refusal;
