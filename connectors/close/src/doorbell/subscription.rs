//! The subscription of this connector at Close: exactly one with our URL, active, with all events of the selected
//! objects. Subscriptions with other URLs belong to others and are left alone.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value as Json, json};
use towpath_api::{Error, ErrorType, Result};
use towpath_keys::Secret;

use crate::{
    client::{Answer, Close, Lane, refusal},
    codes,
};

/// The path of all subscriptions.
const PATH: &str = "webhook/";
/// Pages of the list at most; Close allows 40 subscriptions, and 500 to some.
const PAGES: usize = 20;

/// A type of event and an action.
type Pair = (String, String);

/// What Close has of the subscription, and what it does not take.
pub(super) struct Subscription<'c> {
    close: &'c Close,
    pub(super) url: &'c str,
    /// The pairs to subscribe to, in order.
    pairs: Vec<Pair>,
    /// The events as Close has confirmed them: it may write them otherwise than they were sent.
    confirmed: Option<BTreeSet<Pair>>,
}

/// The subscription as it is now.
#[derive(Debug)]
pub(super) struct Ensured {
    pub(super) key: Secret,
    /// True if it was made, resumed or repaired: events may have been missed before.
    pub(super) changed: bool,
}

impl<'c> Subscription<'c> {
    pub(super) fn new(close: &'c Close, url: &'c str, pairs: Vec<(&str, &str)>) -> Self {
        let pairs = pairs.into_iter().map(|(kind, action)| (kind.to_owned(), action.to_owned())).collect();
        Self { close, url, pairs, confirmed: None }
    }

    /// Makes or repairs the subscription.
    ///
    /// # Errors
    /// Those of the client: the key's user may not have the right, or the organization has too many subscriptions.
    pub(super) async fn ensure(&mut self) -> Result<Ensured> {
        let mut own = self.own().await?;
        // The oldest stays, so that two workers that meet here agree.
        own.sort_by_key(|row| text(row, "date_created"));
        let mut rows = own.into_iter();
        let Some(mut row) = rows.next() else {
            let row = self.send(&Method::POST, PATH).await?;
            return Ok(Ensured { key: self.key(&row).await?, changed: true });
        };
        for other in rows {
            self.delete(&other).await?;
        }
        let events = events(&row);
        let is_whole = self
            .confirmed
            .as_ref()
            .map_or_else(|| events == self.pairs.iter().cloned().collect(), |confirmed| events == *confirmed);
        let changed = text(&row, "status") != "active" || !is_whole;
        if changed {
            row = self.send(&Method::PUT, &format!("{PATH}{}/", text(&row, "id"))).await?;
        }
        Ok(Ensured { key: self.key(&row).await?, changed })
    }

    /// Deletes all subscriptions with our URL.
    pub(super) async fn remove(&self) -> Result<()> {
        for row in self.own().await? {
            self.delete(&row).await?;
        }
        Ok(())
    }

    /// The subscriptions with our URL.
    async fn own(&self) -> Result<Vec<Json>> {
        let mut own = Vec::new();
        let mut skip = 0;
        for _ in 0..PAGES {
            let at = skip.to_string();
            let query: &[(&str, &str)] = if skip == 0 { &[] } else { &[("_skip", &at)] };
            let mut page = self.close.get(Lane::Changes, PATH, query).await?.body;
            let rows = page.get_mut("data").and_then(Json::as_array_mut).map(std::mem::take).unwrap_or_default();
            let is_last = page.get("has_more") != Some(&Json::Bool(true)) || rows.is_empty();
            skip += rows.len();
            own.extend(rows.into_iter().filter(|row| text(row, "url") == self.url));
            if is_last {
                break;
            }
        }
        Ok(own)
    }

    /// Sends the subscription, without the events that Close does not know; returns it as Close has it.
    async fn send(&mut self, method: &Method, path: &str) -> Result<Json> {
        loop {
            let events: Vec<Json> =
                self.pairs.iter().map(|(kind, action)| json!({ "object_type": kind, "action": action })).collect();
            let body = json!({ "url": self.url, "events": events, "status": "active" });
            match self.close.write(method.clone(), path, Some(&body)).await {
                Ok(Answer { body, .. }) => {
                    let row = Json::Object(body);
                    self.confirmed = Some(self::events(&row));
                    return Ok(row);
                }
                Err(error) => self.drop_refused(error)?,
            }
        }
    }

    /// Takes out the events that Close does not know.
    fn drop_refused(&mut self, error: Error) -> Result<()> {
        let Some(refused) = refusal(&error).filter(|refusal| refusal.status == 400) else { return Err(error) };
        let before = self.pairs.len();
        if refused.refused_events.is_empty() {
            // It does not say which: what every type has is surely known.
            self.pairs.retain(|(_, action)| matches!(action.as_str(), "created" | "updated" | "deleted"));
        } else {
            let mut position = 0;
            self.pairs.retain(|_| {
                position += 1;
                !refused.refused_events.contains(&(position - 1))
            });
        }
        if self.pairs.len() == before || self.pairs.is_empty() { Err(error) } else { Ok(()) }
    }

    async fn delete(&self, row: &Json) -> Result<()> {
        match self.close.write(Method::DELETE, &format!("{PATH}{}/", text(row, "id")), None).await {
            Err(error) if error.code != codes::NOT_FOUND => Err(error),
            _ => Ok(()),
        }
    }

    /// The signature key of a row, or of the subscription read by its id: lists may leave it out.
    async fn key(&self, row: &Json) -> Result<Secret> {
        let key = |row: &Json| row.get("signature_key").and_then(Json::as_str).map(Secret::new);
        if let Some(key) = key(row) {
            return Ok(key);
        }
        let single = self.close.get(Lane::Changes, &format!("{PATH}{}/", text(row, "id")), &[]).await?.body;
        key(&Json::Object(single)).ok_or_else(|| {
            let doing = "verify the posts of Close: it does not give the subscription's signature key";
            Error::fatal(codes::REFUSED, ErrorType::Auth, doing)
                .with_help("use the key of an admin, or remove `webhook.url`: changes are polled then")
        })
    }
}

fn text(row: &Json, field: &str) -> String {
    row.get(field).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// The events of a row; one with a filter is another event than ours.
fn events(row: &Json) -> BTreeSet<Pair> {
    let rows = row.get("events").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    rows.iter()
        .map(|event| {
            let filtered = event.get("extra_filter").is_some_and(|filter| !filter.is_null());
            (text(event, "object_type"), format!("{}{}", text(event, "action"), if filtered { "?" } else { "" }))
        })
        .collect()
}
