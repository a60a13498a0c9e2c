//! Exports: asynchronous jobs that produce a file (reference, section 2.7; section 12, item 36).
//!
//! States: created; started (the objects to write are found); `in_progress` (objects are read portion by portion, as
//! they are by then); done (the file is available for `export_link_secs` after each GET).

use serde_json::Value as Json;

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Condition, G, L},
        files::{self, HOST},
        list, object, router,
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, Value,
        render::Scene,
        resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset, Write},
    },
    resources::{export_rows, search},
    world::{
        World,
        change::{Body, Change},
        files::signature,
        jobs::Job,
        people::Caller,
        view::View,
    },
};

/// Objects per step.
const PORTION: usize = 100;

/// A field of lead exports only.
const fn of_leads(field: Field) -> Field {
    Field { write: Write::Once, unset: Unset::Absent, ..field }
}

/// An export. Stored, not shown: `object` (`lead` or `opportunity`) and `selection` (the objects to write, while it
/// runs).
pub static EXPORT: Resource = Resource {
    name: "export",
    event: Some(
        |export| if export.text("object") == Some("opportunity") { "export.opportunity" } else { "export.lead" },
    ),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::computed("user_id", |s| s.record.author.into()),
            Field::stored("type", Type::Choice(&["leads", "contacts", "lead_opps"])).write(Write::Once),
            Field::stored("format", Type::Choice(&["csv", "json"])).write(Write::RequiredOnce),
            Field::text("status"),
            Field::stored("n_docs", Type::Int(0, i64::MAX)),
            Field::stored("n_docs_processed", Type::Int(0, i64::MAX)).unset(Unset::Zero),
            Field::computed("download_url", link).volatile(),
            Field::stored("date_format", Type::Choice(&["original", "iso8601", "excel"])).write(Write::Once),
            Field::stored("fields", Type::List(&Type::Text(255))).write(Write::Once),
            of_leads(Field::stored("query", Type::Text(50_000))),
            of_leads(Field::stored("s_query", Type::Json)),
            of_leads(Field::stored("results_limit", Type::Int(0, i64::MAX))),
            of_leads(Field::stored("sort", Type::Json)),
            of_leads(Field::stored("include_activities", Type::Bool)),
            of_leads(Field::stored("include_smart_fields", Type::Bool)),
            of_leads(Field::stored("include_addresses", Type::Bool)),
            of_leads(Field::stored("include_custom_objects", Type::Bool)),
            Field::stored("params", Type::Json).write(Write::Once).unset(Unset::Absent),
            Field::stored("send_done_email", Type::Bool).write(Write::Once).unset(Unset::Json("true")),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws { prepare, created, ..Laws::PLAIN },
};

const EXPORTS: Collection =
    Collection { methods: L | G, check: own, section: "2.7", ..Collection::new("export", &[Kind::Export]) };

const fn endpoint(method: &'static str, path: &'static str, handler: Handler) -> Endpoint {
    Endpoint { method, path, handler, section: "2.7", exactness: Exactness::Documented }
}

/// Reads are endpoints, because links name the host of the request.
pub static SOURCE: Source = Source {
    collections: &[EXPORTS],
    endpoints: &[
        endpoint("POST", "export/lead", Handler::Write(|change, request| create(change, request, "lead"))),
        endpoint(
            "POST",
            "export/opportunity",
            Handler::Write(|change, request| create(change, request, "opportunity")),
        ),
        endpoint("GET", "export", Handler::Read(all)),
        endpoint("GET", "export/{}", Handler::Read(one)),
    ],
};

/// Administrators see every export, others their own.
#[allow(clippy::unnecessary_wraps)]
fn own(view: &View<'_>, _: &Request) -> Result<Vec<Condition>, Refusal> {
    match view.caller {
        Some(caller) if !caller.is_admin() => {
            let user = caller.user;
            Ok(vec![Box::new(move |_, export| export.author == Some(user))])
        }
        _ => Ok(Vec::new()),
    }
}

