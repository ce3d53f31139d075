//! The HTTP server, and what tests do with it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::catalog;
use crate::faults::{Fault, Faults};
use crate::journal::Call;
use crate::route::{self, Handler, Refusal, Request};
use crate::signature::{self, Signed};
use crate::world::World;

/// The key that a new fake knows, and its secret.
const KEY: (&str, &str) = ("EXOfake0000000000000000000", "the-secret-of-the-fake");
/// Where prices are published, without a signature.
const PRICES: &str = "/api/pricing/opencompute";

/// What time it is.
pub type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The fake while it runs. It ends when it is dropped.
pub struct Fake {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: AbortHandle,
}

struct Shared {
    state: Mutex<State>,
    now: Now,
    /// Counts calls.
    calls: watch::Sender<usize>,
}

struct State {
    world: World,
    faults: Faults,
    journal: Vec<Call>,
    keys: BTreeMap<String, String>,
    /// What the keys' role allows; `None`: everything.
    allowed: Option<Vec<String>>,
    /// How far the `Date` of answers is behind the fake's clock, in seconds.
    late_date: u64,
    prices: Value,
}

impl fmt::Debug for Fake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fake({})", self.address)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Fake {
    /// Starts a fake of the zone `ch-gva-2` on a free port of the loopback interface, which goes by
    /// the system's clock.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_with("ch-gva-2", Arc::new(SystemTime::now)).await
    }

    /// As [`Self::start`], for any zone and clock.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start_with(zone: &str, now: Now) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = State {
            world: World::new(zone, now()),
            faults: Faults::default(),
            journal: Vec::new(),
            keys: [(KEY.0.to_owned(), KEY.1.to_owned())].into_iter().collect(),
            allowed: None,
            late_date: 0,
            prices: catalog::prices(),
        };
        let calls = watch::channel(0).0;
        let shared = Arc::new(Shared { state: Mutex::new(state), now, calls });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, address, accepting })
    }

    /// Where it is: what `EXOSCALE_API_ENDPOINT` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://{}/v2", self.address)
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its prices are published.
    pub fn prices_address(&self) -> String {
        format!("http://{}{PRICES}", self.address)
    }

    /// A key that it knows, and its secret.
    pub fn key(&self) -> (&'static str, &'static str) {
        KEY
    }

    /// These keys and secrets are known from now on, and no others.
    pub fn set_keys(&self, keys: &[(&str, &str)]) {
        let pairs = keys.iter().map(|(key, secret)| ((*key).to_owned(), (*secret).to_owned()));
        self.shared.state.lock().keys = pairs.collect();
    }

    /// The keys' role allows these operations from now on, and no others.
    pub fn allow_only(&self, operations: &[String]) {
        self.shared.state.lock().allowed = Some(operations.to_vec());
    }

    /// The `Date` of its answers is so many seconds behind its clock.
    pub fn set_late_date(&self, seconds: u64) {
        self.shared.state.lock().late_date = seconds;
    }

    /// What it publishes as prices; null: 503.
    pub fn set_prices(&self, prices: Value) {
        self.shared.state.lock().prices = prices;
    }

    /// Looks at or changes what there is, brought up to the present.
    pub fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let now = (self.shared.now)();
        let world = &mut self.shared.state.lock().world;
        world.settle(now);
        act(world)
    }

    /// The next call of an operation (`*`: of any) meets a fault, after those that were asked for
    /// before.
    pub fn fault(&self, operation: &'static str, fault: Fault) {
        self.faults(operation, 1, fault);
    }

    /// As [`Self::fault`], for the next `times` calls.
    pub fn faults(&self, operation: &'static str, times: usize, fault: Fault) {
        self.faults_after(operation, 0, times, fault);
    }

    /// As [`Self::faults`], after `skip` calls of the operation that are left alone.
    pub fn faults_after(&self, operation: &'static str, skip: usize, times: usize, fault: Fault) {
        if times > 0 {
            self.shared.state.lock().faults.add(operation, skip, times, fault);
        }
    }

    /// All faults that still wait are forgotten.
    pub fn clear_faults(&self) {
        self.shared.state.lock().faults.clear();
    }

    /// Every call so far.
    pub fn journal(&self) -> Vec<Call> {
        self.shared.state.lock().journal.clone()
    }

    /// The calls of an operation so far.
    pub fn calls(&self, operation: &str) -> Vec<Call> {
        let journal = self.journal();
        journal.into_iter().filter(|call| call.operation == operation).collect()
    }

    /// Waits until so many calls of an operation have come.
    pub async fn until_called(&self, operation: &str, times: usize) {
        let mut calls = self.shared.calls.subscribe();
        while self.calls(operation).len() < times {
            // The sender lives as long as this does.
            let _ = calls.changed().await;
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task: no connection outlives the fake.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&shared)));
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    // A fault that closes the connection is an error here, and meant.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("closed on request")
    }
}

impl std::error::Error for Closed {}

type Response = hyper::Response<Full<Bytes>>;

/// A request that has been read.
struct Received {
    method: String,
    /// As it came.
    path: String,
    query: BTreeMap<String, String>,
    authorization: Option<String>,
    body: Bytes,
}

