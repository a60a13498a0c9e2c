//! System tasks: notifications of events that somebody should look at (reference, section 4.4).

use crate::{
    model::{Id, Kind, Record, Value},
    resources::lead,
    world::change::Change,
};

/// A system task to create.
pub struct Notice {
    /// One of [`super::TYPES`] except `lead`.
    pub ty: &'static str,
    pub lead: Id,
    pub contact: Option<Id>,
    pub assigned_to: Id,
    /// The mail, call, message or opportunity that it is about.
    pub object: Option<Id>,
}

/// Fields that a task copies from its object: the object's field and the task's.
fn copied(kind: Kind) -> (&'static str, &'static [(&'static str, &'static str)]) {
    match kind {
        Kind::Email => ("email", &[("subject", "subject"), ("body_preview", "body_preview")]),
        Kind::Call => (
            "call",
            &[
                ("remote_phone", "phone"),
                ("local_phone", "local_phone"),
                ("recording_url", "recording_url"),
                ("voicemail_url", "voicemail_url"),
                ("voicemail_duration", "voicemail_duration"),
            ],
        ),
        Kind::Sms => ("sms", &[("remote_phone", "remote_phone"), ("local_phone", "local_phone"), ("text", "text")]),
        _ => ("opportunity", &[]),
    }
}

/// Creates the task, due today.
pub fn raise(change: &mut Change<'_>, notice: &Notice) -> Id {
    let mut task = change.record(Kind::Notification);
    task.lead = Some(notice.lead);
    task.set("_type", notice.ty);
    task.set("contact_id", notice.contact);
    task.set("assigned_to", notice.assigned_to);
    task.set("date", change.now().day(0));
    if let Some(object) = notice.object.and_then(|object| change.get(object)) {
        about(&mut task, &object);
    }
    let id = change.insert(task);
    lead::touched_by_child(change, Some(notice.lead));
    id
}

fn about(task: &mut Record, object: &Record) {
    let (word, fields) = copied(object.kind());
    task.set("object_type", word);
    task.set("object_id", object.id);
    if object.kind() == Kind::Email {
        task.set("email_id", object.id);
    }
    for (from, to) in fields {
        task.set(to, object.get(from).cloned().unwrap_or(Value::Null));
    }
}
