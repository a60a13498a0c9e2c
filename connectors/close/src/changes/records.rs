//! Where the records of the log go: the journal; and what the topics have of it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::future::try_join_all;
use tokio::time::Instant;
use towpath_api::{ChangeEvent, Depth, Published, Result};

use super::{
    follower::{Change, Ledger},
    log::Dated,
    mapping::{Mapped, Mapping},
    unread::{self, Place},
    walk::Found,
};
use crate::{
    catalogue::{Kind, kind_of_event},
    context::Context,
    doorbell::catalogue::knows_type,
    metrics::{EventOutcome, MisfitKind, Series},
    moment::Moment,
    position::{ClosePosition, Ends},
    record::{LogEvent, Misfits},
};

/// The beginnings of the event types that tell of the organization's fields and types.
const DEFINITIONS: &[&str] = &["custom_fields.", "custom_activity_type", "custom_object_type"];
/// The pause between two readings of the structure for custom fields that it does not have.
const RENEWAL: Duration = Duration::from_mins(1);
/// Unknown types that are told of, at most.
const TOLD: usize = 100;
/// Topics that are read at a time.
const TOPICS: usize = 8;

/// The ledger of a running source.
pub(super) struct Records {
    context: Context,
    series: Series,
    /// Unknown event types that the log has told of.
    told: HashSet<String>,
    /// When the structure was last read for a custom field that it did not have.
    renewed: Option<Instant>,
}

/// What events give.
#[derive(Default)]
struct OfEvents {
    records: Vec<ChangeEvent>,
    /// Rows that are to be read: Close did not give them yet.
    unread: Vec<Place>,
    /// True if some of them were not asked for yet.
    asks: bool,
    /// Rows that `records` has.
    read: Vec<Place>,
}

impl Records {
    pub(super) fn new(context: Context) -> Self {
        Self { series: context.metrics.of(&context.connector), context, told: HashSet::new(), renewed: None }
    }

    /// The selected object of an event that the log itself gives.
    fn kind(&mut self, object_type: &str) -> Result<&'static Kind, EventOutcome> {
        let Some(kind) = kind_of_event(object_type) else {
            // Imports have events, and no object.
            if knows_type(object_type) {
                return Err(EventOutcome::Unselected);
            }
            if self.told.len() < TOLD && self.told.insert(object_type.to_owned()) {
                tracing::warn!(
                    connector = %self.context.connector, object_type,
                    "Close has events of a type that is not known; they are left out"
                );
            }
            return Err(EventOutcome::Unknown);
        };
        let selected = self.context.kinds.iter().any(|selected| selected.name == kind.name);
        if selected && kind.is_read_by_lists() {
            self.context.lists.wake();
        }
        if selected && !kind.is_read_by_lists() { Ok(kind) } else { Err(EventOutcome::Unselected) }
    }

    async fn map(&mut self, events: &[Dated]) -> Result<OfEvents> {
        let context = self.context.clone();
        // The structure is read after all these events have happened, and schemas only grow: it fits each of them.
        if events.iter().any(|dated| DEFINITIONS.iter().any(|begin| dated.event.object_type.starts_with(begin))) {
            context.try_renew_structure(&context.structure()).await?;
        }
        let (mut mapping, mut of_events) = (Mapping::new(&context), OfEvents::default());
        for Dated { at, event } in events {
            let leads = half_merged(event).filter_map(|id| self.lead(id, *at));
            of_events.unread.extend(leads.inspect(|_| of_events.asks = true));
            let kind = match self.kind(&event.object_type) {
                Ok(kind) => kind,
                Err(outcome) => {
                    self.series.events(&event.object_type, outcome, 1);
                    continue;
                }
            };
            let mut mapped = mapping.map(kind, event).await?;
            if matches!(&mapped, Mapped::Records(_, misfits) if misfits.custom) && self.may_renew() {
                mapping.structure = context.try_renew_structure(&mapping.structure).await?;
                mapped = mapping.map(kind, event).await?;
            }
            match mapped {
                Mapped::Records(mapped, misfits) => {
                    self.count(kind, event, *at, &misfits);
                    let places = mapped.iter().map(|record| Place::new(kind, record.key.to_string(), *at));
                    of_events.read.extend(places);
                    of_events.records.extend(mapped);
                }
                Mapped::Nothing(reason) => {
                    self.series.skipped(kind.name, reason);
                    tracing::debug!(object = kind.name, event.id = event.id, reason, "an event gives no record");
                }
                Mapped::Waits(id, records) => {
                    of_events.unread.push(Place::new(kind, id, *at));
                    of_events.records.extend(records);
                }
            }
        }
        Ok(of_events)
    }

    /// A lead that is to be read, if leads are selected.
    fn lead(&self, id: &str, at: Moment) -> Option<Place> {
        let lead = self.context.kinds.iter().find(|kind| kind.name == "lead")?;
        Some(Place::new(lead, id.to_owned(), at))
    }

    fn count(&self, kind: &Kind, event: &LogEvent, at: Moment, misfits: &Misfits) {
        self.series.events(&event.object_type, EventOutcome::Published, 1);
        self.series.last_event(kind.name, at);
        if misfits.unknown > 0 {
            self.series.misfits(kind.name, MisfitKind::Unknown, misfits.unknown as usize);
        }
        if misfits.mistyped > 0 {
            self.series.misfits(kind.name, MisfitKind::Mistyped, misfits.mistyped as usize);
        }
    }

    fn may_renew(&mut self) -> bool {
        let may = self.renewed.is_none_or(|then| then.elapsed() >= RENEWAL);
        if may {
            self.renewed = Some(Instant::now());
        }
        may
    }

    fn with_events(&self) -> Vec<&'static Kind> {
        let logged = |kind: &&'static Kind| !kind.events.is_empty() && !kind.is_read_by_lists();
        self.context.kinds.iter().copied().filter(logged).collect()
    }
}

