//! The truth: every object of the organization, now or at an earlier moment, one line each, without volatile fields and
//! fields of other objects. It is streamed, and consistent as of one moment although changes continue.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    Simulator,
    http::Request,
    model::{
        Id, Kind, Moment, Refusal,
        render::{self, Selection},
    },
    world::{
        World,
        view::{Past, View},
    },
};

/// Lines rendered under one lock.
const PORTION: usize = 500;

/// A request for the truth.
pub(super) struct Question {
    /// Requested kinds.
    pub(super) kinds: Vec<Kind>,
    /// The moment of the reading.
    pub(super) at: Moment,
}

/// `object=lead,contact` (all if absent) and `at=…` (now if absent).
pub(super) fn asked(simulator: &Simulator, request: &Request) -> Result<Question, Refusal> {
    let stored = || Kind::ALL.iter().copied().filter(|kind| !kind.resource().fields.is_empty());
    let mut kinds = Vec::new();
    for name in request.param("object").unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let before = kinds.len();
        kinds.extend(stored().filter(|kind| kind.resource().name == name));
        if kinds.len() == before {
            let known: Vec<&str> = stored().map(|kind| kind.resource().name).collect();
            return Err(Refusal::bad(format!("unknown object `{name}`; must be one of {}", known.join(", "))));
        }
    }
    if kinds.is_empty() {
        kinds.extend(stored());
    }
    let world = simulator.read();
    let now = world.clock.now();
    let at = request.moment("at")?.unwrap_or(now);
    if world.history.kept_from().is_some_and(|from| at < from) {
        let from = world.history.kept_from().unwrap_or(now).text(crate::model::Stamps::Offset);
        return Err(Refusal::bad(format!(
            "the state at that moment is no longer available: changes are kept since {from}"
        )));
    }
    Ok(Question { kinds, at: at.min(now) })
}

pub(super) fn lines(simulator: &Arc<Simulator>, request: &Request) -> Result<mpsc::Receiver<Bytes>, Refusal> {
    let mut walk = Walk::new(&simulator.read(), &asked(simulator, request)?);
    Ok(super::lines::stream(simulator, move |world, out| {
        walk.portion(world, PORTION, |_, line| {
            out.extend_from_slice(line);
            out.push(b'\n');
        })
    }))
}

/// A walk over the objects as of one moment, in portions.
pub(super) struct Walk {
    at: Moment,
    past: Arc<Past>,
    ids: Vec<Id>,
    next: usize,
    line: Vec<u8>,
}

impl Walk {
    /// Notes which objects existed.
    pub(super) fn new(world: &World, question: &Question) -> Self {
        let past = Arc::new(Past::at(world, question.at));
        let view = View::of_past(world, None, question.at, Arc::clone(&past));
        let ids = question
            .kinds
            .iter()
            .flat_map(|kind| view.all(*kind).map(|record| record.id).collect::<Vec<_>>())
            .collect();
        Self { at: question.at, past, ids, next: 0, line: Vec::new() }
    }

    /// Renders at most `size` lines; returns true if more follow.
    pub(super) fn portion(&mut self, world: &World, size: usize, mut take: impl FnMut(Id, &[u8])) -> bool {
        Arc::make_mut(&mut self.past).follow(world);
        let view = View::of_past(world, None, self.at, Arc::clone(&self.past));
        let end = self.ids.len().min(self.next + size);
        for id in &self.ids[self.next..end] {
            if let Some(record) = view.get(*id) {
                self.line.clear();
                render::write(&view, record, render::TRUTH, &Selection::Default, &mut self.line);
                take(*id, &self.line);
            }
        }
        self.next = end;
        self.next < self.ids.len()
    }
}
