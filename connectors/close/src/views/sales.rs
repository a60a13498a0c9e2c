//! Opportunities: where they stand, and how they came there.

use towpath_api::{StandardView, ViewHome};

use super::{OPPORTUNITY_STATUS, PIPELINE, required};

pub(super) const PIPELINE_OVERVIEW: StandardView = StandardView {
    name: "pipeline_overview",
    home: ViewHome::Tables,
    about: "One row per pipeline, status and currency: the opportunities with their value, weighted value and age. A \
            status without opportunities has a row with zeros. Values are in units of the currency, not in cents.",
    tables: &[
        required(
            "opportunity",
            &[
                ("id", "text"),
                ("status_id", "text"),
                ("status_label", "text"),
                ("status_type", "text"),
                ("pipeline_id", "text"),
                ("pipeline_name", "text"),
                ("value", "bigint"),
                ("value_currency", "text"),
                ("value_period", "text"),
                ("confidence", "bigint"),
                ("date_won", "date"),
                ("date_lost", "timestamptz"),
                ("date_created", "timestamptz"),
            ],
        ),
        OPPORTUNITY_STATUS,
        PIPELINE,
    ],
    columns: &[
        ("pipeline_id", "The pipeline."),
        ("pipeline", "Its name."),
        ("position", "The place of the status in its pipeline, from 1; null if the pipeline is unknown."),
        ("status_id", "The status of the opportunities."),
        ("status", "Its label."),
        ("status_type", "active, won or lost."),
        ("currency", "The currency of the values; null if there are no opportunities."),
        ("opportunities", "The number of opportunities."),
        ("value", "The sum of their values as entered, whatever their period. One without a value counts as 0."),
        ("value_one_time", "Of this, values that are due once."),
        ("value_monthly", "Of this, values that are due each month."),
        ("value_annual", "Of this, values that are due each year."),
        ("annualized_value", "The sum of the values of one year: monthly values count twelve times."),
        ("weighted_value", "The sum of the values as entered, each times its confidence."),
        ("weighted_annualized_value", "The sum of the values of one year, each times its confidence."),
        (
            "average_age_days",
            "The average age in days: from the creation until now, or until the opportunity was won (start of that day \
             in UTC) or lost. Null if there are no opportunities.",
        ),
    ],
    sql: include_str!("../../views/pipeline_overview.sql"),
};

pub(super) const OPPORTUNITY_STAGE_HISTORY: StandardView = StandardView {
    name: "opportunity_stage_history",
    home: ViewHome::Tables,
    about: "One row per opportunity and stage that it was in, in order; a stage that it came back to has several rows. \
            From the creation of the opportunity and the activities of its status changes. Close keeps no activity of \
            changes that are taken back within minutes.",
    tables: &[
        required(
            "opportunity",
            &[
                ("id", "text"),
                ("lead_id", "text"),
                ("user_id", "text"),
                ("status_id", "text"),
                ("status_label", "text"),
                ("status_type", "text"),
                ("pipeline_id", "text"),
                ("pipeline_name", "text"),
                ("date_created", "timestamptz"),
            ],
        ),
        required(
            "opportunity_status_change",
            &[
                ("id", "text"),
                ("opportunity_id", "text"),
                ("old_status_id", "text"),
                ("old_status_label", "text"),
                ("old_status_type", "text"),
                ("old_pipeline_id", "text"),
                ("old_pipeline_name", "text"),
                ("new_status_id", "text"),
                ("new_status_label", "text"),
                ("new_status_type", "text"),
                ("new_pipeline_id", "text"),
                ("new_pipeline_name", "text"),
                ("date_created", "timestamptz"),
            ],
        ),
        OPPORTUNITY_STATUS,
        PIPELINE,
    ],
    columns: &[
        ("opportunity_id", "The opportunity."),
        ("stage", "The number of the stage, from 1."),
        ("lead_id", "The present lead of the opportunity."),
        ("user_id", "The present owner of the opportunity."),
        ("pipeline_id", "The pipeline of the stage."),
        ("pipeline", "Its name."),
        ("status_id", "The status: the stage."),
        ("status", "Its label."),
        ("status_type", "active, won or lost."),
        (
            "entered_at",
            "When the opportunity came to the stage; for the first one, when it was created. Null if the activity of \
             the change was deleted.",
        ),
        ("left_at", "When it left the stage; null if it is there, or if the activity of the change was deleted."),
        (
            "days",
            "Days in the stage; of a present stage that is active, until now. Null for a present stage that is won or \
             lost, and if either end is unknown.",
        ),
        ("is_current", "True for the present stage."),
        ("outcome", "The type of the opportunity's present status: active, won or lost."),
    ],
    sql: include_str!("../../views/opportunity_stage_history.sql"),
};
