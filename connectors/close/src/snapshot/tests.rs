//! Runs against the simulator, with topics in memory.

mod budget;
mod comparison;
mod failing;
mod first;
pub(crate) mod laboratory;
mod requests;
