//! Towpath against the real broker, registry and database: `make test` brings them up and sets the environment.

mod crash;
mod guards;
mod path;
mod stack;
mod worker;
