//! The budget against a limited simulator, with small windows.

use std::time::Instant;

use serde_json::json;

use super::*;
use crate::codes;

const NOTES: &str = "activity/note/";
const GROUP: &str = "GET activity/note";

/// Runs a measurement that a busy machine may spoil, at most three times, until it says true.
async fn measured<F: Future<Output = (bool, String)>>(measure: impl Fn() -> F) {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (is_right, text) = measure().await;
        if is_right {
            return;
        }
        seen.push(text);
    }
    panic!("{}", seen.join("\n"));
}

#[tokio::test]
async fn quirk_06_a_snapshot_is_not_refused_whatever_form_the_allowance_has() {
    for (form, limit, window) in
        [("semicolon", 40, 0.5), ("comma", 20, 0.25), ("split", 100, 0.5), ("x_split", 8, 0.25)]
    {
        measured(|| async move {
            let running = simulator(0).await;
            set_switches(&running, &json!({ "limit_header": form }));
            set_limits(&running, &json!({ "groups": { GROUP: group(limit, window) } }));
            let close = client(&running);
            // How much of the allowance is used is tested in virtual time.
            let (windows, allowed) = (12, limit - limit / 20);
            let total = usize::try_from(allowed * windows).unwrap();
            within(requests(&close, Lane::Snapshot, NOTES, total)).await;
            let (peak, refused) = peak(&running, GROUP, "key");
            let text = format!("{form}: {peak} of {limit} in a window, {refused} of {total} refused");
            (refused * 50 <= allowed * windows && peak <= limit, text)
        })
        .await;
    }
}

#[tokio::test]
async fn changes_never_wait_behind_a_snapshot() {
    measured(|| async {
        let running = simulator(0).await;
        set_limits(&running, &json!({ "groups": { GROUP: group(20, 1.0) } }));
        let close = client(&running);
        within(requests(&close, Lane::Changes, NOTES, 1)).await;
        let snapshot = requests(&close, Lane::Snapshot, NOTES, 40);
        let changes = async {
            let mut longest = Duration::ZERO;
            for _ in 0..14 {
                tokio::time::sleep(Duration::from_millis(190)).await;
                let began = Instant::now();
                requests(&close, Lane::Changes, NOTES, 1).await;
                longest = longest.max(began.elapsed());
            }
            longest
        };
        let ((), longest) = within(async { tokio::join!(snapshot, changes) }).await;
        let (_, refused) = peak(&running, GROUP, "key");
        (longest < Duration::from_secs(1) && refused <= 1, format!("{longest:?}, {refused} refused"))
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_leaves_the_share_of_changes_alone_while_they_use_the_group() {
    let running = simulator(0).await;
    set_limits(&running, &json!({ "groups": { GROUP: group(40, 0.5) } }));
    let close = client_with(&running, &[("budget.snapshot", "0.5"), ("budget.reserve", "0.1")]);
    within(requests(&close, Lane::Changes, NOTES, 1)).await;
    let began = Instant::now();
    within(requests(&close, Lane::Snapshot, NOTES, 100)).await;
    let windows = began.elapsed().as_secs_f64() / 0.5;
    assert!(windows > 100.0 / 20.0 * 0.85, "at most half of 40 a window: {windows} windows for 100");
}

#[tokio::test]
async fn case_48_a_429_in_every_form_pauses_the_group_and_the_others_go_on() {
    for (form, body) in [("semicolon", true), ("comma", true), ("split", false), ("x_split", false)] {
        let running = simulator(2).await;
        set_switches(&running, &json!({ "limit_header": form, "legacy_429_body": body }));
        set_limits(&running, &json!({ "groups": { "GET lead": group(2, 1.0) } }));
        // Somebody else with the same key uses the window up.
        let (key, http) = (running.key("admin").unwrap(), reqwest::Client::new());
        for _ in 0..2 {
            http.get(format!("{}lead/", running.base_url())).basic_auth(&key, Some("")).send().await.unwrap();
        }
        let (seen, life) = Seen::life();
        let close = client(&running).reporting(&life);
        let began = Instant::now();
        let limited = async {
            close.get(Lane::Snapshot, "lead/", &[]).await.unwrap();
            began.elapsed()
        };
        let other = async {
            close.get(Lane::Snapshot, "contact/", &[]).await.unwrap();
            began.elapsed()
        };
        let (limited, other) = within(async { tokio::join!(limited, other) }).await;
        assert!(limited > Duration::from_millis(700) && limited < Duration::from_secs(30), "{form}: {limited:?}");
        assert!(other < limited, "{form}: {other:?}");
        assert_eq!(seen.first_wait().await.1, codes::RATE_LIMITED);
        assert!(peak(&running, "GET lead", "key").1 <= 2, "{form}: one 429, or one more on a busy machine");
    }
}

#[tokio::test]
async fn requests_together_before_the_limit_is_known_cause_no_429() {
    let running = simulator(0).await;
    set_limits(&running, &json!({ "groups": { GROUP: group(3, 0.5) } }));
    within(requests(&client(&running), Lane::Changes, NOTES, 9)).await;
    assert_eq!(peak(&running, GROUP, "key").1, 0);
}

#[tokio::test]
async fn a_limit_that_no_header_announces_is_obeyed_after_its_429() {
    let running = simulator(0).await;
    set_limits(&running, &json!({ "extra": { GROUP: group(5, 1.0) } }));
    within(requests(&client(&running), Lane::Snapshot, NOTES, 12)).await;
    let (_, refused) = peak(&running, GROUP, "extra");
    assert!(refused <= 24, "{refused}");
}

#[tokio::test]
async fn two_connectors_with_one_key_share_its_allowance() {
    let running = simulator(0).await;
    set_limits(&running, &json!({ "groups": { GROUP: group(20, 0.5) } }));
    let (one, two) = (client(&running), client(&running));
    within(async {
        tokio::join!(requests(&one, Lane::Snapshot, NOTES, 60), requests(&two, Lane::Snapshot, NOTES, 60))
    })
    .await;
    assert!(peak(&running, GROUP, "key").1 <= 2);
}

#[tokio::test]
async fn an_unlimited_close_is_not_paced() {
    let running = simulator(0).await;
    let began = Instant::now();
    within(requests(&client(&running), Lane::Snapshot, NOTES, 400)).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
