//! The text of letters, for an administrator who knows Close and not Kafka. Pure.

mod text;

use std::{fmt::Write as _, time::Duration};

use self::text::{Text, count, duration, each, grouped, named, plain, time};
use super::From;
use crate::{
    config::{CloseConfig, SnapshotMode},
    moment::Moment,
    position::{Change, Check, FieldChange, FinishedObject, FinishedRun, Notice, ObjectState, RunKind, SchemaChanges},
};

/// What letters say of the config.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) poll_interval: Duration,
    pub(super) lists_interval: Duration,
    pub(super) compare_interval: Duration,
    pub(super) routine: bool,
    /// True if everything is compared again and again.
    pub(super) compares: bool,
    /// True if a gap of the log is made good without a person.
    pub(super) makes_good: bool,
}

impl Settings {
    pub(super) fn of(config: &CloseConfig) -> Self {
        Self {
            poll_interval: config.poll_interval,
            lists_interval: config.lists_interval,
            compare_interval: config.compare_interval,
            routine: config.notify_email_routine,
            compares: config.snapshot_mode != SnapshotMode::Never,
            makes_good: config.snapshot_mode.makes_good(),
        }
    }
}

/// Subject and body of the letter that tells of a notice.
pub(super) fn letter(notice: &Notice, from: &From, settings: &Settings) -> (String, String) {
    match notice {
        Notice::Run { run } => (subject(run), completed(run, from, settings)),
        Notice::Gap { at } => {
            let what = if settings.makes_good { "everything is being compared" } else { "changes may be missing" };
            (format!("Close: {what} after a long pause"), gap(*at, from, settings.makes_good))
        }
    }
}

fn subject(run: &FinishedRun) -> String {
    let waiting = run.awaits_approval();
    if !waiting.is_empty() {
        return format!("Close: your approval is needed for deleting {}", named(&waiting));
    }
    let lacking = run.attention().len() as u64;
    match (run.kind, lacking) {
        (RunKind::First, 0) if !run.whole => {
            format!("Close: {} are copied, {}", parts(run), count(run.rows(), "record"))
        }
        (RunKind::Comparison, 0) if !run.whole => format!("Close: {} were compared and are in sync", parts(run)),
        (RunKind::First, 0) => format!("Close: everything is copied, {}", count(run.rows(), "record")),
        (RunKind::First, _) => {
            format!("Close: {} copied, {} of data need attention", count(run.rows(), "record"), count(lacking, "kind"))
        }
        (RunKind::Approved, 0) => format!("Close: what you approved was deleted, {}", count(run.deleted(), "record")),
        (_, 0) => "Close: everything was compared and is in sync".to_owned(),
        (_, _) => format!("Close: compared, {} of data need attention", count(lacking, "kind")),
    }
}

fn completed(run: &FinishedRun, from: &From, settings: &Settings) -> String {
    let mut text = Text::default();
    text.paragraph(&opening(run, from, settings));
    copied(&mut text, run);
    missing(&mut text, run, settings);
    approvals(&mut text, run, from);
    fields(&mut text, &run.schema_changes);
    next(&mut text, run, settings);
    text.paragraph(&format!(
        "This letter is from the connector \"{}\" of Towpath, about run {} from {} to {}. Nobody reads answers to it.",
        from.connector,
        run.generation,
        time(run.began),
        time(run.ended)
    ));
    text.0
}

fn opening(run: &FinishedRun, from: &From, settings: &Settings) -> String {
    let organization = format!("your Close organization ({})", from.organization);
    let took = duration(run.ended.since(run.began));
    let data = if run.whole { "the data".to_owned() } else { parts(run) };
    match run.kind {
        RunKind::First => format!(
            "Towpath has copied {data} of {organization} for the first time: {} in {took}. From now on it looks for \
             changes in Close every {}, and for changes of users, roles and settings every {}.",
            count(run.rows(), "record"),
            each(settings.poll_interval.max(Duration::from_secs(1))),
            each(settings.lists_interval)
        ),
        RunKind::Comparison => format!(
            "Towpath has read {} of {organization} again, {} in {took}, and compared it with your copy.{}",
            if run.whole { "all data" } else { &data },
            count(run.rows(), "record"),
            corrected(run)
        ),
        RunKind::Approved => format!(
            "Towpath has compared the data of {organization} again whose deletion you approved.{}",
            corrected(run)
        ),
        RunKind::Requested => format!("Towpath has read data of {organization} again, as it was asked to."),
    }
}

