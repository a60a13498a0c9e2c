//! Pages of the event log.

use serde_json::{Map, Value as Json};
use towpath_api::{Error, ErrorType, Result};

use crate::{
    client::{Close, Lane},
    codes,
    moment::Moment,
    record::LogEvent,
};

/// The most events that Close gives in a page.
const LIMIT: u32 = 50;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At the newest event below `before`, or the newest of all, down to `from`. `before` is exclusive.
    Range { from: Moment, before: Option<Moment> },
    /// After the page that gave this cursor. Close documents that filters by date are not repeated beside a cursor
    /// (`close-api.md`, 6.2), so the page may reach below the range.
    Cursor(String),
}

/// A page, newest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) events: Vec<Dated>,
    /// The cursor of the page with older events.
    pub(super) older: Option<String>,
    /// The size of the answer.
    pub(super) bytes: usize,
}

/// An event and its time.
#[derive(Debug, Clone)]
pub(super) struct Dated {
    pub(super) at: Moment,
    pub(super) event: LogEvent,
}

/// The event log.
pub(super) trait Log: Sync {
    /// # Errors
    /// Fatal if Close refuses the request: [`codes::REFUSED`] also for a cursor that it no longer takes.
    fn page(&self, place: &Place) -> impl Future<Output = Result<Page>> + Send;

    /// Close's clock, never ahead of Close; `None` before the first answer.
    fn now(&self) -> Option<Moment>;
}

impl Log for Close {
    async fn page(&self, place: &Place) -> Result<Page> {
        let query = match place {
            Place::Cursor(cursor) => vec![("_cursor", cursor.clone())],
            Place::Range { from, before } => {
                let before = before.map(|before| ("date_updated__lt", before.text()));
                [("date_updated__gte", from.text())].into_iter().chain(before).collect()
            }
        };
        let mut limit = LIMIT;
        loop {
            let shown = limit.to_string();
            let mut asked: Vec<(&str, &str)> = vec![("_limit", &shown)];
            asked.extend(query.iter().map(|(name, value)| (*name, &**value)));
            match self.insist(Lane::Changes, "event/", &asked).await {
                Ok(answer) => return read(answer.body, answer.bytes),
                Err(error) if error.code == codes::TOO_LARGE && limit > 1 => limit /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    fn now(&self) -> Option<Moment> {
        Self::now(self)
    }
}

/// Reads a page. An event that lacks its id, time, type or object can be neither ordered nor mapped: it is reported and
/// left out.
fn read(mut body: Map<String, Json>, bytes: usize) -> Result<Page> {
    let Some(Json::Array(rows)) = body.remove("data") else {
        let doing = "read a page of the event log: the answer has no list `data`";
        return Err(Error::retry(codes::UNAVAILABLE, ErrorType::Decode, doing));
    };
    let older = match body.remove("cursor_next") {
        Some(Json::String(cursor)) if !cursor.is_empty() => Some(cursor),
        _ => None,
    };
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let id = row.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
        let event = serde_json::from_value::<LogEvent>(row).ok().map(LogEvent::without_the_needless);
        if let Some(dated) = event.and_then(|event| Some(Dated { at: event.moment()?, event })) {
            events.push(dated);
        } else {
            tracing::warn!(event.id = id, "an event of Close lacks its time, type or object; it is left out");
        }
    }
    Ok(Page { events, older, bytes })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        changes::walk::{Limit, Reach, Walked, walk},
        client::tests as client,
    };

    fn body(json: Json) -> Map<String, Json> {
        let Json::Object(body) = json else { panic!("not an object") };
        body
    }

    #[test]
    fn an_event_that_cannot_be_ordered_is_left_out_and_the_others_stay() {
        let event = |date: &str| {
            json!({"id": "ev_1", "date_updated": date, "object_type": "lead", "object_id": "lead_1",
                   "action": "updated"})
        };
        let page = read(
            body(json!({
                "data": [event("2026-02-03T09:15:33.481000"), event("soon"), {"id": "ev_2"}],
                "cursor_next": "older",
            })),
            7,
        )
        .unwrap();
        assert_eq!(page.events.len(), 1);
        assert_eq!(page.events[0].event.identity(), "ev_1@2026-02-03T09:15:33.481000");
        assert_eq!(page.older.as_deref(), Some("older"));
    }

    #[test]
    fn a_page_without_data_is_an_error_and_not_the_end_of_the_log() {
        assert_eq!(read(body(json!({"cursor_next": null})), 0).unwrap_err().code, codes::UNAVAILABLE);
        assert!(read(body(json!({"data": [], "cursor_next": null})), 0).unwrap().older.is_none());
    }

    #[tokio::test]
    async fn pages_that_are_too_large_are_read_in_parts() {
        let running = client::simulator(4).await;
        let plain = client::client(&running);
        for number in 0..3 {
            let large = json!({"name": number.to_string(), "description": "x".repeat(40_000)});
            plain.write(reqwest::Method::POST, "lead/", Some(&large)).await.unwrap();
        }
        let read = async |close: &Close| {
            let reach = Reach { from: Moment(0), before: None, until: None, limit: Limit::NONE };
            match walk(close, reach, |_| false).await.unwrap() {
                Walked::Events(found) => found.fresh,
                Walked::TooMany(_) => panic!("there is no limit"),
            }
        };
        let (all, parts) = (read(&plain).await, read(&plain.clone().with_largest(60_000)).await);
        let ids = |events: &[Dated]| events.iter().map(|dated| dated.event.id.clone()).collect::<Vec<_>>();
        assert!(all.len() >= 3, "three of them are larger than a page may be");
        assert_eq!(ids(&parts), ids(&all));
        let no_rows = |dated: &Dated| {
            let previous = dated.event.previous_data.iter().flatten();
            dated.event.action == "deleted"
                || previous.into_iter().all(|(name, _)| name == "date_updated" || name == "updated_at")
        };
        assert!(all.iter().all(no_rows));
    }
}
