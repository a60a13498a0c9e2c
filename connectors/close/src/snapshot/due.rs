//! Which run is due. Pure.

use std::time::Duration;

use crate::{
    catalogue::{Kind, Listing},
    config::{CloseConfig, SnapshotMode},
    moment::Moment,
    position::{ClosePosition, Held, ObjectEnd, RunKind, SnapshotRequest},
};

/// A run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) kind: RunKind,
    pub(super) reason: String,
    pub(super) request: SnapshotRequest,
}

impl Due {
    fn new(kind: RunKind, reason: impl Into<String>, request: SnapshotRequest) -> Self {
        Self { kind, reason: reason.into(), request }
    }
}

/// The run that is due at `now`, if one is. `starting` is true until the first run since the connector was started.
pub(super) fn due(
    config: &CloseConfig,
    kinds: &[&'static Kind],
    position: &ClosePosition,
    now: Moment,
    starting: bool,
) -> Option<Due> {
    let automatic = config.snapshot_mode != SnapshotMode::Never;
    let unread = |kind: &&&Kind| !position.whole.contains_key(kind.name) && !position.held.contains_key(kind.name);
    let unread: Vec<String> = kinds.iter().filter(unread).map(|kind| kind.name.to_owned()).collect();
    if automatic && !unread.is_empty() {
        let all = unread.len() == kinds.len();
        let reason = if all { "nothing was read yet" } else { "objects that were not read yet" };
        let objects = if all { Vec::new() } else { unread };
        return Some(Due::new(RunKind::First, reason, SnapshotRequest { objects, ..SnapshotRequest::default() }));
    }
    let gap = open_gap(position).is_some();
    if gap && config.snapshot_mode.makes_good() {
        let reason = "the event log no longer reached back to the position";
        return Some(Due::new(RunKind::Comparison, reason, SnapshotRequest::default()));
    }
    if let Some(request) = position.requests.first() {
        let (kind, reason) = if !request.approved.is_empty() {
            (RunKind::Approved, "deletes were approved")
        } else if *request == SnapshotRequest::default() {
            // Of everything: what differs suffices, and what is gone is found.
            (RunKind::Comparison, "a request")
        } else {
            (RunKind::Requested, "a request")
        };
        return Some(Due::new(kind, reason, request.clone()));
    }
    // One that could not be compared then is tried again after a while, whatever the mode.
    let differs = |held: &Held| match held.end {
        ObjectEnd::AwaitsApproval { .. } => false,
        _ if held.again => held.since.plus(config.compare_interval) <= now,
        ObjectEnd::Differs { .. } => true,
        _ => false,
    };
    let differing = kinds.iter().filter(|kind| position.held.get(kind.name).is_some_and(differs));
    let objects: Vec<String> = differing.map(|kind| kind.name.to_owned()).collect();
    if !objects.is_empty() {
        let reason = "objects that are known to differ";
        return Some(Due::new(RunKind::Comparison, reason, SnapshotRequest { objects, ..SnapshotRequest::default() }));
    }
    if automatic && starting && config.snapshot_mode == SnapshotMode::Always {
        return Some(Due::new(RunKind::Comparison, "`snapshot.mode` is `always`", SnapshotRequest::default()));
    }
    let next = next_comparison(config, position)?;
    (next <= now).then(|| Due::new(RunKind::Comparison, "`compare.interval`", SnapshotRequest::default()))
}

/// The time up to which the log is known to be incomplete, if no comparison has made it good.
pub(super) fn open_gap(position: &ClosePosition) -> Option<Moment> {
    position.gap.filter(|gap| position.compared.is_none_or(|compared| compared < *gap))
}

/// Close's time at which the next comparison is due. `initial` waits for a person while the log has a gap.
pub(super) fn next_comparison(config: &CloseConfig, position: &ClosePosition) -> Option<Moment> {
    let waits = match config.snapshot_mode {
        SnapshotMode::Never => true,
        SnapshotMode::Initial => open_gap(position).is_some(),
        SnapshotMode::Always | SnapshotMode::WhenNeeded => false,
    };
    position.compared.filter(|_| !waits).map(|compared| compared.plus(config.compare_interval))
}

/// The time to sleep until `next`, at most a second, since Close's clock may differ from ours.
pub(super) fn pause(next: Option<Moment>, now: Moment) -> Duration {
    let most = Duration::from_secs(1);
    next.map_or(most, |next| next.since(now).clamp(Duration::from_millis(20), most))
}

/// The objects of a run in the order in which they are read: the small lists, then leads and what belongs to them.
pub(super) fn ordered(kinds: &[&'static Kind], request: &SnapshotRequest) -> Vec<&'static Kind> {
    let rank = |kind: &&Kind| match kind.listing {
        Listing::Full(_) | Listing::FullThenSingle(_) | Listing::Organization => 0,
        Listing::Searched => 1,
        Listing::Dated(_) => 2,
        Listing::PerParent { .. } => 3,
    };
    let wanted = |kind: &&&Kind| request.objects.is_empty() || request.objects.iter().any(|name| name == kind.name);
    let mut kinds: Vec<&'static Kind> = kinds.iter().filter(wanted).copied().collect();
    kinds.sort_by_key(rank);
    kinds
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{catalogue::kind, client::tests::config};

    const NOW: Moment = Moment(1_000_000_000_000);

    fn kinds() -> Vec<&'static Kind> {
        ["custom_object", "note", "lead", "sequence"].map(|name| kind(name).unwrap()).to_vec()
    }

    fn read(compared: Moment) -> ClosePosition {
        let whole: BTreeMap<String, Moment> = kinds().iter().map(|kind| (kind.name.to_owned(), compared)).collect();
        ClosePosition { whole, compared: Some(compared), ..ClosePosition::default() }
    }

    fn due_in(mode: &str, position: &ClosePosition, starting: bool) -> Option<(RunKind, Vec<String>)> {
        let config = config("http://localhost/", "key", &[("snapshot.mode", mode)]);
        due(&config, &kinds(), position, NOW, starting).map(|due| (due.kind, due.request.objects))
    }

    #[test]
    fn all_objects_are_read_first_and_later_those_that_are_new() {
        assert_eq!(due_in("initial", &ClosePosition::default(), true), Some((RunKind::First, vec![])));
        let mut position = read(NOW);
        assert_eq!(due_in("initial", &position, true), None);
        position.whole.remove("note");
        assert_eq!(due_in("initial", &position, true), Some((RunKind::First, vec!["note".to_owned()])));
        // An object that could not be read is tried again by the next comparison.
        let end = ObjectEnd::Skipped { reason: "403".to_owned() };
        position.held.insert("note".to_owned(), Held { end, since: NOW, again: false });
        assert_eq!(due_in("initial", &position, true), None);
    }

    #[test]
    fn a_comparison_is_due_after_its_interval_and_after_a_gap() {
        let day = Duration::from_hours(24);
        assert_eq!(due_in("initial", &read(NOW.minus(day)), false), Some((RunKind::Comparison, vec![])));
        assert_eq!(due_in("initial", &read(NOW.minus(day).plus(Duration::from_secs(1))), false), None);
        let gap = ClosePosition { gap: Some(NOW), ..read(NOW.minus(Duration::from_secs(9))) };
        for mode in ["when_needed", "always"] {
            assert_eq!(due_in(mode, &gap, false), Some((RunKind::Comparison, vec![])));
        }
        assert_eq!(due_in("when_needed", &ClosePosition { gap: Some(NOW), ..read(NOW) }, false), None);
    }

    #[test]
    fn in_mode_initial_a_gap_waits_for_a_person() {
        let gap = ClosePosition { gap: Some(NOW), ..read(NOW.minus(Duration::from_hours(99))) };
        assert_eq!(due_in("initial", &gap, true), None);
        let asked = ClosePosition { requests: vec![SnapshotRequest::default()], ..gap };
        assert_eq!(due_in("initial", &asked, true), Some((RunKind::Comparison, vec![])));
        let good = ClosePosition { compared: Some(NOW), ..asked };
        assert_eq!(
            next_comparison(&config("http://localhost/", "key", &[("snapshot.mode", "initial")]), &good),
            Some(NOW.plus(Duration::from_hours(24)))
        );
    }

    #[test]
    fn an_object_that_differs_is_compared_again_at_once_and_then_as_usual() {
        let end = ObjectEnd::Differs { difference: "1 more".to_owned() };
        let mut position = read(NOW);
        position.held.insert("note".to_owned(), Held { end: end.clone(), since: NOW, again: false });
        for mode in ["when_needed", "never"] {
            assert_eq!(due_in(mode, &position, false), Some((RunKind::Comparison, vec!["note".to_owned()])));
        }
        position.held.insert("note".to_owned(), Held { end, since: NOW, again: true });
        assert_eq!(due_in("when_needed", &position, false), None);
        let end = ObjectEnd::Skipped { reason: "500".to_owned() };
        position.held.insert("note".to_owned(), Held { end, since: NOW.minus(Duration::from_hours(24)), again: true });
        assert_eq!(due_in("never", &position, false), Some((RunKind::Comparison, vec!["note".to_owned()])));
        position.held.get_mut("note").unwrap().since = NOW;
        assert_eq!(due_in("never", &position, false), None);
        // One that waits for its topic is compared when it is prepared.
        position.held = [("call".to_owned(), position.held.remove("note").unwrap())].into();
        let end = ObjectEnd::Differs { difference: String::new() };
        position.held.insert("call".to_owned(), Held { end, since: NOW, again: false });
        assert_eq!(due_in("when_needed", &position, false), None);
    }

    #[test]
    fn a_mode_decides_when_runs_begin_by_themselves() {
        assert_eq!(due_in("always", &read(NOW), true), Some((RunKind::Comparison, vec![])));
        assert_eq!(due_in("always", &read(NOW), false), None);
        assert_eq!(due_in("when_needed", &ClosePosition::default(), true), Some((RunKind::First, vec![])));
        let gap = ClosePosition { gap: Some(NOW), ..read(Moment(0)) };
        assert_eq!(due_in("never", &gap, true), None);
        let request = SnapshotRequest { objects: vec!["note".to_owned()], ..SnapshotRequest::default() };
        let asked = ClosePosition { requests: vec![request], ..gap };
        assert_eq!(due_in("never", &asked, true), Some((RunKind::Requested, vec!["note".to_owned()])));
    }

    #[test]
    fn small_lists_come_first_and_lists_of_parents_last() {
        let names: Vec<&str> = ordered(&kinds(), &SnapshotRequest::default()).iter().map(|kind| kind.name).collect();
        assert_eq!(names, ["sequence", "lead", "note", "custom_object"]);
    }
}
