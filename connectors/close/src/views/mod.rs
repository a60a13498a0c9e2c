//! The standard views: answers that users of the tables ask for first. Their queries are in `views/*.sql`.
//!
//! They are computed from the tables only, and leave out deleted rows. A lead's children are not left out with it:
//! Close deletes each by an event of its own, and a merge moves them to the other lead. So every view is right after
//! merges and deletes without any knowledge of them.
//!
//! A table is created with its first record. A view therefore requires only what every organization has; what comes
//! from another table is null while that table does not exist, because zero would be a claim.

mod access;
mod leads;
mod productivity;
mod runs;
mod sales;
#[cfg(test)]
mod tests;

use towpath_api::{StandardView, ViewTable};

/// The views over the tables of a Close organization.
pub fn standard_views() -> &'static [StandardView] {
    &[
        access::USER_ACCESS,
        productivity::PRODUCTIVITY_DAILY,
        sales::PIPELINE_OVERVIEW,
        sales::OPPORTUNITY_STAGE_HISTORY,
        leads::LEAD_OVERVIEW,
        runs::SYNC_RUNS,
    ]
}

type Columns = &'static [(&'static str, &'static str)];

/// A table without which the view does not exist.
const fn required(name: &'static str, columns: Columns) -> ViewTable {
    ViewTable { name, columns, is_required: true }
}

/// A table that an organization may not have.
const fn optional(name: &'static str, columns: Columns) -> ViewTable {
    ViewTable { name, columns, is_required: false }
}

const OPPORTUNITY_STATUS: ViewTable =
    optional("opportunity_status", &[("id", "text"), ("label", "text"), ("type", "text"), ("pipeline_id", "text")]);
const PIPELINE: ViewTable = optional("pipeline", &[("id", "text"), ("name", "text"), ("statuses", "jsonb")]);
const USER: ViewTable =
    optional("user", &[("id", "text"), ("first_name", "text"), ("last_name", "text"), ("email", "text")]);