fn allowed(view: &View<'_>, caller: &Caller) -> Result<(), Refusal> {
    if caller.may("export") { Ok(()) } else { Err(Refusal::Forbidden(view.switches().forbidden_text.clone())) }
}

fn all(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    allowed(view, caller)?;
    Ok(files::with_host(list::list(view, &EXPORTS, request)?, request))
}

fn one(view: &View<'_>, caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    allowed(view, caller)?;
    let text = request.segments.first().map_or("", String::as_str);
    let export = object::find(view, &EXPORTS, text)?;
    if export.author != Some(caller.user) && !caller.is_admin() {
        return Err(Refusal::missing(text));
    }
    Ok(files::with_host(object::shown(view, export, request, 200), request))
}

fn create(change: &mut Change<'_>, request: &Request, of: &'static str) -> Result<Answer, Refusal> {
    change.require("export")?;
    let body = request.json()?;
    let id = change.create_with(Kind::Export, &body, |export| export.set("object", of))?;
    Ok(object::written(change, id, request, 200))
}

/// A fresh link to the file; null until the file exists.
fn link(scene: &Scene<'_>) -> Value {
    let World { seed, switches, clock, files, .. } = scene.view.world;
    if !files.exports.contains_key(&scene.record.id) {
        return Value::Null;
    }
    let id = scene.record.id.text(*seed);
    let expires = clock.now().plus_secs(switches.export_link_secs).0 / 1_000_000;
    let signature = signature(*seed, &id, expires);
    format!("http://{HOST}{}export/{id}?Expires={expires}&Signature={signature}", files::ROOT).into()
}

fn prepare(change: &mut Change<'_>, export: &mut Record, _: &Body) -> Result<(), Refusal> {
    let csv = export.text("format") == Some("csv");
    if export.text("object") == Some("lead") {
        if export.get("type").is_none() {
            return Err(Refusal::field("type", "This field is required."));
        }
        if export.is("include_activities") && (csv || export.text("type") != Some("leads")) {
            return Err(Refusal::field("include_activities", "Only exports of leads as json can include activities."));
        }
        export.set("params", Value::Null);
    } else {
        export.set("type", "opportunities");
        for name in ["query", "s_query", "results_limit", "sort", "include_activities", "include_smart_fields"] {
            export.set(name, Value::Null);
        }
        // Wrong parameters are refused immediately, not in the job.
        opportunities(&change.view(), export, 1)?;
    }
    if !csv && export.get("date_format").is_some_and(|format| format.as_text() != Some("original")) {
        return Err(Refusal::field("date_format", "Only exports as csv have another date format."));
    }
    export.set("status", "created");
    Ok(())
}

#[allow(clippy::unnecessary_wraps)]
fn created(change: &mut Change<'_>, id: Id, _: &Body) -> Result<(), Refusal> {
    put_off(change, id);
    Ok(())
}

fn put_off(change: &mut Change<'_>, id: Id) {
    let due = change.now().plus_millis(change.world.switches.job_step_ms.max(0));
    change.schedule(due, Job::Export(id));
}

