//! Over real sockets of the loopback interface.

use std::future::Future;

use arc_swap::ArcSwap;
use berth_solver::model::Timestamp;
use berth_solver::placement::{self, StandingPlan};
use berth_solver::testing::{cluster, node};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::cache::{self, Cache, Kind};
use crate::clock::Clock;
use crate::extender::{Extender, ExtenderState};
use crate::metrics::Metrics;

mod streams;

/// Nothing here takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: still waiting after {DEADLINE:?}"),
    }
}

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn serve(handler: impl Handler, limits: Limits) -> Server {
    let listener = bind_loopback(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.address();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(listener.serve(Arc::new(handler), limits, shutdown.clone()));
    Server { address, shutdown, task }
}

fn extender_state() -> ExtenderState {
    let nodes = (0..100).map(|index| node(&format!("node-{index}"), 4_000, 8_192));
    let snapshot = nodes.fold(cluster(), |cluster, node| cluster.node(node)).snapshot();
    ExtenderState {
        cache: Cache::of(snapshot),
        plan: Arc::new(ArcSwap::from_pointee(StandingPlan {
            confirmed_at: Timestamp::default(),
            expires_at: Timestamp::from_seconds(i64::MAX),
            ..StandingPlan::default()
        })),
        settings: placement::Settings::default(),
        clock: Clock::system(),
        metrics: Arc::new(Metrics::new()),
        binder: None,
    }
}

async fn serve_extender(limits: Limits) -> Server {
    serve(Extender::new(extender_state()), limits).await
}

/// A client that sends exactly what it is told to.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        let stream = within("connect", TcpStream::connect(server.address)).await.unwrap();
        Self { stream, read: Vec::new() }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("send", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// The next answer, which must have a `Content-Length`; `None` if the server has hung up.
    async fn answer(&mut self) -> Option<Answer> {
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            self.more().await?;
        };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize =
            length.unwrap_or_else(|| panic!("no length in {head}")).parse().unwrap();
        assert!(!head.contains("transfer-encoding"), "{head}");
        while self.read.len() < length {
            self.more().await?;
        }
        let rest = self.read.split_off(length);
        let body = String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
        Some(Answer { status: head[9..12].parse().unwrap(), head, body })
    }

    async fn more(&mut self) -> Option<()> {
        match within("answer", self.stream.read_buf(&mut self.read)).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    async fn status(&mut self) -> Option<u16> {
        self.answer().await.map(|answer| answer.status)
    }

    async fn post(&mut self, body: &str) -> Option<Answer> {
        self.send(post(body)).await;
        self.answer().await
    }
}

fn post(body: &str) -> String {
    format!("POST /filter HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

const ASK: &str = r#"{"Pod":{"metadata":{"uid":"1"}},"Nodes":null,"NodeNames":["node-1","other"]}"#;

fn quick() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(100),
        body_timeout: Duration::from_millis(100),
        ..Limits::default()
    }
}

/// The server still answers others.
async fn assert_alive(server: &Server) {
    let answer = Client::connect(server).await.post(ASK).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#""NodeNames":["node-1","other"]"#), "{}", answer.body);
}

#[tokio::test]
async fn a_connection_is_kept_and_lengths_are_always_given() {
    let server = serve_extender(Limits::default()).await;
    let mut client = Client::connect(&server).await;
    for _ in 0..20 {
        assert_eq!(client.post(ASK).await.unwrap().status, 200);
    }
    assert_eq!(client.post("{").await.unwrap().status, 400);
    client.send("POST /bind HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}").await;
    assert_eq!(client.status().await, Some(404));
    client.send("GET /filter HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.status().await, Some(405));
    assert_eq!(client.post(ASK).await.unwrap().status, 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = serve_extender(Limits::default()).await;
    let mut client = Client::connect(&server).await;
    client.send([post(ASK), post("{"), post(ASK)].concat()).await;
    for expected in [200, 400, 200] {
        assert_eq!(client.status().await, Some(expected));
    }
}

#[tokio::test]
async fn an_unused_connection_outlives_the_header_timeout() {
    let server = serve_extender(quick()).await;
    let mut client = Client::connect(&server).await;
    for _ in 0..2 {
        // In pieces, so that body bytes come alone too.
        let request = post(ASK);
        let (head, body) = request.split_at(request.len() - 10);
        client.send(head).await;
        client.send(body).await;
        assert_eq!(client.status().await, Some(200));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(client.post(ASK).await.unwrap().status, 200);
}

#[tokio::test]
async fn clients_that_do_not_complete_their_headers_are_given_up() {
    let server = serve_extender(quick()).await;
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "POST /filter HTTP/1.1\r\nHost: x\r\nA:"] {
        let mut client = Client::connect(&server).await;
        client.send(beginning).await;
        assert_eq!(client.status().await, None, "{beginning:?}");
    }
    // The second request on a connection, one byte at a time.
    let mut client = Client::connect(&server).await;
    assert_eq!(client.post(ASK).await.unwrap().status, 200);
    let trickle = async {
        loop {
            if client.stream.write_all(b"P").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("trickle", trickle).await;
    assert_alive(&server).await;
}

#[tokio::test]
async fn bodies_that_do_not_end_are_408_and_truncated_ones_get_no_answer() {
    let server = serve_extender(quick()).await;
    let mut slow = Client::connect(&server).await;
    let request = post(ASK);
    slow.send(&request[..request.len() - 1]).await;
    assert_eq!(slow.status().await, Some(408));
    let mut truncated = Client::connect(&server).await;
    truncated.send(&request[..request.len() - 1]).await;
    truncated.stream.shutdown().await.unwrap();
    assert!(matches!(truncated.status().await, None | Some(400)));
    let mut empty = Client::connect(&server).await;
    assert_eq!(empty.post("").await.unwrap().status, 400);
    assert_alive(&server).await;
}

#[tokio::test]
async fn ten_megabytes_are_413() {
    let server = serve_extender(Limits::default()).await;
    let mut client = Client::connect(&server).await;
    let answer = client.post(&"x".repeat(10 << 20)).await.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(answer.body, "the body is too large: at most 4194304 bytes\n");
    assert_eq!(client.post(ASK).await.unwrap().status, 200, "the rest was read");
    let mut chunked = Client::connect(&server).await;
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    chunked.send("POST /filter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..5 {
        chunked.send(&chunk).await;
    }
    chunked.send("0\r\n\r\n").await;
    assert_eq!(chunked.status().await, Some(413));
    let mut patient = Client::connect(&server).await;
    patient
        .send("POST /filter HTTP/1.1\r\nHost: x\r\nContent-Length: 4194305\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(patient.status().await, Some(413));
    let mut just_fits = Client::connect(&server).await;
    assert_eq!(just_fits.post(&" ".repeat(4 << 20)).await.unwrap().status, 400);
}

#[tokio::test]
async fn deep_nesting_is_400_and_the_process_lives() {
    let server = serve_extender(Limits::default()).await;
    let mut client = Client::connect(&server).await;
    for open in ["[", r#"{"Pod":"#, r#"{"Nodes":"#] {
        assert_eq!(client.post(&open.repeat(100_000)).await.unwrap().status, 400, "{open}");
    }
    assert_alive(&server).await;
}

#[tokio::test]
async fn broken_http_is_refused() {
    let server = serve_extender(Limits::default()).await;
    let huge = format!("POST /filter HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(80 << 10));
    let smuggled =
        "POST /filter HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}";
    for (request, expected) in [(huge.as_str(), 431), (smuggled, 400), ("nonsense\r\n\r\n", 400)] {
        let mut client = Client::connect(&server).await;
        let _ = client.stream.write_all(request.as_bytes()).await;
        let status = client.status().await;
        assert!(status.is_none() || status == Some(expected), "{status:?} {expected}");
    }
    assert_alive(&server).await;
}

#[tokio::test]
async fn many_calls_at_once_are_all_answered() {
    let server = serve_extender(Limits::default()).await;
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        let mut client = Client::connect(&server).await;
        clients.spawn(async move {
            for _ in 0..20 {
                assert_eq!(client.post(ASK).await.unwrap().status, 200);
            }
        });
    }
    within("all", clients.join_all()).await;
}

#[tokio::test]
async fn http_2_without_tls_is_spoken_to_who_knows() {
    let server = serve_extender(quick()).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::post("http://x/filter").body(Full::new(Bytes::from(ASK))).unwrap();
        let response = within("h2", sender.send_request(request)).await.unwrap();
        assert_eq!(
            (response.version(), response.status()),
            (hyper::Version::HTTP_2, StatusCode::OK)
        );
        assert!(response.headers().contains_key("content-length"));
        response.into_body().collect().await.unwrap();
        // Longer than the header timeout.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(sender);
    within("h2 end", connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_and_requests_over_the_limit_wait_or_are_503() {
    let server = serve_extender(Limits { connections: 2, requests: 1, ..Limits::default() }).await;
    let mut first = Client::connect(&server).await;
    let request = post(ASK);
    let (beginning, rest) = request.split_at(request.len() - 5);
    first.send(beginning).await;
    let mut second = Client::connect(&server).await;
    let busy = async {
        // Until the server has come to read the first one's body.
        loop {
            let answer = second.post(ASK).await.unwrap();
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let answer = within("busy", busy).await;
    assert_eq!(answer.body, "busy: at most 1 requests at a time\n");
    let mut third = Client::connect(&server).await;
    third.send(&request).await;
    let early = tokio::time::timeout(Duration::from_millis(100), third.status()).await;
    assert!(early.is_err(), "two connections are open already");
    first.send(rest).await;
    assert_eq!(first.status().await, Some(200));
    drop(first);
    assert_eq!(third.status().await, Some(200));
}

struct Panics;

impl Handler for Panics {
    fn handle(&self, request: Request<Bytes>) -> Reply {
        assert!(!request.uri().path().contains("panic"), "as asked");
        text(StatusCode::OK, "fine").into()
    }
}

/// Waits until it is told to go on, and tells when it is done.
struct Slow {
    begun: Arc<tokio::sync::Notify>,
    go_on: Arc<tokio::sync::Notify>,
    done: Arc<tokio::sync::Notify>,
}

impl Handler for Slow {
    fn handle(&self, _: Request<Bytes>) -> Reply {
        let (begun, go_on, done) = (self.begun.clone(), self.go_on.clone(), self.done.clone());
        Reply::Later(Box::pin(async move {
            begun.notify_one();
            go_on.notified().await;
            done.notify_one();
            text(StatusCode::OK, "done")
        }))
    }
}

#[tokio::test]
async fn work_that_was_begun_is_done_though_the_client_has_gone_away() {
    let notify = || Arc::new(tokio::sync::Notify::new());
    let (begun, go_on, done) = (notify(), notify(), notify());
    let slow = Slow { begun: begun.clone(), go_on: go_on.clone(), done: done.clone() };
    let server = serve(slow, Limits::default()).await;
    let mut client = Client::connect(&server).await;
    client.send(post(ASK)).await;
    within("begin", begun.notified()).await;
    drop(client);
    go_on.notify_one();
    within("the end of the work", done.notified()).await;
    let mut patient = Client::connect(&server).await;
    patient.send(post(ASK)).await;
    go_on.notify_one();
    assert_eq!(patient.status().await, Some(200));
}

#[tokio::test]
async fn a_panic_is_500_and_the_process_lives() {
    let server = serve(Panics, Limits::default()).await;
    let mut client = Client::connect(&server).await;
    for (path, expected) in [("/panic", 500), ("/", 200), ("/panic", 500), ("/", 200)] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(client.status().await, Some(expected));
    }
}

#[tokio::test]
async fn a_shutdown_lets_requests_under_way_end_and_accepts_no_more() {
    let server = serve_extender(Limits { requests: 1, ..Limits::default() }).await;
    let mut idle = Client::connect(&server).await;
    assert_eq!(idle.post(ASK).await.unwrap().status, 200);
    let request = post(ASK);
    let (beginning, rest) = request.split_at(request.len() - 5);
    let mut under_way = Client::connect(&server).await;
    under_way.send(beginning).await;
    within("under way", async { while idle.post(ASK).await.unwrap().status != 503 {} }).await;
    server.shutdown.cancel();
    assert_eq!(idle.status().await, None, "closed");
    under_way.send(rest).await;
    let answer = under_way.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(under_way.status().await, None, "closed");
    within("end", server.task).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_cuts_off_what_does_not_end() {
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = serve_extender(limits).await;
    let mut client = Client::connect(&server).await;
    client.send(&post(ASK)[..60]).await;
    server.shutdown.cancel();
    within("end", server.task).await.unwrap();
    assert_eq!(client.status().await, None);
}

#[tokio::test]
async fn plain_http_is_refused_on_every_address_that_others_can_reach() {
    for address in ["0.0.0.0:0", "[::]:0", "10.0.0.1:8888", "[::ffff:10.0.0.1]:0"] {
        let refused = bind_loopback(address.parse().unwrap()).await.unwrap_err();
        let message = refused.to_string();
        assert!(message.contains("must be a loopback address (127.0.0.1 or [::1])"), "{message}");
    }
    let taken = bind_loopback("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert_ne!(taken.address().port(), 0);
    let message = bind(taken.address()).await.unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot listen on {}: ", taken.address())), "{message}");
}

async fn get(server: &Server, path: &str) -> Answer {
    let mut client = Client::connect(server).await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    client.answer().await.unwrap()
}

#[tokio::test]
async fn ready_means_that_every_watch_has_ended_its_first_list() {
    let (writer, sender, mut cache) =
        cache::channel(cache::Settings::default(), [Kind::Pod, Kind::Node]);
    let writer = tokio::spawn(writer.run());
    let server = serve(HealthHandler::new(cache.clone()), Limits::default()).await;
    assert_eq!(get(&server, "/healthz").await.status, 200);
    let answer = get(&server, "/readyz").await;
    assert_eq!((answer.status, &*answer.body), (503, "not ready: still listing Pod, Node\n"));
    sender.synced(Kind::Pod).await.unwrap();
    sender.synced(Kind::Node).await.unwrap();
    within("sync", cache.until_synced()).await.unwrap();
    assert_eq!(get(&server, "/readyz").await.status, 200);
    assert_eq!(get(&server, "/metrics").await.status, 404);
    drop(sender);
    within("writer", writer).await.unwrap();
}

#[tokio::test]
async fn metrics_are_served_as_open_metrics_and_count_the_calls() {
    let state = extender_state();
    let metrics = serve(MetricsHandler::new(Arc::clone(&state.metrics)), Limits::default()).await;
    let extender = serve(Extender::new(state), Limits::default()).await;
    let mut client = Client::connect(&extender).await;
    client.post(ASK).await.unwrap();
    client.post("{").await.unwrap();
    let answer = get(&metrics, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/openmetrics-text"), "{}", answer.head);
    for line in [
        r#"berth_extender_requests_total{verb="filter",code="200"} 1"#,
        r#"berth_extender_requests_total{verb="filter",code="400"} 1"#,
        r#"berth_extender_duration_seconds_count{verb="filter"} 2"#,
        r#"berth_extender_verdicts_total{verdict="unplanned"} 1"#,
    ] {
        assert!(answer.body.lines().any(|other| other == line), "{line}: {}", answer.body);
    }
    let mut client = Client::connect(&metrics).await;
    client.send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.status().await, Some(405));
}
