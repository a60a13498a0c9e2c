//! Imports: not a public resource, but events, ids and changes of leads (reference, sections 4.6 and 6.5). The
//! application starts them; here a control does (`/_control/import/`).

use serde_json::{Map, Value as Json};

use crate::{
    http::Source,
    model::{
        Id, Kind, Record, Refusal, Stamps, Value,
        resource::{AUTHOR_IDS, DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset},
    },
    world::{
        change::{Body, Change},
        jobs::Job,
    },
};

/// An import. `status` is created, `in_progress`, done, reverting or reverted. Stored, not shown: `rows` (pending
/// bodies of leads), `made` and `touched` (a list per step: ids of new leads; earlier versions of changed leads),
/// `undone` (number of reverted steps).
pub static IMPORT: Resource = Resource {
    name: "import",
    event: Some(|_| "import"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::text("status"),
            Field::stored("n_leads", Type::Int(0, i64::MAX)).unset(Unset::Zero),
            Field::stored("n_leads_processed", Type::Int(0, i64::MAX)).unset(Unset::Zero),
        ],
        AUTHOR_IDS,
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source = Source { collections: &[], endpoints: &[] };

/// Leads per step.
const PORTION: usize = 100;

/// Starts an import of bodies of leads. A body with the `id` of a lead changes that lead.
pub fn start(change: &mut Change<'_>, rows: Vec<Map<String, Json>>) -> Id {
    let count = rows.len() as i64;
    let rows = Value::list(rows.into_iter().map(|row| Value::json(&Json::Object(row))));
    let record = change.record(Kind::Import).with("status", "created").with("n_leads", count).with("rows", rows);
    let id = change.insert(record);
    put_off(change, id);
    id
}

/// Starts the revert of an import.
///
/// # Errors
/// The import is unknown, or not done.
pub fn revert(change: &mut Change<'_>, id: Id) -> Result<(), Refusal> {
    match change.get(id).as_deref().map(|import| import.text("status") == Some("done")) {
        Some(true) if id.kind() == Kind::Import => {}
        Some(_) if id.kind() == Kind::Import => {
            return Err(Refusal::bad("Only an import that is done can be reverted."));
        }
        _ => return Err(Refusal::missing_id(id, change.world.seed)),
    }
    change.edit(id, |import| import.set("status", "reverting"));
    change.emit(id, "reverting");
    put_off(change, id);
    Ok(())
}

fn put_off(change: &mut Change<'_>, id: Id) {
    let due = change.now().plus_millis(change.world.switches.job_step_ms.max(0));
    change.schedule(due, Job::Import(id));
}

/// Runs the next step.
pub fn step(change: &mut Change<'_>, id: Id) {
    let Some(import) = change.get(id) else { return };
    change.actor.user = import.author;
    match import.text("status") {
        Some("created") => change.edit(id, |import| import.set("status", "in_progress")),
        Some("in_progress") => {
            if import_portion(change, &import) {
                change.emit(id, "completed");
                return;
            }
        }
        Some("reverting") => {
            if revert_portion(change, &import) {
                change.emit(id, "reverted");
                return;
            }
        }
        _ => return,
    }
    put_off(change, id);
}

/// Appends to a list of lists.
fn append(record: &mut Record, name: &'static str, items: Vec<Value>) {
    let mut all = record.get(name).map(Value::items).unwrap_or_default().to_vec();
    all.push(Value::list(items));
    record.set(name, Value::list(all));
}

fn import_portion(change: &mut Change<'_>, import: &Record) -> bool {
    let rows = import.get("rows").map(Value::items).unwrap_or_default();
    let done = usize::try_from(import.int("n_leads_processed").unwrap_or(0)).unwrap_or(0);
    let end = (done + PORTION).min(rows.len());
    let (mut made, mut touched) = (Vec::new(), Vec::new());
    for row in &rows[done.min(end)..end] {
        let Value::Json(text) = row else { continue };
        let Ok(Json::Object(map)) = serde_json::from_str(text) else { continue };
        let known = map.get("id").and_then(Json::as_str).and_then(|text| change.world.parse_id(text));
        let before = known.filter(|id| id.kind() == Kind::Lead).and_then(|id| change.get(id));
        let body = Body { map, offset_minutes: 0 };
        match before {
            Some(before) => {
                if change.revise(before.id, &body).is_ok() {
                    touched.push(Value::Text(serde_json::to_string(&*before).unwrap_or_default().into()));
                    let mut update =
                        change.record(Kind::ImportUpdate).with("import_id", import.id).with("reverted", false);
                    update.lead = Some(before.id);
                    change.insert(update);
                }
            }
            None => {
                if let Ok(lead) = change.create(Kind::Lead, &body) {
                    made.push(Value::Id(lead));
                    name_source(change, lead, import.id);
                }
            }
        }
    }
    let last = end == rows.len();
    change.edit(import.id, |import| {
        import.set("n_leads_processed", end as i64);
        append(import, "made", made);
        append(import, "touched", touched);
        if last {
            import.set("status", "done");
            import.set("rows", Value::Null);
        }
    });
    last
}

/// Names the import as the source in the lead's `Created` activity.
fn name_source(change: &mut Change<'_>, lead: Id, import: Id) {
    let created = change.whole().of_lead(lead, Kind::Created).next().map(|created| created.id);
    if let Some(created) = created {
        change.edit(created, |created| {
            created.set("source", "import");
            created.set("import_id", import);
        });
    } else {
        let mut created = change.record(Kind::Created).with("source", "import").with("import_id", import);
        created.lead = Some(lead);
        change.insert(created);
    }
}

/// Reverts the last step that is not reverted: deletes its leads, and restores earlier fields of changed leads.
fn revert_portion(change: &mut Change<'_>, import: &Record) -> bool {
    let steps = |name| import.get(name).map(Value::items).unwrap_or_default();
    let undone = usize::try_from(import.int("undone").unwrap_or(0)).unwrap_or(0);
    let all = steps("made").len();
    change.actor.meta.push(("revert_import_id", import.id));
    if let Some(at) = all.checked_sub(undone + 1) {
        for lead in steps("made")[at].items().iter().filter_map(Value::as_id) {
            if change.get(lead).is_some() {
                let _ = change.delete(lead);
            }
        }
        for text in steps("touched")[at].items().iter().filter_map(Value::as_text) {
            if let Ok(before) = serde_json::from_str::<Record>(text) {
                give_back(change, before, import.id);
            }
        }
    }
    change.actor.meta.clear();
    let last = undone + 1 >= all;
    change.edit(import.id, |import| {
        import.set("undone", undone as i64 + 1);
        if last {
            import.set("status", "reverted");
        }
    });
    last
}

fn give_back(change: &mut Change<'_>, before: Record, import: Id) {
    let Some(now) = change.get(before.id) else { return };
    let after = Record { fields: before.fields, ..Record::clone(&now) };
    if change.world.switches.revert_moves_back {
        change.update_undated(Record { updated: before.updated, editor: before.editor, ..after });
    } else {
        change.update(after);
    }
    let updates: Vec<Id> = change
        .whole()
        .of_lead(before.id, Kind::ImportUpdate)
        .filter(|update| update.id_of("import_id") == Some(import))
        .map(|update| update.id)
        .collect();
    for update in updates {
        change.edit(update, |update| update.set("reverted", true));
    }
}
