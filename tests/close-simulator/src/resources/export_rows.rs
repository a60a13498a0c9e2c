//! Rows of an export and its file: JSON as in lists, or CSV with a column for each plain field.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::Value as Json;

use crate::{
    model::{
        Key, Kind, Moment, Record, Stamps, Value,
        render::{self, Selection},
    },
    world::{files::Blob, view::View},
};

/// One row of an export, as JSON text: the object itself for JSON, a list of columns and values for CSV.
pub(super) fn row(view: &View<'_>, export: &Record, record: &Record) -> Option<String> {
    let named: Vec<String> = export
        .get("fields")
        .map(Value::items)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_text)
        .map(str::to_owned)
        .collect();
    let selection = match (named.is_empty(), export.is("include_smart_fields")) {
        (false, _) => Selection::Named(named),
        (true, true) => Selection::All,
        (true, false) => Selection::Default,
    };
    if export.text("format") == Some("csv") {
        return serde_json::to_string(&columns(view, export, record, &selection)).ok();
    }
    let mut out = Vec::new();
    render::write(view, record, render::LIST, &selection, &mut out);
    if record.kind() == Kind::Lead {
        if export.is("include_activities") {
            nest(view, record, "activities", Kind::ACTIVITIES, &mut out);
        }
        if export.is("include_custom_objects") {
            nest(view, record, "custom_objects", &[Kind::CustomObject], &mut out);
        }
    }
    String::from_utf8(out).ok()
}

/// Appends the children of some kinds to a lead's object, newest first.
fn nest(view: &View<'_>, lead: &Record, name: &str, kinds: &[Kind], out: &mut Vec<u8>) {
    let mut all: Vec<&Record> = kinds.iter().flat_map(|kind| view.of_lead(lead.id, *kind)).collect();
    all.sort_by_key(|record| std::cmp::Reverse((record.created, record.id)));
    out.pop();
    out.extend_from_slice(format!(",\"{name}\":[").as_bytes());
    for (at, record) in all.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        render::write(view, record, render::LIST, &Selection::Default, out);
    }
    out.extend_from_slice(b"]}");
}

/// The columns of one object: its plain fields, for leads the first contact and on request the first address, custom
/// fields by name.
fn columns(view: &View<'_>, export: &Record, record: &Record, selection: &Selection) -> Vec<(String, Json)> {
    let format = export.text("date_format").unwrap_or("original");
    let rendered = render::rendered(view, record, render::LIST, selection);
    let mut columns = Vec::new();
    for (key, range) in &rendered.members {
        let member = &rendered.bytes[range.clone()];
        let Ok(Json::Object(member)) = serde_json::from_slice(&[b"{", member, b"}"].concat()) else { continue };
        let Some((name, value)) = member.into_iter().next() else { continue };
        let name = match key {
            Key::Custom(id) => match view.get(*id).and_then(|field| field.text("name")) {
                Some(field) => format!("custom.{field}"),
                None => name,
            },
            Key::Name(_) => name,
        };
        match &value {
            Json::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
                columns.push((name, items.iter().map(plain).collect::<Vec<_>>().join(", ").into()));
            }
            Json::Array(items) if name == "addresses" && export.is("include_addresses") => {
                for part in ["label", "address_1", "address_2", "city", "state", "zipcode", "country"] {
                    columns.push((format!("primary_address_{part}"), items[0][part].clone()));
                }
            }
            Json::Array(_) | Json::Object(_) => {}
            Json::String(text) => columns.push((name, dated(text, format).into())),
            _ => columns.push((name, value)),
        }
    }
    if record.kind() == Kind::Lead && *selection == Selection::Default {
        let contact = view.of_lead(record.id, Kind::Contact).next();
        let first = |list: &'static str, member: &str| -> Json {
            let entry = contact.and_then(|contact| contact.get(list)?.items().first()?.member(member)?.as_text());
            entry.into()
        };
        columns.push(("primary_contact_name".to_owned(), contact.and_then(|contact| contact.text("name")).into()));
        columns.push(("primary_contact_primary_email".to_owned(), first("emails", "email")));
        columns.push(("primary_contact_primary_phone".to_owned(), first("phones", "phone")));
    }
    columns
}

/// A date with time in the requested format; any other text unchanged.
fn dated(text: &str, format: &str) -> String {
    let bytes = text.as_bytes();
    let dated = bytes.len() >= 19 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[13] == b':';
    let Some(at) = dated.then(|| Moment::parse(text, 0)).flatten() else { return text.to_owned() };
    match format {
        "iso8601" => format!("{}Z", at.text(Stamps::Naive)),
        "excel" => at.to_secs().text(Stamps::Naive).replace('T', " "),
        _ => text.to_owned(),
    }
}

fn plain(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn file(export: &Record, rows: &[String]) -> Blob {
    let text = if export.text("format") == Some("csv") { csv(rows) } else { format!("[{}]", rows.join(",")) };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    Blob(written.expect("memory can be written").into())
}

/// A header with every column of the rows, in the order of their first appearance, followed by the rows.
fn csv(rows: &[String]) -> String {
    let rows: Vec<Vec<(String, Json)>> = rows.iter().filter_map(|row| serde_json::from_str(row).ok()).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut out = line(names.iter().map(|name| (*name).to_owned()));
    for row in &rows {
        let cell = |name: &&str| {
            row.iter().find(|(column, _)| column == name).map_or_else(String::new, |(_, value)| plain(value))
        };
        out.push_str(&line(names.iter().map(cell)));
    }
    out
}

/// One line of CSV, with its line end.
pub(super) fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted = cells.map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    });
    format!("{}\r\n", quoted.collect::<Vec<_>>().join(","))
}