async fn answer(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response, Closed> {
    let (head, body) = request.into_parts();
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let received = Received {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: query.into_owned().collect(),
        authorization: authorization.map(str::to_owned),
        body: body.collect().await.map_err(|_| Closed)?.to_bytes(),
    };
    if received.path == PRICES {
        let prices = shared.state.lock().prices.clone();
        let status = if prices.is_null() { 503 } else { 200 };
        return shared.response(status, &prices, None);
    }
    shared.call(&received).await
}

impl Shared {
    async fn call(&self, received: &Received) -> Result<Response, Closed> {
        let decoded = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let mut segments: Vec<String> = received.path.split('/').skip(1).map(decoded).collect();
        // A proxy in between may have taken it away.
        if segments.first().is_some_and(|first| first == "v2") {
            segments.remove(0);
        }
        let found = route::find(&received.method, &segments);
        let (operation, handler, params) = match found {
            Some((operation, handler, params)) => (operation, Some(handler), params),
            None => ("", None, Vec::new()),
        };
        let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let path = format!("/{}", segments.join("/"));
        let (index, fault) = self.enter(received, operation, path, &body);
        if let Some(Fault::Late(wait)) = &fault {
            tokio::time::sleep(*wait).await;
        }
        let request = Request { params, query: received.query.clone(), body };
        let (status, answer) = match &fault {
            Some(Fault::Refuse { status, message }) => {
                (*status, Refusal(*status, message.clone()).body())
            }
            Some(Fault::Throttle(_)) => (429, Refusal(429, "slow down".to_owned()).body()),
            Some(fault) if !fault.is_done() => (0, Value::Null),
            _ => self.carry_out(handler, &request, index, fault.as_ref()),
        };
        match fault {
            Some(Fault::Drop | Fault::LoseReply) => return Err(Closed),
            Some(Fault::Ignore | Fault::Hang) => return std::future::pending().await,
            _ => {}
        }
        let (status, retry_after) = match fault {
            Some(Fault::FailAfter(status)) => (status, None),
            Some(Fault::Throttle(seconds)) => (status, Some(seconds)),
            _ => (status, None),
        };
        self.state.lock().journal[index].status = Some(status);
        self.response(status, &answer, retry_after)
    }

    /// Writes a call down, and finds out what it is to meet.
    fn enter(
        &self,
        received: &Received,
        operation: &'static str,
        path: String,
        body: &Value,
    ) -> (usize, Option<Fault>) {
        let at = (self.now)();
        let signed = Signed {
            method: &received.method,
            path: &received.path,
            query: &received.query,
            body: &received.body,
        };
        let mut state = self.state.lock();
        let header = received.authorization.as_deref();
        // Everybody may know the zones.
        let is_public = operation == "list-zones" && header.is_none();
        let checked = match is_public {
            true => Ok(()),
            false => signature::check(header, &signed, &state.keys, at),
        };
        let fault = match checked {
            Ok(())
                if state
                    .allowed
                    .as_ref()
                    .is_some_and(|all| !all.iter().any(|one| one == operation)) =>
            {
                Some(Fault::refuse(
                    403,
                    &format!("Forbidden by role policy for compute: {operation}"),
                ))
            }
            Ok(()) => state.faults.take(operation),
            Err(why) => Some(Fault::refuse(403, &why)),
        };
        state.journal.push(Call {
            operation,
            method: received.method.clone(),
            path,
            query: received.query.clone(),
            body: body.clone(),
            at,
            status: None,
            done: None,
        });
        let index = state.journal.len() - 1;
        drop(state);
        self.calls.send_modify(|count| *count += 1);
        (index, fault)
    }

    fn carry_out(
        &self,
        handler: Option<Handler>,
        request: &Request,
        index: usize,
        fault: Option<&Fault>,
    ) -> (u16, Value) {
        let now = (self.now)();
        let mut state = self.state.lock();
        state.world.settle(now);
        state.world.next_fault = fault
            .filter(|fault| matches!(fault, Fault::OperationFails { .. } | Fault::OperationStuck))
            .cloned();
        let outcome = match handler {
            Some(handler) => handler(&mut state.world, request),
            None => Err(Refusal(404, "there is nothing at this address".to_owned())),
        };
        // Only a change begins an operation.
        state.world.next_fault = None;
        match outcome {
            Ok(answer) => {
                state.journal[index].done = Some(answer.clone());
                (200, answer)
            }
            Err(refusal) => (refusal.0, refusal.body()),
        }
    }

    fn response(
        &self,
        status: u16,
        body: &Value,
        retry_after: Option<u64>,
    ) -> Result<Response, Closed> {
        let late = Duration::from_secs(self.state.lock().late_date);
        let date = httpdate::fmt_http_date((self.now)() - late);
        let mut response = hyper::Response::builder()
            .status(status)
            .header(CONTENT_TYPE, "application/json")
            .header(DATE, date);
        if let Some(seconds) = retry_after {
            response = response.header(RETRY_AFTER, seconds);
        }
        response.body(Full::new(body.to_string().into())).map_err(|_| Closed)
    }
}
