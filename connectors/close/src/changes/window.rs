//! The events that are published, as far back as the log is read again.

use std::collections::BTreeSet;

use crate::moment::Moment;

/// The identities, id and `date_updated`, of the published events that a walk may see again. An event that Close
/// consolidates keeps its id and gets a later `date_updated`: it is another identity.
#[derive(Debug, Default)]
pub(super) struct Window {
    seen: BTreeSet<(Moment, Box<str>)>,
    /// What is older was forgotten.
    floor: Option<Moment>,
    newest: Option<Moment>,
}

impl Window {
    pub(super) fn contains(&self, at: Moment, id: &str) -> bool {
        self.seen.contains(&(at, Box::from(id)))
    }

    pub(super) fn add(&mut self, at: Moment, id: &str) {
        self.newest = self.newest.max(Some(at));
        if self.floor.is_none_or(|floor| at >= floor) {
            self.seen.insert((at, Box::from(id)));
        }
    }

    /// Adds an event by the `event_id` of its record, `<id>@<date_updated>`. Other ids, such as those of rows, are
    /// ignored.
    pub(super) fn learn(&mut self, event_id: &str) {
        let parts = event_id.split_once('@').filter(|(id, _)| id.starts_with("ev_"));
        if let Some((id, at)) = parts.and_then(|(id, date)| Some((id, Moment::parse(date)?))) {
            self.add(at, id);
        }
    }

    /// Forgets what is older than `floor`.
    pub(super) fn forget(&mut self, floor: Moment) {
        if self.floor.is_none_or(|known| known < floor) {
            self.floor = Some(floor);
            self.seen = self.seen.split_off(&(floor, Box::from("")));
        }
    }

    /// Events that are older may have been published and forgotten.
    pub(super) fn floor(&self) -> Option<Moment> {
        self.floor
    }

    /// The time of the newest event that was ever added.
    pub(super) fn newest(&self) -> Option<Moment> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirk_23_a_consolidated_event_is_another_one() {
        let mut window = Window::default();
        window.learn("ev_1@2026-02-03T09:15:33.481000");
        let at = |text| Moment::parse(text).unwrap();
        assert!(window.contains(at("2026-02-03T09:15:33.481000"), "ev_1"));
        assert!(!window.contains(at("2026-02-03T09:15:33.482000"), "ev_1"));
        assert!(!window.contains(at("2026-02-03T09:15:33.481000"), "ev_2"));
    }

    #[test]
    fn ids_of_rows_and_of_a_merged_source_are_not_events() {
        let mut window = Window::default();
        for id in ["lead/lead_1@0123456789abcdef", "lead/lead_1@gone:1", "ev_1@2026-02-03T09:15:33/source", "ev_2"] {
            window.learn(id);
        }
        assert_eq!(window.newest(), None);
    }

    #[test]
    fn what_is_older_than_the_floor_is_forgotten_and_stays_so() {
        let mut window = Window::default();
        for at in 1..=4 {
            window.add(Moment(at), "ev_1");
        }
        window.forget(Moment(3));
        window.forget(Moment(1));
        window.add(Moment(2), "ev_1");
        assert_eq!((1..=4).filter(|at| window.contains(Moment(*at), "ev_1")).collect::<Vec<_>>(), [3, 4]);
        assert_eq!((window.floor(), window.newest()), (Some(Moment(3)), Some(Moment(4))));
    }
}
