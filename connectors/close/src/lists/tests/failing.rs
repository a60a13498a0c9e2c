//! Lists that Close does not give, and rows that are gone in doubt.

use reqwest::Method;
use serde_json::json;

use super::*;
use crate::{
    client::tests::{set_faults, within},
    codes,
    position::ObjectEnd,
    snapshot::tests::laboratory::Laboratory,
};

const LINKS: &str = "integration_link";

async fn make_link(laboratory: &Laboratory, name: &str) -> String {
    let link = json!({"name": name, "url": "https://maps.example/{{ lead.id }}", "type": "lead"});
    laboratory.write(Method::POST, "integration_link/", &link).await["id"].as_str().unwrap().to_owned()
}

/// Reads the lists until it is dropped.
struct Reading(tokio::task::JoinHandle<()>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn read(context: &Context) -> Reading {
    let context = context.clone();
    Reading(tokio::spawn(async move { keep_lists(&context).await.unwrap() }))
}

#[tokio::test]
async fn a_list_that_keeps_failing_waits_alone_and_is_read_again() {
    let mut laboratory = Laboratory::new(1, "user,dialer,integration_link").await.key("lists.interval", "1s");
    laboratory.patience = Duration::from_secs(1);
    set_faults(&laboratory.close, &[json!({"endpoint": "GET dialer", "kind": "status", "status": 500})]);
    let running = laboratory.start().await;
    let _reading = read(&running.context);
    let (code, chain) = within(laboratory.seen.wait_of("list dialer")).await;
    assert_eq!(code, codes::FAILING, "{chain}");
    let link = make_link(&laboratory, "later").await;
    laboratory.topics.until(|topics| topics.ids(LINKS).contains(&link).then_some(())).await;
    let dialer = kind("dialer").unwrap();
    assert_eq!(running.context.lists.rows(dialer), None);
    set_faults(&laboratory.close, &[]);
    within(running.context.lists.read_once(dialer)).await;
}

#[tokio::test]
async fn a_row_that_is_gone_in_doubt_stays_and_everything_else_is_published() {
    let laboratory = Laboratory::new(1, LINKS).await.key("lists.interval", "1s");
    let running = laboratory.start().await;
    let _reading = read(&running.context);
    let links = [make_link(&laboratory, "one").await, make_link(&laboratory, "two").await];
    laboratory.topics.until(|topics| links.iter().all(|id| topics.ids(LINKS).contains(id)).then_some(())).await;
    let doubt = json!({"endpoint": format!("GET integration_link/{}", links[0]), "kind": "status", "status": 403});
    set_faults(&laboratory.close, &[doubt]);
    laboratory.delete("integration_link", &links).await;
    let new = make_link(&laboratory, "new").await;
    laboratory.topics.until(|topics| topics.ids(LINKS).contains(&new).then_some(())).await;
    laboratory.topics.until(|topics| (!topics.ids(LINKS).contains(&links[1])).then_some(())).await;
    assert!(laboratory.topics.ids(LINKS).contains(&links[0]));
    set_faults(&laboratory.close, &[]);
    laboratory.topics.until(|topics| (!topics.ids(LINKS).contains(&links[0])).then_some(())).await;
}

#[tokio::test]
async fn too_many_deletes_of_a_list_wait_for_approval_and_what_differs_is_published() {
    let laboratory = Laboratory::new(1, "integration_link,note").await;
    let laboratory = laboratory.key("lists.interval", "1s").key("compare.deletes.max.share", "0%");
    let running = laboratory.start().await;
    let _reading = read(&running.context);
    let mut links = Vec::new();
    for number in 0..8 {
        links.push(make_link(&laboratory, &number.to_string()).await);
    }
    laboratory.topics.until(|topics| links.iter().all(|id| topics.ids(LINKS).contains(id)).then_some(())).await;
    laboratory.delete("integration_link", &links[..3]).await;
    let new = make_link(&laboratory, "new").await;
    laboratory
        .topics
        .until(|topics| {
            let held = topics.position().held.remove(LINKS)?;
            matches!(held.end, ObjectEnd::AwaitsApproval { unlisted: 3, allowed: 0, .. }).then_some(())
        })
        .await;
    let (code, chain) = within(laboratory.seen.wait_of("list integration_link")).await;
    assert!(code == codes::DELETES_WAIT && chain.contains("integration_link"), "{chain}");
    laboratory.topics.until(|topics| topics.ids(LINKS).contains(&new).then_some(())).await;
    assert!(links.iter().all(|id| laboratory.topics.ids(LINKS).contains(id)), "nothing is deleted unasked");
    assert_eq!(
        within(laboratory.report.approve(Vec::new(), std::collections::BTreeMap::new())).await,
        Ok(vec![LINKS.to_owned()])
    );
    laboratory.topics.until(|topics| links[..3].iter().all(|id| !topics.ids(LINKS).contains(id)).then_some(())).await;
    laboratory.topics.until(|topics| topics.position().held.is_empty().then_some(())).await;
    assert!(links[3..].iter().all(|id| laboratory.topics.ids(LINKS).contains(id)));
}
