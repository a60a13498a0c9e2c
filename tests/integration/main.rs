//! Towpath against the real broker, registry and database: `make test` brings them up and sets the environment.

mod ambiguity;
mod answers;
mod configuration;
mod crash;
mod disclosure;
#[cfg(feature = "failpoints")]
mod failpoints;
mod faults;
mod guards;
mod histories;
mod operation;
mod path;
mod peers;
mod proxy;
mod publisher;
mod stack;
mod worker;
