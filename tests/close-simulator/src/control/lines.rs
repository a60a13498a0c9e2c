//! Streams answers of unbounded length: a thread renders a portion under the lock, releases it, and waits for the
//! reader.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Simulator, world::World};

/// Portions to buffer for a slow reader.
const WAITING: usize = 4;

/// Calls `portion` until it returns false or the reader is gone. `portion` appends lines and returns true if more
/// follow.
pub(super) fn stream(
    simulator: &Arc<Simulator>,
    mut portion: impl FnMut(&World, &mut Vec<u8>) -> bool + Send + 'static,
) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let simulator = Arc::clone(simulator);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut out = Vec::new();
            let more = portion(&simulator.world.read(), &mut out);
            if sender.blocking_send(out.into()).is_err() || !more {
                return;
            }
        }
    });
    receiver
}
