//! Leads, their contacts and their custom objects.

use std::sync::Arc;

use super::{
    case::{Case, Somebody},
    sheet::{Sheet, add},
    words::{CITY, COMPANY, FIRST, FORM, LAST, STREET, TITLE, TRADE},
};
use crate::model::{Kind, Value};

/// The contacts: 0 to 40, with several addresses and numbers or none.
pub fn contacts(case: &mut Case<'_>, sheet: &mut Sheet) {
    for n in 0..case.plan.count(Kind::Contact) {
        // Contacts that were entered with the lead have its date to the millisecond.
        let at = if n == 0 || case.chance(0.4) { case.born } else { case.moment() };
        let mut contact = case.record(sheet, Kind::Contact, at);
        let name: Arc<str> = match case.draw.below(40) {
            0 => "".into(),
            1 => (*case.draw.pick(FIRST)).into(),
            _ => format!("{} {}", case.draw.pick(FIRST), case.draw.pick(LAST)).into(),
        };
        add(&mut contact, "name", Arc::clone(&name));
        if case.chance(0.6) {
            add(&mut contact, "title", sheet.word(case.draw.word(TITLE)));
        }
        let mut emails = Vec::new();
        for m in 0..[1, 1, 1, 2, 0, 3][case.draw.below(6)] {
            emails.push(Arc::<str>::from(format!(
                "p{n}.{m}.{}@lead{}.example",
                case.draw.below(90),
                case.lead.serial()
            )));
        }
        let mut phones = Vec::new();
        for _ in 0..[1, 1, 0, 2, 0][case.draw.below(5)] {
            phones.push(Arc::<str>::from(format!("+4943{:08}", case.draw.below(100_000_000))));
        }
        let kinds = ["office", "direct", "mobile", "home", "other"];
        let entries = |sheet: &mut Sheet, texts: &[Arc<str>], name: &'static str| {
            Value::list(texts.iter().enumerate().map(|(at, text)| {
                Value::object([(name, Arc::clone(text).into()), ("type", sheet.word(kinds[at % kinds.len()]))])
            }))
        };
        if !emails.is_empty() {
            add(&mut contact, "emails", entries(sheet, &emails, "email"));
        }
        if !phones.is_empty() {
            let numbers = phones
                .iter()
                .enumerate()
                .map(|(at, phone)| {
                    Value::object([
                        ("phone", Arc::clone(phone).into()),
                        ("type", sheet.word(kinds[(at + 2) % kinds.len()])),
                        ("country", sheet.word("DE")),
                    ])
                })
                .collect::<Vec<_>>();
            add(&mut contact, "phones", Value::list(numbers));
        }
        if case.chance(0.15) {
            let url = format!("https://people.example/{}/{n}", case.lead.serial());
            add(&mut contact, "urls", Value::list([Value::object([("url", url.into()), ("type", sheet.word("url"))])]));
        }
        case.contacts.push(Somebody {
            id: contact.id,
            name,
            email: emails.into_iter().next(),
            phone: phones.into_iter().next(),
        });
        let fields = &case.ground.contact_fields;
        case.customize(&mut contact, fields);
        sheet.put(contact);
    }
}

pub fn objects(case: &mut Case<'_>, sheet: &mut Sheet) {
    for n in 0..case.plan.count(Kind::CustomObject) {
        let at = case.moment();
        let mut object = case.record(sheet, Kind::CustomObject, at);
        let asset = case.chance(0.7);
        let (ty, fields) = &case.ground.object_types[usize::from(!asset)];
        add(&mut object, "custom_object_type_id", *ty);
        add(
            &mut object,
            "name",
            format!("{} {}-{n}", if asset { "Crane" } else { "Frame contract" }, case.lead.serial()),
        );
        if asset {
            case.objects.push(object.id);
        }
        case.customize(&mut object, fields);
        sheet.put(object);
    }
}

/// The lead itself, last, because its fields depend on its objects.
pub fn lead(case: &mut Case<'_>, sheet: &mut Sheet) {
    let author = if case.chance(0.05) { None } else { Some(case.owner.id) };
    let mut lead = crate::model::Record {
        author,
        editor: case.somebody(),
        updated: case.latest,
        fields: Vec::with_capacity(16),
        ..crate::model::Record::new(case.lead, case.born)
    };
    // Names repeat: one in forty is a plain name that others share; some leads have none.
    let name: Value = match case.draw.below(80) {
        0 | 1 => sheet.word("Acme Inc"),
        2 => Value::Null,
        3 => "".into(),
        _ => {
            format!("{} {} {}", case.draw.pick(COMPANY), case.draw.pick(TRADE), case.draw.pick(FORM)).trim_end().into()
        }
    };
    add(&mut lead, "name", name);
    add(&mut lead, "status_id", *case.draw.pick_front(&case.ground.statuses));
    match case.draw.below(6) {
        0 => add(&mut lead, "description", ""),
        1 => {
            let at = case.ground.library.note(&mut case.draw);
            add(&mut lead, "description", Arc::clone(&case.ground.library.notes[at]));
        }
        _ => {}
    }
    if case.chance(0.6) {
        add(&mut lead, "url", format!("https://lead{}.example", case.lead.serial()));
    }
    let source = match case.import {
        Some(_) => "import",
        None => case.draw.weighted(&[(5, "ui"), (4, "api"), (1, "email"), (1, "clipper")]),
    };
    add(&mut lead, "source", sheet.word(source));
    let addresses = [0, 1, 1, 1, 2][case.draw.below(5)];
    if addresses > 0 {
        add(&mut lead, "addresses", Value::list((0..addresses).map(|n| address(case, sheet, n)).collect::<Vec<_>>()));
    }
    let fields = &case.ground.lead_fields;
    case.customize(&mut lead, fields);
    sheet.put(lead);
}

fn address(case: &mut Case<'_>, sheet: &mut Sheet, n: usize) -> Value {
    let (city, state, code, country, _) = *case.draw.pick(CITY);
    let street = format!("{} {}", case.draw.pick(STREET), case.draw.between(1, 200));
    let second = case.draw.chance(0.1).then_some("2nd floor");
    let zipcode = format!("{code}{:02}", case.draw.below(100));
    Value::object([
        ("label", sheet.word(["business", "mailing", "other"][n % 3])),
        ("address_1", street.into()),
        ("address_2", second.map_or(Value::Null, |text| sheet.word(text))),
        ("city", sheet.word(city)),
        ("state", state.map_or(Value::Null, |state| sheet.word(state))),
        ("zipcode", zipcode.into()),
        ("country", sheet.word(country)),
    ])
}
