//! Comments on opportunities and activities, and their threads: one thread per object (reference, section 4.10).
//!
//! Stored on a thread: `object_id`, `comment_count`, `participants`. A deleted comment loses its body but stays until
//! all comments of its thread are deleted; then they are removed permanently, and only that gives `deleted` events
//! (reference, section 6.5).

use crate::{
    http::{
        Answer, Collection, Endpoint, Exactness, Handler, Request, Source,
        collection::{Condition, Deed, Filter, G, L, Order, Test},
        object,
    },
    model::{
        Id, Kind, Record, Refusal, Stamps, Value,
        render::{self, Selection},
        resource::{CREATED_BY, Field, ID, Laws, ORGANIZATION, Resource, Type, UPDATED_BY, Unset, Write},
    },
    world::{
        change::{Body, Change},
        people::Caller,
        view::View,
    },
};

/// Kinds that can have comments.
const OBJECTS: &[Kind] = &[
    Kind::Lead,
    Kind::Opportunity,
    Kind::Note,
    Kind::Call,
    Kind::Email,
    Kind::EmailThread,
    Kind::Sms,
    Kind::WhatsAppMessage,
    Kind::Meeting,
    Kind::CustomActivity,
    Kind::FormSubmission,
];

const OBJECT_TYPE: Field = Field::computed("object_type", |s| {
    let object = s.record.id_of("object_id");
    object
        .map(|object| {
            object.kind().resource().event.map_or("object", |name| name(s.view.get(object).unwrap_or(s.record)))
        })
        .into()
});
/// Dates with other names than elsewhere (reference, section 8.1).
const DATES: &[Field] = &[
    Field::computed("created_at", |s| s.record.created.into()),
    Field::computed("updated_at", |s| s.record.updated.into()),
];

