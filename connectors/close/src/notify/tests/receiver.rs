//! A receiver of posts on this machine.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// A post as it arrived.
#[derive(Debug, Clone)]
struct Arrived {
    headers: HashMap<String, String>,
    body: String,
}

/// A post whose signature is right.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) id: String,
    pub(super) body: String,
}

#[derive(Debug, Default)]
struct Shared {
    posts: Mutex<Vec<Arrived>>,
    answers: Mutex<VecDeque<u16>>,
}

pub(super) struct Receiver {
    port: u16,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, port, Arc::clone(&serving)));
            }
        });
        Self { port, shared }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The statuses of the next answers; then 200.
    pub(super) fn answers(&self, statuses: &[u16]) {
        self.shared.answers.lock().unwrap().extend(statuses);
    }

    /// All posts, after their signatures were verified as Standard Webhooks says.
    pub(super) fn verified(&self, key: &[u8]) -> Vec<Post> {
        let posts = self.shared.posts.lock().unwrap().clone();
        let verified = posts.into_iter().map(|post| {
            let header = |name: &str| post.headers[name].clone();
            let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
            let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
            mac.update(format!("{id}.{timestamp}.{}", post.body).as_bytes());
            mac.verify_slice(&signature).unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            assert!(timestamp.parse::<u64>().unwrap().abs_diff(now) < 300);
            assert_eq!(header("content-type"), "application/json");
            Post { id, body: post.body }
        });
        verified.collect()
    }
}

async fn connection(stream: TcpStream, port: u16, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut headers = HashMap::new();
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        loop {
            line.clear();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        stream.read_exact(&mut body).await?;
        let body = String::from_utf8(body).unwrap();
        shared.posts.lock().unwrap().push(Arrived { headers, body });
        let status = shared.answers.lock().unwrap().pop_front().unwrap_or(200);
        let answer =
            format!("HTTP/1.1 {status} x\r\nlocation: http://127.0.0.1:{port}/other\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
}
