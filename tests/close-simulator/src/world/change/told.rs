//! Events of a change: the event of each stored version, and semantic events beside creation, update and deletion.

use std::sync::Arc;

use serde_json::Map;

use super::{Change, draw};
use crate::{
    model::{
        Id, Key, Kind, Record,
        render::{self, Rendered, Selection},
    },
    world::{
        Switches, World,
        events::{Event, Members, join},
        people::Credential,
        switches::MergeSpelling,
    },
};

impl Change<'_> {
    /// Emits a semantic event, such as `completed` or `sent`, with the present object.
    pub fn emit(&mut self, id: Id, action: &'static str) {
        self.emit_changed(id, action, Vec::new(), Vec::new());
    }

    /// As [`Change::emit`], with the changed fields and the old values (`"key":value`).
    pub fn emit_changed(&mut self, id: Id, action: &'static str, changed: Vec<Key>, previous: Vec<(Key, Arc<[u8]>)>) {
        let Some(record) = self.get(id) else { return };
        let Some(object_type) = self.event_type(&record) else { return };
        let data = self.rendered(&record).bytes;
        let number = self.world.history.last();
        self.tell(number, object_type, &record, action, changed, Some(data.into()), previous, None);
    }

    /// Emits any event: for objects outside the store, or with data of another object.
    pub fn emit_raw(
        &mut self,
        object_type: &'static str,
        object: Id,
        lead: Option<Id>,
        action: &'static str,
        data: Option<Arc<[u8]>>,
    ) {
        let number = self.world.history.last();
        let event = self.event(object_type, object, lead, action, data);
        self.put_event(number, event, Members::new());
    }

    pub fn rendered(&self, record: &Record) -> Rendered {
        render::rendered(&self.whole(), record, render::EVENT, &Selection::Default)
    }

    pub(super) fn event_type(&self, record: &Record) -> Option<&'static str> {
        if self.actor.invisible {
            return None;
        }
        let object_type = record.kind().resource().event.map(|name| name(record))?;
        let switches = &self.world.switches;
        Some(match object_type {
            "activity.note" if switches.legacy_note_type => "note",
            "activity.lead_merge" if switches.merge_spelling == MergeSpelling::Plain => "lead_merge",
            "activity.created" if !switches.created_activity_events => return None,
            other => other,
        })
    }

    pub(super) fn note(&mut self, before: Option<Arc<Record>>, after: Option<Arc<Record>>) -> u64 {
        let request = self.request();
        self.world.history.note(self.now, before, after, Some(request))
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn tell(
        &mut self,
        number: u64,
        object_type: &'static str,
        record: &Record,
        action: &'static str,
        changed: Vec<Key>,
        data: Option<Arc<[u8]>>,
        previous_members: Vec<(Key, Arc<[u8]>)>,
        previous: Option<Arc<[u8]>>,
    ) {
        let lead = if record.kind() == Kind::Lead { Some(record.id) } else { record.lead };
        let mut event = self.event(object_type, record.id, lead, action, data);
        event.changed = changed.into();
        // An update whose fields were all unset before has old values too: an empty object (reference, section 6.3).
        let changes = !event.changed.is_empty() || action == "updated";
        event.previous = previous.or_else(|| changes.then(|| join(&previous_members)));
        self.put_event(number, event, previous_members);
    }

    fn event(
        &mut self,
        object_type: &'static str,
        object: Id,
        lead: Option<Id>,
        action: &'static str,
        data: Option<Arc<[u8]>>,
    ) -> Event {
        let request = self.request();
        let (api_key, oauth) = match self.actor.caller.as_ref().map(|caller| &caller.credential) {
            Some(Credential::Key(key)) => (Some(*key), None),
            Some(Credential::OAuth { client, scope }) => (None, Some((*client, Arc::from(scope.as_str())))),
            None => (None, None),
        };
        Event {
            id: Id::new(Kind::Event, 1),
            order: 0,
            created: self.now,
            updated: self.now,
            visible: self.now,
            user: self.actor.user,
            request: Some(request),
            api_key,
            oauth,
            object_type,
            object,
            lead,
            action,
            changed: Box::default(),
            data,
            previous: None,
            meta: self.meta(),
        }
    }

    fn put_event(&mut self, number: u64, mut event: Event, members: Members) {
        if self.actor.invisible {
            return;
        }
        event.visible = self.now.plus_millis(self.world.event_lag());
        let id = if let Some(id) = self.world.events.consolidate(&event, &members, &self.world.switches) {
            id
        } else {
            event.id = self.world.next_id(Kind::Event);
            self.world.events.add(event, members)
        };
        self.world.history.told(number, id);
        crate::webhooks::told(self.world, id);
    }

    fn meta(&mut self) -> Arc<[u8]> {
        if let Some((members, meta)) = &self.meta
            && *members == self.actor.meta
        {
            return Arc::clone(meta);
        }
        let mut meta = Map::new();
        if let Some(method) = &self.actor.method {
            meta.insert("request_method".to_owned(), method.as_str().into());
        }
        if let Some(path) = &self.actor.path {
            meta.insert("request_path".to_owned(), path.as_str().into());
        }
        for (name, id) in &self.actor.meta {
            meta.insert((*name).to_owned(), id.text(self.world.seed).into());
        }
        let meta: Arc<[u8]> = serde_json::to_vec(&meta).expect("JSON can be written").into();
        self.meta = Some((self.actor.meta.clone(), Arc::clone(&meta)));
        meta
    }
}

impl World {
    /// Milliseconds until the next event becomes visible: drawn from the seed and the number of events so far.
    fn event_lag(&self) -> i64 {
        let Switches { event_lag_ms, event_late_share, .. } = self.switches;
        if event_lag_ms <= 0 {
            return 0;
        }
        let count = self.events.count() * 2;
        if draw(self.seed, count) >= event_late_share {
            return 0;
        }
        (draw(self.seed, count + 1) * event_lag_ms as f64) as i64
    }
}
