//! Lists of a collection: filters, order, page.

use itertools::Itertools;

use super::{
    answer::Answer,
    collection::{Collection, Condition, Filter, Order, Paging, Test},
    request::Request,
    totals::{self, Totals},
};
use crate::{
    model::{
        Id, Kind, Moment, Record, Refusal, Stamps, Value,
        render::{self, Selection},
    },
    world::{change::draw, switches::OverLimit, view::View},
};

/// The rows of one page of a list.
pub struct Page<'v> {
    pub rows: Vec<&'v Record>,
    pub has_more: bool,
    /// The number of matches, if the list has a total.
    pub total: Option<usize>,
    /// Members of the answer that the collection computes over all matches.
    pub extras: Vec<String>,
}

pub fn list(view: &View<'_>, collection: &Collection, request: &Request) -> Result<Answer, Refusal> {
    let page = page(view, collection, request)?;
    let selection = request.param("_fields").map(Selection::parse).unwrap_or_default();
    Ok(write(view, collection, request, &page, &selection))
}

pub fn page<'v>(view: &'v View<'_>, collection: &Collection, request: &Request) -> Result<Page<'v>, Refusal> {
    let (skip, limit) = cut(view, collection, request)?;
    let mut conditions = (collection.check)(view, request)?;
    let mut bounds = (Moment(i64::MIN), Moment::LAST);
    let mut lead = None;
    for filter in collection.filters {
        compile(view, filter, request, &mut conditions, &mut bounds, &mut lead)?;
    }
    let holds = collection.holds;
    let keep = |record: &&Record| holds(record) && conditions.iter().all(|condition| condition(view, record));
    let ordered = request.param("_order_by").and_then(|text| order_by(collection, text));

    let unfiltered = conditions.is_empty()
        && lead.is_none()
        && bounds == (Moment(i64::MIN), Moment::LAST)
        && view.caller.is_none_or(|caller| caller.sees_all_leads)
        && std::ptr::fn_addr_eq(holds, HOLDS_ALL);
    let all = |newest_first| walk(view, collection, bounds, lead, newest_first).filter(keep);
    let totals = collection.extras.map(|extras| {
        totals::cached(view, collection, request, || {
            let rows: Vec<&Record> = all(false).collect();
            Totals { count: rows.len(), extras: extras(view, &rows) }
        })
    });

    let (rows, has_more, count) = if ordered.is_some() {
        let mut rows: Vec<&Record> = all(false).collect();
        sort(view, ordered, &mut rows);
        let count = rows.len();
        (rows.into_iter().skip(skip).take(limit).collect(), count > skip.saturating_add(limit), Some(count))
    } else {
        let mut source = all(collection.order == Order::NewestFirst);
        let skipped = source.by_ref().take(skip).count();
        let rows: Vec<&Record> = source.by_ref().take(limit).collect();
        let has_more = source.next().is_some();
        let count = match &totals {
            Some(totals) => Some(totals.count),
            None if !collection.total => None,
            None if unfiltered => Some(collection.kinds.iter().map(|kind| view.world.store.count(*kind)).sum()),
            None => Some(skipped + rows.len() + usize::from(has_more) + source.count()),
        };
        (rows, has_more, count)
    };
    let extras = totals.map(|totals| totals.extras.clone()).unwrap_or_default();
    Ok(Page { rows, has_more, total: count.filter(|_| collection.total), extras })
}

/// The `holds` of a collection without a condition. A false mismatch only costs a walk.
static HOLDS_ALL: fn(&Record) -> bool = Collection::new("", &[]).holds;

