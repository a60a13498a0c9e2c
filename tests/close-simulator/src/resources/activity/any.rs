//! `/activity/`: all activities of the organization or of a lead in one list (reference, section 4.5).

use std::sync::LazyLock;

use super::shared::{ORDERS, activity_at, check};
use crate::{
    http::{
        Collection, Request, Source,
        collection::{Condition, Filter, L, Test},
    },
    model::{
        Kind, Record, Refusal,
        render::{Scene, Selection},
        resource,
    },
    world::view::View,
};

const FILTERS: &[Filter] = &[
    Filter { param: "_type", test: Test::Checked },
    Filter { param: "thread_emails", test: Test::Checked },
    Filter { param: "id", test: Test::Field("id") },
    Filter { param: "lead_id", test: Test::Lead },
    Filter { param: "contact_id", test: Test::Field("contact_id") },
    Filter { param: "user_id", test: Test::Field("user_id") },
    Filter { param: "organization_id", test: Test::Field("organization_id") },
    Filter { param: "custom_activity_type_id", test: Test::Field("custom_activity_type_id") },
    Filter { param: "date_created", test: Test::Created(1_000_000) },
    Filter { param: "activity_at", test: Test::Moment(activity_at, 1_000_000) },
];

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L,
        filters: FILTERS,
        orders: ORDERS,
        check: check_all,
        narrowed: |request, record| {
            (record.kind() == Kind::Email && threads(request) == Threads::Beside).then_some(&*STRIPPED)
        },
        total: false,
        section: "4.5",
        ..Collection::new("activity", Kind::ACTIVITIES)
    }],
    endpoints: &[],
};

/// The fields of a mail beside or inside its thread: without its bodies.
pub static STRIPPED: LazyLock<Selection> = LazyLock::new(|| {
    Selection::Named(
        super::email::EMAIL
            .fields()
            .filter(|field| field.shown & resource::LIST != 0 && !matches!(field.name, "body_text" | "body_html"))
            .map(|field| field.name.to_owned())
            .collect(),
    )
});

/// The values of `thread_emails`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Threads {
    /// Mails, no threads.
    Absent,
    /// Threads, and mails without their bodies.
    Beside,
    /// Threads, no mails.
    Only,
}

fn threads(request: &Request) -> Threads {
    match request.param("thread_emails").map(str::to_ascii_lowercase).as_deref() {
        Some("only") => Threads::Only,
        Some("true" | "1") => Threads::Beside,
        _ => Threads::Absent,
    }
}

/// Checks which parameters need a lead on `/activity/`, and which date goes with which order.
fn check_all(view: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    let mut conditions = check(view, request)?;
    let given =
        |name: &str| request.params.iter().any(|(param, _)| param.strip_suffix("__in").unwrap_or(param) == name);
    if !given("lead_id")
        && let Some(name) =
            ["_type", "user_id", "contact_id", "custom_activity_type_id"].into_iter().find(|name| given(name))
    {
        return Err(Refusal::bad(format!("Filtering by {name} is only supported together with lead_id.")));
    }
    let (sorted, other) = match request.param("_order_by") {
        Some("-activity_at") => ("activity_at", "date_created__"),
        _ => ("date_created", "activity_at__"),
    };
    if let Some((name, _)) = request.params.iter().find(|(name, _)| name.starts_with(other)) {
        return Err(Refusal::bad(format!(
            "{name} cannot be used when sorting by {sorted}; filter by {sorted} instead."
        )));
    }
    match threads(request) {
        Threads::Absent => conditions.push(Box::new(|_, record| record.kind() != Kind::EmailThread)),
        Threads::Only => conditions.push(Box::new(|_, record| record.kind() != Kind::Email)),
        Threads::Beside => {}
    }
    for name in ["_type", "_type__in"] {
        if let Some(text) = request.param(name) {
            let wanted: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
            conditions.push(Box::new(move |view, record| wanted.iter().any(|word| is_type(view, record, word))));
        }
    }
    Ok(conditions)
}

/// Returns true if a word names the record's type: its `_type`, and for custom activities also `Custom` or the id of
/// their type.
pub fn is_type(view: &View<'_>, record: &Record, word: &str) -> bool {
    let Some(compute) = record.kind().resource().field("_type").and_then(|field| field.compute) else { return false };
    let literal = compute(&Scene { view, record });
    literal.as_text() == Some(word)
        || record.kind() == Kind::CustomActivity
            && (matches!(word, "Custom" | "CustomActivity")
                || record.id_of("custom_activity_type_id").is_some_and(|id| view.parse_id(word) == Some(id)))
}
