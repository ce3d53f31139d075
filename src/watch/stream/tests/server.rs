//! An API server as far as a watcher can see it: objects with versions and their history, lists
//! in pages, watches, and all that can go wrong with them. Clients reach it in memory.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::{self, BoxStream};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response};
use kube::client::Body;

use super::*;

/// Collections that tests write to.
pub(super) const PODS: &str = "/api/v1/pods";
pub(super) const NODES: &str = "/api/v1/nodes";
pub(super) const CLAIMS: &str = "/apis/karpenter.sh/v1/nodeclaims";
pub(super) const NAMESPACES: &str = "/api/v1/namespaces";
pub(super) const COLLECTIONS: [&str; 4] = [PODS, NODES, CLAIMS, NAMESPACES];

type Answer = Response<StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>>;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It is answered with this status.
    Status(u16),
    /// No answer comes.
    Unreachable,
    /// The connection breaks in the middle of the answer.
    Cut,
}

/// The server. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct ModelServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    version: u64,
    /// How many objects a page has at most; 0: all.
    page: usize,
    collections: BTreeMap<String, Collection>,
    /// Between a client and a collection.
    lines: BTreeMap<(usize, String), Line>,
    clients: usize,
    /// From now on nothing goes wrong, and everything is told at once.
    healed: bool,
}

#[derive(Default)]
struct Collection {
    objects: BTreeMap<String, Value>,
    history: Vec<Entry>,
    /// What happened up to this version is forgotten.
    forgotten: u64,
}

struct Entry {
    version: u64,
    line: Bytes,
}

/// A client's lists and watch of one collection.
#[derive(Default)]
struct Line {
    /// What goes wrong with the next requests, if anything does.
    faults: VecDeque<Option<Fault>>,
    /// What is left of a list: its version and the objects.
    list: Option<(u64, VecDeque<Value>)>,
    watch: Option<Watch>,
    /// Whether the watch has skipped something: it has to be ended with 410.
    lossy: bool,
}

struct Watch {
    to: UnboundedSender<io::Result<Frame<Bytes>>>,
    /// How much of the history was sent.
    sent: usize,
}

impl Watch {
    fn send(&self, line: Bytes) {
        // Nobody may be listening any more.
        let _ = self.to.unbounded_send(Ok(Frame::data(line)));
    }
}

impl ModelServer {
    /// A server whose lists come in pages of that size.
    pub(super) fn with_pages_of(page: usize) -> Self {
        Self(Arc::new(Mutex::new(State { page, ..State::default() })))
    }

