//! Opportunities, from the truth.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::{Truth, annualized, cents, days, micros, moment, rounded};

/// The label, type and pipeline of a status, by the status if it exists.
fn status(truth: &Truth, id: &Json, otherwise: [&Json; 4]) -> [Json; 4] {
    let [label, kind, pipeline, pipeline_name] = otherwise;
    let status = id.as_str().and_then(|id| truth.get("opportunity_status", id));
    let known = |field: &str, otherwise: &Json| status.map_or(otherwise, |status| &status[field]).clone();
    let (label, kind, pipeline) = (known("label", label), known("type", kind), known("pipeline_id", pipeline));
    let name = pipeline.as_str().and_then(|id| truth.get("pipeline", id)).map_or(pipeline_name, |of| &of["name"]);
    [label, kind, pipeline.clone(), name.clone()]
}

pub(super) fn pipeline_overview(truth: &Truth, now: i64) -> Vec<Json> {
    let mut stages: BTreeMap<(String, Option<String>), Vec<&Json>> = BTreeMap::new();
    for opportunity in truth.all("opportunity") {
        let text = |field: &str| opportunity[field].as_str().map(ToOwned::to_owned);
        stages.entry((text("status_id").expect("a status"), text("value_currency"))).or_default().push(opportunity);
    }
    for id in truth.of("opportunity_status").keys() {
        if !stages.keys().any(|(status, _)| status == id) {
            stages.insert((id.clone(), None), Vec::new());
        }
    }
    stages.into_iter().map(|((id, currency), deals)| stage(truth, now, &id, currency.as_deref(), &deals)).collect()
}

fn stage(truth: &Truth, now: i64, id: &str, currency: Option<&str>, deals: &[&Json]) -> Json {
    let null = &Json::Null;
    let last = |field: &str| deals.iter().map(|deal| &deal[field]).max_by_key(|label| label.as_str()).unwrap_or(null);
    let otherwise = [last("status_label"), last("status_type"), last("pipeline_id"), last("pipeline_name")];
    let [label, kind, pipeline, name] = status(truth, &json!(id), otherwise);
    let position = pipeline.as_str().and_then(|id| truth.get("pipeline", id)).and_then(|pipeline| {
        pipeline["statuses"].as_array().expect("statuses").iter().position(|status| status["id"] == id)
    });
    let sum = |value: &dyn Fn(&Json) -> Decimal| rounded(deals.iter().map(|deal| value(deal)).sum(), 2);
    let of_period = |period: &'static str| {
        move |deal: &Json| if deal["value_period"] == period { cents(&deal["value"]) } else { Decimal::ZERO }
    };
    let confidence = |deal: &Json| Decimal::new(deal["confidence"].as_i64().unwrap_or(0), 2);
    let ages = deals.iter().filter_map(|deal| {
        let end = match truth.status_type(&deal["status_id"], &deal["status_type"]).as_str() {
            Some("won") => deal["date_won"].as_str().map(|day| micros(&format!("{day}T00:00:00Z"))),
            Some("lost") => moment(deal, &["date_lost"]),
            _ => Some(now),
        };
        Some(days(end? - moment(deal, &["date_created"])?).max(Decimal::ZERO))
    });
    let ages: Vec<Decimal> = ages.collect();
    let average = (!ages.is_empty()).then(|| rounded(ages.iter().sum::<Decimal>() / Decimal::from(ages.len()), 2));
    json!({
        "pipeline_id": pipeline,
        "pipeline": name,
        "position": position.map(|position| position + 1),
        "status_id": id,
        "status": label,
        "status_type": kind,
        "currency": currency,
        "opportunities": deals.len(),
        "value": sum(&|deal| cents(&deal["value"])),
        "value_one_time": sum(&of_period("one_time")),
        "value_monthly": sum(&of_period("monthly")),
        "value_annual": sum(&of_period("annual")),
        "annualized_value": sum(&annualized),
        "weighted_value": sum(&|deal| cents(&deal["value"]) * confidence(deal)),
        "weighted_annualized_value": sum(&|deal| annualized(deal) * confidence(deal)),
        "average_age_days": average,
    })
}

pub(super) fn opportunity_stage_history(truth: &Truth, now: i64) -> Vec<Json> {
    let mut changes: BTreeMap<&str, Vec<&Json>> = BTreeMap::new();
    for change in truth.all("opportunity_status_change") {
        changes.entry(change["opportunity_id"].as_str().expect("an opportunity")).or_default().push(change);
    }
    for of_one in changes.values_mut() {
        of_one.sort_by_key(|change| (moment(change, &["date_created"]), change["id"].as_str()));
    }
    let none = Vec::new();
    let histories = truth.of("opportunity").iter();
    histories.flat_map(|(id, deal)| history(truth, now, deal, changes.get(id.as_str()).unwrap_or(&none))).collect()
}

/// A stage: the status with what is known about it otherwise, from when, until when, whether it is present.
type Visit<'t> = (&'t Json, [&'t Json; 4], Option<i64>, Option<i64>, bool);

fn history(truth: &Truth, now: i64, deal: &Json, changes: &[&Json]) -> Vec<Json> {
    let at = |change: &Json| moment(change, &["date_created"]).expect("a time");
    let of_deal = ["status_label", "status_type", "pipeline_id", "pipeline_name"].map(|field| &deal[field]);
    let created = at(deal);
    let mut visits: Vec<Visit<'_>> = Vec::new();
    if let (Some(first), Some(last)) = (changes.first(), changes.last()) {
        if !first["old_status_id"].is_null() {
            let of =
                ["old_status_label", "old_status_type", "old_pipeline_id", "old_pipeline_name"].map(|of| &first[of]);
            visits.push((&first["old_status_id"], of, Some(created.min(at(first))), Some(at(first)), false));
        }
        for (number, change) in changes.iter().enumerate() {
            let of =
                ["new_status_label", "new_status_type", "new_pipeline_id", "new_pipeline_name"].map(|of| &change[of]);
            let is_current = number + 1 == changes.len() && change["new_status_id"] == deal["status_id"];
            let left = changes.get(number + 1).map(|next| at(next));
            visits.push((&change["new_status_id"], of, Some(at(change)), left, is_current));
        }
        if last["new_status_id"] != deal["status_id"] {
            visits.push((&deal["status_id"], of_deal, None, None, true));
        }
    } else {
        visits.push((&deal["status_id"], of_deal, Some(created), None, true));
    }
    let text =
        |micros: Option<i64>| micros.map(|micros| jiff::Timestamp::from_microsecond(micros).unwrap().to_string());
    let visit = |(number, (id, of, entered, left, is_current)): (usize, Visit<'_>)| {
        let [label, kind, pipeline, name] = status(truth, id, of);
        let end = left.or((is_current && kind == "active").then_some(now));
        let spent = end.zip(entered).map(|(end, entered)| rounded(days(end - entered), 4));
        json!({
            "opportunity_id": deal["id"],
            "stage": number + 1,
            "lead_id": deal["lead_id"],
            "user_id": deal["user_id"],
            "pipeline_id": pipeline,
            "pipeline": name,
            "status_id": id,
            "status": label,
            "status_type": kind,
            "entered_at": text(entered),
            "left_at": text(left),
            "days": spent,
            "is_current": is_current,
            "outcome": truth.status_type(&deal["status_id"], &deal["status_type"]),
        })
    };
    visits.into_iter().enumerate().map(visit).collect()
}
