//! `GET /report/statuses/{lead,opportunity}/{organization}/`: the number of objects with each status at the start and
//! at the end of a time, and the moves between them. Earlier statuses are found by undoing the status changes from now.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use serde_json::{Map, Value as Json, json};

use super::{
    lead_of, of_smart_view, own_organization, percent,
    range::{self, Range},
    user_of,
};
use crate::{
    http::{Answer, Request},
    model::{Id, Kind, Record, Refusal},
    resources::search,
    world::{people::Caller, view::View},
};

/// The differences between the two reports.
struct Subject {
    objects: Kind,
    statuses: Kind,
    changes: Kind,
    /// `leads` or `opportunities`, in the names of the links.
    plural: &'static str,
}

/// The report on lead statuses.
pub(super) fn leads(view: &View<'_>, _: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let subject =
        Subject { objects: Kind::Lead, statuses: Kind::LeadStatus, changes: Kind::LeadStatusChange, plural: "leads" };
    report(view, request, &subject)
}

/// The report on opportunity statuses.
pub(super) fn opportunities(view: &View<'_>, _: &Caller, request: &Request) -> Result<Answer, Refusal> {
    let subject = Subject {
        objects: Kind::Opportunity,
        statuses: Kind::OpportunityStatus,
        changes: Kind::OpportunityStatusChange,
        plural: "opportunities",
    };
    report(view, request, &subject)
}

/// The columns of one status.
const COLUMNS: [&str; 6] = ["started", "ended", "gained", "lost", "entered", "left"];

fn report(view: &View<'_>, request: &Request, subject: &Subject) -> Result<Answer, Refusal> {
    own_organization(view, &request.segments[0])?;
    let range = range::of_query(view, request, "date_start", "date_end")?;
    let leads: Option<BTreeSet<Id>> = match (request.param("query"), request.param("smart_view_id")) {
        (Some(_), Some(_)) => return Err(Refusal::bad("Only one of query and smart_view_id can be given.")),
        (Some(query), None) => Some(search::select(view, Some(query), None, None)?.into_iter().collect()),
        (None, Some(text)) => {
            let smart_view = view.parse_id(text).filter(|id| id.kind() == Kind::SmartView).and_then(|id| view.see(id));
            Some(of_smart_view(view, smart_view.ok_or_else(|| Refusal::missing(text))?)?.into_iter().collect())
        }
        (None, None) => None,
    };
    let user = (subject.objects == Kind::Opportunity)
        .then(|| request.param("user_id"))
        .flatten()
        .map(|text| view.parse_id(text));
    let keep = |record: &Record| {
        leads.as_ref().is_none_or(|leads| leads.contains(&lead_of(record)))
            && user.is_none_or(|user| user_of(record) == user)
    };
    let (started, ended, moves) = walk(view, subject, range, keep);

    let mut columns: BTreeMap<Id, [i64; 6]> = view.all(subject.statuses).map(|status| (status.id, [0; 6])).collect();
    let mut count = |status: Option<Id>, column: usize| {
        if let Some(status) = status {
            columns.entry(status).or_default()[column] += 1;
        }
    };
    started.values().for_each(|status| count(Some(*status), 0));
    for (object, status) in &ended {
        count(Some(*status), 1);
        if started.get(object) != Some(status) {
            count(Some(*status), 2);
            count(started.get(object).copied(), 3);
        }
    }
    for (from, to) in &moves {
        count(Some(*to), 4);
        count(*from, 5);
    }
    let overview: Vec<Json> =
        columns.iter().map(|(status, columns)| overview(view, subject, range, *status, columns)).collect();
    let mut summed: BTreeMap<(Option<Id>, Id), i64> = BTreeMap::new();
    for step in moves {
        *summed.entry(step).or_default() += 1;
    }
    let mut net: BTreeMap<(Option<Id>, Id), i64> = BTreeMap::new();
    for (object, to) in &ended {
        let from = started.get(object).copied();
        if from != Some(*to) {
            *net.entry((from, *to)).or_default() += 1;
        }
    }
    let list = |all: &BTreeMap<(Option<Id>, Id), i64>| -> Vec<Json> {
        all.iter().map(|((from, to), count)| transition(view, subject, range, *from, *to, *count)).collect()
    };
    Ok(Answer::json(
        200,
        &json!({
            "status_overview": overview,
            "status_transitions": list(&summed),
            "status_transitions_summary": list(&net),
        }),
    ))
}

