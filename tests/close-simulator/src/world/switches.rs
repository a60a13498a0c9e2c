//! Behavior that the reference calls unverified (its section 14): each variant can be chosen while the simulator runs.

use serde::{Deserialize, Serialize};

/// The answer to a `_limit` above the resource's maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverLimit {
    /// 400 that names the maximum.
    Refuse,
    /// The maximum is used.
    Clamp,
}

/// The form of the rate limit header (reference, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitHeader {
    /// `ratelimit: limit=100; remaining=99; reset=1.5`.
    Semicolon,
    /// `ratelimit: limit=100, remaining=99, reset=1.5`.
    Comma,
    /// `ratelimit-limit`, `ratelimit-remaining`, `ratelimit-reset`.
    Split,
    /// `x-ratelimit-limit`, `-remaining`, `-reset`.
    XSplit,
}

/// The effect of a `date_updated` bound beside an event cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorDate {
    /// None.
    Ignore,
    /// It bounds this page as well.
    Honour,
    /// 400.
    Refuse,
}

/// The answer to a combination that Close does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// 400.
    Refuse,
    /// The combination is answered.
    Accept,
}

/// Event data for a reader without rights after an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hidden {
    /// The keys are missing.
    Absent,
    /// The keys are null.
    Null,
}

/// The children of a merged lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergedChildren {
    /// They keep their ids and get the other `lead_id`.
    Move,
    /// They are deleted and re-created.
    Recreate,
}

/// The lead that a `merged` event names as its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergedObject {
    /// The remaining lead.
    Destination,
    /// The deleted lead.
    Source,
}

/// The spelling of the event type of a lead merge activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeSpelling {
    /// `activity.lead_merge`.
    Activity,
    /// `lead_merge`.
    Plain,
}

/// The headers of a webhook retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// A new timestamp and signature.
    Resign,
    /// Those of the first attempt.
    Repeat,
}

/// The effect of deleting a status or a pipeline that records use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsedStatus {
    /// The records get another one, with neither an event nor a new `date_updated`.
    Move,
    /// 400.
    Refuse,
}