/// Runs the next step.
pub fn step(change: &mut Change<'_>, id: Id) {
    let Some(export) = change.get(id) else { return };
    change.actor.user = export.author;
    let caller = export.author.and_then(|user| change.world.caller_for(user));
    let view = match &caller {
        Some(caller) => View::of(change.world, caller),
        None => View::now(change.world),
    };
    match export.text("status") {
        Some("created") => match select(&view, &export) {
            Ok(found) => change.edit(id, |export| {
                export.set("status", "started");
                export.set("n_docs", found.len() as i64);
                export.set("selection", Value::list(found.into_iter().map(Value::Id)));
            }),
            Err(_) => return change.edit(id, |export| export.set("status", "error")),
        },
        Some("started") => change.edit(id, |export| {
            export.set("status", "in_progress");
            export.set("n_docs_processed", 0i64);
        }),
        Some("in_progress") => {
            let selection = export.get("selection").map(Value::items).unwrap_or_default();
            let done = usize::try_from(export.int("n_docs_processed").unwrap_or(0)).unwrap_or(0);
            let end = (done + PORTION).min(selection.len());
            let portion = selection[done.min(end)..end].iter().filter_map(Value::as_id);
            let rows: Vec<String> = portion.filter_map(|id| export_rows::row(&view, &export, view.see(id)?)).collect();
            let all = change.world.files.rows.entry(id).or_default();
            all.extend(rows);
            if end == selection.len() {
                finish(change, id, &export);
                return;
            }
            change.edit(id, |export| export.set("n_docs_processed", end as i64));
        }
        _ => return,
    }
    put_off(change, id);
}

/// Writes the file, and deletes files without an export.
fn finish(change: &mut Change<'_>, id: Id, export: &Record) {
    let rows = change.world.files.rows.remove(&id).unwrap_or_default();
    let file = export_rows::file(export, &rows);
    change.world.files.exports.insert(id, file);
    let kept = change.now().plus_days(-World::RETENTION_DAYS);
    let World { store, files, .. } = change.world;
    files.exports.retain(|id, _| store.get(*id).is_some_and(|export| export.updated >= kept));
    change.edit(id, |export| {
        let n_docs = export.get("n_docs").cloned().unwrap_or(Value::Null);
        export.set("n_docs_processed", n_docs);
        export.set("status", "done");
        export.set("selection", Value::Null);
    });
    change.emit(id, "completed");
}

/// The objects of the export: ids of leads, contacts or opportunities.
fn select(view: &View<'_>, export: &Record) -> Result<Vec<Id>, Refusal> {
    if export.text("object") == Some("opportunity") {
        return opportunities(view, export, usize::MAX);
    }
    let s_query = match export.get("s_query") {
        Some(Value::Json(text)) => serde_json::from_str::<Json>(text).ok(),
        _ => None,
    };
    let limit = export.int("results_limit").and_then(|limit| usize::try_from(limit).ok());
    let found = search::select(view, export.text("query"), s_query.as_ref(), limit)?;
    let kind = match export.text("type") {
        Some("contacts") => Kind::Contact,
        Some("lead_opps") => Kind::Opportunity,
        _ => return Ok(found.into_iter().filter(|id| id.kind() == Kind::Lead).collect()),
    };
    let of = |found: Id| -> Vec<Id> {
        if found.kind() == kind { vec![found] } else { view.of_lead(found, kind).map(|record| record.id).collect() }
    };
    Ok(found.into_iter().flat_map(of).collect())
}

/// At most `limit` opportunities that match the export's `params`.
fn opportunities(view: &View<'_>, export: &Record, limit: usize) -> Result<Vec<Id>, Refusal> {
    let collection = router::collection("opportunity").expect("opportunities are served");
    let mut request = Request::default();
    if let Some(Value::Json(text)) = export.get("params") {
        let Ok(Json::Object(params)) = serde_json::from_str(text) else {
            return Err(Refusal::field("params", "Not a valid object."));
        };
        for (name, value) in
            params.into_iter().filter(|(name, _)| !matches!(name.as_str(), "_skip" | "_limit" | "_fields"))
        {
            let text = match value {
                Json::String(text) => text,
                Json::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(","),
                other => other.to_string(),
            };
            request.params.push((name, text));
        }
    }
    let mut found = Vec::new();
    loop {
        let mut page = request.clone();
        page.params.push(("_skip".to_owned(), found.len().to_string()));
        let page = list::page(view, collection, &page)?;
        found.extend(page.rows.iter().map(|row| row.id));
        if !page.has_more || found.len() >= limit {
            return Ok(found);
        }
    }
}
