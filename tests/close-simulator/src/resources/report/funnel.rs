//! `POST /report/funnel/opportunity/{totals,stages}/`: the progress of a pipeline's opportunities.
//!
//! `created-cohort` selects opportunities created in the cohort's time, `active-stage-cohort` those that were open in
//! the report's time.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::{
    lead_of, leads,
    metrics::{closed, status_type},
    range::{self, Range},
    user_of, users,
};
use crate::{
    http::{Answer, Request},
    model::{Id, Kind, Moment, Record, Refusal, Value, input},
    world::{people::Caller, view::View},
};

/// The selected opportunities.
struct Cohort<'v> {
    pipeline: Id,
    opportunities: Vec<&'v Record>,
}

/// Counts, values and rates, in total and by user.
pub(super) fn totals(view: &View<'_>, _: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let cohort = cohort(view, request)?;
    Ok(answer(view, &cohort, |opportunities| Json::Object(total(view, opportunities))))
}

/// Progress along the statuses, in total and by user.
pub(super) fn stages(view: &View<'_>, _: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let cohort = cohort(view, request)?;
    Ok(answer(view, &cohort, |opportunities| json!({ "stages": along(view, cohort.pipeline, opportunities) })))
}

fn answer(view: &View<'_>, cohort: &Cohort<'_>, summed: impl Fn(&[&Record]) -> Json) -> Answer {
    let mut by_user: BTreeMap<Option<Id>, Vec<&Record>> = BTreeMap::new();
    for opportunity in &cohort.opportunities {
        by_user.entry(user_of(opportunity)).or_default().push(opportunity);
    }
    let data: Vec<Json> = by_user
        .into_iter()
        .map(|(user, opportunities)| {
            let mut entry = summed(&opportunities);
            entry["user_id"] = user.map(|user| view.id_text(user)).into();
            entry
        })
        .collect();
    Answer::json(200, &json!({ "aggregations": summed(&cohort.opportunities), "data": data }))
}

fn cohort<'v>(view: &'v View<'_>, request: &Request) -> Result<Cohort<'v>, Refusal> {
    let body = request.json()?;
    let mut missing = Map::new();
    for name in ["pipeline", "type"] {
        if body.get(name).is_none() {
            missing.insert(name.to_owned(), "This field is required.".into());
        }
    }
    if !missing.is_empty() {
        return Err(Refusal::Invalid { errors: Vec::new(), fields: missing });
    }
    let pipeline = input::read_reference(view, &[Kind::Pipeline], &body.map["pipeline"])
        .map_err(|error| Refusal::field("pipeline", error.as_str().unwrap_or_default()))?;
    let created = match body.text("type") {
        Some("created-cohort") => true,
        Some("active-stage-cohort") => false,
        _ => {
            return Err(Refusal::field(
                "type",
                "Not a valid choice. Expected one of: created-cohort, active-stage-cohort.",
            ));
        }
    };
    let prefix = ["cohort_", "report_"].into_iter().find(|prefix| {
        body.get(&format!("{prefix}relative_range")).is_some() || body.get(&format!("{prefix}datetime_range")).is_some()
    });
    let range = range::of_body(view, &body, prefix.unwrap_or("report_"))?;
    let (users, leads) = (users(view, &body)?, leads(view, &body)?);
    let wanted = |opportunity: &&Record| {
        view.field_of(opportunity.id_of("status_id"), "pipeline_id").as_id() == Some(pipeline)
            && if created { range.holds(opportunity.created) } else { open_in(view, opportunity, range) }
            && users.as_ref().is_none_or(|users| user_of(opportunity).is_some_and(|user| users.contains(&user)))
            && leads.as_ref().is_none_or(|leads| leads.contains(&lead_of(opportunity)))
    };
    Ok(Cohort { pipeline, opportunities: view.all(Kind::Opportunity).filter(wanted).collect() })
}

fn open_in(view: &View<'_>, opportunity: &Record, range: Range) -> bool {
    let active = status_type(view, opportunity).as_deref() == Some("active");
    opportunity.created < range.to && (active || closed(opportunity).is_some_and(|at| at >= range.from))
}

fn value(opportunity: &Record) -> i64 {
    opportunity.int("value").unwrap_or(0)
}

/// The value per year.
fn annualized(opportunity: &Record) -> i64 {
    let times = if opportunity.text("value_period") == Some("monthly") { 12 } else { 1 };
    value(opportunity) * times
}

fn share(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 10_000.0 / whole as f64).round() / 10_000.0 }
}

