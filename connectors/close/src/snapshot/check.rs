//! Whether a topic holds what Close has: ids against what a run listed, and the number of rows against Close's own.
//!
//! The ids show that nothing that was listed is lost on its way to the topic. They cannot show a row that no list had:
//! that is what Close's own number is for ([`count`](super::count)). Rows that the log changed while the run read are
//! left out of both sides of the ids, each by its id, so the rest must be equal.

use std::collections::HashMap;

use apache_avro::types::Value;
use towpath_api::{Depth, Key, Op, Published, PublishedRecords, Result};

use crate::{
    id_sum::id_sum,
    moment::Moment,
    position::{Count, Ids, Tally},
};

/// Which rows of the topic Close's number is about, and when it counted them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    /// Only rows created before the first or from the second time on; all rows if absent.
    pub(super) outside: Option<(Moment, Moment)>,
    /// Close counted after the first and before the second time.
    pub(super) between: (Moment, Moment),
}

/// What a topic has of an object, 32 bytes a row.
#[derive(Debug)]
pub(super) struct Topic {
    rows: HashMap<u64, Row>,
    began: Moment,
    counted: Option<Counted>,
    unsettled: u64,
}

#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, a byte each, of each row of a topic")]
struct Row {
    /// The version without its rank.
    version: (i64, i64),
    live: bool,
    /// The log changed it since the run began.
    changed: bool,
    /// The run listed and published it.
    read: bool,
    /// Close's number is about it.
    counted: bool,
}

impl Topic {
    /// Reads a topic, for a run that began at this time.
    ///
    /// # Errors
    /// Those of [`PublishedRecords::read`].
    pub(super) async fn read(
        records: &dyn PublishedRecords,
        object: &str,
        began: Moment,
        counted: Option<Counted>,
    ) -> Result<Self> {
        let mut topic = Self { rows: HashMap::new(), began, counted, unsettled: 0 };
        records.read(object, &[], Depth::Whole, &mut |published| topic.note(&published)).await?;
        Ok(topic)
    }

    fn note(&mut self, published: &Published) {
        let (Key::Text(id), Some(op)) = (&published.key, published.op) else { return };
        let version = published.version.map_or((i64::MIN, i64::MIN), |version| (version.ts, version.seq));
        let (at, live, read) = (Moment(version.1), op != Op::Delete, op == Op::Read);
        let empty = Row { version: (i64::MIN, i64::MIN), live: false, changed: false, read: false, counted: false };
        let row = self.rows.entry(id_sum(id)).or_insert(empty);
        row.changed |= !read && at >= self.began;
        row.read |= read && at >= self.began;
        if let Some(Counted { between: (after, before), .. }) = self.counted
            && !read
            && at > after
        {
            // Close may have counted before this.
            self.unsettled += u64::from(at <= before && row.live != live);
            return;
        }
        if version >= row.version {
            let counted = self.counted.and_then(|counted| counted.outside).is_none_or(|(before, from)| {
                created(published.after.as_deref()).is_none_or(|at| at < before || at >= from)
            });
            *row = Row { version, live, counted, ..*row };
        }
    }

    /// The ids of a first run, which has published each row that it listed.
    pub(super) fn ids_of_first(&self, tally: Tally) -> Ids {
        let (changed, changed_sum) = self.sum(|_, row| row.changed && row.read);
        let (here, here_sum) = self.sum(|_, row| !row.changed && row.live);
        Ids {
            listed: tally.rows.saturating_sub(changed),
            listed_sum: tally.sum.wrapping_sub(changed_sum),
            here,
            here_sum,
            meanwhile: self.sum(|_, row| row.changed).0,
        }
    }

    /// The ids of a comparison, which has listed these rows.
    pub(super) fn ids_of(&self, listed: impl Iterator<Item = u64>) -> Ids {
        let unchanged = listed.filter(|id| self.rows.get(id).is_none_or(|row| !row.changed));
        let (listed, listed_sum) = unchanged.fold((0, 0), add);
        let (here, here_sum) = self.sum(|_, row| !row.changed && row.live);
        Ids { listed, listed_sum, here, here_sum, meanwhile: self.sum(|_, row| row.changed).0 }
    }

