//! The HTTP server, and what tests do with it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::control::{self, Asked};
use crate::exchange::{Exchange, Witness};
use crate::faults::{Fault, Faults};
use crate::journal::Call;
use crate::route::{self, Refusal, Request, Route};

/// What time it is.
pub type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What a cloud is: what there is, and what its API does with it.
pub trait Cloud: Sized + Send + 'static {
    /// What stands before all paths; a proxy in between may have taken it away.
    const BASE: &'static str;

    /// What the API does.
    #[doc(hidden)]
    fn routes() -> &'static [Route<Self>];

    /// Brings everything up to the present.
    fn settle(&mut self, now: SystemTime);

    /// Why a call is not allowed, if so.
    ///
    /// # Errors
    /// The status and what is said.
    fn check(&self, received: &Received, operation: &str, now: SystemTime) -> Result<(), Refusal>;

    /// What is answered at an address beside the API.
    fn beside(&self, _path: &str) -> Option<(u16, Value)> {
        None
    }

    /// How far the `Date` of answers is behind the fake's clock.
    fn late_date(&self) -> Duration {
        Duration::ZERO
    }

    /// A fault that the next change meets inside the cloud; `None` for none.
    fn meet(&mut self, _fault: Option<Fault>) {}

    /// Whose key a call is signed with.
    fn caller(_received: &Received) -> Option<String> {
        None
    }

    /// What there is, for a test in another process.
    fn picture(&self) -> Value {
        Value::Null
    }

    /// Changes what there is, as a test in another process asks.
    ///
    /// # Errors
    /// What is wrong with the change.
    fn change(&mut self, _change: &Value) -> Result<Value, Refusal> {
        Err(Refusal::invalid("nothing can be changed from outside"))
    }
}

/// The fake while it runs. It ends when it is dropped.
pub struct Fake<W: Cloud> {
    shared: Arc<Shared<W>>,
    address: SocketAddr,
    accepting: AbortHandle,
}

struct Shared<W> {
    state: Mutex<State<W>>,
    now: Now,
    /// Counts calls.
    calls: watch::Sender<usize>,
    witness: Mutex<Option<Witness>>,
}

struct State<W> {
    world: W,
    faults: Faults,
    journal: Vec<Call>,
}

impl<W: Cloud> fmt::Debug for Fake<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fake({})", self.address)
    }
}

impl<W: Cloud> Drop for Fake<W> {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl<W: Cloud> Fake<W> {
    /// Starts a fake on a free port of the loopback interface. Time is what `now` says, so that a
    /// test may let an hour pass in a second.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn serve(world: W, now: Now) -> std::io::Result<Self> {
        Self::serve_at(world, now, 0).await
    }

    /// As [`Self::serve`], on this port; 0: any that is free.
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn serve_at(world: W, now: Now, port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let state = State { world, faults: Faults::default(), journal: Vec::new() };
        let calls = watch::channel(0).0;
        let witness = Mutex::default();
        let shared = Arc::new(Shared { state: Mutex::new(state), now, calls, witness });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, address, accepting })
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        let base = if W::BASE.is_empty() { String::new() } else { format!("/{}", W::BASE) };
        format!("http://{}{base}", self.address)
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at or changes what there is, brought up to the present.
    pub fn world<T>(&self, act: impl FnOnce(&mut W) -> T) -> T {
        let now = (self.shared.now)();
        let world = &mut self.shared.state.lock().world;
        world.settle(now);
        act(world)
    }

    /// The next call of an operation (`*`: of any) meets a fault, after those that were asked for
    /// before.
    pub fn fault(&self, operation: &str, fault: Fault) {
        self.faults(operation, 1, fault);
    }

    /// As [`Self::fault`], for the next `times` calls.
    pub fn faults(&self, operation: &str, times: usize, fault: Fault) {
        self.faults_after(operation, 0, times, fault);
    }

    /// As [`Self::faults`], after `skip` calls of the operation that are left alone.
    pub fn faults_after(&self, operation: &str, skip: usize, times: usize, fault: Fault) {
        self.shared.state.lock().faults.add(operation, skip, times, fault);
    }

    /// All faults that still wait are forgotten.
    pub fn clear_faults(&self) {
        self.shared.state.lock().faults.clear();
    }

    /// Shows every exchange from now on to somebody, before its answer is sent.
    pub fn show(&self, witness: Witness) {
        *self.shared.witness.lock() = Some(witness);
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

async fn accept<W: Cloud>(listener: TcpListener, shared: Arc<Shared<W>>) {
    // Dropped with this task: no connection outlives the fake.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&shared)));
        }
    }
}

