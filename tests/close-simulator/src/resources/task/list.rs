//! Lists of tasks. Without `_type` only tasks of type `lead` are listed (reference, section 12, item 10).

use super::{fields, type_of};
use crate::{
    http::{
        Request,
        collection::{Condition, Filter, OrderBy, SortKey, Test},
    },
    model::{Day, Moment, Record, Refusal},
    world::view::View,
};

/// Parameters of the list; `check` reads `_type`, `view`, `date` and `due_date`.
pub(super) const FILTERS: &[Filter] = &[
    Filter { param: "id", test: Test::Field("id") },
    Filter { param: "lead_id", test: Test::Lead },
    Filter { param: "assigned_to", test: Test::Field("assigned_to") },
    Filter { param: "is_complete", test: Test::Field("is_complete") },
    Filter { param: "date_created", test: Test::Created(1_000) },
    Filter { param: "date_updated", test: Test::Moment(|record| Some(record.updated), 1_000) },
    Filter { param: "_type", test: Test::Checked },
    Filter { param: "view", test: Test::Checked },
    Filter { param: "date", test: Test::Checked },
    Filter { param: "due_date", test: Test::Checked },
    Filter { param: "query", test: Test::Checked },
];

/// Values of `_order_by`.
pub(super) const ORDERS: &[OrderBy] = &[
    OrderBy { name: "date", key: |_, task| fields::moment(task, 0).map_or(SortKey::None, |at| SortKey::Number(at.0)) },
    OrderBy { name: "date_created", key: |_, task| SortKey::Number(task.created.0) },
];

/// Reads `_type`, `view` and the bounds of `date`.
pub(super) fn check(_view: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    let mut conditions: Vec<Condition> = Vec::new();
    let types: Vec<String> = match request.param("_type__in").or_else(|| request.param("_type")) {
        Some(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        None => vec!["lead".to_owned()],
    };
    if !types.iter().any(|name| name == "all") {
        conditions.push(Box::new(move |_, task| types.iter().any(|name| name == type_of(task))));
    }
    let offset = request.offset_minutes;
    // A view sets the bounds of `date` itself.
    match request.param("view") {
        Some(word @ ("inbox" | "future" | "archive")) => {
            let word = word.to_owned();
            conditions.push(Box::new(move |view, task| fields::place(task, view.now, offset).word() == word));
        }
        _ => dates(request, offset, &mut conditions)?,
    }
    Ok(conditions)
}

fn dates(request: &Request, offset: i32, conditions: &mut Vec<Condition>) -> Result<(), Refusal> {
    for name in ["date", "due_date"] {
        for (suffix, holds) in [
            ("", (|order| order == std::cmp::Ordering::Equal) as fn(std::cmp::Ordering) -> bool),
            ("__gt", std::cmp::Ordering::is_gt),
            ("__gte", std::cmp::Ordering::is_ge),
            ("__lt", std::cmp::Ordering::is_lt),
            ("__lte", std::cmp::Ordering::is_le),
        ] {
            let param = format!("{name}{suffix}");
            let Some(text) = request.param(&param) else { continue };
            let bound = Bound::parse(text, offset).ok_or_else(|| {
                Refusal::bad(format!("Invalid value for {param}: '{text}' is not a date or datetime."))
            })?;
            conditions.push(Box::new(move |_, task| bound.compare(task, offset).is_some_and(holds)));
        }
    }
    Ok(())
}

/// A bound of `date`: all tasks of a day equal a day, tasks of a moment equal a moment.
#[derive(Clone, Copy)]
enum Bound {
    Day(Day),
    Moment(Moment),
}

impl Bound {
    fn parse(text: &str, offset: i32) -> Option<Self> {
        if text.trim().len() == 10 {
            Day::parse(text).map(Self::Day)
        } else {
            Moment::parse(text, offset).map(Self::Moment)
        }
    }

    fn compare(self, task: &Record, offset: i32) -> Option<std::cmp::Ordering> {
        match self {
            Self::Day(day) => fields::day(task, offset).map(|of| of.cmp(&day)),
            Self::Moment(at) => fields::moment(task, offset).map(|of| of.cmp(&at)),
        }
    }
}
