//! Search: the advanced query of `POST /data/search/` and the legacy query text of lists (reference, sections 2.5 and
//! 2.6).
//!
//! Both are read into a [`query::Node`]: `advanced` reads a tree of JSON; `property` reads text by the grammar in
//! `text`. The node is tested against one object after another. `found` walks, `page` and `lists` answer. Everything
//! reads the index, which may lag.

pub mod advanced;
pub mod condition;
pub mod cursor;
pub mod field;
pub mod found;
pub mod lists;
pub mod moments;
pub mod order;
pub mod page;
pub mod property;
pub mod query;
pub mod text;
pub mod trouble;
pub mod types;
pub mod words;

use serde_json::Value as Json;

use crate::{
    http::{Endpoint, Exactness, Handler, Source},
    model::{Id, Kind, Refusal},
    world::view::View,
};

pub static SOURCE: Source = Source {
    collections: &[],
    endpoints: &[
        Endpoint {
            method: "POST",
            path: "data/search",
            handler: Handler::Read(page::search),
            section: "2.6",
            exactness: Exactness::Documented,
        },
        listing("lead", Handler::Read(lists::leads), Exactness::Documented),
        listing("contact", Handler::Read(lists::contacts), Exactness::Inferred),
        listing("opportunity", Handler::Read(lists::opportunities), Exactness::Documented),
        listing("task", Handler::Read(lists::tasks), Exactness::Inferred),
    ],
};

const fn listing(path: &'static str, handler: Handler, exactness: Exactness) -> Endpoint {
    Endpoint { method: "GET", path, handler, section: "2.5", exactness }
}

/// The leads that a query finds, or the contacts if an advanced query asks for them, in its order and at most `limit`.
/// `query` is legacy text; `s_query` is a tree, bare or as `{"query": …, "sort": …, "results_limit": …}`. The tree
/// takes precedence; without either, all leads match.
///
/// # Errors
/// The tree is invalid.
pub fn select(
    view: &View<'_>,
    query: Option<&str>,
    s_query: Option<&Json>,
    limit: Option<usize>,
) -> Result<Vec<Id>, Refusal> {
    let index = index(view);
    let mut limit = limit.unwrap_or(usize::MAX);
    let sought = match s_query.filter(|json| !json.is_null()) {
        None => property::query(&index, types::LEAD, query.unwrap_or_default(), 0),
        Some(json) => {
            let reader = advanced::Reader {
                view: &index,
                offset_minutes: 0,
                returnable: &[Kind::Lead, Kind::Contact],
                depth: 0,
            };
            let tree = advanced::bare(json);
            let beside = |name| if std::ptr::eq(tree, json) { None } else { json.get(name) };
            if let Some(most) = beside("results_limit").and_then(Json::as_u64) {
                limit = limit.min(usize::try_from(most).unwrap_or(usize::MAX));
            }
            reader.query(Some(tree), beside("sort"))?
        }
    };
    // A tree without a type is about leads.
    let kinds = match &sought.node.kinds(&[Kind::Lead, Kind::Contact])[..] {
        [Kind::Contact] => vec![Kind::Contact],
        [] => Vec::new(),
        _ => vec![Kind::Lead],
    };
    let found = found::Found { query: &sought, kinds: &kinds };
    Ok(found.after(&index, None, limit).into_iter().map(|(_, record)| record.id).collect())
}

/// The organization as the search index knows it: some time ago (reference, section 2.6).
fn index<'w>(view: &View<'w>) -> View<'w> {
    let lag = view.switches().search_lag_ms;
    View::at(view.world, view.caller, view.world.clock.now().plus_millis(-lag))
}
