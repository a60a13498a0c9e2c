//! Publishes what the readers of a run have read, and concludes objects.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, future::ready, stream};
use tokio::sync::OnceCell;
use towpath_api::{ChangeEvent, Result};
use tracing::{info, warn};

use super::{
    check::Topic,
    gone::{Verdict, judge},
    known::{Known, live_ids},
    reading::{Batch, Deliver},
    rows::{Refused, Row, one, tally_of},
};
use crate::{
    brake::Brake,
    catalogue::{Kind, Listing},
    client::concerns_one_object,
    context::Context,
    id_sum::id_sum,
    metrics::{Difference, MisfitKind, Series},
    moment::Moment,
    position::{ObjectEnd, ObjectState, Step, Tally},
    record::{self, Misfits, Shape},
};

/// Rows of a page from which on it is mapped on another thread.
const MANY: usize = 10;
/// Events of one step, of deletes.
const CHUNK: usize = 500;
/// The time between two renewals of the structure for fields that no schema knows: some stay unknown.
const RENEWAL: Duration = Duration::from_mins(5);

/// The way of one run to the journal.
pub(super) struct Delivery {
    context: Context,
    series: Series,
    compares: bool,
    began: Moment,
    /// [`id_sum`] of the leads that are there, read when it is first asked for.
    leads: OnceCell<HashSet<u64>>,
    renewed: Mutex<Option<Instant>>,
}

impl Delivery {
    pub(super) fn new(context: &Context, compares: bool, began: Moment) -> Self {
        let series = context.metrics.of(&context.connector);
        Self { context: context.clone(), series, compares, began, leads: OnceCell::new(), renewed: Mutex::new(None) }
    }

    /// Maps rows to events, and drops each row when it is mapped. If a custom field is unknown, the structure is
    /// renewed first.
    async fn mapped(&self, kind: &'static Kind, mut rows: Vec<Row>) -> Result<(Vec<ChangeEvent>, u64)> {
        let (mut events, mut unusable, mut renews) = (Vec::new(), 0, self.can_renew());
        loop {
            let structure = self.context.structure();
            let Some(shape) = structure.shape(kind).map(Arc::clone) else {
                return Ok((events, unusable + rows.len() as u64));
            };
            let mapped = if rows.len() < MANY {
                map(&shape, rows, renews)
            } else {
                match tokio::task::spawn_blocking(move || map(&shape, rows, renews)).await {
                    Ok(mapped) => mapped,
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                }
            };
            self.series.misfits(kind.name, MisfitKind::Unknown, mapped.misfits.unknown as usize);
            self.series.misfits(kind.name, MisfitKind::Mistyped, mapped.misfits.mistyped as usize);
            events.extend(mapped.events);
            unusable += mapped.unusable;
            if mapped.later.is_empty() {
                return Ok((events, unusable));
            }
            if self.may_renew() {
                self.context.try_renew_structure(&structure).await?;
            }
            (rows, renews) = (mapped.later, false);
        }
    }

    /// True if the run reads this object.
    fn reads(&self, kind: &Kind) -> bool {
        self.context.outbox.look(|position| {
            let object = position.snapshot.as_ref().and_then(|snapshot| snapshot.objects.get(kind.name));
            object.is_some_and(|object| object.end == Some(ObjectEnd::Done))
        })
    }

    fn can_renew(&self) -> bool {
        self.renewed().is_none_or(|at| at.elapsed() >= RENEWAL)
    }

    /// True if the caller is to renew the structure now.
    fn may_renew(&self) -> bool {
        let mut renewed = self.renewed();
        let may = renewed.is_none_or(|at| at.elapsed() >= RENEWAL);
        if may {
            *renewed = Some(Instant::now());
        }
        may
    }

    fn renewed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes events with a step, and shows the counts.
    async fn send(&self, kind: &'static Kind, events: Vec<ChangeEvent>, step: Step, tally: Tally) -> Result<()> {
        let end = match &step {
            Step::End(end) => Some(end.clone()),
            _ => None,
        };
        // Most lists of one lead's custom objects are empty, and cost little to read again.
        let is_empty_list = events.is_empty()
            && matches!(kind.listing, Listing::PerParent { .. })
            && matches!(step, Step::Page { .. } | Step::Capped { other: None, .. });
        let change = move |position: &mut crate::position::ClosePosition| {
            if let Some(snapshot) = &mut position.snapshot {
                snapshot.apply(kind.name, step, tally);
            }
        };
        let deletes = usize::try_from(tally.deleted).unwrap_or_default();
        let rows = events.len() - deletes;
        if is_empty_list {
            self.context.outbox.note(change).await?;
        } else {
            self.context.outbox.publish(events, change).await?;
        }
        self.series.rows_published(kind.name, rows);
        if self.compares {
            self.series.differences(kind.name, Difference::Deleted, deletes);
        }
        if let Some(end) = &end {
            self.series.snapshot_running(kind.name, false);
            self.series.snapshot_expects(kind.name, None);
            if self.compares {
                self.series.compared(kind.name, *end == ObjectEnd::Done);
            }
        } else {
            self.series.snapshot_running(kind.name, true);
        }
        self.context.report.object(kind.name, |object| {
            object.tally.add(tally);
            if let Some(end) = &end {
                object.ends(end);
            } else {
                object.state = ObjectState::Reading;
            }
        });
        Ok(())
    }

