//! Phone numbers of the organization (reference, section 4.10): rented in the application or by `POST
//! /phone_number/request/internal/`, never created by a plain POST. Numbers of groups need the permission
//! `manage_group_numbers`.

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{D, Deed, Filter, G, L, Test, U},
        object,
    },
    model::{
        Kind, Record, Refusal, Stamps, Value,
        render::Scene,
        resource::{DATES, Field, ID, Laws, ORGANIZATION, Resource, Type, Unset, Write},
    },
    world::change::{Body, Change, draw},
};

/// A phone number. `number` is E.164; `user_id` is its owner, `participants` are the users of a group number.
pub static PHONE_NUMBER: Resource = Resource {
    name: "phone_number",
    event: Some(|_| "phone_number"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::text("number"),
            Field::computed("number_formatted", |s| formatted(s, "number")),
            Field::text("country"),
            Field::stored("type", Type::Choice(&["internal", "external", "virtual"])).unset(Unset::Text("internal")),
            Field::text("carrier_type").unset(Unset::Text("local")),
            Field::stored("user_id", Type::Ref(&[Kind::User])),
            Field::computed("is_group_number", |s| s.record.is("is_group_number").into()),
            Field::stored("participants", Type::List(&Type::Ref(&[Kind::User]))).writable().unset(Unset::EmptyList),
            Field::stored("label", Type::Text(255)).writable().unset(Unset::Text("")),
            Field::stored("forward_to", Type::Text(32)).writable(),
            Field::computed("forward_to_formatted", |s| formatted(s, "forward_to")),
            Field::stored("forward_to_enabled", Type::Bool).writable().unset(Unset::False),
            Field::stored("press_1_to_accept", Type::Bool).writable().unset(Unset::False),
            Field::stored("sms_enabled", Type::Bool).unset(Unset::False),
            Field::stored("mms_enabled", Type::Bool).unset(Unset::False),
            Field::stored("is_premium", Type::Bool).unset(Unset::False),
            Field::stored("is_verified", Type::Bool).unset(Unset::False),
            Field::text("voicemail_greeting_url").write(Write::Yes),
            Field::stored("last_billed_price", Type::Number),
            Field::stored("next_billing_on", Type::Day),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws { revise, ..Laws::PLAIN },
};

pub static SOURCE: Source = Source {
    collections: &[Collection {
        methods: L | G | U | D,
        total: false,
        filters: &[
            Filter { param: "number", test: Test::Field("number") },
            Filter { param: "user_id", test: Test::Field("user_id") },
            Filter { param: "is_group_number", test: Test::Field("is_group_number") },
        ],
        permit: |_, caller, deed, number| {
            deed == Deed::Read
                || number.is_none_or(|number| number.id_of("user_id") == Some(caller.user))
                || caller.may("manage_group_numbers")
        },
        section: "4.10",
        ..Collection::new("phone_number", &[Kind::PhoneNumber])
    }],
    endpoints: &[Endpoint {
        method: "POST",
        path: "phone_number/request/internal",
        handler: Handler::Write(rent),
        section: "4.10",
        exactness: Exactness::Inferred,
    }],
};

/// Countries with numbers for rent, their calling codes, and whether their numbers accept messages.
const COUNTRIES: [(&str, &str, bool); 6] = [
    ("US", "1", true),
    ("CA", "1", true),
    ("GB", "44", true),
    ("DE", "49", false),
    ("FR", "33", false),
    ("SE", "46", true),
];

/// `+49 301234567` for `+49301234567`: readable, and always different from the number.
pub(super) fn formatted(scene: &Scene<'_>, name: &'static str) -> Value {
    let Some(number) = scene.record.text(name) else { return Value::Null };
    let digits = number.trim_start_matches('+');
    for (_, code, _) in COUNTRIES {
        if let Some(rest) = digits.strip_prefix(code) {
            return match (code, rest.len()) {
                ("1", 10) => format!("+1 {}-{}-{}", &rest[..3], &rest[3..6], &rest[6..]).into(),
                _ => format!("+{code} {rest}").into(),
            };
        }
    }
    format!("+{digits}").into()
}

/// The refusal to rent a number, with the reason in `status`.
fn refused(status: &str, error: &str) -> Answer {
    Answer::json(400, &serde_json::json!({ "status": status, "error": error }))
}

fn rent(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json()?;
    let mut missing = serde_json::Map::new();
    for name in ["country", "sharing"] {
        if body.text(name).is_none() {
            missing.insert(name.to_owned(), "This field is required.".into());
        }
    }
    if !missing.is_empty() {
        return Err(Refusal::Invalid { errors: Vec::new(), fields: missing });
    }
    let group = match body.text("sharing") {
        Some("personal") => false,
        Some("group") => true,
        _ => return Err(Refusal::field("sharing", "Not a valid choice. Expected one of: personal, group.")),
    };
    if group {
        change.require("manage_group_numbers")?;
    }
    change.require("calling")?;
    let country = body.text("country").unwrap_or("").to_uppercase();
    let Some((country, code, messages)) = COUNTRIES.into_iter().find(|(name, _, _)| *name == country) else {
        return Ok(refused("error", "There are no numbers in this country."));
    };
    let flag = |name: &str| body.get(name).and_then(serde_json::Value::as_bool).unwrap_or(false);
    if !messages && (flag("with_sms") || flag("with_mms")) {
        return Ok(refused("has-voice-only", "Numbers in this country cannot send messages."));
    }
    let mut number = change.record(Kind::PhoneNumber);
    let prefix = body.text("prefix").unwrap_or("").trim_start_matches('+').trim_start_matches(code);
    let prefix: String = if prefix.is_empty() { "555".to_owned() } else { prefix.chars().take(6).collect() };
    let rest = (draw(change.world.seed, number.id.serial()) * 1e10) as u64;
    let width = 10 - prefix.len();
    let rest = format!("{rest:010}");
    number.set("number", format!("+{code}{prefix}{}", &rest[..width]));
    number.set("country", country);
    number.set("carrier_type", body.text("carrier_type").unwrap_or("local"));
    number.set("type", "internal");
    number.set("is_group_number", group);
    if group {
        number.set("participants", Value::list(change.actor.user.map(Value::Id)));
    } else {
        number.set("user_id", change.actor.user);
    }
    number.set("sms_enabled", messages);
    number.set("mms_enabled", messages && code == "1");
    number.set("is_verified", true);
    number.set("last_billed_price", Value::Number(serde_json::Number::from_f64(1.15).expect("a finite number")));
    number.set("next_billing_on", change.now().plus_days(30).day(0));
    let id = change.insert(number);
    Ok(object::written(change, id, request, 201))
}

fn revise(_: &mut Change<'_>, before: &Record, after: &mut Record, _: &Body) -> Result<(), Refusal> {
    if !before.is("is_group_number") && before.get("participants") != after.get("participants") {
        return Err(Refusal::field("participants", "Only group numbers have participants."));
    }
    Ok(())
}
