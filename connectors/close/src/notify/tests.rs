//! Notices over real connections: letters to a mail server, posts to a receiver, and both out of a position.

mod mail_server;
mod receiver;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value as Json, json};
use towpath_api::{ChangeEvent, Journal, Object, Parts, Placed, Position, PublishedRecords};
use towpath_keys::{Flat, read};

use self::{
    mail_server::{MailServer, Refuse},
    receiver::Receiver,
};
use super::*;
use crate::{
    codes,
    config::{
        CloseConfig,
        notify::{self, Encryption},
    },
    metrics::CloseMetrics,
    moment::Moment,
    position::{Ended, ObjectState},
    publish::publisher,
    sync_run::tests::first,
};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
/// What no error, letter, post or log may hold.
const CANARY: &str = "canary-password";

fn config(keys: &[(&str, &str)]) -> CloseConfig {
    let needed = [("close.api.key", CANARY), ("notify.from", "Towpath <towpath@example.com>")];
    read::<CloseConfig>(&Flat::from_strings(needed.iter().chain(keys).copied())).unwrap().0
}

fn from() -> From {
    From { connector: "close".to_owned(), organization: "orga_1".to_owned() }
}

fn ended(config: &CloseConfig) -> Ended {
    Ended::new(first("contact", ObjectState::AwaitsApproval, "9 are gone"), config)
}

/// A position with a run that is to be told.
fn position(config: &CloseConfig) -> ClosePosition {
    let mut position = ClosePosition { organization: "orga_1".to_owned(), ..ClosePosition::default() };
    position.notices.ended(ended(config));
    position
}

fn outstanding(config: &CloseConfig) -> Outstanding {
    position(config).notices.next(Channel::Record).unwrap().clone()
}

fn mail(server: &MailServer, to: &str, more: &[(&str, &str)]) -> Mail {
    let url = format!("smtp://towpath%40example.com@127.0.0.1:{}", server.port);
    let keys = [("notify.email", to), ("notify.smtp.url", &url), ("notify.smtp.password", CANARY)];
    Mail::new(&config(&[&keys, more].concat()), &from()).unwrap().unwrap()
}

/// The letters that a server has, by receiver.
fn receivers(server: &MailServer) -> Vec<String> {
    server.letters().into_iter().map(|letter| letter.to).collect()
}

#[tokio::test]
async fn a_letter_arrives_with_the_text_and_is_from_the_sender() {
    let server = MailServer::plain().await;
    let config = config(&[]);
    mail(&server, "admin@example.com, Ünal <unal@example.com>", &[]).deliver(&outstanding(&config)).await.unwrap();
    let letters = server.letters();
    assert_eq!(receivers(&server), ["admin@example.com", "unal@example.com"]);
    for letter in &letters {
        assert_eq!(
            (letter.from.as_str(), letter.user.as_deref()),
            ("towpath@example.com", Some("towpath@example.com"))
        );
        assert!(
            letter.text.contains("Subject: Close: your approval is needed for deleting contacts"),
            "{}",
            letter.text
        );
        assert!(letter.text.contains("Auto-Submitted: auto-generated") && letter.text.contains("text/plain"));
        assert!(letter.text.contains("Message-ID: <run-1.orga_1@towpath.invalid>"), "{}", letter.text);
        assert!(letter.text.contains("towpath snapshot approve close --object contact"), "{}", letter.text);
        assert!(!letter.text.contains(CANARY));
    }
    assert!(letters[0].text.contains("To: admin@example.com") && !letters[0].text.contains("unal@example.com"));
}

