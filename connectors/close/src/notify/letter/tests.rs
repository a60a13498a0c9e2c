//! The letters, whole, as their reader gets them.

use super::{text::WIDTH, *};
use crate::sync_run::tests::{check, complete, first};

fn from() -> From {
    From { connector: "close".to_owned(), organization: "orga_1".to_owned() }
}

fn settings() -> Settings {
    let (poll_interval, compare_interval) = (Duration::from_secs(5), Duration::from_hours(24));
    let lists_interval = Duration::from_mins(5);
    Settings { poll_interval, lists_interval, compare_interval, routine: false, compares: true, makes_good: true }
}

fn of(run: FinishedRun) -> (String, String) {
    letter(&Notice::Run { run }, &from(), &settings())
}

#[test]
fn the_first_letter_says_what_is_there_what_is_not_and_what_comes() {
    let run = first("export", ObjectState::Skipped, "Close answers 403: the key's user may not read this");
    let (subject, body) = of(run);
    assert_eq!(subject, "Close: 51,234 records copied, 1 kind of data need attention");
    let expected = "\
Towpath has copied the data of your Close organization (orga_1) for the
first time: 51,234 records in 2 hours 4 minutes. From now on it looks for
changes in Close every 5 seconds, and for changes of users, roles and
settings every 5 minutes.

What was copied
---------------
  Leads                50,000
  Opportunities         1,234
  1 other kind of data has no record in Close.

Is anything missing?
--------------------
Yes. Everything else is complete, and stays up to date.

  * Exports: could not be read (Close answers 403: the key's user may not
    read this). If the user of the API key lacks a right, grant it in Close;
    the data then arrives by itself.

What happens next
-----------------
You need not do anything but for what is said above. Changes in Close are
copied as they happen. Every day everything is compared again, which also
finds what Close changes without saying so. You get a letter only when
something needs your attention, or is in order again.

This letter is from the connector \"close\" of Towpath, about run 1 from
2026-07-25 17:20 UTC to 2026-07-25 19:24 UTC. Nobody reads answers to it.

";
    assert_eq!(body, expected);
}

#[test]
fn a_complete_first_sync_says_that_nothing_is_missing() {
    let (subject, body) = of(complete());
    assert_eq!(subject, "Close: everything is copied, 51,234 records");
    let unwrapped = body.replace('\n', " ");
    assert!(unwrapped.contains("No. For 3 kinds of data, Close itself was asked for the number of records"), "{body}");
    assert!(!unwrapped.contains("Close gives no number") && !unwrapped.contains("list is read again"), "{body}");
    let mut run = complete();
    run.objects.insert("user".to_owned(), FinishedObject { check: None, ..run.objects["note"].clone() });
    let unwrapped = of(run).1.replace('\n', " ");
    let lists =
        "For 1 other kind of data, the whole list is read again every 5 minutes, and what differs is corrected.";
    assert!(unwrapped.contains(lists), "{unwrapped}");
}

#[test]
fn a_letter_names_each_change_of_a_field() {
    let changes = serde_json::from_value(serde_json::json!({"lead": [
        {"field": "cf_1", "change": "added", "to": "Seats"},
        {"field": "cf_2", "change": "renamed", "from": "Plan", "to": "Tier"},
        {"field": "cf_2", "change": "retyped", "from": "text", "to": "text or number"},
        {"field": "cf_3", "change": "removed", "from": "City"},
    ]}));
    let run = FinishedRun { schema_changes: changes.unwrap(), ..complete() };
    let body = letter(&Notice::Run { run }, &from(), &settings()).1;
    let expected = "\
Changed fields
--------------
  * Leads: \"Seats\" (cf_1) is new.
  * Leads: \"Plan\" is now called \"Tier\" (cf_2).
  * Leads: cf_2 now holds text or number, before text.
  * Leads: \"City\" (cf_3) no longer exists in Close; its column stays.
";
    assert!(body.contains(expected), "{body}");
}

#[test]
fn a_letter_claims_of_each_object_what_was_shown_and_no_more() {
    let mut run = complete();
    run.objects.get_mut("note").unwrap().check.as_mut().unwrap().count = None;
    let text = |run: &FinishedRun| of(run.clone()).1.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text(&run).contains("No. For 2 kinds of data, Close itself was asked"), "{}", text(&run));
    assert!(text(&run).contains("For 1 other kind of data, Close gives no number"), "{}", text(&run));
    run.objects.get_mut("lead").unwrap().check = Some(check(50_003, 50_000));
    let differs = "* Leads: differs: Close counts 3 more than the copy has: 50003 against 50000.";
    assert!(text(&run).contains(differs), "{}", text(&run));
}