    /// A new client, and its number.
    pub(super) fn client(&self) -> (Client, usize) {
        let mut state = self.0.lock();
        let number = state.clients;
        state.clients += 1;
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = server.0.lock().answer(number, &request);
            futures::future::ready(answer)
        });
        (Client::new(service, "default"), number)
    }

    /// Creates or replaces an object. One of the same name with another UID is deleted first.
    pub(super) fn put(&self, collection: &str, object: Value) {
        self.0.lock().put(collection, object);
    }

    /// Deletes an object, if it is there.
    pub(super) fn delete(&self, collection: &str, key: &str) {
        self.0.lock().delete(collection, key);
    }

    /// The objects of a collection as they are now.
    pub(super) fn objects(&self, collection: &str) -> Vec<Value> {
        let state = self.0.lock();
        let objects = state.collections.get(collection).map(|collection| &collection.objects);
        objects.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Tells a client's watch the next so many events.
    pub(super) fn deliver(&self, client: usize, collection: &str, events: usize) {
        self.0.lock().deliver(client, collection, events);
    }

    /// Tells a client's watch the last so many events once more, in order.
    pub(super) fn repeat(&self, client: usize, collection: &str, events: usize) {
        let mut state = self.0.lock();
        if let Some(watch) = state.watch(client, collection) {
            let events = events.min(watch.sent);
            watch.sent -= events;
            state.deliver(client, collection, events);
        }
    }

    /// Skips a client's next so many events, as a server does whose watch cache overflows.
    pub(super) fn lose(&self, client: usize, collection: &str, events: usize) {
        let mut state = self.0.lock();
        let last = state.history_len(collection);
        if let Some(watch) = state.watch(client, collection) {
            let lost = events.min(last - watch.sent);
            watch.sent += lost;
            state.line(client, collection).lossy |= lost > 0;
        }
    }

    /// Says how far the history has come, without an event.
    pub(super) fn bookmark(&self, client: usize, collection: &str) {
        self.0.lock().bookmark(client, collection);
    }

    /// Ends a client's watch in good order.
    pub(super) fn close(&self, client: usize, collection: &str) {
        self.0.lock().line(client, collection).watch = None;
    }

    /// Breaks a client's watch in the middle of a line.
    pub(super) fn cut(&self, client: usize, collection: &str) {
        if let Some(watch) = self.0.lock().line(client, collection).watch.take() {
            watch.send(Bytes::from_static(b"{\"type\":\"MODIFIED\",\"obj"));
            let _ = watch.to.unbounded_send(Err(io::ErrorKind::ConnectionReset.into()));
        }
    }

    /// Ends a client's watch with 410 Gone.
    pub(super) fn expire(&self, client: usize, collection: &str) {
        self.0.lock().expire(client, collection);
    }

    /// Forgets the history: watches from an older version get 410 Gone.
    pub(super) fn forget(&self, collection: &str) {
        let mut state = self.0.lock();
        let version = state.version;
        state.collections.entry(collection.to_owned()).or_default().forgotten = version;
    }

    /// Lets something go wrong with a client's next request.
    pub(super) fn fail_next(&self, client: usize, collection: &str, fault: Fault) {
        self.0.lock().line(client, collection).faults.push_back(Some(fault));
    }

    /// Lets a client's next request pass: what fails is the one after it.
    pub(super) fn pass_next(&self, client: usize, collection: &str) {
        self.0.lock().line(client, collection).faults.push_back(None);
    }

    /// From now on nothing goes wrong, and everything is told at once.
    pub(super) fn heal(&self) {
        let mut state = self.0.lock();
        state.healed = true;
        let lines: Vec<(usize, String)> = state.lines.keys().cloned().collect();
        for (client, collection) in lines {
            let line = state.line(client, &collection);
            line.faults.clear();
            if line.lossy {
                state.expire(client, &collection);
            }
            state.deliver(client, &collection, usize::MAX);
        }
    }
}

impl State {
    fn line(&mut self, client: usize, collection: &str) -> &mut Line {
        self.lines.entry((client, collection.to_owned())).or_default()
    }

    fn watch(&mut self, client: usize, collection: &str) -> Option<&mut Watch> {
        self.line(client, collection).watch.as_mut()
    }

    fn history_len(&self, collection: &str) -> usize {
        self.collections.get(collection).map_or(0, |collection| collection.history.len())
    }

