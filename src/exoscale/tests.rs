//! The client against golden signatures and a server that answers what it is told.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_solver::model::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::compute::NewInstance;
use super::network::Reference;
use super::sign::{Message, authorization};
use super::*;
use crate::clock::Clock;
use crate::cloud;

const KEY: &str = "EXOcanarykey";
const SECRET: &str = "canary-of-the-secret";

#[derive(Deserialize)]
struct Vectors {
    key: String,
    secret: String,
    expires: u64,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    method: String,
    url: String,
    body: Option<String>,
    authorization: String,
}

fn data(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BERTH_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join("exoscale").join(file);
    if !path.exists() {
        println!("skipped: there is no exoscale/{file} in the data folder (BERTH_DATA)");
        return None;
    }
    Some(path)
}

fn signed(credentials: &Credentials, method: &str, url: &str, body: &str, expires: u64) -> String {
    let uri: hyper::Uri = url.parse().unwrap();
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let query: Vec<(&str, String)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let body = body.as_bytes();
    let message = Message { method, path: uri.path(), query: &query, body, expires };
    authorization(credentials, &message)
}

#[test]
fn signatures_equal_those_of_exoscales_own_clients() {
    // These two are constants in egoscale's tests.
    let credentials = Credentials::new(
        "EXOxxxxxxxxxxxxxxxxxxxxxxxx",
        "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        "a test",
    )
    .unwrap();
    let plain = signed(&credentials, "GET", "https://h/v2/zone", "", 3_376_684_800);
    assert!(plain.ends_with("signature=Ntbq/p0HVmA3Zg1HHY+Lq1vjFGi7HeMrrgXDS5jRNlY="), "{plain}");
    let two = signed(&credentials, "GET", "https://h/v2/zone?k2=v2&k1=v1", "", 3_376_684_800);
    assert!(two.contains(",signed-query-args=k1;k2,"), "{two}");
    assert!(two.ends_with("signature=iqOBz13+44L5j0uJclE8hmUhQQcvtCSoPEOXYK6liqY="), "{two}");

    let Some(path) = data("signature-vectors.json") else { return };
    let golden: Vectors = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let credentials = Credentials::new(&golden.key, &golden.secret, "a test").unwrap();
    assert_eq!(golden.vectors.len(), 9);
    for vector in golden.vectors {
        let body = vector.body.as_deref().unwrap_or_default();
        let ours = signed(&credentials, &vector.method, &vector.url, body, golden.expires);
        assert_eq!(ours, vector.authorization, "{} {}", vector.method, vector.url);
    }
}

/// A server that gives one scripted answer a request, and remembers what it was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

/// What a server does with a request.
#[derive(Clone)]
enum Say {
    Answer(u16, Value),
    WithHeader(u16, &'static str, String),
    HangUp,
    Nothing,
}

impl Server {
    async fn new(script: impl IntoIterator<Item = Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v2", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<VecDeque<Say>>> = Arc::new(Mutex::new(script.into_iter().collect()));
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&asked);
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                tokio::spawn(async move { answer(stream, &seen, &script).await });
            }
        });
        Self { address, asked, _tasks: tasks }
    }

    /// Method and path of each request so far.
    fn asked(&self) -> Vec<String> {
        let lines = |text: &String| text.lines().next().unwrap_or_default().to_owned();
        self.asked.lock().iter().map(lines).map(|line| line.replace(" HTTP/1.1", "")).collect()
    }

    fn client(&self) -> Client {
        self.client_with(Clock::system(), quick())
    }

    fn client_with(&self, clock: Clock, settings: Settings) -> Client {
        let credentials = Credentials::new(KEY, SECRET, "a test").unwrap();
        Client::new(&self.address, CredentialSource::Fixed(credentials), clock, settings).unwrap()
    }
}

async fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>, script: &Mutex<VecDeque<Say>>) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("\r\n\r\n") {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    seen.lock().push(text);
    let say = script.lock().pop_front().expect("no more requests were expected");
    let (status, header, body) = match say {
        Say::Answer(status, body) => (status, String::new(), body.to_string()),
        Say::WithHeader(status, name, value) => {
            (status, format!("{name}: {value}\r\n"), "{}".into())
        }
        Say::HangUp => return,
        Say::Nothing => return std::future::pending().await,
    };
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\n{header}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
}

