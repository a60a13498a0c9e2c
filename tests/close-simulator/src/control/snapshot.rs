//! Writes the whole state to a file and restores it. Faults, limits and counters are not part of it.

use std::path::Path;

use parking_lot::RwLockWriteGuard;
use serde_json::json;

use crate::{
    Simulator,
    http::{Answer, Request},
    model::{Refusal, moment::Stamps},
    snapshot,
};

/// `{"file": "/path"}` writes the state; the answer `{"file": "/path", "bytes": 123456, "now": "…"}` comes after the
/// file is on disk.
pub(super) fn write(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let file = file(request)?;
    let mut world = simulator.world.write();
    world.catch_up();
    // The stored clock holds the time at which it was last set.
    let now = world.clock.now();
    world.clock.set(now);
    let world = RwLockWriteGuard::downgrade(world);
    let bytes = snapshot::write(&world, Path::new(&file)).map_err(|error| Refusal::bad(error.to_string()))?;
    Ok(Answer::json(200, &json!({ "file": file, "bytes": bytes, "now": now.text(Stamps::Offset) })))
}

/// `{"file": "/path"}` replaces the present state with that of the file, the clock included, which runs on from there.
/// A file that cannot be read changes nothing.
pub(super) fn restore(simulator: &Simulator, request: &Request) -> Result<Answer, Refusal> {
    let file = file(request)?;
    let restored = snapshot::read(Path::new(&file)).map_err(|error| Refusal::bad(error.to_string()))?;
    let now = restored.clock.now();
    *simulator.world.write() = restored;
    simulator.wake.notify_waiters();
    Ok(Answer::json(200, &json!({ "file": file, "now": now.text(Stamps::Offset) })))
}

fn file(request: &Request) -> Result<String, Refusal> {
    let body = request.json()?;
    body.text("file")
        .map(str::to_owned)
        .ok_or_else(|| Refusal::field("file", "required: the path of the snapshot file"))
}
