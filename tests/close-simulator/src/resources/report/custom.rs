//! `GET /report/custom/{organization}/`: one number over time. No example of its answer is public, so its form is
//! chosen: `{"series": [{"name", "data": [[datetime, number], …]}]}`, one series, or one per user with
//! `group_by=user_id`.

use serde_json::{Value as Json, json};

use super::{
    lead_of,
    metrics::METRICS,
    own_organization,
    range::{self, Range},
    user_of,
};
use crate::{
    http::{Answer, Request},
    model::{Id, Kind, Record, Refusal},
    resources::search,
    world::{people::Caller, view::View},
};

/// `y` is the key of a metric; `start` and `end` bound the time, `query` the leads.
pub(super) fn report(view: &View<'_>, _: &Caller, request: &Request) -> Result<Answer, Refusal> {
    own_organization(view, &request.segments[0])?;
    let key = request.param("y").unwrap_or("leads.created.all.count");
    let metric = METRICS.iter().find(|metric| metric.key == key);
    let metric = metric.ok_or_else(|| Refusal::bad(format!("y must be one of the metrics (got '{key}').")))?;
    let range = range::of_query(view, request, "start", "end")?;
    let leads = match request.param("query") {
        Some(query) => Some(search::select(view, Some(query), None, None)?),
        None => None,
    };
    let records: Vec<_> = metric
        .records(view, range)
        .into_iter()
        .filter(|(_, record)| leads.as_ref().is_none_or(|leads| leads.contains(&lead_of(record))))
        .collect();
    let starts = range.buckets(request.offset_minutes);
    let series = |name: &str, keep: &dyn Fn(&Record) -> bool| {
        let data: Vec<Json> = starts
            .iter()
            .enumerate()
            .map(|(at, start)| {
                let bucket = Range { from: *start, to: starts.get(at + 1).copied().unwrap_or(range.to) };
                let kept =
                    records.iter().filter(|(at, record)| bucket.holds(*at) && keep(record)).map(|(_, record)| *record);
                json!([range::written(*start), metric.number(kept)])
            })
            .collect();
        json!({ "name": name, "data": data })
    };
    let all = match request.param("group_by") {
        None | Some("") => vec![series(metric.name, &|_| true)],
        Some("user_id") => {
            let users: Vec<Id> = view.all(Kind::User).map(|user| user.id).collect();
            users.into_iter().map(|user| series(&view.id_text(user), &|record| user_of(record) == Some(user))).collect()
        }
        Some(other) => return Err(Refusal::bad(format!("group_by must be user_id (got '{other}')."))),
    };
    Ok(Answer::json(200, &json!({ "x": "datetime", "y": metric.key, "series": all })))
}
