//! What a topic has of an object: read back before a comparison, 32 bytes a row.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use apache_avro::types::Value;
use towpath_api::{ChangeEvent, Depth, Key, Op, Published, PublishedRecords, Result, Version};

use crate::{id_sum::id_sum, live_rows::live_rows, moment::Moment, record};

/// The rows of one object, by [`id_sum`] of their ids.
#[derive(Debug, Default)]
pub(super) struct Known {
    rows: HashMap<u64, Entry, BuildHasherDefault<Plain>>,
    /// The offset of each partition up to which the topic is known.
    ends: Vec<i64>,
    /// Rows that differ from the topic, by a list that proves nothing.
    doubtful: Vec<String>,
}

/// The last record of a row.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The version without its rank.
    ts: i64,
    seq: i64,
    /// [`record::content_hash`] without its last two bits, which say whether the row is live and whether a list has it.
    content: u64,
}

const LIVE: u64 = 1;
const SEEN: u64 = 2;
const CONTENT: u64 = !3;

/// The keys are hashes already.
#[derive(Debug, Default)]
pub(super) struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// A row that is in the topic and that no list has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unseen {
    pub(super) id: String,
    /// The version's time of the record that is there.
    pub(super) updated: Moment,
    /// The lead that it belongs to.
    pub(super) lead: Option<String>,
}

impl Known {
    /// Reads the topic of `object`.
    ///
    /// # Errors
    /// Those of [`PublishedRecords::read`].
    pub(super) async fn read(records: &dyn PublishedRecords, object: &str) -> Result<Self> {
        let mut known = Self::default();
        known.follow(records, object).await?;
        Ok(known)
    }

    /// Reads what was published since.
    ///
    /// # Errors
    /// Those of [`PublishedRecords::read`].
    pub(super) async fn follow(&mut self, records: &dyn PublishedRecords, object: &str) -> Result<()> {
        let ends = records.ends(object).await?;
        let from = std::mem::take(&mut self.ends);
        records.read(object, &from, Depth::Whole, &mut |published| self.note(&published)).await?;
        // The topic may be longer by now; what is read twice changes nothing.
        self.ends = ends;
        Ok(())
    }

    fn note(&mut self, published: &Published) {
        let Some(op) = published.op else { return };
        let version = published.version.map_or((i64::MIN, 0), |version| (version.ts, version.seq));
        // A record that was too large for its topic lacks some of what its id sums up.
        let listed = published.event_id.as_deref().filter(|_| op == Op::Read).and_then(record::listed_hash);
        let content = listed.unwrap_or_else(|| record::content_hash(op, published.after.as_deref()));
        self.set(id_of(&published.key), version, content, op != Op::Delete);
    }

    fn set(&mut self, id: u64, (ts, seq): (i64, i64), content: u64, live: bool) {
        let entry = self.rows.entry(id).or_insert(Entry { ts: i64::MIN, seq: i64::MIN, content: 0 });
        // A record with an older version changes no row.
        if (ts, seq) >= (entry.ts, entry.seq) {
            let seen = entry.content & SEEN;
            *entry = Entry { ts, seq, content: content & CONTENT | seen | if live { LIVE } else { 0 } };
        }
    }

    /// Rows that were ever there.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Notes that a list has this row; returns true if it differs from the topic and is not older. Its version is then
    /// newer than that in the topic, which was there before the row was read: the time of a reading is known to the
    /// second only, and the date of a row does not move with a silent change. Other rows are noted as doubtful: the
    /// list of an older one may lag, or its date was set back; and if the list may lack fields, so that its rows are
    /// not `whole`, a row with the same date may have changed in silence, or have a field that it does not give.
    pub(super) fn compare(&mut self, event: &mut ChangeEvent, whole: bool) -> bool {
        let mut version = event.version.unwrap_or(Version { ts: i64::MAX, seq: 0, rank: 0 });
        let content = record::content_hash(event.op, event.after.as_deref());
        let id = id_of(&event.key);
        match self.rows.get_mut(&id) {
            None => {
                let content = content & CONTENT | LIVE | SEEN;
                self.rows.insert(id, Entry { ts: version.ts, seq: version.seq, content });
                true
            }
            Some(entry) => {
                let live = entry.content & (CONTENT | LIVE) == content & CONTENT | LIVE;
                let proves = version.ts > entry.ts || whole && version.ts == entry.ts;
                let publish = !live && proves;
                if publish {
                    if version.ts == entry.ts {
                        version.seq = version.seq.max(entry.seq.saturating_add(1));
                        event.version = event.version.map(|_| version);
                    }
                    *entry = Entry { ts: version.ts, seq: version.seq, content: content & CONTENT | LIVE };
                }
                if !live && !publish && entry.content & LIVE != 0 {
                    self.doubtful.push(event.key.to_string());
                }
                entry.content |= SEEN;
                publish
            }
        }
    }

    /// The number of live rows.
    pub(super) fn live(&self) -> u64 {
        self.rows.values().filter(|entry| entry.content & LIVE != 0).count() as u64
    }