fn quick() -> Settings {
    let short = Duration::from_millis(1);
    let calls = cloud::Settings {
        attempt_timeout: Duration::from_millis(300),
        call_timeout: Duration::from_secs(20),
        first_wait: short,
        ..cloud::Settings::default()
    };
    Settings { calls, poll_first: short, poll_longest: short }
}

fn instance() -> NewInstance {
    NewInstance {
        name: "a".to_owned(),
        instance_type: Reference::to("t"),
        template: Reference::to("i"),
        disk_size: 50,
        labels: [("k".to_owned(), "v".to_owned())].into_iter().collect(),
        user_data: String::new(),
        security_groups: Vec::new(),
        anti_affinity_groups: Vec::new(),
        public_ip_assignment: "inet4",
        ssh_keys: Vec::new(),
    }
}

#[tokio::test]
async fn what_changes_nothing_is_tried_again_and_a_create_never() {
    let types = json!({ "instance-types": [] });
    let script = [Say::Answer(503, json!({})), Say::HangUp, Say::Nothing, Say::Answer(200, types)];
    let server = Server::new(script).await;
    assert_eq!(server.client().instance_types().await, Ok(Vec::new()));
    assert_eq!(server.asked(), ["GET /v2/instance-type"; 4]);

    for (say, kind) in [
        (Say::Answer(502, json!({ "message": "bad gateway" })), ErrorKind::Unavailable),
        (Say::HangUp, ErrorKind::Unavailable),
        (Say::Nothing, ErrorKind::TimedOut),
        (Say::Answer(200, json!("nonsense")), ErrorKind::Unknown),
    ] {
        let server = Server::new([say]).await;
        let error = server.client().create_instance(&instance()).await.unwrap_err();
        assert_eq!((error.kind.clone(), error.may_have_happened), (kind, true), "{error}");
        assert_eq!(server.asked(), ["POST /v2/instance"]);
    }
}

#[tokio::test]
async fn a_refusal_did_not_happen_and_says_what_it_is() {
    for (status, message, kind) in [
        (400, "disk-size must be 10 or more", ErrorKind::Invalid),
        (403, "Quota exceeded", ErrorKind::Quota),
        (503, "Insufficient capacity", ErrorKind::InsufficientCapacity),
        (403, "no", ErrorKind::Forbidden),
        (409, "locked", ErrorKind::Busy),
    ] {
        let server = Server::new([Say::Answer(status, json!({ "message": message }))]).await;
        let error = server.client().create_instance(&instance()).await.unwrap_err();
        assert_eq!((error.kind.clone(), error.may_have_happened), (kind, false), "{error}");
    }
    // Nobody listens: nothing was sent.
    let server = Server::new([]).await;
    let client = server.client();
    drop(server);
    tokio::task::yield_now().await;
    let error = client.create_instance(&instance()).await.unwrap_err();
    assert!(!error.may_have_happened || error.kind == ErrorKind::TimedOut, "{error}");
}

