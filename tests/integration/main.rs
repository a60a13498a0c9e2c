//! Towpath against the real broker, registry and database: `make test` brings them up and sets the environment.

mod anchor;
mod answers;
mod configuration;
mod crash;
mod dead_letter_queue;
mod disclosure;
mod guards;
mod laboratory;
mod modes;
mod operation;
mod pace;
mod path;
mod publisher;
mod reading;
mod restored;
mod shapes;
mod stack;
mod types;
mod upgrade;
mod worker;