    /// The rows that a list has, by [`id_sum`].
    pub(super) fn listed(&self) -> impl Iterator<Item = u64> + '_ {
        self.rows.iter().filter(|(_, entry)| entry.content & SEEN != 0).map(|(id, _)| *id)
    }

    /// Makes the event of a row that was deleted and is there again newer than its delete.
    pub(super) fn revive(&mut self, event: &mut ChangeEvent) {
        let Some(entry) = self.rows.get_mut(&id_of(&event.key)) else { return };
        let Some(version) = &mut event.version else { return };
        version.ts = version.ts.max(entry.ts);
        version.seq = version.seq.max(entry.seq.saturating_add(1));
        let content = record::content_hash(event.op, event.after.as_deref());
        *entry = Entry { ts: version.ts, seq: version.seq, content: content & CONTENT | LIVE | SEEN };
    }

    /// The rows that differ from the topic, by a list that proves nothing; each is given once.
    pub(super) fn doubtful(&mut self) -> Vec<String> {
        std::mem::take(&mut self.doubtful)
    }

    /// Notes a row that Close shows by its id; returns true if it differs from the topic. Its version is then newer
    /// than that in the topic, whatever its date.
    pub(super) fn differs(&mut self, event: &mut ChangeEvent) -> bool {
        let content = record::content_hash(event.op, event.after.as_deref()) & CONTENT | LIVE;
        let same = |entry: &Entry| entry.content & (CONTENT | LIVE) == content;
        let differs = self.rows.get(&id_of(&event.key)).is_some_and(|entry| !same(entry));
        if differs {
            self.revive(event);
        }
        differs
    }

    /// Notes that Close does not have a row that a list had.
    pub(super) fn is_gone(&mut self, id: &str) {
        if let Some(entry) = self.rows.get_mut(&id_sum(id)) {
            entry.content &= !SEEN;
        }
    }

    /// The ids of rows that a list has, although they were deleted before `began`. Reads the topic once more for their
    /// ids, if there are any.
    ///
    /// # Errors
    /// Those of [`PublishedRecords::read`].
    pub(super) async fn revived(
        &self,
        records: &dyn PublishedRecords,
        object: &str,
        began: Moment,
    ) -> Result<Vec<String>> {
        let revived = |entry: &Entry| entry.content & (LIVE | SEEN) == SEEN && entry.seq < began.0;
        let wanted: HashSet<u64> = self.rows.iter().filter(|(_, entry)| revived(entry)).map(|(id, _)| *id).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids = BTreeSet::new();
        let mut each = |published: Published| {
            if let Key::Text(id) = published.key
                && wanted.contains(&id_sum(&id))
            {
                ids.insert(id);
            }
        };
        records.read(object, &[], Depth::Ids, &mut each).await?;
        Ok(ids.into_iter().collect())
    }

    /// The version's time of the live row with this id.
    pub(super) fn updated(&self, id: &str) -> Option<Moment> {
        self.rows.get(&id_sum(id)).filter(|entry| entry.content & LIVE != 0).map(|entry| Moment(entry.ts))
    }

    /// The live rows that no list has and whose record is older than `began`. Reads the topic once more for their ids,
    /// if there are any.
    ///
    /// # Errors
    /// Those of [`PublishedRecords::read`].
    pub(super) async fn unseen(
        &self,
        records: &dyn PublishedRecords,
        object: &str,
        began: Moment,
    ) -> Result<Vec<Unseen>> {
        let missing = |entry: &Entry| entry.content & (LIVE | SEEN) == LIVE && entry.ts < began.0;
        let wanted: HashMap<u64, i64> =
            self.rows.iter().filter(|(_, entry)| missing(entry)).map(|(id, entry)| (*id, entry.ts)).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // The last record of a row says which lead it belongs to now.
        let mut unseen: HashMap<String, Unseen> = HashMap::new();
        let mut each = |published: Published| {
            if let Key::Text(id) = published.key
                && let Some(entry) = wanted.get(&id_sum(&id))
            {
                let lead = published.after.and_then(lead_of);
                unseen.insert(id.clone(), Unseen { id, updated: Moment(*entry), lead });
            }
        };
        records.read(object, &[], Depth::Whole, &mut each).await?;
        let mut unseen: Vec<Unseen> = unseen.into_values().collect();
        unseen.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(unseen)
    }
}

fn lead_of(after: Vec<(String, Value)>) -> Option<String> {
    let (_, value) = after.into_iter().find(|(name, _)| name == "lead_id")?;
    match value {
        Value::String(lead) => Some(lead),
        Value::Union(_, inner) => match *inner {
            Value::String(lead) => Some(lead),
            _ => None,
        },
        _ => None,
    }
}

/// The ids of the rows that the topic of `object` has and that are not deleted, sorted.
///
/// # Errors
/// Those of [`PublishedRecords::read`].
pub(super) async fn live_ids(records: &dyn PublishedRecords, object: &str) -> Result<Vec<String>> {
    let rows = live_rows(records, object, &[]).await?;
    let mut ids: Vec<String> = rows.into_iter().map(|(_, id)| id).collect();
    ids.sort_unstable();
    Ok(ids)
}

fn id_of(key: &Key) -> u64 {
    match key {
        Key::Text(id) => id_sum(id),
        Key::Long(id) => id_sum(&id.to_string()),
    }
}
