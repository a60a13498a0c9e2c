//! What is still to be read, and who reads it: objects, and of each the walks that readers have claimed. Pure.

mod live;

use std::collections::BTreeMap;

use live::{Live, pace_of};

use super::rows::{LIMIT, Reader};
use crate::{
    catalogue::Kind,
    moment::Moment,
    position::{ObjectEnd, ObjectPosition},
    walk::{Cursor, Memory, Page, Trouble, Turn, Walk},
};

/// The state of all objects of a run.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) objects: Vec<Object>,
}

/// One object of a run.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) kind: &'static Kind,
    phase: Phase,
    /// True if the position has its walks, or that none is left.
    begun: bool,
    /// Objects that must be over before this one is read, and before it is concluded.
    pub(super) reads_after: Option<usize>,
    pub(super) ends_after: Option<usize>,
    walks: BTreeMap<u32, Live>,
    next: u32,
    /// Why not all of it was read, if so.
    pub(super) incomplete: Option<String>,
    /// True if the list is read by `_skip` alone, since its filter has no effect.
    pub(super) paged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Beginning,
    Reading,
    Ending,
    Over,
}

/// What a reader does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Begin(usize),
    Read(usize, u32),
    Split(usize, u32),
    End(usize),
    /// Nothing now; the board changes when another reader is done.
    Wait,
    /// Nothing any more.
    Over,
}

/// A page to be read.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) walk: Walk,
    pub(super) cursor: Cursor,
}

/// What a page changed.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) fresh: Vec<bool>,
    pub(super) rest: Option<Walk>,
    /// Set if this page showed that not all of the object can be read.
    pub(super) incomplete: Option<String>,
}

/// What became of a walk that Close gives no more of.
#[derive(Debug)]
pub(super) struct Capped {
    /// The walk as it goes on.
    pub(super) rest: Option<Walk>,
    /// A part that was cut off it.
    pub(super) other: Option<(u32, Walk)>,
    pub(super) incomplete: Option<String>,
}

impl Object {
    /// An object as the position has it; `None` if it has not begun.
    pub(super) fn new(kind: &'static Kind, stored: Option<&ObjectPosition>) -> Self {
        let over = stored.is_some_and(|stored| stored.end.is_some());
        let walks = stored.map(|stored| stored.walks.clone()).unwrap_or_default();
        Self {
            kind,
            phase: if over { Phase::Over } else { Phase::Waiting },
            begun: stored.is_some(),
            reads_after: None,
            ends_after: None,
            next: walks.keys().max().map_or(0, |last| last + 1),
            walks: walks.into_iter().map(|(number, walk)| (number, Live::of(walk))).collect(),
            incomplete: stored.and_then(|stored| stored.incomplete.clone()),
            paged: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }
}

impl Board {
    /// The next job, marked as taken. Objects come in their order; a walk is cut only if nothing else is to be done.
    pub(super) fn next(&mut self, now: Moment) -> Job {
        let over: Vec<bool> = self.objects.iter().map(Object::is_over).collect();
        let free = |after: Option<usize>| after.is_none_or(|other| over[other]);
        for (at, object) in self.objects.iter_mut().enumerate() {
            match object.phase {
                Phase::Reading if object.walks.is_empty() && free(object.ends_after) => {
                    object.phase = Phase::Ending;
                    return Job::End(at);
                }
                Phase::Reading => {
                    if let Some((number, live)) = object.walks.iter_mut().find(|(_, live)| !live.claimed) {
                        live.claimed = true;
                        return Job::Read(at, *number);
                    }
                }
                Phase::Waiting if free(object.reads_after) => {
                    object.phase = Phase::Beginning;
                    return Job::Begin(at);
                }
                _ => {}
            }
        }
        let reading = self.objects.iter().enumerate().filter(|(_, object)| object.phase == Phase::Reading);
        let walks = reading.flat_map(|(at, object)| object.walks.iter().map(move |(number, live)| (at, number, live)));
        let largest = walks.filter(|(_, _, live)| live.can_split(now)).max_by_key(|(_, _, live)| live.estimate());
        if let Some((at, number, _)) = largest {
            return Job::Split(at, *number);
        }
        if over.iter().all(|over| *over) { Job::Over } else { Job::Wait }
    }

