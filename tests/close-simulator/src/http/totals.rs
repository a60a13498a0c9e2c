//! Sums over all matches of a list, which every page repeats; computed once per version of the organization.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{collection::Collection, request::Request};
use crate::world::view::View;

/// Values computed over all matches of a list.
#[derive(Debug)]
pub struct Totals {
    pub count: usize,
    /// Members of the answer, already serialized.
    pub extras: Vec<String>,
}

/// Totals of the present version, by collection, parameters and visibility.
#[derive(Debug, Default)]
pub struct Cache(Mutex<(u64, FxHashMap<String, Arc<Totals>>)>);

/// Maximum entries per version.
const REMEMBERED: usize = 256;

/// The totals of a list, computed on the first request for this version of the organization.
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
