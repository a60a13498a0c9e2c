//! The signals that end the process.

use std::{fmt, io};

use tokio::signal::unix::{self, SignalKind};

use super::exit::Exit;

/// A request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What process managers send.
    Terminate,
}

impl Signal {
    /// How the process ends when it is ended at once: 128 and the signal's number, as shells have it.
    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit(130),
            Self::Terminate => Exit(143),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Catches the signals from when it is made; until then they end the process.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    /// Begins to catch.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    /// The next one.
    ///
    /// # Cancel safety
    /// Safe: a signal that has not been returned is returned by the next call.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}