    /// Lets readers begin with the walks that an object has, or with `walks` if it has not begun. Returns those that
    /// are new.
    pub(super) fn begin(&mut self, at: usize, walks: impl FnOnce() -> Vec<Walk>) -> Option<BTreeMap<u32, Walk>> {
        let object = &mut self.objects[at];
        object.phase = Phase::Reading;
        if std::mem::replace(&mut object.begun, true) {
            return None;
        }
        Some(self.restart(at, walks()))
    }

    /// Replaces all walks of an object.
    pub(super) fn restart(&mut self, at: usize, walks: Vec<Walk>) -> BTreeMap<u32, Walk> {
        let object = &mut self.objects[at];
        let walks: BTreeMap<u32, Walk> = (object.next..).zip(walks).collect();
        object.next = walks.keys().max().map_or(object.next, |last| last + 1);
        object.walks = walks.iter().map(|(number, walk)| (*number, Live::of(walk.clone()))).collect();
        walks
    }

    /// The page that a walk asks for; `None` if the walk is gone.
    pub(super) fn asked(&self, at: usize, number: u32) -> Option<Asked> {
        let live = self.objects[at].walks.get(&number)?;
        Some(Asked { walk: live.walk.clone()?, cursor: live.cursor.clone() })
    }

    /// Takes in a page; `None` if the walk is gone.
    pub(super) fn turn(
        &mut self,
        at: usize,
        number: u32,
        asked: &Asked,
        page: &Page,
        reader: &Reader,
    ) -> Option<Result<Turned, Trouble>> {
        let live = self.objects[at].walks.get_mut(&number)?;
        live.indivisible = false;
        let Live { walk, memory, cursor, left, pages, newest, pace, .. } = live;
        *pages += 1;
        *newest = (*newest).max(page.rows.first().and_then(|row| row.created));
        let turned = match (walk.as_mut()?, &asked.walk) {
            (Walk::Created(range), Walk::Created(asked)) => {
                *pace = pace_of(page);
                range.turn(memory, asked, page)
            }
            (Walk::Found(range), Walk::Found(asked)) => range.turn(memory, cursor, asked, page),
            (Walk::Paged(list), _) => list.turn(memory, page),
            (Walk::Parents(parents), _) if reader.parent(parents).is_none() => {
                Ok(Turn::new(vec![false; page.rows.len()], true))
            }
            (Walk::Parents(parents), _) => parents.list.turn(memory, page).map(|turn| {
                if turn.over {
                    *memory = Memory::default();
                }
                Turn { over: turn.over && reader.pass(parents), ..turn }
            }),
            (Walk::Ids { next, end }, _) => {
                *next += page.rows.len().max(1);
                Ok(Turn::new(vec![true; page.rows.len()], *next >= *end))
            }
            _ => return None,
        };
        let skip = match &asked.walk {
            Walk::Created(range) => range.skip,
            Walk::Paged(list) => list.skip,
            _ => 0,
        };
        *left = match (&asked.walk, page.total) {
            (Walk::Parents(parents), _) => Some(reader.parents_left(parents) * LIMIT),
            (_, Some(total)) => Some(total.saturating_sub(skip + page.rows.len() as u64)),
            (_, None) => left.map(|left| left.saturating_sub(page.rows.len() as u64)),
        };
        let rest = walk.clone();
        let object = &mut self.objects[at];
        if let Ok(Turn { crowded: Some(crowded), .. }) = &turned {
            object.incomplete.get_or_insert_with(|| Trouble::Crowded(*crowded).text());
        }
        let incomplete = object.incomplete.clone();
        if turned.as_ref().is_ok_and(|turn| turn.over) {
            object.walks.remove(&number);
        }
        Some(turned.map(|turn| Turned { fresh: turn.fresh, rest: rest.filter(|_| !turn.over), incomplete }))
    }