macro_rules! switches {
    ($($doc:literal $name:ident: $ty:ty = $default:expr;)*) => {
        /// The active variants. Names are those of `--switch` and of `/_control/switches/`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Switches { $(#[doc = $doc] pub $name: $ty,)* }

        impl Default for Switches {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Switches {
            /// Each name with its meaning, in order.
            pub const MEANINGS: &'static [(&'static str, &'static str)] = &[$((stringify!($name), $doc),)*];
        }
    };
}

switches! {
    "The answer to a `_limit` above the resource's maximum: refuse with 400, or clamp."
    over_limit: OverLimit = OverLimit::Refuse;
    "Maximum `_skip` of a list, above which it answers 400; 0 means the resource's own maximum." max_skip: u64 = 0;
    "Share of list rows that are dropped from a page while `has_more` counts them (short pages), 0 to 1."
    short_pages: f64 = 0.0;
    "The redirect status of a write without trailing slash: 301, after which many clients lose the body, or 308."
    write_redirect_status: u16 = 308;
    "The form of the rate limit header." limit_header: LimitHeader = LimitHeader::Semicolon;
    "Whether a 429 has the deprecated JSON body; otherwise its body is empty." legacy_429_body: bool = true;
    "Whether the body of a 429 also has `rate_reset` beside `error`, where an old client (tap-closeio) reads it."
    rate_reset_beside_error: bool = true;
    "The text of a 403." forbidden_text: String = "You do not have permission to perform this action.".to_owned();
    "Milliseconds within which updates of one object are consolidated into one event; 0 means never."
    consolidation_ms: i64 = 5_000;
    "Whether an update soon after a creation is consolidated into the `created` event."
    consolidate_into_created: bool = false;
    "Whether updates of different users and keys are consolidated as well." consolidate_any_context: bool = false;
    "Maximum milliseconds until an event becomes visible in the log; each event draws its own delay."
    event_lag_ms: i64 = 0;
    "Share of events that become visible late, 0 to 1." event_late_share: f64 = 1.0;
    "Milliseconds between a webhook event and its first delivery; updates and deletes also wait for the consolidation."
    webhook_lag_ms: i64 = 0;
    "The answer to a combination of event log filters that Close does not list."
    event_filters: Unlisted = Unlisted::Refuse;
    "The effect of a `date_updated` bound beside an event cursor." cursor_date: CursorDate = CursorDate::Ignore;
    "Lifetime of an event cursor in seconds; 0 means unlimited." event_cursor_secs: i64 = 0;
    "Event `data` and `previous_data` for readers who are not admins, after an hour."
    hidden_data: Hidden = Hidden::Absent;
    "Whether a restricted key sees events of hidden leads." restricted_sees_all_events: bool = false;
    "Whether lead events carry nested contacts, opportunities and tasks." nested_in_lead_events: bool = false;
    "Whether events of notes have the older type `note`." legacy_note_type: bool = false;
    "Whether `Created` activities have events." created_activity_events: bool = false;
    "The spelling of the event type of lead merge activities." merge_spelling: MergeSpelling = MergeSpelling::Activity;
    "The object of a `merged` event." merged_object: MergedObject = MergedObject::Destination;
    "The children of a merged lead." merged_children: MergedChildren = MergedChildren::Move;
    "Milliseconds between the steps of a lead merge." merge_step_ms: i64 = 500;
    "Share of lead merges that end `errored`, with half of the children moved, 0 to 1." merge_errors: f64 = 0.0;
    "Whether deleting a custom field causes an `updated` event for every record that loses a value."
    field_delete_events: bool = false;
    "Whether renaming a choice causes an `updated` event for every record whose value is rewritten."
    choice_rename_events: bool = false;
    "The effect of deleting a used status or pipeline: its records silently get the first remaining one, or 400."
    used_status: UsedStatus = UsedStatus::Move;
    "Duration of the conversion of a custom field's type in milliseconds." field_conversion_ms: i64 = 2_000;
    "Days after which completed system tasks are purged." task_purge_days: i64 = 30;
    "Whether a purge causes `deleted` events." purge_events: bool = false;
    "Whether changing the organization's currency moves `date_updated` of opportunities."
    currency_moves_date_updated: bool = false;
    "Lag of the search index in milliseconds." search_lag_ms: i64 = 0;
    "Whether search returns types other than lead and contact." search_all_types: bool = false;
    "Whether lists without paging omit `has_more`." bare_lists_without_has_more: bool = false;
    "Whether records have an undocumented field." unknown_fields: bool = false;
    "Whether records have the deprecated custom fields keyed by name." deprecated_custom_names: bool = false;
    "Whether dates of relational records have microseconds rather than milliseconds."
    relational_microseconds: bool = false;
    "The `_type` of custom activities." custom_activity_literal: String = "CustomActivity".to_owned();
    "Whether a former user can be read by id." former_users_by_id: bool = true;
    "Whether `PUT` of a contact's `lead_id` moves it." contact_move_by_put: bool = false;
    "Whether amounts in a currency without decimals are in hundredths as well." zero_decimal_in_hundredths: bool = true;
    "The headers of a webhook retry: signed anew, or those of the first attempt." webhook_retry: Retry = Retry::Resign;
    "Whether a webhook delivery follows redirects." webhook_redirects: bool = false;
    "Milliseconds after which a webhook delivery fails." webhook_timeout_ms: u64 = 10_000;
    "The status of a webhook subscription beyond the quota of 40." webhook_quota_status: u16 = 400;
    "Whether reverting an import restores `date_updated` of the changed records." revert_moves_back: bool = false;
    "Lifetime of a link to an export's file in seconds." export_link_secs: i64 = 60;
    "Milliseconds between the states of an export or a bulk action." job_step_ms: i64 = 500;
    "Whether an API key may create memberships; otherwise OAuth only." membership_create_by_key: bool = false;
    "Whether a meeting's `date_created` follows `starts_at` when the meeting is moved."
    meeting_created_moves: bool = false;
    "The status for a body whose content type is not JSON: 400 or 415." media_type_status: u16 = 400;
    "Maximum length of a URL, path and query in bytes; a longer URL is a 414." max_url: usize = 8_192;
    "Whether answers are compressed for clients that accept gzip." gzip_answers: bool = false;
    "Undelivered events at which a webhook subscription is paused and its queue cleared."
    webhook_backlog: usize = 100_000;
}

impl Switches {
    /// Returns a copy with some switches changed, by a JSON object of names and values.
    ///
    /// # Errors
    /// The reason: an unknown name, or a value of another type.
    pub fn with(&self, changes: &serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let known = all.as_object_mut().expect("switches are an object");
        for (name, value) in changes {
            if !known.contains_key(name) {
                return Err(format!("unknown switch `{name}`"));
            }
            known.insert(name.clone(), value.clone());
        }
        serde_json::from_value(all).map_err(|error| error.to_string())
    }
}
