//! Reports: numbers computed from the records on request. Only the shapes that public clients read are known; what a
//! number counts is chosen here.

mod activity;
mod custom;
mod funnel;
mod metrics;
mod range;
mod sent_emails;
mod statuses;

use rustc_hash::FxHashSet;
use serde_json::Value as Json;

use crate::{
    http::{Endpoint, Exactness, Handler, Source},
    model::{Id, Kind, Record, Refusal, Value, input, render::Scene, resource::Unset},
    resources::search,
    world::{change::Body, view::View},
};

const fn read(method: &'static str, path: &'static str, handler: Handler, exactness: Exactness) -> Endpoint {
    Endpoint { method, path, handler, section: "4.0", exactness }
}

pub static SOURCE: Source = Source {
    collections: &[],
    endpoints: &[
        read("POST", "report/activity", Handler::Read(activity::report), Exactness::Inferred),
        read("GET", "report/activity/metrics", Handler::Read(metrics::list), Exactness::Inferred),
        read("GET", "report/sent_emails/{}", Handler::Read(sent_emails::report), Exactness::Inferred),
        read("GET", "report/statuses/lead/{}", Handler::Read(statuses::leads), Exactness::Inferred),
        read("GET", "report/statuses/opportunity/{}", Handler::Read(statuses::opportunities), Exactness::Inferred),
        read("POST", "report/funnel/opportunity/totals", Handler::Read(funnel::totals), Exactness::Inferred),
        read("POST", "report/funnel/opportunity/stages", Handler::Read(funnel::stages), Exactness::Inferred),
        read("GET", "report/custom/{}", Handler::Read(custom::report), Exactness::Chosen),
    ],
};

/// Refuses a report of another organization.
fn own_organization(view: &View<'_>, text: &str) -> Result<(), Refusal> {
    if view.parse_id(text) == Some(view.organization()) { Ok(()) } else { Err(Refusal::missing(text)) }
}

/// The users that a body's `users` names; `None` for all.
fn users(view: &View<'_>, body: &Body) -> Result<Option<Vec<Id>>, Refusal> {
    let Some(json) = body.get("users") else { return Ok(None) };
    let items = json.as_array().ok_or_else(|| Refusal::field("users", "Not a valid list."))?;
    let read = |json| input::read_reference(view, &[Kind::User], json);
    let users: Vec<Id> = items
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|error| Refusal::field("users", error.as_str().unwrap_or_default()))?;
    Ok((!users.is_empty()).then_some(users))
}

/// The leads that a body's `query` names, `{"type": "saved_search", "saved_search_id": "save_…"}`; `None` for all.
fn leads(view: &View<'_>, body: &Body) -> Result<Option<FxHashSet<Id>>, Refusal> {
    let Some(query) = body.get("query") else { return Ok(None) };
    if query["type"] != "saved_search" {
        return Err(Refusal::field("query", "Not a valid query. Expected type: saved_search."));
    }
    let smart_view = input::read_reference(view, &[Kind::SmartView], &query["saved_search_id"])
        .map_err(|error| Refusal::field("query", error.as_str().unwrap_or_default()))?;
    view.get(smart_view).map(|smart_view| of_smart_view(view, smart_view)).transpose()
}

fn of_smart_view(view: &View<'_>, smart_view: &Record) -> Result<FxHashSet<Id>, Refusal> {
    let s_query = match smart_view.get("s_query") {
        Some(Value::Json(text)) => serde_json::from_str::<Json>(text).ok(),
        _ => None,
    };
    Ok(search::select(view, smart_view.text("query"), s_query.as_ref(), None)?.into_iter().collect())
}

/// The lead of a record: itself, or the lead that it belongs to.
fn lead_of(record: &Record) -> Id {
    record.lead.unwrap_or(record.id)
}

/// The user of a record: its owner, or else its author.
fn user_of(record: &Record) -> Option<Id> {
    record.id_of("user_id").or(record.author)
}

/// A field of a record as text, as it is written: stored, computed, or its form when unset.
fn text(view: &View<'_>, record: &Record, name: &'static str) -> Option<String> {
    let field = record.kind().resource().field(name)?;
    let value = match field.compute {
        Some(compute) => compute(&Scene { view, record }),
        None => record.get(name).cloned().unwrap_or(Value::Null),
    };
    match (value.as_text(), field.unset) {
        (Some(text), _) | (None, Unset::Text(text)) => Some(text.to_owned()),
        _ => None,
    }
}

/// `part` of `whole` in percent, to two places; 0 if `whole` is 0.
fn percent(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 10_000.0 / whole as f64).round() / 100.0 }
}
