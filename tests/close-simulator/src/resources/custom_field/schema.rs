//! The fields of an object in display order, shared ones included (reference, section 5.3). The order belongs to the
//! organization for leads, contacts and opportunities, and to the type for custom activities and custom objects.

use serde_json::{Map, Value as Json, json};

use super::association;
use crate::{
    http::{Answer, Endpoint, Exactness, Handler, Request, Source},
    model::{
        Id, Kind, Record, Refusal, Value,
        render::{self, Selection},
    },
    resources::{nested, status},
    world::{change::Change, people::Caller, view::View},
};

pub static SOURCE: Source = Source {
    collections: &[],
    endpoints: &[
        endpoint("GET", "custom_field_schema/{}", Handler::Read(get)),
        endpoint("GET", "custom_field_schema/{}/{}", Handler::Read(get)),
        endpoint("PUT", "custom_field_schema/{}", Handler::Write(reorder)),
        endpoint("PUT", "custom_field_schema/{}/{}", Handler::Write(reorder)),
    ],
};

const fn endpoint(method: &'static str, path: &'static str, handler: Handler) -> Endpoint {
    Endpoint { method, path, handler, section: "5.3", exactness: Exactness::Documented }
}

/// The field of a custom type that stores the order of its fields.
const ORDER_OF_TYPE: &str = "field_order";

/// The fields of one kind, or of one custom type, without shared ones, oldest first.
pub fn own<'v>(view: &'v View<'_>, object: &'static str, of: Option<Id>) -> impl Iterator<Item = &'v Record> {
    view.all(Kind::CustomField).filter(move |field| {
        field.text("object") == Some(object)
            && match object {
                "activity" => field.id_of("custom_activity_type_id") == of,
                "custom_object" => field.id_of("custom_object_type_id") == of,
                _ => true,
            }
    })
}

/// The fields that a record may have.
pub fn of_record<'v>(view: &'v View<'_>, record: &'v Record) -> impl Iterator<Item = &'v Record> {
    view.all(Kind::CustomField).filter(move |field| association::used(field, record))
}

struct Schema {
    /// The word for the object in definitions and associations.
    object: &'static str,
    associated: &'static str,
    /// The custom type, if any.
    of: Option<Id>,
    /// The record and field that store the order.
    owner: Id,
    order: &'static str,
}

impl Schema {
    fn find(view: &View<'_>, segments: &[String]) -> Result<Self, Refusal> {
        let of = segments.get(1);
        let missing = || Refusal::missing(of.unwrap_or(&segments[0]));
        let organization = view.organization();
        let plain = |object, order| Self { object, associated: object, of: None, owner: organization, order };
        let of_type = |kind: Kind, object, associated| {
            let id = of.and_then(|text| view.parse_id(text)).filter(|id| id.kind() == kind && view.exists(*id));
            let id = id.ok_or_else(missing)?;
            Ok(Self { object, associated, of: Some(id), owner: id, order: ORDER_OF_TYPE })
        };
        match (segments[0].as_str(), of) {
            ("lead", None) => Ok(plain("lead", "lead_field_order")),
            ("contact", None) => Ok(plain("contact", "contact_field_order")),
            ("opportunity", None) => Ok(plain("opportunity", "opportunity_field_order")),
            ("activity", Some(_)) => of_type(Kind::CustomActivityType, "activity", "custom_activity_type"),
            ("custom_object", Some(_)) => of_type(Kind::CustomObjectType, "custom_object", "custom_object_type"),
            _ => Err(missing()),
        }
    }

    fn fields<'v>(&self, view: &'v View<'_>) -> Vec<&'v Record> {
        let mut fields: Vec<&Record> = own(view, self.object, self.of).collect();
        fields.extend(
            view.all(Kind::CustomField)
                .filter(|field| association::with_object(field, self.associated, self.of).is_some()),
        );
        nested::sort(view.get(self.owner), self.order, &mut fields);
        fields
    }

    fn shown(&self, view: &View<'_>) -> Vec<Json> {
        self.fields(view).into_iter().map(|field| self.field(view, field)).collect()
    }

    /// A field as it is used here: a shared field with the terms of its association.
    fn field(&self, view: &View<'_>, field: &Record) -> Json {
        let mut out = Vec::with_capacity(512);
        render::write(view, field, render::LIST, &Selection::Default, &mut out);
        let mut shown: Map<String, Json> = serde_json::from_slice(&out).expect("what was rendered is a JSON object");
        if let Some(association) = association::with_object(field, self.associated, self.of) {
            for name in ["required", "editable_with_roles"] {
                let mut out = Vec::new();
                let value = association.member(name).unwrap_or(&Value::Null);
                render::write_value(value, view.seed(), field.kind().resource().stamps, &mut out);
                shown.insert(name.to_owned(), serde_json::from_slice(&out).expect("what was rendered is JSON"));
            }
        }
        Json::Object(shown)
    }

    fn answer(&self, view: &View<'_>) -> Answer {
        let name = match self.of {
            Some(_) => view.field_of(self.of, "name").as_text().unwrap_or_default().to_owned(),
            None => self.object[..1].to_uppercase() + &self.object[1..],
        };
        let mut schema = json!({ "name": name, "object_type": self.associated });
        if let Some(of) = self.of {
            schema[format!("{}_id", self.associated)] = view.id_text(of).into();
        }
        schema["organization_id"] = view.id_text(view.organization()).into();
        schema["fields"] = self.shown(view).into();
        Answer::json(200, &schema)
    }
}

/// The fields of a custom type in order, as the type shows them.
pub fn of_type(view: &View<'_>, custom_type: &Record) -> Value {
    let (object, associated) = match custom_type.kind() {
        Kind::CustomActivityType => ("activity", "custom_activity_type"),
        _ => ("custom_object", "custom_object_type"),
    };
    let schema = Schema { object, associated, of: Some(custom_type.id), owner: custom_type.id, order: ORDER_OF_TYPE };
    Value::list(schema.shown(view).iter().map(Value::json))
}

fn get(view: &View<'_>, _caller: &Caller, request: &Request) -> Result<Answer, Refusal> {
    Ok(Schema::find(view, &request.segments)?.answer(view))
}

/// `{"fields": [{"id": …}, …]}` sets the display order.
fn reorder(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let schema = Schema::find(&change.view(), &request.segments)?;
    if change.actor.caller.as_ref().is_some_and(|caller| !status::may_customize(caller)) {
        return Err(Refusal::Forbidden(change.world.switches.forbidden_text.clone()));
    }
    let body = request.json()?;
    let entries =
        body.get("fields").and_then(Json::as_array).ok_or_else(|| Refusal::field("fields", "Not a valid list."))?.len();
    let here: Vec<Id> = schema.fields(&change.whole()).iter().map(|field| field.id).collect();
    let ids: Vec<Id> =
        nested::named_ids(&change.view(), &body, "fields").into_iter().filter(|id| here.contains(id)).collect();
    if ids.len() != entries {
        return Err(Refusal::field("fields", "Each entry must be a field of this object."));
    }
    nested::reorder(change, schema.owner, schema.order, &ids);
    Ok(schema.answer(&change.whole()))
}
