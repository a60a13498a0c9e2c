//! Further users, with memberships, a custom role, and groups.

use super::{
    draw::Draw,
    foundation::{founder, put},
    ground::{Ground, Person},
    words::{FIRST, LAST},
};
use crate::{
    model::{Id, Kind, Moment, Record, Value},
    world::World,
};

const ZONES: &[&str] = &["Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Tokyo"];

/// Adds users: one per 200 leads, at least twelve in total, some of whom have left.
pub fn plant(world: &mut World, ground: &mut Ground, leads: usize) {
    let mut draw = Draw::new(ground.seed, u64::MAX - 1);
    let role = world.next_id(Kind::Role);
    let at = ground.born.plus_days(40);
    put(
        world,
        Record { author: Some(founder()), editor: Some(founder()), ..Record::new(role, at) }
            .with("name", "Regional Lead")
            .with(
                "permissions",
                Value::list(
                    ["view_all_leads", "export", "bulk_edit", "calling", "manage_others_tasks", "delete_own_tasks"]
                        .map(Value::from),
                ),
            ),
    );
    let more = (leads / 200).max(12).saturating_sub(ground.people.len());
    for n in 0..more {
        let user = world.next_id(Kind::User);
        let (first, last) = (*draw.pick(FIRST), *draw.pick(LAST));
        let at = draw.moment(ground.born.plus_days(20), ground.settled.plus_days(-60));
        let gone = n % 11 == 7;
        let record = Record { updated: draw.moment(at, ground.settled), ..Record::new(user, at) }
            .with("email", format!("member{}@composed.example", n + 1))
            .with("first_name", first)
            .with("last_name", last)
            .with("full_name", format!("{first} {last}"))
            .with("last_used_timezone", *draw.pick(ZONES))
            .with("image", draw.chance(0.4).then(|| format!("https://images.example/{}.png", n + 1)));
        if gone {
            ground.former.push(user);
        } else {
            ground.people.push(Person::of(&record));
        }
        put(world, record);
        let membership = world.next_id(Kind::Membership);
        let role = match n % 6 {
            0 => Id::new(Kind::Role, 2),
            1 => role,
            _ => Id::new(Kind::Role, 3),
        };
        put(
            world,
            Record::new(membership, at)
                .with("user_id", user)
                .with("role_id", role)
                .with("is_active", !gone)
                .with("track_email_opens", draw.chance(0.6)),
        );
    }
    groups(world, ground, &mut draw);
}

fn groups(world: &mut World, ground: &Ground, draw: &mut Draw) {
    for (n, name) in ["Sales DACH", "Sales UK & IE", "Renewals", "Everyone"].into_iter().enumerate() {
        let id = world.next_id(Kind::Group);
        let members: Vec<Id> =
            ground.people.iter().map(|person| person.id).filter(|_| name == "Everyone" || draw.chance(0.3)).collect();
        let at: Moment = ground.born.plus_days(50 + n as i64);
        put(
            world,
            Record { author: Some(founder()), editor: Some(founder()), ..Record::new(id, at) }
                .with("name", name)
                .with("members", Value::list(members.into_iter().map(Value::from))),
        );
    }
}
