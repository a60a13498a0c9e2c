//! The keys of the Close source. Nothing here connects.

pub(crate) mod notify;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use towpath_keys::{Check, Named, Problems, Secret, Share, config_enum, config_keys, nearest};

use crate::{
    address::{http_url, is_unencrypted},
    catalogue::{KINDS, Kind},
};

config_enum! {
    /// When all objects are read.
    pub enum SnapshotMode {
        /// Once, when no position is stored. If the event log later no longer reaches back to the position, the state
        /// says so, and no comparison begins by itself until a person asks for one with `towpath snapshot start`.
        Initial = "initial",
        /// As `when_needed`; everything is also compared at each start of the connector.
        Always = "always",
        /// Never: only changes from now on, without comparisons.
        Never = "never",
        /// When no position is stored, and again when the event log no longer reaches back to it: by itself, after a
        /// stop of more than 29 days.
        WhenNeeded = "when_needed",
    }
}

impl SnapshotMode {
    /// True if a gap of the log is made good without a person.
    pub(crate) fn makes_good(self) -> bool {
        matches!(self, Self::Always | Self::WhenNeeded)
    }
}

config_keys! {
    /// Keys of the Close source.
    pub struct CloseConfig {
        /// The API key of a user of the organization, best of an admin: others see the content of events for an hour
        /// only, and perhaps not all leads. Use a reference such as `${env:CLOSE_API_KEY}`.
        #[key("close.api.key")]
        pub api_key: Secret,
        /// The address of the API.
        #[key("close.api.url")]
        pub api_url: String = "https://api.close.com/api/v1".to_owned(),
        /// The objects to read, by name; all if empty.
        #[key("objects")]
        pub objects: Vec<String> = Vec::new(),
        /// Objects not to read, by name.
        #[key("objects.exclude")]
        pub objects_exclude: Vec<String> = Vec::new(),
        /// When all objects are read.
        #[key("snapshot.mode")]
        pub snapshot_mode: SnapshotMode = SnapshotMode::WhenNeeded,
        /// The number of pages that a snapshot reads at the same time. A kill costs at most as many, and the
        /// lists of single leads that were found empty within the last transaction.
        #[key("snapshot.readers", range = 1..=64)]
        pub snapshot_readers: u32 = 8,
        /// The pause between two looks at the event log.
        #[key("poll.interval", range = Duration::from_millis(100)..=Duration::from_hours(1))]
        pub poll_interval: Duration = Duration::from_secs(5),
        /// How far back the event log is read again for events that became visible late. Close advises five minutes.
        #[key("poll.overlap", range = Duration::from_mins(5)..=Duration::from_hours(24))]
        pub poll_overlap: Duration = Duration::from_mins(10),
        /// The pause between two readings of what has no events: users, roles, pipelines and so on.
        #[key("lists.interval", range = Duration::from_secs(1)..=Duration::from_hours(24))]
        pub lists_interval: Duration = Duration::from_mins(5),
        /// The pause between two comparisons of all objects, which find what Close changes without an event. An
        /// invisible change takes at most this long, and the time of a snapshot.
        #[key("compare.interval", range = Duration::from_secs(1)..=Duration::from_hours(24 * 30))]
        pub compare_interval: Duration = Duration::from_hours(24),
        /// The share of an object's records that a comparison may delete without asking; with more than this, or more
        /// than `compare.deletes.max`, it waits for `towpath snapshot approve`.
        #[key("compare.deletes.max.share")]
        pub compare_deletes_max_share: Share = Share::percent(2),
        /// The number of records of an object that a comparison may delete without asking.
        #[key("compare.deletes.max", range = 0..=1_000_000)]
        pub compare_deletes_max: u32 = 1_000,
        /// The share of the key's allowance that a snapshot may use while changes are followed.
        #[key("budget.snapshot")]
        pub budget_snapshot: Share = Share::percent(70),
        /// The share of the key's allowance that is left to its other users.
        #[key("budget.reserve")]
        pub budget_reserve: Share = Share::percent(5),
        /// The public address at which Close reaches this connector's webhook, ending in `/hooks/<connector name>`.
        /// Close then tells of changes at once, and the connector keeps the subscription. Without it, changes are
        /// polled, and a start deletes the subscription that an earlier one made.
        #[key("webhook.url")]
        pub webhook_url: Option<String>,
        /// The time after which a request is given up and made again.
        #[key("request.timeout", range = Duration::from_secs(1)..=Duration::from_mins(10))]
        pub request_timeout: Duration = Duration::from_mins(1),
        /// The address that gets a signed post when a sync is complete, when the event log did not reach back far
        /// enough, and when a comparison waits for approval.
        #[key("notify.webhook.url")]
        pub notify_webhook_url: Option<String>,
        /// The secret that signs these posts, as of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64, or any
        /// other text of at least 24 characters.
        #[key("notify.webhook.secret")]
        pub notify_webhook_secret: Option<Secret>,
        /// The e-mail addresses that get the same news as a letter.
        #[key("notify.email")]
        pub notify_email: Vec<String> = Vec::new(),
        /// Also send a letter after each comparison that found nothing to tell of.
        #[key("notify.email.routine")]
        pub notify_email_routine: bool = false,
        /// The sender of these letters: `towpath@example.com`, or `Towpath <towpath@example.com>`.
        #[key("notify.from")]
        pub notify_from: Option<String>,
        /// The mail server: `smtps://user@host` for TLS from the start, `smtp://user@host` for STARTTLS, which is
        /// required unless the host is this machine. The user may be left out.
        #[key("notify.smtp.url")]
        pub notify_smtp_url: Option<String>,
        /// The password of the user at the mail server. Use a reference such as `${env:SMTP_PASSWORD}`.
        #[key("notify.smtp.password")]
        pub notify_smtp_password: Option<Secret>,
        /// A file with the certificates (PEM) of the authorities to trust beside those of the system.
        #[key("notify.smtp.ca")]
        pub notify_smtp_ca: Option<PathBuf>,
        /// The part of the users of a role: `admin`, `manager` or `agent`, by the role's id or name.
        #[key("role.map.{}")]
        pub role_map: Named<RoleConfig>,
    }
}

