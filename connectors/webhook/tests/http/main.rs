//! Every answer of the webhook over real HTTP.

mod answers; // one status and code after the other
mod bodies; // bodies that are too large, in pieces, or never read
mod lending;
mod listening; // sockets and connections
mod running; // broker, start, stop, load
mod strangers; // clients that send, read or know nothing
mod webhook; // the fixture
mod wild; // what clients in the wild send
