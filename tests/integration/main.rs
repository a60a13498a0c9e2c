//! Towpath against the real broker, registry and database: `make test` brings them up and sets the environment.

mod ambiguity;
mod anchor;
mod answers;
mod closing;
mod configuration;
mod copying;
mod crash;
mod dead_letter_queue;
mod disclosure;
mod edges;
#[cfg(feature = "failpoints")]
mod failpoints;
mod faults;
mod guards;
mod histories;
mod journal;
mod laboratory;
mod modes;
mod offsets;
mod offsets_command;
mod operation;
mod pace;
mod path;
mod peers;
mod preflight;
mod proxy;
mod publisher;
mod put_back;
mod reading;
mod restored;
mod shapes;
mod stack;
mod systematic;
mod types;
mod upgrade;
mod worker;
