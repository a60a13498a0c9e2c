//! Signed posts, in the manner of Standard Webhooks: <https://www.standardwebhooks.com>.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::{Client, Url, redirect};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use towpath_api::{Error, ErrorType, Result};

use super::{Deliver, From, root};
use crate::{
    address::http_url,
    codes,
    config::{CloseConfig, notify::signing_key},
    position::{Notice, Outstanding},
};

/// The time that a receiver has to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Posts notices to one URL.
pub(super) struct Posts {
    client: Client,
    url: Url,
    key: Vec<u8>,
    from: From,
}

impl Posts {
    /// `None` if the config has no URL.
    ///
    /// # Errors
    /// Fatal if the HTTP client cannot be made.
    pub(super) fn new(config: &CloseConfig, from: &From) -> Result<Option<Self>> {
        let (Some(url), Some(secret)) = (&config.notify_webhook_url, &config.notify_webhook_secret) else {
            return Ok(None);
        };
        let failed = |reason: String| {
            Error::fatal(codes::NOTICE_WEBHOOK, ErrorType::Config, "prepare posts to `notify.webhook.url`")
                .because(reason)
        };
        let url = http_url(url).map_err(failed)?;
        let key = signing_key(secret).map_err(failed)?;
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT).build();
        let client = client.map_err(|error| failed(error.to_string()))?;
        Ok(Some(Self { client, url, key, from: from.clone() }))
    }

    async fn post(&self, id: &str, body: String) -> Result<()> {
        let now = Timestamp::try_from(SystemTime::now()).map_or(0, Timestamp::as_second);
        let doing = || format!("post a notice to {}", self.url.host_str().unwrap_or_default());
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature(&self.key, id, now, &body))
            .body(body);
        let answer = request.send().await.map_err(|error| {
            let error_type = if error.is_timeout() { ErrorType::Timeout } else { ErrorType::Unavailable };
            // The outer causes quote the URL, whose path may be a secret.
            Error::retry(codes::NOTICE_WEBHOOK, error_type, doing()).because(root(&error.without_url()))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let doing = format!("{}: it answers {}", doing(), status.as_u16());
        if status.is_redirection() {
            let error = Error::fatal(codes::NOTICE_WEBHOOK, ErrorType::Config, doing);
            return Err(error.with_help("set `notify.webhook.url` to the final address: redirects are not followed"));
        }
        if status.is_client_error() && !matches!(status.as_u16(), 408 | 429) {
            let error = Error::fatal(codes::NOTICE_WEBHOOK, ErrorType::BadRequest, doing);
            return Err(error.with_help("check `notify.webhook.url` and `notify.webhook.secret` with the receiver"));
        }
        Err(Error::retry(codes::NOTICE_WEBHOOK, ErrorType::Unavailable, doing))
    }
}

impl Deliver for Posts {
    async fn deliver(&mut self, notice: &Outstanding) -> Result<()> {
        for (kind, at, data) in events(notice, &self.from) {
            let id = format!("msg_{}_{}_{kind}", self.from.organization, notice.id());
            let body = json!({ "type": format!("close.{kind}"), "timestamp": at, "data": data });
            self.post(&id, body.to_string()).await?;
        }
        Ok(())
    }
}

/// The events of a notice: kind, time and data.
fn events(notice: &Outstanding, from: &From) -> Vec<(&'static str, String, Json)> {
    let with_origin = |mut data: Json| {
        data["connector"] = from.connector.as_str().into();
        data["organization"] = from.organization.as_str().into();
        data
    };
    match &notice.notice {
        Notice::Gap { at } => vec![("gap", at.text(), with_origin(json!({ "noticed": at.text() })))],
        Notice::Run { run } => {
            let mut events = vec![("sync_completed", run.ended.text(), with_origin(run.json()))];
            let waiting = run.awaits_approval();
            if !waiting.is_empty() {
                let reason = |name: &&str| ((*name).to_owned(), json!(run.objects[*name].reason));
                let objects: serde_json::Map<String, Json> = waiting.iter().map(reason).collect();
                let data = json!({ "generation": run.generation, "objects": objects });
                events.push(("approval_needed", run.ended.text(), with_origin(data)));
            }
            events
        }
    }
}

/// `v1,` and the HMAC-SHA256 of `<id>.<timestamp>.<body>` in base64.
fn signature(key: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standards_example() {
        // Standard Webhooks, specification, "Signature scheme", with its example key.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