#[test]
fn a_letter_names_the_part_that_was_read() {
    let mut run = FinishedRun { whole: false, ..complete() };
    run.objects.retain(|name, _| name == "lead");
    let (subject, body) = of(run.clone());
    assert_eq!(subject, "Close: leads are copied, 50,000 records");
    assert!(body.starts_with("Towpath has copied leads of your Close organization (orga_1) for the first"), "{body}");
    let (subject, body) = of(FinishedRun { kind: RunKind::Comparison, ..run });
    assert_eq!(subject, "Close: leads were compared and are in sync");
    assert!(body.starts_with("Towpath has read leads of your Close organization (orga_1) again"), "{body}");
}

#[test]
fn a_letter_promises_no_comparison_that_the_mode_excludes() {
    let gap = Notice::Gap { at: Moment(1_785_000_000_000_000) };
    let settings = Settings { compares: false, makes_good: false, ..settings() };
    let (subject, body) = letter(&gap, &from(), &settings);
    assert_eq!(subject, "Close: changes may be missing after a long pause");
    assert!(!body.contains("is reading everything") && body.contains("\n  towpath snapshot start close\n"), "{body}");
    let run = Notice::Run { run: complete() };
    let body = letter(&run, &from(), &settings).1;
    assert!(!body.contains("everything is compared again"), "{body}");
}

#[test]
fn a_letter_that_asks_for_approval_has_the_command() {
    let run = first("contact", ObjectState::AwaitsApproval, "1,200 of 5,000 are gone, 100 may be deleted");
    let (subject, body) = of(FinishedRun { kind: RunKind::Comparison, ..run });
    assert_eq!(subject, "Close: your approval is needed for deleting contacts");
    assert!(body.contains("\n  towpath snapshot approve close --object contact\n"), "{body}");
    assert!(body.contains("  * Contacts: 1,200 of 5,000 are gone, 100 may be deleted\n"), "{body}");
    assert!(body.replace('\n', " ").contains("Until then nothing of it is deleted"), "{body}");
}

#[test]
fn a_comparison_says_what_it_corrected() {
    let mut run = FinishedRun { kind: RunKind::Comparison, ..complete() };
    run.objects.values_mut().for_each(|object| object.tally.published = 0);
    let text = |run: &FinishedRun| of(run.clone()).1.replace('\n', " ");
    assert!(text(&run).contains("compared it with your copy. No difference was found."));
    let lead = &mut run.objects.get_mut("lead").unwrap().tally;
    (lead.published, lead.deleted) = (12, 1);
    let found = "12 records in the copy differed and were corrected; 1 record is no longer in Close and was marked";
    assert!(text(&run).contains(found), "{}", text(&run));
}

#[test]
fn a_gap_is_explained_without_a_word_of_kafka() {
    let (subject, body) = letter(&Notice::Gap { at: Moment(1_785_000_000_000_000) }, &from(), &settings());
    assert!(subject.contains("after a long pause"));
    assert!(
        body.replace('\n', " ").contains("2026-07-25 17:20 UTC") && body.contains("towpath snapshot status close"),
        "{body}"
    );
    let first = of(first("export", ObjectState::Skipped, "no right")).1;
    for word in ["Kafka", "topic", "offset", "schema", "snapshot "] {
        assert!(!first.contains(word), "{word}");
    }
    assert!(!body.contains("Kafka"));
    assert!(body.lines().chain(first.lines()).all(|line| line.chars().count() <= WIDTH));
}

#[test]
fn every_object_has_a_name_in_plain_words() {
    for (name, plain_name) in [
        ("lead", "Leads"),
        ("opportunity", "Opportunities"),
        ("custom_activity", "Custom activities"),
        ("lead_status", "Lead statuses"),
        ("sms", "Text messages (SMS)"),
        ("custom_field_custom_object", "Custom fields of custom objects"),
        ("unsubscribed_email", "Unsubscribed emails"),
    ] {
        assert_eq!(plain(name), plain_name);
    }
}
