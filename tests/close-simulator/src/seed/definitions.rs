//! Definitions of custom fields of every type on every kind of object, of custom activities and of custom objects, and
//! fields that several kinds share.

use std::sync::Arc;

use super::{
    foundation::{founder, put},
    ground::{CustomField, Ground},
};
use crate::{
    model::{Id, Kind, Record, Value},
    world::World,
};

const INDUSTRY: &[&str] = &["Shipping", "Retail", "Health", "Energy & Utilities", "Öffentlicher Dienst", "金融"];
const TAGS: &[&str] = &["A", "B", "C", "VIP", "cold", "no, really"];
const SIZE: &[&str] = &["1-10", "11-50", "51-200", "201+"];

/// Name, `type`, several values, choices, share of records with a value.
type Line = (&'static str, &'static str, bool, &'static [&'static str], f64);

const LEAD: &[Line] = &[
    ("Industry", "choices", false, INDUSTRY, 0.6),
    ("Tags", "choices", true, TAGS, 0.4),
    ("Employees", "number", false, &[], 0.5),
    ("Renewal date", "date", false, &[], 0.3),
    ("Last synced", "datetime", false, &[], 0.25),
    ("Slogan", "text", false, &[], 0.2),
    ("Team", "user", true, &[], 0.2),
    ("Decision maker", "contact", false, &[], 0.2),
    ("Main asset", "custom_object", false, &[], 0.1),
    ("external_id", "hidden", false, &[], 0.3),
];
const CONTACT: &[Line] = &[
    ("Role", "choices", false, &["decision maker", "champion", "user"], 0.4),
    ("Salutation", "text", false, &[], 0.2),
    ("Birthday", "date", false, &[], 0.1),
    ("Score", "number", false, &[], 0.2),
    ("Reports to", "contact", true, &[], 0.05),
];
const OPPORTUNITY: &[Line] = &[
    ("Seats", "number", false, &[], 0.5),
    ("Competitors", "choices", true, &["Alpha", "Beta", "none"], 0.3),
    ("Sales engineer", "user", false, &[], 0.3),
    ("Signed at", "datetime", false, &[], 0.1),
];
const SITE_VISIT: &[Line] = &[
    ("Summary", "textarea", false, &[], 0.8),
    ("Kilometers", "number", false, &[], 0.6),
    ("Visited on", "date", false, &[], 0.7),
    ("Met", "contact", true, &[], 0.4),
    ("Mood", "choices", false, &["good", "mixed", "bad"], 0.5),
];
const HANDOVER: &[Line] = &[("From", "user", false, &[], 0.9), ("Done at", "datetime", false, &[], 0.5)];
const ASSET: &[Line] = &[
    ("Serial number", "text", false, &[], 0.9),
    ("Purchase price", "number", false, &[], 0.5),
    ("Warranty until", "date", false, &[], 0.4),
    ("Contact on site", "contact", false, &[], 0.3),
];

/// Adds the definitions.
pub fn plant(world: &mut World, ground: &mut Ground) {
    ground.object_types = vec![
        object_type(world, ground, ("Asset", "Assets"), ASSET),
        object_type(world, ground, ("Contract", "Contracts"), &[("Number", "text", false, &[], 1.0)]),
    ];
    let asset = ground.object_types[0].0;
    let lead = fields(world, ground, "lead", LEAD, |record| {
        if record.text("type") == Some("custom_object") {
            record.set("referenced_custom_type_id", asset);
        }
    });
    ground.lead_fields.extend(lead);
    ground.contact_fields = fields(world, ground, "contact", CONTACT, |_| {});
    ground.opportunity_fields = fields(world, ground, "opportunity", OPPORTUNITY, |_| {});
    ground.activity_types = vec![
        activity_type(world, ground, "Site visit", SITE_VISIT),
        activity_type(world, ground, "Handover", HANDOVER),
    ];
    shared(world, ground);
}

fn fields(
    world: &mut World,
    ground: &Ground,
    object: &'static str,
    lines: &[Line],
    finish: impl Fn(&mut Record),
) -> Vec<CustomField> {
    lines
        .iter()
        .map(|(name, ty, multiple, choices, share)| {
            let id = world.next_id(Kind::CustomField);
            let at = ground.born.plus_days(5).plus_millis(id.serial() as i64 * 1_250);
            let choices: Vec<Arc<str>> = choices.iter().map(|choice| Arc::from(*choice)).collect();
            let mut record = Record { author: Some(founder()), editor: Some(founder()), ..Record::new(id, at) }
                .with("object", object)
                .with("name", *name)
                .with("type", *ty)
                .with("accepts_multiple_values", *multiple);
            if !choices.is_empty() {
                record.set("choices", Value::list(choices.iter().map(|choice| Value::from(Arc::clone(choice)))));
            }
            finish(&mut record);
            put(world, record);
            CustomField { id, ty, multiple: *multiple, choices, share: *share }
        })
        .collect()
}

fn activity_type(world: &mut World, ground: &Ground, name: &str, lines: &[Line]) -> (Id, Vec<CustomField>) {
    let id = world.next_id(Kind::CustomActivityType);
    put(
        world,
        Record { author: Some(founder()), editor: Some(founder()), ..Record::new(id, ground.born.plus_days(6)) }
            .with("name", name)
            .with("description", format!("What we note about a {}.", name.to_lowercase()))
            .with("api_create_only", false)
            .with("is_archived", false),
    );
    (id, fields(world, ground, "activity", lines, |record| record.set("custom_activity_type_id", id)))
}

fn object_type(
    world: &mut World,
    ground: &Ground,
    (name, plural): (&str, &str),
    lines: &[Line],
) -> (Id, Vec<CustomField>) {
    let id = world.next_id(Kind::CustomObjectType);
    put(
        world,
        Record { author: Some(founder()), editor: Some(founder()), ..Record::new(id, ground.born.plus_days(4)) }
            .with("name", name)
            .with("name_plural", plural)
            .with("description", "Something a lead owns."),
    );
    (id, fields(world, ground, "custom_object", lines, |record| record.set("custom_object_type_id", id)))
}

/// One field of leads and contacts, one of opportunities and the first type of activity.
fn shared(world: &mut World, ground: &mut Ground) {
    let visit = ground.activity_types[0].0;
    let on = |object: &'static str| {
        Value::object([
            ("object_type", object.into()),
            ("required", false.into()),
            ("editable_with_roles", Value::list([])),
        ])
    };
    let on_visit = Value::object([
        ("object_type", "custom_activity_type".into()),
        ("custom_activity_type_id", visit.into()),
        ("required", false.into()),
        ("editable_with_roles", Value::list([])),
    ]);
    let size = fields(world, ground, "shared", &[("Size", "choices", false, SIZE, 0.3)], |record| {
        record.set("associations", Value::list([on("lead"), on("contact")]));
    });
    let budget = fields(world, ground, "shared", &[("Budget", "number", false, &[], 0.3)], |record| {
        record.set("associations", Value::list([on("opportunity"), on_visit.clone()]));
    });
    ground.lead_fields.extend(size.clone());
    ground.contact_fields.extend(size);
    ground.opportunity_fields.extend(budget.clone());
    ground.activity_types[0].1.extend(budget);
}
