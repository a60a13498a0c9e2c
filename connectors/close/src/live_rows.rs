//! The rows that a topic has and that are not deleted.

use std::collections::HashMap;

use towpath_api::{Depth, Key, Op, Published, PublishedRecords, Result, Version};

/// The live rows by the records of `object` from the offsets `from`, with the versions of their newest records.
///
/// # Errors
/// Those of [`PublishedRecords::read`].
pub(crate) async fn live_rows(
    records: &dyn PublishedRecords,
    object: &str,
    from: &[i64],
) -> Result<Vec<(Version, String)>> {
    let mut last: HashMap<String, (Version, bool)> = HashMap::new();
    let mut each = |published: Published| {
        let (Key::Text(id), Some(op)) = (published.key, published.op) else { return };
        let version = published.version.unwrap_or(Version { ts: i64::MIN, seq: 0, rank: 0 });
        let entry = last.entry(id).or_insert((version, op != Op::Delete));
        if version >= entry.0 {
            *entry = (version, op != Op::Delete);
        }
    };
    records.read(object, from, Depth::Whole, &mut each).await?;
    let live = last.into_iter().filter(|(_, (_, live))| *live);
    Ok(live.map(|(id, (version, _))| (version, id)).collect())
}
