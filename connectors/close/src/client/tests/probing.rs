//! The check of the key at the start.

use reqwest::Method;
use serde_json::json;

use super::*;
use crate::{client::probe::examine, codes};

fn with_key(running: &Running, key: &str) -> Close {
    let config = config(&running.base_url(), key, &[]);
    Close::new("close", &config, &CloseMetrics::unregistered()).unwrap()
}

#[tokio::test]
async fn the_key_of_an_admin_passes_and_names_its_organization() {
    let running = simulator(1).await;
    let probe = within(examine(&client(&running))).await.unwrap();
    assert!(probe.is_admin && probe.organization.starts_with("orga_"));
    let agent = within(examine(&with_key(&running, &running.key("agent").unwrap()))).await.unwrap();
    assert!(!agent.is_admin);
    assert_eq!(agent.organization, probe.organization);
}

#[tokio::test]
async fn quirk_01_a_wrong_key_is_named_and_not_shown() {
    let running = simulator(0).await;
    let former = running.key("former").unwrap();
    for key in ["api_canary", &former] {
        let close = with_key(&running, key);
        let error = within(examine(&close)).await.unwrap_err();
        assert_eq!((error.code, error.needs_action()), (codes::KEY_REFUSED, true));
        let shown = format!("{close:?} {error:?} {} {:?}", error.chain(), error.help());
        assert!(!shown.contains(key) && !shown.contains("Basic"), "{shown}");
    }
}

#[tokio::test]
async fn quirk_03_a_key_that_does_not_see_all_leads_is_refused() {
    let running = simulator(5).await;
    let close = with_key(&running, &running.key("restricted").unwrap());
    let error = within(examine(&close)).await.unwrap_err();
    assert_eq!(error.code, codes::FORBIDDEN);
    assert!(error.chain().contains("view_all_leads"), "{}", error.chain());
    assert!(error.help().unwrap().contains("admin"));
}

#[tokio::test]
async fn a_key_without_the_event_log_is_refused() {
    let running = simulator(0).await;
    for status in [400, 403] {
        set_faults(&running, &[json!({ "endpoint": "GET event", "kind": "status", "status": status })]);
        let error = within(examine(&client(&running))).await.unwrap_err();
        assert_eq!(error.code, codes::FORBIDDEN);
        assert!(error.chain().contains("event log"), "{}", error.chain());
    }
}

#[tokio::test]
async fn a_wrong_address_is_named() {
    let running = simulator(0).await;
    let host = format!("http://{}", running.address);
    for url in [format!("{host}/api/v2"), format!("{host}/"), format!("{host}/_control/")] {
        let config = config(&url, "api_x", &[]);
        let close = Close::new("close", &config, &CloseMetrics::unregistered()).unwrap();
        let error = within(examine(&close)).await.unwrap_err();
        assert!(matches!(error.code, codes::URL), "{url}: {}", error.chain());
    }
    for url in
        ["api.close.com", "ftp://api.close.com", "https://canary:canary@api.close.com", "https://", "https://x/?y"]
    {
        // A file with such an address is refused before this.
        let mut config = config(&host, "api_x", &[]);
        url.clone_into(&mut config.api_url);
        let error = Close::new("close", &config, &CloseMetrics::unregistered()).unwrap_err();
        assert_eq!(error.code, codes::URL, "{url}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_page_in_place_of_close_is_a_wrong_address_at_the_start_and_an_outage_later() {
    let running = simulator(0).await;
    let page =
        super::transport::serve("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>").await;
    let config = config(&page, "api_x", &[]);
    let close = Close::new("close", &config, &CloseMetrics::unregistered()).unwrap();
    assert_eq!(within(examine(&close)).await.unwrap_err().code, codes::URL);
    let (seen, life) = Seen::life();
    let close = close.reporting(&life);
    let waiting = tokio::spawn(async move { close.get(Lane::Changes, "lead/", &[]).await });
    assert_eq!(within(seen.first_wait()).await.1, codes::UNAVAILABLE);
    waiting.abort();
    drop(running);
}

#[tokio::test]
async fn an_outage_at_the_start_is_waited_out() {
    let running = simulator(0).await;
    set_faults(&running, &[json!({ "endpoint": "*", "kind": "html_502", "times": 1 })]);
    within(examine(&client(&running))).await.unwrap();
}

#[tokio::test]
async fn a_base_without_a_slash_and_a_path_without_one_are_completed() {
    let running = simulator(0).await;
    let url = running.base_url().trim_end_matches('/').to_owned();
    let config = config(&url, &running.key("admin").unwrap(), &[]);
    let close = Close::new("close", &config, &CloseMetrics::unregistered()).unwrap();
    for path in ["me", "/me/", "me/"] {
        within(close.get(Lane::Changes, path, &[])).await.unwrap();
    }
    let lead = within(close.write(Method::POST, "lead", Some(&json!({ "name": "A" })))).await.unwrap();
    assert_eq!(lead.body["name"], "A", "no redirect has lost the body");
}
