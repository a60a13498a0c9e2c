//! Shared by the tests of this room.

pub(super) mod generate;
