//! The allowance of the key while a snapshot reads.

use std::time::Instant;

use serde_json::json;

use super::laboratory::{Laboratory, Topics};
use crate::client::tests as client;

/// Requests that one window, a second, allows.
const LIMIT: u32 = 10;
/// Several readers share one object, so that its budget is used whatever an answer takes, and are never refused. The
/// share that is used is measured by `make bench`.
#[tokio::test]
async fn a_limited_budget_is_shared_by_several_readers_and_never_exceeded() {
    let laboratory = Laboratory::new(20, "email").await.key("budget.snapshot", "100%").key("budget.reserve", "0%");
    laboratory.control("scenarios/email_backfill/", &json!({"count": 8_000, "years": 6})).await;
    let limit = json!({"groups": {"GET activity/email": {"limit": LIMIT, "window_secs": 1}}, "off": false});
    client::set_limits(&laboratory.close, &limit);
    let _running = laboratory.start().await;
    laboratory.topics.until(|topics| (!topics.records("email").is_empty()).then_some(())).await;
    let began = Instant::now();
    let before = laboratory.requests("GET activity/email").await;
    let mut walks = 0;
    let over = |topics: &Topics| {
        let Some(snapshot) = topics.position().snapshot else { return Some(()) };
        let email = snapshot.objects.get("email")?;
        walks = walks.max(email.walks.len());
        email.end.as_ref().map(|_| ())
    };
    laboratory.topics.until(over).await;
    let seconds = began.elapsed().as_secs_f64();
    let run = laboratory.run_ends(1).await;
    let pages = run.objects["email"].tally.pages;
    // Some ask for the number of rows.
    let others = laboratory.requests("GET activity/email").await - pages;
    assert!(others <= 6, "no request is refused or repeated: {others}");
    assert!(run.complete() && pages <= 100 && walks >= 4, "{pages} pages, {walks} walks");
    let used = f64::from(u32::try_from(pages - before).unwrap()) / (f64::from(LIMIT) * seconds);
    println!("{pages} pages in {seconds:.2} s: {used:.3} of the allowance");
}
