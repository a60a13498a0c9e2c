//! Pipelines: opportunity statuses in order (reference, section 4.8). A pipeline has no events; its statuses have their
//! own.

use serde_json::{Map, Value as Json};

use super::{nested, status};
use crate::{
    http::Source,
    model::{
        Id, Kind, Record, Refusal, Stamps,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type},
    },
    world::change::{Body, Change},
};

/// A pipeline. Stored, not shown: the order of its statuses.
pub static PIPELINE: Resource = Resource {
    name: "pipeline",
    event: None,
    stamps: Stamps::Naive,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("name", Type::Text(255)).required(),
            Field::computed("statuses", |s| {
                nested::list(s.view, status::of_pipeline(s.view, s.record), &nested::only(&["id", "label", "type"]))
            }),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, created, revise, updated, deleting, ..Laws::PLAIN },
};

pub static SOURCE: Source =
    Source { collections: &[status::definitions("pipeline", &[Kind::Pipeline], "4.8")], endpoints: &[] };

/// One entry of a body's `statuses`.
enum Entry {
    /// An existing status, moved to this position and pipeline.
    Known(Id, Map<String, Json>),
    New(Map<String, Json>),
}

fn prepare(change: &mut Change<'_>, pipeline: &mut Record, body: &Body) -> Result<(), Refusal> {
    named(pipeline)?;
    entries(change, body, false).map(drop)
}

fn revise(change: &mut Change<'_>, _before: &Record, after: &mut Record, body: &Body) -> Result<(), Refusal> {
    named(after)?;
    entries(change, body, true).map(drop)
}

fn created(change: &mut Change<'_>, id: Id, body: &Body) -> Result<(), Refusal> {
    let entries = entries(change, body, false)?;
    arrange(change, id, entries, body)
}

fn updated(change: &mut Change<'_>, _before: &Record, id: Id, body: &Body) -> Result<(), Refusal> {
    let entries = entries(change, body, true)?;
    arrange(change, id, entries, body)
}

fn named(pipeline: &Record) -> Result<(), Refusal> {
    match pipeline.text("name") {
        Some(name) if !name.trim().is_empty() => Ok(()),
        _ => Err(Refusal::field("name", "This field may not be blank.")),
    }
}

/// Reads and checks a body's `statuses`. A new pipeline gets new statuses even for entries with ids and labels, which
/// is how a pipeline is copied; an entry with an id alone moves that status here.
fn entries(change: &Change<'_>, body: &Body, existing: bool) -> Result<Vec<Entry>, Refusal> {
    let items = body.get("statuses").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut entries = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let refuse = |refusal: Refusal| {
            let errors = Json::Object([(at.to_string(), refusal.nested())].into_iter().collect());
            let fields = [("statuses".to_owned(), serde_json::json!({ "errors": errors }))].into_iter().collect();
            Refusal::Invalid { errors: Vec::new(), fields }
        };
        let map = item.as_object().cloned().ok_or_else(|| refuse(Refusal::invalid("Not a valid object.")))?;
        let known = map
            .get("id")
            .and_then(Json::as_str)
            .and_then(|text| change.world.parse_id(text))
            .filter(|id| id.kind() == Kind::OpportunityStatus && change.world.store.get(*id).is_some());
        let labelled = map.get("label").and_then(Json::as_str).is_some_and(|label| !label.trim().is_empty());
        let label = map.get("label").filter(|label| !label.is_null());
        if label.is_some_and(|label| label.as_str().is_none_or(|label| label.chars().count() > 255)) {
            return Err(refuse(Refusal::field("label", "Not a valid string of at most 255 characters.")));
        }
        if map.get("type").is_some_and(|ty| !matches!(ty.as_str(), Some("active" | "won" | "lost"))) {
            return Err(refuse(Refusal::field("type", "Not a valid choice. Expected one of: active, won, lost.")));
        }
        entries.push(match known {
            Some(id) if existing || !labelled => Entry::Known(id, map),
            _ if labelled => Entry::New(map),
            _ => return Err(refuse(Refusal::field("label", "This field is required."))),
        });
    }
    Ok(entries)
}

fn arrange(change: &mut Change<'_>, pipeline: Id, entries: Vec<Entry>, body: &Body) -> Result<(), Refusal> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut order = Vec::with_capacity(entries.len());
    for entry in entries {
        let (id, map) = match entry {
            Entry::Known(id, map) => (Some(id), map),
            Entry::New(map) => (None, map),
        };
        let body = Body { map, offset_minutes: body.offset_minutes };
        order.push(if let Some(id) = id {
            change.edit(id, |status| status.set("pipeline_id", pipeline));
            change.revise(id, &body)?;
            id
        } else {
            let mut body = body;
            body.map.remove("pipeline_id");
            change.create_with(Kind::OpportunityStatus, &body, |status| status.set("pipeline_id", pipeline))?
        });
    }
    nested::reorder(change, pipeline, status::OPPORTUNITY_ORDER, &order);
    Ok(())
}

/// The last pipeline cannot be deleted. The opportunities of a deleted pipeline get the first remaining status
/// (reference, section 8.4).
fn deleting(change: &mut Change<'_>, pipeline: &Record) -> Result<(), Refusal> {
    let view = change.whole();
    let statuses: Vec<Id> = status::of_pipeline(&view, pipeline).iter().map(|status| status.id).collect();
    if view.world.store.count(Kind::Pipeline) == 1 {
        return Err(Refusal::invalid("The last pipeline cannot be deleted."));
    }
    let heir = status::of_opportunities(&view).iter().map(|status| status.id).find(|id| !statuses.contains(id));
    status::hand_over(change, &statuses, heir, "The pipeline cannot be deleted while opportunities are in it.")?;
    for status in statuses {
        change.remove(status);
    }
    Ok(())
}
