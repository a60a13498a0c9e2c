//! What people ask for: checked, and stored in the position before it is answered.

use std::collections::{BTreeMap, HashSet};

use towpath_api::Result;

use crate::{
    catalogue::{Kind, Listing, is_id, kind},
    config::CloseConfig,
    context::Context,
    position::{ClosePosition, Held, ObjectEnd, SnapshotRequest},
    report::{Ask, Refused},
};

/// Requests that may wait.
const PENDING: usize = 100;
/// Ids of one request.
const IDS: usize = 1_000;
/// Bytes of an id. The longest of Close have 48.
const LONGEST_ID: usize = 64;
/// Ids of all requests that wait or run: the position holds them, and is one record.
const ALL_IDS: usize = 5_000;

/// Stores and answers what was asked.
///
/// # Errors
/// Those of the publisher.
pub(super) async fn answer(context: &Context) -> Result<()> {
    for ask in context.report.take_asks() {
        let position = context.outbox.position();
        // Nobody waits for the answer any more if the connection was closed.
        match ask {
            Ask::Snapshot { mut request, answer } => {
                for names in [&mut request.objects, &mut request.ids] {
                    let mut named = HashSet::new();
                    names.retain(|name| named.insert(name.clone()));
                }
                let checked = check(&context.kinds, &context.config, &position, &request).map_err(Refused);
                if checked.is_ok() {
                    if request.objects.is_empty() {
                        context.lists.wake();
                    }
                    context.outbox.publish(Vec::new(), |position| position.requests.push(request)).await?;
                }
                let _ = answer.send(checked);
            }
            Ask::Approve { objects, at_most, answer } => {
                let approved = approved(&position, &objects, &at_most).map_err(Refused);
                if let Ok(approved) = approved.clone() {
                    context.outbox.publish(Vec::new(), |position| approve(position, approved)).await?;
                    context.lists.wake();
                }
                let _ = answer.send(approved.map(|approved| approved.into_keys().collect()));
            }
        }
    }
    Ok(())
}

