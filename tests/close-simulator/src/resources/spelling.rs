//! Other spellings that bodies may use for what the fields hold: custom fields by their names, statuses by their labels.
//!
//! Deprecated, but vendor scripts still send them (reference, sections 4.1 and 5.1). A body is reworded before it is read.

use serde_json::{Map, Value as Json};

use crate::model::{Id, Kind, Record};
use crate::world::change::Body;
use crate::world::view::View;

/// The body with `custom: {"Industry": …}` and `custom.Industry` turned into `custom.cf_…`; `None` when it has neither. Names that no
/// field of the object has stay, and are refused with them.
pub fn custom_names(view: &View<'_>, body: &Body, object: &str) -> Option<Body> {
    let by_name = |name: &str| name == "custom" || name.strip_prefix("custom.").is_some_and(|rest| !is_id(view, rest));
    if !body.map.keys().any(|name| by_name(name)) {
        return None;
    }
    let mut map = Map::new();
    for (name, value) in &body.map {
        match (name.as_str(), value) {
            ("custom", Json::Object(members)) => {
                for (name, value) in members {
                    map.insert(key(view, object, name), value.clone());
                }
            }
            ("custom", Json::Null) => {}
            (other, value) => {
                let other = match other.strip_prefix("custom.").filter(|rest| !is_id(view, rest)) {
                    Some(rest) => key(view, object, rest),
                    None => other.to_owned(),
                };
                map.insert(other, value.clone());
            }
        }
    }
    Some(Body { map, offset_minutes: body.offset_minutes })
}

fn is_id(view: &View<'_>, rest: &str) -> bool {
    let text = rest.strip_suffix(".add").or_else(|| rest.strip_suffix(".remove")).unwrap_or(rest);
    view.parse_id(text).is_some_and(|id| id.kind() == Kind::CustomField)
}

/// The key of a custom field of an object by its name or id; the name itself when there is no such field.
fn key(view: &View<'_>, object: &str, name: &str) -> String {
    let (plain, suffix) =
        [".add", ".remove"].into_iter().find_map(|suffix| Some((name.strip_suffix(suffix)?, suffix))).unwrap_or((name, ""));
    let mut fields = view.all(Kind::CustomField);
    match fields.find(|field| {
        field.text("name") == Some(plain) && matches!(field.text("object"), Some(of) if of == object || of == "shared")
    }) {
        Some(field) => format!("custom.{}{suffix}", view.id_text(field.id)),
        None => format!("custom.{name}"),
    }
}

/// The status of a kind with a label, or else the first whose `type` is that word; labels in any case.
pub fn status(view: &View<'_>, kind: Kind, label: &str, fits: impl Fn(&Record) -> bool) -> Option<Id> {
    let find = |is: &dyn Fn(&Record) -> bool| view.all(kind).find(|status| fits(status) && is(status)).map(|status| status.id);
    find(&|status| status.text("label") == Some(label))
        .or_else(|| find(&|status| status.text("label").is_some_and(|known| known.eq_ignore_ascii_case(label))))
        .or_else(|| find(&|status| status.text("type") == Some(label)))
}
