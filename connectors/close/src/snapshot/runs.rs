//! The loop of the runs: one at a time, begun and ended in the position.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use towpath_api::{Error, ErrorType, Result};
use tracing::{info, warn};

use super::{
    check::Topic,
    count::{count, expected},
    deliver::Delivery,
    due::{Due, due, next_comparison, open_gap, ordered, pause},
    reading::Run,
    requests::answer,
};
use crate::{
    catalogue::Kind,
    client::Lane,
    codes,
    context::Context,
    moment::Moment,
    position::{
        Check, ClosePosition, Ended, FinishedObject, FinishedRun, Held, ObjectEnd, ObjectPosition, ObjectState,
        RunKind, SchemaChanges, SnapshotPosition, Tally,
    },
};

/// The pause between two looks whether the change loop has fixed the log's mark.
const MARK: Duration = Duration::from_millis(50);
/// The time that a run waits at its end for objects that the lists read.
const LISTS: Duration = Duration::from_mins(1);
/// The time that a run waits at its end for the log to explain a difference.
const LOG: Duration = Duration::from_mins(3);
/// The pauses between the looks at a difference before it is one: events become visible late.
const PAUSES: [Duration; 4] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(8)];
/// The name of a gap of the log as a part of the source, for people.
const GAP: &str = "gap of the event log";

/// Runs the snapshots that are due, until the task is stopped.
///
/// # Errors
/// Those of the client, the publisher and the reading of topics that concern more than one object.
pub(crate) async fn run(context: &Context) -> Result<()> {
    let _attended = context.report.attend();
    debug_assert!(context.close.now().is_some(), "the key was checked, so Close has answered");
    let kinds: Vec<&'static Kind> = context.kinds.iter().filter(|kind| !kind.is_read_by_lists()).copied().collect();
    fixed_mark(context).await;
    forget_unselected(context).await?;
    let position = context.outbox.position();
    let mut gap = None;
    context.report.ended_before(position.last_run.clone());
    report_held(context, &position);
    loop {
        answer(context).await?;
        let position = context.outbox.position();
        let now = context.close.now().unwrap_or_default();
        shows(context, &position);
        if gap != Some(open_gap(&position)) {
            gap = Some(open_gap(&position));
            report_gap(context, &position);
        }
        if position.snapshot.is_none() {
            let Some(due) = due(&context.config, &kinds, &position, now, context.report.starting()) else {
                // A request may have come since it was looked for: `asked` then has a permit.
                let wait = pause(next_comparison(&context.config, &position), now);
                let _ = tokio::time::timeout(wait, context.report.asked()).await;
                continue;
            };
            begin(context, due, now).await?;
        }
        context.report.started();
        let position = context.outbox.position();
        if let Some(snapshot) = position.snapshot {
            carry_out(context, &kinds, position.generation, snapshot).await?;
        }
    }
}

/// Waits until the log's mark is fixed: what changes after it comes by the log.
async fn fixed_mark(context: &Context) {
    while context.outbox.position().log.is_none() {
        tokio::time::sleep(MARK).await;
    }
}

/// Forgets objects that are not read any more: they need no attention, and are read whole if they are selected again.
async fn forget_unselected(context: &Context) -> Result<()> {
    let position = context.outbox.position();
    let mut names = position.whole.keys().chain(position.held.keys());
    // Some of them may wait for their topics.
    let kinds = context.config.kinds();
    if names.all(|name| selected(&kinds, name)) {
        return Ok(());
    }
    let change = move |position: &mut ClosePosition| {
        position.whole.retain(|name, _| selected(&kinds, name));
        position.held.retain(|name, _| selected(&kinds, name));
    };
    context.outbox.publish(Vec::new(), change).await
}