type Statuses = FxHashMap<Id, Id>;

/// The status of every object at the start and at the end, and the moves in between.
fn walk(
    view: &View<'_>,
    subject: &Subject,
    range: Range,
    keep: impl Fn(&Record) -> bool,
) -> (Statuses, Statuses, Vec<(Option<Id>, Id)>) {
    let mut now = Statuses::default();
    for object in view.all(subject.objects).filter(|object| keep(object)) {
        if let Some(status) = object.id_of("status_id") {
            now.insert(object.id, status);
        }
    }
    let mut ended = None;
    let mut moves = Vec::new();
    for change in view.range(subject.changes, range.from, crate::model::Moment::LAST).rev() {
        if change.created < range.to && ended.is_none() {
            ended = Some(now.clone());
        }
        let object = if subject.objects == Kind::Lead { change.lead } else { change.id_of("opportunity_id") };
        let (from, to) = (change.id_of("old_status_id"), change.id_of("new_status_id"));
        let Some(object) = object.filter(|object| now.contains_key(object)) else { continue };
        if let (true, Some(to)) = (range.holds(change.created), to) {
            moves.push((from, to));
        }
        if let Some(from) = from {
            now.insert(object, from);
        }
    }
    let born_before = |at| move |(id, _): &(Id, Id)| view.get(*id).is_some_and(|object| object.created < at);
    let ended = ended.unwrap_or_else(|| now.clone());
    let started = now.into_iter().filter(born_before(range.from)).collect();
    (started, ended.into_iter().filter(born_before(range.to)).collect(), moves)
}

fn wrapped(subject: &Subject, text: String) -> String {
    if subject.objects == Kind::Opportunity { format!("opportunity({text})") } else { text }
}

fn link(query: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("https://app.close.com/search/?query={encoded}")
}

fn overview(view: &View<'_>, subject: &Subject, range: Range, status: Id, columns: &[i64; 6]) -> Json {
    let [started, ended, gained, lost, entered, left] = *columns;
    let (mut queries, mut links) = (Map::new(), Map::new());
    for column in COLUMNS {
        let status = view.id_text(status);
        let (from, to) = (range::written(range.from), range::written(range.to));
        let query = wrapped(subject, format!("{column}_status:{status} date >= \"{from}\" date < \"{to}\""));
        links.insert(column.to_owned(), link(&query).into());
        queries.insert(column.to_owned(), query.into());
    }
    json!({
        "status_id": view.id_text(status),
        "status_label": view.field_of(Some(status), "label").as_text(),
        "status_is_deleted": !view.exists(status),
        "started": started,
        "ended": ended,
        "change": ended - started,
        "change_percent": percent(ended - started, started),
        "gained": gained,
        "lost": lost,
        "entered": entered,
        "left": left,
        "_queries": queries,
        format!("_{}_page_urls", subject.plural): links,
    })
}

fn transition(view: &View<'_>, subject: &Subject, range: Range, from: Option<Id>, to: Id, count: i64) -> Json {
    let mut conditions = vec![format!("new_status:{}", view.id_text(to))];
    conditions.extend(from.map(|from| format!("old_status:{}", view.id_text(from))));
    let (first, last) = (range::written(range.from), range::written(range.to));
    let query =
        wrapped(subject, format!("status_change({} date >= \"{first}\" date < \"{last}\")", conditions.join(" ")));
    let mut entry = json!({
        "to_status_id": view.id_text(to),
        "to_status_label": view.field_of(Some(to), "label").as_text(),
        "to_status_is_deleted": !view.exists(to),
        "count": count,
        "_query": query,
        format!("_{}_page_url", subject.plural): link(&query),
    });
    if let Some(from) = from {
        entry["from_status_id"] = view.id_text(from).into();
        entry["from_status_label"] = view.field_of(Some(from), "label").as_text().into();
        entry["from_status_is_deleted"] = (!view.exists(from)).into();
    }
    entry
}
