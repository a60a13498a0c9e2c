//! Avro: the schemas of our topics, the client of the schema registry, and the codec between events and bytes.
//!
//! Nothing here talks to Kafka. Each room uses only the rooms below it:
//!
//! | room | what lives there |
//! |---|---|
//! | `codec` | encodes events, decodes records into changes, shows records to people (`display`) |
//! | `connect` | Kafka Connect's JSON, with and without schemas |
//! | `registry` | the client of the schema registry |
//! | `schema` | the envelope that we register; the interpretation of any registered schema |
//! | `binary` | Avro's binary encoding |
//! | `codes`, `refusal`, `schema_id` | error codes and two small types that all rooms share |

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
