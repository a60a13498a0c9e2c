//! Bulk scenarios: merges, imports, bursts, cascades, migrations, and rows that shift between pages.

use serde_json::{Value as Json, json};

use super::{Scenario, Wish, texts};
use crate::{
    laboratory::{
        api::{body, founder_actor},
        bodies, deeds, pick,
    },
    model::{Id, Kind, Moment, Refusal},
    resources::r#import,
    seed::foundation::founder,
    world::{
        World,
        change::{Actor, Change},
    },
};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "merge_storm",
        meaning: "Pairs of leads are merged, one after the other; the merges continue by the clock (reference, 8.5)",
        parameters: &[("count", "50", "merges")],
        run: merge_storm,
    },
    Scenario {
        name: "bulk_import",
        meaning: "Leads with a contact each are imported; the import continues by the clock",
        parameters: &[("leads", "10000", "new leads")],
        run: bulk_import,
    },
    Scenario {
        name: "burst",
        meaning: "Events are added within one second of the organization's time, several in each millisecond",
        parameters: &[("events", "20000", "new events")],
        run: burst,
    },
    Scenario {
        name: "cascade",
        meaning: "The lead with the most children is deleted, with all its children",
        parameters: &[],
        run: cascade,
    },
    Scenario {
        name: "invisible_migration",
        meaning: "Leads change without events, as in some of the vendor's migrations (reference, 6.7)",
        parameters: &[("count", "100", "leads")],
        run: invisible_migration,
    },
    Scenario {
        name: "page_shift",
        meaning: "The newest leads are deleted and others created, so that all pages of a list shift (reference, 2.1)",
        parameters: &[("deletes", "10", "leads to delete"), ("inserts", "0", "leads to create")],
        run: page_shift,
    },
];

fn merge_storm(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let count = wish.number("count", 50)?;
    let mut merged: Vec<[Id; 2]> = Vec::new();
    let mut refusal = Refusal::bad("there are not enough leads to merge");
    for _ in 0..count.saturating_mul(4) {
        if merged.len() as u64 >= count {
            break;
        }
        let source = wish.object(world, "source", Kind::Lead, |_| true)?.id;
        let destination = wish.object(world, "destination", Kind::Lead, |_| true)?.id;
        // Each lead is a source once, and no lead is merged into a source.
        if source == destination
            || merged.iter().any(|[gone, kept]| [source, destination].contains(gone) || source == *kept)
        {
            continue;
        }
        let actor = founder_actor(world, "POST", "lead/merge");
        match deeds::merge(&mut Change::begin(world, actor), source, destination) {
            Ok(()) => merged.push([source, destination]),
            Err(error) => refusal = error,
        }
    }
    if merged.is_empty() && count > 0 {
        return Err(refusal);
    }
    let pairs: Vec<Vec<String>> = merged.iter().map(|pair| texts(world, pair)).collect();
    Ok(json!({ "merges": merged.len(), "pairs": pairs }))
}

fn bulk_import(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let count = wish.number("leads", 10_000)?;
    let rows = (1..=count)
        .map(|n| {
            let email = json!({ "email": format!("contact{n}@import.example"), "type": "office" });
            let contact = json!({ "name": format!("Contact {n}"), "emails": [email] });
            body(json!({ "name": format!("Imported {n}"), "contacts": [contact] })).map
        })
        .collect();
    let id = r#import::start(&mut Change::begin(world, Actor::user(founder())), rows);
    Ok(json!({ "import_id": id.text(world.seed), "leads": count }))
}

fn burst(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let wanted = wish.number("events", 20_000)? as usize;
    let begun = world.clock.now();
    let before = world.events.len();
    let mut tries = 0;
    while world.events.len() - before < wanted && tries < 2 * wanted {
        let done = world.events.len() - before;
        let at = begun.plus_millis((done * 1_000 / wanted) as i64);
        // Chosen at its moment: a merge may have ended a lead that was there before.
        at_moment(world, at, |world| {
            let lead = wish.object(world, "lead", Kind::Lead, |_| true)?.id;
            let note = bodies::note(world, &mut wish.draw, lead);
            Change::begin(world, Actor::user(founder())).create(Kind::Note, &body(note))
        })?;
        tries += 1;
    }
    let made = world.events.len() - before;
    Ok(json!({ "events": made, "from": bodies::moment(begun), "to": bodies::moment(begun.plus_millis(999)) }))
}

fn cascade(world: &mut World, _wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let (lead, children) = pick::largest_lead(world).ok_or_else(|| Refusal::bad("there are no leads"))?;
    let path = format!("lead/{}", lead.text(world.seed));
    let actor = founder_actor(world, "DELETE", &path);
    Change::begin(world, actor).delete(lead)?;
    Ok(json!({ "lead_id": lead.text(world.seed), "children": children }))
}

fn invisible_migration(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let count = (wish.number("count", 100)? as usize).min(world.store.count(Kind::Lead));
    let mut leads: Vec<Id> = Vec::new();
    // Walk the rest when random draws keep finding the same leads.
    let rest = world.store.of_kind(Kind::Lead, Moment::FIRST, Moment::LAST).collect::<Vec<_>>();
    for at in 0..count * 2 + rest.len() {
        if leads.len() == count {
            break;
        }
        let lead = if at < count * 2 { *wish.draw.pick(&rest) } else { rest[at - count * 2] };
        if !leads.contains(&lead) {
            leads.push(lead);
        }
    }
    for (n, lead) in leads.iter().enumerate() {
        let actor = Actor { invisible: true, ..Actor::system() };
        let name = json!({ "name": format!("Migrated {}", n + 1) });
        Change::begin(world, actor).revise(*lead, &body(name))?;
    }
    Ok(json!({ "leads": leads.len(), "ids": texts(world, &leads) }))
}

fn page_shift(world: &mut World, wish: &mut Wish<'_>) -> Result<Json, Refusal> {
    let (deletes, inserts) = (wish.number("deletes", 10)? as usize, wish.number("inserts", 0)?);
    let newest: Vec<Id> = world.store.of_kind(Kind::Lead, Moment::FIRST, Moment::LAST).rev().take(deletes).collect();
    for lead in &newest {
        Change::begin(world, Actor::user(founder())).delete(*lead)?;
    }
    let mut made = Vec::new();
    for _ in 0..inserts {
        let lead = bodies::lead(world, &mut wish.draw);
        made.push(Change::begin(world, Actor::user(founder())).create(Kind::Lead, &body(lead))?);
    }
    Ok(json!({ "deleted": texts(world, &newest), "inserted": texts(world, &made) }))
}

/// Runs a change at a moment that is not before now, and moves the clock to it.
fn at_moment<T>(world: &mut World, at: Moment, what: impl FnOnce(&mut World) -> T) -> T {
    world.clock.set(at);
    world.clock.hold(Some(at));
    world.catch_up();
    let done = what(world);
    world.clock.hold(None);
    done
}
