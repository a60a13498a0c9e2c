//! `POST /report/activity/`: metrics by time (`overview`) or by user (`comparison`), as JSON or, with `Accept:
//! text/csv`, as CSV.

use serde_json::{Map, Value as Json, json};

use super::{
    lead_of, leads,
    metrics::{METRICS, Metric},
    range::{self, Range},
    user_of, users,
};
use crate::{
    http::{Answer, Request},
    model::{Id, Kind, Record, Refusal},
    resources::export_rows::line,
    world::{change::Body, people::Caller, view::View},
};

pub(super) fn report(view: &View<'_>, _: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let mut missing = Map::new();
    for name in ["type", "metrics"] {
        if body.get(name).is_none() {
            missing.insert(name.to_owned(), "This field is required.".into());
        }
    }
    if !missing.is_empty() {
        return Err(Refusal::Invalid { errors: Vec::new(), fields: missing });
    }
    let overview = match body.text("type") {
        Some("overview") => true,
        Some("comparison") => false,
        _ => return Err(Refusal::field("type", "Not a valid choice. Expected one of: overview, comparison.")),
    };
    let metrics = metrics(&body)?;
    let range = range::of_body(view, &body, "")?;
    let (users, leads) = (users(view, &body)?, leads(view, &body)?);
    let keep = |record: &Record| {
        users.as_ref().is_none_or(|users| user_of(record).is_some_and(|user| users.contains(&user)))
            && leads.as_ref().is_none_or(|leads| leads.contains(&lead_of(record)))
    };
    let found: Vec<Vec<_>> = metrics
        .iter()
        .map(|metric| metric.records(view, range).into_iter().filter(|(_, record)| keep(record)).collect())
        .collect();

    let mut rows: Vec<(&str, Json, Map<String, Json>)> = Vec::new();
    if overview {
        let starts = range.buckets(body.offset_minutes);
        for (at, start) in starts.iter().enumerate() {
            let bucket = Range { from: *start, to: starts.get(at + 1).copied().unwrap_or(range.to) };
            let numbers = numbers(&metrics, |n| {
                found[n].iter().filter(|(at, _)| bucket.holds(*at)).map(|(_, record)| *record).collect()
            });
            rows.push(("datetime", range::written(*start).into(), numbers));
        }
    } else {
        let members: Vec<Id> = view.all(Kind::User).map(|user| user.id).collect();
        for user in users.as_ref().unwrap_or(&members) {
            let of = |n: usize| {
                found[n].iter().map(|(_, record)| *record).filter(|record| user_of(record) == Some(*user)).collect()
            };
            rows.push(("user_id", view.id_text(*user).into(), numbers(&metrics, of)));
        }
    }
    if request.header("accept").is_some_and(|accept| accept.contains("text/csv")) {
        return Ok(csv(&metrics, rows));
    }
    let totals = numbers(&metrics, |n| found[n].iter().map(|(_, record)| *record).collect());
    let data: Vec<Json> = rows
        .into_iter()
        .map(|(name, value, mut numbers)| {
            numbers.insert(name.to_owned(), value);
            Json::Object(numbers)
        })
        .collect();
    let queries: Map<String, Json> =
        metrics.iter().map(|metric| (metric.key.to_owned(), query(metric, range))).collect();
    Ok(Answer::json(
        200,
        &json!({ "aggregations": { "totals": totals }, "data": data, "queries": { "leads": queries } }),
    ))
}

fn metrics(body: &Body) -> Result<Vec<&'static Metric>, Refusal> {
    let list =
        body.get("metrics").and_then(Json::as_array).ok_or_else(|| Refusal::field("metrics", "Not a valid list."))?;
    if list.is_empty() {
        return Err(Refusal::field("metrics", "At least one metric must be given."));
    }
    list.iter()
        .map(|json| {
            METRICS
                .iter()
                .find(|metric| json == metric.key)
                .ok_or_else(|| Refusal::field("metrics", format!("{json} is not a valid metric.")))
        })
        .collect()
}

fn numbers<'r>(metrics: &[&Metric], records: impl Fn(usize) -> Vec<&'r Record>) -> Map<String, Json> {
    metrics
        .iter()
        .enumerate()
        .map(|(n, metric)| (metric.key.to_owned(), metric.number(records(n).into_iter())))
        .collect()
}

/// The text query that finds the leads of a number.
fn query(metric: &Metric, range: Range) -> Json {
    let object = metric.key.split('.').next().unwrap_or("").trim_end_matches('s');
    json!([format!("{object}(date >= \"{}\" date < \"{}\")", range::written(range.from), range::written(range.to))])
}

fn csv(metrics: &[&Metric], rows: Vec<(&str, Json, Map<String, Json>)>) -> Answer {
    let first = rows.first().map_or("datetime", |(name, _, _)| *name);
    let mut out = line(std::iter::once(first.to_owned()).chain(metrics.iter().map(|metric| metric.name.to_owned())));
    for (_, value, numbers) in rows {
        let value = value.as_str().unwrap_or("").to_owned();
        out.push_str(&line(std::iter::once(value).chain(metrics.iter().map(|metric| numbers[metric.key].to_string()))));
    }
    Answer { status: 200, body: out.into_bytes(), content_type: "text/csv", ..Answer::default() }
}
