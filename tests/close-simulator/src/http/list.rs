//! A collection's list: filters, order, page.

use super::answer::Answer;
use super::collection::{Collection, Condition, Filter, Order, Paging, Test};
use super::request::Request;
use crate::model::render::{self, Selection};
use crate::model::{Id, Kind, Moment, Record, Refusal, Stamps, Value};
use crate::world::change::draw;
use crate::world::switches::OverLimit;
use crate::world::view::View;

/// Which rows of a list, and how many in all.
pub struct Page<'v> {
    /// The rows of the page.
    pub rows: Vec<&'v Record>,
    /// Whether rows follow.
    pub has_more: bool,
    /// How many match, if that was asked for.
    pub total: Option<usize>,
    /// Members of the answer that the collection computes over all matches.
    pub extras: Vec<String>,
}

/// Answers a list.
pub fn list(view: &View<'_>, collection: &Collection, request: &Request) -> Result<Answer, Refusal> {
    let page = page(view, collection, request)?;
    let selection = request.param("_fields").map(Selection::parse).unwrap_or_default();
    Ok(write(view, collection, &page, &selection))
}

/// Finds the rows of a list.
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

    if ordered.is_some() || collection.extras.is_some() || lead.is_some() {
        let mut rows: Vec<&Record> = candidates(view, collection, bounds, lead).filter(keep).collect();
        sort(view, collection, ordered, &mut rows);
        let extras = collection.extras.map(|extras| extras(view, &rows)).unwrap_or_default();
        let total = rows.len();
        let has_more = total > skip.saturating_add(limit);
        let rows = rows.into_iter().skip(skip).take(limit).collect();
        return Ok(Page { rows, has_more, total: collection.total.then_some(total), extras });
    }

    let mut source = candidates(view, collection, bounds, lead).filter(keep);
    let mut skipped = 0;
    while skipped < skip && source.next().is_some() {
        skipped += 1;
    }
    let rows: Vec<&Record> = source.by_ref().take(limit).collect();
    let unfiltered = conditions.is_empty()
        && bounds == (Moment(i64::MIN), Moment::LAST)
        && view.caller.is_none_or(|caller| caller.sees_all_leads);
    let next = source.next().is_some();
    let total = collection.total.then(|| {
        if unfiltered && collection.kinds.len() == 1 && std::ptr::fn_addr_eq(holds, HOLDS_ALL) {
            view.world.store.count(collection.kinds[0])
        } else {
            skipped + rows.len() + usize::from(next) + source.count()
        }
    });
    Ok(Page { rows, has_more: next, total, extras: Vec::new() })
}

/// What a collection without a condition of its own has for `holds`; only used to count without walking.
static HOLDS_ALL: fn(&Record) -> bool = Collection::new("", &[]).holds;

/// Writes a page.
pub fn write(view: &View<'_>, collection: &Collection, page: &Page<'_>, selection: &Selection) -> Answer {
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
        // A row that fails to serialise is left out, while the page counts it (reference, section 2.1).
        if view.switches().short_pages > 0.0 && draw(view.seed(), row.id.serial()) < view.switches().short_pages {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        render::write(view, row, render::LIST, selection, &mut out);
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
    // The newer endpoints, whose POST answers 201, have another framework with words of its own.
    let newer = collection.created_status == 201;
    let too_large = |name, max| Refusal::field(name, format!("Input should be less than or equal to {max}"));
    if skip > max_skip && newer {
        return Err(too_large("_skip", max_skip));
    }
    if skip > max_skip {
        return Err(Refusal::bad(format!(
            "The skip you set is larger than the maximum skip for this resource (max_skip = {max_skip}). Please refine your query to narrow the results."
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

/// The rows within bounds in the collection's order, before any condition.
fn candidates<'v>(
    view: &'v View<'_>,
    collection: &Collection,
    (from, to): (Moment, Moment),
    lead: Option<Id>,
) -> Box<dyn Iterator<Item = &'v Record> + 'v> {
    if let Some(lead) = lead {
        let kinds = if view.visible(lead) { collection.kinds } else { &[] };
        let mut rows: Vec<&Record> = kinds.iter().flat_map(|kind| view.of_lead(lead, *kind)).collect();
        rows.retain(|record| (from..=to).contains(&record.created));
        sort(view, collection, None, &mut rows);
        return Box::new(rows.into_iter());
    }
    let newest_first = collection.order == Order::NewestFirst;
    if collection.kinds == Kind::ACTIVITIES {
        return directed(view.activities(from, to), newest_first);
    }
    let mut sources: Vec<_> =
        collection.kinds.iter().map(|kind| directed(view.range(*kind, from, to), newest_first).peekable()).collect();
    if sources.len() == 1 {
        return Box::new(sources.remove(0));
    }
    // Several kinds, each in order: the next row is the first of the kinds' next ones.
    Box::new(std::iter::from_fn(move || {
        let next = sources.iter_mut().enumerate().filter_map(|(at, source)| {
            let record = source.peek()?;
            Some(((record.created, record.id), at))
        });
        let (_, at) = if newest_first { next.max()? } else { next.min()? };
        sources[at].next()
    }))
}

fn directed<'v>(
    rows: impl DoubleEndedIterator<Item = &'v Record> + 'v,
    newest_first: bool,
) -> Box<dyn Iterator<Item = &'v Record> + 'v> {
    if newest_first { Box::new(rows.rev()) } else { Box::new(rows) }
}

type Ordered = (fn(&View<'_>, &Record) -> super::collection::SortKey, bool);

fn order_by(collection: &Collection, text: &str) -> Option<Ordered> {
    let (name, descending) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    collection.orders.iter().find(|order| order.name == name).map(|order| (order.key, descending))
}

fn sort(view: &View<'_>, collection: &Collection, ordered: Option<Ordered>, rows: &mut [&Record]) {
    match (ordered, collection.order) {
        (Some((key, false)), _) => rows.sort_by_cached_key(|record| (key(view, record), record.id)),
        (Some((key, true)), _) => rows.sort_by_cached_key(|record| std::cmp::Reverse((key(view, record), record.id))),
        (None, Order::NewestFirst) => rows.sort_by_key(|record| std::cmp::Reverse((record.created, record.id))),
        (None, Order::OldestFirst) => rows.sort_by_key(|record| (record.created, record.id)),
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
        let Some(suffix) = param.strip_prefix(filter.param).filter(|suffix| SUFFIXES.contains(suffix)) else { continue };
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
                conditions.push(Box::new(move |_, record| of(record).is_some_and(|at| (range.0..=range.1).contains(&at))));
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

/// Whether a field, as it is written, is one of some texts.
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
        Value::Bool(value) => wanted
            .iter()
            .any(|w| w.eq_ignore_ascii_case(if *value { "true" } else { "false" }) || w == if *value { "1" } else { "0" }),
        Value::Number(number) => wanted.contains(&number.to_string()),
        Value::Moment(at) => wanted.contains(&at.text(Stamps::Offset)),
        _ => false,
    };
    match value {
        Some(Value::List(items)) => items.iter().any(is),
        Some(value) => is(value),
        // A flag that was never set is false.
        None => {
            matches!(record.kind().resource().field(name).map(|field| field.unset), Some(crate::model::resource::Unset::False))
                && wanted.iter().any(|w| w.eq_ignore_ascii_case("false") || w == "0")
        }
    }
}