fn selected(kinds: &[&'static Kind], name: &str) -> bool {
    kinds.iter().any(|kind| kind.name == name)
}

async fn begin(context: &Context, due: Due, now: Moment) -> Result<()> {
    let Due { kind, reason, request } = due;
    info!(connector = %context.connector, kind = kind.as_str(), reason, "a snapshot begins: {reason}");
    let change = move |position: &mut ClosePosition| {
        position.generation += 1;
        if position.requests.first() == Some(&request) {
            position.requests.remove(0);
        }
        position.snapshot = Some(SnapshotPosition { kind, reason, began: now, request, objects: BTreeMap::new() });
    };
    context.outbox.publish(Vec::new(), change).await
}

/// Reads what the run still has to read, and ends it.
async fn carry_out(
    context: &Context,
    kinds: &[&'static Kind],
    generation: u32,
    snapshot: SnapshotPosition,
) -> Result<()> {
    let of_run = ordered(kinds, &snapshot.request);
    let readers = context.config.snapshot_readers as usize;
    let (waited, since) = (context.close.waited_seconds(Lane::Snapshot), Instant::now());
    context.report.begins(generation, snapshot.kind, &snapshot.reason, snapshot.began);
    for kind in &of_run {
        let stored = snapshot.objects.get(kind.name).cloned().unwrap_or_default();
        context.report.object(kind.name, |object| {
            object.tally = stored.tally;
            if let Some(end) = &stored.end {
                object.ends(end);
            }
        });
    }
    context.report.resumed();
    let series = context.metrics.of(&context.connector);
    series.snapshot_began(of_run.len());
    let delivery = Delivery::new(context, snapshot.kind.compares(), snapshot.began);
    let run = Arc::new(Run::new(context.close.clone(), delivery, &of_run, &snapshot));
    let mut reading = pin!(run.read(readers));
    let mut expecting = pin!(expect(context, &of_run, &snapshot));
    let mut expected = false;
    loop {
        tokio::select! {
            counted = &mut expecting, if !expected => {
                counted?;
                expected = true;
            }
            ended = &mut reading => break ended?,
            () = context.report.asked() => answer(context).await?,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                let waited = context.close.waited_seconds(Lane::Snapshot) - waited;
                context.report.waited(share(waited, since, readers));
                series.snapshot_remaining(context.report.remaining());
            }
        }
    }
    let waited_share = share(context.close.waited_seconds(Lane::Snapshot) - waited, since, readers);
    let Some(snapshot) = context.outbox.position().snapshot else { return Ok(()) };
    let mut finishing = pin!(finish(context, &of_run, generation, &snapshot, waited_share));
    let finished = loop {
        tokio::select! {
            finished = &mut finishing => break finished?,
            () = context.report.asked() => answer(context).await?,
        }
    };
    end(context, &snapshot, finished).await
}

/// Shows how many rows Close says it has of the objects whose turn comes later. Asked once, when a run begins.
async fn expect(context: &Context, kinds: &[&'static Kind], snapshot: &SnapshotPosition) -> Result<()> {
    if !snapshot.objects.is_empty() || snapshot.kind == RunKind::Requested {
        return Ok(());
    }
    // Close does not say how many activities there are; probably about as many as in the last run.
    let last = context.outbox.position().last_run.filter(|run| run.whole);
    let before = |kind: &Kind| Some(last.as_ref()?.objects.get(kind.name)?.tally.rows);
    for kind in kinds {
        let number = expected(&context.close, kind).await?.or_else(|| before(kind));
        context.report.object(kind.name, |object| object.expected = object.expected.or(number));
    }
    Ok(())
}

/// The share of the readers' time.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(waited: f64, since: Instant, readers: usize) -> f64 {
    (waited / (since.elapsed().as_secs_f64() * readers as f64).max(0.001)).clamp(0.0, 1.0)
}

/// Checks the objects of a run all of which were read.
async fn finish(
    context: &Context,
    kinds: &[&'static Kind],
    generation: u32,
    snapshot: &SnapshotPosition,
    waited_share: f64,
) -> Result<FinishedRun> {
    let ended = context.close.now().unwrap_or(snapshot.began);
    let mut objects = BTreeMap::new();
    let mut checks = checked(context, kinds, snapshot).await?;
    for kind in kinds {
        let stored = snapshot.objects.get(kind.name).cloned().unwrap_or_default();
        let (state, reason) = stored.end.unwrap_or(ObjectEnd::Done).shown();
        let check = checks.remove(kind.name);
        if let Some(difference) = check.as_ref().and_then(Check::difference) {
            warn!(connector = %context.connector, object = kind.name, "{} differs from Close: {difference}", kind.name);
        }
        objects.insert(kind.name.to_owned(), FinishedObject { state, reason, tally: stored.tally, check });
    }
    let whole = snapshot.request.objects.is_empty();
    if whole {
        let deadline = tokio::time::Instant::now() + LISTS;
        for kind in context.kinds.iter().filter(|kind| kind.is_read_by_lists()) {
            let rows = tokio::time::timeout_at(deadline, context.lists.read_once(kind)).await;
            let (state, reason) = match rows {
                Ok(_) => (ObjectState::Done, None),
                Err(_) => (ObjectState::Skipped, Some("its list could not be read yet".to_owned())),
            };
            let tally = Tally { rows: rows.unwrap_or(0), ..Tally::default() };
            objects.insert(kind.name.to_owned(), FinishedObject { state, reason, tally, check: None });
        }
    }
    let SnapshotPosition { kind, reason, began, .. } = snapshot;
    let (kind, reason, began) = (*kind, reason.clone(), *began);
    let schema_changes = SchemaChanges::new();
    Ok(FinishedRun { generation, kind, reason, whole, began, ended, waited_share, objects, schema_changes })
}

/// Checks the objects that were read whole. A difference may be a change that the log has yet to tell, so it is looked
/// at again after the log has passed the time at which Close counted.
async fn checked(
    context: &Context,
    kinds: &[&'static Kind],
    snapshot: &SnapshotPosition,
) -> Result<BTreeMap<&'static str, Check>> {
    let mut checks: BTreeMap<&'static str, Check> = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + LOG;
    for pause in PAUSES {
        tokio::time::sleep(pause).await;
        for kind in kinds {
            let Some(object) = snapshot.objects.get(kind.name) else { continue };
            let whole = snapshot.kind != RunKind::Requested && object.end == Some(ObjectEnd::Done);
            if whole && checks.get(kind.name).is_none_or(|check| !check.agrees()) {
                checks.insert(kind.name, look(context, kind, snapshot.began, object).await?);
            }
        }
        if checks.values().all(Check::agrees) {
            break;
        }
        let counted = context.close.now().unwrap_or(snapshot.began);
        let mut walked = context.log_walked.subscribe();
        let caught_up = walked.wait_for(|walked| *walked >= counted);
        if tokio::time::timeout_at(deadline, caught_up).await.is_err() {
            break;
        }
    }
    Ok(checks)
}

/// Compares one object with Close.
async fn look(context: &Context, kind: &'static Kind, began: Moment, object: &ObjectPosition) -> Result<Check> {
    let (number, counted) = count(&context.close, kind, began, object.tally.rows).await?.unzip();
    let topic = Topic::read(&*context.records, kind.name, began, counted).await?;
    let ids = object.ids.clone().unwrap_or_else(|| topic.ids_of_first(object.tally));
    Ok(Check { ids, count: number.map(|number| topic.count(number)) })
}

/// Ends a run in the position, and shows it.
async fn end(context: &Context, snapshot: &SnapshotPosition, finished: FinishedRun) -> Result<()> {
    let end_of = |(name, object): (&String, &ObjectPosition)| {
        let check = finished.objects.get(name).and_then(|object| object.check.as_ref());
        let differs = check.and_then(Check::difference).map(|difference| ObjectEnd::Differs { difference });
        Some((name.clone(), differs.or_else(|| object.end.clone())?))
    };
    let ends = snapshot.objects.iter().filter(|(name, _)| selected(&context.kinds, name)).filter_map(end_of);
    let ends: Vec<(String, ObjectEnd)> = ends.collect();
    let (kind, began, whole) = (snapshot.kind, snapshot.began, finished.whole);
    let now = context.close.now().unwrap_or(finished.ended);
    let (mut told, config) = (finished.clone(), Arc::clone(&context.config));
    let change = move |position: &mut ClosePosition| {
        position.snapshot = None;
        told.schema_changes = std::mem::take(&mut position.schema_changes);
        position.last_run = Some(told.clone());
        position.notices.ended(Ended::new(told, &config));
        if kind == RunKind::Requested {
            return;
        }
        for (name, end) in ends {
            if matches!(end, ObjectEnd::Done | ObjectEnd::Differs { .. }) {
                position.whole.insert(name.clone(), began);
            }
            let before = position.held.remove(&name);
            if let Some(noted) = before.as_ref().filter(|held| began < held.since && held.since <= now) {
                // Meanwhile it was found to differ: the run may have read it before.
                position.held.insert(name, noted.clone());
                continue;
            }
            if end != ObjectEnd::Done {
                let again =
                    before.is_some_and(|before| before.again || matches!(before.end, ObjectEnd::Differs { .. }));
                position.held.insert(name, Held { end, since: began, again });
            }
        }
        if whole || position.compared.is_none() {
            position.compared = Some(began);
        }
    };
    context.outbox.publish(Vec::new(), change).await?;
    info!(
        connector = %context.connector,
        kind = finished.kind.as_str(),
        rows = finished.rows(),
        complete = finished.complete(),
        "a snapshot has ended: {} rows of {} objects",
        finished.rows(),
        finished.objects.len(),
    );
    if finished.complete() {
        context.metrics.of(&context.connector).snapshot_completed();
    }
    let position = context.outbox.position();
    report_held(context, &position);
    context.report.ends(position.last_run.unwrap_or(finished));
    Ok(())
}

/// Shows the objects that need attention as parts that wait.
fn report_held(context: &Context, position: &ClosePosition) {
    for kind in &*context.kinds {
        let part = format!("comparison of {}", kind.name);
        match position.held.get(kind.name) {
            None => context.life.part_works(&part),
            Some(held) => {
                let delay = context.close.now().map_or(context.config.compare_interval, |now| {
                    held.since.plus(context.config.compare_interval).since(now)
                });
                context.life.part_waits(&part, &held.end.error(kind), 1, delay);
            }
        }
    }
}

/// Shows a gap of the log that waits for a person.
fn report_gap(context: &Context, position: &ClosePosition) {
    let gap = open_gap(position).filter(|_| !context.config.snapshot_mode.makes_good());
    let Some(gap) = gap else { return context.life.part_works(GAP) };
    let doing = format!(
        "follow all changes: Close's event log did not reach back far enough, so changes from before {gap} may be \
         missing, and `snapshot.mode` lets nothing compare them"
    );
    let error = Error::fatal(codes::GAP, ErrorType::Conflict, doing)
        .with_help("run `towpath snapshot start`, which compares everything, or set `snapshot.mode=when_needed`");
    context.life.part_waits(GAP, &error, 1, context.config.compare_interval);
}

fn shows(context: &Context, position: &ClosePosition) {
    let held = position.held.iter().map(|(name, held)| (name.clone(), held.end.clone())).collect();
    let next = next_comparison(&context.config, position);
    context.report.shows(held, position.requests.len(), next);
}