async fn serve<W: Cloud>(stream: TcpStream, shared: Arc<Shared<W>>) {
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
#[derive(Debug)]
pub struct Received {
    pub(crate) method: String,
    /// Scheme, host, path and query, as they came.
    pub(crate) address: String,
    /// As it came.
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// A header, if it is there and a text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body: JSON, or a text.
    pub(crate) fn value(&self) -> Value {
        let text = || match std::str::from_utf8(&self.body) {
            Ok(text) if !text.is_empty() => text.into(),
            _ => Value::Null,
        };
        serde_json::from_slice(&self.body).unwrap_or_else(|_| text())
    }
}

/// An answer from which a field is missing, or, if that is a list, its items.
fn without(mut answer: Value, field: &str) -> Value {
    match answer.get_mut(field) {
        Some(Value::Array(items)) => items.clear(),
        Some(_) => drop(answer.as_object_mut().and_then(|fields| fields.remove(field))),
        None => {}
    }
    answer
}

async fn answer<W: Cloud>(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared<W>>,
) -> Result<Response, Closed> {
    let (head, body) = request.into_parts();
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let host = head.headers.get("host").and_then(|value| value.to_str().ok());
    let received = Received {
        method: head.method.as_str().to_owned(),
        address: format!("http://{}{}", host.unwrap_or_default(), head.uri),
        path: head.uri.path().to_owned(),
        query: query.into_owned().collect(),
        body: body.collect().await.map_err(|_| Closed)?.to_bytes(),
        headers: head.headers,
    };
    if let Some(what) = received.path.strip_prefix(control::BASE) {
        let (status, body) = shared.control(what, &received);
        return shared.response(status, &body, None);
    }
    let beside = shared.state.lock().world.beside(&received.path);
    match beside {
        Some((status, body)) => shared.response(status, &body, None),
        None => shared.call(&received).await,
    }
}

impl<W: Cloud> Shared<W> {
    /// Does what a test in another process asks.
    fn control(&self, what: &str, received: &Received) -> (u16, Value) {
        let now = (self.now)();
        let mut state = self.state.lock();
        state.world.settle(now);
        let State { world, faults, journal } = &mut *state;
        let answer = match (received.method.as_str(), what) {
            ("GET", "journal") => Ok(json!(journal)),
            ("GET", "world") => Ok(world.picture()),
            ("POST", "world") => world.change(&received.value()),
            ("GET", "faults") => Ok(json!(faults.left())),
            ("DELETE", "faults") => {
                faults.clear();
                Ok(Value::Null)
            }
            ("POST", "faults") => match serde_json::from_value::<Asked>(received.value()) {
                Ok(Asked { operation, skip, times, fault }) => {
                    faults.add(&operation, skip, times, fault);
                    Ok(Value::Null)
                }
                Err(error) => Err(Refusal::invalid(error.to_string())),
            },
            _ => Err(Refusal(404, format!("there is no {what} to {}", received.method))),
        };
        match answer {
            Ok(value) => (200, value),
            Err(refusal) => (refusal.0, refusal.body()),
        }
    }

    async fn call(&self, received: &Received) -> Result<Response, Closed> {
        let decoded = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let mut segments: Vec<String> = received.path.split('/').skip(1).map(decoded).collect();
        // A proxy in between may have taken it away.
        if segments.first().is_some_and(|first| first == W::BASE) {
            segments.remove(0);
        }
        let found = route::find(W::routes(), &received.method, &segments);
        let (route, params) = found.map_or((None, Vec::new()), |(one, params)| (Some(one), params));
        let operation = route.map_or("", |route| route.2);
        let body = received.value();
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
            _ => self.carry_out(route, &request, index, fault.as_ref()),
        };
        let answer = match &fault {
            Some(Fault::Missing(field)) => without(answer, field),
            _ => answer,
        };
        let silent =
            matches!(fault, Some(Fault::Drop | Fault::LoseReply | Fault::Ignore | Fault::Hang));
        let (status, retry_after) = match fault {
            Some(Fault::FailAfter(status)) => (status, None),
            Some(Fault::Throttle(seconds)) => (status, Some(seconds)),
            _ => (status, None),
        };
        if let Some(witness) = self.witness.lock().clone() {
            witness(Exchange::of::<W>(received, (!silent).then_some((status, &answer))));
        }
        match fault {
            Some(Fault::Drop | Fault::LoseReply) => return Err(Closed),
            Some(Fault::Ignore | Fault::Hang) => return std::future::pending().await,
            _ => {}
        }
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
        let mut state = self.state.lock();
        let fault = match state.world.check(received, operation, at) {
            Ok(()) => state.faults.take(operation),
            Err(Refusal(status, why)) => Some(Fault::refuse(status, &why)),
        };
        state.journal.push(Call {
            operation: operation.into(),
            caller: W::caller(received),
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
        route: Option<&Route<W>>,
        request: &Request,
        index: usize,
        fault: Option<&Fault>,
    ) -> (u16, Value) {
        let now = (self.now)();
        let mut state = self.state.lock();
        state.world.settle(now);
        state.world.meet(fault.cloned());
        let outcome = match route {
            Some((_, _, _, handler)) => handler(&mut state.world, request),
            None => Err(Refusal(404, "there is nothing at this address".to_owned())),
        };
        state.world.meet(None);
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
        let late = self.state.lock().world.late_date();
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