/// A comment. `body` is HTML; null after deletion.
pub static COMMENT: Resource = Resource {
    name: "comment",
    event: Some(|_| "comment"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("object_id", Type::Ref(OBJECTS)).write(Write::Once),
            OBJECT_TYPE,
            Field::stored("thread_id", Type::Ref(&[Kind::CommentThread])).write(Write::Once),
            Field::text("body").required(),
            Field::stored("mentions", Type::List(&Type::Ref(&[Kind::User]))).writable().unset(Unset::EmptyList),
            CREATED_BY,
            UPDATED_BY,
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws {
        prepare,
        created: |change, id, _| {
            count(change, id);
            Ok(())
        },
        ..Laws::PLAIN
    },
};

/// The comments on one object.
pub static COMMENT_THREAD: Resource = Resource {
    name: "comment_thread",
    event: Some(|_| "comment_thread"),
    stamps: Stamps::Offset,
    fields: &[
        &[
            ID,
            ORGANIZATION,
            Field::stored("object_id", Type::Ref(OBJECTS)),
            OBJECT_TYPE,
            Field::stored("participants", Type::List(&Type::Ref(&[Kind::User]))).unset(Unset::EmptyList),
            Field::stored("comment_count", Type::Int(0, i64::MAX)).unset(Unset::Zero),
            Field::computed("comments", |s| {
                Value::list(of_thread(s.view, s.record).into_iter().map(|comment| {
                    let mut out = Vec::new();
                    render::write(s.view, comment, render::LIST, &Selection::Default, &mut out);
                    Value::Json(String::from_utf8_lossy(&out).into())
                }))
            })
            .only(crate::model::resource::GET),
        ],
        DATES,
    ],
    custom_fields: false,
    laws: Laws::PLAIN,
};

pub static SOURCE: Source = Source {
    collections: &[
        Collection {
            filters: &[
                Filter { param: "object_id", test: Test::Field("object_id") },
                Filter { param: "thread_id", test: Test::Field("thread_id") },
            ],
            order: Order::OldestFirst,
            check: one_parent,
            permit,
            total: false,
            created_status: 201,
            deleted_status: 204,
            section: "4.10",
            ..Collection::new("comment", &[Kind::Comment])
        },
        Collection {
            methods: L | G,
            filters: &[
                Filter { param: "ids", test: Test::Field("id") },
                Filter { param: "object_ids", test: Test::Field("object_id") },
            ],
            total: false,
            section: "4.10",
            ..Collection::new("comment_thread", &[Kind::CommentThread])
        },
    ],
    endpoints: &[Endpoint {
        method: "DELETE",
        path: "comment/{}",
        handler: Handler::Write(delete),
        section: "4.10",
        exactness: Exactness::Documented,
    }],
};

fn one_parent(_view: &View<'_>, request: &Request) -> Result<Vec<Condition>, Refusal> {
    if request.param("object_id").is_some() == request.param("thread_id").is_some() {
        return Err(Refusal::bad("Exactly one of object_id and thread_id must be given."));
    }
    Ok(Vec::new())
}

fn permit(_view: &View<'_>, caller: &Caller, deed: Deed, record: Option<&Record>) -> bool {
    matches!(deed, Deed::Read | Deed::Create)
        || record.is_none_or(|record| record.author == Some(caller.user))
        || caller.may("manage_others_activities")
}

fn prepare(change: &mut Change<'_>, record: &mut Record, _body: &Body) -> Result<(), Refusal> {
    let object = match (record.id_of("object_id"), record.id_of("thread_id")) {
        (Some(object), None) => object,
        (None, Some(thread)) => change
            .get(thread)
            .and_then(|thread| thread.id_of("object_id"))
            .ok_or_else(|| Refusal::missing_id(thread, change.world.seed))?,
        _ => return Err(Refusal::field("object_id", "Exactly one of object_id and thread_id must be given.")),
    };
    let lead =
        if object.kind() == Kind::Lead { Some(object) } else { change.get(object).and_then(|object| object.lead) };
    // A new thread is stored after its first comment.
    let thread = thread_of(&change.whole(), object, lead).map(|thread| thread.id);
    let thread = thread.unwrap_or_else(|| change.world.next_id(Kind::CommentThread));
    record.lead = lead;
    record.set("object_id", object);
    record.set("thread_id", thread);
    Ok(())
}

fn delete(change: &mut Change<'_>, request: &Request) -> Result<Answer, Refusal> {
    let text = &request.segments[0];
    let collection = &SOURCE.collections[0];
    let comment = object::find(&change.view(), collection, text)?.clone();
    if let Some(caller) = &change.actor.caller {
        object::permit(&change.view(), caller, collection, Deed::Delete, Some(&comment))?;
    }
    let Some(thread) = comment.id_of("thread_id").and_then(|thread| change.get(thread)) else {
        change.remove(comment.id);
        return Ok(Answer::empty(204));
    };
    let others: Vec<Record> =
        of_thread(&change.whole(), &thread).into_iter().filter(|other| other.id != comment.id).cloned().collect();
    if others.iter().all(|other| other.get("body").is_none()) {
        for other in &others {
            change.remove(other.id);
        }
        change.remove(comment.id);
        change.remove(thread.id);
    } else {
        change.edit(comment.id, |comment| {
            comment.set("body", Value::Null);
            comment.set("mentions", Value::Null);
        });
        count(change, comment.id);
    }
    Ok(Answer::empty(204))
}

/// Updates a comment's thread from its comments, and creates the thread if needed.
fn count(change: &mut Change<'_>, comment: Id) {
    let Some(comment) = change.get(comment) else { return };
    let Some(id) = comment.id_of("thread_id") else { return };
    let before = change.get(id);
    let begun = || {
        let thread = Record { lead: comment.lead, author: comment.author, ..Record::new(id, change.now()) };
        thread.with("object_id", comment.get("object_id").cloned())
    };
    let mut thread = before.as_deref().map_or_else(begun, Record::clone);
    let (mut participants, mut n) = (Vec::new(), 0);
    for comment in of_thread(&change.whole(), &thread).into_iter().filter(|comment| comment.get("body").is_some()) {
        n += 1;
        if let Some(author) = comment.author
            && !participants.contains(&Value::Id(author))
        {
            participants.push(author.into());
        }
    }
    thread.set("comment_count", n);
    thread.set("participants", Value::list(participants));
    match before {
        Some(before) if *before == thread => {}
        Some(_) => change.update(thread),
        None => drop(change.insert(thread)),
    }
}

pub fn thread_of<'v>(view: &'v View<'_>, object: Id, lead: Option<Id>) -> Option<&'v Record> {
    view.of_lead(lead?, Kind::CommentThread).find(|thread| thread.id_of("object_id") == Some(object))
}

fn of_thread<'v>(view: &'v View<'_>, thread: &Record) -> Vec<&'v Record> {
    let Some(lead) = thread.lead else { return Vec::new() };
    view.of_lead(lead, Kind::Comment).filter(|comment| comment.id_of("thread_id") == Some(thread.id)).collect()
}

/// Deletes the comments of a deleted object.
pub fn forget(change: &mut Change<'_>, object: &Record) {
    let Some(thread) = thread_of(&change.whole(), object.id, object.lead).cloned() else { return };
    let comments: Vec<Id> = of_thread(&change.whole(), &thread).into_iter().map(|comment| comment.id).collect();
    for comment in comments {
        change.remove(comment);
    }
    change.remove(thread.id);
}