config_keys! {
    /// Keys of one role.
    pub struct RoleConfig {
        /// The part of its users.
        #[key("part")]
        pub part: Part,
    }
}

config_enum! {
    /// The part of a user for those who read the tables.
    pub enum Part {
        /// Administers the organization.
        Admin = "admin",
        /// Leads others.
        Manager = "manager",
        /// Sells.
        Agent = "agent",
    }
}

impl Check for RoleConfig {}

impl Check for CloseConfig {
    fn check(&self, problems: &mut Problems) {
        if self.api_key.reveal().is_empty() {
            problems.invalid("close.api.key", "must not be empty");
        }
        match http_url(&self.api_url) {
            Ok(url) if is_unencrypted(&url) => {
                problems.warn("close.api.url", "the API key goes unencrypted: use https");
            }
            Ok(_) => {}
            Err(reason) => problems.invalid("close.api.url", reason),
        }
        if let Some(Err(reason)) = self.webhook_url.as_deref().map(http_url) {
            problems.invalid("webhook.url", reason);
        }
        for (key, names) in [("objects", &self.objects), ("objects.exclude", &self.objects_exclude)] {
            for name in names.iter().filter(|name| !KINDS.iter().any(|kind| kind.name == *name)) {
                let meant = nearest(name, KINDS.iter().map(|kind| kind.name));
                problems.unknown_name(key, format!("must not name `{name}`, which is not an object of Close"), meant);
            }
        }
        notify::check(self, problems);
        if self.kinds().is_empty() && problems.found().is_empty() {
            problems.invalid("objects.exclude", "must leave at least one object");
        }
    }
}

impl CloseConfig {
    /// The selected objects, in the order of the catalogue.
    pub(crate) fn kinds(&self) -> Vec<&'static Kind> {
        let excluded: BTreeSet<&str> = self.objects_exclude.iter().map(String::as_str).collect();
        let selected = |kind: &&Kind| {
            (self.objects.is_empty() || self.objects.iter().any(|name| name == kind.name))
                && !excluded.contains(kind.name)
        };
        KINDS.iter().filter(selected).collect()
    }

    /// The names of the selected objects.
    pub fn object_names(&self) -> impl Iterator<Item = &'static str> {
        self.kinds().into_iter().map(|kind| kind.name)
    }
}