    /// The rows that Close's number is about.
    pub(super) fn count(&self, close: u64) -> Count {
        Count { close, here: self.sum(|_, row| row.live && row.counted).0, unsettled: self.unsettled }
    }

    fn sum(&self, of: impl Fn(u64, &Row) -> bool) -> (u64, u64) {
        self.rows.iter().filter(|(id, row)| of(**id, row)).map(|(id, _)| *id).fold((0, 0), add)
    }
}

fn add((count, sum): (u64, u64), id: u64) -> (u64, u64) {
    (count + 1, u64::wrapping_add(sum, id))
}

/// The time at which a row was created.
fn created(after: Option<&[(String, Value)]>) -> Option<Moment> {
    let (_, value) = after?.iter().find(|(name, _)| name == "date_created")?;
    let value = if let Value::Union(_, inner) = value { inner } else { value };
    match value {
        Value::TimestampMicros(at) | Value::Long(at) => Some(Moment(*at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use towpath_api::Version;

    use super::*;
    use crate::position::Check;

    const BEGAN: Moment = Moment(1_000_000_000);

    fn topic(counted: Option<Counted>, records: &[(&str, Op, i64, i64)]) -> Topic {
        let mut topic = Topic { rows: HashMap::new(), began: BEGAN, counted, unsettled: 0 };
        for (id, op, seq, created) in records {
            topic.note(&Published {
                partition: 0,
                offset: 0,
                key: Key::Text((*id).to_owned()),
                event_id: None,
                op: Some(*op),
                after: Some(vec![("date_created".to_owned(), Value::TimestampMicros(*created))]),
                version: Some(Version { ts: *seq, seq: *seq, rank: 1 }),
            });
        }
        topic
    }

    fn tally(ids: &[&str]) -> Tally {
        let sum = ids.iter().fold(0, |sum, id| u64::wrapping_add(sum, id_sum(id)));
        Tally { rows: ids.len() as u64, sum, ..Tally::default() }
    }

    #[test]
    fn what_the_log_changes_meanwhile_hides_no_other_difference() {
        let (before, during) = (BEGAN.0 - 9, BEGAN.0 + 9);
        let mut records = vec![
            ("a", Op::Read, during, 0),
            ("b", Op::Read, during, 0),
            ("b", Op::Delete, during + 1, 0),
            ("new", Op::Create, during, during),
        ];
        let agree = |records: &[_], listed: &[&str]| {
            let topic = topic(None, records);
            let listed_ids = listed.iter().map(|id| id_sum(id));
            assert_eq!(topic.ids_of_first(tally(listed)).agree(), topic.ids_of(listed_ids).agree());
            topic.ids_of_first(tally(listed)).agree()
        };
        assert!(agree(&records, &["a", "b"]), "created and deleted meanwhile");
        assert!(!agree(&records, &["a", "b", "lost"]), "a row that was listed is not there");
        records.push(("stale", Op::Read, before, 0));
        assert!(!agree(&records, &["a", "b"]), "a row that nobody listed is there");
    }

    #[test]
    fn close_counts_rows_of_the_time_at_which_it_counts() {
        let at = BEGAN.0 + 1_000;
        let counted = Counted { outside: Some((BEGAN, Moment(at + 500))), between: (Moment(at), Moment(at + 10)) };
        let records = [
            ("old", Op::Read, at - 1, 1),
            ("old and gone", Op::Read, at - 2, 1),
            ("old and gone", Op::Delete, at - 1, 1),
            ("created meanwhile", Op::Create, at - 1, at - 1),
            ("ahead", Op::Read, at - 1, at + 900),
            ("later", Op::Create, at + 11, 1),
        ];
        let count = topic(Some(counted), &records).count(3);
        assert_eq!(count, Count { close: 3, here: 2, unsettled: 0 });
        let check = Check { count: Some(count), ..Check::default() };
        let difference = "Close counts 1 more than the copy has: 3 against 2";
        assert_eq!((check.agrees(), check.difference().as_deref()), (false, Some(difference)));
        // What happens in the very seconds may be counted or not.
        let unsettled = [&records[..], &[("just now", Op::Create, at + 5, 1)]].concat();
        let count = topic(Some(counted), &unsettled).count(3);
        assert_eq!(count, Count { close: 3, here: 2, unsettled: 1 });
        assert!(Check { count: Some(count), ..Check::default() }.agrees());
    }
}
