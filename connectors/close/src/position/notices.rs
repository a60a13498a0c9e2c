//! The notices of the position: what is still to be delivered, and over which channels. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    finished::{FinishedRun, ObjectState},
    run::RunKind,
};
use crate::{config::CloseConfig, moment::Moment};

/// Notices that are kept while a channel fails, since the position is one record. Older ones are dropped undelivered,
/// with a warning: the newest says how things are.
const KEPT: usize = 8;

/// What is still to be told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pending {
    /// Oldest first.
    #[serde(default)]
    notices: Vec<Outstanding>,
    /// The newest gap of the log that was noted.
    #[serde(default)]
    gap: Option<Moment>,
    /// True from a gap until the run that makes it good.
    #[serde(default)]
    after_gap: bool,
    /// The objects that needed attention at the last run that a letter was due for.
    #[serde(default)]
    attention: BTreeMap<String, ObjectState>,
}

/// A notice, and the channels that have yet to deliver it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outstanding {
    pub(crate) notice: Notice,
    pub(crate) channels: Vec<Channel>,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Notice {
    /// A run has ended.
    Run { run: FinishedRun },
    /// The event log no longer reached back to the position; noticed at this time.
    Gap { at: Moment },
}

/// A way to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Channel {
    /// A record of the object `sync_run`.
    Record,
    /// A signed post.
    Post,
    /// A letter.
    Letter,
}

impl Channel {
    /// The name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Record => "log",
            Self::Post => "webhook",
            Self::Letter => "email",
        }
    }

    /// The name in the state of the task.
    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::Record => "object sync_run",
            Self::Post => "notice webhook",
            Self::Letter => "notice e-mail",
        }
    }
}

/// The channels that the config has.
pub(crate) fn channels(config: &CloseConfig) -> Vec<Channel> {
    let post = config.notify_webhook_url.is_some().then_some(Channel::Post);
    let letter = (!config.notify_email.is_empty()).then_some(Channel::Letter);
    [Some(Channel::Record), post, letter].into_iter().flatten().collect()
}

/// A run that ends, for the step that ends it.
#[derive(Debug)]
pub(crate) struct Ended {
    run: FinishedRun,
    channels: Vec<Channel>,
    /// True if a comparison without any finding gets a letter.
    routine: bool,
}

impl Ended {
    pub(crate) fn new(run: FinishedRun, config: &CloseConfig) -> Self {
        Self { run, channels: channels(config), routine: config.notify_email_routine }
    }
}

impl Pending {
    /// Notes a run, in the step that ends it.
    pub(crate) fn ended(&mut self, ended: Ended) {
        let Ended { run, mut channels, routine } = ended;
        let whole = run.whole && matches!(run.kind, RunKind::First | RunKind::Comparison);
        let made_good = self.after_gap && whole && self.gap.is_none_or(|gap| run.began >= gap);
        self.after_gap &= !made_good;
        let attention = run.attention();
        let news = match run.kind {
            RunKind::First | RunKind::Approved => true,
            // An object that is not read any more is not news.
            RunKind::Comparison => {
                let before = self.attention.iter().filter(|(name, _)| run.objects.contains_key(*name));
                made_good || routine || !before.eq(&attention)
            }
            // The person who asked sees the end in the status.
            RunKind::Requested => false,
        };
        if run.kind != RunKind::Requested {
            for name in run.objects.keys() {
                self.attention.remove(name);
            }
            self.attention.extend(attention);
        }
        channels.retain(|channel| *channel != Channel::Letter || news);
        self.push(Notice::Run { run }, channels);
    }

    /// The gap, if it was not noted yet.
    pub(crate) fn untold_gap(&self, gap: Option<Moment>) -> Option<Moment> {
        gap.filter(|gap| self.gap.is_none_or(|told| told < *gap))
    }

    /// Notes a gap of the log.
    pub(crate) fn gap(&mut self, at: Moment, channels: &[Channel]) {
        (self.gap, self.after_gap) = (Some(at), true);
        let channels: Vec<Channel> = channels.iter().copied().filter(|channel| *channel != Channel::Record).collect();
        if !channels.is_empty() {
            self.push(Notice::Gap { at }, channels);
        }
    }

    fn push(&mut self, notice: Notice, channels: Vec<Channel>) {
        self.notices.push(Outstanding { notice, channels });
        let excess = self.notices.len().saturating_sub(KEPT);
        for dropped in self.notices.drain(..excess) {
            let (id, channels) = (dropped.id(), dropped.channels);
            tracing::warn!(id, ?channels, "notice {id} is dropped undelivered: {KEPT} newer ones wait for delivery");
        }
    }

    /// The oldest notice that `channel` has yet to deliver.
    pub(crate) fn next(&self, channel: Channel) -> Option<&Outstanding> {
        self.notices.iter().find(|outstanding| outstanding.channels.contains(&channel))
    }

    /// Notes that `channel` has delivered the notice.
    pub(crate) fn done(&mut self, channel: Channel, id: &str) {
        for outstanding in self.notices.iter_mut().filter(|outstanding| outstanding.id() == id) {
            outstanding.channels.retain(|other| *other != channel);
        }
        self.notices.retain(|outstanding| !outstanding.channels.is_empty());
    }
}

