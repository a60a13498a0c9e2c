//! Avro: the schemas of our topics, the registry that keeps them, and the bytes between events and topics.
//!
//! Nothing here knows Kafka. Each room uses only those below it:
//!
//! | room | what lives there |
//! |---|---|
//! | `codec` | events to bytes, bytes to changes; records as JSON for people (`display`) |
//! | `connect` | Kafka Connect's JSON, with schemas and without |
//! | `registry` | the client of the schema registry |
//! | `schema` | the envelope that we register; the meaning of any registered schema |
//! | `binary` | Avro's binary encoding |
//! | `refusal`, `schema_id` | the two words that all of them share |

mod binary;
pub mod codec;
pub mod codes;
mod connect;
mod refusal;
pub mod registry;
mod schema;
mod schema_id;
#[cfg(test)]
mod tests;

pub use schema::envelope;