/// The leads of a merge that ended with an error. What of them has moved before the error has no event of its own
/// (`close-api.md`, 8.5), so both are to be read. Keys of others than admins see no data, and wait for a comparison.
fn half_merged(event: &LogEvent) -> impl Iterator<Item = &str> {
    let merge =
        event.data.as_ref().filter(|_| kind_of_event(&event.object_type).is_some_and(|kind| kind.name == "lead_merge"));
    let errored = merge.filter(|merge| merge.get("merge_status").is_some_and(|status| status == "errored"));
    let leads = ["source_lead_id", "destination_lead_id"].into_iter();
    leads.filter_map(move |field| errored?.get(field)?.as_str())
}

impl Ledger for Records {
    fn mark(&self) -> Option<Moment> {
        self.context.outbox.look(|position| position.log)
    }

    fn noted(&self) -> Vec<Ends> {
        self.context.outbox.look(|position| position.ends.clone())
    }

    async fn publish(&mut self, events: &[Dated], change: Change) -> Result<()> {
        let OfEvents { records, unread, asks, read } = self.map(events).await?;
        let now = self.context.close.now().unwrap_or_default();
        let change = move |position: &mut ClosePosition| {
            change(position);
            unread::note(position, unread, now);
            unread::forget(position, &read);
        };
        self.context.outbox.publish(records, change).await?;
        if asks {
            self.context.rows_asked.notify_one();
        }
        Ok(())
    }

    async fn ends(&self) -> Result<BTreeMap<String, Vec<i64>>> {
        let mut ends = BTreeMap::new();
        for kinds in self.with_events().chunks(TOPICS) {
            let read = try_join_all(kinds.iter().map(|kind| self.context.records.ends(kind.name))).await?;
            ends.extend(kinds.iter().map(|kind| kind.name.to_owned()).zip(read));
        }
        Ok(ends)
    }

    async fn read<'a>(
        &'a self,
        from: &'a BTreeMap<String, Vec<i64>>,
        each: &'a mut (dyn FnMut(&str) + Send),
    ) -> Result<()> {
        let each = Mutex::new(each);
        let read = async |kind: &Kind| {
            let from = from.get(kind.name).map_or(&[][..], Vec::as_slice);
            let mut id = |published: Published| {
                if let Some(event_id) = published.event_id {
                    (each.lock().unwrap_or_else(PoisonError::into_inner))(&event_id);
                }
            };
            self.context.records.read(kind.name, from, Depth::Ids, &mut id).await
        };
        for kinds in self.with_events().chunks(TOPICS) {
            try_join_all(kinds.iter().map(|kind| read(kind))).await?;
        }
        Ok(())
    }

    fn lost(&self, reason: &str) {
        let next = if self.context.config.snapshot_mode.makes_good() {
            "all objects are compared again"
        } else {
            "nothing compares them by itself in this `snapshot.mode`: run `towpath snapshot start`"
        };
        tracing::warn!(
            connector = %self.context.connector,
            "{reason}: changes may be missing; {next}; the log is followed from now on"
        );
        self.context.report.request_generation(reason);
    }

    fn walked(&self, found: &Found) {
        for (object_type, events) in &found.types {
            self.series.events(object_type, EventOutcome::Read, events.0);
            if events.1 > 0 {
                self.series.events(object_type, EventOutcome::Duplicate, events.1);
            }
        }
    }

    fn reached(&self, mark: Moment, now: Moment) {
        self.series.log_position(mark, now);
        // A slice of a long log ends before its end.
        if mark >= now {
            self.context.log_walked.send_replace(now);
        }
    }
}