/// Writes a page.
pub fn write(
    view: &View<'_>,
    collection: &Collection,
    request: &Request,
    page: &Page<'_>,
    selection: &Selection,
) -> Answer {
    let mut out = Vec::with_capacity(page.rows.len() * 1024 + 256);
    out.extend_from_slice(b"{\"has_more\":");
    if collection.paging == Paging::Bare && view.switches().bare_lists_without_has_more {
        out.truncate(1);
    } else {
        out.extend_from_slice(if page.has_more { b"true," } else { b"false," });
    }
    if let Some(total) = page.total {
        out.extend_from_slice(format!("\"total_results\":{total},").as_bytes());
    }
    for extra in &page.extras {
        out.extend_from_slice(extra.as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(b"\"data\":[");
    let mut first = true;
    for row in &page.rows {
        // A row that fails to serialize is left out, although the page counts it (reference, section 2.1).
        if view.switches().short_pages > 0.0 && draw(view.seed(), row.id.serial()) < view.switches().short_pages {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        let narrowed = (collection.narrowed)(request, row).filter(|_| *selection == Selection::Default);
        render::write(view, row, render::LIST, narrowed.unwrap_or(selection), &mut out);
    }
    out.extend_from_slice(b"]}");
    Answer::json_bytes(200, out)
}

/// `_skip` and `_limit`, checked against the resource's maxima (reference, section 2.1).
pub fn cut(view: &View<'_>, collection: &Collection, request: &Request) -> Result<(usize, usize), Refusal> {
    let Paging::Offset { max_limit, max_skip } = collection.paging else { return Ok((0, usize::MAX)) };
    let number = |name: &str, default: usize| match request.param(name).map(|text| (text, text.trim().parse::<i64>())) {
        None | Some(("", _)) => Ok(default),
        Some((_, Ok(value))) if value >= 0 => Ok(usize::try_from(value).unwrap_or(usize::MAX)),
        Some((text, Ok(_))) => Err(Refusal::bad(format!("{name} must be a non-negative integer (got '{text}')."))),
        Some((text, Err(_))) => Err(Refusal::bad(format!("{name} must be an integer (got '{text}')."))),
    };
    let limit = number("_limit", 100.min(max_limit))?;
    let skip = number("_skip", 0)?;
    let max_skip = match view.switches().max_skip {
        0 => max_skip,
        chosen => usize::try_from(chosen).unwrap_or(usize::MAX),
    };
    // The newer endpoints, whose POST answers 201, come from another framework with different texts.
    let newer = collection.created_status == 201;
    let too_large = |name, max| Refusal::field(name, format!("Input should be less than or equal to {max}"));
    if skip > max_skip && newer {
        return Err(too_large("_skip", max_skip));
    }
    if skip > max_skip {
        return Err(Refusal::bad(format!(
            "The skip you set is larger than the maximum skip for this resource (max_skip = {max_skip}). \
             Please refine your query to narrow the results."
        )));
    }
    match view.switches().over_limit {
        OverLimit::Refuse if limit > max_limit && newer => Err(too_large("_limit", max_limit)),
        OverLimit::Refuse if limit > max_limit => Err(Refusal::bad(format!(
            "The limit you set is larger than the maximum limit for this resource (max_limit = {max_limit})."
        ))),
        _ => Ok((skip, limit.min(max_limit))),
    }
}

/// The rows of a collection within bounds of `date_created`, in that order, from either end.
fn walk<'v>(
    view: &'v View<'_>,
    collection: &Collection,
    (from, to): (Moment, Moment),
    lead: Option<Id>,
    newest_first: bool,
) -> Box<dyn Iterator<Item = &'v Record> + 'v> {
    type Rows<'v> = Box<dyn Iterator<Item = &'v Record> + 'v>;
    fn directed<'v>(rows: impl DoubleEndedIterator<Item = &'v Record> + 'v, newest_first: bool) -> Rows<'v> {
        if newest_first { Box::new(rows.rev()) } else { Box::new(rows) }
    }
    let mut sources: Vec<Rows<'v>> = match lead {
        Some(lead) if !view.visible(lead) => Vec::new(),
        Some(lead) => {
            let within = move |record: &&Record| (from..=to).contains(&record.created);
            collection
                .kinds
                .iter()
                .map(|kind| directed(view.of_lead(lead, *kind).filter(within), newest_first))
                .collect()
        }
        None if collection.kinds == Kind::ACTIVITIES => vec![directed(view.activities(from, to), newest_first)],
        None => collection.kinds.iter().map(|kind| directed(view.range(*kind, from, to), newest_first)).collect(),
    };
    if sources.len() == 1 {
        return sources.remove(0);
    }
    let place = |record: &Record| (record.created, record.id);
    Box::new(
        sources.into_iter().kmerge_by(move |a, b| if newest_first { place(a) > place(b) } else { place(a) < place(b) }),
    )
}

type Ordered = (fn(&View<'_>, &Record) -> super::collection::SortKey, bool);

fn order_by(collection: &Collection, text: &str) -> Option<Ordered> {
    let (name, descending) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    collection.orders.iter().find(|order| order.name == name || order.name == text).map(|order| (order.key, descending))
}

fn sort(view: &View<'_>, ordered: Option<Ordered>, rows: &mut [&Record]) {
    match ordered {
        Some((key, false)) => rows.sort_by_cached_key(|record| (key(view, record), record.id)),
        Some((key, true)) => rows.sort_by_cached_key(|record| std::cmp::Reverse((key(view, record), record.id))),
        None => {}
    }
}

const SUFFIXES: [&str; 6] = ["", "__in", "__gt", "__gte", "__lt", "__lte"];

fn compile(
    view: &View<'_>,
    filter: &Filter,
    request: &Request,
    conditions: &mut Vec<Condition>,
    bounds: &mut (Moment, Moment),
    lead: &mut Option<Id>,
) -> Result<(), Refusal> {
    for (at, (param, text)) in request.params.iter().enumerate() {
        let Some(suffix) = param.strip_prefix(filter.param).filter(|suffix| SUFFIXES.contains(suffix)) else {
            continue;
        };
        if request.params[at + 1..].iter().any(|(later, _)| later == param) {
            continue;
        }
        match filter.test {
            Test::Lead if suffix.is_empty() && !text.contains(',') => {
                match view.parse_id(text).filter(|id| id.kind() == Kind::Lead) {
                    Some(id) => *lead = Some(id),
                    None => conditions.push(Box::new(|_, _| false)),
                }
            }
            Test::Lead => {
                let leads: Vec<Id> = text.split(',').filter_map(|id| view.parse_id(id.trim())).collect();
                conditions.push(Box::new(move |_, record| record.lead.is_some_and(|lead| leads.contains(&lead))));
            }
            Test::Field(name) if matches!(suffix, "" | "__in") => {
                let wanted: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
                let ids: Vec<Id> = wanted.iter().filter_map(|text| view.parse_id(text)).collect();
                conditions.push(Box::new(move |view, record| field_is(view, record, name, &wanted, &ids)));
            }
            Test::Created(precision) => {
                let at = moment(request, param, text)?;
                narrow(bounds, suffix, at, precision);
            }
            Test::Moment(of, precision) if suffix != "__in" => {
                let at = moment(request, param, text)?;
                let mut range = (Moment(i64::MIN), Moment::LAST);
                narrow(&mut range, suffix, at, precision);
                conditions
                    .push(Box::new(move |_, record| of(record).is_some_and(|at| (range.0..=range.1).contains(&at))));
            }
            Test::Custom(test) if suffix.is_empty() => {
                let text = text.to_owned();
                conditions.push(Box::new(move |view, record| test(view, record, &text)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn moment(request: &Request, param: &str, text: &str) -> Result<Moment, Refusal> {
    Moment::parse(text, request.offset_minutes)
        .ok_or_else(|| Refusal::bad(format!("Invalid value for {param}: '{text}' is not a date or datetime.")))
}

/// Narrows inclusive bounds. With a precision of a second, a record of `12:00:05.7` is not later than `12:00:05`.
fn narrow(bounds: &mut (Moment, Moment), suffix: &str, at: Moment, precision: i64) {
    let floor = Moment(at.0.div_euclid(precision) * precision);
    let last = Moment(floor.0.saturating_add(precision - 1));
    match suffix {
        "__gt" => bounds.0 = bounds.0.max(Moment(last.0.saturating_add(1))),
        "__gte" => bounds.0 = bounds.0.max(floor),
        "__lt" => bounds.1 = bounds.1.min(Moment(floor.0.saturating_sub(1))),
        "__lte" => bounds.1 = bounds.1.min(last),
        "" => *bounds = (bounds.0.max(floor), bounds.1.min(last)),
        _ => {}
    }
}

/// Returns true if a field, as it is written, equals one of the texts.
fn field_is(view: &View<'_>, record: &Record, name: &'static str, wanted: &[String], ids: &[Id]) -> bool {
    let scene = render::Scene { view, record };
    let computed;
    let value = match record.kind().resource().field(name).and_then(|field| field.compute) {
        Some(compute) => {
            computed = compute(&scene);
            Some(&computed)
        }
        None => record.get(name),
    };
    let is = |value: &Value| match value {
        Value::Id(id) => ids.contains(id),
        Value::Text(text) => wanted.iter().any(|w| **w == **text),
        Value::Bool(value) => wanted.iter().any(|w| {
            w.eq_ignore_ascii_case(if *value { "true" } else { "false" }) || w == if *value { "1" } else { "0" }
        }),
        Value::Number(number) => wanted.contains(&number.to_string()),
        Value::Moment(at) => wanted.contains(&at.text(Stamps::Offset)),
        _ => false,
    };
    match value {
        Some(Value::List(items)) => items.iter().any(is),
        Some(value) => is(value),
        // An unset flag is false.
        None => {
            matches!(
                record.kind().resource().field(name).map(|field| field.unset),
                Some(crate::model::resource::Unset::False)
            ) && wanted.iter().any(|w| w.eq_ignore_ascii_case("false") || w == "0")
        }
    }
}