    fn put(&mut self, path: &str, mut object: Value) {
        let key = key_of(&object);
        let known = self.collections.get(path).and_then(|known| known.objects.get(&key));
        let another =
            known.is_some_and(|known| known["metadata"]["uid"] != object["metadata"]["uid"]);
        if another {
            self.delete(path, &key);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let collection = self.collections.entry(path.to_owned()).or_default();
        let is_new = collection.objects.insert(key, object.clone()).is_none();
        let what = if is_new { "ADDED" } else { "MODIFIED" };
        self.happened(path, what, &object);
    }

    fn delete(&mut self, path: &str, key: &str) {
        let Some(collection) = self.collections.get_mut(path) else { return };
        let Some(mut object) = collection.objects.remove(key) else { return };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.happened(path, "DELETED", &object);
    }

    fn happened(&mut self, path: &str, what: &str, object: &Value) {
        let entry = Entry { version: self.version, line: event(what, object) };
        self.collections.entry(path.to_owned()).or_default().history.push(entry);
        if self.healed {
            for client in 0..self.clients {
                self.deliver(client, path, usize::MAX);
            }
        }
    }

    fn deliver(&mut self, client: usize, path: &str, events: usize) {
        let Self { collections, lines, .. } = self;
        let Some(collection) = collections.get(path) else { return };
        let watch = lines.get_mut(&(client, path.to_owned())).and_then(|line| line.watch.as_mut());
        let Some(watch) = watch else { return };
        for entry in collection.history.iter().skip(watch.sent).take(events) {
            watch.send(entry.line.clone());
            watch.sent += 1;
        }
    }

    fn bookmark(&mut self, client: usize, path: &str) {
        let Self { collections, lines, version, .. } = self;
        let Some(line) = lines.get(&(client, path.to_owned())) else { return };
        let Some(watch) = &line.watch else { return };
        let next = collections.get(path).and_then(|known| known.history.get(watch.sent));
        let version = next.map_or(*version, |entry| entry.version - 1);
        watch.send(event(
            "BOOKMARK",
            &json!({"kind": "X", "apiVersion": "v1", "metadata": {
            "resourceVersion": version.to_string(), "annotations": {}}}),
        ));
    }

    fn expire(&mut self, client: usize, path: &str) {
        if let Some(watch) = self.line(client, path).watch.take() {
            watch.send(event("ERROR", &gone()));
        }
    }

    fn answer(&mut self, client: usize, request: &Request<Body>) -> io::Result<Answer> {
        let path = request.uri().path().to_owned();
        let query: BTreeMap<&str, &str> = request
            .uri()
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let fault = self.line(client, &path).faults.pop_front().flatten();
        match fault {
            Some(Fault::Unreachable) => return Err(io::ErrorKind::ConnectionRefused.into()),
            Some(Fault::Status(code)) => return Ok(failure(code)),
            Some(Fault::Cut) | None => {}
        }
        let answer = if query.contains_key("watch") {
            let version = query.get("resourceVersion").and_then(|text| text.parse().ok());
            self.start_watch(client, &path, version.unwrap_or_default())
        } else {
            self.list(client, &path, query.get("continue").copied())
        };
        let cut = matches!(fault, Some(Fault::Cut));
        Ok(if cut { self.cut_off(client, &path, answer) } else { answer })
    }

    fn list(&mut self, client: usize, path: &str, next: Option<&str>) -> Answer {
        let (version, page) = (self.version, if self.page == 0 { usize::MAX } else { self.page });
        let objects = self.collections.get(path).map(|collection| collection.objects.clone());
        let line = self.line(client, path);
        let begun = match next {
            Some(token) => line.list.take().filter(|(version, _)| version.to_string() == token),
            None => {
                line.watch = None;
                line.lossy = false;
                Some((version, objects.unwrap_or_default().into_values().collect()))
            }
        };
        let Some((version, mut objects)) = begun else { return failure(410) };
        let rest = objects.split_off(page.min(objects.len()));
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if !rest.is_empty() {
            metadata["continue"] = json!(version.to_string());
            line.list = Some((version, rest));
        }
        let list =
            json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": objects});
        answer_of(200, stream::iter([Ok(Frame::data(list.to_string().into()))]).boxed())
    }

    fn start_watch(&mut self, client: usize, path: &str, from: u64) -> Answer {
        let lossy = self.healed && self.line(client, path).lossy;
        let collection = self.collections.entry(path.to_owned()).or_default();
        if from < collection.forgotten || lossy {
            return answer_of(
                200,
                stream::iter([Ok(Frame::data(event("ERROR", &gone())))]).boxed(),
            );
        }
        let sent = collection.history.partition_point(|entry| entry.version <= from);
        let (to, lines) = unbounded();
        self.line(client, path).watch = Some(Watch { to, sent });
        if self.healed {
            self.deliver(client, path, usize::MAX);
        }
        answer_of(200, lines.boxed())
    }

    /// The first bytes of an answer, and then an error.
    fn cut_off(&mut self, client: usize, path: &str, answer: Answer) -> Answer {
        self.line(client, path).watch = None;
        let start = Ok(Frame::data(Bytes::from_static(b"{\"kind\":")));
        let broken = Err(io::ErrorKind::ConnectionReset.into());
        drop(answer);
        answer_of(200, stream::iter([start, broken]).boxed())
    }
}

/// Namespace (if there is one) and name.
pub(super) fn key_of(object: &Value) -> String {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    match metadata["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

fn event(what: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({"type": what, "object": object})).into()
}

fn gone() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410})
}

fn failure(code: u16) -> Answer {
    let mut status = gone();
    status["code"] = json!(code);
    status["reason"] = json!("Unknown");
    answer_of(code, stream::iter([Ok(Frame::data(status.to_string().into()))]).boxed())
}

fn answer_of(code: u16, body: BoxStream<'static, io::Result<Frame<Bytes>>>) -> Answer {
    Response::builder().status(code).body(StreamBody::new(body)).unwrap()
}
