//! `POST /data/search/`: one page of the results of an advanced query (reference, section 2.6).

use serde_json::{Map, Value as Json};

use super::{
    advanced::Reader,
    cursor::{self, Cursor},
    found::Found,
    index,
    trouble::Trouble,
    types,
};
use crate::{
    http::{Answer, Request, collection::Deed, object, router},
    model::{
        Kind, Record, Refusal,
        render::{self, Selection},
    },
    world::{people::Caller, view::View},
};

/// Default objects per page.
const DEFAULT_LIMIT: usize = 100;
/// Maximum objects per page; Close was observed to accept it.
const MAX_LIMIT: u64 = 200;
/// Maximum objects in a pagination sequence.
const MAX_SEQUENCE: usize = 10_000;

pub fn search(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let all: Vec<Kind> = types::TYPES.iter().filter_map(|one| one.target.only()).collect();
    // Only these two are documented as returnable, although the service supports more.
    let returnable = if view.switches().search_all_types { &all[..] } else { &[Kind::Lead, Kind::Contact] };
    let index = index(view);
    let reader = Reader { view: &index, offset_minutes: request.offset_minutes, returnable, depth: 0 };
    let query = reader.query(body.get("query"), body.get("sort"))?;
    let limit = whole(&body.map, "_limit", 1, Some(MAX_LIMIT))?.unwrap_or(DEFAULT_LIMIT);
    let results_limit = whole(&body.map, "results_limit", 0, None)?;
    let wants_counts = match body.get("include_counts") {
        None | Some(Json::Bool(false)) => false,
        Some(Json::Bool(true)) => true,
        Some(_) => return Err(Trouble::new("value could not be parsed to a boolean").under("include_counts").into()),
    };
    let selections = selections(body.get("_fields"))?;

    let kinds = query.node.kinds(returnable);
    for kind in &kinds {
        if let Some(collection) = router::collection(types::name_of(*kind)) {
            object::permit(view, caller, collection, Deed::Read, None)?;
        }
    }
    let fingerprint = cursor::fingerprint(&[body.get("query"), body.get("sort")]);
    let now = view.world.clock.now();
    let cursor = match body.get("cursor") {
        None => None,
        Some(Json::String(text)) if text.is_empty() => None,
        Some(Json::String(text)) => match Cursor::read(text, view.seed(), fingerprint, now) {
            Some(cursor) => Some(cursor),
            None => return Err(Trouble::new("The cursor is invalid or has expired.").under("cursor").into()),
        },
        Some(_) => return Err(Trouble::new("str type expected").under("cursor").into()),
    };

    let found = Found { query: &query, kinds: &kinds };
    let seen = cursor.as_ref().map_or(0, |cursor| cursor.seen);
    let left = results_limit.unwrap_or(usize::MAX).min(MAX_SEQUENCE).saturating_sub(seen);
    let wanted = limit.min(left);
    // One row more than the page shows whether more follow.
    let mut rows = found.after(&index, cursor.as_ref().map(|cursor| &cursor.place), wanted + 1);
    let follows = rows.len() > wanted && left > wanted;
    rows.truncate(wanted);

    let mut out = Vec::with_capacity(rows.len() * 128 + 128);
    out.extend_from_slice(b"{\"data\":[");
    for (at, (_, record)) in rows.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        row(&index, record, &selections, &mut out);
    }
    out.extend_from_slice(b"],\"cursor\":");
    match rows.pop() {
        Some((place, _)) if follows => {
            render::write_text(
                &Cursor::new(now, seen + rows.len() + 1, fingerprint, place).write(view.seed()),
                &mut out,
            );
        }
        _ => out.extend_from_slice(b"null"),
    }
    if wants_counts {
        let total = found.all(&index).count();
        let limited = total.min(results_limit.unwrap_or(usize::MAX));
        out.extend_from_slice(format!(",\"count\":{{\"limited\":{limited},\"total\":{total}}}").as_bytes());
    }
    out.push(b'}');
    Ok(Answer::json_bytes(200, out))
}

