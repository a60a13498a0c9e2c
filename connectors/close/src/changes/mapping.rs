//! One event of the log as records.
//!
//! Most events carry their object. It is read by its id where the event lacks it, since the key is not an admin's, or
//! where lists and events leave fields out.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use serde_json::{Map, Value as Json};
use towpath_api::{ChangeEvent, ErrorType, Op, Result, delay_of_preparing};

use crate::{
    catalogue::{Kind, Listing, is_id},
    client::{Answer, Close, Lane, concerns_one_object},
    codes,
    context::Context,
    moment::Moment,
    record::{LogEvent, Misfits, Shape, Unusable, log_event, merged_away, read_row},
    structure::Structure,
};

/// What an event gives.
pub(super) enum Mapped {
    /// These records, in their order, and what did not fit of the first one.
    Records(Vec<ChangeEvent>, Misfits),
    /// Nothing: it has no object, and that cannot be read.
    Nothing(&'static str),
    /// The record of the row with this id is yet to come, since Close did not give it. What else the event gives.
    Waits(String, Vec<ChangeEvent>),
}

/// What Close has under an id.
pub(super) enum Single {
    Row(Map<String, Json>, Moment),
    Gone,
    Refused,
    /// The row is larger than any that is taken.
    TooLarge,
}

/// Maps the events of a batch. Each object is read once.
pub(super) struct Mapping<'a> {
    context: &'a Context,
    pub(super) structure: Arc<Structure>,
    singles: HashMap<(&'static str, String), Single>,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self { context, structure: context.structure(), singles: HashMap::new() }
    }

    /// The records of an event of this kind.
    ///
    /// # Errors
    /// Those of the client that end the source.
    pub(super) async fn map(&mut self, kind: &'static Kind, event: &LogEvent) -> Result<Mapped> {
        let Some(shape) = self.structure.shape(kind).map(Arc::clone) else {
            return Ok(Mapped::Nothing("unprepared"));
        };
        if event.action == "merged" && kind.name == "lead" {
            return self.map_merge(kind, &shape, event).await;
        }
        self.map_one(kind, &shape, event).await
    }

    async fn map_one(&mut self, kind: &'static Kind, shape: &Shape, event: &LogEvent) -> Result<Mapped> {
        let incomplete = event.data.is_none() || matches!(kind.listing, Listing::FullThenSingle(_));
        if event.action != "deleted" && incomplete && kind.has_single {
            return Ok(match self.single(kind, &event.object_id).await? {
                Single::Row(row, read_at) => match read_row(shape, row, *read_at) {
                    Ok((record, misfits)) => Mapped::Records(vec![of_event(record, event)], misfits),
                    Err(unusable) => Mapped::Nothing(reason(unusable)),
                },
                Single::Gone => deleted(shape, &event.object_id, event),
                Single::Refused => Mapped::Waits(event.object_id.clone(), Vec::new()),
                Single::TooLarge => Mapped::Nothing(ErrorType::TooLarge.as_str()),
            });
        }
        Ok(match log_event(shape, event) {
            Ok((record, misfits)) => Mapped::Records(vec![record], misfits),
            Err(unusable) => Mapped::Nothing(reason(unusable)),
        })
    }

    /// A merge: the destination as it is, and the source is gone. The children of the source live on under the
    /// destination (`close-api.md`, 8.5).
    async fn map_merge(&mut self, kind: &'static Kind, shape: &Shape, event: &LogEvent) -> Result<Mapped> {
        let destination = event.meta.as_ref().and_then(|meta| meta.get("merge_destination_lead_id"));
        let remaining = destination.and_then(Json::as_str).unwrap_or(&event.object_id).to_owned();
        let upsert = LogEvent { object_id: remaining, ..event.clone() };
        let mut mapped = self.map_one(kind, shape, &upsert).await?;
        if let Mapped::Records(records, _) | Mapped::Waits(_, records) = &mut mapped {
            records.extend(merged_away(shape, event));
        }
        Ok(mapped)
    }

    async fn single(&mut self, kind: &'static Kind, id: &str) -> Result<&Single> {
        match self.singles.entry((kind.name, id.to_owned())) {
            Entry::Occupied(read) => Ok(read.into_mut()),
            // The log waits meanwhile, so a row that Close does not give soon is read later.
            Entry::Vacant(place) => {
                Ok(place.insert(read_single(self.context, &self.context.close.hasty(), kind, id).await?))
            }
        }
    }
}

/// Reads a row by its id.
///
/// # Errors
/// Those of the client that concern more than one object.
pub(super) async fn read_single(context: &Context, close: &Close, kind: &Kind, id: &str) -> Result<Single> {
    if !is_id(id) {
        return Ok(Single::Gone);
    }
    match close.get(Lane::Changes, &format!("{}{id}/", kind.path), &[]).await {
        Ok(Answer { body, read_at, .. }) => Ok(Single::Row(body, read_at)),
        Err(error) if error.code == codes::NOT_FOUND => Ok(Single::Gone),
        Err(error) if error.code == codes::TOO_LARGE => {
            let (object, error) = (kind.name, error.chain());
            tracing::warn!(object, id, error, "{object} {id} is left out, since it is too large; the others go on");
            Ok(Single::TooLarge)
        }
        Err(error) if !concerns_one_object(&error) => Err(error),
        Err(error) => {
            context.life.part_waits(&part_of(kind), &error, 1, delay_of_preparing(7));
            Ok(Single::Refused)
        }
    }
}

/// The name of an object's events as a part of the source, for people.
pub(super) fn part_of(kind: &Kind) -> String {
    format!("events of {}", kind.name)
}

/// A row that was read for an event, as the record of the event.
fn of_event(record: ChangeEvent, event: &LogEvent) -> ChangeEvent {
    let op = if event.action == "created" { Op::Create } else { Op::Update };
    ChangeEvent { op, event_id: event.identity(), ..record }
}

fn deleted(shape: &Shape, id: &str, event: &LogEvent) -> Mapped {
    let deleted = LogEvent {
        object_id: id.to_owned(),
        action: "deleted".to_owned(),
        data: None,
        previous_data: None,
        ..event.clone()
    };
    match log_event(shape, &deleted) {
        Ok((record, _)) => Mapped::Records(vec![record], Misfits::default()),
        Err(unusable) => Mapped::Nothing(reason(unusable)),
    }
}

fn reason(unusable: Unusable) -> &'static str {
    match unusable {
        Unusable::NoId => "no_id",
        Unusable::NoData => "no_data",
        Unusable::NotWhole => "not_whole",
        Unusable::NoTime => "no_time",
    }
}
