//! What some lists say of all that matches: sums that every page repeats, computed once for each version of the
//! organization.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{collection::Collection, request::Request};
use crate::world::view::View;

/// Computed over all matches of a list.
#[derive(Debug)]
pub struct Totals {
    /// How many match.
    pub count: usize,
    /// Members of the answer, already written.
    pub extras: Vec<String>,
}

/// Totals of the present version, by collection, parameters and what the caller sees.
#[derive(Debug, Default)]
pub struct Cache(Mutex<(u64, FxHashMap<String, Arc<Totals>>)>);

/// Questions that are remembered of one version.
const REMEMBERED: usize = 256;

/// The totals of a list, computed when this version of the organization was not asked for them before.
pub fn cached(
    view: &View<'_>,
    collection: &Collection,
    request: &Request,
    compute: impl FnOnce() -> Totals,
) -> Arc<Totals> {
    let version = view.world.history.last();
    let mut question = collection.path.to_owned();
    if let Some(caller) = view.caller.filter(|caller| !caller.sees_all_leads) {
        question.push_str(&caller.name);
    }
    for (name, value) in &request.params {
        if !matches!(name.as_str(), "_skip" | "_limit" | "_fields" | "_order_by") {
            question.push_str(&format!("&{name}={value}"));
        }
    }
    question.push_str(&format!("@{}", request.offset_minutes));
    let cache = &view.world.totals.0;
    {
        let cache = cache.lock();
        if cache.0 == version
            && let Some(known) = cache.1.get(&question)
        {
            return Arc::clone(known);
        }
    }
    let totals = Arc::new(compute());
    let mut cache = cache.lock();
    if cache.0 != version || cache.1.len() >= REMEMBERED {
        cache.0 = version;
        cache.1.clear();
    }
    cache.1.insert(question, Arc::clone(&totals));
    totals
}