/// A row: its type first, then the selected fields, or the id alone.
fn row(view: &View<'_>, record: &Record, selections: &[(String, Selection)], out: &mut Vec<u8>) {
    let name = types::name_of(record.kind());
    out.extend_from_slice(format!("{{\"__object_type\":\"{name}\",").as_bytes());
    let begin = out.len();
    if let Some((_, selection)) = selections.iter().find(|(of, _)| of == name) {
        render::write(view, record, render::LIST, selection, out);
        // The members of the serialized object follow the type: remove its opening brace.
        out.remove(begin);
        if out.len() == begin + 1 {
            // Nothing was selected: remove the comma as well.
            out.remove(begin - 1);
        }
    } else {
        out.extend_from_slice(b"\"id\":\"");
        record.id.write(view.seed(), out);
        out.extend_from_slice(b"\"}");
    }
}

/// `_fields`: a list of names for each type.
fn selections(json: Option<&Json>) -> Result<Vec<(String, Selection)>, Trouble> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let Some(map) = json.as_object() else { return Err(Trouble::new("value is not a valid dict").under("_fields")) };
    map.iter()
        .map(|(name, fields)| {
            let names: Option<Vec<&str>> = fields.as_array().and_then(|items| items.iter().map(Json::as_str).collect());
            match names {
                // An empty list selects nothing, unlike an empty `_fields` parameter of a list, which does not select.
                Some(names) if names.is_empty() => Ok((name.clone(), Selection::Named(Vec::new()))),
                Some(names) => Ok((name.clone(), Selection::parse(&names.join(",")))),
                None => Err(Trouble::new("value is not a valid list").under(name).under("_fields")),
            }
        })
        .collect()
}

/// An integer of a body within bounds; null counts as absent.
fn whole(body: &Map<String, Json>, name: &str, min: u64, max: Option<u64>) -> Result<Option<usize>, Trouble> {
    let value = match body.get(name) {
        None | Some(Json::Null) => return Ok(None),
        Some(json) => json.as_i64().or_else(|| json.as_str()?.parse().ok()),
    };
    let wrong = |message: String| Err(Trouble::new(message).under(name));
    match (value.map(u64::try_from), max) {
        (None, _) => wrong("value is not a valid integer".to_owned()),
        (Some(Ok(value)), Some(max)) if value > max => {
            wrong(format!("ensure this value is less than or equal to {max}"))
        }
        (Some(Ok(value)), _) if value >= min => Ok(usize::try_from(value).ok()),
        _ => wrong(format!("ensure this value is greater than or equal to {min}")),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use serde_json::json;

    use super::*;
    use crate::{model::Moment, seed::foundation, world::World};

    /// Section 12, item 9. All leads have the same moment, which the cursor must cross.
    #[test]
    fn a_sequence_ends_after_ten_thousand_objects_without_repeating_one() {
        let mut world = World::empty(1, Moment::parse("2026-09-01T12:00:00Z", 0).unwrap());
        foundation::lay(&mut world);
        let born = world.clock.now().plus_days(-1);
        for _ in 0..10_050 {
            let id = world.next_id(Kind::Lead);
            world.store.put(Arc::new(Record::new(id, born)));
        }
        let secret = world.people.keys.values().find(|key| key.name == "admin").unwrap().secret.clone();
        let caller = world.caller_by_key(&secret).unwrap();
        let view = View::of(&world, &caller);
        let mut seen = HashSet::new();
        let mut cursor = Json::Null;
        let mut pages = 0;
        loop {
            let query = json!({ "type": "object_type", "object_type": "lead" });
            let body = json!({ "query": query, "_limit": 199, "cursor": cursor, "include_counts": true }).to_string();
            let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            let request = Request::new("POST", "/api/v1/data/search/", "", headers, body.into());
            let answer: Json = serde_json::from_slice(&search(&view, &caller, &request).unwrap().body).unwrap();
            assert_eq!(answer["count"]["total"], 10_050);
            for row in answer["data"].as_array().unwrap() {
                assert!(seen.insert(row["id"].as_str().unwrap().to_owned()), "a lead came twice");
            }
            pages += 1;
            cursor = answer["cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!((seen.len(), pages), (MAX_SEQUENCE, 51));
    }
}
