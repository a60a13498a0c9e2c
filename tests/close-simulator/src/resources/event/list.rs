//! Pages of the log: newest first, from a position, without an offset (reference, section 6.2).

use std::sync::Arc;

use super::{
    cursor::Cursor,
    filter::{Bounds, Filter},
    sight::Sight,
    write::write,
};
use crate::{
    http::{Answer, Request},
    model::{Moment, Refusal},
    world::{
        events::{By, Event, Place},
        people::Caller,
        switches::CursorDate,
        view::View,
    },
};

/// Default and maximum; a larger `_limit` counts as this.
const MAX_LIMIT: usize = 50;

pub(super) fn list(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let limit = limit(request)?;
    let filter = Filter::read(view, request)?;
    let cursor = cursor(view, request)?;
    let mut bounds = Bounds::read(request)?;
    if cursor.is_some() && bounds != Bounds::NONE {
        match view.switches().cursor_date {
            CursorDate::Ignore => bounds = Bounds::NONE,
            CursorDate::Honour => {}
            CursorDate::Refuse => return Err(Refusal::bad("date_updated cannot be combined with _cursor.")),
        }
    }
    let page = Reader { view, by: filter.by(), filter, bounds, sight: Sight::of(view, caller) }.page(cursor, limit);
    Ok(page.answer(view))
}

fn limit(request: &Request) -> Result<usize, Refusal> {
    match request.param("_limit").map(str::trim) {
        None | Some("") => Ok(MAX_LIMIT),
        Some(text) => match text.parse::<i64>() {
            Ok(limit) if limit >= 0 => Ok(MAX_LIMIT.min(usize::try_from(limit).unwrap_or(MAX_LIMIT))),
            Ok(_) => Err(Refusal::bad(format!("_limit must be a non-negative integer (got '{text}')."))),
            Err(_) => Err(Refusal::bad(format!("_limit must be an integer (got '{text}')."))),
        },
    }
}

fn cursor(view: &View<'_>, request: &Request) -> Result<Option<Cursor>, Refusal> {
    let Some(text) = request.param("_cursor").filter(|text| !text.is_empty()) else { return Ok(None) };
    let lifetime = view.switches().event_cursor_secs;
    match Cursor::parse(text, view.seed()) {
        None => Err(Refusal::bad("Invalid cursor.")),
        Some(cursor) if lifetime > 0 && view.now.millis_since(cursor.issued) > lifetime * 1_000 => {
            Err(Refusal::bad("The cursor has expired."))
        }
        found => Ok(found),
    }
}

struct Page<'v> {
    /// Newest first, each with the parts that the reader may see.
    rows: Vec<(&'v Arc<Event>, super::Parts)>,
    next: Option<Place>,
    previous: Option<Place>,
}

struct Reader<'v, 'r> {
    view: &'v View<'v>,
    filter: Filter<'r>,
    by: By<'r>,
    bounds: Bounds,
    sight: Sight<'v>,
}

impl<'v> Reader<'v, '_> {
    fn page(mut self, cursor: Option<Cursor>, limit: usize) -> Page<'v> {
        let mut rows: Vec<&'v Arc<Event>> = match cursor {
            _ if self.filter.is_nothing() => Vec::new(),
            Some(Cursor { newer: true, place, .. }) => {
                let mut rows = self.newer(place, limit);
                rows.reverse();
                rows
            }
            Some(Cursor { place, .. }) => self.older(place, limit),
            None => self.older((Moment::LAST, u64::MAX), limit),
        };
        let ends = match (rows.first(), rows.last(), cursor) {
            (Some(first), Some(last), _) => Some((first.place(), last.place())),
            // Nothing on this side of the cursor: the way back starts at the position itself.
            (_, _, Some(Cursor { newer, place: (at, order), .. })) => Some(if newer {
                ((at, order), (at, order.saturating_add(1)))
            } else {
                ((at, order.saturating_sub(1)), (at, order))
            }),
            _ => None,
        };
        let (mut next, mut previous) = (None, None);
        if let Some((first, last)) = ends.filter(|_| !self.filter.is_nothing()) {
            next = (!self.older(last, 1).is_empty()).then_some(last);
            // Nothing precedes a first page: it starts at the newest event.
            previous = (cursor.is_some() && !self.newer(first, 1).is_empty()).then_some(first);
        }
        let rows = rows.drain(..).map(|event| (event, self.sight.parts(event))).collect();
        Page { rows, next, previous }
    }

    fn older(&mut self, than: Place, limit: usize) -> Vec<&'v Arc<Event>> {
        let Self { view, filter, by, bounds, sight } = self;
        // The first position beyond the upper bound.
        let than = than.min((Moment(bounds.to.0.saturating_add(1)), 0));
        let from = bounds.from.max(sight.oldest);
        let events = view.world.events.older_by(*by, than).take_while(|event| event.updated >= from);
        events.filter(|event| filter.matches(event) && sight.sees(event)).take(limit).collect()
    }

    fn newer(&mut self, than: Place, limit: usize) -> Vec<&'v Arc<Event>> {
        let Self { view, filter, by, bounds, sight } = self;
        let than = if than.0 < bounds.from { (Moment(bounds.from.0 - 1), u64::MAX) } else { than };
        let to = bounds.to;
        let events = view.world.events.newer_by(*by, than).take_while(|event| event.updated <= to);
        events.filter(|event| filter.matches(event) && sight.sees(event)).take(limit).collect()
    }
}

impl Page<'_> {
    fn answer(&self, view: &View<'_>) -> Answer {
        let mut out = Vec::with_capacity(self.rows.len() * 2048 + 128);
        out.extend_from_slice(b"{\"data\":[");
        for (at, (event, parts)) in self.rows.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write(view, event, *parts, &mut out);
        }
        out.push(b']');
        for (name, place, newer) in [("cursor_next", self.next, false), ("cursor_previous", self.previous, true)] {
            let cursor = place.map(|place| Cursor { newer, place, issued: view.now }.text(view.seed()));
            let text = cursor.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""));
            out.extend_from_slice(format!(",\"{name}\":{text}").as_bytes());
        }
        out.push(b'}');
        Answer::json_bytes(200, out)
    }
}
