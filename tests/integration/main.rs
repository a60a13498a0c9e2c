//! Towpath against the real broker, registry and database: `make test` brings them up and sets the environment.

mod accounting;
mod ambiguity;
mod anchor;
mod answers;
mod closing;
mod commits;
mod configuration;
mod copying;
mod crash;
mod dead_letter_queue;
mod disclosure;
mod edges;
mod ends;
#[cfg(feature = "failpoints")]
mod failpoints;
mod faults;
mod fenced;
mod guards;
mod histories;
mod hostile;
mod isolation;
mod journal;
mod laboratory;
mod modes;
mod offsets;
mod offsets_command;
mod operation;
mod order;
mod pace;
mod path;
mod peers;
mod poison;
mod preflight;
mod proxy;
mod publisher;
mod put_back;
mod reading;
mod recreated;
#[cfg(feature = "failpoints")]
mod references;
mod refusals;
mod restored;
mod shapes;
#[cfg(feature = "failpoints")]
mod silence;
mod stack;
mod superseded;
mod systematic;
mod triggers;
mod types;
mod unknown;
mod unreachable;
mod upgrade;
mod waiting;
mod worker;