/// Why a request cannot be carried out, if so.
fn check(
    kinds: &[&'static Kind],
    config: &CloseConfig,
    position: &ClosePosition,
    request: &SnapshotRequest,
) -> Result<(), String> {
    if position.requests.len() >= PENDING {
        return Err(format!("{PENDING} requests wait already"));
    }
    let mut named = Vec::new();
    for name in &request.objects {
        let Some(kind) = kinds.iter().find(|kind| kind.name == *name) else {
            return Err(format!("`{name}` is not an object of this connector"));
        };
        if kind.is_read_by_lists() {
            return Err(format!(
                "`{name}` is never part of a snapshot: Close tells of no changes of it, so its list is read each {:?} \
                 (`lists.interval`), and what differs is published; nothing needs to be asked for",
                config.lists_interval
            ));
        }
        named.push(kind);
    }
    if request.since.zip(request.until).is_some_and(|(since, until)| since >= until) {
        return Err("`since` must be earlier than `until`".to_owned());
    }
    if request.since.is_some() || request.until.is_some() {
        let has_no_dates = |kind: &&&&Kind| !matches!(kind.listing, Listing::Searched | Listing::Dated(_));
        if named.is_empty() {
            return Err("name the objects, such as `lead` or `call`: Close lists not all of them by time".to_owned());
        }
        if let Some(kind) = named.iter().find(has_no_dates) {
            return Err(format!(
                "Close cannot list `{}` by time: ask for all of it, without `since` and `until`",
                kind.name
            ));
        }
    }
    if request.ids.is_empty() {
        return Ok(());
    }
    if request.ids.len() > IDS {
        return Err(format!("at most {IDS} ids at a time"));
    }
    if !request.ids.iter().all(|id| is_id(id) && id.len() <= LONGEST_ID) {
        return Err(format!("an id of Close has 1 to {LONGEST_ID} letters, digits, `_` and `-`"));
    }
    let running = position.snapshot.as_ref().map_or(0, |snapshot| snapshot.request.ids.len());
    let waiting = running + position.requests.iter().map(|request| request.ids.len()).sum::<usize>();
    if waiting + request.ids.len() > ALL_IDS {
        return Err(format!(
            "{waiting} ids wait to be read, and at most {ALL_IDS} may; ask again when they are read, or ask for the \
             object without ids"
        ));
    }
    match named.as_slice() {
        [kind] if kind.has_single => Ok(()),
        [kind] => Err(format!("Close gives no single `{}`; ask for the object without ids", kind.name)),
        _ => Err("name one object with the ids".to_owned()),
    }
}

/// Notes an approval: a comparison of these objects is due, and objects of the lists may delete what they asked for.
fn approve(position: &mut ClosePosition, approved: BTreeMap<String, u64>) {
    let (listed, mut compared): (BTreeMap<String, u64>, BTreeMap<String, u64>) =
        approved.into_iter().partition(|(name, _)| kind(name).is_some_and(Kind::is_read_by_lists));
    for (name, number) in listed {
        if let Some(Held { end: ObjectEnd::AwaitsApproval { allowed, .. }, .. }) = position.held.get_mut(&name) {
            *allowed = number.max(*allowed);
        }
    }
    compared.retain(|name, _| !is_approved(position, name));
    if !compared.is_empty() {
        let objects = compared.keys().cloned().collect();
        position.requests.push(SnapshotRequest { objects, approved: compared, ..SnapshotRequest::default() });
    }
}

/// The objects whose deletes are approved, and how many: as many as the person was shown, and no more than wait.
fn approved(
    position: &ClosePosition,
    objects: &[String],
    at_most: &BTreeMap<String, u64>,
) -> Result<BTreeMap<String, u64>, String> {
    let waits = |(name, held): (&String, &Held)| match held.end {
        ObjectEnd::AwaitsApproval { unlisted, allowed, .. } if unlisted > allowed => Some((name.clone(), unlisted)),
        _ => None,
    };
    let mut waiting: BTreeMap<String, u64> = position.held.iter().filter_map(waits).collect();
    if waiting.is_empty() {
        return Err("no object waits for an approval".to_owned());
    }
    if let Some(other) = objects.iter().find(|name| !waiting.contains_key(*name)) {
        let waiting: Vec<String> = waiting.into_keys().collect();
        return Err(format!("`{other}` does not wait for an approval; these do: {}", waiting.join(", ")));
    }
    waiting.retain(|name, _| objects.is_empty() || objects.contains(name));
    for (name, number) in &mut waiting {
        *number = at_most.get(name).map_or(*number, |shown| (*shown).min(*number));
    }
    Ok(waiting)
}

/// True if the deletes of an object are approved already, and are still to be made: approving twice allows no more.
fn is_approved(position: &ClosePosition, name: &str) -> bool {
    let running = position.snapshot.iter().map(|snapshot| &snapshot.request);
    running.chain(&position.requests).any(|request| request.approved.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue::kind, client::tests::config, moment::Moment, position::SnapshotPosition};

    fn ask(objects: &[&str], ids: usize) -> SnapshotRequest {
        let ids = (0..ids).map(|id| format!("acti_{id}")).collect();
        SnapshotRequest {
            objects: objects.iter().map(ToString::to_string).collect(),
            ids,
            ..SnapshotRequest::default()
        }
    }

    fn checked(position: &ClosePosition, request: &SnapshotRequest) -> Result<(), String> {
        let kinds = ["lead", "note", "lead_status", "sequence", "user"].map(|name| kind(name).unwrap());
        check(&kinds, &config("http://localhost/", "key", &[]), position, request)
    }

    #[test]
    fn a_request_names_selected_objects_and_ids_of_one() {
        let check = |request: &SnapshotRequest| checked(&ClosePosition::default(), request);
        assert_eq!(check(&ask(&[], 0)), Ok(()));
        assert_eq!(check(&ask(&["note"], 2)), Ok(()));
        assert!(check(&ask(&["call"], 0)).is_err());
        assert!(check(&ask(&["lead", "note"], 1)).is_err());
        assert!(check(&ask(&["lead_status"], 1)).is_err());
        assert!(check(&ask(&["note"], IDS + 1)).is_err());
        for id in ["", "lead_\u{1}", &"x".repeat(LONGEST_ID + 1)] {
            assert!(check(&SnapshotRequest { ids: vec![id.to_owned()], ..ask(&["note"], 0) }).is_err());
        }
        let backwards = SnapshotRequest { since: Some(Moment(2)), until: Some(Moment(1)), ..ask(&["note"], 0) };
        assert!(check(&backwards).is_err());
    }

    #[test]
    fn what_would_be_ignored_is_refused_by_name() {
        let check = |request: &SnapshotRequest| checked(&ClosePosition::default(), request);
        let refused = check(&ask(&["lead", "user"], 0)).unwrap_err();
        assert!(refused.contains("`user`") && refused.contains("`lists.interval`"), "{refused}");
        let since = |objects| SnapshotRequest { since: Some(Moment(1)), ..ask(objects, 0) };
        assert_eq!(check(&since(&["lead", "note"])), Ok(()));
        assert!(check(&since(&["lead", "sequence"])).unwrap_err().contains("`sequence`"));
        assert!(check(&since(&[])).is_err());
    }

    #[test]
    fn the_ids_that_wait_fit_the_position() {
        let running = SnapshotPosition { request: ask(&["note"], IDS), ..SnapshotPosition::default() };
        let mut position = ClosePosition { snapshot: Some(running), ..ClosePosition::default() };
        while checked(&position, &ask(&["note"], IDS)).is_ok() {
            position.requests.push(ask(&["note"], IDS));
        }
        assert_eq!((1 + position.requests.len()) * IDS, ALL_IDS);
        assert_eq!(checked(&position, &ask(&["note"], 0)), Ok(()));
        assert!(checked(&position, &ask(&["note"], 1)).unwrap_err().contains("5000 ids wait"));
        for id in position.requests.iter_mut().flat_map(|request| &mut request.ids) {
            *id = format!("{id:_<LONGEST_ID$}");
        }
        let bytes = serde_json::to_string(&position.write().0).unwrap().len();
        assert!(bytes < 500_000, "{bytes}");
    }

    #[test]
    fn only_objects_that_wait_are_approved_and_no_more_than_was_shown() {
        let held = |end| Held { end, since: Moment(0), again: false };
        let awaits = ObjectEnd::AwaitsApproval { unlisted: 9, allowed: 5, of: 10 };
        let mut position = ClosePosition {
            held: BTreeMap::from([
                ("lead".to_owned(), held(awaits)),
                ("note".to_owned(), held(ObjectEnd::Skipped { reason: String::new() })),
            ]),
            ..ClosePosition::default()
        };
        let shown = |number| BTreeMap::from([("lead".to_owned(), number)]);
        let none = BTreeMap::new();
        assert_eq!(approved(&position, &[], &none), Ok(shown(9)));
        assert_eq!(approved(&position, &["lead".to_owned()], &shown(7)), Ok(shown(7)));
        assert_eq!(approved(&position, &[], &shown(11)), Ok(shown(9)));
        assert!(approved(&position, &["note".to_owned()], &none).is_err());
        assert!(approved(&ClosePosition::default(), &[], &none).is_err());
        assert!(!is_approved(&position, "lead"));
        position.requests.push(SnapshotRequest { approved: shown(9), ..SnapshotRequest::default() });
        assert!(is_approved(&position, "lead"), "a second approval adds nothing");
    }
}
