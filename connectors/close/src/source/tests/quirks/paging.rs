//! Items 7 to 10, 13 and 14: pages, caps, the search, and lists that leave something out.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_07_clamped_pages_and_lists_without_has_more_are_read_whole() {
    for (name, value) in [("over_limit", json!("clamp")), ("bare_lists_without_has_more", json!(true))] {
        let (close, topics) = (Laboratory::new(20).await, Topics::default());
        close.switch(name, value).await;
        let _running = Running::start(&close, &topics, &[]);
        first_run(&topics).await;
        agree(&close, &topics).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_08_rows_that_shift_between_pages_hide_no_other() {
    let (close, topics) = (Laboratory::new(150).await, Topics::default());
    // Slow enough for the shifts to fall between pages.
    let slow = json!({"groups": {"GET activity/note": {"limit": 2, "window_secs": 1}}, "off": false});
    close.control(Method::PUT, "limits/", Some(slow)).await;
    let before = true_ids(&close, "note").await;
    let _running = Running::start(&close, &topics, &[("objects", "note"), ("snapshot.readers", "1")]);
    topics.until("the first page", |topics| (!topics.table("note").is_empty()).then_some(())).await;
    let read = ids(&topics, "note");
    assert!(read.len() < before.len(), "all {} notes were read at once", before.len());
    // The list has the newest first: what is deleted in front of the reader moves the rest forward.
    for note in read.iter().take(40) {
        close.write(Method::DELETE, &format!("activity/note/{note}/"), json!({})).await;
    }
    close.control(Method::PUT, "limits/", Some(json!({"off": true}))).await;
    first_run(&topics).await;
    let lacks: BTreeSet<String> = true_ids(&close, "note").await.difference(&ids(&topics, "note")).cloned().collect();
    assert_eq!(lacks, BTreeSet::new(), "no row was skipped");
    agree_without(&close, &topics, &others(&["note"])).await;
}

/// All objects but these.
fn others(objects: &[&str]) -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).filter(|name| !objects.contains(name)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_09_what_the_search_does_not_know_yet_comes_by_the_log() {
    let (close, topics) = (Laboratory::new(10).await, Topics::default());
    close.switch("search_lag_ms", json!(3_600_000)).await;
    let contact = json!({"name": "Ida", "emails": [{"email": "ida@new.example", "type": "office"}]});
    let lead = close.write(Method::POST, "lead/", json!({"name": "New", "contacts": [contact]})).await;
    let _running = started(&close, &topics, "lead,contact", &[]).await;
    becomes(&topics, "lead", &id(&lead), "name", "New").await;
    agree_without(&close, &topics, &others(&["lead", "contact"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_10_system_tasks_are_read_and_those_that_close_purges_disappear() {
    let (close, topics) = (Laboratory::new(20).await, Topics::default());
    let keys = [("compare.interval", "1s"), ("compare.deletes.max.share", "100%")];
    let _running = started(&close, &topics, "task", &keys).await;
    let system: Vec<String> = ids(&topics, "task").into_iter().filter(|id| id.starts_with("noti_")).collect();
    let lead_tasks = ids(&topics, "task").len() - system.len();
    assert!(!system.is_empty() && lead_tasks > 0, "the list without `_type=all` has tasks of leads only");
    for task in &system {
        close.write(Method::PUT, &format!("task/{task}/"), json!({"is_complete": true})).await;
    }
    control(&close, "clock/", json!({"advance_secs": 31 * 86_400})).await;
    topics
        .until("the purge", |topics| ids(topics, "task").iter().all(|id| !id.starts_with("noti_")).then_some(()))
        .await;
    assert_eq!(ids(&topics, "task"), true_ids(&close, "task,notification").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_13_smart_views_of_contacts_are_read_although_the_list_hides_them() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let view = json!({
        "name": "People", "type": "contact",
        "s_query": {"query": {"type": "object_type", "object_type": "contact"}}
    });
    let view = id(&close.write(Method::POST, "saved_search/", view).await);
    let hidden = close.get("saved_search/?_limit=100").await;
    assert!(!hidden["data"].as_array().unwrap().iter().any(|row| row["id"] == view), "the list hides it");
    let _running = started(&close, &topics, "smart_view", &[]).await;
    assert!(value(&topics, "smart_view", &view, "type").unwrap().contains("contact"));
    assert_eq!(ids(&topics, "smart_view"), true_ids(&close, "saved_search").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quirk_14_groups_have_their_members_which_the_list_lacks() {
    let (close, topics) = (Laboratory::new(5).await, Topics::default());
    let listed = close.get("group/").await;
    assert!(listed["data"][0].get("members").is_none(), "the list lacks them");
    let _running = started(&close, &topics, "group", &[]).await;
    let groups = topics.table("group");
    assert!(!groups.is_empty());
    for group in groups.keys() {
        let members = value(&topics, "group", group, "members").expect("members");
        let single = close.get(&format!("group/{group}/")).await;
        for member in single["members"].as_array().unwrap() {
            assert!(members.contains(member["user_id"].as_str().unwrap()), "{members}");
        }
    }
}