fn corrected(run: &FinishedRun) -> String {
    match (run.published(), run.deleted()) {
        (0, 0) => " No difference was found.".to_owned(),
        (changed, deleted) => format!(
            " {} in the copy differed and {} corrected; {} no longer in Close and {} marked as deleted.",
            count(changed, "record"),
            if changed == 1 { "was" } else { "were" },
            are(deleted),
            if deleted == 1 { "was" } else { "were" },
        ),
    }
}

fn are(records: u64) -> String {
    if records == 1 { "1 record is".to_owned() } else { format!("{} are", count(records, "record")) }
}

/// How many there are of each kind, the most first.
fn copied(text: &mut Text, run: &FinishedRun) {
    let mut objects: Vec<(&String, u64)> = run
        .objects
        .iter()
        .filter(|(_, object)| object.tally.rows > 0)
        .map(|(name, object)| (name, object.tally.rows))
        .collect();
    if objects.is_empty() {
        return;
    }
    objects.sort_by(|(a, more), (b, less)| less.cmp(more).then(a.cmp(b)));
    text.heading(if run.kind == RunKind::First { "What was copied" } else { "What there is" });
    let width = objects.iter().map(|(name, _)| plain(name).chars().count()).max().unwrap_or(0);
    for (name, rows) in objects {
        text.line(&format!("  {:<width$}  {:>12}", plain(name), grouped(rows)));
    }
    let empty =
        run.objects.values().filter(|object| object.state == ObjectState::Done && object.tally.rows == 0).count();
    if empty > 0 {
        let verb = if empty == 1 { "has" } else { "have" };
        text.line(&format!("  {} of data {verb} no record in Close.", count(empty as u64, "other kind")));
    }
    text.end();
}

/// Whether anything is missing, and why.
fn missing(text: &mut Text, run: &FinishedRun, settings: &Settings) {
    text.heading("Is anything missing?");
    let checks: Vec<&Check> = run.objects.values().filter_map(|object| object.check.as_ref()).collect();
    let counted = checks.iter().filter(|check| check.count.is_some()).count() as u64;
    let listed = checks.len() as u64 - counted;
    let lacking: Vec<(&String, &FinishedObject)> =
        run.objects.iter().filter(|(_, object)| !object.complete()).collect();
    let unusable: u64 = run.objects.values().map(|object| object.tally.unusable).sum();
    if lacking.is_empty() {
        let mut compared = String::new();
        if counted > 0 {
            let _ = write!(
                compared,
                " For {} of data, Close itself was asked for the number of records at the end, and the copy has as \
                 many; a checksum shows that each record that Close listed is in it.",
                count(counted, "kind")
            );
        }
        if listed > 0 {
            let _ = write!(
                compared,
                " For {} of data, Close gives no number: the copy has each record that Close listed.",
                count(listed, if counted > 0 { "other kind" } else { "kind" })
            );
        }
        let unchecked = run.objects.len() as u64 - checks.len() as u64;
        if !compared.is_empty() && unchecked > 0 {
            let _ = write!(
                compared,
                " For {} of data, the whole list is read again every {}, and what differs is corrected.",
                count(unchecked, "other kind"),
                each(settings.lists_interval)
            );
        }
        let verdict = if compared.is_empty() { "Not that Towpath knows." } else { "No." };
        text.paragraph(&format!("{verdict}{compared}"));
    } else {
        text.paragraph("Yes. Everything else is complete, and stays up to date.");
        for (name, object) in lacking {
            text.item(&format!("{}: {}", plain(name), why(object)));
        }
        text.end();
    }
    if unusable > 0 {
        text.paragraph(&format!("{} in Close came without an id and could not be copied.", count(unusable, "entry")));
    }
}

fn why(object: &FinishedObject) -> String {
    let reason = object.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match object.state {
        ObjectState::Skipped => format!(
            "could not be read{reason}. If the user of the API key lacks a right, grant it in Close; the data then \
             arrives by itself."
        ),
        ObjectState::Incomplete => {
            format!("could be read in part only{reason}. It is read again with the next comparison.")
        }
        ObjectState::AwaitsApproval => "is complete, but deletes wait for your approval; see below.".to_owned(),
        ObjectState::Waiting | ObjectState::Reading => "was not read to its end.".to_owned(),
        ObjectState::Done => match &object.check {
            Some(check) => format!(
                "differs: {}. It is compared again at once; if it stays, Close may hold records that it does not list.",
                check.difference().unwrap_or_default()
            ),
            None => "is complete.".to_owned(),
        },
    }
}

