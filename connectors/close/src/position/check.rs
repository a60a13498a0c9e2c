//! The result of the check of an object: ids and numbers of the topic against those of Close.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The result of the check of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    pub(crate) ids: Ids,
    /// `None` if Close gives no number for this object.
    pub(crate) count: Option<Count>,
}

/// The rows that a run listed, and those of the topic, but for those that the log changed meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ids {
    pub(crate) listed: u64,
    /// The sum of [`id_sum`](crate::id_sum::id_sum) of their ids.
    pub(crate) listed_sum: u64,
    /// Rows that are in the topic and not deleted.
    pub(crate) here: u64,
    pub(crate) here_sum: u64,
    /// Rows that were left out, since the log changed them while the run read.
    pub(crate) meanwhile: u64,
}

/// Close's own number of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    pub(crate) close: u64,
    /// The rows of the topic that Close's number is about.
    pub(crate) here: u64,
    /// Rows that were created or deleted within the seconds in which Close counted: by so much the numbers may differ.
    pub(crate) unsettled: u64,
}

impl Check {
    pub(crate) fn agrees(&self) -> bool {
        self.difference().is_none()
    }

    /// What differs, for people.
    pub(crate) fn difference(&self) -> Option<String> {
        let Ids { listed, here, .. } = self.ids;
        match &self.count {
            Some(Count { close, here, unsettled }) if close.abs_diff(*here) > *unsettled => {
                let more = if close > here { "more" } else { "fewer" };
                let by = close.abs_diff(*here);
                Some(format!("Close counts {by} {more} than the copy has: {close} against {here}"))
            }
            _ if self.ids.agree() => None,
            _ if listed == here => Some(format!("Close listed {listed} records, and the copy has as many, but others")),
            _ => Some(format!("Close listed {listed} records, and the copy has {here} of that time")),
        }
    }

    /// For programs. `counted` is false if Close gives no number: then only what it listed was compared.
    pub(crate) fn json(&self) -> Json {
        let Self { ids, count } = self;
        let count = count.as_ref();
        json!({
            "agrees": self.agrees(),
            "listed": ids.listed,
            "listed_sum": format!("{:016x}", ids.listed_sum),
            "here": ids.here,
            "here_sum": format!("{:016x}", ids.here_sum),
            "meanwhile": ids.meanwhile,
            "counted": count.is_some(),
            "close_count": count.map(|count| count.close),
            "here_count": count.map(|count| count.here),
        })
    }
}

impl Ids {
    pub(crate) fn agree(&self) -> bool {
        (self.listed, self.listed_sum) == (self.here, self.here_sum)
    }
}
