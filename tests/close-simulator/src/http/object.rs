//! Single objects: read, create, change, delete.

use super::{
    answer::Answer,
    collection::{self, Collection, Deed},
    request::Request,
};
use crate::{
    model::{
        Id, Record, Refusal,
        render::{self, Selection},
    },
    world::{change::Change, people::Caller, view::View},
};

pub fn get(
    view: &View<'_>,
    caller: &Caller,
    collection: &Collection,
    text: &str,
    request: &Request,
) -> Result<Answer, Refusal> {
    let record = find(view, collection, text)?;
    permit(view, caller, collection, Deed::Read, Some(record))?;
    Ok(shown(view, record, request, 200))
}

pub fn create(change: &mut Change<'_>, collection: &Collection, request: &Request) -> Result<Answer, Refusal> {
    allow(change, collection, Deed::Create, None)?;
    let body = request.json()?;
    let id = change.create_with(collection.kinds[0], &body, collection.preset)?;
    let mut answer = written(change, id, request, collection.created_status);
    if collection.created_status == 201 {
        let location = format!("/api/v1/{}/{}/", collection.path, id.text(change.world.seed));
        answer.headers.push(("location", location));
    }
    Ok(answer)
}

pub fn update(
    change: &mut Change<'_>,
    collection: &Collection,
    text: &str,
    request: &Request,
) -> Result<Answer, Refusal> {
    let id = find(&change.view(), collection, text)?.id;
    allow(change, collection, Deed::Update, Some(id))?;
    let body = request.json()?;
    change.revise(id, &body)?;
    Ok(written(change, id, request, 200))
}

pub fn delete(change: &mut Change<'_>, collection: &Collection, text: &str) -> Result<Answer, Refusal> {
    let id = find(&change.view(), collection, text)?.id;
    allow(change, collection, Deed::Delete, Some(id))?;
    change.delete(id)?;
    Ok(if collection.deleted_status == 204 { Answer::empty(204) } else { Answer::json_bytes(200, b"{}".to_vec()) })
}

/// The record with the id in `text`, if it is in the collection and visible to the caller.
pub fn find<'v>(view: &'v View<'_>, collection: &Collection, text: &str) -> Result<&'v Record, Refusal> {
    view.parse_id(text)
        .filter(|id| collection.kinds.contains(&id.kind()))
        .and_then(|id| view.see(id))
        .filter(|record| (collection.holds)(record))
        .ok_or_else(|| Refusal::missing(text))
}

/// Refuses a caller without the rights.
pub fn permit(
    view: &View<'_>,
    caller: &Caller,
    collection: &Collection,
    deed: Deed,
    record: Option<&Record>,
) -> Result<(), Refusal> {
    if (collection.permit)(view, caller, deed, record) {
        Ok(())
    } else {
        Err(Refusal::Forbidden(view.switches().forbidden_text.clone()))
    }
}

/// Returns true if the collection serves a method on the list or, if `single`, on one object.
pub fn serves(collection: &Collection, method: &str, single: bool) -> bool {
    let bit = match (method, single) {
        ("GET" | "HEAD", false) => collection::L,
        ("GET" | "HEAD", true) => collection::G,
        ("POST", false) => collection::C,
        ("PUT" | "PATCH", true) => collection::U,
        ("DELETE", true) => collection::D,
        _ => 0,
    };
    collection.methods & bit != 0
}

/// An answer with one record.
pub fn shown(view: &View<'_>, record: &Record, request: &Request, status: u16) -> Answer {
    let selection = request.param("_fields").map(Selection::parse).unwrap_or_default();
    let mut out = Vec::with_capacity(2048);
    render::write(view, record, render::GET, &selection, &mut out);
    Answer::json_bytes(status, out)
}

fn allow(change: &Change<'_>, collection: &Collection, deed: Deed, id: Option<Id>) -> Result<(), Refusal> {
    let record = id.and_then(|id| change.get(id));
    match &change.actor.caller {
        Some(caller) => permit(&change.view(), caller, collection, deed, record.as_deref()),
        None => Ok(()),
    }
}

/// The answer to a write: the object as it is now, or `{}` if the write deleted it or made it invisible.
pub fn written(change: &Change<'_>, id: Id, request: &Request, status: u16) -> Answer {
    let view = change.whole();
    match view.get(id) {
        Some(record) => shown(&view, record, request, status),
        None => Answer::json_bytes(status, b"{}".to_vec()),
    }
}