impl Outstanding {
    /// The name in metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.notice {
            Notice::Run { .. } => "sync_completed",
            Notice::Gap { .. } => "gap",
        }
    }

    /// Unique among the notices of an organization, and the same after a restart.
    pub(crate) fn id(&self) -> String {
        match &self.notice {
            Notice::Run { run, .. } => format!("run-{}", run.generation),
            Notice::Gap { at } => format!("gap-{}", at.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use towpath_keys::{Flat, read};

    use super::*;
    use crate::sync_run::tests::{complete, first};

    fn config(more: &[(&str, &str)]) -> CloseConfig {
        let keys = [
            ("close.api.key", "k"),
            ("notify.webhook.url", "https://example.com/h"),
            ("notify.webhook.secret", "0123456789abcdef01234567"),
            ("notify.email", "admin@example.com"),
            ("notify.from", "towpath@example.com"),
            ("notify.smtp.url", "smtps://example.com"),
        ];
        read::<CloseConfig>(&Flat::from_strings(keys.iter().chain(more).copied())).unwrap().0
    }

    fn run(kind: RunKind, generation: u32) -> FinishedRun {
        FinishedRun { generation, kind, ..complete() }
    }

    /// Ends the run; returns true if a letter is due.
    fn ends(pending: &mut Pending, run: FinishedRun, config: &CloseConfig) -> bool {
        let id = format!("run-{}", run.generation);
        pending.ended(Ended::new(run, config));
        let ended = pending.notices.iter().find(|outstanding| outstanding.id() == id).unwrap();
        assert!(ended.channels.contains(&Channel::Record) && ended.channels.contains(&Channel::Post));
        ended.channels.contains(&Channel::Letter)
    }

    #[test]
    fn a_letter_is_due_for_news_only() {
        let (mut pending, config) = (Pending::default(), config(&[]));
        assert!(ends(&mut pending, run(RunKind::First, 1), &config), "the first sync");
        assert!(!ends(&mut pending, run(RunKind::Comparison, 2), &config), "nothing was found");
        let lacking = || first("export", ObjectState::Skipped, "no right");
        let comparison = |generation| FinishedRun { kind: RunKind::Comparison, generation, ..lacking() };
        assert!(ends(&mut pending, comparison(3), &config), "an object cannot be read any more");
        assert!(!ends(&mut pending, comparison(4), &config), "that is known");
        let requested = FinishedRun { kind: RunKind::Requested, generation: 5, ..lacking() };
        assert!(!ends(&mut pending, requested, &config), "who asked sees the status");
        let mut again = comparison(6);
        again.objects.get_mut("export").unwrap().state = ObjectState::Done;
        assert!(ends(&mut pending, again, &config), "it can be read again");
        assert!(!ends(&mut pending, run(RunKind::Comparison, 7), &config));
    }

    #[test]
    fn an_object_that_is_not_read_any_more_is_no_news() {
        let (mut pending, config) = (Pending::default(), config(&[]));
        ends(&mut pending, first("export", ObjectState::Skipped, "no right"), &config);
        assert!(!ends(&mut pending, run(RunKind::Comparison, 2), &config), "`export` was excluded");
    }

    #[test]
    fn every_comparison_gets_a_letter_if_that_is_wished() {
        let config = config(&[("notify.email.routine", "true")]);
        assert!(ends(&mut Pending::default(), run(RunKind::Comparison, 2), &config));
    }

    #[test]
    fn a_gap_is_noted_once_and_the_run_that_makes_it_good_is_news() {
        let (mut pending, config) = (Pending::default(), config(&[]));
        let gap = Moment(run(RunKind::Comparison, 2).began.0 - 1);
        assert_eq!(pending.untold_gap(Some(gap)), Some(gap));
        pending.gap(gap, &channels(&config));
        assert_eq!(pending.untold_gap(Some(gap)), None);
        assert!(pending.next(Channel::Record).is_none() && pending.next(Channel::Letter).is_some());
        let part = FinishedRun { whole: false, ..run(RunKind::Comparison, 2) };
        assert!(!ends(&mut pending, part, &config), "a part makes no gap good");
        assert!(ends(&mut pending, run(RunKind::Comparison, 3), &config));
        assert!(!ends(&mut pending, run(RunKind::Comparison, 4), &config));
    }

    #[test]
    fn a_notice_stays_until_each_channel_has_delivered_it() {
        let (mut pending, config) = (Pending::default(), config(&[]));
        ends(&mut pending, run(RunKind::First, 1), &config);
        ends(&mut pending, run(RunKind::First, 2), &config);
        for channel in [Channel::Record, Channel::Letter, Channel::Post] {
            assert_eq!(pending.next(channel).unwrap().id(), "run-1");
            pending.done(channel, "run-1");
            assert_eq!(pending.next(channel).unwrap().id(), "run-2");
        }
        assert_eq!(pending.notices.len(), 1);
        let stored: Pending = serde_json::from_value(serde_json::to_value(&pending).unwrap()).unwrap();
        assert_eq!(stored, pending);
    }

    #[test]
    fn a_channel_that_never_delivers_keeps_the_newest_only() {
        let (mut pending, config) = (Pending::default(), config(&[]));
        for generation in 1..=20 {
            ends(&mut pending, run(RunKind::First, generation), &config);
        }
        assert_eq!(pending.notices.len(), KEPT);
        assert_eq!(pending.next(Channel::Letter).unwrap().id(), "run-13");
    }
}