#[tokio::test]
async fn retry_after_holds_every_call_back() {
    let server = Server::new([Say::WithHeader(429, "retry-after", "30".to_owned())]).await;
    let client = server.client();
    let error = client.create_instance(&instance()).await.unwrap_err();
    let retry_after = Some(Duration::from_secs(30));
    assert_eq!(error.kind, ErrorKind::Throttled { retry_after });
    assert!(!error.may_have_happened);
    // The next call may take 20 s: it is refused without being sent.
    let error = client.quotas().await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Throttled { .. }), "{error}");
    assert_eq!(server.asked(), ["POST /v2/instance"]);

    let quotas = json!({ "quotas": [{ "resource": "gpu", "usage": 1, "limit": 4 }] });
    let script = [Say::WithHeader(429, "retry-after", "1".to_owned()), Say::Answer(200, quotas)];
    let server = Server::new(script).await;
    let clock = Clock::system();
    let began = clock.now();
    let found = server.client_with(clock.clone(), quick()).quotas().await.unwrap();
    assert_eq!(found[0].left(), Some(3));
    assert!(clock.now().since(began) >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wrong_clock_is_reported_for_what_it_is() {
    let date = |seconds: u64| {
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds))
    };
    let now = Clock::running(Timestamp::from_seconds(1_000_000), 1.0);
    let server = Server::new([Say::WithHeader(403, "date", date(1_000_900))]).await;
    let error = server.client_with(now.clone(), quick()).quotas().await.unwrap_err();
    let ErrorKind::ClockSkew { off_by, ahead: false } = error.kind.clone() else {
        panic!("{error}");
    };
    assert!((890..=900).contains(&off_by.as_secs()), "{error}");
    assert!(error.to_string().contains("s behind the server's"), "{error}");

    let server = Server::new([Say::WithHeader(403, "date", date(1_000_010))]).await;
    let error = server.client_with(now, quick()).quotas().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden, "a clock that is right is not to blame");
}

#[tokio::test]
async fn an_operation_is_waited_for_until_it_ends() {
    let state = |state: &str| json!({ "id": "op", "state": state, "reference": { "id": "machine", "link": "x" } });
    let script = ["pending", "pending", "success"].map(|text| Say::Answer(200, state(text)));
    let server = Server::new(script).await;
    let client = server.client();
    let began = client.create_instance(&instance()).await.unwrap();
    let ended = client.wait("create-instance", began, Duration::from_secs(20)).await.unwrap();
    assert_eq!(ended.subject(), Some("machine"));
    assert_eq!(server.asked()[1..], ["GET /v2/operation/op"; 2]);

    let failed = json!({ "id": "op", "state": "failure", "reason": "unavailable",
                         "message": "Insufficient capacity" });
    let server = Server::new([Say::Answer(200, failed)]).await;
    let client = server.client();
    let began = client.delete_instance("a b/c").await.unwrap();
    let error = client.wait("delete-instance", began, Duration::from_secs(20)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InsufficientCapacity);
    assert_eq!(server.asked(), ["DELETE /v2/instance/a%20b%2Fc"]);
}

#[tokio::test]
async fn an_operation_that_does_not_end_may_still_end_well() {
    let pending = json!({ "id": "op", "state": "pending" });
    let server = Server::new(vec![Say::Answer(200, pending); 1_000]).await;
    let client = server.client();
    let began = client.delete_instance("a").await.unwrap();
    let patience = Duration::from_millis(30);
    let error = client.wait("delete-instance", began, patience).await.unwrap_err();
    assert_eq!((&error.kind, error.may_have_happened), (&ErrorKind::TimedOut, true), "{error}");
}

#[tokio::test]
async fn a_list_is_filtered_here_too() {
    let machine = |id: &str, label: &str| {
        json!({ "id": id, "state": "running", "labels": { "cluster": label },
                "instance-type": { "id": "t" }, "template": { "id": "i" } })
    };
    let both = json!({ "instances": [machine("ours", "a"), machine("theirs", "b")] });
    let server = Server::new([Say::Answer(200, both)]).await;
    let found = server.client().instances(&[("cluster", "a")]).await.unwrap();
    assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["ours"]);
    assert_eq!(server.asked(), ["GET /v2/instance?labels=cluster%3Da"]);
}

#[tokio::test]
async fn the_key_is_in_no_error() {
    let echo = json!({ "message": format!("no such key {KEY}, signed with {SECRET}") });
    let server = Server::new([Say::Answer(403, echo)]).await;
    let client = server.client();
    let error = client.quotas().await.unwrap_err();
    let text = format!("{error} {error:?} {client:?}");
    assert!(text.contains("no such key [redacted], signed with [redacted]"), "{text}");
    assert!(!text.contains(KEY) && !text.contains(SECRET), "{text}");
    let sent = server.asked.lock().join("\n");
    assert!(sent.contains(KEY) && !sent.contains(SECRET), "only the identifier is sent");
}
