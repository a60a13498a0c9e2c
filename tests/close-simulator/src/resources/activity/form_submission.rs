//! Form submissions: filled-in forms of the organization (reference, section 4.6). Callers cannot create them.

use serde_json::{Map, Value as Json};

use super::shared;
use crate::{
    http::{
        Source,
        collection::{D, G, L},
    },
    model::{
        Id, Kind, Stamps, Value,
        resource::{AUTHORS, Field, Resource, Type, Unset},
    },
    world::change::Change,
};

pub static FORM_SUBMISSION: Resource = Resource {
    name: "form_submission",
    event: Some(|_| "activity.form_submission"),
    stamps: Stamps::Offset,
    fields: &[
        &[shared::type_field(|_| "FormSubmission".into())],
        shared::BASE_READ_ONLY,
        &[
            Field::stored("form_id", Type::Ref(&[Kind::Form])),
            Field::text("form_configuration_id"),
            Field::text("form_name"),
            Field::stored("values", Type::Json).unset(Unset::EmptyObject),
            Field::stored("values_by_name", Type::Json).unset(Unset::EmptyObject),
            Field::text("ip_address"),
            Field::text("origin"),
            Field::text("source_url"),
            Field::text("source_url_normalized"),
        ],
        AUTHORS,
        shared::ACTIVITY_DATES,
    ],
    custom_fields: false,
    laws: shared::LAWS,
};

pub static SOURCE: Source = Source {
    collections: &[shared::collection("activity/form_submission", &[Kind::FormSubmission], L | G | D)],
    endpoints: &[],
};

/// A filled-in form.
#[derive(Clone, Debug)]
pub struct Submission {
    pub lead: Id,
    /// The submitter.
    pub contact: Option<Id>,
    /// Number of the form, from 1.
    pub form: u64,
    pub form_name: String,
    /// Field names with their values: text, true or false, or null. The `n`th entry is the `n`th field of the form.
    pub values: Vec<(String, Json)>,
    /// The page with the form.
    pub source_url: String,
}

/// Maximum fields of a form; the ids of its fields follow from their positions.
const FIELDS: u64 = 100;

/// Records a form submission.
pub fn receive(change: &mut Change<'_>, submission: &Submission) -> Id {
    let seed = change.world.seed;
    let form = submission.form.max(1);
    let mut values = Map::new();
    let mut by_name = Map::new();
    for (at, (name, value)) in submission.values.iter().enumerate() {
        let field = Id::new(Kind::FormField, (form - 1) * FIELDS + at as u64 + 1);
        values.insert(field.text(seed), value.clone());
        by_name.insert(name.clone(), value.clone());
    }
    let mut record = change.record(Kind::FormSubmission);
    record.lead = Some(submission.lead);
    let url = submission.source_url.as_str();
    let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let record = record
        .with("contact_id", submission.contact)
        .with("form_id", Id::new(Kind::Form, form))
        .with("form_configuration_id", format!("formcfg_{form}"))
        .with("form_name", submission.form_name.as_str())
        .with("values", Value::json(&Json::Object(values)))
        .with("values_by_name", Value::json(&Json::Object(by_name)))
        .with("ip_address", "203.0.113.24")
        .with("origin", origin)
        .with("source_url", url)
        .with("source_url_normalized", url.split(['?', '#']).next().unwrap_or(url));
    let id = change.insert(record);
    shared::touch_lead(change, id);
    id
}

/// Sets the contact of a submission whose contact was unknown.
pub fn attribute(change: &mut Change<'_>, id: Id, contact: Id) {
    change.edit(id, |record| record.set("contact_id", contact));
    shared::touch_lead(change, id);
}