#[tokio::test]
async fn a_letter_goes_over_tls_to_a_server_whose_certificate_is_trusted() {
    for (server, encryption) in
        [(MailServer::tls().await, Encryption::Tls), (MailServer::start_tls().await, Encryption::StartTls)]
    {
        let by = |host: &str, more: &[(&str, &str)]| {
            let server = notify::MailServer { host: host.to_owned(), port: server.port, encryption, user: None };
            let keys = [&[("notify.email", "a@example.com"), ("notify.smtp.url", "smtps://h")], more].concat();
            Mail::by(server, &config(&keys), "t@example.com", &from()).unwrap()
        };
        let trusted = [("notify.smtp.ca", mail_server::CERTIFICATE)];
        let notice = outstanding(&config(&[]));
        by("localhost", &trusted).deliver(&notice).await.unwrap();
        assert_eq!(receivers(&server), ["a@example.com"], "{encryption:?}");

        let error = by("localhost", &[]).deliver(&notice).await.unwrap_err();
        assert_eq!((error.code, error.needs_action()), (codes::NOTICE_EMAIL, true), "{}", error.chain());
        assert!(error.help().unwrap().contains("notify.smtp.ca"), "{:?}", error.help());
        assert_eq!(server.letters().len(), 1, "{encryption:?}");
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_letter_and_no_password() {
    let server = MailServer::plain().await;
    let target = notify::MailServer {
        host: "localhost".to_owned(),
        port: server.port,
        encryption: Encryption::StartTls,
        user: Some("u".to_owned()),
    };
    let keys =
        [("notify.email", "a@example.com"), ("notify.smtp.url", "smtps://u@h"), ("notify.smtp.password", CANARY)];
    let mut mail = Mail::by(target, &config(&keys), "t@example.com", &from()).unwrap();
    let error = mail.deliver(&outstanding(&config(&[]))).await.unwrap_err();
    assert!(error.chain().to_lowercase().contains("starttls"), "{}", error.chain());
    assert!(server.letters().is_empty() && !server.said().contains("AUTH"), "{}", server.said());
}

#[tokio::test]
async fn a_refused_address_keeps_no_other_from_its_letter_and_none_is_repeated() {
    let server = MailServer::plain().await;
    server.refuse(Refuse::Receiver("gone@example.com"));
    let mut mail = mail(&server, "gone@example.com,admin@example.com", &[]);
    let notice = outstanding(&config(&[]));
    for _ in 0..2 {
        let error = mail.deliver(&notice).await.unwrap_err();
        assert!(error.needs_action() && error.chain().contains("550"), "{}", error.chain());
    }
    assert_eq!(receivers(&server), ["admin@example.com"]);
    server.refuse(Refuse::Nothing);
    mail.deliver(&notice).await.unwrap();
    assert_eq!(receivers(&server), ["admin@example.com", "gone@example.com"]);
}

#[tokio::test]
async fn a_wrong_password_is_reported_without_it() {
    let server = MailServer::plain().await;
    server.refuse(Refuse::Password);
    let error = mail(&server, "a@example.com", &[]).deliver(&outstanding(&config(&[]))).await.unwrap_err();
    assert_eq!(error.error_type, towpath_api::ErrorType::Auth, "{}", error.chain());
    assert!(!format!("{error:?}{}", error.chain()).contains(CANARY));
    assert!(error.help().unwrap().contains("notify.smtp.password"));
}

#[tokio::test]
async fn a_post_is_signed_and_the_same_when_it_is_repeated() {
    let receiver = Receiver::start().await;
    let config = config(&[("notify.webhook.url", &receiver.url("/hook")), ("notify.webhook.secret", SECRET)]);
    let mut posts = Posts::new(&config, &from()).unwrap().unwrap();
    let notice = outstanding(&config);
    receiver.answers(&[503, 200, 200]);
    assert!(!posts.deliver(&notice).await.unwrap_err().needs_action());
    posts.deliver(&notice).await.unwrap();
    let posts = receiver.verified(b"0123456789abcdef01234567");
    assert_eq!(posts.len(), 3);
    let ids: Vec<&str> = posts.iter().map(|post| post.id.as_str()).collect();
    let completed = "msg_orga_1_run-1_sync_completed";
    assert_eq!(ids, [completed, completed, "msg_orga_1_run-1_approval_needed"]);
    assert_eq!(posts[0].body, posts[1].body);
    let body: Json = serde_json::from_str(&posts[1].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["rows"]), (&json!("close.sync_completed"), &json!(51_234)));
    assert_eq!(body["data"]["objects"]["lead"]["check"]["agrees"], true);
    assert_eq!((&body["data"]["organization"], &body["data"]["connector"]), (&json!("orga_1"), &json!("close")));
    let asked: Json = serde_json::from_str(&posts[2].body).unwrap();
    assert_eq!(asked["data"]["objects"], json!({ "contact": "9 are gone" }));
    assert!(posts.iter().all(|post| !post.body.contains(CANARY)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::start().await;
    let config = config(&[("notify.webhook.url", &receiver.url("/hook")), ("notify.webhook.secret", SECRET)]);
    receiver.answers(&[307]);
    let error = Posts::new(&config, &from()).unwrap().unwrap().deliver(&outstanding(&config)).await.unwrap_err();
    assert!(error.needs_action() && error.help().unwrap().contains("redirects"), "{}", error.chain());
    assert_eq!(receiver.verified(b"0123456789abcdef01234567").len(), 1);
    assert!(!error.chain().contains("/hook"), "the path may be a secret: {}", error.chain());
}

/// A journal in memory, which outlives its publisher.
#[derive(Clone, Default)]
struct Memory {
    events: Arc<Mutex<Vec<ChangeEvent>>>,
    position: Arc<Mutex<Option<Position>>>,
}

impl Journal for Memory {
    async fn prepare(&mut self, _: &Arc<Object>) -> Result<()> {
        Ok(())
    }

    async fn position(&mut self) -> Result<Option<Position>> {
        Ok(self.position.lock().unwrap().clone())
    }

    fn records(&self) -> Arc<dyn PublishedRecords> {
        unimplemented!("notices read nothing back")
    }

    async fn check(&mut self, _: &ChangeEvent) -> Result<()> {
        Ok(())
    }

    async fn publish(&mut self, events: &[ChangeEvent], position: Position) -> Result<Vec<Placed>> {
        self.events.lock().unwrap().extend_from_slice(events);
        *self.position.lock().unwrap() = Some(position);
        Ok(Vec::new())
    }
}

/// Parts that wait, by name.
#[derive(Default)]
struct Waiting(Mutex<Vec<String>>);

impl Parts for Waiting {
    fn waits(&self, part: &str, error: &Error, _: u32, _: Duration) {
        self.0.lock().unwrap().push(format!("{part}: {}", error.chain()));
    }

    fn works(&self, _: &str) {}
}

/// Runs the desk at `position` until `until` is true of the journal.
async fn run_until(
    config: &CloseConfig,
    position: ClosePosition,
    journal: &Memory,
    until: impl Fn() -> bool,
) -> Arc<Waiting> {
    let (outbox, publishing) = publisher(position, CloseMetrics::unregistered().of("close"));
    let waiting = Arc::new(Waiting::default());
    let life = Lifecycle::default().with_parts(Arc::clone(&waiting) as _);
    let desk = Desk { outbox, life, series: CloseMetrics::unregistered().of("close") };
    let (posts, mail, from) = (Posts::new(config, &from()), Mail::new(config, &from()), from());
    let channels = channels(config);
    let mut out = journal.clone();
    let looking = async {
        while !until() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let running = async {
        tokio::select! {
            ended = desk.write_records(&from, &channels) => ended,
            ended = desk.deliver(Channel::Post, posts) => ended,
            ended = desk.deliver(Channel::Letter, mail) => ended,
            ended = publishing.run(&mut out) => ended,
        }
    };
    tokio::select! {
        ended = running => panic!("the desk has ended: {ended:?}"),
        () = looking => {}
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("nothing came: {:?}", waiting.0.lock().unwrap()),
    }
    waiting
}

fn stored(journal: &Memory) -> ClosePosition {
    ClosePosition::read(journal.position.lock().unwrap().clone().unwrap()).unwrap()
}

#[tokio::test]
async fn a_failing_mail_server_holds_up_neither_records_nor_posts_and_the_letter_survives_a_restart() {
    let (server, receiver) = (MailServer::plain().await, Receiver::start().await);
    server.refuse(Refuse::Receiver("admin@example.com"));
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let config = config(&[
        ("notify.webhook.url", &receiver.url("/")),
        ("notify.webhook.secret", SECRET),
        ("notify.email", "admin@example.com"),
        ("notify.smtp.url", &url),
    ]);
    let journal = Memory::default();
    let told = || {
        let position = journal.position.lock().unwrap().clone();
        position.is_some_and(|position| {
            let position = ClosePosition::read(position).unwrap();
            position.notices.next(Channel::Record).is_none() && position.notices.next(Channel::Post).is_none()
        })
    };
    let waiting = run_until(&config, position(&config), &journal, || told() && !server.said().is_empty()).await;
    assert_eq!(journal.events.lock().unwrap()[0].event_id, "sync_run/orga_1/1");
    let posted = receiver.verified(b"0123456789abcdef01234567").len();
    assert_eq!((posted, server.letters().len()), (2, 0));
    drop(waiting);

    // The next process finds the letter in the position, and neither the record nor the posts.
    server.refuse(Refuse::Nothing);
    run_until(&config, stored(&journal), &journal, || stored(&journal).notices.next(Channel::Letter).is_none()).await;
    assert_eq!(receivers(&server), ["admin@example.com"]);
    assert_eq!((receiver.verified(b"0123456789abcdef01234567").len(), journal.events.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn a_gap_of_the_log_is_told_once() {
    let server = MailServer::plain().await;
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let config = config(&[("notify.email", "admin@example.com"), ("notify.smtp.url", &url)]);
    let journal = Memory::default();
    let begin = ClosePosition { gap: Some(Moment(7)), organization: "orga_1".to_owned(), ..ClosePosition::default() };
    let idle = || {
        let stored = journal.position.lock().unwrap().clone().map(|stored| ClosePosition::read(stored).unwrap());
        stored.is_some_and(|stored| stored.notices.next(Channel::Letter).is_none())
    };
    run_until(&config, begin, &journal, || idle() && server.letters().len() == 1).await;
    assert!(server.letters()[0].text.contains("everything is being compared"), "{}", server.letters()[0].text);
    assert_eq!(stored(&journal).notices.untold_gap(Some(Moment(7))), None);
    assert!(journal.events.lock().unwrap().is_empty());
}