    /// Publishes rows that were deleted and are there again, with the date of before: they are looked for by their ids,
    /// since a list may show a row for some time after its delete.
    async fn revive(&self, kind: &'static Kind, mine: &mut Known) -> Result<()> {
        let revived = mine.revived(&*self.context.records, kind.name, self.began).await?;
        for ids in revived.chunks(CHUNK).filter(|_| kind.has_single) {
            let rows = self.by_ids(kind, ids).await?;
            // The others stay deleted, and the next comparison looks for them again.
            ids.iter().filter(|id| rows.iter().all(|row| row.id != **id)).for_each(|id| mine.is_gone(id));
            let (mut events, _) = self.mapped(kind, rows).await?;
            events.iter_mut().for_each(|event| mine.revive(event));
            let tally = Tally { published: events.len() as u64, ..Tally::default() };
            self.send(kind, events, Step::Tally, tally).await?;
        }
        Ok(())
    }

    /// Publishes those of the doubtful rows that differ: they are looked for by their ids.
    async fn decide(&self, kind: &'static Kind, mine: &mut Known) -> Result<()> {
        for ids in mine.doubtful().chunks(CHUNK).filter(|_| kind.has_single) {
            let rows = self.by_ids(kind, ids).await?;
            let (mut events, _) = self.mapped(kind, rows).await?;
            events.retain_mut(|event| mine.differs(event));
            self.series.differences(kind.name, Difference::Changed, events.len());
            let tally = Tally { published: events.len() as u64, ..Tally::default() };
            self.send(kind, events, Step::Tally, tally).await?;
        }
        Ok(())
    }

    /// The rows of these ids that Close gives. One that it refuses stops no other, and is left out as one that is gone.
    async fn by_ids(&self, kind: &Kind, ids: &[String]) -> Result<Vec<Row>> {
        let close = &self.context.close;
        let look = |id: String| async move {
            match one(close, kind, &id).await {
                Err(error) if concerns_one_object(&error) => Ok(None),
                row => row,
            }
        };
        let looks = stream::iter(ids.to_vec()).map(look).buffered(self.context.config.snapshot_readers as usize);
        looks.try_filter_map(|row| ready(Ok(row))).try_collect().await
    }

    /// Deletes what is gone, unless it is too much.
    async fn delete(&self, kind: &'static Kind, mine: &mut Known, approved: u64) -> Result<ObjectEnd> {
        let unseen = mine.unseen(&*self.context.records, kind.name, self.began).await?;
        if unseen.is_empty() {
            return Ok(ObjectEnd::Done);
        }
        let live = mine.live();
        // What a person has approved is the number that was shown, not whatever is gone by now.
        let allowed = Brake::of(&self.context.config).allowed(live) + approved;
        let leads = if unseen.iter().any(|row| row.lead.is_some()) { self.leads().await? } else { None };
        // Close deletes the children of a deleted lead with it, some without an event, and purges completed system
        // tasks.
        let expected = |row: &super::known::Unseen| {
            row.id.starts_with("noti_")
                || row.lead.as_ref().zip(leads).is_some_and(|(lead, leads)| !leads.contains(&id_sum(lead)))
        };
        let unlisted = unseen.iter().filter(|row| !expected(row)).count() as u64;
        let (readers, mut brake) = (self.context.config.snapshot_readers as usize, allowed);
        let mut all_gone = Vec::new();
        for unseen in unseen.chunks(CHUNK) {
            let Verdict { gone, there } =
                judge(&self.context.close, kind, unseen.to_vec(), &mut brake, readers, expected).await?;
            let Some(gone) = gone else {
                warn!(
                    object = kind.name,
                    unlisted, allowed, "Close no longer lists {unlisted} rows of {}: waiting for approval", kind.name
                );
                return Ok(ObjectEnd::AwaitsApproval { unlisted, allowed, of: live });
            };
            all_gone.extend(gone);
            if !there.is_empty() {
                let mut tally = tally_of(&there);
                let (mut events, _) = self.mapped(kind, there).await?;
                events.retain_mut(|event| mine.compare(event, true));
                tally.published = events.len() as u64;
                self.send(kind, events, Step::Tally, tally).await?;
            }
        }
        // Rows that no list had may be doubtful as well.
        self.decide(kind, mine).await?;
        let structure = self.context.structure();
        let Some(shape) = structure.shape(kind) else { return Ok(ObjectEnd::Done) };
        for gone in all_gone.chunks(CHUNK) {
            let delete = |(row, read_at): &(super::known::Unseen, Moment)| {
                record::missing(shape, &row.id, row.updated, *read_at)
            };
            let events: Vec<ChangeEvent> = gone.iter().map(delete).collect();
            let tally = Tally { deleted: events.len() as u64, ..Tally::default() };
            info!(object = kind.name, deletes = events.len(), "deleting {} rows of {}", events.len(), kind.name);
            self.send(kind, events, Step::Tally, tally).await?;
        }
        Ok(ObjectEnd::Done)
    }