fn total(view: &View<'_>, opportunities: &[&Record]) -> Map<String, Json> {
    let of = |wanted: &str| -> Vec<&Record> {
        opportunities.iter().copied().filter(|o| status_type(view, o).as_deref() == Some(wanted)).collect()
    };
    let (won, lost) = (of("won"), of("lost"));
    let sum = |records: &[&Record]| records.iter().map(|record| value(record)).sum::<i64>();
    let complete = (won.len() + lost.len()) as i64;
    let complete_value = sum(&won) + sum(&lost);
    let count = opportunities.len() as i64;
    let win_rate = share(won.len() as i64, complete);
    let mut entry = Map::new();
    entry.insert("count".to_owned(), count.into());
    entry.insert("count_total_complete".to_owned(), complete.into());
    entry.insert("count_total_won".to_owned(), won.len().into());
    entry.insert("count_win_rate".to_owned(), win_rate.into());
    entry.insert("value_total_complete".to_owned(), complete_value.into());
    entry.insert("value_total_won".to_owned(), sum(&won).into());
    entry.insert("value_win_rate".to_owned(), share(sum(&won), complete_value).into());
    let mut velocity = 0.0;
    if !won.is_empty() {
        let secs: i64 =
            won.iter().map(|o| (closed(o).unwrap_or(Moment(0)).millis_since(o.created) / 1_000).max(0)).sum();
        let average = won.iter().map(|o| annualized(o)).sum::<i64>() as f64 / won.len() as f64;
        let time = secs as f64 / won.len() as f64;
        entry.insert("average_time_to_win".to_owned(), time.into());
        entry.insert("average_value_annualized_per_won_opportunity".to_owned(), average.into());
        velocity = count as f64 * win_rate * average / (time / 86_400.0).max(1.0);
    }
    entry.insert("sales_velocity".to_owned(), velocity.into());
    entry
}

/// One entry for each status of the pipeline in order: the opportunities that reached it. A lost opportunity counts up
/// to the status before the loss.
fn along(view: &View<'_>, pipeline: Id, opportunities: &[&Record]) -> Vec<Json> {
    let statuses: Vec<&Record> = view
        .all(Kind::OpportunityStatus)
        .filter(|status| status.id_of("pipeline_id") == Some(pipeline) && status.text("type") != Some("lost"))
        .collect();
    let place = |status: Option<Id>| statuses.iter().position(|known| Some(known.id) == status);
    let reached: Vec<(usize, bool, &Record)> = opportunities
        .iter()
        .map(|opportunity| {
            let changes = view.of_lead(lead_of(opportunity), Kind::OpportunityStatusChange);
            let before = changes
                .filter(|change| change.id_of("opportunity_id") == Some(opportunity.id))
                .flat_map(|change| [change.id_of("old_status_id"), change.id_of("new_status_id")]);
            let furthest = before.chain([opportunity.id_of("status_id")]).filter_map(place).max();
            (furthest.unwrap_or(0), status_type(view, opportunity).as_deref() == Some("lost"), *opportunity)
        })
        .collect();
    let first: (i64, i64) = (reached.len() as i64, reached.iter().map(|(_, _, o)| value(o)).sum());
    let stage = |(at, status): (usize, &&Record)| {
        let here: Vec<_> = reached.iter().filter(|(furthest, _, _)| *furthest >= at).collect();
        let lost: Vec<_> = here.iter().filter(|(furthest, lost, _)| *furthest == at && *lost).collect();
        let worth = here.iter().map(|(_, _, o)| value(o)).sum::<i64>();
        let lost_worth = lost.iter().map(|(_, _, o)| value(o)).sum::<i64>();
        let weighted = here.iter().map(|(_, _, o)| value(o) * o.int("confidence").unwrap_or(0) / 100).sum::<i64>();
        let count = here.len() as i64;
        json!({
            "status": {
                "id": view.id_text(status.id),
                "label": status.text("label"),
                "type": status.get("type").and_then(Value::as_text),
            },
            "count": count,
            "count_lost": lost.len(),
            "count_lost_ratio": share(lost.len() as i64, count),
            "count_conversion_rate": share(count, first.0),
            "value": worth,
            "value_lost": lost_worth,
            "value_lost_ratio": share(lost_worth, worth),
            "value_conversion_rate": share(worth, first.1),
            "weighted_value": weighted,
            "weighted_value_conversion_rate": share(weighted, first.1),
        })
    };
    statuses.iter().enumerate().map(stage).collect()
}
