//! Lists of opportunities: filters, orders, and sums over all matches (reference, sections 2.3 and 4.3).

use super::money;
use crate::{
    http::{
        Request,
        collection::{Condition, Filter, OrderBy, SortKey, Test},
    },
    model::{Day, Record, Refusal, Value},
    world::view::View,
};

/// Parameters of the list. `status` takes labels, ids or types; `date_won` is a date, so `check` reads it.
pub const FILTERS: &[Filter] = &[
    Filter { param: "lead_id", test: Test::Lead },
    Filter { param: "organization_id", test: Test::Field("organization_id") },
    Filter { param: "user_id", test: Test::Field("user_id") },
    Filter { param: "contact_id", test: Test::Field("contact_id") },
    Filter { param: "status_id", test: Test::Field("status_id") },
    Filter { param: "status_type", test: Test::Field("status_type") },
    Filter { param: "status_label", test: Test::Field("status_label") },
    Filter { param: "pipeline_id", test: Test::Field("pipeline_id") },
    Filter { param: "value_period", test: Test::Field("value_period") },
    Filter { param: "is_stalled", test: Test::Field("is_stalled") },
    Filter { param: "date_created", test: Test::Created(1_000) },
    Filter { param: "date_updated", test: Test::Moment(|record| Some(record.updated), 1_000) },
    Filter { param: "status", test: Test::Checked },
    Filter { param: "date_won", test: Test::Checked },
    Filter { param: "query", test: Test::Checked },
];

/// Values of `_order_by`.
pub const ORDERS: &[OrderBy] = &[
    OrderBy {
        name: "date_won",
        key: |_, record| date_won(record).map_or(SortKey::None, |day| SortKey::Number(day.0.into())),
    },
    OrderBy { name: "date_updated", key: |_, record| SortKey::Number(record.updated.0) },
    OrderBy { name: "date_created", key: |_, record| SortKey::Number(record.created.0) },
    OrderBy { name: "confidence", key: |_, record| number(record.int("confidence")) },
    OrderBy { name: "user_name", key: user_name },
    OrderBy { name: "value", key: |_, record| number(record.int("value")) },
    OrderBy { name: "annualized_value", key: |_, record| number(money::annualized(record)) },
    OrderBy {
        name: "annualized_expected_value",
        key: |_, record| number(money::expected(record, money::annualized(record))),
    },
];

fn number(value: Option<i64>) -> SortKey {
    value.map_or(SortKey::None, SortKey::Number)
}

fn user_name(view: &View<'_>, record: &Record) -> SortKey {
    view.user_name(record.id_of("user_id")).as_text().map_or(SortKey::None, |name| SortKey::Text(name.to_lowercase()))
}

fn date_won(record: &Record) -> Option<Day> {
    match record.get("date_won") {
        Some(Value::Day(day)) => Some(*day),
        _ => None,
    }
}

/// Reads `status` and `date_won` with their suffixes.
pub fn check(view: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    let mut conditions: Vec<Condition> = Vec::new();
    for param in ["status", "status__in"] {
        if let Some(text) = request.param(param) {
            let wanted: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
            let ids: Vec<_> = wanted.iter().filter_map(|text| view.parse_id(text)).collect();
            conditions.push(Box::new(move |view, record| {
                let status = record.id_of("status_id");
                let is = |name| {
                    view.field_of(status, name).as_text().is_some_and(|text| wanted.iter().any(|word| word == text))
                };
                status.is_some_and(|id| ids.contains(&id)) || is("label") || is("type")
            }));
        }
    }
    for (suffix, holds) in [
        ("", (|won, bound| won == bound) as fn(Day, Day) -> bool),
        ("__gt", |won, bound| won > bound),
        ("__gte", |won, bound| won >= bound),
        ("__lt", |won, bound| won < bound),
        ("__lte", |won, bound| won <= bound),
    ] {
        let param = format!("date_won{suffix}");
        let Some(text) = request.param(&param) else { continue };
        let bound = Day::parse(text)
            .ok_or_else(|| Refusal::bad(format!("Invalid value for {param}: '{text}' is not a date.")))?;
        conditions.push(Box::new(move |_, record| date_won(record).is_some_and(|won| holds(won, bound))));
    }
    Ok(conditions)
}

/// `count_by_value_period` and the totals by period, in cents.
pub fn aggregates(_view: &View<'_>, all: &[&Record]) -> Vec<String> {
    let mut counts = [0_i64; 3];
    let mut totals = [0_i64; 4];
    let mut expected = [0_i64; 4];
    for record in all {
        let Some(at) = money::PERIODS.iter().position(|period| *period == money::period(record)) else { continue };
        counts[at] += 1;
        let sums = [(at, record.int("value")), (3, money::annualized(record))];
        for (at, amount) in sums {
            totals[at] = totals[at].saturating_add(amount.unwrap_or(0));
            expected[at] = expected[at].saturating_add(money::expected(record, amount).unwrap_or(0));
        }
    }
    let mut out = vec![format!(
        "\"count_by_value_period\":{{\"one_time\":{},\"monthly\":{},\"annual\":{}}}",
        counts[0], counts[1], counts[2]
    )];
    for (at, name) in ["one_time", "monthly", "annual", "annualized"].into_iter().enumerate() {
        out.push(format!("\"total_value_{name}\":{}", totals[at]));
        out.push(format!("\"expected_value_{name}\":{}", expected[at]));
    }
    out
}
