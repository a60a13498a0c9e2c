//! Topics in memory, for the tests of loops that read back what they have published.

use std::collections::BTreeMap;

use towpath_api::{ChangeEvent, Depth, Key, Op, Published};

/// The records of each object, in one partition.
#[derive(Default)]
pub(crate) struct Records(BTreeMap<String, Vec<Published>>);

impl Records {
    pub(crate) fn append(&mut self, event: &ChangeEvent) {
        let topic = self.0.entry(event.object.name().to_owned()).or_default();
        topic.push(Published {
            partition: 0,
            offset: i64::try_from(topic.len()).unwrap(),
            key: event.key.clone(),
            event_id: Some(event.event_id.clone()),
            op: Some(event.op),
            after: event.after.clone(),
            version: event.version,
        });
    }

    pub(crate) fn of(&self, object: &str) -> Vec<Published> {
        self.0.get(object).cloned().unwrap_or_default()
    }

    pub(crate) fn objects(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The live rows of a topic, by id: the record with the newest version, as the sink keeps it.
pub(crate) fn table(records: Vec<Published>) -> BTreeMap<String, Published> {
    let mut rows: BTreeMap<String, Published> = BTreeMap::new();
    for record in records {
        let Key::Text(id) = record.key.clone() else { continue };
        if rows.get(&id).is_none_or(|row| row.version <= record.version) {
            rows.insert(id, record);
        }
    }
    rows.retain(|_, row| row.op != Some(Op::Delete));
    rows
}

/// Passes a topic's records from an offset on to `each`, as [`PublishedRecords::read`](towpath_api::PublishedRecords)
/// does.
pub(crate) fn read(records: Vec<Published>, from: &[i64], depth: Depth, each: &mut (dyn FnMut(Published) + Send)) {
    let from = from.first().copied().unwrap_or(0);
    for mut record in records.into_iter().filter(|record| record.offset >= from) {
        if depth == Depth::Ids {
            (record.op, record.after, record.version) = (None, None, None);
        }
        each(record);
    }
}
