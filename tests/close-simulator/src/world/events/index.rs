//! Positions in the log by the filters of readers, so that a selective filter does not walk the whole log.
//!
//! One ordered set holds every key, 24 bytes per entry, at most five entries per event. It yields a superset that the
//! reader checks, because keys of different columns may collide.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Included},
};

use super::{Event, Name, Place};
use crate::model::{Id, Moment};

/// A part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<'a> {
    All,
    /// Events of one object.
    Object(Id),
    /// Events of a lead and its children.
    Lead(Id),
    /// Events that one user caused.
    User(Id),
    Request(Id),
    /// Events of a type and an action.
    Action(&'a str, &'a str),
    /// Events that one user caused on objects of a type.
    UserOn(Id, &'a str),
}

/// Leads have two keys, as objects and as leads.
const LEAD: u64 = 1 << 63;
const ACTION: u64 = 1 << 62;

const FIRST: Place = (Moment(i64::MIN), 0);
const LAST: Place = (Moment::LAST, u64::MAX);

#[derive(Debug, Default)]
pub(super) struct Index {
    places: BTreeSet<(u64, Place)>,
    /// Types with actions in the order of their first appearance, which numbers them.
    actions: Vec<(Name, Name)>,
}

impl Index {
    pub(super) fn add(&mut self, event: &Event) {
        if !self.actions.contains(&(event.object_type, event.action)) {
            self.actions.push((event.object_type, event.action));
        }
        for key in self.keys(event).into_iter().flatten() {
            self.places.insert((key, event.place()));
        }
    }

    pub(super) fn remove(&mut self, event: &Event) {
        for key in self.keys(event).into_iter().flatten() {
            self.places.remove(&(key, event.place()));
        }
    }

    /// Positions after `place`, excluded: older ones newest first, or newer ones oldest first.
    pub(super) fn from(&self, by: By<'_>, place: Place, newer: bool) -> Box<dyn Iterator<Item = Place> + '_> {
        match by {
            By::UserOn(user, object_type) => Box::new(self.both(raw(user), object_type, place, newer)),
            by => {
                let Some(key) = self.key(by) else { return Box::new(std::iter::empty()) };
                if newer {
                    Box::new(self.places.range((Excluded((key, place)), Included((key, LAST)))).map(|entry| entry.1))
                } else {
                    Box::new(self.places.range((key, FIRST)..(key, place)).rev().map(|entry| entry.1))
                }
            }
        }
    }

    /// Positions under a user and under any action of a type: alternates between both, so that the sparser one
    /// determines the cost.
    fn both(&self, user: u64, object_type: &str, mut place: Place, newer: bool) -> impl Iterator<Item = Place> + '_ {
        let of_type = self.actions.iter().enumerate().filter(|(_, (name, _))| *name == object_type);
        let actions: Vec<u64> = of_type.map(|(number, _)| number as u64 | ACTION).collect();
        let step = move |key: u64, place: Place, inclusive: bool| {
            let (here, edge) = ((key, place), (key, if newer { LAST } else { FIRST }));
            let here = if inclusive { Included(here) } else { Excluded(here) };
            let found = if newer {
                self.places.range((here, Included(edge))).next()
            } else {
                self.places.range((Included(edge), here)).next_back()
            };
            found.map(|entry| entry.1)
        };
        std::iter::from_fn(move || {
            let mut candidate = step(user, place, false)?;
            loop {
                let of_type = actions.iter().filter_map(|key| step(*key, candidate, true));
                let nearest = if newer { of_type.min() } else { of_type.max() }?;
                if nearest != candidate {
                    candidate = step(user, nearest, true)?;
                }
                if nearest == candidate {
                    place = candidate;
                    return Some(place);
                }
            }
        })
    }

    fn key(&self, by: By<'_>) -> Option<u64> {
        match by {
            By::All | By::UserOn(..) => None,
            By::Object(id) | By::User(id) | By::Request(id) => Some(raw(id)),
            By::Lead(id) => Some(raw(id) | LEAD),
            By::Action(object_type, action) => {
                let number = self.actions.iter().position(|known| *known == (object_type, action))?;
                Some(number as u64 | ACTION)
            }
        }
    }

    fn keys(&self, event: &Event) -> [Option<u64>; 5] {
        [
            self.key(By::Object(event.object)),
            event.lead.and_then(|id| self.key(By::Lead(id))),
            event.user.and_then(|id| self.key(By::User(id))),
            event.request.and_then(|id| self.key(By::Request(id))),
            self.key(By::Action(event.object_type, event.action)),
        ]
    }
}

fn raw(id: Id) -> u64 {
    ((id.kind() as u64) << 56) | id.serial()
}