    /// Cuts a walk in two, and returns both parts; `None` if nothing is left to be cut.
    pub(super) fn split(
        &mut self,
        at: usize,
        number: u32,
        reader: &Reader,
        now: Moment,
    ) -> Option<(Walk, (u32, Walk))> {
        let object = &mut self.objects[at];
        let live = object.walks.get_mut(&number)?;
        let age = live.age();
        let other = match live.walk.as_mut()? {
            Walk::Created(range) if range.can_split() => range.split(age).map(Walk::Created),
            Walk::Found(range) => range.split(now).map(Walk::Found),
            Walk::Parents(parents) => reader.split(parents).map(Walk::Parents),
            _ => None,
        };
        let Some(other) = other else {
            // Readers without work would try again and again.
            live.indivisible = true;
            return None;
        };
        live.left = live.left.map(|left| left / 2);
        let (rest, left) = (live.walk.clone()?, live.left);
        Some((rest, (self.add(at, other.clone(), left), other)))
    }

    /// Adds a walk that nobody has claimed.
    pub(super) fn add(&mut self, at: usize, walk: Walk, left: Option<u64>) -> u32 {
        let object = &mut self.objects[at];
        let number = object.next;
        object.next += 1;
        object.walks.insert(number, Live { left, ..Live::of(walk) });
        number
    }

    /// Close refused `_skip` above `cap`; `None` if the walk is gone.
    pub(super) fn capped(&mut self, at: usize, number: u32, cap: u64, reader: &Reader) -> Option<Capped> {
        let object = &mut self.objects[at];
        let live = object.walks.get_mut(&number)?;
        let Walk::Created(range) = live.walk.as_mut()? else {
            let reason = format!("a list has more than {cap} rows, and Close skips no more");
            return self.passed(at, number, reader, Some(reason));
        };
        live.memory = Memory::default();
        let (over, lower) = match range.capped(cap) {
            Ok(lower) => (false, lower),
            Err(trouble) => {
                object.incomplete.get_or_insert_with(|| trouble.text());
                (range.unsorted || range.is_empty(), None)
            }
        };
        let (rest, incomplete) = self.left_behind(at, number, over)?;
        let other = lower.map(|lower| {
            let lower = Walk::Created(lower);
            (self.add(at, lower.clone(), None), lower)
        });
        Some(Capped { rest, other, incomplete })
    }

    /// Leaves the list that a walk is at: that of the next parent, or all of it. With a reason, the object is
    /// incomplete. `None` if the walk is gone.
    pub(super) fn passed(
        &mut self,
        at: usize,
        number: u32,
        reader: &Reader,
        incomplete: Option<String>,
    ) -> Option<Capped> {
        let object = &mut self.objects[at];
        let live = object.walks.get_mut(&number)?;
        live.memory = Memory::default();
        let over = match live.walk.as_mut()? {
            Walk::Parents(parents) => reader.pass(parents),
            _ => true,
        };
        object.incomplete = object.incomplete.take().or(incomplete);
        let (rest, incomplete) = self.left_behind(at, number, over)?;
        Some(Capped { rest, other: None, incomplete })
    }

    /// The rest of a walk, and why its object is incomplete, if so.
    fn left_behind(&mut self, at: usize, number: u32, over: bool) -> Option<(Option<Walk>, Option<String>)> {
        let object = &mut self.objects[at];
        let rest = object.walks.get(&number)?.walk.clone().filter(|_| !over);
        if over {
            object.walks.remove(&number);
        }
        Some((rest, object.incomplete.clone()))
    }

    /// The rows of an object that are probably left, if Close says so.
    pub(super) fn left(&self, at: usize) -> Option<u64> {
        let walks = self.objects[at].walks.values();
        walks
            .map(|live| match live.walk {
                Some(Walk::Created(_) | Walk::Found(_) | Walk::Paged(_)) => live.left,
                _ => None,
            })
            .sum()
    }

    /// The cursor of a walk has expired.
    pub(super) fn expired(&mut self, at: usize, number: u32) {
        if let Some(live) = self.objects[at].walks.get_mut(&number) {
            live.cursor = Cursor::default();
        }
    }

    /// Notes that an object is over.
    pub(super) fn end(&mut self, at: usize) {
        let object = &mut self.objects[at];
        object.phase = Phase::Over;
        object.walks.clear();
    }

    /// The end of an object all of whose walks are over.
    pub(super) fn end_of(&self, at: usize) -> ObjectEnd {
        match &self.objects[at].incomplete {
            None => ObjectEnd::Done,
            Some(reason) => ObjectEnd::Incomplete { reason: reason.clone() },
        }
    }
}

#[cfg(test)]
mod tests;
