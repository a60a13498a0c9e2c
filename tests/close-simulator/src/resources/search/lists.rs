//! `query` on the lists of leads, contacts, opportunities and tasks, and the narrower `saved_search_id`, `lead_query`
//! and `lead_saved_search_id` (reference, sections 2.5 and 4.3). Without any of them, the collection's own list
//! answers.

use super::{
    advanced, index,
    order::Place,
    property,
    query::{Node, Query},
    types::{CONTACT, LEAD, OPPORTUNITY, Subject, TASK, Target},
};
use crate::{
    http::{
        Answer, Collection, Request,
        collection::{Deed, Paging},
        list::{self, Page},
        object, router,
    },
    model::{Id, Record, Refusal, render::Selection},
    world::{people::Caller, view::View},
};

/// `GET /lead/`
pub fn leads(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    listed(view, caller, request, "lead", LEAD)
}

/// `GET /contact/`
pub fn contacts(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    listed(view, caller, request, "contact", CONTACT)
}

/// `GET /opportunity/`
pub fn opportunities(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    listed(view, caller, request, "opportunity", OPPORTUNITY)
}

/// `GET /task/`
pub fn tasks(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    listed(view, caller, request, "task", TASK)
}

fn listed(view: &View<'_>, caller: &Caller, request: &Request, path: &str, target: Target) -> Result<Answer, Refusal> {
    let collection = router::collection(path).expect("the four lists are collections");
    object::permit(view, caller, collection, Deed::Read, None)?;
    let index = index(view);
    match sought(&index, target, request) {
        None => list::list(view, collection, request),
        Some(query) => found(view, &index, collection, &query, request),
    }
}

/// The query of the parameters; `None` if the collection's own list answers.
fn sought(view: &View<'_>, target: Target, request: &Request) -> Option<Query> {
    let saved = |target, text: &str| {
        advanced::saved_search(view, target, text, request.offset_minutes, 0).unwrap_or(Node::Nothing)
    };
    let given = |name: &str| request.param(name).filter(|text| !text.trim().is_empty());
    let mut nodes = Vec::new();
    let mut orders = Vec::new();
    if let Some(text) = given("query") {
        let query = property::query(view, target, text, request.offset_minutes);
        nodes.push(query.node);
        orders = query.orders;
    }
    if target == LEAD || target == CONTACT {
        nodes.extend(given("saved_search_id").map(|text| saved(target, text)));
    }
    if target == OPPORTUNITY {
        let lead = |node| Node::Related(LEAD, Box::new(node));
        nodes.extend(given("lead_saved_search_id").map(|text| lead(saved(LEAD, text))));
        nodes.extend(
            given("lead_query").map(|text| lead(property::query(view, LEAD, text, request.offset_minutes).node)),
        );
    }
    (!nodes.is_empty()).then_some(Query { node: Node::All(nodes), orders })
}

/// A page of a list whose rows are found, counted and ordered in the index, and shown as they are now. A row that was
/// deleted since is counted but not shown (reference, section 2.1).
fn found(
    view: &View<'_>,
    index: &View<'_>,
    collection: &'static Collection,
    query: &Query,
    request: &Request,
) -> Result<Answer, Refusal> {
    let (skip, limit) = list::cut(view, collection, request)?;
    let whole = Collection { paging: Paging::Bare, extras: None, ..*collection };
    let mut rows: Vec<&Record> = list::page(index, &whole, request)?.rows;
    rows.retain(|record| query.node.holds(index, Subject::Record(record)));
    if !query.orders.is_empty() {
        let mut placed: Vec<(Place, &Record)> =
            rows.into_iter().map(|record| (Place::of(index, record, &query.orders), record)).collect();
        placed.sort_unstable_by(|a, b| a.0.compare(&b.0, &query.orders));
        rows = placed.into_iter().map(|(_, record)| record).collect();
    }
    let extras = collection.extras.map(|extras| extras(index, &rows)).unwrap_or_default();
    let total = rows.len();
    let ids: Vec<Id> = rows.into_iter().skip(skip).take(limit).map(|record| record.id).collect();
    let page = Page {
        rows: ids.into_iter().filter_map(|id| view.see(id)).collect(),
        has_more: total > skip.saturating_add(limit),
        total: collection.total.then_some(total),
        extras,
    };
    let selection = request.param("_fields").map(Selection::parse).unwrap_or_default();
    Ok(list::write(view, collection, request, &page, &selection))
}
