//! Ignores tombstones that follow their delete.
//!
//! A producer of envelopes writes a delete and then a tombstone of the same key. The delete has a version, and may be
//! too old for its row; the tombstone has no version and would delete that row nevertheless. So a tombstone counts only
//! if no delete precedes it: in topics of plain records, and after compaction has removed the delete.

use std::collections::VecDeque;

use towpath_api::{Body, Identity, RecordOp};

/// A tombstone follows its delete closely, with at most a few records of other keys between them.
const REMEMBERED: usize = 8;

/// The deletes of a partition whose tombstones have not arrived yet.
#[derive(Debug, Default)]
pub(super) struct Deletes {
    keys: VecDeque<Identity>,
}

impl Deletes {
    /// Notes a record, in partition order. A tombstone after its delete loses its key, and so its effect.
    pub(super) fn settle(&mut self, body: Body) -> Body {
        match &body {
            Body::Change(change) => {
                let Some(key) = &change.key else { return body };
                if !self.keys.is_empty() {
                    self.take(&key.identity);
                }
                if change.op == RecordOp::Delete {
                    if self.keys.len() == REMEMBERED {
                        self.keys.pop_front();
                    }
                    self.keys.push_back(key.identity.clone());
                }
                body
            }
            Body::Tombstone(Some(key)) if self.take(&key.identity) => Body::Tombstone(None),
            Body::Tombstone(_) | Body::Undecodable { .. } | Body::Filtered => body,
        }
    }

    fn take(&mut self, identity: &Identity) -> bool {
        let found = self.keys.iter().position(|known| known == identity);
        found.is_some_and(|at| self.keys.remove(at).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apache_avro::Schema;
    use towpath_api::{Change, RecordKey};

    use super::*;

    fn key(id: i64) -> RecordKey {
        let schema = Schema::parse_str(r#"{"type":"record","name":"key","fields":[{"name":"id","type":"long"}]}"#);
        RecordKey { identity: Identity::Long(id), schema: Arc::new(schema.unwrap()) }
    }

    fn change(id: i64, op: RecordOp) -> Body {
        let key = key(id);
        let schema = Arc::clone(&key.schema);
        let change =
            Change { key: Some(key), op, schema, after: None, changed: None, version: None, source_time_ms: None };
        Body::Change(Box::new(change))
    }

    fn says_something(deletes: &mut Deletes, id: i64) -> bool {
        matches!(deletes.settle(Body::Tombstone(Some(key(id)))), Body::Tombstone(Some(_)))
    }

    #[test]
    fn only_a_tombstone_after_its_delete_loses_its_meaning() {
        let mut deletes = Deletes::default();
        assert!(says_something(&mut deletes, 1), "a plain tombstone");
        deletes.settle(change(1, RecordOp::Delete));
        deletes.settle(change(2, RecordOp::Update));
        assert!(!says_something(&mut deletes, 1), "another key between them does not matter");
        assert!(says_something(&mut deletes, 1), "a delete has one tombstone");
        deletes.settle(change(1, RecordOp::Delete));
        deletes.settle(change(1, RecordOp::Create));
        assert!(says_something(&mut deletes, 1), "a re-created record can be deleted again");
        (0..20).for_each(|id| drop(deletes.settle(change(id, RecordOp::Delete))));
        assert!(deletes.keys.len() == REMEMBERED && !says_something(&mut deletes, 19));
    }
}