    /// The leads that are there; `None` if they are not read.
    async fn leads(&self) -> Result<Option<&HashSet<u64>>> {
        if !self.context.outbox.look(|position| position.whole.contains_key("lead")) {
            return Ok(None);
        }
        let read = || async {
            let ids = live_ids(&*self.context.records, "lead").await?;
            Ok(ids.iter().map(|id| id_sum(id)).collect())
        };
        self.leads.get_or_try_init(read).await.map(Some)
    }
}

impl Deliver for Delivery {
    async fn publish(
        &self,
        kind: &'static Kind,
        known: Option<&Arc<Mutex<Known>>>,
        batch: Batch,
        step: Step,
    ) -> Result<()> {
        let Batch { rows, gone, refused, mut tally } = batch;
        self.series.rows_read(kind.name, rows.len());
        self.series.snapshot_records(kind.name, rows.len());
        let (mut events, unusable) = if rows.is_empty() { (Vec::new(), 0) } else { self.mapped(kind, rows).await? };
        if let Some(known) = known {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if self.compares {
                let before = known.len();
                // A search gives only the fields that it is asked for.
                let whole = !matches!(kind.listing, Listing::Searched);
                events.retain_mut(|event| known.compare(event, whole));
                let missing = known.len() - before;
                self.series.differences(kind.name, Difference::Missing, missing);
                self.series.differences(kind.name, Difference::Changed, events.len() - missing);
            }
            let structure = self.context.structure();
            let now = self.context.close.now().unwrap_or_default();
            for (id, updated) in gone.iter().filter_map(|id| Some((id, known.updated(id)?))) {
                let Some(shape) = structure.shape(kind) else { continue };
                events.push(record::missing(shape, id, updated, now));
                tally.deleted += 1;
            }
        }
        for _ in 0..unusable + tally.unusable {
            self.series.skipped(kind.name, "no_id");
        }
        for Refused { id, error } in &refused {
            self.series.skipped(kind.name, error.error_type.as_str());
            let (object, error) = (kind.name, error.chain());
            warn!(object, id, error, "{object} {id} is left out, since Close does not give it; the others go on");
        }
        tally.unusable += unusable + refused.len() as u64;
        tally.published += events.len() as u64 - tally.deleted;
        self.send(kind, events, step, tally).await
    }

    async fn known(&self, kind: &'static Kind) -> Result<Known> {
        Known::read(&*self.context.records, kind.name).await
    }

    async fn parents(&self, kind: &'static Kind) -> Result<Option<Vec<String>>> {
        if !self.context.outbox.look(|position| position.whole.contains_key(kind.name)) && !self.reads(kind) {
            return Ok(None);
        }
        live_ids(&*self.context.records, kind.name).await.map(Some)
    }

    async fn conclude(&self, kind: &'static Kind, known: &Arc<Mutex<Known>>, approved: u64) -> Result<ObjectEnd> {
        let records = &*self.context.records;
        let mut mine = std::mem::take(&mut *known.lock().unwrap_or_else(PoisonError::into_inner));
        // What the log has deleted meanwhile is not missing.
        mine.follow(records, kind.name).await?;
        self.revive(kind, &mut mine).await?;
        self.decide(kind, &mut mine).await?;
        let end = self.delete(kind, &mut mine, approved).await?;
        if end == ObjectEnd::Done {
            let topic = Topic::read(records, kind.name, self.began, None).await?;
            let step = Step::Checked(topic.ids_of(mine.listed()));
            self.send(kind, Vec::new(), step, Tally::default()).await?;
        }
        Ok(end)
    }

    fn shows(&self, kind: &'static Kind, left: Option<u64>) {
        self.context.report.object(kind.name, |object| {
            // Without a number from the list, that of the beginning stays.
            object.expected = left.map(|left| object.tally.rows + left).or(object.expected);
            self.series.snapshot_expects(kind.name, object.expected);
        });
    }
}

#[derive(Default)]
struct Mapped {
    events: Vec<ChangeEvent>,
    misfits: Misfits,
    unusable: u64,
    /// Rows with a custom field that the structure does not know.
    later: Vec<Row>,
}

/// Maps rows; those with an unknown custom field are given back if the structure `renews`.
fn map(shape: &Shape, rows: Vec<Row>, renews: bool) -> Mapped {
    let mut mapped = Mapped { events: Vec::with_capacity(rows.len()), ..Mapped::default() };
    for row in rows {
        match record::read_row(shape, &row.content, row.read_at) {
            Ok((_, misfits)) if misfits.custom && renews => mapped.later.push(row),
            Ok((event, misfits)) => {
                mapped.events.push(event);
                mapped.misfits.unknown += misfits.unknown;
                mapped.misfits.mistyped += misfits.mistyped;
            }
            Err(_) => mapped.unusable += 1,
        }
    }
    mapped
}
