//! The time range of a report.

use jiff::{
    Span,
    civil::{self, Date, date},
};

use crate::{
    model::{Day, Moment, Refusal},
    world::{change::Body, view::View},
};

/// The words of `relative_range`.
const RELATIVE: &[&str] = &[
    "today",
    "this-week",
    "this-month",
    "this-quarter",
    "this-year",
    "yesterday",
    "last-week",
    "last-month",
    "last-quarter",
    "last-year",
    "all-time",
];

/// A half-open time range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// Inclusive.
    pub from: Moment,
    /// Exclusive.
    pub to: Moment,
}

impl Range {
    pub(super) fn holds(self, at: Moment) -> bool {
        self.from <= at && at < self.to
    }

    /// The last moment inside the range.
    pub(super) fn last(self) -> Moment {
        Moment(self.to.0.saturating_sub(1))
    }

    /// The starts of the days in the range, or of the months if it is longer than a quarter.
    pub(super) fn buckets(self, offset_minutes: i32) -> Vec<Moment> {
        let days = self.to.millis_since(self.from) / 86_400_000;
        let mut starts = vec![self.from];
        let mut at = civil_of(self.from, offset_minutes);
        loop {
            at = if days <= 92 {
                at.saturating_add(Span::new().days(1))
            } else {
                at.first_of_month().saturating_add(Span::new().months(1))
            };
            let start = moment_of(at, offset_minutes);
            if start >= self.to {
                return starts;
            }
            starts.push(start);
        }
    }
}

/// Reads `<prefix>datetime_range` (`{"start", "end"}`) or `<prefix>relative_range` of a body; exactly one of them is
/// required.
pub(super) fn of_body(view: &View<'_>, body: &Body, prefix: &str) -> Result<Range, Refusal> {
    let (fixed, relative) = (format!("{prefix}datetime_range"), format!("{prefix}relative_range"));
    match (body.get(&fixed), body.get(&relative)) {
        (Some(range), None) => {
            let bound = |name: &str| {
                range[name]
                    .as_str()
                    .and_then(|text| Moment::parse(text, body.offset_minutes))
                    .ok_or_else(|| Refusal::field(&fixed, format!("Not a valid range: {name} must be a datetime.")))
            };
            ordered(bound("start")?, bound("end")?)
                .ok_or_else(|| Refusal::field(&fixed, "The end must be after the start."))
        }
        (None, Some(word)) => word.as_str().and_then(|word| named(view, word, body.offset_minutes)).ok_or_else(|| {
            Refusal::field(&relative, format!("Not a valid choice. Expected one of: {}.", RELATIVE.join(", ")))
        }),
        (Some(_), Some(_)) => {
            Err(Refusal::field(&relative, format!("Only one of {fixed} and {relative} can be given.")))
        }
        (None, None) => Err(Refusal::field(&relative, format!("One of {fixed} and {relative} is required."))),
    }
}

/// Reads `date_start` and `date_end` of a query, the end inclusive if it is a date; all time without them.
pub(super) fn of_query(
    view: &View<'_>,
    request: &crate::http::Request,
    start: &str,
    end: &str,
) -> Result<Range, Refusal> {
    let from = request.moment(start)?.unwrap_or_else(|| beginning(view));
    let to = match (request.moment(end)?, request.param(end)) {
        (Some(at), Some(text)) if text.trim().len() == 10 => at.plus_days(1),
        (Some(at), _) => at,
        (None, _) => view.now,
    };
    ordered(from, to).ok_or_else(|| Refusal::bad(format!("{end} must be after {start}.")))
}

fn ordered(from: Moment, to: Moment) -> Option<Range> {
    (from < to).then_some(Range { from, to })
}

/// The founding of the organization.
fn beginning(view: &View<'_>) -> Moment {
    view.get(view.organization()).map_or(Moment(0), |organization| organization.created)
}

fn civil_of(at: Moment, offset_minutes: i32) -> Date {
    date(1970, 1, 1).saturating_add(Span::new().days(at.day(offset_minutes).0))
}

fn moment_of(at: Date, offset_minutes: i32) -> Moment {
    let days = at.since(date(1970, 1, 1)).map_or(0, |span| span.get_days());
    Day(days).start(offset_minutes)
}

fn named(view: &View<'_>, word: &str, offset_minutes: i32) -> Option<Range> {
    let today = civil_of(view.now, offset_minutes);
    let week = today.saturating_sub(Span::new().days(i64::from(today.weekday().to_monday_zero_offset())));
    let month = today.first_of_month();
    let quarter = civil::date(today.year(), (today.month() - 1) / 3 * 3 + 1, 1);
    let year = today.first_of_year();
    let (first, length) = match word {
        "today" => (today, Span::new().days(1)),
        "yesterday" => (today.saturating_sub(Span::new().days(1)), Span::new().days(1)),
        "this-week" => (week, Span::new().days(7)),
        "last-week" => (week.saturating_sub(Span::new().days(7)), Span::new().days(7)),
        "this-month" => (month, Span::new().months(1)),
        "last-month" => (month.saturating_sub(Span::new().months(1)), Span::new().months(1)),
        "this-quarter" => (quarter, Span::new().months(3)),
        "last-quarter" => (quarter.saturating_sub(Span::new().months(3)), Span::new().months(3)),
        "this-year" => (year, Span::new().years(1)),
        "last-year" => (year.saturating_sub(Span::new().years(1)), Span::new().years(1)),
        "all-time" => return Some(Range { from: beginning(view), to: view.now.plus_millis(1) }),
        _ => return None,
    };
    ordered(moment_of(first, offset_minutes), moment_of(first.saturating_add(length), offset_minutes))
}

/// The first day of a bucket, as reports write it.
pub(super) fn written(at: Moment) -> String {
    at.text(crate::model::Stamps::Offset)
}