fn approvals(text: &mut Text, run: &FinishedRun, from: &From) {
    let waiting = run.awaits_approval();
    if waiting.is_empty() {
        return;
    }
    text.heading("Your approval is needed");
    text.paragraph(
        "Close no longer lists records that are in your copy, and they are more than Towpath deletes without asking. \
         Somebody may have cleaned up in Close, or the user of the API key may have lost the right to see them.",
    );
    for name in &waiting {
        let reason = run.objects[*name].reason.as_deref().unwrap_or("more than allowed");
        text.item(&format!("{}: {reason}", plain(name)));
    }
    text.end();
    text.paragraph(
        "If that is right, ask the person who runs Towpath for this command. Until then nothing of it is deleted, and \
         all other changes arrive as usual. Each record is looked for once more before it is deleted, and if Close \
         lists fewer still by then, Towpath asks again.",
    );
    let objects: Vec<String> = waiting.iter().map(|name| format!(" --object {name}")).collect();
    text.line(&format!("  towpath snapshot approve {}{}", from.connector, objects.concat()));
    text.end();
}

fn fields(text: &mut Text, changes: &SchemaChanges) {
    if changes.values().all(Vec::is_empty) {
        return;
    }
    text.heading("Changed fields");
    for (name, changes) in changes {
        changes.iter().for_each(|change| text.item(&format!("{}: {}", plain(name), changed(change))));
    }
    text.end();
}

fn changed(FieldChange { field, change, from, to }: &FieldChange) -> String {
    let (from, to) = (from.as_deref().unwrap_or(field), to.as_deref().unwrap_or(field));
    match change {
        Change::Added => format!("\"{to}\" ({field}) is new."),
        Change::Renamed => format!("\"{from}\" is now called \"{to}\" ({field})."),
        Change::Retyped => format!("{field} now holds {to}, before {from}."),
        Change::Removed => format!("\"{from}\" ({field}) no longer exists in Close; its column stays."),
    }
}

fn next(text: &mut Text, run: &FinishedRun, settings: &Settings) {
    text.heading("What happens next");
    let letters = match (settings.routine, run.kind) {
        (true, _) => "You get a letter after each comparison.",
        (false, _) => "You get a letter only when something needs your attention, or is in order again.",
    };
    let comparisons = if settings.compares {
        format!(
            "Every {} everything is compared again, which also finds what Close changes without saying so.",
            each(settings.compare_interval)
        )
    } else {
        "Nothing is compared again by itself, so what Close changes without saying so is not found.".to_owned()
    };
    text.paragraph(&format!(
        "You need not do anything{}. Changes in Close are copied as they happen. {comparisons} {letters}",
        if run.attention().is_empty() { "" } else { " but for what is said above" },
    ));
}

fn gap(at: Moment, from: &From, makes_good: bool) -> String {
    let mut text = Text::default();
    text.paragraph(&format!(
        "Towpath could not follow your Close organization ({}) for a long time. Close keeps its list of changes for 30 \
         days only, and at {} the list no longer went back to the last change that Towpath had seen.",
        from.organization,
        time(at)
    ));
    text.heading("Is anything missing?");
    let lost = "changes from before that time that nobody has touched since.";
    if makes_good {
        text.paragraph(&format!(
            "For the moment, perhaps: {lost} Therefore Towpath is reading everything again now and compares it with \
             your copy. What was changed is corrected, and what was deleted in Close is deleted in the copy."
        ));
    } else {
        text.paragraph(&format!(
            "Perhaps: {lost} Towpath is set up (snapshot.mode) not to read everything again without being asked, so \
             nothing corrects them by itself."
        ));
    }
    text.heading("What happens next");
    if makes_good {
        text.paragraph(
            "You need not do anything. New changes are copied meanwhile, and you get another letter when the \
             comparison is done. To see how far it is:",
        );
        text.line(&format!("  towpath snapshot status {}", from.connector));
    } else {
        text.paragraph(
            "New changes are copied. To have everything compared and corrected, ask the person who runs Towpath for \
             this command:",
        );
        text.line(&format!("  towpath snapshot start {}", from.connector));
    }
    text.end();
    text.paragraph(&format!(
        "This letter is from the connector \"{}\" of Towpath. Nobody reads answers to it.",
        from.connector
    ));
    text.0
}

/// The kinds of data of a run in the middle of a sentence.
fn parts(run: &FinishedRun) -> String {
    named(&run.objects.keys().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
