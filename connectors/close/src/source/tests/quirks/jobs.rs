//! Items 36 and 37: what works on after its answer.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_36_an_export_is_followed_to_its_end_without_its_link() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let _running = started(&close, &topics, "export", &[]).await;
    let export = json!({"type": "leads", "format": "json", "s_query": {"query": {
        "type": "object_type", "object_type": "lead"
    }}});
    let export = id(&close.write(Method::POST, "export/lead/", export).await);
    topics.until("the export", |topics| topics.table("export").remove(&export)).await;
    control(&close, "clock/", json!({"advance_secs": 60})).await;
    becomes(&topics, "export", &export, "status", "done").await;
    assert_eq!(value(&topics, "export", &export, "download_url"), None, "the link opens the file to everybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_37_merges_that_end_with_an_error_leave_both_leads_as_close_has_them() {
    let (close, topics) = (Laboratory::new(20).await, Topics::default());
    close.switch("merge_errors", json!(1.0)).await;
    let _running = Running::start(&close, &topics, &[]);
    first_run(&topics).await;
    let leads = ids(&topics, "lead");
    control(&close, "scenarios/merge_storm/", json!({"count": 3})).await;
    control(&close, "clock/", json!({"advance_secs": 60})).await;
    let errored = |topics: &Topics| {
        let rows = topics.table("lead_merge").into_values().map(|row| fields(row.after));
        rows.filter(|row| row.iter().any(|(_, value)| value.contains("errored"))).count()
    };
    topics.until("the errors", |topics| (errored(topics) == 3).then_some(())).await;
    // No event of the leads tells which contacts have moved before the error, so both are read.
    agree(&close, &topics).await;
    assert_eq!(ids(&topics, "lead"), leads, "no lead is deleted");
}
