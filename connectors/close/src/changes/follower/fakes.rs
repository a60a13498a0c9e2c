//! A log whose events become visible late, in any order, and are consolidated; and topics that survive a kill.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use towpath_api::{Error, ErrorType};

use super::*;
use crate::{changes::log::Page, codes, record::LogEvent};

/// A version of an event.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: u32,
    pub(super) at: Moment,
    pub(super) visible: Moment,
    /// When a consolidation replaced it.
    pub(super) gone: Option<Moment>,
}

impl Row {
    pub(super) fn identity(&self) -> String {
        format!("ev_{}@{}", self.id, self.at)
    }
}

/// What goes wrong with the next page.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Its cursor is no longer taken.
    Expired,
    /// It gives the cursor with which it was asked.
    Repeated,
    /// It begins again at the newest event.
    Forward,
    /// No answer.
    Away,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) rows: Vec<Row>,
    pub(super) now: Moment,
    pub(super) faults: VecDeque<Option<Fault>>,
    pub(super) pages: usize,
    /// Time that passes with each page.
    pub(super) page_takes: Duration,
    pub(super) page: usize,
    pub(super) kept: Option<Duration>,
    /// The size of each event.
    pub(super) event_bytes: usize,
}

impl World {
    /// The visible events, newest first; those of one time in the reverse of their order.
    fn visible(&self) -> Vec<(usize, &Row)> {
        let oldest = self.kept.map_or(Moment(i64::MIN), |kept| self.now.minus(kept));
        let visible =
            |row: &Row| row.visible <= self.now && row.gone.is_none_or(|gone| gone > self.now) && row.at >= oldest;
        let mut rows: Vec<(usize, &Row)> = self.rows.iter().enumerate().filter(|(_, row)| visible(row)).collect();
        rows.sort_by_key(|(index, row)| std::cmp::Reverse((row.at, *index)));
        rows
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct FakeLog(pub(super) Arc<Mutex<World>>);

impl Log for FakeLog {
    async fn page(&self, place: &Place) -> Result<Page> {
        tokio::task::yield_now().await;
        let mut world = self.0.lock().unwrap();
        world.pages += 1;
        world.now = world.now.plus(world.page_takes);
        let fault = world.faults.pop_front().flatten();
        let visible = world.visible();
        let mut rows: Vec<(usize, &Row)> = match (place, fault) {
            (_, Some(Fault::Away)) => return Err(Error::retry(codes::UNAVAILABLE, ErrorType::Decode, "read")),
            (Place::Cursor(_), Some(Fault::Expired)) => {
                return Err(Error::fatal(codes::REFUSED, ErrorType::BadRequest, "read"));
            }
            (Place::Cursor(_), Some(Fault::Forward)) => visible.clone(),
            (Place::Cursor(cursor), _) => {
                let (at, index) = cursor.split_once(':').unwrap();
                let place = (Moment(at.parse().unwrap()), index.parse::<usize>().unwrap());
                visible.iter().copied().filter(|(index, row)| (row.at, *index) < place).collect()
            }
            (Place::Range { from, before }, _) => {
                let within = |row: &Row| row.at >= *from && before.is_none_or(|before| row.at < before);
                visible.iter().copied().filter(|(_, row)| within(row)).collect()
            }
        };
        let more = rows.len() > world.page;
        rows.truncate(world.page);
        let older = rows.last().filter(|_| more).map(|(index, row)| format!("{}:{index}", row.at.0));
        let older = match (place, fault) {
            (Place::Cursor(cursor), Some(Fault::Repeated)) => Some(cursor.clone()),
            _ => older,
        };
        let bytes = rows.len() * world.event_bytes;
        let events = rows.into_iter().map(|(_, row)| dated(row.id, row.at)).collect();
        Ok(Page { events, older, bytes })
    }

    /// Like the header `Date`: whole seconds, never ahead.
    fn now(&self) -> Option<Moment> {
        Some(self.0.lock().unwrap().now.second())
    }
}

pub(super) fn dated(id: u32, at: Moment) -> Dated {
    let event = LogEvent {
        id: format!("ev_{id}"),
        date_updated: at.text(),
        object_type: "lead".to_owned(),
        object_id: format!("lead_{id}"),
        action: "updated".to_owned(),
        data: None,
        previous_data: None,
        meta: None,
    };
    Dated { at, event }
}

#[derive(Debug, Default)]
pub(super) struct Topics {
    pub(super) position: ClosePosition,
    /// Two topics; an event is in that of its id.
    pub(super) records: [Vec<String>; 2],
    /// Steps until the process is killed, and whether the last one is committed.
    pub(super) kill: Option<(u32, bool)>,
    pub(super) lost: Vec<String>,
    pub(super) read_back: usize,
    /// The most new events of a walk.
    pub(super) most: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct FakeLedger(pub(super) Arc<Mutex<Topics>>);

pub(super) fn killed() -> Error {
    Error::retry("test.killed", ErrorType::Internal, "publish")
}

impl Ledger for FakeLedger {
    fn mark(&self) -> Option<Moment> {
        self.0.lock().unwrap().position.log
    }

    fn noted(&self) -> Vec<Ends> {
        self.0.lock().unwrap().position.ends.clone()
    }

    fn walked(&self, found: &Found) {
        let mut topics = self.0.lock().unwrap();
        topics.most = topics.most.max(found.fresh.len());
    }

    async fn publish(&mut self, events: &[Dated], change: Change) -> Result<()> {
        tokio::task::yield_now().await;
        assert!(events.is_sorted_by_key(|dated| dated.at), "ascending");
        let mut topics = self.0.lock().unwrap();
        let die = match &mut topics.kill {
            Some((0, committed)) => Some(*committed),
            Some((steps, _)) => {
                *steps -= 1;
                None
            }
            None => None,
        };
        if die == Some(false) {
            return Err(killed());
        }
        for dated in events {
            let id: u32 = dated.event.id.strip_prefix("ev_").unwrap().parse().unwrap();
            topics.records[id as usize % 2].push(dated.event.identity());
        }
        change(&mut topics.position);
        if die.is_some() { Err(killed()) } else { Ok(()) }
    }

    async fn ends(&self) -> Result<BTreeMap<String, Vec<i64>>> {
        let topics = self.0.lock().unwrap();
        let end = |topic: usize| (topic.to_string(), vec![i64::try_from(topics.records[topic].len()).unwrap()]);
        Ok([end(0), end(1)].into())
    }

    async fn read<'a>(
        &'a self,
        from: &'a BTreeMap<String, Vec<i64>>,
        each: &'a mut (dyn FnMut(&str) + Send),
    ) -> Result<()> {
        let mut topics = self.0.lock().unwrap();
        for topic in 0..2 {
            let from = from.get(&topic.to_string()).map_or(0, |offsets| usize::try_from(offsets[0]).unwrap());
            topics.read_back += topics.records[topic].len() - from;
            topics.records[topic][from..].iter().for_each(|event_id| each(event_id));
        }
        Ok(())
    }

    fn lost(&self, reason: &str) {
        self.0.lock().unwrap().lost.push(reason.to_owned());
    }
}
